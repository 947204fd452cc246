//! Rows and elements taken and added by index, orders along an axis.
//!
//! An index outside its table is never followed: the kernel reads or writes row 0 instead and tells that it refuses, and the
//! run's status is the number of its step.

use super::step::{results, sizes};
use super::value::{Cells, Fcmp, Icmp, V, at, cmpf, cmpi, int, kind, op2, select, shaped};
use super::{Lowering, Scope, moves};
use crate::ir::{AnyType, Builder, I1, I64, Index, Kind, Value};
use graph::Op;

const WORD: AnyType = AnyType::Scalar(Kind::I64);
const FLAG: AnyType = AnyType::Scalar(Kind::I32);

/// An index that is inside a table of n rows: itself or 0, and the flag, which is 1 once an index was outside.
fn checked(b: &mut Builder, index: V, n: usize, flag: V) -> (Value<Index>, V) {
    let (rows, zero, one) = (int(b, WORD, n as i64), int(b, WORD, 0), int(b, FLAG, 1));
    let inside = cmpi(b, Icmp::Ult, index, rows);
    let safe = select(b, inside, index, zero);
    let safe = b.expect(safe, I64);
    let flag = select(b, inside, flag, one);
    (b.index_cast(safe, Index), flag)
}

/// A loop that carries the flag.
fn flagged(b: &mut Builder, n: usize, flag: V, body: impl FnOnce(&mut Builder, Value<Index>, V) -> V) -> V {
    b.for_(0, n, 1, flag, body)
}

/// Lowers an op on indices; what it gives is 1 where an index was outside.
pub(crate) fn node(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) -> Option<V> {
    match scope.plan.graph.nodes[i as usize].op {
        Op::Gather => gather(l, b, scope, i),
        Op::ScatterAdd => scatter_add(l, b, scope, i),
        Op::ArgSort | Op::CumulativeArgMax => order(l, b, scope, i),
        _ => along(l, b, scope, i),
    }
}

fn gather(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) -> Option<V> {
    let n = &scope.plan.graph.nodes[i as usize];
    let (table, indices, out) = (n.inputs[0], n.inputs[1], results(scope, i)[0]);
    let shape = sizes(scope, table);
    let (rows, width) = (shape[0], shape[1..].iter().product::<usize>());
    let count: usize = sizes(scope, indices).iter().product();
    if count == 0 {
        return None;
    }
    let (types, ids) = (l.types, scope.plan.graph.ty(indices).dtype);
    let storage = types.storage(n.types[0].dtype);
    let args = [l.read(b, scope, table), l.read(b, scope, indices), l.write(b, scope, out)];
    if rows == 0 {
        return Some(int(b, FLAG, 1));
    }
    l.kernel(b, "gather", &format!("{rows} {width} {ids:?}"), &args, true, |b, m| {
        let ids = Cells { memory: m[1], dtype: ids, types };
        let flag = int(b, FLAG, 0);
        Some(flagged(b, count, flag, |b, k, flag| {
            let index = ids.load(b, k, None);
            let (row, flag) = checked(b, index, rows, flag);
            let w = b.index(width as i64);
            let (from, to) = (b.muli(row, w), b.muli(k, w));
            b.for_(0, width, 1, (), |b, c, ()| {
                let (from, to) = (b.addi(from, c), b.addi(to, c));
                let x: V = b.generic("memref.load", (m[0], from), "", AnyType::Scalar(storage));
                let () = b.generic("memref.store", (x, m[2], to), "", ());
            });
            flag
        }))
    })
}

fn scatter_add(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) -> Option<V> {
    let n = &scope.plan.graph.nodes[i as usize];
    if !matches!(n.attrs.str("accumulator"), "" | "plain") {
        l.fail(n.op, scope, i, "sums by index are plain in compiled code");
        return None;
    }
    let (indices, updates, out) = (n.inputs[0], n.inputs[1], results(scope, i)[0]);
    let shape = sizes(scope, out);
    let (rows, width) = (shape[0], shape[1..].iter().product::<usize>());
    let count: usize = sizes(scope, indices).iter().product();
    let (types, ids, dtype) = (l.types, scope.plan.graph.ty(indices).dtype, n.types[0].dtype);
    let args = [l.read(b, scope, indices), l.read(b, scope, updates), l.write(b, scope, out)];
    let (storage, len) = (types.storage(dtype), args[2].len);
    let narrow = storage.bits() < types.compute(dtype).bits();
    l.kernel(b, "scatter_add", &format!("{rows} {width} {ids:?}"), &args, true, |b, m| {
        let ids = Cells { memory: m[0], dtype: ids, types };
        let (x, y) = (Cells { memory: m[1], dtype, types }, Cells { memory: m[2], dtype, types });
        let flag = int(b, FLAG, 0);
        if narrow {
            // Rounded once: the sum of a row's updates is kept wide, so the updates are searched for each element.
            return Some(searched(b, (ids, x, y), (count, rows, width), flag));
        }
        moves::filled(b, m[2], storage, len, 0.0);
        Some(flagged(b, count, flag, |b, k, flag| {
            let index = ids.load(b, k, None);
            let (row, flag) = checked(b, index, rows, flag);
            b.for_(0, width, 1, (), |b, c, ()| {
                let (from, to) = (at(b, k, width, c), at(b, row, width, c));
                let (u, v) = (x.load(b, from, None), y.load(b, to, None));
                let sum = op2(b, "arith.addf", v, u);
                y.store(b, to, sum);
            });
            flag
        }))
    })
}

/// Rows × width sums over the updates whose index is the row.
fn searched(
    b: &mut Builder,
    (ids, x, y): (Cells, Cells, Cells),
    (count, rows, width): (usize, usize, usize),
    flag: V,
) -> V {
    let flag = flagged(b, count, flag, |b, k, flag| {
        let index = ids.load(b, k, None);
        checked(b, index, rows, flag).1
    });
    b.for_(0, rows, 1, (), |b, r, ()| {
        let row = b.index_cast(r, I64).any();
        b.for_(0, width, 1, (), |b, c, ()| {
            let ty = shaped(x.types.compute(x.dtype), None);
            let zero = super::value::float(b, ty, 0.0);
            let sum = b.for_(0, count, 1, zero, |b, k, sum| {
                let index = ids.load(b, k, None);
                let mine = cmpi(b, Icmp::Eq, index, row);
                let from = at(b, k, width, c);
                let u = x.load(b, from, None);
                let more = op2(b, "arith.addf", sum, u);
                select(b, mine, more, sum)
            });
            let to = at(b, r, width, c);
            y.store(b, to, sum);
        });
    });
    flag
}

/// [`searched`] along an axis: sums of narrow floats, rounded once.
fn searched_along(
    b: &mut Builder,
    (ids, x, y): (Cells, Cells, Cells),
    [before, count, after, rows]: [usize; 4],
    flag: V,
) -> V {
    let flag = flagged(b, before * count * after, flag, |b, k, flag| {
        let index = ids.load(b, k, None);
        checked(b, index, rows, flag).1
    });
    b.for_(0, before, 1, (), |b, outer, ()| {
        b.for_(0, rows, 1, (), |b, r, ()| {
            let row = b.index_cast(r, I64).any();
            b.for_(0, after, 1, (), |b, inner, ()| {
                let zero = super::value::float(b, shaped(x.types.compute(x.dtype), None), 0.0);
                let sum = b.for_(0, count, 1, zero, |b, k, sum| {
                    let line = at(b, outer, count, k);
                    let here = at(b, line, after, inner);
                    let (index, u) = (ids.load(b, here, None), x.load(b, here, None));
                    let mine = cmpi(b, Icmp::Eq, index, row);
                    let more = op2(b, "arith.addf", sum, u);
                    select(b, mine, more, sum)
                });
                let line = at(b, outer, rows, r);
                let to = at(b, line, after, inner);
                y.store(b, to, sum);
            });
        });
    });
    flag
}

/// Sizes before, along and after an axis.
fn split(shape: &[usize], axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

/// `take_along`, `scatter_add_along`, `last_writer`.
fn along(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) -> Option<V> {
    let n = &scope.plan.graph.nodes[i as usize];
    let (op, axis, out) = (n.op, n.attrs.int("axis", 0) as usize, results(scope, i)[0]);
    let indices = if op == Op::TakeAlong { n.inputs[1] } else { n.inputs[0] };
    let [before, count, after] = split(&sizes(scope, indices), axis);
    let rows = match op {
        Op::TakeAlong => sizes(scope, n.inputs[0])[axis],
        _ => sizes(scope, out)[axis],
    };
    let (types, ids, dtype) = (l.types, scope.plan.graph.ty(indices).dtype, n.types[0].dtype);
    let mut args = vec![l.read(b, scope, indices)];
    if op != Op::LastWriter {
        let other = n.inputs.iter().copied().find(|v| *v != indices).unwrap_or(indices);
        args.push(l.read(b, scope, other));
    }
    args.push(l.write(b, scope, out));
    let (storage, len) = (types.storage(dtype), args[args.len() - 1].len);
    if before * count * after == 0 || rows == 0 {
        let refused = before * count * after > 0;
        if op != Op::TakeAlong && len > 0 {
            let fill: f64 = if op == Op::LastWriter { -1.0 } else { 0.0 };
            let target = &args[args.len() - 1..];
            l.kernel(b, "fill", &format!("{:x}", fill.to_bits()), target, false, |b, m| {
                moves::filled(b, m[0], storage, len, fill);
                None
            });
        }
        return refused.then(|| int(b, FLAG, 1));
    }
    let narrow = op == Op::ScatterAddAlong && storage.bits() < types.compute(dtype).bits();
    let key = format!("{before} {count} {after} {rows} {ids:?}");
    l.kernel(b, op.name(), &key, &args, true, |b, m| {
        let ids = Cells { memory: m[0], dtype: ids, types };
        let target = m[m.len() - 1];
        match op {
            Op::ScatterAddAlong => moves::filled(b, target, storage, len, 0.0),
            Op::LastWriter => moves::filled(b, target, storage, len, -1.0),
            _ => {}
        }
        let flag = int(b, FLAG, 0);
        if narrow {
            let (x, y) = (Cells { memory: m[1], dtype, types }, Cells { memory: target, dtype, types });
            return Some(searched_along(b, (ids, x, y), [before, count, after, rows], flag));
        }
        let out = flagged(b, before, flag, |b, outer, flag| {
            flagged(b, count, flag, |b, k, flag| {
                flagged(b, after, flag, |b, inner, flag| {
                    let line = at(b, outer, count, k);
                    let here = at(b, line, after, inner);
                    let index = ids.load(b, here, None);
                    let (row, flag) = checked(b, index, rows, flag);
                    let line = at(b, outer, rows, row);
                    let there = at(b, line, after, inner);
                    match op {
                        Op::TakeAlong => {
                            let x: V = b.generic("memref.load", (m[1], there), "", AnyType::Scalar(storage));
                            let () = b.generic("memref.store", (x, target, here), "", ());
                        }
                        Op::LastWriter => {
                            let k = b.index_cast(k, I64).any();
                            let () = b.generic("memref.store", (k, target, there), "", ());
                        }
                        _ => {
                            let (x, y) = (
                                Cells { memory: m[1], dtype, types },
                                Cells { memory: target, dtype, types },
                            );
                            let (u, v) = (x.load(b, here, None), y.load(b, there, None));
                            let sum = op2(b, "arith.addf", v, u);
                            y.store(b, there, sum);
                        }
                    }
                    flag
                })
            })
        });
        Some(out)
    })
}

/// Whether `x` comes strictly behind `y` in rising order, NaN behind everything.
fn behind(b: &mut Builder, x: V, y: V) -> V {
    if kind(x) == Kind::I1 {
        let [x, y] = [x, y].map(|v| super::value::converti(b, v, Kind::I8, true));
        return cmpi(b, Icmp::Sgt, x, y);
    }
    if !kind(x).is_float() {
        return cmpi(b, Icmp::Sgt, x, y);
    }
    let (larger, odd) = (cmpf(b, Fcmp::Ogt, x, y), cmpf(b, Fcmp::Uno, x, x));
    let plain = cmpf(b, Fcmp::Oeq, y, y);
    let last = op2(b, "arith.andi", odd, plain);
    op2(b, "arith.ori", larger, last)
}

/// `argsort` by insertion, stable, and `cumulative_argmax`.
fn order(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) -> Option<V> {
    let n = &scope.plan.graph.nodes[i as usize];
    let (op, axis, down) = (n.op, n.attrs.int("axis", 0) as usize, n.attrs.flag("descending"));
    let [before, count, after] = split(&sizes(scope, n.inputs[0]), axis);
    let (types, dtype, out) = (l.types, scope.plan.graph.ty(n.inputs[0]).dtype, results(scope, i)[0]);
    let args = [l.read(b, scope, n.inputs[0]), l.write(b, scope, out)];
    l.kernel(b, op.name(), &format!("{before} {count} {after} {dtype:?} {down}"), &args, false, |b, m| {
        let x = Cells { memory: m[0], dtype, types };
        let y = Cells { memory: m[1], dtype: axes::DType::I64, types };
        b.for_(0, before, 1, (), |b, outer, ()| {
            b.for_(0, after, 1, (), |b, inner, ()| {
                let place = |b: &mut Builder, k: Value<Index>| {
                    let line = at(b, outer, count, k);
                    at(b, line, after, inner)
                };
                match op {
                    Op::ArgSort => sorted(b, count, down, x, y, &place),
                    _ => running(b, count, x, y, &place),
                }
            });
        });
        None
    })
}

type Place<'a> = &'a dyn Fn(&mut Builder, Value<Index>) -> Value<Index>;

fn running(b: &mut Builder, count: usize, x: Cells, y: Cells, place: Place<'_>) {
    let zero = b.index(0);
    let first = place(b, zero);
    let (best, none) = (x.load(b, first, None), int(b, WORD, 0));
    b.for_(0, count, 1, vec![best, none], |b, k, v| {
        let here = place(b, k);
        let (term, position) = (x.load(b, here, None), b.index_cast(k, I64).any());
        let larger = behind(b, term, v[0]);
        let next = vec![select(b, larger, term, v[0]), select(b, larger, position, v[1])];
        y.store(b, here, next[1]);
        next
    });
}

fn sorted(b: &mut Builder, count: usize, down: bool, x: Cells, y: Cells, place: Place<'_>) {
    b.for_(0, count, 1, (), |b, k, ()| {
        let here = place(b, k);
        let (term, mine) = (x.load(b, here, None), b.index_cast(k, I64).any());
        // Moves those up that come behind the new one.
        let one = b.index(1);
        let zero = b.index(0);
        let end = b.while_(
            k,
            |b, j| {
                let above = b.cmpi(crate::ir::CmpI::Sgt, j, zero);
                let go = b.if_(
                    above,
                    |b| {
                        let before = b.subi(j, one);
                        let before = place(b, before);
                        let other = y.load(b, before, None);
                        let other = b.expect(other, I64);
                        let other = b.index_cast(other, Index);
                        let other = place(b, other);
                        let other = x.load(b, other, None);
                        let moves = if down { behind(b, term, other) } else { behind(b, other, term) };
                        b.expect(moves, I1)
                    },
                    |b| b.int(I1, 0),
                );
                (go, j)
            },
            |b, j| {
                let before = b.subi(j, one);
                let (from, to) = (place(b, before), place(b, j));
                let moved = y.load(b, from, None);
                y.store(b, to, moved);
                before
            },
        );
        let to = place(b, end);
        y.store(b, to, mine);
    });
}
