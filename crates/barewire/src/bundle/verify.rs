//! Every byte of a bundle: checksums, codes of trits, truth values, and zeros between the sections.
//!
//! A large section is cut into pieces that threads take in turn; the pieces' checksums combine to the section's. The
//! codes are looked at while a piece is still in the cache.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axes::{DType, TritLayout};

use super::format::{Content, Entry, Fault, HEADER, fault};
use crate::trits::Form;
use crate::trits::check::{self, padding_fault};

/// Bytes that a thread takes at once.
const PIECE: usize = 1 << 20;
/// Below this, starting a thread costs more than it saves.
const PER_THREAD: usize = 2 << 20;
/// More threads than this do not read memory faster.
const MOST_THREADS: usize = 8;

/// A part of a section.
struct Piece {
    entry: usize,
    start: usize,
    length: usize,
}

/// Checks all sections of a file whose table was found sound.
pub(super) fn verify(file: &[u8], entries: &[Entry], table: usize) -> Result<(), Fault> {
    let mut pieces = Vec::new();
    for (entry, Entry { offset, length, .. }) in entries.iter().enumerate() {
        let (offset, length) = (*offset as usize, *length as usize);
        pieces.extend((0..length).step_by(PIECE).map(|at| Piece {
            entry,
            start: offset + at,
            length: PIECE.min(length - at),
        }));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (table / PER_THREAD).clamp(1, cores.min(MOST_THREADS));
    let found = checksums(file, entries, &pieces, threads);
    let mut found = found.into_iter().zip(&pieces).peekable();
    for (number, entry) in entries.iter().enumerate() {
        let (mut checksum, mut illegal) = (crc32c::crc32c(&[]), None);
        while let Some(((crc, wrong), piece)) = found.next_if(|(_, piece)| piece.entry == number) {
            checksum = crc32c::crc32c_combine(checksum, crc, piece.length);
            illegal = illegal.or(wrong);
        }
        let part = |what: &str| format!("section `{}`, {what}", entry.name);
        if checksum != entry.checksum {
            let expected = format!("{:08x}", entry.checksum);
            return Err(fault(part("checksum"), expected, format!("{checksum:08x}")));
        }
        let bytes = &file[entry.offset as usize..][..entry.length as usize];
        match entry.content {
            Content::Trits { layout, shape: [rows, columns] } => {
                let wrong = match illegal {
                    Some(at) => Some(check::illegal_code(layout, bytes, at - entry.offset as usize)),
                    None => padding_fault(Form { layout, rows, columns }, bytes),
                };
                if let Some(wrong) = wrong {
                    return Err(fault(part(&wrong.place), wrong.expected, wrong.found));
                }
            }
            _ => {
                if let Some(at) = illegal {
                    return Err(fault(
                        part(&format!("byte {}", at - entry.offset as usize)),
                        "0 or 1",
                        file[at].to_string(),
                    ));
                }
            }
        }
    }
    gaps(file, entries, table)
}

/// The checksum of each piece, and the place of the first byte in it that its type does not allow.
fn checksums(file: &[u8], entries: &[Entry], pieces: &[Piece], threads: usize) -> Vec<(u32, Option<usize>)> {
    let look = |piece: &Piece| {
        let bytes = &file[piece.start..][..piece.length];
        let mut checksum = crc32c::crc32c(&[]);
        let mut wrong = None;
        // As much as a first-level cache holds beside the rest.
        for (number, block) in bytes.chunks(1 << 14).enumerate() {
            checksum = crc32c::crc32c_append(checksum, block);
            if wrong.is_none() {
                let at = match entries[piece.entry].content {
                    Content::Trits { layout, .. } => check::illegal_byte(layout, block),
                    Content::Tensor { dtype: DType::Bool, .. } => block.iter().position(|b| *b > 1),
                    _ => None,
                };
                wrong = at.map(|at| piece.start + (number << 14) + at);
            }
        }
        (checksum, wrong)
    };
    if threads < 2 {
        return pieces.iter().map(look).collect();
    }
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![(0, None); pieces.len()]);
    let work = || {
        let mut own = Vec::new();
        while let Some((at, piece)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            pieces.get(at).map(|piece| (at, piece))
        } {
            own.push((at, look(piece)));
        }
        if let Ok(mut results) = results.lock() {
            own.into_iter().for_each(|(at, result)| results[at] = result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Where no thread can be had, this one does all the work.
            let _ = std::thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    results.into_inner().unwrap_or_default()
}

/// Between header, sections and table there are zeros only.
fn gaps(file: &[u8], entries: &[Entry], table: usize) -> Result<(), Fault> {
    let mut end = HEADER;
    let starts = entries.iter().map(|entry| (entry.offset as usize, entry.length as usize));
    for (start, length) in starts.chain([(table, 0)]) {
        if let Some(at) = file[end..start].iter().position(|b| *b != 0) {
            let found = format!("{:02x}", file[end + at]);
            return Err(fault(format!("padding, byte {}", end + at), "00", found));
        }
        end = start + length;
    }
    Ok(())
}

// A layout that this file does not know would be verified as plain bytes.
const _: () = assert!(TritLayout::ALL.len() == 4);
