//! AVX-512 with VNNI and VBMI: one row at a time, the integers of a block in one or more vectors of 16 sums.
//!
//! `vpdpbusd` multiplies unsigned codes, so a code's offset is added to the sums up front: each block begins with
//! −offset · Σ x in one lane ([`start`]). Activations lie in the order in which the format's bytes have theirs ([`arrange`]).
//!
//! The digits of `tq1_0` are never extracted: with b' = 3 b mod 256, the digit is (3 b − b') / 256, so Σ digit · x is
//! (3 Σ b x − Σ b' x) / 256, an exact division, and bytes go into the product as they are.

use std::arch::x86_64::*;

use axes::BlockFormat;

use super::{Activations, BlockMatrix, Out};

const Q4K: u8 = 0;
const Q6K: u8 = 1;
const TQ1_0: u8 = 2;
const TQ2_0: u8 = 3;

/// Bytes of arranged activations for 256 of them.
pub(super) fn arranged(format: BlockFormat) -> usize {
    if format == BlockFormat::Tq1_0 { 320 } else { 256 }
}

/// Vectors of sums that the blocks of 256 columns begin with, and what a code is more than its number.
pub(super) fn start(format: BlockFormat) -> (usize, i32) {
    match format {
        BlockFormat::Q8_0 => (4, 128),
        BlockFormat::Q4_0 => (2, 8),
        BlockFormat::Q2_0 | BlockFormat::Tq2_0 => (1, 1),
        // Codes 0 and 2.
        BlockFormat::Q1_0 => (2, 1),
        // Subtracted, of 256 times the sum.
        BlockFormat::Tq1_0 => (1, -256),
        _ => (0, 0),
    }
}

/// Puts 256 activations in the format's order, and the sums that its blocks begin with.
pub(super) fn arrange(format: BlockFormat, q: &[i8], sums: &[i16], to: &mut [i8], begin: &mut [i32]) {
    let chunks = |to: &mut [i8], size: usize, order: &[usize]| {
        for (to, from) in to.chunks_exact_mut(size).zip(order) {
            to.copy_from_slice(&q[from * size..][..size]);
        }
    };
    match format {
        BlockFormat::Q8_0 | BlockFormat::Tq2_0 => chunks(to, 32, &[0, 4, 1, 5, 2, 6, 3, 7]),
        BlockFormat::Q4K => chunks(to, 32, &[0, 2, 1, 3, 4, 6, 5, 7]),
        BlockFormat::Q4_0 => chunks(to, 16, &[0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15]),
        BlockFormat::Q2_0 => {
            for (p, to) in to.chunks_exact_mut(64).enumerate() {
                for (to, q) in to.iter_mut().zip(q.as_chunks::<4>().0) {
                    *to = q[p];
                }
            }
        }
        BlockFormat::Tq1_0 => {
            for (n, to) in to.chunks_exact_mut(64).enumerate() {
                to[..32].copy_from_slice(&q[32 * n..][..32]);
                to[32..48].copy_from_slice(&q[160 + 16 * n..][..16]);
                to[48..].fill(0);
                if n < 4 {
                    to[48..52].copy_from_slice(&q[240 + 4 * n..][..4]);
                }
            }
        }
        _ => to.copy_from_slice(q),
    }
    let (vectors, offset) = start(format);
    begin.fill(0);
    for (i, sum) in sums.iter().enumerate().take(if vectors == 0 { 0 } else { sums.len() }) {
        let at = match format {
            // Vector v has the groups v and v + 4, eight lanes each.
            BlockFormat::Q8_0 => 16 * (i % 4) + 8 * (i / 4),
            BlockFormat::Q4_0 | BlockFormat::Q2_0 => 4 * i,
            _ => 16 * i,
        };
        begin[at] = -offset * i32::from(*sum);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn load(bytes: &[u8], at: usize) -> __m512i {
    let bytes = &bytes[at..][..64];
    // SAFETY: 64 bytes, any alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn load_half(bytes: &[u8], at: usize) -> __m256i {
    let bytes = &bytes[at..][..32];
    // SAFETY: 32 bytes, any alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// Vector `i` of some activations.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn vector(q: &[i8], i: usize) -> __m512i {
    let q = &q[64 * i..][..64];
    // SAFETY: 64 bytes, any alignment.
    unsafe { _mm512_loadu_si512(q.as_ptr().cast()) }
}

/// Vector `i` of some sums.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn begin(sums: &[i32], i: usize) -> __m512i {
    let sums = &sums[16 * i..][..16];
    // SAFETY: 64 bytes, any alignment.
    unsafe { _mm512_loadu_si512(sums.as_ptr().cast()) }
}

#[inline(always)]
fn half_bits(bytes: &[u8], at: usize) -> u64 {
    u64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// Four f16, `step` bytes apart, those from `count` on 0.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn halves(bytes: &[u8], at: usize, step: usize, count: usize) -> __m128 {
    let bytes = &bytes[at..][..step * (count - 1) + 2];
    let mut bits = 0;
    for i in 0..count {
        bits |= half_bits(bytes, i * step) << (16 * i);
    }
    _mm_cvtph_ps(_mm_cvtsi64_si128(bits as i64))
}

/// One lane of sums for each of four vectors.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn quarters(x: [__m512i; 4]) -> __m512i {
    let low = _mm512_add_epi32(_mm512_unpacklo_epi32(x[0], x[1]), _mm512_unpackhi_epi32(x[0], x[1]));
    let high = _mm512_add_epi32(_mm512_unpacklo_epi32(x[2], x[3]), _mm512_unpackhi_epi32(x[2], x[3]));
    _mm512_add_epi32(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn horizontal(x: [__m512i; 4]) -> __m128i {
    let four = quarters(x);
    let two = _mm256_add_epi32(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64::<1>(four));
    _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256::<1>(two))
}

/// Four partial sums added up, by halves.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn folded(p: __m128) -> f32 {
    let two = _mm_add_ps(p, _mm_movehl_ps(p, p));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}

/// What the row kernels read of a token.
struct Token<'a> {
    q: &'a [i8],
    scales: &'a [f32],
    sums: &'a [i16],
    begin: &'a [i32],
}

/// Tokens whose activations stay in the second-level cache while the rows of a task pass.
const TILE: usize = 32;

/// The outputs of a task, of `n` tokens.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
pub(super) fn rows(w: &BlockMatrix<'_>, x: &Activations<'_>, n: usize, out: &mut Out<'_>) {
    for first in (0..n).step_by(TILE) {
        for row in (0..out.rows).step_by(4) {
            let count = (out.rows - row).min(4);
            // Rows that a smaller group lacks are its last one again; their sums are dropped.
            let last = count - 1;
            let at = out.first + row;
            let four = [w.row(at), w.row(at + last.min(1)), w.row(at + last.min(2)), w.row(at + last)];
            for token in first..n.min(first + TILE) {
                let made = of_four(w.format, four, x, token);
                let mask = 15 >> (4 - count);
                // SAFETY: the mask keeps the access within the slice.
                unsafe { _mm_mask_storeu_ps(out.row(token)[row..][..count].as_mut_ptr(), mask, made) };
            }
        }
    }
}

/// Four rows times a token.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn of_four(format: BlockFormat, rows: [&[u8]; 4], x: &Activations<'_>, token: usize) -> __m128 {
    let t = Token { q: x.q(token), scales: x.scales(token), sums: x.sums(token), begin: x.begin(token) };
    let mut each = [0.0; 4];
    match format {
        BlockFormat::F16 => {
            for (y, row) in each.iter_mut().zip(rows) {
                *y = floats::<false>(row, &x.x[token * x.k..][..x.k]);
            }
        }
        BlockFormat::Bf16 => {
            for (y, row) in each.iter_mut().zip(rows) {
                *y = floats::<true>(row, &x.x[token * x.k..][..x.k]);
            }
        }
        BlockFormat::Q8_0 => {
            for (y, row) in each.iter_mut().zip(rows) {
                *y = q8_0(row, &t);
            }
        }
        BlockFormat::Q4_0 => return q4_0(rows, &t),
        BlockFormat::Q1_0 => return q1_0(rows, &t),
        BlockFormat::Q2_0 => return q2_0(rows, &t),
        BlockFormat::Q4K => return wide::<Q4K, 144>(rows, &t),
        BlockFormat::Q6K => return wide::<Q6K, 210>(rows, &t),
        BlockFormat::Tq1_0 => return wide::<TQ1_0, 54>(rows, &t),
        BlockFormat::Tq2_0 => return wide::<TQ2_0, 66>(rows, &t),
    }
    _mm_setr_ps(each[0], each[1], each[2], each[3])
}

/// 16 numbers of two bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn widen<const B: bool>(b: __m256i) -> __m512 {
    match B {
        true => _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(b))),
        false => _mm512_cvtph_ps(b),
    }
}

/// `f16`, or `bf16`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
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

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn q8_0(bytes: &[u8], t: &Token<'_>) -> f32 {
    let mut partials = _mm256_setzero_ps();
    let flip = _mm512_set1_epi8(-128);
    let order = _mm512_setr_epi64(0, 1, 4, 5, 0, 0, 0, 0);
    for (c, b) in bytes.as_chunks::<{ 8 * 34 }>().0.iter().enumerate() {
        foresee(b.as_ptr(), AHEAD, 0, 272);
        let (q, starts) = (&t.q[256 * c..][..256], &t.begin[64 * c..][..64]);
        let mut sums = [flip; 4];
        for (v, sum) in sums.iter_mut().enumerate() {
            let (one, other) = (load_half(b, 34 * v + 2), load_half(b, 34 * (v + 4) + 2));
            let codes = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(one), other);
            *sum = _mm512_dpbusd_epi32(begin(starts, v), _mm512_xor_si512(codes, flip), vector(q, v));
        }
        let four = quarters(sums);
        let both = _mm512_add_epi32(four, _mm512_shuffle_i64x2::<0b10_11_00_01>(four, four));
        let eight = _mm512_castsi512_si256(_mm512_permutexvar_epi64(order, both));
        let d = _mm256_set_m128(halves(b, 136, 34, 4), halves(b, 0, 34, 4));
        let d = _mm256_mul_ps(d, _mm256_set1_ps(t.scales[c]));
        partials = _mm256_add_ps(partials, _mm256_mul_ps(d, _mm256_cvtepi32_ps(eight)));
    }
    folded(_mm_add_ps(_mm256_castps256_ps128(partials), _mm256_extractf128_ps::<1>(partials)))
}

/// The 16 bytes of integers of each of four blocks of 18, out of bytes 0 to 63 and 8 to 71 of them.
const FOUR_BLOCKS: [u8; 64] = {
    let mut index = [0; 64];
    let mut i = 0;
    while i < 64 {
        let byte = 18 * (i / 16) + 2 + i % 16;
        index[i] = if byte < 64 { byte } else { byte - 8 + 64 } as u8;
        i += 1;
    }
    index
};

/// The integers of four blocks of 18 bytes, and their first 64 bytes.
///
/// # Safety
/// 72 bytes can be read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
unsafe fn four_blocks(bytes: *const u8, index: __m512i) -> (__m512i, __m512i) {
    // SAFETY: the caller's promise.
    let (first, last) =
        unsafe { (_mm512_loadu_si512(bytes.cast()), _mm512_loadu_si512(bytes.add(8).cast())) };
    (_mm512_permutex2var_epi8(first, index, last), first)
}

/// The scales of four blocks of 18 bytes of four rows, from their first 64 bytes: lane 4 b + r is block b of row r.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn sixteen_scales(rows: [__m512i; 4]) -> __m512 {
    // Words 0, 9, 18 and 27 of either of two rows.
    const WORDS: [i16; 16] = [0, 32, 0, 32, 9, 41, 9, 41, 18, 50, 18, 50, 27, 59, 27, 59];
    // SAFETY: 32 bytes.
    let words = unsafe { _mm512_castsi256_si512(_mm256_loadu_si256(WORDS.as_ptr().cast())) };
    let one = _mm512_castsi512_si256(_mm512_permutex2var_epi16(rows[0], words, rows[1]));
    let other = _mm512_castsi512_si256(_mm512_permutex2var_epi16(rows[2], words, rows[3]));
    _mm512_cvtph_ps(_mm256_mask_blend_epi32(0b1010_1010, one, other))
}

/// Lanes 4 b + r are partial sum b of row r: the row's sum.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn folded_rows(p: __m512) -> __m128 {
    let two = _mm256_add_ps(_mm512_castps512_ps256(p), _mm512_extractf32x8_ps::<1>(p));
    _mm_add_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps::<1>(two))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn q4_0(rows: [&[u8]; 4], t: &Token<'_>) -> __m128 {
    // Of each half of the groups of a stretch, lane 4 b + r is group b of row r.
    let mut partials = [_mm512_setzero_ps(); 2];
    let (index, mask) = (load(&FOUR_BLOCKS, 0), _mm512_set1_epi8(15));
    let stretches = t.scales.len();
    let rows = starts(rows, 144 * stretches);
    for c in 0..stretches {
        foresee(rows[0], 4 * 144 * stretches, 4 * 144 * c, 4 * 144);
        let (q, begins) = (&t.q[256 * c..][..256], &t.begin[32 * c..][..32]);
        let scale = _mm512_set1_ps(t.scales[c]);
        for (v, partials) in partials.iter_mut().enumerate() {
            let (mut sums, mut firsts) = ([begin(begins, v); 4], [mask; 4]);
            for r in 0..4 {
                // SAFETY: each row has 144 bytes for every stretch (`starts`).
                let (codes, first) = unsafe { four_blocks(rows[r].add(144 * c + 72 * v), index) };
                firsts[r] = first;
                sums[r] = _mm512_dpbusd_epi32(sums[r], _mm512_and_si512(codes, mask), vector(q, 2 * v));
                let high = _mm512_and_si512(_mm512_srli_epi16::<4>(codes), mask);
                sums[r] = _mm512_dpbusd_epi32(sums[r], high, vector(q, 2 * v + 1));
            }
            let d = _mm512_mul_ps(sixteen_scales(firsts), scale);
            *partials = _mm512_add_ps(*partials, _mm512_mul_ps(d, _mm512_cvtepi32_ps(quarters(sums))));
        }
    }
    folded_rows(_mm512_add_ps(partials[0], partials[1]))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn q2_0(rows: [&[u8]; 4], t: &Token<'_>) -> __m128 {
    let mut partials = _mm512_setzero_ps();
    let index = load(&FOUR_BLOCKS, 0);
    let stretches = t.scales.len();
    let rows = starts(rows, 72 * stretches);
    for c in 0..stretches {
        foresee(rows[0], 4 * 72 * stretches, 4 * 72 * c, 4 * 72);
        let (x, start) = (four_vectors(&t.q[256 * c..][..256]), begin(t.begin, c));
        let (mut sums, mut firsts) = ([start; 4], [start; 4]);
        for r in 0..4 {
            // SAFETY: each row has 72 bytes for every stretch (`starts`).
            let (codes, first) = unsafe { four_blocks(rows[r].add(72 * c), index) };
            firsts[r] = first;
            sums[r] = planes(codes, x, start);
        }
        let d = _mm512_mul_ps(sixteen_scales(firsts), _mm512_set1_ps(t.scales[c]));
        partials = _mm512_add_ps(partials, _mm512_mul_ps(d, _mm512_cvtepi32_ps(quarters(sums))));
    }
    folded_rows(partials)
}

/// The four vectors of 256 activations.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn four_vectors(q: &[i8]) -> [__m512i; 4] {
    let q = &q[..256];
    [vector(q, 0), vector(q, 1), vector(q, 2), vector(q, 3)]
}

/// Where rows of at least `size` bytes begin.
#[inline]
fn starts(rows: [&[u8]; 4], size: usize) -> [*const u8; 4] {
    assert!(rows[0].len() >= size && rows[1].len() >= size && rows[2].len() >= size && rows[3].len() >= size);
    [rows[0].as_ptr(), rows[1].as_ptr(), rows[2].as_ptr(), rows[3].as_ptr()]
}

/// Asks for what will be read when as much again has been read as four rows are, or a few times that: `size` bytes, those that
/// follow `at` bytes into it in the order of memory. Four rows side by side are no run that the machine would foresee.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn foresee(start: *const u8, four: usize, at: usize, size: usize) {
    let ahead = AHEAD.div_ceil(four) * four + at;
    for line in (0..size).step_by(64) {
        // A hint: it may name any address.
        _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(ahead + line).cast());
    }
}

/// Bytes that are asked for ahead, at least.
const AHEAD: usize = 16 << 10;

/// Two bits of each byte at a time times a vector of activations.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn planes(codes: __m512i, x: [__m512i; 4], sum: __m512i) -> __m512i {
    let mask = _mm512_set1_epi8(3);
    let sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(codes, mask), x[0]);
    let sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(_mm512_srli_epi16::<2>(codes), mask), x[1]);
    let sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(_mm512_srli_epi16::<4>(codes), mask), x[2]);
    _mm512_dpbusd_epi32(sum, _mm512_and_si512(_mm512_srli_epi16::<6>(codes), mask), x[3])
}

/// Four f16, one of each row.
///
/// # Safety
/// Two bytes can be read at each place.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
unsafe fn scales_of_rows(rows: [*const u8; 4], at: usize) -> __m128 {
    let mut bits = 0;
    for r in 0..4 {
        // SAFETY: the caller's promise.
        bits |= u64::from(unsafe { rows[r].add(at).cast::<u16>().read_unaligned() }) << (16 * r);
    }
    _mm_cvtph_ps(_mm_cvtsi64_si128(bits as i64))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn q1_0(rows: [&[u8]; 4], t: &Token<'_>) -> __m128 {
    let mut partials = [_mm_setzero_ps(); 4];
    let stretches = t.scales.len();
    let rows = starts(rows, 36 * stretches);
    let mut c = 0;
    while c < stretches {
        // Partial sums 0 and 1, then 2 and 3.
        for pair in 0..2 {
            if c + pair >= stretches {
                break;
            }
            let at = c + pair;
            foresee(rows[0], 4 * 36 * stretches, 4 * 36 * at, 4 * 36);
            let (x, scale) = (four_vectors(&t.q[256 * at..][..256]), _mm_set1_ps(t.scales[at]));
            for g in 0..2 {
                let mut sums = [begin(t.begin, 2 * at + g); 4];
                for r in 0..4 {
                    for half in 0..2 {
                        // SAFETY: each row has 36 bytes for every stretch (`starts`).
                        let bits = unsafe {
                            rows[r].add(36 * at + 18 * g + 2 + 8 * half).cast::<u64>().read_unaligned()
                        };
                        let codes = _mm512_maskz_set1_epi8(bits, 2);
                        sums[r] = _mm512_dpbusd_epi32(sums[r], codes, x[2 * g + half]);
                    }
                }
                // SAFETY: as above.
                let d = _mm_mul_ps(unsafe { scales_of_rows(rows, 36 * at + 18 * g) }, scale);
                let p = &mut partials[2 * pair + g];
                *p = _mm_add_ps(*p, _mm_mul_ps(d, _mm_cvtepi32_ps(horizontal(sums))));
            }
        }
        c += 2;
    }
    _mm_add_ps(_mm_add_ps(partials[0], partials[2]), _mm_add_ps(partials[1], partials[3]))
}

/// The formats whose block is 256 numbers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn wide<const F: u8, const SIZE: usize>(rows: [&[u8]; 4], t: &Token<'_>) -> __m128 {
    let mut partials = [_mm_setzero_ps(); 4];
    let blocks = t.scales.len();
    let rows = starts(rows, SIZE * blocks);
    let mut c = 0;
    while c < blocks {
        for (i, p) in partials.iter_mut().enumerate() {
            if c + i >= blocks {
                break;
            }
            foresee(rows[0], 4 * SIZE * blocks, 4 * SIZE * (c + i), 4 * SIZE);
            // SAFETY: each row has that many blocks (`starts`).
            *p = _mm_add_ps(*p, unsafe { block::<F, SIZE>(rows, t, c + i) });
        }
        c += 4;
    }
    _mm_add_ps(_mm_add_ps(partials[0], partials[2]), _mm_add_ps(partials[1], partials[3]))
}

/// Block `c` of four rows.
///
/// # Safety
/// The rows have such a block of `SIZE` bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
unsafe fn block<const F: u8, const SIZE: usize>(rows: [*const u8; 4], t: &Token<'_>, c: usize) -> __m128 {
    let mut sums = [_mm512_setzero_si512(); 4];
    let mut minus = [_mm_setzero_si128(); 4];
    // SAFETY: the caller's promise.
    let b = unsafe {
        [rows[0].add(SIZE * c), rows[1].add(SIZE * c), rows[2].add(SIZE * c), rows[3].add(SIZE * c)]
    };
    // SAFETY: the caller's promise, and slices of the lengths that are read.
    unsafe {
        match F {
            Q6K => {
                let x = four_vectors(&t.q[256 * c..][..256]);
                let groups = _mm256_loadu_si256(t.sums[16 * c..][..16].as_ptr().cast());
                for r in 0..4 {
                    sums[r] = q6_k(b[r], x, groups);
                }
            }
            Q4K => {
                let x = four_vectors(&t.q[256 * c..][..256]);
                let groups = _mm_loadu_si128(t.sums[8 * c..][..8].as_ptr().cast());
                for r in 0..4 {
                    (sums[r], minus[r]) = q4_k(b[r], x, groups);
                }
            }
            TQ1_0 => {
                let q = &t.q[320 * c..][..320];
                let x = [vector(q, 0), vector(q, 1), vector(q, 2), vector(q, 3), vector(q, 4)];
                let subtracted = begin(t.begin, c);
                for r in 0..4 {
                    sums[r] = tq1_0(b[r], x, subtracted);
                }
            }
            _ => {
                let (x, start) = (four_vectors(&t.q[256 * c..][..256]), begin(t.begin, c));
                for r in 0..4 {
                    sums[r] = planes(_mm512_loadu_si512(b[r].cast()), x, start);
                }
            }
        }
    }
    let scale = _mm_set1_ps(t.scales[c]);
    let at = if F == Q4K { 0 } else { SIZE - 2 };
    // SAFETY: the caller's promise.
    let d = _mm_mul_ps(unsafe { scales_of_rows(b, at) }, scale);
    let sums = horizontal(sums);
    let sums = if F == TQ1_0 { _mm_srai_epi32::<8>(sums) } else { sums };
    let plus = _mm_mul_ps(d, _mm_cvtepi32_ps(sums));
    if F != Q4K {
        return plus;
    }
    let minus = _mm_hadd_epi32(_mm_hadd_epi32(minus[0], minus[1]), _mm_hadd_epi32(minus[2], minus[3]));
    // SAFETY: the caller's promise.
    let m = _mm_mul_ps(unsafe { scales_of_rows(b, 2) }, scale);
    _mm_sub_ps(plus, _mm_mul_ps(m, _mm_cvtepi32_ps(minus)))
}

/// Σ over groups of s · Σ q x.
///
/// # Safety
/// A block can be read at `b`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
unsafe fn q6_k(b: *const u8, x: [__m512i; 4], groups: __m256i) -> __m512i {
    let (nibble, six) = (_mm512_set1_epi8(15), _mm512_set1_epi8(63));
    // SAFETY: the caller's promise.
    let scales = unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(b.add(192).cast())) };
    let spread = _mm512_castsi256_si512(scales);
    let mut total = _mm512_setzero_si512();
    for h in 0..2 {
        // SAFETY: the caller's promise.
        let (low, high) = unsafe {
            let high = _mm256_loadu_si256(b.add(128 + 32 * h).cast());
            (_mm512_loadu_si512(b.add(64 * h).cast()), _mm512_broadcast_i64x4(high))
        };
        // The two high bits to bits 4 and 5: of the first 32 bytes and of the others.
        let up = _mm512_sllv_epi16(high, shifts(4, 2));
        let down = _mm512_srlv_epi16(high, shifts(0, 2));
        let one = _mm512_and_si512(_mm512_ternarylogic_epi32::<0xca>(nibble, low, up), six);
        let other = _mm512_ternarylogic_epi32::<0xca>(nibble, _mm512_srli_epi16::<4>(low), down);
        let both = [one, _mm512_and_si512(other, six)];
        for p in 0..2 {
            let i = 2 * h + p;
            // Two products of 63 · 127 fit i16.
            let pairs = _mm512_maddubs_epi16(both[p], x[i]);
            let s = _mm512_permutexvar_epi16(groups_of_eight(i), spread);
            total = _mm512_dpwssd_epi32(total, pairs, s);
        }
    }
    let offset = _mm256_slli_epi32::<5>(_mm256_madd_epi16(scales, groups));
    _mm512_sub_epi32(total, _mm512_zextsi256_si512(offset))
}

/// 16-bit lanes with one number in the first 32 bytes and another in the others.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn shifts(first: i16, second: i16) -> __m512i {
    _mm512_inserti64x4::<1>(_mm512_set1_epi16(first), _mm256_set1_epi16(second))
}

/// Words 4 i to 4 i + 3, each eight times.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn groups_of_eight(i: usize) -> __m512i {
    const INDEX: [[i16; 32]; 4] = {
        let mut index = [[0; 32]; 4];
        let mut i = 0;
        while i < 128 {
            index[i / 32][i % 32] = (i / 8) as i16;
            i += 1;
        }
        index
    };
    // SAFETY: 64 bytes.
    unsafe { _mm512_loadu_si512(INDEX[i].as_ptr().cast()) }
}

/// Σ over groups of s · Σ q x, and of z · Σ x.
///
/// # Safety
/// A block can be read at `b`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
unsafe fn q4_k(b: *const u8, x: [__m512i; 4], groups: __m128i) -> (__m512i, __m128i) {
    // SAFETY: the caller's promise.
    let (s, z, rest) = unsafe {
        let word = b.add(4).cast::<u32>();
        (word.read_unaligned(), word.add(1).read_unaligned(), word.add(2).read_unaligned())
    };
    let scales = _mm_cvtepu8_epi16(_mm_cvtsi64_si128(six_bits(s, rest) as i64));
    let minima = _mm_cvtepu8_epi16(_mm_cvtsi64_si128(six_bits(z, rest >> 4) as i64));
    let mask = _mm512_set1_epi8(15);
    let spread = _mm512_castsi128_si512(scales);
    let mut total = _mm512_setzero_si512();
    for h in 0..2 {
        // SAFETY: the caller's promise.
        let codes = unsafe { _mm512_loadu_si512(b.add(16 + 64 * h).cast()) };
        for p in 0..2 {
            let codes = if p == 0 { codes } else { _mm512_srli_epi16::<4>(codes) };
            let pairs = _mm512_maddubs_epi16(_mm512_and_si512(codes, mask), x[2 * h + p]);
            // Groups 4 h + p and 4 h + p + 2, sixteen words each.
            let first = (4 * h + p) as i16;
            let s = _mm512_permutexvar_epi16(shifts(first, first + 2), spread);
            total = _mm512_dpwssd_epi32(total, pairs, s);
        }
    }
    (total, _mm_madd_epi16(minima, groups))
}

/// Eight numbers of six bits: the low ones of the bytes of `x`, then four bits of `low` below the high two of `x`.
#[inline(always)]
fn six_bits(x: u32, low: u32) -> u64 {
    let high = (low & 0x0f0f_0f0f) | ((x >> 2) & 0x3030_3030);
    u64::from(x & 0x3f3f_3f3f) | (u64::from(high) << 32)
}

/// 256 times Σ q x.
///
/// # Safety
/// A block can be read at `b`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
unsafe fn tq1_0(b: *const u8, x: [__m512i; 5], subtracted: __m512i) -> __m512i {
    // SAFETY: the caller's promise; the mask keeps the access within the block.
    let mut bytes = unsafe { _mm512_maskz_loadu_epi8((1 << 52) - 1, b.cast()) };
    let (mut plus, mut minus) = (_mm512_setzero_si512(), subtracted);
    for x in x {
        plus = _mm512_dpbusd_epi32(plus, bytes, x);
        bytes = _mm512_add_epi8(bytes, _mm512_add_epi8(bytes, bytes));
        minus = _mm512_dpbusd_epi32(minus, bytes, x);
    }
    let three = _mm512_add_epi32(plus, _mm512_slli_epi32::<1>(plus));
    // Divided when all lanes are one.
    _mm512_sub_epi32(three, minus)
}
