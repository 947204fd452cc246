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
        "block_embedding(ids: tensor<L.., i64>, table: tensor<N, R, i8>) {format: string, columns: integer} -> (x: tensor<L.., K, E>) where E: float",
        "The rows that the ids name of a table in blocks of `format`, `columns` numbers each.",
    ),
    row(
        "rotate(x: tensor<B, T, H, D, E>, cos: tensor<T, F, E>, sin: tensor<T, F, E>) -> (y: tensor<B, T, H, D, E>) where E: float",
        "`rope` of heads with the angles given: a row of half the width for each position.",
    ),
    row(
        "cached_attention(query: tensor<B, T, H, D, E>, key: tensor<B, T, G, D, E>, value: tensor<B, T, G, D, E>, keys: tensor<B, S, G, D, E>, values: tensor<B, S, G, D, E>, position: tensor<i64>) {scale: float} -> (y: tensor<B, T, H, D, E>, next_keys: tensor<B, S, G, D, E>, next_values: tensor<B, S, G, D, E>) where E: float",
        "Keys and values are written to the cache from `position` on; the query at place p attends to places 0 … p.",
    ),
    row(
        "cross_entropy(logits: vector<L, N, E, Vocab, \"\"> | tensor<L.., N, E>, labels: tokens<L, Vocab> | tensor<L.., i64>) -> (loss: scalar<[], E, \"\"> | tensor<E>, optional log_sums: tensor<L.., E>) where E: float",
        "The mean of `log Σ exp logits − logits[label]` over labels that are not −100. A second result is `log Σ exp logits`.",
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
