//! The printed form of a graph, which [`Graph::parse`] reads back.
//!
//! ```text
//! graph(x=%0, w=%1) -> (y=%3) taps(norm=%2#1) {
//!   %0:f32[B,64] = input // x
//!   %1:f32[64] = input // w
//!   %2:2 = rms_norm %0, %1 {eps=1e-6} : f32[B,64], f32[B] @layers.0.norm
//!   %3:f32[B,64] = add %2#0, %0 @layers.0
//! }
//! ```
//!
//! Every kind of attribute has brackets or letters of its own, so that nothing has to be guessed when it is read:
//! `3` is an integer, `3.0`, `1e-6`, `-inf`, `nan` are numbers (written so that every bit returns), `true`, `"a word"`,
//! `[0, 1]` integers, `dense(1.0, 2.0)` numbers, `<B, 4*T+1>` sizes, `f32` an element type, `graph(…) …` a region.
//! `@` names the part of the model, and `//` begins a comment. Source places are not printed.

mod parse;

use crate::attrs::Attr;
use crate::ir::{Graph, Named, Node, Value};
use std::fmt::{self, Formatter, Write};

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_graph(f, self, 0)
    }
}

fn write_graph(f: &mut Formatter<'_>, g: &Graph, indent: usize) -> fmt::Result {
    f.write_str("graph")?;
    write_names(f, g, &g.inputs, indent)?;
    f.write_str(" -> ")?;
    write_names(f, g, &g.outputs, indent)?;
    if !g.taps.is_empty() {
        f.write_str(" taps")?;
        write_names(f, g, &g.taps, indent)?;
    }
    f.write_str(" {\n")?;
    for (i, n) in g.nodes.iter().enumerate() {
        write!(f, "{:1$}", "", indent + 2)?;
        write_node(f, g, i, n, indent + 2)?;
        f.write_char('\n')?;
    }
    write!(f, "{:1$}}}", "", indent)
}

/// `(x=%0, y=%1)`, one to a line when there are many.
fn write_names(f: &mut Formatter<'_>, g: &Graph, names: &[Named], indent: usize) -> fmt::Result {
    let items: Vec<String> =
        names.iter().map(|n| format!("{}={}", word(&n.name), reference(g, n.value))).collect();
    if items.iter().map(|i| i.len() + 2).sum::<usize>() < 90 {
        return write!(f, "({})", items.join(", "));
    }
    f.write_str("(\n")?;
    for item in items {
        writeln!(f, "{:1$}{item},", "", indent + 4)?;
    }
    write!(f, "{:1$})", "", indent)
}

/// `%3`, or `%3#1` for a node with several results.
fn reference(g: &Graph, v: Value) -> String {
    let several = g.nodes.get(v.node as usize).is_none_or(|n| n.types.len() != 1);
    if several || v.out != 0 { format!("%{}#{}", v.node, v.out) } else { format!("%{}", v.node) }
}

fn write_node(f: &mut Formatter<'_>, g: &Graph, i: usize, n: &Node, indent: usize) -> fmt::Result {
    match &n.types[..] {
        [ty] => write!(f, "%{i}:{ty} = {}", n.op.name())?,
        types => write!(f, "%{i}:{} = {}", types.len(), n.op.name())?,
    }
    for (k, v) in n.inputs.iter().enumerate() {
        write!(f, "{}{}", if k == 0 { " " } else { ", " }, reference(g, *v))?;
    }
    for (k, (key, attr)) in n.attrs.iter().enumerate() {
        write!(f, "{}{key}=", if k == 0 { " {" } else { ", " })?;
        write_attr(f, attr, indent)?;
    }
    if n.attrs.iter().next().is_some() {
        f.write_char('}')?;
    }
    if n.types.len() > 1 {
        let types: Vec<String> = n.types.iter().map(ToString::to_string).collect();
        write!(f, " : {}", types.join(", "))?;
    }
    match g.scopes.get(n.scope as usize) {
        Some(scope) if !scope.is_empty() => write!(f, " @{}", word(scope))?,
        _ => {}
    }
    let here = |x: &&Named| x.value.node as usize == i;
    match g.inputs.iter().find(here) {
        Some(input) => write!(f, " // {}", word(&input.name)),
        None => Ok(()),
    }
}

fn write_attr(f: &mut Formatter<'_>, attr: &Attr, indent: usize) -> fmt::Result {
    fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
        items.iter().map(show).collect::<Vec<_>>().join(", ")
    }
    match attr {
        Attr::Int(v) => write!(f, "{v}"),
        Attr::Float(v) => f.write_str(&number(*v)),
        Attr::Bool(v) => write!(f, "{v}"),
        Attr::Str(v) => f.write_str(&quoted(v)),
        Attr::Ints(v) => write!(f, "[{}]", list(v, i64::to_string)),
        Attr::Floats(v) => write!(f, "dense({})", list(v, |x| number(*x))),
        Attr::Dims(v) => write!(f, "<{}>", list(v, ToString::to_string)),
        Attr::DType(v) => f.write_str(v.name()),
        Attr::Graph(g) => write_graph(f, g, indent),
    }
}

/// The shortest decimal that reads back to the same bits, always with a `.`, an `e` or letters.
fn number(x: f64) -> String {
    if x.is_nan() && x.to_bits() != f64::NAN.to_bits() {
        format!("nan_{:016x}", x.to_bits())
    } else {
        format!("{x:?}").replace("NaN", "nan")
    }
}

/// A name as it stands when it is a plain word, else in quotes.
fn word(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
    if plain { name.to_string() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
            c => out.push(c),
        }
    }
    out + "\""
}
