//! What operations of the dialect are in a graph, one family a file. Leading axes are axes of the graph's values; axes and units
//! are names, and leave no trace.

mod elementwise;
mod model;
mod norm;
mod products;
mod recurrent;

use graph::{Cx, Dim, Type as Of, Var};

use super::super::attr::{Attr, Type};
use super::super::table;
use super::types::parts;

/// A value of the dialect in a graph.
#[derive(Clone)]
pub(super) enum Item {
    /// Numbers.
    One(Var),
    /// int8 numbers and the scales of their rows: x = q / s.
    Quantized(Var, Var),
    /// Trits and their scale: w = t / s.
    Ternary(Var, Var),
}

impl Item {
    /// The graph's values.
    pub(super) fn vars(&self) -> Vec<Var> {
        match self {
            Item::One(v) => vec![v.clone()],
            Item::Quantized(v, s) | Item::Ternary(v, s) => vec![v.clone(), s.clone()],
        }
    }
}

/// An operation with its operands.
pub(super) struct Call<'a> {
    pub(super) cx: &'a Cx,
    pub(super) name: &'a str,
    pub(super) items: Vec<Item>,
    pub(super) types: Vec<Type>,
    pub(super) results: Vec<Type>,
    pub(super) attributes: &'a [(String, Attr)],
}

type Made = Result<Vec<Item>, String>;

/// The results.
pub(super) fn build(call: &Call<'_>) -> Made {
    match table::op(call.name).map(|row| row.family) {
        Some("Products and quantisation") => products::build(call),
        Some("Norms") => norm::build(call),
        Some("Elementwise") => elementwise::build(call),
        Some("Recurrences") => recurrent::build(call),
        Some(_) => model::build(call),
        None => Err(format!("the dialect has no operation `{}`", call.name)),
    }
}

impl Call<'_> {
    /// Operand `k`, which carries no scales.
    fn var(&self, k: usize) -> Result<Var, String> {
        match self.items.get(k) {
            Some(Item::One(v)) => Ok(v.clone()),
            Some(_) => Err(format!("operand {k} carries scales; `dequantize` gives its numbers")),
            None => Err(format!("operand {k} is missing")),
        }
    }

    fn has(&self, k: usize) -> bool {
        k < self.items.len()
    }

    /// A number that the operation names.
    fn float(&self, name: &str) -> Result<f64, String> {
        match self.attributes.iter().find(|(own, _)| own == name) {
            Some((_, Attr::Float(v, _))) => Ok(*v),
            _ => Err(format!("has no number `{name}`; write {{{name} = 1.0e-6 : f32}}")),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.iter().find(|(own, _)| own == name) {
            Some((_, Attr::Str(text))) => Some(text),
            _ => None,
        }
    }

    /// The graph's type of result `k`; sizes that are open there are an error.
    fn result(&self, k: usize) -> Result<Of, String> {
        let ty = self.results.get(k).ok_or_else(|| format!("result {k} is missing"))?;
        parts(ty)?.into_iter().next().ok_or_else(|| "the result is a size".to_owned())
    }

    /// Whether result `k` is one of the dialect's own types.
    fn own(&self, k: usize) -> bool {
        matches!(self.results.get(k), Some(Type::Fidelity { .. }))
    }

    fn none<T>(&self) -> Result<T, String> {
        Err(format!("`{}` has no meaning in a graph in this form", self.name))
    }
}

fn one(v: Var) -> Made {
    Ok(vec![Item::One(v)])
}

/// The product of sizes.
fn count(dims: &[Dim]) -> Dim {
    dims.iter().fold(Dim::from(1), |n, d| &n * d)
}

/// The last axis.
fn last(v: &Var) -> Result<usize, String> {
    v.ty().rank().checked_sub(1).ok_or_else(|| format!("{} has no axis", v.ty()))
}

/// `v` along further axes behind its own.
fn behind(v: &Var, like: &[Dim]) -> Var {
    let own: Vec<usize> = (0..v.ty().rank()).collect();
    v.broadcast(like, &own)
}

/// `v` along further axes in front of its own.
fn ahead(v: &Var, like: &[Dim]) -> Var {
    let rank = v.ty().rank();
    let from = like.len().saturating_sub(rank);
    v.broadcast(like, &(from..like.len()).collect::<Vec<_>>())
}
