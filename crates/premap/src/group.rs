//! Fusion: which elementwise ops run as one loop.
//!
//! Nodes are visited last to first, and a node joins the group of one of its readers, so that a value needed late is
//! computed late (an activation that the backward pass repeats is not kept from the forward pass). A node may join
//! when no path leads from it through another step back into the group; a node that several groups read is written
//! by the earliest of them that can take it.

use crate::schedule::contiguous_slice;
use crate::{Access, Fused, Group, GroupInput, Optimization, Options};
use axes::DType;
use graph::{Attr, Class, Graph, Op, Value};
use std::collections::{BTreeSet, HashMap};

/// Longest group: the interpreter's registers and the number of streams that a core follows are limited.
const MAX_NODES: usize = 96;
/// Most operands and results of a group.
const MAX_STREAMS: usize = 24;
/// Elements that must lie together for a slice to be read where it lies.
const SHORTEST_RUN: usize = 8;
/// Most operations of a group's program, repeated numbers among its operands included.
const MAX_WORK: usize = 200;

/// Elementwise functions that run by themselves: rare, and a program of operations on registers would not make them faster.
const ALONE: [Op; 4] = [Op::Asin, Op::Acos, Op::Atan, Op::Erf];

/// Whether a node can be a member: f32 arithmetic, comparisons and choices.
pub fn fusable(g: &Graph, i: usize) -> bool {
    let n = &g.nodes[i];
    if n.op.class() != Class::Elementwise || ALONE.contains(&n.op) {
        return false;
    }
    let inside = |d: DType| matches!(d, DType::F32 | DType::Bool);
    let loaded =
        |d: DType| matches!(d, DType::F32 | DType::Bool | DType::I8 | DType::U8 | DType::Trit | DType::BF16);
    inside(n.types[0].dtype)
        && n.inputs.iter().all(|v| {
            let d = g.ty(*v).dtype;
            inside(d) || (n.op == Op::Convert && loaded(d) && n.types[0].dtype == DType::F32)
        })
}

/// How far apart, in nodes, groups without a value between them may stand and still become one: far enough for the two
/// gradients of a product, too near for an operand to be kept alive from the forward to the backward pass.
const SIBLINGS: u32 = 24;

/// The groups; every fusable node that no chain has taken is in exactly one.
pub fn group(g: &Graph, chains: &[Fused], options: &Options) -> Vec<Group> {
    let count = g.nodes.len();
    let mut taken = vec![false; count];
    chains.iter().flat_map(|c| &c.nodes).for_each(|n| taken[*n as usize] = true);
    let fuse = options.fuse && options.switches.on(Optimization::Fusion);
    let mut users: Vec<Vec<u32>> = vec![vec![]; count];
    for (i, n) in g.nodes.iter().enumerate() {
        n.inputs.iter().for_each(|v| users[v.node as usize].push(i as u32));
    }
    let mut of: Vec<Option<usize>> = vec![None; count];
    let mut members: Vec<BTreeSet<u32>> = vec![];
    for i in (0..count).rev() {
        if taken[i] || !fusable(g, i) {
            continue;
        }
        let mut candidates: Vec<usize> = users[i]
            .iter()
            .filter(|u| g.nodes[**u as usize].types[0].shape == g.nodes[i].types[0].shape)
            .filter_map(|u| of[*u as usize])
            .collect();
        candidates.sort_by_key(|c| members[*c].first().copied());
        candidates.dedup();
        let room = |c: usize| {
            members[c].len() < MAX_NODES
                && members[c].iter().map(|m| work(g, *m)).sum::<usize>() + work(g, i as u32) <= MAX_WORK
                && streams(g, &members[c], &users) < MAX_STREAMS
        };
        let home = candidates
            .into_iter()
            .filter(|_| fuse)
            .find(|c| room(*c) && !returns(i, *c, &users, &of, &members))
            .or_else(|| {
                // Another group that reads the same operand, so that it is read once.
                let mut near: Vec<usize> = g.nodes[i]
                    .inputs
                    .iter()
                    .filter(|v| fuse && g.ty(**v).shape == g.nodes[i].types[0].shape)
                    .flat_map(|v| users[v.node as usize].iter())
                    .filter(|u| **u > i as u32 && **u - i as u32 <= SIBLINGS)
                    .filter(|u| g.nodes[**u as usize].types[0].shape == g.nodes[i].types[0].shape)
                    .filter_map(|u| of[*u as usize])
                    .filter(|c| members[*c].last().is_some_and(|last| last - (i as u32) <= 2 * SIBLINGS))
                    .collect();
                near.sort_unstable();
                near.dedup();
                // No path leads the other way: what could lead to this node has no group yet.
                near.into_iter().find(|c| room(*c) && !returns(i, *c, &users, &of, &members))
            });
        let home = home.unwrap_or_else(|| {
            members.push(BTreeSet::new());
            members.len() - 1
        });
        members[home].insert(i as u32);
        of[i] = Some(home);
    }
    members.iter().filter(|m| !m.is_empty()).map(|m| finish(g, m, &users)).collect()
}

/// Operations of a member's program: itself, and the numbers that it needs.
fn work(g: &Graph, i: u32) -> usize {
    let n = &g.nodes[i as usize];
    let numbers = n.inputs.iter().filter(|v| splat(g, **v).is_some()).count();
    1 + numbers + usize::from(matches!(n.op, Op::Relu | Op::Convert))
}

/// Values that cross the border of a group.
fn streams(g: &Graph, members: &BTreeSet<u32>, users: &[Vec<u32>]) -> usize {
    let read: BTreeSet<Value> = members
        .iter()
        .flat_map(|m| g.nodes[*m as usize].inputs.iter().copied())
        .filter(|v| !members.contains(&v.node) && splat(g, *v).is_none())
        .collect();
    let written = members.iter().filter(|m| users[**m as usize].iter().any(|u| !members.contains(u))).count();
    read.len() + written
}

/// Whether a path leads from node `i` through a step outside group `c` back into `c`.
fn returns(i: usize, c: usize, users: &[Vec<u32>], of: &[Option<usize>], members: &[BTreeSet<u32>]) -> bool {
    let span = |m: &BTreeSet<u32>| m.first().copied().zip(m.last().copied());
    // A node behind `end` can only lead into `c` through a group that began before it.
    let mut end = members[c].last().copied().unwrap_or(0);
    loop {
        let spans = members.iter().filter_map(span).filter(|(first, _)| *first <= end);
        let furthest = spans.map(|(_, last)| last).max().unwrap_or(end);
        if furthest <= end {
            break;
        }
        end = furthest;
    }
    let mut seen = vec![false; users.len()];
    let mut stack: Vec<u32> = users[i].iter().copied().filter(|u| of[*u as usize] != Some(c)).collect();
    while let Some(n) = stack.pop() {
        if n > end || std::mem::replace(&mut seen[n as usize], true) {
            continue;
        }
        match of[n as usize] {
            Some(h) if h == c => return true,
            Some(h) => {
                for m in &members[h] {
                    seen[*m as usize] = true;
                    stack.extend(&users[*m as usize]);
                }
            }
            None => stack.extend(&users[n as usize]),
        }
    }
    false
}

/// The one number that a constant (or a broadcast of one) repeats.
pub fn splat(g: &Graph, v: Value) -> Option<f64> {
    let n = g.node(v);
    match (n.op, n.attrs.get("values")) {
        (Op::Constant, Some(Attr::Floats(x))) if x.len() == 1 => Some(x[0]),
        (Op::Broadcast | Op::Reshape, _) => splat(g, n.inputs[0]),
        _ => None,
    }
}

/// A value traced back through broadcasts (and slices) to what lies in memory, with the stride of each axis.
fn traced(g: &Graph, v: Value, sizes: &[usize]) -> (Value, Vec<usize>, usize) {
    let n = g.node(v);
    match n.op {
        Op::Broadcast => {
            let inner = g.ty(n.inputs[0]).fixed_shape().unwrap_or_default();
            let (source, from, offset) = traced(g, n.inputs[0], &inner);
            let mut strides = vec![0; sizes.len()];
            for (axis, m) in n.attrs.ints("map").into_iter().enumerate() {
                strides[m] = from[axis];
            }
            (source, strides, offset)
        }
        Op::Slice if is_read(g, v.node as usize) => {
            let inner = g.ty(n.inputs[0]).fixed_shape().unwrap_or_default();
            let (source, strides, offset) = traced(g, n.inputs[0], &inner);
            let start = n.attrs.dims("start");
            let skipped: usize = start.iter().zip(&strides).map(|(d, s)| d.fixed().unwrap_or(0) * s).sum();
            (source, strides, offset + skipped)
        }
        _ => (v, graph::array::strides(sizes), 0),
    }
}

/// Whether groups read a node's operand in another way instead of reading its result: broadcasts, and slices that leave
/// runs long enough to be read as they lie.
pub fn is_read(g: &Graph, i: usize) -> bool {
    let n = &g.nodes[i];
    match n.op {
        Op::Broadcast => true,
        Op::Slice => {
            let long = n.types[0].shape.last().and_then(|d| d.fixed()).is_some_and(|d| d >= SHORTEST_RUN);
            long && !contiguous_slice(g, i)
        }
        _ => false,
    }
}

/// How rows × cols of an iteration space are read through strides.
fn access(sizes: &[usize], strides: &[usize], offset: usize, inner: usize) -> Access {
    let split = sizes.len() - inner;
    let dense = |sizes: &[usize], strides: &[usize]| {
        let plain = graph::array::strides(sizes);
        sizes.iter().zip(strides).zip(plain).all(|((n, s), p)| *n == 1 || *s == p)
    };
    let still =
        |sizes: &[usize], strides: &[usize]| sizes.iter().zip(strides).all(|(n, s)| *n == 1 || *s == 0);
    let (os, is) = (&sizes[..split], &sizes[split..]);
    let (ot, it) = (&strides[..split], &strides[split..]);
    if offset == 0 && still(sizes, strides) {
        Access::Scalar
    } else if offset == 0 && dense(sizes, strides) {
        Access::Full
    } else if offset == 0 && still(os, ot) && dense(is, it) {
        Access::Row
    } else if offset == 0 && still(is, it) && dense(os, ot) {
        Access::Col
    } else if let Some(stride) = row_stride(os, ot).filter(|_| dense(is, it)) {
        Access::Rows { stride, offset }
    } else {
        let strides = strides.iter().map(|s| *s as isize).collect();
        Access::Strided { dims: sizes.to_vec(), strides, offset }
    }
}

/// The one stride of a row number made of these axes, when there is one.
fn row_stride(sizes: &[usize], strides: &[usize]) -> Option<usize> {
    let axes: Vec<(usize, usize)> =
        sizes.iter().copied().zip(strides.iter().copied()).filter(|a| a.0 != 1).collect();
    let fits = axes.windows(2).all(|w| w[0].1 == w[1].1 * w[1].0);
    fits.then(|| axes.last().map_or(0, |a| a.1))
}

fn finish(g: &Graph, members: &BTreeSet<u32>, users: &[Vec<u32>]) -> Group {
    let nodes: Vec<u32> = members.iter().copied().collect();
    let sizes = g.nodes[nodes[0] as usize].types[0].fixed_shape().unwrap_or_default();
    let mut read: Vec<(Value, Value, Vec<usize>, usize)> = vec![];
    let mut known: HashMap<Value, ()> = HashMap::new();
    for m in &nodes {
        for v in &g.nodes[*m as usize].inputs {
            let skip = members.contains(&v.node) || splat(g, *v).is_some() || known.insert(*v, ()).is_some();
            if !skip {
                let (source, strides, offset) = traced(g, *v, &sizes);
                read.push((*v, source, strides, offset));
            }
        }
    }
    // The split into rows and columns that needs the fewest general patterns; ties go to the longest rows that
    // still leave enough of them to share among threads.
    let cost = |inner: usize| -> usize {
        let one = |(_, _, s, o): &(Value, Value, Vec<usize>, usize)| match access(&sizes, s, *o, inner) {
            Access::Strided { .. } => 4,
            Access::Rows { .. } => 1,
            _ => 0,
        };
        read.iter().map(one).sum()
    };
    let inner = (1..=sizes.len()).min_by_key(|k| (cost(*k), *k)).unwrap_or(0);
    let split = sizes.len() - inner;
    let inputs = read
        .into_iter()
        .map(|(seen, source, s, o)| GroupInput { seen, source, access: access(&sizes, &s, o, inner) })
        .collect();
    let named: BTreeSet<u32> = g.outputs.iter().chain(&g.taps).map(|o| o.value.node).collect();
    let outputs = nodes
        .iter()
        .filter(|m| named.contains(m) || users[**m as usize].iter().any(|u| !members.contains(u)))
        .map(|m| Value { node: *m, out: 0 })
        .collect();
    Group {
        nodes,
        inputs,
        outputs,
        rows: sizes[..split].iter().product(),
        cols: sizes[split..].iter().product(),
    }
}
