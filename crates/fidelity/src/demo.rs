//! The demonstration: train on text that is here already, generate, report.

use crate::error::fault;
use crate::generate::{Options, complete};
use crate::loaded::Loaded;
use crate::training::{peak_memory, train};
use anyhow::Result;
use engine::pool::Pool;
use models::generation::Sampling;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use train::TrainConfig;
use train::checkpoint::CheckpointStore;

/// How the demonstration is run.
#[derive(Clone, Debug)]
pub struct Demo {
    /// A folder of text; without, the sources of the crates that cargo has downloaded.
    pub folder: Option<PathBuf>,
    /// Updates.
    pub steps: usize,
    /// Threads; 0 is one per core.
    pub threads: usize,
    /// The folder of the run.
    pub dir: PathBuf,
    /// Say nothing on the way.
    pub quiet: bool,
}

/// What it came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where the text came from.
    pub text: PathBuf,
    /// Bytes of training text.
    pub bytes: usize,
    /// Number of parameters.
    pub parameters: usize,
    /// Updates.
    pub steps: u64,
    /// Bits per byte of held-back text before training.
    pub bits_per_byte_before: f64,
    /// And after.
    pub bits_per_byte_after: f64,
    /// Validation loss by step, in bits per byte.
    pub curve: Vec<(u64, f64)>,
    /// Training speed.
    pub train_tokens_per_second: f64,
    /// Seconds per update, median.
    pub seconds_per_step: f64,
    /// Streaming generation speed.
    pub generate_tokens_per_second: f64,
    /// Bytes of the recurrent state, whatever the length of the text.
    pub state_bytes: usize,
    /// Most memory held, bytes.
    pub peak_memory: Option<u64>,
    /// The prompt of the sample.
    pub prompt: String,
    /// What the model made of it.
    pub sample: String,
    /// The trained model.
    pub model: PathBuf,
    /// The page of the run.
    pub page: Option<PathBuf>,
    /// Seconds in all.
    pub seconds: f64,
}

/// The folder of downloaded crate sources, `$CARGO_HOME/registry/src`.
pub fn crate_sources() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|h| Path::new(&h).join(".cargo")));
    home.map(|h| h.join("registry/src")).filter(|p| p.is_dir())
}

/// The configuration of the demonstration: about 0.7 million ternary weights, bytes as tokens.
fn configuration(demo: &Demo, text: &Path) -> TrainConfig {
    let mut c = TrainConfig::default();
    c.model.hidden_size = 128;
    c.model.num_hidden_layers = 3;
    c.model.intermediate_size = 352;
    c.data.train = vec![text.display().to_string()];
    if demo.folder.is_none() {
        c.data.extensions = vec!["rs".into()];
    }
    c.data.max_bytes = 8 << 20;
    c.data.seq_len = 128;
    c.data.cache = false;
    c.optimizer.lr = 8e-3;
    c.train.steps = demo.steps;
    c.train.batch_size = 8;
    c.train.eval_every = (demo.steps / 6).max(1);
    c.train.eval_windows = 32;
    c.train.checkpoint_every = 0;
    c.train.threads = demo.threads;
    c.train.sample_prompt.clear();
    c.output.dir = demo.dir.clone();
    c
}

/// Trains, generates and reports.
pub fn run(demo: &Demo, say: &mut dyn FnMut(&str)) -> Result<Report> {
    let started = Instant::now();
    let Some(text) = demo.folder.clone().or_else(crate_sources) else {
        return fault(
            "there are no downloaded crate sources on this computer",
            "name a folder of text with `--folder DIR`, or run `cargo fetch` in any Rust project first",
        );
    };
    let config = configuration(demo, &text);
    say(&format!("Training a ternary language model on the text in {}", text.display()));
    // A demonstration starts anew; only its own checkpoints are removed.
    CheckpointStore::open(demo.dir.join("checkpoints"), 1)?.clear()?;
    let summary = train(&config, false, demo.quiet)?;
    let bits = |loss: f64| loss / std::f64::consts::LN_2 / summary.bytes_per_token;
    let curve: Vec<(u64, f64)> = summary.validation.iter().map(|(s, l)| (*s, bits(*l))).collect();
    let ends = (curve.first().map_or(f64::NAN, |c| c.1), curve.last().map_or(f64::NAN, |c| c.1));
    say("Generating");
    let threads = if demo.threads == 0 { 1 } else { demo.threads };
    let pool = Arc::new(Pool::new(threads));
    let mut model = Loaded::open(&summary.model)?;
    let prompt = if demo.folder.is_none() { "    /// Returns " } else { "The " }.to_string();
    let sampling = Sampling { temperature: 0.6, top_p: 0.9, seed: 7, ..Default::default() };
    let options = Options { sampling, max_tokens: 240, ..Default::default() };
    model.prepare(&pool)?;
    let clock = Instant::now();
    let sample = complete(&mut model, &prompt, &options, &pool)?;
    let spent = clock.elapsed().as_secs_f64();
    let state_bytes = model.stream(1, models::matmulfree::Form::Prepared, &pool)?.state_bytes();
    Ok(Report {
        text,
        bytes: (summary.train_tokens as f64 * summary.bytes_per_token) as usize,
        parameters: summary.parameters,
        steps: summary.steps,
        bits_per_byte_before: ends.0,
        bits_per_byte_after: ends.1,
        curve,
        train_tokens_per_second: summary.tokens_per_second,
        seconds_per_step: summary.seconds_per_step[1],
        generate_tokens_per_second: (options.max_tokens + prompt.len()) as f64 / spent,
        state_bytes,
        peak_memory: peak_memory(),
        prompt,
        sample,
        model: summary.model,
        page: summary.page,
        seconds: started.elapsed().as_secs_f64(),
    })
}

impl Report {
    /// The table that the demonstration ends with.
    pub fn table(&self) -> String {
        let mut rows = vec![
            ("parameters".to_string(), format!("{} (ternary matrices)", self.parameters)),
            ("training text".into(), format!("{:.1} MB", self.bytes as f64 / 1e6)),
            ("updates".into(), self.steps.to_string()),
            ("bits per byte, before".into(), format!("{:.3}", self.bits_per_byte_before)),
            ("bits per byte, after".into(), format!("{:.3}", self.bits_per_byte_after)),
            (
                "training".into(),
                format!(
                    "{:.0} tokens/s, {:.1} ms per update",
                    self.train_tokens_per_second,
                    self.seconds_per_step * 1e3
                ),
            ),
            ("generation".into(), format!("{:.0} tokens/s", self.generate_tokens_per_second)),
            ("state while generating".into(), format!("{} bytes at any position", self.state_bytes)),
        ];
        if let Some(peak) = self.peak_memory {
            rows.push(("peak memory".into(), format!("{:.0} MB", peak as f64 / 1e6)));
        }
        rows.push(("time in all".into(), format!("{:.0} s", self.seconds)));
        rows.push(("trained model".into(), self.model.display().to_string()));
        if let Some(page) = &self.page {
            rows.push(("page of the run".into(), page.display().to_string()));
        }
        let width = rows.iter().map(|r| r.0.len()).max().unwrap_or(0);
        rows.iter().map(|(k, v)| format!("  {k:<width$}  {v}\n")).collect()
    }

    /// The validation curve as bars, one line per evaluation.
    pub fn bars(&self) -> String {
        let top = self.curve.iter().map(|c| c.1).fold(0.0, f64::max);
        let line = |(step, bits): &(u64, f64)| {
            let n = (bits / top * 48.0).round() as usize;
            format!("  step {step:>5}  {bits:6.3} bits/byte  {}\n", "█".repeat(n))
        };
        self.curve.iter().map(line).collect()
    }
}
