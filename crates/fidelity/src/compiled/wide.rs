//! Graphs run as native code in f64, in the x87's 80 bits, or in IEEE binary128: every floating value is of that type.
#![allow(unsafe_code)]

use super::Native;
use crate::error::fault;
use alex::lower::{self, Wide};
use anyhow::Result;
use axes::DType;
#[cfg(target_arch = "x86_64")]
use furnace::precision::F80;
use furnace::precision::{F128, Real};
use graph::{Array, EvalCx, Graph, Type};
use premap::{Binding, Options};

/// An arithmetic that compiled code has for a whole graph.
pub trait Arithmetic: Real {
    /// Which.
    const WIDE: Wide;
    /// Bytes of a number in memory.
    const BYTES: usize;
    /// Writes a number as it lies in memory.
    fn put(&self, to: &mut [u8]);
    /// Reads one.
    fn get(from: &[u8]) -> Self;
}

impl Arithmetic for f64 {
    const WIDE: Wide = Wide::F64;
    const BYTES: usize = 8;
    fn put(&self, to: &mut [u8]) {
        to.copy_from_slice(&self.to_le_bytes());
    }
    fn get(from: &[u8]) -> f64 {
        f64::from_le_bytes(*from.first_chunk().unwrap_or(&[0; 8]))
    }
}

#[cfg(target_arch = "x86_64")]
impl Arithmetic for F80 {
    const WIDE: Wide = Wide::F80;
    const BYTES: usize = 16;
    fn put(&self, to: &mut [u8]) {
        let (mantissa, head) = self.to_bits();
        to.copy_from_slice(&(u128::from(head) << 64 | u128::from(mantissa)).to_le_bytes());
    }
    fn get(from: &[u8]) -> F80 {
        let bits = u128::from_le_bytes(*from.first_chunk().unwrap_or(&[0; 16]));
        F80::from_bits(bits as u64, (bits >> 64) as u16)
    }
}

impl Arithmetic for F128 {
    const WIDE: Wide = Wide::F128;
    const BYTES: usize = 16;
    fn put(&self, to: &mut [u8]) {
        to.copy_from_slice(&self.to_bits().to_le_bytes());
    }
    fn get(from: &[u8]) -> F128 {
        F128::from_bits(u128::from_le_bytes(*from.first_chunk().unwrap_or(&[0; 16])))
    }
}

/// A cache line: how compiled code wants its arena aligned.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line([u8; 64]);

/// Memory of so many bytes, zeroed.
struct Block(Vec<Line>);

impl Block {
    fn new(bytes: usize) -> Block {
        Block(vec![Line([0; 64]); bytes.div_ceil(64).max(1)])
    }
    fn address(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }
    /// The bytes; a line has no padding.
    fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|line| line.0).collect()
    }
    fn of(bytes: &[u8]) -> Block {
        let mut block = Block::new(bytes.len());
        block
            .0
            .iter_mut()
            .zip(bytes.chunks(64))
            .for_each(|(line, part)| line.0[..part.len()].copy_from_slice(part));
        block
    }
}

/// Bytes of an element.
fn element<S: Arithmetic>(d: DType) -> usize {
    if d.is_float() { S::BYTES } else { premap::memory::element(d) }
}

fn encode<S: Arithmetic>(a: &Array<S>) -> Vec<u8> {
    if a.dtype.is_float() {
        let mut out = vec![0; S::BYTES * a.len()];
        out.chunks_exact_mut(S::BYTES).zip(a.floats()).for_each(|(to, x)| x.put(to));
        return out;
    }
    let n = element::<S>(a.dtype);
    a.ints().iter().flat_map(|x| x.to_le_bytes().into_iter().take(n)).collect()
}

fn decode<S: Arithmetic>(ty: &Type, bytes: &[u8]) -> Array<S> {
    let shape = ty.fixed_shape().unwrap_or_default();
    let count = ty.elements().unwrap_or(0);
    let each = bytes.chunks_exact(element::<S>(ty.dtype)).take(count);
    if ty.dtype.is_float() {
        return Array::float(ty.dtype, shape, each.map(S::get).collect());
    }
    let int = |b: &[u8]| {
        let signed = !matches!(ty.dtype, DType::U8 | DType::Bool) && b.last().is_some_and(|top| *top > 0x7f);
        let mut word = [if signed { 0xff } else { 0 }; 8];
        word[..b.len()].copy_from_slice(b);
        i64::from_le_bytes(word)
    };
    Array::int(ty.dtype, shape, each.map(int).collect())
}

impl Native {
    /// Runs a graph of fixed sizes once: its outputs, then its taps.
    ///
    /// # Errors
    /// An op without a compiled form, a tool that refuses, an index outside its table.
    pub fn run_wide<S: Arithmetic>(
        &self,
        graph: &Graph,
        inputs: &[Array<S>],
    ) -> Result<Vec<(String, Array<S>)>> {
        let graph = &super::through_dialect(graph)?;
        let plan = premap::plan(graph, &alex::plain_target(), &Options { taps: true, ..Options::default() })?;
        let options = lower::Options { wide: Some(S::WIDE), ..lower::Options::default() };
        let lowered = lower::plan(&plan, &options)?;
        let library = self.compiler.load(&lowered.text)?;
        let entry = library.entry(&lowered.name)?;
        let named: Vec<_> = plan.graph.outputs.iter().chain(&plan.graph.taps).collect();
        let mut memory = vec![];
        for binding in plan.bindings() {
            memory.push(match binding {
                Binding::Input(i) => {
                    let expected = plan.graph.ty(plan.graph.inputs[i].value);
                    match inputs.get(i) {
                        Some(a) if a.ty() == *expected => Block::of(&encode(a)),
                        found => {
                            let name = &plan.graph.inputs[i].name;
                            let found = found.map_or("nothing".to_string(), |a| a.ty().to_string());
                            return fault(
                                format!("input `{name}`: expected {expected}, found {found}"),
                                "give that type",
                            );
                        }
                    }
                }
                Binding::Output(o) => {
                    let ty = plan.graph.ty(named[o].value);
                    Block::new(ty.elements().unwrap_or(0) * element::<S>(ty.dtype))
                }
                Binding::Constant(n) => {
                    let node = &plan.graph.nodes[n as usize];
                    let made = node.op.eval::<S>(&EvalCx::default(), &node.attrs, &[], &node.types);
                    let made =
                        made.map_err(|problem| graph::GraphError::Eval { op: node.op.name(), problem })?;
                    Block::of(&encode(&made[0]))
                }
            });
        }
        let mut arena = Block::new(lowered.arena);
        let addresses: Vec<*mut u8> = memory.iter_mut().map(Block::address).collect();
        // SAFETY: the function was lowered from this plan; the arena has the size that it states, and each address is that of
        // memory of the type that the plan gives the binding, floats being of the arithmetic's own size.
        let status = unsafe { entry(arena.address(), addresses.as_ptr()) };
        if status != 0 {
            return fault(
                format!(
                    "step {} refused its operands: an index is outside the table that it points into",
                    status - 1
                ),
                "use ids within the vocabulary",
            );
        }
        let mut out: Vec<Option<Array<S>>> = named.iter().map(|_| None).collect();
        for (binding, block) in plan.bindings().into_iter().zip(&memory) {
            if let Binding::Output(o) = binding {
                out[o] = Some(decode(plan.graph.ty(named[o].value), &block.bytes()));
            }
        }
        Ok(named.iter().zip(out).filter_map(|(n, a)| Some((n.name.clone(), a?))).collect())
    }
}
