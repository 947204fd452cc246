//! The `fidelity` dialect: what is shipped, text files, the verdict beside MLIR's.

mod files;
mod from_graph;
mod lowered;
mod mutations;
mod numbers;
mod round_trip;
mod shipped;
mod to_graph;
mod typed;

#[path = "../common/tools.rs"]
#[allow(dead_code)]
mod tools;
