//! Activations with a fused form.

use super::{arity, float, map, taylor};
use crate::array::Array;
use crate::attrs::Attrs;
use crate::op::{Class, Cost, EvalCx, NodeCx, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

macro_rules! activation {
    ($(#[$doc:meta])* $op:ident, $name:literal, hard: $hard:literal, $f:expr, |$x:ident| $decompose:expr,
     |$n:ident, $t:ident| $jvp:expr, jet |$m:ident, $s:ident| $jet:expr) => {
        $(#[$doc])*
        pub struct $op;
        impl OpDef for $op {
            const NAME: &'static str = $name;
            const CLASS: Class = Class::Elementwise;
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
            fn jvp($n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
                Some(vec![match &t[0] { Some($t) => $jvp, None => None }])
            }
            fn jet($m: &NodeCx, series: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
                let $s = &series[0];
                Some(vec![$jet])
            }
            fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
                let $x = &n.inputs[0];
                Some(vec![$decompose])
            }
            fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
                let n = elements(out);
                let transcendental = if $hard { n } else { 0.0 };
                Cost { operations: 2.0 * n, transcendental, bytes: bytes(inputs) + bytes(out) }
            }
        }
    };
}

/// The Taylor coefficients of the logistic function: y' = (y - y²) x'.
fn logistic_series(y: &Var, x: &[Tangent]) -> Vec<Tangent> {
    taylor::riccati(y, &(y * &(1.0 - y)), x, 1.0, -1.0)
}

activation!(
    /// 1 / (1 + e^-x).
    Sigmoid, "sigmoid", hard: true, S::logistic, |x| ((x * 0.5).tanh() + 1.0) * 0.5, |n, t| {
        let y = &n.outputs[0];
        Some(t * &(y * &(1.0 - y)))
    },
    jet |n, x| logistic_series(&n.outputs[0], x)
);
activation!(
    /// x / (1 + e^-x), also called swish.
    Silu, "silu", hard: true, |x: &S| x.clone() * x.logistic(), |x| x * &x.sigmoid(), |n, t| {
        let x = &n.inputs[0];
        let s = x.sigmoid();
        Some(t * &(&s * &(x * &(1.0 - &s) + 1.0)))
    },
    jet |n, x| {
        let s = n.inputs[0].sigmoid();
        taylor::product((&n.inputs[0], x), (&s, &logistic_series(&s, x)))
    }
);
activation!(
    /// max(x, 0), with derivative 0 at 0.
    Relu, "relu", hard: false,
    |x: &S| if *x > S::from_f64(0.0) || x.is_nan() { x.clone() } else { S::from_f64(0.0) },
    |x| x.max(&x.full_like(0.0)),
    |n, t| {
        let zero = n.inputs[0].full_like(0.0);
        Some(n.inputs[0].gt(&zero).select(t, &zero))
    },
    jet |n, x| taylor::by_coefficient(n, std::slice::from_ref(x), <Relu as OpDef>::jvp)?.remove(0)
);
activation!(
    /// Nearest integer, ties away from zero (C's `round`).
    RoundHalfAway, "round_half_away", hard: false,
    S::round_half_away,
    |x| {
        let down = x.abs().floor();
        let up = (x.abs() - &down).ge(&x.full_like(0.5)).convert(x.dtype());
        x.sign() * (down + up)
    },
    |n, t| {
        let _ = (n, t);
        None
    },
    jet |n, x| {
        let _ = n;
        vec![None; x.len()]
    }
);
