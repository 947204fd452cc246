//! Models in other forms: folders of master weights or packed trits, bundles, GGUF files, each as any other and in another
//! type, and random ones of any size.
//!
//! One function, [`write()`], takes any [`Model`] to any [`Form`]. Tensors are made, quantised and written one at a time, so
//! memory grows with the largest of them and not with the model.

use crate::error::fault;
use anyhow::{Context, Result};
use axes::BlockFormat;
use barewire::gguf::GgmlType;
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
use models::exchange::{self, Exchange, OneScale, PackSource, write_packed_folder};
use models::folder::{
    CONFIG, GENERATION_CONFIG, ModelFolder, SaveOptions, TOKENIZER, generation_config, json_text,
};
use models::gguf::{self, GgufModel, GgufOptions, Scale};
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
    /// A GGUF file.
    Gguf(Box<GgufModel>),
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
    /// A folder with master weights of this type.
    Folder(FloatType),
    /// A folder of packed trits, as BitNet is published, with numbers of this type, or as they are.
    Packed(Option<FloatType>),
    /// A GGUF file.
    Gguf(GgufOptions),
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
    /// Opens a folder, a bundle or a GGUF file.
    ///
    /// # Errors
    /// Those of opening them; a file that is neither.
    pub fn open(path: impl AsRef<Path>) -> Result<Model> {
        let path = path.as_ref();
        match kind(path) {
            Kind::Bundle => return Ok(Model::Bundle(Box::new(ModelBundle::open(path)?))),
            Kind::Gguf => {
                let mut model = GgufModel::open(path)?;
                model.find_blocks(std::thread::available_parallelism().map_or(1, usize::from))?;
                return Ok(Model::Gguf(Box::new(model)));
            }
            Kind::Folder => {}
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
            ModelConfig::MatMulFree(_) | ModelConfig::Listed(_) => BTreeSet::new(),
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
            Model::Gguf(model) => model.config(),
            Model::Synthetic(model) => &model.config,
        }
    }

    /// What errors call it.
    fn label(&self) -> &Path {
        match self {
            Model::Folder(model) => model.folder.dir(),
            Model::Bundle(model) => model.bundle().path(),
            Model::Gguf(model) => model.file().path(),
            Model::Synthetic(_) => Path::new("synthetic"),
        }
    }

    /// What the user should know.
    pub fn warnings(&self) -> &[String] {
        match self {
            Model::Folder(model) => &model.warnings,
            Model::Bundle(model) => model.warnings(),
            Model::Gguf(model) => model.warnings(),
            Model::Synthetic(_) => &[],
        }
    }
}

/// How the embedding of a random model's bundle is stored unless said otherwise: as it is, but in blocks of six bits where
/// the embedding is also the head of a model so wide that it would be larger than all else.
pub fn synthetic_embedding(shape: &Shape) -> EmbeddingType {
    let wide = shape.vocab_size > 1 << 15 && shape.hidden_size.is_multiple_of(BlockFormat::Q6K.block());
    match shape.config() {
        ModelConfig::BitNet(_) | ModelConfig::Qwen3(_) if wide => EmbeddingType::Block(BlockFormat::Q6K),
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
    /// A file that begins as GGUF files do.
    Gguf,
}

/// Tells bundles, GGUF files and folders apart by looking.
pub fn kind(path: &Path) -> Kind {
    if !path.is_file() {
        return Kind::Folder;
    }
    let mut start = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    if read.is_ok() && start == barewire::gguf::MAGIC { Kind::Gguf } else { Kind::Bundle }
}

/// What a name asks for: a bundle (`.fid`), a GGUF file (`.gguf`), or else a folder.
pub fn named(path: &Path) -> Kind {
    let end = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
    match end.as_deref() {
        Some("gguf") => Kind::Gguf,
        Some(EXTENSION) => Kind::Bundle,
        _ => Kind::Folder,
    }
}

/// Writes a model in another form: the whole of it appears under `path` at once, or what was there before stays.
///
/// Returns what the user should know about the result.
///
/// # Errors
/// Weights that the form cannot hold, and a disk that cannot; ternary matrices with scales that differ within them, where the
/// form has one scale for a matrix.
pub fn write(
    model: &Model,
    path: &Path,
    form: Form,
    pool: &Arc<Pool>,
    progress: &mut dyn FnMut(Step<'_>),
) -> Result<Vec<String>> {
    write_as(model, path, form, false, pool, progress)
}

/// The same, and ternary matrices whose scales differ within them get one, if the form needs that: see
/// [`models::exchange::OneScale`] for which, and the notes for what it loses.
///
/// # Errors
/// As [`write()`], but for that.
pub fn write_one_scale(
    model: &Model,
    path: &Path,
    form: Form,
    pool: &Arc<Pool>,
    progress: &mut dyn FnMut(Step<'_>),
) -> Result<Vec<String>> {
    write_as(model, path, form, true, pool, progress)
}

/// Whether a form has one scale for each ternary matrix, and the model has matrices that it calls ternary with more.
fn needs_one_scale(model: &Model, form: Form) -> bool {
    let ternary = matches!(model.config(), ModelConfig::BitNet(_));
    let edge = model.config().storable();
    let many = model.config().formats().keys().any(|name| !edge.contains(&name.as_str()));
    let one = match form {
        Form::Bundle(_) => false,
        Form::Gguf(options) => options.ternary == Some(GgmlType::I2_S),
        Form::Folder(_) | Form::Packed(_) => true,
    };
    ternary && many && one
}

fn write_as(
    model: &Model,
    path: &Path,
    form: Form,
    one_scale: bool,
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
    let many = needs_one_scale(model, form);
    let mut notes = vec![];
    if many {
        let told = with_source(model, &mut quantizer, |source| Ok(OneScale::new(source)?.loss().told()))?;
        if !one_scale {
            let remedy =
                "write a .gguf file or a .fid, which keep the blocks as they are, or add --one-scale";
            return fault(format!("{told}. What is asked for has one scale for each matrix"), remedy);
        }
        notes.push(told);
    }
    notes.extend(match form {
        Form::Bundle(options) => {
            write_bundle(model, path, options, many, &mut quantizer, &mut tell).map(|()| vec![])
        }
        Form::Folder(dtype) => write_folder(model, path, dtype, many, &mut quantizer, &mut tell),
        Form::Packed(dtype) => {
            check_folder(path)?;
            let mut work = |source: &mut dyn Exchange| write_packed_folder(path, source, dtype, &mut tell);
            with_scales(model, many, &mut quantizer, &mut work)?;
            Ok(vec![])
        }
        Form::Gguf(options) => {
            check_file(path)?;
            let mut work = |source: &mut dyn Exchange| gguf::write_model(path, source, options, &mut tell);
            with_scales(model, many, &mut quantizer, &mut work)
        }
    }?);
    Ok(notes)
}

/// Runs `work` on the model as a source, with one scale for each ternary matrix if that is asked for.
fn with_scales<T>(
    model: &Model,
    one: bool,
    quantizer: &mut EngineQuantizer,
    work: &mut dyn FnMut(&mut dyn Exchange) -> models::Result<T>,
) -> Result<T> {
    with_source(model, quantizer, |source| match one {
        true => work(&mut OneScale::new(source)?),
        false => work(source),
    })
}

fn write_bundle(
    model: &Model,
    path: &Path,
    options: PackOptions,
    one_scale: bool,
    quantizer: &mut EngineQuantizer,
    tell: &mut dyn FnMut(&str),
) -> Result<()> {
    check_file(path)?;
    match model {
        Model::Bundle(model) if !one_scale => repack(path, model, options, tell)?,
        Model::Gguf(_) | Model::Bundle(_) => {
            let mut again = EngineQuantizer::new(quantizer.0.clone());
            with_scales(model, one_scale, quantizer, &mut |source| {
                let mut files = vec![(CONFIG.to_owned(), json_text(&source.config().to_json()).into_bytes())];
                files.extend(source.files()?);
                let files: Vec<(&str, &[u8])> =
                    files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
                let config = source.config().clone();
                let mut source = PackSource::new(source, model.label());
                pack(path, &config, &files, &mut source, options, &mut again, tell)
            })?;
        }
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
    one_scale: bool,
    quantizer: &mut EngineQuantizer,
    tell: &mut dyn FnMut(&str),
) -> Result<Vec<String>> {
    check_folder(path)?;
    let options = SaveOptions { dtype, ..Default::default() };
    let mut notes = vec![];
    match model {
        Model::Gguf(_) => return through_bundle(model, path, dtype, one_scale, quantizer, tell),
        Model::Bundle(_) if one_scale => {
            return through_bundle(model, path, dtype, one_scale, quantizer, tell);
        }
        Model::Folder(packed) if packed.config.is_packed() => {
            return through_bundle(model, path, dtype, one_scale, quantizer, tell);
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

/// Master weights of a form that holds trits: by way of a bundle beside the folder, from which they are made.
fn through_bundle(
    model: &Model,
    path: &Path,
    dtype: FloatType,
    one_scale: bool,
    quantizer: &mut EngineQuantizer,
    tell: &mut dyn FnMut(&str),
) -> Result<Vec<String>> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.partial.{EXTENSION}", std::process::id()));
    let between = path.with_file_name(name);
    let made = write_bundle(model, &between, PackOptions::default(), one_scale, quantizer, &mut |_| {})
        .and_then(|()| Ok(ModelBundle::open(&between)?))
        .and_then(|bundle| {
            write_folder(&Model::Bundle(Box::new(bundle)), path, dtype, false, quantizer, tell)
        });
    let _ = std::fs::remove_file(&between);
    made
}

/// Runs `work` on the model as a source of trits and numbers.
fn with_source<T>(
    model: &Model,
    quantizer: &mut EngineQuantizer,
    work: impl FnOnce(&mut dyn Exchange) -> models::Result<T>,
) -> Result<T> {
    Ok(match model {
        Model::Folder(model) => {
            work(&mut exchange::FolderSource::new(&model.folder, model.config.clone(), quantizer))?
        }
        // Both share their maps.
        Model::Bundle(model) => work(&mut model.as_ref().clone())?,
        Model::Gguf(model) => work(&mut model.as_ref().clone())?,
        Model::Synthetic(model) => work(&mut Drawn { model, quantizer })?,
    })
}

fn check_file(path: &Path) -> Result<()> {
    if path.is_dir() {
        let cause = format!("cannot write {}: it is a folder", path.display());
        return fault(cause, format!("name a file that ends in .{EXTENSION} or .gguf"));
    }
    Ok(())
}

fn check_folder(path: &Path) -> Result<()> {
    if path.is_file() {
        let cause = format!("cannot write {}: it is a file", path.display());
        return fault(cause, "name a folder, or a file that ends in .fid or .gguf");
    }
    Ok(())
}

/// Random weights as a source.
struct Drawn<'a> {
    model: &'a Synthetic,
    quantizer: &'a mut EngineQuantizer,
}

impl Exchange for Drawn<'_> {
    fn config(&self) -> &ModelConfig {
        &self.model.config
    }

    fn files(&self) -> Result<Vec<(String, Vec<u8>)>, ModelError> {
        let files = self.model.files.iter().filter(|(name, _)| *name != CONFIG);
        Ok(files.map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect())
    }

    fn stored(&self, _name: &str) -> Result<GgmlType, ModelError> {
        Ok(GgmlType::F32)
    }

    fn numbers(&mut self, name: &str) -> Result<Cow<'_, [f32]>, ModelError> {
        let mut source = self.model;
        Ok(Cow::Owned(source.tensor(name)?.into_owned()))
    }

    fn trits(&mut self, name: &str) -> Result<(Vec<i8>, Scale), ModelError> {
        let tied = name == "lm_head.weight" && self.model.config.tie_word_embeddings();
        let mut source = self.model;
        let values = source.tensor(if tied { self.model.config.embedding() } else { name })?;
        let mut trits = vec![0; values.len()];
        let scale = self.quantizer.quantize(&values, &mut trits);
        Ok((trits, Scale::Divide(scale)))
    }
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
