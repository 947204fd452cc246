//! Functions and whole files.

use crate::expr;
use crate::stmt;
use crate::tree::{Expr, Function, Generic, Param, PatKind, Span, Type};
use crate::{SyntaxError, pattern, types};
use syn::spanned::Spanned;
use syn::{Error, Result};

/// A constant beside the kernels.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Its value.
    pub value: Expr,
}

/// What a piece of source holds for kernels.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Source {
    /// The functions with the attribute `#[kernel]`; all functions where none has it.
    pub functions: Vec<Function>,
    /// Constants of numbers.
    pub constants: Vec<Constant>,
    /// Axes that `axes!` declares, with their size where it is fixed.
    pub axes: Vec<(String, Option<usize>)>,
}

impl Source {
    /// Reads a file, or a few functions.
    ///
    /// # Errors
    /// Where it is not Rust, or where a kernel holds what kernels cannot hold.
    pub fn parse(text: &str) -> std::result::Result<Source, SyntaxError> {
        let file = syn::parse_file(text).map_err(|e| SyntaxError::of(&e))?;
        let mut source = Source::default();
        let mut found: Vec<(&syn::ItemFn, bool)> = vec![];
        items(&file.items, &mut found, &mut source);
        let marked = found.iter().any(|(_, marked)| *marked);
        for (f, is_kernel) in found {
            if is_kernel || !marked {
                source.functions.push(function(f).map_err(|e| SyntaxError::of(&e))?);
            }
        }
        Ok(source)
    }

    /// The function of that name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|f| f.name == name)
    }
}

fn items<'a>(list: &'a [syn::Item], found: &mut Vec<(&'a syn::ItemFn, bool)>, source: &mut Source) {
    for item in list {
        match item {
            syn::Item::Fn(f) => found.push((f, f.attrs.iter().any(is_kernel))),
            syn::Item::Const(c) => {
                if let (Ok(ty), Ok(value)) = (types::parse(&c.ty), expr::parse(&c.expr)) {
                    source.constants.push(Constant { name: c.ident.to_string(), ty, value });
                }
            }
            syn::Item::Mod(m) => {
                if let Some((_, inner)) = &m.content {
                    items(inner, found, source);
                }
            }
            syn::Item::Macro(m) if m.mac.path.segments.last().is_some_and(|s| s.ident == "axes") => {
                source.axes.extend(axes(&m.mac.tokens));
            }
            _ => {}
        }
    }
}

fn is_kernel(a: &syn::Attribute) -> bool {
    a.path().segments.last().is_some_and(|s| s.ident == "kernel")
}

/// `In = 3; Out;` as names and sizes.
fn axes(tokens: &proc_macro2::TokenStream) -> Vec<(String, Option<usize>)> {
    use proc_macro2::TokenTree;
    let mut list = vec![];
    let (mut name, mut size) = (None, None);
    for token in tokens.clone() {
        match token {
            TokenTree::Ident(i) if i != "pub" => name = Some(i.to_string()),
            TokenTree::Literal(l) => {
                size = l.to_string().replace('_', "").trim_end_matches("usize").parse().ok()
            }
            TokenTree::Punct(p) if p.as_char() == ';' => {
                list.extend(name.take().map(|n| (n, size.take())));
            }
            _ => {}
        }
    }
    list
}

/// Reads one function.
///
/// # Errors
/// Where it holds what kernels cannot hold; the error's place is that in the tokens.
pub fn function(f: &syn::ItemFn) -> Result<Function> {
    let sig = &f.sig;
    for (there, what) in [
        (sig.asyncness.as_ref().map(|t| t.span()), "async"),
        (sig.unsafety.as_ref().map(|t| t.span()), "unsafe"),
        (sig.abi.as_ref().map(|t| t.span()), "extern"),
        (sig.variadic.as_ref().map(|t| t.span()), "variadic"),
    ] {
        if let Some(at) = there {
            return Err(Error::new(at, format!("a kernel is a plain function: `{what}` is not supported")));
        }
    }
    let mut generics: Vec<Generic> = vec![];
    for g in &sig.generics.params {
        match g {
            syn::GenericParam::Type(t) => generics.push(Generic {
                name: t.ident.to_string(),
                bounds: bounds(&t.bounds),
                constant: false,
            }),
            syn::GenericParam::Const(c) => {
                generics.push(Generic { name: c.ident.to_string(), bounds: vec![], constant: true });
            }
            syn::GenericParam::Lifetime(_) => {}
        }
    }
    if let Some(clause) = &sig.generics.where_clause {
        for p in &clause.predicates {
            if let syn::WherePredicate::Type(t) = p
                && let Ok(Type::Named(name)) = types::parse(&t.bounded_ty)
                && let Some(g) = generics.iter_mut().find(|g| g.name == name)
            {
                g.bounds.extend(bounds(&t.bounds));
            }
        }
    }
    let mut params = vec![];
    for input in &sig.inputs {
        let syn::FnArg::Typed(p) = input else {
            return Err(Error::new(
                input.span(),
                "a kernel is a plain function: pass the fields of `self` as parameters",
            ));
        };
        let pat = pattern::parse(&p.pat)?;
        let PatKind::Name(name, mutable) = pat.kind else {
            return Err(Error::new(
                p.pat.span(),
                "a parameter of a kernel is a name: take it apart with `let`",
            ));
        };
        let ty = types::parse(&p.ty)?;
        if let Some(unknown) = unknown(&ty, &generics) {
            return Err(Error::new(
                p.ty.span(),
                format!("`{unknown}` is not a type of kernels: {}", types::SUPPORTED),
            ));
        }
        params.push(Param { name, ty, mutable, span: pat.span });
    }
    let result = match &sig.output {
        syn::ReturnType::Default => Type::Tuple(vec![]),
        syn::ReturnType::Type(_, t) => types::parse(t)?,
    };
    let body = stmt::block(&f.block)?;
    let docs = f.attrs.iter().filter_map(|a| match &a.meta {
        syn::Meta::NameValue(n) if n.path.is_ident("doc") => match &n.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(s), .. }) => Some(s.value().trim().to_string()),
            _ => None,
        },
        _ => None,
    });
    Ok(Function {
        name: sig.ident.to_string(),
        generics,
        params,
        result,
        body,
        span: Span::of(f.sig.span().join(f.block.span()).unwrap_or_else(|| f.span())),
        docs: docs.collect(),
    })
}

/// The name of an element type that is no parameter of the function.
fn unknown<'a>(ty: &'a Type, generics: &[Generic]) -> Option<&'a str> {
    match ty {
        Type::Named(n) => generics.iter().all(|g| g.name != *n).then_some(n),
        Type::Slice(t) | Type::Array(t, _) | Type::Vec(t) | Type::Ref(_, t) | Type::Result(t) => {
            unknown(t, generics)
        }
        Type::Tensor { element, .. } => unknown(element, generics),
        Type::Tuple(l) => l.iter().find_map(|t| unknown(t, generics)),
        Type::Scalar(_) | Type::Ternary { .. } | Type::Infer => None,
    }
}

fn bounds<'a>(list: impl IntoIterator<Item = &'a syn::TypeParamBound>) -> Vec<String> {
    let trait_name = |b: &syn::TypeParamBound| match b {
        syn::TypeParamBound::Trait(t) => t.path.segments.last().map(|s| s.ident.to_string()),
        _ => None,
    };
    list.into_iter().filter_map(trait_name).collect()
}
