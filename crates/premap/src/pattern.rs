//! Chains of nodes that a target runs as one kernel.
//!
//! A chain is found by the shape of the graph, never by names: its inner values have no readers outside, and only its
//! first node reads what the others do not make, so that a chain can stand in for its nodes without a cycle. Products that
//! share their activations are the exception: they lie beside each other ([`Pattern::TernaryProducts`]).

use crate::{Fused, Options, Pattern, Target};
use axes::DType;
use graph::{Graph, Node, Op, Value};

/// What the search knows of the graph.
struct Search<'a> {
    g: &'a Graph,
    /// Nodes that read each node (once per operand).
    users: Vec<Vec<u32>>,
    /// Nodes that are an output or a tap.
    named: Vec<bool>,
    /// Nodes that a chain has already.
    taken: Vec<bool>,
}

/// The chains that the target has code for; a node is in at most one.
pub fn find(g: &Graph, target: &Target, options: &Options) -> Vec<Fused> {
    if !options.fuse || target.patterns.is_empty() {
        return vec![];
    }
    let count = g.nodes.len();
    let mut s =
        Search { g, users: vec![vec![]; count], named: vec![false; count], taken: vec![false; count] };
    for (i, n) in g.nodes.iter().enumerate() {
        n.inputs.iter().for_each(|v| s.users[v.node as usize].push(i as u32));
    }
    g.outputs.iter().chain(&g.taps).for_each(|o| s.named[o.value.node as usize] = true);
    let mut out: Vec<Fused> = vec![];
    // Products take their factors first: what they read need not become floats in memory.
    for products in [true, false] {
        for i in 0..count as u32 {
            let made = match s.node(i).op {
                // A sum that is to be kept in a certain way is left as it stands.
                Op::DotGeneral if products && s.node(i).attrs.get("accumulator").is_none() => {
                    s.dequantized_product(i)
                }
                Op::RmsNorm if !products => s.norm_quantize(i),
                Op::QuantizeWeights if !products => s.weights(i),
                Op::Multiply if !products => s.products(i),
                _ => None,
            };
            if let Some(chain) = made.filter(|f| target.patterns.contains(&f.pattern)) {
                chain.nodes.iter().for_each(|n| s.taken[*n as usize] = true);
                out.push(chain);
            }
        }
    }
    if target.patterns.contains(&Pattern::TernaryProducts) {
        out.extend(s.ternary_products());
    }
    out
}

impl Search<'_> {
    fn node(&self, i: u32) -> &Node {
        &self.g.nodes[i as usize]
    }

    /// The one reader of a result, when there is exactly one, it is an `op`, and the result has no name.
    fn only(&self, v: Value, op: Op) -> Option<u32> {
        let mut readers = self.users[v.node as usize].iter().filter(|u| self.node(**u).inputs.contains(&v));
        let first = *readers.next()?;
        let named = self.g.outputs.iter().chain(&self.g.taps).any(|o| o.value == v);
        (readers.next().is_none() && !named && self.node(first).op == op).then_some(first)
    }

    /// `convert(q) / broadcast(scale)`: the nodes convert, broadcast, divide.
    fn dequantized(&self, q: Value, scale: Value, map: &[usize]) -> Option<[u32; 3]> {
        let convert = self.only(q, Op::Convert)?;
        let divide = self.only(Value { node: convert, out: 0 }, Op::Divide)?;
        let [above, below] = self.node(divide).inputs[..] else { return None };
        let b = self.g.node(below);
        let alone = self.users[below.node as usize].len() == 1 && !self.named[below.node as usize];
        if self.taken[divide as usize] {
            return None;
        }
        let fits = above.node == convert
            && b.op == Op::Broadcast
            && b.inputs[0] == scale
            && b.attrs.ints("map") == map
            && alone
            && self.g.ty(above).dtype == DType::F32;
        fits.then_some([convert, below.node, divide])
    }

    /// The norm of a projection's input with the quantiser behind it, in integers or as what they stand for.
    fn norm_quantize(&self, norm: u32) -> Option<Fused> {
        let y = Value { node: norm, out: 0 };
        let quantize = self.only(y, Op::QuantizeActivations)?;
        if self.g.ty(y).dtype != DType::F32 {
            return None;
        }
        let at = |node, out| Value { node, out };
        let (q, scale) = (at(quantize, 0), at(quantize, 1));
        let rank = self.g.ty(q).rank();
        let rows: Vec<usize> = (0..rank - 1).collect();
        let inputs = self.node(norm).inputs.clone();
        Some(match self.dequantized(q, scale, &rows) {
            Some([convert, spread, divide]) => Fused {
                pattern: Pattern::RmsNormFakeQuantize,
                nodes: vec![norm, quantize, convert, spread, divide],
                inputs,
                outputs: vec![at(norm, 1), scale, at(divide, 0)],
            },
            None => Fused {
                pattern: Pattern::RmsNormQuantize,
                nodes: vec![norm, quantize],
                inputs,
                outputs: vec![at(norm, 1), scale, q],
            },
        })
    }

    /// Quantised weights as the numbers that they stand for.
    fn weights(&self, quantize: u32) -> Option<Fused> {
        let at = |out| Value { node: quantize, out };
        let inputs = self.node(quantize).inputs.clone();
        if self.g.ty(inputs[0]).dtype != DType::F32 {
            return None;
        }
        let [convert, spread, divide] = self.dequantized(at(0), at(1), &[])?;
        Some(Fused {
            pattern: Pattern::FakeQuantizeWeights,
            nodes: vec![quantize, convert, spread, divide],
            inputs,
            outputs: vec![at(1), Value { node: divide, out: 0 }],
        })
    }

    /// A product whose right factor is `convert(q) / broadcast(scale)`, made for it alone. Only the last node has a
    /// reader outside, so it does not matter that it reads the left factor from outside too.
    fn dequantized_product(&self, dot: u32) -> Option<Fused> {
        let alone = |v: Value, op: Op| {
            let one = self.users[v.node as usize].len() == 1 && !self.named[v.node as usize];
            (one && self.g.node(v).op == op).then(|| self.g.node(v))
        };
        let d = self.node(dot);
        let axes = graph::ops::dot::DotAxes::new(
            &d.attrs,
            self.g.ty(d.inputs[0]).rank(),
            self.g.ty(d.inputs[1]).rank(),
        );
        let divide = alone(d.inputs[1], Op::Divide)?;
        let [above, below] = divide.inputs[..] else { return None };
        let (q, scale) = (alone(above, Op::Convert)?.inputs[0], alone(below, Op::Broadcast)?.inputs[0]);
        let rows: Vec<usize> = (0..self.g.ty(q).rank().checked_sub(1)?).collect();
        let map = self.g.node(below).attrs.ints("map");
        let fits = d.types[0].dtype == DType::F32
            && matches!(self.g.ty(q).dtype, DType::I8 | DType::Trit)
            && (map == rows || map.is_empty())
            && axes.lhs_batch.is_empty()
            && axes.rhs_contract == rows
            && axes.lhs_contract.is_sorted()
            && above.node != below.node;
        fits.then(|| Fused {
            pattern: Pattern::DequantizedProduct,
            nodes: vec![above.node, below.node, d.inputs[1].node, dot],
            inputs: vec![d.inputs[0], q, scale],
            outputs: vec![Value { node: dot, out: 0 }],
        })
    }

    /// Products of the same activations with matrices that are inputs: since all operands but those that they share are
    /// there from the start, one step for all of them waits for nothing that one of them would not wait for.
    fn ternary_products(&self) -> Vec<Fused> {
        let given = |v: &Value| matches!(self.g.node(*v).op, Op::Input | Op::Constant);
        let mut out: Vec<Fused> = vec![];
        for (i, n) in self.g.nodes.iter().enumerate() {
            let fits = n.op == Op::TernaryLinear
                && n.types[0].dtype == DType::F32
                && !self.taken[i]
                && n.inputs[2..].iter().all(given);
            if !fits {
                continue;
            }
            let node = i as u32;
            match out.iter_mut().find(|f| f.inputs[..2] == n.inputs[..2]) {
                Some(f) => {
                    f.nodes.push(node);
                    f.inputs.extend(&n.inputs[2..]);
                    f.outputs.push(Value { node, out: 0 });
                }
                None => out.push(Fused {
                    pattern: Pattern::TernaryProducts,
                    nodes: vec![node],
                    inputs: n.inputs.clone(),
                    outputs: vec![Value { node, out: 0 }],
                }),
            }
        }
        out.retain(|f| f.nodes.len() > 1);
        out
    }

    /// The sum of products along the last axes.
    fn products(&self, multiply: u32) -> Option<Fused> {
        let n = self.node(multiply);
        let v = Value { node: multiply, out: 0 };
        let reduce = self.only(v, Op::ReduceSum)?;
        let rank = n.types[0].rank();
        let axes = self.node(reduce).attrs.ints("axes");
        let last = axes.iter().rev().zip((0..rank).rev()).all(|(a, b)| *a == b);
        // Operands that lie in memory anyway.
        let lies = |v: &Value| {
            let op = self.g.node(*v).op;
            let view = op == Op::Slice && !crate::schedule::contiguous_slice(self.g, v.node as usize);
            op != Op::Broadcast && !view && crate::group::splat(self.g, *v).is_none()
        };
        let free = self.node(reduce).attrs.get("accumulator").is_none();
        let fits = last && free && n.types[0].dtype == DType::F32 && n.inputs.iter().all(lies);
        fits.then(|| Fused {
            pattern: Pattern::SumOfProducts,
            nodes: vec![multiply, reduce],
            inputs: n.inputs.clone(),
            outputs: vec![Value { node: reduce, out: 0 }],
        })
    }
}
