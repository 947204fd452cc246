//! BitNet b1.58 (Ma et al. 2024, "The Era of 1-bit LLMs: All Large Language Models are in 1.58 Bits", arXiv 2402.17764;
//! Ma et al. 2025, "BitNet b1.58 2B4T Technical Report", arXiv 2504.12285) as the published checkpoints compute it.
//!
//! A decoder with grouped attention heads and rotary positions whose linear layers are ternary and whose embedding and
//! head are not: norms before the output and the down projection (sub-norms), a gated unit with a squared ReLU, int8
//! activations with one scale per token, ternary weights with one scale per matrix, no biases.

mod architecture;
mod config;
pub mod packed;

pub use crate::decoder::Activation;
pub use config::{BitNetConfig, Quantization, ScaleMeaning};

pub use crate::decoder::EMBEDDING;
