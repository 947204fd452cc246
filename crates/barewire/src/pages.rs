//! Bytes of a file in memory on huge pages, for weights that are read from end to end for each token.
//!
//! With pages of 4 KB a core walks page tables all the time that it streams weights. Two ways lead to pages of 2 MB on Linux. A
//! mapped file lies on such pages where the system keeps it in pieces of that size, as it does since version 6.16 on ext4
//! for what is read after a map has asked (maps here do) or written in runs of that
//! size; this costs nothing. Else the bytes are copied to anonymous memory, which gets huge pages if it
//! asks and the system has some; the pages of the map are given back piece by piece, so both together never hold more than the
//! file's size.

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::sync::{Mutex, PoisonError};

use memmap2::{Mmap, MmapMut};

/// Bytes of a huge page of x86-64, and of aarch64 with pages of 4 KB.
pub const HUGE: usize = 2 << 20;
/// More threads than this do not copy faster.
const MOST_THREADS: usize = 8;

/// Bytes in anonymous memory that has asked for huge pages.
#[derive(Debug)]
pub(crate) struct Copied {
    map: Mmap,
    start: usize,
    length: usize,
}

impl Copied {
    /// `length` bytes that `fill` writes, a piece of at most [`HUGE`] bytes at its place at a time, on several threads.
    ///
    /// # Errors
    /// No memory; the first error of `fill`.
    pub(crate) fn new(
        length: usize,
        fill: impl Fn(usize, &mut [u8]) -> io::Result<()> + Sync,
    ) -> io::Result<Self> {
        // Room to begin at a huge page, wherever the system puts it; what is not touched costs nothing.
        let room = length.checked_next_multiple_of(HUGE).and_then(|size| size.checked_add(HUGE));
        let mut map = MmapMut::map_anon(room.ok_or(io::ErrorKind::OutOfMemory)?)?;
        // Advice that is not taken changes nothing but the speed.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        let start = map.as_ptr().align_offset(HUGE).min(HUGE);
        let fault = Mutex::new(Ok(()));
        {
            let pieces = Mutex::new(map[start..][..length].chunks_mut(HUGE).enumerate());
            let work = || {
                loop {
                    // What the lock guards is whole whoever panicked.
                    let next = pieces.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((number, piece)) = next else { break };
                    if let Err(error) = fill(number * HUGE, piece) {
                        *fault.lock().unwrap_or_else(PoisonError::into_inner) = Err(error);
                        break;
                    }
                }
            };
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            std::thread::scope(|scope| {
                for _ in 1..(length / HUGE).min(cores).min(MOST_THREADS) {
                    // Where no thread can be had, this one does all the work.
                    let _ = std::thread::Builder::new().spawn_scoped(scope, work);
                }
                work();
            });
        }
        fault.into_inner().unwrap_or_else(PoisonError::into_inner)?;
        Ok(Self { map: map.make_read_only()?, start, length })
    }

    /// The first `length` bytes of a file, which is not mapped for it.
    ///
    /// # Errors
    /// No memory; a file that is shorter or cannot be read.
    pub(crate) fn read(file: &File, length: usize) -> io::Result<Self> {
        #[cfg(unix)]
        return Self::new(length, |at, piece| {
            std::os::unix::fs::FileExt::read_exact_at(file, piece, at as u64)
        });
        #[cfg(not(unix))]
        {
            use std::io::{Read, Seek, SeekFrom};
            let shared = Mutex::new(file);
            Self::new(length, |at, piece| {
                let mut file = *shared.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(at as u64))?;
                file.read_exact(piece)
            })
        }
    }
}

impl Deref for Copied {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map[self.start..][..self.length]
    }
}

/// Bytes around `memory` that lie on huge pages now, anonymous or a file's, where the system tells.
///
/// Only memory that has been touched lies anywhere, and what is counted is whole mappings.
pub fn huge_bytes(memory: &[u8]) -> Option<usize> {
    let Range { start, end } = memory.as_ptr_range();
    let (from, to) = (start.addr(), end.addr());
    let maps = std::fs::read_to_string("/proc/self/smaps").ok()?;
    let (mut inside, mut huge) = (false, 0);
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or("");
        let hex = |text: &str| usize::from_str_radix(text, 16).ok();
        if let Some((low, high)) = first.split_once('-').and_then(|(low, high)| Some((hex(low)?, hex(high)?)))
        {
            inside = low < to && from < high;
        } else if inside && matches!(first, "AnonHugePages:" | "FilePmdMapped:" | "ShmemPmdMapped:") {
            huge += 1024 * words.next()?.parse::<usize>().ok()?;
        }
    }
    Some(huge)
}

/// Whether memory that asks for huge pages gets them, as tried on one: settings, limits of a process and memory in small
/// pieces can all be in the way.
pub fn available() -> bool {
    let one = Copied::new(HUGE, |_, piece| {
        piece[0] = 1;
        Ok(())
    });
    one.is_ok_and(|one| huge_bytes(&one).is_some_and(|bytes| bytes > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_is_copied_to_its_place() {
        let number = |at: usize| (at * 31 + at / 4093) as u8;
        for length in [0, 1, HUGE - 1, HUGE, 3 * HUGE + 5] {
            let copied = Copied::new(length, |at, piece| {
                piece.iter_mut().enumerate().for_each(|(i, byte)| *byte = number(at + i));
                Ok(())
            });
            let copied = copied.unwrap();
            assert_eq!(copied.len(), length);
            assert!(copied.iter().enumerate().all(|(i, byte)| *byte == number(i)));
        }
    }

    #[test]
    fn a_file_that_is_too_short_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &[7; 5000]).unwrap();
        let copied = Copied::read(&file, 5000).unwrap();
        assert!(copied.len() == 5000 && copied.iter().all(|byte| *byte == 7));
        let error = Copied::read(&file, 5001).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn huge_pages_are_counted_where_there_are_some() {
        let found = Copied::new(2 * HUGE, |_, piece| {
            piece.fill(1);
            Ok(())
        });
        let found = huge_bytes(&found.unwrap());
        if available() {
            assert!(found.is_some_and(|bytes| bytes > 0));
        }
    }
}
