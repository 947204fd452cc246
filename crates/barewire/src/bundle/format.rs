//! The bytes of header and table: writing them, and reading them from a file that may lie.
//!
//! Structure is checked here, before any section is looked at: sizes by checked arithmetic, order and place exactly as
//! a writer computes them (so that nothing can overlap, hide or hang over the end), then names.

use std::collections::BTreeSet;

use axes::{DType, TritLayout};

/// What every bundle starts with. The first byte is not ASCII and the line ends are of both kinds, as in PNG, so that
/// a transfer that took the file for text is noticed at once.
pub const MAGIC: [u8; 8] = *b"\x89FID\r\n\x1a\n";
/// The version of the format that this code reads and writes.
pub const VERSION: u32 = 1;
/// Bytes of the header.
pub const HEADER: usize = 64;
/// Every section starts at a multiple of this.
pub const SECTION_ALIGN: u64 = 64;
/// Matrices of trits start at a multiple of this.
pub const MATRIX_ALIGN: u64 = 512;
/// Sizes that a tensor may have at most.
pub const MAX_RANK: usize = 8;
/// Bytes that a section's name may have at most.
pub const MAX_NAME: usize = 1024;

/// Bytes of a table entry before sizes and name.
const FIXED: usize = 32;
/// The header's last field, and the table's: a CRC-32C of everything before it.
const CHECKSUM: usize = 4;
/// The table ends with its checksum, filled up to a multiple of eight.
const TABLE_END: usize = 8;

const DAMAGED: &str = "the file is damaged or not whole: fetch it again, or pack the model again";

/// What a section holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Bytes whose meaning the name says, such as a `config.json`.
    Bytes {
        /// How many.
        length: u64,
    },
    /// Numbers, row-major, little-endian.
    Tensor {
        /// Their type; not [`DType::Trit`].
        dtype: DType,
        /// Sizes, outermost first, each at least 1; none for a single number.
        shape: Vec<usize>,
    },
    /// A matrix of packed trits with one scale.
    Trits {
        /// How the trits lie.
        layout: TritLayout,
        /// Rows and columns, each at least 1.
        shape: [usize; 2],
    },
}

impl Content {
    /// Bytes of the section; `None` for sizes that make no section.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Bytes { length } => Some(*length),
            Self::Tensor { dtype, shape } => {
                if shape.len() > MAX_RANK || shape.contains(&0) {
                    return None;
                }
                shape.iter().try_fold(dtype.size()? as u64, |n, &size| n.checked_mul(size as u64))
            }
            Self::Trits { layout, shape: [rows, columns] } => {
                if *rows == 0 || *columns == 0 || rows.checked_mul(*columns).is_none() {
                    return None;
                }
                layout.bytes(*rows, *columns).map(|n| n as u64)
            }
        }
    }

    pub(super) fn align(&self) -> u64 {
        if matches!(self, Self::Trits { .. }) { MATRIX_ALIGN } else { SECTION_ALIGN }
    }

    /// The sizes, outermost first; none for bytes.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Bytes { .. } => &[],
            Self::Tensor { shape, .. } => shape,
            Self::Trits { shape, .. } => shape,
        }
    }
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The section's name, given once.
    pub name: String,
    /// What it holds.
    pub content: Content,
    /// The scale s of a matrix of trits (a weight is t / s); `None` for everything else.
    pub scale: Option<f32>,
    /// First byte in the file.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// CRC-32C of the bytes.
    pub checksum: u32,
}

impl Entry {
    /// Bytes of the entry itself in the table, scale and name included.
    pub fn table_length(&self) -> u64 {
        entry_length(&self.name, self.content.shape().len()) as u64
    }
}

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) file: u64,
    pub(super) table: u64,
    pub(super) table_length: u64,
    pub(super) sections: u32,
}

/// What is wrong with a bundle, before the file's name is put in front of it.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) part: String,
    pub(crate) expected: String,
    pub(crate) found: String,
    pub(crate) remedy: String,
}

pub(crate) fn fault(part: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Fault {
    Fault { part: part.into(), expected: expected.into(), found: found.into(), remedy: DAMAGED.into() }
}

const DTYPES: [(u8, DType); 9] = [
    (1, DType::F64),
    (2, DType::F32),
    (3, DType::BF16),
    (4, DType::F16),
    (5, DType::I64),
    (6, DType::I32),
    (7, DType::I8),
    (8, DType::U8),
    (9, DType::Bool),
];
const TRIT: u8 = 10;
const LAYOUTS: [(u8, TritLayout); 4] = [
    (1, TritLayout::Bytes),
    (2, TritLayout::Compute),
    (3, TritLayout::Interchange),
    (4, TritLayout::Storage),
];

fn code_of<T: Copy + PartialEq>(table: &[(u8, T)], value: T) -> u8 {
    table.iter().find(|(_, v)| *v == value).map_or(0, |(code, _)| *code)
}

/// Where the sections of these contents lie, where the table starts, or `None` if that cannot be counted.
pub(super) fn places<'a>(contents: impl Iterator<Item = &'a Content>) -> Option<(Vec<(u64, u64)>, u64)> {
    let mut end = HEADER as u64;
    let mut list = Vec::new();
    for content in contents {
        let length = content.length()?;
        let offset = end.checked_next_multiple_of(content.align())?;
        end = offset.checked_add(length)?;
        list.push((offset, length));
    }
    Some((list, end.checked_next_multiple_of(SECTION_ALIGN)?))
}

/// Bytes of an entry in the table.
pub(super) fn entry_length(name: &str, rank: usize) -> usize {
    FIXED + 8 * rank + name.len().next_multiple_of(8)
}

/// Bytes of the table.
pub(super) fn table_length(entries: impl Iterator<Item = usize>) -> usize {
    entries.sum::<usize>() + TABLE_END
}

/// The header's bytes.
pub(super) fn write_header(header: &Header) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &MAGIC);
    put(8, &VERSION.to_le_bytes());
    put(16, &header.file.to_le_bytes());
    put(24, &header.table.to_le_bytes());
    put(32, &header.table_length.to_le_bytes());
    put(40, &header.sections.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..HEADER - CHECKSUM]);
    bytes[HEADER - CHECKSUM..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The table's bytes.
pub(super) fn write_table(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let (kind, dtype, layout) = match &entry.content {
            Content::Bytes { .. } => (0, 0, 0),
            Content::Tensor { dtype, .. } => (1, code_of(&DTYPES, *dtype), 0),
            Content::Trits { layout, .. } => (1, TRIT, code_of(&LAYOUTS, *layout)),
        };
        let shape = entry.content.shape();
        bytes.extend(entry.offset.to_le_bytes());
        bytes.extend(entry.length.to_le_bytes());
        bytes.extend(entry.checksum.to_le_bytes());
        bytes.extend([kind, dtype, layout, shape.len() as u8]);
        bytes.extend(entry.scale.unwrap_or(0.0).to_bits().to_le_bytes());
        bytes.extend((entry.name.len() as u16).to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(shape.iter().flat_map(|size| (*size as u64).to_le_bytes()));
        bytes.extend(entry.name.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes.extend([0; TABLE_END - CHECKSUM]);
    bytes
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

/// Reads the header of a whole file.
pub(super) fn read_header(file: &[u8]) -> Result<Header, Fault> {
    let shown = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
    let start = &file[..file.len().min(MAGIC.len())];
    if start != MAGIC {
        let remedy = match start {
            [b'G', b'G', b'U', b'F', ..] => {
                "this is a GGUF file and no bundle: `fidelity convert` makes one of it"
            }
            [] => DAMAGED,
            [first, ..] if *first >= 0x80 => DAMAGED,
            _ => "name a bundle that `fidelity pack` wrote",
        };
        let found = if start.is_empty() { "an empty file".into() } else { shown(start) };
        return Err(Fault { remedy: remedy.into(), ..fault("header, magic", shown(&MAGIC), found) });
    }
    let Some(header) = file.get(..HEADER) else {
        return Err(fault("header", format!("{HEADER} bytes"), format!("{}", file.len())));
    };
    // Before the checksum, which another version may have in another place.
    let version = u32_at(header, 8);
    if version != VERSION {
        let remedy = format!(
            "read it with a newer version of this program, or fetch it again if it should be of version {VERSION}"
        );
        return Err(Fault { remedy, ..fault("header, version", VERSION.to_string(), version.to_string()) });
    }
    let (stated, found) = (u32_at(header, HEADER - CHECKSUM), crc32c::crc32c(&header[..HEADER - CHECKSUM]));
    if stated != found {
        return Err(fault("header, checksum", format!("{stated:08x}"), format!("{found:08x}")));
    }
    let flags = u32_at(header, 12);
    if flags != 0 {
        let remedy = "a newer version wrote it with features that this one lacks: read it with that version";
        return Err(Fault { remedy: remedy.into(), ..fault("header, flags", "0", format!("{flags:#x}")) });
    }
    if header[44..HEADER - CHECKSUM].iter().any(|b| *b != 0) {
        return Err(fault("header, reserved bytes", "zeros", "others"));
    }
    let found = Header {
        file: u64_at(header, 16),
        table: u64_at(header, 24),
        table_length: u64_at(header, 32),
        sections: u32_at(header, 40),
    };
    if found.file != file.len() as u64 {
        let expected = format!("{} bytes, as the header says", found.file);
        return Err(fault("file length", expected, format!("{} bytes", file.len())));
    }
    let place = format!("bytes {} + {}", found.table, found.table_length);
    if found.table < HEADER as u64 || !found.table.is_multiple_of(SECTION_ALIGN) {
        return Err(fault(
            "header, table",
            format!("a multiple of {SECTION_ALIGN} behind the header"),
            place,
        ));
    }
    if found.table.checked_add(found.table_length) != Some(found.file) {
        return Err(fault("header, table", format!("an end at the file's, {}", found.file), place));
    }
    let least = u64::from(found.sections) * FIXED as u64 + TABLE_END as u64;
    if found.table_length < least {
        let expected = format!("at least {least} bytes for {} sections", found.sections);
        return Err(fault("header, table", expected, format!("{} bytes", found.table_length)));
    }
    Ok(found)
}

/// Reads the table and checks every place in it.
pub(super) fn read_table(file: &[u8], header: &Header) -> Result<Vec<Entry>, Fault> {
    // The header's check has shown that both fit.
    let table = &file[header.table as usize..];
    let (body, end) = table.split_at(table.len() - TABLE_END);
    let (stated, found) = (u32_at(end, 0), crc32c::crc32c(body));
    if stated != found {
        return Err(fault("table, checksum", format!("{stated:08x}"), format!("{found:08x}")));
    }
    if end[CHECKSUM..].iter().any(|b| *b != 0) {
        return Err(fault("table, padding", "zeros", "others"));
    }
    // At most as many as fit, so no more memory than a small multiple of the file.
    let mut entries = Vec::with_capacity(header.sections as usize);
    let mut rest = body;
    for number in 0..header.sections {
        let (entry, length) = read_entry(rest, number)?;
        entries.push(entry);
        rest = &rest[length..];
    }
    if !rest.is_empty() {
        let expected = format!("an end behind section {}", header.sections);
        return Err(fault("table", expected, format!("{} more bytes", rest.len())));
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = entries.iter().find(|entry| !names.insert(entry.name.as_str())) {
        return Err(fault(format!("section `{}`", twice.name), "one of this name", "two"));
    }
    check_places(&entries, header)?;
    Ok(entries)
}

/// Offsets and lengths have to be the ones that a writer computes from the contents alone.
fn check_places(entries: &[Entry], header: &Header) -> Result<(), Fault> {
    let mut end = HEADER as u64;
    for entry in entries {
        let part = |field: &str| format!("section `{}`, {field}", entry.name);
        let needs = entry.content.length();
        if needs != Some(entry.length) {
            let expected = match needs {
                Some(n) => format!("{n} bytes, as its type and sizes need"),
                None => "sizes that are at least 1 and fit the address space".into(),
            };
            return Err(fault(part("length"), expected, format!("{} bytes", entry.length)));
        }
        let align = entry.content.align();
        let expected = end.checked_next_multiple_of(align);
        if expected != Some(entry.offset) {
            let expected = format!("{}, the next multiple of {align}", expected.unwrap_or(u64::MAX));
            return Err(fault(part("offset"), expected, entry.offset.to_string()));
        }
        end = match entry.offset.checked_add(entry.length) {
            Some(end) if end <= header.table => end,
            _ => {
                let expected = format!("an end before the table at {}", header.table);
                return Err(fault(part("length"), expected, format!("{} + {}", entry.offset, entry.length)));
            }
        };
    }
    if end.checked_next_multiple_of(SECTION_ALIGN) != Some(header.table) {
        let expected =
            format!("the next multiple of {SECTION_ALIGN} behind the last section, which ends at {end}");
        return Err(fault("header, table", expected, header.table.to_string()));
    }
    Ok(())
}

/// One entry and its length in the table.
fn read_entry(bytes: &[u8], number: u32) -> Result<(Entry, usize), Fault> {
    let part = |field: &str| format!("table, section {number}, {field}");
    let short = |needs: usize| fault(part("length"), format!("{needs} bytes"), format!("{}", bytes.len()));
    let Some(fixed) = bytes.get(..FIXED) else { return Err(short(FIXED)) };
    let [kind, dtype, layout, rank] = [fixed[20], fixed[21], fixed[22], fixed[23]];
    let rank = usize::from(rank);
    let name_length = usize::from(u16::from_le_bytes([fixed[28], fixed[29]]));
    if rank > MAX_RANK {
        return Err(fault(part("rank"), format!("at most {MAX_RANK}"), rank.to_string()));
    }
    if name_length == 0 || name_length > MAX_NAME {
        return Err(fault(part("name"), format!("1 to {MAX_NAME} bytes"), name_length.to_string()));
    }
    if fixed[30..].iter().any(|b| *b != 0) {
        return Err(fault(part("reserved bytes"), "zeros", "others"));
    }
    let sizes_end = FIXED + 8 * rank;
    let length = sizes_end + name_length.next_multiple_of(8);
    let Some(whole) = bytes.get(..length) else { return Err(short(length)) };
    if whole[sizes_end + name_length..].iter().any(|b| *b != 0) {
        return Err(fault(part("padding"), "zeros", "others"));
    }
    let name = match std::str::from_utf8(&whole[sizes_end..sizes_end + name_length]) {
        Ok(name) if is_name(name) => name.to_owned(),
        _ => return Err(fault(part("name"), "UTF-8 text without control characters", "other bytes")),
    };
    let part = |field: &str| format!("section `{name}`, {field}");
    let mut shape = Vec::with_capacity(rank);
    for at in (FIXED..sizes_end).step_by(8) {
        let size = u64_at(whole, at);
        let fits = usize::try_from(size).ok();
        shape.push(fits.ok_or_else(|| fault(part("sizes"), "sizes that fit", size.to_string()))?);
    }
    let content = match (kind, dtype, layout, shape.as_slice()) {
        (0, 0, 0, []) => Content::Bytes { length: u64_at(whole, 8) },
        (1, TRIT, layout, &[rows, columns]) if (1..=4).contains(&layout) => {
            Content::Trits { layout: LAYOUTS[usize::from(layout) - 1].1, shape: [rows, columns] }
        }
        (1, dtype @ 1..=9, 0, _) => Content::Tensor { dtype: DTYPES[usize::from(dtype) - 1].1, shape },
        _ => {
            let found = format!("kind {kind}, dtype {dtype}, layout {layout}, rank {rank}");
            let expected = "bytes (0, 0, 0, 0), numbers (1, 1 to 9, 0) or trits (1, 10, 1 to 4, rank 2)";
            let remedy = format!("{DAMAGED}; or read it with a newer version of this program");
            return Err(Fault { remedy, ..fault(part("type"), expected, found) });
        }
    };
    let bits = u32_at(whole, 24);
    let scale = f32::from_bits(bits);
    let scale = match content {
        Content::Trits { .. } if scale.is_finite() && scale > 0.0 => Some(scale),
        Content::Trits { .. } => {
            return Err(fault(part("scale"), "a positive finite number", scale.to_string()));
        }
        _ if bits != 0 => return Err(fault(part("scale"), "none", scale.to_string())),
        _ => None,
    };
    let (offset, bytes, checksum) = (u64_at(whole, 0), u64_at(whole, 8), u32_at(whole, 16));
    Ok((Entry { name, content, scale, offset, length: bytes, checksum }, length))
}

/// Whether a text may name a section.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control)
}
