//! What a bundle holds: sections, layouts, bits per weight, the trits of each layer.

use crate::inspect::size;
use anyhow::Result;
use axes::DType;
use barewire::{Content, trits};
use models::bundle::ModelBundle;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// A bundle, described.
#[derive(Clone, Debug, Serialize)]
pub struct BundleInspection {
    /// Version of the format.
    pub version: u32,
    /// `model_type` of the configuration.
    pub architecture: &'static str,
    /// The configuration as it was understood, every default filled in.
    pub config: Value,
    /// Every section, in the file's order.
    pub sections: Vec<SectionInfo>,
    /// The trits of each layer, and of what is outside the layers.
    pub layers: Vec<LayerInfo>,
    /// Sums.
    pub totals: BundleTotals,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// A section.
#[derive(Clone, Debug, Serialize)]
pub struct SectionInfo {
    /// Its name.
    pub name: String,
    /// `bytes`, or the element type.
    pub dtype: String,
    /// Sizes, outermost first; none for bytes.
    pub shape: Vec<usize>,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// CRC-32C of the bytes, in hexadecimal.
    pub checksum: String,
    /// How trits lie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<&'static str>,
    /// The scale of trits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f32>,
    /// Bits for each weight of a packed matrix: the padding before it and its line in the table, which has its scale,
    /// are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits_per_weight: Option<f64>,
    /// How many trits are −1, 0 and 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trits: Option<[u64; 3]>,
}

/// The trits of a layer.
#[derive(Clone, Debug, Serialize)]
pub struct LayerInfo {
    /// `layers.0`, …, `lm_head`.
    pub name: String,
    /// How many are −1, 0 and 1.
    pub trits: [u64; 3],
}

/// Sums over a bundle.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BundleTotals {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Weights that are trits.
    pub ternary_weights: u64,
    /// Bytes of them, padding and table lines counted.
    pub ternary_bytes: u64,
    /// Their ratio in bits.
    pub bits_per_weight: f64,
    /// How many trits are −1, 0 and 1.
    pub trits: [u64; 3],
    /// Bytes of all other tensors.
    pub other_tensor_bytes: u64,
    /// Bytes of configuration and tokenizer.
    pub text_bytes: u64,
}

impl BundleInspection {
    /// Opens a bundle, which checks every byte of it, and describes it.
    ///
    /// # Errors
    /// Those of opening.
    pub fn open(path: impl AsRef<Path>) -> Result<BundleInspection> {
        Self::of(&ModelBundle::open(path)?)
    }

    /// Describes an open bundle.
    ///
    /// # Errors
    /// None for a bundle that is sound.
    pub fn of(model: &ModelBundle) -> Result<BundleInspection> {
        let bundle = model.bundle();
        let mut totals = BundleTotals { file_bytes: bundle.file_length(), ..Default::default() };
        let mut sections = vec![];
        let mut layers: Vec<LayerInfo> = vec![];
        let mut places = BTreeMap::new();
        let mut end = barewire::bundle::HEADER as u64;
        for entry in bundle.entries() {
            let footprint = entry.offset - end + entry.length + entry.table_length();
            end = entry.offset + entry.length;
            let mut info = SectionInfo {
                name: entry.name.clone(),
                dtype: "bytes".into(),
                shape: entry.content.shape().to_vec(),
                offset: entry.offset,
                length: entry.length,
                checksum: format!("{:08x}", entry.checksum),
                layout: None,
                scale: entry.scale,
                bits_per_weight: None,
                trits: None,
            };
            match entry.content {
                Content::Bytes { .. } => totals.text_bytes += entry.length,
                Content::Tensor { dtype, .. } => {
                    info.dtype = dtype.to_string();
                    totals.other_tensor_bytes += entry.length;
                }
                Content::Trits { layout, shape: [rows, columns] } => {
                    info.dtype = DType::Trit.to_string();
                    info.layout = Some(layout.name());
                    let weights = rows as u64 * columns as u64;
                    info.bits_per_weight = Some(8.0 * footprint as f64 / weights as f64);
                    let counts = trits::histogram(layout, rows, columns, bundle.tensor(&entry.name)?.bytes)?;
                    info.trits = Some(counts);
                    totals.ternary_weights += weights;
                    totals.ternary_bytes += footprint;
                    let name = layer_of(&entry.name);
                    let at = *places.entry(name.to_owned()).or_insert_with(|| {
                        layers.push(LayerInfo { name: name.to_owned(), trits: [0; 3] });
                        layers.len() - 1
                    });
                    for sum in [&mut layers[at].trits, &mut totals.trits] {
                        sum.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
                    }
                }
            }
            sections.push(info);
        }
        totals.bits_per_weight = 8.0 * totals.ternary_bytes as f64 / totals.ternary_weights.max(1) as f64;
        Ok(BundleInspection {
            version: barewire::bundle::VERSION,
            architecture: model.config().model_type(),
            config: model.config().to_json(),
            sections,
            layers,
            totals,
            warnings: model.warnings().to_vec(),
        })
    }
}

/// `layers.3` of `model.layers.3.attn.i_proj.weight`, the first part of other names.
fn layer_of(name: &str) -> &str {
    let Some(rest) = name.strip_prefix("model.layers.") else {
        return name.split('.').next().unwrap_or(name);
    };
    let digits = rest.find('.').unwrap_or(rest.len());
    &name["model.".len().."model.layers.".len() + digits]
}

/// Shares of −1, 0 and 1 as a bar of `-`, `.` and `+`.
fn bar(counts: [u64; 3]) -> String {
    const WIDTH: u64 = 32;
    let total = counts.iter().sum::<u64>().max(1);
    let place = |n: u64| ((n * WIDTH + total / 2) / total) as usize;
    let (first, second) = (place(counts[0]), place(counts[0] + counts[1]));
    format!("{}{}{}", "-".repeat(first), ".".repeat(second - first), "+".repeat(WIDTH as usize - second))
}

/// Shares of −1, 0 and 1 in words.
fn shares(counts: [u64; 3]) -> String {
    let total = counts.iter().sum::<u64>().max(1) as f64;
    let [minus, zero, plus] = counts.map(|n| 100.0 * n as f64 / total);
    format!("-1 {minus:4.1} %  0 {zero:4.1} %  +1 {plus:4.1} %")
}

impl fmt::Display for BundleInspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "bundle        version {}", self.version)?;
        writeln!(f, "architecture  {}", self.architecture)?;
        for (key, value) in self.config.as_object().into_iter().flatten() {
            writeln!(f, "  {key:<26}{value}")?;
        }
        let width = self.sections.iter().map(|s| s.name.len()).max().unwrap_or(0).max(7);
        writeln!(
            f,
            "\n{:<width$}  {:<16} {:<16} {:>12} {:>12} {:>11} {:>12}",
            "section", "type", "shape", "offset", "bytes", "bits/weight", "scale"
        )?;
        for s in &self.sections {
            let kind = s.layout.map_or(s.dtype.clone(), |layout| format!("{} {layout}", s.dtype));
            let shape = if s.shape.is_empty() { String::new() } else { format!("{:?}", s.shape) };
            write!(f, "{:<width$}  {kind:<16} {shape:<16} {:>12} {:>12}", s.name, s.offset, s.length)?;
            if let (Some(bits), Some(scale)) = (s.bits_per_weight, s.scale) {
                write!(f, " {bits:>11.4} {scale:>12.6}")?;
            }
            writeln!(f)?;
        }
        let width = self.layers.iter().map(|l| l.name.len()).max().unwrap_or(0).max(9);
        writeln!(f, "\n{:<width$}  share", "trits")?;
        for layer in &self.layers {
            writeln!(f, "{:<width$}  {}  {}", layer.name, shares(layer.trits), bar(layer.trits))?;
        }
        let t = &self.totals;
        writeln!(f)?;
        writeln!(f, "file                  {}", size(t.file_bytes))?;
        writeln!(
            f,
            "ternary weights       {} in {}: {:.4} bits each, padding and scales included",
            t.ternary_weights,
            size(t.ternary_bytes),
            t.bits_per_weight
        )?;
        writeln!(f, "other tensors         {}", size(t.other_tensor_bytes))?;
        writeln!(f, "texts                 {}", size(t.text_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_named() {
        assert_eq!(layer_of("model.layers.12.attn.i_proj.weight"), "layers.12");
        assert_eq!(layer_of("lm_head.weight"), "lm_head");
        assert_eq!(layer_of("model.layers."), "layers.");
    }

    #[test]
    fn bars_are_of_one_width() {
        for counts in [[0, 0, 0], [1, 0, 0], [0, 0, 9], [1, 1, 1], [5, 3, 90], [u64::MAX >> 8, 0, 1]] {
            assert_eq!(bar(counts).len(), 32, "{counts:?}");
        }
        assert_eq!(bar([1, 2, 1]), "--------................++++++++");
    }
}
