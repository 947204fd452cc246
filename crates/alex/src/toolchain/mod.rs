//! LLVM's and MLIR's command-line tools: finding them, knowing their version, running them.
//!
//! Text goes to stock tools that are found at run time, so nothing of LLVM is needed to build the workspace. Each tool is
//! looked for as `NAME-22` and as `NAME`: in the folder that `FIDELITY_MLIR_BIN` names, if it does, else on PATH and in
//! the folders where distributions put them. A name without its version counts if `--version` says 22: the text formats
//! of MLIR change between versions.

mod process;

use crate::error::{AlexError, Result};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

pub(crate) use process::run;

/// The version of LLVM and MLIR that this crate writes text for.
pub const VERSION: u32 = 22;

/// The folder that holds the tools, instead of those on PATH.
pub const OVERRIDE: &str = "FIDELITY_MLIR_BIN";

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tool {
    /// Checks modules and lowers them to MLIR's LLVM dialect.
    MlirOpt,
    /// Turns the LLVM dialect into LLVM IR.
    MlirTranslate,
    /// LLVM's optimiser.
    Opt,
    /// LLVM's code generator.
    Llc,
    /// The C compiler's driver, or the linker itself: makes shared libraries of objects.
    Linker,
    /// Puts objects into static libraries.
    Archiver,
    /// Lists the names that an object needs.
    Symbols,
}

impl Tool {
    /// Every tool.
    pub const ALL: [Tool; 7] = [
        Tool::MlirOpt,
        Tool::MlirTranslate,
        Tool::Opt,
        Tool::Llc,
        Tool::Linker,
        Tool::Archiver,
        Tool::Symbols,
    ];

    /// Its name, without a version.
    pub fn name(self) -> &'static str {
        match self {
            Tool::MlirOpt => "mlir-opt",
            Tool::MlirTranslate => "mlir-translate",
            Tool::Opt => "opt",
            Tool::Llc => "llc",
            Tool::Linker => "cc",
            Tool::Archiver => "llvm-ar",
            Tool::Symbols => "llvm-nm",
        }
    }

    /// What it is for.
    pub fn purpose(self) -> &'static str {
        match self {
            Tool::MlirOpt => "checks MLIR modules and lowers them",
            Tool::MlirTranslate => "turns lowered MLIR into LLVM IR",
            Tool::Opt => "optimises LLVM IR",
            Tool::Llc => "makes object files",
            Tool::Linker => "makes shared libraries of object files",
            Tool::Archiver => "makes static libraries of object files",
            Tool::Symbols => "lists what object files need",
        }
    }

    /// How to get it.
    pub fn install(self) -> &'static str {
        match self {
            Tool::MlirOpt | Tool::MlirTranslate => "apt install mlir-22-tools llvm-22",
            Tool::Opt | Tool::Llc | Tool::Archiver | Tool::Symbols => "apt install llvm-22",
            Tool::Linker => "apt install gcc",
        }
    }

    /// Names that it goes by, best first.
    fn names(self) -> Vec<String> {
        match self {
            Tool::Linker => ["cc", "gcc", "clang", "ld"].map(String::from).to_vec(),
            _ => vec![format!("{}-{VERSION}", self.name()), self.name().to_string()],
        }
    }

    /// Whether it is one of LLVM's, whose version matters.
    pub fn is_llvm(self) -> bool {
        !matches!(self, Tool::Linker)
    }

    /// Looks for it.
    ///
    /// # Errors
    /// [`AlexError::Missing`] where it is not, with the command that installs it.
    pub fn find(self) -> Result<Found> {
        let given = std::env::var_os(OVERRIDE).map(PathBuf::from).filter(|_| self.is_llvm());
        let folders: Vec<PathBuf> = match &given {
            Some(folder) => vec![folder.clone()],
            None => {
                let path = std::env::var_os("PATH").unwrap_or_default();
                let usual = ["/usr/lib/llvm-22/bin", "/opt/homebrew/opt/llvm@22/bin", "/usr/bin"];
                std::env::split_paths(&path).chain(usual.map(PathBuf::from)).collect()
            }
        };
        let mut other = None;
        for name in self.names() {
            for folder in &folders {
                let path = folder.join(&name);
                if !is_program(&path) {
                    continue;
                }
                let versioned = name.ends_with(&format!("-{VERSION}"));
                // A program with the version in its name is taken at its word: asking takes as long as a small module.
                if !self.is_llvm() || versioned && given.is_none() {
                    return Ok(Found { tool: self, path });
                }
                let found = Found { tool: self, path };
                match found.version() {
                    Ok(_) => return Ok(found),
                    Err(e) => other = other.or(Some(e)),
                }
            }
        }
        Err(other.unwrap_or_else(|| {
            let looked = match &given {
                Some(folder) => format!("{OVERRIDE} names the folder {}", folder.display()),
                None => format!("looked for {} on PATH", self.names().join(", ")),
            };
            AlexError::Missing { tool: self.name(), looked, install: self.install(), version: VERSION }
        }))
    }
}

/// A tool that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub tool: Tool,
    /// The program.
    pub path: PathBuf,
}

impl Found {
    /// The line of `--version` that names the version, such as `Debian LLVM version 22.1.8`.
    ///
    /// # Errors
    /// [`AlexError::Version`] for one of LLVM's tools of another version; [`AlexError::File`] where it does not start.
    pub fn version(&self) -> Result<String> {
        let said = process::ask(&self.path, &["--version"])?;
        let line = said.lines().map(str::trim).find(|l| l.contains("version") || !self.tool.is_llvm());
        let line = line.unwrap_or_default().to_string();
        let ours = line.split("version ").nth(1).and_then(|v| v.split('.').next()?.parse::<u32>().ok());
        if self.tool.is_llvm() && ours != Some(VERSION) {
            return Err(AlexError::Version {
                tool: self.tool.name(),
                path: self.path.clone(),
                found: if line.is_empty() { "of a version that it does not tell".into() } else { line },
                expected: VERSION,
                install: self.tool.install(),
            });
        }
        Ok(line)
    }

    /// What tells this program from another one of the same name: where it really is, its size and its date. Asking for
    /// the version would take longer than loading what has been compiled.
    pub(crate) fn identity(&self) -> String {
        let real = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let meta = real.metadata().ok();
        let size = meta.as_ref().map_or(0, std::fs::Metadata::len);
        let date = meta.and_then(|m| m.modified().ok()?.duration_since(UNIX_EPOCH).ok());
        format!("{} {size} {}", real.display(), date.map_or(0, |d| d.as_nanos()))
    }
}

/// The tools that compile.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// `mlir-opt`.
    pub mlir_opt: Found,
    /// `mlir-translate`.
    pub mlir_translate: Found,
    /// `opt`.
    pub opt: Found,
    /// `llc`.
    pub llc: Found,
}

impl Toolchain {
    /// Finds LLVM's four tools.
    ///
    /// # Errors
    /// The first that is missing, or of another version.
    pub fn find() -> Result<Toolchain> {
        Ok(Toolchain {
            mlir_opt: Tool::MlirOpt.find()?,
            mlir_translate: Tool::MlirTranslate.find()?,
            opt: Tool::Opt.find()?,
            llc: Tool::Llc.find()?,
        })
    }

    /// See [`Found::identity`]; of all of them.
    pub(crate) fn identity(&self) -> String {
        [&self.mlir_opt, &self.mlir_translate, &self.opt, &self.llc].map(Found::identity).join("\n")
    }
}

/// Whether it is a file that may be started.
fn is_program(path: &Path) -> bool {
    let Ok(meta) = path.metadata() else { return false };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        meta.is_file() && meta.permissions().mode() & 0o111 != 0
    }
    #[cfg(not(unix))]
    meta.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_with_how_to_get_it() {
        let e = AlexError::Missing {
            tool: Tool::MlirOpt.name(),
            looked: "looked for mlir-opt-22, mlir-opt on PATH".into(),
            install: Tool::MlirOpt.install(),
            version: VERSION,
        };
        let text = e.to_string();
        assert!(text.contains("apt install mlir-22-tools llvm-22") && text.contains(OVERRIDE), "{text}");
    }
}
