//! The gradient of the selective scan, in the engine's order: from the states before every N-th step, which the forward pass has
//! left, the N steps between two of them are made again, and then run backwards. Sixteen channels are a vector; db and dc are summed
//! over eight such vectors before their lanes are added.

use super::Shape;
use crate::cpu::math::exp;
use crate::cpu::{Floats, put, take};
use crate::ir::{Builder, CmpI, F32, I8, Index, MemRef, Value, Vector};

/// Channels of a vector.
const LANES: usize = 16;
/// Vectors whose sums over channels are kept together.
const BLOCKS: usize = 8;

type Cube = Value<MemRef<F32, 3>>;
type Room = Value<MemRef<F32, 2>>;
type At = Value<Index>;

/// What the gradient reads: x, dt (B, T, D), a (D, N), b, c (B, T, N), borders (B, T + N, D), dy (B, T, D), dlast (B, D, N).
#[derive(Clone, Copy)]
pub struct Given {
    /// (B, T, D).
    pub x: Cube,
    /// (B, T, D).
    pub dt: Cube,
    /// (D, N).
    pub a: Value<MemRef<F32, 2>>,
    /// (B, T, N).
    pub b: Cube,
    /// (B, T, N).
    pub c: Cube,
    /// (B, T + N, D).
    pub borders: Cube,
    /// (B, T, D).
    pub dy: Cube,
    /// (B, D, N).
    pub dlast: Cube,
}

/// What it writes: the cotangents of x, dt, a, b, c and h0.
#[derive(Clone, Copy)]
pub struct Made {
    /// (B, T, D).
    pub dx: Cube,
    /// (B, T, D).
    pub ddt: Cube,
    /// (D, N).
    pub da: Value<MemRef<F32, 2>>,
    /// (B, T, N).
    pub db: Cube,
    /// (B, T, N).
    pub dc: Cube,
    /// (B, D, N).
    pub dh0: Cube,
}

/// Rows of sixteen numbers of each room: a, da and carry of eight blocks; gates, states, db, dc of a run.
fn rooms(states: usize) -> [usize; 7] {
    let (each, run) = (BLOCKS * states, states * states);
    [each, each, each, run, run + states, run, run]
}

/// Bytes of scratch.
pub fn grad_scratch(shape: Shape) -> usize {
    4 * LANES * rooms(shape.states).iter().sum::<usize>()
}

struct Work {
    s: Shape,
    given: Given,
    made: Made,
    a: Room,
    da: Room,
    carry: Room,
    gates: Room,
    h: Room,
    db: Room,
    dc: Room,
}

/// The ops of the gradient; `scratch` has [`grad_scratch`] bytes.
pub fn selective_scan_grad(
    b: &mut Builder,
    shape: Shape,
    given: Given,
    made: Made,
    scratch: Value<MemRef<I8, 1>>,
) {
    let mut at = 0;
    let [a, da, carry, gates, h, db, dc] = rooms(shape.states).map(|rows| {
        let room = b.view(scratch, at, MemRef::new(F32, [rows as i64, LANES as i64]), &[]);
        at += 4 * LANES * rows;
        room
    });
    let work = Work { s: shape, given, made, a, da, carry, gates, h, db, dc };
    let (group, channels) = (BLOCKS * LANES, shape.channels);
    b.for_(0, shape.batch, 1, (), |b, sequence, ()| {
        if channels >= group {
            b.for_(0, channels / group * group, group, (), |b, first, ()| {
                work.group(b, sequence, first, group)
            });
        }
        if !channels.is_multiple_of(group) {
            let first = b.index((channels / group * group) as i64);
            work.group(b, sequence, first, channels % group);
        }
    });
}

impl Work {
    /// Blocks of a group: `body(number, first channel, channels)`.
    fn blocks(&self, b: &mut Builder, first: At, count: usize, body: impl Fn(&mut Builder, At, At, usize)) {
        if count >= LANES {
            b.for_(0, count / LANES, 1, (), |b, k, ()| {
                let channel = b.scaled(k, LANES);
                let channel = b.addi(first, channel);
                body(b, k, channel, LANES);
            });
        }
        if !count.is_multiple_of(LANES) {
            let k = b.index((count / LANES) as i64);
            let channel = b.offset(first, count / LANES * LANES);
            body(b, k, channel, count % LANES);
        }
    }

    fn zeros(&self, b: &mut Builder, room: Room, rows: usize) {
        let zero = b.float(Vector::new(F32, [LANES]), 0.0);
        b.for_(0, rows, 1, (), |b, row, ()| b.vector_store(zero, room, (row, 0)));
    }

    /// `count` channels of one sequence, which share their sums.
    fn group(&self, b: &mut Builder, sequence: At, first: At, count: usize) {
        let (n, time) = (self.s.states, self.s.time);
        for room in [self.a, self.da, self.carry] {
            self.zeros(b, room, BLOCKS * n);
        }
        self.blocks(b, first, count, |b, k, channel, width| {
            b.for_(0, width, 1, (), |b, lane, ()| {
                let from = b.addi(channel, lane);
                b.for_(0, n, 1, (), |b, state, ()| {
                    let row = b.scaled(k, n);
                    let row = b.addi(row, state);
                    let v = b.load(self.given.a, (from, state));
                    b.store(v, self.a, (row, lane));
                    let v = b.load(self.given.dlast, (sequence, from, state));
                    b.store(v, self.carry, (row, lane));
                });
            });
        });
        let run = |b: &mut Builder, start: At, steps: usize| {
            self.zeros(b, self.db, n * n);
            self.zeros(b, self.dc, n * n);
            self.blocks(b, first, count, |b, k, channel, width| {
                self.again(b, (sequence, start, steps), (k, channel, width));
                self.back(b, (sequence, start, steps), (k, channel, width));
            });
            // The first group sets, the others add.
            let zero = b.index(0);
            let sets = b.cmpi(CmpI::Eq, first, zero);
            for (lanes, out) in [(self.db, self.made.db), (self.dc, self.made.dc)] {
                b.for_(0, steps, 1, (), |b, t, ()| {
                    let step = b.addi(start, t);
                    b.for_(0, n, 1, (), |b, state, ()| {
                        let row = b.scaled(t, n);
                        let row = b.addi(row, state);
                        let sum = b.vector_load(lanes, (row, 0), [LANES]);
                        let sum = crate::cpu::norm::tree(b, sum);
                        let old = b.load(out, (sequence, step, state));
                        let more = b.addf(old, sum);
                        let sum = b.select(sets, sum, more);
                        b.store(sum, out, (sequence, step, state));
                    });
                });
            }
        };
        let whole = time / n;
        if !time.is_multiple_of(n) {
            let start = b.index((whole * n) as i64);
            run(b, start, time % n);
        }
        b.for_(0, whole, 1, (), |b, k, ()| {
            let last = b.index(whole as i64 - 1);
            let start = b.subi(last, k);
            let start = b.scaled(start, n);
            run(b, start, n);
        });
        let zero = b.index(0);
        let sets = b.cmpi(CmpI::Eq, sequence, zero);
        self.blocks(b, first, count, |b, k, channel, width| {
            b.for_(0, width, 1, (), |b, lane, ()| {
                let to = b.addi(channel, lane);
                b.for_(0, n, 1, (), |b, state, ()| {
                    let row = b.scaled(k, n);
                    let row = b.addi(row, state);
                    let v = b.load(self.carry, (row, lane));
                    b.store(v, self.made.dh0, (sequence, to, state));
                    let (v, old) = (b.load(self.da, (row, lane)), b.load(self.made.da, (to, state)));
                    let more = b.addf(old, v);
                    let v = b.select(sets, v, more);
                    b.store(v, self.made.da, (to, state));
                });
            });
        });
    }

    /// Neighbouring channels of a row, zeros behind them.
    fn row(
        &self,
        b: &mut Builder,
        from: Cube,
        (sequence, row): (At, At),
        channel: At,
        width: usize,
    ) -> Floats {
        let rows = from.ty().sizes[1] as usize;
        let at = b.scaled(sequence, rows);
        let at = b.addi(at, row);
        let flat = self.flat(b, from);
        take(b, flat, width, LANES, (at, channel))
    }

    /// (B, T, D) as (B T, D).
    fn flat(&self, b: &mut Builder, from: Cube) -> Value<MemRef<F32, 2>> {
        let [batch, rows, cols] = from.ty().sizes;
        let at = b.ptr_of(from);
        b.memref_from_ptr(at, MemRef::new(F32, [batch * rows, cols]), &[])
    }

    fn store(
        &self,
        b: &mut Builder,
        v: Floats,
        to: Cube,
        (sequence, row): (At, At),
        channel: At,
        width: usize,
    ) {
        let rows = to.ty().sizes[1] as usize;
        let at = b.scaled(sequence, rows);
        let at = b.addi(at, row);
        let flat = self.flat(b, to);
        put(b, v, width, flat, (at, channel));
    }

    fn map(&self, b: &mut Builder, from: Cube, (sequence, step, state): (At, At, At)) -> Floats {
        let v = b.load(from, (sequence, step, state));
        b.broadcast(v, Vector::new(F32, [LANES]))
    }

    /// The states and gates of a run of steps.
    fn again(
        &self,
        b: &mut Builder,
        (sequence, start, steps): (At, At, usize),
        (k, channel, width): (At, At, usize),
    ) {
        let n = self.s.states;
        b.for_(0, n, 1, (), |b, state, ()| {
            let row = b.addi(start, state);
            let h = self.row(b, self.given.borders, (sequence, row), channel, width);
            b.vector_store(h, self.h, (state, 0));
        });
        b.for_(0, steps, 1, (), |b, t, ()| {
            let step = b.addi(start, t);
            let dt = self.row(b, self.given.dt, (sequence, step), channel, width);
            let x = self.row(b, self.given.x, (sequence, step), channel, width);
            let drive = b.mulf(dt, x);
            b.for_(0, n, 1, (), |b, state, ()| {
                let (own, here) = (b.scaled(k, n), b.scaled(t, n));
                let (own, here) = (b.addi(own, state), b.addi(here, state));
                let a = b.vector_load(self.a, (own, 0), [LANES]);
                let exponent = b.mulf(dt, a);
                let gate = exp(b, exponent);
                b.vector_store(gate, self.gates, (here, 0));
                let before = b.vector_load(self.h, (here, 0), [LANES]);
                let into = self.map(b, self.given.b, (sequence, step, state));
                let driven = b.mulf(drive, into);
                let after = b.fma(gate, before, driven);
                let there = b.offset(here, n);
                b.vector_store(after, self.h, (there, 0));
            });
        });
    }

    /// The same steps from the last to the first.
    fn back(
        &self,
        b: &mut Builder,
        (sequence, start, steps): (At, At, usize),
        (k, channel, width): (At, At, usize),
    ) {
        let n = self.s.states;
        b.for_(0, steps, 1, (), |b, back, ()| {
            let last = b.index(steps as i64 - 1);
            let t = b.subi(last, back);
            let step = b.addi(start, t);
            let place = (sequence, step);
            let dt = self.row(b, self.given.dt, place, channel, width);
            let x = self.row(b, self.given.x, place, channel, width);
            let dy = self.row(b, self.given.dy, place, channel, width);
            let drive = b.mulf(dt, x);
            let zero = b.float(dt.ty(), 0.0);
            let [into, exponent] = b.for_(0, n, 1, [zero, zero], |b, state, [into, exponent]| {
                let (own, here) = (b.scaled(k, n), b.scaled(t, n));
                let (own, here) = (b.addi(own, state), b.addi(here, state));
                let there = b.offset(here, n);
                let load = |b: &mut Builder, room: Room, row: At| b.vector_load(room, (row, 0), [LANES]);
                let (a, carry, da) = (load(b, self.a, own), load(b, self.carry, own), load(b, self.da, own));
                let (before, after) = (load(b, self.h, here), load(b, self.h, there));
                let (gate, db, dc) =
                    (load(b, self.gates, here), load(b, self.db, here), load(b, self.dc, here));
                let map_b = self.map(b, self.given.b, (sequence, step, state));
                let map_c = self.map(b, self.given.c, (sequence, step, state));
                let g = b.fma(map_c, dy, carry);
                let dc = b.fma(dy, after, dc);
                b.vector_store(dc, self.dc, (here, 0));
                let db = b.fma(g, drive, db);
                b.vector_store(db, self.db, (here, 0));
                let into = b.fma(g, map_b, into);
                let carried = b.mulf(g, gate);
                let e = b.mulf(carried, before);
                let exponent = b.fma(e, a, exponent);
                let da = b.fma(e, dt, da);
                b.vector_store(da, self.da, (own, 0));
                b.vector_store(carried, self.carry, (own, 0));
                [into, exponent]
            });
            let dx = b.mulf(into, dt);
            let ddt = b.fma(into, x, exponent);
            self.store(b, dx, self.made.dx, place, channel, width);
            self.store(b, ddt, self.made.ddt, place, channel, width);
        });
    }
}
