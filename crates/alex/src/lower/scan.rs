//! The linear recurrence h_t = f_t h_(t−1) + x_t and its gradient, channel beside channel, for every floating element type.

use super::nest::moved;
use super::step::{results, sizes};
use super::value::{Cells, Types, V, float, op2, shaped};
use super::{Lowering, Scope};
use crate::ir::{Builder, Index, Kind, Value};
use axes::DType;
use graph::Op;

/// Batch, time, channels.
#[derive(Clone, Copy)]
struct Shape {
    b: usize,
    t: usize,
    d: usize,
    reverse: bool,
}

/// Lowers a recurrence.
pub(crate) fn node(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) {
    let n = &scope.plan.graph.nodes[i as usize];
    let s = sizes(scope, n.inputs[0]);
    let shape = Shape { b: s[0], t: s[1], d: s[2], reverse: n.attrs.flag("reverse") };
    let (dtype, types, op) = (n.types[0].dtype, l.types, n.op);
    let mut args = vec![];
    for v in &n.inputs {
        args.push(l.read(b, scope, *v));
    }
    for v in results(scope, i) {
        args.push(l.write(b, scope, v));
    }
    let key = format!("{s:?} {} {dtype:?}", shape.reverse);
    l.kernel(b, op.name(), &key, &args, false, |b, m| {
        let cells: Vec<Cells> = m.iter().map(|memory| Cells { memory: *memory, dtype, types }).collect();
        match op {
            Op::LinearScan => shape.channels(b, dtype, types, |b, at, w| forward(b, shape, &cells, at, w)),
            _ => shape.channels(b, dtype, types, |b, at, w| backward(b, shape, &cells, at, w)),
        }
        None
    });
}

impl Shape {
    /// Runs `body` for each sequence and each vector of channels: (place in a step's rows, place in a state).
    fn channels(
        &self,
        b: &mut Builder,
        dtype: DType,
        types: Types,
        body: impl Fn(&mut Builder, [Value<Index>; 2], Option<usize>),
    ) {
        let n = match types.compute(dtype) {
            Kind::F32 => 16,
            Kind::F64 => 8,
            _ => usize::MAX,
        };
        let lanes = (self.d >= n).then_some(n);
        let whole = lanes.map_or(0, |w| self.d - self.d % w);
        b.for_(0, self.b, 1, (), |b, s, ()| {
            let (rows, state) = (b.scaled(s, self.t * self.d), b.scaled(s, self.d));
            for (from, to, w) in [(0, whole, lanes), (whole, self.d, None)] {
                if to > from {
                    b.for_(from, to, w.unwrap_or(1), (), |b, c, ()| {
                        let at = [b.addi(rows, c), b.addi(state, c)];
                        body(b, at, w);
                    });
                }
            }
        });
    }

    /// The place of a step, counted in the direction of the recurrence.
    fn place(&self, b: &mut Builder, row: Value<Index>, step: Value<Index>) -> Value<Index> {
        let step = match self.reverse {
            true => {
                let last = b.index(self.t as i64 - 1);
                b.subi(last, step)
            }
            false => step,
        };
        moved(b, row, step, self.d as isize)
    }
}

/// (f, x, h0, h).
fn forward(b: &mut Builder, s: Shape, m: &[Cells], at: [Value<Index>; 2], w: Option<usize>) {
    let h0 = m[2].load(b, at[1], w);
    b.for_(0, s.t, 1, h0, |b, step, h| {
        let here = s.place(b, at[0], step);
        let (f, x) = (m[0].load(b, here, w), m[1].load(b, here, w));
        let kept = op2(b, "arith.mulf", f, h);
        let next = op2(b, "arith.addf", kept, x);
        m[3].store(b, here, next);
        next
    });
}

/// (f, h0, h, dh, df, dx, dh0).
fn backward(b: &mut Builder, s: Shape, m: &[Cells], at: [Value<Index>; 2], w: Option<usize>) {
    let zero: V = float(b, shaped(m[0].types.compute(m[0].dtype), w), 0.0);
    let step = |b: &mut Builder, step: Value<Index>, before: V, carry: V| -> V {
        let here = s.place(b, at[0], step);
        let (dh, f) = (m[3].load(b, here, w), m[0].load(b, here, w));
        let g = op2(b, "arith.addf", dh, carry);
        let df = op2(b, "arith.mulf", g, before);
        m[4].store(b, here, df);
        m[5].store(b, here, g);
        op2(b, "arith.mulf", f, g)
    };
    let carry = b.for_(1, s.t, 1, zero, |b, k, carry| {
        // From the last step down to the second.
        let end = b.index(s.t as i64);
        let now = b.subi(end, k);
        let one = b.index(1);
        let earlier = b.subi(now, one);
        let earlier = s.place(b, at[0], earlier);
        let before = m[2].load(b, earlier, w);
        step(b, now, before, carry)
    });
    let (first, before) = (b.index(0), m[1].load(b, at[1], w));
    let carry = step(b, first, before, carry);
    m[6].store(b, at[1], carry);
}
