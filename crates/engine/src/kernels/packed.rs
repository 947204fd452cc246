//! Products of int8 activations with packed trits, exact in i32, straight from the packed bytes.
//!
//! The layouts are those of [`TritLayout`]. y = Σ x t = Σ x (t + 1) − Σ x, and t + 1 is what two bits hold, so a
//! code goes unsigned into the multiply-accumulate instruction and Σ x is subtracted once.
//!
//! One token (and up to [`FEW`]): memory-bound. Four rows share the activations; a vector of 64 packed bytes is
//! masked, not shifted, and each of its planes has an accumulator, shifted right once at the end. More tokens:
//! compute-bound. A tile of rows is unpacked once and multiplied by a block of tokens in registers.
//! Sums of i32 do not depend on their order, so every form, cut and instruction set gives the same bits.
//!
//! Rejected, as measured for x86-64: look-up tables (`vpshufb` is no cheaper than `vpdpbusd`), 16-bit widening,
//! software prefetch (slower), one row at a time (the loads of the activations bind).
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod pack;
mod planes;
mod portable;
mod unpack;

use axes::TritLayout;

use super::simd::{Isa, Level, level, multiversion};
use crate::pool::{Pool, Split};
pub use pack::{pack_weights, quantize_weights_packed};
use planes::{Few, Shape};
pub use unpack::unpack_rows;

/// Tokens up to which the memory-bound form runs.
pub const FEW: usize = 4;
/// Bytes of weights of a task of the memory-bound form: a few microseconds of work.
const TASK_BYTES: usize = 64 << 10;
/// Weight rows of a task of the compute-bound form.
const TASK_ROWS: usize = 128;
/// Tokens of a task of the compute-bound form; a multiple of the micro-kernels' heights.
const TASK_TOKENS: usize = 144;
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
    m: usize,
    token: usize,
    first: usize,
    rows: usize,
}

impl Out<'_> {
    /// The task's outputs of one of its tokens.
    #[inline(always)]
    fn row(&mut self, token: usize) -> &mut [i32] {
        // SAFETY: tasks have disjoint parts (`parts` below), and `&mut self` lends out one row at a time.
        unsafe { self.data.part((self.token + token) * self.m + self.first, self.rows) }
    }
}

/// What happens to the sums of a token before they count as written.
#[derive(Clone, Copy)]
enum Finish<'a> {
    Sums,
    /// (scale_x of every token, scale_w): the bits of the f32 acc / s_x / s_w.
    Rescale(&'a [f32], f32),
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

fn run(pool: &Pool, x: &[i8], n: usize, w: PackedMatrix<'_>, acc: &mut [i32], finish: Finish<'_>) {
    let (k, m) = (w.columns, w.rows);
    assert_eq!(Some(x.len()), n.checked_mul(k), "x is (N, K)");
    assert_eq!(Some(acc.len()), n.checked_mul(m), "the result is (N, M)");
    assert!(k <= MOST_COLUMNS, "sums over {k} products do not fit an i32");
    if acc.is_empty() {
        return;
    }
    let level = level();
    if w.layout == TritLayout::Bytes {
        // SAFETY: i8 and u8 have one size, and any bits are a value of either.
        let trits = unsafe { std::slice::from_raw_parts(w.bytes.as_ptr().cast::<i8>(), w.bytes.len()) };
        super::ternary::matmul_i32(pool, x, trits, n, acc);
        if let Finish::Rescale(scale_x, scale_w) = finish {
            parts(pool, acc, (n, m), (1, m), |_, out| {
                let scale_x = scale_x[out.token];
                rescale(out.row(0), scale_x, scale_w);
            });
        }
    } else if n <= FEW {
        few(pool, level, x, n, w, acc, finish);
    } else {
        many(pool, level, x, n, w, acc, finish);
    }
}

/// The memory-bound form: the activations of all tokens are arranged once, tasks are runs of weight rows.
fn few(
    pool: &Pool,
    level: Level,
    x: &[i8],
    n: usize,
    w: PackedMatrix<'_>,
    acc: &mut [i32],
    finish: Finish<'_>,
) {
    let (k, m, shape) = (w.columns, w.rows, w.shape());
    let per_task =
        (TASK_BYTES / w.layout.row_bytes(k).max(1)).max(1).next_multiple_of(TritLayout::GROUP).min(m);
    let mut planes = Few::new();
    for span in shape.spans(planes::FEW_UNITS) {
        planes.arrange(level, x, n, k, &shape, span);
        let planes = &planes;
        parts(pool, acc, (n, m), (n, per_task), |_, out| {
            match level {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the level is Avx512 only on machines that have what it stands for.
                Level::Avx512 => unsafe { avx512::few(&w, &shape, span, planes, n, out) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the level is Avx2 only on machines that have AVX2.
                Level::Avx2 => unsafe { avx2::few(&w, &shape, span, planes, n, out) },
                #[cfg(target_arch = "aarch64")]
                Level::Neon => neon::few(&w, &shape, span, planes, n, out),
                _ => portable::products(&w, &shape, span, x, n, out),
            }
            if let (Finish::Rescale(scale_x, scale_w), true) = (finish, span.last) {
                (0..n).for_each(|token| rescale(out.row(token), scale_x[token], scale_w));
            }
        });
    }
}

/// The compute-bound form: tasks are tiles of weight rows by tokens.
fn many(
    pool: &Pool,
    level: Level,
    x: &[i8],
    n: usize,
    w: PackedMatrix<'_>,
    acc: &mut [i32],
    finish: Finish<'_>,
) {
    let (k, m, shape) = (w.columns, w.rows, w.shape());
    let tokens = n.div_ceil(n.div_ceil(TASK_TOKENS));
    parts(pool, acc, (n, m), (tokens, TASK_ROWS), |count, out| {
        let x = &x[out.token * k..][..count * k];
        match level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is Avx512 only on machines that have what it stands for.
            Level::Avx512 => return unsafe { avx512::many(&w, &shape, x, count, finish, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is Avx2 only on machines that have AVX2.
            Level::Avx2 => unsafe { avx2::many(&w, &shape, x, count, out) },
            #[cfg(target_arch = "aarch64")]
            Level::Neon => neon::many(&w, &shape, x, count, out),
            _ => shape.spans(usize::MAX).for_each(|span| portable::products(&w, &shape, span, x, count, out)),
        }
        if let Finish::Rescale(scale_x, scale_w) = finish {
            let from = out.token;
            (0..count).for_each(|token| rescale(out.row(token), scale_x[from + token], scale_w));
        }
    });
}

/// Cuts an (N, M) result into parts of `size` (tokens, outputs), by shape alone, and calls `task(tokens, part)`.
fn parts(
    pool: &Pool,
    acc: &mut [i32],
    (n, m): (usize, usize),
    size: (usize, usize),
    task: impl Fn(usize, &mut Out<'_>) + Sync,
) {
    debug_assert_eq!(acc.len(), n * m);
    let (down, across) = (n.div_ceil(size.0), m.div_ceil(size.1));
    let data = Split::new(acc, m);
    pool.run(down * across, |index| {
        // Neighbouring tasks share their weights.
        let (first, token) = (index / down * size.1, index % down * size.0);
        let mut out = Out { data: &data, m, token, first, rows: size.1.min(m - first) };
        task(size.0.min(n - token), &mut out);
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
