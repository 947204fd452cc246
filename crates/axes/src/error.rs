//! The one error type of this crate: which operation, which axis, what was expected and what was found.

use thiserror::Error;

/// What can go wrong with sizes and values that the types do not fix.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum AxesError {
    /// Two operands disagree about the size of one axis.
    #[error("{op}: axis `{axis}`: expected size {expected} (left operand), found {found} (right operand)")]
    SizeMismatch {
        /// The operation.
        op: &'static str,
        /// The axis; `#1` where the operand is untyped and only the position is known.
        axis: String,
        /// The size in the left operand.
        expected: usize,
        /// The size in the right operand.
        found: usize,
    },
    /// The given size of an axis is not the one its type declares.
    #[error("{op}: axis `{axis}` is declared with size {expected}, found {found}")]
    DeclaredSize {
        /// The operation.
        op: &'static str,
        /// The axis.
        axis: &'static str,
        /// The size in the axis' declaration.
        expected: usize,
        /// The size that was given.
        found: usize,
    },
    /// The number of elements is not the product of the sizes.
    #[error("{op}: axes {axes} hold {expected} elements, found {found}")]
    Length {
        /// The operation.
        op: &'static str,
        /// The axes with their sizes.
        axes: String,
        /// The product of the sizes.
        expected: usize,
        /// The number of elements that was given.
        found: usize,
    },
    /// The product of the sizes does not fit in `usize`.
    #[error("{op}: the number of elements of axes {axes} overflows")]
    TooLarge {
        /// The operation.
        op: &'static str,
        /// The axes with their sizes.
        axes: String,
    },
    /// The number of axes differs from the expected one.
    #[error("{op}: expected {expected} axes, found {found}")]
    Rank {
        /// The operation.
        op: &'static str,
        /// The expected number of axes.
        expected: usize,
        /// The number that was found.
        found: usize,
    },
    /// More axes than a buffer holds ([`MAX_RANK`](crate::MAX_RANK)).
    #[error("{op}: a buffer has at most {limit} axes, found {found}")]
    RankLimit {
        /// The operation.
        op: &'static str,
        /// The limit.
        limit: usize,
        /// The number that was asked for.
        found: usize,
    },
    /// An untyped operation names an axis that is not there.
    #[error("{op}: axis #{axis} does not exist: the operand has {rank} axes")]
    NoSuchAxis {
        /// The operation.
        op: &'static str,
        /// The position that was asked for.
        axis: usize,
        /// The number of axes.
        rank: usize,
    },
    /// A list of positions is not what the operation needs (a permutation, or distinct axes of `like`).
    #[error("{op}: expected {expected}, found {found:?}")]
    Positions {
        /// The operation.
        op: &'static str,
        /// What the list has to be.
        expected: &'static str,
        /// The list.
        found: Vec<usize>,
    },
    /// A position along an axis that is out of range.
    #[error("{op}: position {found} on axis `{axis}`: expected less than {size}")]
    OutOfRange {
        /// The operation.
        op: &'static str,
        /// The axis.
        axis: &'static str,
        /// The axis' size.
        size: usize,
        /// The position.
        found: usize,
    },
    /// A ternary weight other than −1, 0 and +1.
    #[error("ternary matrix: trit {index}: expected -1, 0 or 1, found {found}")]
    IllegalTrit {
        /// The position in the out-major order.
        index: usize,
        /// The value.
        found: i8,
    },
    /// A scale that is not a positive, finite number.
    #[error("ternary matrix: expected a positive finite scale, found {found}")]
    IllegalScale {
        /// The scale.
        found: f32,
    },
    /// A weight that is infinite or not a number cannot be quantised.
    #[error("{op}: weight {index}: expected a finite number, found {found}")]
    NotFinite {
        /// The operation.
        op: &'static str,
        /// The position in the out-major order.
        index: usize,
        /// The weight.
        found: f32,
    },
    /// A name that is no element type.
    #[error("expected a dtype (f64, f32, bf16, f16, i64, i32, i8, u8, bool, trit), found `{found}`")]
    UnknownDType {
        /// The name.
        found: String,
    },
    /// A name that no layout of trits has.
    #[error("unknown layout of trits `{found}`; the layouts are bytes, compute, interchange and storage")]
    UnknownLayout {
        /// The name.
        found: String,
    },
    /// A name that no block format has.
    #[error(
        "unknown block format `{found}`; the formats are f16, bf16, q8_0, q4_0, q4_k, q6_k, q1_0, q2_0, tq1_0 and tq2_0"
    )]
    UnknownFormat {
        /// The name.
        found: String,
    },
}

/// Panics with the text of `error` at the caller's line: the operator form of a `try_` form.
#[cold]
#[track_caller]
pub(crate) fn fail(error: AxesError) -> ! {
    panic!("{error}")
}

/// Turns a `try_` form into its panicking form.
#[track_caller]
#[inline]
pub(crate) fn expect<T>(result: Result<T, AxesError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => fail(error),
    }
}
