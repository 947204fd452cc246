//! Expressions.

use crate::names::{FUNCTIONS, METHODS};
use crate::pattern;
use crate::stmt;
use crate::tree::{Arm, BinaryOp, Block, Expr, ExprKind, Scalar, Span, UnaryOp};
use crate::types;
use proc_macro2::Span as Place;
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Error, GenericArgument, Result};

fn make(kind: ExprKind, at: Place) -> Expr {
    Expr { kind, span: Span::of(at) }
}

fn boxed(e: &syn::Expr) -> Result<Box<Expr>> {
    parse(e).map(Box::new)
}

fn optional(e: &Option<Box<syn::Expr>>) -> Result<Option<Box<Expr>>> {
    e.as_ref().map(|e| boxed(e)).transpose()
}

fn list<'a>(list: impl IntoIterator<Item = &'a syn::Expr>) -> Result<Vec<Expr>> {
    list.into_iter().map(parse).collect()
}

pub(crate) fn parse(e: &syn::Expr) -> Result<Expr> {
    let at = e.span();
    let kind = match e {
        syn::Expr::Paren(p) => return parse(&p.expr),
        syn::Expr::Group(g) => return parse(&g.expr),
        syn::Expr::Lit(l) => return literal(&l.lit, at),
        syn::Expr::Path(p) if p.qself.is_none() => return path(&p.path),
        syn::Expr::Unary(u) => {
            let op = match u.op {
                syn::UnOp::Neg(_) => UnaryOp::Neg,
                syn::UnOp::Not(_) => UnaryOp::Not,
                syn::UnOp::Deref(_) => UnaryOp::Deref,
                _ => {
                    return Err(Error::new(
                        at,
                        "this operator is not supported in a kernel: use `-`, `!` and `*`",
                    ));
                }
            };
            ExprKind::Unary(op, boxed(&u.expr)?)
        }
        syn::Expr::Binary(b) => ExprKind::Binary(binary(&b.op, at)?, boxed(&b.left)?, boxed(&b.right)?),
        syn::Expr::Index(i) => ExprKind::Index(boxed(&i.expr)?, boxed(&i.index)?),
        syn::Expr::Range(r) => ExprKind::Range(
            optional(&r.start)?,
            optional(&r.end)?,
            matches!(r.limits, syn::RangeLimits::Closed(_)),
        ),
        syn::Expr::Field(f) => match &f.member {
            syn::Member::Unnamed(i) => ExprKind::Field(boxed(&f.base)?, i.index as usize),
            syn::Member::Named(name) => {
                return Err(Error::new(
                    name.span(),
                    format!(
                        "the field `{name}` is not supported in a kernel: pass it as a parameter of its own"
                    ),
                ));
            }
        },
        syn::Expr::Cast(c) => ExprKind::Cast(boxed(&c.expr)?, types::parse(&c.ty)?),
        syn::Expr::Call(c) => return call(c, at),
        syn::Expr::MethodCall(m) => {
            let name = m.method.to_string();
            if !METHODS.contains(&name.as_str()) {
                return Err(Error::new(
                    m.method.span(),
                    format!(
                        "the method `{name}` is not supported in a kernel: those of numbers (exp, tanh, sqrt, ln, abs, max, \
                         min, mul_add, …), slices (len, iter, iter_mut, chunks, fill, …), iterators (zip, enumerate, map, sum, \
                         fold, rev, step_by, …) and ternary matrices (trit, scale, …) are"
                    ),
                ));
            }
            let turbofish = m.turbofish.iter().flat_map(|t| &t.args);
            let types =
                turbofish.filter_map(|a| if let GenericArgument::Type(t) = a { Some(t) } else { None });
            let types = types.map(types::parse).collect::<Result<_>>()?;
            ExprKind::Method(boxed(&m.receiver)?, name, types, list(&m.args)?)
        }
        syn::Expr::If(i) => {
            if let syn::Expr::Let(l) = &*i.cond {
                return Err(Error::new(
                    l.span(),
                    "`if let` is not supported in a kernel: compare with `==`, or use `match` on an integer",
                ));
            }
            let otherwise = match &i.else_branch {
                None => None,
                Some((_, e)) => Some(arm(e)?),
            };
            ExprKind::If(boxed(&i.cond)?, stmt::block(&i.then_branch)?, otherwise)
        }
        syn::Expr::Match(m) => {
            let arms = m.arms.iter().map(|a| {
                Ok(Arm {
                    pat: pattern::parse(&a.pat)?,
                    guard: a.guard.as_ref().map(|(_, g)| parse(g)).transpose()?,
                    body: arm(&a.body)?,
                    span: Span::of(a.span()),
                })
            });
            ExprKind::Match(boxed(&m.expr)?, arms.collect::<Result<_>>()?)
        }
        syn::Expr::Block(b) if b.label.is_none() => ExprKind::Block(stmt::block(&b.block)?),
        syn::Expr::Tuple(t) => ExprKind::Tuple(list(&t.elems)?),
        syn::Expr::Array(a) => ExprKind::Array(list(&a.elems)?, false),
        syn::Expr::Repeat(r) => ExprKind::Repeat(boxed(&r.expr)?, boxed(&r.len)?, false),
        syn::Expr::Reference(r) => ExprKind::Ref(r.mutability.is_some(), boxed(&r.expr)?),
        syn::Expr::Try(t) => ExprKind::Try(boxed(&t.expr)?),
        syn::Expr::Macro(m) => return macro_call(&m.mac, at),
        syn::Expr::Closure(c) if c.asyncness.is_none() => {
            let inputs = c.inputs.iter().map(pattern::parse).collect::<Result<_>>()?;
            // A closure may be one assignment.
            let body = match &*c.body {
                syn::Expr::Assign(_) | syn::Expr::Binary(_) => {
                    let wrapped = syn::Block {
                        brace_token: Default::default(),
                        stmts: vec![syn::Stmt::Expr((*c.body).clone(), None)],
                    };
                    make(ExprKind::Block(stmt::block(&wrapped)?), c.body.span())
                }
                other => parse(other)?,
            };
            ExprKind::Closure(inputs, Box::new(body))
        }
        syn::Expr::While(w) => {
            return Err(Error::new(
                w.while_token.span,
                "`while` is not supported in a kernel: use `for` over a range",
            ));
        }
        syn::Expr::Loop(l) => {
            return Err(Error::new(
                l.loop_token.span,
                "`loop` is not supported in a kernel: use `for` over a range",
            ));
        }
        syn::Expr::Break(b) => {
            return Err(Error::new(
                b.break_token.span,
                "`break` is not supported in a kernel: a loop runs over its whole range; use `if` inside it",
            ));
        }
        syn::Expr::Return(_) => {
            return Err(Error::new(
                at,
                "`return` inside an expression is not supported in a kernel: end the function with its value",
            ));
        }
        syn::Expr::ForLoop(_) | syn::Expr::Assign(_) => {
            return Err(Error::new(at, "this has no value: in a kernel it stands as a statement"));
        }
        syn::Expr::Unsafe(u) => {
            return Err(Error::new(
                u.unsafe_token.span,
                "`unsafe` is not supported in a kernel: index with `[]`",
            ));
        }
        _ => {
            return Err(Error::new(
                at,
                "this expression is not supported in a kernel: use arithmetic, comparisons, `as`, indexing, `if`, `match`, \
                 iterators and calls of other kernels",
            ));
        }
    };
    Ok(make(kind, at))
}

/// The body of an arm or of an `else`, as a block.
fn arm(e: &syn::Expr) -> Result<Block> {
    match e {
        syn::Expr::Block(b) if b.label.is_none() => stmt::block(&b.block),
        syn::Expr::Tuple(t) if t.elems.is_empty() => Ok(Block::default()),
        other => stmt::block(&syn::Block {
            brace_token: Default::default(),
            stmts: vec![syn::Stmt::Expr(other.clone(), None)],
        }),
    }
}

fn binary(op: &syn::BinOp, at: Place) -> Result<BinaryOp> {
    Ok(match op {
        syn::BinOp::Add(_) => BinaryOp::Add,
        syn::BinOp::Sub(_) => BinaryOp::Sub,
        syn::BinOp::Mul(_) => BinaryOp::Mul,
        syn::BinOp::Div(_) => BinaryOp::Div,
        syn::BinOp::Rem(_) => BinaryOp::Rem,
        syn::BinOp::And(_) => BinaryOp::And,
        syn::BinOp::Or(_) => BinaryOp::Or,
        syn::BinOp::BitAnd(_) => BinaryOp::BitAnd,
        syn::BinOp::BitOr(_) => BinaryOp::BitOr,
        syn::BinOp::BitXor(_) => BinaryOp::BitXor,
        syn::BinOp::Shl(_) => BinaryOp::Shl,
        syn::BinOp::Shr(_) => BinaryOp::Shr,
        syn::BinOp::Eq(_) => BinaryOp::Eq,
        syn::BinOp::Ne(_) => BinaryOp::Ne,
        syn::BinOp::Lt(_) => BinaryOp::Lt,
        syn::BinOp::Le(_) => BinaryOp::Le,
        syn::BinOp::Gt(_) => BinaryOp::Gt,
        syn::BinOp::Ge(_) => BinaryOp::Ge,
        _ => return Err(Error::new(at, "an assignment has no value: in a kernel it stands as a statement")),
    })
}

pub(crate) fn literal(lit: &syn::Lit, at: Place) -> Result<Expr> {
    let suffix = |text: &str, at: Place| match (text, Scalar::from_name(text)) {
        ("", _) => Ok(None),
        (_, Some(s)) => Ok(Some(s)),
        _ => Err(Error::new(
            at,
            format!("numbers of type `{text}` are not supported in a kernel: use f32, f64, i8 … u64, usize"),
        )),
    };
    let kind = match lit {
        syn::Lit::Int(i) => match suffix(i.suffix(), at)? {
            Some(s) if s.is_float() => ExprKind::Float(i.base10_digits().to_string(), Some(s)),
            s => ExprKind::Int(i.base10_parse()?, s),
        },
        syn::Lit::Float(f) => ExprKind::Float(f.base10_digits().to_string(), suffix(f.suffix(), at)?),
        syn::Lit::Bool(b) => ExprKind::Bool(b.value),
        syn::Lit::Byte(b) => ExprKind::Int(b.value().into(), Some(Scalar::U8)),
        // The text of an `expect`.
        syn::Lit::Str(_) => ExprKind::Tuple(vec![]),
        _ => {
            return Err(Error::new(
                at,
                "this literal is not supported in a kernel: numbers, `true` and `false` are",
            ));
        }
    };
    Ok(make(kind, at))
}

pub(crate) fn path(path: &syn::Path) -> Result<Expr> {
    Ok(make(ExprKind::Path(segments(path)), path.span()))
}

fn segments(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|s| s.ident.to_string()).collect()
}

fn call(c: &syn::ExprCall, at: Place) -> Result<Expr> {
    let syn::Expr::Path(p) = &*c.func else {
        return Err(Error::new(
            c.func.span(),
            "only functions and closures that have a name can be called in a kernel: other kernels, the methods of numbers",
        ));
    };
    let mut types = vec![];
    for segment in &p.path.segments {
        if let syn::PathArguments::AngleBracketed(a) = &segment.arguments {
            for a in &a.args {
                if let GenericArgument::Type(t) = a {
                    // The axes of `Tensor::<(A,)>` are no type of a value.
                    types.push(axes(t).map_or_else(|| types::parse(t), Ok)?);
                }
            }
        }
    }
    let mut name = segments(&p.path);
    let args = list(&c.args)?;
    let (kind, last) = match &name[..] {
        [.., kind, last] => (Some(kind.clone()), last.clone()),
        [last] => (None, last.clone()),
        [] => return Err(Error::new(at, "an empty path names nothing")),
    };
    if let Some(kind) = &kind {
        // `f32::max(a, b)`, `i32::from(x)`, `Self::…`.
        if Scalar::from_name(kind).is_some() || kind == "Ord" || kind == "PartialOrd" {
            if last == "from" && args.len() == 1 {
                let ty = crate::tree::Type::Scalar(Scalar::from_name(kind).unwrap_or(Scalar::F32));
                let [value] =
                    <[Expr; 1]>::try_from(args).map_err(|_| Error::new(at, "`from` takes one value"))?;
                return Ok(make(ExprKind::Cast(Box::new(value), ty), at));
            }
            if !METHODS.contains(&last.as_str()) || args.is_empty() {
                return Err(Error::new(at, format!("`{kind}::{last}` is not supported in a kernel")));
            }
            let mut args = args;
            let receiver = args.remove(0);
            return Ok(make(ExprKind::Method(Box::new(receiver), last, vec![], args), at));
        }
        if kind == "Tensor" || kind == "Vec" || kind == "Vector" {
            let full = format!("{}::{last}", if kind == "Vector" { "Tensor" } else { kind });
            if !FUNCTIONS.contains(&full.as_str()) {
                return Err(Error::new(
                    at,
                    format!(
                        "`{kind}::{last}` is not supported in a kernel: `Tensor::zeros`, `filled`, `vector`, `from_vec` and \
                         `vec![x; n]` make arrays"
                    ),
                ));
            }
            name = vec!["Tensor".into(), last];
        }
    }
    Ok(make(ExprKind::Call(name, types, args), at))
}

fn axes(t: &syn::Type) -> Option<crate::tree::Type> {
    let syn::Type::Tuple(tuple) = t else { return None };
    let names = tuple.elems.iter().map(|e| types::parse(e).ok());
    Some(crate::tree::Type::Tuple(names.collect::<Option<_>>()?))
}

/// Whether the macro checks something and computes nothing.
pub(crate) fn is_assertion(path: &syn::Path) -> bool {
    let name = path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
    ["assert", "assert_eq", "assert_ne", "debug_assert", "debug_assert_eq", "debug_assert_ne"]
        .contains(&name.as_str())
}

pub(crate) fn macro_call(m: &syn::Macro, at: Place) -> Result<Expr> {
    let name = segments(&m.path).pop().unwrap_or_default();
    if name != "vec" {
        return Err(Error::new(
            at,
            format!(
                "the macro `{name}!` is not supported in a kernel: `vec!` is, and assertions, which are left out"
            ),
        ));
    }
    let array = |input: syn::parse::ParseStream| -> Result<Expr> {
        if input.is_empty() {
            return Ok(make(ExprKind::Array(vec![], true), at));
        }
        let first: syn::Expr = input.parse()?;
        if input.peek(syn::Token![;]) {
            input.parse::<syn::Token![;]>()?;
            let length: syn::Expr = input.parse()?;
            return Ok(make(ExprKind::Repeat(boxed(&first)?, boxed(&length)?, true), at));
        }
        let mut elements = vec![parse(&first)?];
        while input.peek(syn::Token![,]) {
            input.parse::<syn::Token![,]>()?;
            if input.is_empty() {
                break;
            }
            elements.push(parse(&input.parse::<syn::Expr>()?)?);
        }
        Ok(make(ExprKind::Array(elements, true), at))
    };
    array.parse2(m.tokens.clone())
}
