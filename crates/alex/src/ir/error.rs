//! Mistakes that rustc cannot see, with the source line that made them.

use std::fmt;
use std::panic::Location;

/// A mistake in the use of the emission API that shows only when it runs: sizes that differ, a value of another function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The op, in MLIR's name.
    pub op: String,
    /// What was expected and what was found.
    pub problem: String,
    /// The source file, line and column of the call.
    pub place: &'static Location<'static>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (at {})", self.op, self.problem, self.place)
    }
}

/// The mistakes made while a module was built; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the module is not well formed{}", list(.0))]
pub struct Mistakes(pub Vec<Mistake>);

fn list(mistakes: &[Mistake]) -> String {
    let shown = 8;
    let mut text: String = mistakes.iter().take(shown).map(|m| format!("\n  {m}")).collect();
    if mistakes.len() > shown {
        text.push_str(&format!("\n  and {} more", mistakes.len() - shown));
    }
    text
}
