//! The state-space dual form: a state-space model whose decay is one number for each head and step (Dao and Gu 2024,
//! "Transformers are SSMs", arXiv 2405.21060, section 6; the input is discretised after Euler, as their code does).
//!
//! A head's states are a matrix (P, N) that decays as a whole and gains an outer product in each step. So T steps are also a
//! masked product like attention's, (L ∘ C Bᵀ) X with L_ij the decay from step j to step i, and a sequence can be cut into
//! chunks: products within each, states between them. The evaluation is the recurrence.

use super::{arity, float};
use crate::array::Array;
use crate::attrs::Attrs;
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, Op, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

/// (x (B, T, H, P), dt (B, T, H), a (H), b (B, T, G, N), c (B, T, G, N), h0 (B, H, P, N)) → (y (B, T, H, P), last
/// (B, H, P, N)), for each head h of group g = h G / H:
///
/// s_t\[p, n\] = exp(dt_t a) s_{t-1}\[p, n\] + dt_t x_t\[p\] b_t\[g, n\], y_t\[p\] = Σ_n c_t\[g, n\] s_t\[p, n\].
///
/// `last` is the state after the last step.
pub struct Ssd;

/// Sizes of a node.
#[derive(Clone, Copy)]
struct Sizes {
    b: usize,
    t: usize,
    h: usize,
    p: usize,
    g: usize,
    n: usize,
}

impl Sizes {
    fn of<S: Scalar>(i: &[Array<S>]) -> Result<Sizes, String> {
        match (&i[0].shape[..], &i[3].shape[..]) {
            (&[b, t, h, p], &[_, _, g, n]) if g > 0 && h % g == 0 => Ok(Sizes { b, t, h, p, g, n }),
            _ => Err("takes (batch, time, heads, width) and (batch, time, groups, states)".into()),
        }
    }
    /// Place of a head's step in dt.
    fn step(&self, s: usize, t: usize, h: usize) -> usize {
        (s * self.t + t) * self.h + h
    }
    /// Place of a head's maps.
    fn map(&self, s: usize, t: usize, h: usize) -> usize {
        ((s * self.t + t) * self.g + h * self.g / self.h) * self.n
    }
    fn state(&self) -> usize {
        self.h * self.p * self.n
    }
}

fn check(inputs: &[Type]) -> Result<[Dim; 6], String> {
    (0..inputs.len()).try_for_each(|k| float(inputs, k))?;
    let ([b, t, h, p], [_, _, g, n]) = (&inputs[0].shape[..], &inputs[3].shape[..]) else {
        return Err(format!(
            "takes x (batch, time, heads, width) and b (batch, time, groups, states), found {} and {}",
            inputs[0], inputs[3]
        ));
    };
    let dtype = inputs[0].dtype;
    let of = |shape: &[&Dim]| Type::new(dtype, shape.iter().map(|d| (*d).clone()));
    let wanted = [
        (1, "dt", of(&[b, t, h])),
        (2, "a", of(&[h])),
        (3, "b", of(&[b, t, g, n])),
        (4, "c", of(&[b, t, g, n])),
        (5, "the initial state", of(&[b, h, p, n])),
    ];
    for (k, name, want) in wanted {
        if inputs[k] != want {
            return Err(format!("{name} must be {want}, found {}", inputs[k]));
        }
    }
    match (h.fixed(), g.fixed()) {
        (Some(heads), Some(groups)) if groups > 0 && heads % groups == 0 => {
            Ok([b, t, h, p, g, n].map(Clone::clone))
        }
        _ => Err(format!("{g} groups do not divide {h} heads")),
    }
}

/// The states, one (B, H, P, N) after the other, before step 0 and after each step.
fn states<S: Scalar>(i: &[Array<S>], z: Sizes) -> Vec<Vec<S>> {
    let (x, dt, a, bb) = (i[0].floats(), i[1].floats(), i[2].floats(), i[3].floats());
    let mut all = vec![i[5].floats().to_vec()];
    for t in 0..z.t {
        let mut state = all[t].clone();
        for s in 0..z.b {
            for h in 0..z.h {
                let (at, map) = (z.step(s, t, h), z.map(s, t, h));
                let gate = (dt[at].clone() * a[h].clone()).exp();
                for p in 0..z.p {
                    let drive = dt[at].clone() * x[at * z.p + p].clone();
                    for n in 0..z.n {
                        let e = &mut state[((s * z.h + h) * z.p + p) * z.n + n];
                        *e = gate.clone() * e.clone() + drive.clone() * bb[map + n].clone();
                    }
                }
            }
        }
        all.push(state);
    }
    all
}

impl OpDef for Ssd {
    const NAME: &'static str = "ssd";
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 6)?;
        check(inputs)?;
        Ok(vec![inputs[0].clone(), inputs[5].clone()])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let z = Sizes::of(i)?;
        let all = states(i, z);
        let c = i[4].floats();
        let mut y = vec![S::from_f64(0.0); z.b * z.t * z.h * z.p];
        for s in 0..z.b {
            for t in 0..z.t {
                for h in 0..z.h {
                    let (at, map) = (z.step(s, t, h), z.map(s, t, h));
                    for p in 0..z.p {
                        for n in 0..z.n {
                            let e = all[t + 1][((s * z.h + h) * z.p + p) * z.n + n].clone();
                            let sum = &mut y[at * z.p + p];
                            *sum = sum.clone() + c[map + n].clone() * e;
                        }
                    }
                }
            }
        }
        let last = all[z.t].clone();
        Ok(vec![
            Array::float(types[0].dtype, i[0].shape.clone(), y),
            Array::float(types[1].dtype, i[5].shape.clone(), last),
        ])
    }
    fn vjp(n: &NodeCx, _wanted: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        let zero = |k: usize| ct[k].clone().unwrap_or_else(|| n.outputs[k].full_like(0.0));
        let (dy, dlast) = (zero(0), zero(1));
        let operands: Vec<&Var> = n.inputs.iter().chain([&dy, &dlast]).collect();
        let made = n.cx.push(Op::SsdGrad, Attrs::new(), &operands);
        Some(made.into_iter().map(Some).collect())
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let p = Parts::new(n.inputs);
        let [b, t, h, width, _, m] = &p.dims;
        let one = Dim::from(1);
        let all = p.states();
        let y = (&all * &p.maps(&n.inputs[4])).sum(&[4]);
        let last = all.slice_axis(1, t - &one, t.clone());
        let last = last.reshape(&[b.clone(), h.clone(), width.clone(), m.clone()]);
        Some(vec![y, last])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        work(inputs, out, 5.0)
    }
}

fn work(inputs: &[Type], out: &[Type], each: f64) -> Cost {
    let states = inputs[3].shape.get(3).and_then(Dim::fixed).unwrap_or(1) as f64;
    let operations = each * elements(&inputs[..1]) * states;
    Cost { operations, transcendental: elements(&inputs[1..2]), bytes: bytes(inputs) + bytes(out) }
}

/// The operands spread to (B, T, H, P, N), for the decompositions.
struct Parts<'a> {
    i: &'a [Var],
    dims: [Dim; 6],
    all: [Dim; 5],
    /// exp(dt a), (B, T, H).
    gate: Var,
}

impl<'a> Parts<'a> {
    fn new(i: &'a [Var]) -> Parts<'a> {
        let (x, maps) = (i[0].shape(), i[3].shape());
        let dims = [&x[0], &x[1], &x[2], &x[3], &maps[2], &maps[3]].map(Clone::clone);
        let all = [&x[0], &x[1], &x[2], &x[3], &maps[3]].map(Clone::clone);
        let gate = (&i[1] * &i[2].broadcast(&x[..3], &[2])).exp();
        Parts { i, dims, all, gate }
    }
    /// Maps (B, T, G, N) at every head and channel.
    fn maps(&self, v: &Var) -> Var {
        let [b, t, h, p, g, n] = &self.dims;
        let each = Dim::from(h.fixed().unwrap_or(1) / g.fixed().unwrap_or(1).max(1));
        let shape = [b.clone(), t.clone(), g.clone(), each, p.clone(), n.clone()];
        v.broadcast(&shape, &[0, 1, 2, 5]).reshape(&self.all)
    }
    /// The sum over channels and over the heads of each group: the transpose of [`Parts::maps`].
    fn fold(&self, v: &Var) -> Var {
        let [b, t, h, p, g, n] = &self.dims;
        let each = Dim::from(h.fixed().unwrap_or(1) / g.fixed().unwrap_or(1).max(1));
        v.reshape(&[b.clone(), t.clone(), g.clone(), each, p.clone(), n.clone()]).sum(&[3, 4])
    }
    /// (B, T, H, P, N) as (B, T, H P N), or without T.
    fn flat(&self, v: &Var) -> Var {
        let shape = v.shape();
        let (front, back) = shape.split_at(shape.len() - 3);
        v.reshape(&[front, &[&(&back[0] * &back[1]) * &back[2]]].concat())
    }
    fn spread_gate(&self) -> Var {
        self.gate.broadcast(&self.all, &[0, 1, 2])
    }
    /// dt x, (B, T, H, P).
    fn driven(&self) -> Var {
        &self.i[0] * &self.i[1].broadcast(&self.i[0].shape(), &[0, 1, 2])
    }
    fn states(&self) -> Var {
        let drive = self.driven().broadcast(&self.all, &[0, 1, 2, 3]) * self.maps(&self.i[3]);
        let gate = self.flat(&self.spread_gate());
        gate.linear_scan(&self.flat(&drive), &self.flat(&self.i[5]), false).reshape(&self.all)
    }
}

/// (x, dt, a, b, c, h0, dy (B, T, H, P), dlast (B, H, P, N)) → (dx, ddt, da, db, dc, dh0), the cotangents of the operands of
/// [`Ssd`]. The states are computed again.
pub struct SsdGrad;
impl OpDef for SsdGrad {
    const NAME: &'static str = "ssd_grad";
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 8)?;
        check(inputs)?;
        for (k, name, of) in [(6, "dy", 0), (7, "dlast", 5)] {
            if inputs[k] != inputs[of] {
                return Err(format!("{name} must be {}, found {}", inputs[of], inputs[k]));
            }
        }
        Ok(inputs[..6].to_vec())
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let z = Sizes::of(i)?;
        let all = states(i, z);
        let (x, dt, a, bb, c) = (i[0].floats(), i[1].floats(), i[2].floats(), i[3].floats(), i[4].floats());
        let dy = i[6].floats();
        let mut out: Vec<Vec<S>> =
            i[..5].iter().map(|v| vec![S::from_f64(0.0); v.shape.iter().product()]).collect();
        let mut carry = i[7].floats().to_vec();
        let add = |sum: &mut S, v: S| *sum = sum.clone() + v;
        for t in (0..z.t).rev() {
            for s in 0..z.b {
                for h in 0..z.h {
                    let (at, map) = (z.step(s, t, h), z.map(s, t, h));
                    let gate = (dt[at].clone() * a[h].clone()).exp();
                    for p in 0..z.p {
                        let wide = at * z.p + p;
                        for n in 0..z.n {
                            let state = ((s * z.h + h) * z.p + p) * z.n + n;
                            let total = carry[state].clone() + c[map + n].clone() * dy[wide].clone();
                            add(&mut out[4][map + n], dy[wide].clone() * all[t + 1][state].clone());
                            let drive = total.clone() * bb[map + n].clone();
                            add(&mut out[0][wide], drive.clone() * dt[at].clone());
                            add(&mut out[1][at], drive * x[wide].clone());
                            add(&mut out[3][map + n], total.clone() * dt[at].clone() * x[wide].clone());
                            let carried = total * gate.clone();
                            let exponent = carried.clone() * all[t][state].clone();
                            add(&mut out[1][at], exponent.clone() * a[h].clone());
                            add(&mut out[2][h], exponent * dt[at].clone());
                            carry[state] = carried;
                        }
                    }
                }
            }
        }
        debug_assert_eq!(carry.len(), z.b * z.state());
        out.push(carry);
        let made = out.into_iter().zip(&i[..6]).zip(types);
        Ok(made.map(|((v, of), ty)| Array::float(ty.dtype, of.shape.clone(), v)).collect())
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let i = n.inputs;
        let p = Parts::new(i);
        let [b, t, h, width, _, m] = &p.dims;
        let (one, zero) = (Dim::from(1), Dim::from(0));
        let all = p.states();
        let dy = i[6].broadcast(&p.all, &[0, 1, 2, 3]);
        let last = i[7].reshape(&[b.clone(), one.clone(), h.clone(), width.clone(), m.clone()]);
        let none = vec![zero.clone(); 5];
        let mut before = none.clone();
        before[1] = t - &one;
        let dh = &(&dy * &p.maps(&i[4])) + &last.pad(&before, &none, 0.0);
        let attrs = crate::attrs! { reverse: Bool(false) };
        let operands = [p.spread_gate(), i[5].clone(), all.clone(), dh].map(|v| p.flat(&v));
        let made = n.cx.push(Op::LinearScanGrad, attrs, &operands.iter().collect::<Vec<_>>());
        let exponent = (&made[0].reshape(&p.all) * &p.spread_gate()).sum(&[3, 4]);
        let drive = made[1].reshape(&p.all);
        let into = (&drive * &p.maps(&i[3])).sum(&[4]);
        let dx = &into * &i[1].broadcast(&i[0].shape(), &[0, 1, 2]);
        let a = i[2].broadcast(&i[1].shape(), &[2]);
        let ddt = &(&exponent * &a) + &(&into * &i[0]).sum(&[3]);
        let da = (&exponent * &i[1]).sum(&[0, 1]);
        let db = p.fold(&(&drive * &p.driven().broadcast(&p.all, &[0, 1, 2, 3])));
        let dc = p.fold(&(&all * &dy));
        let dh0 = made[2].reshape(&i[5].shape());
        Some(vec![dx, ddt, da, db, dc, dh0])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        work(inputs, out, 14.0)
    }
}

impl Var {
    /// The state-space dual form of these inputs: y and the state after the last step; see [`Ssd`].
    #[track_caller]
    pub fn ssd(&self, dt: &Var, a: &Var, b: &Var, c: &Var, h0: &Var) -> (Var, Var) {
        let made = self.cx.push(Op::Ssd, Attrs::new(), &[self, dt, a, b, c, h0]);
        (made[0].clone(), made[1].clone())
    }
}
