//! The engine's conformance suite on compiled code: every case becomes a function of one library, and equals the
//! reference interpreter.
#![allow(missing_docs, unsafe_code)]

// What the engine's own suite needs besides is not used here.
#[allow(dead_code)]
#[path = "../../../engine/tests/conformance/cases.rs"]
mod cases;
#[allow(dead_code)]
#[path = "../../../engine/tests/conformance/composites.rs"]
mod composites;
#[path = "../../../engine/tests/conformance/differentiable.rs"]
mod differentiable;
#[path = "../../../engine/tests/conformance/regions.rs"]
mod regions;
mod support;

use alex::toolchain::Toolchain;

/// What has no compiled form: nothing of the suite.
const WITHOUT: [&str; 0] = [];

#[test]
fn every_op_equals_its_plain_evaluation() {
    if let Err(e) = Toolchain::find() {
        println!("skipped: {e}");
        return;
    }
    let list = cases::all();
    let names = std::env::var("CASE").unwrap_or_default();
    let list: Vec<_> = list.iter().filter(|c| c.name.contains(&names)).collect();
    let (ran, without, wrong) = support::check(&list, 1e-5);
    println!("{ran} plans, {} without a compiled form", without.len());
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), list.len(), wrong.join("\n"));
    let unknown: Vec<_> = without.iter().filter(|w| !WITHOUT.iter().any(|op| w.contains(op))).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
