//! AVX-512 with VNNI and VBMI: `vpdpbusd` adds 64 products of an unsigned code and a signed activation to 16 sums.

mod many;
mod several;

use std::arch::x86_64::*;

use axes::TritLayout;

use super::planes::{Few, PLANES, Shape, Span};
use super::{Out, PackedMatrix};
pub(super) use many::{UNITS, many};
use several::several;

const COMPUTE: u8 = 0;
const INTERCHANGE: u8 = 1;
const STORAGE: u8 = 2;

/// 81⁻¹ modulo 2³²: a sum that is a multiple of 81 is divided by multiplying with it.
const INVERSE_81: i32 = {
    let mut inverse = 81u32;
    let mut step = 0;
    while step < 5 {
        inverse = inverse.wrapping_mul(2u32.wrapping_sub(81u32.wrapping_mul(inverse)));
        step += 1;
    }
    inverse as i32
};

/// Four base-3 digits, the number 0 to 80, as four codes of two bits.
const DIGITS: [u8; 128] = {
    let mut table = [0; 128];
    let mut i = 0;
    while i < 128 {
        let digits = [i % 3, i / 3 % 3, i / 9 % 3, i / 27 % 3];
        table[i] = (digits[0] | (digits[1] << 2) | (digits[2] << 4) | (digits[3] << 6)) as u8;
        i += 1;
    }
    table
};

/// What is done to a vector of packed bytes before its planes can be masked out.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn codes<const L: u8>(bytes: __m512i, table: [__m512i; 2]) -> (__m512i, __m512i) {
    match L {
        COMPUTE => (bytes, bytes),
        // 00 → 01, 01 → 00, 10 → 10: the low bit is flipped where the high one is 0.
        INTERCHANGE => {
            let high = _mm512_srli_epi16::<1>(bytes);
            (_mm512_ternarylogic_epi32::<0xd2>(bytes, high, _mm512_set1_epi8(0x55)), bytes)
        }
        _ => {
            let power = _mm512_set1_epi8(81);
            let rest = _mm512_min_epu8(bytes, _mm512_sub_epi8(bytes, power));
            let rest = _mm512_min_epu8(rest, _mm512_sub_epi8(rest, power));
            // 0, 81 or 162 for the fifth digit.
            (_mm512_permutex2var_epi8(table[0], rest, table[1]), _mm512_sub_epi8(bytes, rest))
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn table() -> [__m512i; 2] {
    let (low, high) = DIGITS.split_at(64);
    [load(low), load(high)]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn load(bytes: &[u8]) -> __m512i {
    let bytes = &bytes[..64];
    // SAFETY: 64 bytes, any alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// The bytes of a tail, at most 64 of them, zeros behind.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn load_tail(bytes: &[u8]) -> __m512i {
    let mask = u64::MAX >> (64 - bytes.len().clamp(1, 64));
    // SAFETY: the mask keeps the access within the slice, which is not empty.
    unsafe { _mm512_maskz_loadu_epi8(mask, bytes.as_ptr().cast()) }
}

/// Activations of one block, byte `planes · j + p` to byte j of plane p; `planes` is 4 or 5.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
pub(super) fn spread(planes: usize, x: &[i8], out: &mut [i8]) {
    if planes == 4 { spread_of::<4>(x, out) } else { spread_of::<5>(x, out) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn spread_of<const P: usize>(x: &[i8], out: &mut [i8]) {
    let (x, out) = (x.as_chunks::<64>().0, out.as_chunks_mut::<64>().0);
    assert!(x.len() >= P && out.len() >= P);
    // SAFETY: each has 64 bytes.
    let vectors: [_; P] = std::array::from_fn(|v| unsafe { _mm512_loadu_si512(x[v].as_ptr().cast()) });
    for p in 0..P {
        // SAFETY: as above.
        let index = unsafe { _mm512_loadu_si512(Sources::<P>::INDEX[p].as_ptr().cast()) };
        let mut made = _mm512_permutexvar_epi8(index, vectors[0]);
        for v in 1..P {
            made = _mm512_mask_permutexvar_epi8(made, Sources::<P>::MASK[p][v], index, vectors[v]);
        }
        // SAFETY: as above.
        unsafe { _mm512_storeu_si512(out[p].as_mut_ptr().cast(), made) };
    }
}

/// Where the bytes of each plane come from: byte j of plane p is byte `(P · j + p) % 64` of vector
/// `(P · j + p) / 64`, for which MASK has bit j.
struct Sources<const P: usize>;

impl<const P: usize> Sources<P> {
    const INDEX: [[u8; 64]; P] = {
        let mut index = [[0; 64]; P];
        let mut i = 0;
        while i < 64 * P {
            index[i % P][i / P] = (i % 64) as u8;
            i += 1;
        }
        index
    };
    const MASK: [[u64; P]; P] = {
        let mut mask = [[0; P]; P];
        let mut i = 0;
        while i < 64 * P {
            mask[i % P][i / 64] |= 1 << (i / P);
            i += 1;
        }
        mask
    };
}

/// One lane of sums for each of four vectors.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn horizontal(x: [__m512i; 4]) -> __m128i {
    let low = _mm512_add_epi32(_mm512_unpacklo_epi32(x[0], x[1]), _mm512_unpackhi_epi32(x[0], x[1]));
    let high = _mm512_add_epi32(_mm512_unpacklo_epi32(x[2], x[3]), _mm512_unpackhi_epi32(x[2], x[3]));
    let four = _mm512_add_epi32(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
    let two = _mm256_add_epi32(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64::<1>(four));
    _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256::<1>(two))
}

/// Rows that are fetched while this one is multiplied.
const AHEAD: usize = 12;

/// The memory-bound form; see [`super::few`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
pub(super) fn few(w: &PackedMatrix<'_>, shape: &Shape, span: Span, x: &Few<'_>, n: usize, out: &mut Out<'_>) {
    if n > 1 {
        return several(w, shape, span, x, n, out);
    }
    match shape.layout {
        TritLayout::Compute | TritLayout::Bytes => few_of::<COMPUTE>(w, shape, span, x, n, out),
        TritLayout::Interchange => few_of::<INTERCHANGE>(w, shape, span, x, n, out),
        TritLayout::Storage => few_of::<STORAGE>(w, shape, span, x, n, out),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn few_of<const L: u8>(
    w: &PackedMatrix<'_>,
    shape: &Shape,
    span: Span,
    x: &Few<'_>,
    n: usize,
    out: &mut Out<'_>,
) {
    let table = table();
    let blocks = shape.whole.min(span.to) - span.from.min(shape.whole);
    let has_tail = span.to > shape.whole;
    let mut row = 0;
    while row < out.rows {
        let count = (out.rows - row).min(4);
        // Rows that a smaller group lacks are its last one again; their sums are dropped.
        let at: [_; 4] = std::array::from_fn(|r| w.row(out.first + row + r.min(count - 1), shape));
        for token in 0..n {
            let planes = x.token(token);
            let mut sums = [[_mm512_setzero_si512(); PLANES]; 4];
            if blocks > 0 {
                // One check for all blocks of a row.
                let rows: [_; 4] = std::array::from_fn(|r| {
                    let from = at[r].start + span.from * at[r].step;
                    w.bytes[from..][..(blocks - 1) * at[r].step + 64].as_ptr()
                });
                let step = at[0].step;
                let ahead = AHEAD * shape.layout.row_bytes(w.columns);
                // SAFETY: the last block of each row ends within the slice that was just taken.
                let load =
                    |r: usize, block: usize| unsafe { _mm512_loadu_si512(rows[r].add(block * step).cast()) };
                if L == COMPUTE {
                    for block in 0..blocks {
                        let bytes = [0, 1, 2, 3].map(|r| load(r, block));
                        for row in rows {
                            // A hint: any address will do.
                            _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(block * step + ahead).cast());
                        }
                        unit::<L, 4>(bytes, &planes[block * shape.planes..], table, &mut sums);
                    }
                } else {
                    // Row by row: memory that is read in one run is read faster than in four.
                    for r in 0..4 {
                        let mut own = [sums[r]];
                        for block in 0..blocks {
                            let next = rows[r].wrapping_add(block * step + ahead);
                            _mm_prefetch::<_MM_HINT_T0>(next.cast());
                            let planes = &planes[block * shape.planes..];
                            unit::<L, 1>([load(r, block)], planes, table, &mut own);
                        }
                        [sums[r]] = own;
                    }
                }
            }
            if has_tail {
                let bytes = [0, 1, 2, 3].map(|r| load_tail(w.unit(&at[r], shape.whole, shape)));
                unit::<L, 4>(bytes, &planes[blocks * shape.planes..], table, &mut sums);
            }
            let rows = sums.map(|s| {
                let low = _mm512_add_epi32(s[0], _mm512_srai_epi32::<2>(s[1]));
                let high = _mm512_add_epi32(_mm512_srai_epi32::<4>(s[2]), _mm512_srai_epi32::<6>(s[3]));
                let four = _mm512_add_epi32(low, high);
                if L == STORAGE {
                    _mm512_add_epi32(four, _mm512_mullo_epi32(s[4], _mm512_set1_epi32(INVERSE_81)))
                } else {
                    four
                }
            });
            let made = _mm_sub_epi32(horizontal(rows), _mm_set1_epi32(x.sum(token)));
            let mask = 0xf >> (4 - count);
            let to = out.row(token)[row..][..count].as_mut_ptr();
            // SAFETY: the mask keeps both accesses within the slice.
            unsafe {
                let old = if span.from == 0 { _mm_setzero_si128() } else { _mm_maskz_loadu_epi32(mask, to) };
                _mm_mask_storeu_epi32(to, mask, _mm_add_epi32(old, made));
            }
        }
        row += count;
    }
}

/// Adds the products of one unit of R rows: a sum for each plane, of values times 1, 4, 16, 64 (and 81).
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn unit<const L: u8, const R: usize>(
    bytes: [__m512i; R],
    planes: &[[i8; 64]],
    table: [__m512i; 2],
    sums: &mut [[__m512i; PLANES]; R],
) {
    let count = if L == STORAGE { 5 } else { 4 };
    let planes = &planes[..count];
    let mut x = [_mm512_setzero_si512(); PLANES];
    for (x, plane) in x.iter_mut().zip(planes) {
        // SAFETY: 64 bytes.
        *x = unsafe { _mm512_loadu_si512(plane.as_ptr().cast()) };
    }
    for r in 0..R {
        let (four, fifth) = codes::<L>(bytes[r], table);
        for (p, mask) in [0x03, 0x0c, 0x30, 0xc0u8].into_iter().enumerate() {
            let code = _mm512_and_si512(four, _mm512_set1_epi8(mask as i8));
            sums[r][p] = _mm512_dpbusd_epi32(sums[r][p], code, x[p]);
        }
        if L == STORAGE {
            sums[r][4] = _mm512_dpbusd_epi32(sums[r][4], fifth, x[4]);
        }
    }
}

/// One unit of a row as numbers out of `table`, by code; not for the storage layout.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
pub(super) fn unpack_unit(layout: TritLayout, bytes: &[u8], table: &[f32; 4], out: &mut [f32]) {
    // SAFETY: 16 bytes. The table then repeats every four entries, so higher bits of an index do not matter.
    let table = _mm512_broadcast_f32x4(unsafe { _mm_loadu_ps(table.as_ptr()) });
    let mut put = |at: usize, count: usize, index: __m512i| {
        let end = out.len().min(at + count);
        if at < end {
            let out = &mut out[at..end];
            let mask = u16::MAX >> (16 - out.len());
            // SAFETY: the mask keeps the store within the slice.
            unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), mask, _mm512_permutexvar_ps(index, table)) };
        }
    };
    let len = bytes.len();
    for at in (0..len).step_by(16) {
        let count = (len - at).min(16);
        // SAFETY: the mask keeps the load within the slice.
        let packed = unsafe { _mm_maskz_loadu_epi8(u16::MAX >> (16 - count), bytes[at..].as_ptr().cast()) };
        if layout == TritLayout::Compute {
            let four = _mm512_cvtepu8_epi32(packed);
            put(at, count, four);
            put(len + at, count, _mm512_srli_epi32::<2>(four));
            put(2 * len + at, count, _mm512_srli_epi32::<4>(four));
            put(3 * len + at, count, _mm512_srli_epi32::<6>(four));
        } else {
            // 16 columns are in four bytes: one word in every lane, shifted to the lane's own bits.
            let high = _mm_srli_epi16::<1>(packed);
            let codes = _mm_xor_si128(packed, _mm_andnot_si128(high, _mm_set1_epi8(0x55)));
            let shifts = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let words = [
                _mm512_broadcastd_epi32(codes),
                _mm512_broadcastd_epi32(_mm_shuffle_epi32::<1>(codes)),
                _mm512_broadcastd_epi32(_mm_shuffle_epi32::<2>(codes)),
                _mm512_broadcastd_epi32(_mm_shuffle_epi32::<3>(codes)),
            ];
            for (word, four) in words.into_iter().enumerate() {
                put(4 * at + 16 * word, 16, _mm512_srlv_epi32(four, shifts));
            }
        }
    }
}

/// 64 bytes of the compute layout from 256 weights; see [`super::pack`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
pub(super) fn pack_block(w: &[f32], scale: f32, out: &mut [u8]) {
    let (w, out) = (&w[..256], &mut out[..64]);
    let (half, minus, scale) = (_mm512_set1_ps(0.5), _mm512_set1_ps(-0.5), _mm512_set1_ps(scale));
    let mut bytes = _mm512_setzero_si512();
    for plane in 0..4 {
        let (mut above, mut below) = (0u64, 0u64);
        for part in 0..4 {
            let w = &w[64 * plane + 16 * part..][..16];
            // SAFETY: 64 bytes, any alignment.
            let v = _mm512_mul_ps(unsafe { _mm512_loadu_ps(w.as_ptr()) }, scale);
            above |= u64::from(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(v, half)) << (16 * part);
            below |= u64::from(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(v, minus)) << (16 * part);
        }
        // 1, 2 above, 0 below, in the plane's two bits.
        let code = _mm512_mask_mov_epi8(
            _mm512_maskz_set1_epi8(!below, 1 << (2 * plane)),
            above,
            _mm512_set1_epi8((2u8 << (2 * plane)) as i8),
        );
        bytes = _mm512_or_si512(bytes, code);
    }
    // SAFETY: 64 bytes, any alignment.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), bytes) };
}
