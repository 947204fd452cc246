//! Plans through the binary: shown in every form, predicted for a machine that is named, measured or assumed, with
//! optimisations switched off, which changes no bit of a result.

mod cli_support;

use cli_support::{Tiny, fidelity};
use engine::pool::Pool;
use fidelity::premapping::kernels::{self, Size};
use fidelity::premapping::rig::Rig;
use fidelity::premapping::suite;
use models::architecture::ModelConfig;
use models::forms::Form;
use premap::{Kernel, Optimization, Switches};
use std::process::{Command, Stdio};
use std::sync::Arc;

const FORMS: [&str; 5] = ["sequence", "integer", "prepared", "stream", "train"];

#[test]
fn plans_are_shown_in_every_form() {
    let tiny = Tiny::new();
    for form in FORMS {
        let plan = |more: &[&str]| {
            let mut list = args!["inspect", tiny.model, "--plan", "--target", "cpu"].to_vec();
            list.extend(["--form", form, "--tokens", "8", "--threads", "2"].map(std::ffi::OsString::from));
            list.extend(more.iter().map(std::ffi::OsString::from));
            fidelity(&list)
        };
        let text = plan(&["--machine", "reference"]).ok();
        for part in ["2 threads", "default figures", "fusion group", "arena ", "predicted", "layers.1.mlp"] {
            assert!(text.contains(part), "{form}: {part}\n{text}");
        }
        if matches!(form, "prepared" | "stream") {
            assert!(text.contains("layout compute") && text.contains("bit planes"), "{form}\n{text}");
        }
        let json = plan(&["--json", "--machine", "reference"]).json();
        let steps = json["steps"].as_array().unwrap();
        assert!(!steps.is_empty() && steps.iter().all(|s| s["predicted_ns"].as_f64().unwrap() > 0.0));
        assert!(json["memory"]["buffers"].as_array().unwrap().iter().all(|b| b["role"].is_string()));
        let svg = tiny.path("buffers.svg");
        let told = plan(&["--svg", svg.to_str().unwrap(), "--json"]);
        assert!(told.err.contains("drawn into"), "{}", told.err);
        told.json();
        let drawn = std::fs::read_to_string(&svg).unwrap();
        assert!(
            drawn.starts_with("<svg ") && drawn.trim_end().ends_with("</svg>") && drawn.contains("arena ")
        );
        let without = plan(&["--json", "--without", "fusion,patterns,reuse"]).json();
        assert!(without["steps"].as_array().unwrap().len() > steps.len(), "{form}");
        assert_eq!(without["without"], serde_json::json!(["fusion", "patterns", "reuse"]));
        let bound = plan(&["--json", "--machine", "nvidia-h100-sxm"]).json();
        assert_eq!(bound["source"], "datasheet");
        assert!(bound["predicted_ns"].as_f64().unwrap() < json["predicted_ns"].as_f64().unwrap());
    }
}

#[test]
fn what_does_not_exist_is_told() {
    let tiny = Tiny::new();
    let plan = |more: &[&str]| {
        let mut list = args!["inspect", tiny.model, "--plan"].to_vec();
        list.extend(more.iter().map(std::ffi::OsString::from));
        fidelity(&list)
    };
    plan(&["--without", "fusoin"]).fails(2, &["fusoin", "fusion, patterns"]);
    plan(&["--form", "sideways"]).fails(2, &["write sequence"]);
    plan(&["--machine", "abacus"]).fails(1, &["abacus", "nvidia-h100-sxm", "calibrate"]);
    let file = tiny.text("machine.json", "{\"name\": 1}");
    plan(&["--machine", file.to_str().unwrap()]).fails(1, &["expected a machine as JSON"]);
    fidelity(&args!["inspect", tiny.model, "--svg", "-", "--json"]).fails(1, &["--json and --svg"]);
}

#[test]
fn a_calibrated_machine_is_remembered_and_used() {
    let tiny = Tiny::new();
    let (cache, out) = (tiny.path("cache"), tiny.path("machine.json"));
    let run = |args: &[std::ffi::OsString]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fidelity"));
        let output = command.args(args).env("XDG_CACHE_HOME", &cache).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let plan = args!["inspect", tiny.model, "--plan", "--tokens", "8", "--threads", "1", "--json"];
    let source = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["source"].clone();
    assert_eq!(source(&run(&plan)), "default");
    let text = run(&args!["calibrate", "--threads", "1", "--out", out]);
    assert!(text.contains("GB/s") && text.contains("trits") && text.contains("barrier"), "{text}");
    assert_eq!(source(&run(&plan)), "measured");
    // The file is a machine for others, whatever is remembered.
    let machine: premap::Machine = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!(machine.fault(), None);
    assert!(machine.levels.iter().all(|l| l.read[0] > 0.0));
    let named = args!["inspect", tiny.model, "--plan", "--machine", out, "--threads", "2", "--json"];
    assert_eq!(source(&run(&named)), "measured");
}

#[test]
fn switches_change_no_bit_of_a_result() {
    let pool = Arc::new(Pool::new(2));
    let config = ModelConfig::from(suite::matmulfree(128, 2));
    let mut cases = vec![suite::mlgru_block(20, 64).unwrap(), suite::glu_block(20, 64).unwrap()];
    for (form, time) in [(Form::Prepared, 1), (Form::Prepared, 12), (Form::Integer, 6), (Form::Float, 6)] {
        cases.push(suite::model(&config, form, time, 0).unwrap());
    }
    cases.push(suite::training(&suite::matmulfree(64, 2), 2, 8, true).unwrap());
    let same = |a: &[u8], b: &[u8]| {
        // No number is equal to another that is none, whatever its bits.
        let number = |x: &[u8]| f32::from_le_bytes([x[0], x[1], x[2], x[3]]);
        let nan = |x: &[u8], y: &[u8]| x.len() == 4 && number(x).is_nan() && number(y).is_nan();
        a.len() == b.len() && a.chunks(4).zip(b.chunks(4)).all(|(x, y)| x == y || nan(x, y))
    };
    for case in cases {
        let results = |switches| {
            let case = suite::without(&case, switches);
            Rig::new(&case.graph, &case.options, &pool).unwrap().results().unwrap()
        };
        let all = results(Switches::default());
        let mut tried: Vec<Switches> = Optimization::ALL.map(|o| Switches::without([o])).into();
        tried.push(Switches::without(Optimization::ALL));
        for switches in tried {
            let other = results(switches);
            for (k, (a, b)) in all.iter().zip(&other).enumerate() {
                assert!(same(a, b), "{}: output {k} without {switches}", case.name);
            }
        }
    }
}

#[test]
#[ignore = "held for products with trits below; the other kernels have not all been held to it yet"]
fn plans_are_cut_as_they_say() {
    let pool = Arc::new(Pool::new(2));
    let mut cases: Vec<(String, graph::Graph, premap::Options)> = vec![];
    for kernel in Kernel::ALL {
        // Many tokens with blocks are cut by the instruction set.
        let wide = engine::kernels::simd::level() == engine::kernels::simd::Level::Avx512;
        if *kernel == Kernel::Blocks && !wide {
            continue;
        }
        for size in [Size::Tiny, Size::Narrow, Size::Large] {
            if let Some(small) = kernels::plan(*kernel, size) {
                cases.push((format!("{} {size:?}", kernel.name()), small.graph, small.options));
            }
        }
    }
    let config = ModelConfig::from(suite::matmulfree(256, 2));
    for case in [
        suite::mlgru_block(70, 192).unwrap(),
        suite::glu_block(70, 192).unwrap(),
        suite::glu_block(1, 512).unwrap(),
        suite::model(&config, Form::Prepared, 150, 0).unwrap(),
        suite::model(&config, Form::Float, 40, 0).unwrap(),
        suite::training(&suite::matmulfree(128, 2), 2, 64, true).unwrap(),
    ] {
        cases.push((case.name, case.graph, case.options));
    }
    for (name, graph, options) in cases {
        let mut rig = Rig::new(&graph, &options, &pool).unwrap();
        let plan = rig.plan();
        let said: Vec<usize> =
            plan.steps.iter().flat_map(|s| premap::cut::rounds(plan, s)).map(|r| r.tasks).collect();
        let said = said.into_iter().filter(|n| *n > 1).fold((0, 0), |(r, t), n| (r + 1, t + n));
        let before = pool.dealt();
        rig.results().unwrap();
        let after = pool.dealt();
        assert_eq!(
            (after.0 - before.0, after.1 - before.1),
            said,
            "{name}: rounds and tasks\n{}",
            rig.plan().describe()
        );
    }
}

/// Rounds and tasks that a plan says, and those that the pool dealt out for a run of it.
fn cuts(graph: &graph::Graph, options: &premap::Options, pool: &Arc<Pool>) -> [(usize, usize); 2] {
    let mut rig = Rig::new(graph, options, pool).unwrap();
    let plan = rig.plan();
    let rounds = plan.steps.iter().flat_map(|s| premap::cut::rounds(plan, s)).map(|r| r.tasks);
    let said = rounds.filter(|n| *n > 1).fold((0, 0), |(r, t), n| (r + 1, t + n));
    let before = pool.dealt();
    rig.results().unwrap();
    let after = pool.dealt();
    [said, (after.0 - before.0, after.1 - before.1)]
}

#[test]
fn products_with_trits_are_cut_as_their_plan_says() {
    let pool = Arc::new(Pool::new(2));
    for kernel in [Kernel::Trits, Kernel::TritsFew, Kernel::TritBytes] {
        for size in [Size::Tiny, Size::Narrow, Size::Large] {
            if let Some(small) = kernels::plan(kernel, size) {
                let [said, dealt] = cuts(&small.graph, &small.options, &pool);
                assert_eq!(said, dealt, "{} {size:?}", kernel.name());
            }
        }
    }
}

#[test]
fn eval_and_generate_take_switches() {
    let tiny = Tiny::new();
    let ids: Vec<i64> = (0..12).map(|i| (i * 37 + 5) % 100).collect();
    let inputs = tiny.inputs([2, 6], &ids, None);
    let every: String = Optimization::ALL.map(Optimization::name).join(",");
    let eval = |more: &[&str]| {
        let out = tiny.path("out.safetensors");
        let mut list = args!["eval", tiny.model, "--inputs", inputs, "--outputs", out, "--integer"].to_vec();
        list.extend(more.iter().map(std::ffi::OsString::from));
        fidelity(&list).ok();
        std::fs::read(out).unwrap()
    };
    assert_eq!(eval(&[]), eval(&["--without", &every]));
    let generate = |more: &[&str]| {
        let mut list =
            args!["generate", tiny.model, "ab", "--greedy", "--max-tokens", "8", "--json"].to_vec();
        list.extend(more.iter().map(std::ffi::OsString::from));
        fidelity(&list).json()["tokens"].clone()
    };
    assert_eq!(generate(&[]), generate(&["--without", &every]));
}
