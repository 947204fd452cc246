//! The form for many tokens on AVX-512: compute-bound, 32 rows of the matrix by twelve tokens in registers.
//!
//! Sixteen rows of packed bytes are transposed, so that a 32-bit lane holds four bytes of its row, and stay packed; the
//! activations of a block of tokens are transposed too, so that a micro-kernel reads both as one stream: for every four
//! bytes of a row, two vectors of codes and twelve words of each plane, which go to all lanes. 24 sums stay in registers. A sum
//! starts from −Σ x, since a code is t + 1.
//!
//! Lost: three vectors of rows by eight tokens (the same speed), four by six (5 % slower).

use super::decode::{self, Codes};
use super::layout::{Layout, PLANES, pieces};
use super::rows::{shifted, total};
use super::{Finish, Place};
use crate::cpu::isa::Isa;
use crate::cpu::{Bytes, Ints};
use crate::ir::{Builder, I1, I8, I32, Index, MemRef, Ptr, Value};
use axes::TritLayout;

/// Lanes of a vector of sums: rows that are transposed together.
const ROWS: usize = 16;
/// Vectors of rows of a micro-kernel.
const VECTORS: usize = 2;
/// Rows of a micro-kernel.
pub(in crate::cpu) const HEIGHT: usize = ROWS * VECTORS;
/// Most tokens of a micro-kernel.
const WIDTH: usize = 12;
const ISA: Isa = Isa::Avx512;

/// The activations of a pass, transposed in blocks of tokens.
pub(in crate::cpu) struct Panels {
    l: Layout,
    n: usize,
    /// For each block of tokens, for each four bytes of a row, for each plane, a word of each token.
    x: Value<MemRef<I8, 1>>,
    /// Σ x of each token.
    sums: Value<MemRef<I32, 1>>,
    /// The 32 rows in hand.
    w: Value<MemRef<I8, 1>>,
    /// Room for the tails of a block of tokens.
    tails: Option<Value<MemRef<I8, 3>>>,
}

/// Four bytes of each row, at a time.
fn steps(l: &Layout) -> usize {
    16 * l.whole + l.tail.div_ceil(4)
}

/// Vectors of codes for four bytes of sixteen rows: those of four planes, and those of the fifth.
fn streams(l: &Layout) -> usize {
    if l.planes() > PLANES { 2 } else { 1 }
}

/// Bytes of the activations of `n` tokens. Stores of the last words of a block go on to the vector's end.
fn room(l: &Layout, n: usize) -> usize {
    (steps(l) * 4 * l.planes() * n + 64).next_multiple_of(64)
}

/// Bytes of scratch for `n` tokens.
pub(super) fn scratch(l: &Layout, n: usize) -> usize {
    room(l, n) + steps(l) * 64 * VECTORS * streams(l)
}

/// Tokens of the blocks: so many of the first width, the others of one less.
fn widths(n: usize) -> [(usize, usize); 2] {
    let blocks = n.div_ceil(WIDTH).max(1);
    let width = n.div_ceil(blocks);
    let narrow = blocks * width - n;
    [(blocks - narrow, width), (narrow, width - 1)]
}

impl Panels {
    /// Takes room in `scratch` ([`scratch`] bytes from `from` on) for `n` tokens.
    pub(super) fn new(
        b: &mut Builder,
        l: Layout,
        n: usize,
        scratch: Value<MemRef<I8, 1>>,
        from: usize,
    ) -> Panels {
        let (steps, size) = (steps(&l), room(&l, n));
        let x = b.view(scratch, from, MemRef::new(I8, [size as i64]), &[]);
        let w =
            b.view(scratch, from + size, MemRef::new(I8, [(steps * 64 * VECTORS * streams(&l)) as i64]), &[]);
        let sums = b.alloca(MemRef::new(I32, [n as i64]), &[]);
        let tails =
            (l.tail > 0).then(|| b.alloca(MemRef::new(I8, [WIDTH as i64, l.planes() as i64, 64]), &[]));
        Panels { l, n, x, sums, w, tails }
    }

    /// Bytes that [`Panels::over`] shares.
    pub(super) fn shared(columns: usize, n: usize) -> usize {
        let x =
            (steps(&Layout::new(TritLayout::Compute, 0, columns)) * 4 * PLANES * n + 64).next_multiple_of(64);
        x + (4 * n).next_multiple_of(64)
    }

    /// The same with what is arranged in memory that several functions share, from `at` on, and the rows in hand on the stack.
    pub(super) fn over(b: &mut Builder, columns: usize, n: usize, at: Value<Ptr>) -> Panels {
        let l = Layout::new(TritLayout::Compute, 0, columns);
        let steps = steps(&l);
        let size = (steps * 4 * PLANES * n + 64).next_multiple_of(64);
        let x = b.memref_from_ptr(at, MemRef::new(I8, [size as i64]), &[]);
        let sums = b.ptr_offset(at, size);
        let sums = b.memref_from_ptr(sums, MemRef::new(I32, [n as i64]), &[]);
        let w = b.alloca(MemRef::new(I8, [(steps * 64 * VECTORS) as i64]), &[]);
        let tails = (l.tail > 0).then(|| b.alloca(MemRef::new(I8, [WIDTH as i64, PLANES as i64, 64]), &[]));
        Panels { l, n, x, sums, w, tails }
    }

    /// Blocks of tokens that `n` are cut into.
    pub(super) fn count(n: usize) -> usize {
        widths(n).iter().map(|(count, _)| count).sum()
    }

    /// Every block of tokens, or those in a range: (block's first token, tokens).
    fn blocks(
        &self,
        b: &mut Builder,
        range: Option<(Value<Index>, Value<Index>)>,
        mut body: impl FnMut(&mut Builder, Value<Index>, usize),
    ) {
        let (mut first, mut before) = (0, 0);
        for (count, width) in widths(self.n) {
            if count > 0 {
                let (mut low, mut high) = (b.index(0), b.index(count as i64));
                if let Some((from, to)) = range {
                    let by = b.index(before);
                    let (from, to) = (b.subi(from, by), b.subi(to, by));
                    (low, high) = (b.maxsi(low, from), b.minsi(high, to));
                }
                b.for_(low, high, 1, (), |b, k, ()| {
                    let token = b.scaled(k, width);
                    let token = b.offset(token, first);
                    body(b, token, width);
                });
            }
            first += count * width;
            before += count as i64;
        }
    }

    /// Transposes the activations `x`, (N, K).
    pub(in crate::cpu) fn arrange(&self, b: &mut Builder, x: Value<MemRef<I8, 2>>) {
        self.arrange_some(b, x, None);
    }

    /// The same for all blocks of tokens or for some.
    pub(super) fn arrange_some(
        &self,
        b: &mut Builder,
        x: Value<MemRef<I8, 2>>,
        range: Option<(Value<Index>, Value<Index>)>,
    ) {
        self.blocks(b, range, |b, token, width| {
            let from: Vec<Value<Index>> = (0..width).map(|t| b.offset(token, t)).collect();
            for from in &from {
                let sum = total(b, ISA, x, *from, self.l.columns);
                b.store(sum, self.sums, *from);
            }
            let (l, planes) = (&self.l, self.l.planes());
            let base = b.scaled(token, steps(l) * 4 * planes);
            b.for_(0, l.whole, 1, (), |b, unit, ()| {
                let (column, at) = (b.scaled(unit, l.block()), b.scaled(unit, 16 * 4 * planes * width));
                let at = b.addi(base, at);
                for plane in 0..planes {
                    let first = b.offset(column, 64 * plane);
                    let words = from
                        .iter()
                        .map(|t| match l.is_compute() {
                            true => b.vector_load(x, (*t, first), [64]),
                            false => decode::plane(b, l, x, (*t, column), plane),
                        })
                        .collect();
                    self.words(b, words, at, plane, 16);
                }
            });
            if let Some(tails) = self.tails {
                let at = b.offset(base, l.whole * 16 * 4 * planes * width);
                let zero = b.int(ISA.byte_vector(), 0);
                for (t, from) in from.iter().enumerate() {
                    for plane in 0..planes {
                        b.vector_store(zero, tails, (t, plane, 0));
                        let (column, count, step) = l.plane(plane);
                        if step > 1 {
                            decode::strided(b, x, (*from, column), (count, step), |b, v, j| {
                                b.store(v, tails, (t, plane, j));
                            });
                            continue;
                        }
                        for (part, len) in pieces(count, 64) {
                            let bytes = b.vector_load(x, (*from, column + part), [len]);
                            b.vector_store(bytes, tails, (t, plane, part));
                        }
                    }
                }
                for plane in 0..planes {
                    let words = (0..width).map(|t| b.vector_load(tails, (t, plane, 0), [64])).collect();
                    self.words(b, words, at, plane, l.tail.div_ceil(4));
                }
            }
        });
    }

    /// Writes the first `count` words of 64 bytes of each token, word after word, those of all tokens together.
    fn words(&self, b: &mut Builder, tokens: Vec<Bytes>, at: Value<Index>, plane: usize, count: usize) {
        let width = tokens.len();
        for (j, words) in transposed(b, tokens).into_iter().enumerate().take(count) {
            let to = b.offset(at, (j * self.l.planes() + plane) * 4 * width);
            let bytes = b.vector_bitcast(words, I8);
            let own = b.extract_strided_slice(bytes, [0], [4 * width]);
            b.vector_store(own, self.x, to);
        }
    }

    /// Transposes 32 rows, or the `rows` that are left, whose bytes begin at `base`; the others are zeros.
    fn rows(&self, b: &mut Builder, w: Value<MemRef<I8, 1>>, base: Value<Index>, rows: usize) {
        let l = &self.l;
        for vector in 0..rows.div_ceil(ROWS) {
            let own = (rows - ROWS * vector).min(ROWS);
            let first = ROWS * vector;
            b.for_(0, l.whole, 1, (), |b, unit, ()| {
                let to = b.scaled(unit, 16 * 64 * VECTORS * streams(l));
                let words = (0..own)
                    .map(|r| {
                        // Blocks of the last group lie closer where it has fewer rows.
                        let (start, next) = (l.place(rows, first + r, 0), l.place(rows, first + r, 1));
                        let step = if l.whole > 1 { next - start } else { 0 };
                        let at = b.scaled(unit, step);
                        let at = b.offset(at, start);
                        let at = b.addi(base, at);
                        b.vector_load(w, at, [64])
                    })
                    .collect();
                self.columns(b, words, to, vector, 16);
            });
            if l.tail > 0 {
                let (mask, zero) = (b.constant_mask([l.tail], [64]), b.int(ISA.byte_vector(), 0));
                let words = (0..own)
                    .map(|r| {
                        let at = b.offset(base, l.place(rows, first + r, l.whole));
                        b.maskedload(w, at, mask, zero)
                    })
                    .collect();
                let to = b.index((l.whole * 16 * 64 * VECTORS * streams(l)) as i64);
                self.columns(b, words, to, vector, l.tail.div_ceil(4));
            }
        }
    }

    fn columns(&self, b: &mut Builder, rows: Vec<Bytes>, at: Value<Index>, vector: usize, count: usize) {
        let all: Vec<Codes> = rows.into_iter().map(|v| decode::codes(b, ISA, self.l.kind, v)).collect();
        let streams = streams(&self.l);
        for stream in 0..streams {
            let rows = all
                .iter()
                .map(|codes| match codes.fifth.filter(|_| stream > 0) {
                    Some(fifth) => decode::lowered(b, fifth),
                    None => codes.four,
                })
                .collect();
            for (j, words) in transposed(b, rows).into_iter().enumerate().take(count) {
                let to = b.offset(at, ((j * VECTORS + vector) * streams + stream) * 64);
                let bytes = b.vector_bitcast(words, I8);
                b.vector_store(bytes, self.w, to);
            }
        }
    }

    /// The products of 32 rows of `w`, from row `first` on, or of the `rows` that are left, with all tokens.
    pub(in crate::cpu) fn product(
        &self,
        b: &mut Builder,
        w: Value<MemRef<I8, 1>>,
        first: Value<Index>,
        rows: usize,
        finish: &mut Finish<'_>,
    ) {
        let base = b.scaled(first, self.l.row_bytes());
        self.rows(b, w, base, rows);
        let vectors = rows.div_ceil(ROWS);
        self.blocks(b, None, |b, token, width| {
            let tokens: Vec<Value<Index>> = (0..width).map(|t| b.offset(token, t)).collect();
            let mut start = vec![];
            for t in &tokens {
                let sum = b.load(self.sums, *t);
                let zero = b.int(I32, 0);
                let minus = b.subi(zero, sum);
                let all = b.broadcast(minus, ISA.int_vector());
                start.extend(vec![all; vectors]);
            }
            let (planes, streams) = (self.l.planes(), streams(&self.l));
            let from = b.scaled(token, steps(&self.l) * 4 * planes);
            let sums = b.for_(0, steps(&self.l), 1, start, |b, step, mut sums| {
                let (at, x) = (b.scaled(step, 64 * VECTORS * streams), b.scaled(step, 4 * planes * width));
                let x = b.addi(from, x);
                let load = |b: &mut Builder, stream: usize| -> Vec<Bytes> {
                    (0..vectors)
                        .map(|v| {
                            let at = b.offset(at, 64 * (v * streams + stream));
                            b.vector_load(self.w, at, [64])
                        })
                        .collect()
                };
                let packed = load(b, 0);
                for plane in 0..planes {
                    let codes: Vec<Bytes> = match plane {
                        PLANES.. => load(b, 1),
                        _ => packed.iter().map(|packed| shifted(b, *packed, plane)).collect(),
                    };
                    for t in 0..width {
                        let at = b.offset(x, (plane * width + t) * 4);
                        let word = b.vector_load(self.x, at, [4]);
                        let word = b.vector_bitcast(word, I32);
                        let word = b.extract(word, 0);
                        let word = b.broadcast(word, ISA.int_vector());
                        let word = b.vector_bitcast(word, I8);
                        for (v, codes) in codes.iter().enumerate() {
                            sums[t * vectors + v] = ISA.dot(b, sums[t * vectors + v], *codes, word);
                        }
                    }
                }
                sums
            });
            for (t, token) in tokens.iter().enumerate() {
                for v in 0..vectors {
                    let row = b.offset(first, ROWS * v);
                    let at = Place { token: *token, row, count: (rows - ROWS * v).min(ROWS) };
                    finish(b, at, sums[t * vectors + v]);
                }
            }
        });
    }

    /// Rows `from` to `to` of `rows`, 32 at a time, and, where `last` is, what is left of all of them. `from` is a multiple of 32.
    pub(super) fn matrix_of(
        &self,
        b: &mut Builder,
        rows: usize,
        (from, to, last): (Value<Index>, Value<Index>, Value<I1>),
        mut body: impl FnMut(&mut Builder, Value<Index>, usize),
    ) {
        let whole = b.index((rows / HEIGHT * HEIGHT) as i64);
        let end = b.minsi(to, whole);
        b.for_(from, end, HEIGHT, (), |b, first, ()| body(b, first, HEIGHT));
        if !rows.is_multiple_of(HEIGHT) {
            b.when(last, |b| {
                let first = b.index((rows / HEIGHT * HEIGHT) as i64);
                body(b, first, rows % HEIGHT);
            });
        }
    }

    /// All `rows` rows of `w`, 32 at a time.
    pub(in crate::cpu) fn matrix(
        &self,
        b: &mut Builder,
        rows: usize,
        mut body: impl FnMut(&mut Builder, Value<Index>, usize),
    ) {
        b.for_(0, rows / HEIGHT, 1, (), |b, k, ()| {
            let first = b.scaled(k, HEIGHT);
            body(b, first, HEIGHT);
        });
        if !rows.is_multiple_of(HEIGHT) {
            let first = b.index((rows / HEIGHT * HEIGHT) as i64);
            body(b, first, rows % HEIGHT);
        }
    }
}

/// The transpose of 16 vectors of 16 words; those that lack are zeros.
fn transposed(b: &mut Builder, rows: Vec<Bytes>) -> Vec<Ints> {
    let zero = b.int(ISA.int_vector(), 0);
    let mut x: Vec<Ints> = rows.into_iter().map(|row| b.vector_bitcast(row, I32)).collect();
    x.resize(16, zero);
    // Within quarters of a vector: lane 4 q + i from lane 4 q + i of the first or, above 3, of the second.
    let inside = |b: &mut Builder, x: Ints, y: Ints, from: [usize; 4]| {
        let index: Vec<usize> =
            (0..4).flat_map(|q| from.map(|i| if i < 4 { 4 * q + i } else { 16 + 4 * q + i - 4 })).collect();
        b.shuffle(x, y, &index)
    };
    // Whole quarters: two of the first, two of the second.
    let quarters = |b: &mut Builder, x: Ints, y: Ints, from: [usize; 4]| {
        let index: Vec<usize> = (0..4)
            .flat_map(|k| {
                let base = 4 * from[k] + if k < 2 { 0 } else { 16 };
                base..base + 4
            })
            .collect();
        b.shuffle(x, y, &index)
    };
    let pairs: Vec<Ints> = (0..8)
        .flat_map(|i| [[0, 4, 1, 5], [2, 6, 3, 7]].map(|from| inside(b, x[2 * i], x[2 * i + 1], from)))
        .collect();
    // fours[4 i + c]: column c of each quarter, of rows 4 i to 4 i + 3.
    let fours: Vec<Ints> = (0..4)
        .flat_map(|i| {
            let p = &pairs[4 * i..4 * i + 4];
            [
                (p[0], p[2], [0, 1, 4, 5]),
                (p[0], p[2], [2, 3, 6, 7]),
                (p[1], p[3], [0, 1, 4, 5]),
                (p[1], p[3], [2, 3, 6, 7]),
            ]
            .map(|(x, y, from)| inside(b, x, y, from))
        })
        .collect();
    let mut out = vec![zero; 16];
    for c in 0..4 {
        let [low, high] = [[0, 1, 0, 1], [2, 3, 2, 3]].map(|from| quarters(b, fours[c], fours[4 + c], from));
        let [low2, high2] =
            [[0, 1, 0, 1], [2, 3, 2, 3]].map(|from| quarters(b, fours[8 + c], fours[12 + c], from));
        out[c] = quarters(b, low, low2, [0, 2, 0, 2]);
        out[4 + c] = quarters(b, low, low2, [1, 3, 1, 3]);
        out[8 + c] = quarters(b, high, high2, [0, 2, 0, 2]);
        out[12 + c] = quarters(b, high, high2, [1, 3, 1, 3]);
    }
    out
}
