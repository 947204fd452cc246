//! Kernels as native code: the typed program of a Rust function, in `scf`, `arith`, `math` and `memref`.
//!
//! [`lower`] takes any kernel, whatever its formulas are: loops become `scf.for`, branches `scf.if`, what they assign is
//! carried by them, arrays are memrefs. The meaning is Rust's in a debug build: where the function would panic, the code
//! goes no further and says where, with the line and the words of the interpreter's error. [`Compiled`] is such a function,
//! loaded. [`Raised`] is the other way, for kernels whose formulas the recogniser knows: the graph, planned and lowered
//! like any model's. [`Compiled::why`] says which of the two a kernel can take.
//!
//! ```
//! use alex::kernels::{self, Options};
//! let text = "fn sum(x: &[f32]) -> f32 { let mut s = 0.0; for v in x { s += v; } s }";
//! let kernel = kernel::Kernel::parse_one(text, "example.rs", "sum")?;
//! let made = kernels::lower(&kernel, &Options::default())?;
//! assert!(made.text.contains("arith.addf %s_1"), "{}", made.text);
//! # Ok::<(), alex::AlexError>(())
//! ```

mod call;
mod emit;
mod expr;
mod float;
mod integer;
mod raised;
mod scope;
mod value;

pub use call::Compiled;
pub use raised::Raised;

use crate::error::{AlexError, Result};
use crate::ir::Module;
use kernel::program::Program;
use kernel::{Kernel, KernelError, MOST_ELEMENTS, Scalar};

/// How a kernel is lowered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The exported function; `None`: the kernel's name behind `kernel_`, so that a kernel `exp` is not the C library's.
    pub name: Option<String>,
    /// What a float is that the kernel has as a type parameter.
    pub scalar: Scalar,
}

impl Default for Options {
    fn default() -> Options {
        Options { name: None, scalar: Scalar::F32 }
    }
}

/// A module of one kernel, and what a caller must know of it.
///
/// The function is `int NAME(int64_t frame[3], void *const *bindings)`. `bindings` are, in the order of the parameters: the
/// address of a number; the address of an array's elements; the addresses of a ternary matrix's trits and of its scale;
/// then the address of the sizes of all arrays in one list of `int64_t`; then of each result: of the number, or of
/// `int64_t`s that take the array's address and its sizes. Such arrays are the caller's afterwards; `NAME_free(array, NULL)`
/// frees one. The frame begins as zeros. The status is 0, or the number of a site plus one, as is `frame[0]`; the other two
/// words are numbers of its message.
#[derive(Clone, Debug, PartialEq)]
pub struct Lowered {
    /// The module.
    pub text: String,
    /// The exported function.
    pub name: String,
    /// Where it can stop, by the status minus one.
    pub sites: Vec<Site>,
    /// The typed program that it was made of.
    pub program: Program,
}

/// A place where a kernel can stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The line of the kernel's text.
    pub line: u32,
    failure: Failure,
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    /// An index is not below its bound.
    Index(String),
    /// A place is not in the array.
    Place(String),
    Overflow(&'static str, Scalar),
    Zero,
    Shift(&'static str, Scalar),
    Clamp,
    Fits(i128, Scalar),
    Text(String),
    TooMany,
    Memory,
    Sizes,
}

impl Site {
    /// What the interpreter says of it.
    fn problem(&self, first: i64, second: i64) -> String {
        let (i, n) = (first as u64, second as u64);
        match &self.failure {
            Failure::Index(name) => format!("index {i} is out of range for `{name}`, which has {n}"),
            Failure::Place(name) => format!("index {i} is out of range for `{name}`, which has {n} elements"),
            Failure::Overflow(what, s) => format!("`{what}` overflows {}", s.name()),
            Failure::Zero => "division by zero".into(),
            Failure::Shift(op, s) if value::signed(*s) => format!("`{op}` by {first} bits"),
            Failure::Shift(op, _) => format!("`{op}` by {i} bits"),
            Failure::Clamp => "`clamp` with the ends the wrong way round".into(),
            Failure::Fits(i, s) => format!("{i} does not fit {}", s.name()),
            Failure::Text(text) => text.clone(),
            Failure::TooMany => format!("the arrays hold more than {MOST_ELEMENTS} elements"),
            Failure::Memory => "there is no memory for a local array".into(),
            Failure::Sizes => format!("sizes of {i} elements for {n} elements"),
        }
    }
}

impl Lowered {
    /// The error that a status stands for.
    fn error(&self, status: i32, frame: &[i64; emit::FRAME]) -> AlexError {
        let site = usize::try_from(status - 1).ok().and_then(|k| self.sites.get(k));
        let (line, problem) = match site {
            Some(site) => (site.line, site.problem(frame[1], frame[2])),
            None => (0, format!("the code gave status {status}")),
        };
        KernelError::Evaluation { kernel: self.program.name.clone(), line, problem }.into()
    }
}

/// The module of a kernel.
///
/// # Errors
/// [`AlexError::Kernel`] where its parts do not fit together; [`AlexError::Lower`] for what has no lowering.
pub fn lower(kernel: &Kernel, options: &Options) -> Result<Lowered> {
    lower_program(kernel.program_in(options.scalar)?, options)
}

/// The module of a kernel in typed form.
///
/// # Errors
/// As [`lower`]; [`AlexError::Name`].
pub fn lower_program(program: Program, options: &Options) -> Result<Lowered> {
    let name = options.name.clone().unwrap_or_else(|| format!("kernel_{}", program.name));
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !plain || name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
        return Err(AlexError::Name { name });
    }
    let mut m = Module::new();
    let sites = emit::function(&mut m, &program, &name)?;
    let text = m.finish().map_err(|e| AlexError::Emit(e.to_string()))?;
    Ok(Lowered { text, name, sites, program })
}

/// The text of several modules as one; functions of the C library are declared once.
fn joined(all: &[Lowered]) -> String {
    let mut known: Vec<&str> = vec![];
    let mut out = String::from("module {\n");
    for l in all {
        // Each module begins with `module {` and ends with `}`.
        let inner = l.text.lines().skip(1);
        let lines: Vec<&str> = inner.collect();
        for line in &lines[..lines.len().saturating_sub(1)] {
            if line.starts_with("  func.func private") && !line.ends_with('{') {
                if known.contains(line) {
                    continue;
                }
                known.push(line);
            }
            out.push_str(line);
            out.push('\n');
        }
    }
    out.push_str("}\n");
    out
}
