//! Attention with a state, of a plan.
#![allow(unsafe_code)]

use crate::instr::{Memory, sizes};
use crate::kernels::state_matrix::{
    StateGiven, StateGrads, StateShape, state_attention, state_attention_grad,
};
use crate::pool::Pool;
use graph::{Op, Value};

/// Runs the node `i`, a `linear_attention` or `linear_attention_grad` of f32.
///
/// # Safety
/// Its operands are written, its results are this step's.
pub(crate) unsafe fn run(m: &Memory<'_>, i: u32, pool: &Pool) {
    let n = &m.plan.graph.nodes[i as usize];
    let out = |k: u32| Value { node: i, out: k };
    let (q, v) = (sizes(m.plan, n.inputs[0]), sizes(m.plan, n.inputs[2]));
    let shape = StateShape { batch: q[0], time: q[1], heads: q[2], features: q[3], width: v[3] };
    // SAFETY: the caller's.
    unsafe {
        let [q, k, v, s0] = [0, 1, 2, 3].map(|k| m.read::<f32>(n.inputs[k]));
        if n.op == Op::LinearAttention {
            let decay = n.inputs.get(4).map(|v| m.read::<f32>(*v));
            let given = StateGiven { q, k, v, s0, decay };
            state_attention(pool, shape, given, (m.write(out(0)), m.write(out(1))));
        } else {
            let decay = n.inputs.get(6).map(|v| m.read::<f32>(*v));
            let [dq, dk, dv, ds0] = [0, 1, 2, 3].map(|k| m.write(out(k)));
            let ddecay = decay.map(|_| m.write(out(4)));
            let grads = StateGrads { dq, dk, dv, ds0, ddecay };
            let cotangents = (m.read(n.inputs[4]), m.read(n.inputs[5]));
            state_attention_grad(pool, shape, StateGiven { q, k, v, s0, decay }, cotangents, grads);
        }
    }
}
