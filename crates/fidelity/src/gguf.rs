//! What a GGUF file holds: its keys, its tensors by type, bits per weight. Any such file is described, also one whose model
//! is not known here.

use crate::inspect::size;
use anyhow::Result;
use barewire::gguf::{Gguf, Value};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Values of an array that are shown.
const SHOWN: usize = 3;
/// Characters of a text that are shown.
const LETTERS: usize = 60;

/// A file, described.
#[derive(Clone, Debug, Serialize)]
pub struct GgufInspection {
    /// Version of the format.
    pub version: u32,
    /// `general.architecture`.
    pub architecture: String,
    /// Why the model is none that this program runs, if it is.
    pub unsupported: Option<String>,
    /// Every key with its value, long ones cut.
    pub metadata: Vec<(String, String)>,
    /// Every tensor, in the file's order.
    pub tensors: Vec<TensorInfo>,
    /// Bytes of the file.
    pub bytes: u64,
}

/// A tensor.
#[derive(Clone, Debug, Serialize)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: &'static str,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Bytes.
    pub bytes: usize,
}

impl GgufInspection {
    /// Describes a file.
    ///
    /// # Errors
    /// A file that is no sound GGUF.
    pub fn open(path: impl AsRef<Path>) -> Result<GgufInspection> {
        let file = Gguf::open(path)?;
        let tensor = |t: barewire::gguf::GgufTensor<'_>| TensorInfo {
            name: t.name.to_owned(),
            kind: t.kind.name(),
            shape: t.shape.to_vec(),
            bytes: t.bytes.len(),
        };
        Ok(GgufInspection {
            version: file.version(),
            architecture: file
                .get("general.architecture")
                .and_then(|value| value.as_str().map(str::to_owned))
                .unwrap_or_else(|| "none".into()),
            metadata: file.metadata().map(|(key, value)| (key.to_owned(), show(&value))).collect(),
            tensors: file.tensors().map(tensor).collect(),
            bytes: file.file_length(),
            unsupported: models::gguf::GgufModel::new(file).err().map(|error| error.to_string()),
        })
    }
}

fn show(value: &Value<'_>) -> String {
    match value {
        Value::Array(array) => {
            let first: Vec<String> = array.iter().take(SHOWN).map(|value| show(&value)).collect();
            let more = if array.len() > SHOWN { ", …" } else { "" };
            format!("{} {} [{}{more}]", array.len(), array.kind().name(), first.join(", "))
        }
        Value::Text(text) => {
            let short: String = text.chars().take(LETTERS).collect();
            let more = if short.len() < text.len() { "…" } else { "" };
            format!("{short:?}{more}")
        }
        Value::Bool(x) => x.to_string(),
        Value::F32(x) => x.to_string(),
        other => match (other.as_i64(), other.as_f64()) {
            (Some(x), _) => x.to_string(),
            (None, Some(x)) => x.to_string(),
            (None, None) => String::new(),
        },
    }
}

impl fmt::Display for GgufInspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "GGUF version {}, {}, {}", self.version, self.architecture, size(self.bytes))?;
        if let Some(reason) = &self.unsupported {
            writeln!(f, "not a model that runs here: {reason}")?;
        }
        writeln!(f, "\nmetadata")?;
        for (key, value) in &self.metadata {
            writeln!(f, "  {key:<44} {value}")?;
        }
        let mut kinds: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
        for tensor in &self.tensors {
            let sum = kinds.entry(tensor.kind).or_default();
            sum.0 += 1;
            sum.1 += tensor.shape.iter().product::<usize>();
            sum.2 += tensor.bytes;
        }
        writeln!(
            f,
            "\n{:<10} {:>8} {:>14} {:>12} {:>12}",
            "type", "tensors", "numbers", "bytes", "bits each"
        )?;
        for (kind, (count, numbers, bytes)) in kinds {
            let bits = 8.0 * bytes as f64 / numbers.max(1) as f64;
            writeln!(f, "{kind:<10} {count:>8} {numbers:>14} {:>12} {bits:>12.2}", size(bytes as u64))?;
        }
        writeln!(f, "\ntensors")?;
        for TensorInfo { name, kind, shape, bytes } in &self.tensors {
            writeln!(f, "  {name:<36} {kind:<8} {:>12}  {shape:?}", size(*bytes as u64))?;
        }
        Ok(())
    }
}
