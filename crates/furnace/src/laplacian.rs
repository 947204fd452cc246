//! The Laplacian in one forward pass (Li et al. 2023, "Forward Laplacian: a new computational framework for neural
//! network-based variational Monte Carlo").
//!
//! Beside each value run its derivatives along all n directions and one Laplacian. Through y = f(x) they become
//! J_y = f'(x) J_x and L_y = f'(x) L_x + Σ f''(x)[J_x, J_x]; the last sum is the second Taylor coefficient of f along each
//! direction, twice, and a linear op has none. The Hessian's diagonal taken one product at a time would run the backward
//! pass n times as well.

use crate::batch::{Batched, batch_graph, spread};
use crate::derivative::basis;
use crate::forward::{between, ends, jvp_node};
use crate::jet::jet_node;
use crate::trace::or_zero;
use graph::{Cx, NodeCx, Op, Tangent, Value, Var};
use std::collections::HashMap;

/// The derivatives of y along all n directions of x, (n, sizes of y…), and its Laplacian, of the type of y.
pub(crate) fn laplacian(cx: &Cx, x: &Var, y: &Var) -> (Var, Var) {
    if x.is_poison() || y.is_poison() {
        return (cx.poison(), cx.poison());
    }
    let unit = basis(cx, &x.ty());
    let n = unit.shape()[0].clone();
    let mut slopes: HashMap<Value, Var> = HashMap::from([(x.id(), unit)]);
    let mut bends: HashMap<Value, Var> = HashMap::new();
    for i in between(cx, x.id().node, std::slice::from_ref(y)) {
        let node = cx.node(i);
        if i == x.id().node || node.op == Op::Input || !node.inputs.iter().any(|v| slopes.contains_key(v)) {
            continue;
        }
        let inner = cx.region();
        let mut along: Vec<Batched> = vec![];
        let series: Vec<Vec<Tangent>> = node
            .inputs
            .iter()
            .map(|v| match slopes.get(v) {
                None => vec![None, None],
                Some(slope) => {
                    let ty = cx.node(v.node).types[v.out as usize].clone();
                    along.push((slope.clone(), true));
                    vec![Some(inner.input(&format!("slope.{}", along.len()), ty)), None]
                }
            })
            .collect();
        let (inputs, outputs) = ends(cx, &inner, i);
        let there = NodeCx { cx: &inner, attrs: &node.attrs, inputs: &inputs, outputs: &outputs };
        let made = inner.within(|| jet_node(node.op, &there, &series));
        let live: Vec<(usize, usize, Var)> = made
            .into_iter()
            .take(outputs.len())
            .enumerate()
            .flat_map(|(out, s)| s.into_iter().enumerate().filter_map(move |(k, c)| c.map(|c| (out, k, c))))
            .collect();
        let values: Vec<Var> = live.iter().map(|(_, _, c)| c.clone()).collect();
        let wide = match inner.finish_region(&values) {
            Ok((g, captured)) => {
                let all: Vec<Batched> = captured.into_iter().map(|v| (v, false)).chain(along).collect();
                batch_graph(cx, &g, &all, &n)
            }
            Err(e) => {
                cx.fail(e);
                return (cx.poison(), cx.poison());
            }
        };
        let (inputs, outputs) = ends(cx, cx, i);
        let here = NodeCx { cx, attrs: &node.attrs, inputs: &inputs, outputs: &outputs };
        let given: Vec<Tangent> = node.inputs.iter().map(|v| bends.get(v).cloned()).collect();
        let mut bent: Vec<Tangent> = match given.iter().any(Option::is_some) {
            true => cx.in_scope_of(i, "", || jvp_node(node.op, &here, &given)),
            false => vec![],
        };
        bent.resize(outputs.len(), None);
        for ((out, k, _), (v, mapped)) in live.into_iter().zip(wide) {
            let v = spread(&v, mapped, &n);
            if k == 0 {
                slopes.insert(Value { node: i, out: out as u32 }, v);
            } else {
                let sum = v.sum(&[0]) * 2.0;
                bent[out] = Some(match bent[out].take() {
                    Some(b) => b + sum,
                    None => sum,
                });
            }
        }
        for (out, b) in bent.into_iter().enumerate() {
            if let Some(b) = b {
                bends.insert(Value { node: i, out: out as u32 }, b);
            }
        }
    }
    let slope = slopes.remove(&y.id()).unwrap_or_else(|| spread(&y.full_like(0.0), false, &n));
    (slope, or_zero(bends.remove(&y.id()), y))
}
