//! `TernaryMatrix` and `multiplyVector`: weights of −1, 0 and +1, so that a product only adds and subtracts.
//!
//! Run it with `cargo run -p axes --example ternary_matrix`.

use axes::{AxesError, Tensor, TernaryMatrix, axes};

axes! {
    /// Input features.
    In = 6;
    /// Output features.
    Out = 3;
}

fn main() -> Result<(), AxesError> {
    // Out-major, as checkpoints store a projection: one row of inputs for each output.
    let weights = Tensor::<(Out, In)>::from_vec(
        [3, 6],
        vec![
            0.9, -1.1, 0.1, 0.0, 1.2, -0.8, //
            -0.2, 0.7, -0.9, 1.0, 0.05, 0.3, //
            1.4, 0.2, 0.6, -1.3, -0.1, -0.7, //
        ],
    )?;
    let ternary: TernaryMatrix<In, Out> = TernaryMatrix::from_weights(&weights)?;
    println!("{ternary:?}");
    for row in ternary.trits().chunks(ternary.inputs()) {
        println!("  {row:2?}");
    }

    let x = Tensor::<(In,)>::vector(vec![3.0, 1.0, 4.0, 1.0, 5.0, 9.0])?;
    let y: Tensor<(Out,)> = ternary.multiply_vector(&x);
    println!("ternary product {:?}", y.as_slice());
    println!("dense product   {:?}", x.linear(&weights).as_slice());

    // The reference: multiply by the weights that the trits stand for. Rounding happens in another order.
    let reference = x.linear(&ternary.dequantize());
    let error = y.zip_map(&reference, |a, b| (a - b).abs()).max_last().value();
    println!("largest difference from the dequantised weights: {error:e}");
    assert!(error < 1e-5);

    // With int8 activations the sums are integers, exact.
    let codes: Tensor<(In,), i8> = x.map(|v| v as i8);
    println!("integer sums    {:?}", ternary.accumulate(&codes).as_slice());

    println!("{}", TernaryMatrix::<In, Out>::new([3, 6], vec![2; 18], 1.0).expect_err("2 is no trit"));
    Ok(())
}
