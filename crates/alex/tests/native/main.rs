//! The kernels for processors against plain loops and against the engine's kernels, on sizes with every kind of tail.
//!
//! They need MLIR's and LLVM's tools; without them the tests say so and pass.

mod accumulators;
mod block;
mod cross;
mod dealt;
mod dense;
mod math;
mod norm;
mod reference;
mod scan;
mod support;
mod ternary;
mod training;
