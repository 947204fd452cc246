//! Performer (Choromanski et al. 2021, "Rethinking Attention with Performers", arXiv 2009.14794) as the PyPI package
//! `performer-pytorch` computes it.
//!
//! Softmax attention is approximated by linear attention on random features (FAVOR+). With a fixed matrix W of M orthogonal
//! rows and x' = x d^(−1/4): φ(x) = M^(−1/2) (exp(W x' − |x'|²/2 − c) + 1e-4) for a stabiliser c, or, with
//! `generalized_attention`, φ(x) = relu(W x') + 1e-3. Then out_t = φ(q_t)ᵀ S_t / (φ(q_t) · (z_t + 1e-6)) with the running
//! sums of linear attention; the form over all positions has no 1e-6.
//!
//! Deviations of the package that are followed: c is the maximum of W x' for a query, and for keys one maximum over all
//! positions and features of a head, without a derivative. So the package's causal form looks ahead through its
//! stabiliser: c cancels but for the 1e-4, and logits of a prefix differ by 1e-4 to 1e-3. A padding mask zeroes values
//! only. `redraw` of W during training is not done: it is a buffer.
//!
//! A stream cannot look ahead. Its stabiliser is the largest W x' *so far*: where it grows, what was summed before is scaled
//! by exp(c_{t−1} − c_t), while the part of the 1e-4, a sum of values alone, is kept apart and is not. `"stabilizer":
//! "running"` (a key of ours, absent = "all") makes the whole-sequence form do the same, so that both forms agree.

mod architecture;
mod config;
mod mixer;

pub use config::{PerformerConfig, Stabilizer};
pub use mixer::{Favor, Features};
