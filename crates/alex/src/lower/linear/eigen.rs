//! Eigenvalues and eigenvectors of symmetric matrices by cyclic Jacobi rotations, as `graph::ops::eigen` has them.

use super::super::step::{results, sizes};
use super::super::value::{Cells, Fcmp, V, cmpf, float, op1, op2, select, shaped};
use super::super::{Lowering, Scope};
use super::{At, MOST, Rows, Square};
use crate::ir::{Builder, CmpI, I1, Value};

/// Most sweeps over all pairs.
const SWEEPS: i64 = 64;

/// Lowers `eigh`.
pub(super) fn node(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) {
    let n = &scope.plan.graph.nodes[i as usize];
    let (dtype, types, out) = (n.types[0].dtype, l.types, results(scope, i));
    let shape = sizes(scope, n.inputs[0]);
    let size = shape.last().copied().unwrap_or(0);
    let batch: usize = shape[..shape.len() - 2].iter().product();
    let kind = types.compute(dtype);
    if 2 * size * size * kind.bytes() > MOST {
        return l.fail(n.op, scope, i, "a matrix of this size has no compiled form");
    }
    let args = [l.read(b, scope, n.inputs[0]), l.write(b, scope, out[0]), l.write(b, scope, out[1])];
    l.kernel(b, "eigh", &format!("{batch} {size} {dtype:?}"), &args, false, |b, m| {
        let cells = |k: usize| Cells { memory: m[k], dtype, types };
        let work = Jacobi { a: Square::new(b, kind, size), v: Square::new(b, kind, size) };
        b.for_(0, batch, 1, (), |b, k, ()| {
            let given = Rows { cells: cells(0), first: b.scaled(k, size * size), columns: size };
            work.fill(b, given);
            work.sweeps(b);
            let first = b.scaled(k, size);
            work.ordered(b, (cells(1), first), Rows { cells: cells(2), ..given });
        });
        None
    });
}

struct Jacobi {
    a: Square,
    v: Square,
}

fn mul(b: &mut Builder, x: V, y: V) -> V {
    op2(b, "arith.mulf", x, y)
}

fn add(b: &mut Builder, x: V, y: V) -> V {
    op2(b, "arith.addf", x, y)
}

fn sub(b: &mut Builder, x: V, y: V) -> V {
    op2(b, "arith.subf", x, y)
}

fn test(b: &mut Builder, how: Fcmp, x: V, y: V) -> Value<I1> {
    let made = cmpf(b, how, x, y);
    b.expect(made, I1)
}

impl Jacobi {
    fn number(&self, b: &mut Builder, x: f64) -> V {
        float(b, shaped(self.a.kind, None), x)
    }

    /// The symmetric matrix of a lower triangle, and the unit matrix.
    fn fill(&self, b: &mut Builder, given: Rows) {
        let n = self.a.n;
        let (zero, one) = (self.number(b, 0.0), self.number(b, 1.0));
        b.for_(0, n, 1, (), |b, r, ()| {
            b.for_(0, n, 1, (), |b, c, ()| {
                let (low, high) = (b.maxui(r, c), b.minui(r, c));
                let x = given.get(b, low, high);
                self.a.put(b, r, c, x);
                let same = b.cmpi(CmpI::Eq, r, c);
                let unit = select(b, same.any(), one, zero);
                self.v.put(b, r, c, unit);
            });
        });
    }

    /// Until the entries off the diagonal vanish beside it, and twice more.
    fn sweeps(&self, b: &mut Builder) {
        let n = self.a.n;
        let (left, more) = (b.index(SWEEPS), b.index(2));
        b.while_(
            (left, more),
            |b, (left, more)| {
                let zero = b.index(0);
                let (some, again) = (b.cmpi(CmpI::Ne, left, zero), b.cmpi(CmpI::Ne, more, zero));
                (b.andi(some, again), (left, more))
            },
            |b, (left, more)| {
                let zero = self.number(b, 0.0);
                let largest = b.for_(0, n, 1, zero, |b, r, largest| {
                    let x = self.a.get(b, r, r);
                    let x = op1(b, "math.absf", x);
                    let larger = cmpf(b, Fcmp::Ogt, x, largest);
                    select(b, larger, x, largest)
                });
                let yes = b.int(I1, 1);
                let settled = b.for_(0, n, 1, yes, |b, r, settled| {
                    b.for_(0, n, 1, settled, |b, c, settled| {
                        let x = self.a.get(b, r, c);
                        let x = op1(b, "math.absf", x);
                        let sum = add(b, largest, x);
                        let none = test(b, Fcmp::Oeq, sum, largest);
                        let own = b.cmpi(CmpI::Eq, r, c);
                        let fine = b.ori(none, own);
                        b.andi(settled, fine)
                    })
                });
                b.for_(0, n, 1, (), |b, p, ()| {
                    let one = b.index(1);
                    let next = b.addi(p, one);
                    b.for_(next, n, 1, (), |b, q, ()| self.rotate(b, p, q));
                });
                let one = b.index(1);
                let fewer = b.subi(more, one);
                (b.subi(left, one), b.select(settled, fewer, more))
            },
        );
    }

    /// One rotation in the plane (p, q), which makes the entry there zero.
    fn rotate(&self, b: &mut Builder, p: At, q: At) {
        let (a, v, n) = (self.a, self.v, self.a.n);
        let zero = self.number(b, 0.0);
        let (off, pp, qq) = (a.get(b, p, q), a.get(b, p, p), a.get(b, q, q));
        let gap = sub(b, qq, pp);
        let (moves, apart) = (test(b, Fcmp::Une, off, zero), test(b, Fcmp::Une, gap, zero));
        let go = b.ori(moves, apart);
        b.when(go, |b| {
            let (one, two) = (self.number(b, 1.0), self.number(b, 2.0));
            let twice = mul(b, two, off);
            let (x, y) = (mul(b, gap, gap), mul(b, twice, twice));
            let square = add(b, x, y);
            let root = op1(b, "math.sqrt", square);
            let below = cmpf(b, Fcmp::Olt, gap, zero);
            let (less, more) = (sub(b, gap, root), add(b, gap, root));
            let by = select(b, below, less, more);
            let t = op2(b, "arith.divf", twice, by);
            let square = mul(b, t, t);
            let sum = add(b, one, square);
            let root = op1(b, "math.sqrt", sum);
            let c = op2(b, "arith.divf", one, root);
            let s = mul(b, t, c);
            let shift = mul(b, t, off);
            let (pp, qq) = (sub(b, pp, shift), add(b, qq, shift));
            a.put(b, p, p, pp);
            a.put(b, q, q, qq);
            a.put(b, p, q, zero);
            a.put(b, q, p, zero);
            let turned = |b: &mut Builder, x: V, y: V| {
                let (cx, sy, sx, cy) = (mul(b, c, x), mul(b, s, y), mul(b, s, x), mul(b, c, y));
                (sub(b, cx, sy), add(b, sx, cy))
            };
            b.for_(0, n, 1, (), |b, r, ()| {
                let (not_p, not_q) = (b.cmpi(CmpI::Ne, r, p), b.cmpi(CmpI::Ne, r, q));
                let other = b.andi(not_p, not_q);
                b.when(other, |b| {
                    let (x, y) = (a.get(b, r, p), a.get(b, r, q));
                    let (x, y) = turned(b, x, y);
                    a.put(b, r, p, x);
                    a.put(b, p, r, x);
                    a.put(b, r, q, y);
                    a.put(b, q, r, y);
                });
                let (x, y) = (v.get(b, r, p), v.get(b, r, q));
                let (x, y) = turned(b, x, y);
                v.put(b, r, p, x);
                v.put(b, r, q, y);
            });
        });
    }

    /// Values in rising order, and vectors as columns, the entry of largest magnitude positive.
    fn ordered(&self, b: &mut Builder, (values, first): (Cells, At), vectors: Rows) {
        let (a, v, n) = (self.a, self.v, self.a.n);
        b.for_(0, n, 1, (), |b, k, ()| {
            let (own, none) = (a.get(b, k, k), b.index(0));
            let place = b.for_(0, n, 1, none, |b, j, place| {
                let other = a.get(b, j, j);
                let (less, more) = (test(b, Fcmp::Olt, other, own), test(b, Fcmp::Olt, own, other));
                let (early, keeps) = (b.cmpi(CmpI::Ult, j, k), b.not(more));
                let tied = b.andi(early, keeps);
                let before = b.ori(less, tied);
                let one = b.index(1);
                let next = b.addi(place, one);
                b.select(before, next, place)
            });
            let to = b.addi(first, place);
            values.store(b, to, own);
            let zero = self.number(b, 0.0);
            let (_, peak) = b.for_(0, n, 1, (zero, zero), |b, r, (most, peak)| {
                let x = v.get(b, r, k);
                let size = op1(b, "math.absf", x);
                let larger = cmpf(b, Fcmp::Ogt, size, most);
                (select(b, larger, size, most), select(b, larger, x, peak))
            });
            let negative = cmpf(b, Fcmp::Olt, peak, zero);
            b.for_(0, n, 1, (), |b, r, ()| {
                let x = v.get(b, r, k);
                let minus = op1(b, "arith.negf", x);
                let x = select(b, negative, minus, x);
                vectors.put(b, r, place, x);
            });
        });
    }
}
