//! Products of one token with weights in the block formats: µs, GB/s, and percent of the bandwidth read beside it.
//!
//! `cargo bench -p engine --bench blocks [-- FORMAT…] [-- rows=M columns=K threads=T huge=1]`. "hot" is one matrix again and again,
//! "cold" matrices of together 384 MB in turn, on huge pages if asked for. The format `trits` is packed trits in the compute
//! layout, beside which ggml's `tq2_0` runs. With `FIDELITY_GGML` naming the folder of `libggml-base.so` and `libggml-cpu.so`,
//! ggml's `vec_dot` runs on the same bytes, alternating with ours, a call for each row.

#![allow(unsafe_code)]

use std::ffi::{CString, c_int, c_void};
use std::hint::black_box;
use std::time::Instant;

use axes::{BlockFormat, TritLayout};
use engine::kernels::blocks::{BlockMatrix, linear, scratch};
use engine::kernels::packed::{PackedMatrix, matmul};
use engine::kernels::rows::{Rounding, quantize_activations};
use engine::kernels::simd;
use engine::pages::Pages;
use engine::pool::Pool;

/// Bytes that no cache holds.
const COLD: usize = 384 << 20;
/// Rounds of each measurement.
const ROUNDS: usize = 15;

type Dot = unsafe extern "C" fn(c_int, *mut f32, usize, *const c_void, usize, *const c_void, usize, c_int);
type Quantise = unsafe extern "C" fn(*const f32, *mut c_void, i64);

/// ggml's functions for a format.
struct Peer {
    dot: Dot,
    quantise: Quantise,
}

fn peer(format: BlockFormat) -> Option<Peer> {
    let folder = std::env::var("FIDELITY_GGML").ok()?;
    let open = |name: &str| {
        let path = CString::new(format!("{folder}/{name}")).ok()?;
        // SAFETY: a path that ends with 0; loading runs the library's own set-up.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        (!handle.is_null()).then_some(handle)
    };
    open("libggml-base.so")?;
    let cpu = open("libggml-cpu.so")?;
    let find = |name: &str| {
        let name = CString::new(name).ok()?;
        // SAFETY: an open library and a name that ends with 0.
        let found = unsafe { libc::dlsym(cpu, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    };
    let (dot, quantise) = match format {
        BlockFormat::F16 => ("ggml_vec_dot_f16", "ggml_cpu_fp32_to_fp16"),
        BlockFormat::Bf16 => ("ggml_vec_dot_bf16", "ggml_cpu_fp32_to_bf16"),
        BlockFormat::Q8_0 => ("ggml_vec_dot_q8_0_q8_0", "quantize_row_q8_0"),
        BlockFormat::Q4_0 => ("ggml_vec_dot_q4_0_q8_0", "quantize_row_q8_0"),
        BlockFormat::Q1_0 => ("ggml_vec_dot_q1_0_q8_0", "quantize_row_q8_0"),
        BlockFormat::Q2_0 => ("ggml_vec_dot_q2_0_q8_0", "quantize_row_q8_0"),
        BlockFormat::Q4K => ("ggml_vec_dot_q4_K_q8_K", "quantize_row_q8_K"),
        BlockFormat::Q6K => ("ggml_vec_dot_q6_K_q8_K", "quantize_row_q8_K"),
        BlockFormat::Tq1_0 => ("ggml_vec_dot_tq1_0_q8_K", "quantize_row_q8_K"),
        BlockFormat::Tq2_0 => ("ggml_vec_dot_tq2_0_q8_K", "quantize_row_q8_K"),
    };
    // SAFETY: the functions have these types in ggml's headers.
    unsafe {
        let start = std::mem::transmute::<*mut c_void, unsafe extern "C" fn()>(find("ggml_cpu_init")?);
        start();
        let (dot, quantise) = (find(dot)?, find(quantise)?);
        Some(Peer {
            dot: std::mem::transmute::<*mut c_void, Dot>(dot),
            quantise: std::mem::transmute::<*mut c_void, Quantise>(quantise),
        })
    }
}

impl Peer {
    /// y = x · w, activations quantised as well.
    fn run(&self, x: &[f32], bytes: &[u8], y: &mut [f32], q: &mut [u8]) {
        let row = bytes.len() / y.len();
        // SAFETY: `q` is larger than any form of the activations, the rows are whole.
        unsafe {
            (self.quantise)(x.as_ptr(), q.as_mut_ptr().cast(), x.len() as i64);
            for (y, w) in y.iter_mut().zip(bytes.chunks_exact(row)) {
                (self.dot)(x.len() as c_int, y, 0, w.as_ptr().cast(), 0, q.as_ptr().cast(), 0, 1);
            }
        }
    }
}

/// Reads every line of some memory.
fn read(bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        #[target_feature(enable = "avx512f")]
        fn wide(bytes: &[u8]) -> u64 {
            use std::arch::x86_64::*;
            let mut sums = [_mm512_setzero_si512(); 8];
            for b in bytes.as_chunks::<512>().0 {
                // As the kernels do: what is read next is asked for, so that the limit is the memory's.
                for line in (0..512).step_by(64) {
                    _mm_prefetch::<_MM_HINT_T0>(b.as_ptr().wrapping_add((16 << 10) + line).cast());
                }
                for (i, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: 64 bytes.
                    *sum = _mm512_xor_si512(*sum, unsafe {
                        _mm512_loadu_si512(b[64 * i..][..64].as_ptr().cast())
                    });
                }
            }
            sums.into_iter().fold(0, |a, s| a ^ _mm512_reduce_add_epi64(s) as u64)
        }
        // SAFETY: looked for above.
        return unsafe { wide(bytes) };
    }
    bytes.as_chunks::<8>().0.iter().fold(0, |a, b| a ^ u64::from_le_bytes(*b))
}

fn seconds(mut body: impl FnMut()) -> f64 {
    let start = Instant::now();
    body();
    start.elapsed().as_secs_f64()
}

/// (median, best).
fn summary(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[0])
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let number = |key: &str, default: usize| {
        let found = arguments.iter().find_map(|a| a.strip_prefix(key)?.strip_prefix('='));
        found.and_then(|n| n.parse().ok()).unwrap_or(default)
    };
    let (rows, columns, threads) = (number("rows", 2560), number("columns", 2560), number("threads", 1));
    // Nothing stands for packed trits.
    let mut wanted: Vec<Option<BlockFormat>> = arguments
        .iter()
        .filter_map(|a| if a == "trits" { Some(None) } else { a.parse().ok().map(Some) })
        .collect();
    if wanted.is_empty() {
        wanted = BlockFormat::ALL.iter().copied().map(Some).chain([None]).collect();
    }
    let tokens = number("tokens", 1);
    let pool = Pool::new(threads);
    // Any bytes will do, but scales should be numbers: no byte above 0x3b, so no f16 above 1.
    let mut state = 1u64;
    let mut memory = Pages::new(COLD, number("huge", 0) == 1);
    for bytes in memory.as_chunks_mut::<8>().0 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *bytes = ((state ^ (state >> 29)) & 0x3b3b_3b3b_3b3b_3b3b).to_le_bytes();
    }
    println!("{:?}, {threads} threads, {tokens} tokens, {rows} x {columns}: µs median (best)", simd::level());
    println!(
        "format  | bytes MB | hot | GB/s | cold | GB/s | read GB/s | % | ggml hot | ratio | ggml cold | ratio"
    );
    for format in wanted {
        let own_size = match format {
            Some(format) => format.bytes(rows, columns),
            None => TritLayout::Compute.bytes(rows, columns),
        };
        let theirs = format.unwrap_or(BlockFormat::Tq2_0);
        let (Some(size), Some(peer_size)) = (own_size, theirs.bytes(rows, columns)) else { continue };
        let x: Vec<f32> = (0..tokens * columns).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
        let (mut y, mut z) = (vec![0.0; tokens * rows], vec![0.0; rows]);
        let mut own = vec![0.0; format.map_or(0, |format| scratch(format, columns, tokens))];
        let (mut x_q, mut scale) = (vec![0; tokens * columns], vec![0.0; tokens]);
        let mut q = vec![0; 8 * columns];
        let peer = peer(theirs).filter(|_| tokens == 1);
        let count = memory.len() / size.max(peer_size);
        let mut ours = |k: usize| {
            let bytes = &memory[k * size..][..size];
            let Some(format) = format else {
                let w = PackedMatrix::new(TritLayout::Compute, rows, columns, bytes).expect("a whole matrix");
                return seconds(|| {
                    quantize_activations(
                        &pool,
                        black_box(&x),
                        columns,
                        Rounding::HalfEven,
                        &mut x_q,
                        &mut scale,
                    );
                    matmul(&pool, &x_q, &scale, w, 1.0, &mut y);
                });
            };
            let w = BlockMatrix::new(format, rows, columns, bytes).expect("a whole matrix");
            seconds(|| linear(&pool, black_box(&x), w, &mut y, &mut own))
        };
        let mut theirs = |k: usize| {
            let bytes = &memory[k * peer_size..][..peer_size];
            peer.as_ref().map(|p| seconds(|| p.run(&x, bytes, &mut z, &mut q)))
        };
        let (mut hot, mut hot_peer) = (vec![], vec![]);
        ours(0);
        for _ in 0..ROUNDS * 4 {
            hot.push(ours(0));
        }
        for _ in 0..ROUNDS {
            hot_peer.extend(theirs(0));
        }
        // A pass of each over its own third of the memory, in turn.
        let (mut cold, mut cold_peer, mut bandwidth) = (vec![], vec![], vec![]);
        let burst = 8.min(count);
        let mut k = 0;
        let mut next = || {
            k = if k + burst >= count { 0 } else { k + burst };
            k
        };
        for _ in 0..ROUNDS {
            let at = next();
            cold.extend((at..(at + burst).min(count)).map(&mut ours));
            let at = next();
            cold_peer.extend((at..(at + burst).min(count).min(at + 3)).filter_map(&mut theirs));
            let at = next();
            let bytes = &memory[at * size..(at + burst).min(count) * size];
            let time = seconds(|| {
                let part = bytes.len() / threads / 512 * 512;
                pool.run(threads, |t| {
                    black_box(read(&bytes[t * part..][..part]));
                });
            });
            bandwidth.push(time / bytes.len() as f64);
        }
        let rate = |t: f64| size as f64 / t / 1e9;
        let ((hot, hot_best), (cold, cold_best)) = (summary(hot), summary(cold));
        let (bandwidth, _) = summary(bandwidth);
        let bandwidth = 1e-9 / bandwidth;
        let mut line = format!(
            "{:<7} | {:>6.2} | {:>7.1} ({:.1}) | {:>5.1} | {:>7.1} ({:.1}) | {:>5.1} | {bandwidth:>5.1} | {:>4.0}",
            format.map_or("trits", |format| format.name()),
            size as f64 / 1e6,
            hot * 1e6,
            hot_best * 1e6,
            rate(hot),
            cold * 1e6,
            cold_best * 1e6,
            rate(cold),
            100.0 * rate(cold) / bandwidth,
        );
        if peer.is_some() {
            let ((h, hb), (c, cb)) = (summary(hot_peer), summary(cold_peer));
            let text =
                |t: f64, b: f64, own: f64| format!(" | {:>7.1} ({:.1}) | {:.2}x", t * 1e6, b * 1e6, t / own);
            line += &(text(h, hb, hot) + &text(c, cb, cold));
        }
        println!("{line}");
    }
}
