//! Tokenizers from a file's metadata (`tokenizer.ggml.*`).
//!
//! Two kinds: `gpt2` is byte-pair encoding on bytes spelled as characters, with a list of merges and a named cutting
//! (`pre.rs`); `llama` is SentencePiece's byte-pair encoding, whose merges follow from the tokens' scores. Both become
//! the [`Tokenizer`] that `tokenizer.json` files become, so that one piece of code encodes and decodes. A whole
//! `tokenizer.json` under `tokenizer.huggingface.json` comes before both: it is what the model was trained with.

use std::path::Path;

use barewire::Gguf;
use barewire::gguf::ValueType;
use serde_json::{Value, json};
use tokenizers::models::bpe::BPE;
use tokenizers::{AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper};

use super::meta::{CONVERT, Meta};
use super::pre;
use crate::error::{ModelError, Result};
use crate::tokenizer::{Tokenizer, is_byte_level};

/// The whole `tokenizer.json`.
pub const JSON: &str = "tokenizer.huggingface.json";
/// The template of conversations.
pub const CHAT_TEMPLATE: &str = "tokenizer.chat_template";

/// Bytes of a token whose merges are made from scores; longer ones are runs of spaces or an attack.
const LONGEST: usize = 512;
/// Merges made from scores, for each token: published vocabularies have two to four.
const MOST_MERGES: usize = 64;

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// Found in texts, and left out when shown.
    Control,
    /// Found in texts.
    Added,
}

/// Tokens that mean something to a program, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begins a text.
    pub bos: Option<u32>,
    /// Ends a text, or a turn: the end token and those that end turns and messages.
    pub eos: Vec<u32>,
    /// Fills.
    pub pad: Option<u32>,
}

/// The special tokens of a file; ids beyond `vocab_size` are refused.
///
/// # Errors
/// [`ModelError::Field`] for such an id.
pub fn special_tokens(file: &Gguf, vocab_size: usize) -> Result<SpecialTokens> {
    let meta = Meta::new(file, "");
    let id = |name: &str| -> Result<Option<u32>> {
        let key = format!("tokenizer.ggml.{name}_token_id");
        // -1 stands for none in some files.
        if meta.get(&key).and_then(|v| v.as_i64()) == Some(-1)
            || meta.get(&key).is_some_and(|v| v.as_u64() == Some(0xffff_ffff))
        {
            return Ok(None);
        }
        match meta.size(&key, u64::from(u32::MAX))? {
            Some(id) if id >= vocab_size as u64 => Err(meta.fault(&key, format!("an id below {vocab_size}"))),
            id => Ok(id.map(|id| id as u32)),
        }
    };
    let mut eos = vec![];
    for name in ["eos", "eot", "eom"] {
        eos.extend(id(name)?.filter(|id| !eos.contains(id)));
    }
    Ok(SpecialTokens { bos: id("bos")?, eos, pad: id("padding")? })
}

/// The tokenizer of a file; `None` where the file has none.
///
/// # Errors
/// [`ModelError::Field`] for a kind of tokenizer or of cutting that is not known, and for lists that do not fit together.
pub fn tokenizer(file: &Gguf) -> Result<Option<Tokenizer>> {
    let meta = Meta::new(file, "");
    if let Some(text) = meta.text(JSON)? {
        let made = Tokenizer::from_json(text, &file.path().join(JSON))
            .map_err(|error| bad(file.path(), error.to_string()))?;
        return end(meta, made).map(Some);
    }
    let made = match meta.text("tokenizer.ggml.model")?.as_deref() {
        None | Some("none" | "no_vocab") => return Ok(None),
        Some("gpt2") => gpt2(meta)?,
        Some("llama") => llama(meta)?,
        Some(_) => {
            let expected =
                "\"gpt2\" or \"llama\", or a whole tokenizer.json under `tokenizer.huggingface.json`";
            return Err(meta.fault("tokenizer.ggml.model", expected));
        }
    };
    end(meta, made).map(Some)
}

/// Gives the tokenizer its end token.
fn end(meta: Meta<'_>, tokenizer: Tokenizer) -> Result<Tokenizer> {
    let special = special_tokens(meta.file, tokenizer.vocab_size().max(1 << 24))?;
    let eos = special.eos.first().copied();
    Ok(tokenizer.with_eos(eos))
}

fn bad(path: &Path, found: String) -> ModelError {
    ModelError::file(path, "tokenizer", "one that the `tokenizers` library accepts", found, CONVERT)
}

/// The tokens, in order, each a text of its own.
fn tokens(meta: Meta<'_>) -> Result<Vec<String>> {
    const KEY: &str = "tokenizer.ggml.tokens";
    let list = meta.array(KEY, Some(ValueType::Text))?.filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| meta.fault(KEY, "an array of text, one for each token"))?;
    if list.len() > 1 << 24 {
        return Err(meta.fault(KEY, format!("at most {} tokens", 1 << 24)));
    }
    let text = |(id, bytes): (usize, &[u8])| {
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| meta.fault(KEY, format!("token {id} in UTF-8")))
    };
    list.iter_texts().enumerate().map(text).collect()
}

fn kinds(meta: Meta<'_>, count: usize) -> Result<Vec<Kind>> {
    const KEY: &str = "tokenizer.ggml.token_type";
    let Some(list) = meta.array(KEY, None)? else { return Ok(vec![Kind::Plain; count]) };
    let list = list.integers().filter(|list| list.len() == count);
    let list = list.ok_or_else(|| meta.fault(KEY, format!("{count} whole numbers")))?;
    Ok(list
        .into_iter()
        .map(|kind| match kind {
            2 | 3 => Kind::Control,
            4 => Kind::Added,
            _ => Kind::Plain,
        })
        .collect())
}

/// Parts of a tokenizer, as a `tokenizer.json` has them.
struct Parts {
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    decoder: Value,
}

fn gpt2(meta: Meta<'_>) -> Result<Tokenizer> {
    const PRE: &str = "tokenizer.ggml.pre";
    const MERGES: &str = "tokenizer.ggml.merges";
    let tokens = tokens(meta)?;
    let merges = meta.array(MERGES, None)?.ok_or_else(|| meta.fault(MERGES, "an array of text"))?;
    if merges.is_empty() && tokens.len() == 256 {
        let vocab: Value = tokens
            .iter()
            .enumerate()
            .map(|(id, token)| (token.clone(), json!(id)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false});
        if is_byte_level(
            &json!({"model": {"type": "BPE", "vocab": vocab, "merges": []}, "pre_tokenizer": byte_level}),
        ) {
            return Ok(Tokenizer::bytes());
        }
    }
    let name = meta.text(PRE)?.unwrap_or_else(|| "default".into());
    let Some(pre) = pre::named(&name) else {
        let known: Vec<&str> = pre::KNOWN.iter().flat_map(|pre| pre.names).copied().collect();
        return Err(meta.fault(PRE, format!("a cutting that is known ({})", known.join(", "))));
    };
    let vocab: tokenizers::models::bpe::Vocab =
        tokens.iter().enumerate().rev().map(|(id, token)| (token.clone(), id as u32)).collect();
    let merges = merges.iter_texts().filter_map(|merge| pair(merge, &vocab)).collect();
    let model = BPE::builder().vocab_and_merges(vocab, merges).ignore_merges(pre.whole_pieces).build();
    let model = model.map_err(|error| bad(meta.path(), error.to_string()))?;
    let split = |pattern: &&str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    let byte_level =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
    let mut list: Vec<Value> = pre.patterns.iter().map(split).collect();
    list.push(byte_level.clone());
    let parts = Parts {
        normalizer: None,
        pre_tokenizer: Some(json!({"type": "Sequence", "pretokenizers": list})),
        decoder: byte_level,
    };
    assemble(meta, model, &tokens, parts, pre.add_bos)
}

/// Both halves of a merge, where they and their sum are tokens: others can never apply.
fn pair(merge: &[u8], vocab: &tokenizers::models::bpe::Vocab) -> Option<(String, String)> {
    let merge = std::str::from_utf8(merge).ok()?;
    // The first half may be a space itself in files of other converters, hence not from the first byte on.
    let at = merge.char_indices().skip(1).find(|(_, c)| *c == ' ')?.0;
    let (a, b) = (&merge[..at], &merge[at + 1..]);
    let known = |token: &str| vocab.contains_key(token);
    (known(a) && known(b) && known(&format!("{a}{b}"))).then(|| (a.to_owned(), b.to_owned()))
}

fn llama(meta: Meta<'_>) -> Result<Tokenizer> {
    const SCORES: &str = "tokenizer.ggml.scores";
    let tokens = tokens(meta)?;
    let scores = meta.array(SCORES, None)?.and_then(|list| list.numbers());
    let scores = scores.filter(|list| list.len() == tokens.len());
    let scores = scores.ok_or_else(|| meta.fault(SCORES, format!("{} numbers", tokens.len())))?;
    let vocab: tokenizers::models::bpe::Vocab =
        tokens.iter().enumerate().rev().map(|(id, token)| (token.clone(), id as u32)).collect();
    let merges = merges_of_scores(meta, &tokens, &scores, &vocab)?;
    let unknown = special_id(meta, "tokenizer.ggml.unknown_token_id", tokens.len())?.unwrap_or(0);
    let model = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .unk_token(tokens[unknown as usize].clone())
        .fuse_unk(true)
        .byte_fallback(true)
        .build()
        .map_err(|error| bad(meta.path(), error.to_string()))?;
    let space = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let prefix = meta.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let mut normalizers = vec![];
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefix {
        normalizers.push(json!({"type": "Prepend", "prepend": "▁"}));
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    normalizers.push(space);
    let parts = Parts {
        normalizer: Some(json!({"type": "Sequence", "normalizers": normalizers})),
        pre_tokenizer: None,
        decoder: json!({"type": "Sequence", "decoders": decoders}),
    };
    assemble(meta, model, &tokens, parts, true)
}

/// SentencePiece merges the two neighbours whose union has the highest score. As a list of merges: every way to cut a token
/// into two tokens, by score, the leftmost cut of one token first.
fn merges_of_scores(
    meta: Meta<'_>,
    tokens: &[String],
    scores: &[f64],
    vocab: &tokenizers::models::bpe::Vocab,
) -> Result<Vec<(String, String)>> {
    let mut cuts: Vec<(u32, u16)> = vec![];
    for (id, token) in tokens.iter().enumerate() {
        if token.len() > LONGEST {
            continue;
        }
        for (at, _) in token.char_indices().skip(1) {
            if vocab.contains_key(&token[..at]) && vocab.contains_key(&token[at..]) {
                cuts.push((id as u32, at as u16));
            }
        }
        if cuts.len() > MOST_MERGES * tokens.len() {
            let expected = format!("tokens with at most {MOST_MERGES} merges each");
            return Err(meta.fault("tokenizer.ggml.tokens", expected));
        }
    }
    let key = |(id, at): (u32, u16)| {
        let (a, b) = tokens[id as usize].split_at(usize::from(at));
        (vocab.get(a).copied(), vocab.get(b).copied())
    };
    cuts.sort_by(|&a, &b| {
        scores[b.0 as usize].total_cmp(&scores[a.0 as usize]).then_with(|| key(a).cmp(&key(b)))
    });
    let text = |(id, at): (u32, u16)| {
        let (a, b) = tokens[id as usize].split_at(usize::from(at));
        (a.to_owned(), b.to_owned())
    };
    Ok(cuts.into_iter().map(text).collect())
}

fn special_id(meta: Meta<'_>, key: &str, count: usize) -> Result<Option<u32>> {
    match meta.size(key, u64::from(u32::MAX))? {
        Some(id) if id >= count as u64 => Err(meta.fault(key, format!("an id below {count}"))),
        id => Ok(id.map(|id| id as u32)),
    }
}

fn assemble(
    meta: Meta<'_>,
    model: BPE,
    tokens: &[String],
    parts: Parts,
    default_bos: bool,
) -> Result<Tokenizer> {
    let wrong = |error: serde_json::Error| bad(meta.path(), error.to_string());
    let mut inner = tokenizers::Tokenizer::new(model);
    if let Some(value) = parts.normalizer {
        inner.with_normalizer(Some(serde_json::from_value::<NormalizerWrapper>(value).map_err(wrong)?));
    }
    if let Some(value) = parts.pre_tokenizer {
        inner.with_pre_tokenizer(Some(serde_json::from_value::<PreTokenizerWrapper>(value).map_err(wrong)?));
    }
    inner.with_decoder(Some(serde_json::from_value::<DecoderWrapper>(parts.decoder).map_err(wrong)?));
    let kinds = kinds(meta, tokens.len())?;
    let mut added = vec![];
    for (kind, token) in kinds.iter().zip(tokens) {
        if *kind != Kind::Plain && !token.is_empty() {
            added.push(AddedToken::from(token.clone(), *kind == Kind::Control).normalized(false));
        }
    }
    // One call for both kinds: each token carries its own, and each call builds the matcher anew.
    inner.add_tokens(&added);
    let ends = |flag: &str, default: bool, id: &str, default_id: u64| -> Result<Option<u32>> {
        if !meta.flag(&format!("tokenizer.ggml.{flag}"))?.unwrap_or(default) {
            return Ok(None);
        }
        let id = special_id(meta, &format!("tokenizer.ggml.{id}"), tokens.len())?;
        Ok(id.or_else(|| u32::try_from(default_id).ok().filter(|id| (*id as usize) < tokens.len())))
    };
    let is_llama = meta.text("tokenizer.ggml.model")?.as_deref() == Some("llama");
    let bos = ends("add_bos_token", default_bos, "bos_token_id", if is_llama { 1 } else { 11 })?;
    let eos = ends("add_eos_token", false, "eos_token_id", if is_llama { 2 } else { 11 })?;
    if bos.is_some() || eos.is_some() {
        let template = template(tokens, bos, eos);
        let processor = serde_json::from_value::<PostProcessorWrapper>(template).map_err(wrong)?;
        inner.with_post_processor(Some(processor));
    }
    Ok(Tokenizer::from_library(inner))
}

/// Puts the first and last tokens around a text.
fn template(tokens: &[String], bos: Option<u32>, eos: Option<u32>) -> Value {
    let special = |id: u32| json!({"SpecialToken": {"id": tokens[id as usize], "type_id": 0}});
    let text = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
    let around = |name: &str| -> Vec<Value> {
        bos.map(special).into_iter().chain([text(name)]).chain(eos.map(special)).collect()
    };
    let pair: Vec<Value> = around("A").into_iter().chain(around("B")).collect();
    let known: serde_json::Map<String, Value> = [bos, eos]
        .into_iter()
        .flatten()
        .map(|id| {
            let token = &tokens[id as usize];
            (token.clone(), json!({"id": token, "ids": [id], "tokens": [token]}))
        })
        .collect();
    json!({"type": "TemplateProcessing", "single": around("A"), "pair": pair, "special_tokens": known})
}
