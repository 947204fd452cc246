// Metres and seconds are not added, and a product needs a named unit.
use axes::{Tensor, axes, units};

axes! { Time = 2; }
units! { Metre: "m"; Second: "s"; }

fn main() -> Result<(), axes::AxesError> {
    let way = Tensor::<(Time,), f32, Metre>::zeros([2])?;
    let duration = Tensor::<(Time,), f32, Second>::zeros([2])?;
    let _ = &way + &duration;
    let _ = &way * &duration;
    Ok(())
}
