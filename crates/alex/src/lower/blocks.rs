//! Whole blocks among the steps of a plan: where its steps are those of an MLGRU block or of a gated linear unit over a sequence,
//! one call of [`crate::cpu::block`] takes their place, and what lies between them is never in memory.
//!
//! A block is found by the shape of the graph, from its recurrence or its gate outwards. Nothing but its result, and the last state
//! of the recurrence, may be read outside. The call stands where the recurrence (or the gate) stood; what runs between there and
//! the block's last step must leave the result's memory alone.

use super::{Lowering, Scope, dealt, space};
use crate::cpu::block::{Fusion, GluBlock, MlgruBlock};
use crate::cpu::math::Function;
use crate::cpu::norm::Rounding;
use crate::cpu::ternary::ROWS;
use crate::ir::{Builder, Element, F32, I8, MemRef, Value};
use axes::{DType, TritLayout};
use graph::{Graph, Node, Op, Value as V};
use premap::{Pattern, Plan, Step};
use std::collections::HashSet;

/// Tokens from which on a block is worth a call of its own.
const TOKENS: usize = 16;

/// A block and where it stands.
pub(crate) struct Found {
    /// The step whose place the call takes.
    pub(crate) at: usize,
    /// Steps that the call stands for.
    steps: HashSet<usize>,
    kind: Kind,
    /// The operands in the order of the kernel's arguments, and the result.
    operands: Vec<V>,
    y: V,
}

enum Kind {
    /// With the states of all steps, of which the last is written.
    Mlgru(MlgruBlock, V),
    Glu(GluBlock),
}

/// A norm, the quantiser and the product behind it.
struct Projection {
    x: V,
    norm: V,
    w: V,
    scale: V,
    eps: f64,
    rounding: Rounding,
    nodes: Vec<u32>,
}

struct Search<'a> {
    plan: &'a Plan,
    g: &'a Graph,
    users: Vec<Vec<u32>>,
    named: HashSet<u32>,
    /// The step of each node.
    step: Vec<Option<usize>>,
}

/// The blocks of a plan that are f32 and have their trits in the compute layout.
pub(crate) fn find(plan: &Plan) -> Vec<Found> {
    let g = &plan.graph;
    let anchors = |s: &Step| match s {
        Step::Node(i) => g.nodes[*i as usize].op == Op::LinearScan,
        Step::Fused(f) => f.pattern == Pattern::TernaryGated,
        _ => false,
    };
    if !plan.steps.iter().any(anchors) {
        return vec![];
    }
    let count = g.nodes.len();
    let mut s =
        Search { plan, g, users: vec![vec![]; count], named: HashSet::new(), step: vec![None; count] };
    for (i, n) in g.nodes.iter().enumerate() {
        n.inputs.iter().for_each(|v| s.users[v.node as usize].push(i as u32));
    }
    s.named.extend(g.outputs.iter().chain(&g.taps).map(|o| o.value.node));
    for (k, step) in plan.steps.iter().enumerate() {
        plan.nodes(step).iter().for_each(|n| s.step[*n as usize] = Some(k));
    }
    let mut found: Vec<Found> = vec![];
    for (k, step) in plan.steps.iter().enumerate() {
        let made = match step {
            Step::Node(i) if anchors(step) => s.mlgru(k, *i),
            Step::Fused(f) if anchors(step) => s.glu(k, f),
            _ => None,
        };
        found.extend(made);
    }
    found
}

fn out(node: u32) -> V {
    V { node, out: 0 }
}

impl Search<'_> {
    /// The node that makes `v`, if it is that op and `v` its first result.
    fn by(&self, v: V, op: Op) -> Option<&Node> {
        let n = self.g.node(v);
        (n.op == op && v.out == 0).then_some(n)
    }

    /// The only reader of a node's results.
    fn reader(&self, node: u32) -> Option<u32> {
        let users = &self.users[node as usize];
        let first = *users.first()?;
        users.iter().all(|u| *u == first).then_some(first)
    }

    fn projection(&self, v: V) -> Option<Projection> {
        let product = self.by(v, Op::TernaryLinear)?;
        self.quantised(&product.inputs, vec![v.node])
    }

    /// What makes the int8 activations and their scale, the first two of a product's operands.
    fn quantised(&self, inputs: &[V], mut nodes: Vec<u32>) -> Option<Projection> {
        let [q, s, w, scale, ..] = *inputs else { return None };
        let quantise = self.by(q, Op::QuantizeActivations)?;
        let norm = self.by(quantise.inputs[0], Op::RmsNorm)?;
        nodes.extend([q.node, quantise.inputs[0].node]);
        let fits = s == V { node: q.node, out: 1 }
            && self.plan.layout(w) == TritLayout::Compute
            && self.g.ty(norm.inputs[0]).dtype == DType::F32;
        let rounding = Rounding::named(quantise.attrs.str("rounding"))?;
        let eps = norm.attrs.float("eps", 0.0);
        fits.then(|| Projection { x: norm.inputs[0], norm: norm.inputs[1], w, scale, eps, rounding, nodes })
    }

    /// The projection behind `v`, and the sum of its result and `x`.
    fn outward(&self, v: V, x: V) -> Option<(Projection, V)> {
        let norm = self.reader(v.node).filter(|n| self.g.nodes[*n as usize].op == Op::RmsNorm)?;
        let quantise =
            self.reader(norm).filter(|n| self.g.nodes[*n as usize].op == Op::QuantizeActivations)?;
        let product = self.reader(quantise)?;
        let projection = self.projection(out(product)).filter(|p| p.x == v)?;
        let add = self.reader(product)?;
        let sum = self.by(out(add), Op::Add)?;
        let fits = sum.inputs.contains(&x) && sum.inputs.contains(&out(product));
        fits.then(|| (projection, out(add)))
    }

    fn mlgru(&self, at: usize, scan: u32) -> Option<Found> {
        let n = &self.g.nodes[scan as usize];
        let [f, driven, h0] = n.inputs[..] else { return None };
        let [batch, time, inner] = self.g.ty(out(scan)).fixed_shape()?[..] else { return None };
        if batch != 1 || time < TOKENS || n.attrs.flag("reverse") {
            return None;
        }
        let gate = self.by(f, Op::Sigmoid)?;
        let product = self.by(driven, Op::Multiply)?;
        let (rest, candidate) = [[0, 1], [1, 0]].into_iter().find_map(|[a, b]| {
            let rest = self.by(product.inputs[a], Op::Subtract)?;
            let one = premap::group::splat(self.g, rest.inputs[0]) == Some(1.0);
            (one && rest.inputs[1] == f).then_some((product.inputs[a], product.inputs[b]))
        })?;
        let function = match self.g.node(candidate).op {
            Op::Silu => Function::Silu,
            Op::Tanh => Function::Tanh,
            _ => return None,
        };
        let pf = self.projection(gate.inputs[0])?;
        let pi = self.projection(self.g.node(candidate).inputs[0])?;
        // The state is read by the output gate, and perhaps by a slice of its last row.
        let is_silu = |u: &&u32| self.g.nodes[**u as usize].op == Op::Silu;
        let silu = *self.users[scan as usize].iter().find(is_silu)?;
        let gated = self.reader(silu)?;
        let gated_by = self.by(out(gated), Op::Multiply)?;
        let normed = gated_by.inputs.iter().copied().find(|v| *v != out(silu))?;
        let g_norm = self.by(normed, Op::RmsNorm)?;
        let pg = self.projection(g_norm.inputs[0])?;
        let norm = self.by(pf.x, Op::RmsNorm).filter(|_| pi.x == pf.x && pg.x == pf.x)?;
        let x = norm.inputs[0];
        let (po, y) = self.outward(out(gated), x)?;
        let (eps, all) = (norm.attrs.float("eps", 0.0), [&pf, &pi, &pg, &po]);
        let alike = all.iter().all(|p| p.eps == pf.eps && p.rounding == pf.rounding)
            && g_norm.attrs.float("eps", 0.0) == eps
            && self.g.ty(x).dtype == DType::F32;
        let hidden = *self.g.ty(x).fixed_shape()?.last()?;
        let mut nodes: HashSet<u32> = all.iter().flat_map(|p| p.nodes.iter().copied()).collect();
        nodes.extend([scan, f.node, driven.node, rest.node, candidate.node, silu, gated]);
        nodes.extend([normed.node, pf.x.node, y.node]);
        let last_row = |u: &u32| {
            let slice = &self.g.nodes[*u as usize];
            let starts: Option<Vec<usize>> = slice.attrs.dims("start").iter().map(|d| d.fixed()).collect();
            slice.op == Op::Slice
                && starts.as_deref() == Some(&[0, time - 1, 0])
                && slice.types[0].fixed_shape().as_deref() == Some(&[1, 1, inner])
        };
        let outside = self.users[scan as usize].iter().filter(|u| !nodes.contains(u)).all(last_row);
        let mut operands = vec![x, norm.inputs[1]];
        [&pf, &pi, &pg].iter().for_each(|p| operands.extend([p.norm, p.w, p.scale]));
        operands.extend([g_norm.inputs[1], po.norm, po.w, po.scale, h0]);
        let block = MlgruBlock {
            batch,
            time,
            hidden,
            inner,
            eps: eps as f32,
            inner_eps: pf.eps as f32,
            rounding: pf.rounding,
            candidate: function,
            fusion: Fusion::default(),
        };
        let kind = Kind::Mlgru(block, out(scan));
        (alike && outside).then(|| self.placed(at, nodes, kind, operands, y, Some(scan)))?
    }

    fn glu(&self, at: usize, f: &premap::Fused) -> Option<Found> {
        let [_, _, w, w_scale, up, up_scale] = f.inputs[..] else { return None };
        let made = f.outputs[0];
        let (intermediate, rows) =
            self.g.ty(made).fixed_shape()?.split_last().map(|(i, r)| (*i, r.to_vec()))?;
        let tokens = rows.iter().product();
        let one = w == up && w_scale == up_scale;
        if !one || tokens < TOKENS || !intermediate.is_multiple_of(ROWS) {
            return None;
        }
        let both = self.quantised(&f.inputs, vec![])?;
        let norm = self.by(both.x, Op::RmsNorm)?;
        let x = norm.inputs[0];
        let (down, y) = self.outward(made, x)?;
        let gate = match f.nodes.iter().any(|n| self.g.nodes[*n as usize].op == Op::Silu) {
            true => Function::Silu,
            false => Function::SquaredRelu,
        };
        let alike =
            both.eps == down.eps && both.rounding == down.rounding && self.g.ty(x).dtype == DType::F32;
        let mut nodes: HashSet<u32> = f.nodes.iter().chain(&both.nodes).chain(&down.nodes).copied().collect();
        nodes.extend([both.x.node, y.node]);
        let operands = vec![x, norm.inputs[1], both.norm, both.w, both.scale, down.norm, down.w, down.scale];
        let block = GluBlock {
            tokens,
            hidden: *self.g.ty(x).fixed_shape()?.last()?,
            intermediate,
            eps: norm.attrs.float("eps", 0.0) as f32,
            inner_eps: both.eps as f32,
            rounding: both.rounding,
            gate,
            fusion: Fusion::default(),
        };
        alike.then(|| self.placed(at, nodes, Kind::Glu(block), operands, y, None))?
    }

    /// The block, if nothing else needs what it does not make, and its result may be written where it stands.
    fn placed(
        &self,
        at: usize,
        nodes: HashSet<u32>,
        kind: Kind,
        operands: Vec<V>,
        y: V,
        state: Option<u32>,
    ) -> Option<Found> {
        let inner = |n: &u32| *n != y.node && Some(*n) != state;
        let closed = nodes
            .iter()
            .filter(|n| inner(n))
            .all(|n| self.users[*n as usize].iter().all(|u| nodes.contains(u)) && !self.named.contains(n));
        let steps: HashSet<usize> = nodes.iter().filter_map(|n| self.step[*n as usize]).collect();
        let whole =
            steps.iter().all(|k| self.plan.nodes(&self.plan.steps[*k]).iter().all(|n| nodes.contains(n)));
        let (first, last) = (*steps.iter().min()?, *steps.iter().max()?);
        let one_part = (first < self.plan.early) == (last < self.plan.early);
        let state_free = state.is_none_or(|n| !self.named.contains(&n) && self.apart(out(n), y));
        let inputs_free = operands.iter().all(|v| {
            let same = self.plan.place(*v) == self.plan.place(y) && *v == operands[0];
            (same || self.apart(*v, y)) && state.is_none_or(|n| self.apart(*v, out(n)))
        });
        let between_free = (at + 1..last).filter(|k| !steps.contains(k)).all(|k| match &self.plan.steps[k] {
            Step::Control(..) => false,
            Step::Copy { from, output } => self.apart(*from, y) && !self.is_output(y, *output),
            step => self.plan.nodes(step).iter().all(|n| {
                let node = &self.g.nodes[*n as usize];
                let results = (0..node.types.len() as u32).map(|out| V { node: *n, out });
                node.inputs.iter().copied().chain(results).all(|v| self.apart(v, y))
            }),
        });
        let fits = closed && whole && one_part && state_free && inputs_free && between_free;
        fits.then_some(Found { at, steps, kind, operands, y })
    }

    fn is_output(&self, v: V, output: usize) -> bool {
        self.plan.place(v).is_some_and(
            |p| matches!(self.plan.buffers[p.buffer as usize], premap::Buffer::Output(o) if o == output),
        )
    }

    /// Whether two values share no byte.
    fn apart(&self, a: V, b: V) -> bool {
        let (Some(p), Some(q)) = (self.plan.place(a), self.plan.place(b)) else { return true };
        let ((one, p), (other, q)) = (space(self.plan, p), space(self.plan, q));
        one != other || p + self.plan.bytes(a) <= q || q + self.plan.bytes(b) <= p
    }
}

impl Found {
    /// Whether the call stands for this step.
    pub(crate) fn covers(&self, step: usize) -> bool {
        self.steps.contains(&step)
    }

    /// Whether there are tiles of tokens that have nothing to do with each other.
    pub(crate) fn is_tiled(&self) -> bool {
        match &self.kind {
            Kind::Mlgru(..) => false,
            Kind::Glu(block) => premap::cut::tile_tokens(block.tokens) < block.tokens,
        }
    }

    /// Bytes behind the arena.
    pub(crate) fn scratch(&self, l: &Lowering) -> usize {
        match &self.kind {
            Kind::Mlgru(block, _) => block.scratch(l.isa),
            Kind::Glu(block) if l.dealt => dealt::blocks::scratch(l, block),
            Kind::Glu(block) => block.scratch(l.isa),
        }
    }

    /// The call.
    pub(crate) fn call(&self, l: &mut Lowering, b: &mut Builder, scope: &Scope<'_>) {
        if let (Kind::Glu(block), true) = (&self.kind, scope.runner.is_some()) {
            return dealt::blocks::glu(l, b, scope, block, &self.operands, self.y);
        }
        l.calls += 1;
        let scratch = self.scratch(l);
        let extra = scope.extra(b, 0);
        let scratch = b.memref_from_ptr(extra, MemRef::new(I8, [scratch as i64]), &[]);
        let mut next = self.operands.iter().copied();
        let mut operand = || next.next().unwrap_or(self.y);
        match &self.kind {
            Kind::Mlgru(block, h) => {
                let (time, hidden, inner) = (block.time, block.hidden, block.inner);
                let f = block.emit(b.module(), l.isa);
                let x = of(l, b, scope, operand(), F32, [time, hidden]);
                let norm = of(l, b, scope, operand(), F32, [hidden]);
                let inward = [0; 3].map(|_| [operand(), operand(), operand()]);
                let [pf, pi, pg] = inward.map(|p| projection(l, b, scope, p, hidden));
                let g_norm = of(l, b, scope, operand(), F32, [inner]);
                let outward = [operand(), operand(), operand()];
                let po = projection(l, b, scope, outward, inner);
                let h0 = of(l, b, scope, operand(), F32, [1, inner]);
                let y = of(l, b, scope, self.y, F32, [time, hidden]);
                let states = l.address(b, scope, *h);
                let last = b.ptr_offset(states, 4 * (time - 1) * inner);
                let last = b.memref_from_ptr(last, MemRef::new(F32, [1, inner as i64]), &[]);
                b.call(&f, (x, norm, pf, pi, pg, g_norm, po, h0, y, last, scratch));
            }
            Kind::Glu(block) => {
                let f = block.emit(b.module(), l.isa);
                let x = of(l, b, scope, operand(), F32, [block.tokens, block.hidden]);
                let norm = of(l, b, scope, operand(), F32, [block.hidden]);
                let [both, down] = [0; 2].map(|_| [operand(), operand(), operand()]);
                let both = projection(l, b, scope, both, block.hidden);
                let down = projection(l, b, scope, down, block.intermediate);
                let y = of(l, b, scope, self.y, F32, [block.tokens, block.hidden]);
                b.call(&f, (x, norm, both, down, y, scratch));
            }
        }
    }
}

/// A memref over a value.
fn of<E: Element, const R: usize>(
    l: &mut Lowering,
    b: &mut Builder,
    scope: &Scope<'_>,
    v: V,
    elem: E,
    sizes: [usize; R],
) -> Value<MemRef<E, R>> {
    let at = l.address(b, scope, v);
    b.memref_from_ptr(at, MemRef::new(elem, sizes.map(|n| n as i64)), &[])
}

/// The memrefs of a projection: weight of its norm, bytes, scale.
fn projection(
    l: &mut Lowering,
    b: &mut Builder,
    scope: &Scope<'_>,
    [norm, w, scale]: [V; 3],
    columns: usize,
) -> (Value<MemRef<F32, 1>>, Value<MemRef<I8, 1>>, Value<MemRef<F32, 1>>) {
    let bytes = scope.plan.bytes(w);
    (of(l, b, scope, norm, F32, [columns]), of(l, b, scope, w, I8, [bytes]), of(l, b, scope, scale, F32, [1]))
}
