//! Compiled loops over buffers of wide numbers, called from Rust.

use super::accumulate::{converted, dot, open, sum};
use super::{Format, Function, Wide, emit};
use crate::compile::Compiler;
use crate::error::{AlexError, Result};
use crate::ir::{Builder, F32, F64, F80, F128, Float, FuncOptions, I32, I64, Index, Module, Ptr, Value};
use crate::loader::{Library, cells};

/// Every function of one format as a loop over buffers, with conversions and sums.
///
/// Bits go in and out as `u128`; see [the module](super) for how they lie.
///
/// ```no_run
/// use alex::extended::{Format, Function, Kernels};
/// use alex::{Compiler, Options};
///
/// let k = Kernels::build(&Compiler::new(Options::default())?, Format::F128)?;
/// let x = k.from_f64(&[1.0, 2.0]);
/// let mut y = [0; 2];
/// k.apply(Function::Exp, &[&x], &mut y)?;
/// assert_eq!(k.to_f64(&y)[0], std::f64::consts::E);
/// # Ok::<(), alex::AlexError>(())
/// ```
#[derive(Debug)]
pub struct Kernels {
    library: Library,
    format: Format,
}

impl Kernels {
    /// The module of all of them.
    ///
    /// # Errors
    /// [`AlexError::Emit`] for a mistake in the emission.
    pub fn module(format: Format) -> Result<String> {
        let mut m = Module::new();
        match format {
            Format::F80 => functions(&mut m, F80),
            Format::F128 => functions(&mut m, F128),
        }
        m.finish().map_err(|e| AlexError::Emit(e.to_string()))
    }

    /// Compiles and loads them, unless the compiler's cache has them.
    ///
    /// # Errors
    /// [`AlexError::Format`] for f80 where the compiler's target has none; what a tool refuses.
    pub fn build(compiler: &Compiler, format: Format) -> Result<Kernels> {
        format.check(compiler.options().triple.as_deref())?;
        Ok(Kernels { library: compiler.load(&Kernels::module(format)?)?, format })
    }

    /// The format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// A function of every element.
    ///
    /// # Errors
    /// [`AlexError::Operands`] where the operands are not as many as the function takes, or not all as long as the result.
    pub fn apply(&self, function: Function, inputs: &[&[u128]], out: &mut [u128]) -> Result<()> {
        let n = function.operands();
        if inputs.len() != n || inputs.iter().any(|x| x.len() != out.len()) {
            return Err(AlexError::Operands {
                function: function.name(),
                expected: format!("{n} of length {}", out.len()),
                found: format!("lengths {:?}", inputs.iter().map(|x| x.len()).collect::<Vec<_>>()),
            });
        }
        cells::run(&self.library, function.name(), inputs, out, out.len())
    }

    /// Widened, exactly.
    pub fn from_f64(&self, x: &[f64]) -> Vec<u128> {
        let mut out = vec![0u128; x.len()];
        self.ready(cells::run(&self.library, "from_f64", &[x], &mut out, x.len()));
        out
    }

    /// Widened, exactly.
    pub fn from_f32(&self, x: &[f32]) -> Vec<u128> {
        let mut out = vec![0u128; x.len()];
        self.ready(cells::run(&self.library, "from_f32", &[x], &mut out, x.len()));
        out
    }

    /// Rounded to nearest, ties to even.
    pub fn to_f64(&self, x: &[u128]) -> Vec<f64> {
        let mut out = vec![0f64; x.len()];
        self.ready(cells::run(&self.library, "to_f64", &[x], &mut out, x.len()));
        out
    }

    /// Rounded to nearest, ties to even.
    pub fn to_f32(&self, x: &[u128]) -> Vec<f32> {
        let mut out = vec![0f32; x.len()];
        self.ready(cells::run(&self.library, "to_f32", &[x], &mut out, x.len()));
        out
    }

    /// The sum of f32 in the format.
    pub fn sum_f32(&self, x: &[f32]) -> u128 {
        self.fold("sum_f32", &[x])
    }

    /// The sum of f64 in the format.
    pub fn sum_f64(&self, x: &[f64]) -> u128 {
        self.fold("sum_f64", &[x])
    }

    /// The sum of products of f32 in the format, of as many pairs as the shorter slice has.
    pub fn dot_f32(&self, x: &[f32], y: &[f32]) -> u128 {
        let n = x.len().min(y.len());
        self.fold("dot_f32", &[&x[..n], &y[..n]])
    }

    /// The sum of products of f64 in the format, of as many pairs as the shorter slice has.
    pub fn dot_f64(&self, x: &[f64], y: &[f64]) -> u128 {
        let n = x.len().min(y.len());
        self.fold("dot_f64", &[&x[..n], &y[..n]])
    }

    fn fold<T>(&self, name: &str, inputs: &[&[T]]) -> u128 {
        let mut out = [0u128];
        self.ready(cells::run(&self.library, name, inputs, &mut out, inputs[0].len()));
        out[0]
    }

    /// Every function of the module is there: a library that lacks one was not made by this crate.
    fn ready(&self, made: Result<()>) {
        if let Err(e) = made {
            unreachable!("{e}");
        }
    }
}

/// Exports `name(_, [inputs…, output, &n])` with the body of a loop or of a sum.
fn export(
    m: &mut Module,
    name: &str,
    body: impl FnOnce(&mut Builder, &dyn Fn(&mut Builder, usize) -> Value<Ptr>),
) {
    m.function(FuncOptions::new(name), (("arena", Ptr), ("bindings", Ptr)), |b, (_, bindings)| {
        body(b, &|b, k| {
            let at = b.ptr_offset(bindings, 8 * k);
            b.load_ptr(at, Ptr)
        });
        b.int(I32, 0)
    });
}

/// The number of elements, which the last binding points to.
fn count(b: &mut Builder, at: Value<Ptr>) -> Value<Index> {
    let n = b.load_ptr(at, I64);
    b.index_cast(n, Index)
}

fn functions<F: Wide>(m: &mut Module, ty: F) {
    for &function in Function::ALL {
        let operands = function.operands();
        export(m, function.name(), |b, binding| {
            let at = binding(b, operands + 1);
            let n = count(b, at);
            let memory: Vec<_> = (0..=operands)
                .map(|k| {
                    let at = binding(b, k);
                    b.memref_from_ptr(at, open(ty), &[n])
                })
                .collect();
            b.for_(0, n, 1, (), |b, i, ()| {
                let x: Vec<Value<F>> = memory[..operands].iter().map(|m| b.load(*m, i)).collect();
                let y = emit(b, function, &x);
                b.store(y, memory[operands], i);
            });
        });
    }
    convert(m, "from_f64", F64, ty);
    convert(m, "from_f32", F32, ty);
    convert(m, "to_f64", ty, F64);
    convert(m, "to_f32", ty, F32);
    folds(m, "f32", F32, ty);
    folds(m, "f64", F64, ty);
}

fn convert<A: Float, B: Float>(m: &mut Module, name: &str, from: A, to: B) {
    export(m, name, |b, binding| {
        let [x, y, n] = [0, 1, 2].map(|k| binding(b, k));
        let n = count(b, n);
        let (x, y) = (b.memref_from_ptr(x, open(from), &[n]), b.memref_from_ptr(y, open(to), &[n]));
        b.for_(0, n, 1, (), |b, i, ()| {
            let value = b.load(x, i);
            let value = converted(b, value, to);
            b.store(value, y, i);
        });
    });
}

fn folds<E: Float, F: Wide>(m: &mut Module, name: &str, from: E, ty: F) {
    export(m, &format!("sum_{name}"), |b, binding| {
        let [x, y, n] = [0, 1, 2].map(|k| binding(b, k));
        let n = count(b, n);
        let x = b.memref_from_ptr(x, open(from), &[n]);
        let made = sum(b, ty, x, n);
        b.store_ptr(made, y);
    });
    export(m, &format!("dot_{name}"), |b, binding| {
        let [x, w, y, n] = [0, 1, 2, 3].map(|k| binding(b, k));
        let n = count(b, n);
        let (x, w) = (b.memref_from_ptr(x, open(from), &[n]), b.memref_from_ptr(w, open(from), &[n]));
        let made = dot(b, ty, x, w, n);
        b.store_ptr(made, y);
    });
}
