//! Models in GGUF files: llama.cpp's, Microsoft's BitNet's, and our own.
//!
//! | architecture | model | gate |
//! |---|---|---|
//! | `bitnet` | BitNet b1.58 | `bitnet.hidden_act`, or SiLU, which is what llama.cpp computes whatever the key says |
//! | `bitnet-b1.58`, `bitnet-25` | BitNet b1.58 of Microsoft's programs | squared ReLU, or `….hidden_act` |
//! | `qwen3` | Qwen3, and what is distilled into it (ternary models with a scale for every 64 weights) | SiLU |
//! | `matmulfree` | the MatMul-free language model | |
//!
//! BitNet's keys are llama.cpp's (`bitnet.block_count`, `.embedding_length`, `.feed_forward_length`,
//! `.attention.head_count`, `.attention.head_count_kv`, `.attention.layer_norm_rms_epsilon`, `.rope.freq_base`,
//! `.context_length`, `.vocab_size`), and ours: `bitnet.hidden_act` ("relu2" or "silu"). Files written here have the whole
//! `config.json` under `fidelity.config` too, which for `matmulfree` is where the configuration is read from (its other
//! keys, named as BitNet's, are for other programs to show).
//!
//! A projection is a tensor of −d, 0 and d in any type, times the number in the tensor `….scale` beside it, if there is
//! one. Files written here have d = 1 in the tensor and the scale beside it, in f32, so that no f16 rounds it. A bundle
//! divides by its scale: where a reciprocal does not lead back to the divisor, that is kept in `fidelity.scales.*`.
//!
//! Qwen3's keys are llama.cpp's too, with `qwen3.attention.key_length` and `.value_length` (equal here) for the width of a
//! head. Its matrices are none of these: they lie in any block format, each in its own, and are multiplied with where they
//! lie ([`Qwen3Config::formats`](crate::qwen3::Qwen3Config::formats)), so scales may differ from block to block. F32
//! matrices are used in place too; I2_S, and blocks that have a scale beside them, are decoded. Positions that are scaled
//! are refused for every decoder.
//!
//! [`GgufModel`] reads, [`write_model`] writes, [`tokenizer`] has the vocabulary both ways.

mod config;
mod meta;
mod model;
pub mod names;
mod pre;
pub mod tokenizer;
mod vocabulary;
mod write;

pub use model::{CONFIG, FILES, GgufModel, Matrix, SCALES, Scale};
pub use write::{GgufOptions, write_model};
