//! Writing so that a reader finds the old file or the whole new one, never half of either.
//!
//! The writing itself is [`models::atomic`]'s: a temporary name in the same folder, synced, renamed, the folder
//! synced. Here the errors get a training run's remedies, [`remove_temporaries`] clears away what killed runs left
//! half written, and [`FolderLock`] keeps two runs out of one folder.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use models::ModelError;
use models::atomic::write_atomic;

use crate::error::{Result, TrainError};

/// How [`models::atomic`] ends its temporary names.
const SUFFIX: &str = ".partial";

/// Writes a file through `write`; on any error the target is as it was and the temporary file is gone.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("note.txt");
/// train::checkpoint::atomic_write(&path, |out| out.write_all(b"whole"))?;
/// assert_eq!(std::fs::read(&path)?, b"whole");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn atomic_write(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    write_atomic(path, write).map_err(|error| match error {
        ModelError::Io { source, .. } => TrainError::write(path, source),
        other => TrainError::write(path, io::Error::other(other.to_string())),
    })
}

/// Makes a folder and its parents.
pub fn create_folder(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(|source| TrainError::write(dir, source))
}

/// Removes what killed processes left in a folder. Returns how many files that were.
pub fn remove_temporaries(dir: &Path) -> usize {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with('.') && name.ends_with(SUFFIX) && fs::remove_file(entry.path()).is_ok()
        })
        .count()
}

/// Holds a folder for one run: two runs that write the same checkpoints would destroy each other's.
///
/// The lock goes with the process, so a killed run leaves none behind.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Locks a folder (made if need be), or says that another process has it.
    pub fn acquire(dir: &Path) -> Result<Self> {
        create_folder(dir)?;
        let path = dir.join(".lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|source| TrainError::write(&path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(FolderLock { _file: file }),
            Err(fs::TryLockError::WouldBlock) => Err(TrainError::Locked { dir: dir.into() }),
            // Some network file systems have no locks; a run there is worth more than the protection.
            Err(fs::TryLockError::Error(_)) => Ok(FolderLock { _file: file }),
        }
    }
}
