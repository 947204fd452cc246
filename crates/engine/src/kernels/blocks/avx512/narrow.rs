//! The formats with several blocks in 256 columns: `q8_0`, `q4_0`, `q2_0`, `q1_0`.

use std::arch::x86_64::*;

use super::{AHEAD, Token, folded, folded_rows, foresee, planes, quarters};

/// Four f16, 34 bytes apart.
///
/// # Safety
/// They can be read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
unsafe fn four_halves(b: *const u8) -> __m128 {
    let mut bits = 0;
    for i in 0..4 {
        // SAFETY: the caller's promise.
        bits |= u64::from(unsafe { b.add(34 * i).cast::<u16>().read_unaligned() }) << (16 * i);
    }
    _mm_cvtph_ps(_mm_cvtsi64_si128(bits as i64))
}

/// Four rows of `q8_0`, one after the other.
///
/// # Safety
/// Rows and lists are as long as the token's stretches ask for.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
pub(super) unsafe fn q8_0(rows: [*const u8; 4], t: &Token<'_>) -> __m128 {
    // SAFETY: the caller's promise.
    unsafe {
        _mm_setr_ps(one_q8_0(rows[0], t), one_q8_0(rows[1], t), one_q8_0(rows[2], t), one_q8_0(rows[3], t))
    }
}

/// One row of `q8_0`.
///
/// # Safety
/// Rows and lists are as long as the token's stretches ask for.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
unsafe fn one_q8_0(row: *const u8, t: &Token<'_>) -> f32 {
    let mut partials = _mm256_setzero_ps();
    let flip = _mm512_set1_epi8(-128);
    let order = _mm512_setr_epi64(0, 1, 4, 5, 0, 0, 0, 0);
    for c in 0..t.stretches {
        // SAFETY: the caller's promise.
        unsafe {
            let b = row.add(272 * c);
            foresee(b, AHEAD, 272);
            let mut sums = [flip; 4];
            for (v, sum) in sums.iter_mut().enumerate() {
                let one = _mm512_castsi256_si512(_mm256_loadu_si256(b.add(34 * v + 2).cast()));
                let other = _mm256_loadu_si256(b.add(34 * (v + 4) + 2).cast());
                let codes = _mm512_xor_si512(_mm512_inserti64x4::<1>(one, other), flip);
                *sum = _mm512_dpbusd_epi32(t.begin(4 * c + v), codes, t.vector(4 * c + v));
            }
            let four = quarters(sums);
            let both = _mm512_add_epi32(four, _mm512_shuffle_i64x2::<0b10_11_00_01>(four, four));
            let eight = _mm512_castsi512_si256(_mm512_permutexvar_epi64(order, both));
            let d = _mm256_set_m128(four_halves(b.add(136)), four_halves(b));
            let d = _mm256_mul_ps(d, _mm256_set1_ps(t.scale(c)));
            partials = _mm256_add_ps(partials, _mm256_mul_ps(d, _mm256_cvtepi32_ps(eight)));
        }
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

/// [`FOUR_BLOCKS`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
pub(super) fn four_blocks_index() -> __m512i {
    // SAFETY: 64 bytes.
    unsafe { _mm512_loadu_si512(FOUR_BLOCKS.as_ptr().cast()) }
}

/// The integers of four blocks of 18 bytes, and their first 64 bytes.
///
/// # Safety
/// 72 bytes can be read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
pub(super) unsafe fn four_blocks(bytes: *const u8, index: __m512i) -> (__m512i, __m512i) {
    // SAFETY: the caller's promise.
    let (first, last) =
        unsafe { (_mm512_loadu_si512(bytes.cast()), _mm512_loadu_si512(bytes.add(8).cast())) };
    (_mm512_permutex2var_epi8(first, index, last), first)
}

/// The scales of four blocks of 18 bytes of four rows, from their first 64 bytes: lane 4 b + r is block b of row r.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn sixteen_scales(rows: [__m512i; 4]) -> __m512 {
    // Words 0, 9, 18 and 27 of either of two rows.
    const WORDS: [i16; 16] = [0, 32, 0, 32, 9, 41, 9, 41, 18, 50, 18, 50, 27, 59, 27, 59];
    // SAFETY: 32 bytes.
    let words = unsafe { _mm512_castsi256_si512(_mm256_loadu_si256(WORDS.as_ptr().cast())) };
    let one = _mm512_castsi512_si256(_mm512_permutex2var_epi16(rows[0], words, rows[1]));
    let other = _mm512_castsi512_si256(_mm512_permutex2var_epi16(rows[2], words, rows[3]));
    _mm512_cvtph_ps(_mm256_mask_blend_epi32(0b1010_1010, one, other))
}

/// Four rows of `q4_0`.
///
/// # Safety
/// Rows and lists are as long as the token's stretches ask for.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
pub(super) unsafe fn q4_0(rows: [*const u8; 4], t: &Token<'_>) -> __m128 {
    // Of each half of the groups of a stretch, lane 4 b + r is group b of row r.
    let mut partials = [_mm512_setzero_ps(); 2];
    let (index, mask) = (four_blocks_index(), _mm512_set1_epi8(15));
    for c in 0..t.stretches {
        foresee(rows[0], t.ahead + 4 * 144 * c, 4 * 144);
        // SAFETY: the caller's promise.
        unsafe {
            let scale = _mm512_set1_ps(t.scale(c));
            for (v, partials) in partials.iter_mut().enumerate() {
                let (low, high) = (t.vector(4 * c + 2 * v), t.vector(4 * c + 2 * v + 1));
                let (mut sums, mut firsts) = ([t.begin(2 * c + v); 4], [mask; 4]);
                for r in 0..4 {
                    let (codes, first) = four_blocks(rows[r].add(144 * c + 72 * v), index);
                    firsts[r] = first;
                    sums[r] = _mm512_dpbusd_epi32(sums[r], _mm512_and_si512(codes, mask), low);
                    let codes = _mm512_and_si512(_mm512_srli_epi16::<4>(codes), mask);
                    sums[r] = _mm512_dpbusd_epi32(sums[r], codes, high);
                }
                let d = _mm512_mul_ps(sixteen_scales(firsts), scale);
                *partials = _mm512_add_ps(*partials, _mm512_mul_ps(d, _mm512_cvtepi32_ps(quarters(sums))));
            }
        }
    }
    folded_rows(_mm512_add_ps(partials[0], partials[1]))
}

/// Four rows of `q2_0`.
///
/// # Safety
/// Rows and lists are as long as the token's stretches ask for.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
pub(super) unsafe fn q2_0(rows: [*const u8; 4], t: &Token<'_>) -> __m128 {
    let mut partials = _mm512_setzero_ps();
    let index = four_blocks_index();
    for c in 0..t.stretches {
        foresee(rows[0], t.ahead + 4 * 72 * c, 4 * 72);
        // SAFETY: the caller's promise.
        unsafe {
            let (x, start) = (t.four_vectors(c), t.begin(c));
            let (mut sums, mut firsts) = ([start; 4], [start; 4]);
            for r in 0..4 {
                let (codes, first) = four_blocks(rows[r].add(72 * c), index);
                firsts[r] = first;
                sums[r] = planes(codes, x, start);
            }
            let d = _mm512_mul_ps(sixteen_scales(firsts), _mm512_set1_ps(t.scale(c)));
            partials = _mm512_add_ps(partials, _mm512_mul_ps(d, _mm512_cvtepi32_ps(quarters(sums))));
        }
    }
    folded_rows(partials)
}

/// 32 bytes of each.
///
/// # Safety
/// They can be read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
unsafe fn two_halves(low: *const i8, high: *const i8) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let low = _mm512_castsi256_si512(_mm256_loadu_si256(low.cast()));
        _mm512_inserti64x4::<1>(low, _mm256_loadu_si256(high.cast()))
    }
}

/// Four rows of `q1_0`.
///
/// # Safety
/// Rows and lists are as long as the token's stretches ask for.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
pub(super) unsafe fn q1_0(rows: [*const u8; 4], t: &Token<'_>) -> __m128 {
    let mut partials = _mm512_setzero_ps();
    let (index, stretches) = (four_blocks_index(), t.stretches);
    let mut c = 0;
    while c < stretches {
        // Two stretches, or the one that is left: then the upper halves are zeros, and add zeros.
        let both = c + 1 < stretches;
        foresee(rows[0], t.ahead + 4 * 36 * c, 4 * 72);
        let mut x = [_mm512_setzero_si512(); 8];
        // SAFETY: the caller's promise; the second stretch is read where it is there.
        let start = unsafe {
            for (j, x) in x.iter_mut().enumerate() {
                let low = t.q.add(256 * c + 32 * j);
                *x = if both {
                    two_halves(low, low.add(256))
                } else {
                    _mm512_zextsi256_si512(_mm256_loadu_si256(low.cast()))
                };
            }
            let low = t.begin.add(8 * c);
            if both {
                _mm512_loadu_si512(low.cast())
            } else {
                _mm512_zextsi256_si512(_mm256_loadu_si256(low.cast()))
            }
        };
        let (mut sums, mut firsts) = ([start; 4], [start; 4]);
        for r in 0..4 {
            // SAFETY: each row has 36 bytes for every stretch; the masks keep the loads within them.
            let (codes, first) = unsafe {
                let b = rows[r].add(36 * c);
                if both {
                    four_blocks(b, index)
                } else {
                    let first = _mm512_maskz_loadu_epi8((1 << 36) - 1, b.cast());
                    (_mm512_permutex2var_epi8(first, index, _mm512_setzero_si512()), first)
                }
            };
            firsts[r] = first;
            sums[r] = bits(codes, &x, start);
        }
        // SAFETY: the caller's promise.
        let (one, other) = unsafe { (t.scale(c), if both { t.scale(c + 1) } else { 0.0 }) };
        let (one, other) = (_mm256_set1_ps(one), _mm256_set1_ps(other));
        let scale = _mm512_insertf32x8::<1>(_mm512_castps256_ps512(one), other);
        let d = _mm512_mul_ps(sixteen_scales(firsts), scale);
        partials = _mm512_add_ps(partials, _mm512_mul_ps(d, _mm512_cvtepi32_ps(quarters(sums))));
        c += 2;
    }
    folded_rows(partials)
}

/// Each bit of a byte, counted as 2, times a vector of activations.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn bits(codes: __m512i, x: &[__m512i; 8], start: __m512i) -> __m512i {
    // Bits 0, 2, 4, 6 count 1 and are doubled at last; bits 1, 3, 5, 7 count 2 where they are.
    let (one, two) = (_mm512_set1_epi8(1), _mm512_set1_epi8(2));
    let (mut even, mut odd) = (_mm512_setzero_si512(), start);
    let shifted =
        [codes, _mm512_srli_epi16::<2>(codes), _mm512_srli_epi16::<4>(codes), _mm512_srli_epi16::<6>(codes)];
    for p in 0..4 {
        even = _mm512_dpbusd_epi32(even, _mm512_and_si512(shifted[p], one), x[2 * p]);
        odd = _mm512_dpbusd_epi32(odd, _mm512_and_si512(shifted[p], two), x[2 * p + 1]);
    }
    _mm512_add_epi32(odd, _mm512_slli_epi32::<1>(even))
}
