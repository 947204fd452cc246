//! Nominal axes, element types and units, checked by the compiler.
//!
//! An axis is a type, not a number: `In` and `Out` stay different axes when both have size 64, so a transposed
//! weight matrix or two swapped projections do not compile. The list of axes, the element type, the unit and the
//! storage are the four parameters of [`Tensor`]:
//!
//! ```
//! use axes::{Axis, Tensor, axes};
//!
//! axes! {
//!     /// Rows that are processed together; the size is known at run time only.
//!     Batch;
//!     /// Input features.
//!     In = 3;
//!     /// Output features.
//!     Out = 2;
//! }
//!
//! fn apply_model<B: Axis, I: Axis, O: Axis>(x: &Tensor<(B, I)>, weights: &Tensor<(I, O)>) -> Tensor<(B, O)> {
//!     x.apply(weights).relu()
//! }
//!
//! let x = Tensor::<(Batch, In)>::from_vec([1, 3], vec![1.0, 2.0, 3.0])?;
//! let weights = Tensor::<(In, Out)>::from_vec([3, 2], vec![1.0, -1.0, 0.0, -1.0, 1.0, 0.0])?;
//! assert_eq!(apply_model(&x, &weights).as_slice(), [4.0, 0.0]);
//! # Ok::<(), axes::AxesError>(())
//! ```
//!
//! Weights laid out the other way round are another type, and the message names both axes
//! (``expected `&Tensor<(In, _)>`, found `&Tensor<(Out, In)>` ``):
//!
//! ```compile_fail,E0308
//! use axes::{Tensor, axes};
//! axes! { Batch; In = 64; Out = 64; }
//! fn wrong(x: &Tensor<(Batch, In)>, weights: &Tensor<(Out, In)>) {
//!     x.apply(weights);
//! }
//! ```
//!
//! Axes of equal size do not mix either:
//!
//! ```compile_fail,E0277
//! use axes::{Tensor, axes};
//! axes! { In = 64; Out = 64; }
//! fn wrong(a: &Tensor<(In,)>, b: &Tensor<(Out,)>) {
//!     let _ = a + b;
//! }
//! ```
//!
//! # One model, two storages
//! The operations are written once, for every storage that implements [`Algebra`]. On [`Buffer`] they run at
//! once; on the traced handle of the `graph` crate the same code builds the computational graph:
//!
//! ```
//! use axes::{Algebra, Axis, Tensor, Unitless};
//!
//! fn gate<B: Axis, D: Axis, S: Algebra>(
//!     x: &Tensor<(B, D), f32, Unitless, S>,
//!     w: &Tensor<(D, D), f32, Unitless, S>,
//! ) -> Tensor<(B, D), f32, Unitless, S> {
//!     x.apply(w).sigmoid() * x
//! }
//! ```
//!
//! # Sizes known only at run time
//! They keep their axis type and are checked where a tensor is made; the check of an operation names the axis and
//! both sizes. `try_` forms return it as [`AxesError`], operators panic with the same text, as slices do.

mod algebra;
mod arrange;
mod axis;
mod blocks;
mod buffer;
mod contract;
mod dims;
pub mod dtype;
mod elementwise;
mod error;
mod host;
mod loops;
mod ops;
mod position;
mod reduce;
pub mod storage;
mod tensor;
pub mod ternary;
mod trits;
pub mod unit;

pub use axis::{Axes, Axis};
pub use blocks::BlockFormat;
pub use buffer::{Buffer, Host, HostMut, Mut, Ref};
pub use dims::{Dims, MAX_RANK};
pub use dtype::{DType, Element, Real};
pub use error::AxesError;
pub use ops::Number;
pub use position::{At, EndsWith, First, Last, Prepend, Without};
pub use storage::{Algebra, Binary, Reduce, Storage, Unary};
pub use tensor::Tensor;
pub use ternary::{TernaryMatrix, TritStorage};
pub use trits::TritLayout;
pub use unit::{Unit, UnitDiv, UnitMul, UnitProduct, UnitQuotient, Unitless};
