//! Steps whose work the caller's threads share: cut by [`premap::cut`], as the engine's kernels are.
//!
//! A step is taken here where it has more than one task in a round and there is a form that is cut: products with trits, fused
//! groups, norms and quantisers, recurrences, gated linear units by tiles. All others run on the calling thread, as do the
//! rounds of one task. Every task writes rows, columns or tokens of its own, so results do not depend on who runs it.

pub(crate) mod blocks;
mod rows;
mod scan;

use super::step::{results, sizes};
use super::{Arg, Lowering, Scope, Space, fast, group};
use crate::cpu::math::Function;
use crate::cpu::ternary::dealt::{Behind, Dealt};
use crate::deal::{self, Round};
use crate::ir::{Builder, Element, Index, Kind, MemRef, Ptr, Value};
use axes::TritLayout;
use graph::{Op, Value as Node};
use premap::{Fused, Pattern, Plan, Step};

/// Lowers a step that is dealt out; false where it has no such form, or nothing to deal.
pub(crate) fn step(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, step: &Step) -> bool {
    if scope.runner.is_none() || l.types.wide.is_some() {
        return false;
    }
    let shared = premap::cut::rounds(scope.plan, step).iter().any(|round| round.tasks > 1);
    if !shared {
        return false;
    }
    match step {
        Step::Group(g) => group::dealt(l, b, scope, g),
        Step::Node(i) => {
            let n = &scope.plan.graph.nodes[*i as usize];
            let out = results(scope, *i);
            if !fast::plain(l, scope, &n.inputs) || !fast::plain(l, scope, &out) {
                return false;
            }
            match n.op {
                Op::TernaryLinear => products(l, b, scope, step),
                Op::RmsNorm | Op::QuantizeActivations => rows::node(l, b, scope, *i),
                Op::LinearScan => scan::node(l, b, scope, *i),
                _ => false,
            }
        }
        Step::Fused(f) => match f.pattern {
            Pattern::RmsNormQuantize => rows::chain(l, b, scope, f),
            _ => products(l, b, scope, step),
        },
        Step::Control(..) | Step::Copy { .. } => false,
    }
}

/// Bytes behind the arena that a step's kernels need.
pub(crate) fn scratch(l: &Lowering, plan: &Plan, step: &Step) -> usize {
    let dealt = product(l, plan, step).map_or(0, |p| p.dealt.scratch());
    dealt.max(fast::scratch(l, plan, step))
}

/// A product with trits, and the values behind its addresses.
struct Product {
    dealt: Dealt,
    x: [Node; 2],
    /// Of each matrix: the values, and by how many bytes to go on in one.
    matrices: Vec<Vec<(Node, usize, bool)>>,
}

/// The product that a step is, where its trits lie in the compute layout.
fn product(l: &Lowering, plan: &Plan, step: &Step) -> Option<Product> {
    let g = &plan.graph;
    let (x, list, behind): ([Node; 2], Vec<Vec<(Node, usize, bool)>>, Behind) = match step {
        Step::Node(i) => {
            let n = &g.nodes[*i as usize];
            if n.op != Op::TernaryLinear {
                return None;
            }
            let y = Node { node: *i, out: 0 };
            let matrix = vec![(n.inputs[2], 0, false), (n.inputs[3], 0, false), (y, 0, true)];
            ([n.inputs[0], n.inputs[1]], vec![matrix], Behind::Scale)
        }
        Step::Fused(Fused { pattern, nodes, inputs: i, outputs: o, .. }) => {
            let first = [*i.first()?, *i.get(1)?];
            match pattern {
                Pattern::TernaryProducts => {
                    let each = i[2..].chunks_exact(2).zip(o);
                    let list = each.map(|(w, y)| vec![(w[0], 0, false), (w[1], 0, false), (*y, 0, true)]);
                    (first, list.collect(), Behind::Scale)
                }
                Pattern::TernaryAdd => {
                    let matrix = vec![(i[2], 0, false), (i[3], 0, false), (o[0], 0, true), (i[4], 0, false)];
                    (first, vec![matrix], Behind::Add)
                }
                Pattern::TernaryGated => {
                    let silu = nodes.iter().any(|n| g.nodes[*n as usize].op == Op::Silu);
                    let function = if silu { Function::Silu } else { Function::SquaredRelu };
                    let half = if i[2] == i[4] { plan.bytes(i[2]) / 2 } else { 0 };
                    let own = [(i[2], 0, false), (i[3], 0, false), (o[0], 0, true)];
                    let matrix = [&own[..], &[(i[4], half, false), (i[5], 0, false)]].concat();
                    (first, vec![matrix], Behind::Gate(function))
                }
                _ => return None,
            }
        }
        _ => return None,
    };
    let mut rows = vec![];
    let mut shape = fast::product(plan, x[0], list.first()?[0].0)?;
    for matrix in &list {
        let own = fast::product(plan, x[0], matrix[0].0)?;
        let m = plan.graph.ty(matrix[2].0).fixed_shape()?.last().copied()?;
        // A group of rows that both halves have a part of would have to be taken apart.
        let whole = own.rows == m || m % crate::cpu::ternary::ROWS == 0;
        if own.layout != TritLayout::Compute || !whole {
            return None;
        }
        rows.push(m);
        shape = own;
    }
    // The rows in hand of a wide matrix are too many for a stack.
    let fits = shape.columns <= MOST_COLUMNS;
    let dealt = Dealt { isa: l.isa, tokens: shape.tokens, columns: shape.columns, rows, behind };
    fits.then_some(Product { dealt, x, matrices: list })
}

/// Columns up to which tasks keep 32 rows of a matrix on their stack: 256 KB.
const MOST_COLUMNS: usize = 32 << 10;

fn products(l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>, step: &Step) -> bool {
    let values = match step {
        Step::Fused(f) => [&f.inputs[..], &f.outputs].concat(),
        _ => vec![],
    };
    let Some(p) = product(l, scope.plan, step).filter(|_| fast::plain(l, scope, &values)) else {
        return false;
    };
    let mut args =
        vec![l.read(b, scope, p.x[0]), l.read(b, scope, p.x[1]), l.extra(b, scope, p.dealt.scratch())];
    for (v, offset, written) in p.matrices.concat() {
        let mut arg = if written { l.write(b, scope, v) } else { l.read(b, scope, v) };
        if offset > 0 {
            arg.at = b.ptr_offset(arg.at, offset);
            arg.place = None;
        }
        args.push(arg);
    }
    let key = format!("{:?}", p.dealt);
    l.dealt(b, scope, "products", &key, &args, || p.dealt.emit());
    true
}

impl Lowering {
    /// Memory behind the plan's own.
    fn extra(&self, b: &mut Builder, scope: &Scope<'_>, bytes: usize) -> Arg {
        let place = Some((Space::Extra, 0, bytes));
        Arg { at: scope.extra(b, 0), kind: Kind::I8, len: bytes, place, written: true }
    }

    /// Calls the kernel `name` that does what `key` says on such memory, dealt out; the first call makes it.
    pub(crate) fn dealt<'a>(
        &mut self,
        b: &mut Builder,
        scope: &Scope<'_>,
        name: &str,
        key: &str,
        args: &[Arg],
        rounds: impl FnOnce() -> Vec<Round<'a>>,
    ) {
        let Some(runner) = scope.runner else { return };
        let apart: Vec<bool> = (0..args.len()).map(|k| self.is_apart(args, k)).collect();
        let key = format!("dealt {name} {key} {apart:?}");
        self.calls += 1;
        let known = self.kernels.get(&key).cloned();
        let symbol = known.unwrap_or_else(|| {
            self.made += 1;
            let symbol = format!("{name}_{}", self.made);
            self.kernels.insert(key, symbol.clone());
            symbol
        });
        let at: Vec<Value<Ptr>> = args.iter().map(|a| a.at).collect();
        deal::kernel(b, &symbol, &apart, runner, &at, rounds);
    }
}

/// `body(first, how many)` for a task that has `each` of `all`; the last one may have fewer.
pub(super) fn piece(
    b: &mut Builder,
    task: Value<Index>,
    all: usize,
    each: usize,
    body: impl FnMut(&mut Builder, Value<Index>, usize),
) {
    let (tasks, rest) = (all.div_ceil(each), all % each);
    let first = b.scaled(task, each);
    let body = std::cell::RefCell::new(body);
    let run = |b: &mut Builder, count: usize| (body.borrow_mut())(b, first, count);
    match (tasks, rest) {
        (1, _) => run(b, all),
        (_, 0) => run(b, each),
        _ => {
            let last = deal::is_last(b, task, tasks);
            b.if_(last, |b| run(b, rest), |b| run(b, each));
        }
    }
}

/// A memref that begins `bytes` times `first` further on.
pub(super) fn moved<E: Element, const R: usize>(
    b: &mut Builder,
    at: Value<Ptr>,
    first: Value<Index>,
    bytes: usize,
    ty: MemRef<E, R>,
) -> Value<MemRef<E, R>> {
    let offset = b.scaled(first, bytes);
    let at = b.ptr_offset(at, offset);
    b.memref_from_ptr(at, ty, &[])
}

/// Rows and columns of a value seen as a matrix.
fn matrix(scope: &Scope<'_>, v: Node) -> [usize; 2] {
    let shape = sizes(scope, v);
    let cols = shape.last().copied().unwrap_or(1);
    [shape[..shape.len().saturating_sub(1)].iter().product(), cols]
}
