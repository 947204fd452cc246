//! The table of the dialect: one row per type, attribute and operation.
//!
//! A row is the only place where an operation is defined: its line is read by [`signature`](super::signature), and from that
//! come the text in IRDL that MLIR's verifier reads, our own check, and the reference. To add an operation, add a row to a
//! family's file, and a text file with an accepted and a rejected case under `tests/dialect`.

mod elementwise;
mod linear;
mod model;
mod norm;
mod recurrent;

use std::collections::HashMap;
use std::sync::OnceLock;

use super::signature::{Signature, read};

/// What a parameter of a type may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parameter {
    /// The sizes of the leading axes: an array.
    Sizes,
    /// A size: a number, or a symbol as a string.
    Size,
    /// An element type.
    Elem,
    /// The name of an axis: a string.
    Axis,
    /// A unit of measure: a string, empty for a pure number.
    Unit,
    /// How trits lie: one of `axes::TritLayout`'s names.
    Layout,
    /// Any string.
    Text,
}

/// A type or attribute of the dialect.
#[derive(Clone, Copy, Debug)]
pub struct TypeRow {
    /// The name, after `!fidelity.`, or `#fidelity.` where it is an attribute.
    pub name: &'static str,
    /// What its values are.
    pub doc: &'static str,
    /// The parameters, in order.
    pub parameters: &'static [(&'static str, Parameter)],
    /// Whether this is an attribute.
    pub attribute: bool,
}

use Parameter::{Axis, Elem, Layout, Size, Sizes, Text, Unit};

const fn ty(
    name: &'static str,
    parameters: &'static [(&'static str, Parameter)],
    doc: &'static str,
) -> TypeRow {
    TypeRow { name, doc, parameters, attribute: false }
}

/// The types and attributes.
pub const TYPES: &[TypeRow] = &[
    ty(
        "vector",
        &[("lead", Sizes), ("len", Size), ("elem", Elem), ("axis", Axis), ("unit", Unit)],
        "Numbers along a named axis: one such vector for each position of the leading axes, `[]` for a single one. Parameters \
         of a model, and activations.",
    ),
    ty(
        "quantized",
        &[("lead", Sizes), ("len", Size), ("axis", Axis), ("unit", Unit)],
        "Activations as int8 with one scale for each position of the leading axes: `x = q / s`, in the unit of what was \
         quantised.",
    ),
    ty(
        "ternary",
        &[
            ("out_len", Size),
            ("in_len", Size),
            ("out", Axis),
            ("in", Axis),
            ("layout", Layout),
            ("from", Unit),
            ("to", Unit),
        ],
        "A matrix of −1, 0, +1 with its scale, output-major, which turns vectors over axis `in` in unit `from` into vectors over \
         axis `out` in unit `to`.",
    ),
    ty(
        "matrix",
        &[
            ("out_len", Size),
            ("in_len", Size),
            ("elem", Elem),
            ("out", Axis),
            ("in", Axis),
            ("from", Unit),
            ("to", Unit),
        ],
        "A dense matrix, output-major, which turns vectors over axis `in` in unit `from` into vectors over axis `out` in unit \
         `to`.",
    ),
    ty(
        "blocks",
        &[
            ("out_len", Size),
            ("in_len", Size),
            ("out", Axis),
            ("in", Axis),
            ("format", Text),
            ("from", Unit),
            ("to", Unit),
        ],
        "A matrix quantised in blocks, by the name of its format, such as `q4_k`.",
    ),
    ty(
        "coefficients",
        &[("len", Size), ("elem", Elem), ("axis", Axis), ("from", Unit), ("to", Unit)],
        "One number for each position of an axis, which turns unit `from` into unit `to`: the A, B and C of a diagonal state \
         space.",
    ),
    ty(
        "factor",
        &[("elem", Elem), ("from", Unit), ("to", Unit)],
        "One number that turns unit `from` into unit `to`.",
    ),
    ty(
        "scalar",
        &[("lead", Sizes), ("elem", Elem), ("unit", Unit)],
        "One number for each position of the leading axes.",
    ),
    ty(
        "state",
        &[("lead", Sizes), ("len", Size), ("elem", Elem), ("axis", Axis), ("unit", Unit)],
        "What a recurrence keeps from one step to the next: one number for each position of an axis.",
    ),
    ty(
        "matrix_state",
        &[
            ("lead", Sizes),
            ("rows", Size),
            ("columns", Size),
            ("elem", Elem),
            ("row_axis", Axis),
            ("column_axis", Axis),
            ("unit", Unit),
        ],
        "What a recurrence keeps: a matrix, such as the sum of outer products of keys and values.",
    ),
    ty(
        "tokens",
        &[("lead", Sizes), ("axis", Axis)],
        "Positions in a named axis, such as token ids in a vocabulary.",
    ),
    TypeRow {
        name: "product",
        doc: "A declared product of units: `left` times `right` is `result`. Units are names; a relation between them is \
              declared where it is used, as in the crate `axes`.",
        parameters: &[("left", Unit), ("right", Unit), ("result", Unit)],
        attribute: true,
    },
    TypeRow {
        name: "sizes",
        doc: "Sizes of axes: numbers, or polynomials in named symbols as strings (`\"B\"`, `\"4*T+1\"`). The types of tensors \
              have `?` where a size is a symbol; `fidelity.sizes` on an argument names it.",
        parameters: &[("sizes", Sizes)],
        attribute: true,
    },
];

/// An operation as it is written in the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) signature: &'static str,
    pub(crate) doc: &'static str,
}

pub(crate) const fn row(signature: &'static str, doc: &'static str) -> Row {
    Row { signature, doc }
}

/// A family of operations.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The heading.
    pub title: &'static str,
    rows: &'static [Row],
}

const FAMILIES: &[Family] = &[
    Family { title: "Products and quantisation", rows: linear::ROWS },
    Family { title: "Norms", rows: norm::ROWS },
    Family { title: "Elementwise", rows: elementwise::ROWS },
    Family { title: "Recurrences", rows: recurrent::ROWS },
    Family { title: "Parts of models", rows: model::ROWS },
];

/// An operation of the dialect.
#[derive(Clone, Debug)]
pub struct OpRow {
    /// The signature's parts.
    pub signature: Signature,
    /// The signature as it is written.
    pub text: &'static str,
    /// What it computes.
    pub doc: &'static str,
    /// The heading of its family.
    pub family: &'static str,
}

impl OpRow {
    /// The name as the operation is spoken of, such as `ssm.state_update`.
    pub fn name(&self) -> &str {
        &self.signature.name
    }

    /// The name as MLIR reads it, such as `ssm_state_update`: IRDL allows no dots in names.
    pub fn symbol(&self) -> String {
        self.signature.name.replace('.', "_")
    }
}

/// Every operation, in the table's order.
///
/// # Panics
/// Where a row of the table cannot be read, which a test excludes.
pub fn ops() -> &'static [OpRow] {
    static OPS: OnceLock<Vec<OpRow>> = OnceLock::new();
    OPS.get_or_init(|| {
        FAMILIES
            .iter()
            .flat_map(|family| family.rows.iter().map(move |row| (family.title, row)))
            .map(|(family, row)| match read(row.signature) {
                Ok(signature) => OpRow { signature, text: row.signature, doc: row.doc, family },
                Err(problem) => unreachable!("the table's rows are read in a test: {problem}"),
            })
            .collect()
    })
}

/// The operation of that name, with dots or underscores, without the dialect.
pub fn op(name: &str) -> Option<&'static OpRow> {
    static INDEX: OnceLock<HashMap<String, usize>> = OnceLock::new();
    let index = INDEX.get_or_init(|| ops().iter().enumerate().map(|(k, row)| (row.symbol(), k)).collect());
    index.get(&name.replace('.', "_")).map(|&k| &ops()[k])
}

/// The type or attribute of that name, without the dialect.
pub fn type_row(name: &str, attribute: bool) -> Option<&'static TypeRow> {
    TYPES.iter().find(|row| row.name == name && row.attribute == attribute)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::signature::{Class, Pattern, Property, Slot};

    fn sound(pattern: &Pattern) {
        if let Pattern::Fidelity(name, terms) = pattern {
            let row = type_row(name, false).unwrap_or_else(|| panic!("no type `{name}`"));
            assert_eq!(row.parameters.len(), terms.len(), "{name}");
        }
    }

    #[test]
    fn every_row_reads_and_speaks_of_types_that_exist() {
        let mut names = std::collections::HashSet::new();
        for row in TYPES {
            assert!(names.insert(row.name.to_owned()), "{} stands twice", row.name);
        }
        for row in ops() {
            assert!(
                names.insert(row.symbol()),
                "{} stands twice; types and operations share names",
                row.name()
            );
            let s = &row.signature;
            for slots in [&s.operands, &s.results] {
                slots.iter().flat_map(|slot: &Slot| &slot.alternatives).for_each(sound);
                assert!(
                    slots.iter().filter(|slot| slot.optional).count() <= 1,
                    "{}: MLIR allows one",
                    row.name()
                );
            }
            for (_, class) in &s.clauses {
                if let Class::Types(types) = class {
                    types.iter().for_each(sound);
                }
            }
            for (_, property) in &s.attributes {
                if let Property::Fidelity(name, terms) = property {
                    assert_eq!(type_row(name, true).expect("an attribute").parameters.len(), terms.len());
                }
            }
        }
        assert!(ops().len() >= 45, "{}", names.len());
    }
}
