//! Reductions over any axes, by way of the row and column kernels.
#![allow(unsafe_code)]

use crate::copy::{Copy, Layout};
use crate::kernels::{rows, sums};
use crate::pool::Pool;
use graph::array::strides;
use graph::{Accumulator, Op};

/// How a reduction runs through its operand, seen as (outer, folded, inner).
pub(crate) struct Fold {
    op: Op,
    outer: usize,
    n: usize,
    inner: usize,
    /// Sums in an accumulator that the node names.
    how: Option<Accumulator>,
    /// The copy that brings the folded axes to the end, where they lie apart or a kernel takes rows only.
    pack: Option<Copy>,
}

impl Fold {
    /// `None` for what the plain evaluation must do: extrema over nothing.
    pub(crate) fn new(op: Op, shape: &[usize], axes: &[usize], how: Option<Accumulator>) -> Option<Fold> {
        let n: usize = axes.iter().map(|a| shape[*a]).product();
        if n == 0 && op != Op::ReduceSum {
            return None;
        }
        let solid: Vec<usize> = (0..shape.len()).filter(|a| shape[*a] != 1).collect();
        let is_folded = |a: &usize| axes.contains(a);
        let first = solid.iter().position(is_folded).unwrap_or(solid.len());
        let last = solid.iter().rposition(is_folded).map_or(first, |p| p + 1);
        let size = |list: &[usize]| list.iter().map(|a| shape[*a]).product::<usize>();
        let (outer, inner) = (size(&solid[..first]), size(&solid[last..]));
        let joined = solid[first..last].iter().all(is_folded);
        if joined && (inner == 1 || op == Op::ReduceSum && how.is_none()) {
            return Some(Fold { op, outer, n, inner, how, pack: None });
        }
        let order: Vec<usize> =
            (0..shape.len()).filter(|a| !is_folded(a)).chain(axes.iter().copied()).collect();
        let own = strides(shape);
        let dims: Vec<usize> = order.iter().map(|a| shape[*a]).collect();
        let layout =
            |s: Vec<usize>| Layout { offset: 0, strides: s.into_iter().map(|s| s as isize).collect() };
        let pack = Copy::new(&dims, layout(order.iter().map(|a| own[*a]).collect()), layout(strides(&dims)));
        let outer = order[..order.len() - axes.len()].iter().map(|a| shape[*a]).product();
        Some(Fold { op, outer, n, inner: 1, how, pack: Some(pack) })
    }

    /// Elements of scratch.
    pub(crate) fn scratch(&self) -> usize {
        let packed = if self.pack.is_some() { self.outer * self.n } else { 0 };
        packed.max(rows::column_sums_scratch(self.n, self.inner))
    }

    /// Folds `x` into `out`, or into the positions `at` for `argmax`.
    pub(crate) fn run(&self, pool: &Pool, x: &[f32], out: &mut [f32], at: &mut [i64], scratch: &mut [f32]) {
        let (packed, scratch) = scratch.split_at_mut(if self.pack.is_some() { x.len() } else { 0 });
        let x = match &self.pack {
            None => x,
            Some(copy) => {
                // SAFETY: the copy was made for the shape of `x`; the target is dense and as long.
                unsafe { copy.run(4, x.as_ptr().cast(), packed.as_mut_ptr().cast()) };
                packed
            }
        };
        match self.op {
            Op::ArgMax => rows::argmax_rows(pool, x, self.n, at),
            Op::ReduceMax => rows::max_rows(pool, x, self.n, out),
            Op::ReduceMin => rows::min_rows(pool, x, self.n, out),
            _ if self.n == 0 => out.fill(0.0),
            _ if self.how.is_some() => {
                sums::sum_rows(pool, self.how.unwrap_or(Accumulator::Pairwise), x, self.n, out);
            }
            _ if self.inner == 1 => rows::sum_rows(pool, x, self.n, out),
            _ if self.inner == 0 => {}
            _ => {
                let pairs = x.chunks_exact(self.n * self.inner).zip(out.chunks_exact_mut(self.inner));
                pairs.for_each(|(x, out)| rows::sum_columns(pool, x, out, scratch));
            }
        }
    }
}
