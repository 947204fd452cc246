//! From the graph, and from Rust's syntax tree, to MLIR and to native code.
//!
//! Text is handed to MLIR's own tools, which are found at run time; nothing here is needed to build the workspace.

pub mod ir;

pub mod dialect;
