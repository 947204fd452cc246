//! The optimiser's update and the gradient norm.

use super::super::simd::{Isa, multiversion};
use super::ELEMENTS_PER_TASK;
use crate::pool::Pool;

/// Hyperparameters of AdamW (Loshchilov & Hutter 2019).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

/// The update's scalars, computed in f64 and rounded once, as PyTorch does.
#[derive(Clone, Copy)]
struct Scalars {
    gradient: f32,
    keep: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    step_size: f32,
    root_correction: f32,
    eps: f32,
}

/// One AdamW step in the order of operations of `torch.optim.AdamW`:
/// p *= 1 - lr*wd; m += (g - m)(1 - β1); v = v*β2 + (1 - β2)*g²; p -= lr/(1 - β1^t) * m / (sqrt(v)/sqrt(1 - β2^t) + eps).
///
/// `step` is t, 1 for the first; the gradient is multiplied by `gradient_scale` first (clipping; 1 for none). All
/// slices have one length.
pub fn adamw_step(
    pool: &Pool,
    config: &AdamW,
    step: u64,
    gradient_scale: f32,
    p: &mut [f32],
    g: &[f32],
    m: &mut [f32],
    v: &mut [f32],
) {
    assert!(p.len() == g.len() && p.len() == m.len() && p.len() == v.len(), "p, g, m, v have one length");
    let power = step as f64;
    let scalars = Scalars {
        gradient: gradient_scale,
        keep: (1.0 - config.lr * config.weight_decay) as f32,
        one_minus_beta1: (1.0 - config.beta1) as f32,
        beta2: config.beta2 as f32,
        one_minus_beta2: (1.0 - config.beta2) as f32,
        step_size: (config.lr / (1.0 - config.beta1.powf(power))) as f32,
        root_correction: (1.0 - config.beta2.powf(power)).sqrt() as f32,
        eps: config.eps as f32,
    };
    let tasks = p.len().div_ceil(ELEMENTS_PER_TASK);
    pool.chunks3(tasks, (p, m, v), [ELEMENTS_PER_TASK; 3], |task, p, m, v| {
        adamw_task(scalars, p, &g[task * ELEMENTS_PER_TASK..][..m.len()], m, v);
    });
}

multiversion! {
    fn adamw_task(s: Scalars, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) = adamw_body
}

#[inline(always)]
fn adamw_body<I: Isa>(s: Scalars, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        let g = g * s.gradient;
        *m = I::fma(g - *m, s.one_minus_beta1, *m);
        *v = I::fma(g * g, s.one_minus_beta2, *v * s.beta2);
        let denominator = v.sqrt() / s.root_correction + s.eps;
        *p = *p * s.keep - s.step_size * (*m / denominator);
    }
}

multiversion! {
    /// Σ x², squared and summed in f64 in a fixed order, on one thread; the global norm of a gradient is the root
    /// of the sum over its tensors.
    pub fn sum_of_squares(x: &[f32]) -> f64 = sum_of_squares_body
}

#[inline(always)]
fn sum_of_squares_body<I: Isa>(x: &[f32]) -> f64 {
    const LANES: usize = 16;
    let mut lanes = [0.0f64; LANES];
    let blocks = x.chunks_exact(LANES);
    for (lane, &x) in lanes.iter_mut().zip(blocks.remainder()) {
        *lane += f64::from(x) * f64::from(x);
    }
    for block in blocks {
        for lane in 0..LANES {
            let x = f64::from(block[lane]);
            lanes[lane] = I::fma64(x, x, lanes[lane]);
        }
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}
