//! What stands around the blocks of a language model that is made in a [`Frame`]: embedding, head, loss, the order of
//! outputs.

use axes::DType;
use graph::typed::{Traced, TracedExt, input, typed};
use graph::{Cx, Dim, Graph, GraphError, Type, Var};

use crate::bundle::EmbeddingType;
use crate::forms::{Form, GraphOptions, State, loss};
use crate::frame::{Batch, Frame, Hidden, LinearKind, Seq};

/// The residual stream.
pub(crate) type Stream = Traced<(Batch, Seq, Hidden)>;

/// The ends of a model.
pub(crate) struct Ends<'a> {
    /// The embedding in the state dict.
    pub(crate) embedding: &'a str,
    /// The head's matrix: the embedding's name where it is tied.
    pub(crate) head: &'a str,
    /// Tokens.
    pub(crate) vocab: usize,
    /// Width of the residual stream.
    pub(crate) hidden: usize,
    /// Blocks.
    pub(crate) layers: usize,
    /// Where logits end, softly.
    pub(crate) cap: Option<f64>,
}

/// cap · tanh(x / cap).
pub(crate) fn soft_cap(x: &Var, cap: f64) -> Var {
    (x / cap).tanh() * cap
}

/// A language model with the sizes `B` and `T` left open: blocks by their numbers, then the norm before the head.
///
/// Inputs: every parameter; `input_ids` i64 [B, T]; what [`GraphOptions`] adds. Outputs: `logits` [B, T, V] or [B, V], `loss`
/// [], the new states. Taps: `hidden_states.0` (embeddings) to `hidden_states.L` (after the last norm), `block_out.N` (after
/// block N).
///
/// # Errors
/// A mask, which recurrences do not take, and another surrogate than the straight-through one.
pub(crate) fn language_model(
    ends: &Ends<'_>,
    o: &GraphOptions,
    linear: LinearKind,
    states: &[State],
    block: impl Fn(&Frame<'_>, usize, &Stream) -> Stream,
    norm: impl Fn(&Frame<'_>, &Stream) -> Stream,
) -> Result<Graph, GraphError> {
    let cx = Cx::abstract_();
    let refuse = |name: &str, expected: &str, found: String| {
        cx.fail(GraphError::Input { name: name.into(), expected: expected.into(), found });
    };
    if o.mask {
        refuse("attention_mask", "none: the recurrence takes every token", "one".into());
    }
    if o.surrogate != Default::default() {
        refuse("surrogate", "`ste`: this architecture is not trained with another", o.surrogate.to_string());
    }
    let frame = Frame::new(&cx, o, linear);
    let (b, t) = (frame.batch.clone(), frame.time.clone());
    let ids: Traced<(Batch, Seq), i64> = input(&cx, "input_ids", &[b.clone(), t.clone()]);
    let mut x: Stream = cx.scope("embeddings", || {
        typed(table(&frame, ends, ends.embedding, |table, format| match format {
            Some(format) => ids.var().block_rows(table, format, ends.hidden),
            None => table.gather(ids.var()),
        }))
    });
    for layer in 0..ends.layers {
        x.tap(&format!("hidden_states.{layer}"));
        x = cx.scope(&format!("blocks.{layer}"), || block(&frame, layer, &x));
        x.tap(&format!("block_out.{layer}"));
    }
    let logits = cx.scope("head", || {
        if o.last {
            x = typed(x.var().slice_axis(1, &t - &Dim::from(1), t.clone()));
        }
        let x = norm(&frame, &x);
        if !o.last {
            x.tap(&format!("hidden_states.{}", ends.layers));
        }
        let logits = table(&frame, ends, ends.head, |table, format| match format {
            Some(format) => x.var().block_linear(table, format),
            None => x.var().linear(table),
        });
        let logits = ends.cap.map_or(logits.clone(), |cap| soft_cap(&logits, cap));
        if o.last { logits.reshape(&[b.clone(), ends.vocab.into()]) } else { logits }
    });
    let mut named = vec![("logits".to_owned(), logits.clone())];
    if o.labels {
        let labels = cx.input("labels", Type { dtype: DType::I64, shape: vec![b, t] });
        named.push(("loss".into(), cx.scope("loss", || loss(&logits, &labels))));
    }
    let kept = frame.into_kept();
    Frame::finish(cx, kept, named, states, o)
}

/// What is made of the embedding or the head as it lies in memory.
fn table(
    frame: &Frame<'_>,
    ends: &Ends<'_>,
    name: &str,
    make: impl FnOnce(&Var, Option<axes::BlockFormat>) -> Var,
) -> Var {
    match frame.options.embedding {
        EmbeddingType::Block(format) if frame.options.form == Form::Prepared => {
            let row = format.row_bytes(ends.hidden).unwrap_or(0);
            make(&frame.input(name, Type::new(DType::U8, [ends.vocab, row])), Some(format))
        }
        _ => make(&frame.parameter(name, &[ends.vocab, ends.hidden]), None),
    }
}

/// How an embedding and a head that are multiplied with are stored where a type is asked for: there are kernels for blocks.
pub(crate) fn stored_in_blocks(wanted: EmbeddingType) -> EmbeddingType {
    match wanted {
        EmbeddingType::Bf16 => EmbeddingType::Block(axes::BlockFormat::Bf16),
        EmbeddingType::I8 => EmbeddingType::Block(axes::BlockFormat::Q8_0),
        other => other,
    }
}

/// (x - mean) / √(variance + eps) over the last axis, times `weight` of that axis.
pub(crate) fn layer_norm(x: &Var, weight: &Var, eps: f64) -> Var {
    let last = x.ty().rank().saturating_sub(1);
    let centred = x - &x.mean(&[last]).spread(x, &[last]);
    centred.rms_norm(weight, eps)
}

/// [`layer_norm`] of each head of h (B, T, H, V) apart, as (B, T, H V), times `weight` (H V).
pub(crate) fn head_norm(h: &Var, weight: &Var, eps: f64) -> Var {
    let shape = h.shape();
    let one = h.cx().full(&Type { dtype: h.dtype(), shape: shape[3..].to_vec() }, 1.0);
    let y = layer_norm(h, &one, eps);
    let y = y.reshape(&[shape[0].clone(), shape[1].clone(), &shape[2] * &shape[3]]);
    &y * &weight.broadcast_like(&y)
}
