//! The configuration: the arguments of the package's `xLSTMLMModelConfig`, flat.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{MatrixMixer, ScalarMixer};
use crate::config::{
    HOUSEKEEPING, MAX_CONV, MAX_INTERMEDIATE, MAX_LAYERS, MAX_RATIO, MAX_VOCAB, MAX_WIDTH, Parsed,
    changes_mathematics, choice, one_token,
};
use crate::decoder::config::fault;
use crate::error::Result;
use crate::frame::LinearKind;
use crate::json::Fields;

/// eps of every norm.
pub(super) const NORM_EPS: f64 = 1e-5;

/// Keys that [`XlstmOrigConfig`] reads.
const READ: &[&str] = &[
    "bias",
    "bos_token_id",
    "context_length",
    "conv1d_kernel_size",
    "embedding_dim",
    "eos_token_id",
    "linear",
    "mlstm_inner_dim",
    "mlstm_proj_factor",
    "num_blocks",
    "num_heads",
    "qkv_proj_blocksize",
    "slstm_at",
    "slstm_ffn_act",
    "slstm_ffn_dim",
    "slstm_ffn_proj_factor",
    "slstm_ffn_round_up_to_multiple_of",
    "tie_weights",
    "vocab_size",
];

/// What `mlstm_inner_dim` is a multiple of.
const MULTIPLE: usize = 64;

/// The nonlinearity of the gated unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Act {
    /// x Φ(x), exactly.
    #[default]
    Gelu,
    /// max(x, 0).
    Relu,
    /// max(x, 0)².
    Relu2,
    /// σ(x).
    Sigmoid,
    /// x σ(x).
    Swish,
}

impl Act {
    const NAMES: [(Self, &'static str); 5] = [
        (Self::Gelu, "gelu"),
        (Self::Relu, "relu"),
        (Self::Relu2, "relu^2"),
        (Self::Sigmoid, "sigmoid"),
        (Self::Swish, "swish"),
    ];

    /// The name in `config.json`.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }

    pub(super) fn apply(self, x: &graph::Var) -> graph::Var {
        match self {
            Self::Gelu => x.gelu(),
            Self::Relu => x.relu(),
            Self::Relu2 => x.relu().square(),
            Self::Sigmoid => x.sigmoid(),
            Self::Swish => x.silu(),
        }
    }
}

/// The arguments of the package's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct XlstmOrigConfig {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream, d.
    pub hidden_size: usize,
    /// Blocks, L.
    pub num_hidden_layers: usize,
    /// Heads, H, of either memory.
    pub num_heads: usize,
    /// The blocks with a scalar memory, rising.
    pub slstm_at: Vec<usize>,
    /// The longest text that it was trained for; nothing here depends on it.
    pub context_length: usize,
    /// Taps of the convolution.
    pub conv1d_kernel_size: usize,
    /// Width of the blocks of W_q, W_k and W_v.
    pub qkv_proj_blocksize: usize,
    /// Width inside a matrix block over d, before it is rounded up to a multiple of 64.
    pub mlstm_proj_factor: f64,
    /// Width of the gated unit behind a scalar memory over d, before it is rounded up.
    pub slstm_ffn_proj_factor: f64,
    /// What that width is a multiple of.
    pub slstm_ffn_round_up_to_multiple_of: usize,
    /// Nonlinearity of the gated unit.
    pub slstm_ffn_act: Act,
    /// Projections of matrix blocks have biases.
    pub bias: bool,
    /// The head uses the embedding's weight.
    pub tie_word_embeddings: bool,
    /// What projections are.
    pub linear: LinearKind,
    /// First token of a text.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text.
    pub eos_token_id: Vec<u32>,
    /// Every other key of the file, written back as it was.
    pub extra: Map<String, Value>,
}

impl Default for XlstmOrigConfig {
    /// The package's defaults where it has them, and a small model where it has none.
    fn default() -> Self {
        Self {
            vocab_size: 256,
            hidden_size: 128,
            num_hidden_layers: 4,
            num_heads: 4,
            slstm_at: vec![1],
            context_length: 256,
            conv1d_kernel_size: 4,
            qkv_proj_blocksize: 4,
            mlstm_proj_factor: 2.0,
            slstm_ffn_proj_factor: 1.3,
            slstm_ffn_round_up_to_multiple_of: MULTIPLE,
            slstm_ffn_act: Act::Gelu,
            bias: false,
            tie_word_embeddings: false,
            linear: LinearKind::Full,
            bos_token_id: None,
            eos_token_id: vec![],
            extra: Map::new(),
        }
    }
}

impl XlstmOrigConfig {
    /// `model_type` of ours for it.
    pub const MODEL_TYPE: &'static str = "xlstm_orig";

    /// Reads a `config.json`; `path` is named in errors and warnings.
    ///
    /// # Errors
    /// [`crate::ModelError::Field`] for a value of the wrong kind or size, for values that contradict one another, and for a
    /// key that changes the mathematics.
    ///
    /// ```
    /// use models::xlstm_orig::XlstmOrigConfig;
    /// let value = serde_json::json!({"model_type": "xlstm_orig", "embedding_dim": 32, "slstm_at": "all"});
    /// let config = XlstmOrigConfig::from_json("config.json".as_ref(), &value)?.config;
    /// assert_eq!((config.inner_dim(), config.ffn_dim(), config.slstm_at.len()), (64, 64, 4));
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
            if !HOUSEKEEPING.contains(&key.as_str()) {
                let kind = Self::MODEL_TYPE;
                warnings.push(format!("{}: `{key}` is not a key of {kind} and is ignored", path.display()));
            }
            extra.insert(key.clone(), content.clone());
        }
        let vocab_size = fields.size("vocab_size", ours.vocab_size, MAX_VOCAB)?;
        let layers = fields.size("num_blocks", ours.num_hidden_layers, MAX_LAYERS)?;
        let config = Self {
            vocab_size,
            hidden_size: fields.size("embedding_dim", ours.hidden_size, MAX_WIDTH)?,
            num_hidden_layers: layers,
            num_heads: fields.size("num_heads", ours.num_heads, MAX_WIDTH)?,
            slstm_at: scalar_blocks(&fields, layers)?,
            context_length: fields.size("context_length", ours.context_length, 1 << 32)?,
            conv1d_kernel_size: fields.size("conv1d_kernel_size", ours.conv1d_kernel_size, MAX_CONV)?,
            qkv_proj_blocksize: fields.size("qkv_proj_blocksize", ours.qkv_proj_blocksize, MAX_WIDTH)?,
            mlstm_proj_factor: fields.real("mlstm_proj_factor", ours.mlstm_proj_factor, 0.0, MAX_RATIO)?,
            slstm_ffn_proj_factor: fields.real(
                "slstm_ffn_proj_factor",
                ours.slstm_ffn_proj_factor,
                0.0,
                MAX_RATIO,
            )?,
            slstm_ffn_round_up_to_multiple_of: fields.size(
                "slstm_ffn_round_up_to_multiple_of",
                MULTIPLE,
                MAX_WIDTH,
            )?,
            slstm_ffn_act: choice(&fields, "slstm_ffn_act", &Act::NAMES)?,
            bias: fields.flag("bias", ours.bias)?,
            tie_word_embeddings: fields.flag("tie_weights", ours.tie_word_embeddings)?,
            linear: choice(&fields, "linear", &LinearKind::NAMES)?,
            bos_token_id: one_token(&fields, "bos_token_id", &[], vocab_size)?,
            eos_token_id: fields.tokens("eos_token_id", &[], vocab_size)?,
            extra,
        };
        config.validate(path)?;
        for (key, width) in [("mlstm_inner_dim", config.inner_dim()), ("slstm_ffn_dim", config.ffn_dim())] {
            if fields.optional_size(key, MAX_INTERMEDIATE)?.is_some_and(|found| found != width) {
                return Err(fields.fault(key, format!("{width}, which the factor makes of embedding_dim")));
            }
        }
        Ok(Parsed { config, warnings })
    }

    /// Checks what no single field shows; call it on a configuration that was not read from a file.
    ///
    /// # Errors
    /// [`crate::ModelError::Field`] for sizes that are zero, do not divide, or make no model that fits a computer.
    pub fn validate(&self, path: &Path) -> Result<()> {
        for (field, size, max) in [
            ("vocab_size", self.vocab_size, MAX_VOCAB),
            ("embedding_dim", self.hidden_size, MAX_WIDTH),
            ("num_blocks", self.num_hidden_layers, MAX_LAYERS),
            ("num_heads", self.num_heads, MAX_WIDTH),
            ("conv1d_kernel_size", self.conv1d_kernel_size, MAX_CONV),
            ("qkv_proj_blocksize", self.qkv_proj_blocksize, MAX_WIDTH),
            ("slstm_ffn_round_up_to_multiple_of", self.slstm_ffn_round_up_to_multiple_of, MAX_WIDTH),
            ("mlstm_proj_factor", self.inner_dim(), MAX_INTERMEDIATE),
            ("slstm_ffn_proj_factor", self.ffn_dim(), MAX_INTERMEDIATE),
        ] {
            if size == 0 || size > max {
                return Err(fault(
                    path,
                    field,
                    format!("a width or count from 1 to {max}"),
                    size.to_string(),
                ));
            }
        }
        let inner = self.inner_dim();
        for (field, size, whole, what) in [
            ("num_heads", self.num_heads, inner, "the width inside a matrix block"),
            ("num_heads", self.num_heads, self.hidden_size, "embedding_dim"),
            ("qkv_proj_blocksize", self.qkv_proj_blocksize, inner, "the width inside a matrix block"),
        ] {
            if !whole.is_multiple_of(size) {
                return Err(fault(path, field, format!("a divisor of {what} = {whole}"), size.to_string()));
            }
        }
        if self.slstm_at.iter().any(|block| *block >= self.num_hidden_layers) {
            let expected = format!("numbers of blocks below num_blocks = {}", self.num_hidden_layers);
            return Err(fault(path, "slstm_at", expected, format!("{:?}", self.slstm_at)));
        }
        if self.count().is_none_or(|count| count > 1 << 40) {
            let found = format!(
                "vocab_size {}, embedding_dim {}, num_blocks {}",
                self.vocab_size, self.hidden_size, self.num_hidden_layers
            );
            return Err(fault(path, "embedding_dim", "a model of at most 2^40 parameters".into(), found));
        }
        Ok(())
    }

    /// E, the width inside a matrix block.
    pub fn inner_dim(&self) -> usize {
        rounded_up(self.hidden_size as f64 * self.mlstm_proj_factor, MULTIPLE)
    }

    /// Width of the gated unit behind a scalar memory.
    pub fn ffn_dim(&self) -> usize {
        let width = self.hidden_size as f64 * self.slstm_ffn_proj_factor;
        rounded_up(width, self.slstm_ffn_round_up_to_multiple_of)
    }

    /// Whether the block has a scalar memory.
    pub fn is_scalar(&self, layer: usize) -> bool {
        self.slstm_at.binary_search(&layer).is_ok()
    }

    /// The mixer of matrix blocks.
    pub fn matrix(&self) -> MatrixMixer {
        MatrixMixer {
            hidden: self.hidden_size,
            inner: self.inner_dim(),
            heads: self.num_heads,
            block: self.qkv_proj_blocksize,
            taps: self.conv1d_kernel_size,
            bias: self.bias,
            layers: self.num_hidden_layers,
        }
    }

    /// The mixer of the scalar block of that number.
    pub fn scalar(&self, layer: usize) -> ScalarMixer {
        ScalarMixer {
            hidden: self.hidden_size,
            heads: self.num_heads,
            taps: self.conv1d_kernel_size,
            depth: layer as f64 / self.num_hidden_layers.saturating_sub(1).max(1) as f64,
        }
    }

    /// Number of parameters, block by block of each kind.
    pub(super) fn count(&self) -> Option<u64> {
        let of = |layers: usize, scalar: bool| {
            let slstm_at = if scalar { (0..layers).collect() } else { vec![] };
            super::architecture::parameters(&Self { num_hidden_layers: layers, slstm_at, ..self.clone() })
        };
        let ends = crate::parameters::count(0, |_| of(0, false))?;
        let scalar = crate::parameters::count(self.slstm_at.len(), |layers| of(layers, true))?;
        let others = self.num_hidden_layers.saturating_sub(self.slstm_at.len());
        let matrix = crate::parameters::count(others, |layers| of(layers, false))?;
        matrix.checked_add(scalar)?.checked_sub(ends)
    }

    /// The `config.json` for it.
    pub fn to_json(&self) -> Value {
        let mut value = json!({
            "bias": self.bias,
            "context_length": self.context_length,
            "conv1d_kernel_size": self.conv1d_kernel_size,
            "embedding_dim": self.hidden_size,
            "mlstm_inner_dim": self.inner_dim(),
            "mlstm_proj_factor": self.mlstm_proj_factor,
            "model_type": Self::MODEL_TYPE,
            "num_blocks": self.num_hidden_layers,
            "num_heads": self.num_heads,
            "qkv_proj_blocksize": self.qkv_proj_blocksize,
            "slstm_at": self.slstm_at,
            "slstm_ffn_act": self.slstm_ffn_act.name(),
            "slstm_ffn_dim": self.ffn_dim(),
            "slstm_ffn_proj_factor": self.slstm_ffn_proj_factor,
            "slstm_ffn_round_up_to_multiple_of": self.slstm_ffn_round_up_to_multiple_of,
            "tie_weights": self.tie_word_embeddings,
            "vocab_size": self.vocab_size,
        });
        if self.linear != LinearKind::Full {
            value["linear"] = json!(self.linear.name());
        }
        if let Some(bos) = self.bos_token_id {
            value["bos_token_id"] = json!(bos);
        }
        match self.eos_token_id.as_slice() {
            [] => {}
            [one] => value["eos_token_id"] = json!(one),
            many => value["eos_token_id"] = json!(many),
        }
        for (key, content) in &self.extra {
            value[key] = content.clone();
        }
        value.sort_all_objects();
        value
    }
}

fn rounded_up(width: f64, multiple: usize) -> usize {
    (width / multiple as f64).ceil() as usize * multiple
}

/// `slstm_at`: a list of blocks, or "all".
fn scalar_blocks(fields: &Fields<'_>, layers: usize) -> Result<Vec<usize>> {
    let wrong = || fields.fault("slstm_at", "\"all\" or a list of numbers of blocks");
    match fields.get("slstm_at") {
        None => Ok(vec![]),
        Some(Value::String(word)) if word == "all" => Ok((0..layers).collect()),
        Some(Value::Array(list)) => {
            let one = |item: &Value| item.as_u64().filter(|n| *n < layers as u64).map(|n| n as usize);
            let mut blocks = list.iter().map(one).collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
            blocks.sort_unstable();
            blocks.dedup();
            Ok(blocks)
        }
        Some(_) => Err(wrong()),
    }
}
