//! How sums are kept, written on the nodes that sum.
//!
//! The one pass that does not keep results to the bit: that is what it is for.

use crate::accumulate::Accumulator;
use crate::attrs::Attr;
use crate::ir::{Graph, Value};
use crate::op::Op;
use std::sync::Arc;

/// The graph whose sums (`reduce_sum`, `dot_general` and `scatter_add` of floats, in regions too) are kept as `how`
/// says, but for those that the values in `leave` depend on.
pub fn accumulate(graph: &Graph, how: Accumulator, leave: &[Value]) -> Graph {
    let mut left = vec![false; graph.nodes.len()];
    leave.iter().for_each(|v| left[v.node as usize] = true);
    for (i, n) in graph.nodes.iter().enumerate().rev() {
        if left[i] {
            n.inputs.iter().for_each(|v| left[v.node as usize] = true);
        }
    }
    let mut made = graph.clone();
    for (n, _) in made.nodes.iter_mut().zip(left).filter(|(_, left)| !left) {
        let sums = matches!(n.op, Op::ReduceSum | Op::DotGeneral | Op::ScatterAdd);
        if sums && n.types[0].dtype.is_float() {
            n.attrs = n.attrs.clone().with("accumulator", Attr::Str(how.name().into()));
        }
        let regions: Vec<(&'static str, Arc<Graph>)> = n
            .attrs
            .iter()
            .filter_map(|(k, v)| match v {
                Attr::Graph(g) => Some((k, g.clone())),
                _ => None,
            })
            .collect();
        for (key, g) in regions {
            n.attrs = n.attrs.clone().with(key, Attr::Graph(Arc::new(accumulate(&g, how, &[]))));
        }
    }
    made
}
