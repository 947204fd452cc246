//! The dialect in IRDL, MLIR's own language for dialects, written from the table.
//!
//! A constraint of IRDL is a value, and a value that stands twice must be matched by one thing twice: that is how MLIR's
//! verifier checks sizes, axes and units. What it cannot do shapes the dialect: it sees no sizes inside builtin tensors, has
//! no arithmetic (so a product of units is declared, not computed), allows no dots in names, and reads every listed attribute
//! as required. Builtin alternatives get a constraint of their own at each place, since a shared one would mean equal types.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::signature::{Class, FLOATS, Pattern, Property, Signature, Slot, Term};
use super::table::{self, Parameter, TypeRow};

/// The dialect as the crate ships it, for `mlir-opt --irdl-file`.
pub const TEXT: &str = include_str!("fidelity.irdl.mlir");

/// The element types of the dialect.
pub const ELEMENTS: [&str; 11] =
    ["f16", "bf16", "f32", "f64", "f80", "f128", "i8", "i16", "i32", "i64", "i1"];

/// The same text, written from the table. A test compares it with [`TEXT`].
pub fn generate() -> String {
    let mut out = String::from(
        "// The `fidelity` dialect in IRDL, written from the table in `dialect/table`: do not edit. To use it:\n\
         //   mlir-opt-22 --irdl-file=fidelity.irdl.mlir FILE.mlir\n\
         // Names of operations have underscores where they are spoken of with dots: `ssm.state_update` is\n\
         // `fidelity.ssm_state_update`, since IRDL allows no dots.\n\
         irdl.dialect @fidelity {\n",
    );
    for row in table::TYPES {
        type_text(&mut out, row);
    }
    for row in table::ops() {
        let _ = writeln!(out, "  // {}", row.text);
        op_text(&mut out, &row.signature, &row.symbol());
    }
    out.push_str("}\n");
    out
}

fn type_text(out: &mut String, row: &TypeRow) {
    let _ = writeln!(out, "  // {}", row.doc);
    let _ = writeln!(out, "  irdl.{} @{} {{", if row.attribute { "attribute" } else { "type" }, row.name);
    let mut body = Body::default();
    let mut list = Vec::new();
    for (name, parameter) in row.parameters {
        let value = match parameter {
            Parameter::Sizes => body.line("irdl.base \"#builtin.array\""),
            Parameter::Size => {
                let number = body.line("irdl.base \"#builtin.integer\"");
                let symbol = body.line("irdl.base \"#builtin.string\"");
                body.line(&format!("irdl.any_of({number}, {symbol})"))
            }
            Parameter::Elem => body.any_of(&ELEMENTS.map(str::to_owned)),
            Parameter::Axis | Parameter::Unit | Parameter::Text => body.line("irdl.base \"#builtin.string\""),
            Parameter::Layout => body.any_of(&axes::TritLayout::ALL.map(|layout| format!("\"{layout}\""))),
        };
        list.push(format!("{name}: {value}"));
    }
    out.push_str(&body.text);
    let _ = writeln!(out, "    irdl.parameters({})\n  }}", list.join(", "));
}

fn op_text(out: &mut String, signature: &Signature, symbol: &str) {
    let mut body = Body::default();
    for (name, class) in &signature.clauses {
        match class {
            Class::Float => {
                let value = body.any_of(&FLOATS.map(str::to_owned));
                body.variables.insert(name.clone());
                body.rename(&value, name);
            }
            Class::Types(types) => {
                let all: Vec<String> = types.iter().map(|pattern| body.pattern(pattern)).collect();
                let value = if all.len() == 1 {
                    all[0].clone()
                } else {
                    body.line(&format!("irdl.any_of({})", all.join(", ")))
                };
                body.variables.insert(name.clone());
                body.rename(&value, name);
            }
        }
    }
    let operands = body.slots(&signature.operands);
    let results = body.slots(&signature.results);
    let mut attributes = Vec::new();
    for (name, property) in &signature.attributes {
        let value = match property {
            Property::Float => body.line("irdl.base \"#builtin.float\""),
            Property::Integer => body.line("irdl.base \"#builtin.integer\""),
            Property::Text => body.line("irdl.base \"#builtin.string\""),
            Property::OneOf(words) => {
                body.any_of(&words.iter().map(|word| super::attr::quoted(word)).collect::<Vec<_>>())
            }
            Property::Fidelity(name, terms) => body.parametric(name, terms),
        };
        attributes.push(format!("\"{name}\" = {value}"));
    }
    let _ = writeln!(out, "  irdl.operation @{symbol} {{");
    out.push_str(&body.text);
    if !operands.is_empty() {
        let _ = writeln!(out, "    irdl.operands({operands})");
    }
    if !attributes.is_empty() {
        let _ = writeln!(out, "    irdl.attributes {{ {} }}", attributes.join(", "));
    }
    if !results.is_empty() {
        let _ = writeln!(out, "    irdl.results({results})");
    }
    out.push_str("  }\n");
}

/// The constraints of one definition.
#[derive(Default)]
struct Body {
    text: String,
    count: usize,
    variables: HashSet<String>,
}

impl Body {
    fn line(&mut self, constraint: &str) -> String {
        let name = format!("%{}", self.count);
        self.count += 1;
        let _ = writeln!(self.text, "    {name} = {constraint}");
        name
    }

    /// Gives the last line's value a variable's name.
    fn rename(&mut self, value: &str, name: &str) {
        self.count -= 1;
        if let Some(at) = self.text.rfind(&format!("    {value} = ")) {
            self.text.replace_range(at..at + 4 + value.len(), &format!("    %{name}"));
        }
    }

    fn any_of(&mut self, words: &[String]) -> String {
        let all: Vec<String> = words.iter().map(|word| self.line(&format!("irdl.is {word}"))).collect();
        if all.len() == 1 { all[0].clone() } else { self.line(&format!("irdl.any_of({})", all.join(", "))) }
    }

    fn term(&mut self, term: &Term) -> String {
        match term {
            Term::Any => self.line("irdl.any"),
            Term::Is(attr) => self.line(&format!("irdl.is {attr}")),
            Term::Var(name) => {
                if self.variables.insert(name.clone()) {
                    let _ = writeln!(self.text, "    %{name} = irdl.any");
                }
                format!("%{name}")
            }
        }
    }

    fn parametric(&mut self, name: &str, terms: &[Term]) -> String {
        let terms: Vec<String> = terms.iter().map(|term| self.term(term)).collect();
        self.line(&format!("irdl.parametric @fidelity::@{name}<{}>", terms.join(", ")))
    }

    fn pattern(&mut self, pattern: &Pattern) -> String {
        match pattern {
            Pattern::Fidelity(name, terms) => self.parametric(name, terms),
            Pattern::Tensor(..) => self.line("irdl.base \"!builtin.tensor\""),
            Pattern::Word(word) => self.line(&format!("irdl.is {word}")),
            Pattern::Whole(name) => format!("%{name}"),
        }
    }

    fn slots(&mut self, slots: &[Slot]) -> String {
        let mut list = Vec::new();
        for slot in slots {
            let mut tensor = false;
            let mut all = Vec::new();
            for pattern in &slot.alternatives {
                // One base for all tensors: they differ only in what IRDL cannot see.
                if matches!(pattern, Pattern::Tensor(..)) && std::mem::replace(&mut tensor, true) {
                    continue;
                }
                all.push(self.pattern(pattern));
            }
            let value = if all.len() == 1 {
                all[0].clone()
            } else {
                self.line(&format!("irdl.any_of({})", all.join(", ")))
            };
            list.push(format!("{}: {}{value}", slot.name, if slot.optional { "optional " } else { "" }));
        }
        list.join(", ")
    }
}
