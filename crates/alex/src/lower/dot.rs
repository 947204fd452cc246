//! `dot_general`: tiles of sums of products in registers.
//!
//! The result is a box whose innermost axis is a free one of an operand. Where the other operand stands still along it and
//! this one is contiguous, vectors lie along it; where both operands are contiguous along the contracted axis, vectors lie
//! along that one and are joined at the end. A tile is a few rows by a few of these.

use super::nest::{Nest, dense, moved};
use super::step::{results, sizes};
use super::value::{Cells, Fcmp, Types, V, cmpf, convertf, kind, number, op2, select, shaped, spread};
use super::{Lowering, Scope};
use crate::ir::{AnyType, Builder, Index, Kind, Value};
use axes::DType;
use graph::Accumulator;
use graph::ops::dot::DotAxes;

/// Where the vectors lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lanes {
    /// Along the result's innermost axis.
    Beside(usize),
    /// Along the contracted axis.
    Along(usize),
    None,
}

/// A product without the names of its values.
#[derive(Clone, Debug)]
struct Dot {
    /// Axes of the result: strides of the left operand, the right operand, the result.
    free: Nest,
    /// Contracted axes: strides of the operands.
    inner: Nest,
    dtype: DType,
    how: Option<Accumulator>,
}

/// Rows of a tile.
const ROWS: usize = 4;

/// Lowers a product.
pub(crate) fn node(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) {
    let n = &scope.plan.graph.nodes[i as usize];
    let how: Option<Accumulator> = n.attrs.str("accumulator").parse().ok();
    if how == Some(Accumulator::Exact) {
        return l.fail(n.op, scope, i, "the exact accumulator has no compiled form");
    }
    let (sa, sb) = (sizes(scope, n.inputs[0]), sizes(scope, n.inputs[1]));
    let d = DotAxes::new(&n.attrs, sa.len(), sb.len());
    let (da, db) = (dense(&sa), dense(&sb));
    let out = results(scope, i)[0];
    let result = sizes(scope, out);
    let pick = |axes: &[usize], s: &[isize]| axes.iter().map(|a| s[*a]).collect::<Vec<_>>();
    let none = |n: usize| vec![0isize; n];
    let free = Nest {
        dims: result.clone(),
        strides: vec![
            [pick(&d.lhs_batch, &da), pick(&d.lhs_free, &da), none(d.rhs_free.len())].concat(),
            [pick(&d.rhs_batch, &db), none(d.lhs_free.len()), pick(&d.rhs_free, &db)].concat(),
            dense(&result),
        ],
        offsets: vec![0; 3],
    };
    let inner = Nest {
        dims: d.lhs_contract.iter().map(|a| sa[*a]).collect(),
        strides: vec![pick(&d.lhs_contract, &da), pick(&d.rhs_contract, &db)],
        offsets: vec![0; 2],
    };
    let dot = Dot { free: free.merged(), inner: inner.merged(), dtype: n.types[0].dtype, how };
    let args = [l.read(b, scope, n.inputs[0]), l.read(b, scope, n.inputs[1]), l.write(b, scope, out)];
    let types = l.types;
    l.kernel(b, "dot", &format!("{dot:?}"), &args, false, |b, m| {
        let cells = |k: usize| Cells { memory: m[k], dtype: dot.dtype, types };
        dot.emit(b, [cells(0), cells(1), cells(2)], types);
        None
    });
}

impl Dot {
    fn lanes(&self, types: Types) -> Lanes {
        let kind = types.compute(self.dtype);
        if matches!(kind, Kind::F80 | Kind::F128)
            || super::value::extended(self.how).is_some()
            || self.how == Some(Accumulator::Plain)
            || self.is_compensated(types)
        {
            return Lanes::None;
        }
        let n = if kind == Kind::F64 || self.kept_in(types) == Kind::F64 { 8 } else { 16 };
        let s = [0, 1, 2].map(|k| self.free.step(k));
        if self.free.inner() >= n && s[2] == 1 && (s[0] == 0 && s[1] == 1 || s[0] == 1 && s[1] == 0) {
            Lanes::Beside(n)
        } else if self.inner.inner() >= n && self.inner.step(0) == 1 && self.inner.step(1) == 1 {
            Lanes::Along(n)
        } else {
            Lanes::None
        }
    }

    fn kept_in(&self, types: Types) -> Kind {
        match (types.compute(self.dtype), self.how) {
            (Kind::F32, Some(Accumulator::Wider | Accumulator::Compensated | Accumulator::Pairwise)) => {
                Kind::F64
            }
            (kind @ (Kind::F32 | Kind::F64), how) => super::value::extended(how).unwrap_or(kind),
            (kind, _) => kind,
        }
    }

    fn is_compensated(&self, types: Types) -> bool {
        let more =
            matches!(self.how, Some(Accumulator::Wider | Accumulator::Compensated | Accumulator::Pairwise));
        more && types.compute(self.dtype) != Kind::F32
    }

    fn emit(&self, b: &mut Builder, m: [Cells; 3], types: Types) {
        let lanes = self.lanes(types);
        let last = self.free.dims.len() - 1;
        // Rows of a tile read the same part of the operand that moves along the innermost axis.
        let moving = if self.free.step(1) != 0 { 1 } else { 0 };
        let rows =
            (last > 0 && self.free.strides[moving][last - 1] == 0 && lanes != Lanes::None).then(|| last - 1);
        let outer = Nest {
            dims: self.free.dims[..rows.unwrap_or(last)].to_vec(),
            strides: self.free.strides.iter().map(|s| s[..rows.unwrap_or(last)].to_vec()).collect(),
            offsets: self.free.offsets.clone(),
        };
        outer.each(b, &mut |b, at| match rows {
            None => self.columns(b, m, types, lanes, at, None, 1),
            Some(axis) => {
                let n = self.free.dims[axis];
                let whole = n - n % ROWS;
                for (from, to, step) in [(0, whole, ROWS), (whole, n, 1)] {
                    if to > from {
                        b.for_(from, to, step, (), |b, i, ()| {
                            let at: Vec<Value<Index>> =
                                (0..3).map(|k| moved(b, at[k], i, self.free.strides[k][axis])).collect();
                            self.columns(b, m, types, lanes, &at, Some(axis), step);
                        });
                    }
                }
            }
        });
    }

    /// The innermost axis in tiles.
    fn columns(
        &self,
        b: &mut Builder,
        m: [Cells; 3],
        types: Types,
        lanes: Lanes,
        at: &[Value<Index>],
        axis: Option<usize>,
        rows: usize,
    ) {
        let n = self.free.inner();
        // (elements, vectors or sums, whether vectors) of the tiles, the widest first.
        let list = match lanes {
            Lanes::Beside(w) => vec![(4 * w, 4, lanes), (w, 1, lanes), (1, 1, Lanes::None)],
            Lanes::Along(_) => vec![(4, 4, lanes), (1, 1, lanes)],
            Lanes::None => vec![(1, 1, lanes)],
        };
        let mut from = 0;
        for (width, count, lanes) in list {
            let to = from + (n - from) / width * width;
            if to > from {
                b.for_(from, to, width, (), |b, j, ()| {
                    let at: Vec<Value<Index>> =
                        (0..3).map(|k| moved(b, at[k], j, self.free.step(k))).collect();
                    self.tile(b, m, types, lanes, &at, axis, rows, count);
                });
            }
            from = to;
        }
    }

    /// A tile of rows × count sums, or vectors of sums.
    fn tile(
        &self,
        b: &mut Builder,
        m: [Cells; 3],
        types: Types,
        lanes: Lanes,
        at: &[Value<Index>],
        axis: Option<usize>,
        rows: usize,
        count: usize,
    ) {
        if self.is_compensated(types) {
            let made = self.compensated(b, m, at);
            return m[2].store(b, at[2], made);
        }
        let k = self.kept_in(types);
        // From one of the tile's vectors to the next, along the innermost axis.
        let pitch = if let Lanes::Beside(w) = lanes { w } else { 1 };
        let place = |b: &mut Builder, which: usize, r: usize, c: usize| {
            let by = axis.map_or(0, |a| self.free.strides[which][a]) * r as isize
                + self.free.step(which) * (c * pitch) as isize;
            let by = b.index(by as i64);
            b.addi(at[which], by)
        };
        let w = match lanes {
            Lanes::Beside(w) | Lanes::Along(w) => Some(w),
            Lanes::None => None,
        };
        let zero = number(b, shaped(k, w), 0.0);
        let tail = number(b, shaped(k, None), 0.0);
        let along = matches!(lanes, Lanes::Along(_));
        // Which rows and columns an operand depends on.
        let moves =
            [0, 1].map(|o| (axis.is_some_and(|a| self.free.strides[o][a] != 0), self.free.step(o) != 0));
        let mut acc = vec![zero; rows * count];
        if along {
            acc.extend(vec![tail; rows * count]);
        }
        let step = |b: &mut Builder, acc: &[V], p: [Value<Index>; 2], w: Option<usize>| -> Vec<V> {
            // Each operand once for what it depends on.
            let load = |b: &mut Builder, o: usize| -> Vec<Vec<V>> {
                let (by_row, by_column) = moves[o];
                (0..if by_row { rows } else { 1 })
                    .map(|r| {
                        (0..if by_column { count } else { 1 })
                            .map(|c| {
                                let base = place(b, o, r, c);
                                let here = b.addi(base, p[o]);
                                let vector =
                                    along && w.is_some() || !along && self.free.step(o) == 1 && w.is_some();
                                let x = m[o].load(b, here, if vector { w } else { None });
                                let x = convertf(b, x, k);
                                if vector { x } else { spread(b, x, w) }
                            })
                            .collect()
                    })
                    .collect()
            };
            let (x, y) = (load(b, 0), load(b, 1));
            let get = |v: &Vec<Vec<V>>, r: usize, c: usize| {
                let row = &v[if v.len() > 1 { r } else { 0 }];
                row[if row.len() > 1 { c } else { 0 }]
            };
            (0..rows * count)
                .map(|t| {
                    let (x, y) = (get(&x, t / count, t % count), get(&y, t / count, t % count));
                    multiply_add(b, x, y, acc[t])
                })
                .collect()
        };
        let origin = b.index(0);
        let (n, tiles) = (self.inner.inner(), rows * count);
        let whole = if let Lanes::Along(w) = lanes { n - n % w } else { 0 };
        let out = self.walk(b, 0, [origin, origin], acc, &mut |b, p, v| {
            let mut v = v;
            if along && whole > 0 {
                let many = b.for_(0, whole, w.unwrap_or(1), v[..tiles].to_vec(), |b, i, v| {
                    let p = [0, 1].map(|o| moved(b, p[o], i, self.inner.step(o)));
                    step(b, &v, p, w)
                });
                v.splice(..tiles, many);
            }
            if whole < n {
                let range = if along { tiles..2 * tiles } else { 0..tiles };
                let w = if along { None } else { w };
                let made = b.for_(whole, n, 1, v[range.clone()].to_vec(), |b, i, v| {
                    let p = [0, 1].map(|o| moved(b, p[o], i, self.inner.step(o)));
                    step(b, &v, p, w)
                });
                v.splice(range, made);
            }
            v
        });
        for t in 0..tiles {
            let mut made = out[t];
            if along {
                let sum: V = b.generic(
                    "vector.reduction",
                    made,
                    "kind = #vector.kind<add>, fastmath = #arith.fastmath<reassoc>",
                    AnyType::Scalar(k),
                );
                made = op2(b, "arith.addf", sum, out[tiles + t]);
            }
            let to = place(b, 2, t / count, t % count);
            m[2].store(b, to, made);
        }
    }

    /// Runs `body` at each position of the contracted axes but the innermost.
    fn walk(
        &self,
        b: &mut Builder,
        axis: usize,
        place: [Value<Index>; 2],
        carried: Vec<V>,
        body: &mut dyn FnMut(&mut Builder, [Value<Index>; 2], Vec<V>) -> Vec<V>,
    ) -> Vec<V> {
        if axis + 1 >= self.inner.dims.len() {
            return body(b, place, carried);
        }
        b.for_(0, self.inner.dims[axis], 1, carried, |b, i, v| {
            let next = [0, 1].map(|o| moved(b, place[o], i, self.inner.strides[o][axis]));
            self.walk(b, axis + 1, next, v, body)
        })
    }

    /// One sum in twice the digits (Ogita, Rump and Oishi 2005).
    fn compensated(&self, b: &mut Builder, m: [Cells; 3], at: &[Value<Index>]) -> V {
        let ty = shaped(m[0].types.compute(self.dtype), None);
        let zero = number(b, ty, 0.0);
        let n = self.inner.inner();
        let out = self.walk(b, 0, [at[0], at[1]], vec![zero, zero], &mut |b, p, v| {
            b.for_(0, n, 1, v, |b, i, v| {
                let [x, y] = [0, 1].map(|o| {
                    let at = moved(b, p[o], i, self.inner.step(o));
                    m[o].load(b, at, None)
                });
                let high = op2(b, "arith.mulf", x, y);
                let minus = super::value::op1(b, "arith.negf", high);
                let low = multiply_add(b, x, y, minus);
                let s = op2(b, "arith.addf", v[0], high);
                let t = op2(b, "arith.subf", s, v[0]);
                let rest = op2(b, "arith.subf", s, t);
                let (left, right) = (op2(b, "arith.subf", v[0], rest), op2(b, "arith.subf", high, t));
                let error = op2(b, "arith.addf", left, right);
                let error = op2(b, "arith.addf", error, low);
                let none = cmpf(b, Fcmp::Uno, error, error);
                let error = select(b, none, zero, error);
                vec![s, op2(b, "arith.addf", v[1], error)]
            })
        });
        op2(b, "arith.addf", out[0], out[1])
    }
}

/// x y + z: rounded once where the machine has that, twice in wide arithmetics.
fn multiply_add(b: &mut Builder, x: V, y: V, z: V) -> V {
    match kind(x) {
        Kind::F80 | Kind::F128 => {
            let product = op2(b, "arith.mulf", x, y);
            op2(b, "arith.addf", product, z)
        }
        _ => b.generic("math.fma", (x, y, z), "", x.ty()),
    }
}
