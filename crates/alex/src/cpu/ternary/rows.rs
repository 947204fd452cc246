//! The form for few tokens, and for machines without AVX-512: four rows of packed bytes as they lie meet the activations of
//! a few tokens, and the lanes of a sum are added at the end.
//!
//! One token on a machine whose product takes unsigned bytes: planes are masked out where they lie, 1, 4, 16 and 64 times the
//! code, with a sum for each plane that is shifted right once at the end. It saves the shifts. Weights are asked for
//! [`AHEAD`] bytes before their use.

use super::decode::{self, Codes};
use super::layout::{GROUP, Layout, PLANES, pieces};
use super::{Finish, Place};
use crate::cpu::isa::Isa;
use crate::cpu::{Bytes, Floats, Ints};
use crate::ir::{Builder, Combine, F32, I1, I8, I16, I32, Index, MemRef, Ptr, Value};
use axes::TritLayout;

/// Bytes of weights between those that are asked for and those that are multiplied. Measured on Zen 5, 1 to 24 kB: all are
/// alike for a matrix in the second-level cache, and the smallest and the largest cost up to half of the speed beyond it.
const AHEAD: usize = 12 << 10;

/// The activations of a pass: their sums and tails.
pub(in crate::cpu) struct Rows {
    isa: Isa,
    /// The cut of a row.
    l: Layout,
    n: usize,
    /// Σ x of each token.
    sums: Value<MemRef<I32, 1>>,
    /// The activations as planes, for the layouts whose planes are no runs of columns.
    spread: Option<Value<MemRef<I8, 2>>>,
    /// The activations of the tail, `padded` bytes of each plane of each token; room for the tails of four rows.
    tails: Option<(Value<MemRef<I8, 3>>, Value<MemRef<I8, 1>>)>,
    padded: usize,
}

/// What the rows of a matrix meet.
struct Given<'a> {
    form: &'a Rows,
    l: Layout,
    x: Value<MemRef<I8, 2>>,
    w: Value<MemRef<I8, 1>>,
}

/// Bytes of scratch for `n` tokens.
pub(super) fn scratch(l: &Layout, n: usize) -> usize {
    if l.is_compute() { 0 } else { (n * l.whole * l.block()).next_multiple_of(64) }
}

impl Rows {
    /// Takes room on the stack, and in `scratch` ([`scratch`] bytes from `from` on), for `n` tokens.
    pub(super) fn new(
        b: &mut Builder,
        isa: Isa,
        l: Layout,
        n: usize,
        scratch: Value<MemRef<I8, 1>>,
        from: usize,
    ) -> Rows {
        let spread = (!l.is_compute() && l.whole > 0)
            .then(|| b.view(scratch, from, MemRef::new(I8, [n as i64, (l.whole * l.block()) as i64]), &[]));
        let sums = b.alloca(MemRef::new(I32, [n as i64]), &[]);
        let padded = l.tail.next_multiple_of(isa.bytes());
        let tails = (l.tail > 0).then(|| {
            let tails = b.alloca(MemRef::new(I8, [n as i64, l.planes() as i64, padded as i64]), &[]);
            // Room on the stack must not be asked for in a loop.
            (tails, b.alloca(MemRef::new(I8, [(GROUP * padded) as i64]), &[]))
        });
        Rows { isa, l, n, sums, spread, tails, padded }
    }

    /// Bytes that [`Rows::over`] shares.
    pub(super) fn shared(isa: Isa, n: usize, columns: usize) -> usize {
        let padded = Layout::new(TritLayout::Compute, 0, columns).tail.next_multiple_of(isa.bytes());
        (4 * n).next_multiple_of(64) + n * PLANES * padded
    }

    /// The same with what is arranged in memory that several functions share, from `at` on.
    pub(super) fn over(b: &mut Builder, isa: Isa, n: usize, columns: usize, at: Value<Ptr>) -> Rows {
        let l = Layout::new(TritLayout::Compute, 0, columns);
        let sums = b.memref_from_ptr(at, MemRef::new(I32, [n as i64]), &[]);
        let padded = l.tail.next_multiple_of(isa.bytes());
        let tails = (l.tail > 0).then(|| {
            let at = b.ptr_offset(at, (4 * n).next_multiple_of(64));
            let ty = MemRef::new(I8, [n as i64, PLANES as i64, padded as i64]);
            let tails = b.memref_from_ptr(at, ty, &[]);
            (tails, b.alloca(MemRef::new(I8, [(GROUP * padded) as i64]), &[]))
        });
        Rows { isa, l, n, sums, spread: None, tails, padded }
    }

    /// Adds up the activations and lays out their tails: `x` is (N, K).
    pub(super) fn arrange(&self, b: &mut Builder, x: Value<MemRef<I8, 2>>) {
        let (from, to) = (b.index(0), b.index(self.n as i64));
        self.arrange_some(b, x, from, to);
    }

    /// The same for tokens `from` to `to`.
    pub(super) fn arrange_some(
        &self,
        b: &mut Builder,
        x: Value<MemRef<I8, 2>>,
        from: Value<Index>,
        to: Value<Index>,
    ) {
        let (isa, l) = (self.isa, self.l);
        b.for_(from, to, 1, (), |b, t, ()| {
            let sum = total(b, isa, x, t, l.columns);
            b.store(sum, self.sums, t);
            if let Some(to) = self.spread {
                self.planes(b, x, t, to);
            }
            let Some((tails, _)) = self.tails else { return };
            for plane in 0..l.planes() {
                let (from, count, step) = l.plane(plane);
                let zero = b.int(isa.byte_vector(), 0);
                for at in (0..self.padded).step_by(isa.bytes()) {
                    b.vector_store(zero, tails, (t, plane, at));
                }
                if step > 1 {
                    decode::strided(b, x, (t, from), (count, step), |b, v, j| {
                        b.store(v, tails, (t, plane, j))
                    });
                    continue;
                }
                for (at, len) in pieces(count, isa.bytes()) {
                    let part = b.vector_load(x, (t, from + at), [len]);
                    b.vector_store(part, tails, (t, plane, at));
                }
            }
        });
    }

    /// The whole blocks of a token as planes.
    fn planes(&self, b: &mut Builder, x: Value<MemRef<I8, 2>>, t: Value<Index>, to: Value<MemRef<I8, 2>>) {
        let l = &self.l;
        if self.isa != Isa::Avx512 {
            return decode::spread(b, l, x, t, to);
        }
        b.for_(0, l.whole, 1, (), |b, unit, ()| {
            let column = b.scaled(unit, l.block());
            for plane in 0..l.planes() {
                let bytes = decode::plane(b, l, x, (t, column), plane);
                let at = b.offset(column, 64 * plane);
                b.vector_store(bytes, to, (t, at));
            }
        });
    }

    /// The products with all `rows` rows of `w`.
    pub(super) fn products(
        &self,
        b: &mut Builder,
        x: Value<MemRef<I8, 2>>,
        w: Value<MemRef<I8, 1>>,
        rows: usize,
        finish: &mut Finish<'_>,
    ) {
        Given { form: self, l: Layout { rows, ..self.l }, x: self.spread.unwrap_or(x), w }.emit(b, finish);
    }

    /// The products with groups `from` to `to` of `rows` rows of `w`, and, where `last` is, with what is behind the last group.
    pub(super) fn products_of(
        &self,
        b: &mut Builder,
        (x, w): (Value<MemRef<I8, 2>>, Value<MemRef<I8, 1>>),
        rows: usize,
        (from, to, last): (Value<Index>, Value<Index>, Value<I1>),
        finish: &mut Finish<'_>,
    ) {
        Given { form: self, l: Layout { rows, ..self.l }, x, w }.emit_some(b, (from, to, last), finish);
    }

    /// Tokens that share the codes: their sums, the codes and the activations fit the registers.
    fn together(&self) -> usize {
        match (self.isa, self.n) {
            (Isa::Avx512, n) if n <= 5 => n,
            (Isa::Avx512, n) => n.div_ceil(n.div_ceil(5)),
            (Isa::AvxVnni | Isa::Avx2, _) => 2,
            _ => 4,
        }
        .min(self.n)
    }
}

impl Given<'_> {
    /// All rows.
    fn emit(&self, b: &mut Builder, finish: &mut Finish<'_>) {
        let (l, size) = (&self.l, (GROUP * self.l.row_bytes()) as i64);
        let safe = l.safe_groups(self.form.padded);
        for (from, to, copy) in [(0, safe, false), (safe, l.rows / GROUP, true)] {
            if from < to {
                b.for_(from, to, 1, (), |b, g, ()| {
                    let (base, row) = (b.scaled(g, size), b.scaled(g, GROUP));
                    self.group(b, base, row, GROUP, copy, finish);
                });
            }
        }
        let left = l.rows % GROUP;
        if left > 0 {
            let first = l.rows - left;
            let (base, row) = (b.index((first * l.row_bytes()) as i64), b.index(first as i64));
            self.group(b, base, row, left, true, finish);
        }
    }

    /// Groups `from` to `to`, and what is left behind the groups.
    fn emit_some(
        &self,
        b: &mut Builder,
        (from, to, last): (Value<Index>, Value<Index>, Value<I1>),
        finish: &mut Finish<'_>,
    ) {
        let (l, size) = (&self.l, (GROUP * self.l.row_bytes()) as i64);
        let safe = l.safe_groups(self.form.padded);
        for (start, end, copy) in [(0, safe, false), (safe, l.rows / GROUP, true)] {
            if start < end {
                let (low, high) = (b.index(start as i64), b.index(end as i64));
                let (low, high) = (b.maxsi(from, low), b.minsi(to, high));
                b.for_(low, high, 1, (), |b, g, ()| {
                    let (base, row) = (b.scaled(g, size), b.scaled(g, GROUP));
                    self.group(b, base, row, GROUP, copy, finish);
                });
            }
        }
        let left = l.rows % GROUP;
        if left > 0 {
            let first = l.rows - left;
            b.when(last, |b| {
                let (base, row) = (b.index((first * l.row_bytes()) as i64), b.index(first as i64));
                self.group(b, base, row, left, true, finish);
            });
        }
    }

    /// `count` rows, the first of them `row`, whose bytes begin at `base`, by all tokens.
    fn group(
        &self,
        b: &mut Builder,
        base: Value<Index>,
        row: Value<Index>,
        count: usize,
        copy: bool,
        finish: &mut Finish<'_>,
    ) {
        let width = self.form.together();
        let whole = self.form.n / width;
        if whole == 1 {
            let zero = b.index(0);
            self.tokens(b, base, row, count, copy, (zero, width), finish);
        } else {
            b.for_(0, whole, 1, (), |b, k, ()| {
                let token = b.scaled(k, width);
                self.tokens(b, base, row, count, copy, (token, width), finish);
            });
        }
        if !self.form.n.is_multiple_of(width) {
            let token = b.index((whole * width) as i64);
            self.tokens(b, base, row, count, copy, (token, self.form.n % width), finish);
        }
    }

    fn tokens(
        &self,
        b: &mut Builder,
        base: Value<Index>,
        row: Value<Index>,
        count: usize,
        copy: bool,
        (token, width): (Value<Index>, usize),
        finish: &mut Finish<'_>,
    ) {
        let apart = self.form.isa == Isa::Avx512 && self.form.n == 1;
        let each = if apart { self.l.planes() } else { 1 };
        let zero = b.int(self.form.isa.int_vector(), 0);
        let (l, step, tokens) = (&self.l, self.form.isa.bytes(), token_list(b, token, width));
        let start = vec![zero; count * width * each];
        let mut sums = b.for_(0, l.whole, 1, start, |b, block, mut sums| {
            let (down, along) = l.steps(count);
            let (from, column) = (b.scaled(block, along), b.scaled(block, l.block()));
            let from = b.addi(base, from);
            for sub in (0..64).step_by(step) {
                let bytes: Vec<Bytes> = (0..count)
                    .map(|r| {
                        let at = b.offset(from, down * r + sub);
                        if sub == 0 && count == GROUP {
                            let ahead = b.offset(at, AHEAD);
                            b.prefetch(self.w, ahead, false, 3);
                        }
                        b.vector_load(self.w, at, [step])
                    })
                    .collect();
                self.unit(b, &bytes, &mut sums, apart, |b, t, plane| {
                    let at = b.offset(column, 64 * plane + sub);
                    b.vector_load(self.x, (tokens[t], at), [step])
                });
            }
            sums
        });
        if let Some((tails, own)) = self.form.tails {
            let (first, down) = l.tails(count);
            let at = b.offset(base, first);
            let (from, at, apart_by) = if copy {
                // The bytes behind the last row are not ours to read.
                for r in 0..count {
                    for (part, len) in pieces(l.tail, step) {
                        let from = b.offset(at, r * down + part);
                        let bytes = b.vector_load(self.w, from, [len]);
                        b.vector_store(bytes, own, r * self.form.padded + part);
                    }
                }
                (own, b.index(0), self.form.padded)
            } else {
                (self.w, at, down)
            };
            for sub in (0..self.form.padded).step_by(step) {
                let bytes: Vec<Bytes> = (0..count)
                    .map(|r| {
                        let at = b.offset(at, r * apart_by + sub);
                        b.vector_load(from, at, [step])
                    })
                    .collect();
                self.unit(b, &bytes, &mut sums, apart, |b, t, plane| {
                    b.vector_load(tails, (tokens[t], plane, sub), [step])
                });
            }
        }
        for t in 0..width {
            let mut rows: Vec<Ints> = (0..count)
                .map(|r| {
                    let own = &sums[(t * count + r) * each..][..each];
                    (1..each).fold(own[0], |sum, plane| {
                        if plane >= PLANES {
                            let part = decode::divided(b, own[plane]);
                            return b.addi(sum, part);
                        }
                        let places = b.int(sum.ty(), 2 * plane as i64);
                        let part = b.shrsi(own[plane], places);
                        b.addi(sum, part)
                    })
                })
                .collect();
            rows.resize(GROUP, zero);
            let made = across(b, [rows[0], rows[1], rows[2], rows[3]]);
            let sum = b.load(self.form.sums, tokens[t]);
            let sum = b.broadcast(sum, made.ty());
            let made = b.subi(made, sum);
            finish(b, Place { token: tokens[t], row, count }, made);
        }
    }

    /// Adds the products of one vector of packed bytes of each row. `sums` has, for each token, for each row, one sum or one
    /// for each plane; `x(token, plane)` gives the activations.
    fn unit(
        &self,
        b: &mut Builder,
        bytes: &[Bytes],
        sums: &mut [Ints],
        apart: bool,
        mut x: impl FnMut(&mut Builder, usize, usize) -> Bytes,
    ) {
        let (count, planes) = (bytes.len(), self.l.planes());
        let each = if apart { planes } else { 1 };
        let width = sums.len() / count / each;
        let isa = self.form.isa;
        let packed: Vec<Codes> = bytes.iter().map(|v| decode::codes(b, isa, self.l.kind, *v)).collect();
        for plane in 0..planes {
            let codes: Vec<Bytes> = packed
                .iter()
                .map(|codes| match codes.fifth.filter(|_| plane >= PLANES) {
                    Some(fifth) if apart => fifth,
                    Some(fifth) => decode::lowered(b, fifth),
                    None if apart => masked(b, codes.four, plane),
                    None => shifted(b, codes.four, plane),
                })
                .collect();
            for t in 0..width {
                let x = x(b, t, plane);
                for (r, codes) in codes.iter().enumerate() {
                    let sum = &mut sums[(t * count + r) * each + if apart { plane } else { 0 }];
                    *sum = isa.dot(b, *sum, *codes, x);
                }
            }
        }
    }
}

fn token_list(b: &mut Builder, first: Value<Index>, width: usize) -> Vec<Value<Index>> {
    (0..width).map(|t| if t == 0 { first } else { b.offset(first, t) }).collect()
}

/// Plane `plane` where it lies: 1, 4, 16 or 64 times its codes.
fn masked(b: &mut Builder, bytes: Bytes, plane: usize) -> Bytes {
    let mask = b.int(bytes.ty(), 3 << (2 * plane));
    b.andi(bytes, mask)
}

/// The codes of plane `plane`, shifted down in pairs of bytes: no machine with vectors of bytes lacks those.
pub(super) fn shifted(b: &mut Builder, bytes: Bytes, plane: usize) -> Bytes {
    let mask = b.int(bytes.ty(), 3);
    if plane == 0 {
        return b.andi(bytes, mask);
    }
    let pairs = b.vector_bitcast(bytes, I16);
    let places = b.int(pairs.ty(), 2 * plane as i64);
    let down = b.shrui(pairs, places);
    let down = b.vector_bitcast(down, I8);
    b.andi(down, mask)
}

/// Σ x of a token.
pub(super) fn total(
    b: &mut Builder,
    isa: Isa,
    x: Value<MemRef<I8, 2>>,
    t: Value<Index>,
    columns: usize,
) -> Value<I32> {
    let step = isa.bytes();
    let (zero, ones) = (b.int(isa.int_vector(), 0), b.int(isa.byte_vector(), 1));
    let whole = columns / step * step;
    let sums = b.for_(0, whole, step, zero, |b, at, sums| {
        let x = b.vector_load(x, (t, at), [step]);
        isa.dot(b, sums, ones, x)
    });
    let mut sum = b.reduction(Combine::Add, sums);
    for (at, len) in pieces(columns - whole, step) {
        let part = b.vector_load(x, (t, whole + at), [len]);
        let wide = b.extsi(part, I32);
        let part = b.reduction(Combine::Add, wide);
        sum = b.addi(sum, part);
    }
    sum
}

/// The sum of the lanes of each of four vectors.
pub(super) fn across(b: &mut Builder, rows: [Ints; 4]) -> Ints {
    let lanes = rows[0].ty().lanes();
    let quads = lanes / 4;
    // Lane (4 q + i) of the result, from lane 4 q + low[i] of the first vector or, above 3, of the second.
    let pick = |b: &mut Builder, x: Ints, y: Ints, from: [usize; 4]| {
        let index: Vec<usize> = (0..quads)
            .flat_map(|q| from.map(|i| if i < 4 { 4 * q + i } else { lanes + 4 * q + i - 4 }))
            .collect();
        b.shuffle(x, y, &index)
    };
    let pair = |b: &mut Builder, x: Ints, y: Ints, low: [usize; 4], high: [usize; 4]| {
        let (low, high) = (pick(b, x, y, low), pick(b, x, y, high));
        b.addi(low, high)
    };
    let first = pair(b, rows[0], rows[1], [0, 4, 1, 5], [2, 6, 3, 7]);
    let second = pair(b, rows[2], rows[3], [0, 4, 1, 5], [2, 6, 3, 7]);
    let mut sums = pair(b, first, second, [0, 1, 4, 5], [2, 3, 6, 7]);
    while sums.ty().lanes() > 4 {
        let half = sums.ty().lanes() / 2;
        let (low, high) =
            (b.extract_strided_slice(sums, [0], [half]), b.extract_strided_slice(sums, [half], [half]));
        sums = b.addi(low, high);
    }
    sums
}

/// y = acc / s_x / s_w.
pub(in crate::cpu) fn scaled(b: &mut Builder, acc: Ints, scale_x: Value<F32>, scale_w: Value<F32>) -> Floats {
    let y = b.sitofp(acc, F32);
    let (scale_x, scale_w) = (b.broadcast(scale_x, y.ty()), b.broadcast(scale_w, y.ty()));
    let y = b.divf(y, scale_x);
    b.divf(y, scale_w)
}
