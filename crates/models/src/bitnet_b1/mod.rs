//! BitNet b1, the binary one (Wang et al. 2023, "BitNet: Scaling 1-bit Transformers for Large Language Models", arXiv
//! 2310.11453), in the shape of the decoder that BitNet b1.58 has: grouped heads, rotary positions, a gated unit with a
//! squared ReLU, norms before the output and the down projection.
//!
//! [`crate::decoder::binary`] has the layer in the common package's form and in the paper's; `"bitnet_form": "package" |
//! "paper"` (a key of ours, absent = package) chooses. The head stays in floats.

use std::ops::Deref;
use std::path::Path;

use serde_json::{Value, json};

use crate::architecture::Architecture;
use crate::bitnet::{BitNetConfig, Quantization};
use crate::config::Parsed;
use crate::decoder::config::decoder_answers;
use crate::decoder::{BinaryForm, Decoder, Linears};
use crate::error::Result;
use crate::json::Fields;
use crate::registry::Listed;
use crate::shell::choice;

/// The sizes of BitNet b1.58, and which form the layers have.
#[derive(Clone, Debug, PartialEq)]
pub struct BitNetB1Config {
    /// Sizes and the keys that the two have in common.
    pub base: BitNetConfig,
    /// Form of the linear layers.
    pub form: BinaryForm,
}

impl Deref for BitNetB1Config {
    type Target = BitNetConfig;

    fn deref(&self) -> &BitNetConfig {
        &self.base
    }
}

impl BitNetB1Config {
    /// `model_type` in `config.json`.
    pub const MODEL_TYPE: &'static str = "bitnet_b1";

    /// Reads a `config.json`; `path` is named in errors and warnings.
    ///
    /// # Errors
    /// [`crate::ModelError::Field`] as for BitNet b1.58, and for a `quantization_config`, which says how ternary weights lie.
    pub fn from_json(path: &Path, value: &Value) -> Result<Parsed<Self>> {
        let fields = Fields::new(path, value)?;
        if fields.get("quantization_config").is_some() {
            return Err(
                fields.fault("quantization_config", "nothing here: binary weights are stored as masters")
            );
        }
        let form = choice(&fields, "bitnet_form", &BinaryForm::NAMES)?;
        let mut shared = value.clone();
        if let Some(map) = shared.as_object_mut() {
            map.remove("bitnet_form");
            let masters = json!({ "quant_method": "bitnet", "quantization_mode": "online" });
            map.insert("quantization_config".into(), masters);
        }
        let mut parsed = BitNetConfig::from_json(path, &shared)?;
        parsed.config.quantization = Quantization::default();
        Ok(parsed.map(|base| Self { base, form }))
    }

    /// The reader of the table of architectures.
    ///
    /// # Errors
    /// Those of [`BitNetB1Config::from_json`].
    pub fn listed(path: &Path, value: &Value) -> Result<Parsed<Listed>> {
        Ok(Self::from_json(path, value)?.map(Listed::new))
    }

    /// What it has of the parts that decoders share.
    pub fn decoder(&self) -> Decoder<'_> {
        Decoder { linear: Linears::Binary(self.form), ..self.base.decoder() }
    }

    /// The `config.json`.
    pub fn to_json(&self) -> Value {
        let mut value = self.base.to_json();
        if let Some(map) = value.as_object_mut() {
            map.remove("quantization_config");
            map.insert("model_type".into(), Self::MODEL_TYPE.into());
            if self.form != BinaryForm::default() {
                map.insert("bitnet_form".into(), self.form.name().into());
            }
        }
        value.sort_all_objects();
        value
    }
}

impl Architecture for BitNetB1Config {
    decoder_answers!();
}
