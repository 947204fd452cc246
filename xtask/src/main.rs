//! The chores of this workspace: set-up and tests, aarch64, WebAssembly, fuzzing, demo, benchmarks, golden data.
//!
//! `cargo xtask --help` lists them. Plain Rust without dependencies, so that it builds in a second before anything
//! else can. Every command it runs is printed as it could be typed.

mod arm;
mod digits;
mod fuzz;
mod golden;
mod run;
mod setup;
mod suite;
mod wasm;

use std::process::ExitCode;

use run::Failure;

const HELP: &str = "\
Set-up, tests, fuzzing, benchmarks and golden data of this workspace.

Usage: cargo xtask <COMMAND> [OPTIONS]

Commands:
  test [--quick | --long]   install what is missing, then formatting, lints, documentation and all tests
                            --quick  formatting, lints and unit tests only
                            --long   also the tests marked as long, in release mode, and those on aarch64
  arm                       cross-compile the tests of kernels and codecs for aarch64 and run them under qemu
  wasm                      compile the tests of kernels for WebAssembly and run them under Node.js
  fuzz [TARGET…] [--minutes N] [--minimize]
                            fuzz the decoders, or those named, N minutes each (default 10); needs a nightly
                            compiler and cargo-fuzz; --minimize then replaces the committed corpus
  digits                    fetch the table of handwritten digits of the task `digits`
  demo [ARGS…]              build the `fidelity` command in release mode and run `fidelity demo ARGS…`
  bench [NAME…]             run the named benchmarks of the crates, or all
  golden [--check]          copy the committed part of the golden data from the folder FIDELITY_GOLDEN
                            (default: ../shared/golden) to tests/golden; --check only compares

Options:
  -h, --help                this text

Examples:
  cargo xtask test
  cargo xtask test --quick
  cargo xtask arm
  cargo xtask wasm
  cargo xtask fuzz bundle --minutes 1
  cargo xtask demo --help
  cargo xtask bench kernels
  FIDELITY_GOLDEN=/data/golden cargo xtask golden
";

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<(), Failure> {
    let words = arguments.iter().map(String::as_str).collect::<Vec<_>>();
    match words.as_slice() {
        [] | ["-h" | "--help" | "help", ..] => {
            print!("{HELP}");
            Ok(())
        }
        // The demo's own --help is the demo's business.
        ["demo", rest @ ..] => run::fidelity("demo", rest),
        [_, rest @ ..] if rest.iter().any(|word| matches!(*word, "-h" | "--help")) => {
            print!("{HELP}");
            Ok(())
        }
        ["test"] => suite::run(suite::Scope::Usual),
        ["test", "--quick"] => suite::run(suite::Scope::Quick),
        ["test", "--long"] => suite::run(suite::Scope::Long),
        ["arm"] => arm::test(),
        ["wasm"] => wasm::test(),
        ["digits"] => digits::fetch(),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["bench", names @ ..] => suite::bench(names),
        ["golden"] => golden::refresh(golden::Mode::Copy),
        ["golden", "--check"] => golden::refresh(golden::Mode::Check),
        other => Err(Failure::new(
            format!("`{}` is not a command of xtask", other.join(" ")),
            "see `cargo xtask --help`",
        )),
    }
}
