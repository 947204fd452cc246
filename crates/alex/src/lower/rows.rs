//! Rows seen twice: the gradient of a norm, the cross entropy and its gradient. For every floating element type.

use super::point;
use super::quantize::{Row, sums};
use super::step::{results, sizes};
use super::value::{Cells, Icmp, V, cmpi, convertf, float, int, op2, select, shaped, spread, to_float};
use super::{Lowering, Scope};
use crate::ir::{AnyType, Builder, I1, I64, Index, Kind, Value};
use axes::DType;
use graph::Op;
use graph::ops::loss::IGNORE;

/// Lowers an op of this file; what it gives is 1 where a label was outside the vocabulary.
pub(crate) fn node(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) -> Option<V> {
    match scope.plan.graph.nodes[i as usize].op {
        Op::RmsNormGrad => norm_grad(l, b, scope, i),
        Op::CrossEntropy => entropy(l, b, scope, i),
        _ => entropy_grad(l, b, scope, i),
    }
}

fn norm_grad(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) -> Option<V> {
    let n = &scope.plan.graph.nodes[i as usize];
    let out = results(scope, i);
    let (d, rows) = (sizes(scope, n.inputs[1])[0], sizes(scope, n.inputs[2]).iter().product::<usize>());
    let (dtype, types) = (n.types[0].dtype, l.types);
    let mut args = vec![];
    for v in &n.inputs {
        args.push(l.read(b, scope, *v));
    }
    args.extend([l.write(b, scope, out[0]), l.write(b, scope, out[1])]);
    l.kernel(b, "rms_norm_grad", &format!("{rows} {d} {dtype:?}"), &args, false, |b, m| {
        let [x, w, rstd, dy, dx, dw] = [0, 1, 2, 3, 4, 5].map(|k| Cells { memory: m[k], dtype, types });
        let k = types.compute(dtype);
        let row = Row::new(d, k);
        b.for_(0, rows, 1, (), |b, r, ()| {
            let first = b.scaled(r, d);
            let scale = rstd.load(b, r, None);
            // x̂ and dy · w.
            let parts = |b: &mut Builder, c: Value<Index>, lanes: Option<usize>| {
                let at = b.addi(first, c);
                let (x, dy, w) = (x.load(b, at, lanes), dy.load(b, at, lanes), w.load(b, c, lanes));
                let by = spread(b, scale, lanes);
                (op2(b, "arith.mulf", x, by), op2(b, "arith.mulf", dy, w))
            };
            let total = row.fold(b, (sums(k), 0.0, "arith.addf", "add"), |b, c, lanes| {
                let (hat, g) = parts(b, c, lanes);
                let (hat, g) = (convertf(b, hat, sums(k)), convertf(b, g, sums(k)));
                op2(b, "arith.mulf", hat, g)
            });
            let size = float(b, total.ty(), d as f64);
            let mean = op2(b, "arith.divf", total, size);
            let mean = convertf(b, mean, k);
            row.each(b, |b, c, lanes| {
                let (hat, g) = parts(b, c, lanes);
                let (mean, by) = (spread(b, mean, lanes), spread(b, scale, lanes));
                let lost = op2(b, "arith.mulf", hat, mean);
                let left = op2(b, "arith.subf", g, lost);
                let made = op2(b, "arith.mulf", left, by);
                let at = b.addi(first, c);
                dx.store(b, at, made);
            });
        });
        row.each(b, |b, c, lanes| {
            let zero = float(b, shaped(sums(k), lanes), 0.0);
            let total = b.for_(0, rows, 1, zero, |b, r, acc| {
                let first = b.scaled(r, d);
                let at = b.addi(first, c);
                let (x, dy, scale) = (x.load(b, at, lanes), dy.load(b, at, lanes), rstd.load(b, r, None));
                let by = spread(b, scale, lanes);
                let hat = op2(b, "arith.mulf", x, by);
                let term = op2(b, "arith.mulf", dy, hat);
                let term = convertf(b, term, sums(k));
                op2(b, "arith.addf", acc, term)
            });
            dw.store(b, c, total);
        });
        None
    })
}

const WORD: AnyType = AnyType::Scalar(Kind::I64);
const FLAG: AnyType = AnyType::Scalar(Kind::I32);

/// A label: whether it counts, a row of the vocabulary that is safe to read, and the flag.
fn label(b: &mut Builder, label: V, v: usize, flag: V) -> (V, V, V) {
    let [ignored, most, zero] = [IGNORE, v as i64, 0].map(|n| int(b, WORD, n));
    let one = int(b, FLAG, 1);
    let kept = cmpi(b, Icmp::Ne, label, ignored);
    let inside = cmpi(b, Icmp::Ult, label, most);
    let yes = int(b, AnyType::Scalar(Kind::I1), 1);
    let dropped = op2(b, "arith.xori", kept, yes);
    let fine = op2(b, "arith.ori", inside, dropped);
    let flag = select(b, fine, flag, one);
    (kept, select(b, inside, label, zero), flag)
}

fn entropy(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) -> Option<V> {
    let n = &scope.plan.graph.nodes[i as usize];
    let (out, shape) = (results(scope, i), sizes(scope, n.inputs[0]));
    let (rows, v) = (shape[0], shape[1]);
    let (dtype, types) = (n.types[0].dtype, l.types);
    let args = [
        l.read(b, scope, n.inputs[0]),
        l.read(b, scope, n.inputs[1]),
        l.write(b, scope, out[0]),
        l.write(b, scope, out[1]),
    ];
    l.kernel(b, "cross_entropy", &format!("{rows} {v} {dtype:?}"), &args, true, |b, m| {
        let [x, loss, lse] = [0, 2, 3].map(|k| Cells { memory: m[k], dtype, types });
        let labels = Cells { memory: m[1], dtype: DType::I64, types };
        let k = types.compute(dtype);
        let row = Row::new(v, k);
        let (zero, none, fine) = (float(b, shaped(sums(k), None), 0.0), int(b, WORD, 0), int(b, FLAG, 0));
        let made = b.for_(0, rows, 1, vec![zero, none, fine], |b, r, state| {
            let first = b.scaled(r, v);
            let peak = row.fold(b, (k, f64::NEG_INFINITY, "arith.maximumf", "maximumf"), |b, c, lanes| {
                let at = b.addi(first, c);
                x.load(b, at, lanes)
            });
            let total = row.fold(b, (sums(k), 0.0, "arith.addf", "add"), |b, c, lanes| {
                let at = b.addi(first, c);
                let (value, top) = (x.load(b, at, lanes), spread(b, peak, lanes));
                let down = op2(b, "arith.subf", value, top);
                let e = point::floats(b, Op::Exp, &[down]);
                convertf(b, e, sums(k))
            });
            let total = convertf(b, total, k);
            let log = point::floats(b, Op::Log, &[total]);
            let sum = op2(b, "arith.addf", log, peak);
            lse.store(b, r, sum);
            let given = labels.load(b, r, None);
            let (kept, safe, flag) = label(b, given, v, state[2]);
            let safe = b.expect(safe, I64);
            let safe = b.index_cast(safe, Index);
            let at = b.addi(first, safe);
            let picked = x.load(b, at, None);
            let term = op2(b, "arith.subf", sum, picked);
            let term = convertf(b, term, sums(k));
            let more = op2(b, "arith.addf", state[0], term);
            let one = int(b, WORD, 1);
            let count = op2(b, "arith.addi", state[1], one);
            vec![select(b, kept, more, state[0]), select(b, kept, count, state[1]), flag]
        });
        let count = to_float(b, made[1], sums(k), false);
        let mean = op2(b, "arith.divf", made[0], count);
        let at = b.index(0);
        loss.store(b, at, mean);
        Some(made[2])
    })
}

fn entropy_grad(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) -> Option<V> {
    let n = &scope.plan.graph.nodes[i as usize];
    let (out, shape) = (results(scope, i), sizes(scope, n.inputs[0]));
    let (rows, v) = (shape[0], shape[1]);
    let (dtype, types) = (n.types[0].dtype, l.types);
    let mut args = vec![];
    for value in &n.inputs {
        args.push(l.read(b, scope, *value));
    }
    args.push(l.write(b, scope, out[0]));
    l.kernel(b, "cross_entropy_grad", &format!("{rows} {v} {dtype:?}"), &args, true, |b, m| {
        let [x, lse, g, dx] = [0, 2, 3, 4].map(|k| Cells { memory: m[k], dtype, types });
        let labels = Cells { memory: m[1], dtype: DType::I64, types };
        let k = types.compute(dtype);
        let row = Row::new(v, k);
        let (none, fine, origin) = (int(b, WORD, 0), int(b, FLAG, 0), b.index(0));
        let counted = b.for_(0, rows, 1, vec![none, fine], |b, r, state| {
            let given = labels.load(b, r, None);
            let (kept, _, flag) = label(b, given, v, state[1]);
            let one = int(b, WORD, 1);
            let more = op2(b, "arith.addi", state[0], one);
            vec![select(b, kept, more, state[0]), flag]
        });
        let count = to_float(b, counted[0], k, false);
        let scale = g.load(b, origin, None);
        let scale = op2(b, "arith.divf", scale, count);
        b.for_(0, rows, 1, (), |b, r, ()| {
            let first = b.scaled(r, v);
            let given = labels.load(b, r, None);
            let (kept, safe, _) = label(b, given, v, fine);
            let kept = b.expect(kept, I1);
            let zero = float(b, shaped(k, None), 0.0);
            b.if_(
                kept,
                |b| {
                    let sum = lse.load(b, r, None);
                    row.each(b, |b, c, lanes| {
                        let at = b.addi(first, c);
                        let (value, sum, by) =
                            (x.load(b, at, lanes), spread(b, sum, lanes), spread(b, scale, lanes));
                        let down = op2(b, "arith.subf", value, sum);
                        let p = point::floats(b, Op::Exp, &[down]);
                        let made = op2(b, "arith.mulf", p, by);
                        dx.store(b, at, made);
                    });
                    // The label's own: (p − 1) g.
                    let safe = b.expect(safe, I64);
                    let safe = b.index_cast(safe, Index);
                    let at = b.addi(first, safe);
                    let value = x.load(b, at, None);
                    let down = op2(b, "arith.subf", value, sum);
                    let p = point::floats(b, Op::Exp, &[down]);
                    let one = float(b, p.ty(), 1.0);
                    let made = op2(b, "arith.subf", p, one);
                    let made = op2(b, "arith.mulf", made, scale);
                    dx.store(b, at, made);
                },
                |b| {
                    row.each(b, |b, c, lanes| {
                        let at = b.addi(first, c);
                        let none = spread(b, zero, lanes);
                        dx.store(b, at, none);
                    });
                },
            );
        });
        Some(counted[1])
    })
}
