//! What the model will see: the first sequences, decoded, and the size of the text.

use std::fmt;

use crate::config::TrainConfig;
use crate::error::Result;

use super::corpus::Corpus;

/// The answer to "is this the text I meant?", before hours are spent on it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Preview {
    /// Files read.
    pub files: usize,
    /// Documents to train on.
    pub documents: usize,
    /// Bytes of text to train on.
    pub bytes: u64,
    /// Tokens to train on.
    pub train_tokens: usize,
    /// Tokens held back.
    pub validation_tokens: usize,
    /// Bytes of text per token.
    pub bytes_per_token: f64,
    /// Size of the tokenizer's vocabulary.
    pub vocab_size: usize,
    /// How many of its entries occur.
    pub vocab_used: usize,
    /// Tokens per sequence.
    pub seq_len: usize,
    /// Sequences in one pass over the text.
    pub sequences_per_epoch: usize,
    /// How often the configured steps go over the text.
    pub epochs: f64,
    /// The first sequences, decoded, special tokens spelled out.
    pub first: Vec<String>,
    /// What was passed over, how the split was made.
    pub notes: Vec<String>,
}

impl Preview {
    /// Looks at a corpus as the run of `config` would, and shows the first `sequences` of its first batch.
    pub fn new(corpus: &Corpus, config: &TrainConfig, sequences: usize) -> Result<Self> {
        let mut sampler = corpus.sampler(&config.data)?;
        let batch = sampler.next_batch(sequences);
        let mut used = vec![false; corpus.tokenizer.vocab_size()];
        let mut ids = Vec::new();
        for start in (0..corpus.train.len()).step_by(1 << 16) {
            ids.clear();
            corpus.train.ids.copy(start..start + (1 << 16), &mut ids);
            for &id in &ids {
                if let Some(slot) = used.get_mut(id as usize) {
                    *slot = true;
                }
            }
        }
        let per_step = config.train.batch_size * config.train.accumulate * config.data.seq_len;
        let train = &corpus.train;
        Ok(Preview {
            files: corpus.files,
            documents: train.documents(),
            bytes: train.bytes,
            train_tokens: train.len(),
            validation_tokens: corpus.validation.len(),
            bytes_per_token: train.bytes_per_token(),
            vocab_size: used.len(),
            vocab_used: used.iter().filter(|&&used| used).count(),
            seq_len: config.data.seq_len,
            sequences_per_epoch: sampler.sequences_per_epoch(),
            epochs: config.train.steps as f64 * per_step as f64 / train.len() as f64,
            first: batch.rows().map(|row| corpus.tokenizer.decode_verbatim(row)).collect(),
            notes: corpus.notes.clone(),
        })
    }
}

impl fmt::Display for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "files              {}", self.files)?;
        writeln!(f, "documents          {}", self.documents)?;
        writeln!(f, "training tokens    {} ({} bytes of text)", self.train_tokens, self.bytes)?;
        writeln!(f, "validation tokens  {}", self.validation_tokens)?;
        writeln!(f, "bytes per token    {:.3}", self.bytes_per_token)?;
        writeln!(f, "vocabulary         {} of {} entries occur", self.vocab_used, self.vocab_size)?;
        writeln!(f, "sequences          {} of {} tokens per epoch", self.sequences_per_epoch, self.seq_len)?;
        writeln!(f, "epochs             {:.3} in this run", self.epochs)?;
        for note in &self.notes {
            writeln!(f, "note               {note}")?;
        }
        for (number, text) in self.first.iter().enumerate() {
            writeln!(f, "\nsequence {number}:")?;
            // Escaped control characters: a preview must not move the reader's cursor.
            for line in text.split('\n') {
                let shown: String =
                    line.chars().map(|c| if c.is_control() && c != '\t' { '\u{FFFD}' } else { c }).collect();
                writeln!(f, "  | {shown}")?;
            }
        }
        Ok(())
    }
}
