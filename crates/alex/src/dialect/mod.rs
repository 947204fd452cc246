//! The `fidelity` dialect: the operations of ternary and recurrent models, with sizes, axes and units in their types.
//!
//! * [`table`]: one row per type and operation; IRDL text, check and reference all come from it.
//! * [`irdl`]: the dialect as MLIR reads it, for `mlir-opt-22 --irdl-file`.
//! * [`Module::from_graph`] and [`Module::to_graph`]: graphs as modules over tensors, and back; [`Module::lower`]: modules as loops over memory.
//! * [`Module`]: modules in memory; they print as MLIR's generic form, and [`Module::parse`] reads it.
//! * [`typed`]: modules built from Rust types, whose axes and units rustc checks.
//! * [`verify`] and [`Module::check`]: MLIR's verdict, with messages that say what to do.
//!
//! ```
//! use alex::dialect::{Module, verify};
//! let text = r#"
//! func.func @f(%x: !fidelity.vector<[], 256 : index, f32, "In", "m/s">,
//!              %w: !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">)
//!     -> !fidelity.vector<[], 64 : index, f32, "Out", "m/s"> {
//!   %y = "fidelity.ternary_linear"(%x, %w)
//!     : (!fidelity.vector<[], 256 : index, f32, "In", "m/s">,
//!        !fidelity.ternary<64 : index, 256 : index, "Out", "In", "compute", "m/s", "m">)
//!     -> !fidelity.vector<[], 64 : index, f32, "Out", "m/s">
//!   return %y : !fidelity.vector<[], 64 : index, f32, "Out", "m/s">
//! }"#;
//! let error = verify(text).unwrap_err().to_string();
//! assert!(error.contains("result `y` has unit \"m/s\", expected \"m\" as the unit `to` of `weights`"), "{error}");
//! ```
//!
//! # What the dialect can and cannot say in MLIR
//! MLIR's verifier unifies parameters of our types, so sizes, axes, element types and units are checked there. Sizes inside
//! builtin tensors it cannot see, so those are our check's alone. Units are names: a product is declared with
//! `#fidelity.product<"m/s", "s", "m">` and weights say from which unit to which they turn, as in the crate `axes`; whether
//! `m/s · s` is `m` is [`Module::remarks`]'s affair, not the verdict's. Names of operations are spoken with dots
//! (`ssm.state_update`) and written with underscores (`fidelity.ssm_state_update`), because IRDL allows no dots; the parser
//! takes both.
//!
//! # The snippets of the article
//! They are accepted over builtin tensors with dynamic sizes, after these corrections of what no verifier can take:
//! `constant 0 : index` is `"arith.constant"() {value = 0 : index} : () -> index`; `ternary_accumulate` on tensors, which are
//! values, gives its sum as a result instead of writing it; a name is defined once (`%forget` is not both the product and
//! its sigmoid); names of operations have no dots. `tests/dialect/article.mlir` holds them.

mod attr;
mod check;
mod dense;
mod explain;
mod graph;
pub mod irdl;
mod lex;
mod lower;
mod module;
mod parse;
mod reference;
mod remarks;
pub mod signature;
pub mod table;
pub mod typed;

pub use attr::{Attr, Type};
pub use check::{DialectError, Problem, verify};
pub use dense::Dense;
pub use lower::LowerError;
pub use module::{Func, Known, Module, Op, Place, Value};
pub use parse::ParseError;
pub use reference::reference;
pub use remarks::Remark;
