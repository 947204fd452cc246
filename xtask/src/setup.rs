//! What must be on the machine before the tests can run, and how it gets there.
//!
//! Each need has a check that works offline; only what is missing is installed, and everything that is installed
//! is printed first. A second run therefore needs no network.

use std::process::Command;

use crate::run::{Failure, cargo, output, succeed, succeeds};

/// What the tests of the compiler run: programs, the packages of Debian or Ubuntu that have them, and what is skipped
/// where a system has no such packages. None is needed to build the workspace.
const COMPILERS: &[(&[&str], &[&str], &str)] = &[
    (
        &["mlir-opt-22", "mlir-translate-22", "opt-22", "llc-22", "cc"],
        &["mlir-22-tools", "llvm-22", "gcc", "libc6-dev"],
        "the tests that compile through MLIR",
    ),
    (
        &["qemu-aarch64", "aarch64-linux-gnu-gcc"],
        &["qemu-user", "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
        "running compiled code on aarch64",
    ),
    (
        &["qemu-riscv64", "riscv64-linux-gnu-gcc"],
        &["qemu-user", "gcc-riscv64-linux-gnu", "libc6-dev-riscv64-cross"],
        "running compiled code on riscv64",
    ),
];

/// Python wheels; none is needed to build or test the workspace as it is.
const PIP_WHEELS: &[&str] = &[];

/// Components of the Rust toolchain.
const COMPONENTS: &[(&str, &str)] = &[("rustfmt", "fmt"), ("clippy", "clippy")];

/// Installs what is missing.
pub(crate) fn ensure() -> Result<(), Failure> {
    for (component, subcommand) in COMPONENTS {
        if succeeds(cargo(&[subcommand, "--version"])) {
            continue;
        }
        println!("installing: Rust component {component}");
        let mut command = Command::new("rustup");
        command.args(["component", "add", component]);
        succeed(command, "install it with your system's packages")?;
    }
    for (programs, packages, skipped) in COMPILERS {
        if programs.iter().all(|program| runs(program)) {
            continue;
        }
        // Older systems have no LLVM 22, and another system may have it under other names: what is there is tested.
        if apt_packages(packages).is_err() {
            println!("not installed: {}; skipped without: {skipped}", packages.join(" "));
        }
    }
    pip_wheels()?;
    crates()
}

/// Fetches the crates of Cargo.lock that are missing.
pub(crate) fn crates() -> Result<(), Failure> {
    if succeeds(cargo(&["fetch", "--locked", "--offline"])) {
        println!("nothing to install: tools and crates are here");
        return Ok(());
    }
    println!("installing: the crates that Cargo.lock names, into cargo's own cache");
    let remedy =
        "the first run needs the network; if Cargo.lock is out of date, run `cargo update --workspace`";
    succeed(cargo(&["fetch", "--locked"]), remedy).map(drop)
}

/// Installs the packages of Debian or Ubuntu that are missing.
pub(crate) fn apt_packages(names: &[&str]) -> Result<(), Failure> {
    let present = |name: &&&str| {
        let mut query = Command::new("dpkg-query");
        query.args(["-W", "-f=${Status}", name]);
        output(query).is_some_and(|status| status.ends_with(" installed"))
    };
    let missing = names.iter().filter(|name| !present(name)).copied().collect::<Vec<_>>();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing: system packages {}", missing.join(" "));
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(&missing);
    let remedy = "install them in your system's own way";
    if succeed(apt(&install), remedy).is_err() {
        // A new machine has no lists of packages yet, and an old one lists versions that are gone.
        succeed(apt(&["update"]), "check the network, and the lists in /etc/apt")?;
        succeed(apt(&install), remedy)?;
    }
    Ok(())
}

/// As root the command is apt-get itself; anyone else may be asked for a password by sudo.
fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    if !succeeds(shell("test \"$(id -u)\" = 0")) {
        command = Command::new("sudo");
        command.arg("apt-get");
    }
    command.args(arguments);
    command
}

fn pip_wheels() -> Result<(), Failure> {
    let present = |name: &&&str| {
        let mut query = Command::new("python3");
        query.args(["-m", "pip", "show", "--quiet", name]);
        succeeds(query)
    };
    let missing = PIP_WHEELS.iter().filter(|name| !present(name)).copied().collect::<Vec<_>>();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing: Python wheels {}", missing.join(" "));
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "install", "--user"]).args(&missing);
    succeed(command, "install them into the Python that `python3` starts").map(drop)
}

/// Whether a program is on the search path and says its version.
pub(crate) fn runs(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version");
    succeeds(command)
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}
