//! What is drawn: frames, blocks, and wires between blocks.

use super::words;
use crate::ir::{Graph, Value};
use crate::op::{Class, Op};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A part of the model.
pub(super) struct Frame {
    pub label: String,
    /// The enclosing frame; the outermost has itself.
    pub parent: usize,
    pub children: Vec<Child>,
    pub depth: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Child {
    Block(usize),
    Frame(usize),
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Input,
    Output,
    /// A scope that is not opened.
    Part,
    Op(Class),
}

/// A box with text.
pub(super) struct Block {
    pub kind: Kind,
    pub title: String,
    pub lines: Vec<String>,
    /// Parameters that enter from the side.
    pub params: Vec<String>,
    pub taps: Vec<String>,
    pub tooltip: String,
    pub frame: usize,
    /// The drawn values that leave it.
    pub leaving: Vec<usize>,
    /// Whether the title is the name of a part, and not an op.
    pub named: bool,
    /// The whole name of that part.
    scope: String,
    nodes: Vec<usize>,
}

/// A value on its way from the block that makes it to one that uses it.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    pub value: usize,
    pub from: usize,
    pub to: usize,
}

pub(super) struct Sketch {
    pub frames: Vec<Frame>,
    pub blocks: Vec<Block>,
    pub wires: Vec<Wire>,
    /// Type of each drawn value.
    pub labels: Vec<String>,
}

impl Sketch {
    pub(super) fn new(g: &Graph, depth: usize) -> Sketch {
        let hidden = hidden(g);
        let params = parameters(g);
        let mut s = Sketch {
            frames: vec![Frame { label: String::new(), parent: 0, children: vec![], depth: 0 }],
            blocks: vec![],
            wires: vec![],
            labels: vec![],
        };
        let drawn = |i: usize| !hidden[i] && !params.contains_key(&i);
        let paths = paths(g, depth, &drawn);
        let users = users(g, &drawn);
        let mut frames: HashMap<Vec<(String, usize)>, usize> = HashMap::new();
        let mut parts: HashMap<Vec<(String, usize)>, usize> = HashMap::new();
        let mut block_of: Vec<Option<usize>> = vec![None; g.nodes.len()];
        for (i, n) in g.nodes.iter().enumerate().filter(|(i, _)| drawn(*i)) {
            let path = &paths[i];
            let open = path.len().min(depth);
            let frame = s.frame(&path[..open], &mut frames);
            if path.len() > depth {
                let next = s.blocks.len();
                let block = *parts.entry(path.clone()).or_insert(next);
                if block == next {
                    let names: Vec<&str> = path.iter().map(|(c, _)| c.as_str()).collect();
                    // A number alone says nothing.
                    let number = names[depth].chars().all(|c| c.is_ascii_digit());
                    s.block(frame, Kind::Part, names[if number { 0 } else { depth }..].join("."));
                    s.blocks[block].scope = names.join(".");
                }
                s.blocks[block].nodes.push(i);
                block_of[i] = Some(block);
                continue;
            }
            if n.op == Op::Input {
                let name =
                    g.inputs.iter().find(|x| x.value.node as usize == i).map_or("", |x| x.name.as_str());
                let block = s.block(0, Kind::Input, words::clip(name));
                s.blocks[block].nodes.push(i);
                block_of[i] = Some(block);
                continue;
            }
            // A node with one drawn operand that nobody else uses continues that operand's block.
            let mut operands: Vec<usize> =
                n.inputs.iter().map(|v| v.node as usize).filter(|v| drawn(*v)).collect();
            operands.dedup();
            let chain = match operands[..] {
                [p] if users[p] == 1
                    && g.nodes[p].types.len() == 1
                    && !g.taps.iter().any(|t| t.value.node as usize == p) =>
                {
                    block_of[p]
                        .filter(|b| s.blocks[*b].frame == frame && matches!(s.blocks[*b].kind, Kind::Op(_)))
                }
                _ => None,
            };
            let block = match chain {
                Some(b) => {
                    let line = words::headline(g, n, &hidden);
                    s.blocks[b].lines.push(line);
                    // The heaviest op gives the colour.
                    if matches!(s.blocks[b].kind, Kind::Op(c) if weight(c) < weight(n.op.class())) {
                        s.blocks[b].kind = Kind::Op(n.op.class());
                    }
                    b
                }
                None => {
                    let b = s.block(frame, Kind::Op(n.op.class()), words::headline(g, n, &hidden));
                    s.blocks[b].scope = s.frames[frame].label.clone();
                    b
                }
            };
            s.blocks[block].lines.extend(words::regions(n));
            s.blocks[block].nodes.push(i);
            block_of[i] = Some(block);
        }
        s.connect(g, &block_of);
        s.flatten();
        for b in &mut s.blocks {
            b.describe(g, &params, &hidden);
        }
        s
    }

    fn frame(&mut self, path: &[(String, usize)], known: &mut HashMap<Vec<(String, usize)>, usize>) -> usize {
        let Some(((_, _), above)) = path.split_last() else { return 0 };
        if let Some(f) = known.get(path) {
            return *f;
        }
        let parent = self.frame(above, known);
        let label = path.iter().map(|(c, _)| c.as_str()).collect::<Vec<_>>().join(".");
        self.frames.push(Frame { label, parent, children: vec![], depth: path.len() });
        let at = self.frames.len() - 1;
        self.frames[parent].children.push(Child::Frame(at));
        known.insert(path.to_vec(), at);
        at
    }

    /// A frame around one thing gives it its name and goes.
    fn flatten(&mut self) {
        for f in (1..self.frames.len()).rev() {
            let [only] = self.frames[f].children[..] else { continue };
            let (parent, label) = (self.frames[f].parent, self.frames[f].label.clone());
            match only {
                Child::Frame(inner) => self.frames[inner].parent = parent,
                Child::Block(b) => {
                    let block = &mut self.blocks[b];
                    block.frame = parent;
                    if block.kind == Kind::Part {
                        block.title = block.scope.clone();
                    } else {
                        let op = std::mem::replace(&mut block.title, label.clone());
                        block.lines.insert(0, op);
                        block.scope = label;
                    }
                    block.named = true;
                }
            }
            self.frames[f].children.clear();
            for c in &mut self.frames[parent].children {
                if *c == Child::Frame(f) {
                    *c = only;
                }
            }
        }
    }

    fn block(&mut self, frame: usize, kind: Kind, title: String) -> usize {
        let at = self.blocks.len();
        self.frames[frame].children.push(Child::Block(at));
        self.blocks.push(Block {
            kind,
            title,
            lines: vec![],
            params: vec![],
            taps: vec![],
            tooltip: String::new(),
            frame,
            leaving: vec![],
            named: matches!(kind, Kind::Part | Kind::Input | Kind::Output),
            scope: String::new(),
            nodes: vec![],
        });
        at
    }

    /// Wires, output blocks and taps.
    fn connect(&mut self, g: &Graph, block_of: &[Option<usize>]) {
        let mut ids: HashMap<Value, usize> = HashMap::new();
        let mut seen = BTreeSet::new();
        let mut wire = |s: &mut Sketch, v: Value, to: usize| {
            let Some(from) = block_of[v.node as usize].filter(|f| *f != to) else { return };
            let value = *ids.entry(v).or_insert_with(|| {
                s.labels.push(g.ty(v).to_string());
                s.labels.len() - 1
            });
            if seen.insert((value, to)) {
                s.wires.push(Wire { value, from, to });
                if !s.blocks[from].leaving.contains(&value) {
                    s.blocks[from].leaving.push(value);
                }
            }
        };
        for (i, n) in g.nodes.iter().enumerate() {
            if let Some(to) = block_of[i] {
                n.inputs.iter().for_each(|v| wire(self, *v, to));
            }
        }
        for o in &g.outputs {
            let to = self.block(0, Kind::Output, words::clip(&o.name));
            self.blocks[to].tooltip = format!("output {}: {}", o.name, g.ty(o.value));
            wire(self, o.value, to);
        }
        for t in &g.taps {
            if let Some(b) = block_of[t.value.node as usize] {
                self.blocks[b].taps.push(words::clip(&t.name));
            }
        }
    }
}

impl Block {
    /// Fills in the text once all nodes are known.
    fn describe(&mut self, g: &Graph, params: &BTreeMap<usize, String>, hidden: &[bool]) {
        const SHOWN: usize = 6;
        if self.nodes.is_empty() {
            return;
        }
        let operands = self.nodes.iter().flat_map(|i| &g.nodes[*i].inputs).map(|v| v.node as usize);
        let used: BTreeSet<usize> = operands.filter(|v| params.contains_key(v)).collect();
        let part = self.kind == Kind::Part;
        let prefix = format!("{}.", self.scope);
        let mut names: Vec<String> = used
            .iter()
            .map(|i| {
                let name = &params[i];
                let name = name.strip_prefix(&prefix).unwrap_or(name);
                words::clip(&format!("{name} {}", g.nodes[*i].types[0]))
            })
            .collect();
        if names.len() > SHOWN {
            let rest = names.len() - SHOWN + 1;
            names.truncate(SHOWN - 1);
            names.push(format!("and {rest} more"));
        }
        self.params = names;
        if part {
            self.lines = words::counts(self.nodes.iter().filter(|i| !hidden[**i]).map(|i| &g.nodes[*i]));
        } else if self.lines.len() > SHOWN + 2 {
            let rest = self.lines.len() - SHOWN;
            self.lines.drain(SHOWN - 1..self.lines.len() - 1);
            self.lines.insert(SHOWN - 1, format!("… {rest} more"));
        }
        self.tooltip = self.nodes.iter().take(60).map(|i| words::full(g, *i)).collect::<Vec<_>>().join("\n");
        if self.nodes.len() > 60 {
            self.tooltip.push_str(&format!("\nand {} more", self.nodes.len() - 60));
        }
    }
}

fn weight(class: Class) -> u32 {
    match class {
        Class::Source => 0,
        Class::Shape => 1,
        Class::Elementwise => 2,
        Class::Reduce => 3,
        Class::Index => 4,
        Class::Composite => 5,
        Class::Contract => 6,
        Class::Control => 7,
    }
}

/// Nodes that depend on no input: they are written into the blocks that use them.
fn hidden(g: &Graph) -> Vec<bool> {
    let mut fixed = vec![false; g.nodes.len()];
    for (i, n) in g.nodes.iter().enumerate() {
        fixed[i] = n.op != Op::Input
            && n.op.class() != Class::Control
            && n.inputs.iter().all(|v| fixed[v.node as usize]);
    }
    for o in g.outputs.iter().chain(&g.taps) {
        fixed[o.value.node as usize] = false;
    }
    fixed
}

/// The inputs that are parameters: floats or trits of fixed size in a graph that has symbolic ones, or under a dotted
/// name. They stand beside their users.
fn parameters(g: &Graph) -> BTreeMap<usize, String> {
    let open = !g.symbols().is_empty();
    let roots: BTreeSet<u32> = g.outputs.iter().chain(&g.taps).map(|o| o.value.node).collect();
    let uses = g.use_counts();
    g.inputs
        .iter()
        .filter(|i| {
            let ty = g.ty(i.value);
            let held = ty.dtype.is_float() || ty.dtype == axes::DType::Trit;
            let named = i.name.contains('.') || i.name.ends_with("weight") || i.name.ends_with("bias");
            let sized = open && ty.fixed_shape().is_some();
            let used = uses[i.value.node as usize][0] > 0 && !roots.contains(&i.value.node);
            held && used && (named || sized) && ty.fixed_shape().is_some()
        })
        .map(|i| (i.value.node as usize, i.name.clone()))
        .collect()
}

/// How many drawn nodes and roots use each node.
fn users(g: &Graph, drawn: &impl Fn(usize) -> bool) -> Vec<usize> {
    let mut users = vec![0; g.nodes.len()];
    for (_, n) in g.nodes.iter().enumerate().filter(|(i, _)| drawn(*i)) {
        let operands: BTreeSet<u32> = n.inputs.iter().map(|v| v.node).collect();
        operands.into_iter().for_each(|v| users[v as usize] += 1);
    }
    g.outputs.iter().for_each(|o| users[o.value.node as usize] += 1);
    users
}

/// The scope of each node, cut one below `depth`, as names with a visit number: when the values of a part pass
/// through another part and come back, the second visit is a frame (or block) of its own, so that all lines can run
/// downwards.
fn paths(g: &Graph, depth: usize, drawn: &impl Fn(usize) -> bool) -> Vec<Vec<(String, usize)>> {
    let names: Vec<Vec<&str>> = g
        .nodes
        .iter()
        .map(|n| {
            let scope = if n.op == Op::Input {
                ""
            } else {
                g.scopes.get(n.scope as usize).map_or("", String::as_str)
            };
            scope.split('.').filter(|c| !c.is_empty()).take(depth + 1).collect()
        })
        .collect();
    let mut paths: Vec<Vec<(String, usize)>> = vec![vec![]; g.nodes.len()];
    for level in 0..=depth {
        let prefixes: BTreeSet<Vec<&str>> =
            names.iter().filter(|n| n.len() > level).map(|n| n[..=level].to_vec()).collect();
        for prefix in prefixes {
            let inside = |i: usize| names[i].len() > level && names[i][..=level] == prefix[..];
            // For a node inside: its visit. For one outside: the last visit that reaches it, plus one.
            let mut visit: Vec<Option<usize>> = vec![None; g.nodes.len()];
            for (i, n) in g.nodes.iter().enumerate().filter(|(i, _)| drawn(*i)) {
                let before = n.inputs.iter().map(|v| v.node as usize).filter(|v| drawn(*v));
                let reached = before.filter_map(|v| match (inside(v), inside(i)) {
                    (true, false) => visit[v].map(|k| k + 1),
                    _ => visit[v],
                });
                let latest = reached.max();
                visit[i] = if inside(i) { Some(latest.unwrap_or(0)) } else { latest };
                if inside(i) {
                    paths[i].push((prefix[level].to_string(), visit[i].unwrap_or(0)));
                }
            }
        }
    }
    paths
}
