//! `fidelity bench`: this machine, the kernels and a model, each beside its limit.

use super::common;
use super::print;
use anyhow::Result;
use clap::ValueEnum;
use engine::pool::Pool;
use fidelity::bench::{self, Options, Part, Peer, Target};
use fidelity::error::Fault;
use models::shapes::Shape;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) const EXAMPLES: &str = "\
Without MODEL and --shape, a small model with random weights is made in the cache folder
($XDG_CACHE_HOME/fidelity/bench or ~/.cache/fidelity/bench) and used again by later runs.
Each number stands beside its limit: bytes at the bandwidth that is measured in the same
minutes, or operations at the peak rate. Results go to standard output, progress to
standard error. The default takes up to 5 minutes, --quick one.

--peers runs llama.cpp (the PyPI package llama-cpp-python) in turn with us on
--peer-model FILE.gguf, on MODEL where that is a GGUF file, or on a file that is made of a
BitNet --shape. FIDELITY_PEERS names the Python that has the package [default: python3].

Examples:
  fidelity bench --quick
  fidelity bench --markdown --svg roofline.svg
  fidelity bench --only bandwidth,clock,kernels --threads 1,2,4 --json
  fidelity bench model.fid --only decode,prefill,memory,start
  fidelity bench --shape mmfree-2.7b
  fidelity bench --predict --calibrate --svg predicted.svg
  fidelity bench --switches --threads 1
  fidelity bench --shape bitnet-2b4t --peers --only decode,prefill
  FIDELITY_PEERS=venv/bin/python fidelity bench model.fid --peers --peer-model model.gguf";

#[derive(clap::Args)]
pub(super) struct Args {
    /// A model folder, a bundle (.fid) or a GGUF file
    #[arg(conflicts_with = "shape")]
    model: Option<PathBuf>,
    /// A size of `fidelity synth --list`, with random weights
    #[arg(long, value_name = "NAME", value_parser = super::convert::parse_shape)]
    shape: Option<&'static Shape>,
    /// Print one JSON value
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print Markdown tables, which is the default
    #[arg(long)]
    markdown: bool,
    /// Write the roofline, a picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Time llama.cpp in turn with us
    #[arg(long)]
    peers: bool,
    /// The GGUF file that llama.cpp reads; of the same shape as the model
    #[arg(long, value_name = "FILE", requires = "peers")]
    peer_model: Option<PathBuf>,
    /// A minute at most: a small model, fewer products and repeats
    #[arg(long)]
    quick: bool,
    /// Numbers of threads to measure with [default: 1 and one per core]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Vec<u32>,
    /// Hold the model's weights in memory on huge pages, as `generate --huge-pages` does
    #[arg(long)]
    huge_pages: bool,
    /// Predicted against measured time over plans that the cost model was not calibrated on: a table, or with --json one
    /// value; --svg is the plot. Calibrates first where that has not been done, or with --calibrate
    #[arg(long, conflicts_with_all = ["model", "shape", "peers", "only", "huge_pages"])]
    predict: bool,
    /// What each optimisation of plans is worth, in time and memory, for a sequence, a streaming and a training step
    #[arg(long, conflicts_with_all = ["model", "shape", "peers", "only", "huge_pages", "predict", "svg"])]
    switches: bool,
    /// Measure this machine for the cost model first, as `fidelity calibrate` does
    #[arg(long)]
    calibrate: bool,
    /// Only these parts
    #[arg(long, value_name = "PART,…", value_delimiter = ',', value_enum)]
    only: Vec<Only>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Only {
    Bandwidth,
    Clock,
    Kernels,
    Decode,
    Prefill,
    Memory,
    Start,
}

impl From<Only> for Part {
    fn from(only: Only) -> Part {
        match only {
            Only::Bandwidth => Part::Bandwidth,
            Only::Clock => Part::Clock,
            Only::Kernels => Part::Kernels,
            Only::Decode => Part::Decode,
            Only::Prefill => Part::Prefill,
            Only::Memory => Part::Memory,
            Only::Start => Part::Start,
        }
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    if let Some(path) = &args.svg {
        common::check_output(path)?;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut threads: Vec<usize> = args.threads.iter().map(|n| *n as usize).collect();
    if threads.is_empty() {
        threads = vec![1, cores];
    }
    threads.dedup();
    if args.predict {
        let most = threads.iter().copied().max().unwrap_or(1);
        return super::premap::predict(most, args.quick, args.calibrate, args.json, args.svg.as_deref());
    }
    if args.switches {
        return super::premap::switches(&threads, args.quick, args.calibrate, args.json);
    }
    if args.calibrate {
        for threads in &threads {
            let mut say = |line: &str| print::note(&format!("· {line}"));
            fidelity::calibration::measure_machine(*threads, &mut say)?;
        }
    }
    let mut parts: Vec<Part> = args.only.iter().map(|part| (*part).into()).collect();
    if parts.is_empty() {
        parts = Part::ALL.to_vec();
    }
    let mut say = |line: &str| print::note(&format!("· {line}"));
    let target = match (&args.model, args.shape) {
        (Some(path), _) => Some(Target::at(path)),
        (None, shape) if shape.is_some() || parts.iter().any(|p| *p as usize >= Part::Decode as usize) => {
            let name = if args.quick { "mmfree-30m" } else { "mmfree-370m" };
            let Some(shape) = shape.or_else(|| Shape::find(name)) else { return Ok(()) };
            Some(Target::synthetic(shape, &Arc::new(Pool::new(cores)), &mut say)?)
        }
        _ => None,
    };
    let peer = if args.peers { Some(peer(args, cores, &mut say)?) } else { None };
    let options = Options {
        target,
        threads,
        parts,
        quick: args.quick,
        peer,
        huge_pages: args.huge_pages,
        program: std::env::current_exe().ok(),
    };
    let report = bench::run(&options, &mut say)?;
    if let Some(path) = &args.svg {
        models::atomic::write_bytes(path, report.to_svg().as_bytes())?;
        print::note(&format!("roofline written to {}", path.display()));
    }
    if args.json { print::json(&report) } else { print::text(&report.to_markdown()) }
}

fn peer(args: &Args, cores: usize, say: &mut dyn FnMut(&str)) -> Result<Peer> {
    let given = args.peer_model.clone();
    let own = || args.model.clone().filter(|path| bench::is_gguf(path));
    let made = match args.shape {
        Some(shape) if given.is_none() => Some(Target::peer_file(shape, &Arc::new(Pool::new(cores)), say)?),
        _ => None,
    };
    let Some(file) = given.or_else(own).or(made) else {
        let cause = "llama.cpp reads GGUF files, and none is named";
        return Err(Fault::new(cause, "name one of the same shape with --peer-model FILE.gguf").into());
    };
    Ok(Peer { python: Peer::python(), file })
}
