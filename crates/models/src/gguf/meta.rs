//! Metadata keys with a type, and the errors for those that have another.

use std::path::Path;

use barewire::Gguf;
use barewire::gguf::{Array, Value, ValueType};

use crate::error::{ModelError, Result};

/// What to do about a value that a converter wrote wrong.
pub(super) const CONVERT: &str = "convert the model again from its original files";

/// The keys of a file, some of them behind the architecture's name.
#[derive(Clone, Copy)]
pub(super) struct Meta<'a> {
    pub(super) file: &'a Gguf,
    /// `bitnet` for `bitnet.block_count`.
    pub(super) prefix: &'a str,
}

impl<'a> Meta<'a> {
    pub(super) fn new(file: &'a Gguf, prefix: &'a str) -> Self {
        Self { file, prefix }
    }

    pub(super) fn path(self) -> &'a Path {
        self.file.path()
    }

    /// The full key of `.name`; other names are full already.
    pub(super) fn key(self, name: &str) -> String {
        if name.starts_with('.') { format!("{}{name}", self.prefix) } else { name.to_owned() }
    }

    pub(super) fn get(self, name: &str) -> Option<Value<'a>> {
        self.file.get(&self.key(name))
    }

    pub(super) fn fault(self, name: &str, expected: impl Into<String>) -> ModelError {
        let found = match self.get(name) {
            None => "nothing".into(),
            Some(Value::Array(array)) => format!("an array of {} {}", array.len(), array.kind().name()),
            Some(value) => {
                let mut text = format!("{value:?}");
                if let Some((at, _)) = text.char_indices().nth(60) {
                    text.truncate(at);
                    text.push('…');
                }
                text
            }
        };
        ModelError::field(self.path(), self.key(name), expected, found, CONVERT)
    }

    /// A whole number up to `max`.
    pub(super) fn size(self, name: &str, max: u64) -> Result<Option<u64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_u64().filter(|n| *n <= max) {
            Some(n) => Ok(Some(n)),
            None => Err(self.fault(name, format!("a whole number up to {max}"))),
        }
    }

    /// A whole number up to `max` that has to be there.
    pub(super) fn needed(self, name: &str, max: u64) -> Result<u64> {
        self.size(name, max)?.ok_or_else(|| self.fault(name, format!("a whole number up to {max}")))
    }

    pub(super) fn real(self, name: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = match value {
            // An f32 in the shortest form that is it: 1e-5 rather than 9.999999747378752e-6.
            Value::F32(x) => x.to_string().parse().ok(),
            other => other.as_f64(),
        };
        number.filter(|x: &f64| x.is_finite()).map(Some).ok_or_else(|| self.fault(name, "a finite number"))
    }

    pub(super) fn flag(self, name: &str) -> Result<Option<bool>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.fault(name, "true or false"))
    }

    pub(super) fn text(self, name: &str) -> Result<Option<String>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(|text| Some(text.to_owned())).ok_or_else(|| self.fault(name, "a text"))
    }

    pub(super) fn array(self, name: &str, kind: Option<ValueType>) -> Result<Option<Array<'a>>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Array(array)) if kind.is_none_or(|kind| kind == array.kind()) => Ok(Some(array)),
            Some(_) => {
                let of = kind.map_or("numbers", ValueType::name);
                Err(self.fault(name, format!("an array of {of}")))
            }
        }
    }
}
