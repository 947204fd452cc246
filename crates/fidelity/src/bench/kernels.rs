//! Products with packed trits and with weights in blocks: one token on cold and hot weights, a few, and many.

use super::{Machine, Options, Spread};
use axes::{BlockFormat, TritLayout};
use engine::kernels::blocks::{BlockMatrix, linear, scratch};
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
    /// How the weights lie: a layout of trits, or a format of blocks.
    pub layout: String,
    /// Whether no cache holds the weights.
    pub cold: bool,
    /// Threads.
    pub threads: usize,
    /// Microseconds; the least is the best.
    pub microseconds: Spread,
    /// Packed bytes.
    pub bytes: usize,
    /// Gigabytes of weights a second, of the median.
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
        let formats: &[BlockFormat] = match options.quick {
            true => &[BlockFormat::Q8_0, BlockFormat::Q6K, BlockFormat::Q2_0],
            false => &BlockFormat::ALL,
        };
        say(&format!("products with blocks, {threads} threads"));
        for format in formats {
            out.push(bench.blocks(*format, (2560, 2560), 1, true));
            // The peak of int8 is no limit of products of floats.
            if format.block() > 1 {
                out.push(bench.blocks(*format, (2560, 2560), 1, false));
                out.push(bench.blocks(*format, (2560, 2560), 64, false));
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
        self.time(layout.name(), (rows, columns), tokens, cold, bytes, |bytes| {
            if let Some(w) = PackedMatrix::new(layout, rows, columns, bytes) {
                matmul(self.pool, &x, &scale, w, 1.0, &mut y);
            }
        })
    }

    /// With the activations' way to int8, which is part of a product with blocks.
    fn blocks(
        &self,
        format: BlockFormat,
        (rows, columns): (usize, usize),
        tokens: usize,
        cold: bool,
    ) -> Kernel {
        let bytes = format.bytes(rows, columns).unwrap_or(0);
        let x: Vec<f32> = (0..tokens * columns).map(|i| (i * 37 % 255) as f32 - 127.0).collect();
        let (mut own, mut y) = (vec![0.0; scratch(format, columns, tokens)], vec![0.0; tokens * rows]);
        self.time(format.name(), (rows, columns), tokens, cold, bytes, |bytes| {
            if let Some(w) = BlockMatrix::new(format, rows, columns, bytes) {
                linear(self.pool, &x, w, &mut y, &mut own);
            }
        })
    }

    /// Times a product with `bytes` bytes of weights.
    fn time(
        &self,
        layout: &str,
        (rows, columns): (usize, usize),
        tokens: usize,
        cold: bool,
        bytes: usize,
        mut product: impl FnMut(&[u8]),
    ) -> Kernel {
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
                let weights = next(bytes);
                let once = Instant::now();
                product(weights);
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
            layout: layout.to_owned(),
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
