//! RMSNorm and the quantiser of activations over the rows of a matrix, in the engine's order of operations.
//!
//! Sums are kept in 32 lanes over blocks of 1,024 elements, added up as a tree, and the blocks in f64: that order is part of
//! the numbers, whatever the width of the target's vectors. RMSNorm: Zhang & Sennrich 2019; the quantiser: BitNet b1.58
//! (Ma et al. 2024) and the MatMul-free LM (Zhu et al. 2024).

use super::math::{MAGIC, round_away};
use super::{Bytes, Floats, Isa, once, strips};
use crate::ir::{Builder, CmpF, Combine, F32, F64, Func, I8, I32, Index, MemRef, Module, Value, Vector};

/// Independent partial sums.
const LANES: usize = 32;
/// Elements that are summed in f32 before the sum goes to an f64.
const BLOCK: usize = 32 * LANES;
/// Smallest absmax and absmean that a scale is taken from.
const FLOOR: f32 = 1e-5;

/// What happens to a value halfway between two integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// Away from zero: the released models' fused kernel.
    HalfAway,
    /// To the even one.
    HalfEven,
}

impl Rounding {
    /// By the name that the graph's attribute has.
    pub fn named(name: &str) -> Option<Rounding> {
        match name {
            "half_away" => Some(Rounding::HalfAway),
            "half_even" => Some(Rounding::HalfEven),
            _ => None,
        }
    }
}

/// The first half of the lanes plus the second, down to one.
pub(super) fn tree(b: &mut Builder, mut lanes: Floats) -> Value<F32> {
    while lanes.ty().lanes() > 1 {
        let half = lanes.ty().lanes() / 2;
        let low = b.extract_strided_slice(lanes, [0], [half]);
        let high = b.extract_strided_slice(lanes, [half], [half]);
        lanes = b.addf(low, high);
    }
    b.extract(lanes, 0)
}

/// Σ of `len` terms; `term(position, width)` makes neighbouring ones.
pub(super) fn sum_terms(
    b: &mut Builder,
    len: usize,
    mut term: impl FnMut(&mut Builder, Value<Index>, usize) -> Floats,
) -> Value<F64> {
    let zero = b.float(Vector::new(F32, [LANES]), 0.0);
    let mut total = b.constant(F64, 0.0);
    if len >= BLOCK {
        total = b.for_(0, len / BLOCK * BLOCK, BLOCK, total, |b, from, total| {
            let lanes = b.for_(0, BLOCK, LANES, zero, |b, at, lanes| {
                let at = b.addi(from, at);
                let part = term(b, at, LANES);
                b.addf(lanes, part)
            });
            let sum = tree(b, lanes);
            let sum = b.extf(sum, F64);
            b.addf(total, sum)
        });
    }
    let from = len / BLOCK * BLOCK;
    if len > from {
        let whole = (len - from) / LANES * LANES;
        let mut lanes = zero;
        if whole > 0 {
            lanes = b.for_(from, from + whole, LANES, zero, |b, at, lanes| {
                let part = term(b, at, LANES);
                b.addf(lanes, part)
            });
        }
        for (at, width) in super::ternary::pieces(len - from - whole, LANES) {
            let place = b.index((from + whole + at) as i64);
            let part = term(b, place, width);
            let old = b.extract_strided_slice(lanes, [at], [width]);
            let sum = b.addf(old, part);
            lanes = b.insert_strided_slice(sum, lanes, [at]);
        }
        let sum = tree(b, lanes);
        let sum = b.extf(sum, F64);
        total = b.addf(total, sum);
    }
    total
}

/// The largest of `len` numbers that are not negative, NaN where one is.
pub(super) fn max_terms(
    b: &mut Builder,
    isa: Isa,
    len: usize,
    mut term: impl FnMut(&mut Builder, Value<Index>, usize) -> Floats,
) -> Value<F32> {
    // Their bits are in the numbers' order, and those of NaN above all others.
    let lanes = isa.lanes();
    let whole = len / lanes * lanes;
    let zero = b.int(isa.int_vector(), 0);
    let best = b.for_(0, whole, lanes, zero, |b, at, best| {
        let part = term(b, at, lanes);
        let bits = b.bitcast(part, I32);
        b.maxsi(bits, best)
    });
    let mut best = b.reduction(Combine::Maxsi, best);
    for (at, width) in super::ternary::pieces(len - whole, lanes) {
        let place = b.index((whole + at) as i64);
        let part = term(b, place, width);
        let bits = b.bitcast(part, I32);
        let part = b.reduction(Combine::Maxsi, bits);
        best = b.maxsi(best, part);
    }
    b.bitcast(best, F32)
}

/// 1 / √(mean(x²) + eps) of `len` elements; `load(position, width)` gives neighbouring ones.
pub(super) fn rstd(
    b: &mut Builder,
    len: usize,
    eps: f32,
    mut load: impl FnMut(&mut Builder, Value<Index>, usize) -> Floats,
) -> Value<F32> {
    let total = sum_terms(b, len, |b, at, width| {
        let x = load(b, at, width);
        b.mulf(x, x)
    });
    let count = b.constant(F64, len as f64);
    let mean = b.divf(total, count);
    let mean = b.truncf(mean, F32);
    let eps = b.constant(F32, eps);
    let mean = b.addf(mean, eps);
    let root = b.sqrt(mean);
    let one = b.constant(F32, 1.0);
    b.divf(one, root)
}

/// max(x, 1e-5), NaN where x is.
fn floored(b: &mut Builder, x: Value<F32>) -> Value<F32> {
    let floor = b.constant(F32, FLOOR);
    let below = b.cmpf(CmpF::Olt, x, floor);
    b.select(below, floor, x)
}

/// 127 / max(absmax, 1e-5).
fn scale_of(b: &mut Builder, absmax: Value<F32>) -> Value<F32> {
    let absmax = floored(b, absmax);
    let most = b.constant(F32, 127.0);
    b.divf(most, absmax)
}

/// The integer nearest to each lane, within [−128, 127], still an f32.
fn level(b: &mut Builder, v: Floats, rounding: Rounding) -> Floats {
    let all = |b: &mut Builder, c: f32| b.float(v.ty(), f64::from(c));
    let v = match rounding {
        Rounding::HalfAway => round_away(b, v),
        Rounding::HalfEven => b.roundeven(v),
    };
    let (high, low) = (all(b, 127.0), all(b, -128.0));
    let above = b.cmpf(CmpF::Ogt, v, high);
    let v = b.select(above, high, v);
    let below = b.cmpf(CmpF::Olt, v, low);
    b.select(below, low, v)
}

/// The same as bytes; 0 for NaN.
pub(super) fn to_bytes(b: &mut Builder, v: Floats, rounding: Rounding) -> Bytes {
    let v = level(b, v, rounding);
    let magic = b.float(v.ty(), f64::from(MAGIC));
    // The low byte of the sum is the integer.
    let v = b.addf(v, magic);
    let bits = b.bitcast(v, I32);
    b.trunci(bits, I8)
}

/// Writes the int8 form of a row of `len` numbers and gives its scale; `load` gives the numbers.
pub(super) fn quantize_row(
    b: &mut Builder,
    isa: Isa,
    len: usize,
    rounding: Rounding,
    mut load: impl FnMut(&mut Builder, Value<Index>, usize) -> Floats,
    q: Value<MemRef<I8, 2>>,
    row: Value<Index>,
) -> Value<F32> {
    let absmax = max_terms(b, isa, len, |b, at, width| {
        let y = load(b, at, width);
        b.absf(y)
    });
    let scale = scale_of(b, absmax);
    strips(b, len, isa.lanes(), |b, at, width| {
        let y = load(b, at, width);
        let all = b.broadcast(scale, y.ty());
        let v = b.mulf(y, all);
        let bytes = to_bytes(b, v, rounding);
        b.vector_store(bytes, q, (row, at));
    });
    scale
}

/// x · rstd · weight, for neighbours of one row.
pub(super) fn normed(b: &mut Builder, x: Floats, rstd: Value<F32>, weight: Floats) -> Floats {
    let rstd = b.broadcast(rstd, x.ty());
    let y = b.mulf(x, rstd);
    b.mulf(y, weight)
}

/// The norm of one row with the quantiser behind it: writes the int8 form, gives (1/rms, scale).
pub(super) fn norm_quantize_row(
    b: &mut Builder,
    isa: Isa,
    len: usize,
    eps: f32,
    rounding: Rounding,
    mut load: impl FnMut(&mut Builder, Value<Index>, usize) -> Floats,
    weight: Value<MemRef<F32, 1>>,
    q: Value<MemRef<I8, 2>>,
    row: Value<Index>,
) -> (Value<F32>, Value<F32>) {
    let r = rstd(b, len, eps, &mut load);
    // The normalised row is computed twice rather than stored: the row is in the first-level cache.
    let scale = quantize_row(
        b,
        isa,
        len,
        rounding,
        |b, at, width| {
            let x = load(b, at, width);
            let w = b.vector_load(weight, at, [width]);
            normed(b, x, r, w)
        },
        q,
        row,
    );
    (r, scale)
}

fn matrix<E: crate::ir::Element>(elem: E, rows: usize, cols: usize) -> MemRef<E, 2> {
    MemRef::new(elem, [rows as i64, cols as i64])
}

fn vector(len: usize) -> MemRef<F32, 1> {
    MemRef::new(F32, [len as i64])
}

/// The arguments of [`rms_norm`].
pub type RmsNorm = (MemRef<F32, 2>, MemRef<F32, 1>, MemRef<F32, 2>, MemRef<F32, 1>);

/// A private function `(x, weight, y, rstd)`: y = x · rstd · weight, rstd = 1 / √(mean(x²) + eps) of each row. `x` and `y` are
/// (rows, cols) and may be one memref, `weight` is (cols), `rstd` is (rows).
pub fn rms_norm(m: &mut Module, isa: Isa, rows: usize, cols: usize, eps: f32) -> Func<RmsNorm, ()> {
    let name = format!("rms_norm_{rows}x{cols}_{:08x}", eps.to_bits());
    let args = (matrix(F32, rows, cols), vector(cols), matrix(F32, rows, cols), vector(rows));
    once(m, &name, args, |m| {
        m.function(super::private(&name), args, |b, (x, weight, y, rstds)| {
            b.for_(0, rows, 1, (), |b, row, ()| {
                let r = rstd(b, cols, eps, |b, at, width| b.vector_load(x, (row, at), [width]));
                b.store(r, rstds, row);
                strips(b, cols, isa.lanes(), |b, at, width| {
                    let (v, w) = (b.vector_load(x, (row, at), [width]), b.vector_load(weight, at, [width]));
                    let v = normed(b, v, r, w);
                    b.vector_store(v, y, (row, at));
                });
            });
        })
    })
}

/// The arguments of [`quantize_activations`].
pub type Quantize = (MemRef<F32, 2>, MemRef<I8, 2>, MemRef<F32, 1>);

/// A private function `(y, q, scale)`: scale = 127 / max(absmax, 1e-5) of each row, q = clamp(round(y · scale), −128, 127). `y` and
/// `q` are (rows, cols), `scale` is (rows).
pub fn quantize_activations(
    m: &mut Module,
    isa: Isa,
    rows: usize,
    cols: usize,
    rounding: Rounding,
) -> Func<Quantize, ()> {
    let name = format!("quantize_{rows}x{cols}_{rounding:?}");
    let args = (matrix(F32, rows, cols), matrix(I8, rows, cols), vector(rows));
    once(m, &name, args, |m| {
        m.function(super::private(&name), args, |b, (y, q, scales)| {
            b.for_(0, rows, 1, (), |b, row, ()| {
                let load = |b: &mut Builder, at, width| b.vector_load(y, (row, at), [width]);
                let scale = quantize_row(b, isa, cols, rounding, load, q, row);
                b.store(scale, scales, row);
            });
        })
    })
}

/// The arguments of [`rms_norm_quantize`].
pub type NormQuantize = (MemRef<F32, 2>, MemRef<F32, 1>, MemRef<I8, 2>, MemRef<F32, 1>, MemRef<F32, 1>);

/// A private function `(x, weight, q, rstd, scale)`: [`rms_norm`] with [`quantize_activations`] behind it, in one pass.
pub fn rms_norm_quantize(
    m: &mut Module,
    isa: Isa,
    rows: usize,
    cols: usize,
    eps: f32,
    rounding: Rounding,
) -> Func<NormQuantize, ()> {
    let name = format!("rms_norm_quantize_{rows}x{cols}_{:08x}_{rounding:?}", eps.to_bits());
    let args = (matrix(F32, rows, cols), vector(cols), matrix(I8, rows, cols), vector(rows), vector(rows));
    once(m, &name, args, |m| {
        m.function(super::private(&name), args, |b, (x, weight, q, rstds, scales)| {
            b.for_(0, rows, 1, (), |b, row, ()| {
                let load = |b: &mut Builder, at, width| b.vector_load(x, (row, at), [width]);
                let (r, scale) = norm_quantize_row(b, isa, cols, eps, rounding, load, weight, q, row);
                b.store(r, rstds, row);
                b.store(scale, scales, row);
            });
        })
    })
}

/// The ops of a norm with the quantiser behind it, whose int8 numbers are written as what they stand for: x and y (R, C), weight
/// (C), 1/rms and scale (R).
pub fn rms_norm_fake_quantize(
    b: &mut Builder,
    isa: Isa,
    [rows, cols]: [usize; 2],
    (eps, rounding): (f32, Rounding),
    (x, weight): (Value<MemRef<F32, 2>>, Value<MemRef<F32, 1>>),
    (rstds, scales, y): (Value<MemRef<F32, 1>>, Value<MemRef<F32, 1>>, Value<MemRef<F32, 2>>),
) {
    b.for_(0, rows, 1, (), |b, row, ()| {
        let r = rstd(b, cols, eps, |b, at, width| b.vector_load(x, (row, at), [width]));
        b.store(r, rstds, row);
        let load = |b: &mut Builder, at: Value<Index>, width: usize| {
            let (v, w) = (b.vector_load(x, (row, at), [width]), b.vector_load(weight, at, [width]));
            normed(b, v, r, w)
        };
        let peak = max_terms(b, isa, cols, |b, at, width| {
            let v = load(b, at, width);
            b.absf(v)
        });
        let scale = scale_of(b, peak);
        b.store(scale, scales, row);
        strips(b, cols, isa.lanes(), |b, at, width| {
            let v = load(b, at, width);
            let by = b.broadcast(scale, v.ty());
            let scaled = b.mulf(v, by);
            let whole = level(b, scaled, rounding);
            let made = b.divf(whole, by);
            b.vector_store(made, y, (row, at));
        });
    });
}

/// 1 / max(mean|w|, 1e-5) of `len` numbers, the mean taken in f64.
pub(super) fn absmean_scale(b: &mut Builder, w: Value<MemRef<F32, 1>>, len: usize) -> Value<F32> {
    let total = sum_terms(b, len, |b, at, width| {
        let w = b.vector_load(w, at, [width]);
        b.absf(w)
    });
    let count = b.constant(F64, len as f64);
    let mean = b.divf(total, count);
    let mean = b.truncf(mean, F32);
    let mean = floored(b, mean);
    let one = b.constant(F32, 1.0);
    b.divf(one, mean)
}

/// round_half_even(w · scale) clamped to −1, 0, 1, plus 1: the codes of the compute layout, so many places up.
pub(super) fn codes(b: &mut Builder, w: Floats, scale: Value<F32>, places: u32) -> Bytes {
    let scale = b.broadcast(scale, w.ty());
    let v = b.mulf(w, scale);
    // Exactly 0.5 rounds to the even 0.
    let (half, minus) = (b.float(v.ty(), 0.5), b.float(v.ty(), -0.5));
    let (above, below) = (b.cmpf(CmpF::Ogt, v, half), b.cmpf(CmpF::Olt, v, minus));
    let bytes = Vector::new(I8, [v.ty().lanes()]);
    let [zero, one, two] = [0_u8, 1, 2].map(|code| b.int(bytes, i64::from((code << places) as i8)));
    let code = b.select(below, zero, one);
    b.select(above, two, code)
}

/// The arguments of [`quantize_weights`].
pub type Weights = (MemRef<F32, 1>, MemRef<I8, 1>, MemRef<F32, 1>);

/// A private function `(w, trits, scale)`: the ternary quantiser of BitNet b1.58, scale = 1 / max(mean|w|, 1e-5), trit =
/// clamp(round_half_even(w · scale), −1, 1), one byte each; `w` and `trits` have `len` elements, `scale` has one.
pub fn quantize_weights(m: &mut Module, isa: Isa, len: usize) -> Func<Weights, ()> {
    let name = format!("quantize_weights_{len}");
    let args = (vector(len), MemRef::new(I8, [len as i64]), vector(1));
    once(m, &name, args, |m| {
        m.function(super::private(&name), args, |b, (w, trits, scales)| {
            let scale = absmean_scale(b, w, len);
            b.store(scale, scales, 0);
            strips(b, len, isa.lanes(), |b, at, width| {
                let v = b.vector_load(w, at, [width]);
                let code = codes(b, v, scale, 0);
                let one = b.int(code.ty(), 1);
                let trit = b.subi(code, one);
                b.vector_store(trit, trits, at);
            });
        })
    })
}
