//! What a run's log holds, as series: the form that the page is drawn from.
//!
//! A running training adds each line as it writes it; a finished run's `metrics.jsonl` gives the same history. That
//! makes the page a function of the log and the configuration, so it can be made again at any time, and a resumed run,
//! whose log has each step once, has a page with each step once.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Result, TrainError};
use crate::trits::{TernaryShape, TritCounts, TritLook};

/// What does not change during a run: the line of kind `run`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunFacts {
    /// Number of parameters.
    pub parameters: usize,
    /// Tokens of training text.
    pub train_tokens: usize,
    /// Bytes of text per token.
    pub bytes_per_token: f64,
    /// The ternary matrices, in the order of the counts of a look; empty when nothing looks at them.
    pub matrices: Vec<TernaryShape>,
}

/// One line of kind `train`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainRow {
    /// Number of the update, from 0.
    pub step: f64,
    /// Loss before the update, nats per token.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Learning rate.
    pub lr: f64,
    /// Tokens per second of the update.
    pub tokens_per_second: f64,
    /// Seconds spent in updates since the run began, this one included.
    pub elapsed: f64,
}

/// One line of kind `validation`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValidationRow {
    /// Updates done.
    pub step: f64,
    /// Mean loss, nats per token.
    pub loss: f64,
}

/// One line of kind `memory`; what the system does not tell is NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryRow {
    /// Updates done.
    pub step: f64,
    /// Seconds spent in updates since the run began.
    pub elapsed: f64,
    /// Bytes of the step's plan.
    pub plan: f64,
    /// Bytes of the weights and both moments.
    pub state: f64,
    /// Bytes resident.
    pub resident: f64,
    /// The most bytes that were ever resident in this process.
    pub peak: f64,
}

/// Everything of a run's log that the page shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The facts, when the log has them.
    pub run: Option<RunFacts>,
    /// Updates.
    pub train: Vec<TrainRow>,
    /// Evaluations.
    pub validation: Vec<ValidationRow>,
    /// Memory.
    pub memory: Vec<MemoryRow>,
    /// Looks at the trits.
    pub looks: Vec<TritLook>,
    /// Samples: updates done, text.
    pub samples: Vec<(u64, String)>,
}

impl History {
    /// Reads a log; a last line that a killed run left half written is left out.
    ///
    /// # Errors
    /// [`TrainError::Read`] if there is no log.
    pub fn read(path: &Path) -> Result<History> {
        let text = std::fs::read(path).map_err(|source| TrainError::read(path, source))?;
        let mut history = History::default();
        for line in text.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            let Ok(value) = serde_json::from_slice::<Value>(line) else { break };
            history.take(&value);
        }
        Ok(history)
    }

    /// Adds a line of the log. Kinds that the page does not show are passed over.
    pub fn take(&mut self, line: &Value) {
        let number = |key: &str| line[key].as_f64().unwrap_or(f64::NAN);
        let Some(step) = line["step"].as_u64() else { return };
        match line["kind"].as_str() {
            Some("run") => self.run = RunFacts::deserialize(line).ok(),
            Some("train") => {
                let (seconds, tokens) = (number("seconds"), number("tokens"));
                let before = self.train.last().map_or((0.0, 0.0), |t| (t.step + 1.0, t.elapsed));
                // Logs of earlier versions do not tell the time; updates that were not logged took as long as this one.
                let elapsed =
                    line["elapsed"].as_f64().unwrap_or(before.1 + seconds * (step as f64 + 1.0 - before.0));
                self.train.push(TrainRow {
                    step: step as f64,
                    loss: number("loss"),
                    grad_norm: number("grad_norm"),
                    lr: number("lr"),
                    tokens_per_second: if seconds > 0.0 { tokens / seconds } else { f64::NAN },
                    elapsed,
                });
            }
            Some("validation") => {
                self.validation.push(ValidationRow { step: step as f64, loss: number("loss") });
            }
            Some("memory") => self.memory.push(MemoryRow {
                step: step as f64,
                elapsed: number("seconds"),
                plan: number("plan_bytes"),
                state: number("state_bytes"),
                resident: number("resident_bytes"),
                peak: number("peak_bytes"),
            }),
            Some("trits") => self.looks.extend(look(step, line)),
            Some("sample") => {
                let text = line["text"].as_str().unwrap_or_default();
                self.samples.push((step, text.to_owned()));
            }
            _ => {}
        }
    }

    /// Updates done, as far as the log tells.
    pub fn done(&self) -> u64 {
        let updates = self.train.last().map_or(0.0, |t| t.step + 1.0);
        let measured = self.validation.last().map_or(0.0, |v| v.step);
        updates.max(measured).max(self.memory.last().map_or(0.0, |m| m.step)) as u64
    }
}

/// A look at the trits, or nothing if its lists are not lists of counts of one length.
fn look(step: u64, line: &Value) -> Option<TritLook> {
    let list = |key: &str| -> Option<Vec<u64>> { line[key].as_array()?.iter().map(Value::as_u64).collect() };
    let since = line["since"].as_u64();
    let (zeros, dead, dead_rows) = (list("zeros")?, list("dead")?, list("dead_rows")?);
    let flips = if since.is_some() { list("flips")? } else { vec![0; zeros.len()] };
    if [dead.len(), dead_rows.len(), flips.len()] != [zeros.len(); 3] {
        return None;
    }
    let counts = |i: usize| TritCounts {
        flips: flips[i],
        zeros: zeros[i],
        dead: dead[i],
        dead_rows: dead_rows[i],
        // Logs of earlier versions have none.
        distance: serde_json::from_value(line["distance"][i].clone()).unwrap_or_default(),
    };
    Some(TritLook { step, since, counts: (0..zeros.len()).map(counts).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn logs_without_times_get_them_from_the_updates() {
        let mut history = History::default();
        for step in [0, 4, 8, 9] {
            history.take(&json!({"kind": "train", "step": step, "loss": 1.0, "tokens": 10, "seconds": 0.5}));
        }
        let elapsed: Vec<f64> = history.train.iter().map(|t| t.elapsed).collect();
        assert_eq!(elapsed, [0.5, 2.5, 4.5, 5.0]);
        assert_eq!((history.done(), history.train[0].tokens_per_second), (10, 20.0));
        assert!(history.train[0].lr.is_nan(), "what the log does not tell is not a number");
    }

    #[test]
    fn lines_that_are_not_what_they_say_are_passed_over() {
        let mut history = History::default();
        for line in [
            json!({"kind": "trits", "step": 1, "since": 0, "flips": [1], "zeros": [1, 2], "dead": [1], "dead_rows": [0]}),
            json!({"kind": "trits", "step": 1, "zeros": "many"}),
            json!({"kind": "train"}),
            json!({"kind": "unheard of", "step": 3}),
            json!([1, 2]),
        ] {
            history.take(&line);
        }
        assert_eq!(history, History::default());
        history.take(
            &json!({"kind": "trits", "step": 0, "since": null, "zeros": [3], "dead": [3], "dead_rows": [1]}),
        );
        assert_eq!(
            history.looks[0].counts,
            [TritCounts { zeros: 3, dead: 3, dead_rows: 1, ..Default::default() }]
        );
    }
}
