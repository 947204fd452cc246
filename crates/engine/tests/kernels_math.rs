//! The vectorised functions against f64, over the whole range and at its ends.

mod common;

use common::{Random, each_level};
use engine::kernels::simd::Level;
use engine::kernels::math;

fn erf(x: f64) -> f64 {
    // A series of positive terms: e^-x² * Σ 2^n x^(2n+1) / (2n+1)!!
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > 1e-18 * sum.abs() {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    sum * (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI
}

/// Units in the last place of the exact value's f32.
fn ulps(found: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if found == rounded || (found.is_nan() && rounded.is_nan()) {
        return 0.0;
    }
    if rounded.is_infinite() {
        // One step below overflow is one unit.
        return if found.is_infinite() { 1e9 } else { 1.0 + (f64::from(f32::MAX) - f64::from(found)) };
    }
    let magnitude = rounded.abs().max(f32::MIN_POSITIVE);
    let unit = f64::from(f32::from_bits(magnitude.to_bits() + 1)) - f64::from(magnitude);
    (f64::from(found) - exact).abs() / unit
}

fn inputs(low: f32, high: f32) -> Vec<f32> {
    let mut random = Random::new(7);
    let mut x = random.vec(200_003, low, high);
    // Small ones of all sizes as well.
    x.extend((0..20_000).map(|_| random.f32(-1.0, 1.0) * 2f32.powi(-(random.below(140) as i32))));
    x.retain(|&x| x >= low && x <= high);
    x
}

fn check(
    name: &str,
    f: impl Fn(&[f32], &mut [f32]),
    exact: impl Fn(f64) -> f64,
    (low, high): (f32, f32),
    limit: f64,
) {
    let x = inputs(low, high);
    each_level(|level| {
        let mut y = vec![0.0; x.len()];
        f(&x, &mut y);
        let (mut worst, mut at) = (0.0, 0.0);
        for (&x, &y) in x.iter().zip(&y) {
            let error = ulps(y, exact(f64::from(x)));
            if error > worst || error.is_nan() {
                (worst, at) = (error, x);
            }
        }
        println!("{name} {level:?}: {worst:.2} ulp at {at:e}");
        assert!(worst <= limit, "{name} {level:?}: {worst} ulp at {at:e}");
        // A tail of any length gives what the whole gives.
        for len in 0..20 {
            let mut part = vec![0.0; len];
            f(&x[5..5 + len], &mut part);
            assert_eq!(part, y[5..5 + len]);
        }
    });
}

#[test]
fn accuracy() {
    check("exp", math::exp_slice, f64::exp, (-110.0, 95.0), 2.0);
    check("log", math::log_slice, f64::ln, (0.0, 3.0), 2.0);
    check("log large", math::log_slice, f64::ln, (0.0, f32::MAX), 2.0);
    check("tanh", math::tanh_slice, f64::tanh, (-12.0, 12.0), 3.0);
    check("sigmoid", math::sigmoid_slice, |x| 1.0 / (1.0 + (-x).exp()), (-110.0, 110.0), 3.0);
    check("silu", math::silu_slice, |x| x / (1.0 + (-x).exp()), (-80.0, 110.0), 3.0);
    check("softplus", math::softplus_slice, |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), (-110.0, 110.0), 3.0);
    check("erf", math::erf_slice, erf, (-6.0, 6.0), 3.0);
    // Near the zeros of sine the argument's reduction decides.
    check("sin", math::sin_slice, f64::sin, (-100.0, 100.0), 3.0);
    check("cos", math::cos_slice, f64::cos, (-100.0, 100.0), 3.0);
    check("sin wide", math::sin_slice, f64::sin, (-9000.0, 9000.0), 3.0);
}

#[test]
fn special_values() {
    let infinity = f32::INFINITY;
    each_level(|level| {
        let at = |f: fn(&[f32], &mut [f32]), x: f32| {
            // Nine copies: a vector and a tail.
            let mut y = [0.5; 9];
            f(&[x; 9], &mut y);
            assert!(y[0].to_bits() == y[8].to_bits() || (y[0].is_nan() && y[8].is_nan()), "{level:?}");
            y[8]
        };
        for f in [
            math::exp_slice as fn(&[f32], &mut [f32]),
            math::log_slice,
            math::tanh_slice,
            math::sigmoid_slice,
            math::silu_slice,
            math::softplus_slice,
            math::erf_slice,
            math::sin_slice,
            math::cos_slice,
        ] {
            assert!(at(f, f32::NAN).is_nan(), "{level:?}");
            assert!(at(f, -f32::NAN).is_nan(), "{level:?}");
        }
        assert_eq!(at(math::exp_slice, infinity), infinity);
        assert_eq!(at(math::exp_slice, -infinity), 0.0);
        assert_eq!(at(math::exp_slice, 0.0), 1.0);
        assert_eq!(at(math::exp_slice, f32::MAX), infinity);
        assert_eq!(at(math::log_slice, 0.0), -infinity);
        assert_eq!(at(math::log_slice, -0.0), -infinity);
        assert_eq!(at(math::log_slice, infinity), infinity);
        assert!(at(math::log_slice, -1.0).is_nan());
        assert!(at(math::log_slice, -infinity).is_nan());
        assert_eq!(at(math::log_slice, 1.0), 0.0);
        assert_eq!(at(math::tanh_slice, infinity), 1.0);
        assert_eq!(at(math::tanh_slice, -infinity), -1.0);
        assert!(at(math::tanh_slice, -0.0).is_sign_negative());
        assert_eq!(at(math::sigmoid_slice, infinity), 1.0);
        assert_eq!(at(math::sigmoid_slice, -infinity), 0.0);
        assert_eq!(at(math::silu_slice, infinity), infinity);
        assert_eq!(at(math::softplus_slice, infinity), infinity);
        assert_eq!(at(math::softplus_slice, -infinity), 0.0);
        assert_eq!(at(math::erf_slice, infinity), 1.0);
        assert_eq!(at(math::erf_slice, -infinity), -1.0);
        assert!(at(math::sin_slice, infinity).is_nan());
        assert!(at(math::cos_slice, -infinity).is_nan());
        assert!(at(math::sin_slice, -0.0).is_sign_negative());
    });
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let mut random = Random::new(77);
    // Magnitudes of all kinds, and what has no magnitude.
    let mut x: Vec<f32> = (0..20_000).map(|_| f32::from_bits(random.next() << 1 ^ random.next())).collect();
    x.extend(random.vec(20_000, -20.0, 20.0));
    x.extend([0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE, f32::MAX, 1e-45]);
    let functions: [(&str, fn(&[f32], &mut [f32])); 8] = [
        ("exp", math::exp_slice),
        ("log", math::log_slice),
        ("tanh", math::tanh_slice),
        ("sigmoid", math::sigmoid_slice),
        ("silu", math::silu_slice),
        ("softplus", math::softplus_slice),
        ("erf", math::erf_slice),
        ("sin", math::sin_slice),
    ];
    for (name, f) in functions {
        let made = std::cell::RefCell::new(Vec::<(Level, Vec<f32>)>::new());
        each_level(|level| {
            let mut y = vec![0.0; x.len()];
            f(&x, &mut y);
            made.borrow_mut().push((level, y));
        });
        let made = made.into_inner();
        for (level, y) in &made[1..] {
            for (i, (a, b)) in made[0].1.iter().zip(y).enumerate() {
                let same = a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
                assert!(same, "{name}({:e}): {a:e} portable, {b:e} {level:?}", x[i]);
            }
        }
    }
}
