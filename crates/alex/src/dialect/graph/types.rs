//! What values of the dialect's types are in a graph: one value, or two for what carries its scales.

use axes::{BlockFormat, DType};
use graph::{Dim, Type as Of};

use super::super::attr::{Attr, Type};
use super::attrs::size;
use super::{dtype, word};

/// The types of the graph's values behind one of this type; `None` where a size is open or an element type is not the
/// graph's. `index` has none: it is known while the graph is made.
pub(super) fn parts(ty: &Type) -> Result<Vec<Of>, String> {
    let (name, p) = match ty {
        Type::Tensor { sizes, elem } => {
            let one = |n: &Option<u64>| n.map(|n| Dim::from(n as usize)).ok_or_else(|| open(ty));
            let shape = sizes.iter().map(one).collect::<Result<Vec<_>, _>>()?;
            return Ok(vec![Of { dtype: element(elem)?, shape }]);
        }
        Type::Fidelity { name, parameters } => (name.as_str(), parameters),
        Type::Word(word) if word == "index" => return Ok(vec![]),
        other => return Err(format!("a graph has no values of type {other}")),
    };
    let at = |k: usize| p.get(k).and_then(size).ok_or_else(|| format!("{ty}: parameter {k} is no size"));
    let lead = |k: usize| match p.get(k) {
        Some(Attr::Array(items)) => items
            .iter()
            .map(size)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| format!("{ty} has no such sizes")),
        _ => Err(format!("{ty} has no leading sizes")),
    };
    let elem = |k: usize| match p.get(k) {
        Some(Attr::Type(word)) => element(word),
        _ => Err(format!("{ty}: parameter {k} is no element type")),
    };
    let of = |dtype: DType, shape: Vec<Dim>| Of { dtype, shape };
    let behind = |mut lead: Vec<Dim>, rest: &[Dim]| {
        lead.extend_from_slice(rest);
        lead
    };
    Ok(match name {
        "vector" | "state" => vec![of(elem(2)?, behind(lead(0)?, &[at(1)?]))],
        "matrix_state" => vec![of(elem(3)?, behind(lead(0)?, &[at(1)?, at(2)?]))],
        "matrix" => vec![of(elem(2)?, vec![at(0)?, at(1)?])],
        "coefficients" => vec![of(elem(1)?, vec![at(0)?])],
        "factor" => vec![of(elem(0)?, vec![])],
        "scalar" => vec![of(elem(1)?, lead(0)?)],
        "tokens" => vec![of(DType::I64, lead(0)?)],
        "quantized" => vec![of(DType::I8, behind(lead(0)?, &[at(1)?])), of(DType::F32, lead(0)?)],
        "ternary" => vec![of(DType::Trit, vec![at(0)?, at(1)?]), of(DType::F32, vec![])],
        "blocks" => {
            let format = format(ty)?;
            let columns = at(1)?;
            let bytes = columns.fixed().and_then(|k| format.row_bytes(k));
            let bytes = bytes.ok_or_else(|| {
                format!("{columns} columns of {format}: expected a multiple of {}", format.block())
            })?;
            vec![of(DType::U8, vec![at(0)?, bytes.into()])]
        }
        other => return Err(format!("a graph has no values of type `{other}`")),
    })
}

/// The format of a matrix in blocks.
pub(super) fn format(ty: &Type) -> Result<BlockFormat, String> {
    match ty {
        Type::Fidelity { parameters, .. } => match parameters.get(4) {
            Some(Attr::Str(name)) => name.parse().map_err(|e: axes::AxesError| e.to_string()),
            _ => Err(format!("{ty} names no format")),
        },
        other => Err(format!("{other} is no matrix in blocks")),
    }
}

pub(super) fn element(ty: &Type) -> Result<DType, String> {
    match ty {
        Type::Word(word) => dtype(word).ok_or_else(|| {
            format!("a graph has no elements of type {word}; use f64 here and compile with `--dtype {word}`")
        }),
        other => Err(format!("{other} is no element type")),
    }
}

fn open(ty: &Type) -> String {
    format!("{ty} leaves a size open")
}

/// What the second part of a value is called.
pub(super) fn second(ty: &Type) -> &'static str {
    match ty {
        Type::Fidelity { name, .. } if name == "quantized" || name == "ternary" => ".scale",
        _ => "",
    }
}

/// Whether a graph's type is what the dialect's type says, as far as it says it.
pub(super) fn agrees(ty: &Type, found: &[Of]) -> Result<(), String> {
    let list = |found: &[Of]| found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    let wrong = || format!("the result is declared as {ty}, and is {}", list(found));
    let fits = match ty {
        Type::Tensor { sizes, elem } => {
            let [of] = found else { return Err(wrong()) };
            matches!(&**elem, Type::Word(w) if w == word(of.dtype))
                && sizes.len() == of.rank()
                && sizes.iter().zip(&of.shape).all(|(n, d)| match n {
                    Some(n) => d.fixed() == Some(*n as usize),
                    None => true,
                })
        }
        Type::Word(_) => true,
        ty => {
            let wanted = parts(ty)?;
            // Scales are in the arithmetic of what was quantised.
            let scaled = wanted.len() == 2;
            let same = |a: &Of, b: &Of| {
                a == b || scaled && a.dtype.is_float() && b.dtype.is_float() && a.shape == b.shape
            };
            wanted.len() == found.len() && wanted.iter().zip(found).all(|(a, b)| same(a, b))
        }
    };
    if fits { Ok(()) } else { Err(wrong()) }
}
