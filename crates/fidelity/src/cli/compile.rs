//! `fidelity compile`: a model as a library.

use super::common::Threads;
use super::print;
use anyhow::Result;
use clap::ValueEnum;
use fidelity::compile::{self, Emit, Options};
use fidelity::convert::Step;
use fidelity::error::Fault;
use fidelity::inspect::size;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Write;
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "\
DIR gets NAME.h, NAME.a, NAME.so, the weights NAME.fid, and main.c, which generates text with
nothing else linked:

  cc -O2 main.c model.a -o model && ./model model.fid \"Once upon a time\" 64

Needs MLIR's tools (apt install mlir-22-tools llvm-22); `fidelity doctor` says what is there.

Examples:
  fidelity compile MODEL --target cpu --out lib
  fidelity compile model.fid --target cpu --out lib --triple aarch64-linux-gnu --cpu cortex-a76
  fidelity compile MODEL --target cpu --out lib --triple riscv64-linux-gnu
  fidelity compile MODEL --target cpu --out lib --emit fidelity,mlir,llvm,asm

A FILE.mlir in the fidelity dialect, written by hand or edited from --emit fidelity, gives NAME.h,
NAME.a and NAME.so with one function for each public function of the module:

  fidelity compile mixer.mlir --target cpu --out lib --name mixer --size T=16";

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// A library for a processor
    Cpu,
    /// NVIDIA GPUs
    Nvidia,
    /// AMD GPUs
    Amd,
    /// Tenstorrent's processors
    Tenstorrent,
    /// FPGAs
    Fpga,
}

#[derive(Clone, Copy, ValueEnum)]
enum Text {
    /// The graph in the fidelity dialect, checked by us and by MLIR
    Fidelity,
    /// The module in MLIR's stock dialects
    Mlir,
    /// The same in MLIR's LLVM dialect
    LlvmDialect,
    /// Optimised LLVM IR
    Llvm,
    /// Assembly
    Asm,
}

#[derive(clap::Args)]
pub(super) struct Args {
    /// Folder of the model, a bundle, a GGUF file, or a module of the fidelity dialect (.mlir)
    model: PathBuf,
    /// What to compile for
    #[arg(long, value_enum)]
    target: Target,
    /// The folder to write to; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Stem of the files and prefix of the functions
    #[arg(long, default_value = "model")]
    name: String,
    /// The machine, as LLVM names it; this one unless said
    #[arg(long)]
    triple: Option<String>,
    /// The processor, as LLVM names it; native is this one
    #[arg(long)]
    cpu: Option<String>,
    /// Features to add (+) and to leave out (-), as LLVM names them
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    features: String,
    /// Tokens that a sequence may have, where the model keeps keys and values
    #[arg(long, value_name = "N", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    context: u32,
    /// What a symbol of a module's sizes is
    #[arg(long = "size", value_name = "SYMBOL=N", value_parser = size_of)]
    sizes: Vec<(String, usize)>,
    /// Texts to write beside the library
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STAGES")]
    emit: Vec<Text>,
    /// Print one JSON value
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    threads: Threads,
}

/// `T=16`.
fn size_of(text: &str) -> Result<(String, usize), String> {
    let parts =
        text.split_once('=').and_then(|(name, n)| Some((name.trim().to_owned(), n.trim().parse().ok()?)));
    parts.ok_or_else(|| format!("expected SYMBOL=N, found `{text}`"))
}

/// Processor and features of a machine that is named without them.
fn machine(args: &Args) -> alex::Options {
    let mut machine = match args.triple.as_deref() {
        None => alex::Options::default(),
        Some(triple) if triple.starts_with("riscv64") => {
            alex::Options { triple: Some(triple.into()), ..alex::Options::riscv64() }
        }
        Some(triple) => alex::Options::target(triple, "generic"),
    };
    if let Some(cpu) = &args.cpu {
        machine.cpu.clone_from(cpu);
    }
    if !args.features.is_empty() {
        machine.features.clone_from(&args.features);
    }
    machine
}

pub(super) fn run(args: &Args) -> Result<()> {
    if args.target != Target::Cpu {
        let name = args.target.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default();
        let cause = format!("there is no code generator for {name} yet");
        return Err(Fault::new(
            cause,
            "there is one for processors: --target cpu (another machine: --triple)",
        )
        .into());
    }
    let emit = |text: &Text| match text {
        Text::Fidelity => Emit::Fidelity,
        Text::Mlir => Emit::Mlir,
        Text::LlvmDialect => Emit::LlvmDialect,
        Text::Llvm => Emit::Llvm,
        Text::Asm => Emit::Assembly,
    };
    let options = Options {
        name: args.name.clone(),
        machine: machine(args),
        context: args.context as usize,
        stages: args.emit.iter().map(emit).collect(),
    };
    if args.model.extension().is_some_and(|e| e == "mlir") {
        let sizes = args.sizes.iter().cloned().collect();
        let made = fidelity::functions::compile(&args.model, &args.out, &options, &sizes)?;
        return report(args, &made);
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}") {
        bar.set_style(style);
    }
    let mut progress = |step: Step<'_>| {
        bar.set_length(step.of);
        bar.set_position(step.done);
        bar.set_message(step.tensor.to_owned());
    };
    let made = compile::compile(&args.model, &args.out, &options, &args.threads.pool(), &mut progress)?;
    bar.finish_and_clear();
    report(args, &made)
}

fn report(args: &Args, made: &compile::Compiled) -> Result<()> {
    if args.json {
        return print::json(&serde_json::to_value(made)?);
    }
    let mut text = String::new();
    for file in &made.files {
        let bytes = size(fidelity::convert::size_of(file));
        let _ = writeln!(text, "{:<40} {bytes}", file.display());
    }
    let (state, arena) = (size(made.state as u64), size(made.arena as u64));
    let (kernels, calls) = (made.kernels, made.calls);
    let _ = if made.weights == 0 {
        writeln!(text, "{kernels} kernels, called {calls} times; functions work in up to {arena}")
    } else {
        writeln!(
            text,
            "one call a token: {kernels} kernels, called {calls} times; a sequence carries {state}, a step works in {arena}",
        )
    };
    if !made.needs.is_empty() {
        let _ = writeln!(text, "the library needs {}", made.needs.join(", "));
    }
    print::text(&text)?;
    print::note(&format!("compiled in {:.1} s", made.seconds));
    Ok(())
}
