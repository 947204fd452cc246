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
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::read::{Pair, Parsed};
pub use self::ternary::{Ternary, write_ternary};
pub use self::types::{GgmlType, I2_S_BLOCK, I2_S_TAIL};
pub use self::value::{Array, Value, ValueType};
pub use self::write::{GgufWriter, TensorSpec};
use crate::bundle::Section;
use crate::bundle::format::Fault;
use crate::error::{Result, WireError};
use crate::pages;
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

#[derive(Clone, Debug)]
struct Inner {
    path: PathBuf,
    storage: Arc<Storage>,
    /// Tensors that were copied, by their number.
    copies: BTreeMap<usize, Section>,
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
        let (path, storage, copies) = (path.to_owned(), Arc::new(storage), BTreeMap::new());
        let inner = Inner { path, storage, copies, parsed, keys, names };
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
        (0..self.inner.parsed.tensors.len()).map(|number| self.view(number))
    }

    /// Whether there is a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.inner.names.contains_key(name)
    }

    /// Copies tensors to memory that asks for huge pages ([`pages`]), from which they are lent afterwards, by
    /// this handle and by what is cloned from it from now on. What of the map is in memory for these tensors is given back
    /// piece by piece.
    ///
    /// # Errors
    /// [`WireError::Section`] for a name that there is not, [`WireError::Io`] where there is no memory.
    pub fn copy_to_huge_pages(&mut self, names: &[&str]) -> Result<()> {
        let mut numbers = names.iter().map(|name| self.number(name)).collect::<Result<Vec<_>>>()?;
        numbers.retain(|number| !self.inner.copies.contains_key(number));
        numbers.sort_unstable();
        numbers.dedup();
        let from: Vec<Range<usize>> = numbers.iter().map(|number| self.range(*number)).collect();
        let (storage, places) = Storage::copy_parts(&self.inner.storage, &from)
            .map_err(|error| WireError::io("copy", self.path(), error))?;
        let storage = Arc::new(storage);
        let sections = places.into_iter().map(|place| Section::new(storage.clone(), place));
        Arc::make_mut(&mut self.inner).copies.extend(numbers.into_iter().zip(sections));
        Ok(())
    }

    /// Bytes of copied tensors that lie on huge pages now, and of all that were copied; nothing where the system does not
    /// tell.
    pub fn huge_bytes(&self) -> Option<[usize; 2]> {
        let all = self.inner.copies.values().map(|copy| copy.len()).sum();
        let Some(first) = self.inner.copies.values().next() else { return Some([0, 0]) };
        Some([pages::huge_bytes(first)?.min(all), all])
    }

    /// Gives back memory in which a tensor was read from the map, for one that is not going to be read soon: whoever does
    /// gets it from the file again. Nothing happens to a name that there is not.
    pub fn release(&self, name: &str) {
        if let Ok(number) = self.number(name) {
            self.inner.storage.release(self.range(number));
        }
    }

    /// The tensor of that name, borrowed from the map.
    ///
    /// # Errors
    /// [`WireError::Section`] if there is none.
    pub fn tensor(&self, name: &str) -> Result<GgufTensor<'_>> {
        Ok(self.view(self.number(name)?))
    }

    /// The bytes of a tensor as a handle that keeps the map open for as long as it lives.
    ///
    /// # Errors
    /// [`WireError::Section`] if there is none of that name.
    pub fn section(&self, name: &str) -> Result<Section> {
        let number = self.number(name)?;
        let copy = self.inner.copies.get(&number).cloned();
        Ok(copy.unwrap_or_else(|| Section::new(self.inner.storage.clone(), self.range(number))))
    }

    fn number(&self, name: &str) -> Result<usize> {
        self.inner.names.get(name).copied().ok_or_else(|| WireError::Section {
            path: self.path().into(),
            section: name.into(),
            expected: "a tensor of this name".into(),
            found: format!("{} others", self.inner.names.len()),
            remedy: "check that the file holds this model",
        })
    }

    /// Where a tensor lies in the file.
    fn range(&self, number: usize) -> Range<usize> {
        let info = &self.inner.parsed.tensors[number];
        info.start..info.end
    }

    fn view(&self, number: usize) -> GgufTensor<'_> {
        let info = &self.inner.parsed.tensors[number];
        let bytes = match self.inner.copies.get(&number) {
            Some(copy) => copy,
            None => &self.inner.storage[info.start..info.end],
        };
        GgufTensor { name: &info.name, kind: info.kind, shape: &info.shape, bytes }
    }
}
