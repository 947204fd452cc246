//! From the graph, and from Rust's syntax tree, to MLIR and to native code.
//!
//! Text is handed to MLIR's own tools, which are found at run time; nothing here is needed to build the workspace.
//!
//! ```text
//!  Plan ── lower ── module text ── compile (mlir-opt | mlir-translate | opt | llc | cc) ── cache ── loader ── a function
//! ```

pub mod cache;
pub mod compile;
pub mod cpu;
mod deal;
pub mod dialect;
mod error;
pub mod extended;
pub mod ir;
pub mod kernels;
pub mod loader;
pub mod lower;
pub mod package;
mod target;
pub mod toolchain;

pub use compile::{Compiler, Options, Stage};
pub use error::{AlexError, Result};
pub use loader::{Dealt, Entry, Library};
pub use package::Package;
pub use target::{plain_target, target};
