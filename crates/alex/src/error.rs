//! The crate's error type.

use std::path::PathBuf;

/// What can go wrong between a plan and its native code.
#[derive(Debug, thiserror::Error)]
pub enum AlexError {
    /// A tool is not there.
    #[error(
        "{tool} was not found ({looked}); install it with `{install}`, or set FIDELITY_MLIR_BIN to the folder that holds LLVM's tools of version {version}"
    )]
    Missing {
        /// Its name.
        tool: &'static str,
        /// Where it was looked for.
        looked: String,
        /// The command that installs it.
        install: &'static str,
        /// The version that is needed.
        version: u32,
    },
    /// A tool of another version.
    #[error("{tool} at {path} is {found}, expected version {expected}; install it with `{install}`")]
    Version {
        /// Its name.
        tool: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What it says of itself.
        found: String,
        /// The version that is needed.
        expected: u32,
        /// The command that installs it.
        install: &'static str,
    },
    /// A tool refused what it was given.
    #[error("{tool} refused the module at stage `{stage}`: {diagnostics}\nthe stage's text is in {kept}")]
    Tool {
        /// Its name.
        tool: &'static str,
        /// What it was to do.
        stage: &'static str,
        /// What it wrote to standard error.
        diagnostics: String,
        /// The file that holds the text it was given.
        kept: String,
    },
    /// A file could not be read or written, or a program not started.
    #[error("{what} {path}: {error}")]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        error: std::io::Error,
    },
    /// A shared library that does not load, or lacks a function.
    #[error(
        "the compiled library {path} cannot be used: {problem}; remove the file to have it compiled again"
    )]
    Load {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// An op that has no lowering for these operands.
    #[error("{op}{} has no lowering: {problem}", if .scope.is_empty() { String::new() } else { format!(" in {}", .scope) })]
    Lower {
        /// The op.
        op: &'static str,
        /// The part of the model.
        scope: String,
        /// What is missing.
        problem: String,
    },
    /// A name that a library cannot have.
    #[error("`{name}` is no name for a library; use letters, digits and `_`, and start with no digit")]
    Name {
        /// The name.
        name: String,
    },
    /// A format of numbers that the target does not have.
    #[error(
        "{target} has no {format}: it is the format of the x87 unit, which x86 processors alone have; use f128"
    )]
    Format {
        /// Its name.
        format: &'static str,
        /// The target.
        target: String,
    },
    /// Operands that a compiled function does not take.
    #[error("{function} takes {expected}, found {found}")]
    Operands {
        /// The function.
        function: &'static str,
        /// What it takes.
        expected: String,
        /// What it was given.
        found: String,
    },
    /// A module that was not built well: a fault of this crate.
    #[error("{0}; please report this plan")]
    Emit(String),
    /// A kernel is at fault, or would have panicked.
    #[error(transparent)]
    Kernel(#[from] kernel::KernelError),
    /// A module of the `fidelity` dialect that breaks its rules, or has no meaning as a graph.
    #[error(transparent)]
    Dialect(#[from] crate::dialect::DialectError),
    /// Planning failed.
    #[error(transparent)]
    Plan(#[from] premap::PlanError),
    /// The graph is at fault.
    #[error(transparent)]
    Graph(#[from] graph::GraphError),
}

/// The crate's result.
pub type Result<T, E = AlexError> = std::result::Result<T, E>;

/// An error of the file system, with the file.
pub(crate) fn file<'a>(
    what: &'static str,
    path: &'a std::path::Path,
) -> impl FnOnce(std::io::Error) -> AlexError + 'a {
    move |error| AlexError::File { what, path: path.to_path_buf(), error }
}
