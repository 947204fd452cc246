//! Mamba (Gu and Dao 2023, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", arXiv 2312.00752), as the
//! published models and `transformers`' `MambaForCausalLM` compute it.
//!
//! A block is u + mixer(RMSNorm(u)). The mixer, with I = expand · d inner channels, N states for each and R the rank of the
//! step sizes:
//!
//! ```text
//! x, z    = in_proj u                                   (2I, d)
//! x       = silu(conv(x) + b)                           causal, depthwise, 4 taps
//! δ, B, C = x_proj x                                    (R + 2N, I)
//! Δ       = softplus(dt_proj δ + b)                     (I, R)
//! h_t     = exp(Δ_t A) h_{t−1} + Δ_t x_t B_tᵀ           A = −exp(A_log), (I, N)
//! y_t     = h_t C_t + D x_t
//! out     = out_proj (y · silu(z))                      (d, I)
//! ```
//!
//! The sequence form is one fused [`selective_scan`](graph::ops::selective_scan), whose derivative computes the states again,
//! so that nothing of size T · I · N is ever in memory. A step carries h and the last inputs of the convolution.
//!
//! What the published code does beyond the paper, kept here: the input is discretised after Euler (Δ B) where the paper
//! writes a zero-order hold; the residual stream is f32 in any case; where a mask is given, masked positions are zero before
//! and after the convolution.
//!
//! [`keys`] and `backbone` are what Mamba-2 shares; [`original`] reads the configuration and the names of the checkpoints
//! that the authors published.

pub(crate) mod backbone;
mod config;
mod convolution;
pub mod keys;
mod mixer;
pub mod original;

pub use config::MambaConfig;
pub(crate) use convolution::{ConvNames, short_convolution};
pub use keys::Keys;
pub use mixer::MambaMixer;
pub(crate) use mixer::{fan_in, mask};

axes::axes! {
    /// Channels of the mixer, I.
    pub Inner;
    /// What enters the convolution and the gate side by side, 2I.
    pub Both;
    /// Step sizes of low rank, input maps and output maps side by side, R + 2N.
    pub Maps;
    /// Step sizes of low rank, R.
    pub Rank;
}
