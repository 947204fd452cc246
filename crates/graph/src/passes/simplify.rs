//! The exact algebraic rules on a graph that exists, and the removal of what only derivatives see.

use super::{Rewriter, map_regions};
use crate::ir::Graph;
use crate::op::Op;
use crate::rules::{Rewrite, rewrite};

/// The graph with the rules of `rules.rs` applied wherever they match, in regions too.
pub fn simplify(graph: &Graph) -> Graph {
    let mut r = Rewriter::new(graph);
    for old in &graph.nodes {
        let mut node = r.moved(old);
        node.attrs = map_regions(&old.attrs, &simplify);
        // Each rule leads to fewer nodes or to an op that no rule leads away from.
        let results = loop {
            match rewrite(&r.new, node.op, &node.attrs, &node.inputs) {
                Some(Rewrite::Value(v)) => break vec![v],
                Some(Rewrite::Node(op, attrs, inputs)) => {
                    (node.op, node.attrs, node.inputs) = (op, attrs, inputs)
                }
                None => break r.push(node),
            }
        };
        r.map.push(results);
    }
    r.finish()
}

/// The graph for an execution after which nobody differentiates: `identity(x)` (unless marked `keep`) and `stop_gradient(x)` become `x`,
/// `surrogate(q, s)` becomes `q`, and then [`super::standard`] runs, which removes the stand-ins.
pub fn lower_for_execution(graph: &Graph) -> Graph {
    super::standard(&strip(graph))
}

/// As [`lower_for_execution`], with equal nodes left apart: what sharing them is worth is measured against this.
pub fn lower_unshared(graph: &Graph) -> Graph {
    super::rounds(&strip(graph), false)
}

fn strip(graph: &Graph) -> Graph {
    let mut r = Rewriter::new(graph);
    for old in &graph.nodes {
        let results = match old.op {
            Op::StopGradient | Op::Surrogate => vec![r.at(old.inputs[0])],
            Op::Identity if !old.attrs.flag("keep") => vec![r.at(old.inputs[0])],
            _ => {
                let mut node = r.moved(old);
                node.attrs = map_regions(&old.attrs, &strip);
                r.push(node)
            }
        };
        r.map.push(results);
    }
    r.finish()
}
