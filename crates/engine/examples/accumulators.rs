//! What an accumulator costs: ns per term of sums and of products of f32, by the engine's kernels on one thread, and the
//! relative error against the exact sum.
//!
//! `cargo run --release -p engine --example accumulators`: medians of 41 rounds in turn.

use engine::kernels::sums::sum_rows;
use engine::pool::Pool;
use graph::Accumulator;
use graph::accumulate::{ExactF32, dot_f32};
use std::time::Instant;

const TERMS: usize = 65536;
const ROUNDS: usize = 41;

fn main() {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let x: Vec<f32> = (0..TERMS).map(|_| next()).collect();
    let y: Vec<f32> = (0..TERMS).map(|_| next()).collect();
    let (mut s, mut d) = (ExactF32::new(), ExactF32::new());
    x.iter().zip(&y).for_each(|(x, y)| {
        s.add(f64::from(*x));
        d.add(f64::from(*x) * f64::from(*y));
    });
    let truth = [s.to_f64(), d.to_f64()];
    let pool = Pool::new(1);
    let mut times = vec![[vec![], vec![]]; Accumulator::ALL.len()];
    let mut found = vec![[0.0f32; 2]; Accumulator::ALL.len()];
    for _ in 0..ROUNDS {
        for (k, how) in Accumulator::ALL.into_iter().enumerate() {
            let mut out = [0.0];
            let started = Instant::now();
            sum_rows(&pool, how, std::hint::black_box(&x), TERMS, &mut out);
            times[k][0].push(started.elapsed().as_secs_f64() * 1e9 / TERMS as f64);
            let started = Instant::now();
            let product = dot_f32(how, std::hint::black_box(&x), std::hint::black_box(&y));
            times[k][1].push(started.elapsed().as_secs_f64() * 1e9 / TERMS as f64);
            found[k] = [out[0], product];
        }
    }
    println!("| accumulator | sum, ns/term (relative error) | products, ns/term (relative error) |");
    println!("|---|---|---|");
    for (k, how) in Accumulator::ALL.into_iter().enumerate() {
        let cell = |i: usize| {
            let mut t = times[k][i].clone();
            t.sort_by(f64::total_cmp);
            let off = (f64::from(found[k][i]) - truth[i]) / truth[i];
            format!("{:.2} ({off:.1e})", t[ROUNDS / 2])
        };
        println!("| {how} | {} | {} |", cell(0), cell(1));
    }
}
