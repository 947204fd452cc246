//! Mamba-2 (Dao and Gu 2024, "Transformers are SSMs: Generalized Models and Efficient Algorithms Through Structured State
//! Space Duality", arXiv 2405.21060), as the published models and `transformers`' `Mamba2ForCausalLM` (version 5) compute it.
//!
//! A block is u + mixer(RMSNorm(u)). The mixer, with H heads of width P (I = H · P), N states and G groups of heads that share
//! the maps B and C:
//!
//! ```text
//! z, xBC, δ = in_proj u                                 (I + (I + 2GN) + H, d)
//! x, B, C   = silu(conv(xBC) + b)                       causal, depthwise, 4 taps
//! Δ         = clamp(softplus(δ + dt_bias))              a number for each head
//! h_t       = exp(Δ_t a) h_{t−1} + Δ_t x_t B_tᵀ         a = −exp(A_log), a number for each head; h (P, N)
//! y_t       = h_t C_t + D x_t
//! out       = out_proj RMSNorm(y · silu(z))             (d, I); the norm is over each group's channels
//! ```
//!
//! The sequence form is one fused [`ssd`](graph::ops::ssd), whose kernel is the recurrence with each head's states in cache; the
//! paper's form in chunks of products is not had. A step carries h and the last inputs of the convolution.
//!
//! What is followed where references differ: the gated norm is over each group apart, as `mamba_ssm` and version 5 of
//! `transformers` have it (version 4 normalises over all channels; the same for one group); `time_step_limit` holds in the
//! step as in the sequence, where both references leave it out of the step, which is harmless for (0, ∞); where a mask is
//! given, masked positions are zero before `in_proj` and after the convolution, also for a single sequence.

mod config;
mod mixer;

pub use config::Mamba2Config;
pub use mixer::Mamba2Mixer;

axes::axes! {
    /// Channels of the mixer, I.
    pub Inner;
    /// Gate, convolved channels and step sizes side by side, 2I + 2GN + H.
    pub All;
}
