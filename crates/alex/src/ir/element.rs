//! Element types, and what may be done with them: the traits that make a wrong operand a compile error.

use super::shaped::Vector;
use super::types::{AnyType, Kind, Type};

/// A scalar type that vectors, memrefs and tensors are made of.
pub trait Element: Like<Elem = Self, Mask = I1> + Default {
    /// The same, told apart at run time.
    const KIND: Kind;
    /// The Rust type in which constants of it are written.
    type Rust: Copy;
    /// A constant as MLIR reads it, exact to the last bit.
    fn literal(value: Self::Rust) -> String;
    /// The constant's bytes as they lie in memory, least significant first; empty where Rust has no such type.
    fn bytes(value: Self::Rust) -> Vec<u8>;
}

/// Floating-point elements.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a floating-point type",
    label = "floats only",
    note = "integers have `addi`, `muli`, `cmpi` and so on; `sitofp` makes a float of one"
)]
pub trait Float: Element {
    /// The constant nearest to a double, as MLIR reads it.
    fn of_f64(value: f64) -> String {
        float_literal(value, Self::KIND)
    }
}

/// Integers of a width; [`Index`] has none and is not among them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an integer of a width",
    label = "integers of a width only",
    note = "floats have `addf`, `mulf` and so on; `index_cast` turns an index into an integer"
)]
pub trait Int: Integral {}

/// Integers of a width, and [`Index`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither an integer nor an index",
    label = "integers only",
    note = "floats have `addf`, `mulf`, `cmpf` and so on; `fptosi` makes an integer of one"
)]
pub trait Integral: Element {}

/// An element type that holds every value of `E` and is wider: what `extf`, `extsi` and `extui` may give. Both are floats or
/// both are integers.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not hold every `{E}`",
    label = "not wider than `{E}`",
    note = "`extf`, `extsi` and `extui` widen, `truncf` and `trunci` narrow, `convertf` and `convertsi` do either"
)]
pub trait Extends<E: Element>: Element {}

/// A scalar, or a vector of scalars: what elementwise ops take.
pub trait Like: Type {
    /// The scalar.
    type Elem: Element;
    /// The type of a comparison's result.
    type Mask: Like<Elem = I1> + Condition<Self>;
    /// The same shape with another element.
    type With<E: Element>: Like<Elem = E>;
    /// The same shape with another element.
    fn with<E: Element>(self, elem: E) -> Self::With<E>;
    /// The same shape with truth values.
    fn mask(self) -> Self::Mask;
    /// How a constant with this value everywhere is written, given the scalar's literal.
    fn splat(self, literal: &str) -> String;
}

/// What may choose between two values of type `T`: an `i1`, or for vectors an `i1` for each element.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not choose between values of type `{T}`",
    label = "not a condition for `{T}`",
    note = "a condition is an `I1`, or for vectors a vector of `I1` of the same rank, as `cmpf` and `cmpi` give"
)]
pub trait Condition<T>: Type {}

/// A float or a vector of floats.
pub trait FloatLike: Like<Elem: Float> {}
impl<T: Like<Elem: Float>> FloatLike for T {}

/// An integer, an index, or a vector of them.
pub trait IntLike: Like<Elem: Integral> {}
impl<T: Like<Elem: Integral>> IntLike for T {}

/// An integer of a width, or a vector of them.
pub trait SizedIntLike: Like<Elem: Int> {}
impl<T: Like<Elem: Int>> SizedIntLike for T {}

impl<T: Type> Condition<T> for I1 {}
impl<E: Element, const R: usize> Condition<Vector<E, R>> for Vector<I1, R> {}

impl<E: Element, const R: usize> Like for Vector<E, R> {
    type Elem = E;
    type Mask = Vector<I1, R>;
    type With<F: Element> = Vector<F, R>;
    fn with<F: Element>(self, elem: F) -> Vector<F, R> {
        Vector { elem, sizes: self.sizes }
    }
    fn mask(self) -> Vector<I1, R> {
        self.with(I1)
    }
    fn splat(self, literal: &str) -> String {
        format!("dense<{literal}>")
    }
}

/// The constant nearest to a double: decimal where it is finite (shortest that reads back), else its bits.
fn float_literal(value: f64, kind: Kind) -> String {
    if value.is_finite() {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let point = if mantissa.contains('.') { "" } else { ".0" };
        return if exponent == "0" {
            format!("{mantissa}{point}")
        } else {
            format!("{mantissa}{point}e{exponent}")
        };
    }
    let (exponent, quiet) = match kind {
        Kind::F16 => (0x7c00_u128, 0x0200),
        Kind::BF16 => (0x7f80, 0x40),
        Kind::F32 => (0x7f80_0000, 0x40_0000),
        Kind::F80 => (0x7fff_8000_0000_0000_0000, 0x4000_0000_0000_0000),
        Kind::F128 => (0x7fff << 112, 1 << 111),
        _ => (0x7ff0_0000_0000_0000, 0x8_0000_0000_0000),
    };
    let sign = if value.is_sign_negative() && !value.is_nan() { 1_u128 << (kind.bits() - 1) } else { 0 };
    format!("0x{:X}", sign | exponent | if value.is_nan() { quiet } else { 0 })
}

macro_rules! element {
    ($($(#[$doc:meta])* $name:ident : $rust:ty, |$v:ident| $literal:expr, $bytes:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
        pub struct $name;

        impl Type for $name {
            fn any(self) -> AnyType {
                AnyType::Scalar(Kind::$name)
            }
            fn from_any(any: AnyType) -> Option<Self> {
                (any == AnyType::Scalar(Kind::$name)).then_some($name)
            }
            fn describe() -> String {
                Kind::$name.name().to_owned()
            }
        }

        impl Like for $name {
            type Elem = $name;
            type Mask = I1;
            type With<E: Element> = E;
            fn with<E: Element>(self, elem: E) -> E {
                elem
            }
            fn mask(self) -> I1 {
                I1
            }
            fn splat(self, literal: &str) -> String {
                literal.to_owned()
            }
        }

        impl Element for $name {
            const KIND: Kind = Kind::$name;
            type Rust = $rust;
            fn literal($v: $rust) -> String {
                $literal
            }
            fn bytes($v: $rust) -> Vec<u8> {
                $bytes
            }
        }
    )*};
}

element! {
    /// IEEE binary16. Its constants are written as f32 and rounded.
    F16: f32, |v| float_literal(v.into(), Kind::F16), { let _ = v; Vec::new() };
    /// The upper half of an f32. Its constants are written as f32 and rounded.
    BF16: f32, |v| float_literal(v.into(), Kind::BF16), { let _ = v; Vec::new() };
    /// IEEE binary32.
    F32: f32, |v| float_literal(v.into(), Kind::F32), v.to_le_bytes().to_vec();
    /// IEEE binary64.
    F64: f64, |v| float_literal(v, Kind::F64), v.to_le_bytes().to_vec();
    /// The x87 extended format of 80 bits. Constants that no double equals are written by their bits.
    F80: f64, |v| float_literal(v, Kind::F80), { let _ = v; Vec::new() };
    /// IEEE binary128. Constants that no double equals are written by their bits.
    F128: f64, |v| float_literal(v, Kind::F128), { let _ = v; Vec::new() };
    /// Truth values.
    I1: bool, |v| v.to_string(), { let _ = v; Vec::new() };
    /// Integers of 8 bits; ops say whether they are signed.
    I8: i8, |v| v.to_string(), v.to_le_bytes().to_vec();
    /// Integers of 16 bits.
    I16: i16, |v| v.to_string(), v.to_le_bytes().to_vec();
    /// Integers of 32 bits.
    I32: i32, |v| v.to_string(), v.to_le_bytes().to_vec();
    /// Integers of 64 bits.
    I64: i64, |v| v.to_string(), v.to_le_bytes().to_vec();
    /// Sizes and positions, as wide as a pointer.
    Index: i64, |v| v.to_string(), v.to_le_bytes().to_vec();
}

macro_rules! mark {
    ($($mark:ident: $($name:ident)*;)*) => { $($(impl $mark for $name {})*)* };
}
mark! {
    Float: F16 BF16 F32 F64 F80 F128;
    Integral: I1 I8 I16 I32 I64 Index;
    Int: I1 I8 I16 I32 I64;
}

macro_rules! extends {
    ($($wide:ident: $($narrow:ident)*;)*) => { $($(impl Extends<$narrow> for $wide {})*)* };
}
extends! {
    F32: F16 BF16;
    F64: F16 BF16 F32;
    F80: F16 BF16 F32 F64;
    F128: F16 BF16 F32 F64 F80;
    I8: I1;
    I16: I1 I8;
    I32: I1 I8 I16;
    I64: I1 I8 I16 I32;
}
