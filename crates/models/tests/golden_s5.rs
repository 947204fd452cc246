//! S5 against the data made by the published implementation, and its forms against one another.

mod sequence;

use axes::DType;
use graph::Array;
use models::architecture::ModelConfig;
use models::forms::{Form, GraphOptions};
use sequence::*;
use serde_json::{Value, json};

fn config(value: &Value) -> ModelConfig {
    let parsed = ModelConfig::from_json("config.json".as_ref(), value).unwrap();
    assert_eq!(parsed.warnings, Vec::<String>::new());
    parsed.config
}

fn case(name: &str) -> Option<(ModelConfig, Values, Values, Values)> {
    let dir = golden("s5")?;
    let text = std::fs::read_to_string(dir.join(format!("{name}.config.json"))).unwrap();
    let model = config(&serde_json::from_str(&text).unwrap());
    assert_eq!(config(&model.to_json()), model, "{name}");
    let file = |what: &str| dir.join(format!("{name}.{what}.safetensors"));
    let (weights, mut io) = (read(&file("weights")), read(&file("io")));
    let expected: std::collections::BTreeMap<_, _> = model.expected_tensors().into_iter().collect();
    let held = weights.iter().map(|(name, a)| (name.clone(), a.shape.clone())).collect();
    assert_eq!(expected, held);
    io.extend(weights.clone());
    Some((model, io, weights, read(&file("grads"))))
}

fn sizes(x: &Array<f64>) -> [(&'static str, usize); 2] {
    [("B", x.shape[0]), ("T", x.shape[1])]
}

#[test]
fn outputs_loss_and_gradients_are_the_references() {
    for (name, bound) in [("s5_glu1", 1e-4), ("s5_full_bilinear", 3e-5)] {
        let Some((model, io, _, grads)) = case(name) else { return };
        let graph = with_gradients(&*model, &GraphOptions::default());
        exact(name, &run::<f64>(&graph, &io, &sizes(&io["x"]))["y"], &io["y_f64"]);
        let made = run::<f32>(&graph, &io, &sizes(&io["x"]));
        near(name, &made["y"], &io["y"]);
        let loss = io["loss"].to_f64()[0];
        assert!((made["loss"].to_f64()[0] - loss).abs() < 1e-5 * loss.abs().max(1.0), "{name}");
        gradients(&made, &grads, bound);
    }
}

#[test]
fn any_cut_is_the_whole_sequence() {
    for name in ["s5_glu1", "s5_full_bilinear"] {
        let Some((model, io, weights, _)) = case(name) else { return };
        let length = io["x"].shape[1];
        for lengths in [vec![1; length], vec![length], vec![9, 1, 1, 12, length]] {
            let made = pieces(&*model, &GraphOptions::default(), &weights, ("x", &io["x"]), &lengths, "y");
            near(name, &made, &io["y"]);
        }
    }
}

fn numbers(shape: &[usize], seed: u64) -> Array<f64> {
    let mut rng = models::rng::Rng::new(seed);
    let v: Vec<f64> = (0..shape.iter().product()).map(|_| rng.normal()).collect();
    Array::from_f64(DType::F32, shape, &v)
}

#[test]
fn any_cut_of_any_configuration_is_the_whole_sequence() {
    let mut seed = 0;
    for activation in ["full_glu", "half_glu1", "half_glu2", "gelu"] {
        for conj_sym in [true, false] {
            for readout in ["trunc_standard_normal", "lecun_normal", "complex_normal"] {
                seed += 1;
                let model = config(
                    &json!({"model_type": "s5", "d_model": 6, "d_input": 2, "ssm_size": 8, "blocks": 2,
                    "conj_sym": conj_sym, "activation": activation, "C_init": readout, "n_layers": 2,
                    "prenorm": seed % 2 == 0, "clip_eigs": seed % 3 == 0,
                    "discretization": if seed % 2 == 0 { "zoh" } else { "bilinear" }}),
                );
                let weights = initial(&*model, seed);
                let x = numbers(&[2, 13, 2], seed);
                let mut given = weights.clone();
                given.insert("x".into(), x.clone());
                let options = GraphOptions::default();
                let whole = run::<f64>(&model.graph(&options).unwrap(), &given, &sizes(&x));
                for lengths in [vec![1; 13], vec![5, 1, 7], vec![13]] {
                    let made = pieces(&*model, &options, &weights, ("x", &x), &lengths, "y");
                    let d = distance(&made, &whole["y"]);
                    assert!(d < 1e-9, "{activation} {conj_sym} {readout} {lengths:?}: {d:e}");
                }
            }
        }
    }
}

/// The second readout sees the sequence from its end: with the readouts exchanged, the turned sequence gives the turned
/// outputs.
#[test]
fn both_directions_are_one_another_turned() {
    for readout in ["lecun_normal", "complex_normal"] {
        let model = config(&json!({"model_type": "s5", "d_model": 4, "d_input": 2, "ssm_size": 4,
            "bidirectional": true, "activation": "half_glu2", "C_init": readout}));
        assert!(model.step(&GraphOptions::default()).unwrap_err().to_string().contains("both ways"));
        let mut given = initial(&*model, 5);
        let x = numbers(&[1, 7, 2], 6);
        given.insert("x".into(), x.clone());
        let graph = model.graph(&GraphOptions::default()).unwrap();
        let forward = run::<f64>(&graph, &given, &sizes(&x))["y"].to_f64();
        let turned = |v: &[f64], n: usize| v.chunks(n).rev().flatten().copied().collect::<Vec<_>>();
        if readout == "complex_normal" {
            let c = given["layers_0.seq.C"].clone();
            let exchanged: Vec<f64> =
                c.to_f64().chunks(8).flat_map(|row| [&row[4..], &row[..4]].concat()).collect();
            given.insert("layers_0.seq.C".into(), Array::from_f64(DType::F32, c.shape.clone(), &exchanged));
        } else {
            let [a, b] = ["C1", "C2"].map(|c| given[&format!("layers_0.seq.{c}")].clone());
            given.insert("layers_0.seq.C1".into(), b);
            given.insert("layers_0.seq.C2".into(), a);
        }
        given.insert("x".into(), Array::from_f64(DType::F32, x.shape.clone(), &turned(&x.to_f64(), 2)));
        let back = turned(&run::<f64>(&graph, &given, &sizes(&x))["y"].to_f64(), 4);
        let apart = forward.iter().zip(&back).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart < 1e-12, "{readout}: {apart:e}");
    }
}

#[test]
fn binary_and_ternary_gates_have_integers_that_agree() {
    let value = json!({"model_type": "s5", "d_model": 8, "d_input": 1, "ssm_size": 8, "n_layers": 2,
        "activation": "full_glu", "linear": "ternary", "d_output": 10});
    let model = config(&value);
    assert_eq!(model.projections().len(), 4);
    let mut given = initial(&*model, 7);
    given.insert("x".into(), numbers(&[3, 9, 1], 8));
    given.insert("labels".into(), Array::int(DType::I64, vec![3], vec![1, 4, 9]));
    let sizes = [("B", 3), ("T", 9)];
    let float = run::<f64>(&with_gradients(&*model, &GraphOptions::default()), &given, &sizes);
    let integer = GraphOptions { form: Form::Integer, ..GraphOptions::default() };
    let integer = run::<f64>(&model.graph(&integer).unwrap(), &given, &sizes);
    assert!(distance(&float["logits"], &integer["logits"]) < 1e-6);
    assert!(float["grad.layers_0.out1.weight"].to_f64().iter().any(|g| *g != 0.0));
}

#[test]
fn faults_are_named() {
    let read = |value: Value| ModelConfig::from_json("config.json".as_ref(), &value).unwrap_err().to_string();
    for (value, says) in [
        (json!({"model_type": "s5", "batchnorm": true}), "batchnorm"),
        (json!({"model_type": "s5", "ssm_size": 10, "blocks": 4}), "blocks"),
        (json!({"model_type": "s5", "ssm_size": 16, "P": 16}), "conj_sym"),
        (json!({"model_type": "s5", "activation": "relu"}), "half_glu1"),
    ] {
        let error = read(value);
        assert!(error.contains(says), "{error}");
    }
}
