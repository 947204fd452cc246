//! Signatures: the one line that defines an operation, and its parts.
//!
//! ```text
//! ternary_linear(x: vector<L, K, E, In, U> | tensor<L.., K, E>, weights: ternary<N, K, Out, In, P, U, V> | tensor<N, K, i8>)
//!     -> (y: vector<L, N, E, Out, V> | tensor<L.., N, E>) where E: float
//! ```
//! A capital letter or word is a variable: wherever it stands it is one size, element type, axis or unit. `"…"` and lower
//! case words are themselves, `_` is anything, `L..` is any number of leading sizes. `|` gives alternatives. `optional` may be
//! left out. A clause `where E: float` says what a variable may be; `where T: vector<…> | …` makes `T` a whole type.

use super::attr::Attr;

/// The signature of an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    /// The name without the dialect.
    pub name: String,
    /// What it takes.
    pub operands: Vec<Slot>,
    /// What it gives.
    pub results: Vec<Slot>,
    /// The attributes that it must have.
    pub attributes: Vec<(String, Property)>,
    /// What variables may be.
    pub clauses: Vec<(String, Class)>,
}

/// An operand or result.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// The name.
    pub name: String,
    /// Whether it may be left out.
    pub optional: bool,
    /// The types that it may have.
    pub alternatives: Vec<Pattern>,
}

/// A type with variables.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// `!fidelity.name<…>`.
    Fidelity(String, Vec<Term>),
    /// `tensor<…>`: leading sizes, sizes, element.
    Tensor(Option<String>, Vec<Term>, Term),
    /// A type of one word.
    Word(String),
    /// A whole type by its variable.
    Whole(String),
}

/// A parameter of a pattern.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// One thing wherever it stands.
    Var(String),
    /// This attribute.
    Is(Attr),
    /// Anything.
    Any,
}

/// What an attribute of an operation must be.
#[derive(Clone, Debug, PartialEq)]
pub enum Property {
    /// A float.
    Float,
    /// An integer.
    Integer,
    /// A string.
    Text,
    /// One of these strings.
    OneOf(Vec<String>),
    /// `#fidelity.name<…>`.
    Fidelity(String, Vec<Term>),
}

/// What a variable may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Class {
    /// A floating-point element type.
    Float,
    /// One of these types.
    Types(Vec<Pattern>),
}

/// The element types that count as `float`.
pub const FLOATS: [&str; 6] = ["f16", "bf16", "f32", "f64", "f80", "f128"];

/// Reads a signature. The table's rows are read when the table is first used, and a test reads them all.
pub(crate) fn read(text: &str) -> Result<Signature, String> {
    let mut p = Reader { rest: text, whole: text };
    let name = p.dotted()?;
    p.expect("(")?;
    let operands = p.slots()?;
    let mut attributes = Vec::new();
    if p.take("{") {
        while !p.take("}") {
            let name = p.word()?;
            p.expect(":")?;
            attributes.push((name, p.property()?));
            p.take(",");
        }
    }
    p.expect("->")?;
    p.expect("(")?;
    let results = p.slots()?;
    let mut clauses = Vec::new();
    if p.take("where") {
        loop {
            let name = p.word()?;
            p.expect(":")?;
            let class = if p.take("float") { Class::Float } else { Class::Types(p.alternatives()?) };
            clauses.push((name, class));
            if !p.take(",") {
                break;
            }
        }
    }
    if p.rest.is_empty() {
        Ok(Signature { name, operands, results, attributes, clauses })
    } else {
        p.fail("the end")
    }
}

struct Reader<'a> {
    rest: &'a str,
    whole: &'a str,
}

impl Reader<'_> {
    fn fail<T>(&self, wanted: &str) -> Result<T, String> {
        Err(format!("`{}`: expected {wanted} before `{}`", self.whole, self.rest))
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest.strip_prefix(token);
        if let Some(rest) = found {
            self.rest = rest.trim_start();
        }
        found.is_some()
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) { Ok(()) } else { self.fail(&format!("`{token}`")) }
    }

    fn run(&mut self, fits: impl Fn(char) -> bool) -> Result<String, String> {
        let end = self.rest.find(|c: char| !fits(c)).unwrap_or(self.rest.len());
        if end == 0 {
            return self.fail("a name");
        }
        let word = self.rest[..end].to_owned();
        self.rest = self.rest[end..].trim_start();
        Ok(word)
    }

    fn word(&mut self) -> Result<String, String> {
        self.run(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    fn dotted(&mut self) -> Result<String, String> {
        self.run(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
    }

    fn slots(&mut self) -> Result<Vec<Slot>, String> {
        let mut slots = Vec::new();
        while !self.take(")") {
            let optional = self.take("optional ");
            let name = self.word()?;
            self.expect(":")?;
            slots.push(Slot { name, optional, alternatives: self.alternatives()? });
            self.take(",");
        }
        Ok(slots)
    }

    fn alternatives(&mut self) -> Result<Vec<Pattern>, String> {
        let mut all = vec![self.pattern()?];
        while self.take("|") {
            all.push(self.pattern()?);
        }
        Ok(all)
    }

    fn pattern(&mut self) -> Result<Pattern, String> {
        let name = self.word()?;
        if !self.take("<") {
            let variable = name.starts_with(|c: char| c.is_ascii_uppercase());
            return Ok(if variable { Pattern::Whole(name) } else { Pattern::Word(name) });
        }
        let mut spread = None;
        let mut terms = Vec::new();
        while !self.take(">") {
            let term = self.term()?;
            if self.take("..") {
                let Term::Var(name) = term else { return self.fail("a variable before `..`") };
                spread = Some(name);
            } else {
                terms.push(term);
            }
            self.take(",");
        }
        if name != "tensor" {
            return Ok(Pattern::Fidelity(name, terms));
        }
        match terms.pop() {
            Some(elem) => Ok(Pattern::Tensor(spread, terms, elem)),
            None => self.fail("an element type"),
        }
    }

    fn term(&mut self) -> Result<Term, String> {
        if self.take("_") {
            return Ok(Term::Any);
        }
        if self.take("[]") {
            return Ok(Term::Is(Attr::Array(Vec::new())));
        }
        if self.take("\"") {
            let Some((text, rest)) = self.rest.split_once('"') else { return self.fail("`\"`") };
            let attr = Attr::text(text);
            self.rest = rest.trim_start();
            return Ok(Term::Is(attr));
        }
        let word = self.word()?;
        Ok(if word.starts_with(|c: char| c.is_ascii_uppercase()) {
            Term::Var(word)
        } else {
            Term::Is(Attr::Type(super::attr::Type::Word(word)))
        })
    }

    fn property(&mut self) -> Result<Property, String> {
        if self.take("float") {
            return Ok(Property::Float);
        }
        if self.take("integer") {
            return Ok(Property::Integer);
        }
        if self.take("string") {
            return Ok(Property::Text);
        }
        if self.rest.starts_with('"') {
            let mut all = Vec::new();
            loop {
                match self.term()? {
                    Term::Is(Attr::Str(text)) => all.push(text),
                    _ => return self.fail("a string"),
                }
                if !self.take("|") {
                    return Ok(Property::OneOf(all));
                }
            }
        }
        match self.pattern()? {
            Pattern::Fidelity(name, terms) => Ok(Property::Fidelity(name, terms)),
            _ => self.fail("a kind of attribute"),
        }
    }
}
