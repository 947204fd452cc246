//! What a training step does beside forward products, by the kernels of [`crate::cpu::training`].

use super::super::nest::{Nest, dense as strides};
use super::super::step::{results, sizes};
use super::super::value::V;
use super::super::{Arg, Lowering, Scope};
use super::dense::{joined, lies};
use super::matrix;
use crate::cpu::dense::{Shape, product_of_rows};
use crate::cpu::norm::{self, Rounding};
use crate::cpu::{selective, training};
use crate::ir::{Builder, Element, F32, I8, I32, I64, Kind, MemRef, Value};
use axes::{DType, TritLayout};
use graph::ops::dot::DotAxes;
use graph::{Node, Op};
use premap::{Fused, Pattern, Plan};

fn run<E: Element>(b: &mut Builder, m: V, elem: E, len: usize) -> Value<MemRef<E, 1>> {
    b.expect(m, MemRef::new(elem, [len as i64]))
}

fn rows<E: Element>(b: &mut Builder, m: V, elem: E, [rows, cols]: [usize; 2]) -> Value<MemRef<E, 2>> {
    let flat = run(b, m, elem, rows * cols);
    let at = b.ptr_of(flat);
    b.memref_from_ptr(at, MemRef::new(elem, [rows as i64, cols as i64]), &[])
}

fn cube(b: &mut Builder, m: V, sizes: [usize; 3]) -> Value<MemRef<F32, 3>> {
    let flat = run(b, m, F32, sizes.iter().product());
    let at = b.ptr_of(flat);
    b.memref_from_ptr(at, MemRef::new(F32, sizes.map(|n| n as i64)), &[])
}

/// Memory behind the arena.
fn scratch_of(b: &mut Builder, scope: &Scope<'_>, len: usize) -> Arg {
    Arg { at: scope.extra(b, 0), kind: Kind::I8, len, place: None, written: true }
}

/// Bytes behind the arena that a node needs.
pub(super) fn scratch(plan: &Plan, n: &Node) -> usize {
    match n.op {
        Op::RmsNormGrad => plan.graph.ty(n.inputs[1]).elements().map_or(0, training::norm_scratch),
        Op::SelectiveScanGrad => super::recurrent::shape(plan, n).map_or(0, selective::grad_scratch),
        _ => 0,
    }
}

/// Lowers a node whose floats are f32; what it gives is 1 where a label was outside. `None`: there is no kernel for it.
pub(super) fn node(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) -> Option<Option<V>> {
    let n = &scope.plan.graph.nodes[i as usize];
    let out = results(scope, i);
    let isa = l.isa;
    let given = |l: &mut Lowering, b: &mut Builder| {
        let mut args: Vec<Arg> = n.inputs.iter().map(|v| l.read(b, scope, *v)).collect();
        args.extend(out.iter().map(|v| l.write(b, scope, *v)));
        args
    };
    match n.op {
        Op::RmsNormGrad => {
            let cols = sizes(scope, n.inputs[1])[0];
            let count = sizes(scope, n.inputs[2]).iter().product::<usize>();
            if cols * count == 0 {
                return None;
            }
            let (mut args, shape) = (given(l, b), [count, cols]);
            args.push(scratch_of(b, scope, training::norm_scratch(cols)));
            l.kernel(b, "rms_norm_grad", &format!("{shape:?}"), &args, false, |b, m| {
                let [x, dy, dx] = [m[0], m[3], m[4]].map(|m| rows(b, m, F32, shape));
                let [weight, dweight] = [m[1], m[5]].map(|m| run(b, m, F32, cols));
                let (rstd, room) = (run(b, m[2], F32, count), run(b, m[6], I8, training::norm_scratch(cols)));
                training::rms_norm_grad(b, isa, shape, (x, weight, rstd, dy), (dx, dweight), room);
                None
            });
            Some(None)
        }
        Op::CrossEntropy | Op::CrossEntropyGrad => {
            let shape: [usize; 2] = sizes(scope, n.inputs[0]).try_into().ok()?;
            let count = shape[0];
            if shape.contains(&0) || scope.plan.graph.ty(n.inputs[1]).dtype != DType::I64 {
                return None;
            }
            let args = given(l, b);
            let key = format!("{shape:?}");
            Some(l.kernel(b, n.op.name(), &key, &args, true, |b, m| {
                let (x, labels) = (rows(b, m[0], F32, shape), run(b, m[1], I64, count));
                let flag = if n.op == Op::CrossEntropy {
                    let (loss, lse) = (run(b, m[2], F32, 1), run(b, m[3], F32, count));
                    training::cross_entropy(b, isa, shape, (x, labels), (loss, lse))
                } else {
                    let (lse, g, dx) =
                        (run(b, m[2], F32, count), run(b, m[3], F32, 1), rows(b, m[4], F32, shape));
                    training::cross_entropy_grad(b, isa, shape, (x, labels, lse, g), dx)
                };
                let flag: Value<I32> = flag;
                Some(flag.any())
            }))
        }
        Op::QuantizeWeights if scope.plan.layout(out[0]) == TritLayout::Compute => {
            let shape: [usize; 2] = sizes(scope, n.inputs[0]).try_into().ok()?;
            let (args, bytes) = (given(l, b), scope.plan.bytes(out[0]));
            if bytes == 0 {
                return None;
            }
            l.kernel(b, "quantize_weights_packed", &format!("{shape:?}"), &args, false, |b, m| {
                let (w, flat) = (rows(b, m[0], F32, shape), run(b, m[0], F32, shape[0] * shape[1]));
                let (trits, scale) = (run(b, m[1], I8, bytes), run(b, m[2], F32, 1));
                training::quantize_weights_packed(b, shape, (w, flat), (trits, scale));
                None
            });
            Some(None)
        }
        Op::SelectiveScanGrad => {
            let s = super::recurrent::shape(scope.plan, n)?;
            let (mut args, room) = (given(l, b), selective::grad_scratch(s));
            args.push(scratch_of(b, scope, room));
            l.kernel(b, "selective_scan_grad", &format!("{s:?}"), &args, false, |b, m| {
                let (wide, maps) = ([s.batch, s.time, s.channels], [s.batch, s.time, s.states]);
                let (state, own) = ([s.batch, s.channels, s.states], [s.channels, s.states]);
                let borders = [s.batch, s.time + s.states, s.channels];
                let read = selective::Given {
                    x: cube(b, m[0], wide),
                    dt: cube(b, m[1], wide),
                    a: rows(b, m[2], F32, own),
                    b: cube(b, m[3], maps),
                    c: cube(b, m[4], maps),
                    borders: cube(b, m[5], borders),
                    dy: cube(b, m[6], wide),
                    dlast: cube(b, m[7], state),
                };
                let made = selective::Made {
                    dx: cube(b, m[8], wide),
                    ddt: cube(b, m[9], wide),
                    da: rows(b, m[10], F32, own),
                    db: cube(b, m[11], maps),
                    dc: cube(b, m[12], maps),
                    dh0: cube(b, m[13], state),
                };
                let scratch = run(b, m[14], I8, room);
                selective::selective_scan_grad(b, s, read, made, scratch);
                None
            });
            Some(None)
        }
        _ => None,
    }
}

/// Lowers a chain; false where there is no kernel for it.
pub(super) fn chain(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, f: &Fused) -> bool {
    let (i, o, isa) = (&f.inputs, &f.outputs, l.isa);
    let node = |k: usize| &scope.plan.graph.nodes[f.nodes[k] as usize];
    match f.pattern {
        Pattern::RmsNormFakeQuantize => {
            let shape @ [count, cols] = matrix(scope, i[0]);
            let Some(rounding) = Rounding::named(node(1).attrs.str("rounding")) else { return false };
            let eps = node(0).attrs.float("eps", 0.0) as f32;
            let args = [
                l.read(b, scope, i[0]),
                l.read(b, scope, i[1]),
                l.write(b, scope, o[0]),
                l.write(b, scope, o[1]),
                l.write(b, scope, o[2]),
            ];
            let key = format!("{shape:?} {:08x} {rounding:?}", eps.to_bits());
            l.kernel(b, "rms_norm_fake_quantize", &key, &args, false, |b, m| {
                let [x, y] = [m[0], m[4]].map(|m| rows(b, m, F32, shape));
                let weight = run(b, m[1], F32, cols);
                let [rstd, scale] = [m[2], m[3]].map(|m| run(b, m, F32, count));
                norm::rms_norm_fake_quantize(b, isa, shape, (eps, rounding), (x, weight), (rstd, scale, y));
                None
            });
            true
        }
        Pattern::FakeQuantizeWeights => {
            let len = sizes(scope, i[0]).iter().product();
            let args = [l.read(b, scope, i[0]), l.write(b, scope, o[0]), l.write(b, scope, o[1])];
            l.kernel(b, "fake_quantize_weights", "", &args, false, |b, m| {
                let (w, scale, made) = (run(b, m[0], F32, len), run(b, m[1], F32, 1), run(b, m[2], F32, len));
                training::fake_quantize_weights(b, isa, len, w, scale, made);
                None
            });
            true
        }
        Pattern::SumOfProducts => {
            let len: usize = sizes(scope, i[0]).iter().product();
            let count: usize = sizes(scope, o[0]).iter().product();
            let shape = [count, len / count.max(1)];
            let args = [l.read(b, scope, i[0]), l.read(b, scope, i[1]), l.write(b, scope, o[0])];
            l.kernel(b, "sum_of_products", &format!("{shape:?}"), &args, false, |b, m| {
                let [x, y] = [m[0], m[1]].map(|m| rows(b, m, F32, shape));
                let out = run(b, m[2], F32, count);
                training::sum_of_products(b, shape, (x, y), out);
                None
            });
            true
        }
        Pattern::DequantizedProduct => {
            dequantized(l, b, scope, f);
            true
        }
        _ => false,
    }
}

/// Rows of q that are floats at a time: those whose panels a product keeps in the caches.
const ROWS: usize = 256;

/// A product a (m, rows) · q (rows, cols).
struct Dequantized {
    m: usize,
    rows: usize,
    cols: usize,
    /// Whether a lies as (rows, m), and its pitch; `None` where it has to be laid out as (rows, m) first.
    left: Option<(bool, usize)>,
    axes: DotAxes,
}

impl Dequantized {
    fn new(plan: &Plan, f: &Fused) -> Dequantized {
        let shape = |k: usize| plan.graph.ty(f.inputs[k]).fixed_shape().unwrap_or_default();
        let (sa, sq) = (shape(0), shape(1));
        let axes = DotAxes::new(&plan.graph.node(f.outputs[0]).attrs, sa.len(), sq.len());
        let da = strides(&sa);
        let along = |list: &[usize]| joined(list.iter().map(|a| (sa[*a], [da[*a] as usize])));
        let left = along(&axes.lhs_free)
            .zip(along(&axes.lhs_contract))
            .and_then(|((m, [row]), (k, [along]))| lies((m, row), (k, along)));
        let product = |list: &[usize]| list.iter().map(|a| sa[*a]).product();
        let (m, rows) = (product(&axes.lhs_free), product(&axes.lhs_contract));
        Dequantized { m, rows, cols: sq.last().copied().unwrap_or(1), left, axes }
    }

    fn product(&self, rows: usize, add: bool) -> (Shape, [usize; 2]) {
        let (a_transposed, pitch) = self.left.unwrap_or((true, self.m));
        let shape =
            Shape { rows: self.m, depth: rows, columns: self.cols, a_transposed, b_transposed: false, add };
        (shape, [pitch, self.cols])
    }

    /// Bytes: the floats, the left operand anew, what the product needs.
    fn parts(&self, l: &Lowering) -> [usize; 3] {
        let floats = 4 * ROWS.min(self.rows) * self.cols;
        let anew = if self.left.is_some() { 0 } else { 4 * self.m * self.rows };
        let product = self.product(ROWS.min(self.rows), false).0.scratch(l.isa);
        [floats, anew, product].map(|bytes| bytes.next_multiple_of(64))
    }
}

/// Bytes behind the arena that a chain needs.
pub(super) fn chain_scratch(l: &Lowering, plan: &Plan, f: &Fused) -> usize {
    match f.pattern {
        Pattern::DequantizedProduct => Dequantized::new(plan, f).parts(l).iter().sum(),
        _ => 0,
    }
}

fn dequantized(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, f: &Fused) {
    let d = Dequantized::new(scope.plan, f);
    let ([floats, anew, _], isa) = (d.parts(l), l.isa);
    let out_len = d.m * d.cols;
    if out_len == 0 || d.rows == 0 {
        if out_len > 0 {
            let out = l.write(b, scope, f.outputs[0]);
            l.kernel(b, "fill_zero", "", &[out], false, |b, m| {
                super::super::moves::filled(b, m[0], Kind::F32, out_len, 0.0);
                None
            });
        }
        return;
    }
    let layout = scope.plan.layout(f.inputs[1]);
    let sa = sizes(scope, f.inputs[0]);
    let scales: usize = sizes(scope, f.inputs[2]).iter().product();
    let bytes = scope.plan.bytes(f.inputs[1]);
    let total = d.parts(l).iter().sum();
    let args = [
        l.read(b, scope, f.inputs[0]),
        l.read(b, scope, f.inputs[1]),
        l.read(b, scope, f.inputs[2]),
        l.write(b, scope, f.outputs[0]),
        scratch_of(b, scope, total),
    ];
    // The products are functions of their own; they must be there before the kernel is made.
    let own = ROWS.min(d.rows);
    let made: Vec<_> = [(own, false), (own, true), (d.rows % own, true)]
        .map(|(rows, add)| {
            let (shape, pitches) = d.product(rows, add);
            (shape, pitches, (rows > 0).then(|| product_of_rows(b.module(), isa, shape, pitches)))
        })
        .into();
    let key = format!("{sa:?} {:?} {} {layout:?} {scales} {:?}", d.axes.lhs_contract, d.cols, d.left);
    l.kernel(b, "dequantized_product", &key, &args, false, |b, m| {
        let (scale, one) = (run(b, m[2], F32, scales), scales == 1);
        let c = rows(b, m[3], F32, [d.m, d.cols]);
        let scratch = run(b, m[4], I8, total);
        let a = run(b, m[0], F32, d.m * d.rows);
        let mut left = b.ptr_of(a);
        if d.left.is_none() {
            let to = b.view(scratch, floats, MemRef::new(F32, [(d.m * d.rows) as i64]), &[]);
            laid_out(b, &sa, &d.axes, a, to);
            left = b.ptr_of(to);
        }
        let room = b.view(scratch, 0, MemRef::new(F32, [own as i64, d.cols as i64]), &[]);
        let base = b.ptr_of(scratch);
        let behind = b.ptr_offset(base, floats + anew);
        let block = |b: &mut Builder, from: Value<crate::ir::Index>, which: usize| {
            let (shape, pitches, Some(f)) = &made[which] else { return };
            let count = shape.depth;
            let floats = if count == own {
                room
            } else {
                b.view(scratch, 0, MemRef::new(F32, [count as i64, d.cols as i64]), &[])
            };
            if layout == TritLayout::Bytes {
                let q = rows(b, m[1], I8, [d.rows, d.cols]);
                training::dequantize(b, isa, [count, d.cols], (q, from), (scale, one), floats);
            } else {
                let q = run(b, m[1], I8, bytes);
                training::dequantize_trits(b, isa, [count, d.cols], (q, from), (scale, one), floats);
            }
            let step = if shape.a_transposed { pitches[0] } else { 1 };
            let at = b.scaled(from, 4 * step);
            let at = b.ptr_offset(left, at);
            let [own_a, _] = shape.operands(*pitches);
            let a = b.memref_from_ptr(at, own_a, &[]);
            let work = b.memref_from_ptr(behind, MemRef::new(I8, [shape.scratch(isa) as i64]), &[]);
            b.call(f, (a, floats, c, work));
        };
        let zero = b.index(0);
        block(b, zero, 0);
        let whole = d.rows / own * own;
        if whole > own {
            b.for_(own, whole, own, (), |b, from, ()| block(b, from, 1));
        }
        if d.rows > whole {
            let from = b.index(whole as i64);
            block(b, from, 2);
        }
        None
    });
}

/// The left operand as (contracted, free).
fn laid_out(
    b: &mut Builder,
    sa: &[usize],
    axes: &DotAxes,
    from: Value<MemRef<F32, 1>>,
    to: Value<MemRef<F32, 1>>,
) {
    let order: Vec<usize> = axes.lhs_contract.iter().chain(&axes.lhs_free).copied().collect();
    let da = strides(sa);
    let dims: Vec<usize> = order.iter().map(|a| sa[*a]).collect();
    let dense = strides(&dims);
    let nest =
        Nest { dims, strides: vec![order.iter().map(|a| da[*a]).collect(), dense], offsets: vec![0; 2] };
    nest.merged().each(b, &mut |b, at| {
        let v = b.load(from, at[0]);
        b.store(v, to, at[1]);
    });
}
