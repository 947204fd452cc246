//! Tasks that show what an architecture can learn: sequences that a generator makes, and digits.
//!
//! Every task is a language model's: an example is a row of token ids and, for each place, the token that is to be named there
//! or [`IGNORE`]. As everywhere, position t is asked for the label of position t + 1, so a row has one token more than its
//! text. **Accuracy** is the share of asked places whose most likely token is the right one.
//!
//! | task | asks for | source |
//! |---|---|---|
//! | `selective_copying` | tokens scattered among noise, in order, at the end | Gu and Dao 2023, arXiv 2312.00752, 4.1.1 |
//! | `induction` | what followed a special token when it was seen before | as above, 4.1.2 |
//! | `mqar` | the values of keys that are asked for again, many in one row | Arora et al. 2023, arXiv 2312.04927 |
//! | `parity` | whether the number of ones so far is odd | Beck et al. 2024, arXiv 2405.04517 |
//! | `listops` | the value of a nested expression of digits | Nangia and Bowman 2018, arXiv 1804.06028 |
//! | `digits` | the digit that 64 pixels show, one after the other | the optical digits of the UCI repository |
//!
//! Example number k of a seed is always the same, so a run that resumes sees what the uninterrupted one would have seen, and
//! held-out examples are those of another stream of numbers (`digits`: other images).

mod digits;
mod listops;
mod synthetic;

use std::fmt;
use std::sync::Arc;

use crate::config::TaskConfig;
use crate::data::Batch;
use crate::error::{Result, TrainError};
use crate::random::Rng;

pub use graph::ops::loss::IGNORE;

/// A row of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Example {
    /// Token ids.
    pub ids: Vec<u32>,
    /// For each place the token that the place before it is asked for, or [`IGNORE`].
    pub labels: Vec<i64>,
}

impl Example {
    /// Appends a token that nothing is asked for.
    fn push(&mut self, id: u32) {
        self.ask(id, IGNORE);
    }

    /// Appends a token; the place before it is asked for `label`.
    fn ask(&mut self, id: u32, label: i64) {
        self.ids.push(id);
        self.labels.push(label);
    }
}

/// Which side of the data an example is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What is learned from.
    Training,
    /// What accuracy is measured on.
    HeldOut,
}

/// Makes examples.
pub trait Generator: Send + Sync + fmt::Debug {
    /// Tokens of its vocabulary.
    fn vocabulary(&self) -> usize;

    /// Examples of a side, where there is an end to them.
    fn examples(&self, _side: Side) -> Option<usize> {
        None
    }

    /// An example of the task's own length; `index` is that of the example where there is an end to them.
    fn draw(&self, side: Side, index: u64, random: &mut Rng) -> Example;

    /// The same task at another length, where it has lengths.
    fn with_length(&self, length: usize) -> Option<Arc<dyn Generator>>;

    /// What share is right by guessing.
    fn chance(&self) -> f64;
}

/// A task of a run.
#[derive(Clone, Debug)]
pub struct Task {
    generator: Arc<dyn Generator>,
    seed: u64,
}

/// Names of the tasks.
pub const NAMES: [&str; 6] = ["selective_copying", "induction", "mqar", "parity", "listops", "digits"];

impl Task {
    /// The task that a configuration names; nothing where it names none.
    ///
    /// # Errors
    /// Another name, a length that does not hold the task, a table of digits that is not there.
    pub fn of(config: &TaskConfig, seed: u64) -> Result<Option<Task>> {
        let TaskConfig { name, length, vocabulary, items, .. } = config;
        let or = |given: &usize, own: usize| if *given > 0 { *given } else { own };
        let generator: Arc<dyn Generator> = match name.as_str() {
            "" => return Ok(None),
            "selective_copying" => Arc::new(synthetic::SelectiveCopying::new(
                or(length, 256),
                or(items, 16),
                or(vocabulary, 16),
            )?),
            "induction" => Arc::new(synthetic::Induction::new(or(length, 64), or(vocabulary, 16))?),
            "mqar" => Arc::new(synthetic::Recall::new(or(length, 64), or(items, 8), or(vocabulary, 64))?),
            "parity" => Arc::new(synthetic::Parity::new(or(length, 32))?),
            "listops" => Arc::new(listops::ListOps::new(or(length, 128))?),
            "digits" => Arc::new(digits::Digits::load(config)?),
            other => {
                return Err(TrainError::Value {
                    key: "task.name",
                    found: other.into(),
                    expected: NAMES.join(", "),
                });
            }
        };
        Ok(Some(Task { generator, seed }))
    }

    /// Tokens of the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.generator.vocabulary()
    }

    /// Tokens of a row.
    pub fn row(&self) -> usize {
        self.example(Side::HeldOut, 0).ids.len()
    }

    /// What share is right by guessing.
    pub fn chance(&self) -> f64 {
        self.generator.chance()
    }

    /// Examples of a side, where there is an end to them.
    pub fn examples(&self, side: Side) -> Option<usize> {
        self.generator.examples(side)
    }

    /// Example number `number`. Where there is an end to a side's, they come in a new order in each pass.
    pub fn example(&self, side: Side, number: u64) -> Example {
        let (purpose, index) = match (side, self.generator.examples(side)) {
            (Side::Training, Some(count)) => {
                let (pass, place) = (number / count.max(1) as u64, number % count.max(1) as u64);
                let mut order: Vec<u64> = (0..count as u64).collect();
                Rng::derived(self.seed, "pass", pass).shuffle(&mut order);
                ("task", order.get(place as usize).copied().unwrap_or(0))
            }
            (Side::Training, None) => ("task", number),
            (Side::HeldOut, _) => ("held out", number),
        };
        self.generator.draw(side, index, &mut Rng::derived(self.seed, purpose, number))
    }

    /// Rows as a batch.
    pub fn batch(&self, side: Side, first: u64, count: usize) -> Batch {
        let rows: Vec<Example> = (0..count as u64).map(|k| self.example(side, first + k)).collect();
        let seq_len = rows.first().map_or(0, |row| row.ids.len());
        Batch {
            ids: rows.iter().flat_map(|row| row.ids.iter().copied()).collect(),
            labels: Some(rows.iter().flat_map(|row| row.labels.iter().copied()).collect()),
            batch_size: count,
            seq_len,
        }
    }

    /// Held-out examples in batches; all of them where there is an end to them, at most `count`.
    pub fn held_out(&self, count: usize, batch_size: usize) -> Vec<Batch> {
        let count = self.examples(Side::HeldOut).map_or(count, |all| all.min(count));
        let size = batch_size.max(1);
        (0..count)
            .step_by(size)
            .map(|at| self.batch(Side::HeldOut, at as u64, size.min(count - at)))
            .collect()
    }

    /// The same task at another length, where it has lengths.
    pub fn with_length(&self, length: usize) -> Option<Task> {
        Some(Task { generator: self.generator.with_length(length)?, seed: self.seed })
    }
}

/// An error of a task whose length does not hold it.
fn too_short(length: usize, least: usize, what: &str) -> TrainError {
    TrainError::Value {
        key: "task.length",
        found: length.to_string(),
        expected: format!("a whole number of at least {least}, for {what}"),
    }
}

#[cfg(test)]
mod tests;
