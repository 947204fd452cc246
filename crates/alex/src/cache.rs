//! What has been compiled, kept between runs.
//!
//! An entry is a shared library named by the digest of all that it depends on, beside a note of its length and digest. Both
//! are written under temporary names and renamed; an entry whose library does not match its note is as good as none. The
//! folder is `FIDELITY_CACHE`, or `fidelity` in the user's cache folder.

use crate::error::{Result, file};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The folder that holds compiled code, instead of the user's cache folder.
pub const OVERRIDE: &str = "FIDELITY_CACHE";

/// A folder of compiled libraries.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

/// What is noted of an entry.
#[derive(Serialize, Deserialize)]
struct Note {
    bytes: u64,
    sha256: String,
}

/// The digest of these parts, in hexadecimal.
pub fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Cache {
    /// A cache in this folder, which is made when something is put into it.
    pub fn new(folder: impl Into<PathBuf>) -> Cache {
        Cache { folder: folder.into() }
    }

    /// The user's.
    pub fn user() -> Cache {
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = || set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|h| h.join(".cache")));
        let folder = set(OVERRIDE).or_else(|| home().map(|c| c.join("fidelity")));
        Cache::new(folder.unwrap_or_else(|| std::env::temp_dir().join("fidelity-cache")).join("compiled"))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn paths(&self, key: &str) -> (PathBuf, PathBuf) {
        (self.folder.join(format!("{key}.so")), self.folder.join(format!("{key}.json")))
    }

    /// The library of that key, unless there is none or it has been damaged.
    pub fn get(&self, key: &str) -> Option<PathBuf> {
        let (library, note) = self.paths(key);
        let note: Note = serde_json::from_slice(&std::fs::read(note).ok()?).ok()?;
        let bytes = std::fs::read(&library).ok()?;
        (bytes.len() as u64 == note.bytes && digest(&[&bytes]) == note.sha256).then_some(library)
    }

    /// Puts a library in.
    ///
    /// # Errors
    /// [`crate::AlexError::File`] where the folder cannot be written.
    pub fn put(&self, key: &str, bytes: &[u8]) -> Result<PathBuf> {
        std::fs::create_dir_all(&self.folder).map_err(file("cannot make the folder", &self.folder))?;
        let (library, note) = self.paths(key);
        let text = Note { bytes: bytes.len() as u64, sha256: digest(&[bytes]) };
        self.write(&library, bytes)?;
        self.write(&note, serde_json::to_string(&text).unwrap_or_default().as_bytes())?;
        Ok(library)
    }

    /// A file under a temporary name, synced, then renamed.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let made = tempfile::NamedTempFile::new_in(&self.folder).and_then(|mut f| {
            f.write_all(bytes)?;
            f.as_file().sync_all()?;
            f.persist(path).map_err(|e| e.error)
        });
        made.map(|_| ()).map_err(file("cannot write", path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_comes_out_unless_it_was_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("inner"));
        assert!(cache.get("k").is_none());
        let path = cache.put("k", b"library").unwrap();
        assert_eq!(cache.get("k"), Some(path.clone()));
        std::fs::write(&path, b"librarz").unwrap();
        assert!(cache.get("k").is_none());
        cache.put("k", b"library").unwrap();
        assert_eq!(cache.get("k"), Some(path.clone()));
        std::fs::write(folder.path().join("inner/k.json"), b"{").unwrap();
        assert!(cache.get("k").is_none());
    }

    #[test]
    fn digests_tell_parts_apart() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    }
}
