//! Chains of nodes that a target runs as one kernel.
//!
//! A chain is found by the shape of the graph, never by names: its inner values have no readers outside, and only its
//! first node reads what the others do not make, so that a chain can stand in for its nodes without a cycle. Products that
//! share their activations are the exception: they lie beside each other ([`Pattern::TernaryProducts`]).

use crate::{Fused, Options, Pattern, Target};
use axes::{DType, TritLayout};
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
    let takes = |p: Pattern| target.patterns.contains(&p) && options.switches.takes(p);
    let gated = if takes(Pattern::TernaryGated) { target.gated_from } else { usize::MAX };
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
                Op::Multiply if !products => s.gated(i, gated).or_else(|| s.products(i)),
                Op::Add if !products => s.plus_product(i),
                _ => None,
            };
            if let Some(chain) = made.filter(|f| takes(f.pattern)) {
                chain.nodes.iter().for_each(|n| s.taken[*n as usize] = true);
                out.push(chain);
            }
        }
    }
    if takes(Pattern::TernaryProducts) {
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

    /// What the node makes, if it makes one value that the node `user` alone reads, and which has no name.
    fn inner(&self, v: Value, user: u32) -> Option<&Node> {
        let alone = self.users[v.node as usize].iter().all(|u| *u == user);
        let free = alone && !self.named[v.node as usize] && !self.taken[v.node as usize];
        let n = self.node(v.node);
        (free && n.types.len() == 1).then_some(n)
    }

    /// A product of int8 activations with trits that are an input, read by `user` alone.
    fn ternary(&self, v: Value, user: u32) -> Option<&Node> {
        let given = |v: &Value| matches!(self.g.node(*v).op, Op::Input | Op::Constant);
        let n = self.inner(v, user)?;
        let fits =
            n.op == Op::TernaryLinear && n.types[0].dtype == DType::F32 && n.inputs[2..].iter().all(given);
        fits.then_some(n)
    }

    /// The gate of a gated unit: silu(g) or relu(g)², read by `user` alone; g, and the nodes.
    fn gate(&self, v: Value, user: u32) -> Option<(Value, Vec<u32>)> {
        let n = self.inner(v, user)?;
        match n.op {
            Op::Silu => Some((n.inputs[0], vec![v.node])),
            Op::Multiply if n.inputs[0] == n.inputs[1] => {
                let relu = self.inner(n.inputs[0], v.node).filter(|n| n.op == Op::Relu)?;
                Some((relu.inputs[0], vec![n.inputs[0].node, v.node]))
            }
            _ => None,
        }
    }

    /// function(x gate) · (x up). The first node of the chain reads the activations, every other one what the chain makes
    /// or what is given, so no path leads out of it and back.
    fn gated(&self, multiply: u32, from: usize) -> Option<Fused> {
        let out = self.node(multiply);
        let (_, tokens) =
            out.types[0].fixed_shape()?.split_last().map(|(m, n)| (*m, n.iter().product::<usize>()))?;
        if tokens < from {
            return None;
        }
        [[0, 1], [1, 0]].into_iter().find_map(|[a, b]| {
            let (gate, up) = (out.inputs[a], out.inputs[b]);
            let (g, mut nodes) = self.gate(gate, multiply)?;
            let first = nodes[0];
            let halves = |v: Value, user: u32, high: bool| {
                let n = self.inner(v, user).filter(|n| n.op == Op::Slice)?;
                let whole = self.g.ty(n.inputs[0]).fixed_shape()?;
                let part = n.types[0].fixed_shape()?;
                let (last, rest) = part.split_last()?;
                let starts: Vec<usize> =
                    n.attrs.dims("start").iter().map(|d| d.fixed()).collect::<Option<_>>()?;
                let (start, before) = starts.split_last()?;
                let fits = 2 * last == *whole.last()?
                    && last.is_multiple_of(TritLayout::GROUP)
                    && rest == &whole[..whole.len() - 1]
                    && before.iter().all(|s| *s == 0)
                    && *start == if high { *last } else { 0 };
                fits.then_some(n.inputs[0])
            };
            let (product, inputs) = match (halves(g, first, false), halves(up, multiply, true)) {
                (Some(one), Some(other)) if one == other => {
                    let slices = [g.node, up.node];
                    let alone = self.users[one.node as usize].iter().all(|u| slices.contains(u));
                    let n = self.node(one.node);
                    let given = |v: &Value| matches!(self.g.node(*v).op, Op::Input | Op::Constant);
                    let fits = alone
                        && !self.named[one.node as usize]
                        && !self.taken[one.node as usize]
                        && n.op == Op::TernaryLinear
                        && n.types[0].dtype == DType::F32
                        && n.inputs[2..].iter().all(given);
                    if !fits {
                        return None;
                    }
                    let mut inputs = n.inputs.clone();
                    inputs.extend(&n.inputs[2..]);
                    (vec![one.node, g.node, up.node], inputs)
                }
                (None, None) => {
                    let (g_node, u_node) = (self.ternary(g, first)?, self.ternary(up, multiply)?);
                    let alike = g_node.inputs[..2] == u_node.inputs[..2]
                        && g_node.types == u_node.types
                        && g.node != up.node;
                    let mut inputs = g_node.inputs.clone();
                    inputs.extend(&u_node.inputs[2..]);
                    (alike.then(|| vec![g.node, up.node])?, inputs)
                }
                _ => return None,
            };
            nodes.extend(product);
            nodes.push(multiply);
            nodes.sort_unstable();
            let outputs = vec![Value { node: multiply, out: 0 }];
            Some(Fused { pattern: Pattern::TernaryGated, nodes, inputs, outputs })
        })
    }

    /// A product plus a term of its shape, which cannot depend on the product, since nothing else reads that.
    fn plus_product(&self, add: u32) -> Option<Fused> {
        let out = self.node(add);
        [[0, 1], [1, 0]].into_iter().find_map(|[a, b]| {
            let (v, term) = (out.inputs[a], out.inputs[b]);
            let n = self.ternary(v, add)?;
            let fits = self.g.ty(term) == self.g.ty(v) && self.lies(&term) && v != term;
            let mut inputs = n.inputs.clone();
            inputs.push(term);
            fits.then(|| Fused {
                pattern: Pattern::TernaryAdd,
                nodes: vec![v.node, add],
                inputs,
                outputs: vec![Value { node: add, out: 0 }],
            })
        })
    }

    /// Whether an operand lies in memory anyway.
    fn lies(&self, v: &Value) -> bool {
        let op = self.g.node(*v).op;
        let view = op == Op::Slice && !crate::schedule::contiguous_slice(self.g, v.node as usize);
        op != Op::Broadcast && !view && crate::group::splat(self.g, *v).is_none()
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
        let free = self.node(reduce).attrs.get("accumulator").is_none();
        let fits = last && free && n.types[0].dtype == DType::F32 && n.inputs.iter().all(|v| self.lies(v));
        fits.then(|| Fused {
            pattern: Pattern::SumOfProducts,
            nodes: vec![multiply, reduce],
            inputs: n.inputs.clone(),
            outputs: vec![Value { node: reduce, out: 0 }],
        })
    }
}
