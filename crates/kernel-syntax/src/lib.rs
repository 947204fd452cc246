//! The subset of Rust that kernels are written in: its syntax tree, and the parser that makes it of Rust's own.
