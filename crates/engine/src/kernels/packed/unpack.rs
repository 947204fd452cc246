//! Rows of a packed matrix as f32, for the products of the backward pass.
#![allow(unsafe_code)]

use axes::TritLayout;

#[cfg(target_arch = "x86_64")]
use super::super::simd::Level;
use super::super::simd::level;
use super::planes::PLANES;
use super::{PackedMatrix, portable};

/// Rows `from .. from + R` of `w` as f32, row-major: −factor, 0 or factor for each trit. `out` is `(R, K)`.
///
/// # Panics
/// Where the rows are not all in the matrix or `out` is not whole rows.
///
/// ```
/// use axes::TritLayout;
/// use engine::kernels::packed::{PackedMatrix, unpack_rows};
/// let w = PackedMatrix::new(TritLayout::Interchange, 2, 3, &[0b00_00_00_10, 0b00_01_10_00]).unwrap();
/// let mut row = [9.0; 3];
/// unpack_rows(w, 1, 0.5, &mut row);
/// assert_eq!(row, [0.0, 0.5, -0.5]);
/// ```
pub fn unpack_rows(w: PackedMatrix<'_>, from: usize, factor: f32, out: &mut [f32]) {
    let k = w.columns();
    if k == 0 || out.is_empty() {
        return;
    }
    assert!(out.len().is_multiple_of(k), "the result is whole rows of {k}");
    let rows = out.len() / k;
    assert!(from <= w.rows() && rows <= w.rows() - from, "rows {from}+{rows} of a matrix of {}", w.rows());
    let shape = w.shape();
    // t + 1, and what an illegal code stands for.
    let table = [-factor, 0.0, factor, 0.0];
    for (r, out) in out.chunks_exact_mut(k).enumerate() {
        let at = w.row(from + r, &shape);
        if w.layout() == TritLayout::Bytes {
            let bytes = &w.bytes()[(from + r) * k..][..k];
            out.iter_mut().zip(bytes).for_each(|(out, b)| *out = table[(b.wrapping_add(1) & 3) as usize]);
            continue;
        }
        for (unit, out) in out.chunks_mut(shape.block()).enumerate() {
            let bytes = w.unit(&at, unit, &shape);
            #[cfg(target_arch = "x86_64")]
            if level() == Level::Avx512 && w.layout() != TritLayout::Storage {
                // SAFETY: the level is Avx512 only on machines that have what it stands for.
                unsafe { super::avx512::unpack_unit(w.layout(), bytes, &table, out) };
                continue;
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = level;
            let mut trits = [0; 64 * PLANES];
            portable::decode(w.layout(), bytes, &mut trits[..out.len()]);
            out.iter_mut().zip(&trits).for_each(|(out, t)| *out = table[(*t + 1) as usize & 3]);
        }
    }
}
