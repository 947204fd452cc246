//! `vmap`: a function of one element as a function of a batch.
//!
//! The function is traced once, on values without the batch's axis, and every node is then rewritten by the `batch`
//! row of its op (Bradbury et al. 2018, "JAX"; the axis always lies in front). An op without a row is broadcast when it
//! is elementwise, batched through its decomposition when it has one, and run in a scan over the batch otherwise, so
//! there is no op that cannot be batched. The result is graph like any other: `vmap` nests with itself and with every
//! derivative, either way round.

use crate::batch_control;
use crate::trace::{deepest, place};
use graph::{Attrs, Class, Cx, Dim, Graph, GraphError, NodeCx, Op, Type, Var};

/// A value inside a batch, and whether it has the batch's axis in front.
pub(crate) type Batched = (Var, bool);

/// `f` on every slice along the first axis; the results are stacked along a first axis.
///
/// ```
/// let cx = graph::Cx::eager();
/// let x = cx.array(axes::DType::F64, &[3], &[1.0, 2.0, 3.0]);
/// // A function of one number, and its gradient at three places at once.
/// let slopes = furnace::vmap(furnace::grad(|x| x * x))(&x);
/// assert_eq!(slopes.array()?.to_f64(), [2.0, 4.0, 6.0]);
/// # Ok::<(), graph::GraphError>(())
/// ```
///
/// Inside, a value is one for all slices, so Rust's `if` cannot depend on it: use `cond` or `select`, or run the
/// function once per slice with [`map`].
pub fn vmap(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> Var {
    move |x| batched(&|xs| vec![f(&xs[0])], &[x], &[Some(0)], &[0]).remove(0)
}

/// [`vmap`] of a function of several operands: `in_axes` says which axis of each is the batch's (`None`: the same
/// operand for every slice), `out_axes` where it goes in each result.
pub fn vmap_axes<'a>(
    f: impl Fn(&[Var]) -> Vec<Var> + 'a,
    in_axes: &[Option<usize>],
    out_axes: &[usize],
) -> impl Fn(&[&Var]) -> Vec<Var> + 'a {
    let (in_axes, out_axes) = (in_axes.to_vec(), out_axes.to_vec());
    move |xs| batched(&f, xs, &in_axes, &out_axes)
}

/// `f` once per slice along the first axis, stacked: a Rust loop, for functions whose Rust control flow depends on their
/// values. Costs a copy of the function's nodes per slice.
pub fn map(f: impl Fn(&Var) -> Var) -> impl Fn(&Var) -> Var {
    move |x| {
        let shape = x.shape();
        let Some(n) = shape.first().and_then(Dim::fixed).filter(|n| *n > 0) else {
            return fail(x.cx(), format!("needs a first axis of known size above 0, found {}", x.ty()));
        };
        let one = |y: Var| {
            let dims: Vec<Dim> = std::iter::once(Dim::from(1)).chain(y.shape()).collect();
            y.reshape(&dims)
        };
        let parts: Vec<Var> =
            (0..n).map(|i| one(f(&x.slice_axis(0, i, i + 1).reshape(&shape[1..])))).collect();
        Var::concatenate(&parts.iter().collect::<Vec<_>>(), 0)
    }
}

fn fail(cx: &Cx, problem: String) -> Var {
    cx.fail(GraphError::Operands { op: "vmap", problem, places: vec![] });
    cx.poison()
}

fn batched(
    f: &dyn Fn(&[Var]) -> Vec<Var>,
    xs: &[&Var],
    in_axes: &[Option<usize>],
    out_axes: &[usize],
) -> Vec<Var> {
    let cx = deepest(xs).innermost();
    let failed = |problem: String| vec![fail(&cx, problem); out_axes.len().max(1)];
    if xs.len() != in_axes.len() {
        return failed(format!("{} operands for {} input axes", xs.len(), in_axes.len()));
    }
    let mut size: Option<Dim> = None;
    for (x, axis) in xs.iter().zip(in_axes) {
        let Some(axis) = axis else { continue };
        let Some(n) = x.shape().get(*axis).cloned() else {
            return failed(format!("axis {axis} of {}{} is not there", x.ty(), place(x)));
        };
        match &size {
            Some(size) if *size != n => {
                return failed(format!(
                    "the batch has size {size}, axis {axis} of {}{} has {n}",
                    x.ty(),
                    place(x)
                ));
            }
            _ => size = Some(n),
        }
    }
    let Some(size) = size else {
        return failed("no operand has a batch axis, so the size of the batch is not known".into());
    };
    let inner = cx.region();
    let operands: Vec<Batched> = xs
        .iter()
        .zip(in_axes)
        .map(|(x, axis)| match axis {
            Some(axis) => (move_axis(x, *axis, 0), true),
            None => ((*x).clone(), false),
        })
        .collect();
    let holders: Vec<Var> = operands
        .iter()
        .enumerate()
        .map(|(i, (x, mapped))| inner.input(&format!("x.{i}"), slice_type(x, *mapped)))
        .collect();
    let ys = inner.within(|| f(&holders));
    let n = ys.len();
    if n != out_axes.len() {
        return failed(format!("{n} results for {} output axes", out_axes.len()));
    }
    let (g, captured) = match inner.finish_region(&ys) {
        Ok(made) => made,
        Err(e) => {
            cx.fail(e);
            return vec![cx.poison(); n];
        }
    };
    let inputs: Vec<Batched> = captured.into_iter().map(|v| (v, false)).chain(operands).collect();
    let made = spread_all(batch_graph(&cx, &g, &inputs, &size), &size);
    made.iter()
        .zip(out_axes)
        .map(|(y, axis)| match *axis < y.ty().rank() {
            true => move_axis(y, 0, *axis),
            false => fail(&cx, format!("output axis {axis} of a result {}", y.ty())),
        })
        .collect()
}

/// The type of one slice.
pub(crate) fn slice_type(x: &Var, mapped: bool) -> Type {
    let ty = x.ty();
    match mapped {
        true => Type { dtype: ty.dtype, shape: ty.shape.get(1..).unwrap_or(&[]).to_vec() },
        false => ty,
    }
}

/// The value with axis `from` moved to `to`.
pub(crate) fn move_axis(x: &Var, from: usize, to: usize) -> Var {
    let mut perm: Vec<usize> = (0..x.ty().rank()).filter(|a| *a != from).collect();
    perm.insert(to.min(perm.len()), from);
    x.transpose(&perm)
}

/// The value with the batch's axis in front: its own, or a new one along which it is repeated.
pub(crate) fn spread(x: &Var, mapped: bool, size: &Dim) -> Var {
    if mapped || x.is_poison() {
        return x.clone();
    }
    let dims: Vec<Dim> = std::iter::once(size.clone()).chain(x.shape()).collect();
    x.broadcast(&dims, &(1..dims.len()).collect::<Vec<_>>())
}

pub(crate) fn spread_all(list: Vec<Batched>, size: &Dim) -> Vec<Var> {
    list.iter().map(|(x, mapped)| spread(x, *mapped, size)).collect()
}

/// The outputs of `g` on a batch, built in `cx`; what does not depend on the batch is computed once.
pub(crate) fn batch_graph(cx: &Cx, g: &Graph, inputs: &[Batched], size: &Dim) -> Vec<Batched> {
    let mut needed = vec![false; g.nodes.len()];
    g.outputs.iter().for_each(|o| needed[o.value.node as usize] = true);
    for i in (0..g.nodes.len()).rev() {
        if needed[i] {
            g.nodes[i].inputs.iter().for_each(|v| needed[v.node as usize] = true);
        }
    }
    let mut map: Vec<Vec<Batched>> = vec![vec![]; g.nodes.len()];
    for (named, (v, mapped)) in g.inputs.iter().zip(inputs) {
        map[named.value.node as usize] = vec![(cx.import(v), *mapped)];
    }
    for (i, n) in g.nodes.iter().enumerate() {
        if n.op == Op::Input || !needed[i] {
            continue;
        }
        let operands: Vec<Batched> =
            n.inputs.iter().map(|v| map[v.node as usize][v.out as usize].clone()).collect();
        let mapped = operands.iter().any(|o| o.1);
        let count = n.types.len();
        let make = || match n.op {
            Op::Identity => vec![operands[0].0.clone()],
            _ if mapped => batch_node(cx, n.op, &n.attrs, &operands, count, size),
            _ => cx.push(n.op, n.attrs.clone(), &operands.iter().map(|o| &o.0).collect::<Vec<_>>()),
        };
        let scope = &g.scopes[n.scope as usize];
        let made = if scope.is_empty() { make() } else { cx.scope(scope, make) };
        map[i] = made.into_iter().take(count).map(|v| (v, mapped)).collect();
        if map[i].len() < count || map[i].iter().any(|(v, _)| v.is_poison()) {
            return vec![(cx.poison(), true); g.outputs.len()];
        }
    }
    g.outputs.iter().map(|o| map[o.value.node as usize][o.value.out as usize].clone()).collect()
}

/// A node on a batch; all `count` results have the batch's axis.
fn batch_node(cx: &Cx, op: Op, attrs: &Attrs, operands: &[Batched], count: usize, size: &Dim) -> Vec<Var> {
    let (inputs, mapped): (Vec<Var>, Vec<bool>) = operands.iter().cloned().unzip();
    let n = NodeCx { cx, attrs, inputs: &inputs, outputs: &[] };
    if let Some(made) = batch_control::batch(op, &n, &mapped, size).or_else(|| op.batch(&n, &mapped, size)) {
        return made;
    }
    if op.class() == Class::Elementwise {
        let wide = spread_all(operands.to_vec(), size);
        return cx.push(op, attrs.clone(), &wide.iter().collect::<Vec<_>>());
    }
    let inner = cx.region();
    let holders: Vec<Var> = operands
        .iter()
        .enumerate()
        .map(|(i, (x, mapped))| inner.input(&format!("x.{i}"), slice_type(x, *mapped)))
        .collect();
    let parts = NodeCx { cx: &inner, attrs, inputs: &holders, outputs: &[] };
    if let Some(ys) = inner.within(|| op.decompose(&parts)) {
        return match inner.finish_region(&ys) {
            Ok((g, captured)) => {
                let all: Vec<Batched> =
                    captured.into_iter().map(|v| (v, false)).chain(operands.to_vec()).collect();
                spread_all(batch_graph(cx, &g, &all, size), size)
            }
            Err(e) => {
                cx.fail(e);
                vec![cx.poison(); count]
            }
        };
    }
    one_by_one(cx, op, attrs, operands, count, size)
}

/// A scan over the batch, for an op that has no other form on one.
fn one_by_one(cx: &Cx, op: Op, attrs: &Attrs, operands: &[Batched], count: usize, size: &Dim) -> Vec<Var> {
    let xs: Vec<&Var> = operands.iter().filter(|o| o.1).map(|o| &o.0).collect();
    let (_, ys) = cx.scan_n(size, &[], &xs, false, |_, slices| {
        let mut slices = slices.iter();
        let inner = cx.innermost();
        let values: Vec<Var> = operands
            .iter()
            .map(|(v, mapped)| match mapped {
                true => slices.next().cloned().unwrap_or_else(|| inner.poison()),
                false => inner.import(v),
            })
            .collect();
        let made = inner.push(op, attrs.clone(), &values.iter().collect::<Vec<_>>());
        (vec![], made.into_iter().take(count).collect())
    });
    ys
}
