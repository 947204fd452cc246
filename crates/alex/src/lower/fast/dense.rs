//! `dot_general` of f32 as products of matrices, one for each position of the batch axes.

use super::super::nest::{dense as strides, moved};
use super::super::step::results;
use super::super::{Lowering, Scope};
use crate::cpu::dense::{Shape, product_of_rows};
use crate::ir::{Builder, F32, I8, Index, MemRef, Value};
use axes::DType;
use graph::Node;
use graph::ops::dot::DotAxes;
use premap::Plan;

/// A product of matrices, and where the next one of the batch begins.
pub(super) struct Dense {
    pub(super) shape: Shape,
    pub(super) pitches: [usize; 2],
    /// Axes of the batch: size, and elements to the next matrix of each operand.
    batch: Vec<(usize, [usize; 2])>,
}

/// Multiplications from which on packing is worth its time.
const WORTH: usize = 1 << 14;

/// Neighbouring axes as one: (size, stride of each operand). `None` where they do not lie one after the other.
pub(super) fn joined<const N: usize>(
    axes: impl Iterator<Item = (usize, [usize; N])>,
) -> Option<(usize, [usize; N])> {
    let mut out: Option<(usize, [usize; N])> = None;
    for (size, stride) in axes.filter(|(size, _)| *size != 1) {
        out = match out {
            None => Some((size, stride)),
            Some((n, before)) => {
                let follows = before.iter().zip(&stride).all(|(outer, inner)| *outer == inner * size);
                follows.then_some((n * size, stride))?.into()
            }
        };
    }
    Some(out.unwrap_or((1, [1; N])))
}

/// (rows, depth) with these strides as a matrix that is read by rows: whether it lies transposed, and its pitch.
pub(super) fn lies((rows, across): (usize, usize), (depth, along): (usize, usize)) -> Option<(bool, usize)> {
    match () {
        () if depth == 1 || along == 1 => (rows == 1 || across >= depth).then(|| {
            let pitch = if rows == 1 { depth } else { across };
            (false, pitch)
        }),
        () if rows == 1 || across == 1 => (along >= rows).then_some((true, along)),
        () => None,
    }
}

/// The product that a node is, where its operands are matrices of f32 and large enough.
pub(super) fn found(plan: &Plan, n: &Node) -> Option<Dense> {
    let g = &plan.graph;
    let f32s = n.inputs.iter().all(|v| g.ty(*v).dtype == DType::F32);
    if !f32s || n.types[0].dtype != DType::F32 || n.attrs.get("accumulator").is_some() {
        return None;
    }
    let (sa, sb) = (g.ty(n.inputs[0]).fixed_shape()?, g.ty(n.inputs[1]).fixed_shape()?);
    let d = DotAxes::new(&n.attrs, sa.len(), sb.len());
    let [da, db] = [&sa, &sb].map(|s| strides(s).into_iter().map(|s| s as usize).collect::<Vec<_>>());
    let (rows, [row]) = joined(d.lhs_free.iter().map(|a| (sa[*a], [da[*a]])))?;
    let (columns, [column]) = joined(d.rhs_free.iter().map(|a| (sb[*a], [db[*a]])))?;
    let inner = d.lhs_contract.iter().zip(&d.rhs_contract);
    let (depth, [along_a, along_b]) = joined(inner.map(|(a, b)| (sa[*a], [da[*a], db[*b]])))?;
    let worth = rows >= 4 && columns >= 8 && depth >= 4 && rows * columns * depth >= WORTH;
    if !worth {
        return None;
    }
    let (a_transposed, pitch_a) = lies((rows, row), (depth, along_a))?;
    let (turned, pitch_b) = lies((columns, column), (depth, along_b))?;
    let shape = Shape { rows, depth, columns, a_transposed, b_transposed: !turned, add: false };
    let each = d.lhs_batch.iter().zip(&d.rhs_batch);
    let batch = each.map(|(a, b)| (sa[*a], [da[*a], db[*b]])).filter(|(size, _)| *size != 1).collect();
    Some(Dense { shape, pitches: [pitch_a, pitch_b], batch })
}

/// Bytes behind the arena.
pub(super) fn scratch(l: &Lowering, plan: &Plan, n: &Node) -> usize {
    found(plan, n).filter(|_| l.types.wide.is_none()).map_or(0, |d| d.shape.scratch(l.isa))
}

/// Lowers a product of f32.
pub(super) fn node(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) -> bool {
    let n = &scope.plan.graph.nodes[i as usize];
    let Some(d) = found(scope.plan, n) else { return false };
    let f = product_of_rows(b.module(), l.isa, d.shape, d.pitches);
    let at = [n.inputs[0], n.inputs[1], results(scope, i)[0]].map(|v| l.address(b, scope, v));
    let extra = scope.extra(b, 0);
    let scratch = b.memref_from_ptr(extra, MemRef::new(I8, [d.shape.scratch(l.isa) as i64]), &[]);
    let [left, right] = d.shape.operands(d.pitches);
    let out = MemRef::new(F32, [d.shape.rows as i64, d.shape.columns as i64]);
    let zero = b.index(0);
    d.each(b, 0, [zero; 3], &mut |b, place| {
        let [x, y, z] = [0, 1, 2].map(|k| {
            let bytes = b.scaled(place[k], 4);
            b.ptr_offset(at[k], bytes)
        });
        let x = b.memref_from_ptr(x, left, &[]);
        let y = b.memref_from_ptr(y, right, &[]);
        let z = b.memref_from_ptr(z, out, &[]);
        b.call(&f, (x, y, z, scratch));
    });
    l.calls += 1;
    true
}

impl Dense {
    /// `body` with the places of the operands and of the result, in elements, at each position of the batch.
    fn each(
        &self,
        b: &mut Builder,
        axis: usize,
        place: [Value<Index>; 3],
        body: &mut dyn FnMut(&mut Builder, [Value<Index>; 3]),
    ) {
        let Some((size, [left, right])) = self.batch.get(axis).copied() else { return body(b, place) };
        let inner: usize = self.batch[axis + 1..].iter().map(|(n, _)| n).product();
        let by = [left, right, inner * self.shape.rows * self.shape.columns];
        b.for_(0, size, 1, (), |b, k, ()| {
            let next = [0, 1, 2].map(|o| moved(b, place[o], k, by[o] as isize));
            self.each(b, axis + 1, next, body);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_that_follow_each_other_are_one() {
        assert_eq!(joined([(2, [12]), (3, [4]), (4, [1])].into_iter()), Some((24, [1])));
        assert_eq!(joined([(2, [12, 3]), (1, [7, 7]), (3, [4, 1])].into_iter()), Some((6, [4, 1])));
        assert_eq!(joined([(2, [13]), (3, [4])].into_iter()), None);
        assert_eq!(joined::<1>(std::iter::empty()), Some((1, [1])));
    }

    #[test]
    fn matrices_lie_by_rows_or_by_columns() {
        assert_eq!(lies((5, 7), (7, 1)), Some((false, 7)));
        assert_eq!(lies((5, 20), (7, 1)), Some((false, 20)));
        assert_eq!(lies((5, 1), (7, 5)), Some((true, 5)));
        assert_eq!(lies((5, 2), (7, 10)), None);
    }
}
