//! Fast kernels for processors, written with the emission API.
//!
//! A kernel is a function that adds a private function to a module, once for each set of sizes, and gives its handle; its
//! documentation says what memrefs it takes. Sizes are known when code is made, so tails cost no test at run time. What is
//! emitted gives the numbers of the engine's kernels to the last bit: the same polynomials, the same order of sums, so that
//! compiled and interpreted plans give the same tokens.

pub mod block;
pub mod dense;
mod export;
pub mod formats;
mod isa;
pub mod math;
pub mod norm;
pub mod scan;
pub mod selective;
pub mod ternary;
pub mod training;

pub use export::{Bindings, export};
pub use isa::Isa;

use crate::ir::{
    Builder, Element, F32, Func, FuncOptions, I1, I8, I32, Index, MemRef, Module, Types, Value, Vector,
};

/// A vector of f32.
pub type Floats = Value<Vector<F32>>;
/// A vector of i32.
pub type Ints = Value<Vector<I32>>;
/// A vector of bytes.
pub type Bytes = Value<Vector<I8>>;

/// A function that only its module sees.
fn private(name: &str) -> FuncOptions {
    FuncOptions::new(name).private().attribute("llvm.linkage = #llvm.linkage<internal>")
}

/// The function of that name, made where the module lacks it.
fn once<A: Types>(
    m: &mut Module,
    name: &str,
    args: A,
    make: impl FnOnce(&mut Module) -> Func<A, ()>,
) -> Func<A, ()> {
    if m.has(name) { Func { name: name.to_owned(), args, results: () } } else { make(m) }
}

/// `body(position, width)` over `len` elements: vectors of `lanes`, and what is left in shorter ones, down to one element.
fn strips(
    b: &mut Builder,
    len: usize,
    lanes: usize,
    mut body: impl FnMut(&mut Builder, Value<Index>, usize),
) {
    let whole = len / lanes * lanes;
    if whole > 0 {
        b.for_(0, whole, lanes, (), |b, at, ()| body(b, at, lanes));
    }
    for (at, width) in ternary::pieces(len - whole, lanes) {
        let at = b.index((whole + at) as i64);
        body(b, at, width);
    }
}

/// Writes the first `count` lanes along the last axis.
fn put<E: Element>(
    b: &mut Builder,
    value: Value<Vector<E>>,
    count: usize,
    into: Value<MemRef<E, 2>>,
    (row, column): (Value<Index>, Value<Index>),
) {
    let lanes = value.ty().lanes();
    if count == lanes {
        b.vector_store(value, into, (row, column));
        return;
    }
    for (at, width) in ternary::pieces(count, lanes) {
        let part = b.extract_strided_slice(value, [at], [width]);
        let to = b.offset(column, at);
        b.vector_store(part, into, (row, to));
    }
}

/// The first `count` lanes along the last axis as a vector of `lanes`, zeros behind.
fn take(
    b: &mut Builder,
    from: Value<MemRef<F32, 2>>,
    count: usize,
    lanes: usize,
    (row, column): (Value<Index>, Value<Index>),
) -> Floats {
    if count == lanes {
        return b.vector_load(from, (row, column), [lanes]);
    }
    let mut out = b.float(Vector::new(F32, [lanes]), 0.0);
    for (at, width) in ternary::pieces(count, lanes) {
        let place = b.offset(column, at);
        let part = b.vector_load(from, (row, place), [width]);
        out = b.insert_strided_slice(part, out, [at]);
    }
    out
}

/// Whether a lane is true.
fn any(b: &mut Builder, lanes: Value<Vector<I1>>) -> Value<I1> {
    b.reduction(crate::ir::Combine::Or, lanes)
}
