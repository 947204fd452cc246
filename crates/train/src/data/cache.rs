//! Tokenised text on disk, so that the second run of a day starts at once.
//!
//! One file per combination of sources (path, size, time of change), split and tokenizer; its name is a hash of
//! those. Layout, all little-endian:
//!
//! ```text
//! "FIDTOK01" | header length u32 | header JSON | training ids | validation ids | crc32c of all before, u32
//! ```
//! A file that is not what was written is rebuilt, never trusted.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use models::tokenizer::Tokenizer;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::checkpoint::{atomic_write, create_folder};
use crate::config::DataConfig;
use crate::error::Result;

use super::source::Discovered;
use super::tokens::{Ids, TokenSet};

const MAGIC: &[u8; 8] = b"FIDTOK01";

/// What a cache file holds.
#[derive(Debug, PartialEq)]
pub(super) struct Cached {
    pub train: TokenSet,
    pub validation: TokenSet,
    pub notes: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    key: String,
    notes: Vec<String>,
    sets: [SetHeader; 2],
}

#[derive(Serialize, Deserialize)]
struct SetHeader {
    tokens: usize,
    width: usize,
    starts: Vec<usize>,
    bytes: u64,
}

/// A text that is equal only if the tokens are: everything that they depend on.
pub(super) fn key(
    data: &DataConfig,
    tokenizer: &Tokenizer,
    sources: &Discovered,
    held_back: &Discovered,
) -> String {
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text.as_bytes());
    };
    add(&tokenizer.identity());
    add(&data.document_separator);
    add(&data.max_bytes.to_string());
    add(&format!("{:?}", data.validation));
    for list in [sources, held_back] {
        add(&list.files.len().to_string());
        for (path, named) in &list.files {
            let path = path.canonicalize().unwrap_or_else(|_| path.clone());
            let (size, changed) = match path.metadata() {
                Ok(meta) => {
                    (meta.len(), meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()))
                }
                Err(_) => (0, None),
            };
            add(&format!("{} {named} {size} {}", path.display(), changed.map_or(0, |t| t.as_nanos())));
        }
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file of a key.
pub(super) fn path(dir: &Path, key: &str) -> PathBuf {
    dir.join(format!("tokens-{}.bin", key.get(..16).unwrap_or(key)))
}

/// Reads a cache file: `None` if there is none (or none that can be opened), an explanation if it is damaged.
pub(super) fn read(path: &Path, key: &str) -> Result<Option<Cached>, String> {
    let Ok(bytes) = std::fs::read(path) else { return Ok(None) };
    let short = || format!("it ends after {} bytes", bytes.len());
    let (body, crc) = bytes.split_last_chunk::<4>().ok_or_else(short)?;
    let (found, expected) = (crc32c::crc32c(body), u32::from_le_bytes(*crc));
    if found != expected {
        return Err(format!("its checksum is {found:08x}, expected {expected:08x}"));
    }
    let rest = body.strip_prefix(MAGIC).ok_or("it does not begin with FIDTOK01")?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let (header, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(short)?;
    let header: Header = serde_json::from_slice(header).map_err(|e| format!("its header: {e}"))?;
    if header.key != key {
        return Err("it belongs to other text".to_owned());
    }
    let [train, validation] = header.sets;
    let (train, rest) = take("training", train, rest)?;
    let (validation, rest) = take("validation", validation, rest)?;
    if !rest.is_empty() {
        return Err(format!("{} bytes too many", rest.len()));
    }
    Ok(Some(Cached { train, validation, notes: header.notes }))
}

fn take<'a>(part: &'static str, header: SetHeader, bytes: &'a [u8]) -> Result<(TokenSet, &'a [u8]), String> {
    let size = header.tokens.checked_mul(header.width).ok_or("its sizes overflow")?;
    let (ids, rest) = bytes.split_at_checked(size).ok_or("it holds fewer tokens than its header says")?;
    let ids = match header.width {
        2 => Ids::U16(ids.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect()),
        4 => Ids::U32(ids.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
        width => return Err(format!("{width} bytes per token, expected 2 or 4")),
    };
    let ordered = header.starts.is_sorted() && header.starts.last().is_none_or(|&last| last <= header.tokens);
    if !ordered {
        return Err("its documents overlap".to_owned());
    }
    Ok((TokenSet { part, ids, starts: header.starts, bytes: header.bytes }, rest))
}

/// Writes a cache file, whole or not at all.
pub(super) fn write(
    path: &Path,
    key: &str,
    train: &TokenSet,
    validation: &TokenSet,
    notes: &[String],
) -> Result<()> {
    if let Some(dir) = path.parent() {
        create_folder(dir)?;
    }
    let describe = |set: &TokenSet| SetHeader {
        tokens: set.len(),
        width: set.ids.width(),
        starts: set.starts.clone(),
        bytes: set.bytes,
    };
    let header =
        Header { key: key.to_owned(), notes: notes.to_vec(), sets: [describe(train), describe(validation)] };
    atomic_write(path, |out| {
        let header = serde_json::to_vec(&header)?;
        let length = u32::try_from(header.len()).map_err(std::io::Error::other)?.to_le_bytes();
        let mut crc = 0;
        for part in [MAGIC.as_slice(), &length, &header, &train.ids.to_bytes(), &validation.ids.to_bytes()] {
            crc = crc32c::crc32c_append(crc, part);
            out.write_all(part)?;
        }
        out.write_all(&crc.to_le_bytes())
    })
}
