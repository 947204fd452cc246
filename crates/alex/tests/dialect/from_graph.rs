//! Graphs as modules of the dialect: MLIR accepts them, and what has an operation of its own is that operation.

use alex::dialect::Module;
use axes::DType;
use graph::{Bindings, Cx, Graph, Type};

use crate::tools::{irdl_file, tool, verdicts};

/// The mixer of a MatMul-free layer over a sequence, with weights that are packed.
fn mixer() -> Graph {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F32, ["B", "T", "64"].map(|d| graph::Dim::parse(d).unwrap())));
    let norm = cx.input("norm", Type::new(DType::F32, [64]));
    let state = cx.input("state", Type::new(DType::F32, [graph::Dim::symbol("B"), 64.into()]));
    let weights = |name: &str| {
        let trits = cx.input(name, Type::new(DType::Trit, [64, 64]));
        let scale = cx.input(&format!("{name}.scale"), Type::scalar(DType::F32));
        (trits, scale)
    };
    let product = |x: &graph::Var, (trits, scale): &(graph::Var, graph::Var)| {
        let (q, s) = x.rms_norm(&norm, 1e-6).quantize_activations("half_away");
        q.ternary_linear(&s, trits, scale)
    };
    let (wf, wc, wo) = (weights("forget"), weights("candidate"), weights("out"));
    let f = product(&x, &wf).sigmoid();
    let c = product(&x, &wc).silu();
    let input = &c * &(1.0 - &f);
    let h = f.linear_scan(&input, &state, false);
    let y = &x + &product(&h, &wo);
    cx.finish(&[("y", &y), ("h", &h)]).unwrap()
}

fn accepted(module: &Module) {
    module.check().unwrap_or_else(|error| panic!("{error}\n{module}"));
    let text = module.to_string();
    assert_eq!(Module::parse(&text).unwrap().to_string(), text);
    if tool("mlir-opt").is_some() {
        assert_eq!(verdicts(irdl_file().path(), &[&text]), [Vec::<String>::new()], "{text}");
    }
}

#[test]
fn a_mixer_with_open_sizes() {
    let module = Module::from_graph("mixer", &mixer());
    accepted(&module);
    let text = module.to_string();
    for op in [
        "rms_norm",
        "quantize_activations",
        "ternary_product",
        "sigmoid",
        "silu",
        "linear_scan",
        "multiply",
        "add",
    ] {
        assert!(text.contains(&format!("\"fidelity.{op}\"(")), "{op}\n{text}");
    }
    assert!(text.contains("tensor<?x?x64xf32>"));
}

#[test]
fn a_mixer_with_known_sizes() {
    let sizes = Bindings::from([("B".to_owned(), 2), ("T".to_owned(), 5)]);
    let module = Module::from_graph("mixer", &mixer().specialize(&sizes));
    accepted(&module);
    assert!(module.to_string().contains("tensor<2x5x64xf32>"));
}

#[test]
fn regions_are_functions_and_constants_are_exact() {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F64, [7, 3]));
    let zero = cx.scalar(0.1).broadcast(&[3.into()], &[]);
    let (last, all) = cx.scan(&[&zero], &[&x], false, |c, xs| {
        let y = &(&c[0] * 0.5) + &xs[0].tanh();
        (vec![y.clone()], vec![y])
    });
    let g = cx.finish(&[("last", &last[0]), ("all", &all[0])]).unwrap();
    let module = Module::from_graph("run", &g);
    accepted(&module);
    let text = module.to_string();
    assert_eq!(module.functions.iter().filter(|f| f.returned.is_some()).count(), 2, "{text}");
    assert!(text.contains("body = @run_"), "{text}");
    assert!(text.contains("func.func private @run_"), "{text}");
    assert!(text.contains("\"func.call\"(%2, %x) {callee = @graph.scan_"), "{text}");
    assert!(text.contains("dense<1.0e-1> : tensor<"), "{text}");
}
