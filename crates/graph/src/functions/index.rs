//! Taking, adding and setting by index; order.

use crate::attrs;
use crate::dim::Dim;
use crate::op::Op;
use crate::var::Var;
use axes::DType;

impl Var {
    /// Elements at integer indices along an axis: result element i, j is `self[i, indices[i, j]]` for the last axis.
    #[track_caller]
    pub fn take_along(&self, indices: &Var, axis: usize) -> Var {
        self.cx.push1(Op::TakeAlong, attrs! { axis: Int(axis as i64) }, &[self, indices])
    }
    /// With these indices: zeros of `size` along the axis, to which each of `updates` is added at its index.
    #[track_caller]
    pub fn scatter_add_along(&self, updates: &Var, axis: usize, size: &Dim) -> Var {
        let attrs = attrs! { axis: Int(axis as i64), size: Dims(vec![size.clone()]) };
        self.cx.push1(Op::ScatterAddAlong, attrs, &[self, updates])
    }
    /// This value with `updates` written at the indices along an axis; the last of several at one place stays.
    #[track_caller]
    pub fn scatter_set_along(&self, indices: &Var, updates: &Var, axis: usize) -> Var {
        let size = self.shape().get(axis).cloned().unwrap_or(Dim::from(0));
        let attrs = attrs! { axis: Int(axis as i64), size: Dims(vec![size]) };
        let writer = self.cx.push1(Op::LastWriter, attrs, &[indices]);
        let zero = writer.full_like(0.0);
        writer.ge(&zero).select(&updates.take_along(&writer.max(&zero), axis), self)
    }
    /// Rows of a table at the indices, which have one axis, along any of its axes.
    #[track_caller]
    pub fn index_select(&self, indices: &Var, axis: usize) -> Var {
        let rank = self.ty().rank();
        if axis >= rank {
            return self.refuse("index_select", format!("axis {axis} of {}", self.ty()));
        }
        let front: Vec<usize> = std::iter::once(axis).chain((0..rank).filter(|a| *a != axis)).collect();
        let mut back: Vec<usize> = (1..rank).collect();
        back.insert(axis, 0);
        self.transpose(&front).gather(indices).transpose(&back)
    }
    /// Positions along an axis in the order of the elements, stable, NaN last, i64.
    #[track_caller]
    pub fn argsort(&self, axis: usize, descending: bool) -> Var {
        let attrs = attrs! { axis: Int(axis as i64), descending: Bool(descending) };
        self.cx.push1(Op::ArgSort, attrs, &[self])
    }
    /// The elements along an axis in rising order (or falling); the derivative is that of the elements taken.
    #[track_caller]
    pub fn sort(&self, axis: usize, descending: bool) -> Var {
        self.take_along(&self.argsort(axis, descending), axis)
    }
    /// The k largest elements along an axis in falling order, and their positions, i64.
    #[track_caller]
    pub fn top_k(&self, k: usize, axis: usize) -> (Var, Var) {
        let at = self.argsort(axis, true).slice_axis(axis, 0, k);
        (self.take_along(&at, axis), at)
    }
    /// The median along an axis, which disappears: the middle element, or the mean of both.
    #[track_caller]
    pub fn median(&self, axis: usize) -> Var {
        let mut shape = self.shape();
        let Some(n) = shape.get(axis).and_then(Dim::fixed).filter(|n| *n > 0) else {
            return self.refuse(
                "median",
                format!("needs an axis of a fixed size, not axis {axis} of {}", self.ty()),
            );
        };
        shape.remove(axis);
        let sorted = self.sort(axis, false);
        let pick = |i: usize| sorted.slice_axis(axis, i, i + 1).reshape(&shape);
        if n % 2 == 1 { pick(n / 2) } else { (pick(n / 2 - 1) + pick(n / 2)) * 0.5 }
    }
    /// 1 where the class is, along a new last axis of `classes`.
    #[track_caller]
    pub fn one_hot(&self, classes: &Dim, dtype: DType) -> Var {
        let wide = self.convert(DType::I64).broadcast_last(classes);
        let shape = wide.shape();
        let axis = shape.len() as i64 - 1;
        let ids = self.cx.push1(
            Op::Iota,
            attrs! { dtype: DType(DType::I64), dims: Dims(shape), axis: Int(axis) },
            &[],
        );
        ids.equal(&wide).convert(dtype)
    }
}
