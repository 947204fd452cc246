//! The operators on graphs: graph in, graph out.

use crate::{Remat, pullback, pushforward};
use graph::{Cx, Graph, GraphError, Result, Tangent, Type, Var};

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
        .collect()
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
