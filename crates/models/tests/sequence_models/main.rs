//! Linear attention, Performer, BitNet b1, the Transformer and hybrids: against data of their published implementations,
//! and their forms against one another.

#![allow(missing_docs)]

mod bitnet_b1;
mod forms;
mod linear_attention;
mod performer;
mod support;
