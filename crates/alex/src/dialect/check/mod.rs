//! The check of a module: the verdict of MLIR's verifier on the dialect's own types, with messages that say which operand,
//! which axis or unit, what was expected and where that comes from, and what to do. On builtin tensors it sees more than
//! MLIR can: their sizes.

mod bindings;

use std::fmt;

use super::attr::{Attr, Type};
use super::explain;
use super::irdl::ELEMENTS;
use super::module::{Func, Module, Op, Place, Value};
use super::table::{self, Parameter};
use bindings::matches;

/// What is wrong with a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The function.
    pub function: String,
    /// The operation, or the place in the function's type.
    pub op: String,
    /// Where it was read.
    pub place: Place,
    /// What was expected and what was found.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.line > 0 {
            write!(f, "line {}, column {}: ", self.place.line, self.place.column)?;
        }
        write!(f, "@{}: {}: {}", self.function, self.op, self.problem)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

/// Why a text or module was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialectError {
    /// The text is no module.
    #[error(transparent)]
    Parse(#[from] super::parse::ParseError),
    /// The module breaks rules of the dialect; never empty.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Check(Vec<Problem>),
}

impl Module {
    /// Checks every type, operation and return.
    ///
    /// # Errors
    /// All problems, in the module's order.
    pub fn check(&self) -> Result<(), DialectError> {
        let mut problems = Vec::new();
        for function in &self.functions {
            let mut check = Check { module: self, function, problems: &mut problems };
            check.function();
        }
        if problems.is_empty() { Ok(()) } else { Err(DialectError::Check(problems)) }
    }
}

/// Whether an operation is what its row says.
pub(super) fn fits(row: &table::OpRow, op: &Op, function: &Func) -> bool {
    matches(row, op, function).is_ok()
}

/// Reads a text and checks it.
///
/// # Errors
/// The first place where the text is no module, or all problems of the module.
pub fn verify(text: &str) -> Result<Module, DialectError> {
    let module = Module::parse(text)?;
    module.check()?;
    Ok(module)
}

/// The dialects of MLIR whose operations may stand beside ours; MLIR checks them.
const STOCK: [&str; 10] =
    ["arith", "bufferization", "func", "linalg", "math", "memref", "scf", "tensor", "vector", "builtin"];

struct Check<'a> {
    module: &'a Module,
    function: &'a Func,
    problems: &'a mut Vec<Problem>,
}

impl Check<'_> {
    fn report(&mut self, op: &str, place: Place, (problem, remedy): (String, String)) {
        let function = self.function.name.clone();
        self.problems.push(Problem { function, op: op.to_owned(), place, problem, remedy });
    }

    fn function(&mut self) {
        let function = self.function;
        for &value in &function.arguments {
            let known = function.known(value);
            if let Err(found) = sound_type(&known.ty) {
                self.report(&format!("argument %{}", known.name), function.place, found);
            }
        }
        for ty in &function.results {
            if let Err(found) = sound_type(ty) {
                self.report("result", function.place, found);
            }
        }
        for op in &function.ops {
            self.op(op);
        }
        if let Some(returned) = &function.returned {
            let types: Vec<&Type> = returned.iter().map(|&v| &function.known(v).ty).collect();
            if types != function.results.iter().collect::<Vec<_>>() {
                let list =
                    |types: &[&Type]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let wanted = list(&function.results.iter().collect::<Vec<_>>());
                let problem =
                    format!("returns ({}), the function is declared to return ({wanted})", list(&types));
                self.report("return", function.place, (problem, String::new()));
            }
        }
    }

    fn op(&mut self, op: &Op) {
        let before = self.problems.len();
        for &value in &op.results {
            if let Err(found) = sound_type(&self.function.known(value).ty) {
                self.report(&op.name, op.place, found);
            }
        }
        for (_, attr) in &op.attributes {
            if let Err(found) = sound_attr(attr) {
                self.report(&op.name, op.place, found);
            }
        }
        if self.problems.len() > before {
            return;
        }
        if let Some(name) = op.name.strip_prefix("fidelity.") {
            let verdict = match table::op(name) {
                Some(row) => matches(row, op, self.function),
                None => Err(explain::unknown_op(name)),
            };
            if let Err(found) = verdict {
                self.report(&op.name, op.place, found);
            }
            return;
        }
        let dialect = op.name.split('.').next().unwrap_or_default();
        if op.name == "func.call" {
            self.call(op);
        } else if !STOCK.contains(&dialect) || !op.name.contains('.') {
            let problem = format!("`{}` belongs to no dialect that is known here", op.name);
            let remedy = format!("use operations of `fidelity` or of {}", STOCK.join(", "));
            self.report(&op.name, op.place, (problem, remedy));
        }
    }

    fn call(&mut self, op: &Op) {
        let callee = op.attributes.iter().find(|(name, _)| name == "callee").map(|(_, attr)| attr);
        let Some(Attr::Symbol(name)) = callee else {
            return self.report(
                &op.name,
                op.place,
                ("has no attribute `callee`".to_owned(), "write {callee = @name}".to_owned()),
            );
        };
        let Some(target) = self.module.function(name) else {
            return self.report(&op.name, op.place, (format!("there is no function @{name}"), String::new()));
        };
        let types = |func: &Func, values: &[Value]| -> Vec<Type> {
            values.iter().map(|&v| func.known(v).ty.clone()).collect()
        };
        let fits = types(self.function, &op.operands) == types(target, &target.arguments)
            && types(self.function, &op.results) == target.results;
        if !fits {
            self.report(
                &op.name,
                op.place,
                (format!("operands or results are not those of @{name}"), String::new()),
            );
        }
    }
}

type Found = (String, String);

/// A type's parameters are what its row says.
fn sound_type(ty: &Type) -> Result<(), Found> {
    match ty {
        Type::Fidelity { name, parameters } => sound_parameters(name, parameters, false),
        Type::Tensor { elem, .. } => match &**elem {
            Type::Word(word) if word != "none" => Ok(()),
            other => {
                Err((format!("a tensor has elements of type {other}"), "use a number's type".to_owned()))
            }
        },
        Type::Word(_) | Type::Other(_) => Ok(()),
    }
}

fn sound_attr(attr: &Attr) -> Result<(), Found> {
    match attr {
        Attr::Type(ty) => sound_type(ty),
        Attr::Array(items) => items.iter().try_for_each(sound_attr),
        Attr::Dict(entries) => entries.iter().try_for_each(|(_, attr)| sound_attr(attr)),
        Attr::Fidelity { name, parameters } => sound_parameters(name, parameters, true),
        _ => Ok(()),
    }
}

fn sound_parameters(name: &str, parameters: &[Attr], attribute: bool) -> Result<(), Found> {
    let Some(row) = table::type_row(name, attribute) else {
        return Err(explain::unknown_type(name, attribute));
    };
    if row.parameters.len() != parameters.len() {
        let names: Vec<&str> = row.parameters.iter().map(|(name, _)| *name).collect();
        let problem = format!("`{name}` has {} parameters, found {}", names.len(), parameters.len());
        return Err((problem, format!("they are <{}>", names.join(", "))));
    }
    for ((parameter, kind), attr) in row.parameters.iter().zip(parameters) {
        sound_attr(attr)?;
        let fits = match kind {
            Parameter::Sizes => matches!(attr, Attr::Array(_)),
            Parameter::Size => matches!(attr, Attr::Int(..) | Attr::Bool(_) | Attr::Str(_)),
            Parameter::Elem => {
                matches!(attr, Attr::Type(Type::Word(word)) if ELEMENTS.contains(&word.as_str()))
            }
            Parameter::Axis | Parameter::Unit | Parameter::Text => matches!(attr, Attr::Str(_)),
            Parameter::Layout => {
                matches!(attr, Attr::Str(text) if axes::TritLayout::ALL.iter().any(|layout| layout.name() == text))
            }
        };
        if !fits {
            return Err(explain::parameter(name, parameter, *kind, attr));
        }
    }
    Ok(())
}
