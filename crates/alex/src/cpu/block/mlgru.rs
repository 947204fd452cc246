//! The token mixer with its norm and the residual stream.

use super::{Buffer, Fusion, ProjectionArgs, Room, Rows, product, projection, residual, tiles};
use crate::cpu::math::{Function, sigmoid, silu};
use crate::cpu::norm::{Rounding, normed, rstd};
use crate::cpu::scan::mlgru_gates;
use crate::cpu::ternary::{Activations, arranged};
use crate::cpu::{Floats, Isa, once, private, strips};
use crate::ir::{Builder, F32, Func, I8, Index, MemRef, Module, Value};

/// An MLGRU block over a batch of sequences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MlgruBlock {
    /// B.
    pub batch: usize,
    /// T.
    pub time: usize,
    /// D, the width of the residual stream.
    pub hidden: usize,
    /// I, the width of the recurrence.
    pub inner: usize,
    /// eps of the block's norm and of the norm of the output gate.
    pub eps: f32,
    /// eps of the projections' norms.
    pub inner_eps: f32,
    /// How activations are rounded.
    pub rounding: Rounding,
    /// The function of the candidate.
    pub candidate: Function,
    /// What is joined.
    pub fusion: Fusion,
}

/// (x, the block's norm, projections of f, i and g, norm of g, output projection, h0, y, last state, scratch).
pub type MlgruArgs = (
    MemRef<F32, 2>,
    MemRef<F32, 1>,
    ProjectionArgs,
    ProjectionArgs,
    ProjectionArgs,
    MemRef<F32, 1>,
    ProjectionArgs,
    MemRef<F32, 2>,
    MemRef<F32, 2>,
    MemRef<F32, 2>,
    MemRef<I8, 1>,
);

/// Buffers of a tile.
#[derive(Clone, Copy)]
struct Buffers {
    /// int8 activations of the three projections, or of the output projection in the first.
    q: [Buffer; 3],
    scales: usize,
    /// f, i or h, g.
    wide: [Buffer; 3],
    /// The normed input, and rows between two ops that are not joined.
    row: Buffer,
    between: Buffer,
    form: usize,
    end: usize,
}

impl MlgruBlock {
    fn tile(&self) -> usize {
        self.fusion.tile.min(self.time)
    }

    fn buffers(&self, isa: Isa) -> Buffers {
        let mut room = Room { at: 0 };
        let (n, width) = (self.tile(), self.hidden.max(self.inner));
        let q = [0; 3].map(|_| Buffer::bytes(&mut room, n, width));
        let scales = room.take(4 * 3 * n);
        let wide = [0; 3].map(|_| Buffer::floats(&mut room, n, self.inner));
        // One row where the next op takes it at once.
        let rows = if self.fusion.quantise && self.fusion.output { 1 } else { n };
        let row = Buffer::floats(&mut room, rows, width);
        let between = Buffer::floats(&mut room, rows, width);
        let form = room.take(arranged(isa, n, width));
        Buffers { q, scales, wide, row, between, form, end: room.at }
    }

    /// Bytes of scratch.
    pub fn scratch(&self, isa: Isa) -> usize {
        self.buffers(isa).end
    }

    fn args(&self, isa: Isa) -> MlgruArgs {
        let stream = MemRef::new(F32, [(self.batch * self.time) as i64, self.hidden as i64]);
        let state = MemRef::new(F32, [self.batch as i64, self.inner as i64]);
        let (inward, vector) = (projection(self.inner, self.hidden), |n: usize| MemRef::new(F32, [n as i64]));
        (
            stream,
            vector(self.hidden),
            inward,
            inward,
            inward,
            vector(self.inner),
            projection(self.hidden, self.inner),
            state,
            stream,
            state,
            MemRef::new(I8, [self.scratch(isa) as i64]),
        )
    }

    /// A private function of [`MlgruArgs`]: `x` and `y` are (B · T, D) and may be one memref, states are (B, I), norms are (D), that
    /// of g is (I); a projection is (weight of its norm, bytes of its matrix in the compute layout, scale).
    pub fn emit(&self, m: &mut Module, isa: Isa) -> Func<MlgruArgs, ()> {
        let Self { batch, time, hidden, inner, .. } = *self;
        let name = format!(
            "mlgru_block_{batch}x{time}x{hidden}x{inner}_{:08x}_{:08x}_{:?}_{}_{}",
            self.eps.to_bits(),
            self.inner_eps.to_bits(),
            self.rounding,
            self.candidate.name(),
            self.fusion.name()
        );
        let args = self.args(isa);
        once(m, &name, args, |m| {
            m.function(private(&name), args, |b, (x, norm, f, i, g, g_norm, o, h0, y, last, scratch)| {
                let work = Work::new(b, self, isa, scratch);
                b.for_(0, batch, 1, (), |b, sequence, ()| {
                    strips(b, inner, isa.lanes(), |b, at, width| {
                        let h = b.vector_load(h0, (sequence, at), [width]);
                        b.vector_store(h, last, (sequence, at));
                    });
                    let start = b.scaled(sequence, time);
                    tiles(b, time, self.tile(), |b, first, n, which| {
                        let first = b.addi(start, first);
                        work.inputs(b, n, first, x, norm, [f.0, i.0, g.0]);
                        for (k, p) in [f, i, g].into_iter().enumerate() {
                            let form = &work.inward[which];
                            form.arrange(b, work.q[k]);
                            product(b, form, work.q[k], work.scales[k], p, inner, |b, at, made| {
                                crate::cpu::put(b, made, at.count, work.wide[k], (at.token, at.row));
                            });
                        }
                        work.recur(b, n, last, sequence);
                        work.outputs(b, n, g_norm, o.0);
                        let form = &work.outward[which];
                        form.arrange(b, work.q_out);
                        product(b, form, work.q_out, work.scales[0], o, hidden, |b, at, made| {
                            residual(b, at, made, first, x, y);
                        });
                    });
                });
            })
        })
    }
}

/// A tile's memory.
struct Work<'a> {
    block: &'a MlgruBlock,
    rows: Rows,
    inward: Vec<Activations>,
    outward: Vec<Activations>,
    q: [Value<MemRef<I8, 2>>; 3],
    q_out: Value<MemRef<I8, 2>>,
    scales: [Value<MemRef<F32, 1>>; 3],
    wide: [Value<MemRef<F32, 2>>; 3],
    row: Value<MemRef<F32, 2>>,
    between: Value<MemRef<F32, 2>>,
}

impl<'a> Work<'a> {
    fn new(b: &mut Builder, block: &'a MlgruBlock, isa: Isa, scratch: Value<MemRef<I8, 1>>) -> Work<'a> {
        let (buffers, n) = (block.buffers(isa), block.tile());
        let rest = block.time % n;
        let counts: Vec<usize> = if rest > 0 { vec![n, rest] } else { vec![n] };
        let forms = |b: &mut Builder, columns: usize| -> Vec<Activations> {
            counts.iter().map(|n| Activations::new(b, isa, (*n, columns), scratch, buffers.form)).collect()
        };
        let (inward, outward) = (forms(b, block.hidden), forms(b, block.inner));
        let rows = Rows {
            isa,
            fusion: block.fusion,
            rounding: block.rounding,
            eps: block.eps,
            inner_eps: block.inner_eps,
        };
        let scales =
            [0, 1, 2].map(|k| b.view(scratch, buffers.scales + 4 * k * n, MemRef::new(F32, [n as i64]), &[]));
        let of = |b: &mut Builder, buffer: Buffer, columns: usize| {
            Buffer { columns, ..buffer }.view(b, scratch, I8)
        };
        Work {
            block,
            rows,
            inward,
            outward,
            q: buffers.q.map(|q| of(b, q, block.hidden)),
            q_out: of(b, buffers.q[0], block.inner),
            scales,
            wide: buffers.wide.map(|w| w.view(b, scratch, F32)),
            row: buffers.row.view(b, scratch, F32),
            between: buffers.between.view(b, scratch, F32),
        }
    }

    /// The int8 activations of the three projections.
    fn inputs(
        &self,
        b: &mut Builder,
        n: usize,
        first: Value<Index>,
        x: Value<MemRef<F32, 2>>,
        norm: Value<MemRef<F32, 1>>,
        norms: [Value<MemRef<F32, 1>>; 3],
    ) {
        let (len, eps) = (self.block.hidden, self.rows.eps);
        if self.rows.fusion.quantise {
            let zero = b.index(0);
            let rows = self.rows.fusion.output;
            b.for_(0, n, 1, (), |b, t, ()| {
                let from = b.addi(first, t);
                let own = if rows { zero } else { t };
                self.rows.norm(b, len, eps, (x, from), norm, (self.row, own));
                // The three norms differ in their weights alone.
                let r = self.rows.rstd(b, len, (self.row, own));
                for k in 0..3 {
                    let scale = self.rows.quantise_with(b, len, (self.row, own), r, norms[k], (self.q[k], t));
                    b.store(scale, self.scales[k], t);
                }
            });
            return;
        }
        b.for_(0, n, 1, (), |b, t, ()| {
            let from = b.addi(first, t);
            self.rows.norm(b, len, eps, (x, from), norm, (self.row, t));
        });
        for k in 0..3 {
            self.rows.quantise_all(b, (len, n), self.row, norms[k], self.between, self.q[k], self.scales[k]);
        }
    }

    /// Gates and recurrence: h of every token in the place of i, the last one in the state.
    fn recur(&self, b: &mut Builder, n: usize, last: Value<MemRef<F32, 2>>, sequence: Value<Index>) {
        let [f, i, _] = self.wide;
        let (candidate, inner) = (self.block.candidate, self.block.inner);
        let lanes = self.rows.isa.lanes();
        let fused = self.rows.fusion.gates;
        if !fused {
            b.for_(0, n, 1, (), |b, t, ()| {
                strips(b, inner, lanes, |b, at, width| {
                    let v = b.vector_load(f, (t, at), [width]);
                    let v = sigmoid(b, v);
                    b.vector_store(v, f, (t, at));
                });
            });
            b.for_(0, n, 1, (), |b, t, ()| {
                strips(b, inner, lanes, |b, at, width| {
                    let (s, v) = (b.vector_load(f, (t, at), [width]), b.vector_load(i, (t, at), [width]));
                    let c = candidate.emit(b, v);
                    let one = b.float(s.ty(), 1.0);
                    let rest = b.subf(one, s);
                    let v = b.mulf(c, rest);
                    b.vector_store(v, i, (t, at));
                });
            });
        }
        // Row by row, as memory lies; the state is in the first-level cache.
        b.for_(0, n, 1, (), |b, t, ()| {
            strips(b, inner, lanes, |b, at, width| {
                let h = b.vector_load(last, (sequence, at), [width]);
                let (v, w) = (b.vector_load(f, (t, at), [width]), b.vector_load(i, (t, at), [width]));
                let (v, w) = if fused { mlgru_gates(b, v, w, candidate) } else { (v, w) };
                let kept = b.mulf(v, h);
                let h = b.addf(kept, w);
                b.vector_store(h, i, (t, at));
                b.vector_store(h, last, (sequence, at));
            });
        });
    }

    /// The int8 activations of the output projection, from h and g.
    fn outputs(
        &self,
        b: &mut Builder,
        n: usize,
        g_norm: Value<MemRef<F32, 1>>,
        o_norm: Value<MemRef<F32, 1>>,
    ) {
        let [_, h, g] = self.wide;
        let (inner, lanes) = (self.block.inner, self.rows.isa.lanes());
        // norm(g) · silu(h)
        let gate = |b: &mut Builder, t: Value<Index>, to: Value<MemRef<F32, 2>>, row: Value<Index>| {
            let r = rstd(b, inner, self.rows.eps, |b, at, width| b.vector_load(g, (t, at), [width]));
            strips(b, inner, lanes, |b, at, width| {
                let (v, w) = (b.vector_load(g, (t, at), [width]), b.vector_load(g_norm, at, [width]));
                let v = normed(b, v, r, w);
                let state: Floats = b.vector_load(h, (t, at), [width]);
                let s = silu(b, state);
                let v = b.mulf(v, s);
                b.vector_store(v, to, (row, at));
            });
        };
        if self.rows.fusion.output {
            let zero = b.index(0);
            b.for_(0, n, 1, (), |b, t, ()| {
                gate(b, t, self.row, zero);
                let scale = self.rows.quantise(b, inner, (self.row, zero), o_norm, (self.q_out, t));
                b.store(scale, self.scales[0], t);
            });
            return;
        }
        b.for_(0, n, 1, (), |b, t, ()| self.rows.norm(b, inner, self.rows.eps, (g, t), g_norm, (g, t)));
        b.for_(0, n, 1, (), |b, t, ()| {
            strips(b, inner, lanes, |b, at, width| {
                let state = b.vector_load(h, (t, at), [width]);
                let s = silu(b, state);
                let v = b.vector_load(g, (t, at), [width]);
                let v = b.mulf(v, s);
                b.vector_store(v, g, (t, at));
            });
        });
        self.rows.quantise_all(b, (inner, n), g, o_norm, self.between, self.q_out, self.scales[0]);
    }
}
