"""Derivatives of one order of a small perceptron by JAX's jet on the CPU, timed on request.

Started by the benchmark `taylor`. Prints one line that says which version it is; then, for every line with an order on standard
input, one line: seconds of one call of the compiled function, seconds of one round of a compiled loop of 200 such evaluations
(no dispatch from Python), and the derivative.
"""

import os
import sys
import time

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"

try:
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.experimental import jet
except ImportError as error:
    print(f"skip: {error}", flush=True)
    sys.exit(0)

WIDTH = 64
MASK = (1 << 64) - 1
state = 1


def make(n, scale):
    global state
    out = []
    for _ in range(n):
        state = (state * 6364136223846793005 + 1442695040888963407) & MASK
        out.append(((state >> 40) / float(1 << 24) * 2 - 1) * scale)
    return np.array(out, dtype=np.float32)


wide = (3.0 / WIDTH) ** 0.5
W = [make(WIDTH, 1.7), make(WIDTH, 0.5), make(WIDTH * WIDTH, wide).reshape(WIDTH, WIDTH), make(WIDTH, 0.5), make(WIDTH, wide)]
W = [jnp.asarray(w) for w in W]


def perceptron(x, w):
    h = jnp.tanh(w[0] * x + w[1])
    h = jnp.tanh(w[2] @ h + w[3])
    return w[4] @ h


made = {}


def functions(order):
    if order not in made:
        series = [1.0] + [0.0] * (order - 1)

        def derivative(x, w):
            _, out = jet.jet(lambda x: perceptron(x, w), (x,), (series,))
            return out[-1]

        def loop(x, w):
            step = lambda _, x: x + 1e-30 * derivative(x, w)
            return jax.lax.fori_loop(0, 200, step, x)

        one, many = jax.jit(derivative), jax.jit(loop)
        x = jnp.float32(0.3)
        one(x, W).block_until_ready()
        many(x, W).block_until_ready()
        made[order] = (one, many)
    return made[order]


print(f"jax {jax.__version__}", flush=True)
x = jnp.float32(0.3)
for line in sys.stdin:
    one, many = functions(int(line))
    start = time.perf_counter()
    for _ in range(20):
        y = one(x, W)
    y.block_until_ready()
    call = (time.perf_counter() - start) / 20
    start = time.perf_counter()
    many(x, W).block_until_ready()
    inside = (time.perf_counter() - start) / 200
    print(call, inside, float(y), flush=True)
