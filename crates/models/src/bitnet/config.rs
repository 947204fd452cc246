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

use crate::config::{MAX_WIDTH, Parsed, one_token};
use crate::decoder::config::{Keys, each_key, fault};
use crate::decoder::{Activation, Decoder, Linears};
use crate::error::{ModelError, Result};
use crate::json::Fields;

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
        let (ours, mut warnings) = (Self::default(), vec![]);
        let keys = Keys::read(path, value, Self::MODEL_TYPE, READ, &ours.decoder(), 2048, &mut warnings)?;
        for key in ["attention_bias", "mlp_bias"] {
            if fields.flag(key, false)? {
                return Err(fields.fault(key, "false: this architecture has no biases"));
            }
        }
        let act = fields.text("hidden_act", ours.hidden_act.name())?;
        let hidden_act = Activation::NAMES.iter().find(|(_, name)| *name == act);
        let Some((hidden_act, _)) = hidden_act.copied() else {
            return Err(fields.fault("hidden_act", "\"relu2\" or \"silu\""));
        };
        let pad_token_id = one_token(&fields, "pad_token_id", &[], keys.vocab_size)?;
        let quantization = quantization(path, &fields)?;
        let config = each_key!(keys, Self, hidden_act, pad_token_id, quantization, formats: BTreeMap::new(),);
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
        let decoder = self.decoder();
        decoder.check_sizes(path, &[])?;
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let expected = format!("a divisor of hidden_size = {}", self.hidden_size);
            return Err(fault(path, "num_attention_heads", expected, self.num_attention_heads.to_string()));
        }
        decoder.check_heads(path, "num_attention_heads", format!("heads of width {}", self.head_dim()))
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
            linear: Linears::Ternary,
            tied: self.tie_word_embeddings,
            formats: &self.formats,
        }
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

    /// The `config.json` that `transformers` writes for it.
    pub fn to_json(&self) -> Value {
        let mut own = json!({
            "hidden_act": self.hidden_act.name(),
            "quantization_config": {
                "linear_class": match self.quantization.scale {
                    ScaleMeaning::Multiply => "autobitlinear",
                    ScaleMeaning::Divide => "bitlinear",
                },
                "modules_to_not_convert": null,
                "quant_method": "bitnet",
                "quantization_mode": if self.quantization.packed { "offline" } else { "online" },
            },
        });
        if let Some(pad) = self.pad_token_id {
            own["pad_token_id"] = json!(pad);
        }
        each_key!(self.clone(), Keys,).write(Self::MODEL_TYPE, own)
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
