//! Fidelity: post-transformer AI in Rust, from named axes to streaming generation.
//!
//! This crate is the facade: [`prelude`] for the library's users, [`loaded`] and [`eval`] for running models.

pub mod eval;
pub mod loaded;

/// What most users need.
pub mod prelude {
    pub use crate::eval::{Arithmetic, Batch, Cut, Evaluation, Request};
    pub use crate::loaded::{Loaded, Stream};
    pub use axes::{Axis, DType, Tensor, TernaryMatrix, axes};
    pub use engine::pool::Pool;
    pub use furnace::{grad, grads, jvp, value_and_grad, vjp};
    pub use graph::typed::{Traced, TracedExt};
    pub use graph::{Cx, Dim, Graph, Type, Var};
}
