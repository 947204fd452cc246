//! Transcendental functions of vectors of f32, bit for bit those of the engine.
//!
//! The polynomials, their order of operations and their treatment of NaN, infinities and denormals are those of
//! `engine::kernels::math`, so that a compiled plan and an interpreted one give the same tokens. Coefficients: Cephes (tanh,
//! exp, sin, cos), FreeBSD/musl (log), N. Juffa (erf). No op may assume anything (`FastMath::NONE`): each rounds as written.

use super::{Floats, Ints};
use crate::ir::{Builder, CmpF, CmpI, F32, F64, Func, I32, MemRef, Module};
use std::f32::consts::LOG2_E;

/// 1.5 · 2²³: added to |x| < 2²² it leaves x rounded to the nearest integer in the low bits of the sum.
pub(super) const MAGIC: f32 = 12_582_912.0;
const LN2_HI: f32 = 0.693_359_4;
const LN2_LO: f32 = -2.121_944_4e-4;
/// Beyond this the reduction of [`sin`] and [`cos`] loses bits.
const TRIG_LIMIT: f32 = 8192.0;

/// The constant everywhere.
fn all(b: &mut Builder, like: Floats, value: f32) -> Floats {
    b.float(like.ty(), f64::from(value))
}

fn int(b: &mut Builder, like: Ints, value: i32) -> Ints {
    b.int(like.ty(), i64::from(value))
}

/// The polynomial with these coefficients, the highest first, by fused multiply-adds.
fn polynomial(b: &mut Builder, x: Floats, coefficients: &[f32]) -> Floats {
    let (first, rest) = coefficients.split_first().unwrap_or((&0.0, &[]));
    let mut p = all(b, x, *first);
    for c in rest {
        let c = all(b, x, *c);
        p = b.fma(p, x, c);
    }
    p
}

/// 2ⁿ for −126 ≤ n ≤ 127.
fn power_of_two(b: &mut Builder, n: Ints) -> Floats {
    let bias = int(b, n, 127);
    let places = int(b, n, 23);
    let biased = b.addi(n, bias);
    let bits = b.shli(biased, places);
    b.bitcast(bits, F32)
}

/// `x + MAGIC`'s integer, as an integer and as a float.
fn nearest(b: &mut Builder, shifted: Floats) -> (Ints, Floats) {
    let bits = b.bitcast(shifted, I32);
    let base = int(b, bits, MAGIC.to_bits() as i32);
    let magic = all(b, shifted, MAGIC);
    (b.subi(bits, base), b.subf(shifted, magic))
}

/// eˣ.
pub fn exp(b: &mut Builder, x: Floats) -> Floats {
    // The comparisons are false for NaN, which passes and makes `r` NaN.
    let (high, low) = (all(b, x, 89.0), all(b, x, -104.0));
    let above = b.cmpf(CmpF::Ogt, x, high);
    let x = b.select(above, high, x);
    let below = b.cmpf(CmpF::Olt, x, low);
    let x = b.select(below, low, x);
    let (log2e, magic) = (all(b, x, LOG2_E), all(b, x, MAGIC));
    let shifted = b.fma(x, log2e, magic);
    let (n, n_float) = nearest(b, shifted);
    let (hi, lo, one) = (all(b, x, -LN2_HI), all(b, x, -LN2_LO), all(b, x, 1.0));
    let r = b.fma(n_float, hi, x);
    let r = b.fma(n_float, lo, r);
    let p =
        polynomial(b, r, &[1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.0e-1]);
    let square = b.mulf(r, r);
    let p = b.fma(p, square, r);
    let p = b.addf(p, one);
    // In two steps: 2ⁿ alone leaves the range where the product does not (denormal results, e^88.7).
    let places = int(b, n, 1);
    let half = b.shrsi(n, places);
    let rest = b.subi(n, half);
    let (first, second) = (power_of_two(b, half), power_of_two(b, rest));
    let p = b.mulf(p, first);
    b.mulf(p, second)
}

/// Natural logarithm: −∞ at 0, NaN below.
pub fn log(b: &mut Builder, x: Floats) -> Floats {
    const SQRT_HALF: i32 = 0x3f35_04f3;
    let (zero, one, two, half) = (all(b, x, 0.0), all(b, x, 1.0), all(b, x, 2.0), all(b, x, 0.5));
    let least = all(b, x, f32::MIN_POSITIVE);
    let tiny = b.cmpf(CmpF::Olt, x, least);
    let (up, bias) = (all(b, x, 8_388_608.0), all(b, x, -23.0));
    let scaled = b.mulf(x, up);
    let scaled = b.select(tiny, scaled, x);
    let bias = b.select(tiny, bias, zero);
    let bits = b.bitcast(scaled, I32);
    let shift = int(b, bits, 0x3f80_0000 - SQRT_HALF);
    let bits = b.addi(bits, shift);
    let (places, middle) = (int(b, bits, 23), int(b, bits, 127));
    let k = b.shrsi(bits, places);
    let k = b.subi(k, middle);
    let k = b.sitofp(k, F32);
    let k = b.addf(k, bias);
    let (mask, root) = (int(b, bits, 0x007f_ffff), int(b, bits, SQRT_HALF));
    let mantissa = b.andi(bits, mask);
    let mantissa = b.addi(mantissa, root);
    let f = b.bitcast(mantissa, F32);
    let f = b.subf(f, one);
    let below = b.addf(two, f);
    let s = b.divf(f, below);
    let z = b.mulf(s, s);
    let w = b.mulf(z, z);
    let t1 = polynomial(b, w, &[0.242_790_79, 0.400_009_72]);
    let t1 = b.mulf(w, t1);
    let t2 = polynomial(b, w, &[0.284_987_87, 0.666_666_6]);
    let t2 = b.mulf(z, t2);
    let half_square = b.mulf(half, f);
    let half_square = b.mulf(half_square, f);
    let sum = b.addf(t2, t1);
    let sum = b.addf(half_square, sum);
    let (low, high) = (all(b, x, 9.058_001e-6), all(b, x, 0.693_138_1));
    let k_low = b.mulf(k, low);
    let value = b.fma(s, sum, k_low);
    let value = b.subf(value, half_square);
    let value = b.addf(value, f);
    let value = b.fma(k, high, value);
    let (infinity, minus) = (all(b, x, f32::INFINITY), all(b, x, f32::NEG_INFINITY));
    let endless = b.cmpf(CmpF::Oeq, x, infinity);
    let value = b.select(endless, x, value);
    let none = b.cmpf(CmpF::Oeq, x, zero);
    let value = b.select(none, minus, value);
    // False for NaN too.
    let fits = b.cmpf(CmpF::Oge, x, zero);
    let nan = all(b, x, f32::NAN);
    b.select(fits, value, nan)
}

/// log(1 + y) for 0 ≤ y ≤ 1 (and NaN), without the loss of y's low bits.
fn log1p_unit(b: &mut Builder, y: Floats) -> Floats {
    let one = all(b, y, 1.0);
    let u = b.addf(one, y);
    let main = log(b, u);
    let back = b.subf(u, one);
    let lost = b.subf(y, back);
    let rest = b.divf(lost, u);
    b.addf(main, rest)
}

/// Hyperbolic tangent.
pub fn tanh(b: &mut Builder, x: Floats) -> Floats {
    let (one, two, border) = (all(b, x, 1.0), all(b, x, 2.0), all(b, x, 0.625));
    let a = b.absf(x);
    let z = b.mulf(x, x);
    let p =
        polynomial(b, z, &[-5.704_988_7e-3, 2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1]);
    let pz = b.mulf(p, z);
    let small = b.fma(pz, a, a);
    let double = b.mulf(two, a);
    let e = exp(b, double);
    let below = b.addf(e, one);
    let part = b.divf(two, below);
    let large = b.subf(one, part);
    // NaN takes `large`.
    let near = b.cmpf(CmpF::Olt, a, border);
    let value = b.select(near, small, large);
    b.copysign(value, x)
}

/// 1 / (1 + e⁻ˣ), from e⁻|ˣ| so that neither end overflows.
pub fn sigmoid(b: &mut Builder, x: Floats) -> Floats {
    let (zero, one) = (all(b, x, 0.0), all(b, x, 1.0));
    let a = b.absf(x);
    let a = b.negf(a);
    let e = exp(b, a);
    let negative = b.cmpf(CmpF::Olt, x, zero);
    let above = b.select(negative, e, one);
    let below = b.addf(one, e);
    b.divf(above, below)
}

/// x · sigmoid(x); NaN at −∞, as its decomposition.
pub fn silu(b: &mut Builder, x: Floats) -> Floats {
    let s = sigmoid(b, x);
    b.mulf(x, s)
}

/// log(1 + eˣ) = max(x, 0) + log(1 + e⁻|ˣ|).
pub fn softplus(b: &mut Builder, x: Floats) -> Floats {
    let zero = all(b, x, 0.0);
    let negative = b.cmpf(CmpF::Olt, x, zero);
    let positive = b.select(negative, zero, x);
    let a = b.absf(x);
    let a = b.negf(a);
    let e = exp(b, a);
    let rest = log1p_unit(b, e);
    b.addf(positive, rest)
}

/// max(x, 0)²; NaN stays NaN.
pub fn squared_relu(b: &mut Builder, x: Floats) -> Floats {
    let zero = all(b, x, 0.0);
    let negative = b.cmpf(CmpF::Olt, x, zero);
    let positive = b.select(negative, zero, x);
    b.mulf(positive, positive)
}

/// The error function.
pub fn erf(b: &mut Builder, x: Floats) -> Floats {
    let (one, border) = (all(b, x, 1.0), all(b, x, 0.927_734_4));
    let t = b.absf(x);
    let s = b.mulf(x, x);
    let r = polynomial(b, t, &[-1.728_534_7e-5, 3.831_971_3e-4]);
    let u = polynomial(b, t, &[-3.883_964_4e-3, 2.425_462_2e-2]);
    let mut r = b.fma(r, s, u);
    for c in [-1.067_778_8e-1, -6.348_467e-1, -1.287_175_1e-1] {
        let c = all(b, x, c);
        r = b.fma(r, t, c);
    }
    let minus = b.negf(t);
    let r = b.fma(r, t, minus);
    let e = exp(b, r);
    let large = b.subf(one, e);
    let q = polynomial(
        b,
        s,
        &[-5.967_617e-4, 4.991_194_2e-3, -2.676_813_5e-2, 1.128_199_2e-1, -3.761_253_4e-1, 1.283_791_7e-1],
    );
    let small = b.fma(q, t, t);
    let far = b.cmpf(CmpF::Ogt, t, border);
    let value = b.select(far, large, small);
    b.copysign(value, x)
}

/// (sin, cos) of the reduced argument, and the quadrant.
fn sin_cos(b: &mut Builder, x: Floats) -> (Floats, Floats, Ints) {
    let (turns, magic) = (all(b, x, std::f32::consts::FRAC_2_PI), all(b, x, MAGIC));
    let turned = b.mulf(x, turns);
    let shifted = b.addf(turned, magic);
    let (quadrant, n) = nearest(b, shifted);
    // One step in f64 instead of the usual three in f32.
    let (wide, n) = (b.extf(x, F64), b.extf(n, F64));
    let quarter = b.float(wide.ty(), std::f64::consts::FRAC_PI_2);
    let part = b.mulf(n, quarter);
    let r = b.subf(wide, part);
    let r = b.truncf(r, F32);
    let z = b.mulf(r, r);
    let p = polynomial(b, z, &[-1.951_529_6e-4, 8.332_161e-3, -1.666_665_5e-1]);
    let pz = b.mulf(p, z);
    let sine = b.fma(pz, r, r);
    let q = polynomial(b, z, &[2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2]);
    let qz = b.mulf(q, z);
    let (minus_half, one) = (all(b, x, -0.5), all(b, x, 1.0));
    let rest = b.fma(minus_half, z, one);
    let cosine = b.fma(qz, z, rest);
    (sine, cosine, quadrant)
}

/// `even` in the even quadrants, else `odd`; negated where `sign` has bit 1.
fn by_quadrant(b: &mut Builder, quadrant: Ints, sign: Ints, even: Floats, odd: Floats) -> Floats {
    let (zero, one, two) = (int(b, quadrant, 0), int(b, quadrant, 1), int(b, quadrant, 2));
    let low = b.andi(quadrant, one);
    let is_even = b.cmpi(CmpI::Eq, low, zero);
    let value = b.select(is_even, even, odd);
    let high = b.andi(sign, two);
    let keeps = b.cmpi(CmpI::Eq, high, zero);
    let minus = b.negf(value);
    b.select(keeps, value, minus)
}

/// Sine for |x| ≤ 8192; [`map`] leaves what lies beyond to the C library.
pub fn sin(b: &mut Builder, x: Floats) -> Floats {
    let (sine, cosine, quadrant) = sin_cos(b, x);
    let value = by_quadrant(b, quadrant, quadrant, sine, cosine);
    // Zero keeps its sign, which the reduction loses.
    let zero = all(b, x, 0.0);
    let is_zero = b.cmpf(CmpF::Oeq, x, zero);
    b.select(is_zero, x, value)
}

/// Cosine for |x| ≤ 8192; [`map`] leaves what lies beyond to the C library.
pub fn cos(b: &mut Builder, x: Floats) -> Floats {
    let (sine, cosine, quadrant) = sin_cos(b, x);
    let one = int(b, quadrant, 1);
    let next = b.addi(quadrant, one);
    by_quadrant(b, quadrant, next, cosine, sine)
}

/// The nearest integer, halves away from zero.
pub fn round_away(b: &mut Builder, x: Floats) -> Floats {
    let (half, one, zero) = (all(b, x, 0.5), all(b, x, 1.0), all(b, x, 0.0));
    let magnitude = b.absf(x);
    let below = b.floor(magnitude);
    let rest = b.subf(magnitude, below);
    let up = b.cmpf(CmpF::Oge, rest, half);
    let up = b.select(up, one, zero);
    let rounded = b.addf(below, up);
    b.copysign(rounded, x)
}

/// The functions that [`map`] and the fused kernels know by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// eˣ.
    Exp,
    /// Natural logarithm.
    Log,
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// x · sigmoid(x).
    Silu,
    /// log(1 + eˣ).
    Softplus,
    /// max(x, 0)².
    SquaredRelu,
    /// The error function.
    Erf,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
}

impl Function {
    /// Every function.
    pub const ALL: [Function; 10] = [
        Function::Exp,
        Function::Log,
        Function::Tanh,
        Function::Sigmoid,
        Function::Silu,
        Function::Softplus,
        Function::SquaredRelu,
        Function::Erf,
        Function::Sin,
        Function::Cos,
    ];

    /// The name, as in the names of kernels.
    pub fn name(self) -> &'static str {
        match self {
            Function::Exp => "exp",
            Function::Log => "log",
            Function::Tanh => "tanh",
            Function::Sigmoid => "sigmoid",
            Function::Silu => "silu",
            Function::Softplus => "softplus",
            Function::SquaredRelu => "squared_relu",
            Function::Erf => "erf",
            Function::Sin => "sin",
            Function::Cos => "cos",
        }
    }

    /// The ops of the function on a vector of any length. Sine and cosine are those for |x| ≤ 8192.
    pub fn emit(self, b: &mut Builder, x: Floats) -> Floats {
        match self {
            Function::Exp => exp(b, x),
            Function::Log => log(b, x),
            Function::Tanh => tanh(b, x),
            Function::Sigmoid => sigmoid(b, x),
            Function::Silu => silu(b, x),
            Function::Softplus => softplus(b, x),
            Function::SquaredRelu => squared_relu(b, x),
            Function::Erf => erf(b, x),
            Function::Sin => sin(b, x),
            Function::Cos => cos(b, x),
        }
    }

    /// Whether large arguments need the C library.
    fn limited(self) -> bool {
        matches!(self, Function::Sin | Function::Cos)
    }
}

/// A private function `(x, y)` over `memref<len x f32>`: y = function(x), element by element; x and y may be one memref.
pub fn map(m: &mut Module, lanes: usize, function: Function, len: usize) -> Func<[MemRef<F32, 1>; 2], ()> {
    let (name, ty) = (format!("map_{}_{len}", function.name()), MemRef::new(F32, [len as i64]));
    super::once(m, &name, [ty; 2], |m| {
        m.function(super::private(&name), [ty; 2], |b, [x, y]| {
            super::strips(b, len, lanes, |b, at, width| {
                let v = b.vector_load(x, at, [width]);
                let made = function.emit(b, v);
                if function.limited() {
                    let limit = all(b, v, TRIG_LIMIT);
                    let size = b.absf(v);
                    // NaN is among those that lie beyond.
                    let beyond = b.cmpf(CmpF::Ugt, size, limit);
                    let exact = |b: &mut Builder| {
                        let wide = b.extf(v, F64);
                        let made = if function == Function::Sin { b.sin(wide) } else { b.cos(wide) };
                        b.truncf(made, F32)
                    };
                    let any = super::any(b, beyond);
                    let made = b.if_(
                        any,
                        |b| {
                            let exact = exact(b);
                            b.select(beyond, exact, made)
                        },
                        |_| made,
                    );
                    b.vector_store(made, y, at);
                } else {
                    b.vector_store(made, y, at);
                }
            });
        })
    })
}
