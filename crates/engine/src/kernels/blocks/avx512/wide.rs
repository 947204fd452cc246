//! The formats whose block is 256 numbers, so that a block is one integer a row: `q4_k`, `q6_k`, `tq1_0`, `tq2_0`.

use std::arch::x86_64::*;

use super::{Q4K, Q6K, TQ1_0, Token, foresee, horizontal, planes, scales_of_rows};

/// Four rows.
///
/// # Safety
/// Rows and lists are as long as the token's stretches ask for.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
pub(super) unsafe fn wide<const F: u8, const SIZE: usize>(rows: [*const u8; 4], t: &Token<'_>) -> __m128 {
    let mut partials = [_mm_setzero_ps(); 4];
    let blocks = t.stretches;
    let mut c = 0;
    while c < blocks {
        for (i, p) in partials.iter_mut().enumerate() {
            if c + i >= blocks {
                break;
            }
            foresee(rows[0], t.ahead + 4 * SIZE * (c + i), 4 * SIZE);
            // SAFETY: the caller's promise.
            *p = _mm_add_ps(*p, unsafe { block::<F, SIZE>(rows, t, c + i) });
        }
        c += 4;
    }
    _mm_add_ps(_mm_add_ps(partials[0], partials[2]), _mm_add_ps(partials[1], partials[3]))
}

/// Block `c` of four rows.
///
/// # Safety
/// The rows have such a block of `SIZE` bytes, the token such a stretch.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
unsafe fn block<const F: u8, const SIZE: usize>(rows: [*const u8; 4], t: &Token<'_>, c: usize) -> __m128 {
    let mut sums = [_mm512_setzero_si512(); 4];
    let mut minus = [_mm_setzero_si128(); 4];
    // SAFETY: the caller's promise.
    let b = unsafe {
        [rows[0].add(SIZE * c), rows[1].add(SIZE * c), rows[2].add(SIZE * c), rows[3].add(SIZE * c)]
    };
    // SAFETY: the caller's promise.
    unsafe {
        match F {
            Q6K => {
                let x = t.four_vectors(c);
                let groups = _mm256_loadu_si256(t.sums.add(16 * c).cast());
                for r in 0..4 {
                    sums[r] = q6_k(b[r], x, groups);
                }
            }
            Q4K => {
                let x = t.four_vectors(c);
                let groups = _mm_loadu_si128(t.sums.add(8 * c).cast());
                for r in 0..4 {
                    (sums[r], minus[r]) = q4_k(b[r], x, groups);
                }
            }
            TQ1_0 => {
                let at = 5 * c;
                let x =
                    [t.vector(at), t.vector(at + 1), t.vector(at + 2), t.vector(at + 3), t.vector(at + 4)];
                let subtracted = t.begin(c);
                for r in 0..4 {
                    sums[r] = tq1_0(b[r], x, subtracted);
                }
            }
            _ => {
                let (x, start) = (t.four_vectors(c), t.begin(c));
                for r in 0..4 {
                    sums[r] = planes(_mm512_loadu_si512(b[r].cast()), x, start);
                }
            }
        }
    }
    // SAFETY: the caller's promise.
    let scale = _mm_set1_ps(unsafe { t.scale(c) });
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
unsafe fn q6_k(b: *const u8, x: [__m512i; 4], groups: __m256i) -> __m512i {
    // SAFETY: the caller's promise.
    let scales = unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(b.add(192).cast())) };
    let spread = _mm512_castsi256_si512(scales);
    let mut total = _mm512_setzero_si512();
    for h in 0..2 {
        // SAFETY: the caller's promise.
        let both = unsafe { six_bit_codes(b, h) };
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

/// The codes of half `h` of a block of `q6_k`, 0 to 63.
///
/// # Safety
/// A block can be read at `b`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
pub(super) unsafe fn six_bit_codes(b: *const u8, h: usize) -> [__m512i; 2] {
    let (nibble, six) = (_mm512_set1_epi8(15), _mm512_set1_epi8(63));
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
    [one, _mm512_and_si512(other, six)]
}

/// 16-bit lanes with one number in the first 32 bytes and another in the others.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn shifts(first: i16, second: i16) -> __m512i {
    _mm512_inserti64x4::<1>(_mm512_set1_epi16(first), _mm256_set1_epi16(second))
}

/// Words 4 i to 4 i + 3, each eight times.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
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
