//! The answers to [`Architecture`], and the blocks around the memories.

use graph::typed::{Traced, TracedExt, typed};
use graph::{Graph, GraphError};

use super::XlstmOrigConfig;
use super::config::NORM_EPS;
use crate::architecture::{Architecture, field_answers};
use crate::bundle::EmbeddingType;
use crate::ends::{Ends, Stream, language_model, layer_norm, stored_in_blocks};
use crate::forms::{CacheType, GraphOptions, State};
use crate::frame::{Batch, Frame, Mixer, Seq};
use crate::parameters::{Init, Parameter};
use crate::xlstm::{small, wang};

const EMBEDDING: &str = "token_embedding.weight";
const HEAD: &str = "lm_head.weight";
const LAST_NORM: &str = "xlstm_block_stack.post_blocks_norm.weight";

axes::axes! {
    /// The gated unit.
    pub Unit;
    /// Gate and value of the gated unit side by side.
    pub GateUp;
}

fn at(layer: usize, name: &str) -> String {
    format!("xlstm_block_stack.blocks.{layer}.{name}")
}

/// The projections of the gated unit with their sizes.
fn unit(c: &XlstmOrigConfig) -> [(&'static str, [usize; 2]); 2] {
    let (d, n) = (c.hidden_size, c.ffn_dim());
    [("ffn.proj_up", [2 * n, d]), ("ffn.proj_down", [d, n])]
}

fn mixer(c: &XlstmOrigConfig, layer: usize) -> Box<dyn Mixer> {
    if c.is_scalar(layer) { Box::new(c.scalar(layer)) } else { Box::new(c.matrix()) }
}

pub(super) fn parameters(c: &XlstmOrigConfig) -> Vec<Parameter> {
    let d = c.hidden_size;
    let mut list = vec![];
    let add = |list: &mut Vec<Parameter>, name: String, shape: &[usize], init| {
        list.push(Parameter { name, shape: shape.to_vec(), init });
    };
    let zero = Init::Constant(0.0);
    for layer in 0..c.num_hidden_layers {
        add(&mut list, at(layer, "xlstm_norm.weight"), &[d], zero);
        mixer(c, layer).parameters(&at(layer, "xlstm"), c.linear, &mut list);
        if c.is_scalar(layer) {
            add(&mut list, at(layer, "ffn_norm.weight"), &[d], zero);
            let [up, down] = unit(c);
            c.linear.parameters(&mut list, &at(layer, up.0), up.1, small(d), None);
            c.linear.parameters(&mut list, &at(layer, down.0), down.1, wang(d, c.num_hidden_layers), None);
        }
    }
    add(&mut list, LAST_NORM.into(), &[d], zero);
    add(&mut list, EMBEDDING.into(), &[c.vocab_size, d], small(d));
    if !c.tie_word_embeddings {
        add(&mut list, HEAD.into(), &[c.vocab_size, d], small(d));
    }
    list
}

/// The norm whose weight is what is added to 1.
fn norm(c: &XlstmOrigConfig, frame: &Frame<'_>, name: &str, x: &Stream) -> Stream {
    let weight = frame.parameter(name, &[c.hidden_size]) + 1.0;
    typed(layer_norm(x.var(), &weight, NORM_EPS))
}

fn gated_unit(c: &XlstmOrigConfig, frame: &Frame<'_>, layer: usize, x: &Stream) -> Stream {
    let [up, down] = unit(c);
    let both: Traced<(Batch, Seq, GateUp)> = frame.project(&at(layer, up.0), up.1, false, x);
    let (gate, value) = both.halves::<Unit>();
    let act: Traced<(Batch, Seq, Unit)> = typed(&c.slstm_ffn_act.apply(gate.var()) * value.var());
    frame.project(&at(layer, down.0), down.1, false, &act)
}

impl Architecture for XlstmOrigConfig {
    field_answers!();

    fn parameters(&self) -> Vec<Parameter> {
        parameters(self)
    }

    fn parameter_count(&self) -> Option<u64> {
        self.count()
    }

    fn projections(&self) -> Vec<String> {
        if !self.linear.is_quantized() {
            return vec![];
        }
        let layer = |layer: usize| {
            let mut names = mixer(self, layer).projections(&at(layer, "xlstm"));
            if self.is_scalar(layer) {
                names.extend(unit(self).map(|(name, _)| at(layer, name)));
            }
            names.into_iter().map(|name| format!("{name}.weight"))
        };
        (0..self.num_hidden_layers).flat_map(layer).collect()
    }

    fn embedding(&self) -> &'static str {
        EMBEDDING
    }

    fn states(&self, _: CacheType) -> Vec<State> {
        (0..self.num_hidden_layers).flat_map(|layer| mixer(self, layer).states(layer)).collect()
    }

    fn graph(&self, options: &GraphOptions) -> Result<Graph, GraphError> {
        let ends = Ends {
            embedding: EMBEDDING,
            head: if self.tie_word_embeddings { EMBEDDING } else { HEAD },
            vocab: self.vocab_size,
            hidden: self.hidden_size,
            layers: self.num_hidden_layers,
            cap: None,
        };
        let block = |frame: &Frame<'_>, layer: usize, x: &Stream| {
            let x = frame.cx.scope("xlstm", || {
                let y = norm(self, frame, &at(layer, "xlstm_norm.weight"), x);
                x + &mixer(self, layer).apply(frame, &at(layer, "xlstm"), layer, &y)
            });
            if !self.is_scalar(layer) {
                return x;
            }
            frame.cx.scope("ffn", || {
                let y = norm(self, frame, &at(layer, "ffn_norm.weight"), &x);
                &x + &gated_unit(self, frame, layer, &y)
            })
        };
        let last = |frame: &Frame<'_>, x: &Stream| norm(self, frame, LAST_NORM, x);
        language_model(&ends, options, self.linear, &self.states(options.cache), block, last)
    }

    fn storable(&self) -> Vec<&'static str> {
        [EMBEDDING, HEAD][..if self.tie_word_embeddings { 1 } else { 2 }].to_vec()
    }

    fn stored_as(&self, wanted: EmbeddingType) -> EmbeddingType {
        stored_in_blocks(wanted)
    }
}
