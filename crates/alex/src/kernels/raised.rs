//! The other way: a kernel whose formulas are known, as a graph, planned and lowered like a model.
//!
//! Its ternary products, scans and gates are then the ops that have fast kernels. Sums of floats are taken in any order, and
//! sums of integers are those of the graph's type: an overflow is not noticed there, as [`super::Compiled`] notices it.

use super::value::bytes;
use crate::compile::Compiler;
use crate::error::{AlexError, Result};
use crate::loader::{Entry, Library, cells};
use crate::lower::{self, Wide};
use axes::DType;
use graph::{Data, EvalCx, Graph, GraphError, Type};
use kernel::program::Slot;
use kernel::{Arg, ArrayValue, Elements, Kernel, KernelError, Outcome, Scalar, Value};
use premap::{Binding, Plan};

/// A kernel's graph for arguments of certain sizes, as native code.
#[derive(Debug)]
pub struct Raised {
    kernel: Kernel,
    plan: Plan,
    library: Library,
    entry: Entry,
    arena: usize,
    wide: bool,
}

/// The types of a kernel's operands for these arguments: an `i8` slice that must hold trits is one of trits.
fn types(kernel: &Kernel, args: &[Arg]) -> Result<Vec<Type>> {
    let requires = kernel.raise()?.requires;
    let mut types = vec![];
    for (a, p) in args.iter().zip(&kernel.function().params) {
        let trits = requires.iter().any(|r| *r == format!("`{}` holds -1, 0 and 1 only", p.name));
        let of = |s: Scalar| match s {
            Scalar::F32 => Some(DType::F32),
            Scalar::F64 => Some(DType::F64),
            Scalar::I8 if trits => Some(DType::Trit),
            Scalar::I8 => Some(DType::I8),
            Scalar::I32 => Some(DType::I32),
            Scalar::I64 | Scalar::Isize | Scalar::Usize => Some(DType::I64),
            Scalar::U8 => Some(DType::U8),
            Scalar::Bool => Some(DType::Bool),
            _ => None,
        };
        let dtype = |s: Scalar| {
            of(s).ok_or_else(|| KernelError::Graph {
                kernel: kernel.name().into(),
                problem: format!("`{}` has elements of {}, which no dtype is", p.name, s.name()),
            })
        };
        match a {
            Arg::Scalar(v) => types.push(Type::scalar(dtype(v.scalar())?)),
            Arg::Array(a) => types.push(Type::new(dtype(a.element)?, a.dims.clone())),
            Arg::Ternary(t, _) => {
                types.push(Type::new(DType::Trit, t.dims.clone()));
                types.push(Type::scalar(DType::F32));
            }
        }
    }
    Ok(types)
}

/// The graph of a kernel for arguments of these sizes.
pub(super) fn graph(kernel: &Kernel, args: &[Arg]) -> Result<Graph> {
    kernel::check_arguments(&kernel.program_in(kernel.scalar_for(args))?, args)?;
    Ok(kernel.graph(&types(kernel, args)?)?)
}

impl Raised {
    /// Plans and compiles the graph of a kernel for arguments of the sizes that these have; `wide` computes in `f64` whatever
    /// is a float.
    ///
    /// # Errors
    /// [`AlexError::Kernel`] where a formula is not known; what planning, lowering or a tool refuses.
    pub fn new(kernel: &Kernel, like: &[Arg], compiler: &Compiler, wide: bool) -> Result<Raised> {
        let graph = graph(kernel, like)?;
        let target = if wide { crate::plain_target() } else { crate::target() };
        let options = premap::Options::default();
        let plan = premap::plan(&graph, &target, &options)?;
        let options = lower::Options {
            name: format!("kernel_{}", kernel.name()),
            wide: wide.then_some(Wide::F64),
            ..lower::Options::default()
        };
        let lowered = lower::plan(&plan, &options)?;
        let library = compiler.load(&lowered.text)?;
        let entry = library.entry(&lowered.name)?;
        Ok(Raised { kernel: kernel.clone(), plan, library, entry, arena: lowered.arena, wide })
    }

    /// The plan, with the graph that it is of.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Calls it: what the kernel leaves. With `wide`, floats come back as `f64`.
    ///
    /// # Errors
    /// [`AlexError::Kernel`] for arguments that are not of the sizes that it was made for.
    pub fn call(&self, args: &[Arg]) -> Result<Outcome> {
        let given = types(&self.kernel, args)?;
        let graph = &self.plan.graph;
        let wanted: Vec<&Type> = graph.inputs.iter().map(|i| graph.ty(i.value)).collect();
        if given.len() != wanted.len() || given.iter().zip(&wanted).any(|(g, w)| g != *w) {
            let list = |t: &mut dyn Iterator<Item = String>| t.collect::<Vec<_>>().join(", ");
            return Err(AlexError::Operands {
                function: "the compiled kernel",
                expected: list(&mut wanted.iter().map(ToString::to_string)),
                found: list(&mut given.iter().map(ToString::to_string)),
            });
        }
        let mut inputs: Vec<Vec<u128>> = vec![];
        for a in args {
            match a {
                Arg::Scalar(v) => inputs.push(self.packed(&ArrayValue::filled(vec![1], *v))),
                Arg::Array(a) => inputs.push(self.packed(a)),
                Arg::Ternary(t, s) => {
                    inputs.push(self.packed(t));
                    inputs.push(self.packed(&ArrayValue::filled(vec![1], Value::F32(*s))));
                }
            }
        }
        let bindings = self.plan.bindings();
        let named: Vec<&graph::Named> = graph.outputs.iter().chain(&graph.taps).collect();
        let mut memory = vec![];
        for b in &bindings {
            memory.push(match b {
                Binding::Input(i) => inputs[*i].clone(),
                Binding::Output(o) => {
                    let ty = graph.ty(named[*o].value);
                    vec![0u128; (ty.elements().unwrap_or(0) * self.width(ty.dtype)).div_ceil(16).max(1)]
                }
                Binding::Constant(n) => self.constant(*n)?,
            });
        }
        let mut arena = vec![0u128; self.arena.div_ceil(16) + 4];
        let order: Vec<usize> = (0..bindings.len()).collect();
        let status = cells::enter(&self.library, self.entry, &mut arena, &mut memory, &order);
        if status != 0 {
            return Err(AlexError::Operands {
                function: "the compiled kernel",
                expected: "indices inside their tables".into(),
                found: format!("one that is outside, in step {}", status - 1),
            });
        }
        let program = self.kernel.program_in(self.kernel.scalar_for(args))?;
        let (mut results, mut back) = (vec![], args.to_vec());
        for (o, n) in named.iter().enumerate() {
            let ty = graph.ty(n.value);
            let words =
                bindings.iter().position(|b| *b == Binding::Output(o)).map_or(&[][..], |k| &memory[k]);
            let made = self.unpacked(words, ty);
            match program.params.iter().position(|p| p.name == n.name) {
                Some(p) => back[p] = self.as_parameter(&program.params[p].slot, made),
                None => results.push(self.as_parameter(&Slot::Array(kernel::program::ArrayId(0)), made)),
            }
        }
        Ok(Outcome { results, args: back })
    }

    fn as_parameter(&self, slot: &Slot, made: ArrayValue) -> Arg {
        let scalar = matches!(slot, Slot::Scalar(_) | Slot::ScalarMut(_)) || made.dims.is_empty();
        match made.get(0) {
            Some(v) if scalar => Arg::Scalar(v),
            _ => Arg::Array(made),
        }
    }

    fn width(&self, dtype: DType) -> usize {
        if self.wide && dtype.is_float() { 8 } else { dtype.size().unwrap_or(1) }
    }

    /// As the code has it in memory.
    fn packed(&self, a: &ArrayValue) -> Vec<u128> {
        let all: Vec<u8> = match &a.data {
            Elements::F32(v) if self.wide => v.iter().flat_map(|x| f64::from(*x).to_le_bytes()).collect(),
            Elements::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Elements::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Elements::Int(v) => v.iter().flat_map(|x| x.to_le_bytes()[..bytes(a.element)].to_vec()).collect(),
        };
        words(&all)
    }

    fn constant(&self, n: u32) -> Result<Vec<u128>> {
        let node = &self.plan.graph.nodes[n as usize];
        let made = node
            .op
            .eval::<f64>(&EvalCx::default(), &node.attrs, &[], &node.types)
            .map_err(|problem| GraphError::Eval { op: node.op.name(), problem })?;
        let width = self.width(node.types[0].dtype);
        let all: Vec<u8> = match &made[0].data {
            Data::Float(v) if width == 8 => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::Float(v) => v.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect(),
            Data::Int(v) => v.iter().flat_map(|x| x.to_le_bytes()[..width].to_vec()).collect(),
        };
        Ok(words(&all))
    }

    fn unpacked(&self, words: &[u128], ty: &Type) -> ArrayValue {
        let (n, width) = (ty.elements().unwrap_or(0), self.width(ty.dtype));
        let all: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).take(n * width).collect();
        let word = |c: &[u8]| {
            let mut w = [0u8; 8];
            w[..c.len()].copy_from_slice(c);
            u64::from_le_bytes(w)
        };
        let raw = all.chunks_exact(width).map(word);
        let signed = |x: u64| ((x << (64 - 8 * width)) as i64) >> (64 - 8 * width);
        let (element, data) = match ty.dtype {
            t if t.is_float() && width == 8 => {
                (Scalar::F64, Elements::F64(raw.map(f64::from_bits).collect()))
            }
            t if t.is_float() => {
                (Scalar::F32, Elements::F32(raw.map(|x| f32::from_bits(x as u32)).collect()))
            }
            DType::U8 => (Scalar::U8, Elements::Int(raw.map(|x| x as i64).collect())),
            DType::Bool => (Scalar::Bool, Elements::Int(raw.map(|x| x as i64).collect())),
            DType::I32 => (Scalar::I32, Elements::Int(raw.map(signed).collect())),
            DType::I64 => (Scalar::I64, Elements::Int(raw.map(signed).collect())),
            _ => (Scalar::I8, Elements::Int(raw.map(signed).collect())),
        };
        let dims = ty.shape.iter().filter_map(graph::Dim::fixed).collect();
        ArrayValue { element, dims, data }
    }
}

fn words(bytes: &[u8]) -> Vec<u128> {
    let word = |c: &[u8]| {
        let mut w = [0u8; 16];
        w[..c.len()].copy_from_slice(c);
        u128::from_le_bytes(w)
    };
    let mut made: Vec<u128> = bytes.chunks(16).map(word).collect();
    made.resize(made.len().max(1), 0);
    made
}
