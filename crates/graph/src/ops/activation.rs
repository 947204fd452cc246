//! Activations with a fused form.

use super::{arity, float, map};
use crate::array::Array;
use crate::attrs::Attrs;
use crate::op::{Class, Cost, EvalCx, NodeCx, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

macro_rules! activation {
    ($(#[$doc:meta])* $op:ident, $name:literal, hard: $hard:literal, $f:expr, |$x:ident| $decompose:expr,
     |$n:ident, $t:ident| $jvp:expr) => {
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

activation!(
    /// 1 / (1 + e^-x).
    Sigmoid, "sigmoid", hard: true, S::logistic, |x| ((x * 0.5).tanh() + 1.0) * 0.5, |n, t| {
        let y = &n.outputs[0];
        Some(t * &(y * &(1.0 - y)))
    }
);
activation!(
    /// x / (1 + e^-x), also called swish.
    Silu, "silu", hard: true, |x: &S| x.clone() * x.logistic(), |x| x * &x.sigmoid(), |n, t| {
        let x = &n.inputs[0];
        let s = x.sigmoid();
        Some(t * &(&s * &(x * &(1.0 - &s) + 1.0)))
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
    }
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
    }
);
