//! Forward mode: tangents pushed along the nodes in order.

use crate::{control, custom};
use graph::{Cx, GraphError, NodeCx, Op, Tangent, Value, Var};
use std::collections::{HashMap, HashSet};

/// Tangents of `ys` when `xs` have tangents `ts`; `None` where `ys` does not depend on them.
pub fn pushforward(cx: &Cx, xs: &[Var], ts: &[Tangent], ys: &[Var]) -> Vec<Tangent> {
    pushforward_into(cx, cx, xs, ts, ys)
}

/// [`pushforward`] along nodes of `cx` with the results built in `into`, which is `cx` or a region of it.
pub(crate) fn pushforward_into(cx: &Cx, into: &Cx, xs: &[Var], ts: &[Tangent], ys: &[Var]) -> Vec<Tangent> {
    let mut tangents: HashMap<Value, Var> = HashMap::new();
    for (x, t) in xs.iter().zip(ts) {
        if let Some(t) = t {
            tangents.insert(x.id(), t.clone());
        }
    }
    if xs.iter().chain(ys).any(Var::is_poison) {
        return vec![None; ys.len()];
    }
    let first = tangents.keys().map(|v| v.node).min().unwrap_or(u32::MAX);
    for i in between(cx, first, ys) {
        let n = cx.node(i);
        if n.op == Op::Input || !n.inputs.iter().any(|v| tangents.contains_key(v)) {
            continue;
        }
        let (inputs, outputs) = ends(cx, into, i);
        let given: Vec<Tangent> = n.inputs.iter().map(|v| tangents.get(v).cloned()).collect();
        let node = NodeCx { cx: into, attrs: &n.attrs, inputs: &inputs, outputs: &outputs };
        let made = cx.in_scope_of(i, "", || jvp_node(n.op, &node, &given));
        for (out, t) in made.into_iter().take(outputs.len()).enumerate() {
            let y = Value { node: i, out: out as u32 };
            // A seed at an inner value replaces what the node would give it.
            if let (Some(t), false) = (t, xs.iter().any(|x| x.id() == y)) {
                tangents.insert(y, t);
            }
        }
    }
    ys.iter().map(|y| tangents.get(&y.id()).cloned()).collect()
}

/// Operands and results of node `i`, as values of `into`.
pub(crate) fn ends(cx: &Cx, into: &Cx, i: u32) -> (Vec<Var>, Vec<Var>) {
    let n = cx.node(i);
    let here = |v: Value| into.import(&Var::from_id(cx, v));
    (
        n.inputs.iter().map(|v| here(*v)).collect(),
        (0..n.types.len() as u32).map(|out| here(Value { node: i, out })).collect(),
    )
}

/// The nodes from `first` on that `ys` are computed from, in order.
pub(crate) fn between(cx: &Cx, first: u32, ys: &[Var]) -> Vec<u32> {
    let mut seen: HashSet<u32> = HashSet::new();
    let mut open: Vec<u32> = ys.iter().map(|y| y.id().node).collect();
    while let Some(i) = open.pop() {
        if i >= first && i != u32::MAX && seen.insert(i) {
            open.extend(cx.node(i).inputs.iter().map(|v| v.node));
        }
    }
    let mut list: Vec<u32> = seen.into_iter().collect();
    list.sort_unstable();
    list
}

/// One node's rule: its own, that of control flow, or that of its decomposition.
pub(crate) fn jvp_node(op: Op, n: &NodeCx, given: &[Tangent]) -> Vec<Tangent> {
    if let Some(t) = custom::jvp(op, n, given).or_else(|| control::jvp(op, n, given)) {
        return t;
    }
    if let Some(t) = op.jvp(n, given) {
        return t;
    }
    let inputs: Vec<Var> = n.inputs.iter().map(|x| n.cx.variable(x)).collect();
    match op.decompose(&NodeCx { inputs: &inputs, outputs: &[], ..*n }) {
        Some(ys) => pushforward(n.cx, &inputs, given, &ys),
        None => {
            n.cx.fail(GraphError::NotDifferentiable {
                op: op.name(),
                problem: "it has neither a derivative rule nor a decomposition".into(),
            });
            vec![None; n.outputs.len()]
        }
    }
}
