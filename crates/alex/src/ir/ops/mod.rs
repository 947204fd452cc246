//! The ops, as methods of [`Builder`](super::Builder): one file per dialect.

mod arith;
mod func;
mod llvm;
mod math;
mod memref;
mod scf;
mod tensor;
mod vector;
mod vector_memory;

pub use arith::{CmpF, CmpI};
pub use vector::{Chunk, Combine, Inner};
