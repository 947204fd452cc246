//! The `tokenizer.json` in which each id is its byte.
//!
//! It is a byte-pair-encoding model with no merges behind GPT-2's byte-level pre-tokenizer: that pre-tokenizer
//! spells each byte as one printable character, and the vocabulary maps the character back to the byte's value.
//! The alternative, a model with `byte_fallback` and tokens `<0x00>` … `<0xFF>`, depends on the text holding
//! nothing that the vocabulary spells literally; files in that form are recognised, not written.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::TokenizerError;
use crate::atomic::write_bytes;
use crate::error::ModelError;

/// The printable character by which GPT-2's byte-level scheme spells a byte: printable Latin-1 stays itself, the
/// other 68 bytes are numbered upwards from U+0100 (`bytes_to_unicode` of the GPT-2 release).
fn spelling(byte: u8) -> char {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if printable(byte) {
        return char::from(byte);
    }
    let rank = (0..byte).filter(|&b| !printable(b)).count() as u32;
    char::from_u32(0x100 + rank).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The text of the byte-level `tokenizer.json`.
pub fn byte_level_json() -> String {
    let vocab: Map<String, Value> =
        (0..=255u8).map(|byte| (spelling(byte).to_string(), Value::from(byte))).collect();
    let byte_level =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
    let file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": vocab,
            "merges": [],
        },
    });
    format!("{file:#}\n")
}

/// Writes [`byte_level_json`] to a file (to a temporary name first, synced, then renamed).
pub fn write_byte_level(path: impl AsRef<Path>) -> Result<(), TokenizerError> {
    write_text(path.as_ref(), &byte_level_json())
}

/// Whether a parsed `tokenizer.json` gives each byte the id of its value and does nothing else to a text.
pub fn is_byte_level(file: &Value) -> bool {
    let absent = |key: &str| file.get(key).is_none_or(Value::is_null);
    let no_added = file.get("added_tokens").is_none_or(|t| t.as_array().is_some_and(Vec::is_empty));
    if !no_added || !absent("normalizer") || !absent("post_processor") {
        return false;
    }
    let Some(model) = file.get("model") else { return false };
    if model.get("type").and_then(Value::as_str) != Some("BPE")
        || !model.get("merges").and_then(Value::as_array).is_some_and(Vec::is_empty)
    {
        return false;
    }
    let Some(vocab) = model.get("vocab").and_then(Value::as_object) else { return false };
    if vocab.len() != 256 {
        return false;
    }
    let spelled_by = |spell: &dyn Fn(u8) -> String| {
        (0..=255u8).all(|b| vocab.get(&spell(b)).and_then(Value::as_u64) == Some(u64::from(b)))
    };
    let kind = |key: &str| file.get(key).and_then(|v| v.get("type")).and_then(Value::as_str);
    if kind("pre_tokenizer") == Some("ByteLevel") {
        // Splitting by the regular expression changes nothing when there are no merges; a prefix space would.
        let prefix = file["pre_tokenizer"].get("add_prefix_space").and_then(Value::as_bool);
        return prefix == Some(false) && spelled_by(&|b| spelling(b).to_string());
    }
    absent("pre_tokenizer")
        && model.get("byte_fallback").and_then(Value::as_bool) == Some(true)
        && spelled_by(&|b| format!("<0x{b:02X}>"))
}

/// Writes a text so that the file is either the old one or the whole new one, whatever happens meanwhile.
pub(super) fn write_text(path: &Path, text: &str) -> Result<(), TokenizerError> {
    write_bytes(path, text.as_bytes()).map_err(|error| TokenizerError::Io {
        path: path.into(),
        source: match error {
            ModelError::Io { source, .. } => source,
            other => std::io::Error::other(other.to_string()),
        },
        remedy: "check that the folder exists, is writable and has space left",
    })
}
