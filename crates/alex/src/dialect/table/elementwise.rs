//! Elementwise operations. Sums need one unit, functions need pure numbers, products of units are declared.

use super::{Row, row};

pub(super) const ROWS: &[Row] = &[
    row(
        "sigmoid(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, \"\"> | state<_, _, _, _, \"\"> | scalar<_, _, \"\">",
        "`1 / (1 + e^−x)`. Takes pure numbers.",
    ),
    row(
        "tanh(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, \"\"> | state<_, _, _, _, \"\"> | scalar<_, _, \"\">",
        "`tanh x`. Takes pure numbers.",
    ),
    row(
        "silu(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, \"\"> | state<_, _, _, _, \"\"> | scalar<_, _, \"\">",
        "`x / (1 + e^−x)`. Takes pure numbers.",
    ),
    row(
        "gelu(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, \"\"> | state<_, _, _, _, \"\"> | scalar<_, _, \"\">",
        "`x Φ(x)`. Takes pure numbers.",
    ),
    row(
        "exp(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, \"\"> | state<_, _, _, _, \"\"> | scalar<_, _, \"\">",
        "`e^x`. Takes pure numbers.",
    ),
    row(
        "log(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, \"\"> | state<_, _, _, _, \"\"> | scalar<_, _, \"\">",
        "`log x`. Takes pure numbers.",
    ),
    row(
        "softplus(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, \"\"> | state<_, _, _, _, \"\"> | scalar<_, _, \"\">",
        "`log(1 + e^x)`. Takes pure numbers.",
    ),
    row(
        "complement(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, \"\"> | state<_, _, _, _, \"\"> | scalar<_, _, \"\">",
        "`1 − x`. Takes pure numbers.",
    ),
    row(
        "negate(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, _> | state<_, _, _, _, _> | scalar<_, _, _>",
        "`−x`.",
    ),
    row(
        "relu(x: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, _> | state<_, _, _, _, _> | scalar<_, _, _>",
        "`max(x, 0)`.",
    ),
    row(
        "add(x: T | tensor<E> | tensor<S.., E>, y: T | tensor<E> | tensor<S.., E>) -> (z: T | tensor<S.., E>) where T: vector<_, _, _, _, _> | state<_, _, _, _, _> | matrix_state<_, _, _, _, _, _, _> | scalar<_, _, _>",
        "`x + y`, of one type, so of one axis and one unit. A tensor without axes goes with any other tensor.",
    ),
    row(
        "subtract(x: T | tensor<E> | tensor<S.., E>, y: T | tensor<E> | tensor<S.., E>) -> (z: T | tensor<S.., E>) where T: vector<_, _, _, _, _> | state<_, _, _, _, _> | matrix_state<_, _, _, _, _, _, _> | scalar<_, _, _>",
        "`x − y`, of one type, so of one axis and one unit. A tensor without axes goes with any other tensor.",
    ),
    row(
        "maximum(x: T | tensor<E> | tensor<S.., E>, y: T | tensor<E> | tensor<S.., E>) -> (z: T | tensor<S.., E>) where T: vector<_, _, _, _, _> | state<_, _, _, _, _> | matrix_state<_, _, _, _, _, _, _> | scalar<_, _, _>",
        "`the larger`, of one type, so of one axis and one unit. A tensor without axes goes with any other tensor.",
    ),
    row(
        "minimum(x: T | tensor<E> | tensor<S.., E>, y: T | tensor<E> | tensor<S.., E>) -> (z: T | tensor<S.., E>) where T: vector<_, _, _, _, _> | state<_, _, _, _, _> | matrix_state<_, _, _, _, _, _, _> | scalar<_, _, _>",
        "`the smaller`, of one type, so of one axis and one unit. A tensor without axes goes with any other tensor.",
    ),
    row(
        "divide(x: tensor<E> | tensor<S.., E>, y: tensor<E> | tensor<S.., E>) -> (z: tensor<S.., E>)",
        "`x / y`. `divide_units` divides values with units.",
    ),
    row(
        "residual_add(x: T | tensor<S.., E>, branch: T | tensor<S.., E>) -> (y: T | tensor<S.., E>) where T: vector<_, _, _, _, _>",
        "`x + branch`: what a block adds to the residual stream.",
    ),
    row(
        "multiply(x: vector<L, N, E, A, U> | state<L, N, E, A, U> | tensor<E> | tensor<S.., E>, y: vector<L, N, E, A, \"\"> | tensor<E> | tensor<S.., E>) -> (z: vector<L, N, E, A, U> | tensor<S.., E>)",
        "`x y`, where `y` is a pure number, so the unit stays. `multiply_units` multiplies two units.",
    ),
    row(
        "multiply_units(x: vector<L, N, E, A, U>, y: vector<L, N, E, A, V>) {units: product<U, V, W>} -> (z: vector<L, N, E, A, W>)",
        "`x y`, where the product of the units is declared.",
    ),
    row(
        "divide_units(x: vector<L, N, E, A, W>, y: vector<L, N, E, A, V>) {units: product<U, V, W>} -> (z: vector<L, N, E, A, U>)",
        "`x / y`, where the unit of `x` is declared to be a product with that of `y`.",
    ),
    row(
        "gate(gate: vector<L, N, E, A, \"\"> | tensor<S.., E>, x: vector<L, N, E, A, U> | tensor<S.., E>) -> (y: vector<L, N, E, A, U> | tensor<S.., E>)",
        "`gate x`; a gate is a pure number.",
    ),
    row(
        "swiglu(gate: vector<L, N, E, A, \"\"> | tensor<S.., E>, up: vector<L, N, E, A, U> | tensor<S.., E>) -> (y: vector<L, N, E, A, U> | tensor<S.., E>)",
        "`silu(gate) up` (Shazeer 2020).",
    ),
    row(
        "relu2_glu(gate: vector<L, N, E, A, \"\">, up: vector<L, N, E, A, U>) -> (y: vector<L, N, E, A, U>)",
        "`max(gate, 0)² up`, the feed-forward gate of BitNet b1.58 2B4T.",
    ),
    row(
        "scale(x: vector<L, N, E, A, U> | tensor<S.., E>, factor: factor<E, U, V> | tensor<E>) -> (y: vector<L, N, E, A, V> | tensor<S.., E>)",
        "`factor x`, from one unit to another.",
    ),
    row(
        "bias_add(x: vector<L, N, E, A, U>, bias: vector<[], N, E, A, U>) -> (y: vector<L, N, E, A, U>)",
        "`x + bias`, the same at every position.",
    ),
    row(
        "convert(x: vector<L, N, E, A, U> | tensor<S.., E>) -> (y: vector<L, N, F, A, U> | tensor<S.., F>)",
        "The same numbers in another element type.",
    ),
];
