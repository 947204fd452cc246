//! The subset of Rust that kernels are written in: its syntax tree, and the parser that makes it of Rust's own.
//!
//! A kernel is an ordinary Rust function over scalars, slices, typed tensors and ternary matrices. The subset is what
//! has one meaning as loops over indices: `let`, assignment, `for` over ranges and over the common iterators, `if`,
//! `match` on integers, arithmetic, comparisons, casts, the functions of numbers, calls of other kernels. Everything
//! else is a [`SyntaxError`] at its place that says what is supported instead; the attribute's crate turns the same
//! error into a compile error.
//!
//! ```
//! use kernel_syntax::Source;
//!
//! let source = Source::parse(
//!     "fn dot(x: &[f32], y: &[f32]) -> f32 {
//!          x.iter().zip(y).map(|(a, b)| a * b).sum()
//!      }",
//! )?;
//! assert_eq!(source.functions[0].name, "dot");
//!
//! let error = Source::parse("fn f(x: &[f32]) { loop {} }").unwrap_err();
//! assert_eq!((error.span.line, error.span.column), (1, 18));
//! assert!(error.message.contains("`for`"));
//! # Ok::<(), kernel_syntax::SyntaxError>(())
//! ```

mod expr;
mod file;
mod names;
mod pattern;
mod print;
mod stmt;
mod tree;
mod types;

pub use file::{Constant, Source, function};
pub use names::{FUNCTIONS, METHODS};
pub use print::print;
pub use tree::{
    Arm, BinaryOp, Block, Expr, ExprKind, Function, Generic, Param, Pat, PatKind, Scalar, Span, Stmt,
    StmtKind, Type, UnaryOp,
};

/// Something that kernels cannot hold, and what they can hold instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {message}", span.line, span.column)]
pub struct SyntaxError {
    /// Where it stands.
    pub span: Span,
    /// What it is, and what is supported instead.
    pub message: String,
}

impl SyntaxError {
    pub(crate) fn of(error: &syn::Error) -> SyntaxError {
        SyntaxError { span: Span::of(error.span()), message: error.to_string() }
    }
}
