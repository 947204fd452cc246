//! Stop strings: a text ends where one of them is complete, and shows nothing of it.
//!
//! Tokens do not end where stop strings do, so what may become one is held back until that is decided. The text is
//! looked at character by character: which string ends it, and where, does not depend on how the text came in pieces.

use crate::error::{ModelError, Result};

/// What a piece of text amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Text that is certain to belong to the result.
    pub text: String,
    /// Whether a stop string is complete; nothing behind it counts.
    pub stopped: bool,
}

/// Looks for stop strings in a text that comes in pieces.
///
/// ```
/// use models::generation::StopStrings;
/// let mut stop = StopStrings::new(vec!["\nUser:".into()])?;
/// assert_eq!(stop.push("Hi!\nUs").text, "Hi!"); // the rest may become the stop string
/// assert_eq!(stop.push("ing it").text, "\nUsing it"); // and did not
/// let last = stop.push("\nUser: and more");
/// assert!(last.stopped && last.text.is_empty());
/// # Ok::<(), models::ModelError>(())
/// ```
#[derive(Debug, Clone)]
pub struct StopStrings {
    strings: Vec<String>,
    held: String,
    stopped: bool,
}

impl StopStrings {
    /// Of these strings; none lets all text through at once.
    ///
    /// # Errors
    /// A string without characters, which every text has.
    pub fn new(strings: Vec<String>) -> Result<Self> {
        if strings.iter().any(String::is_empty) {
            return Err(ModelError::value(
                "stop string",
                "at least one character",
                "none",
                "leave it out, or limit the number of tokens instead",
            ));
        }
        Ok(Self { strings, held: String::new(), stopped: false })
    }

    /// Takes a piece of text.
    pub fn push(&mut self, piece: &str) -> Checked {
        if self.strings.is_empty() {
            return Checked { text: piece.to_owned(), stopped: false };
        }
        for c in piece.chars() {
            if self.stopped {
                break;
            }
            self.held.push(c);
            let ends = self.strings.iter().filter(|s| self.held.ends_with(s.as_str())).map(String::len);
            if let Some(longest) = ends.max() {
                self.held.truncate(self.held.len() - longest);
                self.stopped = true;
            }
        }
        let text = if self.stopped { std::mem::take(&mut self.held) } else { self.certain() };
        Checked { text, stopped: self.stopped }
    }

    /// What was held back of a text that ended otherwise.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Releases what cannot be the beginning of a stop string.
    fn certain(&mut self) -> String {
        let longest = self.strings.iter().map(String::len).max().unwrap_or(0);
        // A whole string would have been found, so its beginning is shorter.
        let first = (self.held.len() + 1).saturating_sub(longest);
        let begins = |at: &usize| {
            let tail = self.held.get(*at..);
            tail.is_some_and(|tail| self.strings.iter().any(|s| s.starts_with(tail)))
        };
        let at = (first..self.held.len()).find(begins).unwrap_or(self.held.len());
        let rest = self.held.split_off(at);
        std::mem::replace(&mut self.held, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The text up to the stop string that is complete first, the longest of those that end there.
    fn naive(strings: &[String], text: &str) -> (String, bool) {
        for (at, c) in text.char_indices() {
            let end = at + c.len_utf8();
            let ends = strings.iter().filter(|s| text[..end].ends_with(s.as_str())).map(|s| s.len());
            if let Some(longest) = ends.max() {
                return (text[..end - longest].to_owned(), true);
            }
        }
        (text.to_owned(), false)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn every_cut_gives_the_same_text(
            strings in prop::collection::vec("[abé]{1,4}", 0..3),
            pieces in prop::collection::vec("[abé]{0,5}", 0..8),
        ) {
            let whole: String = pieces.concat();
            let (wanted, stops) = naive(&strings, &whole);
            let mut stop = StopStrings::new(strings.clone()).unwrap();
            let (mut text, mut stopped, mut read) = (String::new(), false, String::new());
            for piece in &pieces {
                let checked = stop.push(piece);
                text += &checked.text;
                stopped |= checked.stopped;
                read += piece;
                // Nothing is held back that is no beginning, and nothing shown that might be one.
                if !stopped {
                    let held = &read[text.len()..];
                    prop_assert!(held.is_empty() || strings.iter().any(|s| s.starts_with(held)));
                    prop_assert!(read.starts_with(&text));
                }
            }
            if !stopped {
                text += &stop.finish();
            }
            prop_assert_eq!((text, stopped), (wanted, stops));
        }
    }

    #[test]
    fn an_empty_string_is_refused() {
        assert!(StopStrings::new(vec!["x".into(), String::new()]).is_err());
    }
}
