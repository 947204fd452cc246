//! What can go wrong with a kernel.

use kernel_syntax::{Span, SyntaxError};

/// An error of a kernel, with the place in its source.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum KernelError {
    /// The source holds what kernels cannot hold.
    #[error("{kernel}: {error}")]
    Syntax {
        /// The kernel or file.
        kernel: String,
        /// What and where.
        error: SyntaxError,
    },
    /// The parts of a kernel do not fit together.
    #[error("{kernel}, line {line}: {problem}")]
    Type {
        /// The kernel.
        kernel: String,
        /// The line of its source.
        line: u32,
        /// What was expected and found.
        problem: String,
    },
    /// An argument does not fit its parameter.
    #[error("{kernel}: argument `{name}`: expected {expected}, found {found}")]
    Argument {
        /// The kernel.
        kernel: String,
        /// The parameter.
        name: String,
        /// What it takes.
        expected: String,
        /// What came.
        found: String,
    },
    /// The evaluation stopped: the function itself would have panicked there.
    #[error("{kernel}, line {line}: {problem}")]
    Evaluation {
        /// The kernel.
        kernel: String,
        /// The line of its source.
        line: u32,
        /// Why.
        problem: String,
    },
    /// It has no form as a graph.
    #[error("{kernel} has no form as a graph: {problem}")]
    Graph {
        /// The kernel.
        kernel: String,
        /// Why, and what to do.
        problem: String,
    },
    /// There is no kernel of that name.
    #[error("no kernel `{name}` in {place}; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        place: String,
        /// What is there.
        known: String,
    },
}

impl KernelError {
    pub(crate) fn ty(kernel: &str, span: Span, problem: impl Into<String>) -> KernelError {
        KernelError::Type { kernel: kernel.to_string(), line: span.line, problem: problem.into() }
    }

    pub(crate) fn eval(kernel: &str, span: Span, problem: impl Into<String>) -> KernelError {
        KernelError::Evaluation { kernel: kernel.to_string(), line: span.line, problem: problem.into() }
    }
}

/// The result of what may fail with a [`KernelError`].
pub type Result<T, E = KernelError> = std::result::Result<T, E>;
