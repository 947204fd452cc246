//! S4 (Gu, Goel and Ré 2021, "Efficiently Modeling Long Sequences with Structured State Spaces", arXiv 2111.00396) and S4D
//! (Gu et al. 2022, "On the Parameterization and Initialization of Diagonal State Space Models", arXiv 2206.11893) as
//! `models/s4/s4.py` (`S4Block`, modes `dplr` and `diag`) and `models/s4/s4d.py` (`s4d`) of state-spaces/s4 compute them.
//!
//! Each of the H channels is x' = A x + B u, y = 2 Re(C x) + D u with N/2 complex states (the other half are their
//! conjugates): A = −exp(A_real) − i A_imag (s4d: + i), less P P* in DPLR form; dt = exp(inv_dt).
//! - diag, zero-order hold: Ā = e^(dt A), B̄ = (Ā − 1) B / A; bilinear: Ā = (1 + dt A / 2) / (1 − dt A / 2),
//!   B̄ = dt B / (1 − dt A / 2). Kernel K_l = 2 Re Σ C B̄ Āˡ.
//! - dplr, bilinear: the kernel's transform at the roots of unity ω of length `l_kernel`, with s = (1 + ω) / 2 and
//!   ρ(v) = Σ v / ((1 − ω) − s dt A) over states and conjugates: ρ(CB) − s ρ(P̄B) ρ(CP) / (1 + s ρ(P̄P)), each times dt. That
//!   is the published Cauchy kernel with Woodbury's correction, multiplied out so that nothing is infinite at ω = −1.
//! - the convolution, then GLU(W gelu(y)) with the exact gelu.
//!
//! What the published code does, kept here: the stored C of a DPLR block is C̃ = C (I − Ā^l_kernel); the convolution takes
//! `l_max` taps of the kernel and no more (so a longer sequence sees a cut kernel, while the recurrence does not).
//! `l_kernel` is a buffer of the file there; it is a key of ours, where absent `l_max` doubled until it holds `L`.
//!
//! Stream: N/2 complex states a channel (`ssm_state.LAYER`, pairs of real and imaginary part). Diagonal forms are cut into
//! chunks anywhere; the DPLR step costs O(N) by the same correction, and the readout C of C̃ is solved for once
//! (`NAME.readout` of the prepared form).
//!
//! Ours: with `n_layers` such blocks stand in residual branches behind an encoder (names of the published example), with
//! `d_output` a classifier on the mean: [`crate::encoder`].

mod architecture;
mod config;
mod hippo;
mod kernel;
mod mixer;

pub use config::{Discretization, S4Config, S4Kind};
pub(crate) use hippo::{HalfHippo, half_hippo};
pub use mixer::S4Block;
