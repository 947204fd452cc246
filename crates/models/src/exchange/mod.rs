//! A model between two forms: what every form can be asked for when it is written in another.
//!
//! The ternary matrices of a model are asked for as trits and a scale, all else as numbers. A form that holds trits
//! (bundle, GGUF, packed folder) gives them as they are; one of master weights quantises them as the engine would. So a
//! conversion moves trits and never rounds them twice.

mod bundle;
mod folder;
mod one_scale;
mod packed;

use std::borrow::Cow;

use barewire::gguf::GgmlType;

pub use self::bundle::PackSource;
pub use self::folder::FolderSource;
pub use self::one_scale::{Loss, OneScale};
pub use self::packed::write_packed_folder;
use crate::architecture::ModelConfig;
use crate::error::Result;
use crate::gguf::{GgufModel, Scale};

/// A model that is to be written in another form.
pub trait Exchange {
    /// Its configuration.
    fn config(&self) -> &ModelConfig;

    /// Files that belong to it (`tokenizer.json`, …): name and content. Not `config.json`.
    fn files(&self) -> Result<Vec<(String, Vec<u8>)>>;

    /// The type that holds a tensor of numbers as it is stored.
    ///
    /// # Errors
    /// If there is no such tensor.
    fn stored(&self, name: &str) -> Result<GgmlType>;

    /// The type that a matrix of the layers has in this form, where it is one of GGUF files: a conversion keeps it.
    fn kept(&self, _name: &str) -> Option<GgmlType> {
        None
    }

    /// The bytes of a tensor, where it is stored in that type already.
    fn bytes(&self, _name: &str, _kind: GgmlType) -> Option<&[u8]> {
        None
    }

    /// The numbers of a tensor that is not ternary.
    ///
    /// # Errors
    /// If there is none, or its type has no codec.
    fn numbers(&mut self, name: &str) -> Result<Cow<'_, [f32]>>;

    /// The trits of a ternary matrix, row-major, and their scale.
    ///
    /// # Errors
    /// If there is none, or it is not ternary.
    fn trits(&mut self, name: &str) -> Result<(Vec<i8>, Scale)>;

    /// The scale alone: it is asked for before anything is written.
    ///
    /// # Errors
    /// As [`trits`](Self::trits).
    fn scale(&mut self, name: &str) -> Result<Scale> {
        Ok(self.trits(name)?.1)
    }
}

impl Exchange for GgufModel {
    fn config(&self) -> &ModelConfig {
        GgufModel::config(self)
    }

    fn files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        GgufModel::files(self)
    }

    fn stored(&self, name: &str) -> Result<GgmlType> {
        Ok(self.tensor(name)?.kind)
    }

    fn kept(&self, name: &str) -> Option<GgmlType> {
        self.tensor(name).ok().map(|tensor| tensor.kind)
    }

    fn bytes(&self, name: &str, kind: GgmlType) -> Option<&[u8]> {
        let tensor = self.tensor(name).ok().filter(|tensor| tensor.kind == kind)?;
        // What has a factor beside it is not the numbers alone.
        self.scale_tensor(tensor.name).is_ok_and(|scale| scale == 1.0).then_some(tensor.bytes)
    }

    fn numbers(&mut self, name: &str) -> Result<Cow<'_, [f32]>> {
        self.values(name)
    }

    fn trits(&mut self, name: &str) -> Result<(Vec<i8>, Scale)> {
        self.unpacked(name)
    }
}
