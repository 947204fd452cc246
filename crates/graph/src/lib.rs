//! The computational graph: one form for whatever is trained, run, compiled or drawn.
//!
//! * [`op`]: the op table; each op with its inference, plain-loop evaluation, derivative rules, decomposition, cost.
//! * [`Cx`] and [`Var`]: the builder and its value-carrying handle.
//! * [`interp`]: the reference interpreter, generic over the [`Scalar`].
//! * [`text`]: the printed form, and [`Graph::parse`] that reads it back; [`Graph::verify`], the rules of the form.
//! * [`passes`]: rewritings that keep the meaning to the bit.
//! * [`draw`]: a drawing for people.
//!
//! ```
//! use graph::{Cx, Type, interp, Array};
//! use axes::DType;
//! let cx = Cx::abstract_();
//! let x = cx.input("x", Type::new(DType::F64, ["N"]));
//! let y = (&x * &x).sum_all();
//! let g = cx.finish(&[("y", &y)]).unwrap();
//! let out = interp::run(&g, vec![Array::<f64>::from_f64(DType::F64, [3], &[1.0, 2.0, 3.0])], false).unwrap();
//! assert_eq!(out.outputs[0].1.to_f64(), [14.0]);
//! ```

pub mod accumulate;
pub mod array;
mod attrs;
mod complex;
mod cx;
pub mod decimal;
pub mod dim;
pub mod draw;
mod error;
pub mod functions;
pub mod interp;
mod ir;
pub mod op;
pub mod ops;
pub mod passes;
mod rules;
mod scalar;
pub mod text;
pub mod typed;
mod types;
mod var;
mod verify;

pub use accumulate::Accumulator;
pub use array::{Array, Data};
pub use attrs::{Attr, Attrs};
pub use complex::Complex;
pub use cx::Cx;
pub use dim::{Bindings, Dim};
pub use error::{GraphError, Place, Result};
pub use interp::Evaluated;
pub use ir::{Graph, Named, Node, Value};
pub use op::{Class, Cost, EvalCx, Literals, NodeCx, Op, Tangent};
pub use rules::splat;
pub use scalar::{Dual, Scalar, round_double};
pub use types::Type;
pub use var::Var;
