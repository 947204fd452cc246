//! The only `unsafe` code of this crate: mapping a file, aligned memory, and reading bytes as numbers in place.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;

use half::bf16;
use memmap2::{Mmap, MmapMut};

/// The bytes of a whole file, at an address that is a multiple of [`ALIGN`](crate::bundle::MATRIX_ALIGN).
#[derive(Debug)]
pub(crate) enum Storage {
    Mapped(Mmap),
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
        Ok(Self::Mapped(unsafe { Mmap::map(file) }?))
    }

    /// A copy of `length` bytes of a file in anonymous memory that asks for huge pages, where the system has such.
    pub(crate) fn huge(file: &mut File, length: usize) -> io::Result<Self> {
        let mut memory = MmapMut::map_anon(length)?;
        // Advice that is not taken changes nothing but the speed.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        file.read_exact(&mut memory)?;
        Ok(Self::Mapped(memory.make_read_only()?))
    }

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
