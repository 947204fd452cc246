//! Reads MLIR's generic form of modules in the dialect: `func.func` with flat operations and `return`.
//!
//! Any text is answered with a module or an error: nesting is bounded, and memory grows with the text alone. Names are
//! accepted with dots too (`"fidelity.ssm.state_update"`), and kept with underscores, as MLIR reads them.

mod attrs;
mod scope;

use std::collections::HashMap;

use super::attr::Type;
use super::lex::{Lexer, Token};
use super::module::{Func, Module, Op, Place, Value};
use scope::Scope;

/// How deep types and attributes may nest.
const DEPTH: usize = 32;

/// A text that is no module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {problem}", .place.line, .place.column)]
pub struct ParseError {
    /// Where.
    pub place: Place,
    /// What was expected and what was found.
    pub problem: String,
}

type Result<T> = std::result::Result<T, ParseError>;

impl Module {
    /// Reads a module in the generic form.
    ///
    /// # Errors
    /// The first place where the text is no module: a word out of place, a value that is not defined, or one that is used with
    /// another type than it has.
    pub fn parse(text: &str) -> Result<Module> {
        let mut p = Parser::new(text)?;
        let module = p.module()?;
        p.end()?;
        Ok(module)
    }
}

impl Type {
    /// Reads a type.
    ///
    /// # Errors
    /// The first place where the text is no type.
    pub fn parse(text: &str) -> Result<Type> {
        let mut p = Parser::new(text)?;
        let ty = p.ty(0)?;
        p.end()?;
        Ok(ty)
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    place: Place,
    from: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self> {
        let mut p = Parser { lexer: Lexer::new(text), token: Token::End, place: Place::default(), from: 0 };
        p.next()?;
        Ok(p)
    }

    fn next(&mut self) -> Result<Token> {
        let (token, place, from) =
            self.lexer.next().map_err(|(place, problem)| ParseError { place, problem })?;
        self.place = place;
        self.from = from;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn fail<T>(&self, problem: impl Into<String>) -> Result<T> {
        Err(ParseError { place: self.place, problem: problem.into() })
    }

    fn wanted<T>(&self, wanted: &str) -> Result<T> {
        self.fail(format!("expected {wanted}, found {}", self.token.describe()))
    }

    fn end(&self) -> Result<()> {
        if self.token == Token::End { Ok(()) } else { self.wanted("the end of the text") }
    }

    fn is(&self, sign: &str) -> bool {
        matches!(&self.token, Token::Sign(found) if *found == sign)
    }

    fn take(&mut self, sign: &str) -> Result<bool> {
        let found = self.is(sign);
        if found {
            self.next()?;
        }
        Ok(found)
    }

    fn expect(&mut self, sign: &str) -> Result<()> {
        if self.take(sign)? { Ok(()) } else { self.wanted(&format!("`{sign}`")) }
    }

    fn word(&mut self, word: &str) -> Result<bool> {
        let found = matches!(&self.token, Token::Word(found) if found == word);
        if found {
            self.next()?;
        }
        Ok(found)
    }

    fn module(&mut self) -> Result<Module> {
        let mut module = Module::new();
        let braced = self.word("module")? || self.word("builtin.module")?;
        if braced {
            if matches!(self.token, Token::Symbol(_)) {
                self.next()?;
            }
            if self.word("attributes")? {
                self.dict(0)?;
            }
            self.expect("{")?;
        }
        let mut names = HashMap::new();
        while !(self.token == Token::End || braced && self.is("}")) {
            let place = self.place;
            let function = self.function()?;
            if names.insert(function.name.clone(), ()).is_some() {
                let problem = format!("there is a function @{} already", function.name);
                return Err(ParseError { place, problem });
            }
            module.functions.push(function);
        }
        if braced {
            self.expect("}")?;
        }
        Ok(module)
    }

    fn function(&mut self) -> Result<Func> {
        let place = self.place;
        if !self.word("func.func")? {
            return self.wanted("`func.func`");
        }
        let private = self.word("private")?;
        let _ = self.word("public")?;
        let Token::Symbol(name) = self.next()? else { return self.wanted("the function's `@name`") };
        let mut scope = Scope::of(Func { name, private, place, ..Func::default() });
        self.expect("(")?;
        let mut types = Vec::new();
        while !self.is(")") {
            if let Token::Value(name) = self.token.clone() {
                let place = self.place;
                self.next()?;
                self.expect(":")?;
                let ty = self.ty(0)?;
                let value = scope.define(&name, ty, place)?;
                scope.func.arguments.push(value);
            } else {
                types.push(self.ty(0)?);
            }
            let own = if self.is("{") { self.dict(0)? } else { Vec::new() };
            scope.func.argument_attributes.push(own);
            if !self.take(",")? {
                break;
            }
        }
        self.expect(")")?;
        if self.take("->")? {
            if self.take("(")? {
                while !self.is(")") {
                    let ty = self.ty(0)?;
                    scope.func.results.push(ty);
                    let own = if self.is("{") { self.dict(0)? } else { Vec::new() };
                    scope.func.result_attributes.push(own);
                    if !self.take(",")? {
                        break;
                    }
                }
                self.expect(")")?;
            } else {
                scope.func.results = vec![self.ty(0)?];
            }
        }
        if self.word("attributes")? {
            self.dict(0)?;
        }
        if !self.is("{") {
            for ty in types {
                let value = scope.fresh("", ty);
                scope.func.arguments.push(value);
            }
            return Ok(scope.func);
        }
        if !types.is_empty() {
            return self.fail("an argument of a function with a body has a name");
        }
        self.expect("{")?;
        loop {
            if self.word("return")? || self.word("func.return")? {
                let returned = self.returned(&scope)?;
                scope.func.returned = Some(returned);
                self.expect("}")?;
                return Ok(scope.func);
            }
            if self.is("}") {
                return self.fail(format!("@{} must end in `return`", scope.func.name));
            }
            let op = self.op(&mut scope)?;
            scope.func.ops.push(op);
        }
    }

    fn returned(&mut self, scope: &Scope) -> Result<Vec<Value>> {
        let place = self.place;
        let mut values = Vec::new();
        while let Token::Value(name) = self.token.clone() {
            values.push(scope.find(&name, self.place)?);
            self.next()?;
            if !self.take(",")? {
                break;
            }
        }
        if !values.is_empty() {
            self.expect(":")?;
            for (k, &value) in values.iter().enumerate() {
                if k > 0 {
                    self.expect(",")?;
                }
                let ty = self.ty(0)?;
                scope.same(value, &ty, place)?;
            }
        }
        Ok(values)
    }

    fn op(&mut self, scope: &mut Scope) -> Result<Op> {
        let mut wanted: Vec<(String, usize, Place)> = Vec::new();
        if matches!(self.token, Token::Value(_)) {
            loop {
                let place = self.place;
                let Token::Value(name) = self.next()? else { return self.wanted("`%name`") };
                let count = if self.take(":")? {
                    let Token::Number(text) = self.next()? else { return self.wanted("a number of results") };
                    match text.parse::<usize>() {
                        Ok(n) if (1..=64).contains(&n) => n,
                        _ => return self.fail("an operation has 1 to 64 results"),
                    }
                } else {
                    1
                };
                wanted.push((name, count, place));
                if !self.take(",")? {
                    break;
                }
            }
            self.expect("=")?;
        }
        let place = self.place;
        let name = match self.next()? {
            Token::Str(bytes) => match String::from_utf8(bytes) {
                Ok(name) => name,
                Err(_) => return self.fail("an operation's name is text"),
            },
            Token::Word(word) => {
                return Err(ParseError {
                    place,
                    problem: format!(
                        "`{word}` must be written in the generic form, as \"{word}\"(…) : (…) -> (…)"
                    ),
                });
            }
            other => {
                let problem =
                    format!("expected an operation, such as \"fidelity.add\", found {}", other.describe());
                return Err(ParseError { place, problem });
            }
        };
        let name = match name.strip_prefix("fidelity.") {
            Some(own) => format!("fidelity.{}", own.replace('.', "_")),
            None => name,
        };
        self.expect("(")?;
        let mut operands = Vec::new();
        while let Token::Value(name) = self.token.clone() {
            operands.push((scope.find(&name, self.place)?, self.place));
            self.next()?;
            if !self.take(",")? {
                break;
            }
        }
        self.expect(")")?;
        let mut attributes = Vec::new();
        if self.is("<") {
            if name.starts_with("fidelity.") {
                return self.fail("operations of this dialect have no properties: write attributes in `{…}`");
            }
            self.expect("<")?;
            attributes = self.dict(0)?;
            self.expect(">")?;
        }
        if self.is("(") {
            return self.fail("operations with regions are not part of this form");
        }
        if self.is("{") {
            attributes.extend(self.dict(0)?);
        }
        self.expect(":")?;
        let taken = self.types()?;
        if taken.len() != operands.len() {
            return self.fail(format!("{} operands, {} types", operands.len(), taken.len()));
        }
        for (&(value, place), ty) in operands.iter().zip(&taken) {
            scope.same(value, ty, place)?;
        }
        self.expect("->")?;
        let given = if self.is("(") { self.types()? } else { vec![self.ty(0)?] };
        if self.word("loc")? {
            self.balanced()?;
        }
        let count: usize = wanted.iter().map(|(_, n, _)| n).sum();
        if count != given.len() && !wanted.is_empty() {
            let problem = format!("\"{name}\" gives {} results, {count} are named", given.len());
            return Err(ParseError { place, problem });
        }
        let mut given = given.into_iter();
        let mut results = Vec::new();
        for (name, count, place) in wanted {
            for k in 0..count {
                let Some(ty) = given.next() else { break };
                let own = if count == 1 { name.clone() } else { format!("{name}#{k}") };
                results.push(scope.define(&own, ty, place)?);
            }
            if count > 1 {
                let first = results[results.len() - count];
                scope.names.insert(name, first);
            }
        }
        // Results that the text does not name.
        results.extend(given.map(|ty| scope.fresh("", ty)));
        Ok(Op { name, operands: operands.into_iter().map(|(v, _)| v).collect(), results, attributes, place })
    }

    /// `(type, …)`.
    fn types(&mut self) -> Result<Vec<Type>> {
        self.expect("(")?;
        let mut types = Vec::new();
        while !self.is(")") {
            types.push(self.ty(0)?);
            if !self.take(",")? {
                break;
            }
        }
        self.expect(")")?;
        Ok(types)
    }
}
