//! The typed emission API: building a module in Rust reads like the MLIR that it makes.
//!
//! A [`Value<T>`] is a `Copy` handle whose type is a Rust type ([`F32`], [`Vector<F32>`](Vector), [`MemRef<I8, 2>`](MemRef)),
//! and the methods of [`Builder`] are ops, so an operand of the wrong type does not compile. Regions are closures; what they
//! yield is what they return. Sizes are values, so a mistake in them, and a value used outside its function or region, is
//! written down with its source line and returned by [`Module::finish`]. Constants are pooled at the function's head.
//!
//! ```
//! use alex::ir::{DYN, F32, FuncOptions, MemRef, Module};
//!
//! let mut m = Module::new();
//! let args = (("x", MemRef::new(F32, [DYN])), ("y", MemRef::new(F32, [DYN])));
//! m.function(FuncOptions::new("dot").c_interface(), args, |b, (x, y)| {
//!     let n = b.name("n").dim(x, 0);
//!     let zero = b.constant(F32, 0.0);
//!     b.name("sum").for_(0, n, 1, zero, |b, i, sum| {
//!         let xi = b.load(x, i);
//!         let yi = b.load(y, i);
//!         b.fma(xi, yi, sum)
//!     })
//! });
//! let text = m.finish().unwrap();
//! assert!(text.contains("%sum = scf.for %i = %c0 to %n step %c1 iter_args(%sum_1 = %c0_f32) -> (f32) {"), "{text}");
//! ```
//!
//! A wrong operand is a compile error:
//! ```compile_fail,E0308
//! # use alex::ir::*;
//! Module::new().function("f", (F32, I32), |b, (x, i)| b.addf(x, i)); // f32 + i32
//! ```
//! ```compile_fail,E0308
//! # use alex::ir::*;
//! Module::new().function("f", (Vector::new(F32, [8]), Vector::new(F64, [8])), |b, (x, y)| b.addf(x, y));
//! ```
//! ```compile_fail,E0277
//! # use alex::ir::*;
//! Module::new().function("f", (I32, I32), |b, (x, y)| b.addf(x, y)); // integers have `addi`
//! ```
//! ```compile_fail,E0308
//! # use alex::ir::*;
//! Module::new().function("f", (I64, Index), |b, (x, i)| b.addi(x, i)); // `index_cast` first
//! ```
//! ```compile_fail,E0277
//! # use alex::ir::*;
//! Module::new().function("f", F64, |b, x| b.extf(x, F32)); // `truncf` narrows
//! ```
//! ```compile_fail,E0277
//! # use alex::ir::*;
//! Module::new().function("f", (MemRef::new(F32, [4, 4]), Index), |b, (m, i)| b.load(m, i)); // two axes, one position
//! ```
//! ```compile_fail,E0308
//! # use alex::ir::*;
//! Module::new().function("f", (MemRef::new(F32, [4]), F64), |b, (m, x)| b.store(x, m, 0)); // f64 into f32s
//! ```
//! ```compile_fail,E0308
//! # use alex::ir::*;
//! let mut m = Module::new();
//! let f = m.function("f", F32, |_, x| x);
//! m.function("g", I32, |b, i| b.call(&f, i)); // `f` takes an f32
//! ```

mod builder;
mod element;
mod emit;
mod error;
mod module;
mod ops;
mod shaped;
mod types;
mod value;

pub use builder::{Builder, FastMath};
pub use element::{
    BF16, Condition, Element, Extends, F16, F32, F64, F80, F128, Float, FloatLike, I1, I8, I16, I32, I64,
    Index, Int, IntLike, Integral, Like, SizedIntLike,
};
pub use error::{Mistake, Mistakes};
pub use module::{Func, FuncOptions, Global, Module};
pub use ops::{Chunk, CmpF, CmpI, Combine, Inner};
pub use shaped::{Layout, MemRef, Tensor, Vector};
pub use types::{AnyType, DYN, Kind, MAX_RANK, Ptr, Shape, Type};
pub use value::{AnyValue, Fold, IndexCast, Indices, IntoIndex, Slot, Types, Value, Values};
