//! A place for every value: views resolved, outputs written where they are wanted, the rest in one arena with reuse.

use crate::group::is_read;
use crate::schedule::{Order, Unit, contiguous_slice};
use crate::{Access, Buffer, Fused, Group, Optimization, Options, Place, Plan, PlanError, Step, Target};
use axes::{DType, TritLayout};
use graph::{Attr, Graph, Op, Value};
use std::collections::{BTreeMap, HashMap};

/// Bytes of one element in memory; trits lie unpacked.
pub fn element(dtype: DType) -> usize {
    dtype.size().unwrap_or(1)
}

/// Bytes that a value takes, its trits packed as `layouts` says.
pub(crate) fn bytes(g: &Graph, layouts: &HashMap<Value, TritLayout>, v: Value) -> usize {
    let t = g.ty(v);
    match (layouts.get(&v), t.fixed_shape().as_deref()) {
        (Some(layout), Some(&[rows, columns])) => layout.bytes(rows, columns).unwrap_or(usize::MAX),
        _ => t.elements().unwrap_or(0) * element(t.dtype),
    }
}

/// The value whose memory `v` lies in, and the byte at which it begins there.
pub(crate) fn root(g: &Graph, v: Value) -> (Value, usize) {
    let n = g.node(v);
    match n.op {
        Op::Reshape => root(g, n.inputs[0]),
        Op::Slice if contiguous_slice(g, v.node as usize) => {
            let shape = g.ty(n.inputs[0]).fixed_shape().unwrap_or_default();
            let start: Vec<usize> = n.attrs.dims("start").iter().map(|d| d.fixed().unwrap_or(0)).collect();
            let (base, offset) = root(g, n.inputs[0]);
            (base, offset + graph::array::ravel(&start, &shape) * element(g.ty(v).dtype))
        }
        _ => (v, 0),
    }
}

/// Values that a step reads from memory.
pub(crate) fn reads(g: &Graph, s: &Step) -> Vec<Value> {
    match s {
        Step::Group(group) => group.inputs.iter().map(|i| i.source).collect(),
        Step::Fused(f) => f.inputs.clone(),
        Step::Node(n) | Step::Control(n, _) => g.nodes[*n as usize].inputs.clone(),
        Step::Copy { from, .. } => vec![*from],
    }
}

/// Values that a step writes.
pub(crate) fn writes(g: &Graph, s: &Step) -> Vec<Value> {
    match s {
        Step::Group(group) => group.outputs.clone(),
        Step::Fused(f) => f.outputs.clone(),
        Step::Node(n) | Step::Control(n, _) => {
            (0..g.nodes[*n as usize].types.len() as u32).map(|out| Value { node: *n, out }).collect()
        }
        Step::Copy { .. } => vec![],
    }
}

/// First-fit over byte ranges with coalescing.
struct Allocator {
    free: BTreeMap<usize, usize>,
    end: usize,
    align: usize,
}

impl Allocator {
    fn take(&mut self, bytes: usize) -> usize {
        let bytes = bytes.max(1).next_multiple_of(self.align);
        // Best fit: the smallest hole that is large enough.
        if let Some((at, size)) = self.free.iter().filter(|(_, s)| **s >= bytes).min_by_key(|(_, s)| **s) {
            let (at, size) = (*at, *size);
            self.free.remove(&at);
            if size > bytes {
                self.free.insert(at + bytes, size - bytes);
            }
            return at;
        }
        // A hole at the end can grow.
        if let Some((at, size)) = self.free.iter().next_back().map(|(a, s)| (*a, *s))
            && at + size == self.end
        {
            self.free.remove(&at);
            self.end = at + bytes;
            return at;
        }
        let at = self.end;
        self.end += bytes;
        at
    }

    fn give(&mut self, at: usize, bytes: usize) {
        let mut size = bytes.max(1).next_multiple_of(self.align);
        let mut at = at;
        if let Some((before, s)) = self.free.range(..at).next_back().map(|(a, s)| (*a, *s))
            && before + s == at
        {
            self.free.remove(&before);
            (at, size) = (before, s + size);
        }
        if let Some(s) = self.free.remove(&(at + size)) {
            size += s;
        }
        self.free.insert(at, size);
    }
}

/// Builds the plan.
pub fn assign(
    g: Graph,
    groups: Vec<Group>,
    chains: Vec<Fused>,
    order: Order,
    layouts: HashMap<Value, TritLayout>,
    target: &Target,
    options: &Options,
) -> Result<Plan, PlanError> {
    let mut groups: Vec<Option<Group>> = groups.into_iter().map(Some).collect();
    let mut chains: Vec<Option<Fused>> = chains.into_iter().map(Some).collect();
    // Broadcasts and slices that only groups read are ways of reading, not steps.
    let way = |i: usize| is_read(&g, i);
    let mut wanted = vec![false; g.nodes.len()];
    let mut want = |v: Value| wanted[root(&g, v).0.node as usize] = true;
    for u in &order.units {
        if let Unit::Node(n) = u
            && !way(*n as usize)
        {
            g.nodes[*n as usize].inputs.iter().for_each(|v| want(*v));
        }
    }
    g.outputs.iter().chain(&g.taps).for_each(|o| want(o.value));
    groups.iter().flatten().flat_map(|group| &group.inputs).for_each(|i| want(i.source));
    chains.iter().flatten().flat_map(|chain| &chain.inputs).for_each(|v| want(*v));
    // What is read to make a wanted one is wanted too.
    for i in (0..g.nodes.len()).rev() {
        if way(i) && wanted[i] {
            wanted[root(&g, g.nodes[i].inputs[0]).0.node as usize] = true;
        }
    }
    let mut steps = vec![];
    let mut early = 0;
    for (k, u) in order.units.iter().enumerate() {
        match u {
            Unit::Group(i) => steps.extend(groups[*i].take().map(Step::Group)),
            Unit::Fused(i) => steps.extend(chains[*i].take().map(Step::Fused)),
            Unit::Node(n) => {
                let node = &g.nodes[*n as usize];
                let regions: Vec<Graph> = node
                    .attrs
                    .iter()
                    .filter_map(|(_, a)| if let Attr::Graph(r) = a { Some(r.as_ref().clone()) } else { None })
                    .collect();
                if regions.is_empty() {
                    if !way(*n as usize) || wanted[*n as usize] {
                        steps.push(Step::Node(*n));
                    }
                } else {
                    let held = beside(&g, *n, &layouts);
                    let inner = Options {
                        memory: options.memory.map(|limit| limit.saturating_sub(held)),
                        donate: vec![],
                        early: vec![],
                        layouts: vec![],
                        taps: false,
                        ..options.clone()
                    };
                    let plans =
                        regions.iter().map(|r| crate::plan(r, target, &inner)).collect::<Result<_, _>>()?;
                    steps.push(Step::Control(*n, plans));
                }
            }
        }
        if k + 1 == order.early {
            early = steps.len();
        }
    }
    place(g, steps, early, (order.donated, order.copied), layouts, target, options)
}

/// Bytes in memory beside a region's arena while it runs: operands and results of the node, and the two copies of what
/// a loop carries.
fn beside(g: &Graph, n: u32, layouts: &HashMap<Value, TritLayout>) -> usize {
    let node = &g.nodes[n as usize];
    let int = |key: &str| node.attrs.int(key, 0) as usize;
    let carried = match node.op {
        Op::Scan => &node.inputs[int("consts")..int("consts") + int("carries")],
        Op::While => &node.inputs[int("cond_consts") + int("body_consts")..],
        _ => &[],
    };
    let results = (0..node.types.len() as u32).map(|out| Value { node: n, out });
    let size = |v: Value| bytes(g, layouts, v);
    3 * carried.iter().map(|v| size(*v)).sum::<usize>() + results.map(size).sum::<usize>()
}

/// Which output each value goes to, and the copies that are left: at the beginning, at the end of the early part, at
/// the end.
#[derive(Default)]
struct Outlets {
    homes: Vec<(Value, usize)>,
    start: Vec<Step>,
    early: Vec<Step>,
    end: Vec<Step>,
}

/// Decides how every output gets its value.
///
/// A step writes an output directly where it can. An output that takes the place of an input, but that no step can
/// write in place, is copied at the end, when nobody reads the input any more; an input that such a copy (or an
/// in-place step) overwrites is read before anything else runs.
fn outlets(
    g: &mut Graph,
    donated: &[(usize, usize)],
    copied: &[(usize, usize)],
    options: &Options,
) -> Outlets {
    let mut out = Outlets::default();
    let named: Vec<Value> = g.outputs.iter().chain(&g.taps).map(|o| o.value).collect();
    let mut taken: Vec<Value> = vec![];
    for (_, o) in donated {
        if !taken.contains(&named[*o]) {
            taken.push(named[*o]);
            out.homes.push((named[*o], *o));
        }
    }
    for (o, v) in named.iter().enumerate() {
        if out.homes.iter().any(|(_, h)| *h == o) {
            continue;
        }
        let (base, offset) = root(g, *v);
        // Packed trits are no outputs.
        let plain = HashMap::new();
        let whole = offset == 0 && bytes(g, &plain, base) == bytes(g, &plain, *v);
        let replaces = donated.iter().chain(copied).find(|(_, d)| *d == o).map(|(i, _)| *i);
        let source = match g.node(base).op {
            Op::Input => g.inputs.iter().position(|i| i.value == base),
            _ => None,
        };
        let lost =
            source.filter(|i| donated.iter().chain(copied).any(|(d, _)| d == i) && replaces != Some(*i));
        let copy = |from: Value| Step::Copy { from, output: o };
        if lost.is_some() && replaces.is_some() {
            // Two inputs exchange their memory: the value waits elsewhere.
            let (node, ty) = (g.nodes.len() as u32, g.ty(*v).clone());
            let n =
                graph::Node { op: Op::Identity, inputs: vec![*v], types: vec![ty], ..g.node(base).clone() };
            g.nodes.push(n);
            out.start.push(Step::Node(node));
            out.end.push(copy(Value { node, out: 0 }));
        } else if lost.is_some() {
            out.start.push(copy(*v));
        } else if whole
            && replaces.is_none()
            && !matches!(g.node(base).op, Op::Input | Op::Constant)
            && !taken.contains(&base)
        {
            taken.push(base);
            out.homes.push((base, o));
        } else if g.outputs.get(o).is_some_and(|named| options.early.contains(&named.name)) {
            out.early.push(copy(*v));
        } else {
            out.end.push(copy(*v));
        }
    }
    out
}

fn place(
    mut g: Graph,
    mut steps: Vec<Step>,
    mut early: usize,
    (donated, copied): (Vec<(usize, usize)>, Vec<(usize, usize)>),
    layouts: HashMap<Value, TritLayout>,
    target: &Target,
    options: &Options,
) -> Result<Plan, PlanError> {
    let outlets = outlets(&mut g, &donated, &copied, options);
    let added = outlets.start.len() + outlets.early.len();
    steps.splice(early..early, outlets.early);
    steps.splice(0..0, outlets.start);
    steps.extend(outlets.end);
    if !options.early.is_empty() {
        early += added;
    }
    let mut buffers: Vec<Buffer> = vec![];
    let mut home: HashMap<Value, u32> = HashMap::new();
    for (i, input) in g.inputs.iter().enumerate() {
        home.insert(input.value, buffers.len() as u32);
        buffers.push(Buffer::Input(i));
    }
    for (v, o) in outlets.homes {
        home.insert(v, buffers.len() as u32);
        buffers.push(Buffer::Output(o));
    }
    // Constants that steps read from memory; the others are numbers in programs.
    for v in steps.iter().flat_map(|s| reads(&g, s)) {
        let base = root(&g, v).0;
        if g.node(base).op == Op::Constant && !home.contains_key(&base) {
            home.insert(base, buffers.len() as u32);
            buffers.push(Buffer::Constant(base.node));
        }
    }
    let mut last: HashMap<Value, usize> = HashMap::new();
    for (k, s) in steps.iter().enumerate() {
        reads(&g, s).into_iter().for_each(|v| {
            last.insert(root(&g, v).0, k);
        });
    }
    let reuse = options.reuse && options.switches.on(Optimization::Reuse);
    let inplace = reuse && options.switches.on(Optimization::Inplace);
    let mut arena = Allocator { free: BTreeMap::new(), end: 0, align: target.align };
    let mut unshared = 0;
    for (k, s) in steps.iter().enumerate() {
        let mut dying: Vec<Value> = vec![];
        for v in reads(&g, s) {
            let base = root(&g, v).0;
            let owned = home.get(&base).is_some_and(|b| matches!(buffers[*b as usize], Buffer::Arena { .. }));
            if owned && last.get(&base) == Some(&k) && !dying.contains(&base) {
                dying.push(base);
            }
        }
        let mut reused: Vec<Value> = vec![];
        for v in writes(&g, s) {
            if home.contains_key(&v) {
                continue;
            }
            let size = bytes(&g, &layouts, v);
            unshared += size.next_multiple_of(target.align);
            let take_over = match s {
                Step::Group(group) if inplace => group
                    .inputs
                    .iter()
                    .filter(|i| i.access == Access::Full)
                    .map(|i| (i.source, root(&g, i.source)))
                    .find(|(source, (base, offset))| {
                        *offset == 0
                            && dying.contains(base)
                            && !reused.contains(base)
                            && bytes(&g, &layouts, *base) == size
                            && element(g.ty(*source).dtype) == element(g.ty(v).dtype)
                            // Other ways of reading the same memory in this group would see overwritten elements.
                            && group
                                .inputs
                                .iter()
                                .all(|j| root(&g, j.source).0 != *base || j.access == Access::Full)
                    })
                    .map(|(_, (base, _))| base),
                _ => None,
            };
            let offset = match take_over.and_then(|b| home.get(&b).map(|h| (b, *h))) {
                Some((base, h)) => {
                    reused.push(base);
                    match buffers[h as usize] {
                        Buffer::Arena { offset, .. } => offset,
                        _ => arena.take(size),
                    }
                }
                None => arena.take(size),
            };
            home.insert(v, buffers.len() as u32);
            buffers.push(Buffer::Arena { offset, bytes: size });
        }
        if reuse {
            for base in dying.iter().filter(|b| !reused.contains(b)) {
                if let Buffer::Arena { offset, bytes } = buffers[home[base] as usize] {
                    arena.give(offset, bytes);
                }
            }
            // A result that nobody reads.
            for v in writes(&g, s) {
                if !last.contains_key(&v)
                    && let Buffer::Arena { offset, bytes } = buffers[home[&v] as usize]
                {
                    arena.give(offset, bytes);
                }
            }
        }
    }
    let places = (0..g.nodes.len())
        .map(|i| {
            (0..g.nodes[i].types.len() as u32)
                .map(|out| {
                    let (base, offset) = root(&g, Value { node: i as u32, out });
                    home.get(&base).map(|buffer| Place { buffer: *buffer, offset })
                })
                .collect()
        })
        .collect();
    let cost = graph::interp::cost(&g);
    Ok(Plan {
        graph: g,
        steps,
        early,
        buffers,
        places,
        arena: arena.end,
        unshared,
        donated,
        copied,
        cost,
        layouts,
        recomputed: 0,
    })
}
