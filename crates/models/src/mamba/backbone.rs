//! What stands around the mixers of Mamba and Mamba-2: the embedding, blocks u + mixer(RMSNorm(u)), the final norm, the head.

use std::collections::BTreeMap;

use axes::DType;
use graph::typed::{Traced, TracedExt, typed};
use graph::{Cx, Dim, Graph, GraphError, Type, Var};

use super::Keys;
use crate::bundle::EmbeddingType;
use crate::forms::{Form, GraphOptions, State, loss};
use crate::frame::{Batch, Frame, Hidden, LinearKind, Mixer, Seq};
use crate::parameters::{Init, Parameter, count};

/// Name of the embedding in the state dict.
pub(crate) const EMBEDDING: &str = "backbone.embeddings.weight";
/// Name of a head of its own.
pub(crate) const HEAD: &str = "lm_head.weight";

/// A model of one mixer in every block.
pub(crate) struct Backbone<'a, M> {
    pub(crate) keys: &'a Keys,
    pub(crate) mixer: M,
}

/// The answers of a configuration that has `keys` and a `mixer()`.
macro_rules! backbone_answers {
    () => {
        fn model_type(&self) -> &'static str {
            Self::MODEL_TYPE
        }
        fn to_json(&self) -> serde_json::Value {
            self.to_json()
        }
        fn vocab_size(&self) -> usize {
            self.keys.vocab_size
        }
        fn hidden_size(&self) -> usize {
            self.keys.hidden_size
        }
        fn num_hidden_layers(&self) -> usize {
            self.keys.num_hidden_layers
        }
        fn bos_token_id(&self) -> Option<u32> {
            self.keys.bos_token_id
        }
        fn eos_token_id(&self) -> &[u32] {
            &self.keys.eos_token_id
        }
        fn tie_word_embeddings(&self) -> bool {
            self.keys.tie_word_embeddings
        }
        fn parameters(&self) -> Vec<crate::parameters::Parameter> {
            Backbone { keys: &self.keys, mixer: self.mixer() }.parameters()
        }
        fn parameter_count(&self) -> Option<u64> {
            Backbone { keys: &self.keys, mixer: self.mixer() }.parameter_count()
        }
        fn projections(&self) -> Vec<String> {
            Backbone { keys: &self.keys, mixer: self.mixer() }.projections()
        }
        fn embedding(&self) -> &'static str {
            crate::mamba::backbone::EMBEDDING
        }
        fn states(&self, _: crate::forms::CacheType) -> Vec<crate::forms::State> {
            Backbone { keys: &self.keys, mixer: self.mixer() }.states()
        }
        fn graph(
            &self,
            options: &crate::forms::GraphOptions,
        ) -> std::result::Result<graph::Graph, graph::GraphError> {
            Backbone { keys: &self.keys, mixer: self.mixer() }.graph(options)
        }
        fn derived(&self) -> std::result::Result<Option<graph::Graph>, graph::GraphError> {
            Backbone { keys: &self.keys, mixer: self.mixer() }.derived().map(Some)
        }
        fn storable(&self) -> Vec<&'static str> {
            let both = [crate::mamba::backbone::EMBEDDING, crate::mamba::backbone::HEAD];
            both[..if self.keys.tie_word_embeddings { 1 } else { 2 }].to_vec()
        }
        fn stored_as(&self, wanted: crate::bundle::EmbeddingType) -> crate::bundle::EmbeddingType {
            use crate::bundle::EmbeddingType;
            match wanted {
                EmbeddingType::Bf16 => EmbeddingType::Block(axes::BlockFormat::Bf16),
                EmbeddingType::I8 => EmbeddingType::Block(axes::BlockFormat::Q8_0),
                other => other,
            }
        }
    };
}
pub(crate) use backbone_answers;

impl<M: Mixer> Backbone<'_, M> {
    fn at(layer: usize) -> String {
        format!("backbone.layers.{layer}.mixer")
    }

    pub(crate) fn parameters(&self) -> Vec<Parameter> {
        self.parameters_of(self.keys.num_hidden_layers)
    }

    /// The same for a number of layers.
    fn parameters_of(&self, layers: usize) -> Vec<Parameter> {
        let (vocab, d) = (self.keys.vocab_size, self.keys.hidden_size);
        let normal = Init::Normal(self.keys.initializer_range);
        let mut list = vec![];
        let add = |list: &mut Vec<Parameter>, name: String, shape: &[usize], init| {
            list.push(Parameter { name, shape: shape.to_vec(), init });
        };
        add(&mut list, EMBEDDING.into(), &[vocab, d], normal);
        for layer in 0..layers {
            let norm = format!("backbone.layers.{layer}.norm.weight");
            add(&mut list, norm, &[d], Init::Constant(1.0));
            self.mixer.parameters(&Self::at(layer), self.keys.linear, &mut list);
        }
        add(&mut list, "backbone.norm_f.weight".into(), &[d], Init::Constant(1.0));
        if !self.keys.tie_word_embeddings {
            add(&mut list, HEAD.into(), &[vocab, d], normal);
        }
        list
    }

    pub(crate) fn parameter_count(&self) -> Option<u64> {
        count(self.keys.num_hidden_layers, |layers| self.parameters_of(layers))
    }

    pub(crate) fn projections(&self) -> Vec<String> {
        if self.keys.linear == LinearKind::Full {
            return vec![];
        }
        let layers = 0..self.keys.num_hidden_layers;
        let names = layers.flat_map(|layer| self.mixer.projections(&Self::at(layer)));
        names.map(|name| format!("{name}.weight")).collect()
    }

    pub(crate) fn states(&self) -> Vec<State> {
        (0..self.keys.num_hidden_layers).flat_map(|layer| self.mixer.states(layer)).collect()
    }

    /// A of every layer, from its logarithm.
    pub(crate) fn derived(&self) -> Result<Graph, GraphError> {
        let cx = Cx::abstract_();
        let logarithms = self.parameters().into_iter().filter(|parameter| parameter.name.ends_with(".A_log"));
        let made: Vec<(String, Var)> = logarithms
            .map(|parameter| {
                let x = cx.input(&parameter.name, Type::new(DType::F32, parameter.shape));
                (parameter.name.trim_end_matches("_log").to_owned(), -x.exp())
            })
            .collect();
        let named: Vec<(&str, &Var)> = made.iter().map(|(name, value)| (name.as_str(), value)).collect();
        cx.finish(&named)
    }

    /// The graph, with the sizes `B` and `T` left open.
    ///
    /// Inputs: every parameter under its name in the state dict, `input_ids` i64 [B, T], what [`GraphOptions`] adds; in the
    /// prepared form `NAME.A` instead of `NAME.A_log`. Outputs: `logits` [B, T, V] or [B, V], `loss` [], the states. Taps:
    /// `hidden_states.N` after block N, as the published code counts them (the embeddings are not among them), and
    /// `hidden_states.L` after the final norm.
    pub(crate) fn graph(&self, options: &GraphOptions) -> Result<Graph, GraphError> {
        let cx = Cx::abstract_();
        let keys = self.keys;
        if options.surrogate != Default::default() {
            cx.fail(GraphError::Input {
                name: "surrogate".into(),
                expected: "`ste`: state spaces are not trained here with another".into(),
                found: options.surrogate.to_string(),
            });
        }
        let frame = Frame::new(&cx, options, keys.linear);
        let (b, t, d) = (frame.batch.clone(), frame.time.clone(), keys.hidden_size);
        let ids = frame.input("input_ids", Type { dtype: DType::I64, shape: vec![b.clone(), t.clone()] });
        let mut h: Traced<(Batch, Seq, Hidden)> = cx.scope("embeddings", || typed(self.rows(&frame, &ids)));
        for layer in 0..keys.num_hidden_layers {
            h = cx.scope(&format!("layers.{layer}"), || {
                let norm = frame.vector::<Hidden>(&format!("backbone.layers.{layer}.norm.weight"), d);
                let u = h.rms_norm(&norm, keys.layer_norm_epsilon);
                let y = cx.scope("mixer", || self.mixer.apply(&frame, &Self::at(layer), layer, &u));
                &h + &y
            });
            h.tap(&format!("hidden_states.{layer}"));
        }
        let logits = cx.scope("head", || {
            let norm = frame.vector::<Hidden>("backbone.norm_f.weight", d);
            if options.last {
                let last: Traced<(Batch, Seq, Hidden)> =
                    typed(h.var().slice_axis(1, &t - &Dim::from(1), t.clone()));
                let logits = self.head(&frame, last.rms_norm(&norm, keys.layer_norm_epsilon).var());
                return logits.reshape(&[b.clone(), keys.vocab_size.into()]);
            }
            let h = h.rms_norm(&norm, keys.layer_norm_epsilon);
            h.tap(&format!("hidden_states.{}", keys.num_hidden_layers));
            self.head(&frame, h.var())
        });
        let mut outputs = vec![("logits".to_string(), logits.clone())];
        if options.labels {
            let labels = frame.input("labels", Type { dtype: DType::I64, shape: vec![b, t] });
            outputs.push(("loss".into(), cx.scope("loss", || loss(&logits, &labels))));
        }
        let kept: BTreeMap<String, Var> = frame.into_kept();
        Frame::finish(cx, kept, outputs, &self.states(), options)
    }

    /// How embedding and head lie in memory.
    fn stored(&self, frame: &Frame<'_>) -> EmbeddingType {
        match frame.options.form {
            Form::Prepared => frame.options.embedding,
            _ => EmbeddingType::F32,
        }
    }

    /// A table of (V, d), or its blocks.
    fn table(&self, frame: &Frame<'_>, name: &str) -> Var {
        let (vocab, d) = (self.keys.vocab_size, self.keys.hidden_size);
        match self.stored(frame) {
            EmbeddingType::Block(format) => {
                let row = format.row_bytes(d).unwrap_or(0);
                frame.input(name, Type::new(DType::U8, [vocab, row]))
            }
            _ => frame.parameter(name, &[vocab, d]),
        }
    }

    /// The embedding's rows at `ids`.
    fn rows(&self, frame: &Frame<'_>, ids: &Var) -> Var {
        let table = self.table(frame, EMBEDDING);
        match self.stored(frame) {
            EmbeddingType::Block(format) => ids.block_rows(&table, format, self.keys.hidden_size),
            _ => table.gather(ids),
        }
    }

    fn head(&self, frame: &Frame<'_>, h: &Var) -> Var {
        let table = self.table(frame, if self.keys.tie_word_embeddings { EMBEDDING } else { HEAD });
        match self.stored(frame) {
            EmbeddingType::Block(format) => h.block_linear(&table, format),
            _ => h.linear(&table),
        }
    }
}
