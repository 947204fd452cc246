//! How a row of packed trits is cut, and the activations in the order in which its bytes meet them.
//!
//! A row is whole blocks of 64 bytes and a tail of fewer (of 64 at most, in the compute layout). Byte j of a unit
//! holds one trit of each of its planes: 4 where two bits hold a trit, 5 in the storage layout. Plane p of the
//! activations holds, at byte j, the activation that meets trit p of byte j.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use axes::TritLayout;

use super::super::simd::{Isa, Level, multiversion};
use super::FEW;

/// Units of 64 bytes that the memory-bound form takes at once.
pub(super) const FEW_UNITS: usize = 48;
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

/// The arranged activations of up to [`FEW`] tokens over one span.
#[repr(C, align(64))]
pub(super) struct Few {
    data: [MaybeUninit<[i8; 64]>; FEW * FEW_UNITS * PLANES],
    sums: [i32; FEW],
    filled: usize,
}

impl Few {
    pub(super) fn new() -> Self {
        Self { data: [const { MaybeUninit::uninit() }; _], sums: [0; FEW], filled: 0 }
    }

    /// Fills in the activations of the span: `x` is `(N, K)`.
    pub(super) fn arrange(&mut self, level: Level, x: &[i8], n: usize, k: usize, shape: &Shape, span: Span) {
        let units = span.to - span.from;
        assert!(n <= FEW && units <= FEW_UNITS);
        self.filled = units * shape.planes;
        for token in 0..n {
            let x = &x[token * k..][..k];
            let columns = span.from * shape.block()..k.min(span.to * shape.block());
            self.sums[token] = total(&x[columns]);
            for unit in 0..units {
                let mut block = [0; 64 * PLANES];
                shape.arrange(level, x, span.from + unit, 64, &mut block);
                let from = token * FEW_UNITS * PLANES + unit * shape.planes;
                for (to, plane) in self.data[from..][..shape.planes].iter_mut().zip(block.as_chunks::<64>().0)
                {
                    to.write(*plane);
                }
            }
        }
    }

    /// The planes of a token, unit after unit, 64 bytes each.
    #[inline(always)]
    pub(super) fn token(&self, token: usize) -> &[[i8; 64]] {
        let planes = &self.data[token * FEW_UNITS * PLANES..][..self.filled];
        // SAFETY: `arrange` wrote the first `filled` planes of every token that it was given.
        unsafe { std::slice::from_raw_parts(planes.as_ptr().cast(), planes.len()) }
    }

    /// Σ x over the span.
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
