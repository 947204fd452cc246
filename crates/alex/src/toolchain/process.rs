//! Running a tool: what goes in by a pipe, what comes out of two.

use super::Found;
use crate::error::{AlexError, Result, file};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Longest text of diagnostics that a message carries.
const MOST: usize = 4000;

/// Gives `input` to a tool and returns what it writes.
///
/// # Errors
/// [`AlexError::Tool`] with the tool's own words where it refuses; the input is kept in a file that the message names.
pub(crate) fn run(tool: &Found, stage: &'static str, args: &[String], input: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new(&tool.path)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(file("cannot start", &tool.path))?;
    let (stdin, mut stderr) = (child.stdin.take(), child.stderr.take());
    let (mut out, mut words) = (vec![], vec![]);
    std::thread::scope(|s| {
        // A tool that stops reading closes its end; what it has to say about that comes by the other pipe.
        s.spawn(|| stdin.map(|mut pipe| pipe.write_all(input)));
        s.spawn(|| stderr.as_mut().map(|pipe| pipe.read_to_end(&mut words)));
        child.stdout.as_mut().map(|pipe| pipe.read_to_end(&mut out))
    });
    let status = child.wait().map_err(file("cannot wait for", &tool.path))?;
    if status.success() {
        return Ok(out);
    }
    let mut diagnostics = String::from_utf8_lossy(&words).trim().to_string();
    if diagnostics.is_empty() {
        diagnostics = format!("{status}");
    }
    if diagnostics.len() > MOST {
        let end = (0..=MOST).rev().find(|i| diagnostics.is_char_boundary(*i)).unwrap_or(0);
        diagnostics.truncate(end);
        diagnostics.push_str(" …");
    }
    Err(AlexError::Tool { tool: tool.tool.name(), stage, diagnostics, kept: keep(stage, input) })
}

/// Writes a refused text where a person can look at it.
fn keep(stage: &str, input: &[u8]) -> String {
    let is_text = std::str::from_utf8(input).is_ok();
    let suffix = if is_text { ".mlir" } else { ".bc" };
    let made = tempfile::Builder::new().prefix(&format!("fidelity-{stage}-")).suffix(suffix).tempfile();
    let kept = made.and_then(|mut f| {
        f.write_all(input)?;
        let (_, path) = f.keep().map_err(|e| e.error)?;
        Ok(path)
    });
    kept.map_or_else(|e| format!("no file ({e})"), |path| path.display().to_string())
}

/// What a program says when it is started with these arguments and nothing to read.
pub(super) fn ask(program: &Path, args: &[&str]) -> Result<String> {
    let out = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(file("cannot start", program))?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
