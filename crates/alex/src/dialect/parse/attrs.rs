//! Types and attributes of a text.

use std::collections::HashMap;

use super::super::attr::{Attr, Type};
use super::super::dense::Dense;
use super::super::lex::Token;
use super::super::signature::FLOATS;
use super::{DEPTH, ParseError, Parser, Result};

impl Parser<'_> {
    pub(super) fn ty(&mut self, depth: usize) -> Result<Type> {
        if depth > DEPTH {
            return self.fail(format!("types nest deeper than {DEPTH}"));
        }
        match self.token.clone() {
            Token::Type(name) => {
                let Some(own) = name.strip_prefix("fidelity.").map(str::to_owned) else {
                    return Ok(Type::Other(self.other()?));
                };
                self.next()?;
                Ok(Type::Fidelity { name: own, parameters: self.parameters(depth)? })
            }
            Token::Word(word) if word == "tensor" => self.tensor(depth),
            Token::Word(word) if one_word(&word) => {
                self.next()?;
                Ok(Type::Word(word))
            }
            Token::Word(word) if ["vector", "memref", "complex", "tuple"].contains(&word.as_str()) => {
                Ok(Type::Other(self.other()?))
            }
            _ => self.wanted("a type"),
        }
    }

    fn parameters(&mut self, depth: usize) -> Result<Vec<Attr>> {
        let mut parameters = Vec::new();
        if self.take("<")? {
            while !self.is(">") {
                parameters.push(self.attr(depth + 1)?);
                if !self.take(",")? {
                    break;
                }
            }
            self.expect(">")?;
        }
        Ok(parameters)
    }

    fn tensor(&mut self, depth: usize) -> Result<Type> {
        let (from, place) = (self.from, self.place);
        self.next()?;
        if !self.is("<") {
            return self.wanted("`<`");
        }
        // The lexer stands behind `<`; sizes are read byte by byte, since `4xf32` is no word.
        let mut sizes = Vec::new();
        loop {
            if self.lexer.byte(b'?') {
                sizes.push(None);
            } else if let Some(digits) = self.lexer.digits() {
                match digits.parse::<u64>() {
                    Ok(n) if i64::try_from(n).is_ok() => sizes.push(Some(n)),
                    _ => return self.fail(format!("the size {digits} is too large")),
                }
            } else {
                break;
            }
            if !self.lexer.byte(b'x') {
                return self.fail("sizes of a tensor are followed by `x`");
            }
        }
        self.next()?;
        if !self.is("*") {
            let elem = self.ty(depth + 1)?;
            if self.take(">")? {
                return Ok(Type::Tensor { sizes, elem: Box::new(elem) });
            }
        }
        self.lexer.back_to(from, place);
        self.next()?;
        Ok(Type::Other(self.other()?))
    }

    /// A word with what stands in brackets behind it, as it is written.
    fn other(&mut self) -> Result<String> {
        let from = self.from;
        self.next()?;
        let mut to = self.from;
        if self.is("<") {
            to = self.balanced()?;
        }
        Ok(self.lexer.text(from, to).trim_end().to_owned())
    }

    /// Skips brackets and what they hold; gives the byte behind them.
    pub(super) fn balanced(&mut self) -> Result<usize> {
        let mut depth = 0_usize;
        loop {
            match &self.token {
                Token::Sign("(" | "[" | "{" | "<") => depth += 1,
                Token::Sign(")" | "]" | "}" | ">") => depth = depth.saturating_sub(1),
                Token::End => return self.wanted("a closing bracket"),
                _ if depth == 0 => return self.wanted("a bracket"),
                _ => {}
            }
            let to = self.lexer.offset();
            self.next()?;
            if depth == 0 {
                return Ok(to);
            }
        }
    }

    /// `{name = attribute, …}`.
    pub(super) fn dict(&mut self, depth: usize) -> Result<Vec<(String, Attr)>> {
        self.expect("{")?;
        let mut entries: Vec<(String, Attr)> = Vec::new();
        let mut names = HashMap::new();
        while !self.is("}") {
            let place = self.place;
            let name = match self.next()? {
                Token::Word(word) => word,
                Token::Str(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                other => {
                    let problem = format!("expected the name of an attribute, found {}", other.describe());
                    return Err(ParseError { place, problem });
                }
            };
            if name.is_empty() || names.insert(name.clone(), ()).is_some() {
                return Err(ParseError {
                    place,
                    problem: format!("the attribute `{name}` stands twice or has no name"),
                });
            }
            let attr = if self.take("=")? { self.attr(depth + 1)? } else { Attr::Unit };
            entries.push((name, attr));
            if !self.take(",")? {
                break;
            }
        }
        self.expect("}")?;
        Ok(entries)
    }

    fn attr(&mut self, depth: usize) -> Result<Attr> {
        if depth > DEPTH {
            return self.fail(format!("attributes nest deeper than {DEPTH}"));
        }
        match self.token.clone() {
            Token::Str(bytes) => {
                let Ok(text) = String::from_utf8(bytes) else {
                    return self.fail("a string is text in UTF-8");
                };
                self.next()?;
                Ok(Attr::Str(text))
            }
            Token::Number(text) => {
                self.next()?;
                self.number(&text, false)
            }
            Token::Sign("-") => {
                self.next()?;
                let Token::Number(text) = self.next()? else { return self.wanted("a number") };
                self.number(&text, true)
            }
            Token::Sign("[") => {
                self.next()?;
                let mut items = Vec::new();
                while !self.is("]") {
                    items.push(self.attr(depth + 1)?);
                    if !self.take(",")? {
                        break;
                    }
                }
                self.expect("]")?;
                Ok(Attr::Array(items))
            }
            Token::Sign("{") => Ok(Attr::Dict(self.dict(depth)?)),
            Token::Symbol(name) => {
                self.next()?;
                Ok(Attr::Symbol(name))
            }
            Token::Attr(name) => match name.strip_prefix("fidelity.").map(str::to_owned) {
                Some(name) => {
                    self.next()?;
                    Ok(Attr::Fidelity { name, parameters: self.parameters(depth)? })
                }
                None => Ok(Attr::Other(self.other()?)),
            },
            Token::Word(word) => match word.as_str() {
                "true" | "false" => {
                    self.next()?;
                    Ok(Attr::Bool(word == "true"))
                }
                "unit" => {
                    self.next()?;
                    Ok(Attr::Unit)
                }
                "dense" | "dense_resource" | "sparse" => {
                    let from = self.other()?;
                    self.expect(":")?;
                    let ty = self.ty(depth + 1)?;
                    Ok(match Dense::read(&from, &ty) {
                        Some(dense) => Attr::Dense(dense),
                        None => Attr::Other(format!("{from} : {ty}")),
                    })
                }
                "array" | "affine_map" | "affine_set" | "strided" => Ok(Attr::Other(self.other()?)),
                _ => Ok(Attr::Type(self.ty(depth + 1)?)),
            },
            _ => Ok(Attr::Type(self.ty(depth + 1)?)),
        }
    }

    fn number(&mut self, text: &str, negative: bool) -> Result<Attr> {
        let decimal = text.contains('.');
        let default = if decimal { "f64" } else { "i64" };
        let ty = if self.take(":")? { self.ty(1)? } else { Type::word(default) };
        let Type::Word(word) = &ty else { return self.fail(format!("a number of type {ty}")) };
        let float = FLOATS.contains(&word.as_str());
        if decimal {
            if !float {
                return self.fail(format!("`{text}` is no {ty}"));
            }
            let value: f64 = text.parse().unwrap_or(f64::NAN);
            return Ok(Attr::Float(if negative { -value } else { value }, ty));
        }
        let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |hex| (hex, 16));
        let Ok(value) = i128::from_str_radix(digits, radix) else {
            return self.fail(format!("the number {text} is too large"));
        };
        if float {
            return match (word.as_str(), radix, negative) {
                ("f32", 16, false) if value <= i128::from(u32::MAX) => {
                    Ok(Attr::Float(f32::from_bits(value as u32).into(), ty))
                }
                ("f64", 16, false) if value <= i128::from(u64::MAX) => {
                    Ok(Attr::Float(f64::from_bits(value as u64), ty))
                }
                _ => self.fail(format!("`{text}` is no {ty}: write a decimal point")),
            };
        }
        let value = if negative { -value } else { value };
        let bits: u32 =
            if word == "index" { 64 } else { word.trim_start_matches(['i', 's', 'u']).parse().unwrap_or(0) };
        let fits = (1..=64).contains(&bits) && -(1_i128 << (bits - 1)) <= value && value < 1_i128 << bits;
        if !fits {
            return self.fail(format!("{value} does not fit {ty}"));
        }
        let wrapped = (value as i64).wrapping_shl(64 - bits).wrapping_shr(64 - bits);
        Ok(if bits == 1 && word == "i1" { Attr::Bool(wrapped != 0) } else { Attr::Int(wrapped, ty) })
    }
}

/// `f32`, `i8`, `index` and the like.
fn one_word(word: &str) -> bool {
    let integer = |text: &str| {
        text.parse::<u32>().is_ok_and(|n| (1..=1 << 20).contains(&n)) && !text.starts_with(['0', '+'])
    };
    ["f16", "bf16", "f32", "f64", "f80", "f128", "tf32", "index", "none"].contains(&word)
        || ["i", "si", "ui"].iter().any(|prefix| word.strip_prefix(prefix).is_some_and(integer))
}
