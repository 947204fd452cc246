//! Norms and softmax, along the last axis.

use graph::{Type, Var};

use super::{Call, Item, Made, ahead, last, one};

pub(super) fn build(call: &Call<'_>) -> Made {
    let x = call.var(0)?;
    let at = last(&x)?;
    let width = x.shape()[at].clone();
    match call.name {
        "softmax" => one(x.softmax_last()),
        "rms_norm" => one(x.rms_norm(&call.var(1)?, call.float("eps")?)),
        "rms_normalize" => {
            let ones = call.cx.full(&Type { dtype: x.dtype(), shape: vec![width] }, 1.0);
            one(x.rms_norm(&ones, call.float("eps")?))
        }
        "rms_norm_quantize" => {
            let (q, s) = x.rms_norm(&call.var(1)?, call.float("eps")?).quantize_activations("half_even");
            Ok(vec![Item::Quantized(q, s)])
        }
        "layer_norm" => {
            let spread = |v: Var| v.broadcast_last(&width);
            let centred = &x - &spread(x.mean(&[at]));
            let root = (centred.square().mean(&[at]) + call.float("eps")?).sqrt();
            let y = &(&centred / &spread(root)) * &ahead(&call.var(1)?, &x.shape());
            one(if call.has(2) { &y + &ahead(&call.var(2)?, &x.shape()) } else { y })
        }
        _ => call.none(),
    }
}
