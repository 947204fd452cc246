//! The test suite in stages, and the benchmarks.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::run::{Failure, cargo, root, succeed};
use crate::{arm, setup};

/// How much to test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Formatting, lints and unit tests: what to run before each commit.
    Quick,
    /// Everything that a change must pass.
    Usual,
    /// Also the tests that are `#[ignore]`d for their length, which want release mode, and those on aarch64.
    Long,
}

struct Stage {
    name: &'static str,
    command: Command,
    remedy: &'static str,
}

/// Runs the stages of a scope one after another; the first that fails ends it.
pub(crate) fn run(scope: Scope) -> Result<(), Failure> {
    let start = Instant::now();
    println!("== set-up");
    setup::ensure()?;
    let mut times = vec![("set-up", start.elapsed())];
    for stage in stages(scope) {
        println!("\n== {}", stage.name);
        times.push((stage.name, succeed(stage.command, stage.remedy)?));
    }
    if scope == Scope::Long && arm::POSSIBLE {
        println!("\n== aarch64");
        let start = Instant::now();
        arm::test()?;
        times.push(("aarch64", start.elapsed()));
    }
    println!("\n== passed");
    for (name, time) in &times {
        println!("{name:<24}{}", seconds(*time));
    }
    println!("{:<24}{}", "together", seconds(start.elapsed()));
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:>8.1} s", time.as_secs_f64())
}

/// Network is used by the set-up alone: from here on `--offline` makes a missing crate an error at once.
fn stages(scope: Scope) -> Vec<Stage> {
    let stage = |name, arguments: &[&str], remedy| Stage { name, command: cargo(arguments), remedy };
    let tests = "correct the code or the test that failed; `cargo test -p CRATE NAME` repeats one";
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--offline", "--", "-D", "warnings"];
    let mut list = vec![
        stage("formatting", &["fmt", "--all", "--", "--check"], "run `cargo fmt --all`"),
        stage("lints", &clippy, "follow the hints above"),
    ];
    if scope == Scope::Quick {
        list.push(stage(
            "unit tests",
            &["test", "--workspace", "--lib", "--bins", "--locked", "--offline"],
            tests,
        ));
        return list;
    }
    let mut documentation = cargo(&["doc", "--workspace", "--no-deps", "--locked", "--offline"]);
    documentation.env("RUSTDOCFLAGS", "-D warnings");
    list.push(Stage {
        name: "documentation",
        command: documentation,
        remedy: "correct the comment that it names",
    });
    list.push(stage("tests", &["test", "--workspace", "--locked", "--offline"], tests));
    if scope == Scope::Long {
        let long =
            ["test", "--workspace", "--release", "--locked", "--offline", "--", "--ignored", "--nocapture"];
        list.push(stage("long tests", &long, tests));
    }
    list
}

/// Runs the benchmarks of those names, or all.
pub(crate) fn bench(names: &[&str]) -> Result<(), Failure> {
    let found = benchmarks();
    for name in names {
        if !found.iter().any(|(_, bench)| bench == name) {
            let list = found.iter().map(|(_, bench)| bench.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Failure::new(
                format!("there is no benchmark `{name}`"),
                format!("choose from: {list}"),
            ));
        }
    }
    for (package, bench) in &found {
        if names.is_empty() || names.contains(&bench.as_str()) {
            let command = cargo(&["bench", "--locked", "-p", package, "--bench", bench]);
            succeed(command, "read the message above")?;
        }
    }
    Ok(())
}

/// Package and name of every `crates/*/benches/*.rs` and `crates/*/benches/*/main.rs`, sorted.
fn benchmarks() -> Vec<(String, String)> {
    let mut list = Vec::new();
    for package in std::fs::read_dir(root().join("crates")).into_iter().flatten().flatten() {
        for file in std::fs::read_dir(package.path().join("benches")).into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            let folder = file.path().join("main.rs").is_file().then_some(name.as_str());
            if let Some(bench) = name.strip_suffix(".rs").or(folder) {
                list.push((package.file_name().to_string_lossy().into_owned(), bench.to_owned()));
            }
        }
    }
    list.sort();
    list
}
