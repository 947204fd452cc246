//! WebAssembly with 128-bit vectors: products of int8 are added up in 16 bits, 128 to a lane, and widened to 32 bits in
//! time. Codes 0, 1, 2 as everywhere, and Σ x is subtracted.
//!
//! Not used: `i16x8.relaxed_dot_i8x16_i7x16_s`, half the instructions, which not every engine has yet.

use std::arch::wasm32::*;

use axes::TritLayout;

use super::planes::{Few, PLANES, Shape, Span};
use super::{Out, PackedMatrix, RowAt};

const COMPUTE: u8 = 0;
const INTERCHANGE: u8 = 1;
const STORAGE: u8 = 2;

/// Bytes of a vector.
const WIDTH: usize = 16;
/// Vectors of products that 16 bits hold: two products a lane of at least −256 each, and 2 · 64 · 256 is the magnitude
/// of the smallest i16.
const ROOM: usize = 64;

/// The planes of 16 packed bytes as codes 0, 1, 2; four of them unless the layout is STORAGE.
#[inline(always)]
fn codes<const L: u8>(bytes: v128) -> [v128; PLANES] {
    let zero = i8x16_splat(0);
    if L == STORAGE {
        let (mut rest, mut out) = (bytes, [zero; PLANES]);
        for (place, power) in [(4, 81), (3, 27), (2, 9), (1, 3)] {
            // Subtracted where that does not wrap, twice; what went is the digit.
            let p = u8x16_splat(power);
            let one = u8x16_min(rest, u8x16_sub(rest, p));
            let two = u8x16_min(one, u8x16_sub(one, p));
            // Minus one for each subtraction that did not happen.
            let kept = i8x16_add(i8x16_eq(rest, one), i8x16_eq(one, two));
            out[place] = i8x16_add(kept, i8x16_splat(2));
            rest = two;
        }
        out[0] = rest;
        return out;
    }
    let four = if L == INTERCHANGE {
        // 00 → 01, 01 → 00, 10 → 10: the low bit is flipped where the high one is 0.
        v128_xor(bytes, v128_andnot(u8x16_splat(0x55), u8x16_shr(bytes, 1)))
    } else {
        bytes
    };
    let three = u8x16_splat(3);
    [
        v128_and(four, three),
        v128_and(u8x16_shr(four, 2), three),
        v128_and(u8x16_shr(four, 4), three),
        u8x16_shr(four, 6),
        zero,
    ]
}

/// The 64 bytes of a unit, zeros behind those of a tail.
#[inline(always)]
fn load(bytes: &[u8]) -> [v128; 4] {
    let mut padded = [0; 64];
    let bytes = if bytes.len() < 64 {
        padded[..bytes.len()].copy_from_slice(bytes);
        &padded[..]
    } else {
        &bytes[..64]
    };
    // SAFETY: 64 bytes, any alignment.
    std::array::from_fn(|v| unsafe { v128_load(bytes.as_ptr().add(WIDTH * v).cast()) })
}

/// Adds 16-bit pair sums to 32-bit ones.
#[inline(always)]
fn widened(wide: v128, narrow: v128) -> v128 {
    i32x4_add(wide, i32x4_extadd_pairwise_i16x8(narrow))
}

/// Any number of tokens; see [`super::few`].
pub(super) fn few(w: &PackedMatrix<'_>, shape: &Shape, span: Span, x: &Few<'_>, n: usize, out: &mut Out<'_>) {
    macro_rules! tokens {
        ($layout:ident) => {
            for row in 0..out.rows {
                let at = w.row(out.first + row, shape);
                let mut token = 0;
                while token < n {
                    token += match n - token {
                        1 => row_of::<$layout, 1>(w, shape, span, &at, x, token, row, out),
                        2 | 3 => row_of::<$layout, 2>(w, shape, span, &at, x, token, row, out),
                        _ => row_of::<$layout, 4>(w, shape, span, &at, x, token, row, out),
                    };
                }
            }
        };
    }
    match shape.layout {
        TritLayout::Compute | TritLayout::Bytes => tokens!(COMPUTE),
        TritLayout::Interchange => tokens!(INTERCHANGE),
        TritLayout::Storage => tokens!(STORAGE),
    }
}

/// One row by N tokens from `token`; N.
#[inline(always)]
fn row_of<const L: u8, const N: usize>(
    w: &PackedMatrix<'_>,
    shape: &Shape,
    span: Span,
    at: &RowAt,
    x: &Few<'_>,
    token: usize,
    row: usize,
    out: &mut Out<'_>,
) -> usize {
    let planes = if L == STORAGE { 5 } else { 4 };
    let zero = i8x16_splat(0);
    let (mut narrow, mut wide, mut room) = ([zero; N], [zero; N], ROOM);
    let lines: [_; N] = std::array::from_fn(|t| x.token(token + t));
    for unit in span.from..span.to {
        let bytes = load(w.unit(at, unit, shape));
        if room < 4 * planes {
            for t in 0..N {
                wide[t] = widened(wide[t], narrow[t]);
                narrow[t] = zero;
            }
            room = ROOM;
        }
        room -= 4 * planes;
        for (v, bytes) in bytes.into_iter().enumerate() {
            let codes = codes::<L>(bytes);
            for p in 0..planes {
                for t in 0..N {
                    let line = &lines[t][(unit - span.from) * planes + p];
                    // SAFETY: 16 of the line's 64 bytes, any alignment.
                    let x = unsafe { v128_load(line.as_ptr().add(WIDTH * v).cast()) };
                    let low = i16x8_extmul_low_i8x16(codes[p], x);
                    let high = i16x8_extmul_high_i8x16(codes[p], x);
                    narrow[t] = i16x8_add(i16x8_add(narrow[t], low), high);
                }
            }
        }
    }
    for t in 0..N {
        let sum = widened(wide[t], narrow[t]);
        let sum = i32x4_extract_lane::<0>(sum)
            .wrapping_add(i32x4_extract_lane::<1>(sum))
            .wrapping_add(i32x4_extract_lane::<2>(sum))
            .wrapping_add(i32x4_extract_lane::<3>(sum));
        let to = &mut out.row(token + t)[row];
        let old = if span.from == 0 { 0 } else { *to };
        *to = old.wrapping_add(sum).wrapping_sub(x.sum(token + t));
    }
    N
}
