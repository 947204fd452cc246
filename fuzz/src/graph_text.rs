//! The text form of graphs.

use std::hint::black_box;

use graph::Graph;

/// A text that is accepted is a graph that verifies, and prints to a text that parses to an equal graph; a text that
/// is only well-formed can be printed and verified too, with whatever result.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Graph::parse_unverified(text) {
        Ok(graph) => {
            black_box(graph.to_string());
            if let Err(error) = graph.verify() {
                black_box(error.to_string());
            }
        }
        Err(error) => drop(black_box(error.to_string())),
    }
    let graph = match Graph::parse(text) {
        Ok(graph) => graph,
        Err(error) => return drop(black_box(error.to_string())),
    };
    graph.verify().expect("`parse` verifies");
    let printed = graph.to_string();
    let back = Graph::parse(&printed).unwrap_or_else(|error| panic!("{error} in\n{printed}"));
    assert!(back == graph, "parsed back differently:\n{printed}");
    assert_eq!(back.to_string(), printed);
}
