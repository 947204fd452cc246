//! LaTeX for the `amsmath` package: fractions, roots, powers of e, pieces as `cases`.

use super::{Piece, Style, decimal, print, rank, sign_of};
use crate::Result;
use graph::{Graph, Node, Op, Value};

struct Latex;

/// The whole, followed by its named parts.
pub(in crate::symbolic) fn latex(graph: &Graph, value: Value) -> Result<String> {
    let printed = print(graph, value, &Latex)?;
    let mut text = printed.whole.text;
    for (i, (name, part)) in printed.parts.iter().enumerate().rev() {
        let word = if i + 1 == printed.parts.len() { ",\\quad " } else { ",\\ " };
        text.push_str(&format!("{word}{} = {part}", Latex.name(name).text));
    }
    Ok(text)
}

fn call(name: &str, a: &str) -> Piece {
    Piece::new(format!("{name}\\left({a}\\right)"), rank::ATOM)
}

fn at(p: Piece, own: u8) -> String {
    if p.rank >= own { p.text } else { format!("\\left({}\\right)", p.text) }
}

impl Style for Latex {
    fn node(&self, node: &Node, operands: Vec<Piece>) -> Option<Piece> {
        let mut operands = operands.into_iter();
        let mut next = || operands.next();
        let infix = |sign: &str, own: u8, a: Piece, b: Piece| {
            let mut left = at(a, own);
            left.push_str(sign);
            left.push_str(&at(b, own + 1));
            Piece::new(left, own)
        };
        Some(match node.op {
            Op::Constant if node.types[0].dtype == axes::DType::Bool => {
                super::text::Text.node(node, vec![])?
            }
            Op::Constant => {
                let x = decimal(node).unwrap_or_else(|| "\\infty".into());
                let own = if x.starts_with('-') { rank::SIGN } else { rank::ATOM };
                match x.split_once(['e', 'E']) {
                    Some((m, p)) => Piece::new(format!("{m} \\cdot 10^{{{p}}}"), own.min(rank::PRODUCT)),
                    None => Piece::new(x, own),
                }
            }
            Op::Add => match (next()?, next()?) {
                (a, b) if b.text.starts_with('-') && b.rank == rank::SIGN => {
                    Piece::new(format!("{} - {}", at(a, rank::SUM), &b.text[1..]), rank::SUM)
                }
                (a, b) => infix(" + ", rank::SUM, a, b),
            },
            Op::Subtract => infix(" - ", rank::SUM, next()?, next()?),
            Op::Multiply => {
                let (a, b) = (next()?, next()?);
                // Two numbers side by side would read as one.
                let dot =
                    b.text.starts_with(|c: char| c.is_ascii_digit() || c == '-') && b.rank > rank::PRODUCT;
                infix(if dot { " \\cdot " } else { "\\," }, rank::PRODUCT, a, b)
            }
            Op::Divide => Piece::new(format!("\\frac{{{}}}{{{}}}", next()?.text, next()?.text), rank::POWER),
            Op::Negate => Piece::new(format!("-{}", at(next()?, rank::PRODUCT)), rank::PRODUCT),
            Op::Power => {
                let (a, b) = (next()?, next()?);
                Piece::new(format!("{}^{{{}}}", at(a, rank::ATOM), b.text), rank::POWER)
            }
            Op::Exp => {
                let a = next()?.text;
                match a.len() {
                    0..=24 => Piece::new(format!("e^{{{a}}}"), rank::POWER),
                    _ => call("\\exp", &a),
                }
            }
            Op::Log => call("\\ln", &next()?.text),
            Op::Sqrt => Piece::new(format!("\\sqrt{{{}}}", next()?.text), rank::ATOM),
            Op::Abs => Piece::new(format!("\\left|{}\\right|", next()?.text), rank::ATOM),
            Op::Floor => Piece::new(format!("\\left\\lfloor {}\\right\\rfloor", next()?.text), rank::ATOM),
            Op::Sine => call("\\sin", &next()?.text),
            Op::Cosine => call("\\cos", &next()?.text),
            Op::Tanh => call("\\tanh", &next()?.text),
            Op::Sigmoid => call("\\sigma", &next()?.text),
            Op::Maximum | Op::Minimum => {
                let name = if node.op == Op::Maximum { "\\max" } else { "\\min" };
                let both = format!("{}, {}", next()?.text, next()?.text);
                call(name, &both)
            }
            Op::Compare => {
                let sign = sign_of(node, [" < ", " \\le ", " > ", " \\ge ", " = ", " \\ne "])?;
                let (a, b) = (next()?, next()?);
                Piece::new(format!("{}{sign}{}", at(a, rank::SUM), at(b, rank::SUM)), rank::COMPARE)
            }
            Op::And => infix(" \\land ", rank::AND, next()?, next()?),
            Op::Or => infix(" \\lor ", rank::OR, next()?, next()?),
            Op::Not => Piece::new(format!("\\lnot {}", at(next()?, rank::ATOM)), rank::NOT),
            Op::Select => {
                let (c, a, b) = (next()?.text, next()?.text, next()?.text);
                let text = format!(
                    "\\begin{{cases}} {a} & \\text{{if }} {c} \\\\ {b} & \\text{{otherwise}} \\end{{cases}}"
                );
                Piece::new(text, rank::PIECES)
            }
            Op::Identity | Op::StopGradient => next()?,
            op => match super::text::function(op)? {
                name @ ("tan" | "sinh" | "cosh") => call(&format!("\\{name}"), &next()?.text),
                name @ ("asin" | "acos" | "atan") => call(&format!("\\arc{}", &name[1..]), &next()?.text),
                name => call(&format!("\\operatorname{{{}}}", name.replace('_', "\\_")), &next()?.text),
            },
        })
    }

    fn name(&self, name: &str) -> Piece {
        const GREEK: [&str; 19] = [
            "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu",
            "nu", "xi", "rho", "sigma", "tau", "phi", "psi", "omega",
        ];
        let letters = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = &name[letters.len()..];
        let base = match letters {
            l if GREEK.contains(&l) => format!("\\{l}"),
            l if l.chars().count() == 1 && l != "_" => l.to_string(),
            l => format!("\\mathrm{{{}}}", l.replace('_', "\\_")),
        };
        Piece::new(if number.is_empty() { base } else { format!("{base}_{{{number}}}") }, rank::ATOM)
    }

    fn pi(&self) -> Piece {
        Piece::new("\\pi", rank::ATOM)
    }

    fn long(&self) -> u64 {
        4
    }
}
