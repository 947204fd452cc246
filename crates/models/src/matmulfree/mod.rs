//! The MatMul-free language model (Zhu et al. 2024, "Scalable MatMul-free Language Modeling", arXiv 2406.02528) as the
//! published checkpoints compute it.
//!
//! Written with named axes: two swapped projections, or a gate of the wrong width, do not compile. The same code
//! builds three graphs: the whole-sequence form ([`sequence_graph`]), the streaming step ([`step_graph`]), and the
//! preparation of ternary weights that a served model runs once ([`prepare_graph`]).
//!
//! What the published code does beyond the paper, kept here: two norms before every projection (the block's and the
//! projection's own, with its own eps), the norm of the output gate on the gate and the swish on the state, gates
//! bounded from below by depth, a ternary head.

mod architecture;
mod bitlinear;
mod block;
mod graphs;
mod mixer;

pub use crate::forms::{Form, GraphOptions};
pub use bitlinear::{BitLinear, Products, Weight};
pub(crate) use block::causal_conv;
pub use block::{Block, ChannelMixer, Mlgru, Recurrent};
pub use graphs::{
    bounds_graph, prepare_graph, prepared_names, projections, sequence_graph, state_names, step_graph,
};
pub use mixer::MlgruMixer;

axes::axes! {
    /// Sequences that are processed together.
    pub Batch;
    /// Positions of a sequence.
    pub Seq;
    /// The residual stream, d.
    pub Hidden;
    /// The recurrence: d times the expand ratio.
    pub Inner;
    /// The channel mixer, n.
    pub Intermediate;
    /// Gate and value of the channel mixer side by side, 2n.
    pub GateUp;
    /// Tokens.
    pub Vocab;
    /// Layers, L.
    pub Layers;
}
