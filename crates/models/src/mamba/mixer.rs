//! The token mixer of a Mamba block.

use axes::DType;
use graph::typed::{Traced, TracedExt, typed};
use graph::{Type, Var};

use super::{Both, ConvNames, Inner, Maps, Rank, short_convolution};
use crate::forms::{Form, State};
use crate::frame::{Batch, Frame, Hidden, LinearKind, Mixer, Seq};
use crate::parameters::{Init, Parameter};

/// Sizes of the mixer and how it starts; see the [module](super) for what it computes.
#[derive(Clone, Debug, PartialEq)]
pub struct MambaMixer {
    /// Width of the residual stream, d.
    pub hidden: usize,
    /// Channels, I.
    pub inner: usize,
    /// States of a channel, N.
    pub states: usize,
    /// Rank of the step sizes, R.
    pub rank: usize,
    /// Taps of the convolution.
    pub taps: usize,
    /// `in_proj` and `out_proj` have biases.
    pub bias: bool,
    /// The convolution has a bias.
    pub conv_bias: bool,
    /// Least and largest step size at first, and the least that a bias stands for.
    pub steps: [f64; 3],
    /// The first values of `dt_proj.weight` are at most R^−½ times this.
    pub step_scale: f64,
    /// `out_proj` starts divided by this.
    pub out_divisor: f64,
}

/// PyTorch's own initial values of a linear layer or a filter.
pub(crate) fn fan_in(inputs: usize) -> Init {
    Init::Uniform(1.0 / (inputs as f64).sqrt())
}

/// 1 where a token is real, spread like `like` (B, T, …); nothing where all are.
pub(crate) fn mask(frame: &Frame<'_>, like: &Var) -> Option<Var> {
    frame.options.mask.then(|| {
        let shape = vec![frame.batch.clone(), frame.time.clone()];
        let mask = frame.input("attention_mask", Type { dtype: DType::F32, shape });
        mask.broadcast(&like.shape(), &[0, 1])
    })
}

impl MambaMixer {
    fn state_names(layer: usize) -> [String; 2] {
        [format!("ssm_state.{layer}"), format!("conv_state.{layer}")]
    }

    /// A = −exp(A_log), or what was made of it once.
    fn a(&self, frame: &Frame<'_>, at: &str) -> Var {
        let shape = [self.inner, self.states];
        if frame.options.form == Form::Prepared {
            return frame.parameter(&format!("{at}.A"), &shape);
        }
        -frame.parameter(&format!("{at}.A_log"), &shape).exp()
    }
}

impl Mixer for MambaMixer {
    fn parameters(&self, at: &str, linear: LinearKind, list: &mut Vec<Parameter>) {
        let Self { hidden, inner, states, rank, taps, .. } = *self;
        let name = |what: &str| format!("{at}.{what}");
        let mut add = |what: &str, shape: &[usize], init| {
            list.push(Parameter { name: name(what), shape: shape.to_vec(), init })
        };
        add("A_log", &[inner, states], Init::LogCount);
        add("D", &[inner], Init::Constant(1.0));
        add("conv1d.weight", &[inner, 1, taps], fan_in(taps));
        if self.conv_bias {
            add("conv1d.bias", &[inner], fan_in(taps));
        }
        let none = |on: bool| on.then_some(Init::Constant(0.0));
        linear.parameters(list, &name("in_proj"), [2 * inner, hidden], fan_in(hidden), none(self.bias));
        linear.parameters(list, &name("x_proj"), [rank + 2 * states, inner], fan_in(inner), None);
        let [low, high, floor] = self.steps;
        let step = Init::Uniform(self.step_scale / (rank as f64).sqrt());
        let bias = Init::StepSize { low, high, floor };
        linear.parameters(list, &name("dt_proj"), [inner, rank], step, Some(bias));
        let out = Init::Uniform(1.0 / (inner as f64).sqrt() / self.out_divisor);
        linear.parameters(list, &name("out_proj"), [hidden, inner], out, none(self.bias));
    }

    fn projections(&self, at: &str) -> Vec<String> {
        ["in_proj", "x_proj", "dt_proj", "out_proj"].map(|name| format!("{at}.{name}")).to_vec()
    }

    fn states(&self, layer: usize) -> Vec<State> {
        let [ssm, conv] = Self::state_names(layer);
        let mut list = vec![State::fixed(ssm, &[self.inner, self.states])];
        if self.taps > 1 {
            list.push(State::fixed(conv, &[self.taps - 1, self.inner]));
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
        let Self { hidden, inner, states, rank, taps, .. } = *self;
        let [ssm, conv] = Self::state_names(layer);
        let both: Traced<(Batch, Seq, Both)> =
            frame.project::<Hidden, Both, _>(&format!("{at}.in_proj"), [2 * inner, hidden], self.bias, u);
        let (x, z) = both.halves::<Inner>();
        let mask = mask(frame, x.var());
        let masked = |v: &Var| mask.as_ref().map_or_else(|| v.clone(), |mask| v * mask);
        let conv = ConvNames {
            at: &format!("{at}.conv1d"),
            state: &conv,
            channels: inner,
            taps,
            bias: self.conv_bias,
        };
        let x: Traced<(Batch, Seq, Inner)> =
            typed(masked(&short_convolution(frame, &conv, &masked(x.var()))));
        let maps: Traced<(Batch, Seq, Maps)> =
            frame.project::<Inner, Maps, _>(&format!("{at}.x_proj"), [rank + 2 * states, inner], false, &x);
        let part = |from: usize, to: usize| maps.var().slice_axis(2, from, to);
        let low: Traced<(Batch, Seq, Rank)> = typed(part(0, rank));
        let dt: Traced<(Batch, Seq, Inner)> =
            frame.project::<Rank, Inner, _>(&format!("{at}.dt_proj"), [inner, rank], true, &low);
        let (b, c) = (part(rank, rank + states), part(rank + states, rank + 2 * states));
        let before = frame.state(&ssm, &[inner, states]);
        let (y, after) = x.var().selective_scan(&dt.var().softplus(), &self.a(frame, at), &b, &c, &before);
        frame.keep(&ssm, &after);
        let skip = frame.parameter(&format!("{at}.D"), &[inner]);
        let y = &y + &(x.var() * &skip.broadcast_like(x.var()));
        let gated: Traced<(Batch, Seq, Inner)> = typed(&y * &z.var().silu());
        frame.project::<Inner, Hidden, _>(&format!("{at}.out_proj"), [hidden, inner], self.bias, &gated)
    }
}
