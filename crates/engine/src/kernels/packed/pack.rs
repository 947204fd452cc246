//! The ternary quantiser of BitNet b1.58 that writes the compute layout: what a training step multiplies with.
#![allow(unsafe_code)]

use axes::TritLayout;

use super::super::rows::absmean_scale;
use super::super::simd::{Isa, multiversion};
#[cfg(target_arch = "x86_64")]
use super::super::simd::{Level, level};
use crate::pool::Pool;

/// Bytes of a task: some hundred thousand weights.
const TASK_BYTES: usize = 32 << 10;

/// Quantises weights into the compute layout: scale = 1 / max(mean|w|, 1e-5), trit =
/// clamp(round_half_even(w · scale), −1, 1), the arithmetic of [`quantize_weights`](super::super::rows::quantize_weights).
/// `w` is `(rows, columns)`; the scale is returned.
///
/// # Panics
/// Where `bytes` has not the size of the layout.
///
/// ```
/// use engine::{kernels::packed::quantize_weights_packed, pool::Pool};
/// let mut bytes = [0];
/// let scale = quantize_weights_packed(&Pool::single(), &[0.9, -0.1, -0.8], 1, 3, &mut bytes);
/// assert_eq!(scale, 1.0 / 0.6);
/// assert_eq!(bytes, [0b01_00_01_10]); // 1, 0, -1, and the padding 0, from the low bits up
/// ```
pub fn quantize_weights_packed(pool: &Pool, w: &[f32], rows: usize, columns: usize, bytes: &mut [u8]) -> f32 {
    let scale = absmean_scale(w);
    pack_weights(pool, w, rows, columns, scale, bytes);
    scale
}

/// [`quantize_weights_packed`] with a scale that is known.
///
/// # Panics
/// Where the sizes do not fit.
pub fn pack_weights(pool: &Pool, w: &[f32], rows: usize, columns: usize, scale: f32, bytes: &mut [u8]) {
    let layout = TritLayout::Compute;
    assert_eq!(Some(w.len()), rows.checked_mul(columns), "w is (rows, columns)");
    assert_eq!(Some(bytes.len()), layout.bytes(rows, columns), "bytes are those of the compute layout");
    if bytes.is_empty() {
        return;
    }
    let group = TritLayout::GROUP * layout.row_bytes(columns);
    let size = (TASK_BYTES / group).max(1) * group;
    pool.chunks(bytes, size, |task, bytes| {
        let first = task * size / layout.row_bytes(columns);
        for (g, bytes) in bytes.chunks_mut(group).enumerate() {
            let rows = bytes.len() / layout.row_bytes(columns);
            let from = first + g * TritLayout::GROUP;
            pack_group(&w[from * columns..(from + rows) * columns], columns, scale, bytes);
        }
    });
}

fn pack_group(w: &[f32], columns: usize, scale: f32, mut bytes: &mut [u8]) {
    let rows = w.len() / columns;
    for at in (0..columns).step_by(TritLayout::BLOCK) {
        let count = (columns - at).min(TritLayout::BLOCK);
        let len = count.div_ceil(4);
        let (unit, rest) = bytes.split_at_mut(rows * len);
        bytes = rest;
        for (r, out) in unit.chunks_exact_mut(len).enumerate() {
            let w = &w[r * columns + at..][..count];
            #[cfg(target_arch = "x86_64")]
            if level() == Level::Avx512 && count == TritLayout::BLOCK {
                // SAFETY: the level is Avx512 only on machines that have what it stands for.
                unsafe { super::avx512::pack_block(w, scale, out) };
                continue;
            }
            pack_unit(w, scale, out);
        }
    }
}

multiversion! {
    fn pack_unit(w: &[f32], scale: f32, out: &mut [u8]) = pack_unit_body
}

#[inline(always)]
fn pack_unit_body<I: Isa>(w: &[f32], scale: f32, out: &mut [u8]) {
    // Padding is the trit 0.
    let mut codes = [1u8; TritLayout::BLOCK];
    for (code, &w) in codes.iter_mut().zip(w) {
        // Exactly 0.5 rounds to the even 0.
        let v = w * scale;
        *code = 1 + u8::from(v > 0.5) - u8::from(v < -0.5);
    }
    let n = out.len();
    let planes = [&codes[..n], &codes[n..2 * n], &codes[2 * n..3 * n], &codes[3 * n..4 * n]];
    for (j, out) in out.iter_mut().enumerate() {
        *out = planes[0][j] | planes[1][j] << 2 | planes[2][j] << 4 | planes[3][j] << 6;
    }
}
