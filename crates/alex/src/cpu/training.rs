//! What a training step does beside products: the gradient of RMSNorm, the cross entropy and its gradient, weights that are quantised
//! into the compute layout or into what they stand for, int8 activations and trits as floats. In the engine's order of
//! operations; sums over rows go in groups of 32 in f32, and the groups in f64.

use super::math::{exp, log};
use super::norm::{absmean_scale, codes, sum_terms};
use super::ternary::pieces;
use super::{Floats, Isa, strips};
use crate::ir::{Builder, CmpI, Combine, F32, F64, I1, I8, I32, I64, Index, MemRef, Value, Vector};
use axes::TritLayout;
use graph::ops::loss::IGNORE;

type Matrix = Value<MemRef<F32, 2>>;
type Run = Value<MemRef<F32, 1>>;
type Trits = Value<MemRef<I8, 1>>;

/// Rows whose weight gradients are summed in f32.
const GROUP: usize = 32;

/// Bytes of scratch of [`rms_norm_grad`].
pub fn norm_scratch(cols: usize) -> usize {
    (4 * cols).next_multiple_of(64) + 8 * cols
}

/// dx and dweight of RMSNorm: x, dy, dx (R, C), weight and dweight (C), rstd (R).
pub fn rms_norm_grad(
    b: &mut Builder,
    isa: Isa,
    [rows, cols]: [usize; 2],
    (x, weight, rstd, dy): (Matrix, Run, Run, Matrix),
    (dx, dweight): (Matrix, Run),
    scratch: Value<MemRef<I8, 1>>,
) {
    let partial = b.view(scratch, 0, MemRef::new(F32, [cols as i64]), &[]);
    let total = b.view(scratch, (4 * cols).next_multiple_of(64), MemRef::new(F64, [cols as i64]), &[]);
    let lanes = isa.lanes();
    strips(b, cols, lanes, |b, at, width| {
        let zero = b.float(Vector::new(F64, [width]), 0.0);
        b.vector_store(zero, total, at);
    });
    let group = |b: &mut Builder, first: Value<Index>, count: usize| {
        strips(b, cols, lanes, |b, at, width| {
            let zero = b.float(Vector::new(F32, [width]), 0.0);
            b.vector_store(zero, partial, at);
        });
        b.for_(0, count, 1, (), |b, r, ()| {
            let row = b.addi(first, r);
            let scale = b.load(rstd, row);
            let parts = |b: &mut Builder, at: Value<Index>, width: usize| {
                let (x, dy) = (b.vector_load(x, (row, at), [width]), b.vector_load(dy, (row, at), [width]));
                let w = b.vector_load(weight, at, [width]);
                let by = b.broadcast(scale, x.ty());
                (b.mulf(x, by), dy, b.mulf(dy, w), by)
            };
            let sum = sum_terms(b, cols, |b, at, width| {
                let (hat, _, g, _) = parts(b, at, width);
                b.mulf(hat, g)
            });
            let size = b.constant(F64, cols as f64);
            let mean = b.divf(sum, size);
            let mean = b.truncf(mean, F32);
            strips(b, cols, lanes, |b, at, width| {
                let (hat, dy, g, by) = parts(b, at, width);
                let (minus, mean) = (b.negf(hat), b.broadcast(mean, hat.ty()));
                let left = b.fma(minus, mean, g);
                let made = b.mulf(left, by);
                b.vector_store(made, dx, (row, at));
                let old = b.vector_load(partial, at, [width]);
                let new = b.fma(dy, hat, old);
                b.vector_store(new, partial, at);
            });
        });
        strips(b, cols, lanes, |b, at, width| {
            let (sum, part) = (b.vector_load(total, at, [width]), b.vector_load(partial, at, [width]));
            let part = b.extf(part, F64);
            let sum = b.addf(sum, part);
            b.vector_store(sum, total, at);
        });
    };
    if rows >= GROUP {
        b.for_(0, rows / GROUP * GROUP, GROUP, (), |b, first, ()| group(b, first, GROUP));
    }
    if !rows.is_multiple_of(GROUP) {
        let first = b.index((rows / GROUP * GROUP) as i64);
        group(b, first, rows % GROUP);
    }
    strips(b, cols, lanes, |b, at, width| {
        let sum = b.vector_load(total, at, [width]);
        let made = b.truncf(sum, F32);
        b.vector_store(made, dweight, at);
    });
}

/// A function of one number.
fn of_one(b: &mut Builder, x: Value<F32>, f: fn(&mut Builder, Floats) -> Floats) -> Value<F32> {
    let x = b.broadcast(x, Vector::new(F32, [1]));
    let y = f(b, x);
    b.extract(y, 0)
}

/// Whether a label counts, a class that is safe to read, and the flag: 1 once a label was outside.
fn label(
    b: &mut Builder,
    labels: Value<MemRef<I64, 1>>,
    row: Value<Index>,
    classes: usize,
    flag: Value<I32>,
) -> (Value<I1>, Value<Index>, Value<I32>) {
    let given = b.load(labels, row);
    let [ignored, most, zero] = [IGNORE, classes as i64, 0].map(|n| b.int(I64, n));
    let (kept, inside) = (b.cmpi(CmpI::Ne, given, ignored), b.cmpi(CmpI::Ult, given, most));
    let (dropped, one) = (b.not(kept), b.int(I32, 1));
    let fine = b.ori(inside, dropped);
    let flag = b.select(fine, flag, one);
    let safe = b.select(inside, given, zero);
    (kept, b.index_cast(safe, Index), flag)
}

/// The mean of logsumexp − logit of the label; logits (N, V), loss (1), lse (N). Gives the flag.
pub fn cross_entropy(
    b: &mut Builder,
    isa: Isa,
    [rows, classes]: [usize; 2],
    (x, labels): (Matrix, Value<MemRef<I64, 1>>),
    (loss, lse): (Run, Run),
) -> Value<I32> {
    let start = (b.constant(F64, 0.0), b.int(I64, 0), b.int(I32, 0));
    let (total, count, flag) = b.for_(0, rows, 1, start, |b, row, (total, count, flag)| {
        let lanes = 4 * isa.lanes();
        let low = b.float(Vector::new(F32, [lanes]), f64::NEG_INFINITY);
        let peaks = b.for_(0, classes / lanes * lanes, lanes, low, |b, at, peaks| {
            let v = b.vector_load(x, (row, at), [lanes]);
            b.maximumf(peaks, v)
        });
        let mut peak = b.reduction(Combine::Maximumf, peaks);
        for (at, width) in pieces(classes % lanes, lanes) {
            let v = b.vector_load(x, (row, classes / lanes * lanes + at), [width]);
            let part = b.reduction(Combine::Maximumf, v);
            peak = b.maximumf(peak, part);
        }
        let sum = sum_terms(b, classes, |b, at, width| {
            let v = b.vector_load(x, (row, at), [width]);
            let top = b.broadcast(peak, v.ty());
            let down = b.subf(v, top);
            exp(b, down)
        });
        let sum = b.truncf(sum, F32);
        let log = of_one(b, sum, log);
        let sum = b.addf(peak, log);
        b.store(sum, lse, row);
        let (kept, class, flag) = label(b, labels, row, classes, flag);
        let picked = b.load(x, (row, class));
        let term = b.subf(sum, picked);
        let term = b.extf(term, F64);
        let (more, one) = (b.addf(total, term), b.int(I64, 1));
        let next = b.addi(count, one);
        (b.select(kept, more, total), b.select(kept, next, count), flag)
    });
    let count = b.sitofp(count, F64);
    let mean = b.divf(total, count);
    let mean = b.truncf(mean, F32);
    b.store(mean, loss, 0);
    flag
}

/// dlogits = (e^(x − lse) − onehot) · g / count. Gives the flag.
pub fn cross_entropy_grad(
    b: &mut Builder,
    isa: Isa,
    [rows, classes]: [usize; 2],
    (x, labels, lse, g): (Matrix, Value<MemRef<I64, 1>>, Run, Run),
    dx: Matrix,
) -> Value<I32> {
    let start = (b.int(I64, 0), b.int(I32, 0));
    let (count, flag) = b.for_(0, rows, 1, start, |b, row, (count, flag)| {
        let (kept, _, flag) = label(b, labels, row, classes, flag);
        let one = b.int(I64, 1);
        let next = b.addi(count, one);
        (b.select(kept, next, count), flag)
    });
    let count = b.sitofp(count, F32);
    let g = b.load(g, 0);
    let scale = b.divf(g, count);
    b.for_(0, rows, 1, (), |b, row, ()| {
        let none = b.int(I32, 0);
        let (kept, class, _) = label(b, labels, row, classes, none);
        b.if_(
            kept,
            |b| {
                let sum = b.load(lse, row);
                let chosen = b.load(x, (row, class));
                strips(b, classes, isa.lanes(), |b, at, width| {
                    let v = b.vector_load(x, (row, at), [width]);
                    let (top, by) = (b.broadcast(sum, v.ty()), b.broadcast(scale, v.ty()));
                    let down = b.subf(v, top);
                    let p = exp(b, down);
                    let made = b.mulf(p, by);
                    b.vector_store(made, dx, (row, at));
                });
                let down = b.subf(chosen, sum);
                let (p, one) = (of_one(b, down, exp), b.constant(F32, 1.0));
                let made = b.subf(p, one);
                let made = b.mulf(made, scale);
                b.store(made, dx, (row, class));
            },
            |b| {
                strips(b, classes, isa.lanes(), |b, at, width| {
                    let zero = b.float(Vector::new(F32, [width]), 0.0);
                    b.vector_store(zero, dx, (row, at));
                });
            },
        );
    });
    flag
}

/// The sum of a · b of each row.
pub fn sum_of_products(b: &mut Builder, [rows, cols]: [usize; 2], (x, y): (Matrix, Matrix), out: Run) {
    b.for_(0, rows, 1, (), |b, row, ()| {
        let sum = sum_terms(b, cols, |b, at, width| {
            let (x, y) = (b.vector_load(x, (row, at), [width]), b.vector_load(y, (row, at), [width]));
            b.mulf(x, y)
        });
        let sum = b.truncf(sum, F32);
        b.store(sum, out, row);
    });
}

/// Weights as the numbers that their trits stand for, and their scale.
pub fn fake_quantize_weights(b: &mut Builder, isa: Isa, len: usize, w: Run, scale: Run, made: Run) {
    let s = absmean_scale(b, w, len);
    b.store(s, scale, 0);
    let one = b.constant(F32, 1.0);
    let unit = b.divf(one, s);
    strips(b, len, isa.lanes(), |b, at, width| {
        let v = b.vector_load(w, at, [width]);
        let code = codes(b, v, s, 0);
        let wide = b.extsi(code, I32);
        let one = b.int(wide.ty(), 1);
        let trit = b.subi(wide, one);
        let trit = b.sitofp(trit, F32);
        let unit = b.broadcast(unit, trit.ty());
        let out = b.mulf(trit, unit);
        b.vector_store(out, made, at);
    });
}

/// Weights (R, C) quantised into the compute layout, and their scale.
pub fn quantize_weights_packed(
    b: &mut Builder,
    [rows, cols]: [usize; 2],
    (w, flat): (Matrix, Run),
    (trits, scale): (Trits, Run),
) {
    let s = absmean_scale(b, flat, rows * cols);
    b.store(s, scale, 0);
    let own = |b: &mut Builder, first: Value<Index>, count: usize| {
        let base = b.scaled(first, TritLayout::Compute.row_bytes(cols));
        let (whole, rest) = (cols / TritLayout::BLOCK, cols % TritLayout::BLOCK);
        for r in 0..count {
            let row = b.offset(first, r);
            b.for_(0, whole, 1, (), |b, k, ()| {
                let (column, at) = (b.scaled(k, TritLayout::BLOCK), b.scaled(k, 64 * count));
                let at = b.addi(base, at);
                let at = b.offset(at, 64 * r);
                // 16 bytes at a time: 64 would keep four vectors of every plane.
                b.for_(0, 64, 16, (), |b, part, ()| {
                    let (column, at) = (b.addi(column, part), b.addi(at, part));
                    let planes = [0, 1, 2, 3].map(|p| {
                        let column = b.offset(column, 64 * p);
                        let v = b.vector_load(w, (row, column), [16]);
                        codes(b, v, s, 2 * p)
                    });
                    let (low, high) = (b.ori(planes[0], planes[1]), b.ori(planes[2], planes[3]));
                    let byte = b.ori(low, high);
                    b.vector_store(byte, trits, at);
                });
            });
            if rest > 0 {
                let n = rest.div_ceil(4);
                let counts = [0, 1, 2, 3].map(|p| rest.saturating_sub(p * n).min(n));
                let at = b.offset(base, whole * 64 * count + r * n);
                let mut ends: Vec<usize> = counts.to_vec();
                ends.sort_unstable();
                let mut from = 0;
                for end in ends.into_iter().filter(|end| *end > 0) {
                    if end == from {
                        continue;
                    }
                    b.for_(from, end, 1, (), |b, j, ()| {
                        let mut byte: Option<Value<Vector<I8>>> = None;
                        for (p, count) in counts.iter().enumerate() {
                            let code = if *count >= end {
                                let column = b.offset(j, whole * TritLayout::BLOCK + p * n);
                                let v = b.vector_load(w, (row, column), [1]);
                                codes(b, v, s, 2 * p as u32)
                            } else {
                                b.int(Vector::new(I8, [1]), 1 << (2 * p))
                            };
                            byte = Some(byte.map_or(code, |byte| b.ori(byte, code)));
                        }
                        let at = b.addi(at, j);
                        if let Some(byte) = byte {
                            b.vector_store(byte, trits, at);
                        }
                    });
                    from = end;
                }
            }
        }
    };
    groups(b, rows, own);
}

/// Groups of four rows, the last one shorter.
fn groups(b: &mut Builder, rows: usize, body: impl Fn(&mut Builder, Value<Index>, usize)) {
    let four = TritLayout::GROUP;
    if rows >= four {
        b.for_(0, rows / four * four, four, (), |b, first, ()| body(b, first, four));
    }
    if !rows.is_multiple_of(four) {
        let first = b.index((rows / four * four) as i64);
        body(b, first, rows % four);
    }
}

/// q / scale for `rows` int8 rows from row `first` on; `scale` has one element, or one per row of q.
pub fn dequantize(
    b: &mut Builder,
    isa: Isa,
    [rows, cols]: [usize; 2],
    (q, first): (Value<MemRef<I8, 2>>, Value<Index>),
    (scale, one): (Run, bool),
    out: Matrix,
) {
    b.for_(0, rows, 1, (), |b, r, ()| {
        let row = b.addi(first, r);
        let s = if one { b.load(scale, 0) } else { b.load(scale, row) };
        strips(b, cols, isa.lanes(), |b, at, width| {
            let v = b.vector_load(q, (row, at), [width]);
            let wide = b.extsi(v, I32);
            let v = b.sitofp(wide, F32);
            let by = b.broadcast(s, v.ty());
            let made = b.divf(v, by);
            b.vector_store(made, out, (r, at));
        });
    });
}

/// The same for trits in the compute layout of a matrix of `cols` columns, from row `first` on, which begins a group; `rows` rows,
/// whole groups unless they are the matrix's last.
pub fn dequantize_trits(
    b: &mut Builder,
    isa: Isa,
    [rows, cols]: [usize; 2],
    (trits, first): (Trits, Value<Index>),
    (scale, one): (Run, bool),
    out: Matrix,
) {
    let (whole, rest) = (cols / TritLayout::BLOCK, cols % TritLayout::BLOCK);
    groups(b, rows, |b, group, count| {
        let from = b.addi(first, group);
        let base = b.scaled(from, TritLayout::Compute.row_bytes(cols));
        for r in 0..count {
            let (row, to) = (b.offset(from, r), b.offset(group, r));
            let s = if one { b.load(scale, 0) } else { b.load(scale, row) };
            let unit = b.constant(F32, 1.0);
            let factor = b.divf(unit, s);
            // `len` bytes of a plane are neighbouring columns.
            let planes =
                |b: &mut Builder, at: Value<Index>, column: Value<Index>, step: usize, counts: [usize; 4]| {
                    strips(b, step, isa.lanes(), |b, part, width| {
                        let at = b.addi(at, part);
                        let bytes = b.vector_load(trits, at, [width]);
                        let wide = b.extui(bytes, I32);
                        for (p, count) in counts.iter().enumerate() {
                            let (by, mask, one) =
                                (b.int(wide.ty(), 2 * p as i64), b.int(wide.ty(), 3), b.int(wide.ty(), 1));
                            let down = b.shrui(wide, by);
                            let code = b.andi(down, mask);
                            let trit = b.subi(code, one);
                            let trit = b.sitofp(trit, F32);
                            let all = b.broadcast(factor, trit.ty());
                            let made = b.mulf(trit, all);
                            let place = b.offset(column, p * step);
                            let place = b.addi(place, part);
                            if *count == step {
                                b.vector_store(made, out, (to, place));
                            } else {
                                // What lies behind the last column is padding.
                                for lane in 0..width {
                                    let (v, l) = (b.extract(made, lane), b.offset(part, lane));
                                    let end = b.index(*count as i64);
                                    let inside = b.cmpi(CmpI::Ult, l, end);
                                    let place = b.offset(place, lane);
                                    b.when(inside, |b| b.store(v, out, (to, place)));
                                }
                            }
                        }
                    });
                };
            b.for_(0, whole, 1, (), |b, k, ()| {
                let (column, at) = (b.scaled(k, TritLayout::BLOCK), b.scaled(k, 64 * count));
                let at = b.addi(base, at);
                let at = b.offset(at, 64 * r);
                planes(b, at, column, 64, [64; 4]);
            });
            if rest > 0 {
                let n = rest.div_ceil(4);
                let at = b.offset(base, whole * 64 * count + r * n);
                let column = b.index((whole * TritLayout::BLOCK) as i64);
                planes(b, at, column, n, [0, 1, 2, 3].map(|p| rest.saturating_sub(p * n).min(n)));
            }
        }
    });
}
