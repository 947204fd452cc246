//! The attribute `#[kernel]`.
//!
//! The function stays as it is written, so rustc checks its axes, units and types, and it is the reference. Beside it
//! stands a type of the same name (functions and types have names of their own in Rust) with one function, `kernel()`,
//! which gives the function's own source as a `kernel::Kernel`, together with the kernels that it calls, the constants
//! that it names and the sizes that its axes declare. The source travels as text and is parsed by the parser that the
//! attribute checked it with, so the two cannot differ; building the tree by generated code instead made every kernel
//! cost as much to compile as a few hundred lines.
//!
//! A part of the function that kernels cannot hold is a compile error at its place.

use kernel_syntax::{Block, Expr, ExprKind, Function, Pat, PatKind, Stmt, StmtKind, Type};
use proc_macro::TokenStream;
use proc_macro2::{Delimiter, LineColumn, TokenTree};
use quote::{format_ident, quote};
use std::collections::BTreeSet;
use syn::spanned::Spanned;

/// Keeps the function as it is and adds its syntax tree: `name::kernel()` beside `name(…)`.
///
/// `#[kernel(crate = path)]` names the crate `kernel` where it is reached through another.
#[proc_macro_attribute]
pub fn kernel(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expanded(attribute, item, syn::parse_quote!(::kernel))
}

/// The same for users of the crate `fidelity`, which has the crate `kernel` as `fidelity::kernel`; its prelude exports this
/// one under the name `kernel`.
#[proc_macro_attribute]
pub fn kernel_of_fidelity(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expanded(attribute, item, syn::parse_quote!(::fidelity::kernel))
}

fn expanded(attribute: TokenStream, item: TokenStream, usual: syn::Path) -> TokenStream {
    let function = match syn::parse::<syn::ItemFn>(item.clone()) {
        Ok(f) => f,
        Err(e) => return failed(&syn::Error::new(e.span(), "#[kernel] stands on a function"), item),
    };
    let root = match root(attribute, usual) {
        Ok(path) => path,
        Err(e) => return failed(&e, item),
    };
    match kernel_syntax::function(&function) {
        Ok(tree) => {
            let beside = beside(&function, &tree, &root);
            quote! { #function #beside }.into()
        }
        Err(e) => failed(&e, item),
    }
}

/// The error, and the function nevertheless, so that its users do not get errors too.
fn failed(e: &syn::Error, item: TokenStream) -> TokenStream {
    let mut made = TokenStream::from(e.to_compile_error());
    made.extend(item);
    made
}

fn root(attribute: TokenStream, usual: syn::Path) -> syn::Result<syn::Path> {
    if attribute.is_empty() {
        return Ok(usual);
    }
    let pair: syn::Meta = syn::parse(attribute)?;
    match &pair {
        syn::Meta::NameValue(n) if n.path.is_ident("crate") => match &n.value {
            syn::Expr::Path(p) => Ok(p.path.clone()),
            other => {
                Err(syn::Error::new(other.span(), "expected a path, such as `crate = fidelity::kernel`"))
            }
        },
        _ => Err(syn::Error::new(pair.span(), "#[kernel] takes nothing, or `crate = path`")),
    }
}

/// The text of the function without its attributes, as it was laid out, and the line where it begins.
fn source(function: &syn::ItemFn) -> (String, u32) {
    let (vis, sig) = (&function.vis, &function.sig);
    let mut layout = Layout::default();
    layout.tokens(quote!(#vis #sig));
    let body = function.block.brace_token.span;
    // The body keeps its comments.
    let block = body.join().source_text().filter(|t| t.starts_with('{'));
    match block {
        Some(text) if layout.follows(body.open().start()) => {
            layout.go_to(body.open().start());
            let line = layout.first.map_or(1, |p| p.line as u32);
            (layout.text + &text, line)
        }
        // Made by another macro: there is no text to show, the tokens have to do.
        _ => (quote!(#function).to_string(), sig.ident.span().start().line as u32),
    }
}

/// Tokens put where they stood.
#[derive(Default)]
struct Layout {
    text: String,
    first: Option<LineColumn>,
    line: usize,
    column: usize,
    broken: bool,
}

impl Layout {
    fn follows(&self, at: LineColumn) -> bool {
        !self.broken && (at.line, at.column) >= (self.line, self.column)
    }

    fn go_to(&mut self, at: LineColumn) {
        if self.first.is_none() {
            self.first = Some(at);
            (self.line, self.column) = (at.line, at.column);
        }
        if !self.follows(at) {
            self.broken = true;
            return;
        }
        while self.line < at.line {
            self.text.push('\n');
            (self.line, self.column) = (self.line + 1, 0);
        }
        while self.column < at.column {
            self.text.push(' ');
            self.column += 1;
        }
    }

    fn leaf(&mut self, text: &str, span: proc_macro2::Span) {
        self.text_at(text, span.start());
    }

    fn text_at(&mut self, text: &str, at: LineColumn) {
        self.go_to(at);
        self.text.push_str(text);
        self.column += text.chars().count();
    }

    fn tokens(&mut self, stream: proc_macro2::TokenStream) {
        for token in stream {
            match token {
                TokenTree::Group(g) => {
                    let (open, close) = match g.delimiter() {
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::Bracket => ("[", "]"),
                        Delimiter::Brace => ("{", "}"),
                        Delimiter::None => ("", ""),
                    };
                    self.leaf(open, g.span_open());
                    self.tokens(g.stream());
                    let mut end = g.span_close().start();
                    if end == g.span_open().start() {
                        // A group that was made anew has one place for all of it.
                        end = g.span().end();
                        end.column = end.column.saturating_sub(1);
                    }
                    self.text_at(close, end);
                }
                other => self.leaf(&other.to_string(), other.span()),
            }
        }
    }
}

fn beside(function: &syn::ItemFn, tree: &Function, root: &syn::Path) -> proc_macro2::TokenStream {
    let (text, line) = source(function);
    let mut used = Used::default();
    used.function(tree);
    let ident = &function.sig.ident;
    let vis = &function.vis;
    let helpers = used.calls.iter().map(|path| {
        let path: Vec<_> = path.iter().map(|s| format_ident!("{s}")).collect();
        let name = path.iter().map(ToString::to_string).collect::<Vec<_>>().join("::");
        quote! { (#name, #(#path)::*::kernel as fn() -> #root::Kernel) }
    });
    let constants = used.constants.iter().map(|name| {
        let name_ident = format_ident!("{name}");
        quote! { (#name, #root::Constant::from(#name_ident)) }
    });
    let axes = used.axes.iter().map(|name| {
        let axis = format_ident!("{name}");
        quote! { (#name, <#axis as #root::Axis>::SIZE) }
    });
    let doc = format!("The kernel [`{}()`]({}()): its syntax tree.", tree.name, tree.name);
    quote! {
        #[doc = #doc]
        #[allow(non_camel_case_types)]
        #vis enum #ident {}

        impl #ident {
            /// The syntax tree of the function, with the kernels that it calls.
            #[must_use]
            #vis fn kernel() -> #root::Kernel {
                #root::Kernel::from_attribute(
                    #text,
                    ::core::file!(),
                    #line,
                    &[#(#helpers),*],
                    &[#(#constants),*],
                    &[#(#axes),*],
                )
            }
        }
    }
}

/// What a function takes from around it.
#[derive(Default)]
struct Used {
    calls: BTreeSet<Vec<String>>,
    constants: BTreeSet<String>,
    axes: BTreeSet<String>,
    /// Names that are bound inside, so that `const N` of the body is not looked for outside.
    bound: BTreeSet<String>,
}

impl Used {
    fn function(&mut self, f: &Function) {
        self.bound.extend(f.generics.iter().map(|g| g.name.clone()));
        self.bound.extend(f.params.iter().map(|p| p.name.clone()));
        f.params.iter().for_each(|p| self.ty(&p.ty));
        self.ty(&f.result);
        self.block(&f.body);
        let Used { calls, constants, axes, bound } = self;
        constants.retain(|c| !bound.contains(c));
        axes.retain(|a| !bound.contains(a));
        calls.retain(|c| !matches!(&c[..], [name] if bound.contains(name)));
    }

    fn ty(&mut self, t: &Type) {
        match t {
            Type::Tensor { axes, .. } => self.axes.extend(axes.iter().cloned()),
            Type::Ternary { input, output } => self.axes.extend([input.clone(), output.clone()]),
            Type::Slice(t) | Type::Vec(t) | Type::Ref(_, t) | Type::Result(t) => self.ty(t),
            Type::Array(t, n) => {
                self.ty(t);
                self.expr(n);
            }
            Type::Tuple(l) => l.iter().for_each(|t| self.ty(t)),
            Type::Scalar(_) | Type::Named(_) | Type::Infer => {}
        }
    }

    fn block(&mut self, b: &Block) {
        b.stmts.iter().for_each(|s| self.stmt(s));
        b.value.iter().for_each(|e| self.expr(e));
    }

    fn stmt(&mut self, s: &Stmt) {
        match &s.kind {
            StmtKind::Let(p, t, v) => {
                self.pat(p);
                self.ty(t);
                v.iter().for_each(|v| self.expr(v));
            }
            StmtKind::Assign(a, _, b) => {
                self.expr(a);
                self.expr(b);
            }
            StmtKind::For(p, iter, body) => {
                self.pat(p);
                self.expr(iter);
                self.block(body);
            }
            StmtKind::Expr(e) => self.expr(e),
            StmtKind::Return(e) => e.iter().for_each(|e| self.expr(e)),
            StmtKind::Continue => {}
        }
    }

    fn pat(&mut self, p: &Pat) {
        match &p.kind {
            PatKind::Name(n, _) => {
                // In a `match`, a name in capitals is a constant.
                if n.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_') && n.len() > 1
                {
                    self.constants.insert(n.clone());
                } else {
                    self.bound.insert(n.clone());
                }
            }
            PatKind::Ref(p) => self.pat(p),
            PatKind::Tuple(l) | PatKind::Or(l) => l.iter().for_each(|p| self.pat(p)),
            PatKind::Value(e) => self.expr(e),
            PatKind::Range(a, b, _) => a.iter().chain(b).for_each(|e| self.expr(e)),
            PatKind::Wild => {}
        }
    }

    fn expr(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::Path(p) => match &p[..] {
                [name] if name.starts_with(|c: char| c.is_ascii_uppercase()) => {
                    self.constants.insert(name.clone());
                }
                _ => {}
            },
            ExprKind::Call(path, types, args) => {
                let standard = path.first().is_some_and(|k| k == "Tensor") || path[..] == ["Ok".to_string()];
                if !standard {
                    self.calls.insert(path.clone());
                } else {
                    for t in types {
                        if let Type::Tuple(l) = t {
                            let names =
                                l.iter().filter_map(|t| if let Type::Named(n) = t { Some(n) } else { None });
                            self.axes.extend(names.cloned());
                        }
                    }
                }
                args.iter().for_each(|a| self.expr(a));
            }
            ExprKind::Int(..) | ExprKind::Float(..) | ExprKind::Bool(_) => {}
            ExprKind::Unary(_, x) | ExprKind::Field(x, _) | ExprKind::Ref(_, x) | ExprKind::Try(x) => {
                self.expr(x)
            }
            ExprKind::Cast(x, t) => {
                self.expr(x);
                self.ty(t);
            }
            ExprKind::Binary(_, a, b) | ExprKind::Index(a, b) | ExprKind::Repeat(a, b, _) => {
                self.expr(a);
                self.expr(b);
            }
            ExprKind::Range(a, b, _) => a.iter().chain(b).for_each(|e| self.expr(e)),
            ExprKind::Method(x, _, _, args) => {
                self.expr(x);
                args.iter().for_each(|a| self.expr(a));
            }
            ExprKind::If(c, a, b) => {
                self.expr(c);
                self.block(a);
                b.iter().for_each(|b| self.block(b));
            }
            ExprKind::Match(x, arms) => {
                self.expr(x);
                for a in arms {
                    self.pat(&a.pat);
                    a.guard.iter().for_each(|g| self.expr(g));
                    self.block(&a.body);
                }
            }
            ExprKind::Block(b) => self.block(b),
            ExprKind::Tuple(l) | ExprKind::Array(l, _) => l.iter().for_each(|e| self.expr(e)),
            ExprKind::Closure(pats, body) => {
                pats.iter().for_each(|p| self.pat(p));
                self.expr(body);
            }
        }
    }
}
