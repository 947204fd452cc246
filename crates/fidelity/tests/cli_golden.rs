//! Every architecture against its published implementation, through the command as a user runs it: outputs, loss, hidden
//! states, every gradient, the stream, f64 and greedy tokens, on the engine.

use std::path::{Path, PathBuf};
use std::process::Command;

use models::safetensors::{NamedTensor, TensorFile, Values};

/// The folder of published data, where there is one.
fn golden() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = match std::env::var_os("FIDELITY_GOLDEN") {
        Some(folder) => PathBuf::from(folder),
        None => workspace.join("../shared/golden"),
    };
    if !folder.is_dir() {
        eprintln!("skipped: {} is not there; name the golden data in FIDELITY_GOLDEN", folder.display());
        return None;
    }
    Some(folder)
}

/// Runs the command; what it printed, or its error.
fn fidelity(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_fidelity")).args(arguments).output().unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn numbers(file: &TensorFile, name: &str) -> Vec<f64> {
    let view = file.tensor(name).unwrap();
    match view.dtype {
        models::safetensors::Dtype::F64 => view.to_f64().unwrap(),
        _ => view.to_f32().unwrap().iter().map(|x| f64::from(*x)).collect(),
    }
}

fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |most, x| most.max(x.abs()))
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

/// A case with its bounds.
struct Case {
    name: &'static str,
    /// Relative distance of a gradient in the norm.
    gradients: f64,
    /// Distance of the stream from the sequence; none where there is no stream without a mask.
    stream: Option<f64>,
    /// Relative distance in f64.
    wide: Option<f64>,
    /// Tokens of the prompt where the file joins prompt and answer.
    prompt: usize,
}

impl Case {
    const fn new(name: &'static str) -> Case {
        Case { name, gradients: 3e-5, stream: Some(1.2e-5), wide: Some(1e-9), prompt: 6 }
    }
}

/// Outputs, loss, gradients of a model folder against a case's files.
fn check(case: &Case, model: &Path, io: &Path, grads: &Path, output: &str, inputs: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let (given, made) = (folder.path().join("i.safetensors"), folder.path().join("o.safetensors"));
    let file = TensorFile::open(io).unwrap();
    // The library's loss takes the ids as labels, and each of its own shapes.
    let mut tensors: Vec<NamedTensor<'static>> = vec![];
    for name in inputs.iter().filter(|name| file.contains(name)) {
        let view = file.tensor(name).unwrap();
        let values = match *name {
            "x" | "loss_weight" => Values::F32(view.to_f32().unwrap().into()),
            _ => Values::I64(view.to_i64().unwrap().into()),
        };
        tensors.push(NamedTensor { name: (*name).into(), shape: view.shape.to_vec(), values });
    }
    if let (true, false) = (file.contains("input_ids"), file.contains("labels")) {
        let view = file.tensor("input_ids").unwrap();
        let values = Values::I64(view.to_i64().unwrap().into());
        tensors.push(NamedTensor { name: "labels".into(), shape: view.shape.to_vec(), values });
    }
    models::safetensors::write(&given, &tensors, &Default::default()).unwrap();
    let run = |more: &[&str]| -> TensorFile {
        let mut arguments =
            vec!["eval", model.to_str().unwrap(), "--inputs", given.to_str().unwrap(), "--outputs"];
        arguments.push(made.to_str().unwrap());
        arguments.extend(more);
        fidelity(&arguments).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        TensorFile::open(&made).unwrap()
    };
    let name = case.name;
    let expected = numbers(&file, output);
    let result = run(&["--want", "logits,loss,grads,hidden"]);
    let whole = numbers(&result, output);
    let bound = (1e-5 * largest(&expected)).max(2e-5);
    assert!(distance(&whole, &expected) <= bound, "{name}: {} apart", distance(&whole, &expected));
    if file.contains("loss") {
        let (found, loss) = (numbers(&result, "loss")[0], numbers(&file, "loss")[0]);
        assert!((found - loss).abs() <= 1e-5 * loss.abs().max(1.0), "{name}: loss {found}, expected {loss}");
    }
    let known = file.names().filter(|found| found.starts_with("hidden_states.") && result.contains(found));
    for found in known {
        let (a, b) = (numbers(&result, found), numbers(&file, found));
        assert!(
            distance(&a, &b) <= (1e-5 * largest(&b)).max(4.5e-5),
            "{name}: {found}: {}",
            distance(&a, &b)
        );
    }
    let published = TensorFile::open(grads).unwrap();
    for parameter in published.names() {
        let (a, b) = (numbers(&result, &format!("grad.{parameter}")), numbers(&published, parameter));
        let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
        let apart = norm(&mut a.iter().zip(&b).map(|(a, b)| a - b));
        let size = norm(&mut b.iter().copied());
        assert!(apart <= case.gradients * size.max(1e-9), "{name}: {parameter}: {}", apart / size);
    }
    if let Some(bound) = case.stream {
        for form in ["stream", "chunks:5,1,8"] {
            let pieces = numbers(&run(&["--form", form]), output);
            assert!(distance(&pieces, &whole) <= bound, "{name}, {form}: {}", distance(&pieces, &whole));
        }
    }
    let published = format!("{output}_f64");
    if let (Some(bound), true) = (case.wide, file.contains(&published)) {
        let (a, b) = (numbers(&run(&["--dtype", "f64"]), output), numbers(&file, &published));
        assert!(distance(&a, &b) <= bound * largest(&b), "{name}, f64: {}", distance(&a, &b) / largest(&b));
    }
}

/// Greedy tokens of a case that has them.
fn generates(case: &Case, model: &Path, io: &Path) {
    let file = TensorFile::open(io).unwrap();
    if !file.contains("gen_tokens") {
        return;
    }
    let row = |name: &str| -> Vec<i64> {
        let view = file.tensor(name).unwrap();
        let length = *view.shape.last().unwrap();
        view.to_i64().unwrap()[..length].to_vec()
    };
    let mut tokens = row("gen_tokens");
    let prompt = match file.contains("gen_prompt") {
        true => row("gen_prompt"),
        false => tokens.drain(..case.prompt).collect(),
    };
    if tokens.starts_with(&prompt) {
        tokens.drain(..prompt.len());
    }
    let words: Vec<String> = prompt.iter().map(ToString::to_string).collect();
    let count = tokens.len().to_string();
    let arguments =
        ["generate", model.to_str().unwrap(), "--tokens", &words.join(","), "--greedy", "--ignore-eos"];
    let printed = fidelity(&[&arguments[..], &["--max-tokens", &count, "--json"]].concat()).unwrap();
    let printed: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["tokens"], serde_json::json!(tokens), "{}", case.name);
}

const TOKENS: [&str; 3] = ["input_ids", "attention_mask", "labels"];

fn over_tokens(case: &Case) {
    let Some(golden) = golden() else { return };
    let model = golden.join(case.name);
    let io = model.join("io.safetensors");
    check(case, &model, &io, &model.join("grads.safetensors"), "logits", &TOKENS);
    generates(case, &model, &io);
}

#[test]
fn mamba() {
    over_tokens(&Case::new("mamba"));
}

#[test]
fn mamba2() {
    over_tokens(&Case { gradients: 1e-4, ..Case::new("mamba2") });
}

/// The published code rounds its states to f32 behind the last whole chunk also where all else is f64.
#[test]
fn xlstm() {
    over_tokens(&Case { wide: Some(1e-6), stream: Some(2.5e-5), ..Case::new("xlstm") });
}

#[test]
fn xlstm_with_scalar_memories() {
    over_tokens(&Case::new("xlstm_orig"));
}

#[test]
fn linear_attention() {
    over_tokens(&Case::new("linear_attention"));
}

/// The published causal form looks ahead for its stabiliser; the stream does not.
#[test]
fn performer() {
    over_tokens(&Case { stream: Some(1e-3), ..Case::new("performer") });
}

#[test]
fn binary_bitnet() {
    over_tokens(&Case { prompt: 8, ..Case::new("bitnet_b1") });
}

/// The published code computes its Fourier transforms in f32 also where all else is f64; its data have a mask.
#[test]
fn mega() {
    for name in ["mega_causal", "mega_bidir"] {
        over_tokens(&Case { wide: Some(1e-7), stream: None, ..Case::new(name) });
    }
}

/// A folder of a named case: its configuration with the architecture's name, and its weights.
fn over_numbers(case: &Case, folder: &str, model_type: &str) {
    let Some(golden) = golden() else { return };
    let file = |ending: &str| golden.join(folder).join(format!("{}.{ending}", case.name));
    let model = tempfile::tempdir().unwrap();
    let text = std::fs::read(file("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_slice(&text).unwrap();
    config["model_type"] = model_type.into();
    std::fs::write(model.path().join("config.json"), config.to_string()).unwrap();
    std::fs::copy(file("weights.safetensors"), model.path().join("model.safetensors")).unwrap();
    check(
        case,
        model.path(),
        &file("io.safetensors"),
        &file("grads.safetensors"),
        "y",
        &["x", "loss_weight"],
    );
}

#[test]
fn s4() {
    for name in ["dplr", "diag_zoh", "diag_bilinear"] {
        over_numbers(&Case::new(name), "s4", "s4");
    }
    // Its published convolution is cut after l_max taps, which a recurrence is not.
    over_numbers(&Case { stream: None, ..Case::new("dplr_rate_long") }, "s4", "s4");
    over_numbers(&Case::new("s4d_minimal"), "s4", "s4d");
}

#[test]
fn s5() {
    over_numbers(&Case { gradients: 1e-4, ..Case::new("s5_glu1") }, "s5", "s5");
    over_numbers(&Case::new("s5_full_bilinear"), "s5", "s5");
}

/// Bad folders are refused by name.
#[test]
fn wrong_folders() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let write = |config: &str| std::fs::write(folder.path().join("config.json"), config).unwrap();
    write(r#"{"model_type": "rwkv"}"#);
    models::safetensors::write(&folder.path().join("model.safetensors"), &[], &Default::default()).unwrap();
    let error = fidelity(&["inspect", path]).unwrap_err();
    assert!(error.contains("rwkv") && error.contains("\"mamba\"") && error.contains("\"xlstm\""), "{error}");
    write(r#"{"model_type": "mamba", "vocab_size": 16, "hidden_size": 8, "num_hidden_layers": 1}"#);
    let error = fidelity(&["inspect", path]).unwrap_err();
    assert!(error.contains("backbone.layers.0.mixer.A_log"), "{error}");
}
