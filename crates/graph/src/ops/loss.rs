//! Cross entropy over a vocabulary.

use super::{arity, float};
use crate::array::Array;
use crate::attrs::Attrs;
use crate::op::{Class, Cost, EvalCx, NodeCx, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;
use axes::DType;

/// The label that is left out of the loss.
pub const IGNORE: i64 = -100;

fn check(inputs: &[Type]) -> Result<(), String> {
    float(inputs, 0)?;
    if inputs[0].rank() != 2 || inputs[1] != Type::new(DType::I64, [inputs[0].shape[0].clone()]) {
        return Err(format!("takes logits (N, V) and labels i64 (N), found {} and {}", inputs[0], inputs[1]));
    }
    Ok(())
}

fn label(l: i64, v: usize) -> Result<Option<usize>, String> {
    match usize::try_from(l) {
        Ok(l) if l < v => Ok(Some(l)),
        _ if l == IGNORE => Ok(None),
        _ => Err(format!("label {l} is outside the vocabulary of {v}")),
    }
}

/// (logits (N, V), labels i64 (N)) → (mean over labels that are not −100 of logsumexp − logit, logsumexp (N)).
pub struct CrossEntropy;
impl OpDef for CrossEntropy {
    const NAME: &'static str = "cross_entropy";
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 2)?;
        check(inputs)?;
        Ok(vec![Type::scalar(inputs[0].dtype), Type::new(inputs[0].dtype, [inputs[0].shape[0].clone()])])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let v = i[0].shape[1];
        let (mut loss, mut count, mut lse) = (S::from_f64(0.0), 0usize, vec![]);
        for (row, l) in i[0].floats().chunks(v.max(1)).zip(i[1].ints()) {
            let peak = row.iter().fold(row[0].clone(), |m, x| m.maximum(x));
            let sum = row.iter().fold(S::from_f64(0.0), |s, x| s + (x.clone() - peak.clone()).exp());
            let total = sum.ln() + peak;
            if let Some(l) = label(*l, v)? {
                loss = loss + (total.clone() - row[l].clone());
                count += 1;
            }
            lse.push(total);
        }
        let dtype = types[0].dtype;
        Ok(vec![
            Array::float(dtype, vec![], vec![loss / S::from_f64(count as f64)]),
            Array::float(dtype, vec![lse.len()], lse),
        ])
    }
    fn vjp(n: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        match (&ct[0], &ct[1]) {
            (None, None) => Some(vec![None, None]),
            (Some(g), None) => {
                let inputs = [&n.inputs[0], &n.inputs[1], &n.outputs[1], g];
                Some(vec![Some(n.cx.push1(crate::Op::CrossEntropyGrad, Attrs::new(), &inputs)), None])
            }
            _ => None,
        }
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let (x, labels) = (&n.inputs[0], &n.inputs[1]);
        let v = x.shape()[1].clone();
        let peak = x.max_over(&[1]).stop_gradient();
        let lse = (x - &peak.broadcast_last(&v)).exp().sum(&[1]).log() + &peak;
        let (hot, kept) = one_hot(x, labels);
        let picked = (x * &hot).sum(&[1]);
        let loss = ((&lse - &picked) * &kept).sum(&[0]) / kept.sum(&[0]);
        Some(vec![loss, lse])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        let n = elements(&inputs[..1]);
        Cost { operations: 3.0 * n, transcendental: n, bytes: bytes(inputs) + bytes(out) }
    }
}

/// One where the label is, and per row one unless the label is −100.
fn one_hot(x: &Var, labels: &Var) -> (Var, Var) {
    let ty = x.ty().with_dtype(DType::I64);
    let attrs = crate::attrs! { dtype: DType(DType::I64), dims: Dims(ty.shape.clone()), axis: Int(1) };
    let ids = x.cx().push1(crate::Op::Iota, attrs, &[]);
    let hot = ids.equal(&labels.broadcast_last(&ty.shape[1])).convert(x.dtype());
    (hot, labels.not_equal(&labels.full_like(IGNORE as f64)).convert(x.dtype()))
}

/// (logits, labels, logsumexp, g) → dlogits = g (softmax − one-hot) / count, zero in ignored rows.
pub struct CrossEntropyGrad;
impl OpDef for CrossEntropyGrad {
    const NAME: &'static str = "cross_entropy_grad";
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 4)?;
        check(inputs)?;
        let rows = Type::new(inputs[0].dtype, [inputs[0].shape[0].clone()]);
        if inputs[2] != rows || inputs[3] != Type::scalar(inputs[0].dtype) {
            return Err(format!(
                "logsumexp {} and cotangent {} do not fit {}",
                inputs[2], inputs[3], inputs[0]
            ));
        }
        Ok(vec![inputs[0].clone()])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let v = i[0].shape[1];
        let count = i[1].ints().iter().filter(|l| **l != IGNORE).count();
        let g = i[3].floats()[0].clone() / S::from_f64(count as f64);
        let mut out = vec![];
        for (r, row) in i[0].floats().chunks(v.max(1)).enumerate() {
            let l = label(i[1].ints()[r], v)?;
            for (c, x) in row.iter().enumerate() {
                let p = (x.clone() - i[2].floats()[r].clone()).exp();
                let hot = S::from_f64(if l == Some(c) { 1.0 } else { 0.0 });
                out.push(if l.is_some() { (p - hot) * g.clone() } else { S::from_f64(0.0) });
            }
        }
        Ok(vec![Array::float(types[0].dtype, i[0].shape.clone(), out)])
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let (x, labels, lse, g) = (&n.inputs[0], &n.inputs[1], &n.inputs[2], &n.inputs[3]);
        let v = x.shape()[1].clone();
        let (hot, kept) = one_hot(x, labels);
        let p = (x - &lse.broadcast_last(&v)).exp();
        let scale = (&kept * &(g / &kept.sum(&[0]))).broadcast_last(&v);
        Some(vec![(p - hot) * scale])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        let n = elements(out);
        Cost { operations: 3.0 * n, transcendental: n, bytes: bytes(inputs) + bytes(out) }
    }
}

impl Var {
    /// Mean cross entropy of these logits (N, V) against labels i64 (N); see [`CrossEntropy`].
    #[track_caller]
    pub fn cross_entropy(&self, labels: &Var) -> Var {
        self.cx.push1(crate::Op::CrossEntropy, Attrs::new(), &[self, labels])
    }
}
