//! Plans run as native code: the compiler behind `--engine compiled`.
//!
//! A plan is lowered to a module of MLIR, compiled by LLVM's tools unless the cache has its code, and loaded; the engine calls
//! one function per run. Without the tools everything but this works, and the error says how to get them.
#![allow(unsafe_code)]

mod wide;

use alex::dialect::Module;
use alex::{AlexError, Compiler, Options, lower};
use engine::{Code, Compile};
use graph::Graph;
use premap::{Plan, Target};
use std::sync::{Arc, Mutex, PoisonError};

pub use wide::Arithmetic;

/// Compiles plans for this computer.
pub struct Native {
    compiler: Compiler,
    /// What has been made, to tell how often it is called.
    made: Mutex<Vec<Code>>,
}

impl Native {
    /// With the tools of this computer.
    ///
    /// # Errors
    /// The first tool that is missing, with the command that installs it.
    pub fn new() -> Result<Native, AlexError> {
        Ok(Native { compiler: Compiler::new(Options::default())?, made: Mutex::default() })
    }

    /// Plans that have been compiled, and calls of compiled functions so far.
    pub fn count(&self) -> (usize, u64) {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        (made.len(), made.iter().map(Code::calls).sum())
    }

    /// The same, as the engine takes it.
    ///
    /// # Errors
    /// As [`Native::new`].
    pub fn shared() -> Result<Arc<dyn Compile>, AlexError> {
        Ok(Arc::new(Native::new()?))
    }

    fn code(&self, plan: &Plan, threads: usize) -> Result<Code, AlexError> {
        // Step by step where several threads share the work: the tiles of whole blocks are cut by no step of the plan.
        let (dealt, blocks) = (threads > 1, threads == 1);
        let options = lower::Options { dealt, blocks, ..lower::Options::default() };
        let lowered = lower::plan(plan, &options)?;
        let library = self.compiler.load(&lowered.text)?;
        let part = |which: &str| format!("{}_{which}", lowered.name);
        if lowered.dealt {
            let all = library.dealt(&lowered.name)?;
            let parts = match lowered.parts {
                true => Some((library.dealt(&part("early"))?, library.dealt(&part("rest"))?)),
                false => None,
            };
            // SAFETY: as below; tasks of a round are cut by rows, columns or tokens of what they write.
            return Ok(unsafe { Code::dealt(all, parts, lowered.arena, Arc::new(library)) });
        }
        let all = library.entry(&lowered.name)?;
        let parts = match lowered.parts {
            true => Some((library.entry(&part("early"))?, library.entry(&part("rest"))?)),
            false => None,
        };
        // SAFETY: the functions were lowered from this plan: they work in the arena and in the bindings that the plan lists,
        // within the sizes of its types, follow no index that is outside its table, and stay as long as the library does.
        Ok(unsafe { Code::new(all, parts, lowered.arena, Arc::new(library)) })
    }
}

/// The graph that a module of the dialect stands for, after the graph was written as that module and checked: what is compiled
/// is what the module says. Places in Rust's source, which a module does not hold, are those of the graph.
///
/// # Errors
/// What the check finds: a fault of the module's writer.
pub(crate) fn through_dialect(graph: &Graph) -> Result<Graph, AlexError> {
    let module = Module::from_graph("run", graph);
    module.check()?;
    let mut read = module.to_graph("run")?;
    read.nodes.iter_mut().zip(&graph.nodes).for_each(|(to, from)| to.place = from.place);
    Ok(read)
}

impl Compile for Native {
    fn target(&self) -> Target {
        alex::target()
    }
    fn read(&self, graph: &Graph) -> Result<Option<Graph>, String> {
        through_dialect(graph).map(Some).map_err(|e| e.to_string())
    }
    fn compile(&self, plan: &Plan, threads: usize) -> Result<Code, String> {
        let code = self.code(plan, threads).map_err(|e| e.to_string())?;
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(code.clone());
        Ok(code)
    }
}
