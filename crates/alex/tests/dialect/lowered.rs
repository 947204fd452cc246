//! The plain lowering: every accepted case becomes a module that MLIR takes to LLVM, and numbers come out as they should.

use std::collections::HashSet;
use std::path::Path;

use alex::dialect::{LowerError, Module, table, verify};

use crate::tools::{lowered, verified};

fn cases() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialect");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "mlir"))
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            text.split("// -----\n")
                .filter(|c| c.starts_with("// check: accept"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
}

/// All cases as one module: their functions get names of their own.
#[test]
fn every_operation_is_lowered() {
    let mut all = Module::new();
    let mut names = HashSet::new();
    for case in cases() {
        let mut module = verify(&case).unwrap();
        match module.lower() {
            Ok(_) => {}
            Err(LowerError::Unsupported { problem, .. }) => {
                println!("{}: {problem}", module.functions[0].ops[0].name);
                // What needs sizes that are open here, or the engine's formats, says so.
                assert!(
                    problem.contains("known")
                        || problem.contains("open")
                        || problem.contains("decode")
                        || problem.contains("no plain form"),
                    "{problem}"
                );
                continue;
            }
            Err(other) => panic!("{other}\n{case}"),
        }
        for mut f in module.functions.drain(..) {
            names.extend(f.ops.iter().map(|op| op.name.clone()));
            f.name = format!("{}_{}", f.name, all.functions.len());
            all.functions.push(f);
        }
    }
    let missing: Vec<&str> = table::ops()
        .iter()
        .filter(|op| !names.contains(&format!("fidelity.{}", op.symbol())))
        .map(|op| op.name())
        .collect();
    // Blocks decode with the engine's formats; the others are a graph's own ops, which a plan lowers.
    assert_eq!(missing, ["block_linear", "block_embedding", "rotate", "cached_attention"]);
    println!("{} functions lowered", all.functions.len());
    let text = all.lower().unwrap();
    verified(&text);
    lowered(&text);
}
