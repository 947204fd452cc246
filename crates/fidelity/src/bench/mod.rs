//! `fidelity bench`: what this machine can do, what the kernels and models make of it, and what peers do meanwhile.
//!
//! Every number stands beside its limit. The limit of a product is the longer of two times: its bytes at the bandwidth of
//! reads, its multiply-accumulates at the peak of the instruction that does them; both are measured in the same minutes, the
//! bandwidth between the repeats of what it limits, because on shared machines it moves. Peers take turns with us, round
//! by round, so that a slow phase hits both; ratios are those of medians and of bests, with the range over the rounds.
//!
//! Reported are best, median and the tenth percentile. Roofline after Williams et al. 2009.

mod energy;
mod kernels;
mod machine;
mod markdown;
mod model;
mod peers;
mod picture;

use crate::calibration::{self, Calibration};
use crate::error::fault;
use crate::loaded::Loaded;
use anyhow::Result;
use engine::kernels::simd;
use engine::measure::Rate;
use engine::pool::Pool;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

pub use energy::Counter;
pub use kernels::Kernel;
pub use machine::{Bandwidth, Machine, Peak};
pub use model::{Memory, ModelReport, Speed, Start, Target};
pub use peers::{Peer, Versus, is_gguf};

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Bandwidth of reads.
    Bandwidth,
    /// Cycles a second, and peaks of arithmetic.
    Clock,
    /// Products with packed trits and with weights in blocks.
    Kernels,
    /// Tokens a second, one after another.
    Decode,
    /// Tokens a second of a prompt.
    Prefill,
    /// Resident memory.
    Memory,
    /// Time from the start of the program to the first token.
    Start,
}

impl Part {
    /// All of them, in the order in which they run.
    pub const ALL: [Part; 7] =
        [Part::Bandwidth, Part::Clock, Part::Kernels, Part::Decode, Part::Prefill, Part::Memory, Part::Start];

    /// The name in options.
    pub fn name(self) -> &'static str {
        match self {
            Part::Bandwidth => "bandwidth",
            Part::Clock => "clock",
            Part::Kernels => "kernels",
            Part::Decode => "decode",
            Part::Prefill => "prefill",
            Part::Memory => "memory",
            Part::Start => "start",
        }
    }
}

/// What to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The model, if any is wanted.
    pub target: Option<Target>,
    /// Numbers of threads, each measured.
    pub threads: Vec<usize>,
    /// Parts; those that need a model are left out where there is none.
    pub parts: Vec<Part>,
    /// Fewer repeats and smaller products.
    pub quick: bool,
    /// Time against llama.cpp, through this Python.
    pub peer: Option<Peer>,
    /// Hold the weights on huge pages.
    pub huge_pages: bool,
    /// The `fidelity` program, for what needs a process of its own.
    pub program: Option<PathBuf>,
}

impl Options {
    /// Whether a part is wanted.
    pub fn wants(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// A pool of this many threads, as the options say.
    pub(crate) fn pool(&self, threads: usize) -> Pool {
        Pool::new(threads)
    }
}

/// Repeats of a measurement; the unit is that of the field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The best.
    pub best: f64,
    /// The middle one.
    pub median: f64,
    /// The one that nine of ten are better than.
    pub low: f64,
    /// How many there were.
    pub repeats: usize,
}

impl From<Rate> for Spread {
    fn from(rate: Rate) -> Spread {
        Spread { best: rate.best, median: rate.median, low: rate.low, repeats: rate.repeats }
    }
}

impl Spread {
    /// Work a second, of repeats that took these seconds.
    pub(crate) fn per_second(work: f64, seconds: &[f64]) -> Spread {
        let Rate { best, median, low, repeats } = Rate::new(work * 1e9, seconds);
        Spread { best, median, low, repeats }
    }

    /// Seconds themselves: the least is the best.
    pub(crate) fn of_seconds(seconds: &[f64]) -> Spread {
        let Spread { best, median, low, repeats } = Spread::per_second(1.0, seconds);
        let inverse = |x: f64| if x > 0.0 { 1.0 / x } else { 0.0 };
        Spread { best: inverse(best), median: inverse(median), low: inverse(low), repeats }
    }
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this program.
    pub version: &'static str,
    /// The processor, where the system tells.
    pub processor: Option<String>,
    /// The instruction set of the kernels.
    pub simd: &'static str,
    /// Numbers of threads.
    pub threads: Vec<usize>,
    /// The machine.
    pub machine: Machine,
    /// Which layout of trits is faster, for each number of threads.
    pub layouts: Vec<Calibration>,
    /// Products with packed trits and with weights in blocks.
    pub kernels: Vec<Kernel>,
    /// The model.
    pub model: Option<ModelReport>,
    /// Why joules are missing, where they are.
    pub energy: Option<String>,
    /// What else there is to know.
    pub notes: Vec<String>,
    /// Seconds that it took.
    pub seconds: f64,
}

impl Report {
    /// Tables.
    pub fn to_markdown(&self) -> String {
        markdown::write(self)
    }

    /// The roofline.
    pub fn to_svg(&self) -> String {
        picture::roofline(self).to_svg()
    }
}

/// Measures; `say` hears what is going on.
///
/// # Errors
/// A model that cannot be opened or made, a peer that was asked for and is not there.
pub fn run(options: &Options, say: &mut dyn FnMut(&str)) -> Result<Report> {
    if options.threads.is_empty() || options.threads.contains(&0) {
        return fault("expected numbers of threads of at least 1, found none or 0", "write --threads 1,2");
    }
    let started = Instant::now();
    let mut notes = vec![];
    // A model that cannot be opened is told now, not minutes later.
    if let Some(target) = &options.target {
        Loaded::open(&target.path)?;
    }
    let machine = machine::measure(options, say);
    let mut layouts = vec![];
    if options.wants(Part::Kernels) {
        for threads in &options.threads {
            layouts.push(calibration::layout(&options.pool(*threads), false));
        }
    }
    let kernels =
        if options.wants(Part::Kernels) { kernels::measure(options, &machine, say) } else { vec![] };
    let counter = Counter::open();
    let energy = match &counter {
        Ok(_) => None,
        Err(reason) => Some(reason.clone()),
    };
    let model = match &options.target {
        Some(target) if options.parts.iter().any(|part| *part as usize >= Part::Decode as usize) => {
            Some(model::measure(options, target, &machine, counter.as_ref().ok(), &mut notes, say)?)
        }
        _ => None,
    };
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        processor: crate::doctor::processor(),
        simd: simd::level().name(),
        threads: options.threads.clone(),
        machine,
        layouts,
        kernels,
        energy: energy.filter(|_| model.is_some()),
        model,
        notes,
        seconds: started.elapsed().as_secs_f64(),
    })
}
