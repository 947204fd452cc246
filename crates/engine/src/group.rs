//! Fused groups as programs of the elementwise machine.
#![allow(unsafe_code)]

use crate::error::Result;
use crate::instr::Scratch;
use crate::kernels::elementwise::{Access, Dtype, EwOp, Input, Output, Program, run};
use crate::pool::Pool;
use axes::DType;
use graph::{GraphError, Node, Op, Value};
use premap::{Group, Plan};
use std::collections::HashMap;

/// A group ready to run.
pub(crate) struct GroupCode {
    program: Program,
    inputs: Vec<(Value, usize, Dtype, premap::Access)>,
    outputs: Vec<(Value, usize, Dtype)>,
    rows: usize,
    cols: usize,
    rows_per_task: usize,
}

fn dtype(d: DType) -> Option<Dtype> {
    Some(match d {
        DType::F32 => Dtype::F32,
        DType::BF16 => Dtype::Bf16,
        DType::I8 | DType::Trit => Dtype::I8,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::Bool,
        _ => return None,
    })
}

/// The operation of a node whose operands are in these registers.
fn operation(plan: &Plan, n: &Node, r: &[usize]) -> Option<EwOp> {
    Some(match n.op {
        Op::Negate => EwOp::Neg(r[0]),
        Op::Exp => EwOp::Exp(r[0]),
        Op::Log => EwOp::Log(r[0]),
        Op::Sqrt => EwOp::Sqrt(r[0]),
        Op::Tanh => EwOp::Tanh(r[0]),
        Op::Sine => EwOp::Sin(r[0]),
        Op::Cosine => EwOp::Cos(r[0]),
        Op::Abs => EwOp::Abs(r[0]),
        Op::Sign => EwOp::Sign(r[0]),
        Op::Floor => EwOp::Floor(r[0]),
        Op::RoundHalfEven => EwOp::RoundEven(r[0]),
        Op::RoundHalfAway => EwOp::RoundAway(r[0]),
        Op::Sigmoid => EwOp::Sigmoid(r[0]),
        Op::Silu => EwOp::Silu(r[0]),
        Op::Add => EwOp::Add(r[0], r[1]),
        Op::Subtract => EwOp::Sub(r[0], r[1]),
        Op::Multiply if r[0] == r[1] => EwOp::Square(r[0]),
        Op::Multiply => EwOp::Mul(r[0], r[1]),
        Op::Divide => EwOp::Div(r[0], r[1]),
        Op::Power => EwOp::Pow(r[0], r[1]),
        Op::Maximum => EwOp::Max(r[0], r[1]),
        Op::Minimum => EwOp::Min(r[0], r[1]),
        Op::And => EwOp::And(r[0], r[1]),
        Op::Or => EwOp::Or(r[0], r[1]),
        Op::Not => EwOp::Not(r[0]),
        Op::Select => EwOp::Select(r[0], r[1], r[2]),
        Op::Compare => match n.attrs.str("how") {
            "lt" => EwOp::CmpLt(r[0], r[1]),
            "le" => EwOp::CmpLe(r[0], r[1]),
            "gt" => EwOp::CmpGt(r[0], r[1]),
            "ge" => EwOp::CmpGe(r[0], r[1]),
            "eq" => EwOp::CmpEq(r[0], r[1]),
            _ => EwOp::CmpNe(r[0], r[1]),
        },
        // Loads have converted already; a truth value is 1 or 0 in a register, NaN counts as true.
        Op::Convert if n.types[0].dtype == DType::Bool && plan.graph.ty(n.inputs[0]).dtype != DType::Bool => {
            return None;
        }
        _ => return None,
    })
}

impl GroupCode {
    pub(crate) fn new(plan: &Plan, g: &Group) -> Result<GroupCode> {
        let fault = |problem: String| GraphError::Eval { op: "group", problem };
        let mut ops: Vec<EwOp> = vec![];
        let mut register: HashMap<Value, usize> = HashMap::new();
        let mut constants: HashMap<u32, usize> = HashMap::new();
        let mut inputs = vec![];
        for (k, i) in g.inputs.iter().enumerate() {
            let d = plan.graph.ty(i.source).dtype;
            let d = dtype(d).ok_or_else(|| fault(format!("cannot load {}", d.name())))?;
            register.insert(i.seen, ops.len());
            ops.push(EwOp::Load(k));
            inputs.push((i.source, plan.graph.ty(i.source).elements().unwrap_or(0), d, i.access.clone()));
        }
        for node in &g.nodes {
            let n = &plan.graph.nodes[*node as usize];
            let mut operands = vec![];
            for v in &n.inputs {
                if let Some(r) = register.get(v) {
                    operands.push(*r);
                } else if let Some(x) = premap::group::splat(&plan.graph, *v) {
                    let x = x as f32;
                    operands.push(*constants.entry(x.to_bits()).or_insert_with(|| {
                        ops.push(EwOp::Const(x));
                        ops.len() - 1
                    }));
                } else {
                    return Err(
                        fault(format!("operand %{} of {} has no register", v.node, n.op.name())).into()
                    );
                }
            }
            let value = Value { node: *node, out: 0 };
            let zero = |ops: &mut Vec<EwOp>| {
                ops.push(EwOp::Const(0.0));
                ops.len() - 1
            };
            let made = match n.op {
                Op::Relu => {
                    let z = zero(&mut ops);
                    EwOp::Max(operands[0], z)
                }
                Op::Convert if n.types[0].dtype == DType::Bool => {
                    let z = zero(&mut ops);
                    EwOp::CmpNe(operands[0], z)
                }
                Op::Convert | Op::Identity | Op::StopGradient | Op::Surrogate => {
                    register.insert(value, operands[0]);
                    continue;
                }
                _ => operation(plan, n, &operands)
                    .ok_or_else(|| fault(format!("{} is not an elementwise operation", n.op.name())))?,
            };
            register.insert(value, ops.len());
            ops.push(made);
        }
        let mut outputs = vec![];
        let mut registers = vec![];
        for v in &g.outputs {
            let ty = plan.graph.ty(*v);
            let d = dtype(ty.dtype).ok_or_else(|| fault(format!("cannot store {}", ty.dtype.name())))?;
            outputs.push((*v, ty.elements().unwrap_or(0), d));
            registers.push(register[v]);
        }
        let program = Program::new(ops, registers).map_err(|e| fault(e.to_string()))?;
        let (rows, cols, rows_per_task) = premap::cut::group(g);
        Ok(GroupCode { program, inputs, outputs, rows, cols, rows_per_task })
    }

    pub(crate) fn scratch(&self) -> usize {
        self.program.scratch_len()
    }

    pub(crate) fn run(&self, pool: &Pool, scratch: &Scratch, at: impl Fn(Value) -> *mut u8) {
        if self.rows * self.cols == 0 {
            return;
        }
        let inputs: Vec<Input<'_>> = self
            .inputs
            .iter()
            .map(|(v, len, d, access)| {
                let access = match access {
                    premap::Access::Full => Access::Full,
                    premap::Access::Row => Access::Row,
                    premap::Access::Col => Access::Col,
                    premap::Access::Scalar => Access::Scalar,
                    premap::Access::Rows { stride, offset } => {
                        Access::Rows { stride: *stride, offset: *offset }
                    }
                    premap::Access::Strided { dims, strides, offset } => {
                        Access::Strided { dims, strides, offset: *offset }
                    }
                };
                // SAFETY: the operand was written before this step; where a result takes over its memory, the plan
                // made sure that it is read element by element and has the same element size.
                unsafe { Input::from_raw(at(*v), *len, *d, access) }
            })
            .collect();
        let outputs: Vec<Output<'_>> = self
            .outputs
            .iter()
            // SAFETY: the results are this step's.
            .map(|(v, len, d)| unsafe { Output::from_raw(at(*v), *len, *d) })
            .collect();
        let tasks = self.rows.div_ceil(self.rows_per_task);
        pool.run(tasks, |task| {
            // SAFETY: tasks write disjoint rows.
            let mut mine: Vec<Output<'_>> = outputs.iter().map(|o| unsafe { o.share() }).collect();
            let from = task * self.rows_per_task;
            let rows = from..(from + self.rows_per_task).min(self.rows);
            // One block per thread: a free one always exists.
            let mut registers = scratch.groups.iter().find_map(|g| g.try_lock().ok());
            let mut own;
            let registers: &mut [f32] = match &mut registers {
                Some(r) => r,
                None => {
                    own = vec![0.0; self.program.scratch_len()];
                    &mut own
                }
            };
            run(&self.program, self.rows, self.cols, &inputs, &mut mine, rows, registers);
        });
    }
}
