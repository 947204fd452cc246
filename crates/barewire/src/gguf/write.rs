//! Writing a file from its first byte to its last: keys and table are known when it begins, data follows tensor by tensor.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::types::GgmlType;
use super::value::{Value, ValueType, put_text};
use super::{ALIGNMENT, DEFAULT_ALIGNMENT, MAGIC, MAX_RANK, VERSIONS};
use crate::error::{Result, WireError};

/// Bytes that ggml allows for a tensor's name, its final zero included.
const MAX_TENSOR_NAME: usize = 64;

/// A tensor that is going to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name, given once.
    pub name: String,
    /// Element type.
    pub kind: GgmlType,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
}

impl TensorSpec {
    /// A tensor of these sizes, outermost first.
    pub fn new(name: impl Into<String>, kind: GgmlType, shape: &[usize]) -> Self {
        Self { name: name.into(), kind, shape: shape.to_vec() }
    }
}

/// Writes the tensors of a file in the order in which they were declared.
///
/// See the module's page for an example. A writer that is dropped before [`finish`](Self::finish) leaves a file that no
/// reader accepts, unless it declared no tensors.
#[derive(Debug)]
pub struct GgufWriter<W: Write> {
    out: W,
    tensors: Vec<(String, u64)>,
    next: usize,
    alignment: u64,
}

fn fault<T>(
    part: String,
    expected: impl Into<String>,
    found: impl Into<String>,
    remedy: &'static str,
) -> Result<T> {
    Err(WireError::Write { part, expected: expected.into(), found: found.into(), remedy })
}

impl<W: Write> GgufWriter<W> {
    /// Writes header, metadata and table of a file of version 3. `general.alignment` among the keys (u32) sets the alignment.
    ///
    /// # Errors
    /// [`WireError::Write`] for a key or name that is given twice or too long, for sizes that make no tensor;
    /// [`WireError::Output`] if `out` fails.
    pub fn new(mut out: W, metadata: &[(String, Value<'_>)], specs: &[TensorSpec]) -> Result<Self> {
        let mut keys = BTreeSet::new();
        let mut alignment = DEFAULT_ALIGNMENT;
        let mut head = MAGIC.to_vec();
        head.extend(VERSIONS[1].to_le_bytes());
        head.extend((specs.len() as u64).to_le_bytes());
        head.extend((metadata.len() as u64).to_le_bytes());
        for (key, value) in metadata {
            if !keys.insert(key) {
                return fault(format!("metadata `{key}`"), "the key once", "it twice", "leave one out");
            }
            if key == ALIGNMENT {
                alignment = match value.as_u64() {
                    Some(n) if value.kind() == ValueType::U32 && n.is_power_of_two() && n <= 1 << 24 => n,
                    _ => {
                        let (part, found) = (format!("metadata `{key}`"), format!("{value:?}"));
                        return fault(part, "a power of two up to 2^24, as u32", found, "write 32");
                    }
                };
            }
            put_text(&mut head, key.as_bytes());
            head.extend((value.kind() as u32).to_le_bytes());
            value.encode(&mut head);
        }
        let mut names = BTreeSet::new();
        let (mut tensors, mut offset) = (Vec::new(), 0u64);
        for TensorSpec { name, kind, shape } in specs {
            let part = || format!("tensor `{name}`");
            if name.len() >= MAX_TENSOR_NAME || name.is_empty() {
                let expected = format!("a name of 1 to {} bytes", MAX_TENSOR_NAME - 1);
                return fault(part(), expected, name.len().to_string(), "rename the tensor");
            }
            if !names.insert(name) {
                return fault(part(), "the name once", "it twice", "rename one of the two");
            }
            let place = kind.bytes(shape).filter(|_| shape.len() <= MAX_RANK as usize);
            let place =
                place.and_then(|n| Some((n, offset.checked_add(n)?.checked_next_multiple_of(alignment)?)));
            let Some((length, next)) = place else {
                let found = format!("{shape:?}");
                return fault(part(), kind.refusal(shape), found, "store it in another type, such as F16");
            };
            put_text(&mut head, name.as_bytes());
            head.extend((shape.len() as u32).to_le_bytes());
            head.extend(shape.iter().rev().flat_map(|size| (*size as u64).to_le_bytes()));
            head.extend(kind.number().to_le_bytes());
            head.extend(offset.to_le_bytes());
            tensors.push((name.clone(), length));
            offset = next;
        }
        head.resize((head.len() as u64).next_multiple_of(alignment) as usize, 0);
        out.write_all(&head)?;
        Ok(Self { out, tensors, next: 0, alignment })
    }

    /// Writes the next tensor from memory.
    ///
    /// # Errors
    /// [`WireError::Write`] if it is not the next declared one or has another length; [`WireError::Output`].
    pub fn tensor(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.tensor_with(name, |out| out.write_all(bytes))
    }

    /// Writes the next tensor through `fill`.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor), and [`WireError::Output`] with what `fill` returns.
    pub fn tensor_with(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        let length = match self.tensors.get(self.next) {
            Some((next, length)) if next == name => *length,
            other => {
                let expected = other.map_or("no more tensors".into(), |(next, _)| format!("`{next}`"));
                let remedy = "write the tensors in the order of the declaration";
                return fault(format!("tensor `{name}`"), expected, format!("`{name}`"), remedy);
            }
        };
        let mut counter = Counter { out: &mut self.out, left: length, over: false };
        let filled = fill(&mut counter);
        let Counter { left, over, .. } = counter;
        if over || (filled.is_ok() && left > 0) {
            let found = if over { "more".into() } else { format!("{}", length - left) };
            return fault(
                format!("tensor `{name}`"),
                format!("{length} bytes"),
                found,
                "write what was declared",
            );
        }
        filled?;
        let padding = length.next_multiple_of(self.alignment) - length;
        io::copy(&mut io::Read::take(io::repeat(0), padding), &mut self.out)?;
        self.next += 1;
        Ok(())
    }

    /// Returns what was written to, which is not flushed.
    ///
    /// # Errors
    /// [`WireError::Write`] if a declared tensor was not written.
    pub fn finish(self) -> Result<W> {
        match self.tensors.get(self.next) {
            None => Ok(self.out),
            Some((name, _)) => {
                let remedy = "write every tensor that was declared";
                fault(format!("tensor `{name}`"), "its bytes", "the end", remedy)
            }
        }
    }
}

/// Passes on what fits the tensor.
struct Counter<'a, W> {
    out: &'a mut W,
    left: u64,
    over: bool,
}

impl<W: Write> Write for Counter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            self.over = true;
            return Err(io::Error::other("the tensor is longer than declared"));
        }
        let count = self.out.write(bytes)?;
        self.left -= count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
