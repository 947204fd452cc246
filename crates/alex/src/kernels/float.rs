//! Floats: the methods, and conversions by `as`.

use super::Failure;
use super::emit::Emit;
use super::value::{bits, float, int, narrowed, signed, widened, zero};
use crate::ir::{AnyValue, Builder, CmpF, F32, F64, Float, I1, I32, I64, Value};
use kernel::program::Function;
use kernel::{Scalar, Span};

impl Emit<'_> {
    /// A method.
    pub(super) fn call(
        &mut self,
        b: &mut Builder,
        f: Function,
        args: &[AnyValue],
        s: Scalar,
        span: Span,
    ) -> AnyValue {
        if args.len() != f.arity() {
            return self.refuse(b, s, span, format!("`{}` takes {} operands", f.name(), f.arity()));
        }
        match s {
            Scalar::F32 => self.of_float(b, f, args, F32, span),
            Scalar::F64 => self.of_float(b, f, args, F64, span),
            Scalar::Bool => {
                let x = b.expect(args[0], I1);
                match f {
                    Function::Max => {
                        let y = b.expect(args[1], I1);
                        b.ori(x, y).any()
                    }
                    Function::Min => {
                        let y = b.expect(args[1], I1);
                        b.andi(x, y).any()
                    }
                    _ => self.refuse(b, s, span, format!("`{}` of a truth value", f.name())),
                }
            }
            s => self.of_integer(b, f, args, s, span),
        }
    }

    fn of_float<F: Float>(
        &mut self,
        b: &mut Builder,
        f: Function,
        args: &[AnyValue],
        ty: F,
        span: Span,
    ) -> AnyValue {
        use Function::*;
        let x = b.expect(args[0], ty);
        let second = args.get(1).copied().unwrap_or(args[0]);
        // The power of `powi` is an integer.
        let y = if f == Powi { x } else { b.expect(second, ty) };
        let (nothing, one) = (b.float(ty, 0.0), b.float(ty, 1.0));
        let narrow = F::KIND == crate::ir::Kind::F32;
        let made = match f {
            Abs => b.absf(x),
            AbsDiff => {
                let d = b.subf(x, y);
                b.absf(d)
            }
            Ceil => b.ceil(x),
            Clamp => {
                let high = b.expect(args[2], ty);
                let ok = b.cmpf(CmpF::Ole, y, high);
                self.check(b, ok, Failure::Clamp, span, [None; 2]);
                // NaN stays what it is.
                let under = b.cmpf(CmpF::Olt, x, y);
                let low = b.select(under, y, x);
                let over = b.cmpf(CmpF::Ogt, low, high);
                b.select(over, high, low)
            }
            Cos => b.cos(x),
            Exp => b.exp(x),
            Exp2 => b.exp2(x),
            // MLIR writes these two as eˣ − 1 and log(1 + x), which lose what they are for.
            ExpM1 => {
                let name = self.library(b, if narrow { "expm1f" } else { "expm1" }, ty);
                b.call_symbol(name, x, ty)
            }
            Ln1p => {
                let name = self.library(b, if narrow { "log1pf" } else { "log1p" }, ty);
                b.call_symbol(name, x, ty)
            }
            Floor => b.floor(x),
            Ln => b.log(x),
            Max => b.maxnumf(x, y),
            Min => b.minnumf(x, y),
            MulAdd => {
                let z = b.expect(args[2], ty);
                b.fma(x, y, z)
            }
            Powf => b.powf(x, y),
            Powi => {
                let n = b.expect(second, I32);
                let name = if narrow { "llvm.powi.f32.i32" } else { "llvm.powi.f64.i32" };
                b.intrinsic(name, (x, n), ty)
            }
            Recip => b.divf(one, x),
            RemEuclid => {
                let r = b.remf(x, y);
                let size = b.absf(y);
                let moved = b.addf(r, size);
                let under = b.cmpf(CmpF::Olt, r, nothing);
                b.select(under, moved, r)
            }
            DivEuclid => {
                let q = b.divf(x, y);
                let q = b.trunc(q);
                let r = b.remf(x, y);
                let (less, more) = (b.subf(q, one), b.addf(q, one));
                let positive = b.cmpf(CmpF::Ogt, y, nothing);
                let moved = b.select(positive, less, more);
                let under = b.cmpf(CmpF::Olt, r, nothing);
                b.select(under, moved, q)
            }
            Round => b.round(x),
            RoundTiesEven => b.roundeven(x),
            Signum => {
                let sign = b.copysign(one, x);
                let unknown = b.cmpf(CmpF::Uno, x, x);
                b.select(unknown, x, sign)
            }
            Sin => b.sin(x),
            Sqrt => b.sqrt(x),
            Tanh => b.tanh(x),
            Trunc => b.trunc(x),
            DivCeil | SaturatingSub | WrappingAdd | WrappingMul | WrappingSub => {
                let s = if narrow { Scalar::F32 } else { Scalar::F64 };
                return self.refuse(b, s, span, format!("`{}` of a float", f.name()));
            }
        };
        made.any()
    }

    /// Declares a function of the C library, once.
    fn library<F: Float>(&self, b: &mut Builder, name: &'static str, ty: F) -> &'static str {
        if !b.module().has(name) {
            b.module().declare(name, ty, ty);
        }
        name
    }

    /// A conversion by `as`: from an integer it keeps the low bits, from a float it stays within the type, and NaN is 0.
    pub(super) fn cast(
        &mut self,
        b: &mut Builder,
        x: AnyValue,
        from: Scalar,
        to: Scalar,
        span: Span,
    ) -> AnyValue {
        match (from, to) {
            (a, c) if a == c => x,
            (Scalar::F32, Scalar::F64) => {
                let x = b.expect(x, F32);
                b.extf(x, F64).any()
            }
            (Scalar::F64, Scalar::F32) => {
                let x = b.expect(x, F64);
                b.truncf(x, F32).any()
            }
            (_, Scalar::Bool) => {
                self.refuse(b, to, span, "a number as a truth value: compare it with 0".into())
            }
            (Scalar::F32, to) => {
                let x = b.expect(x, F32);
                saturated(b, x, from, to)
            }
            (Scalar::F64, to) => {
                let x = b.expect(x, F64);
                saturated(b, x, from, to)
            }
            (from, Scalar::F32) => of_integer(b, x, from, F32),
            (from, Scalar::F64) => of_integer(b, x, from, F64),
            (from, to) => {
                let wide = widened(b, x, from);
                narrowed(b, wide, to)
            }
        }
    }
}

/// An integer as the nearest float, rounded once.
fn of_integer<F: Float>(b: &mut Builder, x: AnyValue, from: Scalar, ty: F) -> AnyValue {
    let wide = widened(b, x, from);
    let made = if signed(from) || bits(from) < 64 { b.sitofp(wide, ty) } else { b.uitofp(wide, ty) };
    made.any()
}

fn saturated<F: Float>(b: &mut Builder, x: Value<F>, from: Scalar, to: Scalar) -> AnyValue {
    let (low, high) = to.range().unwrap_or((0, 0));
    // The first number that does not fit is a power of two, and so a float.
    let limit = float(b, from, (high + 1) as f64);
    let limit = b.expect(limit, x.ty());
    let least = float(b, from, low as f64);
    let least = b.expect(least, x.ty());
    let (above, over) = (b.cmpf(CmpF::Oge, x, least), b.cmpf(CmpF::Oge, x, limit));
    let under = b.cmpf(CmpF::Olt, x, limit);
    let fits = b.andi(above, under);
    let none = zero(b, from);
    let none = b.expect(none, x.ty());
    let safe = b.select(fits, x, none);
    let made = if signed(to) || bits(to) < 64 { b.fptosi(safe, I64) } else { b.fptoui(safe, I64) };
    let made = b.expect(made, I64);
    let made = narrowed(b, made, to);
    let (most, least_int, nothing) = (int(b, to, high), int(b, to, low), int(b, to, 0));
    // Neither above nor below: NaN, which is 0.
    let known = b.cmpf(CmpF::Ord, x, x);
    let outside = super::expr::chosen(b, over, most, least_int, to);
    let outside = super::expr::chosen(b, known, outside, nothing, to);
    super::expr::chosen(b, fits, made, outside, to)
}
