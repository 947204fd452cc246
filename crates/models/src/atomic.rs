//! Writing files so that a reader sees the old content or the new, never a part of either.
//!
//! The bytes go to a temporary name in the same folder, are synced, and are renamed over the target; the folder is
//! synced last, so that the rename itself survives a power cut. A crash leaves the target as it was, and at most
//! a temporary file, which the next write of the same target removes.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::{ModelError, Result};

/// A temporary file this old, of a process that no longer runs, is left over from a crash.
const LEFT_OVER: Duration = Duration::from_secs(60);

/// Writes `path` through `fill`; on any error the file that was there before is untouched.
///
/// # Errors
/// [`ModelError::Io`] with the target's name, whichever step failed.
pub fn write_atomic(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    try_write(path, |out| fill(out).map_err(|error| ModelError::io("write", path, error)))
}

/// [`write_atomic`] for content whose making may fail for other reasons than the disk.
///
/// # Errors
/// As [`write_atomic`], and whatever `fill` returns.
pub fn try_write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let (folder, name) = split(path)?;
    // A device or a pipe (`/dev/stdout`, `/dev/null`) is written to: renaming a file over it would destroy it.
    if fs::metadata(path).is_ok_and(|data| !data.is_file() && !data.is_dir()) {
        return fill_in_place(path, fill);
    }
    remove_left_overs(folder, &name);
    let place = Temporary::new(folder, &name);
    let temporary = &place.0;
    let outcome = fill_and_rename(temporary, path, folder, fill);
    if outcome.is_err() {
        // The first error is the one to report; a temporary file that cannot be removed is found later.
        let _ = fs::remove_file(temporary);
    }
    outcome
}

/// The folder that a path lies in, and its last part.
fn split(path: &Path) -> Result<(&Path, String)> {
    let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else {
        return Err(ModelError::file(path, "name", "a name", "none", "name the file or folder to write"));
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    Ok((folder, name))
}

/// What is being written under temporary names now.
static OPEN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes whatever is being written and is not yet under its final name: for a program that is told to stop.
///
/// What other threads go on writing may come back; call it and exit.
pub fn abandon() {
    // A thread that panicked while it held the list left it whole.
    for path in OPEN.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}

/// A name that no other process and no other call uses, known to [`abandon`] as long as this lives.
struct Temporary(PathBuf);

impl Temporary {
    fn new(folder: &Path, name: &str) -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".{name}.{}-{count}.partial", std::process::id()));
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).retain(|path| *path != self.0);
    }
}

/// Fills a folder so that under `path` stands all of it or what was there before.
///
/// The files go into a temporary folder beside it. Where `path` does not exist, or is an empty folder, one rename makes
/// it appear whole. Where it holds files, those of the new folder replace them one by one once all are written, each by
/// a rename: every file is whole at any time, and files of other names stay. `stale` names files that the new content
/// replaces without having one of that name; they are removed last.
///
/// # Errors
/// Whatever `fill` returns; [`ModelError::Io`]. Up to the first rename, what was there before is untouched.
pub fn write_folder(
    path: &Path,
    stale: impl Fn(&str) -> bool,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let (folder, name) = split(path)?;
    if path.exists() && !path.is_dir() {
        let remedy = "name a folder that does not exist yet";
        return Err(ModelError::file(path, "kind", "a folder", "a file", remedy));
    }
    fs::create_dir_all(folder).map_err(|error| ModelError::io("create", folder, error))?;
    remove_left_overs(folder, &name);
    let place = Temporary::new(folder, &name);
    let temporary = &place.0;
    let io = |action| move |error| ModelError::io(action, path, error);
    fs::create_dir(temporary).map_err(io("create"))?;
    let outcome = fill(temporary).and_then(|()| {
        sync_folder(temporary).map_err(io("write"))?;
        match fs::rename(temporary, path) {
            Err(_) if path.is_dir() => move_over(temporary, path, stale).map_err(io("write"))?,
            renamed => renamed.map_err(io("write"))?,
        }
        sync_folder(folder).map_err(io("write"))
    });
    if outcome.is_err() {
        let _ = fs::remove_dir_all(temporary);
    }
    outcome
}

/// Moves every file of `from` into `to`, which holds others, and then removes what they make stale: whoever comes between
/// finds a whole model, old or new.
fn move_over(from: &Path, to: &Path, stale: impl Fn(&str) -> bool) -> io::Result<()> {
    let list = |folder: &Path| -> io::Result<Vec<String>> {
        let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    };
    let mut new = list(from)?;
    // Configurations last: a reader that comes between finds new weights with the old one rather than none.
    new.sort_by_key(|name| (name.ends_with(".json"), name.clone()));
    for name in &new {
        fs::rename(from.join(name), to.join(name))?;
    }
    for name in list(to)?.iter().filter(|name| stale(name) && !new.contains(name)) {
        fs::remove_file(to.join(name))?;
    }
    sync_folder(to)?;
    fs::remove_dir(from)
}

/// [`write_atomic`] for content that is already in memory.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomic(path, |out| out.write_all(bytes))
}

fn fill_in_place(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let io = |error| ModelError::io("write", path, error);
    let mut out = BufWriter::with_capacity(1 << 20, File::options().write(true).open(path).map_err(io)?);
    fill(&mut out)?;
    out.flush().map_err(io)
}

fn fill_and_rename(
    temporary: &Path,
    path: &Path,
    folder: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let io = |error| ModelError::io("write", path, error);
    let mut out = Runs(BufWriter::with_capacity(RUN, File::create_new(temporary).map_err(io)?));
    fill(&mut out)?;
    let file = out.0.into_inner().map_err(|error| io(error.into_error()))?;
    file.sync_all().map_err(io)?;
    drop(file);
    fs::rename(temporary, path).map_err(io)?;
    sync_folder(folder).map_err(io)
}

/// Bytes that are written at once, at a multiple of as many: a huge page. Linux then keeps the file in memory in pieces of
/// that size, on file systems that can (ext4 since 6.16, xfs), and who maps it walks few page tables.
const RUN: usize = 2 << 20;

/// Passes on runs of [`RUN`] bytes, and what is left at the end.
struct Runs(BufWriter<File>);

impl Write for Runs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.buffer().len() == RUN {
            self.0.flush()?;
        }
        // More than fits would be written past the buffer, wherever the file ends now.
        let room = RUN - self.0.buffer().len();
        self.0.write(&bytes[..bytes.len().min(room)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
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
            let path = entry.path();
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
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
    fn pieces_of_any_length_arrive_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        let bytes: Vec<u8> = (0..3 * RUN + 77).map(|at| (at / 97) as u8).collect();
        let cuts = [0, 5, RUN, RUN + 1, 3 * RUN + 2, 3 * RUN + 2, bytes.len()];
        write_atomic(&path, |out| {
            cuts.array_windows().try_for_each(|[from, to]| out.write_all(&bytes[*from..*to]))
        })
        .unwrap();
        assert!(fs::read(&path).unwrap() == bytes);
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

    #[test]
    fn folders_appear_whole_and_are_replaced_file_by_file() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("model");
        let fill = |content: &'static str| {
            move |folder: &Path| {
                fs::write(folder.join("config.json"), content).unwrap();
                Ok(())
            }
        };
        write_folder(&path, |_| false, fill("one")).unwrap();
        assert_eq!(fs::read_to_string(path.join("config.json")).unwrap(), "one");
        fs::write(path.join("notes.txt"), "mine").unwrap();
        fs::write(path.join("old.safetensors"), "stale").unwrap();
        write_folder(&path, |name| name == "old.safetensors", fill("two")).unwrap();
        assert_eq!(fs::read_to_string(path.join("config.json")).unwrap(), "two");
        let mut found = names(&path);
        found.sort();
        assert_eq!(found, ["config.json", "notes.txt"]);
        assert_eq!(names(parent.path()), ["model"]);
        let empty = parent.path().join("empty");
        fs::create_dir(&empty).unwrap();
        write_folder(&empty, |_| false, fill("three")).unwrap();
        assert_eq!(names(&empty), ["config.json"]);
        let error = write_folder(&path.join("notes.txt"), |_| false, fill("four")).unwrap_err();
        assert!(error.to_string().contains("a folder"), "{error}");
    }

    #[test]
    fn a_folder_that_fails_leaves_what_was_there() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("model");
        let fail = |folder: &Path| {
            fs::write(folder.join("config.json"), "half").unwrap();
            Err(ModelError::io("write", folder, io::ErrorKind::StorageFull.into()))
        };
        write_folder(&path, |_| false, fail).unwrap_err();
        assert!(names(parent.path()).is_empty());
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
