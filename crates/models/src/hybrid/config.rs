//! The configuration: keys of ours.

use std::fmt;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::mixers::{MIXERS, Shared, Sizes};
use crate::config::{MAX_INTERMEDIATE, MAX_LAYERS, MAX_VOCAB, MAX_WIDTH, Parsed, one_token};
use crate::error::{ModelError, Result};
use crate::frame::LinearKind;
use crate::json::Fields;
use crate::parameters::{Init, Parameter};
use crate::registry::Listed;
use crate::shell::{choice, others, tokens};

const READ: &[&str] = &[
    "blocks",
    "bos_token_id",
    "eos_token_id",
    "hidden_size",
    "intermediate_size",
    "linear",
    "mixers",
    "norm_eps",
    "num_heads",
    "vocab_size",
];

pub(crate) const EMBEDDING: &str = "model.embed_tokens.weight";
pub(crate) const HEAD: &str = "lm_head.weight";

/// Sizes, and the mixer of each block.
#[derive(Clone)]
pub struct HybridConfig {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream, D.
    pub hidden_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// The mixer of each, with its name.
    pub blocks: Vec<(String, Shared)>,
    /// Heads of mixers that have some.
    pub heads: usize,
    /// Width of the gated unit; nothing without one.
    pub intermediate_size: Option<usize>,
    /// eps of the norms.
    pub eps: f64,
    /// What projections are.
    pub linear: LinearKind,
    /// The mixers' own choices.
    pub mixers: Map<String, Value>,
    /// First token of a text.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text.
    pub eos_token_id: Vec<u32>,
    /// Every other key of the file, written back as it was.
    pub extra: Map<String, Value>,
}

impl fmt::Debug for HybridConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_json())
    }
}

impl HybridConfig {
    /// `model_type` in `config.json`.
    pub const MODEL_TYPE: &'static str = "fidelity_hybrid";

    /// Reads a `config.json`; `path` is named in errors and warnings.
    ///
    /// # Errors
    /// [`ModelError::Field`] for a value of the wrong kind or size, and for a mixer that there is none of that name.
    pub fn from_json(path: &Path, value: &Value) -> Result<Parsed<Self>> {
        let fields = Fields::new(path, value)?;
        let mut warnings = vec![];
        let extra = others(path, value, Self::MODEL_TYPE, READ, &mut warnings)?;
        let vocab_size = fields.size("vocab_size", 256, MAX_VOCAB)?;
        let hidden_size = fields.size("hidden_size", 256, MAX_WIDTH)?;
        let heads = fields.size("num_heads", 4, MAX_WIDTH)?;
        if !hidden_size.is_multiple_of(2 * heads) {
            let expected = format!("heads of even width: 2 times it divides hidden_size = {hidden_size}");
            return Err(ModelError::field(
                path,
                "num_heads",
                expected,
                heads.to_string(),
                "correct one of the two values",
            ));
        }
        let eps = fields.real("norm_eps", 1e-6, 0.0, 1.0)?;
        let mixers = match fields.get("mixers") {
            None => Map::new(),
            Some(Value::Object(map)) => map.clone(),
            Some(_) => return Err(fields.fault("mixers", "an object with a mixer's choices under its name")),
        };
        let named =
            || MIXERS.iter().map(|entry| format!("\"{}\"", entry.name)).collect::<Vec<_>>().join(", ");
        if let Some(name) = mixers.keys().find(|name| !MIXERS.iter().any(|entry| entry.name == *name)) {
            let remedy = "correct the name";
            return Err(ModelError::field(
                path,
                "mixers",
                format!("names of {}", named()),
                name.clone(),
                remedy,
            ));
        }
        let list = fields.get("blocks").and_then(Value::as_array).filter(|list| !list.is_empty());
        let list = list.filter(|list| list.len() <= MAX_LAYERS);
        let Some(list) = list else {
            return Err(fields.fault("blocks", format!("a list of 1 to {MAX_LAYERS} names of {}", named())));
        };
        let sizes = Sizes { hidden: hidden_size, heads, eps };
        let none = json!({});
        let make = |name: &Value| {
            let found = name.as_str().and_then(|name| MIXERS.iter().find(|entry| entry.name == name));
            let Some(entry) = found else {
                let expected = format!("names of {}", named());
                let remedy = "correct the name, or use a version that has this mixer";
                return Err(ModelError::field(path, "blocks", expected, name.to_string(), remedy));
            };
            let own = Fields::new(path, mixers.get(entry.name).unwrap_or(&none))?;
            Ok((entry.name.to_owned(), (entry.make)(sizes, &own)?))
        };
        let config = Self {
            vocab_size,
            hidden_size,
            num_hidden_layers: list.len(),
            blocks: list.iter().map(make).collect::<Result<_>>()?,
            heads,
            intermediate_size: fields.optional_size("intermediate_size", MAX_INTERMEDIATE)?,
            eps,
            linear: choice(&fields, "linear", &LinearKind::NAMES)?,
            mixers,
            bos_token_id: one_token(&fields, "bos_token_id", &[], vocab_size)?,
            eos_token_id: fields.tokens("eos_token_id", &[], vocab_size)?,
            extra,
        };
        if config.count().is_none_or(|count| count > 1 << 40) {
            let found = format!("hidden_size {hidden_size}, {} blocks", config.num_hidden_layers);
            let expected = "a model of at most 2^40 parameters";
            return Err(ModelError::field(path, "hidden_size", expected, found, "correct the sizes"));
        }
        Ok(Parsed { config, warnings })
    }

    /// The reader of the table of architectures.
    ///
    /// # Errors
    /// Those of [`HybridConfig::from_json`].
    pub fn listed(path: &Path, value: &Value) -> Result<Parsed<Listed>> {
        Ok(Self::from_json(path, value)?.map(Listed::new))
    }

    /// The `config.json`.
    pub fn to_json(&self) -> Value {
        let mut value = json!({
            "model_type": Self::MODEL_TYPE,
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "blocks": self.blocks.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "num_heads": self.heads,
            "intermediate_size": self.intermediate_size,
            "norm_eps": self.eps,
            "linear": self.linear.name(),
            "mixers": self.mixers,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": tokens(&self.eos_token_id),
        });
        self.extra.iter().for_each(|(key, content)| value[key] = content.clone());
        value.sort_all_objects();
        value
    }

    /// Every parameter.
    pub fn list(&self) -> Vec<Parameter> {
        let d = self.hidden_size;
        let mut list = vec![];
        let add = |list: &mut Vec<Parameter>, name: String, shape: &[usize], init| {
            list.push(Parameter { name, shape: shape.to_vec(), init });
        };
        let (normal, one) = (Init::Normal(0.02), Init::Constant(1.0));
        add(&mut list, EMBEDDING.into(), &[self.vocab_size, d], normal);
        for (layer, (_, mixer)) in self.blocks.iter().enumerate() {
            let at = |name: &str| format!("model.layers.{layer}.{name}");
            add(&mut list, at("norm.weight"), &[d], one);
            mixer.parameters(&at("mixer"), self.linear, &mut list);
            if let Some(n) = self.intermediate_size {
                add(&mut list, at("mlp_norm.weight"), &[d], one);
                self.linear.parameters(&mut list, &at("mlp.gate_proj"), [n, d], normal, None);
                self.linear.parameters(&mut list, &at("mlp.up_proj"), [n, d], normal, None);
                self.linear.parameters(&mut list, &at("mlp.down_proj"), [d, n], normal, None);
            }
        }
        add(&mut list, "model.norm.weight".into(), &[d], one);
        add(&mut list, HEAD.into(), &[self.vocab_size, d], normal);
        list
    }

    /// Number of parameters; nothing if it does not fit 64 bits.
    pub fn count(&self) -> Option<u64> {
        self.list().iter().try_fold(0_u64, |sum, parameter| {
            let size = parameter.shape.iter().try_fold(1_u64, |size, n| size.checked_mul(*n as u64))?;
            sum.checked_add(size)
        })
    }
}
