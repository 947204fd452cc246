//! Products with weights, and quantisation (BitNet b1.58: Ma et al. 2024).

use super::{Row, row};

pub(super) const ROWS: &[Row] = &[
    row(
        "zero_vector(optional size: index) -> (z: vector<L, N, E, A, U> | state<L, N, E, A, U> | matrix_state<L, N, M, E, A, B, U> | tensor<S.., E>)",
        "Zeros. `size` is the length where the type leaves it open.",
    ),
    row(
        "quantize_activations(x: vector<L, N, E, A, U> | tensor<L.., N, E>) -> (q: quantized<L, N, A, U> | tensor<L.., N, i8>, optional scale: tensor<L.., E>) where E: float",
        "For each position of the leading axes: `s = 127 / max(max |x|, 1e-5)`, `q = round_half_even(s x)` in −128..127; `rounding = \"half_away\"` rounds halves away from zero. A result that is a tensor of i8 has its scales as a second result.",
    ),
    row(
        "quantize_weights(w: matrix<N, K, E, Out, In, U, V> | tensor<N, K, E>) -> (t: ternary<N, K, Out, In, P, U, V> | tensor<N, K, i8>, optional factor: tensor<E>) where E: float",
        "`s = 1 / max(mean |w|, 1e-5)`, `t = clamp(round_half_even(s w), −1, 1)` (absmean). A result that is a tensor of i8 has as a second result the factor `1 / s` that its products are multiplied with.",
    ),
    row("dequantize(q: quantized<L, N, A, U>) -> (x: vector<L, N, E, A, U>) where E: float", "`x = q / s`."),
    row(
        "repack(w: ternary<N, K, Out, In, P, U, V>) -> (t: ternary<N, K, Out, In, Q, U, V>)",
        "The same trits in another layout.",
    ),
    row(
        "ternary_accumulate(x: vector<L, K, E, In, U> | quantized<L, K, In, U> | tensor<L.., K, E>, weights: ternary<N, K, Out, In, P, U, V> | tensor<N, K, i8>, sum: vector<L, N, E, Out, V> | tensor<L.., N, E>) -> (y: vector<L, N, E, Out, V> | tensor<L.., N, E>) where E: float",
        "`y[i] = sum[i] + Σ_j w[i, j] x[j] / s_w`: additions and subtractions, and the division by the scale that the weights carry. Weights that are a tensor carry none.",
    ),
    row(
        "ternary_linear(x: vector<L, K, E, In, U> | quantized<L, K, In, U> | tensor<L.., K, E>, weights: ternary<N, K, Out, In, P, U, V> | tensor<N, K, i8>, optional scale: tensor<E>) -> (y: vector<L, N, E, Out, V> | tensor<L.., N, E>) where E: float",
        "`y[i] = Σ_j w[i, j] x[j] / s_w`, `s_w` the scale that the weights carry. Quantised activations are multiplied as integers: `y = Σ w q / s_x / s_w`. Weights that are a tensor carry none; `scale` is then a factor.",
    ),
    row(
        "ternary_product(q: tensor<L.., K, i8>, scale: tensor<L.., E>, weights: tensor<N, K, i8>, weight_scale: tensor<E>) -> (y: tensor<L.., N, E>) where E: float",
        "`Σ_j w[i, j] q[j] / scale / weight_scale`: the graph's form, with both scales as values.",
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
        "block_linear(x: vector<L, K, E, In, U> | tensor<L.., K, E>, weights: blocks<N, K, Out, In, F, U, V> | tensor<N, R, i8>) -> (y: vector<L, N, E, Out, V> | tensor<L.., N, E>) where E: float",
        "The same with weights in blocks; activations are quantised by blocks of their own. Weights that are a tensor are rows of bytes, and `format` and `columns` say what they hold.",
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
