//! The bytes that each token stands for, for programs that print tokens without a tokenizer.
//!
//! Decoders of `tokenizer.json` say how a token's spelling becomes text. Two ways cover the published models: the byte-level
//! one of GPT-2, where each character of the spelling is a byte, and the one of SentencePiece, where `▁` is a space and
//! `<0x0A>` a byte. Special tokens print as nothing, as in [`Tokenizer::decode`].

use super::Tokenizer;
use serde_json::Value;
use std::collections::HashMap;

impl Tokenizer {
    /// The bytes of each token up to `vocabulary`, in the order of the ids; nothing for special and for unknown ones.
    ///
    /// ```
    /// use models::tokenizer::Tokenizer;
    /// assert_eq!(Tokenizer::bytes().pieces(258)[65..67], [b"A".to_vec(), b"B".to_vec()]);
    /// ```
    pub fn pieces(&self, vocabulary: usize) -> Vec<Vec<u8>> {
        let hf = match self {
            Tokenizer::Bytes { eos } => {
                let byte = |id: usize| u8::try_from(id).ok().filter(|_| *eos != u32::try_from(id).ok());
                return (0..vocabulary).map(|id| byte(id).into_iter().collect()).collect();
            }
            Tokenizer::HuggingFace(hf) => hf,
        };
        let file: Value = serde_json::from_str(hf.json()).unwrap_or_default();
        let bytes = names(&file["decoder"], "ByteLevel").then(byte_level);
        (0..vocabulary)
            .map(|id| {
                let id = u32::try_from(id).unwrap_or(u32::MAX);
                match hf.inner.id_to_token(id) {
                    Some(spelling) if !hf.decode(&[id], true).is_empty() || is_space(&spelling) => {
                        match &bytes {
                            Some(bytes) => through(bytes, &spelling),
                            None => sentence_piece(&spelling),
                        }
                    }
                    _ => vec![],
                }
            })
            .collect()
    }
}

/// Spellings that decode to nothing on their own, because a space at the start of a text is dropped.
fn is_space(spelling: &str) -> bool {
    !spelling.is_empty() && spelling.chars().all(|c| c == '▁')
}

/// Whether a decoder is of this type, or one of its parts is.
fn names(decoder: &Value, kind: &str) -> bool {
    let parts = decoder["decoders"].as_array();
    decoder["type"] == kind || parts.is_some_and(|parts| parts.iter().any(|part| names(part, kind)))
}

/// The byte of each character in GPT-2's spelling: printing characters of Latin-1 are themselves, the other bytes follow
/// from U+0100 on in their order.
fn byte_level() -> HashMap<char, u8> {
    let prints = |b: &u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut next = 0x100;
    let mut character = |b: u8| {
        if prints(&b) {
            return char::from(b);
        }
        next += 1;
        char::from_u32(next - 1).unwrap_or_default()
    };
    (0..=255).map(|b| (character(b), b)).collect()
}

fn through(bytes: &HashMap<char, u8>, spelling: &str) -> Vec<u8> {
    let mut buffer = [0; 4];
    let mut out = vec![];
    for c in spelling.chars() {
        match bytes.get(&c) {
            Some(byte) => out.push(*byte),
            // Added tokens are spelt as they are.
            None => out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes()),
        }
    }
    out
}

fn sentence_piece(spelling: &str) -> Vec<u8> {
    let byte = spelling.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    match byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
        Some(byte) => vec![byte],
        None => spelling.replace('▁', " ").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_become_bytes() {
        let bytes = byte_level();
        assert_eq!(bytes.len(), 256);
        assert_eq!(through(&bytes, "ĠÃ©Ċ"), " é\n".as_bytes());
        assert_eq!(sentence_piece("▁a"), b" a");
        assert_eq!(sentence_piece("<0x0A>"), b"\n");
    }

    /// Texts printed token by token are the texts.
    #[test]
    fn pieces_spell_what_was_encoded() {
        let json = r#"{"version": "1.0", "added_tokens": [{"id": 5, "content": "</s>", "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true}], "normalizer": null,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            "post_processor": null, "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": true}, "model": {"type": "BPE", "dropout": null, "unk_token": null,
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "vocab": {"a": 0, "Ġ": 1, "Ã": 2, "©": 3, "Ġa": 4}, "merges": ["Ġ a"]}}"#;
        let tokenizer = Tokenizer::from_json(json, std::path::Path::new("tokenizer.json")).unwrap();
        let pieces = tokenizer.pieces(7);
        let ids = tokenizer.encode("a aé").unwrap();
        let text: Vec<u8> = ids.iter().flat_map(|id| pieces[*id as usize].clone()).collect();
        assert_eq!(text, "a aé".as_bytes());
        assert!(pieces[5].is_empty() && pieces[6].is_empty(), "{pieces:?}");
    }
}
