//! Products of int8 activations with trits, exact in i32: the integer path of BitNet b1.58 and the MatMul-free LM.
//!
//! y = (Σ x_q t) / s_x / s_w. The portable loop is the specification. The AVX2 form feeds `t + 1` (0, 1, 2) as the
//! unsigned operand of `vpmaddubsw`, Σ (t + 1) x, and subtracts Σ x: unlike the sign trick this is exact for
//! x = -128 too. Trits are one i8 each here; packed trits have their own kernels.
#![allow(unsafe_code)]

use super::simd::level;
use crate::pool::Pool;

/// Activation rows of a task.
const ROWS: usize = premap::cut::BYTE_ROWS;
/// Weight rows of a task where there is one activation row.
const OUTPUTS: usize = premap::cut::BYTE_OUTPUTS;

/// acc = Σ over k of x[n, k] * t[m, k]: `x` is `(N, K)`, `trits` is `(M, K)`, `acc` is `(N, M)`; `n` is N.
///
/// Exact for K up to 2^24 (the sums fit an i32), for any i8 in `x` and -1, 0, 1 in `trits`.
pub fn matmul_i32(pool: &Pool, x: &[i8], trits: &[i8], n: usize, acc: &mut [i32]) {
    let Some((k, m)) = sizes(x, trits, n, acc.len()) else {
        acc.fill(0);
        return;
    };
    if n == 1 {
        pool.chunks(acc, OUTPUTS, |task, acc| {
            block(x, &trits[task * OUTPUTS * k..][..acc.len() * k], k, acc);
        });
    } else {
        pool.chunks(acc, ROWS * m, |task, acc| {
            block(&x[task * ROWS * k..][..acc.len() / m * k], trits, k, acc);
        });
    }
}

/// y = acc / s_x / s_w for the sums of [`matmul_i32`]: `scale_x` is `(N)`, `y` is `(N, M)`. `acc` is `(N, M)` scratch.
pub fn matmul(
    pool: &Pool,
    x: &[i8],
    scale_x: &[f32],
    trits: &[i8],
    scale_w: f32,
    acc: &mut [i32],
    y: &mut [f32],
) {
    matmul_i32(pool, x, trits, scale_x.len(), acc);
    rescale(acc, scale_x, scale_w, y);
}

/// y = acc / s_x / s_w: `acc` and `y` are `(N, M)`, `scale_x` is `(N)`.
pub fn rescale(acc: &[i32], scale_x: &[f32], scale_w: f32, y: &mut [f32]) {
    assert_eq!(acc.len(), y.len(), "y has the shape of acc");
    if acc.is_empty() {
        return;
    }
    assert_eq!(acc.len() % scale_x.len(), 0, "one scale for each row");
    rescale_rows(acc, scale_x, scale_w, y);
}

super::simd::multiversion! {
    fn rescale_rows(acc: &[i32], scale_x: &[f32], scale_w: f32, y: &mut [f32]) = rescale_body
}

#[inline(always)]
fn rescale_body<I: super::simd::Isa>(acc: &[i32], scale_x: &[f32], scale_w: f32, y: &mut [f32]) {
    let m = acc.len() / scale_x.len();
    for ((acc, y), &scale_x) in acc.chunks_exact(m).zip(y.chunks_exact_mut(m)).zip(scale_x) {
        for (y, &acc) in y.iter_mut().zip(acc) {
            *y = acc as f32 / scale_x / scale_w;
        }
    }
}

/// y = W x for one token: `x` is `(K)`, `trits` is `(M, K)`, `acc` and `y` are `(M)`.
pub fn gemv(pool: &Pool, x: &[i8], scale_x: f32, trits: &[i8], scale_w: f32, acc: &mut [i32], y: &mut [f32]) {
    matmul(pool, x, &[scale_x], trits, scale_w, acc, y);
}

/// (K, M), or `None` where the sums are empty.
fn sizes(x: &[i8], trits: &[i8], n: usize, outputs: usize) -> Option<(usize, usize)> {
    if n == 0 || x.is_empty() || outputs == 0 {
        return None;
    }
    assert!(x.len().is_multiple_of(n) && outputs.is_multiple_of(n), "x is (N, K), acc is (N, M)");
    let (k, m) = (x.len() / n, outputs / n);
    assert_eq!(trits.len(), m * k, "trits are (M, K)");
    assert!(k <= 1 << 24, "sums over {k} products do not fit an i32");
    Some((k, m))
}

fn block(x: &[i8], trits: &[i8], k: usize, acc: &mut [i32]) {
    #[cfg(target_arch = "x86_64")]
    if level().has_avx2() {
        // SAFETY: the level has AVX2 only on machines that have AVX2.
        return unsafe { avx2::block(x, trits, k, acc) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = level;
    portable(x, trits, k, acc);
}

/// The specification.
fn portable(x: &[i8], trits: &[i8], k: usize, acc: &mut [i32]) {
    let m = trits.len() / k;
    for (x, acc) in x.chunks_exact(k).zip(acc.chunks_exact_mut(m)) {
        for (t, acc) in trits.chunks_exact(k).zip(acc) {
            *acc = x.iter().zip(t).map(|(&x, &t)| i32::from(x) * i32::from(t)).sum();
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    /// Elements of a vector.
    const STEP: usize = 32;
    /// Steps whose pair sums stay in i16: 32 * 2 * 2 * 128 = 16384.
    const STEPS: usize = 32;

    /// `acc` = x tᵀ: two activation rows by four weight rows at a time, so that each load is used often; four weight
    /// rows stay in the first-level cache while all activation rows of the task go by.
    #[target_feature(enable = "avx2")]
    pub(super) fn block(x: &[i8], trits: &[i8], k: usize, acc: &mut [i32]) {
        let (n, m) = (x.len() / k, trits.len() / k);
        assert!(n <= super::ROWS);
        let mut sums = [0; super::ROWS];
        for (sum, x) in sums.iter_mut().zip(x.chunks_exact(k)) {
            *sum = total(&x[..k / STEP * STEP]);
        }
        let mut column = 0;
        while column + 4 <= m {
            let t = [0, 1, 2, 3].map(|c| &trits[(column + c) * k..][..k]);
            columns(x, t, &sums[..n], m, column, acc);
            column += 4;
        }
        while column < m {
            columns(x, [&trits[column * k..][..k]], &sums[..n], m, column, acc);
            column += 1;
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn total(x: &[i8]) -> i32 {
        x.iter().map(|&x| i32::from(x)).sum()
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn columns<const C: usize>(
        x: &[i8],
        t: [&[i8]; C],
        sums: &[i32],
        m: usize,
        column: usize,
        acc: &mut [i32],
    ) {
        let k = t[0].len();
        let mut row = 0;
        while row + 2 <= sums.len() {
            let pair = [&x[row * k..][..k], &x[(row + 1) * k..][..k]];
            let values = tile(pair, t, [sums[row], sums[row + 1]]);
            acc[row * m + column..][..C].copy_from_slice(&values[0]);
            acc[(row + 1) * m + column..][..C].copy_from_slice(&values[1]);
            row += 2;
        }
        if row < sums.len() {
            let values = tile([&x[row * k..][..k]], t, [sums[row]]);
            acc[row * m + column..][..C].copy_from_slice(&values[0]);
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(x: &[i8], at: usize) -> __m256i {
        debug_assert!(at + STEP <= x.len());
        // SAFETY: callers keep `at + STEP` within the slice.
        unsafe { _mm256_loadu_si256(x.as_ptr().add(at).cast()) }
    }

    /// Products of R activation rows with C weight rows; all slices have one length, `sums` are those of the
    /// activations over whole vectors.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn tile<const R: usize, const C: usize>(x: [&[i8]; R], t: [&[i8]; C], sums: [i32; R]) -> [[i32; C]; R] {
        let k = x[0].len();
        assert!(x.iter().chain(&t).all(|row| row.len() == k));
        let whole = k / STEP * STEP;
        let one8 = _mm256_set1_epi8(1);
        let one16 = _mm256_set1_epi16(1);
        let mut wide = [[_mm256_setzero_si256(); C]; R];
        let mut at = 0;
        while at < whole {
            let end = whole.min(at + STEPS * STEP);
            let mut narrow = [[_mm256_setzero_si256(); C]; R];
            while at < end {
                let mut codes = [one8; C];
                for c in 0..C {
                    codes[c] = _mm256_add_epi8(load(t[c], at), one8);
                }
                for r in 0..R {
                    let x = load(x[r], at);
                    for c in 0..C {
                        narrow[r][c] = _mm256_add_epi16(narrow[r][c], _mm256_maddubs_epi16(codes[c], x));
                    }
                }
                at += STEP;
            }
            for r in 0..R {
                for c in 0..C {
                    wide[r][c] = _mm256_add_epi32(wide[r][c], _mm256_madd_epi16(narrow[r][c], one16));
                }
            }
        }
        let mut out = [[0; C]; R];
        for r in 0..R {
            out[r] = horizontal(wide[r]);
            for c in 0..C {
                out[r][c] -= sums[r];
            }
        }
        if whole < k {
            for r in 0..R {
                for c in 0..C {
                    let products = x[r][whole..].iter().zip(&t[c][whole..]);
                    out[r][c] += products.map(|(&x, &t)| i32::from(x) * i32::from(t)).sum::<i32>();
                }
            }
        }
        out
    }

    /// The sum of the lanes of each vector; four at a time share their shuffles.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn horizontal<const C: usize>(x: [__m256i; C]) -> [i32; C] {
        let mut out = [0; C];
        let zero = _mm256_setzero_si256();
        let at = |c: usize| if c < C { x[c] } else { zero };
        for from in (0..C).step_by(4) {
            let low = _mm256_hadd_epi32(at(from), at(from + 1));
            let high = _mm256_hadd_epi32(at(from + 2), at(from + 3));
            let both = _mm256_hadd_epi32(low, high);
            let sums = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256::<1>(both));
            let mut four = [0i32; 4];
            // SAFETY: an unaligned store of 16 bytes into 16 bytes.
            unsafe { _mm_storeu_si128(four.as_mut_ptr().cast(), sums) };
            let len = (C - from).min(4);
            out[from..from + len].copy_from_slice(&four[..len]);
        }
        out
    }
}
