//! Rust source: a function over `f64` that gives the interpreter's value, bit for bit.

use super::{Piece, Style, decimal, print, rank, sign_of};
use crate::Result;
use graph::{Graph, Node, Op, Value};

struct Source;

/// What std lacks, or has with another value at 0 or NaN: each as the op table defines it.
const HELPERS: [(&str, &str); 8] = [
    (
        "sigmoid",
        "fn sigmoid(x: f64) -> f64 {\n    if x >= 0.0 {\n        1.0 / (1.0 + (-x).exp())\n    } else {\n        \
         let e = x.exp();\n        e / (1.0 + e)\n    }\n}\n",
    ),
    ("silu", "fn silu(x: f64) -> f64 {\n    x * sigmoid(x)\n}\n"),
    ("relu", "fn relu(x: f64) -> f64 {\n    if x > 0.0 || x.is_nan() { x } else { 0.0 }\n}\n"),
    (
        "sign",
        "fn sign(x: f64) -> f64 {\n    if x > 0.0 {\n        1.0\n    } else if x < 0.0 {\n        -1.0\n    } else if x.is_nan() \
         {\n        x\n    } else {\n        0.0\n    }\n}\n",
    ),
    ("maximum", "fn maximum(a: f64, b: f64) -> f64 {\n    if a.is_nan() || a >= b { a } else { b }\n}\n"),
    ("minimum", "fn minimum(a: f64, b: f64) -> f64 {\n    if a.is_nan() || a <= b { a } else { b }\n}\n"),
    (
        "softplus",
        "fn softplus(x: f64) -> f64 {\n    let log1p = |e: f64| {\n        let u = 1.0 + e;\n        if u == 1.0 { e } else { \
         u.ln() * e / (u - 1.0) }\n    };\n    if x > 0.0 { x + log1p((-x).exp()) } else { log1p(x.exp()) }\n}\n",
    ),
    (
        "erf",
        "fn erf(x: f64) -> f64 {\n    let square = x * x;\n    let scale = (-square).exp();\n    if x.is_nan() {\n        \
         return x;\n    }\n    if 1.0 - scale == 1.0 {\n        return x.signum();\n    }\n    let (mut term, mut sum) = \
         (x, x);\n    for n in 1..20_000 {\n        term = term * square * 2.0 / (2.0 * f64::from(n) + 1.0);\n        let \
         next = sum + term;\n        if next == sum {\n            break;\n        }\n        sum = next;\n    }\n    sum * \
         scale / 1.0_f64.atan().sqrt()\n}\n",
    ),
];

/// `fn NAME(x: f64, …) -> f64 { … }` for each, followed by the helpers that they call.
pub(in crate::symbolic) fn rust(functions: &[(&str, &Graph, Value)]) -> Result<String> {
    let mut text = String::new();
    for (name, graph, value) in functions {
        let printed = print(graph, *value, &Source)?;
        let arguments: Vec<String> =
            graph.inputs.iter().map(|i| format!("{}: f64", identifier(&i.name))).collect();
        let gap = if text.is_empty() { "" } else { "\n" };
        text.push_str(&format!("{gap}fn {name}({}) -> f64 {{\n", arguments.join(", ")));
        for (part, source) in &printed.parts {
            text.push_str(&format!("    let {part} = {source};\n"));
        }
        text.push_str(&format!("    {}\n}}\n", printed.whole.text));
    }
    // Helpers call only those that stand before them.
    let mut helpers = String::new();
    for (helper, source) in HELPERS.iter().rev() {
        let calls = [' ', '(', '-', '!'].map(|before| format!("{before}{helper}("));
        if calls.iter().any(|call| text.contains(call) || helpers.contains(call)) {
            helpers = format!("\n{source}{helpers}");
        }
    }
    Ok(text + &helpers)
}

/// A variable's name, with an underscore where it would be a word of Rust.
fn identifier(name: &str) -> String {
    const WORDS: [&str; 46] = [
        "as", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern", "false", "fn", "for",
        "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return", "self",
        "Self", "static", "struct", "super", "trait", "true", "type", "unsafe", "use", "where", "while",
        "async", "await", "gen", "abstract", "become", "box", "do", "final", "try", "yield",
    ];
    if WORDS.contains(&name) || name == "_" || name == "f64" { format!("{name}_") } else { name.to_string() }
}

fn method(name: &str, a: Piece) -> Piece {
    Piece::new(format!("{}.{name}()", a.at(rank::ATOM)), rank::ATOM)
}

impl Style for Source {
    fn node(&self, node: &Node, operands: Vec<Piece>) -> Option<Piece> {
        let mut operands = operands.into_iter();
        let mut next = || operands.next();
        let infix = |sign: &str, own: u8, a: Piece, b: Piece| {
            let mut left = a.at(own);
            left.push_str(sign);
            left.push_str(&b.at(own + 1));
            Piece::new(left, own)
        };
        let call = |name: &str, a: Piece| Piece::new(format!("{name}({})", a.text), rank::ATOM);
        Some(match node.op {
            Op::Constant if node.types[0].dtype == axes::DType::Bool => {
                let holds = matches!(node.attrs.get("values"), Some(graph::Attr::Floats(v)) if v.first() != Some(&0.0));
                Piece::new(if holds { "true" } else { "false" }, rank::ATOM)
            }
            Op::Constant => {
                let text = match decimal(node) {
                    Some(x) if x.contains(['.', 'e', 'E']) => format!("{x}_f64"),
                    Some(x) => format!("{x}.0_f64"),
                    None => match node.attrs.get("values") {
                        Some(graph::Attr::Floats(v)) if v.first().is_some_and(|x| x.is_nan()) => {
                            "f64::NAN".into()
                        }
                        Some(graph::Attr::Floats(v)) if v.first().is_some_and(|x| *x < 0.0) => {
                            "f64::NEG_INFINITY".into()
                        }
                        _ => "f64::INFINITY".to_string(),
                    },
                };
                let own = if text.starts_with('-') { rank::SIGN } else { rank::ATOM };
                let text = if text.starts_with('.') { format!("0{text}") } else { text };
                // `1._f64` is a field.
                Piece::new(text.replace("._f64", ".0_f64").replace("-.", "-0."), own)
            }
            Op::Add => infix(" + ", rank::SUM, next()?, next()?),
            Op::Subtract => infix(" - ", rank::SUM, next()?, next()?),
            Op::Multiply => infix(" * ", rank::PRODUCT, next()?, next()?),
            Op::Divide => infix(" / ", rank::PRODUCT, next()?, next()?),
            Op::Negate => Piece::new(format!("-{}", next()?.at(rank::ATOM)), rank::SIGN),
            Op::Power => {
                let (a, b) = (next()?, next()?);
                Piece::new(format!("{}.powf({})", a.at(rank::ATOM), b.text), rank::ATOM)
            }
            Op::Maximum | Op::Minimum => {
                let name = if node.op == Op::Maximum { "maximum" } else { "minimum" };
                Piece::new(format!("{name}({}, {})", next()?.text, next()?.text), rank::ATOM)
            }
            Op::Compare => {
                let sign = sign_of(node, [" < ", " <= ", " > ", " >= ", " == ", " != "])?;
                let (a, b) = (next()?, next()?);
                Piece::new(format!("{}{sign}{}", a.at(rank::SUM), b.at(rank::SUM)), rank::COMPARE)
            }
            Op::And => infix(" && ", rank::AND, next()?, next()?),
            Op::Or => infix(" || ", rank::OR, next()?, next()?),
            Op::Not => Piece::new(format!("!{}", next()?.at(rank::ATOM)), rank::SIGN),
            Op::Select => {
                let (c, a, b) = (next()?, next()?, next()?);
                let no = if b.rank == rank::PIECES {
                    format!(" else {}", b.text)
                } else {
                    format!(" else {{ {} }}", b.text)
                };
                Piece::new(format!("if {} {{ {} }}{no}", c.text, a.text), rank::PIECES)
            }
            Op::Identity | Op::StopGradient => next()?,
            Op::Log => method("ln", next()?),
            Op::Exp => method("exp", next()?),
            Op::Sqrt => method("sqrt", next()?),
            Op::Tanh => method("tanh", next()?),
            Op::Sine => method("sin", next()?),
            Op::Cosine => method("cos", next()?),
            Op::Abs => method("abs", next()?),
            Op::Floor => method("floor", next()?),
            Op::RoundHalfEven => method("round_ties_even", next()?),
            Op::RoundHalfAway => method("round", next()?),
            op => match op.name() {
                name @ ("tan" | "asin" | "acos" | "atan" | "sinh" | "cosh") => method(name, next()?),
                name @ ("sigmoid" | "silu" | "relu" | "sign" | "softplus" | "erf") => call(name, next()?),
                _ => return None,
            },
        })
    }

    fn name(&self, name: &str) -> Piece {
        Piece::new(identifier(name), rank::ATOM)
    }

    /// A name costs nothing in a program, and a part written twice is computed twice.
    fn pi(&self) -> Piece {
        Piece::new("std::f64::consts::PI", rank::ATOM)
    }

    fn long(&self) -> u64 {
        1
    }

    fn small(&self) -> u64 {
        0
    }
}
