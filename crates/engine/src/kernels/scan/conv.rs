//! Causal depthwise convolution over time: out[t] = Σ over k of w[k] * x[t - K + 1 + k], one filter for each channel.
#![allow(unsafe_code)]

use super::super::simd::{Isa, multiversion};
use super::ScanShape;
use crate::pool::{Pool, Split};

/// Channels of a task: few, because the backward form keeps a block of K f64 sums for each.
const CHANNELS: usize = 64;

/// Longest filter.
const MAX_WIDTH: usize = 32;

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// B, T, D.
    pub scan: ScanShape,
    /// K, at most 32.
    pub width: usize,
}

impl ConvShape {
    /// B * (K - 1) * D.
    pub fn state_len(self) -> usize {
        self.scan.batch * (self.width - 1) * self.scan.channels
    }

    fn check(self, w: usize, state: Option<usize>) {
        assert!(
            (1..=MAX_WIDTH).contains(&self.width),
            "filters of 1 to {MAX_WIDTH} taps, not {}",
            self.width
        );
        assert_eq!(w, self.scan.channels * self.width, "w is (D, K)");
        if let Some(state) = state {
            assert_eq!(state, self.state_len(), "state is (B, K - 1, D)");
        }
    }

    fn tasks(self) -> usize {
        self.scan.batch * self.blocks()
    }

    fn blocks(self) -> usize {
        self.scan.channels.div_ceil(CHANNELS)
    }
}

/// The filters of a block of channels, tap-major: (K, CHANNELS).
#[inline(always)]
fn taps(w: &[f32], width: usize, channel: usize, len: usize) -> [[f32; CHANNELS]; MAX_WIDTH] {
    let mut taps = [[0.0; CHANNELS]; MAX_WIDTH];
    for c in 0..len {
        for k in 0..width {
            taps[k][c] = w[(channel + c) * width + k];
        }
    }
    taps
}

/// Row of x (or of the state before it) that tap `k` of step `t` reads: `Err` is a row of the state.
#[inline(always)]
fn source(t: usize, k: usize, width: usize) -> Result<usize, usize> {
    if t + k + 1 >= width { Ok(t + k + 1 - width) } else { Err(t + k) }
}

/// out[b, t, d] = Σ over k of w[d, k] * x[b, t - K + 1 + k, d]; before the first step stand the K - 1 rows of `state`.
///
/// `x` and `out` are `(B, T, D)`, `w` is `(D, K)` as in a checkpoint's Conv1d, `state` is `(B, K - 1, D)`, oldest row
/// first, zeros where absent. `next`, of the same shape, receives the last K - 1 rows for the call that continues.
pub fn conv1d_causal_depthwise(
    pool: &Pool,
    shape: ConvShape,
    x: &[f32],
    w: &[f32],
    state: Option<&[f32]>,
    out: &mut [f32],
    next: Option<&mut [f32]>,
) {
    shape.check(w.len(), state.map(<[f32]>::len));
    shape.scan.check("x", x.len());
    shape.scan.check("out", out.len());
    let out = Split::new(out, 1);
    pool.run(shape.tasks(), |task| forward(shape, task, x, w, state, &out));
    if let Some(next) = next {
        assert_eq!(next.len(), shape.state_len(), "next is (B, K - 1, D)");
        let (kept, channels, time) = (shape.width - 1, shape.scan.channels, shape.scan.time);
        for (index, row) in next.chunks_exact_mut(channels.max(1)).enumerate() {
            let (sequence, index) = (index / kept, index % kept);
            match source(time, index, kept + 1) {
                Ok(t) => row.copy_from_slice(&x[(sequence * time + t) * channels..][..channels]),
                Err(old) => match state {
                    Some(state) => {
                        row.copy_from_slice(&state[(sequence * kept + old) * channels..][..channels])
                    }
                    None => row.fill(0.0),
                },
            }
        }
    }
}

multiversion! {
    fn forward(
        shape: ConvShape,
        task: usize,
        x: &[f32],
        w: &[f32],
        state: Option<&[f32]>,
        out: &Split<'_, f32>,
    ) = forward_body
}

#[inline(always)]
fn forward_body<I: Isa>(
    shape: ConvShape,
    task: usize,
    x: &[f32],
    w: &[f32],
    state: Option<&[f32]>,
    out: &Split<'_, f32>,
) {
    let (sequence, channel) = (task / shape.blocks(), task % shape.blocks() * CHANNELS);
    let (time, channels, width) = (shape.scan.time, shape.scan.channels, shape.width);
    let len = CHANNELS.min(channels - channel);
    let taps = taps(w, width, channel, len);
    for t in 0..time {
        // SAFETY: one task for each sequence and block of channels.
        let out = unsafe { out.part((sequence * time + t) * channels + channel, len) };
        out.fill(0.0);
        for k in 0..width {
            let row = match (source(t, k, width), state) {
                (Ok(t), _) => &x[(sequence * time + t) * channels + channel..][..len],
                (Err(old), Some(state)) => {
                    &state[(sequence * (width - 1) + old) * channels + channel..][..len]
                }
                (Err(_), None) => continue,
            };
            for ((out, &w), &x) in out.iter_mut().zip(&taps[k]).zip(row) {
                *out = I::fma(w, x, *out);
            }
        }
    }
}

/// Gradients of [`conv1d_causal_depthwise`] for the cotangent `dout`, `(B, T, D)`; all outputs are overwritten.
///
/// `dx` is `(B, T, D)`, `dw` is `(D, K)`, summed over sequences and steps in f64 in a fixed order; `dstate` is
/// `(B, K - 1, D)`.
pub fn conv1d_causal_depthwise_grad(
    pool: &Pool,
    shape: ConvShape,
    x: &[f32],
    w: &[f32],
    state: Option<&[f32]>,
    dout: &[f32],
    (dx, dw, dstate): (&mut [f32], &mut [f32], Option<&mut [f32]>),
) {
    shape.check(w.len(), state.map(<[f32]>::len));
    shape.check(dw.len(), dstate.as_ref().map(|dstate| dstate.len()));
    for (name, len) in [("x", x.len()), ("dout", dout.len()), ("dx", dx.len())] {
        shape.scan.check(name, len);
    }
    let (dx, dw) = (Split::new(dx, 1), Split::new(dw, 1));
    let dstate = dstate.map(|dstate| Split::new(dstate, 1));
    pool.run(shape.tasks(), |task| input_grad(shape, task, w, dout, &dx, dstate.as_ref()));
    pool.run(shape.blocks(), |block| filter_grad(shape, block, x, state, dout, &dw));
}

multiversion! {
    fn input_grad(
        shape: ConvShape,
        task: usize,
        w: &[f32],
        dout: &[f32],
        dx: &Split<'_, f32>,
        dstate: Option<&Split<'_, f32>>,
    ) = input_grad_body
}

#[inline(always)]
fn input_grad_body<I: Isa>(
    shape: ConvShape,
    task: usize,
    w: &[f32],
    dout: &[f32],
    dx: &Split<'_, f32>,
    dstate: Option<&Split<'_, f32>>,
) {
    let (sequence, channel) = (task / shape.blocks(), task % shape.blocks() * CHANNELS);
    let (time, channels, width) = (shape.scan.time, shape.scan.channels, shape.width);
    let len = CHANNELS.min(channels - channel);
    let taps = taps(w, width, channel, len);
    // Rows of the state stand before those of x, so that row `kept + t` of the two together is x[t].
    let kept = width - 1;
    for row in 0..kept + time {
        let target = if row >= kept {
            // SAFETY: one task for each sequence and block of channels.
            unsafe { dx.part((sequence * time + row - kept) * channels + channel, len) }
        } else {
            let Some(dstate) = dstate else { continue };
            // SAFETY: as above.
            unsafe { dstate.part((sequence * kept + row) * channels + channel, len) }
        };
        target.fill(0.0);
        for k in 0..width {
            // Step t reads row t + k with tap k.
            let Some(t) = row.checked_sub(k).filter(|&t| t < time) else { continue };
            let dout = &dout[(sequence * time + t) * channels + channel..][..len];
            for ((target, &w), &dout) in target.iter_mut().zip(&taps[k]).zip(dout) {
                *target = I::fma(w, dout, *target);
            }
        }
    }
}

multiversion! {
    fn filter_grad(
        shape: ConvShape,
        block: usize,
        x: &[f32],
        state: Option<&[f32]>,
        dout: &[f32],
        dw: &Split<'_, f32>,
    ) = filter_grad_body
}

#[inline(always)]
fn filter_grad_body<I: Isa>(
    shape: ConvShape,
    block: usize,
    x: &[f32],
    state: Option<&[f32]>,
    dout: &[f32],
    dw: &Split<'_, f32>,
) {
    let (time, channels, width) = (shape.scan.time, shape.scan.channels, shape.width);
    let channel = block * CHANNELS;
    let len = CHANNELS.min(channels - channel);
    // SAFETY: one task for each block of channels.
    let dw = unsafe { dw.part(channel * width, len * width) };
    for k in 0..width {
        let mut sums = [0.0f64; CHANNELS];
        for sequence in 0..shape.scan.batch {
            for t in 0..time {
                let row = match (source(t, k, width), state) {
                    (Ok(t), _) => &x[(sequence * time + t) * channels + channel..][..len],
                    (Err(old), Some(state)) => {
                        &state[(sequence * (width - 1) + old) * channels + channel..][..len]
                    }
                    (Err(_), None) => continue,
                };
                let dout = &dout[(sequence * time + t) * channels + channel..][..len];
                for ((sum, &x), &dout) in sums.iter_mut().zip(row).zip(dout) {
                    *sum = I::fma64(f64::from(x), f64::from(dout), *sum);
                }
            }
        }
        for (c, &sum) in sums[..len].iter().enumerate() {
            dw[c * width + k] = sum as f32;
        }
    }
}
