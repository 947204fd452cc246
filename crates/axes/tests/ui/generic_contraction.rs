// The same mistake inside a generic function.
use axes::{Axis, Tensor};

fn apply_model<B: Axis, I: Axis, O: Axis>(x: &Tensor<(B, I)>, weights: &Tensor<(O, I)>) -> Tensor<(B, O)> {
    x.apply(weights).relu()
}

fn main() {}
