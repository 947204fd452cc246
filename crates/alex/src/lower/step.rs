//! Which file lowers which step, and the order of the calls.

use super::value::V;
use super::{
    Arg, Lowering, Scope, control, dealt, dot, fast, formats, group, index, linear, moves, point, quantize,
    reduce, rows, scan, selective, source,
};
use crate::ir::{Builder, CmpI, I32, Kind, Value};
use graph::{Op, Value as Node};
use premap::Step;
use std::ops::Range;

impl Lowering {
    /// Calls for these steps; the status is 0, or the number of the first step that refused its operands plus one.
    pub(crate) fn steps(&mut self, b: &mut Builder, scope: &Scope<'_>, steps: Range<usize>) -> Value<I32> {
        let mut status = b.int(I32, 0);
        for k in steps {
            if let Some(found) = scope.blocks.iter().find(|found| found.covers(k)) {
                if found.at == k {
                    found.call(self, b, scope);
                }
                continue;
            }
            if let Some(refused) = self.step(b, scope, &scope.plan.steps[k]) {
                let zero = b.int(I32, 0);
                let refused = b.expect(refused, I32);
                let (now, first) = (b.cmpi(CmpI::Ne, refused, zero), b.cmpi(CmpI::Eq, status, zero));
                let both = b.andi(now, first);
                let number = b.int(I32, i64::try_from(k + 1).unwrap_or(i64::from(i32::MAX)));
                status = b.select(both, number, status);
            }
        }
        status
    }

    /// One step; what it gives is not 0 where it refused its operands.
    fn step(&mut self, b: &mut Builder, scope: &Scope<'_>, step: &Step) -> Option<V> {
        if dealt::step(self, b, scope, step) {
            return None;
        }
        match step {
            Step::Group(g) => {
                group::group(self, b, scope, g);
                None
            }
            Step::Node(i) => self.node(b, scope, *i),
            Step::Control(i, plans) => control::control(self, b, scope, *i, plans),
            Step::Copy { from, output } => {
                if let Some(at) = scope.output(*output) {
                    let read = self.read(b, scope, *from);
                    let write = Arg { at, place: None, written: true, ..read };
                    self.copy(b, read, write);
                }
                None
            }
            Step::Fused(f) if fast::chain(self, b, scope, f) => None,
            Step::Fused(f) => {
                let node = f.nodes.last().copied().unwrap_or(0);
                let op = scope.plan.graph.nodes[node as usize].op;
                self.fail(op, scope, node, &format!("as part of {:?}", f.pattern));
                None
            }
        }
    }

    /// Copies a value as it lies in memory; the two may be the same memory.
    pub(crate) fn copy(&mut self, b: &mut Builder, from: Arg, to: Arg) {
        if from.len == 0 {
            return;
        }
        let bytes = |a: Arg| Arg { kind: Kind::I8, len: a.len * a.kind.bytes(), ..a };
        let (from, to) = (bytes(from), bytes(to));
        let n = from.len;
        // Whole values are the same memory or share none, so a loop that goes up is right.
        self.kernel(b, "copy", "", &[from, to], false, |b, m| {
            moves::run(b, m[0], m[1], Kind::I8, n);
            None
        });
    }

    fn node(&mut self, b: &mut Builder, scope: &Scope<'_>, i: u32) -> Option<V> {
        let n = &scope.plan.graph.nodes[i as usize];
        if n.types.iter().all(|t| t.elements() == Some(0)) && n.op != Op::Gather {
            return None;
        }
        if fast::node(self, b, scope, i) {
            return None;
        }
        if let Some(status) = fast::refusing(self, b, scope, i) {
            return status;
        }
        match n.op {
            Op::Identity
            | Op::Broadcast
            | Op::Transpose
            | Op::Slice
            | Op::Reverse
            | Op::Pad
            | Op::Concatenate
            | Op::Reshape
            | Op::Windows => moves::node(self, b, scope, i),
            Op::WindowsAdd => moves::windows_add(self, b, scope, i),
            op if point::Point::known(op) => group::node(self, b, scope, i),
            Op::ReduceSum | Op::ReduceMax | Op::ReduceMin | Op::ArgMax => reduce::node(self, b, scope, i),
            Op::DotGeneral => dot::node(self, b, scope, i),
            Op::Iota | Op::RandomBits => source::node(self, b, scope, i),
            Op::Gather
            | Op::ScatterAdd
            | Op::TakeAlong
            | Op::ScatterAddAlong
            | Op::LastWriter
            | Op::ArgSort
            | Op::CumulativeArgMax => return index::node(self, b, scope, i),
            Op::QuantizeActivations | Op::QuantizeWeights | Op::TernaryLinear | Op::RmsNorm => {
                quantize::node(self, b, scope, i);
            }
            Op::RmsNormGrad | Op::CrossEntropy | Op::CrossEntropyGrad => {
                return rows::node(self, b, scope, i);
            }
            Op::Solve | Op::TriangularSolve | Op::Determinant | Op::Cholesky | Op::Fourier | Op::Eigh => {
                linear::node(self, b, scope, i);
            }
            Op::LinearScan | Op::LinearScanGrad => scan::node(self, b, scope, i),
            Op::BlockLinear | Op::BlockRows => return formats::node(self, b, scope, i),
            Op::SelectiveScan | Op::SelectiveScanGrad => selective::node(self, b, scope, i),
            op => self.fail(op, scope, i, "there is no lowering of this op yet"),
        }
        None
    }
}

/// The results of a node.
pub(crate) fn results(scope: &Scope<'_>, i: u32) -> Vec<Node> {
    (0..scope.plan.graph.nodes[i as usize].types.len() as u32).map(|out| Node { node: i, out }).collect()
}

/// The sizes of a value.
pub(crate) fn sizes(scope: &Scope<'_>, v: Node) -> Vec<usize> {
    scope.plan.graph.ty(v).fixed_shape().unwrap_or_default()
}
