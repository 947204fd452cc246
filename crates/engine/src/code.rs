//! The seam to a compiler: a plan whose steps are one compiled function.
//!
//! The engine knows no compiler. It takes the address of a function that works on a plan's own memory, and keeps what it
//! keeps of every plan: the arena, the constants, the binding of inputs and outputs and its checks, the split into an
//! early part and the rest.
#![allow(unsafe_code)]

use crate::pool::Pool;
use graph::Graph;
use premap::{Plan, Target};
use std::any::Any;
use std::ffi::c_void;
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
    /// Code for a plan that was made for that target, and will run on so many threads.
    ///
    /// # Errors
    /// What is wrong, with the remedy.
    fn compile(&self, plan: &Plan, threads: usize) -> Result<Code, String>;
}

/// A compiled function: `(arena, bindings) -> status`. The arena starts on a multiple of [`crate::arena::ALIGN`]; `bindings`
/// are the addresses that [`premap::Plan::bindings`] lists. The status is 0, or the number of the step that refused its
/// operands plus one.
pub type Entry = unsafe extern "C" fn(*mut u8, *const *mut u8) -> i32;

/// One task of a round: what the round's caller gave it, and the task's number.
pub type Task = unsafe extern "C" fn(*mut c_void, i64);

/// Who deals out tasks, as compiled code sees it: `run(host, count, task, frame)` calls `task(frame, i)` once for each i below
/// `count`, on any threads, and returns when all calls have returned; what tasks of one round have written is seen by those
/// of the next.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Runner {
    /// The function.
    pub run: unsafe extern "C" fn(*const c_void, i64, Task, *mut c_void),
    /// Its first argument.
    pub host: *const c_void,
}

/// A compiled function whose rounds are dealt out: `(arena, bindings, runner) -> status`. Without a runner (a null pointer) it
/// runs every task itself.
pub type Dealt = unsafe extern "C" fn(*mut u8, *const *mut u8, *const Runner) -> i32;

/// A compiled function of either kind.
#[derive(Clone, Copy)]
pub(crate) enum Function {
    Alone(Entry),
    Dealt(Dealt),
}

impl Function {
    /// Calls the function; the threads are those of `pool`.
    ///
    /// # Safety
    /// As [`Code::new`] says of its functions.
    pub(crate) unsafe fn call(self, arena: *mut u8, bindings: *const *mut u8, pool: &Pool) -> i32 {
        match self {
            // SAFETY: the caller's word.
            Function::Alone(entry) => unsafe { entry(arena, bindings) },
            Function::Dealt(entry) => {
                let runner = Runner { run: deal, host: std::ptr::from_ref(pool).cast() };
                let shared = if pool.threads() > 1 { &raw const runner } else { std::ptr::null() };
                // SAFETY: the caller's word; the runner outlives the call.
                unsafe { entry(arena, bindings, shared) }
            }
        }
    }
}

/// What the tasks of a round share.
struct Frame(*mut c_void);

// SAFETY: compiled code reads it alone, and tasks write to memory of their own (`Code::dealt`).
unsafe impl Sync for Frame {}

/// [`Runner::run`] of a pool.
unsafe extern "C" fn deal(host: *const c_void, count: i64, task: Task, frame: *mut c_void) {
    // SAFETY: `Function::call` made the runner of a pool that it borrows.
    let pool = unsafe { &*host.cast::<Pool>() };
    let frame = Frame(frame);
    let frame = &frame;
    // SAFETY: each task is called once, with its own frame.
    pool.run(usize::try_from(count).unwrap_or(0), |i| unsafe { task(frame.0, i as i64) });
}

/// Functions that run a plan.
#[derive(Clone)]
pub struct Code {
    pub(crate) all: Function,
    pub(crate) parts: Option<(Function, Function)>,
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
        let parts = parts.map(|(early, rest)| (Function::Alone(early), Function::Alone(rest)));
        Code { all: Function::Alone(all), parts, arena, calls: Arc::default(), _keep: keep }
    }

    /// The same with functions that deal out their work: those threads of the pool that a plan runs on take part.
    ///
    /// # Safety
    /// As [`Code::new`]; and tasks of one round write to no memory that another of them reads or writes.
    pub unsafe fn dealt(
        all: Dealt,
        parts: Option<(Dealt, Dealt)>,
        arena: usize,
        keep: Arc<dyn Any + Send + Sync>,
    ) -> Code {
        let parts = parts.map(|(early, rest)| (Function::Dealt(early), Function::Dealt(rest)));
        Code { all: Function::Dealt(all), parts, arena, calls: Arc::default(), _keep: keep }
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
