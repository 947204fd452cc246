//! What precision costs: value, gradient and Hessian of an activation with a branch, and of one step of an MLGRU layer,
//! in every arithmetic: time of an evaluation by the reference interpreter, and error against 80 digits.
//!
//! `cargo run --release -p fidelity --example precision_cost` prints two tables; times are medians.

use furnace::precision::{Digits, Evaluation, Given, Precision, Real, Task, evaluate, trace};
use furnace::{grad, jvp};
use graph::{Array, EvalCx, Graph, Literals, Scalar, Var, interp};
use std::time::{Duration, Instant};

/// Width of the layer.
const D: usize = 4;
/// At least this long is measured, and at least this many times.
const LEAST: (Duration, usize) = (Duration::from_millis(150), 5);

/// Decimals of three places between −1 and 1, the same in every run.
fn numbers(n: usize, seed: u64) -> Vec<f64> {
    (0..n as u64).map(|i| ((i + 1).wrapping_mul(seed) % 1999) as f64 / 1000.0 - 0.999).map(round).collect()
}

fn round(x: f64) -> f64 {
    (x * 1000.0).round() / 1000.0
}

/// 0.1 (e^x − 1) below 0, x / (1 + x) from there on.
fn activation(x: &Var) -> Var {
    if x.val() < 0.0 { (x.exp() - 1.0) * 0.1 } else { x / &(x + 1.0) }
}

/// One step of an MLGRU layer (Zhu et al. 2024): gates, state, gated and normalised output; the sum of its squares with
/// weights, so that there is one number to differentiate.
fn mlgru(x: &Var) -> Var {
    let cx = x.cx().clone();
    let matrix = |seed| cx.array(axes::DType::F64, &[D, D], &numbers(D * D, seed));
    let row = |seed| cx.array(axes::DType::F64, &[D], &numbers(D, seed));
    let linear = |w: &Var, x: &Var| w.dot_general(x, (&[1], &[0]), (&[], &[]));
    let f = linear(&matrix(607), x).sigmoid();
    let c = linear(&matrix(911), x).silu();
    let h = &f * &row(1013) + &((1.0 - &f) * &c);
    let g = linear(&matrix(1237), x).sigmoid();
    let o = &h * &g;
    let mean = o.square().sum_all() * (1.0 / D as f64) + 1e-6;
    let y = linear(&matrix(1399), &(&o / &mean.sqrt().broadcast_like(&o)));
    (y.square() * row(1511)).sum_all()
}

/// The rows of the Hessian, forward over reverse.
fn hessian(f: fn(&Var) -> Var, x: &Var) -> Vec<Var> {
    let one = |i: usize| -> Vec<f64> { (0..D).map(|k| f64::from(u8::from(k == i))).collect() };
    let rows = (0..D).map(|i| {
        let e = x.cx().array(axes::DType::F64, &[D], &one(i));
        jvp(|v| vec![grad(f)(&v[0])], &[x], &[&e]).1.remove(0)
    });
    rows.collect()
}

struct Timed<'a> {
    graph: &'a Graph,
    texts: &'a [(Vec<usize>, Vec<String>)],
}

impl Task for Timed<'_> {
    type Out = (Duration, Vec<String>);
    fn run<S: Real>(self) -> furnace::Result<Self::Out> {
        let read = |t: &String| S::from_decimal(t).unwrap_or_else(|| S::from_f64(f64::NAN));
        let inputs: Vec<Array<S>> = self
            .texts
            .iter()
            .map(|(shape, t)| Array::float(axes::DType::F64, shape.clone(), t.iter().map(read).collect()))
            .collect();
        let cx = EvalCx { literals: Literals::Decimal, ..EvalCx::default() };
        let (mut times, begun) = (vec![], Instant::now());
        loop {
            let started = Instant::now();
            let made = interp::run_in(self.graph, inputs.clone(), cx.clone())?;
            times.push(started.elapsed());
            if times.len() >= LEAST.1 && begun.elapsed() >= LEAST.0 {
                times.sort_unstable();
                let all = made.outputs.iter().flat_map(|(_, a)| a.floats());
                return Ok((times[times.len() / 2], all.map(S::to_decimal).collect()));
            }
        }
    }
}

/// The largest error, relative to the largest number.
fn error(found: &[String], truth: &[String]) -> f64 {
    Digits::with(80, || {
        let read = |t: &String| Digits::from_decimal(t).unwrap_or_else(|| Digits::from_f64(f64::NAN));
        let size = truth.iter().map(|t| read(t).abs().to_f64()).fold(0.0, f64::max);
        let off = found.iter().zip(truth).map(|(a, b)| (read(a) - read(b)).abs().to_f64());
        off.fold(0.0, f64::max) / size
    })
}

fn table(name: &str, kinds: [(&str, Graph); 3], given: &[Given]) -> furnace::Result<()> {
    let texts: Vec<(Vec<usize>, Vec<String>)> = given
        .iter()
        .map(|g| match g {
            Given::Decimals(shape, t) => (shape.clone(), t.clone()),
            Given::Array(a) => (a.shape.clone(), a.floats().iter().map(|x| format!("{x:e}")).collect()),
        })
        .collect();
    println!("\n{name}: time of an evaluation, error relative to the largest number\n");
    let nodes: Vec<String> = kinds.iter().map(|(n, g)| format!("{n} ({} nodes)", g.nodes.len())).collect();
    println!("| precision | {} |", nodes.join(" | "));
    println!("|---|---|---|---|");
    let truths: Vec<Vec<String>> = kinds
        .iter()
        .map(|(_, g)| Ok(Precision::Digits(80).run(Timed { graph: g, texts: &texts })?.1))
        .collect::<furnace::Result<_>>()?;
    let all = [
        "f32",
        "f64",
        "f80",
        "dd",
        "f128",
        "digits:40",
        "digits:60",
        "interval",
        "interval:40",
        "adaptive:1e-20",
    ];
    for text in all {
        let Ok(precision) = text.parse::<Precision>() else { continue };
        let mut cells = vec![];
        for ((_, g), truth) in kinds.iter().zip(&truths) {
            let (time, found) = match precision {
                Precision::Adaptive { .. } => {
                    let how = Evaluation::from(precision);
                    let started = Instant::now();
                    let made = evaluate(g, given, &how)?;
                    (started.elapsed(), made.into_iter().flat_map(|a| a.decimals).collect())
                }
                precision => precision.run(Timed { graph: g, texts: &texts })?,
            };
            let us = time.as_secs_f64() * 1e6;
            let us = if us < 100.0 { format!("{us:.1} µs") } else { format!("{us:.0} µs") };
            cells.push(format!("{us}, {:.0e}", error(&found, truth)));
        }
        println!("| `{text}` | {} |", cells.join(" | "));
    }
    Ok(())
}

fn main() -> furnace::Result<()> {
    let given = [Given::number("-0.7"), Given::number("0.3")];
    let each = |f: fn(&Var) -> Var| trace(move |x| x.iter().map(f).collect(), &given);
    let kinds = [
        ("value", each(activation)?),
        ("first derivative", each(|x| grad(activation)(x))?),
        ("second derivative", each(|x| grad(grad(activation))(x))?),
    ];
    table("The activation of a branch at −0.7 and 0.3", kinds, &given)?;
    let given = [Given::row(&["0.1", "-0.4", "0.7", "0.25"])];
    let kinds = [
        ("value", trace(|x| vec![mlgru(&x[0])], &given)?),
        ("gradient", trace(|x| vec![grad(mlgru)(&x[0])], &given)?),
        ("Hessian", trace(|x| hessian(mlgru, &x[0]), &given)?),
    ];
    table("One step of an MLGRU layer of width 4", kinds, &given)
}
