//! The training loop: data in, checkpoints, metrics and a model folder out.

use crate::checkpoint::{
    Checkpoint, CheckpointStore, EarlyStopping, FolderLock, RunState, TensorRef, Verdict, read_checkpoint,
    remove_temporaries,
};
use crate::config::{EngineKind, MlgruForm, ModelConfig, TrainConfig};
use crate::data::{Batch, Corpus, Sampler, validation_batches};
use crate::error::{Result, TrainError};
use crate::memory::ProcessMemory;
use crate::metrics::{
    MemoryPoint, Metrics, MetricsOptions, TrainPoint, ValidationPoint, write_extrapolation,
};
use crate::optimizers::Optimizer;
use crate::quantizer::{Quantizer, folded};
use crate::random::Rng;
use crate::report::RunFacts;
use crate::schedule::Schedule;
use crate::step::{Evaluator, Rates, Step, StepOptions, TrainState};
use crate::tasks::Task;
use crate::trits::TritWatch;
use engine::{Tensor, pool::Pool};
use models::architecture::ModelConfig as Model;
use models::config::{self, MatMulFreeConfig};
use models::folder::{ModelFolder, SaveOptions, save_folder};
use models::frame::Quantizer as Quantised;
use models::safetensors::NamedTensor;
use models::sized::{self, Sizes};
use models::tokenizer::Tokenizer;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Text that a model writes, for samples during training: (model, weights, tokenizer, prompt, number of tokens).
pub type Sampling<'a> = dyn Fn(&Model, &TrainState, &Tokenizer, &str, usize) -> Option<String> + 'a;

/// How a run is carried out, as opposed to what is trained.
#[derive(Default)]
pub struct RunOptions<'a> {
    /// Go on from the last checkpoint of the run's folder.
    pub resume: bool,
    /// Say nothing while training.
    pub quiet: bool,
    /// Set by a signal handler: the run saves a checkpoint and ends.
    pub stop: Option<Arc<AtomicBool>>,
    /// Writes samples.
    pub sampling: Option<Box<Sampling<'a>>>,
    /// Compiles plans, where the configuration asks for that.
    pub compiler: Option<Arc<dyn engine::Compile>>,
}

/// What a run came to.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Summary {
    /// Updates done, over all sessions.
    pub steps: u64,
    /// Number of parameters.
    pub parameters: usize,
    /// Tokens of training text.
    pub train_tokens: usize,
    /// Bytes of text per token.
    pub bytes_per_token: f64,
    /// (step, validation loss in nats per token).
    pub validation: Vec<(u64, f64)>,
    /// The best of them.
    pub best: Option<(u64, f64)>,
    /// Share of the held-out answers of a task that the model gives at the end.
    pub accuracy: Option<f64>,
    /// (step, that share), one for each evaluation.
    pub accuracies: Vec<(u64, f64)>,
    /// (length, that share of the exported model) at the lengths of `task.eval_lengths`.
    pub extrapolation: Vec<(usize, f64)>,
    /// The last twenty training losses of the log, averaged.
    pub train_loss: f64,
    /// Training tokens per second since the start or the resumption, evaluation not counted.
    pub tokens_per_second: f64,
    /// Seconds of one update: the least and the median since the start or the resumption.
    pub seconds_per_step: [f64; 2],
    /// Bytes of the step's plan: arena, scratch, constants.
    pub plan_bytes: usize,
    /// The folder of the run.
    pub dir: PathBuf,
    /// The trained model.
    pub model: PathBuf,
    /// The page of the run, when one is written.
    pub page: Option<PathBuf>,
    /// Why the run ended before its last step, when it did.
    pub ended: Option<String>,
}

/// The model that a configuration describes, for a vocabulary.
///
/// `vocabulary` is that of the tokenizer or the task, `positions` the length of the sequences, `eos` the token that ends a text.
pub fn model_config(c: &ModelConfig, vocabulary: usize, positions: usize, eos: Option<u32>) -> Result<Model> {
    let vocab_size = if c.vocab_size > 0 { c.vocab_size } else { vocabulary };
    let place = Path::new("[model]");
    if c.architecture != "matmulfree" {
        let sizes = Sizes {
            vocab_size,
            hidden_size: c.hidden_size,
            num_hidden_layers: c.num_hidden_layers,
            num_heads: c.num_heads,
            intermediate_size: c.intermediate_size,
            positions,
            linear: &c.linear,
            blocks: &c.blocks,
            tie_word_embeddings: c.tie_word_embeddings,
            initializer_range: c.initializer_range,
            eos_token_id: eos,
        };
        let Some(Value::Object(mut keys)) = sized::sized(&c.architecture, &sizes) else {
            return Err(TrainError::Value {
                key: "model.architecture",
                found: format!("\"{}\"", c.architecture),
                expected: format!("matmulfree or one of {}", sized::names().collect::<Vec<_>>().join(", ")),
            });
        };
        for (key, value) in &c.options {
            keys.insert(key.clone(), serde_json::to_value(value).unwrap_or(Value::Null));
        }
        return Ok(Model::from_json(place, &Value::Object(keys))?.config);
    }
    for (key, given) in [("model.linear", &c.linear), ("model.options", &unused(&c.options))] {
        if !given.is_empty() && given != "ternary" {
            return Err(TrainError::Value {
                key,
                found: format!("\"{given}\""),
                expected: "nothing with `model.architecture = \"matmulfree\"`, whose projections are ternary and whose \
                           keys are those of `[model]`; \"hybrid\" with `blocks = [\"mlgru\"]` takes others"
                    .into(),
            });
        }
    }
    let made = MatMulFreeConfig {
        vocab_size,
        hidden_size: c.hidden_size,
        num_hidden_layers: c.num_hidden_layers,
        num_heads: c.num_heads,
        expand_ratio: c.expand_ratio as f64,
        hidden_ratio: c.hidden_ratio as f64,
        intermediate_size: (c.intermediate_size > 0).then_some(c.intermediate_size),
        use_lower_bound: c.use_lower_bound,
        use_short_conv: c.use_short_conv,
        conv_size: c.conv_size,
        share_conv_kernel: c.share_conv_kernel,
        rms_norm_eps: c.rms_norm_eps,
        tie_word_embeddings: c.tie_word_embeddings,
        initializer_range: c.initializer_range,
        mlgru_form: match c.mlgru_form {
            MlgruForm::Released => config::MlgruForm::Released,
            MlgruForm::Paper => config::MlgruForm::Paper,
            MlgruForm::Article => config::MlgruForm::Article,
        },
        bos_token_id: None,
        eos_token_id: eos.into_iter().collect(),
        ..Default::default()
    };
    made.validate(place)?;
    Ok(made.into())
}

/// The first key of a section that nothing reads.
fn unused(options: &toml::Table) -> String {
    options.keys().next().cloned().unwrap_or_default()
}

/// The model and its first weights: from a folder, from a checkpoint, or drawn.
fn start(c: &TrainConfig, vocabulary: usize, eos: Option<u32>) -> Result<(Model, Vec<(String, Tensor)>)> {
    if c.model.init_from.is_empty() {
        let model = model_config(&c.model, vocabulary, c.data.seq_len, eos)?;
        let drawn = model.init(c.model.init_seed);
        let tensors = drawn
            .into_iter()
            .map(|t| {
                let models::safetensors::Values::F32(v) = &t.values else {
                    return (t.name.clone(), Tensor::from_f32([0], &[]));
                };
                (t.name.clone(), Tensor::from_f32(t.shape.clone(), v))
            })
            .collect();
        return Ok((model, tensors));
    }
    let from = Path::new(&c.model.init_from);
    if from.is_file() {
        return from_checkpoint(from);
    }
    let folder = ModelFolder::open(from)?;
    let model = Model::from_folder(&folder)?.config;
    if model.is_packed() || !model.takes_tokens() {
        return Err(TrainError::Mismatch {
            problem: format!("`{}` holds packed weights, or a model that is not over tokens", from.display()),
            remedy: "name a folder of master weights of a language model in `model.init_from`",
        });
    }
    let tensors = model
        .expected_tensors()
        .into_iter()
        .map(|(name, shape)| Ok((name.clone(), Tensor::from_f32(shape, &folder.weights().to_f32(&name)?))))
        .collect::<Result<_>>()?;
    Ok((model, tensors))
}

/// The model and the weights of a run's checkpoint; its optimiser stays behind.
fn from_checkpoint(path: &Path) -> Result<(Model, Vec<(String, Tensor)>)> {
    let mut checkpoint = read_checkpoint(path)?;
    let state = RunState::from_value(&checkpoint.state)?;
    let Some(described) = state.extra.get("model") else {
        return Err(TrainError::Mismatch {
            problem: format!("`{}` does not say which model it holds", path.display()),
            remedy: "name a model folder or a checkpoint of `fidelity train` in `model.init_from`",
        });
    };
    let model = Model::from_json(path, described)?.config;
    let tensors = model
        .expected_tensors()
        .into_iter()
        .map(|(name, shape)| {
            let values = checkpoint.take(&name, &shape)?;
            Ok((name, Tensor::from_f32(shape, &values)))
        })
        .collect::<Result<_>>()?;
    Ok((model, tensors))
}

/// Why a checkpoint of `written` cannot be gone on from with `config`.
fn other_configuration(config: &TrainConfig, written: &str) -> TrainError {
    let differences = TrainConfig::from_toml(written, "the checkpoint")
        .map_or(vec![], |before| config.differences(&before));
    let problem = match differences.as_slice() {
        [] => "the configuration is another than the one it was written with".into(),
        list => format!("the configuration has changed since it was written ({})", list.join(", ")),
    };
    TrainError::Mismatch {
        problem,
        remedy: "resume with the run's own configuration (its config.toml lies in the run's folder), or start anew \
                 in another folder (`output.dir`), naming the checkpoint in `model.init_from`",
    }
}

/// Everything of a run in progress.
struct Session<'a> {
    config: &'a TrainConfig,
    options: &'a RunOptions<'a>,
    model: Model,
    task: Option<Task>,
    quantizer: Quantizer,
    optimizer: Optimizer,
    /// What the step in use was compiled for.
    planned: StepOptions,
    tokenizer: Tokenizer,
    state: TrainState,
    sampler: Sampler,
    rng: Rng,
    stopping: EarlyStopping,
    store: CheckpointStore,
    metrics: Metrics,
    watch: Option<TritWatch>,
    pool: Arc<Pool>,
    evaluator: Evaluator,
    validation: Vec<Batch>,
    bytes_per_token: f64,
    /// (step, share of right answers on held-out examples of the task).
    accuracies: Vec<(u64, f64)>,
    tokens: u64,
    seconds: f64,
    last_saved: Option<u64>,
}

/// Trains as the configuration says. Nothing is lost on an error: the last checkpoint stands, and `resume` goes on
/// from it bit for bit.
pub fn run(config: &TrainConfig, options: &RunOptions<'_>) -> Result<Summary> {
    let dir = config.output.dir.clone();
    let _lock = FolderLock::acquire(&dir)?;
    let task = Task::of(&config.task, config.data.seed)?;
    let mut fitted = config.clone();
    if let Some(task) = &task {
        fitted.data.seq_len = task.row();
    }
    let config = &fitted;
    let corpus = if task.is_some() { Corpus::none() } else { Corpus::load(config)? };
    let threads = match config.train.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let pool = match (config.engine, &options.compiler) {
        (EngineKind::Engine, _) => Pool::new(threads),
        (EngineKind::Compiled, Some(compiler)) => Pool::new(threads).with_compiler(compiler.clone()),
        (EngineKind::Compiled, None) => {
            let problem = "`compiled` needs a compiler, and this program has none; use `engine`".to_owned();
            return Err(TrainError::Config { place: "engine".into(), problem });
        }
    };
    let pool = Arc::new(pool);
    let (vocabulary, eos) = match &task {
        Some(task) => (task.vocabulary(), None),
        None => (corpus.tokenizer.vocab_size(), corpus.tokenizer.eos()),
    };
    let (model, mut tensors) = start(config, vocabulary, eos)?;
    corpus.check_vocab(model.vocab_size())?;
    if vocabulary > model.vocab_size() && task.is_some() {
        return Err(TrainError::Value {
            key: "model.vocab_size",
            found: model.vocab_size().to_string(),
            expected: format!("at least the {vocabulary} tokens of the task"),
        });
    }
    let quantizer = Quantizer::new(config)?;
    let optimizer = Optimizer::new(&config.optimizer, quantizer.transform, &*model);
    let steps = quantizer.first_steps(&*model, &tensors);
    tensors.extend(steps);
    let store = CheckpointStore::open(dir.join("checkpoints"), config.train.keep_checkpoints)?;
    let mut sampler = match &task {
        Some(task) => Sampler::of_task(task.clone()),
        None => corpus.sampler(&config.data)?,
    };
    let mut state = TrainState::new(tensors, &optimizer);
    if let Some(blame) = not_finite(&state) {
        let checkpoint = "no checkpoint was written yet".into();
        return Err(TrainError::NotFinite { step: 0, quantity: "initial weight", blame, checkpoint });
    }
    let mut rng = Rng::new(config.data.seed);
    let mut stopping =
        EarlyStopping::new(config.train.early_stopping_patience, config.train.early_stopping_min_delta);
    // Binary weights have no zeros, and their threshold is the mean.
    let watched = config.train.trits_every > 0 && model.quantizer() == Quantised::Absmean;
    let mut watch = watched.then(|| TritWatch::new(&*model, &state)).transpose()?;
    let (mut first, mut tokens, mut seconds) = (0u64, 0u64, 0.0);
    let mut notes = corpus.notes.clone();
    let mut last_saved = None;
    if options.resume {
        let restored = store.latest()?;
        notes.extend(restored.notes);
        let mut checkpoint = restored.checkpoint;
        let run = RunState::from_value(&checkpoint.state)?;
        if run.config_hash != config.fingerprint() {
            return Err(other_configuration(config, &run.config));
        }
        for (name, t) in state.tensors_mut() {
            let shape = t.shape().to_vec();
            t.f32_mut().copy_from_slice(&checkpoint.take(name, &shape)?);
        }
        if let (Some(watch), Some(look)) = (&mut watch, run.extra["trits_at"].as_u64()) {
            watch.restore(look, &checkpoint);
        }
        sampler.restore(&run.sampler)?;
        (first, tokens, seconds, rng) = (run.step, run.tokens, run.seconds, run.rng);
        // Patience may change between sessions; what has been seen may not.
        let seen = run.early_stopping;
        stopping = EarlyStopping { best: seen.best, since_best: seen.since_best, ..stopping };
        last_saved = Some(first);
    } else if !store.list()?.is_empty() {
        return Err(TrainError::Mismatch {
            problem: format!("`{}` already holds checkpoints of a run", store.dir().display()),
            remedy: "go on with `--resume`, or give the new run its own folder with `--set output.dir=…`",
        });
    }
    let validation = if let Some(task) = &task {
        let count = if config.task.examples > 0 { config.task.examples } else { 512 };
        task.held_out(count, config.train.eval_batch_size)
    } else if corpus.validation.is_empty() {
        vec![]
    } else {
        validation_batches(
            &corpus.validation,
            config.data.seq_len,
            config.train.eval_windows,
            config.train.eval_batch_size,
        )?
    };
    let total = config.train.steps.max(1) as f64;
    let surrogate = quantizer.surrogate_at(first as f64 / total);
    let planned = StepOptions { surrogate, ..StepOptions::of(config) };
    let step = Step::new(&*model, &optimizer, &planned, pool.clone())?;
    // From here on the run's files change: what can be wrong with its settings has been found by now.
    if !options.resume {
        // The best weights of a run that ended before its first checkpoint are not this run's.
        store.clear()?;
    }
    crate::checkpoint::atomic_write(&dir.join("config.toml"), |out| {
        out.write_all(config.to_commented_toml().as_bytes())
    })?;
    let mut metrics = Metrics::open(MetricsOptions {
        dir: dir.clone(),
        steps: config.train.steps as u64,
        log_every: config.train.log_every as u64,
        tensorboard: config.output.tensorboard,
        progress: !options.quiet,
        resume_at: options.resume.then_some(first),
        page: config.output.page.then(|| config.clone()),
    })?;
    metrics.run(&RunFacts {
        parameters: state.count(),
        train_tokens: corpus.train.len(),
        bytes_per_token: if task.is_some() { 1.0 } else { corpus.train.bytes_per_token() },
        matrices: watch.as_ref().map_or(vec![], |w| w.shapes().to_vec()),
    })?;
    let mut session = Session {
        evaluator: Evaluator::new(model.clone(), pool.clone()),
        pool,
        config,
        options,
        model,
        quantizer,
        optimizer,
        planned,
        tokenizer: corpus.tokenizer.clone(),
        state,
        sampler,
        rng,
        stopping,
        store,
        metrics,
        watch,
        validation,
        bytes_per_token: if task.is_some() { 1.0 } else { corpus.train.bytes_per_token() },
        accuracies: vec![],
        tokens,
        seconds,
        last_saved,
        task,
    };
    for note in notes {
        session.metrics.say(&note);
    }
    let outcome = session.train(step, first, corpus.train.len());
    if let Err(error) = &outcome {
        session.metrics.failed(error);
    }
    outcome
}

impl Session<'_> {
    fn train(&mut self, mut step: Step, first: u64, train_tokens: usize) -> Result<Summary> {
        let c = self.config;
        let total = c.train.steps as u64;
        let schedule = Schedule::new(c);
        let per_step = (c.train.batch_size * c.train.accumulate * c.data.seq_len) as u64;
        let mut plan_bytes = step.plan_bytes();
        // Some two hundred points of memory, and chances to write the page, in a run of any length.
        let sparse = total.div_ceil(200).max(1);
        let mut times = vec![];
        let mut ended = None;
        let mut done = first;
        for s in first..total {
            // A checkpoint is written before the evaluation of the same step, so a resumed run makes it again.
            let due = c.train.eval_every > 0 && s.is_multiple_of(c.train.eval_every as u64);
            let before = self.stopping.clone();
            if due && self.evaluate(s)? == Some(Verdict::Stop) {
                ended = Some(format!("no better validation loss for {} evaluations", self.stopping.patience));
                self.stopping = before;
                break;
            }
            let until = c.task.until;
            if due
                && until > 0.0
                && self.accuracies.last().is_some_and(|(at, right)| *at == s && *right >= until)
            {
                ended = Some(format!("{:.1} % of the answers are right (task.until)", 100.0 * until));
                break;
            }
            if c.train.trits_every > 0 && s.is_multiple_of(c.train.trits_every as u64) {
                self.look(s)?;
            }
            if s.is_multiple_of(sparse) {
                self.note_memory(s, plan_bytes)?;
            }
            if due || s.is_multiple_of(sparse) {
                self.metrics.page()?;
            }
            let progress = s as f64 / total as f64;
            let surrogate = self.quantizer.surrogate_at(progress);
            if surrogate != self.planned.surrogate {
                let said = format!(
                    "step {s}: the schedule of `{}` is over; `{surrogate}` from here on",
                    self.planned.surrogate
                );
                self.metrics.say(&said);
                self.planned.surrogate = surrogate;
                // The new plan may be as large as the old one, which goes first.
                drop(step);
                step = Step::new(&*self.model, &self.optimizer, &self.planned, self.pool.clone())?;
                plan_bytes = step.plan_bytes();
            }
            let batches: Vec<Batch> =
                (0..c.train.accumulate).map(|_| self.sampler.next_batch(c.train.batch_size)).collect();
            let lr = schedule.learning_rate(s);
            let rates = Rates {
                step: s,
                lr,
                weight_decay: schedule.weight_decay(s),
                share: lr / c.optimizer.lr,
                knob: self.quantizer.knob_at(progress),
            };
            let start = Instant::now();
            let made = step.run(&mut self.state, &batches, rates).map_err(|e| self.name_checkpoint(e))?;
            let took = start.elapsed().as_secs_f64();
            times.push(took);
            self.tokens += per_step;
            self.seconds += took;
            done = s + 1;
            self.metrics.train(&TrainPoint {
                step: s,
                loss: made.loss.into(),
                grad_norm: made.grad_norm.into(),
                lr: rates.lr,
                weight_decay: rates.weight_decay,
                tokens: per_step,
                seconds: took,
                elapsed: self.seconds,
            })?;
            let stop = self.options.stop.as_ref().is_some_and(|f| f.load(Ordering::Relaxed));
            let due = c.train.checkpoint_every > 0 && done.is_multiple_of(c.train.checkpoint_every as u64);
            if stop || (due && done < total) {
                self.save(done)?;
            }
            if stop {
                ended = Some("stopped by a signal; go on with --resume".into());
                break;
            }
        }
        if self.last_saved != Some(done) {
            self.save(done)?;
        }
        if done == total && ended.is_none() {
            self.evaluate(total)?;
        }
        // After the last checkpoint: a run that goes on from it looks and measures here again.
        self.look(done)?;
        self.note_memory(done, plan_bytes)?;
        let model = self.export()?;
        let extrapolation = self.extrapolate(done)?;
        self.metrics.finish(ended.as_deref())?;
        times.sort_by(f64::total_cmp);
        let median = times.get(times.len() / 2).copied().unwrap_or(0.0);
        let spent: f64 = times.iter().sum();
        let curve = self.metrics.train_curve();
        let recent = &curve[curve.len().saturating_sub(20)..];
        Ok(Summary {
            steps: done,
            parameters: self.state.count(),
            train_tokens,
            bytes_per_token: self.bytes_per_token,
            best: self.stopping.best.map(|b| (b.step, b.loss)),
            validation: self.metrics.validation_curve().iter().map(|(s, loss)| (*s as u64, *loss)).collect(),
            accuracy: self.accuracies.last().map(|(_, right)| *right),
            accuracies: std::mem::take(&mut self.accuracies),
            extrapolation,
            train_loss: recent.iter().map(|(_, loss)| loss).sum::<f64>() / recent.len().max(1) as f64,
            tokens_per_second: if spent > 0.0 { times.len() as f64 * per_step as f64 / spent } else { 0.0 },
            seconds_per_step: [times.first().copied().unwrap_or(0.0), median],
            plan_bytes,
            dir: c.output.dir.clone(),
            model,
            page: c.output.page.then(|| self.metrics.page_path()),
            ended,
        })
    }

    /// Measures the validation loss at a step; what early stopping says to it.
    fn evaluate(&mut self, step: u64) -> Result<Option<Verdict>> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        let loss = match self.task {
            None => self.evaluator.loss(&self.state, &self.validation)?,
            Some(_) => {
                let [loss, accuracy] = self.evaluator.answers(&self.state, &self.validation)?;
                self.accuracies.push((step, accuracy));
                self.metrics.event("accuracy", step, json!(accuracy))?;
                self.metrics.say(&format!("step {step}: {:.2} % of the answers are right", 100.0 * accuracy));
                loss
            }
        };
        let verdict = self.stopping.observe(step, loss);
        let best = verdict == Verdict::Best;
        self.metrics.validation(&ValidationPoint {
            step,
            loss,
            bytes_per_token: self.bytes_per_token,
            best,
        })?;
        if best && self.config.train.keep_best {
            let run = self.run_state(step);
            self.store.save_best(step, &tensors(&self.state), &run)?;
        }
        if let (Some(sample), false) = (&self.options.sampling, self.config.train.sample_prompt.is_empty()) {
            let c = &self.config.train;
            let folded = folded(&self.state);
            let state = folded.as_ref().unwrap_or(&self.state);
            if let Some(text) = sample(&self.model, state, &self.tokenizer, &c.sample_prompt, c.sample_tokens)
            {
                self.metrics.sample(step, &text)?;
            }
        }
        Ok(Some(verdict))
    }

    /// The share of right answers at other lengths than the task's own, as a list and as `extrapolation.svg`.
    fn extrapolate(&mut self, done: u64) -> Result<Vec<(usize, f64)>> {
        let Some(task) = &self.task else { return Ok(vec![]) };
        let count = if self.config.task.examples > 0 { self.config.task.examples } else { 512 };
        let mut curve = vec![];
        for &length in &self.config.task.eval_lengths {
            let Some(longer) = task.with_length(length) else {
                self.metrics.say(&format!("the task has no form of length {length}; it was left out"));
                continue;
            };
            // About as many tokens a batch as in training.
            let row = longer.row().max(1);
            let tokens = self.config.train.eval_batch_size * self.config.data.seq_len;
            let batches = longer.held_out(count, (tokens / row).clamp(1, count));
            let right = match self.evaluator.answers(&self.state, &batches) {
                Ok([_, right]) => right,
                // Learned positions end somewhere.
                Err(error) => {
                    self.metrics.say(&format!("length {length}: {error}; it was left out"));
                    continue;
                }
            };
            self.metrics.event("extrapolation", done, json!({"length": length, "accuracy": right}))?;
            self.metrics.say(&format!("length {length}: {:.2} % of the answers are right", 100.0 * right));
            curve.push((length, right));
        }
        if !curve.is_empty() {
            let points: Vec<(f64, f64)> = curve.iter().map(|(n, right)| (*n as f64, *right)).collect();
            write_extrapolation(&self.config.output.dir.join("extrapolation.svg"), &points, task.chance())?;
        }
        Ok(curve)
    }

    /// Looks at the trits and reports what changed since the look before.
    fn look(&mut self, step: u64) -> Result<()> {
        let Some(watch) = &mut self.watch else { return Ok(()) };
        let folded = folded(&self.state);
        let look = watch.look(step, folded.as_ref().unwrap_or(&self.state), &self.pool);
        self.metrics.trits(&look, watch.shapes())
    }

    fn note_memory(&mut self, step: u64, plan_bytes: usize) -> Result<()> {
        let state_bytes = self.state.bytes();
        let process = ProcessMemory::now();
        self.metrics.memory(&MemoryPoint { step, elapsed: self.seconds, plan_bytes, state_bytes, process })
    }

    fn run_state(&self, step: u64) -> Value {
        RunState {
            step,
            tokens: self.tokens,
            seconds: self.seconds,
            sampler: self.sampler.state(),
            rng: self.rng.clone(),
            early_stopping: self.stopping.clone(),
            config_hash: self.config.fingerprint(),
            config: self.config.to_commented_toml(),
            extra: json!({
                "model": self.model.to_json(),
                "trits_at": self.watch.as_ref().and_then(TritWatch::last),
            }),
        }
        .to_value()
    }

    fn save(&mut self, step: u64) -> Result<()> {
        if let Some(blame) = not_finite(&self.state) {
            let step = step.saturating_sub(1);
            let (quantity, checkpoint) = ("updated weight or moment", String::new());
            return Err(self.name_checkpoint(TrainError::NotFinite { step, quantity, blame, checkpoint }));
        }
        let run = self.run_state(step);
        let trits = self.watch.as_ref().map_or(vec![], TritWatch::remembered);
        self.store.save(step, &tensors(&self.state), &trits, &run)?;
        self.last_saved = Some(step);
        Ok(())
    }

    /// Adds to a failed step which checkpoint is the last good one: the newest that an update was made from.
    fn name_checkpoint(&self, e: TrainError) -> TrainError {
        let TrainError::NotFinite { step, quantity, blame, .. } = e else { return e };
        let saved = self.store.list().unwrap_or_default();
        let good = saved.iter().rfind(|(s, _)| *s < step || (*s == step && quantity.starts_with("updated")));
        let checkpoint = match (good, saved.is_empty()) {
            (Some((s, path)), _) => format!(
                "the last good checkpoint is `{}` (step {s}), which `model.init_from` can name",
                path.display()
            ),
            (None, false) => format!("no good checkpoint is left: that of step {step} leads here"),
            (None, true) => "no checkpoint was written yet".into(),
        };
        TrainError::NotFinite { step, quantity, blame, checkpoint }
    }

    /// Writes the model folder: the best weights when they are kept, else the last ones.
    fn export(&mut self) -> Result<PathBuf> {
        let dir = self.config.output.dir.join("model");
        remove_temporaries(&dir);
        if let Some(mut best) = self.best_weights() {
            // The run is over: its last weights make place for the best ones.
            for (name, p) in self.state.names.iter().zip(&mut self.state.parameters) {
                let shape = p.shape().to_vec();
                p.f32_mut().copy_from_slice(&best.take(name, &shape)?);
            }
        }
        let folded = folded(&self.state);
        let state = folded.as_ref().unwrap_or(&self.state);
        let rows = state.names.iter().zip(&state.parameters);
        let named: Vec<NamedTensor<'_>> =
            rows.map(|(name, p)| NamedTensor::f32(name.as_str(), p.shape(), p.f32())).collect();
        save_folder(&dir, &self.model.to_json(), &named, SaveOptions::default())?;
        if self.task.is_none() {
            self.tokenizer.save(dir.join(models::folder::TOKENIZER))?;
        }
        Ok(dir)
    }

    /// The checkpoint of the best evaluation, when it is kept and whole.
    fn best_weights(&mut self) -> Option<Checkpoint> {
        let wanted = self.stopping.best.filter(|_| self.config.train.keep_best)?;
        let problem = match self.store.best() {
            Ok(Some(best)) if best.step == wanted.step => return Some(best),
            Ok(Some(best)) => format!("`best.ckpt` is of step {}, not of step {}", best.step, wanted.step),
            Ok(None) => "there is no `best.ckpt`".into(),
            Err(e) => e.to_string(),
        };
        self.metrics.say(&format!("the last weights are exported, not the best: {problem}"));
        None
    }
}

/// The first weight or moment that is not finite.
fn not_finite(state: &TrainState) -> Option<String> {
    let found = |t: &TensorRef<'_>| {
        let at = t.data.iter().position(|x| !x.is_finite())?;
        let what = if t.data[at].is_nan() { "NaN" } else { "infinity" };
        Some(format!("`{}` holds {what} at element {at}", t.name))
    };
    tensors(state).iter().find_map(found)
}

/// Weights and the optimiser's states as a checkpoint holds them: `NAME`, and for AdamW `m.NAME`, `v.NAME`.
fn tensors(state: &TrainState) -> Vec<TensorRef<'_>> {
    state.tensors().map(|(name, t)| TensorRef { name, shape: t.shape(), data: t.f32() }).collect()
}
