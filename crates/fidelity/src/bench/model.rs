//! A whole model: tokens one after another, a prompt, memory, and the first token of a fresh process.

use super::energy::Counter;
use super::peers::{Running, Versus, versus};
use super::{Machine, Options, Part, Spread};
use crate::calibration::cache_folder;
use crate::convert::{self, Form, Model, Step};
use crate::error::{Fault, fault};
use crate::inspect::size;
use crate::loaded::{Loaded, Stream};
use anyhow::{Context, Result};
use barewire::gguf::GgmlType;
use engine::kernels::simd::level;
use engine::measure::{cold_bytes, last_cache, read};
use engine::pages::Pages;
use engine::pool::Pool;
use models::bundle::PackOptions;
use models::forms;
use models::gguf::GgufOptions;
use models::shapes::Shape;
use serde::Serialize;
use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tokens of the prompt that is timed.
const PROMPT: usize = 512;
/// Tokens that a peer's context has room for.
const CONTEXT: usize = 2048;
/// Bytes read beside each round.
const BESIDE: usize = 64 << 20;

/// A model to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What to call it.
    pub name: String,
    /// A folder or a file.
    pub path: PathBuf,
}

impl Target {
    /// A model with random weights of a named size, made in the cache folder unless it is there from an earlier run.
    ///
    /// # Errors
    /// No cache folder, or a disk that cannot.
    pub fn synthetic(shape: &Shape, pool: &Arc<Pool>, say: &mut dyn FnMut(&str)) -> Result<Target> {
        let embedding = convert::synthetic_embedding(shape);
        let form = Form::Bundle(PackOptions { embedding: Some(embedding), ..Default::default() });
        let path = cached(shape, "fid", form, pool, say)?;
        Ok(Target { name: shape.name.to_owned(), path })
    }

    /// The same weights as a GGUF file, for a peer: TQ2_0 matrices, and the head as in the bundle.
    ///
    /// # Errors
    /// As [`Target::synthetic`]; a size that no peer runs.
    pub fn peer_file(shape: &Shape, pool: &Arc<Pool>, say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
        if !shape.name.starts_with("bitnet") {
            return fault(
                format!("llama.cpp has no such architecture as {}", shape.name),
                "name a BitNet size, or a GGUF file with --peer-model",
            );
        }
        let wide = convert::synthetic_embedding(shape).name() == "q6_k";
        let embedding = Some(if wide { GgmlType::Q6_K } else { GgmlType::F16 });
        cached(
            shape,
            "gguf",
            Form::Gguf(GgufOptions { ternary: Some(GgmlType::TQ2_0), embedding }),
            pool,
            say,
        )
    }

    /// A model that is there.
    pub fn at(path: &Path) -> Target {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Target { name, path: path.to_owned() }
    }
}

/// A synthetic model in the cache folder.
fn cached(
    shape: &Shape,
    end: &str,
    form: Form,
    pool: &Arc<Pool>,
    say: &mut dyn FnMut(&str),
) -> Result<PathBuf> {
    let folder = cache_folder().ok_or_else(|| {
        let cause = "there is no place for the model: neither XDG_CACHE_HOME nor HOME is set";
        Fault::new(cause, "set one of them")
    })?;
    let folder = folder.join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(format!("{}.{end}", shape.name));
    if !path.is_file() {
        say(&format!("making {} with random weights, in {}", shape.name, path.display()));
        convert::write(&Model::synthetic(shape, 0), &path, form, pool, &mut |_: Step<'_>| {})?;
    }
    let bytes = size(convert::size_of(&path));
    say(&format!("{}: {} ({bytes}); remove it when you are done", shape.name, path.display()));
    Ok(path)
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct ModelReport {
    /// Its name.
    pub name: String,
    /// Bytes of its files.
    pub file_bytes: u64,
    /// Bytes of weights that a token reads.
    pub token_bytes: usize,
    /// Multiply-accumulates of a token with packed weights.
    pub token_macs: f64,
    /// Tokens one after another.
    pub decode: Vec<Speed>,
    /// A prompt.
    pub prefill: Vec<Speed>,
    /// The first token of a fresh process.
    pub start: Vec<Start>,
    /// Memory of that process.
    pub memory: Option<Memory>,
    /// The most memory that the peer's process held.
    pub peer_memory: Option<u64>,
}

/// Tokens a second.
#[derive(Clone, Debug, Serialize)]
pub struct Speed {
    /// Threads.
    pub threads: usize,
    /// Tokens of a round.
    pub tokens: usize,
    /// Tokens a second.
    pub rate: Spread,
    /// What limits it: `bandwidth` or `arithmetic`.
    pub limited_by: &'static str,
    /// Tokens a second at that limit.
    pub limit: f64,
    /// Percent of it.
    pub percent: f64,
    /// Bandwidth of reads between the rounds, GB/s, median.
    pub beside: f64,
    /// Joules a token, of the whole package, where its counters can be read.
    pub joules: Option<f64>,
    /// A peer in the same rounds.
    pub versus: Option<Versus>,
}

/// From the start of the process to its first token.
#[derive(Clone, Debug, Serialize)]
pub struct Start {
    /// Threads.
    pub threads: usize,
    /// Seconds; the least is the best.
    pub seconds: Spread,
}

/// Memory of a process that generates.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Memory {
    /// The most bytes that were resident.
    pub peak: u64,
    /// Bytes of the model's files.
    pub file: u64,
    /// How many bytes more the first is than the second.
    pub over: i64,
}

pub(super) fn measure(
    options: &Options,
    target: &Target,
    machine: &Machine,
    counter: Option<&Counter>,
    notes: &mut Vec<String>,
    say: &mut dyn FnMut(&str),
) -> Result<ModelReport> {
    say(&format!("opening {}", target.path.display()));
    let pools: Vec<Arc<Pool>> = options.threads.iter().map(|n| Arc::new(options.pool(*n))).collect();
    let mut models = vec![];
    for _ in &pools {
        models.push(match options.huge_pages {
            true => Loaded::open_on_huge_pages(&target.path)?,
            false => Loaded::open(&target.path)?,
        });
    }
    notes.extend(models.first().map(|m| m.warnings.clone()).unwrap_or_default());
    let mut peer = match &options.peer {
        Some(peer) => {
            say(&format!("starting llama.cpp on {}", peer.file.display()));
            Some(Running::start(peer, CONTEXT)?)
        }
        None => None,
    };
    let mut streams = vec![];
    for (model, pool) in models.iter_mut().zip(&pools) {
        streams.push(model.stream_with(1, forms::Form::Prepared, forms::CacheType::I8, pool)?);
    }
    if let Some(cache) = streams.first().and_then(Stream::cache) {
        notes.push(format!("keys and values are cached as {cache}, as `fidelity generate` does"));
    }
    // What a cache holds is read again and again there; no memory limits it then.
    let bytes = streams.first().map_or(0, Stream::step_bytes);
    let resident = (2 * bytes < last_cache().unwrap_or(0)).then_some(bytes);
    let mut rounds =
        Rounds { options, machine, counter, pools: &pools, peer: &mut peer, memory: None, resident };
    let mut report = ModelReport {
        name: target.name.clone(),
        file_bytes: convert::size_of(&target.path),
        token_bytes: streams.first().map_or(0, Stream::step_bytes),
        token_macs: streams.first().map_or(0.0, Stream::step_products),
        decode: vec![],
        prefill: vec![],
        start: vec![],
        memory: None,
        peer_memory: None,
    };
    if options.wants(Part::Decode) {
        say("tokens one after another");
        report.decode = rounds.decode(&mut streams)?;
    }
    if options.wants(Part::Prefill) {
        say(&format!("a prompt of {PROMPT} tokens"));
        report.prefill = rounds.prefill(&mut streams)?;
    }
    drop(rounds);
    report.peer_memory = peer.as_mut().and_then(Running::peak);
    drop(peer);
    drop(streams);
    drop(models);
    if options.wants(Part::Start) || options.wants(Part::Memory) {
        match &options.program {
            Some(program) => processes(options, target, program, &mut report, say)?,
            None => notes.push("start and memory are left out: they need the program's own path".into()),
        }
    }
    Ok(report)
}

/// Rounds in which we, the memory and a peer take turns.
struct Rounds<'a> {
    options: &'a Options,
    machine: &'a Machine,
    counter: Option<&'a Counter>,
    pools: &'a [Arc<Pool>],
    peer: &'a mut Option<Running>,
    memory: Option<(Pages, usize)>,
    /// Bytes of a model that the last cache holds.
    resident: Option<usize>,
}

/// Seconds of the rounds of one number of threads.
#[derive(Default)]
struct Taken {
    ours: Vec<f64>,
    theirs: Vec<f64>,
    beside: Vec<f64>,
    joules: Vec<f64>,
}

impl Rounds<'_> {
    fn decode(&mut self, streams: &mut [Stream<'_>]) -> Result<Vec<Speed>> {
        // As many tokens as take some 0.15 s, so that phases of the machine hit both sides.
        let mut tokens = 1;
        if let Some(stream) = streams.first_mut() {
            let once = Instant::now();
            (0..3).try_for_each(|i| stream.step(&[i]).map(drop))?;
            tokens = (3.0 * 0.15 / once.elapsed().as_secs_f64()).clamp(2.0, 64.0) as usize;
        }
        let vocab = streams.first().map_or(1, |s| s.model().config.vocab_size());
        let mut next = 0;
        let taken = self.rounds(tokens, streams, false, &mut |stream| {
            for _ in 0..tokens {
                next = (next + 11) % vocab;
                stream.step(&[next as u32])?;
            }
            Ok(())
        })?;
        let bytes = streams.first().map_or(0, Stream::step_bytes) as f64;
        let macs = streams.first().map_or(0.0, Stream::step_products);
        Ok(self.speeds(tokens, &taken, bytes, macs))
    }

    fn prefill(&mut self, streams: &mut [Stream<'_>]) -> Result<Vec<Speed>> {
        let vocab = streams.first().map_or(1, |s| s.model().config.vocab_size());
        // One more than is counted: the last token of a prompt goes alone, for its logits.
        let ids: Vec<u32> = (0..=PROMPT).map(|i| ((7 * i + 3) % vocab) as u32).collect();
        let taken = self.rounds(PROMPT, streams, true, &mut |stream| {
            stream.reset();
            stream.feed(&ids).map(drop)
        })?;
        let macs = streams.first().map_or(0.0, |s| s.prompt_products().unwrap_or_else(|| s.step_products()));
        Ok(self.speeds(PROMPT, &taken, 0.0, macs))
    }

    /// Runs `ours` on each stream, then the memory, then the peer, again and again.
    fn rounds(
        &mut self,
        tokens: usize,
        streams: &mut [Stream<'_>],
        prompt: bool,
        ours: &mut dyn FnMut(&mut Stream<'_>) -> Result<()>,
    ) -> Result<Vec<Taken>> {
        let limit = match (self.options.quick, prompt) {
            (true, _) => Duration::from_secs(4),
            (false, false) => Duration::from_secs(20),
            (false, true) => Duration::from_secs(30),
        };
        let least = if self.options.quick || prompt { 3 } else { 7 };
        let mut taken: Vec<Taken> = streams.iter().map(|_| Taken::default()).collect();
        // Plans are made and pages are touched before anything counts.
        for (stream, threads) in streams.iter_mut().zip(&self.options.threads) {
            ours(stream)?;
            if let Some(peer) = self.peer.as_mut() {
                peer.threads(*threads)?;
                peer.prefill(if prompt { 32 } else { 4 })?;
            }
        }
        let start = Instant::now();
        while taken.first().is_some_and(|t| t.ours.len() < least || start.elapsed() < limit) {
            for (at, stream) in streams.iter_mut().enumerate() {
                let before = self.counter.and_then(Counter::read);
                let once = Instant::now();
                ours(stream)?;
                taken[at].ours.push(once.elapsed().as_secs_f64());
                if let (Some(counter), Some(before)) = (self.counter, before) {
                    taken[at].joules.extend(counter.since(&before).map(|j| j / tokens as f64));
                }
                let pool = self.pools[at].clone();
                taken[at].beside.push(self.beside(&pool));
                if let Some(peer) = self.peer.as_mut() {
                    peer.threads(self.options.threads[at])?;
                    let theirs = if prompt {
                        peer.prefill(tokens)?
                    } else {
                        // A short text again in each round: ours costs the same at any position, theirs does not.
                        peer.prefill(4)?;
                        peer.decode(tokens)?.iter().sum()
                    };
                    taken[at].theirs.push(theirs);
                }
            }
            if taken.first().is_some_and(|t| t.ours.len() >= 200) {
                break;
            }
        }
        Ok(taken)
    }

    /// Seconds to read some memory that no cache holds; or as much as a small model, often enough to be as many bytes.
    fn beside(&mut self, pool: &Pool) -> f64 {
        const PART: usize = 1 << 20;
        let (memory, at) = self.memory.get_or_insert_with(|| {
            let mut memory = Pages::new(cold_bytes().max(2 * BESIDE), false);
            memory.fill(1);
            (memory, 0)
        });
        if let Some(size) = self.resident {
            let once = Instant::now();
            for _ in 0..BESIDE / size.max(1) {
                let parts = size.div_ceil(PART / 8);
                pool.run(parts, |i| {
                    let from = i * PART / 8;
                    black_box(read(level(), &memory[from..size.min(from + PART / 8)]));
                });
            }
            return once.elapsed().as_secs_f64();
        }
        *at = if *at + 2 * BESIDE <= memory.len() { *at + BESIDE } else { 0 };
        let part = &memory[*at..][..BESIDE];
        let once = Instant::now();
        pool.run(BESIDE / PART, |i| {
            black_box(read(level(), &part[i * PART..][..PART]));
        });
        once.elapsed().as_secs_f64()
    }

    fn speeds(&self, tokens: usize, taken: &[Taken], bytes: f64, macs: f64) -> Vec<Speed> {
        let speed = |(taken, threads): (&Taken, &usize)| {
            let rate = Spread::per_second(tokens as f64, &taken.ours);
            let beside = Spread::per_second(BESIDE as f64 / 1e9, &taken.beside).median;
            let (by_bytes, by_macs) =
                (bytes / (1e9 * beside), macs / self.machine.macs_of(*threads).max(1.0));
            let (limited_by, least) =
                if by_bytes > by_macs { ("bandwidth", by_bytes) } else { ("arithmetic", by_macs) };
            let mut joules = taken.joules.clone();
            joules.sort_by(f64::total_cmp);
            Speed {
                threads: *threads,
                tokens,
                rate,
                limited_by,
                limit: 1.0 / least,
                percent: 100.0 * least * rate.median,
                beside,
                joules: joules.get(joules.len() / 2).copied().filter(|j| *j > 0.0),
                versus: self
                    .peer
                    .as_ref()
                    .filter(|_| !taken.theirs.is_empty())
                    .map(|peer| versus(&peer.name, tokens as f64, &taken.ours, &taken.theirs)),
            }
        };
        taken.iter().zip(&self.options.threads).map(speed).collect()
    }
}

/// Start and memory, in processes of their own.
fn processes(
    options: &Options,
    target: &Target,
    program: &Path,
    report: &mut ModelReport,
    say: &mut dyn FnMut(&str),
) -> Result<()> {
    say("the first token of a fresh process, and its memory");
    let repeats = if options.quick { 3 } else { 7 };
    let mut peak = 0;
    for threads in &options.threads {
        let mut seconds = vec![];
        // The first one finds the file in no cache.
        for repeat in 0..=repeats {
            let (first, memory) = process(options, target, program, *threads)?;
            if repeat > 0 {
                seconds.push(first);
            }
            peak = peak.max(memory.unwrap_or(0));
        }
        if options.wants(Part::Start) {
            report.start.push(Start { threads: *threads, seconds: Spread::of_seconds(&seconds) });
        }
    }
    if options.wants(Part::Memory) && peak > 0 {
        let file = report.file_bytes;
        report.memory = Some(Memory { peak, file, over: peak as i64 - file as i64 });
    }
    Ok(())
}

/// Seconds to the first token, and peak memory where the system tells.
fn process(options: &Options, target: &Target, program: &Path, threads: usize) -> Result<(f64, Option<u64>)> {
    let start = Instant::now();
    let mut child = Command::new(program)
        .arg("generate")
        .arg(&target.path)
        .args(["--tokens", "1,2,3,4", "--greedy", "--ignore-eos", "--max-tokens", "16", "--threads"])
        .arg(threads.to_string())
        .args(options.huge_pages.then_some("--huge-pages"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut output = child.stdout.take().context("a pipe was asked for")?;
    let (mut first, mut peak, mut buffer) = (None, None, [0; 4096]);
    while output.read(&mut buffer).is_ok_and(|count| count > 0) {
        first.get_or_insert_with(|| start.elapsed().as_secs_f64());
        peak = peak_of(child.id()).or(peak);
    }
    let status = child.wait().context("the process cannot be waited for")?;
    match first {
        Some(seconds) if status.success() => Ok((seconds, peak)),
        _ => fault(
            format!("`{} generate {}` fails", program.display(), target.path.display()),
            "run it alone to see what is wrong",
        ),
    }
}

/// The most bytes that a process has held.
fn peak_of(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024 * line.split_whitespace().next()?.parse::<u64>().ok()?)
}
