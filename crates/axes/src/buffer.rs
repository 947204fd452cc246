//! Storage in this computer's memory: owned ([`Buffer`]), shared view ([`Ref`]) and exclusive view ([`Mut`]).
//!
//! All three are contiguous and row-major, the last axis varying fastest. A view borrows; a copy is spelled
//! `to_owned`. Strided views lost: every consumer (the ternary kernels first) wants contiguous rows, and a
//! permutation that copies is visible in the source.

use crate::dims::{Dims, named};
use crate::error::AxesError;
use crate::storage::Storage;

/// Owned elements with their sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer<T> {
    dims: Dims,
    data: Vec<T>,
}

/// A shared view of elements with their sizes.
#[derive(Debug, PartialEq)]
pub struct Ref<'a, T> {
    dims: Dims,
    data: &'a [T],
}

/// An exclusive view of elements with their sizes.
#[derive(Debug, PartialEq)]
pub struct Mut<'a, T> {
    dims: Dims,
    data: &'a mut [T],
}

/// Storage whose elements can be read as a slice.
#[diagnostic::on_unimplemented(
    message = "the elements of `{Self}` are not in this computer's memory",
    label = "needs a buffer or a view of `{T}`",
    note = "a traced tensor has elements only once its graph has run"
)]
pub trait Host<T> {
    /// The sizes.
    fn dims(&self) -> &Dims;
    /// The elements, row-major.
    fn as_slice(&self) -> &[T];
}

/// Storage whose elements can be written.
pub trait HostMut<T>: Host<T> {
    /// The elements, row-major.
    fn as_mut_slice(&mut self) -> &mut [T];
}

/// Checks that `sizes` hold `found` elements.
#[inline]
pub(crate) fn check_length(
    op: &'static str,
    names: &[&str],
    dims: &Dims,
    found: usize,
) -> Result<(), AxesError> {
    let expected = dims.elements(op)?;
    if expected == found {
        Ok(())
    } else {
        Err(AxesError::Length { op, axes: named(names, dims), expected, found })
    }
}

impl<T> Buffer<T> {
    /// Owns `data`, row-major with the given sizes.
    ///
    /// # Errors
    /// [`AxesError::Length`] where the sizes hold another number of elements, [`AxesError::RankLimit`] for too many
    /// axes.
    ///
    /// ```
    /// let buffer = axes::Buffer::new(&[2, 3], vec![0.0f32; 6])?;
    /// assert_eq!(buffer.dims()[..], [2, 3]);
    /// assert!(axes::Buffer::new(&[2, 3], vec![0.0f32; 5]).is_err());
    /// # Ok::<(), axes::AxesError>(())
    /// ```
    pub fn new(sizes: &[usize], data: Vec<T>) -> Result<Self, AxesError> {
        let dims = Dims::new(sizes)?;
        check_length("buffer", &[], &dims, data.len())?;
        Ok(Self { dims, data })
    }

    /// Owns `data` whose length is known to be the product of `dims`.
    #[inline]
    pub(crate) fn new_unchecked(dims: Dims, data: Vec<T>) -> Self {
        debug_assert_eq!(dims.iter().product::<usize>(), data.len());
        Self { dims, data }
    }

    /// The sizes.
    #[inline]
    pub fn dims(&self) -> &Dims {
        &self.dims
    }

    /// The elements, row-major.
    #[inline]
    pub fn as_slice(&self) -> &[T] {
        &self.data
    }

    /// The elements, row-major.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// The elements, row-major.
    pub fn into_vec(self) -> Vec<T> {
        self.data
    }

    /// Borrows the elements.
    #[inline]
    pub fn view(&self) -> Ref<'_, T> {
        Ref { dims: self.dims, data: &self.data }
    }

    /// Borrows the elements for writing.
    #[inline]
    pub fn view_mut(&mut self) -> Mut<'_, T> {
        Mut { dims: self.dims, data: &mut self.data }
    }
}

impl<'a, T> Ref<'a, T> {
    /// Borrows `data`, row-major with the given sizes.
    ///
    /// # Errors
    /// As [`Buffer::new`].
    pub fn new(sizes: &[usize], data: &'a [T]) -> Result<Self, AxesError> {
        let dims = Dims::new(sizes)?;
        check_length("view", &[], &dims, data.len())?;
        Ok(Self { dims, data })
    }

    #[inline]
    pub(crate) fn new_unchecked(dims: Dims, data: &'a [T]) -> Self {
        debug_assert_eq!(dims.iter().product::<usize>(), data.len());
        Self { dims, data }
    }

    /// The sizes.
    #[inline]
    pub fn dims(&self) -> &Dims {
        &self.dims
    }

    /// The elements, row-major, for as long as they are borrowed.
    #[inline]
    pub fn as_slice(&self) -> &'a [T] {
        self.data
    }

    /// Copies the elements.
    pub fn to_owned(&self) -> Buffer<T>
    where
        T: Clone,
    {
        Buffer { dims: self.dims, data: self.data.to_vec() }
    }
}

impl<'a, T> Mut<'a, T> {
    /// Borrows `data` for writing, row-major with the given sizes.
    ///
    /// # Errors
    /// As [`Buffer::new`].
    pub fn new(sizes: &[usize], data: &'a mut [T]) -> Result<Self, AxesError> {
        let dims = Dims::new(sizes)?;
        check_length("view", &[], &dims, data.len())?;
        Ok(Self { dims, data })
    }

    #[inline]
    pub(crate) fn new_unchecked(dims: Dims, data: &'a mut [T]) -> Self {
        debug_assert_eq!(dims.iter().product::<usize>(), data.len());
        Self { dims, data }
    }

    /// The sizes.
    #[inline]
    pub fn dims(&self) -> &Dims {
        &self.dims
    }

    /// The elements, row-major.
    #[inline]
    pub fn as_slice(&self) -> &[T] {
        self.data
    }

    /// The elements, row-major.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        self.data
    }
}

// Written out: a derive would ask for `T: Clone`, and a view copies no element.
impl<T> Clone for Ref<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ref<'_, T> {}

impl<T: Clone> Storage for Buffer<T> {
    #[inline]
    fn known_dims(&self) -> Option<Dims> {
        Some(self.dims)
    }
}

impl<T> Storage for Ref<'_, T> {
    #[inline]
    fn known_dims(&self) -> Option<Dims> {
        Some(self.dims)
    }
}

macro_rules! host {
    ($($storage:ty)*) => { $(
        impl<T> Host<T> for $storage {
            #[inline]
            fn dims(&self) -> &Dims {
                &self.dims
            }
            #[inline]
            fn as_slice(&self) -> &[T] {
                &self.data
            }
        }
    )* };
}

host! { Buffer<T> Ref<'_, T> Mut<'_, T> }

impl<T> HostMut<T> for Buffer<T> {
    #[inline]
    fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.data
    }
}

impl<T> HostMut<T> for Mut<'_, T> {
    #[inline]
    fn as_mut_slice(&mut self) -> &mut [T] {
        self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_borrow_and_copies_are_spelled_out() {
        let mut buffer = Buffer::new(&[2, 2], vec![1, 2, 3, 4]).unwrap();
        assert!(std::ptr::eq(buffer.as_slice(), buffer.view().as_slice()));
        buffer.view_mut().as_mut_slice()[3] = 9;
        let copy = buffer.view().to_owned();
        assert_eq!(copy, buffer);
        assert!(!std::ptr::eq(copy.as_slice(), buffer.as_slice()));
        assert_eq!(copy.into_vec(), [1, 2, 3, 9]);
    }

    #[test]
    fn the_length_is_checked() {
        let error = Ref::new(&[2, 3], &[0u8; 7]).unwrap_err().to_string();
        assert_eq!(error, "view: axes (#0 = 2, #1 = 3) hold 6 elements, found 7");
        assert!(Mut::new(&[0], &mut [1.0f32]).is_err());
        assert!(Buffer::new(&[], vec![1.0f32]).is_ok(), "a scalar has no axes and one element");
    }
}
