//! The linear recurrence h_t = f_t · h_(t−1) + x_t (HGRN, MLGRU and their kin), with the gates of the MLGRU computed on the way
//! where that is wanted.
//!
//! Layout is (B, T, D): time steps of one channel lie D apart. Up to sixteen vectors of neighbouring channels keep their
//! state in registers while time goes by. A product and a sum round twice, as the streaming step's do. Where few channels meet a
//! long sequence, the engine's form is parallel over time, which rounds otherwise: [`chunk`] says where, and the same numbers
//! are made here, in one pass, with a state, a decayed state and a product of gates in place of three passes.

mod grad;

pub use grad::{LinearScanGrad, linear_scan_grad};

use super::math::Function;
use super::{Floats, Isa, once};
use crate::ir::{Builder, F32, Func, Index, MemRef, Module, Value, Vector};

/// Vectors of channels that are in registers at once.
const VECTORS: usize = 16;
/// Steps between asking for a row and reading it.
const AHEAD: usize = 6;

/// Sizes of a batch of sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// B.
    pub batch: usize,
    /// T.
    pub time: usize,
    /// D.
    pub channels: usize,
}

impl Shape {
    fn rows(self) -> MemRef<F32, 3> {
        MemRef::new(F32, [self.batch as i64, self.time as i64, self.channels as i64])
    }

    fn state(self) -> MemRef<F32, 2> {
        MemRef::new(F32, [self.batch as i64, self.channels as i64])
    }

    fn name(self, what: &str) -> String {
        format!("{what}_{}x{}x{}", self.batch, self.time, self.channels)
    }
}

/// Steps of a chunk of the form that is parallel over time; the whole length where the plain form runs.
pub fn chunk(shape: Shape) -> usize {
    if shape.batch * shape.channels < 512 && shape.time >= 1024 { 256 } else { shape.time.max(1) }
}

/// Vectors of neighbouring channels: offsets and widths.
type Block = Vec<(usize, usize)>;

/// Every block of channels: `body(first channel, vectors)`.
fn blocks(
    b: &mut Builder,
    isa: Isa,
    channels: usize,
    mut body: impl FnMut(&mut Builder, Value<Index>, &Block),
) {
    let lanes = isa.lanes();
    // Half of the registers hold states.
    let most = VECTORS.min(isa.registers() / 2) * lanes;
    let full = |len: usize| -> Block { super::ternary::pieces(len, lanes).collect() };
    if channels / most > 0 {
        b.for_(0, channels / most * most, most, (), |b, channel, ()| body(b, channel, &full(most)));
    }
    let rest = channels % most;
    if rest > 0 {
        let channel = b.index((channels - rest) as i64);
        body(b, channel, &full(rest));
    }
}

/// What comes before the recurrence: (f, x) of the operands' vectors.
type Gates<'a> = dyn Fn(&mut Builder, Floats, Floats) -> (Floats, Floats) + 'a;

struct Scan {
    isa: Isa,
    shape: Shape,
    reverse: bool,
    /// Channels that are worked on, from the operands' first one.
    width: usize,
    first: Value<MemRef<F32, 3>>,
    second: Value<MemRef<F32, 3>>,
    h0: Value<MemRef<F32, 2>>,
    out: Value<MemRef<F32, 3>>,
}

impl Scan {
    /// The operands of step `t` of a block, and where its results go.
    fn row(&self, b: &mut Builder, t: Value<Index>) -> Value<Index> {
        if self.reverse {
            let last = b.index(self.shape.time as i64 - 1);
            b.subi(last, t)
        } else {
            t
        }
    }

    fn emit(&self, b: &mut Builder, gates: &Gates<'_>) {
        let time = self.shape.time;
        b.for_(0, self.shape.batch, 1, (), |b, sequence, ()| {
            blocks(b, self.isa, self.width, |b, channel, vectors| {
                let start: Vec<Floats> = vectors
                    .iter()
                    .map(|(at, width)| {
                        let at = b.offset(channel, *at);
                        b.vector_load(self.h0, (sequence, at), [*width])
                    })
                    .collect();
                b.for_(0, time, 1, start, |b, t, mut h| {
                    let row = self.row(b, t);
                    for ((at, width), h) in vectors.iter().zip(&mut h) {
                        let at = b.offset(channel, *at);
                        let place = (sequence, row, at);
                        if !self.reverse {
                            let ahead = b.offset(row, AHEAD);
                            b.prefetch(self.first, (sequence, ahead, at), false, 3);
                            b.prefetch(self.second, (sequence, ahead, at), false, 3);
                        }
                        let first = b.vector_load(self.first, place, [*width]);
                        let second = b.vector_load(self.second, place, [*width]);
                        let (f, x) = gates(b, first, second);
                        let kept = b.mulf(f, *h);
                        *h = b.addf(kept, x);
                        b.vector_store(*h, self.out, place);
                    }
                    h
                });
            });
        });
    }

    /// The numbers of the form that is parallel over time.
    fn emit_chunked(&self, b: &mut Builder, chunk: usize, gates: &Gates<'_>) {
        let time = self.shape.time;
        b.for_(0, self.shape.batch, 1, (), |b, sequence, ()| {
            let vectors = self.isa.lanes();
            super::strips(b, self.width, vectors, |b, channel, width| {
                let state = b.vector_load(self.h0, (sequence, channel), [width]);
                let ty = Vector::new(F32, [width]);
                let (zero, one) = (b.float(ty, 0.0), b.float(ty, 1.0));
                let run = |b: &mut Builder, from: Value<Index>, steps: usize, state: Floats| {
                    let carried = [zero, state, one];
                    let [local, _, product] =
                        b.for_(0, steps, 1, carried, |b, t, [local, decayed, product]| {
                            let t = b.addi(from, t);
                            let place = (sequence, self.row(b, t), channel);
                            let first = b.vector_load(self.first, place, [width]);
                            let second = b.vector_load(self.second, place, [width]);
                            let (f, x) = gates(b, first, second);
                            let kept = b.mulf(f, local);
                            let local = b.addf(kept, x);
                            let (decayed, product) = (b.mulf(decayed, f), b.mulf(product, f));
                            let h = b.addf(local, decayed);
                            b.vector_store(h, self.out, place);
                            [local, decayed, product]
                        });
                    let carried = b.mulf(product, state);
                    b.addf(local, carried)
                };
                let state = b.for_(0, time / chunk, 1, state, |b, index, state| {
                    let from = b.scaled(index, chunk);
                    run(b, from, chunk, state)
                });
                if !time.is_multiple_of(chunk) {
                    let from = b.index((time / chunk * chunk) as i64);
                    run(b, from, time % chunk, state);
                }
            });
        });
    }
}

/// The arguments of [`linear_scan`] and of [`mlgru_scan`].
pub type LinearScan = (MemRef<F32, 3>, MemRef<F32, 3>, MemRef<F32, 2>, MemRef<F32, 3>);

fn scan(
    m: &mut Module,
    isa: Isa,
    shape: Shape,
    name: &str,
    reverse: bool,
    gates: &Gates<'_>,
) -> Func<LinearScan, ()> {
    let args = (shape.rows(), shape.rows(), shape.state(), shape.rows());
    once(m, name, args, |m| {
        m.function(super::private(name), args, |b, (first, second, h0, out)| {
            let scan = Scan { isa, shape, reverse, width: shape.channels, first, second, h0, out };
            let chunk = chunk(shape);
            if chunk < shape.time { scan.emit_chunked(b, chunk, gates) } else { scan.emit(b, gates) }
        })
    })
}

/// A private function `(f, x, h0, out)`: out_t = f_t · out_(t−1) + x_t, from the last step to the first with `reverse`; `f`, `x` and
/// `out` are (B, T, D), `h0` is (B, D). `out` may be `f` or `x`.
pub fn linear_scan(m: &mut Module, isa: Isa, shape: Shape, reverse: bool) -> Func<LinearScan, ()> {
    let name = shape.name(if reverse { "linear_scan_reverse" } else { "linear_scan" });
    scan(m, isa, shape, &name, reverse, &|_, f, x| (f, x))
}

/// [`linear_scan`] of one sequence for `width` channels: the operands begin at the first of them, and their rows lie as those of
/// `shape`, whose batch is 1. Never the form that is parallel over time.
pub(crate) fn linear_scan_part(
    m: &mut Module,
    isa: Isa,
    shape: Shape,
    reverse: bool,
    width: usize,
) -> Func<LinearScan, ()> {
    let name = shape.name(&format!("linear_scan_{}{width}of", if reverse { "reverse_" } else { "" }));
    let args = (shape.rows(), shape.rows(), shape.state(), shape.rows());
    once(m, &name, args, |m| {
        m.function(super::private(&name), args, |b, (first, second, h0, out)| {
            Scan { isa, shape, reverse, width, first, second, h0, out }.emit(b, &|_, f, x| (f, x));
        })
    })
}

/// A private function `(f, i, h0, out)`: the recurrence of the MLGRU from the projections, out_t = s · out_(t−1) + candidate(i) ·
/// (1 − s) with s = sigmoid(f): the gates are never in memory. Shapes are those of [`linear_scan`].
pub fn mlgru_scan(m: &mut Module, isa: Isa, shape: Shape, candidate: Function) -> Func<LinearScan, ()> {
    let name = shape.name(&format!("mlgru_scan_{}", candidate.name()));
    scan(m, isa, shape, &name, false, &move |b, f, i| mlgru_gates(b, f, i, candidate))
}

/// (sigmoid(f), candidate(i) · (1 − sigmoid(f))).
pub(super) fn mlgru_gates(b: &mut Builder, f: Floats, i: Floats, candidate: Function) -> (Floats, Floats) {
    let s = super::math::sigmoid(b, f);
    let c = candidate.emit(b, i);
    let one = b.float(s.ty(), 1.0);
    let rest = b.subf(one, s);
    (s, b.mulf(c, rest))
}
