//! `fidelity eval --dtype`: a small golden model in every arithmetic.

mod cli_support;
mod common;

use cli_support::fidelity;
use common::golden;
use models::safetensors::{NamedTensor, TensorFile, Values};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The first tokens of the case, so that wide arithmetic takes seconds.
fn inputs(from: &Path, to: &Path) {
    let file = TensorFile::open(from.join("inputs.safetensors")).expect("inputs");
    let all = file.tensor("input_ids").expect("tokens");
    let length = all.shape[1];
    let ids: Vec<i64> = all.to_i64().expect("whole numbers").to_vec();
    let ids: Vec<i64> = ids[..length.min(3)].to_vec();
    let shape = vec![1, ids.len()];
    let tensors = ["input_ids", "labels"].map(|name| NamedTensor {
        name: name.into(),
        shape: shape.clone(),
        values: Values::I64(ids.clone().into()),
    });
    models::safetensors::write(to, &tensors, &BTreeMap::new()).expect("a file");
}

#[test]
fn a_model_in_every_arithmetic() {
    let Some(model) = golden("matmulfree/case_b") else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let (given, out, text) =
        (dir.path().join("in.safetensors"), dir.path().join("out.safetensors"), dir.path().join("out.json"));
    inputs(&model, &given);
    let run_with = |dtype: &str, more: &[&str]| {
        let mut list: Vec<std::ffi::OsString> =
            args!["eval", model, "--inputs", given, "--outputs", out, "--json", "--dtype", dtype].to_vec();
        list.extend(args!["--decimals", text].to_vec());
        list.extend(more.iter().map(std::ffi::OsString::from));
        let json = fidelity(&list).json();
        assert_eq!(json["dtype"], dtype);
        let file = TensorFile::from_bytes("out", std::fs::read(&out).expect("outputs")).expect("tensors");
        let logits = file.tensor("logits").expect("logits").to_f64().expect("numbers");
        let decimals: Value = serde_json::from_slice(&std::fs::read(&text).expect("decimals")).expect("JSON");
        (logits, decimals)
    };
    let run = |dtype: &str| run_with(dtype, &[]);
    let (double, _) = run("f64");
    let scale = double.iter().fold(0f64, |m, x| m.max(x.abs()));
    let worst = |x: &[f64]| x.iter().zip(&double).fold(0f64, |m, (a, b)| m.max((a - b).abs())) / scale;
    let mut wide = vec![];
    let mut list = vec!["dd", "f128", "digits:40"];
    if cfg!(target_arch = "x86_64") {
        list.push("f80");
    }
    for dtype in list {
        let (logits, decimals) = run(dtype);
        assert!(worst(&logits) < 1e-12, "{dtype}: {:e}", worst(&logits));
        let first = &decimals["tensors"]["logits"]["values"][0];
        let first = first.as_str().expect("a decimal").to_owned();
        assert!(first.len() > 18, "{dtype}: {first}");
        wide.push((dtype, first));
    }
    // The wide ones agree further than f64 could.
    let same = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    for (dtype, text) in &wide[1..] {
        let digits = if *dtype == "f80" { 15 } else { 24 };
        assert!(same(text, &wide[0].1) >= digits, "{dtype}: {text}, {}: {}", wide[0].0, wide[0].1);
    }
    // Bounds that meet a tolerance, for every logit and the loss.
    let (known, decimals) = run("adaptive:1e-25");
    assert!(worst(&known) < 1e-12);
    for name in ["logits", "loss"] {
        let bound = decimals["tensors"][name]["bound"].as_f64().expect("a bound");
        let size = decimals["tensors"][name]["values"].as_array().expect("numbers").iter();
        let size =
            size.map(|x| x.as_str().and_then(|x| x.parse().ok()).unwrap_or(0f64).abs()).fold(1f64, f64::max);
        assert!(bound > 0.0 && bound <= 1e-25 * size, "{name}: {bound:e}");
    }
    let first = decimals["tensors"]["logits"]["values"][0].as_str().expect("a decimal");
    assert!(same(first, &wide[0].1) >= 24, "{first}, {}", wide[0].1);
    let (single, ..) = run("f32");
    assert!(worst(&single) < 1e-4);
    let (kept, ..) = run_with("f32", &["--accumulator", "exact"]);
    assert!(worst(&kept) < 1e-4);
}
