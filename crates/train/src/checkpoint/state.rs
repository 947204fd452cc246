//! What a run remembers besides its tensors: enough that the resumed run is the uninterrupted one.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::SamplerState;
use crate::error::{Result, TrainError};
use crate::random::Rng;

/// The JSON half of a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// Steps done.
    pub step: u64,
    /// Tokens seen, over all sessions of the run.
    #[serde(default)]
    pub tokens: u64,
    /// Seconds spent in steps, over all sessions of the run.
    #[serde(default)]
    pub seconds: f64,
    /// Where the sampler stands in the data.
    pub sampler: SamplerState,
    /// The run's own generator (dropout, sampled text).
    pub rng: Rng,
    /// Early stopping, which also knows the best validation loss.
    pub early_stopping: EarlyStopping,
    /// [`TrainConfig::fingerprint`](crate::config::TrainConfig::fingerprint) of the run.
    pub config_hash: String,
    /// The configuration itself, so that a resumed run can say what differs, not only that something does.
    pub config: String,
    /// Whatever else the loop wants back.
    #[serde(default)]
    pub extra: Value,
}

impl RunState {
    /// The state as a checkpoint holds it.
    pub fn to_value(&self) -> Value {
        // Every field is a number, a text or a list of those: nothing that JSON cannot hold.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The state of a checkpoint.
    pub fn from_value(value: &Value) -> Result<Self> {
        RunState::deserialize(value).map_err(|e| TrainError::Mismatch {
            problem: format!("its state cannot be read: {e}"),
            remedy: "resume with the version of the program that wrote it, or start anew without `--resume`",
        })
    }
}

/// Remembers the best validation loss and how long ago that was.
///
/// ```
/// use train::checkpoint::{EarlyStopping, Verdict};
///
/// let mut watch = EarlyStopping::new(2, 0.0);
/// assert_eq!(watch.observe(50, 2.5), Verdict::Best);
/// assert_eq!(watch.observe(100, 2.6), Verdict::Worse);
/// assert_eq!(watch.observe(150, 2.6), Verdict::Stop);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    /// Evaluations without improvement that are allowed; 0 never stops.
    pub patience: usize,
    /// An improvement counts only if it is larger than this.
    pub min_delta: f64,
    /// The best loss so far and its step. JSON has no infinity, so "none yet" is spelled as such.
    pub best: Option<Best>,
    /// Evaluations since the best one.
    pub since_best: usize,
}

/// The best evaluation of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The step it was measured at.
    pub step: u64,
    /// The validation loss in nats per token.
    pub loss: f64,
}

/// What an evaluation means for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The lowest loss so far.
    Best,
    /// Not the lowest; go on.
    Worse,
    /// Not the lowest for as many evaluations as the patience allows; stop.
    Stop,
}

impl EarlyStopping {
    /// Starts with no evaluation seen.
    pub fn new(patience: usize, min_delta: f64) -> Self {
        EarlyStopping { patience, min_delta, best: None, since_best: 0 }
    }

    /// Takes one validation loss. A loss that is not finite never counts as an improvement.
    pub fn observe(&mut self, step: u64, loss: f64) -> Verdict {
        let improved = loss.is_finite() && self.best.is_none_or(|best| loss < best.loss - self.min_delta);
        if improved {
            self.best = Some(Best { step, loss });
            self.since_best = 0;
            return Verdict::Best;
        }
        self.since_best += 1;
        if self.patience > 0 && self.since_best >= self.patience { Verdict::Stop } else { Verdict::Worse }
    }
}
