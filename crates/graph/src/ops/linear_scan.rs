//! The gated linear recurrence h_t = f_t h_{t-1} + x_t over time, per channel: the token mixer of the MLGRU, and with
//! other gates of the diagonal state-space models.

use super::{arity, float};
use crate::array::Array;
use crate::attrs::Attrs;
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

/// (f (B, T, D), x (B, T, D), h0 (B, D)) → h (B, T, D). With `reverse`, time runs from T−1 down to 0.
pub struct LinearScan;
impl OpDef for LinearScan {
    const NAME: &'static str = "linear_scan";
    const ATTRS: &'static [&'static str] = &["reverse"];
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 3)?;
        float(inputs, 0)?;
        super::same(&inputs[0], &inputs[1])?;
        if inputs[0].rank() != 3 {
            return Err(format!("takes (batch, time, channels), found {}", inputs[0]));
        }
        let state = Type::new(inputs[0].dtype, [inputs[0].shape[0].clone(), inputs[0].shape[2].clone()]);
        if inputs[2] != state {
            return Err(format!("the initial state must be {state}, found {}", inputs[2]));
        }
        Ok(vec![inputs[0].clone()])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (f, x, h0) = (i[0].floats(), i[1].floats(), i[2].floats());
        let [b, t, d] = i[0].shape[..] else { return Err("takes three axes".into()) };
        let mut out = vec![S::from_f64(0.0); f.len()];
        for n in 0..b {
            for c in 0..d {
                let mut h = h0[n * d + c].clone();
                for step in 0..t {
                    let time = if attrs.flag("reverse") { t - 1 - step } else { step };
                    let at = (n * t + time) * d + c;
                    h = f[at].clone() * h + x[at].clone();
                    out[at] = h.clone();
                }
            }
        }
        Ok(vec![Array::float(types[0].dtype, i[0].shape.clone(), out)])
    }
    fn jvp(n: &NodeCx, t: &[Tangent]) -> Option<Vec<Tangent>> {
        if t.iter().all(Option::is_none) {
            return Some(vec![None]);
        }
        let (f, reverse) = (&n.inputs[0], n.attrs.flag("reverse"));
        let from_gate = t[0].as_ref().map(|tf| tf * &shifted(&n.outputs[0], &n.inputs[2], reverse));
        let tx = super::plus(from_gate, t[1].clone()).unwrap_or_else(|| f.full_like(0.0));
        let th = t[2].clone().unwrap_or_else(|| n.inputs[2].full_like(0.0));
        Some(vec![Some(f.linear_scan(&tx, &th, reverse))])
    }
    /// Linear in x and h0 when the gate is a constant.
    fn transpose(n: &NodeCx, linear: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        if linear[0] {
            return None;
        }
        let Some(ct) = &ct[0] else { return Some(vec![None; 3]) };
        let dx = adjoint(n, ct);
        let dh0 = linear[2].then(|| initial(n, &dx));
        Some(vec![None, linear[1].then_some(dx), dh0])
    }
    fn vjp(n: &NodeCx, wanted: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        let Some(ct) = &ct[0] else { return Some(vec![None; 3]) };
        if wanted[0] {
            let operands = [&n.inputs[0], &n.inputs[2], &n.outputs[0], ct];
            let made = n.cx.push(crate::Op::LinearScanGrad, n.attrs.clone(), &operands);
            return Some(made.into_iter().take(3).map(Some).collect());
        }
        let dx = adjoint(n, ct);
        let dh0 = wanted[2].then(|| initial(n, &dx));
        Some(vec![None, wanted[1].then_some(dx), dh0])
    }
    fn batch(n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
        Some(folded(n, mapped, size, crate::Op::LinearScan))
    }
    /// h_t = f_t h_{t-1} + x_t coefficient by coefficient: those of the gate before f_0 act as inputs.
    fn jet(n: &NodeCx, s: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
        let (f, reverse) = (&n.inputs[0], n.attrs.flag("reverse"));
        let mut before = vec![Some(shifted(&n.outputs[0], &n.inputs[2], reverse))];
        let mut made: Vec<Tangent> = vec![];
        for k in 1..=s[0].len() {
            let gates = (1..=k).filter_map(|j| Some(s[0][j - 1].as_ref()? * before[k - j].as_ref()?));
            let x = gates.fold(s[1][k - 1].clone(), |a, b| super::plus(a, Some(b)));
            let h0 = s[2][k - 1].clone();
            let h = (x.is_some() || h0.is_some()).then(|| {
                let x = x.unwrap_or_else(|| f.full_like(0.0));
                let h0 = h0.unwrap_or_else(|| n.inputs[2].full_like(0.0));
                let h = f.linear_scan(&x, &h0, reverse);
                (shifted(&h, &h0, reverse), h)
            });
            before.push(h.as_ref().map(|h| h.0.clone()));
            made.push(h.map(|h| h.1));
        }
        Some(vec![made])
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let (f, x, h0) = (&n.inputs[0], &n.inputs[1], &n.inputs[2]);
        let time_first = |v: &Var| v.transpose(&[1, 0, 2]);
        let (_, ys) =
            n.cx.scan(&[h0], &[&time_first(f), &time_first(x)], n.attrs.flag("reverse"), |carry, xs| {
                let h = &xs[0] * &carry[0] + &xs[1];
                (vec![h.clone()], vec![h])
            });
        Some(vec![ys[0].transpose(&[1, 0, 2])])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        Cost { operations: 2.0 * elements(out), transcendental: 0.0, bytes: bytes(inputs) + bytes(out) }
    }
}

/// (f, h0, h, dh) → (df, dx, dh0) for h = linear_scan(f, x, h0): with c_t = dh_t + f_{t+1} c_{t+1}, dx = c,
/// df_t = c_t h_{t-1}, dh0 = f_0 c_0.
pub struct LinearScanGrad;
impl OpDef for LinearScanGrad {
    const NAME: &'static str = "linear_scan_grad";
    const ATTRS: &'static [&'static str] = &["reverse"];
    const CLASS: Class = Class::Composite;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 4)?;
        let [f, h0, h, dh] = inputs else { return Err("takes four operands".into()) };
        LinearScan::infer(attrs, &[f.clone(), h.clone(), h0.clone()])?;
        super::same(h, dh)?;
        Ok(vec![f.clone(), f.clone(), h0.clone()])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let (f, h0, h, dh) = (i[0].floats(), i[1].floats(), i[2].floats(), i[3].floats());
        let [b, t, d] = i[0].shape[..] else { return Err("takes three axes".into()) };
        let zero = || S::from_f64(0.0);
        let (mut df, mut dx, mut dh0) = (vec![zero(); f.len()], vec![zero(); f.len()], vec![zero(); b * d]);
        for n in 0..b {
            for c in 0..d {
                let at =
                    |step: usize| (n * t + if attrs.flag("reverse") { t - 1 - step } else { step }) * d + c;
                let mut carry = zero();
                for step in (0..t).rev() {
                    let before = if step == 0 { &h0[n * d + c] } else { &h[at(step - 1)] };
                    let g = dh[at(step)].clone() + carry;
                    df[at(step)] = g.clone() * before.clone();
                    carry = f[at(step)].clone() * g.clone();
                    dx[at(step)] = g;
                }
                dh0[n * d + c] = carry;
            }
        }
        let float = |k: usize, v: Vec<S>| Array::float(types[k].dtype, i[[0, 0, 1][k]].shape.clone(), v);
        Ok(vec![float(0, df), float(1, dx), float(2, dh0)])
    }
    fn batch(n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
        Some(folded(n, mapped, size, crate::Op::LinearScanGrad))
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let (f, h0, h, dh) = (&n.inputs[0], &n.inputs[1], &n.inputs[2], &n.inputs[3]);
        let forward = NodeCx { inputs: &[f.clone(), h.clone(), h0.clone()], ..*n };
        let dx = adjoint(&forward, dh);
        let df = &dx * &shifted(h, h0, n.attrs.flag("reverse"));
        let dh0 = initial(&forward, &dx);
        Some(vec![df, dx, dh0])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        Cost { operations: 3.0 * elements(&out[..1]), transcendental: 0.0, bytes: bytes(inputs) + bytes(out) }
    }
}

/// The op on a batch, whose axis is taken together with the op's own batch axis.
fn folded(n: &NodeCx, mapped: &[bool], size: &Dim, op: crate::Op) -> Vec<Var> {
    let fold = |(x, mapped): (&Var, &bool)| {
        let x = super::spread(x, *mapped, size);
        let shape = x.shape();
        let dims: Vec<Dim> = std::iter::once(&shape[0] * &shape[1]).chain(shape[2..].to_vec()).collect();
        (x.reshape(&dims), shape[1].clone())
    };
    let (operands, rows): (Vec<Var>, Vec<Dim>) = n.inputs.iter().zip(mapped).map(fold).unzip();
    let made = n.cx.push(op, n.attrs.clone(), &operands.iter().collect::<Vec<_>>());
    let unfold = |y: &Var| {
        let dims = [size.clone(), rows[0].clone()].into_iter().chain(y.shape()[1..].to_vec());
        y.reshape(&dims.collect::<Vec<_>>())
    };
    made.iter().map(unfold).collect()
}

/// The state before each step: h moved one step along time, h0 in the free place.
fn shifted(h: &Var, h0: &Var, reverse: bool) -> Var {
    let shape = h.shape();
    let h0 = h0.reshape(&[shape[0].clone(), Dim::from(1), shape[2].clone()]);
    let one = Dim::from(1);
    if reverse {
        Var::concatenate(&[&h.slice_axis(1, 1, shape[1].clone()), &h0], 1)
    } else {
        Var::concatenate(&[&h0, &h.slice_axis(1, 0, &shape[1] - &one)], 1)
    }
}

/// The cotangent of x: c_t = ct_t + f_{t+1} c_{t+1}, the recurrence run the other way with the gate moved one step.
fn adjoint(n: &NodeCx, ct: &Var) -> Var {
    let (f, h0) = (&n.inputs[0], &n.inputs[2]);
    let reverse = n.attrs.flag("reverse");
    let zero = h0.full_like(0.0);
    shifted(f, &zero, !reverse).linear_scan(ct, &zero, !reverse)
}

/// The cotangent of h0: the first step's gate times the first step's cotangent.
fn initial(n: &NodeCx, dx: &Var) -> Var {
    let shape = dx.shape();
    let one = Dim::from(1);
    let at = if n.attrs.flag("reverse") { &shape[1] - &one } else { Dim::from(0) };
    let end = &at + &one;
    let first =
        |v: &Var| v.slice_axis(1, at.clone(), end.clone()).reshape(&[shape[0].clone(), shape[2].clone()]);
    first(&n.inputs[0]) * first(dx)
}

impl Var {
    /// The recurrence with these gates; see [`LinearScan`].
    #[track_caller]
    pub fn linear_scan(&self, x: &Var, h0: &Var, reverse: bool) -> Var {
        self.cx.push1(crate::Op::LinearScan, crate::attrs! { reverse: Bool(reverse) }, &[self, x, h0])
    }
}
