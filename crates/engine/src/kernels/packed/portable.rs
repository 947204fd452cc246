//! The plain form, and the meaning of the codes: a unit of a row is decoded to trits in the order of the columns, and
//! multiplied by the activations of each token.

use axes::TritLayout;

use super::super::simd::{Isa, multiversion};
use super::planes::{PLANES, Shape, Span};
use super::{Out, PackedMatrix};

/// Adds the products of the span to the task's outputs, or sets them where the span is the first: `x` is `(N, K)`.
pub(super) fn products(
    w: &PackedMatrix<'_>,
    shape: &Shape,
    span: Span,
    x: &[i8],
    n: usize,
    out: &mut Out<'_>,
) {
    let k = w.columns;
    let mut trits = [0; 64 * PLANES];
    for r in 0..out.rows {
        let at = w.row(out.first + r, shape);
        if span.from == 0 {
            (0..n).for_each(|token| out.row(token)[r] = 0);
        }
        for unit in span.from..span.to {
            let columns = if unit < shape.whole { shape.block() } else { shape.rest };
            decode(shape.layout, w.unit(&at, unit, shape), &mut trits[..columns]);
            for token in 0..n {
                let x = &x[token * k + unit * shape.block()..][..columns];
                out.row(token)[r] += dot(x, &trits[..columns]);
            }
        }
    }
}

/// The trits of one unit in the order of its columns; an illegal code gives some trit.
pub(super) fn decode(layout: TritLayout, bytes: &[u8], trits: &mut [i8]) {
    match layout {
        TritLayout::Bytes => trits.iter_mut().zip(bytes).for_each(|(t, b)| *t = *b as i8),
        TritLayout::Compute => {
            for (plane, trits) in trits.chunks_mut(bytes.len()).enumerate() {
                for (t, b) in trits.iter_mut().zip(bytes) {
                    *t = (b >> (2 * plane) & 3) as i8 - 1;
                }
            }
        }
        TritLayout::Interchange => {
            for (trits, b) in trits.chunks_mut(4).zip(bytes) {
                for (place, t) in trits.iter_mut().enumerate() {
                    let code = b >> (2 * place) & 3;
                    *t = (code >> 1) as i8 - (code & 1) as i8;
                }
            }
        }
        TritLayout::Storage => {
            for (trits, b) in trits.chunks_mut(5).zip(bytes) {
                for (t, power) in trits.iter_mut().zip([1, 3, 9, 27, 81]) {
                    *t = (b / power % 3) as i8 - 1;
                }
            }
        }
    }
}

multiversion! {
    fn dot(x: &[i8], t: &[i8]) -> i32 = dot_body
}

#[inline(always)]
fn dot_body<I: Isa>(x: &[i8], t: &[i8]) -> i32 {
    // An i16 holds a product; the compiler turns the pairs into multiply-adds.
    x.iter().zip(t).map(|(&x, &t)| i32::from(i16::from(x) * i16::from(t))).sum()
}
