//! Rewrites a graph into what a target has code for.

use crate::Target;
use graph::{Attr, Cx, Graph, GraphError, NodeCx, Op, Value, Var};
use std::sync::Arc;

/// The same function in ops that the target knows, after the passes of the graph: without the ops that only matter to
/// derivatives, with constants folded, and without what no output or tap needs.
///
/// What a rematerialised call computes again is there twice, so no pass that joins equal nodes may follow; see
/// [`decompose`].
pub fn lower(graph: &Graph, target: &Target) -> Result<Graph, GraphError> {
    lower_with(graph, target, true)
}

/// As [`lower`]; without `share`, equal nodes that decompositions make stay apart.
pub fn lower_with(graph: &Graph, target: &Target, share: bool) -> Result<Graph, GraphError> {
    Ok(unmarked(decompose_with(graph, target, share)?))
}

/// As [`lower`], for a graph that will be lowered again: the operands of rematerialised calls go through `identity` nodes
/// (marked `keep`), so that passes do not find what is computed again equal to what the forward pass has, which would be
/// held in memory after all.
pub fn decompose(graph: &Graph, target: &Target) -> Result<Graph, GraphError> {
    decompose_with(graph, target, true)
}

fn decompose_with(graph: &Graph, target: &Target, share: bool) -> Result<Graph, GraphError> {
    let clean = |g: &Graph| match share {
        true => graph::passes::lower_for_execution(g),
        false => graph::passes::lower_unshared(g),
    };
    let graph = clean(graph);
    let cx = if share { Cx::abstract_() } else { Cx::unshared() };
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
                Op::Call => {
                    let callee = n.attrs.graph("callee").cloned().unwrap_or_default();
                    let callee = decompose_with(&callee, target, share)?;
                    match n.attrs.flag("remat") {
                        true => cx.inline(&callee, &apart(&cx, &inputs))?,
                        false => cx.inline(&callee, &inputs)?,
                    }
                }
                op if op.class() == graph::Class::Composite && !target.fused.contains(&op) => {
                    let node = NodeCx { cx: &cx, attrs: &n.attrs, inputs: &inputs, outputs: &[] };
                    op.decompose(&node).ok_or_else(|| GraphError::Eval {
                        op: op.name(),
                        problem: format!("has no decomposition, and {} has no code for it", target.name),
                    })?
                }
                Op::Add if joined(&cx, &inputs).is_some() => joined(&cx, &inputs).into_iter().collect(),
                op => {
                    let mut attrs = n.attrs.clone();
                    for (k, v) in n.attrs.iter() {
                        if let Attr::Graph(g) = v {
                            attrs = attrs.with(k, Attr::Graph(Arc::new(decompose_with(g, target, share)?)));
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
    let made = cx.finish(&named)?;
    let again =
        made.nodes.iter().any(|n| n.op.class() == graph::Class::Composite && !target.fused.contains(&n.op));
    // A decomposition may use composites in turn, and may leave what constants or dead results make superfluous.
    if again { decompose_with(&made, target, share) } else { Ok(clean(&made)) }
}

/// The operands under names that the passes keep. Inputs of the graph stay as they are where another operand makes the
/// difference: what depends on them alone (quantised weights) is better computed once.
fn apart(cx: &Cx, operands: &[Var]) -> Vec<Var> {
    let input = |v: &Var| cx.node(v.id().node).op == Op::Input;
    let all = operands.iter().all(input);
    let mark = |v: &Var| match input(v) && !all {
        true => v.clone(),
        false => {
            let attrs = graph::attrs! { id: Int(cx.len() as i64), keep: Bool(true) };
            cx.push1(Op::Identity, attrs, &[v])
        }
    };
    operands.iter().map(mark).collect()
}

/// The graph without the marks of [`apart`], which would be copies.
fn unmarked(mut g: Graph) -> Graph {
    let mut nodes: Vec<graph::Node> = vec![];
    // Where each node's results are now: those of a node, or for a mark one result of it.
    let mut moved: Vec<(u32, Option<u32>)> = vec![];
    let at = |moved: &[(u32, Option<u32>)], v: Value| {
        let (node, result) = moved[v.node as usize];
        Value { node, out: result.unwrap_or(v.out) }
    };
    for mut n in std::mem::take(&mut g.nodes) {
        n.inputs.iter_mut().for_each(|v| *v = at(&moved, *v));
        if n.op == Op::Identity && n.attrs.flag("keep") {
            moved.push((n.inputs[0].node, Some(n.inputs[0].out)));
            continue;
        }
        for (k, v) in n.attrs.clone().iter() {
            if let Attr::Graph(g) = v {
                n.attrs = n.attrs.with(k, Attr::Graph(Arc::new(unmarked(g.as_ref().clone()))));
            }
        }
        moved.push((nodes.len() as u32, None));
        nodes.push(n);
    }
    g.nodes = nodes;
    for named in g.inputs.iter_mut().chain(&mut g.outputs).chain(&mut g.taps) {
        named.value = at(&moved, named.value);
    }
    g
}

/// The join of two parts whose zero margins are added: what the gradient of two slices that tile an axis comes to.
fn joined(cx: &Cx, inputs: &[Var]) -> Option<Var> {
    let [a, b] = inputs else { return None };
    let parts = [a, b].map(|v| cx.node(v.id().node));
    if parts.iter().any(|n| n.op != Op::Pad || n.attrs.float("value", 0.0) != 0.0) {
        return None;
    }
    let fixed =
        |k: usize, key: &str| parts[k].attrs.dims(key).iter().map(|d| d.fixed()).collect::<Option<Vec<_>>>();
    let margins = [[fixed(0, "low")?, fixed(0, "high")?], [fixed(1, "low")?, fixed(1, "high")?]];
    let inner = [0, 1].map(|k| Var::from_id(cx, parts[k].inputs[0]));
    let used = |axis: &usize| margins.iter().flatten().any(|m| m[*axis] > 0);
    let axes: Vec<usize> = (0..margins[0][0].len()).filter(used).collect();
    let [axis] = axes[..] else { return None };
    // Part `i` before part `k`, which begins where that one ends.
    let before = |i: usize, k: usize| {
        margins[i][0][axis] == 0
            && margins[k][1][axis] == 0
            && inner[i].shape()[axis].fixed() == Some(margins[k][0][axis])
    };
    match (before(0, 1), before(1, 0)) {
        (true, _) => Some(Var::concatenate(&[&inner[0], &inner[1]], axis)),
        (_, true) => Some(Var::concatenate(&[&inner[1], &inner[0]], axis)),
        _ => None,
    }
}
