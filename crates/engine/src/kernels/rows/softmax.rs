//! Softmax, log-softmax and cross entropy over the rows of logits.

use super::super::math;
use super::super::simd::{Isa, multiversion};
use super::{IndexOutOfRange, ROWS_PER_TASK, max_terms, sum_terms};
use crate::pool::Pool;

/// Overwrites `out` with e^(x - max) and returns (max, Σ). Kept in one place so that softmax, its logarithm and
/// the loss agree bit for bit.
#[inline(always)]
fn exponentials<I: Isa>(x: &[f32], out: &mut [f32]) -> (f32, f32) {
    let max = max_terms(x, x, f32::NEG_INFINITY, |x, _| x);
    for (out, &x) in out.iter_mut().zip(x) {
        *out = math::exp::<I>(x - max);
    }
    (max, sum_terms(out, out, out, |x, _, _| x) as f32)
}

/// e^x / Σ e^x over each row; `x` and `out` are `(rows, cols)`. A row of -inf gives NaN.
pub fn softmax(pool: &Pool, x: &[f32], cols: usize, out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "x and out have one shape");
    let size = ROWS_PER_TASK * cols.max(1);
    pool.chunks(out, size, |task, out| softmax_task(&x[task * size..][..out.len()], cols, out));
}

multiversion! {
    fn softmax_task(x: &[f32], cols: usize, out: &mut [f32]) = softmax_body
}

#[inline(always)]
fn softmax_body<I: Isa>(x: &[f32], cols: usize, out: &mut [f32]) {
    for (x, out) in x.chunks_exact(cols).zip(out.chunks_exact_mut(cols)) {
        let (_, sum) = exponentials::<I>(x, out);
        for out in out {
            *out /= sum;
        }
    }
}

/// x - log Σ e^x over each row; `x` and `out` are `(rows, cols)`.
pub fn log_softmax(pool: &Pool, x: &[f32], cols: usize, out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "x and out have one shape");
    let size = ROWS_PER_TASK * cols.max(1);
    pool.chunks(out, size, |task, out| log_softmax_task(&x[task * size..][..out.len()], cols, out));
}

multiversion! {
    fn log_softmax_task(x: &[f32], cols: usize, out: &mut [f32]) = log_softmax_body
}

#[inline(always)]
fn log_softmax_body<I: Isa>(x: &[f32], cols: usize, out: &mut [f32]) {
    for (x, out) in x.chunks_exact(cols).zip(out.chunks_exact_mut(cols)) {
        let (max, sum) = exponentials::<I>(x, out);
        let log_sum = math::log::<I>(sum);
        for (out, &x) in out.iter_mut().zip(x) {
            *out = (x - max) - log_sum;
        }
    }
}

/// Result of [`cross_entropy`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CrossEntropy {
    /// Mean over the rows that count; NaN where there is none.
    pub loss: f32,
    /// Rows that count.
    pub count: usize,
}

/// Mean of `logsumexp(logits) - logits[label]` over the rows whose label is not `ignore`.
///
/// `logits` is `(N, V)`, `labels` is `(N)`, `logsumexp` is `(N)` and is written for every row.
///
/// # Errors
/// A label outside `0 .. V` that is not `ignore`.
pub fn cross_entropy(
    pool: &Pool,
    logits: &[f32],
    labels: &[i64],
    ignore: i64,
    logsumexp: &mut [f32],
) -> Result<CrossEntropy, IndexOutOfRange> {
    assert_eq!(labels.len(), logsumexp.len(), "one logsumexp for each label");
    if labels.is_empty() {
        return Ok(CrossEntropy { loss: f32::NAN, count: 0 });
    }
    assert_eq!(logits.len() % labels.len(), 0, "logits are (N, V)");
    let classes = logits.len() / labels.len();
    check_labels(labels, ignore, classes)?;
    pool.chunks(logsumexp, ROWS_PER_TASK, |task, out| {
        logsumexp_task(&logits[task * ROWS_PER_TASK * classes..][..out.len() * classes], classes, out);
    });
    let (mut total, mut count) = (0.0, 0usize);
    for (row, (&label, &lse)) in labels.iter().zip(logsumexp.iter()).enumerate() {
        if label != ignore {
            total += f64::from(lse - logits[row * classes + label as usize]);
            count += 1;
        }
    }
    Ok(CrossEntropy { loss: (total / count as f64) as f32, count })
}

fn check_labels(labels: &[i64], ignore: i64, classes: usize) -> Result<(), IndexOutOfRange> {
    for (position, &index) in labels.iter().enumerate() {
        if index != ignore && !usize::try_from(index).is_ok_and(|index| index < classes) {
            return Err(IndexOutOfRange { position, index, limit: classes });
        }
    }
    Ok(())
}

multiversion! {
    fn logsumexp_task(x: &[f32], cols: usize, out: &mut [f32]) = logsumexp_body
}

#[inline(always)]
fn logsumexp_body<I: Isa>(x: &[f32], cols: usize, out: &mut [f32]) {
    for (index, out) in out.iter_mut().enumerate() {
        let row = &x[index * cols..][..cols];
        let max = max_terms(row, row, f32::NEG_INFINITY, |x, _| x);
        let sum = sum_terms(row, row, row, |x, _, _| math::exp::<I>(x - max)) as f32;
        *out = max + math::log::<I>(sum);
    }
}

/// dlogits = (softmax(logits) - onehot(label)) * scale, 0 in the rows whose label is `ignore`.
///
/// `scale` is the loss's cotangent divided by [`CrossEntropy::count`]; `logsumexp` comes from [`cross_entropy`].
/// Shapes as there; `dlogits` is `(N, V)`.
///
/// # Errors
/// As [`cross_entropy`].
pub fn cross_entropy_grad(
    pool: &Pool,
    logits: &[f32],
    labels: &[i64],
    ignore: i64,
    logsumexp: &[f32],
    scale: f32,
    dlogits: &mut [f32],
) -> Result<(), IndexOutOfRange> {
    assert_eq!(logits.len(), dlogits.len(), "dlogits have the shape of logits");
    grad(pool, Some(logits), labels, ignore, logsumexp, scale, dlogits)
}

/// [`cross_entropy_grad`] that overwrites the logits with their gradient.
///
/// # Errors
/// As [`cross_entropy`].
pub fn cross_entropy_grad_in_place(
    pool: &Pool,
    logits: &mut [f32],
    labels: &[i64],
    ignore: i64,
    logsumexp: &[f32],
    scale: f32,
) -> Result<(), IndexOutOfRange> {
    grad(pool, None, labels, ignore, logsumexp, scale, logits)
}

fn grad(
    pool: &Pool,
    logits: Option<&[f32]>,
    labels: &[i64],
    ignore: i64,
    logsumexp: &[f32],
    scale: f32,
    out: &mut [f32],
) -> Result<(), IndexOutOfRange> {
    assert_eq!(labels.len(), logsumexp.len(), "one logsumexp for each label");
    if labels.is_empty() || out.is_empty() {
        return Ok(());
    }
    assert_eq!(out.len() % labels.len(), 0, "logits are (N, V)");
    let classes = out.len() / labels.len();
    check_labels(labels, ignore, classes)?;
    let size = ROWS_PER_TASK * classes;
    pool.chunks(out, size, |task, out| {
        if let Some(logits) = logits {
            out.copy_from_slice(&logits[task * size..][..out.len()]);
        }
        let first = task * ROWS_PER_TASK;
        grad_task(&labels[first..], ignore, &logsumexp[first..], scale, classes, out);
    });
    Ok(())
}

multiversion! {
    fn grad_task(labels: &[i64], ignore: i64, logsumexp: &[f32], scale: f32, classes: usize, out: &mut [f32]) = grad_body
}

#[inline(always)]
fn grad_body<I: Isa>(
    labels: &[i64],
    ignore: i64,
    logsumexp: &[f32],
    scale: f32,
    classes: usize,
    out: &mut [f32],
) {
    for ((row, &label), &lse) in out.chunks_exact_mut(classes).zip(labels).zip(logsumexp) {
        if label == ignore {
            row.fill(0.0);
            continue;
        }
        let chosen = label as usize;
        let at_label = (math::exp::<I>(row[chosen] - lse) - 1.0) * scale;
        for x in row.iter_mut() {
            *x = math::exp::<I>(*x - lse) * scale;
        }
        row[chosen] = at_label;
    }
}
