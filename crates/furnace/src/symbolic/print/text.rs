//! The text form, which parses back to a graph of the same value.

use super::{Piece, Style, decimal, print, rank, sign_of};
use crate::Result;
use crate::symbolic::functions::FUNCTIONS;
use graph::{Graph, Node, Op, Value};

pub(super) struct Text;

/// `let t1 = …; … the rest`.
pub(in crate::symbolic) fn text(graph: &Graph, value: Value) -> Result<String> {
    let printed = print(graph, value, &Text)?;
    let lets: String = printed.parts.iter().map(|(name, part)| format!("let {name} = {part}; ")).collect();
    Ok(lets + &printed.whole.text)
}

/// What an op of one operand is called.
pub(super) fn function(op: Op) -> Option<&'static str> {
    Some(match op {
        Op::Sine => "sin",
        Op::Cosine => "cos",
        Op::RoundHalfEven => "round",
        Op::RoundHalfAway => "round_away",
        other => FUNCTIONS.iter().find(|f| f.name == other.name() && f.arity == (1, 1))?.name,
    })
}

impl Style for Text {
    fn node(&self, node: &Node, operands: Vec<Piece>) -> Option<Piece> {
        let mut operands = operands.into_iter();
        let mut next = || operands.next();
        let infix = |sign: &str, own: u8, a: Piece, b: Piece| {
            let mut left = a.at(own);
            left.push_str(sign);
            left.push_str(&b.at(own + 1));
            Piece::new(left, own)
        };
        Some(match node.op {
            Op::Constant if node.types[0].dtype == axes::DType::Bool => {
                let holds = matches!(node.attrs.get("values"), Some(graph::Attr::Floats(v)) if v.first() != Some(&0.0));
                Piece::new(if holds { "0 < 1" } else { "0 > 1" }, rank::COMPARE)
            }
            Op::Constant => match decimal(node) {
                Some(x) if x.starts_with('-') => Piece::new(x, rank::SIGN),
                Some(x) => Piece::new(x, rank::ATOM),
                // Infinities and NaN have no digits.
                None => match node.attrs.get("values") {
                    Some(graph::Attr::Floats(v)) if v.first().is_some_and(|x| x.is_nan()) => {
                        Piece::new("0/0", rank::PRODUCT)
                    }
                    Some(graph::Attr::Floats(v)) if v.first().is_some_and(|x| *x < 0.0) => {
                        Piece::new("-1/0", rank::PRODUCT)
                    }
                    _ => Piece::new("1/0", rank::PRODUCT),
                },
            },
            Op::Add => match (next()?, next()?) {
                (a, b) if b.rank == rank::SIGN && b.text.starts_with('-') && literal(&b.text) => {
                    infix(" - ", rank::SUM, a, Piece::new(&b.text[1..], rank::ATOM))
                }
                (a, b) => infix(" + ", rank::SUM, a, b),
            },
            Op::Subtract => infix(" - ", rank::SUM, next()?, next()?),
            Op::Multiply => infix("*", rank::PRODUCT, next()?, next()?),
            Op::Divide => infix("/", rank::PRODUCT, next()?, next()?),
            Op::Negate => {
                let a = next()?;
                // `-2^x` is the power with a sign; `-2` would be a number.
                let a =
                    if a.text.starts_with(|c: char| c.is_ascii_digit() || c == '.') && a.rank == rank::ATOM {
                        format!("({})", a.text)
                    } else {
                        a.at(rank::SIGN)
                    };
                Piece::new(format!("-{a}"), rank::SIGN)
            }
            Op::Power => {
                let (a, b) = (next()?, next()?);
                Piece::new(format!("{}^{}", a.at(rank::ATOM), b.at(rank::POWER)), rank::POWER)
            }
            Op::Maximum | Op::Minimum => {
                let name = if node.op == Op::Maximum { "max" } else { "min" };
                Piece::new(format!("{name}({}, {})", next()?.text, next()?.text), rank::ATOM)
            }
            Op::Compare => {
                let sign = sign_of(node, [" < ", " <= ", " > ", " >= ", " == ", " != "])?;
                let (a, b) = (next()?, next()?);
                Piece::new(format!("{}{sign}{}", a.at(rank::SUM), b.at(rank::SUM)), rank::COMPARE)
            }
            Op::And => infix(" and ", rank::AND, next()?, next()?),
            Op::Or => infix(" or ", rank::OR, next()?, next()?),
            Op::Not => Piece::new(format!("not {}", next()?.at(rank::NOT)), rank::NOT),
            Op::Select => {
                let (c, a, b) = (next()?, next()?, next()?);
                let text = format!("if {} then {} else {}", c.at(rank::OR), a.at(rank::OR), b.text);
                Piece::new(text, rank::PIECES)
            }
            Op::Identity | Op::StopGradient => next()?,
            op => Piece::new(format!("{}({})", function(op)?, next()?.text), rank::ATOM),
        })
    }

    fn name(&self, name: &str) -> Piece {
        Piece::new(name, rank::ATOM)
    }

    fn pi(&self) -> Piece {
        Piece::new("pi", rank::ATOM)
    }

    fn long(&self) -> u64 {
        4
    }
}

/// Whether a text is a number with a sign.
fn literal(text: &str) -> bool {
    graph::decimal::parts(text).is_some()
}
