//! Methods of numbers, arrays, ternary matrices and iterators.

use super::{Binding, Iter, Lowerer, View};
use crate::error::Result;
use crate::program::{Access, Expr, ExprKind, Function, StmtKind, Ty};
use kernel_syntax::{BinaryOp, Scalar, Span, Type};
use std::rc::Rc;

type Args<'e> = &'e [kernel_syntax::Expr];

impl Lowerer<'_> {
    pub(super) fn method(
        &mut self,
        receiver: &kernel_syntax::Expr,
        name: &str,
        types: &[Type],
        args: Args,
        expected: Option<&Type>,
        span: Span,
    ) -> Result<Binding> {
        // The result of what allocates is the array itself.
        if matches!(name, "unwrap" | "expect" | "unwrap_or" | "by_ref") {
            return match expected {
                Some(t) => self.expr_as(receiver, t),
                None => self.expr(receiver),
            };
        }
        let b = self.expr(receiver)?;
        match b {
            Binding::View(v) => self.array_method(v, name, types, args, expected, span),
            Binding::Ternary(a, s) => self.ternary_method(a, s, name, args, span),
            Binding::Iter(i) => self.iter_method(i, name, types, args, expected, span),
            Binding::Tuple(list) if matches!(name, "iter" | "into_iter" | "clone" | "to_vec") => {
                Ok(Binding::Tuple(list))
            }
            Binding::Tuple(list) if name == "len" => Ok(Binding::Value(self.int(list.len() as i128, span))),
            b @ (Binding::Value(_) | Binding::Var(_) | Binding::Place(_)) => {
                self.number_method(b, name, args, span)
            }
            other => self.error(span, format!("{} has no method `{name}`", other.what())),
        }
    }

    fn one<'e>(&self, args: Args<'e>, name: &str, span: Span) -> Result<&'e kernel_syntax::Expr> {
        match args {
            [one] => Ok(one),
            _ => self.error(span, format!("`{name}` takes one argument, found {}", args.len())),
        }
    }

    fn number_method(&mut self, b: Binding, name: &str, args: Args, span: Span) -> Result<Binding> {
        if matches!(name, "clone" | "to_owned" | "as_ref" | "as_mut" | "iter") {
            return Ok(b);
        }
        let x = self.scalar_of(b, span)?;
        if name == "into" {
            // To whatever type the other side has: a conversion that loses nothing.
            let ty = self.types.any();
            return Ok(Binding::Value(self.value_cast(x, ty, span)));
        }
        let x = if args.iter().any(|a| !Self::simple(a)) { self.stable(x)? } else { x };
        let mut all = vec![x.clone()];
        for a in args {
            all.push(self.expr_scalar(a)?);
        }
        let operator = match name {
            "add" => Some(BinaryOp::Add),
            "sub" => Some(BinaryOp::Sub),
            "mul" => Some(BinaryOp::Mul),
            "div" => Some(BinaryOp::Div),
            _ => None,
        };
        if let (Some(op), [a, b]) = (operator, &all[..]) {
            return Ok(Binding::Value(self.binary(op, a.clone(), b.clone(), span)?));
        }
        let float = |v: f64| ExprKind::Float(v);
        let ty = x.ty;
        let of = |kind: ExprKind| Expr { kind, ty, span };
        match name {
            "neg" => return Ok(Binding::Value(of(ExprKind::Negate(Box::new(x))))),
            "square" => return Ok(Binding::Value(self.binary(BinaryOp::Mul, x.clone(), x, span)?)),
            "reciprocal" => return Ok(Binding::Value(of(ExprKind::Call(Function::Recip, vec![x.clone()])))),
            "relu" => {
                let zero = of(float(0.0));
                return Ok(Binding::Value(of(ExprKind::Call(Function::Max, vec![x.clone(), zero]))));
            }
            "sigmoid" | "silu" => {
                let minus = of(ExprKind::Negate(Box::new(x.clone())));
                let e = of(ExprKind::Call(Function::Exp, vec![minus]));
                let below = self.binary(BinaryOp::Add, of(float(1.0)), e, span)?;
                let s = self.binary(BinaryOp::Div, of(float(1.0)), below, span)?;
                return Ok(Binding::Value(if name == "silu" {
                    self.binary(BinaryOp::Mul, x, s, span)?
                } else {
                    s
                }));
            }
            "is_multiple_of" => {
                let [a, b] = &all[..] else { return self.error(span, "`is_multiple_of` takes one argument") };
                let rest = self.binary(BinaryOp::Rem, a.clone(), b.clone(), span)?;
                let zero = Expr { kind: ExprKind::Int(0), ..rest.clone() };
                return Ok(Binding::Value(self.binary(BinaryOp::Eq, rest, zero, span)?));
            }
            _ => {}
        }
        let function = if name == "log" { None } else { Function::from_name(name) };
        match function {
            Some(f) => Ok(Binding::Value(self.function(f, all, span)?)),
            None => self.error(span, format!("a number has no method `{name}` in a kernel")),
        }
    }

    fn value_cast(&self, x: Expr, ty: Ty, span: Span) -> Expr {
        Expr { kind: ExprKind::Cast(Box::new(x)), ty, span: self.place(span) }
    }

    /// Whether evaluating it writes nothing down.
    fn simple(e: &kernel_syntax::Expr) -> bool {
        use kernel_syntax::ExprKind as E;
        match &e.kind {
            E::Int(..) | E::Float(..) | E::Bool(_) | E::Path(_) => true,
            E::Unary(_, x) | E::Cast(x, _) | E::Ref(_, x) => Self::simple(x),
            E::Binary(_, a, b) | E::Index(a, b) => Self::simple(a) && Self::simple(b),
            E::Array(l, false) => l.iter().all(Self::simple),
            _ => false,
        }
    }

    /// A function of numbers, with the types of its operands made one.
    pub(super) fn function(&mut self, f: Function, args: Vec<Expr>, span: Span) -> Result<Expr> {
        if args.len() != f.arity() {
            return self.error(
                span,
                format!(
                    "`{}` takes {} arguments, found {}",
                    f.name(),
                    f.arity() - 1,
                    args.len().saturating_sub(1)
                ),
            );
        }
        let first = args[0].ty;
        for a in &args[1..] {
            if f == Function::Powi {
                self.unify(a.ty, Ty::Known(Scalar::I32), span)?;
            } else {
                self.unify(first, a.ty, span)?;
            }
        }
        let of_floats = matches!(
            f,
            Function::Ceil
                | Function::Cos
                | Function::Exp
                | Function::Exp2
                | Function::ExpM1
                | Function::Floor
                | Function::Ln
                | Function::Ln1p
                | Function::MulAdd
                | Function::Powf
                | Function::Powi
                | Function::Recip
                | Function::Round
                | Function::RoundTiesEven
                | Function::Sin
                | Function::Sqrt
                | Function::Tanh
                | Function::Trunc
        );
        if of_floats {
            let float = self.types.float();
            self.unify(first, float, span)?;
        }
        Ok(self.call(f, args, first, span))
    }

    fn ternary_method(
        &mut self,
        array: crate::program::ArrayId,
        scale: crate::program::VarId,
        name: &str,
        args: Args,
        span: Span,
    ) -> Result<Binding> {
        let view = self.whole(array, true, span);
        Ok(match (name, args) {
            ("inputs", []) => Binding::Value(view.dims[1].clone()),
            ("outputs", []) => Binding::Value(view.dims[0].clone()),
            ("scale", []) => Binding::Var(scale),
            ("scale_factor", []) => {
                let scale = self.var(scale, span);
                let one = Expr { kind: ExprKind::Float(1.0), ..scale.clone() };
                Binding::Value(self.binary(BinaryOp::Div, one, scale, span)?)
            }
            ("trit", [o, i]) => {
                let (o, i) = (self.expr_usize(o)?, self.expr_usize(i)?);
                let (o, i) = (self.stable(o)?, self.stable(i)?);
                Binding::Place(self.element_of(&view, vec![o, i], span)?)
            }
            ("trits", []) => {
                let n = self.elements(&view, span);
                Binding::View(View { dims: vec![n], tensor: false, ..view })
            }
            ("view" | "clone" | "to_owned", []) => Binding::Ternary(array, scale),
            _ => {
                return self.error(
                    span,
                    format!("a ternary matrix has no method `{name}` in a kernel: trit, trits, scale, scale_factor, inputs, outputs"),
                );
            }
        })
    }

    fn array_method(
        &mut self,
        v: View,
        name: &str,
        types: &[Type],
        args: Args,
        expected: Option<&Type>,
        span: Span,
    ) -> Result<Binding> {
        let n = self.elements(&v, span);
        Ok(match name {
            "len" => Binding::Value(n),
            "is_empty" => {
                let zero = self.int(0, span);
                Binding::Value(self.binary(BinaryOp::Eq, n, zero, span)?)
            }
            "dims" => Binding::Tuple(v.dims.into_iter().map(Binding::Value).collect()),
            "as_slice" | "as_mut_slice" => Binding::View(View { dims: vec![n], tensor: false, ..v }),
            "view" | "view_mut" | "as_ref" | "as_mut" => Binding::View(v),
            "into_vec" => Binding::View(View { dims: vec![n], tensor: false, ..v }),
            "iter" | "iter_mut" | "into_iter" => self.iter_binding(Iter::Elements(v)),
            "clone" | "to_vec" | "to_owned" => {
                let ty = self.arrays[v.array.0 as usize].element;
                let zero = self.zero(ty, span);
                let to = self.alloc(v.dims.clone(), zero, v.tensor && name != "to_vec", span)?;
                self.copy(&to, &v, span)?;
                let (axes, sizes) = (self.arrays[v.array.0 as usize].axes.clone(), v.dims.len());
                if axes.len() == sizes {
                    self.arrays[to.array.0 as usize].axes = axes;
                }
                Binding::View(to)
            }
            "fill" => {
                let value = self.expr_scalar(self.one(args, name, span)?)?;
                let value = self.stable(value)?;
                self.run(&Iter::Elements(v), span, |l, item| l.set(item, value, span))?;
                Binding::Tuple(vec![])
            }
            "copy_from_slice" => {
                let from = self.expr(self.one(args, name, span)?)?;
                let from = self.view_of(from, span)?;
                self.copy(&v, &from, span)?;
                Binding::Tuple(vec![])
            }
            "first" | "last" => {
                let at = if name == "first" {
                    self.int(0, span)
                } else {
                    let one = self.int(1, span);
                    self.usize(BinaryOp::Sub, n, one)
                };
                Binding::Place(self.flat(&v, at, span))
            }
            "chunks" | "chunks_mut" | "chunks_exact" | "chunks_exact_mut" | "windows" => {
                let size = self.expr_usize(self.one(args, name, span)?)?;
                let size = self.stable(size)?;
                self.positive(&size, "the length of a part", span)?;
                self.iter_binding(match name {
                    "windows" => Iter::Windows { of: v, size },
                    _ => Iter::Chunks { of: v, size, exact: name.contains("exact") },
                })
            }
            "split_at" | "split_at_mut" => {
                let at = self.expr_usize(self.one(args, name, span)?)?;
                let at = self.stable(at)?;
                let rest = self.usize(BinaryOp::Sub, n, at.clone());
                let zero = self.int(0, span);
                let front = self.part(&v, zero, at.clone());
                let back = self.part(&v, at, rest);
                Binding::Tuple(vec![Binding::View(front), Binding::View(back)])
            }
            "swap" => {
                let [a, b] = args else { return self.error(span, "`swap` takes two places") };
                let (a, b) = (self.expr_usize(a)?, self.expr_usize(b)?);
                let (a, b) = (self.stable(a)?, self.stable(b)?);
                let (pa, pb) = (self.flat(&v, a, span), self.flat(&v, b, span));
                let load = |l: &mut Self, p: &Access| l.scalar_of(Binding::Place(p.clone()), span);
                let x = load(self, &pa)?;
                let held = self.held(x, "swapped")?;
                let y = load(self, &pb)?;
                self.emit(StmtKind::Store(pa, y), span)?;
                self.emit(StmtKind::Store(pb, held), span)?;
                Binding::Tuple(vec![])
            }
            // Those of iterators that an array lends to nobody: `x.map(…)`.
            "map" if v.dims.len() == 1 && !v.tensor => {
                let i = Rc::new(Iter::Elements(v));
                let mapped = self.iter_method(i, "map", types, args, None, span)?;
                let Binding::Iter(i) = mapped else { return Ok(mapped) };
                self.iter_method(i, "collect", types, &[], expected, span)?
            }
            "add" | "sub" | "mul" | "div" | "exp" | "tanh" | "sigmoid" | "silu" | "relu" => {
                return self.error(
                    span,
                    format!("`{name}` of a whole array is not supported in a kernel: write the loop over its elements"),
                );
            }
            _ => return self.error(span, format!("an array has no method `{name}` in a kernel")),
        })
    }

    fn iter_method(
        &mut self,
        i: Rc<Iter>,
        name: &str,
        types: &[Type],
        args: Args,
        expected: Option<&Type>,
        span: Span,
    ) -> Result<Binding> {
        Ok(match name {
            "iter" | "iter_mut" | "into_iter" | "copied" | "cloned" | "by_ref" => Binding::Iter(i),
            "rev" => self.iter_binding(Iter::Rev(i)),
            "enumerate" => self.iter_binding(Iter::Enumerate(i)),
            "len" => Binding::Value(self.iter_len(&i, span)?),
            "step_by" | "skip" | "take" => {
                let k = self.expr_usize(self.one(args, name, span)?)?;
                let k = self.stable(k)?;
                self.iter_binding(match name {
                    "step_by" => {
                        self.positive(&k, "the step", span)?;
                        Iter::StepBy(i, k)
                    }
                    "skip" => Iter::Skip(i, k),
                    _ => Iter::Take(i, k),
                })
            }
            "zip" => {
                let other = self.iterator(self.one(args, name, span)?)?;
                self.iter_binding(Iter::Zip(i, other))
            }
            "map" | "filter" => {
                let f = self.callee(self.one(args, name, span)?)?;
                self.iter_binding(if name == "map" { Iter::Map(i, f) } else { Iter::Filter(i, f) })
            }
            "for_each" => {
                let f = self.callee(self.one(args, name, span)?)?;
                self.run(&i, span, |l, item| l.apply(&f, vec![item], span).map(|_| ()))?;
                Binding::Tuple(vec![])
            }
            "sum" | "product" => {
                let ty = match types.first().or(expected) {
                    Some(t @ (Type::Scalar(_) | Type::Named(_))) => self.element(t, span)?,
                    _ => self.types.any(),
                };
                let start =
                    Expr { kind: ExprKind::Int(i128::from(name == "product")), ty, span: self.place(span) };
                let total = self.new_var(name, ty);
                self.mutables.insert(total);
                self.emit(StmtKind::Assign(total, start), span)?;
                let op = if name == "sum" { BinaryOp::Add } else { BinaryOp::Mul };
                self.run(&i, span, |l, item| {
                    let item = l.scalar_of(item, span)?;
                    let so_far = l.var(total, span);
                    let next = l.binary(op, so_far, item, span)?;
                    l.set(Binding::Var(total), next, span)
                })?;
                Binding::Var(total)
            }
            "fold" => {
                let [init, f] = args else { return self.error(span, "`fold` takes a start and a closure") };
                let init = self.expr(init)?;
                let f = self.callee(f)?;
                let state = self.fold_state(init, span)?;
                self.run(&i, span, |l, item| {
                    let next = l.apply(&f, vec![state.clone(), item], span)?;
                    l.fold_set(&state, next, span)
                })?;
                state
            }
            "collect" => self.collect(&i, types.first().or(expected), span)?,
            _ => return self.error(span, format!("an iterator has no method `{name}` in a kernel")),
        })
    }

    fn fold_state(&mut self, b: Binding, span: Span) -> Result<Binding> {
        Ok(match b {
            Binding::Tuple(list) => {
                Binding::Tuple(list.into_iter().map(|b| self.fold_state(b, span)).collect::<Result<_>>()?)
            }
            b => {
                let e = self.scalar_of(b, span)?;
                let v = self.new_var("fold", e.ty);
                self.mutables.insert(v);
                self.emit(StmtKind::Assign(v, e), span)?;
                Binding::Var(v)
            }
        })
    }

    fn fold_set(&mut self, state: &Binding, next: Binding, span: Span) -> Result<()> {
        match (state, next) {
            (Binding::Tuple(a), Binding::Tuple(b)) if a.len() == b.len() => {
                // All next values before the first of them is stored.
                let mut held = vec![];
                for b in b {
                    let e = self.scalar_of(b, span)?;
                    held.push(self.held(e, "next")?);
                }
                a.iter().zip(held).try_for_each(|(s, e)| self.set(s.clone(), e, span))
            }
            (state, next) => {
                let e = self.scalar_of(next, span)?;
                self.set(state.clone(), e, span)
            }
        }
    }

    fn collect(&mut self, i: &Iter, ty: Option<&Type>, span: Span) -> Result<Binding> {
        let element = match ty {
            Some(Type::Vec(t)) => self.element(t, span)?,
            _ => self.types.any(),
        };
        let n = self.iter_len(i, span)?;
        let zero = self.zero(element, span);
        let to = self.alloc(vec![n], zero, false, span)?;
        if matches!(i, Iter::Filter(..)) {
            return self
                .error(span, "`collect` after `filter` is not supported: its length depends on the data");
        }
        let index = self.new_var("i", Ty::Known(Scalar::Usize));
        let n = to.dims[0].clone();
        let ((), inner) = self.nested(|l| {
            let at = l.var(index, span);
            let (item, guard) = l.iter_item(i, at.clone(), span)?;
            if guard.is_some() {
                return l.error(
                    span,
                    "`collect` after `filter` is not supported: its length depends on the data",
                );
            }
            let value = l.scalar_of(item, span)?;
            let place = l.flat(&to, at, span);
            l.set(Binding::Place(place), value, span)
        })?;
        self.emit(StmtKind::For(index, n, inner), span)?;
        Ok(Binding::View(to))
    }
}
