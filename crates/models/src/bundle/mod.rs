//! A model inside a bundle: what its sections are called and what they hold.
//!
//! | section | content |
//! |---|---|
//! | `config.json` and the [`COMPANIONS`] that the folder had | bytes, as they were |
//! | every projection, under its name in the state dict (`model.layers.0.attn.i_proj.weight`, …, `lm_head.weight`) | trits, with the scale s in the table |
//! | `model.embeddings.weight` | f32, bf16 or i8, (V, d) |
//! | `model.embeddings.weight.scale` | f32 (V): only beside an i8 embedding, whose row r is q times its scale |
//! | `model.lower_bounds` | f32 (L, d), as trained |
//! | `lower_bounds_eff` | f32 (L, d): what a running model adds, computed once |
//! | norms and convolutions, under their names in the state dict | f32 |
//! | `NAME.FORMAT` (`model.embed_tokens.weight.q6_k`) | u8 (rows, bytes of a row): a matrix in blocks, such as the embedding, a head that is not ternary, any matrix of Qwen3, a matrix of BitNet whose blocks have scales of their own |
//!
//! The order is that of the state dict, `lower_bounds_eff` behind `model.lower_bounds`, and the head's trits last where the
//! head shares the embedding's weight: they are a section of their own then too, made of the weight before the embedding
//! was rounded.
//!
//! Trits and scales are those of the model's own quantiser (s = 1/max(mean|W|, 1e-5), t = clamp(round_half_even(W s), −1, 1));
//! who packs passes the arithmetic in ([`Quantizer`]), so that a packed model and the same model from a folder compute with
//! the same numbers to the last bit. The embedding in i8 has, for each row, q = round_half_even(w · 127 / absmax) and
//! scale = absmax / 127; a row of zeros has scale 0.
//!
//! [`pack`](fn@pack) writes, [`ModelBundle::open`] reads and checks, [`unpack`] turns packed weights into master weights.

mod pack;
pub mod unpack;

use std::collections::BTreeSet;
use std::path::Path;

use axes::{BlockFormat, DType, TritLayout};
use barewire::{Bundle, Content, TensorView};
use serde_json::Value;

pub(crate) use self::pack::stored_values;
pub use self::pack::{EmbeddingType, FolderSource, PackOptions, Quantizer, Source, pack, repack};
use crate::architecture::ModelConfig;
use crate::error::{ModelError, Result};
use crate::folder::{CONFIG, GENERATION_CONFIG, TOKENIZER};
use crate::json;

/// The end of a bundle's name.
pub const EXTENSION: &str = "fid";
/// The embedding of the MatMul-free language model.
pub const EMBEDDING: &str = "model.embeddings.weight";
/// The head.
const HEAD: &str = "lm_head.weight";
/// The scales of the rows of an i8 embedding.
pub const EMBEDDING_SCALE: &str = "model.embeddings.weight.scale";
/// Lower bounds of the forget gates as trained.
pub const LOWER_BOUNDS: &str = "model.lower_bounds";
/// Lower bounds as a running model uses them.
pub const LOWER_BOUNDS_EFF: &str = "lower_bounds_eff";
/// Files beside the weights that go into a bundle and come out of it as they are.
pub const COMPANIONS: &[&str] = &[
    GENERATION_CONFIG,
    TOKENIZER,
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
];

const REMEDY: &str = "pack the model again with this version";

/// A bundle whose sections are those of the model that its configuration describes.
#[derive(Clone, Debug)]
pub struct ModelBundle {
    bundle: Bundle,
    config: ModelConfig,
    warnings: Vec<String>,
}

/// The embedding of a bundle, in place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Embedding<'a> {
    /// f32 (V, d).
    F32(TensorView<'a>),
    /// bf16 (V, d).
    Bf16(TensorView<'a>),
    /// i8 (V, d), and the scale of each row, f32 (V).
    I8(TensorView<'a>, TensorView<'a>),
    /// u8 (V, bytes of a row).
    Block(BlockFormat, TensorView<'a>),
}

impl ModelBundle {
    /// Opens a bundle and checks every byte of it, then its sections against its configuration.
    ///
    /// # Errors
    /// [`ModelError::Wire`] for a file that is no sound bundle, the errors of [`ModelConfig::from_json`], and
    /// [`ModelError::Tensor`] for a section that is missing or of another type or size.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::new(Bundle::open(path)?)
    }

    /// The same for a bundle that is open already.
    ///
    /// # Errors
    /// As [`open`](Self::open), without those of the file.
    pub fn new(bundle: Bundle) -> Result<Self> {
        let label = bundle.path().join(CONFIG);
        let text = std::str::from_utf8(bundle.bytes(CONFIG)?).map_err(|error| {
            let found = format!("byte {} is not", error.valid_up_to());
            ModelError::file(&label, "content", "UTF-8 text", found, REMEDY)
        })?;
        let parsed = ModelConfig::from_json(&label, &json::parse(&label, text)?)?;
        let mut model = Self { bundle, config: parsed.config, warnings: parsed.warnings };
        model.check()?;
        Ok(model)
    }

    /// The bundle itself.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// What the user should know.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The text of `tokenizer.json`, if there is one.
    ///
    /// # Errors
    /// [`ModelError::File`] if it is not UTF-8.
    pub fn tokenizer_json(&self) -> Result<Option<&str>> {
        self.text(TOKENIZER)
    }

    /// Content of `generation_config.json`, if there is one.
    ///
    /// # Errors
    /// As [`json::parse`].
    pub fn generation_config(&self) -> Result<Option<Value>> {
        let label = self.bundle.path().join(GENERATION_CONFIG);
        self.text(GENERATION_CONFIG)?.map(|text| json::parse(&label, text)).transpose()
    }

    /// The companions that are there: name and content.
    pub fn companions(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        COMPANIONS.iter().filter_map(|name| Some((*name, self.bundle.bytes(name).ok()?)))
    }

    fn text(&self, name: &str) -> Result<Option<&str>> {
        let Ok(bytes) = self.bundle.bytes(name) else { return Ok(None) };
        std::str::from_utf8(bytes).map(Some).map_err(|error| {
            let found = format!("byte {} is not", error.valid_up_to());
            ModelError::file(&self.bundle.path().join(name), "content", "UTF-8 text", found, REMEDY)
        })
    }

    /// The embedding.
    ///
    /// # Errors
    /// None after [`open`](Self::open), which has looked.
    pub fn embedding(&self) -> Result<Embedding<'_>> {
        self.stored(self.config.embedding())
    }

    /// A matrix that may be stored in several ways ([`crate::architecture::Architecture::storable`], any matrix of an
    /// architecture that [takes blocks](ModelConfig::takes_blocks)), as it lies.
    ///
    /// # Errors
    /// [`ModelError::Wire`] for a name that the bundle does not have.
    pub fn stored(&self, name: &str) -> Result<Embedding<'_>> {
        if let Some((format, section)) = self.blocks_of(name) {
            return Ok(Embedding::Block(format, self.bundle.tensor(&section)?));
        }
        let view = self.bundle.tensor(name)?;
        Ok(match view.dtype {
            DType::BF16 => Embedding::Bf16(view),
            DType::I8 => Embedding::I8(view, self.bundle.tensor(EMBEDDING_SCALE)?),
            _ => Embedding::F32(view),
        })
    }

    /// How the embedding is stored.
    pub fn embedding_type(&self) -> EmbeddingType {
        self.stored_type(self.config.embedding())
    }

    /// How such a matrix is stored.
    pub fn stored_type(&self, name: &str) -> EmbeddingType {
        if let Some((format, _)) = self.blocks_of(name) {
            return EmbeddingType::Block(format);
        }
        match self.bundle.tensor(name).map(|view| view.dtype) {
            Ok(DType::BF16) => EmbeddingType::Bf16,
            Ok(DType::I8) => EmbeddingType::I8,
            _ => EmbeddingType::F32,
        }
    }

    /// The format of a matrix that lies in blocks, and what its section is called.
    fn blocks_of(&self, name: &str) -> Option<(BlockFormat, String)> {
        let sections = BlockFormat::ALL.map(|format| (format, block_section(name, format)));
        sections.into_iter().find(|(_, section)| self.bundle.entry(section).is_some())
    }

    /// The layout of the projections' trits, if all have one.
    pub fn layout(&self) -> Option<TritLayout> {
        let mut layouts = self.bundle.tensors().filter_map(|view| view.layout);
        let first = layouts.next()?;
        layouts.all(|layout| layout == first).then_some(first)
    }

    fn check(&mut self) -> Result<()> {
        let path = self.bundle.path().to_owned();
        let wrong = |name: &str, expected: String, found: String| {
            Err(ModelError::tensor(&path, name, expected, found, REMEDY))
        };
        // A hostile number of layers must not make a list that long.
        if self.bundle.entries().len() < self.config.num_hidden_layers() {
            let expected = format!("those of {} layers", self.config.num_hidden_layers());
            return wrong("model.layers", expected, format!("{} sections", self.bundle.entries().len()));
        }
        self.set_formats()?;
        let mut known = BTreeSet::new();
        for (name, content) in self.expected() {
            let Some(entry) = self.bundle.entry(&name) else {
                return wrong(&name, content, "none".into());
            };
            let found = describe(&entry.content);
            if found != content {
                return wrong(&name, content, found);
            }
            known.insert(name);
        }
        for entry in self.bundle.entries() {
            let name = entry.name.as_str();
            if !known.contains(name) && name != CONFIG && !COMPANIONS.contains(&name) {
                self.warnings.push(format!("{}: section `{name}` is not used", path.display()));
            }
        }
        Ok(())
    }

    /// Notes which matrices lie in blocks, where the architecture takes any so.
    fn set_formats(&mut self) -> Result<()> {
        if !self.config.takes_blocks() {
            return Ok(());
        }
        let mut formats = std::collections::BTreeMap::new();
        for (name, shape) in self.config.expected_tensors() {
            // Columns that are no whole blocks are found to be another section than what is expected.
            if let (&[_, columns], Some((format, _))) = (shape.as_slice(), self.blocks_of(&name))
                && format.row_bytes(columns).is_some()
            {
                formats.insert(name, format);
            }
        }
        if let Some(config) = self.config.with_formats(self.bundle.path(), formats)? {
            self.config = config;
        }
        Ok(())
    }

    /// Name and description of every section that the configuration asks for. What may be of several types is described
    /// as the type it has here.
    fn expected(&self) -> Vec<(String, String)> {
        let c = &self.config;
        let ternary = c.projections().into_iter().collect::<BTreeSet<_>>();
        let storable = c.storable();
        let here = |name: &str| self.bundle.entry(name).map(|entry| &entry.content);
        let mut list = vec![];
        let trits = |name: String, shape: [usize; 2]| {
            let layout = match here(&name) {
                Some(Content::Trits { layout, .. }) => *layout,
                _ => TritLayout::Compute,
            };
            (name, describe(&Content::Trits { layout, shape }))
        };
        let numbers = |name: String, dtype: DType, shape: &[usize]| {
            (name, describe(&Content::Tensor { dtype, shape: shape.to_vec() }))
        };
        for (name, shape) in c.expected_tensors() {
            if let (true, &[rows, columns]) = (ternary.contains(&name), shape.as_slice()) {
                list.push(trits(name, [rows, columns]));
            } else if let (true, Some((format, section)), &[rows, columns]) = (
                storable.contains(&name.as_str()) || c.formats().contains_key(&name),
                self.blocks_of(&name),
                shape.as_slice(),
            ) {
                // Columns that are no whole blocks make a section of no bytes, which is not what is there.
                list.push(numbers(section, DType::U8, &[rows, format.row_bytes(columns).unwrap_or(0)]));
            } else if name == EMBEDDING {
                let dtype = match here(EMBEDDING) {
                    Some(Content::Tensor { dtype: dtype @ (DType::BF16 | DType::I8), .. }) => *dtype,
                    _ => DType::F32,
                };
                list.push(numbers(name, dtype, &shape));
                if dtype == DType::I8 {
                    list.push(numbers(EMBEDDING_SCALE.into(), DType::F32, &shape[..1]));
                }
            } else {
                let bounds = name == LOWER_BOUNDS;
                list.push(numbers(name, DType::F32, &shape));
                if bounds {
                    list.push(numbers(LOWER_BOUNDS_EFF.into(), DType::F32, &shape));
                }
            }
        }
        if tied_trits(c) {
            list.push(trits(HEAD.into(), [c.vocab_size(), c.hidden_size()]));
        }
        list
    }
}

/// Whether the head shares the embedding's weight and has trits of its own of it.
fn tied_trits(c: &ModelConfig) -> bool {
    c.tie_word_embeddings() && c.projections().iter().any(|name| name == HEAD)
}

/// What the section of a matrix in blocks is called: `model.embed_tokens.weight.q6_k`.
pub fn block_section(name: &str, format: BlockFormat) -> String {
    format!("{name}.{format}")
}

/// Type and sizes in words.
fn describe(content: &Content) -> String {
    match content {
        Content::Bytes { .. } => "bytes".into(),
        Content::Tensor { dtype, shape } => format!("{dtype} {shape:?}"),
        Content::Trits { layout, shape } => format!("trits ({layout}) {shape:?}"),
    }
}
