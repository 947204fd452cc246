//! The token mixer (MLGRU) for models that are not the published one: hybrids, any kind of projections.
//!
//! h_t = f_t h_{t−1} + (1 − f_t) silu(i_t), out = W_o (RMSNorm(g_t) · silu(h_t)), with i, f, g three projections of the
//! input and f behind a sigmoid: the released form, without its bounds on f by depth.

use graph::typed::{Traced, TracedExt, linear_scan, typed};

use super::Inner;
use crate::forms::State;
use crate::frame::{Batch, Frame, Hidden, LinearKind, Mixer, Seq};
use crate::parameters::{Init, Parameter};

/// The mixer.
#[derive(Clone, Debug)]
pub struct MlgruMixer {
    /// Width of the residual stream, D; the recurrence is as wide.
    pub hidden: usize,
    /// eps of the gate's norm.
    pub eps: f64,
}

impl Mixer for MlgruMixer {
    fn parameters(&self, at: &str, linear: LinearKind, list: &mut Vec<Parameter>) {
        let d = self.hidden;
        // Glorot's bound with gain 2^−2.5, the published model's.
        let bound = Init::Uniform(2f64.powf(-2.5) * (3.0 / d as f64).sqrt());
        for name in ["i_proj", "f_proj", "g_proj"] {
            linear.parameters(list, &format!("{at}.{name}"), [d, d], bound, None);
        }
        list.push(Parameter {
            name: format!("{at}.g_norm.weight"),
            shape: vec![d],
            init: Init::Constant(1.0),
        });
        linear.parameters(list, &format!("{at}.o_proj"), [d, d], bound, None);
    }

    fn projections(&self, at: &str) -> Vec<String> {
        ["i_proj", "f_proj", "g_proj", "o_proj"].iter().map(|name| format!("{at}.{name}")).collect()
    }

    fn states(&self, layer: usize) -> Vec<State> {
        vec![State::fixed(format!("state.{layer}"), &[self.hidden])]
    }

    fn apply(
        &self,
        frame: &Frame<'_>,
        at: &str,
        layer: usize,
        x: &Traced<(Batch, Seq, Hidden)>,
    ) -> Traced<(Batch, Seq, Hidden)> {
        let d = self.hidden;
        let project = |name: &str| -> Traced<(Batch, Seq, Inner)> {
            frame.project(&format!("{at}.{name}"), [d, d], false, x)
        };
        let (i, f, g) = (project("i_proj"), project("f_proj").sigmoid(), project("g_proj"));
        let input = &i.silu() * &(1.0 - &f);
        let name = format!("state.{layer}");
        let start: Traced<(Batch, Inner)> = typed(frame.state(&name, &[d]));
        let h = linear_scan(&f, &input, &start);
        let shape = h.var().shape();
        let last = h.var().slice_axis(1, &shape[1] - &graph::Dim::from(1), shape[1].clone());
        frame.keep(&name, &last.reshape(&[shape[0].clone(), d.into()]));
        let gated = &g.rms_norm(&frame.vector(&format!("{at}.g_norm.weight"), d), self.eps) * &h.silu();
        frame.project(&format!("{at}.o_proj"), [d, d], false, &gated)
    }
}
