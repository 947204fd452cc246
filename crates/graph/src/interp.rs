//! The reference interpreter: every node by its plain-loop evaluation, in any scalar arithmetic.

use crate::array::Array;
use crate::error::{GraphError, Place, Result};
use crate::ir::Graph;
use crate::op::{Cost, EvalCx, Op};
use crate::scalar::Scalar;

/// Outputs and taps of an evaluation, by name and in order.
pub struct Evaluated<S> {
    /// The outputs.
    pub outputs: Vec<(String, Array<S>)>,
    /// The taps.
    pub taps: Vec<(String, Array<S>)>,
}

impl<S> Evaluated<S> {
    /// The output or tap of that name.
    pub fn get(&self, name: &str) -> Option<&Array<S>> {
        self.outputs.iter().chain(&self.taps).find(|(n, _)| n == name).map(|(_, a)| a)
    }
}

/// Evaluates a graph on inputs given in the graph's order; symbols are bound by the inputs' sizes.
///
/// With `round`, every result is rounded to its node's dtype; without, the scalar's precision is kept throughout.
pub fn run<S: Scalar>(graph: &Graph, inputs: Vec<Array<S>>, round: bool) -> Result<Evaluated<S>> {
    run_in(graph, inputs, EvalCx { round, ..EvalCx::default() })
}

/// Like [`run`], in circumstances of one's own; symbols that `cx` binds keep their sizes.
pub fn run_in<S: Scalar>(graph: &Graph, inputs: Vec<Array<S>>, cx: EvalCx) -> Result<Evaluated<S>> {
    run_watched(graph, inputs, cx, &|_, _| {})
}

/// Like [`run_in`]; `watch` is told the number of nodes done and the number of all, before each node of the outermost
/// graph and at the end.
pub fn run_watched<S: Scalar>(
    graph: &Graph,
    inputs: Vec<Array<S>>,
    cx: EvalCx,
    watch: &dyn Fn(usize, usize),
) -> Result<Evaluated<S>> {
    let EvalCx { mut bindings, .. } = cx.clone();
    if inputs.len() != graph.inputs.len() {
        return Err(GraphError::Input {
            name: "(all)".into(),
            expected: format!("{} inputs", graph.inputs.len()),
            found: format!("{}", inputs.len()),
        });
    }
    for (named, a) in graph.inputs.iter().zip(&inputs) {
        a.check(&named.name, graph.ty(named.value), &mut bindings)?;
    }
    let cx = EvalCx { bindings, ..cx };
    S::take_fault();
    let taps = graph.taps.iter().map(|t| t.value);
    let wanted: Vec<_> = graph.outputs.iter().map(|o| o.value).chain(taps).collect();
    let mut values = evaluate(&cx, graph, inputs, &wanted, watch)?;
    let taps = values.split_off(graph.outputs.len());
    let name =
        |list: &[crate::ir::Named], v: Vec<Array<S>>| list.iter().map(|n| n.name.clone()).zip(v).collect();
    Ok(Evaluated { outputs: name(&graph.outputs, values), taps: name(&graph.taps, taps) })
}

/// Evaluates a region: its outputs in order.
pub(crate) fn run_region<S: Scalar>(
    cx: &EvalCx,
    graph: &Graph,
    inputs: Vec<Array<S>>,
) -> Result<Vec<Array<S>>> {
    let wanted: Vec<_> = graph.outputs.iter().map(|o| o.value).collect();
    evaluate(cx, graph, inputs, &wanted, &|_, _| {})
}

fn evaluate<S: Scalar>(
    cx: &EvalCx,
    graph: &Graph,
    inputs: Vec<Array<S>>,
    wanted: &[crate::ir::Value],
    watch: &dyn Fn(usize, usize),
) -> Result<Vec<Array<S>>> {
    let mut values: Vec<Vec<Array<S>>> = vec![vec![]; graph.nodes.len()];
    for (named, mut a) in graph.inputs.iter().zip(inputs) {
        if cx.round {
            crate::cx::round(&mut a);
        }
        values[named.value.node as usize] = vec![a];
    }
    // Values are dropped after their last use, so that long graphs do not hold everything.
    let mut last = vec![0usize; graph.nodes.len()];
    for (i, n) in graph.nodes.iter().enumerate() {
        n.inputs.iter().for_each(|v| last[v.node as usize] = i);
    }
    wanted.iter().for_each(|v| last[v.node as usize] = usize::MAX);
    for (i, n) in graph.nodes.iter().enumerate() {
        watch(i, graph.nodes.len());
        if n.op != Op::Input {
            let operands: Vec<Array<S>> =
                n.inputs.iter().map(|v| values[v.node as usize][v.out as usize].clone()).collect();
            let mut made =
                n.op.eval(cx, &n.attrs, &operands, &n.types)
                    .map_err(|problem| GraphError::Eval { op: n.op.name(), problem })?;
            if let Some(problem) = S::take_fault() {
                let what = format!("%{i}: {}", n.types[0]);
                let places = vec![Place { what, at: n.place }];
                return Err(GraphError::Undefined { op: n.op.name(), problem, places });
            }
            if cx.round {
                made.iter_mut().for_each(crate::cx::round);
            }
            values[i] = made;
        }
        for v in &n.inputs {
            if last[v.node as usize] == i {
                values[v.node as usize].clear();
            }
        }
    }
    watch(graph.nodes.len(), graph.nodes.len());
    wanted
        .iter()
        .map(|v| {
            values[v.node as usize]
                .get(v.out as usize)
                .cloned()
                .ok_or_else(|| GraphError::Eval { op: "input", problem: format!("%{} has no value", v.node) })
        })
        .collect()
}

/// Work of a graph whose sizes are fixed.
pub fn cost(graph: &Graph) -> Cost {
    let mut total = Cost::default();
    for n in &graph.nodes {
        let inputs: Vec<_> = n.inputs.iter().map(|v| graph.ty(*v).clone()).collect();
        total += n.op.cost(&n.attrs, &inputs, &n.types);
    }
    total
}
