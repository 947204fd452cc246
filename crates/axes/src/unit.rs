//! Units of measure as types: the first floor.
//!
//! A unit is nominal, like an axis: `Metre` and `Second` are types, and the legal products are listed
//! ([`units!`](crate::units!)). Exponents computed in types (uom, typenum) lost because their errors are pages long
//! and name exponents instead of units; a closed table names the units. Adding and subtracting need one unit;
//! transcendental functions need [`Unitless`]; multiplying by something unitless changes nothing.

use std::fmt::Debug;

/// A unit of measure.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a unit of measure",
    label = "not a unit",
    note = "declare it with `units! {{ {Self}: \"symbol\"; }}`"
)]
pub trait Unit: Copy + Default + Debug + Send + Sync + 'static {
    /// The symbol, empty for a pure number.
    const SYMBOL: &'static str;
}

/// The unit of a pure number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Unitless;

impl Unit for Unitless {
    const SYMBOL: &'static str = "";
}

/// Units with a product.
#[diagnostic::on_unimplemented(
    message = "no unit is declared for the product of `{Self}` and `{V}`",
    label = "`{Self}` times `{V}` has no name",
    note = "list the relation in `units!`, for example `{Self} * {V} = Name;`"
)]
pub trait UnitMul<V: Unit>: Unit {
    /// The unit of the product.
    type Output: Unit;
}

/// Units with a quotient.
#[diagnostic::on_unimplemented(
    message = "no unit is declared for the quotient of `{Self}` and `{V}`",
    label = "`{Self}` over `{V}` has no name",
    note = "list the relation in `units!`, for example `Name * {V} = {Self};`"
)]
pub trait UnitDiv<V: Unit>: Unit {
    /// The unit of the quotient.
    type Output: Unit;
}

/// The unit of a product.
pub type UnitProduct<U, V> = <U as UnitMul<V>>::Output;
/// The unit of a quotient.
pub type UnitQuotient<U, V> = <U as UnitDiv<V>>::Output;

impl<U: Unit> UnitMul<Unitless> for U {
    type Output = U;
}

impl<U: Unit> UnitDiv<Unitless> for U {
    type Output = U;
}

/// Declares units, then the relations between them.
///
/// A relation `A * B = C` between three different units gives every form of it: `B * A`, `C / A` and `C / B`; a
/// relation `A * A = C` gives `C / A` as well. For each declared unit `U`, `U / U` and `Unitless * U` are given.
///
/// ```
/// use axes::{Tensor, axes, units};
///
/// axes! { Time = 2; }
/// units! {
///     Metre: "m";
///     Second: "s";
///     MetrePerSecond: "m/s";
///     SquareMetre: "m²";
/// }
/// units! { @relations
///     MetrePerSecond * Second = Metre;
///     Metre * Metre = SquareMetre;
/// }
///
/// let way = Tensor::<(Time,), f32, Metre>::from_vec([2], vec![3.0, 8.0])?;
/// let time = Tensor::<(Time,), f32, Second>::from_vec([2], vec![1.0, 2.0])?;
/// let speed: Tensor<(Time,), f32, MetrePerSecond> = &way / &time;
/// assert_eq!(speed.as_slice(), [3.0, 4.0]);
/// # Ok::<(), axes::AxesError>(())
/// ```
///
/// ```compile_fail,E0277
/// use axes::{Tensor, axes, units};
/// axes! { Time = 2; }
/// units! { Metre: "m"; Second: "s"; }
/// fn wrong(way: &Tensor<(Time,), f32, Metre>, time: &Tensor<(Time,), f32, Second>) {
///     let _ = way + time;
/// }
/// ```
#[macro_export]
macro_rules! units {
    (@relations $($relation:tt)*) => { $crate::units!(@relation $($relation)*); };
    (@relation) => {};
    (@relation $a:ident * $b:ident = $c:ident; $($rest:tt)*) => {
        $crate::units!(@pair $a $b $c);
        $crate::units!(@relation $($rest)*);
    };
    // Comparing two identifiers needs a macro whose pattern holds one of them.
    (@pair $a:ident $b:ident $c:ident) => {
        const _: () = {
            macro_rules! same_or_not {
                ($a) => {
                    impl $crate::UnitMul<$a> for $a { type Output = $c; }
                    impl $crate::UnitDiv<$a> for $c { type Output = $a; }
                };
                ($b) => {
                    impl $crate::UnitMul<$b> for $a { type Output = $c; }
                    impl $crate::UnitMul<$a> for $b { type Output = $c; }
                    impl $crate::UnitDiv<$a> for $c { type Output = $b; }
                    impl $crate::UnitDiv<$b> for $c { type Output = $a; }
                };
            }
            same_or_not!($b);
        };
    };
    ($($(#[$attribute:meta])* $visibility:vis $name:ident: $symbol:literal;)*) => { $(
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        $visibility struct $name;

        impl $crate::Unit for $name { const SYMBOL: &'static str = $symbol; }
        impl $crate::UnitMul<$name> for $crate::Unitless { type Output = $name; }
        impl $crate::UnitDiv<$name> for $name { type Output = $crate::Unitless; }
    )* };
}

#[cfg(test)]
mod tests {
    use std::any::TypeId;

    use super::*;

    crate::units! {
        Metre: "m";
        Second: "s";
        Speed: "m/s";
        Area: "m²";
    }
    crate::units! { @relations
        Speed * Second = Metre;
        Metre * Metre = Area;
    }

    fn same<U: Unit, V: Unit>() -> bool {
        TypeId::of::<U>() == TypeId::of::<V>()
    }

    #[test]
    fn a_relation_gives_all_its_forms() {
        assert!(same::<UnitProduct<Speed, Second>, Metre>());
        assert!(same::<UnitProduct<Second, Speed>, Metre>());
        assert!(same::<UnitQuotient<Metre, Second>, Speed>());
        assert!(same::<UnitQuotient<Metre, Speed>, Second>());
        assert!(same::<UnitProduct<Metre, Metre>, Area>());
        assert!(same::<UnitQuotient<Area, Metre>, Metre>());
    }

    #[test]
    fn pure_numbers_change_no_unit() {
        assert!(same::<UnitProduct<Metre, Unitless>, Metre>());
        assert!(same::<UnitProduct<Unitless, Metre>, Metre>());
        assert!(same::<UnitQuotient<Metre, Unitless>, Metre>());
        assert!(same::<UnitQuotient<Metre, Metre>, Unitless>());
        assert!(same::<UnitProduct<Unitless, Unitless>, Unitless>());
        assert_eq!((Metre::SYMBOL, Unitless::SYMBOL), ("m", ""));
    }
}
