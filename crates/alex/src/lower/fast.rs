//! Steps that the kernels of [`crate::cpu`] run: f32 and int8, trits in the packed layouts.

mod dense;
mod recurrent;
mod training;

use super::quantize::{self, Product};
use super::step::{results, sizes};
use super::value::V;
use super::{Lowering, Scope};
use crate::cpu::math::Function;
use crate::cpu::norm::{self, Rounding};
use crate::cpu::{scan, ternary};
use crate::ir::{Builder, Element, F32, I8, MemRef, Value};
use axes::{DType, TritLayout};
use graph::{Op, Value as Node};
use premap::{Fused, Pattern, Plan, Step};

/// A memref over a value.
fn of<E: Element, const R: usize>(
    l: &mut Lowering,
    b: &mut Builder,
    scope: &Scope<'_>,
    v: Node,
    elem: E,
    sizes: [usize; R],
) -> Value<MemRef<E, R>> {
    let at = l.address(b, scope, v);
    b.memref_from_ptr(at, MemRef::new(elem, sizes.map(|n| n as i64)), &[])
}

/// Rows and columns of a value seen as a matrix.
fn matrix(scope: &Scope<'_>, v: Node) -> [usize; 2] {
    let shape = sizes(scope, v);
    let cols = shape.last().copied().unwrap_or(1);
    [shape[..shape.len().saturating_sub(1)].iter().product(), cols]
}

/// The sizes of a product of these activations with this matrix, where the kernels take it.
pub(crate) fn product(plan: &Plan, x: Node, w: Node) -> Option<ternary::Shape> {
    let (rows, sizes) = (plan.graph.ty(x).fixed_shape()?, plan.graph.ty(w).fixed_shape()?);
    let tokens = rows[..rows.len() - 1].iter().product();
    let layout = plan.layout(w);
    let fits = layout != TritLayout::Bytes && tokens > 0 && sizes[0] > 0 && sizes[1] > 0;
    fits.then_some(ternary::Shape { tokens, rows: sizes[0], columns: sizes[1], layout })
}

/// Bytes behind the arena that a step's kernels need.
pub(crate) fn scratch(l: &Lowering, plan: &Plan, step: &Step) -> usize {
    let one = |x: Node, w: Node| product(plan, x, w).map_or(0, |s| ternary::scratch(l.isa, s));
    match step {
        Step::Fused(f) => match f.pattern {
            Pattern::TernaryProducts => {
                f.inputs[2..].chunks_exact(2).map(|w| one(f.inputs[0], w[0])).max().unwrap_or(0)
            }
            Pattern::TernaryGated | Pattern::TernaryAdd => one(f.inputs[0], f.inputs[2]),
            _ => training::chain_scratch(l, plan, f),
        },
        Step::Node(i) => {
            let n = &plan.graph.nodes[*i as usize];
            match n.op {
                Op::TernaryLinear => one(n.inputs[0], n.inputs[2]),
                Op::DotGeneral => dense::scratch(l, plan, n),
                Op::BlockLinear => super::formats::scratch(plan, n),
                _ => training::scratch(plan, n),
            }
        }
        _ => 0,
    }
}

/// Whether everything floating of a node is f32, and stays so.
pub(crate) fn plain(l: &Lowering, scope: &Scope<'_>, values: &[Node]) -> bool {
    let f32s = |v: &Node| {
        let d = scope.plan.graph.ty(*v).dtype;
        !d.is_float() || d == DType::F32
    };
    l.types.wide.is_none() && values.iter().all(f32s)
}

/// Lowers a node, where there is a kernel for it.
pub(crate) fn node(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) -> bool {
    let n = &scope.plan.graph.nodes[i as usize];
    let out = results(scope, i);
    if !plain(l, scope, &n.inputs) || !plain(l, scope, &out) {
        return false;
    }
    let rounding = || Rounding::named(n.attrs.str("rounding"));
    match n.op {
        Op::TernaryLinear => {
            linear(l, b, scope, [n.inputs[0], n.inputs[1], n.inputs[2], n.inputs[3]], out[0], None)
        }
        Op::RmsNorm => {
            let [rows, cols] = matrix(scope, n.inputs[0]);
            let f = norm::rms_norm(b.module(), l.isa, rows, cols, n.attrs.float("eps", 0.0) as f32);
            let x = of(l, b, scope, n.inputs[0], F32, [rows, cols]);
            let w = of(l, b, scope, n.inputs[1], F32, [cols]);
            let y = of(l, b, scope, out[0], F32, [rows, cols]);
            let r = of(l, b, scope, out[1], F32, [rows]);
            b.call(&f, (x, w, y, r));
            l.calls += 1;
            true
        }
        Op::QuantizeActivations => {
            let [rows, cols] = matrix(scope, n.inputs[0]);
            let Some(rounding) = rounding() else { return false };
            let f = norm::quantize_activations(b.module(), l.isa, rows, cols, rounding);
            let y = of(l, b, scope, n.inputs[0], F32, [rows, cols]);
            let q = of(l, b, scope, out[0], I8, [rows, cols]);
            let s = of(l, b, scope, out[1], F32, [rows]);
            b.call(&f, (y, q, s));
            l.calls += 1;
            true
        }
        Op::QuantizeWeights if scope.plan.layout(out[0]) == TritLayout::Bytes => {
            let len = sizes(scope, n.inputs[0]).iter().product();
            let f = norm::quantize_weights(b.module(), l.isa, len);
            let w = of(l, b, scope, n.inputs[0], F32, [len]);
            let t = of(l, b, scope, out[0], I8, [len]);
            let s = of(l, b, scope, out[1], F32, [1]);
            b.call(&f, (w, t, s));
            l.calls += 1;
            true
        }
        Op::LinearScan => {
            let s = sizes(scope, n.inputs[0]);
            let shape = scan::Shape { batch: s[0], time: s[1], channels: s[2] };
            if s.contains(&0) {
                return false;
            }
            let f = scan::linear_scan(b.module(), l.isa, shape, n.attrs.flag("reverse"));
            let gate = of(l, b, scope, n.inputs[0], F32, [s[0], s[1], s[2]]);
            let x = of(l, b, scope, n.inputs[1], F32, [s[0], s[1], s[2]]);
            let h0 = of(l, b, scope, n.inputs[2], F32, [s[0], s[2]]);
            let y = of(l, b, scope, out[0], F32, [s[0], s[1], s[2]]);
            b.call(&f, (gate, x, h0, y));
            l.calls += 1;
            true
        }
        Op::SelectiveScan => recurrent::selective(l, b, scope, i),
        Op::LinearScanGrad => recurrent::linear_grad(l, b, scope, i),
        Op::DotGeneral => dense::node(l, b, scope, i),
        _ => false,
    }
}

/// Lowers a node of a training step, where there is a kernel for it; what it gives besides is 1 where a label was outside.
pub(crate) fn refusing(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) -> Option<Option<V>> {
    let fits =
        plain(l, scope, &scope.plan.graph.nodes[i as usize].inputs) && plain(l, scope, &results(scope, i));
    if fits { training::node(l, b, scope, i) } else { None }
}

/// (q, scale, w, w's scale) → y, plus a term.
fn linear(
    l: &mut Lowering,
    b: &mut Builder,
    scope: &Scope<'_>,
    [q, s_x, w, s_w]: [Node; 4],
    out: Node,
    term: Option<Node>,
) -> bool {
    let Some(shape) = product(scope.plan, q, w) else { return false };
    let (n, m, k) = (shape.tokens, shape.rows, shape.columns);
    let x = of(l, b, scope, q, I8, [n, k]);
    let scale_x = of(l, b, scope, s_x, F32, [n]);
    let matrix = of(l, b, scope, w, I8, [shape.bytes()]);
    let scale_w = of(l, b, scope, s_w, F32, [1]);
    let y = of(l, b, scope, out, F32, [n, m]);
    let extra = scope.extra(b, 0);
    let scratch = b.memref_from_ptr(extra, MemRef::new(I8, [ternary::scratch(l.isa, shape) as i64]), &[]);
    match term {
        None => {
            let f = ternary::linear(b.module(), l.isa, shape);
            b.call(&f, (x, scale_x, matrix, scale_w, y, scratch));
        }
        Some(term) => {
            let f = ternary::linear_add(b.module(), l.isa, shape);
            let term = of(l, b, scope, term, F32, [n, m]);
            b.call(&f, (x, scale_x, matrix, scale_w, term, y, scratch));
        }
    }
    l.calls += 1;
    true
}

/// Lowers a chain of nodes; false where there is no kernel for it.
pub(crate) fn chain(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, f: &Fused) -> bool {
    let (i, o) = (&f.inputs, &f.outputs);
    if !plain(l, scope, i) || !plain(l, scope, o) {
        return false;
    }
    let node = |k: usize| &scope.plan.graph.nodes[f.nodes[k] as usize];
    match f.pattern {
        Pattern::RmsNormQuantize => {
            let [rows, cols] = matrix(scope, i[0]);
            let Some(rounding) = Rounding::named(node(1).attrs.str("rounding")) else { return false };
            let eps = node(0).attrs.float("eps", 0.0) as f32;
            let kernel = norm::rms_norm_quantize(b.module(), l.isa, rows, cols, eps, rounding);
            let x = of(l, b, scope, i[0], F32, [rows, cols]);
            let w = of(l, b, scope, i[1], F32, [cols]);
            let rstd = of(l, b, scope, o[0], F32, [rows]);
            let scale = of(l, b, scope, o[1], F32, [rows]);
            let q = of(l, b, scope, o[2], I8, [rows, cols]);
            b.call(&kernel, (x, w, q, rstd, scale));
            l.calls += 1;
            true
        }
        Pattern::TernaryProducts => {
            for (w, y) in i[2..].chunks_exact(2).zip(o) {
                if !linear(l, b, scope, [i[0], i[1], w[0], w[1]], *y, None) {
                    by_loops(l, b, scope, vec![(w[0], w[1], 0)], (None, None), (i, *y));
                }
            }
            true
        }
        Pattern::TernaryAdd => {
            if !linear(l, b, scope, [i[0], i[1], i[2], i[3]], o[0], Some(i[4])) {
                by_loops(l, b, scope, vec![(i[2], i[3], 0)], (Some(i[4]), None), (i, o[0]));
            }
            true
        }
        Pattern::TernaryGated => {
            if !gated(l, b, scope, f) {
                let silu = f.nodes.iter().any(|n| scope.plan.graph.nodes[*n as usize].op == Op::Silu);
                let gate = if silu { Op::Silu } else { Op::Relu };
                let half = if i[2] == i[4] { sizes(scope, i[2])[0] / 2 } else { 0 };
                by_loops(
                    l,
                    b,
                    scope,
                    vec![(i[2], i[3], 0), (i[4], i[5], half)],
                    (None, Some(gate)),
                    (i, o[0]),
                );
            }
            true
        }
        _ => training::chain(l, b, scope, f),
    }
}

/// A product whose trits lie in a layout that the kernels do not read.
fn by_loops(
    l: &mut Lowering,
    b: &mut Builder,
    scope: &Scope<'_>,
    w: Vec<(Node, Node, usize)>,
    (term, gate): (Option<Node>, Option<Op>),
    (inputs, out): (&[Node], Node),
) {
    let rows = sizes(scope, out).last().copied().unwrap_or(0);
    quantize::product(l, b, scope, &Product { x: [inputs[0], inputs[1]], w, rows, term, gate, out });
}

fn gated(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, f: &Fused) -> bool {
    let (i, o) = (&f.inputs, &f.outputs);
    let halves = i[2] == i[4];
    let Some(mut shape) = product(scope.plan, i[0], i[2]) else { return false };
    if halves {
        if shape.rows % 2 != 0 {
            return false;
        }
        shape.rows /= 2;
        // A group of rows that both halves have a part of would have to be taken apart.
        if shape.layout == TritLayout::Compute && shape.rows % ternary::ROWS != 0 {
            return false;
        }
    }
    let silu = f.nodes.iter().any(|n| scope.plan.graph.nodes[*n as usize].op == Op::Silu);
    let function = if silu { Function::Silu } else { Function::SquaredRelu };
    let (n, m, k) = (shape.tokens, shape.rows, shape.columns);
    let kernel = ternary::linear_gated(b.module(), l.isa, shape, function);
    let x = of(l, b, scope, i[0], I8, [n, k]);
    let scale_x = of(l, b, scope, i[1], F32, [n]);
    let gate = of(l, b, scope, i[2], I8, [shape.bytes()]);
    let gate_scale = of(l, b, scope, i[3], F32, [1]);
    let up = match halves {
        true => {
            let base = l.address(b, scope, i[4]);
            let at = b.ptr_offset(base, shape.bytes());
            b.memref_from_ptr(at, MemRef::new(I8, [shape.bytes() as i64]), &[])
        }
        false => of(l, b, scope, i[4], I8, [shape.bytes()]),
    };
    let up_scale = of(l, b, scope, i[5], F32, [1]);
    let y = of(l, b, scope, o[0], F32, [n, m]);
    let extra = scope.extra(b, 0);
    let scratch = b.memref_from_ptr(extra, MemRef::new(I8, [ternary::scratch(l.isa, shape) as i64]), &[]);
    b.call(&kernel, (x, scale_x, gate, gate_scale, up, up_scale, y, scratch));
    l.calls += 1;
    true
}
