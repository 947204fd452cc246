//! Matrix and scalar memories of a plan.
#![allow(unsafe_code)]

use crate::instr::{Memory, sizes};
use crate::kernels::scan::{
    MatrixCotangents, MatrixGiven, MatrixShape, ScalarCotangents, ScalarGiven, ScalarShape, mlstm,
    mlstm_grad, slstm, slstm_grad,
};
use crate::pool::Pool;
use graph::{Node, Op, Value};
use premap::Plan;

fn matrix(plan: &Plan, n: &Node) -> MatrixShape {
    let (q, v) = (sizes(plan, n.inputs[0]), sizes(plan, n.inputs[2]));
    MatrixShape { batch: q[0], time: q[1], heads: q[2], keys: q[3], values: v[3] }
}

fn scalar(plan: &Plan, n: &Node) -> ScalarShape {
    let x = sizes(plan, n.inputs[0]);
    ScalarShape { batch: x[0], time: x[1], heads: x[3], width: x[4] }
}

/// Elements of memory that a backward form of the scalar memory needs.
pub(crate) fn scratch(plan: &Plan, n: &Node) -> usize {
    scalar(plan, n).grad_scratch()
}

/// Runs the node `i`, one of the ops of a memory in f32.
///
/// # Safety
/// Its operands are written, its results are this step's.
pub(crate) unsafe fn run(m: &Memory<'_>, i: u32, pool: &Pool, scratch: &mut [f32]) {
    let n = &m.plan.graph.nodes[i as usize];
    let out = |k: u32| Value { node: i, out: k };
    let eps = n.attrs.float("eps", 0.0) as f32;
    // SAFETY: the caller's.
    unsafe {
        let read = |k: usize| m.read::<f32>(n.inputs[k]);
        match n.op {
            Op::Mlstm | Op::MlstmGrad => {
                let shape = matrix(m.plan, n);
                let [q, k, v, i, f, c, norm, stable] = [0, 1, 2, 3, 4, 5, 6, 7].map(read);
                let given = MatrixGiven { q, k, v, i, f, c, n: norm, m: stable };
                if n.op == Op::Mlstm {
                    let results = (m.write(out(0)), m.write(out(1)), m.write(out(2)), m.write(out(3)));
                    return mlstm(pool, shape, eps, given, results);
                }
                let [h, dh, dc, dn, dm] = [8, 9, 10, 11, 12].map(read);
                let grads = [0, 1, 2, 3, 4, 5, 6, 7].map(|k| m.write(out(k)));
                mlstm_grad(pool, shape, eps, given, MatrixCotangents { h, dh, dc, dn, dm }, grads);
            }
            _ => {
                let shape = scalar(m.plan, n);
                let [x, r, c, norm, h, stable] = [0, 1, 2, 3, 4, 5].map(read);
                let given = ScalarGiven { x, r, c, n: norm, h, m: stable };
                if n.op == Op::Slstm {
                    let results = (m.write(out(0)), m.write(out(1)), m.write(out(2)), m.write(out(3)));
                    return slstm(pool, shape, given, results);
                }
                let [h, dh, dc, dn, dm] = [6, 7, 8, 9, 10].map(read);
                let grads = [0, 1, 2, 3, 4, 5].map(|k| m.write(out(k)));
                slstm_grad(pool, shape, given, ScalarCotangents { h, dh, dc, dn, dm }, grads, scratch);
            }
        }
    }
}
