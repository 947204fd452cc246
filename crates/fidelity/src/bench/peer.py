"""llama.cpp as a peer of `fidelity bench`: one JSON object a line on standard input, one a line on standard output.

    {"do": "load", "path": FILE, "context": N}  -> {"version": ..., "seconds": ...}
    {"do": "threads", "count": N}               -> {}
    {"do": "prefill", "tokens": N}              -> {"seconds": ...}     forgets everything, then reads N tokens at once
    {"do": "decode", "tokens": N}               -> {"seconds": [...]}   one token after another, logits of each
    {"do": "memory"}                            -> {"peak": bytes}

Anything that goes wrong is {"error": text}. Only the work of the library is timed: no sampling, no text.
"""

import ctypes
import json
import os
import sys
import time

# The library prints to standard output now and then; answers get a descriptor of their own.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def answer(value):
    answers.write(json.dumps(value) + "\n")
    answers.flush()


class Peer:
    def __init__(self):
        import llama_cpp

        self.lib = llama_cpp
        self.quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self.quiet, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self.context = None

    def load(self, path, context):
        lib, start = self.lib, time.perf_counter()
        params = lib.llama_model_default_params()
        params.n_gpu_layers = 0
        self.model = lib.llama_model_load_from_file(path.encode(), params)
        if not self.model:
            raise RuntimeError("llama.cpp does not load " + path)
        self.vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self.model))
        params = lib.llama_context_default_params()
        params.n_ctx = context
        params.n_batch = params.n_ubatch = 512
        self.context = lib.llama_init_from_model(self.model, params)
        if not self.context:
            raise RuntimeError("llama.cpp makes no context of %d tokens" % context)
        return {"version": lib.__version__, "seconds": time.perf_counter() - start}

    def threads(self, count):
        self.lib.llama_set_n_threads(self.context, count, count)
        return {}

    def feed(self, tokens):
        batch = (ctypes.c_int32 * len(tokens))(*tokens)
        if self.lib.llama_decode(self.context, self.lib.llama_batch_get_one(batch, len(tokens))) != 0:
            raise RuntimeError("llama.cpp refuses %d tokens" % len(tokens))
        self.lib.llama_get_logits(self.context)

    def prefill(self, tokens):
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)
        ids = [(7 * i + 3) % self.vocab for i in range(tokens)]
        start = time.perf_counter()
        self.feed(ids)
        return {"seconds": time.perf_counter() - start}

    def decode(self, tokens):
        seconds = []
        for i in range(tokens):
            start = time.perf_counter()
            self.feed([(11 * i + 5) % self.vocab])
            seconds.append(time.perf_counter() - start)
        return {"seconds": seconds}

    def memory(self):
        with open("/proc/self/status") as status:
            lines = [line for line in status if line.startswith("VmHWM:")]
        return {"peak": 1024 * int(lines[0].split()[1])}


peer = None
for line in sys.stdin:
    try:
        request = json.loads(line)
        if peer is None:
            peer = Peer()
        action = request.pop("do")
        answer(getattr(peer, action)(**request))
    except Exception as error:
        answer({"error": "%s: %s" % (type(error).__name__, error)})
