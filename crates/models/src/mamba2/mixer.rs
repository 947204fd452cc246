//! The token mixer of a Mamba-2 block.

use axes::DType;
use graph::typed::{Traced, TracedExt, typed};
use graph::{Dim, Type, Var};

use super::{All, Inner};
use crate::forms::{Form, State};
use crate::frame::{Batch, Frame, Hidden, LinearKind, Mixer, Seq};
use crate::mamba::{ConvNames, fan_in, mask, short_convolution};
use crate::parameters::{Init, Parameter};

/// Sizes of the mixer and how it starts; see the [module](super) for what it computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Mamba2Mixer {
    /// Width of the residual stream, d.
    pub hidden: usize,
    /// Heads, H.
    pub heads: usize,
    /// Width of a head, P.
    pub width: usize,
    /// Groups of heads with maps of their own, G.
    pub groups: usize,
    /// States, N.
    pub states: usize,
    /// Taps of the convolution.
    pub taps: usize,
    /// `in_proj` and `out_proj` have biases.
    pub bias: bool,
    /// The convolution has a bias.
    pub conv_bias: bool,
    /// eps of the gated norm.
    pub eps: f64,
    /// Least and greatest step size.
    pub limit: [f64; 2],
    /// Least and largest step size at first, and the least that a bias stands for.
    pub steps: [f64; 3],
    /// `out_proj` starts divided by this.
    pub out_divisor: f64,
}

impl Mamba2Mixer {
    /// Channels, I.
    pub fn inner(&self) -> usize {
        self.heads * self.width
    }

    /// Channels that are convolved: x, B and C.
    fn convolved(&self) -> usize {
        self.inner() + 2 * self.groups * self.states
    }

    /// Rows of `in_proj`.
    fn rows(&self) -> usize {
        self.inner() + self.convolved() + self.heads
    }

    fn state_names(layer: usize) -> [String; 2] {
        [format!("ssm_state.{layer}"), format!("conv_state.{layer}")]
    }

    /// a = −exp(A_log), or what was made of it once.
    fn a(&self, frame: &Frame<'_>, at: &str) -> Var {
        if frame.options.form == Form::Prepared {
            return frame.parameter(&format!("{at}.A"), &[self.heads]);
        }
        -frame.parameter(&format!("{at}.A_log"), &[self.heads]).exp()
    }

    /// clamp(softplus(δ + bias)).
    fn step_sizes(&self, frame: &Frame<'_>, at: &str, low_rank: &Var) -> Var {
        let bias = frame.parameter(&format!("{at}.dt_bias"), &[self.heads]);
        let mut dt = (low_rank + &bias.broadcast_like(low_rank)).softplus();
        let [low, high] = self.limit;
        if low > 0.0 {
            dt = dt.max(&dt.full_like(low));
        }
        if high.is_finite() {
            dt = dt.min(&dt.full_like(high));
        }
        dt
    }

    /// RMSNorm over the channels of each group, times the weight.
    fn norm(&self, frame: &Frame<'_>, at: &str, x: &Var) -> Var {
        let inner = self.inner();
        let weight = frame.parameter(&format!("{at}.norm.weight"), &[inner]);
        if self.groups == 1 {
            return x.rms_norm(&weight, self.eps);
        }
        let (shape, width) = (x.shape(), inner / self.groups);
        let apart = [shape[0].clone(), shape[1].clone(), self.groups.into(), width.into()];
        let ones = frame.cx.full(&Type::new(DType::F32, [width]), 1.0);
        let normed = x.reshape(&apart).rms_norm(&ones, self.eps).reshape(&shape);
        &normed * &weight.broadcast_like(&normed)
    }
}

impl Mixer for Mamba2Mixer {
    fn parameters(&self, at: &str, linear: LinearKind, list: &mut Vec<Parameter>) {
        let Self { hidden, heads, taps, .. } = *self;
        let (inner, convolved) = (self.inner(), self.convolved());
        let name = |what: &str| format!("{at}.{what}");
        let add = |list: &mut Vec<Parameter>, what: &str, shape: &[usize], init| {
            list.push(Parameter { name: name(what), shape: shape.to_vec(), init });
        };
        let [low, high, floor] = self.steps;
        add(list, "dt_bias", &[heads], Init::StepSize { low, high, floor });
        add(list, "A_log", &[heads], Init::LogUniform { low: 1.0, high: 16.0 });
        add(list, "D", &[heads], Init::Constant(1.0));
        add(list, "conv1d.weight", &[convolved, 1, taps], fan_in(taps));
        if self.conv_bias {
            add(list, "conv1d.bias", &[convolved], fan_in(taps));
        }
        let none = self.bias.then_some(Init::Constant(0.0));
        linear.parameters(list, &name("in_proj"), [self.rows(), hidden], fan_in(hidden), none);
        add(list, "norm.weight", &[inner], Init::Constant(1.0));
        let out = Init::Uniform(1.0 / (inner as f64).sqrt() / self.out_divisor);
        linear.parameters(list, &name("out_proj"), [hidden, inner], out, none);
    }

    fn projections(&self, at: &str) -> Vec<String> {
        ["in_proj", "out_proj"].map(|name| format!("{at}.{name}")).to_vec()
    }

    fn states(&self, layer: usize) -> Vec<State> {
        let [ssm, conv] = Self::state_names(layer);
        let mut list = vec![State::fixed(ssm, &[self.heads, self.width, self.states])];
        if self.taps > 1 {
            list.push(State::fixed(conv, &[self.taps - 1, self.convolved()]));
        }
        list
    }

    fn apply(
        &self,
        frame: &Frame<'_>,
        at: &str,
        layer: usize,
        u: &Traced<(Batch, Seq, Hidden)>,
    ) -> Traced<(Batch, Seq, Hidden)> {
        let Self { hidden, heads, width, groups, states, taps, .. } = *self;
        let (inner, convolved, rows) = (self.inner(), self.convolved(), self.rows());
        let [ssm, conv] = Self::state_names(layer);
        let masked = |v: &Var| mask(frame, v).map_or_else(|| v.clone(), |mask| v * &mask);
        let u: Traced<(Batch, Seq, Hidden)> = typed(masked(u.var()));
        let all: Traced<(Batch, Seq, All)> =
            frame.project::<Hidden, All, _>(&format!("{at}.in_proj"), [rows, hidden], self.bias, &u);
        let z = all.var().slice_axis(2, 0, inner);
        let dt = self.step_sizes(frame, at, &all.var().slice_axis(2, inner + convolved, rows));
        let names = ConvNames {
            at: &format!("{at}.conv1d"),
            state: &conv,
            channels: convolved,
            taps,
            bias: self.conv_bias,
        };
        let joined = all.var().slice_axis(2, inner, inner + convolved);
        let joined = masked(&short_convolution(frame, &names, &joined));
        let (b, t) = (frame.batch.clone(), frame.time.clone());
        let part = |from: usize, parts: usize, each: usize| {
            let shape: [Dim; 4] = [b.clone(), t.clone(), parts.into(), each.into()];
            joined.slice_axis(2, from, from + parts * each).reshape(&shape)
        };
        let x = part(0, heads, width);
        let (maps_in, maps_out) =
            (part(inner, groups, states), part(inner + groups * states, groups, states));
        let before = frame.state(&ssm, &[heads, width, states]);
        let (y, after) = x.ssd(&dt, &self.a(frame, at), &maps_in, &maps_out, &before);
        frame.keep(&ssm, &after);
        let skip = frame.parameter(&format!("{at}.D"), &[heads]);
        let y = &y + &(&x * &skip.broadcast(&x.shape(), &[2]));
        let y = y.reshape(&[b.clone(), t.clone(), inner.into()]);
        let gated: Traced<(Batch, Seq, Inner)> = typed(self.norm(frame, at, &(&y * &z.silu())));
        frame.project::<Inner, Hidden, _>(&format!("{at}.out_proj"), [hidden, inner], self.bias, &gated)
    }
}
