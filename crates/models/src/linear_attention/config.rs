//! The configuration: sizes of a `TransformerEncoder` of the published library, with our embedding and head around it.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::config::{MAX_INTERMEDIATE, MAX_LAYERS, MAX_VOCAB, MAX_WIDTH, Parsed, one_token};
use crate::error::{ModelError, Result};
use crate::frame::LinearKind;
use crate::json::Fields;
use crate::parameters::{Init, Parameter, count};
use crate::registry::Listed;
use crate::shell::{choice, others, tokens};

const READ: &[&str] = &[
    "activation",
    "bos_token_id",
    "causal",
    "d_ff",
    "d_model",
    "eos_token_id",
    "eps",
    "linear",
    "max_pos",
    "n_heads",
    "n_layers",
    "vocab_size",
];

/// Nonlinearity between the two layers of a block's feed-forward part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x Φ(x).
    Gelu,
    /// max(x, 0), the library's default.
    Relu,
}

const ACTIVATIONS: [(Activation, &str); 2] = [(Activation::Relu, "relu"), (Activation::Gelu, "gelu")];

/// Sizes and choices.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearAttentionConfig {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream, D.
    pub hidden_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Heads, H; each is D / H wide.
    pub heads: usize,
    /// Width of the feed-forward part.
    pub intermediate_size: usize,
    /// Its nonlinearity.
    pub activation: Activation,
    /// Added to the normaliser.
    pub eps: f64,
    /// Learned positions.
    pub places: usize,
    /// Whether a position sees none after it.
    pub causal: bool,
    /// What projections are.
    pub linear: LinearKind,
    /// First token of a text.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text.
    pub eos_token_id: Vec<u32>,
    /// Every other key of the file, written back as it was.
    pub extra: Map<String, Value>,
}

impl LinearAttentionConfig {
    /// `model_type` in `config.json`.
    pub const MODEL_TYPE: &'static str = "linear_attention";

    /// Reads a `config.json`; `path` is named in errors and warnings.
    ///
    /// # Errors
    /// [`ModelError::Field`] for a value of the wrong kind or size, and for sizes that contradict one another.
    pub fn from_json(path: &Path, value: &Value) -> Result<Parsed<Self>> {
        let fields = Fields::new(path, value)?;
        let mut warnings = vec![];
        let extra = others(path, value, Self::MODEL_TYPE, READ, &mut warnings)?;
        let vocab_size = fields.size("vocab_size", 256, MAX_VOCAB)?;
        let hidden_size = fields.size("d_model", 256, MAX_WIDTH)?;
        let config = Self {
            vocab_size,
            hidden_size,
            num_hidden_layers: fields.size("n_layers", 4, MAX_LAYERS)?,
            heads: fields.size("n_heads", 4, MAX_WIDTH)?,
            intermediate_size: fields.size("d_ff", 4 * hidden_size, MAX_INTERMEDIATE)?,
            activation: choice(&fields, "activation", &ACTIVATIONS)?,
            eps: fields.real("eps", 1e-6, 0.0, 1.0)?,
            places: fields.size("max_pos", 1024, MAX_VOCAB)?,
            causal: fields.flag("causal", true)?,
            linear: choice(&fields, "linear", &LinearKind::NAMES)?,
            bos_token_id: one_token(&fields, "bos_token_id", &[], vocab_size)?,
            eos_token_id: fields.tokens("eos_token_id", &[], vocab_size)?,
            extra,
        };
        config.validate(path)?;
        Ok(Parsed { config, warnings })
    }

    /// The reader of the table of architectures.
    ///
    /// # Errors
    /// Those of [`LinearAttentionConfig::from_json`].
    pub fn listed(path: &Path, value: &Value) -> Result<Parsed<Listed>> {
        Ok(Self::from_json(path, value)?.map(Listed::new))
    }

    /// Checks how sizes go together.
    ///
    /// # Errors
    /// [`ModelError::Field`].
    pub fn validate(&self, path: &Path) -> Result<()> {
        if !self.hidden_size.is_multiple_of(self.heads) {
            let expected = format!("a divisor of d_model = {}", self.hidden_size);
            let remedy = "correct one of the two values";
            return Err(ModelError::field(path, "n_heads", expected, self.heads.to_string(), remedy));
        }
        if self.count().is_none_or(|count| count > 1 << 40) {
            let found = format!("d_model {}, n_layers {}", self.hidden_size, self.num_hidden_layers);
            let expected = "a model of at most 2^40 parameters";
            return Err(ModelError::field(path, "d_model", expected, found, "correct the sizes"));
        }
        Ok(())
    }

    /// The `config.json`.
    pub fn to_json(&self) -> Value {
        let activation = ACTIVATIONS.iter().find(|(kind, _)| *kind == self.activation);
        let mut value = json!({
            "model_type": Self::MODEL_TYPE,
            "vocab_size": self.vocab_size,
            "d_model": self.hidden_size,
            "n_heads": self.heads,
            "n_layers": self.num_hidden_layers,
            "d_ff": self.intermediate_size,
            "activation": activation.map(|(_, name)| *name),
            "eps": self.eps,
            "max_pos": self.places,
        });
        let own = [
            ("causal", (!self.causal).then_some(Value::Bool(false))),
            ("linear", self.linear.is_quantized().then(|| self.linear.name().into())),
            ("bos_token_id", self.bos_token_id.map(Value::from)),
            ("eos_token_id", (!self.eos_token_id.is_empty()).then(|| tokens(&self.eos_token_id))),
        ];
        for (key, content) in own {
            if let Some(content) = content {
                value[key] = content;
            }
        }
        self.extra.iter().for_each(|(key, content)| value[key] = content.clone());
        value.sort_all_objects();
        value
    }

    /// Every parameter, in the order of the published state dict; initial values are PyTorch's for the same layers, but for
    /// the embedding and the positions (0.02 instead of 1).
    pub fn list(&self) -> Vec<Parameter> {
        let (d, n) = (self.hidden_size, self.intermediate_size);
        let bound = |inputs: usize| Init::Uniform(1.0 / (inputs as f64).sqrt());
        let mut list = vec![];
        let add = |list: &mut Vec<Parameter>, name: String, shape: &[usize], init| {
            list.push(Parameter { name, shape: shape.to_vec(), init });
        };
        add(&mut list, "emb.weight".into(), &[self.vocab_size, d], Init::Normal(0.02));
        add(&mut list, "pos.weight".into(), &[self.places, d], Init::Normal(0.02));
        let norm = |list: &mut Vec<Parameter>, name: String| {
            add(list, format!("{name}.weight"), &[d], Init::Constant(1.0));
            add(list, format!("{name}.bias"), &[d], Init::Constant(0.0));
        };
        for layer in 0..self.num_hidden_layers {
            let at = |name: &str| format!("enc.layers.{layer}.{name}");
            for name in super::mixer::FAST_TRANSFORMERS.all() {
                let name = at(&format!("attention.{name}"));
                self.linear.parameters(&mut list, &name, [d, d], bound(d), Some(bound(d)));
            }
            self.linear.parameters(&mut list, &at("linear1"), [n, d], bound(d), Some(bound(d)));
            self.linear.parameters(&mut list, &at("linear2"), [d, n], bound(n), Some(bound(n)));
            norm(&mut list, at("norm1"));
            norm(&mut list, at("norm2"));
        }
        norm(&mut list, "enc.norm".into());
        add(&mut list, "head.weight".into(), &[self.vocab_size, d], bound(d));
        add(&mut list, "head.bias".into(), &[self.vocab_size], bound(d));
        list
    }

    /// Number of parameters; nothing if it does not fit 64 bits.
    pub fn count(&self) -> Option<u64> {
        count(self.num_hidden_layers, |layers| Self { num_hidden_layers: layers, ..self.clone() }.list())
    }
}
