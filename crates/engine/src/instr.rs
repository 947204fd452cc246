//! Steps of a plan made ready to run: programs assembled, shapes and layouts worked out once.
//!
//! The one place where a plan's places become addresses. A plan guarantees that two values whose lives overlap do not
//! share bytes, except where a fused group overwrites an operand element by element.
#![allow(unsafe_code)]

use crate::cached;
use crate::chain::chain;
use crate::copy::Copy;
use crate::dequantized::{Dequantized, Quantized};
use crate::dot::Dot;
use crate::error::{EngineError, Result};
use crate::exec::Executable;
use crate::group::GroupCode;
use crate::kernels::attention;
use crate::kernels::blocks::{self, BlockMatrix};
use crate::kernels::packed::{self, PackedMatrix};
use crate::kernels::{rows, scan};
use crate::moves::moves;
use crate::pool::Pool;
use crate::reduce::Fold;
use crate::windows::AddWindows;
use axes::{DType, TritLayout};
use graph::{EvalCx, Node, Op, Value};
use premap::{Fused, Pattern, Place, Plan, Step};
use std::sync::Arc;

/// Memory for kernels that need some, sized while loading.
#[derive(Default)]
pub(crate) struct Scratch {
    want: usize,
    want_group: usize,
    pub f32s: Vec<f32>,
    /// One block of registers per thread.
    pub groups: Vec<std::sync::Mutex<Vec<f32>>>,
}

impl Scratch {
    pub(crate) fn need(&mut self, elements: usize) {
        self.want = self.want.max(elements);
    }
    pub(crate) fn need_group(&mut self, elements: usize) {
        self.want_group = self.want_group.max(elements);
    }
    pub(crate) fn allocate(&mut self, threads: usize) {
        self.f32s = vec![0.0; self.want];
        self.groups = (0..threads).map(|_| std::sync::Mutex::new(vec![0.0; self.want_group])).collect();
    }
    pub(crate) fn bytes(&self) -> usize {
        4 * (self.f32s.len() + self.groups.len() * self.want_group)
    }
}

/// A step ready to run.
pub(crate) enum Instr {
    Group(GroupCode),
    Fused(Fused),
    Dot(Value, Dot),
    Dequantized(Fused, Dequantized),
    Fold(Value, Fold),
    Windows(Value, AddWindows),
    /// One strided copy per operand, after filling with a value where given.
    Move {
        node: u32,
        fill: Option<f64>,
        parts: Vec<(Value, Copy)>,
    },
    Kernel(u32),
    /// By the plain-loop evaluation: ops that nothing here is faster at.
    Naive(u32),
    Scan {
        node: u32,
        body: Box<Executable>,
        carry: [Vec<crate::Tensor>; 2],
    },
    Branch {
        node: u32,
        bodies: Vec<Executable>,
    },
    While {
        node: u32,
        body: Box<Executable>,
        condition: Box<Executable>,
        carry: [Vec<crate::Tensor>; 2],
    },
    Copy {
        from: Value,
        output: usize,
    },
}

pub(crate) fn sizes(plan: &Plan, v: Value) -> Vec<usize> {
    plan.graph.ty(v).fixed_shape().unwrap_or_default()
}

/// Whether a kernel of ours takes this node: the dtypes and axes that it was written for.
fn has_kernel(plan: &Plan, n: &Node) -> bool {
    let f32s = |v: &[Value]| v.iter().all(|v| plan.graph.ty(*v).dtype == DType::F32);
    match n.op {
        Op::RmsNorm
        | Op::RmsNormGrad
        | Op::LinearScan
        | Op::LinearScanGrad
        | Op::SelectiveScan
        | Op::SelectiveScanGrad
        | Op::Ssd
        | Op::SsdGrad
        | Op::LinearAttention
        | Op::LinearAttentionGrad
        | Op::Mlstm
        | Op::MlstmGrad
        | Op::Slstm
        | Op::SlstmGrad
        | Op::QuantizeActivations
        | Op::QuantizeWeights => f32s(&n.inputs),
        Op::Rope => f32s(&n.inputs),
        Op::Fourier | Op::LongConvolution | Op::LongCorrelation => {
            matches!(n.types[0].dtype, DType::F32 | DType::F64)
        }
        Op::KvAttention => plan.graph.ty(n.inputs[0]).dtype == DType::F32,
        Op::CrossEntropy | Op::CrossEntropyGrad => plan.graph.ty(n.inputs[0]).dtype == DType::F32,
        Op::TernaryLinear => n.types[0].dtype == DType::F32,
        Op::Convert => n.types[0].dtype == DType::BF16 && f32s(&n.inputs),
        Op::Gather => plan.graph.ty(n.inputs[1]).dtype == DType::I64,
        Op::TakeAlong => plan.graph.ty(n.inputs[1]).dtype == DType::I64,
        Op::ScatterAddAlong => {
            n.types[0].dtype == DType::F32 && plan.graph.ty(n.inputs[0]).dtype == DType::I64
        }
        Op::BlockLinear => true,
        Op::BlockRows => plan.graph.ty(n.inputs[0]).dtype == DType::I64,
        // The kernel adds as updates come; an accumulator that the node names is the plain evaluation's.
        Op::ScatterAdd if n.attrs.get("accumulator").is_some() => false,
        Op::ScatterAdd => n.types[0].dtype == DType::F32 && plan.graph.ty(n.inputs[0]).dtype == DType::I64,
        _ => false,
    }
}

/// How a reduction of f32 runs.
fn fold(plan: &Plan, n: &Node) -> Option<Fold> {
    let axes = match n.op {
        Op::ReduceSum | Op::ReduceMax | Op::ReduceMin => n.attrs.ints("axes"),
        Op::ArgMax => vec![n.attrs.int("axis", 0) as usize],
        _ => return None,
    };
    let shape = sizes(plan, n.inputs[0]);
    let how = n.attrs.str("accumulator").parse().ok();
    Fold::new(n.op, &shape, &axes, how).filter(|_| plan.graph.ty(n.inputs[0]).dtype == DType::F32)
}

fn scratch_of(plan: &Plan, n: &Node) -> usize {
    match n.op {
        Op::RmsNormGrad => {
            let cols = plan.graph.ty(n.inputs[1]).elements().unwrap_or(0);
            rows::rms_norm_grad_scratch(plan.graph.ty(n.inputs[2]).elements().unwrap_or(0), cols)
        }
        Op::LinearScan => {
            let (shape, chunk) = scan_shape(plan, n);
            scan::linear_scan_chunked_scratch(shape, chunk)
        }
        Op::SelectiveScanGrad => crate::selective::scratch(plan, n),
        Op::SsdGrad => crate::selective::ssd_scratch(plan, n),
        Op::SlstmGrad => crate::memories::scratch(plan, n),
        Op::BlockLinear => graph::ops::blocks::layout(&n.attrs).map_or(0, |(format, columns, _)| {
            blocks::scratch(format, columns, plan.graph.ty(n.inputs[0]).elements().unwrap_or(0) / columns)
        }),
        _ => 0,
    }
}

/// The sizes of a `linear_scan`, and the chunk of the form that is parallel over time (the length where the channels
/// alone keep the threads busy).
fn scan_shape(plan: &Plan, n: &Node) -> (scan::ScanShape, usize) {
    let s = sizes(plan, n.inputs[0]);
    let shape = scan::ScanShape { batch: s[0], time: s[1], channels: s[2] };
    (shape, premap::cut::scan_chunk(s[0], s[1], s[2]))
}

/// Prepares one step.
pub(crate) fn load(plan: &Plan, step: &Step, pool: &Arc<Pool>, scratch: &mut Scratch) -> Result<Instr> {
    Ok(match step {
        Step::Group(g) => {
            let code = GroupCode::new(plan, g)?;
            scratch.need_group(code.scratch());
            Instr::Group(code)
        }
        Step::Fused(f) if f.pattern == Pattern::DequantizedProduct => {
            let dot = plan.graph.node(f.outputs[0]);
            let d = Dequantized::new(dot, &sizes(plan, f.inputs[0]), &sizes(plan, f.inputs[1]));
            scratch.need(d.scratch());
            Instr::Dequantized(f.clone(), d)
        }
        Step::Fused(f) => Instr::Fused(f.clone()),
        Step::Copy { from, output } => Instr::Copy { from: *from, output: *output },
        Step::Control(node, plans) => {
            let n = &plan.graph.nodes[*node as usize];
            let mut bodies = plans
                .iter()
                .map(|p| Executable::load(p.clone(), pool.clone()))
                .collect::<Result<Vec<_>>>()?;
            let carries = |from: usize, count: usize| -> [Vec<crate::Tensor>; 2] {
                let make = || {
                    n.inputs[from..from + count]
                        .iter()
                        .map(|v| crate::Tensor::of(plan.graph.ty(*v)))
                        .collect()
                };
                [make(), make()]
            };
            match n.op {
                Op::Scan => {
                    let (nc, nk) = (n.attrs.int("consts", 0) as usize, n.attrs.int("carries", 0) as usize);
                    Instr::Scan { node: *node, body: Box::new(bodies.remove(0)), carry: carries(nc, nk) }
                }
                Op::While => {
                    let first = (n.attrs.int("cond_consts", 0) + n.attrs.int("body_consts", 0)) as usize;
                    // Regions come in the order of their names: body, cond.
                    let condition = Box::new(bodies.remove(1));
                    let carry = carries(first, n.inputs.len() - first);
                    Instr::While { node: *node, body: Box::new(bodies.remove(0)), condition, carry }
                }
                _ => Instr::Branch { node: *node, bodies },
            }
        }
        Step::Node(i) => {
            let n = &plan.graph.nodes[*i as usize];
            let out = Value { node: *i, out: 0 };
            if n.op == Op::DotGeneral && n.types[0].dtype == DType::F32 {
                let d = Dot::new(n, &sizes(plan, n.inputs[0]), &sizes(plan, n.inputs[1]));
                scratch.need(d.scratch());
                return Ok(Instr::Dot(out, d));
            }
            if let Some(f) = fold(plan, n) {
                scratch.need(f.scratch());
                return Ok(Instr::Fold(out, f));
            }
            if let Some((fill, parts)) = moves(plan, *i) {
                return Ok(Instr::Move { node: *i, fill, parts });
            }
            if n.op == Op::WindowsAdd
                && n.types[0].dtype == DType::F32
                && let Some(w) = AddWindows::new(n, &sizes(plan, n.inputs[0]), &sizes(plan, out))
            {
                return Ok(Instr::Windows(out, w));
            }
            if has_kernel(plan, n) {
                scratch.need(scratch_of(plan, n));
                Instr::Kernel(*i)
            } else {
                Instr::Naive(*i)
            }
        }
    })
}

/// The memory of values during one step.
pub(crate) struct Memory<'a> {
    pub plan: &'a Plan,
    pub bases: &'a [*mut u8],
}

impl Memory<'_> {
    pub(crate) fn at(&self, v: Value) -> *mut u8 {
        match self.plan.place(v) {
            Some(Place { buffer, offset }) => self.bases[buffer as usize].wrapping_add(offset),
            None => std::ptr::null_mut(),
        }
    }

    pub(crate) fn len(&self, v: Value) -> usize {
        self.plan.graph.ty(v).elements().unwrap_or(0)
    }

    pub(crate) fn size(&self, v: Value) -> usize {
        premap::memory::element(self.plan.graph.ty(v).dtype)
    }

    /// The elements of an operand.
    ///
    /// # Safety
    /// The value must lie in memory with elements of type `T`, written before this step and not by it.
    pub(crate) unsafe fn read<T>(&self, v: Value) -> &[T] {
        let len = self.len(v);
        if len == 0 {
            return &[];
        }
        // SAFETY: the place holds `len` elements of the value's dtype (plan), initialised by an earlier step.
        unsafe { std::slice::from_raw_parts(self.at(v).cast(), len) }
    }

    /// The elements of a result.
    ///
    /// # Safety
    /// As [`Memory::read`], and no other reference to the value's memory may exist.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn write<T>(&self, v: Value) -> &mut [T] {
        let len = self.len(v);
        if len == 0 {
            return &mut [];
        }
        // SAFETY: a result's memory overlaps no operand's (plan) and belongs to this step alone.
        unsafe { std::slice::from_raw_parts_mut(self.at(v).cast(), len) }
    }

    /// # Safety
    /// The value must have been written before.
    pub(crate) unsafe fn bytes(&self, v: Value) -> &[u8] {
        let size = self.plan.bytes(v);
        if size == 0 {
            return &[];
        }
        // SAFETY: as `read`; the plan knows how the value's trits are packed.
        unsafe { std::slice::from_raw_parts(self.at(v), size) }
    }

    /// A matrix of trits, in the layout that the plan says.
    ///
    /// # Safety
    /// The value must have been written before.
    pub(crate) unsafe fn matrix(&self, v: Value) -> Result<PackedMatrix<'_>, String> {
        let (layout, shape) = (self.plan.layout(v), sizes(self.plan, v));
        // SAFETY: handed on to the caller.
        PackedMatrix::new(layout, shape[0], shape[1], unsafe { self.bytes(v) })
            .ok_or_else(|| format!("a {layout} matrix of sizes {shape:?} has another length"))
    }
}

impl Memory<'_> {
    /// The matrix of blocks that is a node's second operand.
    ///
    /// # Safety
    /// The value must have been written before.
    unsafe fn blocks(&self, n: &Node) -> Result<BlockMatrix<'_>, String> {
        let (format, columns, _) = graph::ops::blocks::layout(&n.attrs)?;
        // SAFETY: handed on to the caller.
        let bytes = unsafe { self.bytes(n.inputs[1]) };
        BlockMatrix::new(format, sizes(self.plan, n.inputs[1])[0], columns, bytes)
            .ok_or_else(|| format!("{} bytes are no matrix of {columns} columns of {format}", bytes.len()))
    }
}

impl Instr {
    /// Bytes that a region's executables and carried values hold.
    pub(crate) fn memory(&self) -> usize {
        let carried =
            |c: &[Vec<crate::Tensor>; 2]| c.iter().flatten().map(|t| t.bytes().len()).sum::<usize>();
        match self {
            Instr::Scan { body, carry, .. } => body.memory() + carried(carry),
            Instr::While { body, condition, carry, .. } => {
                body.memory() + condition.memory() + carried(carry)
            }
            Instr::Branch { bodies, .. } => bodies.iter().map(Executable::memory).sum(),
            _ => 0,
        }
    }

    /// The executables of the regions.
    pub(crate) fn bodies(&mut self) -> Vec<&mut Executable> {
        match self {
            Instr::Scan { body, .. } => vec![body],
            Instr::While { body, condition, .. } => vec![condition, body],
            Instr::Branch { bodies, .. } => bodies.iter_mut().collect(),
            _ => vec![],
        }
    }

    /// Runs the step; the error says what a kernel refused.
    pub(crate) fn run(
        &mut self,
        plan: &Plan,
        bases: &[*mut u8],
        pool: &Pool,
        scratch: &mut Scratch,
    ) -> Result<(), String> {
        let m = Memory { plan, bases };
        match self {
            Instr::Group(code) => {
                code.run(pool, scratch, |v| m.at(v));
                Ok(())
            }
            // SAFETY: chains take operands written by earlier steps and results of this step, f32 but for the int8 ones.
            Instr::Fused(f) => unsafe { chain(&m, f, pool) },
            Instr::Dot(out, d) => {
                let n = plan.graph.node(*out);
                // SAFETY: operands were written by earlier steps, the result is this step's; all are f32.
                unsafe {
                    d.run(pool, m.read(n.inputs[0]), m.read(n.inputs[1]), m.write(*out), &mut scratch.f32s)
                };
                Ok(())
            }
            Instr::Dequantized(f, d) => {
                // SAFETY: as above; the second operand is int8, or trits as the plan lays them out.
                unsafe {
                    let (a, scale) = (m.read(f.inputs[0]), m.read(f.inputs[2]));
                    let q = match plan.layout(f.inputs[1]) {
                        TritLayout::Bytes => Quantized::Bytes(m.read(f.inputs[1])),
                        _ => Quantized::Packed(m.matrix(f.inputs[1])?),
                    };
                    d.run(pool, a, q, scale, m.write(f.outputs[0]), &mut scratch.f32s);
                }
                Ok(())
            }
            Instr::Fold(out, f) => {
                let n = plan.graph.node(*out);
                let positions = n.op == Op::ArgMax;
                // SAFETY: as above; the result is f32, or i64 for positions.
                unsafe {
                    let (y, at): (&mut [f32], &mut [i64]) =
                        if positions { (&mut [], m.write(*out)) } else { (m.write(*out), &mut []) };
                    f.run(pool, m.read(n.inputs[0]), y, at, &mut scratch.f32s);
                }
                Ok(())
            }
            Instr::Windows(out, w) => {
                let x = plan.graph.node(*out).inputs[0];
                // SAFETY: the operand was written by an earlier step, the result is this step's; both are f32.
                unsafe { w.run(pool, m.read(x), m.write(*out)) };
                Ok(())
            }
            Instr::Move { node, fill, parts } => {
                let out = Value { node: *node, out: 0 };
                if let Some(x) = fill {
                    let dtype = plan.graph.ty(out).dtype;
                    let one = graph::Array::<f64>::from_f64(dtype, [], &[*x]);
                    let mut bytes = vec![0u8; m.size(out)];
                    crate::tensor::encode(&one, &mut bytes);
                    // SAFETY: the result is this step's.
                    let target =
                        unsafe { std::slice::from_raw_parts_mut(m.at(out), m.len(out) * m.size(out)) };
                    if bytes.iter().all(|b| *b == 0) {
                        target.fill(0);
                    } else {
                        target.chunks_exact_mut(bytes.len()).for_each(|c| c.copy_from_slice(&bytes));
                    }
                }
                for (v, copy) in parts {
                    // SAFETY: the layouts were made from the types of operand and result, which do not overlap.
                    unsafe { copy.run(m.size(out), m.at(*v), m.at(out)) };
                }
                Ok(())
            }
            Instr::Copy { from, output } => {
                let bytes = m.len(*from) * m.size(*from);
                // SAFETY: the output is bound to memory of the value's type; `copy` allows the same memory.
                unsafe { std::ptr::copy(m.at(*from), bases[plan.buffers.len() + *output], bytes) };
                Ok(())
            }
            // SAFETY: kernels take operands of the dtypes that `has_kernel` checked, written by earlier steps, and
            // results of this step.
            Instr::Kernel(i) => unsafe { kernel(&m, *i, pool, &mut scratch.f32s) },
            Instr::Naive(i) => naive(&m, *i),
            Instr::Scan { node, body, carry } => run_scan(&m, *node, body, carry),
            Instr::Branch { node, bodies } => {
                let n = &plan.graph.nodes[*node as usize];
                // SAFETY: the condition is one boolean written before.
                let taken = unsafe { m.read::<u8>(n.inputs[0]) }[0] != 0;
                let inputs: Vec<*const u8> = n.inputs[1..].iter().map(|v| m.at(*v).cast_const()).collect();
                let outputs: Vec<*mut u8> =
                    (0..n.types.len() as u32).map(|out| m.at(Value { node: *node, out })).collect();
                // Regions come in the order of their names: else, then.
                bodies[usize::from(taken)].run_raw(&inputs, &outputs)
            }
            Instr::While { node, body, condition, carry } => run_while(&m, *node, body, condition, carry),
        }
    }
}

/// The rounding that a quantiser's attributes name.
pub(crate) fn rounding(n: &Node) -> rows::Rounding {
    match n.attrs.str("rounding") {
        "half_away" => rows::Rounding::HalfAway,
        _ => rows::Rounding::HalfEven,
    }
}

/// # Safety
/// The node is one for which [`has_kernel`] holds, its operands are written, its results are this step's.
unsafe fn kernel(m: &Memory<'_>, i: u32, pool: &Pool, scratch: &mut [f32]) -> Result<(), String> {
    let n = &m.plan.graph.nodes[i as usize];
    let out = |k: u32| Value { node: i, out: k };
    let inp = |k: usize| n.inputs[k];
    // SAFETY: see above; `read` and `write` are given the element type that the node's inference fixes.
    unsafe {
        match n.op {
            Op::RmsNorm => rows::rms_norm(
                pool,
                m.read(inp(0)),
                m.read(inp(1)),
                n.attrs.float("eps", 0.0) as f32,
                m.write(out(0)),
                m.write(out(1)),
            ),
            Op::RmsNormGrad => rows::rms_norm_grad(
                pool,
                m.read(inp(0)),
                m.read(inp(1)),
                m.read(inp(2)),
                m.read(inp(3)),
                m.write(out(0)),
                m.write(out(1)),
                scratch,
            ),
            Op::QuantizeActivations => {
                let cols = *sizes(m.plan, inp(0)).last().unwrap_or(&1);
                rows::quantize_activations(
                    pool,
                    m.read(inp(0)),
                    cols,
                    rounding(n),
                    m.write(out(0)),
                    m.write(out(1)),
                );
            }
            Op::QuantizeWeights => {
                let w = m.read(inp(0));
                m.write::<f32>(out(1))[0] = match m.plan.layout(out(0)) {
                    TritLayout::Bytes => rows::quantize_weights(pool, w, m.write(out(0))),
                    _ => {
                        let shape = sizes(m.plan, out(0));
                        let trits = std::slice::from_raw_parts_mut(m.at(out(0)), m.plan.bytes(out(0)));
                        packed::quantize_weights_packed(pool, w, shape[0], shape[1], trits)
                    }
                };
            }
            Op::TernaryLinear => {
                let (sx, sw) = (m.read::<f32>(inp(1)), m.read::<f32>(inp(3))[0]);
                packed::matmul(pool, m.read(inp(0)), sx, m.matrix(inp(2))?, sw, m.write(out(0)));
            }
            Op::Convert => rows::to_bf16(pool, m.read(inp(0)), m.write(out(0))),
            Op::LinearScan => {
                let (shape, chunk) = scan_shape(m.plan, n);
                let reverse = n.attrs.flag("reverse");
                let (f, x, h0, y) = (m.read(inp(0)), m.read(inp(1)), m.read(inp(2)), m.write(out(0)));
                if chunk < shape.time {
                    scan::linear_scan_chunked(pool, shape, f, x, Some(h0), y, reverse, chunk, scratch);
                } else {
                    scan::linear_scan(pool, shape, f, x, Some(h0), y, reverse);
                }
            }
            Op::LinearScanGrad => {
                let (shape, _) = scan_shape(m.plan, n);
                let reverse = n.attrs.flag("reverse");
                let (f, h0, h, dh) = (m.read(inp(0)), m.read(inp(1)), m.read(inp(2)), m.read(inp(3)));
                let (df, dx, dh0) = (m.write(out(0)), m.write(out(1)), m.write(out(2)));
                scan::linear_scan_grad(pool, shape, f, h, Some(h0), dh, None, reverse, (dx, df, Some(dh0)));
            }
            Op::SelectiveScan | Op::SelectiveScanGrad => crate::selective::run(m, i, pool, scratch),
            Op::Ssd | Op::SsdGrad => crate::selective::run_ssd(m, i, pool, scratch),
            Op::LinearAttention | Op::LinearAttentionGrad => crate::state_matrix::run(m, i, pool),
            Op::Mlstm | Op::MlstmGrad | Op::Slstm | Op::SlstmGrad => {
                crate::memories::run(m, i, pool, scratch)
            }
            Op::Rope => {
                let shape = sizes(m.plan, inp(0));
                let (x, cos, sin) = (m.read(inp(0)), m.read(inp(1)), m.read(inp(2)));
                attention::rope(pool, x, cos, sin, shape[2], shape[3], m.write(out(0)));
            }
            Op::KvAttention => cached::attention(m, i, pool)?,
            Op::Fourier | Op::LongConvolution | Op::LongCorrelation => crate::convolve::run(m, i, pool),
            Op::CrossEntropy => {
                let labels = m.read::<i64>(inp(1));
                let made = rows::cross_entropy(
                    pool,
                    m.read(inp(0)),
                    labels,
                    graph::ops::loss::IGNORE,
                    m.write(out(1)),
                )
                .map_err(|e| e.to_string())?;
                m.write::<f32>(out(0))[0] = if made.count == 0 { f32::NAN } else { made.loss };
            }
            Op::CrossEntropyGrad => {
                let labels = m.read::<i64>(inp(1));
                let count = labels.iter().filter(|l| **l != graph::ops::loss::IGNORE).count();
                let scale = m.read::<f32>(inp(3))[0] / count as f32;
                rows::cross_entropy_grad(
                    pool,
                    m.read(inp(0)),
                    labels,
                    graph::ops::loss::IGNORE,
                    m.read(inp(2)),
                    scale,
                    m.write(out(0)),
                )
                .map_err(|e| e.to_string())?;
            }
            Op::Gather => {
                let cols = sizes(m.plan, inp(0))[1..].iter().product();
                let ids = m.read(inp(1));
                // Rows are copied as they are, whatever the numbers in them are called.
                match m.size(out(0)) {
                    1 => rows::gather::<u8>(pool, m.read(inp(0)), cols, ids, m.write(out(0))),
                    2 => rows::gather::<u16>(pool, m.read(inp(0)), cols, ids, m.write(out(0))),
                    4 => rows::gather::<u32>(pool, m.read(inp(0)), cols, ids, m.write(out(0))),
                    _ => rows::gather::<u64>(pool, m.read(inp(0)), cols, ids, m.write(out(0))),
                }
                .map_err(|e| e.to_string())?;
            }
            Op::TakeAlong => {
                let axis = n.attrs.int("axis", 0) as usize;
                let s = rows::Along::new(&sizes(m.plan, inp(0)), &sizes(m.plan, out(0)), axis);
                let ids = m.read(inp(1));
                match m.size(out(0)) {
                    1 => rows::take_along::<u8>(pool, s, m.read(inp(0)), ids, m.write(out(0))),
                    2 => rows::take_along::<u16>(pool, s, m.read(inp(0)), ids, m.write(out(0))),
                    4 => rows::take_along::<u32>(pool, s, m.read(inp(0)), ids, m.write(out(0))),
                    _ => rows::take_along::<u64>(pool, s, m.read(inp(0)), ids, m.write(out(0))),
                }
                .map_err(|e| e.to_string())?;
            }
            Op::ScatterAddAlong => {
                let axis = n.attrs.int("axis", 0) as usize;
                let s = rows::Along::new(&sizes(m.plan, inp(1)), &sizes(m.plan, out(0)), axis);
                rows::scatter_add_along(pool, s, m.read(inp(0)), m.read(inp(1)), m.write(out(0)))
                    .map_err(|e| e.to_string())?;
            }
            Op::BlockLinear => {
                blocks::linear(pool, m.read(inp(0)), m.blocks(n)?, m.write(out(0)), scratch);
            }
            Op::BlockRows => {
                blocks::gather(pool, m.read(inp(0)), m.blocks(n)?, m.write(out(0)))
                    .map_err(|e| e.to_string())?;
            }
            Op::ScatterAdd => {
                let cols = n.types[0].fixed_shape().unwrap_or_default()[1..].iter().product();
                let table = m.write::<f32>(out(0));
                table.fill(0.0);
                rows::scatter_add(table, cols, m.read(inp(0)), m.read(inp(1))).map_err(|e| e.to_string())?;
            }
            _ => return Err("no kernel".into()),
        }
    }
    Ok(())
}

fn naive(m: &Memory<'_>, i: u32) -> Result<(), String> {
    let n = &m.plan.graph.nodes[i as usize];
    let wide = n.inputs.iter().map(|v| m.plan.graph.ty(*v).dtype).chain(n.types.iter().map(|t| t.dtype));
    if wide.into_iter().any(|d| d == DType::F64) { naive_in::<f64>(m, i) } else { naive_in::<f32>(m, i) }
}

fn naive_in<S: graph::Scalar>(m: &Memory<'_>, i: u32) -> Result<(), String> {
    let n = &m.plan.graph.nodes[i as usize];
    let inputs: Vec<graph::Array<S>> = n
        .inputs
        .iter()
        // SAFETY: operands are written before.
        .map(|v| crate::tensor::decode(m.plan.graph.ty(*v).dtype, &sizes(m.plan, *v), unsafe { m.bytes(*v) }))
        .collect();
    let made = n.op.eval(&EvalCx { round: true, ..EvalCx::default() }, &n.attrs, &inputs, &n.types)?;
    for (k, a) in made.iter().enumerate() {
        let v = Value { node: i, out: k as u32 };
        // SAFETY: results are this step's.
        let target = unsafe { std::slice::from_raw_parts_mut(m.at(v), m.len(v) * m.size(v)) };
        crate::tensor::encode(a, target);
    }
    Ok(())
}

fn run_scan(
    m: &Memory<'_>,
    node: u32,
    body: &mut Executable,
    carry: &mut [Vec<crate::Tensor>; 2],
) -> Result<(), String> {
    let n = &m.plan.graph.nodes[node as usize];
    let (nc, nk) = (n.attrs.int("consts", 0) as usize, n.attrs.int("carries", 0) as usize);
    let length = n.attrs.dims("length").first().and_then(graph::Dim::fixed).unwrap_or(0);
    let slice = |v: Value| m.len(v) * m.size(v) / length.max(1);
    let out = |k: usize| Value { node, out: k as u32 };
    for (v, t) in n.inputs[nc..nc + nk].iter().zip(&mut carry[0]) {
        // SAFETY: both have the carried type; the tensor is ours.
        unsafe { std::ptr::copy_nonoverlapping(m.at(*v), t.pointer_mut(), m.len(*v) * m.size(*v)) };
    }
    for step in 0..length {
        let at = if n.attrs.flag("reverse") { length - 1 - step } else { step };
        let (now, next) = {
            let (a, b) = carry.split_at_mut(1);
            if step % 2 == 0 { (&a[0], &mut b[0]) } else { (&b[0], &mut a[0]) }
        };
        let consts = n.inputs[..nc].iter().map(|v| m.at(*v).cast_const());
        let slices = n.inputs[nc + nk..].iter().map(|v| m.at(*v).wrapping_add(at * slice(*v)).cast_const());
        let inputs: Vec<*const u8> =
            consts.chain(now.iter().map(crate::Tensor::pointer)).chain(slices).collect();
        let ys = (nk..n.types.len()).map(|k| m.at(out(k)).wrapping_add(at * slice(out(k))));
        let outputs: Vec<*mut u8> = next.iter_mut().map(crate::Tensor::pointer_mut).chain(ys).collect();
        body.run_raw(&inputs, &outputs)?;
    }
    for (k, t) in carry[length % 2].iter().enumerate() {
        // SAFETY: the result has the carried type and is this step's.
        unsafe { std::ptr::copy_nonoverlapping(t.pointer(), m.at(out(k)), m.len(out(k)) * m.size(out(k))) };
    }
    Ok(())
}

fn run_while(
    m: &Memory<'_>,
    node: u32,
    body: &mut Executable,
    condition: &mut Executable,
    carry: &mut [Vec<crate::Tensor>; 2],
) -> Result<(), String> {
    let n = &m.plan.graph.nodes[node as usize];
    let nc = n.attrs.int("cond_consts", 0) as usize;
    let first = nc + n.attrs.int("body_consts", 0) as usize;
    for (v, t) in n.inputs[first..].iter().zip(&mut carry[0]) {
        // SAFETY: both have the carried type; the tensor is ours.
        unsafe { std::ptr::copy_nonoverlapping(m.at(*v), t.pointer_mut(), m.len(*v) * m.size(*v)) };
    }
    let mut go = crate::Tensor::zeros(DType::Bool, []);
    loop {
        let with = |consts: &[Value], carry: &[crate::Tensor]| -> Vec<*const u8> {
            consts
                .iter()
                .map(|v| m.at(*v).cast_const())
                .chain(carry.iter().map(crate::Tensor::pointer))
                .collect()
        };
        condition.run_raw(&with(&n.inputs[..nc], &carry[0]), &[go.pointer_mut()])?;
        if go.bytes()[0] == 0 {
            break;
        }
        let inputs = with(&n.inputs[nc..first], &carry[0]);
        let outputs: Vec<*mut u8> = carry[1].iter_mut().map(crate::Tensor::pointer_mut).collect();
        body.run_raw(&inputs, &outputs)?;
        carry.swap(0, 1);
    }
    for (k, t) in carry[0].iter().enumerate() {
        let v = Value { node, out: k as u32 };
        // SAFETY: the result has the carried type and is this step's.
        unsafe { std::ptr::copy_nonoverlapping(t.pointer(), m.at(v), m.len(v) * m.size(v)) };
    }
    Ok(())
}

impl From<EngineError> for String {
    fn from(e: EngineError) -> String {
        e.to_string()
    }
}
