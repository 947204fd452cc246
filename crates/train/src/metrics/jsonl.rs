//! JSON, one value per line, appended as it happens.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::checkpoint::atomic_write;
use crate::error::{Result, TrainError};

/// An open file of JSON lines.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: File,
}

impl JsonLines {
    /// Begins a new file in the place of what was there.
    pub fn create(path: &Path) -> Result<Self> {
        atomic_write(path, |_| Ok(()))?;
        Self::append(path)
    }

    /// Goes on with a file: lines whose `step` is `step` or later are removed, and so is everything from the
    /// first line that is no JSON, which is how a killed process leaves its last one. Returns the lines kept.
    pub fn resume(path: &Path, step: u64) -> Result<(Self, Vec<Value>)> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(TrainError::read(path, source)),
        };
        let mut kept = Vec::new();
        let mut whole = Vec::with_capacity(text.len());
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let Ok(value) = serde_json::from_slice::<Value>(line) else { break };
            if !line.ends_with(b"\n") {
                break; // complete by chance only: `{"step": 12` could have become `123`
            }
            if value["step"].as_u64().is_none_or(|s| s < step) {
                whole.extend_from_slice(line);
                kept.push(value);
            }
        }
        if whole != text {
            atomic_write(path, |out| out.write_all(&whole))?;
        }
        Ok((Self::append(path)?, kept))
    }

    fn append(path: &Path) -> Result<Self> {
        let file = File::options()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|source| TrainError::write(path, source))?;
        Ok(JsonLines { path: path.into(), file })
    }

    /// Appends one line, in one write, so that another process that follows the file sees whole lines.
    pub fn write(&mut self, value: &Value) -> Result<()> {
        let line = format!("{value}\n");
        self.file.write_all(line.as_bytes()).map_err(|source| TrainError::write(&self.path, source))
    }
}
