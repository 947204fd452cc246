//! The configuration: `MegaConfig` of the `transformers` library.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::config::{HOUSEKEEPING, MAX_INTERMEDIATE, MAX_LAYERS, MAX_VOCAB, MAX_WIDTH, Parsed};
use crate::config::{changes_mathematics, one_token};
use crate::error::{ModelError, Result};
use crate::frame::LinearKind;
use crate::json::Fields;

/// Normalisation before or after each half of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MegaNorm {
    /// One learned factor, divided by the root of the mean square.
    Scale,
    /// Mean and variance.
    Layer,
    /// What the library calls so: a factor for each channel, and no normalisation.
    Rms,
}

/// How scores become weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MegaActivation {
    /// Softmax over the keys.
    Softmax,
    /// ½ (1 + erf((x − √½) / (√(1/4π) √2))), element by element, with the library's six digits of both constants.
    Laplace,
    /// relu(x)².
    Relu2,
}

/// What is added to the scores for a distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelativeBias {
    /// A product of two learned vectors that are turned by their positions.
    Rotary,
    /// A learned number for each distance.
    Simple,
}

impl MegaNorm {
    const NAMES: [(Self, &'static str); 3] =
        [(Self::Scale, "scalenorm"), (Self::Layer, "layernorm"), (Self::Rms, "rmsnorm")];
}

impl MegaActivation {
    const NAMES: [(Self, &'static str); 3] =
        [(Self::Softmax, "softmax"), (Self::Laplace, "laplace"), (Self::Relu2, "relu2")];
}

impl RelativeBias {
    const NAMES: [(Self, &'static str); 2] = [(Self::Rotary, "rotary"), (Self::Simple, "simple")];
}

/// `MegaConfig` of the published code.
#[derive(Debug, Clone, PartialEq)]
pub struct MegaConfig {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream, d.
    pub hidden_size: usize,
    /// Blocks, L.
    pub num_hidden_layers: usize,
    /// Width of the values, v.
    pub intermediate_size: usize,
    /// Dimensions of the moving average of a channel, n.
    pub ema_projection_size: usize,
    /// Width of queries and keys, z.
    pub shared_representation_size: usize,
    /// A moving average for each direction.
    pub bidirectional: bool,
    /// Queries see the past alone.
    pub is_decoder: bool,
    /// Tokens of a chunk; nothing: all see all.
    pub chunk_size: Option<usize>,
    /// Taps of the moving average's kernel; nothing: all of the sequence.
    pub truncation: Option<usize>,
    /// Norm before the attention half, else after.
    pub normalize_before_mega: bool,
    /// Norm before the feed-forward half, else after.
    pub normalize_before_ffn: bool,
    /// Which norm.
    pub normalization_type: MegaNorm,
    /// Norms have learned factors.
    pub norm_affine: bool,
    /// How scores become weights.
    pub attention_activation: MegaActivation,
    /// What is added to the scores.
    pub relative_positional_bias: RelativeBias,
    /// Blocks have a feed-forward half.
    pub use_normalized_ffn: bool,
    /// Width of the feed-forward half.
    pub nffn_hidden_size: usize,
    /// Positions that the simple bias knows; for the rotary one no limit.
    pub max_positions: usize,
    /// A row of a second table is added to every token.
    pub add_token_type_embeddings: bool,
    /// Rows of that table.
    pub type_vocab_size: usize,
    /// A dense layer with tanh before the head.
    pub add_lm_hidden_dense_layer: bool,
    /// The model predicts the token at a position, not the next: `MegaForMaskedLM`.
    pub masked: bool,
    /// First token of a text.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text.
    pub eos_token_id: Vec<u32>,
    /// Embedding row that is zero at first.
    pub pad_token_id: Option<u32>,
    /// Deviation of matrices at first.
    pub initializer_range: f64,
    /// Deviation of δ and α at first.
    pub ema_delta_alpha_range: f64,
    /// Deviation of β around 1, −1, 1, … at first.
    pub ema_beta_range: f64,
    /// Deviation of γ and ω at first.
    pub ema_gamma_omega_range: f64,
    /// Ours: what projections are.
    pub linear: LinearKind,
    /// Always: the head's weight is the embedding's.
    pub tie_word_embeddings: bool,
    /// Every other key of the file, written back as it was.
    pub extra: Map<String, Value>,
}

impl Default for MegaConfig {
    /// The library's defaults, for a causal model.
    fn default() -> Self {
        Self {
            vocab_size: 30_522,
            hidden_size: 128,
            num_hidden_layers: 4,
            intermediate_size: 256,
            ema_projection_size: 16,
            shared_representation_size: 64,
            bidirectional: false,
            is_decoder: true,
            chunk_size: None,
            truncation: None,
            normalize_before_mega: true,
            normalize_before_ffn: true,
            normalization_type: MegaNorm::Scale,
            norm_affine: true,
            attention_activation: MegaActivation::Softmax,
            relative_positional_bias: RelativeBias::Rotary,
            use_normalized_ffn: true,
            nffn_hidden_size: 256,
            max_positions: 2048,
            add_token_type_embeddings: false,
            type_vocab_size: 2,
            add_lm_hidden_dense_layer: true,
            masked: false,
            bos_token_id: Some(0),
            eos_token_id: vec![2],
            pad_token_id: Some(1),
            initializer_range: 0.02,
            ema_delta_alpha_range: 0.2,
            ema_beta_range: 0.02,
            ema_gamma_omega_range: 1.0,
            linear: LinearKind::Full,
            tie_word_embeddings: true,
            extra: Map::new(),
        }
    }
}

/// Keys that [`MegaConfig`] reads, and those of dropout and training that say nothing of the mathematics here.
const READ: &[&str] = &[
    "activation",
    "add_lm_hidden_dense_layer",
    "add_token_type_embeddings",
    "attention_activation",
    "bidirectional",
    "bos_token_id",
    "chunk_size",
    "ema_beta_range",
    "ema_delta_alpha_range",
    "ema_gamma_omega_range",
    "ema_projection_size",
    "eos_token_id",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "is_decoder",
    "linear",
    "max_positions",
    "nffn_hidden_size",
    "norm_affine",
    "normalization_type",
    "normalize_before_ffn",
    "normalize_before_mega",
    "num_hidden_layers",
    "pad_token_id",
    "relative_positional_bias",
    "shared_representation_size",
    "truncation",
    "type_vocab_size",
    "use_chunking",
    "use_normalized_ffn",
    "vocab_size",
];

const KEPT: &[&str] = &[
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "dropout_prob",
    "hidden_dropout_prob",
    "nffn_activation_dropout_prob",
    "num_attention_heads",
    "tie_word_embeddings",
    "use_cache",
    "use_feature_dropout",
];

/// The value of a key that is one of a few names.
pub(crate) fn choice<T: Copy>(
    fields: &Fields<'_>,
    field: &str,
    default: &'static str,
    names: &[(T, &'static str)],
) -> Result<T> {
    let text = fields.text(field, default)?;
    names.iter().find(|(_, name)| *name == text).map(|(value, _)| *value).ok_or_else(|| {
        let list = names.iter().map(|(_, name)| format!("\"{name}\"")).collect::<Vec<_>>();
        fields.fault(field, format!("one of {}", list.join(", ")))
    })
}

/// Every key that is not read, written back later; warns of the unknown ones and refuses those that change the mathematics.
pub(crate) fn rest(
    path: &Path,
    fields: &Fields<'_>,
    kind: &str,
    read: &[&str],
    kept: &[&str],
    warnings: &mut Vec<String>,
) -> Result<Map<String, Value>> {
    let mut extra = Map::new();
    for (key, content) in fields.iter() {
        if read.contains(&key.as_str()) || key == "model_type" {
            continue;
        }
        if changes_mathematics(key, content) {
            return Err(fields.fault(key, "nothing here, since this architecture does not have it"));
        }
        if !HOUSEKEEPING.contains(&key.as_str()) && !kept.contains(&key.as_str()) {
            warnings.push(format!("{}: `{key}` is not a key of {kind} and is ignored", path.display()));
        }
        extra.insert(key.clone(), content.clone());
    }
    Ok(extra)
}

impl MegaConfig {
    /// `model_type` of the published models.
    pub const MODEL_TYPE: &'static str = "mega";

    /// Reads a `config.json`; `path` is named in errors and warnings.
    ///
    /// # Errors
    /// [`ModelError::Field`] for a value of the wrong kind or size, for values that contradict one another, and for a key
    /// that changes the mathematics: batch norms, cross attention, activations other than silu.
    pub fn from_json(path: &Path, value: &Value) -> Result<Parsed<Self>> {
        let fields = Fields::new(path, value)?;
        let (ours, mut warnings) = (Self::default(), vec![]);
        let extra = rest(path, &fields, Self::MODEL_TYPE, READ, KEPT, &mut warnings)?;
        if fields.text("activation", "silu")? != "silu" {
            return Err(fields.fault("activation", "\"silu\""));
        }
        if fields.flag("add_cross_attention", false)? {
            return Err(fields.fault("add_cross_attention", "false: there is no encoder to look at"));
        }
        let named = |name: &str| {
            let names = extra.get("architectures").and_then(Value::as_array);
            names.is_some_and(|names| names.iter().any(|n| n == name))
        };
        let is_decoder = fields.flag("is_decoder", named("MegaForCausalLM"))?;
        let chunked = fields.flag("use_chunking", false)?;
        let chunk_size = match fields.get("chunk_size").and_then(Value::as_i64) {
            Some(..=0) if !chunked => None,
            _ => fields.optional_size("chunk_size", 1 << 20)?.filter(|_| chunked),
        };
        if chunked && chunk_size.is_none() {
            return Err(fields.fault("chunk_size", "a whole number of tokens where use_chunking is true"));
        }
        let vocab_size = fields.size("vocab_size", ours.vocab_size, MAX_VOCAB)?;
        let range = |field: &str, default: f64| fields.real(field, default, 0.0, 1e3);
        let config = Self {
            vocab_size,
            hidden_size: fields.size("hidden_size", ours.hidden_size, MAX_WIDTH)?,
            num_hidden_layers: fields.size("num_hidden_layers", ours.num_hidden_layers, MAX_LAYERS)?,
            intermediate_size: fields.size("intermediate_size", ours.intermediate_size, MAX_INTERMEDIATE)?,
            ema_projection_size: fields.size("ema_projection_size", ours.ema_projection_size, MAX_WIDTH)?,
            shared_representation_size: fields.size(
                "shared_representation_size",
                ours.shared_representation_size,
                MAX_WIDTH,
            )?,
            bidirectional: fields.flag("bidirectional", true)?,
            is_decoder,
            chunk_size,
            truncation: fields.optional_size("truncation", 1 << 24)?,
            normalize_before_mega: fields.flag("normalize_before_mega", true)?,
            normalize_before_ffn: fields.flag("normalize_before_ffn", true)?,
            normalization_type: choice(&fields, "normalization_type", "scalenorm", &MegaNorm::NAMES)?,
            norm_affine: fields.flag("norm_affine", true)?,
            attention_activation: choice(&fields, "attention_activation", "softmax", &MegaActivation::NAMES)?,
            relative_positional_bias: choice(
                &fields,
                "relative_positional_bias",
                "rotary",
                &RelativeBias::NAMES,
            )?,
            use_normalized_ffn: fields.flag("use_normalized_ffn", true)?,
            nffn_hidden_size: fields.size("nffn_hidden_size", ours.nffn_hidden_size, MAX_INTERMEDIATE)?,
            max_positions: fields.size("max_positions", ours.max_positions, 1 << 24)?,
            add_token_type_embeddings: fields.flag("add_token_type_embeddings", false)?,
            type_vocab_size: fields.size("type_vocab_size", 2, MAX_VOCAB)?,
            add_lm_hidden_dense_layer: fields.flag("add_lm_hidden_dense_layer", true)?,
            masked: named("MegaForMaskedLM") || !(is_decoder || named("MegaForCausalLM")),
            bos_token_id: one_token(&fields, "bos_token_id", &[0], vocab_size)?,
            eos_token_id: fields.tokens("eos_token_id", &[2], vocab_size)?,
            pad_token_id: one_token(&fields, "pad_token_id", &[1], vocab_size)?,
            initializer_range: range("initializer_range", ours.initializer_range)?,
            ema_delta_alpha_range: range("ema_delta_alpha_range", ours.ema_delta_alpha_range)?,
            ema_beta_range: range("ema_beta_range", ours.ema_beta_range)?,
            ema_gamma_omega_range: range("ema_gamma_omega_range", ours.ema_gamma_omega_range)?,
            linear: choice(&fields, "linear", "full", &LinearKind::NAMES.map(|(kind, name)| (kind, name)))?,
            tie_word_embeddings: true,
            extra,
        };
        config.validate(path)?;
        Ok(Parsed { config, warnings })
    }

    /// Checks what no single field shows.
    ///
    /// # Errors
    /// [`ModelError::Field`] for values that contradict one another.
    pub fn validate(&self, path: &Path) -> Result<()> {
        let fault = |field: &str, expected: &str, found: String| {
            Err(ModelError::field(path, field, expected, found, "correct one of the two values"))
        };
        if self.is_decoder && self.bidirectional {
            return fault("bidirectional", "false where is_decoder is true", "true".into());
        }
        let rotary = self.relative_positional_bias == RelativeBias::Rotary;
        if rotary && !self.shared_representation_size.is_multiple_of(2) {
            let found = self.shared_representation_size.to_string();
            return fault("shared_representation_size", "an even number: the rotary bias turns pairs", found);
        }
        if !rotary && self.chunk_size.is_some_and(|chunk| chunk > self.max_positions) {
            let found = self.max_positions.to_string();
            return fault("max_positions", "at least chunk_size, where the bias is simple", found);
        }
        let one = Self { num_hidden_layers: 1, ..self.clone() };
        let size = |list: &[crate::parameters::Parameter]| {
            list.iter().map(|p| p.shape.iter().map(|n| *n as f64).product::<f64>()).sum::<f64>()
        };
        if size(&one.list()) * self.num_hidden_layers as f64 > (1_u64 << 40) as f64 {
            return fault("hidden_size", "a model of at most 2^40 parameters", self.hidden_size.to_string());
        }
        Ok(())
    }

    /// The `config.json` that `transformers` writes for it.
    pub fn to_json(&self) -> Value {
        fn name<T: PartialEq>(names: &[(T, &'static str)], value: T) -> &'static str {
            names.iter().find(|(v, _)| *v == value).map_or("", |(_, name)| name)
        }
        let tokens = match self.eos_token_id.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            many => json!(many),
        };
        let architecture = if self.masked { "MegaForMaskedLM" } else { "MegaForCausalLM" };
        let mut value = json!({
            "activation": "silu",
            "add_lm_hidden_dense_layer": self.add_lm_hidden_dense_layer,
            "add_token_type_embeddings": self.add_token_type_embeddings,
            "architectures": [architecture],
            "attention_activation": name(&MegaActivation::NAMES, self.attention_activation),
            "bidirectional": self.bidirectional,
            "bos_token_id": self.bos_token_id,
            "ema_beta_range": self.ema_beta_range,
            "ema_delta_alpha_range": self.ema_delta_alpha_range,
            "ema_gamma_omega_range": self.ema_gamma_omega_range,
            "ema_projection_size": self.ema_projection_size,
            "eos_token_id": tokens,
            "hidden_size": self.hidden_size,
            "initializer_range": self.initializer_range,
            "intermediate_size": self.intermediate_size,
            "max_positions": self.max_positions,
            "model_type": Self::MODEL_TYPE,
            "nffn_hidden_size": self.nffn_hidden_size,
            "norm_affine": self.norm_affine,
            "normalization_type": name(&MegaNorm::NAMES, self.normalization_type),
            "normalize_before_ffn": self.normalize_before_ffn,
            "normalize_before_mega": self.normalize_before_mega,
            "num_hidden_layers": self.num_hidden_layers,
            "pad_token_id": self.pad_token_id,
            "relative_positional_bias": name(&RelativeBias::NAMES, self.relative_positional_bias),
            "shared_representation_size": self.shared_representation_size,
            "truncation": self.truncation,
            "type_vocab_size": self.type_vocab_size,
            "use_normalized_ffn": self.use_normalized_ffn,
            "vocab_size": self.vocab_size,
        });
        value["use_chunking"] = self.chunk_size.is_some().into();
        value["chunk_size"] = self.chunk_size.map_or(json!(-1), |chunk| json!(chunk));
        // The library writes it for decoders alone.
        if self.is_decoder || !self.masked {
            value["is_decoder"] = self.is_decoder.into();
        }
        for (key, content) in &self.extra {
            value[key] = content.clone();
        }
        if self.linear != LinearKind::Full {
            value["linear"] = self.linear.name().into();
        }
        value.sort_all_objects();
        value
    }
}
