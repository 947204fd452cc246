//! `fidelity explain` through the binary.

mod cli_support;

use cli_support::fidelity;
use serde_json::Value;
use std::fs;

#[test]
fn kernels_are_listed_and_explained() {
    let text = fidelity(&["explain"]).ok();
    for name in ["ternary_accumulate", "ternary_matvec", "ssm_step", "linear_attention", "mlgru_step"] {
        assert!(text.contains(name), "{text}");
    }
    let value: Value = fidelity(&["explain", "ssm_step", "--json"]).json();
    let ops: Vec<&str> =
        value["raised"].as_array().unwrap().iter().map(|r| r["op"].as_str().unwrap()).collect();
    assert_eq!(ops, ["ssm.state_update", "ssm.output"]);
    assert!(value["declined"].as_array().unwrap().is_empty());
    assert!(value["raised"][0]["lines"].as_array().unwrap().len() > 1);
    assert!(fidelity(&["explain", "ternary_matvec"]).ok().contains("ternary_linear gives `result`"));
}

#[test]
fn files_are_explained_without_compiling() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("k.rs");
    let path = file.to_str().unwrap();
    fs::write(
        &file,
        "#[kernel]\nfn half(w: &TernaryMatrix<In, Out>, x: &Tensor<(In,)>, y: &mut Tensor<(Out,)>) {\n\
         for o in 0..w.outputs() { for i in 0..w.inputs() {\n\
         if w.trit(o, i) == 1 { y[[o]] += x[[i]]; }\n} }\n}\n\
         #[kernel]\nfn keep(h: &mut [f32], f: &[f32], c: &[f32]) {\n\
         for i in 0..h.len() { h[i] += (1.0 - f[i]) * (c[i] - h[i]); }\n}\n",
    )
    .unwrap();
    let all: Value = fidelity(&["explain", path, "--json"]).json();
    assert_eq!(all[0]["raised"].as_array().unwrap().len(), 0);
    assert!(all[0]["declined"][0]["reason"].as_str().unwrap().contains("-1 counts 0 times"), "{all}");
    assert_eq!(all[1]["raised"][0]["op"], "mlgru.step");
    let one: Value = fidelity(&["explain", &format!("{path}:keep"), "--json"]).json();
    assert_eq!(one["kernel"], "keep");

    // No formula: an index that is read from memory and written through.
    fs::write(
        &file,
        "fn f(x: &[f32], at: &[usize], y: &mut [f32]) {\n for i in 0..at.len() { y[at[i]] = x[i] * y[at[i] / 2]; }\n}\n",
    )
    .unwrap();
    let text = fidelity(&["explain", path]).ok();
    assert!(text.contains("lowered to scf/arith/memref; not differentiable: `y`: line 2:"), "{text}");
    let text = fidelity(&["explain", path, "--emit", "mlir"]).ok();
    for part in ["func.func @kernel_f(", "scf.for", "memref.load", "arith.mulf", "memref.store"] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    let text = fidelity(&["explain", "ssm_step"]).ok();
    assert!(text.contains("as its graph, which is differentiable"), "{text}");

    fs::write(&file, "fn f() {\n    while true {}\n}\n").unwrap();
    fidelity(&["explain", path]).fails(1, &["line 2", "`for` over a range"]);
    fidelity(&["explain", "nothing_like_it"]).fails(1, &["no kernel `nothing_like_it`"]);
    fidelity(&["explain", "/no/such/file.rs"]).fails(1, &["there is no file"]);
}
