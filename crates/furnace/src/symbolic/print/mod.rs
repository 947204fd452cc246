//! Printing of scalar graphs: as text that parses back, as Rust source, as LaTeX.
//!
//! One walk serves all: operands before their users, each a string with the rank of its outermost operator, from which
//! brackets follow. What several places use gets a name of its own where writing it out would be long, so the
//! printed form is as small as the graph, however large the tree behind it is.

mod latex;
mod rust;
mod text;

pub(super) use latex::latex;
pub(super) use rust::rust;
pub(super) use text::text;

use super::unfit;
use crate::Result;
use graph::{Graph, Node, Op, Value};

/// How strongly an operator binds; a weaker one inside a stronger one is put in brackets.
pub(super) mod rank {
    pub(in crate::symbolic) const PIECES: u8 = 0;
    pub(in crate::symbolic) const OR: u8 = 1;
    pub(in crate::symbolic) const AND: u8 = 2;
    pub(in crate::symbolic) const NOT: u8 = 3;
    pub(in crate::symbolic) const COMPARE: u8 = 4;
    pub(in crate::symbolic) const SUM: u8 = 5;
    pub(in crate::symbolic) const PRODUCT: u8 = 6;
    pub(in crate::symbolic) const SIGN: u8 = 7;
    pub(in crate::symbolic) const POWER: u8 = 8;
    pub(in crate::symbolic) const ATOM: u8 = 9;
}

/// A printed operand.
#[derive(Clone, Default)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) rank: u8,
}

impl Piece {
    pub(super) fn new(text: impl Into<String>, rank: u8) -> Piece {
        Piece { text: text.into(), rank }
    }

    /// The text, in brackets if it binds weaker than `rank`.
    pub(super) fn at(self, rank: u8) -> String {
        if self.rank >= rank { self.text } else { format!("({})", self.text) }
    }
}

/// A way to write.
pub(super) trait Style {
    /// One op with its operands printed; `None` for an op that it does not know.
    fn node(&self, node: &Node, operands: Vec<Piece>) -> Option<Piece>;
    /// A variable or a name of a shared part.
    fn name(&self, name: &str) -> Piece;
    /// The constant π.
    fn pi(&self) -> Piece;
    /// Parts whose tree has more nodes than this are named when they are used twice.
    fn long(&self) -> u64;
    /// Nodes of the tree that a printed expression may be without any names.
    fn small(&self) -> u64 {
        90
    }
}

/// The named parts, in an order in which each comes before its users, and the whole.
pub(super) struct Printed {
    pub(super) parts: Vec<(String, String)>,
    pub(super) whole: Piece,
}

/// Nodes inside each other before a part gets a name; each is at most three levels of the grammar.
const DEEPEST: u32 = 30;

/// Prints what `value` depends on.
pub(super) fn print(graph: &Graph, value: Value, style: &dyn Style) -> Result<Printed> {
    let last = value.node as usize;
    let mut uses = vec![0u32; last + 1];
    uses[last] = 1;
    for i in (0..=last).rev() {
        if uses[i] > 0 {
            graph.nodes[i].inputs.iter().for_each(|v| uses[v.node as usize] += 1);
        }
    }
    let mut tree = vec![0u64; last + 1];
    for i in (0..=last).filter(|i| uses[*i] > 0) {
        let below = graph.nodes[i].inputs.iter().fold(0u64, |n, v| n.saturating_add(tree[v.node as usize]));
        tree[i] = below.saturating_add(1);
    }
    let name_all = tree[last] > style.small();
    let prefix = ["t", "u", "v", "w", "part_"]
        .into_iter()
        .find(|p| !graph.inputs.iter().any(|i| i.name.starts_with(p)))
        .unwrap_or("shared_part_");
    // How deep brackets, calls and signs are nested: the reader has a limit (`parse::DEEPEST`), and so have compilers.
    let mut depth = vec![0u32; last + 1];
    let mut pieces: Vec<Option<Piece>> = vec![None; last + 1];
    let mut left = uses.clone();
    let mut parts = vec![];
    for i in (0..=last).filter(|i| uses[*i] > 0) {
        let node = &graph.nodes[i];
        let mut operands = vec![];
        for (k, v) in node.inputs.iter().enumerate() {
            let j = v.node as usize;
            left[j] -= 1;
            // The first term of a sum of the same rank is not in brackets.
            let open =
                matches!((node.op, graph.nodes[j].op), (Op::Add | Op::Subtract, Op::Add | Op::Subtract))
                    || matches!(
                        (node.op, graph.nodes[j].op),
                        (Op::Multiply | Op::Divide, Op::Multiply | Op::Divide)
                    );
            depth[i] = depth[i].max(depth[j] + u32::from(k > 0 || !open));
            // The last user takes the string, so that long sums are not copied at every term.
            let piece = if left[j] == 0 { pieces[j].take() } else { pieces[j].clone() };
            operands.push(piece.unwrap_or_default());
        }
        let piece = match node.op {
            _ if is_pi(graph, node) => Some(style.pi()),
            Op::Input => {
                let named = graph.inputs.iter().find(|n| n.value.node as usize == i);
                Some(style.name(named.map_or("input", |n| &n.name)))
            }
            _ => style.node(node, operands),
        };
        let Some(piece) = piece else {
            return Err(unfit(&format!("`{}` has no written form", node.op.name())));
        };
        let truth = node.types.first().is_some_and(|t| t.dtype == axes::DType::Bool);
        let named = name_all && uses[i] > 1 && tree[i] > style.long() && !truth;
        let named = (named || depth[i] > DEEPEST) && i != last;
        pieces[i] = Some(if named {
            depth[i] = 0;
            let name = format!("{prefix}{}", parts.len() + 1);
            parts.push((name.clone(), piece.text));
            style.name(&name)
        } else {
            piece
        });
    }
    Ok(Printed { parts, whole: pieces[last].take().unwrap_or_default() })
}

/// Whether a node is what the reader makes of `pi`.
fn is_pi(graph: &Graph, node: &Node) -> bool {
    let minus_one = |v: &Value| decimal(graph.node(*v)).as_deref() == Some("-1");
    match node.op {
        Op::Constant => {
            matches!(node.attrs.get("decimal"), Some(graph::Attr::Str(text)) if text == super::functions::PI)
        }
        op => op.name() == "acos" && node.inputs.first().is_some_and(minus_one),
    }
}

/// The start of a part's text, for messages.
pub(super) fn excerpt(graph: &Graph, value: Value) -> String {
    let text = match print(graph, value, &text::Text) {
        Ok(p) => p.whole.text,
        Err(_) => graph.node(value).op.name().to_string(),
    };
    if text.chars().count() <= 60 { text } else { text.chars().take(57).chain("…".chars()).collect() }
}

/// The number of a constant as a decimal, exactly; `None` for what is no finite number.
pub(super) fn decimal(node: &Node) -> Option<String> {
    if node.op != Op::Constant {
        return None;
    }
    if let Some(graph::Attr::Str(text)) = node.attrs.get("decimal") {
        return Some(text.clone());
    }
    let Some(graph::Attr::Floats(v)) = node.attrs.get("values") else { return None };
    let x = *v.first().filter(|x| x.is_finite())?;
    let short = format!("{x:?}");
    let short = short.strip_suffix(".0").unwrap_or(&short);
    Some(if graph::decimal::is_exact(short, x) { short.to_string() } else { graph::decimal::exact(x) })
}

/// The sign of a comparison.
pub(super) fn sign_of(node: &Node, signs: [&'static str; 6]) -> Option<&'static str> {
    let how = node.attrs.str("how");
    ["lt", "le", "gt", "ge", "eq", "ne"].iter().position(|h| *h == how).map(|i| signs[i])
}
