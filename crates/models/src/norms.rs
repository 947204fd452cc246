//! Layer norms in core ops.

use graph::Var;

/// (x − mean) / √(variance + eps) along the last axis.
pub(crate) fn layer_norm(x: &Var, eps: f64) -> Var {
    let last = x.ty().rank().saturating_sub(1);
    let centred = x - &x.mean(&[last]).spread(x, &[last]);
    let scale = (centred.square().mean(&[last]) + eps).rsqrt();
    &centred * &scale.spread(x, &[last])
}
