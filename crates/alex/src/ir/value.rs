//! Values, and groups of them: what ops take and give, what loops carry, what functions take and return.

use super::element::{I1, I8, I16, I32, I64, Index};
use super::types::{AnyType, Type};

/// Where a value was made: its number, its function and the region in which it is visible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    pub(crate) id: u32,
    pub(crate) func: u32,
    pub(crate) region: u32,
}

/// A value of MLIR whose type is a Rust type. It is a handle: `Copy`, and valid in the function that made it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Value<T> {
    pub(crate) slot: Slot,
    pub(crate) ty: T,
}

/// A value whose type is told apart at run time, for code that is driven by element types found in data.
pub type AnyValue = Value<AnyType>;

impl<T: Type> Value<T> {
    /// The value's type, with its sizes.
    pub fn ty(self) -> T {
        self.ty
    }

    /// The same value, its type told apart at run time.
    pub fn any(self) -> AnyValue {
        Value { slot: self.slot, ty: self.ty.any() }
    }

    /// The same value as one of type `U`, if that is its type. [`Builder::expect`](super::Builder::expect) records the
    /// mistake instead.
    pub fn downcast<U: Type>(self) -> Option<Value<U>> {
        Some(Value { slot: self.slot, ty: U::from_any(self.ty.any())? })
    }
}

/// One or more values: a value, a tuple, an array, a `Vec`, or `()`.
pub trait Values: Clone {
    /// Their types.
    type Types: Types<Values = Self>;
    /// Their types.
    fn types(&self) -> Self::Types;
    /// Appends them in order.
    fn flatten(&self, out: &mut Vec<AnyValue>);
}

/// One or more types, in the same forms as [`Values`]; `("name", type)` names the value that will have it.
pub trait Types: Clone {
    /// Values of these types.
    type Values: Values;
    /// Appends the types with the names of their values.
    fn flatten(&self, out: &mut Vec<(AnyType, Option<&'static str>)>);
    /// Makes values of these types in the given places.
    fn bind(&self, next: &mut dyn FnMut() -> Slot) -> Self::Values;
}

impl<T: Type> Values for Value<T> {
    type Types = T;
    fn types(&self) -> T {
        self.ty
    }
    fn flatten(&self, out: &mut Vec<AnyValue>) {
        out.push(self.any());
    }
}

impl<T: Type> Types for T {
    type Values = Value<T>;
    fn flatten(&self, out: &mut Vec<(AnyType, Option<&'static str>)>) {
        out.push((self.any(), None));
    }
    fn bind(&self, next: &mut dyn FnMut() -> Slot) -> Value<T> {
        Value { slot: next(), ty: *self }
    }
}

impl<T: Type> Types for (&'static str, T) {
    type Values = Value<T>;
    fn flatten(&self, out: &mut Vec<(AnyType, Option<&'static str>)>) {
        out.push((self.1.any(), Some(self.0)));
    }
    fn bind(&self, next: &mut dyn FnMut() -> Slot) -> Value<T> {
        self.1.bind(next)
    }
}

impl<V: Values> Values for Vec<V> {
    type Types = Vec<V::Types>;
    fn types(&self) -> Self::Types {
        self.iter().map(Values::types).collect()
    }
    fn flatten(&self, out: &mut Vec<AnyValue>) {
        self.iter().for_each(|v| v.flatten(out));
    }
}

impl<T: Types> Types for Vec<T> {
    type Values = Vec<T::Values>;
    fn flatten(&self, out: &mut Vec<(AnyType, Option<&'static str>)>) {
        self.iter().for_each(|t| t.flatten(out));
    }
    fn bind(&self, next: &mut dyn FnMut() -> Slot) -> Self::Values {
        self.iter().map(|t| t.bind(next)).collect()
    }
}

impl<V: Values, const N: usize> Values for [V; N] {
    type Types = [V::Types; N];
    fn types(&self) -> Self::Types {
        std::array::from_fn(|k| self[k].types())
    }
    fn flatten(&self, out: &mut Vec<AnyValue>) {
        self.iter().for_each(|v| v.flatten(out));
    }
}

impl<T: Types, const N: usize> Types for [T; N] {
    type Values = [T::Values; N];
    fn flatten(&self, out: &mut Vec<(AnyType, Option<&'static str>)>) {
        self.iter().for_each(|t| t.flatten(out));
    }
    fn bind(&self, next: &mut dyn FnMut() -> Slot) -> Self::Values {
        std::array::from_fn(|k| self[k].bind(next))
    }
}

macro_rules! tuples {
    ($(($($name:ident $k:tt),*);)*) => {$(
        #[allow(clippy::unused_unit)]
        impl<$($name: Values),*> Values for ($($name,)*) {
            type Types = ($($name::Types,)*);
            fn types(&self) -> Self::Types {
                ($(self.$k.types(),)*)
            }
            fn flatten(&self, _out: &mut Vec<AnyValue>) {
                $(self.$k.flatten(_out);)*
            }
        }
        #[allow(clippy::unused_unit)]
        impl<$($name: Types),*> Types for ($($name,)*) {
            type Values = ($($name::Values,)*);
            fn flatten(&self, _out: &mut Vec<(AnyType, Option<&'static str>)>) {
                $(self.$k.flatten(_out);)*
            }
            fn bind(&self, _next: &mut dyn FnMut() -> Slot) -> Self::Values {
                ($(self.$k.bind(_next),)*)
            }
        }
    )*};
}
tuples! {
    ();
    (A 0);
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
    (A 0, B 1, C 2, D 3, E 4);
    (A 0, B 1, C 2, D 3, E 4, F 5);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
}

/// A position or size: a number that is known now, or an index value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Fold {
    /// Known while the code is made.
    Static(i64),
    /// Known when the code runs.
    Dynamic(Value<Index>),
}

/// What can stand where an `index` is wanted: `Value<Index>` or a Rust integer.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a position",
    label = "expected a `Value<Index>` or an integer",
    note = "`index_cast(x, Index)` turns an integer value into an index"
)]
pub trait IntoIndex: Copy {
    /// The position.
    fn fold(self) -> Fold;
}

impl IntoIndex for Fold {
    fn fold(self) -> Fold {
        self
    }
}

impl IntoIndex for Value<Index> {
    fn fold(self) -> Fold {
        Fold::Dynamic(self)
    }
}

macro_rules! into_index {
    ($($rust:ty)*) => {$(
        impl IntoIndex for $rust {
            fn fold(self) -> Fold {
                Fold::Static(i64::try_from(self).unwrap_or(i64::MAX))
            }
        }
        impl Indices<1> for $rust {
            fn folds(self) -> [Fold; 1] {
                [self.fold()]
            }
        }
    )*};
}
into_index!(i32 i64 u32 usize);

#[diagnostic::on_unimplemented(
    message = "`{Self}` is not {R} positions",
    label = "expected one position for each axis",
    note = "write an array or a tuple, such as `(i, 0)`; a position is a `Value<Index>` or an integer"
)]
/// `R` positions: an array, a tuple that mixes values and numbers, or for one axis the position itself.
pub trait Indices<const R: usize> {
    /// The positions.
    fn folds(self) -> [Fold; R];
}

impl Indices<1> for Value<Index> {
    fn folds(self) -> [Fold; 1] {
        [self.fold()]
    }
}

impl Indices<1> for Fold {
    fn folds(self) -> [Fold; 1] {
        [self]
    }
}

impl<I: IntoIndex, const R: usize> Indices<R> for [I; R] {
    fn folds(self) -> [Fold; R] {
        self.map(IntoIndex::fold)
    }
}

macro_rules! index_tuples {
    ($($n:literal: $($name:ident $k:tt),*;)*) => {$(
        impl<$($name: IntoIndex),*> Indices<$n> for ($($name,)*) {
            fn folds(self) -> [Fold; $n] {
                [$(self.$k.fold()),*]
            }
        }
    )*};
}
index_tuples! {
    1: A 0;
    2: A 0, B 1;
    3: A 0, B 1, C 2;
    4: A 0, B 1, C 2, D 3;
    5: A 0, B 1, C 2, D 3, E 4;
}

/// Integer values that [`Builder::index_cast`](super::Builder::index_cast) turns into an index and back.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not cast to `{To}` by `index_cast`",
    note = "one of the two is `Index`, the other an integer of a width"
)]
pub trait IndexCast<To>: Type {}
macro_rules! index_casts {
    ($($int:ident)*) => {$(
        impl IndexCast<Index> for $int {}
        impl IndexCast<$int> for Index {}
    )*};
}
index_casts!(I1 I8 I16 I32 I64);
