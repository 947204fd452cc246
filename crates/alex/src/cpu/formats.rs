//! Products with, and rows of, matrices in the block formats of model files, with the engine's bits.
//!
//! What is computed is `graph::ops::blocks::BlockLinear`: activations become int8 by blocks, sums of integers are exact, and the
//! few f32 operations behind them have one order. A stretch of 256 columns of a row is unpacked in registers and meets up to
//! four tokens; the sums of a unit are added across lanes together with those of its neighbours, and become neighbouring lanes
//! of the partial sums.

mod codes;
mod rows;

use super::norm::{Rounding, max_terms, to_bytes, tree};
use super::{Bytes, Floats, Ints, Isa, strips};
use crate::ir::{Builder, CmpF, F32, I8, I32, Index, MemRef, Value, Vector};
use axes::BlockFormat;
use codes::{Matrix, STRETCH, WIDTH};
use graph::ops::blocks::Units;
pub use rows::decode;
use rows::floats;

/// Tokens that share an unpacked stretch.
const TOKENS: usize = 4;

/// The sizes of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// How the matrix lies.
    pub format: BlockFormat,
    /// N.
    pub tokens: usize,
    /// M, outputs.
    pub rows: usize,
    /// K, inputs.
    pub columns: usize,
}

impl Shape {
    fn units(self) -> Units {
        Units::new(self.format, self.columns)
    }

    /// Bytes of a row.
    fn row_bytes(self) -> usize {
        self.columns / self.format.block() * self.format.block_bytes()
    }

    /// Bytes of the matrix.
    pub fn bytes(self) -> usize {
        self.rows * self.row_bytes()
    }

    /// Whether activations are laid out as the bytes have their numbers. Where a unit is a part of a block, codes are put in the
    /// order of the columns instead.
    fn is_arranged(self) -> bool {
        codes::neighbours(self.format) > 1 && self.units().activations == STRETCH
    }

    /// Activations whose sum is needed: those that share an integer scale or offset.
    fn group(self) -> usize {
        match self.format {
            BlockFormat::Q6K => 16,
            BlockFormat::Q4K => 32,
            _ => self.units().unit,
        }
    }

    /// Bytes of int8 activations, of their scales and of their sums.
    fn parts(self) -> [usize; 3] {
        if self.format.block() == 1 {
            return [0; 3];
        }
        let n = self.tokens * self.columns;
        [n, 4 * n / self.units().activations, 4 * n / self.group()].map(|bytes| bytes.next_multiple_of(64))
    }

    /// Bytes of scratch.
    pub fn scratch(self) -> usize {
        self.parts().iter().sum::<usize>().max(64)
    }
}

/// Int8 activations.
struct Activations {
    q: Value<MemRef<I8, 2>>,
    scales: Value<MemRef<F32, 2>>,
    sums: Value<MemRef<I32, 2>>,
}

/// The ops of a product: y (N, M) = x (N, K) · w (M, K); `scratch` has [`Shape::scratch`] bytes.
pub fn linear(
    b: &mut Builder,
    isa: Isa,
    shape: Shape,
    (x, w, y): (Value<MemRef<F32, 2>>, Matrix, Value<MemRef<F32, 2>>),
    scratch: Value<MemRef<I8, 1>>,
) {
    if shape.format.block() == 1 {
        return floats(b, shape, (x, w, y));
    }
    let (n, k) = (shape.tokens as i64, shape.columns as i64);
    let [q, scales, _] = shape.parts();
    let (units, group) = (shape.units(), shape.group() as i64);
    let each = k / units.activations as i64;
    let given = Activations {
        q: b.view(scratch, 0, MemRef::new(I8, [n, k]), &[]),
        scales: b.view(scratch, q, MemRef::new(F32, [n, each]), &[]),
        sums: b.view(scratch, q + scales, MemRef::new(I32, [n, k / group]), &[]),
    };
    let room = b.alloca(MemRef::new(I8, [units.activations as i64]), &[]);
    let kernel = Kernel { isa, shape, w, y, given };
    kernel.quantise(b, x, room);
    b.for_(0, shape.rows, 1, (), |b, row, ()| {
        let whole = shape.tokens / TOKENS * TOKENS;
        if whole > 0 {
            b.for_(0, whole, TOKENS, (), |b, token, ()| kernel.row(b, row, token, TOKENS));
        }
        if shape.tokens > whole {
            let token = b.index(whole as i64);
            kernel.row(b, row, token, shape.tokens - whole);
        }
    });
}

struct Kernel {
    isa: Isa,
    shape: Shape,
    w: Matrix,
    y: Value<MemRef<F32, 2>>,
    given: Activations,
}

impl Kernel {
    /// Int8 activations in the order of the codes, with scales and sums.
    fn quantise(&self, b: &mut Builder, x: Value<MemRef<F32, 2>>, room: Value<MemRef<I8, 1>>) {
        let Shape { format, tokens, columns, .. } = self.shape;
        let (units, group) = (self.shape.units(), self.shape.group());
        let size = units.activations;
        b.for_(0, tokens, 1, (), |b, t, ()| {
            b.for_(0, columns / size, 1, (), |b, i, ()| {
                let from = b.scaled(i, size);
                let peak = max_terms(b, self.isa, size, |b, at, width| {
                    let at = b.addi(from, at);
                    let v = b.vector_load(x, (t, at), [width]);
                    b.absf(v)
                });
                let most = b.constant(F32, 127.0);
                let scale = b.divf(peak, most);
                b.store(scale, self.given.scales, (t, i));
                strips(b, size, self.isa.lanes(), |b, at, width| {
                    let place = b.addi(from, at);
                    let v = b.vector_load(x, (t, place), [width]);
                    let by = b.broadcast(scale, v.ty());
                    let scaled = b.divf(v, by);
                    let bytes = to_bytes(b, scaled, Rounding::HalfEven);
                    let zero = b.float(v.ty(), 0.0);
                    let none = b.cmpf(CmpF::Oeq, by, zero);
                    let zeros = b.int(bytes.ty(), 0);
                    let bytes = b.select(none, zeros, bytes);
                    b.vector_store(bytes, room, at);
                });
                let step = codes::neighbours(format);
                if !self.shape.is_arranged() {
                    strips(b, size, 64, |b, at, width| {
                        let v = b.vector_load(room, at, [width]);
                        let to = b.addi(from, at);
                        b.vector_store(v, self.given.q, (t, to));
                    });
                    return;
                }
                // Blocks of 16 · step numbers.
                b.for_(0, size, 1, (), |b, at, ()| {
                    let v = b.load(room, at);
                    let place = b.addi(from, at);
                    let whole = b.index((16 * step) as i64);
                    let (block, n) = (b.divui(place, whole), b.remui(place, whole));
                    let step = b.index(step as i64);
                    let (run, byte) = (b.remui(n, step), b.divui(n, step));
                    let to = b.muli(block, whole);
                    let run = b.scaled(run, 16);
                    let to = b.addi(to, run);
                    let to = b.addi(to, byte);
                    b.store(v, self.given.q, (t, to));
                });
            });
            // Sums over what is laid out: a unit of whole blocks has the same numbers in either order.
            b.for_(0, columns / group, 1, (), |b, g, ()| {
                let from = b.scaled(g, group);
                let width = group.min(WIDTH);
                let zero = b.constant(I32, 0);
                let sum = b.for_(0, group, width, zero, |b, at, sum| {
                    let at = b.addi(from, at);
                    let v = b.vector_load(self.given.q, (t, at), [width]);
                    let wide = b.extsi(v, I32);
                    let part = b.reduction(crate::ir::Combine::Add, wide);
                    b.addi(sum, part)
                });
                b.store(sum, self.given.sums, (t, g));
            });
        });
    }

    /// One row by `width` tokens.
    fn row(&self, b: &mut Builder, row: Value<Index>, token: Value<Index>, width: usize) {
        let Shape { format, columns, .. } = self.shape;
        let Units { unit, partials, .. } = self.shape.units();
        let base = b.scaled(row, self.shape.row_bytes());
        let tokens: Vec<Value<Index>> = (0..width).map(|t| b.offset(token, t)).collect();
        let zero = b.float(codes::floats_of(partials), 0.0);
        // So many stretches fill the partial sums.
        let turn = (partials * unit / STRETCH).max(1);
        let whole = columns / (turn * STRETCH);
        let bytes = STRETCH / format.block() * format.block_bytes();
        let mut sums = b.for_(0, whole, 1, vec![zero; width], |b, i, mut sums| {
            let first = b.scaled(i, turn);
            for k in 0..turn {
                let stretch = b.offset(first, k);
                let at = b.scaled(stretch, bytes);
                let at = b.addi(base, at);
                self.stretch(b, (stretch, at, STRETCH), &tokens, k, &mut sums);
            }
            sums
        });
        let mut left = columns - whole * turn * STRETCH;
        let mut k = 0;
        while left > 0 {
            let (stretch, len) = (whole * turn + k, left.min(STRETCH));
            let at = b.offset(base, stretch * bytes);
            let stretch = b.index(stretch as i64);
            self.stretch(b, (stretch, at, len), &tokens, k, &mut sums);
            (left, k) = (left - len, k + 1);
        }
        for (sum, token) in sums.into_iter().zip(tokens) {
            let made = tree(b, sum);
            b.store(made, self.y, (token, row));
        }
    }

    /// `len` columns of a row; their units are added to the partial sums from number `turn` · units on.
    fn stretch(
        &self,
        b: &mut Builder,
        (stretch, at, len): (Value<Index>, Value<Index>, usize),
        tokens: &[Value<Index>],
        turn: usize,
        sums: &mut [Floats],
    ) {
        let format = self.shape.format;
        let Units { unit, partials, activations } = self.shape.units();
        let mut own = codes::codes(b, format, self.w, at, len);
        if !self.shape.is_arranged() {
            own = codes::in_order(b, format, own);
        }
        let d = codes::scales(b, format, self.w, at, (len, unit));
        let inner = matches!(format, BlockFormat::Q4K | BlockFormat::Q6K)
            .then(|| codes::groups(b, format, self.w, at));
        let minimum = (format == BlockFormat::Q4K).then(|| codes::minimum(b, self.w, at));
        let (gain, offset) = codes::meaning(format);
        let (column, group) = (b.scaled(stretch, STRETCH), self.shape.group());
        let first_group = b.scaled(stretch, STRETCH / group);
        let units = len / unit;
        for (t, token) in tokens.iter().enumerate() {
            let parts: Vec<Ints> = own
                .iter()
                .enumerate()
                .map(|(v, codes)| {
                    let at = b.offset(column, WIDTH * v);
                    let x = b.vector_load(self.given.q, (*token, at), [WIDTH]);
                    let sum = self.dot(b, *codes, x);
                    match inner {
                        Some((s, _)) => {
                            let per = WIDTH / group;
                            let index: Vec<usize> = (0..8).map(|lane| per * v + lane * per / 8).collect();
                            let s = b.shuffle(s, s, &index);
                            b.muli(sum, s)
                        }
                        None => sum,
                    }
                })
                .collect();
            let each = parts.len() / units;
            let own: Vec<Ints> = parts
                .chunks_exact(each)
                .map(|p| p[1..].iter().fold(p[0], |sum, part| b.addi(sum, *part)))
                .collect();
            let mut plus = across(b, own);
            if gain != 1 {
                let by = b.int(plus.ty(), gain);
                plus = b.muli(plus, by);
            }
            let groups = b.vector_load(self.given.sums, (*token, first_group), [len / group]);
            if offset != 0 {
                let less = match inner {
                    Some((s, _)) => {
                        let product = b.muli(s, groups);
                        let sum = b.reduction(crate::ir::Combine::Add, product);
                        b.broadcast(sum, plus.ty())
                    }
                    None => groups,
                };
                let by = b.int(plus.ty(), offset);
                let less = b.muli(less, by);
                plus = b.subi(plus, less);
            }
            let scale = if activations == STRETCH {
                let scale = b.load(self.given.scales, (*token, stretch));
                b.broadcast(scale, d.ty())
            } else {
                let from = b.scaled(stretch, STRETCH / activations);
                let all = b.vector_load(self.given.scales, (*token, from), [len / activations]);
                let index: Vec<usize> = (0..units).map(|u| u * unit / activations).collect();
                b.shuffle(all, all, &index)
            };
            let by = b.mulf(d, scale);
            let plus = b.sitofp(plus, F32);
            let mut value = b.mulf(by, plus);
            if let (Some(m), Some((_, Some(z)))) = (minimum, inner) {
                let product = b.muli(z, groups);
                let minus = b.reduction(crate::ir::Combine::Add, product);
                let minus = b.broadcast(minus, Vector::new(I32, [1]));
                let minus = b.sitofp(minus, F32);
                let by = b.mulf(m, scale);
                let less = b.mulf(by, minus);
                value = b.subf(value, less);
            }
            // Unit u of the row goes to partial sum u modulo their number.
            for from in (0..units).step_by(partials) {
                let count = (units - from).min(partials);
                let part =
                    if count == units { value } else { b.extract_strided_slice(value, [from], [count]) };
                let lane = (turn * (STRETCH / unit) + from) % partials;
                let sum = &mut sums[t];
                if count == partials {
                    *sum = b.addf(*sum, part);
                } else {
                    let old = b.extract_strided_slice(*sum, [lane], [count]);
                    let new = b.addf(old, part);
                    *sum = b.insert_strided_slice(new, *sum, [lane]);
                }
            }
        }
    }

    /// Sums of products of four neighbours: lane i has numbers 4 i to 4 i + 3.
    fn dot(&self, b: &mut Builder, codes: Bytes, x: Bytes) -> Ints {
        let ints = Vector::new(I32, [WIDTH / 4]);
        if matches!(self.isa, Isa::Avx512 | Isa::AvxVnni) {
            let zero = b.int(ints, 0);
            return b.intrinsic("llvm.x86.avx512.vpdpbusd.256", (zero, codes, x), ints);
        }
        let (codes, x) = (b.extui(codes, I32), b.extsi(x, I32));
        let mut sums = b.muli(codes, x);
        while sums.ty().lanes() > WIDTH / 4 {
            sums = halved(b, sums);
        }
        sums
    }
}

/// Neighbouring lanes added.
fn halved(b: &mut Builder, x: Ints) -> Ints {
    let half = x.ty().lanes() / 2;
    let [even, odd] = [0, 1].map(|k| (0..half).map(|i| 2 * i + k).collect::<Vec<_>>());
    let (even, odd) = (b.shuffle(x, x, &even), b.shuffle(x, x, &odd));
    b.addi(even, odd)
}

/// The sum of the lanes of each vector, eight lanes each, at most eight vectors.
fn across(b: &mut Builder, mut rows: Vec<Ints>) -> Ints {
    let count = rows.len();
    // Lanes of each sum that is left.
    let mut lanes = rows[0].ty().lanes();
    if !count.is_power_of_two() {
        let zero = b.int(rows[0].ty(), 0);
        rows.resize(count.next_power_of_two(), zero);
    }
    while rows.len() > 1 {
        rows = rows
            .chunks_exact(2)
            .map(|p| {
                let all = p[0].ty().lanes();
                let [even, odd] = [0, 1].map(|k| (0..all).map(|i| 2 * i + k).collect::<Vec<_>>());
                let (even, odd) = (b.shuffle(p[0], p[1], &even), b.shuffle(p[0], p[1], &odd));
                b.addi(even, odd)
            })
            .collect();
        lanes /= 2;
    }
    let mut sum = rows[0];
    while lanes > 1 {
        sum = halved(b, sum);
        lanes /= 2;
    }
    if sum.ty().lanes() > count { b.extract_strided_slice(sum, [0], [count]) } else { sum }
}
