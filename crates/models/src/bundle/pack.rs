//! Writing a model's bundle, one tensor in memory at a time.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use axes::{BlockFormat, DType, TritLayout};
use barewire::{BundleWriter, Content, Spec, WireError, trits};
use half::bf16;

use super::{
    CONFIG, EMBEDDING_SCALE, Embedding, HEAD, LOWER_BOUNDS, LOWER_BOUNDS_EFF, ModelBundle, block_section,
    tied_trits,
};
use crate::architecture::ModelConfig;
use crate::atomic;
use crate::error::{ModelError, Result};
use crate::folder::Weights;

/// How an embedding is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EmbeddingType {
    /// As it is.
    #[default]
    F32,
    /// Half the size, 8 bits of significand.
    Bf16,
    /// A quarter: i8 with a scale for each row.
    I8,
    /// Blocks with scales of their own, as model files of other programs have them.
    Block(BlockFormat),
}

impl EmbeddingType {
    /// Every type of plain numbers.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::I8];

    /// The name in options: `f32`, `bf16`, `int8`, or that of the blocks.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::I8 => "int8",
            Self::Block(format) => format.name(),
        }
    }

    fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::I8 => DType::I8,
            Self::Block(_) => DType::U8,
        }
    }
}

/// How a bundle is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackOptions {
    /// How the trits lie.
    pub layout: TritLayout,
    /// How the embedding is stored, and a head that is not ternary; each as the source has it unless said, numbers as f32.
    pub embedding: Option<EmbeddingType>,
    /// The blocks of the matrices in the layers that are not ternary; each as the source has it unless said.
    pub matrices: Option<BlockFormat>,
}

impl Default for PackOptions {
    /// The layout that kernels read, and all else as it is.
    fn default() -> Self {
        Self { layout: TritLayout::Compute, embedding: None, matrices: None }
    }
}

/// The arithmetic by which weights become trits. It is passed in, because it has to be that of the engine that runs the
/// model, and the engine lies beside this crate.
pub trait Quantizer {
    /// The trit of each weight; returns the scale s.
    fn quantize(&mut self, weights: &[f32], trits: &mut [i8]) -> f32;

    /// `lower_bounds_eff` of `model.lower_bounds`, both (L, d).
    ///
    /// # Errors
    /// Whatever running the graph [`crate::architecture::Architecture::derived`] may give.
    fn lower_bounds(&mut self, config: &ModelConfig, bounds: &[f32]) -> Result<Vec<f32>>;
}

/// Where master weights come from: a folder's files, or a random generator.
pub trait Source {
    /// What errors call it.
    fn label(&self) -> &Path;

    /// The values of one parameter.
    ///
    /// # Errors
    /// If there is none of that name, or it is of no float type.
    fn tensor(&mut self, name: &str) -> Result<Cow<'_, [f32]>>;

    /// The trits and the scale of a projection, where the source has those and no master weights.
    ///
    /// # Errors
    /// Packed trits that are none.
    fn trits(&mut self, _name: &str) -> Result<Option<(Vec<i8>, f32)>> {
        Ok(None)
    }

    /// How the source holds a matrix that is not ternary: the bundle does as well, unless its options say otherwise.
    fn stored(&self, _name: &str) -> EmbeddingType {
        EmbeddingType::F32
    }

    /// The bytes of a matrix that the source holds in these blocks already.
    fn blocks(&self, _name: &str, _format: BlockFormat) -> Option<&[u8]> {
        None
    }
}

/// The weights of a folder, master weights or packed ones.
pub struct FolderSource<'a> {
    /// Its configuration.
    pub config: &'a ModelConfig,
    /// Its tensors.
    pub weights: &'a Weights,
}

impl Source for FolderSource<'_> {
    fn label(&self) -> &Path {
        self.weights.path()
    }

    fn tensor(&mut self, name: &str) -> Result<Cow<'_, [f32]>> {
        self.weights.tensor(name)?.as_f32()
    }

    fn trits(&mut self, name: &str) -> Result<Option<(Vec<i8>, f32)>> {
        if self.config.is_packed() { self.config.unpack(self.weights, name).map(Some) } else { Ok(None) }
    }
}

/// Writes the bundle of a model: to a temporary name, synced, renamed.
///
/// `files` are `config.json` and companions, name and content. `progress` is called before each tensor with its name.
///
/// # Errors
/// [`ModelError::Tensor`] for weights that are not finite and an embedding that does not fit its type, those of the
/// source, and [`ModelError::Io`] if the file cannot be written; what was there before is then untouched.
pub fn pack(
    path: &Path,
    config: &ModelConfig,
    files: &[(&str, &[u8])],
    source: &mut dyn Source,
    options: PackOptions,
    quantizer: &mut dyn Quantizer,
    progress: &mut dyn FnMut(&str),
) -> Result<()> {
    let specs = specs(config, files, options, &|name| source.stored(name))?;
    atomic::try_write(path, |out| {
        let mut writer = BundleWriter::new(out, &specs).map_err(|error| wire(path, error))?;
        for (name, bytes) in files {
            writer.section(name, bytes).map_err(|error| wire(path, error))?;
        }
        let mut packed = Vec::new();
        for spec in &specs[files.len()..] {
            progress(&spec.name);
            packed.clear();
            pack_section(&mut writer, spec, config, source, quantizer, &mut packed)
                .map_err(|error| locate(path, error))?;
        }
        writer.finish().map_err(|error| wire(path, error))?;
        Ok(())
    })
}

/// Quantises, rounds or copies one section. `scratch` is kept from matrix to matrix.
fn pack_section(
    writer: &mut BundleWriter<&mut dyn Write>,
    spec: &Spec,
    config: &ModelConfig,
    source: &mut dyn Source,
    quantizer: &mut dyn Quantizer,
    scratch: &mut Vec<i8>,
) -> Result<()> {
    let name = spec.name.as_str();
    match &spec.content {
        &Content::Trits { layout, shape: [rows, columns] } => {
            let tied = name == HEAD && config.tie_word_embeddings();
            let label = source.label().to_owned();
            if let Some((trits, scale)) = source.trits(name)? {
                writer.trits_with(name, scale, |out| {
                    trits::encode_to(layout, rows, columns, &trits, out).map_err(WireError::into_io)
                })?;
                return Ok(());
            }
            let weights = source.tensor(if tied { config.embedding() } else { name })?;
            scratch.resize(weights.len(), 0);
            let scale = match config.quantizer() {
                crate::frame::Quantizer::Absmean => quantizer.quantize(&weights, scratch),
                other => {
                    let (trits, scale) = other.quantize(&weights);
                    scratch.copy_from_slice(&trits);
                    scale
                }
            };
            if !(scale.is_finite() && scale > 0.0) {
                let at = weights.iter().position(|w| !w.is_finite());
                let found = match at {
                    Some(at) => format!("{} at element {at}", weights[at]),
                    None => "weights so large that their mean is infinite".into(),
                };
                let remedy = "train again from a checkpoint before the weights broke";
                return Err(ModelError::tensor(&label, name, "finite weights", found, remedy));
            }
            drop(weights);
            writer.trits_with(name, scale, |out| {
                trits::encode_to(layout, rows, columns, scratch, out).map_err(WireError::into_io)
            })?;
        }
        Content::Tensor { .. } if name == LOWER_BOUNDS_EFF => {
            let bounds = quantizer.lower_bounds(config, &source.tensor(LOWER_BOUNDS)?)?;
            writer.section_with(name, |out| put(out, &bounds, |x| x.to_le_bytes()))?;
        }
        Content::Tensor { .. } if name == EMBEDDING_SCALE => {
            let columns = config.hidden_size();
            let scales = row_scales(&source.tensor(config.embedding())?, columns);
            writer.section_with(name, |out| put(out, &scales, |x| x.to_le_bytes()))?;
        }
        Content::Tensor { dtype, shape } => {
            let label = source.label().to_owned();
            match block_of(name).filter(|_| *dtype == DType::U8) {
                Some((matrix, format)) => {
                    if let Some(bytes) = source.blocks(matrix, format) {
                        return Ok(writer.section(name, bytes)?);
                    }
                    let values = source.tensor(matrix)?;
                    put_blocks(writer, &label, name, format, &values, columns(format, shape))?;
                }
                None => {
                    let width = config.hidden_size();
                    put_numbers(writer, &label, name, *dtype, &source.tensor(name)?, width)?;
                }
            }
        }
        Content::Bytes { .. } => {}
    }
    Ok(())
}

/// The matrix and the format of a section of blocks, by its name.
fn block_of(section: &str) -> Option<(&str, BlockFormat)> {
    let (name, format) = section.rsplit_once('.')?;
    Some((name, format.parse().ok()?))
}

/// The columns of a matrix whose section has these sizes.
fn columns(format: BlockFormat, shape: &[usize]) -> usize {
    shape.last().map_or(0, |bytes| bytes / format.block_bytes() * format.block())
}

/// How each matrix of numbers is stored that may be stored in several ways.
fn wanted(
    config: &ModelConfig,
    options: PackOptions,
    stored: &dyn Fn(&str) -> EmbeddingType,
    name: &str,
) -> EmbeddingType {
    if config.storable().contains(&name) {
        return config.stored_as(options.embedding.unwrap_or_else(|| stored(name)));
    }
    match options.matrices.map_or_else(|| config.stored_as(stored(name)), EmbeddingType::Block) {
        EmbeddingType::Block(format) => EmbeddingType::Block(format),
        _ => EmbeddingType::F32,
    }
}

/// The sections of a model, files first.
fn specs(
    config: &ModelConfig,
    files: &[(&str, &[u8])],
    options: PackOptions,
    stored: &dyn Fn(&str) -> EmbeddingType,
) -> Result<Vec<Spec>> {
    let ternary = config.projections().into_iter().collect::<std::collections::BTreeSet<_>>();
    let storable = config.storable();
    let mut specs: Vec<Spec> = files.iter().map(|(name, bytes)| Spec::bytes(*name, bytes.len())).collect();
    for (name, shape) in config.expected_tensors() {
        let matrix = shape.len() == 2 && (config.takes_blocks() || storable.contains(&name.as_str()));
        let kind = if matrix && !ternary.contains(&name) {
            wanted(config, options, stored, &name)
        } else {
            EmbeddingType::F32
        };
        if let (true, &[rows, columns]) = (ternary.contains(&name), shape.as_slice()) {
            specs.push(Spec::trits(name, options.layout, rows, columns));
        } else if let (EmbeddingType::Block(format), &[rows, columns]) = (kind, shape.as_slice()) {
            let Some(row) = format.row_bytes(columns) else {
                return Err(ModelError::Value {
                    what: format!("type of `{name}`"),
                    expected: format!("one whose blocks divide its {columns} columns"),
                    found: format!("{format}, in blocks of {}", format.block()),
                    remedy: "store it as f32, f16 or bf16".into(),
                });
            };
            specs.push(Spec::tensor(block_section(&name, format), DType::U8, &[rows, row]));
        } else if name == config.embedding() {
            specs.push(Spec::tensor(name, kind.dtype(), &shape));
            if kind == EmbeddingType::I8 {
                specs.push(Spec::tensor(EMBEDDING_SCALE, DType::F32, &shape[..1]));
            }
        } else {
            let bounds = name == LOWER_BOUNDS;
            specs.push(Spec::tensor(name, DType::F32, &shape));
            if bounds {
                specs.push(Spec::tensor(LOWER_BOUNDS_EFF, DType::F32, &shape));
            }
        }
    }
    if tied_trits(config) {
        specs.push(Spec::trits(HEAD, options.layout, config.vocab_size(), config.hidden_size()));
    }
    Ok(specs)
}

/// Writes a bundle again in another layout or with another type of embedding; all else is copied as it is.
///
/// # Errors
/// As [`pack`](fn@pack).
pub fn repack(
    path: &Path,
    model: &ModelBundle,
    options: PackOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<()> {
    let bundle = model.bundle();
    let files: Vec<(&str, &[u8])> =
        std::iter::once((CONFIG, bundle.bytes(CONFIG)?)).chain(model.companions()).collect();
    let stored = |name: &str| model.stored_type(name);
    let specs = specs(model.config(), &files, options, &stored)?;
    let width = model.config().hidden_size();
    // A section of this name and type is there: its bytes stay.
    let same = |name: &str, content: &Content| bundle.entry(name).is_some_and(|e| e.content == *content);
    let embedding = model.config().embedding();
    atomic::try_write(path, |out| {
        let mut writer = BundleWriter::new(out, &specs).map_err(|error| wire(path, error))?;
        for (name, bytes) in &files {
            writer.section(name, bytes).map_err(|error| wire(path, error))?;
        }
        for Spec { name, content } in &specs[files.len()..] {
            progress(name);
            let result = match content {
                &Content::Trits { layout, shape: [rows, columns] } => {
                    let view = bundle.tensor(name)?;
                    let from = view.layout.unwrap_or(layout);
                    writer.trits_with(name, view.scale.unwrap_or(0.0), |out| {
                        trits::convert(from, layout, rows, columns, view.bytes, out)
                            .map_err(WireError::into_io)
                    })
                }
                _ if name == EMBEDDING_SCALE && model.stored_type(embedding) != EmbeddingType::I8 => {
                    let scales = row_scales(&stored_values(model, embedding)?, width);
                    writer.section_with(name, |out| put(out, &scales, |x| x.to_le_bytes()))
                }
                _ if same(name, content) => writer.section(name, bundle.tensor(name)?.bytes),
                Content::Tensor { dtype, shape } => match block_of(name).filter(|_| *dtype == DType::U8) {
                    Some((matrix, format)) => {
                        let values = stored_values(model, matrix)?;
                        put_blocks(&mut writer, bundle.path(), name, format, &values, columns(format, shape))
                            .map_err(|error| locate(path, error))?;
                        Ok(())
                    }
                    None => {
                        let values = stored_values(model, name)?;
                        put_numbers(&mut writer, bundle.path(), name, *dtype, &values, width)
                            .map_err(|error| locate(path, error))?;
                        Ok(())
                    }
                },
                Content::Bytes { .. } => Ok(()),
            };
            result.map_err(|error| wire(path, error))?;
        }
        writer.finish().map_err(|error| wire(path, error))?;
        Ok(())
    })
}

/// The embedding of a bundle, or another matrix that may be stored as it is, as f32, (V, d).
///
/// # Errors
/// None after [`ModelBundle::open`], for a matrix that it has.
pub(crate) fn stored_values<'a>(model: &'a ModelBundle, name: &str) -> Result<Cow<'a, [f32]>> {
    Ok(match model.stored(name)? {
        Embedding::Block(format, view) => {
            Cow::Owned(barewire::blocks::decode(format, columns(format, view.shape), view.bytes)?)
        }
        Embedding::F32(view) => match view.f32s() {
            Some(values) => Cow::Borrowed(values),
            None => Cow::Owned(f32s(view.bytes)),
        },
        Embedding::Bf16(view) => {
            let (pairs, _) = view.bytes.as_chunks::<2>();
            Cow::Owned(pairs.iter().map(|pair| bf16::from_le_bytes(*pair).to_f32()).collect())
        }
        Embedding::I8(view, scales) => {
            let rows = view.bytes.chunks_exact(model.config().hidden_size());
            let rows = rows.zip(f32s(scales.bytes));
            Cow::Owned(rows.flat_map(|(row, s)| row.iter().map(move |q| f32::from(*q as i8) * s)).collect())
        }
    })
}

/// Little-endian bytes as numbers.
pub(super) fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

fn absmax(row: &[f32]) -> f32 {
    row.iter().fold(0.0, |most: f32, w| most.max(w.abs()))
}

/// absmax / 127 of each row.
fn row_scales(values: &[f32], columns: usize) -> Vec<f32> {
    values.chunks_exact(columns).map(|row| absmax(row) / 127.0).collect()
}

/// Numbers in blocks, some rows at a time.
fn put_blocks(
    writer: &mut BundleWriter<&mut dyn Write>,
    label: &Path,
    name: &str,
    format: BlockFormat,
    values: &[f32],
    columns: usize,
) -> Result<()> {
    if let Some(at) = values.iter().position(|x| !x.is_finite()) {
        let found = format!("{} at element {at}", values[at]);
        return Err(ModelError::tensor(label, name, "finite weights", found, "store the embedding as f32"));
    }
    writer.section_with(name, |out| {
        let mut failed = None;
        for rows in values.chunks(columns * (1_usize << 23).div_ceil(columns)) {
            match barewire::blocks::encode(format, columns, rows) {
                Ok(bytes) => out.write_all(&bytes)?,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into_io()))
    })?;
    Ok(())
}

/// Numbers in a type that a bundle stores them in.
fn put_numbers(
    writer: &mut BundleWriter<&mut dyn Write>,
    label: &Path,
    name: &str,
    dtype: DType,
    values: &[f32],
    columns: usize,
) -> Result<()> {
    let fits = |x: f32| match dtype {
        DType::BF16 => !x.is_finite() || bf16::from_f32(x).is_finite(),
        DType::I8 => x.is_finite(),
        _ => true,
    };
    if let Some(at) = values.iter().position(|x| !fits(*x)) {
        let (expected, found) =
            (format!("values that {dtype} can hold"), format!("{} at element {at}", values[at]));
        return Err(ModelError::tensor(label, name, expected, found, "store the embedding as f32"));
    }
    writer.section_with(name, |out| match dtype {
        DType::BF16 => put(out, values, |x| bf16::from_f32(x).to_le_bytes()),
        DType::I8 => values.chunks_exact(columns).try_for_each(|row| {
            let most = f64::from(absmax(row));
            // A row of zeros has no scale to divide by.
            let level =
                |w: f32| if most == 0.0 { 0.0 } else { (f64::from(w) * 127.0 / most).round_ties_even() };
            put(out, row, |w| (level(w) as i8).to_le_bytes())
        }),
        _ => put(out, values, f32::to_le_bytes),
    })?;
    Ok(())
}

/// Encodes through a buffer of a few pages: a call of `write` per element would dominate the time.
fn put<T: Copy, const N: usize>(
    out: &mut dyn Write,
    values: &[T],
    encode: impl Fn(T) -> [u8; N],
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(N * values.len().min(4096));
    for block in values.chunks(4096) {
        buffer.clear();
        buffer.extend(block.iter().flat_map(|value| encode(*value)));
        out.write_all(&buffer)?;
    }
    Ok(())
}

/// Gives an output error the name of the file that could not be written.
fn wire(path: &Path, error: WireError) -> ModelError {
    match error {
        WireError::Output(source) => ModelError::io("write", path, source),
        other => other.into(),
    }
}

fn locate(path: &Path, error: ModelError) -> ModelError {
    match error {
        ModelError::Wire(error) => wire(path, error),
        other => other,
    }
}
