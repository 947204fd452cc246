//! llama.cpp's logits beside ours, through llama-cpp-python (`FIDELITY_PEERS` names its interpreter, else `python3`), and a
//! plain reimplementation of BitNet in Python (numpy) beside both.

use super::{batch, bitnet, convert, logits, masters};
use fidelity::convert::Form;
use fidelity::eval::{Batch, Cut};
use models::architecture::ModelConfig;
use models::decoder::Activation;
use models::folder::{SaveOptions, save_folder};
use models::gguf::GgufOptions;
use models::safetensors::NamedTensor;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

fn script(name: &str) -> Command {
    let python = std::env::var_os("FIDELITY_PEERS").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name));
    command
}

/// What llama.cpp gives for a file beside what is computed here; nothing where it is not at hand.
pub(crate) fn compare(gguf: &Path, dir: &Path, batch: &Batch) -> Option<Value> {
    let text: Vec<String> = batch.input_ids.iter().map(i64::to_string).collect();
    std::fs::write(dir.join("ids.txt"), text.join(" ")).unwrap();
    let found = given_to_peer(gguf, dir, &logits(gguf, batch, Cut::Sequence));
    if let Some(reason) = found.get("skip") {
        println!("skipped: {reason}; `FIDELITY_PEERS` names an interpreter that has llama-cpp-python");
        return None;
    }
    Some(found)
}

/// What llama.cpp gives for a file and the tokens of the last [`compare`], beside these logits.
fn given_to_peer(gguf: &Path, dir: &Path, numbers: &[f64]) -> Value {
    let given = dir.join("logits.bin");
    std::fs::write(&given, numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    let Ok(output) = script("logits.py").args([gguf, &dir.join("ids.txt"), &given]).output() else {
        return serde_json::json!({"skip": "there is no Python"});
    };
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|_| {
        panic!("llama.cpp does not read {}: {}", gguf.display(), String::from_utf8_lossy(&output.stderr))
    })
}

/// The two quantise activations to int8 differently (here for each token, there for each 256 numbers of it, or not at
/// all beside f16), and rounding is discontinuous: with the published deviation of random weights the divergence is that
/// of a thousandth of a nat at most, with logits eight times as wide some hundredths.
#[test]
fn llama_cpp_gives_the_same_distribution() {
    let dir = tempfile::tempdir().unwrap();
    let batch = batch(200, 2048);
    for (act, kinds) in [(Activation::Silu, &["tq2_0", "tq1_0", "f16"][..]), (Activation::Relu2, &["tq2_0"])]
    {
        let start = dir.path().join(act.name());
        masters(&start, &bitnet(act, 4, 512, 2048, 0.02));
        for kind in kinds {
            let gguf = dir.path().join(format!("{}-{kind}.gguf", act.name()));
            let ternary = barewire::gguf::GgmlType::named(kind).unwrap();
            let notes =
                convert(&start, &gguf, Form::Gguf(GgufOptions { ternary: Some(ternary), embedding: None }));
            let Some(found) = compare(&gguf, dir.path(), &batch) else { return };
            println!("{} {kind}: {found}", act.name());
            let mean = found["mean_kl"].as_f64().unwrap();
            match act {
                Activation::Silu => assert!(mean <= 1e-3, "{kind}: {mean}"),
                // That program computes SiLU in this architecture, so it cannot agree, and the file says so.
                Activation::Relu2 => assert!(notes.iter().any(|note| note.contains("SiLU"))),
            }
        }
    }
}

/// Mean of Σ p (log p − log q) over the positions of logits (positions, vocabulary).
fn divergence(ours: &[f64], theirs: &[f64], vocab: usize) -> f64 {
    let log_softmax = |row: &[f64]| -> Vec<f64> {
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|x| (x - most).exp()).sum();
        row.iter().map(|x| x - most - sum.ln()).collect()
    };
    let rows = ours.chunks(vocab).zip(theirs.chunks(vocab));
    let each = rows.map(|(p, q)| {
        let (p, q) = (log_softmax(p), log_softmax(q));
        p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum::<f64>()
    });
    each.sum::<f64>() / (ours.len() / vocab) as f64
}

/// A model with opinions (an embedding eight times as wide, 1.75 nats) is farther from llama.cpp, for the rounding of
/// activations that the two do not share: a reimplementation without it is llama.cpp's f32 file to rounding, and one with
/// BitNet's is ours.
#[test]
fn what_parts_a_sharper_model_from_llama_cpp_is_the_rounding_of_activations() {
    let dir = tempfile::tempdir().unwrap();
    let (vocab, config) = (256, bitnet(Activation::Silu, 9, 512, 256, 0.02));
    let (start, batch) = (dir.path().join("masters"), batch(200, vocab));
    masters(&start, &config);
    let values = config.parameters().into_iter().map(|p| {
        let factor = if p.name == config.embedding() { 8.0 } else { 1.0 };
        let values: Vec<f32> = config.init_parameter(&p, 11).iter().map(|x| factor * x).collect();
        NamedTensor::f32(p.name.clone(), &p.shape, values)
    });
    let tensors: Vec<NamedTensor<'_>> = values.collect();
    save_folder(&start, &config.to_json(), &tensors, SaveOptions::default()).unwrap();
    for kind in ["tq2_0", "f16", "f32"] {
        let gguf = dir.path().join(format!("{kind}.gguf"));
        let ternary = barewire::gguf::GgmlType::named(kind);
        convert(&start, &gguf, Form::Gguf(GgufOptions { ternary, embedding: None }));
        let Some(found) = compare(&gguf, dir.path(), &batch) else { return };
        println!("9 layers of 512, {kind}: {found}");
        let mean = found["mean_kl"].as_f64().unwrap();
        assert!(mean < 0.05, "{kind}: {mean}");
    }
    let ModelConfig::BitNet(c) = &config else { unreachable!() };
    let (ids, out) = (dir.path().join("ids.txt"), ["float", "int8"].map(|name| dir.path().join(name)));
    let heads = [c.num_attention_heads, c.num_key_value_heads].map(|n| n.to_string());
    let output = script("bitnet.py").arg(&start).arg(&ids).args(heads).args(&out).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |path: &Path| -> Vec<f64> {
        let bytes = std::fs::read(path).unwrap();
        bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
    };
    let [float, int8] = [&out[0], &out[1]].map(|path| read(path));
    let ours = logits(&start, &batch, Cut::Sequence);
    // Against the file of f32, in which nothing of llama.cpp's rounds activations.
    let against = |given: &[f64]| -> f64 {
        let found = given_to_peer(&dir.path().join("f32.gguf"), dir.path(), given);
        found["mean_kl"].as_f64().unwrap()
    };
    let (peer, rounded, own) =
        (against(&float), divergence(&int8, &float, vocab), divergence(&int8, &ours, vocab));
    println!(
        "reimplementation: float to llama.cpp's f32 {peer:e}, int8 to float {rounded:e}, int8 to ours {own:e}"
    );
    assert!(peer < 1e-5 && own < rounded, "{peer} {own} {rounded}");
}
