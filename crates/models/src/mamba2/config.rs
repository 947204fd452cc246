//! The configuration: `Mamba2Config` of the `transformers` library.

use std::path::Path;

use serde_json::{Value, json};

use super::Mamba2Mixer;
use crate::architecture::Architecture;
use crate::config::{MAX_WIDTH, Parsed};
use crate::error::{ModelError, Result};
use crate::json::{Fields, number};
use crate::mamba::Keys;
use crate::mamba::backbone::{Backbone, backbone_answers};

/// Keys that [`Mamba2Config`] reads beside the shared ones, or that concern only how the published code computes.
const READ: &[&str] = &[
    "chunk_size",
    "head_dim",
    "n_groups",
    "norm_before_gate",
    "num_heads",
    "rms_norm",
    "time_step_limit",
    "time_step_rank",
];

/// `Mamba2Config` of the published code.
#[derive(Debug, Clone, PartialEq)]
pub struct Mamba2Config {
    /// What Mamba has too.
    pub keys: Keys,
    /// Heads, H.
    pub num_heads: usize,
    /// Width of a head, P.
    pub head_dim: usize,
    /// Groups of heads with maps of their own, G.
    pub n_groups: usize,
    /// Stored, not used: how the published code cuts a sequence. Here the plan chooses.
    pub chunk_size: usize,
    /// Least and greatest step size.
    pub time_step_limit: [f64; 2],
}

impl Default for Mamba2Config {
    /// The library's defaults.
    fn default() -> Self {
        let keys = Keys {
            vocab_size: 32_768,
            hidden_size: 4096,
            state_size: 128,
            num_hidden_layers: 64,
            tie_word_embeddings: false,
            pad_token_id: Some(1),
            bos_token_id: Some(0),
            eos_token_id: vec![2],
            ..Keys::new("Mamba2ForCausalLM")
        };
        Self {
            keys,
            num_heads: 128,
            head_dim: 64,
            n_groups: 8,
            chunk_size: 256,
            time_step_limit: [0.0, f64::INFINITY],
        }
    }
}

impl Mamba2Config {
    /// `model_type` of the published models.
    pub const MODEL_TYPE: &'static str = "mamba2";

    /// Reads a `config.json`; `path` is named in errors and warnings.
    ///
    /// # Errors
    /// [`ModelError::Field`] for a value of the wrong kind or size, for values that contradict one another, and for a key that
    /// changes the mathematics.
    pub fn from_json(path: &Path, value: &Value) -> Result<Parsed<Self>> {
        let (fields, mut warnings) = (Fields::new(path, value)?, vec![]);
        let ours = Self::default();
        let keys = Keys::read(path, value, Self::MODEL_TYPE, READ, ours.keys, &mut warnings)?;
        for (key, only) in [("rms_norm", true), ("norm_before_gate", false)] {
            if fields.flag(key, only)? != only {
                return Err(fields.fault(key, only.to_string()));
            }
        }
        let config = Self {
            num_heads: fields.size("num_heads", ours.num_heads, MAX_WIDTH)?,
            head_dim: fields.size("head_dim", ours.head_dim, MAX_WIDTH)?,
            n_groups: fields.size("n_groups", ours.n_groups, MAX_WIDTH)?,
            chunk_size: fields.size("chunk_size", ours.chunk_size, 1 << 20)?,
            time_step_limit: limit(&fields)?,
            keys,
        };
        config.validate(path)?;
        Ok(Parsed { config, warnings })
    }

    /// Checks what no single field shows; call it on a configuration that was not read from a file.
    ///
    /// # Errors
    /// [`ModelError::Field`] for sizes that are zero, do not divide, or make no model that fits a computer.
    pub fn validate(&self, path: &Path) -> Result<()> {
        let fault = |field: &str, expected: String, found: usize| {
            Err(ModelError::field(path, field, expected, found.to_string(), "correct one of the two values"))
        };
        let inner = self.keys.inner();
        if self.num_heads.checked_mul(self.head_dim) != Some(inner) {
            let expected = format!("{inner} = hidden_size × expand channels in heads of {}", self.head_dim);
            return fault("num_heads", expected, self.num_heads);
        }
        if self.n_groups == 0 || !self.num_heads.is_multiple_of(self.n_groups) {
            return fault("n_groups", format!("a divisor of num_heads = {}", self.num_heads), self.n_groups);
        }
        self.keys.validate(path, || self.parameter_count())
    }

    /// The `config.json` that `transformers` writes for it.
    pub fn to_json(&self) -> Value {
        let number = |x: f64| match x.is_infinite() {
            true => json!({ "__float__": if x > 0.0 { "Infinity" } else { "-Infinity" } }),
            false => json!(x),
        };
        let own = json!({
            "chunk_size": self.chunk_size,
            "head_dim": self.head_dim,
            "n_groups": self.n_groups,
            "num_heads": self.num_heads,
            "rms_norm": true,
            "time_step_limit": self.time_step_limit.map(number),
        });
        self.keys.write(Self::MODEL_TYPE, own)
    }

    /// The mixer of each block.
    pub fn mixer(&self) -> Mamba2Mixer {
        let keys = &self.keys;
        Mamba2Mixer {
            hidden: keys.hidden_size,
            heads: self.num_heads,
            width: self.head_dim,
            groups: self.n_groups,
            states: keys.state_size,
            taps: keys.conv_kernel,
            bias: keys.use_bias,
            conv_bias: keys.use_conv_bias,
            eps: keys.layer_norm_epsilon,
            limit: self.time_step_limit,
            steps: [keys.time_step_min, keys.time_step_max, keys.time_step_floor],
            out_divisor: keys.out_divisor(),
        }
    }
}

/// `time_step_limit`: two numbers, the second of which may be infinite.
fn limit(fields: &Fields<'_>) -> Result<[f64; 2]> {
    let Some(value) = fields.get("time_step_limit") else { return Ok([0.0, f64::INFINITY]) };
    let list: Vec<Option<f64>> = value.as_array().into_iter().flatten().map(number).collect();
    match list[..] {
        [Some(low), Some(high)] if low >= 0.0 && low.is_finite() && high >= low => Ok([low, high]),
        _ => Err(fields.fault("time_step_limit", "two numbers from 0 up, the second not below the first")),
    }
}

impl Architecture for Mamba2Config {
    backbone_answers!();
}
