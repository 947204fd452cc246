//! Fused groups, and single pointwise nodes, as loops with vectors inside.
//!
//! A group becomes a program: operands with strides over the iteration space, ops on registers, results. Programs that are
//! equal are one kernel, so the layers of a model share theirs.

use super::dealt::piece;
use super::nest::{Nest, dense, moved};
use super::point::Point;
use super::value::{Cells, Types, V, lanes, memref, number, shaped, spread};
use super::{Arg, Lowering, Scope};
use crate::deal::Round;
use crate::ir::{Builder, Index, Kind, Value};
use axes::DType;
use graph::{Op, Value as Node};
use premap::{Access, Group};
use std::collections::HashMap;

/// An operand of an op: a register, or a number.
#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Register(usize),
    Number(f64, DType),
}

/// A group without the names of its values.
#[derive(Clone, Debug)]
struct Program {
    nest: Nest,
    /// The axes of rows, and those of columns.
    parts: [Nest; 2],
    /// Element types of the operands; they are the first registers.
    inputs: Vec<DType>,
    code: Vec<(Point, Vec<Operand>)>,
    outputs: Vec<(Operand, DType)>,
    /// Lanes of the vectors in the innermost loop.
    lanes: Option<usize>,
}

/// Lowers a fused group.
pub(crate) fn group(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, g: &Group) {
    if g.rows * g.cols == 0 {
        return;
    }
    if let Some((program, inputs)) = program(l, scope, g) {
        call(l, b, scope, "group", program, inputs, g.outputs.clone());
    }
}

/// The same, cut into rows that are dealt out.
pub(crate) fn dealt(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, g: &Group) -> bool {
    let Some((program, inputs)) = program(l, scope, g) else { return true };
    let args: Vec<Arg> = inputs.iter().map(|v| l.read(b, scope, *v)).collect();
    let results: Vec<Arg> = g.outputs.iter().map(|v| l.write(b, scope, *v)).collect();
    let all = [args, results].concat();
    let kinds: Vec<(Kind, usize)> = all.iter().map(|a| (a.kind, a.len)).collect();
    let (rows, _, each) = premap::cut::group(g);
    let (types, key) = (l.types, format!("{program:?} {rows} {each}"));
    l.dealt(b, scope, "group", &key, &all, || {
        vec![Round::new(rows.div_ceil(each), move |b, at, task| {
            let memory: Vec<V> =
                at.iter().zip(&kinds).map(|(at, (kind, len))| memref(b, *at, *kind, *len)).collect();
            piece(b, task, rows, each, |b, first, count| {
                program.emit_rows(b, types, &memory, rows, (first, count));
            });
        })]
    });
    true
}

/// The program of a group, and the values that it reads.
fn program(l: &mut Lowering, scope: &Scope<'_>, g: &Group) -> Option<(Program, Vec<Node>)> {
    let plan = scope.plan;
    let mut registers: HashMap<Node, Operand> = HashMap::new();
    for (k, i) in g.inputs.iter().enumerate() {
        registers.insert(i.seen, Operand::Register(k));
    }
    let mut code: Vec<(Point, Vec<Operand>)> = vec![];
    for i in &g.nodes {
        let n = &plan.graph.nodes[*i as usize];
        let mut operands = vec![];
        for v in &n.inputs {
            let known = registers.get(v).cloned();
            let made = known.or_else(|| {
                Some(Operand::Number(premap::group::splat(&plan.graph, *v)?, plan.graph.ty(*v).dtype))
            });
            match made {
                Some(o) => operands.push(o),
                None => {
                    l.fail(n.op, scope, *i, "an operand of the group has no register");
                    return None;
                }
            }
        }
        let value = Node { node: *i, out: 0 };
        if matches!(n.op, Op::Identity | Op::StopGradient | Op::Surrogate) {
            registers.insert(value, operands.swap_remove(0));
            continue;
        }
        let from = n.inputs.first().map_or(n.types[0].dtype, |v| plan.graph.ty(*v).dtype);
        let point = Point { op: n.op, how: n.attrs.str("how").to_string(), from, to: n.types[0].dtype };
        registers.insert(value, Operand::Register(g.inputs.len() + code.len()));
        code.push((point, operands));
    }
    let outputs: Vec<(Operand, DType)> =
        g.outputs.iter().map(|v| (registers[v].clone(), plan.graph.ty(*v).dtype)).collect();
    let accesses: Vec<Access> =
        g.inputs.iter().map(|i| i.access.clone()).chain(outputs.iter().map(|_| Access::Full)).collect();
    let inputs: Vec<DType> = g.inputs.iter().map(|i| plan.graph.ty(i.source).dtype).collect();
    let (whole, split) = space(g.rows, g.cols, &accesses);
    let parts = whole.split(split);
    let nest = whole.merged();
    let lanes = width(l.types, &nest, &inputs, &code, &outputs);
    let sources = g.inputs.iter().map(|i| i.source).collect();
    Some((Program { nest, parts, inputs, code, outputs, lanes }, sources))
}

/// Lowers a pointwise node by itself.
pub(crate) fn node(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, i: u32) {
    let n = &scope.plan.graph.nodes[i as usize];
    let elements = n.types[0].elements().unwrap_or(0);
    let inputs = n.inputs.iter().map(|v| premap::GroupInput { seen: *v, source: *v, access: Access::Full });
    let mut unique: Vec<premap::GroupInput> = vec![];
    for input in inputs {
        if !unique.iter().any(|u| u.seen == input.seen)
            && premap::group::splat(&scope.plan.graph, input.seen).is_none()
        {
            unique.push(input);
        }
    }
    let out = Node { node: i, out: 0 };
    let alone = Group { nodes: vec![i], inputs: unique, outputs: vec![out], rows: elements, cols: 1 };
    group(l, b, scope, &alone);
}

/// How rows × cols are read by each operand, and how many axes the rows are.
fn space(rows: usize, cols: usize, accesses: &[Access]) -> (Nest, usize) {
    let strided = accesses.iter().find_map(|a| match a {
        Access::Strided { dims, .. } => Some(dims.clone()),
        _ => None,
    });
    let dims = strided.unwrap_or_else(|| vec![rows, cols]);
    // The split of the axes into rows and columns.
    let split = (0..=dims.len())
        .find(|k| {
            dims[..*k].iter().product::<usize>() == rows && dims[*k..].iter().product::<usize>() == cols
        })
        .unwrap_or(dims.len());
    let (outer, inner) = (dense(&dims[..split]), dense(&dims[split..]));
    let scaled = |s: &[isize], by: isize| -> Vec<isize> { s.iter().map(|x| x * by).collect() };
    let mut nest = Nest { dims: dims.clone(), strides: vec![], offsets: vec![] };
    for a in accesses {
        let (o, i, offset) = match a {
            Access::Full => (scaled(&outer, cols as isize), inner.clone(), 0),
            Access::Row => (scaled(&outer, 0), inner.clone(), 0),
            Access::Col => (outer.clone(), scaled(&inner, 0), 0),
            Access::Scalar => (scaled(&outer, 0), scaled(&inner, 0), 0),
            Access::Rows { stride, offset } => (scaled(&outer, *stride as isize), inner.clone(), *offset),
            Access::Strided { strides, offset, .. } => {
                (strides[..split].to_vec(), strides[split..].to_vec(), *offset)
            }
        };
        nest.strides.push([o, i].concat());
        nest.offsets.push(offset);
    }
    (nest, split)
}

/// Lanes of the vectors: as many as 64 bytes hold of the widest element that is computed with.
fn width(
    types: Types,
    nest: &Nest,
    inputs: &[DType],
    code: &[(Point, Vec<Operand>)],
    outputs: &[(Operand, DType)],
) -> Option<usize> {
    let steps = (0..nest.strides.len()).all(|k| matches!(nest.step(k), 0 | 1));
    let dtypes =
        inputs.iter().copied().chain(code.iter().map(|(p, _)| p.to)).chain(outputs.iter().map(|o| o.1));
    let kinds: Vec<Kind> = dtypes.map(|d| types.compute(d)).collect();
    if !steps || kinds.iter().any(|k| matches!(k, Kind::F80 | Kind::F128)) {
        return None;
    }
    let wide = kinds.iter().any(|k| k.bits() == 64);
    let n = if wide { 8 } else { 16 };
    (nest.inner() >= n).then_some(n)
}

/// Calls the program's kernel, making it where it is new.
fn call(
    l: &mut Lowering,
    b: &mut Builder,
    scope: &Scope<'_>,
    name: &str,
    program: Program,
    inputs: Vec<Node>,
    outputs: Vec<Node>,
) {
    let key = format!("{program:?}");
    let args: Vec<Arg> = inputs.iter().map(|v| l.read(b, scope, *v)).collect();
    let results: Vec<Arg> = outputs.iter().map(|v| l.write(b, scope, *v)).collect();
    let types = l.types;
    let all = [args, results].concat();
    l.kernel(b, name, &key, &all, false, |b, memory| {
        program.emit(b, types, memory);
        None
    });
}

impl Program {
    fn emit(&self, b: &mut Builder, types: Types, memory: &[V]) {
        let dtypes = self.inputs.iter().copied().chain(self.outputs.iter().map(|o| o.1));
        let cells: Vec<Cells> =
            memory.iter().zip(dtypes).map(|(m, dtype)| Cells { memory: *m, dtype, types }).collect();
        let n = self.nest.inner();
        self.nest.outer(b, &mut |b, places| self.line(b, types, &cells, &self.nest, places, n));
    }

    /// `count` of `all` rows, from row `first` on.
    fn emit_rows(
        &self,
        b: &mut Builder,
        types: Types,
        memory: &[V],
        all: usize,
        (first, count): (Value<Index>, usize),
    ) {
        let dtypes = self.inputs.iter().copied().chain(self.outputs.iter().map(|o| o.1));
        let cells: Vec<Cells> =
            memory.iter().zip(dtypes).map(|(m, dtype)| Cells { memory: *m, dtype, types }).collect();
        if self.nest.dims.len() == 1 {
            // One axis altogether, of which rows are stretches.
            let each = self.nest.len() / all;
            let from = b.scaled(first, each);
            let places = self.nest.position(b, from);
            return self.line(b, types, &cells, &self.nest, &places, count * each);
        }
        let [rows, columns] = &self.parts;
        b.for_(0, count, 1, (), |b, r, ()| {
            let row = b.addi(first, r);
            let places = rows.position(b, row);
            let n = columns.inner();
            columns.outer_from(b, &places, &mut |b, places| self.line(b, types, &cells, columns, places, n));
        });
    }

    /// `n` elements along the innermost axis of `nest`, from these places on.
    fn line(
        &self,
        b: &mut Builder,
        types: Types,
        cells: &[Cells],
        nest: &Nest,
        places: &[Value<Index>],
        n: usize,
    ) {
        let count = self.inputs.len();
        let vectors = self.lanes.map_or(0, |w| n - n % w);
        // What does not move along the innermost axis is read before it.
        let still: Vec<Option<V>> =
            (0..count).map(|k| (nest.step(k) == 0).then(|| cells[k].load(b, places[k], None))).collect();
        let run = |b: &mut Builder, from: usize, to: usize, w: Option<usize>| {
            let ready: Vec<Option<V>> = still.iter().map(|v| v.map(|v| spread(b, v, w))).collect();
            let body = |b: &mut Builder, i: Value<Index>| {
                let mut registers: Vec<V> = vec![];
                for k in 0..count {
                    let v = ready[k].unwrap_or_else(|| {
                        let at = moved(b, places[k], i, nest.step(k));
                        cells[k].load(b, at, w)
                    });
                    registers.push(v);
                }
                self.run(b, types, &mut registers, w);
                for (k, (o, _)) in self.outputs.iter().enumerate() {
                    let v = self.operand(b, types, &registers, o, w);
                    let at = moved(b, places[count + k], i, nest.step(count + k));
                    cells[count + k].store(b, at, v);
                }
            };
            if to > from {
                b.for_(from, to, w.unwrap_or(1), (), |b, i, ()| body(b, i));
            }
        };
        run(b, 0, vectors, self.lanes);
        run(b, vectors, n, None);
    }

    fn run(&self, b: &mut Builder, types: Types, registers: &mut Vec<V>, w: Option<usize>) {
        for (point, operands) in &self.code {
            let x: Vec<V> = operands.iter().map(|o| self.operand(b, types, registers, o, w)).collect();
            let made = point.apply(b, types, &x);
            registers.push(made);
        }
    }

    fn operand(&self, b: &mut Builder, types: Types, registers: &[V], o: &Operand, w: Option<usize>) -> V {
        match o {
            Operand::Register(r) => registers[*r],
            Operand::Number(x, d) => {
                let ty = shaped(types.compute(*d), w);
                let v = number(b, ty, *x);
                debug_assert_eq!(lanes(v.ty()), w);
                v
            }
        }
    }
}
