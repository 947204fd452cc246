//! The model's graphs: sequence, step, preparation.

use super::{
    Batch, BitLinear, Block, ChannelMixer, GateUp, Hidden, Inner, Intermediate, Layers, Mlgru, Products,
    Recurrent, Seq, Vocab, Weight,
};
use crate::bundle::{EMBEDDING, EMBEDDING_SCALE, EmbeddingType};
use crate::config::{ActivationRounding, MatMulFreeConfig, MlgruForm};
use crate::forms::{Form, GraphOptions, finish, loss};
use crate::frame::Quantizer;
use axes::{Axis, DType, Last};
use furnace::surrogates::{Given, Surrogate, uniform};
use graph::typed::{Traced, TracedExt, input, typed};
use graph::{Cx, Dim, Graph, GraphError, Type, Var};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Inputs and outputs of the states, in order: `state.N`, then `conv_state.N.K`.
pub fn state_names(c: &MatMulFreeConfig) -> Vec<(String, Vec<usize>)> {
    let mut out = vec![];
    for layer in 0..c.num_hidden_layers {
        out.push((format!("state.{layer}"), vec![c.input_dim()]));
        for (k, width) in conv_widths(c).iter().enumerate() {
            out.push((format!("conv_state.{layer}.{k}"), vec![c.conv_size - 1, *width]));
        }
    }
    out
}

fn conv_widths(c: &MatMulFreeConfig) -> Vec<usize> {
    match (c.use_short_conv, c.share_conv_kernel) {
        (false, _) => vec![],
        (true, true) => vec![c.hidden_size],
        (true, false) => vec![c.input_dim(); 2],
    }
}

/// The projections, whose weights are ternary: names in the state dict. The head's is among them also where it shares the
/// embedding's weight.
pub fn projections(c: &MatMulFreeConfig) -> Vec<String> {
    let mut out = vec![];
    for l in 0..c.num_hidden_layers {
        for p in
            ["attn.i_proj", "attn.f_proj", "attn.g_proj", "attn.o_proj", "mlp.gate_proj", "mlp.down_proj"]
        {
            out.push(format!("model.layers.{l}.{p}.weight"));
        }
    }
    out.push("lm_head.weight".into());
    out
}

/// Outputs of [`prepare_graph`], which are inputs of the prepared form.
pub fn prepared_names(c: &MatMulFreeConfig) -> Vec<String> {
    let mut out: Vec<String> =
        projections(c).iter().flat_map(|p| [format!("{p}.trits"), format!("{p}.scale")]).collect();
    if c.use_lower_bound {
        out.push("lower_bounds_eff".into());
    }
    out
}

/// Where a graph's weights come from: inputs named as in the state dict.
struct Source<'a> {
    cx: &'a Cx,
    c: &'a MatMulFreeConfig,
    form: Form,
    /// How the embedding lies in memory.
    stored: EmbeddingType,
    /// Effective lower bounds, (L, inner).
    bounds: Option<Traced<(Layers, Inner)>>,
    /// The embedding table, when the head shares it.
    table: Option<Var>,
    /// How derivatives pass the quantiser of the weights.
    surrogate: Surrogate,
    /// Inputs beside weights and states.
    shared: RefCell<BTreeMap<String, Var>>,
}

impl<'a> Source<'a> {
    fn new(cx: &'a Cx, c: &'a MatMulFreeConfig, form: Form, stored: EmbeddingType) -> Source<'a> {
        let stored = if form == Form::Prepared { stored } else { EmbeddingType::F32 };
        let (surrogate, shared) = (Surrogate::Ste, RefCell::default());
        let mut s = Source { cx, c, form, stored, bounds: None, table: None, surrogate, shared };
        if c.use_lower_bound {
            let dims = [c.num_hidden_layers.into(), c.hidden_size.into()];
            s.bounds = Some(if form == Form::Prepared {
                input(cx, "lower_bounds_eff", &dims)
            } else {
                effective_bounds(cx, &input(cx, "model.lower_bounds", &dims))
            });
        }
        s
    }

    fn vector<D: Axis>(&self, name: &str, n: usize) -> Traced<(D,)> {
        input(self.cx, name, &[n.into()])
    }

    fn bitlinear<I: Axis, O: Axis>(&self, name: &str, inputs: usize, outputs: usize) -> BitLinear<I, O> {
        let dims = [Dim::from(outputs), Dim::from(inputs)];
        let weight_name = format!("{name}.weight");
        let tied = self.table.as_ref().filter(|_| name == "lm_head" && self.c.tie_word_embeddings);
        let weight = match (self.form, tied) {
            (Form::Prepared, _) => {
                let trits = Type::new(DType::Trit, dims);
                Weight::Trits(
                    typed(self.cx.input(&format!("{weight_name}.trits"), trits)),
                    input(self.cx, &format!("{weight_name}.scale"), &[]),
                )
            }
            (_, Some(table)) => Weight::Master(typed(table.clone())),
            (_, None) => Weight::Master(input(self.cx, &weight_name, &dims)),
        };
        BitLinear {
            path: name.strip_prefix("model.").unwrap_or(name).to_string(),
            norm: self.vector(&format!("{name}.norm.weight"), inputs),
            weight,
            eps: self.c.bitlinear_norm_eps,
            rounding: match self.c.activation_rounding {
                ActivationRounding::HalfAwayFromZero => "half_away",
                _ => "half_even",
            },
            quantizer: Quantizer::Absmean,
            surrogate: self.surrogate(&weight_name, [outputs, inputs]),
            products: match self.form {
                Form::Float | Form::Prepared => Products::Float,
                Form::Integer => Products::Integer,
                Form::Training => Products::Training,
            },
        }
    }

    /// What the quantiser of a matrix is given, unless it is plainly straight-through.
    fn surrogate(&self, name: &str, [rows, columns]: [usize; 2]) -> Option<(Surrogate, Given)> {
        if self.surrogate == Surrogate::Ste || !matches!(self.form, Form::Float | Form::Training) {
            return None;
        }
        let number = |name: &str| self.cx.input(name, Type::scalar(DType::F32));
        let noise = || {
            // One stream of random bits a matrix: keys that differ by less than 2²⁰ belong to one step.
            let key = self.shared("quantizer.key", Type::scalar(DType::I64));
            let at = projections(self.c).iter().position(|n| n == name).unwrap_or(0) as f64;
            let like = self.cx.full(&Type::new(DType::F32, [rows, columns]), 0.0);
            uniform(&like, &(&key + &key.full_like(at)))
        };
        let given = Given {
            knob: self
                .surrogate
                .entry()
                .knob
                .map(|_| self.shared("quantizer.knob", Type::scalar(DType::F32))),
            step: (self.surrogate == Surrogate::Lsq).then(|| number(&format!("{name}.step"))),
            noise: (self.surrogate == Surrogate::Stochastic).then(noise),
        };
        Some((self.surrogate, given))
    }

    /// An input that several parts read; it is declared where it is wanted first.
    fn shared(&self, name: &str, ty: Type) -> Var {
        let mut shared = self.shared.borrow_mut();
        shared.entry(name.to_string()).or_insert_with(|| self.cx.input(name, ty)).clone()
    }

    fn block(&self, l: usize) -> Block {
        let c = self.c;
        let (d, inner, n) = (c.hidden_size, c.input_dim(), c.intermediate_size());
        let at = |name: &str| format!("model.layers.{l}.{name}");
        let convs: &[&str] = match (c.use_short_conv, c.share_conv_kernel) {
            (false, _) => &[],
            (true, true) => &["h"],
            (true, false) => &["f", "i"],
        };
        let conv = convs.iter().zip(conv_widths(c)).map(|(k, width)| {
            let ty = Type::new(DType::F32, [width, 1, c.conv_size]);
            self.cx.input(&at(&format!("attn.{k}_conv1d.weight")), ty)
        });
        // The first layer's bound is zero and is skipped, as in the published code.
        let lower_bound = self.bounds.as_ref().filter(|_| l > 0).map(|b| {
            let row = b.var().slice_axis(0, l, l + 1).reshape(&[inner.into()]);
            typed(row)
        });
        Block {
            path: format!("layers.{l}"),
            attn_norm: self.vector(&at("attn_norm.weight"), d),
            attn: Mlgru {
                path: format!("layers.{l}.attn"),
                form: c.mlgru_form,
                i_proj: self.bitlinear::<Hidden, Inner>(&at("attn.i_proj"), d, inner),
                f_proj: self.bitlinear::<Hidden, Inner>(&at("attn.f_proj"), d, inner),
                g_proj: self.bitlinear::<Hidden, Inner>(&at("attn.g_proj"), d, inner),
                conv: conv.collect(),
                g_norm: (c.mlgru_form == MlgruForm::Released)
                    .then(|| self.vector(&at("attn.g_norm.weight"), inner)),
                o_proj: self.bitlinear::<Inner, Hidden>(&at("attn.o_proj"), inner, d),
                eps: c.rms_norm_eps,
                lower_bound,
            },
            mlp_norm: self.vector(&at("mlp_norm.weight"), d),
            mlp: ChannelMixer {
                path: format!("layers.{l}.mlp"),
                gate_proj: self.bitlinear::<Hidden, GateUp>(&at("mlp.gate_proj"), d, 2 * n),
                down_proj: self.bitlinear::<Intermediate, Hidden>(&at("mlp.down_proj"), n, d),
            },
            eps: c.rms_norm_eps,
        }
    }

    fn head(&self) -> (Traced<(Hidden,)>, BitLinear<Hidden, Vocab>) {
        let d = self.c.hidden_size;
        (self.vector("model.norm.weight", d), self.bitlinear("lm_head", d, self.c.vocab_size))
    }

    /// The embedding's rows at `ids`. A table of a narrower type is read as it is: rows first, numbers second, so that
    /// no f32 table comes to be.
    fn embedded<R: Last<Axis = Hidden>>(&mut self, ids: &Traced<R::Rest, i64>) -> Traced<R> {
        let (cx, ids) = (self.cx, ids.var());
        let dims: [Dim; 2] = [self.c.vocab_size.into(), self.c.hidden_size.into()];
        let dtype = match self.stored {
            EmbeddingType::F32 => DType::F32,
            EmbeddingType::Bf16 => DType::BF16,
            EmbeddingType::I8 => DType::I8,
            EmbeddingType::Block(format) => {
                let row = format.row_bytes(self.c.hidden_size).unwrap_or(0);
                let table = cx.input(EMBEDDING, Type::new(DType::U8, [self.c.vocab_size, row]));
                return typed(ids.block_rows(&table, format, self.c.hidden_size));
            }
        };
        let table = cx.input(EMBEDDING, Type::new(dtype, dims.clone()));
        let rows = table.gather(ids).convert(DType::F32);
        if self.stored == EmbeddingType::F32 {
            self.table = Some(table);
        }
        if self.stored != EmbeddingType::I8 {
            return typed(rows);
        }
        let scale = cx.input(EMBEDDING_SCALE, Type::new(DType::F32, [dims[0].clone()]));
        typed(&rows * &scale.gather(ids).broadcast_last(&dims[1]))
    }

    fn state(&self, layer: usize, batch: &Dim, given: bool) -> Recurrent {
        let make = |name: String, sizes: &[usize]| {
            let dims: Vec<Dim> =
                std::iter::once(batch.clone()).chain(sizes.iter().map(|n| (*n).into())).collect();
            let ty = Type { dtype: DType::F32, shape: dims };
            if given { self.cx.input(&name, ty) } else { self.cx.full(&ty, 0.0) }
        };
        Recurrent {
            h: typed(make(format!("state.{layer}"), &[self.c.input_dim()])),
            conv: conv_widths(self.c)
                .iter()
                .enumerate()
                .map(|(k, w)| make(format!("conv_state.{layer}.{k}"), &[self.c.conv_size - 1, *w]))
                .collect(),
        }
    }
}

/// lb = cumsum(softmax(param over layers)) − its first row: 0 in the first layer, rising with depth.
fn effective_bounds(cx: &Cx, param: &Traced<(Layers, Inner)>) -> Traced<(Layers, Inner)> {
    cx.scope("lower_bounds", || {
        let p = param.var().transpose(&[1, 0]).softmax_last().transpose(&[1, 0]);
        let layers = p.shape()[0].fixed().unwrap_or(0);
        let first = p.slice_axis(0, 0, 1);
        let mut sum = first.clone();
        let mut rows = vec![&sum - &first];
        for l in 1..layers {
            sum = sum + p.slice_axis(0, l, l + 1);
            rows.push(&sum - &first);
        }
        let all = Var::concatenate(&rows.iter().collect::<Vec<_>>(), 0);
        cx.tap("lower_bounds_eff", &all);
        typed(all)
    })
}

/// The whole-sequence form, with the sizes `B` and `T` left open.
///
/// Inputs: every parameter under its name in the state dict; `input_ids` i64 [B, T]; what [`GraphOptions`] adds.
/// Outputs: `logits` [B, T, V], `loss` [], the new states. Taps: `hidden_states.0` (embeddings) to
/// `hidden_states.L` (after the final norm).
pub fn sequence_graph(c: &MatMulFreeConfig, o: &GraphOptions) -> Result<Graph, GraphError> {
    let cx = Cx::abstract_();
    let mut source = Source { surrogate: o.surrogate, ..Source::new(&cx, c, o.form, o.embedding) };
    let (b, t) = (Dim::symbol("B"), Dim::symbol("T"));
    let ids: Traced<(Batch, Seq), i64> = input(&cx, "input_ids", &[b.clone(), t.clone()]);
    let mask: Option<Traced<(Batch, Seq)>> =
        o.mask.then(|| input(&cx, "attention_mask", &[b.clone(), t.clone()]));
    let mut h: Traced<(Batch, Seq, Hidden)> = cx.scope("embeddings", || source.embedded(&ids));
    let mut outputs = vec![];
    for l in 0..c.num_hidden_layers {
        h.tap(&format!("hidden_states.{l}"));
        let state = source.state(l, &b, o.states);
        let mut next = None;
        h = source.block(l).apply(&h, |mixer, a| {
            let (y, new) = mixer.sequence(a, mask.as_ref(), &state);
            next = Some(new);
            y
        });
        push_state(&mut outputs, l, next, o.states);
    }
    let (norm, head) = source.head();
    let logits: Traced<(Batch, Seq, Vocab)> = cx.scope("head", || {
        if o.last {
            let [b, t, d] = &h.var().shape()[..] else { return typed(h.var().clone()) };
            let last = h.var().slice_axis(1, t - &Dim::from(1), t.clone());
            let last: Traced<(Batch, Hidden)> = typed(last.reshape(&[b.clone(), d.clone()]));
            let logits = head.apply(&last.rms_norm(&norm, c.rms_norm_eps));
            return typed(logits.var().clone());
        }
        let h = h.rms_norm(&norm, c.rms_norm_eps);
        h.tap("final_norm_out");
        h.tap(&format!("hidden_states.{}", c.num_hidden_layers));
        head.apply(&h)
    });
    let mut named = vec![("logits".to_string(), logits.var().clone())];
    if o.labels {
        let labels: Traced<(Batch, Seq), i64> = input(&cx, "labels", &[b, t]);
        named.push(("loss".into(), cx.scope("loss", || loss(logits.var(), labels.var()))));
    }
    named.extend(outputs);
    finish(cx, named, o.trace)
}

fn push_state(outputs: &mut Vec<(String, Var)>, l: usize, next: Option<Recurrent>, wanted: bool) {
    if let Some(next) = next.filter(|_| wanted) {
        outputs.push((format!("state.{l}"), next.h.var().clone()));
        for (k, v) in next.conv.into_iter().enumerate() {
            outputs.push((format!("conv_state.{l}.{k}"), v));
        }
    }
}

/// The streaming step: `input_ids` i64 (B) and the states in, `logits` (B, V) and the new states out. `stored` is how
/// the embedding lies in memory, in the prepared form.
pub fn step_graph(c: &MatMulFreeConfig, form: Form, stored: EmbeddingType) -> Result<Graph, GraphError> {
    let cx = Cx::abstract_();
    let mut source = Source::new(&cx, c, form, stored);
    let b = Dim::symbol("B");
    let ids: Traced<(Batch,), i64> = input(&cx, "input_ids", std::slice::from_ref(&b));
    let mut h: Traced<(Batch, Hidden)> = cx.scope("embeddings", || source.embedded(&ids));
    let mut outputs = vec![];
    for l in 0..c.num_hidden_layers {
        h.tap(&format!("hidden_states.{l}"));
        let state = source.state(l, &b, true);
        let mut next = None;
        h = source.block(l).apply(&h, |mixer, a| {
            let (y, new) = mixer.step(a, &state);
            next = Some(new);
            y
        });
        push_state(&mut outputs, l, next, true);
    }
    let (norm, head) = source.head();
    let logits = cx.scope("head", || {
        let h = h.rms_norm(&norm, c.rms_norm_eps);
        h.tap(&format!("hidden_states.{}", c.num_hidden_layers));
        head.apply(&h)
    });
    let mut named = vec![("logits".to_string(), logits.var().clone())];
    named.extend(outputs);
    finish(cx, named, false)
}

/// The part of [`prepare_graph`] that makes `lower_bounds_eff` of `model.lower_bounds`, both (L, d); nothing where the
/// model has no lower bounds.
pub fn bounds_graph(c: &MatMulFreeConfig) -> Result<Option<Graph>, GraphError> {
    if !c.use_lower_bound {
        return Ok(None);
    }
    let cx = Cx::abstract_();
    let dims = [c.num_hidden_layers.into(), c.hidden_size.into()];
    let bounds = effective_bounds(&cx, &input(&cx, "model.lower_bounds", &dims));
    let mut g = cx.finish(&[("lower_bounds_eff", bounds.var())])?;
    g.taps.clear();
    Ok(Some(g))
}

/// Trits, scales and effective lower bounds from the master weights: what a served model computes once.
pub fn prepare_graph(c: &MatMulFreeConfig) -> Result<Graph, GraphError> {
    let cx = Cx::abstract_();
    let mut named: Vec<(String, Var)> = vec![];
    let shapes = c.expected_tensors();
    let shape_of = |name: &str| shapes.iter().find(|(n, _)| n == name).map(|(_, s)| s.clone());
    for p in projections(c) {
        let master = if shape_of(&p).is_some() { p.clone() } else { "model.embeddings.weight".into() };
        let w = cx.input(&master, Type::new(DType::F32, shape_of(&master).unwrap_or_default()));
        let (t, s) = w.quantize_weights();
        named.push((format!("{p}.trits"), t));
        named.push((format!("{p}.scale"), s));
    }
    if c.use_lower_bound {
        let dims = [c.num_hidden_layers.into(), c.hidden_size.into()];
        let bounds = effective_bounds(&cx, &input(&cx, "model.lower_bounds", &dims));
        named.push(("lower_bounds_eff".into(), bounds.var().clone()));
    }
    let names: Vec<(&str, &Var)> = named.iter().map(|(n, v)| (n.as_str(), v)).collect();
    let mut g = cx.finish(&names)?;
    g.taps.clear();
    Ok(g)
}
