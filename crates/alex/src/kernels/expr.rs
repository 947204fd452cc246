//! Expressions: numbers, elements, operators.

use super::Failure;
use super::emit::{Emit, shown};
use super::value::{bits, float, int, integral, signed, stored, valued, widened, zero};
use crate::ir::{AnyValue, Builder, CmpF, CmpI, DYN, F32, F64, I1, Index, Integral, MemRef, Value};
use kernel::program::{Expr, ExprKind};
use kernel::{BinaryOp, Scalar, Span};

impl Emit<'_> {
    /// A size, an index.
    pub(super) fn index(&mut self, b: &mut Builder, e: &Expr) -> Value<Index> {
        let value = self.expr(b, e);
        if e.scalar() == Scalar::Usize { b.expect(value, Index) } else { shown(b, value, e.scalar()) }
    }

    /// A truth value.
    pub(super) fn truth(&mut self, b: &mut Builder, e: &Expr) -> Value<I1> {
        let value = self.expr(b, e);
        b.expect(value, I1)
    }

    pub(super) fn expr(&mut self, b: &mut Builder, e: &Expr) -> AnyValue {
        self.named(b, e, None)
    }

    /// The value of an expression, called so where one op makes it.
    pub(super) fn named(&mut self, b: &mut Builder, e: &Expr, name: Option<&str>) -> AnyValue {
        let s = e.scalar();
        let title = |b: &mut Builder| {
            if let Some(name) = name {
                b.name(name);
            }
        };
        match &e.kind {
            ExprKind::Float(x) => float(b, s, *x),
            ExprKind::Int(i) => {
                if let Some((low, high)) = s.range().filter(|_| s.is_int())
                    && !(low..=high).contains(i)
                {
                    let never = b.constant(I1, false);
                    self.check(b, never, Failure::Fits(*i, s), e.span, [None; 2]);
                }
                int(b, s, *i)
            }
            ExprKind::Bool(x) => b.constant(I1, *x).any(),
            ExprKind::Var(v) => self.var(b, *v),
            ExprKind::Size(a, k) => self.size(b, *a, *k).any(),
            ExprKind::Load(a) => {
                let made = self.access(b, a, |b, data, at| {
                    title(b);
                    Some(load(b, data, at, s))
                });
                made.unwrap_or_else(|| zero(b, s))
            }
            ExprKind::Negate(x) => {
                let x = self.expr(b, x);
                match s {
                    Scalar::F32 => {
                        title(b);
                        let x = b.expect(x, F32);
                        b.negf(x).any()
                    }
                    Scalar::F64 => {
                        title(b);
                        let x = b.expect(x, F64);
                        b.negf(x).any()
                    }
                    Scalar::Bool => {
                        let x = b.expect(x, I1);
                        b.not(x).any()
                    }
                    s => self.negated(b, x, s, e.span),
                }
            }
            ExprKind::Binary(BinaryOp::And, x, y) => {
                let x = self.truth(b, x);
                let no = b.constant(I1, false);
                b.if_(x, |b| self.truth(b, y), |_| no).any()
            }
            ExprKind::Binary(BinaryOp::Or, x, y) => {
                let x = self.truth(b, x);
                let yes = b.constant(I1, true);
                b.if_(x, |_| yes, |b| self.truth(b, y)).any()
            }
            ExprKind::Binary(op, x, y) => {
                let (s, t) = (x.scalar(), y.scalar());
                let (x, y) = (self.expr(b, x), self.expr(b, y));
                match s {
                    Scalar::F32 => {
                        title(b);
                        let (x, y) = (b.expect(x, F32), b.expect(y, F32));
                        self.of_floats(b, *op, x, y, s, e.span)
                    }
                    Scalar::F64 => {
                        title(b);
                        let (x, y) = (b.expect(x, F64), b.expect(y, F64));
                        self.of_floats(b, *op, x, y, s, e.span)
                    }
                    Scalar::Bool => of_truths(b, *op, x, y),
                    _ if op.is_comparison() => compared(b, *op, x, y, s),
                    _ => self.of_integers(b, *op, (x, s), (y, t), e.span),
                }
            }
            ExprKind::Cast(x) => {
                let from = x.scalar();
                let value = self.expr(b, x);
                title(b);
                self.cast(b, value, from, s, e.span)
            }
            ExprKind::Call(f, args) => {
                let of = args.first().map_or(s, Expr::scalar);
                let args: Vec<AnyValue> = args.iter().map(|a| self.expr(b, a)).collect();
                self.call(b, *f, &args, of, e.span)
            }
        }
    }

    fn of_floats<F: crate::ir::Float>(
        &mut self,
        b: &mut Builder,
        op: BinaryOp,
        x: Value<F>,
        y: Value<F>,
        s: Scalar,
        span: Span,
    ) -> AnyValue {
        use BinaryOp::*;
        match op {
            Add => b.addf(x, y).any(),
            Sub => b.subf(x, y).any(),
            Mul => b.mulf(x, y).any(),
            Div => b.divf(x, y).any(),
            Rem => b.remf(x, y).any(),
            Eq => b.cmpf(CmpF::Oeq, x, y).any(),
            Ne => b.cmpf(CmpF::Une, x, y).any(),
            Lt => b.cmpf(CmpF::Olt, x, y).any(),
            Le => b.cmpf(CmpF::Ole, x, y).any(),
            Gt => b.cmpf(CmpF::Ogt, x, y).any(),
            Ge => b.cmpf(CmpF::Oge, x, y).any(),
            _ => self.refuse(b, s, span, format!("`{}` of floats", op.symbol())),
        }
    }

    /// Arithmetic of integers that notices what Rust notices.
    fn of_integers(
        &mut self,
        b: &mut Builder,
        op: BinaryOp,
        (x, s): (AnyValue, Scalar),
        (y, t): (AnyValue, Scalar),
        span: Span,
    ) -> AnyValue {
        use BinaryOp::*;
        match op {
            Add | Sub | Mul => self.sum(b, op, x, y, s, op.symbol(), span),
            Div | Rem => {
                let y = self.divisor(b, x, y, (s, op == Rem), op.symbol(), span);
                integral!(
                    s,
                    |ty| {
                        let (x, y) = (b.expect(x, ty), b.expect(y, ty));
                        match (op == Div, signed(s)) {
                            (true, true) => b.divsi(x, y).any(),
                            (true, false) => b.divui(x, y).any(),
                            (false, true) => b.remsi(x, y).any(),
                            (false, false) => b.remui(x, y).any(),
                        }
                    },
                    x
                )
            }
            BitAnd | BitOr | BitXor => integral!(
                s,
                |ty| {
                    let (x, y) = (b.expect(x, ty), b.expect(y, ty));
                    match op {
                        BitAnd => b.andi(x, y).any(),
                        BitOr => b.ori(x, y).any(),
                        _ => b.xori(x, y).any(),
                    }
                },
                x
            ),
            Shl | Shr => {
                let wide = widened(b, y, t);
                let most = b.int(crate::ir::I64, i64::from(bits(s)));
                let ok = b.cmpi(CmpI::Ult, wide, most);
                let by = b.index_cast(wide, Index);
                self.check(b, ok, Failure::Shift(op.symbol(), t), span, [Some(by), None]);
                let none = b.int(crate::ir::I64, 0);
                let by = b.select(ok, wide, none);
                let by = super::value::narrowed(b, by, s);
                integral!(
                    s,
                    |ty| {
                        let (x, y) = (b.expect(x, ty), b.expect(by, ty));
                        match (op, signed(s)) {
                            (Shl, _) => b.shli(x, y).any(),
                            (_, true) => b.shrsi(x, y).any(),
                            (_, false) => b.shrui(x, y).any(),
                        }
                    },
                    x
                )
            }
            _ => self.refuse(b, s, span, format!("`{}` of integers", op.symbol())),
        }
    }
}

/// The element at a place that is in the array.
fn load(b: &mut Builder, data: AnyValue, at: Value<Index>, s: Scalar) -> AnyValue {
    stored!(s, |ty| {
        let data = b.expect(data, MemRef::new(ty, [DYN]));
        let value = b.load(data, at).any();
        if s == Scalar::Bool {
            let (value, zero) = (b.expect(value, I8), b.int(I8, 0));
            return b.cmpi(CmpI::Ne, value, zero).any();
        }
        value
    })
}

fn of_truths(b: &mut Builder, op: BinaryOp, x: AnyValue, y: AnyValue) -> AnyValue {
    use BinaryOp::*;
    let (x, y) = (b.expect(x, I1), b.expect(y, I1));
    let how = match op {
        BitAnd => return b.andi(x, y).any(),
        BitOr => return b.ori(x, y).any(),
        Eq => CmpI::Eq,
        Ne | BitXor => CmpI::Ne,
        Lt => CmpI::Ult,
        Le => CmpI::Ule,
        Gt => CmpI::Ugt,
        _ => CmpI::Uge,
    };
    b.cmpi(how, x, y).any()
}

fn compared(b: &mut Builder, op: BinaryOp, x: AnyValue, y: AnyValue, s: Scalar) -> AnyValue {
    use BinaryOp::*;
    let how = match (op, signed(s)) {
        (Eq, _) => CmpI::Eq,
        (Ne, _) => CmpI::Ne,
        (Lt, true) => CmpI::Slt,
        (Lt, false) => CmpI::Ult,
        (Le, true) => CmpI::Sle,
        (Le, false) => CmpI::Ule,
        (Gt, true) => CmpI::Sgt,
        (Gt, false) => CmpI::Ugt,
        (_, true) => CmpI::Sge,
        (_, false) => CmpI::Uge,
    };
    fn with<E: Integral>(b: &mut Builder, how: CmpI, x: AnyValue, y: AnyValue, ty: E) -> AnyValue {
        let (x, y) = (b.expect(x, ty), b.expect(y, ty));
        b.cmpi(how, x, y).any()
    }
    integral!(s, |ty| with(b, how, x, y, ty), x)
}

/// The larger or the smaller by a comparison.
pub(super) fn chosen(b: &mut Builder, ok: Value<I1>, x: AnyValue, y: AnyValue, s: Scalar) -> AnyValue {
    valued!(s, |ty| {
        let (x, y) = (b.expect(x, ty), b.expect(y, ty));
        b.select(ok, x, y).any()
    })
}

/// Whether `x < y` of integers of a type.
pub(super) fn below(b: &mut Builder, x: AnyValue, y: AnyValue, s: Scalar) -> Value<I1> {
    let made = compared(b, BinaryOp::Lt, x, y, s);
    b.expect(made, I1)
}

/// Whether two integers of a type are equal.
pub(super) fn equal(b: &mut Builder, x: AnyValue, y: AnyValue, s: Scalar) -> Value<I1> {
    let made = compared(b, BinaryOp::Eq, x, y, s);
    b.expect(made, I1)
}
