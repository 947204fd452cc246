//! [`Var`]: the handle on a traced value, with the operators of the field.
//!
//! One concrete type, so that closures nest: `grad(grad(grad(|x| ...)))` has the same type at every order.

use crate::array::Array;
use crate::attrs;
use crate::attrs::Attrs;
use crate::cx::Cx;
use crate::dim::Dim;
use crate::error::Result;
use crate::ir::Value;
use crate::op::Op;
use crate::types::Type;
use axes::DType;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A value of a graph under construction.
#[derive(Clone)]
pub struct Var {
    pub(crate) cx: Cx,
    pub(crate) value: Value,
}

impl Var {
    /// The builder.
    pub fn cx(&self) -> &Cx {
        &self.cx
    }

    /// Which value of the builder's graph.
    pub fn id(&self) -> Value {
        self.value
    }

    /// A handle on a value of a builder.
    pub fn from_id(cx: &Cx, value: Value) -> Var {
        Var { cx: cx.clone(), value }
    }

    /// Whether an earlier error stands behind this value.
    pub fn is_poison(&self) -> bool {
        self.value.node == u32::MAX
    }

    /// The type.
    pub fn ty(&self) -> Type {
        self.cx.ty(self.value)
    }

    /// The sizes.
    pub fn shape(&self) -> Vec<Dim> {
        self.ty().shape
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.ty().dtype
    }

    /// The computed array (eager mode).
    pub fn array(&self) -> Result<Array<f64>> {
        self.cx.value(self)
    }

    /// The computed number of a rank-0 value, or the first element.
    pub fn try_val(&self) -> Result<f64> {
        self.array().map(|a| a.to_f64().first().copied().unwrap_or(f64::NAN))
    }

    /// The computed number; in an abstract trace an error is recorded and NaN returned.
    pub fn val(&self) -> f64 {
        self.try_val().unwrap_or_else(|e| {
            self.cx.fail(e);
            f64::NAN
        })
    }

    /// Whether a computed truth value holds: the way Rust's `if` reads a comparison.
    pub fn is_true(&self) -> bool {
        self.val() != 0.0
    }

    /// A constant of this value's type.
    #[track_caller]
    pub fn full_like(&self, value: f64) -> Var {
        self.cx.full(&self.ty(), value)
    }

    #[track_caller]
    fn op1(&self, op: Op) -> Var {
        self.cx.push1(op, Attrs::new(), &[self])
    }

    #[track_caller]
    pub(crate) fn op2(&self, op: Op, attrs: Attrs, other: &Var) -> Var {
        let cx = if other.cx.depth() > self.cx.depth() { &other.cx } else { &self.cx };
        let (a, b) = (cx.import(self), cx.import(other));
        let (ra, rb) = (a.ty().rank(), b.ty().rank());
        let (a, b) = match (ra, rb) {
            (0, r) if r > 0 => (a.broadcast(&b.shape(), &[]), b),
            (r, 0) if r > 0 => {
                let b = b.broadcast(&a.shape(), &[]);
                (a, b)
            }
            _ => (a, b),
        };
        cx.push1(op, attrs, &[&a, &b])
    }

    /// Natural exponential.
    #[track_caller]
    pub fn exp(&self) -> Var {
        self.op1(Op::Exp)
    }
    /// Natural logarithm.
    #[track_caller]
    pub fn log(&self) -> Var {
        self.op1(Op::Log)
    }
    /// Square root.
    #[track_caller]
    pub fn sqrt(&self) -> Var {
        self.op1(Op::Sqrt)
    }
    /// Hyperbolic tangent.
    #[track_caller]
    pub fn tanh(&self) -> Var {
        self.op1(Op::Tanh)
    }
    /// Sine.
    #[track_caller]
    pub fn sin(&self) -> Var {
        self.op1(Op::Sine)
    }
    /// Cosine.
    #[track_caller]
    pub fn cos(&self) -> Var {
        self.op1(Op::Cosine)
    }
    /// Absolute value; its derivative at 0 is 0.
    #[track_caller]
    pub fn abs(&self) -> Var {
        self.op1(Op::Abs)
    }
    /// -1, 0 or 1.
    #[track_caller]
    pub fn sign(&self) -> Var {
        self.op1(Op::Sign)
    }
    /// Largest integer not above.
    #[track_caller]
    pub fn floor(&self) -> Var {
        self.op1(Op::Floor)
    }
    /// Nearest integer, ties to even.
    #[track_caller]
    pub fn round_half_even(&self) -> Var {
        self.op1(Op::RoundHalfEven)
    }
    /// Nearest integer, ties away from zero.
    #[track_caller]
    pub fn round_half_away(&self) -> Var {
        self.op1(Op::RoundHalfAway)
    }
    /// 1 / (1 + e^-x).
    #[track_caller]
    pub fn sigmoid(&self) -> Var {
        self.op1(Op::Sigmoid)
    }
    /// x sigmoid(x).
    #[track_caller]
    pub fn silu(&self) -> Var {
        self.op1(Op::Silu)
    }
    /// max(x, 0); its derivative at 0 is 0.
    #[track_caller]
    pub fn relu(&self) -> Var {
        self.op1(Op::Relu)
    }
    /// x².
    #[track_caller]
    pub fn square(&self) -> Var {
        self * self
    }
    /// 1/x.
    #[track_caller]
    pub fn reciprocal(&self) -> Var {
        &self.full_like(1.0) / self
    }
    /// 1/√x.
    #[track_caller]
    pub fn rsqrt(&self) -> Var {
        self.sqrt().reciprocal()
    }
    /// x^y.
    #[track_caller]
    pub fn pow(&self, y: &Var) -> Var {
        self.op2(Op::Power, Attrs::new(), y)
    }
    /// x^k for a number k.
    #[track_caller]
    pub fn powf(&self, k: f64) -> Var {
        self.pow(&self.full_like(k))
    }
    /// The larger of two.
    #[track_caller]
    pub fn max(&self, o: &Var) -> Var {
        self.op2(Op::Maximum, Attrs::new(), o)
    }
    /// The smaller of two.
    #[track_caller]
    pub fn min(&self, o: &Var) -> Var {
        self.op2(Op::Minimum, Attrs::new(), o)
    }
    /// Kept within [low, high].
    #[track_caller]
    pub fn clamp(&self, low: f64, high: f64) -> Var {
        self.max(&self.full_like(low)).min(&self.full_like(high))
    }
    #[track_caller]
    fn compare(&self, how: &str, o: &Var) -> Var {
        self.op2(Op::Compare, attrs! { how: Str(how.to_string()) }, o)
    }
    /// self < o.
    #[track_caller]
    pub fn lt(&self, o: &Var) -> Var {
        self.compare("lt", o)
    }
    /// self <= o.
    #[track_caller]
    pub fn le(&self, o: &Var) -> Var {
        self.compare("le", o)
    }
    /// self > o.
    #[track_caller]
    pub fn gt(&self, o: &Var) -> Var {
        self.compare("gt", o)
    }
    /// self >= o.
    #[track_caller]
    pub fn ge(&self, o: &Var) -> Var {
        self.compare("ge", o)
    }
    /// self = o.
    #[track_caller]
    pub fn equal(&self, o: &Var) -> Var {
        self.compare("eq", o)
    }
    /// self ≠ o.
    #[track_caller]
    pub fn not_equal(&self, o: &Var) -> Var {
        self.compare("ne", o)
    }
    /// Both hold.
    #[track_caller]
    pub fn and(&self, o: &Var) -> Var {
        self.op2(Op::And, Attrs::new(), o)
    }
    /// At least one holds.
    #[track_caller]
    pub fn or(&self, o: &Var) -> Var {
        self.op2(Op::Or, Attrs::new(), o)
    }
    /// Does not hold.
    #[track_caller]
    pub fn not(&self) -> Var {
        self.op1(Op::Not)
    }
    /// `a` where this holds, else `b`; both are computed.
    #[track_caller]
    pub fn select(&self, a: &Var, b: &Var) -> Var {
        let deepest = [self, a, b].into_iter().max_by_key(|v| v.cx.depth()).map_or(&self.cx, |v| &v.cx);
        deepest.push1(Op::Select, Attrs::new(), &[self, a, b])
    }
    /// With another element type; to an integer it truncates toward zero.
    #[track_caller]
    pub fn convert(&self, dtype: DType) -> Var {
        self.cx.push1(Op::Convert, attrs! { dtype: DType(dtype) }, &[self])
    }
    /// The same value, through which no derivative flows.
    #[track_caller]
    pub fn stop_gradient(&self) -> Var {
        self.op1(Op::StopGradient)
    }
    /// The value of `self` with every derivative of `stand_in` (a straight-through estimator when the stand-in is the
    /// unquantised value).
    #[track_caller]
    pub fn surrogate(&self, stand_in: &Var) -> Var {
        self.op2(Op::Surrogate, Attrs::new(), stand_in)
    }
    /// The value of `self`; reverse mode gives `to` the cotangent that the gradient transformation `rule` makes of this
    /// value's. Not a derivative: forward mode and second derivatives are refused. Without parameters every derivative
    /// is refused. The rules are `furnace::transformations`'.
    #[track_caller]
    pub fn transformed(&self, to: &Var, rule: &str, parameters: Option<&[f64]>) -> Var {
        let mut attrs = attrs! { rule: Str(rule.to_string()) };
        if let Some(parameters) = parameters {
            attrs = attrs.with("parameters", attrs::Attr::Floats(std::sync::Arc::new(parameters.to_vec())));
        }
        self.op2(Op::Surrogate, attrs, to)
    }

    /// The same elements in row-major order with other sizes.
    #[track_caller]
    pub fn reshape(&self, dims: &[Dim]) -> Var {
        self.cx.push1(Op::Reshape, attrs! { dims: Dims(dims.to_vec()) }, &[self])
    }
    /// Result axis i is this value's axis `perm[i]`.
    #[track_caller]
    pub fn transpose(&self, perm: &[usize]) -> Var {
        self.cx.push1(Op::Transpose, attrs! { perm: Ints(perm.iter().map(|p| *p as i64).collect()) }, &[self])
    }
    /// Repeated to `dims`: axis i of this value becomes axis `map[i]`.
    #[track_caller]
    pub fn broadcast(&self, dims: &[Dim], map: &[usize]) -> Var {
        let map = map.iter().map(|p| *p as i64).collect();
        self.cx.push1(Op::Broadcast, attrs! { dims: Dims(dims.to_vec()), map: Ints(map) }, &[self])
    }
    /// Repeated along new leading axes to the shape of `like`.
    #[track_caller]
    pub fn broadcast_like(&self, like: &Var) -> Var {
        let (mine, theirs) = (self.ty().rank(), like.shape());
        let skip = theirs.len().saturating_sub(mine);
        self.broadcast(&theirs, &(skip..skip + mine).collect::<Vec<_>>())
    }
    /// Repeated along a new last axis of size `n`.
    #[track_caller]
    pub fn broadcast_last(&self, n: &Dim) -> Var {
        let mut dims = self.shape();
        let map: Vec<usize> = (0..dims.len()).collect();
        dims.push(n.clone());
        self.broadcast(&dims, &map)
    }
    /// Elements `start..limit` of every axis.
    #[track_caller]
    pub fn slice(&self, start: &[Dim], limit: &[Dim]) -> Var {
        let attrs = attrs! { start: Dims(start.to_vec()), limit: Dims(limit.to_vec()) };
        self.cx.push1(Op::Slice, attrs, &[self])
    }
    /// Elements `start..limit` of one axis, all of the others.
    #[track_caller]
    pub fn slice_axis(&self, axis: usize, start: impl Into<Dim>, limit: impl Into<Dim>) -> Var {
        let shape = self.shape();
        let mut from = vec![Dim::from(0); shape.len()];
        let mut to = shape;
        if axis < to.len() {
            (from[axis], to[axis]) = (start.into(), limit.into());
        }
        self.slice(&from, &to)
    }
    /// With `low` elements of `value` before and `high` after, per axis.
    #[track_caller]
    pub fn pad(&self, low: &[Dim], high: &[Dim], value: f64) -> Var {
        let attrs = attrs! { low: Dims(low.to_vec()), high: Dims(high.to_vec()), value: Float(value) };
        self.cx.push1(Op::Pad, attrs, &[self])
    }
    /// Joined along an axis.
    #[track_caller]
    pub fn concatenate(parts: &[&Var], axis: usize) -> Var {
        let cx = parts.iter().max_by_key(|v| v.cx.depth()).expect("at least one part").cx.clone();
        cx.push1(Op::Concatenate, attrs! { axis: Int(axis as i64) }, parts)
    }
    /// The order of elements along an axis turned round.
    #[track_caller]
    pub fn reverse(&self, axis: usize) -> Var {
        self.cx.push1(Op::Reverse, attrs! { axis: Int(axis as i64) }, &[self])
    }
    /// Rows of this table [V, …] at integer indices [I…]: [I…, …].
    #[track_caller]
    pub fn gather(&self, indices: &Var) -> Var {
        self.op2_raw(Op::Gather, Attrs::new(), indices)
    }
    /// A zero table of `rows` rows to which row i of `updates` is added at `self[i]`.
    #[track_caller]
    pub fn scatter_add(&self, updates: &Var, rows: &Dim) -> Var {
        self.op2_raw(Op::ScatterAdd, attrs! { rows: Dims(vec![rows.clone()]) }, updates)
    }
    #[track_caller]
    fn op2_raw(&self, op: Op, attrs: Attrs, other: &Var) -> Var {
        let cx = if other.cx.depth() > self.cx.depth() { &other.cx } else { &self.cx };
        cx.push1(op, attrs, &[self, other])
    }
    /// Sum of products over paired axes. Result axes: batch, then this value's other axes, then `o`'s.
    #[track_caller]
    pub fn dot_general(&self, o: &Var, contract: (&[usize], &[usize]), batch: (&[usize], &[usize])) -> Var {
        let ints = |v: &[usize]| v.iter().map(|i| *i as i64).collect::<Vec<_>>();
        let attrs = attrs! { lhs_contract: Ints(ints(contract.0)), rhs_contract: Ints(ints(contract.1)),
        lhs_batch: Ints(ints(batch.0)), rhs_batch: Ints(ints(batch.1)) };
        self.op2_raw(Op::DotGeneral, attrs, o)
    }
    /// x (…, in) times w (out, in): the last axes contracted, giving (…, out).
    #[track_caller]
    pub fn linear(&self, w: &Var) -> Var {
        self.dot_general(w, (&[self.ty().rank().saturating_sub(1)], &[1]), (&[], &[]))
    }
    /// (n, k) times (k, m).
    #[track_caller]
    pub fn matmul(&self, o: &Var) -> Var {
        self.dot_general(o, (&[self.ty().rank().saturating_sub(1)], &[0]), (&[], &[]))
    }
    #[track_caller]
    fn reduce(&self, op: Op, axes: &[usize]) -> Var {
        self.cx.push1(op, attrs! { axes: Ints(axes.iter().map(|a| *a as i64).collect()) }, &[self])
    }
    /// Sum over axes, which disappear.
    #[track_caller]
    pub fn sum(&self, axes: &[usize]) -> Var {
        if axes.is_empty() { self.clone() } else { self.reduce(Op::ReduceSum, axes) }
    }
    /// Sum of all elements.
    #[track_caller]
    pub fn sum_all(&self) -> Var {
        self.sum(&(0..self.ty().rank()).collect::<Vec<_>>())
    }
    /// Mean of all elements.
    #[track_caller]
    pub fn mean_all(&self) -> Var {
        let n: Dim = self.shape().iter().fold(Dim::from(1), |a, d| &a * d);
        let count = self.cx.size_of(&n, self.dtype());
        self.sum_all() / count
    }
    /// Maximum over axes, which disappear.
    #[track_caller]
    pub fn max_over(&self, axes: &[usize]) -> Var {
        self.reduce(Op::ReduceMax, axes)
    }
    /// Minimum over axes, which disappear.
    #[track_caller]
    pub fn min_over(&self, axes: &[usize]) -> Var {
        self.reduce(Op::ReduceMin, axes)
    }
    /// Position of the (first) maximum along an axis, i64.
    #[track_caller]
    pub fn argmax(&self, axis: usize) -> Var {
        self.cx.push1(Op::ArgMax, attrs! { axis: Int(axis as i64) }, &[self])
    }
    /// Softmax along the last axis.
    #[track_caller]
    pub fn softmax_last(&self) -> Var {
        let last = self.ty().rank().saturating_sub(1);
        let n = self.shape().last().cloned().unwrap_or(Dim::from(1));
        let peak = self.max_over(&[last]).stop_gradient().broadcast_last(&n);
        let e = (self - &peak).exp();
        let total = e.sum(&[last]).broadcast_last(&n);
        e / total
    }
}

impl Cx {
    /// A size as a rank-0 number; symbolic sizes stay symbolic until they are bound.
    #[track_caller]
    pub fn size_of(&self, d: &Dim, dtype: DType) -> Var {
        match d.fixed() {
            Some(n) => self.full(&Type::scalar(dtype), n as f64),
            // The sum of that many ones: there is no other way for a number to come from a size.
            None => self.full(&Type { dtype, shape: vec![d.clone()] }, 1.0).sum(&[0]),
        }
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $op:expr) => {
        impl $trait<&Var> for &Var {
            type Output = Var;
            #[track_caller]
            fn $method(self, o: &Var) -> Var {
                self.op2($op, Attrs::new(), o)
            }
        }
        impl $trait<Var> for Var {
            type Output = Var;
            #[track_caller]
            fn $method(self, o: Var) -> Var {
                self.op2($op, Attrs::new(), &o)
            }
        }
        impl $trait<&Var> for Var {
            type Output = Var;
            #[track_caller]
            fn $method(self, o: &Var) -> Var {
                self.op2($op, Attrs::new(), o)
            }
        }
        impl $trait<Var> for &Var {
            type Output = Var;
            #[track_caller]
            fn $method(self, o: Var) -> Var {
                self.op2($op, Attrs::new(), &o)
            }
        }
        impl $trait<f64> for &Var {
            type Output = Var;
            #[track_caller]
            fn $method(self, o: f64) -> Var {
                self.op2($op, Attrs::new(), &self.full_like(o))
            }
        }
        impl $trait<f64> for Var {
            type Output = Var;
            #[track_caller]
            fn $method(self, o: f64) -> Var {
                self.op2($op, Attrs::new(), &self.full_like(o))
            }
        }
        impl $trait<&Var> for f64 {
            type Output = Var;
            #[track_caller]
            fn $method(self, o: &Var) -> Var {
                o.full_like(self).op2($op, Attrs::new(), o)
            }
        }
        impl $trait<Var> for f64 {
            type Output = Var;
            #[track_caller]
            fn $method(self, o: Var) -> Var {
                o.full_like(self).op2($op, Attrs::new(), &o)
            }
        }
    };
}
operator!(Add, add, Op::Add);
operator!(Sub, sub, Op::Subtract);
operator!(Mul, mul, Op::Multiply);
operator!(Div, div, Op::Divide);

impl Neg for &Var {
    type Output = Var;
    #[track_caller]
    fn neg(self) -> Var {
        self.op1(Op::Negate)
    }
}
impl Neg for Var {
    type Output = Var;
    #[track_caller]
    fn neg(self) -> Var {
        self.op1(Op::Negate)
    }
}

impl std::fmt::Debug for Var {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "%{}.{}: {}", self.value.node, self.value.out, self.ty())?;
        if let Ok(a) = self.array() {
            write!(f, " = {:?}", a.to_f64())?;
        }
        Ok(())
    }
}
