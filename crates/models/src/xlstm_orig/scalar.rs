//! The token mixer with a scalar memory whose channels are mixed within a head from step to step.

use graph::typed::{Traced, TracedExt, typed};
use graph::{Dim, Var};

use super::config::NORM_EPS;
use super::matrix::{convolution, convolved, headwise};
use crate::ends::head_norm;
use crate::forms::State;
use crate::frame::{Batch, Frame, Hidden, LinearKind, Mixer, Seq};
use crate::parameters::{Init, Parameter};
use crate::xlstm::small;

/// The scalar memory as a token mixer. Its matrices are blocks of heads, which `linear` leaves as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalarMixer {
    /// d.
    pub hidden: usize,
    /// H.
    pub heads: usize,
    /// Taps of the convolution.
    pub taps: usize,
    /// How deep the block stands, from 0 to 1: how the forget gates are drawn.
    pub depth: f64,
}

/// The modules that feed the gates i, f, z, o: the first two are named the other way round.
const GATES: [&str; 4] = ["fgate", "igate", "zgate", "ogate"];

impl ScalarMixer {
    fn width(&self) -> usize {
        self.hidden / self.heads
    }
}

impl Mixer for ScalarMixer {
    fn parameters(&self, at: &str, _: LinearKind, list: &mut Vec<Parameter>) {
        let (d, h, width) = (self.hidden, self.heads, self.width());
        convolution(list, at, d, self.taps);
        let mut add = |name: &str, shape: &[usize], init| {
            list.push(Parameter { name: format!("{at}.{name}"), shape: shape.to_vec(), init });
        };
        for gate in GATES {
            add(&format!("{gate}.weight"), &[h, width, width], small(d));
        }
        add("slstm_cell._recurrent_kernel_", &[h, 4 * width, width], Init::Constant(0.0));
        let exponent = 0.3 + 1.3 * self.depth;
        add("slstm_cell._bias_", &[4 * d], Init::ForgetBias { width, exponent });
        add("group_norm.weight", &[d], Init::Constant(0.0));
    }

    fn projections(&self, _: &str) -> Vec<String> {
        vec![]
    }

    fn states(&self, layer: usize) -> Vec<State> {
        let shape = [self.heads, self.width()];
        let mut list = vec![State::fixed(format!("conv_state.{layer}"), &[self.taps - 1, self.hidden])];
        list.extend(["c", "n", "h", "m"].map(|name| State::fixed(format!("{name}_state.{layer}"), &shape)));
        list
    }

    fn apply(
        &self,
        frame: &Frame<'_>,
        at: &str,
        layer: usize,
        x: &Traced<(Batch, Seq, Hidden)>,
    ) -> Traced<(Batch, Seq, Hidden)> {
        let (d, h, width) = (self.hidden, self.heads, self.width());
        let name = |name: &str| format!("{at}.{name}");
        let x = x.var();
        let act = convolved(frame, at, layer, d, self.taps, x);
        let gates = GATES.map(|gate| {
            let from = if ["fgate", "igate"].contains(&gate) { &act } else { x };
            headwise(frame, &name(gate), h, width, false, from)
        });
        let shape = x.shape();
        let (batch, time) = (shape[0].clone(), shape[1].clone());
        let all = Var::concatenate(&gates.each_ref(), 2);
        let bias = frame.parameter(&name("slstm_cell._bias_"), &[4 * d]);
        let all = &all + &bias.broadcast_like(&all);
        let all = all.reshape(&[batch.clone(), time.clone(), 4.into(), h.into(), width.into()]);
        let kernel = frame.parameter(&name("slstm_cell._recurrent_kernel_"), &[h, 4 * width, width]);
        let kernel = kernel.reshape(&[h, 4, width, width].map(Dim::from));
        let states = self.states(layer);
        let old = [1, 2, 3, 4].map(|n| frame.state(&states[n].name, &[h, width]));
        let (y, [c, n, m]) = all.slstm(&kernel, old.each_ref());
        let last = y.slice_axis(1, &time - &Dim::from(1), time);
        let last = last.reshape(&[batch, h.into(), width.into()]);
        states[1..].iter().zip([c, n, last, m]).for_each(|(state, value)| frame.keep(&state.name, &value));
        let norm = frame.parameter(&name("group_norm.weight"), &[d]);
        typed(head_norm(&y, &(norm + 1.0), NORM_EPS))
    }
}
