//! Attributes of nodes as attributes of operations, and back.

use std::sync::Arc;

use axes::DType;
use graph::Dim;

use super::super::attr::{Attr, Type};
use super::super::dense::Dense;
use super::{dtype, own_word};

/// `#fidelity.sizes<[…]>`.
pub(super) fn sizes(dims: &[Dim]) -> Attr {
    let one = |d: &Dim| d.fixed().map_or_else(|| Attr::Str(d.to_string()), |n| Attr::size(n as u64));
    let parameters = vec![Attr::Array(dims.iter().map(one).collect())];
    Attr::Fidelity { name: "sizes".to_owned(), parameters }
}

/// A size: a number, or a symbol as a string.
pub(super) fn size(attr: &Attr) -> Option<Dim> {
    match attr {
        Attr::Int(n, _) => usize::try_from(*n).ok().map(Dim::from),
        Attr::Bool(n) => Some(Dim::from(usize::from(*n))),
        Attr::Str(text) => Dim::parse(text),
        _ => None,
    }
}

/// The sizes of `#fidelity.sizes<[…]>`.
pub(super) fn read_sizes(attr: &Attr) -> Option<Vec<Dim>> {
    match attr {
        Attr::Fidelity { name, parameters } if name == "sizes" => match &parameters[..] {
            [Attr::Array(items)] => items.iter().map(size).collect(),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn element(d: DType) -> Attr {
    Attr::Type(Type::word(own_word(d)))
}

pub(super) fn read_element(attr: &Attr) -> Option<DType> {
    match attr {
        Attr::Type(Type::Word(word)) => dtype(word),
        _ => None,
    }
}

/// Numbers as a list of f64.
pub(super) fn numbers(values: &Arc<Vec<f64>>) -> Attr {
    Attr::Dense(Dense { values: values.clone(), sizes: vec![values.len() as u64], elem: "f64".to_owned() })
}

/// An attribute of a node; regions are not among them.
pub(super) fn write(attr: &graph::Attr) -> Option<Attr> {
    let integer = |n: i64| Attr::Int(n, Type::word("i64"));
    Some(match attr {
        graph::Attr::Int(n) => integer(*n),
        graph::Attr::Float(v) => Attr::Float(*v, Type::word("f64")),
        graph::Attr::Bool(v) => Attr::Bool(*v),
        graph::Attr::Str(text) => Attr::Str(text.clone()),
        graph::Attr::Ints(all) => Attr::Array(all.iter().map(|&n| integer(n)).collect()),
        graph::Attr::Floats(all) => numbers(all),
        graph::Attr::Dims(all) => sizes(all),
        graph::Attr::DType(d) => element(*d),
        graph::Attr::Graph(_) => return None,
    })
}

/// The attribute of a node that is written so; regions are not among them.
pub(super) fn read(attr: &Attr) -> Option<graph::Attr> {
    Some(match attr {
        Attr::Int(n, _) => graph::Attr::Int(*n),
        Attr::Float(v, _) => graph::Attr::Float(*v),
        Attr::Bool(v) => graph::Attr::Bool(*v),
        Attr::Str(text) => graph::Attr::Str(text.clone()),
        Attr::Array(items) => graph::Attr::Ints(
            items
                .iter()
                .map(|item| match item {
                    Attr::Int(n, _) => Some(*n),
                    _ => None,
                })
                .collect::<Option<_>>()?,
        ),
        Attr::Dense(dense) => graph::Attr::Floats(dense.values.clone()),
        Attr::Fidelity { .. } => graph::Attr::Dims(read_sizes(attr)?),
        Attr::Type(_) => graph::Attr::DType(read_element(attr)?),
        _ => return None,
    })
}
