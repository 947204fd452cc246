//! The crate's one error type.

use std::fmt;
use std::panic::Location;

/// What went wrong while a graph was built, checked, parsed or evaluated.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GraphError {
    /// An op was given operands that it does not take. `places` are the source lines of the op and its operands.
    #[error("{op}: {problem}{}", render(.places))]
    Operands {
        /// The op's name.
        op: &'static str,
        /// What was expected and what was found.
        problem: String,
        /// Where the op and its operands were written.
        places: Vec<Place>,
    },
    /// The graph breaks one of the rules of the intermediate form.
    #[error("node %{node} ({op}) is not well formed: {problem}")]
    Malformed {
        /// The node's number.
        node: usize,
        /// The op's name.
        op: &'static str,
        /// The rule that is broken.
        problem: String,
    },
    /// The text form could not be read.
    #[error("line {line}: {problem}")]
    Syntax {
        /// One-based line.
        line: usize,
        /// What was expected and what was found.
        problem: String,
    },
    /// A value handed to a graph does not fit its input.
    #[error("input `{name}`: expected {expected}, found {found}")]
    Input {
        /// The input's name.
        name: String,
        /// The declared type.
        expected: String,
        /// What was given.
        found: String,
    },
    /// Evaluation met a value that the op refuses (an index out of range, an endless loop).
    #[error("{op}: {problem}")]
    Eval {
        /// The op's name.
        op: &'static str,
        /// The cause.
        problem: String,
    },
    /// A function has no value at the point where it was evaluated, or the arithmetic cannot tell which value.
    #[error("{op}: {problem}{}", render(.places))]
    Undefined {
        /// The op's name.
        op: &'static str,
        /// The operands and the cause.
        problem: String,
        /// The node and where it was written.
        places: Vec<Place>,
    },
    /// A symbolic size has no value.
    #[error("the size `{symbol}` is not known: bind it, or give an input that has it")]
    Unbound {
        /// The symbol.
        symbol: String,
    },
    /// A derivative does not exist in the requested mode.
    #[error("{op} cannot be differentiated: {problem}")]
    NotDifferentiable {
        /// The op's name.
        op: &'static str,
        /// Cause and remedy.
        problem: String,
    },
    /// A rule that is not linear in the cotangent stands where a derivative was asked for.
    #[error("`{rule}` is a gradient transformation, not a derivative: {problem}")]
    NotADerivative {
        /// The rule's name.
        rule: String,
        /// What cannot be done with it, and what can.
        problem: String,
    },
}

/// A source position with the type of the value made there.
#[derive(Debug, Clone)]
pub struct Place {
    /// What is at the place (`operand 0: f32[4,In]`).
    pub what: String,
    /// File, line and column.
    pub at: Option<&'static Location<'static>>,
}

fn render(list: &[Place]) -> String {
    struct Lines<'a>(&'a [Place]);
    impl fmt::Display for Lines<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for p in self.0 {
                match p.at {
                    Some(at) => write!(f, "\n  {} at {}:{}:{}", p.what, at.file(), at.line(), at.column())?,
                    None => write!(f, "\n  {}", p.what)?,
                }
            }
            Ok(())
        }
    }
    Lines(list).to_string()
}

/// The crate's result.
pub type Result<T, E = GraphError> = std::result::Result<T, E>;
