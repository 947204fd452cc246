//! What every decoder owes to hostile bytes: a value or an error, never a panic, and memory in proportion to the
//! input.
//!
//! One function for each decoder feeds it bytes and checks what it returns. They run in two places: the libFuzzer
//! targets in `fuzz_targets`, and the test `crates/train/tests/hostile_input.rs`, which includes this file and
//! runs the committed corpus and mutations of it with a stable compiler.

mod allocation;
mod bundle;
mod config;
mod expression;
mod gguf;
mod graph_text;
mod safetensors;

/// Every decoder by the name of its target and of its folder in `fuzz/corpus`.
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("bundle", bundle::check),
    ("config", config::check),
    ("expression", expression::check),
    ("gguf", gguf::check),
    ("gguf_vocabulary", gguf::vocabulary),
    ("graph_text", graph_text::check),
    ("safetensors", safetensors::check),
];

/// Bytes that a decoder may hold at once, whatever the input.
const ALLOWANCE: usize = 1 << 20;
/// The same for a tokenizer: tables of Unicode's letters behind its regular expressions, and a cache of words.
const TOKENIZER: usize = 64 << 20;
/// Bytes that a decoder may hold at once for each byte of input: a JSON value takes 72 bytes and may be two bytes of
/// text, lists grow by doubling, and some checks hold a value and its copy.
const PER_BYTE: usize = 512;

/// Feeds `data` to the decoder of that name.
///
/// # Panics
/// If the decoder does not keep what it owes, or there is none of that name.
pub fn run(target: &str, data: &[u8]) {
    match TARGETS.iter().find(|(name, _)| *name == target) {
        Some((_, check)) => limit(target, data, check),
        None => panic!("there is no decoder `{target}`"),
    }
}

/// Runs `check` on `data` and sees to it that it holds no more memory than an input of that length may cost.
///
/// # Panics
/// If it does.
pub fn limit(target: &str, data: &[u8], check: impl Fn(&[u8])) {
    let ((), peak) = allocation::peak(|| check(data));
    let allowance = if target == "gguf_vocabulary" { TOKENIZER } else { ALLOWANCE };
    let limit = allowance + PER_BYTE * data.len();
    assert!(peak <= limit, "{target} held {peak} bytes for an input of {}, allowed are {limit}", data.len());
}
