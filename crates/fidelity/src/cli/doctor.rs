//! `fidelity doctor`: what this computer has.

use super::print;
use anyhow::Result;
use engine::pool::Pool;
use fidelity::calibration;
use fidelity::doctor::Report;

pub(super) const EXAMPLES: &str = "\
Examples:
  fidelity doctor
  fidelity doctor --recalibrate                  measure anew which layout of trits is faster here
  fidelity doctor --json | python3 -m json.tool";

#[derive(clap::Args)]
pub(super) struct Args {
    /// Print one JSON value
    #[arg(long)]
    json: bool,
    /// Measure anew which layout of trits is faster on all threads of this computer; takes a second
    #[arg(long)]
    recalibrate: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    if args.recalibrate {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        calibration::layout(&Pool::new(threads), true);
    }
    let report = Report::new();
    if args.json { print::json(&report) } else { print::text(&report.to_string()) }
}
