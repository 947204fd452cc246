//! Files that lie. Memory is held by the fuzz target of the same reader (`fuzz/src/gguf.rs`).

use barewire::gguf::Gguf;

/// A file piece by piece.
#[derive(Clone)]
struct Raw(Vec<u8>);

impl Raw {
    fn new(tensors: u64, keys: u64) -> Self {
        Self(b"GGUF".to_vec()).u32(3).u64(tensors).u64(keys)
    }

    fn u32(mut self, x: u32) -> Self {
        self.0.extend(x.to_le_bytes());
        self
    }

    fn u64(mut self, x: u64) -> Self {
        self.0.extend(x.to_le_bytes());
        self
    }

    fn text(self, text: &str) -> Self {
        let mut this = self.u64(text.len() as u64);
        this.0.extend(text.as_bytes());
        this
    }

    fn zeros(mut self, count: usize) -> Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }

    /// The entry of a tensor of one row.
    fn tensor(self, name: &str, kind: u32, columns: u64, offset: u64) -> Self {
        self.text(name).u32(1).u64(columns).u32(kind).u64(offset)
    }

    #[track_caller]
    fn refused(&self, words: &[&str]) {
        let error = Gguf::from_bytes(&self.0).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{error:?} lacks {word:?}");
        }
    }
}

#[test]
fn headers() {
    Raw(vec![]).refused(&["empty file", "name a GGUF file"]);
    Raw(b"GGML\x03\0\0\0".to_vec()).refused(&["47 47 4d 4c", "47 47 55 46"]);
    Raw(b"GGUF\x01\0\0\0".to_vec()).zeros(16).refused(&["2 or 3", "2023"]);
    Raw(b"GGUF\0\0\0\x03".to_vec()).zeros(16).refused(&[
        "little-endian",
        "big-endian one, of version 3",
        "convert",
    ]);
    Raw(b"GGUF\x04\0\0\0".to_vec()).zeros(16).refused(&["newer version"]);
    Raw(b"GGUF\x03\0\0\0".to_vec()).zeros(9).refused(&["metadata keys", "8 bytes"]);
    assert_eq!(Gguf::from_bytes(&Raw::new(0, 0).0).unwrap().tensors().len(), 0);
}

#[test]
fn counts_and_lengths_beyond_the_file() {
    Raw::new(u64::MAX, 0).refused(&["number of tensors", "18446744073709551615"]);
    Raw::new(0, 1 << 40).refused(&["metadata keys", "at most 0"]);
    Raw::new(0, 1).u64(u64::MAX).zeros(16).refused(&["key 0", "at most 65535"]);
    Raw::new(0, 1).u64(60000).zeros(16).refused(&["key 0", "60000 bytes"]);
    let key = Raw::new(0, 1).text("key");
    key.clone().u32(8).u64(u64::MAX).zeros(8).refused(&["`key`", "to the end of the file"]);
    key.clone().u32(9).u32(0).u64(u64::MAX).zeros(8).refused(&["`key`", "for which there are bytes"]);
    key.clone().u32(9).u32(10).u64(1 << 61).zeros(8).refused(&["`key`"]);
    key.clone().u32(9).u32(8).u64(3).zeros(8).refused(&["`key`", "at most 1"]);
    key.clone().u32(9).u32(9).u64(2).zeros(12).refused(&["`key`", "at most 1"]);
    key.clone().u32(13).zeros(8).refused(&["value type from 0 to 12", "13"]);
    key.clone().u32(9).u32(99).u64(0).refused(&["value type", "99"]);
    let mut deep = key.u32(9);
    for _ in 0..8 {
        deep = deep.u32(9).u64(1);
    }
    deep.u32(0).u64(0).refused(&["up to 4 deep"]);
}

#[test]
fn names_and_texts() {
    let pair = |raw: Raw, key: &str| raw.text(key).u32(0).zeros(1);
    pair(pair(Raw::new(0, 2), "a"), "a").refused(&["metadata `a`", "twice"]);
    let mut raw = Raw::new(0, 1).u64(2);
    raw.0.extend([0xff, 0xff]);
    raw.u32(0).zeros(9).refused(&["UTF-8"]);
    let mut raw = Raw::new(0, 1).text("k").u32(8).u64(1);
    raw.0.push(0xff);
    raw.zeros(9).refused(&["`k`", "UTF-8"]);
    let twice = Raw::new(2, 0).tensor("w", 0, 8, 0).tensor("w", 0, 8, 32).zeros(100);
    twice.refused(&["tensor `w`", "the name once"]);
}

#[test]
fn places_and_sizes() {
    let one = |kind, columns, offset| Raw::new(1, 0).tensor("w", kind, columns, offset);
    assert_eq!(Gguf::from_bytes(&one(0, 8, 0).zeros(7 + 32).0).unwrap().tensor("w").unwrap().bytes.len(), 32);
    one(0, 8, 0).zeros(7 + 31).refused(&["`w`", "32 bytes at 0", "31 bytes"]);
    one(0, 8, 0).refused(&["tensor data", "multiple of 32"]);
    one(0, 8, 4).zeros(100).refused(&["`w`", "multiple of 32", "4"]);
    one(0, 8, !31).zeros(100).refused(&["`w`", "18446744073709551584"]);
    one(0, u64::MAX, 0).zeros(100).refused(&["`w`"]);
    one(28, 1 << 61, 0).zeros(100).refused(&["`w`", "2^64"]);
    one(0, 0, 0).zeros(100).refused(&["`w`", "at least 1"]);
    one(35, 255, 0).zeros(100).refused(&["`w`", "blocks of 256", "TQ2_0"]);
    one(36, 64, 0).zeros(100).refused(&["multiple of 128", "I2_S"]);
    one(38, 256, 0).zeros(100).refused(&["TL1", "every machine"]);
    one(77, 8, 0).zeros(100).refused(&["number 77", "newer"]);
    Raw::new(1, 0).text("w").u32(5).zeros(100).refused(&["at most 4 sizes", "5"]);
    Raw::new(2, 0)
        .tensor("a", 0, 16, 0)
        .tensor("b", 0, 8, 32)
        .zeros(200)
        .refused(&["`b`", "behind `a`, which ends at 64"]);
    for alignment in [0, 3, 1 << 30] {
        Raw::new(0, 1).text("general.alignment").u32(4).u32(alignment).refused(&["power of two"]);
    }
    Raw::new(0, 1).text("general.alignment").u32(7).zeros(1).refused(&["power of two", "bool"]);
}

#[test]
fn every_prefix_and_every_flipped_byte_of_a_file() {
    let golden = include_bytes!("golden.gguf");
    for end in 0..1100 {
        let _ = Gguf::from_bytes(&golden[..end]);
    }
    for at in 0..1000 {
        for bits in [1, 0x80, 0xff] {
            let mut bytes = golden.to_vec();
            bytes[at] ^= bits;
            if let Ok(file) = Gguf::from_bytes(&bytes) {
                file.metadata().for_each(|(_, value)| drop(format!("{value:?}")));
                assert!(file.tensors().map(|tensor| tensor.bytes.len()).sum::<usize>() < bytes.len());
            }
        }
    }
}
