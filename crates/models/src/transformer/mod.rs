//! The plain Transformer with softmax attention that the other architectures are compared with: the decoder that Touvron et
//! al. 2023 ("LLaMA", arXiv 2302.13971) made common, of Vaswani et al. 2017 ("Attention is all you need", arXiv 1706.03762).
//!
//! RMS norms before attention and before the gated unit (SiLU), rotary positions, grouped heads where
//! `num_key_value_heads` says so, no biases, a cache of keys and values that grows with the text. `linear` swaps the
//! projections in the blocks; the head stays in floats.

mod mixer;

pub use mixer::SoftmaxAttention;

use std::ops::Deref;
use std::path::Path;

use serde_json::Value;

use crate::architecture::Architecture;
use crate::config::Parsed;
use crate::decoder::config::decoder_answers;
use crate::decoder::{Decoder, Linears};
use crate::error::Result;
use crate::frame::LinearKind;
use crate::json::Fields;
use crate::qwen3::Qwen3Config;
use crate::registry::Listed;
use crate::shell::choice;

/// The keys of Qwen3, and what projections are.
#[derive(Clone, Debug, PartialEq)]
pub struct TransformerConfig {
    /// Sizes and the keys that the two have in common.
    pub base: Qwen3Config,
    /// What projections are.
    pub linear: LinearKind,
}

impl Deref for TransformerConfig {
    type Target = Qwen3Config;

    fn deref(&self) -> &Qwen3Config {
        &self.base
    }
}

impl TransformerConfig {
    /// `model_type` in `config.json`.
    pub const MODEL_TYPE: &'static str = "transformer";

    /// Reads a `config.json`; `path` is named in errors and warnings. `head_dim` is `hidden_size / num_attention_heads` where
    /// it is absent.
    ///
    /// # Errors
    /// [`crate::ModelError::Field`] as for Qwen3.
    pub fn from_json(path: &Path, value: &Value) -> Result<Parsed<Self>> {
        let fields = Fields::new(path, value)?;
        let linear = choice(&fields, "linear", &LinearKind::NAMES)?;
        let mut shared = value.clone();
        let number = |key: &str| value.get(key).and_then(Value::as_u64);
        if let Some(map) = shared.as_object_mut() {
            map.remove("linear");
            if let (None, Some(width), Some(heads)) =
                (value.get("head_dim"), number("hidden_size"), number("num_attention_heads"))
            {
                map.insert("head_dim".into(), (width / heads.max(1)).max(1).into());
            }
        }
        let mut parsed = Qwen3Config::from_json(path, &shared)?;
        parsed.config.extra.remove("architectures");
        Ok(parsed.map(|base| Self { base, linear }))
    }

    /// The reader of the table of architectures.
    ///
    /// # Errors
    /// Those of [`TransformerConfig::from_json`].
    pub fn listed(path: &Path, value: &Value) -> Result<Parsed<Listed>> {
        Ok(Self::from_json(path, value)?.map(Listed::new))
    }

    /// What it has of the parts that decoders share.
    pub fn decoder(&self) -> Decoder<'_> {
        Decoder { head_norms: false, linear: Linears::Normed(self.linear), ..self.base.decoder() }
    }

    /// The `config.json`.
    pub fn to_json(&self) -> Value {
        let mut value = self.base.to_json();
        if let Some(map) = value.as_object_mut() {
            map.insert("model_type".into(), Self::MODEL_TYPE.into());
            if self.linear.is_quantized() {
                map.insert("linear".into(), self.linear.name().into());
            }
        }
        value.sort_all_objects();
        value
    }
}

impl Architecture for TransformerConfig {
    decoder_answers!();
}
