//! Functions of two elements at the same place.

use super::{arity, map2, plus, same, taylor};
use crate::array::Array;
use crate::attrs::Attrs;
use crate::op::{Class, EvalCx, NodeCx, OpDef, Tangent};
use crate::scalar::Scalar;
use crate::types::Type;

macro_rules! binary {
    ($(#[$doc:meta])* $op:ident, $name:literal, $f:expr, $g:expr, jvp |$n:ident, $t:ident| $jvp:expr,
     transpose |$m:ident, $linear:ident, $ct:ident| $transpose:expr
     $(, jet |$o:ident, $s:ident| $jet:expr)? $(,)?) => {
        $(#[$doc])*
        pub struct $op;
        impl OpDef for $op {
            const NAME: &'static str = $name;
            const CLASS: Class = Class::Elementwise;
            fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
                arity(inputs, 2)?;
                same(&inputs[0], &inputs[1])?;
                if inputs[0].dtype == axes::DType::Bool {
                    return Err("the operands are booleans; use `and`, `or`, `not`".into());
                }
                if inputs[0].dtype == axes::DType::Trit {
                    return Err("the operands are trits, which arithmetic would leave; convert them first".into());
                }
                Ok(vec![inputs[0].clone()])
            }
            fn eval<S: Scalar>(
                _: &EvalCx, _: &Attrs, i: &[Array<S>], types: &[Type],
            ) -> Result<Vec<Array<S>>, String> {
                let g: fn(i64, i64) -> i64 = $g;
                let dtype = types[0].dtype;
                Ok(vec![map2(&i[0], &i[1], $f, |a, b| super::wrap(dtype, g(a, b)))])
            }
            fn jvp($n: &NodeCx, $t: &[Tangent]) -> Option<Vec<Tangent>> {
                Some(vec![$jvp])
            }
            fn transpose($m: &NodeCx, $linear: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
                let Some($ct) = &ct[0] else { return Some(vec![None, None]) };
                $transpose
            }
            $(fn jet($o: &NodeCx, $s: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
                Some(vec![$jet])
            })?
        }
    };
}

/// A cotangent for each linear operand.
fn each(linear: &[bool], a: impl Fn() -> crate::Var, b: impl Fn() -> crate::Var) -> Option<Vec<Tangent>> {
    Some(vec![linear[0].then(a), linear[1].then(b)])
}

binary!(
    /// a + b.
    Add, "add", |a: &S, b: &S| a.clone() + b.clone(), i64::wrapping_add,
    jvp |n, t| { let _ = n; plus(t[0].clone(), t[1].clone()) },
    transpose |n, linear, ct| { let _ = n; each(linear, || ct.clone(), || ct.clone()) }
);
binary!(
    /// a - b.
    Subtract, "subtract", |a: &S, b: &S| a.clone() - b.clone(), i64::wrapping_sub,
    jvp |n, t| {
        let _ = n;
        match (&t[0], &t[1]) {
            (Some(a), Some(b)) => Some(a - b),
            (None, Some(b)) => Some(-b),
            (a, None) => a.clone(),
        }
    },
    transpose |n, linear, ct| { let _ = n; each(linear, || ct.clone(), || -ct) }
);
binary!(
    /// a b.
    Multiply, "multiply", |a: &S, b: &S| a.clone() * b.clone(), i64::wrapping_mul,
    jvp |n, t| plus(
        t[0].as_ref().map(|a| a * &n.inputs[1]),
        t[1].as_ref().map(|b| &n.inputs[0] * b),
    ),
    transpose |n, linear, ct| match linear {
        [true, true] => None,
        _ => each(linear, || ct * &n.inputs[1], || &n.inputs[0] * ct),
    },
    jet |n, s| taylor::product((&n.inputs[0], &s[0]), (&n.inputs[1], &s[1]))
);
binary!(
    /// a / b; integers truncate toward zero, and a division by zero gives zero.
    Divide, "divide", |a: &S, b: &S| a.clone() / b.clone(), |a, b| a.checked_div(b).unwrap_or(0),
    jvp |n, t| {
        let slope = |b: &crate::Var| -(b * &(&n.outputs[0] / &n.inputs[1]));
        plus(t[0].as_ref().map(|a| a / &n.inputs[1]), t[1].as_ref().map(slope))
    },
    transpose |n, linear, ct| match linear {
        [true, false] => each(linear, || ct / &n.inputs[1], || ct.clone()),
        _ => None,
    },
    jet |n, s| taylor::quotient(&n.outputs[0], &s[0], &n.inputs[1], &s[1])
);
binary!(
    /// a^b. The derivative with respect to the exponent takes ln a as 0 where a is 0, so that 0^b has slope 0.
    Power, "power", |a: &S, b: &S| a.powf(b), |a, b| a.wrapping_pow(b.clamp(0, u32::MAX as i64) as u32),
    jvp |n, t| {
        let (a, b) = (&n.inputs[0], &n.inputs[1]);
        // Where the exponent is 0 the slope is 0, also at a = 0, where a^-1 is not a number to multiply with.
        let slope = |b: &crate::Var| b * &a.pow(&(b - 1.0));
        let base = t[0].as_ref().and_then(|ta| match crate::rules::splat(b) {
            Some(k) => (k != 0.0).then(|| ta * &slope(b)),
            None if crate::rules::is_decimal(b) => Some(ta * &slope(b)),
            None => {
                let zero = b.full_like(0.0);
                let none = b.equal(&zero);
                Some(ta * &none.select(&zero, &slope(&none.select(&b.full_like(1.0), b))))
            }
        });
        let exponent = t[1].as_ref().map(|tb| {
            let zero = a.full_like(0.0);
            let safe = a.equal(&zero).select(&a.full_like(1.0), a);
            tb * &(&n.outputs[0] * &safe.log())
        });
        plus(base, exponent)
    },
    transpose |n, linear, ct| { let _ = (n, linear, ct); None },
    jet |n, s| {
        let (a, b, y) = (&n.inputs[0], &n.inputs[1], &n.outputs[0]);
        match crate::rules::splat(b) {
            Some(p) if s[1].iter().all(Option::is_none) => taylor::power(y, a, &s[0], p),
            // a^b = e^(b ln a), with ln a = 0 at a = 0 as above.
            _ => {
                let safe = a.equal(&a.full_like(0.0)).select(&a.full_like(1.0), a);
                let log = taylor::log(&safe, &s[0]);
                taylor::exp(y, &taylor::product((b, &s[1]), (&safe.log(), &log)))
            }
        }
    }
);
binary!(
    /// The larger; NaN if one is NaN. At a tie the first operand was taken, and its derivative is.
    Maximum, "maximum", S::maximum, std::cmp::max,
    jvp |n, t| choose(&n.inputs[0].ge(&n.inputs[1]), &n.outputs[0], t),
    transpose |n, linear, ct| { let _ = (n, linear, ct); None },
    jet |n, s| taylor::by_coefficient(n, s, <Maximum as OpDef>::jvp)?.remove(0)
);
binary!(
    /// The smaller; NaN if one is NaN. At a tie the first operand was taken, and its derivative is.
    Minimum, "minimum", S::minimum, std::cmp::min,
    jvp |n, t| choose(&n.inputs[0].le(&n.inputs[1]), &n.outputs[0], t),
    transpose |n, linear, ct| { let _ = (n, linear, ct); None },
    jet |n, s| taylor::by_coefficient(n, s, <Minimum as OpDef>::jvp)?.remove(0)
);

fn choose(first: &crate::Var, like: &crate::Var, t: &[Tangent]) -> Tangent {
    if t[0].is_none() && t[1].is_none() {
        return None;
    }
    let zero = like.full_like(0.0);
    Some(first.select(t[0].as_ref().unwrap_or(&zero), t[1].as_ref().unwrap_or(&zero)))
}
