//! The file side of the crate against valid, damaged and hostile files, and against the golden models.

#![allow(missing_docs)]

mod bitnet;
mod config;
mod folder;
mod generation;
mod gguf;
mod gguf_tokenizer;
mod golden;
mod safetensors;
mod torch_file;
