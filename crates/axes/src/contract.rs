//! Contractions: matrix products over a named axis.
//!
//! The argument's type names the axis, so that the message of a mismatch is
//! ``expected `&Tensor<(In, _)>`, found `&Tensor<(Out, In)>` ``. Two tensors that share further axes are not joined
//! along them (no batched product); multiply and reduce instead.
//!
//! The panicking forms do not go through the `try_` forms: unwrapping a `Result` of a tensor copies it.

use crate::axis::Axis;
use crate::error::{AxesError, expect};
use crate::position::Last;
use crate::storage::{Algebra, Storage};
use crate::tensor::Tensor;
use crate::unit::{Unit, Unitless};

/// Checks the contracted axis `X` where both storages know its size. A declared size was checked when the tensors
/// were made.
#[inline]
fn check<X: Axis, S: Storage>(
    op: &'static str,
    left: (&S, usize),
    right: (&S, usize),
) -> Result<(), AxesError> {
    if X::SIZE.is_none()
        && let Some((a, b)) = left.0.known_dims().zip(right.0.known_dims())
        && let (Some(&expected), Some(&found)) = (a.get(left.1), b.get(right.1))
        && expected != found
    {
        return Err(AxesError::SizeMismatch { op, axis: X::NAME.to_owned(), expected, found });
    }
    Ok(())
}

impl<A: Last, T, U: Unit, S: Algebra> Tensor<A, T, U, S> {
    /// The matrix product with weights stored input-major: (…, In) × (In, Out) → (…, Out).
    ///
    /// ```
    /// # use axes::{Tensor, axes};
    /// axes! { Batch; In = 2; Out = 3; }
    /// let x = Tensor::<(Batch, In)>::from_vec([1, 2], vec![1.0, 2.0])?;
    /// let w = Tensor::<(In, Out)>::from_vec([2, 3], vec![1.0, 0.0, 2.0, 0.0, 1.0, 2.0])?;
    /// assert_eq!(x.apply(&w).as_slice(), [1.0, 2.0, 6.0]);
    /// # Ok::<(), axes::AxesError>(())
    /// ```
    ///
    /// # Panics
    /// Where the run-time sizes of the contracted axis differ, with the text of [`try_apply`](Self::try_apply).
    #[track_caller]
    pub fn apply<O: Axis>(
        &self,
        weights: &Tensor<(A::Axis, O), T, Unitless, S>,
    ) -> Tensor<A::Replace<O>, T, U, S> {
        let last = A::RANK - 1;
        expect(check::<A::Axis, S>("apply", (self.storage(), last), (weights.storage(), 0)));
        Tensor::from_storage_unchecked(self.storage().contract(last, weights.storage(), 0))
    }

    /// [`apply`](Self::apply) for sizes that may differ at run time.
    ///
    /// # Errors
    /// [`AxesError::SizeMismatch`] where the storage knows its sizes and the contracted axis differs.
    #[track_caller]
    pub fn try_apply<O: Axis>(
        &self,
        weights: &Tensor<(A::Axis, O), T, Unitless, S>,
    ) -> Result<Tensor<A::Replace<O>, T, U, S>, AxesError> {
        let last = A::RANK - 1;
        check::<A::Axis, S>("apply", (self.storage(), last), (weights.storage(), 0))?;
        Ok(Tensor::from_storage_unchecked(self.storage().contract(last, weights.storage(), 0)))
    }

    /// The matrix product with weights stored output-major, as checkpoints have them: (…, In) × (Out, In) → (…, Out).
    ///
    /// # Panics
    /// Where the run-time sizes of the contracted axis differ, with the text of [`try_linear`](Self::try_linear).
    #[track_caller]
    pub fn linear<O: Axis>(
        &self,
        weights: &Tensor<(O, A::Axis), T, Unitless, S>,
    ) -> Tensor<A::Replace<O>, T, U, S> {
        let last = A::RANK - 1;
        expect(check::<A::Axis, S>("linear", (self.storage(), last), (weights.storage(), 1)));
        Tensor::from_storage_unchecked(self.storage().contract(last, weights.storage(), 1))
    }

    /// [`linear`](Self::linear) for sizes that may differ at run time.
    ///
    /// # Errors
    /// As [`try_apply`](Self::try_apply).
    #[track_caller]
    pub fn try_linear<O: Axis>(
        &self,
        weights: &Tensor<(O, A::Axis), T, Unitless, S>,
    ) -> Result<Tensor<A::Replace<O>, T, U, S>, AxesError> {
        let last = A::RANK - 1;
        check::<A::Axis, S>("linear", (self.storage(), last), (weights.storage(), 1))?;
        Ok(Tensor::from_storage_unchecked(self.storage().contract(last, weights.storage(), 1)))
    }

    /// The inner product with a vector along the last axis: (…, In) × (In,) → (…).
    ///
    /// # Panics
    /// Where the run-time sizes differ, with the text of [`try_dot`](Self::try_dot).
    #[track_caller]
    pub fn dot(&self, vector: &Tensor<(A::Axis,), T, Unitless, S>) -> Tensor<A::Rest, T, U, S> {
        let last = A::RANK - 1;
        expect(check::<A::Axis, S>("dot", (self.storage(), last), (vector.storage(), 0)));
        Tensor::from_storage_unchecked(self.storage().contract(last, vector.storage(), 0))
    }

    /// [`dot`](Self::dot) for sizes that may differ at run time.
    ///
    /// # Errors
    /// As [`try_apply`](Self::try_apply).
    #[track_caller]
    pub fn try_dot(
        &self,
        vector: &Tensor<(A::Axis,), T, Unitless, S>,
    ) -> Result<Tensor<A::Rest, T, U, S>, AxesError> {
        let last = A::RANK - 1;
        check::<A::Axis, S>("dot", (self.storage(), last), (vector.storage(), 0))?;
        Ok(Tensor::from_storage_unchecked(self.storage().contract(last, vector.storage(), 0)))
    }
}

impl<N: Axis, D: Axis, T, U: Unit, S: Algebra> Tensor<(N, D), T, U, S> {
    /// Σₙ of the outer products of the rows: (N, D) × (N, E) → (D, E); aᵀb, the state of linear attention.
    ///
    /// # Panics
    /// Where the run-time sizes of `N` differ, with the text of
    /// [`try_contract_first`](Self::try_contract_first).
    #[track_caller]
    pub fn contract_first<E: Axis>(&self, other: &Tensor<(N, E), T, Unitless, S>) -> Tensor<(D, E), T, U, S> {
        expect(check::<N, S>("contract_first", (self.storage(), 0), (other.storage(), 0)));
        Tensor::from_storage_unchecked(self.storage().contract(0, other.storage(), 0))
    }

    /// [`contract_first`](Self::contract_first) for sizes that may differ at run time.
    ///
    /// # Errors
    /// As [`try_apply`](Self::try_apply).
    #[track_caller]
    pub fn try_contract_first<E: Axis>(
        &self,
        other: &Tensor<(N, E), T, Unitless, S>,
    ) -> Result<Tensor<(D, E), T, U, S>, AxesError> {
        check::<N, S>("contract_first", (self.storage(), 0), (other.storage(), 0))?;
        Ok(Tensor::from_storage_unchecked(self.storage().contract(0, other.storage(), 0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::axes! { Batch; Seq; In = 3; Out = 2; Loose; }

    fn numbers(n: usize) -> Vec<f32> {
        (0..n).map(|i| i as f32 - 2.0).collect()
    }

    #[test]
    fn the_two_layouts_of_weights_agree() {
        let x = Tensor::<(Batch, In)>::from_vec([2, 3], numbers(6)).unwrap();
        let w = Tensor::<(In, Out)>::from_vec([3, 2], numbers(6)).unwrap();
        let y: Tensor<(Batch, Out)> = x.apply(&w);
        // [-2 -1 0; 1 2 3] × [-2 -1; 0 1; 2 3]
        assert_eq!(y.as_slice(), [4.0, 1.0, 4.0, 10.0]);
        assert_eq!(x.linear(&w.transpose()), y);
    }

    #[test]
    fn any_rank_contracts_over_its_last_axis() {
        let x = Tensor::<(Batch, Seq, In)>::from_vec([2, 2, 3], numbers(12)).unwrap();
        let w = Tensor::<(In, Out)>::from_vec([3, 2], numbers(6)).unwrap();
        let y: Tensor<(Batch, Seq, Out)> = x.apply(&w);
        assert_eq!(y.dims(), [2, 2, 2]);
        let row = Tensor::<(In,)>::vector(numbers(12)[9..].to_vec()).unwrap();
        assert_eq!(row.apply(&w).as_slice(), &y.as_slice()[6..]);
        let d: Tensor<(Batch, Seq)> = x.dot(&row);
        assert_eq!(d.as_slice()[0], -2.0 * 7.0 - 8.0);
        assert_eq!(row.dot(&row).value(), 49.0 + 64.0 + 81.0);
    }

    #[test]
    fn outer_products_sum_over_the_first_axis() {
        let k = Tensor::<(Seq, In)>::from_vec([2, 3], numbers(6)).unwrap();
        let v = Tensor::<(Seq, Out)>::from_vec([2, 2], numbers(4)).unwrap();
        let kv: Tensor<(In, Out)> = k.contract_first(&v);
        assert_eq!(kv, k.transpose().apply(&v));
    }

    #[test]
    fn errors_name_the_contracted_axis() {
        let x = Tensor::<(Batch, Loose)>::zeros([2, 4]).unwrap();
        let w = Tensor::<(Loose, Out)>::zeros([5, 2]).unwrap();
        let expected = AxesError::SizeMismatch { op: "apply", axis: "Loose".into(), expected: 4, found: 5 };
        assert_eq!(x.try_apply(&w).unwrap_err(), expected);
        assert!(x.try_linear(&w.transpose()).is_err());
        assert!(x.try_dot(&Tensor::vector(vec![0.0; 5]).unwrap()).is_err());
        assert!(x.transpose().try_contract_first(&w).is_err());
    }

    #[test]
    #[should_panic = "apply: axis `Loose`: expected size 4 (left operand), found 5 (right operand)"]
    fn the_panicking_form_has_the_same_text() {
        let x = Tensor::<(Loose,)>::zeros([4]).unwrap();
        x.apply(&Tensor::<(Loose, Out)>::zeros([5, 2]).unwrap());
    }
}
