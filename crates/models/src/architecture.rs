//! What the rest of the workspace asks of a model, whichever architecture it has.
//!
//! [`Architecture`] is the list of questions; each configuration answers them in a file of its own. [`ModelConfig`] is
//! any of them: it is read from a `config.json` by its `model_type` and dereferences to the trait, so that a caller who
//! does not care asks it directly.
//!
//! ```
//! use models::architecture::ModelConfig;
//! let value = serde_json::json!({"model_type": "hgrn_bit", "hidden_size": 1024});
//! let config = ModelConfig::from_json("config.json".as_ref(), &value)?.config;
//! assert_eq!((config.model_type(), config.hidden_size()), ("hgrn_bit", 1024));
//! # Ok::<(), models::ModelError>(())
//! ```

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::Path;

use axes::BlockFormat;
use graph::{Graph, GraphError};
use serde_json::Value;

use crate::bitnet::BitNetConfig;
use crate::bundle::EmbeddingType;
use crate::config::{MatMulFreeConfig, Parsed, model_type};
use crate::error::Result;
use crate::folder::{ModelFolder, Weights};
use crate::forms::{CacheType, GraphOptions, State};
use crate::frame::Quantizer;
use crate::parameters::{Parameter, check_tensors, init_values};
use crate::qwen3::Qwen3Config;
use crate::registry::{self, Listed};
use crate::safetensors::NamedTensor;

/// The formats of a model of which no matrix lies in blocks.
static NO_FORMATS: BTreeMap<String, BlockFormat> = BTreeMap::new();

/// An architecture with its sizes.
pub trait Architecture {
    /// `model_type` in `config.json`.
    fn model_type(&self) -> &'static str;

    /// The `config.json` of the published layout.
    fn to_json(&self) -> Value;

    /// Tokens.
    fn vocab_size(&self) -> usize;

    /// Whether the model is over `input_ids`; else over `x` f32 [B, T, D], and gives `y`.
    fn takes_tokens(&self) -> bool {
        true
    }

    /// Width of the residual stream.
    fn hidden_size(&self) -> usize;

    /// Blocks.
    fn num_hidden_layers(&self) -> usize;

    /// First token of a text.
    fn bos_token_id(&self) -> Option<u32>;

    /// Tokens that end a text.
    fn eos_token_id(&self) -> &[u32];

    /// Embedding row that is zero at first.
    fn pad_token_id(&self) -> Option<u32> {
        None
    }

    /// The head uses the embedding's weight.
    fn tie_word_embeddings(&self) -> bool;

    /// Every parameter as master weights, in the order of the published state dict.
    fn parameters(&self) -> Vec<Parameter>;

    /// Number of parameters; nothing if it does not fit 64 bits.
    fn parameter_count(&self) -> Option<u64>;

    /// The matrices whose weights are ternary: names in the state dict.
    fn projections(&self) -> Vec<String>;

    /// How the master weights of those matrices become trits.
    fn quantizer(&self) -> Quantizer {
        Quantizer::Absmean
    }

    /// Parameters that training leaves as they are, such as the random features of a Performer.
    fn buffers(&self) -> Vec<String> {
        vec![]
    }

    /// Name of the embedding in the state dict.
    fn embedding(&self) -> &'static str;

    /// What the graphs carry from token to token, in the order in which they take and give it.
    fn states(&self, cache: CacheType) -> Vec<State>;

    /// The whole-sequence form, or with states that of a chunk, with the sizes `B`, `T` and, for caches, [`crate::forms::PLACES`]
    /// left open.
    ///
    /// # Errors
    /// Options that the architecture cannot have together.
    fn graph(&self, options: &GraphOptions) -> Result<Graph, GraphError>;

    /// The streaming step: one token of each sequence and the states in, `logits` (B, V) and the new states out.
    ///
    /// # Errors
    /// As [`Architecture::graph`].
    fn step(&self, options: &GraphOptions) -> Result<Graph, GraphError> {
        self.graph(&GraphOptions { states: true, last: true, ..*options })
    }

    /// Weights of the prepared form that are made of others once, beside the trits.
    ///
    /// # Errors
    /// None for a configuration that is valid.
    fn derived(&self) -> Result<Option<Graph>, GraphError> {
        Ok(None)
    }

    /// Matrices that may be stored in blocks: the embedding, and a head that is not ternary.
    fn storable(&self) -> Vec<&'static str> {
        vec![self.embedding()]
    }

    /// The matrices that lie in blocks, by their names in the state dict, where the architecture takes any matrix so.
    fn formats(&self) -> &BTreeMap<String, BlockFormat> {
        &NO_FORMATS
    }

    /// How those matrices are stored where a type is asked for: a head that is multiplied with has kernels for blocks only.
    fn stored_as(&self, wanted: EmbeddingType) -> EmbeddingType {
        wanted
    }

    /// Whether the files hold trits and scales instead of master weights.
    fn is_packed(&self) -> bool {
        false
    }

    /// The trits and the scale s of a projection from files of packed ones; W = t / s.
    ///
    /// # Errors
    /// Codes and scales that are none, and architectures without packed files.
    fn unpack(&self, weights: &Weights, name: &str) -> Result<(Vec<i8>, f32)> {
        Err(crate::ModelError::tensor(weights.path(), name, "packed trits", "none", "use master weights"))
    }

    /// Tokens of a chunk of a prompt. All that is chosen here is speed.
    fn chunk(&self) -> usize {
        128
    }

    /// Name and shape of every parameter.
    fn expected_tensors(&self) -> Vec<(String, Vec<usize>)> {
        self.parameters().into_iter().map(|parameter| (parameter.name, parameter.shape)).collect()
    }

    /// Checks that a file holds these tensors, all of them and no others.
    ///
    /// # Errors
    /// [`crate::ModelError::Weights`] with everything that differs.
    fn check(&self, weights: &Weights) -> Result<()> {
        let tied = self.tie_word_embeddings().then(|| self.embedding());
        check_tensors(weights, &self.expected_tensors(), &[], tied)
    }

    /// Initial weights; the same seed gives the same values in every version.
    fn init(&self, seed: u64) -> Vec<NamedTensor<'static>> {
        let tensors = self.parameters().into_iter().map(|parameter| {
            let values = self.init_parameter(&parameter, seed);
            NamedTensor::f32(parameter.name, &parameter.shape, values)
        });
        tensors.collect()
    }

    /// Initial values of one parameter; the same seed gives the same values in every version.
    fn init_parameter(&self, parameter: &Parameter, seed: u64) -> Vec<f32> {
        let mut values = init_values(parameter, seed);
        if let (Some(pad), true) = (self.pad_token_id(), parameter.name == self.embedding()) {
            let width = self.hidden_size();
            values[pad as usize * width..][..width].fill(0.0);
        }
        values
    }
}

/// The answers that are fields of every configuration, by their names.
macro_rules! field_answers {
    () => {
        fn model_type(&self) -> &'static str {
            Self::MODEL_TYPE
        }

        fn to_json(&self) -> serde_json::Value {
            self.to_json()
        }

        fn vocab_size(&self) -> usize {
            self.vocab_size
        }

        fn hidden_size(&self) -> usize {
            self.hidden_size
        }

        fn num_hidden_layers(&self) -> usize {
            self.num_hidden_layers
        }

        fn bos_token_id(&self) -> Option<u32> {
            self.bos_token_id
        }

        fn eos_token_id(&self) -> &[u32] {
            &self.eos_token_id
        }

        fn tie_word_embeddings(&self) -> bool {
            self.tie_word_embeddings
        }
    };
}
pub(crate) use field_answers;

/// The configuration of any supported architecture.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelConfig {
    /// The MatMul-free language model.
    MatMulFree(Box<MatMulFreeConfig>),
    /// BitNet b1.58.
    BitNet(Box<BitNetConfig>),
    /// Qwen3.
    Qwen3(Box<Qwen3Config>),
    /// One of the table of [`registry`].
    Listed(Listed),
}

impl ModelConfig {
    /// Reads a `config.json` of any supported architecture; `path` is named in errors and warnings.
    ///
    /// # Errors
    /// [`crate::ModelError::Architecture`] for another `model_type`; those of the architecture's own reader.
    pub fn from_json(path: &Path, value: &Value) -> Result<Parsed<Self>> {
        let found = model_type(path, value)?;
        if let Some(entry) = registry::entry(found) {
            return Ok((entry.read)(path, value)?.map(Self::Listed));
        }
        Ok(match found {
            BitNetConfig::MODEL_TYPE => BitNetConfig::from_json(path, value)?.map(Into::into),
            Qwen3Config::MODEL_TYPE => Qwen3Config::from_json(path, value)?.map(Into::into),
            _ => MatMulFreeConfig::from_json(path, value)?.map(Into::into),
        })
    }

    /// Reads the configuration of a folder and checks the folder's weights against it.
    ///
    /// # Errors
    /// Those of [`ModelConfig::from_json`] and [`Architecture::check`].
    pub fn from_folder(folder: &ModelFolder) -> Result<Parsed<Self>> {
        let mut parsed = Self::from_json(&folder.config_path(), folder.config())?;
        parsed.config.check(folder.weights())?;
        parsed.warnings.extend(folder.warnings().iter().cloned());
        Ok(parsed)
    }
}

impl ModelConfig {
    /// The same with other matrices in blocks; nothing for an architecture that has none so. A ternary matrix in blocks is
    /// no projection: it is multiplied as the numbers that its blocks hold.
    ///
    /// # Errors
    /// [`crate::ModelError::Field`] for a name that is no matrix of the model, or columns that are no whole blocks.
    pub fn with_formats(&self, path: &Path, formats: BTreeMap<String, BlockFormat>) -> Result<Option<Self>> {
        let config: Self = match self {
            Self::MatMulFree(_) | Self::Listed(_) => return Ok(None),
            Self::BitNet(config) => BitNetConfig { formats, ..config.as_ref().clone() }.into(),
            Self::Qwen3(config) => Qwen3Config { formats, ..config.as_ref().clone() }.into(),
        };
        check_formats(path, &*config)?;
        Ok(Some(config))
    }

    /// Whether matrices other than embedding and head may lie in blocks.
    pub fn takes_blocks(&self) -> bool {
        matches!(self, Self::BitNet(_) | Self::Qwen3(_))
    }
}

/// Fails where a matrix in blocks is none of the model's, or its columns are no whole blocks.
fn check_formats(path: &Path, config: &dyn Architecture) -> Result<()> {
    if config.formats().is_empty() {
        return Ok(());
    }
    let shapes: BTreeMap<String, Vec<usize>> = config.expected_tensors().into_iter().collect();
    for (name, format) in config.formats() {
        let whole = match shapes.get(name).map(Vec::as_slice) {
            Some(&[_, columns]) => format.row_bytes(columns).is_some(),
            _ => false,
        };
        if !whole {
            let expected = format!("a matrix whose columns are whole blocks of {}", format.block());
            let remedy = "correct one of the two values";
            return Err(crate::ModelError::field(path, name, expected, format.to_string(), remedy));
        }
    }
    Ok(())
}

impl Deref for ModelConfig {
    type Target = dyn Architecture;

    fn deref(&self) -> &(dyn Architecture + 'static) {
        match self {
            Self::MatMulFree(config) => config.as_ref(),
            Self::BitNet(config) => config.as_ref(),
            Self::Qwen3(config) => config.as_ref(),
            Self::Listed(config) => &**config,
        }
    }
}

impl From<MatMulFreeConfig> for ModelConfig {
    fn from(config: MatMulFreeConfig) -> Self {
        Self::MatMulFree(Box::new(config))
    }
}

impl From<BitNetConfig> for ModelConfig {
    fn from(config: BitNetConfig) -> Self {
        Self::BitNet(Box::new(config))
    }
}

impl From<Qwen3Config> for ModelConfig {
    fn from(config: Qwen3Config) -> Self {
        Self::Qwen3(Box::new(config))
    }
}
