//! The only `unsafe` code of this crate: mapping a file, and reading its bytes as numbers in place.
//!
//! Both are here, and nowhere else, so that the whole argument fits on one page.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// Maps a file read-only and privately.
///
/// Whoever shortens or rewrites a weight file in place while a program runs on it breaks that program, as with
/// any mapped file. Everything this workspace writes goes to a new file that is renamed over the old one
/// ([`crate::atomic`]), which leaves existing maps whole.
pub(crate) fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the map is read-only and private, so this process cannot change it; the bytes are only ever read as
    // `u8` or as plain floats, for which every bit pattern is valid. What remains is another process changing the
    // file in place, which the module's contract above excludes.
    unsafe { Mmap::map(file) }
}

/// The bytes as `f32` without a copy, if they are aligned, whole, and in this machine's byte order.
pub(crate) fn as_f32(bytes: &[u8]) -> Option<&[f32]> {
    // SAFETY: every bit pattern is a valid f32, and `align_to` only puts aligned, whole elements in the middle.
    let (head, body, tail) = unsafe { bytes.align_to::<f32>() };
    (cfg!(target_endian = "little") && head.is_empty() && tail.is_empty()).then_some(body)
}
