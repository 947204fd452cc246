//! Times each kernel at the sizes of a small MatMul-free LM's training step (N = 512 tokens), on one thread, and prints
//! GFLOP/s or GB/s of the memory it must touch. Prints the median of many runs; asserts nothing.
//!
//! `cargo bench -p engine --bench kernels [-- FILTER]`, with `FIDELITY_SIMD=portable|neon|avx2|avx512` for another
//! instruction set.

use std::hint::black_box;
use std::time::Instant;

use engine::kernels::elementwise::{Access, EwOp, Input, Output, Program, run};
use engine::kernels::gemm::{MatMut, MatRef, gemm, gemm_parallel};
use engine::kernels::packed::{self, PackedMatrix};
use engine::kernels::scan::{
    ConvShape, ScanShape, conv1d_causal_depthwise, conv1d_causal_depthwise_grad, linear_scan,
    linear_scan_chunked, linear_scan_chunked_scratch, linear_scan_grad,
};
use engine::kernels::{math, rows, simd, ternary};
use engine::pool::Pool;

struct Bench {
    filter: Option<String>,
}

impl Bench {
    /// Whether a section that prints its own lines, which all begin with `name`, is asked for.
    fn wants(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.starts_with(name))
    }

    /// Runs `body` for a quarter of a second; `work` is FLOP or bytes.
    fn time(&self, name: &str, unit: &str, work: usize, mut body: impl FnMut()) {
        if self.filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
            return;
        }
        body();
        let mut times = Vec::new();
        let start = Instant::now();
        while start.elapsed().as_millis() < 250 || times.len() < 5 {
            let once = Instant::now();
            body();
            times.push(once.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        let (best, median) = (times[0], times[times.len() / 2]);
        let rate = |seconds: f64| work as f64 / seconds / 1e9;
        println!(
            "{name:<44} {:>9.1} us   {:>7.1} {unit} (best {:.1})",
            median * 1e6,
            rate(median),
            rate(best)
        );
    }
}

fn data(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let bench = Bench { filter: arguments.into_iter().find(|argument| !argument.starts_with("--")) };
    println!("{:?}, one thread", simd::level());
    gemms(&bench);
    elementwise(&bench);
    row_kernels(&bench);
    scans(&bench);
    ternaries(&bench);
    packed_products(&bench);
    pools(&bench);
}

fn gemms(bench: &Bench) {
    let pool = Pool::single();
    for (n, inputs, outputs) in [(512, 128, 128), (512, 128, 704), (512, 352, 128), (512, 128, 256)] {
        let (x, w, dy) = (data(n * inputs, 1), data(outputs * inputs, 2), data(n * outputs, 3));
        let (mut y, mut dx, mut dw) =
            (vec![0.0; n * outputs], vec![0.0; n * inputs], vec![0.0; outputs * inputs]);
        let flop = 2 * n * inputs * outputs;
        let x_view = MatRef::row_major(&x, n, inputs);
        let w_view = MatRef::row_major(&w, outputs, inputs);
        let dy_view = MatRef::row_major(&dy, n, outputs);
        let name = |what: &str| format!("gemm {what} {n} x {inputs} -> {outputs}");
        bench.time(&name("y  = x wT"), "GFLOP/s", flop, || {
            gemm(1.0, x_view, w_view.t(), 0.0, MatMut::row_major(&mut y, n, outputs));
        });
        bench.time(&name("dx = dy w"), "GFLOP/s", flop, || {
            gemm(1.0, dy_view, w_view, 0.0, MatMut::row_major(&mut dx, n, inputs));
        });
        bench.time(&name("dw = dyT x"), "GFLOP/s", flop, || {
            gemm(1.0, dy_view.t(), x_view, 0.0, MatMut::row_major(&mut dw, outputs, inputs));
        });
        bench.time(&name("tiled y"), "GFLOP/s", flop, || {
            gemm_parallel(&pool, 1.0, x_view, w_view.t(), 0.0, MatMut::row_major(&mut y, n, outputs));
        });
        bench.time(&name("tiled dw"), "GFLOP/s", flop, || {
            gemm_parallel(&pool, 1.0, dy_view.t(), x_view, 0.0, MatMut::row_major(&mut dw, outputs, inputs));
        });
    }
}

fn elementwise(bench: &Bench) {
    let (n, cols) = (512, 352);
    let len = n * cols;
    let (a, b, c) = (data(len, 1), data(len, 2), data(len, 3));
    let mut y = vec![0.0; len];
    for (name, f) in [
        ("exp", math::exp_slice as fn(&[f32], &mut [f32])),
        ("log", math::log_slice),
        ("tanh", math::tanh_slice),
        ("sigmoid", math::sigmoid_slice),
        ("silu", math::silu_slice),
        ("softplus", math::softplus_slice),
        ("erf", math::erf_slice),
        ("sin", math::sin_slice),
    ] {
        bench.time(&format!("math {name} 512 x 352"), "GB/s", 8 * len, || f(black_box(&a), &mut y));
    }
    use EwOp::*;
    let mut program = |name: &str, ops: Vec<EwOp>, inputs: &[&[f32]], outputs: Vec<usize>| {
        let program = Program::new(ops, outputs).expect("a valid program");
        let mut scratch = vec![0.0; program.scratch_len()];
        let inputs: Vec<_> = inputs
            .iter()
            .map(|x| Input::f32(x, if x.len() == cols { Access::Row } else { Access::Full }))
            .collect();
        bench.time(&format!("ew {name} 512 x 352"), "GB/s", 4 * len * (inputs.len() + 1), || {
            run(&program, n, cols, &inputs, &mut [Output::f32(&mut y)], 0..n, &mut scratch);
        });
    };
    program("a + b", vec![Load(0), Load(1), Add(0, 1)], &[&a, &b], vec![2]);
    program("a * row + b", vec![Load(0), Load(1), Load(2), Fma(0, 1, 2)], &[&a, &b[..cols], &c], vec![3]);
    program("silu(a) * b", vec![Load(0), Silu(0), Load(1), Mul(1, 2)], &[&a, &b], vec![3]);
    // d silu(a) * b = b * dy * s * (1 + a * (1 - s))
    let grad = vec![
        Load(0),
        Load(1),
        Load(2),
        Sigmoid(0),
        Const(1.0),
        Sub(4, 3),
        Fma(0, 5, 4),
        Mul(3, 6),
        Mul(7, 1),
        Mul(8, 2),
    ];
    program("swiglu backward (10 ops)", grad, &[&a, &b, &c], vec![9]);
}

fn row_kernels(bench: &Bench) {
    let pool = Pool::single();
    for cols in [128, 352] {
        let n = 512;
        let len = n * cols;
        let (x, w, dy) = (data(len, 1), data(cols, 2), data(len, 3));
        let (mut y, mut rstd, mut scale) = (vec![0.0; len], vec![0.0; n], vec![0.0; n]);
        let (mut dw, mut q) = (vec![0.0; cols], vec![0i8; len]);
        let mut scratch = vec![0.0; rows::rms_norm_grad_scratch(n, cols)];
        let name = |what: &str| format!("rows {what} {n} x {cols}");
        bench.time(&name("rms_norm"), "GB/s", 8 * len, || {
            rows::rms_norm(&pool, &x, &w, 1e-6, &mut y, &mut rstd)
        });
        bench.time(&name("rms_norm_grad"), "GB/s", 12 * len, || {
            rows::rms_norm_grad(&pool, &x, &w, &rstd, &dy, &mut y, &mut dw, &mut scratch);
        });
        bench.time(&name("rms_norm_fake_quantize"), "GB/s", 8 * len, || {
            let away = rows::Rounding::HalfAway;
            rows::rms_norm_fake_quantize(&pool, &x, &w, 1e-6, away, &mut y, &mut rstd, &mut scale);
        });
        bench.time(&name("quantize_activations"), "GB/s", 5 * len, || {
            rows::quantize_activations(&pool, &x, cols, rows::Rounding::HalfEven, &mut q, &mut scale);
        });
        bench.time(&name("dequantize"), "GB/s", 5 * len, || rows::dequantize(&pool, &q, &scale, &mut y));
        bench.time(&name("sum_columns"), "GB/s", 4 * len, || {
            rows::sum_columns(&pool, &x, &mut dw, &mut scratch)
        });
        bench.time(&name("sum_rows"), "GB/s", 4 * len, || rows::sum_rows(&pool, &x, cols, &mut rstd));
        bench.time(&name("argmax_rows"), "GB/s", 4 * len, || {
            rows::argmax_rows(&pool, &x, cols, &mut vec![0; n]);
        });
    }
    let (n, v) = (512, 256);
    let (logits, mut d, mut lse) = (data(n * v, 1), vec![0.0; n * v], vec![0.0; n]);
    let labels: Vec<i64> = (0..n as i64).map(|i| i * 7 % v as i64).collect();
    bench.time("rows softmax 512 x 256", "GB/s", 8 * n * v, || rows::softmax(&pool, &logits, v, &mut d));
    bench.time("rows cross_entropy 512 x 256", "GB/s", 4 * n * v, || {
        black_box(rows::cross_entropy(&pool, &logits, &labels, -100, &mut lse).is_ok());
    });
    bench.time("rows cross_entropy_grad 512 x 256", "GB/s", 8 * n * v, || {
        black_box(rows::cross_entropy_grad(&pool, &logits, &labels, -100, &lse, 0.1, &mut d).is_ok());
    });
    let (mut table, x) = (data(256 * 128, 1), data(512 * 128, 2));
    bench.time("rows scatter_add 512 x 128 into 256", "GB/s", 12 * x.len(), || {
        black_box(rows::scatter_add(&mut table, 128, &labels, &x).is_ok());
    });
    let len = 672_416;
    let (mut p, g, mut m, mut s) = (data(len, 1), data(len, 2), vec![0.0; len], vec![0.0; len]);
    let config = rows::AdamW { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 };
    bench.time("rows adamw 672k", "GB/s", 28 * len, || {
        rows::adamw_step(&pool, &config, 10, 1.0, &mut p, &g, &mut m, &mut s);
    });
    bench.time("rows sum_of_squares 672k", "GB/s", 4 * len, || {
        black_box(rows::sum_of_squares(&g));
    });
    bench.time("rows fake_quantize_weights 672k", "GB/s", 12 * len, || {
        black_box(rows::fake_quantize_weights(&pool, &g, &mut p));
    });
}

fn scans(bench: &Bench) {
    let pool = Pool::single();
    let shape = ScanShape { batch: 8, time: 64, channels: 128 };
    let len = shape.len();
    let (f, x, dout) = (data(len, 1), data(len, 2), data(len, 3));
    let (mut out, mut dx, mut df) = (vec![0.0; len], vec![0.0; len], vec![0.0; len]);
    bench.time("scan linear 8 x 64 x 128", "GB/s", 12 * len, || {
        linear_scan(&pool, shape, &f, &x, None, &mut out, false);
    });
    let mut scratch = vec![0.0; linear_scan_chunked_scratch(shape, 16)];
    bench.time("scan chunked(16) 8 x 64 x 128", "GB/s", 12 * len, || {
        linear_scan_chunked(&pool, shape, &f, &x, None, &mut out, false, 16, &mut scratch);
    });
    bench.time("scan linear backward 8 x 64 x 128", "GB/s", 20 * len, || {
        linear_scan_grad(&pool, shape, &f, &out, None, &dout, None, false, (&mut dx, &mut df, None));
    });
    let conv = ConvShape { scan: shape, width: 4 };
    let w = data(128 * 4, 4);
    let mut dw = vec![0.0; w.len()];
    bench.time("conv forward K = 4", "GB/s", 8 * len, || {
        conv1d_causal_depthwise(&pool, conv, &x, &w, None, &mut out, None);
    });
    bench.time("conv backward K = 4", "GB/s", 12 * len, || {
        conv1d_causal_depthwise_grad(&pool, conv, &x, &w, None, &dout, (&mut dx, &mut dw, None));
    });
}

fn ternaries(bench: &Bench) {
    let pool = Pool::single();
    for (n, k, m) in [(1, 2048, 2048), (512, 128, 704), (512, 1024, 1024)] {
        let x: Vec<i8> = data(n * k, 1).iter().map(|x| (x * 127.0) as i8).collect();
        let t: Vec<i8> = data(m * k, 2).iter().map(|x| (x * 1.49).round() as i8).collect();
        let mut acc = vec![0; n * m];
        bench.time(&format!("ternary {n} x {k} -> {m}"), "Gop/s", 2 * n * k * m, || {
            ternary::matmul_i32(&pool, &x, &t, n, &mut acc);
        });
    }
}

/// Packed trits: one token against a matrix that stays in the caches (hot) and against 300 MB of matrices in turn
/// (cold), next to what reading the same bytes costs; then blocks of tokens.
fn packed_products(bench: &Bench) {
    use axes::TritLayout::{Compute, Interchange, Storage};
    let pool = Pool::single();
    let sum = |bytes: &[u8]| -> u64 {
        // Eight sums, so that the additions do not wait for each other.
        let words = bytes.as_chunks::<64>().0.iter();
        let lanes = words.fold([0u64; 8], |mut lanes, block| {
            for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
                *lane = lane.wrapping_add(u64::from_ne_bytes(*word));
            }
            lanes
        });
        lanes.iter().fold(0, |a, b| a.wrapping_add(*b))
    };
    for (m, k) in [(2560, 2560), (6912, 2560)] {
        let x: Vec<i8> = data(k, 1).iter().map(|x| (x * 127.0) as i8).collect();
        let (mut acc, mut y) = (vec![0; m], vec![0.0; m]);
        for layout in [Compute, Interchange, Storage] {
            let size = layout.bytes(m, k).expect("small");
            let count = (300 << 20) / size;
            // Bytes 0x01 are legal in every layout.
            let memory = vec![1u8; count * size + 64];
            // Weights of a bundle lie at multiples of 64 bytes.
            let all = &memory[memory.as_ptr().align_offset(64)..];
            let matrix = |i: usize| {
                PackedMatrix::new(layout, m, k, &all[i % count * size..][..size]).expect("the layout's size")
            };
            let name = |what: &str| format!("packed {layout} 1 x {k} -> {m} {what}");
            bench.time(&name("hot"), "GB/s", size, || {
                packed::matmul_i32(&pool, &x, 1, matrix(0), &mut acc);
            });
            let mut turn = 0;
            bench.time(&name("cold"), "GB/s", size, || {
                packed::matmul(&pool, &x, &[1.0], matrix(turn), 1.0, &mut y);
                turn += 1;
            });
            bench.time(&name("cold, reading alone"), "GB/s", size, || {
                black_box(sum(matrix(turn).bytes()));
                turn += 1;
            });
        }
    }
    few_tokens(bench, &pool);
    many_tokens(bench, &pool);
    let (m, k) = (704, 1024);
    let w = data(m * k, 3);
    let mut bytes = vec![0; Compute.bytes(m, k).expect("small")];
    let mut numbers = vec![0.0; m * k];
    bench.time("packed quantise 704 x 1024", "GB/s", 4 * m * k, || {
        black_box(packed::quantize_weights_packed(&pool, &w, m, k, &mut bytes));
    });
    bench.time("packed quantise, scale known", "GB/s", 4 * m * k, || {
        packed::pack_weights(&pool, &w, m, k, 2.0, &mut bytes);
    });
    for layout in [Compute, Interchange, Storage] {
        let bytes = vec![1u8; layout.bytes(m, k).expect("small")];
        let w = PackedMatrix::new(layout, m, k, &bytes).expect("the layout's size");
        bench.time(&format!("packed {layout} unpack 704 x 1024"), "GB/s", 4 * m * k, || {
            packed::unpack_rows(w, 0, 0.5, &mut numbers);
        });
    }
}

/// Two to eight tokens, over weights that come from memory, as multiples of the time of one.
fn few_tokens(bench: &Bench, pool: &Pool) {
    use axes::TritLayout::{Compute, Storage};
    if !bench.wants("few") {
        return;
    }
    for (m, k) in [(2560, 2560), (2560, 6912)] {
        for layout in [Compute, Storage] {
            let size = layout.bytes(m, k).expect("small");
            let memory = vec![1u8; (384 << 20) / size * size + 64];
            // Weights of a bundle lie at multiples of 64 bytes.
            let all = &memory[memory.as_ptr().align_offset(64)..][..memory.len() - 64];
            let mut turn = 0;
            let mut of_one = 0.0;
            for n in 1..=12 {
                let x: Vec<i8> = data(n * k, 1).iter().map(|x| (x * 127.0) as i8).collect();
                let (scale, mut y) = (vec![1.0; n], vec![0.0; n * m]);
                let (median, best) = times(120, || {
                    let bytes = &all[turn * size % all.len()..][..size];
                    turn += 1;
                    let w = PackedMatrix::new(layout, m, k, bytes).expect("the layout's size");
                    packed::matmul(pool, &x, &scale, w, 1.0, &mut y);
                });
                of_one = if n == 1 { median } else { of_one };
                println!(
                    "few {layout} {n:>2} x {k} -> {m} cold: {:>8.1} us (best {:>8.1}), {:.2} of one token",
                    median * 1e6,
                    best * 1e6,
                    median / of_one
                );
            }
        }
    }
}

/// Blocks of tokens, each between two measurements of what the instruction does in registers alone.
fn many_tokens(bench: &Bench, pool: &Pool) {
    use axes::TritLayout::{Compute, Interchange, Storage};
    if !bench.wants("many") {
        return;
    }
    let peak = || engine::measure::multiply_accumulate(1, engine::kernels::simd::level()).median;
    for (k, m) in [(2560, 2560), (2560, 6912), (6912, 2560), (128, 704), (352, 128), (512, 512)] {
        for n in [64, 128, 512] {
            let x: Vec<i8> = data(n * k, 1).iter().map(|x| (x * 127.0) as i8).collect();
            let (scale, mut y) = (vec![1.0; n], vec![0.0; n * m]);
            for layout in [Compute, Storage, Interchange] {
                let bytes = vec![1u8; layout.bytes(m, k).expect("small")];
                let w = PackedMatrix::new(layout, m, k, &bytes).expect("the layout's size");
                let before = peak();
                let runs = (5_000_000_000 / (n * k * m)).clamp(9, 400);
                let (median, best) = times(runs, || packed::matmul(pool, &x, &scale, w, 1.0, &mut y));
                let peak = before.max(peak());
                let rate = |seconds: f64| (n * k * m) as f64 / seconds / 1e9;
                println!(
                    "many {layout:<11} {n:>4} x {k:>4} -> {m:>4}: {:>6.1} GMAC/s (best {:>6.1}), {:>5.1} % (best {:>5.1}) \
                     of the {peak:.1} measured beside",
                    rate(median),
                    rate(best),
                    100.0 * rate(median) / peak,
                    100.0 * rate(best) / peak,
                );
            }
        }
    }
}

/// Median and least of the times of `runs` calls, s.
fn times(runs: usize, mut body: impl FnMut()) -> (f64, f64) {
    body();
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            body();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[runs / 2], times[0])
}

/// What a round costs, and what two threads do for products of one token over weights from memory.
fn pools(bench: &Bench) {
    if !bench.wants("pool") {
        return;
    }
    use axes::TritLayout::{Compute, Storage};
    let pools = [("1", Pool::new(1)), ("2", Pool::new(2)), ("2 pinned", Pool::pinned(2))];
    for (name, pool) in &pools {
        let rounds = 1000;
        let (median, best) = times(50, || {
            for _ in 0..rounds {
                pool.run(16, |task| {
                    black_box(task);
                });
            }
        });
        let ns = |seconds: f64| seconds / f64::from(rounds) * 1e9;
        println!("pool of {name:<8} 16 empty tasks: {:>7.0} ns (best {:>7.0})", ns(median), ns(best));
    }
    for (m, k) in [(2560, 2560), (6912, 2560), (512, 512)] {
        let x: Vec<i8> = data(k, 1).iter().map(|x| (x * 127.0) as i8).collect();
        let mut y = vec![0.0; m];
        for layout in [Compute, Storage] {
            let size = layout.bytes(m, k).expect("small");
            let memory = vec![1u8; (384 << 20) / size * size + 64];
            let all = &memory[memory.as_ptr().align_offset(64)..][..memory.len() - 64];
            let mut turn = 0;
            for (name, pool) in &pools {
                let (median, best) = times(400, || {
                    let w = PackedMatrix::new(layout, m, k, &all[turn * size % all.len()..][..size]);
                    turn += 1;
                    packed::matmul(pool, &x, &[1.0], w.expect("the layout's size"), 1.0, &mut y);
                });
                println!(
                    "pool of {name:<8} {layout} 1 x {k} -> {m} cold: {:>7.1} us (best {:>7.1}), {:.1} GB/s",
                    median * 1e6,
                    best * 1e6,
                    size as f64 / median / 1e9
                );
            }
        }
    }
}
