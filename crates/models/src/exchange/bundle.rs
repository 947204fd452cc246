//! A bundle as a source, and any source as what bundles are packed from.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use axes::{BlockFormat, DType};
use barewire::gguf::GgmlType;
use barewire::trits;

use super::Exchange;
use crate::architecture::ModelConfig;
use crate::bundle::{Embedding, EmbeddingType, ModelBundle, Source, stored_values};
use crate::error::{ModelError, Result};
use crate::gguf::Scale;

impl Exchange for ModelBundle {
    fn config(&self) -> &ModelConfig {
        ModelBundle::config(self)
    }

    fn files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(self.companions().map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect())
    }

    fn stored(&self, name: &str) -> Result<GgmlType> {
        Ok(match ModelBundle::stored(self, name)? {
            Embedding::Bf16(_) => GgmlType::BF16,
            Embedding::Block(format, _) => GgmlType::of(format),
            // An i8 with a scale for each row is no type of other programs; f32 holds its products.
            Embedding::F32(_) | Embedding::I8(..) => GgmlType::F32,
        })
    }

    fn kept(&self, name: &str) -> Option<GgmlType> {
        match ModelBundle::stored(self, name) {
            Ok(Embedding::Block(format, _)) => Some(GgmlType::of(format)),
            Ok(Embedding::F32(view)) if view.dtype == DType::F32 => Some(GgmlType::F32),
            _ => None,
        }
    }

    fn bytes(&self, name: &str, kind: GgmlType) -> Option<&[u8]> {
        match ModelBundle::stored(self, name).ok()? {
            Embedding::Block(format, view) if GgmlType::of(format) == kind => Some(view.bytes),
            Embedding::Bf16(view) if kind == GgmlType::BF16 => Some(view.bytes),
            _ => None,
        }
    }

    fn numbers(&mut self, name: &str) -> Result<Cow<'_, [f32]>> {
        stored_values(self, name)
    }

    fn trits(&mut self, name: &str) -> Result<(Vec<i8>, Scale)> {
        let view = self.bundle().tensor(name)?;
        let (Some(layout), &[rows, columns], Some(scale)) = (view.layout, view.shape, view.scale) else {
            let (expected, found) = ("trits", view.dtype.to_string());
            return Err(ModelError::tensor(
                self.bundle().path(),
                name,
                expected,
                found,
                "pack the model again",
            ));
        };
        Ok((trits::decode(layout, rows, columns, view.bytes)?, Scale::Divide(scale)))
    }

    fn scale(&mut self, name: &str) -> Result<Scale> {
        match self.bundle().tensor(name)?.scale {
            Some(scale) => Ok(Scale::Divide(scale)),
            None => Ok(self.trits(name)?.1),
        }
    }
}

/// Any source, as what a bundle is packed from.
pub struct PackSource<'a> {
    source: &'a mut dyn Exchange,
    label: PathBuf,
    projections: Vec<String>,
}

impl<'a> PackSource<'a> {
    /// A source with the name that errors call it.
    pub fn new(source: &'a mut dyn Exchange, label: &Path) -> Self {
        let projections = source.config().projections();
        Self { source, label: label.to_owned(), projections }
    }
}

impl Source for PackSource<'_> {
    fn label(&self) -> &Path {
        &self.label
    }

    fn tensor(&mut self, name: &str) -> Result<Cow<'_, [f32]>> {
        self.source.numbers(name)
    }

    fn trits(&mut self, name: &str) -> Result<Option<(Vec<i8>, f32)>> {
        if !self.projections.iter().any(|projection| projection == name) {
            return Ok(None);
        }
        let (trits, scale) = self.source.trits(name)?;
        Ok(Some((trits, scale.divisor())))
    }

    fn stored(&self, name: &str) -> EmbeddingType {
        // What cannot be copied, such as numbers with a factor beside them, is better not rounded again.
        let kind = self.source.kept(name).filter(|kind| self.source.bytes(name, *kind).is_some());
        match kind.map(|kind| (kind, kind.format())) {
            Some((GgmlType::BF16, _)) => EmbeddingType::Bf16,
            Some((_, Some(format))) => EmbeddingType::Block(format),
            _ => EmbeddingType::F32,
        }
    }

    fn blocks(&self, name: &str, format: BlockFormat) -> Option<&[u8]> {
        self.source.bytes(name, GgmlType::of(format))
    }
}
