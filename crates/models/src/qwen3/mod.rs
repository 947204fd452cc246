//! Qwen3 (Yang et al. 2025, "Qwen3 Technical Report", arXiv 2505.09388): the decoder that ternary models such as Bonsai
//! are distilled into.
//!
//! Grouped heads with a norm of each head's queries and keys before they are turned, a gated unit with SiLU, no biases.
//! The linear layers are plain: floats in a folder, or matrices in blocks, some of which hold ternary weights
//! ([`Qwen3Config::formats`]).

mod architecture;
mod config;

pub use config::Qwen3Config;

pub use crate::decoder::EMBEDDING;
