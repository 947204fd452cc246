//! Control flow on a batch: the regions are batched, the structure stays where it can.
//!
//! A `scan` of a batch is one scan whose carried values are batches. A `cond` whose condition differs between the slices
//! computes both branches and selects; a `while` whose condition differs runs until no slice wants another round, and
//! slices that are done keep their values.

use crate::batch::{Batched, batch_graph, move_axis, spread, spread_all};
use axes::DType;
use graph::{Attr, Cx, Dim, Graph, NodeCx, Op, Type, Var};
use std::sync::Arc;

/// A node with regions on a batch; `None` for other ops.
pub(crate) fn batch(op: Op, n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
    match op {
        Op::Scan => scan(n, mapped, size),
        Op::Cond => cond(n, mapped, size),
        Op::While => while_(n, mapped, size),
        Op::Call => call(n, mapped, size),
        _ => None,
    }
}

/// Which outputs of a region depend on the marked inputs.
fn depends(g: &Graph, inputs: &[bool]) -> Vec<bool> {
    let mut marked = vec![false; g.nodes.len()];
    for (named, m) in g.inputs.iter().zip(inputs) {
        marked[named.value.node as usize] |= m;
    }
    for (i, n) in g.nodes.iter().enumerate() {
        let any = n.inputs.iter().any(|v| marked[v.node as usize]);
        marked[i] |= any;
    }
    g.outputs.iter().map(|o| marked[o.value.node as usize]).collect()
}

fn together(values: &[Var], flags: &[bool]) -> Vec<Batched> {
    values.iter().cloned().zip(flags.iter().copied()).collect()
}

fn refs(v: &[Var]) -> Vec<&Var> {
    v.iter().collect()
}

fn scan(n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
    let body = n.attrs.graph("body")?.clone();
    let (nc, nk) = (n.attrs.int("consts", 0) as usize, n.attrs.int("carries", 0) as usize);
    let length = n.attrs.dims("length").first()?.clone();
    // A carried value that meets a batch on the way is one from the start.
    let mut flags = mapped.to_vec();
    let out = loop {
        let out = depends(&body, &flags);
        let grown: Vec<bool> = (0..nk).map(|i| flags[nc + i] || out[i]).collect();
        if flags[nc..nc + nk] == grown[..] {
            break out;
        }
        flags[nc..nc + nk].copy_from_slice(&grown);
    };
    let init: Vec<Var> = (nc..nc + nk)
        .map(|i| if flags[i] { spread(&n.inputs[i], mapped[i], size) } else { n.inputs[i].clone() })
        .collect();
    let xs: Vec<Var> = (nc + nk..n.inputs.len())
        .map(|i| if mapped[i] { move_axis(&n.inputs[i], 1, 0) } else { n.inputs[i].clone() })
        .collect();
    let (last, ys) = n.cx.scan_n(&length, &refs(&init), &refs(&xs), n.attrs.flag("reverse"), |carry, x| {
        let cx = n.cx.innermost();
        let consts: Vec<Var> = n.inputs[..nc].iter().map(|v| cx.import(v)).collect();
        let operands = together(&[&consts, carry, x].concat(), &flags);
        let made = batch_graph(&cx, &body, &operands, size);
        let values = made.into_iter().zip(&out).enumerate().map(|(i, ((v, m), out))| {
            let wide = if i < nk { flags[nc + i] } else { *out };
            if wide { spread(&v, m, size) } else { v }
        });
        let mut values: Vec<Var> = values.collect();
        let ys = values.split_off(nk);
        (values, ys)
    });
    let carried = last.iter().zip(&flags[nc..]).map(|(v, m)| spread(v, *m, size));
    let stacked = ys.iter().zip(&out[nk..]).map(|(y, m)| match m {
        true => move_axis(y, 1, 0),
        false => spread(y, false, size),
    });
    Some(carried.chain(stacked).collect())
}

fn cond(n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
    let (a, b) = (n.attrs.graph("then")?.clone(), n.attrs.graph("else")?.clone());
    let branch = |cx: &Cx, g: &Graph| {
        let values: Vec<Var> = n.inputs[1..].iter().map(|v| cx.import(v)).collect();
        spread_all(batch_graph(cx, g, &together(&values, &mapped[1..]), size), size)
    };
    if !mapped[0] {
        return Some(n.cx.cond(&n.inputs[0], |cx| branch(cx, &a), |cx| branch(cx, &b)));
    }
    let (a, b) = (branch(n.cx, &a), branch(n.cx, &b));
    Some(a.iter().zip(&b).map(|(a, b)| choose(&n.inputs[0], a, b)).collect())
}

/// `a` in the slices where the condition (one truth value per slice) holds, else `b`.
fn choose(condition: &Var, a: &Var, b: &Var) -> Var {
    if a.is_poison() || b.is_poison() {
        return a.cx().poison();
    }
    condition.broadcast(&a.shape(), &[0]).select(a, b)
}

fn while_(n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
    let (c, b) = (n.attrs.graph("cond")?.clone(), n.attrs.graph("body")?.clone());
    let nc = n.attrs.int("cond_consts", 0) as usize;
    let first = nc + n.attrs.int("body_consts", 0) as usize;
    let nk = n.inputs.len() - first;
    let mut carry_flags = mapped[first..].to_vec();
    let (cond_flags, differs) = loop {
        let cond_flags = [&mapped[..nc], &carry_flags[..]].concat();
        let differs = depends(&c, &cond_flags)[0];
        let out = depends(&b, &[&mapped[nc..first], &carry_flags[..]].concat());
        let grown: Vec<bool> = (0..nk).map(|i| differs || carry_flags[i] || out[i]).collect();
        if grown == carry_flags {
            break (cond_flags, differs);
        }
        carry_flags = grown;
    };
    let body_flags = [&mapped[nc..first], &carry_flags[..]].concat();
    let init: Vec<Var> = (0..nk)
        .map(|i| {
            let v = &n.inputs[first + i];
            if carry_flags[i] { spread(v, mapped[first + i], size) } else { v.clone() }
        })
        .collect();
    let wants = |cx: &Cx, carry: &[Var]| {
        let consts: Vec<Var> = n.inputs[..nc].iter().map(|v| cx.import(v)).collect();
        batch_graph(cx, &c, &together(&[&consts[..], carry].concat(), &cond_flags), size).remove(0).0
    };
    let last = n.cx.while_(
        &refs(&init),
        |carry| {
            let cx = n.cx.innermost();
            let more = wants(&cx, carry);
            if !differs {
                return more;
            }
            let any = more.convert(DType::I64).max_over(&[0]);
            any.not_equal(&cx.full(&Type::scalar(DType::I64), 0.0))
        },
        |carry| {
            let cx = n.cx.innermost();
            let consts: Vec<Var> = n.inputs[nc..first].iter().map(|v| cx.import(v)).collect();
            let made = batch_graph(&cx, &b, &together(&[&consts[..], carry].concat(), &body_flags), size);
            let wide = made.into_iter().zip(&carry_flags);
            let next: Vec<Var> =
                wide.map(|((v, m), flag)| if *flag { spread(&v, m, size) } else { v }).collect();
            if !differs {
                return next;
            }
            let active = wants(&cx, carry);
            next.iter().zip(carry).map(|(new, old)| choose(&active, new, old)).collect()
        },
    );
    Some(last.iter().zip(&carry_flags).map(|(v, m)| spread(v, *m, size)).collect())
}

/// A call keeps its derivative rules: its graphs are batched, all operands having the batch's axis when there are any.
fn call(n: &NodeCx, mapped: &[bool], size: &Dim) -> Option<Vec<Var>> {
    let own = ["jvp", "vjp", "matvec", "transpose", "residual"].iter().any(|k| n.attrs.graph(k).is_some());
    let flags: Vec<bool> = if own { vec![true; mapped.len()] } else { mapped.to_vec() };
    let inputs: Vec<Var> = n
        .inputs
        .iter()
        .zip(mapped)
        .zip(&flags)
        .map(|((v, m), flag)| if *flag { spread(v, *m, size) } else { v.clone() })
        .collect();
    let mut attrs = n.attrs.clone();
    for (key, value) in n.attrs.iter() {
        let Attr::Graph(g) = value else { continue };
        let flags = if key == "callee" { flags.clone() } else { vec![true; g.inputs.len()] };
        match batch_region(g, &flags, size) {
            Ok(g) => attrs = attrs.with(key, Attr::Graph(Arc::new(g))),
            Err(e) => {
                n.cx.fail(e);
                return Some(vec![n.cx.poison(); 8]);
            }
        }
    }
    Some(n.cx.push(Op::Call, attrs, &refs(&inputs)))
}

/// A graph on a batch, all outputs with its axis.
fn batch_region(g: &Graph, flags: &[bool], size: &Dim) -> graph::Result<Graph> {
    let cx = Cx::abstract_();
    let inputs: Vec<Batched> = g
        .inputs
        .iter()
        .zip(flags)
        .map(|(i, m)| {
            let ty = g.ty(i.value);
            let front = m.then(|| size.clone());
            let shape = front.into_iter().chain(ty.shape.iter().cloned()).collect();
            (cx.input(&i.name, Type { dtype: ty.dtype, shape }), *m)
        })
        .collect();
    let ys = spread_all(batch_graph(&cx, g, &inputs, size), size);
    let names: Vec<&str> = g.outputs.iter().map(|o| o.name.as_str()).collect();
    cx.finish(&names.into_iter().zip(&ys).collect::<Vec<_>>())
}
