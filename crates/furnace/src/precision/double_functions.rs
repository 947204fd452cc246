//! Functions of sums of two doubles.
//!
//! Exponentials reduce by ln 2 and sum the series of e^x − 1, which keeps small results exact;
//! logarithms and inverse tangents correct the double's result by one step that cancels nothing; sines reduce by π/2
//! from three doubles, and beyond 10^6 (as powers) go through 256 bits. Held to a few units of 2^-106 by
//! `tests/precision`.

use super::big::{self, EVEN};
use super::double_double::DoubleDouble;
use astro_float::BigFloat;
use graph::Scalar;

type D = DoubleDouble;

const LN2: D = D { hi: std::f64::consts::LN_2, lo: 2.3190468138462996e-17 };
const LN2_THIRD: f64 = 5.707708438416212e-34;
const HALF_PI: [f64; 3] = [std::f64::consts::FRAC_PI_2, 6.123233995736766e-17, -1.4973849048591698e-33];
/// From here on a multiple of π/2 of three doubles leaves too little.
const FAR: f64 = 1e6;
const CLOSE: f64 = 1e-8;

impl DoubleDouble {
    pub(super) fn big(self) -> BigFloat {
        if !self.hi.is_finite() || self.lo == 0.0 {
            return big::from_f64(self.hi, 64);
        }
        big::from_f64(self.hi, 64).add(&big::from_f64(self.lo, 64), 2200, EVEN)
    }

    pub(super) fn from_big(x: &BigFloat) -> D {
        let hi = big::to_f64(x);
        if !hi.is_finite() || x.is_zero() {
            return D { hi, lo: 0.0 };
        }
        let width = x.mantissa_max_bit_len().unwrap_or(0) + 128;
        D { hi, lo: big::to_f64(&x.sub(&big::from_f64(hi, 64), width, EVEN)) }
    }
}

/// 1/k as two doubles.
fn reciprocal(k: usize) -> D {
    let hi = 1.0 / k as f64;
    D { hi, lo: (-hi).mul_add(k as f64, 1.0) / k as f64 }
}

/// Multiples of ln 2 taken off: k and x − k ln 2, at most half of ln 2.
fn reduce(x: D) -> (i32, D) {
    let k = (x.hi / LN2.hi).round();
    let mut r = x;
    // Part by part: each product is exact as two doubles, and each difference cancels.
    for part in [LN2.hi, LN2.lo, LN2_THIRD] {
        r = r - D { hi: part, lo: 0.0 }.times(k);
    }
    (k as i32, r)
}

/// 1 + y/(f+s)·(1 + y/(f+2s)·(…)) with factors `y`·`inverse(k)`, for k = `first`, `first` + `step`, …: from `DOUBLES`
/// on the rest weighs less than 2^-53 and is summed in doubles.
fn horner(y: D, first: usize, step: usize, inverse: impl Fn(usize) -> D) -> D {
    const DOUBLES: usize = 18;
    const LAST: usize = 29;
    let last = first + (LAST - first) / step * step;
    let switch = first + DOUBLES.saturating_sub(first).div_ceil(step) * step;
    let mut tail = 1.0;
    let mut k = last;
    while k >= switch {
        tail = 1.0 + tail * y.hi * inverse(k).hi;
        k -= step;
    }
    let mut sum = D { hi: tail, lo: 0.0 };
    while k >= first {
        sum = (sum * (y * inverse(k))).plus(1.0);
        k -= step;
    }
    sum
}

/// e^r − 1 for |r| ≤ ln 2 / 2, by its series: r + r²/2·(1 + r/3·(…)), where the first term carries the precision.
fn expm1_small(r: D) -> D {
    let rest = horner(r, 3, 1, reciprocal);
    r + (r * r).times(0.5) * rest
}

pub(super) fn exp(x: D) -> D {
    if x.hi.is_nan() || x.hi == f64::INFINITY {
        return D { hi: x.hi, lo: 0.0 };
    }
    if x.hi > 710.0 {
        return D { hi: f64::INFINITY, lo: 0.0 };
    }
    if x.hi < -746.0 {
        return D::ZERO;
    }
    let (k, r) = reduce(x);
    let y = expm1_small(r).plus(1.0).ldexp(k);
    if y.hi.is_infinite() { D { hi: y.hi, lo: 0.0 } } else { y }
}

/// e^x − 1 without loss near 0; |x| at most a few hundred.
fn expm1(x: D) -> D {
    let (k, r) = reduce(x);
    match k {
        0 => expm1_small(r),
        _ => (expm1_small(r).plus(1.0).ldexp(k)).plus(-1.0),
    }
}

pub(super) fn ln(x: D) -> D {
    if x.hi <= 0.0 || !x.hi.is_finite() {
        return D { hi: x.hi.ln(), lo: 0.0 };
    }
    // x = m 2^k with m between √½ and √2.
    let mut k = ((x.hi.to_bits() >> 52) as i32) - 1023;
    let mut m = x;
    if k == -1023 {
        m = x.ldexp(200);
        k = ((m.hi.to_bits() >> 52) as i32) - 1023;
        m = m.ldexp(-k);
        k -= 200;
    } else {
        m = m.ldexp(-k);
    }
    if m.hi > std::f64::consts::SQRT_2 {
        m = m.ldexp(-1);
        k += 1;
    }
    // With y the double's logarithm, ln m = y + ln(m e^-y), and m e^-y − 1 = (m − 1) + m (e^-y − 1).
    let y = m.hi.ln();
    let rest = m.plus(-1.0) + m * expm1(D { hi: -y, lo: 0.0 });
    let small = rest - (rest * rest).times(0.5);
    let inner = small.plus(y);
    if k == 0 {
        return inner;
    }
    let k = f64::from(k);
    LN2.times(k) + (inner + D { hi: LN2_THIRD * k, lo: 0.0 })
}

pub(super) fn tanh(x: D) -> D {
    let a = Scalar::abs(&x);
    let y = if a.hi > 40.0 {
        D::ONE
    } else {
        let e = expm1(a.times(2.0));
        e / e.plus(2.0)
    };
    if x.hi.is_nan() {
        x
    } else if x.hi.is_sign_negative() {
        -y
    } else {
        y
    }
}

/// Sine and cosine of |r| ≤ π/4 by their series, first terms last.
fn sin_cos_small(r: D) -> (D, D) {
    let square = r * r;
    let pairs = |k: usize| reciprocal(k) * reciprocal(k - 1);
    let sin = horner(-square, 5, 2, pairs);
    let cos = horner(-square, 4, 2, pairs);
    (r - square * r * reciprocal(6) * sin, (square.times(-0.5) * cos).plus(1.0))
}

pub(super) fn sin_cos(x: D) -> (D, D) {
    if !x.hi.is_finite() {
        return (D { hi: f64::NAN, lo: 0.0 }, D { hi: f64::NAN, lo: 0.0 });
    }
    let k = (x.hi / HALF_PI[0]).round();
    // k has 20 bits, and each product is exact as two doubles.
    let mut r = x;
    for part in HALF_PI {
        r = r - D { hi: part, lo: 0.0 }.times(k);
    }
    // Beside a multiple of π/2 the three doubles have too few bits left.
    if x.hi.abs() > FAR || k != 0.0 && r.hi.abs() < CLOSE {
        let x = x.big();
        let sin = big::with_consts(|c| x.sin(256, EVEN, c));
        let cos = big::with_consts(|c| x.cos(256, EVEN, c));
        return (D::from_big(&sin), D::from_big(&cos));
    }
    let (s, c) = sin_cos_small(r);
    match k.rem_euclid(4.0) as u8 {
        0 => (s, c),
        1 => (c, -s),
        2 => (-s, -c),
        _ => (-c, s),
    }
}

pub(super) fn atan(x: D) -> D {
    let y = x.hi.atan();
    if !x.hi.is_finite() {
        return if x.hi.is_nan() { x } else { half_pi(x.hi) };
    }
    // tan(atan x − y) = (x cos y − sin y) / (cos y + x sin y), and at 2^-53 a tangent is its angle.
    let (s, c) = sin_cos(D { hi: y, lo: 0.0 });
    ((x * c - s) / (c + x * s)).plus(y)
}

fn half_pi(sign: f64) -> D {
    let h = D { hi: HALF_PI[0], lo: HALF_PI[1] };
    if sign < 0.0 { -h } else { h }
}

pub(super) fn asin(x: D) -> D {
    let a = Scalar::abs(&x);
    if a > D::ONE || x.hi.is_nan() {
        return D { hi: f64::NAN, lo: 0.0 };
    }
    let y = if a.hi > 0.5 {
        // Near 1 the angle from π/2 is what the operand determines well.
        half_pi(1.0) - acos(a)
    } else {
        atan(a / ((D::ONE - a) * (D::ONE + a)).sqrt())
    };
    if x.hi.is_sign_negative() { -y } else { y }
}

pub(super) fn acos(x: D) -> D {
    if Scalar::abs(&x) > D::ONE || x.hi.is_nan() {
        return D { hi: f64::NAN, lo: 0.0 };
    }
    if x.hi > 0.5 {
        return atan(((D::ONE - x) / (D::ONE + x)).sqrt()).times(2.0);
    }
    if x.hi < -0.5 {
        let pi = half_pi(1.0).times(2.0);
        return pi - acos(-x);
    }
    half_pi(1.0) - asin(x)
}

pub(super) fn pow(x: D, y: D) -> D {
    let n = y.hi;
    if y.lo == 0.0 && n.fract() == 0.0 && (0.0..=4.0).contains(&n) {
        return (0..n as u32).fold(D::ONE, |p, _| if p == D::ONE { x } else { p * x });
    }
    // The logarithm's error is multiplied by y ln x, so 106 bits of it do not do.
    D::from_big(&big::pow(&x.big(), &y.big(), 256))
}

impl From<DoubleDouble> for super::Digits {
    /// Exactly, whatever the number of digits at present.
    fn from(x: DoubleDouble) -> Self {
        super::Digits(x.big())
    }
}
impl From<&super::Digits> for DoubleDouble {
    /// The two doubles nearest to the number.
    fn from(x: &super::Digits) -> Self {
        DoubleDouble::from_big(&x.0)
    }
}
