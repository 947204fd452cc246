use proptest::prelude::*;

use super::*;
use std::sync::OnceLock;

/// A small word-level tokenizer with specials, as a stand-in for any file that is not byte-level.
fn word_level() -> String {
    serde_json::json!({
        "version": "1.0",
        "truncation": {"max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": null,
        "added_tokens": [{"id": 4, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
                          "normalized": false, "special": true}],
        "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": null,
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"<unk>": 0, "the": 1, "cat": 2, "sat": 3}, "unk_token": "<unk>"},
    })
    .to_string()
}

/// The byte-level file run through the `tokenizers` crate itself, not through our short cut.
fn byte_level_by_the_crate() -> Tokenizer {
    let json = byte_level_json();
    let inner = tokenizers::Tokenizer::from_bytes(json.as_bytes()).unwrap();
    let vocab_size = inner.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1);
    Tokenizer::HuggingFace(Arc::new(HuggingFace {
        inner: Arc::new(inner),
        json: Arc::new(OnceLock::from(json)),
        vocab_size,
        eos: None,
    }))
}

#[test]
fn the_written_file_is_recognised_and_the_crate_reads_it_alike() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    write_byte_level(&path).unwrap();
    assert!(Tokenizer::from_file(&path).unwrap().is_bytes());
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["tokenizer.json"], "no temporary file stays behind");

    let reference = tokenizers::Tokenizer::from_file(&path).unwrap();
    assert_eq!(reference.get_vocab_size(true), 256);
    let text = "Grüße, 世界!\n\t\u{0}\u{7f} <|x|> 's  don't \r\n🦀";
    let ids = reference.encode(text, true).unwrap().get_ids().to_vec();
    assert_eq!(ids, text.bytes().map(u32::from).collect::<Vec<_>>());
    assert_eq!(reference.decode(&ids, false).unwrap(), text);
    let every: Vec<u32> = (0..256).collect();
    assert_eq!(reference.decode(&every, false).unwrap(), Tokenizer::bytes().decode(&every));
}

#[test]
fn a_file_that_differs_in_one_id_is_not_byte_level() {
    let mut file: Value = serde_json::from_str(&byte_level_json()).unwrap();
    assert!(is_byte_level(&file));
    file["model"]["vocab"]["a"] = 98.into();
    file["model"]["vocab"]["b"] = 97.into();
    assert!(!is_byte_level(&file));
    let mut prefixed: Value = serde_json::from_str(&byte_level_json()).unwrap();
    prefixed["pre_tokenizer"]["add_prefix_space"] = true.into();
    assert!(!is_byte_level(&prefixed));
}

#[test]
fn byte_fallback_form_is_recognised() {
    let vocab: serde_json::Map<String, Value> =
        (0..256).map(|b| (format!("<0x{b:02X}>"), Value::from(b))).collect();
    let file = serde_json::json!({
        "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
        "decoder": {"type": "ByteFallback"},
        "model": {"type": "BPE", "byte_fallback": true, "vocab": vocab, "merges": []},
    });
    assert!(is_byte_level(&file));
}

#[test]
fn a_hugging_face_file_encodes_without_its_truncation() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), word_level()).unwrap();
    std::fs::write(folder.path().join("tokenizer_config.json"), r#"{"eos_token": {"content": "</s>"}}"#)
        .unwrap();
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    assert_eq!(tokenizer.eos(), Some(4));
    assert_eq!(tokenizer.vocab_size(), 5);
    assert_eq!(tokenizer.encode("the cat sat the dog").unwrap(), [1, 2, 3, 1, 0]);
    assert_eq!(tokenizer.decode(&[1, 2, 4]), "the cat");
    assert_eq!(tokenizer.decode_verbatim(&[1, 4]), "the </s>");

    let mut stream = tokenizer.stream();
    let pieces: Vec<String> = [1, 2, 3].iter().map(|&id| stream.push(id)).collect();
    assert_eq!(pieces, ["the", " cat", " sat"]);

    std::fs::write(folder.path().join("config.json"), r#"{"eos_token_id": null}"#).unwrap();
    assert_eq!(Tokenizer::from_folder(folder.path()).unwrap().eos(), None);
    std::fs::write(folder.path().join("config.json"), r#"{"eos_token_id": [3, 4]}"#).unwrap();
    assert_eq!(Tokenizer::from_folder(folder.path()).unwrap().eos(), Some(3));

    assert_ne!(tokenizer.identity(), tokenizer.clone().with_eos(None).identity());
    assert_ne!(tokenizer.identity(), Tokenizer::bytes().identity());
    let copy = folder.path().join("copy.json");
    tokenizer.save(&copy).unwrap();
    assert_eq!(std::fs::read_to_string(copy).unwrap(), word_level());
}

#[test]
fn errors_say_what_was_expected() {
    let missing = Tokenizer::from_file("/nowhere/tokenizer.json").unwrap_err().to_string();
    assert!(missing.contains("/nowhere/tokenizer.json") && missing.contains("`bytes`"), "{missing}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    for broken in ["", "{", "[]", "{\"model\": 3}", "{\"model\": {\"type\": \"BPE\"}}"] {
        std::fs::write(&path, broken).unwrap();
        let message = Tokenizer::from_file(&path).unwrap_err().to_string();
        assert!(message.contains("expected a Hugging Face `tokenizer.json`"), "{broken}: {message}");
    }
    std::fs::write(&path, word_level()).unwrap();
    let words = Tokenizer::from_file(&path).unwrap();
    let message = words.encode_bytes(b"the \xff").unwrap_err().to_string();
    assert!(message.contains("0xff at position 4"), "{message}");
}

proptest! {
    #[test]
    fn the_crate_encodes_and_decodes_text_as_bytes(text in "\\PC*") {
        let reference = byte_level_by_the_crate();
        let ids = Tokenizer::bytes().encode(&text).unwrap();
        prop_assert_eq!(&reference.encode(&text).unwrap(), &ids);
        prop_assert_eq!(reference.decode(&ids), text);
    }

    #[test]
    fn bytes_round_trip_and_stream_like_lossy_utf8(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let tokenizer = Tokenizer::bytes();
        let ids = tokenizer.encode_bytes(&bytes).unwrap();
        let whole = String::from_utf8_lossy(&bytes).into_owned();
        prop_assert_eq!(tokenizer.decode(&ids), whole.clone());
        let mut stream = tokenizer.stream();
        let mut text = String::new();
        for id in ids {
            text.push_str(&stream.push(id));
        }
        text.push_str(&stream.finish());
        prop_assert_eq!(text, whole);
    }

    #[test]
    fn the_window_decoder_shows_whole_characters(text in "[a-zà-ÿ世界🦀 ]{0,24}") {
        let tokenizer = byte_level_by_the_crate();
        let mut stream = tokenizer.stream();
        let mut shown = String::new();
        for id in tokenizer.encode(&text).unwrap() {
            let piece = stream.push(id);
            prop_assert!(!piece.contains(char::REPLACEMENT_CHARACTER));
            shown.push_str(&piece);
        }
        shown.push_str(&stream.finish());
        prop_assert_eq!(shown, text);
    }
}
