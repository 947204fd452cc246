//! Element types: their names ([`DType`]), the Rust types that have them ([`Element`]), and the real scalars of
//! the plain-loop arithmetic ([`Real`]).

use std::fmt;
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::str::FromStr;

use crate::error::AxesError;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// IEEE binary64.
    F64,
    /// IEEE binary32.
    F32,
    /// bfloat16: the upper half of an f32.
    BF16,
    /// IEEE binary16.
    F16,
    /// 64-bit signed integer.
    I64,
    /// 32-bit signed integer.
    I32,
    /// 8-bit signed integer.
    I8,
    /// 8-bit unsigned integer.
    U8,
    /// Truth value, one byte.
    Bool,
    /// −1, 0 or +1, packed; the layout is a property of the storage.
    Trit,
}

impl DType {
    /// Every element type.
    pub const ALL: [DType; 10] = [
        DType::F64,
        DType::F32,
        DType::BF16,
        DType::F16,
        DType::I64,
        DType::I32,
        DType::I8,
        DType::U8,
        DType::Bool,
        DType::Trit,
    ];

    /// The name used in files, text forms and options: `f32`, `bf16`, `trit`, …
    pub const fn name(self) -> &'static str {
        match self {
            DType::F64 => "f64",
            DType::F32 => "f32",
            DType::BF16 => "bf16",
            DType::F16 => "f16",
            DType::I64 => "i64",
            DType::I32 => "i32",
            DType::I8 => "i8",
            DType::U8 => "u8",
            DType::Bool => "bool",
            DType::Trit => "trit",
        }
    }

    /// The element type called `name`, or `None`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Whether it is a floating-point type.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F64 | DType::F32 | DType::BF16 | DType::F16)
    }

    /// Bytes per element; `None` for trits, which are packed.
    pub const fn size(self) -> Option<usize> {
        match self {
            DType::F64 | DType::I64 => Some(8),
            DType::F32 | DType::I32 => Some(4),
            DType::BF16 | DType::F16 => Some(2),
            DType::I8 | DType::U8 | DType::Bool => Some(1),
            DType::Trit => None,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DType {
    type Err = AxesError;

    fn from_str(name: &str) -> Result<Self, AxesError> {
        Self::from_name(name).ok_or_else(|| AxesError::UnknownDType { found: name.to_owned() })
    }
}

/// A Rust type whose values are tensor elements.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tensor element type",
    label = "not an element type",
    note = "element types are f64, f32, half::bf16, half::f16, i64, i32, i8, u8 and bool"
)]
pub trait Element: Copy + Default + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// Its name at run time.
    const DTYPE: DType;
}

macro_rules! elements {
    ($($type:ty => $dtype:ident;)*) => { $(impl Element for $type { const DTYPE: DType = DType::$dtype; })* };
}

elements! {
    f64 => F64;
    f32 => F32;
    half::bf16 => BF16;
    half::f16 => F16;
    i64 => I64;
    i32 => I32;
    i8 => I8;
    u8 => U8;
    bool => Bool;
}

/// The scalars on which buffers calculate: f32 and f64.
///
/// Half-precision types are storage formats here; they are converted before arithmetic.
pub trait Real:
    Element
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Rounds to the nearest value of this type.
    fn from_f64(value: f64) -> Self;
    /// The value, exactly.
    fn to_f64(self) -> f64;
    /// e to the power of the value.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Magnitude.
    fn abs(self) -> Self;
    /// Whether it is not a number.
    fn is_nan(self) -> bool;
}

macro_rules! real {
    ($($type:ident)*) => { $(
        impl Real for $type {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            #[inline]
            fn from_f64(value: f64) -> Self {
                value as $type
            }
            #[inline]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline]
            fn exp(self) -> Self {
                $type::exp(self)
            }
            #[inline]
            fn ln(self) -> Self {
                $type::ln(self)
            }
            #[inline]
            fn sqrt(self) -> Self {
                $type::sqrt(self)
            }
            #[inline]
            fn tanh(self) -> Self {
                $type::tanh(self)
            }
            #[inline]
            fn abs(self) -> Self {
                $type::abs(self)
            }
            #[inline]
            fn is_nan(self) -> bool {
                $type::is_nan(self)
            }
        }
    )* };
}

real! { f32 f64 }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for dtype in DType::ALL {
            assert_eq!(DType::from_name(dtype.name()), Some(dtype));
            assert_eq!(dtype.to_string().parse::<DType>(), Ok(dtype));
        }
        assert_eq!(DType::BF16.name(), "bf16");
        assert_eq!(DType::from_name("float32"), None);
        let error = "fp8".parse::<DType>().unwrap_err().to_string();
        assert!(error.contains("trit") && error.contains("`fp8`"), "{error}");
    }

    #[test]
    fn sizes_are_those_of_the_rust_types() {
        fn check<T: Element>() {
            assert_eq!(T::DTYPE.size(), Some(size_of::<T>()));
        }
        check::<f64>();
        check::<f32>();
        check::<half::bf16>();
        check::<half::f16>();
        check::<i64>();
        check::<i32>();
        check::<i8>();
        check::<u8>();
        check::<bool>();
        assert_eq!(DType::Trit.size(), None);
    }

    #[test]
    fn floats_are_the_four_floating_types() {
        let floats: Vec<_> = DType::ALL.into_iter().filter(|d| d.is_float()).map(DType::name).collect();
        assert_eq!(floats, ["f64", "f32", "bf16", "f16"]);
    }
}
