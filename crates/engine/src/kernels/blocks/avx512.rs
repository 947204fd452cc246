//! AVX-512 with VNNI, VBMI and GFNI: four rows side by side, the integers of a block in one or more vectors of 16 sums; many tokens
//! in `tile.rs`. Each format is a function that is not inlined: in one body the registers of all would not do.
//!
//! `vpdpbusd` multiplies unsigned codes, so a code's offset is added to the sums up front: each block begins with
//! −offset · Σ x in one lane ([`start`]). Activations lie in the order in which the format's bytes have theirs ([`arrange`]).
//!
//! The digits of `tq1_0` are never extracted: with b' = 3 b mod 256, the digit is (3 b − b') / 256, so Σ digit · x is
//! (3 Σ b x − Σ b' x) / 256, an exact division, and bytes go into the product as they are.

mod narrow;
mod quantise;
mod tile;
mod wide;

use std::arch::x86_64::*;
use std::marker::PhantomData;

use axes::BlockFormat;

use super::{Activations, BlockMatrix, Form, Out, Sizes};
use narrow::{q1_0, q2_0, q4_0, q8_0};
pub(super) use quantise::quantise;
pub(super) use tile::{ROWS, rows as tiles};
use wide::{six_bit_codes, wide};

const Q4K: u8 = 0;
const Q6K: u8 = 1;
const TQ1_0: u8 = 2;
const TQ2_0: u8 = 3;

/// Bytes of arranged activations for 256 of them.
pub(super) fn arranged(format: BlockFormat) -> usize {
    if format == BlockFormat::Tq1_0 { 320 } else { 256 }
}

/// Sums that the blocks of 256 columns begin with, and what a code is more than its number.
pub(super) fn start(format: BlockFormat) -> (usize, i32) {
    match format {
        BlockFormat::Q8_0 => (64, 128),
        BlockFormat::Q4_0 => (32, 8),
        BlockFormat::Q2_0 | BlockFormat::Tq2_0 => (16, 1),
        // Codes 0 and 2.
        BlockFormat::Q1_0 => (8, 1),
        // Subtracted, of 256 times the sum.
        BlockFormat::Tq1_0 => (16, -256),
        _ => (0, 0),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn load_half(bytes: &[u8], at: usize) -> __m256i {
    let bytes = &bytes[at..][..32];
    // SAFETY: 32 bytes, any alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// One lane of sums for each of four vectors.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn quarters(x: [__m512i; 4]) -> __m512i {
    let low = _mm512_add_epi32(_mm512_unpacklo_epi32(x[0], x[1]), _mm512_unpackhi_epi32(x[0], x[1]));
    let high = _mm512_add_epi32(_mm512_unpacklo_epi32(x[2], x[3]), _mm512_unpackhi_epi32(x[2], x[3]));
    _mm512_add_epi32(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn horizontal(x: [__m512i; 4]) -> __m128i {
    let four = quarters(x);
    let two = _mm256_add_epi32(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64::<1>(four));
    _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256::<1>(two))
}

/// Four partial sums added up, by halves.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn folded(p: __m128) -> f32 {
    let two = _mm_add_ps(p, _mm_movehl_ps(p, p));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}

/// What the row kernels read of a token. The lists are those of [`super::Sizes`] for this many stretches of 256 columns, which
/// [`rows`] has checked: no loop of a kernel checks again, since bounds cost as many instructions as products do.
#[derive(Clone, Copy)]
struct Token<'a> {
    stretches: usize,
    /// How far ahead of the four rows memory is asked for.
    ahead: usize,
    q: *const i8,
    scales: *const f32,
    sums: *const i16,
    begin: *const i32,
    lists: PhantomData<&'a [i8]>,
}

impl Token<'_> {
    /// Vector `i` of the activations.
    ///
    /// # Safety
    /// There are so many.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
    unsafe fn vector(&self, i: usize) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_si512(self.q.add(64 * i).cast()) }
    }

    /// The four vectors of stretch `c`.
    ///
    /// # Safety
    /// There are so many, and no others than four of each stretch.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
    unsafe fn four_vectors(&self, c: usize) -> [__m512i; 4] {
        // SAFETY: the caller's promise.
        unsafe {
            [self.vector(4 * c), self.vector(4 * c + 1), self.vector(4 * c + 2), self.vector(4 * c + 3)]
        }
    }

    /// Vector `i` of the sums that are begun with.
    ///
    /// # Safety
    /// There are so many.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
    unsafe fn begin(&self, i: usize) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_si512(self.begin.add(16 * i).cast()) }
    }

    /// The scale of stretch `c`.
    ///
    /// # Safety
    /// There is such a stretch.
    #[inline]
    unsafe fn scale(&self, c: usize) -> f32 {
        // SAFETY: the caller's promise.
        unsafe { *self.scales.add(c) }
    }
}

/// Tokens whose activations stay in the second-level cache while the rows of a task pass.
const TILE: usize = 32;

/// Four rows times a token; its rows and lists are as long as its stretches ask for.
type Kernel = unsafe fn([*const u8; 4], &Token<'_>) -> __m128;

/// The outputs of a task, of `n` tokens.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
pub(super) fn rows(w: &BlockMatrix<'_>, x: &Activations<'_>, n: usize, out: &mut Out<'_>) {
    let kernel: Kernel = match w.format {
        BlockFormat::F16 => return floats_of_rows::<false>(w, x, n, out),
        BlockFormat::Bf16 => return floats_of_rows::<true>(w, x, n, out),
        BlockFormat::Q8_0 => q8_0,
        BlockFormat::Q4_0 => q4_0,
        BlockFormat::Q1_0 => q1_0,
        BlockFormat::Q2_0 => q2_0,
        BlockFormat::Q4K => wide::<Q4K, 144>,
        BlockFormat::Q6K => wide::<Q6K, 210>,
        BlockFormat::Tq1_0 => wide::<TQ1_0, 54>,
        BlockFormat::Tq2_0 => wide::<TQ2_0, 66>,
    };
    let (size, stretches) = (w.row_bytes(), x.k / 256);
    let bytes = &w.bytes[out.first * size..][..out.rows * size];
    let each = Sizes::new(w.format, x.k, Form::Avx512);
    let lists = [x.q.len(), x.scales.len(), x.sums.len(), x.begin.len()];
    let whole = [each.q, each.scales, each.sums, each.begin].map(|size| n * size);
    assert!(lists == whole && x.k == 256 * stretches && each.scales == stretches);
    let ahead = AHEAD.div_ceil(4 * size) * 4 * size;
    // The rows before may have been another thread's, so nobody has asked for the first ones.
    foresee(bytes.as_ptr(), 0, ahead.min(bytes.len()));
    for first in (0..n).step_by(TILE) {
        for row in (0..out.rows).step_by(4) {
            let count = (out.rows - row).min(4);
            // Rows that a smaller group lacks are its last one again; their sums are dropped.
            let four = [0, 1, 2, 3].map(|r: usize| bytes[(row + r.min(count - 1)) * size..].as_ptr());
            for token in first..n.min(first + TILE) {
                // SAFETY: rows of `size` bytes, which are so many stretches; the lists have `each` for each token.
                let made = unsafe {
                    let t = Token {
                        stretches,
                        ahead,
                        q: x.q.as_ptr().add(token * each.q),
                        scales: x.scales.as_ptr().add(token * each.scales),
                        sums: x.sums.as_ptr().add(token * each.sums),
                        begin: x.begin.as_ptr().add(token * each.begin),
                        lists: PhantomData,
                    };
                    kernel(four, &t)
                };
                let mask = 15 >> (4 - count);
                // SAFETY: the mask keeps the access within the slice.
                unsafe { _mm_mask_storeu_ps(out.row(token)[row..][..count].as_mut_ptr(), mask, made) };
            }
        }
    }
}

/// The outputs of a task in `f16`, or `bf16`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn floats_of_rows<const B: bool>(w: &BlockMatrix<'_>, x: &Activations<'_>, n: usize, out: &mut Out<'_>) {
    for first in (0..n).step_by(TILE) {
        for row in 0..out.rows {
            let bytes = w.row(out.first + row);
            for token in first..n.min(first + TILE) {
                out.row(token)[row] = floats::<B>(bytes, &x.x[token * x.k..][..x.k]);
            }
        }
    }
}

/// 16 numbers of two bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn widen<const B: bool>(b: __m256i) -> __m512 {
    match B {
        true => _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(b))),
        false => _mm512_cvtph_ps(b),
    }
}

/// `f16`, or `bf16`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn floats<const B: bool>(bytes: &[u8], x: &[f32]) -> f32 {
    let mut partials = [_mm512_setzero_ps(); 2];
    let (whole, rest) = x.as_chunks::<32>();
    for (x, b) in whole.iter().zip(bytes.as_chunks::<64>().0) {
        _mm_prefetch::<_MM_HINT_T0>(b.as_ptr().wrapping_add(AHEAD).cast());
        for (i, p) in partials.iter_mut().enumerate() {
            // SAFETY: 16 numbers of each.
            let x = unsafe { _mm512_loadu_ps(x[16 * i..][..16].as_ptr()) };
            *p = _mm512_add_ps(*p, _mm512_mul_ps(widen::<B>(load_half(b, 32 * i)), x));
        }
    }
    let bytes = &bytes[64 * whole.len()..];
    for (i, p) in partials.iter_mut().enumerate() {
        let count = rest.len().saturating_sub(16 * i).min(16);
        if count > 0 {
            let mask = (u32::MAX >> (32 - count)) as u16;
            // SAFETY: the mask keeps both accesses within the slices.
            let (x, b) = unsafe {
                let b = _mm256_maskz_loadu_epi16(mask, bytes[32 * i..][..2 * count].as_ptr().cast());
                (_mm512_maskz_loadu_ps(mask, rest[16 * i..][..count].as_ptr()), b)
            };
            *p = _mm512_mask_add_ps(*p, mask, *p, _mm512_mul_ps(widen::<B>(b), x));
        }
    }
    let sixteen = _mm512_add_ps(partials[0], partials[1]);
    let eight = _mm256_add_ps(_mm512_castps512_ps256(sixteen), _mm512_extractf32x8_ps::<1>(sixteen));
    folded(_mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight)))
}

/// Asks for `size` bytes of memory that will be read in some while. Four rows side by side are no run that the machine would
/// foresee, so they are asked for in the order of memory.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn foresee(start: *const u8, ahead: usize, size: usize) {
    for line in (0..size).step_by(64) {
        // A hint: it may name any address.
        _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(ahead + line).cast());
    }
}

/// Bytes that are asked for ahead, at least; those of four rows where that is more.
const AHEAD: usize = 8 << 10;

/// The matrix of `gf2p8affineqb` that moves bits `from` and `from + 1` of a byte to the bottom and clears the others.
const fn two_bits(from: u32) -> i64 {
    ((1_u64 << (56 + from)) | (1_u64 << (48 + from + 1))) as i64
}

/// Bits 0 and 1 of each byte, 2 and 3, 4 and 5, 6 and 7: moved and masked by one instruction, the product with a matrix of bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn planes_of(codes: __m512i) -> [__m512i; 4] {
    [
        _mm512_and_si512(codes, _mm512_set1_epi8(3)),
        _mm512_gf2p8affine_epi64_epi8::<0>(codes, _mm512_set1_epi64(const { two_bits(2) })),
        _mm512_gf2p8affine_epi64_epi8::<0>(codes, _mm512_set1_epi64(const { two_bits(4) })),
        _mm512_gf2p8affine_epi64_epi8::<0>(codes, _mm512_set1_epi64(const { two_bits(6) })),
    ]
}

/// Two bits of each byte at a time times a vector of activations.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn planes(codes: __m512i, x: [__m512i; 4], sum: __m512i) -> __m512i {
    planes_of(codes).into_iter().zip(x).fold(sum, |sum, (codes, x)| _mm512_dpbusd_epi32(sum, codes, x))
}

/// Four f16, one of each row.
///
/// # Safety
/// Two bytes can be read at each place.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
unsafe fn scales_of_rows(rows: [*const u8; 4], at: usize) -> __m128 {
    let mut bits = 0;
    for r in 0..4 {
        // SAFETY: the caller's promise.
        bits |= u64::from(unsafe { rows[r].add(at).cast::<u16>().read_unaligned() }) << (16 * r);
    }
    _mm_cvtph_ps(_mm_cvtsi64_si128(bits as i64))
}

/// Lanes 4 b + r are partial sum b of row r: the row's sum.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn folded_rows(p: __m512) -> __m128 {
    let two = _mm256_add_ps(_mm512_castps512_ps256(p), _mm512_extractf32x8_ps::<1>(p));
    _mm_add_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps::<1>(two))
}
