//! What both formats have in common in these tests: bits, furnace's scalars, distances in units in the last place.

use alex::extended::Format;
use furnace::precision::{Digits, F128};
use graph::Scalar;

/// A scalar of furnace with its bits.
pub(crate) trait Number: Scalar + Copy {
    const FORMAT: Format;
    fn of(bits: u128) -> Self;
    fn bits(self) -> u128;
    fn exact(self) -> Digits;
    fn rounded(x: &Digits) -> Self;
}

impl Number for F128 {
    const FORMAT: Format = Format::F128;
    fn of(bits: u128) -> F128 {
        F128::from_bits(bits)
    }
    fn bits(self) -> u128 {
        self.to_bits()
    }
    fn exact(self) -> Digits {
        self.into()
    }
    fn rounded(x: &Digits) -> F128 {
        x.into()
    }
}

#[cfg(target_arch = "x86_64")]
impl Number for furnace::precision::F80 {
    const FORMAT: Format = Format::F80;
    fn of(bits: u128) -> Self {
        Self::from_bits(bits as u64, (bits >> 64) as u16)
    }
    fn bits(self) -> u128 {
        let (mantissa, exponent) = self.to_bits();
        u128::from(mantissa) | u128::from(exponent) << 64
    }
    fn exact(self) -> Digits {
        self.into()
    }
    fn rounded(x: &Digits) -> Self {
        x.into()
    }
}

/// The low bits that count.
pub(crate) fn masked(format: Format, bits: u128) -> u128 {
    match format {
        Format::F80 => bits & ((1 << 80) - 1),
        Format::F128 => bits,
    }
}

/// Magnitudes in the order of the numbers, one unit in the last place apart.
pub(crate) fn place(format: Format, bits: u128) -> i128 {
    let bits = masked(format, bits);
    let (sign, size) = match format {
        // The leading bit is stored, so each binade but the lowest has twice the room that it needs.
        Format::F80 => {
            let (m, e) = (bits & u128::from(u64::MAX), bits >> 64 & 0x7fff);
            (bits >> 79 & 1, if e == 0 { m } else { (e << 63) + (m & ((1 << 63) - 1)) })
        }
        Format::F128 => (bits >> 127, bits & !(1 << 127)),
    };
    if sign == 1 { -(size as i128) } else { size as i128 }
}

/// A generator of random bits (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }

    /// In [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number with a full random mantissa and an exponent of 2 from a range.
    pub(crate) fn number<N: Number>(&mut self, low: i32, high: i32) -> N {
        let e = low + (self.next() % (high - low + 1) as u64) as i32;
        self.with_exponent(e)
    }

    /// ±1.… · 2^e; subnormal where e is low.
    pub(crate) fn with_exponent<N: Number>(&mut self, e: i32) -> N {
        let (m, sign) = (self.wide(), u128::from(self.next() & 1));
        let biased = (e + 16383).clamp(0, 32766) as u128;
        N::of(match N::FORMAT {
            Format::F80 => {
                let lead = if biased == 0 { 0 } else { 1u128 << 63 };
                m & ((1 << 63) - 1) | lead | biased << 64 | sign << 79
            }
            Format::F128 => m & ((1 << 112) - 1) | biased << 112 | sign << 127,
        })
    }
}

/// Zeros, infinities, NaN, ones, the ends of the range, neighbours.
pub(crate) fn specials<N: Number>() -> Vec<N> {
    let c = N::from_f64;
    let mut out = vec![
        c(0.0),
        c(f64::INFINITY),
        c(f64::NAN),
        c(1.0),
        c(2.0),
        c(0.5),
        c(1.5),
        c(3.0),
        c(0.1),
        c(1e16),
        c(f64::MAX),
        c(f64::MIN_POSITIVE),
        c(5e-324),
    ];
    let (one, ends) = match N::FORMAT {
        Format::F80 => (
            0x3fff_8000_0000_0000_0000u128,
            [1u128, 2, 0x7fff_ffff_ffff_ffff, 0x1_8000_0000_0000_0000, 0x7ffe_ffff_ffff_ffff_ffff],
        ),
        Format::F128 => (0x3fff << 112, [1u128, 2, (1 << 112) - 1, 1 << 112, (0x7fff << 112) - 1]),
    };
    out.extend(ends.into_iter().chain([one + 1, one + 2, one + 3]).map(N::of));
    // The largest below 1.
    let below = match N::FORMAT {
        Format::F80 => 0x3ffe_ffff_ffff_ffff_ffff,
        Format::F128 => one - 1,
    };
    out.push(N::of(below));
    let negative: Vec<N> = out.iter().map(|x| -*x).collect();
    out.extend(negative);
    out
}
