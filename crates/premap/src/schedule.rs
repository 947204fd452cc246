//! The order of steps.

use crate::{Fused, Group, Optimization, Options, PlanError};
use graph::{Graph, Op, Value};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// A unit of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Group number.
    Group(usize),
    /// Chain number.
    Fused(usize),
    /// A node by itself.
    Node(u32),
}

/// An order of units and how many of them come before the early outputs are known.
#[derive(Debug)]
pub struct Order {
    /// The units.
    pub units: Vec<Unit>,
    /// The first part's length.
    pub early: usize,
    /// Updates (input, output) that a step makes in place.
    pub donated: Vec<(usize, usize)>,
    /// Updates that have to be made elsewhere and copied when nobody reads the input any more.
    pub copied: Vec<(usize, usize)>,
}

/// Ops that need no step: they lie in memory already, or are ways of reading.
pub fn silent(g: &Graph, i: usize) -> bool {
    matches!(g.nodes[i].op, Op::Input | Op::Constant | Op::Reshape) || contiguous_slice(g, i)
}

/// Whether a node is a slice that leaves one contiguous block.
pub fn contiguous_slice(g: &Graph, i: usize) -> bool {
    let n = &g.nodes[i];
    if n.op != Op::Slice {
        return false;
    }
    let (Some(from), Some(to)) = (g.ty(n.inputs[0]).fixed_shape(), n.types[0].fixed_shape()) else {
        return false;
    };
    // All axes before the sliced one have size 1, all behind it are whole.
    let Some(axis) = (0..from.len()).find(|a| from[*a] != to[*a]) else { return true };
    to[..axis].iter().all(|s| *s == 1) && from[axis + 1..] == to[axis + 1..]
}

/// A topological order: the nodes that the early outputs need, then the rest, each in the graph's own order as far as
/// the dependencies allow. Readers of a donated input come before its writer.
pub fn schedule(
    g: &Graph,
    groups: &[Group],
    chains: &[Fused],
    options: &Options,
) -> Result<Order, PlanError> {
    let count = g.nodes.len();
    let mut unit_of: Vec<usize> = vec![usize::MAX; count];
    let mut units: Vec<Unit> = vec![];
    for (k, group) in groups.iter().enumerate() {
        group.nodes.iter().for_each(|n| unit_of[*n as usize] = units.len());
        units.push(Unit::Group(k));
    }
    for (k, chain) in chains.iter().enumerate() {
        chain.nodes.iter().for_each(|n| unit_of[*n as usize] = units.len());
        units.push(Unit::Fused(k));
    }
    for i in 0..count {
        if unit_of[i] == usize::MAX {
            unit_of[i] = units.len();
            units.push(Unit::Node(i as u32));
        }
    }
    let members = |u: usize| -> Vec<u32> {
        match units[u] {
            Unit::Group(k) => groups[k].nodes.clone(),
            Unit::Fused(k) => chains[k].nodes.clone(),
            Unit::Node(n) => vec![n],
        }
    };
    let last: Vec<u32> = (0..units.len()).map(|u| members(u).last().copied().unwrap_or(0)).collect();
    let mut needs: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); units.len()];
    for u in 0..units.len() {
        for m in members(u) {
            needs[u].extend(
                g.nodes[m as usize].inputs.iter().map(|v| unit_of[v.node as usize]).filter(|p| *p != u),
            );
        }
    }
    let find = |list: &[graph::Named], kind: &'static str, name: &str| {
        list.iter()
            .position(|n| n.name == name)
            .ok_or_else(|| PlanError::Unknown { kind, name: name.to_string() })
    };
    let mut first = vec![false; units.len()];
    let mut stack = vec![];
    for name in &options.early {
        stack.push(unit_of[g.outputs[find(&g.outputs, "output", name)?].value.node as usize]);
    }
    while let Some(u) = stack.pop() {
        if !std::mem::replace(&mut first[u], true) {
            stack.extend(&needs[u]);
        }
    }
    let mut dependents: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); units.len()];
    for (u, list) in needs.iter().enumerate() {
        list.iter().for_each(|p| {
            dependents[*p].insert(u);
        });
    }
    // In-place updates: the writer waits for all other readers of the input.
    let (mut donated, mut copied): (Vec<(usize, usize)>, Vec<(usize, usize)>) = (vec![], vec![]);
    for (input, output) in &options.donate {
        let (i, o) = (find(&g.inputs, "input", input)?, find(&g.outputs, "output", output)?);
        let (from, to) = (g.inputs[i].value, g.outputs[o].value);
        if g.ty(from) != g.ty(to) {
            return Err(PlanError::Donation {
                input: input.clone(),
                output: output.clone(),
                expected: g.ty(from).to_string(),
                found: g.ty(to).to_string(),
            });
        }
        let twice = |kind, name: &String| Err(PlanError::DonatedTwice { kind, name: name.clone() });
        match donated.iter().chain(&copied).find(|(a, b)| *a == i || *b == o) {
            Some((a, _)) if *a == i => return twice("input", input),
            Some(_) => return twice("output", output),
            None => {}
        }
        if options.early.contains(output) {
            return Err(PlanError::EarlyDonation { input: input.clone(), output: output.clone() });
        }
        let writer = unit_of[to.node as usize];
        let others: BTreeSet<usize> =
            readers(g, from).iter().map(|n| unit_of[*n as usize]).filter(|u| *u != writer).collect();
        // The writer itself may read the input element by element only, also through views.
        let ordered = match units[writer] {
            Unit::Group(k) => groups[k]
                .inputs
                .iter()
                .map(|x| (crate::memory::root(g, x.source), &x.access))
                .filter(|((base, _), _)| *base == from)
                .all(|((_, offset), access)| offset == 0 && *access == crate::Access::Full),
            // An op that writes parts of an operand anew, and reads that memory by no other way.
            Unit::Node(n) => {
                let node = &g.nodes[n as usize];
                let operands = node.inputs.iter().enumerate();
                let reads = operands.filter(|(_, v)| crate::memory::root(g, **v).0 == from);
                let pairs =
                    reads.map(|(k, v)| *v == from && node.op.in_place().contains(&(k, to.out as usize)));
                pairs.collect::<Vec<_>>() == [true]
            }
            Unit::Fused(_) => false,
        };
        // Nothing that the writer leads to may have to come before it, and nothing of the first part may write.
        let possible = ordered && !first[writer] && options.switches.on(Optimization::Donation) && {
            let mut seen = BTreeSet::new();
            let mut stack = vec![writer];
            while let Some(u) = stack.pop() {
                if seen.insert(u) {
                    stack.extend(&dependents[u]);
                }
            }
            others.is_disjoint(&seen)
        };
        if possible {
            others.iter().for_each(|p| {
                dependents[*p].insert(writer);
            });
            needs[writer].extend(others);
            donated.push((i, o));
        } else {
            copied.push((i, o));
        }
    }
    let sequence = order(&needs, &last, &first);
    if sequence.len() != units.len() {
        return Err(PlanError::Cycle(units.len() - sequence.len()));
    }
    let loud = |u: &usize| !matches!(units[*u], Unit::Node(n) if silent(g, n as usize));
    let early = sequence.iter().filter(|u| loud(u) && first[**u]).count();
    Ok(Order {
        units: sequence.into_iter().filter(loud).map(|u| units[u]).collect(),
        early: if options.early.is_empty() { 0 } else { early },
        donated,
        copied,
    })
}

/// Nodes that read a value, also through views of it.
fn readers(g: &Graph, v: Value) -> Vec<u32> {
    let mut out = vec![];
    for (i, n) in g.nodes.iter().enumerate() {
        if n.inputs.contains(&v) {
            out.push(i as u32);
            if silent(g, i) || crate::group::is_read(g, i) {
                out.extend(readers(g, Value { node: i as u32, out: 0 }));
            }
        }
    }
    out
}

/// Kahn's algorithm; among the ready units, those of the first part, then the lowest last member.
fn order(needs: &[BTreeSet<usize>], last: &[u32], first: &[bool]) -> Vec<usize> {
    let mut waiting: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    let mut readers: Vec<Vec<usize>> = vec![vec![]; last.len()];
    needs.iter().enumerate().for_each(|(u, n)| n.iter().for_each(|p| readers[*p].push(u)));
    let key = |u: usize| Reverse((!first[u], last[u], u));
    let mut ready: BinaryHeap<_> = (0..last.len()).filter(|u| waiting[*u] == 0).map(key).collect();
    let mut out = vec![];
    while let Some(Reverse((_, _, u))) = ready.pop() {
        out.push(u);
        for r in &readers[u] {
            waiting[*r] -= 1;
            if waiting[*r] == 0 {
                ready.push(key(*r));
            }
        }
    }
    out
}
