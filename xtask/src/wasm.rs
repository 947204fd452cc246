//! The kernels on WebAssembly: compiled for `wasm32-wasip1` and run by Node.js.
//!
//! There are no threads and no other instruction set than the one that the program was compiled for, so the tests run
//! twice: with vectors of 128 bits and without. Needed are Node.js 20 or later and Rust's standard library for the target.

use std::path::PathBuf;
use std::process::Command;

use crate::run::{Failure, cargo, output, root, succeed, succeeds};
use crate::setup;

const TARGET: &str = "wasm32-wasip1";

/// What has a form of its own there, or depends on the size of a pointer. Tests that start threads stay out.
const TESTS: &str = "--release --locked --offline -p engine --test kernels_wasm";

/// Installs what is missing, builds, and runs.
pub(crate) fn test() -> Result<(), Failure> {
    let has_node = || {
        let mut node = Command::new("node");
        node.arg("--version");
        succeeds(node)
    };
    if !has_node() {
        setup::apt_packages(&["nodejs"])?;
    }
    if !has_node() {
        return Err(Failure::new("node is not installed", "install Node.js 20 or later (package `nodejs`)"));
    }
    if !has_target() {
        println!("installing: Rust's standard library for {TARGET}, by rustup");
        let mut rustup = Command::new("rustup");
        rustup.args(["target", "add", TARGET]).current_dir(root());
        succeed(rustup, "run `rustup target add wasm32-wasip1` where the network is")?;
    }
    setup::crates()?;
    for features in ["+simd128", ""] {
        println!("\n== {TARGET} {features}");
        let mut command = cargo(&["test", "--target", TARGET]);
        command.args(TESTS.split_whitespace());
        if !features.is_empty() {
            command.env("CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS", format!("-Ctarget-feature={features}"));
        }
        let runner = format!("node --no-warnings {}", root().join("xtask/src/wasm.mjs").display());
        command.env("CARGO_TARGET_WASM32_WASIP1_RUNNER", runner);
        succeed(command, "correct the code or the test that failed; `cargo xtask wasm` repeats it")?;
    }
    Ok(())
}

/// Whether the compiler has the target's standard library.
fn has_target() -> bool {
    let mut command = Command::new("rustc");
    command.args(["--print", "target-libdir", "--target", TARGET]).current_dir(root());
    output(command).is_some_and(|folder| PathBuf::from(folder.trim()).is_dir())
}
