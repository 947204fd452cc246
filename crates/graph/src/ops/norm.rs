//! Root-mean-square normalisation (Zhang and Sennrich 2019).

use super::{arity, float};
use crate::array::Array;
use crate::attrs::Attrs;
use crate::op::{Class, Cost, EvalCx, NodeCx, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

fn check(inputs: &[Type]) -> Result<(), String> {
    float(inputs, 0)?;
    let last = inputs[0].shape.last().ok_or("the operand has no axis to normalise over")?;
    if inputs[1] != Type::new(inputs[0].dtype, [last.clone()]) {
        return Err(format!(
            "the weight of {} must be {}[{last}], found {}",
            inputs[0],
            inputs[0].dtype.name(),
            inputs[1]
        ));
    }
    Ok(())
}

fn row_type(x: &Type) -> Type {
    Type { dtype: x.dtype, shape: x.shape[..x.rank() - 1].to_vec() }
}

/// (x (…, D), weight (D)) → (y = x · rstd · weight, rstd (…)) with rstd = 1/√(mean(x²) + eps).
pub struct RmsNorm;
impl OpDef for RmsNorm {
    const NAME: &'static str = "rms_norm";
    const ATTRS: &'static [&'static str] = &["eps"];
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 2)?;
        check(inputs)?;
        Ok(vec![inputs[0].clone(), row_type(&inputs[0])])
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (x, w) = (i[0].floats(), i[1].floats());
        let d = w.len();
        let (mut y, mut rstd) = (Vec::with_capacity(x.len()), vec![]);
        for row in x.chunks(d.max(1)) {
            let mut sum = S::from_f64(0.0);
            for v in row {
                sum = sum + v.clone() * v.clone();
            }
            let mean = sum / S::from_f64(d as f64);
            let r = S::from_f64(1.0) / (mean + cx.literal(attrs.float("eps", 0.0))).sqrt();
            y.extend(row.iter().zip(w).map(|(v, w)| v.clone() * r.clone() * w.clone()));
            rstd.push(r);
        }
        let rows = i[0].shape[..i[0].shape.len() - 1].to_vec();
        let dtype = types[0].dtype;
        Ok(vec![Array::float(dtype, i[0].shape.clone(), y), Array::float(dtype, rows, rstd)])
    }
    fn vjp(n: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        match (&ct[0], &ct[1]) {
            (None, None) => Some(vec![None, None]),
            (Some(dy), None) => {
                let g = n.cx.push(
                    crate::Op::RmsNormGrad,
                    Attrs::new(),
                    &[&n.inputs[0], &n.inputs[1], &n.outputs[1], dy],
                );
                Some(vec![Some(g[0].clone()), Some(g[1].clone())])
            }
            _ => None,
        }
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let (x, w) = (&n.inputs[0], &n.inputs[1]);
        let last = x.ty().rank() - 1;
        let d = x.shape()[last].clone();
        let mean = x.square().sum(&[last]) / n.cx.size_of(&d, x.dtype());
        let rstd = (mean + n.attrs.float("eps", 0.0)).rsqrt();
        let y = x * &rstd.broadcast_last(&d) * w.broadcast_like(x);
        Some(vec![y, rstd])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        Cost {
            operations: 4.0 * elements(&inputs[..1]),
            transcendental: 0.0,
            bytes: bytes(inputs) + bytes(out),
        }
    }
}

/// (x, weight, rstd, dy) → (dx, dweight): dx = (dy·w − x̂ mean(x̂·dy·w)) rstd with x̂ = x·rstd, dweight = Σ dy·x̂.
pub struct RmsNormGrad;
impl OpDef for RmsNormGrad {
    const NAME: &'static str = "rms_norm_grad";
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 4)?;
        check(inputs)?;
        if inputs[3] != inputs[0] || inputs[2] != row_type(&inputs[0]) {
            return Err(format!(
                "x {}, rstd {}, dy {} do not belong together",
                inputs[0], inputs[2], inputs[3]
            ));
        }
        Ok(vec![inputs[0].clone(), inputs[1].clone()])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (x, w, rstd, dy) = (i[0].floats(), i[1].floats(), i[2].floats(), i[3].floats());
        let d = w.len();
        let mut dx = Vec::with_capacity(x.len());
        let mut dw = vec![S::from_f64(0.0); d];
        for r in 0..rstd.len() {
            let hat: Vec<S> = (0..d).map(|c| x[r * d + c].clone() * rstd[r].clone()).collect();
            let g: Vec<S> = (0..d).map(|c| dy[r * d + c].clone() * w[c].clone()).collect();
            let mut dot = S::from_f64(0.0);
            for c in 0..d {
                dot = dot + hat[c].clone() * g[c].clone();
                dw[c] = dw[c].clone() + dy[r * d + c].clone() * hat[c].clone();
            }
            let mean = dot / S::from_f64(d as f64);
            dx.extend((0..d).map(|c| (g[c].clone() - hat[c].clone() * mean.clone()) * rstd[r].clone()));
        }
        let dtype = types[0].dtype;
        Ok(vec![Array::float(dtype, i[0].shape.clone(), dx), Array::float(dtype, vec![d], dw)])
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let (x, w, rstd, dy) = (&n.inputs[0], &n.inputs[1], &n.inputs[2], &n.inputs[3]);
        let last = x.ty().rank() - 1;
        let d = x.shape()[last].clone();
        let r = rstd.broadcast_last(&d);
        let (hat, g) = (x * &r, dy * &w.broadcast_like(x));
        let mean = (&hat * &g).sum(&[last]) / n.cx.size_of(&d, x.dtype());
        let dx = (g - &hat * &mean.broadcast_last(&d)) * r;
        let dw = (dy * &hat).sum(&(0..last).collect::<Vec<_>>());
        Some(vec![dx, dw])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        Cost {
            operations: 10.0 * elements(&inputs[..1]),
            transcendental: 0.0,
            bytes: bytes(inputs) + bytes(out),
        }
    }
}
