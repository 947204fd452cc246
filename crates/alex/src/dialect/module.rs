//! Modules in the dialect: functions of flat operations, in memory.
//!
//! The printed form is MLIR's generic one, since operations that are defined in IRDL have no other.

use std::collections::HashSet;
use std::fmt;

use super::attr::{Attr, Type, bare, dictionary};

/// A value of a function: an argument or the result of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Value(pub(crate) u32);

/// What is known of a value.
#[derive(Clone, PartialEq, Debug)]
pub struct Known {
    /// The name, without the `%`.
    pub name: String,
    /// The type.
    pub ty: Type,
}

/// A line and column of a text, counted from one; zero where an operation was not read from a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// An operation: a name, operands, results and attributes.
#[derive(Clone, Debug)]
pub struct Op {
    /// The name with its dialect, such as `fidelity.ternary_linear`.
    pub name: String,
    /// The operands.
    pub operands: Vec<Value>,
    /// The results.
    pub results: Vec<Value>,
    /// Named attributes.
    pub attributes: Vec<(String, Attr)>,
    /// Where it was read.
    pub place: Place,
}

impl PartialEq for Op {
    /// Equal but for their places.
    fn eq(&self, other: &Op) -> bool {
        (&self.name, &self.operands, &self.results, &self.attributes)
            == (&other.name, &other.operands, &other.results, &other.attributes)
    }
}

/// A function: arguments, operations one after the other, and what it returns.
#[derive(Clone, Debug, Default)]
pub struct Func {
    /// The name.
    pub name: String,
    /// Seen only inside the module.
    pub private: bool,
    /// The arguments.
    pub arguments: Vec<Value>,
    /// Attributes of the arguments, as far as any has some.
    pub argument_attributes: Vec<Vec<(String, Attr)>>,
    /// The types of what it returns.
    pub results: Vec<Type>,
    /// Attributes of what it returns, as far as any has some.
    pub result_attributes: Vec<Vec<(String, Attr)>>,
    /// The operations, in order; none for a function that is defined elsewhere.
    pub ops: Vec<Op>,
    /// What the last operation returns; `None` for a function that is defined elsewhere.
    pub returned: Option<Vec<Value>>,
    /// Every value.
    pub values: Vec<Known>,
    /// Where it was read.
    pub place: Place,
    /// The names of the values, as far as they were needed.
    pub(crate) names: HashSet<String>,
}

/// Attributes without trailing parts that have none.
fn trimmed(all: &[Vec<(String, Attr)>]) -> &[Vec<(String, Attr)>] {
    &all[..all.iter().rposition(|own| !own.is_empty()).map_or(0, |k| k + 1)]
}

impl PartialEq for Func {
    /// Equal but for their places.
    fn eq(&self, other: &Func) -> bool {
        let notes =
            |f: &Func| (trimmed(&f.argument_attributes).to_vec(), trimmed(&f.result_attributes).to_vec());
        notes(self) == notes(other)
            && (
                self.private,
                &self.name,
                &self.arguments,
                &self.results,
                &self.ops,
                &self.returned,
                &self.values,
            ) == (
                other.private,
                &other.name,
                &other.arguments,
                &other.results,
                &other.ops,
                &other.returned,
                &other.values,
            )
    }
}

/// A module: functions.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Module {
    /// The functions.
    pub functions: Vec<Func>,
}

impl Module {
    /// An empty module.
    pub fn new() -> Module {
        Module::default()
    }

    /// The function of that name.
    pub fn function(&self, name: &str) -> Option<&Func> {
        self.functions.iter().find(|f| f.name == name)
    }
}

impl Func {
    /// A function without arguments that returns nothing yet.
    pub fn new(name: &str) -> Func {
        Func { name: name.to_owned(), returned: Some(Vec::new()), ..Func::default() }
    }

    /// Adds an argument.
    pub fn argument(&mut self, name: &str, ty: Type) -> Value {
        let value = self.value(name, ty);
        self.arguments.push(value);
        value
    }

    /// Appends an operation of the dialect; `results` are the names and types of what it gives.
    pub fn push(
        &mut self,
        name: &str,
        operands: &[Value],
        attributes: Vec<(String, Attr)>,
        results: Vec<(String, Type)>,
    ) -> Vec<Value> {
        let results: Vec<Value> = results.into_iter().map(|(name, ty)| self.value(&name, ty)).collect();
        self.ops.push(Op {
            name: format!("fidelity.{}", name.replace('.', "_")),
            operands: operands.to_vec(),
            results: results.clone(),
            attributes,
            place: Place::default(),
        });
        results
    }

    /// Says what the function returns.
    pub fn finish(&mut self, returned: &[Value]) {
        self.results = returned.iter().map(|&v| self.known(v).ty.clone()).collect();
        self.returned = Some(returned.to_vec());
    }

    /// The name and type of a value.
    pub fn known(&self, value: Value) -> &Known {
        &self.values[value.0 as usize]
    }

    /// Takes back the values from that number on, which nothing uses.
    pub(crate) fn forget(&mut self, from: usize) {
        for known in self.values.drain(from.min(self.values.len())..) {
            self.names.remove(&known.name);
        }
    }

    /// A new value; a name that is taken gets a number.
    pub(crate) fn value(&mut self, name: &str, ty: Type) -> Value {
        if self.names.len() != self.values.len() {
            self.names = self.values.iter().map(|known| known.name.clone()).collect();
        }
        let mut unique = if name.is_empty() { self.values.len().to_string() } else { name.to_owned() };
        let mut k = 1;
        while !self.names.insert(unique.clone()) {
            unique = format!("{name}_{k}");
            k += 1;
        }
        self.values.push(Known { name: unique, ty });
        Value(self.values.len() as u32 - 1)
    }

    fn names(&self, values: &[Value]) -> String {
        values.iter().map(|&v| format!("%{}", self.known(v).name)).collect::<Vec<_>>().join(", ")
    }

    fn types(&self, values: &[Value]) -> String {
        values.iter().map(|&v| self.known(v).ty.to_string()).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.functions.iter().try_for_each(|function| write!(f, "{function}"))
    }
}

impl fmt::Display for Func {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let private = if self.private { "private " } else { "" };
        let noted = |text: String, all: &[Vec<(String, Attr)>], k: usize| match all.get(k) {
            Some(own) if !own.is_empty() => {
                let mut noted = format!("{text} {{");
                dictionary(&mut noted, own).map(|()| noted + "}")
            }
            _ => Ok(text),
        };
        let arguments: Vec<String> = self
            .arguments
            .iter()
            .enumerate()
            .map(|(k, &v)| {
                let Known { name, ty } = self.known(v);
                let text = if self.returned.is_some() { format!("%{name}: {ty}") } else { ty.to_string() };
                noted(text, &self.argument_attributes, k)
            })
            .collect::<Result<_, _>>()?;
        write!(f, "func.func {private}@{}({})", bare(&self.name), arguments.join(", "))?;
        if !self.results.is_empty() {
            let results = self.results.iter().enumerate();
            let results = results.map(|(k, ty)| noted(ty.to_string(), &self.result_attributes, k));
            let results: Vec<String> = results.collect::<Result<_, _>>()?;
            write!(f, " -> ({})", results.join(", "))?;
        }
        let Some(returned) = &self.returned else { return writeln!(f) };
        writeln!(f, " {{")?;
        for op in &self.ops {
            f.write_str("  ")?;
            if !op.results.is_empty() {
                write!(f, "{} = ", self.names(&op.results))?;
            }
            write!(f, "\"{}\"({})", op.name, self.names(&op.operands))?;
            if !op.attributes.is_empty() {
                f.write_str(" {")?;
                dictionary(f, &op.attributes)?;
                f.write_str("}")?;
            }
            writeln!(f, " : ({}) -> ({})", self.types(&op.operands), self.types(&op.results))?;
        }
        if returned.is_empty() {
            writeln!(f, "  return\n}}")
        } else {
            writeln!(f, "  return {} : {}\n}}", self.names(returned), self.types(returned))
        }
    }
}
