//! Symbolic derivatives: expressions as text, their graphs, and graphs as text again.
//!
//! An [`Expression`] is a text and the graph of it; nothing is computed until a number is asked for, and then in the
//! arithmetic that is asked for. A number in the text is that decimal: `0.1` is one tenth, not the double next to it. A
//! derivative is another expression, made by the same forward rules as every other derivative of this crate, and simplified
//! after each order.
//!
//! ```
//! use furnace::symbolic::{Expression, Rules};
//!
//! let f: Expression = "if x < 0 then 0.1*(exp(x) - 1) else x/(1 + x)".parse()?;
//! let slope = f.derivative("x", Rules::Real)?;
//! assert_eq!(slope.to_string(), "if x < 0 then 0.1*exp(x) else (x + 1)^(-2)");
//! assert_eq!(slope.value(&[("x", 1.0)])?, 0.25);
//! # Ok::<(), furnace::FurnaceError>(())
//! ```
//!
//! * [`TABLE`]: the rules of the simplifier. Exact ones are always on; [`Rules::Real`] adds those that round otherwise.
//! * [`Expression::to_rust`], [`Expression::to_latex`], and [`std::fmt::Display`], which parses back.
//! * [`Expression::value`]: only what is needed is computed, so an undefined piece that does not hold does no harm; where
//!   there is no value the error names the step.

mod clean;
mod evaluate;
mod functions;
mod number;
mod parse;
mod print;
mod rules;
mod saturate;

pub use evaluate::Decisions;
pub use parse::{DEEPEST, LONGEST};
pub use rules::{Guard, Kind, Rule, Rules, TABLE};

use crate::{FurnaceError, Result, pushforward};
use graph::{Cx, Graph, GraphError, Scalar, Value, Var, passes};
use std::fmt;
use std::str::FromStr;

/// Nodes that a derivative may have.
pub const MOST_NODES: usize = 20_000;

/// An expression of real numbers: a graph with variables by name and one output.
#[derive(Clone, Debug)]
pub struct Expression {
    graph: Graph,
    text: String,
}

impl FromStr for Expression {
    type Err = FurnaceError;

    fn from_str(text: &str) -> Result<Expression> {
        Ok(Expression { graph: parse::parse(text)?, text: text.to_string() })
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Expression {
    /// Of a graph with one output whose nodes are all `f64` or `bool` numbers without axes.
    ///
    /// # Errors
    /// Other graphs, and ops that have no written form.
    pub fn from_graph(graph: &Graph) -> Result<Expression> {
        clean::check(graph)?;
        let output = output(graph)?;
        let text = print::text(graph, output)?;
        Ok(Expression { graph: graph.clone(), text })
    }

    /// The graph: everything else of the framework applies to it.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The variables, in the order of their first appearance.
    pub fn variables(&self) -> Vec<&str> {
        self.graph.inputs.iter().map(|i| i.name.as_str()).collect()
    }

    /// How many nodes the value needs, shared ones counted once.
    pub fn nodes(&self) -> usize {
        live(&self.graph).iter().filter(|l| **l).count()
    }

    /// A form of the same value that costs less, or the same form.
    pub fn simplified(&self, rules: Rules) -> Result<Expression> {
        clean::check(&self.graph)?;
        let mut g = clean::clean(&self.graph)?;
        // Each round starts from the last one's result, which it could not see behind its limits.
        for _ in 0..8 {
            let next = saturate::saturate(&g, rules)?;
            if next == g {
                break;
            }
            g = next;
        }
        Expression::from_graph(&g)
    }

    /// The derivative with respect to a variable, by forward mode: at a kink, that of the branch that the value takes.
    /// A name that is no variable of the expression has derivative 0.
    pub fn derivative(&self, variable: &str, rules: Rules) -> Result<Expression> {
        Expression { graph: derived(&self.graph, variable)?, text: String::new() }.simplified(rules)
    }

    /// The expression and its derivatives up to an order.
    ///
    /// # Errors
    /// A derivative of more than [`MOST_NODES`] nodes.
    pub fn derivatives(&self, variable: &str, order: usize, rules: Rules) -> Result<Vec<Expression>> {
        let mut all = vec![self.clone()];
        for k in 1..=order {
            let next = all[k - 1].derivative(variable, rules)?;
            if next.nodes() > MOST_NODES {
                let problem = format!("order {k} has {} nodes, at most {MOST_NODES} are made", next.nodes());
                return Err(unfit(&format!("{problem}; ask for a lower order")));
            }
            all.push(next);
        }
        Ok(all)
    }

    /// How many nodes nested derivatives of each order up to `order` have when nothing is simplified between them but what
    /// every graph does while it is built. The list ends before the first with more than [`MOST_NODES`].
    pub fn nested_nodes(&self, variable: &str, order: usize) -> Result<Vec<usize>> {
        let mut g = self.graph.clone();
        let mut counts = vec![self.nodes()];
        for _ in 0..order {
            g = passes::dead_code(&derived(&g, variable)?);
            let nodes = live(&g).iter().filter(|l| **l).count();
            if nodes > MOST_NODES {
                break;
            }
            counts.push(nodes);
        }
        Ok(counts)
    }

    /// The value, in the arithmetic of the scalars that the variables are given in.
    ///
    /// # Errors
    /// A variable without a value, a value for what is no variable, a point at which the expression has no value.
    pub fn value<S: Scalar>(&self, at: &[(&str, S)]) -> Result<S> {
        evaluate::evaluate(&self.graph, &self.bound(at)?, None)
    }

    /// The value, and what was decided on the way to it; see [`Decisions`].
    pub fn value_and_decisions<S: Scalar>(&self, at: &[(&str, S)], decisions: &mut Decisions) -> Result<S> {
        evaluate::evaluate(&self.graph, &self.bound(at)?, Some(decisions))
    }

    fn bound<S: Scalar>(&self, at: &[(&str, S)]) -> Result<Vec<S>> {
        let names = || self.variables().join(", ");
        if let Some((name, _)) = at.iter().find(|(name, _)| !self.variables().contains(name)) {
            return Err(input(name, "a variable of the expression", &format!("one of: {}", names())));
        }
        let value = |name: &&str| at.iter().find(|(n, _)| n == name).map(|(_, x)| x.clone());
        self.variables().iter().map(|n| value(n).ok_or_else(|| input(n, "a value", "none"))).collect()
    }

    /// A Rust function of that name over `f64`, with helpers after it where std lacks a function.
    pub fn to_rust(&self, name: &str) -> Result<String> {
        to_rust(&[(name, self)])
    }

    /// LaTeX, for a document that has `amsmath`.
    pub fn to_latex(&self) -> Result<String> {
        print::latex(&self.graph, output(&self.graph)?)
    }
}

/// Rust functions over `f64` by name, with one copy of the helpers that they call after them.
pub fn to_rust(functions: &[(&str, &Expression)]) -> Result<String> {
    let list = functions.iter().map(|(name, e)| Ok((*name, &e.graph, output(&e.graph)?)));
    print::rust(&list.collect::<Result<Vec<_>>>()?)
}

/// Whether a word can be a variable of an expression: it is no function, constant or word of the language.
pub fn is_variable(name: &str) -> bool {
    parse::is_variable(name)
}

fn input(name: &str, expected: &str, found: &str) -> FurnaceError {
    GraphError::Input { name: name.into(), expected: expected.into(), found: found.into() }.into()
}

fn unfit(problem: &str) -> FurnaceError {
    GraphError::NotDifferentiable { op: "expression", problem: problem.into() }.into()
}

fn output(graph: &Graph) -> Result<Value> {
    graph.outputs.first().map(|o| o.value).ok_or_else(|| unfit("the graph has no output"))
}

/// Which nodes the output needs.
fn live(graph: &Graph) -> Vec<bool> {
    let mut live = vec![false; graph.nodes.len()];
    if let Some(o) = graph.outputs.first() {
        live[o.value.node as usize] = true;
    }
    for i in (0..live.len()).rev().filter(|i| live[*i]).collect::<Vec<_>>() {
        mark(graph, i, &mut live);
    }
    live
}

fn mark(graph: &Graph, from: usize, live: &mut [bool]) {
    let mut stack = vec![from];
    while let Some(i) = stack.pop() {
        for v in &graph.nodes[i].inputs {
            let j = v.node as usize;
            if !live[j] {
                live[j] = true;
                stack.push(j);
            }
        }
    }
}

/// The derivative as it comes out of the rules.
fn derived(graph: &Graph, variable: &str) -> Result<Graph> {
    let cx = Cx::abstract_();
    let inputs: Vec<Var> =
        graph.inputs.iter().map(|i| cx.input(&i.name, graph.ty(i.value).clone())).collect();
    let y = cx.inline(graph, &inputs)?.into_iter().next().ok_or_else(|| unfit("the graph has no output"))?;
    let tangent = match graph.inputs.iter().position(|i| i.name == variable) {
        Some(i) => {
            pushforward(&cx, &inputs[i..=i], &[Some(inputs[i].full_like(1.0))], std::slice::from_ref(&y))
        }
        None => vec![None],
    };
    let slope = tangent.into_iter().next().flatten().unwrap_or_else(|| y.full_like(0.0));
    Ok(cx.finish(&[("y", &slope)])?)
}
