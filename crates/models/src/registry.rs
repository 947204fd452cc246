//! The architectures that are listed in one table, each with one line: what a `config.json` of their `model_type` is read by.
//!
//! [`Listed`] is the configuration of any of them. An architecture joins by a folder of its own with the configuration, its
//! [`Architecture`], and a line in [`TABLE`].

use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::architecture::Architecture;
use crate::config::Parsed;
use crate::error::Result;

/// A line of the table.
pub struct Entry {
    /// `model_type` in `config.json`.
    pub model_type: &'static str,
    /// Reads such a `config.json`.
    pub read: fn(&Path, &Value) -> Result<Parsed<Listed>>,
    /// A `config.json` of these sizes: what a training run starts from.
    pub sized: fn(&Sizes<'_>) -> Value,
}

/// The sizes that all architectures have, in words that are theirs alike.
#[derive(Clone, Copy, Debug)]
pub struct Sizes<'a> {
    /// Tokens.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Heads, where there are any.
    pub num_heads: usize,
    /// Width of the channel mixer; 0: the architecture's own share of `hidden_size`.
    pub intermediate_size: usize,
    /// Longest sequence, where positions are learned.
    pub positions: usize,
    /// What projections are: a name of [`crate::frame::LinearKind`]; empty: the architecture's own.
    pub linear: &'a str,
    /// Token mixers of a hybrid.
    pub blocks: &'a [String],
    /// Whether the head uses the embedding's weights.
    pub tie_word_embeddings: bool,
    /// Standard deviation of initial weights.
    pub initializer_range: f64,
    /// The token that ends a text.
    pub eos_token_id: Option<u32>,
}

/// A `config.json` of an architecture by its `model_type`, with the sizes given; nothing for a name that is none.
pub fn sized(model_type: &str, sizes: &Sizes<'_>) -> Option<Value> {
    let made = match model_type {
        "bitnet" | "qwen3" => {
            let heads = sizes.num_heads.max(1);
            let wide =
                if sizes.intermediate_size > 0 { sizes.intermediate_size } else { 4 * sizes.hidden_size };
            let mut made = json!({
                "model_type": model_type,
                "vocab_size": sizes.vocab_size,
                "hidden_size": sizes.hidden_size,
                "num_hidden_layers": sizes.num_hidden_layers,
                "num_attention_heads": heads,
                "num_key_value_heads": heads,
                "head_dim": sizes.hidden_size / heads,
                "intermediate_size": wide,
                "max_position_embeddings": sizes.positions,
                "tie_word_embeddings": sizes.tie_word_embeddings,
                "initializer_range": sizes.initializer_range,
                "bos_token_id": null,
                "eos_token_id": sizes.eos_token_id,
            });
            if model_type == "bitnet" {
                made["quantization_config"] = json!({"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online"});
            }
            made
        }
        other => (entry(other)?.sized)(sizes),
    };
    Some(made)
}

/// Every listed architecture.
pub static TABLE: &[Entry] = &[Entry {
    model_type: crate::mega::MegaConfig::MODEL_TYPE,
    read: |path, value| Ok(crate::mega::MegaConfig::from_json(path, value)?.map(Listed::new)),
    sized: crate::mega::sized,
}];

/// The line of a `model_type`.
pub fn entry(model_type: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.model_type == model_type)
}

/// The configuration of a listed architecture.
#[derive(Clone)]
pub struct Listed(Arc<dyn Architecture + Send + Sync>);

impl Listed {
    /// Any architecture.
    pub fn new(architecture: impl Architecture + Send + Sync + 'static) -> Self {
        Self(Arc::new(architecture))
    }
}

impl Deref for Listed {
    type Target = dyn Architecture + Send + Sync;

    fn deref(&self) -> &(dyn Architecture + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Debug for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.to_json())
    }
}

/// Two configurations are equal where they are written alike.
impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        self.0.model_type() == other.0.model_type() && self.0.to_json() == other.0.to_json()
    }
}
