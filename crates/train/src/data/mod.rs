//! From files to batches.
//!
//! ```text
//! sources ──► files ──► documents ──► train | validation ──► token ids ──► sampler ──► batches
//!            (source)    (split)                              (corpus, cache)
//! ```
//! Everything is a function of the files, the configuration and a seed: two runs see the same sequences in the
//! same order, and a sampler's position is a few numbers that a checkpoint holds. The tokenised text is held in
//! memory, at two bytes a token for vocabularies up to 65,536.

mod cache;
mod corpus;
mod preview;
mod sampler;
mod source;
mod split;
mod tokens;
mod windows;

pub use corpus::{Corpus, load_tokenizer};
pub use preview::Preview;
pub use sampler::{Batch, Sampler, SamplerState};
pub use source::{Discovered, discover};
pub use tokens::{Ids, TokenSet};
pub use windows::{validation_batches, validation_offsets};

#[cfg(test)]
mod tests;
