//! The gradient of the linear recurrence, in the engine's order: g_t = dout_t + f_(t+1) g_(t+1), dx_t = g_t, df_t = g_t h_(t−1).

use super::{Block, Shape, blocks};
use crate::cpu::{Floats, Isa, once, private};
use crate::ir::{Builder, F32, Func, Index, MemRef, Module, Value, Vector};

/// (f, h0, h, dh, df, dx, dh0).
pub type LinearScanGrad = (
    MemRef<F32, 3>,
    MemRef<F32, 2>,
    MemRef<F32, 3>,
    MemRef<F32, 3>,
    MemRef<F32, 3>,
    MemRef<F32, 3>,
    MemRef<F32, 2>,
);

/// A private function `(f, h0, h, dh, df, dx, dh0)`: the cotangents of [`super::linear_scan`]'s operands from that of its result, h.
pub fn linear_scan_grad(m: &mut Module, isa: Isa, shape: Shape, reverse: bool) -> Func<LinearScanGrad, ()> {
    let name = shape.name(if reverse { "linear_scan_grad_reverse" } else { "linear_scan_grad" });
    let (rows, state) = (shape.rows(), shape.state());
    let args = (rows, state, rows, rows, rows, rows, state);
    once(m, &name, args, |m| {
        m.function(private(&name), args, |b, (f, h0, h, dh, df, dx, dh0)| {
            let time = shape.time;
            // The row of step `t` in the direction of the recurrence.
            let row = |b: &mut Builder, t: Value<Index>| {
                if !reverse {
                    return t;
                }
                let last = b.index(time as i64 - 1);
                b.subi(last, t)
            };
            b.for_(0, shape.batch, 1, (), |b, sequence, ()| {
                blocks(b, isa, shape.channels, |b, channel, vectors: &Block| {
                    let zeros: Vec<Floats> =
                        vectors.iter().map(|(_, width)| b.float(Vector::new(F32, [*width]), 0.0)).collect();
                    let step = |b: &mut Builder,
                                now: Value<Index>,
                                before: Option<Value<Index>>,
                                carry: Vec<Floats>| {
                        let here = row(b, now);
                        let earlier = before.map(|t| row(b, t));
                        let parts = vectors.iter().zip(carry);
                        parts
                            .map(|((at, width), carry)| {
                                let at = b.offset(channel, *at);
                                let place = (sequence, here, at);
                                let own = b.vector_load(dh, place, [*width]);
                                let f = b.vector_load(f, place, [*width]);
                                let previous = match earlier {
                                    Some(earlier) => b.vector_load(h, (sequence, earlier, at), [*width]),
                                    None => b.vector_load(h0, (sequence, at), [*width]),
                                };
                                let g = b.addf(own, carry);
                                b.vector_store(g, dx, place);
                                let made = b.mulf(g, previous);
                                b.vector_store(made, df, place);
                                b.mulf(f, g)
                            })
                            .collect::<Vec<Floats>>()
                    };
                    let carry = b.for_(1, time, 1, zeros, |b, k, carry| {
                        let (end, one) = (b.index(time as i64), b.index(1));
                        let now = b.subi(end, k);
                        let before = b.subi(now, one);
                        step(b, now, Some(before), carry)
                    });
                    let first = b.index(0);
                    let carry = step(b, first, None, carry);
                    for ((at, _), carry) in vectors.iter().zip(carry) {
                        let at = b.offset(channel, *at);
                        b.vector_store(carry, dh0, (sequence, at));
                    }
                });
            });
        })
    })
}
