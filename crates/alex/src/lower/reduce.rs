//! Sums, extrema and their positions over any axes.
//!
//! Sums of f32 (and of what is computed with in f32) are kept in f64, sums of wider floats in the arithmetic at hand, as
//! `plain` and `compensated` ask for. Vectors run along the folded axes where these lie together, else along the kept ones.

use super::nest::{Nest, dense, moved};
use super::step::{results, sizes};
use super::value::{
    Cells, Fcmp, Icmp, Types, V, cmpf, cmpi, convertf, int, kind, number, op2, select, shaped,
};
use super::{Lowering, Scope, moves};
use crate::ir::{AnyType, Builder, CmpI, FuncOptions, I64, Index, Kind, Value};
use axes::DType;
use graph::{Accumulator, Op};

/// A reduction without the names of its values.
#[derive(Clone, Debug)]
struct Fold {
    op: Op,
    /// Kept axes: strides of the operand and of the result.
    kept: Nest,
    /// Folded axes: strides of the operand.
    folded: Nest,
    from: DType,
    to: DType,
    how: Option<Accumulator>,
}

/// Lowers a reduction.
pub(crate) fn node(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) {
    let n = &scope.plan.graph.nodes[i as usize];
    let axes = match n.op {
        Op::ArgMax => vec![n.attrs.int("axis", 0) as usize],
        _ => n.attrs.ints("axes"),
    };
    let (shape, out) = (sizes(scope, n.inputs[0]), results(scope, i)[0]);
    let (from, to) = (scope.plan.graph.ty(n.inputs[0]).dtype, n.types[0].dtype);
    let how: Option<Accumulator> = n.attrs.str("accumulator").parse().ok();
    if how == Some(Accumulator::Exact) {
        return l.fail(n.op, scope, i, "the exact accumulator has no compiled form");
    }
    let own = dense(&shape);
    let kept: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).collect();
    let pick = |list: &[usize]| -> (Vec<usize>, Vec<isize>) {
        (list.iter().map(|a| shape[*a]).collect(), list.iter().map(|a| own[*a]).collect())
    };
    let ((kept_dims, kept_strides), (dims, strides)) = (pick(&kept), pick(&axes));
    let args = [l.read(b, scope, n.inputs[0]), l.write(b, scope, out)];
    if dims.contains(&0) {
        if n.op != Op::ReduceSum {
            return l.fail(n.op, scope, i, "an empty axis has no extremum");
        }
        let (kind, len) = (l.types.storage(to), args[1].len);
        l.kernel(b, "fill", "0", &args[1..], false, |b, m| {
            moves::filled(b, m[0], kind, len, 0.0);
            None
        });
        return;
    }
    let result = dense(&kept_dims);
    let kept = Nest { dims: kept_dims, strides: vec![kept_strides, result], offsets: vec![0, 0] }.merged();
    let folded = Nest { dims, strides: vec![strides], offsets: vec![0] }.merged();
    let fold = Fold { op: n.op, kept, folded, from, to, how };
    let (key, types) = (format!("{fold:?}"), l.types);
    l.kernel(b, n.op.name(), &key, &args, false, |b, m| {
        let x = Cells { memory: m[0], dtype: fold.from, types };
        let y = Cells { memory: m[1], dtype: fold.to, types };
        if fold.op == Op::ArgMax {
            fold.positions(b, x, y)
        } else {
            fold.emit(b, x, y)
        }
        None
    });
}

impl Fold {
    /// In which kind the fold is kept.
    fn kept_in(&self, types: Types) -> Kind {
        match types.compute(self.from) {
            Kind::F32 | Kind::F64
                if self.op == Op::ReduceSum && super::value::extended(self.how).is_some() =>
            {
                super::value::extended(self.how).unwrap_or(Kind::F128)
            }
            Kind::F32 if self.op == Op::ReduceSum && self.how != Some(Accumulator::Plain) => Kind::F64,
            kind => kind,
        }
    }

    /// Lanes along the folded axes, and along the kept ones.
    fn lanes(&self, types: Types) -> (Option<usize>, Option<usize>) {
        let kind = self.kept_in(types);
        let kind = if matches!(kind, Kind::F80 | Kind::F128) { kind } else { types.compute(self.from) };
        let one_by_one =
            matches!(self.how, Some(Accumulator::Plain | Accumulator::Compensated | Accumulator::Wider))
                && (self.how == Some(Accumulator::Plain) || kind != Kind::F32);
        if matches!(kind, Kind::F80 | Kind::F128 | Kind::I1) || one_by_one {
            return (None, None);
        }
        let n = if kind.bits() == 64 { 8 } else { 16 };
        if self.folded.step(0) == 1 && self.folded.inner() >= n {
            (Some(n), None)
        } else if self.kept.step(0) == 1 && self.kept.inner() >= n {
            (None, Some(n))
        } else {
            (None, None)
        }
    }

    /// A fold of two values.
    fn join(&self, b: &mut Builder, x: V, y: V) -> V {
        let float = kind(x).is_float();
        let op = match (self.op, float) {
            (Op::ReduceSum, true) => "arith.addf",
            (Op::ReduceSum, false) => "arith.addi",
            (Op::ReduceMax, true) => "arith.maximumf",
            (Op::ReduceMax, false) => "arith.maxsi",
            (_, true) => "arith.minimumf",
            (_, false) => "arith.minsi",
        };
        op2(b, op, x, y)
    }

    /// What a fold begins with.
    fn start(&self, b: &mut Builder, ty: AnyType) -> V {
        let float = ty.kind().is_some_and(Kind::is_float);
        let x = match self.op {
            Op::ReduceMax if float => f64::NEG_INFINITY,
            Op::ReduceMin if float => f64::INFINITY,
            Op::ReduceMax => return int(b, ty, i64::MIN),
            Op::ReduceMin => return int(b, ty, i64::MAX),
            _ => 0.0,
        };
        number(b, ty, x)
    }

    /// A vector of the fold joined to one value.
    fn across(&self, b: &mut Builder, x: V) -> V {
        let float = kind(x).is_float();
        let how = match (self.op, float) {
            (Op::ReduceSum, _) => "add",
            (Op::ReduceMax, true) => "maximumf",
            (Op::ReduceMax, false) => "maxsi",
            (_, true) => "minimumf",
            (_, false) => "minsi",
        };
        b.generic("vector.reduction", x, &format!("kind = #vector.kind<{how}>"), AnyType::Scalar(kind(x)))
    }

    fn emit(&self, b: &mut Builder, x: Cells, y: Cells) {
        let (along, beside) = self.lanes(x.types);
        let n = self.kept.inner();
        let whole = beside.map_or(0, |w| n - n % w);
        self.kept.outer(b, &mut |b, at| {
            let (sx, sy) = (self.kept.step(0), self.kept.step(1));
            let run = |b: &mut Builder, i: Value<Index>, w: Option<usize>| {
                let (from, to) = (moved(b, at[0], i, sx), moved(b, at[1], i, sy));
                let made = self.one(b, x, from, along, w);
                y.store(b, to, made);
            };
            if let Some(w) = beside
                && whole > 0
            {
                b.for_(0, whole, w, (), |b, i, ()| run(b, i, Some(w)));
            }
            if whole < n {
                b.for_(whole, n, 1, (), |b, i, ()| run(b, i, None));
            }
        });
    }

    /// The fold from one place of the operand on; a vector of them with lanes beside.
    fn one(
        &self,
        b: &mut Builder,
        x: Cells,
        from: Value<Index>,
        along: Option<usize>,
        beside: Option<usize>,
    ) -> V {
        let k = self.kept_in(x.types);
        let scalar = shaped(k, beside);
        let wide = |b: &mut Builder, v: V| if k.is_float() { convertf(b, v, k) } else { v };
        if self.how.is_some_and(|h| matches!(h, Accumulator::Compensated | Accumulator::Wider))
            && k != Kind::F32
            && beside.is_none()
            && along.is_none()
            && self.op == Op::ReduceSum
        {
            return self.compensated(b, x, from, scalar);
        }
        if matches!(k, Kind::F80 | Kind::F128)
            && matches!(self.how, None | Some(Accumulator::Pairwise))
            && self.op == Op::ReduceSum
        {
            return self.pairwise(b, x, from, k);
        }
        let n = self.folded.inner();
        let whole = along.map_or(0, |w| n - n % w);
        let first = self.start(b, scalar);
        let lanes = along.map(|w| self.start(b, shaped(k, Some(w))));
        let carried: Vec<V> = std::iter::once(first).chain(lanes).collect();
        let out = self.walk(b, 0, from, carried, &mut |b, place, v| {
            let mut v = v;
            if let Some(w) = along
                && whole > 0
            {
                v[1] = b.for_(0, whole, w, v[1], |b, i, acc| {
                    let at = b.addi(place, i);
                    let term = x.load(b, at, Some(w));
                    let term = wide(b, term);
                    self.join(b, acc, term)
                });
            }
            if whole < n {
                v[0] = b.for_(whole, n, 1, v[0], |b, i, acc| {
                    let at = moved(b, place, i, self.folded.step(0));
                    let term = x.load(b, at, beside);
                    let term = wide(b, term);
                    self.join(b, acc, term)
                });
            }
            v
        });
        match out[..] {
            [one, many] => {
                let many = self.across(b, many);
                self.join(b, one, many)
            }
            _ => out[0],
        }
    }

    /// Runs `body` at each position of the folded axes but the innermost.
    fn walk(
        &self,
        b: &mut Builder,
        axis: usize,
        place: Value<Index>,
        carried: Vec<V>,
        body: &mut dyn FnMut(&mut Builder, Value<Index>, Vec<V>) -> Vec<V>,
    ) -> Vec<V> {
        if axis + 1 >= self.folded.dims.len() {
            return body(b, place, carried);
        }
        b.for_(0, self.folded.dims[axis], 1, carried, |b, i, v| {
            let next = moved(b, place, i, self.folded.strides[0][axis]);
            self.walk(b, axis + 1, next, v, body)
        })
    }

    /// A sum in pairs, by halves, as the op's specification has it: a function that calls itself.
    fn pairwise(&self, b: &mut Builder, x: Cells, from: Value<Index>, k: Kind) -> V {
        let (dims, strides) = (&self.folded.dims, &self.folded.strides[0]);
        let symbol = format!("pairwise_{k}_{dims:?}_{strides:?}_{}", x.memory.ty());
        let symbol: String =
            symbol.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let (ty, index) = (AnyType::Scalar(k), AnyType::Scalar(Kind::Index));
        if !b.module().has(&symbol) {
            let options = FuncOptions::new(symbol.clone())
                .private()
                .attribute("llvm.linkage = #llvm.linkage<internal>");
            b.module().function(options, vec![x.memory.ty(), index, index, index], |b, v| {
                let [base, first, n] = [v[1], v[2], v[3]].map(|v| b.expect(v, Index));
                let here = Cells { memory: v[0], ..x };
                let one = b.index(1);
                let single = b.cmpi(CmpI::Eq, n, one);
                b.if_(
                    single,
                    |b| {
                        // The position of a term among the folded axes, the last of which moves fastest.
                        let (mut place, mut rest) = (base, first);
                        for (size, stride) in dims.iter().zip(strides).rev() {
                            let size = b.index(*size as i64);
                            let along = b.remui(rest, size);
                            rest = b.divui(rest, size);
                            place = moved(b, place, along, *stride);
                        }
                        here.load(b, place, None)
                    },
                    |b| {
                        let two = b.index(2);
                        let half = b.divui(n, two);
                        let more = b.subi(n, half);
                        let next = b.addi(first, half);
                        let call = |b: &mut Builder, first: Value<Index>, n: Value<Index>| -> V {
                            b.call_symbol(&symbol, vec![v[0], base.any(), first.any(), n.any()], ty)
                        };
                        let (left, right) = (call(b, first, half), call(b, next, more));
                        op2(b, "arith.addf", left, right)
                    },
                )
            });
        }
        let (zero, n) = (b.index(0), b.index(dims.iter().product::<usize>() as i64));
        b.call_symbol(&symbol, vec![x.memory, from.any(), zero.any(), n.any()], ty)
    }

    /// A sum with the lost parts in a second number (Neumaier 1974, as TwoSum).
    fn compensated(&self, b: &mut Builder, x: Cells, from: Value<Index>, ty: AnyType) -> V {
        let zero = number(b, ty, 0.0);
        let n = self.folded.inner();
        let out = self.walk(b, 0, from, vec![zero, zero], &mut |b, place, v| {
            b.for_(0, n, 1, v, |b, i, v| {
                let at = moved(b, place, i, self.folded.step(0));
                let term = x.load(b, at, None);
                let s = op2(b, "arith.addf", v[0], term);
                let t = op2(b, "arith.subf", s, v[0]);
                let rest = op2(b, "arith.subf", s, t);
                let left = op2(b, "arith.subf", v[0], rest);
                let right = op2(b, "arith.subf", term, t);
                let error = op2(b, "arith.addf", left, right);
                // Infinities have no error term.
                let none = cmpf(b, Fcmp::Uno, error, error);
                let error = select(b, none, zero, error);
                vec![s, op2(b, "arith.addf", v[1], error)]
            })
        });
        op2(b, "arith.addf", out[0], out[1])
    }

    /// The position of the first of the largest along the folded axis.
    fn positions(&self, b: &mut Builder, x: Cells, y: Cells) {
        self.kept.each(b, &mut |b, at| {
            let zero = b.index(0);
            let first = x.load(b, at[0], None);
            let none = int(b, AnyType::Scalar(Kind::I64), 0);
            let out = b.for_(zero, self.folded.inner(), 1, vec![first, none], |b, i, v| {
                let place = moved(b, at[0], i, self.folded.step(0));
                let term = x.load(b, place, None);
                let larger = match kind(term) {
                    Kind::I1 => {
                        let [t, m] = [term, v[0]].map(|v| super::value::converti(b, v, Kind::I8, true));
                        cmpi(b, Icmp::Sgt, t, m)
                    }
                    k if k.is_float() => cmpf(b, Fcmp::Ogt, term, v[0]),
                    _ => cmpi(b, Icmp::Sgt, term, v[0]),
                };
                let here = b.index_cast(i, I64).any();
                vec![select(b, larger, term, v[0]), select(b, larger, here, v[1])]
            });
            y.store(b, at[1], out[1]);
        });
    }
}
