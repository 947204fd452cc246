//! The compute-bound form: 16 rows of packed bytes are transposed, so that a 32-bit lane has four bytes of its row, and
//! stay packed in the first-level cache. A micro-kernel masks the planes out of them as it goes, which costs a seventh
//! of an instruction for each multiply-accumulate, and multiplies them by broadcast activations: on a core that
//! does two multiply-accumulates a cycle, unpacked codes would be too much to load.

use std::arch::asm;
use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use axes::TritLayout;

use super::super::planes::{Few, Shape, Span};
use super::super::{Finish, Out, PackedMatrix};
use super::{COMPUTE, INTERCHANGE, STORAGE, codes, load_tail, table};
use premap::cut::TRIT_ROWS as TASK_ROWS;

/// Units of 64 bytes that are transposed at once: tile and tokens of a micro-kernel fit the first-level cache.
pub(in super::super) const UNITS: usize = 8;
/// Vectors of 16 rows of a micro-kernel.
const VECTORS: usize = 2;
/// Weight rows of a micro-kernel.
const HEIGHT: usize = 16 * VECTORS;
/// Most tokens of a micro-kernel: 24 accumulators.
const WIDTH: usize = 24 / VECTORS;

/// Packed bytes as the micro-kernel reads them: for each 16 bytes of a unit, four bytes of each row.
#[repr(C, align(64))]
struct Panel([MaybeUninit<[[u8; 64]; VECTORS]>; UNITS * 16]);

/// The compute-bound form; see [`super::super::many`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
pub(in super::super) fn many(
    w: &PackedMatrix<'_>,
    shape: &Shape,
    span: Span,
    x: &Few<'_>,
    tokens: (usize, usize),
    finish: Finish<'_>,
    out: &mut Out<'_>,
) {
    match shape.layout {
        TritLayout::Compute | TritLayout::Bytes => many_of::<COMPUTE>(w, shape, span, x, tokens, finish, out),
        TritLayout::Interchange => many_of::<INTERCHANGE>(w, shape, span, x, tokens, finish, out),
        TritLayout::Storage => many_of::<STORAGE>(w, shape, span, x, tokens, finish, out),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn many_of<const L: u8>(
    w: &PackedMatrix<'_>,
    shape: &Shape,
    span: Span,
    x: &Few<'_>,
    (first, n): (usize, usize),
    finish: Finish<'_>,
    out: &mut Out<'_>,
) {
    assert!(out.rows <= TASK_ROWS && span.to - span.from <= UNITS);
    let mut panels = [const { Panel([const { MaybeUninit::uninit() }; _]) }; TASK_ROWS.div_ceil(HEIGHT)];
    let tiles = out.rows.div_ceil(HEIGHT);
    for (tile, panel) in panels[..tiles].iter_mut().enumerate() {
        for vector in 0..VECTORS {
            let row = tile * HEIGHT + 16 * vector;
            let count = out.rows.saturating_sub(row).min(16);
            if count == 0 {
                // Multiplied, whatever is in memory, and never stored: but it has to be something.
                panel.0.iter_mut().for_each(|to| {
                    // SAFETY: vector `vector` of `VECTORS`, 64 bytes each.
                    let to = unsafe { to.as_mut_ptr().cast::<__m512i>().add(vector) };
                    // SAFETY: as above.
                    unsafe { _mm512_store_si512(to, _mm512_setzero_si512()) };
                });
                continue;
            }
            let (at, row_bytes) = (w.row(out.first + row, shape), shape.layout.row_bytes(w.columns));
            for unit in span.from..span.to {
                let (start, len) =
                    if unit < shape.whole { (at.start + unit * at.step, 64) } else { (at.tail, shape.tail) };
                // Groups of four rows lie behind each other, whole but for the matrix's last one.
                let inside = if L == COMPUTE { len } else { row_bytes };
                let mask = u64::MAX >> (64 - len.clamp(1, 64));
                let place = |r: usize| start + r / 4 * 4 * row_bytes + r % 4 * inside;
                let whole = if L == COMPUTE { count / 4 * 4 } else { count };
                let end = if whole == 0 { 0 } else { place(whole - 1) + len };
                let bytes = &w.bytes[..end];
                let mut vectors = [_mm512_setzero_si512(); 16];
                for (r, vector) in vectors.iter_mut().enumerate().take(whole) {
                    // SAFETY: ends within `bytes`, as that of the last row does.
                    *vector = unsafe { _mm512_maskz_loadu_epi8(mask, bytes.as_ptr().add(place(r)).cast()) };
                }
                for (r, vector) in vectors.iter_mut().enumerate().take(count).skip(whole) {
                    *vector = load_tail(w.unit(&w.row(out.first + row + r, shape), unit, shape));
                }
                let to = &mut panel.0[16 * (unit - span.from)..][..16];
                for (to, bytes) in to.iter_mut().zip(transposed(vectors)) {
                    // SAFETY: vector `vector` of `VECTORS`, 64 bytes each.
                    unsafe { _mm512_store_si512(to.as_mut_ptr().cast::<__m512i>().add(vector), bytes) };
                }
            }
        }
    }
    // Tokens are dealt out evenly: a micro-kernel of few tokens waits for its sums.
    let width = n.div_ceil(n.div_ceil(WIDTH));
    // While this task multiplies, the weights of the next one come from memory.
    let ahead = Ahead::new(w, shape, span, out, n.div_ceil(width) * tiles);
    let mut from = 0;
    while from < n {
        let count = width.min(n - from);
        for (tile, panel) in panels[..tiles].iter().enumerate() {
            ahead.fetch(from / width * tiles + tile);
            let part = Part {
                at: from,
                token: first + from,
                row: tile * HEIGHT,
                first: span.from == 0,
                finish: if span.last { finish } else { Finish::Sums },
            };
            macro_rules! widths {
                ($($n:literal)*) => {
                    match count {
                        $($n => micro::<L, $n>(panel, shape, span, x, part, out),)*
                        _ => micro::<L, WIDTH>(panel, shape, span, x, part, out),
                    }
                };
            }
            widths!(1 2 3 4 5 6 7 8 9 10 11);
        }
        from += count;
    }
}

/// The transpose of a 16 × 16 matrix of 32-bit elements.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn transposed(x: [__m512i; 16]) -> [__m512i; 16] {
    let zero = _mm512_setzero_si512();
    let (mut a, mut b, mut out) = ([zero; 16], [zero; 16], [zero; 16]);
    for i in 0..8 {
        a[2 * i] = _mm512_unpacklo_epi32(x[2 * i], x[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_epi32(x[2 * i], x[2 * i + 1]);
    }
    // b[4 i + c]: column c of each quarter, of rows 4 i .. 4 i + 4.
    for i in 0..4 {
        b[4 * i] = _mm512_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 1] = _mm512_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 2] = _mm512_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
        b[4 * i + 3] = _mm512_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
    }
    for c in 0..4 {
        let low = _mm512_shuffle_i32x4::<0x44>(b[c], b[4 + c]);
        let high = _mm512_shuffle_i32x4::<0xee>(b[c], b[4 + c]);
        let low2 = _mm512_shuffle_i32x4::<0x44>(b[8 + c], b[12 + c]);
        let high2 = _mm512_shuffle_i32x4::<0xee>(b[8 + c], b[12 + c]);
        out[c] = _mm512_shuffle_i32x4::<0x88>(low, low2);
        out[4 + c] = _mm512_shuffle_i32x4::<0xdd>(low, low2);
        out[8 + c] = _mm512_shuffle_i32x4::<0x88>(high, high2);
        out[12 + c] = _mm512_shuffle_i32x4::<0xdd>(high, high2);
    }
    out
}

/// The packed bytes behind those of a task, cut into as many parts as it has micro-kernels.
struct Ahead<'a> {
    bytes: &'a [u8],
    part: usize,
}

impl<'a> Ahead<'a> {
    fn new(w: &PackedMatrix<'a>, shape: &Shape, span: Span, out: &Out<'_>, parts: usize) -> Self {
        let row_bytes = shape.layout.row_bytes(w.columns);
        // Once for each task, whatever the number of its spans.
        let from = if span.from == 0 { (out.first + out.rows) * row_bytes } else { w.bytes.len() };
        let bytes = &w.bytes[from..w.bytes.len().min(from + out.rows * row_bytes)];
        Self { bytes, part: bytes.len().div_ceil(parts.max(1)) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
    fn fetch(&self, index: usize) {
        let bytes = self.bytes.get(index * self.part..).unwrap_or_default();
        for line in bytes[..self.part.min(bytes.len())].chunks(64) {
            _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
        }
    }
}

/// Where a micro-kernel's results go: tokens from `at` of the task, `token` of all, outputs from `row` of the task;
/// `first` sets, others add.
#[derive(Clone, Copy)]
struct Part<'a> {
    at: usize,
    token: usize,
    row: usize,
    first: bool,
    finish: Finish<'a>,
}

/// Adds the products of four columns of plane `$plane`: two vectors of codes, and four activations of each of `$n`
/// tokens, of which every fourth has its address in `$at`.
///
/// Written as assembly and without loops: the compiler would load many activations ahead of their use, more than
/// there are registers for, and spill the sums.
macro_rules! columns {
    ($n:ident, $acc:ident, $code:ident, $at:ident, $stride:ident, $plane:literal) => {
        columns!(@ $n $acc $code $plane, 0, $at[0], $stride, "");
        columns!(@ $n $acc $code $plane, 1, $at[0], $stride, " + {s}");
        columns!(@ $n $acc $code $plane, 2, $at[0], $stride, " + 2 * {s}");
        columns!(@ $n $acc $code $plane, 3, $at[0], 3 * $stride, " + {s}");
        columns!(@ $n $acc $code $plane, 4, $at[1], $stride, "");
        columns!(@ $n $acc $code $plane, 5, $at[1], $stride, " + {s}");
        columns!(@ $n $acc $code $plane, 6, $at[1], $stride, " + 2 * {s}");
        columns!(@ $n $acc $code $plane, 7, $at[1], 3 * $stride, " + {s}");
        columns!(@ $n $acc $code $plane, 8, $at[2], $stride, "");
        columns!(@ $n $acc $code $plane, 9, $at[2], $stride, " + {s}");
        columns!(@ $n $acc $code $plane, 10, $at[2], $stride, " + 2 * {s}");
        columns!(@ $n $acc $code $plane, 11, $at[2], 3 * $stride, " + {s}");
    };
    (@ $n:ident $acc:ident $code:ident $plane:literal, $t:literal, $at:expr, $stride:expr, $index:literal) => {
        if $t < $n {
            let [mut first, mut second] = $acc[$t];
            let _word: __m512i;
            // SAFETY: reads four bytes of a line of this token, which the caller has checked, and nothing else.
            unsafe {
                asm!(
                    concat!("vpbroadcastd {x}, dword ptr [{at}", $index, " + {plane}] /* {s} */"),
                    "vpdpbusd {first}, {low}, {x}",
                    "vpdpbusd {second}, {high}, {x}",
                    x = out(zmm_reg) _word,
                    first = inout(zmm_reg) first,
                    second = inout(zmm_reg) second,
                    low = in(zmm_reg) $code[0],
                    high = in(zmm_reg) $code[1],
                    at = in(reg) $at,
                    s = in(reg) $stride,
                    plane = const 64 * $plane,
                    options(readonly, nostack, preserves_flags),
                );
            }
            $acc[$t] = [first, second];
        }
    };
}

/// [`HEIGHT`] rows by N tokens over the span.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")]
fn micro<const L: u8, const N: usize>(
    panel: &Panel,
    shape: &Shape,
    span: Span,
    x: &Few<'_>,
    part: Part<'_>,
    out: &mut Out<'_>,
) {
    let planes = if L == STORAGE { 5 } else { 4 };
    let units = span.to - span.from;
    // All lines that are read below lie within those of the last token.
    assert!(N <= WIDTH && units <= UNITS && x.token(part.token + N - 1).len() == units * planes);
    let (table, three) = (table(), _mm512_set1_epi8(3));
    let mut acc = [[_mm512_setzero_si512(); VECTORS]; WIDTH];
    let stride = 64 * x.stride();
    let first = x.token(part.token).as_ptr().cast::<i8>();
    for unit in 0..units {
        let wide = if span.from + unit < shape.whole { 16 } else { shape.tail.div_ceil(4) };
        let x = first.wrapping_add(64 * planes * unit);
        for j in 0..wide {
            // SAFETY: `j` is below 16, and the first `wide` elements of every unit were written.
            let bytes: [_; VECTORS] = std::array::from_fn(|v| unsafe {
                _mm512_load_si512(panel.0[16 * unit + j].as_ptr().cast::<__m512i>().add(v))
            });
            let both = bytes.map(|bytes| codes::<L>(bytes, table));
            // The first of every four tokens.
            let at = [0, 4, 8].map(|t| x.wrapping_add(4 * j + t * stride));
            let four = both.map(|(four, _)| four);
            macro_rules! plane {
                ($plane:literal, $codes:expr) => {
                    let code = $codes.map(|code| _mm512_and_si512(code, three));
                    columns!(N, acc, code, at, stride, $plane);
                };
            }
            plane!(0, four);
            plane!(1, four.map(|code| _mm512_srli_epi16::<2>(code)));
            plane!(2, four.map(|code| _mm512_srli_epi16::<4>(code)));
            plane!(3, four.map(|code| _mm512_srli_epi16::<6>(code)));
            if L == STORAGE {
                // 0, 81, 162 have their digit in bits 6 and 7.
                plane!(4, both.map(|(_, fifth)| _mm512_srli_epi16::<6>(fifth)));
            }
        }
    }
    // A copy that is indexed by variables, so that the original need not lie in memory.
    let a = acc;
    let sums = [a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11]];
    let rows = (out.rows - part.row).min(HEIGHT);
    for t in 0..N {
        let to = out.row(part.at + t)[part.row..][..rows].as_mut_ptr();
        let sum = _mm512_set1_epi32(x.sum(part.token + t));
        let scales = part.finish.scales();
        let scales = scales.map(|(x, w)| [_mm512_set1_ps(x[part.token + t]), _mm512_set1_ps(w)]);
        for v in 0..VECTORS {
            let mask = (u64::MAX >> (64 - rows) >> (16 * v)) as u16;
            let to = to.wrapping_add(16 * v);
            let made = _mm512_sub_epi32(sums[t][v], sum);
            // SAFETY: the masks keep the accesses within the slice.
            unsafe {
                let old =
                    if part.first { _mm512_setzero_si512() } else { _mm512_maskz_loadu_epi32(mask, to) };
                let mut made = _mm512_add_epi32(old, made);
                if let Some([x, w]) = scales {
                    made = _mm512_castps_si512(_mm512_div_ps(_mm512_div_ps(_mm512_cvtepi32_ps(made), x), w));
                }
                _mm512_mask_storeu_epi32(to, mask, made);
            }
        }
    }
}
