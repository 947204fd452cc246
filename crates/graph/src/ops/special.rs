//! Ops that exist for differentiation.

use super::{arity, same, taylor};
use crate::array::Array;
use crate::attrs::Attrs;
use crate::error::GraphError;
use crate::op::{Class, EvalCx, NodeCx, OpDef, Tangent};
use crate::scalar::Scalar;
use crate::types::Type;

/// The same value under a name of its own (`id`): the variable of one differentiation, so that an inner derivative
/// is never confused with an outer one. With `keep`, passes leave it in place: what is computed from it is computed
/// anew, though the same was computed from its operand.
pub struct Identity;
impl OpDef for Identity {
    const NAME: &'static str = "identity";
    const ATTRS: &'static [&'static str] = &["id", "keep"];
    const CLASS: Class = Class::Elementwise;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        Ok(inputs.to_vec())
    }
    fn eval<S: Scalar>(_: &EvalCx, _: &Attrs, i: &[Array<S>], _: &[Type]) -> Result<Vec<Array<S>>, String> {
        Ok(i.to_vec())
    }
    fn jvp(_: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(t.to_vec())
    }
    fn transpose(_: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(ct.to_vec())
    }
}

/// The same value; every derivative is zero.
pub struct StopGradient;
impl OpDef for StopGradient {
    const NAME: &'static str = "stop_gradient";
    const CLASS: Class = Class::Elementwise;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        Ok(inputs.to_vec())
    }
    fn eval<S: Scalar>(_: &EvalCx, _: &Attrs, i: &[Array<S>], _: &[Type]) -> Result<Vec<Array<S>>, String> {
        Ok(i.to_vec())
    }
    fn jvp(_: &NodeCx, _: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![None])
    }
    fn jet(n: &NodeCx, s: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
        taylor::by_coefficient(n, s, Self::jvp)
    }
}

/// `surrogate(q, s)`: the value of `q`, every derivative of `s` (Bengio, Léonard and Courville 2013 when `s` is the
/// unquantised value). Equal to `s + stop_gradient(q - s)` but exact in value.
///
/// With the attribute `rule` it is no derivative but a gradient transformation: a backward rule that is not linear in
/// the cotangent. Forward mode refuses it; reverse mode, which `furnace` carries out, gives `s` what the rule with its
/// `parameters` makes of the cotangent, and a result that refuses to be differentiated again.
pub struct Surrogate;
impl Surrogate {
    /// The rule of a gradient transformation; `None` for a surrogate, which nests.
    pub fn rule(attrs: &Attrs) -> Option<&str> {
        Some(attrs.str("rule")).filter(|rule| !rule.is_empty())
    }

    /// The error of a differentiation that meets `rule`.
    pub fn refusal(rule: &str) -> GraphError {
        GraphError::NotADerivative {
            rule: rule.to_string(),
            problem: "it is not linear in the cotangent, so it has no forward mode and cannot be differentiated again; \
                      take one reverse-mode gradient, or use a surrogate such as `ste`, which nests"
                .into(),
        }
    }
}
impl OpDef for Surrogate {
    const NAME: &'static str = "surrogate";
    const ATTRS: &'static [&'static str] = &["rule", "parameters"];
    const CLASS: Class = Class::Elementwise;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 2)?;
        same(&inputs[0], &inputs[1])?;
        Ok(vec![inputs[0].clone()])
    }
    fn eval<S: Scalar>(_: &EvalCx, _: &Attrs, i: &[Array<S>], _: &[Type]) -> Result<Vec<Array<S>>, String> {
        Ok(vec![i[0].clone()])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        if let Some(rule) = Self::rule(n.attrs) {
            n.cx.fail(Self::refusal(rule));
            return Some(vec![None]);
        }
        Some(vec![t[1].clone()])
    }
    fn jet(n: &NodeCx, s: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
        taylor::by_coefficient(n, s, Self::jvp)
    }
}
