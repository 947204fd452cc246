//! The configuration: `Qwen3Config` of the `transformers` library.

use std::collections::BTreeMap;
use std::path::Path;

use axes::BlockFormat;
use serde_json::{Map, Value, json};

use crate::config::{MAX_WIDTH, Parsed};
use crate::decoder::config::{Keys, each_key};
use crate::decoder::{Activation, Decoder, Linears};
use crate::error::Result;
use crate::json::Fields;

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
    /// [`ModelError::Field`](crate::ModelError::Field) for a value of the wrong kind or size, for values that contradict one another, and for a
    /// key that changes the mathematics: biases, windows, scaled rotations, quantisation.
    pub fn from_json(path: &Path, value: &Value) -> Result<Parsed<Self>> {
        let fields = Fields::new(path, value)?;
        let (ours, mut warnings) = (Self::default(), vec![]);
        let keys = Keys::read(path, value, Self::MODEL_TYPE, READ, &ours.decoder(), 32_768, &mut warnings)?;
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
        let head_dim = fields.size("head_dim", ours.head_dim, MAX_WIDTH)?;
        let config = each_key!(keys, Self, head_dim, formats: BTreeMap::new(),);
        config.validate(path)?;
        Ok(Parsed { config, warnings })
    }

    /// Checks what no single field shows; call it on a configuration that was not read from a file.
    ///
    /// # Errors
    /// [`ModelError::Field`](crate::ModelError::Field) for sizes that are zero, do not divide, or make no model that fits a computer.
    pub fn validate(&self, path: &Path) -> Result<()> {
        let decoder = self.decoder();
        decoder.check_sizes(path, &[("head_dim", self.head_dim, MAX_WIDTH)])?;
        decoder.check_heads(path, "head_dim", self.head_dim.to_string())
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
            linear: Linears::Plain,
            tied: self.tie_word_embeddings,
            formats: &self.formats,
        }
    }

    /// The `config.json` that `transformers` writes for it.
    pub fn to_json(&self) -> Value {
        let own = json!({ "head_dim": self.head_dim, "hidden_act": "silu", "use_sliding_window": false });
        each_key!(self.clone(), Keys,).write(Self::MODEL_TYPE, own)
    }
}
