//! Kernels as native code: the same numbers, and the same complaints, as rustc's and the interpreter's.
#![allow(missing_docs)]

mod article;
mod numbers;
mod programs;

use alex::kernels::{Compiled, Lowered, Options, lower};
use alex::{Compiler, Options as Machine};
use kernel::Kernel;

/// The compiler without a cache, or a line that says why the test is skipped.
pub(crate) fn compiler() -> Option<Compiler> {
    match Compiler::new(Machine { level: 1, ..Machine::default() }) {
        Ok(c) => Some(c.with_cache(None)),
        Err(e) => {
            eprintln!("skipped: {e}");
            None
        }
    }
}

/// Several kernels as one library.
pub(crate) fn compiled(kernels: &[Kernel], compiler: &Compiler) -> Vec<Compiled> {
    let lowered: Vec<Lowered> = kernels
        .iter()
        .enumerate()
        .map(|(k, kernel)| {
            let options = Options { name: Some(format!("k{k}")), ..Options::default() };
            lower(kernel, &options).unwrap_or_else(|e| panic!("{e}\n{}", kernel.text()))
        })
        .collect();
    Compiled::load_all(lowered, compiler).unwrap_or_else(|e| panic!("{e}"))
}
