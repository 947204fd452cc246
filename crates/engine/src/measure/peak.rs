//! Peaks of arithmetic: loops over registers alone, with enough sums side by side to hide every latency.

use super::Rate;
use crate::kernels::simd::Level;
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// Time of a measurement.
const LIMIT: Duration = Duration::from_millis(60);

/// Products of bytes added to i32 a nanosecond (GMAC/s), by `threads` threads at once, with the instructions that the
/// kernels of a level use: `vpdpbusd` of 512 or 256 bits; `vpmaddubsw`, `vpmaddwd` and `vpaddd`; `sdot`; or what the compiler makes of a plain
/// loop. Takes 60 ms.
pub fn multiply_accumulate(threads: usize, level: Level) -> Rate {
    let (work, body): (usize, fn(usize)) = match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is Avx512 only on machines that have it.
        Level::Avx512 => (16 * 64, |rounds| unsafe { macs_avx512(rounds) }),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is AvxVnni only on machines that have it.
        Level::AvxVnni => (12 * 32, |rounds| unsafe { macs_avx_vnni(rounds) }),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is Avx2 only on machines that have it.
        Level::Avx2 => (12 * 32, |rounds| unsafe { macs_avx2(rounds) }),
        #[cfg(target_arch = "aarch64")]
        Level::Neon if std::arch::is_aarch64_feature_detected!("dotprod") => {
            // SAFETY: the machine has the instruction.
            (8 * 16, |rounds| unsafe { macs_neon(rounds) })
        }
        _ => (PLAIN, macs_portable),
    };
    run(threads, work, body)
}

/// Operations of f32 multiply-adds a nanosecond (GFLOP/s, two for each), by `threads` threads at once, with the widest
/// vectors of a level. Takes 60 ms.
pub fn fused_multiply_add(threads: usize, level: Level) -> Rate {
    let (work, body): (usize, fn(usize)) = match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is Avx512 only on machines that have it.
        Level::Avx512 => (16 * 16 * 2, |rounds| unsafe { fma_avx512(rounds) }),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: these levels are chosen only on machines that have AVX2 and FMA.
        Level::Avx2 | Level::AvxVnni => (12 * 8 * 2, |rounds| unsafe { fma_avx2(rounds) }),
        _ => (32 * 2, fma_portable),
    };
    run(threads, work, body)
}

/// Runs `body` on all threads at once, some 2 ms a time; the work of a round is `work`.
fn run(threads: usize, work: usize, body: fn(usize)) -> Rate {
    let threads = threads.max(1);
    // As many rounds as take about 2 ms; the first look warms the core up.
    let mut rounds = 1000;
    loop {
        let start = Instant::now();
        body(rounds);
        if start.elapsed() > Duration::from_micros(1500) || rounds > usize::MAX / 4 {
            break;
        }
        rounds *= 2;
    }
    let barrier = Barrier::new(threads);
    let count = (LIMIT.as_secs_f64() / 2e-3) as usize;
    let each = || -> Vec<(Instant, Instant)> {
        let times = (0..count).map(|_| {
            barrier.wait();
            let start = Instant::now();
            body(rounds);
            (start, Instant::now())
        });
        times.collect()
    };
    let times: Vec<Vec<(Instant, Instant)>> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(each)).collect();
        let mut all = vec![each()];
        all.extend(others.into_iter().filter_map(|other| other.join().ok()));
        all
    });
    // From the first to start to the last to end.
    let seconds: Vec<f64> = (0..count)
        .filter_map(|at| {
            let start = times.iter().map(|t| t[at].0).min()?;
            let end = times.iter().map(|t| t[at].1).max()?;
            Some((end - start).as_secs_f64())
        })
        .collect();
    Rate::new((threads * rounds * work) as f64, &seconds)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn macs_avx512(rounds: usize) {
    use std::arch::x86_64::{_mm512_dpbusd_epi32, _mm512_set1_epi8};
    let (a, b) = (black_box(_mm512_set1_epi8(3)), black_box(_mm512_set1_epi8(5)));
    let mut sums = [a; 16];
    for _ in 0..rounds {
        sums.iter_mut().for_each(|sum| *sum = _mm512_dpbusd_epi32(*sum, a, b));
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avxvnni")]
fn macs_avx_vnni(rounds: usize) {
    use std::arch::x86_64::{_mm256_dpbusd_avx_epi32, _mm256_set1_epi8};
    let (a, b) = (black_box(_mm256_set1_epi8(3)), black_box(_mm256_set1_epi8(5)));
    let mut sums = [a; 12];
    for _ in 0..rounds {
        sums.iter_mut().for_each(|sum| *sum = _mm256_dpbusd_avx_epi32(*sum, a, b));
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn macs_avx2(rounds: usize) {
    use std::arch::x86_64::{
        _mm256_add_epi32, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_set1_epi8, _mm256_set1_epi16,
    };
    let (a, ones) = (black_box(_mm256_set1_epi8(3)), black_box(_mm256_set1_epi16(1)));
    let mut sums = [a; 12];
    for _ in 0..rounds {
        // The sum as a factor keeps the products from being computed once for all rounds.
        sums.iter_mut().for_each(|sum| {
            let pairs = _mm256_maddubs_epi16(a, *sum);
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
        });
    }
    black_box(sums);
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon,dotprod")]
fn macs_neon(rounds: usize) {
    for _ in 0..rounds {
        // SAFETY: registers alone; the instruction is there (target feature).
        unsafe {
            std::arch::asm!(
                "sdot v16.4s, v0.16b, v1.16b",
                "sdot v17.4s, v0.16b, v1.16b",
                "sdot v18.4s, v0.16b, v1.16b",
                "sdot v19.4s, v0.16b, v1.16b",
                "sdot v20.4s, v0.16b, v1.16b",
                "sdot v21.4s, v0.16b, v1.16b",
                "sdot v22.4s, v0.16b, v1.16b",
                "sdot v23.4s, v0.16b, v1.16b",
                out("v16") _, out("v17") _, out("v18") _, out("v19") _,
                out("v20") _, out("v21") _, out("v22") _, out("v23") _,
                options(nomem, nostack, preserves_flags),
            );
        }
    }
}

/// Products of a round of the plain loop: small enough for the first cache.
const PLAIN: usize = 2048;

fn macs_portable(rounds: usize) {
    let (a, b) = (black_box([3_i8; PLAIN]), black_box([5_i8; PLAIN]));
    let mut total = 0_i32;
    for _ in 0..rounds {
        let (a, b) = (black_box(&a), black_box(&b));
        let sum: i32 = a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
        total = total.wrapping_add(sum);
    }
    black_box(total);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn fma_avx512(rounds: usize) {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_set1_ps};
    let (a, b) = (black_box(_mm512_set1_ps(0.5)), black_box(_mm512_set1_ps(0.25)));
    let mut sums = [a; 16];
    for _ in 0..rounds {
        sums.iter_mut().for_each(|sum| *sum = _mm512_fmadd_ps(*sum, a, b));
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fma_avx2(rounds: usize) {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps};
    let (a, b) = (black_box(_mm256_set1_ps(0.5)), black_box(_mm256_set1_ps(0.25)));
    let mut sums = [a; 12];
    for _ in 0..rounds {
        sums.iter_mut().for_each(|sum| *sum = _mm256_fmadd_ps(*sum, a, b));
    }
    black_box(sums);
}

fn fma_portable(rounds: usize) {
    let (a, b) = (black_box(0.5_f32), black_box(0.25_f32));
    let mut sums = [a; 32];
    for _ in 0..rounds {
        // A fused form would be a call where the compile target has none; these are two instructions there.
        sums.iter_mut().for_each(|sum| {
            *sum = if cfg!(target_arch = "aarch64") { sum.mul_add(a, b) } else { *sum * a + b };
        });
    }
    black_box(sums);
}
