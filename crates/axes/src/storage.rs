//! The seam between the typed layer and what carries the numbers.
//!
//! [`Tensor`](crate::Tensor) puts axes, element type and unit on top of any [`Storage`]. A storage that implements
//! [`Algebra`] gets every typed operator and method; the positions and sizes below are untyped because the types
//! above have already decided them. [`Buffer`](crate::Buffer) calculates at once; the traced handle of the `graph`
//! crate records the operation instead.

use crate::dims::Dims;

/// What carries a tensor's elements, or stands for them.
pub trait Storage: Clone {
    /// The sizes, where they are known at once; the typed layer then reports a mismatch by the axis' name.
    ///
    /// A storage that records its errors itself (a tracer) keeps the default `None`, and is not checked here.
    #[inline]
    fn known_dims(&self) -> Option<Dims> {
        None
    }
}

/// Elementwise functions of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    /// −x.
    Neg,
    /// eˣ.
    Exp,
    /// Natural logarithm.
    Log,
    /// √x.
    Sqrt,
    /// 1/√x.
    Rsqrt,
    /// Hyperbolic tangent.
    Tanh,
    /// 1/(1 + e⁻ˣ).
    Sigmoid,
    /// x · sigmoid(x).
    Silu,
    /// max(x, 0); NaN stays NaN.
    Relu,
    /// |x|.
    Abs,
    /// −1, 0 or +1; 0 at 0, NaN stays NaN.
    Sign,
    /// x².
    Square,
    /// 1/x.
    Reciprocal,
}

/// Elementwise functions of two operands of one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// a + b.
    Add,
    /// a − b.
    Sub,
    /// a · b.
    Mul,
    /// a / b.
    Div,
    /// The greater; NaN if either is NaN.
    Max,
    /// The lesser; NaN if either is NaN.
    Min,
}

/// Reductions along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduce {
    /// The sum; 0 for an empty axis.
    Sum,
    /// The greatest; −∞ for an empty axis, NaN if any is NaN.
    Max,
    /// The least; +∞ for an empty axis, NaN if any is NaN.
    Min,
    /// The arithmetic mean; NaN for an empty axis.
    Mean,
}

impl Unary {
    /// The name in errors: `exp`, `tanh`, …
    pub const fn name(self) -> &'static str {
        match self {
            Unary::Neg => "neg",
            Unary::Exp => "exp",
            Unary::Log => "log",
            Unary::Sqrt => "sqrt",
            Unary::Rsqrt => "rsqrt",
            Unary::Tanh => "tanh",
            Unary::Sigmoid => "sigmoid",
            Unary::Silu => "silu",
            Unary::Relu => "relu",
            Unary::Abs => "abs",
            Unary::Sign => "sign",
            Unary::Square => "square",
            Unary::Reciprocal => "reciprocal",
        }
    }
}

impl Binary {
    /// The name in errors: `add`, `sub`, …
    pub const fn name(self) -> &'static str {
        match self {
            Binary::Add => "add",
            Binary::Sub => "sub",
            Binary::Mul => "mul",
            Binary::Div => "div",
            Binary::Max => "maximum",
            Binary::Min => "minimum",
        }
    }
}

impl Reduce {
    /// The name in errors: `sum`, `max`, …
    pub const fn name(self) -> &'static str {
        match self {
            Reduce::Sum => "sum",
            Reduce::Max => "max",
            Reduce::Min => "min",
            Reduce::Mean => "mean",
        }
    }
}

/// A storage with arithmetic: what one model, written once, needs from an eager buffer and from a traced handle.
///
/// Axes are positions, slowest-varying first. Operands that do not fit are a panic in an eager storage and a
/// recorded error in a traced one.
pub trait Algebra: Storage {
    /// Applies `op` to each element.
    #[track_caller]
    fn unary(&self, op: Unary) -> Self;

    /// Applies `op` to each pair of elements; the shapes are equal.
    #[track_caller]
    fn binary(&self, op: Binary, other: &Self) -> Self;

    /// `x * scale + offset` for each element, with both numbers rounded to the element type first.
    #[track_caller]
    fn affine(&self, scale: f64, offset: f64) -> Self;

    /// Sums the products along `axis` of `self` and `other_axis` of `other`.
    ///
    /// Result axes: self's remaining axes in order, then other's remaining axes in order.
    #[track_caller]
    fn contract(&self, axis: usize, other: &Self, other_axis: usize) -> Self;

    /// Reduces along `axis`, which is removed.
    #[track_caller]
    fn reduce(&self, axis: usize, op: Reduce) -> Self;

    /// Reorders the axes: axis `i` of the result is axis `perm[i]` of `self`.
    #[track_caller]
    fn permute(&self, perm: &[usize]) -> Self;

    /// Repeats `self` along new axes so that it gets the shape of `like`: axis `i` of `self` becomes axis `map[i]`
    /// of `like`.
    #[track_caller]
    fn broadcast(&self, like: &Self, map: &[usize]) -> Self;
}
