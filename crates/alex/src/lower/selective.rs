//! The selective scan and its gradient, a channel and a state at a time, for every floating element type: the specification's
//! loops. The gradient makes the states between two borders again, as the f32 kernel does.

use super::step::{results, sizes};
use super::value::{Cells, V, at, float, op2, shaped};
use super::{Lowering, Scope, moves, point};
use crate::ir::{AnyType, Builder, Index, Kind, Shape, Value};
use graph::Op;

/// Bytes of states and gates of a channel that the gradient keeps on the stack.
const MOST: usize = 1 << 18;

type At = Value<Index>;

/// Batch, time, channels, states.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    b: usize,
    t: usize,
    d: usize,
    n: usize,
}

/// Lowers a selective scan or its gradient.
pub(crate) fn node(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) {
    let node = &scope.plan.graph.nodes[i as usize];
    let (x, a) = (sizes(scope, node.inputs[0]), sizes(scope, node.inputs[2]));
    let s = Sizes { b: x[0], t: x[1], d: x[2], n: a[1] };
    let (dtype, types, forward) = (node.types[0].dtype, l.types, node.op == Op::SelectiveScan);
    let kind = types.compute(dtype);
    if !forward && 2 * s.n * (s.n + 1) * kind.bytes() > MOST {
        return l.fail(
            node.op,
            scope,
            i,
            "a gradient of so many states has no compiled form in this arithmetic",
        );
    }
    let mut args = vec![];
    for v in &node.inputs {
        args.push(l.read(b, scope, *v));
    }
    for v in results(scope, i) {
        args.push(l.write(b, scope, v));
    }
    let lens: Vec<usize> = args.iter().map(|a| a.len).collect();
    let storage = types.storage(dtype);
    l.kernel(b, node.op.name(), &format!("{s:?} {dtype:?}"), &args, false, |b, m| {
        let cells: Vec<Cells> = m.iter().map(|memory| Cells { memory: *memory, dtype, types }).collect();
        let sums = if forward { 8..9 } else { 8..13 };
        for k in sums {
            moves::filled(b, m[k], storage, lens[k], 0.0);
        }
        let work = Work { s, kind, m: cells };
        if forward {
            work.forward(b)
        } else {
            work.backward(b)
        }
        None
    });
}

struct Work {
    s: Sizes,
    kind: Kind,
    m: Vec<Cells>,
}

impl Work {
    fn get(&self, b: &mut Builder, k: usize, place: At) -> V {
        self.m[k].load(b, place, None)
    }
    fn put(&self, b: &mut Builder, k: usize, place: At, v: V) {
        self.m[k].store(b, place, v);
    }
    fn add(&self, b: &mut Builder, k: usize, place: At, v: V) {
        let old = self.get(b, k, place);
        let new = op2(b, "arith.addf", old, v);
        self.put(b, k, place, new);
    }
    fn zero(&self, b: &mut Builder) -> V {
        float(b, shaped(self.kind, None), 0.0)
    }
    /// Room on the stack.
    fn room(&self, b: &mut Builder, n: usize) -> V {
        let ty = AnyType::MemRef(self.kind, Shape::new(&[n as i64]), None, 0);
        b.generic("memref.alloca", (), "operandSegmentSizes = array<i32: 0, 0>", ty)
    }
    fn kept(&self, b: &mut Builder, room: V, place: At) -> V {
        b.generic("memref.load", (room, place), "", AnyType::Scalar(self.kind))
    }
    fn keep(&self, b: &mut Builder, room: V, place: At, v: V) {
        let () = b.generic("memref.store", (v, room, place), "", ());
    }
    /// Every channel of every sequence: (sequence, channel).
    fn channels(&self, b: &mut Builder, mut body: impl FnMut(&mut Builder, At, At)) {
        b.for_(0, self.s.b, 1, (), |b, seq, ()| {
            b.for_(0, self.s.d, 1, (), |b, ch, ()| body(b, seq, ch));
        });
    }
    /// exp(dt a).
    fn gate(&self, b: &mut Builder, dt: V, a: V) -> V {
        let e = op2(b, "arith.mulf", dt, a);
        point::floats(b, Op::Exp, &[e])
    }
    /// Places of (sequence, step): in rows of channels, in rows of states.
    fn row(&self, b: &mut Builder, seq: At, step: At, ch: At) -> (At, At) {
        let row = at(b, seq, self.s.t, step);
        (at(b, row, self.s.d, ch), b.scaled(row, self.s.n))
    }
    /// The next state of a channel.
    fn next(&self, b: &mut Builder, h: V, (wide, maps): (At, At), ch: At, k: At) -> (V, V) {
        let (x, dt) = (self.get(b, 0, wide), self.get(b, 1, wide));
        let own = at(b, ch, self.s.n, k);
        let a = self.get(b, 2, own);
        let gate = self.gate(b, dt, a);
        let map = b.addi(maps, k);
        let into = self.get(b, 3, map);
        let drive = op2(b, "arith.mulf", dt, x);
        let drive = op2(b, "arith.mulf", drive, into);
        let kept = op2(b, "arith.mulf", gate, h);
        (op2(b, "arith.addf", kept, drive), gate)
    }

    /// (x, dt, a, b, c, h0, y, last, borders).
    fn forward(&self, b: &mut Builder) {
        let Sizes { t, d, n, .. } = self.s;
        let room = self.room(b, n);
        self.channels(b, |b, seq, ch| {
            let line = at(b, seq, d, ch);
            let state = b.scaled(line, n);
            b.for_(0, n, 1, (), |b, k, ()| {
                let from = b.addi(state, k);
                let h = self.get(b, 5, from);
                self.keep(b, room, k, h);
            });
            b.for_(0, t, 1, (), |b, step, ()| {
                let place = self.row(b, seq, step, ch);
                let (period, zero) = (b.index(n.max(1) as i64), b.index(0));
                let within = b.remui(step, period);
                let border = b.cmpi(crate::ir::CmpI::Eq, within, zero);
                b.when(border, |b| {
                    b.for_(0, n, 1, (), |b, k, ()| {
                        let h = self.kept(b, room, k);
                        let row = b.addi(step, k);
                        let row = at(b, seq, t + n, row);
                        let to = at(b, row, d, ch);
                        self.put(b, 8, to, h);
                    });
                });
                let zero = self.zero(b);
                let sum = b.for_(0, n, 1, zero, |b, k, sum| {
                    let h = self.kept(b, room, k);
                    let (h, _) = self.next(b, h, place, ch, k);
                    self.keep(b, room, k, h);
                    let map = b.addi(place.1, k);
                    let out = self.get(b, 4, map);
                    let term = op2(b, "arith.mulf", out, h);
                    op2(b, "arith.addf", sum, term)
                });
                self.put(b, 6, place.0, sum);
            });
            b.for_(0, n, 1, (), |b, k, ()| {
                let h = self.kept(b, room, k);
                let to = b.addi(state, k);
                self.put(b, 7, to, h);
            });
        });
    }

    /// (x, dt, a, b, c, borders, dy, dlast, dx, ddt, da, db, dc, dh0).
    fn backward(&self, b: &mut Builder) {
        let Sizes { t, d, n, .. } = self.s;
        // States before each step of a run between two borders and after the last one; the gates of its steps.
        let (h, gates) = (self.room(b, (n + 1) * n), self.room(b, n * n));
        self.channels(b, |b, seq, ch| {
            let line = at(b, seq, d, ch);
            let state = b.scaled(line, n);
            b.for_(0, n, 1, (), |b, k, ()| {
                let place = b.addi(state, k);
                let g = self.get(b, 7, place);
                self.put(b, 13, place, g);
            });
            let runs = t.div_ceil(n.max(1));
            b.for_(0, runs, 1, (), |b, back, ()| {
                let (last, end) = (b.index(runs as i64 - 1), b.index(t as i64));
                let run = b.subi(last, back);
                let start = b.scaled(run, n);
                let (left, most) = (b.subi(end, start), b.index(n as i64));
                let count = b.minui(left, most);
                b.for_(0, n, 1, (), |b, k, ()| {
                    let row = b.addi(start, k);
                    let row = at(b, seq, t + n, row);
                    let from = at(b, row, d, ch);
                    let v = self.get(b, 5, from);
                    self.keep(b, h, k, v);
                });
                b.for_(0, count, 1, (), |b, r, ()| {
                    let step = b.addi(start, r);
                    let place = self.row(b, seq, step, ch);
                    b.for_(0, n, 1, (), |b, k, ()| {
                        let here = at(b, r, n, k);
                        let before = self.kept(b, h, here);
                        let (after, gate) = self.next(b, before, place, ch, k);
                        self.keep(b, gates, here, gate);
                        let there = b.offset(here, n);
                        self.keep(b, h, there, after);
                    });
                });
                b.for_(0, count, 1, (), |b, back, ()| {
                    let one = b.index(1);
                    let (r, top) = (b.subi(count, one), back);
                    let r = b.subi(r, top);
                    let step = b.addi(start, r);
                    self.step_back(b, (seq, step, ch, r), state, (h, gates));
                });
            });
        });
    }

    fn step_back(
        &self,
        b: &mut Builder,
        (seq, step, ch, r): (At, At, At, At),
        state: At,
        (h, gates): (V, V),
    ) {
        let n = self.s.n;
        let (wide, maps) = self.row(b, seq, step, ch);
        let (x, dt, dy) = (self.get(b, 0, wide), self.get(b, 1, wide), self.get(b, 6, wide));
        let zero = self.zero(b);
        let made = b.for_(0, n, 1, vec![zero, zero], |b, k, sums| {
            let (own, place, map) = (at(b, ch, n, k), b.addi(state, k), b.addi(maps, k));
            let here = at(b, r, n, k);
            let there = b.offset(here, n);
            let (before, after, gate) =
                (self.kept(b, h, here), self.kept(b, h, there), self.kept(b, gates, here));
            let (a, into, out) = (self.get(b, 2, own), self.get(b, 3, map), self.get(b, 4, map));
            let carry = self.get(b, 13, place);
            let mul = |b: &mut Builder, x: V, y: V| op2(b, "arith.mulf", x, y);
            let add = |b: &mut Builder, x: V, y: V| op2(b, "arith.addf", x, y);
            let term = mul(b, out, dy);
            let total = add(b, carry, term);
            let term = mul(b, dy, after);
            self.add(b, 12, map, term);
            let drive = mul(b, total, into);
            let by = mul(b, total, dt);
            let term = mul(b, by, x);
            self.add(b, 11, map, term);
            let carried = mul(b, total, gate);
            let exponent = mul(b, carried, before);
            let dx = mul(b, drive, dt);
            let (one, two) = (mul(b, drive, x), mul(b, exponent, a));
            let ddt = add(b, one, two);
            let term = mul(b, exponent, dt);
            self.add(b, 10, own, term);
            self.put(b, 13, place, carried);
            vec![add(b, sums[0], dx), add(b, sums[1], ddt)]
        });
        self.put(b, 8, wide, made[0]);
        self.put(b, 9, wide, made[1]);
    }
}
