//! The configuration: `xLSTMConfig` of the `transformers` library.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::config::{
    HOUSEKEEPING, MAX_LAYERS, MAX_RATIO, MAX_VOCAB, MAX_WIDTH, Parsed, changes_mathematics, choice, one_token,
};
use crate::decoder::config::fault;
use crate::error::Result;
use crate::frame::LinearKind;
use crate::json::Fields;

/// Keys that [`XlstmConfig`] reads.
const READ: &[&str] = &[
    "bos_token_id",
    "embedding_dim",
    "eos_token_id",
    "eps",
    "ffn_proj_factor",
    "ffn_round_up_to_multiple_of",
    "gate_soft_cap",
    "hidden_size",
    "linear",
    "norm_eps",
    "num_blocks",
    "num_heads",
    "num_hidden_layers",
    "output_logit_soft_cap",
    "pad_token_id",
    "qk_dim_factor",
    "tie_word_embeddings",
    "use_bias",
    "v_dim_factor",
    "vocab_size",
    "weight_mode",
];

/// Keys that choose how the library computes, or what it computes in, and nothing else.
const HOW: &[&str] = &[
    "add_out_norm",
    "autocast_kernel_dtype",
    "chunk_size",
    "chunkwise_kernel",
    "inference_state_dtype",
    "max_inference_chunksize",
    "mode",
    "norm_reduction_force_float32",
    "return_last_states",
    "sequence_kernel",
    "step_kernel",
    "use_cache",
];

/// Whether matrices that read one input are one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WeightMode {
    /// Each is apart.
    #[default]
    Single,
    /// They lie one under the other.
    Fused,
}

impl WeightMode {
    const NAMES: [(Self, &'static str); 2] = [(Self::Single, "single"), (Self::Fused, "fused")];

    /// The name in `config.json`.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }
}

/// `xLSTMConfig` of the published code.
#[derive(Debug, Clone, PartialEq)]
pub struct XlstmConfig {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream, d.
    pub hidden_size: usize,
    /// Blocks, L.
    pub num_hidden_layers: usize,
    /// Heads, H.
    pub num_heads: usize,
    /// Projections and norms, but for the last norm and the head, have biases.
    pub use_bias: bool,
    /// eps of all norms.
    pub norm_eps: f64,
    /// Width of queries and keys over d.
    pub qk_dim_factor: f64,
    /// Width of values over d.
    pub v_dim_factor: f64,
    /// eps of the memory's normaliser.
    pub eps: f64,
    /// Width of the gated unit over d, before it is rounded up.
    pub ffn_proj_factor: f64,
    /// What the width of the gated unit is a multiple of.
    pub ffn_round_up_to_multiple_of: usize,
    /// Where the arguments of the gates end, softly.
    pub gate_soft_cap: f64,
    /// Where logits end, softly.
    pub output_logit_soft_cap: f64,
    /// Whether matrices that read one input are one.
    pub weight_mode: WeightMode,
    /// What projections are; a key of ours.
    pub linear: LinearKind,
    /// The head uses the embedding's weight.
    pub tie_word_embeddings: bool,
    /// Padding, stored only.
    pub pad_token_id: Option<u32>,
    /// First token of a text.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text.
    pub eos_token_id: Vec<u32>,
    /// Every other key of the file, written back as it was.
    pub extra: Map<String, Value>,
}

impl Default for XlstmConfig {
    /// The published 7B model.
    fn default() -> Self {
        let mut extra = Map::new();
        extra.insert("architectures".into(), json!(["xLSTMForCausalLM"]));
        Self {
            vocab_size: 50_304,
            hidden_size: 4096,
            num_hidden_layers: 32,
            num_heads: 8,
            use_bias: false,
            norm_eps: 1e-6,
            qk_dim_factor: 0.5,
            v_dim_factor: 1.0,
            eps: 1e-6,
            ffn_proj_factor: 2.667,
            ffn_round_up_to_multiple_of: 64,
            gate_soft_cap: 15.0,
            output_logit_soft_cap: 30.0,
            weight_mode: WeightMode::Single,
            linear: LinearKind::Full,
            tie_word_embeddings: false,
            pad_token_id: Some(1),
            bos_token_id: Some(0),
            eos_token_id: vec![2],
            extra,
        }
    }
}

impl XlstmConfig {
    /// `model_type` of the published models.
    pub const MODEL_TYPE: &'static str = "xlstm";

    /// Reads a `config.json`; `path` is named in errors and warnings.
    ///
    /// # Errors
    /// [`crate::ModelError::Field`] for a value of the wrong kind or size, for values that contradict one another, and for a
    /// key that changes the mathematics.
    ///
    /// ```
    /// use models::xlstm::XlstmConfig;
    /// let value = serde_json::json!({"model_type": "xlstm", "hidden_size": 4096});
    /// let config = XlstmConfig::from_json("config.json".as_ref(), &value)?.config;
    /// assert_eq!((config.qk_dim(), config.v_dim(), config.ffn_dim()), (2048, 4096, 10_944));
    /// # Ok::<(), models::ModelError>(())
    /// ```
    pub fn from_json(path: &Path, value: &Value) -> Result<Parsed<Self>> {
        let fields = Fields::new(path, value)?;
        let (ours, mut warnings, mut extra) = (Self::default(), vec![], Map::new());
        for (key, content) in fields.iter() {
            if READ.contains(&key.as_str()) || key == "model_type" {
                continue;
            }
            if changes_mathematics(key, content) {
                return Err(fields.fault(key, "nothing here, since this architecture does not have it"));
            }
            if !HOUSEKEEPING.contains(&key.as_str()) && !HOW.contains(&key.as_str()) {
                let kind = Self::MODEL_TYPE;
                warnings.push(format!("{}: `{key}` is not a key of {kind} and is ignored", path.display()));
            }
            extra.insert(key.clone(), content.clone());
        }
        // The library has two names for each of these, and takes the second where the first is absent or null.
        let either = |first: &str, second: &str, default: usize, max: usize| {
            let found = [first, second].map(|key| fields.optional_size(key, max));
            let [a, b] = found;
            match (a?, b?) {
                (Some(a), Some(b)) if a != b => Err(fields.fault(second, format!("{first} = {a}"))),
                (a, b) => Ok(a.or(b).unwrap_or(default)),
            }
        };
        let vocab_size = fields.size("vocab_size", ours.vocab_size, MAX_VOCAB)?;
        let config = Self {
            vocab_size,
            hidden_size: either("hidden_size", "embedding_dim", ours.hidden_size, MAX_WIDTH)?,
            num_hidden_layers: either("num_hidden_layers", "num_blocks", ours.num_hidden_layers, MAX_LAYERS)?,
            num_heads: fields.size("num_heads", ours.num_heads, MAX_WIDTH)?,
            use_bias: fields.flag("use_bias", ours.use_bias)?,
            norm_eps: fields.real("norm_eps", ours.norm_eps, 0.0, 1.0)?,
            qk_dim_factor: fields.real("qk_dim_factor", ours.qk_dim_factor, 0.0, MAX_RATIO)?,
            v_dim_factor: fields.real("v_dim_factor", ours.v_dim_factor, 0.0, MAX_RATIO)?,
            eps: fields.real("eps", ours.eps, 0.0, 1.0)?,
            ffn_proj_factor: fields.real("ffn_proj_factor", ours.ffn_proj_factor, 0.0, MAX_RATIO)?,
            ffn_round_up_to_multiple_of: fields.size("ffn_round_up_to_multiple_of", 64, MAX_WIDTH)?,
            gate_soft_cap: fields.real("gate_soft_cap", ours.gate_soft_cap, 0.0, 1e6)?,
            output_logit_soft_cap: fields.real(
                "output_logit_soft_cap",
                ours.output_logit_soft_cap,
                0.0,
                1e6,
            )?,
            weight_mode: choice(&fields, "weight_mode", &WeightMode::NAMES)?,
            linear: choice(&fields, "linear", &LinearKind::NAMES)?,
            tie_word_embeddings: fields.flag("tie_word_embeddings", ours.tie_word_embeddings)?,
            pad_token_id: one_token(&fields, "pad_token_id", &[1], vocab_size)?,
            bos_token_id: one_token(&fields, "bos_token_id", &[0], vocab_size)?,
            eos_token_id: fields.tokens("eos_token_id", &ours.eos_token_id, vocab_size)?,
            extra,
        };
        config.validate(path)?;
        Ok(Parsed { config, warnings })
    }

    /// Checks what no single field shows; call it on a configuration that was not read from a file.
    ///
    /// # Errors
    /// [`crate::ModelError::Field`] for sizes that are zero, do not divide, or make no model that fits a computer.
    pub fn validate(&self, path: &Path) -> Result<()> {
        for (field, size, max) in [
            ("vocab_size", self.vocab_size, MAX_VOCAB),
            ("hidden_size", self.hidden_size, MAX_WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
            ("num_heads", self.num_heads, MAX_WIDTH),
            ("ffn_round_up_to_multiple_of", self.ffn_round_up_to_multiple_of, MAX_WIDTH),
        ] {
            if size == 0 || size > max {
                return Err(fault(path, field, format!("a whole number from 1 to {max}"), size.to_string()));
            }
        }
        for (field, factor, size) in [
            ("qk_dim_factor", self.qk_dim_factor, self.qk_dim()),
            ("v_dim_factor", self.v_dim_factor, self.v_dim()),
        ] {
            if size == 0 || size > MAX_WIDTH || !size.is_multiple_of(self.num_heads) {
                let expected = format!("a width that num_heads = {} divides", self.num_heads);
                let found = format!("{factor}: {size} of hidden_size = {}", self.hidden_size);
                return Err(fault(path, field, expected, found));
            }
        }
        if self.ffn_dim() == 0 || self.ffn_dim() > crate::config::MAX_INTERMEDIATE {
            let expected = format!("a width from 1 to {}", crate::config::MAX_INTERMEDIATE);
            return Err(fault(path, "ffn_proj_factor", expected, self.ffn_dim().to_string()));
        }
        if self.count().is_none_or(|count| count > 1 << 40) {
            let found = format!(
                "vocab_size {}, hidden_size {}, num_hidden_layers {}",
                self.vocab_size, self.hidden_size, self.num_hidden_layers
            );
            return Err(fault(path, "hidden_size", "a model of at most 2^40 parameters".into(), found));
        }
        Ok(())
    }

    /// Width of all heads of queries, or of keys.
    pub fn qk_dim(&self) -> usize {
        (self.hidden_size as f64 * self.qk_dim_factor) as usize
    }

    /// Width of all heads of values.
    pub fn v_dim(&self) -> usize {
        (self.hidden_size as f64 * self.v_dim_factor) as usize
    }

    /// Width of the gated unit.
    pub fn ffn_dim(&self) -> usize {
        let multiple = self.ffn_round_up_to_multiple_of as f64;
        (((self.hidden_size as f64 * self.ffn_proj_factor + multiple - 1.0) / multiple).floor() * multiple)
            as usize
    }

    /// The `config.json` that `transformers` writes for it.
    pub fn to_json(&self) -> Value {
        let tokens = match self.eos_token_id.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            many => json!(many),
        };
        let mut value = json!({
            "bos_token_id": self.bos_token_id,
            "embedding_dim": self.hidden_size,
            "eos_token_id": tokens,
            "eps": self.eps,
            "ffn_proj_factor": self.ffn_proj_factor,
            "ffn_round_up_to_multiple_of": self.ffn_round_up_to_multiple_of,
            "gate_soft_cap": self.gate_soft_cap,
            "hidden_size": self.hidden_size,
            "model_type": Self::MODEL_TYPE,
            "norm_eps": self.norm_eps,
            "num_blocks": self.num_hidden_layers,
            "num_heads": self.num_heads,
            "num_hidden_layers": self.num_hidden_layers,
            "output_logit_soft_cap": self.output_logit_soft_cap,
            "pad_token_id": self.pad_token_id,
            "qk_dim_factor": self.qk_dim_factor,
            "tie_word_embeddings": self.tie_word_embeddings,
            "use_bias": self.use_bias,
            "v_dim_factor": self.v_dim_factor,
            "vocab_size": self.vocab_size,
            "weight_mode": self.weight_mode.name(),
        });
        if self.linear != LinearKind::Full {
            value["linear"] = json!(self.linear.name());
        }
        for (key, content) in &self.extra {
            value[key] = content.clone();
        }
        value.sort_all_objects();
        value
    }

    /// The memory of every block.
    pub fn mixer(&self) -> super::Mlstm {
        super::Mlstm {
            hidden: self.hidden_size,
            heads: self.num_heads,
            keys: self.qk_dim(),
            values: self.v_dim(),
            bias: self.use_bias,
            mode: self.weight_mode,
            cap: self.gate_soft_cap,
            eps: self.eps,
            norm_eps: self.norm_eps,
            layers: self.num_hidden_layers,
        }
    }

    pub(super) fn count(&self) -> Option<u64> {
        let of = |layers| Self { num_hidden_layers: layers, ..self.clone() };
        crate::parameters::count(self.num_hidden_layers, |layers| {
            super::architecture::parameters(&of(layers))
        })
    }
}
