//! What the compiled kernels do beside the engine's and beside plain Rust loops, alternated in one run on one thread.
//!
//! `cargo bench -p alex --bench native [-- products|few|layouts|floats|blocks|dense|gradients] [--rounds N]`
//!
//! Prints best and median of each, and ratios of both. Needs MLIR's and LLVM's tools.

#[path = "../../tests/native/reference.rs"]
mod reference;
#[path = "../../tests/native/support.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod support;

mod blocks;
mod dense;
mod gradients;
mod loops;
mod products;

use std::time::Instant;

/// Candidates that are timed in turn.
pub(crate) struct Race<'a> {
    title: String,
    /// Work of one run, and its unit: 1e9 of them a second are shown.
    work: f64,
    unit: &'static str,
    runs: Vec<(String, Box<dyn FnMut() + 'a>)>,
}

impl<'a> Race<'a> {
    pub(crate) fn new(title: String, work: f64, unit: &'static str) -> Race<'a> {
        Race { title, work, unit, runs: vec![] }
    }

    pub(crate) fn add(&mut self, name: &str, run: impl FnMut() + 'a) {
        self.runs.push((name.into(), Box::new(run)));
    }

    /// Times all of them; the first is what the others are compared with.
    pub(crate) fn run(mut self, rounds: usize) {
        let mut times = vec![vec![]; self.runs.len()];
        for round in 0..rounds + 2 {
            for ((_, run), times) in self.runs.iter_mut().zip(&mut times) {
                let start = Instant::now();
                run();
                let time = start.elapsed().as_secs_f64();
                // The first two rounds fetch memory and code.
                if round >= 2 {
                    times.push(time);
                }
            }
        }
        println!("{}", self.title);
        let mut first = None;
        for ((name, _), times) in self.runs.iter().zip(&mut times) {
            times.sort_by(f64::total_cmp);
            let (best, median) = (times[0], times[times.len() / 2]);
            let (base, middle) = *first.get_or_insert((best, median));
            println!(
                "  {name:<34} best {:>9.1} us  median {:>9.1} us  {:>7.1} {}  first / this: {:>6.3} best, {:>6.3} median",
                best * 1e6,
                median * 1e6,
                self.work / best / 1e9,
                self.unit,
                base / best,
                middle / median
            );
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let rounds =
        arguments.iter().position(|a| a == "--rounds").and_then(|i| arguments.get(i + 1)?.parse().ok());
    let wanted = |name: &str| {
        let names: Vec<&String> = arguments.iter().filter(|a| a.chars().all(char::is_alphabetic)).collect();
        names.is_empty() || names.iter().any(|n| *n == name)
    };
    println!("{:?}, one thread", alex::cpu::Isa::host());
    if wanted("products") {
        products::one_token(rounds.unwrap_or(101));
    }
    if wanted("few") {
        products::many_tokens(rounds.unwrap_or(21));
    }
    if wanted("layouts") {
        products::layouts(rounds.unwrap_or(51));
    }
    if wanted("floats") {
        products::floats(rounds.unwrap_or(11));
    }
    if wanted("blocks") {
        blocks::blocks(rounds.unwrap_or(11));
    }
    if wanted("gradients") {
        gradients::gradients(rounds.unwrap_or(11));
    }
    if wanted("dense") {
        dense::dense(rounds.unwrap_or(21));
    }
}
