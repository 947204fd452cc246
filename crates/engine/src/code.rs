//! The seam to a compiler: a plan whose steps are one compiled function.
//!
//! The engine knows no compiler. It takes the address of a function that works on a plan's own memory, and keeps what it
//! keeps of every plan: the arena, the constants, the binding of inputs and outputs and its checks, the split into an
//! early part and the rest.
#![allow(unsafe_code)]

use graph::Graph;
use premap::{Plan, Target};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A compiler that the engine is given ([`crate::pool::Pool::with_compiler`]).
pub trait Compile: Send + Sync {
    /// What it has fused forms of.
    fn target(&self) -> Target;
    /// The graph as the compiler has understood it, of which the plan is then made; `None`: as it is given.
    ///
    /// # Errors
    /// What is wrong, with the remedy.
    fn read(&self, _graph: &Graph) -> Result<Option<Graph>, String> {
        Ok(None)
    }
    /// Code for a plan that was made for that target.
    ///
    /// # Errors
    /// What is wrong, with the remedy.
    fn compile(&self, plan: &Plan) -> Result<Code, String>;
}

/// A compiled function: `(arena, bindings) -> status`. The arena starts on a multiple of [`crate::arena::ALIGN`]; `bindings`
/// are the addresses that [`premap::Plan::bindings`] lists. The status is 0, or the number of the step that refused its
/// operands plus one.
pub type Entry = unsafe extern "C" fn(*mut u8, *const *mut u8) -> i32;

/// Functions that run a plan.
#[derive(Clone)]
pub struct Code {
    pub(crate) all: Entry,
    pub(crate) parts: Option<(Entry, Entry)>,
    pub(crate) arena: usize,
    pub(crate) calls: Arc<AtomicU64>,
    /// What the functions live in.
    _keep: Arc<dyn Any + Send + Sync>,
}

impl Code {
    /// Code for a plan: a function for the whole of it and, for a plan with an early part, one for that part and one for
    /// the rest. `arena` is the number of bytes that they use of the arena (the plan's own, and what they need besides);
    /// `keep` is dropped when no copy of this value is left.
    ///
    /// # Safety
    /// For the plan that the value is used with ([`crate::Executable::with_code`]) the functions must be sound to call from
    /// any thread, one call at a time for each arena, given an arena of at least `arena` bytes and bindings that point to
    /// memory of the types (and the layouts) of the plan's inputs, outputs and constants: they touch no other memory, write
    /// neither constants nor inputs that no output takes the place of, and do not unwind. They must stay callable as long
    /// as `keep` lives.
    pub unsafe fn new(
        all: Entry,
        parts: Option<(Entry, Entry)>,
        arena: usize,
        keep: Arc<dyn Any + Send + Sync>,
    ) -> Code {
        Code { all, parts, arena, calls: Arc::default(), _keep: keep }
    }

    /// How often the functions have been called, by all that share this value.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Code({} bytes of arena)", self.arena)
    }
}
