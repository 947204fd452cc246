//! Products of int8 activations with packed trits, exact in i32, straight from the packed bytes.
//!
//! The layouts are those of [`TritLayout`]. y = Σ x t = Σ x (t + 1) − Σ x, and t + 1 is what two bits hold, so a
//! code goes unsigned into the multiply-accumulate instruction and Σ x is subtracted once.
//!
//! One token: memory-bound. Four rows share the activations; a vector of 64 packed bytes is masked, not shifted, and each
//! of its planes has an accumulator, shifted right once at the end. Up to [`FEW`] tokens: one pass over the weights, with
//! a sum for each token. Both fetch the rows that follow ahead of their use, which a core that also multiplies does not
//! do well enough by itself. More tokens: compute-bound. A tile of rows is transposed, stays packed, and meets a block of
//! tokens in registers. The activations are arranged once for all tasks of a round, and for all matrices of a pass
//! ([`matmul_many`]). Sums of i32 do not depend on their order, so every form, cut and instruction set gives the same bits.
//!
//! Rejected, as measured for x86-64: look-up tables (`vpshufb` is no cheaper than `vpdpbusd`), 16-bit widening, one row at
//! a time (the loads of the activations bind), unpacked codes in the first-level cache (three quarters of the peak where
//! the core does two multiply-accumulates a cycle; packed ones reach nine tenths), several short spans of columns for few
//! tokens (memory that is read in short runs is read at half the speed).
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avxvnni;
mod joint;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
mod pack;
mod planes;
mod portable;
mod unpack;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;

use axes::TritLayout;

use super::simd::{Isa, Level, level, multiversion};
use crate::pool::{Pool, Split};
pub use joint::{Gate, Product, matmul_add, matmul_gated, matmul_many};
pub use pack::{pack_weights, quantize_weights_packed};
use planes::{Arranged, Few, Shape, Span};
pub use unpack::unpack_rows;

/// Tokens up to which the memory-bound form runs.
pub const FEW: usize = premap::cut::FEW;
/// Units of 64 bytes that the memory-bound form takes at once, over all tokens: their activations stay in the
/// first-level cache.
const FEW_UNITS: usize = 128;
/// Columns up to which Σ x t fits an i32 whatever the operands are; the sums of codes are taken over shorter spans.
const MOST_COLUMNS: usize = (1 << 24) - 1;

/// A matrix of trits, out-major, (rows M, columns K), in one of the named layouts; it borrows the bytes.
#[derive(Clone, Copy, Debug)]
pub struct PackedMatrix<'a> {
    layout: TritLayout,
    rows: usize,
    columns: usize,
    bytes: &'a [u8],
}

impl<'a> PackedMatrix<'a> {
    /// Views `bytes` as a matrix; they must be exactly those of the layout. The codes are not looked at: with
    /// illegal ones the products are some numbers.
    ///
    /// ```
    /// use axes::TritLayout;
    /// use engine::kernels::packed::PackedMatrix;
    /// assert!(PackedMatrix::new(TritLayout::Storage, 2, 7, &[121; 4]).is_some());
    /// assert!(PackedMatrix::new(TritLayout::Storage, 2, 7, &[121; 5]).is_none());
    /// ```
    pub fn new(layout: TritLayout, rows: usize, columns: usize, bytes: &'a [u8]) -> Option<Self> {
        (layout.bytes(rows, columns) == Some(bytes.len())).then_some(Self { layout, rows, columns, bytes })
    }

    /// The layout.
    pub fn layout(&self) -> TritLayout {
        self.layout
    }

    /// M, the number of outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// K, the number of inputs.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The first half of the rows and the second, where each is whole groups of rows.
    pub fn halves(&self) -> Option<(Self, Self)> {
        let rows = self.rows / 2;
        let whole = self.rows.is_multiple_of(2) && rows.is_multiple_of(TritLayout::GROUP);
        let (first, second) = self.bytes.split_at_checked(self.layout.bytes(rows, self.columns)?)?;
        whole.then_some((Self { rows, bytes: first, ..*self }, Self { rows, bytes: second, ..*self }))
    }

    fn shape(&self) -> Shape {
        Shape::new(self.layout, self.columns)
    }

    /// Byte offsets of the first whole block and of the tail of row `row`, and the distance between its blocks.
    fn row(&self, row: usize, shape: &Shape) -> RowAt {
        debug_assert!(row < self.rows);
        if self.layout == TritLayout::Compute {
            let (first, inside) = (row / TritLayout::GROUP * TritLayout::GROUP, row % TritLayout::GROUP);
            let size = TritLayout::GROUP.min(self.rows - first);
            let start = first * self.layout.row_bytes(self.columns);
            RowAt {
                start: start + 64 * inside,
                step: 64 * size,
                tail: start + shape.whole * 64 * size + inside * shape.tail,
            }
        } else {
            let start = row * self.layout.row_bytes(self.columns);
            RowAt { start, step: 64, tail: start + 64 * shape.whole }
        }
    }

    /// The bytes of one unit of a row: block `unit`, or the tail behind the blocks.
    #[inline(always)]
    fn unit(&self, at: &RowAt, unit: usize, shape: &Shape) -> &'a [u8] {
        if unit < shape.whole {
            &self.bytes[at.start + unit * at.step..][..64]
        } else {
            &self.bytes[at.tail..][..shape.tail]
        }
    }
}

/// Where a row lies in the bytes of its matrix.
#[derive(Clone, Copy, Debug, Default)]
struct RowAt {
    start: usize,
    step: usize,
    tail: usize,
}

/// The part of an (N, M) result that one task writes: `rows` neighbouring outputs of each of its tokens.
struct Out<'a> {
    data: &'a Split<'a, i32>,
    /// The element of the task's first token and output, and the distance to the next token.
    start: usize,
    stride: usize,
    /// The first output, a row of the matrix.
    first: usize,
    rows: usize,
}

impl Out<'_> {
    /// The task's outputs of one of its tokens.
    #[inline(always)]
    fn row(&mut self, token: usize) -> &mut [i32] {
        // SAFETY: tasks have disjoint parts (`pass` below), and `&mut self` lends out one row at a time.
        unsafe { self.data.part(self.start + token * self.stride, self.rows) }
    }
}

/// What happens to the sums of a token before they count as written.
#[derive(Clone, Copy)]
enum Finish<'a> {
    Sums,
    /// (scale_x of every token, scale_w): the bits of the f32 acc / s_x / s_w.
    Rescale(&'a [f32], f32),
    /// The same plus a term that is `(N, M)`.
    Add(&'a [f32], f32, &'a [f32]),
    /// (scale_x of every token, scale_w of this matrix and of the gate's, the gate's matrix, its function).
    Gated(&'a [f32], [f32; 2], PackedMatrix<'a>, Gate),
}

impl<'a> Finish<'a> {
    /// The scales that the sums are divided by.
    fn scales(&self) -> Option<(&'a [f32], f32)> {
        match *self {
            Finish::Sums => None,
            Finish::Rescale(x, w) | Finish::Add(x, w, _) | Finish::Gated(x, [w, _], ..) => Some((x, w)),
        }
    }
}

/// acc = Σ over k of x[n, k] · t[m, k]: `x` is `(N, K)`, `w` is `(M, K)`, `acc` is `(N, M)`; `n` is N.
///
/// Exact for any i8 in `x` and for K below 2²⁴.
///
/// # Panics
/// Where the sizes do not fit.
///
/// ```
/// use axes::TritLayout;
/// use engine::{kernels::packed::{PackedMatrix, matmul_i32}, pool::Pool};
/// // One row of three trits, 1, -1, 0: codes 2, 0, 1 from the low bits up; the padding is 0, code 1.
/// let w = PackedMatrix::new(TritLayout::Compute, 1, 3, &[0b01_01_00_10]).unwrap();
/// let mut acc = [0];
/// matmul_i32(&Pool::single(), &[10, 4, 7], 1, w, &mut acc);
/// assert_eq!(acc, [6]);
/// ```
pub fn matmul_i32(pool: &Pool, x: &[i8], n: usize, w: PackedMatrix<'_>, acc: &mut [i32]) {
    run(pool, x, n, w, acc, Finish::Sums);
}

/// y = Σ x t / s_x / s_w, divided in this order: `x` is `(N, K)`, `scale_x` is `(N)`, `w` is `(M, K)`, `y` is
/// `(N, M)`. The bits of [`ternary::rescale`](super::ternary::rescale) after [`matmul_i32`].
///
/// # Panics
/// Where the sizes do not fit.
pub fn matmul(pool: &Pool, x: &[i8], scale_x: &[f32], w: PackedMatrix<'_>, scale_w: f32, y: &mut [f32]) {
    // SAFETY: i32 and f32 have one size and alignment, and any bits are a value of either; `run` writes the sums
    // and leaves the bits of an f32 in every element.
    let acc = unsafe { std::slice::from_raw_parts_mut(y.as_mut_ptr().cast::<i32>(), y.len()) };
    run(pool, x, scale_x.len(), w, acc, Finish::Rescale(scale_x, scale_w));
}

/// A matrix of a pass, with its (N, M) result.
struct Item<'a> {
    w: PackedMatrix<'a>,
    out: Split<'a, i32>,
    finish: Finish<'a>,
}

fn run(pool: &Pool, x: &[i8], n: usize, w: PackedMatrix<'_>, acc: &mut [i32], finish: Finish<'_>) {
    let (k, m) = (w.columns, w.rows);
    assert_eq!(Some(x.len()), n.checked_mul(k), "x is (N, K)");
    assert_eq!(Some(acc.len()), n.checked_mul(m), "the result is (N, M)");
    assert!(k <= MOST_COLUMNS, "sums over {k} products do not fit an i32");
    if acc.is_empty() {
        return;
    }
    if w.layout == TritLayout::Bytes {
        // SAFETY: i8 and u8 have one size, and any bits are a value of either.
        let trits = unsafe { std::slice::from_raw_parts(w.bytes.as_ptr().cast::<i8>(), w.bytes.len()) };
        super::ternary::matmul_i32(pool, x, trits, n, acc);
        if let Some((scale_x, scale_w)) = finish.scales() {
            pool.chunks(acc, m, |token, acc| rescale(acc, scale_x[token], scale_w));
        }
    } else {
        pass(pool, x, n, &[Item { w, out: Split::new(acc, m), finish }]);
    }
}

/// One pass over matrices of one layout and one number of columns, which share the arranged activations.
fn pass(pool: &Pool, x: &[i8], n: usize, items: &[Item<'_>]) {
    let Some(k) = items.first().map(|item| item.w.columns) else { return };
    let (level, shape) = (level(), items[0].w.shape());
    debug_assert!(items.iter().all(|item| item.w.columns == k && item.w.layout == shape.layout));
    let size = premap::cut::trits(n, shape.layout.row_bytes(k));
    let units = match level {
        _ if n <= FEW => Some((FEW_UNITS / n).max(1)),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => Some(avx512::UNITS),
        Level::Simd128 => Some(FEW_UNITS / FEW),
        _ => None,
    };
    let arranged = units.map(|units| Arranged::new(pool, level, x, n, k, &shape, units));
    tasks(pool, items, n, size, |item, tokens, out| {
        let one = Task { level, x, n, shape: &shape, arranged: arranged.as_ref(), tokens };
        if let Finish::Gated(scale_x, [_, scale_w], gate, function) = item.finish {
            joint::gated(&one, item, (scale_x, scale_w), gate, function, out);
        } else {
            one.product(&item.w, item.finish, out);
        }
    });
}

/// What all products of a task have in common.
struct Task<'a> {
    level: Level,
    x: &'a [i8],
    n: usize,
    shape: &'a Shape,
    arranged: Option<&'a Arranged>,
    /// The first token and their number.
    tokens: (usize, usize),
}

impl Task<'_> {
    /// The product with some rows of a matrix, finished.
    fn product(&self, w: &PackedMatrix<'_>, finish: Finish<'_>, out: &mut Out<'_>) {
        let (from, count) = self.tokens;
        let (k, shape) = (w.columns, self.shape);
        match (self.arranged, self.level) {
            (Some(arranged), level) if self.n <= FEW => {
                for (span, planes) in arranged.spans() {
                    few(level, w, shape, span, self.x, &planes, self.n, out);
                }
            }
            #[cfg(target_arch = "x86_64")]
            (Some(arranged), Level::Avx512) => {
                for (span, planes) in arranged.spans() {
                    // SAFETY: the level is Avx512 only on machines that have what it stands for.
                    unsafe { avx512::many(w, shape, span, &planes, self.tokens, finish, out) };
                }
                // The scales were applied while the sums were in registers.
                return add(finish, self.tokens, w.rows, out);
            }
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            (Some(arranged), Level::Simd128) => {
                for (span, planes) in arranged.spans() {
                    wasm::few(w, shape, span, &planes.starting(from), count, out);
                }
            }
            (_, level) => {
                let x = &self.x[from * k..][..count * k];
                match level {
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: the level is Avx2 only on machines that have AVX2.
                    Level::Avx2 => unsafe { avx2::many::<false>(w, shape, x, count, out) },
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: the level is AvxVnni only on machines that have AVX2 and AVX-VNNI.
                    Level::AvxVnni => unsafe { avx2::many::<true>(w, shape, x, count, out) },
                    #[cfg(target_arch = "aarch64")]
                    Level::Neon => neon::many(w, shape, x, count, out),
                    _ => shape
                        .spans(usize::MAX)
                        .for_each(|span| portable::products(w, shape, span, x, count, out)),
                }
            }
        }
        if let Some((scale_x, scale_w)) = finish.scales() {
            (0..count).for_each(|token| rescale(out.row(token), scale_x[from + token], scale_w));
        }
        add(finish, self.tokens, w.rows, out);
    }
}

/// Adds the term, where there is one; `m` outputs a token.
fn add(finish: Finish<'_>, (from, count): (usize, usize), m: usize, out: &mut Out<'_>) {
    if let Finish::Add(_, _, term) = finish {
        for token in 0..count {
            let term = &term[(from + token) * m + out.first..][..out.rows];
            for (y, term) in out.row(token).iter_mut().zip(term) {
                *y = (f32::from_bits(*y as u32) + term).to_bits() as i32;
            }
        }
    }
}

/// The memory-bound form of one task over one span.
fn few(
    level: Level,
    w: &PackedMatrix<'_>,
    shape: &Shape,
    span: Span,
    x: &[i8],
    planes: &Few<'_>,
    n: usize,
    out: &mut Out<'_>,
) {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is Avx512 only on machines that have what it stands for.
        Level::Avx512 => unsafe { avx512::few(w, shape, span, planes, n, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is Avx2 only on machines that have AVX2.
        Level::Avx2 => unsafe { avx2::few::<false>(w, shape, span, planes, n, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is AvxVnni only on machines that have AVX2 and AVX-VNNI.
        Level::AvxVnni => unsafe { avx2::few::<true>(w, shape, span, planes, n, out) },
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Level::Simd128 => wasm::few(w, shape, span, planes, n, out),
        #[cfg(target_arch = "aarch64")]
        Level::Neon => neon::few(w, shape, span, planes, n, out),
        _ => {
            let _ = planes;
            portable::products(w, shape, span, x, n, out);
        }
    }
}

/// Cuts the results into parts of `size` (outputs, tokens), by shape alone, and calls
/// `task(item, (first token, tokens), part)`.
fn tasks(
    pool: &Pool,
    items: &[Item<'_>],
    n: usize,
    size: (usize, usize),
    task: impl Fn(&Item<'_>, (usize, usize), &mut Out<'_>) + Sync,
) {
    let down = n.div_ceil(size.1);
    let count = |item: &Item<'_>| down * item.w.rows.div_ceil(size.0);
    pool.run(items.iter().map(count).sum(), |mut index| {
        let Some(item) = items.iter().find(|item| {
            let own = index < count(item);
            index -= if own { 0 } else { count(item) };
            own
        }) else {
            return;
        };
        // Neighbouring tasks share their weights.
        let (first, token, m) = (index / down * size.0, index % down * size.1, item.w.rows);
        let rows = size.0.min(m - first);
        let mut out = Out { data: &item.out, start: token * m + first, stride: m, first, rows };
        task(item, (token, size.1.min(n - token)), &mut out);
    });
}

multiversion! {
    /// The sums of one token as the bits of y = acc / s_x / s_w.
    fn rescale(acc: &mut [i32], scale_x: f32, scale_w: f32) = rescale_body
}

#[inline(always)]
fn rescale_body<I: Isa>(acc: &mut [i32], scale_x: f32, scale_w: f32) {
    for acc in acc {
        *acc = (*acc as f32 / scale_x / scale_w).to_bits() as i32;
    }
}
