//! How trits lie in memory: which values are packed, and whether everything that reads them can.
//!
//! An input of trits is one byte each unless [`Options::layouts`] says otherwise. Ternary products read every layout;
//! all else reads bytes, so a packed input with another reader is refused here, before anything runs on it. Weights
//! that the plan quantises itself are packed where nothing but products reads them: a training step then keeps two bits
//! of a weight from the forward to the backward pass.

use crate::{Fused, Optimization, Options, Pattern, PlanError, Target};
use axes::{DType, TritLayout};
use graph::{Graph, Op, Value};
use std::collections::{BTreeSet, HashMap, HashSet};

/// The layout of every value whose trits are not one byte each.
///
/// # Errors
/// A name that is no input ([`PlanError::Unknown`]), an input that is no matrix of trits ([`PlanError::Layout`]), or a
/// packed input that something else than a ternary product reads ([`PlanError::PackedReader`]).
pub fn resolve(
    g: &Graph,
    chains: &[Fused],
    target: &Target,
    options: &Options,
) -> Result<HashMap<Value, TritLayout>, PlanError> {
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
    if let Some(o) = g.outputs.iter().chain(&g.taps).find(|o| layouts.contains_key(&o.value)) {
        return Err(refused(&o.value, &format!("output `{}`", o.name)));
    }
    if target.packs && options.switches.on(Optimization::Layouts) {
        layouts.extend(quantized(g, chains).into_iter().map(|v| (v, TritLayout::Compute)));
    }
    Ok(layouts)
}

/// The trits of weights that are quantised here and that only products read.
fn quantized(g: &Graph, chains: &[Fused]) -> Vec<Value> {
    let made = |v: &Value| {
        let n = g.node(*v);
        let f32s = n.inputs.first().is_some_and(|w| g.ty(*w).dtype == DType::F32 && g.ty(*w).rank() == 2);
        n.op == Op::QuantizeWeights && v.out == 0 && f32s
    };
    let products = chains.iter().filter(|c| c.pattern == Pattern::DequantizedProduct);
    let converted: HashSet<u32> = products.map(|c| c.nodes[0]).collect();
    let mut packed: BTreeSet<Value> = BTreeSet::new();
    let mut others: HashSet<Value> = g.outputs.iter().chain(&g.taps).map(|o| o.value).collect();
    // Inside a chain that makes its trits and uses them up, they have no place at all.
    others.extend(
        chains
            .iter()
            .filter(|c| c.pattern == Pattern::FakeQuantizeWeights)
            .map(|c| Value { node: c.nodes[0], out: 0 }),
    );
    for (i, n) in g.nodes.iter().enumerate() {
        for (k, v) in n.inputs.iter().enumerate().filter(|(_, v)| made(v)) {
            let product = (n.op == Op::TernaryLinear && k == 2 && n.types[0].dtype == DType::F32)
                || converted.contains(&(i as u32));
            if product {
                packed.insert(*v);
            } else {
                others.insert(*v);
            }
        }
    }
    packed.into_iter().filter(|v| !others.contains(v)).collect()
}
