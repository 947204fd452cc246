//! Rewritings of whole graphs. Each keeps the meaning exactly (the value of every output and tap, rounding included),
//! the names of inputs, outputs and taps, the scopes and the source places.
//!
//! * [`dead_code`]: nodes, carried values and captured values that nothing needs.
//! * [`common_subexpressions`]: equal nodes become one.
//! * [`constants`]: nodes whose operands are constants become constants.
//! * [`simplify`]: the exact algebraic rules.
//! * [`standard`]: all of them until nothing changes.
//! * [`lower_for_execution`]: drops what only derivatives see.
//!
//! [`fn@accumulate`] is none of these: it chooses how sums are kept, which changes their last bits.
//!
//! ```
//! use graph::{Graph, passes};
//! let g = Graph::parse("graph(x=%0) -> (y=%3) {
//!   %0:f32[B] = input
//!   %1:f32[B] = negate %0
//!   %2:f32[B] = exp %0
//!   %3:f32[B] = negate %1
//! }").unwrap();
//! assert_eq!(passes::standard(&g).nodes.len(), 1);
//! ```

mod accumulate;
mod cse;
mod dce;
mod fold;
mod simplify;

pub use accumulate::accumulate;
pub use cse::common_subexpressions;
pub use dce::dead_code;
pub use fold::constants;
pub use simplify::{lower_for_execution, lower_unshared, simplify};

use crate::attrs::{Attr, Attrs};
use crate::ir::{Graph, Named, Node, Value};
use std::sync::Arc;

/// All passes, again and again until the graph stays as it is.
pub fn standard(graph: &Graph) -> Graph {
    rounds(graph, true)
}

fn rounds(graph: &Graph, share: bool) -> Graph {
    // A round that changes something makes the graph smaller or moves it along a rule that cannot be undone; the
    // bound is for the case that a rule is added for which this does not hold.
    const ROUNDS: usize = 32;
    let mut g = dead_code(graph);
    for _ in 0..ROUNDS {
        let simple = simplify(&constants(&g));
        let next = dead_code(&if share { common_subexpressions(&simple) } else { simple });
        if next == g {
            break;
        }
        g = next;
    }
    g
}

/// A graph that is being copied node by node, with what became of each value.
struct Rewriter<'a> {
    old: &'a Graph,
    new: Graph,
    /// For each old node its results in the new graph; empty for a node that was dropped.
    map: Vec<Vec<Value>>,
}

impl<'a> Rewriter<'a> {
    fn new(old: &'a Graph) -> Self {
        let new = Graph { scopes: old.scopes.clone(), ..Graph::default() };
        Rewriter { old, new, map: Vec::with_capacity(old.nodes.len()) }
    }

    /// Where an old value is now.
    fn at(&self, v: Value) -> Value {
        self.map[v.node as usize][v.out as usize]
    }

    /// The next old node with its operands moved to the new graph.
    fn moved(&self, node: &Node) -> Node {
        Node { inputs: node.inputs.iter().map(|v| self.at(*v)).collect(), ..node.clone() }
    }

    /// Appends a node to the new graph: its results.
    fn push(&mut self, node: Node) -> Vec<Value> {
        let at = self.new.nodes.len() as u32;
        let results = (0..node.types.len() as u32).map(|out| Value { node: at, out }).collect();
        self.new.nodes.push(node);
        results
    }

    /// The new graph, with the names of the old one.
    fn finish(mut self) -> Graph {
        let named = |list: &[Named]| -> Vec<Named> {
            list.iter().map(|n| Named { name: n.name.clone(), value: self.at(n.value) }).collect()
        };
        let (inputs, outputs, taps) =
            (named(&self.old.inputs), named(&self.old.outputs), named(&self.old.taps));
        (self.new.inputs, self.new.outputs, self.new.taps) = (inputs, outputs, taps);
        self.new
    }
}

/// Attributes with `pass` applied to every region; regions that stay equal stay shared.
fn map_regions(attrs: &Attrs, pass: &impl Fn(&Graph) -> Graph) -> Attrs {
    let mut out = attrs.clone();
    for (key, attr) in attrs.iter() {
        if let Attr::Graph(old) = attr {
            let new = pass(old);
            if new != **old {
                out = out.with(key, Attr::Graph(Arc::new(new)));
            }
        }
    }
    out
}
