//! The typed functions; `plain.rs` has their untyped twins under the same names.

use axes::{Buffer, Mut, Ref, Tensor, TernaryMatrix, Unitless, axes};

axes! { pub Batch; pub In = 64; pub Out = 32; }

pub type View<'a, A> = Tensor<A, f32, Unitless, Ref<'a, f32>>;
pub type ViewMut<'a, A> = Tensor<A, f32, Unitless, Mut<'a, f32>>;

/// A size known at run time only: one comparison of the shapes, then the loop.
#[inline(never)]
pub fn add_run_time(a: &View<(Batch, In)>, b: &View<(Batch, In)>, out: &mut ViewMut<(Batch, In)>) {
    a.add_into(b, out);
}

/// Declared sizes: no check at all.
#[inline(never)]
pub fn add_declared(a: &View<(Out, In)>, b: &View<(Out, In)>, out: &mut ViewMut<(Out, In)>) {
    a.add_into(b, out);
}

#[inline(never)]
pub fn map(x: &View<(Out, In)>, out: &mut ViewMut<(Out, In)>) {
    x.map_into(out, |v| if v < 0.0 { 0.0 } else { v * v });
}

#[inline(never)]
pub fn multiply_vector(w: &TernaryMatrix<In, Out, &[i8]>, x: &View<(In,)>, y: &mut ViewMut<(Out,)>) {
    w.multiply_vector_into(x, y);
}

#[inline(never)]
pub fn contract(x: &Tensor<(Batch, In)>, w: &Tensor<(In, Out)>) -> Tensor<(Batch, Out)> {
    x.apply(w)
}

#[inline(never)]
pub fn gate(x: &Tensor<(Out, In)>, h: &Tensor<(Out, In)>) -> Tensor<(Out, In)> {
    x * h
}

#[inline(never)]
pub fn complement(x: &Tensor<(Out, In)>) -> Tensor<(Out, In)> {
    1.0 - x
}

#[inline(never)]
pub fn sigmoid(x: &Tensor<(Out, In)>) -> Tensor<(Out, In)> {
    x.sigmoid()
}

#[inline(never)]
pub fn unwrap(x: Tensor<(Out, In)>) -> Buffer<f32> {
    x.into_storage()
}
