//! `applyModel`: a layer whose operand shapes are checked before it runs.
//!
//! In Python the product `torch.matmul(x, weights)` may raise an error at run time; here a wrong operand does not
//! compile. Run it with `cargo run -p axes --example apply_model`.

use axes::{Algebra, AxesError, Axis, Tensor, Unitless, axes};

axes! {
    /// Examples; the number is known at run time.
    Batch;
    /// Input features.
    In = 4;
    /// Output features: as many as `In`, and still another axis.
    Out = 4;
}

/// relu(x · weights), for any axes and for any storage with arithmetic.
fn apply_model<B: Axis, I: Axis, O: Axis, S: Algebra>(
    x: &Tensor<(B, I), f32, Unitless, S>,
    weights: &Tensor<(I, O), f32, Unitless, S>,
) -> Tensor<(B, O), f32, Unitless, S> {
    x.apply(weights).relu()
}

fn main() -> Result<(), AxesError> {
    let x = Tensor::<(Batch, In)>::from_fn([2, 4], |[b, i]| b as f32 + i as f32)?;
    let weights = Tensor::<(In, Out)>::from_fn([4, 4], |[i, o]| if i == o { 1.0 } else { -0.5 })?;

    let y: Tensor<(Batch, Out)> = apply_model(&x, &weights);
    println!("y = {:?}", y.as_slice());
    assert_eq!(y.as_slice(), [0.0, 0.0, 0.0, 1.5, 0.0, 0.0, 0.0, 1.0]);

    // `apply_model(&x, &weights.transpose())` does not compile:
    //     expected `&Tensor<(In, _)>`, found `&Tensor<(Out, In)>`
    // The transpose is used by naming its layout, output-major:
    assert_eq!(x.linear(&weights.transpose()), x.apply(&weights));

    // A size known only at run time is an error value where the `try_` form is used.
    let other = Tensor::<(Batch, Out)>::zeros([3, 4])?;
    println!("{}", y.try_add(&other).expect_err("2 and 3 rows"));
    Ok(())
}
