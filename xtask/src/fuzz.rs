//! Fuzzing of the decoders with libFuzzer: a nightly compiler, `cargo fuzz`, and time.
//!
//! New inputs go to a folder below `target/`; `--minimize` puts the few that reach most code into `fuzz/corpus`,
//! which every test run replays. Sanitizers are off: the decoders are safe Rust but for one cast, which
//! other tests hold, and without them a run sees five times as many inputs.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Failure, cargo, output, root, succeed, succeeds};

/// Memory of the whole process and of one allocation, in MB: far above what a decoder may ask for, which the targets
/// check by the input's length.
const LIMITS: &[&str] = &["-rss_limit_mb=512", "-malloc_limit_mb=64", "-timeout=10"];
/// Longer inputs are slower and find nothing more.
const LONGEST: &str = "-max_len=8192";

/// Of a committed corpus.
const MOST_FILES: usize = 200;
const MOST_BYTES: u64 = 300_000;

/// What the command line asks for.
struct Wanted {
    targets: Vec<String>,
    minutes: f64,
    minimize: bool,
}

/// Runs the named targets, or all.
pub(crate) fn run(arguments: &[&str]) -> Result<(), Failure> {
    let wanted = parse(arguments)?;
    let nightly = nightly()?;
    for target in &wanted.targets {
        let work = root().join("target/fuzz/corpus").join(target);
        let committed = root().join("fuzz/corpus").join(target);
        let artifacts = root().join("target/fuzz/artifacts").join(target);
        for folder in [&work, &committed, &artifacts] {
            fs::create_dir_all(folder).map_err(|error| {
                let cause = format!("cannot create {}: {error}", folder.display());
                Failure::new(cause, "check the path and its permissions")
            })?;
        }
        println!("\n== {target}, {} minutes", wanted.minutes);
        let mut command = nightly.fuzz("run", target);
        command.args([&work, &committed]).arg("--").args(LIMITS).arg(LONGEST);
        command.arg(format!("-max_total_time={}", (wanted.minutes * 60.0).ceil()));
        command.arg(format!("-artifact_prefix={}/", artifacts.display()));
        let words = root().join("fuzz/dictionaries").join(format!("{target}.dict"));
        if words.is_file() {
            command.arg(format!("-dict={}", words.display()));
        }
        let remedy = "the input is named above: make a test of it, correct the decoder, and run it again";
        succeed(command, remedy)?;
        if wanted.minimize {
            minimize(&nightly, target, &work, &committed)?;
        }
    }
    Ok(())
}

fn parse(arguments: &[&str]) -> Result<Wanted, Failure> {
    let known = targets();
    let mut wanted = Wanted { targets: Vec::new(), minutes: 10.0, minimize: false };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let wrong = |cause: String| Failure::new(cause, "see `cargo xtask --help`");
        match *word {
            "--minimize" => wanted.minimize = true,
            "--minutes" => {
                let text = words.next().copied().unwrap_or_default();
                let minutes = text.parse::<f64>().ok().filter(|minutes| *minutes > 0.0 && *minutes < 1e6);
                wanted.minutes =
                    minutes.ok_or_else(|| wrong(format!("`{text}` is not a number of minutes")))?;
            }
            name if known.iter().any(|target| target == name) => wanted.targets.push(name.to_owned()),
            name => {
                return Err(Failure::new(
                    format!("there is no fuzz target `{name}`"),
                    format!("choose from: {}", known.join(", ")),
                ));
            }
        }
    }
    if wanted.targets.is_empty() {
        wanted.targets = known;
    }
    Ok(wanted)
}

/// The files in `fuzz/fuzz_targets`, sorted.
fn targets() -> Vec<String> {
    let files = fs::read_dir(root().join("fuzz/fuzz_targets")).into_iter().flatten().flatten();
    let mut list = files
        .filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".rs")?.to_owned()))
        .collect::<Vec<_>>();
    list.sort();
    list
}

/// How cargo-fuzz is started with a compiler that takes its flags.
struct Nightly {
    /// A toolchain of rustup, or else the stable compiler that is told to take unstable flags.
    rustup: bool,
}

impl Nightly {
    fn fuzz(&self, verb: &str, target: &str) -> Command {
        let mut command = if self.rustup { Command::new("cargo") } else { cargo(&[]) };
        if self.rustup {
            // Cargo that runs this program has set these to its own.
            command.arg("+nightly").env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
        } else {
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        command.args(["fuzz", verb, "--sanitizer", "none", "--target-dir", "../target/fuzz", target]);
        command.current_dir(root().join("fuzz"));
        command
    }
}

fn nightly() -> Result<Nightly, Failure> {
    if !succeeds(cargo(&["fuzz", "--version"])) {
        let remedy = "run `cargo install cargo-fuzz --locked`";
        return Err(Failure::new("cargo-fuzz is not installed", remedy));
    }
    let mut list = Command::new("rustup");
    list.args(["toolchain", "list"]);
    let rustup = output(list).is_some_and(|list| list.lines().any(|line| line.starts_with("nightly")));
    if !rustup {
        println!("no nightly compiler is installed; telling the stable one to take unstable flags");
    }
    Ok(Nightly { rustup })
}

/// Replaces the committed corpus by the few files that together reach most code.
///
/// `cargo fuzz cmin` keeps every file that reaches anything new, thousands of them; libFuzzer's record of what each
/// reaches is enough to choose the best [`MOST_FILES`].
fn minimize(nightly: &Nightly, target: &str, work: &Path, committed: &Path) -> Result<(), Failure> {
    let io = |path: &Path, error: std::io::Error| {
        Failure::new(format!("cannot write {}: {error}", path.display()), "check its permissions")
    };
    let (fresh, record) = (work.with_extension("new"), work.with_extension("record"));
    let _ = (fs::remove_dir_all(&fresh), fs::remove_file(&record));
    fs::create_dir_all(&fresh).map_err(|error| io(&fresh, error))?;
    let mut command = nightly.fuzz("run", target);
    command.args([&fresh, work, committed]).arg("--").args(LIMITS).arg(LONGEST);
    // By edges of the code, not by how often they are passed.
    command.args(["-set_cover_merge=1", "-use_counters=0"]);
    command.arg(format!("-merge_control_file={}", record.display()));
    succeed(command, "read the message above")?;
    let text = fs::read_to_string(&record).map_err(|error| io(&record, error))?;
    let mut kept = Vec::new();
    for path in choose(&text) {
        kept.push(fs::read(root().join("fuzz").join(&path)).map_err(|error| io(&path, error))?);
    }
    fs::remove_dir_all(committed).map_err(|error| io(committed, error))?;
    fs::create_dir_all(committed).map_err(|error| io(committed, error))?;
    for (number, content) in kept.iter().enumerate() {
        let to = committed.join(format!("{number:03}"));
        fs::write(&to, content).map_err(|error| io(&to, error))?;
    }
    let size = kept.iter().map(Vec::len).sum::<usize>();
    println!("{} files, {size} bytes in {}", kept.len(), committed.display());
    Ok(())
}

/// The files of a merge's record, the one that adds most first, as long as one adds anything and the limits hold.
///
/// The record has the number of files, the number of the first that was not looked at, the files' names, and then,
/// for each, `STARTED number size` and `FT number features…`.
fn choose(record: &str) -> Vec<PathBuf> {
    let mut lines = record.lines();
    let count = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0);
    let names = lines.by_ref().skip(1).take(count).map(PathBuf::from).collect::<Vec<_>>();
    let mut files = vec![(0_u64, BTreeSet::new()); names.len()];
    for line in lines {
        let mut words = line.split(' ');
        let kind = words.next();
        let mut numbers = words.filter_map(|word| word.parse::<u64>().ok());
        let Some(file) = numbers.next().and_then(|number| files.get_mut(number as usize)) else { continue };
        match kind {
            Some("STARTED") => file.0 = numbers.next().unwrap_or(0),
            Some("FT") => file.1.extend(numbers),
            _ => {}
        }
    }
    let (mut seen, mut kept, mut bytes) = (BTreeSet::new(), Vec::new(), 0);
    while kept.len() < MOST_FILES {
        let best = (0..files.len())
            .map(|file| (files[file].1.len(), Reverse(files[file].0), file))
            .filter(|(gain, Reverse(size), _)| *gain > 0 && bytes + size <= MOST_BYTES)
            .max();
        let Some((_, Reverse(size), file)) = best else { break };
        seen.extend(std::mem::take(&mut files[file].1));
        files.iter_mut().for_each(|(_, features)| features.retain(|feature| !seen.contains(feature)));
        bytes += size;
        kept.push(names[file].clone());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_reach_most_are_kept() {
        let record = "4\n0\nsmall\nlarge\nsame\nother\n\
                      STARTED 0 1\nFT 0 1 2\nCOV 0 7\nSTARTED 1 9\nFT 1 1 2 3\nSTARTED 2 5\nFT 2 1 2 3\n\
                      STARTED 3 2\nFT 3 4\n";
        assert_eq!(choose(record), [PathBuf::from("same"), PathBuf::from("other")]);
        assert!(choose("").is_empty());
    }
}
