//! Attention over caches that a plan updates in place, or copies first where it cannot.
#![allow(unsafe_code)]

use crate::instr::{Memory, sizes};
use crate::kernels::attention::{self as kernels, AttentionShape, Caches};
use crate::pool::Pool;
use graph::Value;

/// Runs the node `i`, a `kv_attention` of f32.
///
/// # Safety
/// Its operands are written, its results are this step's.
pub(crate) unsafe fn attention(m: &Memory<'_>, i: u32, pool: &Pool) -> Result<(), String> {
    let n = &m.plan.graph.nodes[i as usize];
    let out = |k: u32| Value { node: i, out: k };
    let (q, cache) = (sizes(m.plan, n.inputs[0]), sizes(m.plan, n.inputs[3]));
    let shape = AttentionShape {
        batch: q[0],
        time: q[1],
        heads: q[2],
        width: q[3],
        places: cache[1],
        groups: cache[2],
    };
    for (operand, result) in n.op.in_place() {
        let Some(from) = n.inputs.get(*operand) else { break };
        let (from, to) = (*from, out(*result as u32));
        if m.at(from) != m.at(to) {
            // SAFETY: both have one type, and lie apart unless the plan updates the cache in place.
            unsafe { std::ptr::copy_nonoverlapping(m.at(from), m.at(to), m.len(from) * m.size(from)) };
        }
    }
    // SAFETY: see above; the caches are this step's results, and no operand is read at their address from here on.
    unsafe {
        let position = m.read::<i64>(n.inputs[5])[0];
        let first = graph::ops::attention::check_position(position, shape.time, shape.places)?;
        let mut caches = match n.inputs.len() {
            6 => Caches::F32([m.write(out(1)), m.write(out(2))]),
            _ => Caches::I8([m.write(out(1)), m.write(out(2))], [m.write(out(3)), m.write(out(4))]),
        };
        let new = [m.read(n.inputs[1]), m.read(n.inputs[2])];
        let scale = n.attrs.float("scale", 1.0) as f32;
        kernels::kv_attention(
            pool,
            shape,
            m.read(n.inputs[0]),
            new,
            &mut caches,
            first,
            scale,
            m.write(out(0)),
        );
    }
    Ok(())
}
