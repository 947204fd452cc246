//! Running the real binary, and small models to run it on.
#![allow(dead_code, unreachable_pub)]

use models::config::MatMulFreeConfig;
use models::folder::{SaveOptions, save_folder};
use models::safetensors::{NamedTensor, write};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A finished run of the command.
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    fn new(output: Output) -> Run {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Standard output, after a success.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}", self.err);
        self.out
    }

    /// Standard output as one JSON value and nothing else.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// A failure that tells cause and remedy: `code`, and every part in standard error.
    #[track_caller]
    pub fn fails(self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "out: {}\nerr: {}", self.out, self.err);
        assert_eq!(self.out, "", "nothing belongs on standard output");
        assert!(self.err.contains("error: "), "{}", self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        for part in parts {
            assert!(self.err.contains(part), "no {part:?} in: {}", self.err);
        }
        if code == 1 {
            assert!(self.err.contains("\nhelp: "), "no remedy in: {}", self.err);
        }
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fidelity"));
    command.env("NO_COLOR", "1");
    command
}

/// Runs the command without standard input.
pub fn fidelity<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Run {
    Run::new(command().args(args).stdin(Stdio::null()).output().unwrap())
}

/// Runs the command with standard input.
pub fn fidelity_fed<S: AsRef<std::ffi::OsStr>>(args: &[S], input: &[u8]) -> Run {
    let pipe = Stdio::piped;
    let mut child = command().args(args).stdin(pipe()).stdout(pipe()).stderr(pipe()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    Run::new(child.wait_with_output().unwrap())
}

/// Runs the command with standard output into this file.
pub fn fidelity_into<S: AsRef<std::ffi::OsStr>>(args: &[S], file: std::fs::File) -> Run {
    Run::new(command().args(args).stdin(Stdio::null()).stdout(file).stderr(Stdio::piped()).output().unwrap())
}

/// Arguments from pieces of text and paths.
#[macro_export]
macro_rules! args {
    ($($x:expr),* $(,)?) => { [$(std::ffi::OsString::from(&$x)),*] };
}

/// A byte-level model of a few thousand parameters, with a short convolution.
pub fn config() -> MatMulFreeConfig {
    MatMulFreeConfig {
        vocab_size: 256,
        hidden_size: 32,
        num_hidden_layers: 2,
        intermediate_size: Some(48),
        use_short_conv: true,
        bos_token_id: None,
        eos_token_id: vec![],
        // Far from the published scale, so that a random model has opinions.
        initializer_range: 0.5,
        ..Default::default()
    }
}

/// Writes that model into a folder.
pub fn save(folder: &Path, config: &MatMulFreeConfig, tensors: &[NamedTensor<'_>], tokenizer: bool) {
    save_folder(folder, &config.to_json(), tensors, SaveOptions::default()).unwrap();
    if tokenizer {
        models::tokenizer::write_byte_level(folder.join("tokenizer.json")).unwrap();
    }
}

/// A folder with a model and room for more files.
pub struct Tiny {
    pub dir: TempDir,
    pub model: PathBuf,
}

impl Tiny {
    pub fn new() -> Tiny {
        Tiny::with(&config())
    }

    pub fn with(config: &MatMulFreeConfig) -> Tiny {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("model");
        save(&model, config, &config.init(7), true);
        Tiny { dir, model }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file of inputs; labels where given.
    pub fn inputs(&self, shape: [usize; 2], ids: &[i64], labels: Option<&[i64]>) -> PathBuf {
        let path = self.path("inputs.safetensors");
        let mut tensors = vec![NamedTensor::i64("input_ids", &shape, ids.to_vec())];
        tensors.extend(labels.map(|l| NamedTensor::i64("labels", &shape, l.to_vec())));
        write(&path, &tensors, &Default::default()).unwrap();
        path
    }

    /// A text file.
    pub fn text(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}
