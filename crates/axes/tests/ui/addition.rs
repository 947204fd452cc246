// Axes of one size are still different axes.
use axes::{Tensor, axes};

axes! { In = 64; Out = 64; }

fn main() -> Result<(), axes::AxesError> {
    let a = Tensor::<(In,)>::zeros([64])?;
    let b = Tensor::<(Out,)>::zeros([64])?;
    let _ = &a + &b;
    Ok(())
}
