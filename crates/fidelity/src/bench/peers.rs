//! Peers: llama.cpp through the PyPI package llama-cpp-python, in a process of its own that answers JSON lines.
//!
//! The driver is `peer.py`. It is kept between rounds, so that loading is not timed, and does nothing between requests.

use crate::error::{Fault, fault};
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// The program that the other side runs.
const DRIVER: &str = include_str!("peer.py");
/// Longest wait for an answer: a peer on one slow core may read a prompt for minutes.
const PATIENCE: Duration = Duration::from_secs(900);

/// Where a peer is, and what it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The Python that has llama_cpp.
    pub python: PathBuf,
    /// A GGUF file of the same shape.
    pub file: PathBuf,
}

impl Peer {
    /// The Python that `FIDELITY_PEERS` names, or `python3`.
    pub fn python() -> PathBuf {
        let named = std::env::var_os("FIDELITY_PEERS").filter(|value| !value.is_empty());
        named.map_or_else(|| "python3".into(), PathBuf::from)
    }
}

/// A peer's speed beside ours.
#[derive(Clone, Debug, Serialize)]
pub struct Versus {
    /// Name and version.
    pub name: String,
    /// Tokens a second.
    pub rate: super::Spread,
    /// Our median over theirs.
    pub of_medians: f64,
    /// Our best over theirs.
    pub of_bests: f64,
    /// The least and the greatest ratio of a round.
    pub range: [f64; 2],
}

/// A running peer.
pub(super) struct Running {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<String>,
    /// Name and version.
    pub(super) name: String,
}

impl Running {
    /// Starts Python and loads the file.
    pub(super) fn start(peer: &Peer, context: usize) -> Result<Running> {
        let missing = |problem: String| {
            let cause = format!("{}: {problem}", peer.python.display());
            let remedy = "install the package into a Python (`python3 -m pip install llama-cpp-python`) and name it in \
                          FIDELITY_PEERS, or leave --peers out";
            Fault::new(cause, remedy)
        };
        let mut command = Command::new(&peer.python);
        command.args(["-c", DRIVER]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|e| missing(format!("cannot be started: {e}")))?;
        let requests = child.stdin.take().context("a pipe was asked for")?;
        let output = child.stdout.take().context("a pipe was asked for")?;
        let (send, answers) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.take_while(|line| send.send(line.clone()).is_ok()).for_each(drop);
        });
        let mut running = Running { child, requests, answers, name: "llama.cpp".into() };
        let loaded = running
            .ask(&json!({"do": "load", "path": peer.file, "context": context}))
            .map_err(|e| missing(format!("llama_cpp cannot be used: {e}")))?;
        running.name = format!("llama.cpp (llama-cpp-python {})", loaded["version"].as_str().unwrap_or("?"));
        Ok(running)
    }

    /// One request, one answer.
    fn ask(&mut self, request: &Value) -> Result<Value> {
        let mut line = request.to_string();
        line.push('\n');
        let sent = self.requests.write_all(line.as_bytes()).and_then(|()| self.requests.flush());
        let answer = match (sent, self.answers.recv_timeout(PATIENCE)) {
            (Ok(()), Ok(answer)) => answer,
            (Ok(()), Err(RecvTimeoutError::Timeout)) => {
                return fault(
                    format!("the peer has not answered for {} s", PATIENCE.as_secs()),
                    "end what else runs on this computer, or measure a smaller model",
                );
            }
            _ => {
                return fault(
                    "the peer has ended",
                    "run it alone to see what is wrong, or leave --peers out",
                );
            }
        };
        let answer: Value =
            serde_json::from_str(&answer).context("the peer answers something else than JSON")?;
        match answer["error"].as_str() {
            Some(error) => {
                fault(format!("the peer fails: {error}"), "look at the file, or leave --peers out")
            }
            None => Ok(answer),
        }
    }

    /// Sets the number of threads.
    pub(super) fn threads(&mut self, count: usize) -> Result<()> {
        self.ask(&json!({"do": "threads", "count": count})).map(drop)
    }

    /// Seconds of each of `tokens` tokens, one after another.
    pub(super) fn decode(&mut self, tokens: usize) -> Result<Vec<f64>> {
        let answer = self.ask(&json!({"do": "decode", "tokens": tokens}))?;
        let list = answer["seconds"].as_array().context("the peer gives no times")?;
        list.iter().map(|s| s.as_f64().context("the peer gives no number")).collect()
    }

    /// Forgets everything, reads a prompt; seconds.
    pub(super) fn prefill(&mut self, tokens: usize) -> Result<f64> {
        let answer = self.ask(&json!({"do": "prefill", "tokens": tokens}))?;
        answer["seconds"].as_f64().context("the peer gives no time")
    }

    /// Bytes that the process has held at most, where its system tells.
    pub(super) fn peak(&mut self) -> Option<u64> {
        self.ask(&json!({"do": "memory"})).ok()?["peak"].as_u64()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ratios of seconds of rounds, ours and theirs, in which `tokens` tokens were made.
pub(super) fn versus(name: &str, tokens: f64, ours: &[f64], theirs: &[f64]) -> Versus {
    let (a, b) = (super::Spread::per_second(tokens, ours), super::Spread::per_second(tokens, theirs));
    let rounds = || ours.iter().zip(theirs).map(|(ours, theirs)| theirs / ours);
    Versus {
        name: name.to_owned(),
        rate: b,
        of_medians: a.median / b.median,
        of_bests: a.best / b.best,
        range: [rounds().fold(f64::INFINITY, f64::min), rounds().fold(0.0, f64::max)],
    }
}

/// Whether a file is in the form that peers read.
pub fn is_gguf(path: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && &start == b"GGUF"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_is_not_there_is_told_with_a_remedy() {
        let peer = Peer { python: "/nowhere/python".into(), file: "x.gguf".into() };
        let error = Running::start(&peer, 8).err().unwrap().to_string();
        assert!(error.contains("/nowhere/python") && error.contains("FIDELITY_PEERS"), "{error}");
    }

    #[test]
    fn ratios_are_those_of_rounds() {
        let found = versus("x", 10.0, &[1.0, 2.0, 1.0], &[2.0, 2.0, 3.0]);
        assert_eq!((found.of_medians, found.of_bests, found.range), (2.0, 2.0, [1.0, 3.0]));
    }
}
