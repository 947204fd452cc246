//! The compile errors that a writer of kernels meets, word for word.
//!
//! The texts hold rustc's frame around ours, so they are compared on the toolchain they were recorded with; elsewhere the
//! test says that it skips. After a change that is meant, run with `TRYBUILD=overwrite` and read the difference.

use std::process::Command;

const TOOLCHAIN: &str = "rustc 1.95.";

#[test]
fn messages() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().expect("rustc runs");
    let version = String::from_utf8_lossy(&version.stdout);
    if !version.starts_with(TOOLCHAIN) {
        eprintln!("skipped: the messages are those of {TOOLCHAIN}*, this is {version}");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
