//! The linear scan, its backward form, and the form that is parallel over time.
#![allow(unsafe_code)]

use super::super::simd::{Isa, multiversion};
use super::{CHANNELS, ScanShape};
use crate::pool::{Pool, Split};

/// One time step over a block of channels: out = f * h + x, rounded twice, as the streaming step's elementwise loop
/// does: a prompt read at once and one read token by token leave the same bits.
#[inline(always)]
fn step<I: Isa>(f: &[f32], h: &[f32], x: &[f32], out: &mut [f32]) {
    for (((out, &f), &h), &x) in out.iter_mut().zip(f).zip(h).zip(x) {
        *out = f * h + x;
    }
}

/// A run of `steps` time steps of one block of channels, in the order of the scan.
#[derive(Clone, Copy)]
struct Lane {
    /// First element of the first step.
    start: usize,
    /// Elements from a step to the next one (negative in a reversed scan).
    stride: isize,
    steps: usize,
    width: usize,
}

impl Lane {
    fn at(self, step: usize) -> usize {
        (self.start as isize + step as isize * self.stride) as usize
    }

    fn new(
        shape: ScanShape,
        sequence: usize,
        block: usize,
        from: usize,
        steps: usize,
        reverse: bool,
    ) -> Self {
        let channel = block * CHANNELS;
        let first = if reverse { shape.time - 1 - from } else { from };
        let stride = shape.channels as isize;
        Self {
            start: (sequence * shape.time + first) * shape.channels + channel,
            stride: if reverse { -stride } else { stride },
            steps,
            width: CHANNELS.min(shape.channels - channel),
        }
    }
}

multiversion! {
    fn scan_lane(lane: Lane, f: &[f32], x: &[f32], h0: Option<&[f32]>, out: &Split<'_, f32>) = scan_lane_body
}

#[inline(always)]
fn scan_lane_body<I: Isa>(lane: Lane, f: &[f32], x: &[f32], h0: Option<&[f32]>, out: &Split<'_, f32>) {
    let zeros = [0.0; CHANNELS];
    let mut previous: &[f32] = h0.unwrap_or(&zeros[..lane.width]);
    for t in 0..lane.steps {
        let at = lane.at(t);
        // SAFETY: each element belongs to one lane, and lanes to one task each; the part of the step before is only
        // read from here on.
        let out = unsafe { out.part(at, lane.width) };
        step::<I>(&f[at..at + lane.width], previous, &x[at..at + lane.width], out);
        previous = out;
    }
}

/// h_t = f_t * h_(t-1) + x_t for t = 0 .. T, or from the last step to the first with `reverse`.
///
/// `f`, `x`, `out` are `(B, T, D)`; `h0`, the state before the first step taken, is `(B, D)`, zero where absent.
/// Parallel over sequences and blocks of channels; the state after the last step is a row of `out`.
pub fn linear_scan(
    pool: &Pool,
    shape: ScanShape,
    f: &[f32],
    x: &[f32],
    h0: Option<&[f32]>,
    out: &mut [f32],
    reverse: bool,
) {
    check_forward(shape, f, x, h0, out);
    let (blocks, channels) = (shape.channel_blocks(), shape.channels);
    let out = Split::new(out, 1);
    pool.run(shape.batch * blocks, |task| {
        let (sequence, block) = (task / blocks, task % blocks);
        let lane = Lane::new(shape, sequence, block, 0, shape.time, reverse);
        let h0 = h0.map(|h0| &h0[sequence * channels + block * CHANNELS..][..lane.width]);
        scan_lane(lane, f, x, h0, &out);
    });
}

fn check_forward(shape: ScanShape, f: &[f32], x: &[f32], h0: Option<&[f32]>, out: &[f32]) {
    shape.check("f", f.len());
    shape.check("x", x.len());
    shape.check("out", out.len());
    if let Some(h0) = h0 {
        shape.check_state("h0", h0.len());
    }
}

/// Scratch of [`linear_scan_chunked`], in elements.
pub const fn linear_scan_chunked_scratch(shape: ScanShape, chunk: usize) -> usize {
    shape.batch * shape.time.div_ceil(chunk) * shape.channels
}

/// [`linear_scan`] that is parallel over time as well, for few sequences and channels.
///
/// Each chunk of `chunk` steps is scanned from a zero state; then the carried states run over the chunks; then each
/// chunk adds (product of its f up to t) * carry. The result depends on `chunk`, by rounding, and not on threads.
/// It costs twice the memory traffic of [`linear_scan`]: worth it where B * D / 512 is below the number of threads.
/// `scratch` holds [`linear_scan_chunked_scratch`] elements.
pub fn linear_scan_chunked(
    pool: &Pool,
    shape: ScanShape,
    f: &[f32],
    x: &[f32],
    h0: Option<&[f32]>,
    out: &mut [f32],
    reverse: bool,
    chunk: usize,
    scratch: &mut [f32],
) {
    check_forward(shape, f, x, h0, out);
    assert!(chunk > 0, "a chunk has at least one step");
    let (blocks, chunks, channels) = (shape.channel_blocks(), shape.time.div_ceil(chunk), shape.channels);
    let carries = &mut scratch[..linear_scan_chunked_scratch(shape, chunk)];
    let tasks = shape.batch * chunks * blocks;
    let place = |task: usize| {
        let (sequence, index, block) = (task / (chunks * blocks), task / blocks % chunks, task % blocks);
        let steps = chunk.min(shape.time - index * chunk);
        let lane = Lane::new(shape, sequence, block, index * chunk, steps, reverse);
        (lane, (sequence * chunks + index) * channels + block * CHANNELS, index)
    };
    {
        let (out, products) = (Split::new(out, 1), Split::new(carries, 1));
        pool.run(tasks, |task| {
            let (lane, at, _) = place(task);
            // SAFETY: one task for each chunk and block.
            let product = unsafe { products.part(at, lane.width) };
            scan_chunk(lane, f, x, &out, product);
        });
    }
    // Turns the products into the state that enters each chunk: 1 / chunk of the work, on one thread.
    for sequence in 0..shape.batch {
        for channel in 0..channels {
            let mut state = h0.map_or(0.0, |h0| h0[sequence * channels + channel]);
            for index in 0..chunks {
                let slot = &mut carries[(sequence * chunks + index) * channels + channel];
                let product = std::mem::replace(slot, state);
                let last = (index * chunk + chunk).min(shape.time) - 1;
                let last = if reverse { shape.time - 1 - last } else { last };
                state = out[(sequence * shape.time + last) * channels + channel] + product * state;
            }
        }
    }
    let out = Split::new(out, 1);
    let carries = &*carries;
    pool.run(tasks, |task| {
        let (lane, at, index) = place(task);
        if index > 0 || h0.is_some() {
            fix_chunk(lane, f, &carries[at..at + lane.width], &out);
        }
    });
}

multiversion! {
    fn scan_chunk(lane: Lane, f: &[f32], x: &[f32], out: &Split<'_, f32>, product: &mut [f32]) = scan_chunk_body
}

#[inline(always)]
fn scan_chunk_body<I: Isa>(lane: Lane, f: &[f32], x: &[f32], out: &Split<'_, f32>, product: &mut [f32]) {
    scan_lane_body::<I>(lane, f, x, None, out);
    product.fill(1.0);
    for t in 0..lane.steps {
        for (product, &f) in product.iter_mut().zip(&f[lane.at(t)..]) {
            *product *= f;
        }
    }
}

multiversion! {
    fn fix_chunk(lane: Lane, f: &[f32], carry: &[f32], out: &Split<'_, f32>) = fix_chunk_body
}

#[inline(always)]
fn fix_chunk_body<I: Isa>(lane: Lane, f: &[f32], carry: &[f32], out: &Split<'_, f32>) {
    let mut decayed = [0.0; CHANNELS];
    decayed[..lane.width].copy_from_slice(carry);
    for t in 0..lane.steps {
        let at = lane.at(t);
        // SAFETY: each element belongs to one lane, and lanes to one task each.
        let out = unsafe { out.part(at, lane.width) };
        for ((out, decayed), &f) in out.iter_mut().zip(&mut decayed).zip(&f[at..at + lane.width]) {
            *decayed *= f;
            *out += *decayed;
        }
    }
}

/// Gradients of [`linear_scan`] for the cotangent `dout`, `(B, T, D)`; all outputs are overwritten.
///
/// With g_t = dout_t + f_(t+1) g_(t+1): dx_t = g_t, df_t = g_t * h_(t-1), dh0 = f_0 g_0. `out` is the forward
/// result. `dlast`, `(B, D)`, is a further cotangent of the last state. `h0` and `dh0` are `(B, D)`.
pub fn linear_scan_grad(
    pool: &Pool,
    shape: ScanShape,
    f: &[f32],
    out: &[f32],
    h0: Option<&[f32]>,
    dout: &[f32],
    dlast: Option<&[f32]>,
    reverse: bool,
    (dx, df, dh0): (&mut [f32], &mut [f32], Option<&mut [f32]>),
) {
    check_forward(shape, f, dout, h0, out);
    shape.check("dx", dx.len());
    shape.check("df", df.len());
    if let Some(dlast) = dlast {
        shape.check_state("dlast", dlast.len());
    }
    if let Some(dh0) = &dh0 {
        shape.check_state("dh0", dh0.len());
    }
    let (blocks, channels) = (shape.channel_blocks(), shape.channels);
    let (dx, df) = (Split::new(dx, 1), Split::new(df, 1));
    let dh0 = dh0.map(|dh0| Split::new(dh0, 1));
    pool.run(shape.batch * blocks, |task| {
        let (sequence, block) = (task / blocks, task % blocks);
        let lane = Lane::new(shape, sequence, block, 0, shape.time, reverse);
        let at = sequence * channels + block * CHANNELS;
        let state = |states: Option<&'_ [f32]>| -> [f32; CHANNELS] {
            let mut copy = [0.0; CHANNELS];
            if let Some(states) = states {
                copy[..lane.width].copy_from_slice(&states[at..at + lane.width]);
            }
            copy
        };
        let mut carry = state(dlast);
        backward_lane(lane, f, out, &state(h0), dout, &mut carry, &dx, &df);
        if let Some(dh0) = &dh0 {
            // SAFETY: one task for each sequence and block.
            unsafe { dh0.part(at, lane.width) }.copy_from_slice(&carry[..lane.width]);
        }
    });
}

multiversion! {
    fn backward_lane(
        lane: Lane,
        f: &[f32],
        out: &[f32],
        h0: &[f32; CHANNELS],
        dout: &[f32],
        carry: &mut [f32; CHANNELS],
        dx: &Split<'_, f32>,
        df: &Split<'_, f32>,
    ) = backward_lane_body
}

/// `carry` is f_(t+1) g_(t+1) (the last state's cotangent at first) and ends as dh0.
#[inline(always)]
fn backward_lane_body<I: Isa>(
    lane: Lane,
    f: &[f32],
    out: &[f32],
    h0: &[f32; CHANNELS],
    dout: &[f32],
    carry: &mut [f32; CHANNELS],
    dx: &Split<'_, f32>,
    df: &Split<'_, f32>,
) {
    let width = lane.width;
    for t in (0..lane.steps).rev() {
        let at = lane.at(t);
        let previous = if t == 0 { &h0[..width] } else { &out[lane.at(t - 1)..][..width] };
        // SAFETY: each element belongs to one lane, and lanes to one task each.
        let (dx, df) = unsafe { (dx.part(at, width), df.part(at, width)) };
        let (f, dout, carry) = (&f[at..at + width], &dout[at..at + width], &mut carry[..width]);
        for c in 0..width {
            let g = dout[c] + carry[c];
            dx[c] = g;
            df[c] = g * previous[c];
            carry[c] = f[c] * g;
        }
    }
}
