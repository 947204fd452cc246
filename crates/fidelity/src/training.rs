//! Training as the command runs it: samples from the model as it grows, and an orderly end on Ctrl-C.

use crate::compiled::Native;
use crate::generate::{Options, complete};
use crate::loaded::Loaded;
use engine::pool::Pool;
use models::generation::Sampling;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use train::config::EngineKind;
use train::{Result, RunOptions, Summary, TrainConfig};

/// Trains; the first Ctrl-C (or SIGTERM) saves a checkpoint and ends the run, the second ends the process at once.
pub fn train(config: &TrainConfig, resume: bool, quiet: bool) -> Result<Summary> {
    let seed = config.data.seed;
    let compiler = match config.engine {
        EngineKind::Engine => None,
        EngineKind::Compiled => {
            Some(Native::shared().map_err(|e| engine::EngineError::Compile(e.to_string()))?)
        }
    };
    let options = RunOptions {
        compiler,
        resume,
        quiet,
        stop: Some(interrupted()),
        sampling: Some(Box::new(move |model, state, tokenizer, prompt, tokens| {
            let parameters = state.names.iter().cloned().zip(state.parameters.iter().cloned()).collect();
            let mut model = Loaded::from_parts(model.clone(), parameters, Some(tokenizer.clone()));
            let sampling = Sampling { temperature: 0.8, top_p: 0.95, seed, ..Default::default() };
            let options = Options { sampling, max_tokens: tokens, ..Default::default() };
            complete(&mut model, prompt, &options, &Pool::single().into()).ok()
        })),
    };
    train::run(config, &options)
}

/// Set when the user asks for the end.
fn interrupted() -> Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    let flag = FLAG.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let seen = flag.clone();
        // Without a handler Ctrl-C ends the process at once, and the last checkpoint stands: nothing to report.
        let _ = ctrlc::set_handler(move || {
            if seen.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        });
        flag
    });
    flag.clone()
}

/// The most memory that this process has held, in bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    train::memory::ProcessMemory::now().map(|memory| memory.peak)
}
