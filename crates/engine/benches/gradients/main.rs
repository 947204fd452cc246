//! What a gradient costs: against the program alone, and against PyTorch's autograd and JAX's compiled gradient.
//!
//! Every program is planned twice, for its value and for value and gradient, on one thread in f32. With `--peers PYTHON`
//! (an interpreter that has `torch`, `jax` or both) the peers compute the same gradient of the same numbers, in turn with
//! ours in every round; loss and norms must agree first. Peers run in processes of their own on one processor.
//!
//! `memory` shows what a long sequence takes when it is computed again in chunks.
//!
//! `cargo bench -p engine --bench gradients [-- [PROGRAM…] [memory] [--rounds N] [--peers PYTHON]… [--profile]]`
//!
//! The bars: gradient at most 3 times the value, and faster than both.

mod memory;
mod programs;

use engine::pool::Pool;
use engine::{Executable, Tensor};
use graph::{Cx, Var};
use premap::Options;
use programs::Program;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

fn numbers(len: usize, seed: u32, low: f32, high: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        low + (high - low) * ((state >> 8) as f32 / (1u32 << 24) as f32)
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// A plan with its memory.
struct Planned {
    exe: Executable,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

impl Planned {
    fn new(p: &Program, values: &[Vec<f32>], gradient: bool, pool: &Arc<Pool>) -> Planned {
        let cx = Cx::abstract_();
        let vars: Vec<Var> = p.inputs.iter().map(|g| cx.input(g.name, programs::ty(g))).collect();
        let wanted: Vec<&Var> =
            vars.iter().zip(&p.inputs).filter(|(_, g)| g.wanted).map(|(v, _)| v).collect();
        let whole = |some: &[Var]| -> Var {
            let mut some = some.iter();
            let all: Vec<Var> = vars
                .iter()
                .zip(&p.inputs)
                .map(
                    |(v, g)| {
                        if g.wanted { some.next().cloned().unwrap_or_else(|| v.clone()) } else { v.clone() }
                    },
                )
                .collect();
            (p.loss)(&all)
        };
        let (y, gradients) = match gradient {
            true => furnace::grads(whole, &wanted),
            false => (whole(&wanted.iter().map(|v| (*v).clone()).collect::<Vec<_>>()), vec![]),
        };
        let names: Vec<String> = (0..gradients.len()).map(|k| format!("grad.{k}")).collect();
        let mut outputs = vec![("loss", &y)];
        outputs.extend(names.iter().map(String::as_str).zip(&gradients));
        let graph = cx.finish(&outputs).expect("a graph");
        let exe = Executable::new(&graph, &Options::default(), pool.clone()).expect("a plan");
        let inputs =
            p.inputs.iter().zip(values).map(|(g, v)| Tensor::from_f32(g.shape.as_slice(), v)).collect();
        let outputs = graph.outputs.iter().map(|o| Tensor::of(graph.ty(o.value))).collect();
        Planned { exe, inputs, outputs }
    }

    fn run(&mut self) -> f64 {
        let mut io = self.exe.io();
        self.inputs.iter().enumerate().for_each(|(i, t)| {
            io.input(i, t);
        });
        self.outputs.iter_mut().enumerate().for_each(|(o, t)| {
            io.output(o, t);
        });
        let start = Instant::now();
        self.exe.run(&mut io).expect("it runs");
        start.elapsed().as_secs_f64()
    }

    /// The same numbers for another plan of the program.
    fn like(&self, exe: Executable, graph: &graph::Graph) -> Planned {
        let of = |t: &Tensor, i: usize| {
            let shape = graph.ty(graph.inputs[i].value).fixed_shape().expect("fixed sizes");
            Tensor::from_f32(shape, t.f32())
        };
        let inputs = self.inputs.iter().enumerate().map(|(i, t)| of(t, i)).collect();
        let outputs = graph.outputs.iter().map(|o| Tensor::of(graph.ty(o.value))).collect();
        Planned { exe, inputs, outputs }
    }

    /// The loss and the norm of each gradient.
    fn answer(&self) -> Vec<f64> {
        let norm = |t: &Tensor| t.f32().iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let loss = f64::from(self.outputs[0].f32()[0]);
        std::iter::once(loss).chain(self.outputs[1..].iter().map(norm)).collect()
    }

    fn profile(&mut self, rounds: usize) {
        self.exe.set_profile(true);
        (0..rounds).for_each(|_| {
            self.run();
        });
        for (what, scope, time) in self.exe.profile() {
            println!("{:9.1} us  {scope:<6} {what}", time.as_secs_f64() * 1e6 / rounds as f64);
        }
    }
}

/// A framework in a process of its own.
struct Peer {
    name: String,
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    times: Vec<f64>,
}

impl Peer {
    /// `None`, with the reason printed, where the framework is not there or its numbers are others.
    fn start(
        python: &str,
        framework: &str,
        p: &Program,
        folder: &std::path::Path,
        ours: &[f64],
    ) -> Option<Peer> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/gradients/peers.py");
        let mut command = Command::new(python);
        command.arg(script).args([framework, p.name]).arg(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child =
            command.spawn().map_err(|e| println!("{framework}: {python} does not start: {e}")).ok()?;
        let to = child.stdin.take()?;
        let mut from = BufReader::new(child.stdout.take()?);
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        let mut words = line.split_whitespace();
        if words.next() != Some("ready") {
            println!("{framework}: not found by {python}");
            return None;
        }
        let (version, form) = (words.next().unwrap_or("").to_string(), words.next().unwrap_or("None"));
        let name = if form == "None" { version } else { format!("{version} ({form})") };
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        let theirs: Vec<f64> = line.split_whitespace().filter_map(|w| w.parse().ok()).collect();
        // Quantised forwards differ by a step where a value lies on the border between two.
        let bound = if p.name.ends_with("ternary") { 2e-2 } else { 2e-4 };
        let off =
            ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs() / a.abs().max(1e-6)).fold(0.0, f64::max);
        assert!(theirs.len() == ours.len() && off <= bound, "{name}: {theirs:?} against {ours:?}");
        Some(Peer { name, child, to, from, times: vec![] })
    }

    fn run(&mut self) {
        writeln!(self.to).expect("the peer lives");
        let mut line = String::new();
        self.from.read_line(&mut line).expect("the peer answers");
        self.times.push(line.trim().parse().expect("seconds"));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn quantile(times: &[f64], q: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * q) as usize] * 1e3
}

fn row(name: &str, times: &[f64]) {
    let at = |q: f64| quantile(times, q);
    println!("  {name:<34} {:8.3}   {:8.3}   {:8.3} .. {:8.3}", at(0.0), at(0.5), at(0.25), at(0.75));
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let (mut rounds, mut peers, mut profile, mut only) = (31, vec![], false, vec![]);
    let mut rest = arguments.iter();
    while let Some(a) = rest.next() {
        match a.as_str() {
            "--rounds" => rounds = rest.next().and_then(|n| n.parse().ok()).expect("--rounds takes a number"),
            "--peers" => peers.push(rest.next().expect("--peers takes a Python interpreter").clone()),
            "--profile" => profile = true,
            name => only.push(name.to_string()),
        }
    }
    let pool: Arc<Pool> = Pool::new(1).into();
    let programs = programs::all();
    if only.iter().any(|o| o == "memory") {
        let block = programs.iter().find(|p| p.name == "mlgru").expect("the block");
        memory::report(block, 1 << 16, rounds.min(5), &pool);
    }
    for p in programs.iter().filter(|p| only.is_empty() || only.iter().any(|o| o == p.name)) {
        let values: Vec<Vec<f32>> = (1u32..)
            .zip(&p.inputs)
            .map(|(seed, g)| numbers(g.shape.iter().product(), seed, g.low, g.high))
            .collect();
        let mut value = Planned::new(p, &values, false, &pool);
        let mut gradient = Planned::new(p, &values, true, &pool);
        value.run();
        gradient.run();
        let ours = gradient.answer();
        let folder = tempfile::tempdir().expect("a folder");
        let mut list = String::new();
        for (g, v) in p.inputs.iter().zip(&values) {
            let bytes: Vec<u8> = v.iter().flat_map(|x| x.to_le_bytes()).collect();
            std::fs::write(folder.path().join(format!("{}.f32", g.name)), bytes).expect("a file");
            let sizes: Vec<String> = g.shape.iter().map(usize::to_string).collect();
            list += &format!("{} {} {}\n", g.name, u8::from(g.wanted), sizes.join(" "));
        }
        std::fs::write(folder.path().join("inputs"), list).expect("a file");
        let mut others: Vec<Peer> = peers
            .iter()
            .flat_map(|python| ["torch", "jax"].map(|f| (python, f)))
            .filter_map(|(python, framework)| Peer::start(python, framework, p, folder.path(), &ours))
            .collect();
        let (mut of_value, mut of_gradient) = (vec![], vec![]);
        for _ in 0..rounds {
            of_value.push(value.run());
            of_gradient.push(gradient.run());
            others.iter_mut().for_each(Peer::run);
        }
        println!("{}: {}", p.name, p.about);
        println!("  ms                                    least     median     quartiles");
        row("value", &of_value);
        row("value and gradient", &of_gradient);
        others.iter().for_each(|o| row(&format!("{}, both", o.name), &o.times));
        println!(
            "  gradient / value: {:.2} of the medians, {:.2} of the least",
            quantile(&of_gradient, 0.5) / quantile(&of_value, 0.5),
            quantile(&of_gradient, 0.0) / quantile(&of_value, 0.0)
        );
        for o in &others {
            println!(
                "  {} / ours: {:.2} of the medians, {:.2} of the least",
                o.name,
                quantile(&o.times, 0.5) / quantile(&of_gradient, 0.5),
                quantile(&o.times, 0.0) / quantile(&of_gradient, 0.0)
            );
        }
        if profile {
            println!("value:");
            value.profile(rounds);
            println!("value and gradient:");
            gradient.profile(rounds);
        }
    }
}
