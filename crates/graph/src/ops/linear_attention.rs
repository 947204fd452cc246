//! Causal attention without a softmax, as a recurrence over a matrix: what linear attention (Katharopoulos et al. 2020,
//! "Transformers are RNNs", equations 10 to 20) and its kin with a decay (Sun et al. 2023, "Retentive Network"; Dao and Gu
//! 2024, "Transformers are SSMs") compute of queries and keys that have been through their feature maps.
//!
//! The plain evaluation keeps the matrix of every head and goes through time. A backend works in chunks: within one,
//! (Q Kᵀ ∘ L) V with the lower triangle L of the decays; from the chunks before, Q S.

use super::{arity, float};
use crate::array::Array;
use crate::attrs::Attrs;
use crate::dim::Dim;
use crate::op::{Class, Cost, EvalCx, NodeCx, Op, OpDef, Tangent, bytes, elements};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;

/// (q (B, T, H, M), k (B, T, H, M), v (B, T, H, D), s0 (B, H, M, D)) → (y (B, T, H, D), last (B, H, M, D)):
///
/// S_t = exp(g_t) S_{t−1} + k_t v_tᵀ, y_t = q_tᵀ S_t, `last` = S_T. The logarithms g (B, T, H) of the decays are a fifth
/// operand, zero where it is absent; they are finite and not positive.
pub struct LinearAttention;

/// (q, k, v, s0, dy (B, T, H, D), dlast (B, H, M, D)[, g]) → (dq, dk, dv, ds0[, dg]), the cotangents of the operands of
/// [`LinearAttention`].
pub struct LinearAttentionGrad;

/// B, T, H, M, D.
type Sizes<T> = [T; 5];

fn check(q: &Type, k: &Type, v: &Type, s0: &Type, decay: Option<&Type>) -> Result<Sizes<Dim>, String> {
    let ([b, t, h, m], [_, _, _, d]) = (&q.shape[..], &v.shape[..]) else {
        return Err(format!("takes queries and values (batch, time, heads, width), found {q} and {v}"));
    };
    super::same(q, k)?;
    let of = |shape: &[&Dim]| Type::new(q.dtype, shape.iter().map(|d| (*d).clone()));
    let mut want = vec![("the values", v, of(&[b, t, h, d])), ("the state", s0, of(&[b, h, m, d]))];
    if let Some(decay) = decay {
        want.push(("the decays", decay, of(&[b, t, h])));
    }
    match want.into_iter().find(|(_, found, want)| *found != want) {
        Some((what, found, want)) => Err(format!("{what} of the queries {q} must be {want}, found {found}")),
        None => Ok([b.clone(), t.clone(), h.clone(), m.clone(), d.clone()]),
    }
}

fn sizes<S>(i: &[Array<S>]) -> Result<Sizes<usize>, String> {
    match (&i[0].shape[..], &i[2].shape[..]) {
        (&[b, t, h, m], &[_, _, _, d]) => Ok([b, t, h, m, d]),
        _ => Err("takes queries and values of four axes".into()),
    }
}

/// The matrices (M, D) of one head before the first step and after each.
fn states<S: Scalar>(
    [k, v, s0]: [&[S]; 3],
    decay: Option<&[S]>,
    [_, t, heads, m, d]: Sizes<usize>,
    [b, h]: [usize; 2],
) -> Vec<Vec<S>> {
    let mut all = vec![s0[(b * heads + h) * m * d..][..m * d].to_vec()];
    for step in 0..t {
        let row = (b * t + step) * heads + h;
        let mut s = all[step].clone();
        for i in 0..m {
            for j in 0..d {
                let kept = match decay {
                    Some(g) => g[row].exp() * s[i * d + j].clone(),
                    None => s[i * d + j].clone(),
                };
                s[i * d + j] = kept + k[row * m + i].clone() * v[row * d + j].clone();
            }
        }
        all.push(s);
    }
    all
}

impl OpDef for LinearAttention {
    const NAME: &'static str = "linear_attention";
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        if inputs.len() != 5 {
            arity(inputs, 4)?;
        }
        (0..inputs.len()).try_for_each(|k| float(inputs, k))?;
        check(&inputs[0], &inputs[1], &inputs[2], &inputs[3], inputs.get(4))?;
        Ok(vec![inputs[2].clone(), inputs[3].clone()])
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let all @ [b, t, heads, m, d] = sizes(i)?;
        let (q, given) = (i[0].floats(), [i[1].floats(), i[2].floats(), i[3].floats()]);
        let mut y = vec![S::from_f64(0.0); b * t * heads * d];
        let mut last = Vec::with_capacity(b * heads * m * d);
        for s in 0..b {
            for h in 0..heads {
                let states = states(given, i.get(4).map(Array::floats), all, [s, h]);
                for step in 0..t {
                    let row = (s * t + step) * heads + h;
                    for k in 0..m {
                        for j in 0..d {
                            let term = q[row * m + k].clone() * states[step + 1][k * d + j].clone();
                            let sum = &mut y[row * d + j];
                            *sum = sum.clone() + term;
                        }
                    }
                }
                last.extend_from_slice(&states[t]);
            }
        }
        Ok(vec![
            Array::float(types[0].dtype, i[2].shape.clone(), y),
            Array::float(types[1].dtype, i[3].shape.clone(), last),
        ])
    }
    fn vjp(n: &NodeCx, _: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
        let zero = |k: usize| ct[k].clone().unwrap_or_else(|| n.outputs[k].full_like(0.0));
        let (dy, dlast) = (zero(0), zero(1));
        let mut operands: Vec<&Var> = n.inputs[..4].iter().chain([&dy, &dlast]).collect();
        operands.extend(n.inputs.get(4));
        let made = n.cx.push(Op::LinearAttentionGrad, Attrs::new(), &operands);
        Some(made.into_iter().take(n.inputs.len()).map(Some).collect())
    }
    fn batch(n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
        Some(folded(n, mapped, size, Op::LinearAttention))
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let i = n.inputs;
        let (_, ys, last) = through_time(n.cx, &i[1], &i[2], &i[3], i.get(4), Some(&i[0]));
        Some(vec![ys, last])
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        work(inputs, out, 4.0, inputs.get(4))
    }
}

/// Operations in the chunk form: what a chunk of as many steps as a head is wide costs.
fn work(inputs: &[Type], out: &[Type], each: f64, decay: Option<&Type>) -> Cost {
    let width = inputs[2].shape.last().and_then(Dim::fixed).unwrap_or(1) as f64;
    Cost {
        operations: each * elements(&inputs[..1]) * width,
        transcendental: decay.map_or(0.0, |g| elements(std::slice::from_ref(g))),
        bytes: bytes(inputs) + bytes(out),
    }
}

/// The op on a batch, whose axis is taken together with the op's own batch axis.
fn folded(n: &NodeCx, mapped: &[bool], size: &Dim, op: Op) -> Vec<Var> {
    let mut rows = Dim::from(1);
    let mut operands = vec![];
    for (x, mapped) in n.inputs.iter().zip(mapped) {
        let x = super::spread(x, *mapped, size);
        let shape = x.shape();
        rows = shape[1].clone();
        let dims: Vec<Dim> = std::iter::once(&shape[0] * &shape[1]).chain(shape[2..].to_vec()).collect();
        operands.push(x.reshape(&dims));
    }
    let made = n.cx.push(op, n.attrs.clone(), &operands.iter().collect::<Vec<_>>());
    let unfold = |y: &Var| {
        let dims = [size.clone(), rows.clone()].into_iter().chain(y.shape()[1..].to_vec());
        y.reshape(&dims.collect::<Vec<_>>())
    };
    made.iter().map(unfold).collect()
}

/// Time first.
fn time_first(v: &Var) -> Var {
    let rank = v.ty().rank();
    let perm: Vec<usize> = [1, 0].into_iter().chain(2..rank).collect();
    v.transpose(&perm)
}

/// a (B, H, M) ⊗ b (B, H, D) → (B, H, M, D).
fn outer(a: &Var, b: &Var) -> Var {
    let s = a.shape();
    let dims = [s[0].clone(), s[1].clone(), s[2].clone(), b.shape()[2].clone()];
    a.broadcast(&dims, &[0, 1, 2]) * b.broadcast(&dims, &[0, 1, 3])
}

/// exp(g (B, H)) times the matrices s, or s where there is no decay.
fn decayed(s: &Var, g: Option<&Var>) -> Var {
    match g {
        Some(g) => s * &g.exp().broadcast(&s.shape(), &[0, 1]),
        None => s.clone(),
    }
}

/// The matrices before each step (T, B, H, M, D) or, with queries, y (B, T, H, D) in the second place; and the last.
fn through_time(
    cx: &crate::Cx,
    k: &Var,
    v: &Var,
    s0: &Var,
    decay: Option<&Var>,
    q: Option<&Var>,
) -> (Option<Var>, Var, Var) {
    let mut over = vec![time_first(k), time_first(v)];
    over.extend(q.map(time_first));
    over.extend(decay.map(time_first));
    let over: Vec<&Var> = over.iter().collect();
    let (last, ys) = cx.scan(&[s0], &over, false, |carry, xs| {
        let g = decay.map(|_| &xs[xs.len() - 1]);
        let s = decayed(&carry[0], g) + outer(&xs[0], &xs[1]);
        let given = match q {
            Some(_) => xs[2].dot_general(&s, (&[2], &[2]), (&[0, 1], &[0, 1])),
            None => carry[0].clone(),
        };
        (vec![s], vec![given])
    });
    match q {
        Some(_) => (None, time_first(&ys[0]), last[0].clone()),
        None => (Some(ys[0].clone()), last[0].clone(), last[0].clone()),
    }
}

impl OpDef for LinearAttentionGrad {
    const NAME: &'static str = "linear_attention_grad";
    const CLASS: Class = Class::Composite;
    fn infer(_: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        if inputs.len() != 7 {
            arity(inputs, 6)?;
        }
        (0..inputs.len()).try_for_each(|k| float(inputs, k))?;
        check(&inputs[0], &inputs[1], &inputs[2], &inputs[3], inputs.get(6))?;
        super::same(&inputs[2], &inputs[4])?;
        super::same(&inputs[3], &inputs[5])?;
        Ok(inputs[..4].iter().chain(inputs.get(6)).cloned().collect())
    }
    fn eval<S: Scalar>(
        _: &EvalCx,
        _: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let all @ [b, t, heads, m, d] = sizes(i)?;
        let [q, k, v, s0, dy, dlast] = [0, 1, 2, 3, 4, 5].map(|k| i[k].floats());
        let decay = i.get(6).map(Array::floats);
        let zeros = |len: usize| vec![S::from_f64(0.0); len];
        let mut out: Vec<Vec<S>> =
            [q.len(), k.len(), v.len(), s0.len(), decay.map_or(0, <[S]>::len)].map(zeros).into();
        let add = |sum: &mut S, v: S| *sum = sum.clone() + v;
        for s in 0..b {
            for h in 0..heads {
                let states = states([k, v, s0], decay, all, [s, h]);
                let head = (s * heads + h) * m * d;
                let mut r = dlast[head..][..m * d].to_vec();
                for step in (0..t).rev() {
                    let row = (s * t + step) * heads + h;
                    let gate = decay.map(|g| g[row].exp());
                    for a in 0..m {
                        for j in 0..d {
                            let at = a * d + j;
                            let (qa, ka) = (q[row * m + a].clone(), k[row * m + a].clone());
                            let (vj, dj) = (v[row * d + j].clone(), dy[row * d + j].clone());
                            add(&mut out[0][row * m + a], states[step + 1][at].clone() * dj.clone());
                            let total = r[at].clone() + qa * dj;
                            add(&mut out[1][row * m + a], total.clone() * vj);
                            add(&mut out[2][row * d + j], total.clone() * ka);
                            r[at] = match &gate {
                                Some(gate) => {
                                    let carried = gate.clone() * total;
                                    add(&mut out[4][row], carried.clone() * states[step][at].clone());
                                    carried
                                }
                                None => total,
                            };
                        }
                    }
                }
                out[3][head..][..m * d].clone_from_slice(&r);
            }
        }
        let shapes = [0, 1, 2, 3, 6].into_iter().filter_map(|k| Some(i.get(k)?.shape.clone()));
        let made = out.into_iter().zip(shapes).zip(types);
        Ok(made.map(|((v, shape), ty)| Array::float(ty.dtype, shape, v)).collect())
    }
    fn batch(n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
        Some(folded(n, mapped, size, Op::LinearAttentionGrad))
    }
    fn decompose(n: &NodeCx) -> Option<Vec<Var>> {
        let i = n.inputs;
        let decay = i.get(6);
        let (before, ..) = through_time(n.cx, &i[1], &i[2], &i[3], decay, None);
        let before = before?;
        let mut over: Vec<Var> = [0, 1, 2, 4].map(|k| time_first(&i[k])).into();
        over.push(before);
        over.extend(decay.map(time_first));
        let over: Vec<&Var> = over.iter().collect();
        let heads: (&[usize], &[usize]) = (&[0, 1], &[0, 1]);
        let (first, ys) = n.cx.scan(&[&i[5]], &over, true, |carry, xs| {
            let g = decay.map(|_| &xs[5]);
            let (q, k, v, dy) = (&xs[0], &xs[1], &xs[2], &xs[3]);
            let after = decayed(&xs[4], g) + outer(k, v);
            let total = &carry[0] + &outer(q, dy);
            let carried = decayed(&total, g);
            let mut made = vec![
                after.dot_general(dy, (&[3], &[2]), heads),
                total.dot_general(v, (&[3], &[2]), heads),
                total.dot_general(k, (&[2], &[2]), heads),
            ];
            if g.is_some() {
                made.push((&carried * &xs[4]).sum(&[2, 3]));
            }
            (vec![carried], made)
        });
        let mut made: Vec<Var> = ys.iter().map(time_first).collect();
        made.insert(3, first[0].clone());
        Some(made)
    }
    fn cost(_: &Attrs, inputs: &[Type], out: &[Type]) -> Cost {
        work(inputs, out, 12.0, inputs.get(6))
    }
}

impl Var {
    /// Causal attention of these queries, which have been through their feature map, and the matrix after the last step;
    /// see [`LinearAttention`].
    #[track_caller]
    pub fn linear_attention(&self, k: &Var, v: &Var, s0: &Var, decay: Option<&Var>) -> (Var, Var) {
        let mut operands = vec![self, k, v, s0];
        operands.extend(decay);
        let mut made = self.cx.push(Op::LinearAttention, Attrs::new(), &operands).into_iter();
        let mut next = || made.next().unwrap_or_else(|| self.cx.poison());
        (next(), next())
    }
}
