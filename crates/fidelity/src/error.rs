//! Errors of the library's upper floor: what went wrong, and what to do about it, kept apart.
//!
//! The crates below have enums of their own, each with its remedies; they pass through unchanged. What is said here
//! first is a [`Fault`], so that the command can print cause and remedy on lines of their own.

/// A cause and a remedy.
///
/// ```
/// use fidelity::error::Fault;
/// let fault = Fault::new("the text is empty", "name a file that holds text");
/// assert_eq!(fault.to_string(), "the text is empty; name a file that holds text");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}; {remedy}")]
pub struct Fault {
    cause: String,
    remedy: String,
}

impl Fault {
    /// A fault with what was expected and found in `cause`.
    pub fn new(cause: impl Into<String>, remedy: impl Into<String>) -> Fault {
        Fault { cause: cause.into(), remedy: remedy.into() }
    }

    /// What went wrong.
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// What to do about it.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

/// `Err` of a [`Fault`], for functions that return `anyhow::Result`.
pub(crate) fn fault<T>(cause: impl Into<String>, remedy: impl Into<String>) -> anyhow::Result<T> {
    Err(Fault::new(cause, remedy).into())
}

/// Refuses token ids that the embedding has no row for; `what` says where they come from.
pub(crate) fn check_tokens(tokens: &[u32], vocab: usize, what: &str) -> anyhow::Result<()> {
    match tokens.iter().position(|t| *t as usize >= vocab) {
        None => Ok(()),
        Some(at) => fault(
            format!(
                "token id {} at position {at} of {what} is outside the vocabulary of {vocab} (0 to {})",
                tokens[at],
                vocab.saturating_sub(1)
            ),
            "use the tokenizer that belongs to the model, or ids within that range",
        ),
    }
}
