//! Calls of compiled loops over slices.
#![allow(unsafe_code)]

use super::Library;
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
