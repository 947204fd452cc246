//! Sums of two doubles: about 106 bits in the exponent range of f64.
//!
//! Arithmetic after Joldes, Muller and Popescu 2017, "Tight and rigorous error bounds for basic building blocks of
//! double-word arithmetic", whose bounds are stated with each operation (u = 2^-53); error-free sums and products after
//! Dekker 1971 and Knuth 1969, products by fused multiply-add. Functions are in `double_functions.rs`.

use super::big;
use super::double_functions as functions;
use graph::Scalar;
use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A number `hi + lo` with |lo| at most half a unit in the last place of `hi`.
///
/// ```
/// use furnace::precision::DoubleDouble;
/// use graph::Scalar;
///
/// let x = DoubleDouble::from_f64(100000001.0);
/// assert_eq!((x * x - DoubleDouble::from_f64(1e16)).to_f64(), 200000001.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DoubleDouble {
    /// The nearest double.
    pub hi: f64,
    /// What is left of it.
    pub lo: f64,
}

/// `a + b` and its error (Knuth).
pub(super) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let s = a + b;
    let bb = s - a;
    (s, (a - (s - bb)) + (b - bb))
}

/// `a + b` and its error, where |a| ≥ |b| (Dekker).
fn fast_two_sum(a: f64, b: f64) -> (f64, f64) {
    let s = a + b;
    (s, b - (s - a))
}

/// `a b` and its error.
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let p = a * b;
    (p, a.mul_add(b, -p))
}

impl DoubleDouble {
    /// Zero.
    pub const ZERO: DoubleDouble = DoubleDouble { hi: 0.0, lo: 0.0 };
    /// One.
    pub const ONE: DoubleDouble = DoubleDouble { hi: 1.0, lo: 0.0 };

    /// The sum of two doubles, exactly (where it does not overflow).
    pub fn new(a: f64, b: f64) -> DoubleDouble {
        let (hi, lo) = two_sum(a, b);
        DoubleDouble::settle(hi, lo)
    }

    /// With nothing left of an infinity or NaN, whose error terms are NaN.
    fn settle(hi: f64, lo: f64) -> DoubleDouble {
        DoubleDouble { hi, lo: if hi.is_finite() { lo } else { 0.0 } }
    }

    /// times 2^n, exactly where nothing falls below the range.
    pub(super) fn ldexp(self, n: i32) -> DoubleDouble {
        let (a, b) = (n / 2, n - n / 2);
        let scale = |x: f64| x * 2f64.powi(a) * 2f64.powi(b);
        DoubleDouble { hi: scale(self.hi), lo: scale(self.lo) }
    }

    /// The sum with a double; relative error at most 2 u².
    pub(super) fn plus(self, b: f64) -> DoubleDouble {
        let (s, e) = two_sum(self.hi, b);
        let (hi, lo) = fast_two_sum(s, self.lo + e);
        DoubleDouble::settle(if s.is_finite() { hi } else { s }, lo)
    }

    /// The product with a double; relative error at most 2 u².
    pub(super) fn times(self, b: f64) -> DoubleDouble {
        let (p, e) = two_product(self.hi, b);
        let (hi, lo) = fast_two_sum(p, self.lo.mul_add(b, e));
        DoubleDouble::settle(if p.is_finite() { hi } else { p }, lo)
    }
}

impl PartialEq for DoubleDouble {
    fn eq(&self, o: &Self) -> bool {
        self.hi == o.hi && self.lo == o.lo
    }
}
impl PartialOrd for DoubleDouble {
    fn partial_cmp(&self, o: &Self) -> Option<Ordering> {
        match self.hi.partial_cmp(&o.hi) {
            Some(Ordering::Equal) => self.lo.partial_cmp(&o.lo),
            other => other,
        }
    }
}
/// Relative error at most 3 u² (1 + o(1)).
impl Add for DoubleDouble {
    type Output = DoubleDouble;
    fn add(self, o: DoubleDouble) -> DoubleDouble {
        let (s, e) = two_sum(self.hi, o.hi);
        if !s.is_finite() {
            return DoubleDouble { hi: s, lo: 0.0 };
        }
        let (t, f) = two_sum(self.lo, o.lo);
        let (v, w) = fast_two_sum(s, e + t);
        let (hi, lo) = fast_two_sum(v, f + w);
        DoubleDouble { hi, lo }
    }
}
impl Sub for DoubleDouble {
    type Output = DoubleDouble;
    fn sub(self, o: DoubleDouble) -> DoubleDouble {
        self + -o
    }
}
/// Relative error at most 4 u² (with a fused multiply-add).
impl Mul for DoubleDouble {
    type Output = DoubleDouble;
    fn mul(self, o: DoubleDouble) -> DoubleDouble {
        let (p, e) = two_product(self.hi, o.hi);
        if !p.is_finite() {
            return DoubleDouble { hi: p, lo: 0.0 };
        }
        let t = self.hi.mul_add(o.lo, self.lo * o.lo);
        let (hi, lo) = fast_two_sum(p, e + self.lo.mul_add(o.hi, t));
        DoubleDouble { hi, lo }
    }
}
/// Relative error at most 9.8 u².
impl Div for DoubleDouble {
    type Output = DoubleDouble;
    fn div(self, o: DoubleDouble) -> DoubleDouble {
        let t = 1.0 / o.hi;
        let q = self.hi / o.hi;
        if !q.is_finite() || !t.is_finite() || o.hi.is_infinite() {
            return DoubleDouble { hi: q, lo: 0.0 };
        }
        // One step of Newton's method on the reciprocal, then the product (algorithm 18).
        let (rh, rl) = (o.hi.mul_add(-t, 1.0), -(o.lo * t));
        let (eh, el) = fast_two_sum(rh, rl);
        let d = DoubleDouble { hi: eh, lo: el }.times(t);
        self * d.plus(t)
    }
}
impl Neg for DoubleDouble {
    type Output = DoubleDouble;
    fn neg(self) -> DoubleDouble {
        DoubleDouble { hi: -self.hi, lo: -self.lo }
    }
}

impl Scalar for DoubleDouble {
    fn from_f64(x: f64) -> DoubleDouble {
        DoubleDouble { hi: x, lo: 0.0 }
    }
    fn to_f64(&self) -> f64 {
        self.hi
    }
    fn from_decimal(text: &str) -> Option<DoubleDouble> {
        big::parse(text, 320).map(|x| DoubleDouble::from_big(&x))
    }
    fn to_decimal(&self) -> String {
        super::decimal::shortest(self, &big::format(&self.big()), 30, 34)
    }
    fn exp(&self) -> DoubleDouble {
        functions::exp(*self)
    }
    fn ln(&self) -> DoubleDouble {
        functions::ln(*self)
    }
    /// Relative error at most 25/8 u².
    fn sqrt(&self) -> DoubleDouble {
        let s = self.hi.sqrt();
        if s == 0.0 || !s.is_finite() {
            return DoubleDouble { hi: s, lo: 0.0 };
        }
        let rest = (-s).mul_add(s, self.hi) + self.lo;
        let (hi, lo) = fast_two_sum(s, rest / (2.0 * s));
        DoubleDouble { hi, lo }
    }
    fn tanh(&self) -> DoubleDouble {
        functions::tanh(*self)
    }
    fn sin(&self) -> DoubleDouble {
        functions::sin_cos(*self).0
    }
    fn cos(&self) -> DoubleDouble {
        functions::sin_cos(*self).1
    }
    fn asin(&self) -> DoubleDouble {
        functions::asin(*self)
    }
    fn acos(&self) -> DoubleDouble {
        functions::acos(*self)
    }
    fn atan(&self) -> DoubleDouble {
        functions::atan(*self)
    }
    fn powf(&self, y: &DoubleDouble) -> DoubleDouble {
        functions::pow(*self, *y)
    }
    fn floor(&self) -> DoubleDouble {
        let f = self.hi.floor();
        if f == self.hi { DoubleDouble::new(f, self.lo.floor()) } else { DoubleDouble { hi: f, lo: 0.0 } }
    }
    fn round_half_even(&self) -> DoubleDouble {
        let down = Scalar::floor(self);
        if !self.hi.is_finite() {
            return *self;
        }
        let fraction = *self - down;
        let half = DoubleDouble { hi: 0.5, lo: 0.0 };
        let odd = Scalar::floor(&down.times(0.5)).times(2.0) != down;
        if fraction > half || fraction == half && odd { down + DoubleDouble::ONE } else { down }
    }
    fn abs(&self) -> DoubleDouble {
        if self.hi.is_sign_negative() { -*self } else { *self }
    }
    fn is_nan(&self) -> bool {
        self.hi.is_nan()
    }
    fn round_to(&self, dtype: axes::DType) -> DoubleDouble {
        // The sum as one double, rounded to odd, keeps what a second rounding must know.
        let odd = if self.lo == 0.0 || self.hi.to_bits() & 1 == 1 {
            self.hi
        } else if (self.lo > 0.0) == (self.hi > 0.0) {
            f64::from_bits(self.hi.to_bits() + 1)
        } else {
            f64::from_bits(self.hi.to_bits() - 1)
        };
        match dtype {
            axes::DType::F32 | axes::DType::BF16 | axes::DType::F16 => {
                DoubleDouble::from_f64(graph::round_double(odd, dtype))
            }
            _ => *self,
        }
    }
}
