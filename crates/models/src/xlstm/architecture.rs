//! The answers to [`Architecture`], and the block around the memory.

use graph::typed::{Traced, TracedExt, typed};
use graph::{Graph, GraphError, Var};

use super::mixer::{small, wang};
use super::{WeightMode, XlstmConfig};
use crate::architecture::{Architecture, field_answers};
use crate::bundle::EmbeddingType;
use crate::ends::{Ends, Stream, language_model, stored_in_blocks};
use crate::forms::{CacheType, GraphOptions, State};
use crate::frame::{Batch, Frame, Mixer, Seq};
use crate::parameters::{Init, Parameter};

const EMBEDDING: &str = "backbone.embeddings.weight";
const HEAD: &str = "lm_head.weight";

axes::axes! {
    /// The gated unit.
    pub Unit;
    /// Gate and value of the gated unit side by side.
    pub GateUp;
}

fn at(layer: usize, name: &str) -> String {
    format!("backbone.blocks.{layer}.{name}")
}

/// The projections of the gated unit with their sizes.
fn unit(c: &XlstmConfig) -> Vec<(&'static str, [usize; 2])> {
    let (d, n) = (c.hidden_size, c.ffn_dim());
    match c.weight_mode {
        WeightMode::Single => {
            vec![("ffn.proj_up_gate", [n, d]), ("ffn.proj_up", [n, d]), ("ffn.proj_down", [d, n])]
        }
        WeightMode::Fused => vec![("ffn.proj_up_gate_z", [2 * n, d]), ("ffn.proj_down", [d, n])],
    }
}

pub(super) fn parameters(c: &XlstmConfig) -> Vec<Parameter> {
    let d = c.hidden_size;
    let mut list = vec![];
    let add = |list: &mut Vec<Parameter>, name: String, shape: &[usize], init| {
        list.push(Parameter { name, shape: shape.to_vec(), init });
    };
    let norm = |list: &mut Vec<Parameter>, name: String, bias: bool| {
        add(list, format!("{name}.weight"), &[d], Init::Constant(1.0));
        if bias {
            add(list, format!("{name}.bias"), &[d], Init::Constant(0.0));
        }
    };
    add(&mut list, EMBEDDING.into(), &[c.vocab_size, d], small(d));
    for layer in 0..c.num_hidden_layers {
        norm(&mut list, at(layer, "norm_mlstm"), c.use_bias);
        c.mixer().parameters(&at(layer, "mlstm_layer"), c.linear, &mut list);
        norm(&mut list, at(layer, "norm_ffn"), c.use_bias);
        for (name, shape) in unit(c) {
            let init = if name == "ffn.proj_down" { wang(shape[1], c.num_hidden_layers) } else { small(d) };
            let bias = c.use_bias.then_some(Init::Constant(0.0));
            c.linear.parameters(&mut list, &at(layer, name), shape, init, bias);
        }
    }
    norm(&mut list, "backbone.out_norm".into(), false);
    if !c.tie_word_embeddings {
        add(&mut list, HEAD.into(), &[c.vocab_size, d], small(d));
    }
    list
}

fn rms_norm(c: &XlstmConfig, frame: &Frame<'_>, name: &str, bias: bool, x: &Stream) -> Stream {
    let y = x.rms_norm(&frame.vector(&format!("{name}.weight"), c.hidden_size), c.norm_eps);
    if !bias {
        return y;
    }
    let bias: Var = frame.parameter(&format!("{name}.bias"), &[c.hidden_size]);
    typed(y.var() + &bias.broadcast_like(y.var()))
}

fn gated_unit(c: &XlstmConfig, frame: &Frame<'_>, layer: usize, x: &Stream) -> Stream {
    type Of<X> = Traced<(Batch, Seq, X)>;
    let (d, n) = (c.hidden_size, c.ffn_dim());
    let (gate, up): (Of<Unit>, Of<Unit>) = match c.weight_mode {
        WeightMode::Single => (
            frame.project(&at(layer, "ffn.proj_up_gate"), [n, d], c.use_bias, x),
            frame.project(&at(layer, "ffn.proj_up"), [n, d], c.use_bias, x),
        ),
        WeightMode::Fused => {
            let both: Of<GateUp> = frame.project(&at(layer, "ffn.proj_up_gate_z"), [2 * n, d], c.use_bias, x);
            both.halves::<Unit>()
        }
    };
    frame.project(&at(layer, "ffn.proj_down"), [d, n], c.use_bias, &(&gate.silu() * &up))
}

impl Architecture for XlstmConfig {
    field_answers!();

    fn pad_token_id(&self) -> Option<u32> {
        None
    }

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
            let unit = unit(self).into_iter().map(move |(name, _)| at(layer, name));
            let mixer = self.mixer().projections(&at(layer, "mlstm_layer"));
            mixer.into_iter().chain(unit).map(|name| format!("{name}.weight"))
        };
        (0..self.num_hidden_layers).flat_map(layer).collect()
    }

    fn embedding(&self) -> &'static str {
        EMBEDDING
    }

    fn states(&self, _: CacheType) -> Vec<State> {
        let mixer = self.mixer();
        (0..self.num_hidden_layers).flat_map(|layer| mixer.states(layer)).collect()
    }

    fn graph(&self, options: &GraphOptions) -> Result<Graph, GraphError> {
        let ends = Ends {
            embedding: EMBEDDING,
            head: if self.tie_word_embeddings { EMBEDDING } else { HEAD },
            vocab: self.vocab_size,
            hidden: self.hidden_size,
            layers: self.num_hidden_layers,
            cap: Some(self.output_logit_soft_cap),
        };
        let mixer = self.mixer();
        let block = |frame: &Frame<'_>, layer: usize, x: &Stream| {
            let cx = frame.cx;
            let x = cx.scope("mlstm_layer", || {
                let y = rms_norm(self, frame, &at(layer, "norm_mlstm"), self.use_bias, x);
                x + &mixer.apply(frame, &at(layer, "mlstm_layer"), layer, &y)
            });
            cx.scope("ffn", || {
                let y = rms_norm(self, frame, &at(layer, "norm_ffn"), self.use_bias, &x);
                &x + &gated_unit(self, frame, layer, &y)
            })
        };
        let norm = |frame: &Frame<'_>, x: &Stream| rms_norm(self, frame, "backbone.out_norm", false, x);
        language_model(&ends, options, self.linear, &self.states(options.cache), block, norm)
    }

    fn storable(&self) -> Vec<&'static str> {
        [EMBEDDING, HEAD][..if self.tie_word_embeddings { 1 } else { 2 }].to_vec()
    }

    fn stored_as(&self, wanted: EmbeddingType) -> EmbeddingType {
        stored_in_blocks(wanted)
    }

    fn chunk(&self) -> usize {
        256
    }
}
