//! The configuration: `BitNetConfig` of the `transformers` library, and the keys of its `quantization_config`.
//!
//! # What the scale of a packed matrix means
//! The library has two classes of packed layers with one name for the scale, `weight_scale`. `BitLinear`
//! (`"linear_class": "bitlinear"`) *divides* by it, since it stores 1/mean|W|; `AutoBitLinear` (`"autobitlinear"`)
//! *multiplies*, since it stores mean|W|. [`ScaleMeaning`] says which, and nothing here guesses it from a value.

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

const ARCHITECTURE: &str = "BitNetForCausalLM";

/// Keys that [`BitNetConfig`] reads.
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
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "pad_token_id",
    "quantization_config",
    "rms_norm_eps",
    "tie_word_embeddings",
    "use_cache",
    "vocab_size",
];

/// What a layer does with the stored scale of its packed weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ScaleMeaning {
    /// `AutoBitLinear` stores mean|W| and multiplies.
    #[default]
    Multiply,
    /// `BitLinear` stores 1/mean|W| and divides.
    Divide,
}

/// How the ternary layers are stored, of `quantization_config`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Quantization {
    /// What `weight_scale` means.
    pub scale: ScaleMeaning,
    /// Packed trits and a scale (`offline`) instead of master weights that are quantised in every forward (`online`).
    pub packed: bool,
}

/// `BitNetConfig` of the published code.
#[derive(Debug, Clone, PartialEq)]
pub struct BitNetConfig {
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
    /// Heads of keys and values; each serves H / this many heads of queries.
    pub num_key_value_heads: usize,
    /// Nonlinearity of the gate.
    pub hidden_act: Activation,
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
    /// Padding, stored only.
    pub pad_token_id: Option<u32>,
    /// First token of a text.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text.
    pub eos_token_id: Vec<u32>,
    /// How the ternary layers are stored.
    pub quantization: Quantization,
    /// Matrices that lie in blocks of different scales, by their names in the state dict; they are no projections, but
    /// multiplied as the numbers that they are. Not a key of `config.json`: whoever has the weights knows.
    pub formats: BTreeMap<String, BlockFormat>,
    /// Every other key of the file, written back as it was.
    pub extra: Map<String, Value>,
}

impl Default for BitNetConfig {
    /// The published 2B4T model, but for `tie_word_embeddings`, which its file sets.
    fn default() -> Self {
        let mut extra = Map::new();
        extra.insert("architectures".into(), json!([ARCHITECTURE]));
        extra.insert("torch_dtype".into(), json!("float32"));
        Self {
            vocab_size: 128_256,
            hidden_size: 2560,
            intermediate_size: 6912,
            num_hidden_layers: 30,
            num_attention_heads: 20,
            num_key_value_heads: 5,
            hidden_act: Activation::Relu2,
            max_position_embeddings: 2048,
            initializer_range: 0.02,
            rms_norm_eps: 1e-5,
            rope_theta: 500_000.0,
            tie_word_embeddings: false,
            pad_token_id: None,
            bos_token_id: Some(128_000),
            eos_token_id: vec![128_001],
            quantization: Quantization::default(),
            formats: BTreeMap::new(),
            extra,
        }
    }
}

impl BitNetConfig {
    /// `model_type` of the published models.
    pub const MODEL_TYPE: &'static str = "bitnet";

    /// Reads a `config.json`; `path` is named in errors and warnings.
    ///
    /// # Errors
    /// [`ModelError::Field`] for a value of the wrong kind or size, for values that contradict one another, and for a
    /// key that changes the mathematics: biases, scaled rotations, other kinds of quantisation.
    ///
    /// # Examples
    /// ```
    /// use models::bitnet::{BitNetConfig, ScaleMeaning};
    /// let value = serde_json::json!({
    ///     "model_type": "bitnet",
    ///     "quantization_config": {
    ///         "quant_method": "bitnet", "linear_class": "bitlinear", "quantization_mode": "offline"
    ///     }
    /// });
    /// let config = BitNetConfig::from_json("config.json".as_ref(), &value)?.config;
    /// assert_eq!((config.head_dim(), config.quantization.scale), (128, ScaleMeaning::Divide));
    /// # Ok::<(), models::ModelError>(())
    /// ```
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
        for key in ["attention_bias", "mlp_bias"] {
            if fields.flag(key, false)? {
                return Err(fields.fault(key, "false: this architecture has no biases"));
            }
        }
        let ours = Self::default();
        let act = fields.text("hidden_act", ours.hidden_act.name())?;
        let hidden_act = Activation::NAMES.iter().find(|(_, name)| *name == act);
        let Some((hidden_act, _)) = hidden_act.copied() else {
            return Err(fields.fault("hidden_act", "\"relu2\" or \"silu\""));
        };
        let vocab_size = fields.size("vocab_size", ours.vocab_size, MAX_VOCAB)?;
        let heads = fields.size("num_attention_heads", ours.num_attention_heads, MAX_WIDTH)?;
        let config = Self {
            vocab_size,
            hidden_size: fields.size("hidden_size", ours.hidden_size, MAX_WIDTH)?,
            intermediate_size: fields.size("intermediate_size", ours.intermediate_size, MAX_INTERMEDIATE)?,
            num_hidden_layers: fields.size("num_hidden_layers", ours.num_hidden_layers, MAX_LAYERS)?,
            num_attention_heads: heads,
            // The library takes null for one of its own to each head.
            num_key_value_heads: match value.get("num_key_value_heads") {
                Some(Value::Null) => heads,
                _ => fields.size("num_key_value_heads", ours.num_key_value_heads, MAX_WIDTH)?,
            },
            hidden_act,
            max_position_embeddings: fields.size("max_position_embeddings", 2048, 1 << 32)?,
            initializer_range: fields.real("initializer_range", ours.initializer_range, 0.0, 1e3)?,
            rms_norm_eps: fields.real("rms_norm_eps", ours.rms_norm_eps, 0.0, 1.0)?,
            rope_theta: rope::theta(&fields, ours.rope_theta)?,
            tie_word_embeddings: fields.flag("tie_word_embeddings", ours.tie_word_embeddings)?,
            pad_token_id: one_token(&fields, "pad_token_id", &[], vocab_size)?,
            bos_token_id: one_token(&fields, "bos_token_id", &[], vocab_size)?,
            eos_token_id: fields.tokens("eos_token_id", &[], vocab_size)?,
            quantization: quantization(path, &fields)?,
            formats: BTreeMap::new(),
            extra,
        };
        if let Some(width) = fields.optional_size("head_dim", MAX_WIDTH)?
            && width != config.head_dim()
        {
            let expected = format!("hidden_size / num_attention_heads = {}", config.head_dim());
            return Err(fields.fault("head_dim", expected));
        }
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
        ] {
            if size == 0 || size > max {
                return fault(field, format!("a whole number from 1 to {max}"), size.to_string());
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let expected = format!("a divisor of hidden_size = {}", self.hidden_size);
            return fault("num_attention_heads", expected, self.num_attention_heads.to_string());
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let expected = format!("a divisor of num_attention_heads = {}", self.num_attention_heads);
            return fault("num_key_value_heads", expected, self.num_key_value_heads.to_string());
        }
        if !self.head_dim().is_multiple_of(2) {
            let expected = "heads of even width: the rotation turns pairs".to_owned();
            return fault("num_attention_heads", expected, format!("heads of width {}", self.head_dim()));
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

    /// Width of a head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads.max(1)
    }

    /// Width of all heads of keys, or of values.
    pub fn kv_dim(&self) -> usize {
        self.num_key_value_heads * self.head_dim()
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
            width: self.head_dim(),
            theta: self.rope_theta,
            eps: self.rms_norm_eps,
            activation: self.hidden_act,
            sub_norms: true,
            head_norms: false,
            ternary: true,
            tied: self.tie_word_embeddings,
            formats: &self.formats,
        }
    }

    /// Every parameter, in the order of the published state dict, as master weights.
    pub fn parameters(&self) -> Vec<Parameter> {
        let (d, kv, n) = (self.hidden_size, self.kv_dim(), self.intermediate_size);
        let mut list = Vec::new();
        let mut add =
            |name: String, shape: &[usize], init| list.push(Parameter { name, shape: shape.to_vec(), init });
        let (normal, one) = (Init::Normal(self.initializer_range), Init::Constant(1.0));
        add("model.embed_tokens.weight".into(), &[self.vocab_size, d], normal);
        for layer in 0..self.num_hidden_layers {
            let at = |name: &str| format!("model.layers.{layer}.{name}.weight");
            for (name, shape) in [
                ("self_attn.q_proj", [d, d]),
                ("self_attn.k_proj", [kv, d]),
                ("self_attn.v_proj", [kv, d]),
                ("self_attn.o_proj", [d, d]),
            ] {
                add(at(name), &shape, normal);
            }
            add(at("self_attn.attn_sub_norm"), &[d], one);
            for (name, shape) in
                [("mlp.gate_proj", [n, d]), ("mlp.up_proj", [n, d]), ("mlp.down_proj", [d, n])]
            {
                add(at(name), &shape, normal);
            }
            add(at("mlp.ffn_sub_norm"), &[n], one);
            add(at("input_layernorm"), &[d], one);
            add(at("post_attention_layernorm"), &[d], one);
        }
        add("model.norm.weight".into(), &[d], one);
        if !self.tie_word_embeddings {
            add("lm_head.weight".into(), &[self.vocab_size, d], normal);
        }
        list
    }

    /// Name and shape of every parameter.
    pub fn expected_tensors(&self) -> Vec<(String, Vec<usize>)> {
        self.parameters().into_iter().map(|parameter| (parameter.name, parameter.shape)).collect()
    }

    /// The ternary matrices with one scale: names in the state dict.
    pub fn projections(&self) -> Vec<String> {
        let names = [
            "self_attn.q_proj",
            "self_attn.k_proj",
            "self_attn.v_proj",
            "self_attn.o_proj",
            "mlp.gate_proj",
            "mlp.up_proj",
            "mlp.down_proj",
        ];
        (0..self.num_hidden_layers)
            .flat_map(|l| names.iter().map(move |name| format!("model.layers.{l}.{name}.weight")))
            .filter(|name| !self.formats.contains_key(name))
            .collect()
    }

    /// Rows and columns of a ternary matrix.
    pub fn shape_of(&self, name: &str) -> Option<[usize; 2]> {
        let (d, kv, n) = (self.hidden_size, self.kv_dim(), self.intermediate_size);
        let (_, part) = name.strip_suffix("_proj.weight")?.rsplit_once('.')?;
        match part {
            "q" | "o" => Some([d, d]),
            "k" | "v" => Some([kv, d]),
            "gate" | "up" => Some([n, d]),
            "down" => Some([d, n]),
            _ => None,
        }
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
            "hidden_act": self.hidden_act.name(),
            "hidden_size": self.hidden_size,
            "initializer_range": self.initializer_range,
            "intermediate_size": self.intermediate_size,
            "max_position_embeddings": self.max_position_embeddings,
            "model_type": Self::MODEL_TYPE,
            "num_attention_heads": self.num_attention_heads,
            "num_hidden_layers": self.num_hidden_layers,
            "num_key_value_heads": self.num_key_value_heads,
            "quantization_config": {
                "linear_class": match self.quantization.scale {
                    ScaleMeaning::Multiply => "autobitlinear",
                    ScaleMeaning::Divide => "bitlinear",
                },
                "modules_to_not_convert": null,
                "quant_method": "bitnet",
                "quantization_mode": if self.quantization.packed { "offline" } else { "online" },
            },
            "rms_norm_eps": self.rms_norm_eps,
            // Old readers look for the first, new ones for the second.
            "rope_theta": whole(self.rope_theta),
            "rope_parameters": { "rope_theta": self.rope_theta, "rope_type": "default" },
            "tie_word_embeddings": self.tie_word_embeddings,
            "use_cache": true,
            "vocab_size": self.vocab_size,
        });
        let mut set = |key: &str, content: Value| value[key] = content;
        for (key, content) in &self.extra {
            set(key, content.clone());
        }
        if let Some(pad) = self.pad_token_id {
            set("pad_token_id", json!(pad));
        }
        value.sort_all_objects();
        value
    }
}

/// Reads `quantization_config`. Without one the library's layers would be plain, and the model another.
fn quantization(path: &Path, fields: &Fields<'_>) -> Result<Quantization> {
    let Some(value) = fields.get("quantization_config") else {
        let expected = "an object with \"quant_method\": \"bitnet\"";
        let remedy =
            "add the quantization_config that was published with the weights: it says how they are quantised";
        return Err(ModelError::field(path, "quantization_config", expected, "nothing", remedy));
    };
    let inner = Fields::new(path, value).map_err(|_| fields.fault("quantization_config", "an object"))?;
    let fault = |field: &str, expected: &str| {
        let found = value.get(field).map_or("nothing".to_owned(), Value::to_string);
        let name = format!("quantization_config.{field}");
        let remedy = "use the configuration that was published with the weights";
        ModelError::field(path, &name, expected, found, remedy)
    };
    let word = |field: &str, default: &'static str, allowed: [&'static str; 2]| {
        let text = inner.text(field, default).unwrap_or("");
        let found = allowed.iter().position(|name| *name == text);
        found.ok_or_else(|| fault(field, &format!("\"{}\" or \"{}\"", allowed[0], allowed[1])))
    };
    if inner.text("quant_method", "")? != "bitnet" {
        return Err(fault("quant_method", "\"bitnet\""));
    }
    // The library's own defaults: the divisor's class, packed.
    let class = word("linear_class", "bitlinear", ["bitlinear", "autobitlinear"])?;
    let mode = word("quantization_mode", "offline", ["offline", "online"])?;
    if inner.flag("use_rms_norm", false)? {
        return Err(fault("use_rms_norm", "false: norms inside the linear layers are not supported"));
    }
    let plain = inner.get("modules_to_not_convert").and_then(Value::as_array);
    if plain.is_some_and(|list| list.iter().any(|name| name != "lm_head")) {
        return Err(fault("modules_to_not_convert", "null or [\"lm_head\"]"));
    }
    Ok(Quantization {
        scale: if class == 0 { ScaleMeaning::Divide } else { ScaleMeaning::Multiply },
        packed: mode == 0,
    })
}
