//! A scalar that counts what is done with it.

use graph::Scalar;
use std::cell::Cell;
use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// What was done, by kind. Changes of sign, absolute values and comparisons are not counted: they cost no adder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// Additions and subtractions.
    pub additions: u64,
    /// Multiplications.
    pub multiplications: u64,
    /// Divisions.
    pub divisions: u64,
    /// Everything else: roots, powers, exponentials, rounding.
    pub functions: u64,
}

thread_local! {
    static DONE: Cell<Operations> = const {
        Cell::new(Operations { additions: 0, multiplications: 0, divisions: 0, functions: 0 })
    };
}

fn note(change: impl Fn(&mut Operations)) {
    let mut done = DONE.get();
    change(&mut done);
    DONE.set(done);
}

/// Runs `f` on numbers that count; the result, and what was done on this thread meanwhile.
pub fn count<R>(f: impl FnOnce(&[Counted]) -> R, x: &[f64]) -> (R, Operations) {
    let x: Vec<Counted> = x.iter().map(|x| Counted(*x)).collect();
    let before = DONE.replace(Operations::default());
    let made = f(&x);
    (made, DONE.replace(before))
}

/// A double that counts operations; see [`count`].
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Counted(f64);

impl Counted {
    /// The number.
    pub fn value(self) -> f64 {
        self.0
    }
}

/// One more of a kind.
fn one_more(kind: impl Fn(&mut Operations) -> &mut u64) {
    note(|n| *kind(n) += 1);
}

macro_rules! operators {
    ($($trait:ident $f:ident $sign:tt $count:ident),*) => { $(
        impl $trait for Counted {
            type Output = Counted;
            fn $f(self, o: Counted) -> Counted {
                one_more(|n| &mut n.$count);
                Counted(self.0 $sign o.0)
            }
        }
    )* };
}
operators!(Add add + additions, Sub sub - additions, Mul mul * multiplications, Div div / divisions);

impl Neg for Counted {
    type Output = Counted;
    fn neg(self) -> Counted {
        Counted(-self.0)
    }
}

macro_rules! functions {
    ($($f:ident),*) => { $(
        fn $f(&self) -> Counted {
            note(|n| n.functions += 1);
            Counted(Scalar::$f(&self.0))
        }
    )* };
}

impl Scalar for Counted {
    fn from_f64(x: f64) -> Counted {
        Counted(x)
    }
    fn to_f64(&self) -> f64 {
        self.0
    }
    functions!(exp, ln, sqrt, tanh, sin, cos, asin, acos, atan, floor, round_half_even);
    fn powf(&self, y: &Counted) -> Counted {
        note(|n| n.functions += 1);
        Counted(self.0.powf(y.0))
    }
    fn abs(&self) -> Counted {
        Counted(self.0.abs())
    }
    fn sign(&self) -> Counted {
        Counted(Scalar::sign(&self.0))
    }
    fn maximum(&self, o: &Counted) -> Counted {
        if self.is_nan() || self.partial_cmp(o).is_some_and(Ordering::is_ge) { *self } else { *o }
    }
}
