//! Fused elementwise groups: a small register machine over blocks of f32.
//!
//! A [`Program`] is the straight-line code of one fused group. [`run`] walks over the elements in blocks of
//! [`BLOCK`]; each operation is one vectorised loop over the block, and its operands lie in registers that stay in
//! the first-level cache, so that a group reads its inputs and writes its outputs once. This costs about one load
//! and one store more per operation than generated code, and needs no compiler at run time.
//!
//! All arithmetic is f32. Other dtypes are converted when they are loaded and stored; masks are 1.0 and 0.0.

mod exec;
mod io;
mod program;

pub use exec::run;
pub use io::{Access, Dtype, Input, Output};
pub use program::{BLOCK, EwOp, MAX_OPS, Program, ProgramError};
