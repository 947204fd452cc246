//! What can go wrong beyond the errors of a graph.

use graph::GraphError;

/// An error of a differentiation, of an expression or of an evaluation in a chosen precision.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FurnaceError {
    /// An op could not be traced, differentiated or evaluated.
    #[error(transparent)]
    Graph(GraphError),
    /// The text of an expression does not parse, or names what is not there.
    #[error("column {column}: {problem}{}", pointer(.text, *.column))]
    Expression {
        /// The expression.
        text: String,
        /// Where, in characters, from 1.
        column: usize,
        /// What was found and what was expected.
        problem: String,
    },
    /// A precision that does not exist, or not on this machine.
    #[error("precision `{name}`: {problem}")]
    Precision {
        /// As it was asked for.
        name: String,
        /// Why not, and what would do.
        problem: String,
    },
    /// A function has no value at a point, such as 0/0.
    #[error("{op} has no value there: {problem}")]
    Undefined {
        /// The op.
        op: String,
        /// Operands and remedy.
        problem: String,
    },
    /// A name that no table has.
    #[error("there is no {kind} `{name}`; there are {known}")]
    Unknown {
        /// What was looked for.
        kind: &'static str,
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// A parameter outside its range.
    #[error("`{rule}`: {what} is {value}: expected {expected}")]
    Parameter {
        /// The rule.
        rule: String,
        /// The parameter.
        what: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// A rule that is not linear in the cotangent was asked for as a derivative.
    #[error("`{rule}` is a gradient transformation, not a derivative: {problem}")]
    NotADerivative {
        /// Its name.
        rule: String,
        /// What cannot be done with it, and what can.
        problem: String,
    },
}

/// The place in the text with a caret below it; of a long text what is around it.
fn pointer(text: &str, column: usize) -> String {
    const AROUND: usize = 50;
    let start = column.saturating_sub(AROUND + 1);
    let mut line: String = text.chars().skip(start).take(2 * AROUND).collect();
    let mut caret = column - start;
    if start > 0 {
        line.insert(0, '…');
        caret += 1;
    }
    if text.chars().count() > start + 2 * AROUND {
        line.push('…');
    }
    format!("\n  {line}\n  {:>caret$}", "^")
}

impl From<GraphError> for FurnaceError {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::NotADerivative { rule, problem } => Self::NotADerivative { rule, problem },
            other => Self::Graph(other),
        }
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, FurnaceError>;
