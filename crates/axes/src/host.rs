//! What only tensors in this computer's memory can do: closures over elements, results written into given memory,
//! and rows as views.
//!
//! The `_into` forms allocate nothing; with optimisation they are the loops of their untyped twins
//! (`tests/zero_cost.rs` compares the instructions).

use crate::axis::{Axes, Axis};
use crate::buffer::{Buffer, Host, HostMut, Mut, Ref};
use crate::dims::Dims;
use crate::dtype::{Element, Real};
use crate::error::{AxesError, fail};
use crate::loops;
use crate::position::{First, Last, Prepend};
use crate::tensor::Tensor;
use crate::unit::{Unit, Unitless};

/// Panics where the sizes of one axis list differ; axes with declared sizes were checked when the tensors were made.
#[track_caller]
#[inline]
fn expect_same<A: Axes>(op: &'static str, left: &Dims, right: &Dims) {
    if !A::STATIC {
        left.expect_equal(op, A::NAMES, right);
    }
}

impl<A: Axes, T: Copy, U: Unit, S: Host<T>> Tensor<A, T, U, S> {
    /// Applies `f` to each element.
    ///
    /// ```
    /// # use axes::{Tensor, axes};
    /// axes! { In = 3; }
    /// let x = Tensor::<(In,)>::vector(vec![-1.0, 0.5, 2.0])?;
    /// let signs: Tensor<(In,), i8> = x.map(|v| v.signum() as i8);
    /// assert_eq!(signs.as_slice(), [-1, 1, 1]);
    /// # Ok::<(), axes::AxesError>(())
    /// ```
    pub fn map<R: Element>(&self, f: impl FnMut(T) -> R) -> Tensor<A, R, U> {
        let data = self.as_slice().iter().copied().map(f).collect();
        Tensor::from_storage_unchecked(Buffer::new_unchecked(*self.storage().dims(), data))
    }

    /// Writes `f` of each element into `out`.
    ///
    /// # Panics
    /// Where run-time sizes differ.
    #[track_caller]
    #[inline]
    pub fn map_into<R, H: HostMut<R>>(&self, out: &mut Tensor<A, R, U, H>, mut f: impl FnMut(T) -> R) {
        expect_same::<A>("map", self.storage().dims(), out.storage().dims());
        let (a, out) = (self.as_slice(), out.as_mut_slice());
        for (result, &x) in out.iter_mut().zip(a) {
            *result = f(x);
        }
    }

    /// Applies `f` to each pair of elements.
    ///
    /// # Panics
    /// Where run-time sizes differ.
    #[track_caller]
    pub fn zip_map<V: Unit, Y: Copy, H: Host<Y>, R: Element>(
        &self,
        other: &Tensor<A, Y, V, H>,
        mut f: impl FnMut(T, Y) -> R,
    ) -> Tensor<A, R, U> {
        expect_same::<A>("zip_map", self.storage().dims(), other.storage().dims());
        let data = self.as_slice().iter().zip(other.as_slice()).map(|(&x, &y)| f(x, y)).collect();
        Tensor::from_storage_unchecked(Buffer::new_unchecked(*self.storage().dims(), data))
    }
}

impl<A: Axes, T: Real, U: Unit, S: Host<T>> Tensor<A, T, U, S> {
    /// Writes `self + other` into `out`.
    ///
    /// # Panics
    /// Where run-time sizes differ.
    #[track_caller]
    #[inline]
    pub fn add_into<H: Host<T>, O: HostMut<T>>(
        &self,
        other: &Tensor<A, T, U, H>,
        out: &mut Tensor<A, T, U, O>,
    ) {
        expect_same::<A>("add", self.storage().dims(), other.storage().dims());
        expect_same::<A>("add", self.storage().dims(), out.storage().dims());
        let (a, b, out) = (self.as_slice(), other.as_slice(), out.as_mut_slice());
        for ((result, &x), &y) in out.iter_mut().zip(a).zip(b) {
            *result = x + y;
        }
    }

    /// Writes the matrix product with input-major weights into `out`: (…, In) × (In, Out) → (…, Out).
    ///
    /// # Panics
    /// Where run-time sizes differ.
    #[track_caller]
    pub fn apply_into<O: Axis, H: Host<T>, M: HostMut<T>>(
        &self,
        weights: &Tensor<(A::Axis, O), T, Unitless, H>,
        out: &mut Tensor<A::Replace<O>, T, U, M>,
    ) where
        A: Last,
    {
        let [inputs, outputs] = weights.dims();
        let left = self.storage().dims();
        let rows = left.span(0..A::RANK - 1);
        if left[A::RANK - 1] != inputs {
            let (expected, axis) = (left[A::RANK - 1], A::Axis::NAME.to_owned());
            fail(AxesError::SizeMismatch { op: "apply", axis, expected, found: inputs });
        }
        let mut expected = self.dims();
        expected.as_mut()[A::RANK - 1] = outputs;
        let expected = Dims::of::<A::Replace<O>>(&expected);
        expected.expect_equal("apply", <A::Replace<O>>::NAMES, out.storage().dims());
        out.as_mut_slice().fill(T::ZERO);
        let shape = [rows, inputs, 1];
        loops::contract(self.as_slice(), weights.as_slice(), out.as_mut_slice(), shape, [1, outputs]);
    }
}

impl<A: First, T, U: Unit, S: Host<T>> Tensor<A, T, U, S> {
    /// The size of the first axis.
    #[track_caller]
    pub fn rows(&self) -> usize {
        self.storage().dims()[0]
    }

    /// A view of position `i` of the first axis.
    ///
    /// ```
    /// # use axes::{Tensor, axes};
    /// axes! { Seq; Dim = 2; }
    /// let x = Tensor::<(Seq, Dim)>::from_vec([2, 2], vec![1.0, 2.0, 3.0, 4.0])?;
    /// assert_eq!(x.row(1)?.as_slice(), [3.0, 4.0]);
    /// # Ok::<(), axes::AxesError>(())
    /// ```
    ///
    /// # Errors
    /// [`AxesError::OutOfRange`].
    pub fn row(&self, i: usize) -> Result<Tensor<A::Rest, T, U, Ref<'_, T>>, AxesError> {
        let (dims, range) = row_range::<A>(self.storage().dims(), i)?;
        Ok(Tensor::from_storage_unchecked(Ref::new_unchecked(dims, &self.as_slice()[range])))
    }

    /// A view of position `i` of the first axis, for writing.
    ///
    /// # Errors
    /// [`AxesError::OutOfRange`].
    pub fn row_mut(&mut self, i: usize) -> Result<Tensor<A::Rest, T, U, Mut<'_, T>>, AxesError>
    where
        S: HostMut<T>,
    {
        let (dims, range) = row_range::<A>(self.storage().dims(), i)?;
        let data = &mut self.storage_mut().as_mut_slice()[range];
        Ok(Tensor::from_storage_unchecked(Mut::new_unchecked(dims, data)))
    }
}

fn row_range<A: First>(dims: &Dims, i: usize) -> Result<(Dims, std::ops::Range<usize>), AxesError> {
    let size = dims[0];
    if i >= size {
        return Err(AxesError::OutOfRange { op: "row", axis: A::Axis::NAME, size, found: i });
    }
    let rest = dims.without("row", 0)?;
    let stride = dims.span(1..dims.len());
    Ok((rest, i * stride..(i + 1) * stride))
}

impl<A: Axes, T: Element, U: Unit> Tensor<A, T, U> {
    /// Puts `rows` one after another along a new first axis.
    ///
    /// # Errors
    /// [`AxesError::DeclaredSize`] where the new axis declares another size, [`AxesError::SizeMismatch`] where the
    /// rows differ in size. Without rows, axes with no declared size get size 0.
    pub fn stack<X: Axis>(rows: &[Self]) -> Result<Tensor<A::Output, T, U>, AxesError>
    where
        A: Prepend<X>,
    {
        const OP: &str = "stack";
        let first = match rows.first() {
            Some(row) => *row.storage().dims(),
            None => Dims::collect(OP, A::SIZES.iter().map(|size| size.unwrap_or(0)))?,
        };
        let mut data = Vec::with_capacity(rows.len() * first.span(0..A::RANK));
        for row in rows {
            first.check_equal(OP, A::NAMES, row.storage().dims())?;
            data.extend_from_slice(row.as_slice());
        }
        let dims = Dims::collect(OP, std::iter::once(rows.len()).chain(first.iter().copied()))?;
        crate::dims::check_declared::<A::Output>(OP, &dims)?;
        Ok(Tensor::from_storage_unchecked(Buffer::new_unchecked(dims, data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::axes! { Batch; Seq; In = 3; Out = 2; }

    #[test]
    fn into_forms_equal_the_allocating_ones() {
        let x =
            Tensor::<(Batch, Seq, In)>::from_fn([2, 2, 3], |[b, s, i]| (6 * b + 3 * s + i) as f32).unwrap();
        let w = Tensor::<(In, Out)>::from_fn([3, 2], |[i, o]| (2 * i + o) as f32 - 2.0).unwrap();
        let mut y = Tensor::<(Batch, Seq, Out)>::filled([2, 2, 2], 9.0).unwrap();
        x.view().apply_into(&w, &mut y);
        assert_eq!(y, x.apply(&w));
        let mut z = Tensor::<(Batch, Seq, In)>::zeros([2, 2, 3]).unwrap();
        x.add_into(&x.view(), &mut z.view_mut());
        assert_eq!(z, &x * 2.0);
        x.map_into(&mut z, f32::sqrt);
        assert_eq!(z, x.sqrt());
        assert_eq!(x.zip_map(&x, |a, b| a + b), &x * 2.0);
    }

    #[test]
    #[should_panic = "add: axis `Batch`: expected size 2 (left operand), found 3 (right operand)"]
    fn into_forms_check_run_time_sizes() {
        let x = Tensor::<(Batch,)>::zeros([2]).unwrap();
        x.add_into(&x, &mut Tensor::<(Batch,)>::zeros([3]).unwrap());
    }

    #[test]
    fn rows_are_views_and_stack_to_the_whole() {
        let mut x = Tensor::<(Seq, In), i32>::from_fn([4, 3], |[s, i]| (10 * s + i) as i32).unwrap();
        x.row_mut(2).unwrap().as_mut_slice()[0] = -1;
        assert_eq!((x.rows(), x.row(2).unwrap().as_slice()), (4, &[-1, 21, 22][..]));
        let error = x.row(4).unwrap_err().to_string();
        assert_eq!(error, "row: position 4 on axis `Seq`: expected less than 4");
        let rows: Vec<_> = (0..4).map(|i| x.row(i).unwrap().to_owned()).collect();
        assert_eq!(Tensor::stack::<Seq>(&rows).unwrap(), x);
        assert_eq!(Tensor::<(In,)>::stack::<Seq>(&[]).unwrap().dims(), [0, 3]);
        assert!(Tensor::stack::<Out>(&rows).is_err(), "Out declares size 2, there are 4 rows");
    }
}
