//! Functions with derivative rules of their own, and rematerialisation: `call` nodes with further graphs as attributes.
//!
//! The rules are traced when the function is applied, so they are graph like everything else: they can be printed,
//! batched, and differentiated in turn.

use crate::control::{inline, is_float};
use crate::reverse::{placeholders, transpose as transpose_nodes};
use crate::trace::deepest;
use crate::{Remat, implicit, linear_solve, pullback, pushforward};
use graph::{Attr, Attrs, Cx, Graph, GraphError, Named, Node, NodeCx, Op, Tangent, Type, Value, Var};
use std::sync::Arc;

/// A function whose derivative is `rule(operands, tangents) -> tangents of the results`, linear in the tangents (one per
/// floating operand). Reverse mode is its transpose (Bradbury et al. 2018, "JAX": `custom_jvp`).
///
/// ```
/// use graph::{Cx, Var};
/// // ln(1 + e^x), whose derivative by the chain rule is inf/inf for large x.
/// let softplus = furnace::custom_jvp(
///     |x| vec![(x[0].exp() + 1.0).log()],
///     |x, t| vec![&t[0] * &x[0].sigmoid()],
/// );
/// let slope = furnace::grad(|x: &Var| softplus(&[x]).remove(0));
/// assert_eq!(slope(&Cx::eager().scalar(800.0)).val(), 1.0);
/// ```
pub fn custom_jvp(
    f: impl Fn(&[Var]) -> Vec<Var>,
    rule: impl Fn(&[Var], &[Var]) -> Vec<Var>,
) -> impl Fn(&[&Var]) -> Vec<Var> {
    move |xs| {
        let cx = deepest(xs).innermost();
        let operands: Vec<Var> = xs.iter().map(|x| cx.import(x)).collect();
        let n = operands.len();
        let moving: Vec<Var> = operands.iter().filter(|x| is_float(x)).cloned().collect();
        let zeros: Vec<Var> = moving.iter().map(|x| x.full_like(0.0)).collect();
        let derivative = |v: &[Var]| rule(&v[..n], &v[n..]);
        apply(
            &cx,
            "custom_jvp",
            &operands,
            Attrs::new(),
            &[("callee", &operands, &f), ("jvp", &[&operands[..], &zeros].concat(), &derivative)],
        )
    }
}

/// A function with a reverse-mode rule: `forward(operands) -> (results, residuals)`, `backward(residuals, cotangents) ->
/// cotangents of the floating operands`. Forward mode and Taylor mode are the transpose of the rule, so the rule should
/// be linear in the cotangents: one that is not works in one reverse pass and is refused elsewhere.
///
/// ```
/// use graph::{Cx, Var};
/// // The identity with its gradient kept within ±1.
/// let clipped = furnace::custom_vjp(
///     |x| (vec![x[0].clone()], vec![]),
///     |_, ct| vec![ct[0].clamp(-1.0, 1.0)],
/// );
/// let f = |x: &Var| clipped(&[x]).remove(0) * 5.0;
/// assert_eq!(furnace::grad(f)(&Cx::eager().scalar(2.0)).val(), 1.0);
/// ```
pub fn custom_vjp(
    forward: impl Fn(&[Var]) -> (Vec<Var>, Vec<Var>),
    backward: impl Fn(&[Var], &[Var]) -> Vec<Var>,
) -> impl Fn(&[&Var]) -> Vec<Var> {
    move |xs| {
        let cx = deepest(xs).innermost();
        let operands: Vec<Var> = xs.iter().map(|x| cx.import(x)).collect();
        let n = operands.len();
        // Run once in a builder of its own to learn the results' types; that one is thrown away.
        let trial = cx.region_at();
        let holders: Vec<Var> = operands.iter().map(|x| trial.sample("x", x)).collect();
        let (ys, residuals) = trial.within(|| forward(&holders));
        let samples: Vec<Var> = residuals
            .iter()
            .cloned()
            .chain(ys.iter().filter(|y| is_float(y)).map(|y| y.full_like(0.0)))
            .map(|v| sample_of(&cx, &trial.import(&v)))
            .collect();
        let (count, kept) = (ys.len(), residuals.len());
        let callee = |v: &[Var]| {
            let (ys, residuals) = forward(v);
            [ys, residuals].concat()
        };
        let rule = |v: &[Var]| backward(&v[n..n + kept], &v[n + kept..]);
        let attrs = graph::attrs! { results: Int(count as i64) };
        let mut made = apply(
            &cx,
            "custom_vjp",
            &operands,
            attrs,
            &[("callee", &operands, &callee), ("vjp", &[&operands[..], &samples].concat(), &rule)],
        );
        made.truncate(count);
        made
    }
}

/// A function whose inner values are not kept for the backward pass but computed again from its operands (Chen et al.
/// 2016, "Training deep nets with sublinear memory cost"). Forward mode and derivatives of derivatives keep the border.
pub fn checkpoint(f: impl Fn(&[Var]) -> Vec<Var>) -> impl Fn(&[&Var]) -> Vec<Var> {
    move |xs| {
        let cx = deepest(xs).innermost();
        let operands: Vec<Var> = xs.iter().map(|x| cx.import(x)).collect();
        let attrs = graph::attrs! { remat: Bool(true) };
        apply(&cx, "checkpoint", &operands, attrs, &[("callee", &operands, &f)])
    }
}

/// The same value, through which no derivative flows.
pub fn stop_gradient(x: &Var) -> Var {
    x.stop_gradient()
}

/// A constant of `cx` with the type of `v`, and its value where there is one.
fn sample_of(cx: &Cx, v: &Var) -> Var {
    let ty = v.ty();
    match (cx.is_eager(), v.array(), ty.fixed_shape()) {
        (true, Ok(a), Some(shape)) => cx.array(ty.dtype, &shape, &a.to_f64()),
        _ => cx.full(&ty, 0.0),
    }
}

/// A `call` of closures: (attribute, values like its inputs, function). All graphs take the captured values first.
pub(crate) fn apply(
    cx: &Cx,
    name: &str,
    operands: &[Var],
    attrs: Attrs,
    functions: &[(&'static str, &[Var], &dyn Fn(&[Var]) -> Vec<Var>)],
) -> Vec<Var> {
    let mut made: Vec<(&'static str, Graph, Vec<Var>)> = vec![];
    for (key, samples, f) in functions {
        let inner = cx.region_at();
        let holders: Vec<Var> =
            samples.iter().enumerate().map(|(i, v)| inner.sample(&format!("x.{i}"), v)).collect();
        let ys = inner.within(|| f(&holders));
        match inner.finish_region(&ys) {
            Ok((g, captured)) => made.push((key, g, captured)),
            Err(e) => {
                cx.fail(e);
                return vec![cx.poison(); 8];
            }
        }
    }
    let mut captured: Vec<Var> = vec![];
    for v in made.iter().flat_map(|(_, _, c)| c) {
        if !captured.iter().any(|c| c.id() == v.id()) {
            captured.push(v.clone());
        }
    }
    let mut attrs =
        attrs.with("name", Attr::Str(name.into())).with("captures", Attr::Int(captured.len() as i64));
    for (key, g, own) in made {
        attrs = attrs.with(key, Attr::Graph(Arc::new(widened(g, &own, &captured))));
    }
    let all: Vec<&Var> = captured.iter().chain(operands).collect();
    cx.push(Op::Call, attrs, &all)
}

/// The graph with an input for each of `all` in place of its own captured values.
fn widened(mut g: Graph, own: &[Var], all: &[Var]) -> Graph {
    let rest = g.inputs.split_off(own.len());
    let mine = std::mem::take(&mut g.inputs);
    for (k, v) in all.iter().enumerate() {
        let value = match own.iter().position(|o| o.id() == v.id()) {
            Some(i) => mine[i].value,
            None => {
                let node = g.nodes.len() as u32;
                g.nodes.push(Node {
                    op: Op::Input,
                    attrs: Attrs::new(),
                    inputs: vec![],
                    types: vec![v.ty()],
                    scope: 0,
                    place: None,
                });
                Value { node, out: 0 }
            }
        };
        g.inputs.push(Named { name: format!("capture.{k}"), value });
    }
    g.inputs.extend(rest);
    g
}

/// A graph with inputs of these types.
pub(crate) fn closed(
    types: impl IntoIterator<Item = Type>,
    f: impl FnOnce(&Cx, &[Var]) -> Vec<Var>,
) -> graph::Result<Arc<Graph>> {
    let cx = Cx::abstract_();
    let inputs: Vec<Var> =
        types.into_iter().enumerate().map(|(i, t)| cx.input(&format!("x.{i}"), t)).collect();
    let ys = cx.within(|| f(&cx, &inputs));
    let names: Vec<String> = (0..ys.len()).map(|i| format!("out.{i}")).collect();
    Ok(Arc::new(cx.finish(&names.iter().map(String::as_str).zip(&ys).collect::<Vec<_>>())?))
}

/// Whether a `call` has derivative rules of its own.
pub(crate) fn has_rule(attrs: &Attrs) -> bool {
    ["jvp", "vjp", "matvec", "residual"].iter().any(|k| attrs.graph(k).is_some())
}

/// Which floating operands behind the captured ones the rule speaks of. A captured value that moves is an error.
fn explicit(n: &NodeCx, moves: &[bool]) -> Option<Vec<usize>> {
    let captures = n.attrs.int("captures", 0) as usize;
    if moves.iter().take(captures).any(|m| *m) {
        n.cx.fail(GraphError::NotDifferentiable {
            op: "call",
            problem: format!(
                "the function of `{}` uses a variable of the differentiation from outside, of which its rule knows \
                 nothing; pass it as an operand, or stop its gradient",
                n.attrs.str("name")
            ),
        });
        return None;
    }
    Some((captures..n.inputs.len()).filter(|i| is_float(&n.inputs[*i])).collect())
}

/// Tangents through a call with rules of its own or with `remat`; `None` for others.
pub(crate) fn jvp(op: Op, n: &NodeCx, given: &[Tangent]) -> Option<Vec<Tangent>> {
    if op != Op::Call {
        return None;
    }
    let none = vec![None; n.outputs.len()];
    let floats: Vec<usize> = (0..n.outputs.len()).filter(|i| is_float(&n.outputs[*i])).collect();
    let moves: Vec<bool> = given.iter().map(Option::is_some).collect();
    if n.attrs.graph("matvec").is_some() {
        return Some(linear_solve::jvp(n, given));
    }
    if n.attrs.graph("residual").is_some() {
        return Some(implicit::jvp(n, given));
    }
    if let Some(g) = n.attrs.graph("jvp") {
        let Some(own) = explicit(n, &moves) else { return Some(none) };
        let ts = own.iter().map(|i| given[*i].clone().unwrap_or_else(|| n.inputs[*i].full_like(0.0)));
        let operands: Vec<Var> = n.inputs.iter().cloned().chain(ts).collect();
        let made = fit(n, g, &operands, floats.len(), "tangents of the floating results");
        return Some(place(made, &floats, n.outputs.len()));
    }
    if let Some(g) = n.attrs.graph("vjp") {
        let results = n.attrs.int("results", 0) as usize;
        let Some(own) = explicit(n, &moves) else { return Some(none) };
        let cts: Vec<Tangent> = floats
            .iter()
            .filter(|i| **i < results)
            .map(|i| Some(n.cx.variable(&n.outputs[*i].full_like(0.0))))
            .collect();
        let residuals = n.outputs[results..].iter().cloned();
        let operands: Vec<Var> =
            n.inputs.iter().cloned().chain(residuals).chain(cts.iter().flatten().cloned()).collect();
        let backward = fit(n, g, &operands, own.len(), "cotangents of the floating operands");
        let backward: Vec<Tangent> = backward.into_iter().map(Some).collect();
        let ts: Vec<Tangent> = own.iter().map(|i| given[*i].clone()).collect();
        let mut made = transpose_nodes(n.cx, &backward, &ts, &cts).into_iter();
        let inner = native(n, given);
        return Some(
            (0..n.outputs.len())
                .map(|i| match (i < results, is_float(&n.outputs[i])) {
                    (true, true) => made.next().flatten(),
                    (true, false) => None,
                    _ => inner[i].clone(),
                })
                .collect(),
        );
    }
    if n.attrs.flag("remat") {
        let live: Vec<usize> = (0..given.len()).filter(|i| moves[*i]).collect();
        let types = n.inputs.iter().chain(given.iter().flatten()).map(Var::ty);
        let mut some = vec![];
        let made = closed(types, |cx, v| {
            let (xs, ts) = v.split_at(n.inputs.len());
            let xs: Vec<Var> = xs.iter().map(|x| cx.variable(x)).collect();
            let ys = callee(cx, n, &xs);
            let wrt: Vec<Var> = live.iter().map(|i| xs[*i].clone()).collect();
            let made = pushforward(cx, &wrt, &ts.iter().cloned().map(Some).collect::<Vec<_>>(), &ys);
            some = (0..made.len()).filter(|i| made[*i].is_some()).collect();
            made.into_iter().flatten().collect()
        });
        let operands: Vec<&Var> = n.inputs.iter().chain(given.iter().flatten()).collect();
        return Some(place(again(n, made, &operands), &some, n.outputs.len()));
    }
    None
}

/// Cotangents through a call with rules of its own or with `remat`; `None` for others.
pub(crate) fn vjp(op: Op, n: &NodeCx, wanted: &[bool], ct: &[Tangent], remat: Remat) -> Option<Vec<Tangent>> {
    if op != Op::Call {
        return None;
    }
    if let Some(g) = n.attrs.graph("vjp") {
        let results = n.attrs.int("results", 0) as usize;
        let Some(own) = explicit(n, wanted) else { return Some(vec![None; n.inputs.len()]) };
        // The residuals are results of the forward function as it stands.
        let mut sums = match ct[results..].iter().any(Option::is_some) {
            false => vec![None; n.inputs.len()],
            true => {
                let xs: Vec<Var> = n.inputs.iter().map(|x| n.cx.variable(x)).collect();
                let ys = callee(n.cx, n, &xs);
                pullback(n.cx, &ys[results..], &ct[results..], &xs, remat)
            }
        };
        if ct[..results].iter().any(Option::is_some) {
            let floats = (0..results).filter(|i| is_float(&n.outputs[*i]));
            let cts = floats.map(|i| ct[i].clone().unwrap_or_else(|| n.outputs[i].full_like(0.0)));
            let operands: Vec<Var> =
                n.inputs.iter().chain(&n.outputs[results..]).cloned().chain(cts).collect();
            let made = fit(n, g, &operands, own.len(), "cotangents of the floating operands");
            for (i, g) in own.into_iter().zip(made) {
                sums[i] = Some(match sums[i].take() {
                    Some(s) => s + g,
                    None => g,
                });
            }
        }
        return Some(sums);
    }
    if has_rule(n.attrs) {
        let holders = placeholders(n, wanted);
        let tangents = jvp(op, n, &holders)?;
        return Some(transpose_nodes(n.cx, &tangents, ct, &holders));
    }
    if n.attrs.flag("remat") {
        let live: Vec<usize> = (0..ct.len()).filter(|i| ct[*i].is_some()).collect();
        let wrt: Vec<usize> = (0..wanted.len()).filter(|i| wanted[*i]).collect();
        let types = n.inputs.iter().chain(ct.iter().flatten()).map(Var::ty);
        let mut some = vec![];
        let made = closed(types, |cx, v| {
            let (xs, cts) = v.split_at(n.inputs.len());
            let xs: Vec<Var> = xs.iter().map(|x| cx.variable(x)).collect();
            let ys = callee(cx, n, &xs);
            let ys: Vec<Var> = live.iter().map(|i| ys[*i].clone()).collect();
            let targets: Vec<Var> = wrt.iter().map(|i| xs[*i].clone()).collect();
            let cts: Vec<Tangent> = cts.iter().cloned().map(Some).collect();
            let made = pullback(cx, &ys, &cts, &targets, remat);
            some = wrt.iter().zip(&made).filter(|(_, g)| g.is_some()).map(|(i, _)| *i).collect();
            made.into_iter().flatten().collect()
        });
        let operands: Vec<&Var> = n.inputs.iter().chain(ct.iter().flatten()).collect();
        return Some(place(again(n, made, &operands), &some, n.inputs.len()));
    }
    None
}

/// The transpose of a call in operands that it is linear in; `None` for calls without rules.
pub(crate) fn transpose(op: Op, n: &NodeCx, linear: &[bool], ct: &[Tangent]) -> Option<Vec<Tangent>> {
    match op {
        Op::Call if n.attrs.graph("matvec").is_some() => linear_solve::transpose(n, linear, ct),
        Op::Call => vjp(op, n, linear, ct, Remat::default()),
        _ => None,
    }
}

/// The function itself, inlined in `cx`.
pub(crate) fn callee(cx: &Cx, n: &NodeCx, xs: &[Var]) -> Vec<Var> {
    match n.attrs.graph("callee") {
        Some(g) => inline(&NodeCx { cx, ..*n }, g, xs),
        None => vec![],
    }
}

/// Tangents of all results by the function's own nodes.
fn native(n: &NodeCx, given: &[Tangent]) -> Vec<Tangent> {
    let xs: Vec<Var> = n.inputs.iter().map(|x| n.cx.variable(x)).collect();
    let ys = callee(n.cx, n, &xs);
    pushforward(n.cx, &xs, given, &ys)
}

/// A rule inlined; an error unless it has as many results as it must.
fn fit(n: &NodeCx, rule: &Graph, operands: &[Var], count: usize, what: &str) -> Vec<Var> {
    if rule.outputs.len() != count || rule.inputs.len() != operands.len() {
        n.cx.fail(GraphError::Operands {
            op: "call",
            problem: format!(
                "the rule of `{}` must give {count} {what}, found {}",
                n.attrs.str("name"),
                rule.outputs.len()
            ),
            places: vec![],
        });
        return vec![n.cx.poison(); count];
    }
    inline(n, rule, operands)
}

/// `values` at the positions `which` of a list of `count`.
fn place(values: Vec<Var>, which: &[usize], count: usize) -> Vec<Tangent> {
    let mut all = vec![None; count];
    which.iter().zip(values).for_each(|(i, v)| all[*i] = Some(v));
    all
}

/// A derivative of a rematerialised call as a rematerialised call.
fn again(n: &NodeCx, made: graph::Result<Arc<Graph>>, operands: &[&Var]) -> Vec<Var> {
    match made {
        Ok(g) if g.outputs.is_empty() => vec![],
        Ok(g) => {
            let attrs = graph::attrs! { callee: Graph(g), remat: Bool(true) };
            n.cx.push(Op::Call, attrs.with("name", Attr::Str(n.attrs.str("name").into())), operands)
        }
        Err(e) => {
            n.cx.fail(e);
            vec![n.cx.poison(); 8]
        }
    }
}
