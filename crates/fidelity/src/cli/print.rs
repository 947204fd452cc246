//! Standard output and standard error.
//!
//! The macros of the standard library panic when the other end of a pipe has gone; here that ends the command
//! quietly ([`Closed`]), and a full disk behind a redirection is an error like any other.

use anyhow::{Context, Result};
use fidelity::error::Fault;
use serde::Serialize;
use std::io::{self, ErrorKind, Write};

/// The reader of standard output has gone: no error.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(super) struct Closed;

/// Bytes to standard output, at once.
pub(super) fn bytes(content: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(content).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Closed.into(),
        _ => {
            Fault::new(format!("cannot write to standard output: {error}"), "check where it is redirected to")
                .into()
        }
    })
}

/// Text to standard output, at once.
pub(super) fn text(content: &str) -> Result<()> {
    bytes(content.as_bytes())
}

/// One JSON value and a line feed to standard output.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    let mut content = serde_json::to_string(value).context("the result could not be written as JSON")?;
    content.push('\n');
    text(&content)
}

/// A line to standard error. That nobody reads it stops nothing.
pub(super) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
