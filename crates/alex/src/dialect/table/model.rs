//! Parts of models: tables, positions, losses, and the seams between axes.

use super::{Row, row};

pub(super) const ROWS: &[Row] = &[
    row(
        "embedding(ids: tokens<L, Vocab> | tensor<L.., i64>, table: matrix<N, K, E, Vocab, Hidden, F, U> | tensor<N, K, E>) -> (x: vector<L, K, E, Hidden, U> | tensor<L.., K, E>)",
        "The rows of the table that the ids name.",
    ),
    row(
        "rope(x: vector<L, N, E, A, U> | tensor<L.., N, E>, optional positions: tokens<L, P> | tensor<L.., i64>) {base: float} -> (y: vector<L, N, E, A, U> | tensor<L.., N, E>) where E: float",
        "Pairs of neighbouring halves turned by angles that grow with the position (Su et al. 2021).",
    ),
    row(
        "attention(query: vector<L, K, E, Key, \"\">, keys: matrix_state<C, T, K, E, Time, Key, \"\">, values: matrix_state<C, T, V, E, Time, Val, U>) {scale: float} -> (y: vector<L, V, E, Val, U>) where E: float",
        "Softmax attention over a cache. Its cost grows with the position; models without it have none.",
    ),
    row(
        "cross_entropy(logits: vector<L, N, E, Vocab, \"\"> | tensor<L.., N, E>, labels: tokens<L, Vocab> | tensor<L.., i64>) -> (loss: scalar<[], E, \"\"> | tensor<E>) where E: float",
        "The mean of `log Σ exp logits − logits[label]` over labels that are not −100.",
    ),
    row(
        "argmax(logits: vector<L, N, E, Vocab, U> | tensor<L.., N, E>) -> (ids: tokens<L, Vocab> | tensor<L.., i64>)",
        "The first position of the largest number.",
    ),
    row(
        "sum(x: vector<L, N, E, A, U> | tensor<L.., N, E>) -> (y: scalar<L, E, U> | tensor<L.., E>)",
        "`Σ_i x[i]`.",
    ),
    row(
        "dot(x: vector<L, N, E, A, U>, y: vector<L, N, E, A, V>) {units: product<U, V, W>} -> (z: scalar<L, E, W>)",
        "`Σ_i x[i] y[i]`, where the product of the units is declared.",
    ),
    row("read_state(state: state<L, N, E, A, U>) -> (x: vector<L, N, E, A, U>)", "A state as activations."),
    row("write_state(x: vector<L, N, E, A, U>) -> (state: state<L, N, E, A, U>)", "Activations as a state."),
    row(
        "rename_axis(x: vector<L, N, E, A, U>) -> (y: vector<L, N, E, B, U>)",
        "The same numbers along an axis of another name: where a model says that two axes are one.",
    ),
    row(
        "split_heads(x: vector<L, N, E, A, U>) {heads: integer} -> (y: vector<M, K, E, B, U>)",
        "An axis of `heads` runs of neighbours as a further leading axis.",
    ),
    row(
        "merge_heads(x: vector<M, K, E, B, U>) -> (y: vector<L, N, E, A, U>)",
        "The inverse of `split_heads`.",
    ),
];
