//! Values of a scalar graph, computed only as far as they are needed: of a piecewise expression the piece that holds,
//! so that the other one may be undefined there. A step without a value is an error that names it.

use super::print;
use crate::{FurnaceError, Result};
use graph::{Array, Data, EvalCx, Graph, Op, Scalar, Value};

/// A computed value.
#[derive(Clone, Debug)]
enum Known<S> {
    Number(S),
    Truth(bool),
}

/// What an evaluation decided on its way: comparisons, signs, floors; by node. Between two points at which the
/// decisions are the same the function is smooth, as far as its parts are.
pub type Decisions = Vec<(u32, i64)>;

/// The output called `y`, with the inputs in the order of the graph.
pub(super) fn evaluate<S: Scalar>(
    graph: &Graph,
    inputs: &[S],
    mut decisions: Option<&mut Decisions>,
) -> Result<S> {
    let mut known: Vec<Option<Known<S>>> = vec![None; graph.nodes.len()];
    for (named, x) in graph.inputs.iter().zip(inputs) {
        known[named.value.node as usize] = Some(Known::Number(x.clone()));
    }
    let output = super::output(graph)?;
    let mut stack = vec![output.node];
    while let Some(&at) = stack.last() {
        let i = at as usize;
        if known[i].is_some() {
            stack.pop();
            continue;
        }
        let node = &graph.nodes[i];
        let of = |k: usize| node.inputs.get(k).and_then(|v| known[v.node as usize].clone());
        let truth = |k: usize| match of(k) {
            Some(Known::Truth(t)) => Some(t),
            _ => None,
        };
        // What has to be known first, as far as that is known.
        let need: Vec<usize> = match (node.op, truth(0)) {
            (Op::Select, None) | (Op::And | Op::Or, None) => vec![0],
            (Op::Select, Some(c)) => vec![if c { 1 } else { 2 }],
            (Op::And, Some(false)) | (Op::Or, Some(true)) => vec![0],
            _ => (0..node.inputs.len()).collect(),
        };
        let missing: Vec<u32> =
            need.iter().filter(|k| of(**k).is_none()).map(|k| node.inputs[*k].node).collect();
        if !missing.is_empty() {
            stack.extend(missing.iter().rev());
            continue;
        }
        let made = match (node.op, truth(0)) {
            (Op::Select, Some(c)) => of(if c { 1 } else { 2 }),
            (Op::And, Some(false)) => Some(Known::Truth(false)),
            (Op::Or, Some(true)) => Some(Known::Truth(true)),
            (Op::And | Op::Or, _) => of(1),
            (Op::Not, Some(c)) => Some(Known::Truth(!c)),
            _ => None,
        };
        let made = match made {
            Some(made) => made,
            None => {
                let operands: Vec<S> = need
                    .iter()
                    .filter_map(|k| match of(*k) {
                        Some(Known::Number(x)) => Some(x),
                        _ => None,
                    })
                    .collect();
                let made = apply(graph, at, &operands)?;
                if let Known::Number(y) = &made {
                    check(graph, at, &operands, y, inputs)?;
                }
                if let Some(list) = decisions.as_deref_mut() {
                    decide(node.op, at, &operands, &made, list);
                }
                made
            }
        };
        known[i] = Some(made);
        stack.pop();
    }
    match known[output.node as usize].take() {
        Some(Known::Number(y)) => Ok(y),
        _ => Err(super::unfit("the output is a condition, not a number")),
    }
}

/// One op by its row of the table.
fn apply<S: Scalar>(graph: &Graph, at: u32, operands: &[S]) -> Result<Known<S>> {
    let node = &graph.nodes[at as usize];
    let dtype = axes::DType::F64;
    let arrays: Vec<Array<S>> = operands.iter().map(|x| Array::float(dtype, [], vec![x.clone()])).collect();
    let made = node
        .op
        .eval(&EvalCx::default(), &node.attrs, &arrays, &node.types)
        .map_err(|problem| graph::GraphError::Eval { op: node.op.name(), problem })?;
    match made.first().map(|a| &a.data) {
        Some(Data::Float(v)) if v.len() == 1 => Ok(Known::Number(v[0].clone())),
        Some(Data::Int(v)) if v.len() == 1 => Ok(Known::Truth(v[0] != 0)),
        _ => Err(super::unfit("a node is not a number")),
    }
}

/// Refuses what has no value, or none in this arithmetic.
fn check<S: Scalar>(graph: &Graph, at: u32, x: &[S], y: &S, inputs: &[S]) -> Result<()> {
    let (zero, one) = (S::from_f64(0.0), S::from_f64(1.0));
    let op = graph.nodes[at as usize].op;
    let show = |x: &S| short(x.to_f64());
    let problem = match (op, x) {
        (Op::Divide, [a, b]) if *b == zero => format!("{}/0", show(a)),
        (Op::Log, [a]) if *a == zero => "the logarithm of 0".into(),
        (Op::Log, [a]) if *a < zero => format!("the logarithm of {}, which is below 0", show(a)),
        (Op::Sqrt, [a]) if *a < zero => format!("the square root of {}, which is below 0", show(a)),
        (Op::Power, [a, b]) if *a == zero && *b < zero => {
            format!("0 to the power {}, which is below 0", show(b))
        }
        (Op::Power, [a, b]) if y.is_nan() => {
            format!("{} to the power {}, which is not whole", show(a), show(b))
        }
        (_, [a]) if matches!(op.name(), "asin" | "acos") && (a.abs() > one) => {
            format!("the inverse of {}, which is outside [-1, 1]", show(a))
        }
        _ if y.is_nan() => "the result is not a number".into(),
        // Twice a number is another one, unless it is 0 or infinite.
        _ if *y != zero && y.clone() + y.clone() == *y => {
            "the result is beyond the range of this arithmetic; more digits have a larger range".into()
        }
        _ => return Ok(()),
    };
    let place = Value { node: at, out: 0 };
    let point: Vec<String> =
        graph.inputs.iter().zip(inputs).map(|(i, x)| format!("{} = {}", i.name, show(x))).collect();
    let point = if point.is_empty() { String::new() } else { format!(" at {}", point.join(", ")) };
    Err(FurnaceError::Undefined {
        op: op.name().to_string(),
        problem: format!("{problem}, in `{}`{point}", print::excerpt(graph, place)),
    })
}

/// A double as a person reads it.
fn short(x: f64) -> String {
    let text = format!("{x:?}");
    let long = text.len() > 14;
    let text = if long { format!("{x:.6e}") } else { text };
    text.strip_suffix(".0").unwrap_or(&text).to_string()
}

fn decide<S: Scalar>(op: Op, at: u32, x: &[S], y: &Known<S>, list: &mut Decisions) {
    let sign = |x: &S| x.sign().to_f64() as i64;
    let what = match (op, x, y) {
        (Op::Compare, _, Known::Truth(t)) => i64::from(*t),
        (Op::Abs | Op::Sign | Op::Relu, [a], _) => sign(a),
        (Op::Maximum | Op::Minimum, [a, b], _) => i64::from(a >= b),
        (Op::Floor | Op::RoundHalfEven | Op::RoundHalfAway, _, Known::Number(y)) => y.to_f64() as i64,
        (Op::Divide, [_, b], _) => sign(b),
        _ => return,
    };
    list.push((at, what));
}
