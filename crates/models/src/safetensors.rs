//! Tensor files in the safetensors format: eight bytes of header length, a JSON header, then the raw tensors.
//!
//! [`TensorFile`] maps a file and hands out [`TensorView`]s that borrow its bytes; [`write()`] writes one. The
//! header is untrusted input: the `safetensors` crate parses it, and the `header` module checks before that what
//! the crate leaves open (names given twice) or reports without a name, so that each fault of a file is told in
//! terms of the tensor that has it.
//!
//! Format: <https://github.com/huggingface/safetensors#format>.

pub(crate) mod header;
mod write;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

pub use ::safetensors::Dtype;
use half::{bf16, f16};
use memmap2::Mmap;

use self::header::Entry;
pub use self::write::{FloatType, NamedTensor, Values, write, write_streamed};
use crate::error::{ModelError, Result};
use crate::{mapped, torch_file};

const NOT_FLOAT: &str = "read it with `to_i64`, or convert the file to F32, F64, F16 or BF16";
const NOT_INTEGER: &str = "read it with `to_f32`, or write the file with an integer dtype";

/// A safetensors file whose header has been checked in full.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    bytes: Bytes,
    entries: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

/// Where the file's bytes live.
#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl Bytes {
    fn all(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl TensorFile {
    /// Maps a file and checks its header; no tensor is read.
    ///
    /// # Errors
    /// [`ModelError::Io`] if the file cannot be opened, [`ModelError::File`] or [`ModelError::Tensor`] if it is
    /// truncated, has a header that is not valid, or a tensor whose place, size or name is not valid.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|error| ModelError::io("open", path, error))?;
        let data = file.metadata().map_err(|error| ModelError::io("read", path, error))?;
        if !data.is_file() {
            let remedy = "name the .safetensors file itself";
            return Err(ModelError::file(path, "kind", "a regular file", "a folder or device", remedy));
        }
        // An empty file cannot be mapped; the header check then says what is wrong with it.
        let bytes = if data.len() == 0 {
            Bytes::Owned(Vec::new())
        } else {
            Bytes::Mapped(mapped::map(&file).map_err(|error| ModelError::io("map", path, error))?)
        };
        Self::parse(path, bytes)
    }

    /// The same from bytes in memory; `label` stands for the file's name in errors.
    ///
    /// # Errors
    /// As [`TensorFile::open`].
    pub fn from_bytes(label: impl AsRef<Path>, bytes: Vec<u8>) -> Result<Self> {
        Self::parse(label.as_ref(), Bytes::Owned(bytes))
    }

    fn parse(path: &Path, bytes: Bytes) -> Result<Self> {
        let (entries, metadata) = match torch_file::is_torch(bytes.all()) {
            true => (torch_file::read(path, bytes.all())?, BTreeMap::new()),
            false => header::read(path, bytes.all())?,
        };
        Ok(Self { path: path.to_owned(), bytes, entries, metadata })
    }

    /// The file's path, as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives tensors other names; one whose new name is taken keeps its own.
    pub(crate) fn rename(&mut self, name: impl Fn(&str) -> &str) {
        for (old, entry) in std::mem::take(&mut self.entries) {
            let new = name(&old).to_owned();
            let free = !self.entries.contains_key(&new);
            self.entries.insert(if free { new } else { old }, entry);
        }
    }

    /// All names, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// True if the file has a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The header's `__metadata__`.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Bytes of all tensors together.
    pub fn data_len(&self) -> u64 {
        self.entries.values().map(|entry| (entry.end - entry.start) as u64).sum()
    }

    /// One tensor, borrowed from the map.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if there is none of that name.
    pub fn tensor(&self, name: &str) -> Result<TensorView<'_>> {
        match self.entries.get_key_value(name) {
            Some((name, entry)) => Ok(TensorView {
                dtype: entry.dtype,
                shape: &entry.shape,
                bytes: &self.bytes.all()[entry.start..entry.end],
                name,
                path: &self.path,
            }),
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

    /// [`TensorView::to_i64`] of the tensor of that name.
    ///
    /// # Errors
    /// If there is none, or if it is not an integer tensor.
    pub fn to_i64(&self, name: &str) -> Result<Vec<i64>> {
        self.tensor(name)?.to_i64()
    }
}

/// The error for a name that is not there, with the nearest name that is.
pub(crate) fn missing<'a>(path: &Path, name: &str, names: impl Iterator<Item = &'a str>) -> ModelError {
    let last = name.rsplit('.').next().unwrap_or(name);
    let mut count = 0;
    let mut nearest = None;
    for other in names {
        count += 1;
        if other.ends_with(name) || (nearest.is_none() && other.rsplit('.').next() == Some(last)) {
            nearest = Some(other);
        }
    }
    let found = match nearest {
        Some(other) => format!("{count} others, among them `{other}`"),
        None => format!("{count} others"),
    };
    ModelError::tensor(
        path,
        name,
        "a tensor of this name",
        found,
        "check that the file belongs to this model",
    )
}

/// One tensor of a file: its dtype and shape, and its little-endian bytes in place.
#[derive(Debug, Clone, Copy)]
pub struct TensorView<'a> {
    /// Element type.
    pub dtype: Dtype,
    /// Sizes, outermost first.
    pub shape: &'a [usize],
    /// The elements, row-major, little-endian, not necessarily aligned.
    pub bytes: &'a [u8],
    name: &'a str,
    path: &'a Path,
}

impl<'a> TensorView<'a> {
    /// The tensor's name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True if a size is zero.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The view itself if it has that shape.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] with both shapes.
    pub fn expect_shape(self, shape: &[usize]) -> Result<Self> {
        if self.shape == shape {
            return Ok(self);
        }
        let remedy = "check that the file and the configuration belong together";
        Err(self.fault(format!("shape {shape:?}"), format!("shape {:?}", self.shape), remedy))
    }

    /// All elements as f32: F16, BF16 and F32 exactly, F64 rounded to the nearest.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] for any other dtype.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        Ok(match self.dtype {
            Dtype::F32 => each(self.bytes, f32::from_le_bytes),
            Dtype::F16 => each(self.bytes, |b| f16::from_le_bytes(b).to_f32()),
            Dtype::BF16 => each(self.bytes, |b| bf16::from_le_bytes(b).to_f32()),
            Dtype::F64 => each(self.bytes, |b| f64::from_le_bytes(b) as f32),
            _ => return Err(self.wrong_dtype("F32, F64, F16 or BF16", NOT_FLOAT)),
        })
    }

    /// All elements as f32, without a copy where the file has them so.
    ///
    /// # Errors
    /// As [`TensorView::to_f32`].
    pub fn as_f32(&self) -> Result<Cow<'a, [f32]>> {
        match mapped::as_f32(self.bytes) {
            Some(values) if self.dtype == Dtype::F32 => Ok(Cow::Borrowed(values)),
            _ => self.to_f32().map(Cow::Owned),
        }
    }

    /// All elements as f64, exactly.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if the dtype is not F16, BF16, F32 or F64.
    pub fn to_f64(&self) -> Result<Vec<f64>> {
        Ok(match self.dtype {
            Dtype::F64 => each(self.bytes, f64::from_le_bytes),
            Dtype::F32 => each(self.bytes, |b| f64::from(f32::from_le_bytes(b))),
            Dtype::F16 => each(self.bytes, |b| f16::from_le_bytes(b).to_f64()),
            Dtype::BF16 => each(self.bytes, |b| bf16::from_le_bytes(b).to_f64()),
            _ => return Err(self.wrong_dtype("F32, F64, F16 or BF16", NOT_FLOAT)),
        })
    }

    /// All elements as i64, exactly.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if the dtype is not BOOL or an integer that always fits.
    pub fn to_i64(&self) -> Result<Vec<i64>> {
        Ok(match self.dtype {
            Dtype::I64 => each(self.bytes, i64::from_le_bytes),
            Dtype::I32 => each(self.bytes, |b| i64::from(i32::from_le_bytes(b))),
            Dtype::U32 => each(self.bytes, |b| i64::from(u32::from_le_bytes(b))),
            Dtype::I16 => each(self.bytes, |b| i64::from(i16::from_le_bytes(b))),
            Dtype::U16 => each(self.bytes, |b| i64::from(u16::from_le_bytes(b))),
            Dtype::I8 => each(self.bytes, |b| i64::from(i8::from_le_bytes(b))),
            Dtype::U8 => each(self.bytes, |b: [u8; 1]| i64::from(b[0])),
            Dtype::BOOL => each(self.bytes, |b: [u8; 1]| i64::from(b[0] != 0)),
            _ => return Err(self.wrong_dtype("I64, I32, I16, I8, U32, U16, U8 or BOOL", NOT_INTEGER)),
        })
    }

    fn wrong_dtype(&self, expected: &str, remedy: &str) -> ModelError {
        self.fault(format!("dtype {expected}"), format!("dtype {:?}", self.dtype), remedy)
    }

    fn fault(&self, expected: String, found: String, remedy: &str) -> ModelError {
        ModelError::tensor(self.path, self.name, expected, found, remedy)
    }
}

/// Decodes elements of `N` bytes each.
fn each<T, const N: usize>(bytes: &[u8], decode: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| decode(*chunk)).collect()
}
