//! Types of numbers without a suffix: unification, with Rust's defaults where nothing says more.

use crate::program::{Access, Expr, ExprKind, Program, Stmt, StmtKind, Ty};
use kernel_syntax::Scalar;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Cell {
    Known(Scalar),
    Float,
    Int,
    Any,
    Link(u32),
}

/// The variables of the inference.
#[derive(Default)]
pub(crate) struct Types {
    cells: Vec<Cell>,
}

impl Types {
    fn fresh(&mut self, cell: Cell) -> Ty {
        self.cells.push(cell);
        Ty::Var(self.cells.len() as u32 - 1)
    }

    /// A type of which nothing is known.
    pub(crate) fn any(&mut self) -> Ty {
        self.fresh(Cell::Any)
    }

    /// That of a decimal.
    pub(crate) fn float(&mut self) -> Ty {
        self.fresh(Cell::Float)
    }

    /// That of an integer.
    pub(crate) fn int(&mut self) -> Ty {
        self.fresh(Cell::Int)
    }

    fn find(&self, ty: Ty) -> (Option<u32>, Cell) {
        let mut at = match ty {
            Ty::Known(s) => return (None, Cell::Known(s)),
            Ty::Var(v) => v,
        };
        loop {
            match self.cells[at as usize] {
                Cell::Link(next) => at = next,
                cell => return (Some(at), cell),
            }
        }
    }

    /// The type, as far as it is known.
    pub(crate) fn known(&self, ty: Ty) -> Option<Scalar> {
        match self.find(ty).1 {
            Cell::Known(s) => Some(s),
            _ => None,
        }
    }

    /// Whether it is a float, or will be.
    pub(crate) fn is_float(&self, ty: Ty) -> bool {
        match self.find(ty).1 {
            Cell::Known(s) => s.is_float(),
            cell => cell == Cell::Float,
        }
    }

    pub(crate) fn unify(&mut self, a: Ty, b: Ty) -> Result<(), (String, String)> {
        let ((va, a), (vb, b)) = (self.find(a), self.find(b));
        if va.is_some() && va == vb {
            return Ok(());
        }
        let name = |c: Cell| match c {
            Cell::Known(s) => s.name().to_string(),
            Cell::Float => "a decimal".into(),
            Cell::Int => "an integer".into(),
            _ => "a number".into(),
        };
        let common = match (a, b) {
            (Cell::Any, x) | (x, Cell::Any) => x,
            (Cell::Float, Cell::Float) => Cell::Float,
            (Cell::Int, Cell::Int) => Cell::Int,
            (Cell::Known(s), Cell::Float) | (Cell::Float, Cell::Known(s)) if s.is_float() => Cell::Known(s),
            (Cell::Known(s), Cell::Int) | (Cell::Int, Cell::Known(s)) if s.is_int() => Cell::Known(s),
            (Cell::Known(x), Cell::Known(y)) if x == y => Cell::Known(x),
            _ => return Err((name(a), name(b))),
        };
        match (va, vb) {
            (Some(x), Some(y)) => {
                self.cells[x as usize] = common;
                self.cells[y as usize] = Cell::Link(x);
            }
            (Some(x), None) | (None, Some(x)) => self.cells[x as usize] = common,
            (None, None) => {}
        }
        Ok(())
    }

    fn settle(&self, ty: &mut Ty) {
        *ty = Ty::Known(match self.find(*ty).1 {
            Cell::Known(s) => s,
            Cell::Int => Scalar::I32,
            Cell::Float | Cell::Any | Cell::Link(_) => Scalar::F64,
        });
    }
}

/// Puts the found types into the program.
pub(crate) fn finish(p: &mut Program, types: &mut Types) {
    p.vars.iter_mut().for_each(|v| types.settle(&mut v.ty));
    p.arrays.iter_mut().for_each(|a| types.settle(&mut a.element));
    stmts(&mut p.body, types);
    for r in &mut p.results {
        if let crate::program::Output::Array(_, dims) = r {
            dims.iter_mut().for_each(|d| expr(d, types));
        }
    }
}

fn stmts(list: &mut [Stmt], types: &Types) {
    for s in list {
        match &mut s.kind {
            StmtKind::Assign(_, e) | StmtKind::Require(e, _) => expr(e, types),
            StmtKind::Store(a, e) => {
                access(a, types);
                expr(e, types);
            }
            StmtKind::Alloc(_, dims, fill) => {
                dims.iter_mut().for_each(|d| expr(d, types));
                expr(fill, types);
            }
            StmtKind::For(_, n, body) => {
                expr(n, types);
                stmts(body, types);
            }
            StmtKind::If(c, a, b) => {
                expr(c, types);
                stmts(a, types);
                stmts(b, types);
            }
        }
    }
}

fn access(a: &mut Access, types: &Types) {
    expr(&mut a.index, types);
    a.checks.iter_mut().for_each(|(i, n)| {
        expr(i, types);
        expr(n, types);
    });
}

fn expr(e: &mut Expr, types: &Types) {
    types.settle(&mut e.ty);
    match &mut e.kind {
        ExprKind::Load(a) => access(a, types),
        ExprKind::Negate(x) | ExprKind::Cast(x) => expr(x, types),
        ExprKind::Binary(_, a, b) => {
            expr(a, types);
            expr(b, types);
        }
        ExprKind::Call(_, args) => args.iter_mut().for_each(|a| expr(a, types)),
        ExprKind::Float(_) | ExprKind::Int(_) | ExprKind::Bool(_) | ExprKind::Var(_) | ExprKind::Size(..) => {
        }
    }
}
