//! The memory-bound form for two to eight tokens: one pass over the weights. The planes are shifted down here, so that a
//! row needs one sum for each token rather than one for each plane, and the sums of all tokens fit the registers.

use std::arch::x86_64::*;

use axes::TritLayout;

use super::super::planes::{Few, Shape, Span};
use super::super::{Out, PackedMatrix};
use super::{COMPUTE, INTERCHANGE, STORAGE, codes, horizontal, load_tail, table};

/// See [`super::few`]; `n` is 2 to 8.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
pub(super) fn several(
    w: &PackedMatrix<'_>,
    shape: &Shape,
    span: Span,
    x: &Few<'_>,
    n: usize,
    out: &mut Out<'_>,
) {
    /// Tokens that share the codes in registers: more would need more registers than there are.
    macro_rules! tokens {
        ($layout:ident) => {{
            for row in (0..out.rows).step_by(4) {
                let mut from = 0;
                // The second time, the rows come from the first-level cache.
                while from < n {
                    let count = if n < 6 { n } else { n.div_ceil(2).min(n - from) };
                    match count {
                        1 => rows_of::<$layout, 1>(w, shape, span, x, row, from, out),
                        2 => rows_of::<$layout, 2>(w, shape, span, x, row, from, out),
                        3 => rows_of::<$layout, 3>(w, shape, span, x, row, from, out),
                        4 => rows_of::<$layout, 4>(w, shape, span, x, row, from, out),
                        _ => rows_of::<$layout, 5>(w, shape, span, x, row, from, out),
                    }
                    from += count.min(5);
                }
            }
        }};
    }
    match shape.layout {
        TritLayout::Compute | TritLayout::Bytes => tokens!(COMPUTE),
        TritLayout::Interchange => tokens!(INTERCHANGE),
        TritLayout::Storage => tokens!(STORAGE),
    }
}

/// Rows that come from memory while this one is multiplied. Several tokens keep the core too busy for its own
/// prefetching, which a single one does better without.
const AHEAD: usize = 8;

/// Four rows by N tokens.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn rows_of<const L: u8, const N: usize>(
    w: &PackedMatrix<'_>,
    shape: &Shape,
    span: Span,
    x: &Few<'_>,
    row: usize,
    from: usize,
    out: &mut Out<'_>,
) {
    let table = table();
    let planes = if L == STORAGE { 5 } else { 4 };
    let blocks = shape.whole.min(span.to) - span.from.min(shape.whole);
    let has_tail = span.to > shape.whole;
    // All lines that are read below lie within those of the last token.
    assert!(x.token(from + N - 1).len() == (blocks + usize::from(has_tail)) * planes);
    let (lines, stride) = (x.token(from).as_ptr(), x.stride());
    let count = (out.rows - row).min(4);
    // Rows that a smaller group lacks are its last one again; their sums are dropped.
    let at: [_; 4] = std::array::from_fn(|r| w.row(out.first + row + r.min(count - 1), shape));
    let mut acc = [[_mm512_setzero_si512(); 4]; N];
    if blocks > 0 {
        // One check for all blocks of a row.
        let rows: [_; 4] = std::array::from_fn(|r| {
            let from = at[r].start + span.from * at[r].step;
            w.bytes[from..][..(blocks - 1) * at[r].step + 64].as_ptr()
        });
        let step = at[0].step;
        let ahead = AHEAD * shape.layout.row_bytes(w.columns);
        for block in 0..blocks {
            // SAFETY: the last block of each row ends within the slice that was just taken.
            let bytes: [_; 4] =
                std::array::from_fn(|r| unsafe { _mm512_loadu_si512(rows[r].add(block * step).cast()) });
            for row in rows {
                // A hint: any address will do.
                _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(block * step + ahead).cast());
            }
            add::<L, N>(bytes, lines.wrapping_add(block * planes), stride, table, &mut acc);
        }
    }
    if has_tail {
        let bytes: [_; 4] = std::array::from_fn(|r| load_tail(w.unit(&at[r], shape.whole, shape)));
        add::<L, N>(bytes, lines.wrapping_add(blocks * planes), stride, table, &mut acc);
    }
    for (token, acc) in (from..).zip(acc) {
        let made = _mm_sub_epi32(horizontal(acc), _mm_set1_epi32(x.sum(token)));
        let mask = 0xf >> (4 - count);
        let to = out.row(token)[row..][..count].as_mut_ptr();
        // SAFETY: the mask keeps both accesses within the slice.
        unsafe {
            let old = if span.from == 0 { _mm_setzero_si128() } else { _mm_maskz_loadu_epi32(mask, to) };
            _mm_mask_storeu_epi32(to, mask, _mm_add_epi32(old, made));
        }
    }
}

/// Adds the products of one unit of four rows: every sum has one value for each four columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn add<const L: u8, const N: usize>(
    bytes: [__m512i; 4],
    x: *const [i8; 64],
    stride: usize,
    table: [__m512i; 2],
    acc: &mut [[__m512i; 4]; N],
) {
    let three = _mm512_set1_epi8(3);
    let planes = if L == STORAGE { 5 } else { 4 };
    let both = bytes.map(|bytes| codes::<L>(bytes, table));
    let mut four = both.map(|(four, _)| four);
    for p in 0..planes {
        let code = if p == 4 {
            // 0, 81, 162 have their digit in bits 6 and 7.
            both.map(|(_, fifth)| _mm512_and_si512(_mm512_srli_epi16::<6>(fifth), three))
        } else {
            let code = four.map(|four| _mm512_and_si512(four, three));
            four = four.map(|four| _mm512_srli_epi16::<2>(four));
            code
        };
        for t in 0..N {
            // SAFETY: a line of the token, as `rows_of` has checked.
            let x = unsafe { _mm512_loadu_si512(x.wrapping_add(t * stride + p).cast()) };
            for r in 0..4 {
                acc[t][r] = _mm512_dpbusd_epi32(acc[t][r], code[r], x);
            }
        }
    }
}
