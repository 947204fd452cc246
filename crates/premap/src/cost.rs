//! The cost model: what a plan reads, writes and computes on a machine, and how long that takes.
//!
//! A step takes its fixed time, a barrier for each round of tasks, and what its arithmetic and its traffic take together.
//! Arithmetic is units of kernels times their rates, shared among threads as the step is cut; traffic is bytes over the
//! bandwidth of the level that holds them. The times of steps add up.

use crate::machine::{Class, Machine};
use crate::traffic::{Recency, held};
use crate::work::{self, Work};
use crate::{Buffer, Kernel, Plan, Step, cut};
use graph::Value;
use serde::Serialize;

/// Bytes of one level of the memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Traffic {
    /// Read.
    pub read: f64,
    /// Written.
    pub written: f64,
}

/// The cost of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StepCost {
    /// Units of work by kernel.
    pub kernels: Vec<(Kernel, f64)>,
    /// Operations of each class, in the order of [`Class::ALL`].
    pub operations: [f64; 4],
    /// Bytes by level, nearest first.
    pub traffic: Vec<Traffic>,
    /// How it is cut, round by round.
    pub rounds: Vec<cut::Round>,
    /// Nanoseconds of arithmetic.
    pub compute: f64,
    /// Nanoseconds of traffic.
    pub memory: f64,
    /// Nanoseconds that do not depend on sizes.
    pub fixed: f64,
    /// Nanoseconds in all.
    pub time: f64,
}

impl StepCost {
    /// Bytes read, from every level.
    pub fn read(&self) -> f64 {
        self.traffic.iter().map(|t| t.read).sum()
    }

    /// Bytes written.
    pub fn written(&self) -> f64 {
        self.traffic.iter().map(|t| t.written).sum()
    }

    /// What limits it: `arithmetic`, `traffic` or `fixed`.
    pub fn bound(&self) -> &'static str {
        if self.fixed >= self.compute.max(self.memory) {
            "fixed"
        } else if self.compute >= self.memory {
            "arithmetic"
        } else {
            "traffic"
        }
    }
}

/// The cost of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// Name of the machine.
    pub machine: String,
    /// Threads.
    pub threads: usize,
    /// Step by step.
    pub steps: Vec<StepCost>,
    /// Nanoseconds of a run beside its steps.
    pub run: f64,
    /// Nanoseconds of a run.
    pub time: f64,
}

impl Prediction {
    /// Operations of each class.
    pub fn operations(&self) -> [f64; 4] {
        let mut all = [0.0; 4];
        self.steps.iter().for_each(|s| all.iter_mut().zip(s.operations).for_each(|(a, b)| *a += b));
        all
    }

    /// Bytes by level, nearest first.
    pub fn traffic(&self) -> Vec<Traffic> {
        let mut all: Vec<Traffic> = vec![];
        for s in &self.steps {
            add(&mut all, &s.traffic, 1.0);
        }
        all
    }
}

fn add(all: &mut Vec<Traffic>, more: &[Traffic], times: f64) {
    all.resize(all.len().max(more.len()), Traffic::default());
    for (a, b) in all.iter_mut().zip(more) {
        a.read += times * b.read;
        a.written += times * b.written;
    }
}

/// Predicts a run of a plan that has run before, on this many threads of a machine.
pub fn predict(plan: &Plan, machine: &Machine, threads: usize) -> Prediction {
    let threads = threads.max(1);
    let works: Vec<Work> = plan.steps.iter().map(|s| work::of(plan, s)).collect();
    let mut recency = Recency::default();
    let mut steps = vec![];
    // The first run brings the weights near, the second is what every further one does.
    for counts in [false, true] {
        for (step, work) in plan.steps.iter().zip(&works) {
            let traffic = traffic(plan, work, &mut recency, machine, threads);
            if counts {
                steps.push(one(plan, step, work, traffic, machine, threads));
            }
        }
    }
    let time = machine.run + steps.iter().map(|s| s.time).sum::<f64>();
    Prediction { machine: machine.name.clone(), threads, steps, run: machine.run, time }
}

/// Bytes by level of one step.
fn traffic(plan: &Plan, work: &Work, recency: &mut Recency, m: &Machine, threads: usize) -> Vec<Traffic> {
    let mut all = vec![Traffic::default(); m.levels.len()];
    let touches = work.reads.iter().map(|r| (r, false)).chain(work.writes.iter().map(|w| (w, true)));
    for ((v, bytes), write) in touches {
        let v: Value = *v;
        let place = plan.place(v).map(|p| &plan.buffers[p.buffer as usize]);
        let moved = !write && matches!(place, Some(Buffer::Arena { .. }));
        for (bytes, distance) in recency.touch(plan, v, *bytes) {
            let mut left = 1.0;
            for (k, level) in all.iter_mut().enumerate() {
                // What a nearer level holds, this one holds too.
                let mut found = m.capacity(k, threads).map_or(1.0, |size| held(distance, size));
                if moved && !m.levels[k].shared {
                    // Other threads made the rest, and it lies in their caches.
                    found /= threads as f64;
                }
                let here = (found - (1.0 - left)).clamp(0.0, left);
                left -= here;
                *(if write { &mut level.written } else { &mut level.read }) += here * bytes as f64;
            }
        }
    }
    all
}

fn one(
    plan: &Plan,
    step: &Step,
    work: &Work,
    traffic: Vec<Traffic>,
    m: &Machine,
    threads: usize,
) -> StepCost {
    let rounds = cut::rounds(plan, step);
    let mut cost = StepCost {
        kernels: work.units.iter().map(|(k, n, _)| (*k, *n)).collect(),
        traffic,
        rounds,
        ..StepCost::default()
    };
    for (kernel, units, _) in &work.units {
        let (class, each) = kernel.operations();
        cost.operations[class as usize] += units * each;
    }
    // The round with the work is the last of its kind: those before it prepare.
    let tasks = cost.rounds.iter().map(|r| r.tasks).max().unwrap_or(1);
    let speedup = m.speedup(tasks, threads);
    let used = threads.min(tasks.max(1));
    let arithmetic = work.units.iter().map(|(k, n, rows)| {
        let rate = m.rate(*k);
        n * rate.unit + rows * rate.row
    });
    cost.compute = arithmetic.sum::<f64>() / speedup;
    for (level, t) in m.levels.iter().zip(&cost.traffic) {
        cost.memory += t.read / m.bandwidth(level.read, used) + t.written / m.bandwidth(level.write, used);
    }
    let barriers = cost.rounds.iter().filter(|r| r.tasks > 1 && threads > 1).count();
    let own = work.units.iter().map(|(k, ..)| m.rate(*k).step).fold(0.0, f64::max);
    cost.fixed = own + barriers as f64 * m.barrier;
    cost.time = cost.fixed + together(cost.compute, cost.memory, m.overlap);
    if let Step::Control(n, plans) = step {
        let node = &plan.graph.nodes[*n as usize];
        for (inner, times) in plans.iter().zip(work::repeats(node, plans.len())) {
            let inner = predict(inner, m, threads);
            let all = inner.operations();
            cost.operations.iter_mut().zip(all).for_each(|(a, b)| *a += times * b);
            add(&mut cost.traffic, &inner.traffic(), times);
            for s in &inner.steps {
                cost.compute += times * s.compute;
                cost.memory += times * s.memory;
                cost.fixed += times * s.fixed;
            }
            cost.fixed += times * inner.run;
            cost.time += times * inner.time;
        }
    }
    cost
}

/// The time of two things that overlap in part.
pub fn together(a: f64, b: f64, exponent: f64) -> f64 {
    let (most, least) = (a.max(b), a.min(b));
    if most <= 0.0 || !most.is_finite() {
        return most.max(0.0);
    }
    most * (1.0 + (least / most).powf(exponent)).powf(1.0 / exponent)
}

/// The name of a class in the order of [`StepCost::operations`].
pub fn class_names() -> [&'static str; 4] {
    Class::ALL.map(Class::name)
}
