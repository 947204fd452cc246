//! Expressions as text, of which derivatives are made.

use std::hint::black_box;

use furnace::symbolic::Expression;

/// A text that is accepted has a value or an error at any point, prints to a text that is accepted and has the same
/// value, and has Rust and LaTeX forms. The derivative of a short one is built, too.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let f: Expression = match text.parse() {
        Ok(f) => f,
        Err(error) => return drop(black_box(error.to_string())),
    };
    let value = |e: &Expression| {
        let at: Vec<(&str, f64)> =
            e.variables().into_iter().zip([0.75, -1.5, 2.0].into_iter().cycle()).collect();
        e.value(&at).map(f64::to_bits).ok()
    };
    let printed = Expression::from_graph(f.graph()).expect("what was read can be written").to_string();
    let names: Vec<String> = f.variables().into_iter().map(str::to_owned).collect();
    if let Ok(again) = printed.parse::<Expression>() {
        // Variables that lost their last use are gone, and the others keep their order only if none is.
        if again.variables() == names {
            assert_eq!(value(&again), value(&f), "{text} was printed as {printed}");
        }
    } else {
        assert!(printed.chars().count() > furnace::symbolic::LONGEST, "{text} was printed as {printed}");
    }
    black_box((f.to_rust("f").is_ok(), f.to_latex().is_ok()));
    if f.nodes() < 40 {
        for name in &names {
            black_box(f.nested_nodes(name, 1).is_ok());
        }
    }
}
