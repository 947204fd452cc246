//! The only `unsafe` code of this crate: mapping a file and giving back its pages, aligned memory, and reading bytes as numbers
//! in place.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};

use half::bf16;
use memmap2::Mmap;

use crate::pages::Copied;

/// The bytes of a whole file, at an address that is a multiple of [`ALIGN`](crate::bundle::MATRIX_ALIGN).
#[derive(Debug)]
pub(crate) enum Storage {
    Mapped(Mmap),
    Copied(Copied),
    Owned { lines: Vec<Line>, length: usize },
}

/// As much memory as the strictest alignment.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(512))]
pub(crate) struct Line([u8; 512]);

impl Storage {
    /// Maps a file read-only and privately.
    ///
    /// Whoever shortens or rewrites such a file in place while a program runs on it breaks that program, as with any mapped
    /// file. Everything this workspace writes goes to a new file that is renamed over the old one, which leaves
    /// existing maps whole.
    pub(crate) fn map(file: &File) -> io::Result<Self> {
        // SAFETY: the map is read-only and private, so this process cannot change it; the bytes are only read as `u8` or
        // as plain numbers, for which every bit pattern is valid. What remains is another process changing the file in
        // place, which the contract above excludes.
        let map = unsafe { Mmap::map(file) }?;
        // What is not in memory yet is then read in pieces of a huge page, on systems that can; others take no advice.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self::Mapped(map))
    }

    /// The first `length` bytes of a file in anonymous memory that asks for huge pages.
    pub(crate) fn read(file: &File, length: usize) -> io::Result<Self> {
        Ok(Self::Copied(Copied::read(file, length)?))
    }

    /// Gives back memory in which pages of a mapped file were read; who reads there again gets them from the file again.
    pub(crate) fn release(&self, range: Range<usize>) {
        #[cfg(target_os = "linux")]
        if let Self::Mapped(map) = self {
            // The pages around it too, of the largest size that a usual page has: else the edges of pieces would add up.
            const PAGE: usize = 64 << 10;
            let (from, to) = (range.start / PAGE * PAGE, range.end.next_multiple_of(PAGE).min(map.len()));
            if from < to {
                // SAFETY: the map is of a file, private and never written to, so no page holds anything but the file's
                // bytes: a page that is dropped reads the same when it comes back.
                let _ = unsafe {
                    map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, from, to - from)
                };
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = range;
    }

    /// Parts of another storage one behind another in memory that asks for huge pages, each at a multiple of
    /// [`PART`](Self::PART), and where they lie. The memory of the parts is given back while they are copied.
    pub(crate) fn copy_parts(from: &Self, parts: &[Range<usize>]) -> io::Result<(Self, Vec<Range<usize>>)> {
        let (mut end, mut places) = (0, vec![]);
        for part in parts {
            places.push(end..end + part.len());
            end = (end + part.len()).next_multiple_of(Self::PART);
        }
        let copied = Copied::new(end, |at, piece| {
            let (first, last) = (at, at + piece.len());
            let start = places.partition_point(|place| place.end <= first);
            for (place, part) in places[start..].iter().zip(&parts[start..]) {
                let (low, high) = (place.start.max(first), place.end.min(last));
                if low >= high {
                    break;
                }
                let source = part.start + (low - place.start)..part.start + (high - place.start);
                piece[low - first..high - first].copy_from_slice(&from[source.clone()]);
                from.release(source);
            }
            Ok(())
        })?;
        Ok((Self::Copied(copied), places))
    }

    /// What places of copied parts are multiples of.
    const PART: usize = 512;

    /// A copy in aligned memory.
    pub(crate) fn copy(bytes: &[u8]) -> Self {
        let mut lines = vec![Line([0; 512]); bytes.len().div_ceil(512)];
        for (line, piece) in lines.iter_mut().zip(bytes.chunks(512)) {
            line.0[..piece.len()].copy_from_slice(piece);
        }
        Self::Owned { lines, length: bytes.len() }
    }
}

impl Deref for Storage {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Copied(copied) => copied,
            Self::Owned { lines, length } => {
                // SAFETY: the lines are contiguous initialised bytes without padding (512 bytes aligned to 512), borrowed for
                // as long as `self` is, and `length` is at most their sum, as `copy` made it.
                unsafe { std::slice::from_raw_parts(lines.as_ptr().cast::<u8>(), *length) }
            }
        }
    }
}

/// Element types whose every bit pattern is a value, stored little-endian.
pub(crate) trait Plain: Copy {}
impl Plain for f32 {}
impl Plain for f64 {}
impl Plain for bf16 {}
impl Plain for i8 {}
impl Plain for i32 {}
impl Plain for i64 {}

/// The bytes as numbers without a copy, if they are aligned, whole, and in this machine's byte order.
pub(crate) fn cast<T: Plain>(bytes: &[u8]) -> Option<&[T]> {
    // SAFETY: every bit pattern is a valid `T`, and `align_to` only puts aligned, whole elements in the middle.
    let (head, body, tail) = unsafe { bytes.align_to::<T>() };
    (cfg!(target_endian = "little") && head.is_empty() && tail.is_empty()).then_some(body)
}
