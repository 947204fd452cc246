//! Graphs in the arithmetic of f80 and f128 as compiled code: what `eval --engine compiled --dtype f80` runs.

use alex::extended::{Format, Memory, Program};
use alex::{Compiler, Options};
use anyhow::Result;
use furnace::precision::{F128, Real};
use graph::{Array, Bindings, Data, Graph};
use std::collections::BTreeMap;

/// A scalar of furnace that compiled code computes with.
pub trait Wide: Real {
    /// Its format.
    const FORMAT: Format;
    /// From what compiled code has in memory.
    fn from_memory(bits: u128) -> Self;
    /// As compiled code has it in memory.
    fn to_memory(&self) -> u128;
}

impl Wide for F128 {
    const FORMAT: Format = Format::F128;
    fn from_memory(bits: u128) -> F128 {
        F128::from_bits(bits)
    }
    fn to_memory(&self) -> u128 {
        self.to_bits()
    }
}

#[cfg(target_arch = "x86_64")]
impl Wide for furnace::precision::F80 {
    const FORMAT: Format = Format::F80;
    fn from_memory(bits: u128) -> Self {
        Self::from_bits(bits as u64, (bits >> 64) as u16)
    }
    fn to_memory(&self) -> u128 {
        let (mantissa, exponent) = self.to_bits();
        u128::from(mantissa) | u128::from(exponent) << 64
    }
}

/// Programs by the length of the piece of a sequence that they run.
pub struct Programs {
    compiler: Compiler,
    made: BTreeMap<usize, Program>,
}

impl Programs {
    /// With the tools of this computer.
    ///
    /// # Errors
    /// The first tool that is missing, with the command that installs it.
    pub fn new() -> Result<Programs> {
        Ok(Programs { compiler: Compiler::new(Options::default())?, made: BTreeMap::new() })
    }

    /// Runs a graph with these sizes: outputs and taps by name, and the counted operations.
    ///
    /// # Errors
    /// What has no compiled form, what a tool refuses, what the graph refuses.
    pub fn run<S: Wide>(
        &mut self,
        graph: &Graph,
        inputs: &[Array<S>],
        sizes: &Bindings,
    ) -> Result<(Vec<(String, Array<S>)>, f64)> {
        let length = sizes.get("T").copied().unwrap_or(0);
        let program = match self.made.entry(length) {
            std::collections::btree_map::Entry::Occupied(ready) => ready.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                let options = premap::Options { taps: true, ..premap::Options::default() };
                let plan = premap::plan(&graph.specialize(sizes), &alex::plain_target(), &options)?;
                place.insert(Program::build(&self.compiler, plan, S::FORMAT)?)
            }
        };
        let memory = |a: &Array<S>| match &a.data {
            Data::Float(v) => Memory::Wide(v.iter().map(S::to_memory).collect()),
            Data::Int(v) => Memory::Int(v.to_vec()),
        };
        let found = program.run(&inputs.iter().map(memory).collect::<Vec<_>>())?;
        let plan = program.plan();
        let named = plan.graph.outputs.iter().chain(&plan.graph.taps);
        let made = named.zip(found).map(|(named, memory)| {
            let ty = plan.graph.ty(named.value);
            let shape: Vec<usize> = ty.shape.iter().map(|d| d.fixed().unwrap_or(0)).collect();
            let array = match memory {
                Memory::Wide(v) => Array::float(ty.dtype, shape, v.into_iter().map(S::from_memory).collect()),
                Memory::Int(v) => Array::int(ty.dtype, shape, v),
            };
            (named.name.clone(), array)
        });
        Ok((made.collect(), plan.cost.operations + plan.cost.transcendental))
    }
}
