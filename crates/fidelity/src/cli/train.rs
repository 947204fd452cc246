//! `fidelity train`: a run as a configuration file describes it.

use super::print;
use anyhow::Result;
use std::path::PathBuf;
use train::TrainConfig;
use train::data::{Corpus, Preview};

pub(super) const EXAMPLES: &str = "\
Examples:
  fidelity train --print-config > run.toml            every key with its default and what it means
  fidelity train run.toml --preview                   what the model will see
  fidelity train run.toml
  fidelity train run.toml --set train.steps=2000 --set 'data.train=[\"a.txt\", \"notes/\"]'
  fidelity train run.toml --memory 256MiB             recompute what does not fit, same numbers
  fidelity train run.toml --resume                    go on where the run stopped
  fidelity train run.toml --report-only               make the run's page again from its log";

#[derive(clap::Args)]
pub(super) struct Args {
    /// The configuration, a TOML file
    #[arg(required_unless_present = "print_config")]
    config: Option<PathBuf>,
    /// Overrides a key of the configuration; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Go on from the last checkpoint in the output folder
    #[arg(long)]
    resume: bool,
    /// Threads to compute with; 0: one per core (train.threads)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1024))]
    threads: Option<u32>,
    /// What weights, moments and plan may take together, such as 64MiB; what does not fit is computed again
    /// when it is needed, to the same numbers (train.memory)
    #[arg(long, value_name = "SIZE")]
    memory: Option<train::config::ByteSize>,
    /// Results that do not depend on the number of threads (train.deterministic)
    #[arg(long)]
    deterministic: bool,
    /// Print the configuration with every key, after the overrides, and stop
    #[arg(long, conflicts_with_all = ["preview", "resume"])]
    print_config: bool,
    /// Print what the model will see (files, tokens, the first sequences) and stop
    #[arg(long, conflicts_with = "resume")]
    preview: bool,
    /// Make the page report.html of a run again, from the log in its folder, and stop
    #[arg(long, conflicts_with_all = ["preview", "resume", "print_config"])]
    report_only: bool,
    /// Print the result (or the preview) as one JSON value
    #[arg(long, conflicts_with = "print_config")]
    json: bool,
}

impl Args {
    fn load(&self) -> Result<TrainConfig> {
        let mut config = match &self.config {
            Some(path) => TrainConfig::load(path, &self.overrides)?,
            None => {
                let mut config = TrainConfig::default();
                config.apply_overrides(&self.overrides)?;
                config.validate()?;
                config
            }
        };
        if let Some(threads) = self.threads {
            config.train.threads = threads as usize;
        }
        if let Some(memory) = self.memory {
            config.train.memory = memory;
        }
        config.train.deterministic |= self.deterministic;
        Ok(config)
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    let config = args.load()?;
    if args.print_config {
        return print::text(&config.to_commented_toml());
    }
    if args.preview {
        let preview = Preview::new(&Corpus::load(&config)?, &config, 3)?;
        return if args.json { print::json(&preview) } else { print::text(&preview.to_string()) };
    }
    if args.report_only {
        let page = train::report::remake(&config.output.dir)?;
        let shown = page.display().to_string();
        return if args.json { print::json(&shown) } else { print::text(&format!("page: {shown}\n")) };
    }
    train(&config, args.resume, args.json)
}

/// The run itself; its progress goes to standard error, its result to standard output.
fn train(config: &TrainConfig, resume: bool, json: bool) -> Result<()> {
    let summary = fidelity::training::train(config, resume, false)?;
    if json {
        return print::json(&summary);
    }
    let mut out = String::new();
    if let Some(reason) = &summary.ended {
        out.push_str(&format!("ended early: {reason}\n"));
    }
    let bits = |loss: f64| loss / std::f64::consts::LN_2 / summary.bytes_per_token;
    if let Some((step, loss)) = summary.best {
        out.push_str(&format!(
            "best validation loss {loss:.4} nats per token ({:.3} bits per byte) at step {step}\n",
            bits(loss)
        ));
    }
    out.push_str(&format!(
        "{} updates, training loss {:.4}, {:.0} tokens/s, {:.1} ms per update\nmodel: {}\ncurve: {}\n",
        summary.steps,
        summary.train_loss,
        summary.tokens_per_second,
        summary.seconds_per_step[1] * 1e3,
        summary.model.display(),
        summary.dir.join("loss.svg").display()
    ));
    if let Some(page) = &summary.page {
        out.push_str(&format!("page: {}\n", page.display()));
    }
    print::text(&out)
}
