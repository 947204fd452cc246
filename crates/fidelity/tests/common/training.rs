//! Small training runs of the real binary: a folder with a text and a configuration, and what a run leaves behind.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use train::checkpoint::{Checkpoint, read_checkpoint};

/// A model of some thirty thousand parameters on sequences of 32 bytes: a few milliseconds per update.
const CONFIG: &str = r#"
[model]
hidden_size = 32
num_hidden_layers = 2
intermediate_size = 48

[data]
train = ["text.txt"]
document_separator = "\n\n"
seq_len = 32

[schedule]
warmup_steps = 4

[train]
steps = 12
batch_size = 4
threads = 1
eval_every = 4
eval_windows = 4
eval_batch_size = 4
checkpoint_every = 3

[output]
dir = "run"
"#;

/// Words in an order that repeats itself enough to be learnt: `bytes` of them in paragraphs.
pub(crate) fn text(bytes: usize) -> String {
    const WORDS: [&str; 16] = [
        "the", "old", "river", "runs", "under", "a", "bright", "moon", "and", "cold", "trees", "stand",
        "near", "its", "quiet", "water",
    ];
    let mut random = Random(7);
    let mut text = String::new();
    let mut word = 0;
    while text.len() < bytes {
        text.push_str(WORDS[word]);
        // Two of three times the next word of the list, else any.
        word = if random.below(3) == 0 { random.below(16) as usize } else { (word + 1) % 16 };
        text.push_str(if random.below(60) == 0 { ".\n\n" } else { " " });
    }
    text
}

/// splitmix64: seeded, so that a failure comes again.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A whole number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

/// A folder with `text.txt` and `run.toml`; commands run in it.
pub(crate) struct Workshop {
    dir: TempDir,
}

impl Workshop {
    /// The usual text and configuration.
    pub(crate) fn new() -> Workshop {
        let shop = Workshop { dir: tempfile::tempdir().unwrap() };
        shop.write("text.txt", text(24_000));
        shop.write("run.toml", CONFIG);
        shop
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// The command with these arguments, in the folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fidelity"));
        command.args(arguments).current_dir(self.dir.path()).env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// The arguments of a run into `dir`.
    fn arguments<'a>(dir: &'a str, more: &[&'a str]) -> Vec<String> {
        let mut list =
            vec!["train".to_owned(), "run.toml".to_owned(), "--set".to_owned(), format!("output.dir={dir}")];
        for word in more {
            // `key=value` is an override, anything else an option.
            if word.contains('=') && !word.starts_with('-') {
                list.push("--set".into());
            }
            list.push((*word).into());
        }
        list
    }

    /// A training run into `dir`; `key=value` overrides the configuration, what begins with `-` is an option.
    pub(crate) fn train(&self, dir: &str, more: &[&str]) -> Done {
        let list = Self::arguments(dir, more);
        self.run(&list.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Any verb, until it ends.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        Done::new(self.command(arguments).output().unwrap())
    }

    /// Begins a training run and lets it go on.
    pub(crate) fn begin(&self, dir: &str, more: &[&str]) -> Running {
        let list = Self::arguments(dir, more);
        let words: Vec<&str> = list.iter().map(String::as_str).collect();
        let child = self.command(&words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        Running { child, dir: self.path(dir) }
    }

    /// A run that was killed when the checkpoint of `step` was there.
    pub(crate) fn killed_after(&self, dir: &str, step: u64, more: &[&str]) {
        let mut running = self.begin(dir, more);
        let path = checkpoint_path(&self.path(dir), step);
        running.wait_until(|| path.exists());
        running.kill();
    }

    /// A training run under a limit on the size of any file, in the shell's blocks of 512 bytes or 1 KiB.
    pub(crate) fn train_limited(&self, dir: &str, blocks: u32, more: &[&str]) -> Done {
        let list = Self::arguments(dir, more);
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("ulimit -f {blocks}; exec \"$0\" \"$@\""));
        shell
            .arg(env!("CARGO_BIN_EXE_fidelity"))
            .args(list)
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        Done::new(shell.output().unwrap())
    }
}

/// A finished command.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    fn new(output: Output) -> Done {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Done { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Standard output, after a success.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self.out
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// A failure with exit code 1 that tells cause and remedy and contains every part; returns what was told.
    #[track_caller]
    pub(crate) fn fails(self, parts: &[&str]) -> String {
        assert_eq!(self.code, Some(1), "out: {}\nerr: {}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        let told = self.err.find("error: ").map_or("", |at| &self.err[at..]);
        assert!(told.contains("\nhelp: "), "no cause or no remedy in: {}", self.err);
        for part in parts {
            assert!(told.contains(part), "no {part:?} in: {told}");
        }
        told.to_owned()
    }
}

/// A run in progress; it is killed when the test fails.
pub(crate) struct Running {
    child: Child,
    dir: PathBuf,
}

impl Running {
    /// Waits for something that this run brings about, looking again every tenth of a millisecond.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, mut holds: impl FnMut() -> bool) {
        let start = Instant::now();
        while !holds() {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut told = String::new();
                std::io::Read::read_to_string(&mut self.child.stderr.take().unwrap(), &mut told).unwrap();
                panic!("the run ended too early ({status}): {told}");
            }
            assert!(start.elapsed() < Duration::from_secs(120), "waited too long");
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Waits until the log has the line of update `step`.
    #[track_caller]
    pub(crate) fn wait_for_step(&mut self, step: u64) {
        let path = self.dir.join("metrics.jsonl");
        let reached = |line: &str| {
            let value: Value = serde_json::from_str(line).unwrap_or_default();
            value["step"].as_u64().is_some_and(|s| s >= step)
        };
        self.wait_until(|| {
            // The last line may be half written.
            fs::read_to_string(&path).is_ok_and(|text| text.lines().rev().take(2).any(reached))
        });
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Another signal, and then what the command said.
    pub(crate) fn end_with(mut self, signal: &str) -> Done {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let mut told = String::new();
        std::io::Read::read_to_string(&mut self.child.stderr.take().unwrap(), &mut told).unwrap();
        Done { code: self.child.wait().unwrap().code(), out: String::new(), err: told }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a run's log, as they are printed but for the time that an update took.
pub(crate) fn log(run: &Path) -> Vec<String> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(text.ends_with('\n'), "the last line is not whole");
    text.lines().map(|line| line.split(",\"seconds\":").next().unwrap_or(line).to_owned()).collect()
}

/// The lines of one kind as values.
pub(crate) fn records(run: &Path, kind: &str) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|line| line["kind"] == kind).collect()
}

/// The losses of one kind, in the log's order.
pub(crate) fn losses(run: &Path, kind: &str) -> Vec<f64> {
    records(run, kind).iter().map(|line| line["loss"].as_f64().unwrap_or(f64::NAN)).collect()
}

/// The file of the checkpoint of a step.
pub(crate) fn checkpoint_path(run: &Path, step: u64) -> PathBuf {
    run.join(format!("checkpoints/step-{step:06}.ckpt"))
}

/// A checkpoint, which must be whole.
pub(crate) fn checkpoint(path: &Path) -> Checkpoint {
    read_checkpoint(path).unwrap()
}

/// The steps that have a checkpoint.
pub(crate) fn checkpoints(run: &Path) -> Vec<u64> {
    let names = names(&run.join("checkpoints"));
    let steps = names.iter().filter_map(|n| n.strip_prefix("step-")?.strip_suffix(".ckpt")?.parse().ok());
    let mut steps: Vec<u64> = steps.collect();
    steps.sort_unstable();
    steps
}

/// What lies in a folder, hidden files too; nothing where there is no folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).map(|list| list.flatten().collect::<Vec<_>>()).unwrap_or_default();
    entries.iter().map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

/// Files that a killed process left half written.
pub(crate) fn half_written(run: &Path) -> Vec<String> {
    let folders = ["", "checkpoints", "model"].map(|name| names(&run.join(name)));
    folders.concat().into_iter().filter(|name| name.ends_with(".partial")).collect()
}

/// The exported weights, byte for byte.
pub(crate) fn weights(run: &Path) -> Vec<u8> {
    fs::read(run.join("model/model.safetensors")).unwrap()
}

/// Holds two runs to the same numbers: log, exported model, best and last checkpoint.
#[track_caller]
pub(crate) fn same(a: &Path, b: &Path) {
    assert_eq!(log(a), log(b));
    for file in ["model.safetensors", "config.json", "tokenizer.json"] {
        let read = |run: &Path| fs::read(run.join("model").join(file)).unwrap();
        assert!(read(a) == read(b), "{file} differs");
    }
    assert_eq!(checkpoints(a), checkpoints(b));
    let steps = checkpoints(a).into_iter().map(|step| format!("step-{step:06}.ckpt"));
    for name in steps.chain(["best.ckpt".into()]) {
        let [mine, other] = [a, b].map(|run| run.join("checkpoints").join(&name));
        assert_eq!(mine.exists(), other.exists(), "{name}");
        if !mine.exists() {
            continue;
        }
        let (mine, other) = (checkpoint(&mine), checkpoint(&other));
        assert_eq!(mine.step, other.step, "{name}");
        for key in ["step", "tokens", "sampler", "rng", "early_stopping", "config_hash"] {
            assert_eq!(mine.state[key], other.state[key], "{name}: {key}");
        }
        let bits = |c: &Checkpoint| -> Vec<(String, Vec<u32>)> {
            let tensors = c.tensors.iter();
            tensors
                .map(|(name, _, data)| (name.clone(), data.iter().map(|x| x.to_bits()).collect()))
                .collect()
        };
        assert!(bits(&mine) == bits(&other), "{name}: a weight or moment differs");
    }
}
