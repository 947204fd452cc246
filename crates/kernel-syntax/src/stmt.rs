//! Statements: `let`, assignment, `for`, expressions.

use crate::expr;
use crate::pattern;
use crate::tree::{BinaryOp, Block, Pat, PatKind, Span, Stmt, StmtKind};
use crate::types;
use syn::spanned::Spanned;
use syn::{Error, Result};

pub(crate) fn block(block: &syn::Block) -> Result<Block> {
    let mut made = Block::default();
    for (i, stmt) in block.stmts.iter().enumerate() {
        let last = i + 1 == block.stmts.len();
        match stmt {
            syn::Stmt::Local(local) => made.stmts.push(local_stmt(local)?),
            syn::Stmt::Item(syn::Item::Const(c)) => {
                let pat =
                    Pat { kind: PatKind::Name(c.ident.to_string(), false), span: Span::of(c.ident.span()) };
                let kind = StmtKind::Let(pat, types::parse(&c.ty)?, Some(expr::parse(&c.expr)?));
                made.stmts.push(Stmt { kind, span: Span::of(c.span()) });
            }
            // What is brought into sight is rustc's affair.
            syn::Stmt::Item(syn::Item::Use(_)) => {}
            syn::Stmt::Item(item) => {
                return Err(Error::new(
                    item.span(),
                    "an item inside a kernel is not supported: put it beside the function (`const` may stay)",
                ));
            }
            syn::Stmt::Expr(e, semicolon) => match statement(e)? {
                Some(stmt) => made.stmts.push(stmt),
                None if last && semicolon.is_none() => made.value = Some(Box::new(expr::parse(e)?)),
                None => {
                    let kind = StmtKind::Expr(expr::parse(e)?);
                    made.stmts.push(Stmt { kind, span: Span::of(e.span()) });
                }
            },
            syn::Stmt::Macro(m) if expr::is_assertion(&m.mac.path) => {}
            syn::Stmt::Macro(m) => {
                let e = expr::macro_call(&m.mac, m.span())?;
                if last && m.semi_token.is_none() {
                    made.value = Some(Box::new(e));
                } else {
                    made.stmts.push(Stmt { kind: StmtKind::Expr(e), span: Span::of(m.span()) });
                }
            }
        }
    }
    Ok(made)
}

fn local_stmt(local: &syn::Local) -> Result<Stmt> {
    let (pat, ty) = pattern::typed(&local.pat)?;
    let value = match &local.init {
        None => None,
        Some(init) if init.diverge.is_none() => Some(expr::parse(&init.expr)?),
        Some(init) => {
            return Err(Error::new(
                init.expr.span(),
                "`let … else` is not supported in a kernel: use `if`, or `?` on what allocates",
            ));
        }
    };
    Ok(Stmt { kind: StmtKind::Let(pat, ty, value), span: Span::of(local.span()) })
}

/// What stands for its effect; `None` where the expression is one like any other.
fn statement(e: &syn::Expr) -> Result<Option<Stmt>> {
    let span = Span::of(e.span());
    let kind = match e {
        syn::Expr::Assign(a) => StmtKind::Assign(expr::parse(&a.left)?, None, expr::parse(&a.right)?),
        syn::Expr::Binary(b) => match compound(&b.op) {
            Some(op) => StmtKind::Assign(expr::parse(&b.left)?, Some(op), expr::parse(&b.right)?),
            None => return Ok(None),
        },
        syn::Expr::ForLoop(f) if f.label.is_none() => {
            StmtKind::For(pattern::parse(&f.pat)?, expr::parse(&f.expr)?, block(&f.body)?)
        }
        syn::Expr::ForLoop(f) => {
            return Err(Error::new(
                f.label.span(),
                "labels are not supported in a kernel: use `if` around the rest",
            ));
        }
        syn::Expr::Continue(c) if c.label.is_none() => StmtKind::Continue,
        syn::Expr::Return(r) => StmtKind::Return(r.expr.as_ref().map(|e| expr::parse(e)).transpose()?),
        _ => return Ok(None),
    };
    Ok(Some(Stmt { kind, span }))
}

fn compound(op: &syn::BinOp) -> Option<BinaryOp> {
    Some(match op {
        syn::BinOp::AddAssign(_) => BinaryOp::Add,
        syn::BinOp::SubAssign(_) => BinaryOp::Sub,
        syn::BinOp::MulAssign(_) => BinaryOp::Mul,
        syn::BinOp::DivAssign(_) => BinaryOp::Div,
        syn::BinOp::RemAssign(_) => BinaryOp::Rem,
        syn::BinOp::BitAndAssign(_) => BinaryOp::BitAnd,
        syn::BinOp::BitOrAssign(_) => BinaryOp::BitOr,
        syn::BinOp::BitXorAssign(_) => BinaryOp::BitXor,
        syn::BinOp::ShlAssign(_) => BinaryOp::Shl,
        syn::BinOp::ShrAssign(_) => BinaryOp::Shr,
        _ => return None,
    })
}
