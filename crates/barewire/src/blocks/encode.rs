//! Encoding of one block of finite numbers.
//!
//! The scale of a block is its largest magnitude over the largest integer, and numbers are multiplied with the reciprocal of
//! the scale before it is rounded to f16: not the best rounding, but the one that the formats' readers write too, so that files
//! compare equal. What has scales of scales is left to `search.rs`.

use axes::BlockFormat;
use half::{bf16, f16};

use super::decode::TQ1_0;
use super::search;

/// Writes one block; `false` where its scale does not fit f16.
pub(super) fn block(format: BlockFormat, x: &[f32], b: &mut [u8]) -> bool {
    match format {
        BlockFormat::F16 => store(b, 0, x[0]),
        BlockFormat::Bf16 => {
            let near = bf16::from_f32(x[0]);
            b.copy_from_slice(&near.to_le_bytes());
            near.is_finite()
        }
        BlockFormat::Q8_0 => q8_0(x, b),
        BlockFormat::Q4_0 => q4_0(x, b),
        BlockFormat::Q4K => search::q4_k(x, b),
        BlockFormat::Q6K => search::q6_k(x, b),
        BlockFormat::Q1_0 => q1_0(x, b),
        BlockFormat::Q2_0 => q2_0(x, b),
        BlockFormat::Tq1_0 => tq1_0(x, b),
        BlockFormat::Tq2_0 => tq2_0(x, b),
    }
}

/// Writes a number as f16; `false` where it becomes infinite.
pub(super) fn store(b: &mut [u8], at: usize, x: f32) -> bool {
    let near = f16::from_f32(x);
    b[at..at + 2].copy_from_slice(&near.to_le_bytes());
    near.is_finite()
}

fn peak(x: &[f32]) -> f32 {
    x.iter().fold(0.0, |m, x| m.max(x.abs()))
}

fn reciprocal(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

fn q8_0(x: &[f32], b: &mut [u8]) -> bool {
    let d = peak(x) / 127.0;
    let scale = reciprocal(d);
    for j in 0..32 {
        b[2 + j] = (x[j] * scale).round() as i8 as u8;
    }
    store(b, 0, d)
}

fn q4_0(x: &[f32], b: &mut [u8]) -> bool {
    // The number of the largest magnitude, with its sign, becomes −8: the first of them.
    let extreme = x.iter().fold(0.0f32, |m, x| if x.abs() > m.abs() { *x } else { m });
    let d = extreme / -8.0;
    let scale = reciprocal(d);
    let code = |x: f32| ((x * scale + 8.5) as i8).clamp(0, 15) as u8;
    for j in 0..16 {
        b[2 + j] = code(x[j]) | (code(x[j + 16]) << 4);
    }
    store(b, 0, d)
}

fn q1_0(x: &[f32], b: &mut [u8]) -> bool {
    let d = x.iter().fold(0.0, |sum, x| sum + x.abs()) / 128.0;
    for (byte, x) in b[2..].iter_mut().zip(x.chunks_exact(8)) {
        *byte = x.iter().enumerate().fold(0, |bits, (j, x)| bits | (u8::from(*x >= 0.0) << j));
    }
    store(b, 0, d)
}

fn q2_0(x: &[f32], b: &mut [u8]) -> bool {
    let d = peak(x);
    let scale = reciprocal(d);
    for (byte, x) in b[2..].iter_mut().zip(x.chunks_exact(4)) {
        *byte = x.iter().rev().fold(0, |bits, x| (bits << 2) | trit(x * scale));
    }
    store(b, 0, d)
}

/// The code, 0 to 2, of a number between −1 and 1.
fn trit(x: f32) -> u8 {
    ((x.round() as i32) + 1).clamp(0, 2) as u8
}

fn tq1_0(x: &[f32], b: &mut [u8]) -> bool {
    let d = peak(x);
    let scale = reciprocal(d);
    for (first, bytes, digits, number) in TQ1_0 {
        for j in 0..bytes {
            let digit = |n: usize| if n < digits { trit(x[number + bytes * n + j] * scale) } else { 0 };
            let value = (0..5).fold(0u16, |value, n| 3 * value + u16::from(digit(n)));
            // The smallest fraction of 256 that is not below value / 243, so its leading digits are these.
            b[first + j] = (value * 256).div_ceil(243) as u8;
        }
    }
    store(b, 52, d)
}

fn tq2_0(x: &[f32], b: &mut [u8]) -> bool {
    let d = peak(x);
    let scale = reciprocal(d);
    for h in 0..2 {
        for j in 0..32 {
            b[32 * h + j] =
                (0..4).rev().fold(0, |bits, p| (bits << 2) | trit(x[128 * h + 32 * p + j] * scale));
        }
    }
    store(b, 64, d)
}
