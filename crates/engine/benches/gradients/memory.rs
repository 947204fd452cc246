//! The gradient of a long sequence in memory that grows with the root of its length.
//!
//! The MLGRU block is run as a scan over √T chunks of √T tokens. The backward pass keeps the state that enters each chunk
//! and computes one chunk at a time again: √T states and the inner values of √T tokens, where the plan of the whole
//! sequence keeps the inner values of all of it. Both give the same gradients.

use crate::programs::{self, Program};
use crate::{Planned, numbers, quantile};
use axes::DType;
use engine::Executable;
use engine::pool::Pool;
use furnace::{Remat, grad_graph};
use graph::{Cx, Dim, Graph, Type, Var};
use premap::{Options, Plan, Step};
use std::sync::Arc;

/// Bytes of a plan's arena and of those of its regions.
fn arena(p: &Plan) -> usize {
    let inner = p.steps.iter().map(|s| match s {
        Step::Control(_, plans) => plans.iter().map(arena).sum(),
        _ => 0,
    });
    p.arena + inner.sum::<usize>()
}

/// Inputs as in [`programs::mlgru`], x and ct as (chunks, 1, chunk, d).
fn chunked(p: &Program, time: usize, chunk: usize) -> Graph {
    let cx = Cx::abstract_();
    let vars: Vec<Var> = p
        .inputs
        .iter()
        .map(|g| match g.shape[..] {
            [_, _, d] => cx.input(g.name, Type::new(DType::F32, [time / chunk, 1, chunk, d])),
            _ => cx.input(g.name, programs::ty(g)),
        })
        .collect();
    let state = Type::new(DType::F32, [Dim::from(1), vars[0].shape()[3].clone()]);
    let h0 = cx.full(&state, 0.0);
    let zero = cx.full(&Type::scalar(DType::F32), 0.0);
    let (last, _) = cx.scan(&[&h0, &zero], &[&vars[0], &vars[1]], false, |carry, xs| {
        let all: Vec<Var> = xs.iter().chain(&vars[2..]).cloned().collect();
        let (y, h) = programs::mlgru_from(&all, &carry[0]);
        (vec![h, &carry[1] + &(&y * &xs[1]).sum_all()], vec![])
    });
    cx.finish(&[("loss", &last[1])]).expect("a graph")
}

/// Prints arenas for lengths up to `longest`, and times of the longest.
pub(crate) fn report(p: &Program, longest: usize, rounds: usize, pool: &Arc<Pool>) {
    let wanted: Vec<&str> = p.inputs.iter().filter(|g| g.wanted).map(|g| g.name).collect();
    println!("memory: {} at batch 1; bytes of the arena, beside inputs and gradients", p.name);
    println!("  T          chunk   whole sequence   chunks, recomputed");
    let mut time = longest / 64;
    while time <= longest {
        let chunk = time.isqrt();
        let long = Program {
            name: p.name,
            about: p.about,
            inputs: programs::with_time(&p.inputs, time),
            loss: p.loss,
        };
        let values: Vec<Vec<f32>> = (1u32..)
            .zip(&long.inputs)
            .map(|(seed, g)| numbers(g.shape.iter().product(), seed, g.low, g.high))
            .collect();
        let mut whole = Planned::new(&long, &values, true, pool);
        let graph =
            grad_graph(&chunked(p, time, chunk), "loss", &wanted, Remat::Carries).expect("a gradient");
        let exe = Executable::new(&graph, &Options::default(), pool.clone()).expect("a plan");
        println!("  {time:<10} {chunk:<7} {:<16} {}", arena(whole.exe.plan()), arena(exe.plan()));
        if time == longest {
            let mut parts = whole.like(exe, &graph);
            whole.run();
            parts.run();
            for (k, (a, b)) in whole.answer().iter().zip(parts.answer()).enumerate() {
                let off = (a - b).abs() / a.abs().max(1e-6);
                assert!(off < 1e-3, "result {k}: {a} whole, {b} in chunks");
            }
            let times = (0..rounds).map(|_| (whole.run(), parts.run())).collect::<Vec<_>>();
            let (a, b): (Vec<f64>, Vec<f64>) = times.into_iter().unzip();
            let (a, b) = (quantile(&a, 0.5), quantile(&b, 0.5));
            println!(
                "  T {time}: {a:.0} ms whole, {b:.0} ms in chunks ({:.2} times), medians of {rounds}",
                b / a
            );
        }
        time *= 4;
    }
}
