//! Sums kept in a wide format: what gradients are accumulated in.
//!
//! The product of two f32 has 48 bits and that of two f64 has 106, so in f128 every term is exact, and in f80 every product
//! of f32; only the additions round. Terms are added in the order in which they lie.

use super::format::{Format, Wide};
use crate::ir::{Builder, DYN, F64, Float, Index, MemRef, Value};

/// `x[0] + x[1] + …` of `n` elements.
pub fn sum<F: Wide, E: Float>(b: &mut Builder, ty: F, x: Value<MemRef<E, 1>>, n: Value<Index>) -> Value<F> {
    let zero = b.float(ty, 0.0);
    b.name("sum").for_(0, n, 1, zero, |b, i, sum| {
        let term = b.load(x, i);
        let term = converted(b, term, ty);
        b.addf(sum, term)
    })
}

/// `x[0] y[0] + x[1] y[1] + …` of `n` elements.
pub fn dot<F: Wide, E: Float>(
    b: &mut Builder,
    ty: F,
    x: Value<MemRef<E, 1>>,
    y: Value<MemRef<E, 1>>,
    n: Value<Index>,
) -> Value<F> {
    let zero = b.float(ty, 0.0);
    b.name("sum").for_(0, n, 1, zero, |b, i, sum| {
        let (x, y) = (b.load(x, i), b.load(y, i));
        let term = term(b, ty, x, y);
        b.addf(sum, term)
    })
}

/// x · y in the wide format.
fn term<F: Wide, E: Float>(b: &mut Builder, ty: F, x: Value<E>, y: Value<E>) -> Value<F> {
    // In hardware where that is exact.
    if F::FORMAT == Format::F128 && E::KIND.bits() <= 32 {
        let (x, y) = (converted(b, x, F64), converted(b, y, F64));
        let product = b.mulf(x, y);
        return converted(b, product, ty);
    }
    let (x, y) = (converted(b, x, ty), converted(b, y, ty));
    b.mulf(x, y)
}

/// A vector of unknown length.
pub(super) fn open<E: Float>(ty: E) -> MemRef<E, 1> {
    MemRef::new(ty, [DYN])
}

/// A number in another float type, told apart at run time.
pub(super) fn converted<E: Float, T: Float>(b: &mut Builder, x: Value<E>, to: T) -> Value<T> {
    let made = b.convertf(x, to).any();
    b.expect(made, to)
}
