//! Where a number first stopped being finite.
#![allow(unsafe_code)]

use crate::instr::Memory;
use crate::tensor::decode;
use axes::DType;
use graph::{Array, EvalCx, Graph, Op, Value};
use premap::{Group, Plan};
use std::collections::HashMap;

/// Whether a value in memory holds NaN or an infinity.
pub(crate) fn nonfinite(plan: &Plan, v: Value, bases: &[*mut u8]) -> Option<&'static str> {
    plan.place(v)?;
    if !matches!(plan.graph.ty(v).dtype, DType::F32 | DType::F64 | DType::BF16 | DType::F16) {
        return None;
    }
    let m = Memory { plan, bases };
    // SAFETY: the step that makes `v` has just run, or it is an input.
    let bytes = unsafe { m.bytes(v) };
    if plan.graph.ty(v).dtype == DType::F32 {
        let (words, _) = bytes.as_chunks::<4>();
        let finite = |b: &[u8; 4]| f32::from_le_bytes(*b).is_finite();
        if words.iter().all(finite) {
            return None;
        }
    }
    what(&decode::<f64>(plan.graph.ty(v).dtype, &[plan.graph.ty(v).elements().unwrap_or(0)], bytes))
}

fn what<S: graph::Scalar>(a: &Array<S>) -> Option<&'static str> {
    let x = a.to_f64();
    match x.iter().any(|x| x.is_nan()) {
        true => Some("NaN"),
        false => x.iter().any(|x| x.is_infinite()).then_some("infinity"),
    }
}

/// Copies of a group's operands: the group may overwrite them.
pub(crate) fn operands(plan: &Plan, group: &Group, bases: &[*mut u8]) -> HashMap<Value, Array<f32>> {
    let m = Memory { plan, bases };
    let copy = |v: Value| {
        let ty = plan.graph.ty(v);
        // SAFETY: operands were written by earlier steps.
        decode(ty.dtype, &ty.fixed_shape().unwrap_or_default(), unsafe { m.bytes(v) })
    };
    group.inputs.iter().map(|i| (i.source, copy(i.source))).collect()
}

/// The first member of a group whose value, by its plain evaluation, is not finite.
pub(crate) fn culprit(
    g: &Graph,
    group: &Group,
    mut known: HashMap<Value, Array<f32>>,
) -> Option<(Value, &'static str)> {
    for n in &group.nodes {
        let v = Value { node: *n, out: 0 };
        let a = evaluate(g, v, &mut known)?;
        if a.dtype.is_float()
            && let Some(what) = what(&a)
        {
            return Some((v, what));
        }
    }
    None
}

/// The value by plain evaluation, operands first.
fn evaluate(g: &Graph, v: Value, known: &mut HashMap<Value, Array<f32>>) -> Option<Array<f32>> {
    if let Some(a) = known.get(&v) {
        return Some(a.clone());
    }
    let n = g.node(v);
    if n.op == Op::Input {
        return None;
    }
    let operands = n.inputs.iter().map(|i| evaluate(g, *i, known)).collect::<Option<Vec<_>>>()?;
    let made = n.op.eval(&EvalCx { round: true, ..EvalCx::default() }, &n.attrs, &operands, &n.types).ok()?;
    let a = made.get(v.out as usize)?.clone();
    known.insert(v, a.clone());
    Some(a)
}
