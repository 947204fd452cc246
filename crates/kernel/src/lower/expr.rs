//! Expressions.

use super::{Binding, Closure, Iter, Lowerer, View, as_int};
use crate::error::Result;
use crate::function::Constant;
use crate::program::{ArrayDecl, Expr, ExprKind, Function, StmtKind, Ty};
use kernel_syntax::{BinaryOp, ExprKind as Syntax, Scalar, Span, Type, UnaryOp};
use std::rc::Rc;

impl<'a> Lowerer<'a> {
    pub(super) fn expr_scalar(&mut self, e: &kernel_syntax::Expr) -> Result<Expr> {
        let b = self.expr(e)?;
        self.scalar_of(b, e.span)
    }

    pub(super) fn expr_usize(&mut self, e: &kernel_syntax::Expr) -> Result<Expr> {
        let e = self.expr_scalar(e)?;
        self.unify(e.ty, Ty::Known(Scalar::Usize), e.span)?;
        Ok(e)
    }

    /// An expression whose type is written beside it.
    pub(super) fn expr_as(&mut self, e: &kernel_syntax::Expr, ty: &Type) -> Result<Binding> {
        // `collect` and `sum` take their type from there.
        let saved = self.expected.replace(ty.clone());
        let made = self.expr(e);
        self.expected = saved;
        made
    }

    fn value(&self, kind: ExprKind, ty: Ty, span: Span) -> Expr {
        Expr { kind, ty, span: self.place(span) }
    }

    pub(super) fn constant(&mut self, c: Constant, span: Span) -> Expr {
        match c {
            Constant::Int(i, s) => self.value(ExprKind::Int(i), Ty::Known(s), span),
            Constant::Float(x, s) => self.value(ExprKind::Float(x), Ty::Known(s), span),
            Constant::Bool(b) => self.value(ExprKind::Bool(b), Ty::Known(Scalar::Bool), span),
        }
    }

    pub(super) fn expr(&mut self, e: &kernel_syntax::Expr) -> Result<Binding> {
        let span = e.span;
        let expected = self.expected.take();
        Ok(match &e.kind {
            Syntax::Int(i, s) => {
                let ty = s.map_or_else(|| self.types.int(), Ty::Known);
                Binding::Value(self.value(ExprKind::Int(*i), ty, span))
            }
            Syntax::Float(text, s) => {
                let ty = s.map_or_else(|| self.types.float(), Ty::Known);
                let value = text.replace('_', "").parse().unwrap_or(f64::NAN);
                Binding::Value(self.value(ExprKind::Float(value), ty, span))
            }
            Syntax::Bool(b) => Binding::Value(self.value(ExprKind::Bool(*b), Ty::Known(Scalar::Bool), span)),
            Syntax::Path(path) => self.path(path, span)?,
            Syntax::Unary(op, x) => match op {
                UnaryOp::Deref => return self.expr(x),
                UnaryOp::Neg | UnaryOp::Not => {
                    let x = self.expr_scalar(x)?;
                    if *op == UnaryOp::Not {
                        self.unify(x.ty, Ty::Known(Scalar::Bool), span)?;
                    }
                    let ty = x.ty;
                    Binding::Value(match (&x.kind, *op) {
                        (ExprKind::Int(i), UnaryOp::Neg) => self.value(ExprKind::Int(-i), ty, span),
                        (ExprKind::Float(f), UnaryOp::Neg) => self.value(ExprKind::Float(-f), ty, span),
                        _ => self.value(ExprKind::Negate(Box::new(x)), ty, span),
                    })
                }
            },
            Syntax::Binary(op @ (BinaryOp::And | BinaryOp::Or), a, b) => {
                let a = self.expr_scalar(a)?;
                let (b, stmts) = self.nested(|l| l.expr_scalar(b))?;
                if stmts.is_empty() {
                    return Ok(Binding::Value(self.binary(*op, a, b, span)?));
                }
                // The second operand takes statements: they run only where it is needed.
                let v = self.new_var("both", Ty::Known(Scalar::Bool));
                self.emit(StmtKind::Assign(v, a), span)?;
                let mut then = stmts;
                then.push(crate::program::Stmt { kind: StmtKind::Assign(v, b), span });
                let cond = self.var(v, span);
                let (then, otherwise) = if *op == BinaryOp::And { (then, vec![]) } else { (vec![], then) };
                self.emit(StmtKind::If(cond, then, otherwise), span)?;
                Binding::Var(v)
            }
            Syntax::Binary(op, a, b) => {
                let a = self.expr_scalar(a)?;
                let a = if let Syntax::Block(_) | Syntax::If(..) | Syntax::Match(..) | Syntax::Method(..) =
                    b.kind
                {
                    self.stable(a)?
                } else {
                    a
                };
                let b = self.expr_scalar(b)?;
                Binding::Value(self.binary(*op, a, b, span)?)
            }
            Syntax::Index(x, i) => self.index(x, i, span)?,
            Syntax::Range(a, b, closed) => {
                Binding::Iter(Rc::new(self.range(a.as_deref(), b.as_deref(), *closed, span)?))
            }
            Syntax::Field(x, i) => match self.expr(x)? {
                Binding::Tuple(list) if *i < list.len() => list[*i].clone(),
                other => return self.error(span, format!("`.{i}` of {}", other.what())),
            },
            Syntax::Cast(x, ty) => {
                let x = self.expr_scalar(x)?;
                let ty = self.element(ty, span)?;
                Binding::Value(self.cast(x, ty, span))
            }
            Syntax::Call(name, types, args) => self.call_named(name, types, args, expected.as_ref(), span)?,
            Syntax::Method(x, name, types, args) => {
                self.method(x, name, types, args, expected.as_ref(), span)?
            }
            Syntax::If(c, a, b) => {
                let c = self.expr_scalar(c)?;
                self.if_(c, a, b.as_ref(), span)?
            }
            Syntax::Match(x, arms) => {
                let on = self.expr(x)?;
                self.match_(on, arms, span)?
            }
            Syntax::Block(b) => {
                let (value, stmts) = self.nested(|l| l.block_here(b))?;
                self.out.extend(stmts);
                value
            }
            Syntax::Tuple(list) => Binding::Tuple(list.iter().map(|e| self.expr(e)).collect::<Result<_>>()?),
            Syntax::Array(list, _) => {
                let elements = list.iter().map(|e| self.expr_scalar(e)).collect::<Result<Vec<_>>>()?;
                let ty = match elements.first() {
                    Some(e) => e.ty,
                    None => self.types.any(),
                };
                let zero = self.zero(ty, span);
                let size = self.int(elements.len() as i128, span);
                let view = self.alloc(vec![size], zero, false, span)?;
                for (i, e) in elements.into_iter().enumerate() {
                    let at = self.int(i as i128, span);
                    let place = self.flat(&view, at, span);
                    self.set(Binding::Place(place), e, span)?;
                }
                Binding::View(view)
            }
            Syntax::Repeat(x, n, _) => {
                let x = self.expr_scalar(x)?;
                let n = self.expr_usize(n)?;
                Binding::View(self.alloc(vec![n], x, false, span)?)
            }
            Syntax::Closure(params, body) => Binding::Closure(Rc::new(Closure {
                params: params.clone(),
                body: (**body).clone(),
                scopes: self.scopes.clone(),
            })),
            Syntax::Ref(_, x) | Syntax::Try(x) => {
                self.expected = expected;
                return self.expr(x);
            }
        })
    }

    /// Zero of a type that may not be known yet.
    pub(super) fn zero(&mut self, ty: Ty, span: Span) -> Expr {
        // An integer zero fits every number: the interpreter reads it in the type of the expression.
        self.value(ExprKind::Int(0), ty, span)
    }

    pub(super) fn cast(&self, x: Expr, ty: Ty, span: Span) -> Expr {
        if x.ty == ty && matches!(ty, Ty::Known(_)) {
            return x;
        }
        self.value(ExprKind::Cast(Box::new(x)), ty, span)
    }

    /// A local array with an initial value.
    pub(super) fn alloc(&mut self, dims: Vec<Expr>, fill: Expr, tensor: bool, span: Span) -> Result<View> {
        let mut sizes = vec![];
        for d in dims {
            sizes.push(self.stable(d)?);
        }
        let array = self.new_array(ArrayDecl {
            name: String::new(),
            element: fill.ty,
            rank: sizes.len(),
            axes: vec![None; sizes.len()],
            sizes: sizes.iter().map(|d| as_int(d).map(|n| n as usize)).collect(),
            param: false,
            mutable: true,
            trits: false,
            unit: String::new(),
        });
        self.emit(StmtKind::Alloc(array, sizes.clone(), fill), span)?;
        Ok(View { array, offset: None, dims: sizes, tensor, mutable: true })
    }

    fn path(&mut self, path: &[String], span: Span) -> Result<Binding> {
        if let [name] = path {
            if let Some(b) = self.lookup(name) {
                return Ok(b.clone());
            }
            if let Some(c) = self.current.constant(name) {
                return Ok(Binding::Value(self.constant(c, span)));
            }
            return self.error(
                span,
                format!("`{name}` is not known: a parameter, a `let`, or a `const` of a number"),
            );
        }
        let last = path.last().map_or("", String::as_str);
        let kind = path.iter().rev().nth(1).map_or("", String::as_str);
        let of = path.iter().find_map(|s| Scalar::from_name(s));
        if let (Some(f), true) = (Function::from_name(last), Scalar::from_name(kind).is_some()) {
            return Ok(Binding::Function(f));
        }
        if kind == "consts" {
            let value = match last {
                "PI" => std::f64::consts::PI,
                "E" => std::f64::consts::E,
                "LN_2" => std::f64::consts::LN_2,
                "SQRT_2" => std::f64::consts::SQRT_2,
                "FRAC_1_SQRT_2" => std::f64::consts::FRAC_1_SQRT_2,
                "FRAC_2_SQRT_PI" => std::f64::consts::FRAC_2_SQRT_PI,
                "TAU" => std::f64::consts::TAU,
                _ => {
                    return self.error(
                        span,
                        format!("the constant `{}` is not supported in a kernel", path.join("::")),
                    );
                }
            };
            let ty = of.unwrap_or(Scalar::F64);
            return Ok(Binding::Value(self.value(ExprKind::Float(value), Ty::Known(ty), span)));
        }
        let Some(s) = of else {
            if let Some(c) = self.current.constant(last) {
                return Ok(Binding::Value(self.constant(c, span)));
            }
            return self.error(
                span,
                format!("`{}` is not known: a `const` of a number is named by one word", path.join("::")),
            );
        };
        let wide = s == Scalar::F64;
        let float = match last {
            "MAX" if wide => f64::MAX,
            "MAX" => f64::from(f32::MAX),
            "MIN" if wide => f64::MIN,
            "MIN" => f64::from(f32::MIN),
            "EPSILON" if wide => f64::EPSILON,
            "EPSILON" => f64::from(f32::EPSILON),
            "MIN_POSITIVE" if wide => f64::MIN_POSITIVE,
            "MIN_POSITIVE" => f64::from(f32::MIN_POSITIVE),
            "INFINITY" => f64::INFINITY,
            "NEG_INFINITY" => f64::NEG_INFINITY,
            "NAN" => f64::NAN,
            _ => {
                return self
                    .error(span, format!("the constant `{}` is not supported in a kernel", path.join("::")));
            }
        };
        Ok(Binding::Value(match (s.range(), last) {
            (Some((_, high)), "MAX") => self.value(ExprKind::Int(high), Ty::Known(s), span),
            (Some((low, _)), "MIN") => self.value(ExprKind::Int(low), Ty::Known(s), span),
            (None, _) => self.value(ExprKind::Float(float), Ty::Known(s), span),
            _ => return self.error(span, format!("`{}` is no constant of {}", last, s.name())),
        }))
    }

    /// An operator on two numbers, with their types made one.
    pub(super) fn binary(&mut self, op: BinaryOp, a: Expr, b: Expr, span: Span) -> Result<Expr> {
        use BinaryOp::*;
        let ty = match op {
            And | Or => {
                self.unify(a.ty, Ty::Known(Scalar::Bool), a.span)?;
                self.unify(b.ty, Ty::Known(Scalar::Bool), b.span)?;
                Ty::Known(Scalar::Bool)
            }
            Shl | Shr => a.ty,
            _ => {
                self.unify(a.ty, b.ty, span)?;
                if op.is_comparison() { Ty::Known(Scalar::Bool) } else { a.ty }
            }
        };
        if self.types.is_float(a.ty) && matches!(op, BitAnd | BitOr | BitXor | Shl | Shr) {
            return self.error(span, format!("`{}` is an operator of integers", op.symbol()));
        }
        Ok(match self.types.known(ty) {
            Some(Scalar::Usize) if matches!(op, Add | Sub | Mul | Div) => {
                let mut e = self.usize(op, a, b);
                e.span = self.place(span);
                e
            }
            _ => self.value(ExprKind::Binary(op, Box::new(a), Box::new(b)), ty, span),
        })
    }

    pub(super) fn usize_typed(&self, op: BinaryOp, a: Expr, b: Expr, ty: Ty) -> Expr {
        let span = a.span;
        match as_int(&a) {
            Some(0) => b,
            _ => Expr { kind: ExprKind::Binary(op, Box::new(a), Box::new(b)), ty, span },
        }
    }

    fn index(&mut self, x: &kernel_syntax::Expr, i: &kernel_syntax::Expr, span: Span) -> Result<Binding> {
        let v = match self.expr(x)? {
            Binding::View(v) => v,
            Binding::Ternary(a, _) => self.whole(a, true, span),
            Binding::Tuple(list) => {
                let at = self.expr_usize(i)?;
                return match as_int(&at).and_then(|n| list.get(n as usize).cloned()) {
                    Some(b) => Ok(b),
                    None => self.error(span, "a tuple of sizes is indexed by a number"),
                };
            }
            other => return self.error(span, format!("{} is not indexed", other.what())),
        };
        if let Syntax::Range(a, b, closed) = &i.kind {
            return self.slice(v, a.as_deref(), b.as_deref(), *closed, span);
        }
        let index: Vec<Expr> = match (&i.kind, v.tensor) {
            (Syntax::Array(list, _), true) => {
                list.iter().map(|e| self.expr_usize(e)).collect::<Result<_>>()?
            }
            (_, true) => return self.error(span, "a tensor is indexed by one index per axis: `x[[i, j]]`"),
            _ => vec![self.expr_usize(i)?],
        };
        let mut stable = vec![];
        for i in index {
            stable.push(self.stable(i)?);
        }
        Ok(Binding::Place(self.element_of(&v, stable, span)?))
    }

    fn slice(
        &mut self,
        v: View,
        from: Option<&kernel_syntax::Expr>,
        to: Option<&kernel_syntax::Expr>,
        closed: bool,
        span: Span,
    ) -> Result<Binding> {
        if v.dims.len() != 1 {
            return self.error(span, "a tensor has no parts: take them of `x.as_slice()`");
        }
        let n = v.dims[0].clone();
        let start = match from {
            Some(e) => self.expr_usize(e)?,
            None => self.int(0, span),
        };
        let start = self.stable(start)?;
        let end = match to {
            Some(e) => {
                let e = self.expr_usize(e)?;
                let one = self.int(1, span);
                let e = if closed { self.usize(BinaryOp::Add, e, one) } else { e };
                self.stable(e)?
            }
            None => n.clone(),
        };
        // The check that Rust makes where the part is taken.
        for (a, b) in [(&start, &end), (&end, &n)] {
            let known = matches!((as_int(a), as_int(b)), (Some(a), Some(b)) if a <= b)
                || a == b
                || as_int(a) == Some(0);
            if !known {
                let fits = self.value(
                    ExprKind::Binary(BinaryOp::Le, Box::new(a.clone()), Box::new(b.clone())),
                    Ty::Known(Scalar::Bool),
                    span,
                );
                self.emit(StmtKind::Require(fits, "a part reaches past the end of the slice".into()), span)?;
            }
        }
        let length = self.difference(end, &start);
        Ok(Binding::View(self.part(&v, start, length)))
    }

    /// `a - b`, with `b + n - b` seen as `n`.
    fn difference(&self, a: Expr, b: &Expr) -> Expr {
        if let ExprKind::Binary(BinaryOp::Add, x, y) = &a.kind {
            if **x == *b {
                return (**y).clone();
            }
            if **y == *b {
                return (**x).clone();
            }
            // (i + 1) * n - i * n is n.
        }
        if let (ExprKind::Binary(BinaryOp::Mul, x, n), ExprKind::Binary(BinaryOp::Mul, y, m)) =
            (&a.kind, &b.kind)
            && n == m
            && let ExprKind::Binary(BinaryOp::Add, z, one) = &x.kind
            && **z == **y
            && as_int(one) == Some(1)
        {
            return (**n).clone();
        }
        self.usize(BinaryOp::Sub, a, b.clone())
    }

    fn call_named(
        &mut self,
        name: &[String],
        types: &[Type],
        args: &[kernel_syntax::Expr],
        expected: Option<&Type>,
        span: Span,
    ) -> Result<Binding> {
        let last = name.last().map_or("", String::as_str);
        if name.len() == 2 && name[0] == "Tensor" {
            return self.make_tensor(last, types, args, expected, span);
        }
        if name.len() == 1 && last == "Ok" {
            let [value] = args else { return self.error(span, "`Ok` takes one value") };
            return self.expr(value);
        }
        if let [one] = name
            && let Some(Binding::Closure(c)) = self.lookup(one).cloned()
        {
            let mut given = vec![];
            for a in args {
                given.push(self.argument(a)?);
            }
            return self.apply(&super::iter::Callee::Closure(c), given, span);
        }
        let full = name.join("::");
        let Some(kernel) = self.find_helper(&full).or_else(|| self.find_helper(last)) else {
            return self.error(
                span,
                format!(
                    "`{full}` is no kernel that is known here: give the function the attribute #[kernel] too"
                ),
            );
        };
        let mut given = vec![];
        for a in args {
            given.push(self.argument(a)?);
        }
        self.inline(kernel, given, span)
    }

    /// An argument: a number by value is what it is now.
    fn argument(&mut self, e: &kernel_syntax::Expr) -> Result<Binding> {
        let b = self.expr(e)?;
        let by_ref = matches!(e.kind, Syntax::Ref(..)) || matches!(&e.kind, Syntax::Path(_));
        match b {
            b @ (Binding::Var(_) | Binding::Place(_)) if by_ref => Ok(b),
            Binding::Value(e) => Ok(Binding::Value(self.stable(e)?)),
            b @ (Binding::Var(_) | Binding::Place(_)) => {
                let e = self.scalar_of(b, e.span)?;
                Ok(Binding::Value(self.stable(e)?))
            }
            b => Ok(b),
        }
    }

    /// `Tensor::zeros` and its kin.
    fn make_tensor(
        &mut self,
        what: &str,
        types: &[Type],
        args: &[kernel_syntax::Expr],
        expected: Option<&Type>,
        span: Span,
    ) -> Result<Binding> {
        let expected = match expected {
            Some(Type::Result(t)) => Some(&**t),
            t => t,
        };
        let (axes, element): (Option<Vec<String>>, Ty) = match (types, expected) {
            ([Type::Tuple(axes), rest @ ..], _) => {
                let names =
                    axes.iter().map(|a| if let Type::Named(n) = a { n.clone() } else { String::new() });
                let element = match rest.first() {
                    Some(t) => self.element(t, span)?,
                    // Rust infers it from the use, and takes `f32` where the type is written in full.
                    None => Ty::Known(Scalar::F32),
                };
                (Some(names.collect()), element)
            }
            (_, Some(Type::Tensor { axes, element, .. })) => {
                (Some(axes.clone()), self.element(element, span)?)
            }
            _ => (None, self.types.any()),
        };
        let sizes = |l: &mut Self, e: &kernel_syntax::Expr| -> Result<Vec<Expr>> {
            match &e.kind {
                Syntax::Array(list, _) => list.iter().map(|e| l.expr_usize(e)).collect(),
                _ => match l.expr(e)? {
                    Binding::Tuple(list) => list.into_iter().map(|b| l.scalar_of(b, span)).collect(),
                    _ => l.error(span, "the sizes of a tensor are an array: `[n]`, `[n, m]` or `x.dims()`"),
                },
            }
        };
        let mut view = match (what, args) {
            ("zeros", [dims]) => {
                let dims = sizes(self, dims)?;
                let zero = self.zero(element, span);
                self.alloc(dims, zero, true, span)?
            }
            ("filled", [dims, value]) => {
                let dims = sizes(self, dims)?;
                let value = self.expr_scalar(value)?;
                self.unify(element, value.ty, span)?;
                self.alloc(dims, value, true, span)?
            }
            ("vector", [data]) => {
                let b = self.expr(data)?;
                let mut v = self.view_of(b, span)?;
                self.unify(self.arrays[v.array.0 as usize].element, element, span)?;
                v.tensor = true;
                v
            }
            ("from_vec", [dims, data]) => {
                let dims = sizes(self, dims)?;
                let b = self.expr(data)?;
                let mut v = self.view_of(b, span)?;
                self.unify(self.arrays[v.array.0 as usize].element, element, span)?;
                (v.dims, v.tensor) = (dims, true);
                v
            }
            _ => return self.error(span, format!("`Tensor::{what}` takes other arguments")),
        };
        if let Some(axes) = axes {
            if axes.len() != view.dims.len() {
                return self.error(span, format!("{} sizes for {} axes", view.dims.len(), axes.len()));
            }
            let decl = &mut self.arrays[view.array.0 as usize];
            if decl.rank == axes.len() && !decl.param {
                decl.axes = axes.into_iter().map(|a| Some(a).filter(|a| !a.is_empty())).collect();
            }
        }
        view.tensor = true;
        Ok(Binding::View(view))
    }

    /// What a `for` or a method runs over.
    pub(super) fn iter_binding(&self, i: Iter) -> Binding {
        Binding::Iter(Rc::new(i))
    }
}
