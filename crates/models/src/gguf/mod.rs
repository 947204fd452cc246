//! Models in GGUF files.

mod meta;
mod pre;
pub mod tokenizer;
