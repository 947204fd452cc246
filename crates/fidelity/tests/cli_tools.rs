//! The other verbs through the binary: perplexity, inspect, doctor, train's printing forms, completions, help.

mod cli_support;

use cli_support::{Tiny, config, fidelity, fidelity_fed};
use models::config::MatMulFreeConfig;
use std::f64::consts::LN_2;
use std::fs;

#[test]
fn perplexity_is_the_loss_whatever_the_window() {
    let tiny = Tiny::new();
    let text = "The quick brown fox jumps over the lazy dog, né.";
    let file = tiny.text("text.txt", text);
    let ids: Vec<i64> = text.bytes().map(i64::from).collect();
    let inputs = tiny.inputs([1, ids.len()], &ids, Some(&ids));
    let loss = fidelity(&args![
        "eval",
        tiny.model,
        "--inputs",
        inputs,
        "--outputs",
        tiny.path("o"),
        "--integer",
        "--json"
    ]);
    let loss = loss.json()["loss"].as_f64().unwrap();
    for length in ["1024", "7", "1"] {
        let found =
            fidelity(&args!["perplexity", tiny.model, "--text-file", file, "--length", length, "--json"])
                .json();
        let number = |key: &str| found[key].as_f64().unwrap();
        assert!((number("nats_per_token") - loss).abs() < 1e-5, "{length}: {found} {loss}");
        assert!((number("perplexity") - loss.exp()).abs() < 1e-4 * loss.exp());
        assert!((number("bits_per_byte") - loss / LN_2).abs() < 1e-5);
        assert_eq!(found["tokens"], ids.len());
        assert_eq!(found["predicted"], ids.len() - 1);
        assert_eq!(found["bytes"], ids.len() - 1);
    }
    let table = fidelity_fed(&args!["perplexity", tiny.model, "--text-file", "-"], text.as_bytes()).ok();
    assert!(table.contains("bits per byte"), "{table}");
}

#[test]
fn inspect_describes_the_folder() {
    let tiny = Tiny::new();
    let found = fidelity(&args!["inspect", tiny.model, "--json", "--trits"]).json();
    assert_eq!(found["architecture"], "hgrn_bit");
    assert_eq!(found["config"]["hidden_size"], 32);
    let rows = found["parameters"].as_array().unwrap();
    let expected = config().expected_tensors();
    assert_eq!(rows.len(), expected.len());
    let mut ternary = 0;
    for (row, (name, shape)) in rows.iter().zip(&expected) {
        assert_eq!(row["name"], *name);
        assert_eq!(row["shape"], serde_json::json!(shape));
        assert_eq!(row["dtype"], "f32");
        let is_ternary = name.ends_with("proj.weight") || name == "lm_head.weight";
        assert_eq!(row["ternary"], is_ternary, "{name}");
        if is_ternary {
            let sum: u64 = row["trits"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
            assert_eq!(row["count"], sum);
            ternary += sum;
        }
    }
    let totals = &found["totals"];
    assert_eq!(totals["parameters"], config().parameter_count().unwrap());
    assert_eq!(totals["ternary_parameters"], ternary);
    // Two layers: h, and three inputs of the shared convolution.
    assert_eq!(totals["state_bytes"], 4 * 2 * (32 + 3 * 32));
    let file = totals["file_bytes"].as_u64().unwrap();
    assert_eq!(file, 4 * config().parameter_count().unwrap());
    assert_eq!(totals["two_bit_bytes"], file - 4 * ternary + ternary / 4 + 4 * 13);
    let table = fidelity(&args!["inspect", tiny.model]).ok();
    for part in ["lm_head.weight", "ternary", "state per sequence    1.0 KiB", "work per token"] {
        assert!(table.contains(part), "{table}");
    }
}

#[test]
fn graphs_are_printed_planned_and_drawn() {
    let tiny = Tiny::new();
    for more in [vec![], vec!["--step"]] {
        let run = |kind: &str| {
            let mut list = args!["inspect", tiny.model, kind].to_vec();
            list.extend(more.iter().map(std::ffi::OsString::from));
            fidelity(&list).ok()
        };
        let text = run("--graph");
        assert_eq!(format!("{}\n", graph::Graph::parse(&text).unwrap()), text);
        let plan = run("--plan");
        assert!(plan.contains("arena ") && plan.contains("layers.1.mlp"), "{plan}");
    }
    let file = tiny.path("m.svg");
    let run = fidelity(&args!["inspect", tiny.model, "--svg", file]);
    assert!(run.err.contains("drawn into"), "{}", run.err);
    assert_eq!(run.ok(), "");
    let svg = fs::read_to_string(&file).unwrap();
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("layers.1"), "grouped by layer");
    assert_eq!(fidelity(&args!["inspect", tiny.model, "--svg", "-"]).ok(), svg);
}

#[test]
fn tied_and_unbounded_models() {
    let tied = MatMulFreeConfig { tie_word_embeddings: true, use_lower_bound: false, ..config() };
    let tiny = Tiny::with(&tied);
    let found = fidelity(&args!["inspect", tiny.model, "--json"]).json();
    assert_eq!(found["totals"]["parameters"], tied.parameter_count().unwrap());
    fidelity(&args!["generate", tiny.model, "ab", "--greedy", "--max-tokens", "3"]).ok();
}

#[test]
fn warnings_go_to_standard_error_once() {
    let tiny = Tiny::new();
    let path = tiny.model.join("config.json");
    let text = fs::read_to_string(&path).unwrap().replacen('{', "{\n  \"dropout_colour\": 3,", 1);
    fs::write(&path, text).unwrap();
    let run = fidelity(&args!["generate", tiny.model, "a", "--max-tokens", "1", "--greedy", "--json"]);
    assert_eq!(run.err.matches("dropout_colour").count(), 1, "{}", run.err);
    assert!(run.err.starts_with("warning: "));
    run.json();
}

#[test]
fn doctor_lists_every_tool_with_its_remedy() {
    let found = fidelity(&["doctor", "--json"]).json();
    let names: Vec<&str> =
        found["tools"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap()).collect();
    for name in ["mlir-opt", "llc", "qemu", "triton", "verilator", "yosys", "python3"] {
        assert!(names.contains(&name), "{names:?}");
    }
    for tool in found["tools"].as_array().unwrap() {
        assert!(
            !tool["install"].as_str().unwrap().is_empty() && !tool["without"].as_str().unwrap().is_empty()
        );
    }
    assert!(found["cpu"]["threads"].as_u64().unwrap() >= 1);
    let kernels = found["cpu"]["kernels"].as_str().unwrap();
    assert_eq!(kernels, engine::kernels::simd::level().name());
    let table = fidelity(&["doctor"]).ok();
    assert!(table.contains("kernels") && table.contains("verilator"), "{table}");
}

#[test]
fn the_printed_configuration_can_be_read_back() {
    let tiny = Tiny::new();
    let printed = fidelity(&["train", "--print-config", "--set", "train.steps=77"]).ok();
    assert!(printed.contains("steps = 77") && printed.contains('#'));
    let file = tiny.text("run.toml", &printed);
    let again = fidelity(&args!["train", file, "--print-config", "--threads", "2"]).ok();
    assert_eq!(again, printed.replace("threads = 0", "threads = 2"));
}

#[test]
fn a_preview_shows_what_the_model_will_see() {
    let tiny = Tiny::new();
    let book = tiny.text("book.txt", &"It was a bright cold day in April. ".repeat(400));
    let printed = fidelity(&["train", "--print-config"]).ok();
    let file = tiny.text("run.toml", &printed);
    let train = format!("data.train=[{:?}]", book.display().to_string());
    let list = args!["train", file, "--set", train, "--set", "data.cache=false", "--preview"];
    let shown = fidelity(&list).ok();
    assert!(shown.contains("training tokens") && shown.contains("bright cold day"), "{shown}");
    let mut list = list.to_vec();
    list.push("--json".into());
    let found = fidelity(&list).json();
    assert_eq!(found["vocab_size"], 256);
    assert_eq!(found["first"].as_array().unwrap().len(), 3);
}

#[test]
fn completions_help_and_version() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(fidelity(&["completions", shell]).ok().contains("perplexity"), "{shell}");
    }
    assert!(fidelity(&["--version"]).ok().starts_with("fidelity "));
    for verb in ["demo", "train", "eval", "generate", "perplexity", "inspect", "doctor", "completions"] {
        assert!(fidelity(&[verb, "--help"]).ok().contains("Examples"), "{verb}");
    }
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_is_no_error() {
    use std::process::{Command, Stdio};
    let tiny = Tiny::new();
    for list in
        [args!["inspect", tiny.model, "--graph"].to_vec(), args!["generate", tiny.model, "a"].to_vec()]
    {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fidelity"))
            .args(list)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{err}");
        assert!(!err.contains("error") && !err.contains("panicked"), "{err}");
    }
}
