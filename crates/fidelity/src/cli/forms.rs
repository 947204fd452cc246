//! What `convert` and `synth` are asked to write: the name of the output, `--type` and `--embedding`, as one [`Form`].

use super::print;
use anyhow::Result;
use axes::{BlockFormat, TritLayout};
use barewire::gguf::GgmlType;
use clap::ValueEnum;
use engine::pool::Pool;
use fidelity::calibration;
use fidelity::convert::{Form, Kind, Model, named};
use fidelity::error::Fault;
use models::architecture::ModelConfig;
use models::bundle::{EmbeddingType, PackOptions};
use models::gguf::GgufOptions;
use models::safetensors::FloatType;
use std::path::Path;

/// Types of ternary matrices in GGUF files; the last three round the scale, and llama.cpp's other readers know them best.
const TERNARY: [GgmlType; 11] = [
    GgmlType::TQ2_0,
    GgmlType::TQ1_0,
    GgmlType::Q2_0,
    GgmlType::I2_S,
    GgmlType::F16,
    GgmlType::BF16,
    GgmlType::F32,
    GgmlType::Q8_0,
    GgmlType::Q4_0,
    GgmlType::Q4_K,
    GgmlType::Q6_K,
];

/// How the trits of a bundle lie.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Layout {
    /// Two bits, as the kernels read them
    Compute,
    /// Two bits, row by row, for other programs
    Interchange,
    /// 1.6 bits
    Storage,
    /// Compute or storage, whichever is faster on this computer with this many threads; measured
    /// once and remembered
    Auto,
}

impl Layout {
    /// The layout of trits, and a line about it where it was chosen. A model without trits has any.
    pub(super) fn resolve(self, model: &Model, pool: &Pool, again: bool) -> TritLayout {
        match self {
            Layout::Compute => TritLayout::Compute,
            Layout::Interchange => TritLayout::Interchange,
            Layout::Storage => TritLayout::Storage,
            Layout::Auto if model.config().projections().is_empty() => TritLayout::Compute,
            Layout::Auto => {
                let found = calibration::layout(pool, again);
                let from = if found.cached { "measured before" } else { "measured now" };
                print::note(&format!("layout {} ({from}; --layout or --type fixes it)", found.told()));
                found.layout()
            }
        }
    }
}

/// What is asked for, before the model is open.
#[derive(Clone, Copy)]
pub(super) enum Wanted {
    Bundle { layout: Option<Layout>, matrices: Option<BlockFormat>, embedding: Option<EmbeddingType> },
    Folder(Option<FloatType>),
    Packed,
    Gguf { ternary: Option<GgmlType>, embedding: Option<GgmlType> },
}

fn lower(types: impl IntoIterator<Item = GgmlType>) -> String {
    types.into_iter().map(|kind| kind.name().to_ascii_lowercase()).collect::<Vec<_>>().join(", ")
}

/// Reads the type of a bundle's embedding: f32, bf16, int8 or a block format.
pub(super) fn parse_embedding(text: &str) -> Result<EmbeddingType, String> {
    let plain = EmbeddingType::ALL.into_iter().find(|stored| stored.name() == text);
    let plain = plain.or((text == "i8").then_some(EmbeddingType::I8));
    plain.or_else(|| text.parse().ok().map(EmbeddingType::Block)).ok_or_else(|| {
        let blocks = BlockFormat::ALL.map(BlockFormat::name).into_iter().filter(|name| *name != "bf16");
        let names = EmbeddingType::ALL.map(EmbeddingType::name).into_iter().chain(blocks);
        format!("there is no such type; write one of {}", names.collect::<Vec<_>>().join(", "))
    })
}

impl Wanted {
    /// Reads what was given for this output.
    pub(super) fn parse(out: &Path, kind: Option<&str>, embedding: Option<&str>) -> Result<Wanted> {
        let wrong = |option: &str, found: &str, what: &str, types: &str| -> anyhow::Error {
            Fault::new(format!("{option} {found} is no type of {what}"), format!("write one of {types}"))
                .into()
        };
        let ggml = |option: &str, text: &str, types: &[GgmlType]| {
            let found = GgmlType::named(text).filter(|kind| types.contains(kind));
            found.ok_or_else(|| wrong(option, text, "a GGUF file", &lower(types.iter().copied())))
        };
        Ok(match named(out) {
            Kind::Gguf => {
                let mut numbers = vec![GgmlType::F32];
                numbers.extend(BlockFormat::ALL.map(GgmlType::of));
                Wanted::Gguf {
                    ternary: kind.map(|text| ggml("--type", text, &TERNARY)).transpose()?,
                    embedding: embedding.map(|text| ggml("--embedding", text, &numbers)).transpose()?,
                }
            }
            Kind::Bundle => {
                let layouts = "compute, interchange, storage or auto, for Qwen3 a type of blocks such as q6_k (--embedding \
                               sets the embedding's type)";
                let text = kind.unwrap_or_default();
                let layout = Layout::from_str(text, true).ok();
                let matrices = text.parse::<BlockFormat>().ok();
                if kind.is_some() && layout.is_none() && matrices.is_none() {
                    return Err(wrong("--type", text, "a bundle", layouts));
                }
                let stored = |text: &str| {
                    parse_embedding(text).map_err(|remedy| {
                        Fault::new(format!("--embedding {text} is no type of a bundle's embedding"), remedy)
                    })
                };
                Wanted::Bundle { layout, matrices, embedding: embedding.map(stored).transpose()? }
            }
            Kind::Folder => {
                if embedding.is_some() {
                    let cause = "--embedding is for bundles and GGUF files, and OUT is a folder";
                    let remedy = "name a file that ends in .fid or .gguf, or leave --embedding out";
                    return Err(Fault::new(cause, remedy).into());
                }
                match kind.map(str::to_ascii_lowercase).as_deref() {
                    None => Wanted::Folder(None),
                    Some("f32") => Wanted::Folder(Some(FloatType::F32)),
                    Some("bf16") => Wanted::Folder(Some(FloatType::Bf16)),
                    Some("f16") => Wanted::Folder(Some(FloatType::F16)),
                    Some("f64") => Wanted::Folder(Some(FloatType::F64)),
                    Some("packed") => Wanted::Packed,
                    Some(other) => {
                        return Err(wrong("--type", other, "a folder", "f32, bf16, f16, f64 or packed"));
                    }
                }
            }
        })
    }

    /// The form, with what was not said as the model has it, and the layout of a new bundle as this computer likes it.
    pub(super) fn form(self, model: &Model, pool: &Pool) -> Result<Form> {
        Ok(match self {
            Wanted::Bundle { layout, matrices, embedding } => {
                if let (Some(kind), false) = (matrices, matches!(model.config(), ModelConfig::Qwen3(_))) {
                    let cause =
                        format!("--type {kind} is for matrices of numbers, and this model's are ternary");
                    return Err(Fault::new(cause, "write compute, interchange, storage or auto").into());
                }
                let kept = match model {
                    Model::Bundle(bundle) => bundle.layout(),
                    _ => None,
                };
                let layout = match (layout, kept) {
                    (None, Some(kept)) => kept,
                    _ => layout.unwrap_or(Layout::Auto).resolve(model, pool, false),
                };
                Form::Bundle(PackOptions { layout, embedding, matrices })
            }
            Wanted::Folder(Some(dtype)) => Form::Folder(dtype),
            // Trits go into a folder as they are where there is a form of folders for them.
            Wanted::Folder(None) if packs(model) => Form::Packed(None),
            Wanted::Folder(None) => Form::Folder(FloatType::F32),
            Wanted::Packed => Form::Packed(None),
            Wanted::Gguf { ternary, embedding } => Form::Gguf(GgufOptions { ternary, embedding }),
        })
    }
}

/// Whether a model is BitNet without master weights.
fn packs(model: &Model) -> bool {
    let bitnet = matches!(model.config(), ModelConfig::BitNet(_));
    let masters = match model {
        Model::Folder(_) => !model.config().is_packed(),
        Model::Synthetic(_) => true,
        Model::Bundle(_) | Model::Gguf(_) => false,
    };
    bitnet && !masters
}
