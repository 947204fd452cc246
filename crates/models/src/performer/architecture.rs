//! Performer's answers to [`Architecture`], and its blocks.

use graph::typed::{Traced, TracedExt, typed};
use graph::{Graph, GraphError, Var};
use serde_json::Value;

use super::{Favor, PerformerConfig};
use crate::architecture::Architecture;
use crate::error::{ModelError, Result as Checked};
use crate::folder::Weights;
use crate::forms::{CacheType, GraphOptions, State};
use crate::frame::{Batch, Frame, LinearKind, Mixer, Seq};
use crate::parameters::{Parameter, check_tensors};
use crate::shell::{self, Logits, Stream, TokenModel};

axes::axes! {
    /// The feed-forward part.
    pub Intermediate;
}

/// eps of the norms: PyTorch's default.
const NORM_EPS: f64 = 1e-5;

/// The package's second copy of every weight, and a counter, which its state dict holds too.
const COPIES: &str = "performer.proj_updater.";

impl PerformerConfig {
    /// The mixer of every block.
    pub fn mixer(&self) -> Favor {
        let Self { hidden_size: hidden, heads, width, features, kind, stabilizer, causal, .. } = *self;
        Favor { hidden, heads, width, features, kind, stabilizer, causal }
    }
}

impl TokenModel for PerformerConfig {
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
        let h = frame.embedded("token_emb.weight", [self.vocab_size, self.hidden_size], ids);
        frame.add_positions("pos_emb.emb.weight", self.places, &h)
    }

    fn block(&self, frame: &Frame<'_>, layer: usize, h: &Stream) -> Stream {
        let at = |name: &str| format!("performer.net.layers.{layer}.{name}");
        let (d, n) = (self.hidden_size, self.hidden_size * self.ff_mult);
        let x = frame.layer_norm(&at("0.norm"), NORM_EPS, h);
        let h = h + &self.mixer().apply(frame, &at("0.fn"), layer, &x);
        let x = frame.layer_norm(&at("1.norm"), NORM_EPS, &h);
        let inner: Traced<(Batch, Seq, Intermediate)> = frame.project(&at("1.fn.fn.w1"), [n, d], true, &x);
        let inner: Traced<(Batch, Seq, Intermediate)> = typed(inner.var().gelu());
        let y: Stream = frame.project(&at("1.fn.fn.w2"), [d, n], true, &inner);
        &h + &y
    }

    fn norm(&self, frame: &Frame<'_>, h: &Stream) -> Stream {
        frame.layer_norm("norm", NORM_EPS, h)
    }

    fn head(&self, frame: &Frame<'_>, h: &Stream) -> Logits {
        frame.logits("to_out.weight", [self.vocab_size, self.hidden_size], Some("to_out.bias"), h)
    }
}

impl Architecture for PerformerConfig {
    shell::token_model_answers!("token_emb.weight", "to_out.weight");

    fn projections(&self) -> Vec<String> {
        let layers = 0..if self.linear.is_quantized() { self.num_hidden_layers } else { 0 };
        let each = |layer: usize| {
            let at = format!("performer.net.layers.{layer}");
            let mut names = self.mixer().projections(&format!("{at}.0.fn"));
            names.extend([format!("{at}.1.fn.fn.w1"), format!("{at}.1.fn.fn.w2")]);
            names.into_iter().map(|name| format!("{name}.weight"))
        };
        layers.flat_map(each).collect()
    }

    fn buffers(&self) -> Vec<String> {
        let name = |l| format!("performer.net.layers.{l}.0.fn.fast_attention.projection_matrix");
        (0..self.num_hidden_layers).map(name).collect()
    }

    fn states(&self, _: CacheType) -> Vec<State> {
        (0..self.num_hidden_layers).flat_map(|layer| self.mixer().states(layer)).collect()
    }

    fn check(&self, weights: &Weights) -> Checked<()> {
        let expected: Vec<_> = self.list().into_iter().map(|p| (p.name, p.shape)).collect();
        match check_tensors(weights, &expected, &[], None) {
            Err(ModelError::Weights { path, mut differences, remedy }) => {
                differences.unexpected.retain(|name| !name.starts_with(COPIES));
                match differences.is_empty() {
                    true => Ok(()),
                    false => Err(ModelError::Weights { path, differences, remedy }),
                }
            }
            other => other,
        }
    }
}
