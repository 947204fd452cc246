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

/// A graph that became a module of the dialect, and its text, comes back as it was.
fn comes_back(name: &str, graph: &graph::Graph) -> Result<(), String> {
    use alex::dialect::Module;
    let module = Module::from_graph("run", graph);
    module.check().map_err(|e| format!("{name}: {e}"))?;
    let same = |module: &Module| -> Result<(), String> {
        let back = module.to_graph("run").map_err(|e| format!("{name}: {e}\n{module}"))?;
        let scopes = |g: &graph::Graph| -> Vec<String> {
            g.nodes.iter().map(|n| g.scopes[n.scope as usize].clone()).collect()
        };
        if back != *graph || scopes(&back) != scopes(graph) {
            return Err(format!("{name}:\n{graph}\n{back}\n{module}"));
        }
        Ok(())
    };
    same(&module)?;
    let text = module.to_string();
    let read = Module::parse(&text).map_err(|e| format!("{name}: {e}\n{text}"))?;
    if read != module {
        return Err(format!("{name}: the text reads as another module:\n{text}\n{read}"));
    }
    same(&read)
}

#[test]
fn every_graph_comes_back_from_its_module() {
    let list = cases::all();
    let wrong: Vec<String> = list.iter().filter_map(|c| comes_back(&c.name, &c.graph).err()).collect();
    println!("{} graphs", list.len());
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        list.len(),
        wrong[..wrong.len().min(3)].join("\n")
    );
}
