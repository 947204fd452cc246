//! Linear attention's answers to [`Architecture`], and its blocks.

use graph::typed::{Traced, TracedExt, typed};
use graph::{Graph, GraphError, Var};
use serde_json::Value;

use super::mixer::FAST_TRANSFORMERS;
use super::{Activation, LinearAttentionConfig, SoftmaxFree};
use crate::architecture::Architecture;
use crate::forms::{CacheType, GraphOptions, State};
use crate::frame::{Batch, Frame, LinearKind, Mixer, Seq};
use crate::parameters::Parameter;
use crate::shell::{self, Logits, Stream, TokenModel};

axes::axes! {
    /// The feed-forward part.
    pub Intermediate;
}

/// eps of the norms: PyTorch's default.
const NORM_EPS: f64 = 1e-5;

impl LinearAttentionConfig {
    /// The mixer of every block.
    pub fn mixer(&self) -> SoftmaxFree {
        let names = FAST_TRANSFORMERS;
        let Self { hidden_size: hidden, heads, eps, causal, .. } = *self;
        SoftmaxFree { hidden, heads, eps, causal, bias: true, names }
    }
}

impl TokenModel for LinearAttentionConfig {
    fn linear(&self) -> LinearKind {
        self.linear
    }

    fn layers(&self) -> usize {
        self.num_hidden_layers
    }

    fn causal(&self) -> bool {
        self.causal
    }

    fn embed(&self, frame: &Frame<'_>, ids: &Var) -> Stream {
        let h = frame.embedded("emb.weight", [self.vocab_size, self.hidden_size], ids);
        frame.add_positions("pos.weight", self.places, &h)
    }

    fn block(&self, frame: &Frame<'_>, layer: usize, h: &Stream) -> Stream {
        let at = |name: &str| format!("enc.layers.{layer}.{name}");
        let (d, n) = (self.hidden_size, self.intermediate_size);
        let mixed = self.mixer().apply(frame, &at("attention"), layer, h);
        let h = frame.layer_norm(&at("norm1"), NORM_EPS, &(h + &mixed));
        let inner: Traced<(Batch, Seq, Intermediate)> = frame.project(&at("linear1"), [n, d], true, &h);
        let inner: Traced<(Batch, Seq, Intermediate)> = typed(match self.activation {
            Activation::Gelu => inner.var().gelu(),
            Activation::Relu => inner.var().relu(),
        });
        let y: Stream = frame.project(&at("linear2"), [d, n], true, &inner);
        frame.layer_norm(&at("norm2"), NORM_EPS, &(&h + &y))
    }

    fn norm(&self, frame: &Frame<'_>, h: &Stream) -> Stream {
        frame.layer_norm("enc.norm", NORM_EPS, h)
    }

    fn head(&self, frame: &Frame<'_>, h: &Stream) -> Logits {
        frame.logits("head.weight", [self.vocab_size, self.hidden_size], Some("head.bias"), h)
    }
}

impl Architecture for LinearAttentionConfig {
    shell::token_model_answers!("emb.weight", "head.weight");

    fn projections(&self) -> Vec<String> {
        let layers = 0..if self.linear.is_quantized() { self.num_hidden_layers } else { 0 };
        let each = |layer: usize| {
            let at = format!("enc.layers.{layer}");
            let mut names = self.mixer().projections(&format!("{at}.attention"));
            names.extend([format!("{at}.linear1"), format!("{at}.linear2")]);
            names.into_iter().map(|name| format!("{name}.weight"))
        };
        layers.flat_map(each).collect()
    }

    fn states(&self, _: CacheType) -> Vec<State> {
        (0..self.num_hidden_layers).flat_map(|layer| self.mixer().states(layer)).collect()
    }
}
