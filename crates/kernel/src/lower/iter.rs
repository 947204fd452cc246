//! Iterators: how many items, and item i, so that every form becomes one loop over an index.

use super::{Binding, Closure, Lowerer, View};
use crate::error::Result;
use crate::program::{Access, Expr, ExprKind, Function, Ty};
use kernel_syntax::{BinaryOp, Scalar, Span};
use std::rc::Rc;

/// An iterator that has not been run.
#[derive(Clone, Debug)]
pub(crate) enum Iter {
    /// `from`, `from + 1`, …: so many.
    Range {
        from: Expr,
        count: Expr,
    },
    /// The elements of a view.
    Elements(View),
    /// Parts of a slice; with `exact`, what is left over at the end is left out.
    Chunks {
        of: View,
        size: Expr,
        exact: bool,
    },
    /// Every run of so many neighbours.
    Windows {
        of: View,
        size: Expr,
    },
    Rev(Rc<Iter>),
    StepBy(Rc<Iter>, Expr),
    Zip(Rc<Iter>, Rc<Iter>),
    Enumerate(Rc<Iter>),
    Map(Rc<Iter>, Callee),
    Filter(Rc<Iter>, Callee),
    Skip(Rc<Iter>, Expr),
    Take(Rc<Iter>, Expr),
}

/// What is given to `map` and its kin.
#[derive(Clone, Debug)]
pub(crate) enum Callee {
    Closure(Rc<Closure>),
    Function(Function),
}

impl Lowerer<'_> {
    /// What a `for` runs over.
    pub(super) fn iterator(&mut self, e: &kernel_syntax::Expr) -> Result<Rc<Iter>> {
        let b = self.expr(e)?;
        self.iterator_of(b, e.span)
    }

    pub(super) fn iterator_of(&mut self, b: Binding, span: Span) -> Result<Rc<Iter>> {
        match b {
            Binding::Iter(i) => Ok(i),
            Binding::View(v) => Ok(Rc::new(Iter::Elements(v))),
            other => self.error(
                span,
                format!(
                    "{} is no iterator: a loop runs over a range or over an array's elements",
                    other.what()
                ),
            ),
        }
    }

    /// The iterator of a range.
    pub(super) fn range(
        &mut self,
        from: Option<&kernel_syntax::Expr>,
        to: Option<&kernel_syntax::Expr>,
        closed: bool,
        span: Span,
    ) -> Result<Iter> {
        let from = match from {
            Some(e) => self.expr_scalar(e)?,
            None => self.int(0, span),
        };
        let from = self.stable(from)?;
        let Some(to) = to else {
            return self
                .error(span, "a range without an end is not supported: a loop has a number of rounds");
        };
        let to = self.expr_scalar(to)?;
        self.unify(from.ty, to.ty, span)?;
        if !self.types.known(from.ty).is_none_or(|s| s.is_int()) {
            return self.error(span, "the ends of a range are integers");
        }
        let one = self.int(1, span);
        let to = if closed { self.usize(BinaryOp::Add, to, one) } else { to };
        // Rust runs no round where the end lies before the start.
        let count = match (super::as_int(&from), super::as_int(&to)) {
            (Some(0), _) => to,
            (Some(a), Some(b)) => self.int((b - a).max(0), span),
            _ => self.call(Function::SaturatingSub, vec![to, from.clone()], Ty::Known(Scalar::Usize), span),
        };
        Ok(Iter::Range { from, count })
    }

    pub(super) fn iter_len(&mut self, iter: &Iter, span: Span) -> Result<Expr> {
        let usize = Ty::Known(Scalar::Usize);
        Ok(match iter {
            Iter::Range { count, .. } => count.clone(),
            Iter::Elements(v) => self.elements(v, span),
            Iter::Chunks { of, size, exact } => {
                let n = self.elements(of, span);
                match exact {
                    true => self.usize(BinaryOp::Div, n, size.clone()),
                    false => self.div_ceil(n, size.clone(), span),
                }
            }
            Iter::Windows { of, size } => {
                let one = self.int(1, span);
                let (n, less) = (self.elements(of, span), self.usize(BinaryOp::Sub, size.clone(), one));
                self.call(Function::SaturatingSub, vec![n, less], usize, span)
            }
            Iter::Rev(i) | Iter::Enumerate(i) | Iter::Map(i, _) | Iter::Filter(i, _) => {
                self.iter_len(i, span)?
            }
            Iter::StepBy(i, k) => {
                let n = self.iter_len(i, span)?;
                self.div_ceil(n, k.clone(), span)
            }
            Iter::Zip(a, b) => {
                let (a, b) = (self.iter_len(a, span)?, self.iter_len(b, span)?);
                if a == b { a } else { self.call(Function::Min, vec![a, b], usize, span) }
            }
            Iter::Skip(i, k) => {
                let n = self.iter_len(i, span)?;
                match (super::as_int(&n), super::as_int(k)) {
                    (_, Some(0)) => n,
                    (Some(n), Some(k)) => self.int((n - k).max(0), span),
                    _ => self.call(Function::SaturatingSub, vec![n, k.clone()], usize, span),
                }
            }
            Iter::Take(i, k) => {
                let n = self.iter_len(i, span)?;
                if n == *k { n } else { self.call(Function::Min, vec![n, k.clone()], usize, span) }
            }
        })
    }

    fn div_ceil(&self, n: Expr, k: Expr, span: Span) -> Expr {
        match (super::as_int(&n), super::as_int(&k)) {
            (_, Some(1)) => n,
            (Some(n), Some(k)) if k > 0 => self.int((n + k - 1) / k, span),
            _ => self.call(Function::DivCeil, vec![n, k], Ty::Known(Scalar::Usize), span),
        }
    }

    /// Item `at`, and the condition under which there is one.
    pub(super) fn iter_item(&mut self, iter: &Iter, at: Expr, span: Span) -> Result<(Binding, Option<Expr>)> {
        Ok(match iter {
            Iter::Range { from, .. } => {
                // The index has the type of the range's ends.
                let ty = from.ty;
                let e = match self.types.known(ty) {
                    Some(Scalar::Usize) | None => {
                        self.unify(ty, Ty::Known(Scalar::Usize), span)?;
                        self.usize(BinaryOp::Add, from.clone(), at)
                    }
                    Some(_) => {
                        let at = Expr { kind: ExprKind::Cast(Box::new(at)), ty, span: self.place(span) };
                        self.usize_typed(BinaryOp::Add, from.clone(), at, ty)
                    }
                };
                (Binding::Value(e), None)
            }
            Iter::Elements(v) => (Binding::Place(self.flat(v, at, span)), None),
            Iter::Chunks { of, size, exact } => {
                let start = self.usize(BinaryOp::Mul, at, size.clone());
                let length = if *exact {
                    size.clone()
                } else {
                    let n = self.elements(of, span);
                    let left = self.usize(BinaryOp::Sub, n, start.clone());
                    self.call(Function::Min, vec![size.clone(), left], Ty::Known(Scalar::Usize), span)
                };
                (Binding::View(self.part(of, start, length)), None)
            }
            Iter::Windows { of, size } => (Binding::View(self.part(of, at, size.clone())), None),
            Iter::Rev(i) => {
                let (n, one) = (self.iter_len(i, span)?, self.int(1, span));
                let last = self.usize(BinaryOp::Sub, n, one);
                let at = self.usize(BinaryOp::Sub, last, at);
                self.iter_item(i, at, span)?
            }
            Iter::StepBy(i, k) => {
                let at = self.usize(BinaryOp::Mul, at, k.clone());
                self.iter_item(i, at, span)?
            }
            Iter::Zip(a, b) => {
                let (x, g) = self.iter_item(a, at.clone(), span)?;
                let (y, h) = self.iter_item(b, at, span)?;
                if g.is_some() || h.is_some() {
                    return self.error(
                        span,
                        "`zip` after `filter` is not supported: put the condition into the loop as `if`",
                    );
                }
                (Binding::Tuple(vec![x, y]), None)
            }
            Iter::Enumerate(i) => {
                let (x, g) = self.iter_item(i, at.clone(), span)?;
                if g.is_some() {
                    return self
                        .error(span, "`enumerate` after `filter` is not supported: number the items first");
                }
                (Binding::Tuple(vec![Binding::Value(at), x]), None)
            }
            Iter::Map(i, f) => {
                let (x, g) = self.iter_item(i, at, span)?;
                (self.apply(f, vec![x], span)?, g)
            }
            Iter::Filter(i, f) => {
                let (x, g) = self.iter_item(i, at, span)?;
                let c = self.apply(f, vec![x.clone()], span)?;
                let c = self.scalar_of(c, span)?;
                let c = match g {
                    Some(g) => self.binary(BinaryOp::And, g, c, span)?,
                    None => c,
                };
                (x, Some(c))
            }
            Iter::Skip(i, k) => {
                let at = self.usize(BinaryOp::Add, k.clone(), at);
                self.iter_item(i, at, span)?
            }
            Iter::Take(i, _) => self.iter_item(i, at, span)?,
        })
    }

    /// A closure or a function on these.
    pub(super) fn apply(&mut self, f: &Callee, args: Vec<Binding>, span: Span) -> Result<Binding> {
        match f {
            Callee::Function(f) => {
                let args = args.into_iter().map(|b| self.scalar_of(b, span)).collect::<Result<Vec<_>>>()?;
                self.function(*f, args, span).map(Binding::Value)
            }
            Callee::Closure(c) => {
                if c.params.len() != args.len() {
                    return self.error(
                        span,
                        format!("the closure takes {} arguments, found {}", c.params.len(), args.len()),
                    );
                }
                let saved = std::mem::replace(&mut self.scopes, c.scopes.clone());
                self.scopes.push(Default::default());
                let made = c.params.iter().zip(args).try_for_each(|(p, b)| self.destructure(p, b));
                let made = made.and_then(|()| self.expr(&c.body));
                self.scopes = saved;
                made
            }
        }
    }

    pub(super) fn callee(&mut self, e: &kernel_syntax::Expr) -> Result<Callee> {
        match self.expr(e)? {
            Binding::Closure(c) => Ok(Callee::Closure(c)),
            Binding::Function(f) => Ok(Callee::Function(f)),
            other => self.error(e.span, format!("expected a closure, found {}", other.what())),
        }
    }

    /// The element of a view at a place counted from its start; the view's own extent is the check.
    pub(super) fn flat(&mut self, v: &View, at: Expr, span: Span) -> Access {
        let n = self.elements(v, span);
        self.access(v, at.clone(), vec![(at, n)], span)
    }

    pub(super) fn access(&mut self, v: &View, at: Expr, checks: Vec<(Expr, Expr)>, span: Span) -> Access {
        let index = match &v.offset {
            Some(o) => self.usize(BinaryOp::Add, o.clone(), at),
            None => at,
        };
        Access { array: v.array, index, checks, span: self.place(span) }
    }

    /// A part of a slice.
    pub(super) fn part(&mut self, v: &View, start: Expr, length: Expr) -> View {
        let offset = match &v.offset {
            Some(o) => self.usize(BinaryOp::Add, o.clone(), start),
            None => start,
        };
        View {
            offset: Some(offset).filter(|o| super::as_int(o) != Some(0)),
            dims: vec![length],
            tensor: false,
            ..v.clone()
        }
    }

    /// The element of a view at one index per axis.
    pub(super) fn element_of(&mut self, v: &View, index: Vec<Expr>, span: Span) -> Result<Access> {
        if index.len() != v.dims.len() {
            return self.error(span, format!("{} indices for {} axes", index.len(), v.dims.len()));
        }
        for i in &index {
            self.unify(i.ty, Ty::Known(Scalar::Usize), span)?;
        }
        let mut at = self.int(0, span);
        for (i, n) in index.iter().zip(&v.dims) {
            at = self.usize(BinaryOp::Mul, at, n.clone());
            at = self.usize(BinaryOp::Add, at, i.clone());
        }
        let checks = index.into_iter().zip(v.dims.iter().cloned()).collect();
        Ok(self.access(v, at, checks, span))
    }
}
