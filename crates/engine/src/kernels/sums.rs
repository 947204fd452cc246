//! Sums and products of rows in a chosen accumulator.
//!
//! The loops are those of [`graph::accumulate`], which are the specification too, compiled for each instruction set: an
//! accumulator gives the same bits here and in the interpreter. They trade speed for the last bits: a product row by
//! row in f64 takes several times as long as the blocked product in f32.

use super::simd::Isa;
use crate::pool::Pool;
use graph::accumulate::{Accumulator, dot_f32, sum_f32};

/// Terms of a task.
const TERMS_PER_TASK: usize = 16 * 1024;

#[inline(always)]
fn sum_rows_body<I: Isa>(how: Accumulator, x: &[f32], n: usize, out: &mut [f32]) {
    for (row, y) in x.chunks_exact(n).zip(out) {
        *y = sum_f32(how, row);
    }
}

super::simd::multiversion! {
    fn sum_rows_here(how: Accumulator, x: &[f32], n: usize, out: &mut [f32]) = sum_rows_body
}

/// The sums of rows of `n` elements.
pub fn sum_rows(pool: &Pool, how: Accumulator, x: &[f32], n: usize, out: &mut [f32]) {
    if n == 0 {
        out.fill(0.0);
        return;
    }
    let rows = (TERMS_PER_TASK / n).max(1);
    pool.chunks(out, rows, |i, out| {
        let x = &x[i * rows * n..];
        sum_rows_here(how, &x[..out.len() * n], n, out);
    });
}

#[inline(always)]
fn dot_row_body<I: Isa>(how: Accumulator, a: &[f32], b: &[f32], stride: usize, out: &mut [f32]) {
    for (j, y) in out.iter_mut().enumerate() {
        *y = dot_f32(how, a, &b[j * stride..j * stride + a.len()]);
    }
}

super::simd::multiversion! {
    /// The products of the row `a` with rows of `b` that begin `stride` elements apart.
    pub(crate) fn dot_row(how: Accumulator, a: &[f32], b: &[f32], stride: usize, out: &mut [f32]) = dot_row_body
}
