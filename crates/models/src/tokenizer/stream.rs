//! Decoding one id at a time without ever showing half a character.
//!
//! A character of several bytes may be spread over several tokens, so what a token adds to the text is known
//! only when the character is complete. The byte-level decoder holds back at most three bytes. For the others
//! the rule is that of the published inference servers: decode a short window with and without the new token,
//! emit the difference, and wait while it ends in U+FFFD, which is how an unfinished character decodes.

use super::Tokenizer;

/// Longest run of tokens that is held back; past it the pieces are emitted as they are, so that a model that
/// produces endless broken UTF-8 costs no more per token than one that does not.
const LONGEST_HOLD: usize = 16;

/// Collects bytes and releases whole characters.
#[derive(Debug, Default, Clone)]
pub(super) struct Utf8Holder {
    pending: Vec<u8>,
}

impl Utf8Holder {
    /// Takes one id; an id that is no byte reads as U+FFFD.
    pub(super) fn push(&mut self, id: u32, out: &mut String) {
        let Ok(byte) = u8::try_from(id) else {
            self.finish(out);
            out.push(char::REPLACEMENT_CHARACTER);
            return;
        };
        self.pending.push(byte);
        loop {
            match std::str::from_utf8(&self.pending) {
                Ok(text) => {
                    out.push_str(text);
                    self.pending.clear();
                    return;
                }
                Err(error) => {
                    let valid = error.valid_up_to();
                    out.push_str(std::str::from_utf8(&self.pending[..valid]).unwrap_or_default());
                    // `None` means that more bytes may still complete the character.
                    let Some(bad) = error.error_len() else {
                        self.pending.drain(..valid);
                        return;
                    };
                    out.push(char::REPLACEMENT_CHARACTER);
                    self.pending.drain(..valid + bad);
                }
            }
        }
    }

    /// Gives up on an unfinished character.
    pub(super) fn finish(&mut self, out: &mut String) {
        out.push_str(&String::from_utf8_lossy(&self.pending));
        self.pending.clear();
    }
}

/// Turns ids into text as they come. Made by [`Tokenizer::stream`].
///
/// ```
/// use models::tokenizer::Tokenizer;
///
/// let bytes = Tokenizer::bytes();
/// let mut decoder = bytes.stream();
/// assert_eq!(decoder.push(0xc3), ""); // the first half of é
/// assert_eq!(decoder.push(0xa9), "é");
/// assert_eq!(decoder.finish(), "");
/// ```
#[derive(Debug, Clone)]
pub struct StreamDecoder<'a> {
    tokenizer: &'a Tokenizer,
    bytes: Utf8Holder,
    /// Ids whose text is needed as context, then ids not yet shown.
    window: Vec<u32>,
    /// How many ids of the window are shown already.
    shown: usize,
}

impl<'a> StreamDecoder<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer) -> Self {
        StreamDecoder { tokenizer, bytes: Utf8Holder::default(), window: Vec::new(), shown: 0 }
    }

    /// Takes one id and returns the text that is now certain: empty while a character is incomplete.
    pub fn push(&mut self, id: u32) -> String {
        match self.tokenizer {
            Tokenizer::Bytes { eos } => {
                let mut out = String::new();
                if Some(id) != *eos {
                    self.bytes.push(id, &mut out);
                }
                out
            }
            Tokenizer::HuggingFace(hf) => {
                self.window.push(id);
                let before = hf.decode(&self.window[..self.shown], true);
                let after = hf.decode(&self.window, true);
                let held = self.window.len() - self.shown;
                if after.ends_with(char::REPLACEMENT_CHARACTER) && held < LONGEST_HOLD {
                    return String::new();
                }
                self.advance(&before, &after)
            }
        }
    }

    /// What is still held back, with an unfinished character as U+FFFD.
    pub fn finish(mut self) -> String {
        match self.tokenizer {
            Tokenizer::Bytes { .. } => {
                let mut out = String::new();
                self.bytes.finish(&mut out);
                out
            }
            Tokenizer::HuggingFace(hf) => {
                let before = hf.decode(&self.window[..self.shown], true);
                let after = hf.decode(&self.window, true);
                self.advance(&before, &after)
            }
        }
    }

    /// Shows what `after` has beyond `before` and keeps the newly shown ids as context: a decoder that joins
    /// words with spaces treats the first token of a text differently from the following ones.
    fn advance(&mut self, before: &str, after: &str) -> String {
        let text = after.strip_prefix(before).unwrap_or(after).to_owned();
        self.window.drain(..self.shown);
        self.shown = self.window.len();
        text
    }
}
