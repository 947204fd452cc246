//! Graphs as modules of the dialect over tensors, and modules as graphs.
//!
//! [`Module::from_graph`](super::Module::from_graph) loses nothing: [`Module::to_graph`](super::Module::to_graph) gives the same
//! nodes in the same order. What a tensor's type cannot say stands in attributes of the functions: `fidelity.name` (where a
//! name is no word), `fidelity.sizes` (which symbols the open sizes of an argument are), `fidelity.element` (trits and unsigned
//! bytes, which are `i8` as tensors), `fidelity.node` (the place of an input among the nodes, where it is not in front),
//! `fidelity.tap` (a result that is a named inner value), `fidelity.scope`. Types of other values are inferred again.
//!
//! * [`NAMED`]: operations of the dialect that are one op of a graph; both directions read this one table.
//! * Other ops are calls of declared functions, one for each op and list of types (`@graph.slice_3`): an operation with any
//!   number of operands of different types cannot be written in IRDL. Bodies of loops and branches are private functions.
//! * `meaning`: what the dialect's operations are in a graph where they are more than one op: forms over the dialect's own
//!   types, with units and axes, and operations that graphs have no word for.

mod attrs;
mod meaning;
mod read;
mod types;
mod write;

use axes::DType;
use graph::{Attr, Attrs, Op, Type};

/// An operation of the dialect that is one op of a graph.
pub(super) struct Named {
    /// The name, with underscores.
    pub(super) name: &'static str,
    /// The graph's op.
    pub(super) op: Op,
    /// Which operand of the operation each operand of the node is; empty: the same order.
    pub(super) order: &'static [usize],
    /// Whether the node's attributes follow from its operands, so that the operation has none.
    pub(super) plain: bool,
}

const fn same(name: &'static str, op: Op) -> Named {
    Named { name, op, order: &[], plain: false }
}

const fn plain(name: &'static str, op: Op) -> Named {
    Named { name, op, order: &[], plain: true }
}

const fn turned(name: &'static str, op: Op, order: &'static [usize]) -> Named {
    Named { name, op, order, plain: false }
}

/// The operations that are one op.
pub(super) const NAMED: &[Named] = &[
    same("sigmoid", Op::Sigmoid),
    same("tanh", Op::Tanh),
    same("silu", Op::Silu),
    same("exp", Op::Exp),
    same("log", Op::Log),
    same("softplus", Op::Softplus),
    same("negate", Op::Negate),
    same("relu", Op::Relu),
    same("add", Op::Add),
    same("subtract", Op::Subtract),
    same("multiply", Op::Multiply),
    same("divide", Op::Divide),
    same("maximum", Op::Maximum),
    same("minimum", Op::Minimum),
    same("convert", Op::Convert),
    same("rms_norm", Op::RmsNorm),
    same("quantize_activations", Op::QuantizeActivations),
    same("ternary_product", Op::TernaryLinear),
    same("block_linear", Op::BlockLinear),
    same("block_embedding", Op::BlockRows),
    plain("linear", Op::DotGeneral),
    turned("linear_scan", Op::LinearScan, &[1, 2, 0]),
    turned("selective_scan", Op::SelectiveScan, &[1, 2, 3, 4, 5, 0]),
    turned("embedding", Op::Gather, &[1, 0]),
    same("rotate", Op::Rope),
    same("cached_attention", Op::KvAttention),
    same("cross_entropy", Op::CrossEntropy),
    plain("sum", Op::ReduceSum),
    plain("argmax", Op::ArgMax),
];

/// The attributes that follow from operands and result, where the node has no others.
pub(super) fn usual(op: Op, operands: &[Type], result: Option<DType>) -> Attrs {
    let rank = operands.first().map_or(0, Type::rank) as i64;
    match op {
        Op::DotGeneral => graph::attrs! {
            lhs_contract: Ints(vec![rank - 1]),
            rhs_contract: Ints(vec![1]),
            lhs_batch: Ints(vec![]),
            rhs_batch: Ints(vec![]),
        },
        Op::ReduceSum => graph::attrs! { axes: Ints(vec![rank - 1]) },
        Op::ArgMax => graph::attrs! { axis: Int(rank - 1) },
        Op::QuantizeActivations => graph::attrs! { rounding: Str("half_even".to_owned()) },
        Op::Convert => result.map_or_else(Attrs::new, |dtype| Attrs::new().with("dtype", Attr::DType(dtype))),
        _ => Attrs::new(),
    }
}

/// The word of an element type. Trits are a byte each here: how they are packed is the plan's affair.
pub(super) fn word(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "i1",
        DType::U8 | DType::Trit => "i8",
        other => other.name(),
    }
}

/// The word of an element type where each must have its own.
pub(super) fn own_word(dtype: DType) -> &'static str {
    match dtype {
        DType::U8 => "ui8",
        DType::Trit => "i2",
        other => word(other),
    }
}

/// The element type of a word.
pub(super) fn dtype(word: &str) -> Option<DType> {
    DType::ALL.into_iter().find(|d| own_word(*d) == word)
}
