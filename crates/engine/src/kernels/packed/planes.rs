//! How a row of packed trits is cut, and the activations in the order in which its bytes meet them.
//!
//! A row is whole blocks of 64 bytes and a tail of fewer (of 64 at most, in the compute layout). Byte j of a unit
//! holds one trit of each of its planes: 4 where two bits hold a trit, 5 in the storage layout. Plane p of the
//! activations holds, at byte j, the activation that meets trit p of byte j.

#![allow(unsafe_code)]
#![cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64", target_feature = "simd128")),
    allow(dead_code, reason = "the plain form reads the activations as they are")
)]

use std::cell::Cell;

use axes::TritLayout;

use super::super::simd::{Isa, Level, multiversion};
use crate::pool::{Pool, Split};

/// Most planes of a layout.
pub(super) const PLANES: usize = 5;

/// The cut of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) layout: TritLayout,
    /// Trits of a byte.
    pub(super) planes: usize,
    /// Whole blocks of 64 bytes.
    pub(super) whole: usize,
    /// Bytes behind them; 0 where there are none.
    pub(super) tail: usize,
    /// Columns of the tail.
    pub(super) rest: usize,
}

/// Units `from .. to` of every row; `last` where no others follow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) from: usize,
    pub(super) to: usize,
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "one form finishes sums itself"))]
    pub(super) last: bool,
}

impl Shape {
    pub(super) fn new(layout: TritLayout, columns: usize) -> Self {
        let planes = if layout == TritLayout::Storage { 5 } else { 4 };
        let rest = columns % (64 * planes);
        Self { layout, planes, whole: columns / (64 * planes), tail: rest.div_ceil(planes), rest }
    }

    /// Columns of a whole block.
    pub(super) fn block(&self) -> usize {
        64 * self.planes
    }

    /// Blocks and tail.
    pub(super) fn units(&self) -> usize {
        self.whole + usize::from(self.tail > 0)
    }

    /// The units in runs of `size`; one empty run where K is 0.
    pub(super) fn spans(&self, size: usize) -> impl Iterator<Item = Span> + use<> {
        let units = self.units();
        let count = units.div_ceil(size).max(1);
        (0..count).map(move |i| {
            let from = i * size.min(units);
            Span { from, to: units.min(from.saturating_add(size)), last: i + 1 == count }
        })
    }

    /// The activations of one unit, as planes `stride` apart with zeros behind the last byte; `x` is `(K)`.
    pub(super) fn arrange(&self, level: Level, x: &[i8], unit: usize, stride: usize, out: &mut [i8]) {
        let x = &x[unit * self.block()..];
        if unit < self.whole {
            let out = &mut out[..self.block()];
            debug_assert_eq!(stride, 64);
            let x = &x[..self.block()];
            match self.layout {
                TritLayout::Compute | TritLayout::Bytes => out.copy_from_slice(x),
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the level is Avx512 only on machines that have what it stands for.
                _ if level == Level::Avx512 => unsafe { super::avx512::spread(self.planes, x, out) },
                TritLayout::Interchange => spread4(x, out),
                TritLayout::Storage => spread5(x, out),
            }
            return;
        }
        let _ = level;
        let out = &mut out[..stride * self.planes];
        out.fill(0);
        for (plane, out) in out.chunks_exact_mut(stride).enumerate() {
            if self.layout == TritLayout::Compute {
                let from = (plane * self.tail).min(self.rest);
                let x = &x[from..self.rest.min(from + self.tail)];
                out[..x.len()].copy_from_slice(x);
            } else {
                let x = x[..self.rest].iter().skip(plane).step_by(self.planes);
                out.iter_mut().zip(x).for_each(|(out, x)| *out = *x);
            }
        }
    }
}

multiversion! {
    fn spread4(x: &[i8], out: &mut [i8]) = spread4_body
}
multiversion! {
    fn spread5(x: &[i8], out: &mut [i8]) = spread5_body
}

#[inline(always)]
fn spread4_body<I: Isa>(x: &[i8], out: &mut [i8]) {
    spread::<4>(x, out);
}

#[inline(always)]
fn spread5_body<I: Isa>(x: &[i8], out: &mut [i8]) {
    spread::<5>(x, out);
}

#[inline(always)]
fn spread<const P: usize>(x: &[i8], out: &mut [i8]) {
    let (x, out) = (&x[..64 * P], &mut out[..64 * P]);
    for j in 0..64 {
        for p in 0..P {
            out[64 * p + j] = x[P * j + p];
        }
    }
}

/// 64 activations of a plane.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub(super) struct Line(pub(super) [i8; 64]);

thread_local! {
    /// Memory of the last product of this thread, for the next one.
    static KEPT: Cell<(Vec<Line>, Vec<i32>)> = const { Cell::new((Vec::new(), Vec::new())) };
}

/// Most lines that a thread keeps.
const MOST_KEPT: usize = (16 << 20) / 64;

/// The activations of all tokens as planes: span after span, in each token after token, in each unit after unit.
pub(super) struct Arranged {
    lines: Vec<Line>,
    sums: Vec<i32>,
    spans: Vec<Span>,
    n: usize,
    planes: usize,
    /// Lines from one token of a span to the next; odd, so that tokens do not compete for the same sets of a cache.
    stride: usize,
}

impl Arranged {
    /// Arranges `x`, which is `(N, K)`, in spans of at most `size` units.
    pub(super) fn new(
        pool: &Pool,
        level: Level,
        x: &[i8],
        n: usize,
        k: usize,
        shape: &Shape,
        size: usize,
    ) -> Self {
        let spans: Vec<Span> = shape.spans(size).collect();
        let stride = (size.min(shape.units()) * shape.planes) | 1;
        let (mut lines, mut sums) = KEPT.take();
        let (want, count) = (spans.len() * n * stride, spans.len() * n);
        if lines.len() < want {
            lines.resize(want, Line([0; 64]));
        }
        sums.clear();
        sums.resize(count, 0);
        let per_task = premap::cut::arranged(n, k);
        {
            let (lines, sums) = (Split::new(&mut lines, 1), Split::new(&mut sums, 1));
            pool.run(n.div_ceil(per_task), |task| {
                for token in task * per_task..n.min((task + 1) * per_task) {
                    let x = &x[token * k..][..k];
                    for (s, span) in spans.iter().enumerate() {
                        let at = s * n + token;
                        // SAFETY: each token of each span has its own lines and sum.
                        let (lines, sum) = unsafe { (lines.part(at * stride, stride), sums.part(at, 1)) };
                        sum[0] = total(&x[span.from * shape.block()..k.min(span.to * shape.block())]);
                        let lines = lines.chunks_exact_mut(shape.planes);
                        for (unit, lines) in (span.from..span.to).zip(lines) {
                            // SAFETY: a line is 64 bytes and nothing else.
                            let lines = unsafe {
                                std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), 64 * lines.len())
                            };
                            shape.arrange(level, x, unit, 64, lines);
                        }
                    }
                }
            });
        }
        Self { lines, sums, spans, n, planes: shape.planes, stride }
    }

    /// The spans, each with the activations over it.
    pub(super) fn spans(&self) -> impl Iterator<Item = (Span, Few<'_>)> {
        self.spans.iter().enumerate().map(|(s, span)| {
            let lines = &self.lines[s * self.n * self.stride..][..self.n * self.stride];
            let sums = &self.sums[s * self.n..][..self.n];
            (*span, Few { lines, stride: self.stride, used: (span.to - span.from) * self.planes, sums })
        })
    }
}

impl Drop for Arranged {
    fn drop(&mut self) {
        if self.lines.len() <= MOST_KEPT {
            KEPT.set((std::mem::take(&mut self.lines), std::mem::take(&mut self.sums)));
        }
    }
}

/// The arranged activations of all tokens over one span.
#[derive(Clone, Copy)]
pub(super) struct Few<'a> {
    lines: &'a [Line],
    stride: usize,
    used: usize,
    sums: &'a [i32],
}

impl<'a> Few<'a> {
    /// The planes of a token, unit after unit, 64 bytes each.
    #[inline(always)]
    pub(super) fn token(&self, token: usize) -> &'a [[i8; 64]] {
        let lines = &self.lines[token * self.stride..][..self.used];
        // SAFETY: a line is 64 bytes and nothing else.
        unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len()) }
    }

    /// The tokens from `first` on.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    pub(super) fn starting(&self, first: usize) -> Self {
        Self { lines: &self.lines[first * self.stride..], sums: &self.sums[first..], ..*self }
    }

    /// Lines from one token to the next.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// Σ x over the span.
    #[inline(always)]
    pub(super) fn sum(&self, token: usize) -> i32 {
        self.sums[token]
    }
}

multiversion! {
    /// Σ x.
    pub(super) fn total(x: &[i8]) -> i32 = total_body
}

#[inline(always)]
fn total_body<I: Isa>(x: &[i8]) -> i32 {
    x.iter().map(|&x| i32::from(x)).sum()
}
