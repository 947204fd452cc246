//! Derivatives of control flow: the regions are differentiated, the structure stays.

use crate::{Remat, pullback, pushforward};
use graph::{Dim, Graph, GraphError, NodeCx, Op, Tangent, Var};
use std::sync::Arc;

pub(crate) fn is_float(v: &Var) -> bool {
    v.dtype().is_float()
}

pub(crate) fn inline(n: &NodeCx, g: &Graph, inputs: &[Var]) -> Vec<Var> {
    let cx = inputs.iter().map(|v| v.cx()).next().unwrap_or(n.cx);
    cx.inline(g, inputs).unwrap_or_else(|e| {
        n.cx.fail(e);
        vec![n.cx.poison(); g.outputs.len()]
    })
}

fn zero(v: &Var) -> Var {
    v.full_like(0.0)
}

/// Groups of a scan's operands.
pub(crate) struct ScanParts {
    pub(crate) body: Arc<Graph>,
    pub(crate) length: Dim,
    pub(crate) reverse: bool,
    pub(crate) consts: Vec<Var>,
    pub(crate) init: Vec<Var>,
    pub(crate) xs: Vec<Var>,
}

impl ScanParts {
    pub(crate) fn new(n: &NodeCx) -> Option<ScanParts> {
        let (nc, nk) = (n.attrs.int("consts", 0) as usize, n.attrs.int("carries", 0) as usize);
        Some(ScanParts {
            body: n.attrs.graph("body")?.clone(),
            length: n.attrs.dims("length").first()?.clone(),
            reverse: n.attrs.flag("reverse"),
            consts: n.inputs[..nc].to_vec(),
            init: n.inputs[nc..nc + nk].to_vec(),
            xs: n.inputs[nc + nk..].to_vec(),
        })
    }
}

pub(crate) fn refs(v: &[Var]) -> Vec<&Var> {
    v.iter().collect()
}

/// Tangents through a node with regions; `None` when the op has none.
pub(crate) fn jvp(op: Op, n: &NodeCx, given: &[Tangent]) -> Option<Vec<Tangent>> {
    match op {
        Op::Call => {
            let inputs: Vec<Var> = n.inputs.iter().map(|x| n.cx.variable(x)).collect();
            let ys = inline(n, n.attrs.graph("callee")?, &inputs);
            Some(pushforward(n.cx, &inputs, given, &ys))
        }
        Op::Scan => Some(scan_jvp(n, &ScanParts::new(n)?, given)),
        Op::Cond => {
            let floats: Vec<usize> =
                (1..n.inputs.len()).filter(|i| is_float(&n.inputs[*i]) && given[*i].is_some()).collect();
            Some(cond_with(
                n,
                |cx, g| {
                    let xs: Vec<Var> = n.inputs[1..].iter().map(|v| cx.variable(&cx.import(v))).collect();
                    let ys = inline(n, g, &xs);
                    let wrt: Vec<Var> = floats.iter().map(|i| xs[i - 1].clone()).collect();
                    let ts: Vec<Tangent> =
                        floats.iter().map(|i| given[*i].as_ref().map(|t| cx.import(t))).collect();
                    let made = pushforward(cx, &wrt, &ts, &ys);
                    let float = made.into_iter().zip(&ys).filter(|(_, y)| is_float(y));
                    float.map(|(t, y)| t.unwrap_or_else(|| zero(y))).collect()
                },
                |made| {
                    let mut made = made.into_iter();
                    n.outputs.iter().map(|y| is_float(y).then(|| made.next()).flatten()).collect()
                },
            )?)
        }
        Op::While => Some(while_jvp(n, given)?),
        _ => None,
    }
}

/// A `cond` on the same condition whose branches are made from the node's regions.
fn cond_with(
    n: &NodeCx,
    branch: impl Fn(&graph::Cx, &Graph) -> Vec<Var>,
    collect: impl FnOnce(Vec<Var>) -> Vec<Tangent>,
) -> Option<Vec<Tangent>> {
    let (a, b) = (n.attrs.graph("then")?.clone(), n.attrs.graph("else")?.clone());
    let made = n.cx.cond(&n.inputs[0], |cx| branch(cx, &a), |cx| branch(cx, &b));
    Some(collect(made))
}

fn scan_jvp(n: &NodeCx, s: &ScanParts, given: &[Tangent]) -> Vec<Tangent> {
    let (nc, nk) = (s.consts.len(), s.init.len());
    // Any carried float may pick up a tangent on the way, so all of them carry one.
    let carried: Vec<usize> = (0..nk).filter(|i| is_float(&s.init[*i])).collect();
    let moving: Vec<usize> = (0..s.xs.len()).filter(|i| given[nc + nk + i].is_some()).collect();
    let init_t: Vec<Var> =
        carried.iter().map(|i| given[nc + i].clone().unwrap_or_else(|| zero(&s.init[*i]))).collect();
    let xs_t: Vec<Var> = moving.iter().filter_map(|i| given[nc + nk + i].clone()).collect();
    let init: Vec<Var> = s.init.iter().chain(&init_t).cloned().collect();
    let xs: Vec<Var> = s.xs.iter().chain(&xs_t).cloned().collect();
    let float_ys: Vec<usize> = (nk..n.outputs.len()).filter(|i| is_float(&n.outputs[*i])).collect();
    let (last, stacked) = n.cx.scan_n(&s.length, &refs(&init), &refs(&xs), s.reverse, |carry, x| {
        let cx = carry.first().or(x.first()).map(|v| v.cx().clone()).unwrap_or_else(|| n.cx.clone());
        let operands: Vec<Var> = s
            .consts
            .iter()
            .chain(&carry[..nk])
            .chain(&x[..s.xs.len()])
            .map(|v| cx.variable(&cx.import(v)))
            .collect();
        let outs = inline(n, &s.body, &operands);
        let mut ts: Vec<Tangent> = given[..nc].iter().map(|t| t.as_ref().map(|t| cx.import(t))).collect();
        ts.extend((0..nk).map(|i| carried.iter().position(|c| *c == i).map(|k| carry[nk + k].clone())));
        ts.extend(
            (0..s.xs.len()).map(|i| moving.iter().position(|c| *c == i).map(|k| x[s.xs.len() + k].clone())),
        );
        let made = pushforward(&cx, &operands, &ts, &outs);
        let t = |i: usize| made[i].clone().unwrap_or_else(|| zero(&outs[i]));
        let next = outs[..nk].iter().cloned().chain(carried.iter().map(|i| t(*i))).collect();
        (next, float_ys.iter().map(|i| t(*i)).collect())
    });
    (0..n.outputs.len())
        .map(|i| match i < nk {
            true => carried.iter().position(|c| *c == i).map(|k| last[nk + k].clone()),
            false => float_ys.iter().position(|c| *c == i).map(|k| stacked[k].clone()),
        })
        .collect()
}

fn while_jvp(n: &NodeCx, given: &[Tangent]) -> Option<Vec<Tangent>> {
    let (c, b) = (n.attrs.graph("cond")?.clone(), n.attrs.graph("body")?.clone());
    let nc = n.attrs.int("cond_consts", 0) as usize;
    let first = nc + n.attrs.int("body_consts", 0) as usize;
    let init = &n.inputs[first..];
    let carried: Vec<usize> = (0..init.len()).filter(|i| is_float(&init[*i])).collect();
    let tangents: Vec<Var> =
        carried.iter().map(|i| given[first + i].clone().unwrap_or_else(|| zero(&init[*i]))).collect();
    let all: Vec<Var> = init.iter().chain(&tangents).cloned().collect();
    let last = n.cx.while_(
        &refs(&all),
        |carry| {
            let cx = carry[0].cx().clone();
            let consts = n.inputs[..nc].iter().map(|v| cx.import(v));
            let operands: Vec<Var> = consts.chain(carry[..init.len()].iter().cloned()).collect();
            inline(n, &c, &operands).remove(0)
        },
        |carry| {
            let cx = carry[0].cx().clone();
            let consts: Vec<Var> = n.inputs[nc..first].iter().map(|v| cx.import(v)).collect();
            let operands: Vec<Var> =
                consts.iter().chain(&carry[..init.len()]).map(|v| cx.variable(v)).collect();
            let outs = inline(n, &b, &operands);
            let mut ts: Vec<Tangent> =
                given[nc..first].iter().map(|t| t.as_ref().map(|t| cx.import(t))).collect();
            ts.extend(
                (0..init.len())
                    .map(|i| carried.iter().position(|c| *c == i).map(|k| carry[init.len() + k].clone())),
            );
            let made = pushforward(&cx, &operands, &ts, &outs);
            let t = |i: &usize| made[*i].clone().unwrap_or_else(|| zero(&outs[*i]));
            outs.iter().cloned().chain(carried.iter().map(t)).collect()
        },
    );
    Some(
        (0..init.len())
            .map(|i| carried.iter().position(|c| *c == i).map(|k| last[init.len() + k].clone()))
            .collect(),
    )
}

/// The transpose of a node with regions in operands that it is linear in: a linear function is its own derivative.
pub(crate) fn transpose(op: Op, n: &NodeCx, linear: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
    if !matches!(op, Op::Call | Op::Scan | Op::Cond) {
        return None;
    }
    vjp(op, n, linear, ct, Remat::default())
}

/// Cotangents through a node with regions; `None` when the op has none.
pub(crate) fn vjp(op: Op, n: &NodeCx, wanted: &[bool], ct: &[Tangent], remat: Remat) -> Option<Vec<Tangent>> {
    match op {
        Op::Call => {
            let inputs: Vec<Var> = n.inputs.iter().map(|x| n.cx.variable(x)).collect();
            let ys = inline(n, n.attrs.graph("callee")?, &inputs);
            Some(pullback(n.cx, &ys, ct, &inputs, remat))
        }
        Op::Cond => {
            let want: Vec<usize> = (1..n.inputs.len()).filter(|i| wanted[*i]).collect();
            cond_with(
                n,
                |cx, g| {
                    let xs: Vec<Var> = n.inputs[1..].iter().map(|v| cx.variable(&cx.import(v))).collect();
                    let ys = inline(n, g, &xs);
                    let cts: Vec<Tangent> = ct.iter().map(|c| c.as_ref().map(|c| cx.import(c))).collect();
                    let wrt: Vec<Var> = want.iter().map(|i| xs[i - 1].clone()).collect();
                    let made = pullback(cx, &ys, &cts, &wrt, remat);
                    made.into_iter().zip(&wrt).map(|(g, x)| g.unwrap_or_else(|| zero(x))).collect()
                },
                |made| {
                    let at = |i: usize| want.iter().position(|w| *w == i).map(|k| made[k].clone());
                    (0..n.inputs.len()).map(at).collect()
                },
            )
        }
        Op::While => {
            n.cx.fail(GraphError::NotDifferentiable {
                op: "while",
                problem: "reverse mode would have to keep every round of a loop of unknown length; use `scan` with a \
                          bound on the rounds (masking the rest), forward mode, or an implicit derivative of the \
                          fixed point"
                    .into(),
            });
            Some(vec![None; n.inputs.len()])
        }
        Op::Scan => {
            let s = ScanParts::new(n)?;
            let length = s.length.fixed();
            let chunk = match (remat, length) {
                (Remat::Sqrt, Some(t)) => (t as f64).sqrt().ceil() as usize,
                (Remat::Every(k), Some(_)) => k,
                _ => 1,
            };
            match length {
                Some(t) if chunk > 1 && t > chunk => {
                    let inputs: Vec<Var> = n.inputs.iter().map(|x| n.cx.variable(x)).collect();
                    let (nc, nk) = (s.consts.len(), s.init.len());
                    let parts = ScanParts {
                        consts: inputs[..nc].to_vec(),
                        init: inputs[nc..nc + nk].to_vec(),
                        xs: inputs[nc + nk..].to_vec(),
                        ..s
                    };
                    let ys = chunked(n, &parts, t, chunk);
                    // Inside a chunk every step's carried values are kept.
                    Some(pullback(n.cx, &ys, ct, &inputs, Remat::Carries))
                }
                _ => Some(scan_vjp(n, &s, wanted, ct)),
            }
        }
        _ => None,
    }
}

/// The same scan as a scan over chunks of `k` steps and a rest: differentiated as it stands, it keeps the carried
/// values at the chunks' borders only.
fn chunked(n: &NodeCx, s: &ScanParts, t: usize, k: usize) -> Vec<Var> {
    let (nk, whole) = (s.init.len(), t / k * k);
    let cut = |v: &Var, from: usize, to: usize| v.slice_axis(0, from, to);
    let steps = |length: usize, init: &[Var], xs: &[Var]| {
        n.cx.scan_n(&Dim::from(length), &refs(init), &refs(xs), s.reverse, |carry, x| step(n, s, carry, x))
    };
    let chunks = |init: &[Var], xs: &[Var]| {
        let folded: Vec<Var> = xs
            .iter()
            .map(|v| {
                let tail = v.shape()[1..].to_vec();
                v.reshape(&[&[Dim::from(whole / k), Dim::from(k)], &tail[..]].concat())
            })
            .collect();
        let (last, ys) =
            n.cx.scan_n(&Dim::from(whole / k), &refs(init), &refs(&folded), s.reverse, |carry, x| {
                let cx = carry.first().or(x.first()).map(|v| v.cx().clone()).unwrap_or_else(|| n.cx.clone());
                cx.scan_n(&Dim::from(k), &refs(carry), &refs(x), s.reverse, |carry, x| step(n, s, carry, x))
            });
        let flat = ys.iter().map(|y| {
            let tail = y.shape()[2..].to_vec();
            y.reshape(&[&[Dim::from(whole)], &tail[..]].concat())
        });
        (last, flat.collect::<Vec<_>>())
    };
    let head: Vec<Var> = s.xs.iter().map(|x| cut(x, 0, whole)).collect();
    if whole == t {
        let (last, ys) = chunks(&s.init, &head);
        return last.into_iter().chain(ys).collect();
    }
    let tail: Vec<Var> = s.xs.iter().map(|x| cut(x, whole, t)).collect();
    let (last, head_ys, tail_ys) = if s.reverse {
        let (middle, tail_ys) = steps(t - whole, &s.init, &tail);
        let (last, head_ys) = chunks(&middle, &head);
        (last, head_ys, tail_ys)
    } else {
        let (middle, head_ys) = chunks(&s.init, &head);
        let (last, tail_ys) = steps(t - whole, &middle, &tail);
        (last, head_ys, tail_ys)
    };
    debug_assert_eq!(last.len(), nk);
    let joined = head_ys.iter().zip(&tail_ys).map(|(a, b)| Var::concatenate(&[a, b], 0));
    last.into_iter().chain(joined).collect()
}

fn step(n: &NodeCx, s: &ScanParts, carry: &[Var], x: &[Var]) -> (Vec<Var>, Vec<Var>) {
    let cx = carry.first().or(x.first()).map(|v| v.cx().clone()).unwrap_or_else(|| n.cx.clone());
    let operands: Vec<Var> =
        s.consts.iter().map(|v| cx.import(v)).chain(carry.iter().chain(x).cloned()).collect();
    let mut out = inline(n, &s.body, &operands);
    let ys = out.split_off(s.init.len());
    (out, ys)
}

/// A forward scan that keeps the carried values, then a scan the other way that runs each step again and pulls its
/// cotangents back.
fn scan_vjp(n: &NodeCx, s: &ScanParts, wanted: &[bool], ct: &[Tangent]) -> Vec<Tangent> {
    let (nc, nk, nx) = (s.consts.len(), s.init.len(), s.xs.len());
    let (_, saved) = n.cx.scan_n(&s.length, &refs(&s.init), &refs(&s.xs), s.reverse, |carry, x| {
        let (next, _) = step(n, s, carry, x);
        (next, carry.to_vec())
    });
    let carried: Vec<usize> = (0..nk).filter(|i| is_float(&s.init[*i])).collect();
    let consts: Vec<usize> = (0..nc).filter(|i| wanted[*i] && is_float(&s.consts[*i])).collect();
    let moving: Vec<usize> = (0..nx).filter(|i| wanted[nc + nk + i] && is_float(&s.xs[*i])).collect();
    let given_ys: Vec<usize> = (nk..n.outputs.len()).filter(|i| ct[*i].is_some()).collect();
    let init: Vec<Var> = carried
        .iter()
        .map(|i| ct[*i].clone().unwrap_or_else(|| zero(&n.outputs[*i])))
        .chain(consts.iter().map(|i| zero(&s.consts[*i])))
        .collect();
    let xs: Vec<Var> = saved
        .iter()
        .cloned()
        .chain(s.xs.iter().cloned())
        .chain(given_ys.iter().filter_map(|i| ct[*i].clone()))
        .collect();
    let (last, stacked) = n.cx.scan_n(&s.length, &refs(&init), &refs(&xs), !s.reverse, |carry, x| {
        let cx = x.first().or(carry.first()).map(|v| v.cx().clone()).unwrap_or_else(|| n.cx.clone());
        let operands: Vec<Var> = s
            .consts
            .iter()
            .map(|v| cx.import(v))
            .chain(x[..nk + nx].iter().cloned())
            .map(|v| cx.variable(&v))
            .collect();
        let outs = inline(n, &s.body, &operands);
        let mut cts: Vec<Tangent> = vec![None; outs.len()];
        carried.iter().enumerate().for_each(|(k, i)| cts[*i] = Some(carry[k].clone()));
        given_ys.iter().enumerate().for_each(|(k, i)| cts[*i] = Some(x[nk + nx + k].clone()));
        let made = pullback(&cx, &outs, &cts, &operands, Remat::Carries);
        let g = |i: usize| made[i].clone().unwrap_or_else(|| zero(&operands[i]));
        let next = carried
            .iter()
            .map(|i| g(nc + i))
            .chain(consts.iter().enumerate().map(|(k, i)| match &made[*i] {
                Some(g) => &carry[carried.len() + k] + g,
                None => carry[carried.len() + k].clone(),
            }))
            .collect();
        (next, moving.iter().map(|i| g(nc + nk + i)).collect())
    });
    let mut out = vec![None; n.inputs.len()];
    consts.iter().enumerate().for_each(|(k, i)| out[*i] = Some(last[carried.len() + k].clone()));
    carried.iter().enumerate().for_each(|(k, i)| out[nc + i] = Some(last[k].clone()));
    moving.iter().enumerate().for_each(|(k, i)| out[nc + nk + i] = Some(stacked[k].clone()));
    out
}
