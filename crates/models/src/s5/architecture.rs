//! The stack of layers, and its answers to [`Architecture`].

use graph::{Dim, Graph, GraphError, Var};

use super::S5Config;
use crate::architecture::Architecture;
use crate::bundle::EmbeddingType;
use crate::forms::{CacheType, GraphOptions, State};
use crate::frame::Mixer;
use crate::norms::layer_norm;
use crate::parameters::{Init, Parameter, count};

/// eps of flax's layer norm.
const EPS: f64 = 1e-6;

impl S5Config {
    fn made(&self, options: &GraphOptions, time: Dim) -> Result<Graph, GraphError> {
        if options.states && self.layer.bidirectional {
            return Err(GraphError::Input {
                name: "states".into(),
                expected: "the whole sequence: a model that reads both ways has no step".into(),
                found: "a step".into(),
            });
        }
        let states = self.states(options.cache);
        self.shell.graph(options, time, self.linear, &states, |frame, mut h| {
            for layer in 0..self.n_layers {
                frame.cx.tap(&format!("hidden_states.{layer}"), &h);
                let at = format!("layers_{layer}");
                let norm = |x: &Var| {
                    let part = |what: &str| {
                        frame.parameter(&format!("{at}.norm.{what}"), &[self.layer.d_model]).broadcast_like(x)
                    };
                    &layer_norm(x, EPS) * &part("scale") + part("bias")
                };
                let input = if self.prenorm { norm(&h) } else { h.clone() };
                let y = frame.cx.scope(&at, || self.layer.layer(frame, &at, layer, &input));
                h = &h + &y;
                if !self.prenorm {
                    h = norm(&h);
                }
            }
            frame.cx.tap(&format!("hidden_states.{}", self.n_layers), &h);
            h
        })
    }
}

impl Architecture for S5Config {
    fn model_type(&self) -> &'static str {
        Self::MODEL_TYPE
    }

    fn to_json(&self) -> serde_json::Value {
        self.to_json()
    }

    fn vocab_size(&self) -> usize {
        self.shell.vocabulary.unwrap_or(0)
    }

    fn takes_tokens(&self) -> bool {
        self.shell.vocabulary.is_some()
    }

    fn hidden_size(&self) -> usize {
        self.layer.d_model
    }

    fn num_hidden_layers(&self) -> usize {
        self.n_layers
    }

    fn bos_token_id(&self) -> Option<u32> {
        None
    }

    fn eos_token_id(&self) -> &[u32] {
        &[]
    }

    fn tie_word_embeddings(&self) -> bool {
        false
    }

    fn parameters(&self) -> Vec<Parameter> {
        let mut list = vec![];
        self.shell.encoder(&mut list);
        for layer in 0..self.n_layers {
            let at = format!("layers_{layer}");
            self.layer.parameters(&at, self.linear, &mut list);
            for (what, value) in [("scale", 1.0), ("bias", 0.0)] {
                let (name, shape) = (format!("{at}.norm.{what}"), vec![self.layer.d_model]);
                list.push(Parameter { name, shape, init: Init::Constant(value) });
            }
        }
        self.shell.decoder(&mut list);
        list
    }

    fn parameter_count(&self) -> Option<u64> {
        count(self.n_layers, |n_layers| Self { n_layers, ..self.clone() }.parameters())
    }

    fn projections(&self) -> Vec<String> {
        if !self.linear.is_quantized() {
            return vec![];
        }
        let layers = (0..self.n_layers).flat_map(|layer| self.layer.projections(&format!("layers_{layer}")));
        layers.map(|name| format!("{name}.weight")).collect()
    }

    fn embedding(&self) -> &'static str {
        "encoder.weight"
    }

    fn storable(&self) -> Vec<&'static str> {
        if self.takes_tokens() { vec![self.embedding()] } else { vec![] }
    }

    fn stored_as(&self, _: EmbeddingType) -> EmbeddingType {
        EmbeddingType::F32
    }

    fn states(&self, _: CacheType) -> Vec<State> {
        if self.layer.bidirectional {
            return vec![];
        }
        (0..self.n_layers).flat_map(|layer| self.layer.states(layer)).chain(self.shell.states()).collect()
    }

    fn graph(&self, options: &GraphOptions) -> Result<Graph, GraphError> {
        self.made(options, Dim::symbol("T"))
    }

    fn step(&self, options: &GraphOptions) -> Result<Graph, GraphError> {
        self.made(&GraphOptions { states: true, last: true, ..*options }, Dim::from(1))
    }

    fn init_parameter(&self, parameter: &Parameter, seed: u64) -> Vec<f32> {
        let own = self.layer.initial(parameter, seed);
        own.unwrap_or_else(|| crate::parameters::init_values(parameter, seed))
    }
}
