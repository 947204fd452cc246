//! Many tokens: 32 rows are unpacked once, to bytes that lie as the products want them, and multiplied with all tokens.
//!
//! A vector holds four columns of sixteen rows, so integers are summed where they are: no sum across lanes, and what a block's
//! end costs is paid once for sixteen rows. Columns are not put back into their order; activations take the order in which
//! bytes leave the format ([`arrange`]). A unit's f32 operations are those of the other forms, in their order.

use std::arch::x86_64::*;
use std::cell::RefCell;

use axes::BlockFormat;
use graph::ops::blocks::Units;

use super::super::avx2::Avx2;
use super::super::portable::{Kind, Machine, Q1_0, Q2_0, Q4_0, Q4K, Q6K, Q8_0, Stretch, Tq1_0, Tq2_0};
use super::super::{Activations, BlockMatrix, Out, Sizes, group};
use super::narrow::{four_blocks, four_blocks_index};
use super::{planes_of, six_bit_codes};
use crate::kernels::blocks::Form;

/// Rows that are unpacked together: two vectors of them.
pub(crate) const ROWS: usize = 32;

/// What is added to a code so that it is not negative.
pub(crate) const fn offset(format: BlockFormat) -> i32 {
    match format {
        BlockFormat::Q8_0 => 128,
        BlockFormat::Q4_0 => 8,
        BlockFormat::Q6K => 32,
        BlockFormat::Q4K => 0,
        _ => 1,
    }
}

/// Of 64 columns, those of four planes of sixteen bytes.
pub(crate) const fn planes() -> [u8; 64] {
    let mut index = [0; 64];
    let mut i = 0;
    while i < 64 {
        index[i] = (4 * (i % 16) + i / 16) as u8;
        i += 1;
    }
    index
}

/// Where the step of lane `i` of vector `v` of a stretch goes: steps of a unit are neighbours.
#[inline(always)]
const fn place(format: BlockFormat, v: usize, i: usize) -> usize {
    match format {
        BlockFormat::Q4_0 => 8 * (4 * (v / 2) + i / 4) + 4 * (v % 2) + i % 4,
        BlockFormat::Q2_0 => 16 * (i / 4) + 4 * v + i % 4,
        // Vectors are low and high halves of 64 bytes, which are the groups 4 h + p and 4 h + p + 2.
        BlockFormat::Q4K => 8 * (4 * (v / 2) + v % 2 + 2 * (i / 8)) + i % 8,
        _ => 16 * v + i,
    }
}

/// Puts 256 activations in the order of the steps, which for most formats is their own, and the sums that units, or groups, begin with.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
pub(crate) fn arrange(format: BlockFormat, q: &[i8; 256], sums: &[i16], to: &mut [i8], begin: &mut [i32]) {
    match format {
        BlockFormat::Q2_0 => {
            let index: &[u8; 64] = const { &planes() };
            for (to, q) in to.as_chunks_mut::<64>().0.iter_mut().zip(q.as_chunks::<64>().0) {
                // SAFETY: 64 bytes each.
                unsafe {
                    let index = _mm512_loadu_si512(index.as_ptr().cast());
                    let q = _mm512_permutexvar_epi8(index, _mm512_loadu_si512(q.as_ptr().cast()));
                    _mm512_storeu_si512(to.as_mut_ptr().cast(), q);
                }
            }
        }
        BlockFormat::Tq2_0 => {
            for (to, from) in to.as_chunks_mut::<32>().0.iter_mut().zip([0, 4, 1, 5, 2, 6, 3, 7]) {
                to.copy_from_slice(&q[32 * from..][..32]);
            }
        }
        _ => to.copy_from_slice(q),
    }
    for (begin, sum) in begin.iter_mut().zip(sums) {
        *begin = -offset(format) * i32::from(*sum);
    }
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([i32; 16]);

/// Unpacked rows.
#[derive(Default)]
struct Panel {
    /// Steps of four columns, two lines each.
    codes: Vec<Line>,
    /// Of each unit, two lines.
    d: Vec<Line>,
    /// Of each group within a block, two lines: its integer scale.
    s: Vec<Line>,
    /// `q4_k`: of each block, two lines.
    m: Vec<Line>,
    /// `q4_k`: of each two groups, two lines of two 16-bit minima.
    z: Vec<Line>,
}

thread_local! {
    static PANEL: RefCell<Panel> = RefCell::default();
}

/// The outputs of a task, of `n` tokens.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
pub(crate) fn rows(w: &BlockMatrix<'_>, x: &Activations<'_>, n: usize, out: &mut Out<'_>) {
    match w.format {
        BlockFormat::Q8_0 => panels::<Q8_0>(w, x, n, out),
        BlockFormat::Q4_0 => panels::<Q4_0>(w, x, n, out),
        BlockFormat::Q4K => panels::<Q4K>(w, x, n, out),
        BlockFormat::Q6K => panels::<Q6K>(w, x, n, out),
        BlockFormat::Q1_0 => panels::<Q1_0>(w, x, n, out),
        BlockFormat::Q2_0 => panels::<Q2_0>(w, x, n, out),
        BlockFormat::Tq1_0 => panels::<Tq1_0>(w, x, n, out),
        BlockFormat::Tq2_0 => panels::<Tq2_0>(w, x, n, out),
        // Numbers of two bytes have no integers.
        BlockFormat::F16 | BlockFormat::Bf16 => super::rows(w, x, n, out),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn panels<K: Kind>(w: &BlockMatrix<'_>, x: &Activations<'_>, n: usize, out: &mut Out<'_>) {
    let each = Sizes::new(K::FORMAT, x.k, Form::Tile);
    let lists = [x.q.len(), x.scales.len(), x.sums.len(), x.begin.len()];
    let whole = [each.q, each.scales, each.sums, each.begin].map(|size| n * size);
    assert!(lists == whole && x.k.is_multiple_of(256) && each.q == x.k, "lists of every token");
    PANEL.with_borrow_mut(|panel| {
        for row in (0..out.rows).step_by(ROWS) {
            let count = (out.rows - row).min(ROWS);
            unpack::<K>(panel, w, out.first + row, count);
            let most = if matches!(K::FORMAT, BlockFormat::Q4K | BlockFormat::Q6K) { 4 } else { 8 };
            let mut token = 0;
            while token < n {
                // SAFETY: the lists are as long as `each` says, and the panel was made for as many columns.
                unsafe {
                    token += match n - token {
                        8.. if most == 8 => product::<K, 8>(panel, x, each, token, row, count, out),
                        4.. => product::<K, 4>(panel, x, each, token, row, count, out),
                        _ => product::<K, 1>(panel, x, each, token, row, count, out),
                    };
                }
            }
        }
    });
}

/// Unpacks `count` rows; those that are lacking are the last one again.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn unpack<K: Kind>(panel: &mut Panel, w: &BlockMatrix<'_>, first: usize, count: usize) {
    let (format, k) = (K::FORMAT, w.columns);
    let units = Units::new(format, k);
    let (block, size) = (format.block(), format.block_bytes());
    let groups = match format {
        BlockFormat::Q4K | BlockFormat::Q6K => k / group(format, units),
        _ => 0,
    };
    let four = format == BlockFormat::Q4K;
    for (list, lines) in [
        (&mut panel.codes, k / 4),
        (&mut panel.d, k / units.unit),
        (&mut panel.s, groups),
        (&mut panel.m, if four { k / 256 } else { 0 }),
        (&mut panel.z, if four { k / 64 } else { 0 }),
    ] {
        list.resize(2 * lines, Line([0; 16]));
    }
    let at = match format {
        BlockFormat::Q6K | BlockFormat::Tq1_0 | BlockFormat::Tq2_0 => size - 2,
        _ => 0,
    };
    let mut stretch = Stretch::new();
    for half in 0..2 {
        let rows: [&[u8]; 16] = std::array::from_fn(|r| w.row(first + (16 * half + r).min(count - 1)));
        for c in 0..k / 256 {
            let mut codes = [[_mm512_setzero_si512(); 16]; 4];
            for (r, row) in rows.iter().enumerate() {
                let bytes = &row[256 / block * size * c..][..256 / block * size];
                let four_vectors = codes_of::<K>(bytes, &mut stretch);
                for v in 0..4 {
                    codes[v][r] = four_vectors[v];
                }
                for (i, b) in bytes.chunks_exact(size).enumerate() {
                    panel.d[2 * (256 / block * c + i) + half].0[r] = number(b, at);
                    if four {
                        panel.m[2 * c + half].0[r] = number(b, 2);
                        stretch.four_bit_scales(b);
                        for g in 0..8 {
                            panel.s[2 * (8 * c + g) + half].0[r] = i32::from(stretch.s[g]);
                        }
                        for (g, z) in stretch.z.as_chunks::<2>().0.iter().enumerate() {
                            panel.z[2 * (4 * c + g) + half].0[r] = i32::from(z[0]) | (i32::from(z[1]) << 16);
                        }
                    }
                    if format == BlockFormat::Q6K {
                        for (g, s) in b[192..208].iter().enumerate() {
                            panel.s[2 * (16 * c + g) + half].0[r] = i32::from(*s as i8);
                        }
                    }
                }
            }
            for (v, codes) in codes.iter().enumerate() {
                let lines = &mut panel.codes[2 * 64 * c..][..128];
                for (i, step) in transposed(*codes).into_iter().enumerate() {
                    let line = &mut lines[2 * place(format, v, i) + half];
                    // SAFETY: 64 bytes.
                    unsafe { _mm512_store_si512(line.0.as_mut_ptr().cast(), step) };
                }
            }
        }
    }
}

/// The bits of the f32 that an f16 is.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn number(b: &[u8], at: usize) -> i32 {
    let bits = i32::from(u16::from_le_bytes([b[at], b[at + 1]]));
    _mm_cvtsi128_si32(_mm_castps_si128(_mm_cvtph_ps(_mm_cvtsi32_si128(bits))))
}

/// The codes of 256 columns, none of them negative, in the order of [`place`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn codes_of<K: Kind>(b: &[u8], stretch: &mut Stretch) -> [__m512i; 4] {
    let nibble = _mm512_set1_epi8(15);
    // SAFETY: loads from slices whose lengths are checked.
    unsafe {
        let at = |from: usize| _mm512_loadu_si512(b[from..][..64].as_ptr().cast());
        match K::FORMAT {
            BlockFormat::Q8_0 => std::array::from_fn(|v| {
                let b = &b[68 * v..][..68];
                let low = _mm512_castsi256_si512(_mm256_loadu_si256(b[2..].as_ptr().cast()));
                let both = _mm512_inserti64x4::<1>(low, _mm256_loadu_si256(b[36..].as_ptr().cast()));
                _mm512_xor_si512(both, _mm512_set1_epi8(-128))
            }),
            BlockFormat::Q4_0 => {
                let index = four_blocks_index();
                let b = &b[..144];
                let (one, _) = four_blocks(b.as_ptr(), index);
                let (other, _) = four_blocks(b[72..].as_ptr(), index);
                let high = |x| _mm512_and_si512(_mm512_srli_epi16::<4>(x), nibble);
                [_mm512_and_si512(one, nibble), high(one), _mm512_and_si512(other, nibble), high(other)]
            }
            BlockFormat::Q2_0 => planes_of(four_blocks(b[..72].as_ptr(), four_blocks_index()).0),
            BlockFormat::Tq2_0 => planes_of(at(0)),
            BlockFormat::Q4K => {
                let (one, other) = (at(16), at(80));
                let high = |x| _mm512_and_si512(_mm512_srli_epi16::<4>(x), nibble);
                [_mm512_and_si512(one, nibble), high(one), _mm512_and_si512(other, nibble), high(other)]
            }
            BlockFormat::Q6K => {
                let b = b[..210].as_ptr();
                let ([a, b], [c, d]) = (six_bit_codes(b, 0), six_bit_codes(b, 1));
                [a, b, c, d]
            }
            _ => {
                for (i, b) in b.chunks_exact(K::FORMAT.block_bytes()).enumerate() {
                    Avx2::block::<K>(stretch, b, i * K::FORMAT.block());
                }
                let one = _mm512_set1_epi8(1);
                std::array::from_fn(|v| {
                    let codes = stretch.codes[64 * v..][..64].as_ptr();
                    _mm512_add_epi8(_mm512_loadu_si512(codes.cast()), one)
                })
            }
        }
    }
}

/// Lane i of every row, for each i.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
fn transposed(x: [__m512i; 16]) -> [__m512i; 16] {
    let mut a = x;
    for i in 0..8 {
        a[2 * i] = _mm512_unpacklo_epi32(x[2 * i], x[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_epi32(x[2 * i], x[2 * i + 1]);
    }
    // b[4 q + j]: rows 4 q to 4 q + 3 of lane j of each quarter.
    let mut b = a;
    for q in 0..4 {
        let a = &a[4 * q..][..4];
        b[4 * q] = _mm512_unpacklo_epi64(a[0], a[2]);
        b[4 * q + 1] = _mm512_unpackhi_epi64(a[0], a[2]);
        b[4 * q + 2] = _mm512_unpacklo_epi64(a[1], a[3]);
        b[4 * q + 3] = _mm512_unpackhi_epi64(a[1], a[3]);
    }
    let mut made = b;
    for j in 0..4 {
        let (p, q, r, s) = (b[j], b[4 + j], b[8 + j], b[12 + j]);
        let (even, odd) =
            (_mm512_shuffle_i32x4::<0b10_00_10_00>(p, q), _mm512_shuffle_i32x4::<0b11_01_11_01>(p, q));
        let (even2, odd2) =
            (_mm512_shuffle_i32x4::<0b10_00_10_00>(r, s), _mm512_shuffle_i32x4::<0b11_01_11_01>(r, s));
        // Quarters 0 and 2, 1 and 3.
        made[j] = _mm512_shuffle_i32x4::<0b10_00_10_00>(even, even2);
        made[8 + j] = _mm512_shuffle_i32x4::<0b11_01_11_01>(even, even2);
        made[4 + j] = _mm512_shuffle_i32x4::<0b10_00_10_00>(odd, odd2);
        made[12 + j] = _mm512_shuffle_i32x4::<0b11_01_11_01>(odd, odd2);
    }
    made
}

/// T tokens times the panel; returns T.
///
/// # Safety
/// The panel and the tokens' lists have the sizes of `x.k` columns.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
unsafe fn product<K: Kind, const T: usize>(
    panel: &Panel,
    x: &Activations<'_>,
    each: Sizes,
    token: usize,
    row: usize,
    count: usize,
    out: &mut Out<'_>,
) -> usize {
    const { assert!(T <= 8) };
    let format = K::FORMAT;
    let Units { unit, partials: lanes, .. } = const { Units::new(K::FORMAT, 256) };
    let inner = const {
        match K::FORMAT {
            BlockFormat::Q6K => 16,
            BlockFormat::Q4K => 32,
            _ => 256,
        }
    };
    let mut partials = [[[_mm512_setzero_ps(); 2]; 8]; T];
    // SAFETY: the caller's promise.
    unsafe {
        let q: [*const i8; T] = std::array::from_fn(|t| x.q.as_ptr().add((token + t) * each.q));
        let begin: [*const i32; T] = std::array::from_fn(|t| x.begin.as_ptr().add((token + t) * each.begin));
        let scales: [*const f32; T] =
            std::array::from_fn(|t| x.scales.as_ptr().add((token + t) * each.scales));
        let sums: [*const i16; T] = std::array::from_fn(|t| x.sums.as_ptr().add((token + t) * each.sums));
        let line = |list: &Vec<Line>, i: usize| _mm512_load_si512(list.as_ptr().add(i).cast());
        for u in 0..x.k / unit {
            let c = u * unit / 256;
            let mut acc = [[_mm512_setzero_si512(); 2]; T];
            if inner == 256 {
                for t in 0..T {
                    acc[t] = [_mm512_set1_epi32(*begin[t].add(u)); 2];
                }
                dots::<T, 8>(panel, &q, u * unit / 4, unit / 4, &mut acc);
            } else {
                for g in 0..256 / inner {
                    let at = 256 / inner * c + g;
                    let mut part = [[_mm512_setzero_si512(); 2]; T];
                    if format == BlockFormat::Q6K {
                        for t in 0..T {
                            part[t] = [_mm512_set1_epi32(*begin[t].add(at)); 2];
                        }
                    }
                    dots::<T, 4>(panel, &q, at * inner / 4, inner / 4, &mut part);
                    let s = [line(&panel.s, 2 * at), line(&panel.s, 2 * at + 1)];
                    for t in 0..T {
                        for v in 0..2 {
                            acc[t][v] = _mm512_add_epi32(acc[t][v], _mm512_mullo_epi32(part[t][v], s[v]));
                        }
                    }
                }
            }
            let d = [line(&panel.d, 2 * u), line(&panel.d, 2 * u + 1)].map(|d| _mm512_castsi512_ps(d));
            for t in 0..T {
                let scale = _mm512_set1_ps(*scales[t].add(c));
                for v in 0..2 {
                    let whole = _mm512_cvtepi32_ps(acc[t][v]);
                    let mut value = _mm512_mul_ps(_mm512_mul_ps(d[v], scale), whole);
                    if format == BlockFormat::Q4K {
                        let mut minus = _mm512_setzero_si512();
                        for g in 0..4 {
                            let pair = sums[t].add(8 * c + 2 * g).cast::<i32>().read_unaligned();
                            let z = line(&panel.z, 2 * (4 * c + g) + v);
                            minus = _mm512_dpwssd_epi32(minus, z, _mm512_set1_epi32(pair));
                        }
                        let m = _mm512_mul_ps(_mm512_castsi512_ps(line(&panel.m, 2 * c + v)), scale);
                        value = _mm512_sub_ps(value, _mm512_mul_ps(m, _mm512_cvtepi32_ps(minus)));
                    }
                    let sum = &mut partials[t][u % lanes][v];
                    *sum = _mm512_add_ps(*sum, value);
                }
            }
        }
    }
    for (t, partials) in partials.iter_mut().enumerate() {
        let mut n = lanes;
        while n > 1 {
            n /= 2;
            for i in 0..n {
                for v in 0..2 {
                    partials[i][v] = _mm512_add_ps(partials[i][v], partials[i + n][v]);
                }
            }
        }
        let to = &mut out.row(token + t)[row..][..count];
        for v in 0..2 {
            let some = count.saturating_sub(16 * v).min(16);
            let mask = ((1_u32 << some) - 1) as u16;
            // SAFETY: the mask keeps the access within the slice.
            unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr().wrapping_add(16 * v), mask, partials[0][v]) };
        }
    }
    T
}

/// Adds the products of `steps` steps from `first` on, C at a time.
///
/// # Safety
/// The panel and the tokens have so many.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,f16c,gfni")]
unsafe fn dots<const T: usize, const C: usize>(
    panel: &Panel,
    q: &[*const i8; T],
    first: usize,
    steps: usize,
    acc: &mut [[__m512i; 2]; T],
) {
    for chunk in 0..steps / C {
        for step in 0..C {
            let step = first + C * chunk + step;
            // SAFETY: the caller's promise.
            unsafe {
                let codes = panel.codes.as_ptr().add(2 * step);
                let (one, other) = (_mm512_load_si512(codes.cast()), _mm512_load_si512(codes.add(1).cast()));
                for t in 0..T {
                    let x = _mm512_set1_epi32(q[t].add(4 * step).cast::<i32>().read_unaligned());
                    acc[t][0] = _mm512_dpbusd_epi32(acc[t][0], one, x);
                    acc[t][1] = _mm512_dpbusd_epi32(acc[t][1], other, x);
                }
            }
        }
    }
}
