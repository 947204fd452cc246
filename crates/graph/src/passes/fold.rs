//! Constant folding.
//!
//! Two kinds. A constant that repeats one number stays one: elementwise ops are computed once, rearrangements only
//! change the type, so shapes may be symbolic and of any size. Dense constants are computed by the ops' naive
//! evaluation while they are small. Both compute in f64 and round to the dtype, as the interpreter does.

use super::{Rewriter, map_regions};
use crate::array::{Array, Data};
use crate::attrs::{Attr, Attrs};
use crate::ir::{Graph, Node, Value};
use crate::op::{Class, EvalCx, Op};
use crate::types::Type;
use std::sync::Arc;

/// Elements of all operands, and of all results, at most.
const LIMIT: usize = 4096;

/// The graph with constant nodes computed, in regions too. An op whose evaluation fails is left to fail when it runs.
pub fn constants(graph: &Graph) -> Graph {
    let mut r = Rewriter::new(graph);
    for old in &graph.nodes {
        let mut node = r.moved(old);
        node.attrs = map_regions(&old.attrs, &constants);
        let results = match fold(&r.new, &node) {
            Some(values) => values
                .into_iter()
                .zip(&old.types)
                .flat_map(|(v, ty)| r.push(Node { types: vec![ty.clone()], ..constant(&node, ty, v) }))
                .collect(),
            None => r.push(node),
        };
        r.map.push(results);
    }
    r.finish()
}

fn constant(node: &Node, ty: &Type, values: Vec<f64>) -> Node {
    let attrs = crate::attrs! { dtype: DType(ty.dtype), dims: Dims(ty.shape.clone()), values: Floats(Arc::new(values)) };
    Node { op: Op::Constant, attrs, inputs: vec![], ..node.clone() }
}

/// The numbers of each result (one number for a repeated one), or `None` when the node is to stay.
fn fold(g: &Graph, node: &Node) -> Option<Vec<Vec<f64>>> {
    let movable = match node.op.class() {
        Class::Source | Class::Control => false,
        // The variable of a differentiation is not its value.
        _ => node.op != Op::Identity,
    };
    if !movable || node.inputs.is_empty() {
        return None;
    }
    let values = node.inputs.iter().map(|v| dense(g, *v)).collect::<Option<Vec<_>>>()?;
    if let Some(splats) = values.iter().map(|v| <[f64; 1]>::try_from(&v[..]).ok()).collect::<Option<Vec<_>>>()
    {
        let splats: Vec<f64> = splats.into_iter().map(|[x]| x).collect();
        if let Some(x) = repeated(g, node, &splats) {
            return Some(vec![vec![x]]);
        }
    }
    if !small(node.inputs.iter().map(|v| g.ty(*v))) || !small(node.types.iter()) {
        return None;
    }
    let operands =
        node.inputs.iter().zip(&values).map(|(v, x)| array(g.ty(*v), x)).collect::<Option<Vec<_>>>()?;
    evaluate(node, &node.attrs, &operands, &node.types)
}

fn small<'a>(mut types: impl Iterator<Item = &'a Type>) -> bool {
    types.try_fold(0usize, |sum, t| sum.checked_add(t.elements()?)).is_some_and(|n| n <= LIMIT)
}

/// The numbers of a constant node, unless they are a decimal that no double is equal to.
fn dense(g: &Graph, v: Value) -> Option<Arc<Vec<f64>>> {
    let n = g.node(v);
    match n.attrs.get("values") {
        Some(Attr::Floats(x)) if n.op == Op::Constant && n.attrs.get("decimal").is_none() => Some(x.clone()),
        _ => None,
    }
}

fn array(ty: &Type, values: &[f64]) -> Option<Array<f64>> {
    let shape = ty.fixed_shape()?;
    let n: usize = shape.iter().product();
    let mut a = match values {
        [x] => Array::from_f64(ty.dtype, shape, &vec![*x; n]),
        _ => Array::from_f64(ty.dtype, shape, values),
    };
    crate::cx::round(&mut a);
    Some(a)
}

fn evaluate(node: &Node, attrs: &Attrs, operands: &[Array<f64>], types: &[Type]) -> Option<Vec<Vec<f64>>> {
    let cx = EvalCx { round: true, ..EvalCx::default() };
    let mut made = node.op.eval(&cx, attrs, operands, types).ok()?;
    made.iter_mut().for_each(crate::cx::round);
    made.iter().map(numbers).collect()
}

/// The elements as a constant stores them: one when all are the same to the bit, none if an integer would be lost.
fn numbers(a: &Array<f64>) -> Option<Vec<f64>> {
    if let Data::Int(v) = &a.data
        && v.iter().any(|x| *x as f64 as i64 != *x)
    {
        return None;
    }
    let v = a.to_f64();
    let alike = v.windows(2).all(|w| w[0].to_bits() == w[1].to_bits());
    Some(match v.first() {
        Some(x) if alike => vec![*x],
        _ => v,
    })
}

/// The number that the result repeats, when every operand repeats one.
fn repeated(g: &Graph, node: &Node, splats: &[f64]) -> Option<f64> {
    let one = |ty: &Type, x: f64| array(&Type::scalar(ty.dtype), &[x]);
    let first = *splats.first()?;
    let operand = g.ty(node.inputs[0]);
    let same = |x: f64| (x.to_bits() == first.to_bits()).then_some(first);
    match (node.op.class(), node.op) {
        (Class::Elementwise, _) => {
            let operands =
                node.inputs.iter().zip(splats).map(|(v, x)| one(g.ty(*v), *x)).collect::<Option<Vec<_>>>()?;
            let types = [Type::scalar(node.types[0].dtype)];
            evaluate(node, &node.attrs, &operands, &types)?.first()?.first().copied()
        }
        (_, Op::Pad) => same(node.attrs.float("value", 0.0)),
        (_, Op::Concatenate) => splats.iter().try_for_each(|x| same(*x).map(drop)).map(|()| first),
        (Class::Shape, _) => Some(first),
        (_, Op::ReduceMax | Op::ReduceMin) => operand.elements().filter(|n| *n > 0).map(|_| first),
        // Whole numbers add up exactly while the sum is below 2^53, in whatever order: this is how a size becomes a
        // number when its symbol is bound.
        (_, Op::ReduceSum) => {
            let count = operand.elements()? as f64 / node.types[0].elements().filter(|n| *n > 0)? as f64;
            let x = numbers(&one(operand, first)?)?[0];
            let exact = x.fract() == 0.0 && (x * count).abs() < 9e15 && count > 0.0;
            let sum = one(&node.types[0], x * count)?;
            (exact && node.types[0].dtype.is_float()).then(|| sum.to_f64()[0])
        }
        _ => None,
    }
}
