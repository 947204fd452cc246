//! The configuration: arguments of the package's `PerformerLM`, and our key `stabilizer`.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::mixer::{Favor, Features};
use crate::config::{MAX_LAYERS, MAX_VOCAB, MAX_WIDTH, Parsed, one_token};
use crate::error::{ModelError, Result};
use crate::frame::{LinearKind, Mixer};
use crate::json::Fields;
use crate::parameters::{Init, Parameter, count};
use crate::registry::Listed;
use crate::shell::{choice, others, tokens};

const READ: &[&str] = &[
    "bos_token_id",
    "causal",
    "depth",
    "dim",
    "dim_head",
    "eos_token_id",
    "ff_mult",
    "generalized_attention",
    "heads",
    "linear",
    "max_seq_len",
    "nb_features",
    "num_tokens",
    "rotary_position_emb",
    "stabilizer",
];

/// What the features of keys are made safe with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stabilizer {
    /// The maximum over the whole sequence, as the package does.
    #[default]
    All,
    /// The maximum so far.
    Running,
}

impl Stabilizer {
    pub(crate) const NAMES: [(Self, &'static str); 2] = [(Self::All, "all"), (Self::Running, "running")];
}

/// Sizes and choices.
#[derive(Clone, Debug, PartialEq)]
pub struct PerformerConfig {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream, D.
    pub hidden_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Heads, H.
    pub heads: usize,
    /// Width of a head.
    pub width: usize,
    /// Random features, M.
    pub features: usize,
    /// Which features.
    pub kind: Features,
    /// What the exponential ones are made safe with.
    pub stabilizer: Stabilizer,
    /// Width of the feed-forward part in units of D.
    pub ff_mult: usize,
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

impl PerformerConfig {
    /// `model_type` in `config.json`.
    pub const MODEL_TYPE: &'static str = "performer";

    /// Reads a `config.json`; `path` is named in errors and warnings.
    ///
    /// # Errors
    /// [`ModelError::Field`] for a value of the wrong kind or size, and for rotary positions.
    pub fn from_json(path: &Path, value: &Value) -> Result<Parsed<Self>> {
        let fields = Fields::new(path, value)?;
        let mut warnings = vec![];
        let extra = others(path, value, Self::MODEL_TYPE, READ, &mut warnings)?;
        if fields.flag("rotary_position_emb", false)? {
            return Err(fields.fault("rotary_position_emb", "false: positions are learned here"));
        }
        let vocab_size = fields.size("num_tokens", 256, MAX_VOCAB)?;
        let hidden_size = fields.size("dim", 256, MAX_WIDTH)?;
        let heads = fields.size("heads", 4, MAX_WIDTH)?;
        let width = fields.size("dim_head", 64, MAX_WIDTH)?;
        let kind = match fields.flag("generalized_attention", false)? {
            true => Features::Relu,
            false => Features::Softmax,
        };
        let config = Self {
            vocab_size,
            hidden_size,
            num_hidden_layers: fields.size("depth", 4, MAX_LAYERS)?,
            heads,
            width,
            features: fields.size("nb_features", Favor::default_features(width), MAX_WIDTH)?,
            kind,
            stabilizer: choice(&fields, "stabilizer", &Stabilizer::NAMES)?,
            ff_mult: fields.size("ff_mult", 4, 64)?,
            places: fields.size("max_seq_len", 1024, MAX_VOCAB)?,
            causal: fields.flag("causal", false)?,
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
    /// Those of [`PerformerConfig::from_json`].
    pub fn listed(path: &Path, value: &Value) -> Result<Parsed<Listed>> {
        Ok(Self::from_json(path, value)?.map(Listed::new))
    }

    /// Checks how sizes go together.
    ///
    /// # Errors
    /// [`ModelError::Field`] for what makes no model that fits a computer.
    pub fn validate(&self, path: &Path) -> Result<()> {
        let wide = self.heads.checked_mul(self.width).is_none_or(|width| width > MAX_WIDTH);
        if wide || self.count().is_none_or(|count| count > 1 << 40) {
            let found =
                format!("dim {}, depth {}, heads {}", self.hidden_size, self.num_hidden_layers, self.heads);
            let expected = "a model of at most 2^40 parameters";
            return Err(ModelError::field(path, "dim", expected, found, "correct the sizes"));
        }
        Ok(())
    }

    /// The `config.json`.
    pub fn to_json(&self) -> Value {
        let mut value = json!({
            "model_type": Self::MODEL_TYPE,
            "num_tokens": self.vocab_size,
            "max_seq_len": self.places,
            "dim": self.hidden_size,
            "depth": self.num_hidden_layers,
            "heads": self.heads,
            "dim_head": self.width,
            "nb_features": self.features,
            "causal": self.causal,
            "generalized_attention": self.kind == Features::Relu,
            "rotary_position_emb": false,
        });
        let own = [
            ("ff_mult", (self.ff_mult != 4).then(|| self.ff_mult.into())),
            ("stabilizer", (self.stabilizer == Stabilizer::Running).then(|| "running".into())),
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

    /// Every parameter; initial values are PyTorch's for the same layers, but for the embedding and the positions (0.02
    /// instead of 1).
    pub fn list(&self) -> Vec<Parameter> {
        let (d, n) = (self.hidden_size, self.hidden_size * self.ff_mult);
        let bound = |inputs: usize| Init::Uniform(1.0 / (inputs as f64).sqrt());
        let mut list = vec![];
        let add = |list: &mut Vec<Parameter>, name: String, shape: &[usize], init| {
            list.push(Parameter { name, shape: shape.to_vec(), init });
        };
        let norm = |list: &mut Vec<Parameter>, name: String| {
            add(list, format!("{name}.weight"), &[d], Init::Constant(1.0));
            add(list, format!("{name}.bias"), &[d], Init::Constant(0.0));
        };
        add(&mut list, "token_emb.weight".into(), &[self.vocab_size, d], Init::Normal(0.02));
        add(&mut list, "pos_emb.emb.weight".into(), &[self.places, d], Init::Normal(0.02));
        for layer in 0..self.num_hidden_layers {
            let at = |name: &str| format!("performer.net.layers.{layer}.{name}");
            norm(&mut list, at("0.norm"));
            self.mixer().parameters(&at("0.fn"), self.linear, &mut list);
            norm(&mut list, at("1.norm"));
            self.linear.parameters(&mut list, &at("1.fn.fn.w1"), [n, d], bound(d), Some(bound(d)));
            self.linear.parameters(&mut list, &at("1.fn.fn.w2"), [d, n], bound(n), Some(bound(n)));
        }
        norm(&mut list, "norm".into());
        add(&mut list, "to_out.weight".into(), &[self.vocab_size, d], bound(d));
        add(&mut list, "to_out.bias".into(), &[self.vocab_size], bound(d));
        list
    }

    /// Number of parameters; nothing if it does not fit 64 bits.
    pub fn count(&self) -> Option<u64> {
        count(self.num_hidden_layers, |layers| Self { num_hidden_layers: layers, ..self.clone() }.list())
    }
}
