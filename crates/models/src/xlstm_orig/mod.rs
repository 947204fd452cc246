//! The first xLSTM language model: blocks with a matrix memory and blocks with a scalar memory (Beck et al. 2024, "xLSTM:
//! Extended Long Short-Term Memory", arXiv:2405.04517, figures 9 and 10), as the PyPI package `xlstm` computes it
//! (`xLSTMLMModel` with the `vanilla` scalar memory).
//!
//! A matrix block, with N = LayerNorm and [`graph::ops::mlstm`] the memory:
//!
//! a, z = halves of W_up N x; s = silu(conv4(a)); q, k = W_q s, W_k s; v = W_v a; ĩ, f̃ = W [q k v] + b
//! out = x + W_down ((LN_head(mLSTM(q, k, v, ĩ, f̃)) + skip · s) · silu(z))
//!
//! A scalar block, with [`graph::ops::slstm`] the memory:
//!
//! s = silu(conv4(N x)); y = x + LN_head(sLSTM(W_i s, W_f s, W_z N x, W_o N x)); out = y + W_down (gelu(gate) · up),
//! gate and up the halves of W_up N y
//!
//! W_q, W_k, W_v are block-diagonal (blocks of 4), the four of the scalar memory one block for each head.
//!
//! # Where the package is followed
//! * The module `fgate` of the scalar memory feeds the *input* gate, and `igate` the *forget* gate.
//! * `_recurrent_kernel_` (H, 4 D, D) is gate, to, from; `_bias_` is gate, head, channel, flat.
//! * The weight of a norm is what is added to 1.
//! * The whole-sequence form of the matrix memory has nothing before it, so that its stabiliser begins at −∞; the package's
//!   step begins at 0, and so do the states here. Through eps that shows in the seventh digit.
//! * Keys are divided by √D there, queries here: only the states differ, by that factor.
//!
//! # What is ours
//! `config.json` of this folder is no file of the package, which has none: its keys are the arguments of its configuration.
//! Deeper blocks forget in other ways at first, as the package draws them.

mod architecture;
mod config;
mod matrix;
mod scalar;

pub use config::{Act, XlstmOrigConfig};
pub use matrix::MatrixMixer;
pub use scalar::ScalarMixer;
