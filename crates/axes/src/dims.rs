//! Run-time sizes, kept inline: making a tensor view allocates nothing.

use std::fmt;
use std::ops::Deref;

use crate::axis::Axes;
use crate::error::{AxesError, fail};

/// The most axes a buffer holds. Typed tensors have at most six; the untyped form leaves room for contractions.
pub const MAX_RANK: usize = 8;

/// The sizes of up to [`MAX_RANK`] axes, slowest-varying first.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dims {
    rank: usize,
    // Entries from `rank` on are zero, so that derived equality compares shapes.
    sizes: [usize; MAX_RANK],
}

impl Dims {
    /// Keeps `sizes`.
    ///
    /// # Errors
    /// [`AxesError::RankLimit`] for more than [`MAX_RANK`] sizes.
    pub fn new(sizes: &[usize]) -> Result<Self, AxesError> {
        Self::collect("dims", sizes.iter().copied())
    }

    /// Keeps the sizes of typed axes, whose number is at most six.
    #[inline]
    pub(crate) fn of<A: Axes>(sizes: &A::Dims) -> Self {
        let mut dims = Self { rank: A::RANK, sizes: [0; MAX_RANK] };
        dims.sizes[..A::RANK].copy_from_slice(sizes.as_ref());
        dims
    }

    pub(crate) fn collect(op: &'static str, sizes: impl Iterator<Item = usize>) -> Result<Self, AxesError> {
        let mut dims = Self { rank: 0, sizes: [0; MAX_RANK] };
        for size in sizes {
            if dims.rank < MAX_RANK {
                dims.sizes[dims.rank] = size;
            }
            dims.rank += 1;
        }
        if dims.rank > MAX_RANK {
            return Err(AxesError::RankLimit { op, limit: MAX_RANK, found: dims.rank });
        }
        Ok(dims)
    }

    /// The number of elements: the product of the sizes.
    ///
    /// # Errors
    /// [`AxesError::TooLarge`] where it does not fit in `usize`.
    pub fn elements(&self, op: &'static str) -> Result<usize, AxesError> {
        self.iter()
            .try_fold(1usize, |product, &size| product.checked_mul(size))
            .ok_or_else(|| AxesError::TooLarge { op, axes: named(&[], self) })
    }

    /// The product of the sizes of `axes`, which exist and whose product fits.
    pub(crate) fn span(&self, axes: std::ops::Range<usize>) -> usize {
        self[axes].iter().product()
    }

    /// The sizes without that of `axis`.
    pub(crate) fn without(&self, op: &'static str, axis: usize) -> Result<Self, AxesError> {
        if axis >= self.rank {
            return Err(AxesError::NoSuchAxis { op, axis, rank: self.rank });
        }
        Self::collect(op, self.iter().enumerate().filter(|&(i, _)| i != axis).map(|(_, &size)| size))
    }

    /// Checks that both operands of `op` have the same sizes; `names` (may be empty) are the axes' names.
    ///
    /// # Errors
    /// [`AxesError::SizeMismatch`] for the first axis that differs, [`AxesError::Rank`] for another number of axes.
    #[inline]
    pub fn check_equal(
        &self,
        op: &'static str,
        names: &'static [&'static str],
        other: &Dims,
    ) -> Result<(), AxesError> {
        if self == other { Ok(()) } else { Err(difference(op, names, self, other)) }
    }

    /// Panicking form of [`check_equal`](Self::check_equal), with the same text.
    #[track_caller]
    #[inline]
    pub fn expect_equal(&self, op: &'static str, names: &'static [&'static str], other: &Dims) {
        if self != other {
            unequal(op, names, self, other);
        }
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn unequal(op: &'static str, names: &'static [&'static str], left: &Dims, right: &Dims) -> ! {
    fail(difference(op, names, left, right))
}

#[cold]
fn difference(op: &'static str, names: &[&str], left: &Dims, right: &Dims) -> AxesError {
    for (axis, (&expected, &found)) in left.iter().zip(right.iter()).enumerate() {
        if left.rank == right.rank && expected != found {
            return AxesError::SizeMismatch { op, axis: name(names, axis), expected, found };
        }
    }
    AxesError::Rank { op, expected: left.rank, found: right.rank }
}

/// The name of an axis, or `#1` where it has none.
pub(crate) fn name(names: &[&str], axis: usize) -> String {
    names.get(axis).map_or_else(|| format!("#{axis}"), |name| (*name).to_owned())
}

/// `(Batch = 4, In = 64)`.
pub(crate) fn named(names: &[&str], sizes: &[usize]) -> String {
    let axes: Vec<String> =
        sizes.iter().enumerate().map(|(axis, size)| format!("{} = {size}", name(names, axis))).collect();
    format!("({})", axes.join(", "))
}

/// Checks the sizes against the sizes that the axis types declare.
#[inline]
pub(crate) fn check_declared<A: Axes>(op: &'static str, sizes: &[usize]) -> Result<(), AxesError> {
    if sizes.len() != A::RANK {
        return Err(AxesError::Rank { op, expected: A::RANK, found: sizes.len() });
    }
    for (axis, (declared, &found)) in A::SIZES.iter().zip(sizes).enumerate() {
        if let Some(expected) = *declared
            && expected != found
        {
            return Err(AxesError::DeclaredSize { op, axis: A::NAMES[axis], expected, found });
        }
    }
    Ok(())
}

impl Deref for Dims {
    type Target = [usize];

    #[inline]
    fn deref(&self) -> &[usize] {
        &self.sizes[..self.rank]
    }
}

impl fmt::Debug for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_ignores_the_unused_places() {
        let a = Dims::new(&[2, 3]).unwrap();
        assert_eq!(a, Dims::of::<(Row, Col)>(&[2, 3]));
        assert_ne!(a, Dims::new(&[2, 3, 0]).unwrap());
        assert_eq!(format!("{a:?}"), "[2, 3]");
    }

    crate::axes! { Row; Col = 3; }

    #[test]
    fn a_difference_names_the_axis_and_both_sizes() {
        let (a, b) = (Dims::new(&[2, 3]).unwrap(), Dims::new(&[2, 4]).unwrap());
        let error = a.check_equal("add", &["Row", "Col"], &b).unwrap_err();
        assert_eq!(
            error.to_string(),
            "add: axis `Col`: expected size 3 (left operand), found 4 (right operand)"
        );
        let error = a.check_equal("add", &[], &b).unwrap_err();
        assert!(error.to_string().contains("axis `#1`"), "{error}");
        let error = a.check_equal("add", &[], &Dims::new(&[2]).unwrap()).unwrap_err();
        assert_eq!(error, AxesError::Rank { op: "add", expected: 2, found: 1 });
    }

    #[test]
    fn too_many_axes_or_elements_are_errors() {
        assert!(matches!(Dims::new(&[1; 9]), Err(AxesError::RankLimit { found: 9, .. })));
        let huge = Dims::new(&[usize::MAX, 2]).unwrap();
        assert!(matches!(huge.elements("zeros"), Err(AxesError::TooLarge { op: "zeros", .. })));
    }

    #[test]
    fn declared_sizes_bind() {
        assert!(check_declared::<(Row, Col)>("from_vec", &[7, 3]).is_ok());
        let error = check_declared::<(Row, Col)>("from_vec", &[7, 4]).unwrap_err();
        assert_eq!(error.to_string(), "from_vec: axis `Col` is declared with size 3, found 4");
    }
}
