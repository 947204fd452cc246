//! Time and memory of a token at positions 1, 10², 10⁴ and 10⁶ of one text: they do not grow.
//!
//! `cargo run --release -p fidelity --example position_cost [-- MODEL] [PLOT.svg] [POSITION …]`
//!
//! MODEL is a folder or a bundle; without one, a bundle of a million random weights (`mmfree-1m`) is made in a
//! temporary folder. Each number is the median over a window of tokens that ends at (or, for the first, begins with)
//! the position, so that one interruption by the system does not count; memory is what the process has resident then.
//! With positions of one's own, each number is the median of the 64 tokens from there on, and the text between is read in
//! chunks, as a prompt is: for models whose every token takes milliseconds.
//! Tokens come from a fixed formula: what they are does not matter for the cost, and nothing is kept of them.

use anyhow::{Context, Result};
use engine::pool::Pool;
use fidelity::convert::{Form as Target, Model, write};
use fidelity::loaded::Loaded;
use models::bundle::PackOptions;
use models::matmulfree::Form;
use models::shapes::Shape;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use train::plot::{Plot, Series};

/// Positions that are told.
const POSITIONS: [usize; 4] = [1, 100, 10_000, 1_000_000];
/// Tokens of a window.
const WINDOW: usize = 1000;

/// Tokens of a window at a position of one's own.
const SHORT_WINDOW: usize = 64;

/// Bytes that are resident, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kb| kb * 1024)
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn main() -> Result<()> {
    let (plots, others): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.ends_with(".svg"));
    let (numbers, models): (Vec<String>, Vec<String>) =
        others.into_iter().partition(|argument| argument.parse::<usize>().is_ok());
    let mut own: Vec<usize> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
    own.sort_unstable();
    // One thread: waking another costs more than a token of a small model.
    let pool = Arc::new(Pool::single());
    let folder = tempfile::tempdir()?;
    let path = match models.first() {
        Some(path) => PathBuf::from(path),
        None => {
            let path = folder.path().join("model.fid");
            let shape = Shape::find("mmfree-1m").context("there is no such shape")?;
            let form = Target::Bundle(PackOptions::default());
            write(&Model::synthetic(shape, 0), &path, form, &pool, &mut |_| {})?;
            path
        }
    };
    let mut model = Loaded::open(&path)?;
    let (count, vocab) = (model.parameter_count(), model.config.vocab_size() as u32);
    let mut stream = model.stream(1, Form::Prepared, &pool)?;
    let (mut state, last) = (1u32, POSITIONS[POSITIONS.len() - 1]);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % vocab
    };
    // The first token pays for pages that are touched for the first time; they are those of any first token.
    stream.step(&[next()])?;
    stream.reset();
    let (mut times, mut rows, mut curve) = (Vec::with_capacity(WINDOW), vec![], vec![]);
    println!("{count} parameters, {} bytes of state", stream.state_bytes());
    println!("{:>10}  {:>14}  {:>12}", "position", "time per token", "resident");
    if !own.is_empty() {
        let mut at = 0;
        for position in own {
            let between: Vec<u32> = (at + 1..position).map(|_| next()).collect();
            stream.feed(&between)?;
            at = at.max(position.saturating_sub(1)) + SHORT_WINDOW;
            let times: Result<Vec<f64>> = (0..SHORT_WINDOW)
                .map(|_| {
                    let (token, started) = ([next()], Instant::now());
                    stream.step(&token)?;
                    Ok(started.elapsed().as_secs_f64())
                })
                .collect();
            let memory = resident().unwrap_or(0) as f64 / f64::from(1 << 20);
            println!("{position:>10}  {:>11.1} us  {memory:>8.2} MiB", median(&times?) * 1e6);
        }
        return Ok(());
    }
    for position in 1..=last {
        let token = [next()];
        let started = Instant::now();
        stream.step(&token)?;
        times.push(started.elapsed().as_secs_f64());
        // The windows of the first positions are as long as there are tokens.
        let told = POSITIONS.contains(&position);
        if told || times.len() == WINDOW {
            let (time, memory) = (median(&times), resident().unwrap_or(0));
            curve.push((position as f64, time * 1e6));
            if told {
                rows.push((position as f64, memory as f64 / f64::from(1 << 20)));
                println!(
                    "{position:>10}  {:>11.1} us  {:>8.2} MiB",
                    time * 1e6,
                    memory as f64 / f64::from(1 << 20)
                );
            }
            times.clear();
        }
    }
    if let Some(path) = plots.first() {
        let mut plot = Plot::new(
            format!("Cost of a token by its position ({:.1} M parameters)", count as f64 / 1e6),
            "position",
            "microseconds per token; MiB resident",
        );
        (plot.log_x, plot.from_zero) = (true, true);
        plot.series.push(Series::line("time", curve));
        plot.series.push(Series::marked("memory", rows));
        models::atomic::write_bytes(path.as_ref(), plot.to_svg().as_bytes())?;
    }
    Ok(())
}
