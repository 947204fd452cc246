//! The mixer: attention on random features (FAVOR+).

use axes::DType;
use graph::typed::{Traced, TracedExt, typed};
use graph::{Dim, Type, Var};

use super::Stabilizer;
use crate::forms::State;
use crate::frame::{Batch, Frame, Hidden, LinearKind, Mixer, Seq};
use crate::linear_attention::mixer::{Heads, counted, everywhere, normalised, split, state_name};
use crate::parameters::{Init, Parameter};

/// Which random features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Features {
    /// Positive features of the softmax kernel.
    #[default]
    Softmax,
    /// relu of a random projection.
    Relu,
}

/// Added to each exponential feature.
const SOFTMAX_EPS: f64 = 1e-4;
/// Added to each ReLU feature.
const RELU_EPS: f64 = 1e-3;
/// Added to each sum of features of keys, in the causal form.
const SUM_EPS: f64 = 1e-6;

/// FAVOR+ over H heads.
#[derive(Clone, Debug)]
pub struct Favor {
    /// Width of the residual stream, D.
    pub hidden: usize,
    /// Heads, H.
    pub heads: usize,
    /// Width of a head, d.
    pub width: usize,
    /// Random features, M.
    pub features: usize,
    /// Which.
    pub kind: Features,
    /// What the exponential ones are made safe with in the whole-sequence form; a stream has the running maximum.
    pub stabilizer: Stabilizer,
    /// Whether a position sees none after it.
    pub causal: bool,
}

impl Favor {
    /// d ln d, the package's choice.
    pub fn default_features(width: usize) -> usize {
        ((width as f64) * (width as f64).ln()).max(1.0) as usize
    }

    /// W x' of x (B, T, H, d): (B, T, H, M). W has no derivative.
    fn projected(&self, x: &Var, w: &Var) -> Var {
        x.linear(&w.stop_gradient()) * (self.width as f64).powf(-0.25)
    }

    /// |x'|²/2 (B, T, H).
    fn half_square(&self, x: &Var) -> Var {
        x.square().sum(&[3]) * (0.5 / (self.width as f64).sqrt())
    }

    fn ratio(&self) -> f64 {
        (self.features as f64).powf(-0.5)
    }

    /// exp(dash − half − c) M^(−1/2), for c that spreads over the last axis of dash.
    fn exponentials(&self, dash: &Var, half: &Var, c: &Var) -> Var {
        let last = &dash.shape()[3];
        (dash - &(half + c).broadcast_last(last)).exp() * self.ratio()
    }

    fn relu(&self, x: &Var, w: &Var) -> Var {
        self.projected(x, w).relu() + RELU_EPS
    }

    /// The features of queries (B, T, H, d): each has the maximum of its own row as stabiliser.
    pub fn query_features(&self, q: &Var, w: &Var) -> Var {
        if self.kind == Features::Relu {
            return self.relu(q, w);
        }
        let dash = self.projected(q, w);
        let c = dash.max_over(&[3]).stop_gradient();
        self.exponentials(&dash, &self.half_square(q), &c) + self.ratio() * SOFTMAX_EPS
    }

    /// The features of keys with one stabiliser for all positions and features of a head.
    pub fn key_features(&self, k: &Var, w: &Var) -> Var {
        if self.kind == Features::Relu {
            return self.relu(k, w);
        }
        let dash = self.projected(k, w);
        let half = self.half_square(k);
        let c = dash.max_over(&[1, 3]).stop_gradient().broadcast(&half.shape(), &[0, 2]);
        self.exponentials(&dash, &half, &c) + self.ratio() * SOFTMAX_EPS
    }

    /// Attention of queries, keys and values that are split into heads, with the projection `w` (M, d): (B, T, H D).
    pub fn attend(&self, frame: &Frame<'_>, layer: usize, [q, k, v]: [&Var; 3], w: &Var) -> Var {
        let mut v = counted(v);
        if let Some(mask) = frame.mask() {
            // The package masks values only; the column that counts is no value.
            let shape = v.shape();
            let last = shape[3].fixed().unwrap_or(1) - 1;
            let values = v.slice_axis(3, 0, last);
            let values = &values * &mask.broadcast(&values.shape(), &[0, 1]);
            v = Var::concatenate(&[&values, &v.slice_axis(3, last, last + 1)], 3);
        }
        let q = self.query_features(q, w);
        if !self.causal {
            return normalised(&everywhere(&q, &self.key_features(k, w), &v), Var::clone);
        }
        let y = if self.running(frame) {
            self.running_sums(frame, layer, &q, k, &v, w)
        } else {
            let k = self.key_features(k, w);
            let state = state_name(layer);
            let (y, last) = q.linear_attention(&k, &v, &frame.state(&state, &self.state_shape()), None);
            frame.keep(&state, &last);
            y
        };
        let floor = q.sum(&[3]) * SUM_EPS;
        normalised(&y, |total| total + &floor.broadcast_last(&1.into()))
    }

    /// Whether the stabiliser is the maximum so far.
    fn running(&self, frame: &Frame<'_>) -> bool {
        let stream = frame.options.states || self.stabilizer == Stabilizer::Running;
        self.kind == Features::Softmax && stream
    }

    /// φ(q)ᵀ S and φ(q) · z, side by side, where the stabiliser of each position is the largest W x' up to it.
    fn running_sums(&self, frame: &Frame<'_>, layer: usize, q: &Var, k: &Var, v: &Var, w: &Var) -> Var {
        let dash = self.projected(k, w);
        let s = v.shape();
        let (one, heads) = (Dim::from(1), s[2].clone());
        let own = dash.max_over(&[3]).stop_gradient();
        // The largest up to each position, and up to the one before it.
        let first = own.slice_axis(1, 0, 1);
        let before = match frame.position() {
            Some(position) => {
                let state = frame.state(&names(layer)[1], &[self.heads]);
                let state = state.reshape(&[s[0].clone(), one.clone(), heads.clone()]);
                let fresh = position.equal(&position.full_like(0.0)).broadcast(&first.shape(), &[]);
                fresh.select(&first, &state)
            }
            None => first,
        };
        let all = Var::concatenate(&[&before, &own], 1).cumulative_max(1);
        let end = &s[1] + &one;
        let (before, c) = (all.slice_axis(1, 0, s[1].clone()), all.slice_axis(1, 1, end.clone()));
        let last = all.slice_axis(1, s[1].clone(), end).reshape(&[s[0].clone(), heads]);
        frame.keep(&names(layer)[1], &last);
        let k = self.exponentials(&dash, &self.half_square(k), &c);
        let state = state_name(layer);
        let decay = &before - &c;
        let (y, last) = q.linear_attention(&k, v, &frame.state(&state, &self.state_shape()), Some(&decay));
        frame.keep(&state, &last);
        // What the 1e-4 of every feature adds: the sum of the values, times the sum of the query's features.
        let columns = self.width + 1;
        let rows = [s[0].clone(), s[1].clone(), (self.heads * columns).into()];
        let start = frame.state(&names(layer)[2], &[self.heads, columns]);
        let start = start.reshape(&[s[0].clone(), rows[2].clone()]);
        let flat = v.reshape(&rows);
        let sums = flat.full_like(1.0).linear_scan(&flat, &start, false);
        let end = sums.slice_axis(1, &s[1] - &one, s[1].clone());
        frame.keep(&names(layer)[2], &end.reshape(&[s[0].clone(), self.heads.into(), columns.into()]));
        let total = q.sum(&[3]) * (self.ratio() * SOFTMAX_EPS);
        y + &(sums.reshape(&s) * total.broadcast_last(&columns.into()))
    }

    fn state_shape(&self) -> [usize; 3] {
        [self.heads, self.features, self.width + 1]
    }

    /// W (M, d).
    fn matrix(&self, frame: &Frame<'_>, at: &str) -> Var {
        let ty = Type::new(DType::F32, [Dim::from(self.features), self.width.into()]);
        frame.input(&format!("{at}.fast_attention.projection_matrix"), ty)
    }
}

/// Names of the states: the sums, the stabiliser, the sums of values.
fn names(layer: usize) -> [String; 3] {
    [state_name(layer), format!("attention_stabilizer.{layer}"), format!("attention_values.{layer}")]
}

impl Mixer for Favor {
    fn parameters(&self, at: &str, linear: LinearKind, list: &mut Vec<Parameter>) {
        let (d, inner) = (self.hidden, self.heads * self.width);
        let bound = |inputs: usize| Init::Uniform(1.0 / (inputs as f64).sqrt());
        list.push(Parameter {
            name: format!("{at}.fast_attention.projection_matrix"),
            shape: vec![self.features, self.width],
            init: Init::OrthogonalRows,
        });
        for name in ["to_q", "to_k", "to_v"] {
            linear.parameters(list, &format!("{at}.{name}"), [inner, d], bound(d), None);
        }
        linear.parameters(list, &format!("{at}.to_out"), [d, inner], bound(inner), None);
    }

    fn projections(&self, at: &str) -> Vec<String> {
        ["to_q", "to_k", "to_v", "to_out"].iter().map(|name| format!("{at}.{name}")).collect()
    }

    fn states(&self, layer: usize) -> Vec<State> {
        let [sums, peak, values] = names(layer);
        let mut list = vec![State::fixed(sums, &self.state_shape())];
        if self.kind == Features::Softmax {
            list.push(State::fixed(peak, &[self.heads]));
            list.push(State::fixed(values, &[self.heads, self.width + 1]));
        }
        if self.causal { list } else { vec![] }
    }

    fn apply(
        &self,
        frame: &Frame<'_>,
        at: &str,
        layer: usize,
        x: &Traced<(Batch, Seq, Hidden)>,
    ) -> Traced<(Batch, Seq, Hidden)> {
        let (d, inner) = (self.hidden, self.heads * self.width);
        let project = |name: &str| -> Var {
            let y: Traced<(Batch, Seq, Heads)> = frame.project(&format!("{at}.{name}"), [inner, d], false, x);
            split(y.var(), self.heads)
        };
        let (q, k, v) = (project("to_q"), project("to_k"), project("to_v"));
        let y: Traced<(Batch, Seq, Heads)> =
            typed(self.attend(frame, layer, [&q, &k, &v], &self.matrix(frame, at)));
        frame.project(&format!("{at}.to_out"), [d, inner], false, &y)
    }
}
