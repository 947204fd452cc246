//! Where variables live: which a loop or a branch has to hand on, and which are gone at its end.
//!
//! The typed program assigns variables; MLIR's loops carry values. A variable is carried by a loop or a branch that assigns
//! it, unless every mention of it lies inside.

use kernel::program::{Access, Expr, ExprKind, Output, Program, Slot, Stmt, StmtKind, VarId};
use std::collections::{BTreeSet, HashMap};

/// The depth of the innermost block that holds every mention of a variable; the function's own block has depth 1.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    homes: HashMap<VarId, Vec<u32>>,
    path: Vec<u32>,
    blocks: u32,
}

impl Scopes {
    pub(super) fn of(program: &Program) -> Scopes {
        let mut s = Scopes::default();
        s.inside(|s| {
            for p in &program.params {
                if let Slot::Scalar(v) | Slot::ScalarMut(v) | Slot::Ternary(_, v) = p.slot {
                    s.mention(v);
                }
            }
            s.block(&program.body);
            for r in &program.results {
                match r {
                    Output::Scalar(v) => s.mention(*v),
                    Output::Array(_, dims) => dims.iter().for_each(|d| s.expr(d)),
                }
            }
        });
        s
    }

    /// The depth of a variable's block.
    pub(super) fn depth(&self, v: VarId) -> usize {
        self.homes.get(&v).map_or(1, Vec::len)
    }

    /// What these statements assign of variables that live in blocks no deeper than `depth`, in order.
    pub(super) fn carried(&self, stmts: &[Stmt], depth: usize) -> Vec<VarId> {
        let mut all = BTreeSet::new();
        assigned(stmts, &mut all);
        all.into_iter().filter(|v| self.depth(*v) <= depth).collect()
    }

    fn inside(&mut self, body: impl FnOnce(&mut Scopes)) {
        self.path.push(self.blocks);
        self.blocks += 1;
        body(self);
        self.path.pop();
    }

    fn mention(&mut self, v: VarId) {
        let path = &self.path;
        self.homes
            .entry(v)
            .and_modify(|home| {
                let common = home.iter().zip(path).take_while(|(a, b)| a == b).count();
                home.truncate(common);
            })
            .or_insert_with(|| path.clone());
    }

    fn block(&mut self, stmts: &[Stmt]) {
        for s in stmts {
            match &s.kind {
                StmtKind::Assign(v, e) => {
                    self.expr(e);
                    self.mention(*v);
                }
                StmtKind::Store(a, e) => {
                    self.expr(e);
                    self.access(a);
                }
                StmtKind::Alloc(_, dims, fill) => {
                    dims.iter().for_each(|d| self.expr(d));
                    self.expr(fill);
                }
                StmtKind::For(v, n, body) => {
                    self.expr(n);
                    self.inside(|s| {
                        s.mention(*v);
                        s.block(body);
                    });
                }
                StmtKind::If(c, a, b) => {
                    self.expr(c);
                    self.inside(|s| s.block(a));
                    self.inside(|s| s.block(b));
                }
                StmtKind::Require(e, _) => self.expr(e),
            }
        }
    }

    fn access(&mut self, a: &Access) {
        self.expr(&a.index);
        for (i, n) in &a.checks {
            self.expr(i);
            self.expr(n);
        }
    }

    fn expr(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::Var(v) => self.mention(*v),
            ExprKind::Load(a) => self.access(a),
            ExprKind::Negate(x) | ExprKind::Cast(x) => self.expr(x),
            ExprKind::Binary(_, a, b) => {
                self.expr(a);
                self.expr(b);
            }
            ExprKind::Call(_, args) => args.iter().for_each(|a| self.expr(a)),
            ExprKind::Float(_) | ExprKind::Int(_) | ExprKind::Bool(_) | ExprKind::Size(..) => {}
        }
    }
}

fn assigned(stmts: &[Stmt], into: &mut BTreeSet<VarId>) {
    for s in stmts {
        match &s.kind {
            StmtKind::Assign(v, _) => {
                into.insert(*v);
            }
            StmtKind::For(_, _, body) => assigned(body, into),
            StmtKind::If(_, a, b) => {
                assigned(a, into);
                assigned(b, into);
            }
            _ => {}
        }
    }
}

/// Whether two expressions are written alike; where they stand does not matter.
pub(super) fn alike(a: &Expr, b: &Expr) -> bool {
    let access = |x: &Access, y: &Access| x.array == y.array && alike(&x.index, &y.index);
    a.ty == b.ty
        && match (&a.kind, &b.kind) {
            (ExprKind::Load(x), ExprKind::Load(y)) => access(x, y),
            (ExprKind::Negate(x), ExprKind::Negate(y)) | (ExprKind::Cast(x), ExprKind::Cast(y)) => {
                alike(x, y)
            }
            (ExprKind::Binary(o, x, y), ExprKind::Binary(p, z, w)) => o == p && alike(x, z) && alike(y, w),
            (ExprKind::Call(f, x), ExprKind::Call(g, y)) => {
                f == g && x.len() == y.len() && x.iter().zip(y).all(|(x, y)| alike(x, y))
            }
            (x, y) => x == y,
        }
}
