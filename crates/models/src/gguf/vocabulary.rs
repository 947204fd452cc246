//! The metadata of a tokenizer, from its `tokenizer.json`: what llama.cpp reads, and the file itself under
//! `tokenizer.huggingface.json`, which is what is read back here, so that nothing depends on the translation.

use std::collections::BTreeMap;

use barewire::gguf::{Array, Value as Meta};
use serde_json::Value;

use super::pre;
use super::tokenizer::JSON;

/// What llama.cpp calls the kinds of tokens.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const ADDED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

/// Keys and values, and what the user should know.
pub(super) type Translated = (Vec<(String, Meta<'static>)>, Vec<String>);

/// The keys of a tokenizer for a model of `vocab_size` tokens; without `file`, those of a model that has none.
pub(super) fn metadata(
    file: Option<&str>,
    vocab_size: usize,
    bos: Option<u32>,
    eos: &[u32],
    pad: Option<u32>,
) -> Translated {
    let mut list = vec![];
    let mut notes = vec![];
    let parsed = file.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let translated = parsed.as_ref().and_then(|file| translate(file, vocab_size, &mut list, &mut notes));
    if translated.is_none() {
        list = vec![("tokenizer.ggml.model".into(), Meta::text("none"))];
        if file.is_some() {
            notes.push("llama.cpp has no form of this tokenizer: it will read the file without one".into());
        }
    }
    let mut id = |name: &str, id: Option<u32>| {
        list.extend(id.map(|id| (format!("tokenizer.ggml.{name}_token_id"), Meta::U32(id))));
    };
    id("bos", bos);
    for (name, token) in ["eos", "eot", "eom"].into_iter().zip(eos) {
        id(name, Some(*token));
    }
    id("padding", pad);
    if let Some(file) = file {
        list.push((JSON.into(), Meta::text(file)));
    }
    (list, notes)
}

fn translate(
    file: &Value,
    vocab_size: usize,
    list: &mut Vec<(String, Meta<'static>)>,
    notes: &mut Vec<String>,
) -> Option<()> {
    let model = file.get("model")?;
    if model.get("type")?.as_str()? != "BPE" {
        return None;
    }
    let merges: Vec<String> = model.get("merges")?.as_array()?.iter().map(merge).collect::<Option<_>>()?;
    let kind = if is_byte_level(file) {
        "gpt2"
    } else if model.get("byte_fallback").and_then(Value::as_bool) == Some(true) {
        "llama"
    } else {
        return None;
    };
    let mut tokens: BTreeMap<u64, (&str, i32)> = BTreeMap::new();
    for (token, id) in model.get("vocab")?.as_object()? {
        let byte = kind == "llama" && token.len() == 6 && token.starts_with("<0x");
        tokens.insert(id.as_u64()?, (token, if byte { BYTE } else { NORMAL }));
    }
    for added in file.get("added_tokens").and_then(Value::as_array).into_iter().flatten() {
        let special = added.get("special").and_then(Value::as_bool).unwrap_or(false);
        let kind = if special { CONTROL } else { ADDED };
        tokens.insert(added.get("id")?.as_u64()?, (added.get("content")?.as_str()?, kind));
    }
    if tokens.last_key_value().is_some_and(|(id, _)| *id >= vocab_size as u64) {
        notes.push(format!("the tokenizer has ids beyond the model's {vocab_size}: they are left out"));
    }
    let at = |id: u64| {
        tokens.get(&id).map_or_else(|| (format!("[PAD{id}]"), UNUSED), |(t, kind)| ((*t).to_owned(), *kind))
    };
    let (texts, kinds): (Vec<String>, Vec<i32>) = (0..vocab_size as u64).map(at).unzip();
    let mut add = |key: &str, value: Meta<'static>| list.push((format!("tokenizer.ggml.{key}"), value));
    add("model", Meta::text(kind));
    if kind == "gpt2" {
        let whole = model.get("ignore_merges").and_then(Value::as_bool).unwrap_or(false);
        let patterns = patterns(file);
        let texts: Option<Vec<&str>> =
            patterns.as_ref().map(|list| list.iter().map(String::as_str).collect());
        // Without merges there is nothing that a cutting could change.
        let known = match texts {
            _ if merges.is_empty() => pre::named("gpt-2"),
            Some(texts) => pre::matching(&texts, whole),
            None => None,
        };
        if known.is_none() {
            notes.push("llama.cpp has no name for how this tokenizer cuts texts: it will cut them in its default way".into());
        }
        add("pre", Meta::text(known.map_or("default", |pre| pre.names[0])));
        add("merges", Meta::Array(Array::texts(&merges)));
    } else {
        add("pre", Meta::text("default"));
        add("scores", Meta::Array(Array::f32s(&scores(&texts, &merges))));
        let prefix = file.get("normalizer").is_some_and(|n| n.to_string().contains("\"Prepend\""));
        add("add_space_prefix", Meta::Bool(prefix));
    }
    add("tokens", Meta::Array(Array::texts(&texts)));
    add("token_type", Meta::Array(Array::i32s(&kinds)));
    let [first, last] = ends(file);
    add("add_bos_token", Meta::Bool(first));
    add("add_eos_token", Meta::Bool(last));
    Some(())
}

/// "a b" or ["a", "b"].
fn merge(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(pair) => match pair.as_slice() {
            [a, b] => Some(format!("{} {}", a.as_str()?, b.as_str()?)),
            _ => None,
        },
        _ => None,
    }
}

/// The steps of the pre-tokenizer.
fn steps(file: &Value) -> Vec<&Value> {
    let Some(pre) = file.get("pre_tokenizer").filter(|pre| !pre.is_null()) else { return vec![] };
    match pre.get("pretokenizers").and_then(Value::as_array) {
        Some(list) => list.iter().collect(),
        None => vec![pre],
    }
}

fn kind(step: &Value) -> &str {
    step.get("type").and_then(Value::as_str).unwrap_or("")
}

fn is_byte_level(file: &Value) -> bool {
    steps(file).into_iter().any(|step| kind(step) == "ByteLevel")
}

/// The expressions that cut; nothing where a step is of another kind.
fn patterns(file: &Value) -> Option<Vec<String>> {
    let mut list = vec![];
    for step in steps(file) {
        let flag = |key: &str, default: bool| step.get(key).and_then(Value::as_bool).unwrap_or(default);
        match kind(step) {
            "Split"
                if step.get("behavior").and_then(Value::as_str) == Some("Isolated")
                    && !flag("invert", false) =>
            {
                list.push(step.pointer("/pattern/Regex")?.as_str()?.to_owned());
            }
            "Digits" if flag("individual_digits", false) => list.push(r"\p{N}".into()),
            "ByteLevel" if flag("add_prefix_space", true) => return None,
            "ByteLevel" if flag("use_regex", true) => list.push(pre::named("gpt-2")?.patterns[0].into()),
            "ByteLevel" => {}
            _ => return None,
        }
    }
    Some(list)
}

/// Scores that make SentencePiece merge in the order of a list of merges.
fn scores(tokens: &[String], merges: &[String]) -> Vec<f32> {
    let mut ranks: BTreeMap<String, usize> = BTreeMap::new();
    for (rank, merge) in merges.iter().enumerate() {
        ranks.entry(merge.replacen(' ', "", 1)).or_insert(rank);
    }
    // Numbers up to 2^24 are whole in f32; a vocabulary has fewer.
    tokens.iter().map(|token| ranks.get(token).map_or(0.0, |rank| -(*rank as f32) - 1.0)).collect()
}

/// Whether a token is put before and after every text.
fn ends(file: &Value) -> [bool; 2] {
    let Some(post) = file.get("post_processor").filter(|post| !post.is_null()) else { return [false; 2] };
    let list = post.get("processors").and_then(Value::as_array);
    let list = list.map_or_else(|| vec![post], |list| list.iter().collect());
    let single = list.into_iter().find_map(|step| step.get("single").and_then(Value::as_array));
    let special = |piece: Option<&Value>| piece.is_some_and(|piece| piece.get("SpecialToken").is_some());
    single.map_or([false; 2], |pieces| [special(pieces.first()), special(pieces.last())])
}
