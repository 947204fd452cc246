//! Patterns: names, tuples, references, literals, alternatives, ranges.

use crate::expr;
use crate::tree::{Pat, PatKind, Span, Type};
use crate::types;
use syn::spanned::Spanned;
use syn::{Error, Result};

/// A pattern and the type written beside it.
pub(crate) fn typed(pat: &syn::Pat) -> Result<(Pat, Type)> {
    match pat {
        syn::Pat::Type(t) => Ok((parse(&t.pat)?, types::parse(&t.ty)?)),
        _ => Ok((parse(pat)?, Type::Infer)),
    }
}

pub(crate) fn parse(pat: &syn::Pat) -> Result<Pat> {
    let list = |pats: &mut dyn Iterator<Item = &syn::Pat>| pats.map(parse).collect::<Result<Vec<_>>>();
    let kind = match pat {
        syn::Pat::Ident(p) if p.subpat.is_none() && p.by_ref.is_none() => {
            PatKind::Name(p.ident.to_string(), p.mutability.is_some())
        }
        syn::Pat::Paren(p) => return parse(&p.pat),
        syn::Pat::Type(t) => return parse(&t.pat),
        syn::Pat::Reference(p) => PatKind::Ref(Box::new(parse(&p.pat)?)),
        syn::Pat::Tuple(p) => PatKind::Tuple(list(&mut p.elems.iter())?),
        syn::Pat::Slice(p) => PatKind::Tuple(list(&mut p.elems.iter())?),
        syn::Pat::Wild(_) => PatKind::Wild,
        syn::Pat::Lit(l) => PatKind::Value(Box::new(expr::literal(&l.lit, l.span())?)),
        syn::Pat::Path(p) => PatKind::Value(Box::new(expr::path(&p.path)?)),
        syn::Pat::Or(p) => PatKind::Or(list(&mut p.cases.iter())?),
        syn::Pat::Range(r) => {
            let end =
                |e: &Option<Box<syn::Expr>>| e.as_ref().map(|e| expr::parse(e).map(Box::new)).transpose();
            PatKind::Range(end(&r.start)?, end(&r.end)?, matches!(r.limits, syn::RangeLimits::Closed(_)))
        }
        _ => {
            return Err(Error::new(
                pat.span(),
                "this pattern is not supported in a kernel: use names, `_`, tuples, `&x`, integers, ranges and `|`",
            ));
        }
    };
    Ok(Pat { kind, span: Span::of(pat.span()) })
}
