//! Kernels: Rust functions whose syntax tree is interpreted, raised to known recurrences, and made graph.
//!
//! `#[kernel]` ([`macro@kernel`]) leaves a function as it is and keeps its tree as a [`Kernel`]:
//!
//! * [`Kernel::program`]: the typed form, loops over indices;
//! * [`Kernel::interpret`]: the plain evaluation, with Rust's own arithmetic and an error where Rust would panic.

pub mod article;
mod error;
mod explain;
mod function;
mod interp;
mod lower;
pub mod program;
mod raise;
mod symbolic;
mod term;
mod to_graph;
mod value;

pub use crate::error::{KernelError, Result};
pub use crate::explain::{Explanation, Line};
pub use crate::function::{Constant, Kernel};
pub use crate::interp::{Arg, MOST_ELEMENTS, Outcome, check_arguments, interpret};
pub use crate::raise::{Declined, Findings, Raised};
pub use crate::symbolic::Decline;
pub use crate::value::{ArrayValue, Elements, Value};
pub use axes::Axis;
pub use kernel_macros::kernel;
/// [`macro@kernel`] for crates that reach this one as `fidelity::kernel`.
pub use kernel_macros::kernel_of_fidelity;
pub use kernel_syntax::{BinaryOp, Scalar, Span};

/// A tensor with one axis.
pub type Vector<A, T = f32, U = axes::Unitless, S = axes::Buffer<T>> = axes::Tensor<(A,), T, U, S>;

// The attribute's code names this crate by its name, here too.
extern crate self as kernel;
