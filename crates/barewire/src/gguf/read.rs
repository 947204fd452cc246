//! Reading the untrusted part of a file: header, metadata, tensor table.
//!
//! Everything is counted against the bytes that are there before anything is stored, so memory grows with the file that
//! was given and never with a number in it.

use std::collections::BTreeSet;

use super::types::GgmlType;
use super::value::ValueType;
use super::{ALIGNMENT, DEFAULT_ALIGNMENT, MAGIC, MAX_DEPTH, MAX_NAME, MAX_RANK, VERSIONS};
use crate::bundle::format::{Fault, fault};

/// What a file says, and where.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) version: u32,
    pub(super) alignment: u64,
    pub(super) metadata: Vec<Pair>,
    pub(super) tensors: Vec<Info>,
    /// First byte of the tensors' data.
    pub(super) data: usize,
}

/// A key, and where its value lies.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) key: String,
    pub(super) kind: ValueType,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A tensor, and where it lies in the file.
#[derive(Clone, Debug)]
pub(super) struct Info {
    pub(super) name: String,
    pub(super) kind: GgmlType,
    pub(super) shape: Vec<usize>,
    pub(super) start: usize,
    pub(super) end: usize,
}

const OTHER: &str = "name a GGUF file";

/// The bytes that are left, and a word for where they are.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: u64, part: &str) -> Result<&'a [u8], Fault> {
        let rest = &self.bytes[self.at..];
        match usize::try_from(count).ok().and_then(|count| rest.split_at_checked(count)) {
            Some((taken, _)) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => {
                let expected = format!("{count} bytes at byte {}", self.at);
                Err(fault(part, expected, format!("{} to the end of the file", rest.len())))
            }
        }
    }

    fn u32(&mut self, part: &str) -> Result<u32, Fault> {
        let bytes = self.take(4, part)?;
        Ok(u32::from_le_bytes(bytes.first_chunk().copied().unwrap_or_default()))
    }

    fn u64(&mut self, part: &str) -> Result<u64, Fault> {
        let bytes = self.take(8, part)?;
        Ok(u64::from_le_bytes(bytes.first_chunk().copied().unwrap_or_default()))
    }

    /// A number of things that take at least `least` bytes each.
    fn count(&mut self, least: u64, part: &str) -> Result<u64, Fault> {
        let count = self.u64(part)?;
        let left = (self.bytes.len() - self.at) as u64;
        if count.checked_mul(least).is_none_or(|bytes| bytes > left) {
            let expected = format!("at most {}, for which there are bytes", left / least);
            return Err(fault(part, expected, count.to_string()));
        }
        Ok(count)
    }

    fn name(&mut self, part: &str) -> Result<String, Fault> {
        let length = self.u64(part)?;
        if length > MAX_NAME {
            return Err(fault(part, format!("a name of at most {MAX_NAME} bytes"), format!("{length}")));
        }
        let bytes = self.take(length, part)?;
        match std::str::from_utf8(bytes) {
            Ok(name) => Ok(name.to_owned()),
            Err(error) => Err(fault(part, "a name in UTF-8", format!("byte {} is not", error.valid_up_to()))),
        }
    }

    /// Steps over a value.
    fn skip(&mut self, kind: ValueType, depth: usize, part: &str) -> Result<(), Fault> {
        match kind {
            ValueType::Text => {
                let length = self.u64(part)?;
                self.take(length, part)?;
            }
            ValueType::Array => {
                if depth == MAX_DEPTH {
                    let found = "deeper ones";
                    return Err(fault(part, format!("arrays up to {MAX_DEPTH} deep"), found));
                }
                let kind = value_type(self.u32(part)?, part)?;
                let length = self.count(kind.least(), part)?;
                match kind.size() {
                    Some(size) => drop(self.take(length * size, part)?),
                    None => (0..length).try_for_each(|_| self.skip(kind, depth + 1, part))?,
                }
            }
            other => drop(self.take(other.least(), part)?),
        }
        Ok(())
    }
}

fn value_type(number: u32, part: &str) -> Result<ValueType, Fault> {
    ValueType::new(number).ok_or_else(|| fault(part, "a value type from 0 to 12", number.to_string()))
}

/// Reads and checks everything before the tensors' data, and the places of these.
pub(super) fn parse(file: &[u8]) -> Result<Parsed, Fault> {
    let mut cursor = Cursor { bytes: file, at: 0 };
    let version = header(&mut cursor)?;
    // A tensor's entry has at least its name's length, the number of sizes, type and place; a key its name's length, type
    // and a byte.
    let tensors = cursor.count(24, "header, number of tensors")?;
    let pairs = cursor.count(13, "header, number of metadata keys")?;
    let metadata = metadata(&mut cursor, pairs)?;
    let alignment = alignment(file, &metadata)?;
    let mut entries = Vec::new();
    for number in 0..tensors {
        entries.push(entry(&mut cursor, number)?);
    }
    let data = (cursor.at as u64).checked_next_multiple_of(alignment);
    // A file without tensors may end without the padding.
    let data = match data.and_then(|data| usize::try_from(data).ok()) {
        Some(data) if data <= file.len() || entries.is_empty() => data.min(file.len()),
        _ => {
            let expected = format!("tensors at a multiple of {alignment} behind byte {}", cursor.at);
            return Err(fault("tensor data", expected, format!("the end, at {}", file.len())));
        }
    };
    let tensors = place(entries, data, file.len(), alignment)?;
    Ok(Parsed { version, alignment, metadata, tensors, data })
}

fn header(cursor: &mut Cursor<'_>) -> Result<u32, Fault> {
    let file = cursor.bytes;
    if !file.starts_with(&MAGIC) {
        let start = &file[..file.len().min(4)];
        let found = start.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
        let found = if start.is_empty() { "an empty file".into() } else { found };
        let mut wrong = fault("header, first bytes", "47 47 55 46 (GGUF)", found);
        wrong.remedy = OTHER.into();
        return Err(wrong);
    }
    cursor.at = MAGIC.len();
    let version = cursor.u32("header, version")?;
    if VERSIONS.contains(&version) {
        return Ok(version);
    }
    let mut wrong = fault("header, version", "2 or 3", version.to_string());
    if VERSIONS.contains(&version.swap_bytes()) {
        wrong.expected = "a little-endian file".into();
        wrong.found = format!("a big-endian one, of version {}", version.swap_bytes());
        wrong.remedy =
            "its numbers cannot be used in place: convert it with gguf-py's gguf_convert_endian.py".into();
    } else if version == 1 {
        wrong.remedy = "version 1 was in use for some weeks of 2023: convert the model again".into();
    } else {
        wrong.remedy = "use a newer version of this program, or convert the model again".into();
    }
    Err(wrong)
}

fn metadata(cursor: &mut Cursor<'_>, count: u64) -> Result<Vec<Pair>, Fault> {
    let mut list: Vec<Pair> = Vec::new();
    let mut known = BTreeSet::new();
    for number in 0..count {
        let key = cursor.name(&format!("metadata, key {number}"))?;
        let part = format!("metadata `{}`", key.escape_debug());
        if !known.insert(key.clone()) {
            return Err(fault(part, "the key once", "it twice"));
        }
        let kind = value_type(cursor.u32(&part)?, &part)?;
        let start = cursor.at;
        cursor.skip(kind, 0, &part)?;
        let text = (kind == ValueType::Text).then(|| &cursor.bytes[start + 8..cursor.at]);
        if let Some(Err(error)) = text.map(std::str::from_utf8) {
            return Err(fault(part, "a text in UTF-8", format!("byte {} is not", error.valid_up_to())));
        }
        list.push(Pair { key, kind, start, end: cursor.at });
    }
    Ok(list)
}

fn alignment(file: &[u8], metadata: &[Pair]) -> Result<u64, Fault> {
    let Some(pair) = metadata.iter().find(|pair| pair.key == ALIGNMENT) else { return Ok(DEFAULT_ALIGNMENT) };
    let value = super::Value::decode(pair.kind, &file[pair.start..pair.end]);
    match value.as_u64().filter(|_| pair.kind != ValueType::Bool) {
        Some(alignment) if alignment.is_power_of_two() && alignment <= 1 << 24 => Ok(alignment),
        _ => {
            let found = value.as_u64().map_or_else(|| pair.kind.name().into(), |n| n.to_string());
            Err(fault(format!("metadata `{ALIGNMENT}`"), "a power of two up to 2^24", found))
        }
    }
}

/// A tensor's entry: its place is still that behind the start of the data.
struct Entry {
    name: String,
    kind: GgmlType,
    shape: Vec<usize>,
    offset: u64,
    length: u64,
}

fn entry(cursor: &mut Cursor<'_>, number: u64) -> Result<Entry, Fault> {
    let name = cursor.name(&format!("tensor {number}, name"))?;
    let part = format!("tensor `{}`", name.escape_debug());
    let rank = cursor.u32(&part)?;
    if rank > MAX_RANK {
        return Err(fault(part, format!("at most {MAX_RANK} sizes"), rank.to_string()));
    }
    let mut shape = Vec::new();
    for _ in 0..rank {
        let size = cursor.u64(&part)?;
        let Ok(size) = usize::try_from(size) else {
            return Err(fault(part, "sizes that fit the address space", size.to_string()));
        };
        shape.push(size);
    }
    shape.reverse();
    let number = cursor.u32(&part)?;
    let Some(kind) = GgmlType::new(number) else {
        let mut wrong = fault(part, "a type that is known", format!("number {number}"));
        wrong.remedy = "use a newer version of this program, or convert the model to another type".into();
        return Err(wrong);
    };
    let Some(length) = kind.bytes(&shape) else {
        return Err(fault(part, kind.refusal(&shape), format!("{shape:?}")));
    };
    let offset = cursor.u64(&part)?;
    Ok(Entry { name, kind, shape, offset, length })
}

/// Checks that no tensor lies outside the file or over another, and that names are given once.
fn place(entries: Vec<Entry>, data: usize, end: usize, alignment: u64) -> Result<Vec<Info>, Fault> {
    let room = (end - data) as u64;
    for entry in &entries {
        let part = || format!("tensor `{}`", entry.name.escape_debug());
        if !entry.offset.is_multiple_of(alignment) {
            let expected = format!("a place at a multiple of {alignment}");
            return Err(fault(part(), expected, entry.offset.to_string()));
        }
        if entry.offset.checked_add(entry.length).is_none_or(|last| last > room) {
            let expected = format!("{} bytes at {} of the tensors' data", entry.length, entry.offset);
            return Err(fault(part(), expected, format!("{room} bytes of data")));
        }
    }
    let mut order: Vec<&Entry> = entries.iter().collect();
    order.sort_by_key(|entry| entry.offset);
    if let Some([a, b]) = order.array_windows().find(|[a, b]| a.offset + a.length > b.offset) {
        let part = format!("tensor `{}`", b.name.escape_debug());
        let expected = format!("a place behind `{}`, which ends at {}", a.name, a.offset + a.length);
        return Err(fault(part, expected, b.offset.to_string()));
    }
    order.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some([a, _]) = order.array_windows().find(|[a, b]| a.name == b.name) {
        return Err(fault(format!("tensor `{}`", a.name.escape_debug()), "the name once", "it twice"));
    }
    let made = entries.into_iter().map(|Entry { name, kind, shape, offset, length }| {
        let start = data + offset as usize;
        Info { name, kind, shape, start, end: start + length as usize }
    });
    Ok(made.collect())
}
