//! Writing safetensors files: the same tensors give the same bytes, in the order the reference crate uses.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::path::Path;

use ::safetensors::Dtype;
use half::{bf16, f16};
use serde_json::{Map, Value, json};

use crate::atomic::{try_write, write_atomic};
use crate::error::{ModelError, Result};

/// A float type that weights can be stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FloatType {
    /// IEEE single precision.
    #[default]
    F32,
    /// IEEE half precision: 11 bits of significand, largest value 65504.
    F16,
    /// The upper half of an f32: 8 bits of significand.
    Bf16,
    /// IEEE double precision.
    F64,
}

impl FloatType {
    /// The name that `torch_dtype` uses.
    pub fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::F64 => "float64",
        }
    }

    /// The dtype of the format.
    pub fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
            Self::F64 => Dtype::F64,
        }
    }

    /// Bytes of an element.
    pub fn size(self) -> usize {
        self.dtype().bitsize() / 8
    }
}

/// Elements to be written, borrowed or owned.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // each variant is named for its element type
pub enum Values<'a> {
    F32(Cow<'a, [f32]>),
    F64(Cow<'a, [f64]>),
    F16(Cow<'a, [f16]>),
    Bf16(Cow<'a, [bf16]>),
    I64(Cow<'a, [i64]>),
    I32(Cow<'a, [i32]>),
    I8(Cow<'a, [i8]>),
    U8(Cow<'a, [u8]>),
}

impl Values<'_> {
    /// The dtype of the format.
    pub fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::F64(_) => Dtype::F64,
            Self::F16(_) => Dtype::F16,
            Self::Bf16(_) => Dtype::BF16,
            Self::I64(_) => Dtype::I64,
            Self::I32(_) => Dtype::I32,
            Self::I8(_) => Dtype::I8,
            Self::U8(_) => Dtype::U8,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
            Self::F16(v) => v.len(),
            Self::Bf16(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::U8(v) => v.len(),
        }
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes in the file.
    pub fn byte_len(&self) -> usize {
        self.len() * self.dtype().bitsize() / 8
    }

    /// Floats in another precision, rounded to the nearest; integers as they are.
    ///
    /// Returns the index of the first finite value that the new precision cannot hold as `Err`.
    pub fn cast(&self, to: FloatType) -> Result<Values<'_>, usize> {
        Ok(match (self, to) {
            (Self::F32(v), FloatType::F32) => Values::F32(Cow::Borrowed(v)),
            (Self::F64(v), FloatType::F64) => Values::F64(Cow::Borrowed(v)),
            (Self::F16(v), FloatType::F16) => Values::F16(Cow::Borrowed(v)),
            (Self::Bf16(v), FloatType::Bf16) => Values::Bf16(Cow::Borrowed(v)),
            (Self::F32(v), _) => from_f64(v.iter().map(|x| f64::from(*x)), to)?,
            (Self::F64(v), _) => from_f64(v.iter().copied(), to)?,
            (Self::F16(v), _) => from_f64(v.iter().map(|x| x.to_f64()), to)?,
            (Self::Bf16(v), _) => from_f64(v.iter().map(|x| x.to_f64()), to)?,
            (Self::I64(v), _) => Values::I64(Cow::Borrowed(v)),
            (Self::I32(v), _) => Values::I32(Cow::Borrowed(v)),
            (Self::I8(v), _) => Values::I8(Cow::Borrowed(v)),
            (Self::U8(v), _) => Values::U8(Cow::Borrowed(v)),
        })
    }

    /// The same elements, which no longer borrow anything.
    pub fn into_owned(self) -> Values<'static> {
        match self {
            Self::F32(v) => Values::F32(v.into_owned().into()),
            Self::F64(v) => Values::F64(v.into_owned().into()),
            Self::F16(v) => Values::F16(v.into_owned().into()),
            Self::Bf16(v) => Values::Bf16(v.into_owned().into()),
            Self::I64(v) => Values::I64(v.into_owned().into()),
            Self::I32(v) => Values::I32(v.into_owned().into()),
            Self::I8(v) => Values::I8(v.into_owned().into()),
            Self::U8(v) => Values::U8(v.into_owned().into()),
        }
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::F32(v) => put(out, v, |x| x.to_le_bytes()),
            Self::F64(v) => put(out, v, |x| x.to_le_bytes()),
            Self::F16(v) => put(out, v, |x| x.to_le_bytes()),
            Self::Bf16(v) => put(out, v, |x| x.to_le_bytes()),
            Self::I64(v) => put(out, v, |x| x.to_le_bytes()),
            Self::I32(v) => put(out, v, |x| x.to_le_bytes()),
            Self::I8(v) => put(out, v, |x| x.to_le_bytes()),
            Self::U8(v) => out.write_all(v),
        }
    }
}

fn from_f64(values: impl Iterator<Item = f64>, to: FloatType) -> Result<Values<'static>, usize> {
    fn collect<T>(
        values: impl Iterator<Item = f64>,
        round: impl Fn(f64) -> T,
        finite: impl Fn(&T) -> bool,
    ) -> Result<Cow<'static, [T]>, usize>
    where
        [T]: ToOwned<Owned = Vec<T>>,
    {
        let rounded = values.enumerate().map(|(index, value)| {
            let short = round(value);
            if value.is_finite() && !finite(&short) { Err(index) } else { Ok(short) }
        });
        rounded.collect::<Result<Vec<T>, usize>>().map(Cow::Owned)
    }
    Ok(match to {
        FloatType::F32 => Values::F32(collect(values, |x| x as f32, |x| x.is_finite())?),
        FloatType::F64 => Values::F64(collect(values, |x| x, |x| x.is_finite())?),
        FloatType::F16 => Values::F16(collect(values, f16::from_f64, |x| x.is_finite())?),
        FloatType::Bf16 => Values::Bf16(collect(values, bf16::from_f64, |x| x.is_finite())?),
    })
}

/// Encodes through a buffer of a few pages: an `io::Write` call per element would dominate the time.
fn put<T: Copy, const N: usize>(
    out: &mut dyn Write,
    values: &[T],
    encode: impl Fn(T) -> [u8; N],
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(N * 4096);
    for block in values.chunks(4096) {
        buffer.clear();
        buffer.extend(block.iter().flat_map(|value| encode(*value)));
        out.write_all(&buffer)?;
    }
    Ok(())
}

/// A tensor to be written: name, sizes, elements in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor<'a> {
    /// Full name, such as `model.norm.weight`.
    pub name: String,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// As many elements as the sizes say.
    pub values: Values<'a>,
}

impl<'a> NamedTensor<'a> {
    /// A tensor of f32, borrowed or owned.
    pub fn f32(name: impl Into<String>, shape: &[usize], values: impl Into<Cow<'a, [f32]>>) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), values: Values::F32(values.into()) }
    }

    /// A tensor of f64, borrowed or owned.
    pub fn f64(name: impl Into<String>, shape: &[usize], values: impl Into<Cow<'a, [f64]>>) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), values: Values::F64(values.into()) }
    }

    /// A tensor of i64, borrowed or owned.
    pub fn i64(name: impl Into<String>, shape: &[usize], values: impl Into<Cow<'a, [i64]>>) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), values: Values::I64(values.into()) }
    }

    /// A tensor of i8, borrowed or owned.
    pub fn i8(name: impl Into<String>, shape: &[usize], values: impl Into<Cow<'a, [i8]>>) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), values: Values::I8(values.into()) }
    }
}

/// Writes a safetensors file: to a temporary name, synced, renamed.
///
/// Tensors are laid out by falling element size, then by name, as the reference crate does, so that every tensor
/// is aligned and the same tensors always give the same bytes.
///
/// # Errors
/// [`ModelError::Tensor`] for a name given twice or reserved and for a shape that does not fit its elements,
/// [`ModelError::Io`] if the file cannot be written; what was there before is then untouched.
///
/// # Examples
/// ```
/// use models::safetensors::{NamedTensor, TensorFile, write};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("w.safetensors");
/// write(&path, &[NamedTensor::f32("w", &[2, 2], vec![1.0, 2.0, 3.0, 4.0])], &Default::default())?;
/// assert_eq!(TensorFile::open(&path)?.to_f32("w")?, [1.0, 2.0, 3.0, 4.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(path: &Path, tensors: &[NamedTensor<'_>], metadata: &BTreeMap<String, String>) -> Result<()> {
    let mut names = HashSet::new();
    for tensor in tensors {
        if tensor.name == "__metadata__" || !names.insert(tensor.name.as_str()) {
            let expected = "a name given once and not reserved";
            return Err(ModelError::tensor(path, &tensor.name, expected, "it", "rename the tensor"));
        }
        let elements = tensor.shape.iter().try_fold(1_usize, |count, size| count.checked_mul(*size));
        if elements != Some(tensor.values.len()) {
            let expected = format!("as many elements as shape {:?} has", tensor.shape);
            let found = format!("{}", tensor.values.len());
            return Err(ModelError::tensor(path, &tensor.name, expected, found, "correct the shape"));
        }
    }
    let mut order = tensors.iter().collect::<Vec<_>>();
    order.sort_by(|a, b| b.values.dtype().cmp(&a.values.dtype()).then_with(|| a.name.cmp(&b.name)));
    let listed =
        order.iter().map(|t| (t.name.as_str(), t.values.dtype(), t.shape.as_slice(), t.values.byte_len()));
    let header = header(listed, metadata);
    write_atomic(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        order.iter().try_for_each(|tensor| tensor.values.write_to(out))
    })
}

/// Writes a safetensors file of floats whose tensors are made one at a time: to a temporary name, synced, renamed.
///
/// `make` is called for each name of `tensors` (name, sizes), in the order of the names, and gives elements of type
/// `dtype`, as many as the sizes say. The bytes are those that [`write()`] writes of the same tensors.
///
/// # Errors
/// [`ModelError::Tensor`] for elements of another type or number; what `make` returns; [`ModelError::Io`].
pub fn write_streamed(
    path: &Path,
    dtype: FloatType,
    tensors: &[(String, Vec<usize>)],
    metadata: &BTreeMap<String, String>,
    make: &mut dyn FnMut(&str) -> Result<Values<'static>>,
) -> Result<()> {
    let mut order = Vec::with_capacity(tensors.len());
    for (name, shape) in tensors {
        let elements = shape.iter().try_fold(dtype.size(), |count, size| count.checked_mul(*size));
        let Some(bytes) = elements else {
            let found = format!("shape {shape:?}");
            return Err(ModelError::tensor(
                path,
                name,
                "a size that can be counted",
                found,
                "correct the shape",
            ));
        };
        order.push((name.as_str(), dtype.dtype(), shape.as_slice(), bytes));
    }
    order.sort_by_key(|(name, ..)| *name);
    let header = header(order.iter().copied(), metadata);
    let io = |error| ModelError::io("write", path, error);
    try_write(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes()).map_err(io)?;
        out.write_all(&header).map_err(io)?;
        for (name, dtype, shape, bytes) in &order {
            let values = make(name)?;
            if (values.dtype(), values.byte_len()) != (*dtype, *bytes) {
                let expected = format!("{dtype:?} {shape:?}");
                let found = format!("{:?}, {} elements", values.dtype(), values.len());
                return Err(ModelError::tensor(
                    path,
                    *name,
                    expected,
                    found,
                    "make the tensor that was declared",
                ));
            }
            values.write_to(out).map_err(io)?;
        }
        Ok(())
    })
}

fn header<'a>(
    order: impl Iterator<Item = (&'a str, Dtype, &'a [usize], usize)>,
    metadata: &BTreeMap<String, String>,
) -> Vec<u8> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), json!(metadata));
    }
    let mut start = 0;
    for (name, dtype, shape, bytes) in order {
        let end = start + bytes;
        let entry = json!({ "dtype": format!("{dtype:?}"), "shape": shape, "data_offsets": [start, end] });
        header.insert(name.into(), entry);
        start = end;
    }
    let mut text = Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    text
}
