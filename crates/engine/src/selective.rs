//! Selective scans and state-space dual forms of a plan.
#![allow(unsafe_code)]

use crate::instr::{Memory, sizes};
use crate::kernels::scan::{Selective, SelectiveGrads, SelectiveShape, selective_scan, selective_scan_grad};
use crate::kernels::scan::{SsdGiven, SsdGrads, SsdShape, ssd, ssd_grad};
use crate::pool::Pool;
use graph::{Node, Op, Value};
use premap::Plan;

fn shape(plan: &Plan, n: &Node) -> SelectiveShape {
    let (x, a) = (sizes(plan, n.inputs[0]), sizes(plan, n.inputs[2]));
    SelectiveShape { batch: x[0], time: x[1], channels: x[2], states: a[1] }
}

/// Elements of memory that the backward form needs.
pub(crate) fn scratch(plan: &Plan, n: &Node) -> usize {
    shape(plan, n).grad_scratch()
}

/// Runs the node `i`, a `selective_scan` or `selective_scan_grad` of f32.
///
/// # Safety
/// Its operands are written, its results are this step's.
pub(crate) unsafe fn run(m: &Memory<'_>, i: u32, pool: &Pool, scratch: &mut [f32]) {
    let n = &m.plan.graph.nodes[i as usize];
    let out = |k: u32| Value { node: i, out: k };
    let shape = shape(m.plan, n);
    // SAFETY: the caller's.
    unsafe {
        let [x, dt, a, b, c] = [0, 1, 2, 3, 4].map(|k| m.read::<f32>(n.inputs[k]));
        let given = Selective { x, dt, a, b, c };
        if n.op == Op::SelectiveScan {
            let results = (m.write(out(0)), m.write(out(1)), m.write(out(2)));
            selective_scan(pool, shape, given, m.read(n.inputs[5]), results);
        } else {
            let [dx, ddt, da, db, dc, dh0] = [0, 1, 2, 3, 4, 5].map(|k| m.write(out(k)));
            let grads = SelectiveGrads { dx, ddt, da, db, dc, dh0 };
            let cotangents = (m.read(n.inputs[6]), m.read(n.inputs[7]));
            selective_scan_grad(pool, shape, given, m.read(n.inputs[5]), cotangents, grads, scratch);
        }
    }
}

fn ssd_shape(plan: &Plan, n: &Node) -> SsdShape {
    let (x, b) = (sizes(plan, n.inputs[0]), sizes(plan, n.inputs[3]));
    SsdShape { batch: x[0], time: x[1], heads: x[2], width: x[3], groups: b[2], states: b[3] }
}

/// Elements of memory that the backward form needs.
pub(crate) fn ssd_scratch(plan: &Plan, n: &Node) -> usize {
    ssd_shape(plan, n).grad_scratch()
}

/// Runs the node `i`, an `ssd` or `ssd_grad` of f32.
///
/// # Safety
/// Its operands are written, its results are this step's.
pub(crate) unsafe fn run_ssd(m: &Memory<'_>, i: u32, pool: &Pool, scratch: &mut [f32]) {
    let n = &m.plan.graph.nodes[i as usize];
    let out = |k: u32| Value { node: i, out: k };
    let shape = ssd_shape(m.plan, n);
    // SAFETY: the caller's.
    unsafe {
        let [x, dt, a, b, c, h0] = [0, 1, 2, 3, 4, 5].map(|k| m.read::<f32>(n.inputs[k]));
        let given = SsdGiven { x, dt, a, b, c, h0 };
        if n.op == Op::Ssd {
            ssd(pool, shape, given, m.write(out(0)), m.write(out(1)));
        } else {
            let [dx, ddt, da, db, dc, dh0] = [0, 1, 2, 3, 4, 5].map(|k| m.write(out(k)));
            let grads = SsdGrads { dx, ddt, da, db, dc, dh0 };
            ssd_grad(pool, shape, given, (m.read(n.inputs[6]), m.read(n.inputs[7])), grads, scratch);
        }
    }
}
