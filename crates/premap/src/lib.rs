//! Computational graph pre-mapping: a graph of fixed sizes becomes a [`Plan`] for one target.
//!
//! 1. [`lower`](lower::lower): what the target has no code for is decomposed into core ops; ops that only exist for
//!    differentiation disappear.
//! 2. [`pattern`](pattern::find): chains of nodes that the target runs as one kernel;
//!    [`group`](group::group): elementwise ops join into groups that read their operands and write their results
//!    once; broadcasts become ways of reading.
//! 3. [`schedule`](schedule::schedule): an order of steps, the wanted early results first, in-place updates last.
//! 4. [`memory`](memory::assign): every value gets a place in one arena, with reuse after its last reader.
//! 5. [`layout`](layout::resolve): how trits lie in memory, and that everything which reads them can.
//! 6. [`remat`](remat::plan_within), under a memory limit: values that wait long are computed again instead of kept.
//!
//! The plan says nothing about instructions: the engine runs it, and the compiler emits from it.

pub mod cost;
pub mod cut;
pub mod group;
pub mod layout;
pub mod lower;
pub mod machine;
pub mod memory;
pub mod pattern;
pub mod plan;
mod presets;
pub mod remat;
pub mod report;
pub mod schedule;
pub mod switches;
mod traffic;
pub mod work;

pub use machine::{Kernel, Machine};
pub use plan::{Access, Buffer, Fused, Group, GroupInput, Options, Pattern, Place, Plan, Step, Target};
pub use report::{About, Report};
pub use switches::{Optimization, Switches, UnknownOptimization};

use graph::Graph;

/// Why a graph could not be planned.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A size is still a symbol.
    #[error("{what} has the symbolic size {ty}; specialise the graph first (`Graph::specialize`)")]
    Symbolic {
        /// The value.
        what: String,
        /// Its type.
        ty: String,
    },
    /// Names of the options do not exist in the graph.
    #[error("the graph has no {kind} called `{name}`")]
    Unknown {
        /// `input` or `output`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// An in-place update pairs values of different types.
    #[error("`{input}` cannot be updated in place by `{output}`: {found} does not fit {expected}")]
    Donation {
        /// The input.
        input: String,
        /// The output.
        output: String,
        /// The input's type.
        expected: String,
        /// The output's type.
        found: String,
    },
    /// An input or an output occurs in two in-place updates.
    #[error("the {kind} `{name}` is part of two in-place updates")]
    DonatedTwice {
        /// `input` or `output`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// An output is wanted early, when no input may have been overwritten yet, and in the place of an input.
    #[error("the output `{output}` is wanted early, so it cannot take the place of the input `{input}`")]
    EarlyDonation {
        /// The input.
        input: String,
        /// The output.
        output: String,
    },
    /// An input that is to be packed is no matrix of trits.
    #[error(
        "the input `{input}` cannot be laid out as {layout} trits: expected trits of two axes, found {found}"
    )]
    Layout {
        /// The input.
        input: String,
        /// The wanted layout.
        layout: axes::TritLayout,
        /// The input's type.
        found: String,
    },
    /// Something reads a packed input that only reads trits of one byte each.
    #[error(
        "the input `{input}` is packed ({layout}), which only ternary products read, and {reader} reads it too; give \
         that input as bytes"
    )]
    PackedReader {
        /// The input.
        input: String,
        /// Its layout.
        layout: axes::TritLayout,
        /// The op or the output that reads it.
        reader: String,
    },
    /// Steps that wait for each other: a fault of the planner.
    #[error("the steps of the plan wait for each other, {0} of them are left over; please report this graph")]
    Cycle(usize),
    /// No plan that fits was found.
    #[error(
        "the plan needs {reached} bytes even where values are computed again, and {limit} are allowed; allow more, or \
         make the batch or the sequence smaller"
    )]
    Memory {
        /// Bytes allowed.
        limit: usize,
        /// Bytes of the smallest plan found.
        reached: usize,
    },
    /// The graph itself is at fault.
    #[error(transparent)]
    Graph(#[from] graph::GraphError),
}

/// Plans a graph for a target.
pub fn plan(graph: &Graph, target: &Target, options: &Options) -> Result<Plan, PlanError> {
    let share = options.switches.on(Optimization::Cse);
    let lowered = if options.taps {
        lower::lower_with(graph, target, share)?
    } else {
        // What only taps need is not computed.
        lower::lower_with(&Graph { taps: vec![], ..graph.clone() }, target, share)?
    };
    for n in &lowered.nodes {
        if let Some(t) = n.types.iter().find(|t| t.fixed_shape().is_none()) {
            return Err(PlanError::Symbolic { what: n.op.name().into(), ty: t.to_string() });
        }
    }
    match options.memory {
        Some(limit) => remat::plan_within(lowered, target, options, limit),
        None => remat::plan_cheap(lowered, target, options),
    }
}

/// The plan of a lowered graph as it stands.
fn build(lowered: Graph, target: &Target, options: &Options) -> Result<Plan, PlanError> {
    let chains = pattern::find(&lowered, target, options);
    let layouts = layout::resolve(&lowered, &chains, target, options)?;
    let groups = group::group(&lowered, &chains, options);
    let order = schedule::schedule(&lowered, &groups, &chains, options)?;
    memory::assign(lowered, groups, chains, order, layouts, target, options)
}
