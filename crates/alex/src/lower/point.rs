//! What each pointwise op does to its operands, scalars and vectors alike.

use super::value::{
    Fcmp, Icmp, Types, V, cmpf, cmpi, convertf, converti, float, int, kind, lanes, op1, op2, select, spread,
    to_float, to_int, with,
};
use crate::cpu::math::Function;
use crate::ir::{Builder, F32, Kind, Vector};
use axes::DType;
use graph::Op;

/// A pointwise op with what it must know of its operands and its result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) op: Op,
    /// How it compares.
    pub(crate) how: String,
    /// The first operand's element type.
    pub(crate) from: DType,
    /// The result's.
    pub(crate) to: DType,
}

impl Point {
    /// Whether there is a form of this op.
    pub(crate) fn known(op: Op) -> bool {
        op.class() == graph::Class::Elementwise
    }

    /// The result, in the kind that the result's dtype is computed with.
    pub(crate) fn apply(&self, b: &mut Builder, types: Types, x: &[V]) -> V {
        match self.op {
            Op::Identity | Op::StopGradient | Op::Surrogate => x[0],
            Op::Select => select(b, x[0], x[1], x[2]),
            Op::Convert => self.convert(b, types, x[0]),
            Op::And => op2(b, "arith.andi", x[0], x[1]),
            Op::Or => op2(b, "arith.ori", x[0], x[1]),
            Op::Not => {
                let one = int(b, x[0].ty(), 1);
                op2(b, "arith.xori", x[0], one)
            }
            Op::Compare => self.compare(b, x[0], x[1]),
            _ if kind(x[0]).is_float() => floats(b, self.op, x),
            _ => integers(b, self.op, x),
        }
    }

    fn compare(&self, b: &mut Builder, x: V, y: V) -> V {
        let how = self.how.as_str();
        if kind(x).is_float() {
            let how = match how {
                "lt" => Fcmp::Olt,
                "le" => Fcmp::Ole,
                "gt" => Fcmp::Ogt,
                "ge" => Fcmp::Oge,
                "eq" => Fcmp::Oeq,
                _ => Fcmp::Une,
            };
            return cmpf(b, how, x, y);
        }
        // Truth values are ordered as 0 and 1, which an i1 with a sign is not.
        let (x, y) = match kind(x) {
            Kind::I1 => (converti(b, x, Kind::I8, true), converti(b, y, Kind::I8, true)),
            _ => (x, y),
        };
        let how = match how {
            "lt" => Icmp::Slt,
            "le" => Icmp::Sle,
            "gt" => Icmp::Sgt,
            "ge" => Icmp::Sge,
            "eq" => Icmp::Eq,
            _ => Icmp::Ne,
        };
        cmpi(b, how, x, y)
    }

    fn convert(&self, b: &mut Builder, types: Types, x: V) -> V {
        let to = types.compute(self.to);
        match (kind(x), self.to) {
            (from, DType::Bool) if from.is_float() => {
                let zero = float(b, x.ty(), 0.0);
                cmpf(b, Fcmp::Une, x, zero)
            }
            (from, DType::Trit) if from.is_float() => {
                let whole = to_int(b, x, Kind::I64, false);
                clamp(b, whole, -1, 1)
            }
            (from, d) if from.is_float() && !d.is_float() => {
                let narrow = to_int(b, x, types.storage(d), d == DType::U8);
                converti(b, narrow, to, d == DType::U8)
            }
            (from, _) if from.is_float() => convertf(b, x, to),
            (_, d) if d.is_float() => to_float(b, x, to, false),
            (Kind::I1, _) if to == Kind::I1 => x,
            (Kind::I1, _) => converti(b, x, to, true),
            (_, DType::Bool) => {
                let zero = int(b, x.ty(), 0);
                cmpi(b, Icmp::Ne, x, zero)
            }
            (_, DType::Trit) => clamp(b, x, -1, 1),
            // Wrapped where it is written.
            _ => converti(b, x, to, false),
        }
    }
}

fn clamp(b: &mut Builder, x: V, low: i64, high: i64) -> V {
    let (low, high) = (int(b, x.ty(), low), int(b, x.ty(), high));
    let x = op2(b, "arith.maxsi", x, low);
    op2(b, "arith.minsi", x, high)
}

/// A function of floats.
pub(crate) fn floats(b: &mut Builder, op: Op, x: &[V]) -> V {
    let ty = x[0].ty();
    if let Some(made) = fast(b, op, x[0]).or_else(|| of_c(b, op, x)) {
        return made;
    }
    match op {
        Op::Negate => op1(b, "arith.negf", x[0]),
        Op::Exp => op1(b, "math.exp", x[0]),
        Op::Log => op1(b, "math.log", x[0]),
        Op::Sqrt => op1(b, "math.sqrt", x[0]),
        Op::Tanh => op1(b, "math.tanh", x[0]),
        Op::Sine => op1(b, "math.sin", x[0]),
        Op::Cosine => op1(b, "math.cos", x[0]),
        Op::Abs => op1(b, "math.absf", x[0]),
        Op::Floor => op1(b, "math.floor", x[0]),
        Op::RoundHalfEven => op1(b, "math.roundeven", x[0]),
        Op::RoundHalfAway => op1(b, "math.round", x[0]),
        Op::Asin => op1(b, "math.asin", x[0]),
        Op::Acos => op1(b, "math.acos", x[0]),
        Op::Atan => op1(b, "math.atan", x[0]),
        Op::Erf => op1(b, "math.erf", x[0]),
        Op::Add => op2(b, "arith.addf", x[0], x[1]),
        Op::Subtract => op2(b, "arith.subf", x[0], x[1]),
        Op::Multiply => op2(b, "arith.mulf", x[0], x[1]),
        Op::Divide => op2(b, "arith.divf", x[0], x[1]),
        Op::Power => op2(b, "math.powf", x[0], x[1]),
        Op::Maximum => op2(b, "arith.maximumf", x[0], x[1]),
        Op::Minimum => op2(b, "arith.minimumf", x[0], x[1]),
        Op::Sign => {
            let [zero, one, minus] = [0.0, 1.0, -1.0].map(|v| float(b, ty, v));
            let (above, below, none) = (
                cmpf(b, Fcmp::Ogt, x[0], zero),
                cmpf(b, Fcmp::Olt, x[0], zero),
                cmpf(b, Fcmp::Uno, x[0], x[0]),
            );
            let rest = select(b, none, x[0], zero);
            let rest = select(b, below, minus, rest);
            select(b, above, one, rest)
        }
        Op::Sigmoid => logistic(b, x[0]),
        Op::Silu => {
            let s = logistic(b, x[0]);
            op2(b, "arith.mulf", x[0], s)
        }
        Op::Relu => {
            let zero = float(b, ty, 0.0);
            // NaN stays.
            let keep = cmpf(b, Fcmp::Ugt, x[0], zero);
            select(b, keep, x[0], zero)
        }
        _ => x[0],
    }
}

/// A function of f32 by the polynomials that the engine has, which vectors have no other form of; one element is a vector of
/// one, so that it does not matter where an element stands.
fn fast(b: &mut Builder, op: Op, x: V) -> Option<V> {
    let f = match op {
        _ if kind(x) != Kind::F32 => return None,
        Op::Exp => Function::Exp,
        Op::Log => Function::Log,
        Op::Tanh => Function::Tanh,
        Op::Sigmoid => Function::Sigmoid,
        Op::Silu => Function::Silu,
        Op::Erf => Function::Erf,
        _ => return None,
    };
    let n = lanes(x.ty());
    let one = Vector::new(F32, [n.unwrap_or(1)]);
    let wide = match n {
        Some(_) => x,
        None => spread(b, x, Some(1)),
    };
    let wide = b.expect(wide, one);
    let made = f.emit(b, wide).any();
    Some(match n {
        Some(_) => made,
        None => b.generic("vector.extract", made, "static_position = array<i64: 0>", x.ty()),
    })
}

/// A function of f80 or f128 by the C library's name: MLIR's own lowering knows none for them.
fn of_c(b: &mut Builder, op: Op, x: &[V]) -> Option<V> {
    let suffix = match kind(x[0]) {
        Kind::F80 => "l",
        Kind::F128 => "f128",
        _ => return None,
    };
    let base = match op {
        Op::Exp => "exp",
        Op::Log => "log",
        Op::Tanh => "tanh",
        Op::Sine => "sin",
        Op::Cosine => "cos",
        Op::Asin => "asin",
        Op::Acos => "acos",
        Op::Atan => "atan",
        Op::Erf => "erf",
        Op::Power => "pow",
        _ => return None,
    };
    let (name, ty) = (format!("{base}{suffix}"), x[0].ty());
    if !b.module().has(&name) {
        b.module().declare(name.as_str(), vec![ty; x.len()], ty);
    }
    Some(b.call_symbol(&name, x.to_vec(), ty))
}

/// 1 / (1 + e^-x), without overflow and with all digits on both sides.
pub(crate) fn logistic(b: &mut Builder, x: V) -> V {
    if let Some(made) = crate::extended::emit_any(b, crate::extended::Function::Sigmoid, &[x]) {
        return made;
    }
    let (zero, one) = (float(b, x.ty(), 0.0), float(b, x.ty(), 1.0));
    let size = op1(b, "math.absf", x);
    let down = op1(b, "arith.negf", size);
    let e = floats(b, Op::Exp, &[down]);
    let sum = op2(b, "arith.addf", one, e);
    let above = cmpf(b, Fcmp::Oge, x, zero);
    let top = select(b, above, one, e);
    op2(b, "arith.divf", top, sum)
}

fn integers(b: &mut Builder, op: Op, x: &[V]) -> V {
    let ty = x[0].ty();
    match op {
        Op::Add => op2(b, "arith.addi", x[0], x[1]),
        Op::Subtract => op2(b, "arith.subi", x[0], x[1]),
        Op::Multiply => op2(b, "arith.muli", x[0], x[1]),
        Op::Maximum => op2(b, "arith.maxsi", x[0], x[1]),
        Op::Minimum => op2(b, "arith.minsi", x[0], x[1]),
        Op::Negate => {
            let zero = int(b, ty, 0);
            op2(b, "arith.subi", zero, x[0])
        }
        Op::Abs => op1(b, "math.absi", x[0]),
        Op::Sign => {
            let [minus, one] = [-1, 1].map(|v| int(b, ty, v));
            let x = op2(b, "arith.maxsi", x[0], minus);
            op2(b, "arith.minsi", x, one)
        }
        Op::Divide => {
            // By zero: zero. The smallest by minus one does not fit, and is zero as well.
            let [zero, one, minus] = [0, 1, -1].map(|v| int(b, ty, v));
            let least = int(b, ty, i64::MIN);
            let none = cmpi(b, Icmp::Eq, x[1], zero);
            let (low, turns) = (cmpi(b, Icmp::Eq, x[0], least), cmpi(b, Icmp::Eq, x[1], minus));
            let over = op2(b, "arith.andi", low, turns);
            let bad = op2(b, "arith.ori", none, over);
            let safe = select(b, bad, one, x[1]);
            let q = op2(b, "arith.divsi", x[0], safe);
            select(b, bad, zero, q)
        }
        Op::Power => power(b, x[0], x[1]),
        // Floor and the roundings of a whole number.
        _ => x[0],
    }
}

/// x^y by squaring, wrapping; the exponent is cut to 0 … 2^32 - 1.
fn power(b: &mut Builder, x: V, y: V) -> V {
    let ty = with(x.ty(), Kind::I64);
    let (zero, one, most) = (int(b, ty, 0), int(b, ty, 1), int(b, ty, i64::from(u32::MAX)));
    let y = op2(b, "arith.maxsi", y, zero);
    let y = op2(b, "arith.minsi", y, most);
    let out = b.for_(0, 32, 1, vec![one, x, y], |b, _, v| {
        let odd = op2(b, "arith.andi", v[2], one);
        let odd = cmpi(b, Icmp::Ne, odd, zero);
        let times = op2(b, "arith.muli", v[0], v[1]);
        let made = select(b, odd, times, v[0]);
        let square = op2(b, "arith.muli", v[1], v[1]);
        let rest = op2(b, "arith.shrui", v[2], one);
        vec![made, square, rest]
    });
    out[0]
}
