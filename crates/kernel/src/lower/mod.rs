//! From the syntax tree to the typed form: names bound, types inferred, iterators turned into loops over indices,
//! closures and other kernels' bodies put where they are called.
//!
//! A name stands for a [`Binding`]: a scalar, a view of an array, a tuple, an iterator, a closure. Only scalars and arrays
//! live on in the [`Program`]; everything else is gone when its use has been written down.

mod expr;
mod infer;
mod iter;
mod method;
mod stmt;

use crate::error::{KernelError, Result};
use crate::function::{Constant, Kernel};
use crate::program::{
    Access, ArrayDecl, ArrayId, Expr, ExprKind, Function, Output, Parameter, Program, Slot, Stmt, StmtKind,
    Ty, VarDecl, VarId,
};
use infer::Types;
use iter::Iter;
use kernel_syntax::{BinaryOp, Pat, Scalar, Span, Type, UnaryOp};
use std::collections::HashMap;
use std::rc::Rc;

/// How deep calls of other kernels may lie in one another.
const MOST_CALLS: usize = 32;
/// How many statements a program may have: what is put in place multiplies.
const MOST_STATEMENTS: usize = 20_000;

/// What a name stands for.
#[derive(Clone, Debug)]
pub(crate) enum Binding {
    /// A value that is computed where it is used: a variable, a constant.
    Value(Expr),
    /// A variable that may be assigned.
    Var(VarId),
    /// An element that may be assigned.
    Place(Access),
    /// A contiguous part of an array.
    View(View),
    /// A ternary matrix: trits and scale.
    Ternary(ArrayId, VarId),
    /// Several.
    Tuple(Vec<Binding>),
    /// What a `for` runs over.
    Iter(Rc<Iter>),
    /// A closure with the names in sight where it was written.
    Closure(Rc<Closure>),
    /// A function of numbers by its name, as `f32::max` is passed to `fold`.
    Function(Function),
}

#[derive(Debug)]
pub(crate) struct Closure {
    pub params: Vec<Pat>,
    pub body: kernel_syntax::Expr,
    pub scopes: Vec<HashMap<String, Binding>>,
}

/// A contiguous part of an array, seen with sizes.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub array: ArrayId,
    /// Where it begins; `None` at the start.
    pub offset: Option<Expr>,
    pub dims: Vec<Expr>,
    /// A tensor is indexed by `[[i, j]]`, a slice by `[i]`.
    pub tensor: bool,
    pub mutable: bool,
}

pub(crate) struct Lowerer<'a> {
    /// The kernel that is being made a program; its helpers are known to all that it calls.
    root: &'a Kernel,
    /// The kernel whose text is being read.
    current: &'a Kernel,
    scalar: Scalar,
    types: Types,
    vars: Vec<VarDecl>,
    arrays: Vec<ArrayDecl>,
    scopes: Vec<HashMap<String, Binding>>,
    /// Statements of the block being written.
    out: Vec<Stmt>,
    statements: usize,
    depth: usize,
    /// The type that is written beside the expression being read.
    expected: Option<Type>,
    /// Variables that are assigned more than once.
    mutables: std::collections::HashSet<VarId>,
    /// Where an error is told while the text of another kernel is read.
    call_site: Option<Span>,
}

pub(crate) fn lower(kernel: &Kernel, scalar: Scalar) -> Result<Program> {
    let mut l = Lowerer {
        root: kernel,
        current: kernel,
        scalar,
        types: Types::default(),
        vars: vec![],
        arrays: vec![],
        scopes: vec![HashMap::new()],
        out: vec![],
        statements: 0,
        depth: 0,
        expected: None,
        mutables: Default::default(),
        call_site: None,
    };
    let f = kernel.function();
    let mut params = vec![];
    for p in &f.params {
        let (slot, binding) = l.parameter(&p.name, &p.ty, p.mutable, p.span)?;
        l.bind(&p.name, binding);
        params.push(Parameter { name: p.name.clone(), slot, ty: p.ty.clone() });
    }
    let value = l.body(&f.body)?;
    let mut results = vec![];
    l.results(value, &f.result, f.span, &mut results)?;
    let mut program =
        Program { name: f.name.clone(), vars: l.vars, arrays: l.arrays, params, body: l.out, results };
    infer::finish(&mut program, &mut l.types);
    Ok(program)
}

/// The value of a constant expression.
pub(crate) fn constant(
    e: &kernel_syntax::Expr,
    ty: &Type,
    known: &std::collections::BTreeMap<String, Constant>,
) -> Option<Constant> {
    use kernel_syntax::ExprKind as E;
    let Type::Scalar(scalar) = *ty else { return None };
    let number = |x: f64| {
        if scalar.is_float() { Constant::Float(x, scalar) } else { Constant::Int(x as i128, scalar) }
    };
    fn value(e: &kernel_syntax::Expr, known: &std::collections::BTreeMap<String, Constant>) -> Option<f64> {
        Some(match &e.kind {
            E::Int(i, _) => *i as f64,
            E::Float(text, _) => text.replace('_', "").parse().ok()?,
            E::Unary(UnaryOp::Neg, x) => -value(x, known)?,
            E::Cast(x, _) => value(x, known)?,
            E::Path(p) => match known.get(p.last()?)? {
                Constant::Int(i, _) => *i as f64,
                Constant::Float(x, _) => *x,
                Constant::Bool(_) => return None,
            },
            E::Binary(op, a, b) => {
                let (a, b) = (value(a, known)?, value(b, known)?);
                match op {
                    BinaryOp::Add => a + b,
                    BinaryOp::Sub => a - b,
                    BinaryOp::Mul => a * b,
                    BinaryOp::Div => a / b,
                    _ => return None,
                }
            }
            _ => return None,
        })
    }
    match &e.kind {
        E::Bool(b) => Some(Constant::Bool(*b)),
        // Integer division is not that of floats.
        E::Binary(BinaryOp::Div, ..) if !scalar.is_float() => None,
        _ => Some(number(value(e, known)?)),
    }
}

impl<'a> Lowerer<'a> {
    fn error<T>(&self, span: Span, problem: impl Into<String>) -> Result<T> {
        let problem = problem.into();
        match self.call_site {
            Some(site) => Err(KernelError::ty(
                self.root.name(),
                site,
                format!("{problem} (in line {} of {})", self.current.line(span.line), self.current.name()),
            )),
            None => Err(KernelError::ty(self.root.name(), span, problem)),
        }
    }

    /// The place for what is written down: that of the call while another kernel's text is read from another file.
    fn place(&self, span: Span) -> Span {
        match self.call_site {
            Some(site) if self.current.text() != self.root.text() => site,
            _ => span,
        }
    }

    fn bind(&mut self, name: &str, binding: Binding) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_string(), binding);
        }
    }

    fn lookup(&self, name: &str) -> Option<&Binding> {
        self.scopes.iter().rev().find_map(|s| s.get(name))
    }

    fn emit(&mut self, kind: StmtKind, span: Span) -> Result<()> {
        self.statements += 1;
        if self.statements > MOST_STATEMENTS {
            return self.error(
                span,
                format!("the kernel has more than {MOST_STATEMENTS} statements once calls are in place"),
            );
        }
        let span = self.place(span);
        self.out.push(Stmt { kind, span });
        Ok(())
    }

    /// What `f` writes down, as a list of its own.
    fn nested<R>(&mut self, f: impl FnOnce(&mut Self) -> Result<R>) -> Result<(R, Vec<Stmt>)> {
        let saved = std::mem::take(&mut self.out);
        self.scopes.push(HashMap::new());
        let made = f(self);
        self.scopes.pop();
        let inner = std::mem::replace(&mut self.out, saved);
        made.map(|r| (r, inner))
    }

    fn new_var(&mut self, name: &str, ty: Ty) -> VarId {
        self.vars.push(VarDecl { name: name.to_string(), ty });
        VarId(self.vars.len() as u32 - 1)
    }

    fn var(&self, v: VarId, span: Span) -> Expr {
        Expr { kind: ExprKind::Var(v), ty: self.vars[v.0 as usize].ty, span: self.place(span) }
    }

    fn int(&self, value: i128, span: Span) -> Expr {
        Expr { kind: ExprKind::Int(value), ty: Ty::Known(Scalar::Usize), span: self.place(span) }
    }

    fn size(&self, array: ArrayId, axis: usize, span: Span) -> Expr {
        let decl = &self.arrays[array.0 as usize];
        match decl.sizes.get(axis).copied().flatten() {
            Some(n) => self.int(n as i128, span),
            None => Expr {
                kind: ExprKind::Size(array, axis),
                ty: Ty::Known(Scalar::Usize),
                span: self.place(span),
            },
        }
    }

    /// Arithmetic of places, with what needs no computing left out.
    fn usize(&self, op: BinaryOp, a: Expr, b: Expr) -> Expr {
        use BinaryOp::*;
        let span = a.span;
        let (x, y) = (as_int(&a), as_int(&b));
        match (op, x, y) {
            (Add, Some(0), _) | (Mul, Some(1), _) => b,
            (Add | Sub, _, Some(0)) | (Mul | Div, _, Some(1)) => a,
            (Mul, Some(0), _) | (Mul, _, Some(0)) => self.int(0, span),
            (Add, Some(x), Some(y)) => self.int(x + y, span),
            (Sub, Some(x), Some(y)) if x >= y => self.int(x - y, span),
            (Mul, Some(x), Some(y)) => self.int(x * y, span),
            (Div, Some(x), Some(y)) if y > 0 => self.int(x / y, span),
            _ => {
                let ty = if op.is_comparison() { Scalar::Bool } else { Scalar::Usize };
                Expr { kind: ExprKind::Binary(op, Box::new(a), Box::new(b)), ty: Ty::Known(ty), span }
            }
        }
    }

    fn call(&self, f: Function, args: Vec<Expr>, ty: Ty, span: Span) -> Expr {
        Expr { kind: ExprKind::Call(f, args), ty, span: self.place(span) }
    }

    fn new_array(&mut self, decl: ArrayDecl) -> ArrayId {
        self.arrays.push(decl);
        ArrayId(self.arrays.len() as u32 - 1)
    }

    fn whole(&self, array: ArrayId, tensor: bool, span: Span) -> View {
        let decl = &self.arrays[array.0 as usize];
        let dims = (0..decl.rank).map(|k| self.size(array, k, span)).collect();
        View { array, offset: None, dims, tensor, mutable: decl.mutable }
    }

    fn named(&self, name: &str) -> Ty {
        let _ = name;
        Ty::Known(self.scalar)
    }

    fn element(&mut self, ty: &Type, span: Span) -> Result<Ty> {
        Ok(match ty {
            Type::Scalar(s) => Ty::Known(*s),
            Type::Named(n) => self.named(n),
            Type::Infer => self.types.any(),
            Type::Ref(_, t) => self.element(t, span)?,
            _ => {
                return self.error(
                    span,
                    "the elements of an array are numbers: flatten it, or use a tensor of two axes",
                );
            }
        })
    }

    /// The kernel of that name: one that the current text may call, else one of the root's.
    pub(crate) fn find_helper(&self, name: &str) -> Option<&'a Kernel> {
        self.current.helper(name).or_else(|| self.root.helper(name))
    }

    fn axis(&self, name: &str) -> Option<usize> {
        self.current.axis_size(name)
    }

    fn parameter(&mut self, name: &str, ty: &Type, mutable: bool, span: Span) -> Result<(Slot, Binding)> {
        let (by_ref, written, inner) = match ty {
            Type::Ref(m, t) => (true, *m, &**t),
            t => (false, mutable, t),
        };
        let decl = |element, axes: Vec<Option<String>>, sizes: Vec<Option<usize>>| ArrayDecl {
            name: name.to_string(),
            element,
            rank: sizes.len(),
            axes,
            sizes,
            param: true,
            // An owned array that is `mut` is written without the caller seeing it; it is a parameter all the same.
            mutable: written,
            trits: false,
            unit: String::new(),
        };
        let decl = match inner {
            Type::Scalar(_) | Type::Named(_) => {
                let ty = self.element(inner, span)?;
                let v = self.new_var(name, ty);
                let slot = if by_ref && written { Slot::ScalarMut(v) } else { Slot::Scalar(v) };
                if written {
                    self.mutables.insert(v);
                }
                return Ok((slot, Binding::Var(v)));
            }
            Type::Slice(t) | Type::Vec(t) => decl(self.element(t, span)?, vec![None], vec![None]),
            Type::Array(t, n) => match &**t {
                // `[[T; N]; M]` is a matrix.
                Type::Array(..) => return self.error(span, "an array of arrays is not supported: flatten it, or use a tensor of two axes"),
                t => {
                    let element = self.element(t, span)?;
                    // A size that is itself a parameter of the function is known when the array is.
                    if let kernel_syntax::ExprKind::Path(p) = &n.kind
                        && let [generic] = &p[..]
                        && self.current.function().generics.iter().any(|g| g.constant && g.name == *generic)
                    {
                        let array = self.new_array(decl(element, vec![Some(generic.clone())], vec![None]));
                        let view = self.whole(array, false, span);
                        self.bind(generic, Binding::Value(view.dims[0].clone()));
                        return Ok((Slot::Array(array), Binding::View(view)));
                    }
                    let size = self.expr_usize(n)?;
                    let size = as_int(&size).map(|n| n as usize);
                    decl(element, vec![None], vec![size])
                }
            },
            Type::Tensor { axes, element, unit } => {
                let element = self.element(element, span)?;
                let sizes = axes.iter().map(|a| self.axis(a)).collect();
                let mut d = decl(element, axes.iter().cloned().map(Some).collect(), sizes);
                d.unit = unit.clone();
                d
            }
            Type::Ternary { input, output } => {
                let sizes = vec![self.axis(output), self.axis(input)];
                let mut d = decl(Ty::Known(Scalar::I8), vec![Some(output.clone()), Some(input.clone())], sizes);
                (d.trits, d.mutable) = (true, false);
                let array = self.new_array(d);
                let scale = self.new_var(&format!("{name}.scale"), Ty::Known(Scalar::F32));
                return Ok((Slot::Ternary(array, scale), Binding::Ternary(array, scale)));
            }
            _ => return self.error(span, format!("`{name}` has a type that kernels do not take: numbers, slices, arrays, tensors and ternary matrices, or references to them")),
        };
        let tensor = matches!(inner, Type::Tensor { .. });
        let array = self.new_array(decl);
        let view = self.whole(array, tensor, span);
        Ok((Slot::Array(array), Binding::View(view)))
    }

    /// Takes a result apart into numbers and arrays.
    fn results(&mut self, value: Binding, ty: &Type, span: Span, into: &mut Vec<Output>) -> Result<()> {
        let expected = match ty {
            Type::Result(t) => t,
            t => t,
        };
        match (value, expected) {
            (Binding::Tuple(list), Type::Tuple(types)) => {
                if list.len() != types.len() {
                    return self.error(
                        span,
                        format!("returns {} values, its type says {}", list.len(), types.len()),
                    );
                }
                list.into_iter().zip(types).try_for_each(|(b, t)| self.results(b, t, span, into))
            }
            (Binding::View(v), t) => {
                let element = match t {
                    Type::Slice(t) | Type::Array(t, _) | Type::Vec(t) | Type::Ref(_, t) => Some(&**t),
                    Type::Tensor { element, .. } => Some(&**element),
                    _ => None,
                };
                if let Some(Type::Scalar(s)) = element {
                    let found = self.arrays[v.array.0 as usize].element;
                    self.unify(found, Ty::Known(*s), span)?;
                } else if let Some(Type::Named(n)) = element {
                    let (found, named) = (self.arrays[v.array.0 as usize].element, self.named(n));
                    self.unify(found, named, span)?;
                }
                if let Type::Tensor { axes, .. } = t {
                    let decl = &mut self.arrays[v.array.0 as usize];
                    if !decl.param && decl.rank == axes.len() {
                        decl.axes = axes.iter().cloned().map(Some).collect();
                    }
                }
                if v.offset.is_some() {
                    return self.error(span, "returns a part of an array: copy it with `to_vec()`");
                }
                into.push(Output::Array(v.array, v.dims));
                Ok(())
            }
            (b, t) => {
                let e = self.scalar_of(b, span)?;
                if let Type::Scalar(s) = t {
                    self.unify(e.ty, Ty::Known(*s), span)?;
                } else if let Type::Named(n) = t {
                    let named = self.named(n);
                    self.unify(e.ty, named, span)?;
                }
                let v = self.new_var("result", e.ty);
                self.emit(StmtKind::Assign(v, e), span)?;
                into.push(Output::Scalar(v));
                Ok(())
            }
        }
    }

    fn unify(&mut self, a: Ty, b: Ty, span: Span) -> Result<()> {
        match self.types.unify(a, b) {
            Ok(()) => Ok(()),
            Err((a, b)) => self.error(span, format!("expected {a}, found {b}")),
        }
    }

    /// The scalar that a binding holds.
    fn scalar_of(&mut self, b: Binding, span: Span) -> Result<Expr> {
        match b {
            Binding::Value(e) => Ok(e),
            Binding::Var(v) => Ok(self.var(v, span)),
            Binding::Place(a) => {
                let ty = self.arrays[a.array.0 as usize].element;
                Ok(Expr { kind: ExprKind::Load(Box::new(a)), ty, span: self.place(span) })
            }
            other => self.error(span, format!("expected a number, found {}", other.what())),
        }
    }

    fn view_of(&self, b: Binding, span: Span) -> Result<View> {
        match b {
            Binding::View(v) => Ok(v),
            Binding::Ternary(a, _) => Ok(self.whole(a, true, span)),
            other => self.error(span, format!("expected an array, found {}", other.what())),
        }
    }

    /// The number of elements of a view.
    fn elements(&self, v: &View, span: Span) -> Expr {
        v.dims.iter().cloned().fold(self.int(1, span), |n, d| self.usize(BinaryOp::Mul, n, d))
    }
}

impl Binding {
    pub(crate) fn what(&self) -> &'static str {
        match self {
            Binding::Value(_) | Binding::Var(_) | Binding::Place(_) => "a number",
            Binding::View(_) => "an array",
            Binding::Ternary(..) => "a ternary matrix",
            Binding::Tuple(_) => "a tuple",
            Binding::Iter(_) => "an iterator",
            Binding::Closure(_) | Binding::Function(_) => "a function",
        }
    }
}

pub(crate) fn as_int(e: &Expr) -> Option<i128> {
    match e.kind {
        ExprKind::Int(i) => Some(i),
        _ => None,
    }
}
