//! BitNet's answers to [`Architecture`]: those of every decoder, and packed folders.

use super::BitNetConfig;
use crate::architecture::Architecture;
use crate::decoder::config::decoder_answers;
use crate::error::Result;
use crate::folder::Weights;
use crate::parameters::check_tensors;

impl Architecture for BitNetConfig {
    decoder_answers!();

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

    fn is_packed(&self) -> bool {
        self.quantization.packed
    }

    fn unpack(&self, weights: &Weights, name: &str) -> Result<(Vec<i8>, f32)> {
        super::packed::unpack(self, weights, name)
    }
}
