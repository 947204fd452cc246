//! `fidelity train` and `fidelity compare` for every architecture, on the real binary: losses fall, folders run, pages stand.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn fidelity(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fidelity")).args(arguments).output().unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let output = fidelity(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

const ALL: &str = r#"["transformer", "matmulfree", "mamba", "mamba2", "xlstm", "xlstm_orig", "s4d", "s5", "mega",
    "linear_attention", "performer", "bitnet", "bitnet_b1", "hybrid"]"#;

fn configuration(folder: &Path, models: &str, more: &str) -> String {
    let path = folder.join("compare.toml");
    let text = format!(
        r#"
[compare]
models = {models}
parameters = 20000
lengths = [4, 40]
[compare.set.hybrid]
"model.blocks" = ["mlgru", "mamba", "slstm", "s5", "mlstm", "linear_attention"]
"model.linear" = "ternary"
"model.num_hidden_layers" = 6
[model]
num_hidden_layers = 2
num_heads = 2
[task]
name = "mqar"
length = 16
items = 2
vocabulary = 12
examples = 32
eval_lengths = [16, 20]
[train]
steps = 40
batch_size = 8
eval_every = 20
threads = 1
[optimizer]
lr = 1e-2
[output]
dir = "{}"
{more}
"#,
        folder.join("out").display()
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn every_architecture_learns_and_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    let path = configuration(folder.path(), ALL, "");
    let planned = json(&["compare", &path, "--plan", "--json"]);
    let planned = planned.as_array().unwrap();
    assert_eq!(planned.len(), 14);
    for entry in planned {
        let count = entry["parameters"].as_u64().unwrap();
        assert!((8_000..40_000).contains(&count), "{entry}");
    }
    let made = json(&["compare", &path, "--json"]);
    for outcome in made.as_array().unwrap() {
        let name = outcome["name"].as_str().unwrap();
        let losses: Vec<f64> =
            outcome["held_out"].as_array().unwrap().iter().map(|point| point[1].as_f64().unwrap()).collect();
        assert_eq!(losses.len(), 3, "{name}");
        assert!(losses[2] < losses[0] - 0.05, "{name} does not learn: {losses:?}");
        assert_eq!(outcome["accuracy"].as_array().unwrap().len(), 3, "{name}");
        let costs = outcome["costs"].as_array().unwrap();
        let carried: Vec<u64> = costs.iter().map(|cost| cost["state_bytes"].as_u64().unwrap()).collect();
        let grows = ["transformer", "bitnet", "bitnet_b1", "mega"].contains(&name);
        if let [first, second] = carried[..] {
            assert_eq!(second > first, grows, "{name}: {carried:?}");
        } else {
            // Learned positions end with the rows of the task.
            assert!(["linear_attention", "performer"].contains(&name), "{name}: {carried:?}");
        }
        // The exported folder is a model like any other.
        let model = folder.path().join("out").join(name).join("model").display().to_string();
        let generated =
            json(&["generate", &model, "--tokens", "1,7", "--greedy", "--max-tokens", "3", "--json"]);
        assert!(!generated["tokens"].as_array().unwrap().is_empty(), "{name}");
        let bundle = folder.path().join(format!("{name}.fid")).display().to_string();
        assert!(fidelity(&["pack", &model, &bundle]).status.success(), "{name}");
        let packed =
            json(&["generate", &bundle, "--tokens", "1,7", "--greedy", "--max-tokens", "3", "--json"]);
        assert_eq!(packed["tokens"], generated["tokens"], "{name}");
    }
    let page = std::fs::read_to_string(folder.path().join("out/compare.md")).unwrap();
    for picture in ["training.svg", "held-out.svg", "accuracy.svg", "time.svg", "memory.svg"] {
        assert!(page.contains(picture), "{page}");
        let svg = std::fs::read_to_string(folder.path().join("out").join(picture)).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("mamba"), "{picture}");
    }
    // What is done is not done again.
    let started = std::time::Instant::now();
    let again = json(&["compare", &path, "--json"]);
    assert_eq!(again, made);
    assert!(started.elapsed().as_secs() < 20);
}

#[test]
fn a_run_of_a_task_resumes_to_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.toml");
    std::fs::write(
        &path,
        "[model]\narchitecture = \"mamba\"\nlinear = \"ternary\"\nhidden_size = 16\nnum_hidden_layers = 1\n\
         [model.options]\nstate_size = 4\n[task]\nname = \"parity\"\nlength = 8\nexamples = 16\n[train]\nbatch_size = 4\n\
         checkpoint_every = 4\nthreads = 1\n",
    )
    .unwrap();
    let path = path.display().to_string();
    let run = |name: &str, more: &[&str]| {
        let dir = format!("output.dir={}", folder.path().join(name).display());
        let output = fidelity(&[&["train", &path, "--set", "train.steps=8", "--set", &dir], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read(folder.path().join(name).join("model/model.safetensors")).unwrap()
    };
    let whole = run("whole", &[]);
    let config = std::fs::read_to_string(folder.path().join("whole/model/config.json")).unwrap();
    assert!(config.contains("\"state_size\": 4") && config.contains("\"linear\": \"ternary\""), "{config}");
    // Without its last checkpoint a run goes on from the one before.
    run("cut", &[]);
    let checkpoints = folder.path().join("cut/checkpoints");
    assert!(checkpoints.join("step-000004.ckpt").is_file());
    std::fs::remove_file(checkpoints.join("step-000008.ckpt")).unwrap();
    assert_eq!(run("cut", &["--resume"]), whole);
}

#[test]
fn wrong_comparisons_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = |models: &str, more: &str| {
        let path = configuration(folder.path(), models, more);
        let output = fidelity(&["compare", &path]);
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(error("[]", "").contains("names no model"));
    assert!(error(r#"["mamba"]"#, "").contains("hybrid"));
    let text = error(r#"["rwkv", "hybrid"]"#, "");
    assert!(text.contains("rwkv") && text.contains("mamba2"), "{text}");
    let text = error(ALL, "[typo]\nx = 1");
    assert!(text.contains("typo"), "{text}");
}
