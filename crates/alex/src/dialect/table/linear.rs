//! Products with weights, and quantisation (BitNet b1.58: Ma et al. 2024).

use super::{Row, row};

pub(super) const ROWS: &[Row] = &[
    row(
        "zero_vector(optional size: index) -> (z: vector<L, N, E, A, U> | state<L, N, E, A, U> | matrix_state<L, N, M, E, A, B, U> | tensor<S.., E>)",
        "Zeros. `size` is the length where the type leaves it open.",
    ),
    row(
        "quantize_activations(x: vector<L, N, E, A, U> | tensor<L.., N, E>) -> (q: quantized<L, N, A, U> | tensor<L.., N, i8>, optional scale: tensor<L.., E>) where E: float",
        "For each position of the leading axes: `s = 127 / max(max |x|, 1e-5)`, `q = round_half_even(s x)` in −128..127. A result that is a tensor of i8 has its scales as a second result.",
    ),
    row(
        "quantize_weights(w: matrix<N, K, E, Out, In, U, V> | tensor<N, K, E>) -> (t: ternary<N, K, Out, In, P, U, V> | tensor<N, K, i8>, optional scale: tensor<E>) where E: float",
        "`s = 1 / max(mean |w|, 1e-5)`, `t = clamp(round_half_even(s w), −1, 1)` (absmean).",
    ),
    row("dequantize(q: quantized<L, N, A, U>) -> (x: vector<L, N, E, A, U>) where E: float", "`x = q / s`."),
    row(
        "repack(w: ternary<N, K, Out, In, P, U, V>) -> (t: ternary<N, K, Out, In, Q, U, V>)",
        "The same trits in another layout.",
    ),
    row(
        "ternary_accumulate(x: vector<L, K, E, In, U> | quantized<L, K, In, U> | tensor<L.., K, E>, weights: ternary<N, K, Out, In, P, U, V> | tensor<N, K, i8>, sum: vector<L, N, E, Out, V> | tensor<L.., N, E>) -> (y: vector<L, N, E, Out, V> | tensor<L.., N, E>) where E: float",
        "`y[i] = sum[i] + s Σ_j w[i, j] x[j]`, by additions and subtractions only. Weights that are a tensor have scale 1.",
    ),
    row(
        "ternary_linear(x: vector<L, K, E, In, U> | quantized<L, K, In, U> | tensor<L.., K, E>, weights: ternary<N, K, Out, In, P, U, V> | tensor<N, K, i8>, optional scale: tensor<E>) -> (y: vector<L, N, E, Out, V> | tensor<L.., N, E>) where E: float",
        "`y[i] = s Σ_j w[i, j] x[j]`. Quantised activations are multiplied as integers: `y = Σ w q · s_w / s_x`. Weights that are a tensor have scale 1 unless `scale` gives it.",
    ),
    row(
        "ternary_sum(x: quantized<L, K, In, U> | tensor<L.., K, i8>, weights: ternary<N, K, Out, In, P, U, V> | tensor<N, K, i8>) -> (y: vector<L, N, i32, Out, \"\"> | tensor<L.., N, i32>)",
        "The integer sums `Σ_j w[i, j] q[j]` alone.",
    ),
    row(
        "linear(x: vector<L, K, E, In, U> | tensor<L.., K, E>, weights: matrix<N, K, E, Out, In, U, V> | tensor<N, K, E>, optional bias: vector<[], N, E, Out, V> | tensor<N, E>) -> (y: vector<L, N, E, Out, V> | tensor<L.., N, E>) where E: float",
        "`y[i] = Σ_j w[i, j] x[j] + bias[i]`.",
    ),
    row(
        "block_linear(x: vector<L, K, E, In, U>, weights: blocks<N, K, Out, In, F, U, V>) -> (y: vector<L, N, E, Out, V>) where E: float",
        "The same with weights in blocks; activations are quantised by 256.",
    ),
    row(
        "head_product(x: vector<L, K, E, In, U> | tensor<L.., K, E>, table: matrix<N, K, E, Vocab, In, U, V> | tensor<N, K, E>) -> (logits: vector<L, N, E, Vocab, V> | tensor<L.., N, E>) where E: float",
        "One logit for each row of the table.",
    ),
    row(
        "outer(x: vector<L, N, E, A, U>, y: vector<L, M, E, B, \"\">) -> (z: matrix_state<L, N, M, E, A, B, U>) where E: float",
        "`z[i, j] = x[i] y[j]`.",
    ),
];
