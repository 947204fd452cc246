//! Whole graphs compiled in a wide format against the interpreter in furnace's scalar: the engine's conformance suite.

use super::cases::{self, Case};
use super::number::{Number, masked, place};
use alex::extended::{Format, Memory, Program};
use alex::toolchain::Toolchain;
use alex::{Compiler, Options};
use furnace::precision::F128;
use graph::{Array, Data, Graph, Op, interp};

fn memory<N: Number>(a: &Array<N>) -> Memory {
    match &a.data {
        Data::Float(v) => Memory::Wide(v.iter().map(|x| x.bits()).collect()),
        Data::Int(v) => Memory::Int(v.to_vec()),
    }
}

fn given<N: Number>(a: &Array<f32>) -> Array<N> {
    match &a.data {
        Data::Float(v) => {
            Array::float(a.dtype, a.shape.clone(), v.iter().map(|x| N::from_f64(f64::from(*x))).collect())
        }
        Data::Int(v) => Array::int(a.dtype, a.shape.clone(), v.to_vec()),
    }
}

/// Whether every operation of a graph is correctly rounded.
fn exact(g: &Graph) -> bool {
    let functions = [
        Op::Exp,
        Op::Log,
        Op::Tanh,
        Op::Sine,
        Op::Cosine,
        Op::Asin,
        Op::Acos,
        Op::Atan,
        Op::Erf,
        Op::Power,
        Op::Sigmoid,
        Op::Silu,
        Op::CrossEntropy,
        Op::CrossEntropyGrad,
    ];
    g.nodes.iter().all(|n| {
        let inner = n.attrs.iter().filter_map(|(key, _)| n.attrs.graph(key));
        !functions.contains(&n.op) && inner.into_iter().all(|g| exact(g))
    })
}

/// Runs the cases; how many were bit-equal, how many within the tolerance, and what is wrong.
fn check<N: Number>(list: &[Case], tolerance: f64) -> (usize, usize, Vec<String>) {
    let (mut plans, mut kept, mut wrong, mut without) = (vec![], vec![], vec![], vec![]);
    for c in list {
        let options = premap::Options { taps: true, ..premap::Options::default() };
        if c.graph.nodes.len() > 400 {
            continue;
        }
        let plan = premap::plan(&c.graph, &alex::plain_target(), &options).unwrap();
        let wide = match N::FORMAT {
            Format::F80 => alex::lower::Wide::F80,
            Format::F128 => alex::lower::Wide::F128,
        };
        match alex::lower::plan(&plan, &alex::lower::Options { wide: Some(wide), ..Default::default() }) {
            Ok(_) => {
                plans.push(plan);
                kept.push(c);
            }
            Err(e) => without.push(format!("{}: {e}", c.name)),
        }
    }
    let compiler = Compiler::new(Options { level: 1, ..Options::default() }).unwrap().with_cache(None);
    let programs = Program::build_all(&compiler, plans, N::FORMAT).unwrap();
    let (mut equal, mut near) = (0, 0);
    for (c, mut program) in kept.into_iter().zip(programs) {
        let inputs: Vec<Array<N>> = c.inputs.iter().map(given).collect();
        // What is compiled is the plan's graph, in which composites are taken apart.
        let plain = exact(&program.plan().graph);
        let made = interp::run::<N>(&program.plan().graph, inputs.clone(), false).unwrap();
        let expected: Vec<(String, Array<N>)> = made.outputs.into_iter().chain(made.taps).collect();
        let inputs: Vec<Memory> = inputs.iter().map(memory).collect();
        let mut same = true;
        let found = match program.run(&inputs) {
            Ok(found) => found,
            Err(e) => {
                wrong.push(format!("{}: {e}", c.name));
                continue;
            }
        };
        for ((name, want), got) in expected.iter().zip(found) {
            match (memory(want), got) {
                (Memory::Int(want), Memory::Int(got)) if want == got => {}
                (Memory::Wide(want), Memory::Wide(got)) => {
                    let size = |x: &u128| N::of(masked(N::FORMAT, *x)).to_f64().abs();
                    let finite = want.iter().map(size).filter(|x| x.is_finite());
                    let mean = finite.sum::<f64>() / want.len().max(1) as f64;
                    for (i, (w, g)) in want.iter().zip(&got).enumerate() {
                        let (x, y) = (N::of(masked(N::FORMAT, *g)), N::of(masked(N::FORMAT, *w)));
                        let nan = x.is_nan() && y.is_nan();
                        let zero = x == y;
                        let bits = place(N::FORMAT, *w) == place(N::FORMAT, *g) || nan || zero;
                        same &= bits;
                        let close = (x - y).abs().to_f64() <= tolerance * y.abs().to_f64().max(mean);
                        if !bits && (plain || !close) {
                            let (x, y) = (x.to_decimal(), y.to_decimal());
                            wrong.push(format!(
                                "{} `{name}` element {i} is {x}, expected {y} (exact: {plain})",
                                c.name
                            ));
                            break;
                        }
                    }
                }
                (want, got) => wrong.push(format!("{} `{name}`: {got:?}, expected {want:?}", c.name)),
            }
        }
        if same { equal += 1 } else { near += 1 }
    }
    println!("without a compiled form:\n{}", without.join("\n"));
    println!("{}: {equal} cases bit-equal, {near} within {tolerance:e}", N::FORMAT.name());
    (equal, near, wrong)
}

fn suite<N: Number>(tolerance: f64) {
    if let Err(e) = Toolchain::find() {
        println!("skipped: {e}");
        return;
    }
    let names = std::env::var("CASE").unwrap_or_default();
    // One case in eight, or those that are named: a library of all takes minutes.
    let step = if names.is_empty() { 8 } else { 1 };
    let list = cases::all().into_iter().filter(|c| c.name.contains(&names)).step_by(step);
    let list: Vec<Case> = list.collect();
    let (_, _, wrong) = check::<N>(&list, tolerance);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), list.len(), wrong.join("\n"));
}

#[test]
fn every_op_in_f128_equals_its_plain_evaluation() {
    suite::<F128>(1e-31);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn every_op_in_f80_equals_its_plain_evaluation() {
    suite::<furnace::precision::F80>(1e-16);
}
