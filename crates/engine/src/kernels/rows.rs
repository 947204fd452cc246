//! Fused kernels over the rows of a `(rows, cols)` matrix, forward and backward.
//!
//! A row is one token's vector. Rows are independent, so they are dealt out to threads in groups of
//! [`ROWS_PER_TASK`]; what is summed over rows (weight gradients, column sums) is summed inside such a group first,
//! and the groups' sums are added in f64 in their order: no result depends on the number of threads.

mod along;
mod convert;
mod embedding;
mod norm;
mod optim;
mod quant;
mod reduce;
mod softmax;

pub use along::{Along, scatter_add_along, take_along};
pub use convert::to_bf16;
pub(in crate::kernels) use embedding::check_ids;
pub use embedding::{IndexOutOfRange, gather, scatter_add};
pub use norm::{rms_norm, rms_norm_grad, rms_norm_grad_scratch};
pub use optim::{AdamW, adamw_step, sum_of_squares};
pub(crate) use quant::dequantize_rows;
pub use quant::{
    Rounding, absmean_scale, dequantize, fake_quantize_weights, quantize_activations, quantize_weights,
    rms_norm_fake_quantize, rms_norm_quantize,
};
pub use reduce::{
    argmax_rows, column_sums_scratch, max_rows, mean_rows, min_rows, sum_all, sum_columns, sum_products,
    sum_rows,
};
pub use softmax::{
    CrossEntropy, cross_entropy, cross_entropy_grad, cross_entropy_grad_in_place, log_softmax, softmax,
};

use super::simd::Isa;

/// Rows of a task, and the rows whose sum is one partial sum.
pub const ROWS_PER_TASK: usize = premap::cut::ROWS;

/// Elements of a task of the kernels that do not care about rows.
pub(crate) const ELEMENTS_PER_TASK: usize = premap::cut::ELEMENTS;

/// Independent partial sums: four AVX2 vectors, enough to hide the latency of an addition.
const LANES: usize = 32;

/// Elements summed in f32 before the sum goes to an f64: 32 additions to each lane, then a tree.
const SUM_BLOCK: usize = 32 * LANES;

#[inline(always)]
fn tree(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Σ term(a, b, c) over three slices of one length (pass one slice several times for fewer operands): f32 inside
/// blocks of [`SUM_BLOCK`], f64 across them.
#[inline(always)]
fn sum_terms(a: &[f32], b: &[f32], c: &[f32], term: impl Fn(f32, f32, f32) -> f32) -> f64 {
    let mut total = 0.0;
    let (b, c) = (&b[..a.len()], &c[..a.len()]);
    for ((a, b), c) in a.chunks(SUM_BLOCK).zip(b.chunks(SUM_BLOCK)).zip(c.chunks(SUM_BLOCK)) {
        let mut lanes = [0.0f32; LANES];
        let whole = a.len() / LANES * LANES;
        for ((a, b), c) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)).zip(c.chunks_exact(LANES)) {
            for lane in 0..LANES {
                lanes[lane] += term(a[lane], b[lane], c[lane]);
            }
        }
        for (lane, index) in (whole..a.len()).enumerate() {
            lanes[lane] += term(a[index], b[index], c[index]);
        }
        total += f64::from(tree(lanes));
    }
    total
}

/// Largest of `term(a, b)`, NaN where one is NaN, and `start` where there is none or all are smaller.
#[inline(always)]
fn max_terms(a: &[f32], b: &[f32], start: f32, term: impl Fn(f32, f32) -> f32) -> f32 {
    #[inline(always)]
    fn larger(x: f32, best: f32) -> f32 {
        if (x > best) | x.is_nan() { x } else { best }
    }
    let b = &b[..a.len()];
    let mut lanes = [start; LANES];
    let whole = a.len() / LANES * LANES;
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for lane in 0..LANES {
            lanes[lane] = larger(term(a[lane], b[lane]), lanes[lane]);
        }
    }
    for (lane, index) in (whole..a.len()).enumerate() {
        lanes[lane] = larger(term(a[index], b[index]), lanes[lane]);
    }
    lanes.iter().fold(start, |best, &x| larger(x, best))
}

/// Adds the rows of `partials`, `(groups, cols)`, in their order in f64.
#[inline(always)]
fn combine_body<I: Isa>(partials: &[f32], out: &mut [f32]) {
    const WIDTH: usize = 64;
    let cols = out.len();
    for (block, out) in out.chunks_mut(WIDTH).enumerate() {
        let mut sums = [0.0f64; WIDTH];
        for row in partials.chunks_exact(cols) {
            let row = &row[block * WIDTH..block * WIDTH + out.len()];
            for (sum, &x) in sums.iter_mut().zip(row) {
                *sum += f64::from(x);
            }
        }
        for (out, &sum) in out.iter_mut().zip(&sums) {
            *out = sum as f32;
        }
    }
}

super::simd::multiversion! {
    fn combine(partials: &[f32], out: &mut [f32]) = combine_body
}
