//! The scalar memory of xLSTM with memory mixing (Beck et al. 2024, "xLSTM: Extended Long Short-Term Memory",
//! arXiv:2405.04517, equations 8 to 18, stabilised as in equations 15 to 17 and in their published code).
//!
//! Per channel, with r = x + R h_{t-1} for the gates ĩ, f̃, z̃, õ (R mixes the channels of a head, no others) and
//! a = ln σ(f̃) + m_{t-1}: m_t = max(ĩ, a), or ĩ where nothing was remembered yet (n_{t-1} = 0); f = e^min(a - m_t, 0),
//! i = e^(ĩ - m_t):
//!
//! c_t = f c_{t-1} + i tanh z̃, n_t = f n_{t-1} + i, h_t = σ(õ) c_t / n_t.
//!
//! The published code asks whether n is zero in the whole batch, here each channel is asked: h does not depend on m, so that
//! the numbers are the same, but a sequence that begins beside one that has run is not divided by an underflowed n.

use super::mlstm::{log_sigmoid, time_first};
use super::{arity, float};
use crate::array::Array;
use crate::attrs::Attrs;
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, Op, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

/// (x (B, T, 4, H, D): ĩ, f̃, z̃, õ without what R adds, R (H, 4, D, D): gate, to, from, then c, n, h, m (B, H, D)) →
/// (h (B, T, H, D), c, n, m after the last step).
///
/// There is no form that is parallel over time, since R stands between the steps.
pub struct Slstm;

fn check(inputs: &[Type]) -> Result<(), String> {
    (0..inputs.len()).try_for_each(|k| float(inputs, k))?;
    let [b, _, gates, h, d] = &inputs[0].shape[..] else {
        return Err(format!("takes x (batch, time, 4, heads, width), found {}", inputs[0]));
    };
    if gates.fixed().is_some_and(|n| n != 4) {
        return Err(format!("x has the 4 gates i, f, z, o on its third axis, found {}", inputs[0]));
    }
    let dtype = inputs[0].dtype;
    let of = |shape: &[&Dim]| Type::new(dtype, shape.iter().map(|d| (*d).clone()));
    let state = of(&[b, h, d]);
    let kernel = of(&[h, gates, d, d]);
    let all = [("R", &kernel), ("c", &state), ("n", &state), ("h", &state), ("m", &state)];
    for (k, (name, want)) in all.into_iter().enumerate() {
        if inputs[k + 1] != *want {
            return Err(format!("{name} must be {want}, found {}", inputs[k + 1]));
        }
    }
    Ok(())
}

fn outputs(inputs: &[Type]) -> Type {
    let s = &inputs[0].shape;
    Type::new(inputs[0].dtype, [&s[0], &s[1], &s[3], &s[4]].map(Clone::clone))
}

fn sizes<S: Scalar>(i: &[Array<S>]) -> Result<[usize; 4], String> {
    match i[0].shape[..] {
        [b, t, _, h, d] => Ok([b, t, h, d]),
        _ => Err("takes (batch, time, 4, heads, width)".into()),
    }
}

/// A channel.
#[derive(Clone)]
struct Cell<S> {
    c: S,
    n: S,
    m: S,
}

/// What a step of a channel computes on the way.
struct Gates<S> {
    a: S,
    forget: S,
    input: S,
    z: S,
    o: S,
    /// Whether nothing was remembered before.
    fresh: bool,
}

fn step<S: Scalar>(raw: [S; 4], old: &Cell<S>) -> (Cell<S>, Gates<S>) {
    let [i, f, z, o] = raw;
    let zero = S::from_f64(0.0);
    let a = log_sigmoid(&f) + old.m.clone();
    let fresh = old.n == zero;
    let m = if fresh { i.clone() } else { i.maximum(&a) };
    let forget = (a.clone() - m.clone()).minimum(&zero).exp();
    let input = (i - m.clone()).exp();
    let (z, o) = (z.tanh(), o.logistic());
    let c = forget.clone() * old.c.clone() + input.clone() * z.clone();
    let n = forget.clone() * old.n.clone() + input.clone();
    (Cell { c, n, m }, Gates { a, forget, input, z, o, fresh })
}

/// x and R h before a step: the gates' arguments of every channel of a head.
fn raw<S: Scalar>(
    i: &[Array<S>],
    before: &[S],
    [_, t, h, d]: [usize; 4],
    at: [usize; 3],
    to: usize,
) -> [S; 4] {
    let [b, time, head] = at;
    [0, 1, 2, 3].map(|gate| {
        let x = i[0].floats()[(((b * t + time) * 4 + gate) * h + head) * d + to].clone();
        let row = &i[1].floats()[((head * 4 + gate) * d + to) * d..][..d];
        row.iter().zip(before).fold(x, |sum, (r, h)| sum + r.clone() * h.clone())
    })
}

impl OpDef for Slstm {
    const NAME: &'static str = "slstm";
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 6)?;
        check(inputs)?;
        let state = inputs[2].clone();
        Ok(vec![outputs(inputs), state.clone(), state.clone(), state])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let s = sizes(i)?;
        let [b, t, h, d] = s;
        let mut out = vec![S::from_f64(0.0); b * t * h * d];
        let mut last = [2, 3, 5].map(|k| i[k].floats().to_vec());
        for (seq, head) in (0..b * h).map(|k| (k / h, k % h)) {
            let row = (seq * h + head) * d..(seq * h + head + 1) * d;
            let mut before = i[4].floats()[row.clone()].to_vec();
            for time in 0..t {
                let mut next = before.clone();
                for to in 0..d {
                    let [c, n, m] = [0, 1, 2].map(|k| last[k][row.start + to].clone());
                    let (new, g) = step(raw(i, &before, s, [seq, time, head], to), &Cell { c, n, m });
                    next[to] = g.o * new.c.clone() / new.n.clone();
                    (last[0][row.start + to], last[1][row.start + to], last[2][row.start + to]) =
                        (new.c, new.n, new.m);
                }
                out[((seq * t + time) * h + head) * d..][..d].clone_from_slice(&next);
                before = next;
            }
        }
        let made = std::iter::once(out).chain(last).zip(types);
        let shapes = [vec![b, t, h, d], vec![b, h, d], vec![b, h, d], vec![b, h, d]];
        Ok(made.zip(shapes).map(|((v, ty), shape)| Array::float(ty.dtype, shape, v)).collect())
    }
    fn vjp(n: &NodeCx, _wanted: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        let zero = |k: usize| ct[k].clone().unwrap_or_else(|| n.outputs[k].full_like(0.0));
        let cotangents: Vec<Var> = (0..4).map(zero).collect();
        let operands: Vec<&Var> = n.inputs.iter().chain([&n.outputs[0]]).chain(&cotangents).collect();
        let made = n.cx.push(Op::SlstmGrad, n.attrs.clone(), &operands);
        Some(made.into_iter().take(6).map(Some).collect())
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let i = n.inputs;
        let init = [&i[2], &i[3], &i[5], &i[4]];
        let (last, ys) = n.cx.scan(&init, &[&time_first(&i[0])], false, |carry, x| {
            let s = Step::new(&(&x[0] + &mixed(&i[1], &carry[3])), &carry[..3]);
            let h = &(&s.o * &s.c) / &s.n;
            (vec![s.c, s.n, s.m, h.clone()], vec![h])
        });
        Some([vec![time_first(&ys[0])], last[..3].to_vec()].concat())
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        work(inputs, out, 2.0)
    }
}

/// Work per element of R and step.
fn work(inputs: &[Type], out: &[Type], each: f64) -> Cost {
    let d = inputs[1].shape[3].fixed().unwrap_or(1) as f64;
    let gates = elements(&inputs[..1]);
    Cost { operations: each * gates * d, transcendental: 1.5 * gates, bytes: bytes(inputs) + bytes(out) }
}

/// R h (B, 4, H, D) of h (B, H, D).
fn mixed(kernel: &Var, h: &Var) -> Var {
    h.einsum(kernel, "bhi,hgoi->bgho")
}

/// A step of all channels in core ops.
struct Step {
    raw: [Var; 4],
    a: Var,
    forget: Var,
    input: Var,
    z: Var,
    o: Var,
    fresh: Var,
    c: Var,
    n: Var,
    m: Var,
}

impl Step {
    /// raw (B, 4, H, D); old: c, n, m (B, H, D).
    fn new(raw: &Var, old: &[Var]) -> Step {
        let shape = old[0].shape();
        let raw = [0, 1, 2, 3].map(|gate| raw.slice_axis(1, gate, gate + 1).reshape(&shape));
        let zero = old[0].full_like(0.0);
        let a = raw[1].log_sigmoid() + &old[2];
        let fresh = old[1].equal(&zero);
        let m = fresh.select(&raw[0], &raw[0].max(&a));
        let forget = (&a - &m).min(&zero).exp();
        let input = (&raw[0] - &m).exp();
        let (z, o) = (raw[2].tanh(), raw[3].sigmoid());
        let c = &(&forget * &old[0]) + &(&input * &z);
        let n = &(&forget * &old[1]) + &input;
        Step { raw, a, forget, input, z, o, fresh, c, n, m }
    }
}

/// (the operands of [`Slstm`], h, dh (B, T, H, D), dc, dn, dm (B, H, D)) → the cotangents of the operands of [`Slstm`]. Since h is
/// known, the gates' arguments of all steps are one product; c, n and m are computed again.
pub struct SlstmGrad;
impl OpDef for SlstmGrad {
    const NAME: &'static str = "slstm_grad";
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        arity(inputs, 11)?;
        check(inputs)?;
        let h = outputs(inputs);
        for (k, want) in [(6, &h), (7, &h), (8, &inputs[2]), (9, &inputs[2]), (10, &inputs[2])] {
            if inputs[k] != *want {
                return Err(format!("operand {k} must be {want}, found {}", inputs[k]));
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
        let s = sizes(i)?;
        let [b, t, h, d] = s;
        let zero = S::from_f64(0.0);
        let mut out: Vec<Vec<S>> = (0..6).map(|k| vec![zero.clone(); i[k].len()]).collect();
        for (seq, head) in (0..b * h).map(|k| (k / h, k % h)) {
            let row = (seq * h + head) * d;
            let h_of = |time: usize| &i[6].floats()[((seq * t + time) * h + head) * d..][..d];
            let before = |time: usize| if time == 0 { &i[4].floats()[row..][..d] } else { h_of(time - 1) };
            let of = |k: usize, to: usize| i[k].floats()[row + to].clone();
            let mut cells: Vec<Vec<Cell<S>>> =
                vec![(0..d).map(|to| Cell { c: of(2, to), n: of(3, to), m: of(5, to) }).collect()];
            let mut gates: Vec<Vec<([S; 4], Gates<S>)>> = vec![];
            for time in 0..t {
                let (mut next, mut seen) = (vec![], vec![]);
                for to in 0..d {
                    let raw = raw(i, before(time), s, [seq, time, head], to);
                    let (cell, g) = step(raw.clone(), &cells[time][to]);
                    next.push(cell);
                    seen.push((raw, g));
                }
                cells.push(next);
                gates.push(seen);
            }
            let mut ct: Vec<Cell<S>> =
                (0..d).map(|to| Cell { c: of(8, to), n: of(9, to), m: of(10, to) }).collect();
            let mut mixed = vec![zero.clone(); d];
            for time in (0..t).rev() {
                let mut from = vec![zero.clone(); d];
                for to in 0..d {
                    let ([i_raw, f_raw, ..], g) = &gates[time][to];
                    let (old, new) = (&cells[time][to], &cells[time + 1][to]);
                    let y = &h_of(time)[to];
                    let dh =
                        i[7].floats()[((seq * t + time) * h + head) * d + to].clone() + mixed[to].clone();
                    let one = S::from_f64(1.0);
                    let share = dh.clone() / new.n.clone();
                    let dc = ct[to].c.clone() + g.o.clone() * share.clone();
                    let dn = ct[to].n.clone() - y.clone() * share.clone();
                    let do_ = share * new.c.clone() * g.o.clone() * (one.clone() - g.o.clone());
                    let dz = dc.clone() * g.input.clone() * (one - g.z.clone() * g.z.clone());
                    let mut di = (dc.clone() * g.z.clone() + dn.clone()) * g.input.clone();
                    let slope = (dc.clone() * old.c.clone() + dn.clone() * old.n.clone()) * g.forget.clone();
                    let mut da = if g.a <= new.m { slope } else { zero.clone() };
                    let dm = ct[to].m.clone() - da.clone() - di.clone();
                    if g.fresh || *i_raw >= g.a {
                        di = di + dm
                    } else {
                        da = da + dm
                    }
                    let df = da.clone() * (-f_raw.clone()).logistic();
                    ct[to] = Cell { c: dc * g.forget.clone(), n: dn * g.forget.clone(), m: da };
                    for (gate, d_raw) in [di, df, dz, do_].into_iter().enumerate() {
                        out[0][(((seq * t + time) * 4 + gate) * h + head) * d + to] = d_raw.clone();
                        let at = ((head * 4 + gate) * d + to) * d;
                        for k in 0..d {
                            let r = i[1].floats()[at + k].clone();
                            from[k] = from[k].clone() + r * d_raw.clone();
                            out[1][at + k] = out[1][at + k].clone() + d_raw.clone() * before(time)[k].clone();
                        }
                    }
                }
                mixed = from;
            }
            for to in 0..d {
                (out[2][row + to], out[3][row + to]) = (ct[to].c.clone(), ct[to].n.clone());
                (out[4][row + to], out[5][row + to]) = (mixed[to].clone(), ct[to].m.clone());
            }
        }
        let made = out.into_iter().zip(i).zip(types);
        Ok(made.map(|((v, like), ty)| Array::float(ty.dtype, like.shape.clone(), v)).collect())
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let (cx, i) = (n.cx, n.inputs);
        let (x, kernel) = (time_first(&i[0]), &i[1]);
        let (h, dh) = (time_first(&i[6]), time_first(&i[7]));
        let shape = i[4].shape();
        let first = i[4].reshape(&[&[Dim::from(1)], &shape[..]].concat());
        let one = Dim::from(1);
        let before = Var::concatenate(&[&first, &h.slice_axis(0, 0, &h.shape()[0] - &one)], 0);
        // (T, B, 4, H, D).
        let raw = &x + &before.einsum(kernel, "tbhi,hgoi->tbgho");
        let (_, old) = cx.scan(&[&i[2], &i[3], &i[5]], &[&raw], false, |old, x| {
            let s = Step::new(&x[0], old);
            (vec![s.c, s.n, s.m], old.to_vec())
        });
        let xs: Vec<&Var> = [&raw].into_iter().chain(&old).chain([&h, &dh]).collect();
        let init = [&i[8], &i[9], &i[10], &i[4].full_like(0.0)];
        let (ct, made) = cx.scan(&init, &xs, true, |ct, x| {
            let old = &x[1..4];
            let s = Step::new(&x[0], old);
            let dh = &x[5] + &ct[3];
            let share = &dh / &s.n;
            let dc = &ct[0] + &(&s.o * &share);
            let dn = &ct[1] - &(&x[4] * &share);
            let d_o = &(&(&share * &s.c) * &s.o) * &(1.0 - &s.o);
            let dz = &(&dc * &s.input) * &(1.0 - &s.z.square());
            let di = &(&(&dc * &s.z) + &dn) * &s.input;
            let slope = &(&(&dc * &old[0]) + &(&dn * &old[1])) * &s.forget;
            let zero = slope.full_like(0.0);
            let da = s.a.le(&s.m).select(&slope, &zero);
            let dm = &(&ct[2] - &da) - &di;
            let own = s.fresh.or(&s.raw[0].ge(&s.a));
            let di = &di + &own.select(&dm, &zero);
            let da = &da + &own.select(&zero, &dm);
            let df = &da * &(-&s.raw[1]).sigmoid();
            let all = Var::stack(&[&di, &df, &dz, &d_o], 1);
            let from = all.einsum(kernel, "bgho,hgoi->bhi");
            (vec![&dc * &s.forget, &dn * &s.forget, da, from], vec![all])
        });
        let dr = made[0].einsum(&before, "tbgho,tbhi->hgoi");
        let [dc, dn, dm, dh] = [0, 1, 2, 3].map(|k| ct[k].clone());
        Some(vec![time_first(&made[0]), dr, dc, dn, dh, dm])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        work(inputs, out, 6.0)
    }
}

impl Var {
    /// The scalar memory with memory mixing; see [`Slstm`]. `self` are the gates' arguments (B, T, 4, H, D), `state` is c, n, h,
    /// m; gives h and c, n, m after the last step.
    #[track_caller]
    pub fn slstm(&self, kernel: &Var, state: [&Var; 4]) -> (Var, [Var; 3]) {
        let operands = [&[self, kernel], &state[..]].concat();
        let mut made = self.cx.push(Op::Slstm, Attrs::new(), &operands).into_iter();
        let mut next = || made.next().unwrap_or_else(|| self.cx.poison());
        (next(), [next(), next(), next()])
    }
}
