//! The machine's limits.

use super::{Options, Part, Spread};
use engine::kernels::simd::level;
use engine::measure::{clock, cold_bytes, fused_multiply_add, multiply_accumulate, read_bandwidth};
use engine::pages::Pages;
use serde::Serialize;
use std::time::Duration;

/// What was measured of the machine. Peaks and bandwidth are needed as limits, so they are there in any case.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
    /// Cycles a nanosecond.
    pub clock_ghz: Spread,
    /// Bandwidth of reads, on pages as usual and on huge ones.
    pub bandwidth: Vec<Bandwidth>,
    /// Peaks of arithmetic.
    pub peaks: Vec<Peak>,
}

/// Bandwidth of reads from memory.
#[derive(Clone, Debug, Serialize)]
pub struct Bandwidth {
    /// Threads that read.
    pub threads: usize,
    /// Whether the memory asked for huge pages.
    pub huge_pages: bool,
    /// Share of it that got them, where the system tells.
    pub huge_share: Option<f64>,
    /// Gigabytes a second.
    pub gigabytes: Spread,
}

/// A peak of arithmetic.
#[derive(Clone, Debug, Serialize)]
pub struct Peak {
    /// Threads that compute.
    pub threads: usize,
    /// `int8 GMAC/s` or `f32 GFLOP/s`.
    pub unit: &'static str,
    /// In that unit.
    pub rate: Spread,
}

/// Unit of the peak of products of bytes.
pub(super) const MACS: &str = "int8 GMAC/s";

impl Machine {
    /// Bytes a second that this many threads read, from pages as usual.
    pub fn bandwidth_of(&self, threads: usize) -> f64 {
        let found = self.bandwidth.iter().find(|b| b.threads == threads && !b.huge_pages);
        found.map_or(0.0, |b| 1e9 * b.gigabytes.median)
    }

    /// Multiply-accumulates of bytes a second that this many threads do at most.
    pub fn macs_of(&self, threads: usize) -> f64 {
        let found = self.peaks.iter().find(|p| p.threads == threads && p.unit == MACS);
        found.map_or(0.0, |p| 1e9 * p.rate.median)
    }
}

pub(super) fn measure(options: &Options, say: &mut dyn FnMut(&str)) -> Machine {
    let mut machine = Machine::default();
    let limit = Duration::from_millis(if options.quick { 120 } else { 300 });
    say("bandwidth of reads");
    let both = options.wants(Part::Bandwidth);
    for huge in if both { &[false, true][..] } else { &[false] } {
        let mut memory = Pages::new(cold_bytes(), *huge);
        memory.fill(1);
        let share = memory.huge_bytes().map(|bytes| bytes as f64 / memory.len() as f64);
        for threads in &options.threads {
            let rate = read_bandwidth(&options.pool(*threads), &memory, limit);
            let (threads, huge_share) = (*threads, share);
            machine.bandwidth.push(Bandwidth {
                threads,
                huge_pages: *huge,
                huge_share,
                gigabytes: rate.into(),
            });
        }
    }
    say("clock and peaks of arithmetic");
    machine.clock_ghz = clock().into();
    for threads in options.threads.iter().copied() {
        let rate = multiply_accumulate(threads, level()).into();
        machine.peaks.push(Peak { threads, unit: MACS, rate });
        if options.wants(Part::Clock) {
            let rate = fused_multiply_add(threads, level()).into();
            machine.peaks.push(Peak { threads, unit: "f32 GFLOP/s", rate });
        }
    }
    machine
}
