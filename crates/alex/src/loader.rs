//! Shared libraries of compiled plans, and the functions in them.
#![allow(unsafe_code)]

pub(crate) mod cells;
pub(crate) mod kernels;

use crate::error::{AlexError, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A compiled plan: `(arena, bindings) -> status`. `bindings` are the addresses that [`premap::Plan::bindings`] lists; the
/// status is 0, or the number of the step that refused its operands plus one.
pub type Entry = unsafe extern "C" fn(*mut u8, *const *mut u8) -> i32;

/// A compiled plan whose rounds are dealt out ([`crate::lower::Options::dealt`]): `(arena, bindings, runner) -> status`. The
/// runner is what the engine's pool, or a caller in C, makes; a null pointer: every task runs on the calling thread.
pub type Dealt<R> = unsafe extern "C" fn(*mut u8, *const *mut u8, *const R) -> i32;

/// A shared library in memory; it stays there as long as a copy of this value does.
#[derive(Clone)]
pub struct Library {
    inner: Arc<libloading::Library>,
    path: PathBuf,
}

impl Library {
    /// Loads a library that [`crate::Compiler`] has made.
    ///
    /// # Errors
    /// [`AlexError::Load`] where the system's loader refuses it.
    pub(crate) fn open(path: &Path) -> Result<Library> {
        // SAFETY: loading runs the library's initialisers. The crate loads what its own compiler wrote and its cache found
        // unchanged: objects of arithmetic on memory that they are given, without initialisers.
        let made = unsafe { libloading::Library::new(path) };
        let inner = made.map_err(|e| fault(path, e.to_string()))?;
        Ok(Library { inner: Arc::new(inner), path: path.to_path_buf() })
    }

    /// The function of that name. It is called with a module's own memory only, so taking its address is safe and calling it
    /// is not; it stays valid as long as this library, or a copy of it, lives.
    ///
    /// # Errors
    /// [`AlexError::Load`] where there is none.
    pub fn entry(&self, name: &str) -> Result<Entry> {
        // SAFETY: the modules of this crate export functions of this type alone, which `crate::lower` writes down.
        let found = unsafe { self.inner.get::<Entry>(name.as_bytes()) };
        found.map(|f| *f).map_err(|e| fault(&self.path, e.to_string()))
    }

    /// The function of that name, of a module whose rounds are dealt out; `R` is the runner, two words.
    ///
    /// # Errors
    /// [`AlexError::Load`] where there is none.
    pub fn dealt<R>(&self, name: &str) -> Result<Dealt<R>> {
        // SAFETY: as for `entry`; an address does not depend on what it is called with.
        let found = unsafe { self.inner.get::<Dealt<R>>(name.as_bytes()) };
        found.map(|f| *f).map_err(|e| fault(&self.path, e.to_string()))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Library({})", self.path.display())
    }
}

fn fault(path: &Path, problem: String) -> AlexError {
    AlexError::Load { path: path.to_path_buf(), problem }
}
