//! High derivatives of a perceptron with one input, three layers and width 64: Taylor mode against nested reverse mode, and
//! against JAX's jet in the same run.
//!
//! `cargo bench -p engine --bench taylor [-- ORDER] [--seconds S] [--peer PYTHON]`. For every order up to ORDER (10) it prints
//! the nodes of the graph after all passes, the time to build and plan it, and the time of one run in f32 on one thread (the
//! median of alternated runs, and the best). Nested reverse mode stops at the first order whose graph takes longer than S (60)
//! seconds to make; what lies beyond is extrapolated from the last factor and marked so. PYTHON is an interpreter with JAX,
//! which is asked in turn.

use axes::DType;
use engine::{Executable, Tensor, pool::Pool};
use furnace::{diffn, grad};
use graph::{Array, Cx, Graph, Type, Var, interp, passes};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

const WIDTH: usize = 64;
const AT: f64 = 0.3;

/// Weights that the peer makes in the same way: a linear congruential generator, uniform in ±√3/√fan-in.
fn weights() -> [Vec<f64>; 5] {
    let mut state = 1u64;
    let mut make = |n: usize, scale: f64| -> Vec<f64> {
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((state >> 40) as f64 / (1u64 << 24) as f64 * 2.0 - 1.0) * scale
            })
            .collect()
    };
    let wide = (3.0 / WIDTH as f64).sqrt();
    [make(WIDTH, 1.7), make(WIDTH, 0.5), make(WIDTH * WIDTH, wide), make(WIDTH, 0.5), make(WIDTH, wide)]
}

/// The perceptron as a function of a number; the weights are inputs of its graph.
fn perceptron(x: &Var, w: &[Var]) -> Var {
    let h = (&w[0] * &x.broadcast(&w[0].shape(), &[]) + &w[1]).tanh();
    let h = (w[2].matmul(&h) + &w[3]).tanh();
    w[4].dot_general(&h, (&[0], &[0]), (&[], &[]))
}

fn derivative(dtype: DType, operator: impl Fn(&dyn Fn(&Var) -> Var, &Var) -> Var) -> Graph {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::scalar(dtype));
    let shapes: [&[usize]; 5] = [&[WIDTH], &[WIDTH], &[WIDTH, WIDTH], &[WIDTH], &[WIDTH]];
    let w: Vec<Var> = shapes
        .iter()
        .enumerate()
        .map(|(i, s)| cx.input(&format!("w{i}"), Type::new(dtype, s.iter().copied())))
        .collect();
    let y = operator(&|x| perceptron(x, &w), &x);
    cx.finish(&[("y", &y)]).unwrap_or_else(|e| panic!("{e}"))
}

fn taylor(n: usize) -> impl Fn(&dyn Fn(&Var) -> Var, &Var) -> Var {
    move |f, x| diffn(n, f)(x)
}

fn nested(n: usize) -> impl Fn(&dyn Fn(&Var) -> Var, &Var) -> Var {
    fn level(n: usize, f: &dyn Fn(&Var) -> Var, x: &Var) -> Var {
        match n {
            0 => f(x),
            _ => grad(|x| level(n - 1, f, x))(x),
        }
    }
    move |f, x| level(n, f, x)
}

/// A graph, planned.
struct Made {
    nodes: usize,
    seconds: f64,
    run: Executable,
    inputs: Vec<Tensor>,
    result: Tensor,
}

impl Made {
    fn new(operator: impl Fn(&dyn Fn(&Var) -> Var, &Var) -> Var) -> Made {
        let start = Instant::now();
        let g = passes::lower_for_execution(&derivative(DType::F32, operator));
        let run =
            Executable::new(&g, &Default::default(), Pool::single().into()).unwrap_or_else(|e| panic!("{e}"));
        let seconds = start.elapsed().as_secs_f64();
        let shapes: [&[usize]; 6] = [&[], &[WIDTH], &[WIDTH], &[WIDTH, WIDTH], &[WIDTH], &[WIDTH]];
        let all = std::iter::once(vec![AT]).chain(weights());
        let inputs = all
            .zip(shapes)
            .map(|(v, s)| Tensor::from_f32(s.to_vec(), &v.iter().map(|x| *x as f32).collect::<Vec<_>>()))
            .collect();
        Made { nodes: g.size(), seconds, run, inputs, result: Tensor::zeros(DType::F32, Vec::new()) }
    }

    /// Seconds of one run, over `rounds` of them.
    fn time(&mut self, rounds: usize) -> f64 {
        let start = Instant::now();
        for _ in 0..rounds {
            let mut io = self.run.io();
            self.inputs.iter().enumerate().for_each(|(i, t)| {
                io.input(i, t);
            });
            io.output(0, &mut self.result);
            self.run.run(&mut io).unwrap_or_else(|e| panic!("{e}"));
        }
        start.elapsed().as_secs_f64() / rounds as f64
    }
}

/// The value in f64 by the plain loops.
fn reference(n: usize) -> f64 {
    let g = derivative(DType::F64, taylor(n));
    let shapes: [&[usize]; 6] = [&[], &[WIDTH], &[WIDTH], &[WIDTH, WIDTH], &[WIDTH], &[WIDTH]];
    let all = std::iter::once(vec![AT]).chain(weights());
    let inputs = all.zip(shapes).map(|(v, s)| Array::from_f64(DType::F64, s.to_vec(), &v)).collect();
    interp::run::<f64>(&g, inputs, false).unwrap_or_else(|e| panic!("{e}")).outputs[0].1.to_f64()[0]
}

/// JAX in a process of its own: a line asks for a measurement, a line answers.
struct Peer {
    ask: std::process::ChildStdin,
    answer: BufReader<std::process::ChildStdout>,
}

impl Peer {
    fn new(python: &str) -> Option<Peer> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/jet.py");
        let child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|e| println!("no peer: {python}: {e}")).ok()?;
        let (ask, answer) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        let mut peer = Peer { ask, answer };
        println!("peer: {}", peer.line()?);
        Some(peer)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.answer.read_line(&mut line).ok().filter(|n| *n > 0)?;
        Some(line.trim().to_string())
    }

    /// (seconds of a call, seconds of a round of a compiled loop, value) at an order.
    fn measure(&mut self, order: usize) -> Option<[f64; 3]> {
        writeln!(self.ask, "{order}").ok()?;
        let line = self.line()?;
        let numbers: Vec<f64> = line.split_whitespace().filter_map(|w| w.parse().ok()).collect();
        numbers.try_into().ok()
    }
}

fn median(list: &mut [f64]) -> (f64, f64) {
    list.sort_by(f64::total_cmp);
    (list[list.len() / 2], list[0])
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|w| w != "--bench").collect();
    let after = |name: &str| words.iter().position(|w| w == name).and_then(|i| words.get(i + 1));
    let last: usize = words.first().and_then(|w| w.parse().ok()).unwrap_or(10);
    let limit: f64 = after("--seconds").and_then(|w| w.parse().ok()).unwrap_or(60.0);
    let mut peer = after("--peer").and_then(|python| Peer::new(python));
    println!(
        "order   taylor: nodes, make s, run us (best)      nested reverse: nodes, make s, run us (best)    ratio   JAX's jet: call us, in a loop us"
    );
    let mut reverse: Vec<f64> = vec![];
    let mut over = false;
    for order in 1..=last {
        let mut ours = Made::new(taylor(order));
        let mut theirs = (!over).then(|| Made::new(nested(order)));
        let rounds = (2e-3 / ours.time(3)).clamp(1.0, 500.0) as usize;
        let slow = theirs.as_mut().map_or(1, |t| (2e-3 / t.time(1)).clamp(1.0, 500.0) as usize);
        let (mut a, mut b, mut calls, mut loops) = (vec![], vec![], vec![], vec![]);
        let mut value = f64::NAN;
        for _ in 0..15 {
            a.push(ours.time(rounds));
            if let Some(t) = &mut theirs {
                b.push(t.time(slow));
            }
            if let Some([call, inside, y]) = peer.as_mut().and_then(|p| p.measure(order)) {
                calls.push(call);
                loops.push(inside);
                value = y;
            }
        }
        let expected = reference(order);
        let wrong = |y: f64| ((y - expected) / expected).abs();
        let (t, best) = median(&mut a);
        print!("{order:>5}   {:>6} {:>8.3} {:>9.2} ({:.2})", ours.nodes, ours.seconds, t * 1e6, best * 1e6);
        match &theirs {
            Some(made) => {
                let (r, best) = median(&mut b);
                reverse.push(r);
                print!("   {:>8} {:>8.3} {:>10.2} ({:.2})", made.nodes, made.seconds, r * 1e6, best * 1e6);
                print!("   {:>7.1}", r / t);
                assert!(
                    wrong(f64::from(made.result.f32()[0])) < 1e-2,
                    "nested reverse mode gives another number"
                );
                over = made.seconds > limit;
            }
            None => {
                let factor = reverse[reverse.len() - 1] / reverse[reverse.len() - 2];
                let r = reverse[reverse.len() - 1] * factor;
                reverse.push(r);
                print!("   extrapolated {:>10.2}   {:>7.1}", r * 1e6, r / t);
            }
        }
        if !calls.is_empty() {
            let ((c, _), (l, best)) = (median(&mut calls), median(&mut loops));
            print!("   {:>8.2} {:>8.2} ({:.2}), off by {:.0e}", c * 1e6, l * 1e6, best * 1e6, wrong(value));
        }
        println!("   error {:.0e}", wrong(f64::from(ours.result.f32()[0])));
    }
}
