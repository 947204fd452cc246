//! S5 (Smith, Warrington and Linderman 2022, "Simplified State Space Layers for Sequence Modeling", arXiv 2208.04933) as
//! `StackedEncoderModel` of lindermanlab/S5 computes it.
//!
//! One system of P complex states for all H features: Λ (P) diagonal, B (P, H), C (H, P), D (H), step Δ = exp(log_step) times
//! `step_rescale`. Zero-order hold: Λ̄ = e^(ΛΔ), B̄ = (Λ̄ − 1) B / Λ; bilinear: Λ̄ = (1 + ΛΔ/2) / (1 − ΛΔ/2),
//! B̄ = Δ B / (1 − ΛΔ/2). x_t = Λ̄ x_(t-1) + B̄ u_t, y = 2 Re(C x) + D u (without `conj_sym`: Re). A layer adds to its input
//! the gated gelu of y: `full_glu` W₁g ⊙ σ(W₂g), `half_glu1` g ⊙ σ(W₂g), `half_glu2` y ⊙ σ(W₂g), `gelu` g.
//!
//! What the published code does, kept here: flax's gelu is the tanh approximation, its layer norm has eps 1e-6, dense weights
//! are `kernel` (in, out), `clip_eigs` holds the real part of Λ below −1e-4, in a bidirectional layer the second readout
//! (`C2`) sees a scan from the end.
//!
//! The scan: with Λ̄ = r e^(iθ), g_t = e^(-iθt) x_t obeys g_t = r g_(t-1) + e^(-iθt) u_t, whose gate is real, so that real and
//! imaginary part are 2P channels of one real linear scan, parallel over time and channels. The angle θt loses digits with t
//! (in f32 one in a thousand at some 10⁴ positions); a stream begins anew with each piece.
//!
//! Ours: `d_output` puts a classifier on the mean, `vocab_size` an embedding in the encoder's place ([`crate::encoder`]).
//! Stream: P complex states a layer (`ssm_state.LAYER`). With `batchnorm` the published layers need statistics of a training
//! run; they are refused.

mod architecture;
mod config;
mod mixer;

pub use config::{S5Activation, S5Config};
pub use mixer::S5Layer;
