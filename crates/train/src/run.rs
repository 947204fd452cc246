//! The training loop: data in, checkpoints, metrics and a model folder out.

use crate::checkpoint::{CheckpointStore, EarlyStopping, FolderLock, RunState, TensorRef, Verdict};
use crate::config::{MlgruForm, ModelConfig, TrainConfig};
use crate::data::{Batch, Corpus, Sampler, validation_batches};
use crate::error::{Result, TrainError};
use crate::metrics::{Metrics, MetricsOptions, TrainPoint, ValidationPoint};
use crate::random::Rng;
use crate::schedule::Schedule;
use crate::step::{Evaluator, Rates, Step, TrainState};
use engine::{Tensor, pool::Pool};
use models::config::{self, MatMulFreeConfig};
use models::folder::{ModelFolder, SaveOptions, save_folder};
use models::safetensors::NamedTensor;
use models::tokenizer::Tokenizer;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Text that a model writes, for samples during training: (model, weights, tokenizer, prompt, number of tokens).
pub type Sampling<'a> = dyn Fn(&MatMulFreeConfig, &TrainState, &Tokenizer, &str, usize) -> Option<String> + 'a;

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
    /// Training losses of the last twenty updates, averaged.
    pub train_loss: f64,
    /// Training tokens per second in this session, evaluation not counted.
    pub tokens_per_second: f64,
    /// Seconds of one update: the least and the median of this session.
    pub seconds_per_step: [f64; 2],
    /// Bytes of the step's plan: arena, scratch, constants.
    pub plan_bytes: usize,
    /// The folder of the run.
    pub dir: PathBuf,
    /// The trained model.
    pub model: PathBuf,
    /// Why the run ended before its last step, when it did.
    pub ended: Option<String>,
}

/// The model that a configuration describes, for a vocabulary.
pub fn model_config(c: &ModelConfig, tokenizer: &Tokenizer) -> Result<MatMulFreeConfig> {
    let mut extra = MatMulFreeConfig::default();
    extra.vocab_size = if c.vocab_size > 0 { c.vocab_size } else { tokenizer.vocab_size() };
    let made = MatMulFreeConfig {
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
        eos_token_id: tokenizer.eos().into_iter().collect(),
        ..extra
    };
    made.validate(Path::new("[model]"))?;
    Ok(made)
}

/// The model and its first weights: from a folder, or drawn.
fn start(c: &TrainConfig, tokenizer: &Tokenizer) -> Result<(MatMulFreeConfig, Vec<(String, Tensor)>)> {
    if c.model.init_from.is_empty() {
        let model = model_config(&c.model, tokenizer)?;
        let drawn = model.init(c.model.init_seed);
        let tensors = drawn
            .into_iter()
            .map(|t| {
                let models::safetensors::Values::F32(v) = &t.values else { return (t.name.clone(), Tensor::from_f32([0], &[])) };
                (t.name.clone(), Tensor::from_f32(t.shape.clone(), v))
            })
            .collect();
        return Ok((model, tensors));
    }
    let folder = ModelFolder::open(&c.model.init_from)?;
    let model = MatMulFreeConfig::from_folder(&folder)?.config;
    let tensors = model
        .expected_tensors()
        .into_iter()
        .map(|(name, shape)| Ok((name.clone(), Tensor::from_f32(shape, &folder.weights().to_f32(&name)?))))
        .collect::<Result<_>>()?;
    Ok((model, tensors))
}

/// Everything of a run in progress.
struct Session<'a> {
    config: &'a TrainConfig,
    options: &'a RunOptions<'a>,
    model: MatMulFreeConfig,
    tokenizer: Tokenizer,
    state: TrainState,
    sampler: Sampler,
    rng: Rng,
    stopping: EarlyStopping,
    store: CheckpointStore,
    metrics: Metrics,
    evaluator: Evaluator,
    validation: Vec<Batch>,
    bytes_per_token: f64,
    tokens: u64,
    seconds: f64,
    last_saved: Option<(u64, PathBuf)>,
}

/// Trains as the configuration says. Nothing is lost on an error: the last checkpoint stands, and `resume` goes on
/// from it bit for bit.
pub fn run(config: &TrainConfig, options: &RunOptions<'_>) -> Result<Summary> {
    let dir = config.output.dir.clone();
    let _lock = FolderLock::acquire(&dir)?;
    let corpus = Corpus::load(config)?;
    let threads = match config.train.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let pool = Arc::new(Pool::new(threads));
    let (model, tensors) = start(config, &corpus.tokenizer)?;
    corpus.check_vocab(model.vocab_size)?;
    let store = CheckpointStore::open(dir.join("checkpoints"), config.train.keep_checkpoints)?;
    let mut sampler = corpus.sampler(&config.data)?;
    let mut state = TrainState::new(tensors);
    let mut rng = Rng::new(config.data.seed);
    let mut stopping =
        EarlyStopping::new(config.train.early_stopping_patience, config.train.early_stopping_min_delta);
    let (mut first, mut tokens, mut seconds) = (0u64, 0u64, 0.0);
    let mut notes = corpus.notes.clone();
    let mut last_saved = None;
    if options.resume {
        let restored = store.latest()?;
        notes.extend(restored.notes);
        let mut checkpoint = restored.checkpoint;
        let run = RunState::from_value(&checkpoint.state)?;
        if run.config_hash != config.fingerprint() {
            return Err(TrainError::Mismatch {
                problem: "the configuration is another than the one it was written with".into(),
                remedy: "resume with the run's own configuration (its config.toml lies in the run's folder), or start \
                         anew in another folder, naming the model in `model.init_from`",
            });
        }
        for (i, slots) in state.slots.iter().enumerate() {
            let shape = state.parameters[i].shape().to_vec();
            let kinds = [&mut state.parameters[i], &mut state.first[i], &mut state.second[i]];
            for (name, t) in slots.iter().zip(kinds) {
                t.f32_mut().copy_from_slice(&checkpoint.take(name, &shape)?);
            }
        }
        sampler.restore(&run.sampler)?;
        (first, tokens, seconds, rng, stopping) = (run.step, run.tokens, run.seconds, run.rng, run.early_stopping);
        last_saved = Some((first, restored.path));
    } else if !store.list()?.is_empty() {
        return Err(TrainError::Mismatch {
            problem: format!("`{}` already holds checkpoints of a run", store.dir().display()),
            remedy: "go on with `--resume`, or give the new run its own folder with `--set output.dir=…`",
        });
    }
    crate::checkpoint::atomic_write(&dir.join("config.toml"), |out| out.write_all(config.to_commented_toml().as_bytes()))?;
    let metrics = Metrics::open(MetricsOptions {
        dir: dir.clone(),
        steps: config.train.steps as u64,
        log_every: config.train.log_every as u64,
        tensorboard: config.output.tensorboard,
        progress: !options.quiet,
        resume_at: options.resume.then_some(first),
    })?;
    let validation = if corpus.validation.is_empty() {
        vec![]
    } else {
        validation_batches(
            &corpus.validation,
            config.data.seq_len,
            config.train.eval_windows,
            config.train.eval_batch_size,
        )?
    };
    let step = Step::new(
        &model,
        &config.optimizer,
        config.train.batch_size,
        config.data.seq_len,
        config.train.accumulate,
        pool.clone(),
    )?;
    let mut session = Session {
        evaluator: Evaluator::new(model.clone(), pool),
        config,
        options,
        model,
        tokenizer: corpus.tokenizer.clone(),
        state,
        sampler,
        rng,
        stopping,
        store,
        metrics,
        validation,
        bytes_per_token: corpus.train.bytes_per_token(),
        tokens,
        seconds,
        last_saved,
    };
    for note in notes {
        session.metrics.say(&note);
    }
    session.train(step, first, corpus.train.len())
}

impl Session<'_> {
    fn train(&mut self, mut step: Step, first: u64, train_tokens: usize) -> Result<Summary> {
        let c = self.config;
        let total = c.train.steps as u64;
        let schedule = Schedule::new(c);
        let per_step = (c.train.batch_size * c.train.accumulate * c.data.seq_len) as u64;
        let mut validation = vec![];
        let (mut times, mut recent) = (vec![], std::collections::VecDeque::new());
        let mut ended = None;
        let mut done = first;
        for s in first..total {
            // A checkpoint is written before the evaluation of the same step, so a resumed run makes it again.
            let due = c.train.eval_every > 0 && s.is_multiple_of(c.train.eval_every as u64);
            if due {
                if let Some(v) = self.evaluate(s)? {
                    validation.push((s, v.0));
                    if v.1 == Verdict::Stop {
                        ended = Some(format!("no better validation loss for {} evaluations", self.stopping.patience));
                        break;
                    }
                }
            }
            let batches: Vec<Batch> =
                (0..c.train.accumulate).map(|_| self.sampler.next_batch(c.train.batch_size)).collect();
            let rates = Rates { step: s, lr: schedule.learning_rate(s), weight_decay: schedule.weight_decay(s) };
            let start = Instant::now();
            let made = step.run(&mut self.state, &batches, rates).map_err(|e| self.name_checkpoint(e))?;
            let took = start.elapsed().as_secs_f64();
            times.push(took);
            self.tokens += per_step;
            self.seconds += took;
            done = s + 1;
            recent.push_back(f64::from(made.loss));
            if recent.len() > 20 {
                recent.pop_front();
            }
            self.metrics.train(&TrainPoint {
                step: s,
                loss: made.loss.into(),
                grad_norm: made.grad_norm.into(),
                lr: rates.lr,
                weight_decay: rates.weight_decay,
                tokens: per_step,
                seconds: took,
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
        if done == total && ended.is_none() {
            if let Some(v) = self.evaluate(total)? {
                validation.push((total, v.0));
            }
        }
        if self.last_saved.as_ref().is_none_or(|(s, _)| *s != done) {
            self.save(done)?;
        }
        self.metrics.finish()?;
        let model = self.export()?;
        times.sort_by(f64::total_cmp);
        let median = times.get(times.len() / 2).copied().unwrap_or(0.0);
        let spent: f64 = times.iter().sum();
        Ok(Summary {
            steps: done,
            parameters: self.state.count(),
            train_tokens,
            bytes_per_token: self.bytes_per_token,
            best: self.stopping.best.map(|b| (b.step, b.loss)),
            validation,
            train_loss: recent.iter().sum::<f64>() / recent.len().max(1) as f64,
            tokens_per_second: if spent > 0.0 { times.len() as f64 * per_step as f64 / spent } else { 0.0 },
            seconds_per_step: [times.first().copied().unwrap_or(0.0), median],
            plan_bytes: step.executable().memory(),
            dir: c.output.dir.clone(),
            model,
            ended,
        })
    }

    /// The validation loss at a step, and what early stopping says to it.
    fn evaluate(&mut self, step: u64) -> Result<Option<(f64, Verdict)>> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        let loss = self.evaluator.loss(&self.state, &self.validation)?;
        let verdict = self.stopping.observe(step, loss);
        let best = verdict == Verdict::Best;
        self.metrics.validation(&ValidationPoint { step, loss, bytes_per_token: self.bytes_per_token, best })?;
        if best && self.config.train.keep_best {
            let run = self.run_state(step);
            self.store.save_best(step, &tensors(&self.state), &run)?;
        }
        if let (Some(sample), false) = (&self.options.sampling, self.config.train.sample_prompt.is_empty()) {
            let c = &self.config.train;
            if let Some(text) = sample(&self.model, &self.state, &self.tokenizer, &c.sample_prompt, c.sample_tokens) {
                self.metrics.sample(step, &text)?;
            }
        }
        Ok(Some((loss, verdict)))
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
            extra: Value::Null,
        }
        .to_value()
    }

    fn save(&mut self, step: u64) -> Result<()> {
        let run = self.run_state(step);
        let path = self.store.save(step, &tensors(&self.state), &run)?;
        self.last_saved = Some((step, path));
        Ok(())
    }

    /// Adds to a failed step which checkpoint is the last good one.
    fn name_checkpoint(&self, e: TrainError) -> TrainError {
        match e {
            TrainError::NotFinite { step, quantity, blame, checkpoint } => {
                let checkpoint = self.last_saved.as_ref().map_or(checkpoint, |(s, path)| {
                    format!("the last good checkpoint is `{}` (step {s})", path.display())
                });
                TrainError::NotFinite { step, quantity, blame, checkpoint }
            }
            e => e,
        }
    }

    /// Writes the model folder: the best weights when they are kept, else the last ones.
    fn export(&self) -> Result<PathBuf> {
        let dir = self.config.output.dir.join("model");
        let best = if self.config.train.keep_best { self.store.best()? } else { None };
        let named: Vec<NamedTensor<'_>> = match best {
            Some(mut b) => self
                .state
                .names
                .iter()
                .zip(&self.state.parameters)
                .map(|(n, p)| Ok(NamedTensor::f32(n.as_str(), p.shape(), b.take(n, p.shape())?)))
                .collect::<Result<_>>()?,
            None => self
                .state
                .names
                .iter()
                .zip(&self.state.parameters)
                .map(|(n, p)| NamedTensor::f32(n.as_str(), p.shape(), p.f32()))
                .collect(),
        };
        save_folder(&dir, &self.model.to_json(), &named, SaveOptions::default())?;
        self.tokenizer.save(&dir.join(models::folder::TOKENIZER))?;
        Ok(dir)
    }
}

/// Weights and moments as a checkpoint holds them: `NAME`, `m.NAME`, `v.NAME`.
fn tensors(state: &TrainState) -> Vec<TensorRef<'_>> {
    let kinds = [&state.parameters, &state.first, &state.second];
    let rows = state.slots.iter().enumerate();
    rows.flat_map(|(i, names)| {
        names.iter().zip(kinds).map(move |(name, k)| TensorRef { name, shape: k[i].shape(), data: k[i].f32() })
    })
    .collect()
}
