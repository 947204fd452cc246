// A type that was not declared with `axes!`, and a reduction over an axis that the tensor lacks.
use axes::{Tensor, axes};

axes! { Batch; In; Out; }

struct Width;

fn image(_: &Tensor<(Batch, Width)>) {}

fn total(x: &Tensor<(Batch, In)>) {
    x.sum(Out);
}

fn main() {}
