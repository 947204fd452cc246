//! The token mixer with a matrix memory: up-projection, convolution, memory, skip and gate.

use graph::typed::{Traced, TracedExt, typed};
use graph::{Dim, Var};

use super::config::NORM_EPS;
use crate::ends::head_norm;
use crate::forms::State;
use crate::frame::{Batch, Frame, Hidden, LinearKind, Mixer, Seq};
use crate::matmulfree::causal_conv;
use crate::parameters::{Init, Parameter};
use crate::xlstm::{small, split_heads, wang};

axes::axes! {
    /// Inside, E.
    pub Inner;
    /// Memory and gate side by side, 2 E.
    pub Up;
    /// Queries, keys and values side by side, 3 E.
    pub Joint;
    /// One number for each head.
    pub Heads;
}

/// eps of the memory's normaliser.
const EPS: f64 = 1e-6;
/// What stands for −∞: e^(this − m) is 0 for every m that there is.
const NOTHING: f64 = -1e30;

/// The matrix memory as a token mixer.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixMixer {
    /// d.
    pub hidden: usize,
    /// E.
    pub inner: usize,
    /// H.
    pub heads: usize,
    /// Width of the blocks of W_q, W_k and W_v.
    pub block: usize,
    /// Taps of the convolution.
    pub taps: usize,
    /// Whether projections have biases; convolution and gates have them always.
    pub bias: bool,
    /// Blocks of the model, by which the output projection starts smaller.
    pub layers: usize,
}

/// y = W x with one block of W (blocks, to, from) for each run of the last axis of x (B, T, blocks · from).
pub(super) fn headwise(
    frame: &Frame<'_>,
    name: &str,
    blocks: usize,
    width: usize,
    bias: bool,
    x: &Var,
) -> Var {
    let weight = frame.parameter(&format!("{name}.weight"), &[blocks, width, width]);
    let s = x.shape();
    let y = split_heads(x, blocks).einsum(&weight, "bthi,hoi->btho");
    let y = y.reshape(&[s[0].clone(), s[1].clone(), s[2].clone()]);
    if !bias {
        return y;
    }
    &y + &frame.parameter(&format!("{name}.bias"), &[blocks * width]).broadcast_like(&y)
}

/// silu of the causal convolution along time, with the state `conv_state.N`.
pub(super) fn convolved(
    frame: &Frame<'_>,
    at: &str,
    layer: usize,
    width: usize,
    taps: usize,
    x: &Var,
) -> Var {
    let kernel = frame.parameter(&format!("{at}.conv1d.conv.weight"), &[width, 1, taps]);
    let bias = frame.parameter(&format!("{at}.conv1d.conv.bias"), &[width]);
    let name = format!("conv_state.{layer}");
    let (y, last) = causal_conv(x, &kernel, &frame.state(&name, &[taps - 1, width]));
    frame.keep(&name, &last);
    (&y + &bias.broadcast_like(&y)).silu()
}

/// Kernel and bias of the convolution, as PyTorch draws them.
pub(super) fn convolution(list: &mut Vec<Parameter>, at: &str, width: usize, taps: usize) {
    let init = Init::Uniform(1.0 / (taps as f64).sqrt());
    let name = |what: &str| format!("{at}.conv1d.conv.{what}");
    list.push(Parameter { name: name("weight"), shape: vec![width, 1, taps], init });
    list.push(Parameter { name: name("bias"), shape: vec![width], init });
}

impl MatrixMixer {
    fn shapes(&self) -> [(&'static str, [usize; 2]); 4] {
        let (d, e) = (self.hidden, self.inner);
        [
            ("proj_up", [2 * e, d]),
            ("mlstm_cell.igate", [self.heads, 3 * e]),
            ("mlstm_cell.fgate", [self.heads, 3 * e]),
            ("proj_down", [d, e]),
        ]
    }
}

impl Mixer for MatrixMixer {
    fn parameters(&self, at: &str, linear: LinearKind, list: &mut Vec<Parameter>) {
        let (e, zero) = (self.inner, Init::Constant(0.0));
        let [up, input, forget, down] = self.shapes();
        let bias = self.bias.then_some(zero);
        let name = |name: &str| format!("{at}.{name}");
        let vector = |list: &mut Vec<Parameter>, what: &str, init| {
            list.push(Parameter { name: name(what), shape: vec![e], init });
        };
        vector(list, "learnable_skip", Init::Constant(1.0));
        linear.parameters(list, &name(up.0), up.1, small(self.hidden), bias);
        for part in ["q_proj", "k_proj", "v_proj"] {
            let shape = vec![e / self.block, self.block, self.block];
            list.push(Parameter { name: name(&format!("{part}.weight")), shape, init: small(self.hidden) });
            if self.bias {
                vector(list, &format!("{part}.bias"), zero);
            }
        }
        convolution(list, at, e, self.taps);
        linear.parameters(list, &name(input.0), input.1, zero, Some(Init::Normal(0.1)));
        linear.parameters(list, &name(forget.0), forget.1, zero, Some(Init::Line(3.0, 6.0)));
        vector(list, "mlstm_cell.outnorm.weight", zero);
        linear.parameters(list, &name(down.0), down.1, wang(self.hidden, self.layers), bias);
    }

    fn projections(&self, at: &str) -> Vec<String> {
        self.shapes().iter().map(|(name, _)| format!("{at}.{name}")).collect()
    }

    fn states(&self, layer: usize) -> Vec<State> {
        let (h, width) = (self.heads, self.inner / self.heads);
        vec![
            State::fixed(format!("conv_state.{layer}"), &[self.taps - 1, self.inner]),
            State::fixed(format!("c_state.{layer}"), &[h, width, width]),
            State::fixed(format!("n_state.{layer}"), &[h, width]),
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
        type Of<X> = Traced<(Batch, Seq, X)>;
        let (e, h) = (self.inner, self.heads);
        let name = |name: &str| format!("{at}.{name}");
        let [up, input, forget, down] = self.shapes();
        let both: Of<Up> = frame.project(&name(up.0), up.1, self.bias, x);
        let (a, z) = both.halves::<Inner>();
        let act = convolved(frame, at, layer, e, self.taps, a.var());
        let part =
            |part: &str, x: &Var| headwise(frame, &name(part), e / self.block, self.block, self.bias, x);
        let (q, k, v) = (part("q_proj", &act), part("k_proj", &act), part("v_proj", a.var()));
        let joint: Of<Joint> = typed(Var::concatenate(&[&q, &k, &v], 2));
        let gates: [Of<Heads>; 2] =
            [input, forget].map(|(gate, shape)| frame.project(&name(gate), shape, true, &joint));
        let states = self.states(layer);
        let old = [1, 2, 3].map(|n| {
            let shape: Vec<usize> = states[n].shape.iter().filter_map(Dim::fixed).collect();
            let state = frame.state(&states[n].name, &shape);
            if n == 3 && !frame.options.states { state.full_like(NOTHING) } else { state }
        });
        let heads = |x: &Var| split_heads(x, h);
        let gates = gates.each_ref().map(|gate| gate.var());
        let (read, new) = heads(&q).mlstm(&heads(&k), &heads(&v), gates, old.each_ref(), EPS);
        states[1..].iter().zip(&new).for_each(|(state, value)| frame.keep(&state.name, value));
        let norm = frame.parameter(&name("mlstm_cell.outnorm.weight"), &[e]);
        let read = head_norm(&read, &(norm + 1.0), NORM_EPS);
        let skip = frame.parameter(&name("learnable_skip"), &[e]);
        let read = &read + &(&skip.broadcast_like(&act) * &act);
        let y: Of<Inner> = typed(&read * &z.var().silu());
        frame.project(&name(down.0), down.1, self.bias, &y)
    }
}
