//! The blocks of the MatMul-free LM as one function each: a tile of tokens goes through every op before the next tile begins,
//! so that what lies between the ops stays in the second-level cache.
//!
//! The released MLGRU block (Zhu et al. 2024): norm, projections of f, i and g, each a norm, int8 activations and trits; gates
//! and recurrence; norm of g times silu(h); output projection; residual. The gated linear unit: norm, projection of gate and
//! up, silu(gate) · up, projection down, residual. The numbers are those of the ops one by one: a tile's border changes none,
//! and the recurrence runs from tile to tile. [`Fusion`] switches each kind of fusion off, to see what it is worth.

mod glu;
mod mlgru;

pub use glu::{GluArgs, GluBlock};
pub use mlgru::{MlgruArgs, MlgruBlock};

use super::norm::{Rounding, normed, quantize_row, rstd};
use super::ternary::{self, Activations, Place};
use super::{Floats, Isa, strips};
use crate::ir::{Builder, Element, F32, I8, Index, MemRef, Value};

/// What a block joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fusion {
    /// A norm with the quantiser behind it.
    pub quantise: bool,
    /// The gates with the recurrence, or with the product that makes them.
    pub gates: bool,
    /// The recurrence's output gate and norm with the quantiser behind them.
    pub output: bool,
    /// Tokens that go through the whole block together; as many as there are: no tiles.
    pub tile: usize,
}

impl Default for Fusion {
    fn default() -> Fusion {
        Fusion { quantise: true, gates: true, output: true, tile: 96 }
    }
}

impl Fusion {
    /// Nothing: one pass over the sequence for each op.
    pub const NONE: Fusion = Fusion { quantise: false, gates: false, output: false, tile: usize::MAX };

    fn name(self) -> String {
        let flag = |on: bool, c: char| if on { c.to_string() } else { String::new() };
        format!(
            "{}{}{}{}",
            flag(self.quantise, 'q'),
            flag(self.gates, 'g'),
            flag(self.output, 'o'),
            self.tile
        )
    }
}

/// The arguments of a projection: the weight of its norm (K), the bytes of its matrix, their scale (1).
pub type ProjectionArgs = (MemRef<F32, 1>, MemRef<I8, 1>, MemRef<F32, 1>);

fn projection(rows: usize, columns: usize) -> ProjectionArgs {
    let bytes = ternary::Shape::new(1, rows, columns).bytes();
    (MemRef::new(F32, [columns as i64]), MemRef::new(I8, [bytes as i64]), MemRef::new(F32, [1]))
}

type Projection = (Value<MemRef<F32, 1>>, Value<MemRef<I8, 1>>, Value<MemRef<F32, 1>>);

/// Cuts scratch into buffers.
struct Room {
    at: usize,
}

impl Room {
    fn take(&mut self, bytes: usize) -> usize {
        let at = self.at;
        self.at += bytes.next_multiple_of(64);
        at
    }
}

/// Rows of a buffer of f32 lie a little further apart than they are long, so that they do not compete for the same sets of a
/// cache.
fn padded(columns: usize) -> usize {
    columns.next_multiple_of(16) + 16
}

/// A buffer of rows: its place in the scratch and its sizes.
#[derive(Clone, Copy)]
struct Buffer {
    at: usize,
    rows: usize,
    columns: usize,
}

impl Buffer {
    fn floats(room: &mut Room, rows: usize, columns: usize) -> Buffer {
        let columns = padded(columns);
        Buffer { at: room.take(4 * rows * columns), rows, columns }
    }

    fn bytes(room: &mut Room, rows: usize, columns: usize) -> Buffer {
        Buffer { at: room.take(rows * columns), rows, columns }
    }

    fn view<E: Element>(
        self,
        b: &mut Builder,
        scratch: Value<MemRef<I8, 1>>,
        elem: E,
    ) -> Value<MemRef<E, 2>> {
        b.view(scratch, self.at, MemRef::new(elem, [self.rows as i64, self.columns as i64]), &[])
    }
}

/// What the ops on rows have in common.
#[derive(Clone, Copy)]
struct Rows {
    isa: Isa,
    fusion: Fusion,
    rounding: Rounding,
    /// eps of the norms of the block, and of those of the projections.
    eps: f32,
    inner_eps: f32,
}

impl Rows {
    /// to = norm(x) · weight for one row of each.
    fn norm(
        &self,
        b: &mut Builder,
        len: usize,
        eps: f32,
        (x, row): (Value<MemRef<F32, 2>>, Value<Index>),
        weight: Value<MemRef<F32, 1>>,
        (to, to_row): (Value<MemRef<F32, 2>>, Value<Index>),
    ) {
        let r = rstd(b, len, eps, |b, at, width| b.vector_load(x, (row, at), [width]));
        strips(b, len, self.isa.lanes(), |b, at, width| {
            let (v, w) = (b.vector_load(x, (row, at), [width]), b.vector_load(weight, at, [width]));
            let v = normed(b, v, r, w);
            b.vector_store(v, to, (to_row, at));
        });
    }

    /// 1/rms of a row, for a projection's norm.
    fn rstd(
        &self,
        b: &mut Builder,
        len: usize,
        (x, row): (Value<MemRef<F32, 2>>, Value<Index>),
    ) -> Value<F32> {
        rstd(b, len, self.inner_eps, |b, at, width| b.vector_load(x, (row, at), [width]))
    }

    /// The int8 form of norm(x) · weight for one row; its scale.
    fn quantise(
        &self,
        b: &mut Builder,
        len: usize,
        x: (Value<MemRef<F32, 2>>, Value<Index>),
        weight: Value<MemRef<F32, 1>>,
        q: (Value<MemRef<I8, 2>>, Value<Index>),
    ) -> Value<F32> {
        let r = self.rstd(b, len, x);
        self.quantise_with(b, len, x, r, weight, q)
    }

    /// The same where 1/rms is known.
    fn quantise_with(
        &self,
        b: &mut Builder,
        len: usize,
        (x, row): (Value<MemRef<F32, 2>>, Value<Index>),
        r: Value<F32>,
        weight: Value<MemRef<F32, 1>>,
        (q, q_row): (Value<MemRef<I8, 2>>, Value<Index>),
    ) -> Value<F32> {
        let load = |b: &mut Builder, at: Value<Index>, width: usize| -> Floats {
            let (v, w) = (b.vector_load(x, (row, at), [width]), b.vector_load(weight, at, [width]));
            normed(b, v, r, w)
        };
        quantize_row(b, self.isa, len, self.rounding, load, q, q_row)
    }

    /// The int8 forms of norm(x) · weight for `count` rows. Without fusion the normed rows are written out and read again.
    fn quantise_all(
        &self,
        b: &mut Builder,
        (len, count): (usize, usize),
        x: Value<MemRef<F32, 2>>,
        weight: Value<MemRef<F32, 1>>,
        between: Value<MemRef<F32, 2>>,
        q: Value<MemRef<I8, 2>>,
        scales: Value<MemRef<F32, 1>>,
    ) {
        if self.fusion.quantise {
            b.for_(0, count, 1, (), |b, t, ()| {
                let scale = self.quantise(b, len, (x, t), weight, (q, t));
                b.store(scale, scales, t);
            });
            return;
        }
        b.for_(0, count, 1, (), |b, t, ()| self.norm(b, len, self.inner_eps, (x, t), weight, (between, t)));
        b.for_(0, count, 1, (), |b, t, ()| {
            let load = |b: &mut Builder, at: Value<Index>, width: usize| -> Floats {
                b.vector_load(between, (t, at), [width])
            };
            let scale = quantize_row(b, self.isa, len, self.rounding, load, q, t);
            b.store(scale, scales, t);
        });
    }
}

/// Products of `q`, which is arranged, with the rows of a projection, scaled.
fn product(
    b: &mut Builder,
    form: &Activations,
    q: Value<MemRef<I8, 2>>,
    scales: Value<MemRef<F32, 1>>,
    (_, w, scale_w): Projection,
    rows: usize,
    mut finish: impl FnMut(&mut Builder, Place, Floats),
) {
    let scale_w = b.load(scale_w, 0);
    form.products(b, q, w, rows, |b, at, sums| {
        let scale = b.load(scales, at.token);
        let made = ternary::scaled(b, sums, scale, scale_w);
        finish(b, at, made);
    });
}

/// The residual stream: y = x + made, in rows from `first` on.
fn residual(
    b: &mut Builder,
    at: Place,
    made: Floats,
    first: Value<Index>,
    x: Value<MemRef<F32, 2>>,
    y: Value<MemRef<F32, 2>>,
) {
    let row = b.addi(first, at.token);
    let term = super::take(b, x, at.count, made.ty().lanes(), (row, at.row));
    let made = b.addf(made, term);
    super::put(b, made, at.count, y, (row, at.row));
}

/// `body(first token, tokens, which)` for every tile of `len` tokens; `which` is 0 for whole tiles and 1 for the last one.
fn tiles(
    b: &mut Builder,
    len: usize,
    tile: usize,
    mut body: impl FnMut(&mut Builder, Value<Index>, usize, usize),
) {
    let tile = tile.min(len);
    b.for_(0, len / tile, 1, (), |b, k, ()| {
        let first = b.scaled(k, tile);
        body(b, first, tile, 0);
    });
    if !len.is_multiple_of(tile) {
        let first = b.index((len / tile * tile) as i64);
        body(b, first, len % tile, 1);
    }
}
