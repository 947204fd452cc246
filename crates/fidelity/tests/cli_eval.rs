//! `fidelity eval` on the golden cases and on a small model, through files, as a script would use it.

mod cli_support;
mod common;

use cli_support::{Tiny, fidelity};
use common::golden;
use models::safetensors::{Dtype, TensorFile};
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const CASES: [&str; 3] = ["case_a", "case_b", "case_c_shortconv_patched"];

/// Runs `eval` on a folder's inputs; the JSON it printed and the file it wrote.
fn eval(model: &Path, inputs: &Path, more: &[&str]) -> (Value, TensorFile) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.safetensors");
    let mut list: Vec<OsString> =
        args!["eval", *model, "--inputs", *inputs, "--outputs", out, "--json"].to_vec();
    list.extend(more.iter().map(OsString::from));
    let json = fidelity(&list).json();
    (json, TensorFile::from_bytes("out", std::fs::read(out).unwrap()).unwrap())
}

fn each(f: impl Fn(&str, &Path, &dyn Fn(&[&str]) -> (Value, TensorFile))) {
    for case in CASES {
        let Some(dir) = golden(&format!("matmulfree/{case}")) else { continue };
        f(case, &dir, &|more| eval(&dir, &dir.join("inputs.safetensors"), more));
    }
}

#[track_caller]
fn close(got: &TensorFile, name: &str, want: &TensorFile, of: &str, relative: bool, bound: f64) {
    let (g, w) = (got.tensor(name).unwrap(), want.tensor(of).unwrap());
    assert_eq!(g.shape, w.shape, "{name}");
    let w = w.to_f64().unwrap();
    let scale = if relative { w.iter().fold(0f64, |m, x| m.max(x.abs())) } else { 1.0 };
    let d = g.to_f64().unwrap().iter().zip(&w).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(d <= bound * scale, "{name}: {d:e} of {scale:e}");
}

#[test]
fn golden_logits_loss_hidden_states_gradients() {
    each(|_, dir, run| {
        let (json, got) = run(&["--want", "logits,loss,hidden,grads"]);
        let want = TensorFile::open(dir.join("outputs.safetensors")).unwrap();
        let layers =
            json["shapes"].as_object().unwrap().keys().filter(|n| n.starts_with("hidden_states.")).count()
                - 1;
        let mut names = 0;
        for of in want.names().filter(|n| !n.ends_with("_f64")) {
            let name = of.replace("final_norm", &layers.to_string());
            close(&got, &name, &want, of, false, 1e-5);
            names += 1;
        }
        let grads = TensorFile::open(dir.join("grads.safetensors")).unwrap();
        for name in grads.names() {
            close(&got, &format!("grad.{name}"), &grads, name, true, 1e-5);
            names += 1;
        }
        assert_eq!(got.names().len(), names);
        let loss = want.to_f64("loss").unwrap()[0];
        assert!((json["loss"].as_f64().unwrap() - loss).abs() < 1e-5);
    });
}

#[test]
fn golden_traces_have_the_reference_names_shapes_and_dtypes() {
    each(|case, dir, run| {
        let (_, got) = run(&["--want", "trace"]);
        let mut names = 0;
        for file in ["trace.safetensors", "quant_weights.safetensors"] {
            let want = TensorFile::open(dir.join(file)).unwrap();
            for name in want.names() {
                let (g, w) = (got.tensor(name).unwrap(), want.tensor(name).unwrap());
                assert_eq!((g.dtype, g.shape), (w.dtype, w.shape), "{case} {name}");
                if w.dtype == Dtype::I8 {
                    assert_eq!(g.bytes, w.bytes, "{case} {name}");
                } else {
                    let peak = w.to_f64().unwrap().iter().fold(1f64, |m, x| m.max(x.abs()));
                    close(&got, name, &want, name, false, 1e-5 * peak);
                }
                names += 1;
            }
        }
        // Nothing of another kind: only what was wanted is written.
        assert!(got.names().all(|n| n != "logits" && !n.starts_with("hidden_states.")));
        assert_eq!(got.names().len(), names, "{case}");
    });
}

#[test]
fn golden_double_precision_is_written_as_doubles() {
    each(|_, dir, run| {
        let (json, got) = run(&["--dtype", "f64"]);
        let want = TensorFile::open(dir.join("outputs.safetensors")).unwrap();
        for name in ["logits", "loss"] {
            assert_eq!(got.tensor(name).unwrap().dtype, Dtype::F64);
            close(&got, name, &want, &format!("{name}_f64"), false, 1e-9);
        }
        assert_eq!(json["dtype"], "f64");
    });
}

#[test]
fn golden_forms_agree_at_constant_work() {
    each(|case, _, run| {
        let (whole, want) = run(&[]);
        let length = whole["length"].as_u64().unwrap() as usize;
        for form in ["stream", "chunks:5,1,8", "chunks:3"] {
            let (json, got) = run(&["--form", form]);
            close(&got, "logits", &want, "logits", false, 1e-5);
            close(&got, "loss", &want, "loss", false, 1e-5);
            let work = &json["operations"];
            let tokens: u64 = work["tokens"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
            assert_eq!(tokens, length as u64 * json["batch"].as_u64().unwrap());
            if form == "stream" {
                let each = work["per_token"].as_array().unwrap();
                assert_eq!(each.len(), length);
                assert!(each.iter().all(|x| x == &each[0]), "{case}: {each:?}");
            }
        }
        let (_, integer) = run(&["--integer"]);
        close(&integer, "logits", &want, "logits", false, 1e-4);
    });
}

#[test]
fn defaults_follow_the_inputs() {
    let tiny = Tiny::new();
    let inputs = tiny.inputs([2, 3], &[1, 2, 3, 4, 5, 6], None);
    let (json, got) = eval(&tiny.model, &inputs, &[]);
    assert_eq!(got.names().collect::<Vec<_>>(), ["logits"]);
    assert_eq!(got.tensor("logits").unwrap().shape, [2, 3, 256]);
    assert!(json["loss"].is_null());
    assert_eq!(json["shapes"]["logits"], serde_json::json!([2, 3, 256]));
    let inputs = tiny.inputs([2, 3], &[1, 2, 3, 4, 5, 6], Some(&[1, 2, 3, 4, -100, 6]));
    let (json, got) = eval(&tiny.model, &inputs, &[]);
    assert_eq!(got.names().collect::<Vec<_>>(), ["logits", "loss"]);
    assert!((json["loss"].as_f64().unwrap() - got.to_f64("loss").unwrap()[0]).abs() < 1e-6);
}

#[test]
fn forms_and_threads_agree_on_a_small_model() {
    let tiny = Tiny::new();
    let ids: Vec<i64> = (0..26).map(|i| i * 37 % 256).collect();
    let inputs = tiny.inputs([2, 13], &ids, Some(&ids));
    let (_, want) = eval(&tiny.model, &inputs, &["--want", "logits,loss,hidden", "--threads", "1"]);
    for more in [["--form", "stream"], ["--form", "chunks:5,1,8"], ["--threads", "2"]] {
        let (_, got) = eval(&tiny.model, &inputs, &[&["--want", "logits,loss,hidden"], &more[..]].concat());
        assert!(got.names().eq(want.names()));
        for name in want.names() {
            close(&got, name, &want, name, true, 1e-5);
        }
    }
}

#[test]
fn people_get_a_table_and_the_file_is_replaced_whole() {
    let tiny = Tiny::new();
    let inputs = tiny.inputs([1, 2], &[1, 2], Some(&[1, 2]));
    let out: PathBuf = tiny.text("out.safetensors", "something older");
    let table = fidelity(&args!["eval", tiny.model, "--inputs", inputs, "--outputs", out]).ok();
    for part in ["loss ", "operations ", "2 tensors to"] {
        assert!(table.contains(part), "{table}");
    }
    assert!(TensorFile::open(&out).unwrap().contains("logits"));
    assert!(
        std::fs::read_dir(tiny.dir.path())
            .unwrap()
            .all(|e| { !e.unwrap().file_name().to_string_lossy().ends_with(".partial") })
    );
}
