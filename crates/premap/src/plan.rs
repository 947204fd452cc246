//! What planning yields.

use crate::Switches;
use axes::TritLayout;
use graph::{Cost, Graph, Op, Value};
use std::collections::HashMap;

/// What a backend can do.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Composite ops that it has code for; the others are decomposed.
    pub fused: Vec<Op>,
    /// Alignment of buffers, bytes.
    pub align: usize,
    /// Chains of nodes that it has one kernel for.
    pub patterns: Vec<Pattern>,
    /// Whether its quantiser writes, and its products read, trits in the compute layout.
    pub packs: bool,
    /// Tokens from which on [`Pattern::TernaryGated`] is faster than its parts.
    pub gated_from: usize,
}

/// A chain of nodes with one kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// (x, weight) → (1/rms, scale, the int8 activations as the numbers that they stand for).
    RmsNormFakeQuantize,
    /// (x, weight) → (1/rms, scale, int8 activations).
    RmsNormQuantize,
    /// (w) → (scale, the trits as the numbers that they stand for).
    FakeQuantizeWeights,
    /// (a, b) → Σ a b along the last axes.
    SumOfProducts,
    /// (a, q (rows…, K), scale) → a · (q / scale), contracted over the rows of q: a gradient times int8 activations or
    /// trits, which stay in their own form until the product reads them. The scale is one number, or one per row.
    DequantizedProduct,
    /// (q, scale, w, w's scale, w, w's scale, …) → a product of the same int8 activations with each matrix of trits, such
    /// as the projections of queries, keys and values: one step, so one barrier.
    TernaryProducts,
    /// (q, scale, gate, gate's scale, up, up's scale) → function(gate) · up of two such products, the function being SiLU or
    /// the square of ReLU. The two matrices may be the halves of one, which is then given twice.
    TernaryGated,
    /// (q, scale, w, w's scale, term) → product + term, such as the residual stream.
    TernaryAdd,
}

/// Nodes that run as one kernel.
#[derive(Clone, Debug)]
pub struct Fused {
    /// Which chain.
    pub pattern: Pattern,
    /// The member nodes in order.
    pub nodes: Vec<u32>,
    /// Operands, as the pattern lists them.
    pub inputs: Vec<Value>,
    /// Results, as the pattern lists them; some may have no reader.
    pub outputs: Vec<Value>,
}

impl Default for Target {
    /// Core ops alone.
    fn default() -> Target {
        Target { name: "core", fused: vec![], align: 64, patterns: vec![], packs: false, gated_from: 1 }
    }
}

/// What the user of a plan wants of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Inputs that an output replaces in place: (input, output).
    pub donate: Vec<(String, String)>,
    /// Outputs that must be known before any donated input is overwritten; they end the plan's first part.
    pub early: Vec<String>,
    /// Join elementwise ops (off: one step per op, to see what fusion is worth).
    pub fuse: bool,
    /// Reuse memory after a value's last reader (off: every value keeps its own).
    pub reuse: bool,
    /// Keep the graph's taps as outputs.
    pub taps: bool,
    /// Bytes that the arena may take at most; what does not fit is computed again when it is needed
    /// ([`crate::remat`]). `None`: nothing is computed twice.
    pub memory: Option<usize>,
    /// Make activation functions and norms again where they are needed instead of keeping them for long
    /// ([`crate::remat::plan_cheap`]).
    pub recompute: bool,
    /// Inputs of trits that are not one byte each: (input, layout). Only ternary products may read them.
    pub layouts: Vec<(String, TritLayout)>,
    /// Optimisations that are switched off, one by one; `fuse` off stands for fusion and patterns.
    pub switches: Switches,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            donate: vec![],
            early: vec![],
            fuse: true,
            reuse: true,
            taps: false,
            memory: None,
            recompute: false,
            layouts: vec![],
            switches: Switches::default(),
        }
    }
}

/// How a fused group reads an operand, its iteration space being rows × cols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Element i.
    Full,
    /// One element per column.
    Row,
    /// One element per row.
    Col,
    /// One element.
    Scalar,
    /// Whole rows of a wider matrix: element `offset + row * stride + column`.
    Rows {
        /// From one row to the next.
        stride: usize,
        /// The first element.
        offset: usize,
    },
    /// Any pattern: per axis of `dims` a stride in elements, from `offset`.
    Strided {
        /// Sizes of the iteration space.
        dims: Vec<usize>,
        /// Stride along each.
        strides: Vec<isize>,
        /// First element.
        offset: usize,
    },
}

/// An operand of a group.
#[derive(Clone, Debug)]
pub struct GroupInput {
    /// The value as the members name it (the result of a broadcast, or the value itself).
    pub seen: Value,
    /// The value that is read.
    pub source: Value,
    /// How it is read.
    pub access: Access,
}

/// Elementwise ops that run as one loop.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The member nodes in order.
    pub nodes: Vec<u32>,
    /// Operands from outside.
    pub inputs: Vec<GroupInput>,
    /// Results that others read.
    pub outputs: Vec<Value>,
    /// Outer size of the iteration space.
    pub rows: usize,
    /// Inner size.
    pub cols: usize,
}

/// One step of a plan.
#[derive(Clone, Debug)]
pub enum Step {
    /// A fused elementwise group.
    Group(Group),
    /// A chain of nodes by one kernel.
    Fused(Fused),
    /// One node by its kernel.
    Node(u32),
    /// One node with regions; a plan per region, in the order of the attributes' names.
    Control(u32, Vec<Plan>),
    /// Copies a value to an output that could not be written directly.
    Copy {
        /// The value.
        from: Value,
        /// The output's number.
        output: usize,
    },
}

/// Memory that the plan names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Buffer {
    /// Part of the arena.
    Arena {
        /// First byte.
        offset: usize,
        /// Size.
        bytes: usize,
    },
    /// The memory bound to an input.
    Input(usize),
    /// The memory bound to an output.
    Output(usize),
    /// A dense constant, made when the plan is loaded.
    Constant(u32),
}

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index into [`Plan::buffers`].
    pub buffer: u32,
    /// First byte within it.
    pub offset: usize,
}

/// Memory outside the arena that a run is given; see [`Plan::bindings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The memory bound to an input.
    Input(usize),
    /// The memory bound to an output (taps come behind the outputs).
    Output(usize),
    /// The elements of a dense constant.
    Constant(u32),
}

/// A schedule of steps with a place for every value.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The lowered graph.
    pub graph: Graph,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// Number of steps after which the early outputs are known.
    pub early: usize,
    /// The buffers.
    pub buffers: Vec<Buffer>,
    /// A place for each result of each node that needs one.
    pub places: Vec<Vec<Option<Place>>>,
    /// How the trits of a value lie, where not one byte each; see [`Plan::layout`].
    pub layouts: HashMap<Value, TritLayout>,
    /// Bytes of the arena.
    pub arena: usize,
    /// Bytes that all arena values would take without reuse.
    pub unshared: usize,
    /// Pairs (input, output) that a step updates in place.
    pub donated: Vec<(usize, usize)>,
    /// Pairs (input, output) that may share memory as well, because the output is copied there last.
    pub copied: Vec<(usize, usize)>,
    /// Work of one run.
    pub cost: Cost,
    /// Nodes that are computed a second time to keep within a memory limit.
    pub recomputed: usize,
}

impl Plan {
    /// Where `v` lies.
    pub fn place(&self, v: Value) -> Option<Place> {
        self.places.get(v.node as usize)?.get(v.out as usize).copied().flatten()
    }

    /// The memory that compiled code is given besides the arena, in order: the buffers that do not lie in the arena, then
    /// the outputs (and taps) that no buffer stands for, which are written by copies alone.
    pub fn bindings(&self) -> Vec<Binding> {
        let outside = |b: &Buffer| match b {
            Buffer::Arena { .. } => None,
            Buffer::Input(i) => Some(Binding::Input(*i)),
            Buffer::Output(o) => Some(Binding::Output(*o)),
            Buffer::Constant(n) => Some(Binding::Constant(*n)),
        };
        let mut list: Vec<Binding> = self.buffers.iter().filter_map(outside).collect();
        let outputs = (0..self.graph.outputs.len() + self.graph.taps.len()).map(Binding::Output);
        let rest: Vec<Binding> = outputs.filter(|o| !list.contains(o)).collect();
        list.extend(rest);
        list
    }

    /// How the trits of `v` lie.
    pub fn layout(&self, v: Value) -> TritLayout {
        self.layouts.get(&v).copied().unwrap_or_default()
    }

    /// Bytes that `v` takes, packed as its layout says.
    pub fn bytes(&self, v: Value) -> usize {
        crate::memory::bytes(&self.graph, &self.layouts, v)
    }

    /// The nodes of a step.
    pub fn nodes<'a>(&self, step: &'a Step) -> &'a [u32] {
        match step {
            Step::Group(g) => &g.nodes,
            Step::Fused(f) => &f.nodes,
            Step::Node(n) | Step::Control(n, _) => std::slice::from_ref(n),
            Step::Copy { .. } => &[],
        }
    }

    /// A line per step: what runs, over what sizes, for which part of the model.
    pub fn describe(&self) -> String {
        use std::fmt::Write;
        let mut out = String::new();
        for (i, s) in self.steps.iter().enumerate() {
            let nodes = self.nodes(s);
            let names: Vec<_> = nodes.iter().map(|n| self.graph.nodes[*n as usize].op.name()).collect();
            let scope = nodes
                .last()
                .map_or("", |n| self.graph.scopes[self.graph.nodes[*n as usize].scope as usize].as_str());
            let ty =
                nodes.last().map_or(String::new(), |n| self.graph.nodes[*n as usize].types[0].to_string());
            let _ = match s {
                Step::Copy { output, .. } => writeln!(out, "{i:4} copy to output {output}"),
                _ => writeln!(out, "{i:4} {:<40} {ty:<20} {scope}", names.join("+")),
            };
        }
        for input in &self.graph.inputs {
            if let Some(layout) = self.layouts.get(&input.value) {
                let (ty, bytes) = (self.graph.ty(input.value), self.bytes(input.value));
                let _ = writeln!(out, "input {:<40} {ty:<20} {layout}, {bytes} bytes", input.name);
            }
        }
        let _ = writeln!(out, "arena {} bytes ({} without reuse)", self.arena, self.unshared);
        if self.recomputed > 0 {
            let _ = writeln!(out, "{} nodes are computed twice to save memory", self.recomputed);
        }
        out
    }
}
