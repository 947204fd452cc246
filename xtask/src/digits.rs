//! The table of handwritten digits that `task.name = "digits"` trains on, out of the PyPI wheel scikit-learn.
//!
//! 1,797 images of 8 × 8 pixels from the UCI repository's optical digits (Alpaydin and Kaynak 1998). Nothing of the wheel is
//! installed: one file is taken out of it and put where `fidelity train` looks for it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::run::{Failure, root, succeed};

/// The table within the wheel.
const TABLE: &str = "sklearn/datasets/data/digits.csv.gz";

/// Where the table belongs.
fn place() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
    Some(cache.join("fidelity/digits.csv.gz"))
}

/// Fetches the wheel and puts its table into place; nothing where it is there already.
pub(crate) fn fetch() -> Result<(), Failure> {
    let Some(place) = place() else {
        return Err(Failure::new("there is no home folder", "set HOME, or name a table in `task.path`"));
    };
    if place.is_file() {
        println!("the table of digits is there: {}", place.display());
        return Ok(());
    }
    let folder = root().join("target/digits");
    let io = |error: std::io::Error| {
        Failure::new(format!("cannot write {}: {error}", folder.display()), "check its permissions")
    };
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(io)?;
    let remedy = "install python3 and python3-pip, or name a table in `task.path` (pixels, then the class)";
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "-d"]);
    pip.arg(&folder).arg("scikit-learn").current_dir(root());
    succeed(pip, remedy)?;
    let wheel = fs::read_dir(&folder).map_err(io)?.flatten().map(|file| file.path());
    let Some(wheel) = wheel.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "whl"))
    else {
        return Err(Failure::new("pip downloaded no wheel of scikit-learn", remedy));
    };
    let mut unzip = Command::new("python3");
    let program = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extract(sys.argv[2], sys.argv[3])";
    unzip.args(["-c", program]).arg(&wheel).arg(TABLE).arg(&folder).current_dir(root());
    succeed(unzip, remedy)?;
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent).map_err(io)?;
    }
    // Another file system may lie between the two.
    let beside = place.with_extension("part");
    fs::copy(folder.join(TABLE), &beside).map_err(io)?;
    fs::rename(&beside, &place).map_err(io)?;
    let _ = fs::remove_dir_all(&folder);
    println!("the table of digits: {}", place.display());
    Ok(())
}
