//! A plan with memory for everything it takes and gives, ready to be timed.
//!
//! Numbers are random, in a range where nothing overflows; trits are legal in any layout; ids lie within the tables that
//! they look up. What the numbers are does not matter to the time, where they lie does: outputs that replace inputs lie in
//! their place.

use anyhow::Result;
use axes::DType;
use engine::{Executable, Io, Tensor, pool::Pool};
use graph::{Graph, Op, Value};
use premap::{Options, Plan};
use std::sync::Arc;
use std::time::Instant;

/// A byte that is legal in every layout of trits.
const TRITS: u8 = 1;

/// A loaded plan, bound to memory of its own.
pub struct Rig {
    exe: Executable,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    /// The output in the place of each input.
    pairs: Vec<Option<usize>>,
}

/// The next word of a sequence.
fn random(seed: &mut u64) -> u64 {
    models::rng::splitmix64(seed)
}

impl Rig {
    /// Plans a graph, loads the plan and fills its inputs; positions end their caches.
    ///
    /// # Errors
    /// A graph that cannot be planned.
    pub fn new(graph: &Graph, options: &Options, pool: &Arc<Pool>) -> Result<Rig> {
        let exe = Executable::new(graph, options, pool.clone())?;
        let plan = exe.plan();
        let g = &plan.graph;
        let pair = |i: usize| plan.donated.iter().chain(&plan.copied).find(|(a, _)| *a == i).map(|p| p.1);
        let pairs: Vec<Option<usize>> = (0..g.inputs.len()).map(pair).collect();
        let mut seed = 7;
        let inputs =
            g.inputs.iter().enumerate().map(|(i, input)| fill(plan, input.value, pairs[i], &mut seed));
        let inputs = inputs.collect();
        let outputs = g.outputs.iter().chain(&g.taps).map(|o| Tensor::of(g.ty(o.value))).collect();
        Ok(Rig { exe, inputs, outputs, pairs })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        self.exe.plan()
    }

    /// Bytes that the loaded plan holds.
    pub fn memory(&self) -> usize {
        self.exe.memory()
    }

    /// Runs with everything bound; `body` gets the executable and the binding.
    fn bound<T>(&mut self, body: impl FnOnce(&mut Executable, &mut Io<'_>) -> Result<T>) -> Result<T> {
        let mut io = self.exe.io();
        let mut free: Vec<Option<&mut Tensor>> = self.outputs.iter_mut().map(Some).collect();
        for (i, (tensor, pair)) in self.inputs.iter_mut().zip(&self.pairs).enumerate() {
            match pair {
                Some(o) => {
                    free[*o] = None;
                    io.in_place(i, *o, tensor);
                }
                None => {
                    io.bytes(i, tensor.bytes());
                }
            }
        }
        for (o, tensor) in free.into_iter().enumerate() {
            if let Some(tensor) = tensor {
                io.output(o, tensor);
            }
        }
        body(&mut self.exe, &mut io)
    }

    /// Seconds of one run, after one that does not count (what other plans left in the caches is not this plan's), of
    /// several in a row where one is too short for the clock.
    ///
    /// # Errors
    /// What a run refuses.
    pub fn time(&mut self, least: f64) -> Result<f64> {
        self.bound(|exe, io| {
            exe.run(io)?;
            let mut count = 1;
            loop {
                let start = Instant::now();
                for _ in 0..count {
                    exe.run(io)?;
                }
                let took = start.elapsed().as_secs_f64();
                if took >= least || count >= 1 << 20 {
                    return Ok(took / count as f64);
                }
                count = (count as f64 * (1.3 * least / took.max(1e-9)).clamp(2.0, 64.0)) as usize;
            }
        })
    }

    /// Nanoseconds of each step, the median of `rounds` runs.
    ///
    /// # Errors
    /// What a run refuses.
    pub fn steps(&mut self, rounds: usize) -> Result<Vec<f64>> {
        self.exe.set_profile(true);
        let mut before = self.exe.step_times();
        let mut all: Vec<Vec<f64>> = vec![vec![]; before.len()];
        for _ in 0..rounds {
            self.bound(|exe, io| Ok(exe.run(io)?))?;
            let now = self.exe.step_times();
            for ((list, now), before) in all.iter_mut().zip(&now).zip(&before) {
                list.push((*now - *before).as_secs_f64() * 1e9);
            }
            before = now;
        }
        self.exe.set_profile(false);
        Ok(all.into_iter().map(|mut list| median(&mut list)).collect())
    }

    /// The results of one run on the inputs as they were made, as bytes.
    ///
    /// # Errors
    /// What a run refuses.
    pub fn results(&mut self) -> Result<Vec<Vec<u8>>> {
        self.bound(|exe, io| Ok(exe.run(io)?))?;
        let place = |o: usize| self.pairs.iter().position(|p| *p == Some(o));
        let bytes = (0..self.outputs.len()).map(|o| match place(o) {
            Some(i) => self.inputs[i].bytes().to_vec(),
            None => self.outputs[o].bytes().to_vec(),
        });
        Ok(bytes.collect())
    }
}

/// The middle of a list.
pub fn median(list: &mut [f64]) -> f64 {
    list.sort_by(f64::total_cmp);
    list.get(list.len() / 2).copied().unwrap_or(f64::NAN)
}

/// An input's memory: as a tensor of its type where an output takes its place, else as bytes.
fn fill(plan: &Plan, v: Value, pair: Option<usize>, seed: &mut u64) -> Tensor {
    let g = &plan.graph;
    let ty = g.ty(v);
    let shape = ty.fixed_shape().unwrap_or_default();
    let count: usize = shape.iter().product();
    let unit = |seed: &mut u64| (random(seed) >> 40) as f32 / (1 << 24) as f32;
    let typed = match ty.dtype {
        // A scale is near one, everything else near zero: gates stay gates.
        DType::F32 if count == 1 => Tensor::from_f32(shape, &[0.5 + unit(seed)]),
        DType::F32 => {
            let numbers: Vec<f32> = (0..count).map(|_| unit(seed) - 0.5).collect();
            Tensor::from_f32(shape, &numbers)
        }
        DType::I64 => {
            let (below, position) = ids(g, v);
            let numbers: Vec<i64> = (0..count)
                .map(|_| position.unwrap_or_else(|| (random(seed) % below.max(1)) as i64))
                .collect();
            Tensor::from_i64(shape, &numbers)
        }
        DType::I8 => {
            let numbers: Vec<i8> = (0..count).map(|_| (random(seed) % 255) as u8 as i8).collect();
            Tensor::from_i8(DType::I8, shape, &numbers)
        }
        DType::Trit => Tensor::from_bytes(DType::U8, [plan.bytes(v)], &vec![TRITS; plan.bytes(v)]),
        DType::Bool => Tensor::from_bytes(DType::U8, [count], &vec![1; count]),
        // Bytes of blocks: small scales in any format.
        DType::U8 => Tensor::from_bytes(DType::U8, shape, &vec![0x11; count]),
        _ => Tensor::zeros(ty.dtype, shape),
    };
    if pair.is_some() && typed.ty() != *ty { Tensor::of(ty) } else { typed }
}

/// What integers may be: below the rows of the smallest table that they index, or one position.
fn ids(g: &Graph, v: Value) -> (u64, Option<i64>) {
    let mut below = u64::MAX;
    let mut position = None;
    let mut names = vec![v];
    // Through views.
    for (i, n) in g.nodes.iter().enumerate() {
        if matches!(n.op, Op::Reshape | Op::Slice | Op::Pad | Op::Concatenate | Op::Broadcast)
            && n.inputs.iter().any(|x| names.contains(x))
        {
            names.push(Value { node: i as u32, out: 0 });
        }
    }
    for n in &g.nodes {
        let uses = |k: usize| n.inputs.get(k).is_some_and(|x| names.contains(x));
        let size = |k: usize, axis: usize| {
            g.ty(n.inputs[k]).shape.get(axis).and_then(graph::Dim::fixed).unwrap_or(1) as u64
        };
        match n.op {
            Op::Gather if uses(1) => below = below.min(size(0, 0)),
            Op::BlockRows if uses(0) => below = below.min(size(1, 0)),
            Op::CrossEntropy | Op::CrossEntropyGrad if uses(1) => below = below.min(size(0, 1)),
            Op::KvAttention if uses(5) => {
                position = Some(size(3, 1) as i64 - size(0, 1) as i64);
            }
            _ => {}
        }
    }
    // An id of one byte, where nothing says more.
    (if below == u64::MAX { 256 } else { below }, position)
}
