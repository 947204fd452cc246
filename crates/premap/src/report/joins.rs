//! Neighbouring steps that one kernel could do: the patterns of these architectures that a target has no code for.
//!
//! The value between two such steps has no other reader, so a kernel that keeps it to itself saves writing and reading it,
//! and a step. What that is worth is what the cost model says of these bytes and of the step's fixed time. The compiler
//! reads the same list to decide what to fuse in generated code.

use crate::cost::Prediction;
use crate::memory::{reads, root, writes};
use crate::{Buffer, Kernel, Machine, Pattern, Plan, Step};
use graph::{Op, Value};
use serde::Serialize;
use std::collections::HashMap;

/// Two steps that could be one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Join {
    /// The pattern: `gate + scan`, `scan + output norm`, …
    pub pattern: &'static str,
    /// The first step.
    pub first: usize,
    /// The second.
    pub second: usize,
    /// Bytes of the value between.
    pub bytes: usize,
    /// Nanoseconds that would be saved, as predicted.
    pub saves_ns: f64,
}

/// What a step is in these patterns.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Loop,
    Scan,
    Norm,
    NormQuantise,
    Product,
}

fn part(plan: &Plan, step: &Step) -> Option<Part> {
    match step {
        Step::Group(_) => Some(Part::Loop),
        Step::Fused(f) => match f.pattern {
            Pattern::RmsNormQuantize | Pattern::RmsNormFakeQuantize => Some(Part::NormQuantise),
            Pattern::TernaryProducts | Pattern::TernaryGated | Pattern::TernaryAdd => Some(Part::Product),
            _ => None,
        },
        Step::Node(n) => match plan.graph.nodes[*n as usize].op {
            Op::LinearScan | Op::SelectiveScan => Some(Part::Scan),
            Op::RmsNorm => Some(Part::Norm),
            Op::TernaryLinear | Op::BlockLinear => Some(Part::Product),
            Op::QuantizeActivations => Some(Part::NormQuantise),
            _ => None,
        },
        _ => None,
    }
}

fn pattern(a: Part, b: Part) -> Option<&'static str> {
    Some(match (a, b) {
        (Part::Loop, Part::Scan) => "gate + scan",
        (Part::Scan, Part::Norm | Part::NormQuantise) => "scan + output norm",
        (Part::Scan, Part::Loop) => "scan + output gate",
        (Part::Norm, Part::Loop) => "norm + gate",
        (Part::Loop, Part::NormQuantise) => "gate + norm + quantise",
        (Part::NormQuantise, Part::Product) => "norm + quantise + ternary product",
        (Part::Product, Part::Loop) => "ternary product + gate",
        _ => return None,
    })
}

pub(super) fn find(plan: &Plan, prediction: &Prediction, m: &Machine, threads: usize) -> Vec<Join> {
    let g = &plan.graph;
    let mut maker: HashMap<Value, usize> = HashMap::new();
    let mut readers: HashMap<Value, Vec<usize>> = HashMap::new();
    for (k, step) in plan.steps.iter().enumerate() {
        for v in writes(g, step) {
            maker.insert(v, k);
        }
        for v in reads(g, step) {
            let list = readers.entry(root(g, v).0).or_default();
            if list.last() != Some(&k) {
                list.push(k);
            }
        }
    }
    let mut found = vec![];
    for (v, list) in &readers {
        let (Some(first), &[second]) = (maker.get(v).copied(), list.as_slice()) else { continue };
        let arena = plan.place(*v).map(|p| &plan.buffers[p.buffer as usize]);
        let parts = [first, second].map(|k| part(plan, &plan.steps[k]));
        let ([Some(a), Some(b)], Some(Buffer::Arena { .. })) = (parts, arena) else { continue };
        let Some(pattern) = pattern(a, b) else { continue };
        let bytes = plan.bytes(*v);
        // Stored and loaded again, from where the reader finds it.
        let cost = &prediction.steps[second];
        let (seen, far): (f64, f64) =
            cost.traffic.iter().zip(&m.levels).fold((0.0, 0.0), |(n, t), (x, l)| {
                (
                    n + x.read,
                    t + x.read / m.bandwidth(l.read, threads) + x.read / m.bandwidth(l.write, threads),
                )
            });
        let share = if seen > 0.0 { far / seen } else { 0.0 };
        let tasks = cost.rounds.iter().map(|r| r.tasks).max().unwrap_or(1);
        let registers = bytes as f64 / 4.0 * 2.0 * m.rate(Kernel::Stream).unit / m.speedup(tasks, threads);
        let fixed = prediction.steps[second].fixed.min(prediction.steps[first].fixed);
        found.push(Join {
            pattern,
            first,
            second,
            bytes,
            saves_ns: bytes as f64 * share + registers + fixed,
        });
    }
    found.sort_by_key(|j| (j.first, j.second, j.bytes));
    found
}
