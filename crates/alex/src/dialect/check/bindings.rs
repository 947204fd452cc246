//! An operation beside its row: variables are bound where they are first seen, and must mean the same wherever else they stand.
//!
//! This is what IRDL does with constraints that are shared; on tensors, sizes that are open agree with every size.

use std::collections::HashMap;

use super::super::attr::{Attr, Type};
use super::super::explain;
use super::super::module::{Func, Op, Value};
use super::super::signature::{Class, FLOATS, Pattern, Property, Slot, Term};
use super::super::table::{self, OpRow, Parameter};
use super::Found;

/// What a variable stands for, and where it was first seen.
#[derive(Clone, Debug)]
struct Bound {
    meaning: Meaning,
    origin: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Meaning {
    /// A parameter of one of our types.
    Attr(Attr),
    /// A size of a tensor.
    Size(Option<u64>),
    /// Leading sizes of a tensor.
    Sizes(Vec<Option<u64>>),
    /// A whole type.
    Whole(Type),
}

impl Meaning {
    fn show(&self) -> String {
        let size = |n: &Option<u64>| n.map_or("?".to_owned(), |n| n.to_string());
        match self {
            Meaning::Attr(attr) => explain::show(attr),
            Meaning::Size(n) => size(n),
            Meaning::Sizes(all) => format!("[{}]", all.iter().map(size).collect::<Vec<_>>().join(", ")),
            Meaning::Whole(ty) => ty.to_string(),
        }
    }

    /// The meaning that holds both, if they agree. What a tensor leaves open agrees with everything.
    fn join(&self, other: &Meaning) -> Option<Meaning> {
        match (self, other) {
            (Meaning::Size(a), Meaning::Size(b)) => join_size(*a, *b).map(Meaning::Size),
            (Meaning::Sizes(a), Meaning::Sizes(b)) => {
                let all = a.iter().zip(b).map(|(&a, &b)| join_size(a, b)).collect::<Option<Vec<_>>>()?;
                (a.len() == b.len()).then_some(Meaning::Sizes(all))
            }
            (Meaning::Attr(a), Meaning::Size(b)) | (Meaning::Size(b), Meaning::Attr(a)) => {
                agrees(a, *b).then(|| Meaning::Attr(a.clone()))
            }
            (Meaning::Attr(a), Meaning::Sizes(b)) | (Meaning::Sizes(b), Meaning::Attr(a)) => match a {
                Attr::Array(items) => {
                    let all = items.len() == b.len() && items.iter().zip(b).all(|(a, &b)| agrees(a, b));
                    all.then(|| Meaning::Attr(a.clone()))
                }
                _ => None,
            },
            (a, b) => (a == b).then(|| a.clone()),
        }
    }
}

fn join_size(a: Option<u64>, b: Option<u64>) -> Option<Option<u64>> {
    match (a, b) {
        (Some(a), Some(b)) => (a == b).then_some(Some(a)),
        (a, b) => Some(a.or(b)),
    }
}

/// A symbol, or what is open, agrees with every size.
fn agrees(attr: &Attr, size: Option<u64>) -> bool {
    match (attr, size) {
        (Attr::Int(n, _), Some(size)) => u64::try_from(*n) == Ok(size),
        _ => true,
    }
}

/// The operation matches its row.
pub(super) fn matches(row: &OpRow, op: &Op, function: &Func) -> Result<(), Found> {
    let mut bindings = Bindings { row, bound: HashMap::new() };
    let type_of = |value: &Value| &function.known(*value).ty;
    let operands: Vec<&Type> = op.operands.iter().map(type_of).collect();
    bindings.slots("operand", &row.signature.operands, &operands)?;
    bindings.close();
    let results: Vec<&Type> = op.results.iter().map(type_of).collect();
    bindings.slots("result", &row.signature.results, &results)?;
    for (name, property) in &row.signature.attributes {
        let attr = op.attributes.iter().find(|(own, _)| own == name).map(|(_, attr)| attr);
        bindings.property(name, property, attr)?;
    }
    Ok(())
}

struct Bindings<'a> {
    row: &'a OpRow,
    bound: HashMap<String, Bound>,
}

impl Bindings<'_> {
    fn slots(&mut self, role: &str, slots: &[Slot], types: &[&Type]) -> Result<(), Found> {
        let required = slots.iter().filter(|slot| !slot.optional).count();
        if types.len() < required || types.len() > slots.len() {
            return Err(explain::count(self.row, role, slots, required, types.len()));
        }
        let mut spare = types.len() - required;
        let mut types = types.iter();
        for slot in slots {
            if slot.optional {
                if spare == 0 {
                    continue;
                }
                spare -= 1;
            }
            if let Some(ty) = types.next() {
                self.slot(role, slot, ty)?;
            }
        }
        Ok(())
    }

    /// Leading sizes that no operand has are none: a sum of two numbers is a number.
    fn close(&mut self) {
        for slot in &self.row.signature.operands {
            for pattern in &slot.alternatives {
                if let Pattern::Tensor(Some(name), ..) = pattern {
                    let none =
                        Bound { meaning: Meaning::Sizes(Vec::new()), origin: "the operands".to_owned() };
                    self.bound.entry(name.clone()).or_insert(none);
                }
            }
        }
    }

    fn slot(&mut self, role: &str, slot: &Slot, ty: &Type) -> Result<(), Found> {
        let at = format!("{role} `{}`", slot.name);
        let chosen = slot.alternatives.iter().find(|pattern| self.suits(pattern, ty));
        match (chosen, ty) {
            (Some(Pattern::Fidelity(name, terms)), Type::Fidelity { parameters, .. }) => {
                let Some(row) = table::type_row(name, false) else { return Ok(()) };
                for ((term, attr), (parameter, kind)) in terms.iter().zip(parameters).zip(row.parameters) {
                    self.term(&at, &slot.name, term, attr, parameter, *kind)?;
                }
                Ok(())
            }
            (Some(Pattern::Tensor(lead, sizes, elem)), Type::Tensor { sizes: found, elem: found_elem }) => {
                let ahead = found.len() - sizes.len();
                if let Some(name) = lead {
                    let meaning = Meaning::Sizes(found[..ahead].to_vec());
                    self.unify(&at, &slot.name, name, meaning, "leading sizes", Parameter::Sizes)?;
                }
                for (k, (term, &size)) in sizes.iter().zip(&found[ahead..]).enumerate() {
                    if let Term::Var(name) = term {
                        let label = format!("axis-{} size", ahead + k);
                        self.unify(&at, &slot.name, name, Meaning::Size(size), &label, Parameter::Size)?;
                    }
                }
                let attr = Attr::Type((**found_elem).clone());
                self.term(&at, &slot.name, elem, &attr, "elem", Parameter::Elem)
            }
            (Some(Pattern::Whole(name)), ty) => self.whole(&at, &slot.name, name, ty),
            (Some(_), _) => Ok(()),
            (None, ty) => Err(explain::type_(&at, slot, ty)),
        }
    }

    /// Whether the pattern speaks of types of this form; what its parameters must be is seen later.
    fn suits(&self, pattern: &Pattern, ty: &Type) -> bool {
        match (pattern, ty) {
            (Pattern::Fidelity(name, _), Type::Fidelity { name: found, .. }) => name == found,
            (Pattern::Tensor(lead, sizes, _), Type::Tensor { sizes: found, .. }) => {
                found.len() == sizes.len() || lead.is_some() && found.len() > sizes.len()
            }
            (Pattern::Word(word), Type::Word(found)) => word == found,
            (Pattern::Whole(name), ty) => {
                self.class(name).is_some_and(|types| types.iter().any(|p| self.suits(p, ty)))
            }
            _ => false,
        }
    }

    fn class(&self, name: &str) -> Option<&[Pattern]> {
        self.row.signature.clauses.iter().find_map(|(own, class)| match class {
            Class::Types(types) if own == name => Some(types.as_slice()),
            _ => None,
        })
    }

    fn whole(&mut self, at: &str, slot: &str, name: &str, ty: &Type) -> Result<(), Found> {
        let Type::Fidelity { name: own, parameters } = ty else { return Ok(()) };
        let pattern = self.class(name).and_then(|types| types.iter().find(|p| self.suits(p, ty))).cloned();
        let (Some(Pattern::Fidelity(_, terms)), Some(row)) = (pattern, table::type_row(own, false)) else {
            return Ok(());
        };
        for ((term, attr), (parameter, kind)) in terms.iter().zip(parameters).zip(row.parameters) {
            self.term(at, slot, term, attr, parameter, *kind)?;
        }
        let Some(Bound { meaning: Meaning::Whole(first), origin }) = self.bound.get(name).cloned() else {
            let bound = Bound { meaning: Meaning::Whole(ty.clone()), origin: format!("`{slot}`") };
            self.bound.insert(name.to_owned(), bound);
            return Ok(());
        };
        if first == *ty {
            return Ok(());
        }
        match &first {
            Type::Fidelity { name: other, parameters: wanted } if other == own => {
                let differs =
                    row.parameters.iter().zip(wanted.iter().zip(parameters)).find(|(_, (a, b))| a != b);
                match differs {
                    Some(((parameter, kind), (a, b))) => Err(explain::mismatch(
                        at,
                        parameter,
                        *kind,
                        &explain::show(b),
                        &explain::show(a),
                        &origin,
                    )),
                    None => Ok(()),
                }
            }
            _ => Err((format!("{at} has type {ty}, expected {first} as {origin}"), String::new())),
        }
    }

    fn term(
        &mut self,
        at: &str,
        slot: &str,
        term: &Term,
        attr: &Attr,
        parameter: &str,
        kind: Parameter,
    ) -> Result<(), Found> {
        match term {
            Term::Any => Ok(()),
            Term::Is(wanted) if wanted == attr => Ok(()),
            Term::Is(wanted) => Err(explain::literal(self.row, at, parameter, kind, attr, wanted)),
            Term::Var(name) => self.unify(at, slot, name, Meaning::Attr(attr.clone()), parameter, kind),
        }
    }

    fn unify(
        &mut self,
        at: &str,
        slot: &str,
        name: &str,
        meaning: Meaning,
        parameter: &str,
        kind: Parameter,
    ) -> Result<(), Found> {
        let is_float =
            self.row.signature.clauses.iter().any(|(own, class)| own == name && *class == Class::Float);
        if let (true, Meaning::Attr(attr)) = (is_float, &meaning) {
            let fits = matches!(attr, Attr::Type(Type::Word(word)) if FLOATS.contains(&word.as_str()));
            if !fits {
                return Err(explain::float(at, attr));
            }
        }
        let Some(first) = self.bound.get(name) else {
            let origin = format!("the {} of `{slot}`", explain::label(parameter, kind));
            self.bound.insert(name.to_owned(), Bound { meaning, origin });
            return Ok(());
        };
        match first.meaning.join(&meaning) {
            Some(meaning) => {
                let origin = first.origin.clone();
                self.bound.insert(name.to_owned(), Bound { meaning, origin });
                Ok(())
            }
            None => Err(explain::mismatch(
                at,
                parameter,
                kind,
                &meaning.show(),
                &first.meaning.show(),
                &first.origin,
            )),
        }
    }

    fn property(&mut self, name: &str, property: &Property, attr: Option<&Attr>) -> Result<(), Found> {
        let Some(attr) = attr else { return Err(explain::missing(name, property)) };
        let fits = match (property, attr) {
            (Property::Float, Attr::Float(..)) => true,
            (Property::Integer, Attr::Int(..) | Attr::Bool(_)) => true,
            (Property::Text, Attr::Str(_)) => true,
            (Property::OneOf(words), Attr::Str(text)) => words.contains(text),
            (Property::Fidelity(wanted, terms), Attr::Fidelity { name: own, parameters })
                if wanted == own =>
            {
                let Some(row) = table::type_row(own, true) else { return Ok(()) };
                for ((term, attr), (parameter, kind)) in terms.iter().zip(parameters).zip(row.parameters) {
                    self.term(&format!("attribute `{name}`"), name, term, attr, parameter, *kind)?;
                }
                true
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(explain::property(name, property, attr)) }
    }
}
