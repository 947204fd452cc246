//! Reductions over a named axis, and over the last one.
//!
//! The axis is given as a value, which reads well and lets the compiler find its position: `x.sum(Seq)`.

use crate::axis::{Axes, Axis};
use crate::position::{Last, Without};
use crate::storage::{Algebra, Reduce};
use crate::tensor::Tensor;
use crate::unit::Unit;

impl<A: Axes, T, U: Unit, S: Algebra> Tensor<A, T, U, S> {
    #[track_caller]
    #[inline]
    fn reduced<B: Axes>(&self, axis: usize, op: Reduce) -> Tensor<B, T, U, S> {
        Tensor::from_storage_unchecked(self.storage().reduce(axis, op))
    }

    /// The sum over `axis`, which is removed.
    ///
    /// ```
    /// # use axes::{Tensor, axes};
    /// axes! { Batch; Seq; }
    /// let x = Tensor::<(Batch, Seq)>::from_vec([2, 2], vec![1.0, 2.0, 3.0, 4.0])?;
    /// assert_eq!(x.sum(Batch).as_slice(), [4.0, 6.0]);
    /// assert_eq!(x.sum(Seq).as_slice(), [3.0, 7.0]);
    /// # Ok::<(), axes::AxesError>(())
    /// ```
    #[track_caller]
    pub fn sum<X: Axis, P>(&self, axis: X) -> Tensor<A::Rest, T, U, S>
    where
        A: Without<X, P>,
    {
        let _ = axis;
        self.reduced(A::AXIS, Reduce::Sum)
    }

    /// The arithmetic mean over `axis`, which is removed.
    #[track_caller]
    pub fn mean<X: Axis, P>(&self, axis: X) -> Tensor<A::Rest, T, U, S>
    where
        A: Without<X, P>,
    {
        let _ = axis;
        self.reduced(A::AXIS, Reduce::Mean)
    }

    /// The greatest along `axis`, which is removed.
    #[track_caller]
    pub fn max<X: Axis, P>(&self, axis: X) -> Tensor<A::Rest, T, U, S>
    where
        A: Without<X, P>,
    {
        let _ = axis;
        self.reduced(A::AXIS, Reduce::Max)
    }

    /// The least along `axis`, which is removed.
    #[track_caller]
    pub fn min<X: Axis, P>(&self, axis: X) -> Tensor<A::Rest, T, U, S>
    where
        A: Without<X, P>,
    {
        let _ = axis;
        self.reduced(A::AXIS, Reduce::Min)
    }
}

impl<A: Last, T, U: Unit, S: Algebra> Tensor<A, T, U, S> {
    /// The sum over the last axis, which is removed.
    #[track_caller]
    pub fn sum_last(&self) -> Tensor<A::Rest, T, U, S> {
        self.reduced(A::RANK - 1, Reduce::Sum)
    }

    /// The arithmetic mean over the last axis, which is removed.
    #[track_caller]
    pub fn mean_last(&self) -> Tensor<A::Rest, T, U, S> {
        self.reduced(A::RANK - 1, Reduce::Mean)
    }

    /// The greatest along the last axis, which is removed.
    #[track_caller]
    pub fn max_last(&self) -> Tensor<A::Rest, T, U, S> {
        self.reduced(A::RANK - 1, Reduce::Max)
    }

    /// The least along the last axis, which is removed.
    #[track_caller]
    pub fn min_last(&self) -> Tensor<A::Rest, T, U, S> {
        self.reduced(A::RANK - 1, Reduce::Min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::axes! { Batch; Seq; Dim = 2; }

    #[test]
    fn the_named_axis_is_the_one_that_goes() {
        let x =
            Tensor::<(Batch, Seq, Dim), f64>::from_fn([2, 3, 2], |[b, s, d]| (100 * b + 10 * s + d) as f64)
                .unwrap();
        let over_seq: Tensor<(Batch, Dim), f64> = x.sum(Seq);
        assert_eq!(over_seq.as_slice(), [30.0, 33.0, 330.0, 333.0]);
        let over_batch: Tensor<(Seq, Dim), f64> = x.mean(Batch);
        assert_eq!(over_batch.as_slice(), [50.0, 51.0, 60.0, 61.0, 70.0, 71.0]);
        assert_eq!(x.max_last(), x.max(Dim));
        assert_eq!(x.min(Seq).min_last().as_slice(), [0.0, 100.0]);
        assert_eq!(x.sum_last().mean_last().sum_last().value(), 21.0 + 221.0);
    }

    #[test]
    fn generic_code_names_its_axes() {
        fn over<B: Axis, D: Axis>(x: &Tensor<(B, D)>) -> Tensor<(B,)> {
            x.sum(D::default())
        }
        let x = Tensor::<(Batch, Dim)>::from_vec([1, 2], vec![1.0, 2.0]).unwrap();
        assert_eq!(over(&x).as_slice(), [3.0]);
    }
}
