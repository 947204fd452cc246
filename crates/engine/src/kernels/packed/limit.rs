//! The most that the machine's multiply-accumulate instruction does, as the limit that products are compared with.
#![allow(unsafe_code)]

use super::super::simd::{Level, level};

/// Products of two int8 numbers that one instruction adds up, and independent sums that are kept busy.
#[cfg(target_arch = "x86_64")]
const SUMS: usize = 24;

/// Multiplies and adds in registers alone, `rounds` times over, with the instruction that the kernels of packed trits
/// use at the present level, and returns how many multiply-adds of int8 that were: divided by the time it took, the
/// peak rate. `None` where the level has no such form.
///
/// ```
/// use engine::kernels::packed::multiply_adds;
/// let start = std::time::Instant::now();
/// if let Some(count) = multiply_adds(1000) {
///     println!("{:.0} GMAC/s", count as f64 / start.elapsed().as_secs_f64() / 1e9);
/// }
/// ```
pub fn multiply_adds(rounds: usize) -> Option<u64> {
    match level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => {
            // SAFETY: the level is Avx512 only on machines that have what it stands for.
            std::hint::black_box(unsafe { avx512(rounds) });
            Some((rounds * SUMS * 64) as u64)
        }
        _ => None,
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn avx512(rounds: usize) -> i32 {
    use std::arch::x86_64::*;
    let (codes, x) = std::hint::black_box((_mm512_set1_epi8(2), _mm512_set1_epi8(-3)));
    let mut sums = [_mm512_setzero_si512(); SUMS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, codes, x);
        }
    }
    sums.into_iter().fold(0, |all, sum| all.wrapping_add(_mm512_reduce_add_epi32(sum)))
}
