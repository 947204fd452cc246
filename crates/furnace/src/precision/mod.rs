//! Precision as a choice.
//!
//! Three things can be chosen, separately: the scalar of the arithmetic (this module), the accumulator of sums
//! ([`graph::Accumulator`]), and the evaluation, which is fixed or goes on until a tolerance is met.
//!
//! | [`Precision`] | written | scalar | digits | errors of + − × ÷ √; of functions |
//! |---|---|---|---|---|
//! | `F32`, `F64` | `f32`, `f64` | `f32`, `f64` | 7, 16 | correctly rounded; the platform's |
//! | `F80` | `f80` | [`F80`] | 19 | correctly rounded (x87); rounded from 128 bits |
//! | `DoubleDouble` | `dd` | [`DoubleDouble`] | 32 | 1 to 10 × 2^-106, proven; 4 × 2^-106, tested |
//! | `F128` | `f128` | [`F128`] | 34 | correctly rounded; rounded from 192 bits |
//! | `Digits(n)` | `digits:40` | [`Digits`] | n | correctly rounded to whole words; the same, by its crate's account |
//! | `Interval` | `interval` | [`Interval`] of `f64` | 16 | bounds that hold |
//! | `IntervalDigits(n)` | `interval:40` | [`Interval`] of [`Digits`] | n | bounds that hold |
//! | `Adaptive` | `adaptive:1e-20` | the same, digits doubled until the bounds meet the tolerance | | |
//!
//! A number written in a graph is a double. Whether 0.1 then means that double or a tenth is a choice as well:
//! [`graph::Literals`]. Inputs can be decimals: [`Given::Decimals`].

mod big;
mod decimal;
mod digits;
mod double_double;
mod double_functions;
mod end;
mod evaluate;
mod f128;
#[cfg(target_arch = "x86_64")]
mod f80;
mod interval;

pub use digits::Digits;
pub use double_double::DoubleDouble;
pub use end::{End, Function, Toward};
pub use evaluate::{
    ADAPTIVE_LIMIT, Answer, Attempt, Evaluation, Given, Real, Task, adapt, evaluate, evaluate_fn, trace,
};
#[cfg(target_arch = "x86_64")]
pub use f80::F80;
pub use f128::F128;
pub use interval::{Fault, Interval};

use crate::FurnaceError;
use std::fmt;
use std::str::FromStr;

/// In which arithmetic, or to which tolerance, something is evaluated.
///
/// ```
/// use furnace::precision::Precision;
///
/// assert_eq!("digits:40".parse::<Precision>().unwrap(), Precision::Digits(40));
/// assert_eq!(Precision::Adaptive { tolerance: 1e-20 }.to_string(), "adaptive:1e-20");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Precision {
    /// IEEE binary32.
    F32,
    /// IEEE binary64.
    #[default]
    F64,
    /// The x87's 80 bits; on x86-64 only.
    F80,
    /// Sums of two doubles.
    DoubleDouble,
    /// IEEE binary128.
    F128,
    /// At least that many decimal digits.
    Digits(usize),
    /// Bounds in doubles.
    Interval,
    /// Bounds of at least that many decimal digits.
    IntervalDigits(usize),
    /// Digits are added until every result is known to the tolerance: absolute below 1, relative above.
    Adaptive {
        /// Above 0 and below 1.
        tolerance: f64,
    },
}

/// Most digits that can be asked for: a number of them takes 42 KB.
const MOST_DIGITS: usize = 100_000;

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Precision::F32 => f.write_str("f32"),
            Precision::F64 => f.write_str("f64"),
            Precision::F80 => f.write_str("f80"),
            Precision::DoubleDouble => f.write_str("dd"),
            Precision::F128 => f.write_str("f128"),
            Precision::Digits(n) => write!(f, "digits:{n}"),
            Precision::Interval => f.write_str("interval"),
            Precision::IntervalDigits(n) => write!(f, "interval:{n}"),
            Precision::Adaptive { tolerance } => write!(f, "adaptive:{tolerance:e}"),
        }
    }
}

impl FromStr for Precision {
    type Err = FurnaceError;
    fn from_str(text: &str) -> Result<Precision, FurnaceError> {
        let fail = |problem: String| Err(FurnaceError::Precision { name: text.to_string(), problem });
        let digits = |n: &str| {
            n.parse::<usize>().ok().filter(|n| (1..=MOST_DIGITS).contains(n)).ok_or(FurnaceError::Precision {
                name: text.to_string(),
                problem: format!("`{n}` is no number of digits; write 1 to {MOST_DIGITS}, such as digits:40"),
            })
        };
        match text.split_once(':') {
            None => Ok(match text {
                "f32" => Precision::F32,
                "f64" => Precision::F64,
                "f80" if cfg!(target_arch = "x86_64") => Precision::F80,
                "f80" => {
                    return fail(
                        "it is the format of the x87 unit, which only x86-64 processors have; write dd or f128".into(),
                    );
                }
                "dd" | "double-double" => Precision::DoubleDouble,
                "f128" => Precision::F128,
                "interval" => Precision::Interval,
                _ => {
                    return fail(
                        "there is none of that name; write f32, f64, f80, dd, f128, digits:N, interval, interval:N or \
                         adaptive:TOLERANCE"
                            .into(),
                    );
                }
            }),
            Some(("digits", n)) => digits(n).map(Precision::Digits),
            Some(("interval", n)) => digits(n).map(Precision::IntervalDigits),
            Some(("adaptive", t)) => match t.parse::<f64>() {
                Ok(tolerance) if tolerance > 0.0 && tolerance < 1.0 => Ok(Precision::Adaptive { tolerance }),
                _ => {
                    fail(format!("`{t}` is no tolerance; write a number above 0 and below 1, such as 1e-20"))
                }
            },
            Some((name, _)) => fail(format!(
                "`{name}` takes nothing after a colon; digits:N, interval:N and adaptive:TOLERANCE do"
            )),
        }
    }
}
