//! The token mixer of a block: projections, the matrix memory, the norm of its heads and the output gate.

use axes::Axis;
use graph::typed::{Traced, TracedExt, typed};
use graph::{Dim, Var};

use super::WeightMode;
use crate::ends::{head_norm, soft_cap};
use crate::forms::State;
use crate::frame::{Batch, Frame, Hidden, LinearKind, Mixer, Seq};
use crate::parameters::{Init, Parameter};

axes::axes! {
    /// Queries, or keys, of all heads.
    pub Keys;
    /// Values of all heads.
    pub Values;
    /// One number for each head.
    pub Heads;
    /// Queries, keys, values and output gate side by side.
    pub Joint;
    /// Both gates side by side.
    pub Both;
}

/// The matrix memory as a token mixer.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlstm {
    /// d.
    pub hidden: usize,
    /// H.
    pub heads: usize,
    /// Width of all heads of queries, or of keys.
    pub keys: usize,
    /// Width of all heads of values.
    pub values: usize,
    /// Whether projections and norms have biases; the gates' have them always.
    pub bias: bool,
    /// Whether matrices that read one input are one.
    pub mode: WeightMode,
    /// Where the arguments of the gates end, softly.
    pub cap: f64,
    /// eps of the normaliser.
    pub eps: f64,
    /// eps of the norm of the heads.
    pub norm_eps: f64,
    /// Blocks of the model, by which the output projection starts smaller.
    pub layers: usize,
}

/// √(2 / 5d) (Nguyen and Salazar 2019).
pub(crate) fn small(hidden: usize) -> Init {
    Init::Normal((2.0 / (5.0 * hidden as f64)).sqrt())
}

/// 2 / (L √d) (Wang and Komatsuzaki 2021).
pub(crate) fn wang(hidden: usize, layers: usize) -> Init {
    Init::Normal(2.0 / layers.max(1) as f64 / (hidden as f64).sqrt())
}

/// x (B, T, H W) as (B, T, H, W).
pub(crate) fn split_heads(x: &Var, heads: usize) -> Var {
    let s = x.shape();
    let width = s[2].fixed().unwrap_or(0) / heads.max(1);
    x.reshape(&[s[0].clone(), s[1].clone(), heads.into(), width.into()])
}

/// Columns `from..to` of the last axis.
fn part<X: Axis>(x: &Var, from: usize, to: usize) -> Traced<(Batch, Seq, X)> {
    typed(x.slice_axis(2, from, to))
}

impl Mlstm {
    /// The projections with their sizes, in the order of the state dict; the last is the output's.
    fn shapes(&self) -> Vec<(&'static str, [usize; 2], bool)> {
        let (d, k, v, h) = (self.hidden, self.keys, self.values, self.heads);
        let mut list = match self.mode {
            WeightMode::Single => vec![
                ("q", [k, d], self.bias),
                ("k", [k, d], self.bias),
                ("v", [v, d], self.bias),
                ("ogate_preact", [v, d], self.bias),
                ("igate_preact", [h, d], true),
                ("fgate_preact", [h, d], true),
            ],
            WeightMode::Fused => {
                vec![("qkv_opreact", [2 * k + 2 * v, d], self.bias), ("ifgate_preact", [2 * h, d], true)]
            }
        };
        list.push(("out_proj", [d, v], self.bias));
        list
    }
}

impl Mixer for Mlstm {
    fn parameters(&self, at: &str, linear: LinearKind, list: &mut Vec<Parameter>) {
        let zero = Init::Constant(0.0);
        for (name, shape, bias) in self.shapes() {
            let (init, offset) = match name {
                "igate_preact" => (zero, Init::Constant(-10.0)),
                "fgate_preact" => (zero, Init::Line(3.0, 6.0)),
                "ifgate_preact" => (zero, Init::Gates { input: -10.0, forget: (3.0, 6.0) }),
                "ogate_preact" => (zero, zero),
                "out_proj" => (wang(self.hidden, self.layers), zero),
                _ => (small(self.hidden), zero),
            };
            if name == "out_proj" {
                let norm = |what: &str, init| Parameter {
                    name: format!("{at}.multihead_norm.{what}"),
                    shape: vec![self.values],
                    init,
                };
                list.push(norm("weight", Init::Constant(1.0)));
                list.extend(self.bias.then(|| norm("bias", zero)));
            }
            linear.parameters(list, &format!("{at}.{name}"), shape, init, bias.then_some(offset));
        }
    }

    fn projections(&self, at: &str) -> Vec<String> {
        self.shapes().into_iter().map(|(name, ..)| format!("{at}.{name}")).collect()
    }

    fn states(&self, layer: usize) -> Vec<State> {
        let (h, k, v) = (self.heads, self.keys / self.heads, self.values / self.heads);
        vec![
            State::fixed(format!("c_state.{layer}"), &[h, k, v]),
            State::fixed(format!("n_state.{layer}"), &[h, k]),
            State::fixed(format!("m_state.{layer}"), &[h]),
        ]
    }

    fn apply(
        &self,
        frame: &Frame<'_>,
        at: &str,
        layer: usize,
        x: &Traced<(Batch, Seq, Hidden)>,
    ) -> Traced<(Batch, Seq, Hidden)> {
        let (d, k, v, h) = (self.hidden, self.keys, self.values, self.heads);
        let name = |name: &str| format!("{at}.{name}");
        type Of<X> = Traced<(Batch, Seq, X)>;
        let (q, key, value, o, gates): (Of<Keys>, Of<Keys>, Of<Values>, Of<Values>, [Of<Heads>; 2]) =
            match self.mode {
                WeightMode::Single => (
                    frame.project(&name("q"), [k, d], self.bias, x),
                    frame.project(&name("k"), [k, d], self.bias, x),
                    frame.project(&name("v"), [v, d], self.bias, x),
                    frame.project(&name("ogate_preact"), [v, d], self.bias, x),
                    ["igate_preact", "fgate_preact"].map(|gate| frame.project(&name(gate), [h, d], true, x)),
                ),
                WeightMode::Fused => {
                    let all: Of<Joint> =
                        frame.project(&name("qkv_opreact"), [2 * k + 2 * v, d], self.bias, x);
                    let both: Of<Both> = frame.project(&name("ifgate_preact"), [2 * h, d], true, x);
                    let (all, both) = (all.var(), both.var());
                    let values = 2 * k + v;
                    let gates = [part(both, 0, h), part(both, h, 2 * h)];
                    (
                        part(all, 0, k),
                        part(all, k, 2 * k),
                        part(all, 2 * k, values),
                        part(all, values, values + v),
                        gates,
                    )
                }
            };
        let [i, f] = gates.map(|gate| soft_cap(gate.var(), self.cap));
        let states = self.states(layer);
        let given = |n: usize| {
            let shape: Vec<usize> = states[n].shape.iter().filter_map(Dim::fixed).collect();
            frame.state(&states[n].name, &shape)
        };
        let heads = |x: &Var| split_heads(x, h);
        let old = [given(0), given(1), given(2)];
        let (read, new) =
            heads(q.var()).mlstm(&heads(key.var()), &heads(value.var()), [&i, &f], old.each_ref(), self.eps);
        states.iter().zip(&new).for_each(|(state, value)| frame.keep(&state.name, value));
        let mut y = head_norm(&read, &frame.parameter(&name("multihead_norm.weight"), &[v]), self.norm_eps);
        if self.bias {
            y = &y + &frame.parameter(&name("multihead_norm.bias"), &[v]).broadcast_like(&y);
        }
        let y: Of<Values> = typed(&o.var().sigmoid() * &y);
        frame.project(&name("out_proj"), [d, v], self.bias, &y)
    }
}
