//! The ends of an interval: arithmetic rounded downwards or upwards.
//!
//! Doubles have no rounding modes in Rust, so a direction is taken from the exact error of each operation; functions are
//! done in [`DoubleDouble`] and widened by far more than its error. `Digits` have directed rounding of their own, and
//! functions are done in 64 bits more.

use super::big::{self, EVEN};
use super::double_double::two_sum;
use super::{Digits, DoubleDouble};
use astro_float::{BigFloat, RoundingMode};
use graph::Scalar;

/// Functions of one operand that an interval applies to its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// e^x.
    Exp,
    /// Natural logarithm.
    Ln,
    /// Square root.
    Sqrt,
    /// Hyperbolic tangent.
    Tanh,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// Inverse sine.
    Asin,
    /// Inverse cosine.
    Acos,
    /// Inverse tangent.
    Atan,
}

impl Function {
    pub(super) fn name(self) -> &'static str {
        match self {
            Function::Exp => "exp",
            Function::Ln => "log",
            Function::Sqrt => "sqrt",
            Function::Tanh => "tanh",
            Function::Sin => "sine",
            Function::Cos => "cosine",
            Function::Asin => "asin",
            Function::Acos => "acos",
            Function::Atan => "atan",
        }
    }

    /// In any arithmetic.
    pub(super) fn of<S: Scalar>(self, x: &S) -> S {
        match self {
            Function::Exp => x.exp(),
            Function::Ln => x.ln(),
            Function::Sqrt => x.sqrt(),
            Function::Tanh => x.tanh(),
            Function::Sin => x.sin(),
            Function::Cos => x.cos(),
            Function::Asin => x.asin(),
            Function::Acos => x.acos(),
            Function::Atan => x.atan(),
        }
    }
}

/// The direction of a rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toward {
    /// Not above the exact result.
    Down,
    /// Not below it.
    Up,
}
use Toward::{Down, Up};

/// An arithmetic with directed rounding.
pub trait End: Scalar {
    /// The sum.
    fn sum(a: &Self, b: &Self, to: Toward) -> Self;
    /// The product.
    fn product(a: &Self, b: &Self, to: Toward) -> Self;
    /// The quotient.
    fn quotient(a: &Self, b: &Self, to: Toward) -> Self;
    /// A function where it is defined.
    fn apply(f: Function, x: &Self, to: Toward) -> Self;
    /// A decimal.
    fn decimal(text: &str, to: Toward) -> Option<Self>;
    /// The first integer that may be at or above `lo` / (π/2) and the last that may be at or below `hi` / (π/2); `None`
    /// where they are too large to tell.
    fn quarters(lo: &Self, hi: &Self) -> Option<(i64, i64)>;
    /// Not beyond a double.
    fn outward(&self, to: Toward) -> f64;
}

/// The double next to `x` in the direction, unless the error says that `x` lies on that side already.
fn directed(x: f64, error: f64, to: Toward) -> f64 {
    match to {
        Down if error < 0.0 || error.is_nan() => x.next_down(),
        Up if error > 0.0 || error.is_nan() => x.next_up(),
        _ => x,
    }
}

/// A result of extended range or small size, where an error term is not exact: one step either way is enough.
fn unsafe_range(x: f64) -> bool {
    x.abs() < 1e-280 || x.abs() > 1e300
}

fn step(x: f64, to: Toward) -> f64 {
    match to {
        _ if x.is_nan() => x,
        // The largest double is a lower bound of what overflowed.
        Down => x.next_down(),
        Up => x.next_up(),
    }
}

/// A result in two doubles, whose relative error is far below 2^-96, to one.
fn narrow(x: DoubleDouble, to: Toward) -> f64 {
    if !x.hi.is_finite() || unsafe_range(x.hi) {
        return if x.hi == 0.0 { step(x.hi, to) } else { step(step(x.hi, to), to) };
    }
    let slack = x.hi.abs() * 2f64.powi(-96);
    let lo = if to == Down { x.lo - slack } else { x.lo + slack };
    let (hi, error) = two_sum(x.hi, lo);
    directed(hi, error, to)
}

impl End for f64 {
    fn sum(a: &f64, b: &f64, to: Toward) -> f64 {
        let (s, e) = two_sum(*a, *b);
        match (a.is_infinite() || b.is_infinite(), s.is_infinite()) {
            (true, _) => s,
            (false, true) => step(s, to),
            _ => directed(s, e, to),
        }
    }
    fn product(a: &f64, b: &f64, to: Toward) -> f64 {
        let p = a * b;
        if p.is_nan() || *a == 0.0 || *b == 0.0 {
            // 0 times an infinite end is 0: the end stands for numbers without a bound, not for infinity.
            return 0.0;
        }
        match (a.is_infinite() || b.is_infinite(), unsafe_range(p)) {
            (true, _) => p,
            (false, true) => step(p, to),
            _ => directed(p, a.mul_add(*b, -p), to),
        }
    }
    fn quotient(a: &f64, b: &f64, to: Toward) -> f64 {
        let q = a / b;
        if q.is_nan() || *a == 0.0 {
            return 0.0;
        }
        match (a.is_infinite() || b.is_infinite(), unsafe_range(q) || unsafe_range(*a) || unsafe_range(*b)) {
            (true, _) => q,
            (false, true) => step(q, to),
            // The remainder, exactly; its sign over that of the divisor is that of the error.
            _ => directed(q, (-q).mul_add(*b, *a) * b.signum(), to),
        }
    }
    fn apply(f: Function, x: &f64, to: Toward) -> f64 {
        match (f, *x) {
            (Function::Sqrt, _) if !unsafe_range(*x) => {
                let s = x.sqrt();
                return directed(s, (-s).mul_add(s, *x), to);
            }
            (Function::Exp, f64::NEG_INFINITY) => return 0.0,
            (Function::Exp | Function::Ln | Function::Sqrt, f64::INFINITY) => return f64::INFINITY,
            (Function::Exp | Function::Cos, 0.0) => return 1.0,
            (Function::Ln, 1.0) | (Function::Acos, 1.0) => return 0.0,
            (_, 0.0) if f != Function::Acos => return 0.0,
            _ => {}
        }
        let y = narrow(f.of(&DoubleDouble::from_f64(*x)), to);
        match f {
            Function::Exp => y.max(0.0),
            Function::Tanh => y.clamp(-1.0, 1.0),
            _ => y,
        }
    }
    fn decimal(text: &str, to: Toward) -> Option<f64> {
        Some(narrow(DoubleDouble::from_decimal(text)?, to)).map(|x| {
            // A decimal that is a double is that double.
            let exact = big::parse(text, 1200).filter(|_| text.len() < 300);
            match (exact, f64::from_decimal(text)) {
                (Some(e), Some(d)) if e.cmp(&big::from_f64(d, 64)) == Some(0) => d,
                _ => x,
            }
        })
    }
    fn quarters(lo: &f64, hi: &f64) -> Option<(i64, i64)> {
        Digits::with(50, || <Digits as End>::quarters(&Digits::from_f64(*lo), &Digits::from_f64(*hi)))
    }
    fn outward(&self, _: Toward) -> f64 {
        *self
    }
}

fn mode(to: Toward) -> RoundingMode {
    if to == Down { RoundingMode::Down } else { RoundingMode::Up }
}

/// Moved by 2^-n of itself in the direction and rounded to the present precision.
fn widened(x: &BigFloat, n: i32, to: Toward) -> Digits {
    let bits = Digits::bits();
    let mut step = x.abs();
    if let Some(e) = step.exponent().filter(|_| !step.is_zero()) {
        step.set_exponent(e - n);
    }
    let moved = match to {
        Down => x.sub(&step, bits, RoundingMode::Down),
        Up => x.add(&step, bits, RoundingMode::Up),
    };
    Digits(moved)
}

impl End for Digits {
    fn sum(a: &Digits, b: &Digits, to: Toward) -> Digits {
        Digits(a.0.add(&b.0, Digits::bits(), mode(to)))
    }
    fn product(a: &Digits, b: &Digits, to: Toward) -> Digits {
        if a.0.is_zero() || b.0.is_zero() {
            return Digits::from_f64(0.0);
        }
        Digits(a.0.mul(&b.0, Digits::bits(), mode(to)))
    }
    fn quotient(a: &Digits, b: &Digits, to: Toward) -> Digits {
        if a.0.is_zero() || b.0.is_inf() {
            return Digits::from_f64(0.0);
        }
        Digits(a.0.div(&b.0, Digits::bits(), mode(to)))
    }
    fn apply(f: Function, x: &Digits, to: Toward) -> Digits {
        let zero = x.0.is_zero();
        let one = x.0.cmp(&BigFloat::from_word(1, 64)) == Some(0);
        match f {
            Function::Sqrt => return Digits(x.0.sqrt(Digits::bits(), mode(to))),
            Function::Exp | Function::Cos if zero => return Digits::from_f64(1.0),
            Function::Ln | Function::Acos if one => return Digits::from_f64(0.0),
            _ if zero && f != Function::Acos => return Digits::from_f64(0.0),
            _ => {}
        }
        let wide = Digits::bits() + 64;
        let y = big::with_consts(|c| match f {
            Function::Exp => x.0.exp(wide, EVEN, c),
            Function::Ln => x.0.ln(wide, EVEN, c),
            Function::Tanh => x.0.tanh(wide, EVEN, c),
            Function::Sin => x.0.sin(wide, EVEN, c),
            Function::Cos => x.0.cos(wide, EVEN, c),
            Function::Asin => x.0.asin(wide, EVEN, c),
            Function::Acos => x.0.acos(wide, EVEN, c),
            Function::Atan | Function::Sqrt => x.0.atan(wide, EVEN, c),
        });
        widened(&y, (Digits::bits() + 32) as i32, to)
    }
    fn decimal(text: &str, to: Toward) -> Option<Digits> {
        // A decimal with as many digits as the text has may fit exactly.
        let bits = (Digits::bits() + 64).max(text.len().min(10_000) * 7 / 2 + 64);
        let wide = big::parse(text, bits)?;
        let short = Digits(big::parse(text, Digits::bits())?);
        if wide.cmp(&short.0) == Some(0) && exact(text) {
            return Some(short);
        }
        Some(widened(&wide, (Digits::bits() + 32) as i32, to))
    }
    fn quarters(lo: &Digits, hi: &Digits) -> Option<(i64, i64)> {
        if lo.0.is_inf() || hi.0.is_inf() {
            return None;
        }
        let size = lo.0.exponent().unwrap_or(0).max(hi.0.exponent().unwrap_or(0)).max(0) as usize;
        if size > 60 {
            return None;
        }
        let bits = Digits::bits() + 64 + size;
        let mut half_pi = big::with_consts(|c| {
            let one = BigFloat::from_word(1, bits);
            one.atan(bits, EVEN, c)
        });
        if let Some(e) = half_pi.exponent() {
            half_pi.set_exponent(e + 1);
        }
        let slack = {
            let mut s = BigFloat::from_word(1, bits);
            s.set_exponent(-((Digits::bits() + 16) as i32));
            s
        };
        let low = lo.0.div(&half_pi, bits, EVEN).sub(&slack, bits, RoundingMode::Down).ceil();
        let high = hi.0.div(&half_pi, bits, EVEN).add(&slack, bits, RoundingMode::Up).floor();
        Some((big::to_f64(&low) as i64, big::to_f64(&high) as i64))
    }
    fn outward(&self, to: Toward) -> f64 {
        let x = self.to_f64();
        let back = Digits(big::from_f64(x, 64));
        match to {
            Down if back > *self => x.next_down(),
            Up if back < *self => x.next_up(),
            _ => x,
        }
    }
}

/// Whether a decimal can be a binary number at all: it is a whole number, or its fraction ends in 5.
fn exact(text: &str) -> bool {
    let text = text.trim().to_ascii_lowercase();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let Ok(exponent) = exponent.parse::<i64>() else { return false };
    let digits = mantissa.trim_end_matches('0');
    let places = match mantissa.split_once('.') {
        Some((_, f)) => f.trim_end_matches('0').len() as i64,
        None => 0,
    };
    places <= exponent || digits.trim_end_matches('.').ends_with('5')
}
