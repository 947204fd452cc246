//! Finding the files that `data.train` names.
//!
//! An entry is a file (taken whatever its ending), a folder (all files below it, sorted by path, hidden ones and
//! those with other endings left out) or a pattern. The order of the entries is kept, and a file that two
//! entries name is taken once, at its first place.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Result, TrainError};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovered {
    /// The files in the order in which they are read, each with whether it was named itself. A named file that
    /// cannot be read is an error; one that was found in a folder is passed over with a note.
    pub files: Vec<(PathBuf, bool)>,
    /// How many files in folders have an ending that is not in the list.
    pub other_endings: usize,
}

/// Resolves files, folders and patterns to files.
///
/// # Errors
/// [`TrainError::NoSources`], [`TrainError::Missing`], [`TrainError::Pattern`], or [`TrainError::NoMatch`] for
/// an entry that yields no file.
pub fn discover(sources: &[String], extensions: &[String]) -> Result<Discovered> {
    if sources.is_empty() {
        return Err(TrainError::NoSources);
    }
    let mut found = Discovered::default();
    let mut seen = HashSet::new();
    for source in sources {
        let mut entry = Discovered::default();
        let path = Path::new(source);
        if path.is_dir() {
            walk(path, extensions, &mut entry)?;
        } else if path.exists() {
            entry.files.push((path.into(), true));
        } else if source.contains(['*', '?', '[']) {
            expand(source, &mut entry)?;
        } else {
            return Err(TrainError::Missing {
                what: "the text source",
                path: path.into(),
                remedy: "check the spelling of `data.train`; relative paths are taken from the current folder",
            });
        }
        if entry.files.is_empty() {
            let detail = format!("{} file(s) have other endings", entry.other_endings);
            return Err(TrainError::NoMatch { source_text: source.clone(), detail });
        }
        found.other_endings += entry.other_endings;
        for (path, named) in entry.files {
            // By its real path, so that `a.txt` and `./a.txt` are one file; the text must not be counted twice.
            let identity = path.canonicalize().unwrap_or_else(|_| path.clone());
            if seen.insert(identity) {
                found.files.push((path, named));
            }
        }
    }
    Ok(found)
}

fn expand(pattern: &str, entry: &mut Discovered) -> Result<()> {
    let paths = glob::glob(pattern)
        .map_err(|e| TrainError::Pattern { pattern: pattern.to_owned(), problem: e.msg.to_owned() })?;
    // An unreadable folder below the pattern is passed over, as the shell does.
    let mut paths: Vec<PathBuf> = paths.flatten().filter(|path| path.is_file()).collect();
    paths.sort();
    entry.files.extend(paths.into_iter().map(|path| (path, false)));
    Ok(())
}

fn walk(folder: &Path, extensions: &[String], entry: &mut Discovered) -> Result<()> {
    let mut children: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(|source| TrainError::read(folder, source))?
        .flatten()
        .filter(|child| !child.file_name().to_string_lossy().starts_with('.'))
        .map(|child| child.path())
        .collect();
    children.sort();
    for child in children {
        // A link to a folder is not followed: it may lead back up.
        let is_link = child.is_symlink();
        if child.is_dir() {
            if !is_link {
                // A folder below that cannot be read hides its files; the one that was named is an error above.
                let _ = walk(&child, extensions, entry);
            }
        } else if child.is_file() {
            let ending = child.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
            if extensions.is_empty()
                || extensions.iter().any(|e| e.trim_start_matches('.').eq_ignore_ascii_case(&ending))
            {
                entry.files.push((child, false));
            } else {
                entry.other_endings += 1;
            }
        }
    }
    Ok(())
}
