//! Norms. What is divided by its own size is a pure number, so the result has the weight's unit.

use super::{Row, row};

pub(super) const ROWS: &[Row] = &[
    row(
        "rms_norm(x: vector<L, N, E, A, U> | tensor<L.., N, E>, weight: vector<[], N, E, A, V> | tensor<N, E>) {eps: float} -> (y: vector<L, N, E, A, V> | tensor<L.., N, E>, optional rstd: tensor<L.., E>) where E: float",
        "`y[i] = weight[i] x[i] / √(mean x² + eps)` (Zhang and Sennrich 2019). A second result is `1 / √(mean x² + eps)`.",
    ),
    row(
        "rms_normalize(x: vector<L, N, E, A, U> | tensor<L.., N, E>) {eps: float} -> (y: vector<L, N, E, A, \"\"> | tensor<L.., N, E>) where E: float",
        "`y[i] = x[i] / √(mean x² + eps)`.",
    ),
    row(
        "layer_norm(x: vector<L, N, E, A, U> | tensor<L.., N, E>, weight: vector<[], N, E, A, V> | tensor<N, E>, optional bias: vector<[], N, E, A, V> | tensor<N, E>) {eps: float} -> (y: vector<L, N, E, A, V> | tensor<L.., N, E>) where E: float",
        "`y[i] = weight[i] (x[i] − mean x) / √(var x + eps) + bias[i]`.",
    ),
    row(
        "rms_norm_quantize(x: vector<L, N, E, A, U>, weight: vector<[], N, E, A, V>) {eps: float} -> (q: quantized<L, N, A, V>) where E: float",
        "`quantize_activations(rms_norm(x, weight))` in one pass over memory.",
    ),
    row(
        "softmax(x: vector<L, N, E, A, \"\"> | tensor<L.., N, E>) -> (y: vector<L, N, E, A, \"\"> | tensor<L.., N, E>) where E: float",
        "`y[i] = exp(x[i] − max x) / Σ_j exp(x[j] − max x)`.",
    ),
];
