//! The MatMul-free language model's answers to [`Architecture`].

use graph::{Graph, GraphError};

use crate::architecture::{Architecture, field_answers};
use crate::bundle::EMBEDDING;
use crate::config::MatMulFreeConfig;
use crate::forms::{CacheType, GraphOptions, State};
use crate::parameters::Parameter;

impl Architecture for MatMulFreeConfig {
    field_answers!();

    fn pad_token_id(&self) -> Option<u32> {
        self.pad_token_id
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.parameters()
    }

    fn parameter_count(&self) -> Option<u64> {
        self.parameter_count()
    }

    fn projections(&self) -> Vec<String> {
        super::projections(self)
    }

    fn embedding(&self) -> &'static str {
        EMBEDDING
    }

    fn states(&self, _: CacheType) -> Vec<State> {
        super::state_names(self).into_iter().map(|(name, shape)| State::fixed(name, &shape)).collect()
    }

    fn graph(&self, options: &GraphOptions) -> Result<Graph, GraphError> {
        super::sequence_graph(self, options)
    }

    fn step(&self, options: &GraphOptions) -> Result<Graph, GraphError> {
        super::step_graph(self, options.form, options.embedding)
    }

    fn derived(&self) -> Result<Option<Graph>, GraphError> {
        super::bounds_graph(self)
    }
}
