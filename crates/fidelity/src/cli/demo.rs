//! `fidelity demo`: train, generate and report, on text that is on this computer.

use super::common::Threads;
use super::print;
use anyhow::Result;
use fidelity::demo::Demo;
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "\
Without --folder the text is the source code of the crates that cargo has downloaded.

Examples:
  fidelity demo
  fidelity demo --folder ~/notes --steps 600
  fidelity demo --json > report.json";

/// About a minute on two idle cores.
const DEFAULT_STEPS: usize = 900;

#[derive(clap::Args)]
pub(super) struct Args {
    /// A folder of text to train on
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Updates; without it as many as take about a minute on two idle cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    steps: Option<u32>,
    #[command(flatten)]
    threads: Threads,
    /// The folder of the run; checkpoints of an earlier demo there are replaced
    #[arg(long, value_name = "DIR", default_value = "runs/demo")]
    out: PathBuf,
    /// Print the final table as one JSON value
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let demo = Demo {
        folder: args.folder.clone(),
        steps: args.steps.map_or(DEFAULT_STEPS, |s| s as usize),
        threads: args.threads.threads as usize,
        dir: args.out.clone(),
        quiet: false,
    };
    let report = fidelity::demo::run(&demo, &mut |line| print::note(line))?;
    if args.json {
        return print::json(&report);
    }
    let bars = report.bars();
    let shown = report.sample.trim_end();
    print::text(&format!(
        "\nHeld-back text while training:\n{bars}\nA sample, continuing {:?}:\n\n{}{shown}\n\n{}\nGo on:\n  fidelity generate {} \
         \"fn main\" --max-tokens 200\n  fidelity inspect {} --svg model.svg\n",
        report.prompt,
        report.prompt,
        report.table(),
        report.model.display(),
        report.model.display(),
    ))
}
