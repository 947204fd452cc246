//! What the drawing says about nodes: short lines for blocks, full ones for tooltips.

use crate::attrs::Attr;
use crate::ir::{Graph, Node, Value};
use crate::op::Op;
use crate::rules::splat_of;
use std::collections::BTreeMap;

/// Longest line of a block.
const WIDTH: usize = 40;

/// At most [`WIDTH`] characters, the end cut.
pub(super) fn clip(text: &str) -> String {
    match text.char_indices().nth(WIDTH) {
        Some(_) => text.chars().take(WIDTH - 1).chain(['…']).collect(),
        None => text.to_string(),
    }
}

/// A number in few characters.
fn short(x: f64) -> String {
    let plain = format!("{x}");
    if plain.len() <= 6 {
        return plain;
    }
    let exact = format!("{x:e}");
    if exact.len() <= 8 { exact } else { format!("{x:.3e}") }
}

/// What stands for an operand that is not drawn.
fn literal(g: &Graph, v: Value) -> String {
    match splat_of(g, v) {
        Some(x) => short(x),
        None => g.node(v).op.name().to_string(),
    }
}

/// `multiply 0.5`, `reduce_sum axes=[1]`: the op, the constants it uses, the attributes that matter.
pub(super) fn headline(g: &Graph, node: &Node, hidden: &[bool]) -> String {
    let mut out = node.op.name().to_string();
    let constants: Vec<Option<String>> =
        node.inputs.iter().map(|v| hidden[v.node as usize].then(|| literal(g, *v))).collect();
    match &constants[..] {
        // A dot shows where the drawn operand of `1 - x` stands.
        [Some(c), None] => out.push_str(&format!(" {c}, ·")),
        all => all.iter().flatten().for_each(|c| out.push_str(&format!(" {c}"))),
    }
    for (key, attr) in node.attrs.iter() {
        let text = match (key, attr) {
            ("axes" | "perm" | "axis" | "eps" | "reverse", Attr::Bool(false)) => continue,
            ("reverse", _) => "reverse".to_string(),
            ("axes" | "perm", Attr::Ints(v)) => format!("{key}={v:?}"),
            ("axis", Attr::Int(v)) => format!("axis={v}"),
            ("eps", Attr::Float(v)) => format!("eps={}", short(*v)),
            ("how" | "rounding" | "name", Attr::Str(s)) => s.clone(),
            ("dtype", Attr::DType(d)) if node.op == Op::Convert => d.name().to_string(),
            ("length", Attr::Dims(d)) => format!("{d:?}"),
            _ => continue,
        };
        out.push_str(&format!(" {text}"));
    }
    clip(&out)
}

/// `3 dot_general · 2 add`, the most frequent first, in lines.
pub(super) fn counts<'a>(nodes: impl Iterator<Item = &'a Node>) -> Vec<String> {
    const LINES: usize = 6;
    let mut by_op: BTreeMap<Op, usize> = BTreeMap::new();
    nodes.for_each(|n| *by_op.entry(n.op).or_default() += 1);
    let mut list: Vec<(Op, usize)> = by_op.into_iter().collect();
    list.sort_by_key(|(op, n)| (std::cmp::Reverse(*n), *op));
    let rest: usize = list.iter().skip(LINES).map(|(_, n)| n).sum();
    let mut lines: Vec<String> =
        list.iter().take(LINES).map(|(op, n)| format!("{n:>3} {}", op.name())).collect();
    if rest > 0 {
        lines.push(format!("{rest:>3} others"));
    }
    lines
}

/// Ops of the regions of a control-flow node.
pub(super) fn regions(node: &Node) -> Vec<String> {
    let mut lines = vec![];
    for (key, attr) in node.attrs.iter() {
        if let Attr::Graph(g) = attr {
            let ops: Vec<&Node> =
                g.nodes.iter().filter(|n| !matches!(n.op, Op::Input | Op::Constant)).collect();
            let shown: Vec<String> =
                counts(ops.iter().copied()).iter().map(|l| l.trim().to_string()).collect();
            lines.push(clip(&format!("{key}: {}", shown.join(", "))));
        }
    }
    lines
}

/// `%12 add: f32[B,T,64] at src/lib.rs:10`.
pub(super) fn full(g: &Graph, i: usize) -> String {
    let n = &g.nodes[i];
    let types: Vec<String> = n.types.iter().map(ToString::to_string).collect();
    let mut out = format!("%{i} {}: {}", n.op.name(), types.join(", "));
    if let Some(scope) = g.scopes.get(n.scope as usize).filter(|s| !s.is_empty()) {
        out.push_str(&format!(" in {scope}"));
    }
    if let Some(at) = n.place {
        out.push_str(&format!(" at {}:{}", at.file(), at.line()));
    }
    out
}
