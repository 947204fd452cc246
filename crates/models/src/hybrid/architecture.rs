//! A hybrid's answers to [`Architecture`], and its blocks.

use axes::DType;
use graph::typed::Traced;
use graph::{Cx, Graph, GraphError, Type, Var};
use serde_json::Value;

use super::HybridConfig;
use super::config::{EMBEDDING, HEAD};
use crate::architecture::Architecture;
use crate::forms::{CacheType, GraphOptions, State};
use crate::frame::{Batch, Frame, LinearKind, Seq};
use crate::parameters::{Parameter, init_values};
use crate::shell::{self, Logits, Stream, TokenModel};

axes::axes! {
    /// The gated unit.
    pub Intermediate;
}

impl TokenModel for HybridConfig {
    fn linear(&self) -> LinearKind {
        self.linear
    }

    fn layers(&self) -> usize {
        self.num_hidden_layers
    }

    fn embed(&self, frame: &Frame<'_>, ids: &Var) -> Stream {
        frame.embedded(EMBEDDING, [self.vocab_size, self.hidden_size], ids)
    }

    fn block(&self, frame: &Frame<'_>, layer: usize, h: &Stream) -> Stream {
        let at = |name: &str| format!("model.layers.{layer}.{name}");
        let x = frame.norm(&at("norm"), self.eps, h);
        let h = h + &self.blocks[layer].1.apply(frame, &at("mixer"), layer, &x);
        let Some(n) = self.intermediate_size else { return h };
        let d = self.hidden_size;
        let x = frame.norm(&at("mlp_norm"), self.eps, &h);
        let project = |name: &str| -> Traced<(Batch, Seq, Intermediate)> {
            frame.project(&at(name), [n, d], false, &x)
        };
        let inner = &project("mlp.gate_proj").silu() * &project("mlp.up_proj");
        let y: Stream = frame.project(&at("mlp.down_proj"), [d, n], false, &inner);
        &h + &y
    }

    fn norm(&self, frame: &Frame<'_>, h: &Stream) -> Stream {
        frame.norm("model.norm", self.eps, h)
    }

    fn head(&self, frame: &Frame<'_>, h: &Stream) -> Logits {
        frame.logits(HEAD, [self.vocab_size, self.hidden_size], None, h)
    }
}

impl Architecture for HybridConfig {
    shell::token_model_answers!(EMBEDDING, HEAD);

    fn init_parameter(&self, parameter: &Parameter, seed: u64) -> Vec<f32> {
        let layer = parameter.name.strip_prefix("model.layers.").and_then(|rest| rest.split('.').next());
        let block = layer.and_then(|layer| self.blocks.get(layer.parse::<usize>().ok()?));
        let own = block.and_then(|(_, mixer)| mixer.initial(parameter, seed));
        own.unwrap_or_else(|| init_values(parameter, seed))
    }

    /// Of selective state spaces, −exp of what their files hold.
    fn derived(&self) -> Result<Option<Graph>, GraphError> {
        let cx = Cx::abstract_();
        let mut made: Vec<(String, Var)> = vec![];
        for parameter in self.list() {
            let layer = parameter.name.strip_prefix("model.layers.").and_then(|rest| rest.split('.').next());
            let block = layer.and_then(|layer| self.blocks.get(layer.parse::<usize>().ok()?));
            let selective = block.is_some_and(|(name, _)| name.starts_with("mamba"));
            let Some(name) = parameter.name.strip_suffix("_log").filter(|_| selective) else { continue };
            let x = cx.input(&parameter.name, Type::new(DType::F32, parameter.shape.clone()));
            made.push((name.to_owned(), -x.exp()));
        }
        if made.is_empty() {
            return Ok(None);
        }
        let named: Vec<(&str, &Var)> = made.iter().map(|(name, value)| (name.as_str(), value)).collect();
        cx.finish(&named).map(Some)
    }

    fn projections(&self) -> Vec<String> {
        let blocks = &self.blocks[..if self.linear.is_quantized() { self.blocks.len() } else { 0 }];
        let each = |(layer, (_, mixer)): (usize, &(String, super::mixers::Shared))| {
            let at = format!("model.layers.{layer}");
            let mut names = mixer.projections(&format!("{at}.mixer"));
            if self.intermediate_size.is_some() {
                names.extend(["gate_proj", "up_proj", "down_proj"].map(|name| format!("{at}.mlp.{name}")));
            }
            names.into_iter().map(|name| format!("{name}.weight"))
        };
        blocks.iter().enumerate().flat_map(each).collect()
    }

    fn buffers(&self) -> Vec<String> {
        let list = self.list().into_iter().map(|parameter| parameter.name);
        list.filter(|name| name.ends_with(".fast_attention.projection_matrix")).collect()
    }

    fn states(&self, _: CacheType) -> Vec<State> {
        let each = |(layer, (_, mixer)): (usize, &(String, super::mixers::Shared))| mixer.states(layer);
        self.blocks.iter().enumerate().flat_map(each).collect()
    }
}
