//! `fidelity inspect`: what a model folder or a bundle holds, and its graph.

use super::common::{self, Threads};
use super::print;
use anyhow::Result;
use fidelity::bundle::BundleInspection;
use fidelity::convert::{Kind, kind};
use fidelity::gguf::GgufInspection;
use fidelity::inspect::{Inspection, Which, describe_plan, model_graph};
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
  fidelity inspect MODEL --plan --batch 8 --length 256";

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("shown").args(["svg", "graph", "plan"]).multiple(false))]
pub(super) struct Args {
    /// Folder of the model, or a bundle
    model: PathBuf,
    /// Print one JSON value
    #[arg(long, conflicts_with = "shown")]
    json: bool,
    /// Count the trits of every ternary parameter (reads all weights; of a bundle they are always counted)
    #[arg(long, conflicts_with = "shown")]
    trits: bool,
    /// Draw the graph into this file; - is standard output
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print the graph's text form
    #[arg(long)]
    graph: bool,
    /// Print the plan: what runs, in which order, in how much memory
    #[arg(long)]
    plan: bool,
    /// Target of the plan
    #[arg(long, value_name = "T", default_value = "cpu", value_parser = parse_target, requires = "plan")]
    target: String,
    /// Sequences, for the plan
    #[arg(long, value_name = "B", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: u32,
    /// Tokens per sequence, for the plan
    #[arg(long, value_name = "T", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
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
    let graph = model_graph(&config, if args.step { Which::Step } else { Which::Sequence })?;
    let Some(path) = &args.svg else {
        return print::text(&if args.plan {
            describe_plan(&graph, args.batch as usize, args.length as usize)?
        } else {
            format!("{graph}\n")
        });
    };
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
