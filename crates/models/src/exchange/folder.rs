//! A model folder as a source: master weights that are quantised, or BitNet's packed layout.
//!
//! The `weight_scale` of a packed matrix multiplies or divides ([`ScaleMeaning`]), and is passed on as what it is.

use std::borrow::Cow;

use barewire::gguf::GgmlType;

use super::Exchange;
use crate::architecture::ModelConfig;
use crate::bitnet::ScaleMeaning;
use crate::bundle::{COMPANIONS, Quantizer};
use crate::error::{ModelError, Result};
use crate::folder::ModelFolder;
use crate::gguf::Scale;
use crate::safetensors::Dtype;

/// A folder with what quantises its master weights.
pub struct FolderSource<'a> {
    folder: &'a ModelFolder,
    config: ModelConfig,
    quantizer: &'a mut dyn Quantizer,
}

impl<'a> FolderSource<'a> {
    /// A folder whose configuration has been read.
    pub fn new(folder: &'a ModelFolder, config: ModelConfig, quantizer: &'a mut dyn Quantizer) -> Self {
        Self { folder, config, quantizer }
    }

    /// What the scale of packed matrices means, if they are packed.
    fn packing(&self) -> Option<ScaleMeaning> {
        match &self.config {
            ModelConfig::BitNet(config) => config.quantization.packed.then_some(config.quantization.scale),
            _ => None,
        }
    }

    /// The tensor that a name stands for: a tied head is the embedding.
    fn place(&self, name: &str) -> String {
        if name == "lm_head.weight" && self.config.tie_word_embeddings() {
            return self.config.embedding().into();
        }
        name.to_owned()
    }
}

impl Exchange for FolderSource<'_> {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut list = vec![];
        for name in COMPANIONS {
            let path = self.folder.dir().join(name);
            if path.is_file() {
                let bytes = std::fs::read(&path).map_err(|error| ModelError::io("read", &path, error))?;
                list.push(((*name).to_owned(), bytes));
            }
        }
        Ok(list)
    }

    fn stored(&self, name: &str) -> Result<GgmlType> {
        Ok(match self.folder.weights().tensor(name)?.dtype {
            Dtype::F16 => GgmlType::F16,
            Dtype::BF16 => GgmlType::BF16,
            _ => GgmlType::F32,
        })
    }

    fn bytes(&self, name: &str, kind: GgmlType) -> Option<&[u8]> {
        let tensor = self.folder.weights().tensor(name).ok()?;
        let same = matches!(
            (tensor.dtype, kind),
            (Dtype::F16, GgmlType::F16) | (Dtype::BF16, GgmlType::BF16) | (Dtype::F32, GgmlType::F32)
        );
        same.then_some(tensor.bytes)
    }

    fn numbers(&mut self, name: &str) -> Result<Cow<'_, [f32]>> {
        self.folder.weights().tensor(name)?.as_f32()
    }

    fn trits(&mut self, name: &str) -> Result<(Vec<i8>, Scale)> {
        let name = self.place(name);
        let weights = self.folder.weights();
        let Some(meaning) = self.packing() else {
            let values = weights.tensor(&name)?.as_f32()?;
            let mut trits = vec![0; values.len()];
            let scale = self.quantizer.quantize(&values, &mut trits);
            if !(scale.is_finite() && scale > 0.0) {
                let (expected, found) = ("finite weights", format!("a scale of {scale}"));
                let remedy = "train again from a checkpoint before the weights broke";
                return Err(ModelError::tensor(weights.path(), name, expected, found, remedy));
            }
            return Ok((trits, Scale::Divide(scale)));
        };
        let (trits, divisor) = self.config.unpack(weights, &name)?;
        // As it is stored: its reciprocal's reciprocal may be another number.
        let scale = match meaning {
            ScaleMeaning::Divide => Scale::Divide(divisor),
            ScaleMeaning::Multiply => Scale::Multiply(weights.to_f32(&format!("{name}_scale"))?[0]),
        };
        Ok((trits, scale))
    }
}
