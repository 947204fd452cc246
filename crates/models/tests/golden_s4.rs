//! S4 and S4D against the data made by the published implementation, and their forms against one another.

mod sequence;

use axes::DType;
use graph::Array;
use models::architecture::ModelConfig;
use models::forms::{Form, GraphOptions};
use models::safetensors::TensorFile;
use sequence::*;
use serde_json::{Value, json};

const CASES: [&str; 5] = ["dplr", "dplr_rate_long", "diag_zoh", "diag_bilinear", "s4d_minimal"];

fn config(value: &Value) -> ModelConfig {
    let parsed = ModelConfig::from_json("config.json".as_ref(), value).unwrap();
    assert_eq!(parsed.warnings, Vec::<String>::new());
    parsed.config
}

/// The model of a case, its inputs and outputs with its weights, its weights, its gradients.
fn case(name: &str) -> Option<(ModelConfig, Values, Values, Values)> {
    let dir = golden("s4")?;
    let text = std::fs::read_to_string(dir.join(format!("{name}.config.json"))).unwrap();
    let model = config(&serde_json::from_str(&text).unwrap());
    assert_eq!(config(&model.to_json()), model, "{name}");
    let file = |what: &str| dir.join(format!("{name}.{what}.safetensors"));
    // A folder of the case, as a person would make it.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), text).unwrap();
    std::fs::copy(file("weights"), folder.path().join("model.safetensors")).unwrap();
    let opened = models::folder::ModelFolder::open(folder.path()).unwrap();
    ModelConfig::from_folder(&opened).unwrap();
    let (weights, mut io) = (read(&file("weights")), read(&file("io")));
    io.extend(weights.clone());
    Some((model, io, weights, read(&file("grads"))))
}

fn sizes(x: &Array<f64>) -> [(&'static str, usize); 2] {
    [("B", x.shape[0]), ("T", x.shape[1])]
}

#[test]
fn outputs_loss_and_gradients_are_the_references() {
    for name in CASES {
        let Some((model, io, _, grads)) = case(name) else { return };
        let graph = with_gradients(&*model, &GraphOptions::default());
        exact(name, &run::<f64>(&graph, &io, &sizes(&io["x"]))["y"], &io["y_f64"]);
        let made = run::<f32>(&graph, &io, &sizes(&io["x"]));
        near(name, &made["y"], &io["y"]);
        let loss = io["loss"].to_f64()[0];
        assert!((made["loss"].to_f64()[0] - loss).abs() < 1e-5 * loss.abs().max(1.0), "{name}");
        gradients(&made, &grads, 3e-5);
    }
}

#[test]
fn the_step_is_the_references_however_the_sequence_is_cut() {
    for name in CASES {
        let Some((model, io, weights, _)) = case(name) else { return };
        let length = io["x"].shape[1];
        for lengths in [vec![1; length], vec![length], vec![9, 1, 1, 20, length]] {
            let made = pieces(&*model, &GraphOptions::default(), &weights, ("x", &io["x"]), &lengths, "y");
            near(name, &made, &io["y_step"]);
        }
    }
}

#[test]
fn the_readout_that_is_made_once_gives_the_same() {
    let Some((model, io, mut weights, _)) = case("dplr") else { return };
    let derived = model.derived().unwrap().unwrap();
    weights.extend(run::<f64>(&derived, &weights, &[]));
    let options = GraphOptions { form: Form::Prepared, ..GraphOptions::default() };
    let made = pieces(&*model, &options, &weights, ("x", &io["x"]), &[1; 48], "y");
    near("dplr", &made, &io["y_step"]);
}

fn numbers(shape: &[usize], seed: u64) -> Array<f64> {
    let mut rng = models::rng::Rng::new(seed);
    let v: Vec<f64> = (0..shape.iter().product()).map(|_| rng.normal()).collect();
    Array::from_f64(DType::F32, shape, &v)
}

#[test]
fn any_cut_of_any_configuration_is_the_whole_sequence() {
    let mut cases = vec![];
    for mode in ["dplr", "diag", "s4d"] {
        for (classes, prenorm) in [(None, true), (Some(3), false)] {
            let inits: &[&str] = match mode {
                "dplr" => &["legs"],
                _ => &["diag-lin", "diag-inv", "diag-legs", "diag-real"],
            };
            for init in inits {
                for disc in if mode == "dplr" { &["bilinear"][..] } else { &["zoh", "bilinear"][..] } {
                    let mut value = json!({
                        "model_type": if mode == "s4d" { "s4d" } else { "s4" }, "d_model": 4, "d_state": 6,
                        "n_layers": 2, "d_input": 3, "init": init, "disc": disc, "prenorm": prenorm,
                        "d_output": classes, "l_max": 12,
                    });
                    if mode != "s4d" {
                        value["mode"] = mode.into();
                    }
                    cases.push((value, classes));
                }
            }
        }
    }
    for (seed, (value, classes)) in cases.into_iter().enumerate() {
        let model = config(&value);
        let weights = initial(&*model, seed as u64);
        let x = numbers(&[2, 12, 3], seed as u64);
        let mut given = weights.clone();
        given.insert("x".into(), x.clone());
        let options = GraphOptions::default();
        let result = if classes.is_some() { "logits" } else { "y" };
        let whole = run::<f64>(&model.graph(&options).unwrap(), &given, &sizes(&x))[result].clone();
        for lengths in [vec![1; 12], vec![3, 1, 8], vec![12]] {
            let made = pieces(&*model, &options, &weights, ("x", &x), &lengths, result);
            // A classifier says what it thinks after each piece.
            let made = match classes {
                Some(n) => {
                    let all = made.to_f64();
                    let last = all.chunks(all.len() / 2).flat_map(|row| row[row.len() - n..].to_vec());
                    Array::from_f64(DType::F64, [2, n], &last.collect::<Vec<_>>())
                }
                None => made,
            };
            let d = distance(&made, &whole);
            // C̃ is stored in f32.
            assert!(d < 1e-5, "{value} {lengths:?}: {d:e}");
        }
    }
}

#[test]
fn tokens_and_ternary_projections_are_keys() {
    let value = json!({"model_type": "s4", "mode": "diag", "init": "diag-lin", "d_model": 8, "d_state": 4,
        "n_layers": 2, "vocab_size": 11, "d_output": 5, "linear": "ternary"});
    let model = config(&value);
    assert!(model.takes_tokens());
    let weights = initial(&*model, 3);
    let mut given = weights.clone();
    given.insert("input_ids".into(), Array::int(DType::I64, vec![2, 6], (0..12).map(|k| k % 11).collect()));
    given.insert("labels".into(), Array::int(DType::I64, vec![2], vec![1, 4]));
    let sizes = [("B", 2), ("T", 6)];
    let float = run::<f64>(&with_gradients(&*model, &GraphOptions::default()), &given, &sizes);
    assert_eq!(float["logits"].shape, [2, 5]);
    assert!(float["grad.encoder.weight"].to_f64().iter().any(|g| *g != 0.0));
    let integer = GraphOptions { form: Form::Integer, ..GraphOptions::default() };
    let integer = run::<f64>(&model.graph(&integer).unwrap(), &given, &sizes);
    assert!(distance(&float["logits"], &integer["logits"]) < 1e-6);
}

#[test]
fn faults_are_named() {
    let read = |value: Value| ModelConfig::from_json("config.json".as_ref(), &value).unwrap_err().to_string();
    for (value, says) in [
        (json!({"model_type": "s4", "mode": "dplr", "d_model": 8}), "l_kernel"),
        (json!({"model_type": "s4", "mode": "dense", "d_model": 8}), "mode"),
        (json!({"model_type": "s4", "mode": "diag", "d_model": 8, "d_state": 7}), "even"),
        (json!({"model_type": "s4", "mode": "diag", "channels": 2}), "channels"),
        (json!({"model_type": "s4", "mode": "dplr", "l_max": 4, "init": "diag-lin"}), "init"),
        (json!({"model_type": "s4d", "d_output": 3}), "n_layers"),
    ] {
        let error = read(value);
        assert!(error.contains(says), "{error}");
    }
    let Some(dir) = golden("s4") else { return };
    let file = TensorFile::open(dir.join("dplr.weights.safetensors")).unwrap();
    assert_eq!(file.to_i64("layer.kernel.l_kernel").unwrap(), [48]);
    let folder = tempfile::tempdir().unwrap();
    let wrong = json!({"model_type": "s4", "d_model": 8, "d_state": 16, "l_max": 48, "L": 49});
    std::fs::write(folder.path().join("config.json"), wrong.to_string()).unwrap();
    std::fs::copy(file.path(), folder.path().join("model.safetensors")).unwrap();
    let opened = models::folder::ModelFolder::open(folder.path()).unwrap();
    let error = ModelConfig::from_folder(&opened).unwrap_err().to_string();
    assert!(error.contains("l_kernel"), "{error}");
}
