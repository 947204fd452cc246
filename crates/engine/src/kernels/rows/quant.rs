//! Quantisers of BitNet b1.58 (Ma et al. 2024, absmean weights) and of the MatMul-free LM (Zhu et al. 2024,
//! absmax activations for each token), each in its integer form and in its fake (dequantised) form.

use super::super::math::round_away;
use super::super::simd::{Isa, multiversion};
use super::norm::rstd_of;
use super::{ELEMENTS_PER_TASK, ROWS_PER_TASK, max_terms, sum_terms};
use crate::pool::Pool;

/// What happens to a value halfway between two integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Away from zero: the released models' fused kernel (CUDA `round`).
    HalfAway,
    /// To the even one: `torch.round`, and everything else.
    HalfEven,
}

/// Smallest absmax and absmean that a scale is taken from.
const FLOOR: f32 = 1e-5;

/// max(x, FLOOR), NaN where x is.
#[inline(always)]
fn floored(x: f32) -> f32 {
    if x < FLOOR { FLOOR } else { x }
}

/// The integer nearest to `v`, in [-128, 127], still an f32.
#[inline(always)]
fn level<I: Isa>(v: f32, rounding: Rounding) -> f32 {
    let rounded = match rounding {
        Rounding::HalfAway => round_away::<I>(v),
        Rounding::HalfEven => I::round_even(v),
    };
    let rounded = if rounded > 127.0 { 127.0 } else { rounded };
    if rounded < -128.0 { -128.0 } else { rounded }
}

/// To i8 without a saturating conversion: the integer is the low byte of `x + 1.5 * 2^23`. NaN gives 0.
#[inline(always)]
fn to_i8(level: f32) -> i8 {
    (level + 12_582_912.0).to_bits() as i8
}

/// scale = 127 / max(absmax, 1e-5) for each row, q = clamp(round(y * scale), -128, 127).
///
/// `y` and `q` are `(rows, cols)`, `scale` is `(rows)`. A row with a NaN has the scale NaN.
pub fn quantize_activations(
    pool: &Pool,
    y: &[f32],
    cols: usize,
    rounding: Rounding,
    q: &mut [i8],
    scale: &mut [f32],
) {
    assert_eq!(y.len(), scale.len() * cols, "y is (rows, cols)");
    assert_eq!(q.len(), y.len(), "q is (rows, cols)");
    if cols == 0 {
        return;
    }
    let (size, tasks) = (ROWS_PER_TASK * cols, scale.len().div_ceil(ROWS_PER_TASK));
    pool.chunks2(tasks, (q, scale), [size, ROWS_PER_TASK], |task, q, scale| {
        let y = &y[task * size..][..q.len()];
        match rounding {
            Rounding::HalfAway => activations_away(y, cols, q, scale),
            Rounding::HalfEven => activations_even(y, cols, q, scale),
        }
    });
}

multiversion! {
    fn activations_away(y: &[f32], cols: usize, q: &mut [i8], scale: &mut [f32]) = activations_away_body
}
multiversion! {
    fn activations_even(y: &[f32], cols: usize, q: &mut [i8], scale: &mut [f32]) = activations_even_body
}

#[inline(always)]
fn activations_away_body<I: Isa>(y: &[f32], cols: usize, q: &mut [i8], scale: &mut [f32]) {
    activations_body::<I>(y, cols, Rounding::HalfAway, q, scale);
}

#[inline(always)]
fn activations_even_body<I: Isa>(y: &[f32], cols: usize, q: &mut [i8], scale: &mut [f32]) {
    activations_body::<I>(y, cols, Rounding::HalfEven, q, scale);
}

#[inline(always)]
fn activations_body<I: Isa>(y: &[f32], cols: usize, rounding: Rounding, q: &mut [i8], scale: &mut [f32]) {
    for ((y, q), scale) in y.chunks_exact(cols).zip(q.chunks_exact_mut(cols)).zip(scale) {
        let s = 127.0 / floored(max_terms(y, y, 0.0, |y, _| y.abs()));
        *scale = s;
        for (q, &y) in q.iter_mut().zip(y) {
            *q = to_i8(level::<I>(y * s, rounding));
        }
    }
}

/// y = q / scale; `q` and `y` are `(rows, cols)`, `scale` is `(rows)`.
pub fn dequantize(pool: &Pool, q: &[i8], scale: &[f32], y: &mut [f32]) {
    assert_eq!(q.len(), y.len(), "q and y have one shape");
    if q.is_empty() {
        return;
    }
    assert_eq!(q.len() % scale.len(), 0, "one scale for each row");
    let cols = q.len() / scale.len();
    let size = ROWS_PER_TASK * cols;
    pool.chunks(y, size, |task, y| {
        dequantize_rows(&q[task * size..][..y.len()], &scale[task * ROWS_PER_TASK..], cols, y);
    });
}

multiversion! {
    /// y = q / scale on the calling thread: `q` and `y` are `(rows, cols)`, `scale` is `(rows)`.
    pub(crate) fn dequantize_rows(q: &[i8], scale: &[f32], cols: usize, y: &mut [f32]) = dequantize_body
}

#[inline(always)]
fn dequantize_body<I: Isa>(q: &[i8], scale: &[f32], cols: usize, y: &mut [f32]) {
    for ((q, y), &scale) in q.chunks_exact(cols).zip(y.chunks_exact_mut(cols)).zip(scale) {
        for (y, &q) in y.iter_mut().zip(q) {
            *y = f32::from(q) / scale;
        }
    }
}

/// The input half of a fused BitLinear in training: [`rms_norm`](super::rms_norm), then the fake quantiser,
/// y_q = q / scale, in one pass over the row.
///
/// `x`, `y_q` are `(rows, cols)`, `weight` is `(cols)`; `rstd` and `scale` are `(rows)`.
pub fn rms_norm_fake_quantize(
    pool: &Pool,
    x: &[f32],
    weight: &[f32],
    eps: f32,
    rounding: Rounding,
    y_q: &mut [f32],
    rstd: &mut [f32],
    scale: &mut [f32],
) {
    let cols = weight.len();
    assert_eq!(x.len(), rstd.len() * cols, "x is (rows, cols)");
    assert_eq!(y_q.len(), x.len(), "y_q is (rows, cols)");
    assert_eq!(scale.len(), rstd.len(), "scale is (rows)");
    if cols == 0 {
        return;
    }
    let (size, tasks) = (ROWS_PER_TASK * cols, rstd.len().div_ceil(ROWS_PER_TASK));
    let sizes = [size, ROWS_PER_TASK, ROWS_PER_TASK];
    pool.chunks3(tasks, (y_q, rstd, scale), sizes, |task, y_q, rstd, scale| {
        let x = &x[task * size..][..y_q.len()];
        match rounding {
            Rounding::HalfAway => norm_fake_away(x, weight, eps, y_q, rstd, scale),
            Rounding::HalfEven => norm_fake_even(x, weight, eps, y_q, rstd, scale),
        }
    });
}

/// As [`rms_norm_fake_quantize`], with the integers `q` of shape `(rows, cols)` in place of y_q.
pub fn rms_norm_quantize(
    pool: &Pool,
    x: &[f32],
    weight: &[f32],
    eps: f32,
    rounding: Rounding,
    q: &mut [i8],
    rstd: &mut [f32],
    scale: &mut [f32],
) {
    let cols = weight.len();
    assert_eq!(x.len(), rstd.len() * cols, "x is (rows, cols)");
    assert_eq!(q.len(), x.len(), "q is (rows, cols)");
    assert_eq!(scale.len(), rstd.len(), "scale is (rows)");
    if cols == 0 {
        return;
    }
    let (size, tasks) = (ROWS_PER_TASK * cols, rstd.len().div_ceil(ROWS_PER_TASK));
    let sizes = [size, ROWS_PER_TASK, ROWS_PER_TASK];
    pool.chunks3(tasks, (q, rstd, scale), sizes, |task, q, rstd, scale| {
        let x = &x[task * size..][..q.len()];
        match rounding {
            Rounding::HalfAway => norm_int_away(x, weight, eps, q, rstd, scale),
            Rounding::HalfEven => norm_int_even(x, weight, eps, q, rstd, scale),
        }
    });
}

macro_rules! norm_quantize {
    ($($name:ident, $body:ident, $t:ty, $rounding:ident, |$level:ident, $scale:ident| $value:expr;)*) => { $(
        multiversion! {
            fn $name(x: &[f32], weight: &[f32], eps: f32, out: &mut [$t], rstd: &mut [f32], scale: &mut [f32]) = $body
        }

        #[inline(always)]
        fn $body<I: Isa>(x: &[f32], weight: &[f32], eps: f32, out: &mut [$t], rstd: &mut [f32], scale: &mut [f32]) {
            let cols = weight.len();
            let rows = x.chunks_exact(cols).zip(out.chunks_exact_mut(cols)).zip(rstd).zip(scale);
            for (((x, out), rstd), scale) in rows {
                let r = rstd_of::<I>(x, eps);
                // The normalised row is computed twice rather than stored: the row is in the first-level cache.
                let $scale = 127.0 / floored(max_terms(x, weight, 0.0, |x, w| (x * r * w).abs()));
                (*rstd, *scale) = (r, $scale);
                for ((out, &x), &w) in out.iter_mut().zip(x).zip(weight) {
                    let $level = level::<I>(x * r * w * $scale, Rounding::$rounding);
                    *out = $value;
                }
            }
        }
    )* };
}
norm_quantize! {
    norm_fake_away, norm_fake_away_body, f32, HalfAway, |level, scale| level / scale;
    norm_fake_even, norm_fake_even_body, f32, HalfEven, |level, scale| level / scale;
    norm_int_away, norm_int_away_body, i8, HalfAway, |level, scale| to_i8(level);
    norm_int_even, norm_int_even_body, i8, HalfEven, |level, scale| to_i8(level);
}

multiversion! {
    /// 1 / max(mean|w|, 1e-5), the mean taken in f64; on one thread, in a fixed order.
    pub fn absmean_scale(w: &[f32]) -> f32 = absmean_body
}

#[inline(always)]
fn absmean_body<I: Isa>(w: &[f32]) -> f32 {
    let sum = sum_terms(w, w, w, |w, _, _| w.abs());
    1.0 / floored((sum / w.len() as f64) as f32)
}

/// The ternary quantiser: scale = [`absmean_scale`], trit = clamp(round_half_even(w * scale), -1, 1).
/// `trits` has the length of `w`; the scale is returned.
pub fn quantize_weights(pool: &Pool, w: &[f32], trits: &mut [i8]) -> f32 {
    assert_eq!(w.len(), trits.len(), "one trit for each weight");
    let scale = absmean_scale(w);
    pool.chunks(trits, ELEMENTS_PER_TASK, |task, trits| {
        weights(&w[task * ELEMENTS_PER_TASK..][..trits.len()], scale, trits);
    });
    scale
}

multiversion! {
    fn weights(w: &[f32], scale: f32, trits: &mut [i8]) = weights_body
}

#[inline(always)]
fn weights_body<I: Isa>(w: &[f32], scale: f32, trits: &mut [i8]) {
    for (trit, &w) in trits.iter_mut().zip(w) {
        // Exactly 0.5 rounds to the even 0.
        let v = w * scale;
        *trit = i8::from(v > 0.5) - i8::from(v < -0.5);
    }
}

/// The fake form of [`quantize_weights`]: w_q = trit / scale. The scale is returned.
pub fn fake_quantize_weights(pool: &Pool, w: &[f32], w_q: &mut [f32]) -> f32 {
    assert_eq!(w.len(), w_q.len(), "w_q has the shape of w");
    let scale = absmean_scale(w);
    pool.chunks(w_q, ELEMENTS_PER_TASK, |task, w_q| {
        weights_fake(&w[task * ELEMENTS_PER_TASK..][..w_q.len()], scale, w_q);
    });
    scale
}

multiversion! {
    fn weights_fake(w: &[f32], scale: f32, w_q: &mut [f32]) = weights_fake_body
}

#[inline(always)]
fn weights_fake_body<I: Isa>(w: &[f32], scale: f32, w_q: &mut [f32]) {
    // ±1 / scale is ±(1 / scale) exactly; a NaN scale makes every value NaN.
    let unit = 1.0 / scale;
    for (w_q, &w) in w_q.iter_mut().zip(w) {
        let v = w * scale;
        let trit = if v > 0.5 { 1.0 } else { 0.0 } - if v < -0.5 { 1.0 } else { 0.0 };
        *w_q = trit * unit;
    }
}
