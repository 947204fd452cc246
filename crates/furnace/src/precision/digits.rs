//! Any number of decimal digits.
//!
//! The numbers are those of the crate `astro-float`: a mantissa of whole 64-bit words, sums, products, quotients and
//! roots correctly rounded to nearest. How many words is a property of the evaluation, not of the value:
//! [`Digits::with`] sets it for what runs inside. The alternative, precision carried by each value with the larger of
//! two winning, was not taken because a graph is full of numbers that come from doubles: 1/3 of two literals would
//! have 53 bits, and so would everything that no input touches.

use super::big::{self, EVEN};
use astro_float::BigFloat;
use graph::Scalar;
use std::cell::Cell;
use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Sub};

thread_local! {
    static BITS: Cell<usize> = const { Cell::new(bits_for(DEFAULT)) };
}

/// Digits outside of [`Digits::with`].
const DEFAULT: usize = 50;

/// The mantissa's bits for that many decimal digits, in whole words.
pub(super) const fn bits_for(digits: usize) -> usize {
    // log2 10 < 3.3220; one bit more, since a decimal's spacing varies within a binade.
    let bits = digits * 33220 / 10000 + 2;
    bits.div_ceil(64) * 64
}

/// A number of as many decimal digits as [`Digits::with`] says (50 outside of it).
///
/// ```
/// use furnace::precision::Digits;
/// use graph::Scalar;
///
/// let third = Digits::with(40, || (Digits::from_f64(1.0) / Digits::from_f64(3.0)).to_decimal());
/// assert!(third.starts_with("3.3333333333333333333333333333333333333333"));
/// assert!(third.ends_with("e-1"));
/// ```
#[derive(Clone, Debug)]
pub struct Digits(pub(super) BigFloat);

/// Puts the thread's precision back, also when what ran inside panicked.
struct Restore(usize);
impl Drop for Restore {
    fn drop(&mut self) {
        BITS.set(self.0);
    }
}

impl Digits {
    /// Runs `f` in an arithmetic of at least `digits` decimal digits, on this thread.
    pub fn with<R>(digits: usize, f: impl FnOnce() -> R) -> R {
        let _restore = Restore(BITS.replace(bits_for(digits.max(1))));
        f()
    }

    /// Bits of the mantissa at present.
    pub fn bits() -> usize {
        BITS.get()
    }

    /// Rounded to that many decimal digits after the first, as `-d.ddde-n`.
    pub fn to_digits(&self, digits: usize) -> String {
        super::decimal::shorten(&self.to_decimal(), digits)
    }
}

impl PartialEq for Digits {
    fn eq(&self, o: &Self) -> bool {
        self.0.cmp(&o.0) == Some(0)
    }
}
impl PartialOrd for Digits {
    fn partial_cmp(&self, o: &Self) -> Option<Ordering> {
        self.0.cmp(&o.0).map(|c| c.cmp(&0))
    }
}

macro_rules! arithmetic {
    ($($trait:ident $f:ident),*) => { $(
        impl $trait for Digits {
            type Output = Digits;
            fn $f(self, o: Digits) -> Digits {
                Digits(self.0.$f(&o.0, BITS.get(), EVEN))
            }
        }
    )* };
}
arithmetic!(Add add, Sub sub, Mul mul, Div div);
impl Neg for Digits {
    type Output = Digits;
    fn neg(self) -> Digits {
        Digits(self.0.neg())
    }
}

macro_rules! functions {
    ($($f:ident),*) => { $(
        fn $f(&self) -> Digits {
            Digits(big::with_consts(|c| self.0.$f(BITS.get(), EVEN, c)))
        }
    )* };
}

impl Scalar for Digits {
    fn from_f64(x: f64) -> Digits {
        Digits(big::from_f64(x, BITS.get()))
    }
    fn to_f64(&self) -> f64 {
        big::to_f64(&self.0)
    }
    fn from_decimal(text: &str) -> Option<Digits> {
        big::parse(text, BITS.get()).map(Digits)
    }
    fn to_decimal(&self) -> String {
        let bits = self.0.mantissa_max_bit_len().unwrap_or(0);
        let digits = bits * 3010 / 10000;
        // A number of another precision than the present one is written out in full.
        match bits == BITS.get() {
            true => {
                super::decimal::shortest(self, &big::format(&self.0), digits.saturating_sub(1), digits + 3)
            }
            false => super::decimal::shorten(&big::format(&self.0), digits + 3),
        }
    }
    functions!(exp, ln, tanh, sin, cos, asin, acos, atan);
    fn sqrt(&self) -> Digits {
        Digits(self.0.sqrt(BITS.get(), EVEN))
    }
    fn powf(&self, y: &Digits) -> Digits {
        Digits(big::pow(&self.0, &y.0, BITS.get()))
    }
    fn floor(&self) -> Digits {
        Digits(self.0.floor())
    }
    fn round_half_even(&self) -> Digits {
        Digits(big::round_half_even(&self.0))
    }
    fn abs(&self) -> Digits {
        Digits(self.0.abs())
    }
    fn is_nan(&self) -> bool {
        self.0.is_nan()
    }
    fn round_to(&self, dtype: axes::DType) -> Digits {
        big::round_to(&self.0, dtype).map_or_else(|| self.clone(), Digits::from_f64)
    }
}
