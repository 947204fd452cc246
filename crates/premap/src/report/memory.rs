//! What lies in the arena from when to when.

use super::{MemoryReport, name, names};
use crate::memory::{reads, root, writes};
use crate::{Buffer, Plan};
use graph::Value;
use serde::Serialize;
use std::collections::BTreeMap;

/// The life of a value in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The value.
    pub value: Value,
    /// First byte.
    pub offset: usize,
    /// Bytes.
    pub bytes: usize,
    /// The step that makes it.
    pub from: usize,
    /// The last step that reads it, or the one that makes it.
    pub to: usize,
}

/// A value of the arena, described.
#[derive(Clone, Debug, Serialize)]
pub struct Held {
    /// Its name or number.
    pub name: String,
    /// Its type.
    pub ty: String,
    /// What it is for.
    pub role: &'static str,
    /// First byte.
    pub offset: usize,
    /// Bytes.
    pub bytes: usize,
    /// The step that makes it.
    pub from: usize,
    /// The last step that reads it.
    pub to: usize,
}

/// The lives of all values of the arena, by their beginnings.
pub fn lives(plan: &Plan) -> Vec<Life> {
    let g = &plan.graph;
    let mut spans: BTreeMap<Value, (usize, usize)> = BTreeMap::new();
    for (k, step) in plan.steps.iter().enumerate() {
        for v in writes(g, step) {
            spans.entry(v).or_insert((k, k));
        }
        for v in reads(g, step) {
            if let Some(span) = spans.get_mut(&root(g, v).0) {
                span.1 = k;
            }
        }
    }
    let life = |(value, (from, to)): (Value, (usize, usize))| match plan
        .place(value)
        .map(|p| &plan.buffers[p.buffer as usize])
    {
        Some(Buffer::Arena { offset, bytes }) => {
            Some(Life { value, offset: *offset, bytes: *bytes, from, to })
        }
        _ => None,
    };
    let mut list: Vec<Life> = spans.into_iter().filter_map(life).collect();
    list.sort_by_key(|l| (l.from, l.offset));
    list
}

/// Bytes alive during each step.
pub(super) fn alive(lives: &[Life], steps: usize) -> Vec<usize> {
    let mut live = vec![0; steps];
    for l in lives {
        live[l.from..=l.to].iter_mut().for_each(|b| *b += l.bytes);
    }
    live
}

pub(super) fn report(plan: &Plan) -> MemoryReport {
    let g = &plan.graph;
    let lives = lives(plan);
    let live = alive(&lives, plan.steps.len());
    let peak_step = (0..live.len()).max_by_key(|k| (live[*k], std::cmp::Reverse(*k))).unwrap_or(0);
    let replaced = |o: usize| plan.donated.iter().any(|(_, d)| *d == o);
    let outputs = g.outputs.iter().chain(&g.taps).enumerate().filter(|(o, _)| !replaced(*o));
    let held = lives.iter().map(|l| Held {
        name: name(plan, l.value),
        ty: g.ty(l.value).to_string(),
        role: names::role(plan, l.value),
        offset: l.offset,
        bytes: l.bytes,
        from: l.from,
        to: l.to,
    });
    MemoryReport {
        arena: plan.arena,
        unshared: plan.unshared,
        peak: live.get(peak_step).copied().unwrap_or(0),
        peak_step,
        inputs: g.inputs.iter().map(|i| plan.bytes(i.value)).sum(),
        outputs: outputs.map(|(_, o)| plan.bytes(o.value)).sum(),
        in_place: plan.donated.len(),
        recomputed: plan.recomputed,
        buffers: held.collect(),
    }
}
