//! xLSTM with matrix memories alone, as xLSTM 7B is built (Beck et al. 2025, "xLSTM 7B: A Recurrent LLM for Fast and Efficient
//! Inference", arXiv:2503.13427; the memory of Beck et al. 2024, arXiv:2405.04517) and as `transformers` computes it.
//!
//! A block, with N the root-mean-square norm and [`graph::ops::mlstm`] the memory:
//!
//! y = x + W_out (σ(W_o N x) · LN_head(mLSTM(W_q N x, W_k N x, W_v N x, ĩ, f̃))), ĩ = cap(W_i N x + b_i), f̃ = cap(W_f N x + b_f)
//! out = y + W_down (silu(W_gate N y) · W_up N y)
//!
//! with cap(x) = 15 tanh(x / 15), and 30 tanh(x / 30) over the logits. LN_head subtracts the mean of each head.
//!
//! # Where the published code is followed
//! * The stabiliser m begins at 0, not at −∞: through the eps of the normaliser that shows in the seventh digit.
//! * The widths of queries and values are `int(hidden_size · factor)`. The cache of `transformers` rounds them up to 64, so
//!   that its own generation needs multiples of 64; here any width that the heads divide is taken.
//! * `weight_mode = "fused"` has q, k, v and the output gate in one matrix, both gates in one, and gate and value of the
//!   gated unit in one; `"single"` has them apart.
//! * `add_out_norm` is not read there: the norm before the head is always computed.
//! * Initial values: gates start at 0 with the biases −10 and 3 … 6. There the gate of the gated unit is zero too, since its name
//!   holds "gate"; here it is drawn as its value is.

mod architecture;
mod config;
mod mixer;

pub use config::{WeightMode, XlstmConfig};
pub use mixer::Mlstm;
pub(crate) use mixer::{small, split_heads, wang};
