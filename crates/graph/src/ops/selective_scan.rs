//! The selective scan: a diagonal state-space model whose step size, input map and output map change with time (Gu and
//! Dao 2023, "Mamba", equations 2 and 3 with the simplified discretisation of section 3.6 of their code: exp for the
//! state, Euler for the input).

use super::{arity, float};
use crate::array::Array;
use crate::attrs::Attrs;
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, Op, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;
use axes::DType;

/// (x (B, T, D), dt (B, T, D), a (D, N), b (B, T, N), c (B, T, N), h0 (B, D, N)) → (y (B, T, D), last (B, D, N),
/// borders (B, T + N, D)):
///
/// h_t\[d, n\] = exp(dt_t\[d\] a\[d, n\]) h_{t-1}\[d, n\] + dt_t\[d\] x_t\[d\] b_t\[n\], y_t\[d\] = Σ_n c_t\[n\] h_t\[d, n\].
///
/// `last` is the state after the last step. `borders` is what the reverse pass starts from: the states before the steps
/// 0, N, 2N, …, each as N rows of D; the rows that are left over are zero. It has no derivative of its own.
pub struct SelectiveScan;

/// (b, t, d, n) of the operands.
fn sizes<S: Scalar>(i: &[Array<S>]) -> Result<[usize; 4], String> {
    match (&i[0].shape[..], &i[2].shape[..]) {
        (&[b, t, d], &[_, n]) => Ok([b, t, d, n]),
        _ => Err("takes (batch, time, channels) and (channels, states)".into()),
    }
}

fn check(inputs: &[Type]) -> Result<[Dim; 4], String> {
    (0..inputs.len()).try_for_each(|k| float(inputs, k))?;
    let ([b, t, d], [_, n]) = (&inputs[0].shape[..], &inputs[2].shape[..]) else {
        return Err(format!(
            "takes x (batch, time, channels) and a (channels, states), found {} and {}",
            inputs[0], inputs[2]
        ));
    };
    let dtype = inputs[0].dtype;
    let of = |shape: &[&Dim]| Type::new(dtype, shape.iter().map(|d| (*d).clone()));
    for (k, name, want) in
        [(1, "dt", of(&[b, t, d])), (2, "a", of(&[d, n])), (3, "b", of(&[b, t, n])), (4, "c", of(&[b, t, n]))]
    {
        if inputs[k] != want {
            return Err(format!("{name} must be {want}, found {}", inputs[k]));
        }
    }
    Ok([b.clone(), t.clone(), d.clone(), n.clone()])
}

/// The states h, one (d, n) after the other, before step 0 (h0) and after each step.
fn states<S: Scalar>(i: &[Array<S>], h0: &[S], [b, t, d, n]: [usize; 4]) -> Vec<Vec<S>> {
    let (x, dt, a, bb) = (i[0].floats(), i[1].floats(), i[2].floats(), i[3].floats());
    let mut all = vec![h0.to_vec()];
    for step in 0..t {
        let mut h = all[step].clone();
        for s in 0..b {
            for ch in 0..d {
                let at = (s * t + step) * d + ch;
                for k in 0..n {
                    let state = &mut h[(s * d + ch) * n + k];
                    let gate = (dt[at].clone() * a[ch * n + k].clone()).exp();
                    let drive = dt[at].clone() * x[at].clone() * bb[(s * t + step) * n + k].clone();
                    *state = gate * state.clone() + drive;
                }
            }
        }
        all.push(h);
    }
    all
}

impl OpDef for SelectiveScan {
    const NAME: &'static str = "selective_scan";
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 6)?;
        let [b, t, d, n] = check(inputs)?;
        let state = Type::new(inputs[0].dtype, [b.clone(), d.clone(), n.clone()]);
        if inputs[5] != state {
            return Err(format!("the initial state must be {state}, found {}", inputs[5]));
        }
        let borders = Type::new(inputs[0].dtype, [b, &t + &n, d]);
        Ok(vec![inputs[0].clone(), state, borders])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let [b, t, d, n] = sizes(i)?;
        let h = states(i, i[5].floats(), [b, t, d, n]);
        let c = i[4].floats();
        let mut y = vec![S::from_f64(0.0); b * t * d];
        let mut borders = vec![S::from_f64(0.0); b * (t + n) * d];
        for s in 0..b {
            for ch in 0..d {
                let of = |step: usize, k: usize| h[step][(s * d + ch) * n + k].clone();
                for step in 0..t {
                    for k in 0..n {
                        let term = c[(s * t + step) * n + k].clone() * of(step + 1, k);
                        let sum = &mut y[(s * t + step) * d + ch];
                        *sum = sum.clone() + term;
                    }
                }
                for step in (0..t).step_by(n.max(1)) {
                    for k in 0..n {
                        borders[(s * (t + n) + step + k) * d + ch] = of(step, k);
                    }
                }
            }
        }
        let float = |k: usize, shape: Vec<usize>, v: Vec<S>| Array::float(types[k].dtype, shape, v);
        Ok(vec![
            float(0, vec![b, t, d], y),
            float(1, vec![b, d, n], h[t].clone()),
            float(2, vec![b, t + n, d], borders),
        ])
    }
    fn vjp(n: &NodeCx, _wanted: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        if ct.get(2).is_some_and(Option::is_some) {
            return None;
        }
        let zero = |k: usize| ct[k].clone().unwrap_or_else(|| n.outputs[k].full_like(0.0));
        let (dy, dlast) = (zero(0), zero(1));
        let operands: Vec<&Var> = n.inputs[..5].iter().chain([&n.outputs[2], &dy, &dlast]).collect();
        let made = n.cx.push(Op::SelectiveScanGrad, Attrs::new(), &operands);
        Some(made.into_iter().take(6).map(Some).collect())
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let p = Parts::new(n.inputs, &n.inputs[5]);
        let [b, t, d, m] = &p.dims;
        let one = Dim::from(1);
        let h = p.states();
        let y = (&h * &p.spread(&n.inputs[4], &[0, 1, 3])).sum(&[3]);
        let last = h.slice_axis(1, t - &one, t.clone()).reshape(&[b.clone(), d.clone(), m.clone()]);
        // Row r of the borders is state r mod N before step (r / N) N.
        let first = n.inputs[5].reshape(&[b.clone(), one.clone(), d.clone(), m.clone()]);
        let before = Var::concatenate(&[&first, &h], 1).transpose(&[1, 3, 0, 2]);
        let table = before.reshape(&[&(t + &one) * m, b * d]);
        let (cx, rows) = (n.cx, t + m);
        let r = cx.iota(DType::I64, std::slice::from_ref(&rows));
        let all = |size: &Dim| cx.size_of(size, DType::I64).broadcast_like(&r);
        let states = all(m);
        let step = &(&r / &states) * &states;
        let there = step.lt(&all(t));
        let row = &(&step * &states) + &(&r - &step);
        let row = there.select(&row, &r.full_like(0.0));
        let mask = there.convert(p.x.dtype());
        let kept = table.gather(&row);
        let kept = &kept * &mask.broadcast(&kept.shape(), &[0]);
        let borders = kept.reshape(&[rows, b.clone(), d.clone()]).transpose(&[1, 0, 2]);
        Some(vec![y, last, borders])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        work(inputs, out, 7.0)
    }
}

fn work(inputs: &[Type], out: &[Type], each: f64) -> Cost {
    let states = inputs[2].shape.get(1).and_then(Dim::fixed).unwrap_or(1) as f64;
    let steps = elements(&inputs[..1]) * states;
    Cost { operations: each * steps, transcendental: steps, bytes: bytes(inputs) + bytes(out) }
}

/// The operands spread to (B, T, D, N), for the decompositions.
struct Parts<'a> {
    x: &'a Var,
    dt: &'a Var,
    b: &'a Var,
    dims: [Dim; 4],
    gate: Var,
    h0: Var,
}

impl<'a> Parts<'a> {
    fn new(i: &'a [Var], h0: &Var) -> Parts<'a> {
        let (s, states) = (i[0].shape(), i[2].shape());
        let dims = [s[0].clone(), s[1].clone(), s[2].clone(), states[1].clone()];
        let gate = (i[1].broadcast(&dims, &[0, 1, 2]) * i[2].broadcast(&dims, &[2, 3])).exp();
        Parts { x: &i[0], dt: &i[1], b: &i[3], dims, gate, h0: h0.clone() }
    }
    fn spread(&self, v: &Var, map: &[usize]) -> Var {
        v.broadcast(&self.dims, map)
    }
    /// (B, T, D, N) as (B, T, D N), or (B, D, N) as (B, D N).
    fn flat(&self, v: &Var) -> Var {
        let s = v.shape();
        let (front, back) = s.split_at(s.len() - 2);
        v.reshape(&[front, &[&back[0] * &back[1]]].concat())
    }
    fn states(&self) -> Var {
        let drive = self.spread(&(self.dt * self.x), &[0, 1, 2]) * self.spread(self.b, &[0, 1, 3]);
        let h = self.flat(&self.gate).linear_scan(&self.flat(&drive), &self.flat(&self.h0), false);
        h.reshape(&self.dims)
    }
}

/// (x, dt, a, b, c, borders, dy (B, T, D), dlast (B, D, N)) → (dx, ddt, da, db, dc, dh0), the cotangents of the operands
/// of [`SelectiveScan`]. Between two borders the states are computed again.
pub struct SelectiveScanGrad;
impl OpDef for SelectiveScanGrad {
    const NAME: &'static str = "selective_scan_grad";
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 8)?;
        let [b, t, d, n] = check(inputs)?;
        let mut borders = Type::new(inputs[0].dtype, [b.clone(), &t + &n, d.clone()]);
        // Where sizes are symbols of their own, T + N is known only once they are bound.
        if let [_, rows, _] = &inputs[5].shape[..]
            && (rows.fixed().is_none() || borders.shape[1].fixed().is_none())
        {
            borders.shape[1] = rows.clone();
        }
        let state = Type::new(inputs[0].dtype, [b, d, n]);
        for (k, name, want) in [(5, "borders", &borders), (6, "dy", &inputs[0]), (7, "dlast", &state)] {
            if inputs[k] != *want {
                return Err(format!("{name} must be {want}, found {}", inputs[k]));
            }
        }
        Ok(inputs[..5].iter().cloned().chain([state]).collect())
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let [b, t, d, n] = sizes(i)?;
        let zeros = |len: usize| vec![S::from_f64(0.0); len];
        let (x, dt, a, bb, c) = (i[0].floats(), i[1].floats(), i[2].floats(), i[3].floats(), i[4].floats());
        let (borders, dy, dlast) = (i[5].floats(), i[6].floats(), i[7].floats());
        let mut h0 = zeros(b * d * n);
        for s in 0..b {
            for ch in 0..d {
                for k in 0..n {
                    h0[(s * d + ch) * n + k] = borders[(s * (t + n) + k) * d + ch].clone();
                }
            }
        }
        let h = states(i, &h0, [b, t, d, n]);
        let mut out: Vec<Vec<S>> =
            [b * t * d, b * t * d, d * n, b * t * n, b * t * n].map(zeros).into_iter().collect();
        let mut g = dlast.to_vec();
        let add = |sum: &mut S, v: S| *sum = sum.clone() + v;
        for step in (0..t).rev() {
            for s in 0..b {
                for ch in 0..d {
                    let at = (s * t + step) * d + ch;
                    for k in 0..n {
                        let (state, row) = ((s * d + ch) * n + k, (s * t + step) * n + k);
                        let gate = (dt[at].clone() * a[ch * n + k].clone()).exp();
                        let total = g[state].clone() + c[row].clone() * dy[at].clone();
                        add(&mut out[4][row], dy[at].clone() * h[step + 1][state].clone());
                        let drive = total.clone() * bb[row].clone();
                        add(&mut out[0][at], drive.clone() * dt[at].clone());
                        add(&mut out[1][at], drive * x[at].clone());
                        add(&mut out[3][row], total.clone() * dt[at].clone() * x[at].clone());
                        let carried = total * gate;
                        let exponent = carried.clone() * h[step][state].clone();
                        add(&mut out[1][at], exponent.clone() * a[ch * n + k].clone());
                        add(&mut out[2][ch * n + k], exponent * dt[at].clone());
                        g[state] = carried;
                    }
                }
            }
        }
        out.push(g);
        let shapes = [0, 1, 2, 3, 4, 7].map(|k| i[k].shape.clone());
        let made = out.into_iter().zip(shapes).zip(types);
        Ok(made.map(|((v, shape), ty)| Array::float(ty.dtype, shape, v)).collect())
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let i = n.inputs;
        let states = i[2].shape()[1].clone();
        let h0 = i[5].slice_axis(1, 0, states).transpose(&[0, 2, 1]);
        let p = Parts::new(i, &h0);
        let [b, t, d, m] = &p.dims;
        let (one, zero) = (Dim::from(1), Dim::from(0));
        let h = p.states();
        let dy = p.spread(&i[6], &[0, 1, 2]);
        let last = i[7].reshape(&[b.clone(), one.clone(), d.clone(), m.clone()]);
        let none = [zero.clone(), zero.clone(), zero.clone(), zero.clone()];
        let last = last.pad(&[zero.clone(), t - &one, zero.clone(), zero.clone()], &none, 0.0);
        let dh = &(&dy * &p.spread(&i[4], &[0, 1, 3])) + &last;
        let operands = [&p.gate, &h, &dh].map(|v| p.flat(v));
        let attrs = crate::attrs! { reverse: Bool(false) };
        let made =
            n.cx.push(Op::LinearScanGrad, attrs, &[&operands[0], &p.flat(&h0), &operands[1], &operands[2]]);
        let exponent = &made[0].reshape(&p.dims) * &p.gate;
        let drive = made[1].reshape(&p.dims);
        let into = (&drive * &p.spread(&i[3], &[0, 1, 3])).sum(&[3]);
        let dx = &into * &i[1];
        let ddt = &(&exponent * &p.spread(&i[2], &[2, 3])).sum(&[3]) + &(&into * &i[0]);
        let da = (&exponent * &p.spread(&i[1], &[0, 1, 2])).sum(&[0, 1]);
        let db = (&drive * &p.spread(&(&i[1] * &i[0]), &[0, 1, 2])).sum(&[2]);
        let dc = (&h * &dy).sum(&[2]);
        let dh0 = made[2].reshape(&[b.clone(), d.clone(), m.clone()]);
        Some(vec![dx, ddt, da, db, dc, dh0])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        work(inputs, out, 20.0)
    }
}

impl Var {
    /// The selective scan of these inputs: y and the state after the last step; see [`SelectiveScan`].
    #[track_caller]
    pub fn selective_scan(&self, dt: &Var, a: &Var, b: &Var, c: &Var, h0: &Var) -> (Var, Var) {
        let made = self.cx.push(Op::SelectiveScan, Attrs::new(), &[self, dt, a, b, c, h0]);
        let mut made = made.into_iter();
        let mut next = || made.next().unwrap_or_else(|| self.cx.poison());
        (next(), next())
    }
}
