//! Microseconds to choose a token from the logits of a large vocabulary. Prints the best and the median of many
//! runs; asserts nothing.
//!
//! `cargo bench -p models --bench sampling [-- VOCABULARY]`

use models::generation::{History, Sampler, Sampling};
use models::rng::Rng;
use std::hint::black_box;
use std::time::Instant;

fn main() {
    let size = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(128_256);
    let mut rng = Rng::new(1);
    // As of a trained model: probabilities fall with a power of the rank. And as of an untrained one: nearly flat.
    let rank = |id: usize| (id * 40_503 % size + 1) as f64;
    let trained: Vec<f32> = (0..size).map(|id| (0.3 * rng.normal() - 1.6 * rank(id).ln()) as f32).collect();
    let flat: Vec<f32> = (0..size).map(|_| (0.5 * rng.normal()) as f32).collect();
    let plain = Sampling::default();
    println!("{size} logits, microseconds: best (median)");
    println!("{:<44} {:>16} {:>16}", "", "peaked", "nearly flat");
    for (name, options) in [
        ("greedy", Sampling::greedy()),
        ("temperature 1", plain.clone()),
        ("top-k 50", Sampling { top_k: 50, ..plain.clone() }),
        ("top-k 1000", Sampling { top_k: 1000, ..plain.clone() }),
        ("top-p 0.9", Sampling { top_p: 0.9, ..plain.clone() }),
        ("top-k 50, top-p 0.9, min-p 0.05", Sampling { top_k: 50, top_p: 0.9, min_p: 0.05, ..plain.clone() }),
        ("min-p 0.05", Sampling { min_p: 0.05, ..plain.clone() }),
        ("typical-p 0.9, top-k 1000", Sampling { typical_p: 0.9, top_k: 1000, ..plain.clone() }),
        (
            "penalties of 1000 tokens, top-k 50",
            Sampling { repetition_penalty: 1.1, frequency_penalty: 0.1, top_k: 50, ..plain.clone() },
        ),
    ] {
        let history = History::from_prompt(&(0..1000).map(|i| i * 31 % size as u32).collect::<Vec<_>>());
        let time = |logits: &[f32]| {
            let mut sampler = Sampler::new(options.clone()).expect("sound options");
            let mut times = vec![];
            let start = Instant::now();
            while start.elapsed().as_millis() < 150 || times.len() < 5 {
                let once = Instant::now();
                black_box(sampler.sample(black_box(logits), &history).expect("finite logits"));
                times.push(1e6 * once.elapsed().as_secs_f64());
            }
            times.sort_by(f64::total_cmp);
            format!("{:.0} ({:.0})", times[0], times[times.len() / 2])
        };
        println!("{name:<44} {:>16} {:>16}", time(&trained), time(&flat));
    }
}
