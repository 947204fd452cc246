// Two projections of a recurrent layer exchanged: where the layer is put together, and where it is used.
use axes::{Axis, Tensor, TernaryMatrix, axes};

axes! { Batch; Hidden = 64; Inner = 64; }

struct Layer<H: Axis, I: Axis> {
    w_f: TernaryMatrix<H, I>,
    w_o: TernaryMatrix<I, H>,
}

fn load(w_f: TernaryMatrix<Hidden, Inner>, w_o: TernaryMatrix<Inner, Hidden>) -> Layer<Hidden, Inner> {
    Layer { w_f: w_o, w_o: w_f }
}

fn forget_gate(layer: &Layer<Hidden, Inner>, x: &Tensor<(Batch, Hidden)>) {
    layer.w_o.multiply_batch(x);
}

fn output<H: Axis, I: Axis>(layer: &Layer<H, I>, state: &Tensor<(Batch, I)>) -> Tensor<(Batch, H)> {
    layer.w_f.multiply_batch(state)
}

fn main() {}
