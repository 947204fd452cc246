//! Loads a plan and runs it.
#![allow(unsafe_code)]

use crate::arena::{Arena, Bases};
use crate::blame;
use crate::code::Code;
use crate::error::{Blame, EngineError, Result};
use crate::instr::{Instr, Scratch, load};
use crate::pool::Pool;
use crate::tensor::Tensor;
use axes::{DType, TritLayout};
use graph::{Graph, Op, Type};
use premap::{Binding, Buffer, Options, Pattern, Plan, Step};
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
            Op::LinearScanGrad,
            Op::SelectiveScan,
            Op::SelectiveScanGrad,
            Op::Ssd,
            Op::SsdGrad,
            Op::LinearAttention,
            Op::LinearAttentionGrad,
            Op::Mlstm,
            Op::MlstmGrad,
            Op::Slstm,
            Op::SlstmGrad,
            Op::CrossEntropy,
            Op::CrossEntropyGrad,
            Op::Rope,
            Op::KvAttention,
            Op::LongConvolution,
            Op::LongCorrelation,
        ],
        align: crate::arena::ALIGN,
        patterns: vec![
            Pattern::RmsNormFakeQuantize,
            Pattern::RmsNormQuantize,
            Pattern::FakeQuantizeWeights,
            Pattern::SumOfProducts,
            Pattern::DequantizedProduct,
            Pattern::TernaryProducts,
            Pattern::TernaryGated,
            Pattern::TernaryAdd,
        ],
        packs: true,
        gated_from: crate::kernels::packed::FEW + 1,
    }
}

/// A plan with its memory, ready to run any number of times.
pub struct Executable {
    plan: Plan,
    /// Empty until they are needed where compiled code runs the plan.
    instrs: Vec<Instr>,
    code: Option<(Code, Vec<Binding>)>,
    arena: Arena,
    constants: Vec<(u32, Tensor)>,
    scratch: Scratch,
    pool: Arc<Pool>,
    times: Vec<Duration>,
    profile: bool,
    runs: u64,
    bases: Bases,
    signature: Arc<Signature>,
    /// Whether regions look at their results, and what they found.
    look: bool,
    blame: Option<Blame>,
}

/// What a plan takes and gives.
struct Signature {
    inputs: Vec<(String, Type)>,
    /// How the trits of each input lie.
    layouts: Vec<TritLayout>,
    outputs: Vec<(String, Type)>,
    /// Pairs (input, output) that may lie in one place.
    shared: Vec<(usize, usize)>,
}

/// The memory that one run works on.
///
/// Bind every input and output once; an input that an output replaces in place ([`Options::donate`]) is bound by
/// [`Io::in_place`]. What does not fit is reported by the run.
pub struct Io<'a> {
    inputs: Vec<*const u8>,
    outputs: Vec<*mut u8>,
    signature: Arc<Signature>,
    fault: Option<EngineError>,
    life: std::marker::PhantomData<&'a mut [u8]>,
}

impl Executable {
    /// Plans `graph` and loads the plan; where the pool has a compiler, plans for that one and has the plan compiled.
    pub fn new(graph: &Graph, options: &Options, pool: Arc<Pool>) -> Result<Executable> {
        let Some(compiler) = pool.compiler() else {
            return Executable::load(premap::plan(graph, &target(), options)?, pool);
        };
        let own = compiler.read(graph).map_err(EngineError::Compile)?;
        let plan = premap::plan(own.as_ref().unwrap_or(graph), &compiler.target(), options)?;
        let code = compiler.compile(&plan, pool.threads()).map_err(EngineError::Compile)?;
        Executable::with_code(plan, code, pool)
    }

    /// Loads a plan.
    pub fn load(plan: Plan, pool: Arc<Pool>) -> Result<Executable> {
        Executable::make(plan, None, pool)
    }

    /// A plan that compiled code runs. Only where every result is to be looked at ([`Executable::find_nonfinite`]) the
    /// engine's own kernels run it, step by step.
    pub fn with_code(plan: Plan, code: Code, pool: Arc<Pool>) -> Result<Executable> {
        Executable::make(plan, Some(code), pool)
    }

    fn make(plan: Plan, code: Option<Code>, pool: Arc<Pool>) -> Result<Executable> {
        let mut scratch = Scratch::default();
        let steps = if code.is_some() { &[] } else { &plan.steps[..] };
        let instrs = steps.iter().map(|s| load(&plan, s, &pool, &mut scratch)).collect::<Result<Vec<_>>>()?;
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
        let mut arena = Arena::new(plan.arena.max(code.as_ref().map_or(0, |c| c.arena)));
        scratch.allocate(pool.threads());
        let times = vec![Duration::ZERO; plan.steps.len()];
        let start = arena.start();
        let fixed = plan.buffers.iter().map(|b| match b {
            // Offsets lie within the arena: the plan's size is the largest end of them.
            Buffer::Arena { offset, .. } => start.wrapping_add(*offset),
            Buffer::Constant(n) => {
                let found = constants.iter().find(|(k, _)| k == n);
                found.map_or(std::ptr::null_mut(), |(_, t)| t.pointer().cast_mut())
            }
            Buffer::Input(_) | Buffer::Output(_) => std::ptr::null_mut(),
        });
        // Behind the buffers stand the outputs, so that a copy to an output that no buffer stands for finds it.
        let outputs = plan.graph.outputs.len() + plan.graph.taps.len();
        let bases = Bases(fixed.chain(std::iter::repeat_n(std::ptr::null_mut(), outputs)).collect());
        let list = |named: &[graph::Named]| -> Vec<(String, Type)> {
            named.iter().map(|n| (n.name.clone(), plan.graph.ty(n.value).clone())).collect()
        };
        let signature = Arc::new(Signature {
            inputs: list(&plan.graph.inputs),
            layouts: plan.graph.inputs.iter().map(|i| plan.layout(i.value)).collect(),
            outputs: [list(&plan.graph.outputs), list(&plan.graph.taps)].concat(),
            shared: [&plan.donated[..], &plan.copied[..]].concat(),
        });
        let code = code.map(|c| (c, plan.bindings()));
        Ok(Executable {
            plan,
            instrs,
            code,
            arena,
            constants,
            scratch,
            pool,
            times,
            profile: false,
            runs: 0,
            bases,
            signature,
            look: false,
            blame: None,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs so far.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// Bytes held between runs: arena, scratch and constants, those of regions and what their loops carry included.
    pub fn memory(&self) -> usize {
        self.arena.len()
            + self.scratch.bytes()
            + self.constants.iter().map(|c| c.1.bytes().len()).sum::<usize>()
            + self.instrs.iter().map(Instr::memory).sum::<usize>()
    }

    /// Gives back the memory of the arena until the next run: nothing in it is kept from run to run.
    pub fn release(&mut self) {
        self.arena.release();
    }

    /// Measures every step from now on.
    pub fn set_profile(&mut self, on: bool) {
        self.profile = on;
    }

    /// Time of each step of the plan, in its order, summed over the runs that [`Executable::set_profile`] covers.
    pub fn step_times(&self) -> Vec<Duration> {
        self.times.clone()
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
            inputs: vec![std::ptr::null(); self.signature.inputs.len()],
            outputs: vec![std::ptr::null_mut(); self.signature.outputs.len()],
            signature: self.signature.clone(),
            fault: None,
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
        self.part(io, 0, self.plan.steps.len(), false).map(|_| ())
    }

    /// Runs the part that yields the early outputs; nothing donated has been overwritten after it.
    pub fn run_early(&mut self, io: &mut Io<'_>) -> Result<()> {
        self.part(io, 0, self.plan.early, false).map(|_| ())
    }

    /// Runs the rest after [`Executable::run_early`] on the same binding.
    pub fn run_rest(&mut self, io: &mut Io<'_>) -> Result<()> {
        self.part(io, self.plan.early, self.plan.steps.len(), false).map(|_| ())
    }

    /// Runs the early part and looks at every result: where a number first stopped being finite, inputs included.
    pub fn find_nonfinite(&mut self, io: &mut Io<'_>) -> Result<Option<Blame>> {
        let end = if self.plan.early > 0 { self.plan.early } else { self.plan.steps.len() };
        self.prepare()?;
        self.part(io, 0, end, true)
    }

    fn part(&mut self, io: &mut Io<'_>, from: usize, to: usize, look: bool) -> Result<Option<Blame>> {
        self.check(io)?;
        self.bind(&io.inputs, &io.outputs);
        self.runs += u64::from(from == 0);
        if !look && self.code.is_some() {
            return self.call(from, to).map(|()| None);
        }
        if look && let Some(b) = self.look_at_inputs() {
            return Ok(Some(b));
        }
        self.set_look(look);
        let ran = self.steps(from, to);
        let found = self.blame.take();
        self.set_look(false);
        ran.map(|()| found)
    }

    /// Makes the steps ready to run one by one, where compiled code runs them otherwise.
    fn prepare(&mut self) -> Result<()> {
        if self.instrs.is_empty() && self.code.is_some() {
            let (plan, pool, scratch) = (&self.plan, &self.pool, &mut self.scratch);
            let made = plan.steps.iter().map(|s| load(plan, s, pool, scratch)).collect::<Result<Vec<_>>>()?;
            scratch.allocate(pool.threads());
            self.instrs = made;
        }
        Ok(())
    }

    /// Calls the compiled function for these steps.
    fn call(&mut self, from: usize, to: usize) -> Result<()> {
        let Some((code, bindings)) = &self.code else { return Ok(()) };
        let entry = match code.parts {
            Some((early, _)) if (from, to) == (0, self.plan.early) => early,
            Some((_, rest)) if from > 0 => rest,
            _ if from == to => return Ok(()),
            // Without an early part, the rest is everything.
            _ => code.all,
        };
        let buffers = self.plan.buffers.iter().zip(&self.bases.0);
        let mut addresses: Vec<*mut u8> =
            buffers.filter(|(b, _)| !matches!(b, Buffer::Arena { .. })).map(|(_, base)| *base).collect();
        let outputs = &self.bases.0[self.plan.buffers.len()..];
        addresses.extend(bindings[addresses.len()..].iter().map(|b| match b {
            Binding::Output(o) => outputs[*o],
            Binding::Input(_) | Binding::Constant(_) => std::ptr::null_mut(),
        }));
        code.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let start = self.profile.then(Instant::now);
        // SAFETY: the code was made for this plan (`Code::new`); `check` has seen that everything is bound to memory of the
        // plan's types, the arena is as large as the code says, and `&mut self` makes this the only call on it.
        let status = unsafe { entry.call(self.arena.start(), addresses.as_ptr(), &self.pool) };
        if let (Some(start), Some(first)) = (start, self.times.get_mut(from)) {
            *first += start.elapsed();
        }
        match usize::try_from(status).ok().and_then(|s| s.checked_sub(1)) {
            None => Ok(()),
            Some(step) => {
                Err(self
                    .refusal(step, "an index among its operands is outside the table that it points into"))
            }
        }
    }

    fn refusal(&self, step: usize, problem: &str) -> EngineError {
        let nodes = self.plan.steps.get(step).map_or(&[][..], |s| self.plan.nodes(s));
        let node = nodes.last().map(|n| &self.plan.graph.nodes[*n as usize]);
        EngineError::Kernel {
            op: node.map_or("copy", |n| n.op.name()),
            scope: node.map_or(String::new(), |n| self.plan.graph.scopes[n.scope as usize].clone()),
            problem: problem.to_string(),
        }
    }

    /// Runs steps; with `look` on, up to the first one that makes a number that is not finite.
    fn steps(&mut self, from: usize, to: usize) -> Result<()> {
        for k in from..to {
            let operands = match &self.plan.steps[k] {
                Step::Group(g) if self.look => Some(blame::operands(&self.plan, g, &self.bases.0)),
                _ => None,
            };
            let start = self.profile.then(Instant::now);
            self.step(k)?;
            if let Some(start) = start {
                self.times[k] += start.elapsed();
            }
            if self.look {
                self.blame = self.look_at(k, operands.unwrap_or_default());
                if self.blame.is_some() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, k: usize) -> Result<()> {
        let ran = self.instrs[k].run(&self.plan, &self.bases.0, &self.pool, &mut self.scratch);
        ran.map_err(|problem| self.refusal(k, &problem))
    }

    /// Fails unless everything is bound, and to this plan.
    fn check(&self, io: &mut Io<'_>) -> Result<()> {
        if let Some(e) = io.fault.take() {
            return Err(e);
        }
        let missing = |what, (name, ty): &(String, Type), found: &str| {
            Err(EngineError::Bind { what, name: name.clone(), expected: ty.to_string(), found: found.into() })
        };
        let (inputs, outputs) = (&self.signature.inputs, &self.signature.outputs);
        if !Arc::ptr_eq(&io.signature, &self.signature) {
            let all = ("(all)".to_string(), Type::scalar(DType::F32));
            let first = inputs.first().or(outputs.first()).unwrap_or(&all);
            return missing("input", first, "a binding that another plan made");
        }
        if let Some(i) = io.inputs.iter().position(|p| p.is_null()) {
            return missing("input", &inputs[i], "nothing");
        }
        if let Some(o) = io.outputs.iter().position(|p| p.is_null()) {
            return missing("output", &outputs[o], "nothing");
        }
        Ok(())
    }

    /// Puts the addresses of inputs and outputs in place.
    fn bind(&mut self, inputs: &[*const u8], outputs: &[*mut u8]) {
        for (base, b) in self.bases.0.iter_mut().zip(&self.plan.buffers) {
            match b {
                Buffer::Input(i) => *base = inputs[*i].cast_mut(),
                Buffer::Output(o) => *base = outputs[*o],
                Buffer::Arena { .. } | Buffer::Constant(_) => {}
            }
        }
        let first = self.plan.buffers.len();
        self.bases.0[first..].copy_from_slice(outputs);
    }

    /// Runs the whole plan on raw memory, for regions of control flow.
    ///
    /// The pointers must be valid for the types of the plan's inputs and outputs.
    pub(crate) fn run_raw(&mut self, inputs: &[*const u8], outputs: &[*mut u8]) -> Result<(), String> {
        self.bind(inputs, outputs);
        self.runs += 1;
        if self.blame.is_some() {
            // The first one has been found: the numbers no longer matter, but the memory must be written.
            self.look = false;
        }
        let look = self.look;
        let done = self.steps(0, self.instrs.len());
        if look && self.blame.is_some() {
            self.look = false;
            let found = self.blame.take();
            let again = self.steps(0, self.instrs.len());
            self.blame = found;
            return again.map_err(|e| e.to_string());
        }
        done.map_err(|e| e.to_string())
    }

    fn set_look(&mut self, look: bool) {
        (self.look, self.blame) = (look, None);
        self.instrs.iter_mut().flat_map(Instr::bodies).for_each(|b| b.set_look(look));
    }

    fn look_at_inputs(&self) -> Option<Blame> {
        let g = &self.plan.graph;
        g.inputs.iter().find_map(|i| {
            let what = blame::nonfinite(&self.plan, i.value, &self.bases.0)?;
            Some(Blame { op: "input", scope: String::new(), name: Some(i.name.clone()), what })
        })
    }

    fn look_at(&mut self, k: usize, operands: Operands) -> Option<Blame> {
        if let Some(inner) = self.instrs[k].bodies().into_iter().find_map(|b| b.blame.take()) {
            return Some(inner);
        }
        let g = &self.plan.graph;
        let step = &self.plan.steps[k];
        let values = match step {
            Step::Group(group) => group.outputs.clone(),
            Step::Fused(f) => f.outputs.clone(),
            Step::Node(n) | Step::Control(n, _) => (0..g.nodes[*n as usize].types.len() as u32)
                .map(|out| graph::Value { node: *n, out })
                .collect(),
            Step::Copy { .. } => vec![],
        };
        let found =
            values.into_iter().find_map(|v| Some((v, blame::nonfinite(&self.plan, v, &self.bases.0)?)))?;
        // Inside a group, the member that began it.
        let (v, what) = match step {
            Step::Group(group) => blame::culprit(g, group, operands).unwrap_or(found),
            _ => found,
        };
        let n = g.node(v);
        let name = g.taps.iter().chain(&g.outputs).find(|t| t.value == v).map(|t| t.name.clone());
        Some(Blame { op: n.op.name(), scope: g.scopes[n.scope as usize].clone(), name, what })
    }
}

type Operands = std::collections::HashMap<graph::Value, graph::Array<f32>>;

impl<'a> Io<'a> {
    /// Binds input `i` to memory that is read.
    pub fn input(&mut self, i: usize, t: &'a Tensor) -> &mut Self {
        if self.fits("input", i, t) {
            self.inputs[i] = t.pointer();
        }
        self
    }

    /// Binds input `i` to elements as they lie in memory, such as a section of a mapped file, which is used in place:
    /// little-endian, row-major, packed as the plan's layouts say ([`Options::layouts`]), and at an address that suits
    /// the type (packed trits: any). Trits are not checked; with illegal codes the results are some numbers.
    ///
    /// A fault (a length or an address that does not fit) is reported by the run.
    pub fn bytes(&mut self, i: usize, bytes: &'a [u8]) -> &mut Self {
        let Some((name, ty)) = self.signature.inputs.get(i) else {
            let (name, expected) = (format!("number {i}"), format!("one of {}", self.signature.inputs.len()));
            let found = "bytes".into();
            self.fault.get_or_insert(EngineError::Bind { what: "input", name, expected, found });
            return self;
        };
        let layout = self.signature.layouts[i];
        let size = match (layout, ty.fixed_shape().as_deref()) {
            (TritLayout::Bytes, Some(shape)) => {
                shape.iter().product::<usize>() * premap::memory::element(ty.dtype)
            }
            (_, Some(&[rows, columns])) => layout.bytes(rows, columns).unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        let align = ty.dtype.size().unwrap_or(1);
        let problem = if bytes.len() != size {
            Some((format!("{size} bytes of {ty}{}", packed(layout)), format!("{} bytes", bytes.len())))
        } else if !bytes.as_ptr().addr().is_multiple_of(align) {
            let found = format!("an address that leaves {}", bytes.as_ptr().addr() % align);
            Some((format!("an address that is a multiple of {align}, for {ty}"), found))
        } else {
            None
        };
        match problem {
            None => self.inputs[i] = bytes.as_ptr(),
            Some((expected, found)) => {
                let name = name.clone();
                self.fault.get_or_insert(EngineError::Bind { what: "input", name, expected, found });
            }
        }
        self
    }

    /// Binds output `o` to memory that is written.
    pub fn output(&mut self, o: usize, t: &'a mut Tensor) -> &mut Self {
        if self.fits("output", o, t) {
            self.outputs[o] = t.pointer_mut();
        }
        self
    }

    /// The number in output `o` after a run: what a caller looks at between the two parts of a plan. NaN unless the
    /// output is bound and has the type `f32[]`.
    pub fn scalar(&self, o: usize) -> f32 {
        let number =
            self.signature.outputs.get(o).is_some_and(|(_, ty)| *ty == graph::Type::scalar(DType::F32));
        match self.outputs.get(o) {
            // SAFETY: bound to a tensor of that type (`fits`), mutably borrowed for the binding's life.
            Some(p) if number && !p.is_null() => unsafe { p.cast::<f32>().read() },
            _ => f32::NAN,
        }
    }

    /// Binds input `i` and the output `o` that replaces it to the same memory; the plan must have been made with that
    /// pair in [`Options::donate`].
    pub fn in_place(&mut self, i: usize, o: usize, t: &'a mut Tensor) -> &mut Self {
        if !(self.fits("input", i, t) && self.fits("output", o, t)) {
            return self;
        }
        if !self.signature.shared.contains(&(i, o)) {
            self.fault.get_or_insert(EngineError::Bind {
                what: "output",
                name: self.signature.outputs[o].0.clone(),
                expected: "memory of its own (the plan was made without this in-place update)".into(),
                found: format!("that of input `{}`", self.signature.inputs[i].0),
            });
            return self;
        }
        let p = t.pointer_mut();
        (self.inputs[i], self.outputs[o]) = (p.cast_const(), p);
        self
    }

    /// Whether there is such an input or output and `t` has its type; notes the first fault.
    fn fits(&mut self, what: &'static str, k: usize, t: &Tensor) -> bool {
        let list = if what == "input" { &self.signature.inputs } else { &self.signature.outputs };
        let layout = if what == "input" { self.signature.layouts.get(k).copied() } else { None };
        let layout = layout.unwrap_or_default();
        let (name, expected) = match list.get(k) {
            Some((_, ty)) if t.is(ty) && layout == TritLayout::Bytes => return true,
            Some((name, ty)) => (name.clone(), format!("{ty}{}", packed(layout))),
            None => (format!("number {k}"), format!("one of {}", list.len())),
        };
        let found = t.ty().to_string();
        self.fault.get_or_insert(EngineError::Bind { what, name, expected, found });
        false
    }
}

/// What an error adds to a type whose trits are packed.
fn packed(layout: TritLayout) -> String {
    if layout == TritLayout::Bytes { String::new() } else { format!(" ({layout}), bound with `Io::bytes`") }
}

/// Runs a graph once on tensors given in its order: plans, loads, runs, and returns its outputs (then its taps).
pub fn run_once(
    graph: &Graph,
    inputs: &[&Tensor],
    options: &Options,
    pool: Arc<Pool>,
) -> Result<Vec<(String, Tensor)>> {
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
