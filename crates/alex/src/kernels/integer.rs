//! Integers: sums and products that notice an overflow, divisors that are not zero, and the methods.
//!
//! Narrow types are computed in 64 bits, where nothing is lost, and compared with what the narrow type keeps of it. In 64
//! bits the signs say it, or the upper half of the product.

use super::Failure;
use super::emit::Emit;
use super::expr::{below, chosen, equal};
use super::value::{bits, int, integral, narrowed, signed, widened};
use crate::ir::{AnyValue, Builder, CmpI, I1, I64, Index, Integral, Value};
use kernel::program::Function;
use kernel::{BinaryOp, Scalar, Span};

impl Emit<'_> {
    /// x + y, x − y or x · y; the low bits where it overflows, which is written down.
    pub(super) fn sum(
        &mut self,
        b: &mut Builder,
        op: BinaryOp,
        x: AnyValue,
        y: AnyValue,
        s: Scalar,
        what: &'static str,
        span: Span,
    ) -> AnyValue {
        let (made, ok) = checked(b, op, x, y, s);
        self.check(b, ok, Failure::Overflow(what, s), span, [None; 2]);
        made
    }

    /// −x.
    pub(super) fn negated(&mut self, b: &mut Builder, x: AnyValue, s: Scalar, span: Span) -> AnyValue {
        let zero = int(b, s, 0);
        self.sum(b, BinaryOp::Sub, zero, x, s, "-", span)
    }

    /// A divisor that does no harm: 1 where it is zero, or where the quotient overflows, both of which are written down.
    pub(super) fn divisor(
        &mut self,
        b: &mut Builder,
        x: AnyValue,
        y: AnyValue,
        (s, _remainder): (Scalar, bool),
        what: &'static str,
        span: Span,
    ) -> AnyValue {
        let (zero, one) = (int(b, s, 0), int(b, s, 1));
        let is_zero = equal(b, y, zero, s);
        let fine = b.not(is_zero);
        self.check(b, fine, Failure::Zero, span, [None; 2]);
        let mut bad = is_zero;
        if signed(s) {
            let (low, minus) = (int(b, s, s.range().map_or(0, |r| r.0)), int(b, s, -1));
            let (lowest, by_minus) = (equal(b, x, low, s), equal(b, y, minus, s));
            let over = b.andi(lowest, by_minus);
            let fine = b.not(over);
            self.check(b, fine, Failure::Overflow(what, s), span, [None; 2]);
            bad = b.ori(bad, over);
        }
        chosen(b, bad, one, y, s)
    }

    /// Quotient and remainder towards zero.
    fn divided(b: &mut Builder, x: AnyValue, y: AnyValue, s: Scalar) -> (AnyValue, AnyValue) {
        integral!(
            s,
            |ty| {
                let (x, y) = (b.expect(x, ty), b.expect(y, ty));
                match signed(s) {
                    true => (b.divsi(x, y).any(), b.remsi(x, y).any()),
                    false => (b.divui(x, y).any(), b.remui(x, y).any()),
                }
            },
            (x, x)
        )
    }

    /// A method of integers.
    pub(super) fn of_integer(
        &mut self,
        b: &mut Builder,
        f: Function,
        args: &[AnyValue],
        s: Scalar,
        span: Span,
    ) -> AnyValue {
        use Function::*;
        let x = args[0];
        let y = args.get(1).copied().unwrap_or(x);
        let zero = int(b, s, 0);
        let one = int(b, s, 1);
        match f {
            Max | Min => {
                let less = below(b, x, y, s);
                if f == Max { chosen(b, less, y, x, s) } else { chosen(b, less, x, y, s) }
            }
            Clamp => {
                let high = args.get(2).copied().unwrap_or(x);
                let wrong = below(b, high, y, s);
                let ok = b.not(wrong);
                self.check(b, ok, Failure::Clamp, span, [None; 2]);
                let under = below(b, x, y, s);
                let low = chosen(b, under, y, x, s);
                let over = below(b, high, low, s);
                chosen(b, over, high, low, s)
            }
            Abs => {
                let minus = below(b, x, zero, s);
                let (negative, fits) = checked(b, BinaryOp::Sub, zero, x, s);
                let plain = b.not(minus);
                let ok = b.ori(plain, fits);
                self.check(b, ok, Failure::Overflow(f.name(), s), span, [None; 2]);
                chosen(b, minus, negative, x, s)
            }
            AbsDiff => {
                let less = below(b, x, y, s);
                let (high, low) = (chosen(b, less, y, x, s), chosen(b, less, x, y, s));
                self.sum(b, BinaryOp::Sub, high, low, s, f.name(), span)
            }
            Signum => {
                let (minus, plus) = (below(b, x, zero, s), below(b, zero, x, s));
                let negative = int(b, s, -1);
                let rest = chosen(b, plus, one, zero, s);
                chosen(b, minus, negative, rest, s)
            }
            SaturatingSub => {
                let (made, ok) = checked(b, BinaryOp::Sub, x, y, s);
                let (low, high) = s.range().unwrap_or((0, 0));
                let (low, high) = (int(b, s, low), int(b, s, high));
                // What is taken from a negative number ends below.
                let minus = below(b, x, zero, s);
                let down = if signed(s) { chosen(b, minus, low, high, s) } else { low };
                chosen(b, ok, made, down, s)
            }
            WrappingAdd => checked(b, BinaryOp::Add, x, y, s).0,
            WrappingSub => checked(b, BinaryOp::Sub, x, y, s).0,
            WrappingMul => checked(b, BinaryOp::Mul, x, y, s).0,
            DivEuclid | RemEuclid | DivCeil => {
                let y = self.divisor(b, x, y, (s, f == RemEuclid), f.name(), span);
                let (q, r) = Self::divided(b, x, y, s);
                let exact = equal(b, r, zero, s);
                // The remainder is negative only where x is: then one step more makes it positive.
                let under = below(b, r, zero, s);
                let positive = below(b, zero, y, s);
                let wrap = |b: &mut Builder, op, x, y| checked(b, op, x, y, s).0;
                let (less, more) = (wrap(b, BinaryOp::Sub, q, one), wrap(b, BinaryOp::Add, q, one));
                match f {
                    RemEuclid => {
                        let (up, down) = (wrap(b, BinaryOp::Add, r, y), wrap(b, BinaryOp::Sub, r, y));
                        let moved = chosen(b, positive, up, down, s);
                        chosen(b, under, moved, r, s)
                    }
                    DivEuclid => {
                        let moved = chosen(b, positive, less, more, s);
                        chosen(b, under, moved, q, s)
                    }
                    _ => {
                        // The Euclidean quotient, and one more where something is left.
                        let moved = chosen(b, positive, less, more, s);
                        let floor = chosen(b, under, moved, q, s);
                        let next = wrap(b, BinaryOp::Add, floor, one);
                        chosen(b, exact, floor, next, s)
                    }
                }
            }
            _ => self.refuse(b, s, span, format!("`{}` of an integer", f.name())),
        }
    }
}

/// A sum, a difference or a product, its low bits, and whether that is all of it.
fn checked(b: &mut Builder, op: BinaryOp, x: AnyValue, y: AnyValue, s: Scalar) -> (AnyValue, Value<I1>) {
    if bits(s) < 64 {
        let (wide, other) = (widened(b, x, s), widened(b, y, s));
        let exact = of(b, op, wide, other);
        let made = narrowed(b, exact, s);
        let back = widened(b, made, s);
        let ok = b.cmpi(CmpI::Eq, back, exact);
        return (made, ok);
    }
    if s == Scalar::Usize {
        let (x, y) = (b.expect(x, Index), b.expect(y, Index));
        return unsigned(b, op, x, y);
    }
    let (x, y) = (b.expect(x, I64), b.expect(y, I64));
    if !signed(s) {
        return unsigned(b, op, x, y);
    }
    let zero = b.int(I64, 0);
    let made = of(b, op, x, y);
    let ok = match op {
        BinaryOp::Mul => {
            let (low, high) = b.mulsi_extended(x, y);
            let all = b.int(I64, 63);
            let sign = b.shrsi(low, all);
            b.cmpi(CmpI::Eq, high, sign)
        }
        // A sum overflows where its sign is neither operand's; a difference where x has neither the sign of y nor the result's.
        BinaryOp::Add => {
            let (p, q) = (b.xori(x, made), b.xori(y, made));
            let both = b.andi(p, q);
            b.cmpi(CmpI::Sge, both, zero)
        }
        _ => {
            let (p, q) = (b.xori(x, y), b.xori(x, made));
            let both = b.andi(p, q);
            b.cmpi(CmpI::Sge, both, zero)
        }
    };
    (made.any(), ok)
}

fn of<E: Integral>(b: &mut Builder, op: BinaryOp, x: Value<E>, y: Value<E>) -> Value<E> {
    match op {
        BinaryOp::Add => b.addi(x, y),
        BinaryOp::Sub => b.subi(x, y),
        _ => b.muli(x, y),
    }
}

fn unsigned<E: Integral>(b: &mut Builder, op: BinaryOp, x: Value<E>, y: Value<E>) -> (AnyValue, Value<I1>) {
    let made = of(b, op, x, y);
    let ok = match op {
        BinaryOp::Add => b.cmpi(CmpI::Uge, made, x),
        BinaryOp::Sub => b.cmpi(CmpI::Uge, x, y),
        _ => {
            let s = if E::KIND == crate::ir::Kind::Index { Scalar::Usize } else { Scalar::U64 };
            let (x, y) = (widened(b, x.any(), s), widened(b, y.any(), s));
            let (_, high) = b.mului_extended(x, y);
            let zero = b.int(I64, 0);
            b.cmpi(CmpI::Eq, high, zero)
        }
    };
    (made.any(), ok)
}
