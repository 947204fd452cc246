//! `fidelity calibrate`: what this machine does in how long, for the predicted times of plans.

use super::common::{self, Threads};
use super::print;
use anyhow::Result;
use fidelity::calibration;
use premap::{Kernel, Machine};
use std::fmt::Write;
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "\
Runs small plans through the engine, one or more for each kernel, and remembers bandwidths,
rates and fixed costs in the cache folder ($XDG_CACHE_HOME/fidelity or ~/.cache/fidelity).
`fidelity inspect MODEL --plan` predicts with them. Takes some seconds; other programs that
compute meanwhile make every figure worse.

Examples:
  fidelity calibrate
  fidelity calibrate --threads 1 --json
  fidelity calibrate --out machine.json
  fidelity bench --predict                        how far predictions are off here";

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    threads: Threads,
    /// Write the machine into this file too, for --machine elsewhere
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON value
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    if let Some(path) = &args.out {
        common::check_output(path)?;
    }
    let mut say = |line: &str| print::note(&format!("· {line}"));
    let (measured, file) = calibration::measure_machine(args.threads.count(), &mut say)?;
    match &file {
        Some(file) => print::note(&format!("remembered in {}", file.display())),
        None => print::note("warning: the cache folder cannot be written, so nothing is remembered"),
    }
    if let Some(path) = &args.out {
        models::atomic::write_bytes(path, &serde_json::to_vec_pretty(&measured.machine)?)?;
        print::note(&format!("written to {}", path.display()));
    }
    if args.json { print::json(&measured.machine) } else { print::text(&table(&measured.machine)) }
}

/// The machine as a table.
fn table(m: &Machine) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{} ({})\n", m.name, m.note);
    let _ = writeln!(
        out,
        "{:<8} {:>10} {:>9} {:>9} {:>9} {:>9}",
        "level", "bytes", "read", "all", "write", "all"
    );
    for l in &m.levels {
        let size = l.bytes.map_or("–".into(), fidelity::inspect::size);
        let _ = writeln!(
            out,
            "{:<8} {size:>10} {:>9.1} {:>9.1} {:>9.1} {:>9.1}  GB/s",
            l.name, l.read[0], l.read[1], l.write[0], l.write[1]
        );
    }
    let _ =
        writeln!(out, "\n{:<20} {:>12} {:>12} {:>12}  unit", "kernel", "ns a unit", "ns a row", "ns a step");
    for k in Kernel::ALL {
        let r = m.rate(*k);
        let _ =
            writeln!(out, "{:<20} {:>12.5} {:>12.3} {:>12.0}  {}", k.name(), r.unit, r.row, r.step, k.unit());
    }
    let _ = writeln!(
        out,
        "\na run {:.0} ns, a barrier {:.0} ns, a further thread gains {:.0} %, overlap {}",
        m.run,
        m.barrier,
        100.0 * m.gain,
        m.overlap
    );
    out
}
