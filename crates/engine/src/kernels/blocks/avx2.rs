//! AVX2: the plain form with its unpacking and its products written out.
//!
//! `vpmaddubsw` multiplies |x| with codes that have taken the sign of x: two such products fit 16 bits for every format but
//! `q8_0`, whose −128 has no negative. There, both are widened to 16 bits, so that `vpmaddwd` is exact whatever they are.

use std::arch::x86_64::*;

use axes::BlockFormat;

use super::portable::{Kind, Machine, STRETCH, Stretch, rows_of};
use super::{Activations, BlockMatrix, Out};

pub(super) struct Avx2;

/// The outputs of a task.
#[target_feature(enable = "avx2,fma")]
pub(super) fn rows(w: &BlockMatrix<'_>, x: &Activations<'_>, n: usize, out: &mut Out<'_>) {
    rows_of::<Avx2>(w, x, n, out);
}

/// 32 bytes of a slice.
#[inline(always)]
fn load(b: &[u8], at: usize) -> __m256i {
    let b = &b[at..][..32];
    // SAFETY: 32 bytes, any alignment; run by `rows` alone, where there is AVX2.
    unsafe { _mm256_loadu_si256(b.as_ptr().cast()) }
}

/// 16 bytes of a slice.
#[inline(always)]
fn load_half(b: &[u8], at: usize) -> __m128i {
    let b = &b[at..][..16];
    // SAFETY: 16 bytes, any alignment.
    unsafe { _mm_loadu_si128(b.as_ptr().cast()) }
}

#[inline(always)]
fn store(codes: &mut [i8], at: usize, x: __m256i) {
    let codes = &mut codes[at..][..32];
    // SAFETY: 32 bytes, any alignment; run by `rows` alone, where there is AVX2.
    unsafe { _mm256_storeu_si256(codes.as_mut_ptr().cast(), x) }
}

#[inline(always)]
fn store_half(codes: &mut [i8], at: usize, x: __m128i) {
    let codes = &mut codes[at..][..16];
    // SAFETY: 16 bytes, any alignment.
    unsafe { _mm_storeu_si128(codes.as_mut_ptr().cast(), x) }
}

impl Machine for Avx2 {
    #[inline(always)]
    fn block<K: Kind>(to: &mut Stretch, b: &[u8], from: usize) {
        // SAFETY: run by `rows` alone, where there is AVX2.
        unsafe {
            match K::FORMAT {
                BlockFormat::Q8_0 => store(&mut to.codes, from, load(b, 2)),
                BlockFormat::Q4_0 => {
                    let (b, mask, eight) = (load_half(b, 2), _mm_set1_epi8(15), _mm_set1_epi8(8));
                    store_half(&mut to.codes, from, _mm_sub_epi8(_mm_and_si128(b, mask), eight));
                    let high = _mm_and_si128(_mm_srli_epi16::<4>(b), mask);
                    store_half(&mut to.codes, from + 16, _mm_sub_epi8(high, eight));
                }
                BlockFormat::Q4K => {
                    to.four_bit_scales(b);
                    let mask = _mm256_set1_epi8(15);
                    for p in 0..4 {
                        let b = load(b, 16 + 32 * p);
                        store(&mut to.codes, 64 * p, _mm256_and_si256(b, mask));
                        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(b), mask);
                        store(&mut to.codes, 64 * p + 32, high);
                    }
                }
                BlockFormat::Q6K => {
                    _mm_storeu_si128(to.s.as_mut_ptr().cast(), load_half(b, 192));
                    let (nibble, two) = (_mm256_set1_epi8(15), _mm256_set1_epi8(0x30));
                    let offset = _mm256_set1_epi8(32);
                    for h in 0..2 {
                        let (one, other) = (load(b, 64 * h), load(b, 64 * h + 32));
                        let high = load(b, 128 + 32 * h);
                        let lows = [one, other, _mm256_srli_epi16::<4>(one), _mm256_srli_epi16::<4>(other)];
                        let highs = [
                            _mm256_slli_epi16::<4>(high),
                            _mm256_slli_epi16::<2>(high),
                            high,
                            _mm256_srli_epi16::<2>(high),
                        ];
                        for p in 0..4 {
                            let low = _mm256_and_si256(lows[p], nibble);
                            let six = _mm256_or_si256(low, _mm256_and_si256(highs[p], two));
                            store(&mut to.codes, 128 * h + 32 * p, _mm256_sub_epi8(six, offset));
                        }
                    }
                }
                BlockFormat::Q1_0 => {
                    let bits = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
                    let spread = _mm256_setr_epi64x(
                        0,
                        0x0101_0101_0101_0101,
                        0x0202_0202_0202_0202,
                        0x0303_0303_0303_0303,
                    );
                    let (one, two) = (_mm256_set1_epi8(1), _mm256_set1_epi8(2));
                    for (i, b) in b[2..18].as_chunks::<4>().0.iter().enumerate() {
                        let b = _mm256_shuffle_epi8(_mm256_set1_epi32(i32::from_le_bytes(*b)), spread);
                        let set = _mm256_cmpeq_epi8(_mm256_and_si256(b, bits), bits);
                        let code = _mm256_sub_epi8(_mm256_and_si256(set, two), one);
                        store(&mut to.codes, from + 32 * i, code);
                    }
                }
                BlockFormat::Q2_0 => {
                    let (b, mask, one) = (load_half(b, 2), _mm_set1_epi8(3), _mm_set1_epi8(1));
                    let p0 = _mm_sub_epi8(_mm_and_si128(b, mask), one);
                    let p1 = _mm_sub_epi8(_mm_and_si128(_mm_srli_epi16::<2>(b), mask), one);
                    let p2 = _mm_sub_epi8(_mm_and_si128(_mm_srli_epi16::<4>(b), mask), one);
                    let p3 = _mm_sub_epi8(_mm_and_si128(_mm_srli_epi16::<6>(b), mask), one);
                    let (low, high) = (_mm_unpacklo_epi8(p0, p1), _mm_unpacklo_epi8(p2, p3));
                    store_half(&mut to.codes, from, _mm_unpacklo_epi16(low, high));
                    store_half(&mut to.codes, from + 16, _mm_unpackhi_epi16(low, high));
                    let (low, high) = (_mm_unpackhi_epi8(p0, p1), _mm_unpackhi_epi8(p2, p3));
                    store_half(&mut to.codes, from + 32, _mm_unpacklo_epi16(low, high));
                    store_half(&mut to.codes, from + 48, _mm_unpackhi_epi16(low, high));
                }
                BlockFormat::Tq1_0 => {
                    let (mut wide, mut half) = (load(b, 0), load_half(b, 32));
                    for n in 0..5 {
                        store(&mut to.codes, 32 * n, digit(wide));
                        store_half(
                            &mut to.codes,
                            160 + 16 * n,
                            _mm256_castsi256_si128(digit(_mm256_castsi128_si256(half))),
                        );
                        wide = _mm256_add_epi8(wide, _mm256_add_epi8(wide, wide));
                        half = _mm_add_epi8(half, _mm_add_epi8(half, half));
                    }
                    for j in 0..4 {
                        let mut rest = b[48 + j];
                        for n in 0..4 {
                            to.codes[240 + 4 * n + j] = ((u16::from(rest) * 3) >> 8) as i8 - 1;
                            rest = rest.wrapping_mul(3);
                        }
                    }
                }
                BlockFormat::Tq2_0 => {
                    let (mask, one) = (_mm256_set1_epi8(3), _mm256_set1_epi8(1));
                    for h in 0..2 {
                        let b = load(b, 32 * h);
                        let planes = [
                            b,
                            _mm256_srli_epi16::<2>(b),
                            _mm256_srli_epi16::<4>(b),
                            _mm256_srli_epi16::<6>(b),
                        ];
                        for p in 0..4 {
                            let code = _mm256_sub_epi8(_mm256_and_si256(planes[p], mask), one);
                            store(&mut to.codes, 128 * h + 32 * p, code);
                        }
                    }
                }
                BlockFormat::F16 | BlockFormat::Bf16 => {}
            }
        }
    }

    #[inline(always)]
    fn dots<K: Kind, const N: usize>(q: &[i8; STRETCH], x: &[i8], sums: &mut [i32; 8]) {
        let (q, x) = (q.as_chunks::<N>().0, x.as_chunks::<N>().0);
        // SAFETY: run by `rows` alone, where there is AVX2.
        unsafe {
            let mut units = [_mm256_setzero_si256(); 8];
            for ((unit, q), x) in units.iter_mut().zip(q).zip(x) {
                if K::FORMAT == BlockFormat::Q8_0 {
                    for (q, x) in q.as_chunks::<16>().0.iter().zip(x.as_chunks::<16>().0) {
                        *unit = _mm256_add_epi32(*unit, products(q, x));
                    }
                    continue;
                }
                let (q, x) = (q.as_chunks::<32>().0, x.as_chunks::<32>().0);
                if matches!(K::FORMAT, BlockFormat::Q4_0) {
                    for (q, x) in q.iter().zip(x) {
                        *unit = _mm256_add_epi32(*unit, widened_pairs(pairs(q, x)));
                    }
                    continue;
                }
                // Codes from −1 to 2: eight sums of two products are at most 8 · 2 · 2 · 128.
                let mut narrow = _mm256_setzero_si256();
                for (q, x) in q.iter().zip(x) {
                    narrow = _mm256_add_epi16(narrow, pairs(q, x));
                }
                *unit = widened_pairs(narrow);
            }
            if N == STRETCH {
                sums[0] = total(units[0]);
                return;
            }
            // Lane i of the result is the sum of the lanes of unit i.
            let low = _mm256_hadd_epi32(
                _mm256_hadd_epi32(units[0], units[1]),
                _mm256_hadd_epi32(units[2], units[3]),
            );
            let high = _mm256_hadd_epi32(
                _mm256_hadd_epi32(units[4], units[5]),
                _mm256_hadd_epi32(units[6], units[7]),
            );
            let all = _mm256_add_epi32(
                _mm256_permute2x128_si256::<0x20>(low, high),
                _mm256_permute2x128_si256::<0x31>(low, high),
            );
            _mm256_storeu_si256(sums.as_mut_ptr().cast(), all);
        }
    }

    #[inline(always)]
    fn scaled<const N: usize>(q: &[i8], x: &[i8], s: &[i8; 16]) -> i32 {
        // SAFETY: run by `rows` alone, where there is AVX2.
        unsafe {
            let mut sum = _mm256_setzero_si256();
            for (g, (q, x)) in q.as_chunks::<N>().0.iter().zip(x.as_chunks::<N>().0).enumerate() {
                let mut group = _mm256_setzero_si256();
                for (q, x) in q.as_chunks::<16>().0.iter().zip(x.as_chunks::<16>().0) {
                    group = _mm256_add_epi32(group, products(q, x));
                }
                let s = _mm256_set1_epi32(i32::from(s[g]));
                sum = _mm256_add_epi32(sum, _mm256_mullo_epi32(group, s));
            }
            total(sum)
        }
    }

    #[inline(always)]
    fn floats<const BF16: bool>(partials: &mut [f32; 32], b: &[u8; 64], x: &[f32; 32]) {
        let (b, x, partials) = (b.as_chunks::<16>().0, x.as_chunks::<8>().0, partials.as_chunks_mut::<8>().0);
        for ((p, b), x) in partials.iter_mut().zip(b).zip(x) {
            // SAFETY: 16 bytes, eight numbers, eight sums; run by `rows` alone, where there is AVX2.
            unsafe {
                let w = widened::<BF16>(_mm_loadu_si128(b.as_ptr().cast()));
                let product = _mm256_mul_ps(w, _mm256_loadu_ps(x.as_ptr()));
                _mm256_storeu_ps(p.as_mut_ptr(), _mm256_add_ps(_mm256_loadu_ps(p.as_ptr()), product));
            }
        }
    }
}

/// ⌊3 b / 256⌋ − 1 of each byte.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn digit(b: __m256i) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe {
        let (one, two) = (_mm256_set1_epi8(86), _mm256_set1_epi8(171_u8 as i8));
        let one = _mm256_cmpeq_epi8(_mm256_max_epu8(b, one), b);
        let two = _mm256_cmpeq_epi8(_mm256_max_epu8(b, two), b);
        let count = _mm256_add_epi8(one, two);
        _mm256_sub_epi8(_mm256_set1_epi8(-1), count)
    }
}

/// Sums of two products each.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn products(q: &[i8; 16], x: &[i8; 16]) -> __m256i {
    // SAFETY: 16 bytes each; the caller's promise.
    unsafe {
        let q = _mm256_cvtepi8_epi16(_mm_loadu_si128(q.as_ptr().cast()));
        let x = _mm256_cvtepi8_epi16(_mm_loadu_si128(x.as_ptr().cast()));
        _mm256_madd_epi16(q, x)
    }
}

/// Sums of two products each, in 16 bits; codes from −64 to 63.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn pairs(q: &[i8; 32], x: &[i8; 32]) -> __m256i {
    // SAFETY: 32 bytes each; the caller's promise.
    unsafe {
        let (q, x) = (_mm256_loadu_si256(q.as_ptr().cast()), _mm256_loadu_si256(x.as_ptr().cast()));
        // |−128| is 128 as an unsigned byte.
        _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(q, x))
    }
}

/// Sums of two numbers of 16 bits each.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn widened_pairs(x: __m256i) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe { _mm256_madd_epi16(x, _mm256_set1_epi16(1)) }
}

/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn total(x: __m256i) -> i32 {
    // SAFETY: the caller's promise.
    unsafe {
        let four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
        let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
        _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
    }
}

/// Eight bf16, or f16 as `portable::half` widens them.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn widened<const BF16: bool>(b: __m128i) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe {
        let bits = _mm256_cvtepu16_epi32(b);
        if BF16 {
            return _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits));
        }
        let integer = _mm256_and_si256(bits, _mm256_set1_epi32(0x7fff));
        let magnitude = _mm256_slli_epi32::<13>(integer);
        let sign = _mm256_slli_epi32::<16>(_mm256_and_si256(bits, _mm256_set1_epi32(0x8000)));
        let step = _mm256_set1_ps(1.0 / (1 << 24) as f32);
        let small = _mm256_castps_si256(_mm256_mul_ps(_mm256_cvtepi32_ps(integer), step));
        let normal = _mm256_add_epi32(magnitude, _mm256_set1_epi32(112 << 23));
        let finite =
            _mm256_blendv_epi8(normal, small, _mm256_cmpgt_epi32(_mm256_set1_epi32(0x0400), integer));
        // What is not finite has its own bits below an exponent of ones.
        let above = _mm256_cmpgt_epi32(integer, _mm256_set1_epi32(0x7bff));
        let value = _mm256_or_si256(finite, _mm256_and_si256(above, _mm256_set1_epi32(0x7f80_0000)));
        _mm256_castsi256_ps(_mm256_or_si256(value, sign))
    }
}
