//! Recurrences: single steps, and loops over time.
//!
//! Where a sequence has leading axes `[…, T]`, its rows are those of the state times T, neighbours in time side by side.

use super::super::module::Op;
use super::Lowered;
use super::frame::{Frame, Rows, nest, sizes, sum};
use crate::ir::{Builder, Float, Index, Value};

pub(super) fn lower<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, name: &str, op: &Op) -> Lowered<()> {
    match name {
        "ssm_state_update" => ssm_update(f, b, op),
        "ssm_output" => {
            let (state, c) = (f.rows(op, 0)?, f.rows(op, 1)?);
            let (rows, width) = sizes(b, state);
            let one = b.index(1);
            let y = f.numbers(b, rows, one);
            let elem = f.elem;
            b.name("r").for_(0, rows, 1, (), |b, r, ()| {
                let v = dot(b, elem, state, r, c, None, width);
                b.store(v, y, (r, 0));
            });
            f.give_rows(op, 0, y);
            Ok(())
        }
        "ssm_scan" => ssm_scan(f, b, op),
        "selective_scan" => selective(f, b, op),
        "linear_scan" => gated(f, b, op, false),
        "mlgru_step" | "mlgru_scan" => gated(f, b, op, true),
        "linear_attention_state_update" => attention_update(f, b, op),
        "linear_attention_output" => attention_output(f, b, op),
        "linear_attention_scan" => attention_scan(f, b, op),
        "short_convolution" => convolution(f, b, op),
        other => Err(format!("`{other}` has no plain lowering")),
    }
}

/// `Σ_i x[r, i] y[row, i]`, where `y` has one row unless `row` is given.
fn dot<E: Float>(
    b: &mut Builder,
    elem: E,
    x: Rows<E>,
    r: Value<Index>,
    y: Rows<E>,
    row: Option<Value<Index>>,
    width: Value<Index>,
) -> Value<E> {
    let row = row.unwrap_or_else(|| b.index(0));
    sum(b, elem, width, |b, i| {
        let (x, y) = (b.load(x, (r, i)), b.load(y, (row, i)));
        b.mulf(x, y)
    })
}

fn copied<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, x: Rows<E>) -> Rows<E> {
    let (rows, width) = sizes(b, x);
    let y = f.numbers(b, rows, width);
    b.copy(x, y);
    y
}

/// `state[r, i] ← a[i] state[r, i] + b[i] input`.
fn advance<E: Float>(
    b: &mut Builder,
    state: Rows<E>,
    r: Value<Index>,
    input: Value<E>,
    a: Rows<E>,
    c: Rows<E>,
) {
    let width = b.dim(state, 1);
    b.for_(0, width, 1, (), |b, i, ()| {
        let (old, a, c) = (b.load(state, (r, i)), b.load(a, (0, i)), b.load(c, (0, i)));
        let kept = b.mulf(a, old);
        let new = b.mulf(c, input);
        let v = b.addf(kept, new);
        b.store(v, state, (r, i));
    });
}

fn ssm_update<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op) -> Lowered<()> {
    let (state, input, a, c) = (f.rows(op, 0)?, f.rows(op, 1)?, f.rows(op, 2)?, f.rows(op, 3)?);
    let next = copied(f, b, state);
    let rows = b.dim(next, 0);
    b.name("r").for_(0, rows, 1, (), |b, r, ()| {
        let input = b.load(input, (r, 0));
        advance(b, next, r, input, a, c);
    });
    f.give_rows(op, 0, next);
    Ok(())
}

fn ssm_scan<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op) -> Lowered<()> {
    let (state, inputs, a) = (f.rows(op, 0)?, f.rows(op, 1)?, f.rows(op, 2)?);
    let (into, out) = (f.rows(op, 3)?, f.rows(op, 4)?);
    let last = copied(f, b, state);
    let (rows, steps) = sizes(b, inputs);
    let width = b.dim(last, 1);
    let y = f.numbers(b, rows, steps);
    let elem = f.elem;
    nest(b, rows, steps, |b, r, t| {
        let input = b.load(inputs, (r, t));
        advance(b, last, r, input, a, into);
        let v = dot(b, elem, last, r, out, None, width);
        b.store(v, y, (r, t));
    });
    f.give_rows(op, 0, y);
    f.give_rows(op, 1, last);
    Ok(())
}

/// Runs `body` with the state's row and the sequence's row, step after step.
fn over_time<E: Float>(
    b: &mut Builder,
    state: Rows<E>,
    sequence: Rows<E>,
    body: impl FnOnce(&mut Builder, Value<Index>, Value<Index>),
) {
    let (rows, all) = (b.dim(state, 0), b.dim(sequence, 0));
    let steps = b.divui(all, rows);
    b.name("r").for_(0, rows, 1, (), |b, r, ()| {
        b.name("t").for_(0, steps, 1, (), |b, t, ()| {
            let at = b.muli(r, steps);
            let at = b.addi(at, t);
            body(b, r, at);
        });
    });
}

/// `h ← exp(step a) h + step b x`, `y = c h`.
fn selective<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op) -> Lowered<()> {
    if is_tensor(f, op, 0) {
        return Err("over tensors it has no plain form: a plan lowers it".to_owned());
    }
    let (state, x, step) = (f.rows(op, 0)?, f.rows(op, 1)?, f.rows(op, 2)?);
    let (a, into, out) = (f.rows(op, 3)?, f.rows(op, 4)?, f.rows(op, 5)?);
    let last = copied(f, b, state);
    let (all, channels) = sizes(b, x);
    let n = b.dim(into, 1);
    let y = f.numbers(b, all, channels);
    let elem = f.elem;
    over_time(b, last, x, |b, r, t| {
        b.name("d").for_(0, channels, 1, (), |b, d, ()| {
            let (x, step) = (b.load(x, (t, d)), b.load(step, (t, d)));
            let first = b.muli(d, n);
            let v = sum(b, elem, n, |b, i| {
                let at = b.addi(first, i);
                let decay = b.load(a, (d, i));
                let decay = b.mulf(step, decay);
                let decay = b.exp(decay);
                let old = b.load(last, (r, at));
                let kept = b.mulf(decay, old);
                let new = b.load(into, (t, i));
                let new = b.mulf(step, new);
                let new = b.mulf(new, x);
                let h = b.addf(kept, new);
                b.store(h, last, (r, at));
                let c = b.load(out, (t, i));
                b.mulf(c, h)
            });
            b.store(v, y, (t, d));
        });
    });
    f.give_rows(op, 0, y);
    f.give_rows(op, 1, last);
    Ok(())
}

/// `h ← decay h + input`; gated: `h ← forget h + (1 − forget) candidate`, `y = gate h`.
fn gated<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op, gated: bool) -> Lowered<()> {
    let (state, forget, input) = (f.rows(op, 0)?, f.rows(op, 1)?, f.rows(op, 2)?);
    let gate = if gated { Some(f.rows(op, 3)?) } else { None };
    let last = copied(f, b, state);
    let (all, width) = sizes(b, forget);
    let y = f.numbers(b, all, width);
    let elem = f.elem;
    over_time(b, last, forget, |b, r, t| {
        b.for_(0, width, 1, (), |b, i, ()| {
            let (h, forget, input) = (b.load(last, (r, i)), b.load(forget, (t, i)), b.load(input, (t, i)));
            let kept = b.mulf(forget, h);
            let new = if gate.is_some() {
                let one = b.float(elem, 1.0);
                let rest = b.subf(one, forget);
                b.mulf(rest, input)
            } else {
                input
            };
            let h = b.addf(kept, new);
            b.store(h, last, (r, i));
            let out = match gate {
                Some(gate) => {
                    let gate = b.load(gate, (t, i));
                    b.mulf(gate, h)
                }
                None => h,
            };
            b.store(out, y, (t, i));
        });
    });
    f.give_rows(op, 0, y);
    f.give_rows(op, 1, last);
    Ok(())
}

/// `S[r] ← decay S[r] + key valueᵀ`, `z[r] ← decay z[r] + key`; key and value are row `t`.
fn learn<E: Float>(
    b: &mut Builder,
    (state, normalizer): (Rows<E>, Rows<E>),
    r: Value<Index>,
    (key, value): (Rows<E>, Rows<E>),
    t: Value<Index>,
    decay: Option<Value<E>>,
) {
    let (keys, values) = (b.dim(key, 1), b.dim(value, 1));
    let faded = |b: &mut Builder, v: Value<E>| decay.map_or(v, |decay| b.mulf(decay, v));
    b.name("k").for_(0, keys, 1, (), |b, k, ()| {
        let key = b.load(key, (t, k));
        let z = b.load(normalizer, (r, k));
        let z = faded(b, z);
        let z = b.addf(z, key);
        b.store(z, normalizer, (r, k));
        let first = b.muli(k, values);
        b.name("v").for_(0, values, 1, (), |b, v, ()| {
            let at = b.addi(first, v);
            let s = b.load(state, (r, at));
            let s = faded(b, s);
            let value = b.load(value, (t, v));
            let p = b.mulf(key, value);
            let s = b.addf(s, p);
            b.store(s, state, (r, at));
        });
    });
}

/// `y[t] = Sᵀ query[t] / max(z · query[t], eps)`.
fn recall<E: Float>(
    b: &mut Builder,
    (elem, eps): (E, f64),
    (state, normalizer): (Rows<E>, Rows<E>),
    r: Value<Index>,
    (query, y): (Rows<E>, Rows<E>),
    t: Value<Index>,
) {
    let (keys, values) = (b.dim(query, 1), b.dim(y, 1));
    let size = dot(b, elem, query, t, normalizer, Some(r), keys);
    let eps = b.float(elem, eps);
    let size = b.maximumf(size, eps);
    b.name("v").for_(0, values, 1, (), |b, v, ()| {
        let total = sum(b, elem, keys, |b, k| {
            let at = b.muli(k, values);
            let at = b.addi(at, v);
            let (s, q) = (b.load(state, (r, at)), b.load(query, (t, k)));
            b.mulf(s, q)
        });
        let v_ = b.divf(total, size);
        b.store(v_, y, (t, v));
    });
}

fn attention_update<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op) -> Lowered<()> {
    let (state, normalizer) = (f.rows(op, 0)?, f.rows(op, 1)?);
    let (key, value) = (f.rows(op, 2)?, f.rows(op, 3)?);
    let decay = if op.operands.len() > 4 { Some(f.rows(op, 4)?) } else { None };
    // A tensor's leading axes and rows of its matrix are one axis; what is added needs them apart.
    let rows = b.dim(key, 0);
    let (keys, values) = (b.dim(key, 1), b.dim(value, 1));
    let width = b.muli(keys, values);
    let (state, normalizer) = (reshaped(f, b, state, rows, width), copied(f, b, normalizer));
    b.name("r").for_(0, rows, 1, (), |b, r, ()| {
        let decay = decay.map(|decay| b.load(decay, (r, 0)));
        learn(b, (state, normalizer), r, (key, value), r, decay);
    });
    let next = if is_tensor(f, op, 0) {
        let all = b.muli(rows, keys);
        reshaped(f, b, state, all, values)
    } else {
        state
    };
    f.give_rows(op, 0, next);
    f.give_rows(op, 1, normalizer);
    Ok(())
}

fn is_tensor<E: Float>(f: &Frame<'_, E>, op: &Op, k: usize) -> bool {
    matches!(f.result_type(op, k), Some(super::Type::Tensor { .. }))
}

/// The same numbers in the same order as other rows.
pub(super) fn reshaped<E: Float>(
    f: &mut Frame<'_, E>,
    b: &mut Builder,
    x: Rows<E>,
    rows: Value<Index>,
    width: Value<Index>,
) -> Rows<E> {
    let y = f.numbers(b, rows, width);
    let from = b.dim(x, 1);
    nest(b, rows, width, |b, r, i| {
        let at = b.muli(r, width);
        let at = b.addi(at, i);
        let (row, column) = (b.divui(at, from), b.remui(at, from));
        let v = b.load(x, (row, column));
        b.store(v, y, (r, i));
    });
    y
}

fn attention_output<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op) -> Lowered<()> {
    let (state, normalizer, query) = (f.rows(op, 0)?, f.rows(op, 1)?, f.rows(op, 2)?);
    let eps = f.float(op, "eps")?;
    let (rows, keys) = sizes(b, query);
    let (a, c) = sizes(b, state);
    let count = b.muli(a, c);
    let width = b.divui(count, rows);
    let values = b.divui(width, keys);
    let state = reshaped(f, b, state, rows, width);
    let y = f.numbers(b, rows, values);
    let elem = f.elem;
    b.name("r")
        .for_(0, rows, 1, (), |b, r, ()| recall(b, (elem, eps), (state, normalizer), r, (query, y), r));
    f.give_rows(op, 0, y);
    Ok(())
}

fn attention_scan<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op) -> Lowered<()> {
    let (state, normalizer, query) = (f.rows(op, 0)?, f.rows(op, 1)?, f.rows(op, 2)?);
    let (key, value) = (f.rows(op, 3)?, f.rows(op, 4)?);
    let eps = f.float(op, "eps")?;
    let (state, normalizer) = (copied(f, b, state), copied(f, b, normalizer));
    let (all, values) = sizes(b, value);
    let y = f.numbers(b, all, values);
    let elem = f.elem;
    over_time(b, state, query, |b, r, t| {
        learn(b, (state, normalizer), r, (key, value), t, None);
        recall(b, (elem, eps), (state, normalizer), r, (query, y), t);
    });
    f.give_rows(op, 0, y);
    f.give_rows(op, 1, state);
    f.give_rows(op, 2, normalizer);
    Ok(())
}

/// Row k of the history holds the input k − K steps before the first.
fn convolution<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op) -> Lowered<()> {
    let (history, x, kernel) = (f.rows(op, 0)?, f.rows(op, 1)?, f.rows(op, 2)?);
    let last = copied(f, b, history);
    let (all, channels) = sizes(b, x);
    let taps = b.dim(kernel, 1);
    let y = f.numbers(b, all, channels);
    let elem = f.elem;
    over_time(b, last, x, |b, r, t| {
        b.name("c").for_(0, channels, 1, (), |b, c, ()| {
            // Inputs move one place towards the front, the new one comes last.
            let one = b.index(1);
            let rest = b.subi(taps, one);
            b.name("k").for_(0, rest, 1, (), |b, k, ()| {
                let at = b.muli(k, channels);
                let at = b.addi(at, c);
                let from = b.addi(at, channels);
                let v = b.load(last, (r, from));
                b.store(v, last, (r, at));
            });
            let end = b.muli(rest, channels);
            let end = b.addi(end, c);
            let v = b.load(x, (t, c));
            b.store(v, last, (r, end));
            let v = sum(b, elem, taps, |b, k| {
                let at = b.muli(k, channels);
                let at = b.addi(at, c);
                let (v, w) = (b.load(last, (r, at)), b.load(kernel, (c, k)));
                b.mulf(v, w)
            });
            b.store(v, y, (t, c));
        });
    });
    f.give_rows(op, 0, y);
    f.give_rows(op, 1, last);
    Ok(())
}
