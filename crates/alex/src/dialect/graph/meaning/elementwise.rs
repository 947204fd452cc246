//! Elementwise operations: a number goes with every tensor.

use graph::Var;

use super::{Call, Made, ahead, one};

pub(super) fn build(call: &Call<'_>) -> Made {
    let x = call.var(0)?;
    if call.items.len() == 1 {
        return one(match call.name {
            "sigmoid" => x.sigmoid(),
            "tanh" => x.tanh(),
            "silu" => x.silu(),
            "gelu" => x.gelu(),
            "exp" => x.exp(),
            "log" => x.log(),
            "softplus" => x.softplus(),
            "complement" => 1.0 - &x,
            "negate" => -&x,
            "relu" => x.relu(),
            "convert" => x.convert(call.result(0)?.dtype),
            _ => return call.none(),
        });
    }
    let (x, y) = both(&x, &call.var(1)?);
    one(match call.name {
        "add" | "residual_add" | "bias_add" => &x + &y,
        "subtract" => &x - &y,
        "maximum" => x.max(&y),
        "minimum" => x.min(&y),
        "multiply" | "multiply_units" | "gate" | "scale" => &x * &y,
        "divide" | "divide_units" => &x / &y,
        "swiglu" => &x.silu() * &y,
        "relu2_glu" => &x.relu().square() * &y,
        _ => return call.none(),
    })
}

/// Both with the axes of the one that has more.
fn both(x: &Var, y: &Var) -> (Var, Var) {
    let (a, b) = (x.shape(), y.shape());
    if a.len() < b.len() {
        (ahead(x, &b), y.clone())
    } else if b.len() < a.len() {
        (x.clone(), ahead(y, &a))
    } else {
        (x.clone(), y.clone())
    }
}
