//! Products with, and rows of, matrices in the block formats of model files.

use super::step::{results, sizes};
use super::value::{Cells, Icmp, V, cmpi, int, select};
use super::{Arg, Lowering, Scope};
use crate::cpu::formats::{self, Shape};
use crate::ir::{AnyType, Builder, F32, I8, I64, Index, Kind, MemRef, Value};
use graph::{Node, Op};
use premap::Plan;

/// The sizes of a product.
fn shape(plan: &Plan, n: &Node) -> Option<Shape> {
    let (format, columns, _) = graph::ops::blocks::layout(&n.attrs).ok()?;
    let rows = plan.graph.ty(n.inputs[1]).fixed_shape()?[0];
    let tokens = match n.op {
        Op::BlockLinear => plan.graph.ty(n.inputs[0]).elements()? / columns,
        _ => plan.graph.ty(n.inputs[0]).elements()?,
    };
    Some(Shape { format, tokens, rows, columns })
}

/// A run of f32 as a matrix.
fn matrix(b: &mut Builder, m: V, [rows, columns]: [usize; 2]) -> Value<MemRef<F32, 2>> {
    let flat = b.expect(m, MemRef::new(F32, [(rows * columns) as i64]));
    let at = b.ptr_of(flat);
    b.memref_from_ptr(at, MemRef::new(F32, [rows as i64, columns as i64]), &[])
}

/// Bytes behind the arena.
pub(crate) fn scratch(plan: &Plan, n: &Node) -> usize {
    if n.op == Op::BlockLinear { shape(plan, n).map_or(0, Shape::scratch) } else { 0 }
}

/// Lowers an op of this file; what it gives is 1 where an index was outside.
pub(crate) fn node(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) -> Option<V> {
    let n = &scope.plan.graph.nodes[i as usize];
    let Some(s) = shape(scope.plan, n).filter(|_| l.types.wide.is_none()) else {
        l.fail(n.op, scope, i, "block formats are defined in f32, which a wider arithmetic has not");
        return None;
    };
    let out = l.write(b, scope, results(scope, i)[0]);
    let (x, w) = (l.read(b, scope, n.inputs[0]), l.read(b, scope, n.inputs[1]));
    let key = format!("{s:?}");
    let bytes = MemRef::new(I8, [s.bytes() as i64]);
    if n.op == Op::BlockLinear {
        let isa = l.isa;
        let extra = scope.extra(b, 0);
        let scratch = Arg { at: extra, kind: Kind::I8, len: s.scratch(), place: None, written: true };
        return l.kernel(b, "block_linear", &key, &[x, w, out, scratch], false, |b, m| {
            let x = matrix(b, m[0], [s.tokens, s.columns]);
            let y = matrix(b, m[2], [s.tokens, s.rows]);
            let (w, scratch) = (b.expect(m[1], bytes), b.expect(m[3], MemRef::new(I8, [s.scratch() as i64])));
            formats::linear(b, isa, s, (x, w, y), scratch);
            None
        });
    }
    let (types, ids) = (l.types, scope.plan.graph.ty(n.inputs[0]).dtype);
    if s.rows == 0 {
        return (!sizes(scope, n.inputs[0]).contains(&0)).then(|| int(b, AnyType::Scalar(Kind::I32), 1));
    }
    l.kernel(b, "block_rows", &format!("{key} {ids:?}"), &[x, w, out], true, |b, m| {
        let ids = Cells { memory: m[0], dtype: ids, types };
        let y = matrix(b, m[2], [s.tokens, s.columns]);
        let w = b.expect(m[1], bytes);
        let flag = int(b, AnyType::Scalar(Kind::I32), 0);
        Some(b.for_(0, s.tokens, 1, flag, |b, k, flag| {
            let index = ids.load(b, k, None);
            let word = AnyType::Scalar(Kind::I64);
            let (rows, zero) = (int(b, word, s.rows as i64), int(b, word, 0));
            let one = int(b, AnyType::Scalar(Kind::I32), 1);
            let inside = cmpi(b, Icmp::Ult, index, rows);
            let safe = select(b, inside, index, zero);
            let safe = b.expect(safe, I64);
            let row = b.index_cast(safe, Index);
            formats::decode(b, s, (w, row), (y, k));
            select(b, inside, flag, one)
        }))
    })
}
