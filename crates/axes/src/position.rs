//! Type-level look-ups in a list of axes: the last axis, the first, a named one, a shared suffix.
//!
//! Each trait here is an absence test with one impl per position, so its `on_unimplemented` text is what a user
//! reads. Equality of two axes is left to unification: a `SameAxis<Other>` trait with one blanket impl never shows
//! its text, because the solver unifies first and reports E0308.

use crate::axis::{Axes, Axis};

/// Marker of the position at which [`Without`] found the axis; inferred, never written.
#[derive(Clone, Copy, Debug)]
pub struct At<const N: usize>;

/// Axes that contain `X`, and what remains without it.
///
/// `P` is the position ([`At`]) and is inferred. Where `X` occurs twice (`(Dim, Dim)`) the position is ambiguous
/// and the compiler asks for it; relabel one of the two axes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no axis `{X}`",
    label = "no axis `{X}` among `{Self}`",
    note = "axes are matched by name, not by size"
)]
pub trait Without<X: Axis, P>: Axes {
    /// The remaining axes, in order.
    type Rest: Axes;
    /// The position of `X`.
    const AXIS: usize;
}

/// Axes with a last axis, over which matrix products contract.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no last axis",
    label = "a tensor of rank 0 has no axis to contract or reduce"
)]
pub trait Last: Axes {
    /// The last axis.
    type Axis: Axis;
    /// The axes before it.
    type Rest: Axes;
    /// The same axes with another one in the last place.
    type Replace<X: Axis>: Axes<Dims = Self::Dims>;
}

/// Axes with a first axis, along which tensors are indexed and stacked.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no first axis",
    label = "a tensor of rank 0 has no axis to index"
)]
pub trait First: Axes {
    /// The first axis.
    type Axis: Axis;
    /// The axes after it.
    type Rest: Axes;
}

/// Axes that have room for one more in front.
#[diagnostic::on_unimplemented(
    message = "no further axis fits in front of `{Self}`",
    label = "a tensor has at most six axes"
)]
pub trait Prepend<X: Axis>: Axes {
    /// `X`, then the axes of `Self`.
    type Output: Axes;
}

/// Axes whose last ones are exactly `Suffix`; what a bias is broadcast to.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not end with the axes `{Suffix}`",
    label = "cannot repeat a tensor over `{Suffix}` to get `{Self}`",
    note = "axes are matched by name, not by size"
)]
pub trait EndsWith<Suffix: Axes>: Axes {}

macro_rules! without {
    ($($n:literal: ($($before:ident)*) $x:ident ($($after:ident)*);)*) => { $(
        impl<$($before: Axis,)* $x: Axis, $($after: Axis,)*> Without<$x, At<$n>>
            for ($($before,)* $x, $($after,)*)
        {
            type Rest = ($($before,)* $($after,)*);
            const AXIS: usize = $n;
        }
    )* };
}

without! {
    0: () X ();
    0: () X (A);           1: (A) X ();
    0: () X (A B);         1: (A) X (B);         2: (A B) X ();
    0: () X (A B C);       1: (A) X (B C);       2: (A B) X (C);       3: (A B C) X ();
    0: () X (A B C D);     1: (A) X (B C D);     2: (A B) X (C D);     3: (A B C) X (D);
    4: (A B C D) X ();
    0: () X (A B C D E);   1: (A) X (B C D E);   2: (A B) X (C D E);   3: (A B C) X (D E);
    4: (A B C D) X (E);    5: (A B C D E) X ();
}

macro_rules! ends {
    ($(($($rest:ident)*) $end:ident;)*) => { $(
        impl<$($rest: Axis,)* $end: Axis> Last for ($($rest,)* $end,) {
            type Axis = $end;
            type Rest = ($($rest,)*);
            type Replace<X: Axis> = ($($rest,)* X,);
        }
        impl<$end: Axis, $($rest: Axis,)*> First for ($end, $($rest,)*) {
            type Axis = $end;
            type Rest = ($($rest,)*);
        }
        impl<X: Axis, $($rest: Axis,)*> Prepend<X> for ($($rest,)*) {
            type Output = (X, $($rest,)*);
        }
    )* };
}

ends! {
    () Z;
    (A) Z;
    (A B) Z;
    (A B C) Z;
    (A B C D) Z;
    (A B C D E) Z;
}

macro_rules! ends_with {
    ($(($($before:ident)*) ($($suffix:ident)*);)*) => { $(
        impl<$($before: Axis,)* $($suffix: Axis,)*> EndsWith<($($suffix,)*)>
            for ($($before,)* $($suffix,)*) {}
    )* };
}

ends_with! {
    () ();
    (A) ();             () (A);
    (A B) ();           (A) (B);           () (A B);
    (A B C) ();         (A B) (C);         (A) (B C);         () (A B C);
    (A B C D) ();       (A B C) (D);       (A B) (C D);       (A) (B C D);       () (A B C D);
    (A B C D E) ();     (A B C D) (E);     (A B C) (D E);     (A B) (C D E);     (A) (B C D E);
    () (A B C D E);
    (A B C D E F) ();   (A B C D E) (F);   (A B C D) (E F);   (A B C) (D E F);   (A B) (C D E F);
    (A) (B C D E F);    () (A B C D E F);
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::axes! { Batch; Seq; Dim = 4; }

    fn axis_of<A: Without<X, P>, X: Axis, P>(_: X) -> (usize, &'static [&'static str]) {
        (A::AXIS, A::Rest::NAMES)
    }

    #[test]
    fn a_named_axis_is_found_by_the_compiler() {
        type A = (Batch, Seq, Dim);
        assert_eq!(axis_of::<A, _, _>(Batch), (0, &["Seq", "Dim"][..]));
        assert_eq!(axis_of::<A, _, _>(Seq), (1, &["Batch", "Dim"][..]));
        assert_eq!(axis_of::<A, _, _>(Dim), (2, &["Batch", "Seq"][..]));
    }

    #[test]
    fn ends_and_suffixes() {
        type A = (Batch, Seq, Dim);
        assert_eq!(<<A as Last>::Axis as Axis>::NAME, "Dim");
        assert_eq!(<<A as Last>::Rest as Axes>::NAMES, ["Batch", "Seq"]);
        assert_eq!(<<A as Last>::Replace<Batch> as Axes>::NAMES, ["Batch", "Seq", "Batch"]);
        assert_eq!(<<A as First>::Rest as Axes>::NAMES, ["Seq", "Dim"]);
        assert_eq!(<<(Seq,) as Prepend<Batch>>::Output as Axes>::NAMES, ["Batch", "Seq"]);
        fn suffix<A: EndsWith<B>, B: Axes>() {}
        suffix::<A, ()>();
        suffix::<A, (Dim,)>();
        suffix::<A, (Seq, Dim)>();
    }
}
