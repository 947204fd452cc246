//! How steps are cut over threads: the rules that the CPU engine follows, in one place, so that a plan can say it too.
//!
//! Work is cut by shape, never by the number of threads, so no result depends on that number. The engine's kernels call
//! these functions and read these sizes; [`rounds`] says for a step of a plan what they come to. A round is one call of
//! the pool: its tasks are dealt out, and the next round begins when all are done, which is what a barrier costs. A
//! round of one task, and a step without rounds, runs on the calling thread.

use crate::{Access, Fused, Group, Pattern, Plan, Step};
use axes::{DType, TritLayout};
use graph::ops::dot::DotAxes;
use graph::{Node, Op, Value};
use serde::Serialize;

/// Rows of a task of the kernels over rows, and the rows whose sum is one partial sum.
pub const ROWS: usize = 32;
/// Elements of a task of the kernels that do not care about rows.
pub const ELEMENTS: usize = 16 * 1024;
/// Elements of a task of a fused group: a fraction of the second-level cache, and enough work to hide the hand-over.
pub const GROUP: usize = 16 * 1024;
/// Tokens up to which a product with packed trits makes one pass over the weights.
pub const FEW: usize = 8;
/// Bytes of weights of a task for few tokens: a few microseconds of work.
pub const TRIT_BYTES: usize = 64 << 10;
/// Weight rows of a task for many tokens.
pub const TRIT_ROWS: usize = 128;
/// Tokens of a task for many tokens.
pub const TRIT_TOKENS: usize = 128;
/// Activations of a task that arranges them for products with trits.
pub const ARRANGED: usize = 64 << 10;
/// Channels of a task of a linear scan: the state of a block stays in the first-level cache, and rows are read in whole
/// pages.
pub const CHANNELS: usize = 512;
/// Channels of a task of a selective scan: the lanes of a vector.
pub const LANES: usize = 16;
/// Blocks of lanes of a task of a selective scan's backward form, which share their sums over channels.
pub const LANE_BLOCKS: usize = 8;
/// Steps of a chunk of attention with a state.
pub const STATE_CHUNK: usize = 64;
/// Steps of a chunk of a matrix memory with heads of these widths. Per step a chunk of L costs L (K + V) products within it,
/// and K V / L products to move the memory, which are slower by about the factor here.
pub fn memory_chunk(keys: usize, values: usize) -> usize {
    let best = (64 * keys * values / (keys + values).max(1)).isqrt();
    best.next_power_of_two().clamp(16, 128)
}

/// Queries of a task of attention.
pub const QUERIES: usize = 16;
/// Rows that a task turns into floats before a product with int8 or trits.
pub const FLOAT_ROWS: usize = 64;
/// Floats of a block of such rows: 4 MB, a share of the last-level cache.
pub const FLOAT_BLOCK: usize = 1 << 20;
/// Rows of trits of one byte for one token, and tokens for several.
pub const BYTE_OUTPUTS: usize = 128;
/// See [`BYTE_OUTPUTS`].
pub const BYTE_ROWS: usize = 8;
/// Most tokens of a tile that goes through a whole block of compiled code: what lies between its ops stays in a second-level
/// cache.
pub const TILE_TOKENS: usize = 96;

/// Tokens of the tiles of a block of compiled code over `n` tokens: about equal ones. Depends on the shape alone.
pub fn tile_tokens(n: usize) -> usize {
    n.div_ceil(n.div_ceil(TILE_TOKENS).max(1)).max(1)
}

/// The iteration space of a fused group as it is cut: rows, columns, rows of a task. Rows of one element can be cut
/// anywhere, which is as good when every operand is read element by element.
pub fn group(g: &Group) -> (usize, usize, usize) {
    let flat = g.inputs.iter().all(|i| matches!(i.access, Access::Full | Access::Scalar));
    let (rows, cols) = if flat { (g.rows * g.cols, 1) } else { (g.rows, g.cols) };
    (rows, cols, (GROUP / cols.max(1)).max(1))
}

/// Outputs and tokens of a task of a product of `n` tokens with packed trits whose rows have `row_bytes`.
pub fn trits(n: usize, row_bytes: usize) -> (usize, usize) {
    if n <= FEW {
        let rows = TRIT_BYTES / row_bytes.max(1);
        (rows.max(1).next_multiple_of(TritLayout::GROUP), n)
    } else {
        (TRIT_ROWS, n.div_ceil(n.div_ceil(TRIT_TOKENS)))
    }
}

/// Tokens of a task that arranges `n` rows of `k` activations.
pub fn arranged(n: usize, k: usize) -> usize {
    (ARRANGED / k.max(1)).clamp(1, n.max(1))
}

/// Length of the tiles of a product of floats along the longer side of the output, which is `long`: about 4 million
/// multiply-adds each (a twentieth of a millisecond with AVX-512, some fifty times the cost of handing one out), in
/// multiples of 48, the common multiple of the micro-kernels' heights and widths. `one` is the work of one unit of length.
pub fn tile(long: usize, one: usize) -> usize {
    const WORK: usize = 4 << 20;
    let wanted = (WORK / one.max(1)).max(1);
    wanted.div_ceil(48).saturating_mul(48).min(long.max(1))
}

/// Steps of a chunk of a linear scan over (batch, time, channels); the whole length where channels alone keep the threads
/// busy. Fewer than 512 independent channels and a long sequence: time is cut as well.
pub fn scan_chunk(batch: usize, time: usize, channels: usize) -> usize {
    if batch * channels < 512 && time >= 1024 { 256 } else { time.max(1) }
}

/// Blocks of lanes in a task of a selective scan: as many as share a page, if a dozen tasks are left.
pub fn selective_blocks(batch: usize, channels: usize) -> usize {
    (batch * channels.div_ceil(LANES) / 12).clamp(1, LANE_BLOCKS)
}

/// One call of the pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Round {
    /// Tasks.
    pub tasks: usize,
    /// What a task is, such as `32 rows`.
    pub task: String,
}

/// The rounds of a step; none where it runs on the calling thread.
pub fn rounds(plan: &Plan, step: &Step) -> Vec<Round> {
    let g = &plan.graph;
    match step {
        Step::Group(group) => {
            let (rows, cols, each) = self::group(group);
            let what = if cols == 1 { format!("{each} elements") } else { format!("{each} rows of {cols}") };
            vec![round(rows.div_ceil(each), what)]
        }
        Step::Fused(f) => fused(plan, f),
        Step::Node(n) => node(plan, *n, &g.nodes[*n as usize]),
        Step::Control(..) | Step::Copy { .. } => vec![],
    }
}

fn round(tasks: usize, task: String) -> Round {
    Round { tasks, task }
}

fn sizes(plan: &Plan, v: Value) -> Vec<usize> {
    plan.graph.ty(v).fixed_shape().unwrap_or_default()
}

/// Rows and columns of a value, its last axis being the columns.
fn matrix(plan: &Plan, v: Value) -> (usize, usize) {
    let shape = sizes(plan, v);
    let cols = shape.last().copied().unwrap_or(1);
    (shape.iter().product::<usize>() / cols.max(1), cols)
}

fn by_rows(rows: usize) -> Round {
    round(rows.div_ceil(ROWS), format!("{ROWS} rows"))
}

fn by_elements(count: usize) -> Round {
    round(count.div_ceil(ELEMENTS), format!("{ELEMENTS} elements"))
}

/// Products of `n` tokens with matrices of trits.
/// Rounds of products with these matrices, of each of which a product has one of `parts`.
fn products(plan: &Plan, q: Value, weights: &[Value], parts: usize) -> Vec<Round> {
    let (n, k) = matrix(plan, q);
    let Some(layout) = weights.first().map(|w| plan.layout(*w)) else { return vec![] };
    if layout == TritLayout::Bytes {
        let each = |w: &Value| {
            let m = sizes(plan, *w)[0] / parts;
            let tokens = round(n.div_ceil(BYTE_ROWS), format!("{BYTE_ROWS} tokens"));
            let product = match n {
                1 => round(m.div_ceil(BYTE_OUTPUTS), format!("{BYTE_OUTPUTS} outputs")),
                _ => tokens,
            };
            [product, round(n, "a token's scales".into())]
        };
        return weights.iter().flat_map(each).collect();
    }
    let (rows, tokens) = trits(n, layout.row_bytes(k));
    let count = |w: &Value| (sizes(plan, *w)[0] / parts).div_ceil(rows) * n.div_ceil(tokens);
    let what = format!("{rows} outputs of {tokens} token{}", if tokens == 1 { "" } else { "s" });
    let arrange = arranged(n, k);
    vec![
        round(n.div_ceil(arrange), format!("{arrange} tokens arranged")),
        round(weights.iter().map(count).sum(), what),
    ]
}

fn fused(plan: &Plan, f: &Fused) -> Vec<Round> {
    let i = &f.inputs;
    match f.pattern {
        Pattern::RmsNormFakeQuantize | Pattern::RmsNormQuantize => vec![by_rows(matrix(plan, i[0]).0)],
        Pattern::FakeQuantizeWeights => {
            vec![by_elements(plan.graph.ty(i[0]).elements().unwrap_or(0))]
        }
        Pattern::SumOfProducts => {
            vec![by_rows(plan.graph.ty(f.outputs[0]).elements().unwrap_or(0))]
        }
        Pattern::TernaryProducts => {
            let weights: Vec<Value> = i[2..].iter().step_by(2).copied().collect();
            products(plan, i[0], &weights, 1)
        }
        // The halves of one matrix are two.
        Pattern::TernaryGated if i[2] == i[4] => products(plan, i[0], &[i[2]], 2),
        Pattern::TernaryGated | Pattern::TernaryAdd => products(plan, i[0], &[i[2]], 1),
        Pattern::DequantizedProduct => {
            let dot = plan.graph.node(f.outputs[0]);
            let (sa, sq) = (sizes(plan, i[0]), sizes(plan, i[1]));
            let d = DotAxes::new(&dot.attrs, sa.len(), sq.len());
            let m: usize = d.lhs_free.iter().map(|a| sa[*a]).product();
            let (rows, cols) = matrix(plan, i[1]);
            let block = float_rows(rows, cols);
            let floats = round(block.div_ceil(FLOAT_ROWS), format!("{FLOAT_ROWS} rows as floats"));
            let blocks = rows.div_ceil(block.max(1));
            (0..blocks).flat_map(|_| [floats.clone(), gemm(m, cols, block)]).collect()
        }
    }
}

/// Rows of a block of floats of a product with int8 or trits. Depends on the shape alone.
pub fn float_rows(rows: usize, cols: usize) -> usize {
    (FLOAT_BLOCK / cols.max(1)).max(1).min(rows)
}

fn gemm(m: usize, n: usize, k: usize) -> Round {
    let (long, short) = (m.max(n), m.min(n));
    let each = tile(long, short * k);
    let what = if m >= n { "rows" } else { "columns" };
    round(long.div_ceil(each.max(1)), format!("{each} {what} of {short}"))
}

fn node(plan: &Plan, at: u32, n: &Node) -> Vec<Round> {
    let ty = |k: usize| plan.graph.ty(n.inputs[k]);
    let f32s = n.types.first().is_some_and(|t| t.dtype == DType::F32);
    match n.op {
        Op::RmsNorm | Op::QuantizeActivations => vec![by_rows(matrix(plan, n.inputs[0]).0)],
        Op::RmsNormGrad => vec![by_rows(plan.graph.ty(n.inputs[2]).elements().unwrap_or(0))],
        Op::QuantizeWeights => vec![by_elements(ty(0).elements().unwrap_or(0))],
        Op::Convert if n.types[0].dtype == DType::BF16 => vec![by_elements(ty(0).elements().unwrap_or(0))],
        Op::CrossEntropy | Op::CrossEntropyGrad => vec![by_rows(matrix(plan, n.inputs[0]).0)],
        Op::Gather | Op::Rope => vec![by_rows(n.types[0].elements().unwrap_or(0) / last(n).max(1))],
        Op::TernaryLinear => products(plan, n.inputs[0], &[n.inputs[2]], 1),
        Op::LinearScan | Op::LinearScanGrad => {
            let s = sizes(plan, n.inputs[if n.op == Op::LinearScan { 0 } else { 2 }]);
            let (batch, time, channels) = (s[0], s[1], s[2]);
            let blocks = batch * channels.div_ceil(CHANNELS);
            let chunk = scan_chunk(batch, time, channels);
            let width = CHANNELS.min(channels);
            if n.op == Op::LinearScan && chunk < time {
                let each = round(blocks * time.div_ceil(chunk), format!("{chunk} steps of {width} channels"));
                return vec![each.clone(), each];
            }
            vec![round(blocks, format!("{width} channels of a sequence"))]
        }
        Op::SelectiveScan | Op::SelectiveScanGrad => {
            let s = sizes(plan, n.inputs[0]);
            let blocks = s[2].div_ceil(LANES);
            let each = match n.op {
                Op::SelectiveScan => selective_blocks(s[0], s[2]),
                _ => LANE_BLOCKS,
            };
            vec![round(s[0] * blocks.div_ceil(each), format!("{} channels of a sequence", LANES * each))]
        }
        Op::Ssd | Op::SsdGrad => {
            let s = sizes(plan, n.inputs[0]);
            vec![round(s[0] * s[2], "a head of a sequence".into())]
        }
        Op::LinearAttention | Op::LinearAttentionGrad => {
            let q = sizes(plan, n.inputs[0]);
            vec![round(q[0] * q[2], format!("{} steps of a head", q[1]))]
        }
        Op::Mlstm | Op::MlstmGrad | Op::Slstm | Op::SlstmGrad => {
            let heads = if matches!(n.op, Op::Mlstm | Op::MlstmGrad) { 2 } else { 3 };
            let s = sizes(plan, n.inputs[0]);
            vec![round(s[0] * s[heads], "a head of a sequence".into())]
        }
        Op::KvAttention => {
            let q = sizes(plan, n.inputs[0]);
            let each = QUERIES.min(q[1]);
            vec![round(q[0] * q[2] * q[1].div_ceil(QUERIES), format!("{each} queries of a head"))]
        }
        Op::DotGeneral if f32s => {
            let (sa, sb) = (sizes(plan, n.inputs[0]), sizes(plan, n.inputs[1]));
            let d = DotAxes::new(&n.attrs, sa.len(), sb.len());
            let of = |s: &[usize], axes: &[usize]| axes.iter().map(|a| s[*a]).product::<usize>();
            let (m, k, batch) = (of(&sa, &d.lhs_free), of(&sa, &d.lhs_contract), of(&sa, &d.lhs_batch));
            let cols = of(&sb, &d.rhs_free);
            match batch {
                1 => vec![gemm(m, cols, k)],
                _ => vec![round(batch, format!("a product of {m} × {cols} × {k}"))],
            }
        }
        Op::ReduceSum | Op::ReduceMax | Op::ReduceMin | Op::ArgMax if ty(0).dtype == DType::F32 => {
            reduction(plan, n)
        }
        Op::BlockLinear => {
            let m = n.types[0].fixed_shape().and_then(|s| s.last().copied()).unwrap_or(1);
            let tokens = n.types[0].elements().unwrap_or(0) / m.max(1);
            let row = plan.bytes(n.inputs[1]) / m.max(1);
            let each = match tokens > crate::work::FEW_BLOCKS {
                true => BLOCK_TILE.min(m),
                false => block_rows(plan.bytes(n.inputs[1]), row, m),
            };
            vec![
                round(tokens, "a token quantised".into()),
                round(m.div_ceil(each), format!("{each} outputs")),
            ]
        }
        Op::BlockRows => vec![round(n.types[0].elements().unwrap_or(0) / last(n).max(1), "a row".into())],
        Op::TakeAlong | Op::ScatterAddAlong => {
            vec![by_elements(plan.graph.ty(Value { node: at, out: 0 }).elements().unwrap_or(0))]
        }
        _ => vec![],
    }
}

fn last(n: &Node) -> usize {
    n.types[0].shape.last().and_then(graph::Dim::fixed).unwrap_or(1)
}

/// Rows of weights in blocks of a task: a share of the matrix between bounds, whole groups of four.
pub fn block_rows(bytes: usize, row_bytes: usize, rows: usize) -> usize {
    let task = (bytes / BLOCK_TASKS).clamp(*BLOCK_BYTES.start(), *BLOCK_BYTES.end());
    (task / row_bytes.max(1)).max(1).next_multiple_of(4).min(rows.max(1))
}

/// Rows of a task for many tokens where rows are unpacked once for all of them, as with AVX-512; other instruction sets
/// cut as for few.
pub const BLOCK_TILE: usize = 32;
/// Tasks that a matrix of blocks is cut into where the bounds allow it.
pub const BLOCK_TASKS: usize = 64;
/// Bytes of blocks of a task: a few microseconds of work at least, and of large matrices more, since what is asked for
/// ahead at the end of a task is another thread's.
pub const BLOCK_BYTES: std::ops::RangeInclusive<usize> = 64 << 10..=1 << 20;

/// A reduction runs over rows where the last axes are folded, else over columns in groups of rows.
fn reduction(plan: &Plan, n: &Node) -> Vec<Round> {
    let shape = sizes(plan, n.inputs[0]);
    let axes = match n.op {
        Op::ArgMax => vec![n.attrs.int("axis", 0) as usize],
        _ => n.attrs.ints("axes"),
    };
    let solid: Vec<usize> = (0..shape.len()).filter(|a| shape[*a] != 1).collect();
    let folded = |a: &usize| axes.contains(a);
    let first = solid.iter().position(folded).unwrap_or(solid.len());
    let end = solid.iter().rposition(folded).map_or(first, |p| p + 1);
    let size = |list: &[usize]| list.iter().map(|a| shape[*a]).product::<usize>();
    let (outer, inner) = (size(&solid[..first]), size(&solid[end..]));
    if inner == 1 || n.op != Op::ReduceSum {
        return vec![by_rows(n.types[0].elements().unwrap_or(0))];
    }
    let rows = size(&solid[first..end]);
    (0..outer.min(64)).map(|_| by_rows(rows)).collect()
}
