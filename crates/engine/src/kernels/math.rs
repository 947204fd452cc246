//! Transcendental functions of f32 that vectorise: branch-free polynomials, at most 3 ulp from the exact value.
//!
//! Each function keeps NaN, is right at both infinities and where the result is denormal, and does not use
//! float-to-int conversions (Rust's saturate, which costs more than the polynomial): integers are read from the
//! bits of `x + 1.5 * 2^23`. Coefficients: Cephes (tanh, exp, sin, cos), FreeBSD/musl (log), N. Juffa (erf).

use super::simd::{Isa, multiversion};

/// 1.5 * 2^23: added to |x| < 2^22 it leaves round-half-even(x) in the low bits of the sum.
const MAGIC: f32 = 12_582_912.0;
const LN2_HI: f32 = 0.693_359_4;
const LN2_LO: f32 = -2.121_944_4e-4;

/// `2^n` for -126 <= n <= 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// e^x.
#[inline(always)]
pub fn exp<I: Isa>(x: f32) -> f32 {
    // The comparisons are false for NaN, which passes and makes `r` NaN.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let shifted = I::fma(x, std::f32::consts::LOG2_E, MAGIC);
    let n = (shifted.to_bits() as i32).wrapping_sub(MAGIC.to_bits() as i32);
    let n_float = shifted - MAGIC;
    let r = I::fma(n_float, -LN2_HI, x);
    let r = I::fma(n_float, -LN2_LO, r);
    let p = I::fma(1.987_569_1e-4, r, 1.398_2e-3);
    let p = I::fma(p, r, 8.333_452e-3);
    let p = I::fma(p, r, 4.166_579_6e-2);
    let p = I::fma(p, r, 1.666_666_5e-1);
    let p = I::fma(p, r, 5.0e-1);
    let p = I::fma(p, r * r, r) + 1.0;
    // In two steps: 2^n alone leaves the range where the product does not (denormal results, e^88.7).
    let half = n >> 1;
    p * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// [`exp`] of sixteen numbers, the same bits.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[inline]
pub(crate) fn exp_avx512(x: std::arch::x86_64::__m512) -> std::arch::x86_64::__m512 {
    use std::arch::x86_64::*;
    let all = |v: f32| _mm512_set1_ps(v);
    // The second operand passes where one is NaN.
    let x = _mm512_max_ps(all(-104.0), _mm512_min_ps(all(89.0), x));
    let n = _mm512_sub_ps(_mm512_fmadd_ps(x, all(std::f32::consts::LOG2_E), all(MAGIC)), all(MAGIC));
    let r = _mm512_fmadd_ps(n, all(-LN2_HI), x);
    let r = _mm512_fmadd_ps(n, all(-LN2_LO), r);
    let p = _mm512_fmadd_ps(all(1.987_569_1e-4), r, all(1.398_2e-3));
    let p = _mm512_fmadd_ps(p, r, all(8.333_452e-3));
    let p = _mm512_fmadd_ps(p, r, all(4.166_579_6e-2));
    let p = _mm512_fmadd_ps(p, r, all(1.666_666_5e-1));
    let p = _mm512_fmadd_ps(p, r, all(5.0e-1));
    let p = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), all(1.0));
    // One rounding, as the product with two powers of two has.
    _mm512_scalef_ps(p, n)
}

/// Natural logarithm: -inf at 0, NaN below.
#[inline(always)]
pub fn log<I: Isa>(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    let bias = if tiny { -23.0 } else { 0.0 };
    // The mantissa in [sqrt(1/2), sqrt(2)).
    const SQRT_HALF: i32 = 0x3f35_04f3;
    let bits = (scaled.to_bits() as i32).wrapping_add(0x3f80_0000 - SQRT_HALF);
    let k = ((bits >> 23) - 127) as f32 + bias;
    let f = f32::from_bits(((bits & 0x007f_ffff) + SQRT_HALF) as u32) - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let t1 = w * I::fma(w, 0.242_790_79, 0.400_009_72);
    let t2 = z * I::fma(w, 0.284_987_87, 0.666_666_6);
    let half_square = 0.5 * f * f;
    let value = I::fma(s, half_square + (t2 + t1), k * 9.058_001e-6) - half_square + f;
    let value = I::fma(k, 0.693_138_1, value);
    let value = if x == f32::INFINITY { x } else { value };
    let value = if x == 0.0 { f32::NEG_INFINITY } else { value };
    // True for NaN too.
    if x >= 0.0 { value } else { f32::NAN }
}

/// log(1 + y) for 0 <= y <= 1 (and NaN), without the loss of y's low bits.
#[inline(always)]
fn log1p_unit<I: Isa>(y: f32) -> f32 {
    let u = 1.0 + y;
    log::<I>(u) + (y - (u - 1.0)) / u
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh<I: Isa>(x: f32) -> f32 {
    let a = x.abs();
    let z = x * x;
    let p = I::fma(-5.704_988_7e-3, z, 2.063_909e-2);
    let p = I::fma(p, z, -5.373_971_6e-2);
    let p = I::fma(p, z, 1.333_144_2e-1);
    let p = I::fma(p, z, -3.333_328e-1);
    let small = I::fma(p * z, a, a);
    let large = 1.0 - 2.0 / (exp::<I>(2.0 * a) + 1.0);
    // NaN takes `large`.
    (if a < 0.625 { small } else { large }).copysign(x)
}

/// 1 / (1 + e^-x), from e^-|x| so that neither end overflows.
#[inline(always)]
pub fn sigmoid<I: Isa>(x: f32) -> f32 {
    let e = exp::<I>(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// x * sigmoid(x); NaN at -inf, as its decomposition.
#[inline(always)]
pub fn silu<I: Isa>(x: f32) -> f32 {
    x * sigmoid::<I>(x)
}

/// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|).
#[inline(always)]
pub fn softplus<I: Isa>(x: f32) -> f32 {
    let positive = if x < 0.0 { 0.0 } else { x };
    positive + log1p_unit::<I>(exp::<I>(-x.abs()))
}

/// Error function.
#[inline(always)]
pub fn erf<I: Isa>(x: f32) -> f32 {
    let t = x.abs();
    let s = x * x;
    let r = I::fma(-1.728_534_7e-5, t, 3.831_971_3e-4);
    let u = I::fma(-3.883_964_4e-3, t, 2.425_462_2e-2);
    let r = I::fma(r, s, u);
    let r = I::fma(r, t, -1.067_778_8e-1);
    let r = I::fma(r, t, -6.348_467e-1);
    let r = I::fma(r, t, -1.287_175_1e-1);
    let r = I::fma(r, t, -t);
    let large = 1.0 - exp::<I>(r);
    let q = I::fma(-5.967_617e-4, s, 4.991_194_2e-3);
    let q = I::fma(q, s, -2.676_813_5e-2);
    let q = I::fma(q, s, 1.128_199_2e-1);
    let q = I::fma(q, s, -3.761_253_4e-1);
    let q = I::fma(q, s, 1.283_791_7e-1);
    let small = I::fma(q, t, t);
    (if t > 0.927_734_4 { large } else { small }).copysign(x)
}

/// Beyond this the three-part reduction below loses bits; [`sin_slice`] and [`cos_slice`] leave such elements
/// to the standard library.
pub const TRIG_LIMIT: f32 = 8192.0;

/// (sin, cos) of the reduced argument, and the quadrant, for |x| <= [`TRIG_LIMIT`].
#[inline(always)]
fn sin_cos_reduced<I: Isa>(x: f32) -> (f32, f32, i32) {
    let shifted = x * std::f32::consts::FRAC_2_PI + MAGIC;
    let quadrant = (shifted.to_bits() as i32).wrapping_sub(MAGIC.to_bits() as i32);
    let n = f64::from(shifted - MAGIC);
    // One step in f64 instead of the usual three in f32: exact also without fused multiply-add.
    let r = (f64::from(x) - n * std::f64::consts::FRAC_PI_2) as f32;
    let z = r * r;
    let p = I::fma(-1.951_529_6e-4, z, 8.332_161e-3);
    let p = I::fma(p, z, -1.666_665_5e-1);
    let sine = I::fma(p * z, r, r);
    let q = I::fma(2.443_315_7e-5, z, -1.388_731_6e-3);
    let q = I::fma(q, z, 4.166_664_6e-2);
    let cosine = I::fma(q * z, z, I::fma(-0.5, z, 1.0));
    (sine, cosine, quadrant)
}

#[inline(always)]
fn sin_small<I: Isa>(x: f32) -> f32 {
    let (sine, cosine, quadrant) = sin_cos_reduced::<I>(x);
    let value = if quadrant & 1 == 0 { sine } else { cosine };
    // Zero keeps its sign, which the reduction loses.
    let value = if quadrant & 2 == 0 { value } else { -value };
    if x == 0.0 { x } else { value }
}

#[inline(always)]
fn cos_small<I: Isa>(x: f32) -> f32 {
    let (sine, cosine, quadrant) = sin_cos_reduced::<I>(x);
    let value = if quadrant & 1 == 0 { cosine } else { sine };
    if quadrant.wrapping_add(1) & 2 == 0 { value } else { -value }
}

/// Nearest integer, ties away from zero. `floor(|x| + 0.5)` would be wrong just below 0.5.
#[inline(always)]
pub fn round_away<I: Isa>(x: f32) -> f32 {
    let magnitude = x.abs();
    let below = I::floor(magnitude);
    let up = if magnitude - below >= 0.5 { 1.0 } else { 0.0 };
    (below + up).copysign(x)
}

macro_rules! slice_form {
    ($(#[$meta:meta])* $name:ident, $body:ident, $scalar:ident) => {
        #[inline(always)]
        fn $body<I: Isa>(x: &[f32], out: &mut [f32]) {
            for (out, &x) in out.iter_mut().zip(x) {
                *out = $scalar::<I>(x);
            }
        }
        multiversion! {
            $(#[$meta])*
            pub fn $name(x: &[f32], out: &mut [f32]) = $body
        }
    };
}

slice_form! {
    /// [`exp`] of each element; `x` and `out` have one length.
    exp_slice, exp_body, exp
}
slice_form! {
    /// [`log`] of each element.
    log_slice, log_body, log
}
slice_form! {
    /// [`tanh`] of each element.
    tanh_slice, tanh_body, tanh
}
slice_form! {
    /// [`sigmoid`] of each element.
    sigmoid_slice, sigmoid_body, sigmoid
}
slice_form! {
    /// [`silu`] of each element.
    silu_slice, silu_body, silu
}
slice_form! {
    /// [`softplus`] of each element.
    softplus_slice, softplus_body, softplus
}
slice_form! {
    /// [`erf`] of each element.
    erf_slice, erf_body, erf
}
slice_form! {
    /// Sine for |x| <= [`TRIG_LIMIT`]; wrong beyond.
    sin_limited, sin_body, sin_small
}
slice_form! {
    /// Cosine for |x| <= [`TRIG_LIMIT`]; wrong beyond.
    cos_limited, cos_body, cos_small
}

/// Sine of each element, all of the f32 range.
pub fn sin_slice(x: &[f32], out: &mut [f32]) {
    sin_limited(x, out);
    for (out, &x) in out.iter_mut().zip(x) {
        if x.abs() > TRIG_LIMIT || x.is_nan() {
            *out = f64::from(x).sin() as f32;
        }
    }
}

/// Cosine of each element, all of the f32 range.
pub fn cos_slice(x: &[f32], out: &mut [f32]) {
    cos_limited(x, out);
    for (out, &x) in out.iter_mut().zip(x) {
        if x.abs() > TRIG_LIMIT || x.is_nan() {
            *out = f64::from(x).cos() as f32;
        }
    }
}
