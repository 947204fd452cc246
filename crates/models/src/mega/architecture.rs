//! MEGA's parameters and its answers to [`Architecture`].

use axes::DType;
use graph::{Dim, Graph, GraphError};

use super::{MegaConfig, MegaNorm, RelativeBias};
use crate::architecture::{Architecture, field_answers};
use crate::bundle::EmbeddingType;
use crate::error::Result;
use crate::folder::Weights;
use crate::forms::{CacheType, GraphOptions, PLACES, State};
use crate::parameters::{Init, Parameter, check_tensors, count};

/// The embedding, whose weight the head shares.
pub(super) const EMBEDDING: &str = "mega.embedding_layer.word_embeddings.weight";

impl MegaConfig {
    /// Name of the head, whose bias is a parameter of its own.
    pub(super) fn head(&self) -> &'static str {
        if self.masked { "mlm_head" } else { "lm_head" }
    }

    fn norm_parameters(&self, list: &mut Vec<Parameter>, at: &str) {
        if !self.norm_affine {
            return;
        }
        let mut add = |name: &str, n: usize, value: f32| {
            list.push(Parameter {
                name: format!("{at}.norm.{name}"),
                shape: vec![n],
                init: Init::Constant(value),
            });
        };
        let d = self.hidden_size;
        match self.normalization_type {
            MegaNorm::Scale => add("scalar", 1, 1.0),
            MegaNorm::Rms => add("weight", d, 1.0),
            MegaNorm::Layer => {
                add("weight", d, 1.0);
                add("bias", d, 0.0);
            }
        }
    }

    /// Every parameter, in the order of the published state dict.
    pub(super) fn list(&self) -> Vec<Parameter> {
        let (d, n, z, v) = (
            self.hidden_size,
            self.ema_projection_size,
            self.shared_representation_size,
            self.intermediate_size,
        );
        let normal = Init::Normal(self.initializer_range);
        let zero = Init::Constant(0.0);
        let mut list = vec![];
        fn add(list: &mut Vec<Parameter>, name: String, shape: &[usize], init: Init) {
            list.push(Parameter { name, shape: shape.to_vec(), init });
        }
        add(&mut list, EMBEDDING.into(), &[self.vocab_size, d], normal);
        if self.add_token_type_embeddings {
            let name = "mega.embedding_layer.token_type_embeddings.weight";
            add(&mut list, name.into(), &[self.type_vocab_size, d], normal);
        }
        for layer in 0..self.num_hidden_layers {
            let at = |name: &str| format!("mega.layers.{layer}.{name}");
            add(&mut list, at("mega_layer.qk_weight"), &[2, z], normal);
            add(&mut list, at("mega_layer.qk_bias"), &[2, z], zero);
            self.norm_parameters(&mut list, &at("mega_layer.norm"));
            let rows = d * (1 + usize::from(self.bidirectional));
            let (delta, gamma) =
                (Init::Normal(self.ema_delta_alpha_range), Init::Normal(self.ema_gamma_omega_range));
            let ema = |name: &str| at(&format!("mega_layer.ema_gate.{name}"));
            add(&mut list, ema("damping_factor"), &[rows, n, 1], delta);
            add(&mut list, ema("decay_factor"), &[rows, n, 1], delta);
            add(&mut list, ema("ema_expansion_matrix"), &[rows, n, 1], Init::Normal(self.ema_beta_range));
            add(&mut list, ema("kernel_projection_matrix"), &[rows, n], gamma);
            add(&mut list, ema("residual_weight"), &[d], gamma);
            let linear = |list: &mut Vec<Parameter>, name: &str, sizes: [usize; 2]| {
                self.linear.parameters(list, &at(name), sizes, normal, Some(zero));
            };
            linear(&mut list, "mega_layer.v_proj", [v, d]);
            linear(&mut list, "mega_layer.mx_proj", [z + v + 2 * d, d]);
            linear(&mut list, "mega_layer.h_proj", [d, v]);
            match self.relative_positional_bias {
                RelativeBias::Rotary => {
                    add(&mut list, at("mega_layer.rel_pos_bias.alpha"), &[1, z], normal);
                    add(&mut list, at("mega_layer.rel_pos_bias.b_param"), &[1, z], normal);
                }
                RelativeBias::Simple => {
                    let rows = 2 * self.max_positions - 1;
                    add(&mut list, at("mega_layer.rel_pos_bias.rel_pos_bias"), &[rows], normal);
                }
            }
            if self.use_normalized_ffn {
                self.norm_parameters(&mut list, &at("nffn.norm"));
                linear(&mut list, "nffn.fc1", [self.nffn_hidden_size, d]);
                linear(&mut list, "nffn.fc2", [d, self.nffn_hidden_size]);
            }
        }
        if self.add_lm_hidden_dense_layer {
            add(&mut list, "dense.weight".into(), &[d, d], normal);
            add(&mut list, "dense.bias".into(), &[d], zero);
        }
        add(&mut list, format!("{}.bias", self.head()), &[self.vocab_size], zero);
        list
    }

    /// Whether there is a step from token to token.
    pub(super) fn streams(&self) -> bool {
        self.is_decoder && !self.bidirectional
    }
}

impl Architecture for MegaConfig {
    field_answers!();

    fn pad_token_id(&self) -> Option<u32> {
        self.pad_token_id
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.list()
    }

    fn parameter_count(&self) -> Option<u64> {
        count(self.num_hidden_layers, |layers| Self { num_hidden_layers: layers, ..self.clone() }.list())
    }

    fn projections(&self) -> Vec<String> {
        if !self.linear.is_quantized() {
            return vec![];
        }
        let names = ["mega_layer.v_proj", "mega_layer.mx_proj", "mega_layer.h_proj", "nffn.fc1", "nffn.fc2"];
        let names = &names[..if self.use_normalized_ffn { 5 } else { 3 }];
        let layers = 0..self.num_hidden_layers;
        layers.flat_map(|l| names.iter().map(move |n| format!("mega.layers.{l}.{n}.weight"))).collect()
    }

    fn embedding(&self) -> &'static str {
        EMBEDDING
    }

    fn stored_as(&self, _: EmbeddingType) -> EmbeddingType {
        EmbeddingType::F32
    }

    fn states(&self, _: CacheType) -> Vec<State> {
        if !self.streams() {
            return vec![];
        }
        let (d, n, z, v) = (
            self.hidden_size,
            self.ema_projection_size,
            self.shared_representation_size,
            self.intermediate_size,
        );
        let mut list = vec![];
        if self.chunk_size.is_some() {
            list.push(State::fixed("chunk_position".into(), &[1]));
        }
        for layer in 0..self.num_hidden_layers {
            list.push(State::fixed(format!("ema_state.{layer}"), &[d, n]));
            match self.chunk_size {
                Some(chunk) => {
                    list.push(State::fixed(format!("key_state.{layer}"), &[chunk, z]));
                    list.push(State::fixed(format!("value_state.{layer}"), &[chunk, v]));
                }
                None => {
                    let cache = |name: &str, width: usize| State {
                        name: format!("{name}.{layer}"),
                        shape: vec![Dim::symbol(PLACES), width.into()],
                        dtype: DType::F32,
                    };
                    list.extend([cache("key_cache", z), cache("value_cache", v)]);
                }
            }
        }
        list
    }

    fn graph(&self, options: &GraphOptions) -> Result<Graph, GraphError> {
        super::graphs::graph(self, options, Dim::symbol("T"))
    }

    fn step(&self, options: &GraphOptions) -> Result<Graph, GraphError> {
        let options = GraphOptions { states: true, last: true, ..*options };
        super::graphs::graph(self, &options, Dim::from(1))
    }

    /// The published files also hold a buffer of one zero for each rotary bias.
    fn check(&self, weights: &Weights) -> Result<()> {
        let mut expected = self.expected_tensors();
        for layer in 0..self.num_hidden_layers {
            let name = format!("mega.layers.{layer}.mega_layer.rel_pos_bias._float_tensor");
            if self.relative_positional_bias == RelativeBias::Rotary && weights.tensor(&name).is_ok() {
                expected.push((name, vec![1]));
            }
        }
        let copy = format!("{}.weight", self.head());
        if copy != "lm_head.weight" && weights.tensor(&copy).is_ok() {
            expected.push((copy, vec![self.vocab_size, self.hidden_size]));
        }
        check_tensors(weights, &expected, &[], Some(EMBEDDING))
    }

    /// β begins around 1, −1, 1, … over the dimensions of a channel.
    fn init_parameter(&self, parameter: &Parameter, seed: u64) -> Vec<f32> {
        let mut values = crate::parameters::init_values(parameter, seed);
        if parameter.name.ends_with("ema_expansion_matrix") {
            let n = self.ema_projection_size;
            values
                .iter_mut()
                .enumerate()
                .for_each(|(k, x)| *x += if (k % n).is_multiple_of(2) { 1.0 } else { -1.0 });
        }
        if let (Some(pad), true) = (self.pad_token_id, parameter.name == EMBEDDING) {
            let width = self.hidden_size;
            values[pad as usize * width..][..width].fill(0.0);
        }
        values
    }
}
