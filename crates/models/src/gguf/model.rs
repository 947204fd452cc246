//! A model in a GGUF file: its configuration from the metadata, its tensors under the names of the state dict.
//!
//! The keys of llama.cpp say what a model is; where they leave something open, `fidelity.config` (a `config.json`, which
//! files written here have) fills it in. The keys win, since other programs edit them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use axes::{BlockFormat, TritLayout};
use barewire::blocks;
use barewire::gguf::{GgmlType, Gguf, GgufTensor, Ternary, ValueType};
use serde_json::json;

use super::config::config;
use super::meta::CONVERT;
use super::names::{scale_of, to_gguf};
use super::tokenizer::{self, CHAT_TEMPLATE};
use crate::architecture::ModelConfig;
use crate::bundle::COMPANIONS;
use crate::error::{ModelError, Result};
use crate::folder::TOKENIZER;
use crate::tokenizer::Tokenizer;

/// A `config.json`, whole.
pub const CONFIG: &str = "fidelity.config";
/// Names of the tensors whose scale no reciprocal of an f32 is, and the scales.
pub const SCALES: [&str; 2] = ["fidelity.scales.names", "fidelity.scales.values"];

/// Before the name of a file that belongs to the model: its text.
pub const FILES: &str = "fidelity.files.";

/// A model whose weights are used where they lie in its file.
#[derive(Clone, Debug)]
pub struct GgufModel {
    file: Gguf,
    config: ModelConfig,
    warnings: Vec<String>,
}

/// What a ternary matrix's trits are multiplied or divided by. Both are kept as they are stored, because neither is
/// always the other's reciprocal in f32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// A weight is its trit times this: mean|W|.
    Multiply(f32),
    /// A weight is its trit divided by this: 1/mean|W|, the s of bundles and kernels.
    Divide(f32),
}

impl Scale {
    /// As a divisor.
    pub fn divisor(self) -> f32 {
        match self {
            Self::Multiply(d) => 1.0 / d,
            Self::Divide(s) => s,
        }
    }

    /// As a factor.
    pub fn factor(self) -> f32 {
        match self {
            Self::Multiply(d) => d,
            Self::Divide(s) => 1.0 / s,
        }
    }
}

/// The weights of a matrix.
#[derive(Clone, Copy, Debug)]
pub enum Matrix<'a> {
    /// Trits with one scale, in place.
    Ternary(Ternary<'a>, Scale),
    /// Blocks that are not that, with what products are multiplied by.
    Blocks(BlockFormat, GgufTensor<'a>, f32),
    /// f32.
    Floats(GgufTensor<'a>, f32),
}

impl GgufModel {
    /// Opens a file and checks its keys and its tensors' sizes.
    ///
    /// # Errors
    /// [`ModelError::Wire`] for a file that is no GGUF, [`ModelError::Field`] for keys that describe no model known here,
    /// [`ModelError::Tensor`] for a tensor that is missing or of another size.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::new(Gguf::open(path)?)
    }

    /// The same for a file that is open already.
    ///
    /// # Errors
    /// As [`open`](Self::open), without those of the file.
    pub fn new(file: Gguf) -> Result<Self> {
        let mut warnings = vec![];
        let config = config(&file, &mut warnings)?;
        let mut model = Self { file, config, warnings };
        model.check()?;
        model.set_formats()?;
        Ok(model)
    }

    /// The file.
    pub fn file(&self) -> &Gguf {
        &self.file
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// What the user should know.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Copies tensors, by their names in the state dict, to memory on huge pages
    /// ([`Gguf::copy_to_huge_pages`]).
    ///
    /// # Errors
    /// As [`Gguf::copy_to_huge_pages`].
    pub fn copy_to_huge_pages<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) -> Result<()> {
        let names: Vec<String> = names.into_iter().map(|name| to_gguf(&self.config, name)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Ok(self.file.copy_to_huge_pages(&names)?)
    }

    /// Gives back memory in which a tensor was read that is not going to be read soon ([`Gguf::release`]).
    pub fn release(&self, name: &str) {
        self.file.release(&to_gguf(&self.config, name));
    }

    /// The tokenizer, if the file has one.
    ///
    /// # Errors
    /// As [`tokenizer::tokenizer`].
    pub fn tokenizer(&self) -> Result<Option<Tokenizer>> {
        tokenizer::tokenizer(&self.file)
    }

    /// The template of conversations, if the file has one.
    pub fn chat_template(&self) -> Option<String> {
        self.file.get(CHAT_TEMPLATE)?.as_str().map(str::to_owned)
    }

    /// A tensor by its name in the state dict, as it lies.
    ///
    /// # Errors
    /// [`ModelError::Wire`] if there is none.
    pub fn tensor(&self, name: &str) -> Result<GgufTensor<'_>> {
        Ok(self.file.tensor(&to_gguf(&self.config, name))?)
    }

    /// A matrix by its name in the state dict. That all its numbers are trits shows when they are packed.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] for a type without codecs.
    pub fn matrix(&self, name: &str) -> Result<Matrix<'_>> {
        let tensor = self.tensor(name)?;
        let scale = self.scale_tensor(tensor.name)?;
        if let Some(ternary) = tensor.ternary()
            && (tensor.kind.is_ternary() || self.is_projection(name))
        {
            let mut whole = Scale::Multiply(ternary.scale() * scale);
            if let Some(s) = self.exact_scale(tensor.name)
                && Scale::Divide(s).factor() == whole.factor()
            {
                whole = Scale::Divide(s);
            }
            return Ok(Matrix::Ternary(ternary, whole));
        }
        Ok(match tensor.kind.format() {
            Some(format) => Matrix::Blocks(format, tensor, scale),
            None if tensor.kind == GgmlType::F32 => Matrix::Floats(tensor, scale),
            None => return Err(self.unsupported(&tensor)),
        })
    }

    /// Packed trits of a projection and their scale s; nothing where the numbers are not all −d, 0 or d.
    ///
    /// # Errors
    /// As [`matrix`](Self::matrix), and for a scale that is not a positive number.
    pub fn trits(&self, name: &str, layout: TritLayout, threads: usize) -> Result<Option<(Vec<u8>, Scale)>> {
        let [rows, columns] = self.tensor(name)?.matrix();
        // Sizes that a file has bytes for have fewer when they are packed.
        let mut bytes = vec![0; layout.bytes(rows, columns).unwrap_or(0)];
        Ok(self.trits_into(name, layout, threads, &mut bytes)?.map(|scale| (bytes, scale)))
    }

    /// The same into given memory of [`TritLayout::bytes`] bytes.
    ///
    /// # Errors
    /// As [`trits`](Self::trits).
    pub fn trits_into(
        &self,
        name: &str,
        layout: TritLayout,
        threads: usize,
        bytes: &mut [u8],
    ) -> Result<Option<Scale>> {
        let Matrix::Ternary(ternary, scale) = self.matrix(name)? else { return Ok(None) };
        if !ternary.packed_into(layout, threads, bytes) {
            return Ok(None);
        }
        let scale = match scale.factor() {
            // A matrix of zeros: the scale that its master weights would have.
            0.0 => Scale::Divide(1e5),
            d if d.is_finite() && d > 0.0 && scale.divisor().is_finite() => scale,
            d => {
                let (expected, found) = ("a positive finite scale", d.to_string());
                return Err(ModelError::tensor(self.file.path(), name, expected, found, CONVERT));
            }
        };
        Ok(Some(scale))
    }

    /// The numbers of a tensor by its name in the state dict, in place where they are f32.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] for a type without codecs.
    pub fn values(&self, name: &str) -> Result<Cow<'_, [f32]>> {
        let tensor = self.tensor(name)?;
        let scale = self.scale_tensor(tensor.name)?;
        if scale == 1.0
            && let Some(values) = tensor.f32s()
        {
            return Ok(Cow::Borrowed(values));
        }
        let mut values = self.decode(&tensor)?;
        if scale != 1.0 {
            values.iter_mut().for_each(|x| *x *= scale);
        }
        Ok(Cow::Owned(values))
    }

    /// The trits of a projection, row-major, and their scale.
    ///
    /// # Errors
    /// As [`trits`](Self::trits), and where the numbers are not all -d, 0 or d.
    pub fn unpacked(&self, name: &str) -> Result<(Vec<i8>, Scale)> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        if let Some((bytes, scale)) = self.trits(name, TritLayout::Bytes, threads)? {
            return Ok((bytes.into_iter().map(|byte| byte as i8).collect(), scale));
        }
        Err(self.not_ternary(name))
    }

    /// The error for a projection whose numbers are not trits with one scale.
    pub fn not_ternary(&self, name: &str) -> ModelError {
        let found =
            self.tensor(name).map_or_else(|_| "none".into(), |t| format!("{} of another kind", t.kind));
        let remedy = "its weights are no trits, or have a scale for each block: convert the model from its original weights";
        let theirs = to_gguf(&self.config, name);
        ModelError::tensor(self.file.path(), theirs, "trits times one scale", found, remedy)
    }

    /// The files that belong to the model: those that it was written with, or a tokenizer and a template made of the
    /// metadata.
    ///
    /// # Errors
    /// As [`tokenizer`](Self::tokenizer).
    pub fn files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut list: Vec<(String, Vec<u8>)> = vec![];
        for (key, value) in self.file.metadata() {
            // A name with a path in it could lead out of a folder.
            let name = key.strip_prefix(FILES).filter(|name| COMPANIONS.contains(name));
            if let (Some(name), Some(text)) = (name, value.as_str()) {
                list.push((name.to_owned(), text.as_bytes().to_vec()));
            }
        }
        if let Some(tokenizer) = self.tokenizer()? {
            list.push((TOKENIZER.into(), tokenizer.to_json().into_bytes()));
        }
        if let (Some(template), false) =
            (self.chat_template(), list.iter().any(|(name, _)| name == "tokenizer_config.json"))
        {
            let text = format!("{:#}\n", json!({ "chat_template": template }));
            list.push(("tokenizer_config.json".into(), text.into_bytes()));
        }
        Ok(list)
    }

    fn decode(&self, tensor: &GgufTensor<'_>) -> Result<Vec<f32>> {
        let [rows, columns] = tensor.matrix();
        if let Some(format) = tensor.kind.format() {
            return Ok(blocks::decode(format, columns, tensor.bytes)?);
        }
        if tensor.kind == GgmlType::F32 {
            return Ok(tensor.bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect());
        }
        let mut trits = vec![0; tensor.len()];
        match tensor.ternary() {
            Some(ternary) if ternary.unpack(0..rows, &mut trits) => {
                Ok(trits.iter().map(|t| f32::from(*t) * ternary.scale()).collect())
            }
            _ => Err(self.unsupported(tensor)),
        }
    }

    fn unsupported(&self, tensor: &GgufTensor<'_>) -> ModelError {
        let types: Vec<&str> = BlockFormat::ALL.iter().map(|format| GgmlType::of(*format).name()).collect();
        let expected = format!("F32, I2_S or one of {}", types.join(", "));
        let remedy =
            "quantise the model to one of these types with llama.cpp's llama-quantize, or fetch another file";
        ModelError::tensor(self.file.path(), tensor.name, expected, tensor.kind.name(), remedy)
    }

    fn is_projection(&self, name: &str) -> bool {
        // A head that is not ternary has the name of one that is.
        name.starts_with("model.layers.") && !name.contains("norm")
            || matches!(self.config, ModelConfig::MatMulFree(_))
    }

    /// The factor beside a tensor, 1 where there is none.
    pub(crate) fn scale_tensor(&self, tensor: &str) -> Result<f32> {
        let name = scale_of(tensor);
        if name == tensor || !self.file.contains(&name) {
            return Ok(1.0);
        }
        let scale = self.file.tensor(&name)?;
        match scale.f32s() {
            Some([scale]) if scale.is_finite() => Ok(*scale),
            _ => {
                let found = format!("{} {:?}", scale.kind, scale.shape);
                Err(ModelError::tensor(self.file.path(), name, "one finite number, F32", found, CONVERT))
            }
        }
    }

    /// The divisor that a factor stands for, where a writer kept it.
    fn exact_scale(&self, tensor: &str) -> Option<f32> {
        let names = self.file.get(SCALES[0])?;
        let values = self.file.get(SCALES[1])?;
        let at = names.as_array()?.iter_texts().position(|name| name == tensor.as_bytes())?;
        let value = values.as_array().filter(|array| array.kind() == ValueType::F32)?.iter().nth(at)?;
        value.as_f64().map(|s| s as f32)
    }

    fn check(&mut self) -> Result<()> {
        let path = self.file.path();
        // A hostile number of layers must not make a list that long.
        if self.file.tensors().len() < self.config.num_hidden_layers() {
            let expected = format!("those of {} layers", self.config.num_hidden_layers());
            let found = format!("{} tensors", self.file.tensors().len());
            return Err(ModelError::tensor(path, "blk", expected, found, CONVERT));
        }
        let mut known = BTreeSet::new();
        let mut expected = self.config.expected_tensors();
        if matches!(self.config, ModelConfig::MatMulFree(_)) && self.config.tie_word_embeddings() {
            // Its head is trits, made of the embedding before that was rounded.
            expected
                .push(("lm_head.weight".into(), vec![self.config.vocab_size(), self.config.hidden_size()]));
        }
        for (name, shape) in expected {
            let theirs = to_gguf(&self.config, &name);
            let found = self.file.tensor(&theirs).ok().map(|tensor| tensor.shape.to_vec());
            // Convolutions of one channel are stored without the 1.
            let same =
                |found: &Vec<usize>| found.iter().filter(|n| **n != 1).eq(shape.iter().filter(|n| **n != 1));
            if !found.as_ref().is_some_and(same) {
                let found = found.map_or("none".into(), |found| format!("{found:?}"));
                return Err(ModelError::tensor(path, theirs, format!("{shape:?}"), found, CONVERT));
            }
            known.insert(scale_of(&theirs));
            known.insert(theirs);
        }
        if let ModelConfig::Qwen3(_) = self.config {
            // What is left out of a sum is no matter of a warning.
            let bias = |name: &&str| name.starts_with("blk.") && name.ends_with(".bias");
            if let Some(name) = self.file.tensors().map(|t| t.name).find(bias) {
                let remedy = "use a model without biases: Qwen3 has none";
                return Err(ModelError::tensor(path, name, "no bias", "one", remedy));
            }
        }
        let label = path.display().to_string();
        let unused = self.file.tensors().filter(|t| !known.contains(t.name));
        let unused: Vec<String> =
            unused.map(|t| format!("{label}: tensor `{}` is not used", t.name)).collect();
        self.warnings.extend(unused);
        Ok(())
    }

    /// Notes which matrices lie in blocks, where the architecture takes them as they are.
    fn set_formats(&mut self) -> Result<()> {
        let ModelConfig::Qwen3(_) = &self.config else { return Ok(()) };
        let matrices = self.config.expected_tensors().into_iter().filter(|(_, shape)| shape.len() == 2);
        let mut formats = BTreeMap::new();
        for (name, _) in matrices {
            let tensor = self.tensor(&name)?;
            match tensor.kind.format() {
                // A product with blocks has no factor beside it: such a matrix is decoded.
                Some(format) if self.scale_tensor(tensor.name)? == 1.0 => {
                    formats.insert(name, format);
                }
                Some(_) => {}
                None if tensor.kind == GgmlType::F32 || tensor.ternary().is_some() => {}
                None => return Err(self.unsupported(&tensor)),
            }
        }
        self.set(formats)
    }

    fn set(&mut self, formats: BTreeMap<String, BlockFormat>) -> Result<()> {
        if let Some(config) = self.config.with_formats(self.file.path(), formats)? {
            self.config = config;
        }
        Ok(())
    }

    /// Takes projections for matrices in blocks, which are multiplied where they lie: those whose scales differ from block to
    /// block, as [`trits`](Self::trits) has found. An architecture without such matrices refuses them.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] for a projection in no blocks of few bits, which may be master weights, and for one with a
    /// scale beside it.
    pub fn keep_blocks(&mut self, names: &[String]) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let mut formats = self.config.formats().clone();
        for name in names {
            let tensor = self.tensor(name)?;
            let format = tensor.kind.format().filter(|format| format.block() > 1);
            match format {
                Some(format) if self.config.takes_blocks() && self.scale_tensor(tensor.name)? == 1.0 => {
                    formats.insert(name.clone(), format);
                }
                _ => return Err(self.not_ternary(name)),
            }
        }
        self.set(formats)?;
        self.warnings.push(format!(
            "{}: {} matrices have scales that differ from block to block; they are multiplied as they are, with activations \
             rounded by blocks",
            self.file.path().display(),
            names.len()
        ));
        Ok(())
    }

    /// Looks at every ternary matrix, and takes those for matrices in blocks whose scales differ within it.
    ///
    /// # Errors
    /// As [`trits`](Self::trits) and [`keep_blocks`](Self::keep_blocks).
    pub fn find_blocks(&mut self, threads: usize) -> Result<()> {
        let mut names = vec![];
        for name in self.config.projections() {
            if self.trits(&name, TritLayout::Compute, threads)?.is_none() {
                names.push(name);
            }
        }
        self.keep_blocks(&names)
    }
}
