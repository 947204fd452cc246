//! Norms and softmax.

use super::super::module::Op;
use super::Lowered;
use super::frame::{Frame, Rows, sizes, sum};
use crate::ir::{Builder, Float, I64, Index, Value};

pub(super) fn lower<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, name: &str, op: &Op) -> Lowered<()> {
    if op.results.len() > 1 {
        return Err("a second result has no plain form".to_owned());
    }
    let x = f.rows(op, 0)?;
    let (rows, width) = sizes(b, x);
    let y = f.numbers(b, rows, width);
    let elem = f.elem;
    if name == "softmax" {
        b.name("r").for_(0, rows, 1, (), |b, r, ()| softmax(b, elem, x, y, r, width));
        f.give_rows(op, 0, y);
        return Ok(());
    }
    let eps = f.float(op, "eps")?;
    let weight = if op.operands.len() > 1 { Some(f.rows(op, 1)?) } else { None };
    let bias = if op.operands.len() > 2 { Some(f.rows(op, 2)?) } else { None };
    let centred = name == "layer_norm";
    b.name("r").for_(0, rows, 1, (), |b, r, ()| {
        let count = b.index_cast(width, I64);
        let count = b.sitofp(count, elem);
        let mean = if centred {
            let total = sum(b, elem, width, |b, i| b.load(x, (r, i)));
            Some(b.divf(total, count))
        } else {
            None
        };
        let value = move |b: &mut Builder, i: Value<Index>| {
            let v = b.load(x, (r, i));
            mean.map_or(v, |mean| b.subf(v, mean))
        };
        let squares = sum(b, elem, width, |b, i| {
            let v = value(b, i);
            b.mulf(v, v)
        });
        let square = b.divf(squares, count);
        let eps = b.float(elem, eps);
        let square = b.addf(square, eps);
        let root = b.sqrt(square);
        b.for_(0, width, 1, (), |b, i, ()| {
            let v = value(b, i);
            let mut v = b.divf(v, root);
            if let Some(weight) = weight {
                let w = b.load(weight, (0, i));
                v = b.mulf(v, w);
            }
            if let Some(bias) = bias {
                let c = b.load(bias, (0, i));
                v = b.addf(v, c);
            }
            b.store(v, y, (r, i));
        });
    });
    if name == "rms_norm_quantize" {
        let (q, s) = super::products::quantize(f, b, y, false);
        f.give(op, 0, super::products::quantized(f, op, q, s));
    } else {
        f.give_rows(op, 0, y);
    }
    Ok(())
}

/// One row of `softmax(x)` into `y`.
pub(super) fn softmax<E: Float>(
    b: &mut Builder,
    elem: E,
    x: Rows<E>,
    y: Rows<E>,
    r: Value<Index>,
    width: Value<Index>,
) {
    let least = b.float(elem, f64::NEG_INFINITY);
    let most = b.name("most").for_(0, width, 1, least, |b, i, most| {
        let v = b.load(x, (r, i));
        b.maximumf(most, v)
    });
    let total = sum(b, elem, width, |b, i| {
        let v = b.load(x, (r, i));
        let v = b.subf(v, most);
        let v = b.exp(v);
        b.store(v, y, (r, i));
        v
    });
    b.for_(0, width, 1, (), |b, i, ()| {
        let v = b.load(y, (r, i));
        let v = b.divf(v, total);
        b.store(v, y, (r, i));
    });
}
