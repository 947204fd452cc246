//! RMSNorm (Zhang & Sennrich 2019), in the order of operations of the MatMul-free LM's fused kernel.

use super::super::simd::{Isa, multiversion};
use super::{ROWS_PER_TASK, combine, sum_terms};
use crate::pool::Pool;

/// 1 / sqrt(mean(x²) + eps).
#[inline(always)]
pub(super) fn rstd_of<I: Isa>(x: &[f32], eps: f32) -> f32 {
    let mean = (sum_terms(x, x, x, |x, _, _| x * x) / x.len() as f64) as f32;
    1.0 / (mean + eps).sqrt()
}

/// y = x * rstd * weight, rstd = 1 / sqrt(mean(x²) + eps).
///
/// `x` and `y` are `(rows, cols)`; `weight` is `(cols)`, `rstd` is `(rows)`: both give the sizes.
pub fn rms_norm(pool: &Pool, x: &[f32], weight: &[f32], eps: f32, y: &mut [f32], rstd: &mut [f32]) {
    let cols = weight.len();
    assert_eq!(x.len(), rstd.len() * cols, "x is (rows, cols)");
    assert_eq!(y.len(), x.len(), "y is (rows, cols)");
    let (size, tasks) = (ROWS_PER_TASK * cols, rstd.len().div_ceil(ROWS_PER_TASK));
    if cols == 0 {
        return;
    }
    pool.chunks2(tasks, (y, rstd), [size, ROWS_PER_TASK], |task, y, rstd| {
        forward(&x[task * size..][..y.len()], weight, eps, y, rstd);
    });
}

multiversion! {
    fn forward(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32], rstd: &mut [f32]) = forward_body
}

#[inline(always)]
fn forward_body<I: Isa>(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32], rstd: &mut [f32]) {
    let cols = weight.len();
    for ((x, y), rstd) in x.chunks_exact(cols).zip(y.chunks_exact_mut(cols)).zip(rstd) {
        *rstd = rstd_of::<I>(x, eps);
        for ((y, &x), &w) in y.iter_mut().zip(x).zip(weight) {
            *y = x * *rstd * w;
        }
    }
}

/// Scratch of [`rms_norm_grad`], in elements: one partial weight gradient for each group of rows.
pub const fn rms_norm_grad_scratch(rows: usize, cols: usize) -> usize {
    rows.div_ceil(ROWS_PER_TASK) * cols
}

/// Gradients of [`rms_norm`] for the cotangent `dy`; both outputs are overwritten.
///
/// With x̂ = x * rstd: dx = (dy*w - x̂ * mean(x̂*dy*w)) * rstd, dweight = Σ over rows of dy * x̂. `x`, `dy`, `dx` are
/// `(rows, cols)`; `weight`, `dweight` are `(cols)`, `rstd` is `(rows)`; `scratch` holds
/// [`rms_norm_grad_scratch`] elements.
pub fn rms_norm_grad(
    pool: &Pool,
    x: &[f32],
    weight: &[f32],
    rstd: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    dweight: &mut [f32],
    scratch: &mut [f32],
) {
    let cols = weight.len();
    assert_eq!(x.len(), rstd.len() * cols, "x is (rows, cols)");
    assert_eq!(dy.len(), x.len(), "dy is (rows, cols)");
    assert_eq!(dx.len(), x.len(), "dx is (rows, cols)");
    assert_eq!(dweight.len(), cols, "dweight is (cols)");
    if cols == 0 {
        return;
    }
    let (size, tasks) = (ROWS_PER_TASK * cols, rstd.len().div_ceil(ROWS_PER_TASK));
    let partials = &mut scratch[..tasks * cols];
    pool.chunks2(tasks, (dx, partials), [size, cols], |task, dx, partial| {
        let rstd = &rstd[task * ROWS_PER_TASK..][..dx.len() / cols];
        let (x, dy) = (&x[task * size..][..dx.len()], &dy[task * size..][..dx.len()]);
        backward(x, weight, rstd, dy, dx, partial);
    });
    combine(&scratch[..tasks * cols], dweight);
}

multiversion! {
    fn backward(x: &[f32], weight: &[f32], rstd: &[f32], dy: &[f32], dx: &mut [f32], dweight: &mut [f32]) = backward_body
}

#[inline(always)]
fn backward_body<I: Isa>(
    x: &[f32],
    weight: &[f32],
    rstd: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    dweight: &mut [f32],
) {
    let cols = weight.len();
    dweight.fill(0.0);
    let rows = x.chunks_exact(cols).zip(dy.chunks_exact(cols)).zip(dx.chunks_exact_mut(cols)).zip(rstd);
    for (((x, dy), dx), &rstd) in rows {
        let sum = sum_terms(x, dy, weight, |x, dy, w| x * rstd * (dy * w));
        let mean = (sum / cols as f64) as f32;
        for ((((dx, &x), &dy), &w), dweight) in
            dx.iter_mut().zip(x).zip(dy).zip(weight).zip(dweight.iter_mut())
        {
            let x_hat = x * rstd;
            *dx = I::fma(-x_hat, mean, dy * w) * rstd;
            *dweight = I::fma(dy, x_hat, *dweight);
        }
    }
}
