//! Statements: bindings, assignments, loops, branches.

use super::{Binding, Iter, Lowerer, as_int};
use crate::error::Result;
use crate::program::{Expr, ExprKind, Stmt, StmtKind, Ty};
use kernel_syntax::{
    Arm, BinaryOp, Block, ExprKind as Syntax, Pat, PatKind, Scalar, Span, StmtKind as Statement, Type,
};
use std::collections::HashMap;

fn unit() -> Binding {
    Binding::Tuple(vec![])
}

impl<'a> Lowerer<'a> {
    /// The body of a function: a block that may end with `return`.
    pub(super) fn body(&mut self, b: &Block) -> Result<Binding> {
        if let (Some(last), None) = (b.stmts.last(), &b.value)
            && let Statement::Return(value) = &last.kind
        {
            let front =
                Block { stmts: b.stmts[..b.stmts.len() - 1].to_vec(), value: value.clone().map(Box::new) };
            return self.block_here(&front);
        }
        self.block_here(b)
    }

    /// A block in the current scope.
    pub(super) fn block_here(&mut self, b: &Block) -> Result<Binding> {
        // What follows a `continue` is skipped with it, the last expression too.
        let (mut list, mut value) = (b.stmts.clone(), b.value.as_ref());
        if let Some(e) = value
            && list.iter().any(leaves)
        {
            list.push(kernel_syntax::Stmt { span: e.span, kind: Statement::Expr((**e).clone()) });
            value = None;
        }
        for s in &without_continue(&list) {
            self.stmt(s)?;
        }
        match value {
            Some(e) => self.expr(e),
            None => Ok(unit()),
        }
    }

    fn stmt(&mut self, s: &kernel_syntax::Stmt) -> Result<()> {
        match &s.kind {
            Statement::Let(pat, ty, value) => self.let_(pat, ty, value.as_ref(), s.span),
            Statement::Assign(place, op, value) => self.assign(place, *op, value, s.span),
            Statement::For(pat, iter, body) => {
                let iter = self.iterator(iter)?;
                self.run(&iter, s.span, |l, item| {
                    l.destructure(pat, item)?;
                    l.block_here(body).map(|_| ())
                })
            }
            Statement::Expr(e) => self.expr(e).map(|_| ()),
            Statement::Continue => {
                self.error(s.span, "`continue` is supported at the end of a branch of `if` or `match`")
            }
            Statement::Return(_) => self.error(
                s.span,
                "`return` is supported at the end of the function only: use `if … else …` for what differs",
            ),
        }
    }

    fn let_(&mut self, pat: &Pat, ty: &Type, value: Option<&kernel_syntax::Expr>, span: Span) -> Result<()> {
        let Some(value) = value else {
            let (PatKind::Name(name, _), Type::Scalar(_) | Type::Named(_) | Type::Infer) = (&pat.kind, ty)
            else {
                return self.error(span, "a variable without a value is one number");
            };
            let ty = self.element(ty, span)?;
            let v = self.new_var(name, ty);
            self.mutables.insert(v);
            self.bind(name, Binding::Var(v));
            return Ok(());
        };
        let b = self.expr_as(value, ty)?;
        // `let r = &mut x[i]` names the element, `let v = x[i]` copies it.
        let alias = matches!(value.kind, Syntax::Ref(..));
        self.let_binding(pat, ty, b, alias)
    }

    fn let_binding(&mut self, pat: &Pat, ty: &Type, b: Binding, alias: bool) -> Result<()> {
        match (&pat.kind, b) {
            (PatKind::Tuple(pats), Binding::Tuple(list)) if pats.len() == list.len() => {
                let types: Vec<Type> = match ty {
                    Type::Tuple(t) if t.len() == pats.len() => t.clone(),
                    _ => vec![Type::Infer; pats.len()],
                };
                for ((p, b), t) in pats.iter().zip(list).zip(&types) {
                    self.let_binding(p, t, b, alias)?;
                }
                Ok(())
            }
            (PatKind::Tuple(pats), Binding::View(v)) if v.dims.len() == 1 => {
                for (i, p) in pats.iter().enumerate() {
                    let at = self.int(i as i128, p.span);
                    let element = self.element_of(&v, vec![at], p.span)?;
                    self.let_binding(p, &Type::Infer, Binding::Place(element), alias)?;
                }
                Ok(())
            }
            (PatKind::Name(name, mutable), b @ (Binding::Value(_) | Binding::Var(_) | Binding::Place(_)))
                if !alias || matches!(b, Binding::Value(_)) =>
            {
                let e = self.scalar_of(b, pat.span)?;
                if matches!(ty, Type::Scalar(_) | Type::Named(_)) {
                    let declared = self.element(ty, pat.span)?;
                    self.unify(declared, e.ty, pat.span)?;
                }
                let v = self.new_var(name, e.ty);
                if *mutable {
                    self.mutables.insert(v);
                }
                self.emit(StmtKind::Assign(v, e), pat.span)?;
                self.bind(name, Binding::Var(v));
                Ok(())
            }
            // An array by value that is a parameter's: the name is new, the memory may not be.
            (PatKind::Name(name, mutable), Binding::View(mut v)) => {
                v.mutable |= *mutable && !self.arrays[v.array.0 as usize].param;
                if let Type::Tensor { axes, element, .. } = ty {
                    let element = self.element(element, pat.span)?;
                    self.unify(self.arrays[v.array.0 as usize].element, element, pat.span)?;
                    let decl = &mut self.arrays[v.array.0 as usize];
                    if !decl.param && decl.rank == axes.len() {
                        decl.axes = axes.iter().cloned().map(Some).collect();
                    }
                    v.tensor = true;
                }
                if !self.arrays[v.array.0 as usize].param && self.arrays[v.array.0 as usize].name.is_empty() {
                    self.arrays[v.array.0 as usize].name = name.clone();
                }
                if let Type::Vec(t) | Type::Array(t, _) | Type::Slice(t) = ty {
                    let element = self.element(t, pat.span)?;
                    self.unify(self.arrays[v.array.0 as usize].element, element, pat.span)?;
                }
                self.bind(name, Binding::View(v));
                Ok(())
            }
            (_, b) => self.destructure(pat, b),
        }
    }

    /// Binds a pattern to what it takes apart, without copying.
    pub(super) fn destructure(&mut self, pat: &Pat, b: Binding) -> Result<()> {
        match (&pat.kind, b) {
            (PatKind::Wild, _) => Ok(()),
            (PatKind::Name(name, mutable), b) => {
                let b = match b {
                    // A name that is `mut` is a copy that may change.
                    Binding::Value(_) | Binding::Var(_) | Binding::Place(_) if *mutable => {
                        let e = self.scalar_of(b, pat.span)?;
                        let v = self.new_var(name, e.ty);
                        self.mutables.insert(v);
                        self.emit(StmtKind::Assign(v, e), pat.span)?;
                        Binding::Var(v)
                    }
                    b => b,
                };
                self.bind(name, b);
                Ok(())
            }
            (PatKind::Ref(p), b) => self.destructure(p, b),
            (PatKind::Tuple(pats), Binding::Tuple(list)) if pats.len() == list.len() => {
                pats.iter().zip(list).try_for_each(|(p, b)| self.destructure(p, b))
            }
            (PatKind::Tuple(pats), Binding::View(v)) if v.dims.len() == 1 => {
                for (i, p) in pats.iter().enumerate() {
                    let at = self.int(i as i128, p.span);
                    let element = self.element_of(&v, vec![at], p.span)?;
                    self.destructure(p, Binding::Place(element))?;
                }
                Ok(())
            }
            (_, b) => self.error(pat.span, format!("this pattern does not fit {}", b.what())),
        }
    }

    fn assign(
        &mut self,
        place: &kernel_syntax::Expr,
        op: Option<BinaryOp>,
        value: &kernel_syntax::Expr,
        span: Span,
    ) -> Result<()> {
        // `(a, b) = (b, a)`: all values before the first assignment.
        if let (Syntax::Tuple(places), None) = (&place.kind, op) {
            let Binding::Tuple(values) = self.expr(value)? else {
                return self.error(span, "a tuple is assigned from a tuple");
            };
            if values.len() != places.len() {
                return self.error(span, "both sides have one length");
            }
            let mut held = vec![];
            for b in values {
                let e = self.scalar_of(b, span)?;
                held.push(self.held(e, "next")?);
            }
            for (p, e) in places.iter().zip(held) {
                let target = self.expr(p)?;
                self.set(target, e, span)?;
            }
            return Ok(());
        }
        if matches!(&place.kind, Syntax::Path(p) if p[..] == ["_".to_string()]) {
            return self.expr(value).map(|_| ());
        }
        let value = self.expr(value)?;
        let target = self.expr(place)?;
        match (op, target, value) {
            (None, Binding::View(to), Binding::View(from)) => self.copy(&to, &from, span),
            (None, target, value) => {
                let e = self.scalar_of(value, span)?;
                self.set(target, e, span)
            }
            (Some(op), target, value) => {
                let right = self.scalar_of(value, span)?;
                let left = self.scalar_of(target.clone(), span)?;
                let e = self.binary(op, left, right, span)?;
                self.set(target, e, span)
            }
        }
    }

    /// Writes a number to a variable or an element.
    pub(super) fn set(&mut self, target: Binding, value: Expr, span: Span) -> Result<()> {
        match target {
            Binding::Var(v) => {
                self.unify(self.vars[v.0 as usize].ty, value.ty, span)?;
                self.emit(StmtKind::Assign(v, value), span)
            }
            Binding::Place(a) => {
                self.unify(self.arrays[a.array.0 as usize].element, value.ty, span)?;
                self.emit(StmtKind::Store(a, value), span)
            }
            other => self.error(span, format!("{} cannot be assigned", other.what())),
        }
    }

    /// A variable that keeps what an expression is now.
    pub(super) fn held(&mut self, e: Expr, name: &str) -> Result<Expr> {
        let v = self.new_var(name, e.ty);
        let span = e.span;
        self.emit(StmtKind::Assign(v, e), span)?;
        Ok(self.var(v, span))
    }

    /// The expression, or a variable that keeps its value where what it reads may change.
    pub(super) fn stable(&mut self, e: Expr) -> Result<Expr> {
        if self.changes(&e) { self.held(e, "at") } else { Ok(e) }
    }

    fn changes(&self, e: &Expr) -> bool {
        match &e.kind {
            ExprKind::Var(v) => self.mutables.contains(v),
            ExprKind::Load(_) => true,
            ExprKind::Negate(x) | ExprKind::Cast(x) => self.changes(x),
            ExprKind::Binary(_, a, b) => self.changes(a) || self.changes(b),
            ExprKind::Call(_, args) => args.iter().any(|a| self.changes(a)),
            _ => false,
        }
    }

    /// A loop over an iterator: `body` is given each item.
    pub(super) fn run(
        &mut self,
        iter: &Iter,
        span: Span,
        body: impl FnOnce(&mut Self, Binding) -> Result<()>,
    ) -> Result<()> {
        let n = self.iter_len(iter, span)?;
        let n = self.stable(n)?;
        let index = self.new_var("i", Ty::Known(Scalar::Usize));
        let ((), inner) = self.nested(|l| {
            let at = l.var(index, span);
            let (item, guard) = l.iter_item(iter, at, span)?;
            match guard {
                None => body(l, item),
                Some(guard) => {
                    let ((), then) = l.nested(|l| body(l, item))?;
                    l.emit(StmtKind::If(guard, then, vec![]), span)
                }
            }
        })?;
        self.emit(StmtKind::For(index, n, inner), span)
    }

    /// Copies the elements of an array, one by one.
    pub(super) fn copy(&mut self, to: &super::View, from: &super::View, span: Span) -> Result<()> {
        let (n, m) = (self.elements(to, span), self.elements(from, span));
        if n != m {
            let same = Expr {
                kind: ExprKind::Binary(BinaryOp::Eq, Box::new(n.clone()), Box::new(m)),
                ty: Ty::Known(Scalar::Bool),
                span,
            };
            self.emit(StmtKind::Require(same, "the arrays have different lengths".into()), span)?;
        }
        let index = self.new_var("i", Ty::Known(Scalar::Usize));
        let ((), inner) = self.nested(|l| {
            let at = l.var(index, span);
            let value = l.flat(from, at.clone(), span);
            let value = l.scalar_of(Binding::Place(value), span)?;
            let target = l.flat(to, at, span);
            l.set(Binding::Place(target), value, span)
        })?;
        self.emit(StmtKind::For(index, n, inner), span)
    }

    /// `if`, as a statement or as a value.
    pub(super) fn if_(&mut self, cond: Expr, a: &Block, b: Option<&Block>, span: Span) -> Result<Binding> {
        self.unify(cond.ty, Ty::Known(Scalar::Bool), span)?;
        let then = self.nested(|l| l.block_here(a))?;
        let otherwise = match b {
            Some(b) => self.nested(|l| l.block_here(b))?,
            None => (unit(), vec![]),
        };
        self.join(cond, then, otherwise, span)
    }

    /// The value of two branches: a variable that each sets at its end.
    fn join(
        &mut self,
        cond: Expr,
        (a, mut then): (Binding, Vec<Stmt>),
        (b, mut otherwise): (Binding, Vec<Stmt>),
        span: Span,
    ) -> Result<Binding> {
        let value = self.join_values(a, &mut then, b, &mut otherwise, span)?;
        if !(then.is_empty() && otherwise.is_empty()) {
            self.emit(StmtKind::If(cond, then, otherwise), span)?;
        }
        Ok(value)
    }

    fn join_values(
        &mut self,
        a: Binding,
        then: &mut Vec<Stmt>,
        b: Binding,
        otherwise: &mut Vec<Stmt>,
        span: Span,
    ) -> Result<Binding> {
        match (a, b) {
            (Binding::Tuple(x), Binding::Tuple(y)) if x.len() == y.len() => {
                let joined = x.into_iter().zip(y).map(|(a, b)| self.join_values(a, then, b, otherwise, span));
                Ok(Binding::Tuple(joined.collect::<Result<_>>()?))
            }
            // A statement whose value nobody takes, such as a branch that ends with `x.fill(0.0)`.
            (Binding::Tuple(x), _) | (_, Binding::Tuple(x)) if x.is_empty() => Ok(unit()),
            (Binding::View(_), _) | (_, Binding::View(_)) => {
                self.error(span, "the branches give arrays: give numbers, or write into one array in both")
            }
            (a, b) => {
                let (x, y) = (self.scalar_of(a, span)?, self.scalar_of(b, span)?);
                self.unify(x.ty, y.ty, span)?;
                let v = self.new_var("value", x.ty);
                let span = self.place(span);
                then.push(Stmt { kind: StmtKind::Assign(v, x), span });
                otherwise.push(Stmt { kind: StmtKind::Assign(v, y), span });
                Ok(Binding::Var(v))
            }
        }
    }

    /// `match` on numbers: a chain of `if`; the last arm takes what is left, as rustc has checked.
    pub(super) fn match_(&mut self, on: Binding, arms: &[Arm], span: Span) -> Result<Binding> {
        let on = self.held_all(on, span)?;
        self.arms(&on, arms, span)
    }

    fn held_all(&mut self, on: Binding, span: Span) -> Result<Binding> {
        Ok(match on {
            Binding::Tuple(list) => {
                Binding::Tuple(list.into_iter().map(|b| self.held_all(b, span)).collect::<Result<_>>()?)
            }
            b => {
                let e = self.scalar_of(b, span)?;
                Binding::Value(if matches!(e.kind, ExprKind::Var(_) | ExprKind::Int(_)) {
                    self.stable(e)?
                } else {
                    self.held(e, "matched")?
                })
            }
        })
    }

    fn arms(&mut self, on: &Binding, arms: &[Arm], span: Span) -> Result<Binding> {
        let Some((arm, rest)) = arms.split_first() else {
            return self.error(span, "a `match` has at least one arm");
        };
        let (mut cond, names) = self.pattern_condition(&arm.pat, on)?;
        let enter = |l: &mut Self| names.iter().try_for_each(|(p, b)| l.destructure(p, b.clone()));
        if let Some(guard) = &arm.guard {
            let (guard, _) = self.nested(|l| {
                enter(l)?;
                let b = l.expr(guard)?;
                l.scalar_of(b, guard.span)
            })?;
            cond = Some(match cond {
                Some(c) => self.binary(BinaryOp::And, c, guard, arm.span)?,
                None => guard,
            });
        }
        let body = self.nested(|l| {
            enter(l)?;
            l.block_here(&arm.body)
        })?;
        match cond {
            Some(cond) if !rest.is_empty() => {
                let otherwise = self.nested(|l| l.arms(on, rest, span))?;
                self.join(cond, body, otherwise, arm.span)
            }
            // Statements of an arm that is always taken stand in the block itself.
            _ => {
                let (value, stmts) = body;
                self.out.extend(stmts);
                Ok(value)
            }
        }
    }

    /// When a pattern takes a value (`None`: always), and the names that it binds.
    #[allow(clippy::type_complexity)]
    fn pattern_condition(&mut self, pat: &Pat, on: &Binding) -> Result<(Option<Expr>, Vec<(Pat, Binding)>)> {
        let span = pat.span;
        match (&pat.kind, on) {
            (PatKind::Wild, _) => Ok((None, vec![])),
            (PatKind::Name(name, _), _) => match self.current.constant(name) {
                Some(c) => {
                    let value = self.constant(c, span);
                    let on = self.scalar_of(on.clone(), span)?;
                    Ok((Some(self.binary(BinaryOp::Eq, on, value, span)?), vec![]))
                }
                None => Ok((None, vec![(pat.clone(), on.clone())])),
            },
            (PatKind::Ref(p), _) => self.pattern_condition(p, on),
            (PatKind::Value(e), _) => {
                let value = self.expr(e)?;
                let value = self.scalar_of(value, span)?;
                let on = self.scalar_of(on.clone(), span)?;
                Ok((Some(self.binary(BinaryOp::Eq, on, value, span)?), vec![]))
            }
            (PatKind::Or(list), _) => {
                let mut any: Option<Expr> = None;
                for p in list {
                    let (c, names) = self.pattern_condition(p, on)?;
                    let Some(c) = c else { return Ok((None, names)) };
                    any = Some(match any {
                        None => c,
                        Some(a) => self.binary(BinaryOp::Or, a, c, span)?,
                    });
                }
                Ok((any, vec![]))
            }
            (PatKind::Range(a, b, closed), _) => {
                let on = self.scalar_of(on.clone(), span)?;
                let mut both: Option<Expr> = None;
                let below = if *closed { BinaryOp::Le } else { BinaryOp::Lt };
                for (end, op) in [(a, BinaryOp::Ge), (b, below)] {
                    let Some(end) = end else { continue };
                    let end = self.expr(end)?;
                    let end = self.scalar_of(end, span)?;
                    let c = self.binary(op, on.clone(), end, span)?;
                    both = Some(match both {
                        None => c,
                        Some(a) => self.binary(BinaryOp::And, a, c, span)?,
                    });
                }
                Ok((both, vec![]))
            }
            (PatKind::Tuple(pats), Binding::Tuple(list)) if pats.len() == list.len() => {
                let (mut all, mut names): (Option<Expr>, _) = (None, vec![]);
                for (p, b) in pats.iter().zip(list) {
                    let (c, n) = self.pattern_condition(p, b)?;
                    names.extend(n);
                    all = match (all, c) {
                        (Some(a), Some(c)) => Some(self.binary(BinaryOp::And, a, c, span)?),
                        (a, c) => a.or(c),
                    };
                }
                Ok((all, names))
            }
            _ => self.error(span, format!("this pattern does not fit {}", on.what())),
        }
    }

    /// Another kernel's body, with its parameters bound to these.
    pub(super) fn inline(
        &mut self,
        kernel: &'a crate::Kernel,
        args: Vec<Binding>,
        span: Span,
    ) -> Result<Binding> {
        let f = kernel.function();
        if self.depth >= super::MOST_CALLS || f.name == self.root.name() {
            return self.error(
                span,
                format!("`{}` calls itself, in the end: kernels have loops, not recursion", f.name),
            );
        }
        if args.len() != f.params.len() {
            return self.error(
                span,
                format!("`{}` takes {} arguments, found {}", f.name, f.params.len(), args.len()),
            );
        }
        let mut scope = HashMap::new();
        for (p, b) in f.params.iter().zip(args) {
            let inner = match &p.ty {
                Type::Ref(_, t) => t,
                t => t,
            };
            let by_mut = matches!(&p.ty, Type::Ref(true, _));
            let b = match (b, inner) {
                (Binding::View(mut v), Type::Slice(_) | Type::Vec(_) | Type::Array(..)) => {
                    if v.dims.len() != 1 {
                        return self.error(
                            span,
                            format!("`{}` of `{}` is a slice: pass `x.as_slice()`", p.name, f.name),
                        );
                    }
                    v.tensor = false;
                    Binding::View(v)
                }
                (Binding::View(mut v), Type::Tensor { axes, .. }) => {
                    if v.dims.len() != axes.len() {
                        return self
                            .error(span, format!("`{}` of `{}` has {} axes", p.name, f.name, axes.len()));
                    }
                    v.tensor = true;
                    Binding::View(v)
                }
                (
                    b @ (Binding::Value(_) | Binding::Var(_) | Binding::Place(_)),
                    Type::Scalar(_) | Type::Named(_),
                ) => {
                    if by_mut && !matches!(b, Binding::Value(_)) {
                        b
                    } else {
                        let e = self.scalar_of(b, span)?;
                        if let Type::Scalar(s) = inner {
                            self.unify(e.ty, Ty::Known(*s), span)?;
                        }
                        let v = self.new_var(&p.name, e.ty);
                        if p.mutable {
                            self.mutables.insert(v);
                        }
                        self.emit(StmtKind::Assign(v, e), span)?;
                        Binding::Var(v)
                    }
                }
                (b, _) => b,
            };
            scope.insert(p.name.clone(), b);
        }
        let saved = (std::mem::replace(&mut self.scopes, vec![scope]), self.call_site);
        let before = std::mem::replace(&mut self.current, kernel);
        self.call_site = Some(self.call_site.unwrap_or(span));
        self.depth += 1;
        let made = self.body(&f.body);
        self.depth -= 1;
        self.current = before;
        (self.scopes, self.call_site) = saved;
        made
    }

    /// Checks a divisor-like constant.
    pub(super) fn positive(&self, e: &Expr, what: &str, span: Span) -> Result<()> {
        match as_int(e) {
            Some(n) if n <= 0 => self.error(span, format!("{what} must be at least 1, found {n}")),
            _ => Ok(()),
        }
    }
}

/// `if c { …; continue } rest` as `if c { … } else { rest }`, so that no loop is left early.
fn without_continue(stmts: &[kernel_syntax::Stmt]) -> Vec<kernel_syntax::Stmt> {
    let mut made = vec![];
    for (i, s) in stmts.iter().enumerate() {
        let rest = &stmts[i + 1..];
        match &s.kind {
            Statement::Continue => return made,
            Statement::Expr(e) => match &e.kind {
                Syntax::If(c, a, b) if ends(a) || b.as_ref().is_some_and(ends) => {
                    let b = b.clone().unwrap_or_default();
                    let kind = Syntax::If(c.clone(), with_rest(a, rest), Some(with_rest(&b, rest)));
                    made.push(statement(e, kind));
                    return made;
                }
                Syntax::Match(x, arms) if arms.iter().any(|a| ends(&a.body)) => {
                    let arms = arms.iter().map(|a| Arm { body: with_rest(&a.body, rest), ..a.clone() });
                    made.push(statement(e, Syntax::Match(x.clone(), arms.collect())));
                    return made;
                }
                _ => made.push(s.clone()),
            },
            _ => made.push(s.clone()),
        }
    }
    made
}

/// Whether a branch of it ends with `continue`.
fn leaves(s: &kernel_syntax::Stmt) -> bool {
    match &s.kind {
        Statement::Expr(e) => match &e.kind {
            Syntax::If(_, a, b) => ends(a) || b.as_ref().is_some_and(ends),
            Syntax::Match(_, arms) => arms.iter().any(|a| ends(&a.body)),
            _ => false,
        },
        _ => false,
    }
}

fn statement(e: &kernel_syntax::Expr, kind: Syntax) -> kernel_syntax::Stmt {
    let e = kernel_syntax::Expr { kind, span: e.span };
    kernel_syntax::Stmt { span: e.span, kind: Statement::Expr(e) }
}

fn ends(b: &Block) -> bool {
    matches!(b.stmts.last().map(|s| &s.kind), Some(Statement::Continue)) && b.value.is_none()
}

fn with_rest(b: &Block, rest: &[kernel_syntax::Stmt]) -> Block {
    if ends(b) {
        return Block { stmts: b.stmts[..b.stmts.len() - 1].to_vec(), value: None };
    }
    // The value of a statement is nobody's.
    let value =
        b.value.iter().map(|e| kernel_syntax::Stmt { span: e.span, kind: Statement::Expr((**e).clone()) });
    Block { stmts: b.stmts.iter().cloned().chain(value).chain(rest.iter().cloned()).collect(), value: None }
}
