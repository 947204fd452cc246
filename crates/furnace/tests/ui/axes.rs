// The gradient of a weight of axes (Out, In) has these axes, not those of its transpose.
use axes::{Unitless, axes};
use furnace::typed::{self, Q, Quantity};

axes! { In = 2; Out = 2; }

fn loss(w: &Quantity<(Out, In), Unitless>) -> Q<Unitless> {
    (w * w).sum(In).sum(Out)
}

fn main() {
    let step = |w: &Quantity<(Out, In), Unitless>| {
        let _: Quantity<(Out, In), Unitless> = typed::grad(loss)(w);
        let _: Quantity<(In, Out), Unitless> = typed::grad(loss)(w);
    };
    let _ = step;
}
