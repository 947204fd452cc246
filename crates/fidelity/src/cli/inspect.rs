//! `fidelity inspect`: what a model folder or a bundle holds, and its graph.

use super::common::{self, Threads, Without};
use super::print;
use anyhow::Result;
use fidelity::bundle::BundleInspection;
use fidelity::calibration;
use fidelity::convert::{Kind, kind};
use fidelity::error::Fault;
use fidelity::gguf::GgufInspection;
use fidelity::inspect::{Inspection, PlanForm, PlanRequest, Which, model_graph, plan_report};
use graph::draw::{self, DrawOptions};
use models::architecture::ModelConfig;
use models::bundle::ModelBundle;
use models::folder::ModelFolder;
use models::gguf::GgufModel;
use std::path::{Path, PathBuf};

pub(super) const EXAMPLES: &str = "\
Examples:
  fidelity inspect MODEL                              configuration, parameters, sizes
  fidelity inspect MODEL --trits --json               the same as JSON, with counts of -1, 0 and 1
  fidelity inspect model.fid                          sections, layouts, bits per weight, trits
  fidelity inspect MODEL --svg model.svg              a drawing, grouped by layer
  fidelity inspect MODEL --graph --step               the text form of the streaming step
  fidelity inspect MODEL --plan --form prepared --tokens 512
  fidelity inspect MODEL --plan --form stream --json
  fidelity inspect MODEL --plan --form train --batch 8 --tokens 64 --svg buffers.svg
  fidelity inspect MODEL --plan --without gated,reuse --machine nvidia-h100-sxm";

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("shown").args(["svg", "graph", "plan"]).multiple(true))]
pub(super) struct Args {
    /// Folder of the model, or a bundle
    model: PathBuf,
    /// Print one JSON value; of a plan everything that is known of it
    #[arg(long, conflicts_with = "graph")]
    json: bool,
    /// Count the trits of every ternary parameter (reads all weights; of a bundle they are always counted)
    #[arg(long, conflicts_with = "shown")]
    trits: bool,
    /// Draw the graph into this file, or with --plan the memory over time; - is standard output
    #[arg(long, value_name = "FILE", conflicts_with = "graph")]
    svg: Option<PathBuf>,
    /// Print the graph's text form
    #[arg(long)]
    graph: bool,
    /// Print the plan: what runs in which order, how it is fused, cut and laid out, in how much memory and time
    #[arg(long, conflicts_with = "graph")]
    plan: bool,
    /// What is planned: sequence (or float), integer, prepared (packed trits), stream (one token), train
    #[arg(long, value_name = "FORM", value_parser = parse_form, requires = "plan")]
    form: Option<PlanForm>,
    /// The machine that times are predicted for: a data sheet's name, or a file of `fidelity calibrate`; without it this
    /// one, as it was calibrated
    #[arg(long, value_name = "NAME|FILE", requires = "plan")]
    machine: Option<String>,
    #[command(flatten)]
    without: Without,
    /// Target of the plan
    #[arg(long, value_name = "T", default_value = "cpu", value_parser = parse_target, requires = "plan")]
    target: String,
    /// Sequences, for the plan
    #[arg(long, value_name = "B", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: u32,
    /// Tokens per sequence, for the plan; of a stream the room of its caches
    #[arg(long, visible_alias = "tokens", value_name = "T", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    length: u32,
    /// The streaming step instead of the whole sequence
    #[arg(long, requires = "shown")]
    step: bool,
    /// Levels of frames in the drawing; what lies deeper is one block
    #[arg(long, value_name = "N", default_value_t = 2)]
    depth: usize,
    #[command(flatten)]
    threads: Threads,
}

fn parse_form(text: &str) -> Result<PlanForm, String> {
    Ok(match text {
        "sequence" | "float" => PlanForm::Float,
        "integer" => PlanForm::Integer,
        "prepared" => PlanForm::Prepared,
        "stream" => PlanForm::Stream,
        "train" => PlanForm::Train,
        _ => return Err("there is no such form; write sequence, integer, prepared, stream or train".into()),
    })
}

fn parse_target(text: &str) -> Result<String, String> {
    match text {
        "cpu" => Ok(text.to_owned()),
        "nvidia" | "amd" | "tenstorrent" | "fpga" => {
            Err(format!("plans for {text} are not available yet; cpu is"))
        }
        _ => Err("there is no such target; write cpu".into()),
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    if args.svg.is_some() || args.graph || args.plan {
        return show(args);
    }
    if kind(&args.model) == Kind::Gguf {
        let inspection = GgufInspection::open(&args.model)?;
        return if args.json { print::json(&inspection) } else { print::text(&inspection.to_string()) };
    }
    if kind(&args.model) == Kind::Bundle {
        let inspection = BundleInspection::open(&args.model)?;
        if args.json {
            return print::json(&inspection);
        }
        common::warn(&inspection.warnings);
        return print::text(&inspection.to_string());
    }
    let mut inspection = Inspection::open(&args.model)?;
    if args.trits {
        inspection.count_trits(&mut fidelity::loaded::Loaded::open(&args.model)?, &args.threads.pool())?;
    }
    if args.json {
        return print::json(&inspection);
    }
    common::warn(&inspection.warnings);
    print::text(&inspection.to_string())
}

/// The graph: drawn, printed or planned.
fn show(args: &Args) -> Result<()> {
    if let Some(path) = args.svg.as_deref().filter(|p| *p != Path::new("-")) {
        common::check_output(path)?;
    }
    let (config, warnings) = match kind(&args.model) {
        Kind::Folder => {
            let parsed = ModelConfig::from_folder(&ModelFolder::open(&args.model)?)?;
            (parsed.config, parsed.warnings)
        }
        Kind::Gguf => {
            let model = GgufModel::open(&args.model)?;
            (model.config().clone(), model.warnings().to_vec())
        }
        Kind::Bundle => {
            let model = ModelBundle::open(&args.model)?;
            (model.config().clone(), model.warnings().to_vec())
        }
    };
    common::warn(&warnings);
    if args.plan {
        return plan(args, &config);
    }
    if args.json {
        let cause = "--json and --svg are one picture of the graph and one value of the model";
        return Err(Fault::new(cause, "leave one out, or add --plan").into());
    }
    let graph = model_graph(&config, if args.step { Which::Step } else { Which::Sequence })?;
    let Some(path) = &args.svg else { return print::text(&format!("{graph}\n")) };
    let name = args.model.file_name().map_or("model".into(), |n| n.to_string_lossy());
    let form = if args.step { "streaming step" } else { "whole sequence" };
    let options = DrawOptions { depth: args.depth, title: Some(format!("{name}, {form}")) };
    let svg = draw::svg(&graph, &options);
    if path == Path::new("-") {
        return print::text(&svg);
    }
    models::atomic::write_bytes(path, svg.as_bytes())?;
    print::note(&format!("drawn into {} ({} bytes)", path.display(), svg.len()));
    Ok(())
}

/// The plan: as a table, as JSON, as a picture of its memory.
fn plan(args: &Args, config: &ModelConfig) -> Result<()> {
    let threads = args.threads.count();
    let machine = calibration::machine(args.machine.as_deref(), threads)?;
    let form = args.form.unwrap_or(if args.step { PlanForm::Stream } else { PlanForm::Float });
    let name = args.model.file_name().map_or("model".into(), |n| n.to_string_lossy());
    let report = plan_report(
        config,
        &PlanRequest {
            form,
            batch: args.batch as usize,
            tokens: args.length as usize,
            switches: args.without.switches(),
            machine: &machine,
            threads,
            name: &name,
        },
    )?;
    match &args.svg {
        Some(path) if path == Path::new("-") => return print::text(&report.to_svg()),
        Some(path) => {
            let svg = report.to_svg();
            models::atomic::write_bytes(path, svg.as_bytes())?;
            print::note(&format!("drawn into {} ({} bytes)", path.display(), svg.len()));
        }
        None => {}
    }
    match (args.json, &args.svg) {
        (true, _) => print::json(&report),
        (false, Some(_)) => Ok(()),
        (false, None) => print::text(&report.to_string()),
    }
}
