//! MEGA (Ma et al. 2022, "Mega: Moving Average Equipped Gated Attention", arXiv 2209.10655) as the `transformers` library
//! computes it (`MegaForCausalLM`, `MegaForMaskedLM`): causal or bidirectional, over the whole sequence or in chunks.
//!
//! A block, on x (B, T, d), with x̂ the normed input:
//! - damped moving average of each channel in n dimensions: p = σ(δ), q = 1 − p σ(α), K_l = Σ_n p β qˡ γ √(1/n), computed as a
//!   convolution with that kernel, in a bidirectional model one for each direction; e = silu(K ∗ x̂ + ω x̂);
//! - u, z r, h = split(W_mx e): update gate u = σ(u), shared representation z and output gate r behind silu;
//! - q, k = z ⊙ κ + μ (two rows each), v = silu(W_v x̂), one head: softmax(q kᵀ / √z + bias), or elementwise laplace or relu²
//!   of q kᵀ / length + bias; in chunks a query sees its own chunk alone;
//! - ĥ = silu(h + W_h (attention ⊙ r)), x + u ⊙ (ĥ − x); then a feed-forward layer with a norm and a residual of its own.
//!
//! The rotary bias Σ_k a_m b_n of vectors turned by their positions is a product like q kᵀ, so it is computed as further
//! columns of queries and keys. In chunks positions begin anew with each chunk.
//!
//! What the library does beside the paper, kept here: a dense layer with tanh before the tied head (which has a bias), no
//! final norm; `rmsnorm` multiplies by its weight and normalises nothing (its product is thrown away there); the loss of a
//! `MegaForMaskedLM` is not shifted; laplace and relu² divide by the number of keys that a causal query sees, else by the
//! number of real tokens of the chunk (of the sequence, without chunks). Its dropout of the feed-forward layer
//! (`nffn_activation_dropout_prob`, 0.1 where absent) is never applied here.
//!
//! Stream: the state of the moving average (d, n) of each layer, and keys and values; in chunks those of the running chunk
//! alone, so that the state has a constant size.

mod architecture;
mod attention;
pub(crate) mod config;
mod ema;
mod graphs;

pub use config::{MegaActivation, MegaConfig, MegaNorm, RelativeBias};
