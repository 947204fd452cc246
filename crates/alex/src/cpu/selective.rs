//! The selective scan of a diagonal state-space model (Mamba, Gu & Dao 2023), with the engine's bits.
//!
//! h_t = exp(dt_t a) h_(t−1) + dt_t x_t b_t and y_t = Σ over the states of c_t h_t. A vector holds one state of neighbouring
//! channels, so that every op is a vertical one, the sum over the states too; maps b and c are numbers that all lanes share. Up to
//! sixteen states stay in registers, more of them in the first-level cache.

mod grad;

pub use grad::{Given, Made, grad_scratch, selective_scan_grad};

use super::math::exp;
use super::{Floats, Isa, once, private, strips};
use crate::ir::{Builder, F32, Func, Index, MemRef, Module, Value, Vector};

/// States that are carried in registers.
const IN_REGISTERS: usize = 16;
/// Steps between asking for a row and reading it.
const AHEAD: usize = 12;

/// Sizes of a selective scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// B.
    pub batch: usize,
    /// T.
    pub time: usize,
    /// D.
    pub channels: usize,
    /// N.
    pub states: usize,
}

/// (x, dt, a, b, c, h0, y, last, borders).
pub type SelectiveScan = (
    MemRef<F32, 3>,
    MemRef<F32, 3>,
    MemRef<F32, 2>,
    MemRef<F32, 3>,
    MemRef<F32, 3>,
    MemRef<F32, 3>,
    MemRef<F32, 3>,
    MemRef<F32, 3>,
    MemRef<F32, 3>,
);

/// A private function `(x, dt, a, b, c, h0, y, last, borders)`: x, dt and y are (B, T, D), a is (D, N), b and c are (B, T, N), h0 and
/// last (B, D, N); `borders`, (B, T + N, D), gets the states before every N-th step, which a backward pass starts from, and zeros
/// behind them.
pub fn selective_scan(m: &mut Module, isa: Isa, shape: Shape) -> Func<SelectiveScan, ()> {
    let Shape { batch, time, channels, states } = shape;
    let name = format!("selective_scan_{batch}x{time}x{channels}x{states}");
    let of = |rows: usize, cols: usize| MemRef::new(F32, [batch as i64, rows as i64, cols as i64]);
    let (wide, maps, state) = (of(time, channels), of(time, states), of(channels, states));
    let a = MemRef::new(F32, [channels as i64, states as i64]);
    let args = (wide, wide, a, maps, maps, state, wide, state, of(time + states, channels));
    once(m, &name, args, |m| {
        m.function(private(&name), args, |b, (x, dt, a, maps_b, maps_c, h0, y, last, borders)| {
            let room = MemRef::new(F32, [states as i64, isa.lanes() as i64]);
            // Columns of `a` and of the states as vectors.
            let (own_a, own_h) = (b.alloca(room, &[]), b.alloca(room, &[]));
            let work = Work { shape, x, dt, maps_b, maps_c, y, borders, own_a, own_h };
            b.for_(0, batch, 1, (), |b, sequence, ()| {
                strips(b, channels, isa.lanes(), |b, channel, width| {
                    b.for_(0, width, 1, (), |b, lane, ()| {
                        let from = b.addi(channel, lane);
                        b.for_(0, states, 1, (), |b, k, ()| {
                            let v = b.load(a, (from, k));
                            b.store(v, own_a, (k, lane));
                            let v = b.load(h0, (sequence, from, k));
                            b.store(v, own_h, (k, lane));
                        });
                    });
                    work.run(b, sequence, channel, width);
                    b.for_(0, width, 1, (), |b, lane, ()| {
                        let to = b.addi(channel, lane);
                        b.for_(0, states, 1, (), |b, k, ()| {
                            let v = b.load(own_h, (k, lane));
                            b.store(v, last, (sequence, to, k));
                        });
                    });
                });
            });
        })
    })
}

struct Work {
    shape: Shape,
    x: Value<MemRef<F32, 3>>,
    dt: Value<MemRef<F32, 3>>,
    maps_b: Value<MemRef<F32, 3>>,
    maps_c: Value<MemRef<F32, 3>>,
    y: Value<MemRef<F32, 3>>,
    borders: Value<MemRef<F32, 3>>,
    own_a: Value<MemRef<F32, 2>>,
    own_h: Value<MemRef<F32, 2>>,
}

impl Work {
    /// All steps of one vector of channels, whose states lie in `own_h` before and after.
    fn run(&self, b: &mut Builder, sequence: Value<Index>, channel: Value<Index>, width: usize) {
        let Shape { time, states, .. } = self.shape;
        let chunk = states.max(1);
        let run = |b: &mut Builder, from: Value<Index>, count: usize| {
            b.for_(0, states, 1, (), |b, k, ()| {
                let h = b.vector_load(self.own_h, (k, 0), [width]);
                let row = b.addi(from, k);
                b.vector_store(h, self.borders, (sequence, row, channel));
            });
            if states <= IN_REGISTERS {
                let h: Vec<Floats> =
                    (0..states).map(|k| b.vector_load(self.own_h, (k, 0), [width])).collect();
                let h = b.for_(0, count, 1, h, |b, t, mut h| {
                    let t = b.addi(from, t);
                    self.step(b, (sequence, t, channel, width), |b, part, mut sum| {
                        for (k, h) in h.iter_mut().enumerate() {
                            let k = b.index(k as i64);
                            (*h, sum) = part(b, k, *h, sum);
                        }
                        sum
                    });
                    h
                });
                for (k, h) in h.into_iter().enumerate() {
                    b.vector_store(h, self.own_h, (k, 0));
                }
            } else {
                b.for_(0, count, 1, (), |b, t, ()| {
                    let t = b.addi(from, t);
                    self.step(b, (sequence, t, channel, width), |b, part, sum| {
                        b.for_(0, states, 1, sum, |b, k, sum| {
                            let h = b.vector_load(self.own_h, (k, 0), [width]);
                            let (h, sum) = part(b, k, h, sum);
                            b.vector_store(h, self.own_h, (k, 0));
                            sum
                        })
                    });
                });
            }
        };
        if time >= chunk {
            b.for_(0, time / chunk * chunk, chunk, (), |b, from, ()| run(b, from, chunk));
        }
        if !time.is_multiple_of(chunk) {
            let from = b.index((time / chunk * chunk) as i64);
            run(b, from, time % chunk);
        }
        let filled = time.div_ceil(chunk) * states;
        let zero = b.float(Vector::new(F32, [width]), 0.0);
        b.for_(filled, time + states, 1, (), |b, row, ()| {
            b.vector_store(zero, self.borders, (sequence, row, channel));
        });
    }

    /// One step: `all(part, sum)` calls `part(state's number, state, sum)` for every state in order and gives the last sum.
    fn step(
        &self,
        b: &mut Builder,
        (sequence, t, channel, width): (Value<Index>, Value<Index>, Value<Index>, usize),
        all: impl FnOnce(
            &mut Builder,
            &mut dyn FnMut(&mut Builder, Value<Index>, Floats, Floats) -> (Floats, Floats),
            Floats,
        ) -> Floats,
    ) {
        let place = (sequence, t, channel);
        let ahead = b.offset(t, AHEAD);
        for row in [self.dt, self.x] {
            b.prefetch(row, (sequence, ahead, channel), false, 3);
        }
        let (dt, x) = (b.vector_load(self.dt, place, [width]), b.vector_load(self.x, place, [width]));
        let drive = b.mulf(dt, x);
        let zero = b.float(dt.ty(), 0.0);
        let sum = all(
            b,
            &mut |b, k, h, sum| {
                let a = b.vector_load(self.own_a, (k, 0), [width]);
                let exponent = b.mulf(dt, a);
                let gate = exp(b, exponent);
                let [into, out] = [self.maps_b, self.maps_c].map(|map| {
                    let v = b.load(map, (sequence, t, k));
                    b.broadcast(v, dt.ty())
                });
                let driven = b.mulf(drive, into);
                let h = b.fma(gate, h, driven);
                (h, b.fma(out, h, sum))
            },
            zero,
        );
        b.vector_store(sum, self.y, place);
    }
}
