//! Products of f32 activations with matrices in the block formats of model files, straight from the file's bytes.
//!
//! What is computed is `graph::ops::blocks::BlockLinear`: activations become int8 by blocks of 256, sums of integers are exact,
//! and the few f32 operations behind them have one order. So every form here gives the same bits, whatever the instruction
//! set, the number of threads, or the number of tokens.
//!
//! One token is bound by memory, and a row of weights is read once, in order. The integer part of a block is done in
//! vectors and summed across lanes at once, since its scale is its own; the f32 part is a lane for each of the partial
//! sums. `portable.rs` is the same in plain loops.
#![allow(unsafe_code)]

mod portable;

use axes::BlockFormat;
use graph::ops::blocks::Units;

use super::rows::IndexOutOfRange;
use super::simd::{Isa, multiversion};
use crate::pool::{Pool, Split};

/// Bytes of weights of a task: a few microseconds of work.
const TASK_BYTES: usize = 64 << 10;
/// Elements of f32 scratch that keep what follows them aligned to a line of the cache.
const LINE: usize = 16;

/// A matrix of numbers in blocks, out-major, (rows M, columns K); it borrows the bytes.
#[derive(Clone, Copy, Debug)]
pub struct BlockMatrix<'a> {
    format: BlockFormat,
    rows: usize,
    columns: usize,
    bytes: &'a [u8],
}

impl<'a> BlockMatrix<'a> {
    /// Views `bytes` as a matrix; they must be exactly those of the format, at any address.
    ///
    /// ```
    /// use axes::BlockFormat;
    /// use engine::kernels::blocks::BlockMatrix;
    /// assert!(BlockMatrix::new(BlockFormat::Q8_0, 2, 64, &[0; 136]).is_some());
    /// assert!(BlockMatrix::new(BlockFormat::Q8_0, 2, 64, &[0; 135]).is_none());
    /// assert!(BlockMatrix::new(BlockFormat::Q8_0, 2, 63, &[0; 134]).is_none());
    /// ```
    pub fn new(format: BlockFormat, rows: usize, columns: usize, bytes: &'a [u8]) -> Option<Self> {
        let fits = columns > 0 && format.bytes(rows, columns) == Some(bytes.len());
        fits.then_some(Self { format, rows, columns, bytes })
    }

    /// The format.
    pub fn format(&self) -> BlockFormat {
        self.format
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

    fn row_bytes(&self) -> usize {
        self.columns / self.format.block() * self.format.block_bytes()
    }

    fn row(&self, row: usize) -> &'a [u8] {
        let size = self.row_bytes();
        &self.bytes[row * size..][..size]
    }
}

/// Activations as the kernels read them.
#[derive(Clone, Copy)]
struct Activations<'a> {
    k: usize,
    /// How many share a scale, a sum.
    units: Units,
    group: usize,
    /// `(N, K)`, as they came.
    x: &'a [f32],
    /// `(N, K)`, `(N, K / units.activations)`, `(N, K / group)`; empty for `f16` and `bf16`.
    q: &'a [i8],
    scales: &'a [f32],
    sums: &'a [i16],
}

impl<'a> Activations<'a> {
    fn q(&self, token: usize) -> &'a [i8] {
        &self.q[token * self.k..][..self.k]
    }

    fn scales(&self, token: usize) -> &'a [f32] {
        let n = self.k / self.units.activations;
        &self.scales[token * n..][..n]
    }

    fn sums(&self, token: usize) -> &'a [i16] {
        let n = self.k / self.group;
        &self.sums[token * n..][..n]
    }
}

/// Activations whose sum a kernel needs: those that share an integer scale or offset of the weights.
fn group(format: BlockFormat, units: Units) -> usize {
    match format {
        BlockFormat::Q6K => 16,
        BlockFormat::Q4K => 32,
        _ => units.unit,
    }
}

/// Elements of scratch memory that [`linear`] needs for `n` tokens.
pub fn scratch(format: BlockFormat, columns: usize, n: usize) -> usize {
    if format.block() == 1 {
        return 0;
    }
    let units = Units::new(format, columns);
    let [q, scales, sums] = parts(format, columns, n, units);
    q + scales + sums + LINE
}

/// Elements of f32 that hold the int8 activations, the scales and the sums.
fn parts(format: BlockFormat, columns: usize, n: usize, units: Units) -> [usize; 3] {
    let bytes = [columns, 4 * (columns / units.activations), 2 * (columns / group(format, units))];
    bytes.map(|bytes| (n * bytes).div_ceil(4).next_multiple_of(LINE))
}

/// y = x · w: `x` is `(N, K)`, `w` is `(M, K)`, `y` is `(N, M)`; [`scratch`] says how much scratch memory there must be.
///
/// # Panics
/// Where the sizes do not fit.
///
/// ```
/// use axes::BlockFormat;
/// use engine::{kernels::blocks::{BlockMatrix, linear}, pool::Pool};
/// // 1.0 and −2.0 as f16.
/// let w = BlockMatrix::new(BlockFormat::F16, 1, 2, &[0x00, 0x3c, 0x00, 0xc0]).unwrap();
/// let mut y = [0.0];
/// linear(&Pool::single(), &[3.0, 0.5], w, &mut y, &mut []);
/// assert_eq!(y, [2.0]);
/// ```
pub fn linear(pool: &Pool, x: &[f32], w: BlockMatrix<'_>, y: &mut [f32], scratch: &mut [f32]) {
    let (k, m, n) = (w.columns, w.rows, x.len() / w.columns);
    assert_eq!(x.len(), n * k, "x is (N, K)");
    assert_eq!(Some(y.len()), n.checked_mul(m), "y is (N, M)");
    if y.is_empty() {
        return;
    }
    let acts = quantise(pool, x, &w, scratch);
    let per_task = (TASK_BYTES / w.row_bytes()).next_multiple_of(4).min(m);
    let data = Split::new(y, m);
    pool.run(m.div_ceil(per_task), |task| {
        let first = task * per_task;
        let mut out = Out { data: &data, m, first, rows: per_task.min(m - first) };
        portable::rows(&w, &acts, n, &mut out);
    });
}

/// The part of an (N, M) result that one task writes: `rows` neighbouring outputs of every token.
struct Out<'a> {
    data: &'a Split<'a, f32>,
    m: usize,
    first: usize,
    rows: usize,
}

impl Out<'_> {
    /// The task's outputs of one of the tokens.
    #[inline(always)]
    fn row(&mut self, token: usize) -> &mut [f32] {
        // SAFETY: tasks have disjoint runs of rows (`linear`), and `&mut self` lends out one at a time.
        unsafe { self.data.part(token * self.m + self.first, self.rows) }
    }
}

/// Int8 activations with scales and sums, in scratch memory.
fn quantise<'a>(pool: &Pool, x: &'a [f32], w: &BlockMatrix<'_>, scratch: &'a mut [f32]) -> Activations<'a> {
    let (k, n) = (w.columns, x.len() / w.columns);
    let units = Units::new(w.format, k);
    let group = group(w.format, units);
    let mut made = Activations { k, units, group, x, q: &[], scales: &[], sums: &[] };
    if w.format.block() == 1 {
        return made;
    }
    let start = scratch.as_ptr().align_offset(4 * LINE).min(LINE);
    let [q, scales, sums] = parts(w.format, k, n, units);
    let (q, rest) = scratch[start..].split_at_mut(q);
    let (scales, rest) = rest.split_at_mut(scales);
    let (_, sums, _) = {
        // SAFETY: any bits are a value of i16.
        unsafe { rest[..sums].align_to_mut::<i16>() }
    };
    // SAFETY: any bits are a value of i8.
    let (_, q, _) = unsafe { q.align_to_mut::<i8>() };
    let (q, scales, sums) =
        (&mut q[..n * k], &mut scales[..n * (k / units.activations)], &mut sums[..n * (k / group)]);
    let sizes = [k, k / units.activations, k / group];
    pool.chunks3(n, (&mut *q, &mut *scales, &mut *sums), sizes, |token, q, scales, sums| {
        quantise_row(&x[token * k..][..k], units.activations, group, q, scales, sums);
    });
    (made.q, made.scales, made.sums) = (q, scales, sums);
    made
}

multiversion! {
    /// One token: a scale for each `block` activations, a sum for each `group`.
    fn quantise_row(x: &[f32], block: usize, group: usize, q: &mut [i8], scales: &mut [f32], sums: &mut [i16]) = quantise_row_body
}

#[inline(always)]
fn quantise_row_body<I: Isa>(
    x: &[f32],
    block: usize,
    group: usize,
    q: &mut [i8],
    scales: &mut [f32],
    sums: &mut [i16],
) {
    for ((x, q), scale) in x.chunks_exact(block).zip(q.chunks_exact_mut(block)).zip(scales) {
        // Magnitudes have the order of their bits, and NaN is above all.
        let peak = x.iter().fold(0, |m: u32, x| m.max(x.to_bits() & 0x7fff_ffff));
        *scale = f32::from_bits(peak) / 127.0;
        if *scale == 0.0 {
            q.fill(0);
            continue;
        }
        for (q, x) in q.iter_mut().zip(x) {
            *q = (I::round_even(*x / *scale) as i32).clamp(-128, 127) as i8;
        }
    }
    for (sum, q) in sums.iter_mut().zip(q.chunks_exact(group)) {
        // At most 256 · 127.
        *sum = q.iter().map(|q| i32::from(*q)).sum::<i32>() as i16;
    }
}

/// The numbers of the rows `ids` of a matrix: `out` is `(N, K)`.
///
/// # Errors
/// An id outside the rows; `out` is then unchanged.
///
/// # Panics
/// Where the sizes do not fit.
pub fn gather(pool: &Pool, ids: &[i64], w: BlockMatrix<'_>, out: &mut [f32]) -> Result<(), IndexOutOfRange> {
    assert_eq!(Some(out.len()), ids.len().checked_mul(w.columns), "out is (N, K)");
    super::rows::check_ids(ids, w.rows)?;
    pool.chunks(out, w.columns, |n, out| {
        let decoded = barewire::blocks::decode_into(w.format, w.columns, w.row(ids[n] as usize), out);
        assert!(decoded.is_ok(), "a row of a matrix is a row");
    });
    Ok(())
}
