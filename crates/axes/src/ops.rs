//! The operators `+ - * /` between tensors and with numbers, written once for every [`Algebra`].
//!
//! They work element by element; the matrix product is [`apply`](Tensor::apply), because on one pair of types an
//! operator can mean only one of the two. Both operands may be values or references. A number is rounded to the
//! element type, and dividing by one multiplies by its reciprocal.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::axis::Axes;
use crate::dims::Dims;
use crate::error::AxesError;
use crate::storage::{Algebra, Binary, Storage, Unary};
use crate::tensor::Tensor;
use crate::unit::{Unit, UnitDiv, UnitMul, UnitProduct, UnitQuotient, Unitless};

/// Checks two operands of the same axes; what a storage does not know at once it checks itself.
#[inline]
pub(crate) fn check_same<A: Axes, S: Storage>(
    op: &'static str,
    left: &S,
    right: &S,
) -> Result<(), AxesError> {
    match sizes_to_check::<A, S>(left, right) {
        Some((left, right)) => left.check_equal(op, A::NAMES, &right),
        None => Ok(()),
    }
}

/// Panicking form of [`check_same`].
#[track_caller]
#[inline]
pub(crate) fn expect_same<A: Axes, S: Storage>(op: &'static str, left: &S, right: &S) {
    if let Some((left, right)) = sizes_to_check::<A, S>(left, right) {
        left.expect_equal(op, A::NAMES, &right);
    }
}

// Axes whose sizes are all declared were checked when the tensors were made.
#[inline]
fn sizes_to_check<A: Axes, S: Storage>(left: &S, right: &S) -> Option<(Dims, Dims)> {
    if A::STATIC { None } else { left.known_dims().zip(right.known_dims()) }
}

impl<A: Axes, T, U: Unit, S: Algebra> Tensor<A, T, U, S> {
    #[track_caller]
    #[inline]
    pub(crate) fn combine<V, W>(&self, op: Binary, other: &Tensor<A, T, V, S>) -> Tensor<A, T, W, S> {
        expect_same::<A, S>(op.name(), self.storage(), other.storage());
        Tensor::from_storage_unchecked(self.storage().binary(op, other.storage()))
    }

    fn try_combine<V, W>(
        &self,
        op: Binary,
        other: &Tensor<A, T, V, S>,
    ) -> Result<Tensor<A, T, W, S>, AxesError> {
        check_same::<A, S>(op.name(), self.storage(), other.storage())?;
        Ok(Tensor::from_storage_unchecked(self.storage().binary(op, other.storage())))
    }

    /// `self + other` for sizes that may differ at run time.
    ///
    /// ```
    /// # use axes::{Tensor, axes};
    /// axes! { Batch; }
    /// let (a, b) = (Tensor::<(Batch,)>::zeros([2])?, Tensor::<(Batch,)>::zeros([3])?);
    /// let error = a.try_add(&b).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "add: axis `Batch`: expected size 2 (left operand), found 3 (right operand)"
    /// );
    /// # Ok::<(), axes::AxesError>(())
    /// ```
    ///
    /// # Errors
    /// [`AxesError::SizeMismatch`] where the storage knows its sizes and one differs.
    pub fn try_add(&self, other: &Self) -> Result<Self, AxesError> {
        self.try_combine(Binary::Add, other)
    }

    /// `self - other` for sizes that may differ at run time.
    ///
    /// # Errors
    /// As [`try_add`](Self::try_add).
    pub fn try_sub(&self, other: &Self) -> Result<Self, AxesError> {
        self.try_combine(Binary::Sub, other)
    }

    /// `self * other`, element by element, for sizes that may differ at run time.
    ///
    /// # Errors
    /// As [`try_add`](Self::try_add).
    pub fn try_mul<V: Unit>(
        &self,
        other: &Tensor<A, T, V, S>,
    ) -> Result<Tensor<A, T, UnitProduct<U, V>, S>, AxesError>
    where
        U: UnitMul<V>,
    {
        self.try_combine(Binary::Mul, other)
    }

    /// `self / other`, element by element, for sizes that may differ at run time.
    ///
    /// # Errors
    /// As [`try_add`](Self::try_add).
    pub fn try_div<V: Unit>(
        &self,
        other: &Tensor<A, T, V, S>,
    ) -> Result<Tensor<A, T, UnitQuotient<U, V>, S>, AxesError>
    where
        U: UnitDiv<V>,
    {
        self.try_combine(Binary::Div, other)
    }
}

/// Implements one operator for the four combinations of value and reference.
macro_rules! operator {
    ($trait:ident $method:ident $op:expr; $($generics:tt)*) => {
        operator!(@one $trait $method $op; [&'a] [&'b] ['a, 'b,] $($generics)*);
        operator!(@one $trait $method $op; [&'a] [] ['a,] $($generics)*);
        operator!(@one $trait $method $op; [] [&'b] ['b,] $($generics)*);
        operator!(@one $trait $method $op; [] [] [] $($generics)*);
    };
    (@one $trait:ident $method:ident $op:expr; [$($l:tt)*] [$($r:tt)*] [$($lifetimes:tt)*] same) => {
        impl<$($lifetimes)* A: Axes, T, U: Unit, S: Algebra> $trait<$($r)* Tensor<A, T, U, S>>
            for $($l)* Tensor<A, T, U, S>
        {
            type Output = Tensor<A, T, U, S>;

            #[track_caller]
            #[inline]
            fn $method(self, other: $($r)* Tensor<A, T, U, S>) -> Self::Output {
                self.combine($op, operator!(@reference other $($r)*))
            }
        }
    };
    (@one $trait:ident $method:ident $op:expr; [$($l:tt)*] [$($r:tt)*] [$($lifetimes:tt)*] $unit:ident $output:ident) => {
        impl<$($lifetimes)* A: Axes, T, U: $unit<V>, V: Unit, S: Algebra> $trait<$($r)* Tensor<A, T, V, S>>
            for $($l)* Tensor<A, T, U, S>
        {
            type Output = Tensor<A, T, $output<U, V>, S>;

            #[track_caller]
            #[inline]
            fn $method(self, other: $($r)* Tensor<A, T, V, S>) -> Self::Output {
                self.combine($op, operator!(@reference other $($r)*))
            }
        }
    };
    (@reference $other:ident) => { &$other };
    (@reference $other:ident $($reference:tt)*) => { $other };
}

operator!(Add add Binary::Add; same);
operator!(Sub sub Binary::Sub; same);
operator!(Mul mul Binary::Mul; UnitMul UnitProduct);
operator!(Div div Binary::Div; UnitDiv UnitQuotient);

impl<A: Axes, T, U: Unit, S: Algebra> Neg for &Tensor<A, T, U, S> {
    type Output = Tensor<A, T, U, S>;

    #[track_caller]
    #[inline]
    fn neg(self) -> Self::Output {
        Tensor::from_storage_unchecked(self.storage().unary(Unary::Neg))
    }
}

impl<A: Axes, T, U: Unit, S: Algebra> Neg for Tensor<A, T, U, S> {
    type Output = Self;

    #[track_caller]
    #[inline]
    fn neg(self) -> Self {
        -&self
    }
}

/// A number on the right of an operator whose left operand is the tensor `L`.
///
/// One generic impl, not one per number type: with two, the type of `&x * 2.0` stays open until the literal's type
/// falls back to f64, and no method can be called on the result. It is also what the compiler finds missing when a
/// tensor of other axes or units stands on the right, hence its text.
#[diagnostic::on_unimplemented(
    message = "`{L}` and `{Self}` do not have the same axes and units",
    label = "cannot be combined with `{L}`: this is `{Self}`",
    note = "axes are matched by name, not by size; the right operand is a tensor of the same axes or an f32 or f64",
    note = "addition and subtraction need one unit; a product or quotient of units is listed in `units!`"
)]
pub trait Number<L> {
    /// The value.
    fn value(self) -> f64;
}

impl<L> Number<L> for f64 {
    #[inline]
    fn value(self) -> f64 {
        self
    }
}

impl<L> Number<L> for f32 {
    #[inline]
    fn value(self) -> f64 {
        f64::from(self)
    }
}

/// A number on the right, for a tensor or a reference to one. Adding one needs a unitless tensor.
macro_rules! number_right {
    ($trait:ident $method:ident [$($unit:tt)*] $u:ident: |$storage:ident, $value:ident| $body:expr) => {
        number_right!(@one $trait $method [] [] [$($unit)*] $u: $storage $value $body);
        number_right!(@one $trait $method [&'a] ['a,] [$($unit)*] $u: $storage $value $body);
    };
    (@one $trait:ident $method:ident [$($r:tt)*] [$($l:tt)*] [$($unit:tt)*] $u:ident:
        $storage:ident $value:ident $body:expr) => {
        impl<$($l)* A: Axes, T, $($unit)* S: Algebra, N: Number<Tensor<A, T, $u, S>>> $trait<N>
            for $($r)* Tensor<A, T, $u, S>
        {
            type Output = Tensor<A, T, $u, S>;

            #[track_caller]
            #[inline]
            fn $method(self, number: N) -> Self::Output {
                let ($storage, $value) = (self.storage(), number.value());
                Tensor::from_storage_unchecked($body)
            }
        }
    };
}

number_right!(Add add [] Unitless: |x, number| x.affine(1.0, number));
number_right!(Sub sub [] Unitless: |x, number| x.affine(1.0, -number));
number_right!(Mul mul [U: Unit,] U: |x, number| x.affine(number, 0.0));
number_right!(Div div [U: Unit,] U: |x, number| x.affine(number.recip(), 0.0));

/// A number on the left: f64 only, so that the literal in `1.0 - &x` has one type.
macro_rules! number_left {
    ($trait:ident $method:ident [$($unit:tt)*] $u:ident: |$storage:ident, $value:ident| $body:expr) => {
        number_left!(@one $trait $method [] [] [$($unit)*] $u: $storage $value $body);
        number_left!(@one $trait $method [&'a] ['a,] [$($unit)*] $u: $storage $value $body);
    };
    (@one $trait:ident $method:ident [$($r:tt)*] [$($l:tt)*] [$($unit:tt)*] $u:ident:
        $storage:ident $value:ident $body:expr) => {
        impl<$($l)* A: Axes, T, $($unit)* S: Algebra> $trait<$($r)* Tensor<A, T, $u, S>> for f64 {
            type Output = Tensor<A, T, $u, S>;

            #[track_caller]
            #[inline]
            fn $method(self, tensor: $($r)* Tensor<A, T, $u, S>) -> Self::Output {
                let ($storage, $value) = (tensor.storage(), self);
                Tensor::from_storage_unchecked($body)
            }
        }
    };
}

number_left!(Add add [] Unitless: |x, number| x.affine(1.0, number));
number_left!(Sub sub [] Unitless: |x, number| x.affine(-1.0, number));
number_left!(Mul mul [U: Unit,] U: |x, number| x.affine(number, 0.0));
number_left!(Div div [] Unitless: |x, number| x.unary(Unary::Reciprocal).affine(number, 0.0));

#[cfg(test)]
mod tests {
    use super::*;

    crate::axes! { Batch; In = 2; }
    crate::units! { Metre: "m"; Second: "s"; Speed: "m/s"; }
    crate::units! { @relations Speed * Second = Metre; }

    fn pair() -> (Tensor<(In,)>, Tensor<(In,)>) {
        (Tensor::vector(vec![1.0, 6.0]).unwrap(), Tensor::vector(vec![4.0, 3.0]).unwrap())
    }

    #[test]
    fn operators_take_values_and_references() {
        let (a, b) = pair();
        assert_eq!((&a + &b).as_slice(), [5.0, 9.0]);
        assert_eq!((a.clone() - &b).as_slice(), [-3.0, 3.0]);
        assert_eq!((&a * b.clone()).as_slice(), [4.0, 18.0]);
        assert_eq!((a.clone() / b.clone()).as_slice(), [0.25, 2.0]);
        assert_eq!((-&a).as_slice(), (-a).as_slice());
    }

    #[test]
    fn numbers_stand_on_either_side() {
        let (a, _) = pair();
        assert_eq!((&a + 1.0).as_slice(), [2.0, 7.0]);
        assert_eq!((1.0 - &a).as_slice(), [0.0, -5.0]);
        assert_eq!((2.0 * a.clone()).as_slice(), (a.clone() * 2.0f32).as_slice());
        assert_eq!((&a / 2.0).as_slice(), [0.5, 3.0]);
        assert_eq!((3.0 / &a).as_slice(), [3.0, 0.5]);
        assert_eq!((a - 1.0).relu().as_slice(), [0.0, 5.0]);
    }

    #[test]
    fn products_and_quotients_have_units() {
        let way = Tensor::<(In,), f64, Metre>::vector(vec![6.0, 8.0]).unwrap();
        let time = Tensor::<(In,), f64, Second>::vector(vec![2.0, 4.0]).unwrap();
        let speed: Tensor<(In,), f64, Speed> = &way / &time;
        assert_eq!(&speed * &time, way);
        assert_eq!(format!("{:?}", speed), "Tensor(In) [m/s] Buffer { dims: [2], data: [3.0, 2.0] }");
        let ratio: Tensor<(In,), f64> = &way / &way;
        assert_eq!(ratio.as_slice(), [1.0, 1.0]);
        assert_eq!((&way * &ratio * 0.5).as_slice(), [3.0, 4.0]);
    }

    #[test]
    fn try_forms_name_the_axis() {
        let a = Tensor::<(Batch, In)>::zeros([2, 2]).unwrap();
        let b = Tensor::<(Batch, In)>::zeros([3, 2]).unwrap();
        for (op, result) in
            [("add", a.try_add(&b)), ("sub", a.try_sub(&b)), ("mul", a.try_mul(&b)), ("div", a.try_div(&b))]
        {
            let expected = AxesError::SizeMismatch { op, axis: "Batch".into(), expected: 2, found: 3 };
            assert_eq!(result, Err(expected));
        }
        assert!(a.try_add(&a).is_ok());
    }

    #[test]
    #[should_panic = "mul: axis `Batch`: expected size 2 (left operand), found 3 (right operand)"]
    fn operators_panic_with_the_same_text() {
        let _ = Tensor::<(Batch,)>::zeros([2]).unwrap() * Tensor::<(Batch,)>::zeros([3]).unwrap();
    }
}
