//! The committed part of the golden data.
//!
//! `tests/golden` holds what the usual tests need, so that a fresh clone tests itself against the published
//! implementations; the rest stays in the folder that `FIDELITY_GOLDEN` names. [`COMMITTED`] is the list: small
//! files only, since every clone carries them for ever.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{Failure, root};

/// Files and whole folders, below both roots.
const COMMITTED: &[&str] = &[
    "matmulfree/README.md",
    "matmulfree/case_b",
    "matmulfree/case_c_shortconv_patched",
    "matmulfree/ops",
    "matmulfree/train/README.md",
    "matmulfree/train/log_fortunes6_f32_1t.json",
];

/// A file above this size does not belong into the repository.
const LARGEST: u64 = 1 << 20;

/// Whether to copy or only to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Copy,
    Check,
}

/// Brings `tests/golden` up to date with the golden folder.
pub(crate) fn refresh(mode: Mode) -> Result<(), Failure> {
    let source =
        std::env::var_os("FIDELITY_GOLDEN").map_or_else(|| root().join("../shared/golden"), PathBuf::from);
    if !source.is_dir() {
        let cause = format!("there is no folder {}", source.display());
        return Err(Failure::new(cause, "name the folder of golden data in FIDELITY_GOLDEN"));
    }
    let target = root().join("tests/golden");
    let (mut files, mut changed) = (0, Vec::new());
    for name in COMMITTED {
        for path in files_below(&source.join(name))? {
            let below = path.strip_prefix(&source).unwrap_or(&path);
            let content = fs::read(&path).map_err(|error| io("read", &path, &error))?;
            if content.len() as u64 > LARGEST {
                let cause = format!("{} is larger than {LARGEST} bytes", path.display());
                return Err(Failure::new(cause, "take it out of the list in xtask/src/golden.rs"));
            }
            files += 1;
            let to = target.join(below);
            if fs::read(&to).is_ok_and(|old| old == content) {
                continue;
            }
            changed.push(below.display().to_string());
            if mode == Mode::Copy {
                let folder = to.parent().unwrap_or(&target);
                fs::create_dir_all(folder).map_err(|error| io("create", folder, &error))?;
                fs::write(&to, content).map_err(|error| io("write", &to, &error))?;
            }
        }
    }
    let verb = if mode == Mode::Copy { "copied" } else { "different" };
    println!("{files} files in {}, {} {verb}", target.display(), changed.len());
    for name in &changed {
        println!("  {name}");
    }
    if mode == Mode::Check && !changed.is_empty() {
        return Err(Failure::new(
            "tests/golden is not up to date",
            "run `cargo xtask golden` and review the change",
        ));
    }
    Ok(())
}

/// A file itself, or all files below a folder, sorted.
fn files_below(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(|error| io("read", path, &error))?;
    let mut names = entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>();
    names.sort();
    let mut list = Vec::new();
    for name in names {
        list.extend(files_below(&name)?);
    }
    Ok(list)
}

fn io(action: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot {action} {}: {error}", path.display()), "check the path and its permissions")
}
