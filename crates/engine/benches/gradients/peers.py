"""The programs of programs.rs in PyTorch or JAX, one gradient for each line on standard input.

Usage: peers.py FRAMEWORK PROGRAM FOLDER. FOLDER holds the inputs as NAME.f32 and a file `inputs`, a line for each:
name, whether its gradient is wanted, sizes. Answers: `ready`, loss and the norm of each gradient, then seconds.
Frameworks run on one processor. Where a recurrence has more than one sensible form, the fastest is kept.
"""
import os
import sys
import time

framework, program, folder = sys.argv[1:4]
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import numpy as np  # noqa: E402

names, wanted, arrays = [], [], []
for line in open(os.path.join(folder, "inputs"), encoding="utf-8"):
    name, want, *sizes = line.split()
    names.append(name)
    wanted.append(want == "1")
    path = os.path.join(folder, name + ".f32")
    arrays.append(np.fromfile(path, dtype="<f4").reshape([int(s) for s in sizes]))


def best(forms, run, rounds=2):
    """The form whose gradient takes the least time."""
    def seconds(form):
        run(form)
        found = []
        for _ in range(rounds):
            start = time.perf_counter()
            run(form)
            found.append(time.perf_counter() - start)
        return min(found)

    return min(forms, key=seconds) if len(forms) > 1 else forms[0]


if framework == "torch":
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(1)
    values = [torch.from_numpy(a.copy()).requires_grad_(w) for a, w in zip(arrays, wanted)]

    def rms(x, w, eps):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * w

    def scan_loop(f, x):
        h, out = torch.zeros_like(x[:, 0]), []
        for ft, xt in zip(f.unbind(1), x.unbind(1)):
            h = ft * h + xt
            out.append(h)
        return torch.stack(out, 1)

    def scan_doubling(f, x):
        step, length = 1, x.shape[1]
        while step < length:
            moved = torch.cat([x[:, :step], f[:, step:] * x[:, :-step] + x[:, step:]], 1)
            f = torch.cat([f[:, :step], f[:, step:] * f[:, :-step]], 1)
            x, step = moved, 2 * step
        return x

    def block(form, project):
        x, ct, attn_norm, i, f, g, g_norm, o, mlp_norm, gate, down = values
        a = rms(x, attn_norm, 1e-6)
        gates = torch.sigmoid(project(a, f))
        h = form(gates, F.silu(project(a, i)) * (1 - gates))
        r = x + project(rms(project(a, g), g_norm, 1e-6) * F.silu(h), o)
        left, right = project(rms(r, mlp_norm, 1e-6), gate).chunk(2, -1)
        return ((r + project(F.silu(left) * right, down)) * ct).sum()

    def ternary(x, w):
        y = rms(x, 1.0, 1e-8)
        s = 127 / y.abs().amax(-1, keepdim=True).clamp(min=1e-5)
        q = y + ((y * s).round().clamp(-128, 127) / s - y).detach()
        sw = 1 / w.abs().mean().clamp(min=1e-5)
        return F.linear(q, w + ((w * sw).round().clamp(-1, 1) / sw - w).detach())

    def selective(_):
        x, dt, a, b, c, ct = values
        gates = torch.exp(dt.unsqueeze(-1) * a)
        drive = (dt * x).unsqueeze(-1) * b.unsqueeze(2)
        h, out = torch.zeros_like(gates[:, 0]), []
        for g, d, m in zip(gates.unbind(1), drive.unbind(1), c.unbind(1)):
            h = g * h + d
            out.append((h * m.unsqueeze(1)).sum(-1))
        return (torch.stack(out, 1) * ct).sum()

    def mlp(_):
        x, target, w1, b1, w2, b2, w3, b3 = values
        h = torch.tanh(F.linear(torch.tanh(F.linear(x, w1, b1)), w2, b2))
        return (F.linear(h, w3, b3) - target).square().mean()

    forms, loss = {
        "mlp": ([None], mlp),
        "mlgru": ([scan_loop, scan_doubling], lambda form: block(form, F.linear)),
        "mlgru_ternary": ([scan_loop, scan_doubling], lambda form: block(form, ternary)),
        "selective": ([None], selective),
    }[program]

    def run(form):
        for v in values:
            v.grad = None
        y = loss(form)
        y.backward()
        return [y.item()] + [v.grad.norm().item() for v in values if v.requires_grad]

    form = best(forms, run)
    answer = lambda: run(form)  # noqa: E731

    def timed():
        for v in values:
            v.grad = None
        start = time.perf_counter()
        loss(form).backward()
        return time.perf_counter() - start

    version = "torch " + torch.__version__
else:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_platforms", "cpu")
    values = [jnp.asarray(a) for a in arrays]
    at = [k for k, w in enumerate(wanted) if w]

    def rms(x, w, eps):
        return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + eps) * w

    def scan_sequential(f, x):
        step = lambda h, p: (p[0] * h + p[1],) * 2  # noqa: E731
        time_first = (jnp.swapaxes(f, 0, 1), jnp.swapaxes(x, 0, 1))
        return jnp.swapaxes(jax.lax.scan(step, jnp.zeros_like(x[:, 0]), time_first)[1], 0, 1)

    def scan_associative(f, x):
        join = lambda l, r: (l[0] * r[0], r[0] * l[1] + r[1])  # noqa: E731
        return jax.lax.associative_scan(join, (f, x), axis=1)[1]

    def block(form, project, v):
        x, ct, attn_norm, i, f, g, g_norm, o, mlp_norm, gate, down = v
        a = rms(x, attn_norm, 1e-6)
        gates = jax.nn.sigmoid(project(a, f))
        h = form(gates, jax.nn.silu(project(a, i)) * (1 - gates))
        r = x + project(rms(project(a, g), g_norm, 1e-6) * jax.nn.silu(h), o)
        left, right = jnp.split(project(rms(r, mlp_norm, 1e-6), gate), 2, -1)
        return ((r + project(jax.nn.silu(left) * right, down)) * ct).sum()

    def linear(x, w):
        return x @ w.T

    def ternary(x, w):
        y = rms(x, 1.0, 1e-8)
        s = 127 / jnp.clip(jnp.abs(y).max(-1, keepdims=True), 1e-5)
        q = y + jax.lax.stop_gradient(jnp.clip(jnp.round(y * s), -128, 127) / s - y)
        sw = 1 / jnp.clip(jnp.abs(w).mean(), 1e-5)
        return linear(q, w + jax.lax.stop_gradient(jnp.clip(jnp.round(w * sw), -1, 1) / sw - w))

    def selective(form, v):
        x, dt, a, b, c, ct = v
        if form == "step":
            def step(h, p):
                xt, dtt, bt, ct_ = p
                h = jnp.exp(dtt[..., None] * a) * h + (dtt * xt)[..., None] * bt[:, None]
                return h, (h * ct_[:, None]).sum(-1)

            first = [jnp.swapaxes(z, 0, 1) for z in (x, dt, b, c)]
            h0 = jnp.zeros((x.shape[0],) + a.shape, x.dtype)
            y = jnp.swapaxes(jax.lax.scan(step, h0, tuple(first))[1], 0, 1)
        else:
            gates = jnp.exp(dt[..., None] * a)
            drive = (dt * x)[..., None] * b[:, :, None]
            y = (scan_associative(gates, drive) * c[:, :, None]).sum(-1)
        return (y * ct).sum()

    def mlp(_, v):
        x, target, w1, b1, w2, b2, w3, b3 = v
        h = jnp.tanh(linear(jnp.tanh(linear(x, w1) + b1), w2) + b2)
        return jnp.square(linear(h, w3) + b3 - target).mean()

    forms, loss = {
        "mlp": ([None], mlp),
        "mlgru": ([scan_sequential, scan_associative], lambda form, v: block(form, linear, v)),
        "mlgru_ternary": ([scan_sequential, scan_associative], lambda form, v: block(form, ternary, v)),
        "selective": (["step", "associative"], selective),
    }[program]
    compiled = {}

    def gradient(form):
        if form not in compiled:
            inner = lambda *v: loss(form, v)  # noqa: E731
            compiled[form] = jax.jit(jax.value_and_grad(inner, argnums=tuple(at)))
        return jax.block_until_ready(compiled[form](*values))

    form = best(forms, gradient)

    def answer():
        y, grads = gradient(form)
        return [float(y)] + [float(jnp.linalg.norm(g)) for g in grads]

    def timed():
        start = time.perf_counter()
        gradient(form)
        return time.perf_counter() - start

    version = "jax " + jax.__version__

print("ready", version.replace(" ", "-"), getattr(form, "__name__", form), flush=True)
print(*answer(), flush=True)
for _ in sys.stdin:
    print(timed(), flush=True)
