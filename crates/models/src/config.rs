//! Configurations: which architecture a `config.json` describes, and the MatMul-free language model's own.
//!
//! Zhu et al., "Scalable MatMul-free Language Modeling", 2024, <https://arxiv.org/abs/2406.02528>; fields and
//! defaults are those of the published code's `HGRNBitConfig`.
//!
//! # Keys that are not ours
//! A key that the published code does not read is kept, written back and warned about, since it cannot change
//! what that code computes. Keys by which other architectures change the mathematics ([`changes_mathematics`])
//! are errors: weights that carry them were made by another program, and ignoring them would load a different
//! model in silence. `hidden_act` is the exception: the published code stores it and always uses swish, so any
//! other value gives a warning. `attn_mode` has one value there and no other here.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::bitnet::BitNetConfig;
use crate::error::{ModelError, Result};
use crate::json::Fields;
use crate::qwen3::Qwen3Config;
use crate::registry;

/// Every `model_type` that this version loads.
pub fn supported() -> impl Iterator<Item = &'static str> {
    let own = [MatMulFreeConfig::MODEL_TYPE, BitNetConfig::MODEL_TYPE, Qwen3Config::MODEL_TYPE];
    own.into_iter().chain(registry::TABLE.iter().map(|entry| entry.model_type))
}

const ARCHITECTURE: &str = "HGRNBitForCausalLM";

// Limits far above any published model, so that a damaged or hostile file is refused before memory is asked for.
pub(crate) const MAX_VOCAB: usize = 1 << 24;
pub(crate) const MAX_WIDTH: usize = 1 << 17;
pub(crate) const MAX_INTERMEDIATE: usize = 1 << 20;
pub(crate) const MAX_LAYERS: usize = 1 << 12;
pub(crate) const MAX_CONV: usize = 1 << 10;
pub(crate) const MAX_RATIO: f64 = 64.0;

/// Keys that `transformers` writes into any configuration and that do not concern the mathematics.
pub(crate) const HOUSEKEEPING: &[&str] = &[
    "_attn_implementation_autoset",
    "_commit_hash",
    "_name_or_path",
    "architectures",
    "auto_map",
    "dtype",
    "id2label",
    "is_decoder",
    "is_encoder_decoder",
    "label2id",
    "model_type",
    "output_attentions",
    "output_hidden_states",
    "problem_type",
    "return_dict",
    "task_specific_params",
    "tokenizer_class",
    "torch_dtype",
    "transformers_version",
];

/// Keys of the published code and of ours that [`MatMulFreeConfig`] reads.
const READ: &[&str] = &[
    "activation_rounding",
    "attn_mode",
    "bitlinear_norm_eps",
    "bos_token_id",
    "conv_size",
    "eos_token_id",
    "expand_ratio",
    "fuse_cross_entropy",
    "hidden_act",
    "hidden_ratio",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "max_position_embeddings",
    "mlgru_form",
    "num_heads",
    "num_hidden_layers",
    "pad_token_id",
    "rms_norm_eps",
    "share_conv_kernel",
    "tie_word_embeddings",
    "use_cache",
    "use_lower_bound",
    "use_short_conv",
    "vocab_size",
];

/// The architecture a configuration names.
///
/// # Errors
/// [`ModelError::Architecture`] with the list of [`supported`] ones; [`ModelError::File`] if it is no object.
pub fn model_type<'a>(path: &'a Path, config: &'a Value) -> Result<&'a str> {
    let found = Fields::new(path, config)?.text("model_type", "")?;
    if supported().any(|name| name == found) {
        return Ok(found);
    }
    Err(ModelError::Architecture {
        path: path.into(),
        found: if found.is_empty() { "none".into() } else { format!("\"{found}\"") },
        supported: supported().map(|name| format!("\"{name}\"")).collect(),
        remedy: "use a model of a supported architecture, or a newer version".into(),
    })
}

/// True for a key by which some architecture changes its mathematics, with a value that does so.
///
/// Quantised storage, rotary positions, windows, biases, multipliers and layers of mixed kinds; `null`, `false`
/// and empty values turn them off, and so does 1 for a multiplier.
pub fn changes_mathematics(key: &str, value: &Value) -> bool {
    let multiplier = ["_multiplier", "_scale", "_scaling"].iter().any(|end| key.ends_with(end));
    let neutral = match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Number(number) => multiplier && number.as_f64() == Some(1.0),
        _ => false,
    };
    let listed = matches!(
        key,
        "attn"
            | "attention_bias"
            | "bias"
            | "conv_bias"
            | "final_logit_softcapping"
            | "layer_types"
            | "mlp_bias"
            | "norm_bias"
            | "partial_rotary_factor"
            | "pruned_heads"
            | "quantization"
            | "quantization_config"
            | "sliding_window"
            | "use_bias"
            | "weight_group"
    );
    !neutral && (listed || multiplier || key.starts_with("rope_"))
}

/// A configuration and what was odd about it.
#[derive(Debug, Clone)]
pub struct Parsed<C> {
    /// The configuration.
    pub config: C,
    /// One line each, for the user to see.
    pub warnings: Vec<String>,
}

impl<C> Parsed<C> {
    /// The same of another type of configuration.
    pub fn map<D>(self, change: impl FnOnce(C) -> D) -> Parsed<D> {
        Parsed { config: change(self.config), warnings: self.warnings }
    }
}

/// Which recurrence the token mixer computes; a, i, f, g are the block's input and its three projections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MlgruForm {
    /// The published models: candidate `silu(i)`, gate `RMSNorm(g) · h · sigmoid(h)`.
    #[default]
    Released,
    /// The paper's equations: candidate `silu(i)`, gate `sigmoid(g) · h`, no gate norm.
    Paper,
    /// The article's: candidate `tanh(i)`, gate `sigmoid(g) · h`, no gate norm.
    Article,
}

impl MlgruForm {
    const NAMES: [(Self, &'static str); 3] =
        [(Self::Released, "released"), (Self::Paper, "paper"), (Self::Article, "article")];

    /// The name in `config.json`.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }
}

/// How activations round to int8 where they lie exactly between two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ActivationRounding {
    /// Away from zero: the fused kernel, which the published models were trained with.
    #[default]
    HalfAwayFromZero,
    /// To even: the published code's unfused class and its inference branch.
    HalfToEven,
}

impl ActivationRounding {
    const NAMES: [(Self, &'static str); 2] =
        [(Self::HalfAwayFromZero, "half_away_from_zero"), (Self::HalfToEven, "half_to_even")];

    /// The name in `config.json`.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }
}

/// `HGRNBitConfig` of the published code, and our variants of it.
#[derive(Debug, Clone, PartialEq)]
pub struct MatMulFreeConfig {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream, d.
    pub hidden_size: usize,
    /// Blocks, L.
    pub num_hidden_layers: usize,
    /// Heads of the recurrent state; they change its shape and no value.
    pub num_heads: usize,
    /// Width of the recurrence over d.
    pub expand_ratio: f64,
    /// A causal depthwise convolution with SiLU before or after the projections.
    pub use_short_conv: bool,
    /// Taps of that convolution.
    pub conv_size: usize,
    /// One convolution of the block's input instead of one each for i and f.
    pub share_conv_kernel: bool,
    /// Forget gates bounded from below, the more the deeper the layer.
    pub use_lower_bound: bool,
    /// Width of the channel mixer over d, before the factor 2/3 and rounding.
    pub hidden_ratio: f64,
    /// Width of the channel mixer, if given; see [`MatMulFreeConfig::intermediate_size`].
    pub intermediate_size: Option<usize>,
    /// Stored, not used: the published code always computes swish.
    pub hidden_act: String,
    /// Stored, not used: the model has no positions.
    pub max_position_embeddings: usize,
    /// eps of the block norms, the gate norm and the final norm.
    pub rms_norm_eps: f64,
    /// Stored, not used here.
    pub use_cache: bool,
    /// Embedding row that is zero at first and is not trained.
    pub pad_token_id: Option<u32>,
    /// First token of a text.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text; none in byte-level models.
    pub eos_token_id: Vec<u32>,
    /// The head uses the embedding's weight.
    pub tie_word_embeddings: bool,
    /// Standard deviation of the initial weights.
    pub initializer_range: f64,
    /// Stored, not used here.
    pub fuse_cross_entropy: bool,
    /// Ours: which recurrence; absent in published configurations.
    pub mlgru_form: MlgruForm,
    /// Ours: how int8 activations round ties.
    pub activation_rounding: ActivationRounding,
    /// Ours: eps of the norm inside each ternary projection. 1e-6 is what the published kernel uses, whatever it prints.
    pub bitlinear_norm_eps: f64,
    /// Every other key of the file, written back as it was.
    pub extra: Map<String, Value>,
}

impl Default for MatMulFreeConfig {
    fn default() -> Self {
        let mut extra = Map::new();
        extra.insert("architectures".into(), json!([ARCHITECTURE]));
        extra.insert("torch_dtype".into(), json!("float32"));
        extra.insert("transformers_version".into(), json!("4.44.2"));
        Self {
            vocab_size: 32000,
            hidden_size: 2048,
            num_hidden_layers: 24,
            num_heads: 1,
            expand_ratio: 1.0,
            use_short_conv: false,
            conv_size: 4,
            share_conv_kernel: true,
            use_lower_bound: true,
            hidden_ratio: 4.0,
            intermediate_size: None,
            hidden_act: "swish".into(),
            max_position_embeddings: 2048,
            rms_norm_eps: 1e-6,
            use_cache: true,
            pad_token_id: None,
            bos_token_id: Some(1),
            eos_token_id: vec![2],
            tie_word_embeddings: false,
            initializer_range: 0.02,
            fuse_cross_entropy: true,
            mlgru_form: MlgruForm::Released,
            activation_rounding: ActivationRounding::HalfAwayFromZero,
            bitlinear_norm_eps: 1e-6,
            extra,
        }
    }
}

impl MatMulFreeConfig {
    /// `model_type` of the published models.
    pub const MODEL_TYPE: &'static str = "hgrn_bit";

    /// Reads a `config.json`; `path` is named in errors and warnings.
    ///
    /// # Errors
    /// [`ModelError::Architecture`] for another `model_type`; [`ModelError::Field`] for a value of the wrong kind
    /// or size, for values that contradict one another, and for a key that changes the mathematics.
    ///
    /// # Examples
    /// ```
    /// use models::config::MatMulFreeConfig;
    /// let value = serde_json::json!({"model_type": "hgrn_bit", "hidden_size": 1024, "dropout": 0.1});
    /// let parsed = MatMulFreeConfig::from_json("config.json".as_ref(), &value)?;
    /// assert_eq!(parsed.config.intermediate_size(), 2816);
    /// assert!(parsed.warnings[0].contains("`dropout`"));
    /// # Ok::<(), models::ModelError>(())
    /// ```
    pub fn from_json(path: &Path, value: &Value) -> Result<Parsed<Self>> {
        let fields = Fields::new(path, value)?;
        if model_type(path, value)? != Self::MODEL_TYPE {
            return Err(fields.fault("model_type", format!("\"{}\"", Self::MODEL_TYPE)));
        }
        let mut warnings = Vec::new();
        let mut warn = |text: String| warnings.push(format!("{}: {text}", path.display()));
        let mut extra = Map::new();
        for (key, content) in fields.iter() {
            if changes_mathematics(key, content) {
                return Err(fields.fault(key, "nothing here, since this architecture does not have it"));
            }
            if READ.contains(&key.as_str()) || key == "model_type" {
                continue;
            }
            if !HOUSEKEEPING.contains(&key.as_str()) {
                warn(format!("`{key}` is not a key of {} and is ignored", Self::MODEL_TYPE));
            }
            extra.insert(key.clone(), content.clone());
        }
        if fields.text("attn_mode", "fused_recurrent")? != "fused_recurrent" {
            return Err(fields.fault("attn_mode", "\"fused_recurrent\", the only one there is"));
        }
        let ours = Self::default();
        let hidden_act = fields.text("hidden_act", "swish")?;
        if !["swish", "silu"].contains(&hidden_act) {
            warn(format!(
                "`hidden_act` \"{hidden_act}\" is ignored: the published code always computes swish"
            ));
        }
        let names = extra.get("architectures").and_then(Value::as_array);
        if names.is_some_and(|names| !names.iter().any(|name| name == ARCHITECTURE)) {
            warn(format!("`architectures` does not name {ARCHITECTURE}; it is read as that"));
        }
        let vocab_size = fields.size("vocab_size", ours.vocab_size, MAX_VOCAB)?;
        let config = Self {
            vocab_size,
            hidden_size: fields.size("hidden_size", ours.hidden_size, MAX_WIDTH)?,
            num_hidden_layers: fields.size("num_hidden_layers", ours.num_hidden_layers, MAX_LAYERS)?,
            num_heads: fields.size("num_heads", ours.num_heads, MAX_WIDTH)?,
            expand_ratio: fields.real("expand_ratio", ours.expand_ratio, 0.0, MAX_RATIO)?,
            use_short_conv: fields.flag("use_short_conv", ours.use_short_conv)?,
            conv_size: fields.size("conv_size", ours.conv_size, MAX_CONV)?,
            share_conv_kernel: fields.flag("share_conv_kernel", ours.share_conv_kernel)?,
            use_lower_bound: fields.flag("use_lower_bound", ours.use_lower_bound)?,
            hidden_ratio: fields.real("hidden_ratio", ours.hidden_ratio, 0.0, MAX_RATIO)?,
            intermediate_size: fields.optional_size("intermediate_size", MAX_INTERMEDIATE)?,
            hidden_act: hidden_act.to_owned(),
            max_position_embeddings: fields.size("max_position_embeddings", 2048, 1 << 32)?,
            rms_norm_eps: fields.real("rms_norm_eps", ours.rms_norm_eps, 0.0, 1.0)?,
            use_cache: fields.flag("use_cache", ours.use_cache)?,
            pad_token_id: one_token(&fields, "pad_token_id", &[], vocab_size)?,
            bos_token_id: one_token(&fields, "bos_token_id", &[1], vocab_size)?,
            eos_token_id: fields.tokens("eos_token_id", &ours.eos_token_id, vocab_size)?,
            tie_word_embeddings: fields.flag("tie_word_embeddings", ours.tie_word_embeddings)?,
            initializer_range: fields.real("initializer_range", ours.initializer_range, 0.0, 1e3)?,
            fuse_cross_entropy: fields.flag("fuse_cross_entropy", ours.fuse_cross_entropy)?,
            mlgru_form: choice(&fields, "mlgru_form", &MlgruForm::NAMES)?,
            activation_rounding: choice(&fields, "activation_rounding", &ActivationRounding::NAMES)?,
            bitlinear_norm_eps: fields.real("bitlinear_norm_eps", ours.bitlinear_norm_eps, 0.0, 1.0)?,
            extra,
        };
        config.validate(path)?;
        Ok(Parsed { config, warnings })
    }

    /// Checks what no single field shows; call it on a configuration that was not read from a file.
    ///
    /// # Errors
    /// [`ModelError::Field`] for sizes that are zero, do not divide, or make no model that fits a computer.
    pub fn validate(&self, path: &Path) -> Result<()> {
        let fault = |field: &str, expected: String, found: String| {
            Err(ModelError::field(path, field, expected, found, "correct one of the two values"))
        };
        for (field, ratio) in [("expand_ratio", self.expand_ratio), ("hidden_ratio", self.hidden_ratio)] {
            if !(ratio > 0.0 && ratio <= MAX_RATIO) {
                return fault(field, format!("a number above 0 and up to {MAX_RATIO}"), ratio.to_string());
            }
        }
        for (field, size, max) in [
            ("vocab_size", self.vocab_size, MAX_VOCAB),
            ("hidden_size", self.hidden_size, MAX_WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
            ("num_heads", self.num_heads, MAX_WIDTH),
            ("conv_size", self.conv_size, MAX_CONV),
            ("intermediate_size", self.intermediate_size.unwrap_or(1), MAX_INTERMEDIATE),
        ] {
            if size == 0 || size > max {
                return fault(field, format!("a whole number from 1 to {max}"), size.to_string());
            }
        }
        for (field, width) in [("expand_ratio", self.input_dim()), ("hidden_ratio", self.intermediate_size())]
        {
            if width == 0 {
                return fault(field, "a ratio that leaves a width of at least 1".into(), "width 0".into());
            }
        }
        for (width, size) in
            [("hidden_size", self.hidden_size), ("hidden_size × expand_ratio", self.input_dim())]
        {
            if size % self.num_heads != 0 {
                let expected = format!("a divisor of {width} = {size}");
                return fault("num_heads", expected, self.num_heads.to_string());
            }
        }
        if self.use_lower_bound && self.input_dim() != self.hidden_size && self.num_hidden_layers > 1 {
            let expected = "1 where use_lower_bound is true, since lower_bounds has hidden_size columns";
            return fault("expand_ratio", expected.into(), self.expand_ratio.to_string());
        }
        if self.parameter_count().is_none_or(|count| count > 1 << 40) {
            let found = format!(
                "vocab_size {}, hidden_size {}, num_hidden_layers {}",
                self.vocab_size, self.hidden_size, self.num_hidden_layers
            );
            return fault("hidden_size", "a model of at most 2^40 parameters".into(), found);
        }
        Ok(())
    }

    /// Width of the recurrence, d·e: the rows of the i, f and g projections.
    pub fn input_dim(&self) -> usize {
        (self.hidden_size as f64 * self.expand_ratio) as usize
    }

    /// Width of a head's state.
    pub fn head_dim(&self) -> usize {
        self.input_dim() / self.num_heads.max(1)
    }

    /// Width of the channel mixer: as given, or the published rule, two thirds of `hidden_ratio` times
    /// `hidden_size` rounded up to a multiple of 256.
    pub fn intermediate_size(&self) -> usize {
        self.intermediate_size.unwrap_or_else(|| {
            let width = (self.hidden_size as f64 * self.hidden_ratio * 2.0 / 3.0) as usize;
            width.next_multiple_of(256)
        })
    }

    /// The `config.json` that `transformers` writes for it; our own keys only where they are not the default.
    pub fn to_json(&self) -> Value {
        let ours = Self::default();
        let tokens = match self.eos_token_id.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            many => json!(many),
        };
        let mut value = json!({
            "attn_mode": "fused_recurrent",
            "bos_token_id": self.bos_token_id,
            "conv_size": self.conv_size,
            "eos_token_id": tokens,
            "expand_ratio": whole(self.expand_ratio),
            "fuse_cross_entropy": self.fuse_cross_entropy,
            "hidden_act": self.hidden_act,
            "hidden_ratio": whole(self.hidden_ratio),
            "hidden_size": self.hidden_size,
            "initializer_range": self.initializer_range,
            "intermediate_size": self.intermediate_size,
            "max_position_embeddings": self.max_position_embeddings,
            "model_type": Self::MODEL_TYPE,
            "num_heads": self.num_heads,
            "num_hidden_layers": self.num_hidden_layers,
            "rms_norm_eps": self.rms_norm_eps,
            "share_conv_kernel": self.share_conv_kernel,
            "tie_word_embeddings": self.tie_word_embeddings,
            "use_cache": self.use_cache,
            "use_lower_bound": self.use_lower_bound,
            "use_short_conv": self.use_short_conv,
            "vocab_size": self.vocab_size,
        });
        let mut set = |key: &str, content: Value| value[key] = content;
        for (key, content) in &self.extra {
            set(key, content.clone());
        }
        if let Some(pad) = self.pad_token_id {
            set("pad_token_id", json!(pad));
        }
        if self.mlgru_form != ours.mlgru_form {
            set("mlgru_form", json!(self.mlgru_form.name()));
        }
        if self.activation_rounding != ours.activation_rounding {
            set("activation_rounding", json!(self.activation_rounding.name()));
        }
        if self.bitlinear_norm_eps != ours.bitlinear_norm_eps {
            set("bitlinear_norm_eps", json!(self.bitlinear_norm_eps));
        }
        value.sort_all_objects();
        value
    }
}

/// Ratios are whole in every published file, and a reader in Python may need them so.
pub(crate) fn whole(ratio: f64) -> Value {
    if ratio.fract() == 0.0 { json!(ratio as u64) } else { json!(ratio) }
}

pub(crate) fn one_token(
    fields: &Fields<'_>,
    field: &str,
    default: &[u32],
    vocab_size: usize,
) -> Result<Option<u32>> {
    match fields.tokens(field, default, vocab_size)?.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        _ => Err(fields.fault(field, "one token id")),
    }
}

/// The value of a field whose values have names; absent, the first.
pub(crate) fn choice<T: Copy>(fields: &Fields<'_>, field: &str, names: &[(T, &'static str)]) -> Result<T> {
    let text = fields.text(field, names[0].1)?;
    names.iter().find(|(_, name)| *name == text).map(|(value, _)| *value).ok_or_else(|| {
        let list = names.iter().map(|(_, name)| format!("\"{name}\"")).collect::<Vec<_>>();
        fields.fault(field, format!("one of {}", list.join(", ")))
    })
}
