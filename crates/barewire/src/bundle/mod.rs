//! The bundle: one file that holds a model, opened by mapping it and used where it lies.
//!
//! A bundle is a header of 64 bytes, sections, and a table that names and describes them; docs/bundle.md has it byte by
//! byte. Integers and numbers are little-endian.
//!
//! | header | bytes | |
//! |---|---|---|
//! | magic | 0..8 | `89 46 49 44 0d 0a 1a 0a` |
//! | version | 8..12 | u32, 1 |
//! | flags | 12..16 | u32, 0; a reader refuses bits that it does not know |
//! | file length | 16..24 | u64 |
//! | table offset | 24..32 | u64, a multiple of 64 |
//! | table length | 32..40 | u64; the table ends where the file does |
//! | sections | 40..44 | u32 |
//! | reserved | 44..60 | zeros |
//! | checksum | 60..64 | u32, CRC-32C of bytes 0..60 |
//!
//! | table entry | bytes | |
//! |---|---|---|
//! | offset | 0..8 | u64, from the start of the file |
//! | length | 8..16 | u64 |
//! | checksum | 16..20 | u32, CRC-32C of the section's bytes |
//! | kind | 20 | 0 bytes, 1 tensor |
//! | dtype | 21 | 1 f64, 2 f32, 3 bf16, 4 f16, 5 i64, 6 i32, 7 i8, 8 u8, 9 bool, 10 trits; 0 for bytes |
//! | trit layout | 22 | 1 bytes, 2 compute, 3 interchange, 4 storage; 0 for all else |
//! | rank | 23 | number of sizes, at most 8; 2 for trits |
//! | scale | 24..28 | f32, positive and finite, of trits (weight = trit / scale); 0 for all else |
//! | name length | 28..30 | u16, 1 to 1024 |
//! | reserved | 30..32 | zeros |
//! | sizes | 32.. | u64 each, outermost first, at least 1 |
//! | name | | UTF-8 without control characters, then zeros up to a multiple of 8 |
//!
//! The entries stand in the order of the sections; behind the last one come the CRC-32C of them all (u32) and four zeros.
//! Each section starts at the first multiple of 64 (512 for trits) behind the one before, the table at the first multiple
//! of 64 behind the last; between them are zeros. So contents alone determine every place, and one bundle has one form.
//!
//! Opening checks all of it, in this order: header, table, names, places (by checked arithmetic, before anything is
//! read through them), checksums, codes of trits and their padding, zeros between sections. A byte that is not as it
//! was written is always found: each lies under a checksum or has to be zero.

pub(crate) mod format;
mod verify;
mod write;

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axes::{DType, TritLayout};
use half::bf16;

pub use self::format::{
    Content, Entry, HEADER, MAGIC, MATRIX_ALIGN, MAX_NAME, MAX_RANK, SECTION_ALIGN, VERSION,
};
use self::format::{Fault, read_header, read_table};

pub use self::write::{BundleWriter, Spec};
use crate::error::{Result, WireError};
use crate::pages;
use crate::storage::{Storage, cast};
use crate::trits::PackedTrits;

/// An open bundle, checked in full. Clones share the map.
#[derive(Clone, Debug)]
pub struct Bundle {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    storage: Arc<Storage>,
    entries: Vec<Entry>,
    index: BTreeMap<String, usize>,
}

impl Bundle {
    /// Maps a file and checks every byte of it; what is allocated does not grow with the sections.
    ///
    /// # Errors
    /// [`WireError::Io`] if the file cannot be opened or mapped, [`WireError::Format`] for the first thing in it that is
    /// not as a writer writes it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_as(path.as_ref(), false)
    }

    /// The same on a copy in memory that asks for huge pages, read and checked on several threads without a map. Reading
    /// weights walks fewer page tables then; it costs the file's size in memory that no other process shares, and the time
    /// to copy ([`pages`]).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on_huge_pages(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_as(path.as_ref(), true)
    }

    fn open_as(path: &Path, huge: bool) -> Result<Self> {
        // Before it is opened: to open a pipe would wait for whoever writes into it.
        let kind = std::fs::metadata(path).map_err(|error| WireError::io("open", path, error))?;
        if !kind.is_file() {
            let (expected, found) = ("a regular file".into(), "a folder or device".into());
            let remedy = "name the bundle itself".into();
            return Err(WireError::Format {
                path: path.into(),
                part: "kind".into(),
                expected,
                found,
                remedy,
            });
        }
        let file = File::open(path).map_err(|error| WireError::io("open", path, error))?;
        let data = file.metadata().map_err(|error| WireError::io("read", path, error))?;
        // An empty file cannot be mapped; the header's check then says what is wrong with it.
        let storage = if data.len() == 0 {
            Storage::copy(&[])
        } else if huge {
            let length = usize::try_from(data.len()).map_err(|_| {
                WireError::io("read", path, std::io::Error::from(std::io::ErrorKind::OutOfMemory))
            })?;
            Storage::read(&file, length).map_err(|error| WireError::io("read", path, error))?
        } else {
            Storage::map(&file).map_err(|error| WireError::io("map", path, error))?
        };
        Self::parse(path, storage)
    }

    /// The same from bytes in memory, which are copied to where they are aligned; errors call them "bundle".
    ///
    /// # Errors
    /// [`WireError::Format`], as [`open`](Self::open).
    pub fn from_bytes(bytes: impl AsRef<[u8]>) -> Result<Self> {
        Self::parse(Path::new("bundle"), Storage::copy(bytes.as_ref()))
    }

    fn parse(path: &Path, storage: Storage) -> Result<Self> {
        let entries = Self::check(&storage).map_err(|Fault { part, expected, found, remedy }| {
            WireError::Format { path: path.into(), part, expected, found, remedy }
        })?;
        let index = entries.iter().enumerate().map(|(at, entry)| (entry.name.clone(), at)).collect();
        let inner = Inner { path: path.to_owned(), storage: Arc::new(storage), entries, index };
        Ok(Self { inner: Arc::new(inner) })
    }

    fn check(file: &[u8]) -> std::result::Result<Vec<Entry>, Fault> {
        let header = read_header(file)?;
        let entries = read_table(file, &header)?;
        verify::verify(file, &entries, header.table as usize)?;
        Ok(entries)
    }

    /// The file's path, as given.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Bytes of the file that lie on huge pages now, where the system tells.
    pub fn huge_bytes(&self) -> Option<usize> {
        pages::huge_bytes(&self.inner.storage).map(|bytes| bytes.min(self.inner.storage.len()))
    }

    /// Bytes of the whole file.
    pub fn file_length(&self) -> u64 {
        self.inner.storage.len() as u64
    }

    /// What the table says of each section, in the file's order.
    pub fn entries(&self) -> &[Entry] {
        &self.inner.entries
    }

    /// What the table says of one section.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.inner.index.get(name).map(|at| &self.inner.entries[*at])
    }

    /// Whether there is a section of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.inner.index.contains_key(name)
    }

    /// All tensors, in the file's order.
    pub fn tensors(&self) -> impl Iterator<Item = TensorView<'_>> {
        self.entries().iter().filter_map(|entry| self.view(entry))
    }

    /// The tensor of that name, borrowed from the map.
    ///
    /// # Errors
    /// [`WireError::Section`] if there is none, or if the section holds bytes.
    pub fn tensor(&self, name: &str) -> Result<TensorView<'_>> {
        let entry = self.known(name)?;
        self.view(entry).ok_or_else(|| self.wrong(name, "a tensor", "bytes", "read it with `bytes`"))
    }

    /// The bytes of a section that is no tensor, borrowed from the map.
    ///
    /// # Errors
    /// [`WireError::Section`] if there is none, or if it is a tensor.
    pub fn bytes(&self, name: &str) -> Result<&[u8]> {
        let entry = self.known(name)?;
        match entry.content {
            Content::Bytes { .. } => Ok(&self.inner.storage[range(entry)]),
            _ => Err(self.wrong(name, "bytes", "a tensor", "read it with `tensor`")),
        }
    }

    /// The bytes of any section as a handle that keeps the map open for as long as it lives.
    ///
    /// # Errors
    /// [`WireError::Section`] if there is none of that name.
    pub fn section(&self, name: &str) -> Result<Section> {
        let entry = self.known(name)?;
        Ok(Section::new(self.inner.storage.clone(), range(entry)))
    }

    fn view(&self, entry: &Entry) -> Option<TensorView<'_>> {
        // Found again, so that the view borrows from the bundle rather than from the argument.
        let entry = self.entry(&entry.name)?;
        let (dtype, layout) = match &entry.content {
            Content::Bytes { .. } => return None,
            Content::Tensor { dtype, .. } => (*dtype, None),
            Content::Trits { layout, .. } => (DType::Trit, Some(*layout)),
        };
        Some(TensorView {
            name: &entry.name,
            dtype,
            shape: entry.content.shape(),
            layout,
            scale: entry.scale,
            bytes: &self.inner.storage[range(entry)],
        })
    }

    fn known(&self, name: &str) -> Result<&Entry> {
        self.entry(name).ok_or_else(|| {
            let found = format!("{} others", self.entries().len());
            self.wrong(name, "a section of this name", &found, "check that the bundle holds this model")
        })
    }

    fn wrong(&self, name: &str, expected: &str, found: &str, remedy: &'static str) -> WireError {
        WireError::Section {
            path: self.path().into(),
            section: name.into(),
            expected: expected.into(),
            found: found.into(),
            remedy,
        }
    }
}

/// A section's place; checked to lie in the file, so it fits a `usize`.
fn range(entry: &Entry) -> Range<usize> {
    entry.offset as usize..(entry.offset + entry.length) as usize
}

/// A tensor of a bundle, in place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorView<'a> {
    /// Its name.
    pub name: &'a str,
    /// Element type; [`DType::Trit`] for packed trits.
    pub dtype: DType,
    /// Sizes, outermost first.
    pub shape: &'a [usize],
    /// How trits lie; `None` for all else.
    pub layout: Option<TritLayout>,
    /// The scale s of trits (a weight is t / s); `None` for all else.
    pub scale: Option<f32>,
    /// The elements, little-endian, at a multiple of 64 bytes, of 512 for trits.
    pub bytes: &'a [u8],
}

macro_rules! casts {
    ($($name:ident $type:ident $dtype:ident;)*) => { $(
        #[doc = concat!("The elements in place, if they are ", stringify!($type), " and this machine is little-endian.")]
        pub fn $name(&self) -> Option<&'a [$type]> {
            cast(self.bytes).filter(|_| self.dtype == DType::$dtype)
        }
    )* };
}

impl<'a> TensorView<'a> {
    casts! {
        f32s f32 F32;
        f64s f64 F64;
        bf16s bf16 BF16;
        i8s i8 I8;
        i32s i32 I32;
        i64s i64 I64;
    }

    /// Number of elements; padding is not counted.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Never: every size is at least 1.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The trits one at a time, if it holds trits.
    pub fn packed(&self) -> Option<PackedTrits<'a>> {
        match (self.layout, self.shape) {
            (Some(layout), &[rows, columns]) => {
                Some(PackedTrits::unchecked(layout, rows, columns, self.bytes))
            }
            _ => None,
        }
    }
}

/// The bytes of a section, with a share of the map. Cheap to clone; dereferences to the bytes.
#[derive(Clone, Debug)]
pub struct Section {
    storage: Arc<Storage>,
    range: Range<usize>,
}

impl Section {
    pub(crate) fn new(storage: Arc<Storage>, range: Range<usize>) -> Self {
        Self { storage, range }
    }
}

impl Deref for Section {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.storage[self.range.clone()]
    }
}

impl AsRef<[u8]> for Section {
    fn as_ref(&self) -> &[u8] {
        self
    }
}
