//! The seam that a tracer implements: one typed model on an eager buffer, and on a storage that only writes down what
//! it is asked for.

use axes::{Algebra, Axis, Binary, Buffer, Reduce, Storage, Tensor, Unary, Unitless, axes};

axes! { Batch; Hidden = 3; Inner = 2; }

/// A storage without numbers: an expression.
#[derive(Clone)]
struct Trace(String);

impl Storage for Trace {}

impl Algebra for Trace {
    fn unary(&self, op: Unary) -> Self {
        Trace(format!("{}({})", op.name(), self.0))
    }

    fn binary(&self, op: Binary, other: &Self) -> Self {
        Trace(format!("{}({}, {})", op.name(), self.0, other.0))
    }

    fn affine(&self, scale: f64, offset: f64) -> Self {
        Trace(format!("({scale} * {} + {offset})", self.0))
    }

    fn contract(&self, axis: usize, other: &Self, other_axis: usize) -> Self {
        Trace(format!("contract({}.{axis}, {}.{other_axis})", self.0, other.0))
    }

    fn reduce(&self, axis: usize, op: Reduce) -> Self {
        Trace(format!("{}({}.{axis})", op.name(), self.0))
    }

    fn permute(&self, perm: &[usize]) -> Self {
        Trace(format!("permute({}, {perm:?})", self.0))
    }

    fn broadcast(&self, _: &Self, map: &[usize]) -> Self {
        Trace(format!("broadcast({}, {map:?})", self.0))
    }
}

/// A recurrent layer whose projections cannot be exchanged: they have different types.
struct Layer<H: Axis, I: Axis, S> {
    w_f: Tensor<(H, I), f32, Unitless, S>,
    w_o: Tensor<(I, H), f32, Unitless, S>,
    bias: Tensor<(I,), f32, Unitless, S>,
}

impl<H: Axis, I: Axis, S: Algebra> Layer<H, I, S> {
    fn forward<B: Axis>(&self, x: &Tensor<(B, H), f32, Unitless, S>) -> Tensor<(B, H), f32, Unitless, S> {
        let gate = x.apply(&self.w_f);
        let gate = (&gate + self.bias.broadcast_to(&gate)).sigmoid();
        ((1.0 - &gate) * gate).apply(&self.w_o)
    }
}

fn layer<S>(storage: impl Fn(&str, &[usize]) -> S) -> Layer<Hidden, Inner, S> {
    Layer {
        w_f: Tensor::from_storage_unchecked(storage("w_f", &[3, 2])),
        w_o: Tensor::from_storage_unchecked(storage("w_o", &[2, 3])),
        bias: Tensor::from_storage_unchecked(storage("bias", &[2])),
    }
}

#[test]
fn a_tracer_sees_the_untyped_operations() {
    let x = Tensor::<(Batch, Hidden), f32, Unitless, _>::from_storage(Trace("x".into())).unwrap();
    let y = layer(|name, _| Trace(name.into())).forward(&x);
    let gate = "sigmoid(add(contract(x.1, w_f.0), broadcast(bias, [1])))";
    assert_eq!(y.into_storage().0, format!("contract(mul((-1 * {gate} + 1), {gate}).1, w_o.0)"));
}

#[test]
fn a_buffer_calculates_at_once() {
    let layer = layer(|_, sizes| Buffer::new(sizes, vec![1.0f32; sizes.iter().product()]).unwrap());
    let x = Tensor::<(Batch, Hidden)>::from_vec([1, 3], vec![1.0, -2.0, 0.0]).unwrap();
    // The gate is sigmoid(1 - 2 + 0 + 1) = 1/2, so each output is 2 · (1 - 1/2) · 1/2.
    assert_eq!(layer.forward(&x).as_slice(), [0.5, 0.5, 0.5]);
}
