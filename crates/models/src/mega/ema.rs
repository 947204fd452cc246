//! The damped moving average of each channel in several dimensions.

use axes::DType;
use graph::{Dim, Type, Var};

use super::MegaConfig;
use crate::frame::Frame;
use crate::long_kernels::{length, real_kernel, real_sums};

/// The average of one direction: y_t = Σ_n out h_t, h_t = q h_(t-1) + drive x_t, each (d, n).
struct Average {
    drive: Var,
    out: Var,
    log_q: Var,
}

impl MegaConfig {
    /// silu(K ∗ x + ω x) of x (B, T, d), from the state `ema_state.LAYER` to its successor.
    pub(super) fn ema(&self, frame: &Frame<'_>, at: &str, layer: usize, x: &Var) -> Var {
        let (d, n) = (self.hidden_size, self.ema_projection_size);
        let directions = 1 + usize::from(self.bidirectional);
        let rows = directions * d;
        let wide = |name: &str| {
            frame.parameter(&format!("{at}.{name}"), &[rows, n, 1]).reshape(&[rows.into(), n.into()])
        };
        let p = wide("damping_factor").sigmoid();
        let q = 1.0 - &(&p * &wide("decay_factor").sigmoid());
        let drive = &p * &wide("ema_expansion_matrix");
        let gamma = frame.parameter(&format!("{at}.kernel_projection_matrix"), &[rows, n]);
        let out = gamma * (1.0 / n as f64).sqrt();
        let log_q = q.log();
        let part = |v: &Var, k: usize| v.slice_axis(0, k * d, (k + 1) * d);
        let average = |k| Average { drive: part(&drive, k), out: part(&out, k), log_q: part(&log_q, k) };
        let residual = x * &frame.parameter(&format!("{at}.residual_weight"), &[d]).broadcast_like(x);
        let masked = match self.mask(frame) {
            Some(mask) => x * &mask.broadcast_last(&d.into()),
            None => x.clone(),
        };
        let one = average(0);
        let mut y = one.apply(frame, self.truncation, layer, &masked, [d, n]);
        if self.bidirectional {
            let other = average(1);
            let kernel = other.kernel(self.truncation, &frame.time);
            y = y + masked.long_convolution(&kernel, true);
        }
        (y + residual).silu()
    }

    /// `attention_mask` f32 (B, T), where the graph takes one.
    pub(super) fn mask(&self, frame: &Frame<'_>) -> Option<Var> {
        let shape = vec![frame.batch.clone(), frame.time.clone()];
        frame.options.mask.then(|| frame.input("attention_mask", Type { dtype: DType::F32, shape }))
    }
}

impl Average {
    fn kernel(&self, truncation: Option<usize>, time: &Dim) -> Var {
        let taps = truncation.map_or_else(|| time.clone(), Dim::from);
        real_kernel(&(&self.drive * &self.out), &self.log_q, &taps)
    }

    fn apply(
        &self,
        frame: &Frame<'_>,
        truncation: Option<usize>,
        layer: usize,
        x: &Var,
        [d, n]: [usize; 2],
    ) -> Var {
        if !frame.options.states {
            return x.long_convolution(&self.kernel(truncation, &frame.time), false);
        }
        // A state remembers more than a kernel that is cut off.
        let name = format!("ema_state.{layer}");
        let state = frame.state(&name, &[d, n]);
        let like = |v: &Var| v.broadcast_like(&state);
        let q = self.log_q.exp();
        if frame.time.fixed() == Some(1) {
            let row = x.reshape(&[frame.batch.clone(), d.into()]);
            let h = &(&like(&q) * &state) + &(&like(&self.drive) * &row.broadcast_last(&n.into()));
            let y = (&h * &like(&self.out)).sum(&[2]);
            frame.keep(&name, &h);
            return y.reshape(&x.shape());
        }
        let y = x.long_convolution(&self.kernel(None, &frame.time), false);
        let carried = &state * &like(&(&self.out * &q));
        let log_q = like(&self.log_q);
        let before = real_kernel(&carried, &log_q, &frame.time).transpose(&[0, 2, 1]);
        let decayed = &(&log_q * &length(&log_q, &frame.time)).exp() * &state;
        let added = &real_sums(x, &self.log_q) * &like(&self.drive);
        frame.keep(&name, &(decayed + added));
        y + before
    }
}
