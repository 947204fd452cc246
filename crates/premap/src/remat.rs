//! Plans that fit a memory limit: what is kept from the forward to the backward pass, and what is computed again.
//!
//! A training step keeps most of its memory for values that wait a long time for their next reader. Whoever waits across
//! the fullest moment of the plan can be dropped and made again right before that reader, from what is in memory then.
//! This is checkpointing (Griewank and Walther 2000; Chen et al. 2016) without fixed segments: the plan itself says what
//! is full when, and each value is weighed by its cost per byte. When the limit is tight, what a dropped value is made
//! from has been dropped too, and the search walks back as far as it must, in the end to the residual stream.
//!
//! The ops that run again are the same ops on the same operands, so every result stays equal to the last bit.

use crate::memory::{reads, root, writes};
use crate::{Buffer, Optimization, Options, Plan, PlanError, Target};
use graph::{Graph, Node, Op, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// Nodes that may be computed again for one value.
const LONGEST: usize = 96;
/// Nodes that may be computed again for a value that is cheap.
const CHEAP: usize = 12;
/// Smallest value that is worth the trouble, bytes.
const SMALL: usize = 4096;
/// Size from which a result does not wait in any cache, bytes.
const LARGE: usize = 16 << 20;
/// Steps that a value must be absent at least.
const SHORT: usize = 2;
/// Plans that are tried.
const ROUNDS: usize = 64;
/// Values that are dropped between two plans.
const AT_ONCE: usize = 48;
/// Steps for which an expensive result that was made again waits for the next value that needs it.
const WAIT: usize = 64;
/// Rounds without progress after which the search ends.
const PATIENCE: usize = 6;

/// The plan of `g` in which values that cost next to nothing do not wait in memory ([`Options::recompute`]).
///
/// An activation function or a norm is made again inside the loop that reads it, from operands that this loop mostly
/// reads anyway: half of the memory of a training step at the same speed. A large result of an integer product is made
/// again once, which costs some 4 % of a step where it applies.
pub fn plan_cheap(g: Graph, target: &Target, options: &Options) -> Result<Plan, PlanError> {
    let mut plan = crate::build(g, target, options)?;
    // Products second: by then their readers are those that are left, and the first of them makes it for all.
    for products in [false, true] {
        let map = Timeline::new(&plan);
        let again = options.recompute && options.switches.on(Optimization::Remat);
        let drops = if again { map.cheap(products) } else { vec![] };
        if drops.is_empty() {
            continue;
        }
        let recomputed = plan.recomputed + drops.iter().map(|d| d.again.len()).sum::<usize>();
        let smaller = Plan { recomputed, ..crate::build(map.rewrite(&drops), target, options)? };
        if smaller.arena < plan.arena {
            plan = smaller;
        }
    }
    Ok(plan)
}

/// The plan of `g` with an arena of at most `limit` bytes.
///
/// # Errors
/// [`PlanError::Memory`] when the smallest plan that was found is larger.
pub fn plan_within(g: Graph, target: &Target, options: &Options, limit: usize) -> Result<Plan, PlanError> {
    let count = g.nodes.len();
    let mut best = plan_cheap(g, target, options)?;
    let (mut current, mut stale) = (None::<Plan>, 0);
    let mut goal = limit;
    for _ in 0..ROUNDS {
        if best.arena <= limit || stale >= PATIENCE || options.switches.off(Optimization::Remat) {
            break;
        }
        let plan = current.as_ref().unwrap_or(&best);
        if plan.recomputed > 2 * count {
            // Everything twice is what checkpoints at every layer cost; beyond, plans get slow and hardly smaller.
            break;
        }
        let map = Timeline::new(plan);
        // Holes between the places of values: a plan needs more than what is alive at once.
        let full = map.live.iter().copied().max().unwrap_or(0);
        goal = goal.min((limit as f64 * full as f64 / plan.arena.max(1) as f64) as usize);
        // Values that wait from the forward to the backward pass first; between the readers of one layer only when
        // nothing else is left, since that is paid again for each of them.
        let mut drops = map.choose(goal, (plan.steps.len() / 16).max(SHORT));
        if drops.is_empty() {
            drops = map.choose(goal, SHORT);
        }
        if drops.is_empty() {
            break;
        }
        let recomputed = plan.recomputed + drops.iter().map(|d| d.again.len()).sum::<usize>();
        let mut next = crate::build(map.rewrite(&drops), target, options)?;
        next.recomputed = recomputed;
        if next.arena < best.arena {
            best = next;
            (current, stale) = (None, 0);
        } else {
            // The plan is no smaller, but its fullest moment may be another one.
            stale += 1;
            current = Some(next);
            goal -= goal / 16;
        }
    }
    if best.arena > limit {
        return Err(PlanError::Memory { limit, reached: best.arena });
    }
    Ok(best)
}

/// The fullest step of a plan and what is in the arena then, the largest first.
pub fn fullest(plan: &Plan) -> (usize, Vec<(Value, usize)>) {
    let map = Timeline::new(plan);
    let step = (0..map.live.len()).max_by_key(|k| map.live[*k]).unwrap_or(0);
    let alive = map.uses.iter().filter(|(_, l)| l[0] <= step && step <= l[l.len() - 1]);
    let mut list: Vec<(Value, usize)> = alive.map(|(v, _)| (*v, plan.bytes(*v))).collect();
    list.sort_by_key(|(v, bytes)| (std::cmp::Reverse(*bytes), *v));
    (step, list)
}

/// A value that is dropped after its reader at `from` and made again before the one at `until`.
struct Dropped {
    value: Value,
    until: usize,
    /// The nodes that make it, in order.
    again: Vec<u32>,
    /// Nodes whose results an earlier value has made again already.
    shared: Vec<u32>,
    /// Nodes that are no longer in memory, and equal ones that are.
    instead: Vec<(u32, u32)>,
}

/// How a value would be made again.
#[derive(Default)]
struct Way {
    again: BTreeSet<u32>,
    shared: BTreeSet<u32>,
    instead: Vec<(u32, u32)>,
    /// Values of the arena that are read.
    sources: Vec<Value>,
}

/// What is in memory when.
struct Timeline<'a> {
    plan: &'a Plan,
    /// The step in which each node runs; for a view or a constant, the step after which it can be read.
    step: Vec<usize>,
    /// Whether a node is no step of its own: a view, or a way of reading.
    view: Vec<bool>,
    /// Steps that touch each value of the arena, in order: its maker, then its readers.
    uses: BTreeMap<Value, Vec<usize>>,
    /// Bytes alive during each step.
    live: Vec<usize>,
    /// The nodes that compute the same: what an earlier round of the search made again is found here.
    twins: HashMap<u32, Rc<[u32]>>,
}

impl<'a> Timeline<'a> {
    fn new(plan: &'a Plan) -> Timeline<'a> {
        let g = &plan.graph;
        let mut step = vec![usize::MAX; g.nodes.len()];
        for (k, s) in plan.steps.iter().enumerate() {
            plan.nodes(s).iter().for_each(|n| step[*n as usize] = k);
        }
        let view: Vec<bool> = step.iter().map(|s| *s == usize::MAX).collect();
        for i in 0..g.nodes.len() {
            if view[i] {
                step[i] = g.nodes[i].inputs.iter().map(|v| step[v.node as usize]).max().unwrap_or(0);
            }
        }
        let mut uses: BTreeMap<Value, Vec<usize>> = BTreeMap::new();
        for (k, s) in plan.steps.iter().enumerate() {
            let read = reads(g, s).into_iter().map(|v| root(g, v).0);
            for v in writes(g, s).into_iter().chain(read) {
                let place = plan.place(v).map(|p| &plan.buffers[p.buffer as usize]);
                let list = uses.entry(v).or_default();
                if matches!(place, Some(Buffer::Arena { .. })) && list.last() != Some(&k) {
                    list.push(k);
                }
            }
        }
        uses.retain(|_, list| !list.is_empty());
        let mut live = vec![0; plan.steps.len()];
        for (v, list) in &uses {
            let size = plan.bytes(*v);
            live[list[0]..=list[list.len() - 1]].iter_mut().for_each(|b| *b += size);
        }
        Timeline { plan, step, view, uses, live, twins: twins(g) }
    }

    /// A node equal to that of `v` whose result is in memory at a step.
    fn twin(&self, v: Value, at: usize, spans: &HashMap<Value, Vec<(usize, usize)>>) -> Option<u32> {
        let alive = |n: &&u32| {
            let w = Value { node: **n, ..v };
            **n != v.node
                && self.step[**n as usize] < at
                && spans.get(&w).is_some_and(|l| l.iter().any(|(a, b)| *a < at && at <= *b))
        };
        self.twins.get(&v.node)?.iter().find(alive).copied()
    }

    /// Values that wait long and are made by few elementwise ops and norms; or, of `products`, by one product in integers
    /// whose result is large: to write that to memory and read it back takes half as long as to make it again.
    fn cheap(&self, products: bool) -> Vec<Dropped> {
        let g = &self.plan.graph;
        let mut spans: HashMap<Value, Vec<(usize, usize)>> =
            self.uses.iter().map(|(v, l)| (*v, vec![(l[0], l[l.len() - 1])])).collect();
        let mut needed: HashMap<Value, BTreeSet<usize>> = HashMap::new();
        let mut drops = vec![];
        let free = |n: &u32| {
            let op = g.nodes[*n as usize].op;
            let view = matches!(op, Op::Reshape | Op::Broadcast | Op::Slice);
            match products {
                true => op == Op::TernaryLinear,
                false => view || op == Op::RmsNorm || op.class() == graph::Class::Elementwise,
            }
        };
        // Earlier values first: what is made from a dropped one is then made from what that one is made from.
        for (v, uses) in &self.uses {
            let gap = uses.windows(2).max_by_key(|w| w[1] - w[0]).map(|w| (w[0], w[1]));
            let Some((from, until)) = gap.filter(|(a, b)| b - a >= (self.live.len() / 16).max(SHORT)) else {
                continue;
            };
            let held = needed.get(v).is_some_and(|n| n.range(from + 1..=until).next().is_some());
            if held || self.plan.bytes(*v) < if products { LARGE } else { SMALL } {
                continue;
            }
            // An operand that is read shortly before may stay a little longer.
            let Some(way) = self.recompute(*v, until, &spans, WAIT, &|_| false) else { continue };
            let small = |n: &&u32| self.plan.bytes(Value { node: **n, out: 0 }) * 16 <= self.plan.bytes(*v);
            let large: Vec<&u32> = way.again.iter().filter(|n| !small(n)).collect();
            if large.len() > CHEAP || !large.into_iter().all(free) {
                continue;
            }
            let list = spans.entry(*v).or_default();
            *list = vec![(uses[0], from), (until, uses[uses.len() - 1])];
            way.sources.into_iter().for_each(|s| {
                needed.entry(s).or_default().insert(until);
            });
            let again = way.again.into_iter().collect();
            drops.push(Dropped { value: *v, until, again, shared: vec![], instead: way.instead });
        }
        drops
    }

    /// Values whose absence brings the fullest moments down to `goal`, the cheapest per byte first; only absences of
    /// at least `shortest` steps.
    fn choose(&self, goal: usize, shortest: usize) -> Vec<Dropped> {
        let g = &self.plan.graph;
        let mut live = self.live.clone();
        // Spans in which a value is in memory; dropping one splits a span.
        let mut spans: HashMap<Value, Vec<(usize, usize)>> =
            self.uses.iter().map(|(v, l)| (*v, vec![(l[0], l[l.len() - 1])])).collect();
        // What another value is made from at a step must stay until then.
        let mut needed: HashMap<Value, BTreeSet<usize>> = HashMap::new();
        let mut drops: Vec<Dropped> = vec![];
        // Expensive nodes that some chosen value makes again, and when.
        let mut revived: HashMap<u32, BTreeSet<usize>> = HashMap::new();
        let mut hopeless = BTreeSet::new();
        while drops.len() < AT_ONCE {
            let full = (0..live.len()).filter(|k| !hopeless.contains(k)).max_by_key(|k| live[*k]);
            let Some(peak) = full.filter(|k| live[*k] > goal) else { break };
            let mut found: Option<(f64, Value, (usize, usize), Way)> = None;
            for (v, uses) in &self.uses {
                let size = self.plan.bytes(*v);
                let alive = spans[v].iter().any(|(a, b)| *a < peak && peak < *b);
                if !alive || size < SMALL || uses.contains(&peak) {
                    continue;
                }
                let Some(next) = uses.iter().position(|u| *u > peak) else { continue };
                let Some(before) = next.checked_sub(1) else { continue };
                let held =
                    needed.get(v).is_some_and(|n| n.range(uses[before] + 1..=uses[next]).next().is_some());
                if held {
                    continue;
                }
                let (from, until) = (uses[before], uses[next]);
                if until - from < shortest {
                    continue;
                }
                let near = |n: u32| {
                    let at = until.saturating_sub(WAIT)..=until + WAIT;
                    revived.get(&n).is_some_and(|r| r.range(at).next().is_some())
                };
                let Some(way) = self.recompute(*v, until, &spans, 0, &near) else { continue };
                // Freed bytes count for as long as they are free. Counted by the bytes alone, a value would be made
                // again and again between its readers in one layer (eleven times each, a step twice as long).
                let score =
                    way.again.iter().map(|n| time(g, *n)).sum::<f64>() / (size * (until - from)) as f64;
                if found.as_ref().is_none_or(|f| score < f.0) {
                    found = Some((score, *v, (from, until), way));
                }
            }
            let Some((_, value, (from, until), way)) = found else {
                hopeless.insert(peak);
                continue;
            };
            let Way { again, shared, instead, sources } = way;
            for n in again.iter().filter(|n| expensive(g, **n)) {
                revived.entry(*n).or_default().insert(until);
            }
            let (again, shared) = (again.into_iter().collect(), shared.into_iter().collect());
            let drop = Dropped { value, until, again, shared, instead };
            let size = self.plan.bytes(drop.value);
            live[from + 1..until].iter_mut().for_each(|b| *b = b.saturating_sub(size));
            let list = spans.entry(drop.value).or_default();
            if let Some(k) = list.iter().position(|(a, b)| *a <= from && until <= *b) {
                let (a, b) = list[k];
                list[k] = (a, from);
                list.push((until, b));
            }
            sources.into_iter().for_each(|s| {
                needed.entry(s).or_default().insert(until);
            });
            drops.push(drop);
        }
        // In the order in which they run, so that the first that needs an expensive result makes it for the others.
        drops.sort_by_key(|d| d.until);
        let mut made: HashMap<u32, usize> = HashMap::new();
        for d in &mut drops {
            let near = |n: u32| made.get(&n).is_some_and(|at| d.until - at <= WAIT);
            if let Some(way) = self.recompute(d.value, d.until, &spans, 0, &near) {
                d.again = way.again.into_iter().collect();
                d.shared = way.shared.into_iter().collect();
                d.instead = way.instead;
            }
            made.extend(d.again.iter().filter(|n| expensive(g, **n)).map(|n| (*n, d.until)));
        }
        drops
    }

    /// The nodes that make `v` again at a step from what is in memory then, or was `slack` steps before; `near`
    /// says which nodes' results will have been made again for others shortly before.
    fn recompute(
        &self,
        v: Value,
        at: usize,
        spans: &HashMap<Value, Vec<(usize, usize)>>,
        slack: usize,
        near: &dyn Fn(u32) -> bool,
    ) -> Option<Way> {
        let g = &self.plan.graph;
        let mut way = Way::default();
        let mut open = vec![v];
        while let Some(Value { node: n, out }) = open.pop() {
            let node = &g.nodes[n as usize];
            let region = node.attrs.iter().any(|(_, a)| matches!(a, graph::Attr::Graph(_)));
            if region || way.again.len() == LONGEST {
                return None;
            }
            if n != v.node && near(n) {
                way.shared.insert(n);
                continue;
            }
            if let Some(twin) = self.twin(Value { node: n, out }, at, spans).filter(|t| *t != v.node) {
                way.sources.push(Value { node: twin, out });
                way.instead.push((n, twin));
                continue;
            }
            if !way.again.insert(n) {
                continue;
            }
            for x in &node.inputs {
                let base = root(g, *x).0;
                let at_rest = matches!(g.node(base).op, Op::Input | Op::Constant);
                let stays = at_rest
                    || self.plan.place(base).is_some_and(|p| {
                        !matches!(self.plan.buffers[p.buffer as usize], Buffer::Arena { .. })
                    });
                let alive =
                    || spans.get(&base).is_some_and(|l| l.iter().any(|(a, b)| *a < at && at <= *b + slack));
                let there =
                    at_rest || (base != v && self.step[base.node as usize] < at && (stays || alive()));
                if there && !stays {
                    way.sources.push(base);
                }
                // A view of what is there is made again too: it costs nothing, and may have no place any more.
                if !there || *x != base {
                    open.push(*x);
                }
            }
        }
        Some(way)
    }

    /// The graph in the order of the plan, with the dropped values made again.
    fn rewrite(&self, drops: &[Dropped]) -> Graph {
        let g = &self.plan.graph;
        let mut order: Vec<u32> = (0..g.nodes.len() as u32).collect();
        order.sort_by_key(|n| (!matches!(g.nodes[*n as usize].op, Op::Input), self.step[*n as usize], *n));
        let mut new = Graph { nodes: vec![], inputs: vec![], outputs: vec![], taps: vec![], ..g.clone() };
        let mut current: Vec<u32> = vec![0; g.nodes.len()];
        let mut latest: HashMap<u32, u32> = HashMap::new();
        let push = |new: &mut Graph, node: &Node, current: &[u32]| {
            let inputs = node.inputs.iter().map(|v| Value { node: current[v.node as usize], ..*v }).collect();
            new.nodes.push(Node { inputs, ..node.clone() });
            new.nodes.len() as u32 - 1
        };
        let mut waiting: Vec<&Dropped> = drops.iter().collect();
        waiting.sort_by_key(|d| d.until);
        let mut waiting = waiting.into_iter().peekable();
        for n in order {
            while let Some(d) = waiting.next_if(|d| d.until <= self.step[n as usize] && !is_input(g, n)) {
                // Within the recomputation each node reads the new copies; outside only the dropped value is replaced.
                let mut inside = current.clone();
                for (gone, twin) in &d.instead {
                    inside[*gone as usize] = current[*twin as usize];
                }
                for k in &d.shared {
                    inside[*k as usize] = latest.get(k).copied().unwrap_or(inside[*k as usize]);
                }
                for k in &d.again {
                    inside[*k as usize] = push(&mut new, &g.nodes[*k as usize], &inside);
                    latest.insert(*k, inside[*k as usize]);
                }
                current[d.value.node as usize] = inside[d.value.node as usize];
                // Who reads it through a view reads a view of the new one.
                let mut moved = BTreeSet::from([d.value.node]);
                for (k, node) in g.nodes.iter().enumerate() {
                    let made = self.step[k] < d.until && !matches!(node.op, Op::Input | Op::Constant);
                    if made && self.view[k] && node.inputs.iter().any(|v| moved.contains(&v.node)) {
                        current[k] = push(&mut new, node, &current);
                        moved.insert(k as u32);
                    }
                }
            }
            current[n as usize] = push(&mut new, &g.nodes[n as usize], &current);
        }
        let named = |list: &[graph::Named]| -> Vec<graph::Named> {
            list.iter()
                .map(|o| graph::Named {
                    name: o.name.clone(),
                    value: Value { node: current[o.value.node as usize], ..o.value },
                })
                .collect()
        };
        (new.inputs, new.outputs, new.taps) = (named(&g.inputs), named(&g.outputs), named(&g.taps));
        new
    }
}

/// For each node that has any, the nodes that compute the same from the same inputs, itself among them.
fn twins(g: &Graph) -> HashMap<u32, Rc<[u32]>> {
    let mut first: HashMap<Node, u32> = HashMap::new();
    let mut class: Vec<u32> = vec![0; g.nodes.len()];
    let mut members: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (i, n) in g.nodes.iter().enumerate() {
        let i = i as u32;
        let inputs = n.inputs.iter().map(|v| Value { node: class[v.node as usize], ..*v }).collect();
        class[i as usize] = match n.op {
            Op::Input => i,
            _ => *first.entry(Node { inputs, ..n.clone() }).or_insert(i),
        };
        members.entry(class[i as usize]).or_default().push(i);
    }
    let groups = members.into_values().filter(|m| m.len() > 1).map(Rc::<[u32]>::from);
    groups.flat_map(|m| m.iter().map(|n| (*n, m.clone())).collect::<Vec<_>>()).collect()
}

fn is_input(g: &Graph, n: u32) -> bool {
    g.nodes[n as usize].op == Op::Input
}

/// Whether a result is worth its memory for a while: products, scans, quantised weights.
fn expensive(g: &Graph, n: u32) -> bool {
    let op = g.nodes[n as usize].op;
    matches!(op.class(), graph::Class::Composite) || op == Op::DotGeneral
}

/// A rough time of a node, in arbitrary units: operations, what needs a series, and memory traffic.
fn time(g: &Graph, n: u32) -> f64 {
    let node = &g.nodes[n as usize];
    let inputs: Vec<_> = node.inputs.iter().map(|v| g.ty(*v).clone()).collect();
    let cost = node.op.cost(&node.attrs, &inputs, &node.types);
    // A core makes some 64 multiply-adds of a product in the time of 8 bytes from memory, or of one transcendental.
    cost.operations / 64.0 + cost.transcendental + cost.bytes / 8.0
}
