//! Systems of equations, determinants, Cholesky factors and Fourier transforms: the specification's loops, in the arithmetic
//! of the operands.

mod eigen;

use super::nest::moved;
use super::step::{results, sizes};
use super::value::{Cells, Fcmp, Types, V, cmpf, convertf, float, op1, op2, select, shaped};
use super::{Lowering, Scope, control};
use crate::ir::{AnyType, Builder, I1, Index, Kind, Shape, Value};
use axes::DType;
use graph::Op;

/// Bytes of a matrix that a kernel works on beside its operands; it lies on the stack.
const MOST: usize = 1 << 18;

type At = Value<Index>;

/// A square matrix of the arithmetic's own numbers.
#[derive(Clone, Copy)]
struct Square {
    memory: V,
    kind: Kind,
    n: usize,
}

impl Square {
    fn new(b: &mut Builder, kind: Kind, n: usize) -> Square {
        let ty = AnyType::MemRef(kind, Shape::new(&[(n * n) as i64]), None, 0);
        Square {
            memory: b.generic("memref.alloca", (), "operandSegmentSizes = array<i32: 0, 0>", ty),
            kind,
            n,
        }
    }
    fn get(&self, b: &mut Builder, r: At, c: At) -> V {
        let at = super::value::at(b, r, self.n, c);
        b.generic("memref.load", (self.memory, at), "", AnyType::Scalar(self.kind))
    }
    fn put(&self, b: &mut Builder, r: At, c: At, x: V) {
        let at = super::value::at(b, r, self.n, c);
        let () = b.generic("memref.store", (x, self.memory, at), "", ());
    }
}

/// Part of a value: rows of `columns` from a first element on.
#[derive(Clone, Copy)]
struct Rows {
    cells: Cells,
    first: At,
    columns: usize,
}

impl Rows {
    fn place(&self, b: &mut Builder, r: At, c: At) -> At {
        let at = super::value::at(b, r, self.columns, c);
        b.addi(self.first, at)
    }
    fn get(&self, b: &mut Builder, r: At, c: At) -> V {
        let at = self.place(b, r, c);
        self.cells.load(b, at, None)
    }
    fn put(&self, b: &mut Builder, r: At, c: At, x: V) {
        let at = self.place(b, r, c);
        self.cells.store(b, at, x);
    }
    /// Exchanges two rows.
    fn swap(&self, b: &mut Builder, r: At, s: At) {
        b.for_(0, self.columns, 1, (), |b, c, ()| {
            let (x, y) = (self.get(b, r, c), self.get(b, s, c));
            self.put(b, r, c, y);
            self.put(b, s, c, x);
        });
    }
}

/// Lowers an op of this file.
pub(crate) fn node(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) {
    let n = &scope.plan.graph.nodes[i as usize];
    let (op, dtype, types) = (n.op, n.types[0].dtype, l.types);
    let shape = sizes(scope, n.inputs[0]);
    let size = shape.last().copied().unwrap_or(0);
    match op {
        Op::Fourier => return fourier(l, b, scope, i),
        Op::Eigh => return eigen::node(l, b, scope, i),
        _ => {}
    }
    let kind = types.compute(dtype);
    let batch: usize = shape[..shape.len() - 2].iter().product();
    if size * size * kind.bytes() > MOST {
        return l.fail(op, scope, i, "a matrix of this size has no compiled form");
    }
    let columns = match op {
        Op::Solve | Op::TriangularSolve => sizes(scope, results(scope, i)[0]).last().copied().unwrap_or(1),
        _ => size,
    };
    let (lower, transposed) = (n.attrs.flag("lower"), n.attrs.flag("transposed"));
    let mut args = vec![];
    for v in &n.inputs {
        args.push(l.read(b, scope, *v));
    }
    args.push(l.write(b, scope, results(scope, i)[0]));
    let key = format!("{batch} {size} {columns} {lower} {transposed} {dtype:?}");
    l.kernel(b, op.name(), &key, &args, false, |b, m| {
        let cells: Vec<Cells> = m.iter().map(|memory| Cells { memory: *memory, dtype, types }).collect();
        let work = Square::new(b, kind, size);
        b.for_(0, batch, 1, (), |b, k, ()| {
            let a = Rows { cells: cells[0], first: b.scaled(k, size * size), columns: size };
            let out = cells[cells.len() - 1];
            if op == Op::Determinant {
                fill(b, work, a, false);
                let det = eliminate(b, work, None);
                return out.store(b, k, det);
            }
            let x = Rows { cells: out, first: b.scaled(k, size * columns), columns };
            match op {
                Op::Cholesky => cholesky(b, a, x, size),
                _ => {
                    let given = Rows { cells: cells[1], ..x };
                    b.for_(0, size, 1, (), |b, r, ()| {
                        b.for_(0, columns, 1, (), |b, c, ()| {
                            let v = given.get(b, r, c);
                            x.put(b, r, c, v);
                        });
                    });
                    fill(b, work, a, transposed);
                    if op == Op::Solve {
                        eliminate(b, work, Some(x));
                        substitute(b, work, x, true, true);
                        substitute(b, work, x, false, false);
                    } else {
                        substitute(b, work, x, lower != transposed, false);
                    }
                }
            }
        });
        None
    });
}

fn fill(b: &mut Builder, to: Square, from: Rows, transposed: bool) {
    b.for_(0, to.n, 1, (), |b, r, ()| {
        b.for_(0, to.n, 1, (), |b, c, ()| {
            let v = from.get(b, r, c);
            if transposed { to.put(b, c, r, v) } else { to.put(b, r, c, v) }
        });
    });
}

/// Gaussian elimination with partial pivoting, the rows of `x` exchanged along; the determinant.
fn eliminate(b: &mut Builder, a: Square, x: Option<Rows>) -> V {
    let ty = shaped(a.kind, None);
    let one = float(b, ty, 1.0);
    b.for_(0, a.n, 1, one, |b, c, det| {
        let unit = b.index(1);
        let next = b.addi(c, unit);
        let start = a.get(b, c, c);
        let start = op1(b, "math.absf", start);
        let (best, _) = b.for_(next, a.n, 1, (c, start), |b, r, (best, peak)| {
            let v = a.get(b, r, c);
            let v = op1(b, "math.absf", v);
            let larger = cmpf(b, Fcmp::Ogt, v, peak);
            let peak = select(b, larger, v, peak);
            let larger = b.expect(larger, I1);
            (b.select(larger, r, best), peak)
        });
        let moves = b.cmpi(crate::ir::CmpI::Ne, best, c);
        b.when(moves, |b| {
            b.for_(0, a.n, 1, (), |b, k, ()| {
                let (p, q) = (a.get(b, c, k), a.get(b, best, k));
                a.put(b, c, k, q);
                a.put(b, best, k, p);
            });
            if let Some(x) = x {
                x.swap(b, c, best);
            }
        });
        let pivot = a.get(b, c, c);
        let zero = float(b, ty, 0.0);
        let some = cmpf(b, Fcmp::Une, pivot, zero);
        let some = b.expect(some, I1);
        b.when(some, |b| {
            b.for_(next, a.n, 1, (), |b, r, ()| {
                let v = a.get(b, r, c);
                let factor = op2(b, "arith.divf", v, pivot);
                b.for_(next, a.n, 1, (), |b, k, ()| {
                    let (v, p) = (a.get(b, r, k), a.get(b, c, k));
                    let by = op2(b, "arith.mulf", factor, p);
                    let v = op2(b, "arith.subf", v, by);
                    a.put(b, r, k, v);
                });
                a.put(b, r, c, factor);
            });
        });
        let signed = op1(b, "arith.negf", pivot);
        let step = select(b, moves.any(), signed, pivot);
        op2(b, "arith.mulf", det, step)
    })
}

/// T X = B in place, forwards where T is lower, else backwards, with its diagonal or with ones there.
fn substitute(b: &mut Builder, t: Square, x: Rows, lower: bool, unit: bool) {
    b.for_(0, t.n, 1, (), |b, step, ()| {
        let (one, last, zero, end) = (b.index(1), b.index(t.n as i64 - 1), b.index(0), b.index(t.n as i64));
        let r = if lower { step } else { b.subi(last, step) };
        let (from, to) = if lower { (zero, r) } else { (b.addi(r, one), end) };
        b.for_(0, x.columns, 1, (), |b, c, ()| {
            let start = x.get(b, r, c);
            let sum = b.for_(from, to, 1, start, |b, k, sum| {
                let (p, q) = (t.get(b, r, k), x.get(b, k, c));
                let by = op2(b, "arith.mulf", p, q);
                op2(b, "arith.subf", sum, by)
            });
            let made = match unit {
                true => sum,
                false => {
                    let d = t.get(b, r, r);
                    op2(b, "arith.divf", sum, d)
                }
            };
            x.put(b, r, c, made);
        });
    });
}

fn cholesky(b: &mut Builder, a: Rows, l: Rows, n: usize) {
    b.for_(0, n, 1, (), |b, r, ()| {
        let unit = b.index(1);
        let next = b.addi(r, unit);
        b.for_(0, next, 1, (), |b, c, ()| {
            let start = a.get(b, r, c);
            let sum = b.for_(0, c, 1, start, |b, k, sum| {
                let (p, q) = (l.get(b, r, k), l.get(b, c, k));
                let by = op2(b, "arith.mulf", p, q);
                op2(b, "arith.subf", sum, by)
            });
            let diagonal = b.cmpi(crate::ir::CmpI::Eq, r, c);
            let made = b.if_(
                diagonal,
                |b| op1(b, "math.sqrt", sum),
                |b| {
                    let d = l.get(b, c, c);
                    op2(b, "arith.divf", sum, d)
                },
            );
            l.put(b, r, c, made);
        });
        b.for_(next, n, 1, (), |b, c, ()| {
            let none = float(b, shaped(a.cells.types.compute(a.cells.dtype), None), 0.0);
            l.put(b, r, c, none);
        });
    });
}

/// The kind in which a transform of this kind is summed.
fn wide(kind: Kind) -> Kind {
    if kind == Kind::F32 { Kind::F64 } else { kind }
}

/// Direct sums with a table of the roots of unity; f32 is summed in f64. Lengths are those of kernels and filters: a longer
/// transform is refused, since its n² sums would take longer than what surrounds it.
fn fourier(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) {
    const LONGEST: usize = 4096;
    let n = &scope.plan.graph.nodes[i as usize];
    let shape = sizes(scope, n.inputs[0]);
    let size = shape.last().copied().unwrap_or(0);
    let rows: usize = shape[..shape.len() - 1].iter().product();
    let (dtype, types, out) = (n.types[0].dtype, l.types, results(scope, i));
    let kind = wide(types.compute(dtype));
    if size > LONGEST || !matches!(kind, Kind::F64) {
        return l.fail(
            n.op,
            scope,
            i,
            "a transform of this length, or of this arithmetic, has no compiled form",
        );
    }
    let inverse = n.attrs.flag("inverse");
    let args = [
        l.read(b, scope, n.inputs[0]),
        l.read(b, scope, n.inputs[1]),
        l.write(b, scope, out[0]),
        l.write(b, scope, out[1]),
    ];
    l.kernel(b, "fourier", &format!("{rows} {size} {inverse} {dtype:?}"), &args, false, |b, m| {
        let [re, im, to_re, to_im] = [0, 1, 2, 3].map(|k| Cells { memory: m[k], dtype, types });
        let plain = Types { wide: None };
        let roots: Vec<f64> = (0..size).flat_map(|k| root(k, size, inverse)).collect();
        let table = Cells { memory: control::table(b, &roots), dtype: DType::F64, types: plain };
        b.for_(0, rows, 1, (), |b, r, ()| {
            let first = b.scaled(r, size);
            b.for_(0, size, 1, (), |b, k, ()| {
                let zero = float(b, shaped(kind, None), 0.0);
                let origin = b.index(0);
                let (_, sums) = b.for_(0, size, 1, (origin, vec![zero, zero]), |b, j, (turn, sums)| {
                    let at = b.addi(first, j);
                    let (x, y) = (re.load(b, at, None), im.load(b, at, None));
                    let (x, y) = (convertf(b, x, kind), convertf(b, y, kind));
                    let (place, one) = (b.scaled(turn, 2), b.index(1));
                    let after = b.addi(place, one);
                    let (c, s) = (table.load(b, place, None), table.load(b, after, None));
                    let product = |b: &mut Builder, p: V, q: V| op2(b, "arith.mulf", p, q);
                    let (xc, ys, xs, yc) =
                        (product(b, x, c), product(b, y, s), product(b, x, s), product(b, y, c));
                    let (real, imaginary) = (op2(b, "arith.subf", xc, ys), op2(b, "arith.addf", xs, yc));
                    let next = moved(b, turn, k, 1);
                    let n = b.index(size as i64);
                    let next = b.remui(next, n);
                    (
                        next,
                        vec![op2(b, "arith.addf", sums[0], real), op2(b, "arith.addf", sums[1], imaginary)],
                    )
                });
                let at = b.addi(first, k);
                let narrow = types.compute(dtype);
                let (x, y) = (convertf(b, sums[0], narrow), convertf(b, sums[1], narrow));
                to_re.store(b, at, x);
                to_im.store(b, at, y);
            });
        });
        None
    });
}

/// e^(∓2πi k/n), from an angle within an eighth of a turn.
fn root(k: usize, n: usize, inverse: bool) -> [f64; 2] {
    let eighth = 8 * k / n.max(1);
    let turn = |k: f64| 2.0 * std::f64::consts::PI * k / n as f64;
    let (k, n) = (k as f64, n as f64);
    let (c, s) = match eighth {
        0 => (turn(k).cos(), turn(k).sin()),
        1 | 2 => (-turn(k - n / 4.0).sin(), turn(k - n / 4.0).cos()),
        3 | 4 => (-turn(k - n / 2.0).cos(), -turn(k - n / 2.0).sin()),
        5 | 6 => (turn(k - 0.75 * n).sin(), -turn(k - 0.75 * n).cos()),
        _ => (turn(k - n).cos(), turn(k - n).sin()),
    };
    [c, if inverse { s } else { -s }]
}

#[cfg(test)]
mod tests {
    #[test]
    fn roots_lie_on_the_circle_where_they_should() {
        for n in [1, 2, 3, 7, 8, 12, 64] {
            for k in 0..n {
                let angle = 2.0 * std::f64::consts::PI * k as f64 / n as f64;
                let [c, s] = super::root(k, n, true);
                assert!((c - angle.cos()).abs() < 1e-14 && (s - angle.sin()).abs() < 1e-14, "{k}/{n}");
            }
        }
    }
}
