//! A whole plan compiled in a wide format: every float of it is an f80 or an f128, literals are the doubles that they state.

use super::Format;
use crate::compile::Compiler;
use crate::error::{AlexError, Result};
use crate::loader::{Entry, Library, cells};
use crate::lower::{self, Wide};
use axes::{DType, TritLayout};
use graph::{Data, EvalCx, GraphError, Type};
use premap::{Binding, Plan};

/// The elements of an input or an output: floats as [the module](super) has them in memory, integers and truth values as they
/// are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Floats of any width in the graph.
    Wide(Vec<u128>),
    /// Everything else.
    Int(Vec<i64>),
}

impl Memory {
    fn len(&self) -> usize {
        match self {
            Memory::Wide(v) => v.len(),
            Memory::Int(v) => v.len(),
        }
    }

    /// As it lies in memory.
    fn packed(&self, dtype: DType) -> Vec<u128> {
        match self {
            Memory::Wide(v) => v.clone(),
            Memory::Int(v) => {
                let width = dtype.size().unwrap_or(1);
                let bytes: Vec<u8> = v.iter().flat_map(|x| x.to_le_bytes()[..width].to_vec()).collect();
                let word = |c: &[u8]| {
                    let mut word = [0u8; 16];
                    word[..c.len()].copy_from_slice(c);
                    u128::from_le_bytes(word)
                };
                bytes.chunks(16).map(word).collect()
            }
        }
    }

    fn unpacked(words: &[u128], ty: &Type) -> Memory {
        let n = ty.elements().unwrap_or(0);
        if ty.dtype.is_float() {
            return Memory::Wide(words[..n].to_vec());
        }
        let width = ty.dtype.size().unwrap_or(1);
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        let signed = !matches!(ty.dtype, DType::U8 | DType::Bool);
        let number = |c: &[u8]| {
            let low = c[width - 1] >> 7 == 1 && signed;
            let mut all = [if low { 0xff } else { 0u8 }; 8];
            all[..width].copy_from_slice(c);
            i64::from_le_bytes(all)
        };
        Memory::Int(bytes.chunks(width).take(n).map(number).collect())
    }
}

/// A compiled plan with its memory.
#[derive(Debug)]
pub struct Program {
    plan: Plan,
    library: Library,
    entry: Entry,
    arena: Vec<u128>,
    /// Of each binding; inputs are empty between runs.
    memory: Vec<Vec<u128>>,
}

fn words(ty: &Type) -> usize {
    let n = ty.elements().unwrap_or(0);
    let width = if ty.dtype.is_float() { 16 } else { ty.dtype.size().unwrap_or(1) };
    (n * width).div_ceil(16).max(1)
}

impl Program {
    /// Lowers a plan for [`crate::plain_target`], compiles and loads it, unless the compiler's cache has it.
    ///
    /// # Errors
    /// [`AlexError::Format`] for f80 where there is none; [`AlexError::Lower`] for packed trits and for what has no lowering;
    /// what a tool refuses.
    pub fn build(compiler: &Compiler, plan: Plan, format: Format) -> Result<Program> {
        Program::build_all(compiler, vec![plan], format).map(|mut made| made.remove(0))
    }

    /// Several plans as one module, which have their kernels in common.
    ///
    /// # Errors
    /// As [`Program::build`].
    pub fn build_all(compiler: &Compiler, plans: Vec<Plan>, format: Format) -> Result<Vec<Program>> {
        format.check(compiler.options().triple.as_deref())?;
        let packed = |plan: &Plan| {
            let v = plan.layouts.iter().find(|(_, l)| **l != TritLayout::Bytes).map(|(v, _)| *v)?;
            Some(plan.graph.node(v).op.name())
        };
        if let Some(op) = plans.iter().find_map(packed) {
            return Err(AlexError::Lower {
                op,
                scope: String::new(),
                problem: "packed trits have no form in wide formats; plan with one byte per trit".into(),
            });
        }
        let wide = match format {
            Format::F80 => Wide::F80,
            Format::F128 => Wide::F128,
        };
        let names: Vec<String> = (0..plans.len()).map(|k| format!("wide_{k}")).collect();
        let named: Vec<(&str, &Plan)> = names.iter().map(String::as_str).zip(&plans).collect();
        let (text, lowered) =
            lower::plans(&named, &lower::Options { wide: Some(wide), ..lower::Options::default() })?;
        let library = compiler.load(&text)?;
        let made = plans.into_iter().zip(lowered).map(|(plan, lowered)| {
            let entry = library.entry(&lowered.name)?;
            // From a multiple of 64 on, wherever the allocation begins.
            let arena = vec![0u128; lowered.arena.div_ceil(16) + 4];
            let memory = plan.bindings().iter().map(|b| memory(&plan, format, *b)).collect::<Result<_>>()?;
            Ok(Program { plan, library: library.clone(), entry, arena, memory })
        });
        made.collect()
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs it: inputs in the graph's order; the outputs, then the taps, in theirs.
    ///
    /// # Errors
    /// [`AlexError::Operands`] for inputs of another number, kind or length than the graph has; where an index among the
    /// inputs is outside the table that it points into.
    pub fn run(&mut self, inputs: &[Memory]) -> Result<Vec<Memory>> {
        let graph = &self.plan.graph;
        let refuse =
            |expected: String, found: String| AlexError::Operands { function: "the plan", expected, found };
        if inputs.len() != graph.inputs.len() {
            return Err(refuse(format!("{} inputs", graph.inputs.len()), inputs.len().to_string()));
        }
        for (input, given) in graph.inputs.iter().zip(inputs) {
            let ty = graph.ty(input.value);
            if ty.elements() != Some(given.len()) || ty.dtype.is_float() != matches!(given, Memory::Wide(_)) {
                let kind = if matches!(given, Memory::Wide(_)) { "floats" } else { "integers" };
                return Err(refuse(format!("`{}` of {ty}", input.name), format!("{} {kind}", given.len())));
            }
        }
        let bindings = self.plan.bindings();
        for (b, place) in bindings.iter().zip(&mut self.memory) {
            if let Binding::Input(i) = b {
                *place = inputs[*i].packed(graph.ty(graph.inputs[*i].value).dtype);
                place.resize(place.len().max(1), 0);
            }
        }
        // An output that takes the place of an input is bound to the same memory.
        let shared = |b: &Binding| {
            let Binding::Output(o) = b else { return None };
            let pair = self.plan.donated.iter().chain(&self.plan.copied).find(|(_, out)| out == o)?;
            bindings.iter().position(|b| *b == Binding::Input(pair.0))
        };
        let order: Vec<usize> = bindings.iter().enumerate().map(|(k, b)| shared(b).unwrap_or(k)).collect();
        let status = cells::enter(&self.library, self.entry, &mut self.arena, &mut self.memory, &order);
        if status != 0 {
            return Err(refuse(
                "indices inside their tables".into(),
                format!("one that is outside, in step {}", status - 1),
            ));
        }
        let named = graph.outputs.iter().chain(&graph.taps);
        let read = |(o, named): (usize, &graph::Named)| {
            let k = bindings.iter().position(|b| *b == Binding::Output(o));
            let words = k.map_or(&[][..], |k| &self.memory[order[k]]);
            Memory::unpacked(words, graph.ty(named.value))
        };
        Ok(named.enumerate().map(read).collect())
    }
}

/// What a binding is bound to; constants are filled in.
fn memory(plan: &Plan, format: Format, b: Binding) -> Result<Vec<u128>> {
    let graph = &plan.graph;
    Ok(match b {
        Binding::Input(_) => vec![],
        Binding::Output(o) => {
            let named = graph.outputs.iter().chain(&graph.taps).nth(o);
            vec![0; named.map_or(1, |n| words(graph.ty(n.value)))]
        }
        Binding::Constant(n) => {
            let node = &graph.nodes[n as usize];
            let made = node
                .op
                .eval::<f64>(&EvalCx::default(), &node.attrs, &[], &node.types)
                .map_err(|problem| GraphError::Eval { op: node.op.name(), problem })?;
            let made = match &made[0].data {
                Data::Float(v) => Memory::Wide(v.iter().map(|x| format.of_f64(*x)).collect()),
                Data::Int(v) => Memory::Int(v.to_vec()),
            };
            let mut words = made.packed(node.types[0].dtype);
            words.resize(words.len().max(1), 0);
            words
        }
    })
}
