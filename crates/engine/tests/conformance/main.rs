//! The conformance suite: whatever the engine runs equals the reference interpreter.
//!
//! `cases` holds the graphs and knows no backend; `support` is the engine's side.

mod cases;
mod composites;
mod differentiable;
mod faults;
mod layouts;
mod limits;
mod memory;
mod random;
mod regions;
mod support;

use graph::{Attr, Graph, Op};
use std::collections::BTreeSet;

fn ops(g: &Graph, into: &mut BTreeSet<Op>) {
    for n in &g.nodes {
        into.insert(n.op);
        for (_, a) in n.attrs.iter() {
            if let Attr::Graph(r) = a {
                ops(r, into);
            }
        }
    }
}

#[test]
fn every_op_equals_its_plain_evaluation() {
    let list = cases::all();
    let mut seen = BTreeSet::new();
    let mut wrong = vec![];
    for c in &list {
        ops(&c.graph, &mut seen);
        if let Err(e) = support::check(c, 1e-5) {
            wrong.push(format!("{}: {e}", c.name));
        }
    }
    let missing: Vec<_> = Op::ALL.iter().filter(|o| !seen.contains(o)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), list.len(), wrong.join("\n"));
    println!("{} cases over {} ops", list.len(), seen.len());
}
