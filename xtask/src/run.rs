//! Running other programs: printed as typed, timed, and with a remedy where they fail.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Why a chore stopped, and what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    cause: String,
    remedy: String,
}

impl Failure {
    pub(crate) fn new(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { cause: cause.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  to do: {}", self.cause, self.remedy)
    }
}

/// The workspace's root: where every command runs.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// A call of the cargo that runs us.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// What a person would type for it.
pub(crate) fn typed(command: &Command) -> String {
    let program =
        Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let words = command.get_args().map(|word| {
        let word = word.to_string_lossy();
        if word.is_empty() || word.contains([' ', '*', '$']) {
            format!("'{word}'")
        } else {
            word.into_owned()
        }
    });
    let settings = command
        .get_envs()
        .filter_map(|(key, value)| Some(format!("{}='{}'", key.to_string_lossy(), value?.to_string_lossy())));
    settings.chain([program]).chain(words).collect::<Vec<_>>().join(" ")
}

/// Runs a command to its end and fails unless it succeeds.
pub(crate) fn succeed(mut command: Command, remedy: &str) -> Result<Duration, Failure> {
    let text = typed(&command);
    println!("$ {text}");
    let start = Instant::now();
    let status = command.status().map_err(|error| {
        Failure::new(format!("cannot start `{text}`: {error}"), "install that program, or correct the PATH")
    })?;
    if status.success() {
        Ok(start.elapsed())
    } else {
        Err(Failure::new(format!("`{text}` failed: {status}"), remedy))
    }
}

/// True if a command runs and succeeds; its output is dropped.
pub(crate) fn succeeds(mut command: Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// What a command prints on standard output, if it runs and succeeds.
pub(crate) fn output(mut command: Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Builds the `fidelity` command in release mode and runs one of its verbs.
pub(crate) fn fidelity(verb: &str, arguments: &[&str]) -> Result<(), Failure> {
    let mut command =
        cargo(&["run", "--locked", "--release", "-p", "fidelity", "--bin", "fidelity", "--", verb]);
    command.args(arguments);
    succeed(command, "read the message above").map(drop)
}
