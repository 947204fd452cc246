//! Common subexpressions: a node that equals an earlier one (op, attributes with their regions, operands) is replaced
//! by it. Two `identity` nodes of different `id` differ in an attribute, so variables of differentiations stay apart.

use super::{Rewriter, map_regions};
use crate::attrs::Attrs;
use crate::ir::{Graph, Value};
use crate::op::Op;
use std::collections::HashMap;

/// The graph with equal nodes made one, in regions too. The first of them keeps its scope and place.
pub fn common_subexpressions(graph: &Graph) -> Graph {
    let mut r = Rewriter::new(graph);
    let mut seen: HashMap<(Op, Attrs, Vec<Value>), Vec<Value>> = HashMap::new();
    for old in &graph.nodes {
        let mut node = r.moved(old);
        node.attrs = map_regions(&old.attrs, &common_subexpressions);
        let key = (node.op, node.attrs.clone(), node.inputs.clone());
        let results = match seen.get(&key) {
            // Inputs look alike but are not.
            Some(found) if old.op != Op::Input => found.clone(),
            _ => {
                let made = r.push(node);
                seen.insert(key, made.clone());
                made
            }
        };
        r.map.push(results);
    }
    r.finish()
}
