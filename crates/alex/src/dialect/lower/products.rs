//! Products with weights, and quantisation.

use super::super::module::Op;
use super::frame::{Frame, Held, Rows, nest, sizes, sum};
use super::{Lowered, trits};
use crate::ir::{Builder, Float, FloatLike, I8, I32, Index, Value};

/// A matrix of trits, packed or not.
#[derive(Clone, Copy)]
enum Trits<E> {
    Packed(Rows<I8>, Rows<E>, axes::TritLayout),
    Plain(Rows<I8>),
}

impl<E: Float> Trits<E> {
    fn of(held: Held<E>) -> Lowered<Self> {
        match held {
            Held::Ternary(bytes, factor, layout) => Ok(Trits::Packed(bytes, factor, layout)),
            Held::Bytes(bytes) => Ok(Trits::Plain(bytes)),
            _ => Err("the weights must be trits".to_owned()),
        }
    }

    fn load(
        self,
        b: &mut Builder,
        shape: (Value<Index>, Value<Index>),
        at: (Value<Index>, Value<Index>),
    ) -> Value<I8> {
        match self {
            Trits::Packed(bytes, _, layout) => trits::load(b, bytes, layout, shape, at),
            Trits::Plain(bytes) => b.load(bytes, at),
        }
    }

    fn factor(self, b: &mut Builder, elem: E) -> Value<E> {
        match self {
            Trits::Packed(_, factor, _) => b.load(factor, (0, 0)),
            Trits::Plain(_) => b.float(elem, 1.0),
        }
    }
}

pub(super) fn lower<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, name: &str, op: &Op) -> Lowered<()> {
    match name {
        "zero_vector" => zeros(f, b, op),
        "quantize_activations" => {
            let x = f.rows(op, 0)?;
            let (q, s) = quantize(f, b, x);
            if op.results.len() == 2 {
                f.give(op, 0, Held::Bytes(q));
                f.give_rows(op, 1, s);
            } else {
                f.give(op, 0, quantized(f, op, q, s));
            }
            Ok(())
        }
        "quantize_weights" => quantize_weights(f, b, op),
        "dequantize" => {
            let Held::Quantized(q, s) = f.operand(op, 0)? else {
                return Err("the operand is not quantised".to_owned());
            };
            let (rows, width) = sizes(b, q);
            let y = f.numbers(b, rows, width);
            let elem = f.elem;
            nest(b, rows, width, |b, r, i| {
                let (q, s) = (b.load(q, (r, i)), b.load(s, (r, 0)));
                let q = b.sitofp(q, elem);
                let v = b.divf(q, s);
                b.store(v, y, (r, i));
            });
            f.give_rows(op, 0, y);
            Ok(())
        }
        "repack" => repack(f, b, op),
        "ternary_accumulate" => ternary(f, b, op, true),
        "ternary_linear" => ternary(f, b, op, false),
        "ternary_sum" => {
            let q = match f.operand(op, 0)? {
                Held::Quantized(q, _) | Held::Bytes(q) => q,
                _ => return Err("the operand is not quantised".to_owned()),
            };
            let weights = Trits::of(f.operand(op, 1)?)?;
            let (rows, k) = sizes(b, q);
            let n = outputs(f, b, op, weights, k)?;
            let y = f.fresh(b, I32, rows, n);
            nest(b, rows, n, |b, r, i| {
                let v = integer_sum(b, q, weights, (n, k), (r, i));
                b.store(v, y, (r, i));
            });
            f.give(op, 0, Held::Sums(y));
            Ok(())
        }
        "linear" | "head_product" => linear(f, b, op),
        "outer" => {
            let (x, y) = (f.rows(op, 0)?, f.rows(op, 1)?);
            let ((rows, n), (_, m)) = (sizes(b, x), sizes(b, y));
            let width = b.muli(n, m);
            let z = f.numbers(b, rows, width);
            nest(b, rows, n, |b, r, i| {
                let xi = b.load(x, (r, i));
                b.name("j").for_(0, m, 1, (), |b, j, ()| {
                    let yj = b.load(y, (r, j));
                    let v = b.mulf(xi, yj);
                    let at = b.muli(i, m);
                    let at = b.addi(at, j);
                    b.store(v, z, (r, at));
                });
            });
            f.give_rows(op, 0, z);
            Ok(())
        }
        other => Err(format!("`{other}` has no plain lowering: the engine decodes its blocks")),
    }
}

fn zeros<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op) -> Lowered<()> {
    let Some(ty) = f.result_type(op, 0) else { return Err("there is no result".to_owned()) };
    let (rows, width) = super::frame::extent(ty)?;
    let given = match op.operands.first() {
        Some(_) => match f.operand(op, 0)? {
            Held::Index(size) => Some(size),
            _ => None,
        },
        None => None,
    };
    let mut size = |n: i64| match (n, given) {
        (crate::ir::DYN, Some(size)) => Ok(size),
        (crate::ir::DYN, None) => Err("the size is open; give it as an operand".to_owned()),
        (n, _) => Ok(b.index(n)),
    };
    let (rows, width) = (size(rows)?, size(width)?);
    let z = f.numbers(b, rows, width);
    let zero = b.float(f.elem, 0.0);
    nest(b, rows, width, |b, r, i| b.store(zero, z, (r, i)));
    f.give_rows(op, 0, z);
    Ok(())
}

/// What holds a quantised result: with its scales where the type has them.
pub(super) fn quantized<E: Float>(f: &Frame<'_, E>, op: &Op, q: Rows<I8>, s: Rows<E>) -> Held<E> {
    match f.result_type(op, 0) {
        Some(super::Type::Tensor { .. }) => Held::Bytes(q),
        _ => Held::Quantized(q, s),
    }
}

/// int8 numbers and scales: `s = 127 / max(max |x|, 1e-5)`.
pub(super) fn quantize<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, x: Rows<E>) -> (Rows<I8>, Rows<E>) {
    let (rows, width) = sizes(b, x);
    let one = b.index(1);
    let (q, s) = (f.fresh(b, I8, rows, width), f.numbers(b, rows, one));
    let elem = f.elem;
    b.name("r").for_(0, rows, 1, (), |b, r, ()| {
        let least = b.float(elem, 1e-5);
        let most = b.name("most").for_(0, width, 1, least, |b, i, most| {
            let v = b.load(x, (r, i));
            let v = b.absf(v);
            b.maxnumf(most, v)
        });
        let limit = b.float(elem, 127.0);
        let scale = b.divf(limit, most);
        b.store(scale, s, (r, 0));
        b.for_(0, width, 1, (), |b, i, ()| {
            let v = b.load(x, (r, i));
            let v = b.mulf(v, scale);
            let v = b.roundeven(v);
            let v = clamp(b, v, -128.0, 127.0);
            let v = byte(b, v);
            b.store(v, q, (r, i));
        });
    });
    (q, s)
}

/// A whole number as a byte.
fn byte<E: Float>(b: &mut Builder, v: Value<E>) -> Value<I8> {
    let v = b.fptosi(v, I8);
    // In code that is generic over scalars, rustc does not see that one with another element is that element.
    b.expect(v, I8)
}

pub(super) fn clamp<T: FloatLike>(b: &mut Builder, v: Value<T>, low: f64, high: f64) -> Value<T> {
    let (low, high) = (b.float(v.ty(), low), b.float(v.ty(), high));
    let v = b.maxnumf(v, low);
    b.minnumf(v, high)
}

fn quantize_weights<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op) -> Lowered<()> {
    let w = f.rows(op, 0)?;
    let (n, k) = sizes(b, w);
    let elem = f.elem;
    let one = b.index(1);
    let factor = f.numbers(b, one, one);
    let zero = b.float(elem, 0.0);
    let total = b.name("total").for_(0, n, 1, zero, |b, i, total| {
        b.for_(0, k, 1, total, |b, j, total| {
            let v = b.load(w, (i, j));
            let v = b.absf(v);
            b.addf(total, v)
        })
    });
    let count = b.muli(n, k);
    let count = b.index_cast(count, crate::ir::I64);
    let count = b.sitofp(count, elem);
    let mean = b.divf(total, count);
    let least = b.float(elem, 1e-5);
    let mean = b.maxnumf(mean, least);
    b.store(mean, factor, (0, 0));
    let unit = b.float(elem, 1.0);
    let scale = b.divf(unit, mean);
    let trit = move |b: &mut Builder, i: Value<Index>, j: Value<Index>| {
        let v = b.load(w, (i, j));
        let v = b.mulf(v, scale);
        let v = b.roundeven(v);
        let v = clamp(b, v, -1.0, 1.0);
        byte(b, v)
    };
    let Some(layout) = layout_of(f, op) else {
        let t = f.fresh(b, I8, n, k);
        nest(b, n, k, |b, i, j| {
            let v = trit(b, i, j);
            b.store(v, t, (i, j));
        });
        f.give(op, 0, Held::Bytes(t));
        f.give_rows(op, 1, factor);
        return Ok(());
    };
    let t = packed(f, b, layout, (n, k), trit);
    f.give(op, 0, Held::Ternary(t, factor, layout));
    Ok(())
}

fn layout_of<E: Float>(f: &Frame<'_, E>, op: &Op) -> Option<axes::TritLayout> {
    match f.result_type(op, 0) {
        Some(super::Type::Fidelity { name, parameters }) if name == "ternary" => match &parameters[4] {
            super::Attr::Str(layout) => layout.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// Fresh bytes with the trits that `trit` gives.
fn packed<E: Float>(
    f: &mut Frame<'_, E>,
    b: &mut Builder,
    layout: axes::TritLayout,
    (n, k): (Value<Index>, Value<Index>),
    trit: impl Fn(&mut Builder, Value<Index>, Value<Index>) -> Value<I8>,
) -> Rows<I8> {
    let per_byte = b.index(match layout {
        axes::TritLayout::Bytes => 1,
        axes::TritLayout::Storage => 5,
        _ => 4,
    });
    let row = b.ceildivui(k, per_byte);
    let length = b.muli(n, row);
    let one = b.index(1);
    let bytes = f.fresh(b, I8, one, length);
    let zero = b.constant(I8, 0);
    b.for_(0, length, 1, (), |b, i, ()| b.store(zero, bytes, (0, i)));
    nest(b, n, k, |b, i, j| {
        let v = trit(b, i, j);
        trits::store(b, v, bytes, layout, (n, k), (i, j));
    });
    bytes
}

fn repack<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op) -> Lowered<()> {
    let (Held::Ternary(bytes, factor, from), Some(to)) = (f.operand(op, 0)?, layout_of(f, op)) else {
        return Err("operand and result must be packed trits".to_owned());
    };
    let (n, k) = match f.result_type(op, 0).map(super::frame::extent) {
        Some(Ok((n, k))) if n != crate::ir::DYN && k != crate::ir::DYN => (b.index(n), b.index(k)),
        _ => return Err("the sizes must be known".to_owned()),
    };
    let t = packed(f, b, to, (n, k), |b, i, j| trits::load(b, bytes, from, (n, k), (i, j)));
    f.give(op, 0, Held::Ternary(t, factor, to));
    Ok(())
}

/// The number of outputs of a product with trits.
fn outputs<E: Float>(
    f: &Frame<'_, E>,
    b: &mut Builder,
    op: &Op,
    weights: Trits<E>,
    _k: Value<Index>,
) -> Lowered<Value<Index>> {
    match weights {
        Trits::Plain(bytes) => Ok(b.dim(bytes, 0)),
        Trits::Packed(..) => match f.result_type(op, 0).map(super::frame::extent) {
            Some(Ok((_, n))) if n != crate::ir::DYN => Ok(b.index(n)),
            _ => Err("the number of outputs must be known".to_owned()),
        },
    }
}

/// `Σ_j w[i, j] q[r, j]` in i32.
fn integer_sum<E: Float>(
    b: &mut Builder,
    q: Rows<I8>,
    weights: Trits<E>,
    (n, k): (Value<Index>, Value<Index>),
    (r, i): (Value<Index>, Value<Index>),
) -> Value<I32> {
    let zero = b.constant(I32, 0);
    b.name("sum").for_(0, k, 1, zero, |b, j, sum| {
        let w = weights.load(b, (n, k), (i, j));
        let w = b.extsi(w, I32);
        let x = b.load(q, (r, j));
        let x = b.extsi(x, I32);
        let p = b.muli(w, x);
        b.addi(sum, p)
    })
}

fn ternary<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op, accumulate: bool) -> Lowered<()> {
    let elem = f.elem;
    let weights = Trits::of(f.operand(op, 1)?)?;
    let x = f.operand(op, 0)?;
    let (rows, k) = match x {
        Held::Rows(x) => sizes(b, x),
        Held::Quantized(q, _) => sizes(b, q),
        _ => return Err("the activations must be numbers or quantised".to_owned()),
    };
    let n = outputs(f, b, op, weights, k)?;
    let start = if accumulate { Some(f.rows(op, 2)?) } else { None };
    let mut factor = weights.factor(b, elem);
    if !accumulate && op.operands.len() > 2 {
        let scale = f.rows(op, 2)?;
        let scale = b.load(scale, (0, 0));
        factor = b.mulf(factor, scale);
    }
    let y = f.numbers(b, rows, n);
    nest(b, rows, n, |b, r, i| {
        let mut total = match x {
            Held::Quantized(q, s) => {
                let total = integer_sum(b, q, weights, (n, k), (r, i));
                let total = b.sitofp(total, elem);
                let s = b.load(s, (r, 0));
                b.divf(total, s)
            }
            Held::Rows(x) => sum(b, elem, k, |b, j| {
                let w = weights.load(b, (n, k), (i, j));
                let w = b.sitofp(w, elem);
                let x = b.load(x, (r, j));
                b.mulf(w, x)
            }),
            _ => b.float(elem, 0.0),
        };
        total = b.mulf(total, factor);
        if let Some(start) = start {
            let start = b.load(start, (r, i));
            total = b.addf(start, total);
        }
        b.store(total, y, (r, i));
    });
    f.give_rows(op, 0, y);
    Ok(())
}

fn linear<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op) -> Lowered<()> {
    let (x, w) = (f.rows(op, 0)?, f.rows(op, 1)?);
    let bias = if op.operands.len() > 2 { Some(f.rows(op, 2)?) } else { None };
    let ((rows, k), n) = (sizes(b, x), b.dim(w, 0));
    let y = f.numbers(b, rows, n);
    let elem = f.elem;
    nest(b, rows, n, |b, r, i| {
        let mut total = sum(b, elem, k, |b, j| {
            let (w, x) = (b.load(w, (i, j)), b.load(x, (r, j)));
            b.mulf(w, x)
        });
        if let Some(bias) = bias {
            let bias = b.load(bias, (0, i));
            total = b.addf(total, bias);
        }
        b.store(total, y, (r, i));
    });
    f.give_rows(op, 0, y);
    Ok(())
}
