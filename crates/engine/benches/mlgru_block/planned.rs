//! The step by way of graph, furnace, premap and engine.

use crate::{B, D, EPS, Given, INNER_EPS, N, PARAMETERS, T};
use axes::DType;
use engine::pool::Pool;
use engine::{Executable, Tensor};
use graph::{Cx, Dim, Type, Var};
use premap::Options;
use std::sync::Arc;

/// A planned step with its inputs and results.
pub(crate) struct Block {
    exe: Executable,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

/// The parameter of that name among those behind the input.
fn parameter<'a>(v: &'a [Var], name: &str) -> &'a Var {
    &v[1 + PARAMETERS.iter().position(|(n, _)| *n == name).expect("a parameter")]
}

fn project(v: &[Var], name: &str, x: &Var) -> Var {
    let cx = x.cx().clone();
    cx.scope(name, || {
        let y = x.rms_norm(parameter(v, &format!("{name}.norm")), f64::from(INNER_EPS));
        let (q, s) = y.quantize_activations("half_away");
        let last = y.shape().last().cloned().unwrap_or(Dim::from(1));
        let y_q = (q.convert(DType::F32) / s.broadcast_last(&last)).surrogate(&y);
        let w = parameter(v, &format!("{name}.weight"));
        let (t, s_w) = w.quantize_weights();
        let w_q = (t.convert(DType::F32) / &s_w).surrogate(w);
        y_q.linear(&w_q)
    })
}

fn block(v: &[Var]) -> Var {
    let x = &v[0];
    let eps = f64::from(EPS);
    let a = x.rms_norm(parameter(v, "attn_norm"), eps);
    let (i, f, g) = (project(v, "i", &a), project(v, "f", &a).sigmoid(), project(v, "g", &a));
    let state = x.cx().full(&Type::new(DType::F32, [B, D]), 0.0);
    let h = f.linear_scan(&(i.silu() * (1.0 - &f)), &state, false);
    let gated = g.rms_norm(parameter(v, "g_norm"), eps) * h.silu();
    let r = x + &project(v, "o", &gated);
    let both = project(v, "gate", &r.rms_norm(parameter(v, "mlp_norm"), eps));
    let (gate, up) = (both.slice_axis(2, 0, N), both.slice_axis(2, N, 2 * N));
    &r + &project(v, "down", &(gate.silu() * &up))
}

impl Block {
    /// Plans the step.
    pub(crate) fn new(given: &Given, pool: Arc<Pool>) -> Block {
        let cx = Cx::abstract_();
        let f32s = |shape: &[usize]| Type::new(DType::F32, shape.iter().copied());
        let x = cx.input("x", f32s(&[B, T, D]));
        let dy = cx.input("dy", f32s(&[B, T, D]));
        let parameters: Vec<Var> = PARAMETERS.iter().map(|(n, s)| cx.input(n, f32s(s))).collect();
        let wanted: Vec<&Var> = std::iter::once(&x).chain(&parameters).collect();
        let (y, pull) = furnace::vjp(|v| vec![block(v)], &wanted);
        let gradients = pull(&[dy]);
        let names: Vec<String> = (0..gradients.len()).map(|k| format!("grad.{k}")).collect();
        let mut outputs = vec![("y", &y[0])];
        outputs.extend(names.iter().map(String::as_str).zip(&gradients));
        let graph = cx.finish(&outputs).expect("a graph");
        let exe = Executable::new(&graph, &Options::default(), pool).expect("a plan");
        let shapes = [&[B, T, D][..], &[B, T, D]].into_iter().chain(PARAMETERS.iter().map(|p| p.1));
        let values = [&given.x, &given.dy].into_iter().chain(&given.parameters);
        let inputs = shapes.zip(values).map(|(s, v)| Tensor::from_f32(s, v)).collect();
        let outputs = graph.outputs.iter().map(|o| Tensor::of(graph.ty(o.value))).collect();
        Block { exe, inputs, outputs }
    }

    /// Runs the plan.
    pub(crate) fn step(&mut self) {
        let mut io = self.exe.io();
        self.inputs.iter().enumerate().for_each(|(i, t)| {
            io.input(i, t);
        });
        self.outputs.iter_mut().enumerate().for_each(|(o, t)| {
            io.output(o, t);
        });
        self.exe.run(&mut io).expect("it runs");
    }

    /// Result `k`: the output, the gradient of the input, those of the parameters.
    pub(crate) fn result(&self, k: usize) -> &[f32] {
        self.outputs[k].f32()
    }

    /// Prints the plan and where its time goes.
    pub(crate) fn profile(&mut self, rounds: usize) {
        println!("{}", self.exe.plan().describe());
        self.exe.set_profile(true);
        (0..rounds).for_each(|_| self.step());
        for (what, scope, time) in self.exe.profile() {
            println!("{:9.1} us  {scope:<6} {what}", time.as_secs_f64() * 1e6 / rounds as f64);
        }
    }
}
