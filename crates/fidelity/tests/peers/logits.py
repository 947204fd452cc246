"""Logits of llama.cpp (through llama-cpp-python) at every position of a list of tokens, against given ones.

usage: logits.py MODEL.gguf TOKENS LOGITS
TOKENS is a text file of ids, LOGITS raw f64 (positions, vocabulary). Prints one JSON object: the mean and the largest
Kullback-Leibler divergence of the next token's distribution (given to peer, in nats), how often both agree on the
likeliest token, the mean entropy, and the largest difference of logits.
"""

import json
import sys

try:
    import numpy as np
    import llama_cpp
except ImportError as error:
    print(json.dumps({"skip": f"{error}"}))
    sys.exit(0)


def log_softmax(x):
    x = x - x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


model, tokens, logits = sys.argv[1:4]
tokens = [int(word) for word in open(tokens).read().split()]
peer = llama_cpp.Llama(model, n_ctx=len(tokens) + 8, n_batch=len(tokens) + 8, n_threads=1, logits_all=True, verbose=False)
peer.eval(tokens)
theirs = np.array(peer.scores[: len(tokens)], dtype=np.float64)
ours = np.fromfile(logits, dtype=np.float64).reshape(len(tokens), -1)
p, q = log_softmax(ours), log_softmax(theirs)
divergence = (np.exp(p) * (p - q)).sum(axis=1)
print(
    json.dumps(
        {
            "version": llama_cpp.__version__,
            "positions": len(tokens),
            "mean_kl": float(divergence.mean()),
            "max_kl": float(divergence.max()),
            "same_top": float((p.argmax(axis=1) == q.argmax(axis=1)).mean()),
            "entropy": float(-(np.exp(p) * p).sum(axis=1).mean()),
            "max_difference": float(np.abs(ours - theirs).max()),
        }
    )
)
