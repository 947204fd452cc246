//! Products of int8 activations with packed trits, exact in i32, straight from the bytes of the packed layouts.
//!
//! y = (Σ x t) / s_x / s_w with Σ x t = Σ x (t + 1) − Σ x: two bits hold t + 1, which goes unsigned into the instruction that
//! multiplies bytes. The numbers are those of `engine::kernels::packed` to the last bit: sums of integers have no order, and
//! the two divisions are done in the engine's.
//!
//! Bytes of the interchange and storage layouts become codes of the compute layout's kind in registers (`decode`); their planes
//! meet activations that were laid out for them once.
//!
//! | form | where |
//! |---|---|
//! | `rows` | up to eight tokens, and all targets without AVX-512 |
//! | `panel` | nine tokens and more on AVX-512 |
//!
//! Every function takes `x` (N, K) in int8, `w`, the bytes of an (M, K) matrix, gives `y` (N, M), and ends with `scratch`, bytes
//! of memory that it may overwrite, as many as [`scratch`] says, aligned to 64. Scales are `scale_x` (N) and `scale_w` (1).

pub(crate) mod dealt;
mod decode;
mod float;
mod layout;
pub(super) mod panel;
mod rows;

use super::math::Function;
use super::{Floats, Ints, Isa, once, strips};
use crate::ir::{Builder, F32, Func, I8, I32, Index, MemRef, Module, Value};
use axes::TritLayout;
pub use float::{LinearFloat, linear_float};
pub(super) use layout::pieces;
use layout::{GROUP, Layout};
use panel::Panels;
use rows::Rows;
pub(super) use rows::scaled;

/// Tokens up to which the form for few runs.
pub const FEW: usize = 8;

/// The sizes of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// N.
    pub tokens: usize,
    /// M, outputs.
    pub rows: usize,
    /// K, inputs.
    pub columns: usize,
    /// How the trits lie; one of the packed layouts.
    pub layout: TritLayout,
}

impl Shape {
    /// A product with a matrix in the compute layout.
    pub fn new(tokens: usize, rows: usize, columns: usize) -> Shape {
        Shape { tokens, rows, columns, layout: TritLayout::Compute }
    }

    fn layout(self) -> Layout {
        Layout::new(self.layout, self.rows, self.columns)
    }

    /// Bytes of the matrix.
    pub fn bytes(self) -> usize {
        self.layout().bytes()
    }

    fn name(self, what: &str) -> String {
        let layout = if self.layout == TritLayout::Compute { "" } else { self.layout.name() };
        format!("ternary_{what}{layout}_{}x{}x{}", self.tokens, self.rows, self.columns)
    }

    fn x(self) -> MemRef<I8, 2> {
        MemRef::new(I8, [self.tokens as i64, self.columns as i64])
    }

    fn w(self) -> MemRef<I8, 1> {
        MemRef::new(I8, [self.bytes() as i64])
    }

    fn scale_x(self) -> MemRef<F32, 1> {
        MemRef::new(F32, [self.tokens as i64])
    }

    fn y<E: crate::ir::Element>(self, elem: E) -> MemRef<E, 2> {
        MemRef::new(elem, [self.tokens as i64, self.rows as i64])
    }

    fn scratch(self, isa: Isa) -> MemRef<I8, 1> {
        MemRef::new(I8, [scratch(isa, self) as i64])
    }

    fn many(self, isa: Isa) -> bool {
        isa == Isa::Avx512 && self.tokens > FEW
    }

    /// Bytes of the gate's values, of a panel of rows or of all.
    fn gate(self, isa: Isa) -> usize {
        4 * self.tokens * if self.many(isa) { panel::HEIGHT } else { self.rows }
    }
}

/// The type of scales of a matrix.
fn one() -> MemRef<F32, 1> {
    MemRef::new(F32, [1])
}

/// Bytes of scratch that a product of this shape takes.
pub fn scratch(isa: Isa, shape: Shape) -> usize {
    arranged_in(shape.layout, isa, shape.tokens, shape.columns) + shape.gate(isa).next_multiple_of(64)
}

/// What the ops behind a sum know of it.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) token: Value<Index>,
    pub(super) row: Value<Index>,
    /// Rows that count, from the first on.
    pub(super) count: usize,
}

/// Takes sums.
type Finish<'a> = dyn FnMut(&mut Builder, Place, Ints) + 'a;

/// The activations of a pass in the form in which they meet matrices.
pub(super) enum Activations {
    Rows(Rows),
    Panels(Panels),
}

impl Activations {
    /// Takes room on the stack, and in `scratch` from byte `from` on ([`arranged`] bytes), for `tokens` by `columns`; not in a
    /// loop.
    pub(super) fn new(
        b: &mut Builder,
        isa: Isa,
        (tokens, columns): (usize, usize),
        scratch: Value<MemRef<I8, 1>>,
        from: usize,
    ) -> Activations {
        Activations::of(b, isa, TritLayout::Compute, (tokens, columns), scratch, from)
    }

    /// The same for a matrix in any packed layout ([`arranged_in`] bytes).
    fn of(
        b: &mut Builder,
        isa: Isa,
        layout: TritLayout,
        (tokens, columns): (usize, usize),
        scratch: Value<MemRef<I8, 1>>,
        from: usize,
    ) -> Activations {
        let l = Layout::new(layout, 0, columns);
        if isa == Isa::Avx512 && tokens > FEW {
            Activations::Panels(Panels::new(b, l, tokens, scratch, from))
        } else {
            Activations::Rows(Rows::new(b, isa, l, tokens, scratch, from))
        }
    }

    /// Arranges `x`, (N, K).
    pub(super) fn arrange(&self, b: &mut Builder, x: Value<MemRef<I8, 2>>) {
        match self {
            Activations::Rows(rows) => rows.arrange(b, x),
            Activations::Panels(panels) => panels.arrange(b, x),
        }
    }

    /// The products of `x`, which was arranged last, with the `rows` rows of `w`; `finish` takes the sums of neighbouring rows of
    /// one token.
    pub(super) fn products(
        &self,
        b: &mut Builder,
        x: Value<MemRef<I8, 2>>,
        w: Value<MemRef<I8, 1>>,
        rows: usize,
        mut finish: impl FnMut(&mut Builder, Place, Ints),
    ) {
        match self {
            Activations::Rows(form) => form.products(b, x, w, rows, &mut finish),
            Activations::Panels(panels) => panels.matrix(b, rows, |b, first, rows| {
                panels.product(b, w, first, rows, &mut finish);
            }),
        }
    }
}

/// Bytes of scratch of [`Activations`].
pub(super) fn arranged(isa: Isa, tokens: usize, columns: usize) -> usize {
    arranged_in(TritLayout::Compute, isa, tokens, columns)
}

fn arranged_in(layout: TritLayout, isa: Isa, tokens: usize, columns: usize) -> usize {
    let l = Layout::new(layout, 0, columns);
    if isa == Isa::Avx512 && tokens > FEW { panel::scratch(&l, tokens) } else { rows::scratch(&l, tokens) }
}

/// The ops of a product.
fn products(
    b: &mut Builder,
    isa: Isa,
    shape: Shape,
    (x, w, scratch): (Value<MemRef<I8, 2>>, Value<MemRef<I8, 1>>, Value<MemRef<I8, 1>>),
    finish: impl FnMut(&mut Builder, Place, Ints),
) {
    let form = Activations::of(b, isa, shape.layout, (shape.tokens, shape.columns), scratch, 0);
    form.arrange(b, x);
    form.products(b, x, w, shape.rows, finish);
}

/// Writes the lanes that count.
fn put<E: crate::ir::Element>(
    b: &mut Builder,
    at: Place,
    value: Value<crate::ir::Vector<E>>,
    y: Value<MemRef<E, 2>>,
) {
    super::put(b, value, at.count, y, (at.token, at.row));
}

/// A private function `(x, w, y, scratch)`: y = Σ x t in i32.
pub fn sums(
    m: &mut Module,
    isa: Isa,
    shape: Shape,
) -> Func<(MemRef<I8, 2>, MemRef<I8, 1>, MemRef<I32, 2>, MemRef<I8, 1>), ()> {
    let name = shape.name("sums");
    let args = (shape.x(), shape.w(), shape.y(I32), shape.scratch(isa));
    once(m, &name, args, |m| {
        m.function(super::private(&name), args, |b, (x, w, y, scratch)| {
            products(b, isa, shape, (x, w, scratch), |b, at, sums| put(b, at, sums, y));
        })
    })
}

/// The arguments of [`linear`].
pub type Linear =
    (MemRef<I8, 2>, MemRef<F32, 1>, MemRef<I8, 1>, MemRef<F32, 1>, MemRef<F32, 2>, MemRef<I8, 1>);

/// A private function `(x, scale_x, w, scale_w, y, scratch)`: y = (Σ x t) / s_x / s_w.
pub fn linear(m: &mut Module, isa: Isa, shape: Shape) -> Func<Linear, ()> {
    let name = shape.name("linear");
    let args = (shape.x(), shape.scale_x(), shape.w(), one(), shape.y(F32), shape.scratch(isa));
    once(m, &name, args, |m| {
        m.function(super::private(&name), args, |b, (x, scale_x, w, scale_w, y, scratch)| {
            let scale_w = b.load(scale_w, 0);
            products(b, isa, shape, (x, w, scratch), |b, at, sums| {
                let scale_x = b.load(scale_x, at.token);
                let made = scaled(b, sums, scale_x, scale_w);
                put(b, at, made, y);
            });
        })
    })
}

/// The arguments of [`linear_add`].
pub type LinearAdd = (
    MemRef<I8, 2>,
    MemRef<F32, 1>,
    MemRef<I8, 1>,
    MemRef<F32, 1>,
    MemRef<F32, 2>,
    MemRef<F32, 2>,
    MemRef<I8, 1>,
);

/// A private function `(x, scale_x, w, scale_w, term, y, scratch)`: y = (Σ x t) / s_x / s_w + term; y and term, which is (N, M),
/// may be one memref.
pub fn linear_add(m: &mut Module, isa: Isa, shape: Shape) -> Func<LinearAdd, ()> {
    let name = shape.name("linear_add");
    let y = shape.y(F32);
    let args = (shape.x(), shape.scale_x(), shape.w(), one(), y, y, shape.scratch(isa));
    once(m, &name, args, |m| {
        m.function(super::private(&name), args, |b, (x, scale_x, w, scale_w, term, y, scratch)| {
            let scale_w = b.load(scale_w, 0);
            products(b, isa, shape, (x, w, scratch), |b, at, sums| {
                let scale_x = b.load(scale_x, at.token);
                let made = scaled(b, sums, scale_x, scale_w);
                let term = super::take(b, term, at.count, made.ty().lanes(), (at.token, at.row));
                let made = b.addf(made, term);
                put(b, at, made, y);
            });
        })
    })
}

/// The arguments of [`linear_gated`].
pub type LinearGated = (
    MemRef<I8, 2>,
    MemRef<F32, 1>,
    MemRef<I8, 1>,
    MemRef<F32, 1>,
    MemRef<I8, 1>,
    MemRef<F32, 1>,
    MemRef<F32, 2>,
    MemRef<I8, 1>,
);

/// A private function `(x, scale_x, gate, gate's scale, up, up's scale, y, scratch)`: y = function(x gate) · (x up), both
/// products as in [`linear`]. For many tokens, the gate of 32 rows is still in the first-level cache when it is multiplied.
pub fn linear_gated(m: &mut Module, isa: Isa, shape: Shape, function: Function) -> Func<LinearGated, ()> {
    let name = shape.name(&format!("linear_{}", function.name()));
    let args =
        (shape.x(), shape.scale_x(), shape.w(), one(), shape.w(), one(), shape.y(F32), shape.scratch(isa));
    once(m, &name, args, |m| {
        m.function(
            super::private(&name),
            args,
            |b, (x, scale_x, gate, gate_scale, up, up_scale, y, scratch)| {
                let scales = [b.load(gate_scale, 0), b.load(up_scale, 0)];
                let kept = arranged_in(shape.layout, isa, shape.tokens, shape.columns);
                if !shape.many(isa) {
                    let gates = b.view(scratch, kept, shape.y(F32), &[]);
                    for (w, scale, to) in [(gate, scales[0], gates), (up, scales[1], y)] {
                        products(b, isa, shape, (x, w, scratch), |b, at, sums| {
                            let scale_x = b.load(scale_x, at.token);
                            let made = scaled(b, sums, scale_x, scale);
                            put(b, at, made, to);
                        });
                    }
                    b.for_(0, shape.tokens, 1, (), |b, t, ()| {
                        strips(b, shape.rows, isa.lanes(), |b, at, width| {
                            let (gate, up) =
                                (b.vector_load(gates, (t, at), [width]), b.vector_load(y, (t, at), [width]));
                            let gate = function.emit(b, gate);
                            let made = b.mulf(gate, up);
                            b.vector_store(made, y, (t, at));
                        });
                    });
                    return;
                }
                let gates =
                    b.view(scratch, kept, MemRef::new(F32, [shape.tokens as i64, panel::HEIGHT as i64]), &[]);
                let panels = Panels::new(b, shape.layout(), shape.tokens, scratch, 0);
                panels.arrange(b, x);
                panels.matrix(b, shape.rows, |b, first, rows| {
                    panels.product(b, gate, first, rows, &mut |b, Place { token, row, .. }, sums| {
                        let scale_x = b.load(scale_x, token);
                        let made = scaled(b, sums, scale_x, scales[0]);
                        let made = function.emit(b, made);
                        let column = b.subi(row, first);
                        b.vector_store(made, gates, (token, column));
                    });
                    panels.product(b, up, first, rows, &mut |b, at, sums| {
                        let Place { token, row, .. } = at;
                        let scale_x = b.load(scale_x, token);
                        let made = scaled(b, sums, scale_x, scales[1]);
                        let column = b.subi(row, first);
                        let gate: Floats = b.vector_load(gates, (token, column), [16]);
                        let made = b.mulf(gate, made);
                        put(b, at, made, y);
                    });
                });
            },
        )
    })
}

/// Rows of a group of the layout, for those who cut matrices.
pub const ROWS: usize = GROUP;
