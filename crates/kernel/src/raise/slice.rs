//! The lines of the source that a result depends on.

use crate::program::{Access, ArrayId, Expr, ExprKind, Output, Program, Slot, Stmt, StmtKind, VarId};
use crate::symbolic::Place;
use std::collections::BTreeSet;

#[derive(Default, PartialEq, Clone)]
struct Wanted {
    vars: BTreeSet<VarId>,
    arrays: BTreeSet<ArrayId>,
    lines: BTreeSet<u32>,
}

/// The lines of the statements that a result depends on, in order.
pub(super) fn lines(program: &Program, place: &Place) -> Vec<u32> {
    let mut w = Wanted::default();
    match place {
        Place::Result(k) => match &program.results[*k] {
            Output::Scalar(v) => {
                w.vars.insert(*v);
            }
            Output::Array(a, _) => {
                w.arrays.insert(*a);
            }
        },
        Place::Param(k) => match &program.params[*k].slot {
            Slot::Scalar(v) | Slot::ScalarMut(v) => {
                w.vars.insert(*v);
            }
            Slot::Array(a) | Slot::Ternary(a, _) => {
                w.arrays.insert(*a);
            }
        },
    }
    loop {
        let before = w.clone();
        stmts(&program.body, &mut w);
        if w == before {
            return w.lines.into_iter().filter(|l| *l > 0).collect();
        }
    }
}

/// Whether one of the statements matters; what it needs is wanted too.
fn stmts(list: &[Stmt], w: &mut Wanted) -> bool {
    let mut any = false;
    for s in list {
        let needed = match &s.kind {
            StmtKind::Assign(v, e) => {
                let needed = w.vars.contains(v);
                if needed {
                    expr(e, w);
                }
                needed
            }
            StmtKind::Store(a, e) => {
                let needed = w.arrays.contains(&a.array);
                if needed {
                    access(a, w);
                    expr(e, w);
                }
                needed
            }
            StmtKind::Alloc(a, ..) => w.arrays.contains(a),
            StmtKind::For(_, n, body) => {
                let needed = stmts(body, w);
                if needed {
                    expr(n, w);
                }
                needed
            }
            StmtKind::If(c, a, b) => {
                let (a, b) = (stmts(a, w), stmts(b, w));
                if a || b {
                    expr(c, w);
                }
                a || b
            }
            StmtKind::Require(..) => false,
        };
        if needed {
            w.lines.insert(s.span.line);
        }
        any |= needed;
    }
    any
}

fn access(a: &Access, w: &mut Wanted) {
    w.arrays.insert(a.array);
    expr(&a.index, w);
}

fn expr(e: &Expr, w: &mut Wanted) {
    match &e.kind {
        ExprKind::Var(v) => {
            w.vars.insert(*v);
        }
        ExprKind::Load(a) => access(a, w),
        ExprKind::Negate(x) | ExprKind::Cast(x) => expr(x, w),
        ExprKind::Binary(_, a, b) => {
            expr(a, w);
            expr(b, w);
        }
        ExprKind::Call(_, args) => args.iter().for_each(|a| expr(a, w)),
        ExprKind::Float(_) | ExprKind::Int(_) | ExprKind::Bool(_) | ExprKind::Size(..) => {}
    }
}
