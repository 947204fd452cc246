//! Rewrites that hold exactly in floating point: applied as nodes are made, and by [`crate::passes::simplify()`] on
//! graphs that exist.
//!
//! `x + 0` is absent on purpose: it turns -0 into 0. `x * 0` is absent too: it hides NaN and infinity. So is
//! `-(x - y) = y - x`: the two differ in the sign of zero.

use crate::attrs::{Attr, Attrs};
use crate::ir::{Graph, Node, Value};
use crate::op::Op;
use crate::types::Type;
use crate::var::Var;
use axes::DType;

/// The one number that a constant node repeats. `None` for a decimal that no double is equal to: what is computed from
/// the double would not be what is computed from the decimal.
pub fn splat(v: &Var) -> Option<f64> {
    splat_of(&v.cx.0.borrow().graph, v.value)
}

/// [`splat`] for a value of a graph: a constant of one number, also behind rearrangements.
pub(crate) fn splat_of(g: &Graph, v: Value) -> Option<f64> {
    let n = g.nodes.get(v.node as usize)?;
    match (n.op, n.attrs.get("values")) {
        (Op::Constant, Some(Attr::Floats(x))) if x.len() == 1 && n.attrs.get("decimal").is_none() => {
            Some(x[0])
        }
        (Op::Broadcast | Op::Reshape, _) => splat_of(g, n.inputs[0]),
        _ => None,
    }
}

/// Whether the value is a decimal other than 0 that no double is equal to; see [`Cx::decimal`](crate::Cx::decimal).
pub(crate) fn is_decimal(v: &Var) -> bool {
    let inner = v.cx.0.borrow();
    let node = inner.graph.nodes.get(v.value.node as usize);
    node.is_some_and(|n| n.op == Op::Constant && n.attrs.get("decimal").is_some())
}

/// What a node may be replaced by.
pub(crate) enum Rewrite {
    /// A value that exists.
    Value(Value),
    /// Another node with one result of the same type.
    Node(Op, Attrs, Vec<Value>),
}

/// An existing value equal to the node that would be made.
pub(crate) fn simplify(op: Op, attrs: &Attrs, inputs: &[Var]) -> Option<Var> {
    let cx = &inputs.first()?.cx;
    let values: Vec<Value> = inputs.iter().map(|v| v.value).collect();
    match rewrite(&cx.0.borrow().graph, op, attrs, &values)? {
        Rewrite::Value(value) => Some(Var { cx: cx.clone(), value }),
        Rewrite::Node(..) => None,
    }
}

/// A simpler form of the node `op(inputs)`, whose operands are values of `g`.
pub(crate) fn rewrite(g: &Graph, op: Op, attrs: &Attrs, inputs: &[Value]) -> Option<Rewrite> {
    match inputs {
        [x] => unary(g, op, attrs, *x),
        // A gradient transformation of a value by itself still refuses to be differentiated.
        [_, _] if op == Op::Surrogate && crate::ops::special::Surrogate::rule(attrs).is_some() => None,
        [x, y] => binary(g, op, *x, *y),
        [c, a, b] if op == Op::Select => select(g, [*c, *a, *b]),
        _ => None,
    }
}

/// The node of `v` when it is an `op`.
fn made_by(g: &Graph, v: Value, op: Op) -> Option<&Node> {
    Some(g.node(v)).filter(|n| n.op == op)
}

fn unary(g: &Graph, op: Op, attrs: &Attrs, x: Value) -> Option<Rewrite> {
    let ty = g.ty(x);
    let inner = made_by(g, x, op);
    let same = |v: Value| Some(Rewrite::Value(v));
    match op {
        Op::Negate | Op::Not => same(inner?.inputs[0]),
        Op::Abs => match inner {
            Some(_) => same(x),
            None => Some(Rewrite::Node(op, attrs.clone(), vec![made_by(g, x, Op::Negate)?.inputs[0]])),
        },
        Op::Floor | Op::RoundHalfEven | Op::Sign | Op::Relu | Op::StopGradient if inner.is_some() => same(x),
        Op::Reshape if attrs.dims("dims") == ty.shape => same(x),
        Op::Reshape => {
            let source = inner?.inputs[0];
            match attrs.dims("dims") == g.ty(source).shape {
                true => same(source),
                false => Some(Rewrite::Node(op, attrs.clone(), vec![source])),
            }
        }
        Op::Broadcast => {
            let outer = attrs.ints("map");
            if attrs.dims("dims") == ty.shape && outer.iter().copied().eq(0..ty.rank()) {
                return same(x);
            }
            let inner = inner?;
            let map = inner.attrs.ints("map").into_iter().map(|m| outer.get(m).map(|a| *a as i64));
            let map = Attr::Ints(map.collect::<Option<_>>()?);
            Some(Rewrite::Node(op, attrs.clone().with("map", map), vec![inner.inputs[0]]))
        }
        Op::Transpose => {
            let perm = attrs.ints("perm");
            let straight = |p: &[usize]| p.iter().enumerate().all(|(i, p)| i == *p);
            if perm.len() == ty.rank() && straight(&perm) {
                return same(x);
            }
            let inner = inner?;
            let first = inner.attrs.ints("perm");
            let both = perm.iter().map(|p| first.get(*p).copied()).collect::<Option<Vec<_>>>()?;
            if straight(&both) {
                return same(inner.inputs[0]);
            }
            let both = Attr::Ints(both.into_iter().map(|p| p as i64).collect());
            Some(Rewrite::Node(op, Attrs::new().with("perm", both), vec![inner.inputs[0]]))
        }
        Op::Reverse => same(inner.filter(|n| n.attrs == *attrs)?.inputs[0]),
        Op::Slice => {
            let start = attrs.dims("start");
            let whole = start.len() == ty.rank() && start.iter().all(|d| d.fixed() == Some(0));
            (whole && attrs.dims("limit") == ty.shape).then_some(Rewrite::Value(x))
        }
        Op::Pad => {
            let (low, high) = (attrs.dims("low"), attrs.dims("high"));
            let none = low.iter().chain(&high).all(|d| d.fixed() == Some(0));
            (none && low.len() == ty.rank() && high.len() == ty.rank()).then_some(Rewrite::Value(x))
        }
        Op::Concatenate if (attrs.int("axis", 0) as usize) < ty.rank() => same(x),
        Op::Convert => {
            let to = attrs.dtype("dtype")?;
            if to == ty.dtype {
                return same(x);
            }
            let source = inner?.inputs[0];
            (g.ty(source).dtype == to && widens(to, ty.dtype)).then_some(Rewrite::Value(source))
        }
        _ => None,
    }
}

/// Whether every number of `a` is one of `b`, so that going there and back changes nothing.
fn widens(a: DType, b: DType) -> bool {
    use DType::*;
    match a {
        BF16 | F16 => matches!(b, F32 | F64),
        F32 => b == F64,
        Bool => b != Bool,
        Trit => matches!(b, I8 | I32 | I64) || b.is_float(),
        I8 => matches!(b, I32 | I64 | F16 | F32 | F64),
        U8 => matches!(b, I32 | I64 | F16 | F32 | F64),
        I32 => matches!(b, I64 | F64),
        I64 | F64 => false,
    }
}

fn binary(g: &Graph, op: Op, x: Value, y: Value) -> Option<Rewrite> {
    // Operands that do not fit together are left to inference, which says so.
    if g.ty(x) != g.ty(y) {
        return None;
    }
    let is = |v: Value, k: f64| splat_of(g, v).is_some_and(|s| s.to_bits() == k.to_bits());
    let negated = |v: Value| made_by(g, v, Op::Negate).map(|n| n.inputs[0]);
    let node = |op: Op, v: &[Value]| Some(Rewrite::Node(op, Attrs::new(), v.to_vec()));
    let arithmetic = !matches!(g.ty(x).dtype, DType::Bool | DType::Trit);
    match op {
        Op::Multiply if arithmetic && is(y, 1.0) => Some(Rewrite::Value(x)),
        Op::Multiply if arithmetic && is(x, 1.0) => Some(Rewrite::Value(y)),
        Op::Multiply if arithmetic && is(y, -1.0) => node(Op::Negate, &[x]),
        Op::Multiply if arithmetic && is(x, -1.0) => node(Op::Negate, &[y]),
        Op::Divide | Op::Power if arithmetic && is(y, 1.0) => Some(Rewrite::Value(x)),
        Op::Subtract if arithmetic && is(y, 0.0) => Some(Rewrite::Value(x)),
        Op::Multiply | Op::Divide => match (negated(x), negated(y)) {
            (Some(a), Some(b)) if g.ty(x).dtype.is_float() => node(op, &[a, b]),
            _ => None,
        },
        Op::Add => match (negated(x), negated(y)) {
            (_, Some(b)) => node(Op::Subtract, &[x, b]),
            (Some(a), None) => node(Op::Subtract, &[y, a]),
            _ => None,
        },
        Op::Subtract => node(Op::Add, &[x, negated(y)?]),
        Op::Maximum | Op::Minimum if x == y && arithmetic => Some(Rewrite::Value(x)),
        Op::And | Op::Or if x == y && g.ty(x).dtype == DType::Bool => Some(Rewrite::Value(x)),
        Op::Surrogate if x == y => Some(Rewrite::Value(x)),
        _ => None,
    }
}

fn select(g: &Graph, [c, a, b]: [Value; 3]) -> Option<Rewrite> {
    let fits: Type = g.ty(a).with_dtype(DType::Bool);
    if g.ty(a) != g.ty(b) || *g.ty(c) != fits {
        return None;
    }
    match (splat_of(g, c), made_by(g, c, Op::Not)) {
        _ if a == b => Some(Rewrite::Value(a)),
        (Some(k), _) => Some(Rewrite::Value(if k as i64 != 0 { a } else { b })),
        (None, Some(n)) => Some(Rewrite::Node(Op::Select, Attrs::new(), vec![n.inputs[0], b, a])),
        _ => None,
    }
}
