//! NEON: 16 products an instruction with `sdot`, where the machine has it; 8 with `smlal` everywhere else.
//!
//! Both forms take codes 0, 1, 2 and subtract Σ x, as the others do. Without `sdot`, products of at most 256 in
//! magnitude are added up in 16 bits, 128 to a lane, and widened to 32 bits in time. The intrinsic of `sdot` is not
//! stable yet, so that one instruction is written as assembly.

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};
use std::mem::MaybeUninit;

use axes::TritLayout;

use super::super::simd::Level;
use super::planes::{Few, PLANES, Shape, Span, total};
use super::{Out, PackedMatrix};

const COMPUTE: u8 = 0;
const INTERCHANGE: u8 = 1;
const STORAGE: u8 = 2;

/// Bytes of a vector.
const WIDTH: usize = 16;

/// Sums of products of codes and activations.
trait Sums: Copy {
    /// Vectors that can be added before [`Sums::widen`] has to be called.
    const ROOM: usize;

    fn zero() -> Self;
    /// Adds 16 products.
    ///
    /// # Safety
    /// The machine has the instructions of the form.
    unsafe fn add(&mut self, codes: int8x16_t, x: int8x16_t);
    fn widen(&mut self);
    /// The sum of all lanes, widened before.
    fn total(self) -> i32;
}

/// `smlal`: for every aarch64 machine.
#[derive(Clone, Copy)]
struct Long {
    narrow: int16x8_t,
    wide: int32x4_t,
}

impl Sums for Long {
    /// Two products a lane of at least −256 each: 2 · 64 · 256 is the magnitude of the smallest i16.
    const ROOM: usize = 64;

    #[inline(always)]
    fn zero() -> Self {
        // SAFETY: every aarch64 machine that this program is compiled for has NEON.
        unsafe { Self { narrow: vdupq_n_s16(0), wide: vdupq_n_s32(0) } }
    }

    #[inline(always)]
    unsafe fn add(&mut self, codes: int8x16_t, x: int8x16_t) {
        // SAFETY: NEON, as above.
        unsafe {
            let low = vmlal_s8(self.narrow, vget_low_s8(codes), vget_low_s8(x));
            self.narrow = vmlal_high_s8(low, codes, x);
        }
    }

    #[inline(always)]
    fn widen(&mut self) {
        // SAFETY: NEON, as above.
        unsafe {
            self.wide = vpadalq_s16(self.wide, self.narrow);
            self.narrow = vdupq_n_s16(0);
        }
    }

    #[inline(always)]
    fn total(self) -> i32 {
        // SAFETY: NEON, as above.
        unsafe { vaddvq_s32(self.wide) }
    }
}

/// `sdot`: Armv8.2 with the dot-product extension, Armv8.4 and later.
#[derive(Clone, Copy)]
struct Dot(int32x4_t);

impl Sums for Dot {
    /// Sums of spans are far below 2³¹.
    const ROOM: usize = usize::MAX;

    #[inline(always)]
    fn zero() -> Self {
        // SAFETY: NEON, as above.
        Self(unsafe { vdupq_n_s32(0) })
    }

    #[inline(always)]
    unsafe fn add(&mut self, codes: int8x16_t, x: int8x16_t) {
        // SAFETY: the caller has found the extension.
        self.0 = unsafe { sdot(self.0, codes, x) };
    }

    #[inline(always)]
    fn widen(&mut self) {}

    #[inline(always)]
    fn total(self) -> i32 {
        // SAFETY: NEON, as above.
        unsafe { vaddvq_s32(self.0) }
    }
}

/// Adds four products to each lane.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(in super::super) fn sdot(mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction reads and writes the three registers alone, and the function is compiled for it.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {a:v}.16b, {b:v}.16b",
            sums = inout(vreg) sums,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// The planes of 16 packed bytes as codes 0, 1, 2; four of them unless the layout is STORAGE.
#[inline(always)]
fn codes<const L: u8>(bytes: uint8x16_t) -> [int8x16_t; PLANES] {
    // SAFETY: NEON, as above.
    unsafe {
        let zero = vdupq_n_s8(0);
        if L == STORAGE {
            let (mut rest, mut out) = (bytes, [zero; PLANES]);
            for (place, power) in [(4, 81), (3, 27), (2, 9), (1, 3)] {
                // Subtracted where that does not wrap, twice; what went is the digit.
                let p = vdupq_n_u8(power);
                let one = vminq_u8(rest, vsubq_u8(rest, p));
                let two = vminq_u8(one, vsubq_u8(one, p));
                // Minus one for each subtraction that did not happen.
                let kept = vaddq_u8(vceqq_u8(rest, one), vceqq_u8(one, two));
                out[place] = vreinterpretq_s8_u8(vaddq_u8(kept, vdupq_n_u8(2)));
                rest = two;
            }
            out[0] = vreinterpretq_s8_u8(rest);
            return out;
        }
        let four = if L == INTERCHANGE {
            // 00 → 01, 01 → 00, 10 → 10: the low bit is flipped where the high one is 0.
            let high = vshrq_n_u8::<1>(bytes);
            veorq_u8(bytes, vbicq_u8(vdupq_n_u8(0x55), high))
        } else {
            bytes
        };
        let three = vdupq_n_u8(3);
        [
            vreinterpretq_s8_u8(vandq_u8(four, three)),
            vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8::<2>(four), three)),
            vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8::<4>(four), three)),
            vreinterpretq_s8_u8(vshrq_n_u8::<6>(four)),
            zero,
        ]
    }
}

/// The 64 bytes of a unit, zeros behind those of a tail.
#[inline(always)]
fn load(bytes: &[u8]) -> [uint8x16_t; 4] {
    let mut padded = [0; 64];
    let bytes = if bytes.len() < 64 {
        padded[..bytes.len()].copy_from_slice(bytes);
        &padded[..]
    } else {
        &bytes[..64]
    };
    let from = bytes.as_ptr();
    // SAFETY: 64 bytes, any alignment.
    unsafe { [vld1q_u8(from), vld1q_u8(from.add(WIDTH)), vld1q_u8(from.add(32)), vld1q_u8(from.add(48))] }
}

#[inline(always)]
fn activations(x: &[i8], at: usize) -> int8x16_t {
    let x = &x[at..][..WIDTH];
    // SAFETY: 16 bytes, any alignment.
    unsafe { vld1q_s8(x.as_ptr()) }
}

/// Makes a function of each layout and form out of a body that is generic over both.
macro_rules! forms {
    ($(#[$meta:meta])* $name:ident, $body:ident, ($($arg:ident : $ty:ty),*)) => {
        $(#[$meta])*
        pub(super) fn $name(w: &PackedMatrix<'_>, shape: &Shape, $($arg: $ty),*) {
            #[target_feature(enable = "neon,dotprod")]
            fn dot<const L: u8>(w: &PackedMatrix<'_>, shape: &Shape, $($arg: $ty),*) {
                // SAFETY: compiled for the extension.
                unsafe { $body::<L, Dot>(w, shape, $($arg),*) }
            }
            fn long<const L: u8>(w: &PackedMatrix<'_>, shape: &Shape, $($arg: $ty),*) {
                // SAFETY: every aarch64 machine that this program is compiled for has NEON.
                unsafe { $body::<L, Long>(w, shape, $($arg),*) }
            }
            if is_aarch64_feature_detected!("dotprod") {
                // SAFETY: the machine has the extension.
                unsafe {
                    match shape.layout {
                        TritLayout::Compute | TritLayout::Bytes => dot::<COMPUTE>(w, shape, $($arg),*),
                        TritLayout::Interchange => dot::<INTERCHANGE>(w, shape, $($arg),*),
                        TritLayout::Storage => dot::<STORAGE>(w, shape, $($arg),*),
                    }
                }
            } else {
                match shape.layout {
                    TritLayout::Compute | TritLayout::Bytes => long::<COMPUTE>(w, shape, $($arg),*),
                    TritLayout::Interchange => long::<INTERCHANGE>(w, shape, $($arg),*),
                    TritLayout::Storage => long::<STORAGE>(w, shape, $($arg),*),
                }
            }
        }
    };
}

forms! {
    /// The memory-bound form; see [`super::few`].
    few, few_of, (span: Span, x: &Few<'_>, n: usize, out: &mut Out<'_>)
}

/// # Safety
/// The machine has the instructions of the form `S`.
#[inline(always)]
unsafe fn few_of<const L: u8, S: Sums>(
    w: &PackedMatrix<'_>,
    shape: &Shape,
    span: Span,
    x: &Few<'_>,
    n: usize,
    out: &mut Out<'_>,
) {
    let planes = if L == STORAGE { 5 } else { 4 };
    let mut row = 0;
    while row < out.rows {
        let count = (out.rows - row).min(4);
        // Rows that a smaller group lacks are its last one again; their sums are dropped.
        let at: [_; 4] = std::array::from_fn(|r| w.row(out.first + row + r.min(count - 1), shape));
        for token in 0..n {
            let x_planes = x.token(token).as_flattened();
            let mut sums = [S::zero(); 4];
            let mut room = S::ROOM;
            for unit in span.from..span.to {
                if room < 4 * planes {
                    sums.iter_mut().for_each(S::widen);
                    room = S::ROOM;
                }
                room -= 4 * planes;
                let load = |r: usize| load(w.unit(&at[r], unit, shape));
                let bytes = [load(0), load(1), load(2), load(3)];
                let x = &x_planes[(unit - span.from) * 64 * planes..][..64 * planes];
                for quarter in 0..4 {
                    let mut lanes = [activations(x, WIDTH * quarter); PLANES];
                    for p in 1..planes {
                        lanes[p] = activations(x, 64 * p + WIDTH * quarter);
                    }
                    for r in 0..4 {
                        let codes = codes::<L>(bytes[r][quarter]);
                        for p in 0..planes {
                            // SAFETY: the caller's promise.
                            unsafe { sums[r].add(codes[p], lanes[p]) };
                        }
                    }
                }
            }
            sums.iter_mut().for_each(S::widen);
            for (to, made) in out.row(token)[row..][..count].iter_mut().zip(sums) {
                *to = if span.from == 0 { 0 } else { *to } + made.total() - x.sum(token);
            }
        }
        row += count;
    }
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
    codes: [[i8; COLUMNS]; 4],
    tokens: [MaybeUninit<[i8; COLUMNS]>; TOKENS],
}

forms! {
    /// The compute-bound form; see [`super::many`].
    many, many_of, (x: &[i8], n: usize, out: &mut Out<'_>)
}

/// # Safety
/// The machine has the instructions of the form `S`.
#[inline(always)]
unsafe fn many_of<const L: u8, S: Sums>(
    w: &PackedMatrix<'_>,
    shape: &Shape,
    x: &[i8],
    n: usize,
    out: &mut Out<'_>,
) {
    let k = w.columns;
    let mut run = Run { codes: [[0; _]; 4], tokens: [const { MaybeUninit::uninit() }; _] };
    for span in shape.spans(UNITS) {
        let stride = |unit: usize| if unit < shape.whole { 64 } else { shape.tail.next_multiple_of(WIDTH) };
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
                    shape.arrange(Level::Neon, x, unit, stride(unit), &mut to[at..]);
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
                        for quarter in 0..stride / WIDTH {
                            let codes = codes::<L>(bytes[quarter]);
                            for (code, place) in codes.iter().zip(place.chunks_exact_mut(stride)) {
                                let place = &mut place[WIDTH * quarter..][..WIDTH];
                                // SAFETY: 16 bytes, any alignment.
                                unsafe { vst1q_s8(place.as_mut_ptr(), *code) };
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
                    // SAFETY: the caller's promise.
                    let made = unsafe { tile::<S>(x, &run.codes) };
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
///
/// # Safety
/// The machine has the instructions of the form `S`.
#[inline(always)]
unsafe fn tile<S: Sums>(x: [&[i8]; 2], codes: &[[i8; COLUMNS]; 4]) -> [[i32; 4]; 2] {
    let len = x[0].len();
    assert!(x[1].len() == len && len <= COLUMNS && len.is_multiple_of(WIDTH));
    let mut sums = [[S::zero(); 4]; 2];
    let mut at = 0;
    while at < len {
        let end = len.min(at.saturating_add(S::ROOM.saturating_mul(WIDTH)));
        while at < end {
            // SAFETY: `at + 16` does not leave the rows, whose lengths were checked; and the caller's promise.
            unsafe {
                let x = [0, 1].map(|t| vld1q_s8(x[t].as_ptr().add(at)));
                for r in 0..4 {
                    let code = vld1q_s8(codes[r].as_ptr().add(at));
                    for t in 0..2 {
                        sums[t][r].add(code, x[t]);
                    }
                }
            }
            at += WIDTH;
        }
        sums.as_flattened_mut().iter_mut().for_each(S::widen);
    }
    sums.map(|sums| sums.map(S::total))
}
