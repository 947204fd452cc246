//! Values with gradients: the engine's plans and compiled ones, on the programs of the engine's own measurement.
#![allow(unsafe_code)]

use crate::Race;
use crate::support::{compiler, floats};
use alex::{Options, lower};
use engine::pool::Pool;
use engine::{Code, Executable, Tensor};
use graph::{Cx, Var};
use std::sync::Arc;

#[allow(dead_code)] // the engine's benchmark owns the file and uses more of it
#[path = "../../../engine/benches/gradients/programs.rs"]
mod programs;

struct Planned {
    exe: Executable,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

impl Planned {
    fn run(&mut self) {
        let mut io = self.exe.io();
        self.inputs.iter().enumerate().for_each(|(i, t)| {
            io.input(i, t);
        });
        self.outputs.iter_mut().enumerate().for_each(|(o, t)| {
            io.output(o, t);
        });
        self.exe.run(&mut io).expect("it runs");
    }
}

pub(crate) fn gradients(rounds: usize) {
    let Some(compiler) = compiler(Options::default()) else { return };
    for p in programs::all() {
        let cx = Cx::abstract_();
        let vars: Vec<Var> = p.inputs.iter().map(|g| cx.input(g.name, programs::ty(g))).collect();
        let wanted: Vec<&Var> =
            p.inputs.iter().zip(&vars).filter(|(g, _)| g.wanted).map(|(_, v)| v).collect();
        let whole = |given: &[Var]| {
            let mut next = given.iter();
            let all: Vec<Var> = p
                .inputs
                .iter()
                .zip(&vars)
                .map(|(g, v)| if g.wanted { next.next().unwrap_or(v).clone() } else { v.clone() })
                .collect();
            (p.loss)(&all)
        };
        let (y, made) = furnace::grads(whole, &wanted);
        let names: Vec<String> = (0..made.len()).map(|k| format!("grad.{k}")).collect();
        let mut outputs = vec![("loss", &y)];
        outputs.extend(names.iter().map(String::as_str).zip(&made));
        let graph = cx.finish(&outputs).expect("a graph");
        let pool = Arc::new(Pool::single());
        let options = premap::Options::default();
        let own = Executable::new(&graph, &options, pool.clone()).expect("a plan");
        let plan = premap::plan(&graph, &alex::target(), &options).expect("a plan");
        let lowered = lower::plan(&plan, &lower::Options::default()).expect("every op is lowered");
        let library = compiler.load(&lowered.text).expect("it compiles");
        let entry = library.entry(&lowered.name).expect("the function is there");
        // SAFETY: the function was lowered from this plan.
        let code = unsafe { Code::new(entry, None, lowered.arena, Arc::new(library.clone())) };
        let compiled = Executable::with_code(plan, code, pool).expect("its bindings");
        let [mut own, mut compiled] = [own, compiled].map(|exe| {
            let inputs = p
                .inputs
                .iter()
                .enumerate()
                .map(|(k, g)| {
                    let len = g.shape.iter().product();
                    let (middle, half) = ((g.low + g.high) / 2.0, (g.high - g.low) / 2.0);
                    let values: Vec<f32> =
                        floats(len, k as u64 + 1, half).into_iter().map(|v| v + middle).collect();
                    Tensor::from_f32(g.shape.as_slice(), &values)
                })
                .collect();
            let outputs = graph.outputs.iter().map(|o| Tensor::of(graph.ty(o.value))).collect();
            Planned { exe, inputs, outputs }
        });
        own.run();
        compiled.run();
        let norm = |t: &Tensor| t.f32().iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let apart = own.outputs.iter().zip(&compiled.outputs).map(|(a, b)| {
            let off: f64 = a.f32().iter().zip(b.f32()).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            off.sqrt() / norm(a).max(1e-30)
        });
        println!("{}: largest distance of a gradient {:.1e}", p.about, apart.fold(0.0, f64::max));
        let mut race = Race::new(p.name.into(), 1.0, "");
        race.add("engine", || own.run());
        race.add("compiled", || compiled.run());
        race.run(rounds);
    }
}
