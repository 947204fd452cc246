//! What `convert` and `synth` are asked to write: the name of the output, `--type` and `--embedding`, as one [`Form`].

use anyhow::Result;
use axes::{BlockFormat, TritLayout};
use barewire::gguf::GgmlType;
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

/// What is asked for, before the model is open.
#[derive(Clone, Copy)]
pub(super) enum Wanted {
    Bundle { layout: Option<TritLayout>, embedding: Option<EmbeddingType> },
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
                let layouts = "compute, interchange or storage (--embedding sets the embedding's type)";
                let layout = |text: &str| {
                    let found = text.to_ascii_lowercase().parse().ok().filter(|l| *l != TritLayout::Bytes);
                    found.ok_or_else(|| wrong("--type", text, "a bundle", layouts))
                };
                let stored = |text: &str| {
                    parse_embedding(text).map_err(|remedy| {
                        Fault::new(format!("--embedding {text} is no type of a bundle's embedding"), remedy)
                    })
                };
                Wanted::Bundle {
                    layout: kind.map(layout).transpose()?,
                    embedding: embedding.map(stored).transpose()?,
                }
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

    /// The form, with what was not said as the model has it.
    pub(super) fn form(self, model: &Model) -> Form {
        match self {
            Wanted::Bundle { layout, embedding } => {
                let kept = match model {
                    Model::Bundle(bundle) => PackOptions {
                        layout: bundle.layout().unwrap_or(TritLayout::Compute),
                        embedding: bundle.embedding_type(),
                    },
                    Model::Gguf(gguf) => {
                        let kind = gguf.tensor(gguf.config().embedding()).map(|tensor| tensor.kind);
                        let embedding = match kind.map(|kind| (kind, kind.format())) {
                            Ok((GgmlType::BF16, _)) => EmbeddingType::Bf16,
                            Ok((_, Some(format))) => EmbeddingType::Block(format),
                            _ => EmbeddingType::F32,
                        };
                        PackOptions { embedding, ..Default::default() }
                    }
                    _ => PackOptions::default(),
                };
                Form::Bundle(PackOptions {
                    layout: layout.unwrap_or(kept.layout),
                    embedding: embedding.unwrap_or(kept.embedding),
                })
            }
            Wanted::Folder(Some(dtype)) => Form::Folder(dtype),
            // Trits go into a folder as they are where there is a form of folders for them.
            Wanted::Folder(None) if packs(model) => Form::Packed(None),
            Wanted::Folder(None) => Form::Folder(FloatType::F32),
            Wanted::Packed => Form::Packed(None),
            Wanted::Gguf { ternary, embedding } => {
                let kept = match model {
                    Model::Gguf(gguf) => {
                        let first = match gguf.config() {
                            ModelConfig::Qwen3(_) => {
                                Some("model.layers.0.self_attn.q_proj.weight".to_owned())
                            }
                            config => config.projections().into_iter().next(),
                        };
                        first.and_then(|name| Some(gguf.tensor(&name).ok()?.kind))
                    }
                    _ => None,
                };
                // Weights that nothing says are ternary are not to become it unasked.
                let usual = match model.config() {
                    ModelConfig::Qwen3(_) => GgmlType::BF16,
                    _ => GgufOptions::default().ternary,
                };
                let kept = kept.filter(|kind| TERNARY.contains(kind)).unwrap_or(usual);
                Form::Gguf(GgufOptions { ternary: ternary.unwrap_or(kept), embedding })
            }
        }
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
