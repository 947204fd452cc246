//! `fidelity bench` through the binary: its forms and its parts. No time is asserted.

mod cli_support;

use cli_support::{Tiny, fidelity};

#[test]
fn a_model_is_measured_and_told_in_every_form() {
    let tiny = Tiny::new();
    let bundle = tiny.path("tiny.fid");
    fidelity(&args!["pack", tiny.model, bundle, "--layout", "compute"]).ok();
    let picture = tiny.path("roofline.svg");
    let list = args![
        "bench",
        bundle,
        "--quick",
        "--threads",
        "1",
        "--only",
        "decode,prefill,memory,start",
        "--json",
        "--svg",
        picture
    ];
    let run = fidelity(&list);
    assert!(run.err.contains("· "), "progress goes to standard error: {}", run.err);
    let found = run.json();
    let model = &found["model"];
    assert_eq!(found["threads"], serde_json::json!([1]));
    for part in ["decode", "prefill"] {
        let speed = &model[part][0];
        let rate = |name: &str| speed["rate"][name].as_f64().unwrap();
        assert!(0.0 < rate("low") && rate("low") <= rate("median") && rate("median") <= rate("best"));
        assert!(speed["percent"].as_f64().unwrap() > 0.0 && speed["versus"].is_null());
    }
    assert!(model["start"][0]["seconds"]["best"].as_f64().unwrap() > 0.0);
    assert_eq!(model["file_bytes"], std::fs::metadata(&bundle).unwrap().len());
    // All but the embedding, of which a token is one row.
    let bytes = model["token_bytes"].as_u64().unwrap();
    assert!(bytes > 0 && bytes < model["file_bytes"].as_u64().unwrap());
    // Four projections of a block's mixer, the two of its mixing of channels, the head.
    assert_eq!(model["token_macs"], 2.0 * (4.0 * 32.0 * 32.0 + 3.0 * 48.0 * 32.0) + 256.0 * 32.0);
    let svg = std::fs::read_to_string(picture).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("tiny.fid: decode"));
    let only = ["--quick", "--threads", "1", "--only", "start"];
    let mut list = args!["bench", bundle].to_vec();
    list.extend(only.iter().map(std::ffi::OsString::from));
    let table = fidelity(&list).ok();
    assert!(table.contains("## tiny.fid") && table.contains("start to first token"), "{table}");
}

#[test]
fn the_machine_alone_needs_no_model() {
    let list = ["bench", "--quick", "--threads", "1", "--only", "clock", "--json"];
    let found = fidelity(&list).json();
    assert!(found["model"].is_null());
    assert!(found["machine"]["clock_ghz"]["median"].as_f64().unwrap() > 0.0);
    assert!(found["machine"]["bandwidth"][0]["gigabytes"]["best"].as_f64().unwrap() > 0.0);
    let units: Vec<&str> =
        found["machine"]["peaks"].as_array().unwrap().iter().map(|p| p["unit"].as_str().unwrap()).collect();
    assert_eq!(units, ["int8 GMAC/s", "f32 GFLOP/s"]);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let tiny = Tiny::new();
    fidelity(&args!["bench", tiny.path("none")]).fails(1, &["none"]);
    fidelity(&args!["bench", tiny.model, "--peers"]).fails(1, &["--peer-model"]);
    fidelity(&args!["bench", "--shape", "no-such"]).fails(2, &["mmfree-1m"]);
    fidelity(&args!["bench", "--threads", "0"]).fails(2, &["threads"]);
    fidelity(&args!["bench", tiny.model, "--svg", tiny.path("no/folder.svg")]).fails(1, &["no folder"]);
}
