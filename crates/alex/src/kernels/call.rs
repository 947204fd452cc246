//! A loaded kernel: arguments put into memory, the function called, results read.

use super::{Lowered, Options, emit, lower_program};
use crate::compile::Compiler;
use crate::error::Result;
use crate::loader::kernels::{Buffer, Given, call};
use crate::loader::{Entry, Library};
use kernel::program::{Output, Slot};
use kernel::{Arg, ArrayValue, Elements, Kernel, Outcome, Scalar, Value, check_arguments};

/// A kernel as native code.
///
/// ```no_run
/// use alex::kernels::Compiled;
/// let compiler = alex::Compiler::new(alex::Options::default())?;
/// let step = kernel::article::mlgru_step::kernel();
/// let compiled = Compiled::new(&step, &compiler)?;
/// let x = || kernel::Arg::from(&[0.5f32, -1.0]);
/// let made = compiled.call(&[x(), x(), x(), x()])?;
/// assert_eq!(made.results, step.interpret(&[x(), x(), x(), x()])?.results);
/// # Ok::<(), alex::AlexError>(())
/// ```
#[derive(Debug)]
pub struct Compiled {
    lowered: Lowered,
    library: Library,
    entry: Entry,
    free: Entry,
}

impl Compiled {
    /// Lowers a kernel, compiles it unless the compiler's cache has it, and loads it. A float that is a type parameter is
    /// `f32`.
    ///
    /// # Errors
    /// As [`super::lower`]; what a tool refuses.
    pub fn new(kernel: &Kernel, compiler: &Compiler) -> Result<Compiled> {
        Compiled::with(kernel, compiler, &Options::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`Compiled::new`].
    pub fn with(kernel: &Kernel, compiler: &Compiler, options: &Options) -> Result<Compiled> {
        Compiled::load(lower_program(kernel.program_in(options.scalar)?, options)?, compiler)
    }

    /// Compiles and loads a module.
    ///
    /// # Errors
    /// What a tool refuses.
    pub fn load(lowered: Lowered, compiler: &Compiler) -> Result<Compiled> {
        let library = compiler.load(&lowered.text)?;
        let entry = library.entry(&lowered.name)?;
        let free = library.entry(&format!("{}_free", lowered.name))?;
        Ok(Compiled { lowered, library, entry, free })
    }

    /// Several kernels as one library; they have a compile, not a name, in common.
    ///
    /// # Errors
    /// As [`Compiled::new`].
    pub fn load_all(all: Vec<Lowered>, compiler: &Compiler) -> Result<Vec<Compiled>> {
        let text = super::joined(&all);
        let library = compiler.load(&text)?;
        let made = all.into_iter().map(|lowered| {
            let entry = library.entry(&lowered.name)?;
            let free = library.entry(&format!("{}_free", lowered.name))?;
            Ok(Compiled { lowered, library: library.clone(), entry, free })
        });
        made.collect()
    }

    /// The module and what is known of it.
    pub fn lowered(&self) -> &Lowered {
        &self.lowered
    }

    /// Why a kernel has no form as a graph for arguments of these sizes: it is compiled as loops, and has no derivative.
    /// `None` where it has one; then [`super::Raised`] compiles its formulas.
    pub fn why(kernel: &Kernel, args: &[Arg]) -> Option<String> {
        super::raised::graph(kernel, args).err().map(|e| e.to_string())
    }

    /// Calls it on arguments in the order of its parameters: what the interpreter leaves, or its error.
    ///
    /// # Errors
    /// [`AlexError::Kernel`](crate::AlexError::Kernel): an argument does not fit, or the function would have panicked.
    pub fn call(&self, args: &[Arg]) -> Result<Outcome> {
        let program = &self.lowered.program;
        check_arguments(program, args)?;
        let (mut buffers, mut sizes, mut places) = (vec![], vec![], vec![]);
        for (p, a) in program.params.iter().zip(args) {
            places.push(buffers.len());
            match a {
                Arg::Scalar(v) => buffers.push(scalar(*v)),
                Arg::Array(a) => {
                    sizes.extend(a.dims.iter().map(|d| *d as i64));
                    buffers.push(elements(a));
                }
                Arg::Ternary(t, scale) => {
                    debug_assert!(matches!(p.slot, Slot::Ternary(..)));
                    sizes.extend(t.dims.iter().map(|d| *d as i64));
                    buffers.push(elements(t));
                    buffers.push(Buffer::F32(vec![*scale]));
                }
            }
        }
        sizes.push(0);
        buffers.push(Buffer::I64(sizes));
        let first = buffers.len();
        let mut given = vec![];
        for (k, r) in program.results.iter().enumerate() {
            match r {
                Output::Scalar(v) => buffers.push(scalar(Value::of(0.0, program.var_ty(*v)))),
                Output::Array(id, dims) => {
                    // A parameter that is given back lies where the caller has it.
                    if !program.array(*id).param {
                        given.push(Given { at: first + k, bytes: super::value::bytes(program.element(*id)) });
                    }
                    buffers.push(Buffer::I64(vec![0; dims.len() + 1]));
                }
            }
        }
        let mut frame = [0i64; emit::FRAME];
        let (status, arrays) = call(&self.library, (self.entry, self.free), &mut frame, &mut buffers, &given);
        if status != 0 {
            return Err(self.lowered.error(status, &frame));
        }
        let mut arrays = arrays.into_iter();
        let mut results = vec![];
        for (k, r) in program.results.iter().enumerate() {
            let place = &buffers[first + k];
            results.push(match r {
                Output::Scalar(v) => Arg::Scalar(read(place, program.var_ty(*v))),
                Output::Array(id, dims) => {
                    let words = if let Buffer::I64(w) = place { &w[..] } else { &[] };
                    let dims = (0..dims.len()).map(|k| words.get(k + 1).map_or(0, |d| *d as usize)).collect();
                    let element = program.element(*id);
                    let data = match program.array(*id).param {
                        true => {
                            let at = program.params.iter().position(
                                |p| matches!(p.slot, Slot::Array(a) | Slot::Ternary(a, _) if a == *id),
                            );
                            unpacked(&buffers[at.map_or(0, |p| places[p])], element)
                        }
                        false => unpacked(
                            &Buffer::from_bytes(element, &arrays.next().unwrap_or_default()),
                            element,
                        ),
                    };
                    Arg::Array(ArrayValue { element, dims, data })
                }
            });
        }
        let back = program.params.iter().zip(args).zip(&places).map(|((p, a), at)| match (&p.slot, a) {
            (Slot::ScalarMut(v), _) => Arg::Scalar(read(&buffers[*at], program.var_ty(*v))),
            (Slot::Array(id), Arg::Array(a)) if program.array(*id).mutable => Arg::Array(ArrayValue {
                element: a.element,
                dims: a.dims.clone(),
                data: unpacked(&buffers[*at], a.element),
            }),
            _ => a.clone(),
        });
        Ok(Outcome { results, args: back.collect() })
    }
}

fn scalar(v: Value) -> Buffer {
    elements(&ArrayValue::filled(vec![1], v))
}

fn elements(a: &ArrayValue) -> Buffer {
    macro_rules! ints {
        ($v:expr, $kind:ident $ty:ty) => {
            Buffer::$kind($v.iter().map(|x| *x as $ty).collect())
        };
    }
    match &a.data {
        Elements::F32(v) => Buffer::F32(v.clone()),
        Elements::F64(v) => Buffer::F64(v.clone()),
        Elements::Int(v) => match super::value::bytes(a.element) {
            1 => ints!(v, I8 i8),
            2 => ints!(v, I16 i16),
            4 => ints!(v, I32 i32),
            _ => Buffer::I64(v.clone()),
        },
    }
}

/// The elements as the interpreter has them.
fn unpacked(buffer: &Buffer, s: Scalar) -> Elements {
    // By the bits, then by the sign.
    let number = |x: i64| match s {
        Scalar::U8 | Scalar::Bool => i64::from(x as u8),
        Scalar::U16 => i64::from(x as u16),
        Scalar::U32 => i64::from(x as u32),
        _ => x,
    };
    match buffer {
        Buffer::F32(v) => Elements::F32(v.clone()),
        Buffer::F64(v) => Elements::F64(v.clone()),
        Buffer::I8(v) => Elements::Int(v.iter().map(|x| number((*x).into())).collect()),
        Buffer::I16(v) => Elements::Int(v.iter().map(|x| number((*x).into())).collect()),
        Buffer::I32(v) => Elements::Int(v.iter().map(|x| number((*x).into())).collect()),
        Buffer::I64(v) => Elements::Int(v.clone()),
    }
}

fn read(buffer: &Buffer, s: Scalar) -> Value {
    let one = ArrayValue { element: s, dims: vec![1], data: unpacked(buffer, s) };
    one.get(0).unwrap_or(Value::of(0.0, s))
}
