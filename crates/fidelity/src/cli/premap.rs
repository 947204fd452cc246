//! `fidelity bench --predict` and `--switches`: how far predicted times are off, and what each optimisation is worth.

use super::print;
use anyhow::Result;
use fidelity::calibration;
use fidelity::premapping::{judge, worth};
use premap::Machine;
use std::path::Path;

/// This machine as it is now: measured unless it is remembered and `again` is false.
fn machine(threads: usize, again: bool, say: &mut dyn FnMut(&str)) -> Result<Machine> {
    match calibration::remembered_machine(threads).filter(|_| !again) {
        Some(found) => Ok(found.machine),
        None => Ok(calibration::measure_machine(threads, say)?.0.machine),
    }
}

/// Predicted against measured, over the plans that are judged.
pub(super) fn predict(
    threads: usize,
    quick: bool,
    again: bool,
    json: bool,
    svg: Option<&Path>,
) -> Result<()> {
    let mut say = |line: &str| print::note(&format!("· {line}"));
    let machine = machine(threads, again, &mut say)?;
    let judged = judge::run(&machine, if quick { 3 } else { 9 }, &mut say)?;
    if let Some(path) = svg {
        models::atomic::write_bytes(path, judged.to_svg().as_bytes())?;
        print::note(&format!("plot written to {}", path.display()));
    }
    if json { print::json(&judged) } else { print::text(&judged.to_string()) }
}

/// What each optimisation is worth.
pub(super) fn switches(threads: &[usize], quick: bool, again: bool, json: bool) -> Result<()> {
    let mut say = |line: &str| print::note(&format!("· {line}"));
    let most = threads.iter().copied().max().unwrap_or(1);
    let machine = machine(most, again, &mut say)?;
    let mut all: Option<worth::Worth> = None;
    for threads in threads {
        let made = worth::run(&machine, *threads, if quick { 3 } else { 9 }, quick, &mut say)?;
        match &mut all {
            None => all = Some(made),
            Some(all) => all.models.extend(made.models),
        }
    }
    let Some(all) = all else { return Ok(()) };
    if json { print::json(&all) } else { print::text(&all.to_string()) }
}
