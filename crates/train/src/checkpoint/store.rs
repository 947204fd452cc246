//! The folder of a run's checkpoints: the last few, and the best.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Result, TrainError};

use super::atomic::{create_folder, remove_temporaries};
use super::file::{Checkpoint, TensorRef, read_checkpoint, write_checkpoint};

/// Reads and writes the checkpoints of one run.
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    dir: PathBuf,
    keep: usize,
}

/// A checkpoint that was found, and what had to be passed over to find it.
#[derive(Debug)]
pub struct Restored {
    /// The newest checkpoint that is whole.
    pub checkpoint: Checkpoint,
    /// Its file.
    pub path: PathBuf,
    /// One line for each newer file that is damaged, for the user.
    pub notes: Vec<String>,
}

impl CheckpointStore {
    /// Opens a folder (made if need be) that keeps the last `keep` checkpoints (at least one), and clears away
    /// what a killed process left half written. Hold a [`FolderLock`](super::FolderLock) on the run's folder:
    /// another process's unfinished file would look the same.
    pub fn open(dir: impl Into<PathBuf>, keep: usize) -> Result<Self> {
        let dir = dir.into();
        create_folder(&dir)?;
        remove_temporaries(&dir);
        Ok(CheckpointStore { dir, keep: keep.max(1) })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file of a step: `step-000400.ckpt`.
    pub fn path(&self, step: u64) -> PathBuf {
        self.dir.join(format!("step-{step:06}.ckpt"))
    }

    /// The file of the best checkpoint, which is kept whatever its age.
    pub fn best_path(&self) -> PathBuf {
        self.dir.join("best.ckpt")
    }

    /// Writes the checkpoint of a step, then removes those that are older than the last `keep`.
    ///
    /// Nothing is removed unless the new file is safely on the disk.
    pub fn save(
        &self,
        step: u64,
        tensors: &[TensorRef<'_>],
        bytes: &[(String, &[u8])],
        state: &Value,
    ) -> Result<PathBuf> {
        let path = self.path(step);
        write_checkpoint(&path, step, tensors, bytes, state)?;
        for (_, old) in self.list()?.into_iter().filter(|&(s, _)| s < step).rev().skip(self.keep - 1) {
            let _ = fs::remove_file(old); // a file that stays is untidy, not wrong
        }
        Ok(path)
    }

    /// Writes the best checkpoint so far in the place of the one before. No run goes on from it, so it holds no bytes.
    pub fn save_best(&self, step: u64, tensors: &[TensorRef<'_>], state: &Value) -> Result<PathBuf> {
        let path = self.best_path();
        write_checkpoint(&path, step, tensors, &[], state)?;
        Ok(path)
    }

    /// The best checkpoint, if one was written.
    pub fn best(&self) -> Result<Option<Checkpoint>> {
        let path = self.best_path();
        if path.exists() { read_checkpoint(&path).map(Some) } else { Ok(None) }
    }

    /// The steps that have a checkpoint, oldest first.
    pub fn list(&self) -> Result<Vec<(u64, PathBuf)>> {
        let entries = fs::read_dir(&self.dir).map_err(|source| TrainError::read(&self.dir, source))?;
        let mut found: Vec<(u64, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let step = name.strip_prefix("step-")?.strip_suffix(".ckpt")?.parse().ok()?;
                Some((step, entry.path()))
            })
            .collect();
        found.sort();
        Ok(found)
    }

    /// The newest checkpoint that is whole, with a note for every damaged one that is newer.
    ///
    /// # Errors
    /// [`TrainError::NoCheckpoint`] when there is none, or none that is whole.
    pub fn latest(&self) -> Result<Restored> {
        let mut notes = Vec::new();
        for (step, path) in self.list()?.into_iter().rev() {
            match read_checkpoint(&path) {
                Ok(checkpoint) if checkpoint.step == step => return Ok(Restored { checkpoint, path, notes }),
                Ok(checkpoint) => notes.push(format!(
                    "`{}` was passed over: it holds step {}, its name says {step}",
                    path.display(),
                    checkpoint.step
                )),
                Err(TrainError::Damaged { problem, .. }) => {
                    notes.push(format!("`{}` was passed over, it is damaged: {problem}", path.display()));
                }
                Err(other) => notes.push(format!("`{}` was passed over: {other}", path.display())),
            }
        }
        let detail =
            if notes.is_empty() { "it holds no `step-….ckpt`".to_owned() } else { notes.join("; ") };
        Err(TrainError::NoCheckpoint { dir: self.dir.clone(), detail })
    }

    /// Removes every checkpoint, the best one too: for a run that starts anew in a used folder.
    pub fn clear(&self) -> Result<usize> {
        let mut files: Vec<PathBuf> = self.list()?.into_iter().map(|(_, path)| path).collect();
        files.extend(Some(self.best_path()).filter(|path| path.exists()));
        for path in &files {
            fs::remove_file(path).map_err(|source| TrainError::write(path, source))?;
        }
        Ok(files.len())
    }
}
