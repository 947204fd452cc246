//! The formats whose numbers are floats, and rows of a matrix as floats.

use super::Shape;
use super::codes::{self, Matrix, STRETCH, WIDTH};
use crate::cpu::norm::tree;
use crate::cpu::strips;
use crate::ir::{Builder, F32, I32, Index, MemRef, Value};
use axes::BlockFormat;

/// `f16` and `bf16`: products of f32, added to 32 partial sums in turn.
pub(super) fn floats(
    b: &mut Builder,
    shape: Shape,
    (x, w, y): (Value<MemRef<F32, 2>>, Matrix, Value<MemRef<F32, 2>>),
) {
    let Shape { format, tokens, rows, columns } = shape;
    b.for_(0, rows, 1, (), |b, row, ()| {
        let base = b.scaled(row, shape.row_bytes());
        b.for_(0, tokens, 1, (), |b, token, ()| {
            let zero = b.float(codes::floats_of(WIDTH), 0.0);
            let whole = columns / WIDTH * WIDTH;
            let mut sums = b.for_(0, whole, WIDTH, zero, |b, at, sums| {
                let from = b.scaled(at, 2);
                let from = b.addi(base, from);
                let d = codes::floats(b, format, w, from, WIDTH);
                let v = b.vector_load(x, (token, at), [WIDTH]);
                let product = b.mulf(d, v);
                b.addf(sums, product)
            });
            for (at, len) in crate::cpu::ternary::pieces(columns - whole, WIDTH) {
                let from = b.offset(base, 2 * (whole + at));
                let d = codes::floats(b, format, w, from, len);
                let v = b.vector_load(x, (token, whole + at), [len]);
                let product = b.mulf(d, v);
                let old = b.extract_strided_slice(sums, [at], [len]);
                let new = b.addf(old, product);
                sums = b.insert_strided_slice(new, sums, [at]);
            }
            let made = tree(b, sums);
            b.store(made, y, (token, row));
        });
    });
}

/// The numbers of row `row` of `w`, as row `to` of `out` (…, K).
pub fn decode(
    b: &mut Builder,
    shape: Shape,
    (w, row): (Matrix, Value<Index>),
    (out, to): (Value<MemRef<F32, 2>>, Value<Index>),
) {
    let Shape { format, columns, .. } = shape;
    let base = b.scaled(row, shape.row_bytes());
    let (block, bytes) = (format.block(), format.block_bytes());
    if block == 1 {
        return strips(b, columns, WIDTH, |b, at, width| {
            let from = b.scaled(at, 2);
            let from = b.addi(base, from);
            let v = codes::floats(b, format, w, from, width);
            b.vector_store(v, out, (to, at));
        });
    }
    b.for_(0, columns / block, 1, (), |b, k, ()| {
        let at = b.scaled(k, bytes);
        let at = b.addi(base, at);
        let d = codes::scales(b, format, w, at, (block, block));
        let inner =
            matches!(format, BlockFormat::Q4K | BlockFormat::Q6K).then(|| codes::groups(b, format, w, at));
        let minimum = (format == BlockFormat::Q4K).then(|| codes::minimum(b, w, at));
        let own = codes::codes(b, format, w, at, block);
        let own = codes::in_order(b, format, own);
        let (gain, offset) = codes::meaning(format);
        let column = b.scaled(k, block);
        for (v, own) in own.into_iter().enumerate() {
            let mut q = b.extui(own, I32);
            let (gain, offset) = (b.int(q.ty(), gain), b.int(q.ty(), offset));
            q = b.muli(q, gain);
            q = b.subi(q, offset);
            let q = b.sitofp(q, F32);
            let all: Vec<usize> = vec![0; WIDTH];
            let mut by = b.shuffle(d, d, &all);
            let mut less = None;
            if let Some((s, z)) = inner {
                let per = WIDTH * s.ty().lanes() / STRETCH;
                let index: Vec<usize> = (0..WIDTH).map(|i| per * v + i * per / WIDTH).collect();
                let s = b.shuffle(s, s, &index);
                let s = b.sitofp(s, F32);
                by = b.mulf(by, s);
                if let (Some(z), Some(m)) = (z, minimum) {
                    let z = b.shuffle(z, z, &index);
                    let z = b.sitofp(z, F32);
                    let m = b.shuffle(m, m, &all);
                    less = Some(b.mulf(m, z));
                }
            }
            let mut made = b.mulf(by, q);
            if let Some(less) = less {
                made = b.subf(made, less);
            }
            let place = b.offset(column, WIDTH * v);
            b.vector_store(made, out, (to, place));
        }
    });
}
