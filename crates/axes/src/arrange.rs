//! Transposition and repetition along axes, with the axes followed in the types.

use crate::axis::{Axes, Axis};
use crate::error::{AxesError, expect};
use crate::position::{EndsWith, Prepend, Without};
use crate::storage::{Algebra, Storage};
use crate::tensor::Tensor;
use crate::unit::Unit;

/// Checks the shared axes of a broadcast: axis `i` of `from` is axis `map[i]` of `to`.
fn check_shared<A: Axes, S: Storage>(from: &S, to: &S, map: &[usize]) -> Result<(), AxesError> {
    if let Some((from, to)) = from.known_dims().zip(to.known_dims()) {
        for (axis, (&expected, &position)) in from.iter().zip(map).enumerate() {
            if let Some(&found) = to.get(position)
                && expected != found
            {
                let axis = A::NAMES[axis].to_owned();
                return Err(AxesError::SizeMismatch { op: "broadcast", axis, expected, found });
            }
        }
    }
    Ok(())
}

impl<X: Axis, Y: Axis, T, U: Unit, S: Algebra> Tensor<(X, Y), T, U, S> {
    /// Exchanges the two axes.
    #[track_caller]
    pub fn transpose(&self) -> Tensor<(Y, X), T, U, S> {
        Tensor::from_storage_unchecked(self.storage().permute(&[1, 0]))
    }
}

impl<A: Axes, T, U: Unit, S: Algebra> Tensor<A, T, U, S> {
    /// Moves `axis` to the front; the others keep their order.
    ///
    /// ```
    /// # use axes::{Tensor, axes};
    /// axes! { Batch; Seq; Dim = 2; }
    /// let x = Tensor::<(Batch, Seq, Dim)>::zeros([3, 5, 2])?;
    /// let by_time: Tensor<(Seq, Batch, Dim)> = x.move_to_front(Seq);
    /// assert_eq!(by_time.dims(), [5, 3, 2]);
    /// # Ok::<(), axes::AxesError>(())
    /// ```
    #[track_caller]
    pub fn move_to_front<X: Axis, P>(&self, axis: X) -> Tensor<<A::Rest as Prepend<X>>::Output, T, U, S>
    where
        A: Without<X, P, Rest: Prepend<X>>,
    {
        let _ = axis;
        let others = (0..A::RANK).filter(|&i| i != A::AXIS);
        let perm: Vec<usize> = std::iter::once(A::AXIS).chain(others).collect();
        Tensor::from_storage_unchecked(self.storage().permute(&perm))
    }

    /// Repeats the tensor to the shape of `like`, whose last axes are this tensor's axes: a bias, or a number.
    ///
    /// ```
    /// # use axes::{Tensor, axes};
    /// axes! { Batch; Out = 2; }
    /// let y = Tensor::<(Batch, Out)>::zeros([3, 2])?;
    /// let bias = Tensor::<(Out,)>::vector(vec![1.0, 2.0])?;
    /// let y = &y + bias.broadcast_to(&y);
    /// assert_eq!(y.as_slice(), [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
    /// # Ok::<(), axes::AxesError>(())
    /// ```
    ///
    /// # Panics
    /// Where the run-time sizes of a shared axis differ.
    #[track_caller]
    pub fn broadcast_to<B: EndsWith<A>, V: Unit>(&self, like: &Tensor<B, T, V, S>) -> Tensor<B, T, U, S> {
        let map: Vec<usize> = (B::RANK - A::RANK..B::RANK).collect();
        self.repeat(like, &map)
    }

    /// Repeats the tensor along `axis` to the shape of `like`, which has one axis more: the inverse of a reduction.
    ///
    /// ```
    /// # use axes::{Tensor, axes};
    /// axes! { Batch; In = 2; }
    /// let x = Tensor::<(Batch, In)>::from_vec([2, 2], vec![1.0, 3.0, 5.0, 5.0])?;
    /// let shares = &x / x.sum(In).repeat_along(In, &x);
    /// assert_eq!(shares.as_slice(), [0.25, 0.75, 0.5, 0.5]);
    /// # Ok::<(), axes::AxesError>(())
    /// ```
    ///
    /// # Panics
    /// Where the run-time sizes of a shared axis differ.
    #[track_caller]
    pub fn repeat_along<X: Axis, P, B, V: Unit>(
        &self,
        axis: X,
        like: &Tensor<B, T, V, S>,
    ) -> Tensor<B, T, U, S>
    where
        B: Without<X, P, Rest = A>,
    {
        let _ = axis;
        let map: Vec<usize> = (0..B::RANK).filter(|&i| i != B::AXIS).collect();
        self.repeat(like, &map)
    }

    #[track_caller]
    fn repeat<B: Axes, V>(&self, like: &Tensor<B, T, V, S>, map: &[usize]) -> Tensor<B, T, U, S> {
        expect(check_shared::<A, S>(self.storage(), like.storage(), map));
        Tensor::from_storage_unchecked(self.storage().broadcast(like.storage(), map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::axes! { Batch; Seq; Dim = 2; }

    #[test]
    fn moving_an_axis_keeps_the_order_of_the_others() {
        let x =
            Tensor::<(Batch, Seq, Dim), f64>::from_fn([2, 3, 2], |[b, s, d]| (100 * b + 10 * s + d) as f64)
                .unwrap();
        let y = x.move_to_front(Seq);
        assert_eq!((y.dims(), y[[2, 1, 0]]), ([3, 2, 2], 120.0));
        let z: Tensor<(Dim, Seq, Batch), f64> = y.move_to_front(Dim);
        assert_eq!((z.dims(), z[[1, 2, 0]]), ([2, 3, 2], 21.0));
    }

    #[test]
    fn suffixes_and_reduced_axes_are_repeated() {
        let x = Tensor::<(Batch, Seq, Dim)>::zeros([2, 3, 2]).unwrap();
        let m = Tensor::<(Seq, Dim)>::from_fn([3, 2], |[s, d]| (10 * s + d) as f32).unwrap();
        assert_eq!(m.broadcast_to(&x)[[1, 2, 1]], 21.0);
        let b = Tensor::<(Batch, Dim)>::from_fn([2, 2], |[b, d]| (10 * b + d) as f32).unwrap();
        assert_eq!(b.repeat_along(Seq, &x)[[1, 2, 1]], 11.0);
        let one = Tensor::<()>::filled([], 7.0).unwrap();
        assert_eq!(one.broadcast_to(&x).as_slice(), [7.0; 12]);
    }

    #[test]
    #[should_panic = "broadcast: axis `Seq`: expected size 4 (left operand), found 3 (right operand)"]
    fn shared_axes_have_one_size() {
        let x = Tensor::<(Batch, Seq)>::zeros([2, 3]).unwrap();
        Tensor::<(Seq,)>::zeros([4]).unwrap().broadcast_to(&x);
    }
}
