//! Rows that are normalised and quantised, and products with trits, one byte each: the plain forms, for every element type.

use super::step::{results, sizes};
use super::value::{
    Cells, V, convertf, converti, float, int, kind, op1, op2, shaped, spread, to_float, to_int,
};
use super::{Lowering, Scope};
use crate::ir::{AnyType, Builder, Index, Kind, Value};
use axes::{DType, TritLayout};
use graph::ops::quantize::FLOOR;
use graph::{Op, Value as Node};

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
pub(crate) struct Row {
    n: usize,
    lanes: Option<usize>,
}

impl Row {
    pub(crate) fn new(n: usize, kind: Kind) -> Row {
        let w = match kind {
            Kind::F80 | Kind::F128 => usize::MAX,
            k if k.bits() == 64 => 8,
            _ => 16,
        };
        Row { n, lanes: (n >= w).then_some(w) }
    }

    pub(crate) fn each(
        &self,
        b: &mut Builder,
        mut body: impl FnMut(&mut Builder, Value<Index>, Option<usize>),
    ) {
        let whole = self.lanes.map_or(0, |w| self.n - self.n % w);
        for (from, to, w) in [(0, whole, self.lanes), (whole, self.n, None)] {
            if to > from {
                b.for_(from, to, w.unwrap_or(1), (), |b, c, ()| body(b, c, w));
            }
        }
    }

    /// A fold along the row: `term` joins an element, or a vector of them; `how` is the vector's own fold.
    pub(crate) fn fold(
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
            let one: V = b.generic(
                "vector.reduction",
                many,
                &format!("kind = #vector.kind<{how}>"),
                AnyType::Scalar(kind),
            );
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
pub(crate) fn sums(k: Kind) -> Kind {
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
        let (t, s) =
            (Cells { memory: m[1], dtype: DType::Trit, types }, Cells { memory: m[2], dtype, types });
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
    let (v, out) = (&scope.plan.graph.nodes[i as usize].inputs, results(scope, i)[0]);
    let rows = sizes(scope, v[2])[0];
    product(
        l,
        b,
        scope,
        &Product { x: [v[0], v[1]], w: vec![(v[2], v[3], 0)], rows, term: None, gate: None, out },
    );
}

/// A product of int8 activations with trits, and what is done with it.
pub(crate) struct Product {
    /// Activations and their scales.
    pub(crate) x: [Node; 2],
    /// Matrices, their scales, their first rows: one, or those of the gate and of what it lets through.
    pub(crate) w: Vec<(Node, Node, usize)>,
    /// Rows of a matrix that are used.
    pub(crate) rows: usize,
    /// Added.
    pub(crate) term: Option<Node>,
    /// The function of the gate.
    pub(crate) gate: Option<Op>,
    pub(crate) out: Node,
}

/// Sums of one row by the plain loops, in every layout of trits.
pub(crate) fn product(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, p: &Product) {
    let (tokens, k) = (sizes(scope, p.x[1]).iter().product::<usize>(), sizes(scope, p.w[0].0)[1]);
    let (m_out, dtype, types) = (p.rows, scope.plan.graph.ty(p.out).dtype, l.types);
    let mut args = vec![l.read(b, scope, p.x[0]), l.read(b, scope, p.x[1])];
    for (w, s, _) in &p.w {
        args.extend([l.read(b, scope, *w), l.read(b, scope, *s)]);
    }
    if let Some(term) = p.term {
        args.push(l.read(b, scope, term));
    }
    args.push(l.write(b, scope, p.out));
    let layouts: Vec<(TritLayout, usize)> =
        p.w.iter().map(|(w, _, first)| (scope.plan.layout(*w), *first)).collect();
    let heights: Vec<usize> = p.w.iter().map(|(w, ..)| sizes(scope, *w)[0]).collect();
    let (gate, has_term) = (p.gate, p.term.is_some());
    let key = format!("{tokens} {m_out} {k} {heights:?} {dtype:?} {layouts:?} {gate:?} {has_term}");
    l.kernel(b, "ternary_linear", &key, &args, false, |b, m| {
        let q = Cells { memory: m[0], dtype: DType::I8, types };
        let number = |at: usize| Cells { memory: m[at], dtype, types };
        let (zero, y) = (b.index(0), number(m.len() - 1));
        let scales: Vec<V> = (0..layouts.len()).map(|j| number(3 + 2 * j).load(b, zero, None)).collect();
        b.for_(0, tokens, 1, (), |b, r, ()| {
            let scale = number(1).load(b, r, None);
            b.for_(0, m_out, 1, (), |b, o, ()| {
                let from = b.scaled(r, k);
                let base = b.scaled(r, m_out);
                let at = b.addi(base, o);
                let mut made = vec![];
                for (j, (layout, first)) in layouts.iter().enumerate() {
                    let row = b.offset(o, *first);
                    let sum = trit_sum(b, *layout, (heights[j], k), (q, from), (m[2 + 2 * j], row));
                    let f = to_float(b, sum, kind(scale), false);
                    let f = op2(b, "arith.divf", f, scale);
                    made.push(op2(b, "arith.divf", f, scales[j]));
                }
                let mut f = made[0];
                if let Some(op) = gate {
                    let through = match op {
                        Op::Silu => super::point::floats(b, Op::Silu, &[f]),
                        _ => {
                            let positive = super::point::floats(b, Op::Relu, &[f]);
                            op2(b, "arith.mulf", positive, positive)
                        }
                    };
                    f = op2(b, "arith.mulf", through, made[1]);
                }
                if has_term {
                    let term = number(m.len() - 2).load(b, at, None);
                    f = op2(b, "arith.addf", f, term);
                }
                y.store(b, at, f);
            });
        });
        None
    });
}

/// Σ x t over a row of a matrix.
fn trit_sum(
    b: &mut Builder,
    layout: TritLayout,
    (height, k): (usize, usize),
    (q, from): (Cells, Value<Index>),
    (w, row): (V, Value<Index>),
) -> V {
    let zero = int(b, shaped(Kind::I32, None), 0);
    let term = |b: &mut Builder, acc: V, c: Value<Index>, t: V, w: Option<usize>| {
        let at = b.addi(from, c);
        let x = q.raw(b, at, w);
        let (x, t) = (converti(b, x, Kind::I32, false), converti(b, t, Kind::I32, false));
        let p = op2(b, "arith.muli", x, t);
        match w {
            // One reduction of products per block: LLVM finds the machine's dot products in it.
            Some(_) => b.generic("vector.reduction", (p, acc), "kind = #vector.kind<add>", acc.ty()),
            None => op2(b, "arith.addi", acc, p),
        }
    };
    let byte = |b: &mut Builder, at: Value<Index>, lanes: Option<usize>| -> V {
        let op = if lanes.is_some() { "vector.load" } else { "memref.load" };
        b.generic(op, (w, at), "", shaped(Kind::I8, lanes))
    };
    if layout == TritLayout::Bytes {
        let base = b.scaled(row, k);
        let lanes = (k >= 64).then_some(64);
        let whole = lanes.map_or(0, |w| k - k % w);
        let mut sum = zero;
        for (low, high, w) in [(0, whole, lanes), (whole, k, None)] {
            if high > low {
                sum = b.for_(low, high, w.unwrap_or(1), sum, |b, c, acc| {
                    let at = b.addi(base, c);
                    let t = byte(b, at, w);
                    term(b, acc, c, t, w)
                });
            }
        }
        return sum;
    }
    b.for_(0, k, 1, zero, |b, c, acc| {
        let (at, code) = packed_place(b, layout, (height, k), row, c);
        let t = byte(b, at, None);
        let t = converti(b, t, Kind::I32, true);
        let t = code(b, t);
        term(b, acc, c, t, None)
    })
}

type Code = Box<dyn FnOnce(&mut Builder, V) -> V>;

/// Where the trit of a column lies, and how it is had from its byte.
fn packed_place(
    b: &mut Builder,
    layout: TritLayout,
    sizes: (usize, usize),
    row: Value<Index>,
    c: Value<Index>,
) -> (Value<Index>, Code) {
    let k = sizes.1;
    let word = |b: &mut Builder, i: Value<Index>| b.index_cast(i, crate::ir::I32).any();
    let split = |b: &mut Builder, i: Value<Index>, n: usize| {
        let n = b.index(n as i64);
        (b.divui(i, n), b.remui(i, n))
    };
    match layout {
        TritLayout::Storage => {
            let (byte, digit) = split(b, c, 5);
            let line = b.scaled(row, layout.row_bytes(k));
            let at = b.addi(line, byte);
            let digit = word(b, digit);
            let code: Code = Box::new(move |b, t| {
                // Divided by three as often as the digit says.
                let three = int(b, t.ty(), 3);
                let mut value = t;
                for d in 0..4 {
                    let d = int(b, t.ty(), d);
                    let more = super::value::cmpi(b, super::value::Icmp::Sgt, digit, d);
                    let next = op2(b, "arith.divui", value, three);
                    value = super::value::select(b, more, next, value);
                }
                let rest = op2(b, "arith.remui", value, three);
                let one = int(b, t.ty(), 1);
                op2(b, "arith.subi", rest, one)
            });
            (at, code)
        }
        TritLayout::Interchange => {
            let (byte, pair) = split(b, c, 4);
            let line = b.scaled(row, layout.row_bytes(k));
            let at = b.addi(line, byte);
            let pair = word(b, pair);
            let code: Code = Box::new(move |b, t| {
                let [one, two] = [1, 2].map(|n| int(b, t.ty(), n));
                let by = op2(b, "arith.muli", pair, two);
                let t = op2(b, "arith.shrui", t, by);
                let (low, high) = (op2(b, "arith.andi", t, one), op2(b, "arith.shrui", t, one));
                let high = op2(b, "arith.andi", high, one);
                op2(b, "arith.subi", high, low)
            });
            (at, code)
        }
        // The compute layout is read by the kernels of `cpu`; this is for arithmetics that they do not have.
        _ => {
            let (at, pair) = compute_place(b, sizes, row, c);
            let pair = word(b, pair);
            let code: Code = Box::new(move |b, t| {
                let [one, two, three] = [1, 2, 3].map(|n| int(b, t.ty(), n));
                let by = op2(b, "arith.muli", pair, two);
                let t = op2(b, "arith.shrui", t, by);
                let t = op2(b, "arith.andi", t, three);
                op2(b, "arith.subi", t, one)
            });
            (at, code)
        }
    }
}

/// Byte and bit pair of a trit in the compute layout of a matrix of `height` rows; see [`TritLayout::Compute`].
fn compute_place(
    b: &mut Builder,
    (height, k): (usize, usize),
    row: Value<Index>,
    c: Value<Index>,
) -> (Value<Index>, Value<Index>) {
    let [four, wide, long] = [TritLayout::GROUP, TritLayout::BLOCK, 64].map(|n| b.index(n as i64));
    let within = b.remui(row, four);
    let first = b.subi(row, within);
    let start = b.scaled(first, TritLayout::Compute.row_bytes(k));
    // Rows of this group: four, but in the last one.
    let end = b.index(height as i64);
    let left = b.subi(end, first);
    let rows = b.minui(left, four);
    let (block, column) = (b.divui(c, wide), b.remui(c, wide));
    let whole = b.index((k / TritLayout::BLOCK) as i64);
    let tail = b.cmpi(crate::ir::CmpI::Uge, block, whole);
    let short = b.index((k % TritLayout::BLOCK).div_ceil(4).max(1) as i64);
    let n = b.select(tail, short, long);
    let before = b.muli(block, long);
    let before = b.muli(before, rows);
    let (byte, pair) = (b.remui(column, n), b.divui(column, n));
    let own = b.muli(within, n);
    let at = b.addi(start, before);
    let at = b.addi(at, own);
    (b.addi(at, byte), pair)
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
