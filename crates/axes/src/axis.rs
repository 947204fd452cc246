//! Axes as types: one axis ([`Axis`]), and the ordered list of a tensor's axes ([`Axes`], a tuple).
//!
//! Names, not sizes, are what is compared. Const-generic sizes (dfdx's `Rank2<M, N>`) lost because two axes of one
//! size then mix silently; run-time names (xarray, named tensors of PyTorch) lost because the error comes late.

use std::fmt::Debug;
use std::hash::Hash;

/// A named axis of a tensor. Declare one with [`axes!`](crate::axes!).
///
/// `SIZE` is `None` for an axis whose size is known only at run time.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tensor axis",
    label = "not an axis",
    note = "declare it with `axes! {{ {Self}; }}`, or with a fixed size: `axes! {{ {Self} = 64; }}`"
)]
pub trait Axis: Copy + Default + Debug + Send + Sync + 'static {
    /// The name shown in errors and drawings.
    const NAME: &'static str;
    /// The size where it is fixed at compile time.
    const SIZE: Option<usize>;
}

/// Declares axes: unit structs that implement [`Axis`], with a fixed size or none.
///
/// ```
/// use axes::{Axis, axes};
///
/// axes! {
///     /// Examples that are processed together.
///     pub Batch;
///     /// Hidden features.
///     pub Hidden = 64;
/// }
/// assert_eq!((Batch::NAME, Batch::SIZE), ("Batch", None));
/// assert_eq!((Hidden::NAME, Hidden::SIZE), ("Hidden", Some(64)));
/// ```
#[macro_export]
macro_rules! axes {
    ($($(#[$attribute:meta])* $visibility:vis $name:ident $(= $size:expr)?;)*) => { $(
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        $visibility struct $name;

        impl $crate::Axis for $name {
            const NAME: &'static str = stringify!($name);
            const SIZE: Option<usize> = $crate::axes!(@size $($size)?);
        }
    )* };
    (@size) => { None };
    (@size $size:expr) => { Some($size) };
}

/// The ordered axes of a tensor: a tuple of zero to six [`Axis`] types, slowest-varying first.
///
/// ```
/// use axes::{Axes, axes};
///
/// axes! { Batch; In = 64; }
/// assert_eq!(<(Batch, In)>::RANK, 2);
/// assert_eq!(<(Batch, In)>::names(), ["Batch", "In"]);
/// assert_eq!(<(Batch, In)>::sizes(), [None, Some(64)]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of tensor axes",
    label = "not a tuple of axes",
    note = "axes are written as a tuple of at most six axis types: `(Batch, In)`, `(In,)`, `()`"
)]
pub trait Axes: 'static {
    /// One size per axis: `[usize; RANK]`, so that a wrong number of sizes does not compile.
    type Dims: Copy + Debug + Eq + Hash + AsRef<[usize]> + AsMut<[usize]> + Send + Sync + 'static;
    /// The number of axes.
    const RANK: usize;
    /// The axes' names, in order.
    const NAMES: &'static [&'static str];
    /// The axes' sizes where they are fixed at compile time, in order.
    const SIZES: &'static [Option<usize>];
    /// Whether every size is fixed at compile time.
    const STATIC: bool;

    /// The axes' names, in order.
    fn names() -> &'static [&'static str] {
        Self::NAMES
    }

    /// The axes' sizes where they are fixed at compile time, in order.
    fn sizes() -> &'static [Option<usize>] {
        Self::SIZES
    }

    /// `dims` as an array of `RANK` sizes, or `None` where the number of sizes differs.
    fn dims_from(dims: &[usize]) -> Option<Self::Dims>;
}

macro_rules! tuple_of_axes {
    ($rank:literal: $($axis:ident)*) => {
        impl<$($axis: Axis),*> Axes for ($($axis,)*) {
            type Dims = [usize; $rank];
            const RANK: usize = $rank;
            const NAMES: &'static [&'static str] = &[$($axis::NAME),*];
            const SIZES: &'static [Option<usize>] = &[$($axis::SIZE),*];
            const STATIC: bool = true $(&& $axis::SIZE.is_some())*;

            #[inline]
            fn dims_from(dims: &[usize]) -> Option<Self::Dims> {
                dims.try_into().ok()
            }
        }
    };
}

tuple_of_axes!(0:);
tuple_of_axes!(1: A);
tuple_of_axes!(2: A B);
tuple_of_axes!(3: A B C);
tuple_of_axes!(4: A B C D);
tuple_of_axes!(5: A B C D E);
tuple_of_axes!(6: A B C D E F);

#[cfg(test)]
mod tests {
    use super::*;

    axes! { Batch; In = 3; Out = 2; }

    #[test]
    fn tuples_list_their_axes_in_order() {
        assert_eq!(<()>::RANK, 0);
        assert!(<()>::names().is_empty());
        assert_eq!(<(Batch, In, Out)>::names(), ["Batch", "In", "Out"]);
        assert_eq!(<(Batch, In, Out)>::sizes(), [None, Some(3), Some(2)]);
        const { assert!(<(In, Out)>::STATIC && !<(Batch, In)>::STATIC && <()>::STATIC) };
    }

    #[test]
    fn dims_have_the_rank_of_the_axes() {
        assert_eq!(<(Batch, In)>::dims_from(&[4, 3]), Some([4, 3]));
        assert_eq!(<(Batch, In)>::dims_from(&[4]), None);
    }
}
