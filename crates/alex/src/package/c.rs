//! The texts for C: declarations, and a program that generates.

use super::Package;

const HEADER: &str = include_str!("header.h.in");
const EXAMPLE: &str = include_str!("main.c.in");

/// A template with everything between `@` filled in.
fn filled(template: &str, p: &Package) -> String {
    let prompt = if p.bytes { "Once upon a time" } else { "1,2,3" };
    // A comment must not end where a title says so.
    let title = p.title.replace("*/", "* /");
    let values = [
        ("@TITLE@", title),
        ("@NAME@", p.name.clone()),
        ("@PREFIX@", p.name.to_ascii_uppercase()),
        ("@WEIGHTS_FILE@", p.weights.0.clone()),
        ("@WEIGHTS@", p.weights.1.to_string()),
        ("@VOCABULARY@", p.vocabulary.to_string()),
        ("@STATE@", whole(p.state).to_string()),
        ("@ARENA@", whole(p.arena).to_string()),
        ("@CONTEXT@", p.context.unwrap_or(0).to_string()),
        ("@EOS@", p.eos.map_or(-1, i64::from).to_string()),
        ("@BYTES@", u8::from(p.bytes).to_string()),
        ("@PIECES@", p.pieces.len().to_string()),
        ("@PROMPT@", prompt.to_owned()),
    ];
    values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// `aligned_alloc` wants a multiple of the alignment, and not nothing.
fn whole(bytes: usize) -> usize {
    bytes.max(1).next_multiple_of(64)
}

pub(super) fn header(p: &Package) -> String {
    filled(HEADER, p)
}

pub(super) fn example(p: &Package) -> String {
    filled(EXAMPLE, p)
}
