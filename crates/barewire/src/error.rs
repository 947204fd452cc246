//! The one error type of this crate: which part, what was expected, what was found, what to do.

use std::io;
use std::path::Path;

/// Result with a [`WireError`].
pub type Result<T, E = WireError> = std::result::Result<T, E>;

/// What can go wrong between trits, bytes and files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}; {remedy}", path.display())]
    Io {
        /// The verb: "open", "map", "write".
        action: &'static str,
        /// The file.
        path: Box<Path>,
        /// What the operating system said.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// A file is not a bundle, or not a whole one.
    #[error("{}: {part}: expected {expected}, found {found}; {remedy}", path.display())]
    Format {
        /// The file, or what stands for its name.
        path: Box<Path>,
        /// The part: "header, version", "section `x`, checksum", …
        part: String,
        /// What a valid bundle has there.
        expected: String,
        /// What is there.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// A bundle has no section of that name, or one of another kind.
    #[error("{}: section `{section}`: expected {expected}, found {found}; {remedy}", path.display())]
    Section {
        /// The file, or what stands for its name.
        path: Box<Path>,
        /// The name that was asked for.
        section: String,
        /// What was asked for.
        expected: String,
        /// What there is.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Trits, or bytes that should hold them, are not what their layout and sizes say.
    #[error("trits ({layout}, {rows} × {columns}): {what}: expected {expected}, found {found}; {remedy}")]
    Trits {
        /// The layout's name.
        layout: &'static str,
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
        /// The part: "length", "row 3, column 7", …
        what: String,
        /// What belongs there.
        expected: String,
        /// What is there.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Numbers, or the blocks that should hold them, are not what their format and sizes say.
    #[error("blocks ({format}): {what}: expected {expected}, found {found}; {remedy}")]
    Blocks {
        /// The format's name.
        format: &'static str,
        /// The part: "columns", "row 3, column 7", …
        what: String,
        /// What belongs there.
        expected: String,
        /// What is there.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A writer was not given what it was told it would be given.
    #[error("writing {part}: expected {expected}, found {found}; {remedy}")]
    Write {
        /// The part: "section `x`", "sections".
        part: String,
        /// What was declared, or what a bundle can hold.
        expected: String,
        /// What was given.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The place that a writer writes to failed.
    #[error("cannot write the file: {0}; free some space or choose another place")]
    Output(#[from] io::Error),
}

impl WireError {
    /// What to do about it, alone.
    pub fn remedy(&self) -> &str {
        match self {
            Self::Format { remedy, .. } => remedy,
            Self::Io { remedy, .. }
            | Self::Section { remedy, .. }
            | Self::Trits { remedy, .. }
            | Self::Blocks { remedy, .. }
            | Self::Write { remedy, .. } => remedy,
            Self::Output(_) => "free some space or choose another place",
        }
    }

    /// An I/O error whose remedy follows from its kind.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let remedy = match source.kind() {
            io::ErrorKind::NotFound => "check the path",
            io::ErrorKind::PermissionDenied => "check the permissions of the file and of its folder",
            io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
                "check which part of the path is a folder"
            }
            _ => "check the file and its folder",
        };
        Self::Io { action, path: path.into(), source, remedy }
    }

    /// The output error of a writer as plain I/O, for code that writes through [`std::io::Write`].
    pub fn into_io(self) -> io::Error {
        match self {
            Self::Output(error) => error,
            other => io::Error::other(other),
        }
    }
}
