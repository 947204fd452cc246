//! The plain loops behind [`Buffer`](crate::Buffer)'s arithmetic, on slices.
//!
//! They are written to be read: the `engine` crate has the fast forms and is tested against loops like these.

use crate::dims::Dims;
use crate::dtype::Real;
use crate::storage::{Binary, Reduce, Unary};

/// One element of [`Unary`].
#[inline]
pub(crate) fn unary<T: Real>(op: Unary, x: T) -> T {
    match op {
        Unary::Neg => -x,
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Sqrt => x.sqrt(),
        Unary::Rsqrt => T::ONE / x.sqrt(),
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => sigmoid(x),
        Unary::Silu => x * sigmoid(x),
        // Not `max(x, 0)`: that would turn NaN into 0 and hide it.
        Unary::Relu => {
            if x < T::ZERO {
                T::ZERO
            } else {
                x
            }
        }
        Unary::Abs => x.abs(),
        Unary::Sign => {
            if x > T::ZERO {
                T::ONE
            } else if x < T::ZERO {
                -T::ONE
            } else if x.is_nan() {
                x
            } else {
                T::ZERO
            }
        }
        Unary::Square => x * x,
        Unary::Reciprocal => T::ONE / x,
    }
}

/// `e⁻ˣ` overflows to infinity for very negative `x`, and 1/(1 + ∞) is the right 0.
#[inline]
fn sigmoid<T: Real>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp())
}

/// One element of [`Binary`].
#[inline]
pub(crate) fn binary<T: Real>(op: Binary, a: T, b: T) -> T {
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Max => {
            if a > b || a.is_nan() {
                a
            } else {
                b
            }
        }
        Binary::Min => {
            if a < b || a.is_nan() {
                a
            } else {
                b
            }
        }
    }
}

/// out[p, q, r, s] = Σₖ a[p, k, q] · b[r, k, s], added in the order of k.
///
/// `a` is (P, K, Q), `b` is (R, K, S), `out` is (P, Q, R, S) and holds zeros.
#[inline]
pub(crate) fn contract<T: Real>(a: &[T], b: &[T], out: &mut [T], [p, k, q]: [usize; 3], [r, s]: [usize; 2]) {
    for i in 0..p {
        for j in 0..q {
            for l in 0..r {
                let row = &mut out[((i * q + j) * r + l) * s..][..s];
                for m in 0..k {
                    let x = a[(i * k + m) * q + j];
                    for (sum, &y) in row.iter_mut().zip(&b[(l * k + m) * s..][..s]) {
                        *sum = *sum + x * y;
                    }
                }
            }
        }
    }
}

/// out[p, q] = reduction over k of a[p, k, q].
///
/// Sums and means accumulate in f64, whatever the element type.
pub(crate) fn reduce<T: Real>(op: Reduce, a: &[T], [p, k, q]: [usize; 3]) -> Vec<T> {
    let mut out = Vec::with_capacity(p * q);
    for i in 0..p {
        for j in 0..q {
            let line = (0..k).map(|m| a[(i * k + m) * q + j]);
            out.push(match op {
                Reduce::Sum => T::from_f64(line.map(T::to_f64).sum()),
                Reduce::Mean => T::from_f64(line.map(T::to_f64).sum::<f64>() / k as f64),
                Reduce::Max => line.fold(T::from_f64(f64::NEG_INFINITY), |m, x| binary(Binary::Max, m, x)),
                Reduce::Min => line.fold(T::from_f64(f64::INFINITY), |m, x| binary(Binary::Min, m, x)),
            });
        }
    }
    out
}

/// Gathers into row-major order: the result has `sizes`, and moving one step along its axis `i` moves `strides[i]`
/// in `a`. A stride of zero repeats.
pub(crate) fn gather<T: Copy>(a: &[T], sizes: &[usize], strides: &[usize]) -> Vec<T> {
    let mut out = Vec::with_capacity(sizes.iter().product());
    gather_into(a, 0, sizes, strides, &mut out);
    out
}

fn gather_into<T: Copy>(a: &[T], start: usize, sizes: &[usize], strides: &[usize], out: &mut Vec<T>) {
    match (sizes, strides) {
        ([size, sizes @ ..], [stride, strides @ ..]) => {
            for i in 0..*size {
                gather_into(a, start + i * stride, sizes, strides, out);
            }
        }
        _ => out.push(a[start]),
    }
}

/// The row-major strides of `dims`.
pub(crate) fn strides(dims: &Dims) -> Vec<usize> {
    (0..dims.len()).map(|axis| dims.span(axis + 1..dims.len())).collect()
}
