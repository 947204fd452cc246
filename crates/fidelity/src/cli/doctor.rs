//! `fidelity doctor`: what this computer has.

use super::print;
use anyhow::Result;
use fidelity::doctor::Report;

pub(super) const EXAMPLES: &str = "\
Examples:
  fidelity doctor
  fidelity doctor --json | python3 -m json.tool";

#[derive(clap::Args)]
pub(super) struct Args {
    /// Print one JSON value
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let report = Report::new();
    if args.json { print::json(&report) } else { print::text(&report.to_string()) }
}
