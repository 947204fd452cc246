//! The quantisers of BitNet b1.58 (Ma et al. 2024) and the product that needs additions only.
//!
//! Activations: per token, `s = 127 / max(absmax, 1e-5)`, `q = clamp(round(y s), -128, 127)`. Weights: per tensor,
//! `s = 1 / max(mean|W|, 1e-5)`, `t = clamp(round_half_even(W s), -1, 1)`. No derivative flows through either; a
//! straight-through estimator is a [`super::special::Surrogate`] around them.

use super::{arity, float};
use crate::array::Array;
use crate::attrs::Attrs;
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;
use axes::DType;

/// The floor under the magnitudes that scales are made of.
pub const FLOOR: f64 = 1e-5;

/// y (…, K) → (q i8 (…, K), scale (…)); `rounding` is `half_away` or `half_even`.
pub struct QuantizeActivations;
impl OpDef for QuantizeActivations {
    const NAME: &'static str = "quantize_activations";
    const ATTRS: &'static [&'static str] = &["rounding"];
    const CLASS: Class = Class::Composite;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        float(inputs, 0)?;
        if !["half_away", "half_even"].contains(&attrs.str("rounding")) {
            return Err(format!(
                "rounding must be half_away or half_even, found `{}`",
                attrs.str("rounding")
            ));
        }
        if inputs[0].rank() == 0 {
            return Err("needs an axis of features".into());
        }
        let rows = inputs[0].shape[..inputs[0].rank() - 1].to_vec();
        Ok(vec![inputs[0].with_dtype(DType::I8), Type { dtype: inputs[0].dtype, shape: rows }])
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let k = *i[0].shape.last().unwrap_or(&1);
        let away = attrs.str("rounding") == "half_away";
        let (mut q, mut scales) = (vec![], vec![]);
        for row in i[0].floats().chunks(k.max(1)) {
            let peak = row.iter().fold(cx.literal::<S>(FLOOR), |m, v| m.maximum(&v.abs()));
            let s = S::from_f64(127.0) / peak;
            for v in row {
                let scaled = v.clone() * s.clone();
                let whole = if away { scaled.round_half_away() } else { scaled.round_half_even() };
                q.push((whole.to_f64() as i64).clamp(-128, 127));
            }
            scales.push(s);
        }
        let rows = i[0].shape[..i[0].shape.len() - 1].to_vec();
        Ok(vec![Array::int(DType::I8, i[0].shape.clone(), q), Array::float(types[1].dtype, rows, scales)])
    }
    fn jvp(_: &NodeCx, _: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![None, None])
    }
    fn jet(_: &NodeCx, s: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
        Some(vec![vec![None; s[0].len()]; 2])
    }
    /// The rows of a batch are rows.
    fn batch(n: &NodeCx, _: &[bool], _: &Dim) -> Option<Vec<Var>> {
        Some(n.cx.push(crate::Op::QuantizeActivations, n.attrs.clone(), &[&n.inputs[0]]))
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let y = &n.inputs[0];
        let last = y.ty().rank() - 1;
        let peak = y.abs().max_over(&[last]);
        let scale = 127.0 / peak.max(&peak.full_like(FLOOR));
        let scaled = y * &scale.broadcast_last(&y.shape()[last]);
        let whole = match n.attrs.str("rounding") {
            "half_away" => scaled.round_half_away(),
            _ => scaled.round_half_even(),
        };
        Some(vec![whole.clamp(-128.0, 127.0).convert(DType::I8), scale])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        Cost { operations: 4.0 * elements(inputs), transcendental: 0.0, bytes: bytes(inputs) + bytes(out) }
    }
}

/// W (any shape) → (trits, scale rank 0).
pub struct QuantizeWeights;
impl OpDef for QuantizeWeights {
    const NAME: &'static str = "quantize_weights";
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 1)?;
        float(inputs, 0)?;
        Ok(vec![inputs[0].with_dtype(DType::Trit), Type::scalar(inputs[0].dtype)])
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        fn total<S: Scalar>(w: &[S]) -> S {
            match w {
                [] => S::from_f64(0.0),
                [x] => x.abs(),
                _ => {
                    let (a, b) = w.split_at(w.len() / 2);
                    total(a) + total(b)
                }
            }
        }
        let w = i[0].floats();
        let mean = total(w) / S::from_f64(w.len() as f64);
        let s = S::from_f64(1.0) / mean.maximum(&cx.literal(FLOOR));
        let trit = |v: &S| (v.clone() * s.clone()).round_half_even().to_f64().clamp(-1.0, 1.0) as i64;
        Ok(vec![
            Array::int(DType::Trit, i[0].shape.clone(), w.iter().map(trit).collect()),
            Array::float(types[1].dtype, vec![], vec![s.clone()]),
        ])
    }
    fn jvp(_: &NodeCx, _: &[Tangent]) -> Option<Vec<Tangent>> {
        Some(vec![None, None])
    }
    fn jet(_: &NodeCx, s: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
        Some(vec![vec![None; s[0].len()]; 2])
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let w = &n.inputs[0];
        let mean = w.abs().mean_all();
        let scale = mean.max(&mean.full_like(FLOOR)).reciprocal();
        let trits = (w * &scale).round_half_even().clamp(-1.0, 1.0).convert(DType::Trit);
        Some(vec![trits, scale])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        Cost { operations: 4.0 * elements(inputs), transcendental: 0.0, bytes: bytes(inputs) + bytes(out) }
    }
}

/// (q i8 (…, K), s_x (…), trits (M, K), s_w) → (…, M): Σ q·t in integers, then divided by s_x and by s_w.
pub struct TernaryLinear;
impl OpDef for TernaryLinear {
    const NAME: &'static str = "ternary_linear";
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 4)?;
        let (q, sx, t, sw) = (&inputs[0], &inputs[1], &inputs[2], &inputs[3]);
        if q.dtype != DType::I8 || t.dtype != DType::Trit || t.rank() != 2 || q.rank() == 0 {
            return Err(format!("takes i8[…,K] and trit[M,K], found {q} and {t}"));
        }
        let last = q.rank() - 1;
        if q.shape[last] != t.shape[1] {
            return Err(format!("the activations {q} and the weights {t} differ in their last axis"));
        }
        if !sx.dtype.is_float() || sx.shape != q.shape[..last] || *sw != Type::scalar(sx.dtype) {
            return Err(format!("the scales of {q} and {t} have types {sx} and {sw}"));
        }
        let shape = q.shape[..last].iter().chain(&t.shape[..1]).cloned().collect();
        Ok(vec![Type { dtype: sx.dtype, shape }])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (q, sx, t, sw) = (i[0].ints(), i[1].floats(), i[2].ints(), &i[3].floats()[0]);
        let (m, k) = (i[2].shape[0], i[2].shape[1]);
        let mut out = Vec::with_capacity(sx.len() * m);
        for (row, s) in sx.iter().enumerate() {
            for o in 0..m {
                let mut sum = 0i64;
                for c in 0..k {
                    match t[o * k + c] {
                        1 => sum += q[row * k + c],
                        -1 => sum -= q[row * k + c],
                        _ => {}
                    }
                }
                out.push(S::from_f64(sum as f64) / s.clone() / sw.clone());
            }
        }
        let mut shape = i[0].shape.clone();
        if let Some(last) = shape.last_mut() {
            *last = m;
        }
        Ok(vec![Array::float(types[0].dtype, shape, out)])
    }
    /// The rows of a batch are rows.
    fn batch(n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
        let (q, sx) =
            (super::spread(&n.inputs[0], mapped[0], size), super::spread(&n.inputs[1], mapped[1], size));
        (!mapped[2] && !mapped[3]).then(|| vec![q.ternary_linear(&sx, &n.inputs[2], &n.inputs[3])])
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let (q, sx, t, sw) = (&n.inputs[0], &n.inputs[1], &n.inputs[2], &n.inputs[3]);
        let sum = q.convert(sx.dtype()).linear(&t.convert(sx.dtype()));
        let m = t.shape()[0].clone();
        Some(vec![sum / sx.broadcast_last(&m) / sw])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        let k = inputs[2].shape[1].fixed().unwrap_or(0) as f64;
        Cost { operations: k * elements(out), transcendental: 0.0, bytes: bytes(inputs) + bytes(out) }
    }
}

impl Var {
    /// Int8 activations and their scale per row; see [`QuantizeActivations`].
    #[track_caller]
    pub fn quantize_activations(&self, rounding: &str) -> (Var, Var) {
        let out = self.cx.push(
            crate::Op::QuantizeActivations,
            crate::attrs! { rounding: Str(rounding.to_string()) },
            &[self],
        );
        (out[0].clone(), out[1].clone())
    }

    /// Trits and their scale; see [`QuantizeWeights`].
    #[track_caller]
    pub fn quantize_weights(&self) -> (Var, Var) {
        let out = self.cx.push(crate::Op::QuantizeWeights, Attrs::new(), &[self]);
        (out[0].clone(), out[1].clone())
    }

    /// These int8 activations times trits, scaled back; see [`TernaryLinear`].
    #[track_caller]
    pub fn ternary_linear(&self, s_x: &Var, trits: &Var, s_w: &Var) -> Var {
        self.cx.push1(crate::Op::TernaryLinear, Attrs::new(), &[self, s_x, trits, s_w])
    }

    /// y (…, D) = x · rstd · weight, and rstd; see [`super::norm::RmsNorm`].
    #[track_caller]
    pub fn rms_norm(&self, weight: &Var, eps: f64) -> Var {
        self.cx.push1(crate::Op::RmsNorm, crate::attrs! { eps: Float(eps) }, &[self, weight])
    }
}
