//! The blocks of the MatMul-free LM as graphs, with seeded operands, run by the engine or compiled.
#![allow(unsafe_code)]

use crate::support::{Memory, floats, numbers};
use alex::cpu::block::{GluBlock, MlgruBlock};
use alex::cpu::norm::Rounding;
use alex::{Compiler, lower};
use axes::{DType, TritLayout};
use engine::kernels::packed::pack_weights;
use engine::pool::Pool;
use engine::{Code, Executable, Tensor};
use graph::{Cx, Dim, Graph, Type, Var};
use premap::Options;
use std::sync::Arc;

/// An operand: floats of a shape, or trits in the compute layout.
pub(crate) enum Operand {
    Floats(Vec<usize>, Vec<f32>),
    Trits([usize; 2], Vec<u8>),
}

impl Operand {
    fn floats(shape: &[usize], seed: u64, size: f32, shift: f32) -> Operand {
        let values = floats(shape.iter().product(), seed, size).into_iter().map(|v| v + shift).collect();
        Operand::Floats(shape.to_vec(), values)
    }

    pub(crate) fn memory(&self) -> Memory {
        match self {
            Operand::Floats(_, values) => Memory::of(values),
            Operand::Trits(_, bytes) => Memory::of(bytes),
        }
    }
}

/// Named operands.
pub(crate) struct Operands(pub(crate) Vec<(String, Operand)>);

impl Operands {
    fn projection(&mut self, name: &str, rows: usize, columns: usize, seed: u64) {
        let trits: Vec<f32> = numbers(rows * columns, seed).map(|n| (n % 3) as f32 - 1.0).collect();
        let mut bytes = vec![0; TritLayout::Compute.bytes(rows, columns).expect("small")];
        pack_weights(&Pool::single(), &trits, rows, columns, 1.0, &mut bytes);
        let mut put = |what: &str, operand| self.0.push((format!("{name}.{what}"), operand));
        put("norm", Operand::floats(&[columns], seed + 1, 0.3, 1.0));
        put("weight", Operand::Trits([rows, columns], bytes));
        // So that the outputs are about as large as the inputs.
        put("scale", Operand::Floats(vec![], vec![(columns as f32).sqrt()]));
    }

    /// In the order of `MlgruArgs`, without what is written.
    pub(crate) fn mlgru(block: &MlgruBlock) -> Operands {
        let MlgruBlock { batch, time, hidden, inner, .. } = *block;
        let mut all = Operands(vec![
            ("x".into(), Operand::floats(&[batch, time, hidden], 1, 1.0, 0.0)),
            ("norm".into(), Operand::floats(&[hidden], 2, 0.3, 1.0)),
        ]);
        for (k, name) in ["f", "i", "g"].into_iter().enumerate() {
            all.projection(name, inner, hidden, 10 + 10 * k as u64);
        }
        all.0.push(("g_norm".into(), Operand::floats(&[inner], 3, 0.3, 1.0)));
        all.projection("o", hidden, inner, 40);
        all.0.push(("h0".into(), Operand::floats(&[batch, inner], 4, 1.0, 0.0)));
        all
    }

    /// In the order of `GluArgs`, without what is written.
    pub(crate) fn glu(block: &GluBlock) -> Operands {
        let GluBlock { tokens, hidden, intermediate, .. } = *block;
        let mut all = Operands(vec![
            ("x".into(), Operand::floats(&[tokens, hidden], 1, 1.0, 0.0)),
            ("norm".into(), Operand::floats(&[hidden], 2, 0.3, 1.0)),
        ]);
        all.projection("gate", 2 * intermediate, hidden, 10);
        all.projection("down", hidden, intermediate, 20);
        all
    }

    /// How the trits lie.
    fn layouts(&self) -> Vec<(String, TritLayout)> {
        let packed = |(name, operand): &(String, Operand)| {
            matches!(operand, Operand::Trits(..)).then(|| (name.clone(), TritLayout::Compute))
        };
        self.0.iter().filter_map(packed).collect()
    }

    fn inputs(&self, cx: &Cx) -> Vec<Var> {
        let ty = |operand: &Operand| match operand {
            Operand::Floats(shape, _) => Type::new(DType::F32, shape.iter().copied()),
            Operand::Trits(shape, _) => Type::new(DType::Trit, *shape),
        };
        self.0.iter().map(|(name, operand)| cx.input(name, ty(operand))).collect()
    }

    fn get<'a>(&self, vars: &'a [Var], name: &str) -> &'a Var {
        &vars[self.0.iter().position(|(n, _)| n == name).expect("an operand")]
    }

    fn project(&self, vars: &[Var], name: &str, x: &Var, eps: f32, rounding: Rounding) -> Var {
        let part = |what: &str| self.get(vars, &format!("{name}.{what}"));
        let y = x.rms_norm(part("norm"), f64::from(eps));
        let rounding = if rounding == Rounding::HalfAway { "half_away" } else { "half_even" };
        let (q, s) = y.quantize_activations(rounding);
        q.ternary_linear(&s, part("weight"), part("scale"))
    }

    /// y (B, T, D) and the last state (B, I).
    pub(crate) fn mlgru_graph(&self, block: &MlgruBlock) -> Graph {
        let MlgruBlock { batch, time, inner, eps, inner_eps, rounding, .. } = *block;
        let cx = Cx::abstract_();
        let v = self.inputs(&cx);
        let x = self.get(&v, "x");
        let a = x.rms_norm(self.get(&v, "norm"), f64::from(eps));
        let [f, i, g] = ["f", "i", "g"].map(|name| self.project(&v, name, &a, inner_eps, rounding));
        let f = f.sigmoid();
        let h = f.linear_scan(&(i.silu() * (1.0 - &f)), self.get(&v, "h0"), false);
        let gated = g.rms_norm(self.get(&v, "g_norm"), f64::from(eps)) * h.silu();
        let y = x + &self.project(&v, "o", &gated, inner_eps, rounding);
        let last = h.slice_axis(1, time - 1, time).reshape(&[Dim::from(batch), Dim::from(inner)]);
        cx.finish(&[("y", &y), ("last", &last)]).expect("a graph")
    }

    /// y (N, D).
    pub(crate) fn glu_graph(&self, block: &GluBlock) -> Graph {
        let GluBlock { intermediate, eps, inner_eps, rounding, .. } = *block;
        let cx = Cx::abstract_();
        let v = self.inputs(&cx);
        let x = self.get(&v, "x");
        let a = x.rms_norm(self.get(&v, "norm"), f64::from(eps));
        let both = self.project(&v, "gate", &a, inner_eps, rounding);
        let (gate, up) =
            (both.slice_axis(1, 0, intermediate), both.slice_axis(1, intermediate, 2 * intermediate));
        let y = x + &self.project(&v, "down", &(gate.silu() * &up), inner_eps, rounding);
        cx.finish(&[("y", &y)]).expect("a graph")
    }
}

/// A plan of the engine with its operands and results.
pub(crate) struct Planned<'a> {
    exe: Executable,
    operands: &'a Operands,
    inputs: Vec<Option<Tensor>>,
    outputs: Vec<Tensor>,
}

impl<'a> Planned<'a> {
    /// By the engine's own kernels.
    pub(crate) fn new(graph: &Graph, operands: &'a Operands, fuse: bool) -> Planned<'a> {
        let options = Options { fuse, layouts: operands.layouts(), ..Options::default() };
        let exe = Executable::new(graph, &options, Arc::new(Pool::single())).expect("a plan");
        Planned::with(exe, graph, operands)
    }

    /// Compiled, whole blocks as one call or not. Gives the number of calls as well.
    pub(crate) fn compiled(
        compiler: &Compiler,
        graph: &Graph,
        operands: &'a Operands,
        blocks: bool,
    ) -> (Planned<'a>, usize) {
        let options = Options { layouts: operands.layouts(), ..Options::default() };
        let plan = premap::plan(graph, &alex::target(), &options).expect("a plan");
        let how = lower::Options { blocks, ..lower::Options::default() };
        let made = lower::plan(&plan, &how).expect("it is lowered");
        let library = compiler.load(&made.text).expect("it compiles");
        let entry = library.entry(&made.name).expect("the function is there");
        // SAFETY: the function was lowered from this plan.
        let code = unsafe { Code::new(entry, None, made.arena, Arc::new(library)) };
        let exe = Executable::with_code(plan, code, Arc::new(Pool::single())).expect("its code");
        (Planned::with(exe, graph, operands), made.calls)
    }

    /// Compiled with its steps dealt out to so many threads. Gives the rounds and tasks that the plan says, too.
    #[allow(dead_code)] // the benchmark shares this file and has no use for it
    pub(crate) fn dealt(
        compiler: &Compiler,
        graph: &Graph,
        operands: &'a Operands,
        (blocks, patterns): (bool, bool),
        pool: &Arc<Pool>,
    ) -> (Planned<'a>, (usize, usize)) {
        let options = Options { layouts: operands.layouts(), ..Options::default() };
        let mut target = alex::target();
        if !patterns {
            target.patterns.clear();
        }
        let plan = premap::plan(graph, &target, &options).expect("a plan");
        let how = lower::Options { blocks, dealt: true, ..lower::Options::default() };
        let made = lower::plan(&plan, &how).expect("it is lowered");
        let rounds = plan.steps.iter().flat_map(|s| premap::cut::rounds(&plan, s));
        let tasks: Vec<usize> = rounds.map(|r| r.tasks).filter(|t| *t > 1).collect();
        let library = compiler.load(&made.text).expect("it compiles");
        let entry = library.dealt(&made.name).expect("the function is there");
        // SAFETY: the function was lowered from this plan, and its tasks write to memory of their own.
        let code = unsafe { Code::dealt(entry, None, made.arena, Arc::new(library)) };
        let exe = Executable::with_code(plan, code, Arc::clone(pool)).expect("its code");
        (Planned::with(exe, graph, operands), (tasks.len(), tasks.iter().sum()))
    }

    fn with(exe: Executable, graph: &Graph, operands: &'a Operands) -> Planned<'a> {
        let tensor = |(_, operand): &(String, Operand)| match operand {
            Operand::Floats(shape, values) => Some(Tensor::from_f32(shape.clone(), values)),
            Operand::Trits(..) => None,
        };
        let inputs = operands.0.iter().map(tensor).collect();
        let outputs = graph.outputs.iter().map(|o| Tensor::of(graph.ty(o.value))).collect();
        Planned { exe, operands, inputs, outputs }
    }

    pub(crate) fn run(&mut self) {
        let mut io = self.exe.io();
        for (k, (tensor, (_, operand))) in self.inputs.iter().zip(&self.operands.0).enumerate() {
            match (tensor, operand) {
                (Some(tensor), _) => io.input(k, tensor),
                (None, Operand::Trits(_, bytes)) => io.bytes(k, bytes),
                (None, Operand::Floats(..)) => unreachable!("floats are tensors"),
            };
        }
        self.outputs.iter_mut().enumerate().for_each(|(k, t)| {
            io.output(k, t);
        });
        self.exe.run(&mut io).expect("it runs");
    }

    pub(crate) fn output(&self, k: usize) -> &[f32] {
        self.outputs[k].f32()
    }
}
