//! Forward mode: tangents pushed along the nodes in order.

use crate::control;
use graph::{Cx, GraphError, NodeCx, Op, Tangent, Value, Var};
use std::collections::HashMap;

/// Tangents of `ys` when `xs` have tangents `ts`; `None` where `ys` does not depend on them.
pub fn pushforward(cx: &Cx, xs: &[Var], ts: &[Tangent], ys: &[Var]) -> Vec<Tangent> {
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
    let last = ys.iter().map(|y| y.id().node).max().unwrap_or(0);
    for i in first..=last.max(first) {
        if first == u32::MAX || i > last {
            break;
        }
        let n = cx.node(i);
        if n.op == Op::Input || !n.inputs.iter().any(|v| tangents.contains_key(v)) {
            continue;
        }
        let inputs: Vec<Var> = n.inputs.iter().map(|v| Var::from_id(cx, *v)).collect();
        let outputs: Vec<Var> =
            (0..n.types.len() as u32).map(|out| Var::from_id(cx, Value { node: i, out })).collect();
        let given: Vec<Tangent> = n.inputs.iter().map(|v| tangents.get(v).cloned()).collect();
        let node = NodeCx { cx, attrs: &n.attrs, inputs: &inputs, outputs: &outputs };
        let made = cx.in_scope_of(i, "", || jvp_node(n.op, &node, &given));
        for (y, t) in outputs.iter().zip(made) {
            // A seed at an inner value replaces what the node would give it.
            if let (Some(t), false) = (t, xs.iter().any(|x| x.id() == y.id())) {
                tangents.insert(y.id(), t);
            }
        }
    }
    ys.iter().map(|y| tangents.get(&y.id()).cloned()).collect()
}

/// One node's rule: its own, that of control flow, or that of its decomposition.
pub(crate) fn jvp_node(op: Op, n: &NodeCx, given: &[Tangent]) -> Vec<Tangent> {
    if let Some(t) = control::jvp(op, n, given) {
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
