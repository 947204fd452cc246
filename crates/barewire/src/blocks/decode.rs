//! Decoding, block by block. These loops are what the numbers of a block are, to the last bit.

use axes::BlockFormat;
use half::{bf16, f16};

/// The f16 at byte `at`.
#[inline(always)]
pub(super) fn scale(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Decodes whole blocks; the lengths belong together.
pub(super) fn rows(format: BlockFormat, bytes: &[u8], out: &mut [f32]) {
    match format {
        BlockFormat::F16 => each::<2, 1>(bytes, out, |b, y| y[0] = f16::from_le_bytes(*b).to_f32()),
        BlockFormat::Bf16 => each::<2, 1>(bytes, out, |b, y| y[0] = bf16::from_le_bytes(*b).to_f32()),
        BlockFormat::Q8_0 => each(bytes, out, q8_0),
        BlockFormat::Q4_0 => each(bytes, out, q4_0),
        BlockFormat::Q4K => each(bytes, out, q4_k),
        BlockFormat::Q6K => each(bytes, out, q6_k),
        BlockFormat::Q1_0 => each(bytes, out, q1_0),
        BlockFormat::Q2_0 => each(bytes, out, q2_0),
        BlockFormat::Tq1_0 => each(bytes, out, tq1_0),
        BlockFormat::Tq2_0 => each(bytes, out, tq2_0),
    }
}

#[inline(always)]
fn each<const B: usize, const N: usize>(
    bytes: &[u8],
    out: &mut [f32],
    one: impl Fn(&[u8; B], &mut [f32; N]),
) {
    for (block, y) in bytes.as_chunks::<B>().0.iter().zip(out.as_chunks_mut::<N>().0) {
        one(block, y);
    }
}

fn q8_0(b: &[u8; 34], y: &mut [f32; 32]) {
    let d = scale(b, 0);
    for j in 0..32 {
        y[j] = f32::from(b[2 + j] as i8) * d;
    }
}

fn q4_0(b: &[u8; 18], y: &mut [f32; 32]) {
    let d = scale(b, 0);
    for j in 0..16 {
        y[j] = (i32::from(b[2 + j] & 15) - 8) as f32 * d;
        y[j + 16] = (i32::from(b[2 + j] >> 4) - 8) as f32 * d;
    }
}

/// The six-bit scale and minimum of group `g` of a `q4_k` block.
pub(super) fn q4_k_scales(b: &[u8], g: usize) -> (u8, u8) {
    let packed = &b[4..16];
    if g < 4 {
        (packed[g] & 63, packed[4 + g] & 63)
    } else {
        let low = packed[4 + g];
        ((low & 15) | ((packed[g - 4] >> 6) << 4), (low >> 4) | ((packed[g] >> 6) << 4))
    }
}

fn q4_k(b: &[u8; 144], y: &mut [f32; 256]) {
    let (d, m) = (scale(b, 0), scale(b, 2));
    for g in 0..8 {
        let (s, z) = q4_k_scales(b, g);
        let (d, m) = (d * f32::from(s), m * f32::from(z));
        for j in 0..32 {
            let q = (b[16 + 32 * (g / 2) + j] >> (4 * (g % 2))) & 15;
            y[32 * g + j] = d * f32::from(q) - m;
        }
    }
}

fn q6_k(b: &[u8; 210], y: &mut [f32; 256]) {
    let d = scale(b, 208);
    for h in 0..2 {
        for p in 0..4 {
            for j in 0..32 {
                let low = (b[64 * h + 32 * (p % 2) + j] >> (4 * (p / 2))) & 15;
                let high = (b[128 + 32 * h + j] >> (2 * p)) & 3;
                let q = i32::from(low | (high << 4)) - 32;
                let s = b[192 + 8 * h + 2 * p + j / 16] as i8;
                y[128 * h + 32 * p + j] = d * f32::from(s) * q as f32;
            }
        }
    }
}

fn q1_0(b: &[u8; 18], y: &mut [f32; 128]) {
    let d = scale(b, 0);
    for j in 0..128 {
        y[j] = if (b[2 + j / 8] >> (j % 8)) & 1 == 1 { d } else { -d };
    }
}

fn q2_0(b: &[u8; 18], y: &mut [f32; 64]) {
    let d = scale(b, 0);
    for j in 0..64 {
        let q = (b[2 + j / 4] >> (2 * (j % 4))) & 3;
        y[j] = (i32::from(q) - 1) as f32 * d;
    }
}

/// Where the digits of the bytes of a `tq1_0` block go: (first byte, bytes, digits of each, first number).
pub(super) const TQ1_0: [(usize, usize, usize, usize); 3] =
    [(0, 32, 5, 0), (32, 16, 5, 160), (48, 4, 4, 240)];

fn tq1_0(b: &[u8; 54], y: &mut [f32; 256]) {
    let d = scale(b, 52);
    for (first, bytes, digits, number) in TQ1_0 {
        for j in 0..bytes {
            let mut rest = b[first + j];
            for n in 0..digits {
                let digit = (u16::from(rest) * 3) >> 8;
                y[number + bytes * n + j] = (i32::from(digit) - 1) as f32 * d;
                rest = rest.wrapping_mul(3);
            }
        }
    }
}

fn tq2_0(b: &[u8; 66], y: &mut [f32; 256]) {
    let d = scale(b, 64);
    for h in 0..2 {
        for p in 0..4 {
            for j in 0..32 {
                let q = (b[32 * h + j] >> (2 * p)) & 3;
                y[128 * h + 32 * p + j] = (i32::from(q) - 1) as f32 * d;
            }
        }
    }
}
