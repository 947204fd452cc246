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
    let bits = (0..count).fold(0, |bits, i| bits | (half_bits(bytes, at + i * step) << (16 * i)));
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

/// The outputs of a task, of `n` tokens.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
pub(super) fn rows(w: &BlockMatrix<'_>, x: &Activations<'_>, n: usize, out: &mut Out<'_>) {
    for row in 0..out.rows {
        let bytes = w.row(out.first + row);
        for token in 0..n {
            let t =
                Token { q: x.q(token), scales: x.scales(token), sums: x.sums(token), begin: x.begin(token) };
            out.row(token)[row] = match w.format {
                BlockFormat::F16 => floats::<false>(bytes, &x.x[token * x.k..][..x.k]),
                BlockFormat::Bf16 => floats::<true>(bytes, &x.x[token * x.k..][..x.k]),
                BlockFormat::Q8_0 => q8_0(bytes, &t),
                BlockFormat::Q4_0 => q4_0(bytes, &t),
                BlockFormat::Q1_0 => q1_0(bytes, &t),
                BlockFormat::Q2_0 => q2_0(bytes, &t),
                BlockFormat::Q4K => wide::<Q4K, 144>(bytes, &t),
                BlockFormat::Q6K => wide::<Q6K, 210>(bytes, &t),
                BlockFormat::Tq1_0 => wide::<TQ1_0, 54>(bytes, &t),
                BlockFormat::Tq2_0 => wide::<TQ2_0, 66>(bytes, &t),
            };
        }
    }
}

/// `f16`, or `bf16`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn floats<const B: bool>(bytes: &[u8], x: &[f32]) -> f32 {
    let widen = |b: __m256i| match B {
        true => _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(b))),
        false => _mm512_cvtph_ps(b),
    };
    let mut partials = [_mm512_setzero_ps(); 2];
    let (whole, rest) = x.as_chunks::<32>();
    for (x, b) in whole.iter().zip(bytes.as_chunks::<64>().0) {
        for (i, p) in partials.iter_mut().enumerate() {
            // SAFETY: 16 numbers of each.
            let x = unsafe { _mm512_loadu_ps(x[16 * i..][..16].as_ptr()) };
            *p = _mm512_add_ps(*p, _mm512_mul_ps(widen(load_half(b, 32 * i)), x));
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
            *p = _mm512_mask_add_ps(*p, mask, *p, _mm512_mul_ps(widen(b), x));
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
        let (q, starts) = (&t.q[256 * c..][..256], &t.begin[64 * c..][..64]);
        let sums = [0, 1, 2, 3].map(|v| {
            let (one, other) = (34 * v + 2, 34 * (v + 4) + 2);
            let codes =
                _mm512_inserti64x4::<1>(_mm512_castsi256_si512(load_half(b, one)), load_half(b, other));
            _mm512_dpbusd_epi32(begin(starts, v), _mm512_xor_si512(codes, flip), vector(q, v))
        });
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
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn four_blocks(bytes: &[u8], at: usize, index: __m512i) -> (__m512i, __m512i) {
    let first = load(bytes, at);
    (_mm512_permutex2var_epi8(first, index, load(bytes, at + 8)), first)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn q4_0(bytes: &[u8], t: &Token<'_>) -> f32 {
    // Lanes 4 b and 4 b + 1: partial sums b and b + 4; each twice.
    let mut partials = _mm512_setzero_ps();
    let (index, mask) = (load(&FOUR_BLOCKS, 0), _mm512_set1_epi8(15));
    // Scales: words 0, 9, 18 and 27 of the first and of the second four blocks.
    let word = |b: i16| [9 * b, 32 + 9 * b, 9 * b, 32 + 9 * b];
    let words: [i16; 16] = std::array::from_fn(|i| word(i as i16 / 4)[i % 4]);
    // SAFETY: 32 bytes.
    let words = _mm512_castsi256_si512(unsafe { _mm256_loadu_si256(words.as_ptr().cast()) });
    for (c, b) in bytes.as_chunks::<{ 8 * 18 }>().0.iter().enumerate() {
        let (q, starts) = (&t.q[256 * c..][..256], &t.begin[32 * c..][..32]);
        let (one, first) = four_blocks(b, 0, index);
        let (other, second) = four_blocks(b, 72, index);
        let sum = |v: usize, codes: __m512i| {
            let low = _mm512_and_si512(codes, mask);
            let high = _mm512_and_si512(_mm512_srli_epi16::<4>(codes), mask);
            let sum = _mm512_dpbusd_epi32(begin(starts, v), low, vector(q, 2 * v));
            _mm512_dpbusd_epi32(sum, high, vector(q, 2 * v + 1))
        };
        let (one, other) = (sum(0, one), sum(1, other));
        let two = _mm512_add_epi32(_mm512_unpacklo_epi32(one, other), _mm512_unpackhi_epi32(one, other));
        let all = _mm512_add_epi32(two, _mm512_shuffle_epi32::<0b01_00_11_10>(two));
        let d = _mm512_castsi512_si256(_mm512_permutex2var_epi16(first, words, second));
        let d = _mm512_mul_ps(_mm512_cvtph_ps(d), _mm512_set1_ps(t.scales[c]));
        partials = _mm512_add_ps(partials, _mm512_mul_ps(d, _mm512_cvtepi32_ps(all)));
    }
    // Lanes 0, 4, 8, 12 plus lanes 1, 5, 9, 13.
    let sums = _mm512_add_ps(partials, _mm512_permute_ps::<0b10_11_00_01>(partials));
    folded(every_fourth(sums))
}

/// Lanes 0, 4, 8 and 12.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn every_fourth(x: __m512) -> __m128 {
    let order = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    _mm512_castps512_ps128(_mm512_permutexvar_ps(order, x))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn q2_0(bytes: &[u8], t: &Token<'_>) -> f32 {
    // Lanes 4 b to 4 b + 3: partial sum b.
    let mut partials = _mm512_setzero_ps();
    let index = load(&FOUR_BLOCKS, 0);
    let words: [i16; 16] = std::array::from_fn(|i| 9 * (i as i16 / 4));
    // SAFETY: 32 bytes.
    let words = _mm512_castsi256_si512(unsafe { _mm256_loadu_si256(words.as_ptr().cast()) });
    for (c, b) in bytes.as_chunks::<{ 4 * 18 }>().0.iter().enumerate() {
        let (codes, first) = four_blocks(b, 0, index);
        let sum = planes(codes, &t.q[256 * c..][..256], begin(t.begin, c));
        let two = _mm512_add_epi32(sum, _mm512_shuffle_epi32::<0b01_00_11_10>(sum));
        let all = _mm512_add_epi32(two, _mm512_shuffle_epi32::<0b10_11_00_01>(two));
        let d = _mm512_castsi512_si256(_mm512_permutexvar_epi16(words, first));
        let d = _mm512_mul_ps(_mm512_cvtph_ps(d), _mm512_set1_ps(t.scales[c]));
        partials = _mm512_add_ps(partials, _mm512_mul_ps(d, _mm512_cvtepi32_ps(all)));
    }
    folded(every_fourth(partials))
}

/// Two bits of each byte at a time times a vector of activations.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn planes(codes: __m512i, q: &[i8], sum: __m512i) -> __m512i {
    let mask = _mm512_set1_epi8(3);
    let sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(codes, mask), vector(q, 0));
    let plane = _mm512_and_si512(_mm512_srli_epi16::<2>(codes), mask);
    let other = _mm512_dpbusd_epi32(_mm512_setzero_si512(), plane, vector(q, 1));
    let plane = _mm512_and_si512(_mm512_srli_epi16::<4>(codes), mask);
    let sum = _mm512_dpbusd_epi32(sum, plane, vector(q, 2));
    let plane = _mm512_and_si512(_mm512_srli_epi16::<6>(codes), mask);
    _mm512_add_epi32(sum, _mm512_dpbusd_epi32(other, plane, vector(q, 3)))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn q1_0(bytes: &[u8], t: &Token<'_>) -> f32 {
    let mut partials = _mm_setzero_ps();
    let chunks = t.scales.len();
    let mut c = 0;
    while c < chunks {
        let count = (chunks - c).min(2);
        let b = &bytes[36 * c..][..36 * count];
        let mut sums = [_mm512_setzero_si512(); 4];
        for (g, sum) in sums.iter_mut().enumerate().take(2 * count) {
            let (block, q) = (&b[18 * g..][..18], &t.q[256 * c + 128 * g..][..128]);
            *sum = begin(t.begin, 2 * c + g);
            for half in 0..2 {
                let bits = block[2 + 8 * half..].first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
                *sum = _mm512_dpbusd_epi32(*sum, _mm512_maskz_set1_epi8(bits, 2), vector(q, half));
            }
        }
        let all = horizontal(sums);
        let (one, other) = (t.scales[c], if count == 2 { t.scales[c + 1] } else { 0.0 });
        let d = _mm_mul_ps(halves(b, 0, 18, 2 * count), _mm_setr_ps(one, one, other, other));
        partials = _mm_add_ps(partials, _mm_mul_ps(d, _mm_cvtepi32_ps(all)));
        c += count;
    }
    folded(partials)
}

/// The formats whose block is 256 numbers: four blocks at a time.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn wide<const F: u8, const SIZE: usize>(bytes: &[u8], t: &Token<'_>) -> f32 {
    let mut partials = _mm_setzero_ps();
    let blocks = t.scales.len();
    let mut c = 0;
    while c + 4 <= blocks {
        partials = _mm_add_ps(partials, wide_of::<F, SIZE>(&bytes[SIZE * c..][..4 * SIZE], t, c, 4));
        c += 4;
    }
    if c < blocks {
        partials = _mm_add_ps(partials, wide_of::<F, SIZE>(&bytes[SIZE * c..], t, c, blocks - c));
    }
    folded(partials)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c")]
fn wide_of<const F: u8, const SIZE: usize>(bytes: &[u8], t: &Token<'_>, c: usize, count: usize) -> __m128 {
    let mut sums = [_mm512_setzero_si512(); 4];
    let mut minus = [_mm_setzero_si128(); 4];
    for i in 0..count {
        let (b, c) = (&bytes[SIZE * i..][..SIZE], c + i);
        sums[i] = match F {
            Q6K => q6_k(b, &t.q[256 * c..][..256], &t.sums[16 * c..][..16]),
            Q4K => {
                let made = q4_k(b, &t.q[256 * c..][..256], &t.sums[8 * c..][..8]);
                minus[i] = made.1;
                made.0
            }
            TQ1_0 => tq1_0(b, &t.q[320 * c..][..320], begin(t.begin, c)),
            _ => planes(load(b, 0), &t.q[256 * c..][..256], begin(t.begin, c)),
        };
    }
    let mask = 15 >> (4 - count);
    // SAFETY: the mask keeps the access within the slice.
    let scale = unsafe { _mm_maskz_loadu_ps(mask, t.scales[c..][..count].as_ptr()) };
    let at = if F == Q4K { 0 } else { SIZE - 2 };
    let d = _mm_mul_ps(halves(bytes, at, SIZE, count), scale);
    let sums = horizontal(sums);
    let sums = if F == TQ1_0 { _mm_srai_epi32::<8>(sums) } else { sums };
    let plus = _mm_mul_ps(d, _mm_cvtepi32_ps(sums));
    if F != Q4K {
        return plus;
    }
    let minus = _mm_hadd_epi32(_mm_hadd_epi32(minus[0], minus[1]), _mm_hadd_epi32(minus[2], minus[3]));
    let m = _mm_mul_ps(halves(bytes, 2, SIZE, count), scale);
    _mm_sub_ps(plus, _mm_mul_ps(m, _mm_cvtepi32_ps(minus)))
}

/// Σ over groups of s · Σ q x.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn q6_k(b: &[u8], q: &[i8], sums: &[i16]) -> __m512i {
    let Some(b) = b.first_chunk::<210>() else { return _mm512_setzero_si512() };
    let (nibble, six) = (_mm512_set1_epi8(15), _mm512_set1_epi8(63));
    let scales = &b[192..208];
    // SAFETY: 16 bytes; and 32 bytes of sums.
    let (scales, groups) = unsafe {
        let scales = _mm_loadu_si128(scales.as_ptr().cast());
        (_mm256_cvtepi8_epi16(scales), _mm256_loadu_si256(sums[..16].as_ptr().cast()))
    };
    // Eight words for each of four groups.
    let spread = _mm512_castsi256_si512(scales);
    let mut total = _mm512_setzero_si512();
    for h in 0..2 {
        let low = load(b, 64 * h);
        let high = _mm512_broadcast_i64x4(load_half(b, 128 + 32 * h));
        // The two high bits to bits 4 and 5: of the first 32 bytes and of the others.
        let up = _mm512_sllv_epi16(high, shifts(4, 2));
        let down = _mm512_srlv_epi16(high, shifts(0, 2));
        let one = _mm512_and_si512(_mm512_ternarylogic_epi32::<0xca>(nibble, low, up), six);
        let other = _mm512_ternarylogic_epi32::<0xca>(nibble, _mm512_srli_epi16::<4>(low), down);
        let other = _mm512_and_si512(other, six);
        for (p, codes) in [one, other].into_iter().enumerate() {
            let i = 2 * h + p;
            // Two products of 63 · 127 fit i16.
            let pairs = _mm512_maddubs_epi16(codes, vector(q, i));
            let s = _mm512_permutexvar_epi16(groups_of_eight(i), spread);
            total = _mm512_dpwssd_epi32(total, pairs, s);
        }
    }
    let offset = _mm256_slli_epi32::<5>(_mm256_madd_epi16(scales, groups));
    _mm512_sub_epi32(total, _mm512_zextsi256_si512(offset))
}

/// 16-bit lanes with one number in the first 32 bytes and another in the others.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn shifts(first: i16, second: i16) -> __m512i {
    _mm512_inserti64x4::<1>(_mm512_set1_epi16(first), _mm256_set1_epi16(second))
}

/// Words 4 i to 4 i + 3, each eight times.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
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
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn q4_k(b: &[u8], q: &[i8], sums: &[i16]) -> (__m512i, __m128i) {
    let Some(b) = b.first_chunk::<144>() else { return (_mm512_setzero_si512(), _mm_setzero_si128()) };
    let word = |at: usize| u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
    let (s, z, rest) = (word(4), word(8), word(12));
    // Six bits of each byte: of the first four groups, then of the others.
    let pair = |x: u32, low: u32| {
        let high = (low & 0x0f0f_0f0f) | ((x >> 2) & 0x3030_3030);
        u64::from(x & 0x3f3f_3f3f) | (u64::from(high) << 32)
    };
    let wide = |x: u64| _mm_cvtepu8_epi16(_mm_cvtsi64_si128(x as i64));
    let (scales, minima) = (wide(pair(s, rest)), wide(pair(z, rest >> 4)));
    // SAFETY: 16 bytes.
    let groups = unsafe { _mm_loadu_si128(sums[..8].as_ptr().cast()) };
    let mask = _mm512_set1_epi8(15);
    let spread = _mm512_castsi128_si512(scales);
    let mut total = _mm512_setzero_si512();
    for h in 0..2 {
        let codes = load(b, 16 + 64 * h);
        for p in 0..2 {
            let codes = if p == 0 { codes } else { _mm512_srli_epi16::<4>(codes) };
            let pairs = _mm512_maddubs_epi16(_mm512_and_si512(codes, mask), vector(q, 2 * h + p));
            // Groups 4 h + p and 4 h + p + 2, sixteen words each.
            let first = (4 * h + p) as i16;
            let s = _mm512_permutexvar_epi16(shifts(first, first + 2), spread);
            total = _mm512_dpwssd_epi32(total, pairs, s);
        }
    }
    (total, _mm_madd_epi16(minima, groups))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn tq1_0(b: &[u8], q: &[i8], subtracted: __m512i) -> __m512i {
    let b = &b[..54];
    // SAFETY: the mask keeps the access within the slice.
    let mut bytes = unsafe { _mm512_maskz_loadu_epi8((1 << 52) - 1, b.as_ptr().cast()) };
    let (mut plus, mut minus) = (_mm512_setzero_si512(), subtracted);
    for n in 0..5 {
        let x = vector(q, n);
        plus = _mm512_dpbusd_epi32(plus, bytes, x);
        bytes = _mm512_add_epi8(bytes, _mm512_add_epi8(bytes, bytes));
        minus = _mm512_dpbusd_epi32(minus, bytes, x);
    }
    let three = _mm512_add_epi32(plus, _mm512_slli_epi32::<1>(plus));
    // 256 times what it should be; divided when all lanes are one.
    _mm512_sub_epi32(three, minus)
}
