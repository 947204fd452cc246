//! The words of the check's messages: what was expected, what was found, what to do.

use super::attr::{Attr, Type};
use super::signature::{FLOATS, Pattern, Property, Slot, Term};
use super::table::{self, OpRow, Parameter, TYPES};

type Found = (String, String);

/// An attribute as people read it: sizes without `: index`.
pub(super) fn show(attr: &Attr) -> String {
    match attr {
        Attr::Int(n, Type::Word(word)) if word == "index" => n.to_string(),
        Attr::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// A parameter as people speak of it.
pub(super) fn label(parameter: &str, kind: Parameter) -> String {
    match kind {
        Parameter::Axis if parameter == "axis" => "axis".to_owned(),
        Parameter::Axis => format!("axis `{parameter}`"),
        Parameter::Unit if parameter == "unit" => "unit".to_owned(),
        Parameter::Unit => format!("unit `{parameter}`"),
        Parameter::Elem => "element type".to_owned(),
        Parameter::Sizes => "leading sizes".to_owned(),
        Parameter::Size if parameter.contains(' ') => parameter.to_owned(),
        Parameter::Size => format!("size `{parameter}`"),
        Parameter::Layout => "layout".to_owned(),
        Parameter::Text => format!("`{parameter}`"),
    }
}

/// Two places that must agree do not.
pub(super) fn mismatch(
    at: &str,
    parameter: &str,
    kind: Parameter,
    found: &str,
    wanted: &str,
    origin: &str,
) -> Found {
    let problem = format!("{at} has {} {found}, expected {wanted} as {origin}", label(parameter, kind));
    let remedy = match kind {
        Parameter::Axis => "are two operands swapped? `fidelity.rename_axis` says that two axes are one",
        Parameter::Unit => {
            "`fidelity.scale` turns one unit into another, `fidelity.multiply_units` declares a product"
        }
        Parameter::Elem => "`fidelity.convert` changes the element type",
        Parameter::Sizes => "operands of one operation have the same leading sizes",
        Parameter::Size => "compare the shapes of the parameters with the model's configuration",
        Parameter::Layout => "`fidelity.repack` changes the layout",
        Parameter::Text => "",
    };
    (problem, remedy.to_owned())
}

/// A parameter that the operation fixes is something else.
pub(super) fn literal(
    row: &OpRow,
    at: &str,
    parameter: &str,
    kind: Parameter,
    found: &Attr,
    wanted: &Attr,
) -> Found {
    let (found, name) = (show(found), row.name());
    match kind {
        Parameter::Unit => (
            format!("{at} has {} {found}, `{name}` takes a pure number there", label(parameter, kind)),
            "divide by a number of that unit first (`fidelity.divide_units`), or scale it away (`fidelity.scale`)".to_owned(),
        ),
        Parameter::Sizes => (
            format!("{at} has leading sizes {found}, `{name}` takes a single vector there"),
            "a parameter is the same for all positions: its leading sizes are []".to_owned(),
        ),
        _ => (format!("{at} has {} {found}, `{name}` takes {}", label(parameter, kind), show(wanted)), String::new()),
    }
}

/// An operand of a form that the operation does not take.
pub(super) fn type_(at: &str, slot: &Slot, ty: &Type) -> Found {
    let forms: Vec<String> = slot.alternatives.iter().map(form).collect();
    (format!("{at} has type {ty}, expected {}", forms.join(" or ")), String::new())
}

fn term(term: &Term) -> String {
    match term {
        Term::Var(name) => name.clone(),
        Term::Is(attr) => show(attr),
        Term::Any => "_".to_owned(),
    }
}

fn form(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Fidelity(name, terms) => {
            format!("!fidelity.{name}<{}>", terms.iter().map(term).collect::<Vec<_>>().join(", "))
        }
        Pattern::Tensor(lead, sizes, elem) => {
            let mut parts: Vec<String> = lead.iter().map(|name| format!("{name}..")).collect();
            parts.extend(sizes.iter().map(term));
            parts.push(term(elem));
            format!("tensor<{}>", parts.join(" x "))
        }
        Pattern::Word(word) => word.clone(),
        Pattern::Whole(_) => "one of the dialect's types that the operation takes".to_owned(),
    }
}

/// An element type that is no float.
pub(super) fn float(at: &str, found: &Attr) -> Found {
    let problem = format!("{at} has element type {}, expected one of {}", show(found), FLOATS.join(", "));
    (
        problem,
        "`fidelity.convert` changes the element type, `fidelity.dequantize` undoes a quantisation".to_owned(),
    )
}

/// A wrong number of operands or results.
pub(super) fn count(row: &OpRow, role: &str, slots: &[Slot], required: usize, found: usize) -> Found {
    let names: Vec<String> = slots
        .iter()
        .map(|slot| format!("{}{}", if slot.optional { "optional " } else { "" }, slot.name))
        .collect();
    let wanted =
        if required == slots.len() { required.to_string() } else { format!("{required} to {}", slots.len()) };
    (
        format!("`{}` has {wanted} {role}s, found {found}", row.name()),
        format!("they are ({})", names.join(", ")),
    )
}

/// An attribute is not there.
pub(super) fn missing(name: &str, property: &Property) -> Found {
    (format!("attribute `{name}` is missing"), format!("add {{{name} = {}}}", sample(property)))
}

/// An attribute of another kind.
pub(super) fn property(name: &str, property: &Property, found: &Attr) -> Found {
    (format!("attribute `{name}` is {}", show(found)), format!("write {{{name} = {}}}", sample(property)))
}

fn sample(property: &Property) -> String {
    match property {
        Property::Float => "1.0e-6 : f32".to_owned(),
        Property::Integer => "8 : index".to_owned(),
        Property::Text => "\"text\"".to_owned(),
        Property::OneOf(words) => {
            words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ")
        }
        Property::Fidelity(name, terms) => {
            let names: Vec<String> = table::type_row(name, true)
                .iter()
                .flat_map(|row| row.parameters)
                .map(|(name, _)| (*name).to_owned())
                .collect();
            let names = if names.is_empty() { terms.iter().map(term).collect() } else { names };
            format!("#fidelity.{name}<\"{}\">", names.join("\", \""))
        }
    }
}

/// A parameter of another kind than its type's row says.
pub(super) fn parameter(name: &str, parameter: &str, kind: Parameter, found: &Attr) -> Found {
    let wanted = match kind {
        Parameter::Sizes => "an array of sizes, such as [8 : index, \"T\"], or []".to_owned(),
        Parameter::Size => "a size, such as 256 : index, or a symbol, such as \"T\"".to_owned(),
        Parameter::Elem => format!("one of {}", super::irdl::ELEMENTS.join(", ")),
        Parameter::Axis => "the name of an axis, such as \"Hidden\"".to_owned(),
        Parameter::Unit => "a unit, such as \"m/s\", or \"\" for a pure number".to_owned(),
        Parameter::Layout => axes::TritLayout::ALL.map(|layout| format!("\"{layout}\"")).join(" or "),
        Parameter::Text => "a string".to_owned(),
    };
    (format!("parameter `{parameter}` of `{name}` is {}", show(found)), format!("expected {wanted}"))
}

/// An operation that is not in the table.
pub(super) fn unknown_op(name: &str) -> Found {
    let names: Vec<String> = table::ops().iter().map(OpRow::symbol).collect();
    (format!("there is no operation `{name}` in the dialect"), near(name, names.iter().map(String::as_str)))
}

/// A type that is not in the table.
pub(super) fn unknown_type(name: &str, attribute: bool) -> Found {
    let what = if attribute { "attribute" } else { "type" };
    let names = TYPES.iter().filter(|row| row.attribute == attribute).map(|row| row.name);
    (format!("there is no {what} `{name}` in the dialect"), near(name, names))
}

fn near<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> String {
    let best = names.map(|known| (distance(name, known), known)).min();
    match best {
        Some((d, known)) if d <= 2 + name.len() / 4 => format!("did you mean `{known}`?"),
        _ => "the operations and types are listed in the table of `alex::dialect`".to_owned(),
    }
}

/// The least number of bytes inserted, removed or replaced (Levenshtein), of names cut to 64 bytes.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (&a.as_bytes()[..a.len().min(64)], &b.as_bytes()[..b.len().min(64)]);
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (corner + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}
