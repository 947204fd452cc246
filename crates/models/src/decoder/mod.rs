//! Decoders with causal attention: one piece of code for every architecture of this family.
//!
//! A [`Decoder`] says what an architecture has of the parts that such models share: grouped heads, rotary positions, a
//! gated unit, RMS norms in places that differ, linear layers that are ternary or not. [`graph`](fn@graph) builds the
//! whole-sequence form and the form with caches of keys and values from it; a streaming step is the latter for one token.

pub mod binary;
mod block;
pub(crate) mod config;
mod graphs;
mod linear;

pub use binary::BinaryForm;
pub use block::{Attention, Block, Cached, GatedUnit};
pub use graphs::{graph, states};
pub use linear::{Kind, Linear};

use std::collections::BTreeMap;

use axes::BlockFormat;

use crate::frame::{LinearKind, Quantizer};

/// Name of the embedding in the state dict.
pub const EMBEDDING: &str = "model.embed_tokens.weight";

axes::axes! {
    /// Sequences that are processed together.
    pub Batch;
    /// Positions of a sequence.
    pub Seq;
    /// The residual stream, d.
    pub Hidden;
    /// All heads of queries side by side, H · D.
    pub Queries;
    /// All heads of keys or of values side by side, G · D.
    pub Keys;
    /// Heads of queries.
    pub Heads;
    /// Heads of keys and values.
    pub Groups;
    /// A head.
    pub Width;
    /// The gated unit, n.
    pub Intermediate;
    /// Tokens.
    pub Vocab;
    /// Half a head: the planes that positions turn.
    pub Half;
}

/// Nonlinearity of a gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Activation {
    /// max(x, 0)².
    #[default]
    Relu2,
    /// x · sigmoid(x).
    Silu,
}

impl Activation {
    pub(crate) const NAMES: [(Self, &'static str); 2] = [(Self::Relu2, "relu2"), (Self::Silu, "silu")];

    /// The name in `config.json`.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }
}

/// What the linear layers in the blocks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linears {
    /// Floats.
    Plain,
    /// Ternary, their activations int8, with no norm of their own (BitNet b1.58).
    Ternary,
    /// Binary, their activations int8 behind a norm without weights (BitNet b1).
    Binary(BinaryForm),
    /// As `linear` in a configuration says, quantised ones behind a norm with a weight `NAME.norm.weight`.
    Normed(LinearKind),
}

impl Linears {
    /// How master weights become trits; nothing where they stay floats.
    pub fn quantizer(self) -> Option<Quantizer> {
        match self {
            Self::Plain => None,
            Self::Ternary => Some(Quantizer::Absmean),
            Self::Binary(form) => Some(form.quantizer()),
            Self::Normed(kind) => kind.is_quantized().then(|| kind.quantizer()),
        }
    }
}

/// A decoder's sizes and parts.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    /// Rows of the embedding.
    pub vocab: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width of the gated unit.
    pub intermediate: usize,
    /// Blocks.
    pub layers: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values.
    pub groups: usize,
    /// Width of a head.
    pub width: usize,
    /// Base of the rotation's frequencies.
    pub theta: f64,
    /// eps of all norms.
    pub eps: f64,
    /// Nonlinearity of the gate.
    pub activation: Activation,
    /// Norms before the output and the down projection (BitNet).
    pub sub_norms: bool,
    /// Norms of each head's queries and keys before they are turned (Qwen3).
    pub head_norms: bool,
    /// What the linear layers in the blocks are.
    pub linear: Linears,
    /// The head uses the embedding's weight.
    pub tied: bool,
    /// Matrices that lie in blocks, by name.
    pub formats: &'a BTreeMap<String, BlockFormat>,
}

/// The frequencies of the rotation of heads of `width`, as the published code computes them, in f32.
pub fn inverse_frequencies(theta: f64, width: usize) -> Vec<f32> {
    let exponents = (0..width / 2).map(|k| (2 * k) as f32 / width as f32);
    exponents.map(|x| 1.0 / (theta as f32).powf(x)).collect()
}
