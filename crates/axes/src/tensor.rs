//! The typed tensor: axes, element type and unit in the type, elements in the storage.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

use crate::axis::{Axes, Axis};
use crate::buffer::{Buffer, Host, HostMut, Mut, Ref, check_length};
use crate::dims::{Dims, check_declared, named};
use crate::dtype::Element;
use crate::error::AxesError;
use crate::storage::Storage;
use crate::unit::{Unit, Unitless};

/// A tensor with axes `A` (a tuple, slowest-varying first), elements `T`, unit `U` and storage `S`.
///
/// The type parameters cost nothing at run time: the layout is that of the storage.
///
/// ```
/// use axes::{Tensor, axes};
///
/// axes! { Batch; In = 2; }
///
/// let x = Tensor::<(Batch, In)>::from_vec([3, 2], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0])?;
/// assert_eq!(x.dims(), [3, 2]);
/// assert_eq!(x[[1, 0]], 2.0);
///
/// let error = Tensor::<(Batch, In)>::from_vec([2, 3], vec![0.0; 6]).unwrap_err();
/// assert_eq!(error.to_string(), "from_vec: axis `In` is declared with size 2, found 3");
/// # Ok::<(), axes::AxesError>(())
/// ```
#[repr(transparent)]
pub struct Tensor<A: Axes, T = f32, U = Unitless, S = Buffer<T>> {
    storage: S,
    types: PhantomData<fn() -> (A, T, U)>,
}

impl<A: Axes, T, U, S> Tensor<A, T, U, S> {
    /// Puts types on a storage without looking at its sizes; for the makers of storages and for loaders that have
    /// checked them. A shape that is not the types' leads to errors or panics later, never to undefined behaviour.
    #[inline]
    pub fn from_storage_unchecked(storage: S) -> Self {
        Self { storage, types: PhantomData }
    }

    /// The untyped storage.
    #[inline]
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// The untyped storage, for writing.
    #[inline]
    pub(crate) fn storage_mut(&mut self) -> &mut S {
        &mut self.storage
    }

    /// The untyped storage.
    #[inline]
    pub fn into_storage(self) -> S {
        self.storage
    }
}

impl<A: Axes, T, U: Unit, S: Storage> Tensor<A, T, U, S> {
    /// Puts types on a storage, checking its rank and the axes with a declared size where its sizes are known.
    ///
    /// # Errors
    /// [`AxesError::Rank`], [`AxesError::DeclaredSize`].
    pub fn from_storage(storage: S) -> Result<Self, AxesError> {
        if let Some(dims) = storage.known_dims() {
            check_declared::<A>("from_storage", &dims)?;
        }
        Ok(Self::from_storage_unchecked(storage))
    }

    /// Gives the axes other names; the number of axes is the same by type.
    ///
    /// ```
    /// # use axes::{Tensor, axes};
    /// axes! { Seq; Past; Dim = 2; }
    /// let keys = Tensor::<(Seq, Dim)>::zeros([5, 2])?;
    /// let keys: Tensor<(Past, Dim)> = keys.relabel()?;
    /// # Ok::<(), axes::AxesError>(())
    /// ```
    ///
    /// # Errors
    /// [`AxesError::DeclaredSize`] where a new axis declares another size.
    pub fn relabel<B: Axes<Dims = A::Dims>>(self) -> Result<Tensor<B, T, U, S>, AxesError> {
        if let Some(dims) = self.storage.known_dims() {
            check_declared::<B>("relabel", &dims)?;
        }
        Ok(Tensor::from_storage_unchecked(self.storage))
    }
}

impl<A: Axes, T: Element, U: Unit> Tensor<A, T, U> {
    /// Owns `data`, row-major, with one size per axis.
    ///
    /// # Errors
    /// [`AxesError::DeclaredSize`] where an axis declares another size, [`AxesError::Length`] where the sizes hold
    /// another number of elements.
    pub fn from_vec(dims: A::Dims, data: Vec<T>) -> Result<Self, AxesError> {
        let dims = checked_dims::<A>("from_vec", dims, data.len())?;
        Ok(Self::from_storage_unchecked(Buffer::new_unchecked(dims, data)))
    }

    /// Every element is `value`.
    ///
    /// # Errors
    /// [`AxesError::DeclaredSize`] where an axis declares another size, [`AxesError::TooLarge`].
    pub fn filled(dims: A::Dims, value: T) -> Result<Self, AxesError> {
        check_declared::<A>("filled", dims.as_ref())?;
        let dims = Dims::of::<A>(&dims);
        let data = vec![value; dims.elements("filled")?];
        Ok(Self::from_storage_unchecked(Buffer::new_unchecked(dims, data)))
    }

    /// Every element is zero (false for bool).
    ///
    /// # Errors
    /// As [`filled`](Self::filled).
    pub fn zeros(dims: A::Dims) -> Result<Self, AxesError> {
        Self::filled(dims, T::default())
    }

    /// The element at each index is `value(index)`.
    ///
    /// ```
    /// # use axes::{Tensor, axes};
    /// axes! { Row = 2; Col = 3; }
    /// let x = Tensor::<(Row, Col), i32>::from_fn([2, 3], |[row, col]| 10 * row as i32 + col as i32)?;
    /// assert_eq!(x.as_slice(), [0, 1, 2, 10, 11, 12]);
    /// # Ok::<(), axes::AxesError>(())
    /// ```
    ///
    /// # Errors
    /// As [`filled`](Self::filled).
    pub fn from_fn(dims: A::Dims, mut value: impl FnMut(A::Dims) -> T) -> Result<Self, AxesError> {
        let mut tensor = Self::zeros(dims)?;
        let mut index = dims;
        index.as_mut().fill(0);
        for element in tensor.as_mut_slice() {
            *element = value(index);
            // Row-major counting: the last axis turns fastest.
            for (place, &size) in index.as_mut().iter_mut().zip(dims.as_ref()).rev() {
                *place += 1;
                if *place < size {
                    break;
                }
                *place = 0;
            }
        }
        Ok(tensor)
    }

    /// The elements, row-major.
    pub fn into_vec(self) -> Vec<T> {
        self.storage.into_vec()
    }
}

impl<'a, A: Axes, T, U: Unit> Tensor<A, T, U, Ref<'a, T>> {
    /// Borrows `data`, row-major, with one size per axis.
    ///
    /// # Errors
    /// As [`from_vec`](Tensor::from_vec).
    pub fn from_slice(dims: A::Dims, data: &'a [T]) -> Result<Self, AxesError> {
        let dims = checked_dims::<A>("from_slice", dims, data.len())?;
        Ok(Self::from_storage_unchecked(Ref::new_unchecked(dims, data)))
    }
}

impl<'a, A: Axes, T, U: Unit> Tensor<A, T, U, Mut<'a, T>> {
    /// Borrows `data` for writing, row-major, with one size per axis.
    ///
    /// # Errors
    /// As [`from_vec`](Tensor::from_vec).
    pub fn from_mut_slice(dims: A::Dims, data: &'a mut [T]) -> Result<Self, AxesError> {
        let dims = checked_dims::<A>("from_mut_slice", dims, data.len())?;
        Ok(Self::from_storage_unchecked(Mut::new_unchecked(dims, data)))
    }
}

fn checked_dims<A: Axes>(op: &'static str, dims: A::Dims, length: usize) -> Result<Dims, AxesError> {
    check_declared::<A>(op, dims.as_ref())?;
    let dims = Dims::of::<A>(&dims);
    check_length(op, A::NAMES, &dims, length)?;
    Ok(dims)
}

impl<A: Axes, T, U: Unit, S: Host<T>> Tensor<A, T, U, S> {
    /// The size of each axis.
    ///
    /// # Panics
    /// If the storage came in through [`from_storage_unchecked`](Self::from_storage_unchecked) with another rank.
    #[track_caller]
    pub fn dims(&self) -> A::Dims {
        A::dims_from(self.storage.dims()).expect("the storage has the rank of the axes")
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there are no elements: one axis has size 0.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// The elements, row-major.
    #[inline]
    pub fn as_slice(&self) -> &[T] {
        self.storage.as_slice()
    }

    /// Borrows the elements.
    #[inline]
    pub fn view(&self) -> Tensor<A, T, U, Ref<'_, T>> {
        Tensor::from_storage_unchecked(Ref::new_unchecked(*self.storage.dims(), self.storage.as_slice()))
    }

    /// Copies the elements.
    pub fn to_owned(&self) -> Tensor<A, T, U>
    where
        T: Clone,
    {
        Tensor::from_storage_unchecked(Buffer::new_unchecked(*self.storage.dims(), self.as_slice().to_vec()))
    }

    /// The element at `index`, or `None` where it is out of range.
    pub fn get(&self, index: A::Dims) -> Option<&T> {
        self.as_slice().get(offset(self.storage.dims(), index.as_ref())?)
    }
}

impl<A: Axes, T, U: Unit, S: HostMut<T>> Tensor<A, T, U, S> {
    /// The elements, row-major, for writing.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        self.storage.as_mut_slice()
    }

    /// Borrows the elements for writing.
    #[inline]
    pub fn view_mut(&mut self) -> Tensor<A, T, U, Mut<'_, T>> {
        let dims = *self.storage.dims();
        Tensor::from_storage_unchecked(Mut::new_unchecked(dims, self.storage.as_mut_slice()))
    }
}

fn offset(dims: &Dims, index: &[usize]) -> Option<usize> {
    dims.iter().zip(index).try_fold(0, |offset, (&size, &i)| (i < size).then_some(offset * size + i))
}

impl<A: Axes, T, U: Unit, S: Host<T>> Index<A::Dims> for Tensor<A, T, U, S> {
    type Output = T;

    #[track_caller]
    fn index(&self, index: A::Dims) -> &T {
        let dims = self.storage.dims();
        let Some(offset) = offset(dims, index.as_ref()) else { out_of_range::<A>(dims, index) };
        &self.as_slice()[offset]
    }
}

impl<A: Axes, T, U: Unit, S: HostMut<T>> IndexMut<A::Dims> for Tensor<A, T, U, S> {
    #[track_caller]
    fn index_mut(&mut self, index: A::Dims) -> &mut T {
        let dims = *self.storage.dims();
        let Some(offset) = offset(&dims, index.as_ref()) else { out_of_range::<A>(&dims, index) };
        &mut self.storage.as_mut_slice()[offset]
    }
}

#[cold]
#[track_caller]
fn out_of_range<A: Axes>(dims: &Dims, index: A::Dims) -> ! {
    panic!("index {index:?} is out of range for axes {}", named(A::NAMES, dims))
}

impl<T: Copy, U: Unit, S: Host<T>> Tensor<(), T, U, S> {
    /// The only element of a tensor without axes.
    ///
    /// # Panics
    /// If the storage came in through [`from_storage_unchecked`](Self::from_storage_unchecked) without an element.
    #[track_caller]
    pub fn value(&self) -> T {
        self.as_slice()[0]
    }
}

impl<X: Axis, T: Element, U: Unit> Tensor<(X,), T, U> {
    /// A vector that owns `data`, with the size of its axis taken from it.
    ///
    /// # Errors
    /// [`AxesError::DeclaredSize`] where the axis declares another size.
    pub fn vector(data: Vec<T>) -> Result<Self, AxesError> {
        Self::from_vec([data.len()], data)
    }
}

// Written out: derives would put bounds on the markers.
impl<A: Axes, T, U, S: Clone> Clone for Tensor<A, T, U, S> {
    fn clone(&self) -> Self {
        Self::from_storage_unchecked(self.storage.clone())
    }
}

impl<A: Axes, T, U, S: Copy> Copy for Tensor<A, T, U, S> {}

impl<A: Axes, T, U, S: PartialEq> PartialEq for Tensor<A, T, U, S> {
    fn eq(&self, other: &Self) -> bool {
        self.storage == other.storage
    }
}

impl<A: Axes, T, U: Unit, S: fmt::Debug> fmt::Debug for Tensor<A, T, U, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({})", A::NAMES.join(", "))?;
        if !U::SYMBOL.is_empty() {
            write!(f, " [{}]", U::SYMBOL)?;
        }
        write!(f, " {:?}", self.storage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::axes! { Batch; In = 3; Wide = 4; }

    #[test]
    fn the_types_cost_no_byte() {
        assert_eq!(size_of::<Tensor<(Batch, In)>>(), size_of::<Buffer<f32>>());
        assert_eq!(size_of::<Tensor<(Batch,), i8, Unitless, Ref<'_, i8>>>(), size_of::<Ref<'_, i8>>());
    }

    #[test]
    fn construction_checks_declared_sizes_and_length() {
        assert!(Tensor::<(Batch, In)>::from_vec([2, 3], vec![0.0; 6]).is_ok());
        let error = Tensor::<(Batch, In)>::from_vec([2, 3], vec![0.0; 5]).unwrap_err();
        assert_eq!(error.to_string(), "from_vec: axes (Batch = 2, In = 3) hold 6 elements, found 5");
        assert!(matches!(
            Tensor::<(Batch, In)>::zeros([2, 4]),
            Err(AxesError::DeclaredSize { axis: "In", expected: 3, found: 4, .. })
        ));
        assert!(matches!(
            Tensor::<(Batch, Batch), u8>::zeros([usize::MAX, 2]),
            Err(AxesError::TooLarge { .. })
        ));
        let untyped = Buffer::new(&[3], vec![0.0f32; 3]).unwrap();
        assert!(Tensor::<(In,)>::from_storage(untyped.clone()).is_ok());
        assert!(matches!(
            Tensor::<(Batch, In)>::from_storage(untyped),
            Err(AxesError::Rank { expected: 2, found: 1, .. })
        ));
    }

    #[test]
    fn indexing_is_row_major() {
        let x = Tensor::<(Batch, In), i64>::from_fn([2, 3], |[b, i]| (10 * b + i) as i64).unwrap();
        assert_eq!((x[[1, 2]], x.get([0, 1]), x.get([2, 0]), x.get([0, 3])), (12, Some(&1), None, None));
        assert_eq!(x.as_slice(), [0, 1, 2, 10, 11, 12]);
    }

    #[test]
    #[should_panic = "index [0, 3] is out of range for axes (Batch = 2, In = 3)"]
    fn an_index_out_of_range_names_the_axes() {
        let x = Tensor::<(Batch, In)>::zeros([2, 3]).unwrap();
        let _ = x[[0, 3]];
    }

    #[test]
    fn views_write_through() {
        let mut x = Tensor::<(In,)>::vector(vec![1.0, 2.0, 3.0]).unwrap();
        x.view_mut()[[1]] = 5.0;
        assert_eq!(x.view().to_owned(), x);
        assert_eq!(x.into_vec(), [1.0, 5.0, 3.0]);
    }

    #[test]
    fn relabelling_checks_declared_sizes() {
        let x = Tensor::<(Batch,)>::zeros([3]).unwrap();
        assert!(x.clone().relabel::<(In,)>().is_ok());
        assert!(matches!(x.relabel::<(Wide,)>(), Err(AxesError::DeclaredSize { axis: "Wide", .. })));
    }
}
