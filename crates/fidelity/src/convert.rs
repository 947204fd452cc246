//! Models in other forms: a folder as a bundle, a bundle as a folder, either in another type, and random ones of any size.
//!
//! One function, [`write()`], takes any [`Model`] to any [`Form`]. Tensors are made, quantised and written one at a time, so
//! memory grows with the largest of them and not with the model.

use crate::error::{Fault, fault};
use anyhow::{Context, Result};
use axes::BlockFormat;
use engine::kernels::rows::quantize_weights;
use engine::pool::Pool;
use engine::{Tensor, run_once};
use models::ModelError;
use models::architecture::ModelConfig;
use models::bundle::unpack::Unpacked;
use models::bundle::{
    COMPANIONS, EXTENSION, EmbeddingType, FolderSource, ModelBundle, PackOptions, Quantizer, Source, pack,
    repack,
};
use models::folder::{
    CONFIG, GENERATION_CONFIG, ModelFolder, SaveOptions, TOKENIZER, generation_config, json_text,
};
use models::parameters::{Init, Parameter};
use models::safetensors::{Dtype, FloatType, TensorView, Values};
use models::shapes::Shape;
use models::stream::write_model;
use models::tokenizer::byte_level_json;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// The engine's own arithmetic: what is packed is what a model from a folder computes with, to the last bit.
pub struct EngineQuantizer(Arc<Pool>);

impl EngineQuantizer {
    /// On the threads of a pool; no result depends on how many.
    pub fn new(pool: Arc<Pool>) -> Self {
        Self(pool)
    }
}

impl Quantizer for EngineQuantizer {
    fn quantize(&mut self, weights: &[f32], trits: &mut [i8]) -> f32 {
        quantize_weights(&self.0, weights, trits)
    }

    fn lower_bounds(&mut self, config: &ModelConfig, bounds: &[f32]) -> Result<Vec<f32>, ModelError> {
        let run = || -> Result<Vec<f32>> {
            let graph = config.derived()?.context("the model has no lower bounds")?;
            let input = Tensor::from_f32([config.num_hidden_layers(), config.hidden_size()], bounds);
            let made = run_once(&graph, &[&input], &Default::default(), self.0.clone())?;
            let (_, bounds) = made.into_iter().next().context("the graph gives nothing")?;
            Ok(bounds.f32().to_vec())
        };
        run().map_err(|error| ModelError::Value {
            what: "lower_bounds_eff".into(),
            expected: "a graph that runs".into(),
            found: format!("{error:#}"),
            remedy: "check model.lower_bounds".into(),
        })
    }
}

/// A model that can be written in another form.
pub enum Model {
    /// A folder, its configuration, and the files that go along.
    Folder(Box<FolderModel>),
    /// A bundle.
    Bundle(Box<ModelBundle>),
    /// Random weights, made as they are written.
    Synthetic(Box<Synthetic>),
}

/// A folder to be converted.
pub struct FolderModel {
    folder: ModelFolder,
    config: ModelConfig,
    /// `config.json` first, then the companions.
    files: Vec<(&'static str, Vec<u8>)>,
    warnings: Vec<String>,
}

/// Magnitude of random ternary weights that are drawn as such.
const MAGNITUDE: f32 = 0.02;

/// Random weights of a named size.
pub struct Synthetic {
    config: ModelConfig,
    parameters: BTreeMap<String, Parameter>,
    seed: u64,
    files: Vec<(&'static str, Vec<u8>)>,
}

/// What a model is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A bundle.
    Bundle(PackOptions),
    /// A folder with weights of this type.
    Folder(FloatType),
}

/// How far a conversion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// The tensor that is being made.
    pub tensor: &'a str,
    /// Parameters before it.
    pub done: u64,
    /// Parameters of the model.
    pub of: u64,
}

impl Model {
    /// Opens a folder or a bundle.
    ///
    /// # Errors
    /// Those of opening either; a file that is neither.
    pub fn open(path: impl AsRef<Path>) -> Result<Model> {
        let path = path.as_ref();
        if kind(path)? == Kind::Bundle {
            return Ok(Model::Bundle(Box::new(ModelBundle::open(path)?)));
        }
        let folder = ModelFolder::open(path)?;
        let parsed = ModelConfig::from_folder(&folder)?;
        let mut files = vec![];
        for name in std::iter::once(&CONFIG).chain(COMPANIONS) {
            let file = path.join(name);
            if file.is_file() {
                files.push((
                    *name,
                    std::fs::read(&file).map_err(|error| ModelError::io("read", &file, error))?,
                ));
            }
        }
        let warnings = parsed.warnings;
        Ok(Model::Folder(Box::new(FolderModel { folder, config: parsed.config, files, warnings })))
    }

    /// A model of a named size with random weights; the same seed gives the same model in every version.
    pub fn synthetic(shape: &Shape, seed: u64) -> Model {
        let config = shape.config();
        let json = config.to_json();
        let mut files = vec![(CONFIG, json_text(&json).into_bytes())];
        if let Some(fields) = json.as_object() {
            files.push((GENERATION_CONFIG, json_text(&generation_config(fields)).into_bytes()));
        }
        if shape.is_byte_level() {
            files.push((TOKENIZER, byte_level_json().into_bytes()));
        }
        let ternary: BTreeSet<String> = match &config {
            // Random masters of the others quantise to trits of their own.
            ModelConfig::MatMulFree(_) => BTreeSet::new(),
            _ => config.projections().into_iter().collect(),
        };
        let init = |p: Parameter| {
            let init = if ternary.contains(&p.name) { Init::Trits(MAGNITUDE) } else { p.init };
            (p.name.clone(), Parameter { init, ..p })
        };
        let parameters = config.parameters().into_iter().map(init).collect();
        Model::Synthetic(Box::new(Synthetic { config, parameters, seed, files }))
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        match self {
            Model::Folder(model) => &model.config,
            Model::Bundle(model) => model.config(),
            Model::Synthetic(model) => &model.config,
        }
    }

    /// What the user should know.
    pub fn warnings(&self) -> &[String] {
        match self {
            Model::Folder(model) => &model.warnings,
            Model::Bundle(model) => model.warnings(),
            Model::Synthetic(_) => &[],
        }
    }
}

/// How the embedding of a random model's bundle is stored unless said otherwise: as it is, but in blocks of six bits where
/// the embedding is also the head of a model so wide that it would be larger than all else.
pub fn synthetic_embedding(shape: &Shape) -> EmbeddingType {
    let wide = shape.vocab_size > 1 << 15 && shape.hidden_size.is_multiple_of(BlockFormat::Q6K.block());
    match shape.config() {
        ModelConfig::BitNet(_) if wide => EmbeddingType::Block(BlockFormat::Q6K),
        _ => EmbeddingType::F32,
    }
}

/// What a path holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A model folder, or nothing: then opening it says so.
    Folder,
    /// A file that should be a bundle.
    Bundle,
}

/// Tells a bundle from a folder by looking.
///
/// # Errors
/// A GGUF file, which is not read yet.
pub fn kind(path: &Path) -> Result<Kind> {
    if !path.is_file() {
        return Ok(Kind::Folder);
    }
    let mut start = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    if read.is_ok() && &start == b"GGUF" {
        return not_yet(path);
    }
    Ok(Kind::Bundle)
}

/// Whether a name is one of a bundle; a GGUF file cannot be written yet.
///
/// # Errors
/// A name that ends in `.gguf`.
pub fn names_bundle(path: &Path) -> Result<bool> {
    let end = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
    if end.as_deref() == Some("gguf") {
        return not_yet(path);
    }
    Ok(end.as_deref() == Some(EXTENSION))
}

fn not_yet<T>(path: &Path) -> Result<T> {
    let cause = format!("{}: GGUF files are not read or written yet", path.display());
    fault(cause, format!("use a model folder, or a bundle (.{EXTENSION})"))
}

/// Writes a model in another form: the whole of it appears under `path` at once, or what was there before stays.
///
/// Returns what the user should know about the result.
///
/// # Errors
/// Weights that the form cannot hold, and a disk that cannot.
pub fn write(
    model: &Model,
    path: &Path,
    form: Form,
    pool: &Arc<Pool>,
    progress: &mut dyn FnMut(Step<'_>),
) -> Result<Vec<String>> {
    let counts: BTreeMap<String, u64> = model
        .config()
        .expected_tensors()
        .into_iter()
        .map(|(name, shape)| (name, shape.iter().map(|n| *n as u64).product()))
        .collect();
    let of = counts.values().sum();
    let mut done = 0;
    let mut tell = |tensor: &str| {
        progress(Step { tensor, done, of });
        done += counts.get(tensor).copied().unwrap_or(0);
    };
    let mut quantizer = EngineQuantizer::new(pool.clone());
    match form {
        Form::Bundle(options) => {
            write_bundle(model, path, options, &mut quantizer, &mut tell).map(|()| vec![])
        }
        Form::Folder(dtype) => write_folder(model, path, dtype, &mut quantizer, &mut tell),
    }
}

fn write_bundle(
    model: &Model,
    path: &Path,
    options: PackOptions,
    quantizer: &mut EngineQuantizer,
    tell: &mut dyn FnMut(&str),
) -> Result<()> {
    if path.is_dir() {
        let cause = format!("cannot write {}: it is a folder", path.display());
        return fault(cause, format!("name a file that ends in .{EXTENSION}"));
    }
    match model {
        Model::Bundle(model) => repack(path, model, options, tell)?,
        Model::Folder(model) => {
            let mut source = FolderSource { config: &model.config, weights: model.folder.weights() };
            pack(path, &model.config, &borrowed(&model.files), &mut source, options, quantizer, tell)?;
        }
        Model::Synthetic(model) => {
            let mut source = model.as_ref();
            pack(path, &model.config, &borrowed(&model.files), &mut source, options, quantizer, tell)?;
        }
    }
    Ok(())
}

fn borrowed<'a>(files: &'a [(&'static str, Vec<u8>)]) -> Vec<(&'static str, &'a [u8])> {
    files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect()
}

fn write_folder(
    model: &Model,
    path: &Path,
    dtype: FloatType,
    quantizer: &mut EngineQuantizer,
    tell: &mut dyn FnMut(&str),
) -> Result<Vec<String>> {
    if path.is_file() {
        let cause = format!("cannot write {}: it is a file", path.display());
        return fault(cause, "name a folder, or a bundle that ends in .fid");
    }
    let options = SaveOptions { dtype, ..Default::default() };
    let mut notes = vec![];
    match model {
        Model::Folder(model) if model.config.is_packed() => {
            return fault(
                "a folder of packed trits has no master weights to write in another type",
                "pack it into a bundle (`fidelity pack`), and unpack that",
            );
        }
        Model::Folder(model) => {
            let files = &borrowed(&model.files)[1..];
            let weights = model.folder.weights();
            let tensors = model.config.expected_tensors();
            write_model(path, model.folder.config(), files, &tensors, options, &mut |name| {
                tell(name);
                values(&weights.tensor(name)?)
            })?;
        }
        Model::Synthetic(model) => {
            let files = &borrowed(&model.files)[1..];
            let tensors = model.config.expected_tensors();
            let mut source = model.as_ref();
            write_model(path, &model.config.to_json(), files, &tensors, options, &mut |name| {
                tell(name);
                Ok(Values::F32(source.tensor(name)?.into_owned().into()))
            })?;
        }
        Model::Bundle(model) => {
            let unpacked = Unpacked::new(model, dtype, quantizer)?;
            let files: Vec<(&str, &[u8])> = model.companions().collect();
            write_model(path, &unpacked.config()?, &files, &unpacked.tensors(), options, &mut |name| {
                tell(name);
                unpacked.tensor(name, quantizer)
            })?;
            if unpacked.is_untied() {
                notes.push(
                    "the head's weight is a tensor of its own: the rounded embedding would give it other trits".into(),
                );
            }
        }
    }
    Ok(notes)
}

/// The elements of a float tensor in their own type.
fn values(view: &TensorView<'_>) -> Result<Values<'static>, ModelError> {
    use half::{bf16, f16};
    let bytes = view.bytes;
    Ok(match view.dtype {
        Dtype::F16 => Values::F16(bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b)).collect()),
        Dtype::BF16 => Values::Bf16(bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b)).collect()),
        Dtype::F64 => Values::F64(view.to_f64()?.into()),
        _ => Values::F32(view.to_f32()?.into()),
    })
}

impl Source for &Synthetic {
    fn label(&self) -> &Path {
        Path::new("synthetic")
    }

    fn tensor(&mut self, name: &str) -> Result<Cow<'_, [f32]>, ModelError> {
        match self.parameters.get(name) {
            Some(parameter) => Ok(self.config.init_parameter(parameter, self.seed).into()),
            None => Err(ModelError::Value {
                what: "tensor".into(),
                expected: "a parameter of the model".into(),
                found: format!("`{name}`"),
                remedy: "check the configuration".into(),
            }),
        }
    }
}

/// Bytes of what was written: a file, or the files of a folder.
pub fn size_of(path: &Path) -> u64 {
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
    if !path.is_dir() {
        return length(path);
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| length(&entry.path())).sum()
}

/// The error for a type that fits what is written not, with those that do.
pub fn wrong_type(found: &str, bundle: bool) -> Fault {
    let (what, types) = if bundle {
        ("a bundle", "compute, interchange or storage (--embedding sets the embedding's type)")
    } else {
        ("a folder", "f32, bf16, f16 or f64")
    };
    Fault::new(format!("--type {found} is no type of {what}"), format!("write one of {types}"))
}
