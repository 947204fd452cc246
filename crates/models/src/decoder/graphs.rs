//! The graph of a decoder: whole sequences, or new tokens after cached ones.

use axes::{Axis, BlockFormat, DType};
use graph::typed::{Traced, TracedExt, input, typed};
use graph::{Cx, Dim, Graph, GraphError, Type, Var};

use super::{
    Attention, Batch, Block, Cached, Decoder, EMBEDDING, GatedUnit, Half, Hidden, Kind, Linear, Linears, Seq,
    Vocab, inverse_frequencies,
};
use crate::bundle::EmbeddingType;
use crate::forms::{CacheType, Form, GraphOptions, PLACES, State, finish, loss};
use crate::frame::{LINEAR_NORM_EPS, LinearKind};
use crate::matmulfree::{BitLinear, Products, Weight};

const HEAD: &str = "lm_head.weight";

/// Caches in order: of each layer keys and values, then their scales where they are of i8.
pub fn states(d: &Decoder<'_>, cache: CacheType) -> Vec<State> {
    let rows: Vec<Dim> = vec![Dim::symbol(PLACES), d.groups.into(), d.width.into()];
    let mut list = vec![];
    for layer in 0..d.layers {
        let mut add = |name: &str, shape: &[Dim], dtype| {
            list.push(State { name: format!("{name}.{layer}"), shape: shape.to_vec(), dtype });
        };
        let dtype = if cache == CacheType::I8 { DType::I8 } else { DType::F32 };
        add("key_cache", &rows, dtype);
        add("value_cache", &rows, dtype);
        if cache == CacheType::I8 {
            add("key_scale", &rows[..2], DType::F32);
            add("value_scale", &rows[..2], DType::F32);
        }
    }
    list
}

/// Where a graph's weights come from: inputs named as in the state dict.
struct Source<'a> {
    cx: &'a Cx,
    d: &'a Decoder<'a>,
    o: &'a GraphOptions,
    /// The embedding table, when the head shares it.
    table: Option<Var>,
}

impl Source<'_> {
    fn vector<D: Axis>(&self, name: String, n: usize) -> Traced<(D,)> {
        input(self.cx, &name, &[n.into()])
    }

    /// The blocks that a matrix lies in.
    fn format(&self, name: &str, whole: bool) -> Option<BlockFormat> {
        let listed = self.d.formats.get(name).copied();
        listed.or(match self.o.embedding {
            EmbeddingType::Block(format) if whole && self.o.form == Form::Prepared => Some(format),
            _ => None,
        })
    }

    fn blocks(&self, name: &str, format: BlockFormat, rows: usize, columns: usize) -> Var {
        let row = format.row_bytes(columns).unwrap_or(0);
        self.cx.input(name, Type::new(DType::U8, [rows, row]))
    }

    fn linear<I: Axis, O: Axis>(&self, name: String, inputs: usize, outputs: usize) -> Linear<I, O> {
        let path = name.trim_start_matches("model.").to_string();
        let name = format!("{name}.weight");
        let dims = [Dim::from(outputs), Dim::from(inputs)];
        if let Some(format) = self.format(&name, false) {
            return Linear { path, kind: Kind::Blocks(self.blocks(&name, format, outputs, inputs), format) };
        }
        let products = match self.o.form {
            Form::Integer => Products::Integer,
            Form::Training => Products::Training,
            Form::Float | Form::Prepared => Products::Float,
        };
        let floats = || input(self.cx, &name, &dims);
        let weight = || {
            if self.o.form != Form::Prepared {
                return Weight::Master(floats());
            }
            let trits = self.cx.input(&format!("{name}.trits"), Type::new(DType::Trit, dims.clone()));
            Weight::Trits(typed(trits), input(self.cx, &format!("{name}.scale"), &[]))
        };
        let kind = match self.d.linear {
            Linears::Plain | Linears::Normed(LinearKind::Full) => Kind::Plain(floats()),
            Linears::Ternary => Kind::Ternary(weight(), products),
            Linears::Binary(form) => Kind::Binary(weight(), products, form),
            Linears::Normed(kind) => Kind::Normed(BitLinear {
                path: path.clone(),
                norm: self.vector(format!("{}.norm.weight", name.trim_end_matches(".weight")), inputs),
                weight: weight(),
                eps: LINEAR_NORM_EPS,
                rounding: "half_even",
                products,
                quantizer: kind.quantizer(),
                surrogate: None,
            }),
        };
        Linear { path, kind }
    }

    fn block(&self, l: usize) -> Block {
        let d = self.d;
        let (hidden, queries, keys) = (d.hidden, d.heads * d.width, d.groups * d.width);
        let at = |name: &str| format!("model.layers.{l}.{name}");
        let norm = |name: &str| at(&format!("{name}.weight"));
        Block {
            path: format!("layers.{l}"),
            input_norm: self.vector(norm("input_layernorm"), hidden),
            attention: Attention {
                path: format!("layers.{l}.self_attn"),
                q_proj: self.linear(at("self_attn.q_proj"), hidden, queries),
                k_proj: self.linear(at("self_attn.k_proj"), hidden, keys),
                v_proj: self.linear(at("self_attn.v_proj"), hidden, keys),
                o_proj: self.linear(at("self_attn.o_proj"), queries, hidden),
                head_norms: d.head_norms.then(|| {
                    ["q_norm", "k_norm"].map(|n| self.vector(norm(&format!("self_attn.{n}")), d.width))
                }),
                sub_norm: d.sub_norms.then(|| self.vector(norm("self_attn.attn_sub_norm"), queries)),
                sizes: [d.heads, d.groups, d.width],
                eps: d.eps,
            },
            post_norm: self.vector(norm("post_attention_layernorm"), hidden),
            mlp: GatedUnit {
                path: format!("layers.{l}.mlp"),
                gate_proj: self.linear(at("mlp.gate_proj"), hidden, d.intermediate),
                up_proj: self.linear(at("mlp.up_proj"), hidden, d.intermediate),
                down_proj: self.linear(at("mlp.down_proj"), d.intermediate, hidden),
                sub_norm: d.sub_norms.then(|| self.vector(norm("mlp.ffn_sub_norm"), d.intermediate)),
                activation: d.activation,
                eps: d.eps,
            },
            eps: d.eps,
        }
    }

    /// The embedding's rows at `ids`; the table is kept for the head.
    fn embedded(&mut self, ids: &Traced<(Batch, Seq), i64>) -> Traced<(Batch, Seq, Hidden)> {
        let (vocab, hidden) = (self.d.vocab, self.d.hidden);
        let (rows, table) = match self.format(EMBEDDING, true) {
            Some(format) => {
                let table = self.blocks(EMBEDDING, format, vocab, hidden);
                (ids.var().block_rows(&table, format, hidden), table)
            }
            None => {
                let table = self.cx.input(EMBEDDING, Type::new(DType::F32, [vocab, hidden]));
                (table.gather(ids.var()), table)
            }
        };
        self.table = Some(table);
        typed(rows)
    }

    fn head(&self) -> (Traced<(Hidden,)>, Linear<Hidden, Vocab>) {
        let (vocab, hidden) = (self.d.vocab, self.d.hidden);
        let name = if self.d.tied { EMBEDDING } else { HEAD };
        let shared = self.table.clone().filter(|_| self.d.tied);
        let kind = match self.format(name, true) {
            Some(format) => {
                let table = shared.unwrap_or_else(|| self.blocks(name, format, vocab, hidden));
                Kind::Blocks(table, format)
            }
            None => Kind::Plain(typed(
                shared.unwrap_or_else(|| self.cx.input(name, Type::new(DType::F32, [vocab, hidden]))),
            )),
        };
        (self.vector("model.norm.weight".into(), hidden), Linear { path: "lm_head".into(), kind })
    }

    /// The caches of every layer.
    fn caches(&self, position: &Var, batch: &Dim) -> Vec<Cached> {
        let list = states(self.d, self.o.cache);
        let each = list.len() / self.d.layers.max(1);
        let make = |state: &State| {
            let shape = std::iter::once(batch).chain(&state.shape).cloned().collect();
            self.cx.input(&state.name, Type { dtype: state.dtype, shape })
        };
        let layer = |states: &[State]| {
            let made: Vec<Var> = states.iter().map(make).collect();
            let pair = |k: usize| [made[k].clone(), made[k + 1].clone()];
            Cached { rows: pair(0), scales: (each == 4).then(|| pair(2)), position: position.clone() }
        };
        list.chunks(each.max(1)).map(layer).collect()
    }

    /// Cosines and sines of the angles of every position, (T, D/2), in f32.
    fn angles(&self, time: &Dim, position: Option<&Var>) -> [Traced<(Seq, Half)>; 2] {
        let row = std::slice::from_ref(time);
        let mut places = self.cx.iota(DType::I64, row);
        if let Some(position) = position {
            places = places + position.broadcast(row, &[]);
        }
        let half = self.d.width / 2;
        let frequencies = inverse_frequencies(self.d.theta, self.d.width);
        let frequencies: Vec<f64> = frequencies.into_iter().map(f64::from).collect();
        let grid = [time.clone(), half.into()];
        let frequencies = self.cx.array(DType::F32, &[half], &frequencies).broadcast(&grid, &[1]);
        let angles = places.convert(DType::F32).broadcast(&grid, &[0]) * frequencies;
        [typed(angles.cos()), typed(angles.sin())]
    }
}

/// The graph, with the sizes `B`, `T` and, where there are caches, `S` left open.
///
/// Inputs: every weight under its name in the state dict (`NAME.trits` and `NAME.scale` in the prepared form);
/// `input_ids` i64 [B, T]; what [`GraphOptions`] adds. Outputs: `logits` [B, T, V] or [B, V], `loss` [], the caches, whose
/// inputs they may replace in place. Taps: `hidden_states.0` (embeddings) to `hidden_states.L` (after the final norm).
///
/// # Errors
/// A mask together with caches: what was masked before is not known to them.
pub fn graph(d: &Decoder<'_>, o: &GraphOptions) -> Result<Graph, GraphError> {
    let cx = Cx::abstract_();
    let mut source = Source { cx: &cx, d, o, table: None };
    let (b, t) = (Dim::symbol("B"), Dim::symbol("T"));
    let ids: Traced<(Batch, Seq), i64> = input(&cx, "input_ids", &[b.clone(), t.clone()]);
    let mask = o.mask.then(|| {
        let mask = cx.input("attention_mask", Type { dtype: DType::F32, shape: vec![b.clone(), t.clone()] });
        mask.gt(&mask.full_like(0.0))
    });
    if o.mask && o.states {
        cx.fail(GraphError::Input {
            name: "attention_mask".into(),
            expected: "none beside caches of keys and values".into(),
            found: "one".into(),
        });
    }
    if o.surrogate != Default::default() {
        cx.fail(GraphError::Input {
            name: "surrogate".into(),
            expected: "`ste`: decoders are not trained here with another".into(),
            found: o.surrogate.to_string(),
        });
    }
    let position = o.states.then(|| cx.input("position", Type::scalar(DType::I64)));
    let mut h = cx.scope("embeddings", || source.embedded(&ids));
    let angles = cx.scope("positions", || source.angles(&t, position.as_ref()));
    let cached = position.as_ref().map(|position| source.caches(position, &b)).unwrap_or_default();
    let mut caches = vec![];
    for l in 0..d.layers {
        h.tap(&format!("hidden_states.{l}"));
        let (next, made) = source.block(l).apply(&h, &angles, cached.get(l), mask.as_ref());
        h = next;
        caches.extend(made);
    }
    let (norm, head) = source.head();
    let logits = cx.scope("head", || {
        if o.last {
            let one = Dim::from(1);
            let last: Traced<(Batch, Seq, Hidden)> = typed(h.var().slice_axis(1, &t - &one, t.clone()));
            let logits = head.apply(&last.rms_norm(&norm, d.eps));
            return logits.var().reshape(&[b.clone(), d.vocab.into()]);
        }
        let h = h.rms_norm(&norm, d.eps);
        h.tap(&format!("hidden_states.{}", d.layers));
        head.apply(&h).var().clone()
    });
    let mut named = vec![("logits".to_string(), logits.clone())];
    if o.labels {
        let labels = cx.input("labels", Type { dtype: DType::I64, shape: vec![b, t] });
        named.push(("loss".into(), cx.scope("loss", || loss(&logits, &labels))));
    }
    let names = states(d, o.cache).into_iter().map(|state| state.name);
    named.extend(names.zip(caches));
    finish(cx, named, o.trace)
}
