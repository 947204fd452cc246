//! Exact coefficients.

use std::cell::Cell;
use std::cmp::Ordering;

thread_local! {
    /// Whether a coefficient outgrew its 128 bits since the last look; what was computed then is worth nothing.
    static OVERFLOW: Cell<bool> = const { Cell::new(false) };
}

/// A rational number in lowest terms; the denominator is positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rat {
    num: i128,
    den: i128,
}

fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1) as i128
}

impl Rat {
    pub(crate) const ZERO: Rat = Rat { num: 0, den: 1 };
    pub(crate) const ONE: Rat = Rat { num: 1, den: 1 };

    pub(crate) fn int(n: i128) -> Rat {
        Rat { num: n, den: 1 }
    }

    pub(crate) fn new(num: i128, den: i128) -> Rat {
        if den == 0 {
            OVERFLOW.set(true);
            return Rat::ZERO;
        }
        let g = gcd(num, den) * den.signum();
        Rat { num: num / g, den: den / g }
    }

    fn checked(num: Option<i128>, den: Option<i128>) -> Rat {
        match (num, den) {
            (Some(n), Some(d)) => Rat::new(n, d),
            _ => {
                OVERFLOW.set(true);
                Rat::ZERO
            }
        }
    }

    /// Whether something overflowed since the last call.
    pub(crate) fn take_overflow() -> bool {
        OVERFLOW.replace(false)
    }

    pub(crate) fn is_zero(self) -> bool {
        self.num == 0
    }

    pub(crate) fn sign(self) -> i128 {
        self.num.signum()
    }

    pub(crate) fn as_int(self) -> Option<i128> {
        (self.den == 1).then_some(self.num)
    }

    pub(crate) fn to_f64(self) -> f64 {
        self.num as f64 / self.den as f64
    }

    pub(crate) fn recip(self) -> Rat {
        Rat::new(self.den, self.num)
    }

    /// The double, where it is a fraction of moderate size.
    pub(crate) fn of(x: f64) -> Option<Rat> {
        let scaled = x * (1u64 << 24) as f64;
        (x.is_finite() && scaled.fract() == 0.0 && scaled.abs() < 1e15)
            .then(|| Rat::new(scaled as i128, 1 << 24))
    }
}

impl std::ops::Add for Rat {
    type Output = Rat;
    fn add(self, o: Rat) -> Rat {
        let (a, b) = (self.num.checked_mul(o.den), o.num.checked_mul(self.den));
        Rat::checked(a.zip(b).and_then(|(a, b)| a.checked_add(b)), self.den.checked_mul(o.den))
    }
}

impl std::ops::Mul for Rat {
    type Output = Rat;
    fn mul(self, o: Rat) -> Rat {
        Rat::checked(self.num.checked_mul(o.num), self.den.checked_mul(o.den))
    }
}

impl std::ops::Neg for Rat {
    type Output = Rat;
    fn neg(self) -> Rat {
        Rat { num: -self.num, den: self.den }
    }
}

impl PartialOrd for Rat {
    fn partial_cmp(&self, o: &Rat) -> Option<Ordering> {
        Some(self.cmp(o))
    }
}

impl Ord for Rat {
    fn cmp(&self, o: &Rat) -> Ordering {
        (*self + -*o).num.cmp(&0)
    }
}
