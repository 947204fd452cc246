//! What a product is, in plain loops: a stretch of 256 columns is unpacked, multiplied in integers, and scaled.
//!
//! Compiled for AVX2, for NEON and for what the target guarantees; formats and sizes are constants of each instance, so that the
//! loops become vectors. It is also the only form for columns that are no multiple of 256.

use axes::BlockFormat;
use graph::ops::blocks::Units;

use super::super::simd::{Isa, multiversion};
use super::{Activations, BlockMatrix, Out};

/// Columns that are unpacked at once.
pub(super) const STRETCH: usize = 256;
/// Tokens that share an unpacked stretch.
const TOKENS: usize = 32;

/// A format as a constant.
pub(super) trait Kind {
    const FORMAT: BlockFormat;
}

/// What an instruction set does in its own way.
pub(super) trait Machine {
    /// The integers of a block, and its scales within.
    fn block<K: Kind>(to: &mut Stretch, b: &[u8], from: usize);
    /// Σ q x of each N numbers of `x`.
    fn dots<K: Kind, const N: usize>(q: &[i8; STRETCH], x: &[i8], sums: &mut [i32; 8]);
    /// Σ over groups of N of s · Σ q x.
    fn scaled<const N: usize>(q: &[i8], x: &[i8], s: &[i8; 16]) -> i32;
    /// Adds 32 products of the numbers of two bytes in `b`.
    fn floats<const BF16: bool>(partials: &mut [f32; 32], b: &[u8; 64], x: &[f32; 32]);
}

/// Plain loops.
pub(super) struct Plain;

impl Machine for Plain {
    #[inline(always)]
    fn block<K: Kind>(to: &mut Stretch, b: &[u8], from: usize) {
        to.block(K::FORMAT, b, from);
    }
    #[inline(always)]
    fn dots<K: Kind, const N: usize>(q: &[i8; STRETCH], x: &[i8], sums: &mut [i32; 8]) {
        for ((sum, q), x) in sums.iter_mut().zip(q.as_chunks::<N>().0).zip(x.as_chunks::<N>().0) {
            *sum = dot(q, x);
        }
    }
    #[inline(always)]
    fn scaled<const N: usize>(q: &[i8], x: &[i8], s: &[i8; 16]) -> i32 {
        let mut sum = 0;
        for ((q, x), s) in q.as_chunks::<N>().0.iter().zip(x.as_chunks::<N>().0).zip(s) {
            sum += i32::from(*s) * dot(q, x);
        }
        sum
    }
    #[inline(always)]
    fn floats<const BF16: bool>(partials: &mut [f32; 32], b: &[u8; 64], x: &[f32; 32]) {
        for i in 0..32 {
            partials[i] += number::<BF16>([b[2 * i], b[2 * i + 1]]) * x[i];
        }
    }
}

/// Σ q x.
#[inline(always)]
fn dot<const N: usize>(q: &[i8; N], x: &[i8; N]) -> i32 {
    let mut sum = 0;
    for i in 0..N {
        sum += i32::from(i16::from(q[i]) * i16::from(x[i]));
    }
    sum
}

/// The f16 or bf16 of two bytes.
#[inline(always)]
fn number<const BF16: bool>(b: [u8; 2]) -> f32 {
    let bits = u16::from_le_bytes(b);
    if BF16 { f32::from_bits(u32::from(bits) << 16) } else { half(bits) }
}

macro_rules! kinds {
    ($($name:ident),*) => { $(pub(super) struct $name; impl Kind for $name { const FORMAT: BlockFormat = BlockFormat::$name; })* };
}
kinds!(Q8_0, Q4_0, Q4K, Q6K, Q1_0, Q2_0, Tq1_0, Tq2_0);

/// Up to 256 columns of a row.
pub(super) struct Stretch {
    pub(super) codes: [i8; STRETCH],
    /// The scale of each unit.
    pub(super) d: [f32; 8],
    /// `q4_k`: the scale of the minima.
    pub(super) m: f32,
    /// Scales and minima within the block, of `q4_k` and `q6_k`.
    pub(super) s: [i8; 16],
    pub(super) z: [i8; 8],
}

/// An f16 without branches, and without numbers so small that a processor slows down.
#[inline(always)]
fn half(bits: u16) -> f32 {
    let integer = u32::from(bits & 0x7fff);
    let magnitude = integer << 13;
    // Below 2⁻¹⁴ an f16 counts steps of 2⁻²⁴; above, the exponent of f32 counts from 112 more.
    let small = (integer as i32 as f32 * 2f32.powi(-24)).to_bits();
    let normal = magnitude + (112 << 23);
    let finite = if integer < 0x0400 { small } else { normal };
    let value = if integer < 0x7c00 { finite } else { magnitude | 0x7f80_0000 };
    f32::from_bits(value | (u32::from(bits & 0x8000) << 16))
}

#[inline(always)]
fn scale(bytes: &[u8], at: usize) -> f32 {
    half(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

impl Stretch {
    pub(super) fn new() -> Self {
        Self { codes: [0; STRETCH], d: [0.0; 8], m: 0.0, s: [0; 16], z: [0; 8] }
    }

    #[inline(always)]
    fn unpack<K: Kind, M: Machine, const UNIT: usize>(&mut self, bytes: &[u8]) {
        let (block, size) = (K::FORMAT.block(), K::FORMAT.block_bytes());
        let at = match K::FORMAT {
            BlockFormat::Q6K | BlockFormat::Tq1_0 | BlockFormat::Tq2_0 => size - 2,
            _ => 0,
        };
        let mut bits = [0; 8];
        for (i, b) in bytes.chunks_exact(size).enumerate() {
            let units = (block / UNIT).max(1);
            bits[i * units..][..units].fill(u16::from_le_bytes([b[at], b[at + 1]]));
            M::block::<K>(self, b, i * block);
        }
        for u in 0..STRETCH / UNIT {
            self.d[u] = half(bits[u]);
        }
    }

    /// Scale and minima of a `q4_k` block, and of its groups.
    #[inline(always)]
    pub(super) fn four_bit_scales(&mut self, b: &[u8]) {
        self.m = scale(b, 2);
        for g in 0..4 {
            let (s, z, rest) = (b[4 + g], b[8 + g], b[12 + g]);
            (self.s[g], self.z[g]) = ((s & 63) as i8, (z & 63) as i8);
            self.s[4 + g] = ((rest & 15) | ((s >> 6) << 4)) as i8;
            self.z[4 + g] = ((rest >> 4) | ((z >> 6) << 4)) as i8;
        }
    }

    #[inline(always)]
    pub(super) fn block(&mut self, format: BlockFormat, b: &[u8], from: usize) {
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
                self.four_bit_scales(b);
                let codes = &mut self.codes[from..];
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
    rows_of::<Plain>(w, x, n, out);
}

#[inline(always)]
pub(super) fn rows_of<M: Machine>(w: &BlockMatrix<'_>, x: &Activations<'_>, n: usize, out: &mut Out<'_>) {
    match w.format {
        BlockFormat::F16 => floats::<M, false>(w, x, n, out),
        BlockFormat::Bf16 => floats::<M, true>(w, x, n, out),
        BlockFormat::Q8_0 => integers::<Q8_0, M, 32>(w, x, n, out),
        BlockFormat::Q4_0 => integers::<Q4_0, M, 32>(w, x, n, out),
        BlockFormat::Q4K => integers::<Q4K, M, 256>(w, x, n, out),
        BlockFormat::Q6K => integers::<Q6K, M, 256>(w, x, n, out),
        BlockFormat::Tq1_0 => integers::<Tq1_0, M, 256>(w, x, n, out),
        BlockFormat::Tq2_0 => integers::<Tq2_0, M, 256>(w, x, n, out),
        BlockFormat::Q1_0 if x.units.unit == 128 => integers::<Q1_0, M, 128>(w, x, n, out),
        BlockFormat::Q1_0 => integers::<Q1_0, M, 32>(w, x, n, out),
        BlockFormat::Q2_0 if x.units.unit == 64 => integers::<Q2_0, M, 64>(w, x, n, out),
        BlockFormat::Q2_0 => integers::<Q2_0, M, 32>(w, x, n, out),
    }
}

#[inline(always)]
fn floats<M: Machine, const BF16: bool>(
    w: &BlockMatrix<'_>,
    x: &Activations<'_>,
    n: usize,
    out: &mut Out<'_>,
) {
    for row in 0..out.rows {
        let bytes = w.row(out.first + row);
        for token in 0..n {
            let x = &x.x[token * x.k..][..x.k];
            let mut partials = [0.0; 32];
            let ((whole, rest), (b, tail)) = (x.as_chunks::<32>(), bytes.as_chunks::<64>());
            for (b, x) in b.iter().zip(whole) {
                M::floats::<BF16>(&mut partials, b, x);
            }
            for ((p, b), x) in partials.iter_mut().zip(tail.as_chunks::<2>().0).zip(rest) {
                *p += number::<BF16>(*b) * x;
            }
            out.row(token)[row] = folded(&mut partials);
        }
    }
}

/// The rows of a task times all tokens.
#[inline(always)]
fn integers<K: Kind, M: Machine, const UNIT: usize>(
    w: &BlockMatrix<'_>,
    x: &Activations<'_>,
    n: usize,
    out: &mut Out<'_>,
) {
    let partials = Units::new(K::FORMAT, STRETCH).partials;
    let size = STRETCH / K::FORMAT.block() * K::FORMAT.block_bytes();
    let mut stretch = Stretch::new();
    for row in 0..out.rows {
        let bytes = w.row(out.first + row);
        for first in (0..n).step_by(TOKENS) {
            let tokens = first..n.min(first + TOKENS);
            let mut sums = [[0.0; 8]; TOKENS];
            for (i, bytes) in bytes.chunks(size).enumerate() {
                stretch.unpack::<K, M, UNIT>(bytes);
                let (from, len) = (i * STRETCH, STRETCH.min(x.k - i * STRETCH));
                for (sums, token) in sums.iter_mut().zip(tokens.clone()) {
                    let (q, scales) = (&x.q(token)[from..from + len], x.scales(token));
                    // Integers of all units, then f32.
                    let (mut plus, mut scale) = ([0; 8], [0.0; 8]);
                    match K::FORMAT {
                        BlockFormat::Q6K => plus[0] = M::scaled::<16>(&stretch.codes, q, &stretch.s),
                        BlockFormat::Q4K => plus[0] = M::scaled::<32>(&stretch.codes, q, &stretch.s),
                        _ => M::dots::<K, UNIT>(&stretch.codes, q, &mut plus),
                    }
                    match x.units.activations {
                        STRETCH => scale = [scales[i]; 8],
                        _ => scale[..len / 32].copy_from_slice(&scales[from / 32..][..len / 32]),
                    }
                    let mut value = [0.0; 8];
                    for u in 0..STRETCH / UNIT {
                        value[u] = stretch.d[u] * scale[u] * plus[u] as f32;
                    }
                    if K::FORMAT == BlockFormat::Q4K {
                        let (groups, mut minus) = (&x.sums(token)[from / 32..][..8], 0);
                        for g in 0..8 {
                            minus += i32::from(groups[g]) * i32::from(stretch.z[g]);
                        }
                        value[0] -= stretch.m * scale[0] * minus as f32;
                    }
                    if partials == 8 && len == STRETCH {
                        for u in 0..8 {
                            sums[u] += value[u];
                        }
                    } else {
                        for u in 0..len / UNIT {
                            sums[(from / UNIT + u) % partials] += value[u];
                        }
                    }
                }
            }
            for (sums, token) in sums.iter_mut().zip(tokens) {
                out.row(token)[row] = folded(&mut sums[..partials]);
            }
        }
    }
}
