//! Inverse trigonometric functions, the error function, and functions that a composition would compute with a loss of
//! digits: ln(1 + x), e^x - 1, ln(1 + e^x).
//!
//! `log1p` and `expm1` follow Kahan's compensation of the rounding of 1 + x and e^x (see Higham, "Accuracy and Stability of
//! Numerical Algorithms", 2002, section 1.14), which needs nothing but the logarithm and the exponential and so holds at any
//! precision.

use super::{arity, float, map, series};
use crate::array::Array;
use crate::attrs::Attrs;
use crate::op::{Class, Cost, EvalCx, NodeCx, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

/// `smooth!(Type, "name", class, function, tangent in terms of the node and t, coefficients, decomposition)`.
macro_rules! smooth {
    ($(#[$doc:meta])* $op:ident, $name:literal, $class:expr, $f:expr, |$n:ident, $t:ident| $jvp:expr,
     jet |$m:ident, $x:ident| $jet:expr, decompose |$o:ident| $decompose:expr) => {
        $(#[$doc])*
        pub struct $op;
        impl OpDef for $op {
            const NAME: &'static str = $name;
            const CLASS: Class = $class;
            fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
                arity(inputs, 1)?;
                float(inputs, 0)?;
                Ok(inputs.to_vec())
            }
            fn eval<S: Scalar>(
                _: &EvalCx, _: &Attrs, i: &[Array<S>], _: &[Type],
            ) -> Result<Vec<Array<S>>, String> {
                Ok(vec![map(&i[0], $f, |x| x)])
            }
            fn jvp($n: &NodeCx, $t: &[Tangent]) -> Option<Vec<Tangent>> {
                Some(vec![match &$t[0] { Some($t) => $jvp, None => None }])
            }
            fn jet($m: &NodeCx, s: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
                let $x = series::of(&$m.inputs[0], &s[0]);
                Some(vec![$jet])
            }
            fn decompose($o: &NodeCx) -> Option<Vec<Var>> {
                $decompose
            }
            fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
                let n = elements(out);
                Cost { operations: 2.0 * n, transcendental: n, bytes: bytes(inputs) + bytes(out) }
            }
        }
    };
}

/// The coefficients after the first of y, where y' = h x'.
fn integrate(h: &[Tangent], x: &[Tangent]) -> Vec<Tangent> {
    (1..x.len()).map(|k| series::integral(h, x, k)).collect()
}

/// The series of 1 - x² or 1 + x².
fn one_with_square(x: &[Tangent], sign: f64) -> (series::Series, Var) {
    let value = x[0].as_ref().expect("a series has a value");
    let first = value.square() * sign + 1.0;
    (series::with_value(series::scale(series::square(x), sign), first.clone()), first)
}

smooth!(
    /// Inverse sine, in [-π/2, π/2].
    Asin, "asin", Class::Elementwise, S::asin,
    |n, t| Some(t / &(1.0 - n.inputs[0].square()).sqrt()),
    jet |n, x| {
        let (s, first) = one_with_square(&x, -1.0);
        let _ = n;
        integrate(&series::power(&s, first.rsqrt(), -0.5), &x)
    },
    decompose |n| { let _ = n; None }
);
smooth!(
    /// Inverse cosine, in [0, π].
    Acos, "acos", Class::Elementwise, S::acos,
    |n, t| Some(-(t / &(1.0 - n.inputs[0].square()).sqrt())),
    jet |n, x| {
        let (s, first) = one_with_square(&x, -1.0);
        let _ = n;
        series::scale(integrate(&series::power(&s, first.rsqrt(), -0.5), &x), -1.0)
    },
    decompose |n| { let _ = n; None }
);
smooth!(
    /// Inverse tangent, in [-π/2, π/2].
    Atan, "atan", Class::Elementwise, S::atan,
    |n, t| Some(t / &(n.inputs[0].square() + 1.0)),
    jet |n, x| {
        let (s, first) = one_with_square(&x, 1.0);
        let _ = n;
        integrate(&series::power(&s, first.reciprocal(), -1.0), &x)
    },
    decompose |n| { let _ = n; None }
);
smooth!(
    /// The error function, 2/√π ∫ e^-s² ds from 0 to x.
    Erf, "erf", Class::Elementwise, erf,
    |n, t| Some(t * &((-n.inputs[0].square()).exp() * erf_slope(&n.inputs[0]))),
    jet |n, x| {
        // h = e^s with s = -x², so h' = h s'.
        let s = series::scale(series::square(&x), -1.0);
        let mut h = vec![Some((-n.inputs[0].square()).exp())];
        (1..x.len()).for_each(|k| h.push(series::integral(&h, &s, k)));
        let slope = erf_slope(&n.inputs[0]);
        integrate(&h, &x).into_iter().map(|c| c.map(|c| c * &slope)).collect()
    },
    decompose |n| { let _ = n; None }
);
smooth!(
    /// ln(1 + x), accurate where x is small.
    Log1p, "log1p", Class::Composite,
    |x: &S| {
        let one = S::from_f64(1.0);
        let u = one.clone() + x.clone();
        if u == one || x.to_f64() == f64::INFINITY { x.clone() } else { u.ln() * x.clone() / (u - one) }
    },
    |n, t| Some(t / &(&n.inputs[0] + 1.0)),
    jet |n, x| {
        let first = &n.inputs[0] + 1.0;
        let s = series::with_value(x.clone(), first.clone());
        integrate(&series::power(&s, first.reciprocal(), -1.0), &x)
    },
    decompose |n| {
        let x = &n.inputs[0];
        let (one, infinite) = (x.full_like(1.0), x.full_like(f64::INFINITY));
        let u = x + &one;
        let plain = u.equal(&one).or(&x.equal(&infinite));
        let gap = plain.select(&one, &(&u - &one));
        Some(vec![plain.select(x, &(u.log() * x / gap))])
    }
);
smooth!(
    /// e^x - 1, accurate where x is small.
    Expm1, "expm1", Class::Composite,
    |x: &S| {
        let one = S::from_f64(1.0);
        let u = x.exp();
        let gap = u.clone() - one.clone();
        if u == one { x.clone() } else if u.to_f64() == f64::INFINITY || gap == -one { gap } else { gap * x.clone() / u.ln() }
    },
    |n, t| Some(t * &(&n.outputs[0] + 1.0)),
    jet |n, x| {
        let mut h = vec![Some(&n.outputs[0] + 1.0)];
        (1..x.len()).for_each(|k| h.push(series::integral(&h, &x, k)));
        h.split_off(1)
    },
    decompose |n| {
        let x = &n.inputs[0];
        let one = x.full_like(1.0);
        let u = x.exp();
        let gap = &u - &one;
        let (small, far) = (u.equal(&one), u.equal(&x.full_like(f64::INFINITY)).or(&gap.equal(&-&one)));
        let slope = small.or(&far).select(&one, &u.log());
        Some(vec![small.select(x, &far.select(&gap, &(&gap * x / slope)))])
    }
);
smooth!(
    /// ln(1 + e^x), a smooth relu.
    Softplus, "softplus", Class::Composite,
    softplus,
    |n, t| Some(t * &n.inputs[0].sigmoid()),
    jet |n, x| {
        // h = sigmoid(x), so h' = (h - h²) x'.
        let mut h: series::Series = vec![Some(n.inputs[0].sigmoid())];
        for k in 1..x.len() {
            let slope: series::Series = (0..k)
                .map(|j| match (h[j].clone(), series::product(&h, &h, j, 0..=j, |a, b| a * b)) {
                    (Some(a), Some(b)) => Some(a - b),
                    (a, b) => a.or(b.map(|b| -b)),
                })
                .collect();
            let next = series::integral(&slope, &x, k);
            h.push(next);
        }
        integrate(&h, &x)
    },
    decompose |n| {
        let x = &n.inputs[0];
        Some(vec![x.relu() + &(-x.abs()).exp().log1p()])
    }
);

/// ln(1 + e^x).
pub(super) fn softplus<S: Scalar>(x: &S) -> S {
    // max(x, 0) + ln(1 + e^-|x|) never overflows. Written by cases: at 0 a sum of max and |x| would have the slope of one
    // side.
    let one = S::from_f64(1.0);
    let log1p = |e: S| {
        let u = one.clone() + e.clone();
        if u == one { e } else { u.ln() * e / (u - one.clone()) }
    };
    if *x > S::from_f64(0.0) { x.clone() + log1p((-x.clone()).exp()) } else { log1p(x.exp()) }
}

/// The series 2/√π e^-x² Σ 2^n x^(2n+1) / (2n+1)!!, whose terms are of one sign, until a term no longer changes the sum.
fn erf<S: Scalar>(x: &S) -> S {
    let c = S::from_f64;
    let square = x.clone() * x.clone();
    let scale = (-square.clone()).exp();
    if x.is_nan() {
        return x.clone();
    }
    // What is missing to 1 is below e^-x², which 1 does not show any more.
    if c(1.0) - scale.clone() == c(1.0) {
        return x.sign();
    }
    let (mut term, mut sum) = (x.clone(), x.clone());
    for n in 1..20_000 {
        term = term * square.clone() * c(2.0) / c(2.0 * f64::from(n) + 1.0);
        let next = sum.clone() + term.clone();
        if next == sum {
            break;
        }
        sum = next;
    }
    // 2/√π = 1/√(π/4), in the arithmetic at hand.
    sum * scale / c(1.0).atan().sqrt()
}

/// 2/√π as graph, so that it has the digits of whatever arithmetic evaluates it.
fn erf_slope(like: &Var) -> Var {
    like.full_like(1.0).atan().rsqrt()
}
