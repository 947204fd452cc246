//! Loads a plan and runs it.
#![allow(unsafe_code)]

use crate::arena::Arena;
use crate::error::{Blame, EngineError, Result};
use crate::instr::{Instr, Scratch, load};
use crate::pool::Pool;
use crate::tensor::Tensor;
use graph::{Graph, Op};
use premap::{Buffer, Options, Plan, Step};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the engine has code for.
pub fn target() -> premap::Target {
    premap::Target {
        name: "cpu",
        fused: vec![
            Op::RmsNorm,
            Op::RmsNormGrad,
            Op::QuantizeActivations,
            Op::QuantizeWeights,
            Op::TernaryLinear,
            Op::LinearScan,
            Op::CrossEntropy,
            Op::CrossEntropyGrad,
        ],
        align: crate::arena::ALIGN,
    }
}

/// A plan with its memory, ready to run any number of times.
pub struct Executable {
    plan: Plan,
    instrs: Vec<Instr>,
    arena: Arena,
    constants: Vec<(u32, Tensor)>,
    scratch: Scratch,
    pool: Arc<Pool>,
    times: Vec<Duration>,
    profile: bool,
    runs: u64,
}

/// The memory that one run works on.
///
/// Bind every input and output once; an input that an output replaces in place is bound by [`Io::in_place`].
pub struct Io<'a> {
    inputs: Vec<Option<(*const u8, String)>>,
    outputs: Vec<Option<(*mut u8, String)>>,
    life: std::marker::PhantomData<&'a mut [u8]>,
}

impl Executable {
    /// Plans `graph` and loads the plan.
    pub fn new(graph: &Graph, options: &Options, pool: Arc<Pool>) -> Result<Executable> {
        Executable::load(premap::plan(graph, &target(), options)?, pool)
    }

    /// Loads a plan.
    pub fn load(plan: Plan, pool: Arc<Pool>) -> Result<Executable> {
        let mut scratch = Scratch::default();
        let instrs =
            plan.steps.iter().map(|s| load(&plan, s, &pool, &mut scratch)).collect::<Result<Vec<_>>>()?;
        let mut constants = vec![];
        for b in &plan.buffers {
            if let Buffer::Constant(n) = b {
                let node = &plan.graph.nodes[*n as usize];
                let made = node
                    .op
                    .eval::<f64>(&graph::EvalCx::default(), &node.attrs, &[], &node.types)
                    .map_err(|problem| graph::GraphError::Eval { op: node.op.name(), problem })?;
                constants.push((*n, Tensor::from_array(&made[0])));
            }
        }
        let arena = Arena::new(plan.arena);
        scratch.allocate(pool.threads());
        let times = vec![Duration::ZERO; instrs.len()];
        Ok(Executable { plan, instrs, arena, constants, scratch, pool, times, profile: false, runs: 0 })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs so far.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// Bytes held between runs: arena, scratch and constants.
    pub fn memory(&self) -> usize {
        self.arena.len() + self.scratch.bytes() + self.constants.iter().map(|c| c.1.bytes().len()).sum::<usize>()
    }

    /// Measures every step from now on.
    pub fn set_profile(&mut self, on: bool) {
        self.profile = on;
    }

    /// Time per step, summed over runs, longest first: (what, part of the model, time).
    pub fn profile(&self) -> Vec<(String, String, Duration)> {
        let g = &self.plan.graph;
        let mut rows: Vec<_> = self
            .plan
            .steps
            .iter()
            .zip(&self.times)
            .map(|(s, t)| {
                let nodes = self.plan.nodes(s);
                let names: Vec<_> = nodes.iter().map(|n| g.nodes[*n as usize].op.name()).collect();
                let last = nodes.last().map(|n| &g.nodes[*n as usize]);
                let ty = last.map_or(String::new(), |n| n.types[0].to_string());
                let scope = last.map_or("", |n| g.scopes[n.scope as usize].as_str()).to_string();
                (format!("{} {ty}", names.join("+")), scope, *t)
            })
            .collect();
        rows.sort_by_key(|r| std::cmp::Reverse(r.2));
        rows
    }

    /// An empty binding.
    pub fn io<'a>(&self) -> Io<'a> {
        Io {
            inputs: vec![None; self.plan.graph.inputs.len()],
            outputs: vec![None; self.plan.graph.outputs.len() + self.plan.graph.taps.len()],
            life: std::marker::PhantomData,
        }
    }

    /// The number of the input of that name.
    pub fn input(&self, name: &str) -> Option<usize> {
        self.plan.graph.inputs.iter().position(|i| i.name == name)
    }

    /// The number of the output (or tap) of that name.
    pub fn output(&self, name: &str) -> Option<usize> {
        let g = &self.plan.graph;
        g.outputs.iter().chain(&g.taps).position(|i| i.name == name)
    }

    /// Runs the whole plan.
    pub fn run(&mut self, io: &mut Io<'_>) -> Result<()> {
        self.part(io, 0, self.instrs.len(), false).map(|_| ())
    }

    /// Runs the part that yields the early outputs; nothing donated has been overwritten after it.
    pub fn run_early(&mut self, io: &mut Io<'_>) -> Result<()> {
        self.part(io, 0, self.plan.early, false).map(|_| ())
    }

    /// Runs the rest after [`Executable::run_early`] on the same binding.
    pub fn run_rest(&mut self, io: &mut Io<'_>) -> Result<()> {
        self.part(io, self.plan.early, self.instrs.len(), false).map(|_| ())
    }

    /// Runs the early part and looks at every result: where a number first stopped being finite, inputs included.
    pub fn find_nonfinite(&mut self, io: &mut Io<'_>) -> Result<Option<Blame>> {
        let end = if self.plan.early > 0 { self.plan.early } else { self.instrs.len() };
        self.part(io, 0, end, true)
    }

    fn part(&mut self, io: &mut Io<'_>, from: usize, to: usize, look: bool) -> Result<Option<Blame>> {
        let bases = self.resolve(io)?;
        self.runs += u64::from(from == 0);
        if look {
            if let Some(b) = self.look_at_inputs(&bases) {
                return Ok(Some(b));
            }
        }
        for k in from..to {
            let start = self.profile.then(Instant::now);
            self.step(k, &bases)?;
            if let Some(start) = start {
                self.times[k] += start.elapsed();
            }
            if look {
                if let Some(b) = self.look_at(k, &bases) {
                    return Ok(Some(b));
                }
            }
        }
        Ok(None)
    }

    fn step(&mut self, k: usize, bases: &[*mut u8]) -> Result<()> {
        self.instrs[k].run(&self.plan, bases, &self.pool, &mut self.scratch).map_err(|problem| {
            let node = self.plan.nodes(&self.plan.steps[k]).last().map(|n| &self.plan.graph.nodes[*n as usize]);
            EngineError::Kernel {
                op: node.map_or("copy", |n| n.op.name()),
                scope: node.map_or(String::new(), |n| self.plan.graph.scopes[n.scope as usize].clone()),
                problem,
            }
        })
    }

    /// The first byte of every buffer.
    fn resolve(&mut self, io: &Io<'_>) -> Result<Vec<*mut u8>> {
        let g = &self.plan.graph;
        let missing = |what, named: &graph::Named| EngineError::Bind {
            what,
            name: named.name.clone(),
            expected: g.ty(named.value).to_string(),
            found: "nothing".into(),
        };
        for (slot, named) in io.inputs.iter().zip(&g.inputs) {
            slot.as_ref().ok_or_else(|| missing("input", named))?;
        }
        for (slot, named) in io.outputs.iter().zip(g.outputs.iter().chain(&g.taps)) {
            slot.as_ref().ok_or_else(|| missing("output", named))?;
        }
        for (list, bound, what) in [
            (g.inputs.iter().collect::<Vec<_>>(), io.inputs.iter().map(|s| s.as_ref().map(|s| &s.1)).collect::<Vec<_>>(), "input"),
            (
                g.outputs.iter().chain(&g.taps).collect(),
                io.outputs.iter().map(|s| s.as_ref().map(|s| &s.1)).collect(),
                "output",
            ),
        ] {
            for (named, found) in list.into_iter().zip(bound) {
                let expected = g.ty(named.value).to_string();
                if found.is_some_and(|f| *f != expected) {
                    let found = found.cloned().unwrap_or_default();
                    return Err(EngineError::Bind { what, name: named.name.clone(), expected, found });
                }
            }
        }
        let inputs: Vec<*const u8> = io.inputs.iter().flatten().map(|s| s.0).collect();
        let outputs: Vec<*mut u8> = io.outputs.iter().flatten().map(|s| s.0).collect();
        Ok(self.bases(&inputs, &outputs))
    }

    fn bases(&mut self, inputs: &[*const u8], outputs: &[*mut u8]) -> Vec<*mut u8> {
        let start = self.arena.start();
        let constants = &self.constants;
        self.plan
            .buffers
            .iter()
            .map(|b| match b {
                // Offsets lie within the arena: the plan's size is the largest end of them.
                Buffer::Arena { offset, .. } => start.wrapping_add(*offset),
                Buffer::Input(i) => inputs[*i].cast_mut(),
                Buffer::Output(o) => outputs[*o],
                Buffer::Constant(n) => {
                    let found = constants.iter().find(|(k, _)| k == n);
                    found.map_or(std::ptr::null_mut(), |(_, t)| t.pointer().cast_mut())
                }
            })
            // Behind the buffers, so that a copy to an output that no buffer stands for finds it.
            .chain(outputs.iter().copied())
            .collect()
    }

    /// Runs the whole plan on raw memory, for regions of control flow.
    ///
    /// The pointers must be valid for the types of the plan's inputs and outputs.
    pub(crate) fn run_raw(&mut self, inputs: &[*const u8], outputs: &[*mut u8]) -> Result<(), String> {
        let bases = self.bases(inputs, outputs);
        self.runs += 1;
        (0..self.instrs.len()).try_for_each(|k| self.step(k, &bases).map_err(|e| e.to_string()))
    }

    fn look_at_inputs(&self, bases: &[*mut u8]) -> Option<Blame> {
        let g = &self.plan.graph;
        g.inputs.iter().find_map(|i| {
            let what = crate::instr::nonfinite(&self.plan, i.value, bases)?;
            Some(Blame { op: "input", scope: String::new(), name: Some(i.name.clone()), what })
        })
    }

    fn look_at(&self, k: usize, bases: &[*mut u8]) -> Option<Blame> {
        let g = &self.plan.graph;
        let step = &self.plan.steps[k];
        let values = match step {
            Step::Group(group) => group.outputs.clone(),
            Step::Node(n) | Step::Control(n, _) => (0..g.nodes[*n as usize].types.len() as u32)
                .map(|out| graph::Value { node: *n, out })
                .collect(),
            Step::Copy { .. } => vec![],
        };
        values.into_iter().find_map(|v| {
            let what = crate::instr::nonfinite(&self.plan, v, bases)?;
            let n = g.node(v);
            let name = g.taps.iter().chain(&g.outputs).find(|t| t.value == v).map(|t| t.name.clone());
            Some(Blame { op: n.op.name(), scope: g.scopes[n.scope as usize].clone(), name, what })
        })
    }
}

impl<'a> Io<'a> {
    /// Binds input `i` to memory that is read.
    pub fn input(&mut self, i: usize, t: &'a Tensor) -> &mut Self {
        self.inputs[i] = Some((t.pointer(), t.ty().to_string()));
        self
    }

    /// Binds output `o` to memory that is written.
    pub fn output(&mut self, o: usize, t: &'a mut Tensor) -> &mut Self {
        self.outputs[o] = Some((t.pointer_mut(), t.ty().to_string()));
        self
    }

    /// The number in output `o`, of type `f32[]`, after a run: what a caller looks at between two parts of a plan.
    pub fn scalar(&self, o: usize) -> f32 {
        match &self.outputs[o] {
            // SAFETY: bound to a tensor of one f32, mutably borrowed for the binding's life.
            Some((p, ty)) if ty == "f32[]" => unsafe { p.cast::<f32>().read() },
            _ => f32::NAN,
        }
    }

    /// Binds input `i` and the output `o` that replaces it to the same memory.
    pub fn in_place(&mut self, i: usize, o: usize, t: &'a mut Tensor) -> &mut Self {
        let ty = t.ty().to_string();
        let p = t.pointer_mut();
        self.inputs[i] = Some((p.cast_const(), ty.clone()));
        self.outputs[o] = Some((p, ty));
        self
    }
}

/// Runs a graph once on tensors given in its order: plans, loads, runs, and returns its outputs (then its taps).
pub fn run_once(graph: &Graph, inputs: &[&Tensor], options: &Options, pool: Arc<Pool>) -> Result<Vec<(String, Tensor)>> {
    let mut exe = Executable::new(graph, options, pool)?;
    let g = exe.plan.graph.clone();
    let mut outputs: Vec<(String, Tensor)> =
        g.outputs.iter().chain(&g.taps).map(|o| (o.name.clone(), Tensor::of(g.ty(o.value)))).collect();
    let mut io = exe.io();
    inputs.iter().enumerate().take(g.inputs.len()).for_each(|(i, t)| {
        io.input(i, t);
    });
    outputs.iter_mut().enumerate().for_each(|(o, t)| {
        io.output(o, &mut t.1);
    });
    exe.run(&mut io)?;
    drop(io);
    Ok(outputs)
}
