//! What steps and memory are called in reports.

use crate::{Buffer, Group, Pattern, Plan, Step};
use axes::{DType, TritLayout};
use graph::{Class, Op, Value};

/// The name of a step: a fusion pattern of these architectures, or the op.
pub fn step(plan: &Plan, step: &Step) -> String {
    match step {
        Step::Fused(f) => {
            let products = (f.inputs.len().saturating_sub(2)) / 2;
            match f.pattern {
                Pattern::RmsNormQuantize => "norm + quantise".into(),
                Pattern::RmsNormFakeQuantize => "norm + quantise, as floats".into(),
                Pattern::FakeQuantizeWeights => "quantise weights, as floats".into(),
                Pattern::SumOfProducts => "product + sum".into(),
                Pattern::DequantizedProduct => match plan.graph.ty(f.inputs[1]).dtype {
                    DType::Trit => "product with trits".into(),
                    _ => "product with int8".into(),
                },
                Pattern::TernaryProducts => format!("{products} ternary products"),
                Pattern::TernaryGated => "ternary products + gate".into(),
                Pattern::TernaryAdd => "ternary product + residual".into(),
            }
        }
        Step::Group(g) => group(plan, g),
        Step::Copy { .. } => "copy to an output".into(),
        Step::Node(n) | Step::Control(n, _) => {
            let op = plan.graph.nodes[*n as usize].op;
            match op {
                Op::TernaryLinear => "ternary product".into(),
                Op::BlockLinear => "product with blocks".into(),
                Op::DotGeneral => "product of floats".into(),
                Op::LinearScan => "scan".into(),
                Op::LinearScanGrad => "scan, backward".into(),
                Op::SelectiveScan => "selective scan".into(),
                Op::LinearAttention => "linear attention".into(),
                Op::LinearAttentionGrad => "linear attention, backward".into(),
                Op::SelectiveScanGrad => "selective scan, backward".into(),
                Op::Ssd => "state-space dual".into(),
                Op::SsdGrad => "state-space dual, backward".into(),
                Op::RmsNorm => "norm".into(),
                Op::RmsNormGrad => "norm, backward".into(),
                Op::QuantizeActivations => "quantise".into(),
                Op::QuantizeWeights => "quantise weights".into(),
                Op::KvAttention => "attention".into(),
                Op::Gather | Op::BlockRows => "rows of a table".into(),
                Op::Scan | Op::While => "loop".into(),
                _ => op.name().replace('_', " "),
            }
        }
    }
}

/// What a fused loop is for, as far as its members tell.
fn group(plan: &Plan, g: &Group) -> String {
    let ops: Vec<Op> = g.nodes.iter().map(|n| plan.graph.nodes[*n as usize].op).collect();
    let has = |list: &[Op]| ops.iter().any(|o| list.contains(o));
    let replaces = g.outputs.iter().any(|v| {
        let output = plan.place(*v).map(|p| &plan.buffers[p.buffer as usize]);
        matches!(output, Some(Buffer::Output(o)) if plan.donated.iter().any(|(_, d)| d == o))
    });
    if replaces {
        return "update in place".into();
    }
    if has(&[Op::Sigmoid, Op::Silu, Op::Tanh]) && has(&[Op::Multiply]) {
        return "gate".into();
    }
    match ops[..] {
        [Op::Add] => "residual".into(),
        [one] => one.name().replace('_', " "),
        _ => format!("loop of {} ops", ops.len()),
    }
}

/// What the memory of a value is for.
pub fn role(plan: &Plan, v: Value) -> &'static str {
    let (n, ty) = (plan.graph.node(v), plan.graph.ty(v));
    match n.op {
        Op::QuantizeActivations | Op::QuantizeWeights if v.out == 0 => "int8 and trits",
        Op::LinearScan | Op::SelectiveScan | Op::LinearAttention | Op::Scan | Op::KvAttention => "states",
        Op::RmsNormGrad | Op::LinearScanGrad | Op::SelectiveScanGrad | Op::CrossEntropyGrad => "gradients",
        Op::TernaryLinear | Op::BlockLinear | Op::DotGeneral => "products",
        _ if matches!(ty.dtype, DType::I8 | DType::Trit) => "int8 and trits",
        Op::RmsNorm => "norms and scales",
        Op::QuantizeActivations | Op::QuantizeWeights => "norms and scales",
        op if op.class() == Class::Elementwise => "elementwise",
        op if op.class() == Class::Reduce => "norms and scales",
        _ => "moved",
    }
}

/// Every role, in the order of the pictures' colours.
pub const ROLES: [&str; 7] =
    ["elementwise", "products", "int8 and trits", "states", "gradients", "norms and scales", "moved"];

/// How trits lie, in words: row blocks, bit planes, interleave.
pub const fn layout(layout: TritLayout) -> &'static str {
    match layout {
        TritLayout::Bytes => "a byte each, row after row",
        TritLayout::Compute => {
            "two bits each (code t + 1): groups of 4 rows interleaved in blocks of 256 columns, 64 bytes a row and block, \
             in 4 bit planes of 64 neighbouring columns"
        }
        TritLayout::Interchange => {
            "two bits each (00 = 0, 01 = −1, 10 = +1), row after row, neighbouring columns side by side"
        }
        TritLayout::Storage => "five a byte (base 3), row after row",
    }
}
