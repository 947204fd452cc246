//! Solutions of linear systems whose matrix is a function, differentiated without looking inside the solver.
//!
//! From A x = b follows A dx = db − dA x, so the tangent is one more solution with the same matrix, and the cotangent of
//! b is a solution with its transpose (Bradbury et al. 2018, "JAX": `custom_linear_solve`).

use crate::batch::{batch_graph, spread_all};
use crate::control::inline;
use crate::custom::{apply, closed};
use crate::derivative::basis;
use crate::pushforward;
use crate::reverse::transpose as transpose_nodes;
use crate::trace::deepest;
use axes::DType;
use graph::{Attr, Attrs, Cx, Dim, Graph, NodeCx, Op, Tangent, Type, Var};
use std::sync::Arc;

/// x with `matvec(x) = b`: `solve(b)` finds it, `transpose_solve(c)` solves the transposed system. `matvec` is linear and
/// keeps the type of `b`; all three may use values from outside, and derivatives flow to those that `matvec` uses.
pub fn custom_linear_solve(
    matvec: impl Fn(&Var) -> Var,
    b: &Var,
    solve: impl Fn(&Var) -> Var,
    transpose_solve: impl Fn(&Var) -> Var,
) -> Var {
    let cx = deepest(&[b]).innermost();
    let b = [cx.import(b)];
    apply(
        &cx,
        "linear_solve",
        &b,
        Attrs::new(),
        &[
            ("callee", &b, &|v| vec![solve(&v[0])]),
            ("matvec", &b, &|v| vec![matvec(&v[0])]),
            ("transpose", &b, &|v| vec![transpose_solve(&v[0])]),
        ],
    )
    .remove(0)
}

/// x with `matvec(x) = b`, by elimination: the matrix is `matvec` of a batch of unit vectors, O(n³) for n elements of b.
///
/// ```
/// let cx = graph::Cx::eager();
/// let a = cx.array(axes::DType::F64, &[2, 2], &[2.0, 1.0, 0.0, 4.0]);
/// let b = cx.array(axes::DType::F64, &[2], &[4.0, 8.0]);
/// let x = furnace::linear_solve(|x| a.matmul(x), &b);
/// assert_eq!(x.array()?.to_f64(), [1.0, 2.0]);
/// # Ok::<(), graph::GraphError>(())
/// ```
pub fn linear_solve(matvec: impl Fn(&Var) -> Var, b: &Var) -> Var {
    let cx = deepest(&[b]).innermost();
    let b = [cx.import(b)];
    let inner = cx.region_at();
    let x = inner.sample("x", &b[0]);
    let y = inner.within(|| matvec(&x));
    let made = inner.finish_region(&[y]).map(|(g, captured)| {
        let operands: Vec<Var> = captured.iter().chain(&b).cloned().collect();
        solved(&cx, Arc::new(g), &operands)
    });
    made.unwrap_or_else(|e| {
        cx.fail(e);
        cx.poison()
    })
}

/// The `call` that solves `matvec(parameters…, x) = b` by elimination; `operands` are the parameters and b.
pub(crate) fn solved(cx: &Cx, matvec: Arc<Graph>, operands: &[Var]) -> Var {
    let made = eliminated(&matvec, false).and_then(|a| Ok((a, eliminated(&matvec, true)?)));
    match made {
        Ok((callee, transpose)) => {
            let attrs = graph::attrs! { callee: Graph(callee), matvec: Graph(matvec), transpose: Graph(transpose),
            captures: Int(operands.len() as i64 - 1) };
            let attrs = attrs.with("name", Attr::Str("linear_solve".into()));
            cx.push1(Op::Call, attrs, &operands.iter().collect::<Vec<_>>())
        }
        Err(e) => {
            cx.fail(e);
            cx.poison()
        }
    }
}

fn input_types(g: &Graph) -> Vec<Type> {
    g.inputs.iter().map(|i| g.ty(i.value).clone()).collect()
}

/// The graph (parameters…, b) → solution of the system, or of the transposed one.
fn eliminated(matvec: &Graph, transposed: bool) -> graph::Result<Arc<Graph>> {
    closed(input_types(matvec), |cx, v| {
        let (b, parameters) = v.split_last().expect("a right-hand side");
        let unit = basis(cx, &b.ty());
        let n = unit.shape()[0].clone();
        let inputs: Vec<_> = parameters.iter().map(|p| (p.clone(), false)).chain([(unit, true)]).collect();
        let columns = spread_all(batch_graph(cx, matvec, &inputs, &n), &n).remove(0);
        // Row i is the matrix times unit vector i, so this is the transpose.
        let matrix = columns.reshape(&[n.clone(), n.clone()]);
        let matrix = if transposed { matrix } else { matrix.transpose(&[1, 0]) };
        vec![eliminate(&matrix, &b.reshape(std::slice::from_ref(&n))).reshape(&b.shape())]
    })
}

/// The solution of a x = b for a (n, n) and b (n), by Gauss–Jordan elimination with the largest pivot of each column.
fn eliminate(a: &Var, b: &Var) -> Var {
    let cx = a.cx();
    let n = b.shape()[0].clone();
    let steps = cx.iota(DType::I64, std::slice::from_ref(&n));
    let free = b.full_like(1.0);
    let (last, pivots) = cx.scan(&[a, b, &free], &[&steps], false, |carry, x| {
        let (a, b, free) = (&carry[0], &carry[1], &carry[2]);
        let column = a.transpose(&[1, 0]).gather(&x[0]);
        let pivot = free.gt(&free.full_like(0.0)).select(&column.abs(), &free.full_like(-1.0)).argmax(0);
        let ids = b.cx().iota(DType::I64, &b.shape());
        let chosen = ids.equal(&pivot.broadcast(&ids.shape(), &[]));
        let by = column.gather(&pivot);
        let (row, value) = (a.gather(&pivot), b.gather(&pivot) / &by);
        let row = &row / &by.broadcast(&row.shape(), &[]);
        let below = a - &(column.broadcast(&a.shape(), &[0]) * row.broadcast(&a.shape(), &[1]));
        let a = chosen.broadcast(&a.shape(), &[0]).select(&row.broadcast(&a.shape(), &[1]), &below);
        let value = value.broadcast(&b.shape(), &[]);
        let b = chosen.select(&value, &(b - &(&column * &value)));
        (vec![a, b, chosen.select(&free.full_like(0.0), free)], vec![pivot])
    });
    last[1].gather(&pivots[0])
}

/// The tangent: the same system for db − dA x.
pub(crate) fn jvp(n: &NodeCx, given: &[Tangent]) -> Vec<Tangent> {
    let Some((tb, ta)) = given.split_last() else { return vec![None] };
    let Some(matvec) = n.attrs.graph("matvec") else { return vec![None] };
    let mut right = tb.clone();
    if ta.iter().any(Option::is_some) {
        let parameters: Vec<Var> = n.inputs[..n.inputs.len() - 1].iter().map(|v| n.cx.variable(v)).collect();
        let operands: Vec<Var> = parameters.iter().chain(&n.outputs[..1]).cloned().collect();
        let y = inline(n, matvec, &operands);
        if let Some(change) = pushforward(n.cx, &parameters, ta, &y).remove(0) {
            right = Some(match right {
                Some(b) => b - change,
                None => -change,
            });
        }
    }
    vec![right.map(|b| {
        let operands: Vec<&Var> = n.inputs[..n.inputs.len() - 1].iter().chain([&b]).collect();
        n.cx.push1(Op::Call, n.attrs.clone(), &operands)
    })]
}

/// The cotangent of b: a solution of the transposed system.
pub(crate) fn transpose(n: &NodeCx, linear: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
    let (last, parameters) = linear.split_last()?;
    if !last || parameters.contains(&true) {
        return None;
    }
    let mut out = vec![None; n.inputs.len()];
    let (Some(ct), Some(matvec)) = (&ct[0], n.attrs.graph("matvec")) else { return Some(out) };
    let turned = closed(input_types(matvec), |cx, v| {
        let (c, parameters) = v.split_last().expect("a right-hand side");
        let holder = Some(cx.variable(&c.full_like(0.0)));
        let operands: Vec<Var> = parameters.iter().chain(&holder).cloned().collect();
        let made = cx.inline(matvec, &operands).map(|y| {
            let y: Vec<Tangent> = y.into_iter().map(Some).collect();
            transpose_nodes(cx, &y, &[Some(c.clone())], std::slice::from_ref(&holder)).remove(0)
        });
        match made {
            Ok(x) => vec![x.unwrap_or_else(|| c.full_like(0.0))],
            Err(e) => {
                cx.fail(e);
                vec![cx.poison()]
            }
        }
    });
    match (turned, n.attrs.graph("callee"), n.attrs.graph("transpose")) {
        (Ok(turned), Some(solve), Some(transpose)) => {
            let attrs = n.attrs.clone().with("callee", Attr::Graph(transpose.clone()));
            let attrs =
                attrs.with("transpose", Attr::Graph(solve.clone())).with("matvec", Attr::Graph(turned));
            let operands: Vec<&Var> = n.inputs[..n.inputs.len() - 1].iter().chain([ct]).collect();
            out[n.inputs.len() - 1] = Some(n.cx.push1(Op::Call, attrs, &operands));
        }
        (Err(e), ..) => n.cx.fail(e),
        _ => return None,
    }
    Some(out)
}

/// A matrix–vector product as a graph: the derivative of `residual` in its last input, at that input.
pub(crate) fn slope_of(residual: &Graph) -> graph::Result<Arc<Graph>> {
    let mut types = input_types(residual);
    types.extend(types.last().cloned());
    closed(types, |cx, v| {
        let (direction, at) = v.split_last().expect("a direction");
        let (x, parameters) = at.split_last().expect("a point");
        let x = cx.variable(x);
        let operands: Vec<Var> = parameters.iter().chain([&x]).cloned().collect();
        let r = cx.inline(residual, &operands).unwrap_or_else(|e| {
            cx.fail(e);
            vec![cx.poison()]
        });
        let made = pushforward(cx, std::slice::from_ref(&x), &[Some(direction.clone())], &r).remove(0);
        vec![made.unwrap_or_else(|| direction.full_like(0.0))]
    })
}

/// The number of elements of a type, as a size.
pub(crate) fn count(ty: &Type) -> Dim {
    ty.shape.iter().fold(Dim::from(1), |n, d| &n * d)
}
