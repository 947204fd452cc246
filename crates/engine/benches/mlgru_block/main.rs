//! One training step of an MLGRU block, planned and by hand: what the way through graph, furnace, premap and engine
//! costs.
//!
//! The block is the released MatMul-free LM's: norm, i/f/g projections, recurrence, gated output projection, norm, gated
//! linear unit; every projection is a norm, fake-quantised activations and fake-quantised weights. `by_hand` calls the
//! kernels of `engine::kernels` as one would write them for this block alone; `planned` takes the derivative of the graph
//! and runs its plan. Both give the output and all gradients, which must agree; the two are timed in turn.
//!
//! `cargo bench -p engine --bench mlgru_block [-- --profile] [--threads N] [--rounds N]`
//!
//! The bar for plan / hand is 1.15.

mod by_hand;
mod planned;

use engine::pool::Pool;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sequences.
pub(crate) const B: usize = 8;
/// Tokens of each.
pub(crate) const T: usize = 64;
/// Width.
pub(crate) const D: usize = 128;
/// Width inside the gated linear unit.
pub(crate) const N: usize = 352;
/// Tokens.
pub(crate) const ROWS: usize = B * T;
/// eps of the block's norms.
pub(crate) const EPS: f32 = 1e-6;
/// eps of the projections' norms.
pub(crate) const INNER_EPS: f32 = 1e-8;

/// Names and shapes of what the block learns.
pub(crate) const PARAMETERS: [(&str, &[usize]); 15] = [
    ("attn_norm", &[D]),
    ("i.norm", &[D]),
    ("i.weight", &[D, D]),
    ("f.norm", &[D]),
    ("f.weight", &[D, D]),
    ("g.norm", &[D]),
    ("g.weight", &[D, D]),
    ("g_norm", &[D]),
    ("o.norm", &[D]),
    ("o.weight", &[D, D]),
    ("mlp_norm", &[D]),
    ("gate.norm", &[D]),
    ("gate.weight", &[2 * N, D]),
    ("down.norm", &[N]),
    ("down.weight", &[D, N]),
];

/// Seeded uniform numbers.
fn numbers(len: usize, seed: u32, low: f32, high: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        low + (high - low) * ((state >> 8) as f32 / (1u32 << 24) as f32)
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// What a step is given.
pub(crate) struct Given {
    /// The block's input, (B, T, D).
    pub(crate) x: Vec<f32>,
    /// The cotangent of its output, (B, T, D).
    pub(crate) dy: Vec<f32>,
    /// The parameters in the order of [`PARAMETERS`].
    pub(crate) parameters: Vec<Vec<f32>>,
}

impl Given {
    fn new() -> Given {
        let parameters = PARAMETERS.iter().enumerate().map(|(k, (name, shape))| {
            let len = shape.iter().product();
            match name.ends_with("norm") {
                true => numbers(len, 100 + k as u32, 0.7, 1.3),
                false => numbers(len, 100 + k as u32, -0.15, 0.15),
            }
        });
        Given {
            x: numbers(ROWS * D, 1, -1.0, 1.0),
            dy: numbers(ROWS * D, 2, -0.01, 0.01),
            parameters: parameters.collect(),
        }
    }
}

fn agree(what: &str, a: &[f32], b: &[f32]) {
    let size = a.iter().fold(1e-30f32, |m, x| m.max(x.abs()));
    let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(a.len() == b.len() && worst <= 2e-4 * size, "{what}: {worst:e} of {size:e}");
}

/// Time that this thread has run, where the system tells: other programs on the machine count less in it.
fn on_cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn quantile(times: &[Duration], q: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[((sorted.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e3
}

fn report(hand: &[Duration], plan: &[Duration]) {
    println!("wall time, ms: least, quartiles, median");
    for (name, t) in [("by hand", hand), ("plan", plan)] {
        let at = |q: f64| quantile(t, q);
        println!("{name:<8} {:7.3}   {:7.3} .. {:7.3}   {:7.3}", at(0.0), at(0.25), at(0.75), at(0.5));
    }
    let mut ratios: Vec<f64> =
        plan.iter().zip(hand).map(|(p, h)| p.as_secs_f64() / h.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    let at = |q: f64| ratios[((ratios.len() - 1) as f64 * q) as usize];
    println!(
        "plan / hand: {:.3} of the medians, {:.3} of the least; pairwise {:.3}, quartiles {:.3} .. {:.3}",
        quantile(plan, 0.5) / quantile(hand, 0.5),
        quantile(plan, 0.0) / quantile(hand, 0.0),
        at(0.5),
        at(0.25),
        at(0.75)
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|i| arguments.get(i + 1)).and_then(|n| n.parse().ok()).unwrap_or(default)
    };
    let pool: Arc<Pool> = Pool::new(number("--threads", 1)).into();
    let rounds = number("--rounds", 101);
    let given = Given::new();
    let mut hand = by_hand::Block::new();
    let mut plan = planned::Block::new(&given, pool.clone());
    hand.step(&given, &pool);
    plan.step();
    agree("y", &hand.y, plan.result(0));
    agree("dx", &hand.dx, plan.result(1));
    for (k, (name, _)) in PARAMETERS.iter().enumerate() {
        agree(name, &hand.gradients[k], plan.result(2 + k));
    }
    let (mut by_hand, mut by_plan) = (vec![], vec![]);
    // The scheduler's clock ticks in milliseconds, so only its totals tell something.
    let mut on = [Duration::ZERO; 2];
    for _ in 0..rounds {
        let marks = [on_cpu(), {
            let start = Instant::now();
            hand.step(&given, &pool);
            by_hand.push(start.elapsed());
            on_cpu()
        }];
        let start = Instant::now();
        plan.step();
        by_plan.push(start.elapsed());
        if let ([Some(a), Some(b)], Some(c)) = (marks, on_cpu()) {
            on[0] += b.saturating_sub(a);
            on[1] += c.saturating_sub(b);
        }
    }
    report(&by_hand, &by_plan);
    if pool.threads() == 1 && !on[0].is_zero() {
        println!(
            "plan / hand by total time on the processor: {:.3}",
            on[1].as_secs_f64() / on[0].as_secs_f64()
        );
    }
    if arguments.iter().any(|a| a == "--profile") {
        plan.profile(rounds);
    }
}
