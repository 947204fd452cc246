//! Rows that are normalised and quantised, and products with trits, one byte each: the plain forms, for every element type.

use super::step::{results, sizes};
use super::value::{Cells, V, convertf, converti, float, int, kind, op1, op2, shaped, spread, to_float, to_int};
use super::{Lowering, Scope};
use crate::ir::{AnyType, Builder, Index, Kind, Value};
use axes::{DType, TritLayout};
use graph::Op;
use graph::ops::quantize::FLOOR;

/// Lowers a quantiser, a ternary product or a norm.
pub(crate) fn node(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) {
    match scope.plan.graph.nodes[i as usize].op {
        Op::QuantizeActivations => activations(l, b, scope, i),
        Op::QuantizeWeights => weights(l, b, scope, i),
        Op::TernaryLinear => ternary(l, b, scope, i),
        _ => norm(l, b, scope, i),
    }
}

/// Elements of a row, in vectors and then one by one.
struct Row {
    n: usize,
    lanes: Option<usize>,
}

impl Row {
    fn new(n: usize, kind: Kind) -> Row {
        let w = match kind {
            Kind::F80 | Kind::F128 => usize::MAX,
            k if k.bits() == 64 => 8,
            _ => 16,
        };
        Row { n, lanes: (n >= w).then_some(w) }
    }

    fn each(&self, b: &mut Builder, mut body: impl FnMut(&mut Builder, Value<Index>, Option<usize>)) {
        let whole = self.lanes.map_or(0, |w| self.n - self.n % w);
        for (from, to, w) in [(0, whole, self.lanes), (whole, self.n, None)] {
            if to > from {
                b.for_(from, to, w.unwrap_or(1), (), |b, c, ()| body(b, c, w));
            }
        }
    }

    /// A fold along the row: `term` joins an element, or a vector of them; `how` is the vector's own fold.
    fn fold(
        &self,
        b: &mut Builder,
        (kind, start, op, how): (Kind, f64, &str, &str),
        mut term: impl FnMut(&mut Builder, Value<Index>, Option<usize>) -> V,
    ) -> V {
        let whole = self.lanes.map_or(0, |w| self.n - self.n % w);
        let mut total = float(b, shaped(kind, None), start);
        if whole > 0 {
            let first = float(b, shaped(kind, self.lanes), start);
            let many = b.for_(0, whole, self.lanes.unwrap_or(1), first, |b, c, acc| {
                let x = term(b, c, self.lanes);
                op2(b, op, acc, x)
            });
            let one: V =
                b.generic("vector.reduction", many, &format!("kind = #vector.kind<{how}>"), AnyType::Scalar(kind));
            total = op2(b, op, total, one);
        }
        if whole < self.n {
            total = b.for_(whole, self.n, 1, total, |b, c, acc| {
                let x = term(b, c, None);
                op2(b, op, acc, x)
            });
        }
        total
    }
}

/// The kind in which sums of a kind are kept.
fn sums(k: Kind) -> Kind {
    if k == Kind::F32 { Kind::F64 } else { k }
}

fn activations(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) {
    let n = &scope.plan.graph.nodes[i as usize];
    let (shape, out) = (sizes(scope, n.inputs[0]), results(scope, i));
    let cols = shape.last().copied().unwrap_or(1);
    let rows: usize = shape[..shape.len() - 1].iter().product();
    let (dtype, types) = (scope.plan.graph.ty(n.inputs[0]).dtype, l.types);
    let away = n.attrs.str("rounding") == "half_away";
    let args = [l.read(b, scope, n.inputs[0]), l.write(b, scope, out[0]), l.write(b, scope, out[1])];
    l.kernel(b, "quantize_activations", &format!("{rows} {cols} {away} {dtype:?}"), &args, false, |b, m| {
        let x = Cells { memory: m[0], dtype, types };
        let (q, s) = (Cells { memory: m[1], dtype: DType::I8, types }, Cells { memory: m[2], dtype, types });
        let k = types.compute(dtype);
        let row = Row::new(cols, k);
        b.for_(0, rows, 1, (), |b, r, ()| {
            let first = b.scaled(r, cols);
            let peak = row.fold(b, (k, FLOOR, "arith.maximumf", "maximumf"), |b, c, w| {
                let at = b.addi(first, c);
                let v = x.load(b, at, w);
                op1(b, "math.absf", v)
            });
            let top = float(b, peak.ty(), 127.0);
            let scale = op2(b, "arith.divf", top, peak);
            row.each(b, |b, c, w| {
                let at = b.addi(first, c);
                let v = x.load(b, at, w);
                let by = spread(b, scale, w);
                let scaled = op2(b, "arith.mulf", v, by);
                let whole = op1(b, if away { "math.round" } else { "math.roundeven" }, scaled);
                let byte = to_int(b, whole, Kind::I8, false);
                q.put_raw(b, at, byte);
            });
            s.store(b, r, scale);
        });
        None
    });
}

fn weights(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) {
    let n = &scope.plan.graph.nodes[i as usize];
    let out = results(scope, i);
    if scope.plan.layout(out[0]) != TritLayout::Bytes {
        return l.fail(n.op, scope, i, "weights are quantised into bytes");
    }
    let count: usize = sizes(scope, n.inputs[0]).iter().product();
    let (dtype, types) = (scope.plan.graph.ty(n.inputs[0]).dtype, l.types);
    let args = [l.read(b, scope, n.inputs[0]), l.write(b, scope, out[0]), l.write(b, scope, out[1])];
    l.kernel(b, "quantize_weights", &format!("{dtype:?}"), &args, false, |b, m| {
        let x = Cells { memory: m[0], dtype, types };
        let (t, s) = (Cells { memory: m[1], dtype: DType::Trit, types }, Cells { memory: m[2], dtype, types });
        let k = types.compute(dtype);
        let row = Row::new(count, k);
        let total = row.fold(b, (sums(k), 0.0, "arith.addf", "add"), |b, c, w| {
            let v = x.load(b, c, w);
            let v = op1(b, "math.absf", v);
            convertf(b, v, sums(k))
        });
        let size = float(b, total.ty(), count as f64);
        let mean = op2(b, "arith.divf", total, size);
        let mean = convertf(b, mean, k);
        let (floor, one) = (float(b, mean.ty(), FLOOR), float(b, mean.ty(), 1.0));
        let mean = op2(b, "arith.maximumf", mean, floor);
        let scale = op2(b, "arith.divf", one, mean);
        row.each(b, |b, c, w| {
            let v = x.load(b, c, w);
            let by = spread(b, scale, w);
            let scaled = op2(b, "arith.mulf", v, by);
            let whole = op1(b, "math.roundeven", scaled);
            let byte = to_int(b, whole, Kind::I8, false);
            let (low, high) = (int(b, byte.ty(), -1), int(b, byte.ty(), 1));
            let byte = op2(b, "arith.maxsi", byte, low);
            let byte = op2(b, "arith.minsi", byte, high);
            t.put_raw(b, c, byte);
        });
        let zero = b.index(0);
        s.store(b, zero, scale);
        None
    });
}

fn ternary(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) {
    let n = &scope.plan.graph.nodes[i as usize];
    let out = results(scope, i)[0];
    if scope.plan.layout(n.inputs[2]) != TritLayout::Bytes {
        return l.fail(n.op, scope, i, "its trits are packed");
    }
    let (rows, shape) = (sizes(scope, n.inputs[1]).iter().product::<usize>(), sizes(scope, n.inputs[2]));
    let (m_out, k) = (shape[0], shape[1]);
    let (dtype, types) = (n.types[0].dtype, l.types);
    let mut args = vec![];
    for v in &n.inputs {
        args.push(l.read(b, scope, *v));
    }
    args.push(l.write(b, scope, out));
    l.kernel(b, "ternary_linear", &format!("{rows} {m_out} {k} {dtype:?}"), &args, false, |b, m| {
        let (q, t) = (Cells { memory: m[0], dtype: DType::I8, types }, Cells { memory: m[2], dtype: DType::Trit, types });
        let [sx, sw, y] = [1, 3, 4].map(|i| Cells { memory: m[i], dtype, types });
        let zero = b.index(0);
        let scale_w = sw.load(b, zero, None);
        let lanes = (k >= 64).then_some(64);
        let whole = lanes.map_or(0, |w| k - k % w);
        b.for_(0, rows, 1, (), |b, r, ()| {
            let scale = sx.load(b, r, None);
            b.for_(0, m_out, 1, (), |b, o, ()| {
                let (from, to) = (b.scaled(r, k), b.scaled(o, k));
                let mut sum = int(b, shaped(Kind::I32, None), 0);
                // One reduction of products per block: LLVM finds the machine's dot products in it.
                for (low, high, w) in [(0, whole, lanes), (whole, k, None)] {
                    if high > low {
                        sum = b.for_(low, high, w.unwrap_or(1), sum, |b, c, acc| {
                            let (a, w_at) = (b.addi(from, c), b.addi(to, c));
                            let (x, v) = (q.raw(b, a, w), t.raw(b, w_at, w));
                            let (x, v) = (converti(b, x, Kind::I32, false), converti(b, v, Kind::I32, false));
                            let p = op2(b, "arith.muli", x, v);
                            match w {
                                Some(_) => b.generic("vector.reduction", (p, acc), "kind = #vector.kind<add>", acc.ty()),
                                None => op2(b, "arith.addi", acc, p),
                            }
                        });
                    }
                }
                let f = to_float(b, sum, kind(scale), false);
                let f = op2(b, "arith.divf", f, scale);
                let f = op2(b, "arith.divf", f, scale_w);
                let base = b.scaled(r, m_out);
                let at = b.addi(base, o);
                y.store(b, at, f);
            });
        });
        None
    });
}

fn norm(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) {
    let n = &scope.plan.graph.nodes[i as usize];
    let out = results(scope, i);
    let d = sizes(scope, n.inputs[1])[0];
    let rows: usize = sizes(scope, out[1]).iter().product();
    let eps = n.attrs.float("eps", 0.0);
    let (dtype, types) = (n.types[0].dtype, l.types);
    let args = [
        l.read(b, scope, n.inputs[0]),
        l.read(b, scope, n.inputs[1]),
        l.write(b, scope, out[0]),
        l.write(b, scope, out[1]),
    ];
    l.kernel(b, "rms_norm", &format!("{rows} {d} {:x} {dtype:?}", eps.to_bits()), &args, false, |b, m| {
        let [x, w_cells, y, rstd] = [0, 1, 2, 3].map(|i| Cells { memory: m[i], dtype, types });
        let k = types.compute(dtype);
        let row = Row::new(d, k);
        b.for_(0, rows, 1, (), |b, r, ()| {
            let first = b.scaled(r, d);
            let total = row.fold(b, (sums(k), 0.0, "arith.addf", "add"), |b, c, w| {
                let at = b.addi(first, c);
                let v = x.load(b, at, w);
                let v = convertf(b, v, sums(k));
                op2(b, "arith.mulf", v, v)
            });
            let size = float(b, total.ty(), d as f64);
            let mean = op2(b, "arith.divf", total, size);
            let eps = float(b, mean.ty(), eps);
            let mean = op2(b, "arith.addf", mean, eps);
            let root = op1(b, "math.sqrt", mean);
            let one = float(b, root.ty(), 1.0);
            let scale = op2(b, "arith.divf", one, root);
            let scale = convertf(b, scale, k);
            row.each(b, |b, c, w| {
                let at = b.addi(first, c);
                let (v, weight) = (x.load(b, at, w), w_cells.load(b, c, w));
                let by = spread(b, scale, w);
                let v = op2(b, "arith.mulf", v, by);
                let v = op2(b, "arith.mulf", v, weight);
                y.store(b, at, v);
            });
            rstd.store(b, r, scale);
        });
        None
    });
}
