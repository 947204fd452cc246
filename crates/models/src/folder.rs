//! A model's folder in the layout of the Hugging Face `transformers` library.
//!
//! `config.json`, the weights in `model.safetensors` or in shards listed by `model.safetensors.index.json`, and
//! perhaps `generation_config.json` and `tokenizer.json`. [`ModelFolder::open`] presents all shards as one
//! [`Weights`] lookup, every tensor in place in its mapped file; [`save_folder`] writes the same layout so that
//! the reference loads it.
//!
//! Each file is replaced atomically, a folder of several files is not: a checkpoint that must survive a crash as
//! a whole goes to a new folder, which is then renamed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::atomic;
use crate::error::{ModelError, Result, shorten};
use crate::json;
use crate::mamba::original;
use crate::safetensors::{FloatType, NamedTensor, TensorFile, TensorView, missing, write};

/// Configuration of the architecture.
pub const CONFIG: &str = "config.json";
/// Token ids that generation starts and stops with.
pub const GENERATION_CONFIG: &str = "generation_config.json";
/// All weights, where one file holds them.
pub const WEIGHTS: &str = "model.safetensors";
/// Which shard holds which tensor.
pub const INDEX: &str = "model.safetensors.index.json";
/// All weights, as PyTorch saves them.
pub const TORCH_WEIGHTS: &str = "pytorch_model.bin";
/// Which shard of those holds which tensor.
pub const TORCH_INDEX: &str = "pytorch_model.bin.index.json";
/// Vocabulary and merges.
pub const TOKENIZER: &str = "tokenizer.json";

/// All tensors of a model, in one file or in several.
#[derive(Debug)]
pub struct Weights {
    path: PathBuf,
    files: Vec<TensorFile>,
    index: BTreeMap<String, usize>,
}

impl Weights {
    /// One safetensors file.
    ///
    /// # Errors
    /// As [`TensorFile::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let file = TensorFile::open(path)?;
        Ok(Self::from_file(file))
    }

    /// The tensors of a file that is already open.
    pub fn from_file(file: TensorFile) -> Self {
        let index = file.names().map(|name| (name.to_owned(), 0)).collect();
        Self { path: file.path().to_owned(), files: vec![file], index }
    }

    /// Gives tensors other names.
    fn rename(&mut self, name: impl Fn(&str) -> &str) {
        self.files.iter_mut().for_each(|file| file.rename(&name));
        let files = self.files.iter().enumerate();
        self.index = files.flat_map(|(k, file)| file.names().map(move |name| (name.to_owned(), k))).collect();
    }

    /// The file, or the index file of several.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The mapped files.
    pub fn files(&self) -> &[TensorFile] {
        &self.files
    }

    /// All names, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.index.keys().map(String::as_str)
    }

    /// True if there is a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    /// One tensor, borrowed from its file.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if there is none of that name.
    pub fn tensor(&self, name: &str) -> Result<TensorView<'_>> {
        match self.index.get(name) {
            Some(file) => self.files[*file].tensor(name),
            None => Err(missing(&self.path, name, self.names())),
        }
    }

    /// [`TensorView::to_f32`] of the tensor of that name.
    ///
    /// # Errors
    /// If there is none, or if it is not a float tensor.
    pub fn to_f32(&self, name: &str) -> Result<Vec<f32>> {
        self.tensor(name)?.to_f32()
    }

    /// [`TensorView::to_f64`] of the tensor of that name.
    ///
    /// # Errors
    /// If there is none, or if it is not a float tensor.
    pub fn to_f64(&self, name: &str) -> Result<Vec<f64>> {
        self.tensor(name)?.to_f64()
    }
}

/// A model's folder: its configuration as JSON and its weights, mapped.
#[derive(Debug)]
pub struct ModelFolder {
    dir: PathBuf,
    config: Value,
    weights: Weights,
    warnings: Vec<String>,
}

impl ModelFolder {
    /// Opens a folder; no tensor is read.
    ///
    /// # Errors
    /// [`ModelError::File`] if it lacks its configuration or weights, or holds them in a format that is not
    /// supported; the errors of [`json::read`] and [`TensorFile::open`]; an index that disagrees with its shards.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let kind = std::fs::metadata(dir).map_err(|error| ModelError::io("open", dir, error))?;
        if !kind.is_dir() {
            let remedy = format!("name the folder that holds {CONFIG}");
            return Err(ModelError::file(dir, "kind", "a folder", "a file", remedy));
        }
        let path = dir.join(CONFIG);
        if !path.is_file() {
            let remedy = format!("name the folder that holds {CONFIG}, or fetch that file too");
            return Err(ModelError::file(dir, "model folder", format!("a {CONFIG}"), "none", remedy));
        }
        let mut config = json::read(&path)?;
        let mut warnings = Vec::new();
        let mut weights = open_weights(dir, &mut warnings)?;
        if original::is_original(&config) {
            config = original::config(&path, &config)?;
            weights.rename(original::name);
        }
        Ok(Self { dir: dir.to_owned(), config, weights, warnings })
    }

    /// The folder itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Path of `config.json`.
    pub fn config_path(&self) -> PathBuf {
        self.dir.join(CONFIG)
    }

    /// Content of `config.json`.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// All tensors.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Path of `tokenizer.json`, if there is one.
    pub fn tokenizer_path(&self) -> Option<PathBuf> {
        Some(self.dir.join(TOKENIZER)).filter(|path| path.is_file())
    }

    /// Content of `generation_config.json`, if there is one.
    ///
    /// # Errors
    /// As [`json::read`].
    pub fn generation_config(&self) -> Result<Option<Value>> {
        let path = self.dir.join(GENERATION_CONFIG);
        if path.is_file() { json::read(&path).map(Some) } else { Ok(None) }
    }

    /// Oddities that do not stop the model from loading.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Finds the weights as `transformers` does: the single file first, then the index.
fn open_weights(dir: &Path, warnings: &mut Vec<String>) -> Result<Weights> {
    let single = dir.join(WEIGHTS);
    let index = dir.join(INDEX);
    if single.is_file() {
        if index.is_file() {
            warnings.push(format!("{}: both {WEIGHTS} and {INDEX}; the index is ignored", dir.display()));
        }
        return Weights::open(single);
    }
    if index.is_file() {
        return open_shards(dir, &index, warnings);
    }
    // What PyTorch wrote itself, as the third choice.
    let (single, index) = (dir.join(TORCH_WEIGHTS), dir.join(TORCH_INDEX));
    if single.is_file() {
        return Weights::open(single);
    }
    if index.is_file() {
        return open_shards(dir, &index, warnings);
    }
    let expected = format!("{WEIGHTS}, {INDEX} or {TORCH_WEIGHTS}");
    Err(ModelError::file(dir, "weights", expected, "none of them", "fetch the weights into this folder"))
}

fn open_shards(dir: &Path, index: &Path, warnings: &mut Vec<String>) -> Result<Weights> {
    const REMEDY: &str = "fetch the index and all shards again, from one revision";
    let content = json::read(index)?;
    let Some(map) = content.get("weight_map").and_then(Value::as_object) else {
        return Err(ModelError::file(
            index,
            "weight_map",
            "an object from tensor names to file names",
            "none",
            REMEDY,
        ));
    };
    let mut shards = BTreeMap::<&str, BTreeSet<&str>>::new();
    for (tensor, file) in map {
        // A name with a path in it could lead out of the folder.
        let Some(file) = file.as_str().filter(|name| is_plain_name(name)) else {
            return Err(ModelError::tensor(
                index,
                tensor,
                "the name of a file in this folder",
                file.to_string(),
                REMEDY,
            ));
        };
        shards.entry(file).or_default().insert(tensor);
    }
    let absent = shards.keys().filter(|name| !dir.join(name).is_file()).map(|name| (*name).to_owned());
    let absent = absent.collect::<Vec<_>>();
    if !absent.is_empty() {
        let expected = format!("{} shards in the folder", shards.len());
        let found = format!("{} of them missing: {}", absent.len(), shorten(&absent));
        return Err(ModelError::file(index, "weight_map", expected, found, "fetch the missing shards"));
    }
    let mut files = Vec::with_capacity(shards.len());
    let mut lookup = BTreeMap::new();
    for (name, promised) in &shards {
        let file = TensorFile::open(dir.join(name))?;
        let held = file.names().collect::<BTreeSet<_>>();
        let lost = promised.difference(&held).map(|name| format!("`{name}`")).collect::<Vec<_>>();
        let extra = held.difference(promised).map(|name| format!("`{name}`")).collect::<Vec<_>>();
        for (list, found) in [(&lost, "the shard lacks"), (&extra, "the index does not list for it")] {
            if !list.is_empty() {
                let expected = format!("the tensors that {} holds", file.path().display());
                return Err(ModelError::file(
                    index,
                    "weight_map",
                    expected,
                    format!("{found} {}", shorten(list)),
                    REMEDY,
                ));
            }
        }
        lookup.extend(promised.iter().map(|tensor| ((*tensor).to_owned(), files.len())));
        files.push(file);
    }
    let total = files.iter().map(TensorFile::data_len).sum::<u64>();
    let stated = content.pointer("/metadata/total_size").and_then(json::number);
    if stated.is_some_and(|stated| stated != total as f64) {
        warnings
            .push(format!("{}: total_size is not the {total} bytes that the shards hold", index.display()));
    }
    Ok(Weights { path: index.to_owned(), files, index: lookup })
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

/// How [`save_folder`] stores the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaveOptions {
    /// Precision of every float tensor.
    pub dtype: FloatType,
    /// Largest shard in bytes; a tensor that is larger has a shard of its own.
    pub max_shard_size: u64,
}

impl Default for SaveOptions {
    /// f32, and shards of 5 GB, the limit of `transformers`.
    fn default() -> Self {
        Self { dtype: FloatType::F32, max_shard_size: 5_000_000_000 }
    }
}

/// Writes `config.json`, `generation_config.json` and the weights, under the names `transformers` gives them.
///
/// Weights and index that an earlier save left and this one does not need are removed last; a tokenizer stays.
///
/// # Errors
/// [`ModelError::Tensor`] if a value does not fit `options.dtype`, and the errors of [`write()`]. The files that were
/// not reached yet are untouched.
pub fn save_folder(
    dir: &Path,
    config: &Value,
    tensors: &[NamedTensor<'_>],
    options: SaveOptions,
) -> Result<()> {
    let Some(fields) = config.as_object() else {
        return Err(ModelError::file(
            &dir.join(CONFIG),
            "content",
            "a JSON object",
            "another value",
            "pass an object",
        ));
    };
    std::fs::create_dir_all(dir).map_err(|error| ModelError::io("create", dir, error))?;
    let tensors = tensors
        .iter()
        .map(|tensor| match tensor.values.cast(options.dtype) {
            Ok(values) => Ok(NamedTensor { name: tensor.name.clone(), shape: tensor.shape.clone(), values }),
            Err(index) => {
                let expected = format!("values that {} can hold", options.dtype.torch_name());
                let found = format!("a larger one at element {index}");
                Err(ModelError::tensor(dir, &tensor.name, expected, found, "save as float32 or bfloat16"))
            }
        })
        .collect::<Result<Vec<_>>>()?;
    let old = old_weight_files(dir);
    let shards = split(tensors.iter().map(|t| t.values.byte_len() as u64), options.max_shard_size);
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let mut kept = BTreeSet::new();
    if shards.len() == 1 {
        write(&dir.join(WEIGHTS), &tensors, &metadata)?;
        kept.insert(WEIGHTS.to_owned());
    } else {
        let mut map = BTreeMap::new();
        for (number, range) in shards.iter().enumerate() {
            let shard = &tensors[range.clone()];
            let name = format!("model-{:05}-of-{:05}.safetensors", number + 1, shards.len());
            write(&dir.join(&name), shard, &metadata)?;
            map.extend(shard.iter().map(|tensor| (tensor.name.as_str(), name.clone())));
            kept.insert(name);
        }
        let total = tensors.iter().map(|tensor| tensor.values.byte_len() as u64).sum::<u64>();
        write_json(&dir.join(INDEX), &json!({ "metadata": { "total_size": total }, "weight_map": map }))?;
        kept.insert(INDEX.to_owned());
    }
    let mut config = fields.clone();
    config.insert("torch_dtype".into(), json!(options.dtype.torch_name()));
    write_json(&dir.join(CONFIG), &Value::Object(config))?;
    write_json(&dir.join(GENERATION_CONFIG), &generation_config(fields))?;
    for name in old.difference(&kept) {
        let path = dir.join(name);
        std::fs::remove_file(&path).map_err(|error| ModelError::io("remove", &path, error))?;
    }
    Ok(())
}

/// Files that would compete with, or be orphaned by, the weights about to be written.
fn old_weight_files(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| is_weight_file(name)).collect()
}

/// Weights under one of the names that `transformers` gives them, or their index.
pub(crate) fn is_weight_file(name: &str) -> bool {
    name == WEIGHTS || name == INDEX || is_shard_name(name)
}

/// `model-00001-of-00003.safetensors`.
fn is_shard_name(name: &str) -> bool {
    let numbers = name.strip_prefix("model-").and_then(|rest| rest.strip_suffix(".safetensors"));
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers.and_then(|numbers| numbers.split_once("-of-")).is_some_and(|(n, of)| digits(n) && digits(of))
}

/// Consecutive tensors, as many as fit into each shard; always at least one shard.
pub(crate) fn split(sizes: impl ExactSizeIterator<Item = u64>, limit: u64) -> Vec<Range<usize>> {
    let mut shards = Vec::new();
    let (mut start, mut filled) = (0, 0);
    let count = sizes.len();
    for (index, size) in sizes.enumerate() {
        if index > start && filled + size > limit {
            shards.push(start..index);
            (start, filled) = (index, 0);
        }
        filled += size;
    }
    shards.push(start..count);
    shards
}

/// The `generation_config.json` that `transformers` derives from a model's configuration.
pub fn generation_config(config: &Map<String, Value>) -> Value {
    let mut fields = Map::new();
    fields.insert("_from_model_config".into(), json!(true));
    for key in ["bos_token_id", "eos_token_id", "pad_token_id", "transformers_version"] {
        if let Some(value) = config.get(key).filter(|value| !value.is_null()) {
            fields.insert(key.into(), value.clone());
        }
    }
    Value::Object(fields)
}

/// Writes JSON atomically, with an indent of two, sorted keys and a final newline, as Python writes configurations.
///
/// # Errors
/// [`ModelError::Io`] if the file cannot be written.
pub fn write_json(path: &Path, value: &Value) -> Result<()> {
    atomic::write_bytes(path, json_text(value).as_bytes())
}

/// The text that [`write_json`] writes.
pub fn json_text(value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    format!("{value:#}\n")
}
