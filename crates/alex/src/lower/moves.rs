//! Rearrangements as strided copies: elements move as they lie in memory, whatever the numbers in them are called.

use super::nest::{Nest, dense, moved};
use super::step::{results, sizes};
use super::value::{Cells, V, float, int, op2, shaped};
use super::{Lowering, Scope};
use crate::ir::{Builder, Index, Kind, Value};
use graph::array::{ravel, unravel};
use graph::ops::windows::Geometry;
use graph::{Node, Op};

/// A box of elements: where it lies in the operand and where in the result.
#[derive(Clone, Debug)]
struct Part {
    operand: usize,
    nest: Nest,
}

impl Part {
    fn new(operand: usize, dims: &[usize], from: (Vec<isize>, usize), to: (Vec<isize>, usize)) -> Part {
        let nest = Nest { dims: dims.to_vec(), strides: vec![from.0, to.0], offsets: vec![from.1, to.1] };
        Part { operand, nest: nest.merged() }
    }
}

/// What a rearranging node copies, and the number that fills the rest.
fn parts(n: &Node, shapes: &[Vec<usize>], to: &[usize]) -> (Option<f64>, Vec<Part>) {
    let from = &shapes[0];
    let fixed =
        |key: &str| -> Vec<usize> { n.attrs.dims(key).iter().map(|d| d.fixed().unwrap_or(0)).collect() };
    let (own, result) = (dense(from), dense(to));
    let one = |dims: &[usize], strides: Vec<isize>, offset: usize, target: usize| {
        vec![Part::new(0, dims, (strides, offset), (result.clone(), target))]
    };
    match n.op {
        Op::Broadcast => {
            let mut strides = vec![0; to.len()];
            n.attrs.ints("map").iter().zip(&own).for_each(|(m, s)| strides[*m] = *s);
            (None, one(to, strides, 0, 0))
        }
        Op::Transpose => (None, one(to, n.attrs.ints("perm").iter().map(|p| own[*p]).collect(), 0, 0)),
        Op::Slice => (None, one(to, own.clone(), ravel(&fixed("start"), from), 0)),
        Op::Reverse => {
            let axis = n.attrs.int("axis", 0) as usize;
            let mut strides = own.clone();
            let offset = from[axis].saturating_sub(1) * own[axis] as usize;
            strides[axis] = -strides[axis];
            (None, one(to, strides, offset, 0))
        }
        Op::Pad => {
            let target = ravel(&fixed("low"), to);
            (Some(n.attrs.float("value", 0.0)), one(from, own.clone(), 0, target))
        }
        Op::Concatenate => {
            let axis = n.attrs.int("axis", 0) as usize;
            let mut at = 0;
            let list = shapes.iter().enumerate().map(|(k, s)| {
                let part = Part::new(k, s, (dense(s), 0), (result.clone(), at * result[axis] as usize));
                at += s[axis];
                part
            });
            (None, list.collect())
        }
        _ => (None, vec![Part::new(0, &[to.iter().product()], (vec![1], 0), (vec![1], 0))]),
    }
}

/// Lowers a rearranging node.
pub(crate) fn node(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) {
    let n = &scope.plan.graph.nodes[i as usize];
    if n.op == Op::Windows {
        return windows(l, b, scope, i);
    }
    let out = results(scope, i)[0];
    let shapes: Vec<Vec<usize>> = n.inputs.iter().map(|v| sizes(scope, *v)).collect();
    let (fill, parts) = parts(n, &shapes, &sizes(scope, out));
    let parts: Vec<Part> = parts.into_iter().filter(|p| p.nest.len() > 0).collect();
    let dtype = n.types[0].dtype;
    let kind = l.types.storage(dtype);
    if let Some(x) = fill {
        let target = l.write(b, scope, out);
        let len = target.len;
        l.kernel(b, "fill", &format!("{:x}", x.to_bits()), &[target], false, |b, m| {
            filled(b, m[0], kind, len, x);
            None
        });
    }
    for part in parts {
        let args = [l.read(b, scope, n.inputs[part.operand]), l.write(b, scope, out)];
        let nest = part.nest;
        l.kernel(b, "move", &format!("{nest:?}"), &args, false, |b, m| {
            strided(b, m, kind, &nest);
            None
        });
    }
}

/// Elements of a whole box.
fn strided(b: &mut Builder, m: &[V], kind: Kind, nest: &Nest) {
    let (n, inner) = (nest.inner(), (nest.step(0), nest.step(1)));
    let width = vector_width(kind);
    nest.outer(b, &mut |b, at| {
        let vectors = if inner == (1, 1) && n >= width { n - n % width } else { 0 };
        if vectors > 0 {
            b.for_(0, vectors, width, (), |b, i, ()| copied(b, m, kind, at, i, inner, Some(width)));
        }
        if vectors < n {
            b.for_(vectors, n, 1, (), |b, i, ()| copied(b, m, kind, at, i, inner, None));
        }
    });
}

fn copied(
    b: &mut Builder,
    m: &[V],
    kind: Kind,
    at: &[Value<Index>],
    i: Value<Index>,
    s: (isize, isize),
    w: Option<usize>,
) {
    let (from, to) = (moved(b, at[0], i, s.0), moved(b, at[1], i, s.1));
    let (load, store) =
        if w.is_some() { ("vector.load", "vector.store") } else { ("memref.load", "memref.store") };
    let x: V = b.generic(load, (m[0], from), "", shaped(kind, w));
    let () = b.generic(store, (x, m[1], to), "", ());
}

/// Elements of 64 bytes; one where vectors have no such elements.
fn vector_width(kind: Kind) -> usize {
    match kind {
        Kind::F80 | Kind::F128 => usize::MAX,
        k => 64 / k.bytes(),
    }
}

/// Copies n elements.
pub(crate) fn run(b: &mut Builder, from: V, to: V, kind: Kind, n: usize) {
    let nest = Nest { dims: vec![n], strides: vec![vec![1], vec![1]], offsets: vec![0, 0] };
    strided(b, &[from, to], kind, &nest);
}

/// Writes one number everywhere.
pub(crate) fn filled(b: &mut Builder, to: V, kind: Kind, n: usize, x: f64) {
    let ty = shaped(kind, None);
    let x = if kind.is_float() { float(b, ty, x) } else { int(b, ty, x as i64) };
    b.for_(0, n, 1, (), |b, i, ()| {
        let () = b.generic("memref.store", (x, to, i), "", ());
    });
}

/// One element of the windows: the windows that stand on an element of the operand with it.
struct Tap {
    /// Windows along each axis.
    count: Vec<usize>,
    /// The first of them, in the space.
    narrow: usize,
    /// The first of them, among the windows laid out.
    wide: usize,
}

/// The elements of a window in order.
fn taps(g: &Geometry, space: &[usize], counts: &[usize]) -> Vec<Tap> {
    let (d, own) = (g.rank(), graph::array::strides(space));
    let laid = graph::array::strides(&[&g.kernel[..], counts].concat());
    let all = (0..g.kernel.iter().product()).map(|i| {
        let tap = unravel(i, &g.kernel);
        let mut t = Tap { count: vec![], narrow: 0, wide: 0 };
        for k in 0..d {
            let ahead = tap[k] * g.dilation[k];
            let first = g.low[k].saturating_sub(ahead).div_ceil(g.stride[k]);
            // Windows up to the last whose element stands before the end of the axis.
            let end = (space[k] + g.low[k]).saturating_sub(ahead).div_ceil(g.stride[k]).min(counts[k]);
            t.count.push(end.saturating_sub(first));
            t.wide += tap[k] * laid[k] + first * laid[d + k];
            t.narrow += (first * g.stride[k] + ahead).saturating_sub(g.low[k]) * own[k];
        }
        t
    });
    all.filter(|t| !t.count.contains(&0)).collect()
}

/// Boxes of a value of sizes `narrow` and its windows laid out, one for each element of a window.
fn boxes(g: &Geometry, narrow: &[usize], wide: &[usize]) -> Vec<Nest> {
    let d = g.rank();
    let (lead, space) = narrow.split_at(narrow.len() - d);
    let counts = &wide[wide.len() - d..];
    if space.contains(&0) {
        return vec![];
    }
    let (own, laid) = (dense(narrow), dense(wide));
    let steps: Vec<isize> = own[lead.len()..].iter().zip(&g.stride).map(|(o, s)| o * *s as isize).collect();
    let made = taps(g, space, counts).into_iter().map(|t| Nest {
        dims: [lead, &t.count].concat(),
        strides: vec![
            [&own[..lead.len()], &steps].concat(),
            [&laid[..lead.len()], &laid[wide.len() - d..]].concat(),
        ],
        offsets: vec![t.narrow, t.wide],
    });
    made.map(Nest::merged).filter(|n| n.len() > 0).collect()
}

/// Lowers `windows`.
fn windows(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) {
    let n = &scope.plan.graph.nodes[i as usize];
    let (g, out) = (Geometry::read(&n.attrs), results(scope, i)[0]);
    let boxes = boxes(&g, &sizes(scope, n.inputs[0]), &sizes(scope, out));
    let kind = l.types.storage(n.types[0].dtype);
    let args = [l.read(b, scope, n.inputs[0]), l.write(b, scope, out)];
    let len = args[1].len;
    l.kernel(b, "windows", &format!("{boxes:?}"), &args, false, |b, m| {
        filled(b, m[1], kind, len, 0.0);
        boxes.iter().for_each(|nest| strided(b, m, kind, nest));
        None
    });
}

/// Lowers `windows_add`.
pub(crate) fn windows_add(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) {
    let n = &scope.plan.graph.nodes[i as usize];
    let (g, out) = (Geometry::read(&n.attrs), results(scope, i)[0]);
    let boxes = boxes(&g, &sizes(scope, out), &sizes(scope, n.inputs[0]));
    let (dtype, types) = (n.types[0].dtype, l.types);
    let kind = types.storage(dtype);
    let args = [l.write(b, scope, out), l.read(b, scope, n.inputs[0])];
    let len = args[0].len;
    l.kernel(b, "windows_add", &format!("{boxes:?}"), &args, false, |b, m| {
        filled(b, m[0], kind, len, 0.0);
        let cells = |k: usize| Cells { memory: m[k], dtype, types };
        for nest in &boxes {
            nest.each(b, &mut |b, at| {
                let (x, y) = (cells(1).load(b, at[1], None), cells(0).load(b, at[0], None));
                let sum = op2(b, "arith.addf", y, x);
                cells(0).store(b, at[0], sum);
            });
        }
        None
    });
}
