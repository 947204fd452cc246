//! How trits lie in memory: which inputs are packed, and whether everything that reads them can.
//!
//! An input of trits is one byte each unless [`Options::layouts`] says otherwise. Ternary products read every layout;
//! all else reads bytes, so a packed input with another reader is refused here, before anything runs on it.

use crate::{Options, PlanError};
use axes::{DType, TritLayout};
use graph::{Graph, Op, Value};
use std::collections::HashMap;

/// The layout of every value whose trits are not one byte each.
///
/// # Errors
/// A name that is no input ([`PlanError::Unknown`]), an input that is no matrix of trits ([`PlanError::Layout`]), or a
/// packed input that something else than a ternary product reads ([`PlanError::PackedReader`]).
pub fn resolve(g: &Graph, options: &Options) -> Result<HashMap<Value, TritLayout>, PlanError> {
    let mut layouts = HashMap::new();
    for (name, layout) in &options.layouts {
        let Some(input) = g.inputs.iter().find(|i| i.name == *name) else {
            return Err(PlanError::Unknown { kind: "input", name: name.clone() });
        };
        let ty = g.ty(input.value);
        if ty.dtype != DType::Trit || ty.rank() != 2 {
            return Err(PlanError::Layout { input: name.clone(), layout: *layout, found: ty.to_string() });
        }
        if *layout != TritLayout::Bytes {
            layouts.insert(input.value, *layout);
        }
    }
    let name = |v: &Value| g.inputs.iter().find(|i| i.value == *v).map_or(String::new(), |i| i.name.clone());
    let refused = |v: &Value, reader: &str| PlanError::PackedReader {
        input: name(v),
        layout: layouts.get(v).copied().unwrap_or_default(),
        reader: reader.to_owned(),
    };
    for n in &g.nodes {
        for (k, v) in n.inputs.iter().enumerate().filter(|(_, v)| layouts.contains_key(v)) {
            if n.op != Op::TernaryLinear || k != 2 {
                return Err(refused(v, n.op.name()));
            }
        }
    }
    match g.outputs.iter().chain(&g.taps).find(|o| layouts.contains_key(&o.value)) {
        Some(o) => Err(refused(&o.value, &format!("output `{}`", o.name))),
        None => Ok(layouts),
    }
}
