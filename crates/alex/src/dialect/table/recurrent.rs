//! Recurrences: single steps with a state of constant size, and whole sequences.

use super::{Row, row};

pub(super) const ROWS: &[Row] = &[
    row(
        "ssm.state_update(state: state<L, N, E, A, U> | tensor<N, E>, input: scalar<L, E, V> | tensor<E>, a: coefficients<N, E, A, U, U> | tensor<N, E>, b: coefficients<N, E, A, V, U> | tensor<N, E>) -> (next: state<L, N, E, A, U> | tensor<N, E>) where E: float",
        "`next[i] = a[i] state[i] + b[i] input`: one step of a diagonal state space (Gu et al. 2022).",
    ),
    row(
        "ssm.output(state: state<L, N, E, A, U> | tensor<N, E>, c: coefficients<N, E, A, U, W> | tensor<N, E>) -> (y: scalar<L, E, W> | tensor<E>) where E: float",
        "`y = Σ_i c[i] state[i]`.",
    ),
    row(
        "ssm.scan(state: state<L, N, E, A, U> | tensor<N, E>, inputs: vector<L, T, E, Time, V> | tensor<T, E>, a: coefficients<N, E, A, U, U> | tensor<N, E>, b: coefficients<N, E, A, V, U> | tensor<N, E>, c: coefficients<N, E, A, U, W> | tensor<N, E>) -> (outputs: vector<L, T, E, Time, W> | tensor<T, E>, last: state<L, N, E, A, U> | tensor<N, E>) where E: float",
        "`ssm.state_update` and `ssm.output` for each input along the time axis.",
    ),
    row(
        "selective_scan(state: matrix_state<L, D, N, E, Channel, A, U> | tensor<L.., D, N, E>, x: vector<M, D, E, Channel, U> | tensor<M.., D, E>, step: vector<M, D, E, Channel, \"\"> | tensor<M.., D, E>, a: matrix<D, N, E, Channel, A, U, U> | tensor<D, N, E>, b: vector<M, N, E, A, \"\"> | tensor<M.., N, E>, c: vector<M, N, E, A, \"\"> | tensor<M.., N, E>) -> (y: vector<M, D, E, Channel, U> | tensor<M.., D, E>, last: matrix_state<L, D, N, E, Channel, A, U> | tensor<L.., D, N, E>, optional borders: tensor<L.., R, D, E>) where E: float",
        "`h ← exp(step a) h + step b x`, `y = c h`, along the last leading axis of `x` (Mamba: Gu and Dao 2023). A third result is what the derivative starts from.",
    ),
    row(
        "linear_scan(state: state<L, N, E, A, U> | tensor<L.., N, E>, decay: vector<M, N, E, A, \"\"> | tensor<M.., N, E>, input: vector<M, N, E, A, U> | tensor<M.., N, E>) -> (states: vector<M, N, E, A, U> | tensor<M.., N, E>, last: state<L, N, E, A, U> | tensor<L.., N, E>) where E: float",
        "`h ← decay h + input`, along the last leading axis of `decay`.",
    ),
    row(
        "mlgru.step(state: state<L, N, E, A, U> | tensor<L.., N, E>, forget: vector<L, N, E, A, \"\"> | tensor<L.., N, E>, candidate: vector<L, N, E, A, U> | tensor<L.., N, E>, gate: vector<L, N, E, A, \"\"> | tensor<L.., N, E>) -> (output: vector<L, N, E, A, U> | tensor<L.., N, E>, next: state<L, N, E, A, U> | tensor<L.., N, E>) where E: float",
        "`next = forget state + (1 − forget) candidate`, `output = gate next` (Zhu et al. 2024).",
    ),
    row(
        "mlgru.scan(state: state<L, N, E, A, U> | tensor<L.., N, E>, forget: vector<M, N, E, A, \"\"> | tensor<M.., N, E>, candidate: vector<M, N, E, A, U> | tensor<M.., N, E>, gate: vector<M, N, E, A, \"\"> | tensor<M.., N, E>) -> (outputs: vector<M, N, E, A, U> | tensor<M.., N, E>, last: state<L, N, E, A, U> | tensor<L.., N, E>) where E: float",
        "`mlgru.step` along the last leading axis of `forget`.",
    ),
    row(
        "linear_attention.state_update(state: matrix_state<L, K, V, E, Key, Val, U> | tensor<L.., K, V, E>, normalizer: state<L, K, E, Key, \"\"> | tensor<L.., K, E>, key: vector<L, K, E, Key, \"\"> | tensor<L.., K, E>, value: vector<L, V, E, Val, U> | tensor<L.., V, E>, optional decay: scalar<L, E, \"\"> | tensor<L.., E>) -> (next: matrix_state<L, K, V, E, Key, Val, U> | tensor<L.., K, V, E>, next_normalizer: state<L, K, E, Key, \"\"> | tensor<L.., K, E>) where E: float",
        "`S ← decay S + key valueᵀ`, `z ← decay z + key` (Katharopoulos et al. 2020); without `decay`, it is 1.",
    ),
    row(
        "linear_attention.output(state: matrix_state<L, K, V, E, Key, Val, U> | tensor<L.., K, V, E>, normalizer: state<L, K, E, Key, \"\"> | tensor<L.., K, E>, query: vector<L, K, E, Key, \"\"> | tensor<L.., K, E>) {eps: float} -> (y: vector<L, V, E, Val, U> | tensor<L.., V, E>) where E: float",
        "`y = Sᵀ query / max(z · query, eps)`.",
    ),
    row(
        "linear_attention.scan(state: matrix_state<L, K, V, E, Key, Val, U>, normalizer: state<L, K, E, Key, \"\">, query: vector<M, K, E, Key, \"\">, key: vector<M, K, E, Key, \"\">, value: vector<M, V, E, Val, U>) {eps: float} -> (outputs: vector<M, V, E, Val, U>, last: matrix_state<L, K, V, E, Key, Val, U>, last_normalizer: state<L, K, E, Key, \"\">) where E: float",
        "Update and output along the last leading axis of `query`.",
    ),
    row(
        "short_convolution(history: matrix_state<L, K, N, E, Tap, A, U>, x: vector<M, N, E, A, U>, kernel: matrix<N, K, E, A, Tap, U, V>) -> (y: vector<M, N, E, A, V>, last: matrix_state<L, K, N, E, Tap, A, U>) where E: float",
        "A causal convolution of each channel along the last leading axis of `x`; `history` holds the inputs before it.",
    ),
];
