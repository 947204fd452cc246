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

/// A causal language model of these sizes.
pub(crate) fn sized(sizes: &crate::registry::Sizes<'_>) -> serde_json::Value {
    let (d, wide) = (sizes.hidden_size, sizes.intermediate_size);
    let wide = if wide > 0 { wide } else { 2 * d };
    serde_json::json!({
        "model_type": "mega",
        "architectures": ["MegaForCausalLM"],
        "is_decoder": true,
        "bidirectional": false,
        "vocab_size": sizes.vocab_size,
        "hidden_size": d,
        "num_hidden_layers": sizes.num_hidden_layers,
        "intermediate_size": wide,
        "nffn_hidden_size": wide,
        // A multiple of two: positions turn pairs.
        "shared_representation_size": (d / 2).next_multiple_of(2),
        "ema_projection_size": 16,
        "relative_positional_bias": "rotary",
        "max_positions": sizes.positions.max(1),
        "use_chunking": false,
        "chunk_size": -1,
        "initializer_range": sizes.initializer_range,
        "linear": if sizes.linear.is_empty() { "full" } else { sizes.linear },
        "pad_token_id": null,
        "bos_token_id": null,
        "eos_token_id": sizes.eos_token_id,
    })
}
