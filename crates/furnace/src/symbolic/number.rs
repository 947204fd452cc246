//! Exact numbers of the simplifier: fractions of integers. What would leave them stays as it is written.

use graph::decimal;
use std::cmp::Ordering;

/// A fraction in lowest terms with a positive denominator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rational {
    over: i128,
    under: i128,
}

/// Numerators and denominators beyond this are left alone, so that a product of two still fits.
const LARGEST: i128 = 1 << 120;

impl Rational {
    pub(crate) const ZERO: Rational = Rational { over: 0, under: 1 };
    pub(crate) const ONE: Rational = Rational { over: 1, under: 1 };

    pub(crate) fn new(over: i128, under: i128) -> Option<Rational> {
        if under == 0 || over == i128::MIN || under == i128::MIN {
            return None;
        }
        let g = gcd(over.unsigned_abs(), under.unsigned_abs()) as i128 * under.signum();
        let (over, under) = (over / g, under / g);
        (over.abs() < LARGEST && under < LARGEST).then_some(Rational { over, under })
    }

    /// Of a decimal text. Minus zero is no fraction.
    pub(crate) fn parse(text: &str) -> Option<Rational> {
        let (negative, digits, power) = decimal::parts(text)?;
        if digits.is_empty() {
            return (!negative).then_some(Rational::ZERO);
        }
        if digits.len() > 36 || !(-36..=36).contains(&power) {
            return None;
        }
        let whole: i128 = digits.parse().ok()?;
        let whole = if negative { -whole } else { whole };
        let ten = 10i128.checked_pow(power.unsigned_abs() as u32)?;
        if power < 0 { Rational::new(whole, ten) } else { Rational::new(whole.checked_mul(ten)?, 1) }
    }

    pub(crate) fn of(x: f64) -> Option<Rational> {
        x.is_finite().then(|| Rational::parse(&decimal::exact(x)))?
    }

    /// The decimal that it is, if it is one.
    pub(crate) fn decimal(self) -> Option<String> {
        let (mut under, mut twos, mut fives) = (self.under, 0u32, 0u32);
        while under % 2 == 0 {
            (under, twos) = (under / 2, twos + 1);
        }
        while under % 5 == 0 {
            (under, fives) = (under / 5, fives + 1);
        }
        let places = twos.max(fives);
        if under != 1 || places > 36 {
            return None;
        }
        let scale = 10i128.checked_pow(places)? / self.under;
        let digits = self.over.unsigned_abs().checked_mul(scale as u128)?.to_string();
        let sign = if self.over < 0 { "-" } else { "" };
        let places = places as usize;
        if places == 0 {
            return Some(format!("{sign}{digits}"));
        }
        let digits = format!("{digits:0>width$}", width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        let fraction = fraction.trim_end_matches('0');
        Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
    }

    /// The double that is equal to it, if there is one.
    pub(crate) fn double(self) -> Option<f64> {
        let x = self.over as f64 / self.under as f64;
        (Rational::of(x) == Some(self)).then_some(x)
    }

    pub(crate) fn is_integer(self) -> bool {
        self.under == 1
    }

    pub(crate) fn sign(self) -> i32 {
        self.over.signum() as i32
    }

    pub(crate) fn neg(self) -> Rational {
        Rational { over: -self.over, ..self }
    }

    pub(crate) fn add(self, o: Rational) -> Option<Rational> {
        let a = self.over.checked_mul(o.under)?;
        let b = o.over.checked_mul(self.under)?;
        Rational::new(a.checked_add(b)?, self.under.checked_mul(o.under)?)
    }

    pub(crate) fn mul(self, o: Rational) -> Option<Rational> {
        Rational::new(self.over.checked_mul(o.over)?, self.under.checked_mul(o.under)?)
    }

    pub(crate) fn div(self, o: Rational) -> Option<Rational> {
        Rational::new(self.over.checked_mul(o.under)?, self.under.checked_mul(o.over)?)
    }

    /// To a whole power of at most 64.
    pub(crate) fn pow(self, k: Rational) -> Option<Rational> {
        if !k.is_integer() || k.over.abs() > 64 || (self.over == 0 && k.over <= 0) {
            return None;
        }
        let mut y = Rational::ONE;
        for _ in 0..k.over.abs() {
            y = y.mul(self)?;
        }
        if k.over < 0 { Rational::ONE.div(y) } else { Some(y) }
    }

    /// Its square root, if that is a fraction.
    pub(crate) fn sqrt(self) -> Option<Rational> {
        let root = |x: i128| (x >= 0).then(|| x.isqrt()).filter(|r| r * r == x);
        Rational::new(root(self.over)?, root(self.under)?)
    }

    pub(crate) fn floor(self) -> Option<Rational> {
        Rational::new(self.over.div_euclid(self.under), 1)
    }

    pub(crate) fn compare(self, o: Rational) -> Option<Ordering> {
        Some(self.over.checked_mul(o.under)?.cmp(&o.over.checked_mul(self.under)?))
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_fractions_and_back() {
        for text in ["0", "1", "-3", "0.1", "-0.25", "12.5", "0.001", "1000000"] {
            assert_eq!(Rational::parse(text).unwrap().decimal().unwrap(), text);
        }
        assert_eq!(Rational::parse("1e3").unwrap().decimal().unwrap(), "1000");
        assert_eq!(Rational::parse("-0"), None);
        assert_eq!(Rational::new(1, 3).unwrap().decimal(), None);
        assert_eq!(Rational::parse("1e99"), None);
    }

    #[test]
    fn arithmetic_is_exact_or_refused() {
        let r = |t: &str| Rational::parse(t).unwrap();
        assert_eq!(r("0.1").mul(r("3")), Some(r("0.3")));
        assert_eq!(r("1").div(r("0")), None);
        assert_eq!(r("-8").pow(r("3")), Some(r("-512")));
        assert_eq!(r("2").pow(r("-2")), Some(r("0.25")));
        assert_eq!((r("2.25").sqrt(), r("2").sqrt()), (Some(r("1.5")), None));
        assert_eq!(r("-0.5").floor(), Some(r("-1")));
        assert_eq!((r("0.5").double(), r("0.1").double()), (Some(0.5), None));
        let large = r("1e36");
        assert_eq!(large.mul(large), None);
    }
}
