//! Sums of exponentials: the convolution kernels of diagonal state-space models (S4D, S5, MEGA's moving average), what a
//! starting state adds to the outputs, and what a sequence leaves in a state.
//!
//! A diagonal recurrence h_t = e^z h_(t-1) + b x_t, y_t = Re Σ_n c h_t is a convolution with K_l = Re Σ_n c b e^(z l); the
//! state before the sequence adds Re Σ_n c e^(z (l + 1)) h, and the state after it is e^(z T) h + b Σ_l e^(z l) x_(T-1-l). So
//! a sequence may be cut anywhere.

use axes::DType;
use graph::{Complex, Dim, Var};

/// l = 0, 1, … along a new last axis beside those of `like`, as numbers.
fn places(like: &Var, taps: &Dim) -> Var {
    let wide: Vec<Dim> = like.shape().into_iter().chain([taps.clone()]).collect();
    let line = like.cx().iota(DType::I64, std::slice::from_ref(taps)).convert(DType::F32);
    line.broadcast(&wide, &[wide.len() - 1])
}

/// e^(z l) for l below `taps`, along a new last axis.
pub(crate) fn powers(z: &Complex, taps: &Dim) -> Complex {
    let l = places(&z.re, taps);
    z.each(|part| part.broadcast_last(taps)).scale(&l).exp()
}

/// Re Σ_n c_n e^(z_n l) for l below `taps`: (…, N) → (…, taps).
pub(crate) fn complex_kernel(c: &Complex, z: &Complex, taps: &Dim) -> Var {
    let axis = c.re.ty().rank() - 1;
    let e = powers(z, taps);
    let product = &c.re.broadcast_last(taps) * &e.re - &c.im.broadcast_last(taps) * &e.im;
    product.sum(&[axis])
}

/// The same of real numbers: Σ_n c_n e^(z_n l).
pub(crate) fn real_kernel(c: &Var, z: &Var, taps: &Dim) -> Var {
    let axis = c.ty().rank() - 1;
    let e = (z.broadcast_last(taps) * places(z, taps)).exp();
    (&c.broadcast_last(taps) * &e).sum(&[axis])
}

/// Σ_l e^(z_n l) x_(T-1-l) of x (B, T, D) and z (D, N), as (B, D, N): what a sequence leaves in a state.
pub(crate) fn complex_sums(x: &Var, z: &Complex) -> Complex {
    let e = powers(z, &x.shape()[1]);
    let back = x.reverse(1);
    e.each(|part| back.dot_general(part, (&[1], &[2]), (&[2], &[0])).transpose(&[1, 0, 2]))
}

/// The same of real numbers.
pub(crate) fn real_sums(x: &Var, z: &Var) -> Var {
    let taps = x.shape()[1].clone();
    let e = (z.broadcast_last(&taps) * places(z, &taps)).exp();
    x.reverse(1).dot_general(&e, (&[1], &[2]), (&[2], &[0])).transpose(&[1, 0, 2])
}

/// A length as a number of the shape of `like`.
pub(crate) fn length(like: &Var, time: &Dim) -> Var {
    like.cx().size_of(time, like.dtype()).broadcast(&like.shape(), &[])
}
