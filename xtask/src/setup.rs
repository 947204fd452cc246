//! What must be on the machine before the tests can run, and how it gets there.
//!
//! Each need has a check that works offline; only what is missing is installed, and everything that is installed
//! is printed first. A second run therefore needs no network.

use std::process::Command;

use crate::run::{Failure, cargo, succeed, succeeds};

/// Packages of Debian or Ubuntu; none is needed to build or test the workspace as it is.
const APT_PACKAGES: &[&str] = &[];

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
    apt_packages()?;
    pip_wheels()?;
    if succeeds(cargo(&["fetch", "--locked", "--offline"])) {
        println!("nothing to install: tools and crates are here");
        return Ok(());
    }
    println!("installing: the crates that Cargo.lock names, into cargo's own cache");
    let remedy =
        "the first run needs the network; if Cargo.lock is out of date, run `cargo update --workspace`";
    succeed(cargo(&["fetch", "--locked"]), remedy).map(drop)
}

fn apt_packages() -> Result<(), Failure> {
    let present = |name: &&&str| {
        let mut query = Command::new("dpkg");
        query.args(["-s", name]);
        succeeds(query)
    };
    let missing = APT_PACKAGES.iter().filter(|name| !present(name)).copied().collect::<Vec<_>>();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing: system packages {}", missing.join(" "));
    // As root the command is apt-get itself; anyone else may be asked for a password by sudo.
    let mut command = match succeeds(shell("test \"$(id -u)\" = 0")) {
        true => Command::new("apt-get"),
        false => {
            let mut sudo = Command::new("sudo");
            sudo.arg("apt-get");
            sudo
        }
    };
    command.args(["install", "--yes", "--no-install-recommends"]).args(&missing);
    succeed(command, "run `apt-get update`, or install them in your system's own way").map(drop)
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

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}
