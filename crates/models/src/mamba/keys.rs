//! The keys of `config.json` that Mamba and Mamba-2 share, and what both refuse.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::config::{HOUSEKEEPING, MAX_LAYERS, MAX_VOCAB, MAX_WIDTH, changes_mathematics, one_token, whole};
use crate::error::{ModelError, Result};
use crate::frame::LinearKind;
use crate::json::Fields;

/// Longest filter: what the kernels keep in registers.
pub(crate) const MAX_TAPS: usize = 32;
/// Most states of a channel.
pub(crate) const MAX_STATES: usize = 1 << 12;

/// Keys that [`Keys`] reads, or that concern only how the published code computes.
const READ: &[&str] = &[
    "bos_token_id",
    "conv_kernel",
    "eos_token_id",
    "expand",
    "hidden_act",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "layer_norm_epsilon",
    "linear",
    "num_hidden_layers",
    "pad_token_id",
    "rescale_prenorm_residual",
    "residual_in_fp32",
    "state_size",
    "tie_word_embeddings",
    "time_step_floor",
    "time_step_max",
    "time_step_min",
    "use_bias",
    "use_cache",
    "use_conv_bias",
    "vocab_size",
];

/// The shared part of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Keys {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream, d.
    pub hidden_size: usize,
    /// States of a channel, N.
    pub state_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Channels of the mixer over d.
    pub expand: f64,
    /// Taps of the short convolution.
    pub conv_kernel: usize,
    /// eps of all norms.
    pub layer_norm_epsilon: f64,
    /// `in_proj` and `out_proj` have biases.
    pub use_bias: bool,
    /// The convolution has a bias.
    pub use_conv_bias: bool,
    /// Standard deviation of the initial embedding.
    pub initializer_range: f64,
    /// Least step size at first.
    pub time_step_min: f64,
    /// Largest step size at first.
    pub time_step_max: f64,
    /// The least step size that a bias stands for at first.
    pub time_step_floor: f64,
    /// `out_proj` starts divided by √L.
    pub rescale_prenorm_residual: bool,
    /// The head uses the embedding's weight.
    pub tie_word_embeddings: bool,
    /// Embedding row that fills short rows.
    pub pad_token_id: Option<u32>,
    /// First token of a text.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text.
    pub eos_token_id: Vec<u32>,
    /// Ours: what the projections are; absent in published configurations.
    pub linear: LinearKind,
    /// Every other key of the file, written back as it was.
    pub extra: Map<String, Value>,
}

impl Keys {
    /// The published code's defaults for `architecture`.
    pub(crate) fn new(architecture: &str) -> Self {
        let mut extra = Map::new();
        extra.insert("architectures".into(), json!([architecture]));
        extra.insert("torch_dtype".into(), json!("float32"));
        Self {
            vocab_size: 50_280,
            hidden_size: 768,
            state_size: 16,
            num_hidden_layers: 32,
            expand: 2.0,
            conv_kernel: 4,
            layer_norm_epsilon: 1e-5,
            use_bias: false,
            use_conv_bias: true,
            initializer_range: 0.1,
            time_step_min: 0.001,
            time_step_max: 0.1,
            time_step_floor: 1e-4,
            rescale_prenorm_residual: false,
            tie_word_embeddings: true,
            pad_token_id: Some(0),
            bos_token_id: Some(0),
            eos_token_id: vec![0],
            linear: LinearKind::Full,
            extra,
        }
    }

    /// Reads them; `own` are the keys that the architecture reads besides, `ours` its defaults.
    pub(crate) fn read(
        path: &Path,
        value: &Value,
        kind: &str,
        own: &[&str],
        ours: Self,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let fields = Fields::new(path, value)?;
        if fields.text("model_type", kind)? != kind {
            return Err(fields.fault("model_type", format!("\"{kind}\"")));
        }
        let mut extra = Map::new();
        for (key, content) in fields.iter() {
            if READ.contains(&key.as_str()) || own.contains(&key.as_str()) || key == "model_type" {
                continue;
            }
            if changes_mathematics(key, content) {
                return Err(fields.fault(key, "nothing here, since this architecture does not have it"));
            }
            if !HOUSEKEEPING.contains(&key.as_str()) {
                warnings.push(format!("{}: `{key}` is not a key of {kind} and is ignored", path.display()));
            }
            extra.insert(key.clone(), content.clone());
        }
        if !["silu", "swish"].contains(&fields.text("hidden_act", "silu")?) {
            return Err(fields.fault("hidden_act", "\"silu\""));
        }
        let vocab_size = fields.size("vocab_size", ours.vocab_size, MAX_VOCAB)?;
        let step = |field: &str, default: f64| fields.real(field, default, 0.0, 1e6);
        let keys = Self {
            vocab_size,
            hidden_size: fields.size("hidden_size", ours.hidden_size, MAX_WIDTH)?,
            state_size: fields.size("state_size", ours.state_size, MAX_STATES)?,
            num_hidden_layers: fields.size("num_hidden_layers", ours.num_hidden_layers, MAX_LAYERS)?,
            expand: fields.real("expand", ours.expand, 0.0, 64.0)?,
            conv_kernel: fields.size("conv_kernel", ours.conv_kernel, MAX_TAPS)?,
            layer_norm_epsilon: fields.real("layer_norm_epsilon", ours.layer_norm_epsilon, 0.0, 1.0)?,
            use_bias: fields.flag("use_bias", ours.use_bias)?,
            use_conv_bias: fields.flag("use_conv_bias", ours.use_conv_bias)?,
            initializer_range: fields.real("initializer_range", ours.initializer_range, 0.0, 1e3)?,
            time_step_min: step("time_step_min", ours.time_step_min)?,
            time_step_max: step("time_step_max", ours.time_step_max)?,
            time_step_floor: step("time_step_floor", ours.time_step_floor)?,
            rescale_prenorm_residual: fields
                .flag("rescale_prenorm_residual", ours.rescale_prenorm_residual)?,
            tie_word_embeddings: fields.flag("tie_word_embeddings", ours.tie_word_embeddings)?,
            pad_token_id: one_token(&fields, "pad_token_id", &[], vocab_size)?,
            bos_token_id: one_token(&fields, "bos_token_id", &[], vocab_size)?,
            eos_token_id: fields.tokens("eos_token_id", &[], vocab_size)?,
            linear: linear(&fields)?,
            extra,
        };
        let given = fields.optional_size("intermediate_size", MAX_WIDTH)?;
        if given.is_some_and(|width| width != keys.inner()) {
            let expected = format!("{} = hidden_size × expand", keys.inner());
            return Err(fields.fault("intermediate_size", expected));
        }
        Ok(keys)
    }

    /// Checks what no single field shows; `parameters` is what the model has.
    pub(crate) fn validate(&self, path: &Path, parameters: impl Fn() -> Option<u64>) -> Result<()> {
        let fault = |field: &str, expected: String, found: String| {
            Err(ModelError::field(path, field, expected, found, "correct one of the two values"))
        };
        for (field, size, max) in [
            ("vocab_size", self.vocab_size, MAX_VOCAB),
            ("hidden_size", self.hidden_size, MAX_WIDTH),
            ("state_size", self.state_size, MAX_STATES),
            ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
            ("conv_kernel", self.conv_kernel, MAX_TAPS),
        ] {
            if size == 0 || size > max {
                return fault(field, format!("a whole number from 1 to {max}"), size.to_string());
            }
        }
        let inner = self.inner();
        if inner == 0 || inner > MAX_WIDTH {
            let expected = format!("a ratio that makes 1 to {MAX_WIDTH} channels of hidden_size");
            return fault("expand", expected, format!("{} ({inner} channels)", self.expand));
        }
        if self.time_step_min > self.time_step_max {
            let expected = format!("at most time_step_max = {}", self.time_step_max);
            return fault("time_step_min", expected, self.time_step_min.to_string());
        }
        if parameters().is_none_or(|count| count > 1 << 40) {
            let found = format!(
                "vocab_size {}, hidden_size {}, num_hidden_layers {}",
                self.vocab_size, self.hidden_size, self.num_hidden_layers
            );
            return fault("hidden_size", "a model of at most 2^40 parameters".into(), found);
        }
        Ok(())
    }

    /// Channels of the mixer, I = ⌊d · expand⌋.
    pub fn inner(&self) -> usize {
        (self.hidden_size as f64 * self.expand) as usize
    }

    /// What `out_proj` is divided by at first.
    pub(crate) fn out_divisor(&self) -> f64 {
        if self.rescale_prenorm_residual { (self.num_hidden_layers as f64).sqrt() } else { 1.0 }
    }

    /// The `config.json` of the published layout, with an architecture's own keys.
    pub(crate) fn write(&self, kind: &str, own: Value) -> Value {
        let tokens = match self.eos_token_id.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            many => json!(many),
        };
        let mut value = json!({
            "bos_token_id": self.bos_token_id,
            "conv_kernel": self.conv_kernel,
            "eos_token_id": tokens,
            "expand": whole(self.expand),
            "hidden_act": "silu",
            "hidden_size": self.hidden_size,
            "initializer_range": self.initializer_range,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "model_type": kind,
            "num_hidden_layers": self.num_hidden_layers,
            "pad_token_id": self.pad_token_id,
            "rescale_prenorm_residual": self.rescale_prenorm_residual,
            "residual_in_fp32": true,
            "state_size": self.state_size,
            "tie_word_embeddings": self.tie_word_embeddings,
            "time_step_floor": self.time_step_floor,
            "time_step_max": self.time_step_max,
            "time_step_min": self.time_step_min,
            "use_bias": self.use_bias,
            "use_cache": true,
            "use_conv_bias": self.use_conv_bias,
            "vocab_size": self.vocab_size,
        });
        for (key, content) in own.as_object().into_iter().flatten().chain(&self.extra) {
            value[key] = content.clone();
        }
        if self.linear != LinearKind::Full {
            value["linear"] = json!(self.linear.name());
        }
        value.sort_all_objects();
        value
    }
}

/// `linear` of a configuration: full where it is absent.
fn linear(fields: &Fields<'_>) -> Result<LinearKind> {
    let text = fields.text("linear", "full")?;
    let found = LinearKind::NAMES.iter().find(|(_, name)| *name == text);
    found.map(|(kind, _)| *kind).ok_or_else(|| fields.fault("linear", "\"full\", \"ternary\" or \"binary\""))
}
