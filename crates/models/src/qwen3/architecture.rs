//! Qwen3's answers to [`Architecture`].

use std::collections::BTreeMap;

use axes::BlockFormat;
use graph::{Graph, GraphError};
use serde_json::Value;

use super::{EMBEDDING, Qwen3Config};
use crate::architecture::Architecture;
use crate::bundle::EmbeddingType;
use crate::decoder;
use crate::forms::{CacheType, GraphOptions, State};
use crate::parameters::Parameter;

impl Architecture for Qwen3Config {
    fn model_type(&self) -> &'static str {
        Self::MODEL_TYPE
    }

    fn to_json(&self) -> Value {
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

    fn parameters(&self) -> Vec<Parameter> {
        self.parameters()
    }

    fn parameter_count(&self) -> Option<u64> {
        self.parameter_count()
    }

    fn projections(&self) -> Vec<String> {
        vec![]
    }

    fn embedding(&self) -> &'static str {
        EMBEDDING
    }

    fn states(&self, cache: CacheType) -> Vec<State> {
        decoder::states(&self.decoder(), cache)
    }

    fn graph(&self, options: &GraphOptions) -> Result<Graph, GraphError> {
        decoder::graph(&self.decoder(), options)
    }

    fn storable(&self) -> Vec<&'static str> {
        if self.tie_word_embeddings { vec![EMBEDDING] } else { vec![EMBEDDING, "lm_head.weight"] }
    }

    fn formats(&self) -> &BTreeMap<String, BlockFormat> {
        &self.formats
    }

    fn stored_as(&self, wanted: EmbeddingType) -> EmbeddingType {
        match wanted {
            EmbeddingType::Bf16 => EmbeddingType::Block(BlockFormat::Bf16),
            EmbeddingType::I8 => EmbeddingType::Block(BlockFormat::Q8_0),
            other => other,
        }
    }

    fn chunk(&self) -> usize {
        256
    }
}
