//! Products with packed trits: one token on cold and hot weights, a few, and many.

use super::{Machine, Options, Spread};
use axes::TritLayout;
use engine::kernels::packed::{PackedMatrix, matmul};
use engine::kernels::simd::level;
use engine::measure::{cold_bytes, read};
use engine::pages::Pages;
use engine::pool::Pool;
use serde::Serialize;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Bytes read between repeats, to know the bandwidth of the moment.
const BESIDE: usize = 4 << 20;
/// A part of them that a thread takes at once.
const PART: usize = 128 << 10;

/// A product.
#[derive(Clone, Debug, Serialize)]
pub struct Kernel {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// Tokens at once.
    pub tokens: usize,
    /// How the trits lie.
    pub layout: String,
    /// Whether no cache holds the weights.
    pub cold: bool,
    /// Threads.
    pub threads: usize,
    /// Microseconds; the least is the best.
    pub microseconds: Spread,
    /// Packed bytes.
    pub bytes: usize,
    /// Gigabytes of packed weights a second, of the median.
    pub gigabytes: f64,
    /// Multiply-accumulates a nanosecond, of the median.
    pub gmacs: f64,
    /// Bandwidth of reads between the repeats, GB/s, median; none for hot weights.
    pub beside: Option<f64>,
    /// What limits it: `bandwidth` or `arithmetic`.
    pub limit: &'static str,
    /// Percent of that limit.
    pub percent: f64,
}

impl Kernel {
    /// A short name.
    pub fn name(&self) -> String {
        let Kernel { rows, columns, tokens, layout, threads, .. } = self;
        let heat = if self.cold { "cold" } else { "hot" };
        format!("{rows}×{columns} · {tokens} {layout} {heat}, {threads} thr.")
    }
}

pub(super) fn measure(options: &Options, machine: &Machine, say: &mut dyn FnMut(&str)) -> Vec<Kernel> {
    // 0x01 is legal in every layout.
    let mut memory = Pages::new(cold_bytes().max(256 << 20), false);
    memory.fill(1);
    let mut out = vec![];
    let shapes: &[(usize, usize)] =
        if options.quick { &[(2560, 2560)] } else { &[(2560, 2560), (6912, 2560), (2560, 6912)] };
    for threads in options.threads.iter().copied() {
        let pool = options.pool(threads);
        let bench = Bench { machine, memory: &memory, pool: &pool, threads, quick: options.quick };
        for layout in [TritLayout::Compute, TritLayout::Storage, TritLayout::Interchange] {
            say(&format!("products, {layout} layout, {threads} threads"));
            if options.quick && layout == TritLayout::Interchange {
                continue;
            }
            for (rows, columns) in shapes {
                out.push(bench.run(layout, (*rows, *columns), 1, true));
                out.push(bench.run(layout, (*rows, *columns), 1, false));
            }
            if layout == TritLayout::Interchange {
                continue;
            }
            let few: &[usize] = if options.quick { &[4] } else { &[2, 3, 4, 6, 8] };
            let many: &[usize] = if options.quick { &[64] } else { &[64, 128, 512] };
            for tokens in few {
                out.push(bench.run(layout, (2560, 2560), *tokens, true));
            }
            for tokens in many {
                out.push(bench.run(layout, (2560, 2560), *tokens, false));
            }
        }
    }
    out
}

struct Bench<'a> {
    machine: &'a Machine,
    memory: &'a [u8],
    pool: &'a Pool,
    threads: usize,
    quick: bool,
}

impl Bench<'_> {
    fn run(&self, layout: TritLayout, (rows, columns): (usize, usize), tokens: usize, cold: bool) -> Kernel {
        let bytes = rows * layout.row_bytes(columns);
        let x: Vec<i8> = (0..tokens * columns).map(|i| (i * 37 % 255) as u8 as i8).collect();
        let (scale, mut y) = (vec![1.0; tokens], vec![0.0; tokens * rows]);
        let limit = Duration::from_millis(if self.quick { 80 } else { 200 });
        let (mut times, mut beside) = (vec![], vec![]);
        let mut at = 0;
        let mut next = |size: usize| -> &[u8] {
            at = if cold && at + size <= self.memory.len() { at } else { 0 };
            let part = &self.memory[at..at + size];
            at += if cold { size } else { 0 };
            part
        };
        let start = Instant::now();
        while times.len() < 6 || start.elapsed() < limit {
            for _ in 0..2 {
                let Some(w) = PackedMatrix::new(layout, rows, columns, next(bytes)) else { continue };
                let once = Instant::now();
                matmul(self.pool, &x, &scale, w, 1.0, &mut y);
                times.push(once.elapsed().as_secs_f64());
            }
            if cold {
                let part = next(BESIDE);
                let once = Instant::now();
                self.pool.run(BESIDE / PART, |i| {
                    black_box(read(level(), &part[i * PART..][..PART]));
                });
                beside.push(once.elapsed().as_secs_f64());
            }
        }
        // The first ones find the caches, the clock and the threads asleep.
        times.drain(..2);
        let seconds = Spread::of_seconds(&times);
        let macs = (tokens * rows * columns) as f64;
        let beside = (!beside.is_empty()).then(|| Spread::per_second(BESIDE as f64 / 1e9, &beside).median);
        let by_bytes = beside.map_or(0.0, |gigabytes| bytes as f64 / (1e9 * gigabytes));
        let by_macs = macs / self.machine.macs_of(self.threads).max(1.0);
        let (limit, least) =
            if by_bytes > by_macs { ("bandwidth", by_bytes) } else { ("arithmetic", by_macs) };
        let micro = |s: f64| 1e6 * s;
        Kernel {
            rows,
            columns,
            tokens,
            layout: layout.name().to_owned(),
            cold,
            threads: self.threads,
            microseconds: Spread {
                best: micro(seconds.best),
                median: micro(seconds.median),
                low: micro(seconds.low),
                repeats: seconds.repeats,
            },
            bytes,
            gigabytes: bytes as f64 / seconds.median / 1e9,
            gmacs: macs / seconds.median / 1e9,
            beside,
            limit,
            percent: 100.0 * least / seconds.median,
        }
    }
}
