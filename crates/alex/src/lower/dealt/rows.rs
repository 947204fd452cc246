//! Norms and quantisers, some rows a task.

use super::{matrix, moved, piece};
use crate::cpu::norm::{self, Rounding};
use crate::deal::Round;
use crate::ir::{Builder, F32, I8, MemRef};
use crate::lower::step::results;
use crate::lower::{Lowering, Scope};
use graph::Op;
use premap::Fused;
use premap::cut::ROWS;

pub(super) fn node(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) -> bool {
    let n = &scope.plan.graph.nodes[i as usize];
    let out = results(scope, i);
    let [rows, cols] = matrix(scope, n.inputs[0]);
    let (isa, tasks) = (l.isa, rows.div_ceil(ROWS));
    let floats = |rows: usize| MemRef::new(F32, [rows as i64, cols as i64]);
    let scales = |rows: usize| MemRef::new(F32, [rows as i64]);
    let bytes = |rows: usize| MemRef::new(I8, [rows as i64, cols as i64]);
    if n.op == Op::RmsNorm {
        let eps = n.attrs.float("eps", 0.0) as f32;
        let args = [
            l.read(b, scope, n.inputs[0]),
            l.read(b, scope, n.inputs[1]),
            l.write(b, scope, out[0]),
            l.write(b, scope, out[1]),
        ];
        l.dealt(b, scope, "norm", &format!("{rows}x{cols} {eps:?}"), &args, || {
            vec![Round::new(tasks, move |b, at, task| {
                piece(b, task, rows, ROWS, |b, first, count| {
                    let f = norm::rms_norm(b.module(), isa, count, cols, eps);
                    let x = moved(b, at[0], first, 4 * cols, floats(count));
                    let w = b.memref_from_ptr(at[1], MemRef::new(F32, [cols as i64]), &[]);
                    let y = moved(b, at[2], first, 4 * cols, floats(count));
                    let r = moved(b, at[3], first, 4, scales(count));
                    b.call(&f, (x, w, y, r));
                });
            })]
        });
        return true;
    }
    let Some(rounding) = Rounding::named(n.attrs.str("rounding")) else { return false };
    let args = [l.read(b, scope, n.inputs[0]), l.write(b, scope, out[0]), l.write(b, scope, out[1])];
    l.dealt(b, scope, "quantize", &format!("{rows}x{cols} {rounding:?}"), &args, || {
        vec![Round::new(tasks, move |b, at, task| {
            piece(b, task, rows, ROWS, |b, first, count| {
                let f = norm::quantize_activations(b.module(), isa, count, cols, rounding);
                let y = moved(b, at[0], first, 4 * cols, floats(count));
                let q = moved(b, at[1], first, cols, bytes(count));
                let s = moved(b, at[2], first, 4, scales(count));
                b.call(&f, (y, q, s));
            });
        })]
    });
    true
}

/// A norm with the quantiser behind it.
pub(super) fn chain(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, f: &Fused) -> bool {
    let values = [&f.inputs[..], &f.outputs].concat();
    let node = |k: usize| &scope.plan.graph.nodes[f.nodes[k] as usize];
    let Some(rounding) = Rounding::named(node(1).attrs.str("rounding")) else { return false };
    if !super::fast::plain(l, scope, &values) {
        return false;
    }
    let eps = node(0).attrs.float("eps", 0.0) as f32;
    let [rows, cols] = matrix(scope, f.inputs[0]);
    let isa = l.isa;
    let args = [
        l.read(b, scope, f.inputs[0]),
        l.read(b, scope, f.inputs[1]),
        l.write(b, scope, f.outputs[2]),
        l.write(b, scope, f.outputs[0]),
        l.write(b, scope, f.outputs[1]),
    ];
    l.dealt(b, scope, "norm_quantize", &format!("{rows}x{cols} {eps:?} {rounding:?}"), &args, || {
        vec![Round::new(rows.div_ceil(ROWS), move |b, at, task| {
            piece(b, task, rows, ROWS, |b, first, count| {
                let f = norm::rms_norm_quantize(b.module(), isa, count, cols, eps, rounding);
                let ty = MemRef::new(F32, [count as i64, cols as i64]);
                let x = moved(b, at[0], first, 4 * cols, ty);
                let w = b.memref_from_ptr(at[1], MemRef::new(F32, [cols as i64]), &[]);
                let q = moved(b, at[2], first, cols, MemRef::new(I8, [count as i64, cols as i64]));
                let [r, s] = [3, 4].map(|k| moved(b, at[k], first, 4, MemRef::new(F32, [count as i64])));
                b.call(&f, (x, w, q, r, s));
            });
        })]
    });
    true
}
