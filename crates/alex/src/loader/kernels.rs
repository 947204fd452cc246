//! Calls of compiled kernels.
#![allow(unsafe_code)]

use super::{Entry, Library};
use kernel::Scalar;

/// Elements as a kernel has them in memory.
#[derive(Debug)]
pub(crate) enum Buffer {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
}

impl Buffer {
    fn address(&mut self) -> *mut u8 {
        match self {
            Buffer::F32(v) => v.as_mut_ptr().cast(),
            Buffer::F64(v) => v.as_mut_ptr().cast(),
            Buffer::I8(v) => v.as_mut_ptr().cast(),
            Buffer::I16(v) => v.as_mut_ptr().cast(),
            Buffer::I32(v) => v.as_mut_ptr().cast(),
            Buffer::I64(v) => v.as_mut_ptr().cast(),
        }
    }

    /// From bytes as they lie in memory.
    pub(crate) fn from_bytes(s: Scalar, bytes: &[u8]) -> Buffer {
        fn parts<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
            bytes.chunks_exact(N).filter_map(|c| c.try_into().ok())
        }
        match s {
            Scalar::F32 => Buffer::F32(parts(bytes).map(f32::from_ne_bytes).collect()),
            Scalar::F64 => Buffer::F64(parts(bytes).map(f64::from_ne_bytes).collect()),
            Scalar::I8 | Scalar::U8 | Scalar::Bool => Buffer::I8(bytes.iter().map(|x| *x as i8).collect()),
            Scalar::I16 | Scalar::U16 => Buffer::I16(parts(bytes).map(i16::from_ne_bytes).collect()),
            Scalar::I32 | Scalar::U32 => Buffer::I32(parts(bytes).map(i32::from_ne_bytes).collect()),
            _ => Buffer::I64(parts(bytes).map(i64::from_ne_bytes).collect()),
        }
    }
}

/// A result that is an array: which buffer takes its address and sizes, and how large an element is.
pub(crate) struct Given {
    pub(crate) at: usize,
    pub(crate) bytes: usize,
}

/// Calls the function of a kernel that `crate::kernels` has lowered, with the buffers that its `Lowered` describes: the status,
/// and where that is 0 the bytes of the arrays that it gave.
pub(crate) fn call(
    library: &Library,
    (entry, free): (Entry, Entry),
    frame: &mut [i64; 3],
    buffers: &mut [Buffer],
    given: &[Given],
) -> (i32, Vec<Vec<u8>>) {
    let bindings: Vec<*mut u8> = buffers.iter_mut().map(Buffer::address).collect();
    // SAFETY: the function was lowered by `crate::kernels` from the program whose arguments `buffers` hold in its order: each
    // element that it reads or writes lies behind a comparison with the sizes, which are those of the buffers
    // (`check_arguments`), and results have the words that the program gives them. The library outlives the call.
    let status = unsafe { entry(frame.as_mut_ptr().cast(), bindings.as_ptr()) };
    let mut made = vec![];
    let mut freed: Vec<i64> = vec![];
    for g in given {
        let Buffer::I64(words) = &buffers[g.at] else { continue };
        let (address, dims) = words.split_first().map_or((0, &[][..]), |(a, d)| (*a, d));
        if address == 0 {
            continue;
        }
        if status == 0 {
            let n = dims.iter().map(|d| *d as usize).product::<usize>() * g.bytes;
            // SAFETY: with status 0 the code has made an array at this address by `malloc`, and has compared its number of
            // elements with the product of these sizes. It is not freed before the loop below.
            made.push(unsafe { std::slice::from_raw_parts(address as usize as *const u8, n) }.to_vec());
        }
        if !freed.contains(&address) {
            freed.push(address);
        }
    }
    for address in freed {
        // SAFETY: the address is one that the code took from `malloc` and left to its caller, and is freed once.
        unsafe { free(address as usize as *mut u8, std::ptr::null()) };
    }
    let _ = library;
    (status, made)
}
