//! The operators on graphs: graph in, graph out.

use crate::batch::{batch_graph, spread};
use crate::derivative as d;
use crate::laplacian::laplacian;
use crate::{Remat, pullback, pushforward};
use graph::{Cx, Dim, Graph, GraphError, Result, Tangent, Type, Var};

/// `graph` traced again into a fresh builder: its inputs and the values of its outputs.
fn reopen(graph: &Graph) -> Result<(Cx, Vec<Var>, Vec<Var>)> {
    let cx = Cx::abstract_();
    let inputs: Vec<Var> =
        graph.inputs.iter().map(|i| cx.input(&i.name, graph.ty(i.value).clone())).collect();
    let outputs = cx.inline(graph, &inputs)?;
    Ok((cx, inputs, outputs))
}

fn finish(cx: Cx, graph: &Graph, outputs: &[Var], extra: Vec<(String, Var)>) -> Result<Graph> {
    let named: Vec<(&str, &Var)> = graph
        .outputs
        .iter()
        .map(|o| o.name.as_str())
        .zip(outputs)
        .chain(extra.iter().map(|(n, v)| (n.as_str(), v)))
        .collect();
    cx.finish(&named)
}

fn pick(graph: &Graph, inputs: &[Var], names: &[&str]) -> Result<Vec<Var>> {
    names
        .iter()
        .map(|name| {
            graph.inputs.iter().position(|i| i.name == *name).map(|i| inputs[i].clone()).ok_or_else(|| {
                GraphError::Input {
                    name: name.to_string(),
                    expected: "an input of the graph".into(),
                    found: "none".into(),
                }
            })
        })
        .collect::<Result<Vec<Var>>>()
        .and_then(|list| match names.iter().zip(&list).find(|(_, v)| !v.dtype().is_float()) {
            None => Ok(list),
            Some((name, v)) => Err(GraphError::NotDifferentiable {
                op: "input",
                problem: format!("`{name}` is {}, and an integer has no derivative; leave it out", v.ty()),
            }),
        })
}

/// A graph opened at one output and one input.
struct Opened {
    cx: Cx,
    outputs: Vec<Var>,
    x: Var,
    y: Var,
}

fn open(graph: &Graph, output: &str, wrt: &str) -> Result<Opened> {
    let (cx, inputs, outputs) = reopen(graph)?;
    let y = outputs[position(graph, output)?].clone();
    let x = pick(graph, &inputs, &[wrt])?.remove(0);
    Ok(Opened { cx, outputs, x, y })
}

fn position(graph: &Graph, output: &str) -> Result<usize> {
    graph.outputs.iter().position(|o| o.name == output).ok_or_else(|| GraphError::Input {
        name: output.into(),
        expected: "an output of the graph".into(),
        found: "none".into(),
    })
}

fn number(op: &'static str, output: &str, y: &Var) -> Result<()> {
    match y.ty().rank() {
        0 => Ok(()),
        _ => Err(GraphError::NotDifferentiable {
            op,
            problem: format!("output `{output}` is {}, not a number", y.ty()),
        }),
    }
}

/// The graph with further outputs `diff1.<output>` … `diffn.<output>`: derivatives by the rank-0 input `wrt`, from order 3 on
/// by Taylor mode.
pub fn diffn_graph(graph: &Graph, output: &str, wrt: &str, n: usize) -> Result<Graph> {
    let o = open(graph, output, wrt)?;
    number("diffn", wrt, &o.x)?;
    let made = d::derivatives(&o.cx, &o.x, &o.y, n);
    let extra = made.into_iter().enumerate().map(|(k, v)| (format!("diff{}.{output}", k + 1), v)).collect();
    finish(o.cx, graph, &o.outputs, extra)
}

/// The graph with a further output `jacobian.<output>.<wrt>`, sizes (output…, input…), by columns or by rows.
pub fn jacobian_graph(graph: &Graph, output: &str, wrt: &str) -> Result<Graph> {
    let o = open(graph, output, wrt)?;
    let j = d::jacobian(&o.cx, &o.x, &o.y);
    finish(o.cx, graph, &o.outputs, vec![(format!("jacobian.{output}.{wrt}"), j)])
}

/// The graph with further outputs `grad.<wrt>` and `hessian.<wrt>` of the rank-0 output `loss`.
pub fn hessian_graph(graph: &Graph, loss: &str, wrt: &str) -> Result<Graph> {
    let o = open(graph, loss, wrt)?;
    number("hessian", loss, &o.y)?;
    let (g, h) = d::hessian(&o.cx, &o.x, &o.y);
    finish(o.cx, graph, &o.outputs, vec![(format!("grad.{wrt}"), g), (format!("hessian.{wrt}"), h)])
}

/// The graph with a further input `direction.<wrt>` and outputs `grad.<wrt>` and `hvp.<wrt>` of the rank-0 output `loss`.
pub fn hvp_graph(graph: &Graph, loss: &str, wrt: &str) -> Result<Graph> {
    let o = open(graph, loss, wrt)?;
    number("hvp", loss, &o.y)?;
    let v = o.cx.input(&format!("direction.{wrt}"), o.x.ty());
    let (g, h) = d::grad_hvp(&o.cx, &o.x, &o.y, &v);
    finish(o.cx, graph, &o.outputs, vec![(format!("grad.{wrt}"), g), (format!("hvp.{wrt}"), h)])
}

/// The graph with a further output `laplacian.<output>`, by the forward Laplacian.
pub fn laplacian_graph(graph: &Graph, output: &str, wrt: &str) -> Result<Graph> {
    let o = open(graph, output, wrt)?;
    let (_, l) = laplacian(&o.cx, &o.x, &o.y);
    finish(o.cx, graph, &o.outputs, vec![(format!("laplacian.{output}"), l)])
}

/// The graph with a further output `divergence.<output>`.
pub fn divergence_graph(graph: &Graph, output: &str, wrt: &str) -> Result<Graph> {
    let o = open(graph, output, wrt)?;
    let j = d::square_jacobian("divergence", &o.cx, &o.x, &o.y, None);
    let extra = vec![(format!("divergence.{output}"), d::trace_of(&j))];
    finish(o.cx, graph, &o.outputs, extra)
}

/// The graph with further outputs `curl.<output>` and `divergence.<output>`.
pub fn curl_divergence_graph(graph: &Graph, output: &str, wrt: &str) -> Result<Graph> {
    let o = open(graph, output, wrt)?;
    let j = d::square_jacobian("curl", &o.cx, &o.x, &o.y, Some(3));
    let extra =
        vec![(format!("curl.{output}"), d::curl_of(&j)), (format!("divergence.{output}"), d::trace_of(&j))];
    finish(o.cx, graph, &o.outputs, extra)
}

/// The graph on a batch: the inputs in `mapped` and all outputs have a further first axis of `size`.
pub fn vmap_graph(graph: &Graph, mapped: &[&str], size: &Dim) -> Result<Graph> {
    if let Some(name) = mapped.iter().find(|n| graph.input(n).is_none()) {
        return Err(GraphError::Input {
            name: name.to_string(),
            expected: "an input of the graph".into(),
            found: "none".into(),
        });
    }
    let cx = Cx::abstract_();
    let inputs: Vec<(Var, bool)> = graph
        .inputs
        .iter()
        .map(|i| {
            let (ty, batch) = (graph.ty(i.value), mapped.contains(&i.name.as_str()));
            let front = batch.then(|| size.clone());
            let shape = front.into_iter().chain(ty.shape.iter().cloned()).collect();
            (cx.input(&i.name, Type { dtype: ty.dtype, shape }), batch)
        })
        .collect();
    let made = batch_graph(&cx, graph, &inputs, size);
    let outputs: Vec<Var> = made.iter().map(|(y, mapped)| spread(y, *mapped, size)).collect();
    finish(cx, graph, &outputs, vec![])
}

/// The graph with a further output `grad.<name>` for each input in `wrt`: the gradient of the rank-0 output `loss`.
pub fn grad_graph(graph: &Graph, loss: &str, wrt: &[&str], remat: Remat) -> Result<Graph> {
    let (cx, inputs, outputs) = reopen(graph)?;
    let at = graph.outputs.iter().position(|o| o.name == loss).ok_or_else(|| GraphError::Input {
        name: loss.into(),
        expected: "an output of the graph".into(),
        found: "none".into(),
    })?;
    let y = outputs[at].clone();
    if y.ty().rank() != 0 {
        return Err(GraphError::NotDifferentiable {
            op: "grad",
            problem: format!("output `{loss}` is {}, not a number", y.ty()),
        });
    }
    let xs = pick(graph, &inputs, wrt)?;
    let made = pullback(&cx, std::slice::from_ref(&y), &[Some(y.full_like(1.0))], &xs, remat);
    let extra = wrt.iter().zip(made.into_iter().zip(&xs));
    let extra =
        extra.map(|(n, (g, x))| (format!("grad.{n}"), g.unwrap_or_else(|| x.full_like(0.0)))).collect();
    finish(cx, graph, &outputs, extra)
}

/// The graph with a further input `cotangent.<output>` per output and output `cotangent.<input>` per input in `wrt`.
pub fn vjp_graph(graph: &Graph, wrt: &[&str], remat: Remat) -> Result<Graph> {
    let (cx, inputs, outputs) = reopen(graph)?;
    let cts: Vec<Tangent> = graph
        .outputs
        .iter()
        .zip(&outputs)
        .map(|(o, y)| y.dtype().is_float().then(|| cx.input(&format!("cotangent.{}", o.name), y.ty())))
        .collect();
    let xs = pick(graph, &inputs, wrt)?;
    let made = pullback(&cx, &outputs, &cts, &xs, remat);
    let extra = wrt.iter().zip(made.into_iter().zip(&xs));
    let extra =
        extra.map(|(n, (g, x))| (format!("cotangent.{n}"), g.unwrap_or_else(|| x.full_like(0.0)))).collect();
    finish(cx, graph, &outputs, extra)
}

/// The graph with a further input `tangent.<input>` per input in `wrt` and output `tangent.<output>` per output.
pub fn jvp_graph(graph: &Graph, wrt: &[&str]) -> Result<Graph> {
    let (cx, inputs, outputs) = reopen(graph)?;
    let xs = pick(graph, &inputs, wrt)?;
    let ts: Vec<Tangent> =
        wrt.iter().zip(&xs).map(|(n, x)| Some(cx.input(&format!("tangent.{n}"), x.ty()))).collect();
    let made = pushforward(&cx, &xs, &ts, &outputs);
    let zero = |y: &Var| cx.full(&Type { dtype: y.dtype(), shape: y.shape() }, 0.0);
    let extra = graph.outputs.iter().zip(made.into_iter().zip(&outputs));
    let extra = extra
        .filter(|(_, (_, y))| y.dtype().is_float())
        .map(|(o, (t, y))| (format!("tangent.{}", o.name), t.unwrap_or_else(|| zero(y))))
        .collect();
    finish(cx, graph, &outputs, extra)
}
