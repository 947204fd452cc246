//! The channel mixer with its norm and the residual stream.

use super::{Buffer, Fusion, ProjectionArgs, Room, Rows, product, projection, residual, tiles};
use crate::cpu::math::Function;
use crate::cpu::norm::Rounding;
use crate::cpu::ternary::{self, Activations, arranged, panel};
use crate::cpu::{Isa, once, private, strips};
use crate::ir::{Builder, F32, Func, I8, MemRef, Module, Value};

/// A gated linear unit over rows of tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GluBlock {
    /// N.
    pub tokens: usize,
    /// D, the width of the residual stream.
    pub hidden: usize,
    /// I, the width inside, a multiple of four.
    pub intermediate: usize,
    /// eps of the block's norm.
    pub eps: f32,
    /// eps of the projections' norms.
    pub inner_eps: f32,
    /// How activations are rounded.
    pub rounding: Rounding,
    /// The function of the gate.
    pub gate: Function,
    /// What is joined; [`Fusion::output`] means nothing here.
    pub fusion: Fusion,
}

/// (x, the block's norm, projection of gate and up in one matrix of 2 I rows, projection down, y, scratch).
pub type GluArgs =
    (MemRef<F32, 2>, MemRef<F32, 1>, ProjectionArgs, ProjectionArgs, MemRef<F32, 2>, MemRef<I8, 1>);

/// Buffers of a tile.
#[derive(Clone, Copy)]
struct Buffers {
    q: Buffer,
    scales: usize,
    /// silu(gate) · up; gate and up where they are not joined.
    wide: Buffer,
    /// The gate of 32 rows.
    gates: Buffer,
    row: Buffer,
    between: Buffer,
    form: usize,
    end: usize,
}

impl GluBlock {
    fn tile(&self) -> usize {
        self.fusion.tile.min(self.tokens)
    }

    fn buffers(&self, isa: Isa) -> Buffers {
        let mut room = Room { at: 0 };
        let (n, width) = (self.tile(), self.hidden.max(self.intermediate));
        let q = Buffer::bytes(&mut room, n, width);
        let scales = room.take(4 * n);
        let wide = Buffer::floats(&mut room, n, 2 * self.intermediate);
        let gates = Buffer { at: room.take(4 * n * panel::HEIGHT), rows: n, columns: panel::HEIGHT };
        let rows = if self.fusion.quantise { 1 } else { n };
        let row = Buffer::floats(&mut room, rows, width);
        let between = Buffer::floats(&mut room, rows, width);
        let form = room.take(arranged(isa, n, width));
        Buffers { q, scales, wide, gates, row, between, form, end: room.at }
    }

    /// Bytes of scratch.
    pub fn scratch(&self, isa: Isa) -> usize {
        self.buffers(isa).end
    }

    /// A private function of [`GluArgs`]: `x` and `y` are (N, D) and may be one memref; a projection is (weight of its norm, bytes
    /// of its matrix in the compute layout, scale).
    ///
    /// # Panics
    /// Where the width inside is no multiple of four: the two halves of a matrix of other sizes share a group of rows.
    pub fn emit(&self, m: &mut Module, isa: Isa) -> Func<GluArgs, ()> {
        let Self { tokens, hidden, intermediate, .. } = *self;
        assert!(intermediate.is_multiple_of(ternary::ROWS), "the width inside is a multiple of four");
        let name = format!(
            "glu_block_{tokens}x{hidden}x{intermediate}_{:08x}_{:08x}_{:?}_{}_{}",
            self.eps.to_bits(),
            self.inner_eps.to_bits(),
            self.rounding,
            self.gate.name(),
            self.fusion.name()
        );
        let stream = MemRef::new(F32, [tokens as i64, hidden as i64]);
        let args = (
            stream,
            MemRef::new(F32, [hidden as i64]),
            projection(2 * intermediate, hidden),
            projection(hidden, intermediate),
            stream,
            MemRef::new(I8, [self.scratch(isa) as i64]),
        );
        once(m, &name, args, |m| {
            m.function(private(&name), args, |b, (x, norm, both, down, y, scratch)| {
                let (buffers, n) = (self.buffers(isa), self.tile());
                let rest = tokens % n;
                let counts: Vec<usize> = if rest > 0 { vec![n, rest] } else { vec![n] };
                let forms = |b: &mut Builder, columns: usize| -> Vec<Activations> {
                    let one = |n: &usize| Activations::new(b, isa, (*n, columns), scratch, buffers.form);
                    counts.iter().map(one).collect()
                };
                let (inward, outward) = (forms(b, hidden), forms(b, intermediate));
                let rows = Rows {
                    isa,
                    fusion: self.fusion,
                    rounding: self.rounding,
                    eps: self.eps,
                    inner_eps: self.inner_eps,
                };
                let q = Buffer { columns: hidden, ..buffers.q }.view(b, scratch, I8);
                let q_down = Buffer { columns: intermediate, ..buffers.q }.view(b, scratch, I8);
                let scales = b.view(scratch, buffers.scales, MemRef::new(F32, [n as i64]), &[]);
                let wide = buffers.wide.view(b, scratch, F32);
                let gates = buffers.gates.view(b, scratch, F32);
                let (row, between) =
                    (buffers.row.view(b, scratch, F32), buffers.between.view(b, scratch, F32));
                let zero = b.index(0);
                tiles(b, tokens, n, |b, first, n, which| {
                    if self.fusion.quantise {
                        b.for_(0, n, 1, (), |b, t, ()| {
                            let from = b.addi(first, t);
                            rows.norm(b, hidden, self.eps, (x, from), norm, (row, zero));
                            let scale = rows.quantise(b, hidden, (row, zero), both.0, (q, t));
                            b.store(scale, scales, t);
                        });
                    } else {
                        b.for_(0, n, 1, (), |b, t, ()| {
                            let from = b.addi(first, t);
                            rows.norm(b, hidden, self.eps, (x, from), norm, (row, t));
                        });
                        rows.quantise_all(b, (hidden, n), row, both.0, between, q, scales);
                    }
                    inward[which].arrange(b, q);
                    match &inward[which] {
                        Activations::Panels(panels) if self.fusion.gates => {
                            self.joined(b, panels, scales, (both.1, both.2), gates, wide);
                        }
                        form => {
                            product(b, form, q, scales, both, 2 * intermediate, |b, at, made| {
                                crate::cpu::put(b, made, at.count, wide, (at.token, at.row));
                            });
                            b.for_(0, n, 1, (), |b, t, ()| {
                                strips(b, intermediate, isa.lanes(), |b, at, width| {
                                    let up = b.offset(at, intermediate);
                                    let gate = b.vector_load(wide, (t, at), [width]);
                                    let up = b.vector_load(wide, (t, up), [width]);
                                    let gate = self.gate.emit(b, gate);
                                    let made = b.mulf(gate, up);
                                    b.vector_store(made, wide, (t, at));
                                });
                            });
                        }
                    }
                    rows.quantise_all(b, (intermediate, n), wide, down.0, between, q_down, scales);
                    outward[which].arrange(b, q_down);
                    product(b, &outward[which], q_down, scales, down, hidden, |b, at, made| {
                        residual(b, at, made, first, x, y);
                    });
                });
            })
        })
    }

    /// gate(x g) · (x u), 32 rows of both at a time: the gate's are in the first-level cache when up's are made.
    fn joined(
        &self,
        b: &mut Builder,
        panels: &panel::Panels,
        scales: Value<MemRef<F32, 1>>,
        (w, scale_w): (Value<MemRef<I8, 1>>, Value<MemRef<F32, 1>>),
        gates: Value<MemRef<F32, 2>>,
        wide: Value<MemRef<F32, 2>>,
    ) {
        let scale_w = b.load(scale_w, 0);
        panels.matrix(b, self.intermediate, |b, first, rows| {
            panels.product(b, w, first, rows, &mut |b, at, sums| {
                let scale = b.load(scales, at.token);
                let made = ternary::scaled(b, sums, scale, scale_w);
                let made = self.gate.emit(b, made);
                let column = b.subi(at.row, first);
                b.vector_store(made, gates, (at.token, column));
            });
            let up = b.offset(first, self.intermediate);
            panels.product(b, w, up, rows, &mut |b, at, sums| {
                let scale = b.load(scales, at.token);
                let made = ternary::scaled(b, sums, scale, scale_w);
                let column = b.subi(at.row, up);
                let gate = b.vector_load(gates, (at.token, column), [16]);
                let made = b.mulf(gate, made);
                let row = b.addi(first, column);
                crate::cpu::put(b, made, at.count, wide, (at.token, row));
            });
        });
    }
}
