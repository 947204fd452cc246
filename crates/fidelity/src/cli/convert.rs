//! `fidelity pack`, `unpack`, `convert` and `synth`: models in other forms.

use super::common::{self, Threads};
use super::forms::{Layout, Wanted, parse_embedding};
use super::print;
use anyhow::Result;
use clap::ValueEnum;
use fidelity::convert::{self, Form, Kind, Model, Step};
use fidelity::error::Fault;
use fidelity::inspect::size;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use models::bundle::{EmbeddingType, PackOptions};
use models::safetensors::FloatType;
use models::shapes::{SHAPES, Shape};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub(super) const PACK_EXAMPLES: &str = "\
The bundle holds what runs: trits, scales, norms, embedding, tokenizer, configuration. The
weights that the trits were made of are not in it; keep the folder to go on training.
docs/bundle.md describes the file.

Examples:
  fidelity pack MODEL model.fid                     the layout that is faster on this computer
  fidelity pack MODEL model.fid --layout compute    the same file on every computer
  fidelity pack MODEL model.fid --layout storage --embedding int8     the smallest file";

pub(super) const UNPACK_EXAMPLES: &str = "\
The folder's weights have the trits and the scale of the bundle's when they are quantised.

Examples:
  fidelity unpack model.fid MODEL
  fidelity unpack model.fid MODEL --dtype bf16";

pub(super) const CONVERT_EXAMPLES: &str = "\
IN is a model folder, a bundle or a GGUF file; OUT a bundle where its name ends in .fid, a
GGUF file where it ends in .gguf, and a folder otherwise. T is

  for a folder       f32, bf16, f16, f64: master weights; packed: BitNet's trits in bytes
  for a bundle       a layout of trits: compute, interchange, storage, auto; for Qwen3 a type
                     of blocks: f16, bf16, q8_0, q6_k, q4_k, q4_0, q2_0, q1_0, tq2_0, tq1_0
  for a GGUF file    a type of ternary matrices: tq2_0, tq1_0, q2_0, i2_s, f16, bf16, f32, or
                     one that rounds them: q8_0, q6_k, q4_k, q4_0. Qwen3's matrices are
                     numbers and rounded to any of these but i2_s (bf16 unless said)

Trits and their scales stay what they are in every direction, but where T rounds them, and
between bundles and GGUF files every matrix keeps its own type and bytes unless T is given.
A layout that is not named is the one that is faster on this computer (auto).

Examples:
  fidelity convert MODEL MODEL-bf16 --type bf16
  fidelity convert MODEL model.fid --type interchange
  fidelity convert model.fid small.fid --type storage --embedding int8
  fidelity convert model.fid MODEL
  fidelity convert MODEL model.gguf --embedding q6_k
  fidelity convert QWEN3 model.gguf --type q2_0 --embedding q6_k
  fidelity convert model.gguf MODEL --type packed";

pub(super) const SYNTH_EXAMPLES: &str = "\
The weights are random, as at the start of training. The same seed gives the same model.
Byte-level shapes come with their tokenizer; the published ones run on --tokens.

Examples:
  fidelity synth --list
  fidelity synth --shape mmfree-1m MODEL
  fidelity synth --shape mmfree-370m model.fid --seed 7";

#[derive(Clone, Copy, ValueEnum)]
enum Float {
    F32,
    Bf16,
    F16,
    F64,
}

impl From<Float> for FloatType {
    fn from(float: Float) -> FloatType {
        match float {
            Float::F32 => FloatType::F32,
            Float::Bf16 => FloatType::Bf16,
            Float::F16 => FloatType::F16,
            Float::F64 => FloatType::F64,
        }
    }
}

#[derive(clap::Args)]
pub(super) struct PackArgs {
    /// Folder of the model
    model: PathBuf,
    /// The bundle to write
    #[arg(value_name = "OUT.fid")]
    out: PathBuf,
    /// How the trits lie
    #[arg(long, value_enum, default_value = "auto")]
    layout: Layout,
    /// How the embedding is stored: f32, bf16, int8, or in blocks (f16, q8_0, q6_k, q4_k, q4_0). A head that is not
    /// ternary is stored so too, and is then multiplied in integers. Unless said, numbers stay f32 and blocks blocks
    #[arg(long, value_name = "TYPE", value_parser = parse_embedding)]
    embedding: Option<EmbeddingType>,
    /// With --layout auto: measure anew, whatever is remembered
    #[arg(long)]
    recalibrate: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) fn pack(args: &PackArgs) -> Result<()> {
    // Any name will do, since a bundle is known by its first bytes, but for one that promises another file.
    if convert::named(&args.out) == Kind::Gguf {
        let cause = format!("{} has the name of a GGUF file", args.out.display());
        return Err(Fault::new(cause, "name a file that ends in .fid, or use `fidelity convert`").into());
    }
    if args.recalibrate && args.layout != Layout::Auto {
        let cause = "--recalibrate measures for --layout auto, and another layout is named";
        return Err(Fault::new(cause, "write --layout auto, or leave --recalibrate out").into());
    }
    let model = open(&args.model)?;
    // Before anything is measured for a file that cannot be written.
    common::check_output(&args.out)?;
    let layout = args.layout.resolve(&model, &args.output.threads.pool(), args.recalibrate);
    let options = PackOptions { layout, embedding: args.embedding, matrices: None };
    run(&model, &args.out, Form::Bundle(options), false, &args.output)
}

#[derive(clap::Args)]
pub(super) struct UnpackArgs {
    /// The bundle
    #[arg(value_name = "IN.fid")]
    bundle: PathBuf,
    /// The folder to write
    dir: PathBuf,
    /// Type of the weights
    #[arg(long, value_enum, default_value = "f32")]
    dtype: Float,
    #[command(flatten)]
    output: Output,
}

pub(super) fn unpack(args: &UnpackArgs) -> Result<()> {
    if args.bundle.is_dir() {
        let cause = format!("{} is a folder, not a bundle", args.bundle.display());
        return Err(Fault::new(cause, "`fidelity convert` takes folders to folders").into());
    }
    if convert::named(&args.dir) != Kind::Folder {
        let cause = format!("{} has the name of a file", args.dir.display());
        return Err(Fault::new(cause, "name a folder, or use `fidelity convert`").into());
    }
    let model = Model::Bundle(Box::new(models::bundle::ModelBundle::open(&args.bundle)?));
    common::warn(model.warnings());
    run(&model, &args.dir, Form::Folder(args.dtype.into()), false, &args.output)
}

#[derive(clap::Args)]
pub(super) struct ConvertArgs {
    /// A model folder, a bundle or a GGUF file
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The folder, the bundle (.fid) or the GGUF file (.gguf) to write
    out: PathBuf,
    /// Type of a folder's weights (f32, or packed where IN has BitNet's trits), layout of a bundle's
    /// trits (that of IN, or auto), type of a GGUF file's matrices (each as in IN, or tq2_0, for Qwen3 bf16)
    #[arg(long = "type", value_name = "T")]
    kind: Option<String>,
    /// How the embedding of a bundle or a GGUF file is stored (as in IN)
    #[arg(long, value_name = "TYPE")]
    embedding: Option<String>,
    /// Give each ternary matrix one scale where IN has one for each block of numbers and OUT has not: what
    /// that loses is told
    #[arg(long)]
    one_scale: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) fn convert(args: &ConvertArgs) -> Result<()> {
    // The types are looked at before anything is opened.
    let wanted = Wanted::parse(&args.out, args.kind.as_deref(), args.embedding.as_deref())?;
    let model = open(&args.input)?;
    let form = wanted.form(&model, &args.output.threads.pool())?;
    run(&model, &args.out, form, args.one_scale, &args.output)
}

#[derive(clap::Args)]
pub(super) struct SynthArgs {
    /// The size
    #[arg(long, value_name = "NAME", required_unless_present = "list", value_parser = parse_shape)]
    shape: Option<&'static Shape>,
    /// The folder, the bundle (.fid) or the GGUF file (.gguf) to write
    #[arg(required_unless_present = "list")]
    out: Option<PathBuf>,
    /// Seed of the weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// List the sizes
    #[arg(long)]
    list: bool,
    /// Layout of a bundle's trits [default: auto]
    #[arg(long, value_enum)]
    layout: Option<Layout>,
    /// How a bundle's embedding is stored (f32, or q6_k where it is the head of a wide BitNet)
    #[arg(long, value_name = "TYPE", value_parser = parse_embedding)]
    embedding: Option<EmbeddingType>,
    /// Type of a folder's weights
    #[arg(long, value_enum)]
    dtype: Option<Float>,
    /// Type of a GGUF file's matrices [default: tq2_0, for Qwen3 bf16]
    #[arg(long = "type", value_name = "T")]
    kind: Option<String>,
    #[command(flatten)]
    output: Output,
}

pub(super) fn parse_shape(name: &str) -> Result<&'static Shape, String> {
    Shape::find(name).ok_or_else(|| {
        let names: Vec<&str> = SHAPES.iter().map(|shape| shape.name).collect();
        format!("there is no such size; write one of {}", names.join(", "))
    })
}

pub(super) fn synth(args: &SynthArgs) -> Result<()> {
    if args.list {
        return list();
    }
    let (Some(shape), Some(out)) = (args.shape, &args.out) else { return list() };
    let named = convert::named(out);
    if args.kind.is_some() && named != Kind::Gguf {
        let cause = "--type is for GGUF files, and OUT is none";
        return Err(Fault::new(cause, "name a file that ends in .gguf, or use --layout or --dtype").into());
    }
    let form = if named == Kind::Gguf {
        if args.dtype.is_some() || args.layout.is_some() {
            let cause = "--dtype and --layout are for folders and bundles, and OUT is a GGUF file";
            return Err(Fault::new(cause, "use --type and --embedding").into());
        }
        let embedding = args.embedding.unwrap_or_else(|| convert::synthetic_embedding(shape));
        let wanted = Wanted::parse(out, args.kind.as_deref(), Some(embedding.name()))?;
        wanted.form(&Model::synthetic(shape, args.seed), &args.output.threads.pool())?
    } else if named == Kind::Bundle {
        if args.dtype.is_some() {
            let cause = "--dtype is for folders, and OUT is a bundle";
            return Err(Fault::new(cause, "name a folder, or use --layout and --embedding").into());
        }
        let layout = args.layout.unwrap_or(Layout::Auto);
        let layout = layout.resolve(&Model::synthetic(shape, args.seed), &args.output.threads.pool(), false);
        let embedding = args.embedding.unwrap_or_else(|| convert::synthetic_embedding(shape));
        Form::Bundle(PackOptions { layout, embedding: Some(embedding), matrices: None })
    } else {
        if args.layout.is_some() || args.embedding.is_some() {
            let cause = "--layout and --embedding are for bundles, and OUT is a folder";
            return Err(Fault::new(cause, "name a file that ends in .fid, or use --dtype").into());
        }
        Form::Folder(args.dtype.map_or(FloatType::F32, Into::into))
    };
    run(&Model::synthetic(shape, args.seed), out, form, false, &args.output)
}

fn list() -> Result<()> {
    let mut text =
        format!("{:<12} {:>13} {:>7} {:>7} {:>7}  \n", "shape", "parameters", "layers", "hidden", "vocab");
    for shape in SHAPES {
        let count = shape.config().parameter_count().unwrap_or(0);
        let Shape { name, vocab_size, hidden_size, num_hidden_layers, about, .. } = shape;
        text += &format!(
            "{name:<12} {count:>13} {num_hidden_layers:>7} {hidden_size:>7} {vocab_size:>7}  {about}\n"
        );
    }
    print::text(&text)
}

fn open(path: &Path) -> Result<Model> {
    let model = Model::open(path)?;
    common::warn(model.warnings());
    Ok(model)
}

/// How the work is done and told of.
#[derive(clap::Args)]
struct Output {
    /// Print path, bytes, seconds and notes as one JSON value
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    threads: Threads,
}

fn run(model: &Model, out: &Path, form: Form, one_scale: bool, output: &Output) -> Result<()> {
    if matches!(form, Form::Bundle(_) | Form::Gguf(_)) {
        common::check_output(out)?;
    }
    // A run that is told to stop takes its half-written file along.
    let stop = || {
        models::atomic::abandon();
        std::process::exit(130)
    };
    // Where no handler can be set, the next write of the same target removes what this one leaves.
    let _ = ctrlc::set_handler(stop);
    let start = Instant::now();
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}") {
        bar.set_style(style);
    }
    let write = if one_scale { convert::write_one_scale } else { convert::write };
    let notes = write(model, out, form, &output.threads.pool(), &mut |step: Step<'_>| {
        bar.set_length(step.of);
        bar.set_position(step.done);
        bar.set_message(step.tensor.to_owned());
    })?;
    bar.finish_and_clear();
    common::warn(&notes);
    let seconds = start.elapsed().as_secs_f64();
    if output.json {
        let bytes = convert::size_of(out);
        return print::json(&json!({ "written": out, "bytes": bytes, "seconds": seconds, "notes": notes }));
    }
    print::note(&format!("written {} ({}) in {seconds:.1} s", out.display(), size(convert::size_of(out))));
    Ok(())
}
