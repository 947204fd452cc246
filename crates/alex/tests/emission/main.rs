//! The typed emission API: what it prints, what MLIR's verifier says of it, and which mistakes `finish` returns.

mod every_op;
mod mistakes;
mod printing;
mod tools;
