//! The reader of the printed form: one pass, no look-ahead beyond a character, every error with its line.

use crate::attrs::{Attr, Attrs};
use crate::dim::Dim;
use crate::error::{GraphError, Result};
use crate::ir::{Graph, Named, Node, Value};
use crate::op::Op;
use crate::types::Type;
use axes::DType;
use std::collections::HashMap;
use std::sync::Arc;

/// Regions in regions, at most; keeps hostile text from exhausting the stack.
const DEPTH: usize = 64;

impl Graph {
    /// Reads the form that `Display` writes and verifies the graph. The error names the line.
    ///
    /// ```
    /// let text = "graph(x=%0) -> (y=%1) { %0:f32[B] = input   %1:f32[B] = exp %0 }";
    /// let graph = graph::Graph::parse(text).unwrap();
    /// assert_eq!(graph::Graph::parse(&graph.to_string()).unwrap(), graph);
    /// assert!(graph::Graph::parse("graph() -> (y=%7) { }").unwrap_err().to_string().contains("line 1"));
    /// ```
    pub fn parse(text: &str) -> Result<Graph> {
        let (graph, lines) = read(text)?;
        graph.verify().map_err(|e| match e {
            GraphError::Malformed { node, op, problem } => {
                let line = lines.get(node).or(lines.last()).copied().unwrap_or(1);
                GraphError::Syntax { line, problem: format!("{op}: {problem}") }
            }
            other => other,
        })?;
        Ok(graph)
    }

    /// Reads the printed form without verifying it: types and attributes are taken as they stand.
    pub fn parse_unverified(text: &str) -> Result<Graph> {
        read(text).map(|(graph, _)| graph)
    }
}

/// The graph and the line of each of its nodes.
fn read(text: &str) -> Result<(Graph, Vec<usize>)> {
    let mut p = Parser { rest: text, line: 1, depth: 0 };
    let (graph, lines) = p.graph()?;
    match p.peek() {
        None => Ok((graph, lines)),
        Some(c) => Err(p.error(format!("expected the end, found `{c}`"))),
    }
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
    depth: usize,
}

/// A reference that is looked up once all nodes are known.
type Reference = (String, u32, usize);

impl<'a> Parser<'a> {
    fn error(&self, problem: impl Into<String>) -> GraphError {
        GraphError::Syntax { line: self.line, problem: problem.into() }
    }

    fn skip(&mut self, bytes: usize) {
        let (gone, rest) = self.rest.split_at(bytes);
        self.line += gone.matches('\n').count();
        self.rest = rest;
    }

    /// The next character that is not space or comment.
    fn peek(&mut self) -> Option<char> {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.skip(blank);
            if !self.rest.starts_with("//") {
                return self.rest.chars().next();
            }
            self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        self.peek();
        let found = self.rest.starts_with(token);
        if found {
            self.skip(token.len());
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<()> {
        if self.eat(token) {
            return Ok(());
        }
        let found = self.peek().map_or("the end".to_string(), |c| format!("`{c}`"));
        Err(self.error(format!("expected `{token}`, found {found}")))
    }

    /// Letters, digits, `_`, `.`, and signs: names, numbers, element types. May be empty.
    fn word(&mut self) -> &'a str {
        self.peek();
        let inside = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
        let end = self.rest.find(|c| !inside(c)).unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        self.skip(end);
        word
    }

    /// What stands before `end`, which is eaten.
    fn until(&mut self, end: char) -> Result<&'a str> {
        let Some(at) = self.rest.find(end) else {
            return Err(self.error(format!("expected `{end}`, found the end")));
        };
        let text = &self.rest[..at];
        self.skip(at + end.len_utf8());
        Ok(text)
    }

    fn string(&mut self) -> Result<String> {
        self.expect("\"")?;
        let mut out = String::new();
        loop {
            let mut chars = self.rest.chars();
            let Some(c) = chars.next() else { return Err(self.error("a string without its closing quote")) };
            self.skip(c.len_utf8());
            match c {
                '"' => return Ok(out),
                '\\' => {
                    let escaped =
                        chars.next().ok_or_else(|| self.error("a string without its closing quote"))?;
                    self.skip(escaped.len_utf8());
                    match escaped {
                        'n' => out.push('\n'),
                        '"' | '\\' => out.push(escaped),
                        'u' => {
                            self.expect("{")?;
                            let code =
                                u32::from_str_radix(self.until('}')?, 16).ok().and_then(char::from_u32);
                            out.push(code.ok_or_else(|| self.error("no such character"))?);
                        }
                        c => return Err(self.error(format!("unknown escape `\\{c}`"))),
                    }
                }
                c => out.push(c),
            }
        }
    }

    /// A plain or quoted name.
    fn name(&mut self) -> Result<String> {
        if self.peek() == Some('"') {
            return self.string();
        }
        match self.word() {
            "" => Err(self.error("expected a name")),
            w => Ok(w.to_string()),
        }
    }

    fn reference(&mut self) -> Result<Reference> {
        self.expect("%")?;
        let line = self.line;
        let label = self.word().to_string();
        if label.is_empty() {
            return Err(self.error("expected a number after `%`"));
        }
        let out = match self.rest.starts_with('#') {
            true => {
                self.skip(1);
                let text = self.word();
                text.parse().map_err(|_| self.error(format!("`{text}` is not the number of a result")))?
            }
            false => 0,
        };
        Ok((label, out, line))
    }

    fn names(&mut self) -> Result<Vec<(String, Reference)>> {
        self.expect("(")?;
        let mut list = vec![];
        while !self.eat(")") {
            let name = self.name()?;
            self.expect("=")?;
            list.push((name, self.reference()?));
            if !self.eat(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(list)
    }

    fn ty(&mut self) -> Result<Type> {
        self.peek();
        let text = self.until(']')?;
        Type::parse(&format!("{text}]")).ok_or_else(|| {
            let shown: String = text.trim().chars().take(40).collect();
            self.error(format!("`{shown}]` is not a type"))
        })
    }

    fn graph(&mut self) -> Result<(Graph, Vec<usize>)> {
        if self.depth == DEPTH {
            return Err(self.error(format!("regions are nested deeper than {DEPTH}")));
        }
        self.depth += 1;
        self.expect("graph")?;
        let inputs = self.names()?;
        self.expect("->")?;
        let outputs = self.names()?;
        let taps = if self.eat("taps") { self.names()? } else { vec![] };
        self.expect("{")?;
        let mut graph = Graph { scopes: vec![String::new()], ..Graph::default() };
        let mut labels: HashMap<String, u32> = HashMap::new();
        let mut lines = vec![];
        while !self.eat("}") {
            lines.push(self.line);
            let (label, node) = self.node(&mut graph.scopes, &labels, &graph.nodes)?;
            if labels.insert(label.clone(), graph.nodes.len() as u32).is_some() {
                return Err(self.error(format!("%{label} is defined twice")));
            }
            graph.nodes.push(node);
        }
        let named = |list: Vec<(String, Reference)>| -> Result<Vec<Named>> {
            let find = |(name, r)| Ok(Named { name, value: lookup(&r, &labels, &graph.nodes)? });
            list.into_iter().map(find).collect()
        };
        (graph.inputs, graph.outputs, graph.taps) = (named(inputs)?, named(outputs)?, named(taps)?);
        self.depth -= 1;
        Ok((graph, lines))
    }

    fn node(
        &mut self,
        scopes: &mut Vec<String>,
        labels: &HashMap<String, u32>,
        nodes: &[Node],
    ) -> Result<(String, Node)> {
        let (label, out, _) = self.reference()?;
        if out != 0 {
            return Err(self.error("`#` does not belong on the left of `=`"));
        }
        self.expect(":")?;
        let mut types = vec![];
        let mut several = None;
        if self.peek().is_some_and(|c| c.is_ascii_digit()) {
            let text = self.word();
            several =
                Some(text.parse::<usize>().map_err(|_| self.error(format!("`{text}` is not a count")))?);
        } else {
            types.push(self.ty()?);
        }
        self.expect("=")?;
        let name = self.word();
        let op = Op::from_name(name).ok_or_else(|| self.error(format!("unknown op `{name}`")))?;
        let mut inputs = vec![];
        // An op without operands is followed by the label of the next node.
        let line = self.line;
        while op != Op::Input && self.peek() == Some('%') && (!inputs.is_empty() || self.line == line) {
            inputs.push(lookup(&self.reference()?, labels, nodes)?);
            if !self.eat(",") {
                break;
            }
        }
        let attrs = self.attrs(op)?;
        if let Some(count) = several {
            if count > 0 {
                self.expect(":")?;
                types.push(self.ty()?);
                while self.eat(",") {
                    types.push(self.ty()?);
                }
            }
            if types.len() != count {
                return Err(
                    self.error(format!("{count} results are announced, {} types are given", types.len()))
                );
            }
        }
        let mut scope = 0;
        if self.eat("@") {
            let name = self.name()?;
            scope = scopes.iter().position(|s| *s == name).unwrap_or(scopes.len());
            if scope == scopes.len() {
                scopes.push(name);
            }
        }
        Ok((label, Node { op, attrs, inputs, types, scope: scope as u32, place: None }))
    }

    fn attrs(&mut self, op: Op) -> Result<Attrs> {
        let mut attrs = Attrs::new();
        if !self.eat("{") {
            return Ok(attrs);
        }
        while !self.eat("}") {
            let key = self.word();
            let Some(key) = op.attr_names().iter().find(|k| **k == key) else {
                let known = op.attr_names().join(", ");
                return Err(self.error(format!("{} has no attribute `{key}`; it has: {known}", op.name())));
            };
            if attrs.get(key).is_some() {
                return Err(self.error(format!("`{key}` is given twice")));
            }
            self.expect("=")?;
            attrs = attrs.with(key, self.attr()?);
            if !self.eat(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(attrs)
    }

    fn attr(&mut self) -> Result<Attr> {
        match self.peek() {
            Some('"') => return Ok(Attr::Str(self.string()?)),
            Some('[') => {
                self.skip(1);
                let text = self.until(']')?;
                return Ok(Attr::Ints(self.list(text, |t| t.parse().ok())?));
            }
            Some('<') => {
                self.skip(1);
                let text = self.until('>')?;
                return Ok(Attr::Dims(self.list(text, Dim::parse)?));
            }
            _ => {}
        }
        if self.rest.starts_with("graph") {
            return Ok(Attr::Graph(Arc::new(self.graph()?.0)));
        }
        let text = self.word();
        match text {
            "true" => return Ok(Attr::Bool(true)),
            "false" => return Ok(Attr::Bool(false)),
            "dense" => {
                self.expect("(")?;
                let text = self.until(')')?;
                return Ok(Attr::Floats(Arc::new(self.list(text, number)?)));
            }
            _ => {}
        }
        if let Some(dtype) = DType::from_name(text) {
            return Ok(Attr::DType(dtype));
        }
        let integer = text.parse().ok().map(Attr::Int);
        integer
            .or_else(|| number(text).map(Attr::Float))
            .ok_or_else(|| self.error(format!("`{text}` is not the value of an attribute")))
    }

    fn list<T>(&self, text: &str, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
        if text.trim().is_empty() {
            return Ok(vec![]);
        }
        text.split(',')
            .map(|t| {
                read(t.trim())
                    .ok_or_else(|| self.error(format!("`{}` does not belong in this list", t.trim())))
            })
            .collect()
    }
}

fn number(text: &str) -> Option<f64> {
    match text.strip_prefix("nan_") {
        Some(bits) => u64::from_str_radix(bits, 16).ok().map(f64::from_bits).filter(|x| x.is_nan()),
        None => text.parse().ok(),
    }
}

fn lookup((label, out, line): &Reference, labels: &HashMap<String, u32>, nodes: &[Node]) -> Result<Value> {
    let fail = |problem| GraphError::Syntax { line: *line, problem };
    let node = *labels.get(label).ok_or_else(|| fail(format!("%{label} is not defined before its use")))?;
    match nodes[node as usize].types.get(*out as usize) {
        Some(_) => Ok(Value { node, out: *out }),
        None => Err(fail(format!("%{label} has no result {out}"))),
    }
}
