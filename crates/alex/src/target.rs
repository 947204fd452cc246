//! What compiled code on the CPU has fused forms of.

use graph::Op;

/// The target that plans are made for before [`crate::lower::plan`] compiles them. All other composites are decomposed.
pub fn target() -> premap::Target {
    premap::Target {
        name: "compiled",
        fused: vec![Op::RmsNorm, Op::QuantizeActivations, Op::QuantizeWeights, Op::TernaryLinear],
        align: 64,
        patterns: vec![],
        packs: false,
        gated_from: usize::MAX,
    }
}
