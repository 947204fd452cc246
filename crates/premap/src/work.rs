//! The work of a step: units of kernels, and bytes read and written.
//!
//! Counted from shapes alone, as the kernels of the CPU engine do it: a fused group loads each operand once, runs each
//! member on what is in registers and stores what others read; a product of few tokens makes one pass over its weights.

use crate::memory::element;
use crate::{Access, Buffer, Fused, Group, Kernel, Pattern, Plan, Step, cut};
use axes::{DType, TritLayout};
use graph::ops::dot::DotAxes;
use graph::{Dim, Node, Op, Value};

/// Rows up to which a product of floats is called thin.
pub const THIN: usize = 8;
/// Tokens up to which weights in blocks are unpacked for each token anew.
pub const FEW_BLOCKS: usize = 11;
/// Elements that a run must have to be copied as one.
const RUN: usize = 8;

/// What a step does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// Units of kernels, and the rows that they come in.
    pub units: Vec<(Kernel, f64, f64)>,
    /// Bytes read from each value.
    pub reads: Vec<(Value, usize)>,
    /// Bytes written to each value.
    pub writes: Vec<(Value, usize)>,
    /// Times that its parts run: more than 1 for the body of a loop.
    pub repeats: f64,
}

impl Work {
    fn add(&mut self, kernel: Kernel, units: f64) {
        self.add_rows(kernel, units, 0.0);
    }

    fn add_rows(&mut self, kernel: Kernel, units: f64, rows: f64) {
        if units > 0.0 {
            match self.units.iter_mut().find(|(k, ..)| *k == kernel) {
                Some((_, n, r)) => (*n, *r) = (*n + units, *r + rows),
                None => self.units.push((kernel, units, rows)),
            }
        }
    }
}

fn sizes(plan: &Plan, v: Value) -> Vec<usize> {
    plan.graph.ty(v).fixed_shape().unwrap_or_default()
}

fn len(plan: &Plan, v: Value) -> f64 {
    plan.graph.ty(v).elements().unwrap_or(0) as f64
}

/// The work of one step of a plan; that of regions is counted where they are predicted.
pub fn of(plan: &Plan, step: &Step) -> Work {
    let mut work = Work { repeats: 1.0, ..Work::default() };
    match step {
        Step::Group(g) => group(plan, g, &mut work),
        Step::Fused(f) => {
            whole(plan, &f.inputs, &f.outputs, &mut work);
            fused(plan, f, &mut work);
        }
        Step::Node(n) => {
            let node = &plan.graph.nodes[*n as usize];
            let results: Vec<Value> =
                (0..node.types.len() as u32).map(|out| Value { node: *n, out }).collect();
            whole(plan, &node.inputs, &results, &mut work);
            self::node(plan, *n, node, &mut work);
        }
        Step::Control(n, _) => {
            let node = &plan.graph.nodes[*n as usize];
            let results: Vec<Value> =
                (0..node.types.len() as u32).map(|out| Value { node: *n, out }).collect();
            whole(plan, &node.inputs, &results, &mut work);
        }
        Step::Copy { from, .. } => {
            work.reads.push((*from, plan.bytes(*from)));
            work.writes.push((*from, plan.bytes(*from)));
            work.add(Kernel::Copy, len(plan, *from));
        }
    }
    work
}

/// Every operand and every result once.
fn whole(plan: &Plan, inputs: &[Value], outputs: &[Value], work: &mut Work) {
    for v in inputs {
        if !work.reads.iter().any(|(w, _)| w == v) {
            work.reads.push((*v, plan.bytes(*v)));
        }
    }
    work.writes.extend(outputs.iter().filter(|v| plan.place(**v).is_some()).map(|v| (*v, plan.bytes(*v))));
}

fn group(plan: &Plan, g: &Group, work: &mut Work) {
    let n = (g.rows * g.cols) as f64;
    for i in &g.inputs {
        let each = match i.access {
            // Other types are converted while they are loaded.
            Access::Full | Access::Rows { .. } | Access::Row
                if plan.graph.ty(i.source).dtype != DType::F32 =>
            {
                (Kernel::Simple, 2.0 * n)
            }
            // A row that all share is read again for each, from the nearest cache.
            Access::Full | Access::Rows { .. } | Access::Row => (Kernel::Stream, n),
            Access::Col => (Kernel::Stream, n / 2.0),
            Access::Scalar => (Kernel::Stream, 0.0),
            Access::Strided { .. } => (Kernel::Strided, n),
        };
        work.add(each.0, each.1);
        let bytes = (g.rows * g.cols * element(plan.graph.ty(i.source).dtype)).min(plan.bytes(i.source));
        if !work.reads.iter().any(|(w, _)| *w == i.source) {
            work.reads.push((i.source, bytes));
        }
    }
    for m in &g.nodes {
        let kernel = match plan.graph.nodes[*m as usize].op {
            Op::Exp | Op::Sigmoid | Op::Silu => Kernel::Exp,
            Op::Tanh => Kernel::Tanh,
            Op::Log => Kernel::Log,
            Op::Sine | Op::Cosine => Kernel::Sine,
            Op::Power => Kernel::Power,
            Op::Divide | Op::Sqrt => Kernel::Divide,
            Op::Convert | Op::Identity | Op::StopGradient | Op::Surrogate => continue,
            _ => Kernel::Simple,
        };
        work.add(kernel, n);
    }
    for v in &g.outputs {
        work.add(Kernel::Stream, n);
        work.writes.push((*v, plan.bytes(*v)));
    }
}

/// A product of int8 activations with trits: tokens, outputs, columns.
fn trits(plan: &Plan, q: Value, w: Value, work: &mut Work) -> f64 {
    let shape = sizes(plan, w);
    let (m, k) = (shape[0], shape[1]);
    let n = len(plan, q) / k.max(1) as f64;
    let kernel = match plan.layout(w) {
        TritLayout::Bytes => Kernel::TritBytes,
        _ if n <= cut::FEW as f64 => Kernel::TritsFew,
        _ => Kernel::Trits,
    };
    // Rows of a register are computed whether they are there or not.
    let rows = if kernel == Kernel::Trits { m.next_multiple_of(16) } else { m };
    work.add_rows(kernel, n * rows as f64 * k.next_multiple_of(64) as f64, n * m as f64);
    n * m as f64
}

/// All elements of a value, in rows along its last axis.
fn by_rows(plan: &Plan, kernel: Kernel, v: Value, work: &mut Work) {
    let cols = sizes(plan, v).last().copied().unwrap_or(1).max(1) as f64;
    work.add_rows(kernel, len(plan, v), len(plan, v) / cols);
}

fn fused(plan: &Plan, f: &Fused, work: &mut Work) {
    let i = &f.inputs;
    match f.pattern {
        Pattern::RmsNormQuantize => by_rows(plan, Kernel::NormQuantise, i[0], work),
        Pattern::RmsNormFakeQuantize => by_rows(plan, Kernel::NormFake, i[0], work),
        Pattern::FakeQuantizeWeights => work.add(Kernel::QuantiseWeights, len(plan, i[0])),
        Pattern::SumOfProducts => {
            work.add_rows(Kernel::SumProducts, len(plan, i[0]), len(plan, f.outputs[0]));
        }
        Pattern::DequantizedProduct => {
            let dot = plan.graph.node(f.outputs[0]);
            let (sa, sq) = (sizes(plan, i[0]), sizes(plan, i[1]));
            let d = DotAxes::new(&dot.attrs, sa.len(), sq.len());
            let m: usize = d.lhs_free.iter().map(|a| sa[*a]).product();
            let elements = len(plan, i[1]);
            work.add_rows(if m <= THIN { Kernel::Gemv } else { Kernel::Gemm }, m as f64 * elements, elements);
            work.add(Kernel::Floats, elements);
        }
        Pattern::TernaryProducts => {
            i[2..].iter().step_by(2).for_each(|w| {
                trits(plan, i[0], *w, work);
            });
        }
        Pattern::TernaryGated => {
            let outputs: f64 = match i[2] == i[4] {
                true => trits(plan, i[0], i[2], work) / 2.0,
                false => [i[2], i[4]].map(|w| trits(plan, i[0], w, work)).iter().sum::<f64>() / 2.0,
            };
            let silu = f.nodes.iter().any(|n| plan.graph.nodes[*n as usize].op == Op::Silu);
            if silu {
                work.add(Kernel::Exp, outputs);
            }
            work.add(Kernel::Simple, 2.0 * outputs);
        }
        Pattern::TernaryAdd => {
            let outputs = trits(plan, i[0], i[2], work);
            work.add(Kernel::Simple, 2.0 * outputs);
        }
    }
}

fn node(plan: &Plan, at: u32, n: &Node, work: &mut Work) {
    let input = |k: usize| len(plan, n.inputs[k]);
    let result = |k: u32| len(plan, Value { node: at, out: k });
    let dtype = |k: usize| plan.graph.ty(n.inputs[k]).dtype;
    let f32s = n.types.first().is_some_and(|t| t.dtype == DType::F32);
    match n.op {
        Op::RmsNorm => by_rows(plan, Kernel::Norm, n.inputs[0], work),
        Op::RmsNormGrad => by_rows(plan, Kernel::NormGrad, n.inputs[0], work),
        Op::QuantizeActivations => by_rows(plan, Kernel::Quantise, n.inputs[0], work),
        Op::QuantizeWeights => work.add(Kernel::QuantiseWeights, input(0)),
        Op::TernaryLinear if f32s => {
            trits(plan, n.inputs[0], n.inputs[2], work);
        }
        Op::LinearScan => {
            let s = sizes(plan, n.inputs[0]);
            let twice = if cut::scan_chunk(s[0], s[1], s[2]) < s[1] { 2.0 } else { 1.0 };
            // Each step of a block of channels is a loop of its own.
            let rows = input(0) / s[2].clamp(1, cut::CHANNELS) as f64;
            work.add_rows(Kernel::Scan, twice * input(0), twice * rows);
        }
        Op::LinearScanGrad => {
            let s = sizes(plan, n.inputs[2]);
            let rows = input(2) / s[2].clamp(1, cut::CHANNELS) as f64;
            work.add_rows(Kernel::ScanGrad, input(2), rows);
        }
        Op::SelectiveScan | Op::SelectiveScanGrad => {
            let states = sizes(plan, n.inputs[2]).get(1).copied().unwrap_or(1) as f64;
            let kernel = if n.op == Op::SelectiveScan { Kernel::Selective } else { Kernel::SelectiveGrad };
            // A step of a block of lanes reads and writes a line each.
            work.add_rows(kernel, input(0) * states, input(0) / cut::LANES as f64);
        }
        Op::Ssd | Op::SsdGrad => {
            // Priced as a selective scan, whose steps it has without their exponentials.
            let states = sizes(plan, n.inputs[3]).get(3).copied().unwrap_or(1) as f64;
            let kernel = if n.op == Op::Ssd { Kernel::Selective } else { Kernel::SelectiveGrad };
            work.add_rows(kernel, input(0) * states, input(0) / cut::LANES as f64);
        }
        Op::LinearAttention | Op::LinearAttentionGrad => {
            let (q, v) = (sizes(plan, n.inputs[0]), sizes(plan, n.inputs[2]));
            let (steps, chunk) = (input(0) / q[3].max(1) as f64, q[1].min(cut::STATE_CHUNK) as f64);
            let (m, d) = (q[3] as f64, v[3] as f64);
            // Products within a chunk and with the matrix: 2 of each, and backwards 5 and 7.
            let (within, across) = if n.op == Op::LinearAttention { (1.0, 2.0) } else { (2.5, 7.0) };
            let kernel = if q[1] <= 8 { Kernel::Gemv } else { Kernel::Gemm };
            work.add(kernel, steps * (within * chunk * (m + d) + across * m * d));
        }
        Op::Mlstm | Op::MlstmGrad => {
            let (q, v) = (sizes(plan, n.inputs[0]), sizes(plan, n.inputs[2]));
            let (keys, values) = (q[3] as f64, v[3] as f64);
            let chunk = cut::memory_chunk(q[3], v[3]).min(q[1]) as f64;
            // Products within a chunk, and with the memory: three times and two and a half times as many backward.
            let (within, memory) = match n.op {
                Op::Mlstm => (keys + values, 2.0),
                _ => (3.0 * keys + 2.0 * values, 5.0),
            };
            let each = chunk * within + memory * keys * values;
            work.add_rows(Kernel::Gemm, input(3) * each, input(3) * (keys + values));
        }
        Op::Slstm | Op::SlstmGrad => {
            let width = sizes(plan, n.inputs[0])[4] as f64;
            let products = if n.op == Op::Slstm { 1.0 } else { 3.0 };
            work.add_rows(Kernel::Gemv, products * width * input(0), input(0));
            work.add(Kernel::Exp, 1.5 * input(0));
        }
        Op::Rope => by_rows(plan, Kernel::Rope, n.inputs[0], work),
        Op::KvAttention => attention(plan, at, n, work),
        Op::CrossEntropy => by_rows(plan, Kernel::Softmax, n.inputs[0], work),
        Op::CrossEntropyGrad => by_rows(plan, Kernel::SoftmaxGrad, Value { node: at, out: 0 }, work),
        Op::DotGeneral if f32s && n.attrs.get("accumulator").is_none() => {
            let (sa, sb) = (sizes(plan, n.inputs[0]), sizes(plan, n.inputs[1]));
            let d = DotAxes::new(&n.attrs, sa.len(), sb.len());
            let of = |s: &[usize], axes: &[usize]| axes.iter().map(|a| s[*a]).product::<usize>();
            let (m, cols) = (of(&sa, &d.lhs_free), of(&sb, &d.rhs_free));
            let k = of(&sa, &d.lhs_contract) as f64;
            // The right factor is packed once, element by element.
            let kernel = if m.min(cols) <= THIN { Kernel::Gemv } else { Kernel::Gemm };
            work.add_rows(kernel, k * result(0), k * cols as f64);
        }
        Op::ReduceSum | Op::ReduceMax | Op::ReduceMin | Op::ArgMax if dtype(0) == DType::F32 => {
            let rank = plan.graph.ty(n.inputs[0]).rank();
            let axes = match n.op {
                Op::ArgMax => vec![n.attrs.int("axis", 0) as usize],
                _ => n.attrs.ints("axes"),
            };
            let rows = axes.contains(&rank.saturating_sub(1));
            work.add_rows(if rows { Kernel::Reduce } else { Kernel::ReduceColumns }, input(0), result(0));
        }
        Op::Identity
        | Op::Broadcast
        | Op::Transpose
        | Op::Slice
        | Op::Reverse
        | Op::Pad
        | Op::Concatenate
        | Op::Windows => moved(plan, at, n, work),
        Op::Gather | Op::BlockRows => {
            rows(plan, n, result(0), if n.op == Op::Gather { 0 } else { 1 }, work);
        }
        Op::TakeAlong | Op::ScatterAddAlong => work.add(Kernel::Shuffle, result(0).max(input(0))),
        Op::ScatterAdd if f32s => work.add(Kernel::Rows, result(0) + 2.0 * input(0)),
        Op::Convert if n.types[0].dtype == DType::BF16 => work.add(Kernel::Simple, 2.0 * input(0)),
        Op::BlockLinear => {
            let k = n.attrs.int("columns", 1).max(1) as f64;
            let tokens = input(0) / k;
            let few = tokens <= FEW_BLOCKS as f64;
            work.add_rows(if few { Kernel::BlocksFew } else { Kernel::Blocks }, k * result(0), result(0));
            work.add(Kernel::Quantise, input(0));
        }
        Op::WindowsAdd if f32s => work.add(Kernel::Shuffle, input(0)),
        Op::Iota => work.add(Kernel::Iota, result(0)),
        _ => {
            let types: Vec<_> = n.inputs.iter().map(|v| plan.graph.ty(*v).clone()).collect();
            let cost = n.op.cost(&n.attrs, &types, &n.types);
            let elements: f64 = (0..n.types.len() as u32).map(result).sum();
            work.add(Kernel::Naive, elements.max(cost.operations + cost.transcendental));
        }
    }
}

/// Attention of T tokens that end where the cache ends, or begin it where the cache has room for them alone: a query at
/// place p reads p + 1 keys and values.
fn attention(plan: &Plan, at: u32, n: &Node, work: &mut Work) {
    let (q, cache) = (sizes(plan, n.inputs[0]), sizes(plan, n.inputs[3]));
    let (time, places) = (q[1], cache[1]);
    let first = places - time.min(places);
    let seen = first as f64 + (time as f64 + 1.0) / 2.0;
    let queries = len(plan, n.inputs[0]);
    work.add_rows(Kernel::Attention, 2.0 * seen * queries, queries / q[3].max(1) as f64);
    work.add(Kernel::Exp, seen * queries / q[3].max(1) as f64);
    // New rows are written, the others stay where they are.
    let share = |v: Value| plan.bytes(v) * time / places.max(1);
    let apart = |pair: &(usize, usize)| {
        let result = Value { node: at, out: pair.1 as u32 };
        n.inputs.get(pair.0).is_some_and(|v| plan.place(*v).is_some() && !same_place(plan, *v, result))
    };
    let copied: Vec<u32> = n.op.in_place().iter().filter(|p| apart(p)).map(|p| p.1 as u32).collect();
    for out in &copied {
        work.add(Kernel::Copy, len(plan, Value { node: at, out: *out }));
    }
    for w in work.writes.iter_mut().filter(|w| w.0.out > 0 && !copied.contains(&w.0.out)) {
        w.1 = share(w.0);
    }
}

/// Whether a result lies where an operand lies: in one buffer, or in an output that replaces the input.
fn same_place(plan: &Plan, v: Value, result: Value) -> bool {
    let buffer = |v: Value| plan.place(v).map(|p| &plan.buffers[p.buffer as usize]);
    match (buffer(v), buffer(result)) {
        (Some(Buffer::Input(i)), Some(Buffer::Output(o))) => plan.donated.contains(&(*i, *o)),
        (a, b) => a == b,
    }
}

/// Only the rows that are asked for are read.
fn rows(plan: &Plan, n: &Node, result: f64, table: usize, work: &mut Work) {
    let v = n.inputs[table];
    let count = sizes(plan, v).first().copied().unwrap_or(1).max(1);
    let asked = len(plan, n.inputs[1 - table]) as usize;
    let bytes = plan.bytes(v) / count * asked.min(count);
    work.reads.iter_mut().filter(|(w, _)| *w == v).for_each(|r| r.1 = bytes);
    let width = result / asked.max(1) as f64;
    work.add_rows(Kernel::Rows, result, result / width.max(1.0));
}

/// Copies: in runs where the last axis stays the last, else element by element.
fn moved(plan: &Plan, at: u32, n: &Node, work: &mut Work) {
    let to = sizes(plan, Value { node: at, out: 0 });
    let elements = to.iter().product::<usize>() as f64;
    let last = to.iter().rposition(|s| *s != 1).unwrap_or(0);
    let run = to.get(last).copied().unwrap_or(1);
    let runs = match n.op {
        Op::Transpose => n.attrs.ints("perm").last() == Some(&to.len().wrapping_sub(1)),
        Op::Reverse => n.attrs.int("axis", 0) as usize != last,
        Op::Windows => false,
        _ => true,
    };
    // What a pad fills is written first.
    let twice = if n.op == Op::Pad { 2.0 } else { 1.0 };
    let kernel = if runs && run >= RUN { Kernel::Copy } else { Kernel::Shuffle };
    work.add_rows(kernel, twice * elements, elements / run.max(1) as f64);
    if n.op == Op::Slice {
        work.reads.iter_mut().for_each(|r| r.1 = r.1.min(plan.bytes(Value { node: at, out: 0 })));
    }
}

/// How often the regions of a node run, region by region in the order of their plans; a loop without a known end counts
/// as one round.
pub fn repeats(n: &Node, regions: usize) -> Vec<f64> {
    match n.op {
        Op::Scan => {
            let length = n.attrs.dims("length").first().and_then(Dim::fixed).unwrap_or(1);
            vec![length as f64; regions]
        }
        Op::Cond => vec![1.0 / regions.max(1) as f64; regions],
        _ => vec![1.0; regions],
    }
}
