//! Fidelity: post-transformer AI in Rust, from named axes to streaming generation.
//!
//! This crate is the facade: [`prelude`] for the library's users, [`fit`] for training a graph of one's own, [`loaded`]
//! and [`eval`] for running models, [`generate`] and [`perplexity`] for text, [`convert`] for models in other forms, [`derive`](mod@derive) for studying a function and its derivatives, [`calibration`] for the layout that suits this machine, [`mod@bench`], [`inspect`] and [`doctor`] for looking at a
//! model and at this computer.

pub mod bench;
pub mod bundle;
pub mod calibration;
pub mod chat;
pub mod compare;
pub mod compile;
pub mod compiled;
pub mod convert;
pub mod demo;
pub mod derive;
pub mod doctor;
pub mod error;
pub mod eval;
pub mod fit;
pub mod functions;
pub mod generate;
pub mod gguf;
pub mod inspect;
pub mod loaded;
pub mod perplexity;
pub mod premapping;
pub mod state;
pub mod stream;
pub mod ternary_kernel;
pub mod training;
pub mod weights;

pub use ::kernel;

/// What most users need.
///
/// A kernel needs no other crate than this one:
///
/// ```
/// use fidelity::prelude::*;
///
/// /// h ← f h + (1 − f) c.
/// #[kernel]
/// fn step<Hidden: Axis>(h: &mut Vector<Hidden>, f: &Vector<Hidden>, c: &Vector<Hidden>) {
///     for i in 0..h.len() {
///         h[[i]] += (1.0 - f[[i]]) * (c[[i]] - h[[i]]);
///     }
/// }
///
/// axes! { Hidden = 2; }
/// let (f, c) = (Vector::<Hidden>::vector(vec![0.5, 0.25])?, Vector::vector(vec![1.0, 2.0])?);
/// let mut h = Vector::zeros([2])?;
/// step(&mut h, &f, &c); // the function itself
/// assert_eq!(h.as_slice(), [0.5, 1.5]);
/// assert!(step::kernel().explain()?.to_string().contains("mlgru.step"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub mod prelude {
    pub use crate::eval::{Arithmetic, Batch, Cut, Evaluation, Request};
    pub use crate::generate::Generator;
    pub use crate::loaded::{Loaded, Stream};
    pub use crate::ternary_kernel::{HardwareTarget, Kernel, MemoryPattern};
    pub use axes::{Axis, DType, Tensor, TernaryMatrix, axes};
    pub use engine::pool::Pool;
    pub use furnace::{grad, grads, jvp, value_and_grad, vjp};
    pub use graph::typed::{Traced, TracedExt};
    pub use graph::{Cx, Dim, Graph, Type, Var};
    pub use kernel::{Vector, kernel_of_fidelity as kernel};
}
