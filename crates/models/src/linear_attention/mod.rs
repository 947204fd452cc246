//! Linear attention (Katharopoulos et al. 2020, "Transformers are RNNs: Fast Autoregressive Transformers with Linear
//! Attention", arXiv 2006.16236) as the authors' library `fast-transformers` computes it.
//!
//! With φ(x) = elu(x) + 1 a head gives out_t = φ(q_t)ᵀ S_t / (φ(q_t) · z_t + eps), S_t = Σ_{s ≤ t} φ(k_s) v_sᵀ and
//! z_t = Σ_{s ≤ t} φ(k_s): no softmax, so the sums are a state of constant size. Here z is one more column of S, since it
//! is what a value of 1 adds up to.
//!
//! A block normalises after its residuals (x = LN(x + attention), x = LN(x + mlp)), and one more norm stands before the
//! head; positions are learned and added to the embedding. The library's eps is added to the normaliser and is no floor
//! under it. A padding mask zeroes φ(k), in the causal form too. Without `causal` the sums run over all positions, and
//! there is no streaming form.

mod architecture;
mod config;
pub(crate) mod mixer;

pub use config::{Activation, LinearAttentionConfig};
pub use mixer::{Names, SoftmaxFree};
