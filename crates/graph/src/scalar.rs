//! The numbers that the naive evaluation computes with.
//!
//! A graph says what to compute; the scalar says in which arithmetic. `f32` is what the engine does, `f64` is the
//! reference for it, [`Dual`] carries a tangent along as an oracle for the derivative rules.

use crate::accumulate::{self, Accumulator};
use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A real number as the interpreter sees it.
pub trait Scalar:
    Clone
    + Debug
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// The nearest number of this arithmetic.
    fn from_f64(x: f64) -> Self;
    /// The nearest double.
    fn to_f64(&self) -> f64;
    /// The number of this arithmetic nearest to a decimal such as `0.1` or `-2.5e-3`; `None` where it is none.
    fn from_decimal(text: &str) -> Option<Self> {
        text.trim().parse().ok().map(Self::from_f64)
    }
    /// A decimal that reads as this number again (for arithmetics wider than f64, all their digits).
    fn to_decimal(&self) -> String {
        format!("{:e}", self.to_f64())
    }
    /// What went wrong since the last call, in an arithmetic that knows points without a value (intervals do: 0/0, the
    /// logarithm of 0, a comparison that is not decided); the interpreter asks after every node.
    fn take_fault() -> Option<String> {
        None
    }
    /// Told before each node which one is evaluated next (`node` makes the text), so that a fault can name it.
    fn entering(_node: &dyn Fn() -> String) {}
    /// e^x.
    fn exp(&self) -> Self;
    /// Natural logarithm.
    fn ln(&self) -> Self;
    /// Square root.
    fn sqrt(&self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(&self) -> Self;
    /// Sine.
    fn sin(&self) -> Self;
    /// Cosine.
    fn cos(&self) -> Self;
    /// Inverse sine, in [-π/2, π/2].
    fn asin(&self) -> Self;
    /// Inverse cosine, in [0, π].
    fn acos(&self) -> Self;
    /// Inverse tangent, in [-π/2, π/2].
    fn atan(&self) -> Self;
    /// x to the power y.
    fn powf(&self, y: &Self) -> Self;
    /// Largest integer not above x.
    fn floor(&self) -> Self;
    /// Nearest integer, ties to even.
    fn round_half_even(&self) -> Self;
    /// Nearest integer, ties away from zero.
    fn round_half_away(&self) -> Self {
        // Compared with the fraction, not by adding 0.5: that sum rounds up just below a tie.
        let down = self.abs().floor();
        let tie = self.abs() - down.clone() >= Self::from_f64(0.5);
        self.sign() * if tie { down + Self::from_f64(1.0) } else { down }
    }
    /// |x|.
    fn abs(&self) -> Self {
        if *self < Self::from_f64(0.0) { -self.clone() } else { self.clone() }
    }
    /// -1, 0 or 1; NaN stays NaN.
    fn sign(&self) -> Self {
        let zero = Self::from_f64(0.0);
        if *self > zero {
            Self::from_f64(1.0)
        } else if *self < zero {
            Self::from_f64(-1.0)
        } else if self.is_nan() {
            self.clone()
        } else {
            zero
        }
    }
    /// The sum of many, kept as the accumulator says.
    fn sum_in(how: Accumulator, terms: &[Self]) -> Self {
        accumulate::sum(how, terms)
    }
    /// The sum of the products of pairs, kept as the accumulator says.
    fn dot_in(how: Accumulator, a: &[Self], b: &[Self]) -> Self {
        accumulate::dot(how, a, b)
    }
    /// 1 / (1 + e^-x), without overflow.
    fn logistic(&self) -> Self {
        let one = Self::from_f64(1.0);
        if *self >= Self::from_f64(0.0) {
            one.clone() / (one + (-self.clone()).exp())
        } else {
            let e = self.exp();
            e.clone() / (one + e)
        }
    }
    /// Whether this is not a number.
    fn is_nan(&self) -> bool {
        self.to_f64().is_nan()
    }
    /// The larger; NaN if one is NaN.
    fn maximum(&self, o: &Self) -> Self {
        if self.is_nan() || *self >= *o { self.clone() } else { o.clone() }
    }
    /// The smaller; NaN if one is NaN.
    fn minimum(&self, o: &Self) -> Self {
        if self.is_nan() || *self <= *o { self.clone() } else { o.clone() }
    }
    /// Rounded to an element type that is narrower than this arithmetic; the default goes through f64.
    fn round_to(&self, dtype: axes::DType) -> Self {
        match dtype {
            axes::DType::F32 | axes::DType::BF16 | axes::DType::F16 => {
                Self::from_f64(round_double(self.to_f64(), dtype))
            }
            _ => self.clone(),
        }
    }
}

/// A double rounded once, to nearest with ties to even, to f32, bf16 or f16; other types leave it as it is.
///
/// Not by the conversions of `half`, which drop the last 32 bits of a double or go through f32 on the way.
pub fn round_double(x: f64, dtype: axes::DType) -> f64 {
    // Bits of the mantissa, exponent of the smallest subnormal, largest finite number.
    let (bits, lowest, largest) = match dtype {
        axes::DType::F32 => return f64::from(x as f32),
        axes::DType::BF16 => (8, -133, half::bf16::MAX.to_f64()),
        axes::DType::F16 => (11, -24, half::f16::MAX.to_f64()),
        _ => return x,
    };
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let exponent = ((x.to_bits() >> 52 & 0x7ff) as i32) - 1023;
    // Both factors are powers of two in the range of doubles, so only the rounding rounds.
    let quantum = (exponent - (bits - 1)).max(lowest);
    let y = (x * 2f64.powi(-quantum)).round_ties_even() * 2f64.powi(quantum);
    if y.abs() > largest { f64::INFINITY.copysign(x) } else { y }
}

macro_rules! native {
    ($t:ty, $sum:path, $dot:path) => {
        impl Scalar for $t {
            fn from_f64(x: f64) -> $t {
                x as $t
            }
            fn to_f64(&self) -> f64 {
                *self as f64
            }
            fn sum_in(how: Accumulator, terms: &[$t]) -> $t {
                $sum(how, terms)
            }
            fn dot_in(how: Accumulator, a: &[$t], b: &[$t]) -> $t {
                $dot(how, a, b)
            }
            fn exp(&self) -> $t {
                <$t>::exp(*self)
            }
            fn ln(&self) -> $t {
                <$t>::ln(*self)
            }
            fn sqrt(&self) -> $t {
                <$t>::sqrt(*self)
            }
            fn tanh(&self) -> $t {
                <$t>::tanh(*self)
            }
            fn sin(&self) -> $t {
                <$t>::sin(*self)
            }
            fn cos(&self) -> $t {
                <$t>::cos(*self)
            }
            fn from_decimal(text: &str) -> Option<$t> {
                text.trim().parse().ok()
            }
            fn asin(&self) -> $t {
                <$t>::asin(*self)
            }
            fn acos(&self) -> $t {
                <$t>::acos(*self)
            }
            fn atan(&self) -> $t {
                <$t>::atan(*self)
            }
            fn powf(&self, y: &$t) -> $t {
                <$t>::powf(*self, *y)
            }
            fn floor(&self) -> $t {
                <$t>::floor(*self)
            }
            fn round_half_even(&self) -> $t {
                <$t>::round_ties_even(*self)
            }
            fn abs(&self) -> $t {
                <$t>::abs(*self)
            }
            fn is_nan(&self) -> bool {
                <$t>::is_nan(*self)
            }
        }
    };
}
native!(f32, accumulate::sum_f32, accumulate::dot_f32);
native!(f64, accumulate::sum_f64, accumulate::dot_f64);

/// A number with a first-order tangent: a second, independent way to the derivative of whatever is evaluated.
///
/// ```
/// use graph::{Dual, Scalar};
/// let x = Dual { value: 2.0f64, tangent: 1.0 };
/// assert_eq!((x.clone() * x).tangent, 4.0);
/// ```
#[derive(Clone, Debug)]
pub struct Dual<S> {
    /// The value.
    pub value: S,
    /// Its derivative along the seeded direction.
    pub tangent: S,
}

impl<S: Scalar> Dual<S> {
    fn chain(&self, value: S, slope: S) -> Self {
        Dual { value, tangent: slope * self.tangent.clone() }
    }
}
impl<S: Scalar> PartialEq for Dual<S> {
    fn eq(&self, o: &Self) -> bool {
        self.value == o.value
    }
}
impl<S: Scalar> PartialOrd for Dual<S> {
    fn partial_cmp(&self, o: &Self) -> Option<std::cmp::Ordering> {
        self.value.partial_cmp(&o.value)
    }
}
impl<S: Scalar> Add for Dual<S> {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Dual { value: self.value + o.value, tangent: self.tangent + o.tangent }
    }
}
impl<S: Scalar> Sub for Dual<S> {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Dual { value: self.value - o.value, tangent: self.tangent - o.tangent }
    }
}
impl<S: Scalar> Mul for Dual<S> {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        let tangent = self.tangent * o.value.clone() + self.value.clone() * o.tangent;
        Dual { value: self.value * o.value, tangent }
    }
}
impl<S: Scalar> Div for Dual<S> {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        let q = self.value / o.value.clone();
        Dual { tangent: (self.tangent - q.clone() * o.tangent) / o.value, value: q }
    }
}
impl<S: Scalar> Neg for Dual<S> {
    type Output = Self;
    fn neg(self) -> Self {
        Dual { value: -self.value, tangent: -self.tangent }
    }
}
impl<S: Scalar> Scalar for Dual<S> {
    fn from_f64(x: f64) -> Self {
        Dual { value: S::from_f64(x), tangent: S::from_f64(0.0) }
    }
    fn from_decimal(text: &str) -> Option<Self> {
        Some(Dual { value: S::from_decimal(text)?, tangent: S::from_f64(0.0) })
    }
    fn to_f64(&self) -> f64 {
        self.value.to_f64()
    }
    fn exp(&self) -> Self {
        let y = self.value.exp();
        self.chain(y.clone(), y)
    }
    fn ln(&self) -> Self {
        self.chain(self.value.ln(), S::from_f64(1.0) / self.value.clone())
    }
    fn sqrt(&self) -> Self {
        let y = self.value.sqrt();
        self.chain(y.clone(), S::from_f64(0.5) / y)
    }
    fn tanh(&self) -> Self {
        let y = self.value.tanh();
        self.chain(y.clone(), S::from_f64(1.0) - y.clone() * y)
    }
    fn sin(&self) -> Self {
        self.chain(self.value.sin(), self.value.cos())
    }
    fn cos(&self) -> Self {
        self.chain(self.value.cos(), -self.value.sin())
    }
    fn asin(&self) -> Self {
        let one = S::from_f64(1.0);
        self.chain(self.value.asin(), one.clone() / (one - self.value.clone() * self.value.clone()).sqrt())
    }
    fn acos(&self) -> Self {
        let one = S::from_f64(1.0);
        self.chain(self.value.acos(), -(one.clone() / (one - self.value.clone() * self.value.clone()).sqrt()))
    }
    fn atan(&self) -> Self {
        let one = S::from_f64(1.0);
        self.chain(self.value.atan(), one.clone() / (one + self.value.clone() * self.value.clone()))
    }
    fn powf(&self, y: &Self) -> Self {
        let value = self.value.powf(&y.value);
        let dx = y.value.clone() * self.value.powf(&(y.value.clone() - S::from_f64(1.0)));
        // x^0 has slope 0, also at 0.
        let mut tangent =
            if y.value == S::from_f64(0.0) { S::from_f64(0.0) } else { dx * self.tangent.clone() };
        // ln x counts as 0 at x = 0, as in the op table. Where x > 0 the term is kept even when the tangent of y looks
        // like 0, which may itself carry a tangent.
        let zero = S::from_f64(0.0);
        if self.value > zero || (self.value != zero && y.tangent != zero) {
            tangent = tangent + value.clone() * self.value.ln() * y.tangent.clone();
        }
        Dual { value, tangent }
    }
    fn floor(&self) -> Self {
        self.chain(self.value.floor(), S::from_f64(0.0))
    }
    fn round_half_even(&self) -> Self {
        self.chain(self.value.round_half_even(), S::from_f64(0.0))
    }
    fn abs(&self) -> Self {
        self.chain(self.value.abs(), self.value.sign())
    }
    fn sign(&self) -> Self {
        self.chain(self.value.sign(), S::from_f64(0.0))
    }
    fn round_to(&self, dtype: axes::DType) -> Self {
        Dual { value: self.value.round_to(dtype), tangent: self.tangent.clone() }
    }
}
