//! Counters and random bits.

use super::nest::dense;
use super::step::{results, sizes};
use super::value::{Cells, V, int, op2, shaped, to_float};
use super::{Lowering, Scope};
use crate::ir::{Builder, I64, Kind};
use graph::Op;

/// Lowers a source.
pub(crate) fn node(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) {
    let n = &scope.plan.graph.nodes[i as usize];
    let (out, types, dtype) = (results(scope, i)[0], l.types, n.types[0].dtype);
    let write = l.write(b, scope, out);
    let len = write.len;
    if n.op == Op::Iota {
        let (axis, shape) = (n.attrs.int("axis", 0) as usize, sizes(scope, out));
        let (step, size) = (dense(&shape)[axis] as usize, shape[axis]);
        l.kernel(b, "iota", &format!("{dtype:?} {step} {size}"), &[write], false, |b, m| {
            let y = Cells { memory: m[0], dtype, types };
            b.for_(0, len, 1, (), |b, i, ()| {
                let (step, size) = (b.index(step as i64), b.index(size as i64));
                let along = b.divui(i, step);
                let along = b.remui(along, size);
                let k = b.index_cast(along, I64).any();
                let k = if dtype.is_float() { to_float(b, k, types.compute(dtype), false) } else { k };
                y.store(b, i, k);
            });
            None
        });
        return;
    }
    let args = [l.read(b, scope, n.inputs[0]), write];
    l.kernel(b, "random_bits", "", &args, false, |b, m| {
        let cells = |k: usize| Cells { memory: m[k], dtype, types };
        let zero = b.index(0);
        let key = cells(0).load(b, zero, None);
        let ty = shaped(Kind::I64, None);
        b.for_(0, len, 1, (), |b, i, ()| {
            let k = b.index_cast(i, I64).any();
            let one = int(b, ty, 1);
            let k = op2(b, "arith.addi", k, one);
            let golden = int(b, ty, 0x9E37_79B9_7F4A_7C15u64 as i64);
            let step = op2(b, "arith.muli", k, golden);
            let z = op2(b, "arith.addi", key, step);
            let z = mixed(b, z, 30, Some(0xBF58_476D_1CE4_E5B9u64 as i64));
            let z = mixed(b, z, 27, Some(0x94D0_49BB_1331_11EBu64 as i64));
            let z = mixed(b, z, 31, None);
            let half = int(b, ty, 32);
            let high = op2(b, "arith.shrui", z, half);
            cells(1).store(b, i, high);
        });
        None
    });
}

/// (z ^ z >> by) · times, the steps of splitmix64's finaliser.
fn mixed(b: &mut Builder, z: V, by: i64, times: Option<i64>) -> V {
    let by = int(b, z.ty(), by);
    let shifted = op2(b, "arith.shrui", z, by);
    let z = op2(b, "arith.xori", z, shifted);
    match times {
        Some(t) => {
            let t = int(b, z.ty(), t);
            op2(b, "arith.muli", z, t)
        }
        None => z,
    }
}
