//! Sums, extrema and means over rows, over columns and over everything.

use super::super::simd::{Isa, multiversion};
use super::{ROWS_PER_TASK, combine, max_terms, sum_terms};
use crate::pool::Pool;

macro_rules! row_reduction {
    ($(#[$meta:meta])* $name:ident, $task:ident, $body:ident, $t:ty, |$row:ident| $value:expr) => {
        $(#[$meta])*
        pub fn $name(pool: &Pool, x: &[f32], cols: usize, out: &mut [$t]) {
            assert_eq!(x.len(), out.len() * cols, "x is (rows, cols)");
            pool.chunks(out, ROWS_PER_TASK, |task, out| {
                $task(&x[task * ROWS_PER_TASK * cols..][..out.len() * cols], cols, out);
            });
        }

        multiversion! {
            fn $task(x: &[f32], cols: usize, out: &mut [$t]) = $body
        }

        #[inline(always)]
        fn $body<I: Isa>(x: &[f32], cols: usize, out: &mut [$t]) {
            for (index, out) in out.iter_mut().enumerate() {
                let $row = &x[index * cols..][..cols];
                *out = $value;
            }
        }
    };
}

row_reduction! {
    /// Sum of each row: `x` is `(rows, cols)`, `out` is `(rows)`.
    sum_rows, sum_task, sum_body, f32, |row| sum_terms(row, row, row, |x, _, _| x) as f32
}
row_reduction! {
    /// Mean of each row (NaN for no columns).
    mean_rows, mean_task, mean_body, f32, |row| (sum_terms(row, row, row, |x, _, _| x) / row.len() as f64) as f32
}
row_reduction! {
    /// Largest element of each row, NaN where the row has one; -inf for no columns.
    max_rows, max_task, max_body, f32, |row| max_terms(row, row, f32::NEG_INFINITY, |x, _| x)
}
row_reduction! {
    /// Smallest element of each row, NaN where the row has one; +inf for no columns.
    min_rows, min_task, min_body, f32, |row| -max_terms(row, row, f32::NEG_INFINITY, |x, _| -x)
}
row_reduction! {
    /// Index of the first largest element of each row, NaN counting as the largest; 0 for no columns.
    argmax_rows, argmax_task, argmax_body, i64, |row| {
        let best = max_terms(row, row, f32::NEG_INFINITY, |x, _| x);
        position(row, best) as i64
    }
}

/// Sum of the products of each row: `a` and `b` are `(rows, cols)`, `out` is `(rows)`. The bits are those of
/// [`sum_rows`] of the products.
pub fn sum_products(pool: &Pool, a: &[f32], b: &[f32], cols: usize, out: &mut [f32]) {
    assert_eq!(a.len(), out.len() * cols, "a is (rows, cols)");
    assert_eq!(a.len(), b.len(), "a and b have one shape");
    pool.chunks(out, ROWS_PER_TASK, |task, out| {
        let part = task * ROWS_PER_TASK * cols..(task * ROWS_PER_TASK + out.len()) * cols;
        products_task(&a[part.clone()], &b[part], cols, out);
    });
}

multiversion! {
    fn products_task(a: &[f32], b: &[f32], cols: usize, out: &mut [f32]) = products_body
}

#[inline(always)]
fn products_body<I: Isa>(a: &[f32], b: &[f32], cols: usize, out: &mut [f32]) {
    for (index, out) in out.iter_mut().enumerate() {
        let (a, b) = (&a[index * cols..][..cols], &b[index * cols..][..cols]);
        *out = sum_terms(a, b, b, |a, b, _| a * b) as f32;
    }
}

/// First place of `best`, or of a NaN where `best` is one; 0 for an empty row. Whole blocks are tested first, which
/// vectorises, unlike a search that may stop at each element.
#[inline(always)]
fn position(row: &[f32], best: f32) -> usize {
    let found = |x: f32| (x == best) | (x.is_nan() & best.is_nan());
    for (index, block) in row.chunks(32).enumerate() {
        if block.iter().fold(false, |any, &x| any | found(x)) {
            return index * 32 + block.iter().position(|&x| found(x)).unwrap_or(0);
        }
    }
    0
}

multiversion! {
    /// Sum of all elements, on one thread: f32 inside blocks of 1024, f64 across them.
    pub fn sum_all(x: &[f32]) -> f64 = sum_all_body
}

#[inline(always)]
fn sum_all_body<I: Isa>(x: &[f32]) -> f64 {
    sum_terms(x, x, x, |x, _, _| x)
}

/// Scratch of [`sum_columns`], in elements.
pub const fn column_sums_scratch(rows: usize, cols: usize) -> usize {
    rows.div_ceil(ROWS_PER_TASK) * cols
}

/// Sum over the rows: `x` is `(rows, cols)`, `out` is `(cols)`, `scratch` holds [`column_sums_scratch`] elements.
pub fn sum_columns(pool: &Pool, x: &[f32], out: &mut [f32], scratch: &mut [f32]) {
    let cols = out.len();
    if cols == 0 {
        return;
    }
    assert_eq!(x.len() % cols, 0, "x is (rows, cols)");
    let size = ROWS_PER_TASK * cols;
    let partials = &mut scratch[..x.len().div_ceil(size) * cols];
    pool.chunks(partials, cols, |task, partial| {
        let from = task * size;
        columns(&x[from..x.len().min(from + size)], partial);
    });
    combine(&scratch[..x.len().div_ceil(size) * cols], out);
}

multiversion! {
    fn columns(x: &[f32], out: &mut [f32]) = columns_body
}

#[inline(always)]
fn columns_body<I: Isa>(x: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for row in x.chunks_exact(out.len()) {
        for (out, &x) in out.iter_mut().zip(row) {
            *out += x;
        }
    }
}
