//! The `fidelity` dialect as the stage that compilation passes through: graphs of models and of training steps come back from
//! their modules as they were, and modules in files become libraries.

mod cli_support;
mod common;

use alex::dialect::Module;
use cli_support::fidelity;
use common::golden;
use graph::Graph;
use models::forms::{Form, GraphOptions};
use std::process::Command;
use std::time::Instant;

fn comes_back(name: &str, graph: &Graph) {
    let start = Instant::now();
    let module = Module::from_graph("run", graph);
    let written = start.elapsed();
    module.check().unwrap_or_else(|e| panic!("{name}: {e}"));
    let checked = start.elapsed();
    let back = module.to_graph("run").unwrap_or_else(|e| panic!("{name}: {e}"));
    println!(
        "{name}: {} nodes; written {written:?}, checked {:?}, read {:?}",
        graph.nodes.len(),
        checked - written,
        start.elapsed() - checked
    );
    assert!(back == *graph, "{name}");
    let text = module.to_string();
    let read = Module::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(read == module, "{name}: the text reads as another module");
    assert!(read.to_graph("run").unwrap() == *graph, "{name}");
}

#[test]
fn graphs_of_models_come_back() {
    let models = [
        "matmulfree/case_a",
        "matmulfree/case_b",
        "matmulfree/case_c_shortconv_patched",
        "bitnet/case_a",
        "qwen3/case_a",
    ];
    for case in models {
        let Some(dir) = golden(case) else { continue };
        let model = fidelity::loaded::Loaded::open(&dir).unwrap();
        for form in [Form::Float, Form::Integer, Form::Prepared] {
            let options = GraphOptions { form, states: true, ..Default::default() };
            comes_back(&format!("{case} {form:?} sequence"), &model.config.graph(&options).unwrap());
            comes_back(&format!("{case} {form:?} step"), &model.config.step(&options).unwrap());
        }
        let options =
            GraphOptions { form: Form::Float, labels: true, mask: true, trace: true, ..Default::default() };
        comes_back(&format!("{case} loss"), &model.config.graph(&options).unwrap());
    }
}

const MODULE: &str = r#"
func.func @mixer(%x: tensor<?x8xf32> {fidelity.sizes = #fidelity.sizes<["T", 8 : index]>},
                 %h: tensor<8xf32>, %norm: tensor<8xf32>) -> (tensor<?x8xf32> {fidelity.name = "y"}, tensor<8xf32> {fidelity.name = "last"}) {
  %n = "fidelity.rms_norm"(%x, %norm) {eps = 1.0e-6 : f64} : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  %f = "fidelity.sigmoid"(%n) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %y, %l = "fidelity.mlgru_scan"(%h, %f, %x, %n) : (tensor<8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<8xf32>)
  return %y, %l : tensor<?x8xf32>, tensor<8xf32>
}
"#;

const MAIN: &str = r#"
#include "mixer.h"
#include <stdio.h>
#include <stdlib.h>
#define T 5
int main(void) {
    float *x = aligned_alloc(64, 192), *h = aligned_alloc(64, 64), *norm = aligned_alloc(64, 64);
    float *y = aligned_alloc(64, 192), *last = aligned_alloc(64, 64);
    void *arena = aligned_alloc(64, MIXER_MIXER_ARENA);
    for (int i = 0; i < 8 * T; i++) x[i] = (float)(i % 7) / 4 - 0.5f;
    for (int i = 0; i < 8; i++) h[i] = 0.25f * (float)i, norm[i] = 1.0f;
    if (mixer_mixer(x, h, norm, y, last, arena)) return 1;
    for (int i = 0; i < 8 * T; i++) printf("%.6f\n", y[i]);
    for (int i = 0; i < 8; i++) printf("%.6f\n", last[i]);
}
"#;

#[test]
fn a_module_in_a_file_becomes_a_library() {
    if alex::Compiler::new(alex::Options::default()).is_err() {
        println!("skipped: no tools");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mixer.mlir");
    std::fs::write(&file, MODULE).unwrap();
    let args = |size: &str| {
        args!["compile", file, "--target", "cpu", "--out", folder.path(), "--name", "mixer", "--size", size]
            .to_vec()
    };
    fidelity(&args("B=1")).fails(1, &["the size `T` is not known", "--size T=16"]);
    fidelity(&args("T=5")).ok();
    std::fs::write(folder.path().join("main.c"), MAIN).unwrap();
    let flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "main.c", "mixer.a", "-o", "main"];
    assert!(Command::new("cc").args(flags).current_dir(folder.path()).status().unwrap().success());
    let out = Command::new(folder.path().join("main")).output().unwrap();
    let found: Vec<f64> = String::from_utf8_lossy(&out.stdout).lines().map(|l| l.parse().unwrap()).collect();
    // The recurrence, as it is written down.
    let x: Vec<f64> = (0..40).map(|i| f64::from(i % 7) / 4.0 - 0.5).collect();
    let mut h: Vec<f64> = (0..8).map(|i| 0.25 * f64::from(i)).collect();
    let mut wanted = vec![];
    for row in x.chunks(8) {
        let root = (row.iter().map(|v| v * v).sum::<f64>() / 8.0 + 1e-6).sqrt();
        for (i, v) in row.iter().enumerate() {
            let n = v / root;
            let f = 1.0 / (1.0 + (-n).exp());
            h[i] = f * h[i] + (1.0 - f) * v;
            wanted.push(n * h[i]);
        }
    }
    wanted.extend(&h);
    assert_eq!(found.len(), wanted.len());
    for (a, b) in found.iter().zip(&wanted) {
        assert!((a - b).abs() < 2e-6, "{a} {b}");
    }
    // What is wrong is told with line and column.
    std::fs::write(&file, MODULE.replace("fidelity.sigmoid", "fidelity.sigmond")).unwrap();
    fidelity(&args("T=5")).fails(1, &["mixer.mlir", "line 5, column 8", "sigmoid"]);
    std::fs::write(&file, MODULE.replace("\"fidelity.sigmoid\"(%n)", "\"fidelity.sigmoid\"(%m)")).unwrap();
    fidelity(&args("T=5")).fails(1, &["line 5, column", "%m is not defined"]);
}
