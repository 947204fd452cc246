//! Token ids of one side of the split, as compact as the vocabulary allows.

use std::ops::Range;

use crate::error::{Result, TrainError};

/// Token ids, two bytes each where the vocabulary allows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ids {
    /// Vocabularies of at most 65,536 entries.
    U16(Vec<u16>),
    /// Larger ones.
    U32(Vec<u32>),
}

impl Ids {
    /// An empty list for a vocabulary of this size.
    pub fn for_vocab(vocab: usize) -> Self {
        if vocab <= 1 << 16 { Ids::U16(Vec::new()) } else { Ids::U32(Vec::new()) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Ids::U16(ids) => ids.len(),
            Ids::U32(ids) => ids.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends ids; a list of two-byte ids widens itself when one does not fit.
    pub fn extend(&mut self, new: &[u32]) {
        if let Ids::U16(ids) = self {
            if new.iter().all(|&id| id <= u32::from(u16::MAX)) {
                ids.extend(new.iter().map(|&id| id as u16));
                return;
            }
            *self = Ids::U32(ids.iter().map(|&id| u32::from(id)).collect());
        }
        if let Ids::U32(ids) = self {
            ids.extend_from_slice(new);
        }
    }

    /// Appends the ids at `range` to `out`. A range past the end is cut.
    pub fn copy(&self, range: Range<usize>, out: &mut Vec<u32>) {
        let range = range.start.min(self.len())..range.end.min(self.len());
        match self {
            Ids::U16(ids) => out.extend(ids[range].iter().map(|&id| u32::from(id))),
            Ids::U32(ids) => out.extend_from_slice(&ids[range]),
        }
    }

    /// The little-endian bytes, as the cache holds them.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Ids::U16(ids) => ids.iter().flat_map(|id| id.to_le_bytes()).collect(),
            Ids::U32(ids) => ids.iter().flat_map(|id| id.to_le_bytes()).collect(),
        }
    }

    /// Bytes per id: 2 or 4.
    pub fn width(&self) -> usize {
        match self {
            Ids::U16(_) => 2,
            Ids::U32(_) => 4,
        }
    }
}

/// The documents of one side, tokenised and joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSet {
    /// "training" or "validation", for messages.
    pub part: &'static str,
    /// All documents one after the other, each followed by the end token if there is one.
    pub ids: Ids,
    /// Where each document begins.
    pub starts: Vec<usize>,
    /// How many bytes of text these tokens stand for.
    pub bytes: u64,
}

impl TokenSet {
    /// A set without documents.
    pub fn empty(part: &'static str, vocab: usize) -> Self {
        TokenSet { part, ids: Ids::for_vocab(vocab), starts: Vec::new(), bytes: 0 }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Number of documents.
    pub fn documents(&self) -> usize {
        self.starts.len()
    }

    /// The tokens of document `index`, its end token included.
    pub fn document(&self, index: usize) -> Range<usize> {
        let end = self.starts.get(index + 1).copied().unwrap_or(self.len());
        self.starts.get(index).copied().unwrap_or(end)..end
    }

    /// Text bytes per token: what turns nats per token into bits per byte.
    pub fn bytes_per_token(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.bytes as f64 / self.len() as f64 }
    }

    /// A checksum of the tokens and the documents' places, by which a checkpoint knows its data.
    pub fn fingerprint(&self) -> u32 {
        let mut crc = 0;
        let mut block = Vec::with_capacity(4096);
        for start in (0..self.len()).step_by(4096) {
            block.clear();
            self.ids.copy(start..start + 4096, &mut block);
            // As u32 whatever the width, so that the fingerprint is of the text and not of its storage.
            let bytes: Vec<u8> = block.iter().flat_map(|id| id.to_le_bytes()).collect();
            crc = crc32c::crc32c_append(crc, &bytes);
        }
        self.starts.iter().fold(crc, |crc, &start| crc32c::crc32c_append(crc, &(start as u64).to_le_bytes()))
    }

    /// Checks that every id is in the vocabulary of the model.
    ///
    /// # Errors
    /// [`TrainError::TokenRange`] with the first id that is not, and its place.
    pub fn check_vocab(&self, vocab: usize) -> Result<()> {
        let outside = |id: u32| id as usize >= vocab;
        let found = match &self.ids {
            Ids::U16(ids) => ids.iter().position(|&id| outside(id.into())).map(|at| (at, u32::from(ids[at]))),
            Ids::U32(ids) => ids.iter().position(|&id| outside(id)).map(|at| (at, ids[at])),
        };
        match found {
            Some((position, id)) => Err(TrainError::TokenRange { part: self.part, id, position, vocab }),
            None => Ok(()),
        }
    }

    /// Checks that one sequence of `needed` tokens fits.
    pub(super) fn check_length(&self, needed: usize) -> Result<()> {
        if self.len() >= needed {
            return Ok(());
        }
        let remedy = match self.part {
            "training" => "add text, or shorten `data.seq_len`",
            _ => {
                "hold back more text (`[data.validation]`), shorten `data.seq_len`, or set \
                 `data.validation.kind = \"none\"`"
            }
        };
        Err(TrainError::TooShort { part: self.part, found: self.len(), needed, remedy })
    }
}
