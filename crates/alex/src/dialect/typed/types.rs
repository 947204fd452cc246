//! The dialect's types as Rust types.

use std::marker::PhantomData;

use axes::{Axes, Axis, TritLayout, Unit, Unitless};

use super::super::attr::{Attr, Type};
use crate::ir::Element;

/// A type of the dialect that a Rust type stands for.
pub trait Typed: Copy + 'static {
    /// The type in MLIR. An axis without a fixed size has its name for a size, until
    /// [`Module::bind`](super::super::Module::bind) gives it one.
    fn ty() -> Type;
}

/// How trits lie, as a type.
pub trait Packing: Copy + 'static {
    /// The layout.
    const LAYOUT: TritLayout;
}

macro_rules! packings {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;
        impl Packing for $name {
            const LAYOUT: TritLayout = TritLayout::$name;
        }
    )*};
}
packings! {
    /// One byte each.
    Bytes;
    /// As the kernels read them.
    Compute;
    /// Two bits each, row-major.
    Interchange;
    /// Five trits a byte.
    Storage;
}

fn size<A: Axis>() -> Attr {
    A::SIZE.map_or_else(|| Attr::text(A::NAME), |n| Attr::size(n as u64))
}

fn lead<L: Axes>() -> Attr {
    let one = |(name, size): (&&str, &Option<usize>)| {
        size.map_or_else(|| Attr::text(name), |n| Attr::size(n as u64))
    };
    Attr::Array(L::NAMES.iter().zip(L::SIZES).map(one).collect())
}

fn name<A: Axis>() -> Attr {
    Attr::text(A::NAME)
}

fn unit<U: Unit>() -> Attr {
    Attr::text(U::SYMBOL)
}

fn elem<E: Element>() -> Attr {
    Attr::Type(Type::word(E::KIND.name()))
}

macro_rules! types {
    ($($(#[$doc:meta])* $name:ident<$($p:ident: $bound:ident $(= $default:ty)?),*> $mlir:literal [$($part:expr),*];)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<$($p $(= $default)?),*>(PhantomData<fn() -> ($($p,)*)>);
        impl<$($p),*> Clone for $name<$($p),*> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<$($p),*> Copy for $name<$($p),*> {}
        impl<$($p: $bound + 'static),*> Typed for $name<$($p),*> {
            fn ty() -> Type {
                Type::fidelity($mlir, vec![$($part),*])
            }
        }
    )*};
}

types! {
    /// `!fidelity.vector`: numbers of type `E` in unit `U` along axis `A`, for each position of the axes `L`.
    Vector<L: Axes, A: Axis, E: Element, U: Unit = Unitless> "vector" [lead::<L>(), size::<A>(), elem::<E>(), name::<A>(), unit::<U>()];
    /// `!fidelity.quantized`: int8 with a scale for each position of `L`.
    Quantized<L: Axes, A: Axis, U: Unit = Unitless> "quantized" [lead::<L>(), size::<A>(), name::<A>(), unit::<U>()];
    /// `!fidelity.ternary`: from vectors over `In` in unit `U` to vectors over `Out` in unit `V`.
    Ternary<Out: Axis, In: Axis, U: Unit = Unitless, V: Unit = Unitless, P: Packing = Compute> "ternary"
        [size::<Out>(), size::<In>(), name::<Out>(), name::<In>(), Attr::text(P::LAYOUT.name()), unit::<U>(), unit::<V>()];
    /// `!fidelity.matrix`: the same with dense numbers.
    Matrix<Out: Axis, In: Axis, E: Element, U: Unit = Unitless, V: Unit = Unitless> "matrix"
        [size::<Out>(), size::<In>(), elem::<E>(), name::<Out>(), name::<In>(), unit::<U>(), unit::<V>()];
    /// `!fidelity.coefficients`: one number for each position of `A`, from unit `U` to unit `V`.
    Coefficients<A: Axis, E: Element, U: Unit = Unitless, V: Unit = Unitless> "coefficients"
        [size::<A>(), elem::<E>(), name::<A>(), unit::<U>(), unit::<V>()];
    /// `!fidelity.factor`: one number, from unit `U` to unit `V`.
    Factor<E: Element, U: Unit = Unitless, V: Unit = Unitless> "factor" [elem::<E>(), unit::<U>(), unit::<V>()];
    /// `!fidelity.scalar`: one number for each position of `L`.
    Scalar<L: Axes, E: Element, U: Unit = Unitless> "scalar" [lead::<L>(), elem::<E>(), unit::<U>()];
    /// `!fidelity.state`: what a recurrence keeps along axis `A`.
    State<L: Axes, A: Axis, E: Element, U: Unit = Unitless> "state" [lead::<L>(), size::<A>(), elem::<E>(), name::<A>(), unit::<U>()];
    /// `!fidelity.matrix_state`: what a recurrence keeps, `A` by `B`.
    MatrixState<L: Axes, A: Axis, B: Axis, E: Element, U: Unit = Unitless> "matrix_state"
        [lead::<L>(), size::<A>(), size::<B>(), elem::<E>(), name::<A>(), name::<B>(), unit::<U>()];
    /// `!fidelity.tokens`: positions in axis `A`.
    Tokens<L: Axes, A: Axis> "tokens" [lead::<L>(), name::<A>()];
}

/// Numbers that a sum or a comparison takes: of one type, so of one axis and one unit.
pub trait Additive: Typed {}
impl<L: Axes, A: Axis, E: Element, U: Unit> Additive for Vector<L, A, E, U> {}
impl<L: Axes, A: Axis, E: Element, U: Unit> Additive for State<L, A, E, U> {}
impl<L: Axes, A: Axis, B: Axis, E: Element, U: Unit> Additive for MatrixState<L, A, B, E, U> {}
impl<L: Axes, E: Element, U: Unit> Additive for Scalar<L, E, U> {}

/// Pure numbers, which functions such as the sigmoid take.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a pure number",
    label = "a function takes pure numbers",
    note = "divide by a number of that unit first, or use `scale`"
)]
pub trait Pure: Typed {}
impl<L: Axes, A: Axis, E: Element> Pure for Vector<L, A, E, Unitless> {}
impl<L: Axes, A: Axis, E: Element> Pure for State<L, A, E, Unitless> {}
impl<L: Axes, E: Element> Pure for Scalar<L, E, Unitless> {}
