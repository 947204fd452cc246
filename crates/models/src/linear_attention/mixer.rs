//! The mixer: softmax-free attention with the feature map elu + 1.

use graph::Var;
use graph::typed::{Traced, TracedExt, typed};

use crate::forms::State;
use crate::frame::{Batch, Frame, Hidden, LinearKind, Mixer, Seq};
use crate::parameters::{Init, Parameter};

axes::axes! {
    /// All heads side by side.
    pub Heads;
}

/// What a library calls the four projections of attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    /// Queries.
    pub query: &'static str,
    /// Keys.
    pub key: &'static str,
    /// Values.
    pub value: &'static str,
    /// Output.
    pub out: &'static str,
}

/// Those of `fast-transformers`.
pub(crate) const FAST_TRANSFORMERS: Names = Names {
    query: "query_projection",
    key: "key_projection",
    value: "value_projection",
    out: "out_projection",
};

/// Ours, for hybrids.
pub(crate) const SHORT: Names = Names { query: "q_proj", key: "k_proj", value: "v_proj", out: "o_proj" };

impl Names {
    /// All four, in the order in which they are applied.
    pub fn all(self) -> [&'static str; 4] {
        [self.query, self.key, self.value, self.out]
    }
}

/// Linear attention over H heads of D / H.
#[derive(Clone, Debug)]
pub struct SoftmaxFree {
    /// Width of the residual stream, D.
    pub hidden: usize,
    /// Heads, H.
    pub heads: usize,
    /// Added to the normaliser.
    pub eps: f64,
    /// Whether a position sees none after it.
    pub causal: bool,
    /// Whether projections have biases.
    pub bias: bool,
    /// What they are called.
    pub names: Names,
}

/// φ(x) = elu(x) + 1.
pub(crate) fn feature_map(x: &Var) -> Var {
    x.elu(1.0) + 1.0
}

/// x (B, T, H D) as heads (B, T, H, D).
pub(crate) fn split(x: &Var, heads: usize) -> Var {
    let s = x.shape();
    let width = s[2].fixed().unwrap_or(0) / heads.max(1);
    x.reshape(&[s[0].clone(), s[1].clone(), heads.into(), width.into()])
}

/// Values with a 1 behind them: what multiplies it adds up to the normaliser.
pub(crate) fn counted(v: &Var) -> Var {
    let mut s = v.shape();
    s[3] = 1.into();
    let ones = v.cx().full(&graph::Type { dtype: v.dtype(), shape: s }, 1.0);
    Var::concatenate(&[v, &ones], 3)
}

/// The last of y's columns is the normaliser of the others: (B, T, H, D + 1) → (B, T, H D).
pub(crate) fn normalised(y: &Var, floor: impl FnOnce(&Var) -> Var) -> Var {
    let s = y.shape();
    let (heads, width) = (s[2].fixed().unwrap_or(0), s[3].fixed().unwrap_or(1) - 1);
    let total = floor(&y.slice_axis(3, width, width + 1));
    let rows = [s[0].clone(), s[1].clone(), s[2].clone()];
    let part = y.slice_axis(3, 0, width);
    let y = &part / &total.reshape(&rows).broadcast_last(&width.into());
    y.reshape(&[s[0].clone(), s[1].clone(), (heads * width).into()])
}

/// Σ_s k_s v_sᵀ over all positions, and the queries' products with it: (B, T, H, M) and (B, T, H, D) → (B, T, H, D).
pub(crate) fn everywhere(q: &Var, k: &Var, v: &Var) -> Var {
    // (B, H, M, D), then (B, H, T, D).
    let sums = k.dot_general(v, (&[1], &[1]), (&[0, 2], &[0, 2]));
    q.dot_general(&sums, (&[3], &[2]), (&[0, 2], &[0, 1])).transpose(&[0, 2, 1, 3])
}

impl SoftmaxFree {
    /// Attention of queries, keys and values that are split into heads: (B, T, H, D) → (B, T, H D).
    pub fn attend(&self, frame: &Frame<'_>, layer: usize, [q, k, v]: [&Var; 3]) -> Var {
        let (q, mut k, v) = (feature_map(q), feature_map(k), counted(v));
        if let Some(mask) = frame.mask() {
            k = &k * &mask.broadcast(&k.shape(), &[0, 1]);
        }
        let y = if self.causal {
            let name = state_name(layer);
            let (y, last) = q.linear_attention(&k, &v, &frame.state(&name, &self.state_shape()), None);
            frame.keep(&name, &last);
            y
        } else {
            everywhere(&q, &k, &v)
        };
        normalised(&y, |total| total + self.eps)
    }

    /// Rows are features, columns values and what they are divided by.
    fn state_shape(&self) -> [usize; 3] {
        let width = self.hidden / self.heads.max(1);
        [self.heads, width, width + 1]
    }
}

pub(crate) fn state_name(layer: usize) -> String {
    format!("attention_state.{layer}")
}

impl Mixer for SoftmaxFree {
    fn parameters(&self, at: &str, linear: LinearKind, list: &mut Vec<Parameter>) {
        let bound = Init::Uniform(1.0 / (self.hidden as f64).sqrt());
        for name in self.names.all() {
            let sizes = [self.hidden, self.hidden];
            linear.parameters(list, &format!("{at}.{name}"), sizes, bound, self.bias.then_some(bound));
        }
    }

    fn projections(&self, at: &str) -> Vec<String> {
        self.names.all().iter().map(|name| format!("{at}.{name}")).collect()
    }

    fn states(&self, layer: usize) -> Vec<State> {
        let state = State::fixed(state_name(layer), &self.state_shape());
        if self.causal { vec![state] } else { vec![] }
    }

    fn apply(
        &self,
        frame: &Frame<'_>,
        at: &str,
        layer: usize,
        x: &Traced<(Batch, Seq, Hidden)>,
    ) -> Traced<(Batch, Seq, Hidden)> {
        let sizes = [self.hidden, self.hidden];
        let project = |name: &str| -> Traced<(Batch, Seq, Heads)> {
            frame.project(&format!("{at}.{name}"), sizes, self.bias, x)
        };
        let [q, k, v] = [self.names.query, self.names.key, self.names.value]
            .map(|name| split(project(name).var(), self.heads));
        let y: Traced<(Batch, Seq, Heads)> = typed(self.attend(frame, layer, [&q, &k, &v]));
        frame.project(&format!("{at}.{}", self.names.out), sizes, self.bias, &y)
    }
}
