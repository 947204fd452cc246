//! What several verbs share: threads, models, texts, places for results.

use super::print::note;
use anyhow::Result;
use engine::pool::Pool;
use fidelity::error::Fault;
use fidelity::loaded::Loaded;
use models::ModelError;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// `--threads`.
#[derive(clap::Args)]
pub(super) struct Threads {
    /// Threads to compute with; 0: one per core. No result depends on it
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1024))]
    pub threads: u32,
    /// Keep each thread on a processor of its own: faster on an idle machine, slower where other programs want the same
    /// ones
    #[arg(long)]
    pub pin: bool,
}

/// `--engine`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum EngineName {
    /// The engine's kernels, on all threads
    #[default]
    Engine,
    /// Native code, made of the model by MLIR's tools when it is first run and kept in the user's cache folder; one thread
    Compiled,
}

/// What runs plans.
#[derive(clap::Args)]
pub(super) struct Runs {
    /// What runs the model
    #[arg(long, value_name = "NAME", value_enum, default_value_t = EngineName::Engine)]
    pub engine: EngineName,
}

impl Runs {
    /// The pool that runs plans so.
    ///
    /// # Errors
    /// A tool that compiling needs and that is missing.
    pub(super) fn pool(&self, threads: &Threads) -> Result<Arc<Pool>> {
        match self.engine {
            EngineName::Engine => Ok(threads.pool()),
            EngineName::Compiled => {
                Ok(Arc::new(Pool::single().with_compiler(fidelity::compiled::Native::shared()?)))
            }
        }
    }
}

/// `--huge-pages`.
#[derive(clap::Args)]
pub(super) struct Placement {
    /// Hold the weights of a bundle or a GGUF file in memory on huge pages (2 MB) instead of reading them where the file is
    /// mapped. Takes no more memory, but what processes do not share, and some 0.1 s a gigabyte to copy; the gain is small
    /// where the system maps the file on such pages anyway
    #[arg(long)]
    pub huge_pages: bool,
}

impl Placement {
    /// As [`open`].
    pub(super) fn open(&self, path: &Path) -> Result<Loaded> {
        let model = if self.huge_pages { Loaded::open_on_huge_pages(path)? } else { Loaded::open(path)? };
        warn(&model.warnings);
        Ok(model)
    }
}

impl Threads {
    /// The pool of that many threads.
    pub(super) fn pool(&self) -> Arc<Pool> {
        let count = match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n as usize,
        };
        if !self.pin {
            return Arc::new(Pool::new(count));
        }
        let pool = Pool::pinned(count);
        if !pool.is_pinned() {
            note(&format!(
                "warning: --pin: this process may not use {count} processors, or the system pins none"
            ));
        }
        Arc::new(pool)
    }
}

/// Opens a model and prints what the user should know about it.
pub(super) fn open(folder: &Path) -> Result<Loaded> {
    let model = Loaded::open(folder)?;
    warn(&model.warnings);
    Ok(model)
}

/// Prints warnings, each once.
pub(super) fn warn(warnings: &[String]) {
    let mut seen = BTreeSet::new();
    for warning in warnings.iter().filter(|w| seen.insert(w.as_str())) {
        note(&format!("warning: {warning}"));
    }
}

/// The bytes of a text file, `-` being standard input. An empty one is an error: whoever names a file means a text.
pub(super) fn read_text(path: &Path) -> Result<Vec<u8>> {
    let mut text = vec![];
    if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut text).map_err(|e| ModelError::io("read", path, e))?;
    } else {
        text = std::fs::read(path).map_err(|e| ModelError::io("read", path, e))?;
    }
    if text.is_empty() {
        let cause = format!("{}: the text is empty", path.display());
        return Err(Fault::new(cause, "name a file that holds text").into());
    }
    Ok(text)
}

/// Refuses an output file whose folder does not exist, before anything is computed for it.
pub(super) fn check_output(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let problem = match folder {
        Some(folder) if !folder.is_dir() => format!("there is no folder {}", folder.display()),
        _ if path.is_dir() => "it is a folder".to_owned(),
        _ => return Ok(()),
    };
    let cause = format!("cannot write {}: {problem}", path.display());
    Err(Fault::new(cause, "create the folder first, or name a file in one that exists").into())
}
