//! `fidelity explain`: what the recogniser makes of a kernel.

use super::print;
use anyhow::{Context, Result};
use fidelity::error::Fault;
use kernel::{Kernel, KernelError};
use serde_json::json;
use std::path::Path;

pub(super) const EXAMPLES: &str = "\
A kernel is a Rust function with the attribute #[kernel]; in a file without the attribute
every function is taken for one. Without an argument the kernels that come with Fidelity are
listed.

Examples:
  fidelity explain                       the kernels that come with Fidelity
  fidelity explain ternary_matvec        its source, what it was raised to, and from which lines
  fidelity explain src/kernels.rs        every kernel of a file, which need not be compiled
  fidelity explain src/kernels.rs:gate   one of them
  fidelity explain ssm_step --json       the same as one JSON value
  fidelity explain ssm_step --emit mlir  the module of loops that it is compiled from";

#[derive(clap::Args)]
pub(super) struct Args {
    /// A kernel that comes with Fidelity, a Rust file, or a function of one as FILE.rs:NAME
    #[arg(value_name = "KERNEL|FILE.rs[:NAME]")]
    what: Option<String>,
    /// Print everything as one JSON value
    #[arg(long)]
    json: bool,
    /// Print a module instead: the kernel lowered to scf, arith and memref, or what LLVM makes of it (needs MLIR's tools)
    #[arg(long, value_name = "STAGE", conflicts_with = "json")]
    emit: Option<Emitted>,
}

/// A stage of a kernel's code.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Emitted {
    /// scf, arith, math and memref
    Mlir,
    /// LLVM IR after optimisation
    Llvm,
    /// Assembly
    Asm,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let Some(what) = &args.what else { return list(args.json) };
    let (kernels, several) = find(what)?;
    if let Some(stage) = args.emit {
        return emit(&kernels, stage);
    }
    let mut reports = vec![];
    for k in &kernels {
        reports.push(k.explain().map_err(told)?);
    }
    if args.json {
        return match &reports[..] {
            [one] if !several => print::json(one),
            all => print::json(&all),
        };
    }
    let texts: Vec<String> = reports.iter().map(ToString::to_string).collect();
    print::text(&texts.join("\n"))
}

fn emit(kernels: &[Kernel], stage: Emitted) -> Result<()> {
    let mut texts = vec![];
    for k in kernels {
        let module = match alex::kernels::lower(k, &alex::kernels::Options::default()) {
            Ok(made) => made.text,
            Err(alex::AlexError::Kernel(e)) => return Err(told(e)),
            Err(e) => return Err(e.into()),
        };
        let of = match stage {
            Emitted::Mlir => {
                texts.push(module);
                continue;
            }
            Emitted::Llvm => alex::Stage::Optimised,
            Emitted::Asm => alex::Stage::Assembly,
        };
        texts.push(alex::Compiler::new(alex::Options::default())?.stage(&module, of)?);
    }
    print::text(&texts.join("\n"))
}

fn list(as_json: bool) -> Result<()> {
    let all = kernel::article::all();
    if as_json {
        let names: Vec<_> = all.iter().map(|k| json!({"kernel": k.name(), "summary": summary(k)})).collect();
        return print::json(&names);
    }
    let wide = all.iter().map(|k| k.name().len()).max().unwrap_or(0);
    let mut out = String::new();
    for k in &all {
        out.push_str(&format!("{:wide$}  {}\n", k.name(), summary(k)));
    }
    print::text(&out)
}

/// The operations that a kernel is raised to.
fn summary(k: &Kernel) -> String {
    let mut ops: Vec<String> = vec![];
    for r in k.raise().map(|f| f.raised).unwrap_or_default() {
        if !ops.contains(&r.op) {
            ops.push(r.op);
        }
    }
    ops.join(", ")
}

/// The kernels that an argument names, and whether it may name several.
fn find(what: &str) -> Result<(Vec<Kernel>, bool)> {
    let (file, name) = match what.rsplit_once(':') {
        Some((file, name)) if file.ends_with(".rs") => (file, Some(name)),
        _ => (what, None),
    };
    if !file.ends_with(".rs") {
        let all = kernel::article::all();
        let known: Vec<String> = all.iter().map(|k| k.name().to_string()).collect();
        return match all.into_iter().find(|k| k.name() == what) {
            Some(k) => Ok((vec![k], false)),
            None => Err(Fault::new(
                format!("no kernel `{what}` comes with Fidelity; there are: {}", known.join(", ")),
                "name one of them, or a Rust file as FILE.rs or FILE.rs:NAME",
            )
            .into()),
        };
    }
    if !Path::new(file).is_file() {
        return Err(
            Fault::new(format!("there is no file {file}"), "name a Rust file that holds kernels").into()
        );
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("{file} could not be read"))?;
    match name {
        Some(name) => Ok((vec![Kernel::parse_one(&text, file, name).map_err(told)?], false)),
        None => {
            let all = Kernel::parse(&text, file).map_err(told)?;
            match all.is_empty() {
                true => Err(Fault::new(
                    format!("{file} holds no function"),
                    "write a function and give it the attribute #[kernel]",
                )
                .into()),
                false => Ok((all, true)),
            }
        }
    }
}

/// An error of a kernel with a remedy.
fn told(error: KernelError) -> anyhow::Error {
    let remedy = match &error {
        KernelError::Syntax { .. } => {
            "write that part as the message says; the guide on kernels lists what is supported"
        }
        KernelError::Unknown { .. } => "name one of them",
        _ => "correct that line; rustc shows the same fault where it is one of Rust's",
    };
    Fault::new(error.to_string(), remedy).into()
}
