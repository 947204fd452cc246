//! Elementwise operations, and what spreads over rows.

use super::super::module::Op;
use super::Lowered;
use super::frame::{Frame, Held, Rows, nest, sizes};
use crate::ir::{Builder, F32, F64, Float, FloatLike, Index, Kind, MemRef, Value};

/// `1 / (1 + e^−x)`.
pub(super) fn sigmoid<T: FloatLike>(b: &mut Builder, x: Value<T>) -> Value<T> {
    let one = b.float(x.ty(), 1.0);
    let e = b.negf(x);
    let e = b.exp(e);
    let d = b.addf(one, e);
    b.divf(one, d)
}

fn unary<E: Float>(b: &mut Builder, name: &str, x: Value<E>) -> Option<Value<E>> {
    let ty = x.ty();
    Some(match name {
        "sigmoid" => sigmoid(b, x),
        "tanh" => b.tanh(x),
        "silu" => {
            let s = sigmoid(b, x);
            b.mulf(x, s)
        }
        "gelu" => {
            let root = b.float(ty, std::f64::consts::FRAC_1_SQRT_2);
            let t = b.mulf(x, root);
            let t = b.erf(t);
            let (one, half) = (b.float(ty, 1.0), b.float(ty, 0.5));
            let t = b.addf(one, t);
            let t = b.mulf(half, t);
            b.mulf(x, t)
        }
        "exp" => b.exp(x),
        "log" => b.log(x),
        "softplus" => {
            // max(x, 0) + log(1 + e^−|x|), which does not overflow.
            let zero = b.float(ty, 0.0);
            let most = b.maximumf(x, zero);
            let e = b.absf(x);
            let e = b.negf(e);
            let e = b.exp(e);
            let l = b.log1p(e);
            b.addf(most, l)
        }
        "complement" => {
            let one = b.float(ty, 1.0);
            b.subf(one, x)
        }
        "negate" => b.negf(x),
        "relu" => {
            let zero = b.float(ty, 0.0);
            b.maximumf(x, zero)
        }
        _ => return None,
    })
}

fn binary<E: Float>(b: &mut Builder, name: &str, x: Value<E>, y: Value<E>) -> Option<Value<E>> {
    Some(match name {
        "add" | "residual_add" | "bias_add" => b.addf(x, y),
        "subtract" => b.subf(x, y),
        "maximum" => b.maximumf(x, y),
        "minimum" => b.minimumf(x, y),
        "multiply" | "multiply_units" | "gate" | "scale" => b.mulf(x, y),
        "divide" | "divide_units" => b.divf(x, y),
        "swiglu" => {
            let s = sigmoid(b, x);
            let s = b.mulf(x, s);
            b.mulf(s, y)
        }
        "relu2_glu" => {
            let zero = b.float(x.ty(), 0.0);
            let r = b.maximumf(x, zero);
            let r = b.mulf(r, r);
            b.mulf(r, y)
        }
        _ => return None,
    })
}

pub(super) fn lower<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, name: &str, op: &Op) -> Lowered<()> {
    if name == "convert" {
        return convert(f, b, op);
    }
    let x = f.rows(op, 0)?;
    let mut failed = false;
    let y = if op.operands.len() == 1 {
        let (rows, width) = sizes(b, x);
        let y = f.numbers(b, rows, width);
        nest(b, rows, width, |b, r, i| {
            let v = b.load(x, (r, i));
            match unary(b, name, v) {
                Some(v) => b.store(v, y, (r, i)),
                None => failed = true,
            }
        });
        y
    } else {
        let second = f.rows(op, 1)?;
        let (rows, width) = wider(b, x, second);
        let y = f.numbers(b, rows, width);
        nest(b, rows, width, |b, r, i| {
            let (v, w) = (spread(b, x, r, i), spread(b, second, r, i));
            match binary(b, name, v, w) {
                Some(v) => b.store(v, y, (r, i)),
                None => failed = true,
            }
        });
        y
    };
    if failed {
        return Err(format!("`{name}` has no plain lowering"));
    }
    f.give_rows(op, 0, y);
    Ok(())
}

/// The larger size of both operands, axis by axis: one row or number goes with all.
fn wider<E: Float>(b: &mut Builder, x: Rows<E>, y: Rows<E>) -> (Value<Index>, Value<Index>) {
    let ((a, b1), (c, d)) = (sizes(b, x), sizes(b, y));
    (b.maxui(a, c), b.maxui(b1, d))
}

/// The number at a place, or the only one along an axis that has one.
fn spread<E: Float>(b: &mut Builder, x: Rows<E>, r: Value<Index>, i: Value<Index>) -> Value<E> {
    let (rows, width) = sizes(b, x);
    let one = b.index(1);
    let (last_row, last) = (b.subi(rows, one), b.subi(width, one));
    let (r, i) = (b.minui(r, last_row), b.minui(i, last));
    b.load(x, (r, i))
}

/// Numbers in another element type; f32 and f64 are the ones that other operations can take on.
fn convert<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op) -> Lowered<()> {
    let Some(ty) = f.result_type(op, 0) else { return Err("there is no result".to_owned()) };
    let to = super::frame::kind(ty)?;
    let from = f.operand(op, 0)?;
    match (from, to) {
        (Held::Rows(x), kind) if kind == E::KIND => f.give_rows(op, 0, x),
        (Held::Rows(x), Kind::F32) => {
            let y = converted(f, b, x, F32);
            f.give(op, 0, Held::Wide(y.any()));
        }
        (Held::Rows(x), Kind::F64) => {
            let y = converted(f, b, x, F64);
            f.give(op, 0, Held::Wide(y.any()));
        }
        (Held::Wide(x), kind) if kind == E::KIND && x.ty().kind() == Some(Kind::F32) => {
            let x = b.expect(x, MemRef::dynamic(F32));
            let y = converted(f, b, x, f.elem);
            f.give_rows(op, 0, y);
        }
        (Held::Wide(x), kind) if kind == E::KIND && x.ty().kind() == Some(Kind::F64) => {
            let x = b.expect(x, MemRef::dynamic(F64));
            let y = converted(f, b, x, f.elem);
            f.give_rows(op, 0, y);
        }
        _ => return Err(format!("conversion to {to} has no plain lowering here: use f32 or f64")),
    }
    Ok(())
}

fn converted<E: Float, T: Float, U: Float>(
    f: &mut Frame<'_, E>,
    b: &mut Builder,
    x: Rows<T>,
    to: U,
) -> Rows<U> {
    let (rows, width) = sizes(b, x);
    let y = f.fresh(b, to, rows, width);
    nest(b, rows, width, |b, r, i| {
        let v = b.load(x, (r, i));
        let v = b.convertf(v, to);
        let v = b.expect(v, to);
        b.store(v, y, (r, i));
    });
    y
}
