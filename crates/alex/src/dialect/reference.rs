//! The reference of the dialect as a page of text, written from the table.

use std::fmt::Write as _;

use super::table::{self, TYPES};

/// A page in Markdown: every type, attribute and operation with its parameters and meaning.
pub fn reference() -> String {
    let mut out = String::from("## Types\n\n| type | parameters | values |\n|---|---|---|\n");
    for row in TYPES {
        let parameters: Vec<&str> = row.parameters.iter().map(|(name, _)| *name).collect();
        let sign = if row.attribute { '#' } else { '!' };
        let _ = writeln!(out, "| `{sign}fidelity.{}` | {} | {} |", row.name, parameters.join(", "), row.doc);
    }
    let mut family = "";
    for row in table::ops() {
        if row.family != family {
            family = row.family;
            let _ = writeln!(out, "\n## {family}");
        }
        let _ = writeln!(out, "\n### {}\n\n```text\n{}\n```\n{}", row.name(), row.text, row.doc);
    }
    out
}
