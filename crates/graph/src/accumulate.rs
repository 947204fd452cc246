//! Accumulators: how a sum is kept while its terms arrive.
//!
//! The arithmetic of the terms and the accumulator of their sum are two choices. Errors are bounded by n u for the plain
//! sum, log n · u in pairs (Higham 1993), 2u + n² u² compensated (Neumaier 1974, as TwoSum; dot products as in Ogita,
//! Rump and Oishi 2005), u for the wider one as long as that one is exact, and u for the exact one, always (Kulisch
//! 1971; its order of terms does not matter, so neither do threads and batches).
//!
//! The functions on slices of f32 are the specification and the engine's kernels at once: it cuts rows and calls them.

use crate::scalar::Scalar;
use std::fmt;
use std::str::FromStr;

/// How a sum is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Accumulator {
    /// One number of the terms' arithmetic, from the first term to the last.
    Plain,
    /// In pairs, by halves.
    Pairwise,
    /// With the lost parts in a second number.
    Compensated,
    /// In the next wider arithmetic: f64 for f32, a sum of two doubles for f64; compensated where there is none.
    Wider,
    /// Without error, rounded once at the end; the order of the terms does not matter. For f32 and f64; compensated in
    /// other arithmetics.
    Exact,
    /// The x87 extended format. Compiled code adds in it; here the sum is kept without error and rounded once, which is what
    /// it comes to but for n · 2⁻⁶⁴ of the terms' magnitudes.
    F80,
    /// IEEE binary128, in the same way: n · 2⁻¹¹³.
    F128,
}

impl Accumulator {
    /// Every one.
    pub const ALL: [Accumulator; 7] = [
        Accumulator::Plain,
        Accumulator::Pairwise,
        Accumulator::Compensated,
        Accumulator::Wider,
        Accumulator::Exact,
        Accumulator::F80,
        Accumulator::F128,
    ];

    /// The name, as attributes and configurations write it.
    pub fn name(self) -> &'static str {
        match self {
            Accumulator::Plain => "plain",
            Accumulator::Pairwise => "pairwise",
            Accumulator::Compensated => "compensated",
            Accumulator::Wider => "wider",
            Accumulator::Exact => "exact",
            Accumulator::F80 => "f80",
            Accumulator::F128 => "f128",
        }
    }
}

impl fmt::Display for Accumulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Accumulator {
    type Err = String;
    fn from_str(text: &str) -> Result<Accumulator, String> {
        let known = Accumulator::ALL.into_iter().find(|a| a.name() == text);
        let known = known.or((text == "f64").then_some(Accumulator::Wider));
        known.ok_or_else(|| {
            format!("there is no accumulator `{text}`; write plain, pairwise, compensated, wider (or f64), f80, f128 or exact")
        })
    }
}

/// A sum in any arithmetic. Wider and exact sums are compensated here; f32 and f64 have their own.
pub fn sum<S: Scalar>(how: Accumulator, terms: &[S]) -> S {
    let zero = || S::from_f64(0.0);
    match how {
        Accumulator::Plain => terms.iter().fold(zero(), |s, x| s + x.clone()),
        Accumulator::Pairwise => pairwise(terms),
        _ => {
            let (mut sum, mut lost) = (zero(), zero());
            for x in terms {
                let next = sum.clone() + x.clone();
                let error = if sum.abs() >= x.abs() {
                    (sum - next.clone()) + x.clone()
                } else {
                    (x.clone() - next.clone()) + sum
                };
                if !error.is_nan() {
                    lost = lost + error;
                }
                sum = next;
            }
            if (sum.clone() - sum.clone()).is_nan() { sum } else { sum + lost }
        }
    }
}

fn pairwise<S: Scalar>(terms: &[S]) -> S {
    match terms {
        [] => S::from_f64(0.0),
        [x] => x.clone(),
        _ => {
            let (a, b) = terms.split_at(terms.len() / 2);
            pairwise(a) + pairwise(b)
        }
    }
}

/// A sum of products in any arithmetic, each product rounded.
pub fn dot<S: Scalar>(how: Accumulator, a: &[S], b: &[S]) -> S {
    let products: Vec<S> = a.iter().zip(b).map(|(a, b)| a.clone() * b.clone()).collect();
    sum(how, &products)
}

/// Partial sums side by side: what a vector unit wants, and what bounds the error a little better.
const LANES: usize = 16;

#[inline(always)]
fn two_sum(a: f32, b: f32) -> (f32, f32) {
    let s = a + b;
    let t = s - a;
    (s, (a - (s - t)) + (b - t))
}

/// Joins lanes of sums and lost parts.
fn join(sums: [f32; LANES], lost: [f32; LANES]) -> f32 {
    let (mut s, mut l) = (0.0f32, 0.0f32);
    for (x, y) in sums.into_iter().zip(lost) {
        let (next, error) = two_sum(s, x);
        s = next;
        l += error + y;
    }
    // Infinities have no error term.
    if s.is_finite() { s + l } else { s }
}

/// A sum of f32.
#[inline(always)]
pub fn sum_f32(how: Accumulator, x: &[f32]) -> f32 {
    match how {
        Accumulator::Plain | Accumulator::Pairwise => sum(how, x),
        Accumulator::Compensated => {
            let (mut s, mut lost) = ([0.0f32; LANES], [0.0f32; LANES]);
            let (whole, rest) = x.as_chunks::<LANES>();
            for chunk in whole {
                for i in 0..LANES {
                    let (next, error) = two_sum(s[i], chunk[i]);
                    s[i] = next;
                    lost[i] += error;
                }
            }
            for (i, x) in rest.iter().enumerate() {
                let (next, error) = two_sum(s[i], *x);
                s[i] = next;
                lost[i] += error;
            }
            join(s, lost)
        }
        Accumulator::Wider => {
            let mut s = [0.0f64; LANES];
            let (whole, rest) = x.as_chunks::<LANES>();
            for chunk in whole {
                for i in 0..LANES {
                    s[i] += f64::from(chunk[i]);
                }
            }
            rest.iter().enumerate().for_each(|(i, x)| s[i] += f64::from(*x));
            pairwise(&s) as f32
        }
        Accumulator::Exact | Accumulator::F80 | Accumulator::F128 => {
            let mut s = ExactF32::new();
            x.iter().for_each(|x| s.add(f64::from(*x)));
            s.to_f32()
        }
    }
}

/// A sum of products of f32; products are exact but for the plain and the pairwise sum.
#[inline(always)]
pub fn dot_f32(how: Accumulator, a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    match how {
        Accumulator::Plain => a.iter().zip(b).fold(0.0, |s, (a, b)| s + a * b),
        Accumulator::Pairwise => pairwise_products(a, b),
        Accumulator::Compensated => {
            let (mut s, mut lost) = ([0.0f32; LANES], [0.0f32; LANES]);
            let mut term = |i: usize, a: f32, b: f32| {
                // The product fits in a double, and as two floats.
                let product = f64::from(a) * f64::from(b);
                let high = product as f32;
                let (next, error) = two_sum(s[i], high);
                s[i] = next;
                lost[i] += error + (product - f64::from(high)) as f32;
            };
            let ((wa, ra), (wb, rb)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
            for (a, b) in wa.iter().zip(wb) {
                (0..LANES).for_each(|i| term(i, a[i], b[i]));
            }
            ra.iter().zip(rb).enumerate().for_each(|(i, (a, b))| term(i, *a, *b));
            join(s, lost)
        }
        Accumulator::Wider => {
            let mut s = [0.0f64; LANES];
            let ((wa, ra), (wb, rb)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
            for (a, b) in wa.iter().zip(wb) {
                for i in 0..LANES {
                    s[i] += f64::from(a[i]) * f64::from(b[i]);
                }
            }
            ra.iter().zip(rb).enumerate().for_each(|(i, (a, b))| s[i] += f64::from(*a) * f64::from(*b));
            pairwise(&s) as f32
        }
        Accumulator::Exact | Accumulator::F80 | Accumulator::F128 => {
            let mut s = ExactF32::new();
            a.iter().zip(b).for_each(|(a, b)| s.add(f64::from(*a) * f64::from(*b)));
            s.to_f32()
        }
    }
}

fn pairwise_products(a: &[f32], b: &[f32]) -> f32 {
    match (a, b) {
        ([], _) | (_, []) => 0.0,
        ([a], [b]) => a * b,
        _ => {
            let half = a.len() / 2;
            pairwise_products(&a[..half], &b[..half]) + pairwise_products(&a[half..], &b[half..])
        }
    }
}

/// A sum of doubles; the wider one is kept in two doubles.
pub fn sum_f64(how: Accumulator, terms: &[f64]) -> f64 {
    match how {
        Accumulator::Exact | Accumulator::F80 | Accumulator::F128 => {
            let mut s = ExactF64::new();
            terms.iter().for_each(|x| s.add(*x));
            s.to_f64()
        }
        Accumulator::Wider => {
            let (mut hi, mut lo) = (0.0f64, 0.0f64);
            for x in terms {
                let s = hi + x;
                let t = s - hi;
                let error = (hi - (s - t)) + (x - t) + lo;
                if !s.is_finite() {
                    return sum(Accumulator::Plain, terms);
                }
                hi = s + error;
                lo = error - (hi - s);
            }
            hi
        }
        _ => sum(how, terms),
    }
}

/// A sum of products of doubles; the exact one adds the exact products.
pub fn dot_f64(how: Accumulator, a: &[f64], b: &[f64]) -> f64 {
    match how {
        Accumulator::Exact | Accumulator::F80 | Accumulator::F128 => {
            let mut s = ExactF64::new();
            a.iter().zip(b).for_each(|(a, b)| s.add_product(*a, *b));
            s.to_f64()
        }
        _ => {
            // With its error a product is two terms.
            let products = a.iter().zip(b).flat_map(|(a, b)| {
                let p = a * b;
                let e = a.mul_add(*b, -p);
                [p, if e.is_finite() { e } else { 0.0 }]
            });
            match how {
                Accumulator::Compensated | Accumulator::Wider => sum_f64(how, &products.collect::<Vec<_>>()),
                _ => dot(how, a, b),
            }
        }
    }
}

/// A sum without error: a fixed-point number that is wide enough for every term, in digits of 32 bits that may carry
/// later (Kulisch 1971; the late carries after Neal 2015). `LOWEST` is the exponent of its last bit.
#[derive(Clone, Debug)]
pub struct Exact<const DIGITS: usize, const LOWEST: i32> {
    digits: [i64; DIGITS],
    /// Terms since carries were last taken.
    terms: u32,
    /// NaN, or an infinity, or 0 while there is none.
    special: f64,
}

/// For f32 and their products: 2^-320 to 2^384.
pub type ExactF32 = Exact<22, -320>;
/// For f64 and their products: 2^-2176 to 2^2240.
pub type ExactF64 = Exact<138, -2176>;

impl<const DIGITS: usize, const LOWEST: i32> Default for Exact<DIGITS, LOWEST> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const DIGITS: usize, const LOWEST: i32> Exact<DIGITS, LOWEST> {
    /// Nothing yet.
    pub fn new() -> Self {
        Exact { digits: [0; DIGITS], terms: 0, special: 0.0 }
    }

    /// Adds a double that is a multiple of 2^`LOWEST` below its range, as every f32 and product of two f32 is for
    /// [`ExactF32`].
    #[inline]
    pub fn add(&mut self, x: f64) {
        let bits = x.to_bits();
        let exponent = (bits >> 52 & 0x7ff) as i32;
        let fraction = bits & ((1 << 52) - 1);
        if exponent == 0x7ff {
            self.special += x;
            return;
        }
        let (m, e) = if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
        // Trailing zeros are what lies below the last digit of a small product.
        let (m, e) = if e < LOWEST { (m >> (LOWEST - e).min(63), LOWEST) } else { (m, e) };
        self.add_bits(m, e, (bits as i64) < 0);
    }

    /// Adds the exact product of two doubles; for [`ExactF64`].
    pub fn add_product(&mut self, a: f64, b: f64) {
        let p = a * b;
        if !a.is_finite() || !b.is_finite() {
            self.special += p;
            return;
        }
        let part = |x: f64| {
            let e = (x.to_bits() >> 52 & 0x7ff) as i32;
            let f = x.to_bits() & ((1 << 52) - 1);
            if e == 0 { (f, -1074) } else { (f | 1 << 52, e - 1075) }
        };
        let ((ma, ea), (mb, eb)) = (part(a), part(b));
        let m = u128::from(ma) * u128::from(mb);
        let negative = a.is_sign_negative() != b.is_sign_negative();
        self.add_bits(m as u64, ea + eb, negative);
        self.add_bits((m >> 64) as u64, ea + eb + 64, negative);
    }

    /// Adds ±m 2^e.
    #[inline]
    fn add_bits(&mut self, m: u64, e: i32, negative: bool) {
        let at = (e - LOWEST) as usize;
        let wide = u128::from(m) << (at % 32);
        let sign = if negative { -1 } else { 1 };
        let first = (at / 32).min(DIGITS - 3);
        for k in 0..3 {
            self.digits[first + k] += sign * ((wide >> (32 * k)) as u32 as i64);
        }
        self.terms += 1;
        if self.terms == 1 << 30 {
            self.carry();
        }
    }

    /// Adds another sum.
    pub fn merge(&mut self, o: &Self) {
        self.carry();
        let mut o = o.clone();
        o.carry();
        self.digits.iter_mut().zip(o.digits).for_each(|(a, b)| *a += b);
        self.special += o.special;
        self.terms = 2;
    }

    /// Every digit but the last into 0 to 2^32 − 1.
    fn carry(&mut self) {
        for i in 0..DIGITS - 1 {
            let up = self.digits[i] >> 32;
            self.digits[i] -= up << 32;
            self.digits[i + 1] += up;
        }
        self.terms = 1;
    }

    /// Rounded once to `bits` of mantissa, not below 2^`lowest`, as a double.
    fn round(&self, bits: i32, lowest: i32) -> f64 {
        if self.special != 0.0 {
            return self.special;
        }
        let mut s = self.clone();
        s.carry();
        let negative = s.digits[DIGITS - 1] < 0;
        if negative {
            s.digits.iter_mut().for_each(|d| *d = -*d);
            s.carry();
        }
        let Some(top) = s.digits.iter().rposition(|d| *d != 0) else { return 0.0 };
        // The leading 128 bits, and whether there is more.
        let digit = |k: usize| top.checked_sub(k).map_or(0, |i| s.digits[i] as u128);
        let head = digit(0) << 96 | digit(1) << 64 | digit(2) << 32 | digit(3);
        let more = (4..=top).any(|k| digit(k) != 0);
        // The last digit may have up to 63 bits; the range leaves it below 32 for any number of terms that fits a run.
        let zeros = head.leading_zeros() as i32;
        let head = head << zeros;
        let exponent = LOWEST + 32 * (top as i32 + 1) - zeros;
        let quantum = (exponent - bits).max(lowest);
        let keep = exponent - quantum;
        if keep < 0 {
            return if negative { -0.0 } else { 0.0 };
        }
        let kept = if keep == 0 { 0 } else { head >> (128 - keep) };
        let rest = head << keep;
        let half = rest >> 127 == 1;
        let above = rest << 1 != 0 || more;
        let rounded = kept + u128::from(half && (above || kept & 1 == 1));
        let (a, b) = (quantum / 2, quantum - quantum / 2);
        let size = rounded as f64 * 2f64.powi(a) * 2f64.powi(b);
        if negative { -size } else { size }
    }

    /// The nearest f32.
    pub fn to_f32(&self) -> f32 {
        // Rounded to f32's mantissa as a double, so the conversion is exact or overflows.
        self.round(24, -149) as f32
    }

    /// The nearest f64.
    pub fn to_f64(&self) -> f64 {
        self.round(53, -1074)
    }
}
