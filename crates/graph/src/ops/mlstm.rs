//! The matrix memory of xLSTM (Beck et al. 2024, "xLSTM: Extended Long Short-Term Memory", arXiv:2405.04517, equations 19
//! to 27, in the stabilised form of their appendix A; Beck et al. 2025, arXiv:2503.13427, for the scale of the queries and the
//! eps of the normaliser).
//!
//! Per head, with ĩ and f̃ the gates before their nonlinearities, a = ln σ(f̃) + m_{t-1}, m_t = max(a, ĩ), f = e^(a - m_t),
//! i = e^(ĩ - m_t):
//!
//! C_t = f C_{t-1} + i k vᵀ, n_t = f n_{t-1} + i k, h_t = C_tᵀ q̂ / (max(|n_t·q̂|, e^(-m_t)) + eps), q̂ = q / √K.
//!
//! m only keeps e^x in range: h depends on it through eps alone.

use super::{arity, float};
use crate::array::Array;
use crate::attrs::Attrs;
use crate::cx::Cx;
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, Op, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

/// (q (B, T, H, K), k (B, T, H, K), v (B, T, H, V), ĩ (B, T, H), f̃ (B, T, H), C (B, H, K, V), n (B, H, K), m (B, H)) →
/// (h (B, T, H, V), C, n, m after the last step).
///
/// The plain evaluation goes step by step; the chunkwise form (the states between chunks, and within a chunk products of
/// matrices that decay along rows) is the engine's, as is a reverse pass that computes the states again.
pub struct Mlstm;

fn check(inputs: &[Type]) -> Result<[Dim; 5], String> {
    (0..inputs.len()).try_for_each(|k| float(inputs, k))?;
    let ([b, t, h, k], [_, _, _, v]) = (&inputs[0].shape[..], &inputs[2].shape[..]) else {
        return Err(format!(
            "takes q (batch, time, heads, keys) and v (batch, time, heads, values), found {} and {}",
            inputs[0], inputs[2]
        ));
    };
    let dtype = inputs[0].dtype;
    let of = |shape: &[&Dim]| Type::new(dtype, shape.iter().map(|d| (*d).clone()));
    for (i, name, want) in [
        (1, "k", of(&[b, t, h, k])),
        (2, "v", of(&[b, t, h, v])),
        (3, "the input gate", of(&[b, t, h])),
        (4, "the forget gate", of(&[b, t, h])),
        (5, "the matrix memory", of(&[b, h, k, v])),
        (6, "the normaliser", of(&[b, h, k])),
        (7, "the stabiliser", of(&[b, h])),
    ] {
        if inputs[i] != want {
            return Err(format!("{name} must be {want}, found {}", inputs[i]));
        }
    }
    Ok([b.clone(), t.clone(), h.clone(), k.clone(), v.clone()])
}

fn sizes<S: Scalar>(i: &[Array<S>]) -> Result<[usize; 5], String> {
    match (&i[0].shape[..], &i[2].shape[..]) {
        (&[b, t, h, k], &[_, _, _, v]) => Ok([b, t, h, k, v]),
        _ => Err("takes (batch, time, heads, width)".into()),
    }
}

/// ln σ(x), as `-softplus(-x)` is computed.
pub(super) fn log_sigmoid<S: Scalar>(x: &S) -> S {
    -super::transcendental::softplus(&-x.clone())
}

/// What one head remembers.
#[derive(Clone)]
struct Memory<S> {
    c: Vec<S>,
    n: Vec<S>,
    m: S,
}

/// The gates of a step.
struct Gates<S> {
    /// ln σ(f̃) + m.
    a: S,
    /// Factor of the old memory.
    forget: S,
    /// Factor of the new.
    input: S,
}

/// What a head computes from in a step.
struct Given<'a, S> {
    q: &'a [S],
    k: &'a [S],
    v: &'a [S],
    i: &'a S,
    f: &'a S,
}

fn step<S: Scalar>(g: &Given<S>, old: &Memory<S>) -> (Memory<S>, Gates<S>) {
    let a = log_sigmoid(g.f) + old.m.clone();
    let m = a.maximum(g.i);
    let (forget, input) = ((a.clone() - m.clone()).exp(), (g.i.clone() - m.clone()).exp());
    let width = g.v.len();
    let c = old.c.iter().enumerate().map(|(at, c)| {
        forget.clone() * c.clone() + input.clone() * (g.k[at / width].clone() * g.v[at % width].clone())
    });
    let n = old.n.iter().zip(g.k).map(|(n, k)| forget.clone() * n.clone() + input.clone() * k.clone());
    (Memory { c: c.collect(), n: n.collect(), m }, Gates { a, forget, input })
}

/// q̂ = q / √K, and q̂ᵀC, q̂·n and e^(-m).
fn read<S: Scalar>(g: &Given<S>, s: &Memory<S>) -> (Vec<S>, Vec<S>, S, S) {
    let scale = scale::<S>(g.q.len());
    let zero = || S::from_f64(0.0);
    let q: Vec<S> = g.q.iter().map(|q| q.clone() * scale.clone()).collect();
    let width = g.v.len();
    let over = |at: usize| {
        q.iter().enumerate().fold(zero(), |sum, (k, q)| sum + q.clone() * s.c[k * width + at].clone())
    };
    let numerator = (0..width).map(over).collect();
    let along = q.iter().zip(&s.n).fold(zero(), |sum, (q, n)| sum + q.clone() * n.clone());
    (q, numerator, along, (-s.m.clone()).exp())
}

fn scale<S: Scalar>(keys: usize) -> S {
    S::from_f64(1.0) / S::from_f64(keys as f64).sqrt()
}

/// The operands of head `h` of sequence `b` in step `t`.
fn given<'a, S: Scalar>(
    i: &'a [Array<S>],
    [_, time, heads, k, v]: [usize; 5],
    b: usize,
    t: usize,
    h: usize,
) -> Given<'a, S> {
    let at = (b * time + t) * heads + h;
    Given {
        q: &i[0].floats()[at * k..][..k],
        k: &i[1].floats()[at * k..][..k],
        v: &i[2].floats()[at * v..][..v],
        i: &i[3].floats()[at],
        f: &i[4].floats()[at],
    }
}

fn memory<S: Scalar>(c: &[S], n: &[S], m: &[S], head: usize, [_, _, _, k, v]: [usize; 5]) -> Memory<S> {
    Memory { c: c[head * k * v..][..k * v].to_vec(), n: n[head * k..][..k].to_vec(), m: m[head].clone() }
}

impl OpDef for Mlstm {
    const NAME: &'static str = "mlstm";
    const ATTRS: &'static [&'static str] = &["eps"];
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 8)?;
        check(inputs)?;
        Ok([2, 5, 6, 7].map(|k| inputs[k].clone()).to_vec())
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let s = sizes(i)?;
        let [b, t, h, _, v] = s;
        let eps = cx.literal::<S>(attrs.float("eps", 0.0));
        let mut out = vec![S::from_f64(0.0); b * t * h * v];
        let (mut c, mut n, mut m) = (vec![], vec![], vec![]);
        for head in 0..b * h {
            let mut state = memory(i[5].floats(), i[6].floats(), i[7].floats(), head, s);
            for time in 0..t {
                let g = given(i, s, head / h, time, head % h);
                state = step(&g, &state).0;
                let (_, numerator, along, floor) = read(&g, &state);
                let below = along.abs().maximum(&floor) + eps.clone();
                for (at, x) in numerator.into_iter().enumerate() {
                    out[((head / h * t + time) * h + head % h) * v + at] = x / below.clone();
                }
            }
            c.extend(state.c);
            n.extend(state.n);
            m.push(state.m);
        }
        let shapes = [2, 5, 6, 7].map(|k| i[k].shape.clone());
        let made = [out, c, n, m].into_iter().zip(shapes).zip(types);
        Ok(made.map(|((v, shape), ty)| Array::float(ty.dtype, shape, v)).collect())
    }
    fn vjp(n: &NodeCx, _wanted: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        let zero = |k: usize| ct[k].clone().unwrap_or_else(|| n.outputs[k].full_like(0.0));
        let cotangents: Vec<Var> = (0..4).map(zero).collect();
        let operands: Vec<&Var> = n.inputs.iter().chain([&n.outputs[0]]).chain(&cotangents).collect();
        let made = n.cx.push(Op::MlstmGrad, n.attrs.clone(), &operands);
        Some(made.into_iter().take(8).map(Some).collect())
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let sequences: Vec<Var> = n.inputs[..5].iter().map(time_first).collect();
        let init: Vec<&Var> = n.inputs[5..8].iter().collect();
        let (last, ys) = n.cx.scan(&init, &sequences.iter().collect::<Vec<_>>(), false, |carry, x| {
            let s = Step::new(x, carry);
            let h = &s.numerator / &s.below(n.attrs.float("eps", 0.0)).broadcast_last(&s.values());
            (vec![s.c, s.n, s.m], vec![h])
        });
        Some([vec![time_first(&ys[0])], last].concat())
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        work(inputs, out, 5.0)
    }
}

/// Work per element of the memory and step.
fn work(inputs: &[Type], out: &[Type], each: f64) -> Cost {
    let memory = inputs[5].shape.iter().skip(2).map(|d| d.fixed().unwrap_or(1) as f64).product::<f64>();
    let steps = elements(&inputs[3..4]);
    Cost { operations: each * steps * memory, transcendental: 5.0 * steps, bytes: bytes(inputs) + bytes(out) }
}

/// (B, T, …) as (T, B, …), and back.
pub(super) fn time_first(v: &Var) -> Var {
    super::move_axis(v, 1, 0)
}

/// A step of all heads of all sequences in core ops.
struct Step {
    /// ln σ(f̃) + m (B, H).
    a: Var,
    forget: Var,
    input: Var,
    c: Var,
    n: Var,
    m: Var,
    /// q / √K (B, H, K).
    q: Var,
    /// q̂ᵀ C (B, H, V).
    numerator: Var,
    /// q̂·n (B, H).
    along: Var,
    /// e^(-m).
    floor: Var,
}

impl Step {
    /// x: q, k, v, ĩ, f̃ of the step; old: C, n, m.
    fn new(x: &[Var], old: &[Var]) -> Step {
        let a = x[4].log_sigmoid() + &old[2];
        let m = a.max(&x[3]);
        let (forget, input) = ((&a - &m).exp(), (&x[3] - &m).exp());
        let wide = old[0].shape();
        let over = |v: &Var| v.broadcast(&wide, &[0, 1]);
        let outer = x[1].broadcast(&wide, &[0, 1, 2]) * x[2].broadcast(&wide, &[0, 1, 3]);
        let c = &(&over(&forget) * &old[0]) + &(&over(&input) * &outer);
        let along = |v: &Var| v.broadcast_last(&wide[2]);
        let n = &(&along(&forget) * &old[1]) + &(&along(&input) * &x[1]);
        let q = scaled(&x[0]);
        let numerator = q.einsum(&c, "bhk,bhkv->bhv");
        let (along, floor) = ((&q * &n).sum(&[2]), (-&m).exp());
        Step { a, forget, input, c, n, m, q, numerator, along, floor }
    }
    fn below(&self, eps: f64) -> Var {
        self.along.abs().max(&self.floor) + eps
    }
    fn values(&self) -> Dim {
        self.c.shape()[3].clone()
    }
}

/// x / √K over the last axis.
fn scaled(x: &Var) -> Var {
    let keys = x.shape().last().cloned().unwrap_or(Dim::from(1));
    x * &x.cx().size_of(&keys, x.dtype()).rsqrt()
}

/// (the operands of [`Mlstm`], h, dh (B, T, H, V), dC (B, H, K, V), dn (B, H, K), dm (B, H)) → the cotangents of the operands of
/// [`Mlstm`]. The states are computed again.
pub struct MlstmGrad;
impl OpDef for MlstmGrad {
    const NAME: &'static str = "mlstm_grad";
    const ATTRS: &'static [&'static str] = &["eps"];
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 13)?;
        check(inputs)?;
        for (k, like) in [(8, 2), (9, 2), (10, 5), (11, 6), (12, 7)] {
            if inputs[k] != inputs[like] {
                return Err(format!("operand {k} must be {}, found {}", inputs[like], inputs[k]));
            }
        }
        Ok(inputs[..8].to_vec())
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let s = sizes(i)?;
        let [b, t, h, kw, vw] = s;
        let c = S::from_f64;
        let eps = cx.literal::<S>(attrs.float("eps", 0.0));
        let mut out: Vec<Vec<S>> = (0..8).map(|k| vec![c(0.0); i[k].len()]).collect();
        for head in 0..b * h {
            let (seq, hd) = (head / h, head % h);
            let mut states = vec![memory(i[5].floats(), i[6].floats(), i[7].floats(), head, s)];
            let mut gates = vec![];
            for time in 0..t {
                let (next, g) = step(&given(i, s, seq, time, hd), &states[time]);
                states.push(next);
                gates.push(g);
            }
            let Memory { c: mut dc, n: mut dn, m: mut dm } =
                memory(i[10].floats(), i[11].floats(), i[12].floats(), head, s);
            for time in (0..t).rev() {
                let at = (seq * t + time) * h + hd;
                let g = given(i, s, seq, time, hd);
                let (old, new, Gates { a, forget, input }) = (&states[time], &states[time + 1], &gates[time]);
                let (q, _, along, floor) = read(&g, new);
                let below = along.abs().maximum(&floor) + eps.clone();
                let (y, dy) = (&i[8].floats()[at * vw..][..vw], &i[9].floats()[at * vw..][..vw]);
                let dnum: Vec<S> = dy.iter().map(|d| d.clone() / below.clone()).collect();
                let dbelow = -y.iter().zip(&dnum).fold(c(0.0), |sum, (y, d)| sum + y.clone() * d.clone());
                let dalong = if along.abs() >= floor {
                    dbelow * along.sign()
                } else {
                    dm = dm - floor * dbelow;
                    c(0.0)
                };
                let (mut dforget, mut dinput) = (c(0.0), c(0.0));
                for kk in 0..kw {
                    let mut dq = dalong.clone() * new.n[kk].clone();
                    dn[kk] = dn[kk].clone() + dalong.clone() * q[kk].clone();
                    let mut into = dn[kk].clone();
                    for vv in 0..vw {
                        let x = kk * vw + vv;
                        dq = dq + new.c[x].clone() * dnum[vv].clone();
                        dc[x] = dc[x].clone() + q[kk].clone() * dnum[vv].clone();
                        into = into + dc[x].clone() * g.v[vv].clone();
                        dforget = dforget + dc[x].clone() * old.c[x].clone();
                        let dv = &mut out[2][at * vw + vv];
                        *dv = dv.clone() + input.clone() * g.k[kk].clone() * dc[x].clone();
                        dc[x] = forget.clone() * dc[x].clone();
                    }
                    dforget = dforget + dn[kk].clone() * old.n[kk].clone();
                    dn[kk] = forget.clone() * dn[kk].clone();
                    dinput = dinput + g.k[kk].clone() * into.clone();
                    out[0][at * kw + kk] = dq * scale::<S>(kw);
                    out[1][at * kw + kk] = input.clone() * into;
                }
                let (mut da, mut di) = (dforget * forget.clone(), dinput * input.clone());
                dm = dm - da.clone() - di.clone();
                if *a >= *g.i {
                    da = da + dm
                } else {
                    di = di + dm
                }
                out[3][at] = di;
                out[4][at] = da.clone() * (-g.f.clone()).logistic();
                dm = da;
            }
            out[5][head * kw * vw..][..kw * vw].clone_from_slice(&dc);
            out[6][head * kw..][..kw].clone_from_slice(&dn);
            out[7][head] = dm;
        }
        let made = out.into_iter().zip(i).zip(types);
        Ok(made.map(|((v, like), ty)| Array::float(ty.dtype, like.shape.clone(), v)).collect())
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        Some(reverse(n.cx, n.inputs, n.attrs.float("eps", 0.0)))
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        work(inputs, out, 13.0)
    }
}

/// The reverse pass from the states before every step, which a forward pass keeps.
fn reverse(cx: &Cx, i: &[Var], eps: f64) -> Vec<Var> {
    let sequences: Vec<Var> = i[..5].iter().map(time_first).collect();
    let init: Vec<&Var> = i[5..8].iter().collect();
    let (_, before) = cx.scan(&init, &sequences.iter().collect::<Vec<_>>(), false, |old, x| {
        let s = Step::new(x, old);
        (vec![s.c, s.n, s.m], old.iter().map(kept).collect())
    });
    let (h, dh) = (time_first(&i[8]), time_first(&i[9]));
    let xs: Vec<&Var> = sequences.iter().chain(&before).chain([&h, &dh]).collect();
    let (first, made) = cx.scan(&[&i[10], &i[11], &i[12]], &xs, true, |ct, x| {
        let (x, old, h, dh) = (&x[..5], &x[5..8], &x[8], &x[9]);
        let s = Step::new(x, old);
        let wide = s.c.shape();
        let over = |v: &Var| v.broadcast(&wide, &[0, 1]);
        let rows = |v: &Var| v.broadcast(&wide, &[0, 1, 2]);
        let columns = |v: &Var| v.broadcast(&wide, &[0, 1, 3]);
        let along = |v: &Var| v.broadcast_last(&wide[2]);
        let dnum = dh / &s.below(eps).broadcast_last(&wide[3]);
        let dbelow = -(h * &dnum).sum(&[2]);
        let zero = dbelow.full_like(0.0);
        let taken = s.along.abs().ge(&s.floor);
        let dalong = taken.select(&(&dbelow * &s.along.sign()), &zero);
        let dm = &ct[2] - &taken.select(&zero, &(&s.floor * &dbelow));
        let dc = &ct[0] + &(&rows(&s.q) * &columns(&dnum));
        let dn = &ct[1] + &(&along(&dalong) * &s.q);
        let dq = &s.c.einsum(&dnum, "bhkv,bhv->bhk") + &(&along(&dalong) * &s.n);
        let into = &dc.einsum(&x[2], "bhkv,bhv->bhk") + &dn;
        let dv = &s.input.broadcast_last(&wide[3]) * &x[1].einsum(&dc, "bhk,bhkv->bhv");
        let dforget = &(&dc * &old[0]).sum(&[2, 3]) + &(&dn * &old[1]).sum(&[2]);
        let dinput = (&x[1] * &into).sum(&[2]);
        let (da, di) = (&dforget * &s.forget, &dinput * &s.input);
        let dm = &(&dm - &da) - &di;
        let larger = s.a.ge(&x[3]);
        let da = &da + &larger.select(&dm, &zero);
        let di = &di + &larger.select(&zero, &dm);
        let df = &da * &(-&x[4]).sigmoid();
        let next = vec![&over(&s.forget) * &dc, &along(&s.forget) * &dn, da];
        (next, vec![scaled(&dq), &along(&s.input) * &into, dv, di, df])
    });
    made.iter().map(time_first).chain(first).collect()
}

/// The value as a result of a region that also has it as an input.
fn kept(v: &Var) -> Var {
    v.reshape(&v.shape())
}

impl Var {
    /// The matrix memory read with these queries; see [`Mlstm`]. `state` is C, n, m; gives h and the state after the last step.
    #[track_caller]
    pub fn mlstm(&self, k: &Var, v: &Var, gates: [&Var; 2], state: [&Var; 3], eps: f64) -> (Var, [Var; 3]) {
        let operands = [&[self, k, v], &gates[..], &state[..]].concat();
        let mut made = self.cx.push(Op::Mlstm, crate::attrs! { eps: Float(eps) }, &operands).into_iter();
        let mut next = || made.next().unwrap_or_else(|| self.cx.poison());
        (next(), [next(), next(), next()])
    }
}
