//! Recurrences that the kernels of [`crate::cpu`] run.

use super::super::step::{results, sizes};
use super::super::{Lowering, Scope};
use super::of;
use crate::cpu::{scan, selective};
use crate::ir::{Builder, F32};
use graph::Node;
use premap::Plan;

/// The sizes of a selective scan, where there is something to scan.
pub(super) fn shape(plan: &Plan, n: &Node) -> Option<selective::Shape> {
    let [x, a] = [0, 2].map(|k| plan.graph.ty(n.inputs[k]).fixed_shape().unwrap_or_default());
    let shape = selective::Shape { batch: x[0], time: x[1], channels: x[2], states: a[1] };
    (!x.contains(&0) && shape.states > 0).then_some(shape)
}

/// Lowers a selective scan of f32.
pub(super) fn selective(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) -> bool {
    let n = &scope.plan.graph.nodes[i as usize];
    let Some(s) = shape(scope.plan, n) else { return false };
    let (v, out) = (&n.inputs, results(scope, i));
    let f = selective::selective_scan(b.module(), l.isa, s);
    let (wide, maps) = ([s.batch, s.time, s.channels], [s.batch, s.time, s.states]);
    let state = [s.batch, s.channels, s.states];
    let x = of(l, b, scope, v[0], F32, wide);
    let dt = of(l, b, scope, v[1], F32, wide);
    let a = of(l, b, scope, v[2], F32, [s.channels, s.states]);
    let into = of(l, b, scope, v[3], F32, maps);
    let from = of(l, b, scope, v[4], F32, maps);
    let h0 = of(l, b, scope, v[5], F32, state);
    let y = of(l, b, scope, out[0], F32, wide);
    let last = of(l, b, scope, out[1], F32, state);
    let borders = of(l, b, scope, out[2], F32, [s.batch, s.time + s.states, s.channels]);
    b.call(&f, (x, dt, a, into, from, h0, y, last, borders));
    l.calls += 1;
    true
}

/// Lowers the gradient of a linear recurrence of f32.
pub(super) fn linear_grad(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) -> bool {
    let n = &scope.plan.graph.nodes[i as usize];
    let (v, out) = (&n.inputs, results(scope, i));
    let Ok(rows) = <[usize; 3]>::try_from(sizes(scope, v[0])) else { return false };
    if rows.contains(&0) {
        return false;
    }
    let [batch, time, channels] = rows;
    let shape = scan::Shape { batch, time, channels };
    let f = scan::linear_scan_grad(b.module(), l.isa, shape, n.attrs.flag("reverse"));
    let state = [batch, channels];
    let gate = of(l, b, scope, v[0], F32, rows);
    let h0 = of(l, b, scope, v[1], F32, state);
    let h = of(l, b, scope, v[2], F32, rows);
    let dh = of(l, b, scope, v[3], F32, rows);
    let df = of(l, b, scope, out[0], F32, rows);
    let dx = of(l, b, scope, out[1], F32, rows);
    let dh0 = of(l, b, scope, out[2], F32, state);
    b.call(&f, (gate, h0, h, dh, df, dx, dh0));
    l.calls += 1;
    true
}
