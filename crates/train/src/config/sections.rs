//! The sections of the file and their defaults.
//!
//! The defaults describe a run that works on a laptop: the size of the reference run and the paper's learning
//! rate and schedule. What each key means is said once, in the comments that the file is printed with
//! (`comments.rs`); the documentation here says what the code needs to know.

use super::{ByteSize, ScalarKind};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[model]`: the architecture and its sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// `matmulfree`, or the `model_type` of any other architecture.
    pub architecture: String,
    /// What projections are: `full`, `ternary` or `binary`; empty: what the architecture's own are.
    pub linear: String,
    /// Token mixers of a hybrid, one for each block; a shorter list repeats.
    pub blocks: Vec<String>,
    /// A model folder or checkpoint to start from; its `config.json` then overrules the sizes below. Empty: none.
    pub init_from: String,
    /// Seed of the initial weights.
    pub init_seed: u64,
    /// Standard deviation of the initial weights.
    pub initializer_range: f64,
    /// 0: the tokenizer's.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Heads of the token mixer.
    pub num_heads: usize,
    /// Width of the recurrent state over `hidden_size`.
    pub expand_ratio: usize,
    /// Width of the channel mixer over `hidden_size`, if `intermediate_size` is 0.
    pub hidden_ratio: usize,
    /// Width of the channel mixer; 0: derived from `hidden_ratio`.
    pub intermediate_size: usize,
    /// Learned lower bounds of the forget gate.
    pub use_lower_bound: bool,
    /// A short causal convolution before the gates.
    pub use_short_conv: bool,
    /// Its length.
    pub conv_size: usize,
    /// One kernel for all gates.
    pub share_conv_kernel: bool,
    /// Epsilon of the outer norms.
    pub rms_norm_eps: f64,
    /// Whether the head uses the embedding's weights.
    pub tie_word_embeddings: bool,
    /// Which of the three published forms of the gate.
    pub mlgru_form: MlgruForm,
    /// Further keys of the architecture's `config.json`, which overrule those above. (Last: TOML wants tables after plain
    /// keys.)
    pub options: toml::Table,
}

/// `[task]`: a built-in task instead of text.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskConfig {
    /// One of [`crate::tasks::NAMES`]; empty: text.
    pub name: String,
    /// Tokens of a row before its answers; 0: the task's own.
    pub length: usize,
    /// Tokens that are copied, pairs that are recalled; 0: the task's own.
    pub items: usize,
    /// Tokens of the vocabulary; 0: the task's own.
    pub vocabulary: usize,
    /// The table of digits: CSV (also `.gz`) or IDX; empty: where it is looked for.
    pub path: String,
    /// Held-out examples of an evaluation; 0: 512.
    pub examples: usize,
    /// Lengths at which the trained model is evaluated at the end.
    pub eval_lengths: Vec<usize>,
    /// The run ends once this share of the held-out answers is right; 0: never.
    pub until: f64,
}

/// The three forms of the MLGRU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MlgruForm {
    /// The code that was released with the models.
    Released,
    /// The equations of the paper.
    Paper,
    /// The article's: tanh candidate, plain output gate.
    Article,
}

impl Default for ModelConfig {
    fn default() -> Self {
        ModelConfig {
            architecture: "matmulfree".into(),
            linear: String::new(),
            blocks: vec![],
            init_from: String::new(),
            init_seed: 0,
            initializer_range: 0.02,
            vocab_size: 0,
            hidden_size: 128,
            num_hidden_layers: 3,
            num_heads: 1,
            expand_ratio: 1,
            hidden_ratio: 4,
            intermediate_size: 0,
            use_lower_bound: true,
            use_short_conv: false,
            conv_size: 4,
            share_conv_kernel: true,
            rms_norm_eps: 1e-6,
            tie_word_embeddings: false,
            mlgru_form: MlgruForm::Released,
            options: toml::Table::new(),
        }
    }
}

/// `[data]`: the text and how it becomes batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Files, folders and patterns, in this order.
    pub train: Vec<String>,
    /// Endings that a file found in a folder must have; empty: any.
    pub extensions: Vec<String>,
    /// The training text is cut off after this many bytes; 0: all of it.
    pub max_bytes: usize,
    /// Cuts files into documents; empty: a file is a document.
    pub document_separator: String,
    /// `bytes`, a `tokenizer.json`, or a folder that holds one.
    pub tokenizer: String,
    /// Id that is put after each document; −1: the tokenizer's own, if any.
    pub eos_token_id: i64,
    /// How sequences are drawn.
    pub sampler: SamplerKind,
    /// Tokens per sequence.
    pub seq_len: usize,
    /// Seed of the sampler.
    pub seed: u64,
    /// Whether tokenised text is kept on disk.
    pub cache: bool,
    /// Where; empty: `cache` under the output folder.
    pub cache_dir: String,
    /// What is held back for validation. (Last: TOML wants tables after plain keys.)
    pub validation: SplitConfig,
}

/// How sequences are drawn from the training text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SamplerKind {
    /// Each epoch: documents in a new order, packed end to end, cut into sequences, the sequences shuffled.
    ShuffledDocuments,
    /// Windows at offsets drawn by splitmix64 from the concatenated text, as the reference run draws them.
    RandomWindows,
}

impl Default for DataConfig {
    fn default() -> Self {
        let extensions = [
            "txt", "md", "rst", "tex", "org", "adoc", "html", "csv", "json", "toml", "rs", "py", "c", "h",
            "cc", "cpp", "hpp", "go", "java", "js", "ts", "sh", "fs", "ml", "hs", "jl",
        ];
        DataConfig {
            train: Vec::new(),
            extensions: extensions.map(String::from).to_vec(),
            max_bytes: 0,
            document_separator: String::new(),
            tokenizer: "bytes".into(),
            eos_token_id: -1,
            sampler: SamplerKind::ShuffledDocuments,
            seq_len: 256,
            seed: 42,
            cache: true,
            cache_dir: String::new(),
            validation: SplitConfig::default(),
        }
    }
}

/// `[data.validation]`: what is held back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SplitConfig {
    /// By what.
    pub kind: SplitKind,
    /// `documents`: share of the documents, chosen by a hash of their text.
    pub fraction: f64,
    /// `documents`: seed of that hash.
    pub seed: u64,
    /// `blocks`: bytes per block.
    pub block_bytes: usize,
    /// `blocks`: of this many blocks, one is held back.
    pub every: usize,
    /// `blocks`: which one.
    pub offset: usize,
    /// `files`: files, folders and patterns.
    pub files: Vec<String>,
}

/// By what the validation text is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitKind {
    /// By documents when there are at least 20, else by blocks.
    Auto,
    /// Nothing is held back.
    None,
    /// Whole documents.
    Documents,
    /// Blocks of bytes.
    Blocks,
    /// Files that are named.
    Files,
}

impl Default for SplitConfig {
    fn default() -> Self {
        SplitConfig {
            kind: SplitKind::Auto,
            fraction: 0.05,
            seed: 0,
            block_bytes: 1024,
            every: 10,
            offset: 9,
            files: Vec::new(),
        }
    }
}

/// `[optimizer]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// The rule.
    #[serde(alias = "name")]
    pub kind: OptimizerKind,
    /// Peak learning rate.
    pub lr: f64,
    /// Decay of the first and the second moment.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// `sgd`, `muon`: decay of the momentum.
    pub momentum: f64,
    /// `sgd`, `muon`: whether the step looks ahead.
    pub nesterov: bool,
    /// `bop`: the share of a new gradient in the average.
    pub bop_gamma: f64,
    /// `bop`: how large the average must be for a trit to move.
    pub bop_threshold: f64,
    /// Patterns of parameter names that are not decayed.
    pub no_decay: Vec<String>,
    /// Global norm that the gradient is cut to; 0: off.
    pub grad_clip: f64,
}

/// The rule of the update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2017).
    #[serde(rename = "adamw")]
    AdamW,
    /// Descent with momentum.
    Sgd,
    /// Adam with weight decay in the gradient (Kingma & Ba 2014).
    Adam,
    /// The sign of an average (Chen et al. 2023).
    Lion,
    /// Orthogonalised momentum for matrices, AdamW for the rest (Jordan et al. 2024).
    Muon,
    /// Flips of trits for ternary matrices, AdamW for the rest (Helwegen et al. 2019).
    Bop,
    /// AdamW whose weights are averages (Defazio et al. 2024).
    ScheduleFree,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        OptimizerConfig {
            kind: OptimizerKind::AdamW,
            lr: 4e-3,
            betas: [0.9, 0.95],
            eps: 1e-8,
            weight_decay: 0.01,
            momentum: 0.9,
            nesterov: true,
            bop_gamma: 1e-3,
            bop_threshold: 1e-6,
            no_decay: ["*norm*", "*lower_bound*", "*bias", "*embed*"].map(String::from).to_vec(),
            grad_clip: 1.0,
        }
    }
}

impl OptimizerConfig {
    /// Whether weight decay applies to the parameter `name`: whether no pattern of `no_decay` matches it.
    pub fn decays(&self, name: &str) -> bool {
        !self.no_decay.iter().any(|p| glob::Pattern::new(p).is_ok_and(|pattern| pattern.matches(name)))
    }
}

/// `[quantizer]`; see [`crate::quantizer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuantizerConfig {
    /// Name of the surrogate.
    pub surrogate: String,
    /// First value of its parameter.
    pub from: Auto,
    /// Last value.
    pub to: Auto,
    /// Share of the run after which it has the last value.
    pub until: Auto,
    /// Name of the gradient transformation.
    pub transform: String,
    /// `ewgs`: δ; `ags-bounded`: the gain G; `ags-flip-rate`: the speed γ of the control.
    pub strength: Auto,
    /// `ags-bounded`: steps N in which a weight may reach its threshold.
    pub horizon: f64,
    /// `ags-flip-rate`: the share of trits to flip per update at the peak learning rate.
    pub flip_rate: f64,
}

impl Default for QuantizerConfig {
    fn default() -> Self {
        QuantizerConfig {
            surrogate: "ste".into(),
            from: Auto(None),
            to: Auto(None),
            until: Auto(None),
            transform: "none".into(),
            strength: Auto(None),
            horizon: 100.0,
            flip_rate: 1e-3,
        }
    }
}

/// A number, or `"auto"` for a default that depends on other keys.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Auto(pub Option<f64>);

impl Auto {
    /// The number, or `default`.
    pub fn or(self, default: f64) -> f64 {
        self.0.unwrap_or(default)
    }
}

impl Serialize for Auto {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        // A text in both cases, so that `--set` takes either.
        match self.0 {
            None => s.serialize_str("auto"),
            Some(x) => s.serialize_str(&x.to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for Auto {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Text(String),
            Number(f64),
            Whole(i64),
        }
        match Given::deserialize(d)? {
            Given::Number(x) => Ok(Auto(Some(x))),
            Given::Whole(x) => Ok(Auto(Some(x as f64))),
            Given::Text(text) if text == "auto" => Ok(Auto(None)),
            Given::Text(text) => text.parse().map(|x| Auto(Some(x))).map_err(|_| {
                serde::de::Error::custom(format!("expected a number or \"auto\", found `{text}`"))
            }),
        }
    }
}

/// `[schedule]`; the formulas are in [`crate::schedule`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleConfig {
    /// The curve.
    pub kind: ScheduleKind,
    /// Steps of linear warm-up.
    pub warmup_steps: usize,
    /// The learning rate at the end, over the peak.
    pub final_fraction: f64,
    /// Where the second stage begins, over the number of steps.
    pub switch_at: f64,
    /// `two-stage`: learning rate of the second stage over that of the first.
    pub second_lr_fraction: f64,
    /// `two-stage`: weight decay of the second stage.
    pub second_weight_decay: f64,
}

/// The curve of the learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// The peak throughout.
    Constant,
    /// A straight line from the end of the warm-up.
    Linear,
    /// Half a cosine from the end of the warm-up.
    Cosine,
    /// Half a cosine over the whole run, halved in the second stage: the MatMul-free paper.
    CosineHalveMidway,
    /// A straight line over the whole run; both rates drop in the second stage: BitNet b1.58's training tips.
    TwoStage,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        ScheduleConfig {
            kind: ScheduleKind::CosineHalveMidway,
            warmup_steps: 20,
            final_fraction: 0.0,
            switch_at: 0.5,
            second_lr_fraction: 2.0 / 3.0,
            second_weight_decay: 0.0,
        }
    }
}

/// `[train]`: the loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoopConfig {
    /// Updates.
    pub steps: usize,
    /// Sequences per batch.
    pub batch_size: usize,
    /// Batches per update.
    pub accumulate: usize,
    /// Steps between evaluations; 0: only at the end.
    pub eval_every: usize,
    /// Windows of the validation text.
    pub eval_windows: usize,
    /// Windows per evaluation batch.
    pub eval_batch_size: usize,
    /// Whether the best weights are kept.
    pub keep_best: bool,
    /// Evaluations without improvement before the run stops; 0: never.
    pub early_stopping_patience: usize,
    /// What counts as an improvement.
    pub early_stopping_min_delta: f64,
    /// Steps between checkpoints; 0: only at the end.
    pub checkpoint_every: usize,
    /// How many are kept.
    pub keep_checkpoints: usize,
    /// How projections multiply.
    pub products: Products,
    /// What gradients are kept in until the update.
    pub gradients: GradientType,
    /// Whether the step is fused.
    pub fuse: bool,
    /// What weights, moments and plan may take together; 0: no limit.
    pub memory: ByteSize,
    /// 0: one per core.
    pub threads: usize,
    /// Whether results must not depend on the number of threads.
    pub deterministic: bool,
    /// Steps between lines of the log.
    pub log_every: usize,
    /// Steps between looks at the trits; 0: none.
    pub trits_every: usize,
    /// Text that a sample is generated from at each evaluation; empty: none.
    pub sample_prompt: String,
    /// Its length.
    pub sample_tokens: usize,
}

/// `engine`: what runs the plans of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// The engine's kernels, on all threads.
    #[default]
    Engine,
    /// Native code, compiled before the first step, on one thread.
    Compiled,
}

/// `[precision]`: in which arithmetic a step is done, and how sums of gradients and of the optimiser are kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrecisionConfig {
    /// The arithmetic.
    pub scalar: ScalarKind,
    /// The accumulator.
    pub accumulator: AccumulatorKind,
}

/// How sums are kept; see [`graph::Accumulator`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccumulatorKind {
    /// As the engine's fastest kernels do: f32 within blocks, f64 across blocks where a kernel has several.
    #[default]
    Fast,
    /// f32 from the first term to the last.
    Plain,
    /// f32 in pairs.
    Pairwise,
    /// f32 with the lost parts kept beside it.
    Compensated,
    /// f64.
    F64,
    /// Without error, so that no order of sequences or batches matters.
    Exact,
    /// The x87 extended format in compiled code; the engine keeps such sums without error.
    F80,
    /// IEEE binary128, in the same way.
    F128,
}

impl AccumulatorKind {
    /// As an attribute of nodes; `None` for the kernels' own way.
    pub fn accumulator(self) -> Option<graph::Accumulator> {
        use graph::Accumulator;
        match self {
            AccumulatorKind::Fast => None,
            AccumulatorKind::Plain => Some(Accumulator::Plain),
            AccumulatorKind::Pairwise => Some(Accumulator::Pairwise),
            AccumulatorKind::Compensated => Some(Accumulator::Compensated),
            AccumulatorKind::F64 => Some(Accumulator::Wider),
            AccumulatorKind::Exact => Some(Accumulator::Exact),
            AccumulatorKind::F80 => Some(Accumulator::F80),
            AccumulatorKind::F128 => Some(Accumulator::F128),
        }
    }
}

/// How projections multiply in training; see `models::matmulfree::Form`. The two agree to float rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Products {
    /// int8 activations times trits in integers, backward products on the same.
    Integer,
    /// Fake-quantised floats throughout, as the published code does.
    Float,
}

/// What gradients are kept in between the backward pass and the update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GradientType {
    /// As they are computed.
    F32,
    /// Rounded to 8 bits of mantissa, in half of the memory.
    BF16,
}

impl Default for LoopConfig {
    fn default() -> Self {
        LoopConfig {
            steps: 400,
            batch_size: 8,
            accumulate: 1,
            eval_every: 50,
            eval_windows: 64,
            eval_batch_size: 16,
            keep_best: true,
            early_stopping_patience: 0,
            early_stopping_min_delta: 0.0,
            checkpoint_every: 100,
            keep_checkpoints: 3,
            products: Products::Integer,
            gradients: GradientType::F32,
            fuse: true,
            memory: ByteSize::default(),
            threads: 0,
            deterministic: true,
            log_every: 1,
            trits_every: 20,
            sample_prompt: String::new(),
            sample_tokens: 64,
        }
    }
}

/// `[output]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputConfig {
    /// The folder of the run: checkpoints, metrics, the trained model.
    pub dir: PathBuf,
    /// Whether TensorBoard events are written.
    pub tensorboard: bool,
    /// Whether the page is written.
    pub page: bool,
}

impl Default for OutputConfig {
    fn default() -> Self {
        OutputConfig { dir: "runs/matmulfree".into(), tensorboard: true, page: true }
    }
}
