//! What a product is, in plain loops: a stretch of 256 columns is unpacked, multiplied in integers, and scaled.

use axes::BlockFormat;
use half::{bf16, f16};

use super::super::simd::{Isa, multiversion};
use super::{Activations, BlockMatrix, Out};

/// Columns that are unpacked at once.
const STRETCH: usize = 256;
/// Tokens that share an unpacked stretch.
const TOKENS: usize = 32;

/// Up to 256 columns of a row.
struct Stretch {
    codes: [i8; STRETCH],
    /// The scale of each unit.
    d: [f32; 8],
    /// `q4_k`: the scale of the minima.
    m: f32,
    /// Scales and minima within the block, of `q4_k` and `q6_k`.
    s: [i8; 16],
    z: [i8; 8],
}

#[inline(always)]
fn scale(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

impl Stretch {
    #[inline(always)]
    fn unpack(&mut self, format: BlockFormat, bytes: &[u8], unit: usize) {
        let (block, size) = (format.block(), format.block_bytes());
        let at = match format {
            BlockFormat::Q6K | BlockFormat::Tq1_0 | BlockFormat::Tq2_0 => size - 2,
            _ => 0,
        };
        for (i, b) in bytes.chunks_exact(size).enumerate() {
            let units = (block / unit).max(1);
            self.d[i * units..][..units].fill(scale(b, at));
            self.block(format, b, i * block);
        }
    }

    #[inline(always)]
    fn block(&mut self, format: BlockFormat, b: &[u8], from: usize) {
        let codes = &mut self.codes[from..];
        match format {
            BlockFormat::F16 | BlockFormat::Bf16 => {}
            BlockFormat::Q8_0 => {
                for (c, b) in codes[..32].iter_mut().zip(&b[2..34]) {
                    *c = *b as i8;
                }
            }
            BlockFormat::Q4_0 => {
                let (low, high) = codes[..32].split_at_mut(16);
                for ((l, h), b) in low.iter_mut().zip(high).zip(&b[2..18]) {
                    *l = (b & 15) as i8 - 8;
                    *h = (b >> 4) as i8 - 8;
                }
            }
            BlockFormat::Q4K => {
                self.m = scale(b, 2);
                for g in 0..4 {
                    let (s, z, rest) = (b[4 + g], b[8 + g], b[12 + g]);
                    (self.s[g], self.z[g]) = ((s & 63) as i8, (z & 63) as i8);
                    self.s[4 + g] = ((rest & 15) | ((s >> 6) << 4)) as i8;
                    self.z[4 + g] = ((rest >> 4) | ((z >> 6) << 4)) as i8;
                }
                for (c, b) in codes.chunks_exact_mut(64).zip(b[16..144].chunks_exact(32)) {
                    let (low, high) = c.split_at_mut(32);
                    for ((l, h), b) in low.iter_mut().zip(high).zip(b) {
                        (*l, *h) = ((b & 15) as i8, (b >> 4) as i8);
                    }
                }
            }
            BlockFormat::Q6K => {
                for (s, b) in self.s.iter_mut().zip(&b[192..208]) {
                    *s = *b as i8;
                }
                for (h, c) in codes.chunks_exact_mut(128).enumerate() {
                    let (low, high) = (&b[64 * h..][..64], &b[128 + 32 * h..][..32]);
                    for j in 0..32 {
                        let (a, b, h) = (low[j], low[32 + j], high[j]);
                        c[j] = ((a & 15) | ((h & 3) << 4)) as i8 - 32;
                        c[32 + j] = ((b & 15) | (((h >> 2) & 3) << 4)) as i8 - 32;
                        c[64 + j] = ((a >> 4) | (((h >> 4) & 3) << 4)) as i8 - 32;
                        c[96 + j] = ((b >> 4) | ((h >> 6) << 4)) as i8 - 32;
                    }
                }
            }
            BlockFormat::Q1_0 => {
                for (c, b) in codes[..128].chunks_exact_mut(8).zip(&b[2..18]) {
                    for (j, c) in c.iter_mut().enumerate() {
                        *c = 2 * ((b >> j) & 1) as i8 - 1;
                    }
                }
            }
            BlockFormat::Q2_0 => {
                for (c, b) in codes[..64].chunks_exact_mut(4).zip(&b[2..18]) {
                    for (j, c) in c.iter_mut().enumerate() {
                        *c = ((b >> (2 * j)) & 3) as i8 - 1;
                    }
                }
            }
            BlockFormat::Tq1_0 => {
                for (first, bytes, digits, number) in [(0, 32, 5, 0), (32, 16, 5, 160), (48, 4, 4, 240)] {
                    for j in 0..bytes {
                        let mut rest = b[first + j];
                        for n in 0..digits {
                            codes[number + bytes * n + j] = ((u16::from(rest) * 3) >> 8) as i8 - 1;
                            rest = rest.wrapping_mul(3);
                        }
                    }
                }
            }
            BlockFormat::Tq2_0 => {
                for (c, b) in codes.chunks_exact_mut(128).zip(b[..64].chunks_exact(32)) {
                    for p in 0..4 {
                        for (c, b) in c[32 * p..][..32].iter_mut().zip(b) {
                            *c = ((b >> (2 * p)) & 3) as i8 - 1;
                        }
                    }
                }
            }
        }
    }
}

/// Σ q x of a whole number of 16.
#[inline(always)]
fn dot(q: &[i8], x: &[i8]) -> i32 {
    let mut sum = 0;
    for (q, x) in q.as_chunks::<16>().0.iter().zip(x.as_chunks::<16>().0) {
        sum += q.iter().zip(x).map(|(q, x)| i32::from(*q) * i32::from(*x)).sum::<i32>();
    }
    sum
}

/// Partial sums added up: the upper half onto the lower one until one is left.
#[inline(always)]
pub(super) fn folded(partials: &mut [f32]) -> f32 {
    let mut n = partials.len();
    while n > 1 {
        n /= 2;
        for i in 0..n {
            partials[i] += partials[i + n];
        }
    }
    partials[0]
}

multiversion! {
    /// The outputs of a task.
    pub(super) fn rows(w: &BlockMatrix<'_>, x: &Activations<'_>, n: usize, out: &mut Out<'_>) = rows_body
}

#[inline(always)]
fn rows_body<I: Isa>(w: &BlockMatrix<'_>, x: &Activations<'_>, n: usize, out: &mut Out<'_>) {
    for row in 0..out.rows {
        let bytes = w.row(out.first + row);
        match w.format {
            BlockFormat::F16 => floats(|b| f16::from_le_bytes(b).to_f32(), bytes, x, n, row, out),
            BlockFormat::Bf16 => floats(|b| bf16::from_le_bytes(b).to_f32(), bytes, x, n, row, out),
            _ => (0..n).step_by(TOKENS).for_each(|t| integers(w, bytes, x, t..n.min(t + TOKENS), row, out)),
        }
    }
}

#[inline(always)]
fn floats(
    number: impl Fn([u8; 2]) -> f32,
    bytes: &[u8],
    x: &Activations<'_>,
    n: usize,
    row: usize,
    out: &mut Out<'_>,
) {
    for token in 0..n {
        let x = &x.x[token * x.k..][..x.k];
        let mut partials = [0.0; 32];
        for (b, x) in bytes.chunks(64).zip(x.chunks(32)) {
            for ((p, b), x) in partials.iter_mut().zip(b.as_chunks::<2>().0).zip(x) {
                *p += number(*b) * x;
            }
        }
        out.row(token)[row] = folded(&mut partials);
    }
}

/// One row times a few tokens.
#[inline(always)]
fn integers(
    w: &BlockMatrix<'_>,
    bytes: &[u8],
    x: &Activations<'_>,
    tokens: std::ops::Range<usize>,
    row: usize,
    out: &mut Out<'_>,
) {
    let (format, units) = (w.format, x.units);
    let mut sums = [[0.0; 8]; TOKENS];
    let mut stretch = Stretch { codes: [0; STRETCH], d: [0.0; 8], m: 0.0, s: [0; 16], z: [0; 8] };
    let size = STRETCH / format.block() * format.block_bytes();
    for (i, bytes) in bytes.chunks(size).enumerate() {
        stretch.unpack(format, bytes, units.unit);
        let (from, len) = (i * STRETCH, STRETCH.min(x.k - i * STRETCH));
        for (sums, token) in sums.iter_mut().zip(tokens.clone()) {
            let (q, scales) = (&x.q(token)[from..from + len], x.scales(token));
            for u in 0..len / units.unit {
                let at = u * units.unit;
                let (codes, q) = (&stretch.codes[at..at + units.unit], &q[at..at + units.unit]);
                let scale = scales[(from + at) / units.activations];
                let plus = match format {
                    BlockFormat::Q6K => (0..16)
                        .map(|g| i32::from(stretch.s[g]) * dot(&codes[16 * g..][..16], &q[16 * g..][..16]))
                        .sum(),
                    BlockFormat::Q4K => (0..8)
                        .map(|g| i32::from(stretch.s[g]) * dot(&codes[32 * g..][..32], &q[32 * g..][..32]))
                        .sum(),
                    _ => dot(codes, q),
                };
                let mut value = stretch.d[u] * scale * plus as f32;
                if format == BlockFormat::Q4K {
                    let minus: i32 = (0..8)
                        .map(|g| i32::from(stretch.z[g]) * i32::from(x.sums(token)[from / 32 + g]))
                        .sum();
                    value -= stretch.m * scale * minus as f32;
                }
                sums[((from + at) / units.unit) % units.partials] += value;
            }
        }
    }
    for (sums, token) in sums.iter_mut().zip(tokens) {
        out.row(token)[row] = folded(&mut sums[..units.partials]);
    }
}
