//! Int8 activations in the order of a format's bytes, for AVX-512.

use std::arch::x86_64::*;

use axes::BlockFormat;

use super::super::Form;
use super::{start, tile};

/// Makes 256 activations ready: their scale, their sums in groups as many as `sums` has, the numbers in the format's order, and
/// the sums that its blocks begin with. The numbers are those of `quantise_block`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
pub(crate) fn quantise(
    format: BlockFormat,
    x: &[f32; 256],
    scale: &mut f32,
    sums: &mut [i16],
    to: &mut [i8],
    begin: &mut [i32],
    form: Form,
) {
    let mut natural = [0i8; 256];
    *scale = numbers(x, &mut natural);
    let ones = _mm512_set1_epi8(1);
    let mut fours = [0i32; 64];
    for (four, q) in fours.as_chunks_mut::<16>().0.iter_mut().zip(natural.as_chunks::<64>().0) {
        // SAFETY: 64 bytes each.
        unsafe {
            let q = _mm512_loadu_si512(q.as_ptr().cast());
            let sum = _mm512_dpbusd_epi32(_mm512_setzero_si512(), ones, q);
            _mm512_storeu_si512(four.as_mut_ptr().cast(), sum);
        }
    }
    let group = fours.len() / sums.len();
    for (sum, fours) in sums.iter_mut().zip(fours.chunks_exact(group)) {
        // From 256 · −128 to 256 · 127: an i16.
        *sum = fours.iter().sum::<i32>() as i16;
    }
    if form == Form::Tile {
        return tile::arrange(format, &natural, sums, to, begin);
    }
    if format == BlockFormat::Q2_0
        && let Some(to) = to.first_chunk_mut()
    {
        planes_of_four(&natural, to);
    }
    arrange(format, &natural, sums, to, begin);
}

/// Int8 numbers of 256 activations; returns their scale.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn numbers(x: &[f32; 256], q: &mut [i8; 256]) -> f32 {
    let magnitude = _mm512_set1_epi32(0x7fff_ffff);
    let mut peak = _mm512_setzero_si512();
    for x in x.as_chunks::<16>().0 {
        // SAFETY: 16 numbers.
        let x = unsafe { _mm512_loadu_si512(x.as_ptr().cast()) };
        // Magnitudes have the order of their bits, and NaN is above all.
        peak = _mm512_max_epu32(peak, _mm512_and_si512(x, magnitude));
    }
    let scale = f32::from_bits(_mm512_reduce_max_epu32(peak)) / 127.0;
    if scale == 0.0 {
        q.fill(0);
        return scale;
    }
    let divisor = _mm512_set1_ps(scale);
    for (x, q) in x.as_chunks::<16>().0.iter().zip(q.as_chunks_mut::<16>().0) {
        // SAFETY: 16 numbers, 16 bytes.
        unsafe {
            let x = _mm512_div_ps(_mm512_loadu_ps(x.as_ptr()), divisor);
            // NaN becomes 0.
            let number = _mm512_cmp_ps_mask::<_CMP_ORD_Q>(x, x);
            let whole = _mm512_maskz_cvt_roundps_epi32::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(
                number, x,
            );
            _mm_storeu_si128(q.as_mut_ptr().cast(), _mm512_cvtsepi32_epi8(whole));
        }
    }
    scale
}

/// Every fourth number from the first on, from the second on, and so on: 64 each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn planes_of_four(natural: &[i8; 256], to: &mut [i8; 256]) {
    const INDEX: [u8; 64] = tile::planes();
    // SAFETY: 64 bytes, and 256 of each list.
    unsafe {
        let index = _mm512_loadu_si512(INDEX.as_ptr().cast());
        // Each vector by planes of 16 bytes, then the planes of four vectors side by side.
        let v = |i: usize| {
            _mm512_permutexvar_epi8(index, _mm512_loadu_si512(natural.as_ptr().add(64 * i).cast()))
        };
        let (a, b, c, d) = (v(0), v(1), v(2), v(3));
        let (ab, cd) =
            (_mm512_shuffle_i32x4::<0b01_00_01_00>(a, b), _mm512_shuffle_i32x4::<0b01_00_01_00>(c, d));
        let (ef, gh) =
            (_mm512_shuffle_i32x4::<0b11_10_11_10>(a, b), _mm512_shuffle_i32x4::<0b11_10_11_10>(c, d));
        let to = to.as_mut_ptr();
        _mm512_storeu_si512(to.cast(), _mm512_shuffle_i32x4::<0b10_00_10_00>(ab, cd));
        _mm512_storeu_si512(to.add(64).cast(), _mm512_shuffle_i32x4::<0b11_01_11_01>(ab, cd));
        _mm512_storeu_si512(to.add(128).cast(), _mm512_shuffle_i32x4::<0b10_00_10_00>(ef, gh));
        _mm512_storeu_si512(to.add(192).cast(), _mm512_shuffle_i32x4::<0b11_01_11_01>(ef, gh));
    }
}

/// Puts 256 activations in the format's order, and the sums that its blocks begin with.
fn arrange(format: BlockFormat, q: &[i8], sums: &[i16], to: &mut [i8], begin: &mut [i32]) {
    let chunks = |to: &mut [i8], size: usize, order: &[usize]| {
        for (to, from) in to.chunks_exact_mut(size).zip(order) {
            to.copy_from_slice(&q[from * size..][..size]);
        }
    };
    match format {
        BlockFormat::Q8_0 | BlockFormat::Tq2_0 => chunks(to, 32, &[0, 4, 1, 5, 2, 6, 3, 7]),
        BlockFormat::Q4K => chunks(to, 32, &[0, 2, 1, 3, 4, 6, 5, 7]),
        BlockFormat::Q4_0 => chunks(to, 16, &[0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15]),
        BlockFormat::Q1_0 => {
            for (j, to) in to.chunks_exact_mut(32).enumerate() {
                for (to, q) in to.iter_mut().zip(q.as_chunks::<8>().0) {
                    *to = q[j];
                }
            }
        }
        // By `planes_of_four`.
        BlockFormat::Q2_0 => {}
        BlockFormat::Tq1_0 => {
            for (n, to) in to.chunks_exact_mut(64).enumerate() {
                to[..32].copy_from_slice(&q[32 * n..][..32]);
                to[32..48].copy_from_slice(&q[160 + 16 * n..][..16]);
                to[48..].fill(0);
                if n < 4 {
                    to[48..52].copy_from_slice(&q[240 + 4 * n..][..4]);
                }
            }
        }
        _ => to.copy_from_slice(q),
    }
    let (lanes, offset) = start(format);
    begin.fill(0);
    for (i, sum) in sums.iter().enumerate().take(if lanes == 0 { 0 } else { sums.len() }) {
        let at = match format {
            // Vector v has the groups v and v + 4, eight lanes each.
            BlockFormat::Q8_0 => 16 * (i % 4) + 8 * (i / 4),
            BlockFormat::Q4_0 | BlockFormat::Q2_0 | BlockFormat::Q1_0 => 4 * i,
            _ => 16 * i,
        };
        begin[at] = -offset * i32::from(*sum);
    }
}
