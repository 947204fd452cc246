//! The reader of expressions: a text becomes a graph.
//!
//! ```text
//! expression = { "let" name "=" sum ";" } truth
//! truth      = both { "or" both }                 both = not { "and" not }
//! not        = "not" not | comparison             comparison = sum { ("<" | "<=" | ">" | ">=" | "==" | "!=") sum }
//! sum        = product { ("+" | "-") product }    product = unary { ("*" | "/") unary }
//! unary      = "-" unary | power                  power = atom [ "^" unary ]
//! atom       = number | name | name "(" truth { "," truth } ")" | "(" expression ")"
//!            | "if" truth "then" truth "else" truth
//! ```
//!
//! One grammar serves numbers and conditions; which of the two an operator takes is checked where it is applied, so
//! that the error can say so. Recursion is bounded by [`DEEPEST`] and length by [`LONGEST`], whatever the text.

use super::functions::{self, FUNCTIONS};
use crate::{FurnaceError, Result};
use axes::DType;
use graph::{Cx, Graph, Type, Var};

/// Characters that an expression may have.
pub const LONGEST: usize = 10_000;
/// How deep brackets, functions, pieces and signs may be nested.
pub const DEEPEST: usize = 100;
/// Digits that a number may have.
const DIGITS: usize = 1000;

const WORDS: [&str; 8] = ["if", "then", "else", "let", "and", "or", "not", "elif"];

/// The graph of an expression: inputs by name in the order of their appearance, one output `y`.
pub(super) fn parse(text: &str) -> Result<Graph> {
    let mut p = Parser {
        text: text.chars().collect(),
        at: 0,
        token: 0,
        depth: 0,
        cx: Cx::abstract_(),
        variables: vec![],
        lets: vec![],
    };
    if p.text.len() > LONGEST {
        p.token = LONGEST;
        return Err(
            p.error(format!("the expression has {} characters, at most {LONGEST} are read", p.text.len()))
        );
    }
    let y = p.expression()?;
    p.skip();
    p.token = p.at;
    if p.at < p.text.len() {
        return Err(p.error(format!("expected an operator or the end, found {}", p.found())));
    }
    let y = p.value(y)?;
    Ok(p.cx.clone().finish(&[("y", &y)])?)
}

/// Whether a word can be a variable.
pub(super) fn is_variable(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && letters.all(|c| c.is_alphanumeric() || c == '_')
        && !WORDS.contains(&name)
        && !["e", "pi", "π"].contains(&name)
        && !FUNCTIONS.iter().any(|f| f.name == name)
}

/// A number or a condition, and where it began.
#[derive(Clone)]
struct Term {
    var: Var,
    start: usize,
}

impl Term {
    fn is_truth(&self) -> bool {
        !self.var.is_poison() && self.var.dtype() == DType::Bool
    }
}

struct Parser {
    text: Vec<char>,
    at: usize,
    /// Where the token that is being read begins: where an error points.
    token: usize,
    depth: usize,
    cx: Cx,
    variables: Vec<(String, Var)>,
    lets: Vec<(String, Term)>,
}

impl Parser {
    fn error(&self, problem: impl Into<String>) -> FurnaceError {
        let text: String =
            self.text.iter().take(LONGEST).map(|c| if c.is_control() { ' ' } else { *c }).collect();
        FurnaceError::Expression { text, column: self.token + 1, problem: problem.into() }
    }

    fn error_at(&self, column: usize, problem: impl Into<String>) -> FurnaceError {
        match self.error(problem) {
            FurnaceError::Expression { text, problem, .. } => {
                FurnaceError::Expression { text, column: column + 1, problem }
            }
            other => other,
        }
    }

    /// What stands at the token, for a message.
    fn found(&self) -> String {
        match self.text.get(self.token) {
            None => "the end".into(),
            Some(c) if c.is_alphanumeric() || *c == '_' => {
                let word = self.text[self.token..].iter().take_while(|c| c.is_alphanumeric() || **c == '_');
                format!("`{}`", word.take(40).collect::<String>())
            }
            Some(c) if c.is_control() => format!("the control character {:#x}", *c as u32),
            Some(c) => format!("`{c}`"),
        }
    }

    fn skip(&mut self) {
        while self.text.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
    }

    /// The next character that is not blank; the token begins there.
    fn peek(&mut self) -> Option<char> {
        self.skip();
        self.token = self.at;
        self.text.get(self.at).copied()
    }

    /// Reads these characters if they come next.
    fn eat(&mut self, signs: &str) -> bool {
        self.peek();
        let fits = signs.chars().enumerate().all(|(i, c)| self.text.get(self.at + i) == Some(&c));
        if fits {
            self.at += signs.chars().count();
        }
        fits
    }

    /// The word that comes next, unread.
    fn word(&mut self) -> Option<String> {
        let first = self.peek()?;
        if !(first.is_alphabetic() || first == '_') {
            return None;
        }
        Some(self.text[self.at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect())
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let fits = self.word().as_deref() == Some(word);
        if fits {
            self.at += word.chars().count();
        }
        fits
    }

    fn expect_word(&mut self, word: &str, after: &str) -> Result<()> {
        match self.eat_word(word) {
            true => Ok(()),
            false => Err(self.error(format!("expected `{word}` after {after}, found {}", self.found()))),
        }
    }

    fn value(&self, t: Term) -> Result<Var> {
        match t.is_truth() {
            false => Ok(t.var),
            true => Err(self.error_at(
                t.start,
                "expected a number, found a condition; `if … then 1 else 0` makes a number of it",
            )),
        }
    }

    fn truth_of(&self, t: Term) -> Result<Var> {
        match t.is_truth() {
            true => Ok(t.var),
            false => Err(self.error_at(t.start, "expected a condition such as `x < 0`, found a number")),
        }
    }

    /// Runs a rule one level deeper.
    fn nested(&mut self, rule: impl FnOnce(&mut Parser) -> Result<Term>) -> Result<Term> {
        self.depth += 1;
        if self.depth > DEEPEST {
            self.peek();
            return Err(
                self.error(format!("nested deeper than {DEEPEST} levels; name parts of it with `let`"))
            );
        }
        let t = rule(self);
        self.depth -= 1;
        t
    }

    fn expression(&mut self) -> Result<Term> {
        let before = self.lets.len();
        while self.eat_word("let") {
            let name = self.word();
            let Some(name) = name.filter(|n| is_variable(n)) else {
                return Err(self.error(format!("expected a new name after `let`, found {}", self.found())));
            };
            if self.variables.iter().any(|(v, _)| *v == name) {
                return Err(
                    self.error(format!("`{name}` was used as a variable before; choose another name"))
                );
            }
            self.at += name.chars().count();
            if !self.eat("=") {
                return Err(self.error(format!("expected `=` after `let {name}`, found {}", self.found())));
            }
            let value = self.truth()?;
            if !self.eat(";") {
                return Err(
                    self.error(format!("expected `;` after the value of `{name}`, found {}", self.found()))
                );
            }
            self.lets.push((name, value));
        }
        let y = self.truth()?;
        self.lets.truncate(before);
        Ok(y)
    }

    fn truth(&mut self) -> Result<Term> {
        let mut a = self.both()?;
        while self.eat_word("or") || self.eat("||") {
            let b = self.both()?;
            let start = a.start;
            a = Term { var: self.truth_of(a)?.or(&self.truth_of(b)?), start };
        }
        Ok(a)
    }

    fn both(&mut self) -> Result<Term> {
        let mut a = self.not()?;
        while self.eat_word("and") || self.eat("&&") {
            let b = self.not()?;
            let start = a.start;
            a = Term { var: self.truth_of(a)?.and(&self.truth_of(b)?), start };
        }
        Ok(a)
    }

    fn not(&mut self) -> Result<Term> {
        self.peek();
        let start = self.at;
        let bang = self.text.get(self.at) == Some(&'!') && self.text.get(self.at + 1) != Some(&'=');
        if self.eat_word("not") || (bang && self.eat("!")) {
            let a = self.nested(Parser::not)?;
            return Ok(Term { var: self.truth_of(a)?.not(), start });
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Term> {
        const SIGNS: [(&str, &str); 10] = [
            ("<=", "le"),
            (">=", "ge"),
            ("==", "eq"),
            ("!=", "ne"),
            ("≤", "le"),
            ("≥", "ge"),
            ("≠", "ne"),
            ("<", "lt"),
            (">", "gt"),
            ("=", "eq"),
        ];
        let mut left = self.sum()?;
        let start = left.start;
        let mut all: Option<Var> = None;
        // `0 < x < 1` means both.
        while let Some((_, how)) = SIGNS.iter().find(|(sign, _)| self.eat(sign)) {
            let right = self.sum()?;
            let (a, b) = (self.value(left)?, self.value(right.clone())?);
            let holds = match *how {
                "lt" => a.lt(&b),
                "le" => a.le(&b),
                "gt" => a.gt(&b),
                "ge" => a.ge(&b),
                "eq" => a.equal(&b),
                _ => a.not_equal(&b),
            };
            all = Some(all.map_or(holds.clone(), |before| before.and(&holds)));
            left = right;
        }
        Ok(all.map_or(left, |var| Term { var, start }))
    }

    fn sum(&mut self) -> Result<Term> {
        let mut a = self.product()?;
        loop {
            let plus = self.eat("+");
            if !plus && !self.eat("-") && !self.eat("−") {
                return Ok(a);
            }
            let b = self.product()?;
            let start = a.start;
            let (x, y) = (self.value(a)?, self.value(b)?);
            a = Term { var: if plus { x + y } else { x - y }, start };
        }
    }

    fn product(&mut self) -> Result<Term> {
        let mut a = self.unary()?;
        loop {
            let power = self.peek() == Some('*') && self.text.get(self.at + 1) == Some(&'*');
            let times = !power && (self.eat("*") || self.eat("·") || self.eat("×"));
            if !times && !self.eat("/") && !self.eat("÷") {
                return Ok(a);
            }
            let b = self.unary()?;
            let start = a.start;
            let (x, y) = (self.value(a)?, self.value(b)?);
            a = Term { var: if times { x * y } else { x / y }, start };
        }
    }

    fn unary(&mut self) -> Result<Term> {
        self.peek();
        let start = self.at;
        if !self.eat("-") && !self.eat("−") {
            return self.power();
        }
        // A sign right before a number belongs to it, unless the number is raised to a power.
        if self.peek().is_some_and(|c| c.is_ascii_digit() || c == '.') {
            let back = self.at;
            let text = self.digits()?;
            if !matches!(self.peek(), Some('^')) && !self.power_sign() {
                return Ok(Term { var: self.literal(back, &format!("-{text}"))?, start });
            }
            self.at = back;
        }
        let a = self.nested(Parser::unary)?;
        Ok(Term { var: -self.value(a)?, start })
    }

    fn power_sign(&mut self) -> bool {
        self.peek() == Some('*') && self.text.get(self.at + 1) == Some(&'*')
    }

    fn power(&mut self) -> Result<Term> {
        let a = self.atom()?;
        if !(self.eat("^") || self.power_sign() && self.eat("**")) {
            return Ok(a);
        }
        let b = self.nested(Parser::unary)?;
        let start = a.start;
        let (x, y) = (self.value(a)?, self.value(b)?);
        Ok(Term { var: x.pow(&y), start })
    }

    fn atom(&mut self) -> Result<Term> {
        let Some(c) = self.peek() else {
            return Err(self.error("expected a number, a name or `(`, found the end"));
        };
        let start = self.at;
        if c.is_ascii_digit() || c == '.' {
            let text = self.digits()?;
            return Ok(Term { var: self.literal(start, &text)?, start });
        }
        if self.eat("(") {
            let inner = self.nested(Parser::expression)?;
            if !self.eat(")") {
                return Err(self.error(format!("expected `)`, found {}", self.found())));
            }
            return Ok(Term { start, ..inner });
        }
        let Some(word) = self.word() else {
            return Err(self.error(format!("expected a number, a name or `(`, found {}", self.found())));
        };
        if word == "if" {
            self.at += 2;
            return self.nested(|p| p.pieces(start));
        }
        if let Some((_, t)) = self.lets.iter().rev().find(|(n, _)| *n == word) {
            let var = t.var.clone();
            self.at += word.chars().count();
            return Ok(Term { var, start });
        }
        if WORDS.contains(&word.as_str()) {
            return Err(self.error(format!("expected a number, a name or `(`, found `{word}`")));
        }
        self.at += word.chars().count();
        if self.peek() == Some('(') {
            return self.nested(|p| p.call(&word, start));
        }
        self.token = start;
        if FUNCTIONS.iter().any(|f| f.name == word) {
            return Err(self.error(format!("`{word}` is a function; write `{word}(…)`")));
        }
        if let Some(var) = functions::constant(&self.cx, &word) {
            return Ok(Term { var, start });
        }
        if let Some((_, var)) = self.variables.iter().find(|(n, _)| *n == word) {
            return Ok(Term { var: var.clone(), start });
        }
        let var = self.cx.input(&word, Type::scalar(DType::F64));
        self.variables.push((word, var.clone()));
        Ok(Term { var, start })
    }

    fn pieces(&mut self, start: usize) -> Result<Term> {
        let condition = self.truth()?;
        let condition = self.truth_of(condition)?;
        self.expect_word("then", "the condition")?;
        let yes = self.truth()?;
        let no = if self.eat_word("elif") {
            self.nested(|p| p.pieces(start))?
        } else {
            self.expect_word("else", "the first piece")?;
            self.truth()?
        };
        let (yes, no) = (self.value(yes)?, self.value(no)?);
        Ok(Term { var: condition.select(&yes, &no), start })
    }

    fn call(&mut self, name: &str, start: usize) -> Result<Term> {
        let Some(function) = FUNCTIONS.iter().find(|f| f.name == name) else {
            let hint = match functions::nearest(name) {
                Some(near) => format!("; did you mean `{near}`?"),
                None if is_variable(name) => "; a product is written with `*`".into(),
                None => String::new(),
            };
            return Err(self.error_at(start, format!("there is no function `{name}`{hint}")));
        };
        self.eat("(");
        let mut arguments = vec![];
        loop {
            let t = self.truth()?;
            arguments.push(self.value(t)?);
            if self.eat(",") {
                continue;
            }
            if self.eat(")") {
                break;
            }
            return Err(self.error(format!("expected `,` or `)` in `{name}(…)`, found {}", self.found())));
        }
        let (low, high) = function.arity;
        if !(low..=high).contains(&arguments.len()) {
            let takes = match (low, high) {
                (a, b) if a == b => format!("{a} argument{}", if a == 1 { "" } else { "s" }),
                (a, _) => format!("at least {a} arguments"),
            };
            return Err(self.error_at(start, format!("`{name}` takes {takes}, found {}", arguments.len())));
        }
        match (function.build)(&arguments) {
            Some(var) => Ok(Term { var, start }),
            None => {
                Err(self.error_at(start, format!("`{name}` needs an op that the op table does not have")))
            }
        }
    }

    /// The text of a number without a sign.
    fn digits(&mut self) -> Result<String> {
        self.peek();
        let start = self.at;
        let run = |p: &mut Parser| {
            let from = p.at;
            while p.text.get(p.at).is_some_and(char::is_ascii_digit) {
                p.at += 1;
            }
            p.at - from
        };
        let mut count = run(self);
        if self.text.get(self.at) == Some(&'.') {
            self.at += 1;
            count += run(self);
        }
        if count == 0 || count > DIGITS {
            return Err(
                self.error(format!("expected a number of 1 to {DIGITS} digits, found {count} digits"))
            );
        }
        let exponent = self.at;
        if matches!(self.text.get(self.at), Some('e' | 'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some('+' | '-')) {
                self.at += 1;
            }
            if run(self) == 0 {
                // `2e` is not a number with an exponent; what it is will be said where it is read.
                self.at = exponent;
            }
        }
        if self.text.get(self.at).is_some_and(|c| c.is_alphabetic() || *c == '_' || *c == '.') {
            self.token = self.at;
            let number: String = self.text[start..self.at].iter().collect();
            let found = self.found();
            let hint =
                if found == "`.`" { String::new() } else { format!("; write `{number}*…` for a product") };
            return Err(self.error(format!("expected an operator after the number, found {found}{hint}")));
        }
        Ok(self.text[start..self.at].iter().collect())
    }

    fn literal(&self, start: usize, text: &str) -> Result<Var> {
        match graph::decimal::nearest(text) {
            Some(_) => Ok(self.cx.decimal(&Type::scalar(DType::F64), text)),
            None => Err(self.error_at(start, format!("`{text}` is beyond the range of a double (1.8e308)"))),
        }
    }
}
