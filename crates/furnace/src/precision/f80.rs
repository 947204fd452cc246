//! The 80-bit format of the x87 unit: 64 bits of mantissa, 15 of exponent.
//!
//! Sums, products, quotients and roots are single instructions, which IEEE 754 makes correctly rounded. Functions are
//! not the unit's own (`fsin` knows π to 66 bits, `f2xm1` needs an argument that has already been rounded): they are
//! done in 128 bits by `astro-float` and rounded to 64, so they are wrong in the last place once in 2^63.
#![allow(unsafe_code)]

use super::big::{self, EVEN, Rounded};
use astro_float::BigFloat;
use graph::Scalar;
use std::arch::asm;
use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Sub};

const PRECISION: u32 = 64;
/// Exponent of the last bit of a subnormal.
const LOWEST: i64 = -16445;
const WIDE: usize = 192;

/// A number of the x87's 80-bit format, as it lies in memory: 8 bytes of mantissa (its leading bit is stored), 2 of
/// sign and exponent.
///
/// ```
/// use furnace::precision::F80;
/// use graph::Scalar;
///
/// let x = F80::from_f64(100000001.0);
/// assert_eq!((x * x - F80::from_f64(1e16)).to_f64(), 200000001.0);
/// ```
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct F80 {
    mantissa: u64,
    /// Sign in the top bit.
    exponent: u16,
}

/// What surrounds the instructions: the control word of a platform that shortens mantissas is put aside.
///
/// Linux, macOS and the BSDs start with 64 bits and ties to even; Windows starts with 53 bits.
static EXTENDED: u16 = 0x037f;

macro_rules! binary {
    ($name:ident, $instruction:literal) => {
        fn $name(a: F80, b: F80) -> F80 {
            let mut r = F80 { mantissa: 0, exponent: 0 };
            let mut before = 0u16;
            // SAFETY: the instructions read the ten bytes of each operand and write ten bytes of `r` and two of
            // `before`, all of which live on this frame; the stack of the unit is as deep after them as it was, and
            // every register of it is declared as changed.
            unsafe {
                asm!(
                    "fnstcw word ptr [{before}]",
                    "fldcw word ptr [{extended}]",
                    "fld tbyte ptr [{a}]",
                    "fld tbyte ptr [{b}]",
                    $instruction,
                    "fstp tbyte ptr [{r}]",
                    "fldcw word ptr [{before}]",
                    a = in(reg) &raw const a, b = in(reg) &raw const b, r = in(reg) &raw mut r,
                    before = in(reg) &raw mut before, extended = in(reg) &raw const EXTENDED,
                    out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                    out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
                    options(nostack)
                );
            }
            r
        }
    };
}
binary!(add, "faddp st(1), st");
binary!(sub, "fsubp st(1), st");
binary!(mul, "fmulp st(1), st");
binary!(div, "fdivp st(1), st");

fn sqrt(a: F80) -> F80 {
    let mut r = F80 { mantissa: 0, exponent: 0 };
    let mut before = 0u16;
    // SAFETY: as in `binary!`, with one operand.
    unsafe {
        asm!(
            "fnstcw word ptr [{before}]",
            "fldcw word ptr [{extended}]",
            "fld tbyte ptr [{a}]",
            "fsqrt",
            "fstp tbyte ptr [{r}]",
            "fldcw word ptr [{before}]",
            a = in(reg) &raw const a, r = in(reg) &raw mut r,
            before = in(reg) &raw mut before, extended = in(reg) &raw const EXTENDED,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
            options(nostack)
        );
    }
    r
}

fn load(x: f64) -> F80 {
    let mut r = F80 { mantissa: 0, exponent: 0 };
    // SAFETY: reads eight bytes of `x` and writes ten of `r`, which live on this frame; a load is exact in any mode.
    unsafe {
        asm!(
            "fld qword ptr [{x}]",
            "fstp tbyte ptr [{r}]",
            x = in(reg) &raw const x, r = in(reg) &raw mut r,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
            options(nostack)
        );
    }
    r
}

/// Rounded once by the unit (a store rounds to nearest whatever the width of mantissas).
fn store(x: F80) -> (f64, f32) {
    let (mut wide, mut narrow) = (0f64, 0f32);
    // SAFETY: reads ten bytes of `x` twice and writes eight of `wide` and four of `narrow`, which live on this frame.
    unsafe {
        asm!(
            "fld tbyte ptr [{x}]",
            "fst dword ptr [{narrow}]",
            "fstp qword ptr [{wide}]",
            x = in(reg) &raw const x, wide = in(reg) &raw mut wide, narrow = in(reg) &raw mut narrow,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
            options(nostack)
        );
    }
    (wide, narrow)
}

impl F80 {
    /// From 64 bits of mantissa and 16 of sign and exponent; a mantissa without its leading bit is only allowed in a
    /// subnormal (exponent 0), anything else becomes NaN.
    pub fn from_bits(mantissa: u64, sign_exponent: u16) -> F80 {
        let exponent = sign_exponent & 0x7fff;
        let whole = exponent == 0 || mantissa >> 63 == 1;
        if whole { F80 { mantissa, exponent: sign_exponent } } else { F80::nan() }
    }

    /// Mantissa, then sign and exponent.
    pub fn to_bits(self) -> (u64, u16) {
        (self.mantissa, self.exponent)
    }

    fn nan() -> F80 {
        F80 { mantissa: 3 << 62, exponent: 0x7fff }
    }

    fn negative(self) -> bool {
        self.exponent >> 15 == 1
    }

    pub(super) fn big(self) -> BigFloat {
        match self.exponent & 0x7fff {
            0x7fff if self.mantissa << 1 != 0 => BigFloat::nan(None),
            0x7fff if self.negative() => astro_float::INF_NEG,
            0x7fff => astro_float::INF_POS,
            e => {
                let quantum = LOWEST + (i64::from(e) - 1).max(0);
                big::from_integer(u128::from(self.mantissa), quantum, self.negative())
            }
        }
    }

    pub(super) fn round(x: &BigFloat) -> F80 {
        if x.is_nan() {
            return F80::nan();
        }
        let sign = if x.is_negative() { 0x8000 } else { 0 };
        let infinity = F80 { mantissa: 1 << 63, exponent: sign | 0x7fff };
        if x.is_inf() {
            return infinity;
        }
        let Rounded { mut mantissa, mut quantum } = Rounded::new(x, PRECISION, LOWEST);
        if mantissa >> PRECISION == 1 {
            (mantissa, quantum) = (mantissa >> 1, quantum + 1);
        }
        let mantissa = mantissa as u64;
        if mantissa >> 63 == 0 {
            return F80 { mantissa, exponent: sign };
        }
        match quantum - LOWEST + 1 {
            e @ 1..0x7fff => F80 { mantissa, exponent: sign | e as u16 },
            _ => infinity,
        }
    }

    fn of(self, f: impl FnOnce(&BigFloat) -> BigFloat) -> F80 {
        F80::round(&f(&self.big()))
    }
}

impl PartialEq for F80 {
    fn eq(&self, o: &Self) -> bool {
        self.partial_cmp(o) == Some(Ordering::Equal)
    }
}
impl PartialOrd for F80 {
    fn partial_cmp(&self, o: &Self) -> Option<Ordering> {
        // Magnitudes order as integers do.
        let key = |x: F80| {
            let size = i128::from(x.exponent & 0x7fff) << 64 | i128::from(x.mantissa);
            if x.negative() { -size } else { size }
        };
        (!Scalar::is_nan(self) && !Scalar::is_nan(o)).then(|| key(*self).cmp(&key(*o)))
    }
}

macro_rules! arithmetic {
    ($($trait:ident $f:ident),*) => { $(
        impl $trait for F80 {
            type Output = F80;
            fn $f(self, o: F80) -> F80 {
                $f(self, o)
            }
        }
    )* };
}
arithmetic!(Add add, Sub sub, Mul mul, Div div);
impl Neg for F80 {
    type Output = F80;
    fn neg(self) -> F80 {
        F80 { exponent: self.exponent ^ 0x8000, ..self }
    }
}

macro_rules! functions {
    ($($f:ident),*) => { $(
        fn $f(&self) -> F80 {
            self.of(|x| big::with_consts(|c| x.$f(128, EVEN, c)))
        }
    )* };
}

impl Scalar for F80 {
    fn from_f64(x: f64) -> F80 {
        load(x)
    }
    fn to_f64(&self) -> f64 {
        store(*self).0
    }
    fn from_decimal(text: &str) -> Option<F80> {
        big::parse(text, WIDE).map(|x| F80::round(&x))
    }
    fn to_decimal(&self) -> String {
        super::decimal::shortest(self, &big::format(&self.big()), 19, 21)
    }
    functions!(exp, ln, tanh, sin, cos, asin, acos, atan);
    fn sqrt(&self) -> F80 {
        sqrt(*self)
    }
    fn powf(&self, y: &F80) -> F80 {
        self.of(|x| big::pow(x, &y.big(), 128))
    }
    fn floor(&self) -> F80 {
        self.of(BigFloat::floor)
    }
    fn round_half_even(&self) -> F80 {
        self.of(big::round_half_even)
    }
    fn abs(&self) -> F80 {
        F80 { exponent: self.exponent & 0x7fff, ..*self }
    }
    fn is_nan(&self) -> bool {
        self.exponent & 0x7fff == 0x7fff && self.mantissa << 1 != 0
    }
    fn round_to(&self, dtype: axes::DType) -> F80 {
        match dtype {
            axes::DType::F32 => load(f64::from(store(*self).1)),
            _ => big::round_to(&self.big(), dtype).map_or(*self, load),
        }
    }
}

impl From<F80> for super::Digits {
    /// Exactly, whatever the number of digits at present.
    fn from(x: F80) -> Self {
        super::Digits(x.big())
    }
}
impl From<&super::Digits> for F80 {
    /// Rounded once.
    fn from(x: &super::Digits) -> Self {
        F80::round(&x.0)
    }
}
