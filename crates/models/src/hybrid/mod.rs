//! Models of any mixers in any order: `"blocks": ["mlgru", "linear_attention", "mlgru", "attention", …]`.
//!
//! A block is h + mixer(RMSNorm(h)), then, where `intermediate_size` is given, h + down(silu(gate) · up) of RMSNorm(h): the
//! frame that Lieber et al. 2024 ("Jamba", arXiv 2403.19887) and its kin put attention and state-space layers into. Every
//! mixer that [`mixers::MIXERS`] lists may stand in it, and `linear` swaps all projections at once. A mixer's own choices are
//! under its name in `"mixers"`, such as `{"performer": {"nb_features": 64}}`.

mod architecture;
mod config;
pub mod mixers;

pub use config::HybridConfig;
