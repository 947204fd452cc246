//! Taylor mode: truncated power series pushed along the nodes.
//!
//! Where nested first-order derivatives of order K cost a factor that is exponential in K, a series with K coefficients
//! costs O(K²) products per nonlinear node and O(K) per linear one (Griewank and Walther 2008, chapter 13; Bettencourt,
//! Johnson and Duvenaud 2019, "Taylor-mode automatic differentiation for higher-order derivatives in JAX"). The rules are
//! the `jet` rows of the op table; what has none is linear, or is differentiated through its decomposition, or, as a last
//! resort, by nested forward mode of that one op.

use crate::forward::{between, ends};
use crate::trace::{expect_floats, or_zero, trace};
use crate::{jet_control, pushforward};
use graph::{Cx, GraphError, NodeCx, Op, Tangent, Value, Var};
use std::collections::HashMap;

/// A function at `xs` along a curve: `series[i][k - 1]` is Taylor coefficient k (the k-th derivative over k!) of operand
/// i. Gives the values and the coefficients 1 … K of the results.
///
/// ```
/// let cx = graph::Cx::eager();
/// let (x, one, zero) = (cx.scalar(0.0), cx.scalar(1.0), cx.scalar(0.0));
/// // e^t = 1 + t + t²/2 + t³/6 + …
/// let (y, c) = furnace::jet(|x| vec![x[0].exp()], &[&x], &[&[&one, &zero, &zero]]);
/// assert_eq!(y[0].val(), 1.0);
/// assert_eq!(c[0].iter().map(|c| c.val()).collect::<Vec<_>>(), [1.0, 0.5, 0.5 * (1.0 / 3.0)]);
/// ```
pub fn jet(f: impl Fn(&[Var]) -> Vec<Var>, xs: &[&Var], series: &[&[&Var]]) -> (Vec<Var>, Vec<Vec<Var>>) {
    let t = trace(&f, xs);
    expect_floats("jet", &t.cx, xs);
    let order = series.iter().map(|s| s.len()).max().unwrap_or(0);
    if series.len() != xs.len() || series.iter().any(|s| s.len() != order) {
        let problem = format!(
            "each of the {} operands takes a series of one length, found lengths {:?}",
            xs.len(),
            series.iter().map(|s| s.len()).collect::<Vec<_>>()
        );
        t.cx.fail(GraphError::Operands { op: "jet", problem, places: vec![] });
    }
    let given: Vec<Vec<Tangent>> =
        series.iter().map(|s| s.iter().map(|c| Some(t.cx.import(c))).collect()).collect();
    let made = push_series(&t.cx, &t.cx, &t.xs, &given, &t.ys);
    let full = |(s, y): (Vec<Tangent>, &Var)| s.into_iter().map(|c| or_zero(c, y)).collect();
    (t.ys.clone(), made.into_iter().zip(&t.ys).map(full).collect())
}

/// The Taylor coefficients of `ys` from those of `xs`, along nodes of `cx`, built in `into`, which is `cx` or a region of
/// it.
pub(crate) fn push_series(
    cx: &Cx,
    into: &Cx,
    xs: &[Var],
    series: &[Vec<Tangent>],
    ys: &[Var],
) -> Vec<Vec<Tangent>> {
    let order = series.iter().map(Vec::len).max().unwrap_or(0);
    let none = vec![None; order];
    if order == 0 || xs.iter().chain(ys).any(Var::is_poison) {
        return vec![none; ys.len()];
    }
    let mut known: HashMap<Value, Vec<Tangent>> = HashMap::new();
    for (x, s) in xs.iter().zip(series) {
        if s.iter().any(Option::is_some) {
            known.insert(x.id(), s.clone());
        }
    }
    let first = known.keys().map(|v| v.node).min().unwrap_or(u32::MAX);
    for i in between(cx, first, ys) {
        let n = cx.node(i);
        if n.op == Op::Input || !n.inputs.iter().any(|v| known.contains_key(v)) {
            continue;
        }
        let (inputs, outputs) = ends(cx, into, i);
        let given: Vec<Vec<Tangent>> =
            n.inputs.iter().map(|v| known.get(v).cloned().unwrap_or_else(|| none.clone())).collect();
        let node = NodeCx { cx: into, attrs: &n.attrs, inputs: &inputs, outputs: &outputs };
        let made = cx.in_scope_of(i, "", || jet_node(n.op, &node, &given));
        for (out, s) in made.into_iter().take(outputs.len()).enumerate() {
            let y = Value { node: i, out: out as u32 };
            if s.iter().any(Option::is_some) && !xs.iter().any(|x| x.id() == y) {
                known.insert(y, s);
            }
        }
    }
    ys.iter().map(|y| known.get(&y.id()).cloned().unwrap_or_else(|| none.clone())).collect()
}

/// One node's rule.
pub(crate) fn jet_node(op: Op, n: &NodeCx, series: &[Vec<Tangent>]) -> Vec<Vec<Tangent>> {
    let order = series.first().map_or(0, Vec::len);
    if !n.outputs.iter().any(|y| y.dtype().is_float()) {
        return vec![vec![None; order]; n.outputs.len()];
    }
    if let Some(made) = jet_control::jet(op, n, series) {
        return made;
    }
    if op == Op::Call {
        return nested(op, n, series);
    }
    if let Some(made) = op.jet(n, series) {
        return made;
    }
    let moving: Vec<bool> = series.iter().map(|s| s.iter().any(Option::is_some)).collect();
    match nature(op, n, &moving) {
        Nature::Linear => coefficients(op, n, series),
        Nature::Smooth => nested(op, n, series),
        Nature::Composite => {
            let inputs: Vec<Var> = n.inputs.iter().map(|x| n.cx.variable(x)).collect();
            match op.decompose(&NodeCx { inputs: &inputs, outputs: &[], ..*n }) {
                Some(ys) => push_series(n.cx, n.cx, &inputs, series, &ys),
                None => {
                    n.cx.fail(GraphError::NotDifferentiable {
                        op: op.name(),
                        problem: "it has neither a derivative rule nor a decomposition".into(),
                    });
                    vec![vec![None; order]; n.outputs.len()]
                }
            }
        }
    }
}

/// How an op without a `jet` row is differentiated.
enum Nature {
    /// Its jvp rule serves each coefficient.
    Linear,
    /// It has a jvp rule that depends on the point.
    Smooth,
    /// It has a decomposition only.
    Composite,
}

/// Asked of the op's own rules in a builder that is thrown away: what can be transposed in its moving operands is linear
/// in them.
fn nature(op: Op, n: &NodeCx, moving: &[bool]) -> Nature {
    let cx = Cx::abstract_();
    let inputs: Vec<Var> =
        n.inputs.iter().enumerate().map(|(i, x)| cx.input(&format!("x.{i}"), x.ty())).collect();
    let outputs: Vec<Var> = cx
        .push(op, n.attrs.clone(), &inputs.iter().collect::<Vec<_>>())
        .into_iter()
        .take(n.outputs.len())
        .collect();
    let node = NodeCx { cx: &cx, attrs: n.attrs, inputs: &inputs, outputs: &outputs };
    let holder = |i: usize, v: &Var, role: &str| cx.input(&format!("{role}.{i}"), v.ty());
    let ts: Vec<Tangent> =
        inputs.iter().zip(moving).enumerate().map(|(i, (x, m))| m.then(|| holder(i, x, "t"))).collect();
    if op.jvp(&node, &ts).is_none() {
        return Nature::Composite;
    }
    let cts: Vec<Tangent> =
        outputs.iter().enumerate().map(|(i, y)| y.dtype().is_float().then(|| holder(i, y, "ct"))).collect();
    match op.transpose(&node, moving, &cts) {
        Some(_) => Nature::Linear,
        None => Nature::Smooth,
    }
}

fn coefficients(op: Op, n: &NodeCx, series: &[Vec<Tangent>]) -> Vec<Vec<Tangent>> {
    let order = series.first().map_or(0, Vec::len);
    let mut made = vec![vec![None; order]; n.outputs.len()];
    for k in 0..order {
        let given: Vec<Tangent> = series.iter().map(|s| s[k].clone()).collect();
        if given.iter().any(Option::is_some) {
            let out = op.jvp(n, &given).unwrap_or_default();
            made.iter_mut().zip(out).for_each(|(s, t)| s[k] = t);
        }
    }
    made
}

/// One op by forward mode of forward mode: with x^(j) as variables, d/dt takes the tangent x^(j+1) of each.
fn nested(op: Op, n: &NodeCx, series: &[Vec<Tangent>]) -> Vec<Vec<Tangent>> {
    let order = series.first().map_or(0, Vec::len);
    let mut levels: Vec<Vec<Tangent>> = vec![n.inputs.iter().map(|x| Some(n.cx.variable(x))).collect()];
    let mut factorial = 1.0;
    for k in 1..=order {
        factorial *= k as f64;
        let scale = |c: &Var| n.cx.variable(&if factorial == 1.0 { c.clone() } else { c * factorial });
        levels.push(series.iter().map(|s| s[k - 1].as_ref().map(scale)).collect());
    }
    let values: Vec<Var> = levels[0].iter().flatten().cloned().collect();
    let ys = n.cx.push(op, n.attrs.clone(), &values.iter().collect::<Vec<_>>());
    let mut now: Vec<Tangent> = ys.into_iter().take(n.outputs.len()).map(Some).collect();
    let mut made = vec![vec![]; n.outputs.len()];
    let mut scale = 1.0;
    for k in 1..=order {
        scale /= k as f64;
        let (mut xs, mut ts) = (vec![], vec![]);
        for j in 0..k {
            for (x, t) in levels[j].iter().zip(&levels[j + 1]) {
                if let (Some(x), Some(t)) = (x, t) {
                    xs.push(x.clone());
                    ts.push(Some(t.clone()));
                }
            }
        }
        let live: Vec<Var> = now.iter().flatten().cloned().collect();
        let mut next = pushforward(n.cx, &xs, &ts, &live).into_iter();
        now = now.iter().map(|y| y.as_ref().and_then(|_| next.next().flatten())).collect();
        for (s, d) in made.iter_mut().zip(&now) {
            s.push(d.as_ref().map(|d| if k == 1 { d.clone() } else { d * scale }));
        }
    }
    made
}
