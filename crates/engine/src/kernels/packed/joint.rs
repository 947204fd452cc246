//! Several products of the same activations in one round of the pool, and what follows a product done before its result
//! leaves the cache: projections of queries, keys and values; gate and up of a gated unit; the residual stream.
//!
//! A round costs a microsecond or so, as long as a small product takes. The bits are those of one product after the other
//! and of the plain operations behind them.
#![allow(unsafe_code)]

use std::cell::Cell;

use axes::TritLayout;

use super::super::math;
use super::super::simd::{Isa, multiversion};
use super::{Finish, Item, Out, PackedMatrix, Task, matmul, pass};
use crate::pool::{Pool, Split};

/// One of the products of [`matmul_many`].
#[derive(Debug)]
pub struct Product<'a> {
    /// (M, K).
    pub w: PackedMatrix<'a>,
    /// s_w.
    pub scale_w: f32,
    /// (N, M), for the result.
    pub y: &'a mut [f32],
}

/// The function of a gated unit, y = function(gate) · up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// x / (1 + e⁻ˣ): SwiGLU.
    Silu,
    /// max(x, 0)²: the gate of BitNet b1.58 2B4T.
    SquaredRelu,
}

/// The results of [`matmul`] with each matrix, in one round where they have one layout: `x` is `(N, K)`, `scale_x` is
/// `(N)`.
///
/// # Panics
/// Where the sizes do not fit.
///
/// ```
/// use axes::TritLayout;
/// use engine::{kernels::packed::{PackedMatrix, Product, matmul_many}, pool::Pool};
/// let ones = PackedMatrix::new(TritLayout::Compute, 1, 3, &[0b01_10_10_10]).unwrap();
/// let (mut q, mut k) = ([0.0], [0.0]);
/// let each = &mut [Product { w: ones, scale_w: 1.0, y: &mut q }, Product { w: ones, scale_w: 2.0, y: &mut k }];
/// matmul_many(&Pool::single(), &[10, 4, 7], &[1.0], each);
/// assert_eq!((q, k), ([21.0], [10.5]));
/// ```
pub fn matmul_many(pool: &Pool, x: &[i8], scale_x: &[f32], products: &mut [Product<'_>]) {
    let n = scale_x.len();
    let alike = products.windows(2).all(|pair| pair[0].w.layout == pair[1].w.layout);
    if n == 0 || !alike || products.iter().any(|p| p.w.layout == TritLayout::Bytes) {
        products.iter_mut().for_each(|p| matmul(pool, x, scale_x, p.w, p.scale_w, p.y));
        return;
    }
    let items: Vec<Item<'_>> = products
        .iter_mut()
        .map(|p| {
            check(x, n, &p.w, p.y.len());
            Item { w: p.w, out: Split::new(bits(p.y), 1), finish: Finish::Rescale(scale_x, p.scale_w) }
        })
        .collect();
    pass(pool, x, n, &items);
}

/// y = Σ x t / s_x / s_w + term: [`matmul`] plus a term that is `(N, M)` as `y`, such as the residual stream.
///
/// # Panics
/// Where the sizes do not fit.
pub fn matmul_add(
    pool: &Pool,
    x: &[i8],
    scale_x: &[f32],
    w: PackedMatrix<'_>,
    scale_w: f32,
    term: &[f32],
    y: &mut [f32],
) {
    assert_eq!(term.len(), y.len(), "the term has the shape of the result");
    if w.layout == TritLayout::Bytes || scale_x.is_empty() {
        matmul(pool, x, scale_x, w, scale_w, y);
        y.iter_mut().zip(term).for_each(|(y, term)| *y += term);
        return;
    }
    check(x, scale_x.len(), &w, y.len());
    let finish = Finish::Add(scale_x, scale_w, term);
    pass(pool, x, scale_x.len(), &[Item { w, out: Split::new(bits(y), 1), finish }]);
}

/// y = gate(x g) · (x u), both products scaled as by [`matmul`]: `g` and `u` are (matrix, s_w) of one shape.
///
/// # Panics
/// Where the sizes do not fit.
pub fn matmul_gated(
    pool: &Pool,
    x: &[i8],
    scale_x: &[f32],
    g: (PackedMatrix<'_>, f32),
    u: (PackedMatrix<'_>, f32),
    gate: Gate,
    y: &mut [f32],
) {
    assert_eq!((g.0.rows, g.0.columns), (u.0.rows, u.0.columns), "gate and up have one shape");
    if g.0.layout != u.0.layout || g.0.layout == TritLayout::Bytes || scale_x.is_empty() {
        let mut made = vec![0.0; y.len()];
        matmul(pool, x, scale_x, g.0, g.1, &mut made);
        matmul(pool, x, scale_x, u.0, u.1, y);
        product(gate, &made, bits(y));
        return;
    }
    check(x, scale_x.len(), &u.0, y.len());
    let finish = Finish::Gated(scale_x, [u.1, g.1], g.0, gate);
    pass(pool, x, scale_x.len(), &[Item { w: u.0, out: Split::new(bits(y), 1), finish }]);
}

fn check(x: &[i8], n: usize, w: &PackedMatrix<'_>, outputs: usize) {
    assert_eq!(Some(x.len()), n.checked_mul(w.columns), "x is (N, K)");
    assert_eq!(Some(outputs), n.checked_mul(w.rows), "the result is (N, M)");
    assert!(w.columns <= super::MOST_COLUMNS, "sums over {} products do not fit an i32", w.columns);
}

/// The bits of a result, which the kernels write sums to before they write numbers.
fn bits(y: &mut [f32]) -> &mut [i32] {
    // SAFETY: i32 and f32 have one size and alignment, and any bits are a value of either.
    unsafe { std::slice::from_raw_parts_mut(y.as_mut_ptr().cast(), y.len()) }
}

thread_local! {
    /// Memory of the last gate of this thread, for the next one.
    static KEPT: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// One task of [`matmul_gated`]: the same rows of both matrices.
pub(super) fn gated(
    task: &Task<'_>,
    item: &Item<'_>,
    (scale_x, scale_w): (&[f32], f32),
    g: PackedMatrix<'_>,
    gate: Gate,
    out: &mut Out<'_>,
) {
    let (count, rows) = (task.tokens.1, out.rows);
    let mut made = KEPT.take();
    made.resize(made.len().max(count * rows), 0.0);
    {
        let data = Split::new(bits(&mut made), 1);
        let mut own = Out { data: &data, start: 0, stride: rows, first: out.first, rows };
        task.product(&g, Finish::Rescale(scale_x, scale_w), &mut own);
    }
    task.product(&item.w, item.finish, out);
    for (token, made) in made.chunks_exact(rows).take(count).enumerate() {
        product(gate, made, out.row(token));
    }
    KEPT.set(made);
}

/// up = function(gate) · up, the latter as bits.
fn product(gate: Gate, made: &[f32], up: &mut [i32]) {
    match gate {
        Gate::Silu => silu(made, up),
        Gate::SquaredRelu => squared_relu(made, up),
    }
}

multiversion! {
    fn silu(gate: &[f32], up: &mut [i32]) = silu_body
}
multiversion! {
    fn squared_relu(gate: &[f32], up: &mut [i32]) = squared_relu_body
}

#[inline(always)]
fn silu_body<I: Isa>(gate: &[f32], up: &mut [i32]) {
    for (up, gate) in up.iter_mut().zip(gate) {
        *up = (math::silu::<I>(*gate) * f32::from_bits(*up as u32)).to_bits() as i32;
    }
}

#[inline(always)]
fn squared_relu_body<I: Isa>(gate: &[f32], up: &mut [i32]) {
    for (up, gate) in up.iter_mut().zip(gate) {
        // NaN stays NaN.
        let positive = if *gate < 0.0 { 0.0 } else { *gate };
        *up = (positive * positive * f32::from_bits(*up as u32)).to_bits() as i32;
    }
}
