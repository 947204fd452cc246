//! Products of f32 activations with matrices in the block formats of model files, straight from the file's bytes.
//!
//! What is computed is `graph::ops::blocks::BlockLinear`: activations become int8 by blocks of 256, sums of integers are exact,
//! and the few f32 operations behind them have one order. So every form here gives the same bits, whatever the instruction
//! set, the number of threads, or the number of tokens.
//!
//! One token is bound by memory. With AVX-512 four rows are multiplied side by side: they share the activations, and when the
//! integers of a block are summed across lanes, as they must be where its scale ends, the four sums are the lanes of
//! what follows. Many tokens pay for unpacking: there 32 rows are unpacked once, so that a vector holds sixteen rows and nothing is
//! summed across lanes. Four rows are no run of memory that the machine would foresee, so the next ones are asked for by
//! hand; without that the same loops took 1.4 to 3.9 times as long from memory on a Zen 5 core. `portable.rs` is the same in
//! plain loops, AVX2 and NEON those loops with unpacking and products written out.
//!
//! A binary matrix of one scale, such as sign(W − mean W), is `q1_0` with the same d in every block: 1.125 bits a weight, and the
//! scale costs nothing beside the 128 products that it belongs to.
//!
//! Rejected: one row at a time, whose activations are loaded four times as often (`q2_0` 77 µs instead of 53 for 2560 × 2560 in
//! cache, part of which are bounds that are now checked once a row).
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use axes::BlockFormat;
use graph::ops::blocks::Units;

use super::rows::IndexOutOfRange;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::simd::Level;
use super::simd::{Isa, level, multiversion};
use crate::pool::{Pool, Split};

/// Tokens from which on rows are unpacked once for all of them.
#[cfg(target_arch = "x86_64")]
const MANY: usize = 12;
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

    #[inline(always)]
    fn row_bytes(&self) -> usize {
        self.columns / self.format.block() * self.format.block_bytes()
    }

    #[inline(always)]
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
    /// `(N, K)`, as they came.
    x: &'a [f32],
    each: Sizes,
    /// What follows is empty for `f16` and `bf16`. Int8, in the order that the form wants.
    q: &'a [i8],
    scales: &'a [f32],
    sums: &'a [i16],
    begin: &'a [i32],
}

/// Elements that each token has.
#[derive(Clone, Copy)]
struct Sizes {
    q: usize,
    scales: usize,
    sums: usize,
    /// Sums that are begun with, in the forms that have such.
    begin: usize,
}

impl Sizes {
    fn new(format: BlockFormat, columns: usize, form: Form) -> Self {
        if format.block() == 1 {
            return Self { q: 0, scales: 0, sums: 0, begin: 0 };
        }
        let units = Units::new(format, columns);
        let (q, begin) = match form {
            #[cfg(target_arch = "x86_64")]
            Form::Avx512 => {
                (columns / 256 * avx512::arranged(format), columns / 256 * avx512::start(format).0)
            }
            #[cfg(target_arch = "x86_64")]
            Form::Tile if format != BlockFormat::Q4K => (columns, columns / group(format, units)),
            _ => (columns, 0),
        };
        Self { q, scales: columns / units.activations, sums: columns / group(format, units), begin }
    }

    /// Elements of f32 that hold the four lists for `n` tokens.
    fn parts(self, n: usize) -> [usize; 4] {
        let Self { q, scales, sums, begin } = self;
        [q, 4 * scales, 2 * sums, 4 * begin].map(|bytes| (n * bytes).div_ceil(4).next_multiple_of(LINE))
    }
}

/// Which code runs, and so in which order it reads activations.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `portable.rs`, compiled for the instruction set.
    Plain,
    /// Rows side by side, unpacked as they are multiplied.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Rows unpacked once, for many tokens.
    #[cfg(target_arch = "x86_64")]
    Tile,
}

impl Form {
    fn new(format: BlockFormat, columns: usize, n: usize) -> Self {
        // Blocks of 32 activations are rare, and have the plain form alone.
        let whole = columns.is_multiple_of(256) || format.block() == 1;
        match level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 if whole && n >= MANY && format.block() > 1 => Self::Tile,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 if whole => Self::Avx512,
            _ => {
                let _ = (whole, n);
                Self::Plain
            }
        }
    }
}

impl<'a> Activations<'a> {
    #[inline(always)]
    fn q(&self, token: usize) -> &'a [i8] {
        &self.q[token * self.each.q..][..self.each.q]
    }

    #[inline(always)]
    fn scales(&self, token: usize) -> &'a [f32] {
        &self.scales[token * self.each.scales..][..self.each.scales]
    }

    #[inline(always)]
    fn sums(&self, token: usize) -> &'a [i16] {
        &self.sums[token * self.each.sums..][..self.each.sums]
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

/// Elements of scratch memory that [`linear`] needs for `n` tokens, with the instruction set that is in use.
pub fn scratch(format: BlockFormat, columns: usize, n: usize) -> usize {
    let need = |form| Sizes::new(format, columns, form).parts(n).iter().sum::<usize>() + LINE;
    // What was planned for one instruction set runs with any other.
    need(Form::Plain).max(need(Form::new(format, columns, n)))
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
    let form = Form::new(w.format, k, n);
    let acts = quantise(pool, x, &w, form, scratch);
    let per_task = match form {
        #[cfg(target_arch = "x86_64")]
        Form::Tile => avx512::ROWS.min(m),
        _ => premap::cut::block_rows(w.bytes.len(), w.row_bytes(), m),
    };
    let data = Split::new(y, m);
    pool.run(m.div_ceil(per_task), |task| {
        let first = task * per_task;
        let mut out = Out { data: &data, m, first, rows: per_task.min(m - first) };
        match form {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the form is Avx512 only on machines that have what the level stands for.
            Form::Avx512 => unsafe { avx512::rows(&w, &acts, n, &mut out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the form is Tile only on machines that have what the level stands for.
            Form::Tile => unsafe { avx512::tiles(&w, &acts, n, &mut out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level has AVX2 only on machines that have it, and Avx512 is above it.
            Form::Plain if level().has_avx2() => unsafe { avx2::rows(&w, &acts, n, &mut out) },
            #[cfg(target_arch = "aarch64")]
            Form::Plain if level() == Level::Neon => neon::rows(&w, &acts, n, &mut out),
            Form::Plain => portable::rows(&w, &acts, n, &mut out),
        }
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
fn quantise<'a>(
    pool: &Pool,
    x: &'a [f32],
    w: &BlockMatrix<'_>,
    form: Form,
    scratch: &'a mut [f32],
) -> Activations<'a> {
    let (k, n, format) = (w.columns, x.len() / w.columns, w.format);
    let units = Units::new(format, k);
    let each = Sizes::new(format, k, form);
    let mut made = Activations { k, units, x, each, q: &[], scales: &[], sums: &[], begin: &[] };
    if format.block() == 1 {
        return made;
    }
    let start = scratch.as_ptr().align_offset(4 * LINE).min(LINE);
    let parts = each.parts(n);
    let (q, rest) = scratch[start..].split_at_mut(parts[0]);
    let (scales, rest) = rest.split_at_mut(parts[1]);
    let (sums, begin) = rest.split_at_mut(parts[2]);
    // SAFETY: any bits are a value of i8, i16 and i32, whose alignments are no larger than that of f32.
    let (q, sums, begin) =
        unsafe { (q.align_to_mut::<i8>().1, sums.align_to_mut::<i16>().1, begin.align_to_mut::<i32>().1) };
    let (q, scales) = (&mut q[..n * each.q], &mut scales[..n * each.scales]);
    let (sums, begin) = (&mut sums[..n * each.sums], &mut begin[..n * each.begin]);
    let begins = Split::new(begin, each.begin);
    let sizes = [each.q, each.scales, each.sums];
    pool.chunks3(n, (&mut *q, &mut *scales, &mut *sums), sizes, |token, q, scales, sums| {
        let x = &x[token * k..][..k];
        match form {
            Form::Plain => {
                let blocks = x.chunks_exact(units.activations).zip(q.chunks_exact_mut(units.activations));
                blocks.zip(scales).for_each(|((x, q), scale)| *scale = quantise_block(x, q));
                add_up(q, sums);
            }
            #[cfg(target_arch = "x86_64")]
            Form::Avx512 | Form::Tile => {
                // SAFETY: each token is one task, and takes its own part.
                let begin = unsafe { begins.part(token * each.begin, each.begin) };
                let (size, lanes) = (each.q / scales.len(), each.begin / scales.len());
                let groups = each.sums / scales.len();
                for (i, (scale, x)) in scales.iter_mut().zip(x.as_chunks().0).enumerate() {
                    let sums = &mut sums[groups * i..][..groups];
                    let (q, begin) = (&mut q[size * i..][..size], &mut begin[lanes * i..][..lanes]);
                    // SAFETY: the form is Avx512 only on machines that have what the level stands for.
                    unsafe { avx512::quantise(format, x, scale, sums, q, begin, form) };
                }
            }
        }
    });
    let _ = begins;
    (made.q, made.scales, made.sums, made.begin) = (q, scales, sums, begin);
    made
}

/// The sums of as many groups as there is room for.
fn add_up(q: &[i8], sums: &mut [i16]) {
    let group = q.len() / sums.len();
    for (sum, q) in sums.iter_mut().zip(q.chunks_exact(group)) {
        // From 256 · −128 to 256 · 127: an i16.
        *sum = q.iter().map(|q| i32::from(*q)).sum::<i32>() as i16;
    }
}

multiversion! {
    /// Int8 numbers of a block of activations; returns their scale.
    fn quantise_block(x: &[f32], q: &mut [i8]) -> f32 = quantise_block_body
}

#[inline(always)]
fn quantise_block_body<I: Isa>(x: &[f32], q: &mut [i8]) -> f32 {
    // Magnitudes have the order of their bits, and NaN is above all.
    let peak = x.iter().fold(0, |m: u32, x| m.max(x.to_bits() & 0x7fff_ffff));
    let scale = f32::from_bits(peak) / 127.0;
    if scale == 0.0 {
        q.fill(0);
        return scale;
    }
    for (q, x) in q.iter_mut().zip(x) {
        *q = (I::round_even(*x / scale) as i32).clamp(-128, 127) as i8;
    }
    scale
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
