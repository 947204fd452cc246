//! What language models with linear-time mixers share around their blocks: the embedding, the hidden states, the head, the
//! loss, and the reading of `config.json` keys that none of them knows.
//!
//! An architecture says how it embeds, what a block does, its last norm and its head ([`TokenModel`]); [`graph`](fn@graph)
//! makes the whole-sequence form, or that of a chunk with states, of it.

use std::path::Path;

use axes::{Axis, BlockFormat, DType, Last};
use graph::typed::{Traced, TracedExt, typed};
use graph::{Cx, Dim, Graph, GraphError, Type, Var};
use serde_json::{Map, Value};

use crate::bundle::EmbeddingType;
use crate::config::{HOUSEKEEPING, changes_mathematics};
use crate::error::Result;
use crate::forms::{Form, GraphOptions, State, loss};
use crate::frame::{Batch, Frame, Hidden, LinearKind, Seq, Vocab};
use crate::json::Fields;

/// (B, T, D): the residual stream.
pub type Stream = Traced<(Batch, Seq, Hidden)>;
/// (B, T, V).
pub type Logits = Traced<(Batch, Seq, Vocab)>;

/// The parts of a language model.
pub trait TokenModel {
    /// What projections are.
    fn linear(&self) -> LinearKind;

    /// Blocks.
    fn layers(&self) -> usize;

    /// Rows of the embedding for `ids` i64 (B, T), with positions where the model has them there.
    fn embed(&self, frame: &Frame<'_>, ids: &Var) -> Stream;

    /// Block `layer`.
    fn block(&self, frame: &Frame<'_>, layer: usize, h: &Stream) -> Stream;

    /// The norm after the last block.
    fn norm(&self, frame: &Frame<'_>, h: &Stream) -> Stream;

    /// The head.
    fn head(&self, frame: &Frame<'_>, h: &Stream) -> Logits;

    /// Whether a position sees none after it; others have no states.
    fn causal(&self) -> bool {
        true
    }
}

/// The graph, with the sizes `B` and `T` left open.
///
/// Inputs: every weight under its name in the state dict (`NAME.trits` and `NAME.scale` for quantised ones in the prepared
/// form); `input_ids` i64 [B, T]; what [`GraphOptions`] adds, with states `position` i64 [] where the model has positions.
/// Outputs: `logits` [B, T, V] or [B, V], `loss` [], the states. Taps: `hidden_states.0` (embeddings) to
/// `hidden_states.L` (after the final norm).
///
/// # Errors
/// States of a model that looks ahead, a surrogate that the frame does not have.
pub fn graph(model: &dyn TokenModel, states: &[State], o: &GraphOptions) -> Result<Graph, GraphError> {
    if o.states && !model.causal() {
        return Err(refused("states", "none: every position sees the whole sequence", "asked for"));
    }
    if o.surrogate != Default::default() {
        let expected = "`ste`: projections of this architecture are not trained here with another";
        return Err(refused("surrogate", expected, &o.surrogate.to_string()));
    }
    let cx = Cx::abstract_();
    let frame = Frame::new(&cx, o, model.linear());
    let (b, t) = (frame.batch.clone(), frame.time.clone());
    let ids = cx.input("input_ids", Type::new(DType::I64, [b.clone(), t.clone()]));
    let mut h = cx.scope("embeddings", || model.embed(&frame, &ids));
    for layer in 0..model.layers() {
        h.tap(&format!("hidden_states.{layer}"));
        h = cx.scope(&format!("layers.{layer}"), || model.block(&frame, layer, &h));
    }
    let logits = cx.scope("head", || {
        if o.last {
            let last: Stream = typed(h.var().slice_axis(1, &t - &Dim::from(1), t.clone()));
            let logits = model.head(&frame, &model.norm(&frame, &last));
            let vocab = logits.var().shape()[2].clone();
            return logits.var().reshape(&[b.clone(), vocab]);
        }
        let h = model.norm(&frame, &h);
        h.tap(&format!("hidden_states.{}", model.layers()));
        model.head(&frame, &h).var().clone()
    });
    let mut named = vec![("logits".to_string(), logits.clone())];
    if o.labels {
        let labels = cx.input("labels", Type::new(DType::I64, [b, t]));
        named.push(("loss".into(), cx.scope("loss", || loss(&logits, &labels))));
    }
    let kept = frame.into_kept();
    Frame::finish(cx, kept, named, states, o)
}

fn refused(name: &str, expected: &str, found: &str) -> GraphError {
    GraphError::Input { name: name.into(), expected: expected.into(), found: found.into() }
}

impl Frame<'_> {
    /// `attention_mask` f32 (B, T), where there is one.
    pub fn mask(&self) -> Option<Var> {
        let ty = Type::new(DType::F32, [self.batch.clone(), self.time.clone()]);
        self.options.mask.then(|| self.input("attention_mask", ty))
    }

    /// Tokens before these, i64 [], where there are states.
    pub fn position(&self) -> Option<Var> {
        self.options.states.then(|| self.input("position", Type::scalar(DType::I64)))
    }

    /// The numbers of the positions, i64 (T).
    pub fn positions(&self) -> Var {
        let row = std::slice::from_ref(&self.time);
        let places = self.cx.iota(DType::I64, row);
        match self.position() {
            Some(position) => places + position.broadcast(row, &[]),
            None => places,
        }
    }

    /// The blocks that embedding and head lie in, in the prepared form.
    fn stored(&self) -> Option<BlockFormat> {
        match self.options.embedding {
            EmbeddingType::Block(format) if self.options.form == Form::Prepared => Some(format),
            _ => None,
        }
    }

    fn blocks(&self, name: &str, format: BlockFormat, [rows, columns]: [usize; 2]) -> Var {
        let row = format.row_bytes(columns).unwrap_or(0);
        self.input(name, Type::new(DType::U8, [rows, row]))
    }

    /// Rows of the table `name` (V, D) for `ids` (B, T); it may lie in blocks in the prepared form.
    pub fn embedded(&self, name: &str, [vocab, width]: [usize; 2], ids: &Var) -> Stream {
        typed(match self.stored() {
            Some(format) => ids.block_rows(&self.blocks(name, format, [vocab, width]), format, width),
            None => self.parameter(name, &[vocab, width]).gather(ids),
        })
    }

    /// h (B, T, D) times the matrix `name` (V, D), which may lie in blocks in the prepared form; plus `bias` (V).
    pub fn logits(&self, name: &str, sizes: [usize; 2], bias: Option<&str>, h: &Stream) -> Logits {
        let product = match self.stored() {
            Some(format) => h.var().block_linear(&self.blocks(name, format, sizes), format),
            None => h.var().linear(&self.parameter(name, &sizes)),
        };
        typed(match bias {
            Some(bias) => &product + &self.parameter(bias, &sizes[..1]).broadcast_like(&product),
            None => product,
        })
    }

    /// Rows of a table (P, D) of learned positions added to h (B, T, D).
    pub fn add_positions(&self, name: &str, places: usize, h: &Stream) -> Stream {
        let shape = h.var().shape();
        let width = shape[2].fixed().unwrap_or(0);
        let rows = self.parameter(name, &[places, width]).gather(&self.positions());
        typed(h.var() + &rows.broadcast(&shape, &[1, 2]))
    }

    /// (x − mean) / √(variance + eps) · weight + bias over the last axis, with the parameters `NAME.weight`, `NAME.bias`
    /// (Ba et al. 2016, "Layer Normalization").
    pub fn layer_norm<A: Last>(&self, name: &str, eps: f64, x: &Traced<A>) -> Traced<A> {
        let x = x.var();
        let last = x.ty().rank().saturating_sub(1);
        let size = x.shape()[last].clone();
        let n = size.fixed().unwrap_or(1);
        let (weight, bias) =
            (self.parameter(&format!("{name}.weight"), &[n]), self.parameter(&format!("{name}.bias"), &[n]));
        let centred = x - &x.mean(&[last]).broadcast_last(&size);
        // The norm of what is centred: its mean square is the variance.
        typed(&centred.rms_norm(&weight, eps) + &bias.broadcast_like(x))
    }

    /// x · rstd · weight with the parameter `NAME.weight`.
    pub fn norm<D: Axis, A: Last<Axis = D>>(&self, name: &str, eps: f64, x: &Traced<A>) -> Traced<A> {
        let n = x.var().shape().last().and_then(Dim::fixed).unwrap_or(1);
        x.rms_norm(&self.vector(&format!("{name}.weight"), n), eps)
    }
}

/// The keys that an architecture does not read: kept, with a warning unless they are known to be harmless, refused where
/// they would change the mathematics.
///
/// # Errors
/// [`crate::ModelError::Field`] for such a key.
pub(crate) fn others(
    path: &Path,
    value: &Value,
    kind: &str,
    read: &[&str],
    warnings: &mut Vec<String>,
) -> Result<Map<String, Value>> {
    let fields = Fields::new(path, value)?;
    let mut extra = Map::new();
    for (key, content) in
        fields.iter().filter(|(key, _)| *key != "model_type" && !read.contains(&key.as_str()))
    {
        if changes_mathematics(key, content) {
            return Err(fields.fault(key, "nothing here, since this architecture does not have it"));
        }
        if !HOUSEKEEPING.contains(&key.as_str()) {
            warnings.push(format!("{}: `{key}` is not a key of {kind} and is ignored", path.display()));
        }
        extra.insert(key.clone(), content.clone());
    }
    Ok(extra)
}

/// One of the names of a list, the first where the key is absent.
///
/// # Errors
/// [`crate::ModelError::Field`] for any other.
pub(crate) fn choice<T: Copy>(fields: &Fields<'_>, field: &str, names: &[(T, &'static str)]) -> Result<T> {
    let text = fields.text(field, names[0].1)?;
    names.iter().find(|(_, name)| *name == text).map(|(value, _)| *value).ok_or_else(|| {
        let list = names.iter().map(|(_, name)| format!("\"{name}\"")).collect::<Vec<_>>();
        fields.fault(field, format!("one of {}", list.join(", ")))
    })
}

/// Token ids as `config.json` has them.
pub(crate) fn tokens(list: &[u32]) -> Value {
    match list {
        [] => Value::Null,
        [one] => (*one).into(),
        many => many.into(),
    }
}

/// The answers that models of this file have alike: fields by their names, the graph, how embedding and head are stored.
/// A configuration has `list()`, `count()`, `to_json()`, `linear` and the fields of a language model.
macro_rules! token_model_answers {
    ($embedding:expr, $head:expr) => {
        fn model_type(&self) -> &'static str {
            Self::MODEL_TYPE
        }

        fn to_json(&self) -> Value {
            self.to_json()
        }

        fn vocab_size(&self) -> usize {
            self.vocab_size
        }

        fn hidden_size(&self) -> usize {
            self.hidden_size
        }

        fn num_hidden_layers(&self) -> usize {
            self.num_hidden_layers
        }

        fn bos_token_id(&self) -> Option<u32> {
            self.bos_token_id
        }

        fn eos_token_id(&self) -> &[u32] {
            &self.eos_token_id
        }

        fn tie_word_embeddings(&self) -> bool {
            false
        }

        fn parameters(&self) -> Vec<Parameter> {
            self.list()
        }

        fn parameter_count(&self) -> Option<u64> {
            self.count()
        }

        fn embedding(&self) -> &'static str {
            $embedding
        }

        fn storable(&self) -> Vec<&'static str> {
            vec![$embedding, $head]
        }

        fn stored_as(&self, wanted: crate::bundle::EmbeddingType) -> crate::bundle::EmbeddingType {
            crate::shell::in_blocks(wanted)
        }

        fn quantizer(&self) -> crate::frame::Quantizer {
            self.linear.quantizer()
        }

        fn graph(&self, options: &GraphOptions) -> Result<Graph, GraphError> {
            crate::shell::graph(self, &Architecture::states(self, options.cache), options)
        }
    };
}
pub(crate) use token_model_answers;

/// The type in blocks that stands for one that is asked for: what a head is multiplied with has kernels for blocks only.
pub(crate) fn in_blocks(wanted: EmbeddingType) -> EmbeddingType {
    match wanted {
        EmbeddingType::Bf16 => EmbeddingType::Block(BlockFormat::Bf16),
        EmbeddingType::I8 => EmbeddingType::Block(BlockFormat::Q8_0),
        other => other,
    }
}
