//! Every decoder on the committed corpus and on mutations of it: what `cargo xtask fuzz` looks for with a nightly
//! compiler and time, held here with neither.
//!
//! The decoders' obligations are `fuzz/src/lib.rs`, included as it is.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

// A library of its own, for which these items are public.
#[allow(unreachable_pub)]
#[path = "../../../fuzz/src/lib.rs"]
mod fuzz;

/// Mutations of each corpus file, at most; large corpora share [`TOTAL`].
const EACH: usize = 3000;
/// Mutations for one decoder.
const TOTAL: usize = 200_000;
/// Larger files would be slow and find nothing that small ones do not.
const LARGEST: usize = 64 << 10;

/// Words that decoders take for sizes, and what breaks a structure.
const WORDS: &[&[u8]] = &[
    b"18446744073709551615",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"4294967296",
    b"1e400",
    b"-1",
    b"nan",
    b"null",
    b"\"",
    b"\\u{110000}",
    b"[",
    b"{",
    b"}",
    b"%0#1",
    b"B*B",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x00\x00\x00\x00\x00\x00\x00\x80",
    b"\x00\x00\x00\x00\x01\x00\x00\x00",
    b"\xf5\x00",
];

/// SplitMix64: mutations are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// One to four changes: bits, bytes, words over or between others, runs cut out, doubled, or taken from another file.
fn mutate(data: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..1 + random.below(4) {
        let at = random.below(data.len() + 1);
        let end = (at + 1 + random.below(16)).min(data.len());
        match random.below(9) {
            0 if at < data.len() => data[at] ^= 1 << random.below(8),
            1 if at < data.len() => data[at] = random.next() as u8,
            2 => data.truncate(at),
            3 => drop(data.drain(at..end)),
            4 => {
                let run = data[at..end].to_vec();
                data.splice(at..at, run);
            }
            5 | 6 => {
                let word = WORDS[random.below(WORDS.len())];
                let end = (at + word.len()).min(data.len());
                let range = if random.below(2) == 0 { at..end } else { at..at };
                data.splice(range, word.iter().copied());
            }
            _ if !other.is_empty() => {
                let from = random.below(other.len());
                let to = (from + 1 + random.below(64)).min(other.len());
                data.splice(at..end, other[from..to].iter().copied());
            }
            _ => {}
        }
    }
}

/// The committed inputs of a decoder, sorted by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

fn feed(target: &str, what: &str, data: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| fuzz::run(target, data))).is_err() {
        let path = std::env::temp_dir().join(format!("fidelity-{target}-{}", std::process::id()));
        fs::write(&path, data).unwrap();
        panic!("{target}: {what} broke the decoder; the input is in {}", path.display());
    }
}

fn hold(target: &str) {
    let files = corpus(target);
    assert!(files.len() >= 10, "the corpus of {target} has only {} files", files.len());
    let rounds = EACH.min(TOTAL / files.len());
    let mut random = Random(files.len() as u64);
    for (name, data) in &files {
        assert!(data.len() <= LARGEST, "{target}/{name} is too large for a corpus");
        feed(target, name, data);
        for round in 0..rounds {
            let mut data = data.clone();
            mutate(&mut data, &files[random.below(files.len())].1, &mut random);
            feed(target, &format!("mutation {round} of {name}"), &data);
        }
    }
    println!("{target}: {} files, {} mutations", files.len(), files.len() * rounds);
}

#[test]
fn bundles() {
    hold("bundle");
}

#[test]
fn configurations() {
    hold("config");
}

#[test]
fn expressions() {
    hold("expression");
}

#[test]
fn gguf_files() {
    hold("gguf");
}

#[test]
fn gguf_vocabularies() {
    hold("gguf_vocabulary");
}

#[test]
fn graph_texts() {
    hold("graph_text");
}

#[test]
fn tensor_files() {
    hold("safetensors");
}

#[test]
fn every_decoder_has_a_test_here_and_a_target() {
    let here = include_str!("hostile_input.rs");
    let manifest = include_str!("../../../fuzz/Cargo.toml");
    for (name, _) in fuzz::TARGETS {
        assert!(here.contains(&format!("hold(\"{name}\")")), "no test for {name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "no target for {name}");
    }
}

#[test]
fn a_decoder_that_asks_for_too_much_is_noticed() {
    let result = catch_unwind(|| fuzz::limit("nothing", &[0; 10], |_| drop(vec![0u8; 2 << 20])));
    assert!(result.is_err());
    fuzz::limit("nothing", &[0; 10], |_| drop(vec![0u8; 1 << 19]));
}
