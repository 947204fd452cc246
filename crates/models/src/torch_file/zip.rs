//! The directory of a zip archive whose entries are stored as they are: PKWARE's APPNOTE, sections 4.3 and 4.5.3 (sizes of
//! 64 bits).
//!
//! Checksums are not compared: that would read every byte of a file that is otherwise mapped and read where it is needed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::{CONVERT, DAMAGED};
use crate::error::{ModelError, Result};

const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const DIRECTORY: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";

/// The entries of an archive by name: where their bytes lie in the file.
pub(super) struct Archive<'a> {
    entries: BTreeMap<&'a str, Range<usize>>,
}

/// `N` bytes at `at`.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    array(bytes, at).map(|b| usize::from(u16::from_le_bytes(b)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(|b| u64::from(u32::from_le_bytes(b)))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

fn has(bytes: &[u8], at: usize, signature: &[u8]) -> Option<()> {
    (bytes.get(at..at.checked_add(signature.len())?)? == signature).then_some(())
}

/// Where the directory begins and how many entries it has.
fn directory(bytes: &[u8]) -> Option<(usize, u64)> {
    // The end record is the last, before a comment of at most 65,535 bytes.
    let from = bytes.len().saturating_sub(22 + 0xffff);
    let end = from + bytes[from..].windows(4).rposition(|four| four == END)?;
    // Before its comment it has 22 bytes.
    bytes.get(end..end + 22)?;
    let (count, start) = (u16_at(bytes, end + 10)? as u64, u32_at(bytes, end + 16)?);
    if count != 0xffff && start != 0xffff_ffff {
        return Some((start.try_into().ok()?, count));
    }
    let locator = end.checked_sub(20)?;
    has(bytes, locator, LOCATOR_64)?;
    let end: usize = u64_at(bytes, locator + 8)?.try_into().ok()?;
    has(bytes, end, END_64)?;
    Some((u64_at(bytes, end.checked_add(48)?)?.try_into().ok()?, u64_at(bytes, end.checked_add(32)?)?))
}

/// One entry of the directory.
struct Header<'a> {
    name: &'a [u8],
    flags: usize,
    method: usize,
    packed: u64,
    size: u64,
    offset: u64,
    length: usize,
}

fn header(bytes: &[u8], at: usize) -> Option<Header<'_>> {
    has(bytes, at, DIRECTORY)?;
    let [name, extra, comment] = [28, 30, 32].map(|k| u16_at(bytes, at + k));
    let (name, extra, comment) = (name?, extra?, comment?);
    let mut sizes = [u32_at(bytes, at + 24)?, u32_at(bytes, at + 20)?, u32_at(bytes, at + 42)?];
    let fields = bytes.get(at + 46 + name..at + 46 + name + extra)?;
    let mut place = 0;
    while let (Some(id), Some(length)) = (u16_at(fields, place), u16_at(fields, place + 2)) {
        let content = fields.get(place + 4..place + 4 + length)?;
        if id == 1 {
            // Those fields whose short form says that it is not enough, in this order.
            let mut next = 0;
            for size in sizes.iter_mut().filter(|size| **size == 0xffff_ffff) {
                *size = u64_at(content, next)?;
                next += 8;
            }
        }
        place += 4 + length;
    }
    Some(Header {
        name: bytes.get(at + 46..at + 46 + name)?,
        flags: u16_at(bytes, at + 8)?,
        method: u16_at(bytes, at + 10)?,
        packed: sizes[1],
        size: sizes[0],
        offset: sizes[2],
        length: 46 + name + extra + comment,
    })
}

/// Where the bytes of an entry lie; `after` is the end of what may be an entry.
fn content(bytes: &[u8], header: &Header<'_>, after: usize) -> Option<Range<usize>> {
    let at: usize = header.offset.try_into().ok()?;
    has(bytes, at, LOCAL)?;
    let start = at + 30 + u16_at(bytes, at + 26)? + u16_at(bytes, at + 28)?;
    let end = start.checked_add(header.size.try_into().ok()?)?;
    (end <= after).then_some(start..end)
}

impl<'a> Archive<'a> {
    pub(super) fn read(path: &Path, bytes: &'a [u8]) -> Result<Archive<'a>> {
        let fault = |what: &str, expected: &str, found: String, remedy: &str| {
            ModelError::file(path, what, expected, found, remedy)
        };
        let damaged = |what: &str, expected: &str| fault(what, expected, "none".into(), DAMAGED);
        let (start, count) =
            directory(bytes).ok_or_else(|| damaged("archive", "a zip directory at its end"))?;
        let mut entries = BTreeMap::new();
        let mut at = start;
        // A directory entry has 46 bytes or more: the count is no reason to ask for memory.
        for number in 0..count {
            let what = format!("zip entry {number}");
            let header = header(bytes, at).ok_or_else(|| damaged(&what, "an entry of the directory"))?;
            let name = std::str::from_utf8(header.name).map_err(|_| damaged(&what, "a name in UTF-8"))?;
            let what = format!("zip entry `{}`", name.chars().take(60).collect::<String>());
            if header.flags & 1 != 0 {
                return Err(fault(&what, "no encryption", "encryption".into(), CONVERT));
            }
            if header.method != 0 || header.packed != header.size {
                let found = format!("method {}, {} bytes for {}", header.method, header.packed, header.size);
                return Err(fault(&what, "bytes stored as they are", found, CONVERT));
            }
            let place =
                content(bytes, &header, start).ok_or_else(|| damaged(&what, "its bytes in the file"))?;
            if entries.insert(name, place).is_some() {
                return Err(fault(&what, "one entry of this name", "two".into(), DAMAGED));
            }
            at += header.length;
        }
        Ok(Archive { entries })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.keys().copied()
    }

    pub(super) fn get(&self, name: &str) -> Option<Range<usize>> {
        self.entries.get(name).cloned()
    }
}
