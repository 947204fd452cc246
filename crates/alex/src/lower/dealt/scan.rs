//! Recurrences, some channels of a sequence a task.

use super::piece;
use crate::cpu::scan::{Shape, chunk, linear_scan_part};
use crate::deal::Round;
use crate::ir::{Builder, F32, MemRef};
use crate::lower::step::{results, sizes};
use crate::lower::{Lowering, Scope};
use premap::cut::CHANNELS;

pub(super) fn node(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) -> bool {
    let n = &scope.plan.graph.nodes[i as usize];
    let out = results(scope, i);
    let [batch, time, channels] = sizes(scope, n.inputs[0])[..] else { return false };
    // The form that is parallel over time makes its numbers in one pass here.
    if batch * time * channels == 0 || chunk(Shape { batch, time, channels }) < time {
        return false;
    }
    let (isa, reverse) = (l.isa, n.attrs.flag("reverse"));
    let args = [
        l.read(b, scope, n.inputs[0]),
        l.read(b, scope, n.inputs[1]),
        l.read(b, scope, n.inputs[2]),
        l.write(b, scope, out[0]),
    ];
    let blocks = channels.div_ceil(CHANNELS);
    l.dealt(b, scope, "scan", &format!("{batch}x{time}x{channels} {reverse}"), &args, || {
        vec![Round::new(batch * blocks, move |b, at, task| {
            let count = b.index(blocks as i64);
            let (sequence, block) = (b.divui(task, count), b.remui(task, count));
            piece(b, block, channels, CHANNELS, |b, first, width| {
                let shape = Shape { batch: 1, time, channels };
                let f = linear_scan_part(b.module(), isa, shape, reverse, width);
                let place = |b: &mut Builder, rows: usize| {
                    let from = b.scaled(sequence, 4 * rows * channels);
                    let by = b.scaled(first, 4);
                    b.addi(from, by)
                };
                let (at_rows, at_state) = (place(b, time), place(b, 1));
                let rows = |b: &mut Builder, k: usize| {
                    let at = b.ptr_offset(at[k], at_rows);
                    b.memref_from_ptr(at, MemRef::new(F32, [1, time as i64, channels as i64]), &[])
                };
                let (gate, x, y) = (rows(b, 0), rows(b, 1), rows(b, 3));
                let h0 = b.ptr_offset(at[2], at_state);
                let h0 = b.memref_from_ptr(h0, MemRef::new(F32, [1, channels as i64]), &[]);
                b.call(&f, (gate, x, h0, y));
            });
        })]
    });
    true
}
