//! AVX2: `vpmaddubsw` multiplies unsigned codes by signed activations and adds neighbours in 16 bits. Codes are at
//! most 2, so a pair sum is at most 512 in magnitude and 64 of them fit; they are widened to 32 bits in time.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use axes::TritLayout;

use super::super::simd::Level;
use super::planes::{Few, PLANES, Shape, Span, total};
use super::{Out, PackedMatrix, RowAt};

const COMPUTE: u8 = 0;
const INTERCHANGE: u8 = 1;
const STORAGE: u8 = 2;

/// Pair sums of −512 to 508 that fit 16 bits.
const PAIRS: usize = 64;

/// The planes of 32 packed bytes as codes 0, 1, 2; four of them unless the layout is STORAGE.
#[inline]
#[target_feature(enable = "avx2")]
fn codes<const L: u8>(bytes: __m256i) -> [__m256i; PLANES] {
    let three = _mm256_set1_epi8(3);
    let zero = _mm256_setzero_si256();
    if L == STORAGE {
        let (mut rest, mut out) = (bytes, [zero; PLANES]);
        for (place, power) in [(4, 81), (3, 27), (2, 9), (1, 3)] {
            // Subtracted where that does not wrap, twice; what went is the digit.
            let p = _mm256_set1_epi8(power);
            let one = _mm256_min_epu8(rest, _mm256_sub_epi8(rest, p));
            let two = _mm256_min_epu8(one, _mm256_sub_epi8(one, p));
            // Minus one for each subtraction that did not happen.
            let kept = _mm256_add_epi8(_mm256_cmpeq_epi8(rest, one), _mm256_cmpeq_epi8(one, two));
            out[place] = _mm256_add_epi8(kept, _mm256_set1_epi8(2));
            rest = two;
        }
        out[0] = rest;
        return out;
    }
    let four = if L == INTERCHANGE {
        // 00 → 01, 01 → 00, 10 → 10: the low bit is flipped where the high one is 0.
        let high = _mm256_srli_epi16::<1>(bytes);
        _mm256_xor_si256(bytes, _mm256_andnot_si256(high, _mm256_set1_epi8(0x55)))
    } else {
        bytes
    };
    [
        _mm256_and_si256(four, three),
        _mm256_and_si256(_mm256_srli_epi16::<2>(four), three),
        _mm256_and_si256(_mm256_srli_epi16::<4>(four), three),
        _mm256_and_si256(_mm256_srli_epi16::<6>(four), three),
        zero,
    ]
}

/// The 64 bytes of a unit, zeros behind those of a tail.
#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8]) -> [__m256i; 2] {
    let mut padded = [0; 64];
    let bytes = if bytes.len() < 64 {
        padded[..bytes.len()].copy_from_slice(bytes);
        &padded[..]
    } else {
        &bytes[..64]
    };
    // SAFETY: 64 bytes, any alignment.
    unsafe { [_mm256_loadu_si256(bytes.as_ptr().cast()), _mm256_loadu_si256(bytes.as_ptr().add(32).cast())] }
}

#[inline]
#[target_feature(enable = "avx2")]
fn activations(x: &[i8], at: usize) -> __m256i {
    let x = &x[at..][..32];
    // SAFETY: 32 bytes, any alignment.
    unsafe { _mm256_loadu_si256(x.as_ptr().cast()) }
}

/// The sum of the lanes of each of four vectors.
#[inline]
#[target_feature(enable = "avx2")]
fn horizontal(x: [__m256i; 4]) -> [i32; 4] {
    let both = _mm256_hadd_epi32(_mm256_hadd_epi32(x[0], x[1]), _mm256_hadd_epi32(x[2], x[3]));
    let sums = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256::<1>(both));
    let mut out = [0; 4];
    // SAFETY: an unaligned store of 16 bytes into 16 bytes.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), sums) };
    out
}

/// 16-bit pair sums of R rows, and the 32-bit sums that they go to before they overflow.
struct Sums<const R: usize> {
    narrow: [__m256i; R],
    wide: [__m256i; R],
    pairs: usize,
}

impl<const R: usize> Sums<R> {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new() -> Self {
        Self { narrow: [_mm256_setzero_si256(); R], wide: [_mm256_setzero_si256(); R], pairs: 0 }
    }

    /// Makes room for `pairs` more pair sums.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn room(&mut self, pairs: usize) {
        self.pairs += pairs;
        if self.pairs > PAIRS {
            self.widen();
            self.pairs = pairs;
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn widen(&mut self) {
        let one = _mm256_set1_epi16(1);
        for (narrow, wide) in self.narrow.iter_mut().zip(&mut self.wide) {
            *wide = _mm256_add_epi32(*wide, _mm256_madd_epi16(*narrow, one));
            *narrow = _mm256_setzero_si256();
        }
    }
}

/// The memory-bound form; see [`super::few`].
#[target_feature(enable = "avx2")]
pub(super) fn few(w: &PackedMatrix<'_>, shape: &Shape, span: Span, x: &Few<'_>, n: usize, out: &mut Out<'_>) {
    match shape.layout {
        TritLayout::Compute | TritLayout::Bytes => few_of::<COMPUTE>(w, shape, span, x, n, out),
        TritLayout::Interchange => few_of::<INTERCHANGE>(w, shape, span, x, n, out),
        TritLayout::Storage => few_of::<STORAGE>(w, shape, span, x, n, out),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn few_of<const L: u8>(
    w: &PackedMatrix<'_>,
    shape: &Shape,
    span: Span,
    x: &Few<'_>,
    n: usize,
    out: &mut Out<'_>,
) {
    let mut row = 0;
    while row < out.rows {
        let count = (out.rows - row).min(4);
        // Rows that a smaller group lacks are its last one again; their sums are dropped.
        let at: [_; 4] = std::array::from_fn(|r| w.row(out.first + row + r.min(count - 1), shape));
        for token in 0..n {
            let x_planes = x.token(token).as_flattened();
            let sums = if L == COMPUTE {
                rows_of::<L, 4>(w, shape, span, &at, x_planes)
            } else {
                // Row by row: memory that is read in one run is read faster than in four.
                let mut sums = [_mm256_setzero_si256(); 4];
                for r in 0..count {
                    [sums[r]] = rows_of::<L, 1>(w, shape, span, &[at[r]], x_planes);
                }
                sums
            };
            let made = horizontal(sums);
            for (to, made) in out.row(token)[row..][..count].iter_mut().zip(made) {
                *to = if span.from == 0 { 0 } else { *to } + made - x.sum(token);
            }
        }
        row += count;
    }
}

/// Sums of codes times activations over the span, eight lanes for each of R rows.
#[inline]
#[target_feature(enable = "avx2")]
fn rows_of<const L: u8, const R: usize>(
    w: &PackedMatrix<'_>,
    shape: &Shape,
    span: Span,
    at: &[RowAt; R],
    x: &[i8],
) -> [__m256i; R] {
    let planes = if L == STORAGE { 5 } else { 4 };
    let mut sums = Sums::<R>::new();
    for unit in span.from..span.to {
        let bytes: [_; R] = std::array::from_fn(|r| load(w.unit(&at[r], unit, shape)));
        let x = &x[(unit - span.from) * 64 * planes..][..64 * planes];
        for half in 0..2 {
            sums.room(planes);
            let mut own = [_mm256_setzero_si256(); PLANES];
            for p in 0..planes {
                own[p] = activations(x, 64 * p + 32 * half);
            }
            for r in 0..R {
                let codes = codes::<L>(bytes[r][half]);
                for p in 0..planes {
                    let pairs = _mm256_maddubs_epi16(codes[p], own[p]);
                    sums.narrow[r] = _mm256_add_epi16(sums.narrow[r], pairs);
                }
            }
        }
    }
    sums.widen();
    sums.wide
}

/// Units of 64 bytes that are unpacked at once.
const UNITS: usize = 8;
/// Tokens that share an unpacked group of rows.
const TOKENS: usize = 24;
/// Columns of a run, padding included.
const COLUMNS: usize = UNITS * PLANES * 64;

/// Unpacked codes of four rows and the activations of the tokens, row by row.
#[repr(C, align(64))]
struct Run {
    codes: [[u8; COLUMNS]; 4],
    tokens: [MaybeUninit<[i8; COLUMNS]>; TOKENS],
}

/// The compute-bound form; see [`super::many`].
#[target_feature(enable = "avx2")]
pub(super) fn many(w: &PackedMatrix<'_>, shape: &Shape, x: &[i8], n: usize, out: &mut Out<'_>) {
    match shape.layout {
        TritLayout::Compute | TritLayout::Bytes => many_of::<COMPUTE>(w, shape, x, n, out),
        TritLayout::Interchange => many_of::<INTERCHANGE>(w, shape, x, n, out),
        TritLayout::Storage => many_of::<STORAGE>(w, shape, x, n, out),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn many_of<const L: u8>(w: &PackedMatrix<'_>, shape: &Shape, x: &[i8], n: usize, out: &mut Out<'_>) {
    let k = w.columns;
    let mut run = Run { codes: [[0; _]; 4], tokens: [const { MaybeUninit::uninit() }; _] };
    for span in shape.spans(UNITS) {
        let stride = |unit: usize| if unit < shape.whole { 64 } else { shape.tail.next_multiple_of(32) };
        let len: usize = (span.from..span.to).map(|unit| stride(unit) * shape.planes).sum();
        let columns = (span.from * shape.block()).min(k)..k.min(span.to * shape.block());
        let mut from = 0;
        while from < n {
            let count = TOKENS.min(n - from);
            let mut sums = [0; TOKENS];
            for token in 0..count {
                let x = &x[(from + token) * k..][..k];
                sums[token] = total(&x[columns.clone()]);
                let to = run.tokens[token].write([0; COLUMNS]);
                let mut at = 0;
                for unit in span.from..span.to {
                    shape.arrange(Level::Avx2, x, unit, stride(unit), &mut to[at..]);
                    at += stride(unit) * shape.planes;
                }
            }
            let mut row = 0;
            while row < out.rows {
                let rows = (out.rows - row).min(4);
                for r in 0..4 {
                    let at = w.row(out.first + row + r.min(rows - 1), shape);
                    let mut to = 0;
                    for unit in span.from..span.to {
                        let bytes = load(w.unit(&at, unit, shape));
                        let stride = stride(unit);
                        let place = &mut run.codes[r][to..][..stride * shape.planes];
                        for half in 0..stride / 32 {
                            let codes = codes::<L>(bytes[half]);
                            for (code, place) in codes.iter().zip(place.chunks_exact_mut(stride)) {
                                let place = &mut place[32 * half..][..32];
                                // SAFETY: 32 bytes, any alignment.
                                unsafe { _mm256_storeu_si256(place.as_mut_ptr().cast(), *code) };
                            }
                        }
                        to += stride * shape.planes;
                    }
                }
                let mut token = 0;
                while token < count {
                    let pair = [token, (token + 1).min(count - 1)];
                    // SAFETY: all tokens below `count` were written above.
                    let x = pair.map(|t| unsafe { &run.tokens[t].assume_init_ref()[..len] });
                    let made = tile(x, &run.codes);
                    for (t, made) in pair.into_iter().zip(made).take((count - token).min(2)) {
                        for (to, made) in out.row(from + t)[row..][..rows].iter_mut().zip(made) {
                            *to = if span.from == 0 { 0 } else { *to } + made - sums[t];
                        }
                    }
                    token += 2;
                }
                row += rows;
            }
            from += count;
        }
    }
}

/// Two tokens by four rows.
#[inline]
#[target_feature(enable = "avx2")]
fn tile(x: [&[i8]; 2], codes: &[[u8; COLUMNS]; 4]) -> [[i32; 4]; 2] {
    let len = x[0].len();
    assert!(x[1].len() == len && len <= COLUMNS && len.is_multiple_of(32));
    let mut sums = [Sums::<4>::new(), Sums::<4>::new()];
    let mut at = 0;
    while at < len {
        let end = len.min(at + 32 * PAIRS);
        while at < end {
            // SAFETY: `at + 32` does not leave the rows, whose lengths were checked.
            unsafe {
                let x = [0, 1].map(|t| _mm256_loadu_si256(x[t].as_ptr().add(at).cast()));
                for r in 0..4 {
                    let code = _mm256_loadu_si256(codes[r].as_ptr().add(at).cast());
                    for t in 0..2 {
                        let pairs = _mm256_maddubs_epi16(code, x[t]);
                        sums[t].narrow[r] = _mm256_add_epi16(sums[t].narrow[r], pairs);
                    }
                }
            }
            at += 32;
        }
        sums.iter_mut().for_each(|s| s.widen());
    }
    sums.map(|s| horizontal(s.wide))
}
