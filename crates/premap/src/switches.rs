//! What planning does beyond the plain order of the nodes, each with a name and a switch.
//!
//! No switch changes a bit of a result: tests hold every one of them to that. What each is worth is measured by
//! `fidelity bench --switches`.

use crate::Pattern;
use std::fmt;
use std::str::FromStr;

/// Something that planning does to make a plan faster or smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimization {
    /// Elementwise ops join into loops ([`mod@crate::group`]).
    Fusion,
    /// All chains that the target has a kernel for ([`mod@crate::pattern`]); those below are parts of it.
    Patterns,
    /// Norm and quantiser of activations in one pass.
    Norm,
    /// Quantised weights as the numbers that they stand for, in one pass.
    Weights,
    /// Products of the same activations in one step.
    Products,
    /// Two products and the gate between them in one step.
    Gated,
    /// A product and the residual stream in one step.
    Residual,
    /// Int8 activations and trits that stay in their form until a gradient's product reads them.
    Dequantized,
    /// Sums of products along rows without the products in memory.
    Sums,
    /// Memory of the arena that is used again after a value's last reader.
    Reuse,
    /// Groups that write over an operand that they read last.
    Inplace,
    /// Outputs that replace inputs where they lie.
    Donation,
    /// Trits that a plan quantises itself, packed in two bits.
    Layouts,
    /// Activation functions and norms that are made again instead of kept ([`crate::remat::plan_cheap`]).
    Remat,
    /// Equal nodes that become one.
    Cse,
}

impl Optimization {
    /// Every one.
    pub const ALL: [Optimization; 15] = [
        Optimization::Fusion,
        Optimization::Patterns,
        Optimization::Norm,
        Optimization::Weights,
        Optimization::Products,
        Optimization::Gated,
        Optimization::Residual,
        Optimization::Dequantized,
        Optimization::Sums,
        Optimization::Reuse,
        Optimization::Inplace,
        Optimization::Donation,
        Optimization::Layouts,
        Optimization::Remat,
        Optimization::Cse,
    ];

    /// The name in options.
    pub const fn name(self) -> &'static str {
        match self {
            Optimization::Fusion => "fusion",
            Optimization::Patterns => "patterns",
            Optimization::Norm => "norm",
            Optimization::Weights => "weights",
            Optimization::Products => "products",
            Optimization::Gated => "gated",
            Optimization::Residual => "residual",
            Optimization::Dequantized => "dequantized",
            Optimization::Sums => "sums",
            Optimization::Reuse => "reuse",
            Optimization::Inplace => "inplace",
            Optimization::Donation => "donation",
            Optimization::Layouts => "layouts",
            Optimization::Remat => "remat",
            Optimization::Cse => "cse",
        }
    }

    /// What it does, in a line.
    pub const fn about(self) -> &'static str {
        match self {
            Optimization::Fusion => "elementwise ops as one loop",
            Optimization::Patterns => "all chains with a kernel of their own",
            Optimization::Norm => "norm + quantise in one pass",
            Optimization::Weights => "fake-quantised weights in one pass",
            Optimization::Products => "ternary products of the same activations in one step",
            Optimization::Gated => "two ternary products + gate in one step",
            Optimization::Residual => "ternary product + residual in one step",
            Optimization::Dequantized => "int8 and trits stay so until a gradient's product reads them",
            Optimization::Sums => "sums of products without the products in memory",
            Optimization::Reuse => "memory used again after the last reader",
            Optimization::Inplace => "loops that write over what they read last",
            Optimization::Donation => "outputs in the place of inputs",
            Optimization::Layouts => "trits quantised in the plan are packed in two bits",
            Optimization::Remat => "activations and norms made again instead of kept",
            Optimization::Cse => "equal nodes become one",
        }
    }

    /// The switch of a chain, beside [`Optimization::Patterns`].
    pub const fn of(pattern: Pattern) -> Optimization {
        match pattern {
            Pattern::RmsNormFakeQuantize | Pattern::RmsNormQuantize => Optimization::Norm,
            Pattern::FakeQuantizeWeights => Optimization::Weights,
            Pattern::SumOfProducts => Optimization::Sums,
            Pattern::DequantizedProduct => Optimization::Dequantized,
            Pattern::TernaryProducts => Optimization::Products,
            Pattern::TernaryGated => Optimization::Gated,
            Pattern::TernaryAdd => Optimization::Residual,
        }
    }
}

impl fmt::Display for Optimization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no optimisation has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no optimisation `{found}`; write some of {names}, with commas between them", names = names())]
pub struct UnknownOptimization {
    /// The name.
    pub found: String,
}

fn names() -> String {
    Optimization::ALL.map(Optimization::name).join(", ")
}

impl FromStr for Optimization {
    type Err = UnknownOptimization;

    fn from_str(name: &str) -> Result<Self, UnknownOptimization> {
        let found = Optimization::ALL.into_iter().find(|o| o.name() == name);
        found.ok_or_else(|| UnknownOptimization { found: name.to_owned() })
    }
}

/// The optimisations that are switched off.
///
/// ```
/// use premap::{Optimization, Switches};
/// let off = Switches::without([Optimization::Gated, Optimization::Reuse]);
/// assert!(off.off(Optimization::Reuse) && !off.off(Optimization::Fusion));
/// assert_eq!(off.to_string(), "gated,reuse");
/// assert_eq!(Switches::default().to_string(), "");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Switches(u32);

impl Switches {
    /// All of these off, all others on.
    pub fn without(list: impl IntoIterator<Item = Optimization>) -> Switches {
        Switches(list.into_iter().fold(0, |bits, o| bits | 1 << o as u32))
    }

    /// Whether one is off.
    pub fn off(self, o: Optimization) -> bool {
        self.0 & 1 << o as u32 != 0
    }

    /// Whether it is on.
    pub fn on(self, o: Optimization) -> bool {
        !self.off(o)
    }

    /// Whether a chain may be used.
    pub fn takes(self, pattern: Pattern) -> bool {
        self.on(Optimization::Patterns) && self.on(Optimization::of(pattern))
    }

    /// Those that are off.
    pub fn list(self) -> impl Iterator<Item = Optimization> {
        Optimization::ALL.into_iter().filter(move |o| self.off(*o))
    }
}

impl fmt::Display for Switches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.list().map(Optimization::name).collect::<Vec<_>>().join(","))
    }
}
