//! The untyped twins of `typed.rs`: plain loops over slices, and the untyped storage's own operations.

use axes::{Algebra, Binary, Buffer, Mut, Ref, Unary};

#[inline(never)]
pub fn add_run_time(a: &Ref<f32>, b: &Ref<f32>, out: &mut Mut<f32>) {
    expect_equal(a, b, out);
    let (a, b, out) = (a.as_slice(), b.as_slice(), out.as_mut_slice());
    for ((o, &x), &y) in out.iter_mut().zip(a).zip(b) {
        *o = x + y;
    }
}

/// The check that an untyped function needs as well, reported at the caller's line.
#[track_caller]
fn expect_equal(a: &Ref<f32>, b: &Ref<f32>, out: &Mut<f32>) {
    const NAMES: &[&str] = &["Batch", "In"];
    a.dims().expect_equal("add", NAMES, b.dims());
    a.dims().expect_equal("add", NAMES, out.dims());
}

#[inline(never)]
pub fn add_declared(a: &Ref<f32>, b: &Ref<f32>, out: &mut Mut<f32>) {
    let (a, b, out) = (a.as_slice(), b.as_slice(), out.as_mut_slice());
    for ((o, &x), &y) in out.iter_mut().zip(a).zip(b) {
        *o = x + y;
    }
}

#[inline(never)]
pub fn map(x: &Ref<f32>, out: &mut Mut<f32>) {
    let (x, out) = (x.as_slice(), out.as_mut_slice());
    for (o, &v) in out.iter_mut().zip(x) {
        *o = if v < 0.0 { 0.0 } else { v * v };
    }
}

/// What a ternary matrix without axes would be.
pub struct Plain<'a> {
    pub trits: &'a [i8],
    pub scale: f32,
    pub inputs: usize,
    pub outputs: usize,
}

#[inline(never)]
pub fn multiply_vector(w: &Plain, x: &Ref<f32>, y: &mut Mut<f32>) {
    let (x, y) = (x.as_slice(), y.as_mut_slice());
    let scale = w.scale;
    let x = &x[..w.inputs];
    let y = &mut y[..w.outputs];
    for (o, y) in y.iter_mut().enumerate() {
        let mut sum = 0.0;
        for (i, &x) in x.iter().enumerate() {
            match w.trits[o * w.inputs + i] {
                1 => sum += x,
                -1 => sum -= x,
                _ => {}
            }
        }
        *y = sum / scale;
    }
}

#[inline(never)]
pub fn contract(x: &Buffer<f32>, w: &Buffer<f32>) -> Buffer<f32> {
    x.contract(1, w, 0)
}

#[inline(never)]
pub fn gate(x: &Buffer<f32>, h: &Buffer<f32>) -> Buffer<f32> {
    x.binary(Binary::Mul, h)
}

#[inline(never)]
pub fn complement(x: &Buffer<f32>) -> Buffer<f32> {
    x.affine(-1.0, 1.0)
}

#[inline(never)]
pub fn sigmoid(x: &Buffer<f32>) -> Buffer<f32> {
    x.unary(Unary::Sigmoid)
}

#[inline(never)]
pub fn unwrap(x: Buffer<f32>) -> Buffer<f32> {
    x
}
