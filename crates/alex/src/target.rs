//! What compiled code on the CPU has fused forms of.

use graph::Op;
use premap::Pattern;

/// The target that plans are made for before [`crate::lower::plan`] compiles them. All other composites are decomposed.
pub fn target() -> premap::Target {
    premap::Target {
        name: "compiled",
        fused: vec![
            Op::RmsNorm,
            Op::RmsNormGrad,
            Op::QuantizeActivations,
            Op::QuantizeWeights,
            Op::TernaryLinear,
            Op::LinearScan,
            Op::LinearScanGrad,
            Op::SelectiveScan,
            Op::SelectiveScanGrad,
            Op::CrossEntropy,
            Op::CrossEntropyGrad,
        ],
        align: 64,
        patterns: vec![
            Pattern::RmsNormFakeQuantize,
            Pattern::RmsNormQuantize,
            Pattern::FakeQuantizeWeights,
            Pattern::SumOfProducts,
            Pattern::DequantizedProduct,
            Pattern::TernaryProducts,
            Pattern::TernaryGated,
            Pattern::TernaryAdd,
        ],
        packs: true,
        gated_from: 1,
    }
}

/// The same for plans in a wider arithmetic, where there are no chains, nor scans with their own gradients: those kernels are
/// written for f32.
pub fn plain_target() -> premap::Target {
    let mut target = premap::Target { patterns: vec![], packs: false, ..target() };
    target.fused.retain(|op| !matches!(op, Op::SelectiveScan | Op::SelectiveScanGrad));
    target
}
