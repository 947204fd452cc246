//! Rewrites a graph into what a target has code for.

use crate::Target;
use graph::{Attr, Cx, Graph, GraphError, NodeCx, Op, Value, Var};
use std::sync::Arc;

/// The same function in ops that the target knows, without the ops that only matter to derivatives; nodes that no
/// output or tap needs are gone.
pub fn lower(graph: &Graph, target: &Target) -> Result<Graph, GraphError> {
    let graph = live(graph);
    let cx = Cx::abstract_();
    let mut map: Vec<Vec<Var>> = vec![vec![]; graph.nodes.len()];
    for i in &graph.inputs {
        map[i.value.node as usize] = vec![cx.input(&i.name, graph.ty(i.value).clone())];
    }
    let at = |map: &[Vec<Var>], v: Value| map[v.node as usize][v.out as usize].clone();
    for (i, n) in graph.nodes.iter().enumerate() {
        if n.op == Op::Input {
            continue;
        }
        let inputs: Vec<Var> = n.inputs.iter().map(|v| at(&map, *v)).collect();
        map[i] = cx.scope(&graph.scopes[n.scope as usize], || -> Result<Vec<Var>, GraphError> {
            Ok(match n.op {
                Op::Identity | Op::StopGradient | Op::Surrogate => vec![inputs[0].clone()],
                Op::Call => {
                    let callee = n.attrs.graph("callee").cloned().unwrap_or_default();
                    cx.inline(&lower(&callee, target)?, &inputs)?
                }
                op if op.class() == graph::Class::Composite && !target.fused.contains(&op) => {
                    let node = NodeCx { cx: &cx, attrs: &n.attrs, inputs: &inputs, outputs: &[] };
                    let made = op.decompose(&node).ok_or_else(|| GraphError::Eval {
                        op: op.name(),
                        problem: format!("has no decomposition, and {} has no code for it", target.name),
                    })?;
                    // A decomposition may use composites in turn.
                    made.into_iter().collect()
                }
                op => {
                    let mut attrs = n.attrs.clone();
                    for (k, v) in n.attrs.iter() {
                        if let Attr::Graph(g) = v {
                            attrs = attrs.with(k, Attr::Graph(Arc::new(lower(g, target)?)));
                        }
                    }
                    cx.push(op, attrs, &inputs.iter().collect::<Vec<_>>())
                }
            })
        })?;
        if let Some(e) = cx.error() {
            return Err(e);
        }
    }
    for t in &graph.taps {
        cx.tap(&t.name, &at(&map, t.value));
    }
    let outputs: Vec<Var> = graph.outputs.iter().map(|o| at(&map, o.value)).collect();
    let named: Vec<(&str, &Var)> = graph.outputs.iter().map(|o| o.name.as_str()).zip(&outputs).collect();
    let made = live(&cx.finish(&named)?);
    let again = made.nodes.iter().any(|n| n.op.class() == graph::Class::Composite && !target.fused.contains(&n.op));
    if again { lower(&made, target) } else { Ok(made) }
}

/// The graph without nodes that no output or tap needs; inputs stay.
pub fn live(graph: &Graph) -> Graph {
    let mut keep = vec![false; graph.nodes.len()];
    for v in graph.outputs.iter().chain(&graph.taps).chain(&graph.inputs) {
        keep[v.value.node as usize] = true;
    }
    for i in (0..graph.nodes.len()).rev() {
        if keep[i] {
            graph.nodes[i].inputs.iter().for_each(|v| keep[v.node as usize] = true);
        }
    }
    let mut index = vec![0u32; graph.nodes.len()];
    let mut out = Graph { scopes: graph.scopes.clone(), ..Graph::default() };
    let moved = |v: Value, index: &[u32]| Value { node: index[v.node as usize], out: v.out };
    for (i, n) in graph.nodes.iter().enumerate() {
        if keep[i] {
            index[i] = out.nodes.len() as u32;
            let mut n = n.clone();
            n.inputs.iter_mut().for_each(|v| *v = moved(*v, &index));
            out.nodes.push(n);
        }
    }
    let rename = |list: &[graph::Named]| {
        list.iter().map(|n| graph::Named { name: n.name.clone(), value: moved(n.value, &index) }).collect()
    };
    (out.inputs, out.outputs, out.taps) = (rename(&graph.inputs), rename(&graph.outputs), rename(&graph.taps));
    out
}
