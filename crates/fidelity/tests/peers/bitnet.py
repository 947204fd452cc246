"""BitNet b1.58 once more, in plain numpy and f64, from a folder of master weights: what ours and llama.cpp's are held against.

usage: bitnet.py FOLDER TOKENS HEADS GROUPS FLOAT INT8
FOLDER holds config.json and model.safetensors (F32, SiLU, tied head), TOKENS is a text file of ids. Writes two files of raw
f64 logits (positions, vocabulary): with the activations as they are, and rounded to int8 by token as the model does.
"""

import json
import pathlib
import struct
import sys

import numpy as np

folder, tokens, heads, groups, out_float, out_int8 = sys.argv[1:7]
heads, groups = int(heads), int(groups)
tokens = [int(word) for word in open(tokens).read().split()]
config = json.loads((pathlib.Path(folder) / "config.json").read_text())
data = (pathlib.Path(folder) / "model.safetensors").read_bytes()
(length,) = struct.unpack("<Q", data[:8])
header = json.loads(data[8 : 8 + length])


def tensor(name):
    start, end = header[name]["data_offsets"]
    values = np.frombuffer(data[8 + length + start : 8 + length + end], dtype="<f4")
    return values.reshape(header[name]["shape"]).astype(np.float64)


def ternary(name):
    """The weights as trits times their mean magnitude."""
    w = tensor(name)
    mean = max(np.abs(w).mean(), 1e-5)
    return np.clip(np.round(w / mean), -1, 1) * mean


def norm(x, name):
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + config["rms_norm_eps"]) * tensor(name)


def rotate(x):
    """x (T, heads, width): pairs of the two halves turn."""
    half = x.shape[-1] // 2
    frequencies = config["rope_theta"] ** (-np.arange(half) / half)
    angles = np.arange(len(x))[:, None, None] * frequencies
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * np.cos(angles) - b * np.sin(angles), b * np.cos(angles) + a * np.sin(angles)], axis=-1)


def forward(rounded):
    def linear(x, name):
        if rounded:
            scale = 127 / np.maximum(np.abs(x).max(axis=-1, keepdims=True), 1e-5)
            x = np.clip(np.round(x * scale), -128, 127) / scale
        return x @ ternary(name).T

    table = tensor("model.embed_tokens.weight")
    h, count = table[tokens], len(tokens)
    mask = np.triu(np.full((count, count), -np.inf), 1)
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        x = norm(h, at + "input_layernorm.weight")
        q, k, v = (linear(x, f"{at}self_attn.{n}_proj.weight") for n in "qkv")
        q = rotate(q.reshape(count, heads, -1))
        k, v = rotate(k.reshape(count, groups, -1)), v.reshape(count, groups, -1)
        k, v = (np.repeat(y, heads // groups, axis=1) for y in (k, v))
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(q.shape[-1]) + mask
        p = np.exp(scores - scores.max(axis=-1, keepdims=True))
        y = np.einsum("hqk,khd->qhd", p / p.sum(axis=-1, keepdims=True), v).reshape(count, -1)
        h = h + linear(norm(y, at + "self_attn.attn_sub_norm.weight"), at + "self_attn.o_proj.weight")
        x = norm(h, at + "post_attention_layernorm.weight")
        gate, up = (linear(x, f"{at}mlp.{n}_proj.weight") for n in ("gate", "up"))
        y = norm(gate / (1 + np.exp(-gate)) * up, at + "mlp.ffn_sub_norm.weight")
        h = h + linear(y, at + "mlp.down_proj.weight")
    return norm(h, "model.norm.weight") @ table.T


forward(False).tofile(out_float)
forward(True).tofile(out_int8)
