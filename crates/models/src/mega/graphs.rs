//! The graph: whole sequences, or new tokens after those that the states know.

use axes::{Axis, DType};
use graph::typed::{Traced, TracedExt, typed};
use graph::{Cx, Dim, Graph, GraphError, Type, Var};

use super::architecture::EMBEDDING;
use super::{MegaConfig, MegaNorm};
use crate::architecture::Architecture;
use crate::forms::{GraphOptions, loss};
use crate::frame::{Batch, Frame, Hidden, Seq};

axes::axes! {
    /// Values, v.
    pub Values;
    /// u, z, r and h side by side.
    pub Mixed;
    /// The feed-forward half.
    pub Inner;
}

type X = Traced<(Batch, Seq, Hidden)>;

/// eps of the norms, which the published configurations do not have.
const EPS: f64 = 1e-5;

/// Softmax cross entropy at each position against its own label.
fn masked_loss(logits: &Var, labels: &Var) -> Var {
    let shape = logits.shape();
    let rows = &shape[0] * &shape[1];
    logits.reshape(&[rows.clone(), shape[2].clone()]).cross_entropy(&labels.reshape(&[rows]))
}

struct Block<'a> {
    c: &'a MegaConfig,
    frame: &'a Frame<'a>,
    layer: usize,
}

impl Block<'_> {
    fn at(&self, name: &str) -> String {
        format!("mega.layers.{}.{name}", self.layer)
    }

    fn norm(&self, name: &str, x: &Var) -> Var {
        let (c, d) = (self.c, self.c.hidden_size);
        let part = |what: &str, n: usize| self.frame.parameter(&format!("{name}.norm.{what}"), &[n]);
        let last = x.ty().rank() - 1;
        let over = |v: &Var| v.broadcast_last(&d.into());
        match c.normalization_type {
            MegaNorm::Scale => {
                let square = x.square().mean(&[last]) + EPS;
                let x = if c.norm_affine {
                    x * &part("scalar", 1).reshape(&[]).broadcast(&x.shape(), &[])
                } else {
                    x.clone()
                };
                x * over(&square.rsqrt())
            }
            MegaNorm::Rms if c.norm_affine => x * &part("weight", d).broadcast_like(x),
            MegaNorm::Rms => x.clone(),
            MegaNorm::Layer => {
                let y = crate::norms::layer_norm(x, EPS);
                if !c.norm_affine {
                    return y;
                }
                &y * &part("weight", d).broadcast_like(&y) + part("bias", d).broadcast_like(&y)
            }
        }
    }

    fn project<I: Axis, O: Axis>(
        &self,
        name: &str,
        sizes: [usize; 2],
        x: &Traced<(Batch, Seq, I)>,
    ) -> Traced<(Batch, Seq, O)> {
        typed(self.frame.project::<I, O, _>(&self.at(name), sizes, true, x).var().clone())
    }

    /// The attention half.
    fn mega(&self, x: &X) -> X {
        let (c, frame) = (self.c, self.frame);
        let (d, z, v) = (c.hidden_size, c.shared_representation_size, c.intermediate_size);
        let norm = self.at("mega_layer.norm");
        let a: X = match c.normalize_before_mega {
            true => typed(self.norm(&norm, x.var())),
            false => x.clone(),
        };
        let value: Traced<(Batch, Seq, Values)> = self.project("mega_layer.v_proj", [v, d], &a);
        let value = value.silu();
        let e: X = typed(c.ema(frame, &self.at("mega_layer.ema_gate"), self.layer, a.var()));
        frame.cx.tap(&format!("layers.{}.ema", self.layer), e.var());
        let mixed: Traced<(Batch, Seq, Mixed)> = self.project("mega_layer.mx_proj", [z + v + 2 * d, d], &e);
        let parts = mixed.var().split(&[d, z, v, d], 2);
        let (update, shared, gate) = (parts[0].sigmoid(), parts[1].silu(), parts[2].silu());
        let pair = |name: &str| {
            let both = frame.parameter(&self.at(&format!("mega_layer.{name}")), &[2, z]);
            [0, 1].map(|k| both.slice_axis(0, k, k + 1).reshape(&[z.into()]).broadcast_like(&shared))
        };
        let (weight, bias) = (pair("qk_weight"), pair("qk_bias"));
        let [q, k] = [0, 1].map(|i| &shared * &weight[i] + bias[i].clone());
        let at = self.at("mega_layer.rel_pos_bias");
        let y = c.attention(frame, &at, self.layer, [&q, &k, value.var()]);
        let gated: Traced<(Batch, Seq, Values)> = typed(y * gate);
        let h: X = self.project("mega_layer.h_proj", [d, v], &gated);
        let h = (h.var() + &parts[3]).silu();
        let out = x.var() + &(&update * &(&h - x.var()));
        typed(if c.normalize_before_mega { out } else { self.norm(&norm, &out) })
    }

    /// The feed-forward half.
    fn feed_forward(&self, x: &X) -> X {
        let c = self.c;
        let (d, n) = (c.hidden_size, c.nffn_hidden_size);
        let norm = self.at("nffn.norm");
        let a: X = match c.normalize_before_ffn {
            true => typed(self.norm(&norm, x.var())),
            false => x.clone(),
        };
        let inner: Traced<(Batch, Seq, Inner)> = self.project("nffn.fc1", [n, d], &a);
        let y: X = self.project("nffn.fc2", [d, n], &inner.silu());
        let out = x.var() + y.var();
        typed(if c.normalize_before_ffn { out } else { self.norm(&norm, &out) })
    }
}

/// The graph, with the size `B`, `time` and, where there are caches, `S` left open.
///
/// Inputs: every parameter under its name in the state dict; `input_ids` i64 [B, T]; what [`GraphOptions`] adds. Outputs:
/// `logits`, `loss` [], the states. Taps: `hidden_states.0` (embeddings) to `hidden_states.L`.
///
/// # Errors
/// States of a model that has no step.
pub(super) fn graph(c: &MegaConfig, o: &GraphOptions, time: Dim) -> Result<Graph, GraphError> {
    let cx = Cx::abstract_();
    if o.states && !c.streams() {
        return Err(GraphError::Input {
            name: "states".into(),
            expected: "the whole sequence: a model that is no decoder, or reads both ways, has no step"
                .into(),
            found: "a step".into(),
        });
    }
    if o.states && o.mask {
        return Err(GraphError::Input {
            name: "attention_mask".into(),
            expected: "none beside states".into(),
            found: "one".into(),
        });
    }
    let mut frame = Frame::new(&cx, o, c.linear);
    frame.time = time;
    let (b, t, d) = (frame.batch.clone(), frame.time.clone(), Dim::from(c.hidden_size));
    let ids = cx.input("input_ids", Type { dtype: DType::I64, shape: vec![b.clone(), t.clone()] });
    let table = frame.parameter(EMBEDDING, &[c.vocab_size, c.hidden_size]);
    let mut h: X = cx.scope("embeddings", || {
        let rows = table.gather(&ids);
        if !c.add_token_type_embeddings {
            return typed(rows);
        }
        let name = "mega.embedding_layer.token_type_embeddings.weight";
        let types = frame.parameter(name, &[c.type_vocab_size, c.hidden_size]);
        let first = types.slice_axis(0, 0, 1).reshape(std::slice::from_ref(&d));
        typed(&rows + &first.broadcast_like(&rows))
    });
    for layer in 0..c.num_hidden_layers {
        h.tap(&format!("hidden_states.{layer}"));
        let block = Block { c, frame: &frame, layer };
        h = cx.scope(&format!("layers.{layer}"), || {
            let y = cx.scope("mega", || block.mega(&h));
            if c.use_normalized_ffn { cx.scope("nffn", || block.feed_forward(&y)) } else { y }
        });
    }
    h.tap(&format!("hidden_states.{}", c.num_hidden_layers));
    let logits = cx.scope("head", || {
        let last = match o.last {
            true => h.var().slice_axis(1, &t - &Dim::from(1), t.clone()).reshape(&[b.clone(), d.clone()]),
            false => h.var().clone(),
        };
        let bias = |y: Var, name: &str, n: usize| &y + &frame.parameter(name, &[n]).broadcast_like(&y);
        let mut y = last;
        if c.add_lm_hidden_dense_layer {
            let dense = frame.parameter("dense.weight", &[c.hidden_size, c.hidden_size]);
            y = bias(y.linear(&dense), "dense.bias", c.hidden_size).tanh();
        }
        bias(y.linear(&table), &format!("{}.bias", c.head()), c.vocab_size)
    });
    let mut named = vec![("logits".to_string(), logits.clone())];
    if o.labels {
        let labels = cx.input("labels", Type { dtype: DType::I64, shape: vec![b, t] });
        let made = cx
            .scope("loss", || if c.masked { masked_loss(&logits, &labels) } else { loss(&logits, &labels) });
        named.push(("loss".into(), made));
    }
    let kept = frame.into_kept();
    Frame::finish(cx, kept, named, &c.states(o.cache), o)
}
