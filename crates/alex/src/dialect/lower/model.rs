//! Parts of models: tables, positions, losses, and the seams between axes.

use super::super::module::Op;
use super::Lowered;
use super::frame::{Frame, Held, Rows, nest, sizes, sum};
use super::recurrent::reshaped;
use crate::ir::{Builder, CmpF, CmpI, Float, I64, Index, Value};

pub(super) fn lower<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, name: &str, op: &Op) -> Lowered<()> {
    match name {
        "embedding" => embedding(f, b, op),
        "rope" => rope(f, b, op),
        "attention" => attention(f, b, op),
        "cross_entropy" => cross_entropy(f, b, op),
        "argmax" => argmax(f, b, op),
        "sum" | "dot" => {
            let x = f.rows(op, 0)?;
            let y = if name == "dot" { Some(f.rows(op, 1)?) } else { None };
            let (rows, width) = sizes(b, x);
            let one = b.index(1);
            let z = f.numbers(b, rows, one);
            let elem = f.elem;
            b.name("r").for_(0, rows, 1, (), |b, r, ()| {
                let v = sum(b, elem, width, |b, i| {
                    let v = b.load(x, (r, i));
                    match y {
                        Some(y) => {
                            let w = b.load(y, (r, i));
                            b.mulf(v, w)
                        }
                        None => v,
                    }
                });
                b.store(v, z, (r, 0));
            });
            f.give_rows(op, 0, z);
            Ok(())
        }
        // The same numbers under another type.
        "read_state" | "write_state" | "rename_axis" => {
            let x = f.rows(op, 0)?;
            f.give_rows(op, 0, x);
            Ok(())
        }
        "split_heads" | "merge_heads" => {
            let x = f.rows(op, 0)?;
            let width = match f.result_type(op, 0).map(super::frame::extent) {
                Some(Ok((_, width))) if width != crate::ir::DYN => b.index(width),
                _ => return Err("the length of the result must be known".to_owned()),
            };
            let (rows, from) = sizes(b, x);
            let count = b.muli(rows, from);
            let rows = b.divui(count, width);
            let y = reshaped(f, b, x, rows, width);
            f.give_rows(op, 0, y);
            Ok(())
        }
        other => Err(format!("`{other}` has no plain form: a plan lowers it")),
    }
}

fn embedding<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op) -> Lowered<()> {
    let (ids, table) = (f.tokens(op, 0)?, f.rows(op, 1)?);
    let ((rows, columns), width) = (sizes(b, ids), b.dim(table, 1));
    // Ids that are a tensor have their last axis along the columns.
    let all = b.muli(rows, columns);
    let y = f.numbers(b, all, width);
    nest(b, rows, columns, |b, r, c| {
        let id = b.load(ids, (r, c));
        let id = b.index_cast(id, Index);
        let at = b.muli(r, columns);
        let at = b.addi(at, c);
        b.for_(0, width, 1, (), |b, i, ()| {
            let v = b.load(table, (id, i));
            b.store(v, y, (at, i));
        });
    });
    f.give_rows(op, 0, y);
    Ok(())
}

/// Numbers i and i + n/2 turned by `position · base^(−2i/n)`.
fn rope<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op) -> Lowered<()> {
    let x = f.rows(op, 0)?;
    let positions = if op.operands.len() > 1 { Some(f.tokens(op, 1)?) } else { None };
    let base = f.float(op, "base")?;
    let (rows, width) = sizes(b, x);
    let y = f.numbers(b, rows, width);
    let elem = f.elem;
    let two = b.index(2);
    let half = b.divui(width, two);
    nest(b, rows, half, |b, r, i| {
        let position = match positions {
            Some(positions) => {
                // Positions are a column, or a row where they are a tensor of one axis.
                let columns = b.dim(positions, 1);
                let (row, column) = (b.divui(r, columns), b.remui(r, columns));
                b.load(positions, (row, column))
            }
            None => b.index_cast(r, I64),
        };
        let position = b.sitofp(position, elem);
        let (i64_, n) = (b.index_cast(i, I64), b.index_cast(half, I64));
        let (i_, n) = (b.sitofp(i64_, elem), b.sitofp(n, elem));
        let exponent = b.divf(i_, n);
        let log = b.float(elem, -base.ln());
        let exponent = b.mulf(exponent, log);
        let frequency = b.exp(exponent);
        let angle = b.mulf(position, frequency);
        let (sin, cos) = (b.sin(angle), b.cos(angle));
        let j = b.addi(i, half);
        let (u, v) = (b.load(x, (r, i)), b.load(x, (r, j)));
        let (uc, vs) = (b.mulf(u, cos), b.mulf(v, sin));
        let (us, vc) = (b.mulf(u, sin), b.mulf(v, cos));
        let (first, second) = (b.subf(uc, vs), b.addf(us, vc));
        b.store(first, y, (r, i));
        b.store(second, y, (r, j));
    });
    f.give_rows(op, 0, y);
    Ok(())
}

fn attention<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op) -> Lowered<()> {
    let (query, keys, values) = (f.rows(op, 0)?, f.rows(op, 1)?, f.rows(op, 2)?);
    let factor = f.float(op, "scale")?;
    let (rows, k) = sizes(b, query);
    let (caches, size) = sizes(b, keys);
    let steps = b.divui(size, k);
    let value_size = b.dim(values, 1);
    let v = b.divui(value_size, steps);
    let (scores, weights) = (f.numbers(b, rows, steps), f.numbers(b, rows, steps));
    let y = f.numbers(b, rows, v);
    let elem = f.elem;
    b.name("r").for_(0, rows, 1, (), |b, r, ()| {
        let cache = b.remui(r, caches);
        b.name("t").for_(0, steps, 1, (), |b, t, ()| {
            let first = b.muli(t, k);
            let s = sum(b, elem, k, |b, i| {
                let at = b.addi(first, i);
                let (q, key) = (b.load(query, (r, i)), b.load(keys, (cache, at)));
                b.mulf(q, key)
            });
            let factor = b.float(elem, factor);
            let s = b.mulf(s, factor);
            b.store(s, scores, (r, t));
        });
        super::norm::softmax(b, elem, scores, weights, r, steps);
        b.for_(0, v, 1, (), |b, i, ()| {
            let total = sum(b, elem, steps, |b, t| {
                let at = b.muli(t, v);
                let at = b.addi(at, i);
                let (w, value) = (b.load(weights, (r, t)), b.load(values, (cache, at)));
                b.mulf(w, value)
            });
            b.store(total, y, (r, i));
        });
    });
    f.give_rows(op, 0, y);
    Ok(())
}

/// `log Σ exp x[r, i]`, with the largest number taken out.
fn log_sum<E: Float>(b: &mut Builder, elem: E, x: Rows<E>, r: Value<Index>, width: Value<Index>) -> Value<E> {
    let least = b.float(elem, f64::NEG_INFINITY);
    let most = b.name("most").for_(0, width, 1, least, |b, i, most| {
        let v = b.load(x, (r, i));
        b.maximumf(most, v)
    });
    let total = sum(b, elem, width, |b, i| {
        let v = b.load(x, (r, i));
        let v = b.subf(v, most);
        b.exp(v)
    });
    let log = b.log(total);
    b.addf(most, log)
}

fn cross_entropy<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op) -> Lowered<()> {
    if op.results.len() > 1 {
        return Err("a second result has no plain form".to_owned());
    }
    let (logits, labels) = (f.rows(op, 0)?, f.tokens(op, 1)?);
    let (rows, width) = sizes(b, logits);
    let columns = b.dim(labels, 1);
    let one = b.index(1);
    let loss = f.numbers(b, one, one);
    let elem = f.elem;
    let zero = b.float(elem, 0.0);
    let (total, count) = b.name("total").for_(0, rows, 1, (zero, zero), |b, r, (total, count)| {
        let (row, column) = (b.divui(r, columns), b.remui(r, columns));
        let label = b.load(labels, (row, column));
        let none = b.int(I64, -100);
        let counts = b.cmpi(CmpI::Ne, label, none);
        b.if_(
            counts,
            |b| {
                let at = b.index_cast(label, Index);
                let chosen = b.load(logits, (r, at));
                let all = log_sum(b, elem, logits, r, width);
                let one = b.float(elem, 1.0);
                let loss = b.subf(all, chosen);
                (b.addf(total, loss), b.addf(count, one))
            },
            |_| (total, count),
        )
    });
    let mean = b.divf(total, count);
    b.store(mean, loss, (0, 0));
    f.give_rows(op, 0, loss);
    Ok(())
}

fn argmax<E: Float>(f: &mut Frame<'_, E>, b: &mut Builder, op: &Op) -> Lowered<()> {
    let logits = f.rows(op, 0)?;
    let (rows, width) = sizes(b, logits);
    let one = b.index(1);
    let tensor = matches!(f.result_type(op, 0), Some(super::Type::Tensor { sizes, .. }) if !sizes.is_empty());
    // Ids that are a tensor have their last axis along the columns.
    let ids = if tensor { f.fresh(b, I64, one, rows) } else { f.fresh(b, I64, rows, one) };
    b.name("r").for_(0, rows, 1, (), |b, r, ()| {
        let (first, none) = (b.load(logits, (r, 0)), b.constant(I64, 0));
        let (_, best) = b.name("best").for_(0, width, 1, (first, none), |b, i, (most, best)| {
            let v = b.load(logits, (r, i));
            let more = b.cmpf(CmpF::Ogt, v, most);
            let here = b.index_cast(i, I64);
            (b.select(more, v, most), b.select(more, here, best))
        });
        if tensor {
            b.store(best, ids, (0, r));
        } else {
            b.store(best, ids, (r, 0));
        }
    });
    f.give(op, 0, Held::Tokens(ids));
    Ok(())
}
