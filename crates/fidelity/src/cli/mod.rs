//! The command line: one file per verb, and what they share.
//!
//! Results go to standard output; warnings, progress and errors to standard error. With `--json` a verb prints one
//! JSON value and nothing else on standard output. Exit codes: 0, 1 for an error, 2 for wrong usage.

mod bench;
mod calibrate;
mod common;
mod compare;
mod compile;
mod convert;
mod demo;
mod derive;
mod doctor;
mod eval;
mod eval_files;
mod explain;
mod forms;
mod generate;
mod inspect;
mod interactive;
mod perplexity;
mod premap;
mod print;
mod report;
mod train;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  fidelity demo                                     train on text that is here already, and generate
  fidelity train --print-config > run.toml          a configuration with every default
  fidelity train run.toml --set train.steps=1000    train
  fidelity generate runs/matmulfree/model \"Once\"    go on with a text
  fidelity inspect MODEL                            what a model folder or a bundle holds
  fidelity pack MODEL model.fid                     two bits a weight, in one file
  fidelity compile MODEL --target cpu --out lib     a library for C, made through MLIR
  fidelity bench --quick                            how fast it is, and how near to its limits
  fidelity doctor                                   what this computer has";

/// Post-transformer AI: train, evaluate and run ternary, linear-time language models.
///
/// MODEL is a folder in the layout of the Hugging Face libraries: config.json, model.safetensors (or shards) and
/// tokenizer.json; or a bundle (.fid), which `pack` makes of one.
#[derive(Parser)]
#[command(name = "fidelity", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Train a small model on text found on this computer, generate from it, and report
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::Args),
    /// Train a model as a configuration file says
    #[command(after_help = train::EXAMPLES)]
    Train(train::Args),
    /// Evaluate a model on given tokens: logits, loss, hidden states, gradients, traces
    #[command(after_help = eval::EXAMPLES)]
    Eval(eval::Args),
    /// Go on with a text, token by token
    #[command(after_help = generate::EXAMPLES)]
    Generate(Box<generate::Args>),
    /// Measure how well a model predicts a text
    #[command(after_help = perplexity::EXAMPLES)]
    Perplexity(perplexity::Args),
    /// Pack a model into a bundle: one file, two bits a weight (or 1.6), used in place
    #[command(after_help = convert::PACK_EXAMPLES)]
    Pack(convert::PackArgs),
    /// Unpack a bundle into a model folder
    #[command(after_help = convert::UNPACK_EXAMPLES)]
    Unpack(convert::UnpackArgs),
    /// Convert a model folder or a bundle into another type, layout or form
    #[command(after_help = convert::CONVERT_EXAMPLES)]
    Convert(convert::ConvertArgs),
    /// Train several architectures at equal parameters and tokens, and compare them on a page
    #[command(after_help = compare::EXAMPLES)]
    Compare(compare::Args),
    /// Compile a model's step into a library for C: a header, libraries, packed weights, an example
    #[command(after_help = compile::EXAMPLES)]
    Compile(compile::Args),
    /// Make a model of a named size with random weights
    #[command(after_help = convert::SYNTH_EXAMPLES)]
    Synth(convert::SynthArgs),
    /// Show what a model folder or a bundle holds; draw, print or plan its graph
    #[command(after_help = inspect::EXAMPLES)]
    Inspect(inspect::Args),
    /// Differentiate an expression: formulas of every order, values to any precision, a picture
    #[command(after_help = derive::EXAMPLES)]
    Derive(derive::Args),
    /// Show what the recogniser makes of a kernel: operations, the lines they stand for, why not
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::Args),
    /// Measure this computer, the kernels and a model, each beside its limit
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::Args),
    /// Measure this computer for the predicted times of plans
    #[command(after_help = calibrate::EXAMPLES)]
    Calibrate(calibrate::Args),
    /// Show what this computer has: processor, memory, tools of the compiler
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::Args),
    /// Print the completions of a shell
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

const COMPLETIONS: &str = "\
Examples:
  fidelity completions bash > ~/.local/share/bash-completion/completions/fidelity
  fidelity completions zsh > ~/.zfunc/_fidelity
  fidelity completions fish > ~/.config/fish/completions/fidelity.fish";

/// Parses the arguments, runs the verb and tells what went wrong.
pub(crate) fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    // Whoever names an instruction set wants that one or none.
    if let Err(error) = engine::kernels::simd::requested() {
        let cause = format!("FIDELITY_SIMD: expected {}, found `{}`", error.expected, error.found);
        return report::finish(Err(fidelity::error::Fault::new(cause, error.remedy).into()));
    }
    let outcome = match verb {
        Verb::Demo(args) => demo::run(&args),
        Verb::Train(args) => train::run(&args),
        Verb::Eval(args) => eval::run(&args),
        Verb::Generate(args) => generate::run(&args),
        Verb::Perplexity(args) => perplexity::run(&args),
        Verb::Pack(args) => convert::pack(&args),
        Verb::Unpack(args) => convert::unpack(&args),
        Verb::Convert(args) => convert::convert(&args),
        Verb::Compare(args) => compare::run(&args),
        Verb::Compile(args) => compile::run(&args),
        Verb::Synth(args) => convert::synth(&args),
        Verb::Inspect(args) => inspect::run(&args),
        Verb::Derive(args) => derive::run(&args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Calibrate(args) => calibrate::run(&args),
        Verb::Doctor(args) => doctor::run(&args),
        Verb::Completions { shell } => completions(shell),
    };
    report::finish(outcome)
}

fn completions(shell: clap_complete::Shell) -> Result<()> {
    let mut script = vec![];
    clap_complete::generate(shell, &mut Cli::command(), "fidelity", &mut script);
    print::bytes(&script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_shows_examples_that_fit() {
        for verb in Cli::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples") && help.contains("fidelity "), "{}", verb.get_name());
            assert!(help.lines().all(|line| line.len() <= 98), "{} is wrapped", verb.get_name());
        }
    }
}
