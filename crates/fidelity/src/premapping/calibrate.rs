//! What this machine does in how long, measured by running small plans through the engine.
//!
//! Bandwidths come from reads and writes of memory of each level's size. A kernel has two unknowns, the time of a unit and
//! of a step; its two plans ([`super::kernels`]) give two times, and the numbers are those with which the cost model
//! predicts both. How much arithmetic and traffic overlap, and what a further thread gains, is chosen the same way. All
//! times are medians of rounds in which every plan takes its turn, so that a slow phase of the machine hits all of them.

use super::kernels::{self, Size, Small};
use super::rig::{Rig, median};
use crate::doctor::processor;
use anyhow::Result;
use axes::{DType, TritLayout};
use engine::kernels::simd;
use engine::measure;
use engine::pages::Pages;
use engine::pool::Pool;
use graph::{Cx, Type};
use premap::cost::predict;
use premap::machine::{Level, Rate, Source};
use premap::{Kernel, Machine, Options};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rounds in which every plan takes a turn.
const ROUNDS: usize = 7;
/// Seconds of a turn at least.
const TURN: f64 = 0.4e-3;
/// Exponents of the overlap that are tried.
const OVERLAPS: [f64; 6] = [1.0, 1.25, 1.5, 2.0, 3.0, 6.0];

/// A cache as the system tells: level, bytes, whether all processors share it.
fn caches() -> Vec<(u32, u64, bool)> {
    let read = |index: u32, what: &str| {
        let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{what}");
        std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
    };
    let mut found = vec![];
    for index in 0..8 {
        let Some(kind) = read(index, "type") else { break };
        let size = read(index, "size").and_then(|text| {
            let (number, unit) = text.split_at(text.len().checked_sub(1)?);
            Some(number.parse::<u64>().ok()? << if unit == "M" { 20 } else { 10 })
        });
        let level = read(index, "level").and_then(|text| text.parse().ok());
        let shared = read(index, "shared_cpu_list").is_some_and(|list| list.contains([',', '-']));
        if let (true, Some(level), Some(size)) = (kind != "Instruction", level, size) {
            found.push((level, size, shared));
        }
    }
    if found.is_empty() {
        found = vec![(1, 32 << 10, false), (2, 512 << 10, false), (3, 16 << 20, true)];
    }
    found
}

/// GB/s of reading and of writing the same `bytes` again and again, by each thread of a pool its own part of them.
fn bandwidth(pool: &Pool, memory: &mut Pages, bytes: usize) -> [f64; 2] {
    let level = simd::level();
    let threads = pool.threads();
    let part = (bytes / threads).max(4 << 10).min(memory.len() / threads) / 512 * 512;
    let rounds = ((4 << 20) / part).clamp(1, 1024);
    let mut best = [0.0f64; 2];
    for (write, best) in best.iter_mut().enumerate() {
        let mut rates = vec![];
        let start = Instant::now();
        let mut parts: Vec<&mut [u8]> = memory.chunks_mut(part).take(threads).collect();
        while rates.len() < 5 || start.elapsed() < Duration::from_millis(40) {
            let once = Instant::now();
            pool.chunks(&mut parts, 1, |_, mine| {
                for round in 0..rounds {
                    if write == 1 {
                        black_box(&mut *mine[0]).fill(round as u8);
                    } else {
                        black_box(measure::read(level, black_box(&*mine[0])));
                    }
                }
            });
            rates.push((part * rounds * threads) as f64 / once.elapsed().as_secs_f64() / 1e9);
        }
        *best = median(&mut rates);
    }
    best
}

fn levels(single: &Pool, all: &Pool) -> Vec<Level> {
    let mut memory = Pages::new(measure::cold_bytes(), false);
    memory.fill(1);
    let cold = memory.len();
    let mut made = vec![];
    let list: Vec<(String, Option<(u64, bool)>)> = caches()
        .into_iter()
        .map(|(level, bytes, shared)| (format!("L{level}"), Some((bytes, shared))))
        .chain([("memory".to_owned(), None)])
        .collect();
    let mut before = 0;
    for (name, cache) in list {
        // Half of a cache, and clearly more than the one before it.
        let one = cache.map_or(cold, |(bytes, _)| (bytes as usize / 2).max(2 * before).min(8 << 20));
        before = cache.map_or(0, |(bytes, _)| bytes as usize);
        let own = cache.is_some_and(|(_, shared)| !shared);
        let several = if own { one * all.threads() } else { one };
        let [read, write] = bandwidth(single, &mut memory, one);
        let [read_all, write_all] = bandwidth(all, &mut memory, several);
        made.push(Level {
            name,
            bytes: cache.map(|c| c.0),
            shared: cache.is_none_or(|c| c.1),
            read: [read, read_all.max(read)],
            write: [write, write_all.max(write)],
        });
    }
    made
}

/// A plan and its measured times, seconds.
struct Timed {
    rig: Rig,
    times: Vec<f64>,
}

impl Timed {
    fn new(small: &Small, pool: &Arc<Pool>) -> Result<Timed> {
        Ok(Timed { rig: Rig::new(&small.graph, &small.options, pool)?, times: vec![] })
    }

    fn nanoseconds(&self) -> f64 {
        1e9 * median(&mut self.times.clone())
    }
}

/// Elementwise chains without fusion: the price of a run and of a step. A vector of traffic: the overlap.
fn chain(steps: usize, n: usize, fuse: bool) -> Option<Small> {
    let cx = Cx::abstract_();
    let x = cx.input("x1", Type::new(DType::F32, [n]));
    let z = cx.input("x2", Type::new(DType::F32, [n]));
    let mut y = &x + &z;
    for k in 1..steps {
        y = if k % 2 == 0 { &y + &z } else { &y * &x };
    }
    let graph = cx.finish(&[("y0", &y)]).ok()?;
    Some(Small { graph, options: Options { fuse, ..Options::default() } })
}

/// A product of `n` tokens and a norm before it, for all threads: what a round costs where it is short, and what a
/// further thread gains where it is long.
fn rounds(n: usize, width: usize) -> Option<Small> {
    let cx = Cx::abstract_();
    let f = |name: &str, shape: &[usize]| cx.input(name, Type::new(DType::F32, shape.iter().copied()));
    let (x, norm, s_w) = (f("x1", &[n, width]), f("x2", &[width]), f("x3", &[]));
    let w = cx.input("x4", Type::new(DType::Trit, [width, width]));
    let mut y = x;
    for _ in 0..4 {
        let (q, s) = y.rms_norm(&norm, 1e-6).quantize_activations("half_even");
        y = q.ternary_linear(&s, &w, &s_w);
    }
    let graph = cx.finish(&[("y0", &y)]).ok()?;
    let layouts = vec![("x4".to_owned(), TritLayout::Compute)];
    Some(Small { graph, options: Options { layouts, ..Options::default() } })
}

/// The `x` from 0 on at which `f`, which grows, reaches `goal`; 0 where it starts above.
fn solve(goal: f64, most: f64, mut f: impl FnMut(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, most);
    if f(low) >= goal {
        return 0.0;
    }
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        if f(middle) < goal {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// Measures this machine for `threads` threads; `say` hears what is going on. Takes some seconds.
///
/// # Errors
/// A plan that the engine refuses.
pub fn measure(threads: usize, say: &mut dyn FnMut(&str)) -> Result<Machine> {
    let (single, all) = (Arc::new(Pool::new(1)), Arc::new(Pool::new(threads)));
    say("bandwidth of each level");
    let levels = levels(&single, &all);
    say("small plans, one for each kernel");
    let mut rigs: BTreeMap<(Kernel, Size), Timed> = BTreeMap::new();
    for kernel in Kernel::ALL {
        for size in [Size::Tiny, Size::Narrow, Size::Large] {
            if let Some(small) = kernels::plan(*kernel, size) {
                rigs.insert((*kernel, size), Timed::new(&small, &single)?);
            }
        }
    }
    let timed = |small: Option<Small>, pool: &Arc<Pool>| small.map(|s| Timed::new(&s, pool)).transpose();
    let mut chains = [timed(chain(1, 16, false), &single)?, timed(chain(33, 16, false), &single)?];
    // From the last cache and from memory, one operation and many.
    let wide: [(usize, usize); 6] =
        [(2, 1 << 20), (8, 1 << 20), (24, 1 << 20), (2, 12 << 20), (8, 12 << 20), (24, 12 << 20)];
    let mut wide = wide
        .map(|(steps, n)| timed(chain(steps, n, true), &single))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let mut long = [timed(rounds(384, 512), &all)?, timed(kernels::plan(Kernel::Gemm, Size::Large), &all)?];
    let mut short = [
        timed(rounds(64, 128), &all)?,
        timed(rounds(48, 256), &all)?,
        timed(chain(17, 32 << 10, false), &all)?,
    ];
    for round in 0..ROUNDS {
        for t in rigs.values_mut().chain(chains.iter_mut().flatten()) {
            let time = t.rig.time(TURN)?;
            t.times.push(time);
        }
        for t in long.iter_mut().chain(&mut short).flatten() {
            let time = t.rig.time(TURN)?;
            t.times.push(time);
        }
        // These take long, and their spread is small.
        for t in wide.iter_mut().flatten().filter(|_| round % 2 == 0) {
            let time = t.rig.time(TURN)?;
            t.times.push(time);
        }
    }
    let ns = |t: &Option<Timed>| t.as_ref().map_or(f64::NAN, Timed::nanoseconds);
    let (one, many) = (ns(&chains[0]), ns(&chains[1]));
    // Of a plan of one step and one of many: what is left beside the steps.
    let step = ((many - one) / 32.0).max(1.0);
    let mut machine = Machine {
        name: processor().unwrap_or_else(|| "this machine".into()),
        source: Source::Measured,
        note: format!("small plans, kernels in {}, {threads} threads", simd::level().name()),
        threads,
        levels,
        kernels: BTreeMap::new(),
        peaks: BTreeMap::new(),
        run: (one - step).max(1.0),
        barrier: 0.0,
        gain: 1.0,
        overlap: 2.0,
    };
    let mut best = (f64::INFINITY, 2.0);
    for overlap in OVERLAPS {
        machine.overlap = overlap;
        fit(&mut machine, &rigs, &[Kernel::Stream, Kernel::Simple]);
        fit(&mut machine, &rigs, &[Kernel::Stream, Kernel::Simple]);
        let errors = wide
            .iter()
            .flatten()
            .map(|t| (predict(t.rig.plan(), &machine, 1).time / t.nanoseconds()).ln().abs());
        let error: f64 = errors.sum();
        if error < best.0 {
            best = (error, overlap);
        }
    }
    machine.overlap = best.1;
    // Twice: some plans have a second kernel in them, which may come later in the list.
    fit(&mut machine, &rigs, Kernel::ALL);
    fit(&mut machine, &rigs, Kernel::ALL);
    if threads > 1 {
        // Each depends on the other, but weakly.
        for _ in 0..4 {
            let gains: Vec<f64> = long
                .iter()
                .flatten()
                .map(|t| {
                    // A gain shortens the time, so its complement grows with it.
                    let time = |x: f64| {
                        let tried = Machine { gain: 1.2 - x, ..machine.clone() };
                        predict(t.rig.plan(), &tried, threads).time
                    };
                    1.2 - solve(t.nanoseconds(), 1.2, time)
                })
                .collect();
            machine.gain = (gains.iter().sum::<f64>() / gains.len().max(1) as f64).clamp(0.0, 1.0);
            let mut barriers: Vec<f64> = short
                .iter()
                .flatten()
                .map(|t| {
                    let time = |barrier| {
                        predict(t.rig.plan(), &Machine { barrier, ..machine.clone() }, threads).time
                    };
                    solve(t.nanoseconds(), 1e6, time)
                })
                .collect();
            machine.barrier = median(&mut barriers);
        }
    }
    Ok(machine)
}

/// Sets the rates of some kernels so that the model predicts what was measured.
fn fit(machine: &mut Machine, rigs: &BTreeMap<(Kernel, Size), Timed>, list: &[Kernel]) {
    for kernel in list {
        let rig = |size| rigs.get(&(*kernel, size));
        let (Some(tiny), Some(large)) = (rig(Size::Tiny), rig(Size::Large)) else { continue };
        let nothing = Rate { unit: 0.0, row: 0.0, step: 0.0 };
        let mut rate = machine.kernels.get(kernel).copied().unwrap_or(nothing);
        let mut at = |rate: Rate, t: &Timed| {
            machine.kernels.insert(*kernel, rate);
            predict(t.rig.plan(), machine, 1).time
        };
        for _ in 0..6 {
            rate.unit = solve(large.nanoseconds(), 1e3, |unit| at(Rate { unit, ..rate }, large));
            if let Some(narrow) = rig(Size::Narrow) {
                rate.row = solve(narrow.nanoseconds(), 1e5, |row| at(Rate { row, ..rate }, narrow));
                // Rows are the smaller part where they are long, whatever a disturbed measurement says.
                let half = 0.5 * large.nanoseconds();
                let most = solve(half, 1e5, |row| at(Rate { unit: 0.0, row, ..rate }, large));
                rate.row = rate.row.min(most);
            }
            rate.step = solve(tiny.nanoseconds(), 1e6, |step| at(Rate { step, ..rate }, tiny));
        }
        machine.kernels.insert(*kernel, rate);
    }
}
