//! Functions of one element, with their derivatives.

use super::{arity, float, map, taylor};
use crate::array::Array;
use crate::attrs::Attrs;
use crate::op::{Class, Cost, EvalCx, NodeCx, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;

/// `unary!(Type, "name", cost, float function, integer function or refusal, derivative in terms of x and y, Taylor
/// coefficients unless it is linear)`.
macro_rules! unary {
    ($(#[$doc:meta])* $op:ident, $name:literal, transcendental: $hard:literal,
     $f:expr, $ints:expr, |$n:ident, $t:ident| $jvp:expr $(, jet |$m:ident, $s:ident| $jet:expr)? $(,)?) => {
        $(#[$doc])*
        pub struct $op;
        impl OpDef for $op {
            const NAME: &'static str = $name;
            const CLASS: Class = Class::Elementwise;
            fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
                arity(inputs, 1)?;
                let ints: Option<fn(i64) -> i64> = $ints;
                if ints.is_none() || inputs[0].dtype == axes::DType::Bool {
                    float(inputs, 0)?;
                }
                Ok(vec![inputs[0].clone()])
            }
            fn eval<S: Scalar>(
                _: &EvalCx, _: &Attrs, inputs: &[Array<S>], types: &[Type],
            ) -> Result<Vec<Array<S>>, String> {
                let ints: Option<fn(i64) -> i64> = $ints;
                let dtype = types[0].dtype;
                Ok(vec![map(&inputs[0], $f, |x| super::wrap(dtype, ints.map_or(x, |g| g(x))))])
            }
            fn jvp($n: &NodeCx, $t: &[Tangent]) -> Option<Vec<Tangent>> {
                Some(vec![match &$t[0] { Some($t) => $jvp, None => None }])
            }
            $(fn jet($m: &NodeCx, series: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
                let $s = &series[0];
                $jet
            })?
            fn transpose(n: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
                // Negation is the one linear function here.
                (n.outputs[0].cx().node(n.outputs[0].id().node).op == crate::Op::Negate)
                    .then(|| vec![ct[0].as_ref().map(|c| -c)])
            }
            fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
                let n = elements(out);
                let (operations, transcendental) = if $hard { (0.0, n) } else { (n, 0.0) };
                Cost { operations, transcendental, bytes: bytes(inputs) + bytes(out) }
            }
        }
    };
}

unary!(
    /// -x.
    Negate, "negate", transcendental: false, |x: &S| -x.clone(), Some(i64::wrapping_neg), |n, t| {
        let _ = n;
        Some(-t)
    }
);
unary!(
    /// e^x.
    Exp, "exp", transcendental: true, S::exp, None, |n, t| Some(t * &n.outputs[0]),
    jet |n, x| Some(vec![taylor::exp(&n.outputs[0], x)])
);
unary!(
    /// Natural logarithm.
    Log, "log", transcendental: true, S::ln, None, |n, t| Some(t / &n.inputs[0]),
    jet |n, x| Some(vec![taylor::log(&n.inputs[0], x)])
);
unary!(
    /// √x.
    Sqrt, "sqrt", transcendental: false, S::sqrt, None, |n, t| Some(t / &(&n.outputs[0] * 2.0)),
    jet |n, x| Some(vec![taylor::sqrt(&n.outputs[0], x)])
);
unary!(
    /// Hyperbolic tangent; tanh' = 1 - tanh².
    Tanh, "tanh", transcendental: true, S::tanh, None, |n, t| {
        Some(t * &(1.0 - n.outputs[0].square()))
    },
    jet |n, x| {
        let y = &n.outputs[0];
        Some(vec![taylor::riccati(y, &(1.0 - y.square()), x, 0.0, -1.0)])
    }
);
unary!(
    /// Sine.
    Sine, "sine", transcendental: true, S::sin, None, |n, t| Some(t * &n.inputs[0].cos()),
    jet |n, x| Some(vec![taylor::sine_cosine(&n.outputs[0], &n.inputs[0].cos(), x).0])
);
unary!(
    /// Cosine.
    Cosine, "cosine", transcendental: true, S::cos, None, |n, t| Some(t * &-n.inputs[0].sin()),
    jet |n, x| Some(vec![taylor::sine_cosine(&n.inputs[0].sin(), &n.outputs[0], x).1])
);
unary!(
    /// |x|, with derivative 0 at 0.
    Abs, "abs", transcendental: false, S::abs, Some(i64::wrapping_abs), |n, t| Some(t * &n.inputs[0].sign()),
    jet |n, x| taylor::by_coefficient(n, std::slice::from_ref(x), <Abs as OpDef>::jvp)
);
unary!(
    /// -1, 0 or 1.
    Sign, "sign", transcendental: false, S::sign, Some(i64::signum), |n, t| {
        let _ = (n, t);
        None
    },
    jet |n, x| {
        let _ = n;
        Some(vec![vec![None; x.len()]])
    }
);
unary!(
    /// Largest integer not above x.
    Floor, "floor", transcendental: false, S::floor, Some(|x| x), |n, t| {
        let _ = (n, t);
        None
    },
    jet |n, x| {
        let _ = n;
        Some(vec![vec![None; x.len()]])
    }
);
unary!(
    /// Nearest integer, ties to the even one (IEEE 754 roundTiesToEven).
    RoundHalfEven, "round_half_even", transcendental: false, S::round_half_even, Some(|x| x), |n, t| {
        let _ = (n, t);
        None
    },
    jet |n, x| {
        let _ = n;
        Some(vec![vec![None; x.len()]])
    }
);
