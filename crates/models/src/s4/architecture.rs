//! The model around the blocks, and its answers to [`Architecture`].

use graph::{Cx, Dim, Graph, GraphError, Var};

use super::{S4Config, S4Kind};
use crate::architecture::Architecture;
use crate::bundle::EmbeddingType;
use crate::error::Result;
use crate::folder::Weights;
use crate::forms::{CacheType, GraphOptions, State};
use crate::frame::{Frame, LinearKind, Mixer};
use crate::norms::layer_norm;
use crate::parameters::{Init, Parameter, check_tensors_but, count};

/// eps of PyTorch's layer norm.
const EPS: f64 = 1e-5;

impl S4Config {
    fn at(&self, layer: usize) -> String {
        self.n_layers.map_or_else(String::new, |_| format!("s4_layers.{layer}"))
    }

    fn layers(&self) -> usize {
        self.n_layers.unwrap_or(1)
    }

    fn made(&self, options: &GraphOptions, time: Dim) -> std::result::Result<Graph, GraphError> {
        let states = self.states(options.cache);
        self.shell.graph(options, time, self.linear, &states, |frame, mut h| {
            let d = self.shell.width;
            if self.n_layers.is_none() {
                return self.block.block(frame, "", 0, &h);
            }
            for layer in 0..self.layers() {
                frame.cx.tap(&format!("hidden_states.{layer}"), &h);
                let norm = |x: &Var| {
                    let part = |what: &str| {
                        frame.parameter(&format!("norms.{layer}.{what}"), &[d]).broadcast_like(x)
                    };
                    &layer_norm(x, EPS) * &part("weight") + part("bias")
                };
                let input = if self.prenorm { norm(&h) } else { h.clone() };
                let y = frame.cx.scope(&format!("s4_layers.{layer}"), || {
                    self.block.block(frame, &self.at(layer), layer, &input)
                });
                h = &h + &y;
                if !self.prenorm {
                    h = norm(&h);
                }
            }
            frame.cx.tap(&format!("hidden_states.{}", self.layers()), &h);
            h
        })
    }
}

impl Architecture for S4Config {
    fn model_type(&self) -> &'static str {
        if self.block.kind == S4Kind::Minimal { "s4d" } else { "s4" }
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
        self.block.d_model
    }

    fn num_hidden_layers(&self) -> usize {
        self.layers()
    }

    fn bos_token_id(&self) -> Option<u32> {
        None
    }

    fn eos_token_id(&self) -> &[u32] {
        &[]
    }

    fn tie_word_embeddings(&self) -> bool {
        self.tie_word_embeddings
    }

    fn parameters(&self) -> Vec<Parameter> {
        let mut list = vec![];
        self.shell.encoder(&mut list);
        for layer in 0..self.layers() {
            self.block.parameters(&self.at(layer), self.linear, &mut list);
        }
        for layer in 0..self.n_layers.unwrap_or(0) {
            for (what, value) in [("weight", 1.0), ("bias", 0.0)] {
                let (name, shape) = (format!("norms.{layer}.{what}"), vec![self.block.d_model]);
                list.push(Parameter { name, shape, init: Init::Constant(value) });
            }
        }
        self.shell.decoder(&mut list);
        list
    }

    fn parameter_count(&self) -> Option<u64> {
        if self.n_layers.is_none() {
            let sizes =
                self.parameters().into_iter().map(|p| p.shape.iter().map(|n| *n as u64).product::<u64>());
            return Some(sizes.sum());
        }
        count(self.layers(), |layers| Self { n_layers: Some(layers), ..self.clone() }.parameters())
    }

    fn projections(&self) -> Vec<String> {
        if self.linear == LinearKind::Full {
            return vec![];
        }
        let layers = (0..self.layers()).flat_map(|layer| self.block.projections(&self.at(layer)));
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
        (0..self.layers()).flat_map(|layer| self.block.states(layer)).chain(self.shell.states()).collect()
    }

    fn graph(&self, options: &GraphOptions) -> std::result::Result<Graph, GraphError> {
        self.made(options, Dim::symbol("T"))
    }

    fn step(&self, options: &GraphOptions) -> std::result::Result<Graph, GraphError> {
        self.made(&GraphOptions { states: true, last: true, ..*options }, Dim::from(1))
    }

    /// The readouts of DPLR blocks.
    fn derived(&self) -> std::result::Result<Option<Graph>, GraphError> {
        if self.block.kind != S4Kind::Dplr {
            return Ok(None);
        }
        let (cx, options) = (Cx::abstract_(), GraphOptions::default());
        let frame = Frame::new(&cx, &options, self.linear);
        let each = |layer| {
            let at = self.at(layer);
            let readout = self.block.readout(&frame, &self.block.continuous(&frame, &at));
            (self.block.readout_name(&at), readout)
        };
        let made: Vec<(String, Var)> = (0..self.layers()).map(each).collect();
        drop(frame);
        let named: Vec<(&str, &Var)> = made.iter().map(|(name, v)| (name.as_str(), v)).collect();
        let mut graph = cx.finish(&named)?;
        graph.taps.clear();
        Ok(Some(graph))
    }

    /// A DPLR block's file also holds the length that its C is made for.
    fn check(&self, weights: &Weights) -> Result<()> {
        let names: Vec<String> =
            (0..self.layers()).map(|layer| self.block.name(&self.at(layer), "kernel.l_kernel")).collect();
        let known = |name: &str| self.block.kind == S4Kind::Dplr && names.iter().any(|n| n == name);
        check_tensors_but(weights, &self.expected_tensors(), &[], None, &known)?;
        for name in names.iter().filter(|name| known(name)) {
            let Ok(view) = weights.tensor(name) else { continue };
            let mut bytes = [0; 8];
            let found = (view.bytes.len() == 8).then(|| {
                bytes.copy_from_slice(view.bytes);
                i64::from_le_bytes(bytes)
            });
            if found != Some(self.block.l_kernel as i64) {
                let expected =
                    format!("{}, as l_kernel, or l_max and L, of config.json say", self.block.l_kernel);
                let found = found.map_or("no i64".into(), |n| n.to_string());
                let remedy = "set `l_kernel` in config.json to the number in the file";
                return Err(crate::ModelError::tensor(weights.path(), name, expected, found, remedy));
            }
        }
        Ok(())
    }

    fn init_parameter(&self, parameter: &Parameter, seed: u64) -> Vec<f32> {
        let own = self.block.initial(parameter, seed);
        own.unwrap_or_else(|| crate::parameters::init_values(parameter, seed))
    }
}
