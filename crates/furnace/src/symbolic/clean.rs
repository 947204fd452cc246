//! The exact clean-up of a scalar graph: what changes no bit of the value in any arithmetic.
//!
//! The graph is built again, node by node, so that the exact rules of the graph apply; constants are computed only where
//! the result is exact, since a constant of the graph is that number in every precision (`passes::constants` would round
//! √2 to a double).

use super::number::Rational;
use crate::{FurnaceError, Result};
use graph::{Attr, Cx, Graph, Op, Type, Var, passes};

/// Rounds of the clean-up; each makes the graph smaller or leaves it.
const ROUNDS: usize = 8;

/// The graph without what it does not need.
pub(super) fn clean(graph: &Graph) -> Result<Graph> {
    let mut g = rebuild(&passes::dead_code(graph))?;
    for _ in 0..ROUNDS {
        let next = rebuild(&passes::dead_code(&passes::common_subexpressions(&passes::simplify(&g))))?;
        if next == g {
            break;
        }
        g = next;
    }
    Ok(g)
}

/// The exact number of a constant node: `None` for other nodes and for numbers that are no fraction of moderate size.
pub(super) fn number(graph: &Graph, v: graph::Value) -> Option<Rational> {
    let n = graph.node(v);
    if n.op != Op::Constant {
        return None;
    }
    match (n.attrs.get("decimal"), n.attrs.get("values")) {
        (Some(Attr::Str(text)), _) => Rational::parse(text),
        (_, Some(Attr::Floats(v))) if v.len() == 1 && (v[0] != 0.0 || v[0].is_sign_positive()) => {
            Rational::of(v[0])
        }
        _ => None,
    }
}

fn rebuild(graph: &Graph) -> Result<Graph> {
    let cx = Cx::abstract_();
    let mut map: Vec<Option<Var>> = vec![None; graph.nodes.len()];
    for i in &graph.inputs {
        map[i.value.node as usize] = Some(cx.input(&i.name, graph.ty(i.value).clone()));
    }
    for (i, n) in graph.nodes.iter().enumerate() {
        if map[i].is_some() {
            continue;
        }
        let mut inputs: Vec<Var> = n.inputs.iter().filter_map(|v| map[v.node as usize].clone()).collect();
        let made = match exact(graph, n) {
            Some(x) => cx.full(&n.types[0], x),
            None if n.op == Op::Identity => inputs.remove(0),
            None => {
                // Numbers stand first in a product, last in a sum and a comparison; the order changes no bit.
                let constant = |k: usize| n.inputs.get(k).is_some_and(|v| graph.node(*v).op == Op::Constant);
                let mut attrs = n.attrs.clone();
                match n.op {
                    Op::Multiply if constant(1) && !constant(0) => inputs.swap(0, 1),
                    Op::Add if constant(0) && !constant(1) => inputs.swap(0, 1),
                    Op::Compare if constant(0) && !constant(1) => {
                        inputs.swap(0, 1);
                        attrs = attrs.with("how", Attr::Str(mirrored(n.attrs.str("how")).to_string()));
                    }
                    _ => {}
                }
                cx.push1(n.op, attrs, &inputs.iter().collect::<Vec<_>>())
            }
        };
        map[i] = Some(made);
    }
    let outputs: Vec<(&str, &Var)> = graph
        .outputs
        .iter()
        .filter_map(|o| Some((o.name.as_str(), map[o.value.node as usize].as_ref()?)))
        .collect();
    Ok(cx.finish(&outputs)?)
}

/// The comparison with its sides exchanged.
fn mirrored(how: &str) -> &str {
    match how {
        "lt" => "gt",
        "le" => "ge",
        "gt" => "lt",
        "ge" => "le",
        same => same,
    }
}

/// The value of a node on constants, where every arithmetic gives the same: operands and result are doubles without
/// rounding. A zero is left alone, since its sign depends on how it came to be.
fn exact(graph: &Graph, n: &graph::Node) -> Option<f64> {
    let x = n.inputs.iter().map(|v| number(graph, *v)).collect::<Option<Vec<_>>>()?;
    if x.is_empty() || x.iter().any(|x| x.double().is_none()) {
        return None;
    }
    let y = fold(n.op, n.attrs.str("how"), &x)?;
    if y == Rational::ZERO && !matches!(n.op, Op::Floor | Op::Log | Op::Sine | Op::Tanh | Op::Compare) {
        return None;
    }
    y.double()
}

/// A node on exact numbers; `how` is the comparison's. Truth values are 0 and 1.
pub(super) fn fold(op: Op, how: &str, x: &[Rational]) -> Option<Rational> {
    let zero_to = |y: Rational| (x[0] == Rational::ZERO).then_some(y);
    match (op, x) {
        (Op::Add, [a, b]) => a.add(*b),
        (Op::Subtract, [a, b]) => a.add(b.neg()),
        (Op::Multiply, [a, b]) => a.mul(*b),
        (Op::Divide, [a, b]) => a.div(*b),
        (Op::Power, [a, b]) => a.pow(*b),
        (Op::Negate, [a]) => Some(a.neg()),
        (Op::Abs, [a]) => Some(if a.sign() < 0 { a.neg() } else { *a }),
        (Op::Sign, [a]) => Rational::new(a.sign().into(), 1),
        (Op::Relu, [a]) => Some(if a.sign() > 0 { *a } else { Rational::ZERO }),
        (Op::Floor, [a]) => a.floor(),
        (Op::Sqrt, [a]) => a.sqrt(),
        (Op::Exp | Op::Cosine, [_]) => zero_to(Rational::ONE),
        (Op::Sine | Op::Tanh, [_]) => zero_to(Rational::ZERO),
        (Op::Log, [a]) => (*a == Rational::ONE).then_some(Rational::ZERO),
        (Op::Maximum, [a, b]) => Some(if a.compare(*b)?.is_ge() { *a } else { *b }),
        (Op::Minimum, [a, b]) => Some(if a.compare(*b)?.is_le() { *a } else { *b }),
        (Op::Compare, [a, b]) => {
            let order = a.compare(*b)?;
            let holds = match how {
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                "ge" => order.is_ge(),
                "eq" => order.is_eq(),
                "ne" => order.is_ne(),
                _ => return None,
            };
            Rational::new(holds.into(), 1)
        }
        _ => None,
    }
}

/// Refuses a graph that is not one expression of real numbers.
pub(super) fn check(graph: &Graph) -> Result<()> {
    let number = Type::scalar(axes::DType::F64);
    let truth = Type::scalar(axes::DType::Bool);
    let fits = |n: &graph::Node| n.types.len() == 1 && (n.types[0] == number || n.types[0] == truth);
    match graph.nodes.iter().find(|n| !fits(n)) {
        _ if graph.outputs.len() != 1 => Err(super::unfit("the graph must have one output")),
        Some(n) => Err(FurnaceError::Undefined {
            op: n.op.name().to_string(),
            problem: "an expression is made of numbers (f64[]) and conditions; evaluate this graph with \
                      `graph::interp`"
                .into(),
        }),
        None => Ok(()),
    }
}
