//! What this machine can do: bandwidth of reads, clock, multiply-accumulates of bytes, and f32 multiply-adds.
//!
//! A kernel's speed means little without the limit beside it, and on shared machines the limits move from minute to
//! minute. Each measurement repeats a piece of a few milliseconds for a fraction of a second and gives all three
//! of best, median and tenth percentile: the best is what the machine can do, the distance between them is how far to
//! trust a single number. Bandwidth after McCalpin's STREAM, but for reads alone, since that is what weights do.
#![allow(unsafe_code)]

mod layouts;
mod peak;

use crate::kernels::simd::{Level, level};
use crate::pages::Pages;
use crate::pool::Pool;
use std::hint::black_box;
use std::time::{Duration, Instant};

pub use layouts::{LayoutSpeed, trit_layouts};
pub use peak::{fused_multiply_add, multiply_accumulate};

/// Repeats of a measurement, in units of work a nanosecond: GB/s, GHz, GMAC/s, GFLOP/s.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// The fastest repeat.
    pub best: f64,
    /// The middle one.
    pub median: f64,
    /// The one that nine of ten are faster than.
    pub low: f64,
    /// How many there were.
    pub repeats: usize,
}

impl Rate {
    /// From the seconds of repeats of the same `work`.
    ///
    /// ```
    /// let rate = engine::measure::Rate::new(6e9, &[1.0, 3.0, 2.0]);
    /// assert_eq!((rate.best, rate.median, rate.low, rate.repeats), (6.0, 3.0, 2.0, 3));
    /// ```
    pub fn new(work: f64, seconds: &[f64]) -> Rate {
        let mut sorted = seconds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return Rate::default() };
        let of = |at: usize| work / sorted[at].max(1e-12) / 1e9;
        Rate {
            best: of(0),
            median: of(sorted.len() / 2),
            low: of((9 * sorted.len() / 10).min(last)),
            repeats: sorted.len(),
        }
    }
}

/// Seconds of repeats of `body` until `limit` has passed, three at least, after one that does not count.
pub fn repeat(limit: Duration, mut body: impl FnMut()) -> Vec<f64> {
    body();
    let (start, mut times) = (Instant::now(), vec![]);
    while times.len() < 3 || start.elapsed() < limit {
        let once = Instant::now();
        body();
        times.push(once.elapsed().as_secs_f64());
    }
    times
}

/// Cycles a nanosecond (GHz): a chain of dependent additions, of which every processor does one a cycle, against the
/// monotonic clock. Takes 50 ms.
pub fn clock() -> Rate {
    const LINKS: usize = 100_000;
    let key = black_box(0x9E37_79B9_7F4A_7C15_u64);
    let mut x = black_box(1_u64);
    let times = repeat(Duration::from_millis(50), || {
        for _ in 0..LINKS / 20 {
            // Neither operation distributes over the other, so the compiler cannot shorten the chain.
            macro_rules! link { ($($n:literal)*) => { $(let _ = $n; x = (x ^ key).wrapping_add(key);)* } }
            link!(0 1 2 3 4 5 6 7 8 9);
        }
        x = black_box(x);
    });
    Rate::new(LINKS as f64, &times)
}

/// Bytes of the last cache, where the system tells.
pub fn last_cache() -> Option<usize> {
    let sizes = (0..8).filter_map(|index| {
        let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size");
        let text = std::fs::read_to_string(path).ok()?;
        let (number, unit) = text.trim().split_at(text.trim().len().checked_sub(1)?);
        Some(number.parse::<usize>().ok()? * if unit == "M" { 1 << 20 } else { 1 << 10 })
    });
    sizes.max()
}

/// A size that no cache holds: four times the last one, 128 MB at least, 1 GB at most.
pub fn cold_bytes() -> usize {
    (4 * last_cache().unwrap_or(32 << 20)).clamp(128 << 20, 1 << 30)
}

/// Bytes read a nanosecond (GB/s) from memory of [`cold_bytes`], by all threads of a pool. Takes `limit`, once the memory
/// has been made.
pub fn read_bandwidth(pool: &Pool, memory: &Pages, limit: Duration) -> Rate {
    /// What a thread takes at once: long enough that the start of a stream does not count.
    const PART: usize = 1 << 20;
    let level = level();
    let times = repeat(limit, || {
        pool.run(memory.len().div_ceil(PART), |part| {
            black_box(read(level, &memory[part * PART..][..PART.min(memory.len() - part * PART)]));
        });
    });
    Rate::new(memory.len() as f64, &times)
}

/// Touches every byte with the widest loads of an instruction set.
pub fn read(level: Level, bytes: &[u8]) -> u64 {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is Avx512 only on machines that have it.
        Level::Avx512 => unsafe { read_avx512(bytes) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is Avx2 only on machines that have it.
        Level::Avx2 | Level::AvxVnni => unsafe { read_avx2(bytes) },
        _ => read_portable(bytes),
    }
}

fn read_portable(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<64>();
    // Eight sums, so that they do not wait for each other.
    let mut lanes = [0_u64; 8];
    for block in blocks {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
            *lane |= u64::from_ne_bytes(*word);
        }
    }
    lanes.iter().fold(0, |a, b| a | b) | rest.iter().fold(0, |a, b| a | u64::from(*b))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn read_avx512(bytes: &[u8]) -> u64 {
    use std::arch::x86_64::{
        _mm512_loadu_si512, _mm512_or_si512, _mm512_reduce_or_epi64, _mm512_setzero_si512,
    };
    let (blocks, rest) = bytes.as_chunks::<512>();
    let mut sums = [_mm512_setzero_si512(); 8];
    for block in blocks {
        for (sum, line) in sums.iter_mut().zip(block.as_chunks::<64>().0) {
            // SAFETY: a line has the 64 bytes that are read.
            *sum = _mm512_or_si512(*sum, unsafe { _mm512_loadu_si512(line.as_ptr().cast()) });
        }
    }
    let all = sums.into_iter().reduce(|a, b| _mm512_or_si512(a, b)).unwrap_or(_mm512_setzero_si512());
    _mm512_reduce_or_epi64(all) as u64 | read_portable(rest)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn read_avx2(bytes: &[u8]) -> u64 {
    use std::arch::x86_64::{
        _mm256_extract_epi64, _mm256_loadu_si256, _mm256_or_si256, _mm256_setzero_si256,
    };
    let (blocks, rest) = bytes.as_chunks::<256>();
    let mut sums = [_mm256_setzero_si256(); 8];
    for block in blocks {
        for (sum, line) in sums.iter_mut().zip(block.as_chunks::<32>().0) {
            // SAFETY: a line has the 32 bytes that are read.
            *sum = _mm256_or_si256(*sum, unsafe { _mm256_loadu_si256(line.as_ptr().cast()) });
        }
    }
    let all = sums.into_iter().reduce(|a, b| _mm256_or_si256(a, b)).unwrap_or(_mm256_setzero_si256());
    let words = [
        _mm256_extract_epi64::<0>(all),
        _mm256_extract_epi64::<1>(all),
        _mm256_extract_epi64::<2>(all),
        _mm256_extract_epi64::<3>(all),
    ];
    words.iter().fold(0, |a, b| a | *b as u64) | read_portable(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_read_at_every_level() {
        for len in [0, 1, 63, 64, 511, 512, 1500] {
            for at in 0..len {
                let mut bytes = vec![0; len];
                bytes[at] = 1;
                for level in Level::ALL.into_iter().filter(|level| crate::kernels::simd::available(*level)) {
                    assert_ne!(read(level, &bytes), 0, "byte {at} of {len}, {level:?}");
                }
            }
        }
    }

    #[test]
    fn rates_are_in_order_and_possible() {
        let clock = clock();
        assert!(clock.low <= clock.median && clock.median <= clock.best && clock.best > 0.01, "{clock:?}");
        let pool = Pool::new(2);
        let memory = Pages::new(3 << 20, false);
        let read = read_bandwidth(&pool, &memory, Duration::from_millis(5));
        assert!(read.best > 0.01 && read.repeats >= 3, "{read:?}");
        assert!(cold_bytes() >= 128 << 20);
        for level in Level::ALL.into_iter().filter(|level| crate::kernels::simd::available(*level)) {
            let rates = [multiply_accumulate(2, level), fused_multiply_add(2, level)];
            assert!(rates.iter().all(|rate| rate.best > 0.01 && rate.repeats >= 3), "{level:?}: {rates:?}");
        }
    }
}
