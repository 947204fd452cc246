//! The crate's error type.

/// What can go wrong when a plan is loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Planning failed.
    #[error(transparent)]
    Plan(#[from] premap::PlanError),
    /// The graph is at fault.
    #[error(transparent)]
    Graph(#[from] graph::GraphError),
    /// The compiler that was chosen refused.
    #[error("{0}")]
    Compile(String),
    /// A tensor bound to an input or output has another type.
    #[error("{what} `{name}`: expected {expected}, found {found}")]
    Bind {
        /// `input` or `output`.
        what: &'static str,
        /// Its name.
        name: String,
        /// The declared type.
        expected: String,
        /// The tensor's type, or `nothing`.
        found: String,
    },
    /// A kernel refused its operands: an index outside a table or a vocabulary.
    #[error("{op}{}: {problem}", if .scope.is_empty() { String::new() } else { format!(" in {}", .scope) })]
    Kernel {
        /// The op.
        op: &'static str,
        /// The part of the model.
        scope: String,
        /// What was wrong.
        problem: String,
    },
}

/// Where a number first stopped being finite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blame {
    /// The op that made it.
    pub op: &'static str,
    /// The part of the model (`layers.1.attn`).
    pub scope: String,
    /// A name from the graph when there is one (an input, an output or a tap).
    pub name: Option<String>,
    /// `NaN` or `infinity`.
    pub what: &'static str,
}

impl std::fmt::Display for Blame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} first appeared in the result of `{}`", self.what, self.op)?;
        if !self.scope.is_empty() {
            write!(f, " in {}", self.scope)?;
        }
        if let Some(n) = &self.name {
            write!(f, " (`{n}`)")?;
        }
        Ok(())
    }
}

/// The crate's result.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;
