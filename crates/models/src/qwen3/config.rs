//! The configuration: `Qwen3Config` of the `transformers` library.

use std::collections::BTreeMap;
use std::path::Path;

use axes::BlockFormat;
use serde_json::{Map, Value, json};

use crate::config::{HOUSEKEEPING, MAX_INTERMEDIATE, MAX_LAYERS, MAX_VOCAB, MAX_WIDTH, Parsed, whole};
use crate::config::{changes_mathematics, one_token};
use crate::decoder::{Activation, Decoder};
use crate::error::{ModelError, Result};
use crate::json::Fields;
use crate::parameters::{Init, Parameter, count};
use crate::rope;

const ARCHITECTURE: &str = "Qwen3ForCausalLM";

/// Keys that [`Qwen3Config`] reads, or that say nothing where windows are off.
const READ: &[&str] = &[
    "attention_bias",
    "attention_dropout",
    "bos_token_id",
    "eos_token_id",
    "head_dim",
    "hidden_act",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "layer_types",
    "max_position_embeddings",
    "max_window_layers",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "pad_token_id",
    "rms_norm_eps",
    "sliding_window",
    "tie_word_embeddings",
    "use_cache",
    "use_sliding_window",
    "vocab_size",
];

/// `Qwen3Config` of the published code.
#[derive(Debug, Clone, PartialEq)]
pub struct Qwen3Config {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream, d.
    pub hidden_size: usize,
    /// Width of the gated unit, n.
    pub intermediate_size: usize,
    /// Blocks, L.
    pub num_hidden_layers: usize,
    /// Heads of queries, H.
    pub num_attention_heads: usize,
    /// Heads of keys and values.
    pub num_key_value_heads: usize,
    /// Width of a head; H times it need not be d.
    pub head_dim: usize,
    /// The longest text that it was trained for; nothing here depends on it.
    pub max_position_embeddings: usize,
    /// Standard deviation of the initial weights.
    pub initializer_range: f64,
    /// eps of all norms.
    pub rms_norm_eps: f64,
    /// Base of the rotation's frequencies.
    pub rope_theta: f64,
    /// The head uses the embedding's weight.
    pub tie_word_embeddings: bool,
    /// First token of a text.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text.
    pub eos_token_id: Vec<u32>,
    /// Matrices that lie in blocks, by their names in the state dict: u8 (rows, bytes of a row) under that name. All others
    /// are floats. Not a key of `config.json`: whoever has the weights knows.
    pub formats: BTreeMap<String, BlockFormat>,
    /// Every other key of the file, written back as it was.
    pub extra: Map<String, Value>,
}

impl Default for Qwen3Config {
    /// The library's defaults.
    fn default() -> Self {
        let mut extra = Map::new();
        extra.insert("architectures".into(), json!([ARCHITECTURE]));
        extra.insert("torch_dtype".into(), json!("float32"));
        Self {
            vocab_size: 151_936,
            hidden_size: 4096,
            intermediate_size: 22_016,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: 32,
            head_dim: 128,
            max_position_embeddings: 32_768,
            initializer_range: 0.02,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            tie_word_embeddings: false,
            bos_token_id: None,
            eos_token_id: vec![],
            formats: BTreeMap::new(),
            extra,
        }
    }
}

impl Qwen3Config {
    /// `model_type` of the published models.
    pub const MODEL_TYPE: &'static str = "qwen3";

    /// Reads a `config.json`; `path` is named in errors and warnings.
    ///
    /// # Errors
    /// [`ModelError::Field`] for a value of the wrong kind or size, for values that contradict one another, and for a
    /// key that changes the mathematics: biases, windows, scaled rotations, quantisation.
    pub fn from_json(path: &Path, value: &Value) -> Result<Parsed<Self>> {
        let fields = Fields::new(path, value)?;
        let mut warnings = Vec::new();
        let mut extra = Map::new();
        for (key, content) in fields.iter() {
            if READ.contains(&key.as_str()) || rope::is_read(key, content) || key == "model_type" {
                continue;
            }
            if changes_mathematics(key, content) {
                return Err(fields.fault(key, "nothing here, since this architecture does not have it"));
            }
            if !HOUSEKEEPING.contains(&key.as_str()) {
                let kind = Self::MODEL_TYPE;
                warnings.push(format!("{}: `{key}` is not a key of {kind} and is ignored", path.display()));
            }
            extra.insert(key.clone(), content.clone());
        }
        for key in ["attention_bias", "use_sliding_window"] {
            if fields.flag(key, false)? {
                return Err(fields.fault(key, "false"));
            }
        }
        let kinds = fields.get("layer_types").and_then(Value::as_array);
        if kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind != "full_attention")) {
            return Err(fields.fault("layer_types", "\"full_attention\" in every layer"));
        }
        if fields.text("hidden_act", "silu")? != "silu" {
            return Err(fields.fault("hidden_act", "\"silu\""));
        }
        let ours = Self::default();
        let vocab_size = fields.size("vocab_size", ours.vocab_size, MAX_VOCAB)?;
        let heads = fields.size("num_attention_heads", ours.num_attention_heads, MAX_WIDTH)?;
        let config = Self {
            vocab_size,
            hidden_size: fields.size("hidden_size", ours.hidden_size, MAX_WIDTH)?,
            intermediate_size: fields.size("intermediate_size", ours.intermediate_size, MAX_INTERMEDIATE)?,
            num_hidden_layers: fields.size("num_hidden_layers", ours.num_hidden_layers, MAX_LAYERS)?,
            num_attention_heads: heads,
            num_key_value_heads: match value.get("num_key_value_heads") {
                Some(Value::Null) => heads,
                _ => fields.size("num_key_value_heads", ours.num_key_value_heads, MAX_WIDTH)?,
            },
            head_dim: fields.size("head_dim", ours.head_dim, MAX_WIDTH)?,
            max_position_embeddings: fields.size("max_position_embeddings", 32_768, 1 << 32)?,
            initializer_range: fields.real("initializer_range", ours.initializer_range, 0.0, 1e3)?,
            rms_norm_eps: fields.real("rms_norm_eps", ours.rms_norm_eps, 0.0, 1.0)?,
            rope_theta: rope::theta(&fields, ours.rope_theta)?,
            tie_word_embeddings: fields.flag("tie_word_embeddings", ours.tie_word_embeddings)?,
            bos_token_id: one_token(&fields, "bos_token_id", &[], vocab_size)?,
            eos_token_id: fields.tokens("eos_token_id", &[], vocab_size)?,
            formats: BTreeMap::new(),
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
        for (field, size, max) in [
            ("vocab_size", self.vocab_size, MAX_VOCAB),
            ("hidden_size", self.hidden_size, MAX_WIDTH),
            ("intermediate_size", self.intermediate_size, MAX_INTERMEDIATE),
            ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
            ("num_attention_heads", self.num_attention_heads, MAX_WIDTH),
            ("num_key_value_heads", self.num_key_value_heads, MAX_WIDTH),
            ("head_dim", self.head_dim, MAX_WIDTH),
        ] {
            if size == 0 || size > max {
                return fault(field, format!("a whole number from 1 to {max}"), size.to_string());
            }
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let expected = format!("a divisor of num_attention_heads = {}", self.num_attention_heads);
            return fault("num_key_value_heads", expected, self.num_key_value_heads.to_string());
        }
        if !self.head_dim.is_multiple_of(2) {
            let expected = "an even width: the rotation turns pairs".to_owned();
            return fault("head_dim", expected, self.head_dim.to_string());
        }
        let wide = self.num_attention_heads.checked_mul(self.head_dim).is_none_or(|width| width > MAX_WIDTH);
        if wide || self.parameter_count().is_none_or(|count| count > 1 << 40) {
            let found = format!(
                "vocab_size {}, hidden_size {}, num_hidden_layers {}, head_dim {}",
                self.vocab_size, self.hidden_size, self.num_hidden_layers, self.head_dim
            );
            return fault("hidden_size", "a model of at most 2^40 parameters".into(), found);
        }
        Ok(())
    }

    /// What it has of the parts that decoders share.
    pub fn decoder(&self) -> Decoder<'_> {
        Decoder {
            vocab: self.vocab_size,
            hidden: self.hidden_size,
            intermediate: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            groups: self.num_key_value_heads,
            width: self.head_dim,
            theta: self.rope_theta,
            eps: self.rms_norm_eps,
            activation: Activation::Silu,
            sub_norms: false,
            head_norms: true,
            ternary: false,
            tied: self.tie_word_embeddings,
            formats: &self.formats,
        }
    }

    /// Every parameter, in the order of the published state dict.
    pub fn parameters(&self) -> Vec<Parameter> {
        let (d, n) = (self.hidden_size, self.intermediate_size);
        let (queries, keys) =
            (self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim);
        let mut list = Vec::new();
        let mut add =
            |name: String, shape: &[usize], init| list.push(Parameter { name, shape: shape.to_vec(), init });
        let (normal, one) = (Init::Normal(self.initializer_range), Init::Constant(1.0));
        add(super::EMBEDDING.into(), &[self.vocab_size, d], normal);
        for layer in 0..self.num_hidden_layers {
            let at = |name: &str| format!("model.layers.{layer}.{name}.weight");
            add(at("self_attn.q_proj"), &[queries, d], normal);
            add(at("self_attn.k_proj"), &[keys, d], normal);
            add(at("self_attn.v_proj"), &[keys, d], normal);
            add(at("self_attn.o_proj"), &[d, queries], normal);
            add(at("self_attn.q_norm"), &[self.head_dim], one);
            add(at("self_attn.k_norm"), &[self.head_dim], one);
            add(at("mlp.gate_proj"), &[n, d], normal);
            add(at("mlp.up_proj"), &[n, d], normal);
            add(at("mlp.down_proj"), &[d, n], normal);
            add(at("input_layernorm"), &[d], one);
            add(at("post_attention_layernorm"), &[d], one);
        }
        add("model.norm.weight".into(), &[d], one);
        if !self.tie_word_embeddings {
            add("lm_head.weight".into(), &[self.vocab_size, d], normal);
        }
        list
    }

    /// Number of parameters; nothing if it does not fit 64 bits.
    pub fn parameter_count(&self) -> Option<u64> {
        count(self.num_hidden_layers, |layers| {
            Self { num_hidden_layers: layers, ..self.clone() }.parameters()
        })
    }

    /// The `config.json` that `transformers` writes for it.
    pub fn to_json(&self) -> Value {
        let tokens = match self.eos_token_id.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            many => json!(many),
        };
        let mut value = json!({
            "attention_bias": false,
            "attention_dropout": 0.0,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": tokens,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "hidden_size": self.hidden_size,
            "initializer_range": self.initializer_range,
            "intermediate_size": self.intermediate_size,
            "max_position_embeddings": self.max_position_embeddings,
            "model_type": Self::MODEL_TYPE,
            "num_attention_heads": self.num_attention_heads,
            "num_hidden_layers": self.num_hidden_layers,
            "num_key_value_heads": self.num_key_value_heads,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": whole(self.rope_theta),
            "rope_parameters": { "rope_theta": self.rope_theta, "rope_type": "default" },
            "tie_word_embeddings": self.tie_word_embeddings,
            "use_cache": true,
            "use_sliding_window": false,
            "vocab_size": self.vocab_size,
        });
        for (key, content) in &self.extra {
            value[key] = content.clone();
        }
        value.sort_all_objects();
        value
    }
}
