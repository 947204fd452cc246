//! What the tests share: seeded numbers, values, comparisons.
#![allow(dead_code)]

use axes::DType;
use graph::{Array, Cx, Dim, Var};

/// Seeded numbers (an LCG: the tests need variety, not quality).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n.max(1)
    }
    pub(crate) fn float(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.below(1 << 30) as f64 / (1u64 << 30) as f64)
    }
    pub(crate) fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
    pub(crate) fn array(&mut self, shape: &[usize], low: f64, high: f64) -> Array<f64> {
        let n: usize = shape.iter().product();
        Array::from_f64(DType::F64, shape, &(0..n).map(|_| self.float(low, high)).collect::<Vec<_>>())
    }
    /// Numbers of the same shape.
    pub(crate) fn like(&mut self, a: &Array<f64>) -> Array<f64> {
        self.array(&a.shape, -1.0, 1.0)
    }
}

pub(crate) fn dims(sizes: &[usize]) -> Vec<Dim> {
    sizes.iter().map(|n| Dim::from(*n)).collect()
}

/// A constant of a builder.
pub(crate) fn var(cx: &Cx, a: &Array<f64>) -> Var {
    cx.array(a.dtype, &a.shape, &a.to_f64())
}

pub(crate) fn value(v: &Var) -> Array<f64> {
    v.array().unwrap_or_else(|e| panic!("{e}"))
}

/// Σ a b over all elements of all pairs.
pub(crate) fn dot(a: &[Array<f64>], b: &[Array<f64>]) -> f64 {
    a.iter().zip(b).flat_map(|(a, b)| a.to_f64().into_iter().zip(b.to_f64())).map(|(x, y)| x * y).sum()
}

/// Σ |a b|, the size of what may have cancelled in [`dot`].
pub(crate) fn size(a: &[Array<f64>], b: &[Array<f64>]) -> f64 {
    a.iter()
        .zip(b)
        .flat_map(|(a, b)| a.to_f64().into_iter().zip(b.to_f64()))
        .map(|(x, y)| (x * y).abs())
        .sum()
}

/// Largest difference relative to the largest magnitude.
pub(crate) fn error(found: &Array<f64>, expected: &Array<f64>) -> f64 {
    assert_eq!(found.shape, expected.shape);
    let (f, e) = (found.to_f64(), expected.to_f64());
    let size = e.iter().fold(1e-12f64, |m, x| m.max(x.abs()));
    f.iter()
        .zip(&e)
        .map(|(a, b)| if a == b { 0.0 } else { (a - b).abs() / size })
        .fold(0.0, |m, e| if e > m || e.is_nan() { e } else { m })
}

#[track_caller]
pub(crate) fn close(what: &str, found: &Array<f64>, expected: &Array<f64>, tolerance: f64) {
    let e = error(found, expected);
    assert!(e <= tolerance, "{what}: error {e:e}\n{:?}\n{:?}", found.to_f64(), expected.to_f64());
}
