//! Series through control flow: they are carried along beside the values.

use crate::control::{ScanParts, inline, is_float, refs};
use crate::jet::push_series;
use graph::{Cx, Graph, NodeCx, Op, Tangent, Var};

/// Series through a node with regions; `None` when the op has none, or has derivative rules of its own.
pub(crate) fn jet(op: Op, n: &NodeCx, series: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
    match op {
        Op::Call if !crate::custom::has_rule(n.attrs) => {
            let inputs: Vec<Var> = n.inputs.iter().map(|x| n.cx.variable(x)).collect();
            let ys = inline(n, n.attrs.graph("callee")?, &inputs);
            Some(push_series(n.cx, n.cx, &inputs, series, &ys))
        }
        Op::Scan => Some(scan(n, &ScanParts::new(n)?, series)),
        Op::Cond => cond(n, series),
        Op::While => while_(n, series),
        _ => None,
    }
}

fn order(series: &[Vec<Tangent>]) -> usize {
    series.first().map_or(0, Vec::len)
}

fn filled(series: &[Tangent], like: &Var) -> Vec<Var> {
    series.iter().map(|c| c.clone().unwrap_or_else(|| like.full_like(0.0))).collect()
}

/// The series of `outs[i]` for i in `which`, zeros filled in, one after another.
fn flat(made: &[Vec<Tangent>], outs: &[Var], which: &[usize]) -> Vec<Var> {
    which.iter().flat_map(|i| filled(&made[*i], &outs[*i])).collect()
}

/// The opposite of [`flat`]: a series for each of `count` results.
fn folded(values: &[Var], which: &[usize], count: usize, order: usize) -> Vec<Vec<Tangent>> {
    let mut made = vec![vec![None; order]; count];
    for (k, i) in which.iter().enumerate() {
        made[*i] = values[k * order..(k + 1) * order].iter().cloned().map(Some).collect();
    }
    made
}

fn import(cx: &Cx, series: &[Vec<Tangent>]) -> Vec<Vec<Tangent>> {
    series.iter().map(|s| s.iter().map(|c| c.as_ref().map(|c| cx.import(c))).collect()).collect()
}

fn scan(n: &NodeCx, s: &ScanParts, series: &[Vec<Tangent>]) -> Vec<Vec<Tangent>> {
    let (nc, nk, order) = (s.consts.len(), s.init.len(), order(series));
    // Any carried float may pick up a series on the way, so all of them carry one.
    let carried: Vec<usize> = (0..nk).filter(|i| is_float(&s.init[*i])).collect();
    let moving: Vec<usize> =
        (0..s.xs.len()).filter(|i| series[nc + nk + i].iter().any(Option::is_some)).collect();
    let init: Vec<Var> =
        s.init.iter().cloned().chain(flat(&series[nc..nc + nk], &s.init, &carried)).collect();
    let xs: Vec<Var> = s.xs.iter().cloned().chain(flat(&series[nc + nk..], &s.xs, &moving)).collect();
    let float_ys: Vec<usize> = (nk..n.outputs.len()).filter(|i| is_float(&n.outputs[*i])).collect();
    let (last, stacked) = n.cx.scan_n(&s.length, &refs(&init), &refs(&xs), s.reverse, |carry, x| {
        let cx = n.cx.innermost();
        let values = s.consts.iter().chain(&carry[..nk]).chain(&x[..s.xs.len()]);
        let operands: Vec<Var> = values.map(|v| cx.variable(&cx.import(v))).collect();
        let outs = inline(n, &s.body, &operands);
        let mut given = import(&cx, &series[..nc]);
        given.extend(folded(&carry[nk..], &carried, nk, order));
        given.extend(folded(&x[s.xs.len()..], &moving, s.xs.len(), order));
        let made = push_series(&cx, &cx, &operands, &given, &outs);
        let next = outs[..nk].iter().cloned().chain(flat(&made, &outs, &carried)).collect();
        (next, flat(&made, &outs, &float_ys))
    });
    let mut out = folded(&last[nk..], &carried, n.outputs.len(), order);
    for (i, y) in folded(&stacked, &float_ys, n.outputs.len(), order).into_iter().enumerate().skip(nk) {
        out[i] = y;
    }
    out
}

fn cond(n: &NodeCx, series: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
    let (a, b) = (n.attrs.graph("then")?.clone(), n.attrs.graph("else")?.clone());
    let floats: Vec<usize> = (0..n.outputs.len()).filter(|i| is_float(&n.outputs[*i])).collect();
    let branch = |cx: &Cx, g: &Graph| {
        let xs: Vec<Var> = n.inputs[1..].iter().map(|v| cx.variable(&cx.import(v))).collect();
        let ys = inline(n, g, &xs);
        let made = push_series(cx, cx, &xs, &import(cx, &series[1..]), &ys);
        flat(&made, &ys, &floats)
    };
    let made = n.cx.cond(&n.inputs[0], |cx| branch(cx, &a), |cx| branch(cx, &b));
    Some(folded(&made, &floats, n.outputs.len(), order(series)))
}

fn while_(n: &NodeCx, series: &[Vec<Tangent>]) -> Option<Vec<Vec<Tangent>>> {
    let (c, b) = (n.attrs.graph("cond")?.clone(), n.attrs.graph("body")?.clone());
    let nc = n.attrs.int("cond_consts", 0) as usize;
    let first = nc + n.attrs.int("body_consts", 0) as usize;
    let (init, order) = (&n.inputs[first..], order(series));
    let nk = init.len();
    let carried: Vec<usize> = (0..nk).filter(|i| is_float(&init[*i])).collect();
    let all: Vec<Var> = init.iter().cloned().chain(flat(&series[first..], init, &carried)).collect();
    let last = n.cx.while_(
        &refs(&all),
        |carry| {
            let cx = n.cx.innermost();
            let consts = n.inputs[..nc].iter().map(|v| cx.import(v));
            inline(n, &c, &consts.chain(carry[..nk].iter().cloned()).collect::<Vec<_>>()).remove(0)
        },
        |carry| {
            let cx = n.cx.innermost();
            let values: Vec<Var> = n.inputs[nc..first].iter().map(|v| cx.import(v)).collect();
            let operands: Vec<Var> = values.iter().chain(&carry[..nk]).map(|v| cx.variable(v)).collect();
            let outs = inline(n, &b, &operands);
            let mut given = import(&cx, &series[nc..first]);
            given.extend(folded(&carry[nk..], &carried, nk, order));
            let made = push_series(&cx, &cx, &operands, &given, &outs);
            outs.iter().cloned().chain(flat(&made, &outs, &carried)).collect()
        },
    );
    Some(folded(&last[nk..], &carried, nk, order))
}
