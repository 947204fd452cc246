//! The one error type of this crate.
//!
//! Every variant names the file, the tensor or field, what was expected, what was found, and what to do about
//! it: [`ModelError::remedy`] gives the last part alone, so that a command can print it on a line of its own.
//! [`std::fmt::Display`] prints the whole story in one line.

use std::fmt;
use std::io;
use std::path::Path;

/// Result with a [`ModelError`].
pub type Result<T, E = ModelError> = std::result::Result<T, E>;

/// What can go wrong between a model's folder and its tensors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}; {remedy}", path.display())]
    Io {
        /// The verb: "open", "write", …
        action: &'static str,
        /// The file or folder.
        path: Box<Path>,
        /// What the operating system said.
        source: io::Error,
        /// What to do.
        remedy: String,
    },
    /// A file as a whole is not what its name or its neighbours say.
    #[error("{}: {what}: expected {expected}, found {found}; {remedy}", path.display())]
    File {
        /// The file or folder.
        path: Box<Path>,
        /// The part of the file: "header length", "weight_map", …
        what: String,
        /// What a valid file has there.
        expected: String,
        /// What this file has there.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// One tensor is missing, or has the wrong dtype, shape or place in the file.
    #[error("{}: tensor `{tensor}`: expected {expected}, found {found}; {remedy}", path.display())]
    Tensor {
        /// The file or folder.
        path: Box<Path>,
        /// The tensor's full name.
        tensor: String,
        /// What was expected of it.
        expected: String,
        /// What the file has.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// A key of a configuration file has a value that cannot be used.
    #[error("{}: `{field}`: expected {expected}, found {found}; {remedy}", path.display())]
    Field {
        /// The configuration file.
        path: Box<Path>,
        /// The key.
        field: String,
        /// What it may hold.
        expected: String,
        /// What it holds.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// `model_type` names an architecture that this version does not have.
    #[error("{}: `model_type`: expected one of {}, found {found}; {remedy}", path.display(), supported.join(", "))]
    Architecture {
        /// The configuration file.
        path: Box<Path>,
        /// The `model_type` in the file.
        found: String,
        /// Every `model_type` this version loads.
        supported: Vec<String>,
        /// What to do.
        remedy: String,
    },
    /// The tensors of a folder are not those its configuration describes.
    #[error("{}: expected the tensors that config.json describes, found {differences}; {remedy}", path.display())]
    Weights {
        /// The folder or file that holds the tensors.
        path: Box<Path>,
        /// Everything that differs.
        differences: Box<Differences>,
        /// What to do.
        remedy: String,
    },
    /// A bundle, or the trits in it.
    #[error(transparent)]
    Wire(#[from] barewire::WireError),
    /// A value that the caller passed, rather than one in a file, cannot be used.
    #[error("{what}: expected {expected}, found {found}; {remedy}")]
    Value {
        /// The option or argument.
        what: String,
        /// What it may be.
        expected: String,
        /// What it was.
        found: String,
        /// What to do.
        remedy: String,
    },
}

impl ModelError {
    /// What to do about it, alone.
    pub fn remedy(&self) -> &str {
        match self {
            Self::Wire(error) => error.remedy(),
            Self::Io { remedy, .. }
            | Self::File { remedy, .. }
            | Self::Tensor { remedy, .. }
            | Self::Field { remedy, .. }
            | Self::Architecture { remedy, .. }
            | Self::Weights { remedy, .. }
            | Self::Value { remedy, .. } => remedy,
        }
    }

    /// An I/O error whose remedy follows from its kind.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let remedy = match source.kind() {
            io::ErrorKind::NotFound => "check the path",
            io::ErrorKind::PermissionDenied => "check the permissions of the file and of its folder",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free some space or choose another folder; what was there before is untouched"
            }
            io::ErrorKind::FileTooLarge => {
                "raise the limit on the size of files (`ulimit -f`); what was there before is untouched"
            }
            io::ErrorKind::ReadOnlyFilesystem => "choose a folder that can be written",
            io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
                "check which part of the path is a folder"
            }
            _ => "check the file, its folder and the disk",
        };
        Self::Io { action, path: path.into(), source, remedy: remedy.to_owned() }
    }

    /// A fault of a file as a whole.
    pub(crate) fn file(
        path: &Path,
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::File {
            path: path.into(),
            what: what.into(),
            expected: expected.into(),
            found: found.into(),
            remedy: remedy.into(),
        }
    }

    /// A fault of one tensor.
    pub(crate) fn tensor(
        path: &Path,
        tensor: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Tensor {
            path: path.into(),
            tensor: tensor.into(),
            expected: expected.into(),
            found: found.into(),
            remedy: remedy.into(),
        }
    }

    /// A fault of one configuration key.
    pub(crate) fn field(
        path: &Path,
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Field {
            path: path.into(),
            field: field.into(),
            expected: expected.into(),
            found: found.into(),
            remedy: remedy.into(),
        }
    }

    /// A fault of a caller's argument.
    pub(crate) fn value(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Value {
            what: what.into(),
            expected: expected.into(),
            found: found.into(),
            remedy: remedy.into(),
        }
    }
}

/// All the ways in which the tensors of a folder differ from those its configuration describes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Described, but in no file: name and shape.
    pub missing: Vec<(String, Vec<usize>)>,
    /// In a file, with another shape: name, expected shape, found shape.
    pub shapes: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// In a file, with a dtype that cannot be a weight: name, dtype.
    pub dtypes: Vec<(String, String)>,
    /// In a file, but not described.
    pub unexpected: Vec<String>,
}

impl Differences {
    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty()
            && self.shapes.is_empty()
            && self.dtypes.is_empty()
            && self.unexpected.is_empty()
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing =
            self.missing.iter().map(|(name, shape)| format!("`{name}` {shape:?}")).collect::<Vec<_>>();
        let shapes = self
            .shapes
            .iter()
            .map(|(name, expected, found)| format!("`{name}` {found:?} instead of {expected:?}"))
            .collect::<Vec<_>>();
        let dtypes = self.dtypes.iter().map(|(name, dtype)| format!("`{name}` {dtype}")).collect::<Vec<_>>();
        let unexpected = self.unexpected.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
        let mut parts = Vec::new();
        for (count, label, list) in [
            (missing.len(), "missing", &missing),
            (shapes.len(), "with another shape", &shapes),
            (dtypes.len(), "with a dtype that is no float", &dtypes),
            (unexpected.len(), "unexpected", &unexpected),
        ] {
            if count > 0 {
                parts.push(format!("{count} {label}: {}", shorten(list)));
            }
        }
        f.write_str(if parts.is_empty() { "no difference" } else { "" })?;
        f.write_str(&parts.join("; "))
    }
}

/// The first few names, then how many more: a wrong config can miss thousands.
pub(crate) fn shorten(list: &[String]) -> String {
    const SHOWN: usize = 6;
    let head = list.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if list.len() > SHOWN { format!("{head} and {} more", list.len() - SHOWN) } else { head }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_in_the_message() {
        let error = ModelError::tensor(Path::new("m.safetensors"), "w", "[2, 3]", "[3, 2]", "transpose it");
        let text = error.to_string();
        for part in ["m.safetensors", "`w`", "[2, 3]", "[3, 2]", "transpose it"] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(error.remedy(), "transpose it");
    }

    #[test]
    fn long_lists_are_cut() {
        let names = (0..9).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(shorten(&names), "0, 1, 2, 3, 4, 5 and 3 more");
    }
}
