//! Model files and architectures.
//!
//! This half is the file side: tensor files ([`safetensors`]), model folders in the layout of the Hugging Face
//! libraries ([`folder`], [`stream`]), bundles of packed weights ([`bundle`]), configurations ([`config`]) with the
//! parameters they imply ([`parameters`]) and the published sizes ([`shapes`]), and what turns logits into text
//! ([`generation`], [`tokenizer`]). Everything read from disk is untrusted: it is checked once, where it enters, and
//! every fault is a [`ModelError`] that names the file, the field, and the remedy.

pub mod architecture;
pub mod article;
pub mod atomic;
pub mod bitnet;
pub mod bitnet_b1;
pub mod bundle;
pub mod chat;
pub mod config;
pub mod decoder;
pub mod encoder;
mod ends;
pub mod error;
pub mod exchange;
pub mod folder;
pub mod forms;
pub mod frame;
pub mod generation;
pub mod gguf;
pub mod hybrid;
pub mod json;
pub mod linear_attention;
mod long_kernels;
pub mod mamba;
pub mod mamba2;
mod mapped;
pub mod matmulfree;
pub mod mega;
mod norms;
pub mod parameters;
pub mod performer;
pub mod qwen3;
pub mod registry;
pub mod rng;
pub mod rope;
pub mod s4;
pub mod s5;
pub mod safetensors;
pub mod shapes;
pub mod shell;
pub mod sized;
pub mod stream;
pub mod tokenizer;
mod torch_file;
pub mod transformer;
pub mod xlstm;
pub mod xlstm_orig;

pub use error::{ModelError, Result};
