//! The typed emission API: what it prints, what MLIR's verifier says of it, and which mistakes `finish` returns.

mod every_op;
mod mistakes;
mod printing;
#[path = "../common/tools.rs"]
#[allow(dead_code)]
mod tools;
