//! The tree as Rust text: what is printed parses back to an equal tree, places aside.

use crate::tree::{Block, Expr, ExprKind, Function, Pat, PatKind, Stmt, StmtKind, Type, UnaryOp};
use std::fmt::Write;

/// A function as Rust text.
pub fn print(f: &Function) -> String {
    let mut p = Printer::default();
    for line in &f.docs {
        p.line(&format!("/// {line}"));
    }
    let generics: Vec<String> = f
        .generics
        .iter()
        .map(|g| match (g.constant, g.bounds.is_empty()) {
            (true, _) => format!("const {}: usize", g.name),
            (_, true) => g.name.clone(),
            _ => format!("{}: {}", g.name, g.bounds.join(" + ")),
        })
        .collect();
    let generics = if generics.is_empty() { String::new() } else { format!("<{}>", generics.join(", ")) };
    let params: Vec<String> = (f.params.iter())
        .map(|p| format!("{}{}: {}", if p.mutable { "mut " } else { "" }, p.name, ty(&p.ty)))
        .collect();
    let result = match &f.result {
        Type::Tuple(t) if t.is_empty() => String::new(),
        t => format!(" -> {}", ty(t)),
    };
    p.line(&format!("fn {}{generics}({}){result} {}", f.name, params.join(", "), p.block(&f.body)));
    p.out
}

#[derive(Default)]
struct Printer {
    out: String,
    depth: usize,
}

impl Printer {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{}{text}", "    ".repeat(self.depth));
    }

    fn block(&self, b: &Block) -> String {
        if b.stmts.is_empty() && b.value.is_none() {
            return "{}".into();
        }
        let mut inner = Printer { out: String::new(), depth: self.depth + 1 };
        for s in &b.stmts {
            let text = inner.stmt(s);
            inner.line(&text);
        }
        if let Some(v) = &b.value {
            let text = inner.expr(v);
            inner.line(&text);
        }
        format!("{{\n{}{}}}", inner.out, "    ".repeat(self.depth))
    }

    fn stmt(&self, s: &Stmt) -> String {
        match &s.kind {
            StmtKind::Let(p, t, v) => {
                let t = if *t == Type::Infer { String::new() } else { format!(": {}", ty(t)) };
                let v = v.as_ref().map_or(String::new(), |v| format!(" = {}", self.expr(v)));
                format!("let {}{t}{v};", self.pat(p))
            }
            StmtKind::Assign(place, op, v) => {
                let op = op.map_or("", |o| o.symbol());
                format!("{} {op}= {};", self.expr(place), self.expr(v))
            }
            StmtKind::For(p, iter, body) => {
                format!("for {} in {} {}", self.pat(p), self.expr(iter), self.block(body))
            }
            StmtKind::Expr(e) => match &e.kind {
                ExprKind::If(..) | ExprKind::Match(..) | ExprKind::Block(_) => self.expr(e),
                _ => format!("{};", self.expr(e)),
            },
            StmtKind::Continue => "continue;".into(),
            StmtKind::Return(v) => format!("return {};", v.as_ref().map_or(String::new(), |v| self.expr(v))),
        }
    }

    fn pat(&self, p: &Pat) -> String {
        let list = |l: &[Pat]| l.iter().map(|p| self.pat(p)).collect::<Vec<_>>().join(", ");
        match &p.kind {
            PatKind::Name(n, true) => format!("mut {n}"),
            PatKind::Name(n, false) => n.clone(),
            PatKind::Ref(p) => format!("&{}", self.pat(p)),
            PatKind::Tuple(l) => format!("({}{})", list(l), if l.len() == 1 { "," } else { "" }),
            PatKind::Wild => "_".into(),
            PatKind::Value(e) => self.expr(e),
            PatKind::Or(l) => l.iter().map(|p| self.pat(p)).collect::<Vec<_>>().join(" | "),
            PatKind::Range(a, b, closed) => self.range(a, b, *closed),
        }
    }

    fn range(&self, a: &Option<Box<Expr>>, b: &Option<Box<Expr>>, closed: bool) -> String {
        let end = |e: &Option<Box<Expr>>| e.as_ref().map_or(String::new(), |e| self.operand(e));
        format!("{}..{}{}", end(a), if closed { "=" } else { "" }, end(b))
    }

    /// An expression inside another: in parentheses unless it binds tightest anyway.
    fn operand(&self, e: &Expr) -> String {
        match &e.kind {
            ExprKind::Int(..)
            | ExprKind::Float(..)
            | ExprKind::Bool(_)
            | ExprKind::Path(_)
            | ExprKind::Index(..)
            | ExprKind::Field(..)
            | ExprKind::Call(..)
            | ExprKind::Method(..)
            | ExprKind::Tuple(_)
            | ExprKind::Array(..)
            | ExprKind::Repeat(..)
            | ExprKind::Try(_) => self.expr(e),
            _ => format!("({})", self.expr(e)),
        }
    }

    fn list(&self, l: &[Expr]) -> String {
        l.iter().map(|e| self.expr(e)).collect::<Vec<_>>().join(", ")
    }

    fn expr(&self, e: &Expr) -> String {
        let fish = |t: &[Type]| match t {
            [] => String::new(),
            t => format!("::<{}>", t.iter().map(ty).collect::<Vec<_>>().join(", ")),
        };
        match &e.kind {
            ExprKind::Int(v, s) => format!("{v}{}", s.map_or(String::new(), |s| format!("_{}", s.name()))),
            ExprKind::Float(v, s) => format!("{v}{}", s.map_or(String::new(), |s| format!("_{}", s.name()))),
            ExprKind::Bool(b) => b.to_string(),
            ExprKind::Path(p) => p.join("::"),
            ExprKind::Unary(op, x) => {
                let op = match op {
                    UnaryOp::Neg => "-",
                    UnaryOp::Not => "!",
                    UnaryOp::Deref => "*",
                };
                format!("{op}{}", self.operand(x))
            }
            ExprKind::Binary(op, a, b) => format!("{} {} {}", self.operand(a), op.symbol(), self.operand(b)),
            ExprKind::Index(x, i) => format!("{}[{}]", self.operand(x), self.expr(i)),
            ExprKind::Range(a, b, closed) => self.range(a, b, *closed),
            ExprKind::Field(x, i) => format!("{}.{i}", self.operand(x)),
            ExprKind::Cast(x, t) => format!("{} as {}", self.operand(x), ty(t)),
            ExprKind::Call(name, types, args) => match (&name[..], types.is_empty()) {
                ([kind, last], false) => format!("{kind}{}::{last}({})", fish(types), self.list(args)),
                _ => format!("{}{}({})", name.join("::"), fish(types), self.list(args)),
            },
            ExprKind::Method(x, name, types, args) => {
                format!("{}.{name}{}({})", self.operand(x), fish(types), self.list(args))
            }
            ExprKind::If(c, a, b) => {
                let b = b.as_ref().map_or(String::new(), |b| format!(" else {}", self.block(b)));
                format!("if {} {}{b}", self.expr(c), self.block(a))
            }
            ExprKind::Match(x, arms) => {
                let mut inner = Printer { out: String::new(), depth: self.depth + 1 };
                for a in arms {
                    let guard = a.guard.as_ref().map_or(String::new(), |g| format!(" if {}", inner.expr(g)));
                    let text = format!("{}{guard} => {}", inner.pat(&a.pat), inner.block(&a.body));
                    inner.line(&text);
                }
                format!("match {} {{\n{}{}}}", self.expr(x), inner.out, "    ".repeat(self.depth))
            }
            ExprKind::Block(b) => self.block(b),
            ExprKind::Tuple(l) => format!("({}{})", self.list(l), if l.len() == 1 { "," } else { "" }),
            ExprKind::Array(l, false) => format!("[{}]", self.list(l)),
            ExprKind::Array(l, true) => format!("vec![{}]", self.list(l)),
            ExprKind::Repeat(x, n, false) => format!("[{}; {}]", self.expr(x), self.expr(n)),
            ExprKind::Repeat(x, n, true) => format!("vec![{}; {}]", self.expr(x), self.expr(n)),
            ExprKind::Closure(pats, body) => {
                let pats: Vec<String> = pats.iter().map(|p| self.pat(p)).collect();
                format!("|{}| {}", pats.join(", "), self.expr(body))
            }
            ExprKind::Ref(mutable, x) => {
                format!("&{}{}", if *mutable { "mut " } else { "" }, self.operand(x))
            }
            ExprKind::Try(x) => format!("{}?", self.operand(x)),
        }
    }
}

/// A type as Rust text.
pub(crate) fn ty(t: &Type) -> String {
    let tuple =
        |names: &[String]| format!("({}{})", names.join(", "), if names.len() == 1 { "," } else { "" });
    match t {
        Type::Scalar(s) => s.name().into(),
        Type::Named(n) => n.clone(),
        Type::Slice(t) => format!("[{}]", ty(t)),
        Type::Array(t, n) => format!("[{}; {}]", ty(t), Printer::default().expr(n)),
        Type::Vec(t) => format!("Vec<{}>", ty(t)),
        Type::Tensor { axes, element, unit } => {
            let unit = if unit.is_empty() { String::new() } else { format!(", {unit}") };
            format!("Tensor<{}, {}{unit}>", tuple(axes), ty(element))
        }
        Type::Ternary { input, output } => format!("TernaryMatrix<{input}, {output}>"),
        Type::Ref(mutable, t) => format!("&{}{}", if *mutable { "mut " } else { "" }, ty(t)),
        Type::Tuple(l) => tuple(&l.iter().map(ty).collect::<Vec<_>>()),
        Type::Result(t) => format!("Result<{}, AxesError>", ty(t)),
        Type::Infer => "_".into(),
    }
}
