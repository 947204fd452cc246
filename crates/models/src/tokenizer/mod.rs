//! Text to token ids and back: bytes, or any Hugging Face `tokenizer.json`.
//!
//! Two kinds exist. The byte-level tokenizer needs no file: a token's id *is* its byte, so the vocabulary has
//! 256 entries and every input, valid UTF-8 or not, has exactly one encoding. Everything else is read by the
//! `tokenizers` crate, the one the published models were trained with; a re-implementation would differ from it
//! in some corner of some pre-tokenizer. A `tokenizer.json` that says "each id is its byte" (the form
//! [`write_byte_level`] writes) is recognised and runs as the first kind, which is some hundred times faster.
//!
//! ```
//! use models::tokenizer::Tokenizer;
//!
//! let bytes = Tokenizer::bytes();
//! assert_eq!(bytes.encode("né")?, [0x6e, 0xc3, 0xa9]);
//! assert_eq!(bytes.decode(&[0x6e, 0xc3, 0xa9]), "né");
//! # Ok::<(), models::tokenizer::TokenizerError>(())
//! ```

mod byte_level;
mod pieces;
mod stream;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use sha2::{Digest, Sha256};

pub use byte_level::{byte_level_json, is_byte_level, write_byte_level};
pub use stream::StreamDecoder;

/// Why a tokenizer could not be read, or could not encode a text.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The file could not be read or written.
    #[error("{}: {source}; {remedy}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The file is not a tokenizer that the `tokenizers` crate understands.
    #[error(
        "{}: expected a Hugging Face `tokenizer.json`, found: {problem}; export it with \
         `PreTrainedTokenizerFast.save_pretrained`, or use `bytes` for byte-level text", .path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        problem: String,
    },
    /// The tokenizer refused the text.
    #[error("the tokenizer could not encode the text: {problem}")]
    Encode {
        /// What the `tokenizers` crate said.
        problem: String,
    },
    /// A tokenizer from a file takes text, and these bytes are no text.
    #[error(
        "expected UTF-8 text, found the byte {byte:#04x} at position {position}; \
         convert the text to UTF-8, or use the byte-level tokenizer (`bytes`), which takes any bytes"
    )]
    NotUtf8 {
        /// Offset of the first offending byte.
        position: usize,
        /// That byte.
        byte: u8,
    },
}

/// Turns text into token ids and token ids into text.
#[derive(Clone)]
pub enum Tokenizer {
    /// Each id is its byte; vocabulary of 256.
    Bytes {
        /// The token that ends a document, if the model has one.
        eos: Option<u32>,
    },
    /// A tokenizer read from a `tokenizer.json`.
    HuggingFace(Arc<HuggingFace>),
}

/// A tokenizer of the `tokenizers` crate with the file it came from.
pub struct HuggingFace {
    inner: Arc<tokenizers::Tokenizer>,
    /// The file's text, or, for one that was made of parts, nothing until it is asked for.
    json: Arc<OnceLock<String>>,
    vocab_size: usize,
    eos: Option<u32>,
}

impl Tokenizer {
    /// The byte-level tokenizer, without an end token.
    pub fn bytes() -> Self {
        Tokenizer::Bytes { eos: None }
    }

    /// Reads a `tokenizer.json`; one that maps each byte to itself becomes [`Tokenizer::Bytes`].
    ///
    /// The file itself does not say which token ends a text; see [`Tokenizer::from_folder`] and
    /// [`Tokenizer::with_eos`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let path = path.as_ref();
        let json = std::fs::read_to_string(path).map_err(|source| TokenizerError::Io {
            path: path.into(),
            source,
            remedy: "name a readable `tokenizer.json`, or `bytes` for byte-level text",
        })?;
        Self::from_json(json, path)
    }

    /// Reads `tokenizer.json` from a model's folder, and its end token from `config.json`, or, when that is
    /// silent, from `tokenizer_config.json`. An explicit `"eos_token_id": null` means that there is none.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let folder = folder.as_ref();
        let tokenizer = Self::from_file(folder.join("tokenizer.json"))?;
        let eos = eos_of_folder(folder, &tokenizer);
        Ok(tokenizer.with_eos(eos))
    }

    /// The same from the text of such a file; `path` is what errors call it.
    ///
    /// # Errors
    /// [`TokenizerError::Format`] for a text that is no tokenizer.
    pub fn from_json(json: impl Into<String>, path: &Path) -> Result<Self, TokenizerError> {
        let json = json.into();
        let format = |problem: String| TokenizerError::Format { path: path.into(), problem };
        let value: Value = serde_json::from_str(&json).map_err(|e| format(e.to_string()))?;
        if is_byte_level(&value) {
            return Ok(Tokenizer::bytes());
        }
        let mut inner =
            tokenizers::Tokenizer::from_bytes(json.as_bytes()).map_err(|e| format(e.to_string()))?;
        // Files saved from a fine-tuning script often carry the script's truncation and padding; both would
        // silently change the text.
        inner.with_truncation(None).map_err(|e| format(e.to_string()))?;
        inner.with_padding(None);
        // Ids may have holes, so the largest id counts, not the number of entries.
        let vocab_size = inner.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1);
        Ok(Tokenizer::HuggingFace(Arc::new(HuggingFace {
            inner: Arc::new(inner),
            json: Arc::new(OnceLock::from(json)),
            vocab_size,
            eos: None,
        })))
    }

    /// A tokenizer that was made with the library rather than read from a file.
    pub fn from_library(inner: tokenizers::Tokenizer) -> Self {
        // Ids may have holes, so the largest id counts, not the number of entries.
        let vocab_size = inner.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1);
        let inner = Arc::new(inner);
        Tokenizer::HuggingFace(Arc::new(HuggingFace { inner, json: Arc::default(), vocab_size, eos: None }))
    }

    /// The same tokenizer with this end token.
    pub fn with_eos(self, eos: Option<u32>) -> Self {
        match self {
            Tokenizer::Bytes { .. } => Tokenizer::Bytes { eos },
            Tokenizer::HuggingFace(hf) => Tokenizer::HuggingFace(Arc::new(HuggingFace {
                inner: Arc::clone(&hf.inner),
                json: Arc::clone(&hf.json),
                vocab_size: hf.vocab_size,
                eos,
            })),
        }
    }

    /// The token that ends a document, if there is one.
    pub fn eos(&self) -> Option<u32> {
        match self {
            Tokenizer::Bytes { eos } => *eos,
            Tokenizer::HuggingFace(hf) => hf.eos,
        }
    }

    /// One more than the largest id.
    pub fn vocab_size(&self) -> usize {
        match self {
            Tokenizer::Bytes { .. } => 256,
            Tokenizer::HuggingFace(hf) => hf.vocab_size,
        }
    }

    /// Whether each id is its byte.
    pub fn is_bytes(&self) -> bool {
        matches!(self, Tokenizer::Bytes { .. })
    }

    /// Token ids of a text, without special tokens: what training wants.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        self.encode_with(text, false)
    }

    /// Token ids of a prompt, with the special tokens that the tokenizer puts around a text (a leading
    /// beginning-of-text token, as a rule). The byte-level tokenizer has none.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        self.encode_with(text, true)
    }

    fn encode_with(&self, text: &str, special: bool) -> Result<Vec<u32>, TokenizerError> {
        match self {
            Tokenizer::Bytes { .. } => Ok(text.bytes().map(u32::from).collect()),
            Tokenizer::HuggingFace(hf) => hf
                .inner
                .encode_fast(text, special)
                .map(|encoding| encoding.get_ids().to_vec())
                .map_err(|e| TokenizerError::Encode { problem: e.to_string() }),
        }
    }

    /// Token ids of bytes. The byte-level tokenizer takes any; the others need UTF-8.
    pub fn encode_bytes(&self, bytes: &[u8]) -> Result<Vec<u32>, TokenizerError> {
        match self {
            Tokenizer::Bytes { .. } => Ok(bytes.iter().map(|&b| u32::from(b)).collect()),
            Tokenizer::HuggingFace(_) => {
                let text = std::str::from_utf8(bytes).map_err(|e| TokenizerError::NotUtf8 {
                    position: e.valid_up_to(),
                    byte: bytes[e.valid_up_to()],
                })?;
                self.encode(text)
            }
        }
    }

    /// The text of these ids. Bytes that are no UTF-8 and ids outside a byte's range become U+FFFD; special
    /// tokens, and ids that a `tokenizer.json` does not know, are left out.
    pub fn decode(&self, ids: &[u32]) -> String {
        match self {
            Tokenizer::Bytes { eos } => {
                let mut decoder = stream::Utf8Holder::default();
                let mut text = String::new();
                for &id in ids {
                    if Some(id) != *eos {
                        decoder.push(id, &mut text);
                    }
                }
                decoder.finish(&mut text);
                text
            }
            Tokenizer::HuggingFace(hf) => hf.decode(ids, true),
        }
    }

    /// The text of these ids with special tokens spelled out, for showing what a model sees.
    pub fn decode_verbatim(&self, ids: &[u32]) -> String {
        match self {
            Tokenizer::Bytes { .. } => Tokenizer::bytes().decode(ids),
            Tokenizer::HuggingFace(hf) => hf.decode(ids, false),
        }
    }

    /// A decoder that takes one id at a time, for output that is shown as it is generated.
    pub fn stream(&self) -> StreamDecoder<'_> {
        StreamDecoder::new(self)
    }

    /// The spelling of one token; `None` when the id is outside the vocabulary.
    pub fn token(&self, id: u32) -> Option<String> {
        match self {
            Tokenizer::Bytes { .. } => u8::try_from(id).ok().map(|b| b.escape_ascii().to_string()),
            Tokenizer::HuggingFace(hf) => hf.inner.id_to_token(id),
        }
    }

    /// The id of a token as the vocabulary spells it (`</s>`); the byte-level tokenizer knows single bytes.
    pub fn id(&self, token: &str) -> Option<u32> {
        match self {
            Tokenizer::Bytes { .. } => match token.as_bytes() {
                [byte] => Some(u32::from(*byte)),
                _ => None,
            },
            Tokenizer::HuggingFace(hf) => hf.inner.token_to_id(token),
        }
    }

    /// A text that is equal for two tokenizers only if they encode alike: the key of caches of tokenised data.
    pub fn identity(&self) -> String {
        let eos = self.eos().map_or("none".to_owned(), |id| id.to_string());
        match self {
            Tokenizer::Bytes { .. } => format!("bytes eos={eos}"),
            Tokenizer::HuggingFace(hf) => {
                let digest = Sha256::digest(hf.json().as_bytes());
                let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
                format!("sha256:{hex} eos={eos}")
            }
        }
    }

    /// The `tokenizer.json` of this tokenizer: the file it was read from, or the byte-level one.
    pub fn to_json(&self) -> String {
        match self {
            Tokenizer::Bytes { .. } => byte_level_json(),
            Tokenizer::HuggingFace(hf) => hf.json().to_owned(),
        }
    }

    /// Writes [`Tokenizer::to_json`] to a file (to a temporary name first, synced, then renamed).
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), TokenizerError> {
        byte_level::write_text(path.as_ref(), &self.to_json())
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = if self.is_bytes() { "Bytes" } else { "HuggingFace" };
        f.debug_struct(name).field("vocab_size", &self.vocab_size()).field("eos", &self.eos()).finish()
    }
}

impl HuggingFace {
    fn json(&self) -> &str {
        // What the library made it can print.
        self.json.get_or_init(|| self.inner.to_string(false).unwrap_or_default())
    }

    fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        // A decoder may refuse a token list; the spellings are then better than nothing.
        self.inner.decode(ids, skip_special).unwrap_or_else(|_| {
            ids.iter().filter_map(|&id| self.inner.id_to_token(id)).collect::<Vec<_>>().join(" ")
        })
    }
}

/// The end token that a model's folder names.
fn eos_of_folder(folder: &Path, tokenizer: &Tokenizer) -> Option<u32> {
    let read = |name: &str| -> Option<Value> {
        serde_json::from_str(&std::fs::read_to_string(folder.join(name)).ok()?).ok()
    };
    if let Some(eos) = read("config.json").as_ref().and_then(|config| config.get("eos_token_id")) {
        // Some models list several end tokens; the first one is what separates documents.
        let first = eos.as_array().and_then(|list| list.first()).unwrap_or(eos);
        return first.as_u64().and_then(|id| u32::try_from(id).ok());
    }
    let config = read("tokenizer_config.json")?;
    let eos = config.get("eos_token")?;
    tokenizer.id(eos.as_str().or_else(|| eos.get("content")?.as_str())?)
}

#[cfg(test)]
mod tests;
