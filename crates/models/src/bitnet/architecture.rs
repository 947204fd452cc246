//! BitNet's answers to [`Architecture`].

use std::collections::BTreeMap;

use axes::BlockFormat;
use graph::{Graph, GraphError};
use serde_json::Value;

use super::BitNetConfig;
use crate::architecture::Architecture;
use crate::bundle::EmbeddingType;
use crate::decoder;
use crate::error::Result;
use crate::folder::Weights;
use crate::forms::{CacheType, GraphOptions, State};
use crate::parameters::{Parameter, check_tensors};

impl Architecture for BitNetConfig {
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
        self.projections()
    }

    fn embedding(&self) -> &'static str {
        super::EMBEDDING
    }

    /// Packed folders hold a matrix of M × K trits as u8 (M/4, K) with a `weight_scale` of one number beside it.
    fn check(&self, weights: &Weights) -> Result<()> {
        let tied = self.tie_word_embeddings.then_some(super::EMBEDDING);
        let mut floats = self.expected_tensors();
        let mut bytes = vec![];
        if self.quantization.packed {
            let ternary: std::collections::HashSet<String> = self.projections().into_iter().collect();
            let (packed, plain): (Vec<_>, Vec<_>) =
                floats.into_iter().partition(|(name, _)| ternary.contains(name));
            floats = plain;
            floats.extend(packed.iter().map(|(name, _)| (format!("{name}_scale"), vec![1])));
            bytes
                .extend(packed.into_iter().map(|(name, shape)| (name, vec![shape[0].div_ceil(4), shape[1]])));
        }
        check_tensors(weights, &floats, &bytes, tied)
    }

    fn states(&self, cache: CacheType) -> Vec<State> {
        decoder::states(&self.decoder(), cache)
    }

    fn graph(&self, options: &GraphOptions) -> std::result::Result<Graph, GraphError> {
        decoder::graph(&self.decoder(), options)
    }

    fn storable(&self) -> Vec<&'static str> {
        if self.tie_word_embeddings {
            vec![super::EMBEDDING]
        } else {
            vec![super::EMBEDDING, "lm_head.weight"]
        }
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

    fn is_packed(&self) -> bool {
        self.quantization.packed
    }

    fn unpack(&self, weights: &Weights, name: &str) -> Result<(Vec<i8>, f32)> {
        super::packed::unpack(self, weights, name)
    }

    fn chunk(&self) -> usize {
        256
    }
}
