//! Typed metadata values. Arrays stay in the file's bytes: a vocabulary has a hundred thousand texts, and most programs
//! read a few numbers.

use std::borrow::Cow;

/// The type of a value, by its number in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
#[allow(missing_docs)]
pub enum ValueType {
    U8 = 0,
    I8 = 1,
    U16 = 2,
    I16 = 3,
    U32 = 4,
    I32 = 5,
    F32 = 6,
    Bool = 7,
    Text = 8,
    Array = 9,
    U64 = 10,
    I64 = 11,
    F64 = 12,
}

impl ValueType {
    const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::Text,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    pub(super) fn new(number: u32) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
    }

    /// Bytes of a value; `None` for texts and arrays, whose bytes say so.
    pub(super) fn size(self) -> Option<u64> {
        Some(match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::Text | Self::Array => return None,
        })
    }

    /// The least bytes that a value can have.
    pub(super) fn least(self) -> u64 {
        self.size().unwrap_or(if self == Self::Text { 8 } else { 12 })
    }

    /// The name of the type: "u32", "text", …
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::Bool => "bool",
            Self::Text => "text",
            Self::Array => "array",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F64 => "f64",
        }
    }
}

/// A metadata value, texts and arrays borrowed where they come from a file.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value<'a> {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    Text(Cow<'a, str>),
    Array(Array<'a>),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// Values of one type, as they lie in the file.
///
/// ```
/// use barewire::gguf::Array;
/// let tokens = Array::texts(["a", "bc"]);
/// assert_eq!(tokens.iter_texts().collect::<Vec<_>>(), [&b"a"[..], b"bc"]);
/// assert_eq!(Array::i32s(&[1, -2]).integers(), Some(vec![1, -2]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array<'a> {
    pub(super) kind: ValueType,
    pub(super) length: u64,
    pub(super) bytes: Cow<'a, [u8]>,
}

impl Value<'_> {
    /// A text.
    pub fn text(text: impl Into<String>) -> Value<'static> {
        Value::Text(Cow::Owned(text.into()))
    }

    /// The type.
    pub fn kind(&self) -> ValueType {
        match self {
            Value::U8(_) => ValueType::U8,
            Value::I8(_) => ValueType::I8,
            Value::U16(_) => ValueType::U16,
            Value::I16(_) => ValueType::I16,
            Value::U32(_) => ValueType::U32,
            Value::I32(_) => ValueType::I32,
            Value::F32(_) => ValueType::F32,
            Value::Bool(_) => ValueType::Bool,
            Value::Text(_) => ValueType::Text,
            Value::Array(_) => ValueType::Array,
            Value::U64(_) => ValueType::U64,
            Value::I64(_) => ValueType::I64,
            Value::F64(_) => ValueType::F64,
        }
    }

    /// A whole number of any type that fits.
    pub fn as_i64(&self) -> Option<i64> {
        Some(match *self {
            Value::U8(x) => x.into(),
            Value::I8(x) => x.into(),
            Value::U16(x) => x.into(),
            Value::I16(x) => x.into(),
            Value::U32(x) => x.into(),
            Value::I32(x) => x.into(),
            Value::U64(x) => i64::try_from(x).ok()?,
            Value::I64(x) => x,
            _ => return None,
        })
    }

    /// A whole number of any type that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::U64(x) => Some(*x),
            other => other.as_i64().and_then(|x| u64::try_from(x).ok()),
        }
    }

    /// A number of any type.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Value::F32(x) => Some(x.into()),
            Value::F64(x) => Some(x),
            Value::U64(x) => Some(x as f64),
            _ => self.as_i64().map(|x| x as f64),
        }
    }

    /// True or false.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(x) => Some(*x),
            _ => None,
        }
    }

    /// A text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An array.
    pub fn as_array(&self) -> Option<&Array<'_>> {
        match self {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    /// The bytes behind the type's number.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Value::U8(x) => out.push(*x),
            Value::I8(x) => out.push(*x as u8),
            Value::U16(x) => out.extend(x.to_le_bytes()),
            Value::I16(x) => out.extend(x.to_le_bytes()),
            Value::U32(x) => out.extend(x.to_le_bytes()),
            Value::I32(x) => out.extend(x.to_le_bytes()),
            Value::F32(x) => out.extend(x.to_le_bytes()),
            Value::Bool(x) => out.push(u8::from(*x)),
            Value::Text(text) => put_text(out, text.as_bytes()),
            Value::Array(array) => {
                out.extend((array.kind as u32).to_le_bytes());
                out.extend(array.length.to_le_bytes());
                out.extend(&*array.bytes);
            }
            Value::U64(x) => out.extend(x.to_le_bytes()),
            Value::I64(x) => out.extend(x.to_le_bytes()),
            Value::F64(x) => out.extend(x.to_le_bytes()),
        }
    }

    /// A value of bytes that were checked to be one.
    pub(super) fn decode(kind: ValueType, bytes: &[u8]) -> Value<'_> {
        fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
            bytes.first_chunk().copied().unwrap_or([0; N])
        }
        match kind {
            ValueType::U8 => Value::U8(u8::from_le_bytes(fixed(bytes))),
            ValueType::I8 => Value::I8(i8::from_le_bytes(fixed(bytes))),
            ValueType::U16 => Value::U16(u16::from_le_bytes(fixed(bytes))),
            ValueType::I16 => Value::I16(i16::from_le_bytes(fixed(bytes))),
            ValueType::U32 => Value::U32(u32::from_le_bytes(fixed(bytes))),
            ValueType::I32 => Value::I32(i32::from_le_bytes(fixed(bytes))),
            ValueType::F32 => Value::F32(f32::from_le_bytes(fixed(bytes))),
            // As llama.cpp reads it: whatever is not 0 is true.
            ValueType::Bool => Value::Bool(fixed::<1>(bytes) != [0]),
            ValueType::Text => Value::Text(String::from_utf8_lossy(bytes.get(8..).unwrap_or_default())),
            ValueType::Array => Value::Array(Array {
                kind: ValueType::new(u32::from_le_bytes(fixed(bytes))).unwrap_or(ValueType::U8),
                length: u64::from_le_bytes(fixed(bytes.get(4..).unwrap_or_default())),
                bytes: Cow::Borrowed(bytes.get(12..).unwrap_or_default()),
            }),
            ValueType::U64 => Value::U64(u64::from_le_bytes(fixed(bytes))),
            ValueType::I64 => Value::I64(i64::from_le_bytes(fixed(bytes))),
            ValueType::F64 => Value::F64(f64::from_le_bytes(fixed(bytes))),
        }
    }
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text);
}

macro_rules! arrays {
    ($($name:ident $type:ty, $kind:ident;)*) => { $(
        #[doc = concat!("An array of `", stringify!($type), "`.")]
        pub fn $name(values: &[$type]) -> Array<'static> {
            let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            Array { kind: ValueType::$kind, length: values.len() as u64, bytes: Cow::Owned(bytes) }
        }
    )* };
}

impl<'a> Array<'a> {
    arrays! {
        u8s u8, U8;
        i32s i32, I32;
        u32s u32, U32;
        f32s f32, F32;
        u64s u64, U64;
        f64s f64, F64;
    }

    /// An array of texts, which should be UTF-8.
    pub fn texts<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Array<'static> {
        let (mut bytes, mut length) = (Vec::new(), 0);
        for text in texts {
            put_text(&mut bytes, text.as_ref());
            length += 1;
        }
        Array { kind: ValueType::Text, length, bytes: Cow::Owned(bytes) }
    }

    /// An array of arrays.
    pub fn arrays<'b>(arrays: impl IntoIterator<Item = Array<'b>>) -> Array<'static> {
        let (mut bytes, mut length) = (Vec::new(), 0);
        for array in arrays {
            Value::Array(array).encode(&mut bytes);
            length += 1;
        }
        Array { kind: ValueType::Array, length, bytes: Cow::Owned(bytes) }
    }

    /// The type of the values.
    pub fn kind(&self) -> ValueType {
        self.kind
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The values one at a time.
    pub fn iter(&self) -> impl Iterator<Item = Value<'_>> {
        let mut rest = &*self.bytes;
        (0..self.length).map(move |_| {
            let size = extent(self.kind, rest).unwrap_or(rest.len());
            let (value, left) = rest.split_at(size.min(rest.len()));
            rest = left;
            Value::decode(self.kind, value)
        })
    }

    /// The bytes of the texts; none where the array has others.
    pub fn iter_texts(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.bytes;
        let length = if self.kind == ValueType::Text { self.length } else { 0 };
        (0..length).map(move |_| {
            let size = extent(ValueType::Text, rest).unwrap_or(rest.len());
            let (value, left) = rest.split_at(size.min(rest.len()));
            rest = left;
            value.get(8..).unwrap_or_default()
        })
    }

    /// All values as whole numbers, if they are that.
    pub fn integers(&self) -> Option<Vec<i64>> {
        self.kind.size()?;
        self.iter().map(|value| value.as_i64()).collect()
    }

    /// All values as numbers, if they are that.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        self.kind.size()?;
        self.iter().map(|value| value.as_f64()).collect()
    }
}

/// Bytes of the value that `bytes` start with, where they were checked.
fn extent(kind: ValueType, bytes: &[u8]) -> Option<usize> {
    let count = |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).map(|n| u64::from_le_bytes(*n));
    match kind {
        ValueType::Text => usize::try_from(count(0)?).ok()?.checked_add(8),
        ValueType::Array => {
            let inner = ValueType::new(u32::from_le_bytes(*bytes.first_chunk()?))?;
            let length = usize::try_from(count(4)?).ok()?;
            if let Some(size) = inner.size() {
                return length.checked_mul(size as usize)?.checked_add(12);
            }
            let mut at = 12;
            for _ in 0..length {
                at += extent(inner, bytes.get(at..)?)?;
            }
            Some(at)
        }
        other => other.size().map(|size| size as usize),
    }
}
