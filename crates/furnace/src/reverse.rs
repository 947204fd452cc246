//! Reverse mode: cotangents pulled back along the nodes, last first.
//!
//! Per node: the shortcut of the op table, or its jvp rule applied to placeholders and then transposed, or the same
//! for its decomposition. So a rule is written once, in forward form.

use crate::forward::{between, ends, jvp_node};
use crate::{Remat, control, custom, transformations};
use graph::{Cx, GraphError, NodeCx, Op, Tangent, Value, Var};
use std::collections::{HashMap, HashSet};

/// Cotangents of `xs` when `ys` have cotangents `cts`; `None` where nothing flows.
pub fn pullback(cx: &Cx, ys: &[Var], cts: &[Tangent], xs: &[Var], remat: Remat) -> Vec<Tangent> {
    pullback_into(cx, cx, ys, cts, xs, remat)
}

/// [`pullback`] along nodes of `cx` with the results built in `into`, which is `cx` or a region of it.
pub(crate) fn pullback_into(
    cx: &Cx,
    into: &Cx,
    ys: &[Var],
    cts: &[Tangent],
    xs: &[Var],
    remat: Remat,
) -> Vec<Tangent> {
    walk(cx, into, ys, cts, xs, |op, n, wanted, ct| vjp_node(op, n, wanted, ct, remat))
}

/// The common walk; `rule` gives the cotangents of a node's operands.
fn walk(
    cx: &Cx,
    into: &Cx,
    ys: &[Var],
    cts: &[Tangent],
    xs: &[Var],
    rule: impl Fn(Op, &NodeCx, &[bool], &[Tangent]) -> Vec<Tangent>,
) -> Vec<Tangent> {
    if xs.iter().chain(ys).any(Var::is_poison) {
        return vec![None; xs.len()];
    }
    let stops: HashSet<Value> = xs.iter().map(Var::id).collect();
    let first = stops.iter().map(|v| v.node).min().unwrap_or(u32::MAX);
    let mut sums: HashMap<Value, Var> = HashMap::new();
    let add = |sums: &mut HashMap<Value, Var>, v: Value, ct: &Var| {
        let sum = match sums.get(&v) {
            Some(s) => s + ct,
            None => ct.clone(),
        };
        sums.insert(v, sum);
    };
    for (y, ct) in ys.iter().zip(cts) {
        if let Some(ct) = ct {
            add(&mut sums, y.id(), ct);
        }
    }
    if sums.keys().all(|v| v.node < first) {
        return xs.iter().map(|x| sums.get(&x.id()).cloned()).collect();
    }
    // Which values depend on `xs`: the others get no cotangent.
    let mut active: HashSet<Value> = stops.clone();
    let nodes = between(cx, first, ys);
    for i in &nodes {
        let i = *i;
        let n = cx.node(i);
        if n.inputs.iter().any(|v| active.contains(v)) {
            active.extend((0..n.types.len() as u32).map(|out| Value { node: i, out }));
        }
    }
    for i in nodes.into_iter().rev() {
        let n = cx.node(i);
        let outputs: Vec<Value> = (0..n.types.len() as u32).map(|out| Value { node: i, out }).collect();
        let ct: Vec<Tangent> =
            outputs.iter().map(|v| if stops.contains(v) { None } else { sums.remove(v) }).collect();
        let wanted: Vec<bool> = n
            .inputs
            .iter()
            .map(|v| active.contains(v) && cx.node(v.node).types[v.out as usize].dtype.is_float())
            .collect();
        if n.op == Op::Input || ct.iter().all(Option::is_none) || !wanted.contains(&true) {
            continue;
        }
        let (inputs, outputs) = ends(cx, into, i);
        let node = NodeCx { cx: into, attrs: &n.attrs, inputs: &inputs, outputs: &outputs };
        let made = cx.in_scope_of(i, "", || rule(n.op, &node, &wanted, &ct));
        for ((v, ct), wanted) in n.inputs.iter().zip(made).zip(&wanted) {
            if let (Some(ct), true) = (ct, *wanted) {
                add(&mut sums, *v, &ct);
            }
        }
    }
    xs.iter().map(|x| sums.get(&x.id()).cloned()).collect()
}

/// The cotangents of one node's operands.
fn vjp_node(op: Op, n: &NodeCx, wanted: &[bool], ct: &[Tangent], remat: Remat) -> Vec<Tangent> {
    let own = custom::vjp(op, n, wanted, ct, remat);
    if let Some(made) = own.or_else(|| control::vjp(op, n, wanted, ct, remat)) {
        return made;
    }
    if let Some(made) = transformations::vjp(op, n, wanted, ct) {
        return made;
    }
    if let Some(made) = op.vjp(n, wanted, ct) {
        return made;
    }
    // Linearise: the node's tangents as functions of one placeholder per wanted operand.
    let holders = placeholders(n, wanted);
    if let Some(tangents) = op.jvp(n, &holders) {
        return transpose(n.cx, &tangents, ct, &holders);
    }
    let inputs: Vec<Var> = n.inputs.iter().map(|x| n.cx.variable(x)).collect();
    match op.decompose(&NodeCx { inputs: &inputs, outputs: &[], ..*n }) {
        Some(ys) => pullback(n.cx, &ys, ct, &inputs, remat),
        None => jvp_node(op, n, &vec![None; n.inputs.len()])
            .into_iter()
            .chain(vec![None; n.inputs.len()])
            .take(n.inputs.len())
            .collect(),
    }
}

/// Variables of value zero for the tangents of the wanted operands.
pub(crate) fn placeholders(n: &NodeCx, wanted: &[bool]) -> Vec<Tangent> {
    let holder = |(x, wanted): (&Var, &bool)| wanted.then(|| n.cx.variable(&n.cx.import(&x.full_like(0.0))));
    n.inputs.iter().zip(wanted).map(holder).collect()
}

/// The cotangents of the placeholders through nodes that are linear in them.
pub(crate) fn transpose(cx: &Cx, tangents: &[Tangent], ct: &[Tangent], holders: &[Tangent]) -> Vec<Tangent> {
    let live: Vec<(Var, Tangent)> =
        tangents.iter().zip(ct).filter_map(|(t, c)| t.clone().map(|t| (t, c.clone()))).collect();
    let (ys, cts): (Vec<Var>, Vec<Tangent>) = live.into_iter().unzip();
    let xs: Vec<Var> = holders.iter().flatten().cloned().collect();
    let mut made = walk(cx, cx, &ys, &cts, &xs, |op, n, linear, ct| {
        let regions =
            || custom::transpose(op, n, linear, ct).or_else(|| control::transpose(op, n, linear, ct));
        regions().or_else(|| op.transpose(n, linear, ct)).unwrap_or_else(|| {
            cx.fail(GraphError::NotDifferentiable {
                op: op.name(),
                problem: "a derivative rule used it on a tangent, but it is not linear there".into(),
            });
            vec![None; n.inputs.len()]
        })
    })
    .into_iter();
    holders.iter().map(|h| h.as_ref().and_then(|_| made.next().flatten())).collect()
}
