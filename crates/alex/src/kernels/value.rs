//! Numbers of Rust as values of MLIR: which type each has in registers and in memory, and constants.

use crate::ir::{AnyValue, Builder, F32, F64, I1, I8, I64, Index, Int, Ptr, Value};
use kernel::Scalar;

/// Runs `$body` with `$ty` bound to the type that a number has in registers.
macro_rules! valued {
    ($scalar:expr, |$ty:ident| $body:expr) => {{
        use kernel::Scalar as S;
        use $crate::ir::{F32, F64, I1, I8, I16, I32, I64, Index};
        match $scalar {
            S::F32 => {
                let $ty = F32;
                $body
            }
            S::F64 => {
                let $ty = F64;
                $body
            }
            S::Bool => {
                let $ty = I1;
                $body
            }
            S::I8 | S::U8 => {
                let $ty = I8;
                $body
            }
            S::I16 | S::U16 => {
                let $ty = I16;
                $body
            }
            S::I32 | S::U32 => {
                let $ty = I32;
                $body
            }
            S::I64 | S::U64 | S::Isize => {
                let $ty = I64;
                $body
            }
            S::Usize => {
                let $ty = Index;
                $body
            }
        }
    }};
}

/// The same for integers alone; `$other` is for the rest.
macro_rules! integral {
    ($scalar:expr, |$ty:ident| $body:expr, $other:expr) => {{
        use kernel::Scalar as S;
        use $crate::ir::{I8, I16, I32, I64, Index};
        match $scalar {
            S::I8 | S::U8 => {
                let $ty = I8;
                $body
            }
            S::I16 | S::U16 => {
                let $ty = I16;
                $body
            }
            S::I32 | S::U32 => {
                let $ty = I32;
                $body
            }
            S::I64 | S::U64 | S::Isize => {
                let $ty = I64;
                $body
            }
            S::Usize => {
                let $ty = Index;
                $body
            }
            S::F32 | S::F64 | S::Bool => $other,
        }
    }};
}

/// The same for the type that a number has in memory: truth is a byte.
macro_rules! stored {
    ($scalar:expr, |$ty:ident| $body:expr) => {{
        use kernel::Scalar as S;
        use $crate::ir::{F32, F64, I8, I16, I32, I64, Index};
        match $scalar {
            S::F32 => {
                let $ty = F32;
                $body
            }
            S::F64 => {
                let $ty = F64;
                $body
            }
            S::I8 | S::U8 | S::Bool => {
                let $ty = I8;
                $body
            }
            S::I16 | S::U16 => {
                let $ty = I16;
                $body
            }
            S::I32 | S::U32 => {
                let $ty = I32;
                $body
            }
            S::I64 | S::U64 | S::Isize => {
                let $ty = I64;
                $body
            }
            S::Usize => {
                let $ty = Index;
                $body
            }
        }
    }};
}
pub(super) use {integral, stored, valued};

/// Whether an integer type has a sign.
pub(super) fn signed(s: Scalar) -> bool {
    s.range().is_some_and(|(low, _)| low < 0)
}

/// The bits of an integer type.
pub(super) fn bits(s: Scalar) -> u32 {
    s.range().map_or(64, |(low, high)| 128 - (high - low).leading_zeros())
}

/// The bytes of an element in memory.
pub(super) fn bytes(s: Scalar) -> usize {
    match s {
        Scalar::F32 => 4,
        Scalar::F64 => 8,
        Scalar::Bool => 1,
        s => bits(s) as usize / 8,
    }
}

/// An integer of at most 64 bits in its type, by its bits.
pub(super) fn int(b: &mut Builder, s: Scalar, value: i128) -> AnyValue {
    match s {
        Scalar::F32 => b.constant(F32, value as f32).any(),
        Scalar::F64 => b.constant(F64, value as f64).any(),
        Scalar::Bool => b.constant(I1, value != 0).any(),
        s => integral!(s, |ty| wrapped(b, ty, value, bits(s)), b.index(0).any()),
    }
}

fn wrapped<E: crate::ir::Integral>(b: &mut Builder, ty: E, value: i128, bits: u32) -> AnyValue {
    let spare = 64 - bits;
    b.int(ty, ((value as i64) << spare) >> spare).any()
}

/// A decimal in its type.
pub(super) fn float(b: &mut Builder, s: Scalar, value: f64) -> AnyValue {
    match s {
        Scalar::F32 => b.constant(F32, value as f32).any(),
        Scalar::F64 => b.constant(F64, value).any(),
        Scalar::Bool => b.constant(I1, value != 0.0).any(),
        s => int(b, s, value as i128),
    }
}

/// Zero, for what is never looked at.
pub(super) fn zero(b: &mut Builder, s: Scalar) -> AnyValue {
    int(b, s, 0)
}

/// An integer in 64 bits, by its sign.
pub(super) fn widened(b: &mut Builder, x: AnyValue, s: Scalar) -> Value<I64> {
    fn narrow<E: Int>(b: &mut Builder, x: AnyValue, ty: E, signed: bool) -> Value<I64>
    where
        I64: crate::ir::Extends<E>,
    {
        let x = b.expect(x, ty);
        let wide = if signed { b.extsi(x, I64) } else { b.extui(x, I64) };
        b.expect(wide, I64)
    }
    use crate::ir::{I16, I32};
    let sign = signed(s);
    match s {
        Scalar::Bool => narrow(b, x, I1, false),
        Scalar::I8 | Scalar::U8 => narrow(b, x, I8, sign),
        Scalar::I16 | Scalar::U16 => narrow(b, x, I16, sign),
        Scalar::I32 | Scalar::U32 => narrow(b, x, I32, sign),
        Scalar::Usize => {
            let x = b.expect(x, Index);
            b.index_castui(x, I64)
        }
        _ => b.expect(x, I64),
    }
}

/// The low bits of a number of 64 in an integer type.
pub(super) fn narrowed(b: &mut Builder, x: Value<I64>, s: Scalar) -> AnyValue {
    use crate::ir::{I16, I32};
    match s {
        Scalar::I8 | Scalar::U8 => b.trunci(x, I8).any(),
        Scalar::I16 | Scalar::U16 => b.trunci(x, I16).any(),
        Scalar::I32 | Scalar::U32 => b.trunci(x, I32).any(),
        Scalar::Usize => b.index_castui(x, Index).any(),
        _ => x.any(),
    }
}

/// What lies at an address, as it is in registers.
pub(super) fn read(b: &mut Builder, at: Value<Ptr>, s: Scalar) -> AnyValue {
    match s {
        Scalar::Bool => {
            let byte = b.load_ptr(at, I8);
            let zero = b.int(I8, 0);
            b.cmpi(crate::ir::CmpI::Ne, byte, zero).any()
        }
        Scalar::Usize => {
            let word = b.load_ptr(at, I64);
            b.index_castui(word, Index).any()
        }
        s => valued!(s, |ty| b.load_ptr(at, ty).any()),
    }
}

/// Writes a number to an address.
pub(super) fn write(b: &mut Builder, value: AnyValue, at: Value<Ptr>, s: Scalar) {
    match s {
        Scalar::Bool => {
            let value = b.expect(value, I1);
            let byte = b.extui(value, I8);
            b.store_ptr(byte, at);
        }
        Scalar::Usize => {
            let word = widened(b, value, s);
            b.store_ptr(word, at);
        }
        s => valued!(s, |ty| {
            let value = b.expect(value, ty);
            b.store_ptr(value, at);
        }),
    }
}
