//! Products of f32 matrices: C = A · B, and the two forms that a backward pass needs.
//!
//! After Goto & van de Geijn 2008 ("Anatomy of high-performance matrix multiplication"): columns of B are packed in panels of two
//! vectors, rows of A in panels of as many rows as the registers hold sums for, depth in spans that keep a panel of B in the
//! first-level cache and the rows of A in the second-level one. Transposed operands are packed from where they lie, so all forms
//! run one micro-kernel. Sums go over the depth in order within a span, spans are added in order: the same numbers for every
//! shape of the rest.

use super::{Floats, Isa, once, private};
use crate::ir::{Builder, F32, Func, I8, Index, MemRef, Module, Value, Vector};

/// Vectors of columns of a micro-kernel.
const VECTORS: usize = 2;
/// Depth of a span.
const DEPTH: usize = 256;
/// Rows of A that are packed together: with [`DEPTH`], half of a second-level cache.
const BLOCK: usize = 240;

/// The sizes of a product, C (M, N) = A (M, K) · B (K, N), and how its operands lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// M.
    pub rows: usize,
    /// K.
    pub depth: usize,
    /// N.
    pub columns: usize,
    /// A lies as (K, M).
    pub a_transposed: bool,
    /// B lies as (N, K), as the weights of a linear layer do.
    pub b_transposed: bool,
    /// C += A · B.
    pub add: bool,
}

impl Shape {
    /// Elements between the rows of A and of B as they lie, where nothing lies between them.
    pub fn pitches(self) -> [usize; 2] {
        let Shape { rows, depth, columns, a_transposed, b_transposed, .. } = self;
        [if a_transposed { rows } else { depth }, if b_transposed { depth } else { columns }]
    }

    /// The types of A and B with such distances between their rows.
    pub fn operands(self, pitches: [usize; 2]) -> [MemRef<F32, 2>; 2] {
        let of = |flip: bool, r: usize, c: usize, pitch: usize| {
            let (r, c) = if flip { (c, r) } else { (r, c) };
            let whole = MemRef::new(F32, [r as i64, c as i64]);
            if pitch == c { whole } else { whole.strided(0, [pitch as i64, 1]) }
        };
        [
            of(self.a_transposed, self.rows, self.depth, pitches[0]),
            of(self.b_transposed, self.depth, self.columns, pitches[1]),
        ]
    }

    fn width(self, isa: Isa) -> usize {
        VECTORS * isa.lanes()
    }

    /// Rows of a micro-kernel: sums, two vectors of B and one of A fit the registers.
    fn height(self, isa: Isa) -> usize {
        if isa.registers() == 16 { 6 } else { 12 }
    }

    fn span(self) -> usize {
        self.depth.clamp(1, DEPTH)
    }

    fn block(self, isa: Isa) -> usize {
        let height = self.height(isa);
        self.rows.next_multiple_of(height).min(BLOCK / height * height)
    }

    fn packed_a(self, isa: Isa) -> usize {
        4 * self.span() * self.block(isa)
    }

    fn packed_b(self, isa: Isa) -> usize {
        4 * self.span() * self.columns.next_multiple_of(self.width(isa))
    }

    /// Bytes of scratch.
    pub fn scratch(self, isa: Isa) -> usize {
        (self.packed_a(isa) + self.packed_b(isa)).next_multiple_of(64).max(64)
    }
}

/// (A, B, C, scratch).
pub type Product = (MemRef<F32, 2>, MemRef<F32, 2>, MemRef<F32, 2>, MemRef<I8, 1>);

/// A private function `(a, b, c, scratch)`: c = a · b, or c += a · b; `a` is (M, K) or (K, M), `b` (K, N) or (N, K), `c` (M, N).
pub fn product(m: &mut Module, isa: Isa, shape: Shape) -> Func<Product, ()> {
    product_of_rows(m, isa, shape, shape.pitches())
}

/// [`product`] of matrices that are part of larger ones: the rows of `a` and of `b`, as they lie, begin so many elements apart.
pub fn product_of_rows(m: &mut Module, isa: Isa, shape: Shape, pitches: [usize; 2]) -> Func<Product, ()> {
    let Shape { rows, depth, columns, a_transposed, b_transposed, add } = shape;
    let mark = |on: bool, c: &str| if on { c.to_owned() } else { String::new() };
    let apart = mark(pitches != shape.pitches(), &format!("_rows_{}_{}", pitches[0], pitches[1]));
    let name = format!(
        "dense_{rows}x{depth}x{columns}{}{}{}{apart}",
        mark(a_transposed, "_at"),
        mark(b_transposed, "_bt"),
        mark(add, "_add")
    );
    let [a, b] = shape.operands(pitches);
    let c = MemRef::new(F32, [rows as i64, columns as i64]);
    let args = (a, b, c, MemRef::new(I8, [shape.scratch(isa) as i64]));
    once(m, &name, args, |m| {
        m.function(private(&name), args, |b, (left, right, c, scratch)| {
            if depth == 0 {
                return;
            }
            let panels = |bytes: usize| MemRef::new(F32, [bytes as i64 / 4]);
            let a = b.view(scratch, 0, panels(shape.packed_a(isa)), &[]);
            let own = b.view(scratch, shape.packed_a(isa), panels(shape.packed_b(isa)), &[]);
            let work = Work { isa, shape, left, right, c, a, b: own };
            let spans = |b: &mut Builder, from: Value<Index>, count: usize, first: bool| {
                work.span(b, from, count, first)
            };
            let (span, zero) = (shape.span(), b.index(0));
            // The first span sets, unless C is added to.
            spans(b, zero, span, !add);
            if depth > span {
                b.for_(span, depth / span * span, span, (), |b, from, ()| spans(b, from, span, false));
            }
            if depth % span > 0 {
                let from = b.index((depth / span * span) as i64);
                spans(b, from, depth % span, false);
            }
        })
    })
}

struct Work {
    isa: Isa,
    shape: Shape,
    left: Value<MemRef<F32, 2>>,
    right: Value<MemRef<F32, 2>>,
    c: Value<MemRef<F32, 2>>,
    a: Value<MemRef<F32, 1>>,
    b: Value<MemRef<F32, 1>>,
}

/// Every group of `size` among `len`: (first, how many), the last one shorter.
fn groups(b: &mut Builder, len: usize, size: usize, mut body: impl FnMut(&mut Builder, Value<Index>, usize)) {
    if len / size > 0 {
        b.for_(0, len / size * size, size, (), |b, first, ()| body(b, first, size));
    }
    if !len.is_multiple_of(size) {
        let first = b.index((len / size * size) as i64);
        body(b, first, len % size);
    }
}

impl Work {
    /// C's part of the depth from `from` on, `count` steps of it.
    fn span(&self, b: &mut Builder, from: Value<Index>, count: usize, set: bool) {
        let s = self.shape;
        let (width, height) = (s.width(self.isa), s.height(self.isa));
        groups(b, s.columns, width, |b, first, columns| {
            let at = b.scaled(first, count);
            self.pack(b, (self.right, s.b_transposed), (self.b, at), (from, count), (first, columns, width));
        });
        groups(b, s.rows, s.block(self.isa), |b, block, rows| {
            groups(b, rows, height, |b, first, own| {
                let at = b.scaled(first, count);
                let row = b.addi(block, first);
                self.pack(b, (self.left, !s.a_transposed), (self.a, at), (from, count), (row, own, height));
            });
            groups(b, s.columns, width, |b, column, columns| {
                groups(b, rows, height, |b, first, own| {
                    let row = b.addi(block, first);
                    let (a, packed) = (b.scaled(first, count), b.scaled(column, count));
                    self.micro(b, (a, packed, count), (row, own), (column, columns), set);
                });
            });
        });
    }

    /// Packs `own` neighbours (padded with zeros to `all`) for every step of the depth. The operand lies depth-major, or, where
    /// `across`, with the depth along its rows.
    fn pack(
        &self,
        b: &mut Builder,
        (from, across): (Value<MemRef<F32, 2>>, bool),
        (to, at): (Value<MemRef<F32, 1>>, Value<Index>),
        (start, count): (Value<Index>, usize),
        (first, own, all): (Value<Index>, usize, usize),
    ) {
        let zero = b.constant(F32, 0.0);
        if !across {
            b.for_(0, count, 1, (), |b, k, ()| {
                let (depth, place) = (b.addi(start, k), b.scaled(k, all));
                let place = b.addi(at, place);
                for (part, len) in super::ternary::pieces(own, self.isa.lanes()) {
                    let (column, to_place) = (b.offset(first, part), b.offset(place, part));
                    let v = b.vector_load(from, (depth, column), [len]);
                    b.vector_store(v, to, to_place);
                }
                for lack in own..all {
                    let place = b.offset(place, lack);
                    b.store(zero, to, place);
                }
            });
            return;
        }
        // Squares of four by four are transposed in registers.
        let whole = count / 4 * 4;
        for group in (0..all).step_by(4) {
            let rows: Vec<Option<Value<Index>>> =
                (group..group + 4).map(|r| (r < own).then(|| b.offset(first, r))).collect();
            b.for_(0, whole, 4, (), |b, k, ()| {
                let (depth, place) = (b.addi(start, k), b.scaled(k, all));
                let place = b.addi(at, place);
                let none = b.float(Vector::new(F32, [4]), 0.0);
                let x: Vec<Floats> = rows
                    .iter()
                    .map(|row| row.map_or(none, |row| b.vector_load(from, (row, depth), [4])))
                    .collect();
                for (step, v) in transposed(b, [x[0], x[1], x[2], x[3]]).into_iter().enumerate() {
                    let place = b.offset(place, step * all + group);
                    b.vector_store(v, to, place);
                }
            });
            for k in whole..count {
                let depth = b.offset(start, k);
                for (r, row) in rows.iter().enumerate() {
                    let v = row.map_or(zero, |row| b.load(from, (row, depth)));
                    let place = b.offset(at, k * all + group + r);
                    b.store(v, to, place);
                }
            }
        }
    }

    /// `own` rows by `columns` columns of C.
    fn micro(
        &self,
        b: &mut Builder,
        (a, packed, count): (Value<Index>, Value<Index>, usize),
        (row, own): (Value<Index>, usize),
        (column, columns): (Value<Index>, usize),
        set: bool,
    ) {
        let (lanes, height) = (self.isa.lanes(), self.shape.height(self.isa));
        let vectors = columns.div_ceil(lanes);
        let width = VECTORS * lanes;
        let ty = Vector::new(F32, [lanes]);
        let zero = b.float(ty, 0.0);
        let sums = b.for_(0, count, 1, vec![zero; own * vectors], |b, k, mut sums| {
            let (a_at, b_at) = (b.scaled(k, height), b.scaled(k, width));
            let (a_at, b_at) = (b.addi(a, a_at), b.addi(packed, b_at));
            let right: Vec<Floats> = (0..vectors)
                .map(|v| {
                    let at = b.offset(b_at, v * lanes);
                    b.vector_load(self.b, at, [lanes])
                })
                .collect();
            for r in 0..own {
                let at = b.offset(a_at, r);
                let left = b.load(self.a, at);
                let left = b.broadcast(left, ty);
                for (v, right) in right.iter().enumerate() {
                    let sum = &mut sums[r * vectors + v];
                    *sum = b.fma(left, *right, *sum);
                }
            }
            sums
        });
        for r in 0..own {
            let row = b.offset(row, r);
            for v in 0..vectors {
                let column = b.offset(column, v * lanes);
                let here = (columns - v * lanes).min(lanes);
                let mut made = sums[r * vectors + v];
                if !set {
                    let old = super::take(b, self.c, here, lanes, (row, column));
                    made = b.addf(old, made);
                }
                super::put(b, made, here, self.c, (row, column));
            }
        }
    }
}

/// The transpose of four vectors of four.
fn transposed(b: &mut Builder, x: [Floats; 4]) -> [Floats; 4] {
    let pairs = [(0, 1, [0, 4, 1, 5]), (0, 1, [2, 6, 3, 7]), (2, 3, [0, 4, 1, 5]), (2, 3, [2, 6, 3, 7])]
        .map(|(i, j, mask)| b.shuffle(x[i], x[j], &mask));
    [(0, 2, [0, 1, 4, 5]), (0, 2, [2, 3, 6, 7]), (1, 3, [0, 1, 4, 5]), (1, 3, [2, 3, 6, 7])]
        .map(|(i, j, mask)| b.shuffle(pairs[i], pairs[j], &mask))
}
