//! Functions of [`Var`] that are compositions of ops of the table: no rows of their own, so their derivatives,
//! batching and Taylor rules are those of the ops they are made of.
//!
//! One file per family. What needs sizes that are numbers says so and records an error like any op.

mod arrange;
mod index;
mod linalg;
mod loss;
mod pointwise;
mod pool;
mod reductions;

use crate::error::GraphError;
use crate::var::Var;

impl Var {
    /// Records that a function was given what it does not take.
    #[track_caller]
    pub(crate) fn refuse(&self, op: &'static str, problem: String) -> Var {
        self.cx.fail(GraphError::Operands { op, problem, places: vec![] });
        self.cx.poison()
    }
}
