//! The intermediate form: a list of nodes in static single assignment, each after its operands, with regions as
//! attributes.

use crate::attrs::Attrs;
use crate::dim::{Bindings, Dim};
use crate::op::Op;
use crate::types::Type;
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::panic::Location;
use std::sync::Arc;

/// One result of one node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Value {
    /// The node's index in [`Graph::nodes`].
    pub node: u32,
    /// Which of the node's results.
    pub out: u32,
}

/// An application of an op.
#[derive(Clone, Debug)]
pub struct Node {
    /// Which op of the table.
    pub op: Op,
    /// Its build-time arguments.
    pub attrs: Attrs,
    /// Its operands: results of earlier nodes.
    pub inputs: Vec<Value>,
    /// The types of its results.
    pub types: Vec<Type>,
    /// Index into [`Graph::scopes`]: the part of the model that the node belongs to.
    pub scope: u32,
    /// Where it was written, when a person wrote it.
    pub place: Option<&'static Location<'static>>,
}

impl PartialEq for Node {
    fn eq(&self, o: &Node) -> bool {
        self.op == o.op && self.attrs == o.attrs && self.inputs == o.inputs && self.types == o.types
    }
}
impl Eq for Node {}
impl Hash for Node {
    fn hash<H: Hasher>(&self, h: &mut H) {
        (self.op, &self.attrs, &self.inputs).hash(h);
    }
}

/// A named value: an input, an output or a tap.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The value.
    pub value: Value,
}

/// A computational graph.
///
/// Scopes and source places are notes for people and do not count in comparisons.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The nodes; an operand's index is smaller than its user's.
    pub nodes: Vec<Node>,
    /// The inputs in order; each is the result of an `input` node.
    pub inputs: Vec<Named>,
    /// The outputs in order.
    pub outputs: Vec<Named>,
    /// Named inner values (hidden states, traces).
    pub taps: Vec<Named>,
    /// Names of parts of the model, `layers.0.attn`; index 0 is the empty scope.
    pub scopes: Vec<String>,
}

impl PartialEq for Graph {
    fn eq(&self, o: &Graph) -> bool {
        self.nodes == o.nodes && self.inputs == o.inputs && self.outputs == o.outputs && self.taps == o.taps
    }
}
impl Eq for Graph {}
impl Hash for Graph {
    fn hash<H: Hasher>(&self, h: &mut H) {
        (&self.nodes, &self.inputs, &self.outputs).hash(h);
    }
}

impl Graph {
    /// The node that makes `v`.
    pub fn node(&self, v: Value) -> &Node {
        &self.nodes[v.node as usize]
    }

    /// The type of `v`.
    pub fn ty(&self, v: Value) -> &Type {
        &self.nodes[v.node as usize].types[v.out as usize]
    }

    /// The input called `name`.
    pub fn input(&self, name: &str) -> Option<Value> {
        self.inputs.iter().find(|i| i.name == name).map(|i| i.value)
    }

    /// The output called `name`.
    pub fn output(&self, name: &str) -> Option<Value> {
        self.outputs.iter().find(|i| i.name == name).map(|i| i.value)
    }

    /// The tap called `name`.
    pub fn tap(&self, name: &str) -> Option<Value> {
        self.taps.iter().find(|i| i.name == name).map(|i| i.value)
    }

    /// The symbols that occur in sizes.
    pub fn symbols(&self) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        for t in self.nodes.iter().flat_map(|n| &n.types) {
            t.shape.iter().for_each(|d| d.symbols(&mut out));
        }
        out
    }

    /// The graph with the bound sizes put in, regions included.
    pub fn specialize(&self, bindings: &Bindings) -> Graph {
        let mut g = self.clone();
        for n in &mut g.nodes {
            n.types.iter_mut().for_each(|t| *t = t.substitute(bindings));
            let attrs: Vec<_> = n.attrs.iter().map(|(k, v)| (k, v.clone())).collect();
            for (k, v) in attrs {
                use crate::attrs::Attr::{Dims, Graph as Region};
                let new = match v {
                    Dims(d) => Dims(d.iter().map(|d: &Dim| d.substitute(bindings)).collect()),
                    Region(r) => Region(Arc::new(r.specialize(bindings))),
                    _ => continue,
                };
                n.attrs = std::mem::take(&mut n.attrs).with(k, new);
            }
        }
        g
    }

    /// How often each value is used by nodes, outputs and taps.
    pub fn use_counts(&self) -> Vec<Vec<u32>> {
        let mut uses: Vec<Vec<u32>> = self.nodes.iter().map(|n| vec![0; n.types.len()]).collect();
        let named = self.outputs.iter().chain(&self.taps).map(|o| o.value);
        for v in self.nodes.iter().flat_map(|n| n.inputs.iter().copied()).chain(named) {
            uses[v.node as usize][v.out as usize] += 1;
        }
        uses
    }

    /// Number of nodes, those of regions included.
    pub fn size(&self) -> usize {
        self.nodes
            .iter()
            .map(|n| {
                let regions = n.attrs.iter().filter_map(|(_, a)| match a {
                    crate::Attr::Graph(g) => Some(g.size()),
                    _ => None,
                });
                1 + regions.sum::<usize>()
            })
            .sum()
    }
}
