//! GGUF, the model files of llama.cpp and of what descends from it: read where they lie, written from first to last.
//!
//! Everything is little-endian. A text is its length (u64) and that many bytes of UTF-8.
//!
//! | part | content |
//! |---|---|
//! | header | `GGUF`, version (u32, 2 or 3: the bytes are the same), number of tensors (u64), number of metadata keys (u64) |
//! | each key | name (text), type of the value (u32), value |
//! | value | a number, a bool (one byte), a text, or an array: type (u32), length (u64), that many values |
//! | each tensor | name (text), number of sizes (u32, at most 4), sizes (u64, *innermost first*), type (u32), offset (u64) |
//! | data | from the next multiple of the alignment on, tensors at their offsets from here, each a multiple of it |
//!
//! The alignment is `general.alignment`, or 32. Element types are [`GgmlType`], those of values [`ValueType`].
//!
//! [`Gguf::open`] maps a file and reads all but the data: counts and lengths are held against the bytes that are there
//! before anything is stored, names are given once, tensors lie inside the file and not over one another. Tensors are lent
//! as they lie ([`Gguf::tensor`]), or with a share of the map ([`Gguf::section`]). The format has no checksums: that the data
//! is what was written cannot be checked.
//!
//! ```
//! use barewire::gguf::{GgmlType, Gguf, GgufWriter, TensorSpec, Value};
//! let metadata = [("general.architecture".into(), Value::text("none"))];
//! let specs = [TensorSpec::new("w", GgmlType::F32, &[1, 2])];
//! let mut writer = GgufWriter::new(Vec::new(), &metadata, &specs)?;
//! writer.tensor("w", &[0; 8])?;
//! let file = Gguf::from_bytes(writer.finish()?)?;
//! assert_eq!(file.get("general.architecture").unwrap().as_str(), Some("none"));
//! assert_eq!(file.tensor("w")?.shape, [1, 2]);
//! # Ok::<(), barewire::WireError>(())
//! ```

mod read;
mod ternary;
mod types;
mod value;
mod write;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::read::{Info, Pair, Parsed};
pub use self::ternary::{Ternary, write_ternary};
pub use self::types::{GgmlType, I2_S_BLOCK, I2_S_TAIL};
pub use self::value::{Array, Value, ValueType};
pub use self::write::{GgufWriter, TensorSpec};
use crate::bundle::Section;
use crate::bundle::format::Fault;
use crate::error::{Result, WireError};
use crate::storage::{Storage, cast};

/// What every file starts with.
pub const MAGIC: [u8; 4] = *b"GGUF";
/// The key of the alignment.
pub const ALIGNMENT: &str = "general.alignment";
/// The alignment where no key says another.
pub const DEFAULT_ALIGNMENT: u64 = 32;
/// The versions that are read; the last one is written.
pub const VERSIONS: [u32; 2] = [2, 3];
/// How deep arrays may lie in one another.
pub const MAX_DEPTH: usize = 4;
/// Bytes that a key or a tensor's name may have at most: what ggml allows for keys.
pub const MAX_NAME: u64 = 65535;
/// Sizes that a tensor may have at most.
pub const MAX_RANK: u32 = 4;

/// An open file. Clones share the map.
#[derive(Clone, Debug)]
pub struct Gguf {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    storage: Arc<Storage>,
    parsed: Parsed,
    keys: BTreeMap<String, usize>,
    names: BTreeMap<String, usize>,
}

/// A tensor of a file, in place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GgufTensor<'a> {
    /// Its name.
    pub name: &'a str,
    /// Element type.
    pub kind: GgmlType,
    /// Sizes, outermost first (the file has them the other way round).
    pub shape: &'a [usize],
    /// The elements.
    pub bytes: &'a [u8],
}

impl<'a> GgufTensor<'a> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Never: every size is at least 1.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows and columns: all sizes but the last as one, and the last.
    pub fn matrix(&self) -> [usize; 2] {
        let columns = self.shape.last().copied().unwrap_or(1);
        [self.len() / columns.max(1), columns]
    }

    /// The elements in place, if they are f32, aligned, and this machine is little-endian.
    pub fn f32s(&self) -> Option<&'a [f32]> {
        cast(self.bytes).filter(|_| self.kind == GgmlType::F32)
    }
}

impl Gguf {
    /// Maps a file and reads all but its tensors' data.
    ///
    /// # Errors
    /// [`WireError::Io`] if the file cannot be opened or mapped, [`WireError::Format`] for the first thing in it that is
    /// not as the format has it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        // Before it is opened: to open a pipe would wait for whoever writes into it.
        let kind = std::fs::metadata(path).map_err(|error| WireError::io("open", path, error))?;
        if !kind.is_file() {
            return Err(WireError::Format {
                path: path.into(),
                part: "kind".into(),
                expected: "a regular file".into(),
                found: "a folder or device".into(),
                remedy: "name the file itself".into(),
            });
        }
        let file = File::open(path).map_err(|error| WireError::io("open", path, error))?;
        // An empty file cannot be mapped; the header's check then says what is wrong with it.
        let storage = if kind.len() == 0 {
            Storage::copy(&[])
        } else {
            Storage::map(&file).map_err(|error| WireError::io("map", path, error))?
        };
        Self::parse(path, storage)
    }

    /// The same from bytes in memory, which are copied to where they are aligned; errors call them "gguf".
    ///
    /// # Errors
    /// [`WireError::Format`], as [`open`](Self::open).
    pub fn from_bytes(bytes: impl AsRef<[u8]>) -> Result<Self> {
        Self::parse(Path::new("gguf"), Storage::copy(bytes.as_ref()))
    }

    fn parse(path: &Path, storage: Storage) -> Result<Self> {
        let parsed = read::parse(&storage).map_err(|Fault { part, expected, found, remedy }| {
            WireError::Format { path: path.into(), part, expected, found, remedy }
        })?;
        let keys = parsed.metadata.iter().enumerate().map(|(at, pair)| (pair.key.clone(), at)).collect();
        let names = parsed.tensors.iter().enumerate().map(|(at, info)| (info.name.clone(), at)).collect();
        let inner = Inner { path: path.to_owned(), storage: Arc::new(storage), parsed, keys, names };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The file's path, as given.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Bytes of the whole file.
    pub fn file_length(&self) -> u64 {
        self.inner.storage.len() as u64
    }

    /// Version of the format.
    pub fn version(&self) -> u32 {
        self.inner.parsed.version
    }

    /// What tensors' places are multiples of.
    pub fn alignment(&self) -> u64 {
        self.inner.parsed.alignment
    }

    /// First byte of the tensors' data.
    pub fn data_start(&self) -> usize {
        self.inner.parsed.data
    }

    /// Keys and values, in the file's order.
    pub fn metadata(&self) -> impl ExactSizeIterator<Item = (&str, Value<'_>)> {
        self.inner.parsed.metadata.iter().map(|pair| (pair.key.as_str(), self.value(pair)))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Value<'_>> {
        self.inner.keys.get(key).map(|at| self.value(&self.inner.parsed.metadata[*at]))
    }

    fn value(&self, pair: &Pair) -> Value<'_> {
        Value::decode(pair.kind, &self.inner.storage[pair.start..pair.end])
    }

    /// All tensors, in the file's order.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = GgufTensor<'_>> {
        self.inner.parsed.tensors.iter().map(|info| self.view(info))
    }

    /// Whether there is a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.inner.names.contains_key(name)
    }

    /// The tensor of that name, borrowed from the map.
    ///
    /// # Errors
    /// [`WireError::Section`] if there is none.
    pub fn tensor(&self, name: &str) -> Result<GgufTensor<'_>> {
        Ok(self.view(self.info(name)?))
    }

    /// The bytes of a tensor as a handle that keeps the map open for as long as it lives.
    ///
    /// # Errors
    /// [`WireError::Section`] if there is none of that name.
    pub fn section(&self, name: &str) -> Result<Section> {
        let info = self.info(name)?;
        Ok(Section::new(self.inner.storage.clone(), info.start..info.end))
    }

    fn info(&self, name: &str) -> Result<&Info> {
        let at = self.inner.names.get(name).ok_or_else(|| WireError::Section {
            path: self.path().into(),
            section: name.into(),
            expected: "a tensor of this name".into(),
            found: format!("{} others", self.inner.names.len()),
            remedy: "check that the file holds this model",
        })?;
        Ok(&self.inner.parsed.tensors[*at])
    }

    fn view<'a>(&'a self, info: &'a Info) -> GgufTensor<'a> {
        let bytes = &self.inner.storage[info.start..info.end];
        GgufTensor { name: &info.name, kind: info.kind, shape: &info.shape, bytes }
    }
}
