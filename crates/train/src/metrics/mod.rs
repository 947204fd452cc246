//! What a run reports: JSON lines, TensorBoard events, the loss curve as SVG, progress on standard error.
//!
//! `metrics.jsonl` is the record that the others are drawn from. One line per event:
//!
//! ```json
//! {"kind":"train","step":0,"loss":5.56,"grad_norm":1.9,"lr":0.0002,"weight_decay":0.0,"tokens":512,"seconds":0.05}
//! {"kind":"validation","step":50,"loss":2.8,"bits_per_byte":4.04,"best":true}
//! {"kind":"sample","step":50,"text":"…"}
//! ```
//! `step` counts updates from 0: a training line has the loss that update `step` started from, a validation line
//! was measured when `step` updates were done. A run that resumes with `n` updates done measures again whatever
//! has `step ≥ n`; those lines are cut away first, so that no step is in the file twice.

mod jsonl;
mod progress;
mod tensorboard;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::checkpoint::{atomic_write, create_folder, remove_temporaries};
use crate::error::Result;
use crate::plot::{Plot, Series};

pub use jsonl::JsonLines;
pub use progress::{Progress, Snapshot};
pub use tensorboard::{EventWriter, masked_crc32c};

/// How a run's metrics are written.
#[derive(Debug, Clone)]
pub struct MetricsOptions {
    /// The folder of the run.
    pub dir: PathBuf,
    /// Updates of the whole run.
    pub steps: u64,
    /// Updates between training lines.
    pub log_every: u64,
    /// Whether TensorBoard events are written, to `tensorboard/` in the folder.
    pub tensorboard: bool,
    /// Whether progress is shown.
    pub progress: bool,
    /// The number of updates done, if the run resumes; `None` begins new files.
    pub resume_at: Option<u64>,
}

/// One update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainPoint {
    /// Number of the update, from 0.
    pub step: u64,
    /// Loss before the update, in nats per token.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Learning rate of the update.
    pub lr: f64,
    /// Weight decay of the update.
    pub weight_decay: f64,
    /// Tokens of the update.
    pub tokens: u64,
    /// Seconds that the update took.
    pub seconds: f64,
}

/// One evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValidationPoint {
    /// Updates done.
    pub step: u64,
    /// Mean loss in nats per token.
    pub loss: f64,
    /// Bytes of text per token, which turns the loss into bits per byte.
    pub bytes_per_token: f64,
    /// Whether this is the lowest loss so far.
    pub best: bool,
}

impl ValidationPoint {
    /// The loss in bits per byte, which compares models with different tokenizers.
    pub fn bits_per_byte(&self) -> f64 {
        self.loss / std::f64::consts::LN_2 / self.bytes_per_token
    }
}

/// Writes all of a run's reports.
#[derive(Debug)]
pub struct Metrics {
    options: MetricsOptions,
    lines: JsonLines,
    events: Option<EventWriter>,
    progress: Progress,
    train: Vec<(f64, f64)>,
    validation: Vec<(f64, f64)>,
}

impl Metrics {
    /// Opens the files of a run. A resumed run keeps what was reported before the step it resumes at.
    pub fn open(options: MetricsOptions) -> Result<Self> {
        create_folder(&options.dir)?;
        remove_temporaries(&options.dir);
        let path = options.dir.join("metrics.jsonl");
        let (lines, kept) = match options.resume_at {
            Some(step) => JsonLines::resume(&path, step)?,
            None => (JsonLines::create(&path)?, Vec::new()),
        };
        let curve = |kind: &str| -> Vec<(f64, f64)> {
            let of_kind = kept.iter().filter(|line| line["kind"] == kind);
            of_kind.filter_map(|line| Some((line["step"].as_f64()?, line["loss"].as_f64()?))).collect()
        };
        let (train, validation) = (curve("train"), curve("validation"));
        let events = options
            .tensorboard
            .then(|| EventWriter::create(&options.dir.join("tensorboard"), options.resume_at))
            .transpose()?;
        let progress = match options.progress {
            true => Progress::to_stderr(options.steps, options.resume_at.unwrap_or(0)),
            false => Progress::silent(),
        };
        Ok(Metrics { options, lines, events, progress, train, validation })
    }

    /// Reports one update.
    pub fn train(&mut self, point: &TrainPoint) -> Result<()> {
        let TrainPoint { step, loss, grad_norm, lr, weight_decay, tokens, seconds } = *point;
        if step.is_multiple_of(self.options.log_every.max(1)) || step + 1 == self.options.steps {
            self.lines.write(&json!({
                "kind": "train", "step": step, "loss": loss, "grad_norm": grad_norm, "lr": lr,
                "weight_decay": weight_decay, "tokens": tokens, "seconds": seconds,
            }))?;
            self.train.push((step as f64, loss));
            if let Some(events) = &mut self.events {
                let rate = if seconds > 0.0 { tokens as f64 / seconds } else { 0.0 };
                events.scalars(
                    step,
                    &[
                        ("train/loss", loss),
                        ("train/grad_norm", grad_norm),
                        ("train/lr", lr),
                        ("train/weight_decay", weight_decay),
                        ("train/tokens_per_second", rate),
                    ],
                )?;
            }
        }
        self.progress.step(point);
        Ok(())
    }

    /// Reports one evaluation and draws the curve anew.
    pub fn validation(&mut self, point: &ValidationPoint) -> Result<()> {
        let bits = point.bits_per_byte();
        self.lines.write(&json!({
            "kind": "validation", "step": point.step, "loss": point.loss, "bits_per_byte": bits, "best": point.best,
        }))?;
        self.validation.push((point.step as f64, point.loss));
        if let Some(events) = &mut self.events {
            events.scalars(
                point.step,
                &[("validation/loss", point.loss), ("validation/bits_per_byte", bits)],
            )?;
        }
        let mark = if point.best { " (best so far)" } else { "" };
        self.progress.say(&format!(
            "step {}: validation loss {:.4}, {bits:.4} bits per byte{mark}",
            point.step, point.loss
        ));
        self.draw()
    }

    /// Reports a generated sample.
    pub fn sample(&mut self, step: u64, text: &str) -> Result<()> {
        self.lines.write(&json!({"kind": "sample", "step": step, "text": text}))?;
        // A young model writes any byte: none of them shall move the reader's cursor.
        let harmless = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{FFFD}' } else { c };
        let shown: String = text.chars().map(harmless).collect();
        self.progress.say(&format!("step {step}: sample: {shown}"));
        Ok(())
    }

    /// Reports anything else that belongs to a step.
    pub fn event(&mut self, kind: &str, step: u64, value: Value) -> Result<()> {
        self.lines.write(&json!({"kind": kind, "step": step, "value": value}))
    }

    /// Says something to the user without writing it down.
    pub fn say(&mut self, text: &str) {
        self.progress.say(text);
    }

    /// The validation losses so far, by step.
    pub fn validation_curve(&self) -> &[(f64, f64)] {
        &self.validation
    }

    /// The training losses so far, by step.
    pub fn train_curve(&self) -> &[(f64, f64)] {
        &self.train
    }

    /// Draws the last curve and ends the progress bar.
    pub fn finish(&mut self) -> Result<()> {
        self.progress.finish();
        self.draw()
    }

    /// The file of the loss curve.
    pub fn curve_path(&self) -> PathBuf {
        self.options.dir.join("loss.svg")
    }

    fn draw(&self) -> Result<()> {
        write_loss_curve(&self.curve_path(), &self.train, &self.validation)
    }
}

/// Draws training and validation losses, by step, into an SVG file.
pub fn write_loss_curve(path: &Path, train: &[(f64, f64)], validation: &[(f64, f64)]) -> Result<()> {
    let mut plot = Plot::new("Loss", "step", "nats per token");
    plot.series.push(Series::line("training", train.to_vec()));
    if !validation.is_empty() {
        plot.series.push(Series::marked("validation", validation.to_vec()));
    }
    let svg = plot.to_svg();
    atomic_write(path, |out| out.write_all(svg.as_bytes()))
}

#[cfg(test)]
mod tests;
