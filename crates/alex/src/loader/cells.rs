//! Calls of compiled loops over slices.
#![allow(unsafe_code)]

use super::{Entry, Library};
use crate::error::{AlexError, Result};

/// Calls a function of `crate::extended::Kernels` that reads `n` elements of each input and writes at most `n`, and at least
/// as many as `out` has, to the output. Of types: what the function of that name is emitted for.
pub(crate) fn run<T, U>(
    library: &Library,
    name: &str,
    inputs: &[&[T]],
    out: &mut [U],
    n: usize,
) -> Result<()> {
    let entry = library.entry(name)?;
    let n = n as i64;
    let mut bindings: Vec<*mut u8> = inputs.iter().map(|x| x.as_ptr().cast_mut().cast()).collect();
    bindings.push(out.as_mut_ptr().cast());
    bindings.push((&raw const n).cast_mut().cast());
    // SAFETY: the module was emitted by `crate::extended::kernels`, whose callers give slices of the types and lengths that
    // the function of that name reads and writes: `n` elements of each input, and of the output as many as it has. Inputs
    // and the count are only read. The library outlives the call.
    let status = unsafe { entry(std::ptr::null_mut(), bindings.as_ptr()) };
    match status {
        0 => Ok(()),
        _ => Err(AlexError::Load {
            path: library.path().to_path_buf(),
            problem: format!("`{name}` gave status {status}"),
        }),
    }
}

/// Calls the function of a plan that `crate::extended::Program` has lowered, in the given memory: `order[k]` is the index in
/// `memory` of what the plan's binding `k` is bound to, and the arena has 64 bytes more than the plan needs.
pub(crate) fn enter(
    library: &Library,
    entry: Entry,
    arena: &mut [u128],
    memory: &mut [Vec<u128>],
    order: &[usize],
) -> i32 {
    let start = arena.as_mut_ptr().cast::<u8>();
    let skip = start.align_offset(64);
    let places: Vec<*mut u8> = memory.iter_mut().map(|m| m.as_mut_ptr().cast()).collect();
    let bindings: Vec<*mut u8> = order.iter().map(|k| places[*k]).collect();
    // SAFETY: the function was lowered from the plan whose bindings `memory` was made for, each as large as the plan's type
    // in 16-byte elements; the arena is as large as the lowering says behind its first multiple of 64; constants and inputs
    // are only read but where an output takes an input's place, which then is bound alone. `library` keeps the code.
    let status = unsafe { entry(start.wrapping_add(skip), bindings.as_ptr()) };
    let _ = library;
    status
}
