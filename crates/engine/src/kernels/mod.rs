//! CPU kernels: plain functions on slices, each with its shapes in the documentation.
//!
//! What holds for all of them:
//! - **No allocation**: scratch memory is passed in.
//! - **No dependence on threads**: work is cut into chunks whose size depends on the shape only, a reduction is
//!   finished inside a chunk and chunk results are combined in a fixed order.
//! - **Forms chosen at run time** ([`simd`]): AVX2 + FMA, and a portable one (baseline x86-64, aarch64); packed
//!   trits also AVX-512 and NEON. All give the same bits, but for the products of the `gemm` crate.
//! - **Wrong sizes panic**, like slice indexing: the plan checks shapes once, at the edge.

// `multiversion!` instantiates every body for an `Isa`; those without a fused multiply-add do not name it.
#![allow(clippy::extra_unused_type_parameters)]

pub mod attention;
pub mod blocks;
pub mod elementwise;
pub mod fourier;
pub mod gemm;
pub mod math;
pub mod packed;
pub mod rows;
pub mod scan;
pub mod simd;
pub mod state_matrix;
pub mod sums;
pub mod ternary;
