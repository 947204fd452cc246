//! AVX-VNNI: `vpdpbusd` on 256 bits for processors without AVX-512. The frame is that of AVX2; the sums are of 32 bits
//! from the start, so nothing is widened.

use std::arch::x86_64::*;

use super::avx2::{COLUMNS, STORAGE, activations, codes, horizontal, load};
use super::planes::{Shape, Span};
use super::{PackedMatrix, RowAt};

/// Sums of codes times activations over the span, eight lanes for each of R rows.
#[target_feature(enable = "avx2,avxvnni")]
pub(super) fn rows_of<const L: u8, const R: usize>(
    w: &PackedMatrix<'_>,
    shape: &Shape,
    span: Span,
    at: &[RowAt; R],
    x: &[i8],
) -> [__m256i; R] {
    let planes = if L == STORAGE { 5 } else { 4 };
    // Two sums a row: one alone would wait for itself.
    let mut sums = [[_mm256_setzero_si256(); 2]; R];
    for unit in span.from..span.to {
        let bytes: [_; R] = std::array::from_fn(|r| load(w.unit(&at[r], unit, shape)));
        let x = &x[(unit - span.from) * 64 * planes..][..64 * planes];
        for half in 0..2 {
            let mut own = [_mm256_setzero_si256(); super::planes::PLANES];
            for p in 0..planes {
                own[p] = activations(x, 64 * p + 32 * half);
            }
            for r in 0..R {
                let codes = codes::<L>(bytes[r][half]);
                for p in 0..planes {
                    sums[r][p % 2] = _mm256_dpbusd_avx_epi32(sums[r][p % 2], codes[p], own[p]);
                }
            }
        }
    }
    sums.map(|[a, b]| _mm256_add_epi32(a, b))
}

/// Two tokens by four rows.
#[target_feature(enable = "avx2,avxvnni")]
pub(super) fn tile(x: [&[i8]; 2], codes: &[[u8; COLUMNS]; 4]) -> [[i32; 4]; 2] {
    let len = x[0].len();
    assert!(x[1].len() == len && len <= COLUMNS && len.is_multiple_of(32));
    let mut sums = [[_mm256_setzero_si256(); 4]; 2];
    for at in (0..len).step_by(32) {
        // SAFETY: `at + 32` does not leave the rows, whose lengths were checked.
        unsafe {
            let x = [0, 1].map(|t| _mm256_loadu_si256(x[t].as_ptr().add(at).cast()));
            for r in 0..4 {
                let code = _mm256_loadu_si256(codes[r].as_ptr().add(at).cast());
                for t in 0..2 {
                    sums[t][r] = _mm256_dpbusd_avx_epi32(sums[t][r], code, x[t]);
                }
            }
        }
    }
    sums.map(|sums| horizontal(sums))
}
