//! `generate --save-state` and `--load-state`: the second half of a generation is the one that an uninterrupted run
//! gives, for the same model in any form; any other state is refused.

mod cli_support;

use cli_support::{Tiny, config, fidelity, save};
use fidelity::state::Snapshot;
use models::config::MatMulFreeConfig;
use serde_json::Value;
use std::path::Path;

const DRAW: [&str; 14] = [
    "--temperature",
    "0.9",
    "--top-p",
    "0.95",
    "--repetition-penalty",
    "1.3",
    "--frequency-penalty",
    "0.7",
    "--min-p",
    "0.01",
    "--logit-bias",
    "97=1.5,98=-inf",
    "--seed",
    "11",
];

fn tokens(value: &Value) -> Vec<u64> {
    value["tokens"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap()).collect()
}

/// Runs `generate --json` and returns the new tokens.
fn generate(model: &Path, more: &[&str]) -> Vec<u64> {
    let mut list = args!["generate", model, "--json"].to_vec();
    list.extend(more.iter().map(|a| (*a).into()));
    tokens(&fidelity(&list).json())
}

fn bundle(tiny: &Tiny, layout: &str) -> std::path::PathBuf {
    let path = tiny.path(&format!("{layout}.fid"));
    fidelity(&args!["pack", tiny.model, path, "--layout", layout]).ok();
    path
}

#[test]
fn an_interrupted_generation_is_the_uninterrupted_one() {
    let tiny = Tiny::new();
    let prompt = "a prompt that is longer than one chunk ".repeat(5);
    let state = tiny.path("half.state");
    let file = state.to_str().unwrap();
    let models = [tiny.model.clone(), bundle(&tiny, "compute"), bundle(&tiny, "storage")];
    let whole = generate(&models[0], &[&[prompt.as_str(), "--max-tokens", "40"][..], &DRAW].concat());
    for (first, then) in [(0, 0), (0, 1), (1, 2), (2, 0)] {
        // Options and random state are in the file.
        for cut in ["0", "1", "17"] {
            let save = [prompt.as_str(), "--max-tokens", cut, "--save-state", file];
            let mut got = generate(&models[first], &[&save[..], &DRAW].concat());
            let left = (40 - cut.parse::<usize>().unwrap()).to_string();
            got.extend(generate(&models[then], &["--load-state", file, "--max-tokens", &left]));
            assert_eq!(got, whole, "from form {first} to {then}, cut at {cut}");
        }
    }
    // A prompt behind the state is read as if it had followed at once.
    let (head, tail) = prompt.split_at(100);
    generate(&models[1], &[&[head, "--max-tokens", "0", "--save-state", file][..], &DRAW].concat());
    assert_eq!(generate(&models[1], &[tail, "--load-state", file, "--max-tokens", "40"]), whole);
    // Saved again from a loaded one, in place.
    let again = ["--load-state", file, "--max-tokens", "0", "--save-state", file];
    generate(&models[1], &[tail, again[0], again[1], again[2], again[3], again[4], again[5]]);
    let mut got = generate(&models[1], &["--load-state", file, "--max-tokens", "9", "--save-state", file]);
    got.extend(generate(&models[1], &["--load-state", file, "--max-tokens", "31"]));
    assert_eq!(got, whole);
    // Another seed, another text; other options, too.
    assert_ne!(
        generate(&models[1], &[tail, "--load-state", file, "--max-tokens", "40", "--seed", "12"]),
        whole
    );
}

#[test]
fn the_file_does_not_grow_with_the_position() {
    let tiny = Tiny::new();
    let size = |tokens: &str| {
        let path = tiny.path("grow.state");
        fidelity(&args!["generate", tiny.model, "x", "--max-tokens", tokens, "--save-state", path]).ok();
        let seen = Snapshot::read(&path).unwrap().seen.len() as u64;
        std::fs::metadata(&path).unwrap().len() - 12 * seen
    };
    // Digits of the position, and padding.
    assert!(size("900").abs_diff(size("3")) <= 128);
}

#[test]
fn a_foreign_state_is_refused() {
    let tiny = Tiny::new();
    let other = tiny.path("other");
    save(&other, &config(), &config().init(8), true);
    let narrow = tiny.path("narrow");
    let smaller = MatMulFreeConfig { hidden_size: 16, ..config() };
    save(&narrow, &smaller, &smaller.init(7), true);
    let state = tiny.path("s.state");
    fidelity(&args!["generate", tiny.model, "abc", "--max-tokens", "3", "--save-state", state]).ok();
    for foreign in [&other, &narrow] {
        fidelity(&args!["generate", foreign, "--load-state", state]).fails(1, &["another model"]);
    }
    let rounded = tiny.path("rounded.fid");
    fidelity(&args!["pack", tiny.model, rounded, "--embedding", "int8", "--layout", "compute"]).ok();
    fidelity(&args!["generate", rounded, "--load-state", state]).fails(1, &["another model"]);
    fidelity(&args!["generate", tiny.model, "--load-state", tiny.path("none")]).fails(1, &["none"]);
    // A bundle that is no state, and a file that is no bundle.
    let model = bundle(&tiny, "compute");
    fidelity(&args!["generate", tiny.model, "--load-state", model]).fails(1, &["no state of a generation"]);
    let text = tiny.text("text", "hello");
    fidelity(&args!["generate", tiny.model, "--load-state", text]).fails(1, &["text"]);
    fidelity(&args!["generate", tiny.model, "x", "--save-state", tiny.path("no/folder")])
        .fails(1, &["no folder"]);
    fidelity(&args!["generate", tiny.model, "--interactive", "--load-state", state])
        .fails(2, &["--load-state"]);
}

#[test]
fn every_changed_byte_and_every_shorter_file_is_refused() {
    let tiny = Tiny::new();
    let path = tiny.path("s.state");
    fidelity(&args!["generate", tiny.model, "abc", "--max-tokens", "3", "--save-state", path]).ok();
    let whole = std::fs::read(&path).unwrap();
    assert!(Snapshot::read(&path).is_ok());
    let bad = tiny.path("bad.state");
    for length in 0..whole.len() {
        std::fs::write(&bad, &whole[..length]).unwrap();
        assert!(Snapshot::read(&bad).is_err(), "{length} bytes");
    }
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        std::fs::write(&bad, &changed).unwrap();
        assert!(Snapshot::read(&bad).is_err(), "byte {at}");
    }
}

#[test]
fn a_sound_file_with_hostile_content_is_refused() {
    let tiny = Tiny::new();
    let path = tiny.path("s.state");
    fidelity(&args!["generate", tiny.model, "abc", "--max-tokens", "3", "--save-state", path]).ok();
    let good = Snapshot::read(&path).unwrap();
    let faults: [(&str, Box<dyn Fn(&mut Snapshot)>); 9] = [
        ("finite", Box::new(|s| s.states[0].2[0] = f32::NAN)),
        ("finite", Box::new(|s| s.logits[1] = f32::INFINITY)),
        ("logits", Box::new(|s| s.logits.push(0.0))),
        ("states", Box::new(|s| s.states.truncate(1))),
        ("states", Box::new(|s| s.states[0].0 = "state.9".into())),
        ("token ids", Box::new(|s| s.pending = Some(256))),
        ("token ids", Box::new(|s| s.seen[0].id = u32::MAX)),
        ("once", Box::new(|s| s.seen.push(s.seen[0]))),
        ("random", Box::new(|s| s.random = [0; 4])),
    ];
    for (part, change) in faults {
        let mut bad = good.clone();
        change(&mut bad);
        bad.write(&path).unwrap();
        fidelity(&args!["generate", tiny.model, "--load-state", path])
            .fails(1, &["not one of this model", part]);
    }
    let mut bad = good.clone();
    bad.sampling.temperature = -1.0;
    bad.write(&path).unwrap();
    fidelity(&args!["generate", tiny.model, "--load-state", path]).fails(1, &["temperature"]);
    good.write(&path).unwrap();
    fidelity(&args!["generate", tiny.model, "--load-state", path]).ok();
}

#[test]
fn an_instruction_set_that_is_not_there_is_refused() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_fidelity"))
        .args(["doctor"])
        .env("FIDELITY_SIMD", "mmx")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("portable") && text.contains("`mmx`") && text.contains("help: "), "{text}");
}
