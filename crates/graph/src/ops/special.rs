//! Ops that exist for differentiation.

use super::{arity, same, taylor};
use crate::array::Array;
use crate::attrs::Attrs;
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
pub struct Surrogate;
impl OpDef for Surrogate {
    const NAME: &'static str = "surrogate";
    const CLASS: Class = Class::Elementwise;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 2)?;
        same(&inputs[0], &inputs[1])?;
        Ok(vec![inputs[0].clone()])
    }
    fn eval<S: Scalar>(_: &EvalCx, _: &Attrs, i: &[Array<S>], _: &[Type]) -> Result<Vec<Array<S>>, String> {
        Ok(vec![i[0].clone()])
    }
    fn jvp(_: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![t[1].clone()])
    }
    fn jet(n: &NodeCx, s: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
        taylor::by_coefficient(n, s, Self::jvp)
    }
}
