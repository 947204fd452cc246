//! Modules as graphs: what every accepted case means, held to the plain evaluation of its lowering, and errors with their place.

use std::collections::HashMap;

use alex::dialect::{Module, verify};
use graph::{Array, Bindings, Graph, interp};

fn cases() -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialect");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let accepted = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let cases = text.split("// -----\n").filter(|c| c.starts_with("// check: accept"));
        cases
            .map(|c| (path.file_name().unwrap().to_string_lossy().into_owned(), c.to_owned()))
            .collect::<Vec<_>>()
    };
    files.iter().filter(|path| path.extension().is_some_and(|e| e == "mlir")).flat_map(accepted).collect()
}

/// Sizes for whatever symbols a case has.
fn bound(graph: &Graph) -> Graph {
    let sizes: Bindings = graph.symbols().into_iter().zip([4, 2, 6, 3].into_iter().cycle()).collect();
    graph.specialize(&sizes)
}

fn inputs(graph: &Graph) -> Vec<Array<f64>> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 16) / 32768.0 - 1.0
    };
    let of = |named: &graph::Named| {
        let ty = graph.ty(named.value);
        let count = ty.elements().unwrap();
        let number = |v: f64| match ty.dtype {
            axes::DType::Trit => (v * 1.5).round(),
            axes::DType::I8 => (v * 100.0).round(),
            d if d.is_float() => v,
            _ => 0.0,
        };
        let values: Vec<f64> = (0..count).map(|_| number(next())).collect();
        Array::from_f64(ty.dtype, ty.fixed_shape().unwrap(), &values)
    };
    graph.inputs.iter().map(of).collect()
}

#[test]
fn every_accepted_case_is_a_graph_that_runs() {
    let (mut made, mut without) = (0, HashMap::new());
    for (file, case) in cases() {
        let module = verify(&case).unwrap();
        for function in module.functions.iter().filter(|f| f.returned.is_some()) {
            match module.to_graph(&function.name) {
                Ok(graph) => {
                    made += 1;
                    let graph = bound(&graph);
                    let given = inputs(&graph);
                    interp::run::<f64>(&graph, given, false)
                        .unwrap_or_else(|e| panic!("{e}\n{case}\n{graph}"));
                    // The graph is a module again, and comes back.
                    let again = Module::from_graph("again", &graph);
                    again.check().unwrap_or_else(|e| panic!("{e}\n{again}"));
                    assert_eq!(again.to_graph("again").unwrap(), graph, "{again}");
                }
                Err(e) => *without.entry(format!("{file}: {e}")).or_insert(0) += 1,
            }
        }
    }
    println!("{made} functions are graphs; without one:");
    let mut list: Vec<_> = without.into_iter().collect();
    list.sort();
    list.iter().for_each(|(why, n)| println!("{n} × {why}"));
    let told =
        ["leaves a size open", "no elements of type", "no meaning", "must be known", "fidelity.element"];
    let silent: Vec<_> = list.iter().filter(|(why, _)| !told.iter().any(|t| why.contains(t))).collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn errors_name_line_and_column() {
    let text = "func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {\n  \
                %y = \"arith.addf\"(%x, %x) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>\n  return %y : tensor<4xf32>\n}\n";
    let error = verify(text).unwrap().to_graph("f").unwrap_err().to_string();
    assert!(error.contains("line 2, column 8") && error.contains("no meaning in a graph"), "{error}");
    let open = "func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> {\n  return %x : tensor<?xf32>\n}\n";
    let error = verify(open).unwrap().to_graph("f").unwrap_err().to_string();
    assert!(error.contains("fidelity.sizes"), "{error}");
    let error = verify(open).unwrap().to_graph("g").unwrap_err().to_string();
    assert!(error.contains("there is no function @g") && error.contains("@f"), "{error}");
}
