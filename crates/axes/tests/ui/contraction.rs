// A matrix product over the wrong axis, although both sizes are 64.
use axes::{Tensor, axes};

axes! { Batch; In = 64; Out = 64; }

fn main() -> Result<(), axes::AxesError> {
    let x = Tensor::<(Batch, In)>::zeros([4, 64])?;
    let weights = Tensor::<(Out, In)>::zeros([64, 64])?;
    x.apply(&weights);
    Ok(())
}
