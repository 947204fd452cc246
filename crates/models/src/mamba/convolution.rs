//! The short causal convolution before a state space: depthwise, with a few taps, a bias and SiLU, and its state.

use graph::{Dim, Var};

use crate::frame::Frame;

/// Names and sizes of a convolution.
pub(crate) struct ConvNames<'a> {
    /// Where its weight and bias stand in the state dict.
    pub(crate) at: &'a str,
    /// The state that holds its last inputs.
    pub(crate) state: &'a str,
    /// Channels.
    pub(crate) channels: usize,
    /// Taps, K.
    pub(crate) taps: usize,
    /// Whether there is a bias.
    pub(crate) bias: bool,
}

/// silu(conv(x) + b) of x (B, T, C), from the K − 1 inputs that the state holds (oldest first) to those that it will.
pub(crate) fn short_convolution(frame: &Frame<'_>, names: &ConvNames<'_>, x: &Var) -> Var {
    let &ConvNames { at, state, channels, taps, bias } = names;
    let kernel = frame.parameter(&format!("{at}.weight"), &[channels, 1, taps]);
    let t = &frame.time;
    let width = Dim::from(channels);
    // Filters by taps: one copy, of which each tap is a view.
    let kernel = kernel.reshape(&[width.clone(), taps.into()]).transpose(&[1, 0]);
    let tap = |k: usize| kernel.slice_axis(0, k, k + 1).reshape(std::slice::from_ref(&width));
    let history = match taps {
        1 => x.clone(),
        _ => Var::concatenate(&[&frame.state(state, &[taps - 1, channels]), x], 1),
    };
    let mut sum: Option<Var> = None;
    for k in 0..taps {
        let window = history.slice_axis(1, k, t + &Dim::from(k));
        let term = &window * &tap(k).broadcast_like(&window);
        sum = Some(sum.map_or(term.clone(), |sum| sum + &term));
    }
    let mut y = sum.unwrap_or_else(|| x.clone());
    if bias {
        let bias = frame.parameter(&format!("{at}.bias"), &[channels]);
        y = &y + &bias.broadcast_like(&y);
    }
    if taps > 1 {
        frame.keep(state, &history.slice_axis(1, t.clone(), t + &Dim::from(taps - 1)));
    }
    y.silu()
}
