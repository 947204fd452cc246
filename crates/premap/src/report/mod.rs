//! A plan as a report: what runs, how it is fused, cut and laid out, what lies where for how long, and how long it takes.
//!
//! One structure, three forms: JSON by its fields, a table by `Display`, a picture by [`Report::to_svg`].

mod joins;
mod memory;
pub mod names;
mod picture;
mod table;

pub use joins::Join;
pub use memory::{Held, Life, lives};

use crate::cost::{Prediction, StepCost, Traffic, predict};
use crate::machine::{Class, Machine, Source};
use crate::{Optimization, Plan, Step, Switches, cut};
use graph::Value;
use serde::Serialize;
use std::collections::BTreeMap;

/// A value that a step touches.
#[derive(Clone, Debug, Serialize)]
pub struct Operand {
    /// Its name, where it has one, else its number in the graph.
    pub name: String,
    /// Its type.
    pub ty: String,
    /// Bytes.
    pub bytes: usize,
    /// Where it lies: `arena`, `input`, `output`, `constant`, or `inside` a step.
    pub place: &'static str,
}

/// One step.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// Its number.
    pub step: usize,
    /// What it is.
    pub name: String,
    /// Which part of the model it belongs to.
    pub part: String,
    /// The ops of its members, in order.
    pub ops: Vec<&'static str>,
    /// Type of its last result.
    pub ty: String,
    /// What it reads.
    pub reads: Vec<Operand>,
    /// What it writes.
    pub writes: Vec<Operand>,
    /// How it is cut over threads, round by round; empty: on one thread.
    pub rounds: Vec<cut::Round>,
    /// Units of work by kernel.
    pub kernels: BTreeMap<&'static str, f64>,
    /// Operations by class.
    pub operations: BTreeMap<&'static str, f64>,
    /// Bytes by level.
    pub traffic: BTreeMap<String, Traffic>,
    /// Nanoseconds of arithmetic.
    pub compute_ns: f64,
    /// Nanoseconds of traffic.
    pub memory_ns: f64,
    /// Nanoseconds whatever its size.
    pub fixed_ns: f64,
    /// Nanoseconds predicted.
    pub predicted_ns: f64,
    /// What limits it: `arithmetic`, `traffic` or `fixed`.
    pub bound: &'static str,
    /// The steps of its regions, for a loop or a branch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Report>,
}

/// Steps of one name.
#[derive(Clone, Debug, Serialize)]
pub struct FusionGroup {
    /// The name.
    pub name: String,
    /// How many steps.
    pub steps: usize,
    /// Nodes of the graph in them.
    pub nodes: usize,
    /// Nanoseconds predicted for all of them.
    pub predicted_ns: f64,
    /// Share of the whole.
    pub share: f64,
}

/// How an operand's trits or numbers lie.
#[derive(Clone, Debug, Serialize)]
pub struct LayoutReport {
    /// Name.
    pub name: String,
    /// Type.
    pub ty: String,
    /// Name of the layout.
    pub layout: &'static str,
    /// In words.
    pub about: &'static str,
    /// Bytes.
    pub bytes: usize,
    /// Bits an element.
    pub bits: f64,
}

/// Sums of memory.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryReport {
    /// Bytes of the arena.
    pub arena: usize,
    /// Bytes that its values would take without reuse.
    pub unshared: usize,
    /// The most that is alive at once; the arena is larger by the holes between.
    pub peak: usize,
    /// The step at which that is.
    pub peak_step: usize,
    /// Bytes of the inputs: weights, states, tokens.
    pub inputs: usize,
    /// Bytes of the outputs that do not replace inputs.
    pub outputs: usize,
    /// Updates in place.
    pub in_place: usize,
    /// Nodes that are computed twice to save memory.
    pub recomputed: usize,
    /// What lies in the arena, where and how long.
    pub buffers: Vec<Held>,
}

/// A plan, described.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Of what.
    pub title: String,
    /// Name of the target.
    pub target: String,
    /// The machine that times are for.
    pub machine: String,
    /// Where its numbers come from.
    pub source: Source,
    /// What document or measurement.
    pub note: String,
    /// Threads.
    pub threads: usize,
    /// Optimisations that were off.
    pub without: Vec<Optimization>,
    /// Nanoseconds predicted for a run.
    pub predicted_ns: f64,
    /// Operations by class.
    pub operations: BTreeMap<&'static str, f64>,
    /// Bytes by level.
    pub traffic: BTreeMap<String, Traffic>,
    /// Rounds with a barrier.
    pub barriers: usize,
    /// Steps by name, the longest first.
    pub groups: Vec<FusionGroup>,
    /// Neighbours that one kernel could do, and what that would save.
    pub joins: Vec<Join>,
    /// Operands that do not lie row after row.
    pub layouts: Vec<LayoutReport>,
    /// Memory.
    pub memory: MemoryReport,
    /// The steps in order.
    pub steps: Vec<StepReport>,
}

/// What a report is about.
#[derive(Clone, Debug)]
pub struct About<'a> {
    /// Above it.
    pub title: &'a str,
    /// Name of the target.
    pub target: &'a str,
    /// The machine.
    pub machine: &'a Machine,
    /// Threads.
    pub threads: usize,
    /// What was off.
    pub switches: Switches,
}

impl Report {
    /// Describes a plan.
    pub fn new(plan: &Plan, about: &About<'_>) -> Report {
        let m = about.machine;
        let prediction = predict(plan, m, about.threads);
        let steps: Vec<StepReport> = plan
            .steps
            .iter()
            .zip(&prediction.steps)
            .enumerate()
            .map(|(k, (step, cost))| describe(plan, k, step, cost, about))
            .collect();
        let barriers =
            steps.iter().flat_map(|s| &s.rounds).filter(|r| r.tasks > 1 && about.threads > 1).count();
        Report {
            title: about.title.into(),
            target: about.target.into(),
            machine: m.name.clone(),
            source: m.source,
            note: m.note.clone(),
            threads: about.threads,
            without: about.switches.list().collect(),
            predicted_ns: prediction.time,
            operations: classes(prediction.operations()),
            traffic: by_level(m, &prediction.traffic()),
            barriers,
            groups: groups(&steps, &prediction),
            joins: joins::find(plan, &prediction, m, about.threads),
            layouts: layouts(plan),
            memory: memory::report(plan),
            steps,
        }
    }

    /// The buffer plan as a picture: time × bytes.
    pub fn to_svg(&self) -> String {
        picture::draw(self)
    }
}

fn classes(list: [f64; 4]) -> BTreeMap<&'static str, f64> {
    Class::ALL.map(Class::name).into_iter().zip(list).collect()
}

fn by_level(m: &Machine, list: &[Traffic]) -> BTreeMap<String, Traffic> {
    m.levels.iter().map(|l| l.name.clone()).zip(list.iter().copied()).collect()
}

/// The name of a value.
pub(crate) fn name(plan: &Plan, v: Value) -> String {
    let g = &plan.graph;
    let lists = [&g.inputs, &g.outputs, &g.taps];
    let named = lists.into_iter().flatten().find(|n| n.value == v);
    named.map_or_else(|| format!("%{}.{}", v.node, v.out), |n| n.name.clone())
}

fn operand(plan: &Plan, v: Value, bytes: usize) -> Operand {
    use crate::Buffer::{Arena, Constant, Input, Output};
    let place = match plan.place(v).map(|p| &plan.buffers[p.buffer as usize]) {
        Some(Arena { .. }) => "arena",
        Some(Input(_)) => "input",
        Some(Output(_)) => "output",
        Some(Constant(_)) => "constant",
        None => "inside",
    };
    let ty = plan.graph.ty(v).to_string();
    let layout = plan.layouts.get(&v).map_or(String::new(), |l| format!(", {l}"));
    Operand { name: name(plan, v), ty: format!("{ty}{layout}"), bytes, place }
}

fn describe(plan: &Plan, k: usize, step: &Step, cost: &StepCost, about: &About<'_>) -> StepReport {
    let nodes = plan.nodes(step);
    let node = |n: &u32| &plan.graph.nodes[*n as usize];
    let part = nodes.last().map_or(String::new(), |n| plan.graph.scopes[node(n).scope as usize].clone());
    let work = crate::work::of(plan, step);
    let list = |l: &[(Value, usize)]| l.iter().map(|(v, bytes)| operand(plan, *v, *bytes)).collect();
    let regions = match step {
        Step::Control(_, plans) => {
            plans.iter().map(|p| Report::new(p, &About { title: "region", ..about.clone() })).collect()
        }
        _ => vec![],
    };
    StepReport {
        step: k,
        name: names::step(plan, step),
        part,
        ops: nodes.iter().map(|n| node(n).op.name()).collect(),
        ty: nodes.last().map_or(String::new(), |n| node(n).types[0].to_string()),
        reads: list(&work.reads),
        writes: list(&work.writes),
        rounds: cost.rounds.clone(),
        kernels: cost.kernels.iter().map(|(k, n)| (k.name(), *n)).collect(),
        operations: classes(cost.operations),
        traffic: by_level(about.machine, &cost.traffic),
        compute_ns: cost.compute,
        memory_ns: cost.memory,
        fixed_ns: cost.fixed,
        predicted_ns: cost.time,
        bound: cost.bound(),
        regions,
    }
}

fn groups(steps: &[StepReport], prediction: &Prediction) -> Vec<FusionGroup> {
    let mut list: Vec<FusionGroup> = vec![];
    for s in steps {
        match list.iter_mut().find(|g| g.name == s.name) {
            Some(g) => {
                g.steps += 1;
                g.nodes += s.ops.len();
                g.predicted_ns += s.predicted_ns;
            }
            None => list.push(FusionGroup {
                name: s.name.clone(),
                steps: 1,
                nodes: s.ops.len(),
                predicted_ns: s.predicted_ns,
                share: 0.0,
            }),
        }
    }
    list.iter_mut().for_each(|g| g.share = g.predicted_ns / prediction.time.max(1e-9));
    list.sort_by(|a, b| b.predicted_ns.total_cmp(&a.predicted_ns));
    list
}

fn layouts(plan: &Plan) -> Vec<LayoutReport> {
    let mut list: Vec<(Value, _)> = plan.layouts.iter().map(|(v, l)| (*v, *l)).collect();
    list.sort_by_key(|(v, _)| *v);
    let one = |(v, layout): (Value, axes::TritLayout)| {
        let bytes = plan.bytes(v);
        let count = plan.graph.ty(v).elements().unwrap_or(0).max(1);
        LayoutReport {
            name: name(plan, v),
            ty: plan.graph.ty(v).to_string(),
            layout: layout.name(),
            about: names::layout(layout),
            bytes,
            bits: 8.0 * bytes as f64 / count as f64,
        }
    };
    list.into_iter().map(one).collect()
}
