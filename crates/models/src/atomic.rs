//! Writing files so that a reader sees the old content or the new, never a part of either.
//!
//! The bytes go to a temporary name in the same folder, are synced, and are renamed over the target; the folder is
//! synced last, so that the rename itself survives a power cut. A crash leaves the target as it was, and at most
//! a temporary file, which the next write of the same target removes.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::{ModelError, Result};

/// A temporary file this old, of a process that no longer runs, is left over from a crash.
const LEFT_OVER: Duration = Duration::from_secs(60);

/// Writes `path` through `fill`; on any error the file that was there before is untouched.
///
/// # Errors
/// [`ModelError::Io`] with the target's name, whichever step failed.
pub fn write_atomic(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else {
        return Err(ModelError::file(path, "name", "a file name", "a folder", "name the file to write"));
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // A device or a pipe (`/dev/stdout`, `/dev/null`) is written to: renaming a file over it would destroy it.
    if fs::metadata(path).is_ok_and(|data| !data.is_file() && !data.is_dir()) {
        return fill_in_place(path, fill).map_err(|error| ModelError::io("write", path, error));
    }
    remove_left_overs(folder, &name);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{name}.{}-{count}.partial", std::process::id()));
    let outcome = fill_and_rename(&temporary, path, folder, fill);
    if outcome.is_err() {
        // The first error is the one to report; a temporary file that cannot be removed is found later.
        let _ = fs::remove_file(&temporary);
    }
    outcome.map_err(|error| ModelError::io("write", path, error))
}

/// [`write_atomic`] for content that is already in memory.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomic(path, |out| out.write_all(bytes))
}

fn fill_in_place(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::options().write(true).open(path)?);
    fill(&mut out)?;
    out.flush()
}

fn fill_and_rename(
    temporary: &Path,
    path: &Path,
    folder: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create_new(temporary)?);
    fill(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    drop(file);
    fs::rename(temporary, path)?;
    sync_folder(folder)
}

/// Makes the folder's entries durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Removes what an earlier process left when it was killed while it wrote the same target.
fn remove_left_overs(folder: &Path, name: &str) {
    let prefix = format!(".{name}.");
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let found = entry.file_name().to_string_lossy().into_owned();
        let Some(rest) = found.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".partial")) else {
            continue;
        };
        let process = rest.split('-').next().unwrap_or("");
        let numeric = !process.is_empty() && process.bytes().all(|byte| byte.is_ascii_digit());
        let dead = Path::new("/proc/self").exists() && !PathBuf::from(format!("/proc/{process}")).exists();
        let old = entry.metadata().and_then(|data| data.modified()).ok().and_then(|time| time.elapsed().ok());
        if numeric && dead && old.is_some_and(|age| age > LEFT_OVER) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn replaces_whole_files_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write_bytes(&path, b"first").unwrap();
        write_bytes(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn a_failed_write_keeps_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write_bytes(&path, b"old").unwrap();
        let error = write_atomic(&path, |out| {
            out.write_all(b"half of the new")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        })
        .unwrap_err();
        assert!(error.remedy().contains("space"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn devices_are_written_to_and_not_replaced() {
        use std::os::unix::fs::FileTypeExt;
        let error = write_bytes(Path::new("/dev/full"), b"x").unwrap_err();
        assert!(error.remedy().contains("space"), "{error}");
        write_bytes(Path::new("/dev/null"), b"x").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn old_left_overs_of_dead_processes_go() {
        let folder = tempfile::tempdir().unwrap();
        let stale = folder.path().join(".a.bin.4194999-0.partial");
        File::create(&stale).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        let fresh = folder.path().join(".a.bin.4194999-1.partial");
        File::create(&fresh).unwrap();
        write_bytes(&folder.path().join("a.bin"), b"x").unwrap();
        assert!(!stale.exists() && fresh.exists());
    }
}
