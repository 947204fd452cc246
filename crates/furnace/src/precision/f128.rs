//! IEEE 754 binary128: 113 bits, exponents to ±16383, subnormals.
//!
//! Every operation is done in 256 bits and rounded to 113. For + − × ÷ √ that is the correctly rounded result although
//! it rounds twice, because 256 ≥ 2·113 + 2 (Figueroa 1995, "When is double rounding innocuous?"); functions are done
//! in 192 bits, so they are wrong in the last place once in 2^78.

use super::big::{self, EVEN, Rounded};
use astro_float::BigFloat;
use graph::Scalar;
use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Bits of the mantissa, the leading one included.
const PRECISION: u32 = 113;
/// Exponent of the last bit of a subnormal.
const LOWEST: i64 = -16494;
/// Bits that the exponent is shifted by.
const FRACTION: u32 = PRECISION - 1;
const EXPONENT: u128 = 0x7fff;
const SIGN: u128 = 1 << 127;
const WIDE: usize = 256;
const WIDE_FUNCTIONS: usize = 192;

/// A number of IEEE's binary128 ("quadruple precision"), as its bits.
///
/// ```
/// use furnace::precision::F128;
/// use graph::Scalar;
///
/// let third = F128::from_f64(1.0) / F128::from_f64(3.0);
/// assert_eq!(third.to_bits(), 0x3ffd5555555555555555555555555555);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct F128(u128);

impl F128 {
    /// The number with these bits.
    pub fn from_bits(bits: u128) -> F128 {
        F128(bits)
    }

    /// Sign, 15 bits of exponent, 112 bits of fraction.
    pub fn to_bits(self) -> u128 {
        self.0
    }

    fn negative(self) -> bool {
        self.0 & SIGN != 0
    }

    fn nan() -> F128 {
        F128(EXPONENT << FRACTION | 1 << (FRACTION - 1))
    }

    pub(super) fn big(self) -> BigFloat {
        let exponent = (self.0 >> FRACTION & EXPONENT) as i64;
        let fraction = self.0 & ((1 << FRACTION) - 1);
        match (exponent, fraction) {
            (0x7fff, 0) if self.negative() => astro_float::INF_NEG,
            (0x7fff, 0) => astro_float::INF_POS,
            (0x7fff, _) => BigFloat::nan(None),
            (0, _) => big::from_integer(fraction, LOWEST, self.negative()),
            _ => big::from_integer(fraction | 1 << FRACTION, LOWEST + exponent - 1, self.negative()),
        }
    }

    pub(super) fn round(x: &BigFloat) -> F128 {
        if x.is_nan() {
            return F128::nan();
        }
        let sign = if x.is_negative() { SIGN } else { 0 };
        let infinity = F128(sign | EXPONENT << FRACTION);
        if x.is_inf() {
            return infinity;
        }
        let Rounded { mantissa, quantum } = Rounded::new(x, PRECISION, LOWEST);
        if mantissa == 0 {
            return F128(sign);
        }
        // A mantissa without its leading bit is subnormal, and a carry out of the top moves the exponent by itself.
        let exponent = (quantum - LOWEST) as u128;
        if exponent >= EXPONENT {
            return infinity;
        }
        let bits = mantissa + (exponent << FRACTION);
        if bits >= EXPONENT << FRACTION { infinity } else { F128(sign | bits) }
    }

    fn of(self, f: impl FnOnce(&BigFloat) -> BigFloat) -> F128 {
        F128::round(&f(&self.big()))
    }
}

impl PartialEq for F128 {
    fn eq(&self, o: &Self) -> bool {
        self.partial_cmp(o) == Some(Ordering::Equal)
    }
}
impl PartialOrd for F128 {
    fn partial_cmp(&self, o: &Self) -> Option<Ordering> {
        // Magnitudes order as integers do.
        let key = |x: F128| {
            let size = (x.0 & !SIGN) as i128;
            if x.negative() { -size } else { size }
        };
        (!Scalar::is_nan(self) && !Scalar::is_nan(o)).then(|| key(*self).cmp(&key(*o)))
    }
}

macro_rules! arithmetic {
    ($($trait:ident $f:ident $negative:expr),*) => { $(
        impl $trait for F128 {
            type Output = F128;
            fn $f(self, o: F128) -> F128 {
                let made = F128::round(&self.big().$f(&o.big(), WIDE, EVEN));
                // The crate's zeros have signs of their own.
                match made.0 & !SIGN {
                    0 if $negative(self, o) => F128(SIGN),
                    0 => F128(0),
                    _ => made,
                }
            }
        }
    )* };
}
arithmetic!(
    Add add |x: F128, y: F128| x.0 == SIGN && y.0 == SIGN,
    Sub sub |x: F128, y: F128| x.0 == SIGN && y.0 == 0,
    Mul mul |x: F128, y: F128| x.negative() != y.negative(),
    Div div |x: F128, y: F128| x.negative() != y.negative()
);
impl Neg for F128 {
    type Output = F128;
    fn neg(self) -> F128 {
        F128(self.0 ^ SIGN)
    }
}

macro_rules! functions {
    ($($f:ident),*) => { $(
        fn $f(&self) -> F128 {
            self.of(|x| big::with_consts(|c| x.$f(WIDE_FUNCTIONS, EVEN, c)))
        }
    )* };
}

impl Scalar for F128 {
    fn from_f64(x: f64) -> F128 {
        F128::round(&big::from_f64(x, 64))
    }
    fn to_f64(&self) -> f64 {
        big::to_f64(&self.big())
    }
    fn from_decimal(text: &str) -> Option<F128> {
        big::parse(text, WIDE + 64).map(|x| F128::round(&x))
    }
    fn to_decimal(&self) -> String {
        super::decimal::shortest(self, &big::format(&self.big()), 34, 36)
    }
    functions!(exp, ln, tanh, sin, cos, asin, acos, atan);
    fn sqrt(&self) -> F128 {
        self.of(|x| x.sqrt(WIDE, EVEN))
    }
    fn powf(&self, y: &F128) -> F128 {
        self.of(|x| big::pow(x, &y.big(), WIDE_FUNCTIONS))
    }
    fn floor(&self) -> F128 {
        self.of(BigFloat::floor)
    }
    fn round_half_even(&self) -> F128 {
        self.of(big::round_half_even)
    }
    fn abs(&self) -> F128 {
        F128(self.0 & !SIGN)
    }
    fn is_nan(&self) -> bool {
        self.0 & !SIGN > EXPONENT << FRACTION
    }
    fn round_to(&self, dtype: axes::DType) -> F128 {
        match dtype {
            axes::DType::F64 => *self,
            _ => big::round_to(&self.big(), dtype).map_or(*self, F128::from_f64),
        }
    }
}

impl From<F128> for super::Digits {
    /// Exactly, whatever the number of digits at present.
    fn from(x: F128) -> Self {
        super::Digits(x.big())
    }
}
impl From<&super::Digits> for F128 {
    /// Rounded once.
    fn from(x: &super::Digits) -> Self {
        F128::round(&x.0)
    }
}
