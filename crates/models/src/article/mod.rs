//! The smallest state-space model: s_t = A s_{t−1} + B x_t, y_t = C s_t with a diagonal A and a step Δ per position.
//!
//! Every channel has N states. With Δ_t = softplus(W x_t + b) for each channel, s_t = exp(Δ_t A) s_{t−1} + Δ_t B x_t: the
//! discretisation of Gu and Dao 2023 ("Mamba", arXiv 2312.00752), of which this is the part without input-dependent B and C,
//! convolution and gate. A = −exp(`A_log`), one row a channel; B and C are one vector each for all channels. The other
//! smallest example is [`crate::linear_attention::SoftmaxFree`], linear attention with its normaliser.

use graph::typed::{Traced, TracedExt, typed};

use crate::forms::State;
use crate::frame::{Batch, Frame, Hidden, LinearKind, Mixer, Seq};
use crate::parameters::{Init, Parameter};

axes::axes! {
    /// Channels of the recurrence.
    pub Channels;
}

/// softplus⁻¹(0.02): a memory of some fifty positions at first.
const STEP_BIAS: f32 = -3.9;

/// The mixer.
#[derive(Clone, Debug)]
pub struct SimplifiedSsm {
    /// Width of the residual stream, D; there are as many channels.
    pub hidden: usize,
    /// States of a channel, N.
    pub states: usize,
}

impl Mixer for SimplifiedSsm {
    fn parameters(&self, at: &str, linear: LinearKind, list: &mut Vec<Parameter>) {
        let (d, n) = (self.hidden, self.states);
        let bound = Init::Uniform(1.0 / (d as f64).sqrt());
        let mut add = |name: &str, shape: &[usize], init| {
            list.push(Parameter { name: format!("{at}.{name}"), shape: shape.to_vec(), init });
        };
        add("A_log", &[d, n], Init::LogCount);
        add("B", &[n], Init::Constant(1.0));
        add("C", &[n], Init::Normal(1.0 / (n as f64).sqrt()));
        linear.parameters(list, &format!("{at}.dt_proj"), [d, d], bound, Some(Init::Constant(STEP_BIAS)));
        linear.parameters(list, &format!("{at}.out_proj"), [d, d], bound, None);
    }

    fn projections(&self, at: &str) -> Vec<String> {
        vec![format!("{at}.dt_proj"), format!("{at}.out_proj")]
    }

    fn states(&self, layer: usize) -> Vec<State> {
        vec![State::fixed(format!("ssm_state.{layer}"), &[self.hidden, self.states])]
    }

    fn apply(
        &self,
        frame: &Frame<'_>,
        at: &str,
        layer: usize,
        x: &Traced<(Batch, Seq, Hidden)>,
    ) -> Traced<(Batch, Seq, Hidden)> {
        let (d, n) = (self.hidden, self.states);
        let step: Traced<(Batch, Seq, Channels)> = frame.project(&format!("{at}.dt_proj"), [d, d], true, x);
        let a = -frame.parameter(&format!("{at}.A_log"), &[d, n]).exp();
        let maps = [frame.batch.clone(), x.var().shape()[1].clone(), n.into()];
        let [b, c] =
            ["B", "C"].map(|name| frame.parameter(&format!("{at}.{name}"), &[n]).broadcast(&maps, &[2]));
        let name = format!("ssm_state.{layer}");
        let start = frame.state(&name, &[d, n]);
        let (y, last) = x.var().selective_scan(&step.var().softplus(), &a, &b, &c, &start);
        frame.keep(&name, &last);
        let y: Traced<(Batch, Seq, Channels)> = typed(y);
        frame.project(&format!("{at}.out_proj"), [d, d], false, &y)
    }
}
