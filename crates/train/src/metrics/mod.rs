//! What a run reports: JSON lines, TensorBoard events, the loss curve as SVG, the page, progress on standard error.
//!
//! `metrics.jsonl` is the record that the others are drawn from. One line per event:
//!
//! ```json
//! {"kind":"run","step":0,"parameters":857216,"train_tokens":1672117,"bytes_per_token":1.0,"matrices":[{"name":"layers.0.attn.i_proj","rows":128,"columns":128},…]}
//! {"kind":"train","step":0,"loss":5.56,"grad_norm":1.9,"lr":0.0002,"weight_decay":0.0,"tokens":512,"seconds":0.05,"elapsed":0.05}
//! {"kind":"validation","step":50,"loss":2.8,"bits_per_byte":4.04,"best":true}
//! {"kind":"trits","step":40,"since":20,"flips":[31,…],"zeros":[5204,…],"dead":[4907,…],"dead_rows":[0,…],"distance":[[812,…],…]}
//! {"kind":"memory","step":50,"seconds":2.5,"plan_bytes":36175872,"state_bytes":10286592,"resident_bytes":61865984,"peak_bytes":62390272}
//! {"kind":"sample","step":50,"text":"…"}
//! ```
//! `step` counts updates from 0: a training line has the loss that update `step` started from; the other lines were
//! measured when `step` updates were done. A run that resumes with `n` updates done measures again whatever
//! has `step ≥ n`; those lines are cut away first, so that no step is in the file twice.
//!
//! `trits` lines count trits, one number (`distance`: one histogram) for each matrix of the `run` line, as
//! [`crate::trits`] defines them; `since` is
//! the look from which flips are counted, `null` (and no `flips`) at the first. `elapsed`, and `seconds` of a `memory`
//! line, are the seconds spent in updates since the run began, over all sessions. What the system does not tell of
//! the process's memory is `null`.

mod jsonl;
mod progress;
mod tensorboard;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::checkpoint::{atomic_write, create_folder, remove_temporaries};
use crate::config::TrainConfig;
use crate::error::{Result, TrainError};
use crate::memory::ProcessMemory;
use crate::plot::{Plot, Series};
use crate::report::{Budget, History, RunFacts, State, write_page};
use crate::trits::{BIN, BINS, TernaryShape, TritLook};

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
    /// The configuration that the page shows; `None` writes no page.
    pub page: Option<TrainConfig>,
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
    /// Seconds spent in updates since the run began, this one included.
    pub elapsed: f64,
}

/// What memory a run takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemoryPoint {
    /// Updates done.
    pub step: u64,
    /// Seconds spent in updates since the run began.
    pub elapsed: f64,
    /// Bytes of the step's plan.
    pub plan_bytes: usize,
    /// Bytes of the weights and both moments.
    pub state_bytes: usize,
    /// What the system says of the process.
    pub process: Option<ProcessMemory>,
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
    history: History,
    budget: Budget,
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
        let mut history = History::default();
        kept.iter().for_each(|line| history.take(line));
        let events = options
            .tensorboard
            .then(|| EventWriter::create(&options.dir.join("tensorboard"), options.resume_at))
            .transpose()?;
        let progress = match options.progress {
            true => Progress::to_stderr(options.steps, options.resume_at.unwrap_or(0)),
            false => Progress::silent(),
        };
        Ok(Metrics { options, lines, events, progress, history, budget: Budget::default() })
    }

    /// Appends a line to the log and to the history.
    fn record(&mut self, line: &Value) -> Result<()> {
        self.lines.write(line)?;
        self.history.take(line);
        Ok(())
    }

    /// Reports what does not change during the run, once: a resumed run has it already.
    pub fn run(&mut self, facts: &RunFacts) -> Result<()> {
        // The looks may have been switched on since.
        let known = self.history.run.as_ref();
        if known.is_some_and(|run| facts.matrices.is_empty() || run.matrices == facts.matrices) {
            return Ok(());
        }
        let mut line = json!({"kind": "run", "step": 0});
        if let (Some(line), Ok(Value::Object(facts))) = (line.as_object_mut(), serde_json::to_value(facts)) {
            line.extend(facts);
        }
        self.record(&line)
    }

    /// Reports one update.
    pub fn train(&mut self, point: &TrainPoint) -> Result<()> {
        let TrainPoint { step, loss, grad_norm, lr, weight_decay, tokens, seconds, elapsed } = *point;
        if step.is_multiple_of(self.options.log_every.max(1)) || step + 1 == self.options.steps {
            self.record(&json!({
                "kind": "train", "step": step, "loss": loss, "grad_norm": grad_norm, "lr": lr,
                "weight_decay": weight_decay, "tokens": tokens, "seconds": seconds, "elapsed": elapsed,
            }))?;
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
        self.record(&json!({
            "kind": "validation", "step": point.step, "loss": point.loss, "bits_per_byte": bits, "best": point.best,
        }))?;
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
        self.record(&json!({"kind": "sample", "step": step, "text": text}))?;
        // A young model writes any byte: none of them shall move the reader's cursor.
        let harmless = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{FFFD}' } else { c };
        let shown: String = text.chars().map(harmless).collect();
        self.progress.say(&format!("step {step}: sample: {shown}"));
        Ok(())
    }

    /// Reports a look at the trits of `shapes`.
    pub fn trits(&mut self, look: &TritLook, shapes: &[TernaryShape]) -> Result<()> {
        let list = |f: fn(&crate::trits::TritCounts) -> u64| look.counts.iter().map(f).collect::<Vec<_>>();
        let mut line = json!({"kind": "trits", "step": look.step, "since": look.since});
        if look.since.is_some() {
            line["flips"] = list(|c| c.flips).into();
        }
        line["zeros"] = list(|c| c.zeros).into();
        line["dead"] = list(|c| c.dead).into();
        line["dead_rows"] = list(|c| c.dead_rows).into();
        line["distance"] = look.counts.iter().map(|c| c.distance.to_vec()).collect::<Vec<_>>().into();
        self.record(&line)?;
        let Some(events) = &mut self.events else { return Ok(()) };
        let mut scalars: Vec<(String, f64)> = vec![];
        let all = shapes.iter().map(TernaryShape::weights).sum::<usize>();
        let sum = |f: fn(&crate::trits::TritCounts) -> u64| look.counts.iter().map(f).sum::<u64>();
        let mut add = |matrix: &str, weights: usize, [flips, zeros, dead]: [u64; 3]| {
            let share = |n: u64| n as f64 / weights.max(1) as f64;
            if look.since.is_some() {
                scalars.push((format!("flip_rate{matrix}"), share(flips)));
            }
            scalars.push((format!("zeros{matrix}"), share(zeros)));
            scalars.push((format!("dead{matrix}"), share(dead)));
        };
        add("/all", all, [sum(|c| c.flips), sum(|c| c.zeros), sum(|c| c.dead)]);
        for (shape, c) in shapes.iter().zip(&look.counts) {
            add(&format!("/{}", shape.name), shape.weights(), [c.flips, c.zeros, c.dead]);
        }
        scalars.push(("dead_rows/all".into(), sum(|c| c.dead_rows) as f64));
        let named: Vec<(&str, f64)> = scalars.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        events.scalars(look.step, &named)?;
        let edges: Vec<f64> = (0..BINS).map(|i| i as f64 * BIN - 0.5).collect();
        let named: Vec<(String, [u64; BINS])> = (shapes.iter().zip(&look.counts))
            .map(|(shape, c)| (format!("distance_to_threshold/{}", shape.name), c.distance))
            .collect();
        events.histograms(look.step, &edges, BIN, named.iter().map(|(n, c)| (n.as_str(), c.as_slice())))
    }

    /// Reports what memory the run takes.
    pub fn memory(&mut self, point: &MemoryPoint) -> Result<()> {
        let MemoryPoint { step, elapsed, plan_bytes, state_bytes, process } = *point;
        self.record(&json!({
            "kind": "memory", "step": step, "seconds": elapsed, "plan_bytes": plan_bytes,
            "state_bytes": state_bytes, "resident_bytes": process.map(|p| p.resident),
            "peak_bytes": process.map(|p| p.peak),
        }))?;
        if let (Some(events), Some(process)) = (&mut self.events, process) {
            let values = [process.resident, process.peak].map(|bytes| bytes as f64);
            events
                .scalars(step, &[("memory/resident_bytes", values[0]), ("memory/peak_bytes", values[1])])?;
        }
        Ok(())
    }

    /// Writes the page anew, unless that would cost more than a hundredth of the time since the last time.
    pub fn page(&mut self) -> Result<()> {
        if self.budget.allows() { self.write_page(&State::Running) } else { Ok(()) }
    }

    fn write_page(&mut self, state: &State) -> Result<()> {
        let Some(config) = &self.options.page else { return Ok(()) };
        let (path, history) = (self.page_path(), &self.history);
        self.budget.spend(|| write_page(&path, config, history, state))
    }

    /// The file of the page.
    pub fn page_path(&self) -> PathBuf {
        self.options.dir.join(crate::report::PAGE)
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
    pub fn validation_curve(&self) -> Vec<(f64, f64)> {
        self.history.validation.iter().map(|v| (v.step, v.loss)).collect()
    }

    /// The training losses so far, by step.
    pub fn train_curve(&self) -> Vec<(f64, f64)> {
        self.history.train.iter().map(|t| (t.step, t.loss)).collect()
    }

    /// Draws the last curve and the last page and ends the progress bar; `ended` says why the run ended early.
    pub fn finish(&mut self, ended: Option<&str>) -> Result<()> {
        self.progress.finish();
        self.draw()?;
        self.write_page(&ended.map_or(State::Over, |why| State::Ended(why.to_owned())))
    }

    /// Leaves the page of a run that failed saying so. The run's own error is the one to report, so a page that cannot
    /// be written now stays as it was.
    pub fn failed(&mut self, error: &TrainError) {
        self.progress.finish();
        let _ = self.write_page(&State::Ended(error.to_string()));
    }

    /// The file of the loss curve.
    pub fn curve_path(&self) -> PathBuf {
        self.options.dir.join("loss.svg")
    }

    fn draw(&self) -> Result<()> {
        write_loss_curve(&self.curve_path(), &self.train_curve(), &self.validation_curve())
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

/// Draws the share of right answers by length into an SVG file, with the share that guessing gives.
pub fn write_extrapolation(path: &Path, accuracy: &[(f64, f64)], chance: f64) -> Result<()> {
    let mut plot = Plot::new("Right answers by length", "tokens", "share of the answers that are right");
    plot.log_x = true;
    plot.from_zero = true;
    plot.series.push(Series::marked("accuracy", accuracy.to_vec()));
    plot.series.push(Series::line("chance", accuracy.iter().map(|(length, _)| (*length, chance)).collect()));
    let svg = plot.to_svg();
    atomic_write(path, |out| out.write_all(svg.as_bytes()))
}

#[cfg(test)]
mod tests;
