//! Several architectures at equal parameters and equal tokens, side by side: what `fidelity compare` does.
//!
//! Every model is trained by the same configuration (data, steps, batch, schedule) at the width whose parameters are nearest
//! to the wanted number; then a token is timed at several positions of a text. Each run has a folder of its own and is
//! resumable; a run that is done is not done again. The results are `compare.md`, `compare.json` and pictures beside them.

mod config;
mod measure;
mod page;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::loaded::Loaded;

pub use config::{CompareConfig, Comparison, Entry, load};
pub use measure::{Cost, costs};
pub use page::{table, write};

/// What a model of a comparison came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// `model_type`.
    pub architecture: String,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Blocks.
    pub layers: usize,
    /// Parameters.
    pub parameters: u64,
    /// Share of them in matrices of few values.
    pub quantized: f64,
    /// (tokens seen, training loss in nats per token).
    pub training: Vec<(f64, f64)>,
    /// (tokens seen, held-out loss in nats per token).
    pub held_out: Vec<(f64, f64)>,
    /// (tokens seen, share of right answers), of tasks.
    pub accuracy: Vec<(f64, f64)>,
    /// (length, share of right answers), of tasks with lengths.
    pub extrapolation: Vec<(f64, f64)>,
    /// Bytes of text per token.
    pub bytes_per_token: f64,
    /// Tokens of training per second.
    pub tokens_per_second: f64,
    /// Bytes of the training step's plan, and of weights and moments.
    pub training_bytes: u64,
    /// What a token costs at each position; none of models without a streaming step.
    pub costs: Vec<Cost>,
    /// The fingerprint of the training configuration.
    fingerprint: String,
}

/// The file in a run's folder that says what it came to.
const RESULT: &str = "result.json";

/// Runs what is not done yet; `say` is told of each model before it begins.
///
/// # Errors
/// Those of a training run, and of writing.
pub fn run(comparison: &Comparison, say: &mut dyn FnMut(&str)) -> Result<Vec<Outcome>> {
    let mut outcomes = vec![];
    for entry in &comparison.entries {
        let dir = &entry.train.output.dir;
        let fingerprint = format!("{} {:?}", entry.train.fingerprint(), comparison.config.lengths);
        if let Some(done) = finished(dir, &fingerprint) {
            say(&format!("{}: done before, in {}", entry.name, dir.display()));
            outcomes.push(done);
            continue;
        }
        say(&format!(
            "{}: {} parameters at width {}",
            entry.name, entry.parameters, entry.train.model.hidden_size
        ));
        let resume = fs::read_dir(dir.join("checkpoints")).is_ok_and(|mut files| files.next().is_some());
        let summary = crate::training::train(&entry.train, resume, false)?;
        let mut model = Loaded::open(&summary.model)?;
        let costs = costs(&mut model, &comparison.config.lengths)?;
        let quantized: usize = {
            let names = model.config.projections();
            let shapes = model.config.expected_tensors();
            let sizes = shapes.iter().filter(|(name, _)| names.contains(name));
            sizes.map(|(_, shape)| shape.iter().product::<usize>()).sum()
        };
        let log = Log::read(&dir.join("metrics.jsonl"))?;
        let per_step = (entry.train.train.batch_size * entry.train.train.accumulate) as f64
            * log.tokens_per_row(&entry.train);
        let curve = |points: &[(f64, f64)]| points.iter().map(|(step, y)| (step * per_step, *y)).collect();
        let outcome = Outcome {
            name: entry.name.clone(),
            architecture: model.config.model_type().to_owned(),
            hidden_size: model.config.hidden_size(),
            layers: model.config.num_hidden_layers(),
            parameters: summary.parameters as u64,
            quantized: quantized as f64 / summary.parameters.max(1) as f64,
            training: curve(&log.training),
            held_out: curve(&log.held_out),
            accuracy: curve(&log.accuracy),
            extrapolation: summary
                .extrapolation
                .iter()
                .map(|(length, right)| (*length as f64, *right))
                .collect(),
            bytes_per_token: summary.bytes_per_token,
            tokens_per_second: summary.tokens_per_second,
            training_bytes: log.bytes,
            costs,
            fingerprint,
        };
        let text = serde_json::to_vec_pretty(&outcome)?;
        models::atomic::write_bytes(&dir.join(RESULT), &text)?;
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// What a run came to that was done before with the same settings.
fn finished(dir: &Path, fingerprint: &str) -> Option<Outcome> {
    let text = fs::read(dir.join(RESULT)).ok()?;
    serde_json::from_slice::<Outcome>(&text).ok().filter(|outcome| outcome.fingerprint == fingerprint)
}

/// The curves of a run, by step.
#[derive(Default)]
struct Log {
    training: Vec<(f64, f64)>,
    held_out: Vec<(f64, f64)>,
    accuracy: Vec<(f64, f64)>,
    tokens: f64,
    bytes: u64,
}

impl Log {
    fn read(path: &PathBuf) -> Result<Log> {
        let text = fs::read_to_string(path).map_err(|source| train::TrainError::read(path, source))?;
        let mut log = Log::default();
        for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let number = |key: &str| line[key].as_f64();
            let step = number("step").unwrap_or(0.0);
            match line["kind"].as_str() {
                Some("train") => {
                    log.training.extend(number("loss").map(|loss| (step, loss)));
                    log.tokens = number("tokens").unwrap_or(log.tokens);
                }
                Some("validation") => log.held_out.extend(number("loss").map(|loss| (step, loss))),
                Some("accuracy") => log.accuracy.extend(number("value").map(|right| (step, right))),
                Some("memory") => {
                    let bytes = |key: &str| line[key].as_u64().unwrap_or(0);
                    log.bytes = log.bytes.max(bytes("plan_bytes") + bytes("state_bytes"));
                }
                _ => {}
            }
        }
        Ok(log)
    }

    /// Tokens of a sequence of the run.
    fn tokens_per_row(&self, config: &train::TrainConfig) -> f64 {
        let rows = (config.train.batch_size * config.train.accumulate).max(1) as f64;
        if self.tokens > 0.0 { self.tokens / rows } else { config.data.seq_len as f64 }
    }
}
