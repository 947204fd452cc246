//! The two formats: how their bits lie in 16 bytes, and constants that no double equals.

use crate::error::{AlexError, Result};
use crate::ir::{Builder, F80, F128, Float, Kind, Value};

/// A format of floating-point numbers that is wider than f64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// The x87 extended format: 64 bits of mantissa, 15 of exponent. Processors of the x86 family alone have it.
    F80,
    /// IEEE binary128: 113 bits of mantissa, 15 of exponent; in software everywhere.
    F128,
}

impl Format {
    /// Its name in MLIR.
    pub fn name(self) -> &'static str {
        self.kind().name()
    }

    /// The element type.
    pub fn kind(self) -> Kind {
        match self {
            Format::F80 => Kind::F80,
            Format::F128 => Kind::F128,
        }
    }

    /// Bits of the mantissa, the leading one included.
    pub fn precision(self) -> u32 {
        match self {
            Format::F80 => 64,
            Format::F128 => 113,
        }
    }

    /// The bits of a double, which is a number of either format.
    pub fn of_f64(self, x: f64) -> u128 {
        let (sign, exponent) = (x.to_bits() >> 63, x.to_bits() >> 52 & 0x7ff);
        let fraction = x.to_bits() & ((1 << 52) - 1);
        let p = self.precision();
        let size = match (exponent, fraction) {
            (0, 0) => 0,
            (0x7ff, _) => {
                // Infinity, or a NaN that is quiet.
                let lead = u128::from(self == Format::F80) << 63;
                let quiet = u128::from(fraction != 0) << (p - 2);
                lead | quiet | 0x7fff << if p == 64 { 64 } else { 112 }
            }
            (0, _) => {
                let width = 64 - fraction.leading_zeros();
                pack(self, u128::from(fraction) << (p - width), width as i32 - 1 - 1074)
            }
            _ => pack(self, u128::from(fraction | 1 << 52) << (p - 53), exponent as i32 - 1023),
        };
        size | u128::from(sign) << if p == 64 { 79 } else { 127 }
    }

    /// Whether a target has this format; `None` is this computer.
    ///
    /// # Errors
    /// [`AlexError::Format`] for f80 on anything but x86.
    pub fn check(self, triple: Option<&str>) -> Result<()> {
        let target = triple.unwrap_or(std::env::consts::ARCH);
        let x86 = ["x86", "i386", "i486", "i586", "i686"].iter().any(|name| target.starts_with(name));
        if self == Format::F80 && !x86 {
            return Err(AlexError::Format { format: self.name(), target: target.to_string() });
        }
        Ok(())
    }
}

/// An element type of the emission API that is one of the formats.
pub trait Wide: Float {
    /// Which one.
    const FORMAT: Format;

    /// What the C library calls its function of that name for this format.
    fn symbol(function: &str) -> String;
}

impl Wide for F80 {
    const FORMAT: Format = Format::F80;
    fn symbol(function: &str) -> String {
        format!("{function}l")
    }
}

impl Wide for F128 {
    const FORMAT: Format = Format::F128;
    fn symbol(function: &str) -> String {
        // The names that hold on every processor: where `long double` is binary128, glibc has both.
        format!("{function}f128")
    }
}

/// The bits of `mantissa` × 2^(`top` + 1 − precision), where the mantissa has its leading bit at `precision` − 1.
fn pack(format: Format, mantissa: u128, top: i32) -> u128 {
    let exponent = (top + 16383) as u128;
    match format {
        Format::F80 => mantissa | exponent << 64,
        Format::F128 => mantissa & ((1 << 112) - 1) | exponent << 112,
    }
}

/// The bits of n / d, rounded to nearest with ties to even. Both are above 0 and below 2^100.
pub(super) fn ratio(format: Format, n: u128, d: u128) -> u128 {
    // d · 2^top ≤ n < d · 2^(top + 1)
    let (mut n, mut d, mut top) = (n, d, 0);
    while n < d {
        (n, top) = (2 * n, top - 1);
    }
    while n >= 2 * d {
        (d, top) = (2 * d, top + 1);
    }
    let mut mantissa = 0u128;
    for _ in 0..format.precision() {
        mantissa *= 2;
        if n >= d {
            mantissa += 1;
            n -= d;
        }
        n *= 2;
    }
    mantissa += u128::from(n > d || n == d && mantissa & 1 == 1);
    match mantissa >> format.precision() {
        0 => pack(format, mantissa, top),
        _ => pack(format, mantissa / 2, top + 1),
    }
}

/// 384 bits of ln 2 behind the point.
const LN2: [u128; 3] = [
    0xB17217F7D1CF79ABC9E3B39803F2F6AF,
    0x40F343267298B62D8A0D175B8BAAFA2B,
    0xE7B876206DEBAC98559552FB4AFA1B10,
];

/// `bits` of ln 2 from the bit `from` behind the point on, as a number of the format. Not all of them are 0.
pub(super) fn ln2(format: Format, from: u32, bits: u32) -> u128 {
    let mut value = 0u128;
    for bit in from..from + bits {
        value = value << 1 | LN2[(bit / 128) as usize] >> (127 - bit % 128) & 1;
    }
    let width = 128 - value.leading_zeros();
    // The last bit is worth 2^-(from + bits).
    let top = width as i32 - 1 - (from + bits) as i32;
    pack(format, value << (format.precision() - width), top)
}

/// n / d as a constant.
pub(super) fn quotient<F: Wide>(b: &mut Builder, ty: F, n: u128, d: u128) -> Value<F> {
    b.bits(ty, ratio(F::FORMAT, n, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_of_the_formats() {
        assert_eq!(ratio(Format::F128, 1, 3), 0x3ffd5555555555555555555555555555);
        assert_eq!(ratio(Format::F128, 2, 3), 0x3ffe5555555555555555555555555555);
        assert_eq!(ratio(Format::F80, 1, 3), 0x3ffd_aaaa_aaaa_aaaa_aaab);
        assert_eq!(ratio(Format::F80, 1, 1), 0x3fff_8000_0000_0000_0000);
        assert_eq!(ratio(Format::F80, 24, 1), 0x4003_c000_0000_0000_0000);
        // Carries into the next binade: 1 - 2^-70.
        assert_eq!(ratio(Format::F80, (1 << 70) - 1, 1 << 70), ratio(Format::F80, 1, 1));
    }

    #[test]
    fn doubles_are_widened() {
        assert_eq!(Format::F80.of_f64(-1.5), 0xbfff_c000_0000_0000_0000);
        assert_eq!(Format::F128.of_f64(1.0), 0x3fff << 112);
        assert_eq!(Format::F80.of_f64(5e-324), 0x3bcd_8000_0000_0000_0000);
        assert_eq!(Format::F128.of_f64(f64::NEG_INFINITY), 0xffff << 112);
        assert_eq!(Format::F80.of_f64(f64::INFINITY), 0x7fff_8000_0000_0000_0000);
        assert_eq!(Format::F80.of_f64(f64::NAN), 0x7fff_c000_0000_0000_0000);
        assert_eq!(Format::F80.of_f64(-0.0), 0x8000 << 64);
    }

    #[test]
    fn parts_of_ln2_are_normal_numbers() {
        assert_eq!(ln2(Format::F80, 0, 64), 0x3ffe_b172_17f7_d1cf_79ab);
        assert_eq!(ln2(Format::F128, 0, 113), 0x3ffe62e42fefa39ef35793c7673007e5);
    }

    #[test]
    fn f80_is_refused_where_there_is_none() {
        let error = Format::F80.check(Some("aarch64-linux-gnu")).unwrap_err().to_string();
        assert!(error.contains("aarch64-linux-gnu") && error.contains("f128"), "{error}");
        assert!(Format::F80.check(Some("x86_64-unknown-linux-gnu")).is_ok());
        assert!(Format::F128.check(Some("riscv64-linux-gnu")).is_ok());
    }
}
